//! Opyn: naked and spread margin, the price of a liquidation auction, Squeeth.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_margin::venue::opyn::{self, Auction, AuctionTerms, Spread, UpperBound};
use plimsoll_types::{Fixed, OptionKind};
use serde_json::Value;

/// The functions of Opyn's.
const OWN: [&str; 6] = [
    "naked_margin",
    "put_spread_margin",
    "call_spread_margin",
    "auction_debt_price",
    "squeeth_margin",
    "squeeth_liquidation",
];

/// A case of a function of Opyn's.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("function").and_then(Value::as_str).is_some_and(|function| OWN.contains(&function))
}

/// Compares a case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let inputs = field::object(case, "inputs")?;
    let computed = match field::text(case, "function")? {
        "naked_margin" => naked(inputs)?,
        "put_spread_margin" => opyn::put_spread_margin(&spread(inputs)?).map_err(|e| e.to_string())?,
        "call_spread_margin" => opyn::call_spread_margin(&spread(inputs)?).map_err(|e| e.to_string())?,
        "auction_debt_price" => auction(inputs)?,
        "squeeth_margin" => opyn::squeeth_margin(debt(inputs)?).map_err(|e| e.to_string())?,
        _ => opyn::squeeth_liquidation(debt(inputs)?).map_err(|e| e.to_string())?,
    };
    let expected = case.get("expected").ok_or("`expected` is missing")?;
    ledger.against("", expected, &computed.into(), Tolerance::Absolute(field::tolerance(case)?));
    Ok(())
}

fn only(inputs: &Value, known: &[&str]) -> Result<(), Reason> {
    field::only(inputs, "inputs", &[known, &["rule", "note"]].concat())
}

fn kind(inputs: &Value) -> Result<OptionKind, Reason> {
    Ok(if field::flag(inputs, "is_put")? { OptionKind::Put } else { OptionKind::Call })
}

/// The bound as stated, or the one of the time to expiry among stated buckets `[days, share]`.
fn bound(inputs: &Value) -> Result<Fixed, Reason> {
    if let Some(stated) = field::fixed_if_any(inputs, "upper_bound_value")? {
        return Ok(stated);
    }
    let bucket = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([days, share]) => {
            let whole = i64::try_from(field::as_integer(days, "upper_bounds")?);
            let days = whole.map_err(|e| format!("`upper_bounds`: {e}"))?;
            Ok(UpperBound { days, share: field::as_fixed(share, "upper_bounds")? })
        }
        _ => Err(format!("`upper_bounds` has {pair}: expected days and a share")),
    };
    let buckets: Vec<UpperBound> =
        field::array(inputs, "upper_bounds")?.iter().map(bucket).collect::<Result<_, _>>()?;
    let seconds = i64::try_from(field::integer(inputs, "sec_to_expiry")?).map_err(|e| e.to_string())?;
    opyn::upper_bound(&buckets, seconds).map_err(|e| e.to_string())
}

fn naked(inputs: &Value) -> Result<Fixed, Reason> {
    let stated = ["short_amount", "strike", "spot", "is_put", "spot_shock"];
    only(inputs, &[&stated[..], &["upper_bound_value", "upper_bounds", "sec_to_expiry"]].concat())?;
    let get = |name: &str| field::fixed(inputs, name);
    let each =
        opyn::naked_margin(kind(inputs)?, get("strike")?, get("spot")?, get("spot_shock")?, bound(inputs)?);
    Ok(each.map_err(|e| e.to_string())? * get("short_amount")?)
}

/// A spread; no long where its amount or strike is absent.
fn spread(inputs: &Value) -> Result<Spread, Reason> {
    only(inputs, &["short", "long", "short_strike", "long_strike", "unit"])?;
    let get = |name: &str| field::fixed(inputs, name);
    let or_none = |name: &str| field::fixed_if_any(inputs, name).map(|x| x.unwrap_or(Fixed::ZERO));
    Ok(Spread {
        short: get("short")?,
        long: or_none("long")?,
        short_strike: or_none("short_strike")?,
        long_strike: or_none("long_strike")?,
    })
}

fn auction(inputs: &Value) -> Result<Fixed, Reason> {
    let vault = ["collateral", "debt", "cash_value", "spot", "is_put"];
    only(inputs, &[&vault[..], &["elapsed_sec", "oracle_deviation", "auction_time"]].concat())?;
    let get = |name: &str| field::fixed(inputs, name);
    let auction = Auction {
        kind: kind(inputs)?,
        collateral: get("collateral")?,
        debt: get("debt")?,
        cash_value: get("cash_value")?,
        spot: get("spot")?,
    };
    let seconds = field::integer(inputs, "auction_time")?;
    let terms = AuctionTerms { oracle_deviation: get("oracle_deviation")?, seconds };
    let elapsed = field::integer(inputs, "elapsed_sec")?;
    opyn::debt_price(&auction, terms, elapsed).map_err(|e| e.to_string())
}

fn debt(inputs: &Value) -> Result<Fixed, Reason> {
    only(inputs, &["debt"])?;
    field::fixed(inputs, "debt")
}
