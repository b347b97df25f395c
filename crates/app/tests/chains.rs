//! `plimsoll backtest --chains` on recorded chains.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{directory, file, run, shared};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};

const CHAINS: &str = "data/options_deribit_btc_eth_4x_daily/snapshots_2026-02.csv.zst";

/// The chains from 4 February, 15:54 to 6 February, 09:25: a fall of 13.8 % in 29.6 hours, and what was quoted through it.
fn crash() -> Option<String> {
    let source = std::fs::File::open(shared(CHAINS)?).unwrap();
    let reader = BufReader::new(zstd::Decoder::new(source).unwrap());
    let mut text: Vec<u8> = Vec::new();
    for line in reader.lines() {
        let line = line.unwrap();
        let day = line.get(..13).unwrap_or_default();
        let of = |from: &str, to: &str| day >= from && day <= to;
        if line.starts_with("timestamp") || of("2026-02-04T15", "2026-02-06T10") {
            writeln!(text, "{line}").unwrap();
        }
    }
    Some(file("crash.csv", text))
}

fn number(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap_or_else(|| panic!("no `{field}` in {row}"))
}

#[test]
fn books_through_the_crash_of_february_2026_are_one_flat_object_each() {
    let Some(chains) = crash() else { return };
    let (btc, eth) = ("data/price_daily_yahoo/BTC_daily.csv.gz", "data/price_daily_yahoo/ETH_daily.csv.gz");
    let (Some(btc), Some(eth)) = (shared(btc), shared(eth)) else { return };
    let Some(dvol) = shared("data/dvol/eth_dvol_daily.csv") else { return };
    let folder = directory().join("chains");
    let args = [
        "backtest",
        "--prices",
        &btc,
        &eth,
        "--implied",
        &dvol,
        "--chains",
        &chains,
        "--policy",
        "plimsoll",
        "static",
        "--horizon",
        "1",
        "--books",
        "4",
        "--report",
        folder.to_str().unwrap(),
        "--format",
        "json",
    ];
    let answer = run(&args).ok();
    assert!(answer.err.contains("a month of 31 days in"), "{}", answer.err);
    let rows = answer.json();
    let rows = rows.as_array().unwrap();
    // Two underlyings, six styles, two policies.
    let day: Vec<&Value> = rows.iter().collect();
    assert_eq!(day.len(), 24);
    let places: BTreeSet<String> = rows
        .iter()
        .map(|r| ["policy", "asset", "portfolio", "side", "horizon_days"].map(|k| r[k].to_string()).join(" "))
        .collect();
    assert_eq!(places.len(), rows.len());
    for row in &day {
        let object = row.as_object().unwrap();
        assert!(object.values().all(|v| !v.is_object() && !v.is_array()), "{row}");
        let valued = ["marked", "settled", "unmarked"].map(|field| number(row, field));
        // Calls far above an index that fell are marked at nothing, which is no mark.
        assert!(valued[0] > 0.0 && valued[2] < 0.2 * valued[0], "{row}");
        assert_eq!(number(row, "observations"), 4.0 * number(row, "instants"));
        assert_eq!(row["added_by_skew"].is_number(), row["policy"] == "plimsoll");
    }
    let of = |policy: &str, style: &str, field: &str| {
        let found = day
            .iter()
            .find(|row| row["policy"] == policy && row["asset"] == "BTC" && row["portfolio"] == style);
        number(found.unwrap(), field)
    };
    // Sold puts and covered calls lost more than a margin of a calm month, and less than one of 15 %.
    for style in ["put_seller", "covered_call"] {
        assert!(of("plimsoll", style, "uncovered_most") > 0.0, "{style}");
        assert_eq!(of("static", style, "breaches"), 0.0, "{style}");
        assert!(of("static", style, "mean_margin") > of("plimsoll", style, "mean_margin"));
    }
    assert_eq!(of("plimsoll", "strangle_seller", "breaches"), 0.0);
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.matches("<svg").count() == 2 && page.contains("put seller"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "href=", "<script", "@import", "url(http"] {
        assert!(!outside.contains(word), "{word}");
    }
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("| BTC   | 2026-02-04T15:54:01Z |"), "{text}");
    for name in ["figures.parquet", "margins.parquet", "books.parquet"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{name}");
    }
    assert_eq!(run(&args).ok().out, answer.out, "the same bytes every time");
}

#[test]
fn what_is_no_implied_volatility_or_chain_is_refused_by_name() {
    let prices = format!("BTC={}", file("btc.csv", "Date,Close\n2026-01-01,3\n2026-01-02,4\n"));
    let text = "date,dvol_close\n2026-01-01,50\n2026-01-02,nan\n2026-01-03,51\n";
    let chain = file("chain.csv", "timestamp,price\n1,2\n");
    let implied = |text: &str| format!("BTC={}", file("implied.csv", text));
    let with = |implied: &str| {
        run(&[
            "backtest",
            "--prices",
            &prices,
            "--policy",
            "static",
            "--chains",
            &chain,
            "--implied",
            implied,
        ])
    };
    with(&implied(text)).refused(&["implied.csv", "1 of 3 rows"]);
    with(&implied("date,level\n2026-01-01,50\n")).refused(&["implied.csv", "line 1", "dvol_close"]);
    with(&implied("date,dvol_close\nnever,50\n")).refused(&["line 2", "field `time`", "never"]);
    let sound = implied("date,dvol_close\n2026-01-01,50\n2026-01-02,52\n");
    with(&sound).refused(&["chain.csv", "it lacks the columns instrument_name", "implied_volatility"]);
    run(&["backtest", "--prices", &prices, "--policy", "static", "--implied", &sound]).refused(&["--chains"]);
}
