//! Several methods on one book, from the command line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it does not expect")]

mod common;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use common::{BOOK, COLLATERAL, directory, file, market, on_book, run, run_with, shared};
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use serde_json::Value;

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn units(amount: &Value) -> i128 {
    let text = amount.as_str().unwrap();
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{rest:0<9}").parse().unwrap()
}

#[test]
fn one_row_per_account_and_method_is_what_margin_says_of_each() {
    let rows =
        csv_rows(&on_book("compare", &["--preset", "fixed,plimsoll,span", "--format", "csv"]).ok().text());
    assert_eq!(rows.len(), 1 + 3 * 3);
    assert_eq!(rows[1][..2], ["alice", "fixed"]);
    for (at, method) in ["fixed", "plimsoll", "span"].iter().enumerate() {
        let alone = csv_rows(&on_book("margin", &["--preset", method, "--format", "csv"]).ok().text());
        for (i, account) in alone.iter().skip(1).enumerate() {
            let row = &rows[1 + 3 * i + at];
            assert_eq!((&row[0], row[1].as_str(), &row[2..8]), (&account[0], *method, &account[1..7]));
        }
    }
}

#[test]
fn json_adds_up() {
    let json = on_book("compare", &["--preset", "fixed,plimsoll", "--format", "json"]).ok().json();
    assert_eq!((&json["base"], &json["currency"]), (&"fixed".into(), &"USD".into()));
    assert_eq!(json["market"].as_str().unwrap().len(), 16);
    let accounts = json["accounts"].as_array().unwrap();
    for (at, method) in json["methods"].as_array().unwrap().iter().enumerate() {
        for (key, part) in [("im", "im_excess"), ("mm", "mm_excess")] {
            let sum: i128 = accounts.iter().map(|account| units(&account["under"][at][key])).sum();
            assert_eq!(units(&method["common"][key]), sum, "{key}");
            for account in accounts {
                let under = &account["under"][at];
                let parts: i128 =
                    under["parts"].as_array().unwrap().iter().map(|part| units(&part[key])).sum();
                assert_eq!(parts, units(&under[part]), "{}", account["account"]);
            }
        }
        assert_eq!(method["ratios"].as_array().unwrap().len(), 2 * at);
    }
    for found in json["disagreements"].as_array().unwrap() {
        let sum: i128 =
            found["parts"].as_array().unwrap().iter().map(|part| units(&part["difference"])).sum();
        assert_eq!(sum, units(&found["difference"]));
        assert_eq!(sum, units(&found["method_excess"]) - units(&found["base_excess"]));
        let (base, method) = (units(&found["base_excess"]), units(&found["method_excess"]));
        assert_eq!(
            (base < 0, method < 0),
            if found["under_base"] == true { (true, false) } else { (false, true) }
        );
        assert!(found["why"].as_str().unwrap().contains(" against "), "{found}");
    }
    assert!(!json["disagreements"].as_array().unwrap().is_empty());
}

#[test]
fn parquet_holds_the_rows_of_csv() {
    let rows = csv_rows(&on_book("compare", &["--preset", "fixed,span", "--format", "csv"]).ok().text());
    let bytes = on_book("compare", &["--preset", "fixed,span", "--format", "parquet"]).ok().out;
    let mut reader = ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 100).unwrap();
    let batch = reader.next().unwrap().unwrap();
    assert_eq!(batch.num_rows() + 1, rows.len());
    let im = batch.column_by_name("im").unwrap().as_primitive::<Decimal128Type>();
    let ratio = batch.column_by_name("im_ratio").unwrap();
    for (i, row) in rows.iter().skip(1).enumerate() {
        assert_eq!(im.value_as_string(i).parse::<f64>().unwrap(), row[3].parse::<f64>().unwrap());
        assert_eq!(ratio.is_null(i), row[8].is_empty());
        assert_eq!(row[1] == "fixed", row[8].is_empty());
    }
}

