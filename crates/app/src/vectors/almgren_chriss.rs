//! Optimal execution schedules.

use super::field::{self, Reason};
use super::{Computed, Ledger, Tolerance};
use plimsoll_quant::execution::{Liquidation, Schedule};
use serde_json::Value;

/// Of a closed form.
const EXACT: Tolerance = Tolerance::Relative(1e-12);

/// The expected figures.
const EXPECTED: [&str; 5] = ["kappa", "holdings", "trades", "expected_shortfall_cost", "std"];
/// The parameters, as a case or the source of the file names them.
const PARAMETERS: [&str; 7] = ["X", "T", "N", "sigma", "eps", "gamma", "eta"];

/// A file whose cases are risk aversions with schedules.
pub(super) fn recognise(file: &Value) -> bool {
    field::section(file, "cases").iter().any(is_schedule)
}

fn is_schedule(case: &Value) -> bool {
    case.get("lambda_").is_some()
}

/// Checks every case.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("cases", file.get("cases"), |case, ledger| schedule(file, case, ledger));
}

fn schedule(file: &Value, case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let others = ["id", "lambda_", "source", "verified", "error", "recomputed"];
    field::only(case, "case", &[&others[..], &EXPECTED[..], &PARAMETERS[..]].concat())?;
    let found = order(file, case)?.schedule(field::number(case, "lambda_")?);
    match (found, case.get("error")) {
        (Err(reason), Some(expected)) if !expected.is_null() => {
            ledger.label("error", expected.to_string(), reason.to_string(), true);
        }
        (Err(reason), _) => return Err(reason.to_string()),
        (Ok(_), Some(expected)) if !expected.is_null() => {
            ledger.refused("error", expected.to_string(), "there is a schedule".to_owned());
        }
        (Ok(schedule), _) => figures(case, &schedule, ledger),
    }
    Ok(())
}

fn figures(case: &Value, schedule: &Schedule, ledger: &mut Ledger) {
    let list = |values: &[f64]| Computed::List(values.iter().copied().map(Computed::Number).collect());
    let computed = [
        Computed::Number(schedule.kappa),
        list(&schedule.holdings),
        list(&schedule.trades),
        Computed::Number(schedule.expected_cost),
        Computed::Number(schedule.deviation),
    ];
    let computed = Computed::Map(EXPECTED.into_iter().zip(computed).collect());
    let expected = |object: &Value| -> Value {
        let fields = object.as_object().into_iter().flatten();
        fields
            .filter(|(key, _)| EXPECTED.contains(&key.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    };
    ledger.against("", &expected(case), &computed, EXACT);
    if let Some(again) = case.get("recomputed") {
        ledger.against("recomputed", again, &computed, EXACT);
    }
}

/// The order: each parameter from the case, or where it has none from the file or its source, `NAME=NUMBER`.
fn order(file: &Value, case: &Value) -> Result<Liquidation, Reason> {
    let parameter = |name: &str| match field::number_if_any(case, name)? {
        Some(value) => Ok(value),
        None => field::number_if_any(file, name)?
            .or_else(|| stated(file.get("source")?.as_str()?, name))
            .ok_or_else(|| format!("`{name}` is neither in the case nor in the source of the file")),
    };
    let steps = parameter("N")?;
    if steps.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&steps) {
        return Err(format!("`N` is {steps}: expected a number of steps"));
    }
    Ok(Liquidation {
        quantity: parameter("X")?,
        horizon: parameter("T")?,
        steps: steps as u32,
        sigma: parameter("sigma")?,
        epsilon: parameter("eps")?,
        gamma: parameter("gamma")?,
        eta: parameter("eta")?,
    })
}

/// The number after `NAME=` in a text, where `NAME` is a word of its own.
fn stated(text: &str, name: &str) -> Option<f64> {
    let words = text.split([' ', ',', ';', ':', '(', ')']);
    let rest = words.filter_map(|word| word.strip_prefix(name)).find_map(|rest| rest.strip_prefix('='))?;
    // The longest start that is a number: a unit may follow at once.
    (1..=rest.len()).rev().filter_map(|end| rest.get(..end)).find_map(|start| start.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    fn file(extra: &str) -> String {
        format!(
            r#"{{"source": "Table 1: S0=50, X=1e6 sh, T=5d, N=5, sigma=0.95 $, eps=0.0625, gamma=2.5e-7, eta=2.5e-6, lambda=1",
            "cases": [{{"lambda_": 2e-06{extra}}}]}}"#
        )
    }

    #[test]
    fn parameters_come_from_the_source_unless_the_case_has_its_own() {
        assert!(checked(&file(r#", "kappa": "0.846297134501256", "std": 449367.652541351"#)).is_clean());
        assert!(!checked(&file(r#", "kappa": "0.846297134501256", "N": 6"#)).is_clean());
        assert!(checked(&file(r#", "eta": 1e-8, "error": "eta~ <= 0""#)).is_clean());
        assert!(!checked(&file(r#", "error": "eta~ <= 0""#)).is_clean());
        assert!(!checked(&file(r#", "eta": 1e-8, "kappa": 1"#)).is_clean());
        assert!(!checked(&file(r#", "kappa": 0.846297134501256, "colour": 1"#)).is_clean());
        assert!(!checked(&file(r#", "holdings": [1000000.0]"#)).is_clean());
    }
}
