//! What the world adds: each adjuster of our own policy lifts its parameters when its signal is bad, says so, and nothing when
//! the signal is good or absent. And leverage by size.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{DAY, Dice, at, btc, plimsoll};
use plimsoll_policy::{
    Bar, Cause, Decision, Implied, Key, Knob, LeverageTiers, POLICIES, Policy, PolicyError, Quoted, Scope,
    Signals, State, TargetSpec, UnderlyingSignals, step,
};
use plimsoll_types::{NANO, Ppb};

const GOOD: Implied = Implied { atm: 0.5, risk_reversal: -0.02, butterfly: 0.02, slope: 0.02 };

/// A good day: prices move a little, books are deep, everything is as usual.
fn good(day: i64, dice: &mut Dice) -> Signals {
    // Within a deviation of its norm on every day.
    let noise = if dice.below(2) > 0 { 1.03 } else { 0.97 };
    let quoted = Quoted { depth: 1e7, spread: 1e-4 };
    let venues = ["binance", "coinbase", "okx", "bybit", "kraken"];
    let of = UnderlyingSignals {
        bar: Some(Bar::at(100.0 * (1.0 + 0.02 * dice.bell()))),
        implied: Some(Implied { atm: GOOD.atm * noise, risk_reversal: GOOD.risk_reversal * noise, ..GOOD }),
        venues: venues.into_iter().map(|name| (name.to_owned(), quoted)).collect(),
        open_interest: Some(1e9),
        funding: Some(1e-4),
        concentration: Some(0.3),
        ..UnderlyingSignals::default()
    };
    Signals { pool_coverage: Some(2.0), sentiment: Some(55.0), ..btc(DAY * day, of) }
}

/// Our own policy with the shapes of the surface as they start: what adjusters add is all that moves them.
fn stated_shapes() -> Policy {
    let mut file = plimsoll().file().clone();
    for parameter in &mut file.parameters {
        if matches!(parameter.knob, Knob::SkewScan | Knob::TermScan) {
            parameter.target = TargetSpec::Stated { value: parameter.target.first() };
        }
    }
    Policy::new(file).unwrap()
}

/// 150 good days, then 20 that `spoil` has made worse, two hours apart.
fn run(spoil: impl Fn(&mut Signals)) -> (State, Vec<Decision>) {
    let policy = stated_shapes();
    let mut dice = Dice(3);
    let mut state = State::new(&policy, at(0)).unwrap();
    let mut decisions = Vec::new();
    for day in 0..150 {
        step(&policy, &mut state, &good(day, &mut dice)).unwrap();
    }
    for i in 0..240_u32 {
        let mut signals = good(0, &mut Dice(u64::from(i)));
        signals.as_of = at(DAY * 150 + 7_200 * i64::from(i));
        spoil(&mut signals);
        decisions.push(step(&policy, &mut state, &signals).unwrap());
    }
    (state, decisions)
}

fn one(signals: &mut Signals) -> &mut UnderlyingSignals {
    signals.underlyings.get_mut("BTC").unwrap()
}

fn value(state: &State, knob: Knob, scope: Scope) -> f64 {
    state.board().get(&Key { knob, scope }).unwrap().value().to_f64()
}

fn gave(decisions: &[Decision], cause: Cause) -> bool {
    decisions
        .iter()
        .flat_map(|d| &d.changes)
        .any(|c| c.causes.iter().any(|(of, part)| *of == cause && *part > 0))
}

#[test]
fn a_good_world_adds_nothing() {
    let (state, decisions) = run(|_| ());
    let adjusters = plimsoll().file().adjusters.clone().unwrap();
    for cause in adjusters.by.keys() {
        assert!(!gave(&decisions, *cause), "{cause}");
    }
    assert_eq!(value(&state, Knob::ImScale, Scope::default()), 1.0);
}

/// Why, what it lifts, by how much at least, and what makes it so.
type Bad = (Cause, Knob, Scope, f64, Box<dyn Fn(&mut Signals)>);

