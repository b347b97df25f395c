//! What bad input gets: a sentence that names file, line, field, value and what was expected, and nothing written.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::excessive_precision,
    reason = "tests panic to fail, say what they skip, and keep the digits of references"
)]

mod common;

use common::{BOOK, file, market, run, run_with};

const HEADER: &str = "account,instrument,quantity\n";

fn positions(text: &str) -> common::Run {
    run(&["margin", "--market", market(), "--positions", &file("positions.csv", text)])
}

#[test]
fn a_malformed_row_is_named_by_file_line_field_value_and_what_was_expected() {
    let cases = [
        ("a,BTC,NaN", "quantity", "`NaN`", "finite decimal number"),
        ("a,BTC,inf", "quantity", "`inf`", "finite decimal number"),
        ("a,BTC,-Infinity", "quantity", "`-Infinity`", "finite decimal number"),
        ("a,BTC,1e400", "quantity", "`1e400`", "too large"),
        ("a,BTC,", "quantity", "``", "finite decimal number"),
        ("a,BTC,0.0001", "quantity", "`0.0001`", "multiple of 0.001"),
        ("a,BTC-27MAR26-100000-X,1", "instrument", "`BTC-27MAR26-100000-X`", "expected a form such as"),
        ("a,BTC-30FEB26-100000-C,1", "instrument", "`BTC-30FEB26-100000-C`", "is not a date"),
        (",BTC,1", "account", "``", "expected 1 to 128 printable characters"),
    ];
    for (row, field, value, expected) in cases {
        let found = positions(&format!("{HEADER}fine,BTC,1\n{row}\n"));
        let field = format!("field `{field}`");
        found.refused(&["positions.csv", "line 3", &field, value, expected]);
    }
}

#[test]
fn an_empty_file_and_a_header_alone_are_refused() {
    positions("").refused(&["positions.csv", "is empty", "expected account,instrument,quantity"]);
    positions(HEADER).refused(&["positions.csv", "is empty", "rows of account,instrument,quantity"]);
}

#[test]
fn wrong_columns_and_short_rows_are_refused() {
    positions("account,instrument\n").refused(&["line 1", "columns `account,instrument`"]);
    positions("account,instrument,quantity,colour\n").refused(&["line 1", "colour", "[,entry_price]"]);
    positions(&format!("{HEADER}a,BTC\n")).refused(&["line 2", "2 fields", "expected 3"]);
}

#[test]
fn a_missing_file_a_directory_and_an_unknown_form_are_refused() {
    run(&["margin", "--market", market(), "--positions", "/nowhere/positions.csv"])
        .refused(&["/nowhere/positions.csv", "cannot be read"]);
    let directory = common::directory().to_str().unwrap();
    run(&["margin", "--market", market(), "--positions", directory]).refused(&["is a directory"]);
    let nothing = file("market.txt", "hello\n");
    run(&["surface", "--market", &nothing]).refused(&["market.txt", "not a known market file"]);
    let empty = file("market.json", "");
    run(&["surface", "--market", &empty]).refused(&["market.json", "empty"]);
}

#[test]
fn truncated_streams_are_refused_whether_they_hold_a_market_or_a_book() {
    let snapshot = std::fs::read(market()).unwrap();
    let packed = zstd::encode_all(&snapshot[..], 3).unwrap();
    for keep in [packed.len() - 1, packed.len() / 2, 6] {
        let cut = file("market.json.zst", &packed[..keep]);
        run(&["surface", "--market", &cut]).refused(&["market.json.zst", "zstd stream is truncated"]);
    }
    let rows: String = (0..40_000).map(|i| format!("account{},BTC,{}\n", i % 977, i % 13 + 1)).collect();
    let book = zstd::encode_all(format!("{HEADER}{rows}").as_bytes(), 3).unwrap();
    let cut = file("positions.csv.zst", &book[..book.len() * 9 / 10]);
    run(&["margin", "--market", market(), "--positions", &cut]).refused(&[
        "positions.csv.zst",
        "zstd stream is truncated",
        "after line",
    ]);
}

