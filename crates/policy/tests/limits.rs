//! Hard limits hold on every path: a million random and adversarial steps against a checker that keeps all history.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{Breach, InForce, Limits};
use plimsoll_types::{NANO, Ppb, Timestamp};

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: i64) -> i64 {
        (self.next() % n.unsigned_abs()).cast_signed()
    }
}

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
                4 => Ppb(dice.below(NANO)),
                5 => Ppb(i64::MAX),
                6 => Ppb(0),
                _ => limits.to_step_down(Ppb(range.least.0 + dice.below(range.most.0 - range.least.0 + 1))),
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
        Limits { delay_down_seconds: -1, ..good },
        Limits { expiry_seconds: 0, ..good },
        Limits { step: Ppb(0), ..good },
        Limits { minimum: Ppb(NANO / 20 + 1), maximum: Ppb(NANO / 20 + 2), ..good },
    ];
    for limits in bad {
        limits.check().unwrap_err();
    }
}
