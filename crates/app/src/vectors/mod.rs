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

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Parity {
        check("a/dir/tradfi-some-cases.json", text.as_bytes()).unwrap()
    }

    #[test]
    fn every_sample_of_the_supported_methods_passes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
        if !Path::new(folder).is_dir() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{folder} is absent");
            println!("skipped: {folder} is absent");
            return;
        }
        for method in METHODS {
            let file = format!("{folder}/tradfi-{}.json", method.name);
            let parity = check(&file, &std::fs::read(&file).unwrap()).unwrap();
            let misses: Vec<&Check> = parity.misses().collect();
            assert!(misses.is_empty(), "{file}: {misses:#?}");
            assert!(parity.cases > 0 && parity.is_clean());
        }
    }

    #[test]
    fn a_malformed_case_is_a_miss_with_a_reason_and_the_others_are_still_checked() {
        let parity = checked(
            r#"{"peer_points": [
                {"id": "no strike", "F": 100, "sigma": 0.2, "T": 0.5, "type": "call", "check": "5.6"},
                {"id": "no number", "F": "NaN", "K": 100, "sigma": 0.2, "T": 0.5, "type": "call", "check": "5.6"},
                {"id": "right", "F": 100, "K": 100, "sigma": 0.2, "T": 0.5, "type": "call",
                 "check": "5.6371977797016623831"},
                {"id": "off", "F": 100, "K": 100, "sigma": 0.2, "T": 0.5, "type": "put", "price": 5.6371977797026}
            ]}"#,
        );
        assert_eq!((parity.cases, parity.passed), (4, 1));
        let reasons: Vec<String> = parity.misses().map(|c| c.computed.to_string()).collect();
        assert_eq!(reasons[0], "`K` is missing");
        assert_eq!(reasons[1], r#"`F` is "NaN": expected a finite number or decimal text"#);
        let off = parity.misses().last().unwrap();
        assert!(off.error.is_some_and(|e| (1.6e-13..1.8e-13).contains(&e)), "{off:?}");
        assert_eq!(parity.method, "tradfi-some-cases");
    }

    #[test]
    fn the_json_form_has_the_documented_fields_in_order() {
        let parity = checked(
            r#"{"covariance": {"id": "c", "data": [[1, 2], [2, 4], [3, 7]], "expected_corr01": 0.5}}"#,
        );
        let text = json(&[parity]).unwrap();
        let squeezed: String = text.split_whitespace().collect();
        assert!(squeezed.starts_with(
            r#"[{"file":"a/dir/tradfi-some-cases.json","method":"tradfi-some-cases","cases":1,"passed":0,"worst_error":0.4"#
        ));
        assert!(
            squeezed
                .contains(r#""misses":[{"id":"c","quantity":"correlation","expected":0.5,"computed":0.99"#)
        );
    }

    #[test]
    fn an_unknown_form_and_an_empty_one_are_refused_by_name() {
        let unknown = check("x.json", b"{\"meta\": 1}").unwrap_err().to_string();
        assert!(
            unknown.starts_with("x.json: no known form of cases; supported are bs-haug, black76-iv, svi")
        );
        assert!(matches!(check("x.json", b"{\"higham\": []}"), Err(VectorsError::Empty { .. })));
        assert!(matches!(check("x.json", b"{"), Err(VectorsError::Json { .. })));
    }

    #[test]
    fn a_futures_array_or_a_requirement_that_is_off_is_a_miss() {
        let file = |entry: i64, position: &str, requirement: i64| {
            format!(
                r#"{{"mcmillan": {{"long_future": [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670,
                10000, 10000, -10000, -10000, {entry}, -7000],
                "published": [{{"position": "{position}", "requirement": {requirement}}}]}}}}"#
            )
        };
        assert!(checked(&file(7000, "long 1 future", 10_000)).is_clean());
        assert!(checked(&file(7000, "short 3 futures", 30_000)).is_clean());
        assert!(checked(&file(7000, "long 2 futures, short 1 future", 10_000)).is_clean());
        let off = checked(&file(7010, "long 1 future", 10_010));
        let quantities: Vec<&str> = off.misses().map(|c| c.quantity.as_str()).collect();
        assert_eq!(quantities, ["long_future 15", "requirement of long 1 future"]);
        assert!(!checked(&file(7000, "long one future", 10_000)).is_clean());
    }

    #[test]
    fn a_price_nothing_can_be_recovered_from_must_be_an_error() {
        let row = |price: &str, attainable: bool| {
            format!(
                r#"{{"implied_vol_stress": {{"rows": [{{"F": 100, "K": 50, "T": 0.01, "type": "call", "sigma": "0.3",
                    "price": "{price}", "f64_attainable": {attainable}, "tol_rel": 1e-12}}]}}}}"#
            )
        };
        assert!(checked(&row("50", false)).is_clean());
        assert!(!checked(&row("50", true)).is_clean());
        assert!(!checked(&row("50.5", false)).is_clean());
    }

    #[test]
    fn an_arbitrageable_slice_is_told_from_a_sound_one_and_labels_are_judged_by_what_they_say() {
        // Gatheral's example of Axel Vogt: g is negative near k = 0.8.
        let vogt = |free: bool| {
            format!(
                r#"{{"raw_cases": [{{"id": "vogt", "butterfly_free": {free},
                "params": {{"a": -0.041, "b": 0.1331, "rho": 0.306, "m": 0.3586, "sigma": 0.4153, "t": 1.0}}}}]}}"#
            )
        };
        assert!(checked(&vogt(false)).is_clean());
        assert!(!checked(&vogt(true)).is_clean());
        let surface = |label: &str, theta: f64, phi: f64| {
            format!(
                r#"{{"ssvi_cases": {{"rows": [{{"id": "s", "label": "{label}",
                "slices": [{{"theta": 0.1, "rho": 0.0, "phi": {phi}}}, {{"theta": {theta}, "rho": 0.0, "phi": {phi}}}]}}]}}}}"#
            )
        };
        assert!(checked(&surface("arb_free", 0.2, 1.0)).is_clean());
        // First bound 4.8, second 3.84: seen only at |k| of about twelve.
        assert!(checked(&surface("butterfly_violation", 6.0, 0.8)).is_clean());
        assert!(!checked(&surface("arb_free", 6.0, 0.8)).is_clean());
        assert!(checked(&surface("both_violation", 3.0, 1.5)).is_clean());
        assert!(!checked(&surface("both_violation", 6.0, 0.8)).is_clean());
        assert!(checked(&surface("calendar_violation", 0.05, 1.0)).is_clean());
        assert!(checked(&surface("boundary", 4.0, 1.0)).is_clean());
        assert!(!checked(&surface("boundary", 0.2, 1.0)).is_clean());
        assert!(!checked(&surface("unheard_of", 0.2, 1.0)).is_clean());
    }
}
