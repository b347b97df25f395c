//! Time to guard and fit one underlying of twelve expiries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]
#![allow(missing_docs, reason = "the macro makes an item that cannot be documented")]

use criterion::{Criterion, criterion_group, criterion_main};
use plimsoll_market::{FitParams, GuardParams, fit, guard};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_quant::special::ln;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_types::{IndexPrice, Instrument, OptionQuote, Snapshot, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;
use std::hint::black_box;

const DAYS: [&str; 12] = [
    "31JAN26", "1FEB26", "2FEB26", "6FEB26", "13FEB26", "20FEB26", "27FEB26", "27MAR26", "24APR26",
    "26JUN26", "25SEP26", "25DEC26",
];

/// A made-up chain: 12 expiries, 60 strikes, call and put, one tick of noise in every price.
fn chain() -> Option<Snapshot> {
    let now: Timestamp = "2026-01-30T12:00:00Z".parse().ok()?;
    let mut options = Vec::new();
    for day in DAYS {
        let expiry = format!("BTC-{day}").parse::<Instrument>().ok()?.expiry()?;
        let tau = now.years_until(expiry);
        let theta = 0.3 * tau;
        let smile = SsviSlice { theta, rho: -0.2, phi: 1.1 / theta.sqrt() }.raw();
        let forward = 80_000.0;
        for i in -30..30_i32 {
            let strike = (forward * (1.0 + 0.12 * f64::from(i) * theta.sqrt()) / 100.0).round() * 100.0;
            for (side, kind) in [("C", Kind::Call), ("P", Kind::Put)] {
                let vol = smile.vol(ln(strike / forward), tau);
                let tick = |p: f64| (p / forward / 1e-4).round() * 1e-4;
                let middle = price(kind, forward, strike, vol, tau);
                let instrument = format!("BTC-{day}-{strike}-{side}").parse().ok()?;
                let side = |v: f64| Some(tick(middle) + v).filter(|p| *p > 0.0);
                options.push(OptionQuote {
                    instrument,
                    bid: side(-1e-4),
                    ask: side(1e-4),
                    mark: side(0.0),
                    mark_vol: Some(vol),
                    forward: Some(forward),
                    open_interest: None,
                    time: now,
                });
            }
        }
    }
    let index = vec![IndexPrice { price: 80_000.0, confidence: None, source: "made".to_owned(), time: now }];
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    Some(Snapshot {
        as_of: now,
        underlyings: BTreeMap::from([("BTC".parse().ok()?, market)]),
        assets: BTreeMap::new(),
    })
}

fn surface(criterion: &mut Criterion) {
    let Some(chain) = chain() else { return };
    let (limits, params) = (GuardParams::default(), FitParams::default());
    let guarded = guard(&chain, &limits);
    criterion
        .bench_function("guard 12 expiries 1440 quotes", |b| b.iter(|| guard(black_box(&chain), &limits)));
    criterion.bench_function("fit 12 expiries 1440 quotes", |b| b.iter(|| fit(black_box(&guarded), &params)));
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = surface }
criterion_main!(benches);
