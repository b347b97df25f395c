//! The step as a whole: from signals to decisions, whole or not at all, and the same again from a saved state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, alternating, at, btc, plimsoll, price};
use plimsoll_policy::{
    Bar, Cause, Impact, Implied, Key, Knob, Note, Place, Policy, Quoted, Scheduled, Scope, Signals, State,
    StepError, UnderlyingSignals, Vote, decide, propose, step,
};
use plimsoll_types::{NANO, Ppb};

fn global(knob: Knob) -> Key {
    Key { knob, scope: Scope::default() }
}

fn of_btc(knob: Knob) -> Key {
    Key { knob, scope: Scope::of("BTC") }
}

/// Returns that are calm and stormy by turns.
fn weather(days: usize) -> Vec<f64> {
    let mut dice = Dice(7);
    (0..days).map(|day| if (day / 40) % 3 == 2 { 0.2 } else { 0.04 } * dice.bell()).collect()
}

#[test]
fn a_saved_state_goes_on_with_the_same_decisions() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let returns = weather(400);
    let before = along(&policy, &mut state, 0, &returns[..200]);
    let mut twin: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
    assert_eq!(twin, state);
    let after = along(&policy, &mut state, 200, &returns[200..]);
    assert_eq!(along(&policy, &mut twin, 200, &returns[200..]), after);
    assert_eq!(twin, state);
    let changes: usize = before.iter().chain(&after).map(|decision| decision.changes.len()).sum();
    assert!(changes > 100, "{changes}");
    let text = serde_json::to_string(&after[10]).unwrap();
    assert_eq!(serde_json::from_str::<plimsoll_policy::Decision>(&text).unwrap(), after[10]);
}

#[test]
fn signals_that_no_market_says_change_nothing() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &weather(80));
    let before = state.clone();
    let bar = |bar: Bar| btc(80 * DAY, UnderlyingSignals { bar: Some(bar), ..UnderlyingSignals::default() });
    let of = |of: UnderlyingSignals| btc(80 * DAY, of);
    let implied = Implied { atm: 0.5, risk_reversal: -0.01, butterfly: 0.01, slope: 0.01 };
    let bad = [
        bar(Bar::at(f64::NAN)),
        bar(Bar::at(0.0)),
        bar(Bar::at(-1.0)),
        bar(Bar::at(f64::INFINITY)),
        bar(Bar::at(1e300)),
        bar(Bar { high: 99.0, ..Bar::at(100.0) }),
        of(UnderlyingSignals {
            implied: Some(Implied { atm: -0.5, ..implied }),
            ..UnderlyingSignals::default()
        }),
        of(UnderlyingSignals {
            implied: Some(Implied { slope: f64::INFINITY, ..implied }),
            ..UnderlyingSignals::default()
        }),
        of(UnderlyingSignals { open_interest: Some(-1.0), ..UnderlyingSignals::default() }),
        of(UnderlyingSignals { concentration: Some(1.5), ..UnderlyingSignals::default() }),
        of(UnderlyingSignals { funding: Some(f64::NAN), ..UnderlyingSignals::default() }),
        of(UnderlyingSignals {
            venues: [("binance".to_owned(), Quoted { depth: -1.0, spread: 0.0 })].into(),
            ..UnderlyingSignals::default()
        }),
        Signals { pool_coverage: Some(-0.1), ..price(80 * DAY, 100.0) },
        Signals { sentiment: Some(101.0), ..price(80 * DAY, 100.0) },
        price(79 * DAY, 100.0),
        price(0, 100.0),
    ];
    for signals in bad {
        step(&policy, &mut state, &signals).unwrap_err();
        assert_eq!(state, before);
    }
}

#[test]
fn too_little_history_is_the_stress_floor_and_is_said() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let decisions = along(&policy, &mut state, 0, &alternating(0.02, 90));
    let began = |note: &Note| matches!(note, Note::Began { key, .. } if *key == of_btc(Knob::PriceScanDown));
    let short =
        |note: &Note| matches!(note, Note::TooLittleHistory { key } if *key == of_btc(Knob::PriceScanDown));
    assert!(decisions[0].notes.iter().any(began) && decisions[0].notes.iter().any(short));
    let down = |decision: &plimsoll_policy::Decision| {
        decision.changes.iter().find(|change| change.key == of_btc(Knob::PriceScanDown)).cloned()
    };
    // 61 returns make the first estimate, and from then on the causes say so.
    assert!(decisions[..61].iter().all(|decision| down(decision).is_none()));
    let first = down(&decisions[61]).unwrap();
    assert_eq!(first.from, Ppb(NANO / 4));
    let causes: Vec<Cause> = first.causes.iter().map(|(cause, _)| *cause).collect();
    assert!(causes.contains(&Cause::TooLittleHistory) && causes.contains(&Cause::Now), "{causes:?}");
}

