//! Bad input: what no market says, what is not believed, what stands still, comes late or comes no more. It is named, and
//! everything beside it goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, along, alternating, at, btc, plimsoll, price};
use plimsoll_policy::{
    Bar, Cause, Decision, Estimator, Implied, Key, Knob, Note, Policy, Quoted, Scope, Series, Signals, State,
    TargetSpec, UnderlyingSignals, step,
};
use plimsoll_quant::special::pow;
use plimsoll_types::{NANO, Ppb};

const IMPLIED: Implied = Implied { atm: 0.5, risk_reversal: -0.01, butterfly: 0.01, slope: 0.01 };

fn of(close: f64) -> UnderlyingSignals {
    UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() }
}

fn two(seconds: i64, a: UnderlyingSignals, b: UnderlyingSignals) -> Signals {
    let underlyings = [("BTC".to_owned(), a), ("ETH".to_owned(), b)].into();
    Signals { as_of: at(seconds), underlyings, ..Signals::default() }
}

fn scan(state: &State, underlying: &str) -> f64 {
    let key = Key { knob: Knob::PriceScanDown, scope: Scope::of(underlying) };
    state.board().get(&key).unwrap().value().to_f64()
}

fn why(decision: &Decision) -> Vec<String> {
    let reason = |note: &Note| match note {
        Note::Refused { place, reason } => Some(format!("{place}: {reason}")),
        _ => None,
    };
    decision.notes.iter().filter_map(reason).collect()
}

