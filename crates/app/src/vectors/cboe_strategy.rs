//! Cases of Cboe's strategy margin: an underlying, legs that are margined together, and two requirements.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_margin::venue::cboe_strategy::{Class, OptionLeg, Rules, Shares, Underlying, requirement};
use plimsoll_types::{Fixed, OptionKind};
use serde_json::Value;

/// Equal to the cent: what is left is how a file's floats are read.
const CENT: Tolerance = Tolerance::Absolute(1e-6);
const DAY: i128 = 86_400;

pub(super) fn recognise(case: &Value) -> bool {
    case.get("legs").is_some_and(Value::is_array) && case.get("underlying").is_some_and(Value::is_object)
}

pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    annotations(case)?;
    let underlying = underlying(field::object(case, "underlying")?)?;
    let (mut options, mut shares) = (Vec::new(), Vec::new());
    for leg in field::array(case, "legs")? {
        match field::text(leg, "kind")? {
            "option" => options.push(option(leg)?),
            "shares" => shares.push(held(leg)?),
            other => return Err(format!("unsupported: a leg of kind `{other}`")),
        }
    }
    let found = requirement(&rules()?, &underlying, &options, &shares).map_err(|e| e.to_string())?;
    for (key, amount) in [("margin_requirement", found.margin), ("cash_requirement", found.cash)] {
        if let Some(expected) = field::number_if_any(case, key)? {
            ledger.number(key, expected, amount.to_f64(), CENT);
        }
    }
    Ok(())
}

/// Keys that are no input and no expected value: names, sources and remarks. Any other number or object could change
/// the result and is refused.
fn annotations(case: &Value) -> Result<(), Reason> {
    let read = ["underlying", "legs", "margin_requirement", "cash_requirement"];
    let remarks = ["own_formula", "peer_", "published_"];
    for (key, value) in case.as_object().into_iter().flatten() {
        let remark = remarks.iter().any(|start| key.starts_with(start));
        if !(read.contains(&key.as_str())
            || remark
            || value.is_string()
            || value.is_boolean()
            || value.is_null())
        {
            return Err(format!("unsupported: the case has `{key}`"));
        }
    }
    Ok(())
}

/// The manual's rates (methods.md 23).
fn rules() -> Result<Rules, Reason> {
    let rate = |text: &str| text.parse::<Fixed>().map_err(|e| e.to_string());
    Ok(Rules {
        multiplier: Fixed::from(100),
        contract_step: Fixed::ONE,
        rate: rate("0.20")?,
        broad_rate: rate("0.15")?,
        minimum_rate: rate("0.10")?,
        listed_share: rate("0.75")?,
        listed_days: 90,
        long_shares: rate("0.50")?,
        short_shares: rate("0.50")?,
    })
}

fn underlying(row: &Value) -> Result<Underlying, Reason> {
    field::only(row, "underlying", &["price", "etf_type", "leverage"])?;
    let class = match row.get("etf_type").and_then(Value::as_str) {
        Some("broad-based") => Class::Broad,
        Some("narrow-based") => Class::Narrow,
        Some("volatility") => Class::Volatility,
        None if row.get("etf_type").is_none_or(Value::is_null) => Class::Equity,
        _ => return Err(format!("unsupported: `etf_type` is {}", row["etf_type"])),
    };
    // A fund that states no leverage moves as its index does.
    let stated = row.get("leverage").is_some_and(|value| !value.is_null());
    let leverage = if stated { field::fixed(row, "leverage")? } else { Fixed::ONE };
    Ok(Underlying { price: field::fixed(row, "price")?, class, leverage })
}

fn option(row: &Value) -> Result<OptionLeg, Reason> {
    field::only(row, "leg", &["kind", "days", "price", "qty", "strike", "type"])?;
    let kind = match field::kind(row)? {
        plimsoll_quant::black::OptionKind::Call => OptionKind::Call,
        plimsoll_quant::black::OptionKind::Put => OptionKind::Put,
    };
    let days = field::integer(row, "days")?;
    let seconds = days.checked_mul(DAY).and_then(|seconds| i64::try_from(seconds).ok());
    Ok(OptionLeg {
        kind,
        strike: field::fixed(row, "strike")?,
        seconds: seconds.ok_or_else(|| format!("`days` is {days}: too many"))?,
        price: field::fixed(row, "price")?,
        quantity: field::fixed(row, "qty")?,
    })
}

fn held(row: &Value) -> Result<Shares, Reason> {
    field::only(row, "leg", &["kind", "price", "qty"])?;
    Ok(Shares { price: field::fixed(row, "price")?, quantity: field::fixed(row, "qty")? })
}

#[cfg(test)]
mod tests {
    fn misses(more: &str, leg: &str) -> Vec<String> {
        let text = format!(
            r#"{{"cases": [{{"test": "t", "underlying": {{"price": 1050.3, "etf_type": null, "leverage": 1.5}}, {more}
            "legs": [{leg}], "cash_requirement": 104830.0, "margin_requirement": 15954.0}}]}}"#
        );
        let parity = super::super::check("a.json", text.as_bytes()).unwrap();
        parity.misses().map(|miss| format!("{}: {}", miss.quantity, miss.computed)).collect()
    }

    #[test]
    fn half_a_cent_goes_to_the_even_one() {
        // 2 + 0.10 x 1050.3 x 1.5 = 159.545, which is 159.54.
        let call = r#"{"kind": "option", "days": 0, "price": 2.0, "qty": -1, "strike": 1250.0, "type": "C"}"#;
        assert_eq!(misses("", call), Vec::<String>::new());
        assert_eq!(misses(r#""note": "checked", "own_formula": 1, "#, call), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_known_is_a_miss() {
        let call = r#"{"kind": "option", "days": 0, "price": 2.0, "qty": -1, "strike": 1250.0, "type": "C"}"#;
        assert_eq!(misses(r#""rate": 0.3, "#, call), ["case: unsupported: the case has `rate`"]);
        let odd = call.replace("option", "warrant");
        assert_eq!(misses("", &odd), ["case: unsupported: a leg of kind `warrant`"]);
        let odd = call.replace("\"days\"", "\"style\": \"american\", \"days\"");
        assert_eq!(misses("", &odd), ["case: unsupported: `leg` has `style`"]);
    }
}