#[test]
fn a_breach_within_a_day_is_answered_within_hours() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 200));
    let value = |state: &State| state.board().get(&of_btc(Knob::PriceScanDown)).unwrap().value();
    let calm = value(&state);
    let now = 199 * DAY;
    let last = 100.0;
    let mut hours = 0;
    let mut before = calm;
    while hours < 12 {
        hours += 1;
        step(&policy, &mut state, &price(now + hours * 3_600, last * 0.8)).unwrap();
        assert!(value(&state) >= before);
        before = value(&state);
    }
    assert!(before.to_f64() / calm.to_f64() > 1.3, "{calm} {before}");
    assert!(hours < 24);
}

#[test]
fn with_signals_every_hour_it_loosens_once_a_day_and_existing_positions_follow() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.04, 150));
    let key = of_btc(Knob::PriceScanDown);
    let (mut dice, mut close, mut last) = (Dice(2), 100.0, i64::MIN);
    let (mut falls, mut rises) = (0, 0);
    for hour in 1..24 * 60 {
        let now = 149 * DAY + 3_600 * hour;
        close *= 1.0 + 0.02 * dice.bell();
        let decision = step(&policy, &mut state, &price(now, close)).unwrap();
        let Some(change) = decision.changes.iter().find(|change| change.key == key) else { continue };
        if change.to < change.from {
            assert!(now.saturating_sub(last) >= 82_800, "hour {hour}");
            falls += 1;
        } else {
            rises += 1;
        }
        last = now;
        // A jump is felt by existing positions a day and an hour later, whatever has happened since.
        let later = state.board().get(&key).unwrap().maintenance(at(now + DAY + 3_600));
        assert_eq!(later, change.to);
    }
    assert!(falls > 10 && falls + rises < 70, "{falls} falls, {rises} rises");
    let parameter = state.board().get(&key).unwrap();
    assert!(parameter.maintenance(state.now().unwrap()).to_f64() > 0.95 * parameter.value().to_f64());
}

#[test]
fn how_often_signals_come_does_not_change_how_fast_it_loosens() {
    let policy = plimsoll();
    let key = of_btc(Knob::PriceScanDown);
    let after = |every: i64| {
        let mut state = State::new(&policy, at(0)).unwrap();
        along(&policy, &mut state, 0, &alternating(0.06, 150));
        let (mut now, last) = (149 * DAY, 179 * DAY);
        while now < last {
            now += every;
            let close = if (now / DAY) % 2 == 0 { 100.0 } else { 100.5 };
            step(&policy, &mut state, &price(now, close)).unwrap();
        }
        state.board().get(&key).unwrap().value().to_f64()
    };
    let (daily, hourly) = (after(DAY), after(3_600));
    assert!((hourly / daily - 1.0).abs() < 0.07, "{daily} daily, {hourly} hourly");
}

#[test]
fn days_without_an_observation_are_one_and_are_counted() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 100));
    let decision = step(&policy, &mut state, &price(103 * DAY, 100.0)).unwrap();
    assert!(decision.notes.contains(&Note::Bridged { underlying: "BTC".to_owned(), steps: 3 }));
    let decision =
        step(&policy, &mut state, &Signals { as_of: at(104 * DAY), ..Signals::default() }).unwrap();
    let missing = |note: &Note| matches!(note, Note::Missing { underlying, .. } if underlying == "BTC");
    assert!(decision.notes.iter().any(missing));
}

fn vote(id: &str, key: Key, value: Ppb, day: i64) -> Scheduled {
    let vote = Vote { reference: id.to_owned(), yes: 3, no: 1 };
    let (proposed, effective) = (at(DAY * (day - 2)), at(DAY * day));
    Scheduled { id: id.to_owned(), key, value, proposed, effective, expires: None, vote }
}

