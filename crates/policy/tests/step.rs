//! The step as a whole: from signals to decisions, whole or not at all, and the same again from a saved state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, alternating, at, plimsoll, price};
use plimsoll_policy::{
    Cause, GovernanceError, Impact, Key, Knob, Note, ParameterSpec, Place, Policy, Scheduled, Scope, Signals,
    State, StepError, TargetSpec, Vote, decide, propose, step,
};
use plimsoll_quant::special::ln;
use plimsoll_types::{NANO, Ppb};
use serde_json::Value;

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
fn signals_of_an_instant_that_has_passed_change_nothing() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &weather(80));
    let before = state.clone();
    for signals in [price(79 * DAY, 100.0), price(0, 100.0)] {
        assert!(matches!(step(&policy, &mut state, &signals), Err(StepError::Clock { .. })));
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
    let mut path = vec![calm];
    for hour in 1..=23 {
        step(&policy, &mut state, &price(now + hour * 3_600, last * 0.8)).unwrap();
        path.push(value(&state));
    }
    assert!(path.windows(2).all(|pair| pair[1] >= pair[0]));
    let whole = path[23].to_f64() - calm.to_f64();
    assert!(whole > 0.3 * calm.to_f64(), "{path:?}");
    let hours = path.iter().position(|v| v.to_f64() - calm.to_f64() >= 0.99 * whole).unwrap();
    assert!(hours <= 6, "{hours} hours: {path:?}");
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
    state.vote(&policy, early, at(0)).unwrap_err();
    let expiring = Scheduled { expires: Some(at(30 * DAY)), ..vote("floor", key.clone(), Ppb(NANO / 2), 10) };
    state.vote(&policy, expiring.clone(), at(0)).unwrap();
    state.vote(&policy, expiring, at(0)).unwrap_err();
    state.vote(&policy, vote("beyond", key.clone(), Ppb(2 * NANO), 10), at(0)).unwrap_err();
    state.vote(&policy, vote("nothing", of_btc(Knob::Spread), Ppb(NANO / 2), 10), at(0)).unwrap_err();
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
    assert!(state.cancel(&policy, "floor", at(60 * DAY)).is_err(), "what has ended is forgotten");
}

/// A world whose pool covers so much.
fn pool(seconds: i64, coverage: f64) -> Signals {
    Signals { pool_coverage: Some(coverage), ..price(seconds, 100.0) }
}

#[test]
fn a_vote_on_maintenance_gives_way_to_initial_margin_and_does_not_stop_the_pool() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    state.vote(&policy, vote("mm", global(Knob::MmScale), Ppb(NANO * 3 / 2), 5), at(0)).unwrap();
    let value = |state: &State, knob| state.board().get(&global(knob)).unwrap().value();
    let mut run = |days: std::ops::Range<i64>, coverage: f64| {
        let mut uncovered = 0;
        for day in days {
            let decision = step(&policy, &mut state, &pool(DAY * day, coverage)).unwrap();
            let (im, mm) = (value(&state, Knob::ImScale), value(&state, Knob::MmScale));
            assert!(im >= mm, "day {day}: {im} beneath {mm}");
            uncovered += decision.notes.iter().filter(|n| matches!(n, Note::Uncovered { .. })).count();
        }
        (value(&state, Knob::ImScale), value(&state, Knob::MmScale), uncovered > 0)
    };
    // Maintenance comes as near to its vote as initial margin lets it.
    assert_eq!(run(0..20, 5.0), (Ppb(NANO), Ppb(NANO), true));
    // The pool empties: initial margin rises by half, and maintenance with it, now that it may.
    assert_eq!(run(20..40, 0.1), (Ppb(NANO * 3 / 2), Ppb(NANO * 3 / 2), false));
    // It fills again: initial margin may not fall beneath the maintenance that was voted.
    assert_eq!(run(40..90, 5.0), (Ppb(NANO * 3 / 2), Ppb(NANO * 3 / 2), true));
}

