//! CME SPAN on risk arrays (methods 2.2 to 2.7; McMillan, Options as a Strategic Investment, ch. 34).
//!
//! One combined commodity per underlying. Deltas are billionths of a contract, charges round up, credits round down.

use crate::account::Slot;
use crate::aggregate::{Scene, scan};
use crate::{
    InterMethod, InterSpread, IntraSpread, MarginError, ShortCount, Side, SpanCommodity, SpanCommodityReport,
    SpanParams,
};
use plimsoll_types::{BlockKind, NANO, OptionKind, Position, Ticks};
use std::collections::BTreeMap;

const DAY: i64 = 86_400;
const WHOLE: i128 = NANO as i128;

/// Delta of one month: what there was, and what spreads have left, in billionths of a contract.
#[derive(Clone, Copy)]
struct Month {
    expiry: Option<i64>,
    held: i128,
    left: i128,
}

/// A commodity under way, before credits between commodities.
struct Leg<'a> {
    terms: &'a SpanCommodity,
    underlying: usize,
    report: SpanCommodityReport,
    left: i128,
}

/// The commodities of an account, all credits given.
pub(crate) fn commodities(
    scene: Scene,
    span: &SpanParams,
    slots: &[Slot],
    positions: &[Position],
) -> Result<Vec<SpanCommodityReport>, MarginError> {
    if !slots.is_empty() && !scene.has(BlockKind::Grid) {
        return Err(scene.missing("grid", "aggregation span"));
    }
    let mut legs = Vec::with_capacity(slots.len());
    for slot in slots {
        let held: Vec<&Position> =
            positions.iter().filter(|p| row_of(scene, p) == Some(slot.underlying)).collect();
        legs.push(commodity(scene, span, slot, &held)?);
    }
    for spread in &span.inter {
        for a_is_long in [true, false] {
            credit(scene, spread, a_is_long, &mut legs)?;
        }
    }
    legs.into_iter().map(|leg| finish(scene, span, leg)).collect()
}

fn row_of(scene: Scene, position: &Position) -> Option<usize> {
    crate::account::underlying_of(scene.arrays, position.instrument)
}

fn commodity<'a>(
    scene: Scene,
    span: &'a SpanParams,
    slot: &Slot,
    held: &[&Position],
) -> Result<Leg<'a>, MarginError> {
    let row = &scene.arrays.underlyings[slot.underlying];
    let terms = span.commodities.of(&row.asset).ok_or_else(|| MarginError::MissingTerms {
        account: scene.exact.account.clone(),
        what: format!("[aggregation.commodities.{}]", row.asset),
        needed_by: "aggregation span",
    })?;
    let mut months = months(scene, slot.underlying, terms, held)?;
    let net_delta = scene.exact.sum(months.iter().map(|m| m.held), "net delta")?;
    let intra = intra_charge(scene, terms, &mut months)?;
    let spot = spot_charge(scene, terms, &months)?;
    let minimum = short_minimum(scene, slot.underlying, terms, held)?;
    let (scan_loss, worst) = scan(&slot.pnl, scene.columns(BlockKind::Grid));
    let first = scene.columns(BlockKind::Grid).next().unwrap_or(0);
    let active = worst.unwrap_or(first);
    let loss = |column: usize| slot.pnl.get(column).map_or(0, |x| -x);
    let (active_pair, first_pair) = (pair(scene, active)?, pair(scene, first)?);
    let parts = [scan_loss, loss(active_pair), -loss(first), -loss(first_pair)];
    let value = held.iter().map(|p| option_value(scene, p));
    let report = SpanCommodityReport {
        asset: row.asset.clone(),
        scan_loss: Ticks(scan_loss),
        active,
        net_delta,
        price_risk_twice: Ticks(scene.exact.sum(parts, "price risk")?),
        intra: Ticks(intra),
        spot: Ticks(spot),
        inter_credit: Ticks(0),
        short_option_minimum: Ticks(minimum),
        risk: Ticks(0),
        option_value: Ticks(scene.exact.sum(value, "net option value")?),
        available_option_value: Ticks(0),
        requirement: Ticks(0),
    };
    Ok(Leg { terms, underlying: slot.underlying, report, left: net_delta })
}

