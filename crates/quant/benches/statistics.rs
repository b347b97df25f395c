//! Estimates on a schedule and readings per observation: what they cost.
//!
//! The series: 2,500 returns (ten years of trading days) of a GARCH(1,1) with Student's t innovations.

#![allow(clippy::unwrap_used, reason = "benches panic to fail")]
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll_quant::correlation::fit_dcc;
use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec};
use plimsoll_quant::garch::{Dynamics, FitSpec, Innovations, Law, MeanModel, Start, fit};
use plimsoll_quant::pot::Tail;
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::regime::{self, EmOptions, RegimeFilter};
use std::hint::black_box;

#[path = "../tests/reference/mod.rs"]
mod reference;

use reference::Draw;

fn series(n: usize) -> Vec<f64> {
    let mut draw = Draw(12);
    let mut variance: f64 = 1.0;
    let step = |_| {
        let r = variance.sqrt() * draw.student5();
        variance = 0.02 + 0.06 * r * r + 0.92 * variance;
        r
    };
    (0..n).map(step).collect()
}

fn garch(c: &mut Criterion) {
    let returns = series(2600);
    for (name, dynamics, innovations) in [
        ("garch normal", Dynamics::Symmetric, Innovations::Normal),
        ("garch t", Dynamics::Symmetric, Innovations::StudentT),
        ("gjr t", Dynamics::Gjr, Innovations::StudentT),
    ] {
        let spec = FitSpec { dynamics, innovations, mean: MeanModel::Constant, start: Start::MeanSquare };
        let before = fit(&returns[..2500], &spec, None).unwrap();
        let now = &returns[100..];
        c.bench_function(&format!("{name}, 2500 returns, cold"), |b| {
            b.iter(|| fit(black_box(now), &spec, None).unwrap());
        });
        c.bench_function(&format!("{name}, 2500 returns, warm"), |b| {
            b.iter(|| fit(black_box(now), &spec, Some(&before)).unwrap());
        });
    }
}

fn estimates(c: &mut Criterion) {
    let returns = series(2600);
    let law = Law::StudentT { nu: 5.0 };
    let shape = (3, law);
    let cold = regime::fit(&returns[..2500], shape, &EmOptions::usual(), None).unwrap();
    c.bench_function("regimes t, 3 states, 2500 returns, cold", |b| {
        b.iter(|| regime::fit(black_box(&returns[100..]), shape, &EmOptions::usual(), None).unwrap());
    });
    c.bench_function("regimes t, 3 states, 2500 returns, warm", |b| {
        let warm = Some(cold.filter.model());
        b.iter(|| regime::fit(black_box(&returns[100..]), shape, &EmOptions::usual(), warm).unwrap());
    });
    let mut draw = Draw(13);
    let rows: Vec<f64> = (0..5 * 1000).map(|_| draw.normal()).collect();
    c.bench_function("dcc, 5 series, 1000 rows, cold", |b| {
        b.iter(|| fit_dcc(black_box(&rows), 5, None).unwrap());
    });
    c.bench_function("tail, 2500 losses", |b| b.iter(|| Tail::fit(black_box(&returns), 0.9).unwrap()));
}

fn readings(c: &mut Criterion) {
    let returns = series(10_000);
    let spec = FilteredSpec {
        window: 2500,
        needed: 500,
        half_life: 20.0,
        vol_warm_up: 20,
        cap: Some(1.25),
        vol_floor: 1e-9,
    };
    let mut history = FilteredHistory::new(spec).unwrap();
    let mut ranks = RankWindow::new(3650, 500).unwrap();
    let mut filter = RegimeFilter::new(
        regime::fit(&returns[..2500], (3, Law::Normal), &EmOptions::usual(), None)
            .unwrap()
            .filter
            .model()
            .clone(),
    );
    for r in &returns {
        history.update(*r).unwrap();
        ranks.update(*r).unwrap();
    }
    let mut scratch = Vec::new();
    let mut turn = returns.iter().cycle();
    c.bench_function("filtered losses of both sides, window 2500", |b| {
        b.iter(|| {
            history.update(*turn.next().unwrap()).unwrap();
            history.losses(0.99, &mut scratch).unwrap()
        });
    });
    c.bench_function("rank window 3650", |b| {
        b.iter(|| {
            ranks.update(*turn.next().unwrap()).unwrap();
            ranks.quantile(0.99).unwrap()
        });
    });
    c.bench_function("regime filter, 3 states", |b| {
        b.iter(|| filter.update(*turn.next().unwrap()).unwrap());
    });
}

criterion_group!(benches, garch, estimates, readings);
criterion_main!(benches);
