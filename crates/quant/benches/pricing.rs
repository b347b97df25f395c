//! Pricing and implied volatility over a varied set of options, one by one and in columns.

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
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{self, GreekColumns, Quotes};
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

/// Options as columns: forwards 50,000 to 100,000, strikes 0.5 to 1.5 times that, volatility 10 % to 160 %, a day to two
/// years, calls and puts mixed; a fixed sequence.
struct Columns {
    kind: Vec<OptionKind>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    vol: Vec<f64>,
    tau: Vec<f64>,
}

impl Columns {
    fn new(n: usize) -> Self {
        let mut state = 12_345u64;
        let mut column = |a: f64, b: f64| -> Vec<f64> {
            (0..n)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    a + (b - a) * ((state >> 32) as f64 / 4_294_967_296.0)
                })
                .collect()
        };
        let forward = column(50_000.0, 100_000.0);
        let strike = forward.iter().zip(column(0.5, 1.5)).map(|(f, m)| f * m).collect();
        let (vol, tau) = (column(0.1, 1.6), column(0.003, 2.0));
        let call = column(0.0, 1.0);
        let kind = call.iter().map(|&u| if u < 0.5 { OptionKind::Call } else { OptionKind::Put }).collect();
        Self { kind, forward, strike, vol, tau }
    }

    fn quotes(&self) -> Quotes<'_> {
        Quotes {
            kind: &self.kind,
            forward: &self.forward,
            strike: &self.strike,
            vol: &self.vol,
            tau: &self.tau,
        }
    }

    /// The scalar function over the columns, for comparison.
    fn scalar(&self, one: impl Fn(OptionKind, f64, f64, f64, f64) -> f64, out: &mut [f64]) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = one(self.kind[i], self.forward[i], self.strike[i], self.vol[i], self.tau[i]);
        }
    }
}

/// W1 of the workloads: a million options in columns, and 2,048 that stay in the second-level cache.
fn lanes(c: &mut Criterion) {
    for n in [2_048, 1_000_000] {
        let columns = Columns::new(n);
        let quotes = columns.quotes();
        let mut out = vec![vec![0.0; n]; 5];
        let mut group = c.benchmark_group(format!("batch/{n}"));
        group.throughput(Throughput::Elements(n as u64)).sample_size(20);
        group.bench_function("price/scalar", |b| b.iter(|| columns.scalar(black::price, &mut out[0])));
        for path in Path::available() {
            group.bench_function(format!("price/{}", path.name()), |b| {
                b.iter(|| batch::prices(path, black_box(&quotes), &mut out[0]).unwrap());
            });
            group.bench_function(format!("greeks/{}", path.name()), |b| {
                let [price, delta, gamma, vega, theta] = out.get_disjoint_mut([0, 1, 2, 3, 4]).unwrap();
                let mut columns = GreekColumns { price, delta, gamma, vega, theta };
                b.iter(|| batch::greeks(path, black_box(&quotes), &mut columns).unwrap());
            });
        }
        group.finish();
    }
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

criterion_group!(benches, pricing, lanes, special);
criterion_main!(benches);