#[test]
fn initial_margin_may_not_be_voted_beneath_maintenance() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    state.vote(&policy, vote("im", global(Knob::ImScale), Ppb(NANO / 2), 5), at(0)).unwrap();
    for day in 0..60 {
        step(&policy, &mut state, &pool(DAY * day, 5.0)).unwrap();
    }
    let value = |knob| state.board().get(&global(knob)).unwrap().value();
    assert_eq!((value(Knob::ImScale), value(Knob::MmScale)), (Ppb(800_000_000), Ppb(800_000_000)));
}

#[test]
fn a_vote_that_says_it_was_proposed_before_what_was_seen_is_refused() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.01, 100));
    let (before, now) = (state.clone(), at(99 * DAY + 60));
    let key = global(Knob::FloorShare);
    let of = |proposed: i64, effective: i64| Scheduled {
        proposed: at(proposed),
        effective: at(effective),
        ..vote("loosens", key.clone(), Ppb(NANO / 10), 0)
    };
    let mut refused = |vote: Scheduled, now| {
        let reason = state.vote(&policy, vote, now).unwrap_err();
        assert_eq!(state, before);
        reason
    };
    // Proposed long ago, it says, and due at once.
    let reason = refused(of(90 * DAY, 99 * DAY + 61), now);
    assert!(matches!(reason, GovernanceError::Backdated { .. }), "{reason}");
    // Proposed at the last signals and handed over a minute later: the timelock runs from then.
    let reason = refused(of(99 * DAY, 101 * DAY), now);
    assert!(matches!(reason, GovernanceError::Timelock { after: 172_740, .. }), "{reason}");
    let reason = refused(of(99 * DAY, 101 * DAY), at(99 * DAY - 1));
    assert!(matches!(reason, GovernanceError::Clock { .. }), "{reason}");
    state.vote(&policy, of(99 * DAY, 101 * DAY + 60), now).unwrap();
    // Nothing before it may come after it.
    let late = step(&policy, &mut state, &price(99 * DAY + 59, 100.0)).unwrap_err();
    assert!(matches!(late, StepError::Clock { .. }));
}

/// The value of the floor share on each day, with a vote of it in force from day 10.
fn voted(value: Ppb) -> (Policy, State) {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    state.vote(&policy, vote("floor", global(Knob::FloorShare), value, 10), at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.01, 30));
    assert_eq!(state.board().get(&global(Knob::FloorShare)).unwrap().value(), value);
    (policy, state)
}

#[test]
fn a_tightening_that_is_taken_back_holds_for_one_more_timelock_and_loosens_no_faster_than_its_limit() {
    let (policy, mut state) = voted(Ppb(NANO / 2));
    let key = global(Knob::FloorShare);
    let value = |state: &State| state.board().get(&key).unwrap().value();
    let now = at(29 * DAY + 10);
    assert_eq!(state.cancel(&policy, "floor", now).unwrap(), at(31 * DAY + 10));
    assert_eq!(state.schedule().cancelled("floor"), Some(at(31 * DAY + 10)));
    // Once more puts nothing off.
    assert_eq!(state.cancel(&policy, "floor", at(30 * DAY - 1)).unwrap(), at(31 * DAY + 10));
    let mut last = value(&state);
    for hour in 0..24 * 40 {
        let now = 30 * DAY + 3_600 * hour;
        step(&policy, &mut state, &price(now, 100.0)).unwrap();
        if now <= 31 * DAY {
            assert_eq!(value(&state), last, "hour {hour}");
        }
        if now % DAY == 0 {
            let fall = ln(value(&state).to_f64() / last.to_f64());
            assert!(fall >= -0.02 - 1e-9, "hour {hour}: {fall}");
            last = value(&state);
        }
    }
    assert!(value(&state) < Ppb(NANO / 10 * 4), "{}", value(&state));
    assert!(state.schedule().votes().next().is_none());
}

#[test]
fn a_loosening_that_is_taken_back_ends_at_once() {
    let (policy, mut state) = voted(Ppb(NANO * 3 / 10));
    let key = global(Knob::FloorShare);
    state.cancel(&policy, "floor", at(29 * DAY)).unwrap();
    let decision = step(&policy, &mut state, &price(30 * DAY, 100.0)).unwrap();
    let change = decision.changes.iter().find(|change| change.key == key).unwrap();
    assert!(change.to > change.from && change.to > Ppb(NANO * 34 / 100), "{change}");
}

