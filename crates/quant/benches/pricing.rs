//! Pricing and implied volatility over a varied set of options.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::implied::implied_vol;
use plimsoll_quant::special::{exp, ln, norm_cdf, norm_quantile};
use std::hint::black_box;

type Case = (OptionKind, f64, f64, f64, f64);

/// Strikes from 0.4 to 2.5 times the forward, one hour to two years, vol 20 % to 150 %.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for i in 0..16 {
        for tau in [1e-4, 1.0 / 365.0, 0.02, 0.1, 0.5, 2.0] {
            for vol in [0.2, 0.6, 1.5] {
                let strike = 40_000.0 * exp(f64::from(i) * 0.12);
                let kind = if i % 2 == 0 { OptionKind::Call } else { OptionKind::Put };
                cases.push((kind, 100_000.0, strike, vol, tau));
            }
        }
    }
    cases
}

fn pricing(c: &mut Criterion) {
    let cases = cases();
    let mut group = c.benchmark_group("black");
    group.throughput(Throughput::Elements(cases.len() as u64));
    group.bench_function("price", |b| {
        b.iter(|| black_box(&cases).iter().map(|&(w, f, k, v, t)| black::price(w, f, k, v, t)).sum::<f64>());
    });
    group.bench_function("greeks", |b| {
        b.iter(|| {
            black_box(&cases).iter().map(|&(w, f, k, v, t)| black::greeks(w, f, k, v, t).volga).sum::<f64>()
        });
    });
    let quotes: Vec<Case> = cases
        .iter()
        .map(|&(w, f, k, v, t)| (w, black::price(w, f, k, v, t), f, k, t))
        .filter(|&(w, p, f, k, t)| implied_vol(w, p, f, k, t).is_ok())
        .collect();
    group.throughput(Throughput::Elements(quotes.len() as u64));
    group.bench_function("implied_vol", |b| {
        b.iter(|| {
            black_box(&quotes)
                .iter()
                .filter_map(|&(w, p, f, k, t)| implied_vol(w, p, f, k, t).ok())
                .sum::<f64>()
        });
    });
    group.finish();
}

fn special(c: &mut Criterion) {
    let xs: Vec<f64> = (0..1024).map(|i| -8.0 + f64::from(i) / 64.0).collect();
    let ps: Vec<f64> = (1..1024).map(|i| f64::from(i) / 1024.0).collect();
    let mut group = c.benchmark_group("special");
    group.throughput(Throughput::Elements(1024));
    group.bench_function("exp", |b| b.iter(|| black_box(&xs).iter().map(|&x| exp(x)).sum::<f64>()));
    group.bench_function("ln", |b| b.iter(|| black_box(&ps).iter().map(|&x| ln(x)).sum::<f64>()));
    group.bench_function("norm_cdf", |b| b.iter(|| black_box(&xs).iter().map(|&x| norm_cdf(x)).sum::<f64>()));
    group.bench_function("norm_quantile", |b| {
        b.iter(|| black_box(&ps).iter().map(|&p| norm_quantile(p)).sum::<f64>());
    });
    group.finish();
}

criterion_group!(benches, pricing, special);
criterion_main!(benches);
