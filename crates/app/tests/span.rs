//! `plimsoll span` on the made-up clearing house of the engine's tests.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::*;
use std::io::Write;

const HOUSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../engine/tests/span/house");

const BOOK: &[u8] = b"account,exchange,product,type,expiry,lots,right,strike
alice,TST,CA,FUT,202512,5,,
alice,TST,CA,FUT,202603,-4,,
alice,TST,CA,FUT,202603,1,,
alice,TST,CA,FUT,202606,2,,
alice,TST,CB,FUT,202512,-25,,
bob,TST,CA,OOF,202511,2,C,410.00
bob,TST,CD,PHY,,1,,
bob,TST,CB,OOF,202512,-3,C,95
";

fn span(form: &str, rest: &[&str], book: &[u8]) -> Run {
    let file = format!("{HOUSE}.{form}");
    let args = [&["span", &file, "--positions", "-"], rest].concat();
    run_with(&args, book)
}

#[test]
fn both_forms_give_the_charges_worked_by_hand_in_every_format() {
    for form in ["pa2", "spn"] {
        let json = span(form, &["--format", "json"], BOOK).ok().json();
        let [alice, bob] = &json["accounts"].as_array().unwrap()[..] else { panic!("{json}") };
        let near = &alice["commodities"][0];
        // Scan 4 x 10,000; series 2 x 150 and tiers 700; 100 and 4 x 250 in delivery; half of 10,000 credited.
        for (name, amount) in
            [("scan_loss", "40000"), ("intra", "1000"), ("spot", "1100"), ("inter_credit", "5000")]
        {
            assert_eq!(near[name], amount, "{name}");
        }
        assert_eq!((&near["risk"], &near["requirement"]), (&"37100".into(), &"44520".into()));
        assert_eq!(alice["totals"]["USD"], "53520");
        // 0.03 spreads of 6,850 at one half; value 8,000.
        assert_eq!(bob["commodities"][0]["inter_credit"], "102.75");
        assert_eq!(bob["commodities"][1]["short_option_minimum"], "210");
        assert_eq!(bob["totals"]["USD"], "4878.7");
        let csv = span(form, &["--format", "csv"], BOOK).ok().text();
        assert!(csv.contains("alice,CCA,USD,40000,13,1000,1100,5000,0,37100,0,4,44520,44520"), "{csv}");
        let table = span(form, &[], BOOK).ok().text();
        assert!(table.contains("SPAN file of 20251103, settlement prices: 12 contracts"), "{table}");
        assert!(table.contains("maintenance margin, speculator") && table.contains("53520"), "{table}");
    }
}

#[test]
fn account_type_and_initial_margin_choose_the_factors() {
    let one = b"account,exchange,product,type,expiry,lots\nalice,TST,CA,FUT,202603,1\n";
    let total = |rest: &[&str]| {
        let json = span("pa2", &[rest, &["--format", "json"]].concat(), one).ok().json();
        json["accounts"][0]["totals"]["USD"].as_str().unwrap().to_owned()
    };
    assert_eq!(total(&[]), "12000");
    assert_eq!(total(&["--account-type", "member"]), "10000");
    assert_eq!(total(&["--account-type", "hedger"]), "11000");
    assert_eq!(total(&["--initial"]), "16200");
    assert_eq!(total(&["--initial", "--account-type", "member"]), "10000");
    // The XML knows no hedgers: the account fails, the command says so and answers the rest with nothing.
    let failed = span("spn", &["--account-type", "hedger", "--format", "json"], one);
    assert_eq!(failed.code, 1);
    let failures = failed.json()["failures"].to_string();
    assert!(failures.contains("lacks a level for this kind of account of CCA"), "{failures}");
}

#[test]
fn bad_positions_are_refused_with_line_field_and_reason() {
    let header = "account,exchange,product,type,expiry,lots,right,strike\n";
    let refused = |row: &str, parts: &[&str]| {
        span("pa2", &[], format!("{header}{row}\n").as_bytes()).refused(parts);
    };
    refused(
        "alice,TST,CA,FUT,202712,1,,",
        &[
            "line 2",
            "field `product`",
            "TST CA Future 202712 is not in the file, which has of this product 202512, 202603, 202606",
        ],
    );
    refused(
        "alice,TST,ZZ,FUT,202512,1,,",
        &["TST ZZ Future 202512", "which has of this kind TST CA, TST CB, TST CD"],
    );
    refused(
        "alice,TST,CA,OOF,202511,1,C,999",
        &["202511 999 Call is not in the file, which has the strike 410"],
    );
    refused("alice,TST,CA,XXX,202512,1,,", &["field `type`", "XXX"]);
    refused("alice,TST,CA,FUT,2025,1,,", &["field `expiry`", "2025"]);
    refused("alice,TST,CA,FUT,202512,1.5,,", &["field `lots`", "1.5"]);
    refused("alice,TST,CA,FUT,202512,1,C,410", &["field `right`", "which only options have"]);
    refused("alice,TST,CA,OOF,202511,1,X,410", &["field `right`", "expected C or P"]);
    refused("alice,TST,CA,OOF,202511,1,C,", &["field `strike`"]);
    span("pa2", &[], header.as_bytes()).refused(&["is empty"]);
}

#[test]
fn a_damaged_file_is_refused_with_its_line_and_record() {
    let text = std::fs::read_to_string(format!("{HOUSE}.pa2")).unwrap();
    let path = std::env::temp_dir().join(format!("plimsoll-span-{}.pa2", std::process::id()));
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(text.replacen("03330+", "03330?", 1).as_bytes()).unwrap();
    let run = run_with(&["span", path.to_str().unwrap(), "--positions", "-"], BOOK);
    run.refused(&["record `81`", "field `array value`", "`?`", "expected a sign: +, - or blank"]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_of_another_kind_is_refused_with_how_a_span_file_begins() {
    for text in ["", "{}", "account,lots\n", "<html></html>"] {
        let path = file("other", text);
        let run = run_with(&["span", &path, "--positions", "-"], BOOK);
        run.refused(&[
            &path,
            "line 1",
            "a SPAN file begins with a record `0 ` if .pa2, with <spanFile> if .spn",
        ]);
    }
}
