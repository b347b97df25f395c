//! Tails of a lognormal price against 60-digit arithmetic (`reference/lognormal.py`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_quant::lognormal::Lognormal;
use plimsoll_quant::special::{ln, pow};
use proptest::prelude::*;

fn rows() -> Vec<[f64; 10]> {
    let text = include_str!("reference/lognormal.csv");
    let row = |line: &str| {
        let numbers: Vec<f64> = line.split(',').map(|x| x.parse().unwrap()).collect();
        <[f64; 10]>::try_from(numbers).unwrap()
    };
    text.lines().map(row).collect()
}

fn gap(computed: f64, expected: f64) -> f64 {
    if computed == expected { 0.0 } else { (computed / expected - 1.0).abs() }
}

#[test]
fn tail_losses_have_twelve_digits_down_to_the_smallest_level() {
    let mut worst = (0.0_f64, 0.0_f64);
    for [mu, vol, tau, level, long, short, ..] in rows() {
        let found = Lognormal { mu, vol, tau }.expected_shortfall(level);
        let off = (gap(found.long, long), gap(found.short, short));
        // Where the drift cancels the tail the digits of the inputs decide.
        let known = 1e-14 * (1.0 + (mu * tau / long.abs().min(short.abs())).abs());
        assert!(off.0 <= known && off.1 <= known, "{mu} {vol} {tau} {level}: {found:?} {long} {short}");
        worst = (worst.0.max(off.0), worst.1.max(off.1));
    }
    println!("worst relative errors {worst:?}");
}

#[test]
fn price_bounds_have_twelve_digits() {
    for [mu, vol, tau, _, _, _, probability, price, low, high] in rows() {
        let found = Lognormal { mu, vol, tau }.price_bounds(price, probability);
        // The exponent is rounded once: its size is the number of ulp lost.
        let scale = 1.0 + ln(low / price).abs().max(ln(high / price).abs());
        let known = 2e-15 * scale * 4.0;
        assert!(gap(found.0, low) <= known && gap(found.1, high) <= known, "{mu} {vol} {tau}: {found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn losses_rise_with_volatility_and_fall_with_the_level(
        level in -18.0..-2.4_f64, tau in -16.0..0.0_f64, vol in 0.001..3.0_f64,
    ) {
        let (level, tau) = (pow(2.0, level), pow(2.0, tau));
        let at = |vol: f64, level: f64| Lognormal { mu: 0.0, vol, tau }.expected_shortfall(level);
        let (base, wilder, milder) = (at(vol, level), at(vol * 1.1, level), at(vol, level * 1.1));
        prop_assert!(base.long > 0.0 && base.long < 1.0 && base.short > base.long);
        prop_assert!(wilder.long > base.long && wilder.short > base.short);
        prop_assert!(milder.long < base.long && milder.short < base.short);
    }
}
