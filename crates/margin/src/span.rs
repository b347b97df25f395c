//! CME SPAN (methods 2.2 to 2.7; McMillan, Options as a Strategic Investment, ch. 34).
//!
//! The one idea: [`span_commodities`] evaluates resolved books, and whoever has arrays resolves them: this file for risk
//! arrays and a preset, with one combined commodity per underlying, and `engine::span_file` for a published file. Deltas
//! are billionths of a contract, charges round up, credits round down.

mod commodities;
mod credits;
mod rules;
mod spreads;

pub use commodities::{span_commodities, span_requirement, span_total};
pub use rules::{
    SpanBasis, SpanBook, SpanCredit, SpanCreditLeg, SpanCreditMethod, SpanCreditTier, SpanFigures, SpanMonth,
    SpanPlace, SpanRequirement, SpanShorts, SpanSpot, SpanSpread, SpanSpreadLeg, SpanTable,
};

use crate::account::{Slot, underlying_of};
use crate::aggregate::Scene;
use crate::{InterMethod, InterSpread, MarginError, SpanCommodity, SpanCommodityReport, SpanParams};
use commodities::WHOLE;
use plimsoll_types::{BlockKind, OptionKind, Position, Ppb, Rounding, Ticks, mul_div};
use std::collections::BTreeMap;

const DAY: i64 = 86_400;

/// The terms of a commodity and the positions in it.
#[derive(Clone, Copy)]
struct Holding<'a> {
    scene: Scene<'a>,
    underlying: usize,
    terms: &'a SpanCommodity,
    held: &'a [&'a Position],
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
    let mut terms = Vec::with_capacity(slots.len());
    for slot in slots {
        let own = terms_of(scene, span, slot)?;
        terms.push((own, spreads(own)));
    }
    let mut books = Vec::with_capacity(slots.len());
    for (slot, (terms, intra)) in slots.iter().zip(&terms) {
        let own = |p: &&Position| underlying_of(scene.arrays, p.instrument) == Some(slot.underlying);
        let held: Vec<&Position> = positions.iter().filter(own).collect();
        let holding = Holding { scene, underlying: slot.underlying, terms, held: &held };
        books.push(book(holding, slot, span.cap_option_value, intra)?);
    }
    let table = SpanTable {
        pairs: scene.arrays.scenarios.iter().map(|column| column.pair).collect(),
        scanned: scene.columns(BlockKind::Grid).collect(),
    };
    let credits: Vec<SpanCredit> = span.inter.iter().filter_map(|s| credit_of(scene, slots, s)).collect();
    let figures = span_commodities(scene.exact.account, &table, &books, &credits)?;
    slots.iter().zip(&figures).map(|(slot, figures)| report(scene, slot, figures)).collect()
}

fn terms_of<'a>(scene: Scene, span: &'a SpanParams, slot: &Slot) -> Result<&'a SpanCommodity, MarginError> {
    let asset = &scene.arrays.underlyings[slot.underlying].asset;
    span.commodities.of(asset).ok_or_else(|| MarginError::MissingTerms {
        account: scene.exact.account.clone(),
        what: format!("[aggregation.commodities.{asset}]"),
        needed_by: "aggregation span",
    })
}

fn spreads(terms: &SpanCommodity) -> Vec<SpanSpread> {
    let spread = |spread: &crate::IntraSpread| SpanSpread {
        legs: spread
            .legs
            .iter()
            .map(|leg| SpanSpreadLeg {
                place: SpanPlace::Tier(leg.tier),
                side: leg.side,
                ratio: i128::from(leg.ratio.0),
            })
            .collect(),
        rate: i128::from(spread.rate),
    };
    terms.intra.iter().map(spread).collect()
}

fn book<'a>(
    holding: Holding,
    slot: &Slot,
    capped: bool,
    intra: &'a [SpanSpread],
) -> Result<SpanBook<'a>, MarginError> {
    let exact = holding.scene.exact;
    let value = holding.held.iter().map(|p| option_value(holding.scene, p));
    Ok(SpanBook {
        losses: vec![slot.pnl.iter().map(|profit| -profit.0).collect()],
        months: months(holding)?,
        credit_tiers: Vec::new(),
        intra,
        basis: None,
        shorts: vec![shorts(holding)?],
        short_count: holding.terms.short_option_count,
        option_value: exact.sum(value, "net option value")?,
        capped,
        price_scan: Some(price_scan(holding)?),
    })
}

fn option_value(scene: Scene, position: &Position) -> i128 {
    match scene.arrays.instrument(position.instrument) {
        Some(row) if row.instrument.option().is_some() => i128::from(position.lots.0) * i128::from(row.mark),
        _ => 0,
    }
}

/// Ticks per contract, rounded down.
fn price_scan(holding: Holding) -> Result<i128, MarginError> {
    let row = &holding.scene.arrays.underlyings[holding.underlying];
    let scan = i128::from(row.index) * i128::from(row.price_scan.0);
    let contract = i128::from(holding.terms.contract.0);
    holding.scene.exact.ratio_down(scan, contract, WHOLE * WHOLE, "the price scan of a contract")
}

