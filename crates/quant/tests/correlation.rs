//! Shrunk and dynamic correlation against scikit-learn, PyPortfolioOpt and scipy on the same series.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::correlation::*;
use plimsoll_quant::linalg::Symmetric;
use plimsoll_quant::stats::StatsError;
use reference::Draw;

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value - expected).abs() <= relative * expected.abs(), "{value} is not {expected}");
}

/// A common factor with these loadings, and growing scales.
fn rows(n: usize, series: usize, seed: u64, loading: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut draw = Draw(seed);
    let mut rows = Vec::new();
    for _ in 0..n {
        let factor = draw.normal();
        for i in 0..series {
            rows.push((0.5 + 0.2 * i as f64) * (loading(i) * factor + 0.8 * draw.normal()));
        }
    }
    rows
}

fn spread_loading(i: usize) -> f64 {
    if i == 1 { -0.5 } else { 0.2 + 0.3 * i as f64 }
}

#[test]
fn shrinkage_towards_the_identity_agrees_with_scikit_learn() {
    for (n, p, intensity, entries) in [
        (60, 5, 0.14884961998393884, [0.3940745587769125, 0.20501188692135933, 0.16923215682730783]),
        (20, 8, 0.3948223891462635, [0.6178375005063018, 0.10077754838788093, 0.28530070994314255]),
    ] {
        let shrunk = ledoit_wolf(&rows(n, p, 35, |_| 0.6), p, Target::Identity).unwrap();
        assert_near(shrunk.intensity, intensity, 1e-11);
        for ((i, j), expected) in [(0, 0), (0, 1), (p - 1, 1)].into_iter().zip(entries) {
            assert_near(shrunk.covariance.at(i, j), expected, 1e-11);
        }
    }
}

/// PyPortfolioOpt 1.6's estimator given the covariance over `n` (its own is over `n - 1`).
const LWCC: [(usize, usize, f64, [f64; 3]); 2] = [
    (60, 5, 0.09554330886519137, [0.20760634688738647, 0.0047372357729052895, -0.43966222980385256]),
    (20, 8, 0.18378811294854316, [0.12092587272481081, 0.025570691389555214, -0.2115390862588723]),
];

#[test]
fn shrinkage_towards_equal_correlations_agrees_with_portfolio_opt() {
    for (n, p, intensity, entries) in LWCC {
        let shrunk = ledoit_wolf(&rows(n, p, 35, spread_loading), p, Target::ConstantCorrelation).unwrap();
        assert_near(shrunk.intensity, intensity, 1e-10);
        for ((i, j), expected) in [(0, 0), (0, 1), (p - 1, 1)].into_iter().zip(entries) {
            assert_near(shrunk.covariance.at(i, j), expected, 1e-10);
        }
    }
}

#[test]
fn shrinking_needs_whole_rows_that_vary() {
    assert!(ledoit_wolf(&[1.0; 7], 2, Target::Identity).is_err());
    assert!(ledoit_wolf(&[1.0; 2], 2, Target::Identity).is_err());
    assert!(ledoit_wolf(&[1.0; 8], 2, Target::ConstantCorrelation).is_err());
    assert!(ledoit_wolf(&[f64::NAN; 8], 2, Target::Identity).is_err());
    assert!(ledoit_wolf(&[], 0, Target::Identity).is_err());
}

const SPEC: EwmaCorrelationSpec = EwmaCorrelationSpec {
    series: 4,
    vol_half_life: 1e9,
    vol_warm_up: 1,
    half_life: 1e9,
    needed: 30,
    target: Target::Identity,
};

