//! One number over the estimators: it must be the same in debug, release and native builds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod reference;

use plimsoll_quant::correlation::{EwmaCorrelation, EwmaCorrelationSpec, Target, fit_dcc};
use plimsoll_quant::ewma::{EwmaMoments, TwoSpeedDeviation, TwoSpeedSpec};
use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec};
use plimsoll_quant::garch::{Dynamics, FitSpec, Innovations, Law, MeanModel, Start, fit};
use plimsoll_quant::har::{Har, HarScale, HarSpec};
use plimsoll_quant::jump::{JumpTest, jump_share};
use plimsoll_quant::pot::Tail;
use plimsoll_quant::regime::{self, EmOptions};
use reference::{Digest, Draw};

fn series(n: usize) -> Vec<f64> {
    let mut draw = Draw(21);
    let mut variance: f64 = 1e-4;
    let step = |_| {
        let r = variance.sqrt() * draw.student5();
        variance = 2e-6 + 0.06 * r * r + 0.92 * variance;
        r
    };
    (0..n).map(step).collect()
}

fn add_estimates(d: &mut Digest, returns: &[f64]) {
    for (dynamics, innovations) in
        [(Dynamics::Symmetric, Innovations::Normal), (Dynamics::Gjr, Innovations::StudentT)]
    {
        let spec = FitSpec { dynamics, innovations, mean: MeanModel::Constant, start: Start::MeanSquare };
        let found = fit(returns, &spec, None).unwrap();
        found.model.parameters().into_iter().for_each(|x| d.add(x));
        [found.mean, found.log_likelihood].into_iter().for_each(|x| d.add(x));
        d.add(found.law.quantile(0.01).unwrap());
    }
    for law in [Law::Normal, Law::StudentT { nu: 5.0 }] {
        let found = regime::fit(returns, (2, law), &EmOptions::usual(), None).unwrap();
        let model = found.filter.model();
        model.variances().iter().chain(model.transition()).for_each(|x| d.add(*x));
        found.filter.probabilities().iter().for_each(|x| d.add(*x));
    }
    let tail = Tail::fit(returns, 0.9).unwrap();
    [tail.law.shape, tail.law.scale, tail.quantile(0.999).unwrap(), tail.shortfall(0.99).unwrap()]
        .into_iter()
        .for_each(|x| d.add(x));
    let rows: Vec<f64> = returns.iter().map(|r| r / 0.01).collect();
    let dcc = fit_dcc(&rows[..1500], 3, None).unwrap();
    [dcc.a, dcc.b, dcc.log_likelihood].into_iter().for_each(|x| d.add(x));
    let share = jump_share(returns).unwrap();
    [share.statistic, share.p_value].into_iter().for_each(|x| d.add(x));
}

fn add_readings(d: &mut Digest, returns: &[f64]) {
    let history = FilteredSpec {
        window: 500,
        needed: 100,
        half_life: 20.0,
        vol_warm_up: 20,
        cap: Some(1.25),
        vol_floor: 1e-9,
    };
    let mut history = FilteredHistory::new(history).unwrap();
    let har = HarSpec { week: 5, month: 22, window: 500, needed: 100, refit_every: 50, scale: HarScale::Log };
    let mut har = Har::new(har).unwrap();
    let mut jump = JumpTest::new(16, 365, 0.01).unwrap();
    let mut moments = EwmaMoments::new(30.0, 10).unwrap();
    let size = TwoSpeedSpec { half_life: 7.0, window: 500, needed: 60, fast_weight: 0.4, winsor: Some(4.0) };
    let mut size = TwoSpeedDeviation::new(size).unwrap();
    let both = EwmaCorrelationSpec {
        series: 2,
        vol_half_life: 20.0,
        vol_warm_up: 10,
        half_life: 60.0,
        needed: 30,
        target: Target::ConstantCorrelation,
    };
    let mut both = EwmaCorrelation::new(both).unwrap();
    let mut scratch = Vec::new();
    for (i, r) in returns.iter().enumerate() {
        d.add(moments.z_score(*r).unwrap_or(0.0));
        d.add(jump.update(*r).unwrap().map_or(0.0, |reading| reading.p_value));
        moments.update(*r).unwrap();
        history.update(*r).unwrap();
        size.update(*r).unwrap();
        har.update(r * r + 1e-8).unwrap();
        let other = if i % 7 == 0 { None } else { Some(returns[returns.len() - 1 - i]) };
        both.update(&[Some(*r), other]).unwrap();
        d.add(history.losses(0.99, &mut scratch).map_or(0.0, |both| both.long + both.short));
        d.add(size.deviation().unwrap_or(0.0));
        d.add(har.forecast_total(5).unwrap_or(0.0));
        d.add(both.correlation().map_or(0.0, |c| c.average()));
    }
}

#[test]
fn the_digest_of_the_estimators_is_the_pinned_one() {
    let returns = series(1500);
    let mut d = Digest(0xcbf2_9ce4_8422_2325);
    add_estimates(&mut d, &returns);
    let estimates = d.0;
    add_readings(&mut d, &returns);
    println!("{estimates:#018x} {:#018x}", d.0);
    assert_eq!((estimates, d.0), (0x0bc2_3cc8_46ea_4f60, 0x22fd_4dca_0ec4_9f48));
}
