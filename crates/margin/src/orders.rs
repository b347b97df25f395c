//! Open orders: the worst of what may have filled before anyone looks again.
//!
//! A fill adds lots, and loses what the order's price gives away against the mark. An order far on the other side of the
//! market gains nothing: nobody is bound to fill it, and before it fills there is no money. So each case counts
//! `requirement - sum of min(0, edge)`.
//!
//! The bound takes, in every scenario, each order as filled exactly when that hurts there; every aggregate but SPAN's
//! and expected shortfall never falls when a profit falls, so the bound is never beneath the scenario loss of any
//! subset. Expected shortfall can fall, as ties at value at risk widen the tail it is the mean of; the bound takes the
//! mean over the narrowest tail instead ([`Statistic::TailMean`]), which never falls and is never below it. Charges that
//! are not scenario losses are taken at their largest over the cases none, bids, asks, delta up and delta down. SPAN has
//! no such bound (its spread charges are not monotone): it takes the worst of the five cases, or the exact search.

use crate::account::AccountState;
use crate::money::Exact;
use crate::requirement::{Parts, View, add_hurting, requirement};
use crate::{
    AddonKind, Aggregation, JointTerms, MarginError, Mode, OrderCase, OrderCaseMargin, OrderMethod,
    OrdersReport, Params, Requirement, Statistic,
};
use plimsoll_types::{Asset, Lots, Order, Ticks};
use std::collections::BTreeMap;

/// The largest number of orders that is ever searched exactly: 65,536 subsets.
pub(crate) const EXACT_ORDERS_MAX: u32 = 16;

/// What the orders of an account add to the requirement `without` them.
pub(crate) fn worst_fills(
    state: &AccountState,
    view: View,
    without: &Parts,
) -> Result<OrdersReport, MarginError> {
    let orders = &state.portfolio.orders;
    if orders.is_empty() {
        return Ok(OrdersReport::default());
    }
    let mut cases = vec![OrderCaseMargin { case: OrderCase::None, margin: without.total }];
    let exact_max = match view.params.orders.method {
        OrderMethod::Exact { max_orders } => max_orders.min(EXACT_ORDERS_MAX),
        OrderMethod::Bound => 0,
    };
    if u32::try_from(orders.len()).is_ok_and(|n| n <= exact_max) {
        every_subset(state, view, &mut cases)?;
    } else {
        named_cases(state, view, without, &mut cases)?;
    }
    conclude(view, without, cases)
}

fn conclude(view: View, without: &Parts, cases: Vec<OrderCaseMargin>) -> Result<OrdersReport, MarginError> {
    let worst = |read: fn(&OrderCaseMargin) -> i128| {
        let mut best = 0;
        for (i, case) in cases.iter().enumerate() {
            if cases.get(best).is_none_or(|most| read(case) > read(most)) {
                best = i;
            }
        }
        (best, cases.get(best).map_or(0, read))
    };
    let (im_case, im) = worst(|case| case.margin.im.0);
    let (mm_case, mm) = worst(|case| case.margin.mm.0);
    let what = "the margin of open orders";
    let im = view.exact.sub(im, without.total.im.0, what)?;
    let mm = view.exact.sub(mm, without.total.mm.0, what)?;
    let in_mm = view.params.orders.in_mm;
    Ok(OrdersReport {
        im_case: Some(im_case),
        mm_case: in_mm.then_some(mm_case),
        extra: Requirement { im: Ticks(im), mm: Ticks(if in_mm { mm } else { 0 }) },
        cases,
    })
}

/// What a fill loses against the mark, as a number <= 0. A price better than the mark is not money before it is paid.
fn given_up(order: &Order) -> i128 {
    order.edge.0.min(0)
}

/// The parts of the requirement after the chosen orders filled, and what the fills lost, <= 0.
fn filled(
    state: &AccountState,
    view: View,
    chosen: impl Fn(usize, &Order) -> bool,
) -> Result<(Parts, i128), MarginError> {
    let mut after = state.clone();
    let mut edge = 0;
    for (i, order) in state.portfolio.orders.iter().enumerate() {
        if chosen(i, order) {
            after.fill(order.instrument, order.lots, 0)?;
            edge = view.exact.add(edge, given_up(order), "the edge of open orders")?;
        }
    }
    let view = View { positions: &after.portfolio.positions, slots: &after.slots, ..view };
    Ok((requirement(view)?, edge))
}

fn net(total: Requirement, edge: i128, exact: Exact) -> Result<Requirement, MarginError> {
    let what = "the margin of open orders";
    Ok(Requirement {
        im: Ticks(exact.sub(total.im.0, edge, what)?),
        mm: Ticks(exact.sub(total.mm.0, edge, what)?),
    })
}

/// Every subset but the empty one; keeps only those that are the worst so far.
fn every_subset(
    state: &AccountState,
    view: View,
    cases: &mut Vec<OrderCaseMargin>,
) -> Result<(), MarginError> {
    let count = state.portfolio.orders.len();
    let mut most = cases.first().map_or(Requirement::default(), |case| case.margin);
    for mask in 1_u32..1 << count {
        let (parts, edge) = filled(state, view, |i, _| mask >> i & 1 == 1)?;
        let margin = net(parts.total, edge, view.exact)?;
        if margin.im > most.im || margin.mm > most.mm {
            most = Requirement { im: most.im.max(margin.im), mm: most.mm.max(margin.mm) };
            let subset = (0..count).filter(|i| mask >> i & 1 == 1).collect();
            cases.push(OrderCaseMargin { case: OrderCase::Subset(subset), margin });
        }
    }
    Ok(())
}

