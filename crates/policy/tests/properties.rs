//! What holds whatever the world does: an independent checker watches every decision of random and adversarial sequences.
//!
//! The million proposals against the hard limits alone are in `limits.rs`; here every number comes through the step.
//! `PLIMSOLL_PROPERTY_STEPS` sets how many steps are taken; 15 000 when it is not there.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, alternating, at, btc, plimsoll, price};
use plimsoll_policy::{
    Bar, Cause, Change, Decision, Impact, Implied, Key, Knob, Limits, Motion, Policy, Quoted, Ramp,
    Scheduled, Scope, Signals, State, TargetSpec, Trail, UnderlyingSignals, Vote, decide, propose, step,
};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{NANO, Ppb, Timestamp};
use std::collections::BTreeMap;

/// Everything that was in force of one parameter, by an account of its own.
struct Account {
    motion: Motion,
    /// From when, to when, and which value.
    spans: Vec<(i64, i64, i64)>,
    ramp: Ramp,
}

fn scaled(value: i64, by: i64) -> i128 {
    i128::from(value) * i128::from(NANO + by)
}

impl Account {
    fn value(&self) -> i64 {
        self.spans.last().unwrap().2
    }

    fn check(&mut self, change: &Change, now: i64, governed: bool) {
        let Limits { minimum, maximum, up, down, window_seconds, window_up, window_down, step, .. } =
            self.motion.limits;
        let (old, new) = (self.value(), change.to.0);
        assert_eq!(change.from.0, old);
        assert_ne!(old, new);
        assert!(new >= minimum.0 && new <= maximum.0 && new % step.0 == 0, "{change:?}");
        let nano = i128::from(NANO);
        assert!(i128::from(new) * nano <= scaled(old, up.0), "{change:?}");
        assert!(i128::from(new) * nano >= scaled(old, -down.0), "{change:?}");
        self.spans.last_mut().unwrap().1 = now;
        for (_, until, value) in self.spans.iter().filter(|(_, until, _)| now - until <= window_seconds) {
            assert!(
                i128::from(new) * nano <= scaled(*value, window_up.0),
                "{change:?} {value} until {until}"
            );
            assert!(
                i128::from(new) * nano >= scaled(*value, -window_down.0),
                "{change:?} {value} until {until}"
            );
        }
        let since = now - self.spans.last().unwrap().0;
        let delay = if new > old {
            self.motion.limits.delay_up_seconds
        } else {
            self.motion.limits.delay_down_seconds
        };
        assert!(self.spans.len() == 1 || since >= delay);
        if !governed && self.spans.len() > 1 {
            // A loosening is never faster than its speed since the last change.
            let fastest = self.motion.stabiliser.loosen_per_day * since as f64 / DAY as f64;
            assert!(ln(new as f64 / old as f64) >= -fastest - 1e-9, "{change:?}");
        }
        self.ramp_follows(change, now);
        self.spans.push((now, now, new));
        self.spans.retain(|(_, until, _)| now - until <= 2 * window_seconds);
    }

    /// What binds existing positions is nowhere above what binds new risk, and rises only on a path that was published.
    fn ramp_follows(&mut self, change: &Change, now: i64) {
        let (before, after) = (&self.ramp, &change.maintenance);
        assert_eq!(after.at(at(now)), before.at(at(now)).min(change.to));
        let notice = self.motion.announce.notice_seconds;
        for later in [0, 1, notice / 2, notice - 1] {
            assert!(after.at(at(now + later)) <= before.at(at(now + later)).max(before.at(at(now))));
        }
        for later in [0, notice, notice + 1_000, notice + 90_000, 10 * DAY] {
            assert!(after.at(at(now + later)) <= change.to);
        }
        self.ramp = after.clone();
    }
}

/// The causes of a change add up to it, to the last digit.
fn attributed(change: &Change) {
    let level = |value: Ppb| Trail::begin(Cause::Stated, value.to_f64()).level();
    let sum: i64 = change.causes.iter().map(|(_, part)| part).sum();
    assert_eq!(sum, level(change.to) - level(change.from), "{change:?}");
}

struct Watcher {
    accounts: BTreeMap<Key, Account>,
    changes: usize,
}

impl Watcher {
    fn new() -> Self {
        Self { accounts: BTreeMap::new(), changes: 0 }
    }

    /// Opens an account for every parameter that has none.
    fn meet(&mut self, policy: &Policy, state: &State, now: i64) {
        for (key, parameter) in state.board().parameters() {
            self.accounts.entry(Key::clone(key)).or_insert_with(|| Account {
                motion: *policy.motion(key).unwrap(),
                spans: vec![(now, now, parameter.value().0)],
                ramp: parameter.ramp().clone(),
            });
        }
    }

