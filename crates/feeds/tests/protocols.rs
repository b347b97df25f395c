//! What each protocol asks for, answers and says, frame by frame; and recordings told again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::indexing_slicing, clippy::print_stdout, reason = "a test prints what it counted")]

mod common;

use common::*;
use plimsoll_feeds::binance::Market;
use plimsoll_feeds::deribit::{Deribit, Wanted};
use plimsoll_feeds::link::{Counters, play};
use plimsoll_feeds::replay::{self, Frames, Named, Pace};
use plimsoll_feeds::{Ask, Number, Protocol, Quote, Reading, Reason, Turn};
use plimsoll_market::read::{At, Format, snapshots};
use plimsoll_types::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

mod server;

/// What a frame comes to.
fn hear(protocol: &mut dyn Protocol, frame: &Value, at: Timestamp) -> (Result<(), Reason>, Turn) {
    let mut turn = Turn::default();
    let taken = protocol.receive(frame.to_string().as_bytes(), at, &mut turn);
    (taken.map_err(|r| r.reason), turn)
}

fn sent(turn: &Turn) -> Vec<Value> {
    let text = |ask: &Ask| match ask {
        Ask::Send(text) => serde_json::from_str(text).ok(),
        Ask::Fetch(_) => None,
    };
    turn.asks.iter().filter_map(text).collect()
}

fn wanted() -> Wanted {
    Wanted {
        indices: [("btc_usd".to_owned(), (asset("BTC"), asset("USD")))].into(),
        currencies: ["BTC".to_owned()].into(),
        tickers: ["BTC-PERPETUAL".parse().unwrap()].into(),
        summary_seconds: 10,
        band: 0.01,
        ..Wanted::default()
    }
}

fn index(millis: i64, price: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": "deribit_price_index.btc_usd",
        "data": { "timestamp": millis, "price": price, "index_name": "btc_usd" } } })
}

#[test]
fn deribit_asks_for_heartbeats_instruments_channels_and_summaries_and_answers_tests() {
    let (mut deribit, mut turn) = (Deribit::new(wanted()), Turn::default());
    deribit.open(at(), &mut turn);
    let asked = sent(&turn);
    let methods: Vec<&str> = asked.iter().map(|m| m["method"].as_str().unwrap()).collect();
    let expected = ["set_heartbeat", "get_instruments", "subscribe", "get_book_summary_by_currency"];
    assert_eq!(methods, expected.map(|m| format!("public/{m}")));
    assert_eq!(
        asked[2]["params"]["channels"],
        json!(["deribit_price_index.btc_usd", "ticker.BTC-PERPETUAL.100ms", "instrument.state.any.BTC"])
    );
    let test = json!({ "jsonrpc": "2.0", "method": "heartbeat", "params": { "type": "test_request" } });
    let (taken, turn) = hear(&mut deribit, &test, at());
    assert_eq!((taken, sent(&turn)[0]["method"].as_str()), (Ok(()), Some("public/test")));
    // A channel that was asked for and is not given is the venue's refusal.
    let reply = json!({ "jsonrpc": "2.0", "id": asked[2]["id"], "result": ["deribit_price_index.btc_usd"] });
    assert_eq!(hear(&mut deribit, &reply, at()).0, Err(Reason::Venue));
    assert_eq!(hear(&mut deribit, &reply, at()).0, Err(Reason::Unasked), "a reply is to one call");
    let error =
        json!({ "jsonrpc": "2.0", "id": 99, "error": { "code": 10028, "message": "too_many_requests" } });
    assert_eq!(hear(&mut deribit, &error, at()).0, Err(Reason::Venue));
    let mut turn = Turn::default();
    deribit.tick(at().plus_seconds(9), &mut turn);
    assert!(turn.asks.is_empty());
    deribit.tick(at().plus_seconds(10), &mut turn);
    assert_eq!(sent(&turn)[0]["method"], "public/get_book_summary_by_currency");
}

