//! Presets as documents: what a head says, and that what it says of the linter is so.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{BOOK, PLAIN};
use plimsoll_engine::{BuildOptions, Desk, EngineError, Market, PRESETS, ParamSet};
use plimsoll_margin::LintCode;

/// The comment before the first key, line by line without its marks.
fn head(text: &str) -> Vec<&str> {
    let lines = text.lines().take_while(|line| line.starts_with('#'));
    lines.map(|line| line.trim_start_matches('#').trim_start()).collect()
}

fn needs_allow_lint(text: &str) -> bool {
    head(text).iter().any(|line| line.contains("--allow-lint"))
}

fn has_year(line: &str) -> bool {
    let digits = |word: &str| word.len() == 4 && word.starts_with("20") && word.parse::<u16>().is_ok();
    line.split(|c: char| !c.is_ascii_alphanumeric()).any(digits)
}

fn assembled(name: &str, allow_lint: bool) -> Result<Desk, EngineError> {
    let params = ParamSet::preset(name).unwrap();
    let market = Market::new(common::snapshot(PLAIN), &params);
    let book = common::builder(&params, &BOOK);
    Desk::assemble(params, market, book, &[], &BuildOptions { allow_lint, ..BuildOptions::default() })
}

#[test]
fn every_head_states_what_the_method_is_its_formulas_its_source_and_a_date() {
    for (name, text) in PRESETS {
        let head = head(text);
        assert!((10..=40).contains(&head.len()), "{name}: {} lines", head.len());
        assert!(head[0].ends_with(['.', ',']), "{name}: {}", head[0]);
        let place = |word: &str| head.iter().position(|line| line.starts_with(word));
        let formulas = place("Formulas:").unwrap_or_else(|| unreachable!("{name} has no formulas"));
        let source = place("Source:").unwrap_or_else(|| unreachable!("{name} has no source"));
        assert!(formulas < source, "{name}");
        assert!(head[source..].iter().take_while(|line| !line.is_empty()).any(|l| has_year(l)), "{name}");
        assert!(place("An account of ours").is_some(), "{name} does not say what an account needs");
        let formulas = head[formulas..source].join(" ");
        let words: Vec<&str> = formulas.split(|c: char| !c.is_ascii_lowercase()).collect();
        assert!(words.contains(&"im") && words.contains(&"mm"), "{name}");
    }
}

#[test]
fn every_preset_reads_by_its_name_and_lints_clean_unless_its_head_says_otherwise() {
    for (name, text) in PRESETS {
        let params = ParamSet::preset(name).unwrap();
        assert_eq!(params.name, name);
        assert_eq!(params.lint().is_empty(), !needs_allow_lint(text), "{name}: {:?}", params.lint());
    }
}

#[test]
fn a_published_set_that_fails_the_linter_names_its_rule_and_is_refused_unless_allowed() {
    let failing: Vec<_> = PRESETS.iter().filter(|(_, text)| needs_allow_lint(text)).collect();
    assert_eq!(failing.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["derive-pmrm2-script"]);
    for (name, text) in failing {
        let codes: Vec<&str> = ParamSet::preset(name).unwrap().lint().iter().map(|f| f.code.code()).collect();
        assert_eq!(codes, ["discount_swapped"]);
        assert!(codes.iter().all(|code| head(text).iter().any(|line| line.contains(code))), "{name}");
        assert!(matches!(assembled(name, false), Err(EngineError::Lint { .. })), "{name}");
        assert!(assembled(name, true).is_ok(), "{name}");
    }
}

#[test]
fn the_script_differs_from_its_corrected_set_in_the_static_discounts_alone() {
    let (right, published) = ("derive-pmrm2", "derive-pmrm2-script");
    let text = |name: &str| PRESETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let swapped = text(right)
        .replace("long_discount = { base = 0.95", "long_discount = { base = 1.05")
        .replace("short_discount = { base = 1.04", "short_discount = { base = 0.95");
    let mut params = ParamSet::from_toml(&swapped, "swapped").unwrap();
    let script = ParamSet::preset(published).unwrap();
    (params.name, params.description) = (script.name.clone(), script.description.clone());
    assert_eq!(params, script);
}

/// A venue publishes maintenance margin as 1.2 times initial margin and no more of its method: the ratio is refused
/// whatever the method.
#[test]
fn maintenance_of_one_and_a_fifth_initial_margin_is_refused_by_name() {
    let text = |name: &str| PRESETS.iter().find(|(known, _)| *known == name).unwrap().1;
    let scaled = text("plimsoll").replace("mm_scale = 0.8 ", "mm_scale = 1.2 ");
    let fixed = text("fixed").replace("im_ratio = 1.5, mm_ratio = 1.25", "im_ratio = 1.0, mm_ratio = 1.2");
    for (text, subject) in [(scaled, "im_scale"), (fixed, "fixed")] {
        let found = ParamSet::from_toml(&text, "inverted").unwrap().lint();
        assert!(found.iter().all(|finding| finding.code == LintCode::ImBelowMm), "{found:?}");
        assert_eq!((found[0].code.code(), found[0].subject.as_str()), ("im_below_mm", subject));
    }
}
