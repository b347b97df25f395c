//! Isolated margin: every position on its own collateral.
//!
//! A position has the collateral set aside for it, its mark and its profit, and a part of what is set aside for none.
//! That free part goes where it is needed: first to what positions lack of maintenance margin, then to what they lack of
//! initial margin, then to what their open orders need, and what is left in proportion to initial margin. So no position
//! is liquidated while the free part could have kept them all, nor because an order was sent. A debt set aside for none
//! is borne in the opposite order. What belongs to one position, profit included, never serves another.
//!
//! Requirements are those of the position alone, but what grows faster than size is found for the account and divided:
//! haircuts on all it holds of an asset, the cost of closing on all positions of an underlying on one side of the market.
//! The account's excess is the least of its positions': the first to be liquidated decides.

use crate::account::AccountState;
use crate::charges::{Held, of_underlying};
use crate::collateral_charges::{limit, of_collateral};
use crate::equity::{collateral, debt};
use crate::evaluate::{assemble, view_of};
use crate::free_pool::{Needs, distribute};
use crate::money::{Exact, split};
use crate::orders::worst_fills;
use crate::requirement::{Parts, View, is_long, limited_value, requirement};
use crate::wrong_way::wrong_way;
use crate::{
    Addon, AddonKind, Addons, CollateralReport, Input, IsolatedPosition, MarginError, MarginReport, Mode,
    Params, Requirement,
};
use plimsoll_types::{Asset, Holding, InstrumentIx, InstrumentRow, Lots, Portfolio, Position, Ticks};
use std::collections::{BTreeMap, BTreeSet};

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
    let mut held = collateral_by_earmark(state, params, exact)?;
    let mut closing = closing_costs(state, params, exact)?;
    let mut alone = Vec::with_capacity(named.len());
    for instrument in named {
        let held = held.remove(&Some(instrument)).unwrap_or_default();
        let cost = closing.remove(&instrument).unwrap_or_default();
        alone.push((instrument, report_alone(state, instrument, params, (&held, cost))?));
    }
    let Some((_, first)) = alone.first() else { return Ok(None) };
    let first = first.clone();
    let pool = held.remove(&None).unwrap_or_default();
    let charges = charges_on_pool(state, params, &alone, &pool)?;
    let positions = share(&alone, &pool, &charges, all, exact)?;
    merge(first, alone, (pool, charges), positions, exact).map(Some)
}

/// The report of one position on the collateral set aside for it, with its part of the account's cost of closing. What its
/// orders add is found on the cost of closing the position alone: a fill does not raise the parts of the others.
fn report_alone(
    state: &AccountState,
    instrument: InstrumentIx,
    params: &Params,
    (held, cost): (&[CollateralReport], Vec<Addon>),
) -> Result<MarginReport, MarginError> {
    let sub = AccountState::new(only(&state.portfolio, instrument), state.arrays)?;
    let view = view_of(&sub, params, Mode::Portfolio, held);
    let mut parts = requirement(view)?;
    let orders = worst_fills(&sub, view, &parts)?;
    replace_closing_cost(view, &mut parts, cost)?;
    assemble(view, parts, orders)
}

/// Collateral by what it is set aside for, `None` being the free part. The haircut on what the account holds of an asset
/// is divided by amount, rounded up: dividing a holding does not escape its tiers. A debt has its own and does not
/// lower that of another part.
fn collateral_by_earmark(
    state: &AccountState,
    params: &Params,
    exact: Exact,
) -> Result<BTreeMap<Option<InstrumentIx>, Vec<CollateralReport>>, MarginError> {
    let holdings = &state.portfolio.collateral;
    let mut groups = BTreeMap::new();
    let mut totals: BTreeMap<Asset, Holding> = BTreeMap::new();
    for earmark in holdings.iter().map(|h| h.earmark).collect::<BTreeSet<_>>() {
        let own = holdings.iter().filter(|h| h.earmark == earmark);
        let reports = collateral(own, state.arrays, params, exact)?;
        for held in reports.iter().filter(|held| held.amount_nano > 0) {
            let none = Holding { asset: held.asset.clone(), amount_nano: 0, earmark: None };
            let total = totals.entry(held.asset.clone()).or_insert(none);
            total.amount_nano = exact.add(total.amount_nano, held.amount_nano, "collateral")?;
        }
        groups.insert(earmark, reports);
    }
    let totals = collateral(totals.values(), state.arrays, params, exact)?;
    for held in groups.values_mut().flatten().filter(|held| held.amount_nano > 0) {
        let Some(total) = totals.iter().find(|total| total.asset == held.asset) else { continue };
        let part = exact.ratio_up(total.haircut.0, held.amount_nano, total.amount_nano, "a haircut")?;
        held.haircut = Ticks(part.min(held.value.0));
        held.counted = Ticks(held.value.0 - held.haircut.0);
    }
    Ok(groups)
}