/// A number of ETH that no market says, its name, and the same without it.
type Bad = (&'static str, Box<dyn Fn(&mut UnderlyingSignals)>, Box<dyn Fn(&mut UnderlyingSignals)>);

fn quoted(depth: f64) -> Quoted {
    Quoted { depth, spread: 1e-4 }
}

/// Each does to good signals of ETH what its name says, and the other leaves out what is then refused.
fn bad() -> Vec<Bad> {
    fn bar(bar: Bar) -> Box<dyn Fn(&mut UnderlyingSignals)> {
        Box::new(move |s| s.bar = Some(bar))
    }
    fn implied(change: fn(&mut Implied)) -> Box<dyn Fn(&mut UnderlyingSignals)> {
        Box::new(move |s| s.implied.iter_mut().for_each(change))
    }
    fn amount(change: fn(&mut UnderlyingSignals)) -> Box<dyn Fn(&mut UnderlyingSignals)> {
        Box::new(change)
    }
    let no_bar = || amount(|s| s.bar = None);
    let no_surface = || amount(|s| s.implied = None);
    vec![
        ("open is NaN", bar(Bar::at(f64::NAN)), no_bar()),
        ("open is 0.0", bar(Bar::at(0.0)), no_bar()),
        ("open is -1.0", bar(Bar::at(-1.0)), no_bar()),
        ("open is inf", bar(Bar::at(f64::INFINITY)), no_bar()),
        ("open is 1e-200", bar(Bar::at(1e-200)), no_bar()),
        ("high is 99.0", bar(Bar { high: 99.0, ..Bar::at(100.0) }), no_bar()),
        ("atm is -0.5", implied(|i| i.atm = -0.5), no_surface()),
        ("slope is inf", implied(|i| i.slope = f64::INFINITY), implied(|i| i.slope = f64::NAN)),
        (
            "open_interest is -1.0",
            amount(|s| s.open_interest = Some(-1.0)),
            amount(|s| s.open_interest = None),
        ),
        ("concentration is 1.5", amount(|s| s.concentration = Some(1.5)), amount(|s| s.concentration = None)),
        ("funding is NaN", amount(|s| s.funding = Some(f64::NAN)), amount(|s| s.funding = None)),
        (
            "ETH at okx: depth is NaN",
            amount(|s| s.venues.extend([("okx".to_owned(), quoted(f64::NAN))])),
            amount(|s| s.venues.retain(|venue, _| venue != "okx")),
        ),
    ]
}

#[test]
fn one_bad_number_is_refused_by_name_and_everything_else_goes_on() {
    let policy = plimsoll();
    let mut start = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(4);
    let mut close = 100.0;
    for day in 0..80 {
        close *= 1.0 + 0.35 * dice.bell();
        step(&policy, &mut start, &two(DAY * day, of(close), of(close))).unwrap();
    }
    let good = || UnderlyingSignals {
        bar: Some(Bar::at(close)),
        implied: Some(IMPLIED),
        open_interest: Some(1e9),
        funding: Some(1e-4),
        concentration: Some(0.3),
        venues: ["okx", "kraken"].map(|name| (name.to_owned(), quoted(1e7))).into(),
        ..UnderlyingSignals::default()
    };
    for (name, spoil, leave_out) in bad() {
        let (mut spoilt, mut left) = (good(), good());
        spoil(&mut spoilt);
        leave_out(&mut left);
        let (mut state, mut twin) = (start.clone(), start.clone());
        let decision = step(&policy, &mut state, &two(80 * DAY, of(0.6 * close), spoilt)).unwrap();
        let reasons = why(&decision);
        assert!(reasons.len() == 1 && reasons[0].contains("ETH") && reasons[0].contains(name), "{reasons:?}");
        let clean = step(&policy, &mut twin, &two(80 * DAY, of(0.6 * close), left)).unwrap();
        assert_eq!(decision.changes, clean.changes, "{name}");
        assert!(scan(&state, "BTC") > scan(&start, "BTC"), "{name}: the breach of BTC is answered");
        // Of the twin nothing is refused: of a surface without its slope neither.
        assert!(why(&clean).is_empty(), "{name}: {:?}", why(&clean));
        assert_eq!(state, twin, "{name}");
    }
    for (name, spoil) in
        [("pool_coverage is -0.1", (Some(-0.1), None)), ("sentiment is 101.0", (None, Some(101.0)))]
    {
        let mut state = start.clone();
        let signals =
            Signals { pool_coverage: spoil.0, sentiment: spoil.1, ..two(80 * DAY, of(0.6 * close), good()) };
        let decision = step(&policy, &mut state, &signals).unwrap();
        assert!(why(&decision)[0].contains(name), "{:?}", why(&decision));
        assert!(scan(&state, "BTC") > scan(&start, "BTC"));
    }
}

#[test]
fn a_first_price_that_is_none_does_not_stop_a_series() {
    let policy = plimsoll();
    for first in [1e-200, 1e-20, 1e20, 1e300] {
        let mut state = State::new(&policy, at(0)).unwrap();
        step(&policy, &mut state, &price(0, first)).unwrap();
        let decisions = along(&policy, &mut state, 1, &alternating(0.02, 80));
        assert!(decisions.iter().all(|d| why(d).is_empty()), "{first}");
        assert!(scan(&state, "BTC") < 0.25, "{first}: an estimate was made");
    }
}

/// Days at the given closes after a hundred alternating ones, and how far a hundred more end from a series without fault.
fn after(closes: &[f64], unit: f64) -> (Vec<Note>, f64, f64) {
    let policy = plimsoll();
    let (mut state, mut twin) = (State::new(&policy, at(0)).unwrap(), State::new(&policy, at(0)).unwrap());
    along(&policy, &mut state, 0, &alternating(0.02, 100));
    along(&policy, &mut twin, 0, &alternating(0.02, 100));
    let mut notes = Vec::new();
    let mut day = 100;
    for close in closes {
        notes.extend(step(&policy, &mut state, &price(DAY * day, *close)).unwrap().notes);
        step(&policy, &mut twin, &price(DAY * day, 100.0)).unwrap();
        day += 1;
    }
    let mut widest: f64 = 0.0;
    for (i, close) in (0_i64..100).zip([102.0, 100.0].into_iter().cycle()) {
        step(&policy, &mut state, &price(DAY * (day + i), close * unit)).unwrap();
        step(&policy, &mut twin, &price(DAY * (day + i), close)).unwrap();
        if i >= 80 {
            widest = widest.max((scan(&state, "BTC") / scan(&twin, "BTC") - 1.0).abs());
        }
    }
    (notes, widest, scan(&state, "BTC"))
}

#[test]
fn a_split_is_a_change_of_unit_and_a_misprint_is_left_out() {
    let doubted = |note: &Note| matches!(note, Note::Doubted { series: Series::Price, .. });
    let rescaled = |note: &Note| match note {
        Note::Rescaled { factor, .. } => Some(*factor),
        _ => None,
    };
    for (unit, factor) in [(10.0, 10.0), (0.1, 0.1), (0.01, 0.01)] {
        let (notes, widest, _) = after(&[100.0 * unit, 100.0 * unit], unit);
        assert_eq!(notes.iter().filter(|note| doubted(note)).count(), 1, "{notes:?}");
        assert_eq!(notes.iter().filter_map(rescaled).collect::<Vec<_>>(), [factor]);
        assert!(widest < 0.02, "{unit}: {widest}");
    }
    let (notes, widest, _) = after(&[1000.0, 100.0], 1.0);
    assert_eq!(notes.iter().filter(|note| doubted(note)).count(), 1);
    assert_eq!(notes.iter().filter_map(rescaled).count(), 0);
    assert!(widest < 0.02, "{widest}");
}

#[test]
fn a_crash_counts_at_once_where_its_bar_shows_it_and_at_the_next_number_otherwise() {
    let policy = plimsoll();
    let mut start = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut start, 0, &alternating(0.02, 100));
    let mut state = start.clone();
    let bar = Bar { open: 100.0, high: 100.0, low: 10.0, close: 10.0 };
    let shown = UnderlyingSignals { bar: Some(bar), ..UnderlyingSignals::default() };
    step(&policy, &mut state, &btc(100 * DAY, shown)).unwrap();
    assert!(scan(&state, "BTC") > 1.3 * scan(&start, "BTC"));
    let mut state = start.clone();
    step(&policy, &mut state, &price(100 * DAY, 15.0)).unwrap();
    assert!(scan(&state, "BTC") <= scan(&start, "BTC"));
    step(&policy, &mut state, &price(100 * DAY + 60, 15.0)).unwrap();
    step(&policy, &mut state, &price(100 * DAY + 6 * 3_600, 15.0)).unwrap();
    assert!(scan(&state, "BTC") > 1.3 * scan(&start, "BTC"));
}

