//! Paradex: SCAN, minimum on delta, cross margin, partial liquidation, rules of acceptance.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::paradex_cross::{OptionTerms, long_option, perpetual, short_option};
use plimsoll_margin::venue::paradex_portfolio::{
    LiquidationTerms, accepts, liquidation_share, liquidation_step, minimum_delta, position_room,
    requirement, scan,
};
use plimsoll_quant::black::OptionKind;
use plimsoll_risk::{Move, OptionLeg, Sticky, VolShock, VolShockKind, revalue};
use plimsoll_types::Fixed;
use serde_json::Value;

type Check = fn(&Value) -> Result<Computed, Reason>;

/// Days of a year, ACT/365.
const YEAR_DAYS: f64 = 365.0;

fn method(case: &Value) -> Option<Check> {
    Some(match case.get("function")?.as_str()? {
        "min_delta_requirement" => min_delta,
        "partial_liquidation_step" => step,
        "partial_liquidation_share" | "min_liquidation_share" | "liquidation_share" => share,
        "cross_short_option_imr" | "cross_short_option_mmr" | "cross_short_option" => short,
        "cross_long_option_imr" | "cross_long_option_mmr" | "cross_long_option" => long,
        "cross_perp_imr" | "perp_imr" | "cross_perp_net_imr" | "cross_margin_perp_imr" => perp,
        "order_accepted" | "order_acceptance" | "order_risk_check" => order,
        "position_limit" | "position_limit_room" | "position_room" => room,
        "portfolio_margin" | "portfolio_imr" | "portfolio_margin_requirement" => portfolio,
        name if name.starts_with("scan_risk") => scan_risk,
        _ => return None,
    })
}

/// A case of one of Paradex's functions.
pub(super) fn recognise(case: &Value) -> bool {
    let named = case.get("id").and_then(Value::as_str).is_some_and(|id| id.starts_with("paradex/"));
    let own = case.get("function").and_then(Value::as_str).is_some_and(|name| {
        name.starts_with("scan_risk") || name.starts_with("cross_") || name.starts_with("partial_liquidation")
    });
    (named || own || case.get("function").is_some_and(|f| f == "min_delta_requirement"))
        && method(case).is_some()
}

/// Checks a case at the tolerance that it states.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let method = method(case).ok_or("unsupported function")?;
    let computed = method(field::object(case, "inputs")?)?;
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    ledger.against("", expected, &computed, tolerance);
    Ok(())
}

fn number(x: Fixed) -> Computed {
    x.into()
}

fn min_delta(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["legs", "spot", "unhedged_factor", "hedged_factor"])?;
    let delta = |leg: &Value| {
        field::only(leg, "legs", &["qty", "delta", "type"])?;
        Ok(field::fixed(leg, "qty")? * field::fixed(leg, "delta")?)
    };
    let deltas = field::array(inputs, "legs")?.iter().map(delta).collect::<Result<Vec<_>, Reason>>()?;
    let factors = (field::fixed(inputs, "unhedged_factor")?, field::fixed(inputs, "hedged_factor")?);
    Ok(number(minimum_delta(&deltas, field::fixed(inputs, "spot")?, factors)))
}

fn step(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["account_value", "mmr", "liquidation_share", "liquidation_fee"])?;
    let get = |name: &str| field::fixed(inputs, name);
    let of = liquidation_step(
        get("account_value")?,
        get("mmr")?,
        get("liquidation_share")?,
        get("liquidation_fee")?,
    );
    let ratio = of.margin_ratio.map_or_else(
        || Computed::Text("no account value is left".to_owned()),
        |ratio| number(ratio * Fixed::from(100)),
    );
    Ok(Computed::Map(vec![
        ("new_mmr", of.mmr.into()),
        ("penalty", of.penalty.into()),
        ("new_account_value", of.account_value.into()),
        ("new_margin_ratio_pct", ratio),
    ]))
}

fn share(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["account_value", "mmr", "liquidation_fee", "step", "target_ratio", "target"];
    field::only(inputs, "inputs", &known)?;
    let or = |name: &str, usual: &str| match field::fixed_if_any(inputs, name)? {
        Some(stated) => Ok(stated),
        None => usual.parse::<Fixed>().map_err(|e| e.to_string()),
    };
    let step = or("step", "0.2")?;
    let steps = (Fixed::ONE / step).known().unwrap_or(0) / 1_000_000_000_000_000_000;
    let steps = i64::try_from(steps).map_err(|e| e.to_string())?;
    if Fixed::from(steps) * step != Fixed::ONE {
        return Err(format!("unsupported: a step of {step}"));
    }
    let target =
        if inputs.get("target").is_some() { or("target", "0.9")? } else { or("target_ratio", "0.9")? };
    let terms = LiquidationTerms { fee: or("liquidation_fee", "0.5")?, steps, target };
    let found =
        liquidation_share(field::fixed(inputs, "account_value")?, field::fixed(inputs, "mmr")?, &terms);
    found.map(number).map_err(|e| e.to_string())
}

