//! Margin models, tools against procyclicality and their measures against numpy on the same returns.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use plimsoll_quant::procyclicality::*;
use plimsoll_quant::stats::mean;

/// As in the tests of conditional variance.
fn returns() -> Vec<f64> {
    let mut state: u64 = 12_345;
    let draw = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state as f64 / 2_147_483_648.0 - 0.5) * 0.04 * if i >= 300 { 2.0 } else { 1.0 }
    };
    (0..400).map(draw).collect()
}

const CONVENTION: Convention = Convention { confidence: 0.99, warm_up: 100 };

fn assert_near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 1e-12 * expected.abs(), "{value} is not {expected}");
}

fn ewma() -> Vec<f64> {
    margins(&returns(), &MarginModel::Ewma { lambda: 0.94 }, &CONVENTION).unwrap()
}

#[test]
fn the_four_models_agree_with_numpy() {
    let filtered = |cap| MarginModel::Filtered { lambda: 0.97, window: 150, cap };
    for (model, first, last) in [
        (MarginModel::Ewma { lambda: 0.94 }, 0.02964343400742386, 0.050262006064622444),
        (MarginModel::Historical { window: 150 }, 0.019371784273535014, 0.03934354476630688),
        (filtered(None), 0.02276040204969684, 0.06028657405690492),
        (filtered(Some(1.25)), 0.02276040204969684, 0.04661337612196803),
    ] {
        let series = margins(&returns(), &model, &CONVENTION).unwrap();
        assert_eq!(series.len(), 301);
        assert_near(series[0], first);
        assert_near(series[300], last);
    }
    let means = [(None, 0.032151996494789656), (Some(1.25), 0.028795367706669458)];
    for (cap, expected) in means {
        let series = margins(&returns(), &filtered(cap), &CONVENTION).unwrap();
        assert_near(mean(&series).unwrap(), expected);
    }
}

#[test]
fn the_tools_agree_with_numpy() {
    let base = ewma();
    let peak = base.iter().fold(0.0, |a: f64, m| a.max(*m));
    let floor = long_look_back(&returns(), 250, &CONVENTION).unwrap();
    for (series, expected) in [
        (larger_of(&base, &floor).unwrap(), 0.03514571247322212),
        (with_stress(&base, 0.25, peak).unwrap(), 0.040695434976144994),
        (with_buffer(&base, 0.25, 60).unwrap(), 0.042126836097005016),
        (with_speed_limit(&base, 0.05).unwrap(), 0.03455533284767353),
    ] {
        assert_near(mean(&series).unwrap(), expected);
    }
}

#[test]
fn the_measures_agree_with_numpy() {
    let base = ewma();
    assert_near(peak_to_trough(&base).unwrap(), 2.4978457414445687);
    assert_near(largest_increase(&base, 5).unwrap(), 1.6785639559211245);
    assert_near(increase_quantile(&base, 5, 0.99).unwrap(), 1.3496984424007323);
    assert_near(log_deviation(&base).unwrap(), 0.28350118195919116);
    let seen = coverage(&base[..300], &returns()[100..]).unwrap();
    assert_eq!((seen.breaches, seen.days), (2, 300));
    assert_near(seen.share(), 1.0 - 2.0 / 300.0);
    let historical = margins(&returns(), &MarginModel::Historical { window: 150 }, &CONVENTION).unwrap();
    assert_near(relative_cost(&base, &historical).unwrap(), 0.3650300491409577);
}

#[test]
fn a_cap_bounds_the_overshoot_after_a_step_in_volatility() {
    let path = impulse_path((0.01, 1000), (0.02, 600));
    let convention = Convention { confidence: 0.99, warm_up: 500 };
    let response = |model: MarginModel| {
        let series = margins(&path, &model, &convention).unwrap();
        // Element 501 is the first that has seen a return of 2 %: the one after return 1000.
        impulse_response(&series, 501).unwrap()
    };
    let free = response(MarginModel::Filtered { lambda: 0.97, window: 500, cap: None });
    assert_near(free.overshoot, 0.5044731030814573);
    assert_eq!((free.peak_day, free.days_to_90), (501, 10));
    let capped = response(MarginModel::Filtered { lambda: 0.97, window: 500, cap: Some(1.25) });
    assert_near(capped.overshoot, 0.23293782687123543);
    assert_eq!((capped.peak_day, capped.days_to_90), (28, 10));
    let smooth = response(MarginModel::Ewma { lambda: 0.97 });
    assert!(smooth.overshoot.abs() < 1e-12);
    assert_eq!(smooth.days_to_90, 67);
    for cap in [1.0, 1.1, 1.25, 1.5, 2.0] {
        let capped = response(MarginModel::Filtered { lambda: 0.97, window: 500, cap: Some(cap) });
        assert!(capped.overshoot <= cap - 1.0 + 1e-12, "cap {cap}: {capped:?}");
    }
}

#[test]
fn a_buffer_is_used_up_when_margins_rise_and_a_speed_limit_lets_them_fall() {
    let calm_then_high = [1.0, 1.0, 1.0, 1.0, 1.1, 2.0, 1.0];
    let buffered = with_buffer(&calm_then_high, 0.25, 4).unwrap();
    assert_eq!(buffered[..4], [1.25; 4]);
    // p75 of (1, 1, 1.1, 2) is 1.325: 1.25 x 1.325 is below the margin itself.
    assert_eq!(buffered[5], 2.0);
    let limited = with_speed_limit(&[1.0, 2.0, 0.5, 0.6], 0.5).unwrap();
    assert_eq!(limited, [1.0, 1.5, 0.5, 0.6]);
}

#[test]
fn impossible_conventions_and_series_are_refused() {
    let model = MarginModel::Ewma { lambda: 0.94 };
    let with = |confidence, warm_up| margins(&returns(), &model, &Convention { confidence, warm_up });
    assert!(with(1.0, 100).is_err());
    assert!(with(0.99, 0).is_err());
    assert!(with(0.99, 401).is_err());
    assert!(margins(&returns(), &MarginModel::Ewma { lambda: 1.0 }, &CONVENTION).is_err());
    assert!(margins(&returns(), &MarginModel::Historical { window: 0 }, &CONVENTION).is_err());
    let below_one = MarginModel::Filtered { lambda: 0.97, window: 150, cap: Some(0.9) };
    assert!(margins(&returns(), &below_one, &CONVENTION).is_err());
    assert!(margins(&[0.0; 10], &model, &Convention { confidence: 0.99, warm_up: 5 }).is_err());
    assert!(peak_to_trough(&[1.0, 0.0]).is_err());
    assert!(increase_ratios(&[1.0, 2.0], 2).is_err());
    assert!(increase_ratios(&[1.0, 2.0], 0).is_err());
    assert!(larger_of(&[1.0], &[1.0, 2.0]).is_err());
    assert!(coverage(&[1.0], &[]).is_err());
    assert!(with_stress(&[1.0], 1.5, 1.0).is_err());
    assert!(with_speed_limit(&[1.0], -0.1).is_err());
    assert!(impulse_response(&[1.0, 1.0, 1.0], 1).is_err());
}