/// The cost of closing every position: that of all positions of its underlying on its side of the market (of delta, and
/// of vega), divided by size and rounded up. The cost grows faster than size, so no part is below that of the position
/// alone, and a position divided over expiries costs what it does in one. Opposite sides neither add up nor net.
fn closing_costs(
    state: &AccountState,
    params: &Params,
    exact: Exact,
) -> Result<BTreeMap<InstrumentIx, Vec<Addon>>, MarginError> {
    let addons = Addons { liquidity: params.addons.liquidity.clone(), ..Addons::default() };
    let only_closing = Params { addons, ..params.clone() };
    let mut costs: BTreeMap<InstrumentIx, Vec<Addon>> = BTreeMap::new();
    let delta: fn(&InstrumentRow) -> i64 = |row| row.greeks.delta;
    let vega: fn(&InstrumentRow) -> i64 = |row| row.greeks.vega;
    for slot in &state.slots {
        for (kind, read) in [(AddonKind::Liquidity, delta), (AddonKind::VegaLiquidity, vega)] {
            for sign in [1, -1] {
                let side = one_side(state, slot.underlying, read, sign);
                let positions: Vec<Position> = side.iter().map(|(position, _)| *position).collect();
                let held = Held::of(state.arrays, &positions, slot.underlying, exact)?;
                let mut charges = Vec::new();
                of_underlying(&held, &only_closing, true, exact, &mut charges)?;
                let Some(whole) = charges.into_iter().find(|charge| charge.kind == kind) else { continue };
                divide(&whole, &side, &mut costs, exact)?;
            }
        }
    }
    Ok(costs)
}

/// The positions of an underlying whose delta or vega has a sign, with its size.
fn one_side(
    state: &AccountState,
    underlying: usize,
    read: fn(&InstrumentRow) -> i64,
    sign: i128,
) -> Vec<(Position, i128)> {
    let sized = state.portfolio.positions.iter().filter_map(|position| {
        let row = state.arrays.instrument(position.instrument)?;
        let size = sign * i128::from(position.lots.0) * i128::from(read(row));
        (row.underlying.index() == underlying && size > 0).then_some((*position, size))
    });
    sized.collect()
}

/// Divides a charge by size, each part rounded up.
fn divide(
    whole: &Addon,
    side: &[(Position, i128)],
    costs: &mut BTreeMap<InstrumentIx, Vec<Addon>>,
    exact: Exact,
) -> Result<(), MarginError> {
    let what = "the cost of closing";
    let sum = exact.sum(side.iter().map(|(_, size)| *size), what)?;
    for (position, size) in side {
        let im = Ticks(exact.ratio_up(whole.im.0, *size, sum, what)?);
        let mm = Ticks(exact.ratio_up(whole.mm.0, *size, sum, what)?);
        let mut part = Addon { im, mm, ..whole.clone() };
        part.inputs.push(("of_this_position".into(), Input::Money(Ticks(*size))));
        costs.entry(position.instrument).or_default().push(part);
    }
    Ok(())
}

