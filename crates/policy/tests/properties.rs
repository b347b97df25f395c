//! What holds whatever the world does: an independent checker watches every decision of random and adversarial sequences.
//!
//! A million steps of a small policy, with governance, books, delays and restarts, run by default; of our own policy, with all its
//! estimators, 15 000, or as many as `PLIMSOLL_PROPERTY_STEPS` says. A million proposals against the hard limits alone are in
//! `limits.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, alternating, at, plimsoll, price};
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
            // A vote goes around the stabiliser, and no further than the limits.
            let governed =
                state.schedule().votes().any(|v| v.key == change.key && v.effective <= decision.made);
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

    /// Something that governance may do, sound or not. Says whether it did.
    fn govern(&mut self, policy: &Policy, state: &mut State, id: usize) -> bool {
        let keys: Vec<Key> = state.board().parameters().keys().map(|key| Key::clone(key)).collect();
        let key = keys[self.dice.below(keys.len() as u64) as usize].clone();
        let Limits { minimum, maximum, .. } = policy.motion(&key).unwrap().limits;
        let span = (maximum.0 - minimum.0) as f64;
        let value = Ppb(minimum.0 + (span * self.dice.share()) as i64);
        let vote = Vote { reference: "chance".to_owned(), yes: 2, no: 1 };
        let timelock = policy.file().governance.unwrap().timelock_seconds;
        let early = [0, 0, 0, 1, 30 * DAY][self.dice.below(5) as usize];
        let (proposed, effective) = (at(self.now - early), at(self.now + timelock - early));
        let expires =
            maybe(&mut self.dice, |dice| effective.plus_seconds(1 + dice.below(864_000).cast_signed()));
        let new = Scheduled { id: format!("v{id}"), key, value, proposed, effective, expires, vote };
        // What is dated back is refused, and nothing else is.
        let outcome = state.vote(policy, new, at(self.now));
        assert_eq!(outcome.is_ok(), early == 0, "{outcome:?}");
        let mut did = outcome.is_ok();
        if self.dice.below(2) == 0 {
            let ids: Vec<String> = state.schedule().votes().map(|vote| vote.id.clone()).collect();
            if !ids.is_empty() {
                let id = &ids[self.dice.below(ids.len() as u64) as usize];
                state.cancel(policy, id, at(self.now)).unwrap();
                did = true;
            }
        }
        did
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
        (0..6).map(|_| one(dice)).collect()
    }
}

/// Steps of one run: some decades.
const RUN: usize = 3_000;

fn steps() -> usize {
    std::env::var("PLIMSOLL_PROPERTY_STEPS").ok().and_then(|text| text.parse().ok()).unwrap_or(15_000)
}

/// One run of so many steps: every decision is watched. Says how many changes there were.
fn run(policy: &Policy, seed: u64, steps: usize) -> usize {
    let mut world = World { dice: Dice(seed), closes: [100.0, 10.0], now: 0 };
    let mut state = State::new(policy, at(0)).unwrap();
    let mut watcher = Watcher::new();
    for i in 0..steps {
        let signals = world.signals();
        if i % 97 == 50 {
            world.govern(policy, &mut state, i);
        }
        if i % 500 == 300 {
            state = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        }
        let proposal = propose(policy, &mut state, &signals).unwrap();
        watcher.meet(policy, &state, world.now);
        let (tightens, mut stale) = (proposal.tightens(), false);
        if i % 211 == 100 {
            stale = world.govern(policy, &mut state, steps + i);
        }
        let book = (world.dice.below(2) > 0).then(|| world.book());
        // Most are decided at once, some later, a few too late.
        world.now += [0, 0, 0, 0, 1, 60, 3_599, 3_600][world.dice.below(8) as usize];
        let late = at(world.now) >= proposal.now().plus_seconds(3_600);
        let before = (late || stale).then(|| state.clone());
        match decide(policy, &mut state, proposal, book.as_deref(), at(world.now)) {
            Ok(decision) => {
                assert!(!stale, "step {i}: governance has acted");
                assert!(!late || decision.changes.is_empty(), "step {i}: {decision:?}");
                assert!(tightens || decision.changes.iter().all(|change| change.to < change.from));
                watcher.check(&state, &decision);
            }
            Err(error) => {
                assert!(late || stale, "{error}");
                assert_eq!(Some(&state), before.as_ref());
            }
        }
    }
    watcher.changes
}

#[test]
fn no_sequence_of_steps_crosses_a_bound_outruns_a_limit_or_loses_a_cause() {
    let policy = plimsoll();
    let runs = steps().div_ceil(RUN) as u64;
    let changes: usize = (0..runs).map(|seed| run(&policy, seed, RUN)).sum();
    assert!(changes > steps() / 2, "{changes}");
}