#[test]
fn what_has_not_begun_is_taken_back_with_the_notice_that_it_was_announced_with() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let key = global(Knob::FloorShare);
    let now = at(0);
    for (id, value, day) in
        [("far", NANO / 2, 5), ("near", NANO / 2, 2), ("looser", NANO / 5, 3), ("looser yet", NANO / 5, 9)]
    {
        state.vote(&policy, vote(id, key.clone(), Ppb(value), day), now).unwrap();
    }
    step(&policy, &mut state, &price(DAY, 100.0)).unwrap();
    let mut cancel = |id: &str| state.cancel(&policy, id, at(DAY)).unwrap();
    assert_eq!([cancel("far"), cancel("looser"), cancel("looser yet")], [at(DAY); 3]);
    // It begins tomorrow and somebody may count on it: for as long as if its end had been announced.
    assert_eq!(cancel("near"), at(3 * DAY));
    let ids: Vec<&str> = state.schedule().votes().map(|vote| vote.id.as_str()).collect();
    assert_eq!(ids, ["near"]);
    step(&policy, &mut state, &price(2 * DAY, 100.0)).unwrap();
    assert!(state.board().get(&key).unwrap().value() > Ppb(NANO * 4 / 10));
}

#[test]
fn votes_that_a_later_one_has_taken_the_place_of_stay_and_those_that_ended_go() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let key = global(Knob::FloorShare);
    for day in 0..60 {
        let of = vote(&format!("v{day:02}"), key.clone(), Ppb(NANO / 100 * (30 + day)), day + 2);
        let of = Scheduled { proposed: at(DAY * day), ..of };
        state.vote(&policy, of, at(DAY * day)).unwrap();
        step(&policy, &mut state, &price(DAY * day, 100.0)).unwrap();
    }
    // One that outlasts the later one counts again after it.
    let short = Scheduled { expires: Some(at(70 * DAY)), ..vote("short", key, Ppb(NANO / 2), 62) };
    state.vote(&policy, short, at(59 * DAY)).unwrap();
    for day in 60..75 {
        step(&policy, &mut state, &price(DAY * day, 100.0)).unwrap();
    }
    let ids: Vec<&str> = state.schedule().votes().map(|vote| vote.id.as_str()).collect();
    assert!(ids.len() == 60 && !ids.contains(&"short"), "{ids:?}");
}

#[test]
fn a_vote_counts_again_where_the_later_one_that_hid_it_is_taken_back() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let key = global(Knob::MmScale);
    state.vote(&policy, vote("a", key.clone(), Ppb(NANO * 8 / 10), 5), at(0)).unwrap();
    state.vote(&policy, vote("b", key.clone(), Ppb(NANO * 7 / 10), 10), at(0)).unwrap();
    for day in 0..60 {
        step(&policy, &mut state, &pool(DAY * day, 5.0)).unwrap();
    }
    assert_eq!(state.board().get(&key).unwrap().value(), Ppb(NANO * 7 / 10));
    state.cancel(&policy, "b", at(59 * DAY)).unwrap();
    for day in 60..90 {
        step(&policy, &mut state, &pool(DAY * day, 5.0)).unwrap();
    }
    assert_eq!(state.board().get(&key).unwrap().value(), Ppb(NANO * 8 / 10));
}

