//! The requirement of a set of positions: aggregate, scale, rounding guard, charges, and the relief of long options.

use crate::account::{Slot, add_row};
use crate::aggregate::{Measure, Scene, aggregate, scan, standalone};
use crate::charges::{Held, blank, of_underlying};
use crate::collateral_charges::of_collateral;
use crate::money::Exact;
use crate::span::commodities;
use crate::{
    Addon, AddonKind, AggregateDetail, Aggregation, CollateralReport, Input, MarginError, Mode, Params,
    Requirement, SpanCommodityReport,
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
    pub(crate) scans: Vec<Scan>,
    pub(crate) total: Requirement,
}

impl<'a> View<'a> {
    pub(crate) fn scene(self, measure: Measure) -> Scene<'a> {
        Scene { arrays: self.arrays, params: self.params, measure, exact: self.exact }
    }
}

/// The requirement of a view, with every charge.
pub(crate) fn requirement(view: View) -> Result<Parts, MarginError> {
    let scales = (scale(view, Measure::Im)?, scale(view, Measure::Mm)?);
    let (im, im_detail, span) = loss(view, Measure::Im)?;
    let (mm, mm_detail, _) = loss(view, Measure::Mm)?;
    let base = Requirement {
        im: Ticks(view.exact.scale_up(im, scales.0, "initial margin")?),
        mm: Ticks(view.exact.scale_up(mm, scales.1, "maintenance margin")?),
    };
    let guard = Requirement {
        im: Ticks(guard(view, &im_detail, scales.0)?),
        mm: Ticks(guard(view, &mm_detail, scales.1)?),
    };
    let scans = view.slots.iter().map(|slot| Scan {
        im: scan(&slot.pnl, view.scene(Measure::Im).columns(BlockKind::Grid)),
        mm: scan(&slot.pnl, view.scene(Measure::Mm).columns(BlockKind::Grid)),
    });
    let scans: Vec<Scan> = scans.collect();
    let mut addons = charges(view, &scans, scales)?;
    addons.extend(option_value_caps(view, &span, scales)?);
    addons.extend(of_collateral(
        view.collateral,
        &binding_columns(&scans, &im_detail),
        view.arrays,
        view.params,
        view.exact,
    )?);
    let mut parts = Parts {
        aggregate: Requirement { im: Ticks(im), mm: Ticks(mm) },
        base,
        im_detail,
        mm_detail,
        guard,
        addons,
        relief: Requirement::default(),
        span,
        scans,
        total: Requirement::default(),
    };
    conclude(view, &mut parts)?;
    Ok(parts)
}

impl Parts {
    /// Replaces the charges by sums found elsewhere, and adds up anew.
    pub(crate) fn add_charges(&mut self, view: View, (im, mm): (i128, i128)) -> Result<(), MarginError> {
        let account = view.arrays.currency.clone();
        let charge = Addon { im: Ticks(im), mm: Ticks(mm), ..blank(AddonKind::Liquidity, &account, vec![]) };
        self.addons = vec![charge];
        conclude(view, self)
    }
}

/// Adds the parts up and takes off what a book that cannot lose more than its value is charged above it.
fn conclude(view: View, parts: &mut Parts) -> Result<(), MarginError> {
    let add = |base: i128, guard: i128, read: fn(&Addon) -> i128| {
        let charges = view.exact.sum(parts.addons.iter().map(read), "the sum of add-ons")?;
        view.exact.sum([base, guard, charges], "the requirement")
    };
    let im = add(parts.base.im.0, parts.guard.im.0, |a| a.im.0)?;
    let mm = add(parts.base.mm.0, parts.guard.mm.0, |a| a.mm.0)?;
    if let Some(value) = limited_value(view)? {
        // Where there is debt, collateral secures it, and the charges on collateral stand.
        let secures = view.collateral.iter().any(|held| held.counted.0 < 0);
        let kept = |read: fn(&Addon) -> i128| {
            let on_collateral = |a: &&Addon| matches!(a.kind, AddonKind::WrongWay | AddonKind::Depeg);
            let charges = parts.addons.iter().filter(on_collateral).filter(|_| secures).map(read);
            view.exact.sum(charges.chain([value]), "the value of the book")
        };
        let (im_most, mm_most) = (kept(|a| a.im.0)?, kept(|a| a.mm.0)?);
        parts.relief = Requirement { im: Ticks((im - im_most).max(0)), mm: Ticks((mm - mm_most).max(0)) };
    }
    let (im, mm) = (im - parts.relief.im.0, mm - parts.relief.mm.0);
    parts.total = Requirement { im: Ticks(im), mm: Ticks(mm) };
    Ok(())
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
    for position in view.positions {
        let own = Slot { underlying: 0, pnl: pessimistic_row(view, position)? };
        total = view.exact.add(total, standalone(scene, &own)?, "the sum of standalone losses")?;
    }
    Ok(total)
}

/// A position's profit or loss per scenario, each pessimistic order on its instrument filled where that hurts.
pub(crate) fn pessimistic_row(view: View, position: &Position) -> Result<Vec<i128>, MarginError> {
    let row = view.arrays.row(position.instrument);
    let mut pnl = vec![0; row.len()];
    add_row(&mut pnl, row, position.lots, view.exact)?;
    for order in view.pessimistic.iter().filter(|o| o.instrument == position.instrument) {
        add_hurting(&mut pnl, row, order.lots, view.exact)?;
    }
    Ok(pnl)
}

/// Adds `min(0, lots x entry)` to every scenario.
pub(crate) fn add_hurting(
    pnl: &mut [i128],
    row: &[i64],
    lots: Lots,
    exact: Exact,
) -> Result<(), MarginError> {
    for (sum, entry) in pnl.iter_mut().zip(row) {
        let filled = (i128::from(lots.0) * i128::from(*entry)).min(0);
        *sum = exact.add(*sum, filled, "a scenario's profit or loss")?;
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
    let ratio = i128::from(scale.0.max(NANO)) * layers;
    view.exact.ratio_up(lots, ratio, 2 * i128::from(NANO), what)
}

/// The charges on every underlying held.
fn charges(view: View, scans: &[Scan], scales: (Ppb, Ppb)) -> Result<Vec<Addon>, MarginError> {
    let mut all = Vec::new();
    for (slot, scan) in view.slots.iter().zip(scans) {
        let what = "a scaled scan loss";
        let scaled = (
            view.exact.scale_up(scan.im.0, scales.0, what)?,
            view.exact.scale_up(scan.mm.0, scales.1, what)?,
        );
        let held = Held::of(view.arrays, view.positions, slot.underlying, scaled);
        all.extend(of_underlying(&held, view.params, view.exact)?);
    }
    Ok(all)
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
        let inputs = vec![("option_value", Input::Money(leg.option_value)), ("risk", Input::Money(leg.risk))];
        let addon = blank(AddonKind::OptionValueCap, &leg.asset, inputs);
        if im != 0 || mm != 0 {
            all.push(Addon { im: Ticks(im), mm: Ticks(mm), ..addon });
        }
    }
    Ok(all)
}

/// The columns in which the account loses most: of every underlying, of the binding state, of the joint set.
fn binding_columns(scans: &[Scan], detail: &AggregateDetail) -> Vec<usize> {
    let own = scans.iter().filter_map(|scan| scan.im.1);
    let state = detail.worst_state.and_then(|i| detail.states.get(i)).and_then(|state| state.column);
    own.chain(state).chain(detail.worst_joint).collect()
}
