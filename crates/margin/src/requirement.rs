//! The requirement of a set of positions: aggregate, scale, rounding guard, charges, and the relief of long options.
//!
//! `min(base + guard + charges, the same of the book without its longs + the marks of the longs)`.

use crate::account::{Slot, add_row, underlying_of};
use crate::aggregate::{Measure, Scene, aggregate, measures_agree, standalone, within};
use crate::charges::{Charged, Held, blank, of_underlying, short_options};
use crate::collateral_charges::{limit, of_collateral};
use crate::equity::{debt, positions_value};
use crate::money::{Exact, Number, ratio_up};
use crate::span::commodities;
use crate::venue::{VenueCharge, parts as venue_parts};
use crate::wrong_way::wrong_way;
use crate::{
    Addon, AddonKind, AggregateDetail, Aggregation, CollateralReport, Input, MarginError, Mode, Params,
    Requirement, ShortOptionStyle, SpanCommodityReport,
};
use plimsoll_types::{BlockKind, Contract, Lots, NANO, Order, Position, Ppb, RiskArrays, Ticks};

/// The positions a requirement is found for.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) params: &'a Params,
    pub(crate) mode: Mode,
    pub(crate) exact: Exact<'a>,
    pub(crate) positions: &'a [Position],
    pub(crate) slots: &'a [Slot],
    /// Orders that fill in a scenario exactly when that hurts there; `slots` already count them so.
    pub(crate) pessimistic: &'a [Order],
    pub(crate) collateral: &'a [CollateralReport],
}

/// The scan of one underlying for both requirements: loss and column.
#[derive(Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) im: (i128, Option<usize>),
    pub(crate) mm: (i128, Option<usize>),
}

/// A requirement in its parts.
pub(crate) struct Parts {
    pub(crate) aggregate: Requirement,
    pub(crate) base: Requirement,
    pub(crate) im_detail: AggregateDetail,
    pub(crate) mm_detail: AggregateDetail,
    pub(crate) guard: Requirement,
    pub(crate) addons: Vec<Addon>,
    pub(crate) relief: Requirement,
    pub(crate) span: Vec<SpanCommodityReport>,
    pub(crate) venue: Vec<VenueCharge>,
    pub(crate) scans: Vec<Scan>,
    pub(crate) total: Requirement,
}

impl<'a> View<'a> {
    pub(crate) fn scene(self, measure: Measure) -> Scene<'a> {
        Scene { arrays: self.arrays, params: self.params, measure, exact: self.exact }
    }
}

/// The requirement of a view, with every charge, and at most what [`relieve`] allows.
pub(crate) fn requirement(view: View) -> Result<Parts, MarginError> {
    if let Aggregation::Venue(venue) = &view.params.aggregation {
        return venue_parts(view, venue);
    }
    let debt = debt(view.collateral, view.positions, view.exact)?;
    let mut parts = charged(view, debt)?;
    relieve(view, debt, &mut parts)?;
    Ok(parts)
}

/// The requirement of a view with every charge and without relief.
fn charged(view: View, debt: i128) -> Result<Parts, MarginError> {
    let mut parts = based(view)?;
    charge(view, debt, &mut parts)?;
    Ok(parts)
}

/// What the scenarios ask, scaled, and the rounding guard.
fn based(view: View) -> Result<Parts, MarginError> {
    let scales = (scale(view, Measure::Im)?, scale(view, Measure::Mm)?);
    let (im, im_detail, span) = loss(view, Measure::Im)?;
    let same = view.mode != Mode::Fixed
        && !matches!(view.params.aggregation, Aggregation::Span(_))
        && measures_agree(view.arrays);
    let (mm, mm_detail) = if same {
        (im, im_detail.clone())
    } else {
        loss(view, Measure::Mm).map(|(mm, detail, _)| (mm, detail))?
    };
    let base = Requirement {
        im: Ticks(view.exact.scale_up(im, scales.0, "initial margin")?),
        mm: Ticks(view.exact.scale_up(mm, scales.1, "maintenance margin")?),
    };
    let guard = Requirement {
        im: Ticks(guard(view, &im_detail, scales.0)?),
        mm: Ticks(guard(view, &mm_detail, scales.1)?),
    };
    let scans = view
        .slots
        .iter()
        .map(|slot| Scan { im: slot.losses(Measure::Im).grid, mm: slot.losses(Measure::Mm).grid });
    let mut parts = Parts {
        aggregate: Requirement { im: Ticks(im), mm: Ticks(mm) },
        base,
        im_detail,
        mm_detail,
        guard,
        addons: Vec::new(),
        relief: Requirement::default(),
        span,
        venue: Vec::new(),
        scans: scans.collect(),
        total: Requirement::default(),
    };
    parts.total(view)?;
    Ok(parts)
}