#[test]
fn a_vote_waits_for_its_timelock_goes_through_the_limits_and_is_the_cause() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let key = global(Knob::FloorShare);
    let mut early = vote("early", key.clone(), Ppb(NANO / 2), 10);
    early.proposed = at(9 * DAY);
    state.vote(&policy, early).unwrap_err();
    let expiring = Scheduled { expires: Some(at(30 * DAY)), ..vote("floor", key.clone(), Ppb(NANO / 2), 10) };
    state.vote(&policy, expiring.clone()).unwrap();
    state.vote(&policy, expiring).unwrap_err();
    state.vote(&policy, vote("beyond", key.clone(), Ppb(2 * NANO), 10)).unwrap_err();
    state.vote(&policy, vote("nothing", of_btc(Knob::Spread), Ppb(NANO / 2), 10)).unwrap_err();
    let decisions = along(&policy, &mut state, 0, &alternating(0.01, 60));
    let value = |day: usize| {
        let change = decisions[..=day].iter().flat_map(|d| &d.changes).rfind(|c| c.key == key);
        change.map(|change| change.to)
    };
    assert_eq!(value(9), None);
    // At most a quarter in one update: 0.35 x 1.25 = 0.4375, then the rest.
    assert_eq!(value(10), Some(Ppb(437_500_000)));
    assert_eq!(value(11), Some(Ppb(500_000_000)));
    assert_eq!(value(29), Some(Ppb(500_000_000)));
    let first = decisions[10].changes.iter().find(|change| change.key == key).unwrap();
    assert!(first.causes.iter().any(|(cause, part)| *cause == Cause::Governance && *part > 0));
    assert!(first.causes.iter().any(|(cause, part)| *cause == Cause::Limit && *part < 0));
    let text = "floor_share[*] from 0.35 to 0.4375: governance +35.67 %, limit -13.35 %";
    assert_eq!(first.to_string(), text);
    assert!(value(40).unwrap() < Ppb(NANO / 2), "the vote has expired and the target counts again");
    assert!(state.cancel("floor").is_err(), "what has ended is forgotten");
}

#[test]
fn initial_margin_that_would_not_cover_maintenance_moves_neither() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    state.vote(&policy, vote("mm", global(Knob::MmScale), Ppb(NANO * 3 / 2), 5)).unwrap();
    let decisions = along(&policy, &mut state, 0, &alternating(0.01, 30));
    let value = |knob| state.board().get(&global(knob)).unwrap().value();
    assert_eq!(value(Knob::ImScale), Ppb(NANO));
    assert!(value(Knob::MmScale) <= Ppb(NANO));
    let uncovered = |note: &Note| matches!(note, Note::Uncovered { .. });
    assert!(decisions.iter().any(|decision| decision.notes.iter().any(uncovered)));
    // What is not coupled to them moves all the same.
    along(&policy, &mut state, 30, &alternating(0.01, 60));
    assert!(state.board().get(&of_btc(Knob::PriceScanDown)).unwrap().value() < Ppb(NANO / 4));
}

#[test]
fn a_state_of_another_policy_is_refused() {
    let mut state = State::new(&plimsoll(), at(0)).unwrap();
    let other = Policy::shipped("static").unwrap();
    let before = state.clone();
    assert!(matches!(step(&other, &mut state, &price(DAY, 100.0)), Err(StepError::Unknown(_))));
    assert_eq!(state, before);
}

/// A policy that wants to tighten, and the proposal.
fn tightening(policy: &Policy) -> (State, plimsoll_policy::Proposal) {
    let mut state = State::new(policy, at(0)).unwrap();
    along(policy, &mut state, 0, &alternating(0.01, 200));
    let proposal = propose(policy, &mut state, &price(200 * DAY, 70.0)).unwrap();
    assert!(proposal.tightens());
    (state, proposal)
}

fn impact(induced: f64, waiting: f64) -> Impact {
    Impact { induced, waiting, sound: true, ..Impact::default() }
}

#[test]
fn the_book_decides_how_much_of_a_tightening_it_bears() {
    let policy = plimsoll();
    let (state, proposal) = tightening(&policy);
    let candidates = proposal.candidates(&policy);
    assert_eq!(candidates.len(), 5);
    let key = of_btc(Knob::PriceScanDown);
    assert!(candidates.windows(2).all(|pair| pair[0][&key] < pair[1][&key]));
    let book = [impact(0.0, 9.0), impact(1e5, 8.0), impact(2e5, 7.0), impact(1e6, 6.0), impact(9e6, 5.0)];
    let mut some = state.clone();
    let decision = decide(&policy, &mut some, proposal.clone(), Some(&book)).unwrap();
    assert_eq!(decision.glide.unwrap().fraction, 0.5);
    assert_eq!(some.board().get(&key).unwrap().value(), candidates[2][&key]);
    let change = decision.changes.iter().find(|change| change.key == key).unwrap();
    assert!(change.causes.iter().any(|(cause, part)| *cause == Cause::GlidePath && *part < 0));
}

