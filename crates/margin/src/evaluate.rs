//! One account, a whole book, and an account before and after trades.

use crate::account::{AccountState, Slot};
use crate::aggregate::Measure;
use crate::equity::{collateral, positions_value};
use crate::isolated::report_isolated;
use crate::money::Exact;
use crate::orders::worst_fills;
use crate::requirement::{Parts, Scan, View, requirement, standalone_sum};
use crate::{
    Aggregation, CollateralReport, Contribution, GreekSums, MarginError, MarginReport, Mode, OrdersReport,
    Params, State, Trade, UnderlyingReport, WhatIf,
};
use plimsoll_types::{Book, GreekTicks, InstrumentRow, Portfolio, Position, RiskArrays, Ticks};
use std::sync::Arc;

/// The margin of one account: exact, requirements rounded up, equity down. Errors are about this account alone.
///
/// ```
/// use plimsoll_margin::{Aggregation, Mode, OrderMethod, OrderTerms, Params, evaluate};
/// use plimsoll_types::*;
/// // One future on an index of 100.00 that gains or loses 10.00 per lot, in ticks of a cent.
/// let column = |label: &str, pair| ScenarioColumn { label: label.into(), weight: Ppb::ONE, spot: vec![Ppb(0)], pair };
/// let arrays = RiskArrays {
///     as_of: "2026-01-01T00:00:00Z".parse()?,
///     currency: "USD".parse()?,
///     ticks_per_unit: 100,
///     underlyings: vec![UnderlyingRow {
///         asset: "BTC".parse()?, index: 10_000, confidence: Ppb::ZERO, price_scan: Ppb(100_000_000),
///     }],
///     instruments: vec![InstrumentRow {
///         instrument: "BTC_USDC-27MAR26".parse()?, underlying: UnderlyingIx(0), lot: Decimal::ONE, mark: 0,
///         notional: 10_000, greeks: GreekTicks { delta: 10_000, ..GreekTicks::default() },
///         composite_delta: Ppb::ONE, seconds_to_expiry: Some(7_344_000), funding_8h: 0,
///         reference: 10_000, open_interest: None,
///     }],
///     scenarios: vec![column("up", 0), column("down", 1)],
///     blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..2 }],
///     pnl: vec![1_000, -1_000],
///     assets: vec![],
/// };
/// let portfolio = Portfolio {
///     account: "alice".parse()?,
///     positions: vec![Position { instrument: InstrumentIx(0), lots: Lots(-3), unrealised: Ticks(0) }],
///     collateral: vec![],
///     orders: vec![],
/// };
/// let params = Params {
///     mode: Mode::Portfolio, aggregation: Aggregation::Sum, joint: None, im_scale: Ppb(1_200_000_000),
///     mm_scale: Ppb::ONE, rounding_guard: false, fixed: None,
///     orders: OrderTerms { method: OrderMethod::Bound, in_mm: false },
///     collateral: Default::default(), addons: Default::default(),
/// };
/// let report = evaluate(&portfolio, &arrays, &params)?;
/// assert_eq!((report.im, report.mm), (Ticks(3_600), Ticks(3_000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn evaluate(
    portfolio: &Portfolio,
    arrays: &RiskArrays,
    params: &Params,
) -> Result<MarginReport, MarginError> {
    AccountState::new(portfolio.clone(), arrays)?.report(params)
}

/// The margin of every account of a book, in its order. An account that fails does so alone.
pub fn evaluate_book(
    book: &Book,
    arrays: &RiskArrays,
    params: &Params,
) -> Vec<Result<MarginReport, MarginError>> {
    reports(book, arrays, params).collect()
}

/// As [`evaluate_book`], one account at a time: holds one report in memory.
pub fn reports<'a>(
    book: &'a Book,
    arrays: &'a RiskArrays,
    params: &'a Params,
) -> impl Iterator<Item = Result<MarginReport, MarginError>> + 'a {
    book.iter().map(move |portfolio| AccountState::new(portfolio, arrays)?.report(params))
}

/// The margin before and after trades at the mark: equity is the same, a trade costs one row.
pub fn what_if(
    portfolio: &Portfolio,
    trades: &[Trade],
    arrays: &RiskArrays,
    params: &Params,
) -> Result<WhatIf, MarginError> {
    let mut state = AccountState::new(portfolio.clone(), arrays)?;
    let before = state.report(params)?;
    for trade in trades {
        state.trade(trade)?;
    }
    Ok(WhatIf { before, after: state.report(params)? })
}

pub(crate) fn report(state: &AccountState, params: &Params) -> Result<MarginReport, MarginError> {
    if params.mode == Mode::Isolated
        && let Some(report) = report_isolated(state, params)?
    {
        return Ok(report);
    }
    report_as(state, params, params.mode)
}

fn report_as(state: &AccountState, params: &Params, mode: Mode) -> Result<MarginReport, MarginError> {
    let portfolio = &state.portfolio;
    let exact = Exact { account: &portfolio.account };
    let held = collateral(portfolio.collateral.iter(), state.arrays, params, exact)?;
    let view = view_of(state, params, mode, &held);
    let parts = requirement(view)?;
    let orders = worst_fills(state, view, &parts)?;
    assemble(view, parts, orders)
}