#[test]
fn duplicate_rows_are_summed_and_said() {
    let twice = positions(&format!("{HEADER}a,BTC,1\na,ETH,1\na,BTC,0.5\n")).ok();
    assert!(twice.err.contains("2 rows of account a and BTC were summed"), "{}", twice.err);
    let once = positions(&format!("{HEADER}a,BTC,1.5\na,ETH,1\n")).ok();
    assert_eq!(twice.text(), once.text());
    assert_eq!(once.err, "");
}

#[test]
fn duplicate_collateral_is_summed_and_said() {
    let equity = |rows: &str| {
        let (positions, collateral) = (file("positions.csv", BOOK), file("collateral.csv", rows));
        let args = ["--positions", &positions, "--collateral", &collateral, "--format", "csv"];
        run(&[&["margin", "--market", market()][..], &args].concat()).ok()
    };
    let twice = equity("account,asset,amount\nbob,USDC,1000\nbob,USDC,0.5\n");
    assert!(twice.err.contains("2 rows of account bob and USDC were summed"), "{}", twice.err);
    assert_eq!(twice.text(), equity("account,asset,amount\nbob,USDC,1000.5\n").text());
}

#[test]
fn an_account_that_cannot_be_valued_fails_alone() {
    let bad = [
        ("BTC-27MAR20-100000-C", "expired", "expected an expiry after 2026-01-15T10:00:00Z"),
        ("BTC-27MAR26-123456-C", "unknown_instrument", "expected an option that the snapshot lists"),
        ("DOGE-PERPETUAL", "unknown_underlying", "expected an underlying of the market: BTC, ETH, SOL"),
    ];
    for (instrument, reason, expected) in bad {
        let text = format!("{HEADER}good,BTC,1\nbad,BTC,1\nbad,{instrument},2\nworse,ETH,1\n");
        let path = file("positions.csv", &text);
        let found = run(&["margin", "--market", market(), "--positions", &path, "--format", "json"]);
        assert_eq!(found.code, 1, "{}", found.err);
        for part in ["line 4", "field `instrument`", instrument, "account bad", reason, expected] {
            assert!(found.err.contains(part), "`{part}` is not in {}", found.err);
        }
        let json = found.json();
        let names: Vec<&str> =
            json["accounts"].as_array().unwrap().iter().map(|a| a["account"].as_str().unwrap()).collect();
        assert_eq!(names, ["good", "worse"]);
        assert_eq!(json["failures"][0]["account"], "bad");
        assert_eq!(json["failures"][0]["instrument"], instrument);
    }
}

#[test]
fn a_question_about_an_account_that_cannot_be_valued_has_status_1() {
    let path = file("positions.csv", format!("{HEADER}a,BTC,1\na,BTC-27MAR20-100000-C,1\nb,BTC,1\n"));
    for command in ["margin", "greeks", "heatmap", "liquidation"] {
        let found = run(&[command, "--market", market(), "--positions", &path, "--account", "a"]);
        assert_eq!((found.code, found.text().as_str()), (1, ""), "{command}: {}", found.err);
        for part in ["line 3", "`BTC-27MAR20-100000-C`", "expired", "expected an expiry after"] {
            assert!(found.err.contains(part), "{command}: {}", found.err);
        }
    }
}

#[test]
fn when_nobody_can_be_valued_nothing_is_written() {
    let found = positions(&format!("{HEADER}a,BTC-27MAR20-100000-C,1\n"));
    assert_eq!((found.code, found.text().as_str()), (1, ""), "{}", found.err);
}

#[test]
fn the_file_is_refused_even_when_the_bad_row_is_of_another_account() {
    let path = file("positions.csv", format!("{HEADER}a,BTC,1\nb,BTC,x\n"));
    run(&["margin", "--market", market(), "--positions", &path, "--account", "a"]).refused(&["line 3"]);
}

