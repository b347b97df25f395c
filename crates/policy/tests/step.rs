//! The step as a whole: from signals to decisions, whole or not at all, and the same again from a saved state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_policy::{Bar, Key, Knob, Place, Policy, Scope, Signals, State, UnderlyingSignals, step};
use plimsoll_types::{Ppb, Timestamp};

const DAY: i64 = 86_400;

fn plimsoll() -> Policy {
    Policy::from_toml(include_str!("../../../policies/plimsoll.toml")).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds)
}

fn price(seconds: i64, close: f64) -> Signals {
    let of = UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() };
    Signals { as_of: at(seconds), underlyings: [("BTC".to_owned(), of)].into(), ..Signals::default() }
}

/// Prices of `days` days, up and down by a share that grows and falls.
fn prices(days: i64) -> Vec<f64> {
    let mut price = 100.0;
    let size = |day: i64| if (day / 40) % 3 == 2 { 0.06 } else { 0.01 };
    let step = |day: i64| {
        price *= 1.0 + size(day) * (((day * 7919) % 101) as f64 / 50.0 - 1.0);
        price
    };
    (0..days).map(step).collect()
}

#[test]
fn a_saved_state_goes_on_with_the_same_decisions() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut twin: Option<State> = None;
    let mut changes = 0;
    for (day, close) in prices(400).into_iter().enumerate() {
        let signals = price(DAY * day as i64, close);
        let decision = step(&policy, &mut state, &signals).unwrap();
        changes += decision.changes.len();
        if let Some(twin) = &mut twin {
            assert_eq!(step(&policy, twin, &signals).unwrap(), decision);
            assert_eq!(*twin, state);
        }
        if day == 200 {
            let text = serde_json::to_string(&state).unwrap();
            twin = Some(serde_json::from_str(&text).unwrap());
        }
    }
    assert!(changes > 50, "{changes}");
    let place = Place { underlying: Some("BTC"), ..Place::default() };
    let found = policy.in_force(state.board(), Knob::PriceScanDown, &place, at(400 * DAY)).unwrap();
    assert_eq!(found.key, Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") });
    assert!(found.initial > Ppb(10_000_000) && found.initial < Ppb(300_000_000));
}