#[test]
fn a_summary_of_deribit_is_a_chain() {
    let (mut deribit, mut turn) = (Deribit::new(wanted()), Turn::default());
    deribit.open(at(), &mut turn);
    let row = |name: &str, mark: f64| {
        json!({ "instrument_name": name, "creation_timestamp": 1_767_225_600_000_i64, "bid_price": null, "ask_price": 0.02,
            "mark_price": mark, "mark_iv": 55.5, "underlying_price": 90_000.5, "open_interest": 12.5, "base_currency": "BTC" })
    };
    let rows = json!([
        row("BTC-27MAR26-100000-C", 0.015),
        row("BTC-27MAR26", 90_500.0),
        row("BTC-FS-27MAR26_PERP", 1.0)
    ]);
    let reply = json!({ "jsonrpc": "2.0", "id": sent(&turn)[3]["id"], "result": rows });
    let (taken, turn) = hear(&mut deribit, &reply, at());
    assert_eq!((taken, turn.readings.len()), (Err(Reason::Instrument), 2), "what is known of a reply stands");
    let Reading::Quote(Quote::Option(quote)) = &turn.readings[0] else { panic!("{turn:?}") };
    assert_eq!(
        (quote.bid, quote.ask, quote.mark, quote.mark_vol),
        (None, Some(0.02), Some(0.015), Some(0.555))
    );
    assert_eq!((quote.forward, quote.open_interest, quote.time), (Some(90_000.5), Some(12.5), at()));
}

#[test]
fn an_index_keeps_its_digits_its_order_and_its_signs_of_life() {
    let mut deribit = Deribit::new(wanted());
    let start = 1_767_225_600_000;
    let (_, turn) = hear(&mut deribit, &index(start, &json!(90_123.45)), at());
    let Reading::Price(price) = &turn.readings[0] else { panic!("{turn:?}") };
    assert_eq!(price.price, Number { mantissa: 9_012_345, exponent: -2 });
    assert_eq!((price.time, price.sequence, price.quote.as_str()), (at(), 1_767_225_600_000, "USD"));
    assert_eq!(hear(&mut deribit, &index(start, &json!(90_123.46)), at()).0, Err(Reason::Duplicate));
    assert_eq!(hear(&mut deribit, &index(start - 1, &json!(90_123.45)), at()).0, Err(Reason::OutOfOrder));
    assert_eq!(hear(&mut deribit, &index(-1, &json!(90_123.45)), at()).0, Err(Reason::Time));
    let beat = json!({ "jsonrpc": "2.0", "method": "heartbeat", "params": { "type": "heartbeat" } });
    let (_, turn) = hear(&mut deribit, &beat, at().plus_seconds(1));
    assert_eq!(turn.readings, [Reading::Alive { asset: asset("BTC"), time: at().plus_seconds(1) }]);
    let (_, turn) = hear(&mut Deribit::new(wanted()), &beat, at());
    assert!(turn.readings.is_empty(), "what has said nothing has nothing that holds");
}

#[test]
fn deribit_says_what_is_newly_traded_and_what_no_longer() {
    let mut deribit = Deribit::new(wanted());
    for (state, active) in [("created", false), ("started", true), ("settled", false), ("closed", false)] {
        let frame = json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": "instrument.state.any.BTC",
            "data": { "timestamp": 1_767_225_600_000_i64, "state": state, "instrument_name": "BTC-27MAR26-100000-C" } } });
        let instrument = "BTC-27MAR26-100000-C".parse().unwrap();
        let (taken, turn) = hear(&mut deribit, &frame, at());
        assert_eq!((taken, turn.readings), (Ok(()), vec![Reading::Listed { instrument, active }]), "{state}");
    }
}

#[test]
fn f09_numbers_that_are_none_are_refused_by_every_protocol() {
    for text in [
        "1e400",
        "-0.0",
        "\"NaN\"",
        "\"Infinity\"",
        "null",
        "true",
        "\"\"",
        "{}",
        "[1]",
        "123456789012345678901234567890",
    ] {
        let frame = index(1_767_225_600_000, &json!(1))
            .to_string()
            .replace("\"price\":1", &format!("\"price\":{text}"));
        let mut turn = Turn::default();
        let refused = Deribit::new(wanted()).receive(frame.as_bytes(), at(), &mut turn).map_err(|r| r.reason);
        assert_eq!((refused, turn.readings.len()), (Err(Reason::Number), 0), "{text}");
        let mark =
            r#"{"e":"markPriceUpdate","E":1767225600000,"s":"BTCUSDT","p":"1","i":PRICE,"r":"0","T":0}"#
                .replace("PRICE", text);
        let mut turn = Turn::default();
        let refused = binance(Market::UsdM, &["BTCUSDT"])
            .receive(mark.as_bytes(), at(), &mut turn)
            .map_err(|r| r.reason);
        let prices = turn.readings.iter().filter(|r| matches!(r, Reading::Price(_))).count();
        // An index that is null is one that is not stated.
        assert_eq!(
            (refused, prices),
            (if text == "null" { Ok(()) } else { Err(Reason::Number) }, 0),
            "{text}"
        );
    }
}