    fn check(&mut self, state: &State, decision: &Decision) {
        let now = decision.now.seconds();
        for change in &decision.changes {
            let account = self.accounts.get_mut(&change.key).unwrap();
            let governed =
                state.schedule().votes().any(|v| v.key == change.key && v.effective <= decision.now);
            account.check(change, now, governed);
            attributed(change);
            self.changes += 1;
        }
        for (key, parameter) in state.board().parameters() {
            let account = &self.accounts[&**key];
            // Nothing moves but by a change that was recorded.
            assert_eq!(account.value(), parameter.value().0);
            assert_eq!(account.ramp, *parameter.ramp());
        }
        let scale = |knob| state.board().get(&Key { knob, scope: Scope::default() }).unwrap().value();
        assert!(scale(Knob::ImScale) >= scale(Knob::MmScale));
    }
}

fn maybe<T>(dice: &mut Dice, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    (dice.below(3) > 0).then(|| value(dice))
}

/// A world of two underlyings that may do anything, extremes above all.
struct World {
    dice: Dice,
    closes: [f64; 2],
    now: i64,
}

impl World {
    fn underlying(&mut self, i: usize) -> UnderlyingSignals {
        let dice = &mut self.dice;
        let size = [0.0, 0.001, 0.02, 0.05, 0.3, 2.0][dice.below(6) as usize];
        let change = exp(size * dice.bell());
        let close = (self.closes[i] * change).clamp(1e-6, 1e9);
        let (high, low) = (close.max(self.closes[i]) * 1.01, close.min(self.closes[i]) * 0.99);
        let bar = Bar { open: self.closes[i], high, low, close };
        self.closes[i] = close;
        let venue = |dice: &mut Dice| Quoted {
            depth: [0.0, 1e4, 1e6, 1e9][dice.below(4) as usize],
            spread: [0.0, 1e-4, 0.5][dice.below(3) as usize],
        };
        let venues = ["binance", "okx", "kraken", "nowhere"];
        UnderlyingSignals {
            bar: maybe(dice, |_| bar),
            implied: maybe(dice, |dice| Implied {
                atm: 0.05 + 3.0 * dice.share(),
                risk_reversal: dice.bell(),
                butterfly: dice.bell(),
                slope: dice.bell(),
            }),
            venues: venues.into_iter().map(|name| (name.to_owned(), venue(dice))).collect(),
            open_interest: maybe(dice, |dice| 1e10 * dice.share()),
            daily_volume: None,
            funding: maybe(dice, |dice| 0.01 * dice.bell()),
            concentration: maybe(dice, Dice::share),
        }
    }

    fn signals(&mut self) -> Signals {
        self.now += [1, 600, 3_600, 40_000, DAY, DAY, DAY, 40 * DAY][self.dice.below(8) as usize];
        let names = ["BTC", "ETH"];
        let mut underlyings = BTreeMap::new();
        for (i, name) in names.into_iter().enumerate() {
            if self.dice.below(8) > 0 {
                underlyings.insert(name.to_owned(), self.underlying(i));
            }
        }
        Signals {
            as_of: at(self.now),
            underlyings,
            pool_coverage: maybe(&mut self.dice, |dice| [0.0, 0.5, 1.0, 5.0][dice.below(4) as usize]),
            sentiment: maybe(&mut self.dice, |dice| 100.0 * dice.share()),
        }
    }

    fn vote(&mut self, policy: &Policy, state: &mut State, id: usize) {
        let keys: Vec<Key> = state.board().parameters().keys().map(|key| Key::clone(key)).collect();
        let key = keys[self.dice.below(keys.len() as u64) as usize].clone();
        let Limits { minimum, maximum, .. } = policy.motion(&key).unwrap().limits;
        let span = (maximum.0 - minimum.0) as f64;
        let value = Ppb(minimum.0 + (span * self.dice.share()) as i64);
        let vote = Vote { reference: "chance".to_owned(), yes: 2, no: 1 };
        let (proposed, effective) = (at(self.now), at(self.now + 2 * DAY));
        let expires = Some(at(self.now + 10 * DAY));
        let new = Scheduled { id: format!("v{id}"), key, value, proposed, effective, expires, vote };
        state.vote(policy, new).unwrap();
    }