/// Adds every charge. The wrong-way charge is bounded by the losses; the other charges on collateral are at most what it
/// secures: the requirement without them, and the account's debt.
fn charge(view: View, debt: i128, parts: &mut Parts) -> Result<(), MarginError> {
    let scales = (scale(view, Measure::Im)?, scale(view, Measure::Mm)?);
    parts.addons = charges(view, &parts.scans, scales, parts.base)?;
    parts.addons.extend(option_value_caps(view, &parts.span, scales)?);
    parts.total(view)?;
    let wrong = wrong_way(view)?;
    let on_collateral = of_collateral(view.collateral, &wrong, view.arrays, view.params, view.exact)?;
    parts.addons.extend(wrong);
    parts.total(view)?;
    let what = "what the collateral secures";
    let secured =
        (view.exact.add(parts.total.im.0, debt, what)?, view.exact.add(parts.total.mm.0, debt, what)?);
    parts.addons.extend(limit(on_collateral, secured));
    parts.total(view)
}

/// Free disposal: whoever holds long options and long spot may let go of them, so a requirement is never above that of
/// the rest of the book plus their marks: `min(R(all), R(rest) + V)`. What is above is taken off as relief. The bound
/// moves with the book: where a book of longs only is charged `V`, a short of one dollar adds what that short alone is
/// charged, not the charges that `V` had capped.
fn relieve(view: View, debt: i128, parts: &mut Parts) -> Result<(), MarginError> {
    let (rest, value) = without_longs(view.positions, view.arrays, view.exact)?;
    let above = parts.total.im.0.max(parts.total.mm.0) > value;
    if rest.len() == view.positions.len() || !above || bounded_already(view, parts)? {
        return Ok(());
    }
    let (what, exact) = ("the value of long options", view.exact);
    let slots = slots_without_longs(view)?;
    let view = View { positions: &rest, slots: &slots, ..view };
    let mut rest = based(view)?;
    // Charges are never negative: where the scenarios and the guard of the rest reach it, its charges need not be found.
    let reached = |total: Ticks, rest: Ticks| exact.add(rest.0, value, what).map(|least| least >= total.0);
    if reached(parts.total.im, rest.total.im)? && reached(parts.total.mm, rest.total.mm)? {
        return Ok(());
    }
    charge(view, debt, &mut rest)?;
    let most = (exact.add(rest.total.im.0, value, what)?, exact.add(rest.total.mm.0, value, what)?);
    parts.relieve_to(view, most)
}

/// The vectors without the rows of long options and long spot.
fn slots_without_longs(view: View) -> Result<Vec<Slot>, MarginError> {
    let mut slots = view.slots.to_vec();
    for slot in &mut slots {
        let underlying = Some(slot.underlying);
        let own = |p: &&Position| underlying_of(view.arrays, p.instrument) == underlying;
        let mut longs = view.positions.iter().filter(own).filter(|p| is_long(view.arrays, p)).peekable();
        if longs.peek().is_some() {
            slot.change(view.arrays, |pnl| {
                longs.try_for_each(|p| subtract_row(pnl, view.arrays.row(p.instrument), p.lots, view.exact))
            })?;
        }
    }
    Ok(slots)
}

