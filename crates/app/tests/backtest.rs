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
    let first = &rows[0];
    for (field, count) in [("gaps", 0.0), ("dropped", 0.0), ("bridged", 0.0), ("left_out", 1.0)] {
        assert_eq!(number(first, field), count, "{field}");
    }
    // EWMA has an estimate after thirty returns, and the base line that never moves needs none.
    assert!((30.0..35.0).contains(&number(first, "on_stress_floor")), "{first}");
    assert!(number(first, "maintenance_breaches") >= number(first, "breaches"));
    let told = run(&args).ok().err;
    for part in [
        "portfolio `pair` long on BTC is left out: it holds 2 assets, 1 given",
        "1 portfolios left out",
        "ewma: BTC:",
    ] {
        assert!(told.contains(part), "{told}");
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

/// Runs one policy on perpetuals over a day, with more arguments.
fn judged(prices: &str, more: &[&str]) -> common::Run {
    let portfolios = file("perpetuals.toml", PERPETUALS);
    let fixed = ["backtest", "--prices", prices, "--policy", "ewma", "--portfolios", &portfolios];
    let rest = ["--horizon", "1", "--warm-up", "200", "--format", "json"];
    run(&[&fixed[..], &rest[..], more].concat())
}

/// The daily prices with times written by a function of the day's first second.
fn dated(days: i64, time: impl Fn(i64) -> String) -> String {
    let day = |i: i64| 1_500_076_800 + i * 86_400;
    let text = prices(days);
    let closes = text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap());
    let rows = (0..).zip(closes).map(|(i, close)| format!("{},{close}\n", time(day(i))));
    format!("time,close\n{}", rows.collect::<String>())
}

#[test]
fn times_in_seconds_and_west_of_greenwich_are_the_same_instants() {
    let of = |time: &dyn Fn(i64) -> String| {
        let prices = format!("BTC={}", file("times.csv", dated(400, time)));
        judged(&prices, &[]).ok().json()
    };
    let expected = of(&|seconds| (1000 * seconds).to_string());
    assert_eq!(number(&expected[0], "observations"), 199.0);
    for by in [1, 1_000_000, 1_000_000_000] {
        assert_eq!(of(&|seconds| (seconds * by).to_string()), expected, "{by}");
    }
    let west = |seconds: i64| {
        let local = plimsoll_types::Timestamp::from_seconds(seconds - 5 * 3600).to_string();
        local.replace('Z', "-05:00")
    };
    assert_eq!(of(&west), expected);
}

#[test]
fn a_close_is_known_when_its_bar_ends() {
    let prices = format!("BTC={}", file("btc.csv", prices(400)));
    let first = |more: &[&str]| judged(&prices, more).ok().json()[0].clone();
    let (open, close) = (first(&[]), first(&["--label", "close"]));
    let at = |row: &Value| row["first"].as_str().unwrap().parse::<plimsoll_types::Timestamp>().unwrap();
    assert_eq!(at(&close).seconds_until(at(&open)), 86_400.0);
    assert_eq!((&open["breaches"], &open["mean_margin"]), (&close["breaches"], &close["mean_margin"]));
}

#[test]
fn what_is_bridged_is_counted_in_every_form() {
    let mut lines: Vec<String> = prices(500).lines().map(str::to_owned).collect();
    lines[300] = lines[300].replace(',', ",9");
    for i in [100, 130, 160, 190, 220, 250] {
        let date = lines[i].split(',').next().unwrap().to_owned();
        lines[i] = format!("{date},.,.,.,.");
    }
    lines.drain(400..403);
    let prices = format!("VIX={}", file("vix.csv", lines.join("\n")));
    let run = judged(&prices, &[]).ok();
    let row = run.json()[0].clone();
    for (field, count) in
        [("gaps", 8.0), ("dropped", 7.0), ("misplaced", 1.0), ("unit_changes", 0.0), ("bridged", 8.0)]
    {
        assert_eq!(number(&row, field), count, "{field}");
    }
    assert_eq!((&row["best_other"], &row["diebold_mariano"]), (&Value::Null, &Value::Null));
    assert!(run.err.contains("VIX: gap 8 times") && run.err.contains("VIX: unpriced 6 times"), "{}", run.err);
}

#[test]
fn lines_are_counted_alike_however_they_end() {
    let text = "Date,Close\n2020-01-01,7\n2020-01-02,8\nnever,9\n";
    for text in [text.to_owned(), text.replace('\n', "\r\n")] {
        let prices = format!("BTC={}", file("lines.csv", text));
        run(&["backtest", "--prices", &prices, "--policy", "ewma"]).refused(&["line 4", "never"]);
    }
}

