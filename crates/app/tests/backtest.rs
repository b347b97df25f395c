//! `plimsoll backtest` on files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{directory, file, run, shared};
use serde_json::Value;

/// The policies that come with the program.
fn policy(name: &str) -> String {
    format!("{}/../../policies/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

/// A perpetual of both sides.
const PERPETUALS: &str = "
[[portfolio]]
name = \"perpetual\"
side = \"long\"
legs = [{ kind = \"perpetual\", quantity = 1 }]
[[portfolio]]
name = \"perpetual\"
side = \"short\"
legs = [{ kind = \"perpetual\", quantity = -1 }]
";

/// Daily prices that swing by 1 to 5 %.
fn prices(days: i64) -> String {
    let mut text = "Date,Close,High,Low,Open\n".to_owned();
    let mut price = 100.0;
    for day in 0..days {
        let size = if (day / 60) % 2 == 0 { 0.01 } else { 0.04 };
        price *= 1.0 + size * (((day * 37) % 101) as f64 / 50.0 - 1.0);
        let at = plimsoll_types::Timestamp::from_seconds(1_500_000_000 + day * 86_400).date();
        text += &format!("{:04}-{:02}-{:02},{price},{price},{price},{price}\n", at.0, at.1, at.2);
    }
    text
}

fn number(row: &Value, field: &str) -> f64 {
    row[field].as_f64().unwrap_or_else(|| panic!("no `{field}` in {row}"))
}

#[test]
fn json_is_one_flat_object_for_each_policy_portfolio_side_and_horizon() {
    let prices = format!("BTC={}", file("btc.csv", prices(500)));
    let (one, other) = (policy("ewma"), policy("static"));
    let args =
        ["backtest", "--prices", &prices, "--policy", &one, &other, "--warm-up", "200", "--format", "json"];
    let answer = run(&args).ok().json();
    let rows = answer.as_array().unwrap();
    assert_eq!(rows.len(), 2 * 10 * 2);
    let fields = [
        "breaches",
        "expected",
        "kupiec_p",
        "independence_p",
        "conditional_p",
        "traffic_light",
        "mean_margin",
        "median_margin",
        "peak_to_trough",
        "rise_1d",
        "rise_5d",
        "rise_30d",
        "quantile_score",
        "overshoot",
        "settling_days",
        "capital_against_fixed",
        "capital_against_static",
        "diebold_mariano_p",
        "acerbi_szekely",
        "breach_severity",
        "changes_per_month",
        "attributed_share",
        "breaches_before",
        "breaches_after",
    ];
    for row in rows {
        let object = row.as_object().unwrap();
        assert!(object.values().all(|v| !v.is_object() && !v.is_array()), "{row}");
        assert!(fields.iter().all(|field| object.contains_key(*field)), "{row}");
        assert!(number(row, "mean_margin") > 0.0);
    }
    let places: std::collections::BTreeSet<String> = rows
        .iter()
        .map(|r| ["policy", "asset", "portfolio", "side", "horizon_days"].map(|k| r[k].to_string()).join(" "))
        .collect();
    assert_eq!(places.len(), rows.len());
    assert_eq!(run(&args).ok().out, run(&args).ok().out, "the same bytes every time");
}

#[test]
fn a_report_is_complete_and_asks_for_nothing_from_outside() {
    let prices = format!("BTC={}", file("btc.csv", prices(700)));
    let folder = directory().join("report");
    let portfolios = file("perpetuals.toml", PERPETUALS);
    let (one, other) = ("plimsoll", "static");
    run(&[
        "backtest",
        "--prices",
        &prices,
        "--policy",
        one,
        other,
        "--warm-up",
        "200",
        "--portfolios",
        &portfolios,
        "--report",
        folder.to_str().unwrap(),
        "--format",
        "md",
    ])
    .ok();
    let page = std::fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.matches("<svg").count() >= 3 && page.contains("Diebold"));
    let outside = page.replace("http://www.w3.org/2000/svg", "");
    for word in ["http:", "https:", "src=", "href=", "<script", "@import", "url("] {
        assert!(!outside.contains(word), "{word}");
    }
    let text = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(text.contains("| plimsoll | BTC") && text.contains("# Backtest"));
    for name in ["figures.parquet", "margins.parquet", "changes.parquet"] {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{name}");
    }
}

#[test]
fn prices_that_cannot_be_bridged_are_refused_with_the_file_and_the_number() {
    let policy = policy("static");
    let refused = |text: &str, parts: &[&str]| {
        let prices = format!("BTC={}", file("bad.csv", text));
        run(&["backtest", "--prices", &prices, "--policy", &policy]).refused(parts);
    };
    refused("Date,Volume\n2020-01-01,3\n", &["bad.csv: line 1", "no column of prices"]);
    refused("Date,Close\nyesterday,3\n", &["line 2", "field `time`", "yesterday"]);
    refused("Date,Close\n2020-01-01,3\n2020-01-01,4\n", &["BTC", "two prices at 2020-01-01", "3 and 4"]);
    refused("Date,Close\n2020-01-01,3\n", &["1 rows with a price"]);
    refused("Date,Close\n", &["no row of prices"]);
    let constant: String = (1..29).map(|day| format!("2020-01-{day:02},7\n")).collect();
    refused(&format!("Date,Close\n{constant}"), &["the series is constant"]);
    refused(&prices(300), &["300 rows, 730 days of warm-up"]);
    let bad_policy = file("policy.toml", "name = \"x\"");
    let sound = format!("BTC={}", file("btc.csv", prices(900)));
    run(&["backtest", "--prices", &sound, "--policy", &bad_policy]).refused(&["policy.toml"]);
    run(&["backtest", "--prices", &sound, "--policy", &policy, "--horizon", "30"])
        .refused(&["the horizon", "lives 30 days"]);
}

/// The figures of the reference implementation in Python (EWMA of squared simple returns at 0.97, normal, on Yahoo's closes),
/// and those of the default policy on the same.
#[test]
fn bitcoin_since_2016_has_the_breaches_that_are_known() {
    let Some(prices) = shared("data/price_daily_yahoo/BTC_daily.csv.gz") else { return };
    let portfolios = file("perpetuals.toml", PERPETUALS);
    let policies = ["ewma", "ewma-buffer", "plimsoll"].map(policy);
    let [a, b, c] = &policies;
    let answer = run(&[
        "backtest",
        "--prices",
        &prices,
        "--policy",
        a,
        b,
        c,
        "--portfolios",
        &portfolios,
        "--format",
        "json",
    ])
    .ok()
    .json();
    let row = |policy: &str, side: &str, days: f64| {
        let found =
            answer.as_array().unwrap().iter().find(|r| {
                r["policy"] == policy && r["side"] == side && r["horizon_days"].as_f64() == Some(days)
            });
        found.unwrap().clone()
    };
    for (policy, side, days, breaches, mean, peak) in [
        ("ewma", "long", 1.0, 52.0, 0.0812, 5.43),
        ("ewma", "short", 1.0, 71.0, 0.0812, 5.43),
        ("ewma-buffer", "long", 1.0, 28.0, 0.1015, 5.43),
        ("ewma", "long", 2.0, 40.0, 0.1149, 5.43),
        ("ewma-buffer", "long", 2.0, 25.0, 0.1436, 5.43),
    ] {
        let row = row(policy, side, days);
        let n = if days == 1.0 { 3028.0 } else { 3027.0 };
        assert_eq!(
            (number(&row, "observations"), number(&row, "breaches")),
            (n, breaches),
            "{policy} {side}"
        );
        assert!((number(&row, "mean_margin") - mean).abs() < 1e-4, "{row}");
        assert!((number(&row, "peak_to_trough") - peak).abs() < 0.02, "{row}");
    }
    let long = row("plimsoll", "long", 1.0);
    for field in ["kupiec_one_sided_p", "independence_p", "conditional_p"] {
        assert!(number(&long, field) >= 0.05, "{field} of {long}");
    }
    assert_eq!((long["traffic_light"].as_str(), number(&long, "attributed_share")), (Some("green"), 1.0));
    assert!(number(&long, "capital_against_ewma-buffer") <= 0.95);
    assert!(number(&long, "overshoot") <= 0.10);
}