/// Whether scenario losses are all that is charged, and by a measure that cannot break the bound, so that the second
/// pass is not needed. An entry of a long option or spot is never below minus its mark. So no scenario loses more than
/// it does without the longs plus their marks, and neither does the worst scenario of an underlying, nor a sum of those,
/// at a scale of at most 1. Charges, the guard, a scale above 1, a credit between underlyings, a joint statistic and a
/// ratio of notional are not bounded so.
fn bounded_already(view: View, parts: &Parts) -> Result<bool, MarginError> {
    let scenarios = view.mode != Mode::Fixed && !matches!(view.params.aggregation, Aggregation::Span(_));
    let scales = scale(view, Measure::Im)?.max(scale(view, Measure::Mm)?);
    let details = [&parts.im_detail, &parts.mm_detail];
    let credit = details.iter().any(|d| d.worst_state.is_some() || d.joint.is_some());
    let guarded = parts.guard != Requirement::default();
    Ok(scenarios && scales <= Ppb::ONE && !credit && !guarded && parts.addons.is_empty())
}

/// Whether a position is a long option or long spot, which loses no more than its mark.
pub(crate) fn is_long(arrays: &RiskArrays, position: &Position) -> bool {
    let limited = |contract| matches!(contract, Contract::Spot | Contract::Option { .. });
    position.lots.0 > 0
        && arrays.instrument(position.instrument).is_some_and(|row| limited(row.instrument.contract()))
}

/// The positions that are neither long options nor long spot, and the marks of those that are.
fn without_longs(
    positions: &[Position],
    arrays: &RiskArrays,
    exact: Exact,
) -> Result<(Vec<Position>, i128), MarginError> {
    let long = |p: &&Position| is_long(arrays, p);
    let (value, _) = positions_value(positions.iter().filter(long), arrays, exact)?;
    Ok((positions.iter().filter(|p| !long(p)).copied().collect(), value))
}

impl Parts {
    /// Replaces the charges by sums found elsewhere, and adds up anew. Where nothing but long options and spot is held
    /// or ordered, no more can be lost than their marks and what the collateral secures besides.
    pub(crate) fn add_charges(&mut self, view: View, (im, mm): (i128, i128)) -> Result<(), MarginError> {
        let account = view.arrays.currency.clone();
        let charge = Addon { im: Ticks(im), mm: Ticks(mm), ..blank(AddonKind::Liquidity, &account, []) };
        self.addons = vec![charge];
        self.total(view)?;
        let Some(value) = limited_value(view)? else { return Ok(()) };
        let debt = debt(view.collateral, view.positions, view.exact)?;
        let most = view.exact.add(value, debt, "the value of long options")?;
        self.relieve_to(view, (most, most))
    }

    /// Base, guard and add-ons, without relief.
    fn total(&mut self, view: View) -> Result<(), MarginError> {
        let add = |base: Ticks, guard: Ticks, read: fn(&Addon) -> i128| {
            let charges = view.exact.sum(self.addons.iter().map(read), "the sum of add-ons")?;
            view.exact.sum([base.0, guard.0, charges], "the requirement").map(Ticks)
        };
        let im = add(self.base.im, self.guard.im, |a| a.im.0)?;
        let mm = add(self.base.mm, self.guard.mm, |a| a.mm.0)?;
        self.relief = Requirement::default();
        self.total = Requirement { im, mm };
        Ok(())
    }

    /// Takes off what is above `most`.
    fn relieve_to(&mut self, view: View, most: (i128, i128)) -> Result<(), MarginError> {
        let above = |total: Ticks, most| {
            view.exact.sub(total.0, most, "the relief of long options").map(|over: i128| Ticks(over.max(0)))
        };
        self.relief = Requirement { im: above(self.total.im, most.0)?, mm: above(self.total.mm, most.1)? };
        self.total.im.0 -= self.relief.im.0;
        self.total.mm.0 -= self.relief.mm.0;
        Ok(())
    }
}

/// The marks of a book of long options and long spot only, which is all it can lose; `None` for any other book.
pub(crate) fn limited_value(view: View) -> Result<Option<i128>, MarginError> {
    let held = view.positions.iter().map(|p| (p.instrument, p.lots));
    let ordered = view.pessimistic.iter().map(|o| (o.instrument, o.lots));
    let mut value = 0;
    for (instrument, lots) in held.chain(ordered) {
        let Some(row) = view.arrays.instrument(instrument) else { return Ok(None) };
        let limited = matches!(row.instrument.contract(), Contract::Spot | Contract::Option { .. });
        if lots.0 != 0 && (!limited || lots.0 < 0) {
            return Ok(None);
        }
        value = view.exact.add(value, i128::from(lots.0) * i128::from(row.mark), "marks")?;
    }
    Ok(Some(value.max(0)))
}