#[test]
fn each_signal_that_goes_bad_lifts_its_parameters_and_says_so() {
    let (calm, usual) = run(|_| ());
    let implied =
        |change: fn(&mut Implied)| move |s: &mut Signals| one(s).implied.iter_mut().for_each(change);
    let btc = || Scope::of("BTC");
    let worse: [Bad; 8] = [
        (Cause::VolSpike, Knob::ShortOption, Scope::default(), 1.3, Box::new(implied(|i| i.atm = 1.5))),
        (Cause::Skew, Knob::SkewScan, btc(), 1.3, Box::new(implied(|i| i.risk_reversal = -0.2))),
        (Cause::TermInversion, Knob::TermScan, btc(), 1.9, Box::new(implied(|i| i.slope = -0.3))),
        (
            Cause::Pool,
            Knob::ImScale,
            Scope::default(),
            1.4,
            Box::new((|s| s.pool_coverage = Some(0.8)) as fn(&mut Signals)),
        ),
        (
            Cause::Pool,
            Knob::MmScale,
            Scope::default(),
            1.4,
            Box::new((|s| s.pool_coverage = Some(0.0)) as fn(&mut Signals)),
        ),
        (
            Cause::OpenInterest,
            Knob::ImFraction,
            btc(),
            1.8,
            Box::new((|s| one(s).open_interest = Some(9e9)) as fn(&mut Signals)),
        ),
        (
            Cause::Concentration,
            Knob::ImFraction,
            btc(),
            1.4,
            Box::new((|s| one(s).concentration = Some(0.95)) as fn(&mut Signals)),
        ),
        (Cause::Liquidity, Knob::Impact, btc(), 1.2, Box::new(drain)),
    ];
    for (cause, knob, scope, least, spoil) in worse {
        let (_, decisions) = run(spoil);
        assert!(gave(&decisions, cause), "{cause}");
        let key = Key { knob, scope: scope.clone() };
        let peak = |of: &[Decision]| {
            let moves = of.iter().flat_map(|d| &d.changes).filter(|change| change.key == key);
            moves.map(|change| change.to.to_f64()).fold(value(&calm, knob, scope.clone()), f64::max)
        };
        let factor = peak(&decisions) / peak(&usual);
        assert!(factor >= least && factor <= 2.0, "{cause} {}: {factor}", knob.name());
    }
}

fn drain(signals: &mut Signals) {
    for quoted in one(signals).venues.values_mut() {
        quoted.depth = 5e5;
    }
}

#[test]
fn one_empty_book_read_does_nothing() {
    let policy = plimsoll();
    let mut dice = Dice(3);
    let mut state = State::new(&policy, at(0)).unwrap();
    for day in 0..150 {
        step(&policy, &mut state, &good(day, &mut dice)).unwrap();
    }
    let before = value(&state, Knob::Impact, Scope::of("BTC"));
    let mut signals = good(150, &mut dice);
    one(&mut signals).venues.values_mut().for_each(|quoted| *quoted = Quoted { depth: 0.0, spread: 1.0 });
    signals.as_of = at(149 * DAY + 60);
    step(&policy, &mut state, &signals).unwrap();
    assert_eq!(value(&state, Knob::Impact, Scope::of("BTC")), before);
}

#[test]
fn underlyings_that_move_as_one_cut_credits() {
    let policy = plimsoll();
    let together = |common: f64| {
        let mut dice = Dice(5);
        let mut state = State::new(&policy, at(0)).unwrap();
        let mut closes = [100.0; 4];
        for day in 0..200 {
            let shared = dice.bell();
            let mut signals = Signals { as_of: at(DAY * day), ..Signals::default() };
            for (close, name) in closes.iter_mut().zip(["BTC", "ETH", "SOL", "XRP"]) {
                *close *= 1.0 + 0.05 * (common * shared + (1.0 - common) * dice.bell());
                let of = UnderlyingSignals { bar: Some(Bar::at(*close)), ..UnderlyingSignals::default() };
                signals.underlyings.insert(name.to_owned(), of);
            }
            step(&policy, &mut state, &signals).unwrap();
        }
        let own = value(&state, Knob::Idiosyncratic, Scope::default());
        (own, value(&state, Knob::FloorShare, Scope::default()))
    };
    assert_eq!(together(0.0), (0.2, 0.35));
    let (own, floor) = together(0.97);
    assert!(own > 0.24 && floor > 0.42, "{own} {floor}");
}