#[test]
fn files_of_an_asset_that_contradict_each_other_are_refused() {
    let all = |from: usize, shift: i64| {
        let text = dated(400, |seconds| (seconds + shift).to_string());
        let rows: Vec<&str> = text.lines().skip(1).skip(from).collect();
        format!("BTC={}", file(&format!("part{from}.csv"), format!("time,close\n{}\n", rows.join("\n"))))
    };
    let (one, other) = (all(0, 0), all(200, 0));
    run(&["backtest", "--prices", &one, &other, "--policy", "static", "--warm-up", "100"]).ok();
    let text = std::fs::read_to_string(other.strip_prefix("BTC=").unwrap()).unwrap();
    let row = |(i, line): (usize, &str)| match line.split_once(',') {
        Some((time, close)) if i % 20 == 3 => {
            format!("{time},{}\n", 1.5 * close.parse::<f64>().unwrap())
        }
        _ => format!("{line}\n"),
    };
    let apart = format!("BTC={}", file("apart.csv", text.lines().enumerate().map(row).collect::<String>()));
    run(&["backtest", "--prices", &one, &apart, "--policy", "static"]).refused(&[
        "BTC: two files have 200 instants in common",
        "10 of them",
        "1.25 times apart",
    ]);
}

#[test]
fn nothing_is_judged_as_something_else() {
    let daily = format!("BTC={}", file("btc.csv", prices(400)));
    let refused = |prices: &str, more: &[&str], parts: &[&str]| {
        run(&[&["backtest", "--prices", prices, "--policy", "ewma", "--warm-up", "100"], more].concat())
            .refused(parts);
    };
    refused(
        &daily,
        &["--horizon", "1.5"],
        &["129600 s, and BTC has rows every 86400 s", "a whole number of rows"],
    );
    refused(&daily, &["--horizon", "1,1"], &["two horizons"]);
    refused(&daily, &["--preset", "fixed"], &["`fixed` asks the same whatever the price scans are"]);
    refused(
        &daily,
        &["--from", "2030-01-01T00:00:00Z"],
        &["BTC: rows are from 2017", "from 2030-01-01T00:00:00Z"],
    );
    refused(&daily, &["--from", "2018-01-01T00:00:00Z", "--to", "2017-12-01T00:00:00Z"], &["before the end"]);
    // A plain day is its midnight, and books are of chains alone.
    refused(&daily, &["--from", "2030-01-01"], &["from 2030-01-01T00:00:00Z"]);
    refused(&daily, &["--from", "2018-01-01", "--to", "2017-12-01"], &["before the end"]);
    refused(&daily, &["--from", "soon"], &["soon", "a day such as 2026-03-27"]);
    refused(&daily, &["--books", "10"], &["--books 10", "open interest of recorded chains", "--chains"]);
    refused(&daily, &["--seed", "7"], &["--seed 7", "--chains"]);
    // A venue's own method that does not serve says of which scenario.
    refused(&daily, &["--preset", "paradex"], &["the weight of a tail of spot -66 % vol up x 0.18"]);
    let minutes = format!(
        "BTC={}",
        file("minutes.csv", dated(4000, |s| (1_500_076_800 + (s - 1_500_076_800) / 1440).to_string()))
    );
    refused(&minutes, &["--horizon", "1"], &["BTC has rows every 60 s", "at most 250 rows"]);
    let long =
        format!("BTC={}", file("long.csv", format!("Date,Close\n2020-01-01,{}\n", "1".repeat(1 << 21))));
    refused(&long, &[], &["line 2 is longer than"]);
    let long = file("long.toml", format!("name = {}", "x".repeat(1_000_000)));
    let found = run(&["backtest", "--prices", &daily, "--policy", &long]);
    assert!(found.code == 2 && found.err.len() < 3000, "{} characters", found.err.len());
}

#[test]
fn a_name_that_ships_is_hidden_by_nothing_that_lies_about() {
    let folder = directory().join("lies-about");
    std::fs::create_dir_all(folder.join("ewma")).unwrap();
    for name in ["plimsoll", "static", "std"] {
        std::fs::write(folder.join(name), "not = [sound").unwrap();
    }
    let prices = format!("BTC={}", file("btc.csv", prices(400)));
    let within = |args: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plimsoll"));
        command.current_dir(&folder).args(args).output().unwrap()
    };
    let policies = ["--policy", "plimsoll", "static", "ewma", "--warm-up", "100"];
    let found = within(&[&["backtest", "--prices", &prices, "--horizon", "1"], &policies[..]].concat());
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    for (args, part) in [
        (["backtest", "--prices", &prices, "--policy", "./plimsoll"], "./plimsoll: "),
        (["backtest", "--prices", &prices, "--policy", "nosuch"], "no policy that ships: plimsoll, static"),
    ] {
        let found = within(&args);
        let err = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(found.status.code() == Some(2) && err.contains(part), "{err}");
    }
    assert!(within(&["lint", "plimsoll"]).status.success());
}

#[test]
fn lint_knows_names_and_tells_a_policy_that_breaks_off() {
    let both = run(&["lint", "plimsoll"]).ok().text();
    assert!(
        both.contains("parameter set plimsoll (") && both.contains("policy plimsoll: 0 findings"),
        "{both}"
    );
    let base = run(&["lint", "ewma"]);
    assert!(base.code == 1 && base.text().contains("policy ewma: "), "{}{}", base.text(), base.err);
    assert_eq!(run(&["lint", "--policy", "ewma"]).text(), base.text());
    let text = std::fs::read_to_string(policy("ewma")).unwrap();
    let broken = file("broken.toml", text.replacen("needed = 30", "needed = 99999999999999999999", 1));
    let found = run(&["lint", &broken]);
    assert!(found.code == 2 && !found.err.contains("unknown field `motions`"), "{}", found.err);
}