#[test]
fn a_result_that_is_not_sound_moves_nothing_at_all() {
    let policy = plimsoll();
    let (mut state, proposal) = tightening(&policy);
    let before = state.clone();
    let book = [Impact::default(); 5];
    let decision = decide(&policy, &mut state, proposal.clone(), Some(&book)).unwrap();
    assert!(decision.refused && decision.changes.is_empty());
    assert_eq!(state, before);
    decide(&policy, &mut state, proposal.clone(), Some(&book[..4])).unwrap_err();
    assert_eq!(state, before);
    // A proposal counts once.
    let decision = decide(&policy, &mut state, proposal.clone(), None).unwrap();
    assert!(!decision.changes.is_empty());
    let after = state.clone();
    let stale = decide(&policy, &mut state, proposal.clone(), None).unwrap_err();
    assert!(matches!(stale, StepError::Stale { .. }));
    assert_eq!(state, after);
    // Nor does one that a later one has taken the place of.
    propose(&policy, &mut state, &price(201 * DAY, 70.0)).unwrap();
    let late = decide(&policy, &mut state, proposal, None).unwrap_err();
    assert!(matches!(late, StepError::Clock { .. }));
}

#[test]
fn a_proposal_that_was_tampered_with_is_refused_whole_or_stays_within_the_limits() {
    let policy = plimsoll();
    let (state, proposal) = tightening(&policy);
    let place = |p: &plimsoll_policy::Proposed| *p.key == of_btc(Knob::PriceScanUp);
    let last = proposal.parameters.iter().position(place).unwrap();
    for beyond in [Ppb(i64::MAX), Ppb(0), Ppb(-1), Ppb(NANO / 3)] {
        let (mut own, mut bad) = (state.clone(), proposal.clone());
        bad.parameters[last].new = beyond;
        let error = decide(&policy, &mut own, bad, None).unwrap_err();
        assert!(matches!(error, StepError::Parameter { .. }), "{error}");
        assert_eq!(own, state, "what came before it in the order of keys has not moved either");
    }
    let (mut own, mut other) = (state, proposal);
    let new = Ppb(other.parameters[last].old.0 + 100_000);
    other.parameters[last].new = new;
    let decision = decide(&policy, &mut own, other, None).unwrap();
    let change = decision.changes.iter().find(|change| change.to == new).unwrap();
    let level = |value: Ppb| plimsoll_policy::Trail::begin(Cause::Stated, value.to_f64()).level();
    let sum: i64 = change.causes.iter().map(|(_, part)| part).sum();
    assert_eq!(sum, level(change.to) - level(change.from));
}

/// Every bit of every decision of four policies along one path of returns. It changes with their numbers, and with nothing
/// else: not with the optimiser, not with the processor.
#[test]
fn decisions_are_the_same_bits_everywhere() {
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |part: i64| digest = (digest ^ part.cast_unsigned()).wrapping_mul(0x0100_0000_01b3);
    for name in ["plimsoll", "garch", "fhs-capped", "span-like"] {
        let policy = Policy::shipped(name).unwrap();
        let mut state = State::new(&policy, at(0)).unwrap();
        for change in along(&policy, &mut state, 0, &weather(700)).iter().flat_map(|d| &d.changes) {
            mix(change.to.0);
            change.causes.iter().for_each(|(_, part)| mix(*part));
        }
    }
    assert_eq!(digest, 0xeafd_5f46_1d26_2b35, "{digest:#x}");
}

#[test]
fn the_most_specific_statement_wins_and_is_named() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &[0.01]);
    let of = |place: Place<'_>| policy.in_force(state.board(), Knob::ShortOption, &place, at(0)).unwrap();
    let week = of(Place { underlying: Some("BTC"), tenor_days: Some(6.9), ..Place::default() });
    assert_eq!((week.key.to_string().as_str(), week.initial), ("short_option[tenor 0]", Ppb(12_500_000)));
    assert_eq!(week.over, [global(Knob::ShortOption)]);
    assert_eq!(week.to_string(), "0.0125 by short_option[tenor 0], over short_option[*]");
    let month = of(Place { underlying: Some("BTC"), tenor_days: Some(7.0), ..Place::default() });
    assert_eq!((month.key, month.initial), (global(Knob::ShortOption), Ppb(10_000_000)));
    let place = Place { underlying: Some("ETH"), ..Place::default() };
    assert_eq!(policy.in_force(state.board(), Knob::PriceScanDown, &place, at(0)), None);
}
