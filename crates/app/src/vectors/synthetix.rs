//! Synthetix: profit and available margin, requirements, fill prices, collateral discount, liquidation windows.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::venue::synthetix::{
    self, DiscountTerms, LiquidationTerms, MarketTerms, discounted_value, fill_price, position_pnl,
};
use plimsoll_types::Fixed;
use serde_json::Value;

const MARGIN: [&str; 6] = ["skew_scale", "im_ratio", "min_im_ratio", "mm_ratio", "min_margin", "flag_ratio"];
const LIQUIDATION: [&str; 7] =
    ["size", "maker_fee", "taker_fee", "skew_scale", "multiplier", "seconds", "per_window"];

/// The functions whose names are Synthetix's own.
const OWN: [&str; 8] = [
    "position_pnl_and_available_margin",
    "collateral_size_discount",
    "position_margins",
    "margin_ratios",
    "initial_and_maintenance_margin",
    "liquidation_windows",
    "withdrawable_margin",
    "flag_reward",
];

/// A case of a function of Synthetix's.
pub(super) fn recognise(case: &Value) -> bool {
    let function = case.get("function").and_then(Value::as_str).unwrap_or_default();
    let scaled = case.get("inputs").is_some_and(|inputs| inputs.get("skew_scale").is_some());
    OWN.contains(&function) || (function == "fill_price" && scaled)
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    let words = |e: VenueError| e.to_string();
    let computed = match field::text(case, "function")? {
        "position_pnl_and_available_margin" => return available_margin(inputs, expected, tolerance, ledger),
        "collateral_size_discount" => discount(inputs)?,
        "position_margins" | "margin_ratios" | "initial_and_maintenance_margin" => margins(inputs)?,
        "liquidation_windows" => windows(inputs)?,
        "withdrawable_margin" => {
            only(inputs, &["available_margin", "initial_margin", "flag_rewards"])?;
            let get = |name: &str| field::fixed(inputs, name);
            let parts = (get("available_margin")?, get("initial_margin")?, get("flag_rewards")?);
            synthetix::withdrawable(parts.0, parts.1, parts.2).map_err(words)?.into()
        }
        "flag_reward" => {
            only(inputs, &["size", "price", "flag_ratio"])?;
            let get = |name: &str| field::fixed(inputs, name);
            synthetix::flag_reward(get("size")?, get("price")?, get("flag_ratio")?).map_err(words)?.into()
        }
        _ => {
            only(inputs, &["skew", "skew_scale", "size", "price"])?;
            let get = |name: &str| field::fixed(inputs, name);
            let price = fill_price(get("skew")?, get("skew_scale")?, get("size")?, get("price")?);
            price.map_err(words)?.into()
        }
    };
    ledger.against("", expected, &computed, tolerance);
    Ok(())
}

fn only(inputs: &Value, known: &[&str]) -> Result<(), Reason> {
    field::only(inputs, "inputs", &[known, &["rule", "note"]].concat())
}

/// Profit per market and what it leaves of the collateral.
fn available_margin(
    inputs: &Value,
    expected: &Value,
    tolerance: Tolerance,
    ledger: &mut Ledger,
) -> Result<(), Reason> {
    only(inputs, &["collateral_usd", "positions", "mark_prices"])?;
    let marks = field::object(inputs, "mark_prices")?;
    let mut available = field::fixed(inputs, "collateral_usd")?;
    let mut profits: Vec<(&str, Fixed)> = Vec::new();
    for position in field::array(inputs, "positions")? {
        let market = field::text(position, "market")?;
        let profit = profit(position, field::fixed(marks, market)?)?;
        available = available + profit;
        profits.push((market, profit));
    }
    profits.push(("available_margin", available));
    let named = expected.as_object().ok_or("`expected` is not an object")?;
    for (name, value) in named {
        match profits.iter().find(|(market, _)| market == name) {
            Some((_, found)) => ledger.against(name, value, &Computed::from(*found), tolerance),
            None => ledger.refused(name, value.to_string(), "unsupported quantity".to_owned()),
        }
    }
    Ok(())
}

/// Profit at the mark since the fill, which pays for half the position's own impact on the skew before it.
fn profit(position: &Value, mark: Fixed) -> Result<Fixed, Reason> {
    let known = ["market", "size", "entry_oracle_price", "skewScale", "skew"];
    field::only(position, "a position", &known)?;
    let get = |name: &str| field::fixed(position, name);
    let (size, scale, skew) = (get("size")?, get("skewScale")?, field::fixed_if_any(position, "skew")?);
    let fill = fill_price(skew.unwrap_or(Fixed::ZERO), scale, size, get("entry_oracle_price")?);
    fill.and_then(|fill| position_pnl(size, fill, mark)).map_err(|e| e.to_string())
}

fn discount(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["amount", "price", "spot_skew_scale", "lower_limit", "upper_limit", "discount_scalar"])?;
    let get = |name: &str| field::fixed(inputs, name);
    let terms = DiscountTerms {
        skew_scale: get("spot_skew_scale")?,
        scalar: get("discount_scalar")?,
        lower: get("lower_limit")?,
        upper: get("upper_limit")?,
    };
    let amount = get("amount")?;
    let discount = synthetix::size_discount(amount, &terms).map_err(|e| e.to_string())?;
    let Some(price) = field::fixed_if_any(inputs, "price")? else {
        return Ok(Computed::Map(vec![("discount", discount.into())]));
    };
    let value = discounted_value(amount, price, &terms).map_err(|e| e.to_string())?;
    Ok(Computed::Map(vec![("discount", discount.into()), ("value", value.into())]))
}

fn margins(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&["size", "price"], &MARGIN[..]].concat())?;
    let get = |name: &str| field::fixed(inputs, name);
    let or = |name: &str, other| field::fixed_if_any(inputs, name).map(|x| x.unwrap_or(other));
    let terms = MarketTerms {
        skew_scale: get("skew_scale")?,
        im_ratio: get("im_ratio")?,
        im_ratio_min: get("min_im_ratio")?,
        mm_scale: get("mm_ratio")?,
        margin_min: or("min_margin", Fixed::ZERO)?,
        flag_ratio: or("flag_ratio", Fixed::ZERO)?,
    };
    let (size, words) = (get("size")?, |e: VenueError| e.to_string());
    let ratios = synthetix::margin_ratios(size, &terms).map_err(words)?;
    let mut found = vec![("imr", Computed::from(ratios.im)), ("mmr", ratios.mm.into())];
    if let Some(price) = field::fixed_if_any(inputs, "price")? {
        let margins = synthetix::margins(size, price, &terms).map_err(words)?;
        let reward = synthetix::flag_reward(size, price, terms.flag_ratio).map_err(words)?;
        found.extend([("im", margins.im.into()), ("mm", margins.mm.into()), ("flag_reward", reward.into())]);
    }
    Ok(Computed::Map(found))
}

fn windows(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &LIQUIDATION)?;
    let get = |name: &str| field::fixed(inputs, name);
    let per_window = match field::fixed_if_any(inputs, "per_window")? {
        Some(stated) => stated,
        None => synthetix::liquidation_per_window(&LiquidationTerms {
            maker_fee: get("maker_fee")?,
            taker_fee: get("taker_fee")?,
            skew_scale: get("skew_scale")?,
            multiplier: get("multiplier")?,
            window_seconds: get("seconds")?,
        })
        .map_err(|e| e.to_string())?,
    };
    let windows = synthetix::liquidation_windows(get("size")?, per_window).map_err(|e| e.to_string())?;
    Ok(Computed::Map(vec![("per_window", per_window.into()), ("windows", Computed::Integer(windows))]))
}
