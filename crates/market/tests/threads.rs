//! A fit has the same bits on any number of threads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::{FitParams, GuardParams, Surface, fit, guard};
use plimsoll_quant::black::{OptionKind as Kind, price};
use plimsoll_quant::special::ln;
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_types::{IndexPrice, Instrument, OptionQuote, Snapshot, Timestamp, UnderlyingMarket};
use std::collections::BTreeMap;

const DAYS: [&str; 7] = ["31JAN26", "1FEB26", "6FEB26", "27FEB26", "27MAR26", "26JUN26", "25DEC26"];

/// Chains of two underlyings whose smiles cross in time, with a tick of noise and some quotes that are far off.
fn chains() -> Snapshot {
    let now: Timestamp = "2026-01-30T12:00:00Z".parse().unwrap();
    let chain = |asset: &str, forward: f64| {
        let mut options = Vec::new();
        for (n, day) in DAYS.iter().enumerate() {
            let expiry = format!("{asset}-{day}").parse::<Instrument>().unwrap().expiry().unwrap();
            let tau = now.years_until(expiry);
            let theta = (if n % 3 == 1 { 0.45 } else { 0.3 }) * tau;
            let smile = SsviSlice { theta, rho: -0.2, phi: 1.1 / theta.sqrt() }.raw();
            for i in -12..12_i32 {
                let strike = (forward * (1.0 + 0.06 * f64::from(i) * theta.sqrt())).round();
                for (side, kind) in [("C", Kind::Call), ("P", Kind::Put)] {
                    let off = if (i + 12) % 11 == 4 { 1.3 } else { 1.0 };
                    let vol = off * smile.vol(ln(strike / forward), tau);
                    let coin = |half: f64| price(kind, forward, strike, vol + half, tau) / forward;
                    options.push(OptionQuote {
                        instrument: format!("{asset}-{day}-{strike}-{side}").parse().unwrap(),
                        bid: Some(coin(-0.01)).filter(|p| *p > 1e-4),
                        ask: Some(coin(0.01)).filter(|p| *p > 1e-4),
                        mark: Some(coin(0.0)).filter(|p| *p > 1e-4),
                        mark_vol: None,
                        forward: Some(forward),
                        open_interest: None,
                        time: now,
                    });
                }
            }
        }
        let index = vec![IndexPrice { price: forward, confidence: None, source: "a".to_owned(), time: now }];
        (asset.parse().unwrap(), UnderlyingMarket { index, options, ..UnderlyingMarket::default() })
    };
    let underlyings = BTreeMap::from([chain("BTC", 80_000.0), chain("ETH", 3_000.0)]);
    Snapshot { as_of: now, underlyings, assets: BTreeMap::new() }
}

/// Every number of a surface as it prints, which tells any two floats apart.
fn written(surface: &Surface) -> String {
    format!("{surface:?}")
}

#[test]
fn the_surface_has_the_same_bits_on_one_two_and_seven_threads() {
    let guarded = guard(&chains(), &GuardParams::default());
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit(&guarded, &FitParams::default()))
    };
    let one = on(1);
    let slices: usize = one.underlyings.values().map(|u| u.slices.len()).sum();
    assert!(slices >= 10, "{slices} slices");
    for threads in [2, 7] {
        assert_eq!(written(&on(threads)), written(&one), "{threads} threads");
    }
}
