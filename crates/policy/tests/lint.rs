//! Every rule of the linter, one by one: a change of our own policy, which it has nothing against, that brings it up and nothing
//! else does.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::plimsoll;
use plimsoll_policy::{Cause, Knob, Motion, Policy, PolicyFile, Quantile, Rule, Stress, TargetSpec};
use plimsoll_types::{NANO, Ppb};
use std::collections::BTreeSet;

fn scan(file: &mut PolicyFile) -> &mut Motion {
    file.motions.get_mut("scan").unwrap()
}

fn each_quantile(file: &mut PolicyFile, change: impl Fn(&mut Quantile)) {
    for parameter in &mut file.parameters {
        if let TargetSpec::Quantile(of) = &mut parameter.target {
            change(of);
        }
    }
}

fn each_stress(file: &mut PolicyFile, change: impl Fn(&mut Stress)) {
    each_quantile(file, |of| of.stress.iter_mut().for_each(&change));
}

/// What the linter has against our own policy with a change.
fn found(change: impl FnOnce(&mut PolicyFile)) -> BTreeSet<Rule> {
    let mut file = plimsoll().file().clone();
    change(&mut file);
    Policy::new(file).unwrap().lint().into_iter().map(|finding| finding.rule).collect()
}

fn only(rule: Rule, change: impl FnOnce(&mut PolicyFile)) {
    assert_eq!(found(change), BTreeSet::from([rule]), "{rule:?}");
}

#[test]
fn without_a_change_it_has_nothing_to_say() {
    assert_eq!(found(|_| ()), BTreeSet::new());
}

#[test]
fn motions_are_looked_at_one_rule_at_a_time() {
    only(Rule::Unbounded, |file| scan(file).limits.unbounded = true);
    only(Rule::LoosensFast, |file| scan(file).limits.window_down = Ppb(NANO * 6 / 10));
    only(Rule::NoNotice, |file| {
        let announce = &mut scan(file).announce;
        (announce.notice_seconds, announce.ramp_seconds) = (0, 0);
    });
    only(Rule::FasterThanLimits, |file| scan(file).stabiliser.loosen_per_day = 0.1);
    only(Rule::WideBand, |file| scan(file).stabiliser.band_up = 0.11);
}

#[test]
fn a_value_that_cannot_rise_in_time_is_found_whatever_holds_it_back() {
    // The stabiliser.
    only(Rule::SlowToTighten, |file| scan(file).stabiliser.tighten_per_day = 0.4);
    // A small step, and a window.
    only(Rule::SlowToTighten, |file| scan(file).limits.up = Ppb(NANO / 2));
    only(Rule::SlowToTighten, |file| {
        (scan(file).limits.up, scan(file).limits.window_up) = (Ppb(NANO / 2), Ppb(NANO * 56 / 100));
    });
    // One without floor and cap: a quarter a day.
    only(Rule::SlowToTighten, |file| file.motions.get_mut("slow").unwrap().limits.up = Ppb(NANO * 24 / 100));
}

#[test]
fn targets_are_looked_at_one_rule_at_a_time() {
    only(Rule::Procyclical, |file| {
        each_stress(file, |stress| (stress.floor, stress.weight) = (0.0, 0.0));
        each_quantile(file, |of| {
            // Without a long run that counts, order statistics do not answer volatility.
            let slow = of.stress.unwrap().estimator;
            of.now = vec![slow];
        });
    });
    only(Rule::ThinStress, |file| each_stress(file, |stress| (stress.floor, stress.weight) = (0.0, 0.2)));
    only(Rule::Elastic, |file| each_stress(file, |stress| stress.weight = 0.0));
    only(Rule::LowConfidence, |file| each_quantile(file, |of| of.confidence = 0.98));
    only(Rule::LowCap, |file| each_stress(file, |stress| stress.cap = 0.95));
    only(Rule::LowMaximum, |file| scan(file).limits.maximum = Ppb(NANO / 2));
    only(Rule::LooseTracker, |file| {
        each_quantile(file, |of| of.tracking.iter_mut().for_each(|tracking| tracking.least = -0.5));
    });
}

