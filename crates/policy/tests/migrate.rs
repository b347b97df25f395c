//! A state goes on under another policy: what is in force stays, what does not fit is refused or said.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, along, alternating, at, plimsoll, price};
use plimsoll_policy::{
    GovernanceError, Key, Knob, MigrateError, Policy, PolicyFile, Scheduled, Scope, State, TargetSpec, Vote,
    step,
};
use plimsoll_types::{NANO, Ppb};

fn key(knob: Knob, scope: Scope) -> Key {
    Key { knob, scope }
}

/// Our own policy with a change.
fn with(change: impl FnOnce(&mut PolicyFile)) -> Policy {
    let mut file = plimsoll().file().clone();
    change(&mut file);
    Policy::new(file).unwrap()
}

/// Our own policy with a dearer skew within a week, and a change.
fn weekly(change: impl FnOnce(&mut PolicyFile)) -> Policy {
    with(|file| {
        let mut own = file.parameters.iter().find(|p| p.knob == Knob::SkewScan).unwrap().clone();
        own.scope = Scope { tenor: Some(0), ..Scope::default() };
        (own.each_underlying, own.target) = (false, TargetSpec::Stated { value: Ppb(2 * NANO) });
        file.parameters.push(own);
        change(file);
    })
}

/// A state of our own policy after 200 days.
fn seasoned() -> State {
    after_200_days(&plimsoll())
}

fn after_200_days(policy: &Policy) -> State {
    let mut state = State::new(policy, at(0)).unwrap();
    along(policy, &mut state, 0, &alternating(0.05, 200));
    state
}

const NOW: i64 = 200 * DAY;

#[test]
fn what_is_in_force_stays_and_the_new_limits_bind_from_there() {
    let (from, state) = (plimsoll(), seasoned());
    let to = with(|file| file.motions.get_mut("scan").unwrap().limits.minimum = Ppb(NANO / 5));
    let moved = state.migrate(&from, &to, at(NOW)).unwrap();
    assert!(moved.begun.is_empty() && moved.anew.is_empty() && moved.dropped.is_empty());
    let mut new = moved.state;
    for (key, parameter) in state.board().parameters() {
        let other = new.board().get(key).unwrap();
        assert_eq!((other.value(), other.ramp()), (parameter.value(), parameter.ramp()), "{key}");
    }
    assert_ne!(new.board().version(), state.board().version());
    assert!(step(&from, &mut new, &price(NOW, 100.0)).is_err(), "it is no longer of the old policy");
    // Above the new minimum in its own steps, and not beneath it.
    let scan = key(Knob::PriceScanDown, Scope::of("BTC"));
    let before = new.board().get(&scan).unwrap().value();
    assert!(before < Ppb(NANO / 5), "{before}");
    step(&to, &mut new, &price(NOW, 100.0)).unwrap();
    assert!(new.board().get(&scan).unwrap().value() >= before);
}

#[test]
fn the_same_policy_goes_on_as_if_nothing_had_been() {
    let (from, mut state) = (plimsoll(), seasoned());
    let moved = state.migrate(&from, &from, at(NOW - DAY)).unwrap();
    let mut other = moved.state;
    let returns = alternating(0.07, 60);
    let (a, b) = (along(&from, &mut state, 200, &returns), along(&from, &mut other, 200, &returns));
    for (a, b) in a.iter().zip(&b) {
        assert_eq!((&a.changes, &a.notes), (&b.changes, &b.notes));
    }
}

#[test]
fn a_target_that_is_another_begins_anew_and_loosens_no_faster_than_its_limit() {
    let (from, mut state) = (plimsoll(), seasoned());
    // Something dear is in force, and the fallback is beneath it.
    along(&from, &mut state, 200, &alternating(0.15, 100));
    let to = with(|file| {
        for parameter in &mut file.parameters {
            if let TargetSpec::Quantile(of) = &mut parameter.target {
                of.confidence = 0.995;
            }
        }
    });
    let moved = state.migrate(&from, &to, at(300 * DAY)).unwrap();
    let scan = key(Knob::PriceScanDown, Scope::of("BTC"));
    assert!(moved.anew.contains(&scan));
    let mut new = moved.state;
    let mut last = new.board().get(&scan).unwrap().value();
    assert!(last > Ppb(NANO * 3 / 10), "{last}");
    for day in 300..310 {
        step(&to, &mut new, &price(DAY * day, 100.0)).unwrap();
        let value = new.board().get(&scan).unwrap().value();
        assert!(value.to_f64() >= 0.95 * last.to_f64() - 1e-9, "{value} after {last}");
        last = value;
    }
}

