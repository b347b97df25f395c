//! OKX: depeg of stable coins, minimum charge, risk units; and Dederi's futures.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_engine::ParamSet;
use plimsoll_margin::Aggregation;
use plimsoll_margin::venue::curves::{TierRate, tiered};
use plimsoll_margin::venue::okx::{UnitRisks, requirement, stable_depeg, unit_requirement};
use plimsoll_margin::venue::{Venue, dederi};
use plimsoll_risk::{Sticky, VolShock, VolShockKind};
use plimsoll_types::Fixed;
use serde_json::Value;

fn name(case: &Value) -> Option<&str> {
    case.get("function")?.as_str()
}

/// A case of OKX's or Dederi's functions.
pub(super) fn recognise(case: &Value) -> bool {
    name(case).is_some_and(|name| name.starts_with("okx_") || name.starts_with("dederi_"))
}

/// Checks a case at the tolerance that it states.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let inputs = field::object(case, "inputs")?;
    let computed = match name(case).unwrap_or_default() {
        name if name.contains("depeg") || name.contains("mr9") => depeg(inputs)?,
        name if name.contains("mr7") || name.contains("minimum") || name.contains("min_charge") => {
            minimum(inputs)?
        }
        name if name.starts_with("okx_") => unit(inputs)?,
        name if name.contains("vega") || name.contains("vol") => scale(inputs)?,
        name if name.contains("contingency") => contingency(inputs)?,
        name if name.contains("price") || name.ends_with("forward") => price(inputs)?,
        _ => futures(inputs)?,
    };
    ledger.against("", case.get("expected").ok_or("`expected` is missing")?, &computed, tolerance);
    Ok(())
}

/// The first of several names that is there.
fn either(inputs: &Value, names: &[&str]) -> Result<Fixed, Reason> {
    let found = names.iter().find(|name| inputs.get(**name).is_some_and(|value| !value.is_null()));
    field::fixed(inputs, found.or(names.first()).copied().unwrap_or_default())
}

fn failed(error: impl std::fmt::Display) -> Reason {
    error.to_string()
}

const EDGES: [&str; 3] = ["edges", "bounds", "thresholds"];
const RATES: [&str; 3] = ["rates", "multipliers", "factors"];

/// Tiers as a list of edges with a list of rates, as rows `[from, to, rate]` or `[to, rate]`, or as rows by name.
fn tiers(inputs: &Value) -> Result<Option<Vec<TierRate>>, Reason> {
    let list = |names: &[&str]| names.iter().find_map(|name| inputs.get(*name)?.as_array());
    if let (Some(edges), Some(rates)) = (list(&EDGES), list(&RATES)) {
        let mut from: Vec<Fixed> =
            edges.iter().map(|x| field::as_fixed(x, "edges")).collect::<Result<_, _>>()?;
        if from.first() != Some(&Fixed::ZERO) {
            from.insert(0, Fixed::ZERO);
        }
        if !(rates.len()..=rates.len() + 1).contains(&from.len()) {
            return Err(format!("{} edges and {} rates", edges.len(), rates.len()));
        }
        let rate =
            |(from, rate): (Fixed, &Value)| Ok(TierRate { from, rate: field::as_fixed(rate, "rates")? });
        return from.into_iter().zip(rates).map(rate).collect::<Result<_, Reason>>().map(Some);
    }
    let Some(rows) = inputs.get("tiers").and_then(Value::as_array) else { return Ok(None) };
    let (mut found, mut from) = (Vec::new(), Fixed::ZERO);
    for row in rows {
        let (stated, to, rate) = tier(row)?;
        from = stated.unwrap_or(from);
        found.push(TierRate { from, rate });
        from = to.unwrap_or(from);
    }
    Ok(Some(found))
}

