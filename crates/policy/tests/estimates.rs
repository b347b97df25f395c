//! What a target is, against the same computed apart from the policy: every estimator, over one step and several, the series of a
//! surface's shape, and what options imply.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, at, btc, plimsoll};
use plimsoll_policy::{
    Bar, Cause, CorrelationMethod, Estimator, Implied, Key, Knob, Loss, Norm, Policy, PolicyError, Quantile,
    RangeMethod, Scope, Series, Signals, State, TargetSpec, UnderlyingSignals, step,
};
use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec};
use plimsoll_quant::garch::{Dynamics, Innovations, MeanModel, RollingGarch, RollingSpec};
use plimsoll_quant::har::{Har, HarScale, HarSpec};
use plimsoll_quant::pot::TailWindow;
use plimsoll_quant::range::{self, RangeEstimator, RangeEwma, YangZhangEwma};
use plimsoll_quant::special::{pow, student_t_quantile};
use plimsoll_quant::stats::student_t_mean_abs;

const CONFIDENCE: f64 = 0.99;
/// The normal quantile there.
const NORMAL: f64 = 2.326_347_874_040_840_8;

/// A bar a day, of 24 moves each.
fn bars(days: usize) -> Vec<Bar> {
    let mut dice = Dice(21);
    let mut close = 100.0_f64;
    let day = |_| {
        let (mut bar, open) = (Bar::at(close), close);
        for _ in 0..24 {
            close *= 1.0 + 0.0177 * dice.bell();
            bar = Bar { open, high: bar.high.max(close), low: bar.low.min(close), close };
        }
        bar
    };
    (0..days).map(day).collect()
}

/// A base line that follows at once, with one target.
fn following(quantile: &Quantile) -> Policy {
    let mut file = Policy::shipped("ewma").unwrap().file().clone();
    for parameter in &mut file.parameters {
        let loss = match &parameter.target {
            TargetSpec::Quantile(of) => of.loss,
            _ => panic!("it is estimated"),
        };
        parameter.target = TargetSpec::Quantile(Box::new(Quantile { loss, ..quantile.clone() }));
    }
    Policy::new(file).unwrap()
}

fn quantile(now: Vec<Estimator>, horizon_steps: u32) -> Quantile {
    let text = format!(
        "series = \"price\"\nloss = \"fall\"\nconfidence = {CONFIDENCE}\nhorizon_steps = {horizon_steps}\nnow = []\nfallback = 0.25"
    );
    Quantile { now, ..toml::from_str(&text).unwrap() }
}

/// Quantile of a law of unit variance.
fn t(nu: Option<f64>) -> f64 {
    nu.map_or(NORMAL, |nu| student_t_quantile(CONFIDENCE, nu) * ((nu - 2.0) / nu).sqrt())
}

