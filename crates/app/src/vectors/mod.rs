//! Checks published cases against this build: `plimsoll vectors FILE...`.
//!
//! The one idea: a file of cases is recognised by the keys it has, never by its name, and every quantity in it becomes
//! one [`Check`]: what was expected, what this build computes, and the error. All computing is done by the crates
//! below. A file of a form of its own is a line in [`METHODS`]; a file of the form `{meta, cases}` is taken case by
//! case, each by the line of [`CASES`] that recognises it. To add a method, write its `recognise` and `check` functions
//! and add a line. A case that nobody recognises, a quantity nobody computes and an input nobody reads are misses.
//!
//! This module must never know a formula, nor where a file comes from.

mod aevo;
mod almgren_chriss;
mod backtest;
mod black76;
mod bounded_update;
mod cboe_strategy;
mod correlation;
mod cvex;
mod deribit;
mod derive_auction;
mod derive_portfolio;
mod derive_pricing;
mod derive_standard;
mod document;
mod drift;
mod dydx;
mod field;
mod function;
mod garch;
mod gmx;
mod haug;
mod hyperliquid;
mod ledger;
mod lighter;
mod mango;
mod okx;
mod opyn;
mod panoptic;
mod paradex;
mod perpetuals;
mod premia;
mod procyclicality;
#[cfg(test)]
mod refusals;
mod sabr_delta;
mod simm;
mod span;
mod span_position;
mod svi;
mod synthetix;
mod var_es;
mod vega;

pub(crate) use ledger::{Check, Computed, Figure, Ledger, Tolerance};

use field::Reason;
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// A kind of file: its name, the sections it may have, how to recognise its content, how to check it.
struct Method {
    name: &'static str,
    /// Every list or object at the top of the file that the method reads, or knows to hold no expected value.
    sections: &'static [&'static str],
    recognise: fn(&Value) -> bool,
    check: fn(&Value, &mut Ledger),
}

/// In place of names: the method takes every section itself, and records a miss for one it cannot read.
const EVERY: &str = "*";

/// Every kind of file this build can check.
const METHODS: [Method; 12] = [
    Method {
        name: "bs-haug",
        sections: &["values", "greeks", "conventions"],
        recognise: haug::recognise,
        check: haug::check,
    },
    Method {
        name: "black76-iv",
        sections: &["columns", "rows", "peer_points", "implied_vol_stress"],
        recognise: black76::recognise,
        check: black76::check,
    },
    Method {
        name: "svi",
        sections: &["formulae", "raw_cases", "ssvi_cases", "quantlib"],
        recognise: svi::recognise,
        check: svi::check,
    },
    Method {
        name: "span",
        sections: &[
            "scenarios",
            "mcmillan",
            "composite_delta_weights",
            "intercommodity_formula",
            "total_formula",
        ],
        recognise: span::recognise,
        check: span::check,
    },
    Method {
        name: "correlation",
        sections: &["higham", "covariance"],
        recognise: correlation::recognise,
        check: correlation::check,
    },
    Method {
        name: "var-es",
        sections: &["cases", "closed_form", "quantile_conventions"],
        recognise: var_es::recognise,
        check: var_es::check,
    },
    Method { name: "garch", sections: &[EVERY], recognise: garch::recognise, check: garch::check },
    Method { name: "backtest", sections: &[EVERY], recognise: backtest::recognise, check: backtest::check },
    Method {
        name: "procyclicality",
        sections: &["conventions", "returns", "results"],
        recognise: procyclicality::recognise,
        check: procyclicality::check,
    },
    Method {
        name: "sabr-delta",
        sections: &["sabr", "fx_delta"],
        recognise: sabr_delta::recognise,
        check: sabr_delta::check,
    },
    Method {
        name: "simm",
        sections: &["formulae", "intra_bucket_corr", "cases"],
        recognise: simm::recognise,
        check: simm::check,
    },
    Method {
        name: "almgren-chriss",
        sections: &["formulae", "cases"],
        recognise: almgren_chriss::recognise,
        check: almgren_chriss::check,
    },
];

/// A kind of case in a file of the form `{meta, cases}`.
struct CaseMethod {
    recognise: fn(&Value) -> bool,
    check: fn(&Value, &mut Ledger) -> Result<(), Reason>,
}

