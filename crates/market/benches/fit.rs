//! Time to guard and fit one underlying: a made-up chain of twelve expiries, and recorded ones where they are present.

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
use plimsoll_market::read::{At, Format, snapshots};
use plimsoll_market::{FitParams, GuardParams, fit, guard};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_quant::special::{exp, ln};
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_types::{Asset, IndexPrice, Instrument, OptionQuote, Snapshot, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::BufReader;
use std::path::PathBuf;

const DAYS: [&str; 12] = [
    "31JAN26", "1FEB26", "2FEB26", "6FEB26", "13FEB26", "20FEB26", "27FEB26", "27MAR26", "24APR26",
    "26JUN26", "25SEP26", "25DEC26",
];

/// A made-up chain: 12 expiries, `2 half` strikes to 3.6 deviations either side, call and put, one tick of noise in every
/// price.
fn chain(half: i32) -> Snapshot {
    let now: Timestamp = "2026-01-30T12:00:00Z".parse().unwrap();
    let mut options = Vec::new();
    for day in DAYS {
        let expiry = format!("BTC-{day}").parse::<Instrument>().unwrap().expiry().unwrap();
        let tau = now.years_until(expiry);
        let theta = 0.3 * tau;
        let smile = SsviSlice { theta, rho: -0.2, phi: 1.1 / theta.sqrt() }.raw();
        let forward = 80_000.0;
        for i in -half..half {
            let k = 3.6 * f64::from(i) / f64::from(half) * theta.sqrt();
            let strike = (forward * exp(k) / 100.0).round() * 100.0;
            for (side, kind) in [("C", Kind::Call), ("P", Kind::Put)] {
                let vol = smile.vol(ln(strike / forward), tau);
                let tick = |p: f64| (p / forward / 1e-4).round() * 1e-4;
                let middle = price(kind, forward, strike, vol, tau);
                let instrument = format!("BTC-{day}-{strike}-{side}").parse().unwrap();
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
    Snapshot { as_of: now, underlyings: BTreeMap::from([(btc(), market)]), assets: BTreeMap::new() }
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

/// The bitcoin chain of a recorded snapshot; `None`, with a printed line, where the recordings are not there.
fn recorded(name: &str) -> Option<Snapshot> {
    let folder =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/options_deribit_btc_eth_4x_daily");
    let path = PathBuf::from(folder).join(name);
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return None;
    }
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let rows = BufReader::new(flate2::bufread::MultiGzDecoder::new(file));
    let mut snapshot = snapshots(Format::DeribitChainCsv, rows, name, &At::Only).unwrap().snapshot;
    snapshot.underlyings.retain(|asset, _| *asset == btc());
    Some(snapshot)
}

fn surface(criterion: &mut Criterion) {
    let chains = [
        ("made up", Some(chain(15))),
        ("made up, dense", Some(chain(30))),
        ("calm day", recorded("single_snapshot_20260101T091835Z.csv.gz")),
        ("crash of 5 February 2026", recorded("single_snapshot_20260205T212937Z.csv.gz")),
    ];
    let (limits, params) = (GuardParams::default(), FitParams::default());
    for (name, chain) in chains {
        let Some(chain) = chain else { continue };
        let quotes = chain.underlyings[&btc()].options.len();
        let guarded = guard(&chain, &limits);
        let expiries = fit(&guarded, &params).underlyings[&btc()].slices.len();
        let name = format!("{name}, {expiries} expiries {quotes} quotes");
        criterion.bench_function(&format!("guard {name}"), |b| b.iter(|| guard(black_box(&chain), &limits)));
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            criterion.bench_function(&format!("fit {name}, {threads} threads"), |b| {
                pool.install(|| b.iter(|| fit(black_box(&guarded), &params)));
            });
        }
    }
}

criterion_group! { name = benches; config = Criterion::default().sample_size(20); targets = surface }
criterion_main!(benches);