#[test]
fn a_high_or_low_far_from_its_prices_is_cut_to_them() {
    let policy = Policy::shipped("plimsoll").unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 10));
    let bar = Bar { open: 100.0, high: 1_000.0, low: 1.0, close: 101.0 };
    let signals = btc(10 * DAY, UnderlyingSignals { bar: Some(bar), ..UnderlyingSignals::default() });
    let notes = step(&policy, &mut state, &signals).unwrap().notes;
    let values: Vec<f64> = notes
        .iter()
        .filter_map(|note| if let Note::Doubted { value, .. } = note { Some(*value) } else { None })
        .collect();
    assert_eq!(values, [1_000.0, 1.0]);
}

#[test]
fn a_feed_that_stands_still_teaches_nothing_and_is_said_once() {
    let policy = Policy::shipped("ewma").unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.05, 200));
    let before = scan(&state, "BTC");
    let decisions = along(&policy, &mut state, 200, &[0.0; 400]);
    let constant = |note: &&Note| matches!(note, Note::Constant { steps: 10, series: Series::Price, .. });
    assert_eq!(decisions.iter().flat_map(|d| &d.notes).filter(constant).count(), 1);
    // Ten steps of decay 0.97 and no more.
    let least = before * 0.97_f64.sqrt() * pow(0.97, 5.0);
    assert!(scan(&state, "BTC") > least, "{before} {}", scan(&state, "BTC"));
    let moved = step(&policy, &mut state, &price(600 * DAY, 101.0)).unwrap();
    assert!(moved.notes.iter().any(|note| matches!(note, Note::Bridged { steps, .. } if *steps > 380)));
}

#[test]
fn a_late_first_signal_closes_the_step_at_the_last_price_before_it_and_is_said() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 100));
    let mut twin = state.clone();
    let hour = |hour: i64, close: f64| price(99 * DAY + 3_600 * hour, close);
    for state in [&mut state, &mut twin] {
        step(&policy, state, &hour(23, 103.0)).unwrap();
    }
    // One hears nothing for 18 hours; the other hears at midnight what was last said.
    step(&policy, &mut twin, &hour(24, 103.0)).unwrap();
    step(&policy, &mut twin, &hour(42, 104.0)).unwrap();
    let late = step(&policy, &mut state, &hour(42, 104.0)).unwrap();
    let note = Note::Late { underlying: "BTC".to_owned(), series: Series::Price, seconds: 18 * 3_600 };
    assert!(late.notes.contains(&note), "{:?}", late.notes);
    for day in 101..160 {
        let close = if day % 2 == 0 { 100.0 } else { 102.0 };
        for state in [&mut state, &mut twin] {
            step(&policy, state, &price(DAY * day, close)).unwrap();
        }
    }
    assert!((scan(&state, "BTC") / scan(&twin, "BTC") - 1.0).abs() < 2e-3);
}

