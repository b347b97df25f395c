//! Hidden Markov chains against hmmlearn (0.3) on the same series, and their rules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::garch::Law;
use plimsoll_quant::regime::*;
use plimsoll_quant::schedule::Refit;
use plimsoll_quant::stats::StatsError;
use reference::Draw;

fn chain(n: usize, deviations: &[f64], transition: &[f64], seed: u64, student: bool) -> Vec<f64> {
    let k = deviations.len();
    let mut draw = Draw(seed);
    let mut state = 0;
    let step = |_| {
        let u = draw.uniform();
        let mut total = 0.0;
        for (j, p) in transition[state * k..(state + 1) * k].iter().enumerate() {
            total += p;
            if u < total {
                state = j;
                break;
            }
        }
        deviations[state] * if student { draw.student5() } else { draw.normal() }
    };
    (0..n).map(step).collect()
}

fn two() -> Vec<f64> {
    chain(2000, &[1.0, 3.0], &[0.98, 0.02, 0.05, 0.95], 41, false)
}

fn three() -> Vec<f64> {
    chain(2000, &[0.5, 1.5, 4.0], &[0.97, 0.02, 0.01, 0.03, 0.95, 0.02, 0.02, 0.08, 0.90], 42, false)
}

const EXACT: EmOptions = EmOptions { max_iter: 5000, tolerance: 1e-10 };

#[test]
fn estimates_agree_with_hmmlearn() {
    let cases = [
        (
            two(),
            -3598.858729482219,
            vec![0.9124582918312653, 8.970790941806149],
            vec![0.978603000781719, 0.021396999218281098, 0.04828756041676558, 0.9517124395832344],
            vec![0.9633520277611405, 0.036647972238893586],
        ),
        (
            three(),
            -3113.7601019903796,
            vec![0.2544464917484759, 2.333399341096637, 15.392419207774024],
            vec![
                0.9676285148498183,
                0.023974076757524002,
                0.008397408392657764,
                0.032302723534571635,
                0.9482698837233758,
                0.019427392742052556,
                0.015061433771465219,
                0.0830567721074539,
                0.9018817941210808,
            ],
            vec![0.9619064615176748, 0.03594356195373228, 0.0021499765287116422],
        ),
    ];
    for (returns, likelihood, variances, transition, last) in cases {
        let found = fit(&returns, (variances.len(), Law::Normal), &EXACT, None).unwrap();
        assert!((found.log_likelihood - likelihood).abs() < 1e-4, "{found:?}");
        let model = found.filter.model();
        for (value, expected) in model.variances().iter().zip(&variances) {
            assert!((value / expected - 1.0).abs() < 1e-4, "{found:?}");
        }
        for (value, expected) in model.transition().iter().zip(&transition) {
            assert!((value - expected).abs() < 1e-4, "{found:?}");
        }
        for (value, expected) in found.filter.probabilities().iter().zip(&last) {
            assert!((value - expected).abs() < 1e-4, "{found:?}");
        }
    }
}

#[test]
fn the_filter_along_a_series_ends_where_the_estimate_does() {
    let returns = two();
    let found = fit(&returns, (2, Law::Normal), &EmOptions::usual(), None).unwrap();
    let mut filter = RegimeFilter::new(found.filter.model().clone());
    for r in &returns {
        filter.update(*r).unwrap();
        let total: f64 = filter.probabilities().iter().sum();
        assert!((total - 1.0).abs() < 1e-14);
    }
    // Whatever it began from, two thousand returns on it is forgotten.
    for (a, b) in filter.probabilities().iter().zip(found.filter.probabilities()) {
        assert!((a - b).abs() < 1e-12);
    }
    let next = filter.next_variance();
    assert!(next > found.filter.model().variances()[0] && next < found.filter.model().variances()[1]);
    // A return beyond all experience is the wild state, and stays a number.
    filter.update(1e6).unwrap();
    assert_eq!(filter.state(), 1);
    assert!(filter.probabilities().iter().all(|p| p.is_finite()));
}

