//! Hyperliquid: tiered margin, liquidation prices and parts, borrowing, portfolio margin; Bybit's margins, which are
//! tiers of the same kind; and the fixed ratio.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::venue::curves::{TierRate, fixed_ratio, leveraged_margin, tier_of, tiered};
use plimsoll_margin::venue::hyperliquid::{self, Holding, LeverageTier, PortfolioAccount, SpotCollateral};
use plimsoll_types::Fixed;
use serde_json::Value;

/// The functions whose names belong to these venues alone.
const OWN: [&str; 9] = [
    "tiered_maintenance_margin",
    "borrow_rate",
    "partial_liquidation",
    "backstop_threshold",
    "portfolio_margin_ratio",
    "bybit_initial_margin",
    "bybit_maintenance_margin",
    "fixed_ratio_requirement",
    "debt_ratio_requirement",
];

/// A case of a function of Hyperliquid's, Bybit's or the fixed ratio's.
pub(super) fn recognise(case: &Value) -> bool {
    let function = case.get("function").and_then(Value::as_str).unwrap_or_default();
    let tells = |key| case.get("inputs").is_some_and(|inputs| inputs.get(key).is_some());
    OWN.contains(&function)
        || function.starts_with("bybit_")
        || (function == "liquidation_price" && tells("margin_available"))
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    let get = |name: &str| field::fixed(inputs, name);
    let words = |e: VenueError| e.to_string();
    let computed = match field::text(case, "function")? {
        "tiered_maintenance_margin" => tiered_margin(inputs)?,
        "liquidation_price" => liquidation_price(inputs)?,
        "borrow_rate" => {
            only(inputs, &["utilisation"])?;
            hyperliquid::borrow_rate(get("utilisation")?).map_err(words)?.into()
        }
        "partial_liquidation" => {
            only(inputs, &["notional"])?;
            hyperliquid::first_liquidation(get("notional")?).map_err(words)?.into()
        }
        "backstop_threshold" => {
            only(inputs, &["maintenance_margin"])?;
            hyperliquid::backstop_equity(get("maintenance_margin")?).map_err(words)?.into()
        }
        "portfolio_margin_ratio" => portfolio_ratio(inputs)?,
        "bybit_initial_margin" => bybit_initial(inputs)?,
        "fixed_ratio_requirement" | "debt_ratio_requirement" => fixed(inputs)?,
        name if name.starts_with("bybit_") => bybit_maintenance(inputs)?,
        other => return Err(format!("unsupported: function {other}")),
    };
    let single = match (&computed, expected.is_object()) {
        // A file may expect the first of the values alone.
        (Computed::Map(values), false) => values.first().map(|(_, value)| value.clone()),
        _ => None,
    };
    let tolerance = Tolerance::Absolute(field::tolerance(case)?);
    ledger.against("", expected, single.as_ref().unwrap_or(&computed), tolerance);
    Ok(())
}

fn only(inputs: &Value, known: &[&str]) -> Result<(), Reason> {
    field::only(inputs, "inputs", &[known, &["rule", "note", "asset", "symbol"]].concat())
}

/// The number under the first of the names that there is.
fn first(inputs: &Value, names: &[&str]) -> Result<Fixed, Reason> {
    let found = names.iter().find(|name| inputs.get(**name).is_some_and(|value| !value.is_null()));
    field::fixed(inputs, found.ok_or_else(|| format!("`{}` is missing", names.join("` or `")))?)
}

fn tiered_margin(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["notional", "tiers"])?;
    let tier = |tier: &Value| {
        field::only(tier, "a tier", &["lower_bound", "max_leverage"])?;
        let (from, leverage) = (field::fixed(tier, "lower_bound")?, field::fixed(tier, "max_leverage")?);
        Ok(LeverageTier { from, leverage_max: leverage })
    };
    let tiers: Vec<LeverageTier> =
        field::array(inputs, "tiers")?.iter().map(tier).collect::<Result<_, Reason>>()?;
    let found = hyperliquid::maintenance_margin(&tiers, field::fixed(inputs, "notional")?);
    let found = found.map_err(|e| e.to_string())?;
    Ok(Computed::Map(vec![
        ("margin", found.margin.into()),
        ("rate", found.rate.into()),
        ("deduction", found.deduction.into()),
    ]))
}

