//! What the readers take, and what they answer to files that are not as they should be.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::read::{At, Format, ReadError, ReadOutcome, detect, each, snapshots, write_json};
use plimsoll_types::{Reason, Timestamp};
use std::io::{BufReader, Read};
use std::ops::ControlFlow;

const HEADER: &str = "timestamp,instrument_name,underlying,bid_price,ask_price,mark_price,implied_volatility,\
                      open_interest,index_price,volume\n";
const ROW: &str =
    "2026-01-01T00:00:00+00:00,BTC-27MAR26-100000-C,90500.5,0.01,0.0125,0.0113,0.455,12.5,90000.25,1\n";

fn chain(text: &str, at: &At) -> Result<ReadOutcome, ReadError> {
    snapshots(Format::DeribitChainCsv, text.as_bytes(), "chain.csv", at)
}

fn json(format: Format, text: &str) -> Result<ReadOutcome, ReadError> {
    snapshots(format, text.as_bytes(), "file.json", &At::Only)
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Name, line, field and value of a field error.
fn field(outcome: Result<ReadOutcome, ReadError>) -> (String, u64, String, String) {
    match outcome {
        Err(ReadError::Field { name, line, field, value, .. }) => (name, line, field, value),
        other => panic!("expected a field error, found {other:?}"),
    }
}

#[test]
fn a_chain_row_becomes_a_quote_with_every_number_in_place() {
    let read = chain(&format!("{HEADER}{ROW}"), &At::Only).unwrap();
    let btc = &read.snapshot.underlyings[&"BTC".parse().unwrap()];
    let quote = &btc.options[0];
    assert_eq!(quote.instrument.to_string(), "BTC-27MAR26-100000-C");
    assert_eq!((quote.bid, quote.ask, quote.mark), (Some(0.01), Some(0.0125), Some(0.0113)));
    assert_eq!(
        (quote.mark_vol, quote.forward, quote.open_interest),
        (Some(0.455), Some(90500.5), Some(12.5))
    );
    assert_eq!(btc.index[0].price, 90000.25);
    assert_eq!(read.snapshot.as_of, time("2026-01-01T00:00:00Z"));
    assert_eq!((read.rows, read.snapshots), (1, 1));
}

#[test]
fn columns_are_found_by_name_in_any_order_and_an_empty_price_is_an_absence() {
    let text = "index_price,ask_price,bid_price,mark_price,open_interest,implied_volatility,underlying,extra,\
                instrument_name,timestamp\n3000,0.02,,0.015,0,0.6,3010,x,ETH-27MAR26-3000-P,2026-01-01T00:00:00Z\n";
    let read = chain(text, &At::Only).unwrap();
    let quote = &read.snapshot.underlyings[&"ETH".parse().unwrap()].options[0];
    assert_eq!((quote.bid, quote.ask), (None, Some(0.02)));
}

#[test]
fn the_index_of_a_chain_is_the_median_of_its_rows() {
    let rows: String = [(90000, 88.0), (91000, 90.0), (92000, 89.0)]
        .map(|(strike, index)| {
            format!("2026-01-01T00:00:00Z,BTC-27MAR26-{strike}-C,90,0.1,0.2,0.1,0.5,1,{index},0\n")
        })
        .concat();
    let read = chain(&format!("{HEADER}{rows}"), &At::Only).unwrap();
    assert_eq!(read.snapshot.underlyings[&"BTC".parse().unwrap()].index[0].price, 89.0);
}

#[test]
fn numbers_that_are_not_finite_are_named_with_line_field_and_value() {
    for bad in ["NaN", "nan", "inf", "-inf", "Infinity", "1e400", "0x10", "1,5", "--", "\"0.01\""] {
        let second = ROW.replace("0.0125", bad);
        let outcome = chain(&format!("{HEADER}{ROW}{second}"), &At::Only);
        if bad == "1,5" {
            assert!(matches!(outcome, Err(ReadError::Width { line: 3, found: 11, expected: 10, .. })));
        } else {
            let expected = ("chain.csv".to_owned(), 3, "ask_price".to_owned(), bad.to_owned());
            assert_eq!(field(outcome), expected);
        }
    }
}

#[test]
fn an_empty_file_and_a_lone_header_are_empty() {
    for text in ["", "\n", HEADER] {
        assert!(matches!(chain(text, &At::Only), Err(ReadError::Empty { .. })), "{text:?}");
    }
    assert!(matches!(detect(b"  \n"), Err(ReadError::Empty { .. })));
}

#[test]
fn missing_columns_are_all_named() {
    let header = HEADER.replace("bid_price", "bid").replace("index_price", "index");
    match chain(&format!("{header}{ROW}"), &At::Only) {
        Err(ReadError::Columns { name, line: 1, missing, .. }) => {
            assert_eq!(name, "chain.csv");
            assert_eq!(missing, ["bid_price", "index_price"]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_time_and_a_missing_name_are_field_errors() {
    let outcome = chain(&format!("{HEADER}{}", ROW.replace("2026-01-01T00", "2026-13-01T00")), &At::Only);
    assert_eq!(field(outcome).2, "timestamp");
    let outcome = chain(&format!("{HEADER}{}", ROW.replace("BTC-27MAR26-100000-C", "")), &At::Only);
    assert_eq!(field(outcome).2, "instrument_name");
}

#[test]
fn bytes_that_are_no_text_are_malformed_at_their_line() {
    let mut bytes = format!("{HEADER}{ROW}").into_bytes();
    bytes.extend_from_slice(b"\xff\xfe,a,1,1,1,1,1,1,1,1\n");
    let outcome = snapshots(Format::DeribitChainCsv, &bytes[..], "chain.csv", &At::Only);
    assert!(matches!(outcome, Err(ReadError::Malformed { line: 3, .. })), "{outcome:?}");
}

/// Gives some text, then fails as a decoder does on a stream that was cut off.
struct Cut<'a>(&'a [u8]);

impl Read for Cut<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "incomplete frame"));
        }
        self.0.read(buffer)
    }
}