/// Every kind of case this build can check.
const CASES: [CaseMethod; 23] = [
    CaseMethod { recognise: perpetuals::recognise, check: perpetuals::check },
    CaseMethod { recognise: cboe_strategy::recognise, check: cboe_strategy::check },
    CaseMethod { recognise: derive_standard::recognise, check: derive_standard::check },
    CaseMethod { recognise: mango::recognise, check: mango::check },
    CaseMethod { recognise: derive_portfolio::recognise, check: derive_portfolio::check },
    CaseMethod { recognise: derive_auction::recognise, check: derive_auction::check },
    CaseMethod { recognise: derive_pricing::recognise, check: derive_pricing::check },
    CaseMethod { recognise: gmx::recognise, check: gmx::check },
    CaseMethod { recognise: hyperliquid::recognise, check: hyperliquid::check },
    CaseMethod { recognise: opyn::recognise, check: opyn::check },
    CaseMethod { recognise: premia::recognise, check: premia::check },
    CaseMethod { recognise: synthetix::recognise, check: synthetix::check },
    CaseMethod { recognise: vega::recognise, check: vega::check },
    CaseMethod { recognise: bounded_update::recognise, check: bounded_update::check },
    CaseMethod { recognise: drift::recognise, check: drift::check },
    CaseMethod { recognise: dydx::recognise, check: dydx::check },
    CaseMethod { recognise: lighter::recognise, check: lighter::check },
    CaseMethod { recognise: panoptic::recognise, check: panoptic::check },
    CaseMethod { recognise: aevo::recognise, check: aevo::check },
    CaseMethod { recognise: cvex::recognise, check: cvex::check },
    CaseMethod { recognise: deribit::recognise, check: deribit::check },
    CaseMethod { recognise: okx::recognise, check: okx::check },
    CaseMethod { recognise: paradex::recognise, check: paradex::check },
];

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VectorsError {
    /// Not JSON.
    #[error("{file}: not JSON: {reason}")]
    Json {
        /// The file.
        file: String,
        /// Where and why.
        reason: serde_json::Error,
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
    let parsed =
        document::read(content).map_err(|reason| VectorsError::Json { file: file.to_owned(), reason })?;
    let mut ledger = Ledger::default();
    let form = match METHODS.iter().find(|method| (method.recognise)(&parsed)) {
        Some(method) => {
            (method.check)(&parsed, &mut ledger);
            refuse_unknown(&parsed, method.sections, &mut ledger);
            method.name
        }
        None if parsed.get("cases").is_some_and(Value::is_array) => {
            case_by_case(&parsed, &mut ledger);
            "cases"
        }
        None => return Err(VectorsError::Unknown { file: file.to_owned() }),
    };
    if ledger.cases() == 0 {
        return Err(VectorsError::Empty { file: file.to_owned(), method: form });
    }
    Ok(Parity {
        file: file.to_owned(),
        method: stem(file),
        cases: ledger.cases(),
        passed: ledger.passed(),
        checks: ledger.into_checks(),
    })
}

/// A section nobody reads may hold expected values: it is a miss.
fn refuse_unknown(file: &Value, known: &[&str], ledger: &mut Ledger) {
    for (name, value) in file.as_object().into_iter().flatten() {
        let holds = value.is_array() || value.is_object();
        if holds && !known.contains(&EVERY) && !known.contains(&name.as_str()) && name != "meta" {
            ledger.case(name.clone(), |_| Err(format!("unsupported: section `{name}`")));
        }
    }
}

/// Every case of the file by the method that recognises it.
fn case_by_case(file: &Value, ledger: &mut Ledger) {
    ledger.rows("cases", file.get("cases"), |case, ledger| {
        if !case.is_object() {
            return Err("the case is not an object".to_owned());
        }
        let known = CASES.iter().find(|method| (method.recognise)(case));
        known.map_or_else(|| Err(unsupported(case)), |method| (method.check)(case, ledger))?;
        refuse_strange(case)
    });
}

/// What a case of inputs and expected values may hold beside words and truth values.
const CASE_KEYS: [&str; 9] = [
    "inputs",
    "expected",
    "steps",
    "recomputed",
    "tolerance_abs",
    "tol",
    "upstream_tolerance_rel",
    "id",
    "verified",
];

/// Numbers, lists and objects that nobody reads may be expected values: they are a miss. Errors that the file's author found
/// are none.
fn refuse_strange(case: &Value) -> Result<(), Reason> {
    if case.get("inputs").is_none() {
        return Ok(());
    }
    let holds = |value: &Value| value.is_number() || value.is_array() || value.is_object();
    let strange = |(key, value): &(&String, &Value)| {
        holds(value) && !CASE_KEYS.contains(&key.as_str()) && !key.ends_with("_err")
    };
    match case.as_object().into_iter().flatten().find(strange) {
        Some((key, _)) => Err(format!("unsupported: the case has `{key}`")),
        None => Ok(()),
    }
}

fn unsupported(case: &Value) -> Reason {
    let keys = |value: Option<&Value>| {
        let object = value.and_then(Value::as_object);
        object.map_or_else(String::new, |o| o.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
    };
    match case.get("function") {
        Some(function) => format!("unsupported: function {function}"),
        None => format!("unsupported: a case of inputs {}", keys(case.get("inputs"))),
    }
}

/// The name of a file without directory, form and compression: `svi` for `cases/svi.json.gz`.
fn stem(file: &str) -> String {
    let name = Path::new(file).file_name().map_or_else(|| file.into(), |name| name.to_string_lossy());
    let packed = [".gz", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending));
    let plain = Path::new(packed.unwrap_or(&name));
    plain.file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
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

/// The columns of a comparison.
pub(crate) const COLUMNS: [&str; 6] = ["case", "quantity", "expected", "computed", "error", "ok"];

/// One comparison as cells, in the order of [`COLUMNS`].
pub(crate) fn row(check: &Check) -> [String; 6] {
    let error = check.error.map_or_else(|| "-".to_owned(), |e| format!("{e:.1e}"));
    let verdict = if check.passed { "yes" } else { "NO" };
    let [expected, computed] = [check.expected.to_string(), check.computed.to_string()];
    [check.id.clone(), check.quantity.clone(), expected, computed, error, verdict.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Parity {
        check("a/dir/tradfi-some-cases.json", text.as_bytes()).unwrap()
    }

    #[test]
    fn every_sample_passes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
        if !Path::new(folder).is_dir() {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{folder} is absent");
            println!("skipped: {folder} is absent");
            return;
        }
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        for path in entries.filter(|path| path.extension().is_some_and(|e| e == "json")) {
            let file = path.display().to_string();
            let parity = check(&file, &std::fs::read(&path).unwrap()).unwrap();
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
    fn a_case_that_must_state_its_tolerance_and_does_not_is_a_miss() {
        let text =
            r#"{"higham": [{"id": "h", "A": [[1, 0.5], [0.5, 1]], "expected": [[1, 0.5], [0.5, 1]]}]}"#;
        assert_eq!(reasons(text), ["the case states no tolerance"]);
    }

    #[test]
    fn a_case_nobody_knows_is_a_miss_that_says_so() {
        let found =
            reasons(r#"{"cases": [{"id": "a", "function": "astrology", "inputs": {}, "expected": 1}]}"#);
        assert_eq!(found, [r#"unsupported: function "astrology""#]);
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
        // First bound 2, second 4: on the second bound.
        assert!(checked(&two("boundary", (0.5, 0.0, 2.0), (1.0, 0.0, 2.0))).is_clean());
        // Steeper by exactly what the tilt moves: theta phi rises by 0.1, rho theta phi by 0.1.
        assert!(checked(&two("boundary", (0.1, 0.0, 1.0), (0.2, 0.5, 1.0))).is_clean());
        assert!(!checked(&two("boundary", (0.1, 0.0, 1.0), (0.2, 0.4, 1.0))).is_clean());
        // First bound 2, second 4.4, and g >= 0: judged by the bound or by g.
        let beyond = |label: &str| two(label, (0.5, 0.0, 2.0), (10.0 / 11.0, 0.0, 2.2));
        for (label, fits) in [("butterfly_violation", true), ("arb_free", true), ("boundary", false)] {
            assert_eq!(checked(&beyond(label)).is_clean(), fits, "{label}");
        }
    }

    type Params = (f64, f64, f64);

    fn two(label: &str, near: Params, far: Params) -> String {
        let slice =
            |(theta, rho, phi): Params| format!(r#"{{"theta": {theta}, "rho": {rho}, "phi": {phi}}}"#);
        format!(
            r#"{{"ssvi_cases": {{"rows": [{{"id": "s", "label": "{label}", "slices": [{}, {}]}}]}}}}"#,
            slice(near),
            slice(far)
        )
    }

    fn reasons(text: &str) -> Vec<String> {
        checked(text).misses().map(|check| check.computed.to_string()).collect()
    }

    #[test]
    fn a_surface_without_slices_is_refused() {
        let found = reasons(r#"{"ssvi_cases": [{"id": "s", "label": "arb_free", "slices": []}]}"#);
        assert_eq!(found, ["`slices` is empty: a surface has at least one"]);
    }

    #[test]
    fn a_density_is_checked_and_an_unknown_kind_is_one_miss_beside_the_others() {
        let text = r#"{"raw_cases": [{"id": "vogt",
            "params": {"a": -0.041, "b": 0.1331, "rho": 0.306, "m": 0.3586, "sigma": 0.4153, "t": 1.0},
            "rows": [{"kind": "colour", "k": 0.0, "expected": 1.0}, {"kind": "w", "k": 0.3586, "expected": 0.01427643},
                {"kind": "density", "k": 0.1, "expected": 2.950888715114}]}]}"#;
        let found = checked(text);
        assert_eq!(found.checks.len(), 3);
        let misses: Vec<&Check> = found.misses().collect();
        assert_eq!(misses.len(), 1, "{misses:?}");
        assert_eq!(misses[0].quantity, "colour");
        assert!(misses[0].computed.to_string().starts_with("`kind` is `colour`"), "{misses:?}");
    }

    #[test]
    fn weights_are_a_diagonal_or_a_diagonal_matrix_of_the_size_of_the_input() {
        let case = |weights: &str| {
            format!(
                r#"{{"higham": [{{"id": "h", "tol": 1e-12, "A": [[1, 0.5], [0.5, 1]], "weights": {weights}, "expected": [[1, 0.5], [0.5, 1]]}}]}}"#
            )
        };
        for sound in ["null", "[1, 2]", "[[1, 0], [0, 2]]"] {
            assert!(checked(&case(sound)).is_clean(), "{sound}");
        }
        let bad = [
            ("[1]", "`weights` has 1 entries: expected 2, or 2 x 2"),
            ("[[1, 0], [0]]", "`weights[1]` has 1 entries: expected 2"),
            ("[[1, 0.5], [0.5, 2]]", "`weights[0][1]` is 0.5: expected 0 beside the diagonal"),
            ("[[1, 0], 2]", "`weights[1]` is not an array"),
        ];
        for (weights, reason) in bad {
            assert_eq!(reasons(&case(weights)), [reason], "{weights}");
        }
    }

    #[test]
    fn extremes_are_those_of_the_file() {
        let full = "[0,1,1],[0,-1,1],[0.3333333333333333,1,1],[0.3333333333333333,-1,1],
            [-0.3333333333333333,1,1],[-0.3333333333333333,-1,1],[0.6666666666666666,1,1],[0.6666666666666666,-1,1],
            [-0.6666666666666666,1,1],[-0.6666666666666666,-1,1],[1,1,1],[1,-1,1],[-1,1,1],[-1,-1,1]";
        let file = |extremes: &str, entry: i64| {
            format!(
                r#"{{"scenarios": {{"rows": [{full}, {extremes}], "paired": {{"1": 2, "15": 15, "16": 16}}}},
                "mcmillan": {{"long_future": [0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670,
                    10000, 10000, -10000, -10000, {entry}, -{entry}],
                "published": [{{"position": "nonsense", "requirement": 1}},
                    {{"position": "1 Long Future", "requirement": {}}}]}}}}"#,
                entry.max(10_000)
            )
        };
        let missed = |text: &str| -> Vec<String> {
            checked(text).misses().map(|check| check.quantity.clone()).collect()
        };
        let nonsense = "requirement of nonsense";
        assert_eq!(missed(&file("[3, 0, 0.33], [-3, 0, 0.33]", 9900)), [nonsense]);
        assert_eq!(missed(&file("[3, 0, 0.35], [-3, 0, 0.35]", 10_500)), [nonsense]);
        assert_eq!(missed(&file("[2, 0, 0.35], [-2, 0, 0.35]", 7000)), [nonsense]);
        let off = missed(&file("[3, 0, 0.33], [-3, 0, 0.33]", 7000));
        assert_eq!(off, ["long_future 15", "long_future 16", nonsense]);
        assert_eq!(missed(&file("[3, 1, 0.33], [-3, 0, 0.33]", 9900)), ["vol of 15", nonsense]);
    }

    #[test]
    fn a_byte_order_mark_and_a_compressed_name_change_nothing() {
        let text = "\u{feff}{\"covariance\": {\"data\": [[1, 2], [2, 4]], \"expected_corr01\": 1}}";
        let parity = check("a/tradfi-x.json.gz", text.as_bytes()).unwrap();
        assert_eq!((parity.method.as_str(), parity.is_clean()), ("tradfi-x", true));
    }
}
