//! Generalised Black-Scholes against Haug's published values and the project vectors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::bs::{SpotGreeks, SpotInputs, greeks, price};

fn inputs(spot: f64, strike: f64, yield_: f64, rate: f64, tau: f64, vol: f64) -> SpotInputs {
    SpotInputs { spot, strike, yield_, rate, tau, vol }
}

fn list(g: &SpotGreeks) -> [f64; 10] {
    [g.value, g.delta, g.gamma, g.vega, g.theta, g.rho, g.dividend_rho, g.elasticity, g.vanna, g.volga]
}

const NAMES: [&str; 10] =
    ["value", "delta", "gamma", "vega", "theta", "rho", "dividend_rho", "elasticity", "vanna", "volga"];

#[test]
fn haug_published_values_are_reproduced_to_their_digits() {
    use OptionKind::{Call, Put};
    let cases = [
        // Haug (1998) pp. 2-8: stock, index, currency.
        (Call, inputs(60.0, 65.0, 0.0, 0.08, 0.25, 0.30), 2.1334),
        (Put, inputs(100.0, 95.0, 0.05, 0.10, 0.5, 0.20), 2.4648),
        (Put, inputs(19.0, 19.0, 0.10, 0.10, 0.75, 0.28), 1.7011),
        (Call, inputs(1.56, 1.60, 0.08, 0.06, 0.5, 0.12), 0.0291),
    ];
    for (kind, i, expected) in cases {
        assert!((price(kind, &i) - expected).abs() < 1e-4, "{i:?} {}", price(kind, &i));
    }
}

#[test]
fn shared_haug_vectors_are_within_1e_12() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors/tradfi-bs-haug.json");
    let Ok(text) = std::fs::read_to_string(path) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{path} is missing");
        println!("skipped: {path} is missing");
        return;
    };
    let values = &text[text.find("\"values\"").unwrap()..text.find("\"greeks\"").unwrap()];
    let (mut rows, mut worst) = (0, 0.0f64);
    for block in values.split("\"id\"").skip(1) {
        let field = |name: &str| -> &str {
            let rest = &block[block.find(&format!("\"{name}\":")).unwrap() + name.len() + 3..];
            rest[..rest.find([',', '}', '\n']).unwrap()].trim().trim_matches('"')
        };
        let n = |name: &str| field(name).parse::<f64>().unwrap();
        let kind = if field("type") == "call" { OptionKind::Call } else { OptionKind::Put };
        let g = greeks(kind, &inputs(n("spot"), n("strike"), n("q"), n("r"), n("t"), n("vol")));
        for (name, computed) in NAMES.into_iter().zip(list(&g)) {
            let error = (computed / n(name) - 1.0).abs();
            worst = worst.max(error);
            assert!(error < 1e-12, "{name} {computed} {}", field(name));
        }
        rows += 1;
    }
    println!("worst {worst}");
    assert_eq!(rows, 9);
}

#[test]
fn it_is_discounted_black_on_the_forward() {
    for kind in [OptionKind::Call, OptionKind::Put] {
        for (y, r) in [(0.0, 0.05), (0.03, -0.02), (0.0, 0.0)] {
            let i = inputs(100.0, 110.0, y, r, 0.7, 0.45);
            let forward = 100.0 * plimsoll_quant::special::exp((r - y) * 0.7);
            let expected =
                plimsoll_quant::special::exp(-r * 0.7) * black::price(kind, forward, 110.0, 0.45, 0.7);
            assert!((price(kind, &i) / expected - 1.0).abs() < 1e-14);
        }
    }
}

/// Fourth-order central difference.
fn difference(f: impl Fn(f64) -> f64, x: f64, h: f64) -> f64 {
    (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
}

#[test]
fn each_greek_is_the_difference_of_the_value() {
    for kind in [OptionKind::Call, OptionKind::Put] {
        let i = inputs(100.0, 105.0, 0.02, -0.01, 0.4, 0.5);
        let g = greeks(kind, &i);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-8 * (1.0 + b.abs()), "{a} {b}");
        close(g.delta, difference(|spot| price(kind, &SpotInputs { spot, ..i }), 100.0, 0.1));
        close(g.gamma, difference(|spot| greeks(kind, &SpotInputs { spot, ..i }).delta, 100.0, 0.1));
        close(g.vega, difference(|vol| price(kind, &SpotInputs { vol, ..i }), 0.5, 1e-3));
        close(g.theta, -difference(|tau| price(kind, &SpotInputs { tau, ..i }), 0.4, 1e-3));
        close(g.rho, difference(|rate| price(kind, &SpotInputs { rate, ..i }), -0.01, 1e-3));
        close(g.dividend_rho, difference(|yield_| price(kind, &SpotInputs { yield_, ..i }), 0.02, 1e-3));
        close(g.vanna, difference(|vol| greeks(kind, &SpotInputs { vol, ..i }).delta, 0.5, 1e-3));
        close(g.volga, difference(|vol| greeks(kind, &SpotInputs { vol, ..i }).vega, 0.5, 1e-3));
        assert_eq!(g.elasticity, g.delta * 100.0 / g.value);
    }
}

#[test]
fn expiry_and_zero_volatility_give_the_intrinsic_value() {
    use OptionKind::{Call, Put};
    let expired = greeks(Call, &inputs(110.0, 100.0, 0.1, 0.2, 0.0, 0.5));
    assert_eq!((expired.value, expired.delta, expired.gamma, expired.theta), (10.0, 1.0, 0.0, 0.0));
    let certain = greeks(Put, &inputs(80.0, 100.0, 0.0, 0.05, 2.0, 0.0));
    let expected = 100.0 * plimsoll_quant::special::exp(-0.1) - 80.0;
    assert!((certain.value - expected).abs() < 1e-13 && certain.vega == 0.0);
    assert_eq!(price(Call, &inputs(0.0, 100.0, 0.0, 0.05, 2.0, 0.5)), 0.0);
    assert!(price(Call, &inputs(f64::NAN, 100.0, 0.0, 0.05, 2.0, 0.5)).is_nan());
    assert!(price(Call, &inputs(1.0, 100.0, 0.0, f64::INFINITY, 2.0, 0.5)).is_nan());
}

#[test]
fn values_and_greeks_are_within_2e_14_of_high_precision_from_five_minutes_to_ten_years() {
    let mut worst = [0.0f64; 10];
    let mut steepest = 0.0f64;
    let mut rows = 0;
    for line in include_str!("reference/spot.csv").lines() {
        let r: Vec<f64> = line.split(',').map(|v| v.parse().unwrap()).collect();
        let kind = if r[0] > 0.0 { OptionKind::Call } else { OptionKind::Put };
        let g = greeks(kind, &inputs(r[1], r[2], r[3], r[4], r[5], r[6]));
        for (i, (computed, &expected)) in list(&g).into_iter().zip(&r[7..17]).enumerate() {
            let error = if computed == expected { 0.0 } else { (computed / expected - 1.0).abs() };
            worst[i] = worst[i].max(error);
            assert!(error < 2e-14, "{} of {line}: {computed}", NAMES[i]);
        }
        steepest = steepest.max(r[14].abs());
        rows += 1;
    }
    println!("worst {worst:?}, largest elasticity {steepest}");
    assert!(rows > 500 && steepest > 1e4);
}