#[test]
fn a_long_half_life_is_the_plain_shrinkage_of_standardised_rows() {
    let rows = rows(300, 4, 37, spread_loading);
    for target in [Target::Identity, Target::ConstantCorrelation] {
        let mut online = EwmaCorrelation::new(EwmaCorrelationSpec { target, ..SPEC }).unwrap();
        let mut squares = [0.0; 4];
        let mut scaled = Vec::new();
        for (t, row) in rows.chunks(4).enumerate() {
            let values: Vec<Option<f64>> = row.iter().copied().map(Some).collect();
            online.update(&values).unwrap();
            for (i, x) in row.iter().enumerate() {
                if t > 0 {
                    scaled.push((x / (squares[i] / t as f64).sqrt()).clamp(-60.0, 60.0));
                }
                squares[i] += x * x;
            }
        }
        // About zero, so the mean is taken out of the comparison by mirroring the sample.
        let mirror: Vec<f64> = scaled.iter().map(|x| -x).collect();
        let both: Vec<f64> = scaled.iter().copied().chain(mirror).collect();
        let plain = ledoit_wolf(&both, 4, target).unwrap();
        let found = online.shrunk().unwrap();
        // Twice the rows have half the noise.
        let expected = (2.0 * plain.intensity).min(1.0);
        if plain.intensity < 1.0 {
            assert_near(found.intensity, expected, 1e-9);
        }
        let correlation = online.correlation().unwrap();
        assert!(correlation.moved.is_none() && correlation.average() > 0.0);
    }
}

#[test]
fn a_missing_value_leaves_the_pairs_of_the_others_alone() {
    let rows = rows(200, 3, 38, |_| 0.6);
    let mut all = EwmaCovariance::new(3, 40.0, 20).unwrap();
    let mut two = EwmaCovariance::new(2, 40.0, 20).unwrap();
    for (t, row) in rows.chunks(3).enumerate() {
        let third = if t % 3 == 0 { Some(row[2]) } else { None };
        all.update(&[Some(row[0]), Some(row[1]), third]).unwrap();
        two.update(&[Some(row[0]), Some(row[1])]).unwrap();
    }
    let (all, two) = (all.covariance().unwrap(), two.covariance().unwrap());
    for (i, j) in [(0, 0), (0, 1), (1, 1)] {
        assert_eq!(all.at(i, j), two.at(i, j));
    }
}

#[test]
fn gaps_can_break_a_matrix_and_it_is_repaired() {
    // Three series, each pair seen together on other days: 1 with 2 and 2 with 3 alike, 1 with 3 opposite.
    let mut broken = EwmaCovariance::new(3, 1e6, 5).unwrap();
    for t in 0..60 {
        let x = if t % 2 == 0 { 0.01 } else { -0.01 };
        let row = match t % 3 {
            0 => [Some(x), Some(x), None],
            1 => [None, Some(x), Some(x)],
            _ => [Some(x), None, Some(-x)],
        };
        broken.update(&row).unwrap();
    }
    let found = broken.correlation().unwrap();
    assert!(found.moved.unwrap() > 0.5);
    assert!(found.matrix.is_positive_semidefinite(1e-9).unwrap());
    assert_eq!(found.matrix.at(0, 0), 1.0);
}

#[test]
fn rows_that_cannot_be_used_change_nothing() {
    let mut covariance = EwmaCovariance::new(2, 10.0, 1).unwrap();
    let mut correlation = EwmaCorrelation::new(EwmaCorrelationSpec { series: 2, ..SPEC }).unwrap();
    covariance.update(&[Some(0.1), Some(0.2)]).unwrap();
    correlation.update(&[Some(0.1), Some(0.2)]).unwrap();
    let before = (covariance.clone(), correlation.clone());
    for bad in
        [&[Some(0.1)][..], &[Some(0.1), Some(f64::NAN)], &[Some(f64::INFINITY), None], &[Some(1e200), None]]
    {
        assert!(covariance.update(bad).is_err());
        assert!(correlation.update(bad).is_err());
    }
    assert_eq!((&covariance, &correlation), (&before.0, &before.1));
    assert!(matches!(correlation.correlation(), Err(CorrelationError::Stats(StatsError::TooFew { .. }))));
    let text = serde_json::to_string(&before).unwrap();
    assert_eq!(before, serde_json::from_str(&text).unwrap());
    let mut still = EwmaCovariance::new(2, 10.0, 1).unwrap();
    still.update(&[Some(0.0), Some(0.1)]).unwrap();
    assert!(matches!(still.correlation(), Err(CorrelationError::Stats(StatsError::Domain { .. }))));
}