/// Puts a position's part of the account's cost of closing in the place of its own, which is not above it. Relief keeps
/// what it holds down: a long never costs more than its mark and what it owes.
fn replace_closing_cost(view: View, parts: &mut Parts, cost: Vec<Addon>) -> Result<(), MarginError> {
    let (exact, what) = (view.exact, "the cost of closing");
    let closing = |kind| matches!(kind, AddonKind::Liquidity | AddonKind::VegaLiquidity);
    let own = || parts.addons.iter().filter(|a| closing(a.kind));
    let rise = |read: fn(&Addon) -> i128| {
        let before = exact.sum(own().map(read), what)?;
        exact.sub(exact.sum(cost.iter().map(read), what)?, before, what)
    };
    let (im, mm) = (rise(|a| a.im.0)?, rise(|a| a.mm.0)?);
    let most = match limited_value(view)? {
        Some(value) => Some(exact.add(value, debt(view.collateral, view.positions, exact)?, what)?),
        None => None,
    };
    let raise = |total: &mut Ticks, relief: &mut Ticks, rise: i128| -> Result<(), MarginError> {
        let raised = exact.add(total.0, rise, what)?;
        let kept = if relief.0 > 0 { total.0 } else { most.map_or(raised, |m| raised.min(m.max(total.0))) };
        (relief.0, total.0) = (exact.add(relief.0, raised - kept, what)?, kept);
        Ok(())
    };
    raise(&mut parts.total.im, &mut parts.relief.im, im)?;
    raise(&mut parts.total.mm, &mut parts.relief.mm, mm)?;
    parts.addons.retain(|a| !closing(a.kind));
    parts.addons.extend(cost);
    Ok(())
}

/// The charges on the free collateral: wrong way by what the positions lose one by one, the others at most what it
/// secures. Long options and long spot lose their own marks and need none of it.
fn charges_on_pool(
    state: &AccountState,
    params: &Params,
    alone: &[(InstrumentIx, MarginReport)],
    pool: &[CollateralReport],
) -> Result<Vec<Addon>, MarginError> {
    let view = view_of(state, params, Mode::Isolated, pool);
    let what = "what the collateral secures";
    let owed = debt(pool, view.positions, view.exact)?;
    let mut charges = wrong_way(view)?;
    let others = of_collateral(pool, &charges, view.arrays, params, view.exact)?;
    let sum = |of: fn(&MarginReport) -> i128, charge: fn(&Addon) -> i128| {
        let long = |ix| view.positions.iter().any(|p| p.instrument == ix && is_long(view.arrays, p));
        let reports = alone.iter().filter(|(ix, _)| !long(*ix)).map(|(_, r)| of(r));
        view.exact.sum(reports.chain(charges.iter().map(charge)).chain([owed]), what)
    };
    let im = sum(|r| r.im.0 - r.orders.extra.im.0, |a| a.im.0)?;
    let mm = sum(|r| r.mm.0 - r.orders.extra.mm.0, |a| a.mm.0)?;
    charges.extend(limit(others, (im, mm)));
    Ok(charges)
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

/// Each position with its part of the free collateral and of the charges on it.
///
/// The free part is divided in three, so that its charges fall where it goes: what counts in both requirements, what
/// counts in maintenance margin only (charged in initial margin), and what counts in neither.
fn share(
    alone: &[(InstrumentIx, MarginReport)],
    pool: &[CollateralReport],
    charges: &[Addon],
    all: &Portfolio,
    exact: Exact,
) -> Result<Vec<IsolatedPosition>, MarginError> {
    let counted = exact.sum(pool.iter().map(|c| c.counted.0), "collateral")?;
    let im = exact.sum(charges.iter().map(|a| a.im.0), "add-ons")?;
    let mm = exact.sum(charges.iter().map(|a| a.mm.0), "add-ons")?;
    let mut needs: Vec<Needs> = alone.iter().map(|(_, report)| Needs::of(report)).collect();
    distribute(exact.sub(counted, im, "collateral")?, &mut needs, exact)?;
    let sound: Vec<i128> = needs.iter().map(|n| n.equity).collect();
    distribute(exact.sub(im, mm, "add-ons")?, &mut needs, exact)?;
    let charged = split(mm, &needs.iter().map(|n| n.weight).collect::<Vec<_>>(), exact)?;
    let position = |(i, (instrument, report)): (usize, &(InstrumentIx, MarginReport))| {
        let lots = all.positions.iter().find(|p| p.instrument == *instrument).map_or(Lots(0), |p| p.lots);
        let in_im = needs[i].equity - sound[i];
        let im = exact.sum([report.im.0, in_im, charged[i]], "initial margin")?;
        let mm = exact.add(report.mm.0, charged[i], "maintenance margin")?;
        let equity = exact.add(needs[i].equity, charged[i], "equity")?;
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
    whole.state = crate::State::of(whole.im_excess, whole.mm_excess);
    whole.isolated = positions;
    Ok(whole)
}