/// The factor on the aggregate: `im_scale` or `mm_scale`, times SPAN's own factors; 1 in mode fixed, whose ratio is
/// already in the aggregate.
fn scale(view: View, measure: Measure) -> Result<Ppb, MarginError> {
    let (name, own) = match measure {
        Measure::Im => ("im_scale", view.params.im_scale),
        Measure::Mm => ("mm_scale", view.params.mm_scale),
    };
    if own.0 <= 0 {
        return Err(MarginError::Parameter {
            account: view.exact.account.clone(),
            name: name.to_owned(),
            value: own.to_string(),
            expected: "more than 0",
        });
    }
    if view.mode == Mode::Fixed {
        return Ok(Ppb::ONE);
    }
    let Aggregation::Span(span) = &view.params.aggregation else { return Ok(own) };
    let what = "SPAN's factors";
    let mut factor = view.exact.scale_up(i128::from(own.0), span.adjustment, what)?;
    if measure == Measure::Im {
        factor = view.exact.scale_up(factor, span.im_ratio, what)?;
    }
    i64::try_from(factor).map(Ppb).map_err(|_| view.exact.overflow(what))
}

/// The aggregate loss before scaling, by mode.
fn loss(
    view: View,
    measure: Measure,
) -> Result<(i128, AggregateDetail, Vec<SpanCommodityReport>), MarginError> {
    let scene = view.scene(measure);
    match (view.mode, &view.params.aggregation) {
        (Mode::Fixed, _) => fixed(view, measure).map(|loss| (loss, AggregateDetail::default(), Vec::new())),
        (Mode::Cross, _) => {
            let sum = standalone_sum(view, measure)?;
            let detail = AggregateDetail { sum: Ticks(sum), ..AggregateDetail::default() };
            Ok((sum, detail, Vec::new()))
        }
        (Mode::Portfolio | Mode::Isolated, Aggregation::Span(span)) => {
            let legs = commodities(scene, span, view.slots, view.positions)?;
            let risk = view.exact.sum(legs.iter().map(|leg| leg.risk.0), "risk")?;
            let sum = view.exact.sum(legs.iter().map(|leg| leg.scan_loss.0), "the sum of scan losses")?;
            let credit = view.exact.sum(legs.iter().map(|leg| leg.inter_credit.0), "credits")?;
            let (sum, inter_credit) = (Ticks(sum), Ticks(credit));
            Ok((risk, AggregateDetail { sum, inter_credit, ..AggregateDetail::default() }, legs))
        }
        (Mode::Portfolio | Mode::Isolated, _) => {
            aggregate(scene, view.slots).map(|(loss, detail)| (loss, detail, Vec::new()))
        }
    }
}

/// The largest size an instrument can come to when any of the pessimistic orders fill, in lots.
fn largest(view: View, position: &Position) -> i128 {
    let own = i128::from(position.lots.0);
    let of_it = |o: &&Order| o.instrument == position.instrument;
    let orders = view.pessimistic.iter().filter(of_it).map(|o| i128::from(o.lots.0));
    let (up, down) = orders.fold((own, own), |(up, down), lots| (up + lots.max(0), down + lots.min(0)));
    up.abs().max(down.abs())
}

/// `ratio x sum |lots| x notional`, rounded up.
fn fixed(view: View, measure: Measure) -> Result<i128, MarginError> {
    let Some(terms) = view.params.fixed else {
        return Err(MarginError::MissingTerms {
            account: view.exact.account.clone(),
            what: "[fixed]".to_owned(),
            needed_by: "mode fixed",
        });
    };
    let mut gross = 0;
    for position in view.positions {
        let notional = view.arrays.instrument(position.instrument).map_or(0, |row| row.notional);
        let size = view.exact.mul(largest(view, position), i128::from(notional), "gross notional")?;
        gross = view.exact.add(gross, size, "gross notional")?;
    }
    let ratio = if measure == Measure::Im { terms.im_ratio } else { terms.mm_ratio };
    view.exact.scale_up(gross, ratio, "fixed margin")
}