/// A policy of few parameters, all of which can move in any step.
const SMALL: &str = r#"
name = "small"
description = "What can move."
observation = { step_seconds = 3600 }
parameters = [
  { knob = "im_scale", motion = "free", target = { kind = "stated", value = 1.0 } },
  { knob = "mm_scale", motion = "free", target = { kind = "stated", value = 0.8 } },
  { knob = "price_scan_down", scope = { underlying = "BTC" }, motion = "free", target = { kind = "quantile", series = "price", loss = "fall", confidence = 0.99, horizon_steps = 1, shock = 1.5, fallback = 0.3, now = [{ kind = "ewma", half_life = 4.0, needed = 3, nu = 5.0 }], tracking = { gain = 0.2, least = -0.3, most = 0.3 } } },
]
[motions.free]
announce = { notice_seconds = 600, ramp_seconds = 20000 }
stabiliser = { band_up = 0.0, band_down = 0.01, tighten_per_day = 3.0, loosen_per_day = 0.3, hold_seconds = 7200 }
limits = { minimum = 0.05, maximum = 2.0, up = 0.4, down = 0.1, window_seconds = 604800, window_up = 1.5, window_down = 0.5, delay_up_seconds = 0, delay_down_seconds = 600, expiry_seconds = 3600, step = 0.001 }
[adjusters]
product_max = 2.0
[adjusters.by.pool]
on = true
group = "capital"
knobs = ["im_scale", "mm_scale"]
slope = { start = 0.8, full = 1.25, most = 1.6 }
stale_seconds = 86400
when_stale = "nothing"
[adjusters.by.open_interest]
on = true
group = "crowding"
knobs = ["price_scan_down"]
slope = { start = 1e9, full = 5e9, most = 1.5 }
stale_seconds = 86400
when_stale = "most"
[governance]
timelock_seconds = 7200
quorum = 1
[glide]
fractions = [0.25, 0.5, 0.75, 1.0]
induced_max = 400000.0
liquidatable_share_max = 0.04
"#;

/// A million steps through propose and decide: a quarter each, so that they run side by side.
fn a_quarter_of_a_million(seeds: std::ops::Range<u64>) {
    let policy = Policy::from_toml(SMALL).unwrap();
    let changes: usize = seeds.map(|seed| run(&policy, 1_000 + seed, 5_000)).sum();
    assert!(changes > 100_000, "{changes}");
}

#[test]
fn a_million_steps_cross_no_bound_the_first_quarter() {
    a_quarter_of_a_million(0..50);
}

#[test]
fn a_million_steps_cross_no_bound_the_second_quarter() {
    a_quarter_of_a_million(50..100);
}

#[test]
fn a_million_steps_cross_no_bound_the_third_quarter() {
    a_quarter_of_a_million(100..150);
}