#[test]
fn a_scale_of_initial_margin_begins_no_lower_than_the_maintenance_in_force() {
    let mut file = plimsoll().file().clone();
    let mut own = file.parameters.iter().find(|p| p.knob == Knob::ImScale).unwrap().clone();
    own.each_underlying = true;
    own.scope.tier = Some("maker".to_owned());
    file.parameters.push(own);
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    state.vote(&policy, vote("mm", global(Knob::MmScale), Ppb(NANO * 3 / 2), 5), at(0)).unwrap();
    for day in 0..40 {
        let empty = Signals { as_of: at(DAY * day), pool_coverage: Some(0.1), ..Signals::default() };
        step(&policy, &mut state, &empty).unwrap();
    }
    assert_eq!(state.board().get(&global(Knob::MmScale)).unwrap().value(), Ppb(NANO * 3 / 2));
    step(&policy, &mut state, &pool(40 * DAY, 0.1)).unwrap();
    let maker = Scope { tier: Some("maker".to_owned()), ..Scope::of("BTC") };
    let im = state.board().get(&Key { knob: Knob::ImScale, scope: maker }).unwrap().value();
    assert!(im >= Ppb(NANO * 3 / 2), "{im}");
}

#[test]
fn retiring_keeps_the_votes_of_what_stays_and_makes_proposals_stale() {
    let mut file = plimsoll().file().clone();
    let mut own = file.parameters.iter().find(|p| p.knob == Knob::Impact).unwrap().clone();
    (own.each_underlying, own.scope.underlying) = (false, Some("ETH".to_owned()));
    file.parameters.retain(|p| p.scope.underlying.as_deref() != Some("ETH"));
    file.parameters.push(own.clone());
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    let key = Key { knob: Knob::Impact, scope: own.scope };
    state.vote(&policy, vote("eth", key, Ppb(NANO / 2), 300), at(0)).unwrap();
    let version = state.board().version();
    assert!(state.retire("ETH").is_empty());
    assert_eq!(state.schedule().votes().count(), 1);
    assert!(state.board().version() > version);
}

#[test]
fn a_proposal_counts_no_more_when_it_has_expired_or_governance_has_acted() {
    let policy = plimsoll();
    let (state, proposal) = tightening(&policy);
    let made = proposal.now();
    let decided = |seconds: i64| {
        let mut own = state.clone();
        let outcome = decide(&policy, &mut own, proposal.clone(), None, made.plus_seconds(seconds));
        assert!(outcome.is_ok() || own == state);
        outcome
    };
    let expired = decided(3_600).unwrap_err();
    assert!(expired.to_string().contains("expires"), "{expired}");
    assert!(matches!(decided(-1), Err(StepError::Clock { .. })));
    let decision = decided(3_599).unwrap();
    assert_eq!((decision.made, decision.now), (made, made.plus_seconds(3_599)));
    // An hour's notice runs from the decision, and not from the signals.
    let key = of_btc(Knob::PriceScanDown);
    let change = decision.changes.iter().find(|change| change.key == key).unwrap();
    assert_eq!(change.maintenance.legs.last().unwrap().starts, made.plus_seconds(3_599 + 3_600));
    let mut own = state.clone();
    decide(&policy, &mut own, proposal.clone(), None, made.plus_seconds(600)).unwrap();
    let early = price(made.seconds() + 599, 70.0);
    assert!(matches!(propose(&policy, &mut own, &early), Err(StepError::Clock { .. })));

    let mut own = state.clone();
    own.vote(&policy, vote("new", global(Knob::FloorShare), Ppb(NANO / 2), 210), made).unwrap();
    let stale = |own: &mut State| decide(&policy, own, proposal.clone(), None, made).unwrap_err();
    assert!(matches!(stale(&mut own), StepError::Stale { .. }));
    let again = propose(&policy, &mut own, &price(made.seconds() + 60, 70.0)).unwrap();
    own.cancel(&policy, "new", made.plus_seconds(60)).unwrap();
    let stale = decide(&policy, &mut own, again, None, made.plus_seconds(60)).unwrap_err();
    assert!(matches!(stale, StepError::Stale { .. }));
}