#[test]
fn an_estimate_that_is_lost_leaves_the_larger_of_the_last_and_the_floor() {
    let mut file = plimsoll().file().clone();
    for parameter in &mut file.parameters {
        if let TargetSpec::Quantile(of) = &mut parameter.target {
            of.now = vec![Estimator::Historical { window: 100, needed: 60 }];
            (of.stress, of.tracking, of.shock) = (None, None, 0.0);
        }
    }
    let policy = Policy::new(file).unwrap();
    let lost = |note: &Note| matches!(note, Note::NoEstimate { key } if key.knob == Knob::PriceScanDown);
    for (size, stands) in [(0.02, 0.25), (1.0, 0.5)] {
        let mut state = State::new(&policy, at(0)).unwrap();
        along(&policy, &mut state, 0, &alternating(size, 100));
        // Whatever rises for a window has no fall to learn from.
        let rises: Vec<f64> = vec![0.01; 200];
        let decisions = along(&policy, &mut state, 100, &rises);
        assert_eq!(decisions.iter().flat_map(|d| &d.notes).filter(|note| lost(note)).count(), 1, "{size}");
        let value = scan(&state, "BTC");
        assert!((value / stands - 1.0).abs() < 0.011, "{size}: {value} for {stands}");
        let key = Key { knob: Knob::PriceScanDown, scope: Scope::of("BTC") };
        let causes = state.board().get(&key).unwrap().trail().steps();
        if size < 0.5 {
            assert_eq!(causes[0].0, Cause::NoEstimate);
        }
    }
}

fn reading(state: &State, cause: Cause) -> Option<f64> {
    state.readings("BTC").get(&cause).copied()
}

#[test]
fn a_reading_that_comes_no_more_is_gone_after_its_time_and_does_what_the_file_says() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 80));
    let value =
        |state: &State, knob, scope: Scope| state.board().get(&Key { knob, scope }).unwrap().value().to_f64();
    let good = UnderlyingSignals {
        open_interest: Some(1e9),
        concentration: Some(0.3),
        implied: Some(Implied { slope: -0.3, ..IMPLIED }),
        ..of(100.0)
    };
    let signals = Signals { pool_coverage: Some(2.0), ..btc(80 * DAY, good) };
    step(&policy, &mut state, &signals).unwrap();
    assert!(reading(&state, Cause::OpenInterest).is_some() && reading(&state, Cause::Pool).is_some());
    let mut stale = Vec::new();
    let before = value(&state, Knob::ImScale, Scope::default());
    for day in 81..90 {
        let decision = step(&policy, &mut state, &price(DAY * day + 60, 100.0 + (day % 2) as f64)).unwrap();
        let gone = |note: &Note| match note {
            Note::Stale { place, cause } => Some((place.clone(), *cause)),
            _ => None,
        };
        stale.extend(decision.notes.iter().filter_map(gone));
    }
    stale.sort();
    let btc = |cause| ("BTC".to_owned(), cause);
    let expected = [
        ("*".to_owned(), Cause::Pool),
        btc(Cause::TermInversion),
        btc(Cause::OpenInterest),
        btc(Cause::Concentration),
    ];
    assert_eq!(stale, expected, "each once");
    assert_eq!((reading(&state, Cause::OpenInterest), reading(&state, Cause::TermInversion)), (None, None));
    // The pool's does its most, the slope's nothing.
    assert_eq!(before, 1.0);
    assert_eq!(value(&state, Knob::ImScale, Scope::default()), 1.5);
    assert!(value(&state, Knob::ImFraction, Scope::of("BTC")) > 1.5 * scan(&state, "BTC"));
    let term = value(&state, Knob::TermScan, Scope::of("BTC"));
    assert!(term < 0.38, "{term}: loosens again");
}

