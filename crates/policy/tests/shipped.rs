//! The policies that are shipped: each runs, each is what it says, and the linter says what it has to say of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{Policy, Rule};
use std::collections::BTreeSet;

const SHIPPED: [(&str, &str); 10] = [
    ("plimsoll", include_str!("../../../policies/plimsoll.toml")),
    ("static", include_str!("../../../policies/static.toml")),
    ("ewma", include_str!("../../../policies/ewma.toml")),
    ("ewma-buffer", include_str!("../../../policies/ewma-buffer.toml")),
    ("garch", include_str!("../../../policies/garch.toml")),
    ("historical", include_str!("../../../policies/historical.toml")),
    ("fhs", include_str!("../../../policies/fhs.toml")),
    ("fhs-capped", include_str!("../../../policies/fhs-capped.toml")),
    ("span-like", include_str!("../../../policies/span-like.toml")),
    ("venue-2025", include_str!("../../../policies/venue-2025.toml")),
];

fn rules(policy: &Policy) -> BTreeSet<Rule> {
    policy.lint().into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn every_shipped_policy_is_one_and_is_called_as_its_file() {
    for (name, text) in SHIPPED {
        let policy = Policy::from_toml(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(policy.name(), name);
        assert!(policy.description().ends_with('.'), "{name}");
    }
}

#[test]
fn the_linter_has_nothing_against_our_own_policy() {
    let policy = Policy::from_toml(SHIPPED[0].1).unwrap();
    let findings: Vec<String> = policy.lint().iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn the_linter_says_what_is_wrong_with_the_base_lines() {
    let of =
        |name: &str| rules(&Policy::from_toml(SHIPPED.iter().find(|(n, _)| *n == name).unwrap().1).unwrap());
    let free = [Rule::LoosensFast, Rule::NoNotice, Rule::NoGlide];
    let with = |more: &[Rule]| free.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(of("ewma"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("ewma-buffer"), with(&[Rule::Elastic]));
    assert_eq!(of("garch"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("historical"), with(&[Rule::Procyclical]));
    assert_eq!(of("fhs"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("fhs-capped"), with(&[]));
    assert_eq!(of("static"), BTreeSet::from([Rule::NoGlide]));
    assert_eq!(of("venue-2025"), BTreeSet::from([Rule::NoNotice, Rule::NoGlide]));
    assert_eq!(of("span-like"), BTreeSet::from([Rule::Procyclical, Rule::FasterThanLimits, Rule::NoGlide]));
}

/// In our own policy every number says why it has its value.
#[test]
fn every_number_of_our_own_policy_has_a_comment() {
    for (i, line) in SHIPPED[0].1.lines().enumerate() {
        let (code, comment) = line.split_once('#').unwrap_or((line, ""));
        let number =
            code.split_once('=').is_some_and(|(_, value)| value.contains(|c: char| c.is_ascii_digit()));
        assert!(!number || comment.trim().len() > 3, "line {}: {line}", i + 1);
    }
}
