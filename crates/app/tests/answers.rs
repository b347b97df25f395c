//! What the commands answer, in every form.
#![allow(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

mod common;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray};
use common::{BOOK, COLLATERAL, file, market, on_book, run, shared};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use std::sync::Arc;

fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut out = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

#[test]
fn csv_json_and_parquet_hold_the_same_numbers_to_the_last_digit() {
    let csv = csv_rows(&on_book("margin", &["--format", "csv"]).ok().text());
    let json = on_book("margin", &["--format", "json"]).ok().json();
    let bytes = on_book("margin", &["--format", "parquet"]).ok().out;
    let batch =
        ParquetRecordBatchReader::try_new(bytes::Bytes::from(bytes), 100).unwrap().next().unwrap().unwrap();
    assert_eq!(csv.len(), 4);
    for (i, row) in csv.iter().skip(1).enumerate() {
        let account = &json["accounts"][i];
        assert_eq!(account["account"], row[0].as_str());
        for (column, name) in csv[0].iter().enumerate() {
            if account[name].is_string() {
                assert_eq!(account[name], row[column].as_str(), "{name}");
            }
        }
        let im = batch.column_by_name("im").unwrap().as_primitive::<Decimal128Type>();
        let padded: f64 = im.value_as_string(i).parse().unwrap();
        assert_eq!(padded, row[2].parse::<f64>().unwrap());
    }
}

#[test]
fn json_holds_every_number_and_where_it_came_from() {
    let json = on_book("margin", &["--format", "json"]).ok().json();
    assert_eq!(json["as_of"], "2026-01-15T10:00:00Z");
    assert_eq!(json["params"]["name"], "plimsoll");
    assert_eq!(json["params"]["id"].as_str().unwrap().len(), 16);
    assert_eq!(json["market"].as_str().unwrap().len(), 16);
    assert_eq!(json["code"], env!("CARGO_PKG_VERSION"));
    let report = &json["accounts"][0]["report"];
    let columns = json["scenarios"].as_array().unwrap().len();
    assert_eq!(report["underlyings"][0]["pnl"].as_array().unwrap().len(), columns);
    // Amounts are exact: ticks over ticks per unit is the decimal.
    let ticks = report["im"].as_i64().unwrap();
    let shown: f64 = json["accounts"][0]["im"].as_str().unwrap().parse().unwrap();
    assert_eq!(ticks as f64 / json["ticks_per_unit"].as_i64().unwrap() as f64, shown);
}

#[test]
fn positions_in_parquet_answer_as_in_csv_whatever_the_type_of_quantity() {
    let rows = csv_rows(BOOK);
    let column = |at: usize| -> Vec<String> { rows.iter().skip(1).map(|r| r[at].clone()).collect() };
    let (accounts, instruments, quantities) = (column(0), column(1), column(2));
    let scaled: Vec<i128> = quantities.iter().map(|q| (q.parse::<f64>().unwrap() * 1000.0) as i128).collect();
    let floats: Vec<f64> = quantities.iter().map(|q| q.parse().unwrap()).collect();
    let decimals = Decimal128Array::from(scaled).with_precision_and_scale(20, 3).unwrap();
    let forms: [ArrayRef; 3] =
        [Arc::new(StringArray::from(quantities)), Arc::new(decimals), Arc::new(Float64Array::from(floats))];
    let collateral = file("collateral.csv", COLLATERAL);
    let expected = on_book("margin", &["--format", "csv"]).ok().text();
    for quantity in forms {
        let content = parquet(vec![
            ("account", Arc::new(StringArray::from(accounts.clone())) as ArrayRef),
            ("instrument", Arc::new(StringArray::from(instruments.clone()))),
            ("quantity", quantity),
        ]);
        let path = file("positions.parquet", content);
        let args = ["margin", "--market", market(), "--positions", &path, "--collateral", &collateral];
        let found = run(&[&args[..], &["--format", "csv"]].concat()).ok();
        assert_eq!(found.text(), expected);
    }
}