#[test]
fn the_rest_of_a_policy_is_looked_at_one_rule_at_a_time() {
    let by = |file: &mut PolicyFile, most: f64| {
        let adjusters = file.adjusters.as_mut().unwrap();
        adjusters.by.get_mut(&Cause::Skew).unwrap().slope.most = most;
    };
    only(Rule::StrongAdjusters, |file| file.adjusters.as_mut().unwrap().product_max = 2.5);
    only(Rule::StrongAdjusters, |file| by(file, 2.2));
    only(Rule::IdleAdjuster, |file| {
        file.adjusters.as_mut().unwrap().by.get_mut(&Cause::Skew).unwrap().knobs = vec![Knob::Haircut];
    });
    only(Rule::IdleAdjuster, |file| {
        let skew = file.adjusters.as_mut().unwrap().by.get_mut(&Cause::Skew).unwrap();
        skew.scope.tier = Some("maker".to_owned());
    });
    let mut file = Policy::shipped("plimsoll").unwrap().file().clone();
    let skew = file.adjusters.as_mut().unwrap().by.get_mut(&Cause::Skew).unwrap();
    skew.scope.tier = Some("mkaer".to_owned());
    let refused = Policy::new(file).unwrap_err();
    assert!(refused.to_string().contains("tier `mkaer`"), "{refused}");
    only(Rule::ShortTimelock, |file| file.governance.as_mut().unwrap().timelock_seconds = 86_399);
    only(Rule::NoGlide, |file| file.glide = None);
}

/// What an attack got past: refused now, with the number.
#[test]
fn what_could_loosen_without_limit_or_contradicts_itself_is_no_policy() {
    type Attack = (&'static str, fn(&mut PolicyFile));
    let attacks: [Attack; 12] = [
        ("fall by", |file| {
            let motion = scan(file);
            (motion.limits.down, motion.limits.window_down) =
                (Ppb(NANO / 1000 * 999), Ppb(NANO / 10_000 * 9_999));
            motion.limits.delay_down_seconds = 0;
        }),
        ("fall by", |file| {
            let limits = &mut scan(file).limits;
            (limits.window_seconds, limits.delay_down_seconds) = (1, 0);
        }),
        ("loosen_per_day", |file| scan(file).stabiliser.loosen_per_day = 2.9),
        ("minimum", |file| scan(file).limits.minimum = Ppb(1)),
        ("rise", |file| {
            let limits = &mut scan(file).limits;
            (limits.up, limits.delay_up_seconds) = (Ppb(NANO / 1000), 30 * 86_400);
        }),
        ("delay_up_seconds", |file| scan(file).limits.delay_up_seconds = i64::MAX),
        ("ramp_seconds", |file| scan(file).announce.ramp_seconds = i64::MAX),
        ("tracking.least", |file| {
            each_quantile(file, |of| of.tracking.iter_mut().for_each(|t| t.least = -50.0));
        }),
        ("tracking.gain", |file| each_quantile(file, |of| of.tracking.iter_mut().for_each(|t| t.gain = 5.0))),
        ("times", |file| {
            for parameter in &mut file.parameters {
                if let TargetSpec::PriceScan { times, .. } = &mut parameter.target {
                    *times = 1e-6;
                }
            }
        }),
        ("quorum", |file| file.governance.as_mut().unwrap().quorum = 0),
        ("step_seconds", |file| file.observation.step_seconds = i64::MAX),
    ];
    for (names, attack) in attacks {
        let mut file = plimsoll().file().clone();
        attack(&mut file);
        let refused = Policy::new(file).unwrap_err().to_string();
        assert!(refused.contains(names), "{names}: {refused}");
    }
}

/// A key stands for one parameter: stated for all and for each underlying at once, one of the two would be passed over.
#[test]
fn a_parameter_for_all_and_for_each_underlying_is_one_too_many() {
    let mut file = plimsoll().file().clone();
    let mut own = file.parameters.iter().find(|p| p.knob == Knob::MmScale).unwrap().clone();
    own.each_underlying = true;
    file.parameters.push(own.clone());
    assert!(Policy::new(file.clone()).unwrap_err().to_string().contains("stated twice"));
    // Each underlying's own scale is looked at where another underlying is named too.
    file.parameters.retain(|p| p.knob != Knob::MmScale);
    file.parameters.push(own);
    let mut named = file.parameters.iter().find(|p| p.knob == Knob::ImScale).unwrap().clone();
    (named.scope.underlying, named.target) =
        (Some("BTC".to_owned()), TargetSpec::Stated { value: Ppb(NANO / 2) });
    file.parameters.push(named);
    let refused = Policy::new(file).unwrap_err();
    assert!(refused.to_string().starts_with("at BTC"), "{refused}");
}
