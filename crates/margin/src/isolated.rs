//! Isolated margin: every position on its own collateral.
//!
//! A position has the collateral set aside for it, its mark and its profit, and a share of what is set aside for none,
//! in proportion to initial margin (equal shares when no position needs any). Requirements are those of the position
//! alone. The account's excess is the least of its positions': the first to be liquidated decides.

use crate::account::AccountState;
use crate::collateral_charges::of_collateral;
use crate::equity::collateral;
use crate::evaluate::report_as;
use crate::money::Exact;
use crate::requirement::{View, limited_value};
use crate::{
    Addon, CollateralReport, IsolatedPosition, MarginError, MarginReport, Mode, Params, Requirement,
};
use plimsoll_types::{Holding, InstrumentIx, Lots, Portfolio, Position, Ticks};
use std::collections::BTreeSet;

/// The report of an isolated account; `None` when it holds and orders nothing, and so has nothing to isolate.
pub(crate) fn report_isolated(
    state: &AccountState,
    params: &Params,
) -> Result<Option<MarginReport>, MarginError> {
    let all = &state.portfolio;
    let exact = Exact { account: &all.account };
    let named: BTreeSet<InstrumentIx> = all
        .positions
        .iter()
        .map(|p| p.instrument)
        .chain(all.orders.iter().map(|o| o.instrument))
        .chain(all.collateral.iter().filter_map(|h| h.earmark))
        .collect();
    let mut alone = Vec::with_capacity(named.len());
    for instrument in named {
        let sub = AccountState::new(only(all, instrument), state.arrays)?;
        alone.push((instrument, report_as(&sub, params, Mode::Portfolio)?));
    }
    let Some((_, first)) = alone.first() else { return Ok(None) };
    let first = first.clone();
    let free: Vec<&Holding> = all.collateral.iter().filter(|h| h.earmark.is_none()).collect();
    let pool = collateral(free.into_iter(), state.arrays, params, exact)?;
    let columns: Vec<usize> =
        alone.iter().flat_map(|(_, r)| r.underlyings.iter().filter_map(|u| u.worst)).collect();
    let mut charges = of_collateral(&pool, &columns, state.arrays, params, exact)?;
    if limited_value(whole(state, params, &pool))?.is_some() && pool.iter().all(|held| held.counted.0 >= 0) {
        // Nothing is owed that the collateral could be needed for.
        charges.clear();
    }
    let positions = share(&alone, &pool, &charges, all, exact)?;
    merge(first, alone, (pool, charges), positions, exact).map(Some)
}

/// The whole account as one view.
fn whole<'a>(state: &'a AccountState, params: &'a Params, pool: &'a [CollateralReport]) -> View<'a> {
    View {
        arrays: state.arrays,
        params,
        mode: Mode::Isolated,
        exact: Exact { account: &state.portfolio.account },
        positions: &state.portfolio.positions,
        slots: &state.slots,
        pessimistic: &[],
        collateral: pool,
    }
}

/// The part of a portfolio that is about one instrument.
fn only(all: &Portfolio, instrument: InstrumentIx) -> Portfolio {
    let empty = Position { instrument, lots: Lots(0), unrealised: Ticks(0) };
    let held = all.positions.iter().find(|p| p.instrument == instrument).copied();
    Portfolio {
        account: all.account.clone(),
        positions: vec![held.unwrap_or(empty)],
        collateral: all.collateral.iter().filter(|h| h.earmark == Some(instrument)).cloned().collect(),
        orders: all.orders.iter().filter(|o| o.instrument == instrument).copied().collect(),
    }
}

/// Splits a total by cumulative weights, so that the parts add up to it exactly.
fn split(total: i128, weights: &[i128], exact: Exact) -> Result<Vec<i128>, MarginError> {
    let what = "the share of collateral";
    let all = exact.sum(weights.iter().copied(), what)?;
    let (mut given, mut passed, mut parts) = (0, 0, Vec::with_capacity(weights.len()));
    for weight in weights {
        passed += weight;
        let upto = exact.ratio_down(total, passed, all, what)?;
        parts.push(upto - given);
        given = upto;
    }
    Ok(parts)
}