#[test]
fn a_truncated_stream_is_an_error_with_its_line_in_every_format() {
    let text = format!("{HEADER}{ROW}{ROW}");
    let outcome =
        snapshots(Format::DeribitChainCsv, BufReader::new(Cut(text.as_bytes())), "a.zst", &At::Only);
    match outcome {
        Err(ReadError::Io { name, line, source }) => {
            assert_eq!((name.as_str(), source.to_string().as_str()), ("a.zst", "incomplete frame"));
            assert!(line >= 3, "{line}");
        }
        other => panic!("{other:?}"),
    }
    let text = "{\n\"result\":[\n{\"instrument_name\":\"BTC";
    let outcome = snapshots(Format::BookSummaryJson, BufReader::new(Cut(text.as_bytes())), "b.gz", &At::Only);
    assert!(matches!(outcome, Err(ReadError::Io { line: 3, .. })), "{outcome:?}");
    let outcome = json(Format::BookSummaryJson, text);
    assert!(matches!(outcome, Err(ReadError::Truncated { line: 3, .. })), "{outcome:?}");
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let endless = BufReader::new(std::io::repeat(b'a'));
    let outcome = snapshots(Format::DeribitChainCsv, endless, "huge.csv", &At::Only);
    assert!(matches!(outcome, Err(ReadError::Io { .. })), "{outcome:?}");
    let endless = BufReader::new("{\"as_of\":\"".as_bytes().chain(std::io::repeat(b'a')));
    let outcome = snapshots(Format::SnapshotJson, endless, "huge.json", &At::Only);
    assert!(matches!(outcome, Err(ReadError::Io { .. })), "{outcome:?}");
}

