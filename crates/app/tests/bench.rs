//! `plimsoll bench`: its forms, its inputs, and answers that are the same however they are computed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::tests_outside_test_module,
    reason = "a panic is how a test fails, and this whole file is tests"
)]

mod common;

use common::{directory, run};
use std::collections::{BTreeMap, BTreeSet};

const FIELDS: [&str; 9] = [
    "workload",
    "threads",
    "median_ms",
    "min_ms",
    "max_ms",
    "ns_per_unit",
    "bytes",
    "flops",
    "roofline_share",
];

/// Digests of the answers by workload, as the table of a run has them.
fn digests(args: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let text = run(&[&["bench", "--quick", "--format", "csv"], args].concat()).ok().text();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let (name, digest) = (at("workload"), at("digest"));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        found.entry(record[name].to_owned()).or_default().insert(record[digest].to_owned());
    }
    found
}

#[test]
fn json_is_an_array_of_rows_with_exactly_nine_fields() {
    let rows = run(&["bench", "--quick", "--workload", "W1", "--format", "json"]).ok().json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let row = row.as_object().unwrap();
        assert_eq!(row.keys().map(String::as_str).collect::<BTreeSet<_>>(), BTreeSet::from(FIELDS));
        assert!(row["min_ms"].as_f64() <= row["median_ms"].as_f64());
        assert!(row["median_ms"].as_f64() <= row["max_ms"].as_f64());
        assert!(row["bytes"].is_u64() && row["flops"].is_u64() && row["threads"] == 1);
    }
}

#[test]
fn an_unknown_workload_is_refused_with_the_names_there_are() {
    run(&["bench", "--workload", "W9"]).refused(&["W9", "W4i"]);
}

#[test]
fn every_answer_is_the_same_on_every_path_and_number_of_threads() {
    let found = digests(&["--paths", "--threads", "1,2"]);
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    for name in ["W1", "W1g", "W2", "W3", "W4", "W4f", "W4i", "W5", "W6", "W7", "W8"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    for (name, digests) in &found {
        assert_eq!(digests.len(), 1, "{name}: {digests:?}");
    }
    assert_eq!(found["W5"], found["W5-csv"], "the same book from either form");
    assert_eq!(found["W6"], found["W6-reprice"], "the same margins whether arrays are warm or not");
    assert_eq!(found["W6"], found["W6-report"]);
}

#[test]
fn what_is_emitted_and_read_back_gives_the_same_answers() {
    let folder = directory().join("emitted");
    let folder = folder.to_str().unwrap();
    run(&["bench", "--quick", "--emit", folder]).ok();
    let (made, read) = (digests(&[]), digests(&["--input", folder]));
    assert_eq!(made, read);
    let page = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    for name in ["options", "premiums", "risk_arrays", "positions", "scan_losses", "totals", "chain", "moves"]
    {
        assert!(page.contains(&format!("### `{name}`")), "{name} is not described");
    }
}

#[test]
fn a_table_names_the_machine_its_limits_and_the_memory() {
    let text = run(&["bench", "--quick", "--workload", "W3"]).ok().text();
    for part in ["machine: ", "triad ", "GFLOP/s", "| W3 ", "peak_mb", "roofline_share"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn growth_is_drawn() {
    let picture = directory().join("growth.svg");
    run(&["bench", "--quick", "--grow", "--svg", picture.to_str().unwrap()]).ok();
    let text = std::fs::read_to_string(picture).unwrap();
    for part in ["accounts", "positions per account", "scenarios", "1 thread", "2 threads"] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn a_flood_of_five_times_what_can_be_taken_loses_nothing_and_prices_go_through() {
    let args = [
        "bench",
        "serve",
        "--flood",
        "--accounts",
        "500",
        "--rate",
        "50",
        "--seconds",
        "2",
        "--format",
        "json",
    ];
    let answer = run(&args).ok().json();
    let rows = answer.as_array().or_else(|| answer["rows"].as_array()).unwrap();
    let row = |what: &str| rows.iter().find(|row| row["what"].as_str().unwrap().starts_with(what)).unwrap();
    let ticked = row("tick to margins as new, in the flood");
    // Every tick was followed, by its own price or by a later one.
    assert_eq!(ticked["count"].as_u64().unwrap(), 20, "{ticked}");
    println!("{answer:#}");
    for what in ["tick to margins as new", "check over HTTP"] {
        assert!(row(what)["p99_ms"].as_f64().unwrap() > 0.0, "{answer}");
    }
}