#[test]
fn an_underlying_that_is_gone_lifts_nothing_of_all() {
    let policy = plimsoll();
    let key = Key { knob: Knob::ShortOption, scope: Scope::default() };
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(9);
    let mut surface = || Some(Implied { atm: 0.5 * (1.0 + 0.02 * dice.bell()), ..IMPLIED });
    for day in 0..80 {
        let (a, b) = (surface(), surface());
        let one = |implied| UnderlyingSignals { implied, ..of(100.0 + (day % 2) as f64) };
        step(&policy, &mut state, &two(DAY * day, one(a), one(b))).unwrap();
    }
    let wild = UnderlyingSignals { implied: Some(Implied { atm: 2.0, ..IMPLIED }), ..of(100.0) };
    let calm = UnderlyingSignals { implied: surface(), ..of(100.0) };
    step(&policy, &mut state, &two(80 * DAY, calm, wild)).unwrap();
    for day in 81..83 {
        let calm = UnderlyingSignals { implied: surface(), ..of(100.0 + (day % 2) as f64) };
        step(&policy, &mut state, &btc(DAY * day, calm)).unwrap();
    }
    let lifted = state.board().get(&key).unwrap().value();
    assert!(lifted > Ppb(NANO / 80), "{lifted}");
    for day in 83..140 {
        let calm = UnderlyingSignals { implied: surface(), ..of(100.0 + (day % 2) as f64) };
        step(&policy, &mut state, &btc(DAY * day, calm)).unwrap();
    }
    let value = state.board().get(&key).unwrap().value();
    assert!(value <= Ppb(NANO * 103 / 10_000), "{value}: back to 1 %, the band and rounding");
}

#[test]
fn an_adjuster_that_never_had_a_reading_is_named_once() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let decisions = along(&policy, &mut state, 0, &alternating(0.02, 30));
    let unread: Vec<Cause> = decisions
        .iter()
        .flat_map(|d| &d.notes)
        .filter_map(|note| if let Note::NoReading { cause } = note { Some(*cause) } else { None })
        .collect();
    let adjusters = policy.file().adjusters.clone().unwrap();
    let on: Vec<Cause> = adjusters.by.iter().filter(|(_, of)| of.on).map(|(cause, _)| *cause).collect();
    assert_eq!(unread, on);
}

#[test]
fn the_clock_of_depth_is_its_own_whoever_else_sends_signals() {
    let policy = plimsoll();
    let venues = |depth| {
        ["binance", "coinbase", "okx", "bybit", "kraken"].map(|name| (name.to_owned(), quoted(depth)))
    };
    let depth = |seconds: i64| {
        let of = UnderlyingSignals {
            venues: venues(if seconds < 40 * DAY { 1e7 } else { 3e6 }).into(),
            ..of(100.0 + (seconds / 86_400 % 2) as f64)
        };
        btc(seconds, of)
    };
    let eth = |seconds: i64| {
        let underlyings = [("ETH".to_owned(), of(100.0))].into();
        Signals { as_of: at(seconds), underlyings, ..Signals::default() }
    };
    let run = |others: bool| {
        let mut state = State::new(&policy, at(0)).unwrap();
        step(&policy, &mut state, &eth(1)).unwrap();
        for hour in 1..24 * 50 {
            if others {
                step(&policy, &mut state, &eth(3_600 * hour - 60)).unwrap();
            }
            step(&policy, &mut state, &depth(3_600 * hour)).unwrap();
        }
        reading(&state, Cause::Liquidity)
    };
    assert!(run(false).unwrap() > 1.5);
    assert_eq!(run(true), run(false));
}

#[test]
fn correlation_is_of_the_same_step_whichever_message_each_change_came_with() {
    let policy = plimsoll();
    let run = |apart: bool| {
        let mut state = State::new(&policy, at(0)).unwrap();
        let mut dice = Dice(6);
        let mut closes = [100.0; 4];
        for day in 0..120 {
            let shared = dice.bell();
            let mut all = Vec::new();
            for (close, name) in closes.iter_mut().zip(["BTC", "ETH", "SOL", "XRP"]) {
                *close *= 1.0 + 0.04 * (shared + 0.5 * dice.bell());
                all.push((name.to_owned(), of(*close)));
            }
            let messages = if apart { all.into_iter().map(|one| vec![one]).collect() } else { vec![all] };
            for (later, message) in (0..).zip(messages) {
                let underlyings = message.into_iter().collect();
                let signals = Signals { as_of: at(DAY * day + later), underlyings, ..Signals::default() };
                step(&policy, &mut state, &signals).unwrap();
            }
        }
        reading(&state, Cause::Correlation)
    };
    assert!(run(false).unwrap() > 0.5);
    assert_eq!(run(true), run(false));
}