/// The column that differs in the move of volatility only, or the error that it is not there.
fn pair(scene: Scene, column: usize) -> Result<usize, MarginError> {
    let columns = scene.arrays.scenarios.len();
    let pair = scene.arrays.scenarios.get(column).map_or(columns, |c| c.pair);
    if pair < columns {
        return Ok(pair);
    }
    let (account, what) = (scene.exact.account.clone(), "a scenario paired with column");
    Err(MarginError::Arrays { account, what, found: pair, expected: columns })
}

fn option_value(scene: Scene, position: &Position) -> i128 {
    match scene.arrays.instrument(position.instrument) {
        Some(row) if row.instrument.option().is_some() => i128::from(position.lots.0) * i128::from(row.mark),
        _ => 0,
    }
}

/// Billionths of a contract from `lots x notional x delta`, where `delta` is in billionths.
fn contracts(
    scene: Scene,
    underlying: usize,
    terms: &SpanCommodity,
    sized: i128,
) -> Result<i128, MarginError> {
    let what = "delta in contracts";
    let index = i128::from(scene.arrays.underlyings[underlying].index);
    let unit = scene.exact.mul(index, i128::from(terms.contract.0), what)?;
    plimsoll_types::mul_div(sized, WHOLE, unit, plimsoll_types::Rounding::Nearest)
        .ok_or_else(|| scene.exact.overflow(what))
}

/// Composite delta by contract month, the nearest first; contracts without expiry come before all.
fn months(
    scene: Scene,
    underlying: usize,
    terms: &SpanCommodity,
    held: &[&Position],
) -> Result<Vec<Month>, MarginError> {
    let mut sized: BTreeMap<Option<i64>, i128> = BTreeMap::new();
    for position in held {
        let Some(row) = scene.arrays.instrument(position.instrument) else { continue };
        let notional = i128::from(position.lots.0) * i128::from(row.notional);
        let delta = scene.exact.mul(notional, i128::from(row.composite_delta.0), "composite delta")?;
        let sum = sized.entry(row.seconds_to_expiry).or_insert(0);
        *sum = scene.exact.add(*sum, delta, "composite delta")?;
    }
    let month = |(expiry, delta): (Option<i64>, i128)| {
        let held = contracts(scene, underlying, terms, delta)?;
        Ok(Month { expiry, held, left: held })
    };
    sized.into_iter().map(month).collect()
}

/// What spreads may still take from one side of a tier.
fn pool(terms: &SpanCommodity, months: &[Month], tier: usize, long: bool) -> i128 {
    let in_tier = |m: &&Month| within(terms, m, tier) && (m.left > 0) == long;
    months.iter().filter(in_tier).fold(0_i128, |sum, m| sum.saturating_add(m.left.saturating_abs()))
}

fn within(terms: &SpanCommodity, month: &Month, tier: usize) -> bool {
    let days = month.expiry.unwrap_or(0).div_euclid(DAY);
    terms.tiers.get(tier).is_some_and(|t| (t.from_days..t.to_days).contains(&days))
}

/// Takes delta from one side of a tier, the nearest month first.
fn consume(terms: &SpanCommodity, months: &mut [Month], (tier, long): (usize, bool), mut amount: i128) {
    for month in months.iter_mut() {
        if within(terms, month, tier) && (month.left > 0) == long {
            let taken = amount.min(month.left.saturating_abs());
            month.left -= taken * month.left.signum();
            amount -= taken;
        }
    }
}