/// What a long and a short unit may lose over one step, and whether the root of time carries it on.
fn expected(of: Estimator, bars: &[Bar], steps: u32) -> (f64, f64) {
    let returns: Vec<f64> = bars.windows(2).map(|pair| pair[1].close / pair[0].close - 1.0).collect();
    let root = f64::from(steps).sqrt();
    let both = |loss: f64| (loss, loss);
    let decay = |half_life: f64| pow(0.5, 1.0 / half_life);
    let mean_ratio = |nu: f64| student_t_quantile(CONFIDENCE, nu) / student_t_mean_abs(nu).unwrap();
    match of {
        Estimator::Ewma { half_life, nu, .. } => {
            // The plain mean square until an observation weighs more than in it.
            let weight = |n: usize| (1.0 / (n + 1) as f64).max(1.0 - decay(half_life));
            let one = |v: f64, (n, r): (usize, &f64)| (1.0 - weight(n)) * v + weight(n) * r * r;
            both(root * returns.iter().enumerate().fold(0.0, one).sqrt() * t(nu))
        }
        Estimator::MeanAbs { half_life, needed, nu } => {
            let (first, rest) = returns.split_at(needed);
            let start = first.iter().map(|r| r.abs()).sum::<f64>() / needed as f64;
            let l = decay(half_life);
            both(root * rest.iter().fold(start, |v, r| l * v + (1.0 - l) * r.abs()) * mean_ratio(nu))
        }
        Estimator::LongRun { window, nu, .. } => {
            let last = &returns[returns.len() - window..];
            both(root * last.iter().map(|r| r.abs()).sum::<f64>() / window as f64 * mean_ratio(nu))
        }
        Estimator::Historical { window, .. } => {
            let mut ascending = returns[returns.len() - window..].to_vec();
            ascending.sort_by(f64::total_cmp);
            // Number ceil(n / 100) from either end: of 300 the third.
            let worst = window.div_ceil(100) - 1;
            (-root * ascending[worst], root * ascending[window - 1 - worst])
        }
        Estimator::Filtered { window, needed, half_life, vol_needed, cap } => {
            let spec =
                FilteredSpec { window, needed, half_life, vol_warm_up: vol_needed, cap, vol_floor: 1e-8 };
            let mut own = FilteredHistory::new(spec).unwrap();
            returns.iter().for_each(|r| own.update(*r).unwrap());
            let losses = own.losses(CONFIDENCE, &mut Vec::new()).unwrap();
            (root * losses.long, root * losses.short)
        }
        Estimator::Tail { window, level, needed, refit_every } => {
            let side = |sign: f64| {
                let mut own = TailWindow::new(window, level, needed, refit_every).unwrap();
                returns.iter().for_each(|r| assert!(own.update(sign * r).is_ok()));
                root * own.tail().unwrap().quantile(CONFIDENCE).unwrap()
            };
            (side(-1.0), side(1.0))
        }
        other => modelled(other, bars, &returns, steps),
    }
}

/// The same of what has a state of its own in `quant`.
fn modelled(of: Estimator, bars: &[Bar], returns: &[f64], steps: u32) -> (f64, f64) {
    let root = f64::from(steps).sqrt();
    let both = |loss: f64| (loss, loss);
    let checked = |bar: &Bar| range::Bar::new(bar.open, bar.high, bar.low, bar.close).unwrap();
    match of {
        Estimator::Garch { gjr, student_t, window, needed, refit_every } => {
            let dynamics = if gjr { Dynamics::Gjr } else { Dynamics::Symmetric };
            let innovations = if student_t { Innovations::StudentT } else { Innovations::Normal };
            let spec =
                RollingSpec { dynamics, innovations, mean: MeanModel::Zero, window, needed, refit_every };
            let mut own = RollingGarch::new(spec).unwrap();
            returns.iter().for_each(|r| assert!(own.update(*r).is_ok()));
            both(own.filter().unwrap().quantile(CONFIDENCE, steps).unwrap())
        }
        Estimator::Har { week, month, window, needed, refit_every, nu } => {
            let spec = HarSpec { week, month, window, needed, refit_every, scale: HarScale::Level };
            let mut own = Har::new(spec).unwrap();
            returns.iter().for_each(|r| assert!(own.update(r * r).is_ok()));
            both(own.forecast_total(steps as usize).unwrap().sqrt() * t(nu))
        }
        Estimator::Range { method: RangeMethod::YangZhang, half_life, needed, nu } => {
            let mut own = YangZhangEwma::new(half_life, needed).unwrap();
            bars[1..].iter().for_each(|bar| own.update(&checked(bar)).unwrap());
            both(root * own.variance().unwrap().sqrt() * t(nu))
        }
        Estimator::Range { method, half_life, needed, nu } => {
            let estimator = match method {
                RangeMethod::Parkinson => RangeEstimator::Parkinson,
                RangeMethod::GarmanKlass => RangeEstimator::GarmanKlass,
                _ => RangeEstimator::RogersSatchell,
            };
            let mut own = RangeEwma::new(estimator, half_life, needed).unwrap();
            bars[1..].iter().for_each(|bar| own.update(&checked(bar)).unwrap());
            both(root * own.variance().unwrap().sqrt() * t(nu))
        }
        other => panic!("{} is not modelled", other.name()),
    }
}

