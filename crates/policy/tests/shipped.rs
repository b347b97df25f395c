//! The policies that are shipped: each runs, each is what it says, and the linter says what it has to say of it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, at, price};
use plimsoll_policy::{Key, Knob, POLICIES, Policy, PolicyError, Rule, Scope, State, step};
use plimsoll_quant::procyclicality::{Convention, MarginModel, margins};
use plimsoll_types::{NANO, Ppb, Timestamp};
use std::collections::BTreeSet;

fn rules(policy: &Policy) -> BTreeSet<Rule> {
    policy.lint().into_iter().map(|finding| finding.rule).collect()
}

#[test]
fn every_shipped_policy_is_one_and_is_called_as_its_file() {
    for (name, text) in POLICIES {
        let policy = Policy::from_toml(text).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(policy.name(), name);
        assert!(policy.description().ends_with('.'), "{name}");
    }
}

#[test]
fn the_linter_has_nothing_against_our_own_policy() {
    let policy = Policy::from_toml(POLICIES[0].1).unwrap();
    let findings: Vec<String> = policy.lint().iter().map(ToString::to_string).collect();
    assert_eq!(findings, Vec::<String>::new());
}

#[test]
fn the_linter_says_what_is_wrong_with_the_base_lines() {
    let of =
        |name: &str| rules(&Policy::from_toml(POLICIES.iter().find(|(n, _)| *n == name).unwrap().1).unwrap());
    let free = [Rule::Unbounded, Rule::LoosensFast, Rule::NoNotice, Rule::NoGlide];
    let with = |more: &[Rule]| free.iter().chain(more).copied().collect::<BTreeSet<_>>();
    assert_eq!(of("ewma"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("ewma-buffer"), with(&[Rule::Elastic]));
    assert_eq!(of("garch"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("historical"), with(&[Rule::Procyclical]));
    assert_eq!(of("fhs"), with(&[Rule::Procyclical, Rule::Elastic]));
    assert_eq!(of("fhs-capped"), with(&[]));
    assert_eq!(of("static"), BTreeSet::from([Rule::NoGlide]));
    assert_eq!(of("venue-2025"), BTreeSet::from([Rule::NoNotice, Rule::NoGlide]));
    assert_eq!(
        of("span-like"),
        BTreeSet::from([Rule::Unbounded, Rule::Procyclical, Rule::FasterThanLimits, Rule::NoGlide])
    );
}

/// In our own policy every number says why it has its value.
#[test]
fn every_number_of_our_own_policy_has_a_comment() {
    for (i, line) in POLICIES[0].1.lines().enumerate() {
        let (code, comment) = line.split_once('#').unwrap_or((line, ""));
        let number =
            code.split_once('=').is_some_and(|(_, value)| value.contains(|c: char| c.is_ascii_digit()));
        assert!(!number || comment.trim().len() > 3, "line {}: {line}", i + 1);
    }
}

#[test]
fn a_policy_that_is_not_shipped_is_refused_with_the_names_of_those_that_are() {
    let Err(PolicyError::Unknown { known, .. }) = Policy::shipped("calm") else { panic!() };
    assert!(known.starts_with("plimsoll, static"));
}

#[test]
fn a_venue_moves_by_hand_days_after_the_crash() {
    let policy = Policy::shipped("venue-2025").unwrap();
    let start: Timestamp = "2020-03-10T00:00:00Z".parse().unwrap();
    let mut state = State::new(&policy, start).unwrap();
    let key = Key { knob: Knob::PriceScanDown, scope: Scope::default() };
    let mut values = Vec::new();
    for day in 0..120 {
        let close = if day < 3 { 8_000.0 } else { 5_000.0 };
        step(&policy, &mut state, &price(start.seconds() + DAY * day, close)).unwrap();
        values.push(state.board().get(&key).unwrap().value());
    }
    // 2020-03-10 to 15, from the 16th, from 2020-06-15.
    let percent = |n: i64| Ppb(NANO / 100 * n);
    assert_eq!(
        (values[5], values[6], values[96], values[97]),
        (percent(15), percent(25), percent(25), percent(20))
    );
}

#[test]
fn what_never_moves_never_moves() {
    let policy = Policy::shipped("static").unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(1);
    let returns: Vec<f64> = (0..300).map(|_| 0.5 * dice.bell()).collect();
    assert!(along(&policy, &mut state, 0, &returns).iter().all(|decision| decision.changes.is_empty()));
}

/// The base lines are the margin models of `quant`, one step at a time.
#[test]
fn base_lines_are_the_margin_models_they_are_called_after() {
    let mut dice = Dice(4);
    let returns: Vec<f64> = (0..1_400).map(|_| 0.1 * dice.bell()).collect();
    let lambda = 0.97;
    let models = [
        ("historical", MarginModel::Historical { window: 730 }, 2e-6),
        ("ewma", MarginModel::Ewma { lambda }, 2e-6),
        ("fhs", MarginModel::Filtered { lambda, window: 730, cap: None }, 2e-6),
    ];
    for (name, model, error) in models {
        let policy = Policy::shipped(name).unwrap();
        let mut state = State::new(&policy, at(0)).unwrap();
        // The first price makes no return.
        along(&policy, &mut state, 0, &[0.0]);
        let mut close = 100.0;
        for (day, change) in (1..).zip(&returns) {
            close *= 1.0 + change;
            step(&policy, &mut state, &price(DAY * day, close)).unwrap();
        }
        let key = Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") };
        let own = state.board().get(&key).unwrap().value().to_f64();
        let whole = margins(&returns, &model, &Convention { confidence: 0.99, warm_up: 500 }).unwrap();
        let theirs = whole[whole.len() - 1];
        assert!((own - theirs).abs() <= error, "{name}: {own} {theirs}");
    }
}
