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

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_the_rest_of_the_file() {
    positions(&format!("{HEADER}a,BTC,1\n\"b,BTC,1\nc,BTC,1\n"))
        .refused(&["positions.csv", "a quote on line 3"]);
}

#[test]
fn a_line_of_another_account_is_said_to_be_the_first_mention() {
    let found = positions(&format!("{HEADER}a,BTC-27MAR20-100000-C,1\nb,BTC-27MAR20-100000-C,1\nc,BTC,1\n"));
    assert_eq!(found.code, 1);
    let lines: Vec<&str> = found.err.lines().filter(|line| line.starts_with("error")).collect();
    assert!(
        lines[0].contains("line 2: field `instrument`") && lines[0].contains("account a"),
        "{}",
        found.err
    );
    assert!(lines[1].contains("(first named on line 2)") && lines[1].contains("account b"), "{}", found.err);
}

#[test]
fn many_failures_are_counted_and_the_json_has_them_all_with_their_codes() {
    let rows: String = (0..150).map(|i| format!("a{i:03},BTC-27MAR20-100000-C,1\n")).collect();
    let path = file("positions.csv", format!("{HEADER}{rows}z,BTC,1\n"));
    let found = run(&["margin", "--market", market(), "--positions", &path, "--format", "json"]);
    assert!(found.err.contains("50 more accounts could not be valued"), "{}", found.err);
    let json = found.json();
    assert_eq!(json["failures"].as_array().unwrap().len(), 150);
    assert_eq!(json["failures"][149]["code"], "expired");
}

#[test]
fn a_damaged_parquet_file_is_refused_and_never_a_panic() {
    let mut content = Vec::new();
    let column = std::sync::Arc::new(arrow_array::StringArray::from(vec!["a"; 50])) as arrow_array::ArrayRef;
    let names = ["account", "instrument", "quantity"].map(|name| (name, column.clone()));
    let batch = arrow_array::RecordBatch::try_from_iter(names).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut content, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    for at in (4..content.len()).step_by(9) {
        let mut damaged = content.clone();
        damaged[at] ^= 0xff;
        let found =
            run(&["margin", "--market", market(), "--positions", &file("positions.parquet", damaged)]);
        assert_eq!(found.code, 2, "byte {at}: {}", found.err);
    }
}

#[test]
fn a_market_without_an_index_or_a_forward_is_no_sound_surface() {
    let mut snapshot: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(market()).unwrap()).unwrap();
    snapshot["underlyings"]["BTC"]["index"] = serde_json::json!([]);
    let found = run(&["surface", "--market", &file("market.json", snapshot.to_string())]);
    assert_eq!(found.code, 1, "{}", found.text());
    assert!(found.text().contains("BTC: NO MARKET: "), "{}", found.text());
}

#[test]
fn days_past_the_first_expiry_are_named_and_alone_refused() {
    let ask = |days: &str| {
        let args = ["--account", "alice", "--days", days, "--vol", "0", "--steps", "4"];
        common::on_book("liquidation", &args)
    };
    let found = ask("0,500").ok();
    assert!(
        found.text().contains("days left out: 500: the account's first expiry is in 70.9"),
        "{}",
        found.text()
    );
    ask("500").refused(&["days left out: 500"]);
}

#[test]
fn a_picture_may_go_to_the_standard_output_stream_and_neither_is_left_when_one_fails() {
    let drawn = common::on_book("heatmap", &["--account", "alice", "--days", "3", "--svg", "-"]).ok();
    assert!(drawn.text().starts_with("<svg") && drawn.text().contains("alice, 3 days ahead"));
    let directory = common::directory().join("staged");
    std::fs::create_dir_all(&directory).unwrap();
    let (svg, out) = (directory.join("a.svg"), directory.join("a.csv"));
    let (svg, out) = (svg.to_str().unwrap(), out.to_str().unwrap());
    let ask = |svg: &str, out: &str| {
        common::on_book("heatmap", &["--account", "alice", "--svg", svg, "--out", out, "--format", "csv"])
    };
    ask(svg, "/nowhere/a.csv").refused(&["/nowhere/a.csv: cannot be written"]);
    ask("/nowhere/a.svg", out).refused(&["/nowhere/a.svg: cannot be written"]);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 0);
    ask(svg, out).ok();
    ask(svg, out).ok();
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2);
}

#[test]
fn generate_needs_a_name_and_has_one_form() {
    run(&["generate", "market", "--to", "-"]).refused(&["must be named"]);
    let path = common::directory().join("generated.json");
    run(&["generate", "market", "--to", path.to_str().unwrap(), "--format", "csv"]).refused(&["--format"]);
}