fn exact(state: &State, knob: Knob) -> f64 {
    state.board().get(&Key { knob, scope: Scope::of("BTC") }).unwrap().exact()
}

fn near(a: f64, b: f64, what: &str) {
    assert!((a / b - 1.0).abs() < 1e-12, "{what}: {a} is not {b}");
}

#[test]
fn every_estimator_is_its_formula_over_one_step_and_over_several() {
    let nu = Some(5.0);
    let range = |method| Estimator::Range { method, half_life: 20.0, needed: 60, nu };
    let estimators = [
        Estimator::Ewma { half_life: 20.0, needed: 60, nu: None },
        Estimator::Ewma { half_life: 20.0, needed: 60, nu },
        Estimator::MeanAbs { half_life: 20.0, needed: 60, nu: 5.0 },
        Estimator::LongRun { window: 300, needed: 60, nu: 5.0 },
        Estimator::Garch { gjr: false, student_t: false, window: 400, needed: 200, refit_every: 100 },
        Estimator::Garch { gjr: true, student_t: true, window: 400, needed: 200, refit_every: 100 },
        Estimator::Har { week: 5, month: 22, window: 300, needed: 100, refit_every: 50, nu },
        range(RangeMethod::Parkinson),
        range(RangeMethod::GarmanKlass),
        range(RangeMethod::RogersSatchell),
        range(RangeMethod::YangZhang),
        Estimator::Historical { window: 300, needed: 100 },
        Estimator::Filtered { window: 300, needed: 100, half_life: 20.0, vol_needed: 20, cap: Some(1.25) },
        Estimator::Tail { window: 400, level: 0.9, needed: 200, refit_every: 50 },
    ];
    let bars = bars(420);
    for estimator in estimators {
        for steps in [1, 3] {
            let policy = following(&quantile(vec![estimator], steps));
            let mut state = State::new(&policy, at(0)).unwrap();
            for (day, bar) in (0..).zip(&bars) {
                let of = UnderlyingSignals { bar: Some(*bar), ..UnderlyingSignals::default() };
                step(&policy, &mut state, &btc(DAY * day, of)).unwrap();
            }
            let (long, short) = expected(estimator, &bars, steps);
            let what = format!("{} over {steps}", estimator.name());
            near(exact(&state, Knob::PriceScanDown), long, &what);
            near(exact(&state, Knob::PriceScanUp), short, &what);
        }
    }
}

#[test]
fn what_options_imply_counts_while_it_is_there_and_the_larger_wins() {
    let ewma = Estimator::Ewma { half_life: 20.0, needed: 10, nu: None };
    let implied = Estimator::Implied { nu: None, stale_seconds: 2 * DAY };
    let policy = following(&quantile(vec![ewma, implied], 4));
    let plain = following(&quantile(vec![ewma], 4));
    let (mut state, mut twin) = (State::new(&policy, at(0)).unwrap(), State::new(&plain, at(0)).unwrap());
    let mut day = 0;
    let mut go = |atm: Option<f64>, state: &mut State, twin: &mut State| {
        let close = if day % 2 == 0 { 100.0 } else { 101.0 };
        let implied = atm.map(|atm| Implied { atm, risk_reversal: 0.0, butterfly: 0.0, slope: 0.0 });
        let of = UnderlyingSignals { bar: Some(Bar::at(close)), implied, ..UnderlyingSignals::default() };
        step(&policy, state, &btc(DAY * day, of.clone())).unwrap();
        step(&plain, twin, &btc(DAY * day, of)).unwrap();
        day += 1;
    };
    (0..30).for_each(|_| go(None, &mut state, &mut twin));
    near(exact(&state, Knob::PriceScanDown), exact(&twin, Knob::PriceScanDown), "nothing is implied");
    go(Some(0.6), &mut state, &mut twin);
    let stated = NORMAL * 0.6 * (4.0 / 365.0_f64).sqrt();
    near(exact(&state, Knob::PriceScanDown), stated, "the larger");
    go(Some(0.05), &mut state, &mut twin);
    near(exact(&state, Knob::PriceScanDown), exact(&twin, Knob::PriceScanDown), "the smaller");
    go(Some(0.6), &mut state, &mut twin);
    (0..2).for_each(|_| go(None, &mut state, &mut twin));
    let mut early = state.clone();
    near(exact(&state, Knob::PriceScanDown), stated, "two days old");
    go(None, &mut state, &mut twin);
    near(exact(&state, Knob::PriceScanDown), exact(&twin, Knob::PriceScanDown), "three days old");
    // Within the step that its time runs out in, and where nothing else is seen.
    let none = Signals { as_of: at(DAY * 34 + 3600), ..Signals::default() };
    step(&policy, &mut early, &none).unwrap();
    assert!(exact(&early, Knob::PriceScanDown) < 0.9 * stated);
}

