//! Filtered historical simulation online against the same margins computed over the whole series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec, RescaledWindow};
use plimsoll_quant::procyclicality::{Convention, MarginModel, impulse_path, impulse_response, margins};
use plimsoll_quant::stats::{StatsError, ewma_seed};

fn returns() -> Vec<f64> {
    let mut state: u64 = 12_345;
    let draw = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state as f64 / 2_147_483_648.0 - 0.5) * 0.04 * if i >= 300 { 2.0 } else { 1.0 }
    };
    (0..400).map(draw).collect()
}

const SPEC: FilteredSpec =
    FilteredSpec { window: 150, needed: 100, half_life: 20.0, vol_warm_up: 20, cap: None, vol_floor: 1e-9 };

#[test]
fn online_margins_of_both_sides_are_those_of_the_whole_series() {
    let convention = Convention { confidence: 0.99, warm_up: 100 };
    let lambda = plimsoll_quant::stats::decay_of_half_life(20.0);
    let turned: Vec<f64> = returns().iter().map(|r| -r).collect();
    for cap in [None, Some(1.25), Some(1.0)] {
        let model = MarginModel::Filtered { lambda, window: 150, cap };
        let long = margins(&returns(), &model, &convention).unwrap();
        let short = margins(&turned, &model, &convention).unwrap();
        // The offline series takes the mean square of the first hundred as what came before them.
        let seed = ewma_seed(&returns(), 100).unwrap().sqrt();
        let mut online = FilteredHistory::seeded(FilteredSpec { cap, ..SPEC }, seed).unwrap();
        let mut scratch = Vec::new();
        for (i, r) in returns().into_iter().enumerate() {
            online.update(r).unwrap();
            if i < 99 {
                assert!(matches!(online.losses(0.99, &mut scratch), Err(StatsError::TooFew { .. })));
                continue;
            }
            let found = online.losses(0.99, &mut scratch).unwrap();
            let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-13;
            assert!(near(found.long, long[i - 99]) && near(found.short, short[i - 99]), "{found:?} at {i}");
        }
        assert_eq!(online.len(), 150);
    }
}

#[test]
fn plain_losses_are_the_order_statistics() {
    let mut window = RescaledWindow::new(10, 10, None).unwrap();
    for i in 1..=10 {
        window.push(f64::from(i) * 0.01 - 0.055, 0.01).unwrap();
    }
    let scratch = &mut Vec::new();
    let worst = window.plain_losses(0.99, scratch).unwrap();
    assert!((worst.long - 0.045).abs() < 1e-15 && (worst.short - 0.045).abs() < 1e-15);
    let second = window.plain_losses(0.85, scratch).unwrap();
    assert!((second.long - 0.035).abs() < 1e-15 && (second.short - 0.035).abs() < 1e-15);
    // At the volatility they were seen with, rescaled returns are the returns.
    assert_eq!(window.losses(0.01, 0.85, scratch).unwrap(), second);
    assert!((window.losses(0.02, 0.85, scratch).unwrap().long - 0.07).abs() < 1e-15);
}

#[test]
fn the_cap_bounds_the_overshoot_online_too() {
    for cap in [1.0, 1.25, 1.5] {
        let spec = FilteredSpec { window: 500, needed: 400, half_life: 23.0, cap: Some(cap), ..SPEC };
        let mut online = FilteredHistory::new(spec).unwrap();
        let mut series = Vec::new();
        let mut step = 0;
        for (i, r) in impulse_path((0.01, 1000), (0.02, 600)).into_iter().enumerate() {
            online.update(r).unwrap();
            if i == 1000 {
                step = series.len();
            }
            if let Ok(found) = online.losses(0.99, &mut Vec::new()) {
                series.push(found.long);
            }
        }
        let response = impulse_response(&series, step).unwrap();
        assert!(response.overshoot <= cap - 1.0 + 1e-12, "cap {cap}: {response:?}");
    }
}

#[test]
fn a_constant_price_is_held_up_by_the_floor_of_the_volatility() {
    let mut online = FilteredHistory::new(FilteredSpec { vol_floor: 1e-4, ..SPEC }).unwrap();
    for _ in 0..300 {
        online.update(0.0).unwrap();
    }
    assert_eq!(online.vol().unwrap(), 1e-4);
    assert_eq!(online.losses(0.99, &mut Vec::new()).unwrap().long, 0.0);
}

#[test]
fn bad_values_change_nothing_and_bad_parameters_are_refused() {
    let mut online = FilteredHistory::seeded(SPEC, 0.01).unwrap();
    for r in returns() {
        online.update(r).unwrap();
    }
    let before = online.clone();
    for bad in [f64::NAN, f64::INFINITY, 1e200] {
        assert!(matches!(online.update(bad), Err(StatsError::NotFinite { .. })));
    }
    assert_eq!(online, before);
    assert!(online.losses(1.0, &mut Vec::new()).is_err());
    let text = serde_json::to_string(&online).unwrap();
    assert_eq!(online, serde_json::from_str::<FilteredHistory>(&text).unwrap());
    for spec in [
        FilteredSpec { window: 0, ..SPEC },
        FilteredSpec { needed: 151, ..SPEC },
        FilteredSpec { needed: 0, ..SPEC },
        FilteredSpec { half_life: 0.0, ..SPEC },
        FilteredSpec { cap: Some(0.9), ..SPEC },
        FilteredSpec { vol_floor: 0.0, ..SPEC },
    ] {
        assert!(FilteredHistory::new(spec).is_err(), "{spec:?}");
    }
    assert!(FilteredHistory::seeded(SPEC, 0.0).is_err());
    let mut window = RescaledWindow::new(3, 1, None).unwrap();
    assert!(window.push(0.1, 0.0).is_err() && window.push(f64::NAN, 1.0).is_err() && window.is_empty());
}
