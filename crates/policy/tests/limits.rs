//! Hard limits hold on every path: a million random and adversarial steps against a checker that keeps all history.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::Dice;
use plimsoll_policy::{Breach, DAY_FALL_MAX, InForce, Limits, LimitsError, WEEK_FALL_MAX};
use plimsoll_types::{NANO, Ppb, Timestamp};

fn limits() -> Limits {
    Limits {
        minimum: Ppb(NANO / 20),
        maximum: Ppb(NANO / 2),
        up: Ppb(NANO / 4),
        down: Ppb(NANO / 50),
        window_seconds: 7 * 86_400,
        window_up: Ppb(NANO),
        window_down: Ppb(NANO / 10),
        delay_up_seconds: 0,
        delay_down_seconds: 3_600,
        expiry_seconds: 6 * 3_600,
        step: Ppb(10_000),
        unbounded: false,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

/// All that was in force, from when to when.
struct History {
    spans: Vec<(i64, i64, i64)>,
}

impl History {
    fn value(&self) -> i64 {
        self.spans.last().unwrap().2
    }

    /// Checks a change at `now` against every rule, in plain arithmetic.
    fn check(&mut self, limits: &Limits, new: i64, now: i64) {
        let old = self.value();
        self.spans.last_mut().unwrap().1 = now;
        if new == old {
            return;
        }
        assert!(new >= limits.minimum.0 && new <= limits.maximum.0, "{new} out of bounds");
        assert_eq!(new % limits.step.0, 0);
        let nano = i128::from(NANO);
        let within = |base: i64, up: Ppb, down: Ppb| {
            let new = i128::from(new) * nano;
            new <= i128::from(base) * (nano + i128::from(up.0))
                && new >= i128::from(base) * (nano - i128::from(down.0))
        };
        assert!(within(old, limits.up, limits.down), "{old} to {new} in one update");
        for (_, until, value) in &self.spans {
            if now - until <= limits.window_seconds {
                assert!(within(*value, limits.window_up, limits.window_down), "{value} to {new} in a window");
            }
        }
        let delay = if new > old { limits.delay_up_seconds } else { limits.delay_down_seconds };
        let (since, ..) = self.spans.last().unwrap();
        assert!(self.spans.len() == 1 || now - since >= delay);
        self.spans.push((now, now, new));
        self.spans.retain(|(_, until, _)| now - until <= 2 * limits.window_seconds);
    }
}

#[test]
fn no_sequence_of_a_million_proposals_crosses_a_limit() {
    let limits = limits();
    limits.check().unwrap();
    let mut dice = Dice(1);
    let (mut accepted, mut refused, mut now) = (0, 0, 0);
    for _ in 0..50 {
        let start = Ppb(NANO / 10);
        let mut state = InForce::new(start, at(now));
        let mut history = History { spans: vec![(now, now, start.0)] };
        for _ in 0..20_000 {
            now += [0, 1, 600, 3_600, 86_400, 30 * 86_400][dice.below(6) as usize];
            let range = limits.range(&mut state, at(now)).unwrap();
            // Extremes of the range, one step beyond them, far beyond, and anything between.
            let new = match dice.below(8) {
                0 => range.least,
                1 => range.most,
                2 => Ppb(range.least.0 - limits.step.0),
                3 => Ppb(range.most.0 + limits.step.0),
                4 => Ppb(dice.below(NANO.unsigned_abs()).cast_signed()),
                5 => Ppb(i64::MAX),
                6 => Ppb(0),
                _ => {
                    let span = (range.most.0 - range.least.0 + 1).unsigned_abs();
                    limits.to_step_down(Ppb(range.least.0 + dice.below(span).cast_signed()))
                }
            };
            let before = state.value();
            match limits.apply(&mut state, new, at(now), at(now)) {
                Ok(()) => {
                    accepted += 1;
                    history.check(&limits, new.0, now);
                    assert_eq!(state.value(), new);
                }
                Err(_) => {
                    refused += 1;
                    assert_eq!(state.value(), before);
                    history.check(&limits, before.0, now);
                    assert!(new < range.least || new > range.most || new.0 % limits.step.0 != 0);
                }
            }
        }
    }
    assert!(accepted > 100_000 && refused > 100_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn the_most_a_range_allows_is_the_most_the_rules_allow() {
    let limits = limits();
    let mut state = InForce::new(Ppb(NANO / 10), at(0));
    let range = limits.range(&mut state, at(10)).unwrap();
    assert_eq!(range.most, Ppb(125_000_000));
    assert_eq!(range.least, Ppb(98_000_000));
    let one_more = Ppb(range.most.0 + limits.step.0);
    assert!(matches!(limits.validate(&mut state, one_more, at(10), at(10)), Err(Breach::Change { .. })));
    limits.validate(&mut state, range.most, at(10), at(10)).unwrap();
}

#[test]
fn a_value_outside_changed_bounds_moves_towards_them_only() {
    let wide = limits();
    let mut state = InForce::new(Ppb(NANO / 10), at(0));
    let narrow = Limits { minimum: Ppb(NANO / 5), ..wide };
    let range = narrow.range(&mut state, at(86_400)).unwrap();
    assert_eq!(range.least, Ppb(NANO / 10));
    assert_eq!(range.most, Ppb(125_000_000));
    let lower = Limits { maximum: Ppb(NANO / 20), minimum: Ppb(NANO / 100), ..wide };
    let range = lower.range(&mut state, at(86_400)).unwrap();
    assert_eq!((range.least, range.most), (Ppb(98_000_000), Ppb(NANO / 10)));
}

#[test]
fn each_limit_has_its_own_refusal() {
    let limits = limits();
    let mut state = InForce::new(Ppb(NANO / 20), at(0));
    let now = at(10);
    let refused = |state: &mut InForce, new, made| limits.validate(state, Ppb(new), made, now).unwrap_err();
    assert!(matches!(refused(&mut state, NANO / 20 - 10_000, now), Breach::Minimum { .. }));
    assert!(matches!(refused(&mut state, NANO, now), Breach::Maximum { .. }));
    assert!(matches!(refused(&mut state, NANO / 10, now), Breach::Change { .. }));
    assert!(matches!(refused(&mut state, NANO / 20 + 1, now), Breach::Step { .. }));
    assert!(matches!(refused(&mut state, NANO / 20, at(-6 * 3_600 + 10)), Breach::Expired { .. }));
    limits.apply(&mut state, Ppb(60_000_000), now, now).unwrap();
    let soon = limits.validate(&mut state, Ppb(59_000_000), at(11), at(11)).unwrap_err();
    assert_eq!(soon, Breach::Delay { elapsed: 1, delay: 3_600 });
    assert!(matches!(limits.range(&mut state, at(9)), Err(Breach::Clock { .. })));
}

#[test]
fn limits_that_contradict_each_other_or_loosen_without_limit_are_refused() {
    let good = limits();
    let bad = [
        Limits { minimum: Ppb(0), ..good },
        Limits { maximum: Ppb(NANO / 25), ..good },
        Limits { down: Ppb(NANO), ..good },
        Limits { down: Ppb(0), ..good },
        Limits { up: Ppb(0), ..good },
        Limits { window_down: Ppb(NANO), ..good },
        Limits { window_down: Ppb(NANO / 100), ..good },
        Limits { window_up: Ppb(NANO / 100), ..good },
        Limits { window_seconds: 0, ..good },
        Limits { minimum: Ppb(10_000), ..good },
        Limits { delay_up_seconds: i64::MAX, ..good },
        Limits { delay_down_seconds: -1, ..good },
        Limits { expiry_seconds: 0, ..good },
        Limits { step: Ppb(0), ..good },
        Limits { minimum: Ppb(NANO / 20 + 1), maximum: Ppb(NANO / 20 + 2), ..good },
    ];
    for limits in bad {
        limits.check().unwrap_err();
    }
}

/// Limits whose window says nothing of a day.
fn loose() -> Limits {
    Limits { minimum: Ppb(NANO / 1_000), down: Ppb(NANO / 5), window_down: Ppb(NANO / 4), ..limits() }
}

#[test]
fn limits_that_let_a_value_fall_by_more_than_half_a_day_are_refused_unless_they_say_so() {
    let bound = |of: Limits| match of.check() {
        Err(LimitsError::Loosens { fall, seconds, most }) => {
            assert!(fall > most);
            Limits { unbounded: true, ..of }.check().unwrap();
            Some((seconds, most))
        }
        other => {
            other.unwrap();
            None
        }
    };
    let (day, week) = (Some((86_400, DAY_FALL_MAX)), Some((7 * 86_400, WEEK_FALL_MAX)));
    assert_eq!(bound(loose()), None);
    // A window of a second lets every update fall as far as the last.
    assert_eq!(bound(Limits { window_seconds: 1, ..loose() }), day);
    // Four hours between updates of a fifth: 0.8^7 of it is left. Eight hours: 0.8^4 after a day, 0.8^22 after a week.
    let hours = |n: i64| Limits { window_seconds: 60, delay_down_seconds: n * 3_600, ..loose() };
    assert_eq!(bound(hours(4)), day);
    assert_eq!(bound(hours(12)), week);
    assert_eq!(bound(hours(48)), None);
    // A window of a day and a half lets it fall twice in two days, five times in a week.
    let window =
        |wide: i64| Limits { window_seconds: 129_600, window_down: Ppb(NANO / 100 * wide), ..loose() };
    assert_eq!(bound(window(25)), week);
    assert_eq!(bound(window(22)), None);
    // What cannot fall because of its minimum need not be bounded otherwise.
    assert_eq!(bound(Limits { window_seconds: 1, minimum: Ppb(NANO / 4), ..loose() }), None);
}

#[test]
fn a_value_falls_no_further_than_limits_say_that_it_may() {
    let all = [
        limits(),
        loose(),
        Limits { window_seconds: 60, delay_down_seconds: 12 * 3_600, unbounded: true, ..loose() },
        Limits { window_seconds: 100_000, unbounded: true, ..loose() },
    ];
    for limits in all {
        limits.check().unwrap();
        for seconds in [3_600, 86_400, 7 * 86_400, 30 * 86_400] {
            let start = limits.to_step_down(limits.maximum);
            let mut state = InForce::new(start, at(-1));
            limits.apply(&mut state, start, at(-1), at(-1)).unwrap();
            // As far as they let it, every minute.
            for now in (0..=seconds).step_by(60) {
                let least = limits.range(&mut state, at(now)).unwrap().least;
                limits.apply(&mut state, least, at(now), at(now)).unwrap();
            }
            let (least, _) = limits.within_time(seconds);
            let share = state.value().to_f64() / start.to_f64();
            assert!(share >= least.to_f64() - 1e-8, "{share} of {least} in {seconds} s: {limits:?}");
            if seconds == 86_400 {
                assert!(share <= least.to_f64() * 1.1 + 1e-4, "the bound is near: {share} of {least}");
            }
        }
    }
}

#[test]
fn limits_that_let_a_value_fall_faster_than_it_may_rise_contradict_what_they_are_for() {
    let slow = Limits { up: Ppb(NANO / 1_000), delay_up_seconds: 86_400, ..limits() };
    assert!(matches!(slow.check(), Err(LimitsError::Slower { .. })));
}