    fn book(&mut self) -> Vec<Impact> {
        let dice = &mut self.dice;
        let one = |dice: &mut Dice| Impact {
            newly_liquidatable: dice.below(10),
            newly_liquidatable_share: 0.05 * dice.share(),
            induced: 1e6 * dice.share(),
            waiting: 1e6 * dice.share(),
            sound: dice.below(5) > 0,
        };
        (0..5).map(|_| one(dice)).collect()
    }
}

/// Steps of one run: some decades.
const RUN: usize = 3_000;

fn steps() -> usize {
    std::env::var("PLIMSOLL_PROPERTY_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(15_000)
}

#[test]
fn no_sequence_of_steps_crosses_a_bound_outruns_a_limit_or_loses_a_cause() {
    let policy = plimsoll();
    let mut changes = 0;
    for run in 0..steps().div_ceil(RUN) {
        let mut world = World { dice: Dice(run as u64), closes: [100.0, 10.0], now: 0 };
        let mut state = State::new(&policy, at(0)).unwrap();
        let mut watcher = Watcher::new();
        for i in 0..RUN {
            let signals = world.signals();
            if i % 97 == 50 {
                world.vote(&policy, &mut state, i);
            }
            if i % 500 == 300 {
                state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
            }
            let proposal = propose(&policy, &mut state, &signals).unwrap();
            watcher.meet(&policy, &state, world.now);
            let book = (world.dice.below(2) > 0).then(|| world.book());
            let decision = decide(&policy, &mut state, proposal, book.as_deref()).unwrap();
            watcher.check(&state, &decision);
        }
        changes += watcher.changes;
    }
    assert!(changes > steps(), "{changes}");
}

/// Along each path: how often a value turns from rising to falling or back.
fn turns(values: &[f64]) -> usize {
    let moves: Vec<f64> =
        values.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0).collect();
    moves.windows(2).filter(|pair| pair[0] * pair[1] < 0.0).count()
}

fn value(state: &State, key: &Key) -> f64 {
    state.board().get(key).unwrap().value().to_f64()
}

#[test]
fn under_constant_input_every_parameter_moves_one_way_and_rests() {
    let policy = without_learning();
    for seed in 0..6 {
        let mut world = World { dice: Dice(seed), closes: [100.0, 10.0], now: 0 };
        let mut state = State::new(&policy, at(0)).unwrap();
        for _ in 0..120 {
            step(&policy, &mut state, &world.signals()).unwrap();
        }
        let mut signals = world.signals();
        signals.underlyings =
            [("BTC".to_owned(), world.underlying(0)), ("ETH".to_owned(), world.underlying(1))].into();
        let keys: Vec<Key> = state.board().parameters().keys().map(|key| Key::clone(key)).collect();
        let mut paths: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
        for day in 0..700 {
            signals.as_of = at(world.now + DAY * (1 + day));
            step(&policy, &mut state, &signals).unwrap();
            // Windows of readings fill first: a month.
            for key in keys.iter().filter(|_| day >= 30) {
                paths.entry(key.clone()).or_default().push(value(&state, key));
            }
        }
        for (key, path) in paths {
            // Up until its reason has gone, then down: no third move.
            assert!(turns(&path) <= 1, "{seed} {key}: {} turns", turns(&path));
            assert!(
                path[500..].windows(2).all(|pair| (pair[1] / pair[0] - 1.0).abs() < 0.06),
                "{seed} {key}"
            );
        }
    }
}

/// Learning does not cycle: returns of one size never breach, and the tracker goes to its bound and stays.
#[test]
fn under_returns_of_one_size_a_policy_that_learns_comes_to_rest() {
    let policy = plimsoll();
    let key = Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") };
    for size in [0.002, 0.02, 0.08] {
        let mut state = State::new(&policy, at(0)).unwrap();
        let mut path = Vec::new();
        let mut close = 100.0;
        for (day, r) in (0..).zip(alternating(size, 900)) {
            close *= 1.0 + r;
            step(&policy, &mut state, &price(DAY * day, close)).unwrap();
            path.push(value(&state, &key));
        }
        assert!(turns(&path) <= 1, "{size}: {} turns", turns(&path));
        assert_eq!(path[700], path[899], "{size}");
    }
}

/// Our own policy where targets do not learn from breaches.
fn without_learning() -> Policy {
    let mut file = plimsoll().file().clone();
    for parameter in &mut file.parameters {
        if let TargetSpec::Quantile(of) = &mut parameter.target {
            of.shock = 0.0;
            of.tracking = None;
        }
    }
    Policy::new(file).unwrap()
}

