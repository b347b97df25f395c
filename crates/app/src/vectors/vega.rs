//! Vega: risk factors, price bounds, target stake, margins of positions and orders, levels, funding.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::vega::{
    self, Exposure, FundingTerms, LimitOrder, RiskFactors, Scaling, Slippage, Trading,
};
use plimsoll_quant::lognormal::Lognormal;
use plimsoll_types::{Fixed, Rounding, quantise};
use serde_json::Value;

/// What a risk model is made of.
const MODEL: [&str; 4] = ["risk_aversion_lambda", "tau_years", "mu", "sigma"];
/// What a position is margined by.
const POSITION: [&str; 6] =
    ["position", "mark", "risk_factor_long", "risk_factor_short", "linear_slippage", "quadratic_slippage"];
/// What else counts in a maintenance margin.
const MARGIN: [&str; 8] = [
    "buy_orders",
    "sell_orders",
    "funding_increment_per_unit",
    "auction",
    "auction_price",
    "position_factor",
    "orders_format",
    "rounding",
];

/// The functions whose names are Vega's own.
const OWN: [&str; 8] = [
    "lognormal_expected_shortfall_risk_factors",
    "target_stake",
    "target_stake_max_oi_window",
    "price_bounds",
    "isolated_order_margin",
    "perp_margin_with_funding",
    "perp_funding_payment",
    "margin_transfer",
];
/// Those that other venues have too: Vega's are told by their risk factors or prices.
const SHARED: [&str; 4] = ["maintenance_margin", "margin_levels", "liquidation_price", "funding_payment"];

/// A case of a function of Vega's.
pub(super) fn recognise(case: &Value) -> bool {
    let function = case.get("function").and_then(Value::as_str).unwrap_or_default();
    let has = |key| case.get("inputs").is_some_and(|inputs| inputs.get(key).is_some());
    let marks = ["risk_factor_long", "risk_factor_short", "risk_factor", "f_twap"];
    OWN.contains(&function) || SHARED.contains(&function) && marks.into_iter().any(has)
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    let function = field::text(case, "function")?;
    let computed = match function {
        "lognormal_expected_shortfall_risk_factors" => risk_factors(inputs)?,
        "price_bounds" => price_bounds(inputs)?,
        "target_stake" => target_stake(inputs)?,
        "target_stake_max_oi_window" => open_interest_max(inputs)?,
        "maintenance_margin" => Computed::Integer(maintenance_margin(inputs, &[])?),
        "margin_levels" => margin_levels(inputs)?,
        "margin_transfer" => margin_transfer(inputs)?,
        "isolated_order_margin" => isolated_order_margin(inputs)?,
        "perp_margin_with_funding" | "perp_funding_payment" | "funding_payment" => funding(inputs, expected)?,
        "liquidation_price" => liquidation_price(inputs)?,
        other => return Err(format!("unsupported: function {other}")),
    };
    let tolerance = if is_whole(&computed) { 0.0 } else { field::tolerance(case)? };
    ledger.against("", expected, &computed, Tolerance::Absolute(tolerance));
    Ok(())
}

/// Integers are compared as such and need no tolerance.
fn is_whole(computed: &Computed) -> bool {
    match computed {
        Computed::Integer(_) => true,
        Computed::Map(values) => values.iter().all(|(_, value)| is_whole(value)),
        _ => false,
    }
}

/// The named numbers and what a file may add in words.
fn only(inputs: &Value, known: &[&[&str]]) -> Result<(), Reason> {
    field::only(inputs, "inputs", &[known.concat(), vec!["rule", "note", "rounding"]].concat())
}

fn model(inputs: &Value) -> Result<RiskFactors, Reason> {
    let losses = losses(inputs)?;
    let fixed = |x: f64| Fixed::from_f64(x).map_err(|e| e.to_string());
    Ok(RiskFactors { long: fixed(losses.long)?, short: fixed(losses.short)? })
}

fn losses(inputs: &Value) -> Result<plimsoll_quant::lognormal::TailLosses, Reason> {
    let get = |name: &str| field::number(inputs, name);
    let price = Lognormal { mu: get("mu")?, vol: get("sigma")?, tau: get("tau_years")? };
    Ok(price.expected_shortfall(get("risk_aversion_lambda")?))
}

fn risk_factors(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&MODEL])?;
    let found = losses(inputs)?;
    Ok(Computed::Map(vec![("long", Computed::Number(found.long)), ("short", Computed::Number(found.short))]))
}

fn price_bounds(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&["mark", "horizon_seconds", "probability", "mu", "sigma", "year_seconds"]])?;
    let get = |name: &str| field::number(inputs, name);
    let year = field::number_if_any(inputs, "year_seconds")?.unwrap_or(vega::YEAR_SECONDS_JULIAN as f64);
    let price = Lognormal { mu: get("mu")?, vol: get("sigma")?, tau: get("horizon_seconds")? / year };
    let (low, high) = price.price_bounds(get("mark")?, get("probability")?);
    let tick = |bound, rounding| {
        let whole = quantise(bound, rounding).map_err(|e| e.to_string())?;
        Ok::<_, Reason>(Computed::Integer(i128::from(whole)))
    };
    Ok(Computed::Map(vec![("min", tick(low, Rounding::Up)?), ("max", tick(high, Rounding::Down)?)]))
}