/// The first of several names that is there.
fn either(inputs: &Value, names: &[&str]) -> Result<Fixed, Reason> {
    let found = names.iter().find(|name| inputs.get(**name).is_some_and(|value| !value.is_null()));
    field::fixed(inputs, found.or(names.first()).copied().unwrap_or_default())
}

fn terms(inputs: &Value) -> Result<OptionTerms, Reason> {
    let or_zero = |name: &str| Ok::<_, Reason>(field::fixed_if_any(inputs, name)?.unwrap_or_default());
    let multiplier = field::fixed_if_any(inputs, "premium_multiplier")?.unwrap_or(Fixed::ONE);
    let cap = match field::fixed_if_any(inputs, "put_cap")? {
        Some(cap) => Some(cap),
        None => field::fixed_if_any(inputs, "short_put_cap")?,
    };
    Ok(OptionTerms {
        premium_multiplier: multiplier,
        long_itm: or_zero("long_itm")?,
        short_itm: or_zero("short_itm")?,
        short_otm: or_zero("short_otm")?,
        put_cap: cap,
    })
}

fn short(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["type", "strike", "spot", "short_itm", "short_otm", "put_cap", "short_put_cap", "qty"];
    field::only(inputs, "inputs", &known)?;
    let (strike, spot) = (field::fixed(inputs, "strike")?, field::fixed(inputs, "spot")?);
    field::fixed(inputs, "short_itm")?;
    field::fixed(inputs, "short_otm")?;
    let kind = match field::kind(inputs)? {
        OptionKind::Call => plimsoll_types::OptionKind::Call,
        OptionKind::Put => plimsoll_types::OptionKind::Put,
    };
    let size = field::fixed_if_any(inputs, "qty")?.unwrap_or(Fixed::ONE).abs();
    Ok(number(size * short_option(&terms(inputs)?, kind, strike, spot)))
}

fn long(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["type", "strike", "spot", "mark", "mark_price", "long_itm", "premium_multiplier", "qty"];
    field::only(inputs, "inputs", &known)?;
    field::fixed(inputs, "long_itm")?;
    let mark = either(inputs, &["mark", "mark_price"])?;
    let size = field::fixed_if_any(inputs, "qty")?.unwrap_or(Fixed::ONE).abs();
    Ok(number(size * long_option(&terms(inputs)?, mark, field::fixed(inputs, "spot")?)))
}

fn perp(inputs: &Value) -> Result<Computed, Reason> {
    let known =
        ["position", "qty", "buys", "buy_orders", "sells", "sell_orders", "imf", "mark", "mark_price"];
    field::only(inputs, "inputs", &known)?;
    let quantity = either(inputs, &["position", "qty"])?;
    let orders = (either(inputs, &["buys", "buy_orders"])?, either(inputs, &["sells", "sell_orders"])?);
    let mark = either(inputs, &["mark", "mark_price"])?;
    Ok(number(perpetual(field::fixed(inputs, "imf")?, mark, quantity, orders)))
}

fn order(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["account_value", "imr_before", "imr", "imr_after", "new_imr"];
    field::only(inputs, "inputs", &known)?;
    let before = either(inputs, &["imr_before", "imr"])?;
    let after = either(inputs, &["imr_after", "new_imr"])?;
    Ok(Computed::Flag(accepts(field::fixed(inputs, "account_value")?, before, after)))
}

fn room(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["limit", "position_limit", "position", "qty", "buy_orders", "sell_orders"];
    field::only(inputs, "inputs", &known)?;
    let or_zero = |name: &str| Ok::<_, Reason>(field::fixed_if_any(inputs, name)?.unwrap_or_default());
    let orders = (or_zero("buy_orders")?, or_zero("sell_orders")?);
    let limit = either(inputs, &["limit", "position_limit"])?;
    let (buy, sell) = position_room(limit, either(inputs, &["position", "qty"])?, orders);
    let rooms = [("buy_room", buy), ("sell_room", sell), ("max_buy", buy), ("max_sell", sell)];
    Ok(Computed::Map(rooms.map(|(name, room)| (name, number(room))).to_vec()))
}