/// The standalone losses of the positions, added.
pub(crate) fn standalone_sum(view: View, measure: Measure) -> Result<i128, MarginError> {
    let scene = view.scene(measure);
    let some = scene.has(BlockKind::Grid) || scene.has(BlockKind::Joint);
    if !some && view.positions.iter().any(|p| p.lots.0 != 0) {
        return Err(scene.missing("grid or joint", "standalone losses"));
    }
    let mut total = 0;
    let spans = matches!(view.params.aggregation, Aggregation::Span(_));
    let plain = view.pessimistic.is_empty() && (spans || !scene.has(BlockKind::Joint));
    for position in view.positions {
        if plain {
            total = view.exact.sub(total, worst_alone(scene, position), "the sum of standalone losses")?;
            continue;
        }
        let own = Slot::new(0, pessimistic_row(view, position)?.into(), view.arrays);
        total = view.exact.add(total, standalone(scene, &own)?, "the sum of standalone losses")?;
    }
    Ok(total)
}

/// The least profit of a position over the grid columns, at most 0: its lots times the extreme entry on their side.
fn worst_alone(scene: Scene, position: &Position) -> i128 {
    let row = scene.arrays.row(position.instrument);
    let (mut least, mut most) = (0, 0);
    for run in scene.runs(BlockKind::Grid) {
        for entry in within(row, run) {
            least = if *entry < least { *entry } else { least };
            most = if *entry > most { *entry } else { most };
        }
    }
    i128::from(position.lots.0) * i128::from(if position.lots.0 > 0 { least } else { most })
}

/// A position's profit or loss per scenario, each pessimistic order on its instrument filled where that hurts.
pub(crate) fn pessimistic_row(view: View, position: &Position) -> Result<Vec<Ticks>, MarginError> {
    let row = view.arrays.row(position.instrument);
    let mut pnl = vec![Ticks(0); row.len()];
    add_row(&mut pnl, row, position.lots, view.exact)?;
    for order in view.pessimistic.iter().filter(|o| o.instrument == position.instrument) {
        add_hurting(&mut pnl, row, order.lots, view.exact)?;
    }
    Ok(pnl)
}

/// Takes `lots` of a row out of every scenario.
fn subtract_row(pnl: &mut [Ticks], row: &[i64], lots: Lots, exact: Exact) -> Result<(), MarginError> {
    for (sum, entry) in pnl.iter_mut().zip(row) {
        sum.0 = exact.sub(sum.0, i128::from(lots.0) * i128::from(*entry), "a scenario's profit or loss")?;
    }
    Ok(())
}

/// Adds `min(0, lots x entry)` to every scenario.
pub(crate) fn add_hurting(
    pnl: &mut [Ticks],
    row: &[i64],
    lots: Lots,
    exact: Exact,
) -> Result<(), MarginError> {
    for (sum, entry) in pnl.iter_mut().zip(row) {
        let filled = (i128::from(lots.0) * i128::from(*entry)).min(0);
        sum.0 = exact.add(sum.0, filled, "a scenario's profit or loss")?;
    }
    Ok(())
}

/// Half a tick per lot and stacked sum, at the scale of the base, rounded up:
/// `ceil(layers x max(1, scale) x sum |lots| / 2)`. Each entry is within half a tick of the unrounded value, so a sum
/// over positions is within half a tick per lot. One sum is one layer; `factor` adds a systematic and an idiosyncratic
/// sum, and SPAN's credit reads four columns at a weight of one half beside the scan: two layers each.
fn guard(view: View, detail: &AggregateDetail, scale: Ppb) -> Result<i128, MarginError> {
    if !view.params.rounding_guard {
        return Ok(0);
    }
    let what = "the rounding guard";
    let lots = view.positions.iter().map(|p| i128::from(p.lots.0).abs());
    let orders = view.pessimistic.iter().map(|o| i128::from(o.lots.0).abs());
    let lots = view.exact.sum(lots.chain(orders), what)?;
    let span = matches!(view.params.aggregation, Aggregation::Span(_)) && view.mode != Mode::Cross;
    let layers = if detail.worst_state.is_some() || span { 2 } else { 1 };
    view.exact.own(half_ticks(lots, layers, scale))
}