/// Inter-month spreads in order of priority, each in both orientations.
fn intra_charge(scene: Scene, terms: &SpanCommodity, months: &mut [Month]) -> Result<i128, MarginError> {
    let mut charge = 0;
    for spread in &terms.intra {
        for a_is_long in [true, false] {
            let formed = form_spread(scene, terms, spread, a_is_long, months)?;
            let cost = scene.exact.ratio_up(formed, i128::from(spread.rate), WHOLE, "inter-month charge")?;
            charge = scene.exact.add(charge, cost, "inter-month charge")?;
        }
    }
    Ok(charge)
}

/// Forms as many spreads as the pools allow and takes their deltas; returns billionths of a spread.
fn form_spread(
    scene: Scene,
    terms: &SpanCommodity,
    spread: &IntraSpread,
    a_is_long: bool,
    months: &mut [Month],
) -> Result<i128, MarginError> {
    let what = "inter-month spreads";
    // Legs on the same side of one tier draw on one pool: their ratios add.
    let mut ratios: BTreeMap<(usize, bool), i128> = BTreeMap::new();
    for leg in &spread.legs {
        *ratios.entry((leg.tier, (leg.side == Side::A) == a_is_long)).or_insert(0) += i128::from(leg.ratio.0);
    }
    let mut formed: Option<i128> = None;
    for ((tier, long), ratio) in &ratios {
        let most = scene.exact.ratio_down(pool(terms, months, *tier, *long), WHOLE, *ratio, what)?;
        formed = Some(formed.map_or(most, |n| n.min(most)));
    }
    let formed = formed.unwrap_or(0);
    for (place, ratio) in ratios {
        let taken = scene.exact.ratio_down(formed, ratio, WHOLE, what)?;
        consume(terms, months, place, taken);
    }
    Ok(formed)
}

/// Months in delivery: one rate on delta that spreads consumed, another on what remains.
fn spot_charge(scene: Scene, terms: &SpanCommodity, months: &[Month]) -> Result<i128, MarginError> {
    let Some(charge) = terms.spot else { return Ok(0) };
    let what = "delivery charge";
    let mut total = 0;
    for month in months {
        if month.expiry.is_none_or(|seconds| seconds >= charge.within_days.saturating_mul(DAY)) {
            continue;
        }
        let consumed = month.held.saturating_abs() - month.left.saturating_abs();
        let a = scene.exact.ratio_up(consumed, i128::from(charge.rate_consumed), WHOLE, what)?;
        let remains = month.left.saturating_abs();
        let b = scene.exact.ratio_up(remains, i128::from(charge.rate_outright), WHOLE, what)?;
        total = scene.exact.sum([total, a, b], what)?;
    }
    Ok(total)
}

fn short_minimum(
    scene: Scene,
    underlying: usize,
    terms: &SpanCommodity,
    held: &[&Position],
) -> Result<i128, MarginError> {
    let what = "short option minimum";
    let mut short = [0_i128; 2];
    for position in held.iter().filter(|p| p.lots.0 < 0) {
        let Some(row) = scene.arrays.instrument(position.instrument) else { continue };
        let Some((_, kind)) = row.instrument.option() else { continue };
        let side = &mut short[usize::from(kind == OptionKind::Put)];
        let size = i128::from(position.lots.0.unsigned_abs()) * i128::from(row.notional);
        *side = scene.exact.add(*side, size, what)?;
    }
    let counted = match terms.short_option_count {
        ShortCount::Sum => scene.exact.add(short[0], short[1], what)?,
        ShortCount::Larger => short[0].max(short[1]),
        ShortCount::Naked => {
            return Err(MarginError::Parameter {
                account: scene.exact.account.clone(),
                name: "aggregation.commodities.short_option_count".to_owned(),
                value: "naked".to_owned(),
                expected: "sum or larger",
            });
        }
    };
    let number = contracts(scene, underlying, terms, scene.exact.mul(counted, WHOLE, what)?)?;
    scene.exact.ratio_up(number, i128::from(terms.short_option_rate), WHOLE, what)
}