fn portfolio(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["scan_risk", "min_delta", "funding_8h", "funding", "fees", "mm_factor"])?;
    let or_zero = |name: &str| Ok::<_, Reason>(field::fixed_if_any(inputs, name)?.unwrap_or_default());
    let net = (field::fixed(inputs, "scan_risk")?, field::fixed(inputs, "min_delta")?);
    let provisions = or_zero("funding_8h")? + or_zero("funding")? + or_zero("fees")?;
    let factor = field::fixed_if_any(inputs, "mm_factor")?.unwrap_or(Fixed::ratio(1, 2));
    let (im, mm) = requirement(net, provisions, factor);
    Ok(Computed::Map(vec![("imr", im.into()), ("mmr", mm.into())]))
}

/// How the least upward shock is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    ShockedVol,
    Shock,
}

struct Config {
    shock: VolShock,
    up: f64,
    down: f64,
    least: Least,
    least_up: f64,
}

impl Config {
    fn read(config: &Value, pricing: Option<&str>) -> Result<Self, Reason> {
        let known = [
            "grid",
            "tails",
            "vol_up",
            "vol_down",
            "dte_floor",
            "short_vega_power",
            "long_vega_power",
            "min_vol_shock_up",
        ];
        field::only(config, "config", &known)?;
        let get = |name: &str| field::number(config, name);
        let least_up = field::number_if_any(config, "min_vol_shock_up")?.unwrap_or(0.0);
        let of_the_shock = pricing.is_some_and(|text| text.contains("floor on the shock,"));
        let least = if of_the_shock { Least::Shock } else { Least::ShockedVol };
        let shock = VolShock {
            kind: VolShockKind::Relative,
            power_short: get("short_vega_power")?,
            power_long: get("long_vega_power")?,
            dte_floor: get("dte_floor")?,
            min_vol_up: if least == Least::ShockedVol { least_up } else { 0.0 },
            skew: None,
            sticky: Sticky::Strike,
        };
        Ok(Self { shock, up: get("vol_up")?, down: get("vol_down")?, least, least_up })
    }

    /// The move of volatility of a scenario, for an expiry so many days away, before the tenor scale.
    fn vol(&self, scenario: &Value, days: f64) -> Result<f64, Reason> {
        let scale = self.shock.scale(days);
        match field::text(scenario, "vol")? {
            "up" if self.least == Least::Shock => Ok((self.up * scale).max(self.least_up) / scale),
            "up" => Ok(self.up),
            "down" => Ok(-self.down),
            "none" | "same" => Ok(0.0),
            other => Err(format!("`vol` is `{other}`: expected up, down or none")),
        }
    }
}

fn scan_risk(inputs: &Value) -> Result<Computed, Reason> {
    field::only(inputs, "inputs", &["legs", "spot", "config", "pricing"])?;
    let spot = field::number(inputs, "spot")?;
    let stated = field::object(inputs, "config")?;
    let config = Config::read(stated, inputs.get("pricing").and_then(Value::as_str))?;
    let legs = field::array(inputs, "legs")?;
    let mut weighted = Vec::new();
    for scenario in field::array(stated, "grid")?.iter().chain(field::array(stated, "tails")?) {
        field::only(scenario, "scenario", &["spot", "vol", "weight"])?;
        let mut pnl = Fixed::ZERO;
        for leg in legs {
            pnl = pnl + leg_pnl(leg, spot, scenario, &config)?;
        }
        weighted.push(pnl * field::fixed(scenario, "weight")?);
    }
    let risk = scan(&weighted);
    let rows = Computed::List(weighted.into_iter().map(Computed::from).collect());
    Ok(Computed::Map(vec![("scan_risk", risk.into()), ("weighted_pnl", rows)]))
}

fn leg_pnl(leg: &Value, spot: f64, scenario: &Value, config: &Config) -> Result<Fixed, Reason> {
    field::only(leg, "legs", &["type", "qty", "strike", "dte", "iv"])?;
    let fixed = |x: f64| Fixed::from_f64(x).map_err(|e| e.to_string());
    let quantity = field::fixed(leg, "qty")?;
    let by = field::number(scenario, "spot")?;
    if matches!(field::text(leg, "type")?, "perp" | "perpetual" | "spot") {
        return Ok(quantity * fixed(spot)? * field::fixed(scenario, "spot")?);
    }
    let days = field::number(leg, "dte")?;
    let of = OptionLeg {
        kind: field::kind(leg)?,
        strike: field::number(leg, "strike")?,
        fixed: 0.0,
        variable: spot,
        vol: field::number(leg, "iv")?,
        tau: days / YEAR_DAYS,
    };
    let to = Move { spot: by, vol: config.vol(scenario, days)?, ..Move::default() };
    let value = |by: &Move| revalue(&of, &config.shock, by).map_err(|e| e.to_string());
    Ok(quantity * fixed(value(&to)? - value(&Move::default())?)?)
}