#[test]
fn larger_returns_never_give_a_lower_margin() {
    let policy = without_learning();
    for seed in 0..8 {
        let mut dice = Dice(seed);
        let calm: Vec<f64> = (0..250).map(|_| 0.1 * dice.bell()).collect();
        let wild: Vec<f64> = calm.iter().map(|r| r * (1.0 + dice.share())).collect();
        let (mut low, mut high) = (State::new(&policy, at(0)).unwrap(), State::new(&policy, at(0)).unwrap());
        for day in 0..250 {
            along_one(&policy, &mut low, day, &calm);
            along_one(&policy, &mut high, day, &wild);
            for knob in [Knob::PriceScanDown, Knob::PriceScanUp, Knob::ImFraction] {
                let key = Key { knob, scope: Scope::of("BTC") };
                assert!(value(&high, &key) >= value(&low, &key), "{seed} {key} day {day}");
            }
        }
    }
}

/// One day whose return is `returns[day]`, whatever the price was.
fn along_one(policy: &Policy, state: &mut State, day: i64, returns: &[f64]) {
    let seen = usize::try_from(day).unwrap() + 1;
    let close: f64 = returns[..seen].iter().map(|r| 1.0 + r).product();
    step(policy, state, &price(DAY * day, 100.0 * close)).unwrap();
}

/// Every reading that an adjuster of our own policy acts on, worse by turns.
#[test]
fn a_worse_world_never_gives_a_lower_value() {
    let policy = without_learning();
    let mut dice = Dice(11);
    let mut states: Vec<State> = (0..2).map(|_| State::new(&policy, at(0)).unwrap()).collect();
    let mut close = 100.0;
    for day in 0..300 {
        close *= 1.0 + 0.05 * dice.bell();
        let (a, b, c, d) = (dice.share(), dice.share(), dice.share(), dice.share());
        let worse = dice.share() * f64::from(day > 100);
        let signals = |by: f64| {
            let of = UnderlyingSignals {
                bar: Some(Bar::at(close)),
                implied: Some(Implied {
                    atm: 0.5,
                    risk_reversal: 0.0,
                    butterfly: 0.0,
                    slope: 0.1 * (a - 0.5) - 0.2 * by,
                }),
                open_interest: Some(3e9 * (b + by)),
                concentration: Some((0.5 * (c + by)).min(1.0)),
                ..UnderlyingSignals::default()
            };
            Signals { pool_coverage: Some(0.7 + d - 0.6 * by), ..btc(DAY * day, of) }
        };
        step(&policy, &mut states[0], &signals(0.0)).unwrap();
        step(&policy, &mut states[1], &signals(worse)).unwrap();
        for (key, parameter) in states[0].board().parameters() {
            let other = states[1].board().get(key).unwrap().value();
            assert!(other >= parameter.value(), "day {day} {key}: {other} < {}", parameter.value());
        }
    }
    let key = Key { knob: Knob::ImScale, scope: Scope::default() };
    assert!(value(&states[1], &key) > value(&states[0], &key));
}

#[test]
fn the_answer_to_a_step_of_volatility_does_not_overshoot() {
    let policy = plimsoll();
    for knob in [Knob::PriceScanDown, Knob::PriceScanUp] {
        let key = Key { knob, scope: Scope::of("BTC") };
        let mut state = State::new(&policy, at(0)).unwrap();
        along(&policy, &mut state, 0, &alternating(0.01, 1_000));
        let mut values = Vec::new();
        let mut close = 100.0;
        for (day, r) in (1_000..).zip(alternating(0.02, 600)) {
            close *= 1.0 + r;
            step(&policy, &mut state, &price(DAY * day, close)).unwrap();
            values.push(value(&state, &key));
        }
        let peak = values.iter().copied().fold(0.0, f64::max);
        let last = values[values.len() - 1];
        assert!(peak <= 1.011 * last, "{key}: {peak} over {last}");
    }
}

fn now_of(state: &State) -> Timestamp {
    state.now().unwrap()
}

#[test]
fn a_step_is_a_function_of_state_and_signals() {
    let policy = plimsoll();
    let mut world = World { dice: Dice(99), closes: [100.0, 10.0], now: 0 };
    let mut state = State::new(&policy, at(0)).unwrap();
    for _ in 0..300 {
        let signals = world.signals();
        let mut twin = state.clone();
        let decision = step(&policy, &mut state, &signals).unwrap();
        assert_eq!(step(&policy, &mut twin, &signals).unwrap(), decision);
        assert_eq!(twin, state);
        assert_eq!(now_of(&state), signals.as_of);
    }
}