/// The text of a preset.
fn toml(name: &str) -> String {
    let path = format!("{}/../../presets/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_first_set_named_is_the_base_whether_preset_or_file() {
    let mine = toml("fixed").replace("name = \"fixed\"", "name = \"mine\"");
    let path = file("mine.toml", mine);
    let labels = |args: &[&str]| -> Vec<String> {
        let json = on_book("compare", &[args, &["--format", "json"]].concat()).ok().json();
        json["methods"].as_array().unwrap().iter().map(|m| m["label"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(labels(&["--params", &path, "--preset", "span,plimsoll"]), ["mine", "span", "plimsoll"]);
    assert_eq!(
        labels(&["--preset", "span", "--params", &path, "--preset", "plimsoll"]),
        ["span", "mine", "plimsoll"]
    );
    let same_name = toml("span").replace("im_scale = 1.0", "im_scale = 1.5");
    assert!(same_name.contains("im_scale = 1.5"));
    let path = file("changed.toml", same_name);
    let found = labels(&["--preset", "span", "--params", &path]);
    assert!(
        found[0] == "span" && found[1].starts_with("span (") && found[1].ends_with("changed.toml)"),
        "{found:?}"
    );
}

#[test]
fn what_cannot_be_compared_is_refused_with_the_reason() {
    let refused = |args: &[&str], parts: &[&str]| on_book("compare", args).refused(parts);
    refused(&[], &["0 named", "at least two"]);
    refused(&["--preset", "span"], &["1 named", "at least two"]);
    refused(&["--preset", "span,fixed,span"], &["is span again"]);
    refused(&["--preset", "span,nothing"], &["no preset is called `nothing`", "plimsoll, span, fixed"]);
    refused(&["--preset", "span,fixed", "--account", "nobody"], &["no account is called `nobody`"]);
    let bad = toml("span").replace("mm_scale = 1.0", "mm_scale = 9.0");
    let path = file("bad.toml", bad.replace("name = \"span\"", "name = \"bad\""));
    refused(&["--preset", "span", "--params", &path], &["bad", "the linter refuses", "--allow-lint"]);
    let allowed =
        on_book("compare", &["--preset", "span", "--params", &path, "--allow-lint", "--top", "1"]).ok();
    assert!(allowed.err.contains("note: bad: lint"), "{}", allowed.err);
}

#[test]
fn the_standard_input_stream_serves_one_book_read_once() {
    let collateral = file("collateral.csv", COLLATERAL);
    let args = ["compare", "--market", market(), "--positions", "-", "--collateral", &collateral];
    let found =
        run_with(&[&args[..], &["--preset", "fixed,span", "--format", "csv"]].concat(), BOOK.as_bytes());
    let expected = on_book("compare", &["--preset", "fixed,span", "--format", "csv"]).ok().text();
    assert_eq!(found.ok().text(), expected);
}

#[test]
fn an_account_that_a_method_does_not_margin_says_so_and_has_no_numbers() {
    let run = on_book("compare", &["--preset", "plimsoll,dydx", "--format", "json"]);
    let json = run.json();
    let under = |i: usize| &json["accounts"][i]["under"][1];
    // Alice and Carol hold options, Bob an option and a perpetual.
    for i in 0..3 {
        assert_eq!((&under(i)["margined"], &under(i)["kind"]), (&false.into(), &"unsupported".into()));
        assert!(under(i)["reason"].as_str().unwrap().contains("dydx does not margin"), "{}", under(i));
        assert!(under(i)["im"].is_null() && json["accounts"][i]["under"][0]["margined"] == true);
    }
    let dydx = &json["methods"][1];
    assert_eq!((&dydx["not_margined"]["unsupported"], &dydx["own"]["accounts"]), (&3.into(), &0.into()));
    assert_eq!(run.code, 0, "{}", run.err);
    let text = on_book("compare", &["--preset", "plimsoll,dydx"]).ok().text();
    assert!(text.contains("not margined: no requirement") && text.contains("| alice   | dydx"), "{text}");
    let csv = csv_rows(&on_book("compare", &["--preset", "plimsoll,dydx", "--format", "csv"]).ok().text());
    assert_eq!((csv[2][3].as_str(), csv[2][7].as_str()), ("", "not margined"));
}

#[test]
fn an_account_that_the_market_cannot_price_fails_the_check_and_leaves_the_others() {
    let positions = file("positions.csv", format!("{BOOK}zoe,BTC-27MAR26-123-C,1\n"));
    let args = ["compare", "--market", market(), "--positions", &positions, "--preset", "fixed,span"];
    let found = run(&args);
    assert_eq!(found.code, 1);
    assert!(
        found.err.contains("error: span: 1 accounts could not be valued (unvalued), such as zoe"),
        "{}",
        found.err
    );
    assert!(found.text().contains("totals over the 3 of 4 accounts"), "{}", found.text());
}

#[test]
fn one_account_is_told_part_by_part() {
    let text = on_book("compare", &["--preset", "fixed,plimsoll", "--account", "bob"]).ok().text();
    assert!(
        text.contains("parts of the excess of bob") && text.contains("| plimsoll | market_risk"),
        "{text}"
    );
    assert!(!text.contains("alice"));
}

#[test]
fn a_summary_is_shown_whole_and_the_rows_of_accounts_are_cut() {
    let text = on_book("compare", &["--preset", "fixed,plimsoll,span", "--top", "1"]).ok().text();
    assert!(text.contains("(8 more rows)"), "{text}");
    let totals: Vec<&str> = text.lines().skip(3).take(3).collect();
    assert!(totals.iter().zip(["fixed", "plimsoll", "span"]).all(|(row, name)| row.contains(name)), "{text}");
}

/// `compare` on the bundled book of forty accounts.
fn on_forty(args: &[&str]) -> common::Run {
    let at = |name: &str| format!("{}/../../examples/bundled/{name}", env!("CARGO_MANIFEST_DIR"));
    let files = [at("market.json"), at("positions.csv"), at("collateral.csv")];
    let book = ["compare", "--market", &files[0], "--positions", &files[1], "--collateral", &files[2]];
    run(&[&book[..], args].concat())
}

#[test]
fn a_long_answer_is_cut_unless_its_length_is_asked_for_and_says_where_the_rest_is() {
    let text = on_forty(&["--preset", "plimsoll,span"]).ok().text();
    assert!(text.contains("(70 more rows)") && text.contains("shown: at most 10 rows"), "{text}");
    assert!(text.contains("below initial margin under one of plimsoll and span"), "{text}");
    let whole = on_forty(&["--preset", "plimsoll,span", "--top", "100"]).ok().text();
    assert!(!whole.contains("more rows") && !whole.contains("shown: at most"), "{whole}");
    let many = on_forty(&["--preset", "plimsoll,span,deribit-pm,okx,fixed"]).ok().text();
    assert!(many.contains("(197 more rows)") && many.contains("who is below initial margin"), "{many}");
    assert!(
        many.contains("liquidatable under one of") && !many.contains("below initial margin under one of")
    );
    let named = |text: &str, names: [&str; 4]| -> bool {
        let at: Option<Vec<usize>> = names.iter().map(|name| text.find(name)).collect();
        at.is_some_and(|at| at.is_sorted())
    };
    assert!(named(&many, ["totals over the 40", "disagree on", "ratios to plimsoll", "parts of im_excess"]));
    // One account: no distributions of one number, every part of it.
    let one = on_forty(&["--preset", "plimsoll,span,", "--account", "put-seller-0012"]).ok().text();
    assert!(!one.contains("ratios to") && !one.contains("parts of im_excess over"), "{one}");
    assert!(one.contains("parts of the excess of put-seller-0012") && !one.contains("more rows"), "{one}");
}

/// Names of the elements of an XML text, each closed in order; panics where one is not.
fn well_formed(text: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut count = 0;
    for piece in text.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').unwrap_or_else(|| panic!("`<{piece}` is not closed"));
        assert!(!rest.contains('>') && !tag.contains('\n'), "{piece}");
        assert!(rest.match_indices('&').all(|(at, _)| rest[at..].contains(';')), "{piece}");
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name), "{piece}"),
            None => {
                count += 1;
                assert!(tag.matches('"').count().is_multiple_of(2), "{tag}");
                if !tag.ends_with('/') {
                    open.push(tag.split_whitespace().next().unwrap());
                }
            }
        }
    }
    assert!(open.is_empty(), "{open:?}");
    count
}

