//! Cases of Drift: exact integers in the venue's units.

use super::field::{self, Reason};
use super::function::{self, Compute};
use super::{Computed, Ledger, Tolerance};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::venue::drift::{
    Exchange, HighLeverage, Limit, LiquidationFees, MarginType, OracleAction, OracleValidity, PRICE_UNITS,
    Pace, PerpRatios, SpotWeights, StrictPrice, base_to_cover, fee_by_slots, liability_to_cover,
    liquidation_multiplier, own_liability_weight, own_ratio, perp_insurance_fee, perp_margin_ratio,
    perp_requirement, quote_balance, quoted_price, requirement_of, scaled_initial_asset_weight,
    share_to_liquidate, spot_asset_weight, spot_insurance_fee, spot_liability_weight, token_value,
    unrealised_pnl_weight,
};
use serde_json::Value;

/// Every function, by the name that files give it.
const FUNCTIONS: [(&str, Compute); 17] = [
    ("spot_asset_weight", asset_weight),
    ("spot_liability_weight", liability_weight),
    ("scaled_initial_asset_weight", scaled_weight),
    ("unrealized_pnl_asset_weight_initial", pnl_weight),
    ("perp_initial_margin_requirement", initial_requirement),
    ("perp_margin_requirement", requirement),
    ("perp_margin_ratio", margin_ratio),
    ("base_asset_amount_to_cover_margin_shortage", base_amount),
    ("liability_transfer_to_cover_margin_shortage", liability_transfer),
    ("perp_if_fee", perp_fee),
    ("spot_if_fee", spot_fee),
    ("liquidation_fee_by_slots", fee),
    ("max_pct_to_liquidate", share),
    ("liquidation_multiplier", multiplier),
    ("account_margin_with_user_custom_ratio", own_ratio_account),
    ("strict_quote_price_depeg", strict_quote),
    ("oracle_valid_for_action", oracle_action),
];

/// Whether a case is one of Drift.
pub(super) fn recognise(case: &Value) -> bool {
    function::named(&FUNCTIONS, case).is_some()
}

/// Computes a case and compares everything it expects.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    function::check(&FUNCTIONS, case, Tolerance::Absolute(0.0), ledger)
}

fn whole(number: Result<i128, VenueError>) -> Result<Computed, Reason> {
    number.map(Computed::Integer).map_err(|e| e.to_string())
}

/// Refuses inputs that are not `known`; a `rule` in words is allowed.
fn only(inputs: &Value, known: &[&str]) -> Result<(), Reason> {
    field::only(inputs, "inputs", &[known, &["rule"]].concat())
}

fn small(case: &Value, name: &str) -> Result<u32, Reason> {
    let number = field::integer(case, name)?;
    u32::try_from(number).map_err(|_| format!("`{name}` is {number}: expected 0 to 2^32 - 1"))
}

/// A factor or ratio of a market that has none where the field is absent or null.
fn small_or_none(case: &Value, name: &str) -> Result<u32, Reason> {
    if field::integer_if_any(case, name)?.is_none() { Ok(0) } else { small(case, name) }
}

fn kind(inputs: &Value) -> Result<MarginType, Reason> {
    match field::text(inputs, "type")? {
        "Initial" => Ok(MarginType::Initial),
        "Fill" => Ok(MarginType::Fill),
        "Maintenance" => Ok(MarginType::Maintenance),
        other => Err(format!("`type` is `{other}`: expected Initial, Fill or Maintenance")),
    }
}

/// The weights of a market; those that a type does not need may be absent.
fn spot(market: &Value, needed: &[&str]) -> Result<SpotWeights, Reason> {
    field::only(market, "market", &["ia", "ma", "il", "ml", "decimals", "imf", "scale_start"])?;
    let weight = |name: &str| if needed.contains(&name) { small(market, name) } else { Ok(0) };
    Ok(SpotWeights {
        asset_initial: weight("ia")?,
        asset_maintenance: weight("ma")?,
        liability_initial: weight("il")?,
        liability_maintenance: weight("ml")?,
        decimals: small(market, "decimals")?,
        imf: small_or_none(market, "imf")?,
    })
}

fn needed<'a>(kind: MarginType, initial: &'a str, maintenance: &'a str) -> Vec<&'a str> {
    match kind {
        MarginType::Initial => vec![initial],
        MarginType::Maintenance => vec![maintenance],
        MarginType::Fill => vec![initial, maintenance],
    }
}