/// Billionths of a contract from `lots x notional x delta`, where `delta` is in billionths.
fn contracts(holding: Holding, sized: i128) -> Result<i128, MarginError> {
    let (exact, what) = (holding.scene.exact, "delta in contracts");
    let index = i128::from(holding.scene.arrays.underlyings[holding.underlying].index);
    let unit = exact.mul(index, i128::from(holding.terms.contract.0), what)?;
    mul_div(sized, WHOLE, unit, Rounding::Nearest).ok_or_else(|| exact.overflow(what))
}

/// Composite delta by contract month, the nearest first; contracts without expiry come before all.
fn months(holding: Holding) -> Result<Vec<SpanMonth>, MarginError> {
    let (scene, what) = (holding.scene, "composite delta");
    let mut sized: BTreeMap<Option<i64>, i128> = BTreeMap::new();
    for position in holding.held {
        let Some(row) = scene.arrays.instrument(position.instrument) else { continue };
        let notional = i128::from(position.lots.0) * i128::from(row.notional);
        let delta = scene.exact.mul(notional, i128::from(row.composite_delta.0), what)?;
        let sum = sized.entry(row.seconds_to_expiry).or_insert(0);
        *sum = scene.exact.add(*sum, delta, what)?;
    }
    let month = |(expiry, sized): (Option<i64>, i128)| {
        let days = expiry.unwrap_or(0).div_euclid(DAY);
        let within = |tier: &crate::Tier| (tier.from_days..tier.to_days).contains(&days);
        let tiers = holding.terms.tiers.iter().enumerate().filter(|(_, tier)| within(tier));
        Ok(SpanMonth {
            period: expiry.map_or_else(String::new, |seconds| seconds.to_string()),
            tiers: tiers.map(|(at, _)| at).collect(),
            credit_tiers: Vec::new(),
            delta: contracts(holding, sized)?,
            spot: spot_of(holding.terms, expiry),
        })
    };
    sized.into_iter().map(month).collect()
}

fn spot_of(terms: &SpanCommodity, expiry: Option<i64>) -> Option<SpanSpot> {
    let charge = terms.spot?;
    let near = expiry.is_some_and(|seconds| seconds < charge.within_days.saturating_mul(DAY));
    near.then(|| SpanSpot {
        consumed: i128::from(charge.rate_consumed),
        outright: i128::from(charge.rate_outright),
    })
}

/// Short calls and puts in contracts. A rounded number of both together is what the rate applies to.
fn shorts(holding: Holding) -> Result<SpanShorts, MarginError> {
    let (exact, what) = (holding.scene.exact, "short option minimum");
    let mut short = [0_i128; 2];
    for position in holding.held.iter().filter(|p| p.lots.0 < 0) {
        let Some(row) = holding.scene.arrays.instrument(position.instrument) else { continue };
        let Some((_, kind)) = row.instrument.option() else { continue };
        let side = &mut short[usize::from(kind == OptionKind::Put)];
        let size = i128::from(position.lots.0.unsigned_abs()) * i128::from(row.notional);
        *side = exact.add(*side, size, what)?;
    }
    let number = |sized: i128| contracts(holding, exact.mul(sized, WHOLE, what)?);
    let (calls, puts) = (number(short[0])?, number(short[1])?);
    Ok(SpanShorts { calls, puts, rate: i128::from(holding.terms.short_option_rate) })
}

/// A spread of the preset where the account holds all its legs.
fn credit_of(scene: Scene, slots: &[Slot], spread: &InterSpread) -> Option<SpanCredit> {
    let leg = |leg: &crate::InterLeg| {
        let of = |slot: &Slot| scene.arrays.underlyings.get(slot.underlying).map(|row| &row.asset);
        let book = slots.iter().position(|slot| of(slot) == Some(&leg.asset))?;
        let rate = i128::from(leg.rate.0);
        let method = match spread.method {
            InterMethod::PriceRisk => SpanCreditMethod::PriceRisk(rate),
            InterMethod::Capped => SpanCreditMethod::Capped(rate),
            InterMethod::Scan => SpanCreditMethod::Scan(rate),
            InterMethod::Flat { credit } => SpanCreditMethod::Flat(i128::from(credit)),
        };
        Some(SpanCreditLeg { book, tier: None, side: leg.side, ratio: i128::from(leg.ratio.0), method })
    };
    let legs: Option<Vec<SpanCreditLeg>> = spread.legs.iter().map(leg).collect();
    legs.map(|legs| SpanCredit { before_intra: spread.before_intra, legs })
}

fn report(scene: Scene, slot: &Slot, figures: &SpanFigures) -> Result<SpanCommodityReport, MarginError> {
    let unscaled = span_requirement(scene.exact.account, figures, &[Ppb::ONE])?;
    Ok(SpanCommodityReport {
        asset: scene.arrays.underlyings[slot.underlying].asset.clone(),
        scan_loss: Ticks(figures.scan_loss),
        active: figures.active,
        net_delta: figures.net_delta,
        price_risk_twice: Ticks(figures.price_risk_twice),
        intra: Ticks(figures.intra),
        spot: Ticks(figures.spot),
        inter_credit: Ticks(figures.inter_credit),
        short_option_minimum: Ticks(figures.short_option_minimum),
        risk: Ticks(figures.risk),
        option_value: Ticks(figures.option_value),
        available_option_value: Ticks(unscaled.available),
        requirement: Ticks(unscaled.requirement),
    })
}
