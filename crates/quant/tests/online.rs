//! Exponential averages and long windows against their definitions on a short series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_quant::ewma::{EwmaMoments, EwmaVariance, TwoSpeedDeviation, TwoSpeedSpec};
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::{
    QuantileRule, StatsError, decay_of_half_life, ewma_variance, quantile, student_t_mean_abs,
};
use plimsoll_quant::window::Window;

fn returns(n: usize) -> Vec<f64> {
    let mut state: u64 = 12_345;
    let draw = |_| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state as f64 / 2_147_483_648.0 - 0.5) * 0.04
    };
    (0..n).map(draw).collect()
}

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value} is not {expected}");
}

#[test]
fn a_seeded_variance_is_the_offline_recursion_bit_for_bit() {
    let returns = returns(300);
    let mut online = EwmaVariance::seeded(23.0, 2e-4).unwrap();
    let path = ewma_variance(&returns, decay_of_half_life(23.0), 2e-4).unwrap();
    for (r, before) in returns.iter().zip(&path.before) {
        assert_eq!(online.variance().unwrap(), *before);
        online.update(*r).unwrap();
    }
    assert_eq!(online.variance().unwrap(), path.last);
}

#[test]
fn a_young_average_is_the_plain_mean_and_then_forgets() {
    let returns = returns(200);
    let mut online = EwmaVariance::new(10.0, 5).unwrap();
    // 1 - lambda = 0.0670: the mean of the first 14, exponential from the 15th.
    let lambda = decay_of_half_life(10.0);
    let mut expected = 0.0;
    for (i, r) in returns.iter().enumerate() {
        online.update(*r).unwrap();
        expected = if i < 14 {
            returns[..=i].iter().map(|r| r * r).sum::<f64>() / (i + 1) as f64
        } else {
            lambda * expected + (1.0 - lambda) * r * r
        };
        if i < 4 {
            assert_eq!(online.variance(), Err(StatsError::TooFew { observations: i + 1, needed: 5 }));
        } else {
            assert_near(online.variance().unwrap(), expected, 1e-13);
        }
    }
    assert_near(online.vol().unwrap(), expected.sqrt(), 1e-13);
}

#[test]
fn moments_are_those_of_their_weights() {
    let values = returns(120);
    let lambda = decay_of_half_life(8.0);
    let mut online = EwmaMoments::new(8.0, 2).unwrap();
    let mut weights: Vec<f64> = Vec::new();
    for (i, x) in values.iter().enumerate() {
        online.update(*x).unwrap();
        let decay = lambda.min(1.0 - 1.0 / (i + 1) as f64);
        weights.iter_mut().for_each(|w| *w *= decay);
        weights.push(1.0 - decay);
    }
    assert_near(weights.iter().sum(), 1.0, 1e-13);
    let mean: f64 = weights.iter().zip(&values).map(|(w, x)| w * x).sum();
    let variance: f64 = weights.iter().zip(&values).map(|(w, x)| w * (x - mean) * (x - mean)).sum();
    assert_near(online.mean().unwrap(), mean, 1e-11);
    assert_near(online.variance().unwrap(), variance, 1e-11);
    assert_near(online.z_score(0.07).unwrap(), (0.07 - mean) / variance.sqrt(), 1e-11);
}

#[test]
fn what_is_not_finite_changes_nothing() {
    let mut variance = EwmaVariance::new(10.0, 1).unwrap();
    let mut moments = EwmaMoments::new(10.0, 1).unwrap();
    let mut ranks = RankWindow::new(3, 1).unwrap();
    for x in [0.5, 0.25] {
        variance.update(x).unwrap();
        moments.update(x).unwrap();
        ranks.update(x).unwrap();
    }
    let before = (variance.clone(), moments.clone(), ranks.clone());
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(variance.update(bad), Err(StatsError::NotFinite { index: 2, .. })));
        assert!(matches!(moments.update(bad), Err(StatsError::NotFinite { index: 2, .. })));
        assert!(matches!(ranks.update(bad), Err(StatsError::NotFinite { index: 2, .. })));
        assert!(moments.z_score(bad).is_err());
        assert!(ranks.percentile_rank(bad).is_err());
    }
    assert!(variance.update(1e200).is_err());
    assert!(moments.update(1e200).is_err());
    assert_eq!((variance, moments, ranks), before);
}