/// The scale of the initial weight, of a market that has a start of it: its deposits at the oracle price.
fn scaled(inputs: &Value, market: &SpotWeights) -> Result<i128, Reason> {
    let start = field::integer_if_any(field::object(inputs, "market")?, "scale_start")?.unwrap_or(0);
    if start == 0 {
        return Ok(i128::from(market.asset_initial));
    }
    let price = StrictPrice::plain(field::integer(inputs, "price")?);
    let deposits = token_value(field::integer(inputs, "total_deposits")?, market.decimals, price);
    let weight = deposits.and_then(|value| scaled_initial_asset_weight(market.asset_initial, start, value));
    weight.map_err(|e| e.to_string())
}

fn asset_weight(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["market", "size", "price", "type", "total_deposits"])?;
    let kind = kind(inputs)?;
    let market = spot(field::object(inputs, "market")?, &needed(kind, "ia", "ma"))?;
    let initial = if kind == MarginType::Maintenance { 0 } else { scaled(inputs, &market)? };
    whole(spot_asset_weight(&market, initial, field::integer(inputs, "size")?, kind))
}

fn liability_weight(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["market", "size", "price", "type"])?;
    let kind = kind(inputs)?;
    let market = spot(field::object(inputs, "market")?, &needed(kind, "il", "ml"))?;
    whole(spot_liability_weight(&market, field::integer(inputs, "size")?, kind))
}

fn scaled_weight(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["market", "total_deposits", "price"])?;
    let market = spot(field::object(inputs, "market")?, &["ia"])?;
    scaled(inputs, &market).map(Computed::Integer)
}

fn pnl_weight(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["initial_weight", "imf", "pnl"])?;
    let (weight, imf) = (small(inputs, "initial_weight")?, small_or_none(inputs, "imf")?);
    whole(unrealised_pnl_weight(weight, imf, field::integer(inputs, "pnl")?))
}

fn perp(inputs: &Value) -> Result<PerpRatios, Reason> {
    let market = field::object(inputs, "market")?;
    field::only(market, "market", &["i", "m", "hli", "hlm", "imf", "status"])?;
    let settlement = match market.get("status") {
        None | Some(Value::Null) => false,
        Some(_) => field::text(market, "status")? == "Settlement",
    };
    let lifted = (small_or_none(market, "hli")?, small_or_none(market, "hlm")?);
    Ok(PerpRatios {
        initial: small(market, "i")?,
        maintenance: small(market, "m")?,
        imf: small_or_none(market, "imf")?,
        high_leverage: Some(HighLeverage { initial: lifted.0, maintenance: lifted.1 }),
        settlement,
    })
}

/// High-leverage mode, off where it is not stated.
fn lifted(inputs: &Value) -> Result<bool, Reason> {
    match inputs.get("high_leverage") {
        None | Some(Value::Null) => Ok(false),
        Some(_) => field::flag(inputs, "high_leverage"),
    }
}

fn margin_ratio(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["market", "size", "type", "high_leverage"])?;
    let size = field::integer(inputs, "size")?;
    whole(perp_margin_ratio(&perp(inputs)?, size, kind(inputs)?, lifted(inputs)?))
}

fn initial_requirement(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["base", "price", "market", "high_leverage", "quote_price", "user_max_margin_ratio"])?;
    perp_position(inputs, MarginType::Initial)
}

fn requirement(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["base", "price", "market", "type", "high_leverage", "quote_price", "user_max_margin_ratio"];
    only(inputs, &known)?;
    perp_position(inputs, kind(inputs)?)
}

fn perp_position(inputs: &Value, kind: MarginType) -> Result<Computed, Reason> {
    let (base, price) = (field::integer(inputs, "base")?, field::integer(inputs, "price")?);
    let quote = field::integer_if_any(inputs, "quote_price")?.unwrap_or(PRICE_UNITS);
    let own = small_or_none(inputs, "user_max_margin_ratio")?;
    let market = perp(inputs)?;
    let size = base.checked_abs().ok_or("`base` does not fit")?;
    let ratio = perp_margin_ratio(&market, size, kind, lifted(inputs)?).map_err(|e| e.to_string())?;
    let ratio = if market.settlement { 0 } else { own_ratio(ratio, own, kind) };
    whole(perp_requirement(base, price, quote, ratio))
}

