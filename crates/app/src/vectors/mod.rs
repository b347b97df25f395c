//! Checks published cases against this build: `plimsoll vectors FILE...`.
//!
//! The one idea: a file of cases is recognised by the keys it has, never by its name, and every quantity in it becomes
//! one [`Check`]: what was expected, what this build computes, and the error. All computing is done by the crates
//! below. To add a method, write its `recognise` and `check` functions and add a line to [`METHODS`].
//!
//! This module must never know a formula, nor where a file comes from.

mod black76;
mod correlation;
mod field;
mod haug;
mod ledger;
mod span;
mod svi;
mod var_es;

pub(crate) use ledger::{Check, Figure, Ledger, Tolerance};

use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;

/// A kind of file: its name, how to recognise its content, how to check it.
struct Method {
    name: &'static str,
    recognise: fn(&Value) -> bool,
    check: fn(&Value, &mut Ledger),
}

/// Every kind of file this build can check.
const METHODS: [Method; 6] = [
    Method { name: "bs-haug", recognise: haug::recognise, check: haug::check },
    Method { name: "black76-iv", recognise: black76::recognise, check: black76::check },
    Method { name: "svi", recognise: svi::recognise, check: svi::check },
    Method { name: "span", recognise: span::recognise, check: span::check },
    Method { name: "correlation", recognise: correlation::recognise, check: correlation::check },
    Method { name: "var-es", recognise: var_es::recognise, check: var_es::check },
];

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VectorsError {
    /// Not JSON.
    #[error("{file}: not JSON: {source}")]
    Json {
        /// The file.
        file: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// JSON of a form nobody here knows.
    #[error("{file}: no known form of cases; supported are {}", supported())]
    Unknown {
        /// The file.
        file: String,
    },
    /// A known form with nothing in it.
    #[error("{file}: has the form of {method} but holds no case")]
    Empty {
        /// The file.
        file: String,
        /// The form.
        method: &'static str,
    },
}

fn supported() -> String {
    METHODS.map(|m| m.name).join(", ")
}

/// What came of one file.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parity {
    /// The file, as it was named.
    pub(crate) file: String,
    /// The stem of its name.
    pub(crate) method: String,
    /// Cases in it.
    pub(crate) cases: usize,
    /// Cases of which every quantity is within its tolerance.
    pub(crate) passed: usize,
    /// One row per quantity.
    pub(crate) checks: Vec<Check>,
}

/// The JSON form of a [`Parity`].
#[derive(Serialize)]
struct ParityJson<'a> {
    file: &'a str,
    method: &'a str,
    cases: usize,
    passed: usize,
    worst_error: f64,
    misses: Vec<MissJson<'a>>,
}

/// The JSON form of a quantity that is off.
#[derive(Serialize)]
struct MissJson<'a> {
    id: &'a str,
    quantity: &'a str,
    expected: &'a Figure,
    computed: &'a Figure,
    error: Option<f64>,
}

impl Parity {
    /// Whether every quantity of every case is within its tolerance.
    pub(crate) fn is_clean(&self) -> bool {
        self.passed == self.cases
    }

    /// The quantities that are off.
    pub(crate) fn misses(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }

    /// The largest error found, relative or absolute as each quantity is judged; 0 if there is none.
    pub(crate) fn worst_error(&self) -> f64 {
        self.checks.iter().filter_map(|check| check.error).fold(0.0, f64::max)
    }
}

/// Checks the content of one file; `file` is its name as given, whose stem names the method in the answer.
pub(crate) fn check(file: &str, content: &[u8]) -> Result<Parity, VectorsError> {
    let parsed: Value = serde_json::from_slice(content)
        .map_err(|source| VectorsError::Json { file: file.to_owned(), source })?;
    let known = METHODS.iter().find(|method| (method.recognise)(&parsed));
    let Some(method) = known else {
        return Err(VectorsError::Unknown { file: file.to_owned() });
    };
    let mut ledger = Ledger::default();
    (method.check)(&parsed, &mut ledger);
    if ledger.cases() == 0 {
        return Err(VectorsError::Empty { file: file.to_owned(), method: method.name });
    }
    let stem = Path::new(file).file_stem().map_or_else(|| file.into(), |stem| stem.to_string_lossy());
    Ok(Parity {
        file: file.to_owned(),
        method: stem.into_owned(),
        cases: ledger.cases(),
        passed: ledger.passed(),
        checks: ledger.into_checks(),
    })
}

/// All files as the JSON array documented for `--format json`.
pub(crate) fn json(parities: &[Parity]) -> Result<String, serde_json::Error> {
    let rows: Vec<ParityJson<'_>> = parities.iter().map(to_json).collect();
    serde_json::to_string_pretty(&rows)
}

fn to_json(parity: &Parity) -> ParityJson<'_> {
    ParityJson {
        file: &parity.file,
        method: &parity.method,
        cases: parity.cases,
        passed: parity.passed,
        worst_error: parity.worst_error(),
        misses: parity.misses().map(miss).collect(),
    }
}

fn miss(check: &Check) -> MissJson<'_> {
    MissJson {
        id: &check.id,
        quantity: &check.quantity,
        expected: &check.expected,
        computed: &check.computed,
        error: check.error,
    }
}

/// The columns of the parity table.
pub(crate) const COLUMNS: [&str; 6] = ["case", "quantity", "expected", "computed", "error", "ok"];

/// The rows of the parity table of one file, in the order of [`COLUMNS`].
pub(crate) fn rows(parity: &Parity) -> Vec<[String; 6]> {
    let row = |check: &Check| {
        let error = check.error.map_or_else(|| "-".to_owned(), |e| format!("{e:.1e}"));
        let verdict = if check.passed { "yes" } else { "NO" };
        let figures = [check.expected.to_string(), check.computed.to_string()];
        let [expected, computed] = figures;
        [check.id.clone(), check.quantity.clone(), expected, computed, error, verdict.to_owned()]
    };
    parity.checks.iter().map(row).collect()
}

/// All files as text: a table each, and a line that says how many cases passed.
pub(crate) fn table(parities: &[Parity]) -> String {
    let mut text = String::new();
    for parity in parities {
        let rows = rows(parity);
        let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).fold(COLUMNS[i].len(), usize::max);
        let widths = [0, 1, 2, 3, 4, 5].map(width);
        let _ = writeln!(text, "{}", parity.file);
        write_row(&mut text, &COLUMNS.map(str::to_owned), &widths);
        for row in &rows {
            write_row(&mut text, row, &widths);
        }
        let _ = writeln!(
            text,
            "{}: {} of {} cases passed, worst error {:.1e}\n",
            parity.method,
            parity.passed,
            parity.cases,
            parity.worst_error()
        );
    }
    text
}

fn write_row(text: &mut String, row: &[String; 6], widths: &[usize; 6]) {
    let mut line = String::new();
    for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
        let _ = if i < 2 || i == 5 {
            write!(line, "{cell:<width$}  ")
        } else {
            write!(line, "{cell:>width$}  ")
        };
    }
    let _ = writeln!(text, "{}", line.trim_end());
}