#[test]
fn of_several_snapshots_the_selector_takes_the_one_it_means() {
    let days: String = (1..=4).map(|d| ROW.replace("2026-01-01", &format!("2026-01-0{d}"))).collect();
    let text = format!("{HEADER}{days}");
    match chain(&text, &At::Only) {
        Err(ReadError::Several { count: 4, first, last, .. }) => {
            assert_eq!((first, last), (time("2026-01-01T00:00:00Z"), time("2026-01-04T00:00:00Z")));
        }
        other => panic!("{other:?}"),
    }
    let day = |at| chain(&text, &at).map(|read| read.snapshot.as_of.date().2);
    assert_eq!(day(At::Last).unwrap(), 4);
    assert_eq!(day(At::AtOrBefore(time("2026-01-03T23:59:59Z"))).unwrap(), 3);
    assert_eq!(day(At::Nearest(time("2026-01-02T12:00:00Z"))).unwrap(), 2);
    assert_eq!(day(At::Nearest(time("2026-01-02T12:00:01Z"))).unwrap(), 3);
    assert_eq!(day(At::Nearest(time("2020-01-01T00:00:00Z"))).unwrap(), 1);
    assert!(matches!(day(At::AtOrBefore(time("2025-12-31T00:00:00Z"))), Err(ReadError::NoneAt { .. })));
    let mut seen = Vec::new();
    let visited = each(Format::DeribitChainCsv, text.as_bytes(), "chain.csv", &mut |snapshot, _| {
        seen.push(snapshot.as_of.date().2);
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert_eq!((visited.unwrap(), seen), (3, vec![1, 2, 3]));
}

#[test]
fn a_snapshot_earlier_than_the_one_before_is_out_of_order() {
    let text = format!("{HEADER}{ROW}{}", ROW.replace("2026-01-01", "2025-12-31"));
    assert!(matches!(chain(&text, &At::Last), Err(ReadError::Order { line: 3, .. })));
}

#[test]
fn instruments_of_unknown_form_are_issues_and_not_failures() {
    let combo = ROW.replace("BTC-27MAR26-100000-C", "BTC-CS-27MAR26-90000_100000");
    let read = chain(&format!("{HEADER}{combo}{ROW}{combo}"), &At::Only).unwrap();
    assert_eq!(read.snapshot.underlyings[&"BTC".parse().unwrap()].options.len(), 1);
    let found: Vec<(Reason, &str)> = read.issues.iter().map(|i| (i.reason, i.subject.as_str())).collect();
    assert_eq!(found, [(Reason::UnknownInstrument, "BTC-CS-27MAR26-90000_100000")]);
}

#[test]
fn the_same_instrument_twice_at_one_time_keeps_the_first_and_says_so() {
    let other = ROW.replace("0.0113", "0.0114");
    let read = chain(&format!("{HEADER}{ROW}{ROW}{other}"), &At::Only).unwrap();
    assert_eq!(read.snapshot.underlyings[&"BTC".parse().unwrap()].options[0].mark, Some(0.0113));
    assert_eq!(read.issues.len(), 1);
}

const SUMMARY: &str = r#"{"jsonrpc":"2.0","result":[
 {"instrument_name":"BTC-27MAR26-100000-C","bid_price":0.0105,"ask_price":null,"mark_price":0.0113,"mark_iv":45.5,
  "underlying_price":90500.5,"underlying_index":"BTC-27MAR26","interest_rate":0.0,"open_interest":12.5,
  "creation_timestamp":1767225600000,"estimated_delivery_price":90000.25,"volume_usd":1.0},
 {"instrument_name":"BTC-27MAR26","bid_price":90490.0,"ask_price":90510.0,"mark_price":90500.5,
  "open_interest":1000000,"creation_timestamp":1767225600000,"estimated_delivery_price":90000.25},
 {"instrument_name":"BTC-PERPETUAL","bid_price":89990.0,"ask_price":90010.0,"mark_price":90001.5,"funding_8h":0.0001,
  "open_interest":5000000,"creation_timestamp":1767225600123,"estimated_delivery_price":90000.5},
 {"instrument_name":"BTC-FS-27MAR26_PERP","bid_price":1.0,"creation_timestamp":1767225600000}
],"usIn":1,"usOut":2}"#;

#[test]
fn a_book_summary_has_options_futures_and_perpetuals() {
    assert_eq!(detect(SUMMARY.as_bytes()).unwrap(), Format::BookSummaryJson);
    let read = json(Format::BookSummaryJson, SUMMARY).unwrap();
    let btc = &read.snapshot.underlyings[&"BTC".parse().unwrap()];
    assert_eq!(read.snapshot.as_of, time("2026-01-01T00:00:00.123Z"));
    assert_eq!(
        (btc.options[0].bid, btc.options[0].ask, btc.options[0].mark_vol),
        (Some(0.0105), None, Some(0.455))
    );
    assert_eq!(btc.options[0].forward, Some(90500.5));
    assert_eq!(btc.futures[0].mark, Some(90500.5));
    assert_eq!((btc.perpetuals[0].mark, btc.perpetuals[0].funding_8h), (Some(90001.5), Some(0.0001)));
    assert_eq!(btc.index[0].price, 90000.5);
    assert_eq!(btc.index[0].source, "deribit estimated_delivery_price");
    assert_eq!(read.issues[0].subject, "BTC-FS-27MAR26_PERP");
}

#[test]
fn json_numbers_out_of_range_or_not_numbers_are_named_by_path_and_line() {
    for (bad, shown) in [("1e400", "1e400"), ("\"NaN\"", "NaN"), ("NaN", "NaN"), ("-Infinity", "-Infinity")] {
        let text = SUMMARY.replace("90490.0", bad);
        let (name, line, path, value) = field(json(Format::BookSummaryJson, &text));
        assert_eq!((name.as_str(), line, path.as_str()), ("file.json", 5, "result[1].bid_price"), "{bad}");
        assert_eq!(value, shown);
    }
    let text = SUMMARY.replacen("1767225600000", "\"yesterday\"", 1);
    assert_eq!(field(json(Format::BookSummaryJson, &text)).2, "result[0].creation_timestamp");
}