/// One orientation of one inter-commodity spread: credits every leg, or none.
fn credit(scene: Scene, spread: &InterSpread, a_is_long: bool, legs: &mut [Leg]) -> Result<(), MarginError> {
    let what = "inter-commodity spreads";
    let mut formed: Option<i128> = None;
    let mut places = Vec::with_capacity(spread.legs.len());
    for wanted in &spread.legs {
        let long = (wanted.side == Side::A) == a_is_long;
        let found = legs.iter().position(|leg| leg.report.asset == wanted.asset);
        let Some(place) = found.filter(|i| eligible(spread.method, &legs[*i], long)) else { return Ok(()) };
        let size = legs[place].left.saturating_abs();
        let most = scene.exact.ratio_down(size, WHOLE, i128::from(wanted.ratio.0), what)?;
        formed = Some(formed.map_or(most, |n| n.min(most)));
        places.push(place);
    }
    let formed = formed.unwrap_or(0);
    for (wanted, place) in spread.legs.iter().zip(places) {
        let used = scene.exact.ratio_down(formed, i128::from(wanted.ratio.0), WHOLE, what)?;
        let given = match spread.method {
            InterMethod::Flat { credit } => {
                scene.exact.ratio_down(formed, i128::from(credit), WHOLE, what)?
            }
            _ => {
                let risk = weighted_risk(scene, spread.method, &legs[place], used)?;
                scene.exact.ratio_down(risk, i128::from(wanted.rate.0), WHOLE, what)?
            }
        };
        let leg = &mut legs[place];
        leg.left -= used * leg.left.signum();
        leg.report.inter_credit = Ticks(scene.exact.add(leg.report.inter_credit.0, given, what)?);
    }
    Ok(())
}

/// Whether a leg has delta on the side wanted and a positive weighted price risk.
fn eligible(method: InterMethod, leg: &Leg, long: bool) -> bool {
    let by_price_risk = matches!(method, InterMethod::PriceRisk | InterMethod::Capped);
    leg.left != 0 && (leg.left > 0) == long && (!by_price_risk || leg.report.price_risk_twice.0 > 0)
}

/// Weighted price risk of `used` deltas, rounded down.
fn weighted_risk(scene: Scene, method: InterMethod, leg: &Leg, used: i128) -> Result<i128, MarginError> {
    let what = "weighted price risk";
    let by_risk = || {
        let deltas = scene.exact.mul(2, leg.report.net_delta.saturating_abs(), what)?;
        scene.exact.ratio_down(leg.report.price_risk_twice.0, used, deltas, what)
    };
    let by_scan = || {
        let row = &scene.arrays.underlyings[leg.underlying];
        let unit = scene.exact.ratio_down(
            i128::from(row.index) * i128::from(row.price_scan.0),
            i128::from(leg.terms.contract.0),
            WHOLE * WHOLE,
            what,
        )?;
        scene.exact.ratio_down(unit, used, WHOLE, what)
    };
    match method {
        InterMethod::PriceRisk => by_risk(),
        InterMethod::Capped => Ok(by_risk()?.min(by_scan()?)),
        InterMethod::Scan | InterMethod::Flat { .. } => by_scan(),
    }
}

fn finish(scene: Scene, span: &SpanParams, leg: Leg) -> Result<SpanCommodityReport, MarginError> {
    let mut report = leg.report;
    let parts = [report.scan_loss.0, report.intra.0, report.spot.0, -report.inter_credit.0];
    let risk = scene.exact.sum(parts, "risk")?.max(report.short_option_minimum.0);
    let value = report.option_value.0;
    let available = if span.cap_option_value { value.min(risk) } else { value };
    report.risk = Ticks(risk);
    report.available_option_value = Ticks(available);
    report.requirement = Ticks(scene.exact.sub(risk, available, "requirement")?.max(0));
    Ok(report)
}