#[test]
fn students_law_recovers_what_it_was_made_of() {
    let law = Law::StudentT { nu: 5.0 };
    let returns = chain(6000, &[1.0, 3.0], &[0.98, 0.02, 0.05, 0.95], 43, true);
    let found = fit(&returns, (2, law), &EmOptions::usual(), None).unwrap();
    let model = found.filter.model();
    assert!((model.variances()[0].sqrt() - 1.0).abs() < 0.1, "{found:?}");
    assert!((model.variances()[1].sqrt() / 3.0 - 1.0).abs() < 0.1, "{found:?}");
    let durations = model.expected_durations();
    assert!(
        (durations[0] / 50.0 - 1.0).abs() < 0.3 && (durations[1] / 20.0 - 1.0).abs() < 0.3,
        "{durations:?}"
    );
    // Every pass raises the likelihood: fewer passes never have a higher one.
    let mut before = f64::NEG_INFINITY;
    for max_iter in [1, 2, 5, 10, 20, 40] {
        let options = EmOptions { max_iter, tolerance: 0.0 };
        let now = fit(&returns, (2, law), &options, None).unwrap().log_likelihood;
        assert!(now >= before - 1e-9, "{now} after {before}");
        before = now;
    }
}

#[test]
fn labels_follow_volatility_whatever_the_order_of_the_series() {
    let returns = three();
    let turned: Vec<f64> = returns.iter().rev().copied().collect();
    for series in [&returns, &turned] {
        let mut previous: Option<RegimeModel> = None;
        let mut made = 0;
        for end in (1000..=2000).step_by(100) {
            let window = &series[end - 1000..end];
            // A window may allow no estimate: then the chain before stays.
            match fit(window, (3, Law::Normal), &EmOptions::usual(), previous.as_ref()) {
                Ok(found) => {
                    let model = found.filter.model();
                    assert!(model.variances().windows(2).all(|w| w[0] <= w[1]), "{model:?}");
                    previous = Some(model.clone());
                    made += 1;
                }
                Err(error) => assert!(matches!(error, StatsError::Domain { .. }), "{error}"),
            }
        }
        assert!(made >= 8, "{made}");
    }
    // A warm start with the states the wrong way round cannot be written down.
    assert!(RegimeModel::new(Law::Normal, &[2.0, 1.0], &[0.9, 0.1, 0.1, 0.9]).is_err());
}

#[test]
fn degenerate_windows_are_refused_by_name() {
    let options = EmOptions::usual();
    let of = |returns: &[f64]| fit(returns, (2, Law::Normal), &options, None);
    assert!(matches!(of(&[0.01; 50]), Err(StatsError::TooFew { needed: 100, .. })));
    assert!(matches!(of(&[0.0; 200]), Err(StatsError::Domain { parameter: "mean square", .. })));
    assert!(matches!(of(&[0.01; 200]), Err(StatsError::Domain { .. })));
    let alternating: Vec<f64> = (0..200).map(|i| if i % 2 == 0 { 0.01 } else { -0.01 }).collect();
    assert!(matches!(of(&alternating), Err(StatsError::Domain { .. })));
    let mut stale = vec![0.0; 400];
    stale[100..200].copy_from_slice(&two()[..100]);
    assert!(matches!(of(&stale), Err(StatsError::Domain { parameter: "variance of a state", .. })));
    let mut nan = two();
    nan[3] = f64::NAN;
    assert!(matches!(of(&nan), Err(StatsError::NotFinite { index: 3, .. })));
}

#[test]
fn a_rolling_chain_keeps_the_last_good_one_and_says_why() {
    let spec = RollingRegimeSpec {
        states: 2,
        law: Law::Normal,
        window: 300,
        needed: 300,
        refit_every: 100,
        options: EmOptions::usual(),
    };
    let mut online = RollingRegime::new(spec).unwrap();
    for (i, r) in two().into_iter().take(600).enumerate() {
        let refit = online.update(r).unwrap();
        let due = i + 1 >= 300 && (i + 1) % 100 == 0;
        assert_eq!(refit == Refit::Done, due);
        assert_eq!(online.filter().is_ok(), i + 1 >= 300);
    }
    let good = online.filter().unwrap().model().clone();
    let mut kept = 0;
    for _ in 0..300 {
        if matches!(online.update(0.0).unwrap(), Refit::Kept(StatsError::Domain { .. })) {
            kept += 1;
        }
    }
    assert!(kept >= 1);
    assert!(online.age().unwrap() >= 100);
    assert_eq!(online.filter().unwrap().model().variances().len(), good.variances().len());
    let before = online.clone();
    assert!(online.update(f64::NAN).is_err() && online.update(1e200).is_err());
    assert_eq!(online, before);
    let text = serde_json::to_string(&online).unwrap();
    assert_eq!(online, serde_json::from_str::<RollingRegime>(&text).unwrap());
    assert!(RollingRegime::new(RollingRegimeSpec { states: 4, ..spec }).is_err());
    assert!(RollingRegime::new(RollingRegimeSpec { needed: 50, ..spec }).is_err());
    assert!(RollingRegime::new(RollingRegimeSpec { window: 200, ..spec }).is_err());
}