/// Each position with its share of the free collateral and of the charges on it.
fn share(
    alone: &[(InstrumentIx, MarginReport)],
    pool: &[CollateralReport],
    charges: &[Addon],
    all: &Portfolio,
    exact: Exact,
) -> Result<Vec<IsolatedPosition>, MarginError> {
    let mut weights: Vec<i128> = alone.iter().map(|(_, r)| r.im.0).collect();
    if weights.iter().all(|w| *w == 0) {
        weights.fill(1);
    }
    let counted = exact.sum(pool.iter().map(|c| c.counted.0), "collateral")?;
    let counted = split(counted, &weights, exact)?;
    let im = split(exact.sum(charges.iter().map(|a| a.im.0), "add-ons")?, &weights, exact)?;
    let mm = split(exact.sum(charges.iter().map(|a| a.mm.0), "add-ons")?, &weights, exact)?;
    let position = |(i, (instrument, report)): (usize, &(InstrumentIx, MarginReport))| {
        let lots = all.positions.iter().find(|p| p.instrument == *instrument).map_or(Lots(0), |p| p.lots);
        let im = exact.add(report.im.0, im[i], "initial margin")?;
        let mm = exact.add(report.mm.0, mm[i], "maintenance margin")?;
        let equity = exact.add(report.equity.0, counted[i], "equity")?;
        Ok(IsolatedPosition {
            instrument: *instrument,
            lots,
            im: Ticks(im),
            mm: Ticks(mm),
            equity: Ticks(equity),
            im_excess: Ticks(exact.sub(equity, im, "excess")?),
            mm_excess: Ticks(exact.sub(equity, mm, "excess")?),
        })
    };
    alone.iter().enumerate().map(position).collect()
}

/// One report of all: sums, but for the excess.
fn merge(
    first: MarginReport,
    alone: Vec<(InstrumentIx, MarginReport)>,
    (pool, charges): (Vec<CollateralReport>, Vec<Addon>),
    positions: Vec<IsolatedPosition>,
    exact: Exact,
) -> Result<MarginReport, MarginError> {
    let mut whole = first;
    for (_, next) in alone.into_iter().skip(1) {
        let plus = |a: &mut Ticks, b: Ticks| -> Result<(), MarginError> {
            a.0 = exact.add(a.0, b.0, "the sum over positions")?;
            Ok(())
        };
        let both = |a: &mut Requirement, b: Requirement| plus(&mut a.im, b.im).and(plus(&mut a.mm, b.mm));
        both(&mut whole.aggregate, next.aggregate)?;
        both(&mut whole.base, next.base)?;
        both(&mut whole.guard, next.guard)?;
        both(&mut whole.premium_relief, next.premium_relief)?;
        both(&mut whole.orders.extra, next.orders.extra)?;
        plus(&mut whole.marks, next.marks)?;
        plus(&mut whole.unrealised, next.unrealised)?;
        whole.addons.extend(next.addons);
        whole.collateral.extend(next.collateral);
        whole.underlyings.extend(next.underlyings);
        whole.span.extend(next.span);
        plus(&mut whole.im_detail.sum, next.im_detail.sum)?;
        plus(&mut whole.mm_detail.sum, next.mm_detail.sum)?;
    }
    whole.addons.extend(charges);
    whole.collateral.extend(pool);
    whole.orders.cases.clear();
    (whole.orders.im_case, whole.orders.mm_case) = (None, None);
    whole.mode = Mode::Isolated;
    whole.netting_benefit = Ticks(0);
    let sum = |read: fn(&IsolatedPosition) -> i128| exact.sum(positions.iter().map(read), "the account");
    (whole.im, whole.mm) = (Ticks(sum(|p| p.im.0)?), Ticks(sum(|p| p.mm.0)?));
    whole.equity = Ticks(sum(|p| p.equity.0)?);
    let least = |read: fn(&IsolatedPosition) -> Ticks| positions.iter().map(read).min().unwrap_or_default();
    (whole.im_excess, whole.mm_excess) = (least(|p| p.im_excess), least(|p| p.mm_excess));
    whole.state = crate::evaluate::state_of(whole.im_excess, whole.mm_excess);
    whole.isolated = positions;
    Ok(whole)
}