/// Bids, asks, what raises and what lowers delta, and the bound over all subsets.
fn named_cases(
    state: &AccountState,
    view: View,
    without: &Parts,
    cases: &mut Vec<OrderCaseMargin>,
) -> Result<(), MarginError> {
    let delta = |order: &Order| {
        let row = view.arrays.instrument(order.instrument);
        row.map_or(0, |row| i128::from(order.lots.0) * i128::from(row.greeks.delta))
    };
    let fills = |case: &OrderCase, order: &Order| match case {
        OrderCase::Bids => order.lots.0 > 0,
        OrderCase::Asks => order.lots.0 < 0,
        OrderCase::DeltaUp => delta(order) > 0,
        OrderCase::DeltaDown => delta(order) < 0,
        OrderCase::None | OrderCase::Bound | OrderCase::Subset(_) => false,
    };
    let mut charges = Charges::default();
    charges.raise(without);
    for case in [OrderCase::Bids, OrderCase::Asks, OrderCase::DeltaUp, OrderCase::DeltaDown] {
        let (parts, edge) = filled(state, view, |_, order| fills(&case, order))?;
        charges.raise(&parts);
        cases.push(OrderCaseMargin { case, margin: net(parts.total, edge, view.exact)? });
    }
    let charges = charges.sum(view)?;
    let span = matches!(view.params.aggregation, Aggregation::Span(_) | Aggregation::Venue(_));
    if !span || matches!(view.mode, Mode::Cross | Mode::Fixed) {
        cases.push(OrderCaseMargin { case: OrderCase::Bound, margin: bound(state, view, charges)? });
    }
    Ok(())
}

/// The largest add-on of every kind and asset over several cases, and the smallest relief of long options.
#[derive(Default)]
struct Charges {
    addons: BTreeMap<(AddonKind, Asset), (i128, i128)>,
    relief: Option<(i128, i128)>,
}

impl Charges {
    fn raise(&mut self, parts: &Parts) {
        for addon in &parts.addons {
            let most = self.addons.entry((addon.kind, addon.asset.clone())).or_default();
            *most = (most.0.max(addon.im.0), most.1.max(addon.mm.0));
        }
        let relief = (parts.relief.im.0, parts.relief.mm.0);
        self.relief =
            Some(self.relief.map_or(relief, |least| (least.0.min(relief.0), least.1.min(relief.1))));
    }

    fn sum(&self, view: View) -> Result<(i128, i128), MarginError> {
        let im = view.exact.sum(self.addons.values().map(|most| most.0), "the sum of add-ons")?;
        let mm = view.exact.sum(self.addons.values().map(|most| most.1), "the sum of add-ons")?;
        let relief = self.relief.unwrap_or_default();
        let im = view.exact.sub(im, relief.0, "add-ons after relief")?;
        let mm = view.exact.sub(mm, relief.1, "add-ons after relief")?;
        Ok((im.max(0), mm.max(0)))
    }
}

/// The bound over all subsets: pessimistic scenario vectors, the largest charges, and every loss on a fill.
fn bound(state: &AccountState, view: View, charges: (i128, i128)) -> Result<Requirement, MarginError> {
    let orders = &state.portfolio.orders;
    let mut all = state.clone();
    // A fill of no lots makes the order's instrument a position, so that it is looked at.
    for order in orders {
        all.fill(order.instrument, Lots(0), 0)?;
    }
    let mut slots = all.slots.clone();
    for order in orders {
        let underlying = crate::account::underlying_of(view.arrays, order.instrument);
        if let Some(slot) = slots.iter_mut().find(|slot| Some(slot.underlying) == underlying) {
            let row = view.arrays.row(order.instrument);
            slot.change(view.arrays, |pnl| add_hurting(pnl, row, order.lots, view.exact))?;
        }
    }
    let view = View { positions: &all.portfolio.positions, slots: &slots, pessimistic: orders, ..view };
    let bare = monotone(Params { addons: crate::Addons::default(), ..view.params.clone() });
    let mut parts = requirement(View { params: &bare, collateral: &[], ..view })?;
    let losses = view.exact.sum(orders.iter().map(given_up), "the edge of open orders")?;
    parts.add_charges(view, charges)?;
    net(parts.total, losses, view.exact)
}

/// The parameters with expected shortfall replaced by the mean over the narrowest tail, which a smaller profit never
/// lowers.
fn monotone(params: Params) -> Params {
    let risen = |terms: JointTerms| match terms.statistic {
        Statistic::ExpectedShortfall => JointTerms { statistic: Statistic::TailMean, ..terms },
        Statistic::Worst | Statistic::ValueAtRisk | Statistic::TailMean => terms,
    };
    let aggregation = match params.aggregation {
        Aggregation::Joint(terms) => Aggregation::Joint(risen(terms)),
        other => other,
    };
    Params { aggregation, joint: params.joint.map(risen), ..params }
}