#[test]
fn a_state_of_another_policy_is_refused_even_where_the_parameters_are_the_same() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.01, 10));
    let proposal = propose(&policy, &mut state, &price(10 * DAY, 100.0)).unwrap();
    let before = state.clone();
    let mut file = policy.file().clone();
    file.motions.get_mut("scan").unwrap().limits.down = Ppb(NANO / 20);
    for other in [Policy::new(file).unwrap(), Policy::shipped("static").unwrap()] {
        let refused = step(&other, &mut state, &price(11 * DAY, 100.0));
        assert!(matches!(refused, Err(StepError::Policy { .. })));
        let refused = decide(&other, &mut state, proposal.clone(), None, at(10 * DAY));
        assert!(matches!(refused, Err(StepError::Policy { .. })));
        let of = vote("any", global(Knob::FloorShare), Ppb(NANO / 2), 20);
        assert!(matches!(state.vote(&other, of, at(10 * DAY)), Err(GovernanceError::Policy { .. })));
        assert_eq!(state, before);
    }
    // Comments and layout are no part of a policy.
    let text = plimsoll_policy::POLICIES[0].1.lines().filter(|line| !line.starts_with('#'));
    let same = Policy::from_toml(&text.collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(same.digest(), policy.digest());
    step(&same, &mut state, &price(11 * DAY, 100.0)).unwrap();
}

#[test]
fn an_underlying_that_is_retired_is_forgotten_and_comes_back_no_lower() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let fresh = state.clone();
    along(&policy, &mut state, 0, &alternating(0.10, 200));
    let key = of_btc(Knob::PriceScanDown);
    let last = state.board().get(&key).unwrap().value();
    assert!(last > Ppb(NANO / 4), "{last}");
    state.vote(&policy, vote("scan", key.clone(), Ppb(NANO / 2), 300), at(199 * DAY)).unwrap();
    let proposal = propose(&policy, &mut state, &price(200 * DAY, 100.0)).unwrap();
    let gone = state.retire("BTC");
    assert!(gone.contains(&key) && gone.iter().all(|key| key.scope.underlying.as_deref() == Some("BTC")));
    assert_eq!(state.board().parameters().len(), fresh.board().parameters().len());
    assert!(state.schedule().votes().next().is_none() && state.readings("BTC").is_empty());
    let stale = decide(&policy, &mut state, proposal, None, at(200 * DAY)).unwrap_err();
    assert!(matches!(stale, StepError::Stale { .. }), "{stale}");
    // Its absence is no news.
    let none = Signals { as_of: at(201 * DAY), ..Signals::default() };
    let decision = step(&policy, &mut state, &none).unwrap();
    assert!(!decision.notes.iter().any(|note| matches!(note, Note::Missing { .. })), "{:?}", decision.notes);
    step(&policy, &mut state, &price(202 * DAY, 100.0)).unwrap();
    assert!(state.board().get(&key).unwrap().value().to_f64() >= 0.95 * last.to_f64());
}

/// A policy that wants to tighten, and the proposal.
fn tightening(policy: &Policy) -> (State, plimsoll_policy::Proposal) {
    let mut state = State::new(policy, at(0)).unwrap();
    for day in 0..200 {
        // The pool was empty until a week ago: what that lifted loosens.
        let coverage = if day < 193 { 0.1 } else { 5.0 };
        let close = if day % 2 == 0 { 101.0 } else { 100.0 };
        let signals = Signals { pool_coverage: Some(coverage), ..price(DAY * day, close) };
        step(policy, &mut state, &signals).unwrap();
    }
    let fallen = Signals { pool_coverage: Some(5.0), ..price(200 * DAY, 70.0) };
    let proposal = propose(policy, &mut state, &fallen).unwrap();
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
    let candidates = proposal.candidates(&policy).unwrap();
    assert_eq!(candidates.len(), 6);
    let key = of_btc(Knob::PriceScanDown);
    let now = proposal.now();
    // First nothing at all: what is in force. Then what loosens alone.
    assert!(candidates[0].iter().all(|(key, value)| state.board().get(key).unwrap().value() == *value));
    let loosens = |(key, value): (&Key, &Ppb)| *value < candidates[0][key];
    assert!(candidates[1].iter().all(|(key, value)| *value <= candidates[0][key]));
    assert!(candidates[1].iter().any(loosens), "something loosens in it");
    assert!(candidates[1..].windows(2).all(|pair| pair[0][&key] < pair[1][&key]));
    let book = [
        impact(0.0, 10.0),
        impact(0.0, 9.0),
        impact(1e5, 8.0),
        impact(2e5, 7.0),
        impact(1e6, 6.0),
        impact(9e6, 5.0),
    ];
    let mut some = state.clone();
    let decision = decide(&policy, &mut some, proposal.clone(), Some(&book), now).unwrap();
    let choice = decision.glide.unwrap();
    assert_eq!((choice.fraction, choice.loosens, choice.induced, choice.waiting), (0.5, true, 2e5, 7.0));
    for (key, value) in &candidates[3] {
        assert_eq!(some.board().get(key).unwrap().value(), *value, "{key}");
    }
    let change = decision.changes.iter().find(|change| change.key == key).unwrap();
    assert!(change.causes.iter().any(|(cause, part)| *cause == Cause::GlidePath && *part < 0));
    // Where only nothing is sound, nothing moves: no loosening either.
    let mut none = state.clone();
    let unsound = Impact { sound: false, ..impact(0.0, 9.0) };
    let book = [impact(0.0, 10.0), unsound, unsound, unsound, unsound, unsound];
    let decision = decide(&policy, &mut none, proposal, Some(&book), now).unwrap();
    assert!(!decision.refused && decision.changes.is_empty() && !decision.glide.unwrap().loosens);
    assert_eq!(none.board(), state.board());
}

