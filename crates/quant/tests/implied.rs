//! Implied volatility: recovery within the conditioning bound, typed refusals, and the shared stress vectors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
use plimsoll_quant::black::{OptionKind, greeks, price};
use plimsoll_quant::implied::{ImpliedVolError, implied_vol};
use proptest::prelude::*;

const KINDS: [OptionKind; 2] = [OptionKind::Call, OptionKind::Put];

/// The error allowed by the conditioning of the price: `max(1e-12, 8 x 2^-53 price / (vega vol))`.
fn allowed(price: f64, vega: f64, vol: f64) -> f64 {
    (4.0 * f64::EPSILON * price / (vega * vol)).max(1e-12)
}

#[test]
fn high_precision_prices_give_back_their_volatility() {
    let (mut recovered, mut refused, mut worst) = (0, 0, 0.0f64);
    for line in include_str!("reference/black.csv").lines() {
        let r: Vec<f64> = line.split(',').map(|v| v.parse().unwrap()).collect();
        let (f, k, vol, tau, vega) = (r[0], r[1], r[2], r[3], r[8]);
        for (kind, price, other) in [(OptionKind::Call, r[4], r[5]), (OptionKind::Put, r[5], r[4])] {
            let tol = allowed(price, vega, vol);
            let time_value = price.min(other);
            match implied_vol(kind, price, f, k, tau) {
                Ok(found) => {
                    let error = (found / vol - 1.0).abs();
                    assert!(error <= tol, "{line} {kind:?}: {found} off by {error}, allowed {tol}");
                    worst = worst.max(error / tol);
                    recovered += 1;
                }
                Err(e) => {
                    let hopeless = tol > 0.005 || time_value / price < 1.1e-15;
                    assert!(hopeless, "{line} {kind:?}: {e}, allowed {tol}");
                    refused += 1;
                }
            }
        }
    }
    println!("recovered {recovered}, refused {refused}, worst share of the bound {worst}");
    assert!(recovered > 900, "{recovered}");
}

#[test]
fn shared_stress_vectors_are_recovered_or_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tradfi-black76-iv.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is missing");
        println!("skipped: {path} is missing");
        return;
    };
    let mut rows = 0;
    for block in text[text.find("\"implied_vol_stress\"").unwrap()..].split('{').skip(2) {
        let field = |name: &str| -> String {
            let rest = &block[block.find(&format!("\"{name}\"")).unwrap() + name.len() + 3..];
            rest[..rest.find([',', '}', '\n']).unwrap()].trim().trim_matches('"').to_owned()
        };
        let n = |name: &str| field(name).parse::<f64>().unwrap();
        let kind = if field("type") == "call" { OptionKind::Call } else { OptionKind::Put };
        let found = implied_vol(kind, n("price"), n("F"), n("K"), n("T"));
        if field("f64_attainable") == "true" {
            let sigma = n("sigma");
            let vol = found.unwrap_or_else(|e| panic!("{block}: {e}"));
            assert!((vol / sigma - 1.0).abs() <= n("tol_rel"), "{block}: {vol}");
            assert!((price(kind, n("F"), n("K"), sigma, n("T")) / n("price") - 1.0).abs() < 1e-13, "{block}");
        } else {
            assert!(found.is_err(), "{block}: {found:?}");
        }
        rows += 1;
    }
    assert_eq!(rows, 70);
}

#[test]
fn shared_price_vectors_are_within_1e_13() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tradfi-black76-iv.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is missing");
        println!("skipped: {path} is missing");
        return;
    };
    let start = text.find("\"rows\"").unwrap();
    let mut rows = 0;
    for line in text[start..text.find("\"peer_points\"").unwrap()].lines().skip(1) {
        let cells: Vec<f64> = line
            .trim()
            .trim_matches(['[', ']', ','])
            .split(',')
            .filter_map(|c| c.trim().trim_matches('"').parse().ok())
            .collect();
        if let [f, k, vol, tau, q, _, exact] = cells[..] {
            let kind = if q > 0.0 { OptionKind::Call } else { OptionKind::Put };
            let error = (price(kind, f, k, vol, tau) - exact).abs();
            assert!(error <= 1e-13 * exact, "{line} {error}");
            rows += 1;
        }
    }
    assert_eq!(rows, 200);
}

