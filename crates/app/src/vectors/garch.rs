//! The recursion of conditional variance.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::garch::{Garch, Start};
use serde_json::Value;

/// Of figures printed in full.
const EXACT: Tolerance = Tolerance::Either { relative: 1e-12, absolute: 1e-15 };

/// Keys of a case.
const KEYS: [&str; 14] = [
    "id",
    "source",
    "kind",
    "alpha",
    "beta",
    "gamma",
    "omega",
    "long_run_var_vl",
    "returns",
    "start",
    "expected_vols",
    "expected",
    "tol",
    "recomputed",
];

/// A file with a section of returns and the parameters of the recursion.
pub(super) fn recognise(file: &Value) -> bool {
    cases(file).iter().any(|(_, _, case)| is_recursion(case))
}

/// Checks every section.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    for (section, index, case) in cases(file) {
        ledger.case(field::id(case, section, index), |ledger| recursion(case, ledger));
    }
}

/// Every object or object in an array at the top of the file, with the name of its section and its place in it.
fn cases(file: &Value) -> Vec<(&str, usize, &Value)> {
    let mut found = Vec::new();
    for (name, section) in file.as_object().into_iter().flatten() {
        match section {
            Value::Object(_) => found.push((name.as_str(), 0, section)),
            Value::Array(items) => {
                let cases = items.iter().enumerate().filter(|(_, item)| item.is_object());
                found.extend(cases.map(|(index, case)| (name.as_str(), index, case)));
            }
            _ => {}
        }
    }
    found
}

fn is_recursion(case: &Value) -> bool {
    ["returns", "alpha", "beta"].iter().all(|key| case.get(key).is_some())
}

fn recursion(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    field::only(case, "case", &KEYS)?;
    let model = model(case, ledger)?;
    let returns = field::numbers(case.get("returns").ok_or("`returns` is missing")?, "returns")?;
    let path = model.variances(&returns, start(case)?).map_err(|e| e.to_string())?;
    // The start is no forecast: the first volatility is the one after the first return.
    let after = path.before[1..].iter().chain(std::iter::once(&path.next));
    let vols: Vec<f64> = after.map(|variance| variance.sqrt()).collect();
    let stated = Tolerance::Absolute(field::tolerance(case)?);
    for (name, tolerance) in [("expected_vols", stated), ("expected", stated), ("recomputed", EXACT)] {
        if case.get(name).is_none_or(Value::is_null) {
            continue;
        }
        let expected = field::numbers(&case[name], name)?;
        if expected.len() != vols.len() {
            return Err(format!("`{name}` has {} figures, {} are computed", expected.len(), vols.len()));
        }
        for (index, (expected, vol)) in expected.iter().zip(&vols).enumerate() {
            ledger.number(format!("{name}[{index}]"), *expected, *vol, tolerance);
        }
    }
    Ok(())
}

/// The parameters; a long-run variance beside `omega` is a figure to compare, alone it stands for `omega`.
fn model(case: &Value, ledger: &mut Ledger) -> Result<Garch, Reason> {
    let (alpha, beta) = (field::number(case, "alpha")?, field::number(case, "beta")?);
    let gamma = field::number_if_any(case, "gamma")?.unwrap_or(0.0);
    let long_run = field::number_if_any(case, "long_run_var_vl")?;
    let in_words = |e: plimsoll_quant::stats::StatsError| e.to_string();
    match (field::number_if_any(case, "omega")?, long_run) {
        (Some(omega), expected) => {
            let model = Garch::new(omega, alpha, gamma, beta).map_err(in_words)?;
            if let Some(expected) = expected {
                ledger.number("long-run variance", expected, model.long_run(), EXACT);
            }
            Ok(model)
        }
        (None, Some(long_run)) if gamma == 0.0 => Garch::targeting(long_run, alpha, beta).map_err(in_words),
        (None, _) => Err("`omega` is missing".to_owned()),
    }
}

fn start(case: &Value) -> Result<Start, Reason> {
    let text = field::text(case, "start")?;
    let squeezed: String = text.split_whitespace().collect();
    if squeezed.contains("_0=r_0^2") {
        return Ok(Start::FirstSquare);
    }
    Err(format!("unsupported: `start` is `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::super::{Parity, check};

    fn checked(text: &str) -> Parity {
        check("cases.json", text.as_bytes()).unwrap()
    }

    fn file(start: &str, last: f64) -> String {
        format!(
            r#"{{"some_recursion": {{"alpha": 0.2, "beta": 0.3, "omega": 0.2, "long_run_var_vl": 0.4, "tol": 1e-6,
            "returns": [0.1, 0.1], "start": "{start}", "expected_vols": [0.452769, {last}]}}}}"#
        )
    }

    #[test]
    fn a_recursion_is_known_by_its_keys_and_off_by_a_digit_it_is_a_miss() {
        assert!(checked(&file("sigma^2_0=r_0^2; and on", 0.513323)).is_clean());
        assert!(!checked(&file("sigma^2_0=r_0^2; and on", 0.513325)).is_clean());
    }

    #[test]
    fn a_start_nobody_knows_and_a_parameter_nobody_reads_are_misses() {
        assert!(!checked(&file("sigma^2_0=omega", 0.513323)).is_clean());
        let text = file("sigma^2_0=r_0^2", 0.513323).replace("\"omega\"", "\"theta\": 1, \"omega\"");
        let reason = checked(&text).misses().next().unwrap().computed.to_string();
        assert_eq!(reason, "unsupported: `case` has `theta`");
    }
}