/// An amount as the venue writes it: `most`, the largest number of its type, where it is without limit.
fn limit(found: Result<Limit, VenueError>, most: u128) -> Result<Computed, Reason> {
    match found.map_err(|e| e.to_string())? {
        Limit::Units(units) => Ok(Computed::Integer(units)),
        Limit::Unlimited => {
            Ok(i128::try_from(most).map_or(Computed::Text(most.to_string()), Computed::Integer))
        }
    }
}

fn base_amount(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "margin_shortage",
        "margin_ratio",
        "liquidation_fee",
        "if_liquidation_fee",
        "oracle_price",
        "quote_oracle_price",
    ];
    only(inputs, &known)?;
    let get = |name| field::integer(inputs, name);
    let fees = LiquidationFees { liquidator: get("liquidation_fee")?, insurance: get("if_liquidation_fee")? };
    let prices = (get("oracle_price")?, get("quote_oracle_price")?);
    let found = base_to_cover(get("margin_shortage")?, get("margin_ratio")?, fees, prices.0, prices.1);
    limit(found, u128::from(u64::MAX))
}

/// The two sides of a liquidation; `prefix` is what the file puts before decimals and price.
fn exchange(inputs: &Value, prefix: &str) -> Result<Exchange, Reason> {
    let get = |name: &str| field::integer(inputs, name);
    Ok(Exchange {
        asset_weight: get("asset_weight")?,
        asset_multiplier: get("asset_mult")?,
        liability_weight: get("liability_weight")?,
        liability_multiplier: get("liability_mult")?,
        liability_decimals: small(inputs, &format!("{prefix}decimals"))?,
        liability_price: get(&format!("{prefix}price"))?,
    })
}

/// Keys of [`exchange`] without decimals and price.
const SIDES: [&str; 4] = ["asset_weight", "asset_mult", "liability_weight", "liability_mult"];

fn liability_transfer(inputs: &Value) -> Result<Computed, Reason> {
    let own = ["margin_shortage", "liability_decimals", "liability_price", "if_fee"];
    only(inputs, &[&own[..], &SIDES].concat())?;
    let sides = exchange(inputs, "liability_")?;
    let shortage = field::integer(inputs, "margin_shortage")?;
    limit(liability_to_cover(shortage, &sides, field::integer(inputs, "if_fee")?), u128::MAX)
}

fn perp_fee(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "margin_shortage",
        "base",
        "margin_ratio",
        "liquidator_fee",
        "oracle_price",
        "quote_price",
        "max_if_fee",
    ];
    only(inputs, &known)?;
    let get = |name| field::integer(inputs, name);
    let fees = LiquidationFees { liquidator: get("liquidator_fee")?, insurance: get("max_if_fee")? };
    let price = quoted_price(get("oracle_price")?, get("quote_price")?).map_err(|e| e.to_string())?;
    whole(perp_insurance_fee(get("margin_shortage")?, get("base")?, get("margin_ratio")?, fees, price))
}

fn spot_fee(inputs: &Value) -> Result<Computed, Reason> {
    let own = ["margin_shortage", "token_amount", "decimals", "price", "max_if_fee"];
    only(inputs, &[&own[..], &SIDES].concat())?;
    let get = |name| field::integer(inputs, name);
    let sides = exchange(inputs, "")?;
    whole(spot_insurance_fee(get("margin_shortage")?, get("token_amount")?, &sides, get("max_if_fee")?))
}

fn fee(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["base_fee", "max_fee", "last_active_slot", "slot"])?;
    let get = |name| field::integer(inputs, name);
    whole(fee_by_slots(get("base_fee")?, get("max_fee")?, get("last_active_slot")?, get("slot")?))
}

fn share(inputs: &Value) -> Result<Computed, Reason> {
    let known = ["margin_shortage", "margin_freed", "slots_elapsed", "liquidation_duration", "initial_pct"];
    only(inputs, &known)?;
    let get = |name| field::integer(inputs, name);
    let pace = Pace {
        slots: get("slots_elapsed")?,
        duration: get("liquidation_duration")?,
        initial: get("initial_pct")?,
    };
    whole(share_to_liquidate(get("margin_shortage")?, get("margin_freed")?, pace))
}

fn multiplier(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["fee", "type"])?;
    let premium = match field::text(inputs, "type")? {
        "Premium" => true,
        "Discount" => false,
        other => return Err(format!("`type` is `{other}`: expected Premium or Discount")),
    };
    whole(liquidation_multiplier(field::integer(inputs, "fee")?, premium))
}