#[test]
fn shapes_of_the_surface_are_estimated_from_their_differences() {
    let ewma = Estimator::Ewma { half_life: 1e4, needed: 10, nu: None };
    for (series, size) in [(Series::Skew, 0.04), (Series::Wing, 0.02), (Series::Term, 0.06)] {
        let of = Quantile { series, times: 2.0, ..quantile(vec![ewma], 1) };
        let policy = following(&of);
        let mut state = State::new(&policy, at(0)).unwrap();
        for day in 0..12 {
            let sign = if day % 2 == 0 { 0.5 } else { -0.5 };
            let atm = 0.5 + 0.01 * day as f64;
            let implied = Implied {
                atm,
                risk_reversal: 0.04 * sign * atm,
                butterfly: 0.02 * sign * atm,
                slope: 0.06 * sign * atm,
            };
            let of = UnderlyingSignals { implied: Some(implied), ..UnderlyingSignals::default() };
            step(&policy, &mut state, &btc(DAY * day, of)).unwrap();
        }
        let loss = 2.0 * NORMAL * size;
        assert!((exact(&state, Knob::PriceScanDown) / loss - 1.0).abs() < 1e-6, "{series:?}");
    }
    let either = Quantile {
        loss: Loss::Either,
        ..quantile(vec![Estimator::Historical { window: 100, needed: 50 }], 1)
    };
    let mut file = following(&either).file().clone();
    for parameter in &mut file.parameters {
        parameter.target = TargetSpec::Quantile(Box::new(either.clone()));
    }
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &[0.01, -0.01, 0.03, -0.02].repeat(20));
    near(exact(&state, Knob::PriceScanUp), 0.03, "either");
    near(exact(&state, Knob::PriceScanDown), 0.03, "either");
    let range = Estimator::Range { method: RangeMethod::Parkinson, half_life: 9.0, needed: 9, nu: None };
    let implied = Estimator::Implied { nu: None, stale_seconds: 1 };
    for unfit in [Quantile { series: Series::Skew, ..quantile(vec![range], 1) }, quantile(vec![implied], 1)] {
        let mut file = Policy::shipped("ewma").unwrap().file().clone();
        file.parameters[0].target = TargetSpec::Quantile(Box::new(unfit));
        assert!(matches!(Policy::new(file), Err(PolicyError::Target { .. })));
    }
}