/// All of an account as one view, under a mode and with collateral of its own.
pub(crate) fn view_of<'a>(
    state: &'a AccountState,
    params: &'a Params,
    mode: Mode,
    collateral: &'a [CollateralReport],
) -> View<'a> {
    View {
        arrays: state.arrays,
        params,
        mode,
        exact: Exact { account: &state.portfolio.account },
        positions: &state.portfolio.positions,
        slots: &state.slots,
        pessimistic: &[],
        collateral,
    }
}

/// The report of a view from its requirement and what its orders add.
pub(crate) fn assemble(view: View, parts: Parts, orders: OrdersReport) -> Result<MarginReport, MarginError> {
    let exact = view.exact;
    let (marks, unrealised) = positions_value(view.positions, view.arrays, exact)?;
    let counted = exact.sum(view.collateral.iter().map(|c| c.counted.0), "collateral")?;
    let equity = exact.sum([counted, marks, unrealised], "equity")?;
    let im = exact.add(parts.total.im.0, orders.extra.im.0, "initial margin")?;
    let mm = exact.add(parts.total.mm.0, orders.extra.mm.0, "maintenance margin")?;
    let im_excess = Ticks(exact.sub(equity, im, "excess")?);
    let mm_excess = Ticks(exact.sub(equity, mm, "excess")?);
    let mut room = Vec::with_capacity(view.positions.len());
    let each = view.slots.iter().zip(&parts.scans);
    let underlyings = each.map(|(slot, scan)| underlying(view, slot, scan, &mut room));
    Ok(MarginReport {
        account: exact.account.clone(),
        mode: view.mode,
        im: Ticks(im),
        mm: Ticks(mm),
        equity: Ticks(equity),
        im_excess,
        mm_excess,
        state: State::of(im_excess, mm_excess),
        netting_benefit: Ticks(netting_benefit(view, &parts)?),
        underlyings: underlyings.collect::<Result<_, _>>()?,
        aggregate: parts.aggregate,
        base: parts.base,
        im_detail: parts.im_detail,
        mm_detail: parts.mm_detail,
        guard: parts.guard,
        addons: parts.addons,
        premium_relief: parts.relief,
        orders,
        marks: Ticks(marks),
        unrealised: Ticks(unrealised),
        collateral: view.collateral.to_vec(),
        isolated: Vec::new(),
        span: parts.span,
        venue: parts.venue,
    })
}

/// Standalone losses minus the aggregate; 0 in mode fixed, which nets nothing and may have no scenarios.
fn netting_benefit(view: View, parts: &Parts) -> Result<i128, MarginError> {
    if view.mode == Mode::Fixed {
        return Ok(0);
    }
    if let Aggregation::Venue(venue) = &view.params.aggregation {
        return crate::venue::netting_benefit(view, venue);
    }
    let alone = standalone_sum(view, Measure::Im)?;
    view.exact.sub(alone, parts.aggregate.im.0, "netting benefit")
}

/// A position with its row.
type Held<'a> = (Position, &'a InstrumentRow);

/// `held` is room for the positions on the underlying.
fn underlying<'a>(
    view: View<'a>,
    slot: &Slot,
    scan: &Scan,
    held: &mut Vec<Held<'a>>,
) -> Result<UnderlyingReport, MarginError> {
    let own = |p: &Position| {
        let row = view.arrays.instrument(p.instrument)?;
        (row.underlying.index() == slot.underlying).then_some((*p, row))
    };
    held.clear();
    held.extend(view.positions.iter().filter_map(own));
    Ok(UnderlyingReport {
        index: slot.underlying,
        asset: view.arrays.underlyings[slot.underlying].asset.clone(),
        scan_loss: Ticks(scan.im.0),
        worst: scan.im.1,
        mm_scan_loss: Ticks(scan.mm.0),
        mm_worst: scan.mm.1,
        pnl: Arc::clone(&slot.pnl),
        contributions: scan.im.1.map_or_else(Vec::new, |column| contributions(view, held, column)),
        greeks: greeks(view, held)?,
    })
}

/// What each position adds in a column, largest loss first.
fn contributions(view: View, held: &[Held], column: usize) -> Vec<Contribution> {
    let of = |(position, _): &Held| {
        let entry = view.arrays.row(position.instrument).get(column).copied().unwrap_or(0);
        let pnl = Ticks(i128::from(position.lots.0) * i128::from(entry));
        Contribution { instrument: position.instrument, lots: position.lots, pnl }
    };
    let mut all: Vec<Contribution> = held.iter().map(of).collect();
    all.sort_by_key(|contribution| (contribution.pnl, contribution.instrument));
    all
}

fn greeks(view: View, held: &[Held]) -> Result<GreekSums, MarginError> {
    let sum = |read: fn(&GreekTicks) -> i64| {
        let terms =
            held.iter().map(|(position, row)| i128::from(position.lots.0) * i128::from(read(&row.greeks)));
        view.exact.sum(terms, "a sum of Greeks").map(Ticks)
    };
    Ok(GreekSums {
        delta: sum(|g| g.delta)?,
        gamma: sum(|g| g.gamma)?,
        vega: sum(|g| g.vega)?,
        theta: sum(|g| g.theta)?,
        rho: sum(|g| g.rho)?,
        vanna: sum(|g| g.vanna)?,
        volga: sum(|g| g.volga)?,
    })
}