#[test]
fn an_oracle_price_that_has_not_changed_is_a_sign_of_life() {
    let mut protocol = hyperliquid(&["BTC"]);
    let context = |oracle: &str| {
        json!({ "channel": "activeAssetCtx", "data": { "coin": "BTC", "ctx": { "funding": "0.0000125", "openInterest": "27353.1",
            "oraclePx": oracle, "markPx": "77562.0" } } })
    };
    let (_, first) = hear(&mut protocol, &context("77605.0"), at());
    let (_, again) = hear(&mut protocol, &context("77605.0"), at().plus_seconds(1));
    let (_, moved) = hear(&mut protocol, &context("77606.5"), at().plus_seconds(2));
    let Reading::Price(price) = &first.readings[0] else { panic!("{first:?}") };
    assert_eq!((price.price, price.time), (Number { mantissa: 77_605, exponent: 0 }, at()));
    assert_eq!(again.readings[0], Reading::Alive { asset: asset("BTC"), time: at().plus_seconds(1) });
    let Reading::Price(price) = &moved.readings[0] else { panic!("{moved:?}") };
    assert_eq!(price.price, Number { mantissa: 776_065, exponent: -1 });
    let Reading::Quote(Quote::Perpetual(quote)) = &moved.readings[1] else { panic!("{moved:?}") };
    assert_eq!(
        (quote.mark, quote.funding_8h, quote.open_interest),
        (Some(77_562.0), Some(0.0001), Some(27_353.1))
    );
    let mut turn = Turn::default();
    protocol.open(at(), &mut turn);
    let subscribed: Vec<Value> = sent(&turn).iter().map(|m| m["subscription"]["type"].clone()).collect();
    assert_eq!(subscribed, ["l2Book", "activeAssetCtx", "bbo", "trades"]);
    let mut turn = Turn::default();
    protocol.tick(at().plus_seconds(30), &mut turn);
    assert_eq!(sent(&turn), [json!({ "method": "ping" })]);
}

#[test]
fn a_mark_of_binance_is_an_index_and_a_quote_with_funding_by_eight_hours() {
    let mut four = symbol("BTCUSDT");
    four.funding_hours = 4;
    let mut protocol = plimsoll_feeds::binance::Binance::new(Market::UsdM, vec![four], 0.01);
    let mark = json!({ "e": "markPriceUpdate", "E": 1_562_305_380_000_i64, "s": "BTCUSDT", "p": "11794.15000000", "i": "11784.62659091",
        "P": "11784.25641265", "r": "0.00038167", "T": 1_562_306_400_000_i64 });
    let (taken, turn) = hear(&mut protocol, &mark, at());
    let [Reading::Quote(Quote::Perpetual(quote)), Reading::Price(price)] = turn.readings.as_slice() else {
        panic!("{turn:?}")
    };
    assert_eq!((taken, quote.mark, quote.funding_8h), (Ok(()), Some(11_794.15), Some(0.00076334)));
    assert_eq!(
        (price.price, price.quote.as_str()),
        (Number { mantissa: 1_178_462_659_091, exponent: -8 }, "USDT")
    );
    assert_eq!(hear(&mut protocol, &mark, at()).0, Err(Reason::Duplicate));
}

/// A clock that stands where it was set, and sleeps of no length: what is waited for is counted.
fn standing(seconds: i64) -> plimsoll_feeds::link::Outside {
    let now = at().plus_seconds(seconds);
    plimsoll_feeds::link::Outside { clock: Arc::new(move || now), ..server::outside() }
}