/// From, to and rate of a row.
fn tier(row: &Value) -> Result<(Option<Fixed>, Option<Fixed>, Fixed), Reason> {
    let some =
        |value: &Value| if value.is_null() { Ok(None) } else { field::as_fixed(value, "tiers").map(Some) };
    if let Some(items) = row.as_array() {
        return match items.as_slice() {
            [from, to, rate] => Ok((some(from)?, some(to)?, field::as_fixed(rate, "tiers")?)),
            [to, rate] => Ok((None, some(to)?, field::as_fixed(rate, "tiers")?)),
            _ => Err(format!("a tier has {} numbers", items.len())),
        };
    }
    let first = |names: [&str; 4]| names.iter().find_map(|name| row.get(*name)).unwrap_or(&Value::Null);
    let rate = first(["rate", "multiplier", "factor", "mult"]);
    let (from, to) = (first(["from", "lo", "low", "above"]), first(["to", "hi", "high", "up_to"]));
    Ok((some(from)?, some(to)?, field::as_fixed(rate, "rate")?))
}

/// The published tiers, for a case that states none.
fn published(minimum: bool) -> Result<Vec<TierRate>, Reason> {
    let set = ParamSet::preset("okx").map_err(failed)?;
    let Aggregation::Venue(Venue::Okx(terms)) = set.margin.aggregation else {
        return Err("the preset `okx` is of another method".to_owned());
    };
    let of = terms.assets.get("BTC").map(|terms| terms.minimum_tiers.clone());
    if minimum { of.ok_or_else(|| "the preset `okx` has no BTC".to_owned()) } else { Ok(terms.depeg_tiers) }
}

const HEDGED: [&str; 7] =
    ["hedged_usd", "hedged_amount", "hedged_amount_usd", "hedged", "amount", "amount_usd", "hedge_size"];
const RAW: [&str; 6] = ["raw_charge", "raw", "raw_minimum_charge", "raw_mr7", "min_charge", "charge"];

fn only(inputs: &Value, amounts: &[&str]) -> Result<(), Reason> {
    let known = [amounts, &EDGES, &RATES, &["tiers", "rule"]].concat();
    field::only(inputs, "inputs", &known)
}

fn depeg(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &HEDGED)?;
    let tiers = tiers(inputs)?.map_or_else(|| published(false), Ok)?;
    stable_depeg(&tiers, &[either(inputs, &HEDGED)?]).map(Computed::from).map_err(failed)
}

fn minimum(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &RAW)?;
    let tiers = tiers(inputs)?.map_or_else(|| published(true), Ok)?;
    tiered(&tiers, either(inputs, &RAW)?).map(Computed::from).map_err(failed)
}

fn unit(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["mr1", "mr2", "mr3", "mr4", "mr5", "mr6", "mr7", "mr8", "mr9", "im_factor", "rule"];
    field::only(inputs, "inputs", &known)?;
    let get = |name: &str| Ok::<_, Reason>(field::fixed_if_any(inputs, name)?.unwrap_or_default());
    let risks = UnitRisks {
        mr1: get("mr1")?,
        mr2: get("mr2")?,
        mr3: get("mr3")?,
        mr4: get("mr4")?,
        mr5: get("mr5")?,
        mr6: get("mr6")?,
        mr7: get("mr7")?,
        mr9: get("mr9")?,
    };
    let factor = field::fixed_if_any(inputs, "im_factor")?.unwrap_or(Fixed::ratio(13, 10));
    let (mm, im) = requirement(&[unit_requirement(&risks)], get("mr8")?, factor);
    Ok(Computed::Map(vec![("mmr", mm.into()), ("imr", im.into())]))
}

