//! What our own JSON and the tables refuse or report, and where they say it is.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use plimsoll_market::read::{At, Format, ReadError, ReadOutcome, snapshots};
use plimsoll_types::Reason;

const INDEX: &str = r#"{"price": 100000, "source": "a", "time": "2026-01-15T10:00:00Z"}"#;
const OPTION: &str =
    r#"{"instrument": "BTC-27MAR26-100000-C", "mark": 0.05, "time": "2026-01-15T10:00:00Z"}"#;

fn document(index: &str, options: &str) -> String {
    format!(
        "{{\"as_of\": \"2026-01-15T10:00:00Z\",\n \"underlyings\": {{\"BTC\": {{\"index\": [{index}],\n  \
         \"options\": [{options}]}}}}}}\n"
    )
}

fn read(text: &str) -> Result<ReadOutcome, ReadError> {
    snapshots(Format::SnapshotJson, text.as_bytes(), "m.json", &At::Only)
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

/// The issues of a document, and how many options are left.
fn reported(options: &str) -> (Vec<(Reason, String)>, usize) {
    let outcome = read(&document(INDEX, options)).unwrap();
    let left = outcome.snapshot.underlyings.values().map(|m| m.options.len()).sum();
    (outcome.issues.into_iter().map(|i| (i.reason, i.subject)).collect(), left)
}

#[test]
fn a_missing_field_is_named_with_its_path_and_what_else_there_may_be() {
    assert_eq!(
        refusal(r#"{"underlyings": {}, "assets": {}}"#),
        "m.json: line 1: as_of is missing: expected it beside as_of, underlyings, assets"
    );
    let (no_time, later) = (INDEX.replace(", \"time\": \"2026-01-15T10:00:00Z\"", ""), INDEX);
    for index in [no_time.clone(), format!("{later}, {no_time}"), format!("{later},{no_time} , {later}")] {
        let at = usize::from(index.starts_with(later));
        let said = refusal(&document(&index, OPTION));
        let expected = format!(
            "m.json: line 2: underlyings.BTC.index[{at}].time is missing: expected it beside price, confidence, \
             source, time"
        );
        assert_eq!(said, expected);
    }
    let said = refusal(r#"{"as_of": "2026-01-15T10:00:00Z", "underlyings": {"BTC": {"options": []}}}"#);
    assert!(said.contains("underlyings.BTC.index is missing: expected it beside index, forwards,"), "{said}");
}

#[test]
fn an_unknown_field_is_named_with_its_path_and_the_known_ones() {
    let good = document(INDEX, OPTION);
    let said = refusal(&good.replacen("\"as_of\"", "\"foo\": 1, \"as_of\"", 1));
    assert_eq!(said, "m.json: line 1: foo is not known: expected one of as_of, underlyings, assets");
    let said = refusal(&good.replacen("\"mark\"", "\"marc\"", 1));
    assert!(said.starts_with("m.json: line 3: underlyings.BTC.options[0].marc is not known"), "{said}");
}

#[test]
fn a_value_is_shown_only_where_it_is_the_one_meant() {
    let said = refusal(&document(&INDEX.replace("100000", "{\"x\": 1}"), OPTION));
    assert!(said.contains("underlyings.BTC.index[0].price is `map`: expected"), "{said}");
    let said = refusal(&document(INDEX, "5"));
    assert!(said.contains("underlyings.BTC.options[0] is `5`: expected"), "{said}");
    let said = refusal(&document(&INDEX.replace("100000", "\"high\""), OPTION));
    assert!(said.contains("underlyings.BTC.index[0].price is `high`: expected f64"), "{said}");
    let said = refusal(&document(&INDEX.replace("100000", "null"), OPTION));
    assert!(said.contains("underlyings.BTC.index[0].price is `null`: expected f64"), "{said}");
}

#[test]
fn a_name_that_is_there_twice_is_refused() {
    let market = format!("{{\"index\": [{INDEX}]}}");
    let time = "\"as_of\": \"2026-01-15T10:00:00Z\"";
    let said = refusal(&format!("{{{time}, \"underlyings\": {{\"BTC\": {market}, \"BTC\": {market}}}}}"));
    assert_eq!(said, "m.json: line 1: underlyings.BTC is `BTC`: expected this name once");
    let assets = format!("\"assets\": {{\"ETH\": {INDEX}, \"USDC\": {INDEX}, \"ETH\": {INDEX}}}");
    let said = refusal(&format!("{{{time}, \"underlyings\": {{}}, {assets}}}"));
    assert_eq!(said, "m.json: line 1: assets.ETH is `ETH`: expected this name once");
    let said = refusal(&format!("{{{time}, {time}, \"underlyings\": {{}}}}"));
    assert_eq!(said, "m.json: line 1: as_of is `as_of`: expected this name once");
}

#[test]
fn an_instrument_under_another_name_or_twice_is_reported_and_left_out() {
    assert_eq!(reported(OPTION), (vec![], 1));
    let ether = OPTION.replace("BTC-", "ETH-");
    let subject = "ETH-27MAR26-100000-C under BTC.options".to_owned();
    assert_eq!(reported(&format!("{OPTION}, {ether}")), (vec![(Reason::UnknownInstrument, subject)], 1));
    let future = OPTION.replace("-100000-C", "");
    let subject = "BTC-27MAR26 under BTC.options".to_owned();
    assert_eq!(reported(&future), (vec![(Reason::UnknownInstrument, subject)], 0));
    let again = OPTION.replace("0.05", "0.2");
    let subject = "BTC-27MAR26-100000-C twice at one time".to_owned();
    assert_eq!(reported(&format!("{OPTION}, {again}")), (vec![(Reason::Outlier, subject)], 1));
}

const HEADER: &str = "timestamp,instrument_name,underlying,bid_price,ask_price,mark_price,implied_volatility,\
                      open_interest,index_price";

fn chain(bytes: &[u8]) -> String {
    snapshots(Format::DeribitChainCsv, bytes, "c.csv", &At::Only).unwrap_err().to_string()
}

#[test]
fn a_column_that_is_there_twice_is_refused() {
    let said = chain(format!("{HEADER},mark_price\n").as_bytes());
    assert_eq!(said, "c.csv: line 1: column mark_price twice: expected each column once");
}

#[test]
fn bytes_that_are_no_text_are_named_by_field_and_line() {
    let mut bytes = format!("{HEADER}\n2026-01-01T00:00:00Z,BTC-").into_bytes();
    bytes.extend([0xFF, b'X']);
    bytes.extend(b",1,1,1,1,1,1,1\n");
    assert_eq!(chain(&bytes), "c.csv: line 2: instrument_name is not UTF-8 after 4 bytes");
}
