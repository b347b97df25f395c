//! A small market of our own making, and desks on it.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use plimsoll_engine::{BookBuilder, BuildOptions, Desk, Market, ParamSet};
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::{exp, ln};
use plimsoll_quant::svi::Svi;
use plimsoll_types::{
    Forward, ForwardSource, IndexPrice, Instrument, OptionQuote, PerpQuote, Snapshot, Timestamp,
    UnderlyingMarket,
};
use std::collections::BTreeMap;

pub(crate) const AS_OF: &str = "2026-02-05T21:30:00Z";
const EXPIRIES: [&str; 4] = ["6FEB26", "13FEB26", "27MAR26", "26JUN26"];

/// How far a market is from the plain one.
#[derive(Clone, Copy)]
pub(crate) struct Tweak {
    pub(crate) spot: f64,
    pub(crate) vol: f64,
    pub(crate) hours: i64,
}

pub(crate) const PLAIN: Tweak = Tweak { spot: 1.0, vol: 1.0, hours: 0 };

fn chain(base: &str, index: f64, level: f64, step: f64, as_of: Timestamp) -> UnderlyingMarket {
    let source = "made".to_owned();
    let mut market = UnderlyingMarket {
        index: vec![IndexPrice { price: index, confidence: Some(index * 0.0005), source, time: as_of }],
        ..UnderlyingMarket::default()
    };
    let perp: Instrument = format!("{base}-PERPETUAL").parse().unwrap();
    let mark = Some(index * 1.0002);
    market.perpetuals.push(PerpQuote {
        instrument: perp,
        mark,
        bid: None,
        ask: None,
        funding_8h: Some(0.0001),
        open_interest: None,
        time: as_of,
    });
    for day in EXPIRIES {
        let expiry = format!("{base}-{day}").parse::<Instrument>().unwrap().expiry().unwrap();
        let tau = as_of.years_until(expiry);
        if tau <= 0.0 {
            continue;
        }
        let forward = index * exp(0.05 * tau);
        market.forwards.push(Forward { expiry, price: forward, source: ForwardSource::Venue, time: as_of });
        let wing = 0.35 * level * tau.sqrt();
        let smile = Svi {
            a: level * level * tau * 0.8,
            b: wing * 0.3,
            rho: -0.3,
            m: 0.0,
            sigma: 0.6 * tau.sqrt().max(0.1),
        };
        // The nearest expiry needs close strikes to be worth a smile.
        let (step, reach) = if day == EXPIRIES[0] { (step / 5.0, 20) } else { (step, 8) };
        for i in -reach..=reach {
            let strike = ((index + f64::from(i) * step) / step).round() * step;
            let k = ln(strike / forward);
            let vol = (smile.w(k) / tau).sqrt();
            for (kind, side) in [(OptionKind::Call, "C"), (OptionKind::Put, "P")] {
                let coin = black::price(kind, forward, strike, vol, tau) / forward;
                let quote = OptionQuote {
                    instrument: format!("{base}-{day}-{strike}-{side}").parse().unwrap(),
                    bid: Some(coin * 0.995),
                    ask: Some(coin * 1.005),
                    mark: Some(coin),
                    mark_vol: Some(vol),
                    forward: Some(forward),
                    open_interest: None,
                    time: as_of,
                };
                market.options.push(quote);
            }
        }
    }
    market
}

pub(crate) fn snapshot(tweak: Tweak) -> Snapshot {
    let as_of = AS_OF.parse::<Timestamp>().unwrap().plus_seconds(3600 * tweak.hours);
    let stable =
        IndexPrice { price: 0.9998, confidence: Some(0.0005), source: "made".to_owned(), time: as_of };
    Snapshot {
        as_of,
        underlyings: BTreeMap::from([
            ("BTC".parse().unwrap(), chain("BTC", 65_000.0 * tweak.spot, 0.8 * tweak.vol, 2_500.0, as_of)),
            ("ETH".parse().unwrap(), chain("ETH", 1_900.0 * tweak.spot, 0.95 * tweak.vol, 100.0, as_of)),
        ]),
        assets: BTreeMap::from([("USDC".parse().unwrap(), stable)]),
    }
}

/// (account, instrument, quantity)
pub(crate) type Row = (&'static str, &'static str, &'static str);

pub(crate) const BOOK: [Row; 14] = [
    ("condor", "BTC-27MAR26-55000-P", "5"),
    ("condor", "BTC-27MAR26-60000-P", "-5"),
    ("condor", "BTC-27MAR26-75000-C", "-5"),
    ("condor", "BTC-27MAR26-80000-C", "5"),
    ("hedged", "BTC-26JUN26-65000-C", "-10"),
    ("hedged", "BTC-PERPETUAL", "350000"),
    ("longs", "BTC-27MAR26-70000-C", "3"),
    ("longs", "ETH-27MAR26-1600-P", "20"),
    ("longs", "BTC-6FEB26-65000-C", "1"),
    ("pair", "BTC-PERPETUAL", "650000"),
    ("pair", "ETH-PERPETUAL", "-650000"),
    ("seller", "BTC-13FEB26-60000-P", "-4"),
    ("seller", "ETH-13FEB26-2200-C", "-30"),
    ("seller", "BTC-6FEB26-67500-C", "-2"),
];

pub(crate) fn builder(params: &ParamSet, rows: &[Row]) -> BookBuilder {
    let mut book = BookBuilder::new(&params.units);
    for (account, instrument, quantity) in rows {
        book.position(account, instrument, quantity, None).unwrap();
        book.collateral(account, "USDC", "50000", None).unwrap();
    }
    book
}

/// A desk of a preset, of one that the linter refuses too: `tests/presets.rs` says which those are.
pub(crate) fn desk_on(preset: &str, tweak: Tweak, rows: &[Row]) -> Desk {
    let params = ParamSet::preset(preset).unwrap();
    let market = Market::new(snapshot(tweak), &params);
    let book = builder(&params, rows);
    let options = BuildOptions { allow_lint: true, ..BuildOptions::default() };
    Desk::assemble(params, market, book, &[], &options).unwrap()
}

pub(crate) fn desk() -> Desk {
    desk_on("plimsoll", PLAIN, &BOOK)
}