#[test]
fn a_margin_fraction_of_all_follows_the_largest_scan_of_any() {
    let mut file = plimsoll().file().clone();
    file.adjusters = None;
    for parameter in &mut file.parameters {
        if parameter.knob == Knob::ImFraction {
            parameter.each_underlying = false;
        }
    }
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(8);
    let mut closes = [100.0, 100.0];
    for day in 0..200 {
        let mut signals = Signals { as_of: at(DAY * day), ..Signals::default() };
        for ((close, name), size) in closes.iter_mut().zip(["BTC", "ETH"]).zip([0.05, 0.15]) {
            *close *= 1.0 + size * dice.bell();
            let of = UnderlyingSignals { bar: Some(Bar::at(*close)), ..UnderlyingSignals::default() };
            signals.underlyings.insert(name.to_owned(), of);
        }
        step(&policy, &mut state, &signals).unwrap();
    }
    let value = |knob, scope| state.board().get(&Key { knob, scope }).unwrap().value().to_f64();
    let scans = [Knob::PriceScanDown, Knob::PriceScanUp].map(|knob| value(knob, Scope::of("ETH")));
    let fraction = value(Knob::ImFraction, Scope::default());
    assert!((fraction / scans[0].max(scans[1]) - 1.0).abs() < 0.012, "{fraction} {scans:?}");
}

#[test]
fn open_interest_is_read_in_days_of_volume_where_a_norm_is_stated() {
    let mut file = plimsoll().file().clone();
    file.readings.open_interest = Some(Norm { half_life: 10.0, needed: 5 });
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    for day in 0..6 {
        let of = UnderlyingSignals {
            bar: Some(Bar::at(100.0 + day as f64)),
            open_interest: Some(3e9),
            daily_volume: Some(2e9),
            ..UnderlyingSignals::default()
        };
        let reading = state.readings("BTC").get(&Cause::OpenInterest).copied();
        assert_eq!(reading, (day > 4).then_some(1.5), "day {day}");
        step(&policy, &mut state, &btc(DAY * day, of)).unwrap();
    }
}

#[test]
fn correlation_may_be_dynamic() {
    let mut file = plimsoll().file().clone();
    let spec = file.readings.correlation.as_mut().unwrap();
    spec.underlyings = vec!["BTC".to_owned(), "ETH".to_owned()];
    spec.method = CorrelationMethod::Dcc { window: 200, needed: 100, refit_every: 50 };
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(12);
    let mut closes = [100.0, 100.0];
    for day in 0..260 {
        let shared = dice.bell();
        let mut signals = Signals { as_of: at(DAY * day), ..Signals::default() };
        for (close, name) in closes.iter_mut().zip(["BTC", "ETH"]) {
            *close *= 1.0 + 0.04 * (shared + 0.5 * dice.bell());
            let of = UnderlyingSignals { bar: Some(Bar::at(*close)), ..UnderlyingSignals::default() };
            signals.underlyings.insert(name.to_owned(), of);
        }
        if day < 119 {
            assert_eq!(state.readings("BTC").get(&Cause::Correlation), None);
        }
        step(&policy, &mut state, &signals).unwrap();
    }
    // A shared part of variance 1 and an own one of a quarter: 0.8.
    let mean = state.readings("BTC")[&Cause::Correlation];
    assert!((mean - 0.8).abs() < 0.08, "{mean}");
    let saved: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(saved, state);
}

#[test]
fn a_surface_estimates_the_scans_of_skew_and_term_of_our_own_policy() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(31);
    for day in 0..200 {
        let atm = 0.6 * (1.0 + 0.03 * dice.bell());
        let implied = Implied {
            atm,
            risk_reversal: atm * (-0.05 + 0.05 * dice.bell()),
            butterfly: 0.02,
            slope: atm * 0.05 * dice.bell(),
        };
        let bar = Some(Bar::at(100.0 * (1.0 + 0.02 * dice.bell())));
        let of = UnderlyingSignals { bar, implied: Some(implied), ..UnderlyingSignals::default() };
        step(&policy, &mut state, &btc(DAY * day, of)).unwrap();
    }
    for (knob, start) in [(Knob::SkewScan, 1.0), (Knob::TermScan, 0.2)] {
        let state = state.board().get(&Key { knob, scope: Scope::of("BTC") }).unwrap();
        assert_eq!(state.trail().steps()[0].0, Cause::Now, "{knob:?}");
        assert!(state.value().to_f64() != start);
    }
}