#[test]
fn the_picture_is_well_formed_and_names_every_method() {
    let path = directory().join("compare.svg");
    let to = path.to_str().unwrap();
    on_book("compare", &["--preset", "fixed,plimsoll,span", "--svg", to]).ok();
    let svg = std::fs::read_to_string(&path).unwrap();
    assert!(well_formed(&svg) > 40);
    for word in ["fixed", "plimsoll", "span", "USD", "times the initial margin of fixed"] {
        assert!(svg.contains(word), "{word}");
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf\""));
    let alone = on_book("compare", &["--preset", "fixed,span", "--svg", "-"]).ok().text();
    assert!(alone.starts_with("<svg") && well_formed(&alone) > 30);
}

#[test]
fn two_thousand_accounts_on_the_real_chain_are_compared_in_every_method_and_the_parts_add_up() {
    let Some(snapshot) =
        shared("data/options_deribit_btc_eth_4x_daily/single_snapshot_20260205T212937Z.csv.gz")
    else {
        return;
    };
    let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/book-2026-02-05/");
    let [positions, collateral, orders] =
        ["positions.csv", "collateral.csv", "orders.csv"].map(|name| format!("{book}{name}"));
    let args = [
        "compare",
        "--market",
        &snapshot,
        "--positions",
        &positions,
        "--collateral",
        &collateral,
        "--orders",
        &orders,
        "--preset",
        "plimsoll,fixed,span",
        "--format",
        "json",
    ];
    let json = run(&args).ok().json();
    assert_eq!(json["accounts"].as_array().unwrap().len(), 2000);
    let liquidatable = |at: usize| json["methods"][at]["common"]["liquidatable"].as_u64().unwrap();
    assert!(liquidatable(1) > 10 * liquidatable(0), "a fixed ratio liquidates what netting does not");
    for found in json["disagreements"].as_array().unwrap() {
        let sum: i128 =
            found["parts"].as_array().unwrap().iter().map(|part| units(&part["difference"])).sum();
        assert_eq!(sum, units(&found["difference"]), "{}", found["account"]);
    }
}

#[test]
fn what_a_venue_charges_is_in_the_explanation_and_in_the_json_and_adds_up() {
    let text = on_book("margin", &["--preset", "deribit-pm", "--account", "bob", "--explain"]).ok().text();
    assert!(text.contains("the venue charges") && text.contains("worst_case ETH"), "{text}");
    let json = on_book("margin", &["--preset", "deribit-pm", "--format", "json"]).ok().json();
    let account = &json["accounts"][1];
    let charged: i128 = account["venue"].as_array().unwrap().iter().map(|charge| units(&charge["im"])).sum();
    assert_eq!((&account["account"], charged), (&"bob".into(), units(&account["im"])));
    let plain = on_book("margin", &["--format", "json"]).ok().json();
    assert!(plain["accounts"][1]["venue"].is_null());
}