#[test]
fn a_result_that_is_not_sound_moves_nothing_at_all() {
    let policy = plimsoll();
    let (mut state, proposal) = tightening(&policy);
    let (before, now) = (state.clone(), proposal.now());
    let book = [Impact::default(); 6];
    let decision = decide(&policy, &mut state, proposal.clone(), Some(&book), now).unwrap();
    assert!(decision.refused && decision.changes.is_empty());
    assert_eq!(state.board(), before.board());
    decide(&policy, &mut state, proposal.clone(), Some(&book[..5]), now).unwrap_err();
    assert_eq!(state.board(), before.board());
    // A proposal counts once.
    let decision = decide(&policy, &mut state, proposal.clone(), None, now).unwrap();
    assert!(!decision.changes.is_empty());
    let after = state.clone();
    let stale = decide(&policy, &mut state, proposal.clone(), None, now).unwrap_err();
    assert!(matches!(stale, StepError::Stale { .. }));
    assert_eq!(state, after);
    // Nor does one that a later one has taken the place of.
    propose(&policy, &mut state, &price(201 * DAY, 70.0)).unwrap();
    let late = decide(&policy, &mut state, proposal, None, at(201 * DAY)).unwrap_err();
    assert!(matches!(late, StepError::Clock { .. }));
}

/// Over two days a base line that scales by the root of time asks for as much more; one that forecasts, for what it forecasts.
#[test]
fn a_longer_margin_period_asks_for_more() {
    let key = of_btc(Knob::PriceScanDown);
    let after = |name: &str, steps: u32| {
        let policy = Policy::shipped(name).unwrap().with_horizon(steps).unwrap();
        let mut state = State::new(&policy, at(0)).unwrap();
        along(&policy, &mut state, 0, &weather(800));
        state.board().get(&key).unwrap().exact()
    };
    for (name, least, most) in [
        ("ewma", 2.0_f64.sqrt() - 1e-9, 2.0_f64.sqrt() + 1e-9),
        ("historical", 2.0_f64.sqrt() - 1e-9, 2.0_f64.sqrt() + 1e-9),
        ("garch", 1.3, 1.5),
        ("span-like", 1.2, 1.6),
    ] {
        let ratio = after(name, 2) / after(name, 1);
        assert!(ratio >= least && ratio <= most, "{name}: {ratio}");
    }
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
    assert_eq!(digest, 0xda5d_61e1_0159_772b, "{digest:#x}");
}