/// A shock of volatility by tenor: the scale alone, or scaled ups and downs and shocked volatilities.
fn scale(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "days",
        "dte",
        "days_to_expiry",
        "short_term_v_power",
        "long_term_v_power",
        "short_power",
        "long_power",
        "short_vega_power",
        "long_vega_power",
        "up_factor",
        "down_factor",
        "vol_up",
        "vol_down",
        "dte_floor",
        "vol_range_up",
        "vol_range_down",
        "iv",
        "sigma",
        "rule",
    ];
    field::only(inputs, "inputs", &known)?;
    let first = |names: &[&str], usual: f64| -> Result<f64, Reason> {
        let found = names.iter().find(|name| inputs.get(**name).is_some());
        found.map_or(Ok(usual), |name| field::number(inputs, name))
    };
    let days = either(inputs, &["days", "dte", "days_to_expiry"])?.to_f64();
    let shock = VolShock {
        kind: VolShockKind::Relative,
        power_short: first(&["short_term_v_power", "short_power", "short_vega_power"], 0.30)?,
        power_long: first(&["long_term_v_power", "long_power", "long_vega_power"], 0.13)?,
        dte_floor: first(&["dte_floor"], 1.0)?,
        min_vol_up: 0.0,
        skew: None,
        sticky: Sticky::Strike,
    };
    let scale = shock.scale(days);
    let up = scale * first(&["up_factor", "vol_up", "vol_range_up"], 1.0)?;
    let down = scale * first(&["down_factor", "vol_down", "vol_range_down"], 1.0)?;
    let names = [("scale", scale), ("scaling", scale), ("up", up), ("down", down)];
    let more = [("vol_up", up), ("vol_down", down), ("max_iv_change_up", up), ("max_iv_change_down", down)];
    Ok(Computed::Map(names.into_iter().chain(more).map(|(n, x)| (n, Computed::Number(x))).collect()))
}

const INDEX: [&str; 3] = ["index", "index_price", "spot"];
const BASIS: [&str; 4] = ["basis", "annualized_basis_rate", "abr", "basis_rate"];
const SIZE: [&str; 4] = ["quantity", "qty", "position", "q"];
const FACTOR: [&str; 3] = ["contingency_factor", "future_contingency_factor", "factor"];

fn price(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &[&INDEX[..], &BASIS, &["days", "dte", "rule"]].concat())?;
    future_price(inputs).map(Computed::from)
}

fn future_price(inputs: &Value) -> Result<Fixed, Reason> {
    let days = either(inputs, &["days", "dte"])?;
    dederi::future_price(either(inputs, &INDEX)?, either(inputs, &BASIS)?, days).map_err(failed)
}

fn contingency(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &[&INDEX[..], &SIZE, &FACTOR, &["rule"]].concat())?;
    contingency_of(inputs).map(Computed::from)
}

fn contingency_of(inputs: &Value) -> Result<Fixed, Reason> {
    let stated = FACTOR.iter().any(|name| inputs.get(*name).is_some());
    let factor = if stated { either(inputs, &FACTOR)? } else { Fixed::ratio(6, 1000) };
    Ok(dederi::future_contingency(&[either(inputs, &SIZE)?], either(inputs, &INDEX)?, factor))
}

fn futures(inputs: &Value) -> Result<Computed, Reason> {
    let known = [&INDEX[..], &BASIS, &SIZE, &FACTOR, &["days", "dte", "rule", "moves"]].concat();
    field::only(inputs, "inputs", &known)?;
    let price = future_price(inputs)?;
    let moves = match inputs.get("moves").and_then(Value::as_array) {
        Some(items) => items.iter().map(|x| field::as_fixed(x, "moves")).collect::<Result<_, _>>()?,
        None => dederi::moves(),
    };
    let held = [(either(inputs, &SIZE)?, price)];
    let pnl: Vec<Fixed> = moves.into_iter().map(|by| dederi::future_pnl(&held, by)).collect();
    let contingency = contingency_of(inputs)?;
    let margin = dederi::margin(&pnl, contingency).map_err(failed)?;
    let rows = || Computed::List(pnl.iter().map(|x| (*x).into()).collect());
    Ok(Computed::Map(vec![
        ("future_price", price.into()),
        ("forward", price.into()),
        ("pnl", rows()),
        ("sim_pnl", rows()),
        ("scenario_pnl", rows()),
        ("contingency", contingency.into()),
        ("margin", margin.into()),
    ]))
}