fn own_ratio_account(inputs: &Value) -> Result<Computed, Reason> {
    let known = [
        "perp_notional",
        "perp_ratio",
        "spot_borrow_value",
        "spot_liability_weight",
        "user_max_margin_ratio",
        "type",
    ];
    only(inputs, &known)?;
    let get = |name| field::integer(inputs, name);
    let (own, kind) = (small(inputs, "user_max_margin_ratio")?, kind(inputs)?);
    let perp = (get("perp_notional")?, own_ratio(get("perp_ratio")?, own, kind));
    let weight = own_liability_weight(get("spot_liability_weight")?, own, kind);
    whole(requirement_of(&[perp, (get("spot_borrow_value")?, weight)]))
}

fn strict_quote(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["usdc", "oracle", "twap5"])?;
    let get = |name| field::integer(inputs, name);
    let price = StrictPrice::strict(get("oracle")?, get("twap5")?);
    let balance = quote_balance(get("usdc")?, price).map_err(|e| e.to_string())?;
    let (collateral, requirement) = (balance.collateral, balance.requirement);
    Ok(Computed::Map(vec![("coll", Computed::Integer(collateral)), ("mr", Computed::Integer(requirement))]))
}

fn oracle_action(inputs: &Value) -> Result<Computed, Reason> {
    only(inputs, &["validity", "action"])?;
    let validity = match field::text(inputs, "validity")? {
        "NonPositive" => OracleValidity::NonPositive,
        "TooVolatile" => OracleValidity::TooVolatile,
        "TooUncertain" => OracleValidity::TooUncertain,
        "StaleForMargin" => OracleValidity::StaleForMargin,
        "InsufficientData" | "InsufficientDataPoints" => OracleValidity::InsufficientData,
        "StaleForAMM" => OracleValidity::StaleForAmm,
        "Valid" => OracleValidity::Valid,
        other => return Err(format!("`validity` is `{other}`: no such state of an oracle")),
    };
    let action = match field::text(inputs, "action")? {
        "MarginCalc" => OracleAction::Margin,
        "Liquidate" => OracleAction::Liquidation,
        other => return Err(format!("unsupported: action `{other}`")),
    };
    Ok(Computed::Flag(validity.allows(action)))
}

#[cfg(test)]
mod tests {
    /// The misses of one case, as `expected / computed`.
    fn misses(case: &str) -> Vec<String> {
        let file = format!(r#"{{"meta": {{}}, "cases": [{case}]}}"#);
        let parity = crate::vectors::check("drift.json", file.as_bytes()).unwrap();
        parity.misses().map(|miss| format!("{} / {}", miss.expected, miss.computed)).collect()
    }

    fn transfer(expected: &str, extra: &str) -> Vec<String> {
        misses(&format!(
            r#"{{"function": "liability_transfer_to_cover_margin_shortage", "inputs": {{"margin_shortage": 10000000,
            "asset_weight": 10000, "asset_mult": 1000000, "liability_weight": 10000, "liability_mult": 1000000,
            "liability_decimals": 6, "liability_price": 1000000, "if_fee": 0{extra}}}, "expected": {expected}}}"#
        ))
    }

    #[test]
    fn an_amount_without_limit_is_the_largest_number_of_the_venues_type() {
        assert!(transfer("340282366920938463463374607431768211455", "").is_empty());
        assert_eq!(transfer("340282366920938463463374607431768211454", "").len(), 1);
    }

    #[test]
    fn an_input_nobody_reads_and_one_that_is_missing_are_misses() {
        let unread = transfer("1", r#", "referrer_fee": 7"#);
        assert_eq!(unread, ["a case that can be computed / unsupported: `inputs` has `referrer_fee`"]);
        let missing = misses(
            r#"{"function": "spot_asset_weight", "inputs": {"market": {"ia": 9000, "decimals": 6, "imf": 0},
            "size": 1, "price": 1000000, "type": "Maintenance"}, "expected": 9000}"#,
        );
        assert_eq!(missing, ["a case that can be computed / `ma` is missing"]);
    }

    #[test]
    fn a_result_is_off_by_one_unit_or_right() {
        let ratio = |expected| {
            misses(&format!(
                r#"{{"function": "perp_margin_ratio", "inputs": {{"market": {{"i": 1000, "m": 500, "imf": null}},
                "size": 1, "type": "Fill", "high_leverage": false}}, "expected": {expected}}}"#
            ))
        };
        assert_eq!((ratio(750).len(), ratio(751).len(), ratio(749).len()), (0, 1, 1));
    }
}
