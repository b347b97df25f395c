//! Heterogeneous autoregression, ranges and jumps against statsmodels and numpy on the same series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::har::{Har, HarScale, HarSpec};
use plimsoll_quant::jump::{JumpTest, jump_share};
use plimsoll_quant::range::*;
use plimsoll_quant::regression::least_squares;
use plimsoll_quant::schedule::Refit;
use plimsoll_quant::stats::StatsError;
use reference::Draw;

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value} is not {expected}");
}

fn variances(n: usize) -> Vec<f64> {
    let mut draw = Draw(31);
    let mut v = 1e-4;
    let next = |_| {
        let u = draw.uniform();
        v = 2e-5 + 0.8 * v * (0.6 + 0.9 * u);
        v
    };
    (0..n).map(next).collect()
}

fn har(scale: HarScale) -> Har {
    Har::new(HarSpec { week: 5, month: 22, window: 1000, needed: 378, refit_every: 50, scale }).unwrap()
}

#[test]
fn the_autoregression_agrees_with_statsmodels_in_levels_and_logarithms() {
    let level = (
        [0.874538477327705, -0.004623734826763221, -0.00565490596746984],
        (1.590532447232877e-05, 6.982535588131999e-10, 7.830590796201746e-05),
    );
    let log = (
        [0.7744427488782122, 0.08181640048827063, -0.012429178691107032],
        (-1.4255403839717147, 0.042128458429072174, 8.018385973269128e-05),
    );
    for (scale, (weights, (intercept, residual, forecast))) in
        [(HarScale::Level, level), (HarScale::Log, log)]
    {
        let mut online = har(scale);
        for (i, v) in variances(400).into_iter().enumerate() {
            let refit = online.update(v).unwrap();
            assert_eq!(refit == Refit::Done, i + 1 == 400);
        }
        let fit = *online.fit().unwrap();
        for (found, expected) in fit.weights.iter().zip(weights) {
            assert!((found - expected).abs() < 1e-10, "{fit:?}");
        }
        assert_near(fit.intercept, intercept, 1e-9);
        assert_near(fit.residual_variance, residual, 1e-10);
        assert_near(online.forecast().unwrap(), forecast, 1e-11);
        assert_near(online.forecast_total(1).unwrap(), forecast, 1e-11);
        let ten = online.forecast_total(10).unwrap();
        assert!(ten > 10.0 * fit.least && ten < 10.0 * fit.most);
    }
}

#[test]
fn a_forecast_stays_within_what_was_seen() {
    let mut online = har(HarScale::Level);
    for v in variances(400) {
        online.update(v).unwrap();
    }
    let most = online.fit().unwrap().most;
    online.update(100.0 * most).unwrap();
    assert_eq!(online.forecast().unwrap(), most);
}

#[test]
fn averages_are_known_before_the_regression_and_bad_variances_change_nothing() {
    let mut online = har(HarScale::Log);
    for v in 1..=22 {
        assert!(online.averages().is_err());
        online.update(f64::from(v)).unwrap();
    }
    assert_eq!(online.averages().unwrap(), [22.0, 20.0, 11.5]);
    assert_eq!(online.forecast(), Err(StatsError::TooFew { observations: 22, needed: 400 }));
    let before = online.clone();
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(online.update(bad).is_err());
    }
    assert_eq!(online, before);
    let mut level = har(HarScale::Level);
    for _ in 0..399 {
        level.update(0.0).unwrap();
    }
    // A constant series has no regression; the reason is told, and told again when the next one is due.
    assert!(matches!(level.update(0.0), Ok(Refit::Kept(StatsError::Domain { .. }))));
    for _ in 0..49 {
        assert_eq!(level.update(0.0), Ok(Refit::NotDue));
    }
    assert!(matches!(level.update(0.0), Ok(Refit::Kept(_))));
    assert!(level.forecast().is_err());
    let text = serde_json::to_string(&online).unwrap();
    assert_eq!(online, serde_json::from_str::<Har>(&text).unwrap());
}

#[test]
fn regressors_that_follow_from_each_other_are_refused() {
    let rows: Vec<([f64; 2], f64)> = (0..20).map(|i| ([f64::from(i), 2.0 * f64::from(i)], 1.0)).collect();
    assert!(matches!(least_squares(&rows), Err(StatsError::Domain { .. })));
    assert!(least_squares(&rows[..3]).is_err());
    assert!(least_squares(&[([1.0], f64::NAN), ([2.0], 1.0), ([3.0], 1.0)]).is_err());
}

fn bars(n: usize) -> Vec<Bar> {
    let mut draw = Draw(32);
    let mut close = 100.0;
    let next = |_| {
        let open = close * (1.0 + 0.01 * (draw.uniform() - 0.5));
        close = open * (1.0 + 0.04 * (draw.uniform() - 0.5));
        let high = open.max(close) * (1.0 + 0.01 * draw.uniform());
        let low = open.min(close) * (1.0 - 0.01 * draw.uniform());
        Bar::new(open, high, low, close).unwrap()
    };
    (0..n).map(next).collect()
}