#[test]
fn a_finer_statement_begins_with_what_was_in_force_there_and_dropping_one_may_not_loosen() {
    let (from, state) = (plimsoll(), seasoned());
    let maker = Scope { tier: Some("maker".to_owned()), ..Scope::of("BTC") };
    let finer = |scope: &Scope| {
        with(|file| {
            let mut own = file.parameters.iter().find(|p| p.knob == Knob::Impact).unwrap().clone();
            own.scope = scope.clone();
            own.target = TargetSpec::Stated { value: Ppb(NANO / 1000) };
            file.parameters.push(own);
        })
    };
    // What is for every maker would bind those of BTC by what is for all, and at once.
    let all = Scope { underlying: None, ..maker.clone() };
    let refused = state.migrate(&from, &finer(&all), at(NOW)).unwrap_err();
    assert!(matches!(refused, MigrateError::Hurries { .. }), "{refused}");
    let finer = finer(&maker);
    let moved = state.migrate(&from, &finer, at(NOW)).unwrap();
    let impact = key(Knob::Impact, maker);
    assert_eq!(moved.begun, std::slice::from_ref(&impact));
    let was = state.board().get(&key(Knob::Impact, Scope::of("BTC"))).unwrap().value();
    assert_eq!(moved.state.board().get(&impact).unwrap().value(), was);

    let stated = weekly(|_| ());
    let refused = after_200_days(&stated).migrate(&stated, &from, at(NOW)).unwrap_err();
    assert!(matches!(refused, MigrateError::Loosens { .. }), "{refused}");

    let silent = with(|file| file.parameters.retain(|p| p.knob != Knob::Expiry));
    let moved = state.migrate(&from, &silent, at(NOW)).unwrap();
    assert_eq!(moved.dropped, [key(Knob::Expiry, Scope::default())]);
}

#[test]
fn what_would_mean_something_else_is_refused() {
    let from = weekly(|_| ());
    let state = after_200_days(&from);
    let edges = weekly(|file| file.buckets.tenor_days = vec![3.0, 30.0, 90.0]);
    let refused = state.migrate(&from, &edges, at(NOW)).unwrap_err();
    assert!(matches!(refused, MigrateError::Buckets(_)), "{refused}");
    let refused = state.migrate(&edges, &from, at(NOW)).unwrap_err();
    assert!(matches!(refused, MigrateError::Policy { .. }), "{refused}");
    let refused = state.migrate(&from, &from, at(NOW - 2 * DAY)).unwrap_err();
    assert!(matches!(refused, MigrateError::Clock { .. }), "{refused}");
}

#[test]
fn votes_come_along_and_those_of_the_new_file_wait_for_their_timelock() {
    let (from, mut state) = (plimsoll(), seasoned());
    let of = |id: &str, day: i64, value: Ppb| Scheduled {
        id: id.to_owned(),
        key: key(Knob::FloorShare, Scope::default()),
        value,
        proposed: at(DAY * (day - 2)),
        effective: at(DAY * day),
        expires: None,
        vote: Vote { reference: id.to_owned(), yes: 3, no: 1 },
    };
    state.vote(&from, of("kept", 203, Ppb(NANO / 2)), at(NOW)).unwrap();
    state.vote(&from, of("too high", 204, Ppb(NANO * 9 / 10)), at(NOW)).unwrap();
    let to = with(|file| {
        file.motions.get_mut("share").unwrap().limits.maximum = Ppb(NANO * 85 / 100);
        file.schedule = vec![of("due long ago", 100, Ppb(NANO * 3 / 10)), of("in time", 210, Ppb(NANO / 3))];
    });
    let moved = state.migrate(&from, &to, at(NOW)).unwrap();
    let ids: Vec<&str> = moved.state.schedule().votes().map(|vote| vote.id.as_str()).collect();
    assert_eq!(ids, ["in time", "kept"]);
    let refused: Vec<&str> = moved.votes.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(refused, ["too high", "due long ago"]);
    assert!(matches!(moved.votes[1].1, GovernanceError::Backdated { .. }));
}

/// Our own policy with one stated price scan for longs.
fn scanning(scope: Scope, value: Ppb) -> Policy {
    with(|file| {
        let mut own = file.parameters.iter().find(|p| p.knob == Knob::PriceScanDown).unwrap().clone();
        file.parameters.retain(|p| p.knob != Knob::PriceScanDown);
        (own.each_underlying, own.scope, own.target) = (false, scope, TargetSpec::Stated { value });
        file.parameters.push(own);
    })
}

#[test]
fn a_coarser_statement_reaches_existing_positions_by_notice_and_ramp() {
    let (from, state) = (plimsoll(), seasoned());
    let was = state.board().get(&key(Knob::PriceScanDown, Scope::of("BTC"))).unwrap();
    let to = scanning(Scope::default(), Ppb(NANO / 2));
    let moved = state.migrate(&from, &to, at(NOW)).unwrap().state;
    let is = moved.board().get(&key(Knob::PriceScanDown, Scope::default())).unwrap();
    assert_eq!(is.value(), Ppb(NANO / 2));
    for (seconds, expected) in
        [(0, was.maintenance(at(NOW))), (3600, was.maintenance(at(NOW))), (3600 + DAY, is.value())]
    {
        assert_eq!(is.maintenance(at(NOW + seconds)), expected, "{seconds}");
    }
}

#[test]
fn migrating_again_and_again_loosens_no_faster_than_once() {
    let all = |percent: i64| scanning(Scope::default(), Ppb(NANO / 100 * percent));
    let btc = scanning(Scope::of("BTC"), Ppb(NANO / 2));
    let state = State::new(&btc, at(0)).unwrap();
    let state = state.migrate(&btc, &all(48), at(0)).unwrap().state;
    let state = state.migrate(&all(48), &btc, at(0)).unwrap().state;
    let refused = state.migrate(&btc, &all(46), at(0)).unwrap_err();
    assert!(matches!(refused, MigrateError::Loosens { .. }), "{refused}");
    state.migrate(&btc, &all(46), at(DAY)).unwrap();
}