#[test]
fn a_reply_without_quotes_is_empty() {
    for text in [r#"{"error":{"code":-32602}}"#, r#"{"result":[]}"#, "[]"] {
        assert!(matches!(json(Format::BookSummaryJson, text), Err(ReadError::Empty { .. })), "{text}");
    }
    assert!(json(Format::BookSummaryJson, r#"{"result":7}"#).is_err());
}

#[test]
fn tickers_come_as_replies_messages_lines_or_arrays() {
    let option = r#"{"instrument_name":"BTC-22MAY20-9250-P","timestamp":1590103193775,"underlying_price":9096.11,
        "underlying_index":"SYN.BTC-22MAY20","index_price":9095.83,"mark_price":0.02124908,"mark_iv":85.05,
        "best_bid_price":0.02,"best_bid_amount":9.0,"best_ask_price":0.0,"best_ask_amount":0.0,
        "open_interest":418.9,"greeks":{"delta":-0.73}}"#;
    let reply = format!("{{\"jsonrpc\":\"2.0\",\"result\":{option}}}");
    let message =
        format!("{{\"method\":\"subscription\",\"params\":{{\"channel\":\"x\",\"data\":{option}}}}}");
    for text in [
        reply.clone(),
        message.clone(),
        format!("[{reply},{message}]"),
        format!("{reply}\n{message}\n"),
        option.to_owned(),
    ] {
        assert_eq!(detect(text.as_bytes()).unwrap(), Format::TickerJson);
        let read = json(Format::TickerJson, &text).unwrap();
        let btc = &read.snapshot.underlyings[&"BTC".parse().unwrap()];
        assert_eq!(btc.options.len(), 1);
        assert_eq!((btc.options[0].bid, btc.options[0].ask), (Some(0.02), None));
        assert_eq!((btc.options[0].mark_vol, btc.index[0].price), (Some(85.05 / 100.0), 9095.83));
    }
}

#[test]
fn a_ticker_without_a_time_is_refused() {
    let text = r#"{"result":{"instrument_name":"BTC-PERPETUAL","index_price":1.0}}"#;
    let Err(ReadError::Missing { field, .. }) = json(Format::TickerJson, text) else {
        panic!("expected a missing field")
    };
    assert_eq!(field, "result.timestamp");
}

const TARDIS: &str = "exchange,symbol,timestamp,local_timestamp,type,strike_price,expiration,open_interest,\
last_price,bid_price,bid_amount,bid_iv,ask_price,ask_amount,ask_iv,mark_price,mark_iv,underlying_index,\
underlying_price,delta,gamma,vega,theta,rho
deribit,BTC-9JUN20-9875-P,1591574399413000,1,put,9875,1591689600000000,0.1,0.0295,0.0205,15.1,55.91,0.0235,15.2,\
68.94,0.02210436,62.89,SYN.BTC-9JUN20,9756.36,-0.6,0.001,2.2,-53,-0.2
deribit,BTC-9JUN20-9875-P,1591574404454000,2,put,9875,1591689600000000,0.1,0.0295,0.0206,16.0,55.92,,,,\
0.02209480,62.86,SYN.BTC-9JUN20,9756.37,-0.6,0.001,2.2,-53,-0.2
deribit,BTC-9JUN20-10000-C,1591574405454000,3,call,10000,1591689600000000,0.2,0.031,0.0,0.0,,0.0325,5.5,61.10,0.0315,\
58.10,SYN.BTC-9JUN20,9756.40,0.4,0.001,2.1,-43,0.1
";

#[test]
fn a_tardis_stream_is_the_last_row_of_each_symbol_at_the_time_asked() {
    assert_eq!(detect(TARDIS.as_bytes()).unwrap(), Format::TardisCsv);
    let read = |at| snapshots(Format::TardisCsv, TARDIS.as_bytes(), "t.csv", &at);
    let end = read(At::Only).unwrap();
    let btc = &end.snapshot.underlyings[&"BTC".parse().unwrap()];
    let by_name = |name: &str| btc.options.iter().find(|q| q.instrument.to_string() == name).unwrap();
    let put = by_name("BTC-9JUN20-9875-P");
    assert_eq!((put.bid, put.ask, put.mark_vol), (Some(0.0206), None, Some(0.6286)));
    assert_eq!(by_name("BTC-9JUN20-10000-C").bid, None);
    assert_eq!(end.snapshot.as_of, Timestamp::from_micros(1_591_574_405_454_000).unwrap());
    let early = read(At::AtOrBefore(Timestamp::from_micros(1_591_574_400_000_000).unwrap())).unwrap();
    assert_eq!(early.snapshot.underlyings[&"BTC".parse().unwrap()].options[0].bid, Some(0.0205));
    assert!(matches!(read(At::AtOrBefore(Timestamp::from_seconds(1))), Err(ReadError::NoneAt { .. })));
}

#[test]
fn an_index_taken_from_the_nearest_forward_says_so_twice() {
    let end = snapshots(Format::TardisCsv, TARDIS.as_bytes(), "t.csv", &At::Last).unwrap();
    let index = &end.snapshot.underlyings[&"BTC".parse().unwrap()].index[0];
    assert_eq!(index.price, 9756.40);
    assert!(index.source.contains("no index stated"), "{}", index.source);
    assert_eq!(end.issues[0].reason, Reason::MissingIndex);
}

#[test]
fn our_own_form_reads_back_to_the_same_bits() {
    let read = json(Format::BookSummaryJson, SUMMARY).unwrap();
    let text = write_json(&read.snapshot);
    assert_eq!(detect(text.as_bytes()).unwrap(), Format::SnapshotJson);
    let again = json(Format::SnapshotJson, &text).unwrap();
    assert_eq!(again.snapshot, read.snapshot);
}

#[test]
fn our_own_form_refuses_unknown_fields_and_wrong_types_by_path() {
    let good = write_json(&json(Format::BookSummaryJson, SUMMARY).unwrap().snapshot);
    let bad = good.replacen("\"mark_vol\": 0.455", "\"mark_vol\": \"high\"", 1);
    let (_, _, path, value) = field(json(Format::SnapshotJson, &bad));
    assert_eq!((path.as_str(), value.as_str()), ("underlyings.BTC.options[0].mark_vol", "high"));
    let bad = good.replacen("\"mark_vol\"", "\"mark_volatility\"", 1);
    let Err(ReadError::Unknown { field: path, known, .. }) = json(Format::SnapshotJson, &bad) else {
        panic!("expected an unknown field")
    };
    assert_eq!(path, "underlyings.BTC.options[0].mark_volatility");
    assert!(known.contains(&"mark_vol".to_owned()) && known.len() == 8, "{known:?}");
    let bad = good.replacen("BTC-27MAR26-100000-C", "BTC-27MAR26-100000-X", 1);
    assert!(field(json(Format::SnapshotJson, &bad)).2.ends_with("instrument"));
    let bad = good.replacen("0.455", "1e400", 1);
    assert_eq!(field(json(Format::SnapshotJson, &bad)).3, "1e400");
}

#[test]
fn the_form_is_told_from_the_first_bytes() {
    assert_eq!(detect(HEADER.as_bytes()).unwrap(), Format::DeribitChainCsv);
    assert_eq!(detect(format!("\u{feff}{HEADER}").as_bytes()).unwrap(), Format::DeribitChainCsv);
    assert!(matches!(detect(b"a,b,c\n1,2,3\n"), Err(ReadError::UnknownFormat { .. })));
    assert!(matches!(detect(b"{\"x\":1}"), Err(ReadError::UnknownFormat { .. })));
    assert!(matches!(detect(&[0x28, 0xb5, 0x2f, 0xfd]), Err(ReadError::UnknownFormat { .. })));
}

#[test]
fn what_is_of_no_known_form_says_which_columns_it_lacks_of_the_nearest() {
    let refused = detect(b"timestamp,instrument_name,mark_price\r\n1,2,3\r\n").unwrap_err().to_string();
    let lacks = "for a Deribit chain CSV it lacks the columns underlying, bid_price, ask_price, implied_volatility, open_interest, index_price";
    assert!(refused.contains(lacks), "{refused}");
    let refused = detect(b"symbol,timestamp,bid_price,ask_price,mark_price,underlying_price,open_interest\n");
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("for a tardis options_chain CSV it lacks the column mark_iv"), "{refused}");
    let refused = detect(b"a,b\n").unwrap_err().to_string();
    assert!(refused.contains("starts `a,b`:"), "{refused}");
}

#[test]
fn lines_are_counted_alike_however_they_end() {
    for (from, to) in [("0.0113", "abc"), (",90000.25,1", "")] {
        let text = format!("{HEADER}{ROW}{ROW}{}", ROW.replace(from, to));
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let refused = chain(&text, &At::Only).unwrap_err().to_string();
            assert!(refused.contains("line 4:"), "{text:?}: {refused}");
        }
    }
}