#[test]
fn leverage_falls_with_the_scan_and_by_tier_without_a_jump() {
    let policy = plimsoll();
    let (calm, _) = run(|_| ());
    let (crowded, _) = run(|s| one(s).open_interest = Some(9e9));
    let tiers = |state: &State| policy.leverage(state.board(), "BTC", at(0)).unwrap();
    for (a, b) in tiers(&calm).iter().zip(tiers(&crowded)) {
        assert!(b.leverage < a.leverage && a.leverage <= 50.0 && b.leverage >= 1.0);
    }
    for pair in tiers(&calm).windows(2) {
        let (below, above) = (pair[0].requirement(pair[1].from), pair[1].requirement(pair[1].from));
        assert!((below - above).abs() < 1e-6, "{below} {above}");
        assert!(pair[1].fraction > pair[0].fraction);
    }
    assert_eq!(policy.leverage(calm.board(), "DOGE", at(0)), None);
    let spec = LeverageTiers { ends: vec![10.0], times: vec![1.0, 2.0], leverage_max: 20.0 };
    let tiers = spec.at(Ppb(NANO / 100));
    assert_eq!((tiers[0].fraction, tiers[1].fraction), (Ppb(NANO / 20), Ppb(NANO / 20)));
    assert_eq!(spec.at(Ppb(NANO / 4))[1].requirement(20.0), 10.0 * 0.25 + 10.0 * 0.5);
}

#[test]
fn a_file_that_could_loosen_without_limit_or_contradicts_itself_is_no_policy() {
    let text = POLICIES[0].1;
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Policy::from_toml(&text.replacen(from, to, 1)).unwrap_err()
    };
    let motion = |e: &PolicyError| matches!(e, PolicyError::Motion { .. });
    for (from, to) in [
        ("down = 0.06 ", "down = 1.0 "),
        ("window_down = 0.35 ", "window_down = 1.0 "),
        ("window_down = 0.35 ", "window_down = 0.01 "),
        ("minimum = 0.01 ", "minimum = 0.0 "),
        ("minimum = 0.01 ", "minimum = 3.0 "),
        ("window_seconds = 604800", "window_seconds = 0"),
        ("expiry_seconds = 3600", "expiry_seconds = 0"),
        ("loosen_per_day = 0.05129329438755058", "loosen_per_day = 5.0"),
        ("notice_seconds = 3600", "notice_seconds = -1"),
    ] {
        let error = refused(from, to);
        assert!(motion(&error), "{from} -> {to}: {error}");
    }
    assert!(matches!(refused("fallback = 0.25 ", "fallback = 2.5 "), PolicyError::Start { .. }));
    assert!(matches!(refused("motion = \"scan\"", "motion = \"none\""), PolicyError::NoMotion { .. }));
    assert!(matches!(refused("each_underlying = true", ""), PolicyError::NoSeries(_)));
    assert!(matches!(refused("floor = 0.85 ", "floor = 1.85 "), PolicyError::Target { .. }));
    assert!(matches!(refused("confidence = 0.99 ", "confidence = 1.99 "), PolicyError::Range { .. }));
    assert!(matches!(refused("value = 0.8 }", "value = 1.2 }"), PolicyError::Uncovered { .. }));
    let scoped = |scope: &str| format!("knob = \"term_scan\"\nscope = {{ {scope} }} #");
    let bucket = refused("knob = \"term_scan\"", &scoped("tenor = 9"));
    assert!(matches!(bucket, PolicyError::Bucket { .. }), "{bucket}");
    for scope in ["tenor = 0", "moneyness = 0", "side = \"short\""] {
        let knob = "knob = \"short_option\"";
        let reach = refused(knob, &scoped(scope).replace("term_scan", "short_option"));
        assert!(matches!(reach, PolicyError::Reach { .. }), "{reach}");
    }
    assert!(matches!(refused("product_max = 2.0", "product_max = 0.5"), PolicyError::Range { .. }));
    assert!(matches!(refused("skew = { half_life", "regime_ = { half_life"), PolicyError::Unreadable { .. }));
    assert!(matches!(
        refused("skew = { half_life = 60.0, needed = 60 }", ""),
        PolicyError::NoReading(Cause::Skew)
    ));
    assert!(matches!(refused("half_life = 60.0", "half_life = 0.0"), PolicyError::Range { .. }));
    assert!(matches!(refused("fractions = [0.25, 0.5", "fractions = [0.5, 0.25"), PolicyError::Field { .. }));
    assert!(matches!(refused("times = [1.0, 1.25", "times = [1.25, 1.0"), PolicyError::Field { .. }));
    assert!(matches!(refused("step_seconds = 86400", "step_seconds = 0"), PolicyError::Range { .. }));
    assert!(matches!(
        refused("tenor_days = [7.0, 30.0", "tenor_days = [30.0, 7.0"),
        PolicyError::Field { .. }
    ));
}