#[tokio::test]
async fn frames_told_again_say_what_they_said() {
    let Some(folder) = shared("l2_raw_feeds") else { return };
    let text = text(&folder.join("hyperliquid_btcusd_20250126.gz"));
    let once = Tally::of(&mut hyperliquid(&["BTC"]), &raw_lines(&text, "")).said;
    let frames = Frames::new(hyperliquid(&["BTC"]), text.as_bytes());
    let (counters, mut said) = (Counters::default(), Vec::new());
    let (_stop, stopped) = watch::channel(false);
    let mut sink = |reading| {
        said.push(reading);
        true
    };
    play(frames, (f64::INFINITY, false), &standing(0), &counters, &mut sink, stopped).await.unwrap();
    assert_eq!(said, once);
    assert_eq!((counters.count().frames, counters.count().readings as usize), (55, once.len()));
}

#[tokio::test]
async fn a_recording_takes_as_long_as_its_speed_says_and_stops_when_it_is_told() {
    let Some(folder) = shared("l2_raw_feeds") else { return };
    let text = text(&folder.join("hyperliquid_btcusd_20250126.gz"));
    let lines = raw_lines(&text, "");
    let recorded = lines[0].at.seconds_until(lines[54].at);
    let told = |speed| {
        let frames = Frames::new(hyperliquid(&["BTC"]), text.as_bytes().to_vec().leak() as &[u8]);
        async move {
            let start = tokio::time::Instant::now();
            let now = move || {
                Timestamp::from_nanos(at().nanos() + i64::try_from(start.elapsed().as_nanos()).unwrap())
            };
            let outside = plimsoll_feeds::link::Outside { clock: Arc::new(now), ..server::outside() };
            let (stop, stopped) = watch::channel(false);
            let playing = tokio::spawn(async move {
                let counters = Counters::default();
                play(frames, (speed, true), &outside, &counters, &mut |_| true, stopped).await.unwrap();
                counters.count().frames
            });
            if speed < 1.0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                stop.send(true).unwrap();
            }
            let frames = playing.await.unwrap();
            (frames, start.elapsed().as_secs_f64())
        }
    };
    let (frames, took) = told(recorded * 5.0).await;
    assert!(frames == 55 && took > 0.19 && took < 2.0, "{frames} frames in {took} s of {recorded}");
    let (frames, took) = told(0.001).await;
    assert!(frames < 55 && took < 1.0, "{frames} frames in {took} s");
    assert!(Pace::new(at(), at(), 0.0).is_err() && Pace::new(at(), at(), f64::NAN).is_err());
}

#[test]
fn times_of_a_recording_are_moved_to_those_at_which_it_is_told() {
    let pace = Pace::new(at(), at().plus_seconds(1000), 10.0).unwrap();
    assert_eq!(pace.due(at().plus_seconds(50)), at().plus_seconds(1005));
    assert_eq!(pace.wait(at().plus_seconds(50), at().plus_seconds(1003)), Duration::from_secs(2));
    assert_eq!(pace.wait(at(), at().plus_seconds(2000)), Duration::ZERO);
    let alive = |time| Reading::Alive { asset: asset("BTC"), time };
    assert_eq!(pace.moved(alive(at().plus_seconds(50))), alive(at().plus_seconds(1005)));
}

fn table(name: &str) -> Option<String> {
    Some(text(&shared("api_frames_nautilus")?.join("tardis").join(name)))
}

#[test]
fn tables_of_tardis_are_told_row_by_row() {
    let Some(chain) = table("options_chain.csv") else { return };
    let rows: Vec<_> =
        replay::csv(chain.as_bytes(), BTreeMap::new(), 0.01).unwrap().collect::<Result<_, _>>().unwrap();
    let quotes: Vec<&Quote> = rows
        .iter()
        .flat_map(|said| &said.readings)
        .map(|r| if let Reading::Quote(q) = r { q } else { panic!() })
        .collect();
    assert_eq!(quotes.len(), chain.lines().count() - 1);
    // The last row of each symbol is what the reader of market files makes of the whole.
    let read =
        snapshots(Format::TardisCsv, chain.as_bytes(), "options_chain.csv", &At::Last).unwrap().snapshot;
    let last: BTreeMap<_, _> = quotes.iter().map(|q| (q.instrument().clone(), (*q).clone())).collect();
    let options = read.underlyings.values().flat_map(|market| &market.options);
    let compared =
        options.map(|option| assert_eq!(last[&option.instrument], Quote::Option(option.clone()))).count();
    assert_eq!(compared, last.len());
    // These are dated in nanoseconds where tardis has microseconds: fifty thousand years from now.
    for name in ["csv/deltas_1.csv", "csv/trades_1.csv"] {
        let text = table(name).unwrap();
        for row in replay::csv(text.as_bytes(), BTreeMap::new(), 0.01).unwrap() {
            assert_eq!(row.map_err(|r| r.reason).unwrap_err(), Reason::Time, "{name}");
        }
    }
}

