//! Conditional variance against the `arch` package (8.0) for Python and the published recursion of QuantLib.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use plimsoll_quant::garch::*;
use plimsoll_quant::stats::StatsError;

/// Four hundred returns of a linear congruential generator, the last hundred twice as large. The same integers, and so the
/// same floats, are drawn in the scripts that made the references.
fn returns() -> Vec<f64> {
    let mut state: u64 = 12_345;
    let draw = |i: usize| {
        state = (state * 1_103_515_245 + 12_345) % (1 << 31);
        (state as f64 / 2_147_483_648.0 - 0.5) * 0.04 * if i >= 300 { 2.0 } else { 1.0 }
    };
    (0..400).map(draw).collect()
}

fn assert_near(value: f64, expected: f64, relative: f64) {
    assert!((value / expected - 1.0).abs() <= relative, "{value} is not {expected}");
}

struct Reference {
    model: Garch,
    before: [f64; 3],
    next: f64,
    ten_ahead: f64,
    thirty_days: f64,
    likelihood: [f64; 2],
}

fn references() -> [Reference; 2] {
    [
        Reference {
            model: Garch::symmetric(2e-6, 0.08, 0.9).unwrap(),
            before: [0.0002260752621737734, 0.00020854905163705388, 0.0003505995522253283],
            next: 0.00038082960890945255,
            ten_ahead: 0.0003341410579681412,
            thirty_days: 0.009382073041552186,
            likelihood: [1135.9208514664983, 1112.550110210194],
        },
        Reference {
            model: Garch::new(2e-6, 0.03, 0.1, 0.9).unwrap(),
            before: [0.0002260752621737734, 0.00020662322933664274, 0.0004101669187498443],
            next: 0.0003948839813398563,
            ten_ahead: 0.00034585885953013434,
            thirty_days: 0.009701469674095088,
            likelihood: [1132.814731421986, 1111.3171857773123],
        },
    ]
}

#[test]
fn variances_and_forecasts_agree_with_arch_from_the_same_backcast() {
    for reference in references() {
        let path = reference.model.variances(&returns(), Start::MeanSquare).unwrap();
        for (t, expected) in [0, 1, 399].into_iter().zip(reference.before) {
            assert_near(path.before[t], expected, 1e-13);
        }
        assert_near(path.next, reference.next, 1e-13);
        assert_near(reference.model.forecast(path.next, 1).unwrap(), reference.next, 1e-13);
        assert_near(reference.model.forecast(path.next, 10).unwrap(), reference.ten_ahead, 1e-12);
        assert_near(reference.model.forecast_total(path.next, 30).unwrap(), reference.thirty_days, 1e-12);
    }
}

#[test]
fn likelihoods_of_both_laws_agree_with_arch() {
    for reference in references() {
        let laws = [Law::Normal, Law::StudentT { nu: 7.0 }];
        for (law, expected) in laws.into_iter().zip(reference.likelihood) {
            let found = reference.model.log_likelihood(&returns(), Start::MeanSquare, law).unwrap();
            assert_near(found, expected, 1e-13);
        }
    }
}

#[test]
fn a_backcast_is_the_mean_square_where_it_is_given_as_such() {
    let returns = returns();
    let mean = returns.iter().map(|r| r * r).sum::<f64>() / 400.0;
    let model = Garch::symmetric(2e-6, 0.08, 0.9).unwrap();
    let stated = model.variances(&returns, Start::Backcast(mean)).unwrap();
    assert_eq!(stated, model.variances(&returns, Start::MeanSquare).unwrap());
    let first = stated.before[0];
    assert_eq!(stated, model.variances(&returns, Start::Variance(first)).unwrap());
}

#[test]
fn the_recursion_of_quantlib_starts_from_the_first_square() {
    let model = Garch::targeting(0.4, 0.2, 0.3).unwrap();
    assert_near(model.parameters()[0], 0.2, 1e-15);
    let path = model.variances(&[0.1; 10], Start::FirstSquare).unwrap();
    assert_near(path.next.sqrt(), 0.5371869168501779, 1e-14);
    // A first return of 0 has a variance of 0 before it: the recursion goes on, but there is no likelihood.
    let quiet = model.variances(&[0.0, 0.1], Start::FirstSquare).unwrap();
    assert_eq!(quiet.before, [0.0, 0.2]);
    assert!(model.log_likelihood(&[0.0, 0.1], Start::FirstSquare, Law::Normal).is_err());
}

#[test]
fn only_losses_feel_gamma() {
    let model = Garch::new(0.1, 0.1, 0.2, 0.5).unwrap();
    assert_near(model.step(1.0, 1.0), 0.7, 1e-15);
    assert_near(model.step(-1.0, 1.0), 0.9, 1e-15);
    assert_near(model.persistence(), 0.7, 1e-15);
    assert_near(model.long_run(), 0.1 / 0.3, 1e-14);
}

#[test]
fn a_forecast_ends_at_the_long_run_and_the_total_is_the_sum_of_the_forecasts() {
    let model = Garch::symmetric(2e-6, 0.08, 0.9).unwrap();
    assert_near(model.forecast(4e-4, 2000).unwrap(), model.long_run(), 1e-12);
    let sum: f64 = (1..=30).map(|k| model.forecast(4e-4, k).unwrap()).sum();
    assert_near(model.forecast_total(4e-4, 30).unwrap(), sum, 1e-14);
    assert!(model.forecast(4e-4, 0).is_err());
    assert!(model.forecast(0.0, 1).is_err());
}

#[test]
fn explosive_negative_and_empty_inputs_are_refused_by_name() {
    let name = |result: Result<Garch, StatsError>| match result {
        Err(StatsError::Domain { parameter, .. }) => parameter,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(Garch::symmetric(0.1, 0.5, 0.5)), "persistence");
    assert_eq!(name(Garch::symmetric(0.0, 0.1, 0.5)), "omega");
    assert_eq!(name(Garch::symmetric(0.1, -0.1, 0.5)), "alpha");
    assert_eq!(name(Garch::symmetric(0.1, 0.1, f64::NAN)), "beta");
    assert_eq!(name(Garch::new(0.1, 0.1, -0.2, 0.5)), "alpha + gamma");
    let model = Garch::symmetric(0.1, 0.1, 0.5).unwrap();
    assert!(matches!(model.variances(&[], Start::MeanSquare), Err(StatsError::TooFew { .. })));
    assert!(matches!(
        model.variances(&[0.1, f64::INFINITY], Start::Variance(1.0)),
        Err(StatsError::NotFinite { index: 1, .. })
    ));
    assert!(model.variances(&[0.0, 0.0], Start::MeanSquare).is_err());
    assert!(model.log_likelihood(&[0.1], Start::Variance(1.0), Law::StudentT { nu: 2.0 }).is_err());
    assert!(log_likelihood(&[0.1], &[1.0, 1.0], Law::Normal).is_err());
}

#[test]
fn many_degrees_of_freedom_are_nearly_normal() {
    let normal = log_density(0.02, 1e-4, Law::Normal).unwrap();
    // scipy.stats.norm.logpdf(0.02, 0, 0.01)
    assert_near(normal, 1.6862316527834182, 1e-14);
    let student = log_density(0.02, 1e-4, Law::StudentT { nu: 1e7 }).unwrap();
    assert!((student - normal).abs() < 1e-6);
}
