//! The recorded frames, where they are.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use flate2::read::GzDecoder;
use plimsoll_feeds::binance::{Binance, Market, Symbol};
use plimsoll_feeds::deribit::{Deribit, Wanted};
use plimsoll_feeds::evm::{Signers, fixed, unhex};
use plimsoll_feeds::hyperliquid::{Coin, Hyperliquid, Origin};
use plimsoll_feeds::pyth::update::Trust;
use plimsoll_feeds::pyth::{Bearer, Feed, Pyth, guardian_set_4};
use plimsoll_feeds::{Protocol, Reading, Reason, Turn, chainlink};
use plimsoll_types::{Asset, Instrument, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

/// A folder of the recorded data; `None`, with a printed line, where it is not there.
pub fn shared(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data")).join(name);
    if path.exists() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{} is missing", path.display());
    println!("skipped: {} is not there", path.display());
    None
}

/// The text of a file, unpacked if need be.
pub fn text(path: &PathBuf) -> String {
    let mut text = String::new();
    let bytes = std::fs::read(path).unwrap();
    if path.extension().is_some_and(|e| e == "gz") {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
        return text;
    }
    String::from_utf8(bytes).unwrap()
}

/// Where a frame came from and when.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub at: Timestamp,
    /// The path it was fetched from; empty for a frame of the stream.
    pub path: String,
    pub frame: String,
}

pub fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

/// Lines `receive-time(ns) json` of l2_raw_feeds; a line that is a reply is of `path`.
pub fn raw_lines(text: &str, path: &str) -> Vec<Recorded> {
    let line = |line: &str| {
        let (nanos, frame) = line.split_once(' ').unwrap();
        let fetched = frame.starts_with("{\"lastUpdateId\"");
        let path = if fetched { path.to_owned() } else { String::new() };
        Recorded { at: Timestamp::from_nanos(nanos.parse().unwrap()), path, frame: frame.to_owned() }
    };
    text.lines().map(line).collect()
}

/// Lines `time: json` and `url -> time: json` of cryptofeed; lines that are of the recorder are left out.
pub fn cryptofeed_lines(text: &str) -> Vec<Recorded> {
    let line = |line: &str| {
        let (head, frame) = line.split_once(": {")?;
        let (url, time) = head.rsplit_once(' ').unwrap_or(("", head));
        if url.ends_with("<-") || time == "configuration" || head == "configuration" {
            return None;
        }
        let seconds: f64 = time.parse().ok()?;
        let path = url
            .strip_suffix(" ->")
            .and_then(|u| u.strip_prefix("https://"))
            .and_then(|u| u.find('/').map(|at| &u[at..]));
        let at = Timestamp::from_nanos((seconds * 1e9) as i64);
        Some(Recorded { at, path: path.unwrap_or_default().to_owned(), frame: format!("{{{frame}") })
    };
    text.lines().filter_map(line).collect()
}

/// Messages of a JSON array, one after the other.
pub fn array(text: &str) -> Vec<Recorded> {
    let messages: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let frame = |m: serde_json::Value| Recorded { at: at(), path: String::new(), frame: m.to_string() };
    messages.into_iter().map(frame).collect()
}

/// An instant for what was recorded without one.
pub fn at() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// What came of frames.
#[derive(Default, Debug, Clone, PartialEq)]
pub struct Tally {
    pub frames: u64,
    pub decoded: u64,
    pub refused: BTreeMap<Reason, u64>,
    pub readings: BTreeMap<&'static str, u64>,
    pub said: Vec<Reading>,
    pub asks: Vec<plimsoll_feeds::Ask>,
}

pub fn kind(reading: &Reading) -> &'static str {
    match reading {
        Reading::Price(_) => "price",
        Reading::Alive { .. } => "alive",
        Reading::Quote(_) => "quote",
        Reading::Depth(_) => "depth",
        Reading::Trade(_) => "trade",
        Reading::Listed { .. } => "listed",
    }
}

impl Tally {
    pub fn take(&mut self, protocol: &mut dyn Protocol, recorded: &Recorded) {
        let mut turn = Turn::default();
        let frame = recorded.frame.as_bytes();
        let taken = match recorded.path.as_str() {
            "" => protocol.receive(frame, recorded.at, &mut turn),
            path => protocol.fetched(path, frame, recorded.at, &mut turn),
        };
        self.frames += 1;
        match taken {
            Ok(()) => self.decoded += 1,
            Err(refusal) => *self.refused.entry(refusal.reason).or_default() += 1,
        }
        for reading in &turn.readings {
            *self.readings.entry(kind(reading)).or_default() += 1;
        }
        self.said.extend(turn.readings);
        self.asks.extend(turn.asks);
    }

