//! Nearest correlation matrix, and correlation of samples.

use super::field::{self, Reason};
use super::{Ledger, Tolerance};
use plimsoll_quant::linalg::{Symmetric, nearest_correlation};
use plimsoll_quant::stats::correlation;
use serde_json::Value;

/// A sample correlation is a closed form on a handful of numbers: its cases need not state a tolerance.
const SAMPLE_TOLERANCE: f64 = 1e-12;

/// A file with `higham` or `covariance`.
pub(super) fn recognise(file: &Value) -> bool {
    file.get("higham").is_some() || file.get("covariance").is_some()
}

/// Checks both sections.
pub(super) fn check(file: &Value, ledger: &mut Ledger) {
    ledger.rows("higham", file.get("higham"), nearest);
    match file.get("covariance") {
        Some(Value::Array(_)) => ledger.rows("covariance", file.get("covariance"), sample),
        Some(case) => ledger.case(field::id(case, "covariance", 0), |ledger| sample(case, ledger)),
        None => {}
    }
}

fn nearest(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let read = ["A", "weights", "expected", "recomputed", "tol", "tolerance_abs"];
    let beside = ["id", "source", "note", "verified", "max_abs_err", "frobenius_distance", "min_eig_input"];
    field::only(case, "case", &[&read[..], &beside].concat())?;
    let rows = field::matrix(case, "A")?;
    let input = Symmetric::new(rows.len(), rows.concat()).map_err(|e| e.to_string())?;
    let weights = match case.get("weights") {
        None | Some(Value::Null) => None,
        Some(given) => Some(diagonal(given, rows.len())?),
    };
    let found = nearest_correlation(&input, weights.as_deref()).map_err(|e| e.to_string())?;
    let allowed = Tolerance::Absolute(field::tolerance(case)?);
    for name in ["expected", "recomputed"] {
        if case.get(name).is_some_and(|value| !value.is_null()) {
            entries(name, &field::matrix(case, name)?, &found.matrix, allowed, ledger)?;
        }
    }
    if let (Some(expected), None) = (field::number_if_any(case, "frobenius_distance")?, &weights) {
        ledger.number("frobenius distance", expected, found.distance, allowed);
    }
    if let Some(expected) = field::number_if_any(case, "min_eig_input")? {
        let least = input.eigen().map_err(|e| e.to_string())?.values[0];
        ledger.number("least eigenvalue of the input", expected, least, allowed);
    }
    Ok(())
}

/// The diagonal of a weight matrix, given as `n` numbers or as the `n x n` matrix, which has nothing beside it.
fn diagonal(given: &Value, n: usize) -> Result<Vec<f64>, Reason> {
    let rows = given.as_array().ok_or("`weights` is not an array")?;
    if rows.len() != n {
        return Err(format!("`weights` has {} entries: expected {n}, or {n} x {n}", rows.len()));
    }
    if !rows.iter().any(Value::is_array) {
        return field::numbers(given, "weights");
    }
    let on_diagonal = |(i, row): (usize, &Value)| {
        let row = field::numbers(row, &format!("weights[{i}]"))?;
        if row.len() != n {
            return Err(format!("`weights[{i}]` has {} entries: expected {n}", row.len()));
        }
        match row.iter().enumerate().find(|(j, weight)| *j != i && **weight != 0.0) {
            Some((j, weight)) => {
                Err(format!("`weights[{i}][{j}]` is {weight}: expected 0 beside the diagonal"))
            }
            None => Ok(row[i]),
        }
    };
    rows.iter().enumerate().map(on_diagonal).collect()
}

/// One check per entry.
fn entries(
    name: &str,
    expected: &[Vec<f64>],
    found: &Symmetric,
    allowed: Tolerance,
    ledger: &mut Ledger,
) -> Result<(), Reason> {
    let n = found.dimension();
    if expected.len() != n || expected.iter().any(|row| row.len() != n) {
        return Err(format!("`{name}` is not {n} x {n}"));
    }
    for (i, row) in expected.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            ledger.number(format!("{name} [{i}][{j}]"), *value, found.at(i, j), allowed);
        }
    }
    Ok(())
}

fn sample(case: &Value, ledger: &mut Ledger) -> Result<(), Reason> {
    let expected = case.as_object().into_iter().flat_map(|keys| keys.keys());
    let expected = expected.filter(|key| key.starts_with("expected_corr")).map(String::as_str);
    let read = ["id", "source", "note", "verified", "data", "tol", "recomputed", "max_abs_err"];
    field::only(case, "case", &read.into_iter().chain(expected).collect::<Vec<_>>())?;
    let data = field::matrix(case, "data")?;
    let allowed = Tolerance::Absolute(field::number_if_any(case, "tol")?.unwrap_or(SAMPLE_TOLERANCE));
    let pair = named_pair(case)?;
    let column = |j: usize| -> Result<Vec<f64>, Reason> {
        let cell = |row: &Vec<f64>| row.get(j).copied().ok_or_else(|| format!("`data` has no column {j}"));
        data.iter().map(cell).collect()
    };
    let computed = correlation(&column(pair.1)?, &column(pair.2)?).map_err(|e| e.to_string())?;
    ledger.number("correlation", field::number(case, &pair.0)?, computed, allowed);
    if let Some(expected) = field::number_if_any(case, "recomputed")? {
        ledger.number("correlation (recomputed)", expected, computed, allowed);
    }
    Ok(())
}

/// The field `expected_corrIJ` and its two columns.
fn named_pair(case: &Value) -> Result<(String, usize, usize), Reason> {
    let fields = case.as_object().ok_or("the case is not an object")?;
    for name in fields.keys() {
        let digits: Option<Vec<u32>> = name
            .strip_prefix("expected_corr")
            .map(|rest| rest.chars().filter_map(|c| c.to_digit(10)).collect());
        if let Some([i, j]) = digits.as_deref() {
            return Ok((name.clone(), *i as usize, *j as usize));
        }
    }
    Err("no field such as `expected_corr01`".to_owned())
}
