//! Fair prices of perpetual futures.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::perpetual::{FundingStyle, Payoff, Perpetual, PerpetualError};
use serde_json::Value;

/// Of a closed form.
const EXACT: Tolerance = Tolerance::Relative(1e-14);

/// Keys of a case.
const KEYS: [&str; 13] = [
    "id",
    "source",
    "verified",
    "kind",
    "funding",
    "dt",
    "spot",
    "r",
    "q",
    "funding_rate_k",
    "interest_diff_i",
    "value",
    "recomputed",
];

/// A case with a strength and a spread of funding.
pub(super) fn recognise(case: &Value) -> bool {
    case.get("funding_rate_k").is_some() && case.get("interest_diff_i").is_some()
}

/// Checks one case.
pub(super) fn check(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(case, "case", &KEYS)?;
    let perpetual = Perpetual {
        spot: field::number(case, "spot")?,
        rate: field::number(case, "r")?,
        yield_: field::number(case, "q")?,
        funding_rate: field::number(case, "funding_rate_k")?,
        interest: field::number(case, "interest_diff_i")?,
    };
    let found = perpetual.price(payoff(case)?, style(case)?);
    let mut expected_any = false;
    for name in ["value", "recomputed"] {
        let Some(expected) = case.get(name) else { continue };
        expected_any = true;
        match (&found, says_none(expected)) {
            (Ok(price), false) => ledger.number(name, field::as_number(expected, name)?, *price, EXACT),
            (Ok(price), true) => ledger.label(name, "no solution", price.to_string(), false),
            (Err(reason), none) => {
                let agrees = none && matches!(reason, PerpetualError::NoSolution { .. });
                ledger.label(name, expected.to_string(), reason.to_string(), agrees);
            }
        }
    }
    if expected_any { Ok(()) } else { Err("`value` is missing".to_owned()) }
}

/// Whether the case expects that there is no price.
fn says_none(expected: &Value) -> bool {
    match expected {
        Value::Null => true,
        Value::String(text) => {
            ["none", "nan", "no solution", "no_solution", "null"].contains(&text.to_lowercase().as_str())
        }
        _ => false,
    }
}

fn payoff(case: &Value) -> Result<Payoff, Reason> {
    match field::text(case, "kind")?.to_lowercase().as_str() {
        "linear" => Ok(Payoff::Linear),
        "inverse" => Ok(Payoff::Inverse),
        other => Err(format!("unsupported: `kind` is `{other}`")),
    }
}

/// Continuous, or on the spot before or at each payment; `discrete` alone is the former, as the formulas of such files have it.
fn style(case: &Value) -> Result<FundingStyle, Reason> {
    let funding = field::text(case, "funding")?;
    let interval = field::number_if_any(case, "dt")?;
    let lower = funding.to_lowercase();
    if lower.contains("continuous") {
        return match interval {
            None | Some(0.0) => Ok(FundingStyle::Continuous),
            Some(dt) => Err(format!("`dt` is {dt} under continuous funding")),
        };
    }
    let interval = interval.ok_or("`dt` is missing")?;
    if lower.contains("cur") {
        Ok(FundingStyle::CurrentSpot { interval })
    } else if lower.contains("prev") || lower == "discrete" {
        Ok(FundingStyle::PreviousSpot { interval })
    } else {
        Err(format!("unsupported: `funding` is `{funding}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    fn file(k: f64, value: &str) -> String {
        format!(
            r#"{{"cases": [{{"kind": "linear", "funding": "continuous", "dt": 0, "spot": 10000, "r": 0.04, "q": 0.02,
            "funding_rate_k": {k}, "interest_diff_i": 0.005, "value": {value}}}]}}"#
        )
    }

    #[test]
    fn no_solution_is_expected_by_null_and_a_price_by_its_digits() {
        assert!(checked(&file(0.2, "\"10833.333333333333\"")).is_clean());
        assert!(!checked(&file(0.2, "\"10833.333333334\"")).is_clean());
        assert!(!checked(&file(0.2, "null")).is_clean());
        assert!(checked(&file(0.01, "null")).is_clean());
        assert!(!checked(&file(0.01, "1")).is_clean());
        assert!(!checked(&file(0.2, "10833.333333333333").replace("linear", "quanto")).is_clean());
    }
}