    pub fn of(protocol: &mut dyn Protocol, recorded: &[Recorded]) -> Self {
        let mut tally = Self::default();
        protocol.open(recorded.first().map_or(at(), |r| r.at), &mut Turn::default());
        recorded.iter().for_each(|r| tally.take(protocol, r));
        assert_eq!(tally.decoded + tally.refused.values().sum::<u64>(), tally.frames);
        tally
    }
}

/// Deribit, asked for everything that is named in frames.
pub fn deribit(recorded: &[Recorded]) -> Deribit {
    let names = recorded.iter().flat_map(|r| {
        let name = r
            .frame
            .split("\"instrument_name\":")
            .nth(1)
            .map(|rest| rest.trim_start().trim_start_matches('"'));
        name.and_then(|rest| rest.split('"').next()).map(str::to_owned)
    });
    let instruments: BTreeSet<Instrument> = names.filter_map(|name| name.parse().ok()).collect();
    let indices =
        [("btc_usd", "BTC"), ("eth_usd", "ETH")].map(|(n, a)| (n.to_owned(), (asset(a), asset("USD"))));
    Deribit::new(Wanted {
        indices: indices.into(),
        currencies: BTreeSet::new(),
        tickers: instruments.clone(),
        books: instruments.clone(),
        trades: instruments,
        summary_seconds: 10,
        band: 0.01,
    })
}

pub fn symbol(name: &str) -> Symbol {
    let base = name.trim_end_matches("USDT");
    let instrument = format!("{base}_USDT-PERPETUAL").parse().ok();
    Symbol {
        symbol: name.to_owned(),
        asset: asset(base),
        quote: asset("USDT"),
        index: true,
        instrument,
        funding_hours: 8,
        book: true,
        trades: true,
    }
}

pub fn binance(market: Market, names: &[&str]) -> Binance {
    Binance::new(market, names.iter().map(|name| symbol(name)).collect(), 0.01)
}

pub fn hyperliquid(names: &[&str]) -> Hyperliquid {
    let coin = |name: &&str| Coin {
        coin: (*name).to_owned(),
        asset: asset(name),
        quote: asset("USDC"),
        price: Origin::Oracle,
        instrument: format!("{name}_USDC-PERPETUAL").parse().ok(),
        book: true,
        trades: true,
    };
    Hyperliquid::new(names.iter().map(coin).collect(), 0.01)
}

/// Hyperliquid with the price of BTC by the middle of a spot pair, and the perpetual of ETH by its oracle.
pub fn hyperliquid_middles() -> Hyperliquid {
    let coin = |coin: &str, name: &str, price| {
        let (coin, instrument) = (coin.to_owned(), None);
        Coin { coin, asset: asset(name), quote: asset("USDC"), price, instrument, book: true, trades: false }
    };
    Hyperliquid::new(vec![coin("@142", "BTC", Origin::Middle), coin("ETH", "ETH", Origin::Oracle)], 0.01)
}

pub fn feed(id: &str, name: &str) -> Feed {
    Feed { id: fixed(id).unwrap(), asset: asset(name), quote: asset("USD"), exponent: -8 }
}

/// The feeds of the recorded updates.
pub fn pyth() -> Pyth {
    let feeds = vec![
        feed("e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43", "BTC"),
        feed("c96458d393fe9deb7a7d63a0ac41e2898a67a7750dbd166673279e06c868df0a", "WIF"),
        feed("ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace", "ETH"),
        feed("ef0d8b6fda2ceba41da15d4095d1da392a0d2f8ed0c6c7bc0f4cfac8c280b56d", "SOL"),
    ];
    Pyth::new(feeds, Trust::of([(4, guardian_set_4())].into()), Bearer::default(), false)
}

/// Chainlink, trusting whoever signed these reports: who that was is recovered from them.
pub fn chainlink(reports: &[&str]) -> chainlink::Chainlink {
    let mut streams = Vec::new();
    let mut signers = BTreeMap::new();
    for (place, text) in reports.iter().enumerate() {
        let Ok(full) = chainlink::FullReport::decode(&unhex(text).unwrap()) else { continue };
        let found = full.signatures.iter().map(|s| plimsoll_feeds::evm::recover(&full.hash(), s).unwrap());
        let found: Vec<_> = found.collect();
        let count = found.len();
        signers.insert(full.context[0], Signers::new(found, count).unwrap());
        let (asset, quote) = (asset(&format!("A{place}")), asset("USD"));
        streams.push(chainlink::Stream {
            feed_id: *full.report.first_chunk().unwrap(),
            asset,
            quote,
            exponent: -8,
        });
    }
    chainlink::Chainlink::new(streams, signers, None)
}