#[test]
fn a_million_steps_cross_no_bound_the_last_quarter() {
    a_quarter_of_a_million(150..200);
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

/// Everything is said again every day, prices and volatility alternating by one size: each parameter goes up until its reason
/// has gone, then down, and then it does not move at all.
#[test]
fn under_constant_input_every_parameter_moves_one_way_and_rests() {
    let policy = without_learning();
    for seed in 0..6 {
        let mut world = World { dice: Dice(seed), closes: [100.0, 10.0], now: 0 };
        let mut signals = world.signals();
        let sizes = [0.002, 0.01, 0.03, 0.08];
        let names = ["BTC", "ETH"];
        let of: Vec<_> = (0..2).map(|i| (world.underlying(i), sizes[world.dice.below(4) as usize])).collect();
        let mut state = State::new(&policy, at(0)).unwrap();
        let mut paths: BTreeMap<Key, Vec<f64>> = BTreeMap::new();
        for day in 0..900 {
            signals.as_of = at(DAY * day);
            for (name, (of, size)) in names.iter().zip(&of) {
                let by = if day % 2 == 0 { 1.0 } else { 1.0 + size };
                let implied = Implied { atm: 0.6 * by, ..of.implied.unwrap_or(Implied { atm: 0.6, ..FLAT }) };
                let of = UnderlyingSignals {
                    bar: Some(Bar::at(100.0 * by)),
                    implied: Some(implied),
                    ..of.clone()
                };
                signals.underlyings.insert((*name).to_owned(), of);
            }
            step(&policy, &mut state, &signals).unwrap();
            // Windows of readings fill first: four months.
            for key in state.board().parameters().keys().filter(|_| day >= 130) {
                paths.entry(Key::clone(key)).or_default().push(value(&state, key));
            }
        }
        for (key, path) in paths {
            assert!(turns(&path) <= 1, "{seed} {key}: {} turns", turns(&path));
            let rest = &path[path.len() - 300..];
            assert!(rest.iter().all(|value| value == &rest[0]), "{seed} {key}: {rest:?}");
        }
    }
}

/// A surface without shape.
const FLAT: Implied = Implied { atm: 0.5, risk_reversal: 0.0, butterfly: 0.0, slope: 0.0 };

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

/// A day of a world of four underlyings that is `worse` in the readings of one cause, or as usual.
fn day_of(day: i64, worse: Option<Cause>) -> Signals {
    let now_is = |cause| worse == Some(cause);
    let sign = if day % 2 == 0 { 1.0 } else { -1.0 };
    let names = ["BTC", "ETH", "SOL", "XRP"];
    let venue = Quoted { depth: if now_is(Cause::Liquidity) { 1e3 } else { 5e7 }, spread: 1e-4 };
    let one = |i: usize| {
        // Their moves agree in part; a day on which they are as one is a step towards one.
        let turn = usize::try_from((day / 2) % 12).unwrap();
        let own = if turn == i && !now_is(Cause::Correlation) { -sign } else { sign };
        let large = now_is(Cause::Regime) || now_is(Cause::Jump);
        let storm = (day / 25) % 4 == 3;
        let move_of_day = if large {
            0.3
        } else if storm {
            0.05
        } else {
            0.01
        };
        let close = if own > 0.0 { 100.0 * (1.0 + move_of_day) } else { 100.0 };
        UnderlyingSignals {
            bar: Some(Bar::at(close)),
            implied: Some(Implied {
                atm: (0.5 + 0.005 * sign) * if now_is(Cause::VolSpike) { 1.5 } else { 1.0 },
                risk_reversal: 0.001 * sign - if now_is(Cause::Skew) { 0.3 } else { 0.0 },
                butterfly: 0.0,
                slope: if now_is(Cause::TermInversion) { -1.0 } else { 0.01 },
            }),
            venues: ["binance", "coinbase", "okx", "bybit", "kraken"].map(|v| (v.to_owned(), venue)).into(),
            open_interest: Some(if now_is(Cause::OpenInterest) { 1e12 } else { 1e6 }),
            daily_volume: Some(1e10),
            funding: Some(if now_is(Cause::Funding) { 0.05 } else { 0.0001 }),
            concentration: Some(if now_is(Cause::Concentration) { 1.0 } else { 0.1 }),
        }
    };
    Signals {
        as_of: at(DAY * day),
        underlyings: (0..4).map(|i| (names[i].to_owned(), one(i))).collect(),
        pool_coverage: Some(if now_is(Cause::Pool) { 0.1 } else { 5.0 }),
        sentiment: Some(if now_is(Cause::Sentiment) { 0.0 } else { 50.0 }),
    }
}

/// Every reading that an adjuster acts on: from one state, a day that is worse in it gives no parameter a lower value than the day
/// as usual, gives some a higher one, and says why.
#[test]
fn a_worse_world_never_gives_a_lower_value() {
    let file = without_learning().file().clone();
    let causes: Vec<Cause> = file.adjusters.as_ref().unwrap().by.keys().copied().collect();
    assert_eq!(causes.len(), 12, "{causes:?}");
    for cause in causes {
        // It alone, since of a group only the largest is named.
        let mut file = file.clone();
        file.adjusters.as_mut().unwrap().by.iter_mut().for_each(|(of, adjuster)| adjuster.on = *of == cause);
        let policy = Policy::new(file).unwrap();
        let mut state = State::new(&policy, at(0)).unwrap();
        // The last three weeks are calm.
        for day in 0..320 {
            step(&policy, &mut state, &day_of(day, None)).unwrap();
        }
        let (mut usual, mut worse) = (state.clone(), state.clone());
        let mut said = false;
        // A norm learns from what is worse, so what is compared is the day, and for slow readings the days after it.
        let slow = matches!(cause, Cause::Correlation | Cause::Liquidity);
        for day in 320..if slow { 380 } else { 321 } {
            step(&policy, &mut usual, &day_of(day, None)).unwrap();
            let decision = step(&policy, &mut worse, &day_of(day, Some(cause))).unwrap();
            said |=
                decision.changes.iter().any(|c| c.causes.iter().any(|(of, part)| *of == cause && *part > 0));
            for (key, parameter) in usual.board().parameters() {
                let other = worse.board().get(key).unwrap().value();
                assert!(
                    other >= parameter.value(),
                    "{cause} day {day} {key}: {other} < {}",
                    parameter.value()
                );
            }
        }
        assert!(said, "{cause} lifted nothing: {:?}, {:?}", usual.readings("BTC"), worse.readings("BTC"));
    }
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
