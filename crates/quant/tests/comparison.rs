//! Tests between two forecasts against statsmodels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::backtest::{DieboldMariano, newey_west_lags, newey_west_variance, pinball_loss};
use plimsoll_quant::special::digamma;
use plimsoll_quant::stats::StatsError;
use plimsoll_quant::window::RollingMean;
use reference::Draw;

fn losses() -> (Vec<f64>, Vec<f64>) {
    let mut draw = Draw(34);
    let first: Vec<f64> = (0..500).map(|_| draw.uniform()).collect();
    let second = (0..500).map(|i| {
        let before = if i > 0 { 0.1 * first[i - 1] } else { 0.0 };
        first[i] * 0.9 + 0.12 * draw.uniform() + before
    });
    let second = second.collect();
    (first, second)
}

#[test]
fn diebold_and_mariano_agree_with_statsmodels() {
    let (first, second) = losses();
    for (lags, expected) in
        [(Some(0), -25.032731569312308), (Some(5), -35.740537038902715), (None, -35.740537038902715)]
    {
        let test = DieboldMariano::of(&first, &second, lags).unwrap();
        assert!((test.difference + 0.06042104854908775).abs() < 1e-15);
        assert!((test.statistic / expected - 1.0).abs() < 1e-11, "{test:?}");
    }
    let test = DieboldMariano::of(&first, &second, Some(0)).unwrap();
    assert!((test.p_equal() / 2.692184207172516e-138 - 1.0).abs() < 1e-8);
    assert!((2.0 * test.p_first_not_better() / test.p_equal() - 1.0).abs() < 1e-12);
    let turned = DieboldMariano::of(&second, &first, Some(0)).unwrap();
    assert_eq!(turned.statistic, -test.statistic);
    assert_eq!(newey_west_lags(500), 5);
}

#[test]
fn what_does_not_vary_or_match_is_refused() {
    assert!(matches!(DieboldMariano::of(&[1.0; 5], &[1.0; 4], None), Err(StatsError::Lengths { .. })));
    assert!(matches!(DieboldMariano::of(&[1.0; 50], &[2.0; 50], None), Err(StatsError::Domain { .. })));
    assert!(matches!(newey_west_variance(&[1.0, 2.0], 3), Err(StatsError::TooFew { needed: 5, .. })));
    assert!(newey_west_variance(&[1.0, f64::NAN, 2.0], 0).is_err());
}

#[test]
fn the_pinball_loss_is_least_at_the_quantile() {
    assert_eq!(pinball_loss(2.0, 1.0, 0.99), Ok(0.99));
    assert!((pinball_loss(0.0, 1.0, 0.99).unwrap() - 0.01).abs() < 1e-16);
    assert_eq!(pinball_loss(1.0, 1.0, 0.5), Ok(0.0));
    assert!(pinball_loss(1.0, 1.0, 1.0).is_err() && pinball_loss(f64::NAN, 1.0, 0.5).is_err());
    let (sample, _) = losses();
    let total = |q: f64| sample.iter().map(|x| pinball_loss(*x, q, 0.9).unwrap()).sum::<f64>();
    let mut sorted = sample.clone();
    sorted.sort_by(f64::total_cmp);
    let best = total(sorted[449]);
    assert!(best <= total(sorted[430]) && best <= total(sorted[470]));
}

#[test]
fn digamma_agrees_with_scipy() {
    for (x, expected) in [
        (1e-3, -1000.5755719318103),
        (0.5, -1.9635100260214235),
        (1.0, -0.5772156649015329),
        (2.5, 0.7031566406452432),
        (13.9, 2.5954865301728764),
        (250.25, 5.520461085528791),
        (1e6, 13.81551005796419),
    ] {
        let found = digamma(x);
        assert!(
            (found - expected).abs() <= 4e-15 * expected.abs().max(1.0),
            "{found} is not {expected} at {x}"
        );
    }
    assert!(digamma(0.0).is_nan() && digamma(-1.0).is_nan() && digamma(f64::NAN).is_nan());
}

#[test]
fn a_rolling_mean_is_that_of_its_window() {
    let (values, _) = losses();
    let mut online = RollingMean::new(37, 37).unwrap();
    for (i, x) in values.iter().enumerate() {
        online.update(*x).unwrap();
        if i >= 36 {
            let expected = values[i - 36..=i].iter().sum::<f64>() / 37.0;
            assert!((online.mean().unwrap() / expected - 1.0).abs() < 1e-14);
        } else {
            assert!(online.mean().is_err());
        }
    }
    // A value that dwarfs the others leaves nothing behind once the window has gone round.
    online.update(1e18).unwrap();
    for _ in 0..80 {
        online.update(0.1).unwrap();
    }
    assert!((online.mean().unwrap() - 0.1).abs() < 1e-15);
    let before = online.clone();
    assert!(online.update(f64::NAN).is_err());
    assert_eq!(online, before);
    assert!(RollingMean::new(3, 4).is_err() && RollingMean::new(3, 0).is_err());
}
