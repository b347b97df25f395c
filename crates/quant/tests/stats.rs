//! Statistics and linear algebra against published and recomputed values.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(clippy::excessive_precision, clippy::approx_constant, reason = "references are printed in full")]

use plimsoll_quant::linalg::{LinalgError, Symmetric, nearest_correlation, spectral_repair};
use plimsoll_quant::stats::*;

fn assert_close(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
}

#[test]
fn the_six_quantile_conventions_differ_as_published() {
    // Levels and values recomputed with numpy on 1..=9 squared.
    let sample: Vec<f64> = (1..=9).rev().map(|i| f64::from(i * i)).collect();
    let at = |rule| quantile(&sample, 0.4, rule).unwrap();
    // np = 3.6: index above 4, nearest 4, (n+1)p = 4.
    assert_close(at(QuantileRule::IndexAbove), 16.0, 0.0);
    assert_close(at(QuantileRule::NearestIndex), 16.0, 0.0);
    assert_close(at(QuantileRule::NearestIndexPlusOne), 16.0, 0.0);
    assert_close(at(QuantileRule::SampleInterpolated), 13.2, 1e-14);
    assert_close(at(QuantileRule::SamplePlusOneInterpolated), 16.0, 1e-14);
    assert_close(at(QuantileRule::MidwayInterpolated), 16.9, 1e-14);
}

#[test]
fn an_integer_position_is_not_pushed_up_by_rounding() {
    let sample: Vec<f64> = (1..=100).map(f64::from).collect();
    // 100 * 0.07 is 7.000000000000001 in floating point.
    assert_eq!(quantile(&sample, 0.07, QuantileRule::IndexAbove), Ok(7.0));
    assert_eq!(quantile(&sample, 0.99, QuantileRule::IndexAbove), Ok(99.0));
}

#[test]
fn var_and_shortfall_are_losses_and_count_ties() {
    let pnl = [5.0, -1.0, -3.0, -3.0, 2.0, 0.0, 1.0, 4.0, -10.0, 3.0];
    // Losses ascending: ... 1, 3, 3, 10; ceil(10 x 0.8) = 8th is 3; mean of 3, 3, 10.
    let (var, es) = var_es(&pnl, 0.8).unwrap();
    assert_close(var, 3.0, 0.0);
    assert_close(es, 16.0 / 3.0, 1e-15);
    let (q, mean) = pnl_var_es(&pnl, 0.2).unwrap();
    assert_close(q, -3.0, 0.0);
    assert_close(mean, -16.0 / 3.0, 1e-15);
}

#[test]
fn closed_forms_agree_with_mpmath() {
    let (var, es) = normal_var_es(0.95).unwrap();
    assert_close(var, 1.6448536269514727, 1e-12);
    assert_close(es, 2.062712807507426, 1e-12);
    for (nu, level, var, es, scale) in [
        (3.0, 0.975, 3.1824463052837078, 5.039583061113472, 0.5773502691896257),
        (4.0, 0.99, 3.746947387979196, 5.220584194492219, 0.7071067811865476),
        (5.0, 0.995, 4.032142983555228, 5.250030610827418, 0.7745966692414834),
        (10.0, 0.999, 4.143700494046589, 4.812895716041109, 0.8944271909999159),
    ] {
        let (v, e) = student_t_var_es(level, nu).unwrap();
        assert_close(v, var, 1e-12);
        assert_close(e, es, 1e-12);
        assert_close(student_t_unit_scale(nu).unwrap(), scale, 1e-15);
    }
}

#[test]
fn ewma_knows_the_variance_before_the_return() {
    let path = ewma_variance(&[0.01, -0.02, 0.03], 0.94, 1e-4).unwrap();
    assert_eq!(path.before[0], 1e-4);
    assert_close(path.before[1], 1e-4, 1e-19);
    assert_close(path.before[2], 0.94 * 1e-4 + 0.06 * 4e-4, 1e-19);
    assert_close(path.last, 0.94 * 1.18e-4 + 0.06 * 9e-4, 1e-19);
    assert_close(half_life(0.94), 11.202_305_583_621_16, 1e-12);
    assert_close(decay_of_half_life(half_life(0.97)), 0.97, 1e-14);
    assert_close(ewma_seed(&[0.01, 0.03, 9.0], 2).unwrap(), 5e-4, 1e-18);
    assert!(ewma_variance(&[0.01], 1.0, 1e-4).is_err() && ewma_variance(&[0.01], 0.9, 0.0).is_err());
}

#[test]
fn filtered_factors_are_capped_on_both_sides() {
    let path = EwmaPath { before: vec![1e-4, 4e-4, 16e-4], last: 4e-4 };
    assert_eq!(filtered_factors(&path, None).unwrap(), vec![2.0, 1.0, 0.5]);
    assert_eq!(filtered_factors(&path, Some(1.25)).unwrap(), vec![1.25, 1.0, 0.8]);
    assert!(filtered_factors(&path, Some(0.9)).is_err());
    assert!(filtered_factors(&EwmaPath { before: vec![0.0], last: 1.0 }, None).is_err());
}

#[test]
fn bad_samples_are_typed_errors() {
    assert_eq!(mean(&[]), Err(StatsError::TooFew { observations: 0, needed: 1 }));
    assert!(matches!(var_es(&[1.0, f64::NAN], 0.9), Err(StatsError::NotFinite { index: 1, .. })));
    assert!(matches!(var_es(&[1.0], 1.0), Err(StatsError::Domain { parameter: "level", .. })));
    assert_eq!(covariance(&[1.0, 2.0], &[1.0]), Err(StatsError::Lengths { left: 2, right: 1 }));
    assert!(correlation(&[1.0, 1.0], &[1.0, 2.0]).is_err());
    assert!(student_t_var_es(0.99, 1.0).is_err() && student_t_unit_scale(2.0).is_err());
}