fn target_stake(inputs: &Value) -> Result<Computed, Reason> {
    let factors = ["risk_factor_long", "risk_factor_short"];
    only(inputs, &[&["mark", "max_open_interest", "scaling_factor"], &MODEL, &factors])?;
    let get = |name: &str| field::fixed(inputs, name);
    let risk = match field::fixed_if_any(inputs, factors[0])? {
        Some(long) => RiskFactors { long, short: get(factors[1])? },
        None => model(inputs)?,
    };
    let (mark, open) = (field::integer(inputs, "mark")?, field::integer(inputs, "max_open_interest")?);
    let stake = vega::target_stake(mark, open, get("scaling_factor")?, risk);
    stake.map(Computed::Integer).map_err(|e| e.to_string())
}

fn open_interest_max(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&["open_interest_series", "now", "window", "market_open"]])?;
    let entry = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([at, open]) => {
            Ok((seconds(at, "open_interest_series")?, field::as_integer(open, "open_interest_series")?))
        }
        _ => Err(format!("`open_interest_series` has {pair}: expected an instant and an open interest")),
    };
    let series: Vec<(i64, i128)> =
        field::array(inputs, "open_interest_series")?.iter().map(entry).collect::<Result<_, _>>()?;
    let at = |name: &str| seconds(inputs.get(name).ok_or_else(|| format!("`{name}` is missing"))?, name);
    let open = vega::open_interest_max(&series, at("now")?, at("window")?, at("market_open")?);
    Ok(Computed::Integer(open))
}

/// Seconds of an instant `h:mm` or `h:mm:ss`, of a length such as `1h`, `90m`, `1h30m` or `3600s`, or as they are.
fn seconds(value: &Value, name: &str) -> Result<i64, Reason> {
    let unreadable = || format!("`{name}` has {value}: expected an instant h:mm or a length such as 1h");
    if value.is_number() {
        return i64::try_from(field::as_integer(value, name)?).map_err(|_| unreadable());
    }
    let text = value.as_str().map(str::trim).filter(|text| !text.is_empty()).ok_or_else(unreadable)?;
    let whole = |digits: &str| digits.parse::<i64>().ok().filter(|n| (0..1 << 32).contains(n));
    if text.contains(':') {
        let parts: Option<Vec<i64>> = text.split(':').map(whole).collect();
        return match parts.as_deref() {
            Some([hours, minutes]) => Ok(hours * 3600 + minutes * 60),
            Some([hours, minutes, seconds]) => Ok(hours * 3600 + minutes * 60 + seconds),
            _ => Err(unreadable()),
        };
    }
    let (mut sum, mut rest) = (0, text);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match rest[end..].chars().next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') | None => 1,
            Some(_) => return Err(unreadable()),
        };
        sum += whole(&rest[..end]).ok_or_else(unreadable)? * unit;
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(sum)
}

fn maintenance_margin(inputs: &Value, more: &[&str]) -> Result<i128, Reason> {
    only(inputs, &[&POSITION, &MARGIN, more])?;
    let get = |name: &str| field::fixed(inputs, name);
    let or_none = |name: &str| field::fixed_if_any(inputs, name).map(|x| x.unwrap_or(Fixed::ZERO));
    let factor = field::fixed_if_any(inputs, "position_factor")?.unwrap_or(Fixed::ONE);
    let (buys, sells) = (orders(inputs, "buy_orders", factor)?, orders(inputs, "sell_orders", factor)?);
    let auction =
        inputs.get("auction").is_some_and(|value| !value.is_null()) && field::flag(inputs, "auction")?;
    let indicative = field::integer_if_any(inputs, "auction_price")?.unwrap_or(0);
    let trading = if auction { Trading::Auction { price: indicative } } else { Trading::Continuous };
    let exposure = Exposure { position: get("position")? / factor, buys: &buys, sells: &sells, trading };
    let risk = RiskFactors { long: get("risk_factor_long")?, short: get("risk_factor_short")? };
    let slippage =
        Slippage { linear: or_none("linear_slippage")?, quadratic: or_none("quadratic_slippage")? };
    let funding = or_none("funding_increment_per_unit")?;
    let mark = field::integer(inputs, "mark")?;
    vega::maintenance_margin(risk, slippage, &exposure, mark, funding).map_err(|e| e.to_string())
}

/// Orders as `[size, price]`; none where the field is absent.
fn orders(inputs: &Value, name: &str, factor: Fixed) -> Result<Vec<LimitOrder>, Reason> {
    let Some(list) = inputs.get(name).filter(|value| !value.is_null()) else { return Ok(Vec::new()) };
    let order = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([size, price]) => {
            let (size, price) = (field::as_fixed(size, name)? / factor, field::as_integer(price, name)?);
            Ok(LimitOrder { size, price })
        }
        _ => Err(format!("`{name}` has {pair}: expected a size and a price")),
    };
    let of = list.as_array().ok_or_else(|| format!("`{name}` is not an array"))?;
    // An order of no size is not there.
    let real = |order: &Result<LimitOrder, Reason>| !order.as_ref().is_ok_and(|o| o.size == Fixed::ZERO);
    of.iter().map(order).filter(real).collect()
}