#[test]
fn bad_values_in_parquet_are_named_by_row() {
    let content = parquet(vec![
        ("account", Arc::new(StringArray::from(vec!["a", "a"])) as ArrayRef),
        ("instrument", Arc::new(StringArray::from(vec!["BTC", "ETH"]))),
        ("quantity", Arc::new(Float64Array::from(vec![1.0, f64::NAN]))),
    ]);
    let path = file("positions.parquet", content);
    run(&["margin", "--market", market(), "--positions", &path]).refused(&[
        "positions.parquet",
        "row 2",
        "field `quantity`",
        "`NaN`",
    ]);
    let content = parquet(vec![("account", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let path = file("positions.parquet", content);
    run(&["margin", "--market", market(), "--positions", &path]).refused(&["columns `account`"]);
    let path = file("positions.parquet", "PAR1 and no more");
    run(&["margin", "--market", market(), "--positions", &path]).refused(&["not readable Parquet"]);
}

#[test]
fn what_if_equals_margin_with_the_trade_in_the_book() {
    let trades = ["--trade", "+1.5 BTC-27MAR26-100000-C", "--trade", "-0.25 BTC-27FEB26-90000-P"];
    let what_if = on_book("what-if", &[&["--account", "alice", "--format", "json"][..], &trades].concat());
    let after = what_if.ok().json()["after"].clone();
    let book = format!("{BOOK}alice,BTC-27MAR26-100000-C,1.5\nalice,BTC-27FEB26-90000-P,-0.25\n");
    let positions = file("positions.csv", book);
    let collateral = file("collateral.csv", COLLATERAL);
    let args = ["margin", "--market", market(), "--positions", &positions, "--collateral", &collateral];
    let margin = run(&[&args[..], &["--account", "alice", "--format", "json"]].concat()).ok().json();
    for requirement in ["im", "mm", "scan_loss", "addons", "netting_benefit"] {
        assert_eq!(after[requirement], margin["accounts"][0][requirement], "{requirement}");
    }
}

#[test]
fn a_trade_at_the_mark_leaves_equity_where_it_was() {
    let found =
        on_book("what-if", &["--account", "alice", "--trade", "+1 ETH-PERPETUAL", "--format", "json"]);
    assert_eq!(found.ok().json()["change"]["equity"], "0");
}

#[test]
fn explain_ends_with_the_requirement_it_explains_and_its_basis() {
    let text = on_book("margin", &["--account", "alice", "--explain"]).ok().text();
    let json = on_book("margin", &["--account", "alice", "--format", "json"]).ok().json();
    let im = json["accounts"][0]["im"].as_str().unwrap();
    assert!(text.contains(im), "{im} is not in {text}");
    assert!(text.contains(json["market"].as_str().unwrap()), "{text}");
}

#[test]
fn the_total_row_adds_up() {
    let rows = csv_rows(&on_book("margin", &["--format", "csv"]).ok().text());
    let sum: f64 = rows.iter().skip(1).map(|row| (row[2].parse::<f64>().unwrap() * 1e6).round()).sum();
    let text = on_book("margin", &[]).ok().text();
    let total = text.lines().find(|line| line.contains("total of 3")).unwrap();
    let im = total.split('|').nth(3).unwrap().trim();
    assert_eq!((im.parse::<f64>().unwrap() * 1e6).round(), sum);
}

#[test]
fn an_unchanged_account_has_nothing_to_attribute_and_a_changed_one_has_no_residual() {
    let positions = file("positions.csv", BOOK);
    let base = ["attribute", "--before", market(), "--after", market(), "--positions", &positions];
    let still = run(&[&base[..], &["--account", "alice", "--format", "json"]].concat()).ok().json();
    for part in still["attribution"].as_array().unwrap() {
        assert_eq!((&part["im"], &part["equity"]), (&"0".into(), &"0".into()), "{part}");
    }
    let moved = std::fs::read_to_string(market()).unwrap();
    let moved = file("later.json", moved.replace("2026-01-15T10", "2026-01-16T07"));
    let after = file("after.csv", BOOK.replace("alice,BTC,1.5", "alice,BTC,0.5"));
    let base = ["attribute", "--before", market(), "--after", &moved, "--positions", &positions];
    let more = ["--after-positions", &after, "--account", "alice", "--format", "csv"];
    let rows = csv_rows(&run(&[&base[..], &more].concat()).ok().text());
    let part = |name: &str| rows.iter().find(|r| r[1] == name).unwrap()[2].parse::<f64>().unwrap();
    assert_eq!(part("residual"), 0.0);
    let all = run(&[&base[..], &["--after-positions", &after, "--format", "csv"]].concat()).ok().text();
    let mut of_alice = csv_rows(&all);
    of_alice.retain(|row| row[0] == "account" || row[0] == "alice");
    assert_eq!(of_alice, rows);
    assert!(part("position") != 0.0 && part("time") != 0.0);
    let sum: f64 =
        ["position", "parameter", "time", "price", "vol", "residual"].iter().map(|n| part(n)).sum();
    assert!((sum - part("total")).abs() < 1e-6, "{sum}");
}

#[test]
fn the_worst_cell_of_a_heat_map_is_the_smallest_and_is_marked() {
    let args = ["--account", "alice", "--spot", "-0.2,0,0.2", "--vol", "-0.5,0,0.5"];
    let csv = csv_rows(&on_book("heatmap", &[&args[..], &["--format", "csv"]].concat()).ok().text());
    assert_eq!(csv.len(), 10);
    let pnl = |row: &Vec<String>| row[2].parse::<f64>().unwrap();
    let worst = csv.iter().skip(1).map(pnl).fold(f64::INFINITY, f64::min);
    let json = on_book("heatmap", &[&args[..], &["--format", "json"]].concat()).ok().json();
    assert_eq!(json["worst"]["pnl"].as_str().unwrap().parse::<f64>().unwrap(), worst);
    let still = csv.iter().skip(1).find(|r| r[0] == "0" && r[1] == "0").unwrap();
    assert_eq!(pnl(still), 0.0);
    let text = on_book("heatmap", &args).ok().text();
    assert_eq!(text.matches(" < |").count(), 1, "{text}");
}

#[test]
fn pictures_are_written_beside_the_answer() {
    let svg = common::directory().join("picture.svg");
    let path = svg.to_str().unwrap();
    let cases: [&[&str]; 2] = [
        &["heatmap", "--account", "alice"],
        &["liquidation", "--account", "bob", "--days", "0", "--vol", "0", "--steps", "4"],
    ];
    for case in cases {
        on_book(case[0], &[&case[1..], &["--svg", path]].concat()).ok();
        assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"), "{case:?}");
        std::fs::remove_file(&svg).unwrap();
    }
    run(&["surface", "--market", market(), "--svg", path]).ok();
    assert!(std::fs::read_to_string(&svg).unwrap().contains("BTC"));
}

#[test]
fn a_short_put_account_is_liquidatable_after_a_fall_and_its_excess_is_that_of_margin() {
    let args = ["--account", "bob", "--days", "0", "--vol", "0", "--format", "json"];
    let json = on_book("liquidation", &args).ok().json();
    let point = &json["points"][0];
    let margin = on_book("margin", &["--account", "bob", "--format", "json"]).ok().json();
    assert_eq!(point["mm_excess"], margin["accounts"][0]["mm_excess"]);
    let down = point["spot_down"].as_f64().unwrap();
    assert!((-0.6..0.0).contains(&down), "{json}");
    assert_eq!(json["nearest"]["spot"].as_f64().unwrap(), down);
}

#[test]
fn the_ladder_of_the_book_is_the_sum_of_the_ladders_of_its_accounts() {
    let delta = |more: &[&str]| -> f64 {
        let json = on_book("greeks", &[more, &["--format", "json"]].concat()).ok().json();
        json["ladder"].as_array().unwrap().iter().map(|r| r["delta_cash"].as_f64().unwrap()).sum()
    };
    let parts: f64 = ["alice", "bob", "carol"].iter().map(|a| delta(&["--account", a])).sum();
    assert!((delta(&[]) - parts).abs() < 1e-3 * parts.abs().max(1.0));
}

#[test]
fn a_sound_preset_lints_clean_and_presets_are_listed() {
    for name in ["plimsoll", "span", "fixed"] {
        let found = run(&["lint", name]);
        assert_eq!(found.code, 0, "{name}: {}{}", found.text(), found.err);
    }
    let text = run(&["presets"]).ok().text();
    assert!(text.contains("plimsoll") && text.contains("span"), "{text}");
    let toml = run(&["presets", "plimsoll"]).ok().text();
    let path = file("own.toml", toml);
    let id = |args: &[&str]| on_book("margin", args).ok().json()["params"]["id"].clone();
    assert_eq!(id(&["--format", "json", "--params", &path]), id(&["--format", "json"]));
}

#[test]
fn a_set_whose_maintenance_exceeds_its_initial_margin_fails_the_lint() {
    let toml = run(&["presets", "plimsoll"]).ok().text();
    assert!(toml.contains("mm_scale = 0.8 "));
    let bad = file("bad.toml", toml.replace("mm_scale = 0.8 ", "mm_scale = 1.2 "));
    let found = run(&["lint", &bad, "--format", "json"]);
    assert_eq!(found.code, 1, "{}", found.err);
    assert!(!found.json().as_array().unwrap().is_empty());
}

#[test]
fn a_policy_lints_like_a_parameter_set() {
    let shipped = |name: &str| format!("{}/../../policies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let own = run(&["lint", &shipped("plimsoll")]);
    assert_eq!(own.code, 0, "{}{}", own.text(), own.err);
    let base = run(&["lint", &shipped("ewma"), "--format", "json"]);
    assert_eq!(base.code, 1, "{}", base.err);
    let rules = base.json();
    let of = |rule: &str| rules.as_array().unwrap().iter().any(|row| row["rule"] == rule);
    assert!(of("procyclical") && of("elastic") && of("no_glide"));
    let text = std::fs::read_to_string(shipped("plimsoll")).unwrap();
    let bad = file("loose.toml", text.replacen("down = 0.06 ", "down = 1.0 ", 1));
    run(&["lint", &bad]).refused(&["scan", "down", "expected more than 0 and less than 1"]);
}

#[test]
fn an_answer_goes_to_a_file_when_one_is_named() {
    let path = common::directory().join("out.parquet");
    let found = on_book("margin", &["--format", "parquet", "--out", path.to_str().unwrap()]).ok();
    assert!(found.out.is_empty());
    assert!(std::fs::read(&path).unwrap().starts_with(b"PAR1"));
}

#[test]
fn the_surface_of_the_generated_market_is_fitted_without_arbitrage() {
    let json = run(&["surface", "--market", market(), "--format", "json"]).ok().json();
    let expiries = json["expiries"].as_array().unwrap();
    assert!(expiries.len() >= 15, "{}", expiries.len());
    assert!(expiries.iter().all(|e| e["verdict"] == "ok"), "{expiries:?}");
    assert_eq!(json["repricing"].as_array().unwrap().len(), 3);
}

#[test]
fn a_directory_of_cases_is_one_parity_table() {
    let Some(path) = shared("vectors") else { return };
    let json = run(&["vectors", &path, "--format", "json"]).ok().json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.len(), std::fs::read_dir(&path).unwrap().count() - 1, "every file but the README");
    assert!(rows.iter().all(|row| row["cases"] == row["passed"]));
    let csv = run(&["vectors", &path, "--format", "csv"]).ok().text();
    assert!(csv.starts_with("method,cases,passed,quantities,worst_error,ok\ndefi-aevo,"), "{csv}");
    run(&["vectors", env!("CARGO_MANIFEST_DIR")]).refused(&["holds no file of cases"]);
}

#[test]
fn a_case_that_is_off_is_a_miss_and_fails_the_check() {
    let Some(path) = shared("vectors/tradfi-bs-haug.json") else { return };
    let mut cases: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    cases["values"][0]["published_value"] = 999.0.into();
    let changed = file("tradfi-bs-haug.json", cases.to_string());
    let found = run(&["vectors", &changed, "--format", "json"]);
    assert_eq!(found.code, 1, "{}", found.err);
    let json = found.json();
    assert_eq!(json[0]["misses"][0]["id"], cases["values"][0]["id"]);
    assert_eq!(json[0]["passed"].as_u64().unwrap() + 1, json[0]["cases"].as_u64().unwrap());
    run(&["vectors", &file("no.json", "{}")]).refused(&["no known form"]);
}

#[test]
fn a_real_snapshot_of_the_crash_is_fitted_without_arbitrage() {
    let Some(data) = shared("data/options_deribit_btc_eth_4x_daily") else { return };
    let args = ["surface", "--market", &data, "--at", "2026-02-05T22:00:00Z", "--format", "json"];
    let json = run(&args).ok().json();
    assert_eq!(json["as_of"], "2026-02-05T21:29:37.885165Z");
    assert!(json["expiries"].as_array().unwrap().len() >= 20);
}

#[test]
fn historical_scenarios_need_their_series_and_can_only_add_to_the_requirement() {
    let toml = run(&["presets", "plimsoll"]).ok().text();
    let more = "
[[scenarios.scenarios]]
kind = \"historical\"
purpose = \"both\"
series = \"daily\"
horizon = 1
step = 1

[margin.joint]
statistic = \"worst\"
level = \"0.99\"
stress_weight = \"0\"
";
    let params = file("own.toml", toml + more);
    on_book("margin", &["--params", &params]).refused(&["series `daily`", "--series daily=FILE"]);
    let prices = "time,BTC,ETH,SOL
2026-01-01T00:00:00Z,60000,3000,150
2026-01-02T00:00:00Z,30000,1500,75
2026-01-03T00:00:00Z,45000,2500,100
";
    let series = format!("daily={}", file("prices.csv", prices));
    let im = |more: &[&str]| -> Vec<f64> {
        let rows = csv_rows(&on_book("margin", &[more, &["--format", "csv"]].concat()).ok().text());
        rows.iter().skip(1).map(|row| row[2].parse().unwrap()).collect()
    };
    let (with, without) = (im(&["--params", &params, "--series", &series]), im(&[]));
    assert!(with.iter().zip(&without).all(|(a, b)| a >= b), "{with:?} {without:?}");
    // A halving of prices is beyond the price scan of a day.
    assert!(with[0] > without[0], "{with:?} {without:?}");
    let backwards = prices.replace("2026-01-03", "2026-01-01");
    let series = format!("daily={}", file("prices.csv", backwards));
    on_book("margin", &["--params", &params, "--series", &series])
        .refused(&["line 4", "expected a time after"]);
}

#[test]
fn the_approximate_mode_says_its_error() {
    let found = on_book("margin", &["--approximate"]).ok();
    assert!(found.err.contains("approximate revaluation: largest error"), "{}", found.err);
}

#[test]
fn a_month_with_a_crash_is_fitted_without_arbitrage_within_one_vol_point() {
    let Some(path) = shared("data/options_deribit_btc_eth_4x_daily/snapshots_2026-02.csv.zst") else {
        return;
    };
    let json = run(&["surface", "--all", "--market", &path, "--format", "json"]).ok().json();
    assert_eq!(json["snapshots"], 110);
    assert_eq!(json["violations"].as_array().unwrap().len(), 0);
    let beyond = json["quality"].as_array().unwrap().last().unwrap();
    assert_eq!(beyond["tenor"], "beyond 2 days");
    assert!(beyond["median"].as_f64().unwrap() <= 1.0, "{beyond}");
}

#[test]
fn files_that_cannot_be_checked_do_not_void_the_others() {
    let sound = r#"{"covariance": {"data": [[1, 2], [2, 4], [3, 6]], "expected_corr01": 1}}"#;
    let off = file("off.json", sound.replace("corr01\": 1", "corr01\": 0.5"));
    let sound = file("sound.json", format!("\u{feff}{sound}"));
    let (empty, unknown) = (file("empty.json", ""), file("unknown.json", "{}"));
    let checked = |files: &[&str]| {
        let found = run(&[&["vectors"], files, &["--format", "json"]].concat());
        (found.code, found.json().as_array().unwrap().len(), found.err)
    };
    assert_eq!(checked(&[&sound]).0, 0);
    assert_eq!(checked(&[&sound, &off]).0, 1);
    let (code, count, err) = checked(&[&empty, &sound, &unknown, "/nowhere/x.json", &off]);
    assert_eq!((code, count), (2, 2), "{err}");
    for named in ["empty.json: not JSON", "unknown.json: no known form", "/nowhere/x.json: cannot be read"] {
        assert!(err.contains(named), "{err}");
    }
    run(&["vectors", &empty, &unknown]).refused(&["empty.json", "unknown.json"]);
}

#[test]
fn a_linted_set_is_refused_unless_it_is_allowed() {
    let toml = run(&["presets", "plimsoll"]).ok().text();
    let bad = file("bad.toml", toml.replace("mm_scale = 0.8 ", "mm_scale = 1.2 "));
    let findings = run(&["lint", &bad, "--format", "json"]).json();
    let message = findings[0]["finding"].as_str().unwrap();
    for (command, more) in [
        ("margin", &[][..]),
        ("greeks", &[]),
        ("heatmap", &["--account", "alice"]),
        ("what-if", &["--account", "alice", "--trade", "+1 BTC"]),
    ] {
        let args = [more, &["--params", &bad]].concat();
        on_book(command, &args).refused(&[message, "--allow-lint"]);
        let found = on_book(command, &[&args[..], &["--allow-lint", "--format", "json"]].concat()).ok();
        assert!(found.err.contains(message), "{}", found.err);
        let notes = found.json()["notes"].to_string();
        assert!(notes.contains(&message.replace('"', "\\\"")), "{notes}");
    }
}

#[test]
fn what_was_assumed_is_said_and_is_in_the_json() {
    // The generated market states funding for every perpetual; without it none is charged, and that is said.
    let mut market: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(market()).unwrap()).unwrap();
    for perpetual in market["underlyings"]["ETH"]["perpetuals"].as_array_mut().unwrap() {
        perpetual.as_object_mut().unwrap().remove("funding_8h");
    }
    let market = file("unfunded.json", market.to_string());
    let positions = file("positions.csv", BOOK);
    let args = ["margin", "--market", &market, "--positions", &positions, "--format", "json"];
    let found = run(&args);
    let note = "ETH-PERPETUAL: no funding rate is stated, none is charged";
    assert!(found.err.contains(&format!("note: {note}")), "{}", found.err);
    assert!(found.json()["notes"].as_array().unwrap().contains(&note.into()), "{}", found.json()["notes"]);
    let args = ["attribute", "--before", common::market(), "--after", &market, "--positions", &positions];
    let found = run(&[&args[..], &["--format", "json"]].concat());
    assert_eq!(found.json()["notes"].to_string(), format!("[\"after: {note}\"]"));
}

#[test]
fn volatility_in_a_series_moves_what_is_long_of_it() {
    let toml = run(&["presets", "plimsoll"]).ok().text();
    let more = "
[[scenarios.scenarios]]
kind = \"historical\"
purpose = \"both\"
series = \"daily\"
horizon = 1
step = 1

[margin.joint]
statistic = \"worst\"
level = \"0.99\"
stress_weight = \"0\"
";
    let params = file("own.toml", toml + more);
    let rows = |vol: &str| {
        let names = if vol.is_empty() { "" } else { ",BTC_VOL,ETH_VOL,SOL_VOL" };
        let later = if vol.is_empty() { String::new() } else { format!(",{vol},{vol},{vol}") };
        let first = if vol.is_empty() { "" } else { ",0.5,0.5,0.5" };
        format!(
            "time,BTC,ETH,SOL{names}\n2026-01-01T00:00:00Z,60000,3000,150{first}\n2026-01-02T00:00:00Z,60000,3000,150{later}\n"
        )
    };
    let joint = |vol: &str| -> f64 {
        let series = format!("daily={}", file("prices.csv", rows(vol)));
        let args = ["--params", &params, "--series", &series, "--account", "alice", "--format", "json"];
        let json = on_book("margin", &args).ok().json();
        let block = json["blocks"].as_array().unwrap().last().unwrap()["columns"]["start"].as_u64().unwrap();
        let report = &json["accounts"][0]["report"]["underlyings"][0]["pnl"];
        report[usize::try_from(block).unwrap()].as_f64().unwrap()
    };
    // Alice is short calls: nothing moves, volatility doubles, volatility halves.
    assert_eq!(joint(""), joint("0.5"));
    assert!(joint("1.0") < joint("0.5") && joint("0.25") > joint("0.5"));
}

/// The checkout's root, from which the README's commands are run.
fn root() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../..")
}

#[test]
fn the_bundled_book_is_valued_whole_with_its_orders() {
    let path = |name: &str| format!("{}/examples/bundled/{name}", root());
    let (market, positions) = (path("market.json"), path("positions.csv"));
    let (collateral, orders) = (path("collateral.csv"), path("orders.csv"));
    let args = ["margin", "--market", &market, "--positions", &positions, "--collateral", &collateral];
    let found = run(&[&args[..], &["--orders", &orders, "--format", "json"]].concat()).ok();
    let json = found.json();
    assert_eq!(json["accounts"].as_array().unwrap().len(), 40);
    assert_eq!(json["failures"].as_array().unwrap().len(), 0);
}

/// The lines of the first block of this kind.
fn block<'a>(text: &'a str, kind: &str) -> Vec<&'a str> {
    let fence = format!("```{kind}");
    text.lines().skip_while(|line| *line != fence).skip(1).take_while(|line| *line != "```").collect()
}

#[test]
fn the_margin_of_the_readme_is_what_its_command_prints() {
    let readme = std::fs::read_to_string(format!("{}/README.md", root())).unwrap();
    let (_, readme) = readme.split_once("explained to the last digit").unwrap();
    let command = block(readme, "sh").join(" ");
    let (_, arguments) = command.split_once(" -- ").unwrap();
    let found = std::process::Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(arguments.split_whitespace())
        .current_dir(root())
        .output()
        .unwrap();
    let text = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(0), "{}", String::from_utf8_lossy(&found.stderr));
    let mut printed = text.lines();
    let shown = block(readme, "text");
    assert!(shown.len() > 5);
    for line in shown.into_iter().filter(|line| line.trim() != "...") {
        assert!(printed.any(|found| found.trim_end() == line.trim_end()), "`{line}` is not printed:\n{text}");
    }
}