/// `ceil(layers x max(1, scale) x lots / 2)`, with the sum of |lots|.
pub(crate) fn half_ticks(lots: i128, layers: i128, scale: Ppb) -> Number<i128> {
    let ratio = i128::from(scale.0.max(NANO)) * layers;
    ratio_up(lots, ratio, 2 * i128::from(NANO), "the rounding guard")
}

/// The charges on every underlying held.
fn charges(
    view: View,
    scans: &[Scan],
    scales: (Ppb, Ppb),
    base: Requirement,
) -> Result<Vec<Addon>, MarginError> {
    let held = Held::every(view.arrays, view.positions, view.slots, view.exact)?;
    let mut alone = Vec::with_capacity(scans.len());
    for (slot, scan) in view.slots.iter().zip(scans) {
        alone.push(floor_loss(view, slot, scan, scales)?);
    }
    let charged = Charged { alone, together: (base.im.0, base.mm.0) };
    let minimums = short_options(&held, &charged, view.params, view.exact)?;
    // Cross and fixed margin net nothing, so there is no netting to charge for.
    let nets = !matches!(view.mode, Mode::Cross | Mode::Fixed);
    let mut all = Vec::with_capacity(4 * held.len());
    for (held, minimum) in held.iter().zip(minimums) {
        all.extend(minimum);
        of_underlying(held, view.params, nets, view.exact, &mut all)?;
    }
    Ok(all)
}

/// The scaled loss that is charged for one underlying by itself, which a minimum of style `floor` is compared with:
/// under cross and fixed margin that of its positions one by one, else its scan loss, and where there is no grid the
/// joint statistic. Zero where no floor asks for it.
fn floor_loss(view: View, slot: &Slot, scan: &Scan, scales: (Ppb, Ppb)) -> Result<(i128, i128), MarginError> {
    let asset = view.arrays.underlyings.get(slot.underlying).map(|row| &row.asset);
    let terms = asset.and_then(|asset| view.params.addons.short_option.of(asset));
    if terms.is_none_or(|t| t.style != ShortOptionStyle::Floor) {
        return Ok((0, 0));
    }
    let its_own = |p: &&Position| underlying_of(view.arrays, p.instrument) == Some(slot.underlying);
    let of = |measure, scanned: i128| match view.mode {
        Mode::Cross | Mode::Fixed => {
            let positions: Vec<Position> = view.positions.iter().filter(its_own).copied().collect();
            loss(View { positions: &positions, ..view }, measure).map(|(loss, _, _)| loss)
        }
        _ if view.scene(measure).has(BlockKind::Grid) => Ok(scanned),
        _ => standalone(view.scene(measure), slot),
    };
    let what = "a scaled loss";
    let im = view.exact.scale_up(of(Measure::Im, scan.im.0)?, scales.0, what)?;
    let mm = view.exact.scale_up(of(Measure::Mm, scan.mm.0)?, scales.1, what)?;
    Ok((im, mm))
}

/// With SPAN's cap, option value beyond the scaled risk of its own commodity counts for nothing.
fn option_value_caps(
    view: View,
    legs: &[SpanCommodityReport],
    scales: (Ppb, Ppb),
) -> Result<Vec<Addon>, MarginError> {
    let capped = matches!(&view.params.aggregation, Aggregation::Span(span) if span.cap_option_value);
    let mut all = Vec::new();
    for leg in legs.iter().filter(|_| capped) {
        let beyond = |scale| {
            let risk = view.exact.scale_up(leg.risk.0, scale, "the cap on option value")?;
            Ok((leg.option_value.0 - risk).max(0))
        };
        let (im, mm) = (beyond(scales.0)?, beyond(scales.1)?);
        if im != 0 || mm != 0 {
            let inputs = [("option_value", Input::Money(leg.option_value)), ("risk", Input::Money(leg.risk))];
            let addon = blank(AddonKind::OptionValueCap, &leg.asset, inputs);
            all.push(Addon { im: Ticks(im), mm: Ticks(mm), ..addon });
        }
    }
    Ok(all)
}