#[test]
fn what_is_usual_of_a_stated_target_learns_every_step() {
    let mut file = plimsoll().file().clone();
    file.adjusters = None;
    let usual = plimsoll_policy::Usual { level: 0.5, window: 20 };
    for parameter in &mut file.parameters {
        if parameter.knob == Knob::ImFraction {
            parameter.buffer = Some(plimsoll_policy::Buffer { share: 0.25, usual: Some(usual) });
        }
    }
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    along(&policy, &mut state, 0, &alternating(0.02, 250));
    let key = Key { knob: Knob::ImFraction, scope: Scope::of("BTC") };
    let value = state.board().get(&key).unwrap().value().to_f64();
    // Long after the scan has come down from the fallback, what is usual is the scan: the buffer is whole.
    assert!((value / scan(&state, "BTC") - 1.25).abs() < 0.02, "{value} {}", scan(&state, "BTC"));
    // A jump of the scan uses the buffer up.
    for hour in 1..24 {
        step(&policy, &mut state, &price(249 * DAY + 3_600 * hour, 80.0)).unwrap();
    }
    let value = state.board().get(&key).unwrap().value().to_f64();
    assert!(value / scan(&state, "BTC") < 1.2, "{value} {}", scan(&state, "BTC"));
}

#[test]
fn an_asset_that_was_never_seen_does_not_take_the_worst_of_the_others() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let venues = |depth| ["binance", "coinbase", "okx"].map(|name| (name.to_owned(), quoted(depth)));
    for hour in 0..24 * 50 {
        let depth = if hour < 24 * 40 { 1e7 } else { 2e5 };
        let of = UnderlyingSignals { venues: venues(depth).into(), ..of(100.0 + (hour / 24 % 2) as f64) };
        step(&policy, &mut state, &btc(3_600 * hour, of)).unwrap();
    }
    let value = |underlying: &str| {
        let key = Key { knob: Knob::Impact, scope: Scope::of(underlying) };
        state.board().get(&key).unwrap().value()
    };
    assert!(value("BTC") > Ppb(NANO / 24), "{}", value("BTC"));
    assert_eq!(value("SOL"), Ppb(NANO * 6 / 100));
}

#[test]
fn a_fit_that_fails_is_said_by_name_and_the_last_one_stays() {
    let mut file = plimsoll().file().clone();
    for parameter in &mut file.parameters {
        if let TargetSpec::Quantile(of) = &mut parameter.target {
            of.now = vec![Estimator::Tail { window: 60, level: 0.8, needed: 50, refit_every: 10 }];
            (of.stress, of.tracking, of.shock) = (None, None, 0.0);
        }
    }
    let policy = Policy::new(file).unwrap();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut dice = Dice(12);
    let weather: Vec<f64> = (0..100).map(|_| 0.2 * dice.bell()).collect();
    let failed = |decision: &Decision| why(decision).iter().filter(|text| text.contains("tail")).count();
    let decisions = along(&policy, &mut state, 0, &weather);
    assert_eq!(decisions.iter().map(failed).sum::<usize>(), 0);
    let fitted = scan(&state, "BTC");
    // Losses of one size have no law beyond a threshold.
    let decisions = along(&policy, &mut state, 100, &alternating(0.01, 200));
    let reasons: Vec<String> = decisions.iter().flat_map(why).collect();
    assert!(reasons.iter().any(|text| text.contains("price_scan_down[BTC]: tail")), "{reasons:?}");
    // Not every day, but when one is due.
    let days = decisions.iter().filter(|decision| failed(decision) > 0).count();
    assert!((5..=25).contains(&days), "{days}");
    assert!(decisions.iter().flat_map(|d| &d.notes).all(|note| !matches!(note, Note::NoEstimate { .. })));
    assert!(scan(&state, "BTC") > 0.0 && fitted > 0.0);
}

#[test]
fn a_price_beyond_the_range_of_its_first_unit_is_refused_and_the_series_goes_on() {
    let policy = plimsoll();
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut day = 0;
    let mut tell = |close: f64| {
        day += 1;
        step(&policy, &mut state, &price(DAY * day, close)).unwrap()
    };
    (0..5).for_each(|_| drop(tell(1e30)));
    // The unit changes by sixty powers of ten, which the second number says again.
    tell(1e-30);
    let notes = tell(1e-30).notes;
    assert!(notes.iter().any(|note| matches!(note, Note::Rescaled { .. })), "{notes:?}");
    let decision = tell(1e30);
    assert!(why(&decision)[0].contains("in its first unit: expected from 1e-90 to 1e90"), "{decision:?}");
    assert!(why(&tell(1e-30)).is_empty());
}
