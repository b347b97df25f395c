//! What is no pass: numbers that nobody reads, tables that contradict themselves, forms that are not what they say.

use super::{Parity, check};

fn checked(text: &str) -> Parity {
    check("cases.json", text.as_bytes()).unwrap()
}

/// The reasons of the misses.
fn misses(text: &str) -> Vec<String> {
    checked(text).misses().map(|check| check.computed.to_string()).collect()
}

const RATE: &str = r#"{"cases": [{"id": "r", "function": "borrow_rate", "inputs": {"utilisation": 0.5}, "expected": 0.05,
    "tolerance_abs": 1e-12, "max_abs_err": 0.0, "note": "words", "verified": true}]}"#;

#[test]
fn a_number_or_a_table_beside_the_inputs_that_nobody_reads_is_a_miss() {
    assert!(checked(RATE).is_clean());
    for strange in ["\"published\": 1", "\"expected_mm\": [1]", "\"more\": {\"mm\": 1}"] {
        let found = misses(&RATE.replace("\"note\": \"words\"", strange));
        assert_eq!(found.len(), 1, "{strange}");
        assert!(found[0].starts_with("unsupported: the case has `"), "{found:?}");
    }
}

#[test]
fn a_case_that_is_no_object_is_a_miss_of_its_own() {
    let found = checked(r#"{"cases": [1, null, [], "x"]}"#);
    assert_eq!((found.cases, found.passed), (4, 0));
    assert!(found.misses().all(|check| check.computed.to_string() == "the case is not an object"));
}

#[test]
fn a_list_of_cases_that_is_no_list_is_a_miss() {
    let point = r#"{"peer_points": [{"F": 100, "K": 100, "sigma": 0.2, "T": 0.5, "type": "call",
        "price": 5.637197779701664, "check": "5.6371977797016623831"}], "rows": "abc", "implied_vol_stress": {"row": []}}"#;
    assert_eq!(misses(point), ["`rows` is not an array", "`implied_vol_stress` is not an array"]);
}

#[test]
fn a_published_price_is_held_to_its_own_digits_beside_the_exact_one() {
    let point = |price: &str| {
        format!(
            r#"{{"peer_points": [{{"F": 100, "K": 100, "sigma": 0.2, "T": 0.5, "type": "call", "price": {price},
            "check": "5.6371977797016623831"}}]}}"#
        )
    };
    for (price, fits) in [
        ("5.637197779701664", true),
        ("5.6372", true),
        ("5.6374", false),
        ("1e300", false),
        ("5.637197779801664", false),
    ] {
        assert_eq!(checked(&point(price)).is_clean(), fits, "{price}");
    }
}

#[test]
fn every_entry_of_a_matrix_is_compared() {
    let case = |upper: &str| {
        format!(
            r#"{{"higham": [{{"id": "h", "tol": 1e-12, "A": [[1, 0.5], [0.5, 1]], "expected": [[1, {upper}], [0.5, 1]]}}]}}"#
        )
    };
    assert!(checked(&case("0.5")).is_clean());
    assert!(!checked(&case("0.6")).is_clean());
}

#[test]
fn a_table_of_correlations_that_is_not_symmetric_is_refused() {
    let file = |other: &str| {
        format!(
            r#"{{"intra_bucket_corr": {{"1y|2y": 0.5, "2y|1y": {other}}}, "cases": [{{"mpor_days": 10,
            "risk_weights": {{"1y": 1, "2y": 1}}, "concentration_thresholds_usd": {{"delta": 1e9}},
            "delta_sensitivities": [{{"tenor": "2y", "amount_usd_per_bp": 3}}, {{"tenor": "1y", "amount_usd_per_bp": 5}}],
            "expected": {{"call": {{"delta": 7.0}}}}}}]}}"#
        )
    };
    assert!(checked(&file("0.5")).is_clean());
    assert!(misses(&file("0.6"))[0].starts_with("`intra_bucket_corr` has "));
}

#[test]
fn a_sample_has_as_many_numbers_as_it_says() {
    let file = |n: usize| {
        format!(
            r#"{{"cases": [{{"id": "s", "n": {n}, "pnl": [-2, -1, 0, 1], "expected": {{"0.25": {{"var": -2, "es": -2}}}}}}]}}"#
        )
    };
    assert!(checked(&file(4)).is_clean());
    assert_eq!(misses(&file(5)), ["`n` is 5, and `pnl` has 4 numbers"]);
}

#[test]
fn an_expected_object_with_nothing_in_it_is_a_miss() {
    let case = r#"{"cases": [{"function": "tiered_maintenance_margin", "inputs": {"notional": 10,
        "tiers": [{"lower_bound": 0, "max_leverage": 10}]}, "expected": {"margin": EXPECTED}, "tolerance_abs": 1e-9}]}"#;
    assert!(checked(&case.replace("EXPECTED", "0.5")).is_clean());
    assert!(!checked(&case.replace("EXPECTED", "{}")).is_clean());
}