#[test]
fn prices_outside_their_bounds_are_refused_with_the_numbers() {
    use OptionKind::{Call, Put};
    let at = |kind, price| implied_vol(kind, price, 100.0, 90.0, 0.5).unwrap_err();
    assert_eq!(at(Call, 9.0), ImpliedVolError::BelowIntrinsic { price: 9.0, intrinsic: 10.0 });
    assert_eq!(at(Call, 10.0), ImpliedVolError::BelowIntrinsic { price: 10.0, intrinsic: 10.0 });
    assert_eq!(at(Put, 0.0), ImpliedVolError::BelowIntrinsic { price: 0.0, intrinsic: 0.0 });
    assert_eq!(at(Put, -1.0), ImpliedVolError::BelowIntrinsic { price: -1.0, intrinsic: 0.0 });
    assert_eq!(at(Call, 100.0), ImpliedVolError::AboveBound { price: 100.0, bound: 100.0 });
    assert_eq!(at(Put, 90.0), ImpliedVolError::AboveBound { price: 90.0, bound: 90.0 });
    assert_eq!(
        implied_vol(Call, 5.0, 100.0, 100.0, 0.0).unwrap_err(),
        ImpliedVolError::NonPositiveTau { tau: 0.0 }
    );
    assert_eq!(
        implied_vol(Call, 5.0, -1.0, 100.0, 1.0).unwrap_err(),
        ImpliedVolError::Negative { forward: -1.0, strike: 100.0 }
    );
    for bad in [f64::NAN, f64::INFINITY] {
        assert!(matches!(implied_vol(Call, bad, 1.0, 1.0, 1.0), Err(ImpliedVolError::NonFinite { .. })));
        assert!(matches!(implied_vol(Call, 0.1, 1.0, 1.0, bad), Err(ImpliedVolError::NonFinite { .. })));
    }
    // Zero strike and zero forward leave no room for a volatility.
    assert!(implied_vol(Call, 1.0, 1.0, 0.0, 1.0).is_err() && implied_vol(Put, 0.5, 0.0, 1.0, 1.0).is_err());
    assert!(implied_vol(Put, 0.0, 1.0, 0.0, 1.0).is_err() && implied_vol(Call, 0.0, 0.0, 1.0, 1.0).is_err());
}

#[test]
fn a_price_that_has_lost_its_time_value_is_an_error_not_zero() {
    // A deep in-the-money call one ulp above intrinsic.
    let (f, k) = (100.0f64, 5.0f64);
    let e = implied_vol(OptionKind::Call, (f - k).next_up(), f, k, 0.1).unwrap_err();
    assert!(matches!(e, ImpliedVolError::Unrecoverable { .. }), "{e}");
    let e = implied_vol(OptionKind::Call, 100.0f64.next_down(), 100.0, 100.0, 0.1).unwrap_err();
    assert!(
        matches!(e, ImpliedVolError::Unrecoverable { relative_error, .. } if relative_error > 0.01),
        "{e}"
    );
}

#[test]
fn a_dense_grid_over_the_domain_is_recovered_within_its_bound() {
    let (mut recovered, mut refused, mut worst) = (0, 0, 0.0f64);
    for m in -60..=60 {
        let k = 100.0 * plimsoll_quant::special::exp(f64::from(m) * 0.23);
        for v in 0..=60 {
            let vol = 1e-4 * plimsoll_quant::special::pow(6e5, f64::from(v) / 60.0);
            for tau in [1e-5, 1.0 / 365.0, 0.1, 1.0, 10.0] {
                for kind in KINDS {
                    let g = greeks(kind, 100.0, k, vol, tau);
                    if g.price < 1e-290 {
                        continue;
                    }
                    let tol = allowed(g.price, g.vega, vol);
                    match implied_vol(kind, g.price, 100.0, k, tau) {
                        Ok(found) => {
                            let error = (found / vol - 1.0).abs();
                            assert!(error <= tol, "{kind:?} {k} {vol} {tau}: {found} {error} {tol}");
                            worst = worst.max(error / tol);
                            recovered += 1;
                        }
                        Err(ImpliedVolError::NotConverged { .. }) => panic!("{kind:?} {k} {vol} {tau}"),
                        Err(_) => {
                            let tv = g.price - plimsoll_quant::black::intrinsic(kind, 100.0, k);
                            assert!(
                                tol.is_nan() || tol >= 0.005 || tv < 2e-15 * g.price,
                                "{kind:?} {k} {vol} {tau} {tol}"
                            );
                            refused += 1;
                        }
                    }
                }
            }
        }
    }
    println!("recovered {recovered}, refused {refused}, worst share {worst}");
    assert!(recovered > 15_000);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_out_reprices(f in 1e-3..1e6f64, r in 1e-3..1e3f64, share in 1e-12..1.0f64, tau in 1e-7..10.0f64) {
        let k = f * r;
        let p = share * f.min(k);
        let kind = if k >= f { OptionKind::Call } else { OptionKind::Put };
        if let Ok(vol) = implied_vol(kind, p, f, k, tau) {
            let g = greeks(kind, f, k, vol, tau);
            let slope = g.vega * vol / p;
            prop_assert!((g.price / p - 1.0).abs() <= 1e-13 + 2e-15 * slope, "{} {} {}", g.price, p, slope);
        }
    }
}
