//! Every recorded frame decodes or is refused with a stable reason, and how many of each is known. The table is printed:
//! `cargo test -p plimsoll-feeds --test frames -- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test prints what it counted")]

mod common;

use common::*;
use plimsoll_feeds::binance::Market;
use plimsoll_feeds::{Ask, Protocol, Quote, Reading};
use plimsoll_market::read::{At, Format, snapshots};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What came of the frames of a folder, in words.
fn row(name: &str, tally: &Tally) -> String {
    let list = |counts: Vec<String>| if counts.is_empty() { "-".to_owned() } else { counts.join(", ") };
    let refused = list(tally.refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect());
    let readings = list(tally.readings.iter().map(|(kind, count)| format!("{kind} {count}")).collect());
    format!("{name} | {} | {} | {refused} | {readings}", tally.frames, tally.decoded)
}

fn check(name: &str, tally: &Tally, expected: &str) {
    let row = row(name, tally);
    println!("{row}");
    assert_eq!(row, format!("{name} | {expected}"));
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(json_files(&path));
        } else if path.extension().is_some_and(|e| e == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One frame per file; replies of the kinds that are fetched are of their paths.
fn files(folder: &str) -> Vec<Recorded> {
    let root = shared("api_frames_nautilus").unwrap();
    let of = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let fetched = match name {
            _ if name.starts_with("http_get_instruments") => "/api/v2/public/get_instruments",
            "depth_response" => "/api/v3/depth?symbol=BTCUSDT",
            _ => "",
        };
        Recorded { at: at(), path: fetched.to_owned(), frame: text(&path) }
    };
    json_files(&root.join(folder)).into_iter().map(of).collect()
}

fn l2(name: &str, path: &str) -> Option<Vec<Recorded>> {
    Some(raw_lines(&text(&shared("l2_raw_feeds")?.join(name)), path))
}

fn tardis(name: &str) -> Vec<Recorded> {
    array(&text(&shared("api_frames_tardis_node").unwrap().join(name)))
}