fn margin_levels(inputs: &Value) -> Result<Computed, Reason> {
    let margin = maintenance_margin(inputs, &["scaling"])?;
    let levels = vega::margin_levels(margin, scaling(inputs)?).map_err(|e| e.to_string())?;
    Ok(Computed::Map(vec![
        ("maintenance", Computed::Integer(levels.maintenance)),
        ("search", Computed::Integer(levels.search)),
        ("initial", Computed::Integer(levels.initial)),
        ("release", Computed::Integer(levels.release)),
    ]))
}

/// The factors of the levels; the network's where the case states none.
fn scaling(inputs: &Value) -> Result<Scaling, Reason> {
    if inputs.get("scaling").is_none_or(Value::is_null) {
        return Ok(Scaling::NETWORK);
    }
    let stated = field::object(inputs, "scaling")?;
    field::only(stated, "scaling", &["search", "initial", "release"])?;
    let get = |name: &str| field::fixed(stated, name);
    Ok(Scaling { search: get("search")?, initial: get("initial")?, release: get("release")? })
}

fn margin_transfer(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&["balance", "maintenance", "scaling"]])?;
    let maintenance = field::integer(inputs, "maintenance")?;
    let levels = vega::margin_levels(maintenance, scaling(inputs)?).map_err(|e| e.to_string())?;
    Ok(Computed::Integer(vega::transfer(field::integer(inputs, "balance")?, &levels)))
}

fn isolated_order_margin(inputs: &Value) -> Result<Computed, Reason> {
    let known =
        ["position", "buy_orders", "sell_orders", "position_factor", "margin_factor", "auction_price"];
    only(inputs, &[&known, &["auction", "orders_format"]])?;
    let (buys, sells) =
        (orders(inputs, "buy_orders", Fixed::ONE)?, orders(inputs, "sell_orders", Fixed::ONE)?);
    let trading = match field::integer_if_any(inputs, "auction_price")? {
        Some(price) => Trading::Auction { price },
        None => Trading::Continuous,
    };
    let exposure =
        Exposure { position: field::fixed(inputs, "position")?, buys: &buys, sells: &sells, trading };
    let factor = field::integer(inputs, "position_factor")?;
    let margin = vega::isolated_order_margin(&exposure, factor, field::fixed(inputs, "margin_factor")?);
    margin.map(Computed::Integer).map_err(|e| e.to_string())
}

/// The payment per unit, and where a margin is stated, the margin with it.
fn funding(inputs: &Value, expected: &Value) -> Result<Computed, Reason> {
    let prices = ["f_twap", "s_twap", "delta_t", "interest", "clamp_lower", "clamp_upper"];
    only(inputs, &[&prices, &["futures_margin", "position", "margin_funding_factor"]])?;
    let get = |name: &str| field::fixed(inputs, name);
    let terms = FundingTerms {
        years: get("delta_t")?,
        interest: get("interest")?,
        clamp_lower: get("clamp_lower")?,
        clamp_upper: get("clamp_upper")?,
    };
    let words = |e: plimsoll_margin::venue::VenueError| e.to_string();
    let payment = vega::funding_payment(get("f_twap")?, get("s_twap")?, terms).map_err(words)?;
    let Some(futures_margin) = field::fixed_if_any(inputs, "futures_margin")? else {
        return Ok(Computed::from(payment));
    };
    let added =
        vega::funding_margin(payment, get("position")?, get("margin_funding_factor")?).map_err(words)?;
    let margin = Computed::from(futures_margin + added);
    if !expected.is_object() {
        return Ok(margin);
    }
    Ok(Computed::Map(vec![("margin", margin), ("funding_payment", payment.into())]))
}

fn liquidation_price(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&POSITION, &["collateral", "funding", "funding_increment_per_unit", "risk_factor"]])?;
    let get = |name: &str| field::fixed(inputs, name);
    let or_none = |name: &str| field::fixed_if_any(inputs, name).map(|x| x.unwrap_or(Fixed::ZERO));
    let position = get("position")?;
    let risk = match field::fixed_if_any(inputs, "risk_factor")? {
        Some(both) => RiskFactors { long: both, short: both },
        None if position > Fixed::ZERO => RiskFactors { long: get("risk_factor_long")?, short: Fixed::LOST },
        None => RiskFactors { long: Fixed::LOST, short: get("risk_factor_short")? },
    };
    let slippage =
        Slippage { linear: or_none("linear_slippage")?, quadratic: or_none("quadratic_slippage")? };
    let funding = match field::fixed_if_any(inputs, "funding")? {
        Some(funding) => funding,
        None => or_none("funding_increment_per_unit")?,
    };
    let held = (position, get("mark")?);
    let price = vega::liquidation_price(get("collateral")?, held, funding, risk, slippage);
    price.map(Computed::from).map_err(|e| e.to_string())
}