#[test]
fn a_rank_window_is_the_sorted_window() {
    let mut values = returns(500);
    for (i, x) in values.iter_mut().enumerate() {
        // Ties and both zeros.
        *x = match i % 7 {
            0 => 0.0,
            1 => -0.0,
            2 => 0.01,
            _ => *x,
        };
    }
    let mut online = RankWindow::new(60, 60).unwrap();
    for end in 0..values.len() {
        online.update(values[end]).unwrap();
        if end + 1 < 60 {
            assert!(online.quantile(0.5).is_err() && online.percentile_rank(0.0).is_err());
            continue;
        }
        let window = &values[end + 1 - 60..=end];
        for level in [0.001, 0.01, 0.05, 0.5, 0.9, 0.99, 0.999] {
            let expected = quantile(window, level, QuantileRule::IndexAbove).unwrap();
            assert_eq!(online.quantile(level).unwrap(), expected);
        }
        let x = values[end];
        let below = window.iter().filter(|y| **y < x).count();
        let equal = window.iter().filter(|y| **y == x).count();
        assert_eq!(online.percentile_rank(x).unwrap(), (below as f64 + 0.5 * equal as f64) / 60.0);
        assert_eq!(online.len(), 60);
    }
    assert_eq!(online.iter().count(), 60);
}

#[test]
fn impossible_parameters_are_refused() {
    assert!(EwmaVariance::new(0.0, 1).is_err());
    assert!(EwmaVariance::new(f64::INFINITY, 1).is_err());
    assert!(EwmaVariance::new(1e-9, 1).is_err());
    assert!(EwmaVariance::new(10.0, 0).is_err());
    assert!(EwmaVariance::seeded(10.0, 0.0).is_err());
    assert!(EwmaMoments::new(f64::NAN, 1).is_err());
    assert!(RankWindow::new(0, 1).is_err());
    assert!(RankWindow::new(5, 6).is_err());
    assert!(RankWindow::new(5, 0).is_err());
    assert!(Window::<f64>::new(0).is_err());
    let constant = {
        let mut moments = EwmaMoments::new(5.0, 1).unwrap();
        moments.update(1.0).unwrap();
        moments
    };
    assert!(matches!(constant.z_score(2.0), Err(StatsError::Domain { parameter: "variance", .. })));
}

#[test]
fn state_survives_being_written_and_read() {
    let mut variance = EwmaVariance::new(10.0, 1).unwrap();
    let mut ranks = RankWindow::new(20, 1).unwrap();
    for r in returns(50) {
        variance.update(r).unwrap();
        ranks.update(r).unwrap();
    }
    let text = serde_json::to_string(&(&variance, &ranks)).unwrap();
    assert_eq!((variance, ranks), serde_json::from_str(&text).unwrap());
}

#[test]
fn two_speeds_are_an_exponential_and_a_plain_mean_of_sizes() {
    let spec = TwoSpeedSpec { half_life: 6.5, window: 100, needed: 60, fast_weight: 0.4, winsor: Some(2.0) };
    let mut online = TwoSpeedDeviation::new(spec).unwrap();
    let sizes: Vec<f64> = returns(400).iter().map(|r| r.abs()).collect();
    let lambda = decay_of_half_life(6.5);
    let (mut fast, mut slow) = (0.0, 0.0);
    for (i, r) in returns(400).into_iter().enumerate() {
        online.update(r).unwrap();
        let before = slow;
        let window = &sizes[(i + 1).saturating_sub(100)..=i];
        slow = window.iter().sum::<f64>() / window.len() as f64;
        fast = if i < 60 { slow } else { lambda * fast + (1.0 - lambda) * sizes[i].min(2.0 * before) };
        if i + 1 < 60 {
            assert!(online.deviation().is_err() && online.fast().is_err() && online.slow().is_err());
            continue;
        }
        assert_near(online.fast().unwrap(), fast, 1e-12);
        assert_near(online.slow().unwrap(), slow, 1e-12);
        assert_near(online.deviation().unwrap(), 0.4 * fast + 0.6 * slow, 1e-12);
    }
    // However large, one return counts for no more than two slow means in the fast one.
    let (fast, slow) = (online.fast().unwrap(), online.slow().unwrap());
    online.update(1e9).unwrap();
    assert_near(online.fast().unwrap(), lambda * fast + (1.0 - lambda) * 2.0 * slow, 1e-12);
    let before = online.clone();
    assert!(online.update(f64::NAN).is_err());
    assert_eq!(online, before);
    for spec in [
        TwoSpeedSpec { half_life: 0.0, ..spec },
        TwoSpeedSpec { needed: 101, ..spec },
        TwoSpeedSpec { fast_weight: 1.1, ..spec },
        TwoSpeedSpec { winsor: Some(0.5), ..spec },
    ] {
        assert!(TwoSpeedDeviation::new(spec).is_err());
    }
}

const MEAN_SIZES: [(f64, f64); 4] = [
    (1.5, 2.044409887732162),
    (3.0, 1.1026577908435842),
    (5.0, 0.9490167245562361),
    (40.0, 0.813244973742243),
];

#[test]
fn the_mean_size_of_students_t_agrees_with_scipy() {
    // scipy.stats.t(nu).expect(abs): closed form evaluated with mpmath.
    for (nu, expected) in MEAN_SIZES {
        assert_near(student_t_mean_abs(nu).unwrap(), expected, 1e-14);
    }
    assert!(student_t_mean_abs(1.0).is_err());
}