#[test]
fn correlation_and_covariance_matrices_agree_with_each_other() {
    let x = [3.0, 2.0, 4.0, 5.0, 6.0];
    let y = [9.0, 7.0, 12.0, 15.0, 17.0];
    assert_close(correlation(&x, &y).unwrap(), 0.9970544855015815, 1e-15);
    assert_eq!(covariance_matrix(&[&x, &y]).unwrap(), vec![2.5, 6.5, 6.5, 17.0]);
    let matrix = correlation_matrix(&[&x, &y]).unwrap();
    assert_eq!((matrix[0], matrix[3]), (1.0, 1.0));
    assert_eq!(matrix[1], matrix[2]);
}

fn symmetric(n: usize, rows: &[f64]) -> Symmetric {
    Symmetric::new(n, rows.to_vec()).unwrap()
}

#[test]
fn higham_three_by_three_is_the_published_one() {
    let a = symmetric(3, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    let near = nearest_correlation(&a, None).unwrap();
    assert_close(near.matrix.at(0, 1), 0.7606898534023346, 1e-12);
    assert_close(near.matrix.at(0, 2), 0.15729810613835202, 1e-12);
    assert_close(near.distance, 0.5277904635817219, 1e-12);
    assert!(near.matrix.is_positive_semidefinite(1e-12).unwrap());
    assert!(!a.is_positive_semidefinite(1e-12).unwrap());
    assert_close(a.eigen().unwrap().values[0], 1.0 - 2f64.sqrt(), 1e-15);
}

#[test]
#[rustfmt::skip]
fn weighted_and_spectral_repairs_agree_with_numpy() {
    let a = symmetric(4, &[1.0, 0.9, -0.9, 0.3, 0.9, 1.0, 0.9, 0.2, -0.9, 0.9, 1.0, 0.1, 0.3, 0.2, 0.1, 1.0]);
    let plain = [0.49933058438755107, -0.4933880231838233, 0.26201900425421676, 0.5032566653287383, 0.23705918114932914, 0.06239117257481846];
    let weighted = [0.5310056789573102, -0.25197020436807344, 0.24060782318561233, 0.6860164420397519, 0.2196116743325882, 0.06555787288586377];
    let spectral = [0.4988605629535862, -0.49485924889280997, 0.23820831310613885, 0.5015060805806278, 0.2044713133802938, 0.06160763084086557];
    let check = |m: &Symmetric, expected: [f64; 6]| {
        let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
        for ((i, j), e) in pairs.into_iter().zip(expected) {
            assert_close(m.at(i, j), e, 2e-12);
        }
    };
    check(&nearest_correlation(&a, None).unwrap().matrix, plain);
    check(&nearest_correlation(&a, Some(&[1.0, 4.0, 2.0, 0.5])).unwrap().matrix, weighted);
    check(&spectral_repair(&a).unwrap(), spectral);
    let values = a.eigen().unwrap().values;
    for (value, e) in values.iter().zip([-0.8075723586914426, 0.8833309335269603, 1.9, 2.024241425164481]) {
        assert_close(*value, e, 1e-14);
    }
}

#[test]
fn a_correlation_matrix_is_its_own_nearest() {
    let a = symmetric(2, &[1.0, 0.4, 0.4, 1.0]);
    let near = nearest_correlation(&a, None).unwrap();
    assert_eq!(near.matrix, a);
    assert_eq!(near.distance, 0.0);
}

#[test]
fn eigenvectors_are_orthonormal_and_rebuild_the_matrix() {
    let n = 12;
    let mut rng = plimsoll_quant::sobol::Rng64::new(4);
    let mut entries = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let x = 2.0 * rng.uniform() - 1.0;
            entries[i * n + j] = x;
            entries[j * n + i] = x;
        }
    }
    let a = symmetric(n, &entries);
    let eigen = a.eigen().unwrap();
    for i in 0..n {
        for j in 0..n {
            let (mut dot, mut rebuilt) = (0.0, 0.0);
            for p in 0..n {
                dot += eigen.vectors[i * n + p] * eigen.vectors[j * n + p];
                rebuilt += eigen.values[p] * eigen.vectors[p * n + i] * eigen.vectors[p * n + j];
            }
            assert_close(dot, if i == j { 1.0 } else { 0.0 }, 1e-14);
            assert_close(rebuilt, a.at(i, j), 1e-14);
        }
    }
}

#[test]
fn cholesky_refuses_what_is_not_positive_definite_with_the_pivot() {
    let a = symmetric(3, &[1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    assert_eq!(a.cholesky(), Err(LinalgError::NotPositiveDefinite { pivot: 1, value: 0.0 }));
    let b = symmetric(2, &[1.0, 0.5, 0.5, 1.0]).cholesky().unwrap();
    assert_close(b[3], 0.75_f64.sqrt(), 1e-16);
    assert!(matches!(Symmetric::new(2, vec![1.0, 0.1, 0.2, 1.0]), Err(LinalgError::NotSymmetric { .. })));
    assert!(matches!(Symmetric::new(2, vec![1.0; 3]), Err(LinalgError::Shape { .. })));
    assert!(nearest_correlation(&a, Some(&[1.0, 0.0, 1.0])).is_err());
    assert!(nearest_correlation(&a, Some(&[1.0])).is_err());
}