#[test]
fn usage_errors_have_status_2() {
    run(&["nonsense"]).refused(&["nonsense"]);
    run(&["margin"]).refused(&["--market"]);
    let book = file("positions.csv", BOOK);
    run(&["margin", "--market", "-", "--positions", "-"]).refused(&["only once"]);
    run(&["margin", "--market", market(), "--positions", &book, "--preset", "no"]).refused(&["no preset"]);
    run(&["margin", "--market", market(), "--positions", &book, "--account", "nobody"]).refused(&["nobody"]);
    run(&["margin", "--market", market(), "--positions", &book, "--format", "xml"]).refused(&["xml"]);
    let bad = file("params.toml", "name = \"x\"\n");
    run(&["margin", "--market", market(), "--positions", &book, "--params", &bad]).refused(&["params.toml"]);
}

#[test]
fn a_trade_that_is_none_is_refused() {
    for trade in ["BTC", "+x BTC", "1e400 BTC", "+1 BTC extra"] {
        common::on_book("what-if", &["--account", "alice", "--trade", trade]).refused(&["--trade"]);
    }
    common::on_book("what-if", &["--account", "alice", "--trade", "+0.0001 BTC"]).refused(&["multiple of"]);
    let unlisted = ["--account", "alice", "--trade", "+1 BTC-27MAR26-123456-C"];
    common::on_book("what-if", &unlisted).refused(&["`BTC-27MAR26-123456-C`", "unknown_instrument"]);
    common::on_book("what-if", &[&unlisted[..], &["--unlisted"]].concat()).ok();
}

#[test]
fn a_file_of_several_snapshots_needs_a_time() {
    let one = std::fs::read_to_string(market()).unwrap();
    let first = one.replace("2026-01-15T10", "2026-01-15T08");
    let both = file("both.json", format!("{}\n{}\n", first.trim_end(), one.trim_end()));
    run(&["surface", "--market", &both]).refused(&[
        "both.json",
        "2 snapshots from 2026-01-15T08:00:00Z to 2026-01-15T10:00:00Z",
        "--at",
    ]);
    let surface = |at: &str| run(&["surface", "--market", &both, "--at", at, "--format", "json"]);
    assert_eq!(surface("2026-01-15T09:00:00Z").ok().json()["as_of"], "2026-01-15T08:00:00Z");
    assert_eq!(surface("2027-01-01T00:00:00Z").ok().json()["as_of"], "2026-01-15T10:00:00Z");
    surface("2026-01-01T00:00:00Z").refused(&["no snapshot at or before", "2026-01-15T08:00:00Z"]);
    surface("yesterday").refused(&["RFC 3339"]);
}

#[test]
fn a_directory_takes_the_last_snapshot_at_or_before_the_time() {
    let directory = common::directory().join("markets");
    std::fs::create_dir_all(&directory).unwrap();
    let one = std::fs::read_to_string(market()).unwrap();
    for hour in ["08", "10"] {
        let text = one.replace("2026-01-15T10", &format!("2026-01-15T{hour}"));
        let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
        std::fs::write(directory.join(format!("{hour}.json.zst")), packed).unwrap();
    }
    std::fs::write(directory.join("README"), "not a market\n").unwrap();
    let path = directory.to_str().unwrap();
    run(&["surface", "--market", path]).refused(&["2 market files", "--at"]);
    let found = run(&["surface", "--market", path, "--at", "2026-01-15T09:59:59Z", "--format", "json"]);
    assert_eq!(found.ok().json()["as_of"], "2026-01-15T08:00:00Z");
}

#[test]
fn both_inputs_may_come_compressed_or_from_a_pipe() {
    let plain = common::on_book("margin", &["--format", "csv"]).ok();
    let collateral = file("collateral.csv", common::COLLATERAL);
    let packed = file("market.zst", zstd::encode_all(&std::fs::read(market()).unwrap()[..], 3).unwrap());
    let args = ["margin", "--market", &packed, "--positions", "-", "--collateral", &collateral];
    let piped = run_with(&[&args[..], &["--format", "csv"]].concat(), BOOK.as_bytes()).ok();
    assert_eq!(piped.text(), plain.text());
    let book = file("positions.csv", BOOK);
    let args = ["margin", "--market", "-", "--positions", &book, "--collateral", &collateral];
    let snapshot = std::fs::read(&packed).unwrap();
    let piped = run_with(&[&args[..], &["--format", "csv"]].concat(), &snapshot).ok();
    assert_eq!(piped.text(), plain.text());
}