#[test]
fn range_estimators_agree_with_numpy() {
    let expected = [
        (RangeEstimator::Parkinson, 0.00017488586128704806),
        (RangeEstimator::GarmanKlass, 0.0001822600907106807),
        (RangeEstimator::RogersSatchell, 0.00017158944040003725),
    ];
    for (estimator, expected) in expected {
        let mut online = RangeWindow::new(estimator, 30).unwrap();
        let mut plain = RangeEwma::new(estimator, 1e6, 30).unwrap();
        for (i, bar) in bars(40).iter().enumerate() {
            assert_eq!(online.variance().is_ok(), i >= 30);
            online.update(bar);
            if i >= 10 {
                plain.update(bar).unwrap();
            }
        }
        assert_near(online.variance().unwrap(), expected, 1e-12);
        assert_near(plain.variance().unwrap(), expected, 1e-12);
    }
    let mut online = YangZhang::new(30).unwrap();
    for bar in bars(40) {
        online.update(&bar);
    }
    assert_near(online.variance().unwrap(), 0.00017565203434761345, 1e-12);
}

#[test]
fn an_exponential_yang_zhang_comes_near_the_plain_one_and_needs_two_bars() {
    let mut online = YangZhangEwma::new(200.0, 2).unwrap();
    let mut plain = YangZhang::new(200).unwrap();
    for (i, bar) in bars(2000).iter().enumerate() {
        assert_eq!(online.variance().is_ok(), i >= 3);
        online.update(bar).unwrap();
        plain.update(bar);
    }
    assert_near(online.variance().unwrap(), plain.variance().unwrap(), 0.1);
    assert!(YangZhangEwma::new(0.5, 2).is_err() && YangZhangEwma::new(5.0, 1).is_err());
    assert!(YangZhang::new(1).is_err());
}

#[test]
fn impossible_bars_are_refused_by_the_price_that_is_wrong() {
    let name = |bar: Result<Bar, StatsError>| match bar {
        Err(StatsError::Domain { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(Bar::new(1.0, 0.9, 1.1, 1.0)), "high");
    assert_eq!(name(Bar::new(1.0, 1.1, 1.05, 1.1)), "low");
    assert_eq!(name(Bar::new(0.0, 1.1, 1.0, 1.0)), "open");
    assert_eq!(name(Bar::new(1.0, f64::NAN, 1.0, 1.0)), "high");
    assert_eq!(name(Bar::new(1.0, 1.0, -1.0, 1.0)), "low");
    assert_eq!(name(Bar::new(1.0, f64::INFINITY, 1.0, 1.0)), "high");
    assert_eq!(name(Bar::new(1.0, 1e300, 1e-300, 1.0)), "high over low");
    let flat = Bar::new(2.0, 2.0, 2.0, 2.0).unwrap();
    assert_eq!([parkinson(&flat), garman_klass(&flat), rogers_satchell(&flat)], [0.0; 3]);
    for bar in bars(500) {
        assert!(parkinson(&bar) >= 0.0 && garman_klass(&bar) >= 0.0 && rogers_satchell(&bar) >= 0.0);
    }
}

fn jumpy() -> Vec<f64> {
    let mut draw = Draw(33);
    let mut returns: Vec<f64> = (0..300).map(|_| 0.01 * draw.normal()).collect();
    returns[200] += 0.09;
    returns[250] -= 0.02;
    returns
}

#[test]
fn the_statistics_of_lee_and_mykland_agree_with_numpy() {
    let mut online = JumpTest::new(16, 365, 0.01).unwrap();
    let mut readings = Vec::new();
    for r in jumpy() {
        readings.push(online.update(r).unwrap());
    }
    assert!(readings[..15].iter().all(Option::is_none) && readings[15].is_some());
    for (i, statistic, p) in [
        (200, 14.214325825185222, 3.7245629341388305e-13),
        (250, -3.6535145702996, 0.7499225858065404),
        (299, 1.4153421698836421, 1.0),
    ] {
        let reading = readings[i].unwrap();
        assert_near(reading.statistic, statistic, 1e-11);
        assert_near(reading.p_value, p, 1e-9);
        assert_eq!(reading.is_jump, i == 200);
    }
    let before = online.clone();
    assert!(online.update(f64::NAN).is_err());
    assert_eq!(online, before);
    // Where nothing moves there is nothing to measure against.
    let mut still = JumpTest::new(4, 100, 0.01).unwrap();
    for _ in 0..10 {
        assert_eq!(still.update(0.0), Ok(None));
    }
    assert!(JumpTest::new(2, 100, 0.01).is_err() && JumpTest::new(4, 2, 0.01).is_err());
    assert!(JumpTest::new(4, 100, 0.0).is_err());
}

#[test]
fn the_share_of_jumps_agrees_with_numpy() {
    let found = jump_share(&jumpy()).unwrap();
    assert_near(found.realised, 0.03794607491640384, 1e-12);
    assert_near(found.bipower, 0.036704275024334446, 1e-12);
    assert_near(found.statistic, 0.7083531750389324, 1e-10);
    assert_near(found.p_value, 0.2393629815090756, 1e-10);
    assert_near(found.share, 1.0 - 0.036704275024334446 / 0.03794607491640384, 1e-9);
    assert!(jump_share(&[0.0; 10]).is_err() && jump_share(&[0.1, 0.1]).is_err());
}