#[test]
fn the_most_specific_statement_wins_and_is_named() {
    let mut file = plimsoll().file().clone();
    let fine = Scope { tenor: Some(0), ..Scope::default() };
    let stated = |scope: &Scope, value| ParameterSpec {
        knob: Knob::TermScan,
        scope: scope.clone(),
        each_underlying: false,
        motion: "slow".to_owned(),
        target: TargetSpec::Stated { value: Ppb(value) },
        buffer: None,
    };
    file.parameters.retain(|parameter| parameter.knob != Knob::TermScan);
    file.parameters.extend([stated(&Scope::default(), 200_000_000), stated(&fine, 250_000_000)]);
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &[0.01]);
    let of = |place: Place<'_>| policy.in_force(state.board(), Knob::TermScan, &place, at(0)).unwrap();
    let week = of(Place { underlying: Some("BTC"), tenor_days: Some(6.9), ..Place::default() });
    assert_eq!((week.key.to_string().as_str(), week.initial), ("term_scan[tenor 0]", Ppb(250_000_000)));
    assert_eq!(week.over, [global(Knob::TermScan)]);
    assert_eq!(week.to_string(), "0.25 by term_scan[tenor 0], over term_scan[*]");
    let month = of(Place { underlying: Some("BTC"), tenor_days: Some(7.0), ..Place::default() });
    assert_eq!((month.key, month.initial), (global(Knob::TermScan), Ppb(200_000_000)));
    let place = Place { underlying: Some("ETH"), ..Place::default() };
    assert_eq!(policy.in_force(state.board(), Knob::PriceScanDown, &place, at(0)), None);
    // What is no number lies in no bucket, and not in the first.
    for bad in [f64::NAN, f64::INFINITY] {
        let place = Place { tenor_days: Some(bad), ..Place::default() };
        assert_eq!(policy.in_force(state.board(), Knob::TermScan, &place, at(0)), None);
    }
}

/// A state as it may come from elsewhere: maintenance in force above initial margin.
fn uncovered(policy: &Policy) -> State {
    let state = State::new(policy, at(0)).unwrap();
    let mut json = serde_json::to_value(&state).unwrap();
    let (old, new) =
        (serde_json::to_value(Ppb(800_000_000)).unwrap(), serde_json::to_value(Ppb(NANO * 3 / 2)).unwrap());
    let mut count = 0;
    replace(&mut json, "mm_scale", &old, &new, &mut count);
    assert!(count > 0, "the state is written in another way");
    serde_json::from_value(json).unwrap()
}

/// Puts a number in the place of another in what stands beside the key of a knob.
fn replace(json: &mut Value, knob: &str, old: &Value, new: &Value, count: &mut usize) {
    fn within(json: &mut Value, old: &Value, new: &Value, count: &mut usize) {
        match json {
            found if found == old => (*found, *count) = (new.clone(), *count + 1),
            Value::Array(all) => all.iter_mut().for_each(|part| within(part, old, new, count)),
            Value::Object(all) => all.values_mut().for_each(|part| within(part, old, new, count)),
            _ => (),
        }
    }
    match json {
        Value::Array(pair) if pair.len() == 2 && pair[0]["knob"] == knob => {
            within(&mut pair[1], old, new, count)
        }
        Value::Array(all) => all.iter_mut().for_each(|part| replace(part, knob, old, new, count)),
        Value::Object(all) => all.values_mut().for_each(|part| replace(part, knob, old, new, count)),
        _ => (),
    }
}

#[test]
fn scales_that_are_uncovered_already_come_together_and_never_further_apart() {
    let policy = plimsoll();
    let value = |state: &State, knob| state.board().get(&global(knob)).unwrap().value();
    for coverage in [0.1, 5.0] {
        let mut state = uncovered(&policy);
        assert_eq!(
            (value(&state, Knob::ImScale), value(&state, Knob::MmScale)),
            (Ppb(NANO), Ppb(NANO * 3 / 2))
        );
        let mut last = NANO / 2;
        let mut said = false;
        for day in 0..60 {
            let decision = step(&policy, &mut state, &pool(DAY * day, coverage)).unwrap();
            said |= decision.notes.iter().any(|note| matches!(note, Note::Uncovered { .. }));
            let lacks = value(&state, Knob::MmScale).0 - value(&state, Knob::ImScale).0;
            assert!(lacks <= last.max(0), "{coverage}, day {day}: {lacks} after {last}");
            last = lacks;
        }
        assert!(said && last <= 0, "{coverage}: {last}");
    }
}
