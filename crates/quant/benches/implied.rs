//! Implied volatility of many prices over a broad set: the batch on every path beside the scalar.
//!
//! The set: total volatility uniform in its logarithm from 1e-3 to 8; half of the options uniform in `ln(F/K)/s` within
//! 38 either way, down to prices of 1e-300 of the forward, half uniform in the logarithm of `|ln(F/K)|` from 1e-8 to 100;
//! one in five in the money; time uniform in its logarithm from one second to 30 years. Prices whose volatility cannot be
//! recovered are left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "benches panic to fail"
)]
#![allow(missing_docs)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{ImpliedStatus, Prices, implied_vols};
use plimsoll_quant::black::{OptionKind, price};
use plimsoll_quant::implied::implied_vol;
use plimsoll_quant::special::{exp, ln};
use std::hint::black_box;

const OPTIONS: usize = 1_000_000;
const SCALAR_OPTIONS: usize = 10_000;

struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 9_007_199_254_740_992.0
    }

    fn scale(&mut self, a: f64, b: f64) -> f64 {
        let share = self.next();
        exp(ln(a) + (ln(b) - ln(a)) * share)
    }
}

#[derive(Default)]
struct Columns {
    kind: Vec<OptionKind>,
    price: Vec<f64>,
    forward: Vec<f64>,
    strike: Vec<f64>,
    tau: Vec<f64>,
}

fn draw(u: &mut Sequence) -> (OptionKind, f64, f64, f64, f64) {
    let s = u.scale(1e-3, 8.0);
    let side = if u.next() < 0.5 { 1.0 } else { -1.0 };
    let x = side * if u.next() < 0.5 { s * 38.0 * u.next() } else { u.scale(1e-8, 100.0) };
    let forward = 1000.0 * (0.5 + u.next());
    let strike = forward * exp(-x);
    let kind = if (strike > forward) == (u.next() < 0.8) { OptionKind::Call } else { OptionKind::Put };
    let tau = u.scale(1.0 / 31_557_600.0, 30.0);
    (kind, price(kind, forward, strike, s / tau.sqrt(), tau), forward, strike, tau)
}

fn columns() -> Columns {
    let (mut u, mut c) = (Sequence(4), Columns::default());
    while c.kind.len() < OPTIONS {
        let (kind, price, forward, strike, tau) = draw(&mut u);
        if price > 1e-297 && implied_vol(kind, price, forward, strike, tau).is_ok() {
            c.kind.push(kind);
            c.price.push(price);
            c.forward.push(forward);
            c.strike.push(strike);
            c.tau.push(tau);
        }
    }
    c
}

fn implied(c: &mut Criterion) {
    let columns = columns();
    let Columns { kind, price, forward, strike, tau } = &columns;
    let prices = Prices { kind, price, forward, strike, tau };
    let (mut vol, mut status) = (vec![0.0; OPTIONS], vec![ImpliedStatus::Ok; OPTIONS]);
    let mut group = c.benchmark_group("implied_vols");
    group.sample_size(20);
    group.throughput(Throughput::Elements(OPTIONS as u64));
    for path in Path::available().into_iter().rev() {
        group.bench_function(path.name(), |b| {
            b.iter(|| implied_vols(path, black_box(&prices), &mut vol, &mut status).unwrap());
        });
    }
    group.throughput(Throughput::Elements(SCALAR_OPTIONS as u64));
    group.bench_function("scalar", |b| {
        b.iter(|| (0..SCALAR_OPTIONS).filter_map(|i| prices.implied_vol(i)?.ok()).sum::<f64>());
    });
    group.finish();
}

criterion_group!(benches, implied);
criterion_main!(benches);