#[test]
fn binance_futures() {
    let Some(lines) = l2("binance_usdm_btcusdt_20240808.gz", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000")
    else {
        return;
    };
    let tally = Tally::of(&mut binance(Market::UsdM, &["BTCUSDT"]), &lines);
    check("l2_raw_feeds/binance_usdm", &tally, "93954 | 93954 | - | depth 6546, quote 66089, trade 21313");
    assert_eq!(
        tally.asks.iter().filter(|ask| matches!(ask, Ask::Fetch(path) if path.contains("depth"))).count(),
        1
    );
    let folder = shared("api_frames_cryptofeed").unwrap();
    let names = ["BINANCE_FUTURES.ws.1.0.gz", "BINANCE_FUTURES.http.0.0.gz", "BINANCE_FUTURES.0.gz"];
    let mut lines: Vec<Recorded> =
        names.iter().flat_map(|name| cryptofeed_lines(&text(&folder.join(name)))).collect();
    lines.sort_by_key(|r| r.at);
    let coins = ["SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"];
    let tally = Tally::of(&mut binance(Market::UsdM, &coins), &lines);
    check("cryptofeed/BINANCE_FUTURES", &tally, "1540 | 1381 | unasked 159 | depth 756, quote 613");
    let tally =
        Tally::of(&mut binance(Market::UsdM, &["BTCUSDT", "ETHUSDT"]), &tardis("binance_futures.json.gz"));
    check(
        "tardis_node/binance_futures",
        &tally,
        "15 | 9 | unasked 5, gap 1 | depth 1, price 1, quote 3, trade 3",
    );
    let tally =
        Tally::of(&mut binance(Market::UsdM, &["BTCUSDT"]), &tardis("binance_european_options.json.gz"));
    check("tardis_node/binance_european_options", &tally, "10 | 0 | unasked 10 | -");
    let tally = Tally::of(&mut binance(Market::UsdM, &["BTCUSDT", "BNBUSDT"]), &files("binance/futures"));
    check("nautilus/binance/futures", &tally, "28 | 4 | malformed 3, unasked 21 | price 1, quote 2, trade 1");
}

#[test]
fn binance_spot() {
    let Some(lines) = l2("binance_spot_btcusdt_20240808.gz", "/api/v3/depth?symbol=BTCUSDT&limit=5000")
    else {
        return;
    };
    let tally = Tally::of(&mut binance(Market::Spot, &["BTCUSDT"]), &lines);
    check("l2_raw_feeds/binance_spot", &tally, "41249 | 41249 | - | depth 3449, quote 28040, trade 9757");
    let tally = Tally::of(&mut binance(Market::Spot, &["BTCUSDT"]), &files("binance/spot"));
    check("nautilus/binance/spot", &tally, "36 | 1 | malformed 6, unasked 29 | depth 1");
}

#[test]
fn hyperliquid_frames() {
    let Some(lines) = l2("hyperliquid_btcusd_20250126.gz", "") else { return };
    check(
        "l2_raw_feeds/hyperliquid",
        &Tally::of(&mut hyperliquid(&["BTC"]), &lines),
        "55 | 55 | - | depth 46, trade 64",
    );
    let coins = ["FXS", "BTC", "SHIA", "BANANA", "MOODENG"];
    let tally = Tally::of(&mut hyperliquid(&coins), &tardis("hyperliquid.json.gz"));
    check("tardis_node/hyperliquid", &tally, "10 | 8 | unasked 2 | depth 2, price 1, quote 2, trade 6");
    let tally = Tally::of(&mut hyperliquid_middles(), &files("hyperliquid"));
    check("nautilus/hyperliquid", &tally, "14 | 1 | malformed 11, unasked 2 | price 1");
}

#[test]
fn deribit_frames() {
    let Some(folder) = shared("api_frames_cryptofeed") else { return };
    let names = ["DERIBIT.0.gz", "DERIBIT.ws.1.0.gz"];
    let lines: Vec<Recorded> =
        names.iter().flat_map(|name| cryptofeed_lines(&text(&folder.join(name)))).collect();
    check(
        "cryptofeed/DERIBIT",
        &Tally::of(&mut deribit(&lines), &lines),
        "140 | 139 | unasked 1 | listed 1017, quote 135",
    );
    let lines = tardis("deribit.json.gz");
    let tally = Tally::of(&mut deribit(&lines), &lines);
    check(
        "tardis_node/deribit",
        &tally,
        "18 | 12 | instrument 3, gap 2, out_of_order 1 | depth 2, quote 7, trade 4",
    );
    let lines = files("deribit");
    check(
        "nautilus/deribit",
        &Tally::of(&mut deribit(&lines), &lines),
        "38 | 8 | malformed 2, unasked 22, instrument 3, gap 1, out_of_order 1, venue 1 | depth 2, listed 3, quote 1, trade 3",
    );
}

#[test]
fn pyth_and_chainlink_frames() {
    let Some(folder) = shared("api_frames_pyth") else { return };
    let hermes = text(&folder.join("hermes_v2_latest_price_update.json"));
    let mut lines = vec![Recorded { at: at(), path: String::new(), frame: hermes }];
    for update in text(&folder.join("accumulator_updates_base64.txt")).split_whitespace() {
        let frame = format!("{{\"binary\":{{\"encoding\":\"base64\",\"data\":[\"{update}\"]}}}}");
        lines.push(Recorded { at: at(), path: String::new(), frame });
    }
    check("api_frames_pyth", &Tally::of(&mut pyth(), &lines), "3 | 2 | unasked 1 | price 5");
    let reports = text(&shared("api_frames_chainlink").unwrap().join("data_streams_full_reports_hex.txt"));
    let reports: Vec<&str> = reports.split_whitespace().collect();
    let mut protocol = chainlink(&reports);
    let times =
        ["2024-06-20T12:00:00Z", "2024-07-30T14:50:00Z", "2024-10-20T16:15:30Z", "2025-07-08T21:25:30Z"];
    let lines: Vec<Recorded> =
        reports.iter().zip(times).map(|(report, time)| envelope(report, time)).collect();
    check("api_frames_chainlink", &Tally::of(&mut protocol, &lines), "4 | 3 | malformed 1 | price 3");
}

/// A report as the stream sends it.
fn envelope(report: &str, time: &str) -> Recorded {
    let feed = plimsoll_feeds::evm::unhex(report)
        .ok()
        .and_then(|b| plimsoll_feeds::chainlink::FullReport::decode(&b).ok());
    let feed: String =
        feed.map_or("00".repeat(32), |full| full.report[..32].iter().map(|b| format!("{b:02x}")).collect());
    let frame = format!(
        "{{\"report\":{{\"feedID\":\"0x{feed}\",\"fullReport\":\"0x{report}\",\"observationsTimestamp\":1}}}}"
    );
    Recorded { at: time.parse().unwrap(), path: String::new(), frame }
}

/// Best prices are streamed beside the changes of the book, with numbers in the same count: what the book shows after a change is
/// what was streamed last up to its number.
#[test]
fn a_book_built_from_changes_shows_the_best_prices_that_are_streamed_beside_it() {
    for (market, name, path) in [
        (Market::UsdM, "binance_usdm_btcusdt_20240808.gz", "/fapi/v1/depth?symbol=BTCUSDT"),
        (Market::Spot, "binance_spot_btcusdt_20240808.gz", "/api/v3/depth?symbol=BTCUSDT"),
    ] {
        let Some(lines) = l2(name, path) else { return };
        let mut best = BTreeMap::new();
        for line in lines.iter().filter(|r| r.frame.contains("@bookTicker")) {
            let data = &serde_json::from_str::<serde_json::Value>(&line.frame).unwrap()["data"];
            let price = |of: &str| data[of].as_str().unwrap().parse::<f64>().unwrap();
            best.insert(data["u"].as_u64().unwrap(), (price("b"), price("a")));
        }
        let (mut protocol, mut equal, mut all) = (binance(market, &["BTCUSDT"]), 0, 0);
        for line in &lines {
            let mut tally = Tally::default();
            tally.take(&mut protocol, line);
            let Some(Reading::Depth(depth)) = tally.said.first().filter(|_| line.path.is_empty()) else {
                continue;
            };
            let data: serde_json::Value = serde_json::from_str(&line.frame).unwrap();
            let number = data["data"]["u"].as_u64().unwrap();
            let Some((_, (bid, ask))) = best.range(..=number).next_back() else { continue };
            all += 1;
            equal += usize::from(depth.spread == (ask - bid) / (0.5 * (bid + ask)));
        }
        println!("{market:?}: {equal} of {all} books show the streamed best prices");
        assert!(all > 3000 && equal == all, "{equal} of {all}");
    }
}

/// Tickers decode to what the reader of files makes of the same bytes.
#[test]
fn tickers_are_what_the_reader_of_market_files_makes_of_them() {
    let Some(folder) = shared("api_frames_cryptofeed") else { return };
    let lines = cryptofeed_lines(&text(&folder.join("DERIBIT.ws.1.0.gz")));
    let mut protocol = deribit(&lines);
    let mut compared = 0;
    for line in lines.iter().filter(|r| r.frame.contains("\"channel\":\"ticker.")) {
        let mut tally = Tally::default();
        tally.take(&mut protocol, line);
        let [Reading::Quote(Quote::Option(quote))] = tally.said.as_slice() else { panic!("{tally:?}") };
        let read = snapshots(Format::TickerJson, line.frame.as_bytes(), "frame", &At::Only).unwrap().snapshot;
        let market = read.underlyings.values().next().unwrap();
        assert_eq!(market.options.as_slice(), std::slice::from_ref(quote));
        compared += 1;
    }
    println!("{compared} tickers compared");
    assert_eq!(compared, 89);
}

/// Any bytes are refused or decoded, and nothing panics: recorded frames cut short and with bytes changed, through every protocol.
#[test]
fn p9_frames_cut_and_changed_anywhere_are_refused_or_decoded() {
    let Some(lines) = l2("binance_usdm_btcusdt_20240808.gz", "/fapi/v1/depth?symbol=BTCUSDT") else { return };
    let mut corpus: Vec<Recorded> = lines.into_iter().step_by(2000).collect();
    corpus.extend(tardis("deribit.json.gz"));
    corpus.extend(tardis("hyperliquid.json.gz"));
    corpus.extend(files("deribit").into_iter().filter(|r| r.frame.len() < 3000));
    let hermes = text(&shared("api_frames_pyth").unwrap().join("hermes_v2_latest_price_update.json"));
    corpus.push(Recorded { at: at(), path: String::new(), frame: hermes });
    let reports = text(&shared("api_frames_chainlink").unwrap().join("data_streams_full_reports_hex.txt"));
    let reports: Vec<&str> = reports.split_whitespace().collect();
    corpus.extend(reports.iter().map(|report| envelope(report, "2024-07-30T14:50:00Z")));
    let mut protocols: Vec<Box<dyn Protocol>> = vec![
        Box::new(deribit(&corpus)),
        Box::new(binance(Market::UsdM, &["BTCUSDT"])),
        Box::new(binance(Market::Spot, &["BTCUSDT"])),
        Box::new(hyperliquid(&["BTC", "FXS", "BANANA"])),
        Box::new(pyth()),
        Box::new(chainlink(&reports)),
    ];
    let (mut seed, mut tried) = (1_u64, 0_u64);
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    for recorded in &corpus {
        for _ in 0..20 {
            let mut bytes = recorded.frame.clone().into_bytes();
            bytes.truncate(1 + next(bytes.len()));
            let mut other = recorded.frame.clone().into_bytes();
            let place = next(other.len());
            other[place] = b"0123456789-+.eE\"{}[],:\\\xff"[next(24)];
            for protocol in &mut protocols {
                for frame in [&bytes, &other] {
                    let _ = protocol.receive(frame, recorded.at, &mut plimsoll_feeds::Turn::default());
                    let _ = protocol.fetched(
                        &recorded.path,
                        frame,
                        recorded.at,
                        &mut plimsoll_feeds::Turn::default(),
                    );
                    tried += 2;
                }
            }
        }
    }
    for deep in
        ["[".repeat(1_000_000), "{\"data\":".repeat(200_000), "{\"data\":[".repeat(200) + &"]}".repeat(200)]
    {
        for protocol in &mut protocols {
            assert!(protocol.receive(deep.as_bytes(), at(), &mut plimsoll_feeds::Turn::default()).is_err());
        }
    }
    println!("{tried} frames tried");
}