#[test]
fn books_trades_and_tickers_of_tardis_are_told_with_the_names_that_are_given() {
    let Some(deltas) = table("csv/deltas_with_snapshot.csv") else { return };
    // Nanoseconds, of nineteen digits, to the microseconds that they should be.
    let field = |field: &str| if field.len() == 19 { field[..16].to_owned() } else { field.to_owned() };
    let line = |line: &str| line.split(',').map(field).collect::<Vec<_>>().join(",");
    let micros = |text: &str| text.lines().map(line).collect::<Vec<_>>().join("\n");
    let named = |instrument: Option<&str>| Named {
        asset: asset("BTC"),
        quote: asset("USD"),
        instrument: instrument.map(|name| name.parse().unwrap()),
    };
    let names: BTreeMap<String, Named> =
        [("BTCUSDT".to_owned(), named(None)), ("XBTUSD".to_owned(), named(Some("BTC-PERPETUAL")))].into();
    let told = |text: &str| -> Vec<Reading> {
        replay::csv(micros(text).as_bytes(), names.clone(), 0.01)
            .unwrap()
            .flat_map(|said| said.unwrap().readings)
            .collect()
    };
    let depths: Vec<f64> = told(&deltas)
        .iter()
        .map(|r| if let Reading::Depth(d) = r { d.depth } else { panic!("{r:?}") })
        .collect();
    println!("{depths:?}");
    assert_eq!(depths[..3], [0.0, 50_000.0, 50_000.0 + 0.5 * 49_999.0]);
    let [Reading::Trade(trade), _] = &told(&table("csv/trades_1.csv").unwrap())[..] else { panic!() };
    assert_eq!(
        (trade.price, trade.amount),
        (Number { mantissa: 85_315, exponent: -1 }, Number { mantissa: -2152, exponent: 0 })
    );
    let ticker = told(&table("csv/derivative_ticker_1.csv").unwrap());
    let [Reading::Price(price), Reading::Quote(Quote::Perpetual(quote)), ..] = &ticker[..] else {
        panic!("{ticker:?}")
    };
    assert_eq!(
        (price.price, quote.mark, quote.funding_8h),
        (Number { mantissa: 9500, exponent: 0 }, Some(9500.25), Some(0.0001))
    );
    assert!(matches!(
        replay::csv("a,b\n".as_bytes(), BTreeMap::new(), 0.01).err().map(|r| r.reason),
        Some(Reason::Version)
    ));
}

#[test]
fn a_market_file_is_told_snapshot_by_snapshot() {
    let text = r#"{"as_of":"2026-01-01T00:00:00Z","underlyings":{"BTC":{"index":[
        {"price":90000.25,"source":"example","time":"2026-01-01T00:00:00Z"}],"perpetuals":[
        {"instrument":"BTC-PERPETUAL","mark":90010.5,"time":"2026-01-01T00:00:00Z"}]}}}"#;
    let read = snapshots(Format::SnapshotJson, text.as_bytes(), "example.json", &At::Only).unwrap().snapshot;
    let said = replay::of_snapshot(&read, &asset("USD")).unwrap();
    let [Reading::Price(price), Reading::Quote(quote)] = &said.readings[..] else { panic!("{said:?}") };
    assert_eq!((said.at, price.price), (at(), Number { mantissa: 9_000_025, exponent: -2 }));
    assert_eq!(quote.instrument().to_string(), "BTC-PERPETUAL");
}