fn liquidation_price(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["price", "side", "margin_available", "position_size", "max_leverage", "l"])?;
    let get = |name: &str| field::fixed(inputs, name);
    let holding = Holding {
        price: get("price")?,
        size: get("side")? * get("position_size")?.abs(),
        margin_available: get("margin_available")?,
        leverage_max: get("max_leverage")?,
    };
    hyperliquid::liquidation_price(&holding).map(Computed::from).map_err(|e| e.to_string())
}

fn portfolio_ratio(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["cross_maintenance_margin", "borrowed", "balance", "collateral"])?;
    let asset = |asset: &Value| {
        let known = ["asset", "balance", "price", "ltv", "supply_cap", "borrow_cap"];
        field::only(asset, "a collateral", &known)?;
        let get = |name: &str| field::fixed(asset, name);
        Ok(SpotCollateral {
            balance: get("balance")?,
            price: get("price")?,
            ltv: get("ltv")?,
            supply_cap: get("supply_cap")?,
            borrow_cap: get("borrow_cap")?,
        })
    };
    let assets: Vec<SpotCollateral> =
        field::array(inputs, "collateral")?.iter().map(asset).collect::<Result<_, Reason>>()?;
    let get = |name: &str| field::fixed(inputs, name);
    let account = PortfolioAccount {
        cross_maintenance: get("cross_maintenance_margin")?,
        borrowed: get("borrowed")?,
        balance: get("balance")?,
        collateral: &assets,
    };
    let ratio = hyperliquid::portfolio_ratio(&account).map_err(|e| e.to_string())?;
    let liquidatable = Computed::Flag(hyperliquid::portfolio_liquidatable(ratio));
    Ok(Computed::Map(vec![("ratio", ratio.into()), ("liquidatable", liquidatable)]))
}

const VALUE: [&str; 3] = ["position_value", "notional", "value"];

fn bybit_initial(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&VALUE[..], &["leverage"]].concat())?;
    let margin = leveraged_margin(first(inputs, &VALUE)?, field::fixed(inputs, "leverage")?);
    margin.map(Computed::from).map_err(|e| e.to_string())
}

/// Marginal tiers by their lower edges, or by their limits, the upper ones.
fn bybit_maintenance(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &[&VALUE[..], &["tiers", "leverage"]].concat())?;
    let (mut tiers, mut below) = (Vec::new(), Fixed::ZERO);
    for tier in field::array(inputs, "tiers")? {
        let rate = first(tier, &["mm_rate", "mmr", "rate", "maintenance_margin_rate"])?;
        let from = match field::fixed_if_any(tier, "lower_bound")? {
            Some(edge) => edge,
            None => below,
        };
        if let Some(limit) = field::fixed_if_any(tier, "limit")? {
            below = limit;
        }
        tiers.push(TierRate { from, rate });
    }
    let value = first(inputs, &VALUE)?;
    let words = |e: VenueError| e.to_string();
    let margin = tiered(&tiers, value).map_err(words)?;
    let (rate, deduction) = tier_of(&tiers, value).map_err(words)?;
    let mut found = vec![("margin", Computed::from(margin)), ("mm", margin.into())];
    found.extend([
        ("maintenance_margin", margin.into()),
        ("rate", rate.into()),
        ("deduction", deduction.into()),
    ]);
    if let Some(leverage) = field::fixed_if_any(inputs, "leverage")? {
        let im = leveraged_margin(value, leverage).map_err(words)?;
        found.extend([("im", im.into()), ("initial_margin", im.into())]);
    }
    Ok(Computed::Map(found))
}

fn fixed(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["ratio", "debt", "notionals"])?;
    let sizes = match field::fixed_if_any(inputs, "debt")? {
        Some(debt) => vec![debt],
        None => {
            let list = field::array(inputs, "notionals")?.iter();
            list.map(|value| field::as_fixed(value, "notionals")).collect::<Result<_, _>>()?
        }
    };
    let requirement = fixed_ratio(field::fixed(inputs, "ratio")?, &sizes);
    requirement.map(Computed::from).map_err(|e| e.to_string())
}