/// Standardised rows whose correlation turns half way.
fn turning() -> Vec<f64> {
    let mut rows = rows(800, 3, 36, |_| 0.6);
    for i in 0..3 {
        let square = rows.iter().skip(i).step_by(3).fold(0.0, |sum, x| sum + x * x) / 800.0;
        rows.iter_mut().skip(i).step_by(3).for_each(|x| *x /= square.sqrt());
    }
    for row in rows.chunks_mut(3).skip(400) {
        row[2] = 0.3 * row[2] - 0.9 * row[0];
    }
    rows
}

#[test]
fn dynamic_correlation_agrees_with_the_same_likelihood_maximised_by_scipy() {
    let rows = turning();
    let cold = fit_dcc(&rows, 3, None).unwrap();
    let warm = fit_dcc(&rows, 3, Some((0.1, 0.5))).unwrap();
    for fit in [&cold, &warm] {
        assert_near(fit.a, 0.05622807892002731, 1e-4);
        assert_near(fit.b, 0.9429461006616368, 1e-4);
        assert_near(fit.log_likelihood, -678.3547647882996, 1e-9);
    }
    let last = cold.filter.correlation().unwrap();
    for ((i, j), expected) in [(0, 1), (0, 2), (1, 2)].into_iter().zip([
        0.5125270665183334,
        -0.9272120009439329,
        -0.3959463052345168,
    ]) {
        assert_near(last.matrix.at(i, j), expected, 1e-4);
    }
    let text = serde_json::to_string(&cold.filter).unwrap();
    assert_eq!(cold.filter, serde_json::from_str::<Dcc>(&text).unwrap());
}

#[test]
fn dynamic_correlation_refuses_what_it_cannot_use() {
    assert!(fit_dcc(&[0.1; 30], 3, None).is_err());
    assert!(fit_dcc(&[0.1; 301], 3, None).is_err());
    assert!(matches!(fit_dcc(&[0.1; 300], 3, None), Err(CorrelationError::Linalg(_))));
    let target = Symmetric::new(2, vec![1.0, 0.5, 0.5, 1.0]).unwrap();
    assert!(Dcc::new(&target, 0.5, 0.5).is_err() && Dcc::new(&target, -0.1, 0.5).is_err());
    let mut dcc = Dcc::new(&target, 0.1, 0.8).unwrap();
    let before = dcc.clone();
    assert!(dcc.update(&[1.0]).is_err() && dcc.update(&[f64::NAN, 1.0]).is_err());
    assert_eq!(dcc, before);
    // With nothing new to learn from, the correlation is the target.
    assert_near(dcc.correlation().unwrap().matrix.at(0, 1), 0.5, 1e-15);
}

#[test]
fn stressed_matrices_are_correlations_and_bound_the_sum() {
    let base = Symmetric::new(3, vec![1.0, 0.9, 0.2, 0.9, 1.0, -0.4, 0.2, -0.4, 1.0]).unwrap();
    for stress in [Stress::Base, Stress::Low, Stress::High, Stress::Broken(0.0), Stress::Broken(-1.0)] {
        let found = stressed_matrix(&base, stress).unwrap();
        assert!(found.matrix.is_positive_semidefinite(1e-8).unwrap(), "{stress:?}");
    }
    // All pairs at -1 cannot be: the nearest is -1/2.
    let broken = stressed_matrix(&base, Stress::Broken(-1.0)).unwrap();
    assert_near(broken.average(), -0.5, 1e-6);
    let crash = stressed_matrix(&base, Stress::Broken(1.0)).unwrap();
    assert_near(aggregate(&[1.0, 2.0, 3.0], &crash.matrix, 0.0).unwrap(), 6.0, 1e-6);
    assert!(aggregate(&[1.0], &base, 0.0).is_err() && aggregate(&[f64::NAN; 3], &base, 0.0).is_err());
    assert!(aggregate(&[1.0; 3], &base, 1.5).is_err());
    assert!(stressed_matrix(&base, Stress::Broken(f64::NAN)).is_err());
}
