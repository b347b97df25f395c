//! What the seeded market promises: one seed is one story, under all rules the same world, an engine that goes through all of
//! it, and books that sum to nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use plimsoll_engine::ParamSet;
use plimsoll_engine::live::{Body, Effect, Engine, Event, Rules, encode};
use plimsoll_policy::Policy;
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_sim::harbour::{
    Harbour, HarbourError, Outcome, Phase, Producer, Spec, Tally, Tape, TapeSpec, shadow, tell,
};
use plimsoll_types::{
    Asset, IndexPrice, Instrument, OptionQuote, Snapshot, Ticks, Timestamp, UnderlyingMarket,
};
use std::collections::{BTreeMap, BTreeSet};

/// Refusals that people bring on themselves.
const THEIR_OWN: [&str; 9] = [
    "insufficient_margin",
    "unconfirmed_profit",
    "degraded",
    "taker",
    "worsens",
    "cured",
    "unknown_intent",
    "unknown_order",
    "insufficient",
];

fn small() -> Spec {
    Spec {
        accounts: 300,
        length_seconds: 7_200,
        past_days: 64,
        source_seconds: 30,
        chain_seconds: 240,
        trade_seconds: 60,
        ..Spec::default()
    }
}

fn tiny() -> Spec {
    Spec { accounts: 60, length_seconds: 3_600, chain_seconds: 300, ..small() }
}

fn rules(spec: &Spec, params: &str, policy: &str) -> Rules {
    Harbour::rules(spec, ParamSet::preset(params).unwrap(), Policy::shipped(policy).unwrap()).unwrap()
}

/// Everything of a story that nobody reacts to.
fn events(spec: &Spec, rules: &Rules) -> Vec<Event> {
    let mut harbour = Harbour::new(spec, rules).unwrap();
    std::iter::from_fn(|| harbour.next()).collect()
}

/// A number that any change of any event changes.
fn hash(events: &[Event]) -> u64 {
    let bytes = events.iter().flat_map(|event| encode(event).unwrap());
    bytes.fold(0xcbf2_9ce4_8422_2325, |key, byte| (key ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Tells a story; every event and what it did.
fn told(harbour: &mut Harbour, engine: &mut Engine) -> Vec<(Event, Vec<Effect>)> {
    let mut all = Vec::new();
    while let Some(event) = harbour.next() {
        let effects = engine.step(&event).unwrap();
        harbour.react(&effects, event.at);
        all.push((event, effects));
    }
    all
}

#[test]
fn one_seed_is_one_story_and_another_is_another() {
    let spec = tiny();
    let rules = rules(&spec, "plimsoll", "static");
    let first = events(&spec, &rules);
    assert_eq!(hash(&first), hash(&events(&spec, &rules)));
    let other = Spec { seed: 2, ..spec.clone() };
    assert_ne!(hash(&first), hash(&events(&other, &rules)));
    assert!(first.windows(2).all(|pair| pair[0].at <= pair[1].at), "time goes on");
    assert!(first[0].at >= spec.begins() && first.last().unwrap().at <= spec.ends());
}

#[test]
fn under_all_rules_the_world_is_the_same_and_only_what_is_put_down_differs() {
    let spec = tiny();
    let world = |params, policy| -> Vec<Event> {
        let all = events(&spec, &rules(&spec, params, policy));
        let by_rules = |event: &Event| matches!(event.body, Body::Deposit { .. }) && event.at < spec.start;
        all.into_iter().filter(|event| !by_rules(event)).collect()
    };
    let first = world("plimsoll", "plimsoll");
    assert!(first == world("plimsoll", "static"), "a policy moves nothing in the world");
    assert!(first == world("fixed", "static"), "nor does a parameter set");
}

#[test]
fn a_story_has_calls_liquidations_and_changes_and_neither_makes_nor_loses_money() {
    let spec = small();
    let rules = rules(&spec, "plimsoll", "plimsoll");
    let mut harbour = Harbour::new(&spec, &rules).unwrap();
    let mut tally = Tally::new(&rules, spec.start);
    let mut engine = harbour.opened(&rules).unwrap();
    let before = money(&engine);
    let (mut moved, mut phases) = (0_i128, BTreeSet::new());
    while let Some(event) = harbour.next() {
        let effects = engine.step(&event).unwrap();
        tally.take(&engine, &event, &effects);
        moved += brought(&event, &effects);
        phases.insert(harbour.scene().phase);
        harbour.react(&effects, event.at);
    }
    let outcome = tally.outcome();
    assert_eq!(
        phases.into_iter().collect::<Vec<_>>(),
        [Phase::Calm, Phase::Storm, Phase::Crash, Phase::Recovery]
    );
    assert!(outcome.calls > 10 && outcome.liquidated_accounts > 5, "{outcome:?}");
    assert!(outcome.liquidated_notional > Ticks(0) && outcome.parameter_changes > 0, "{outcome:?}");
    let strange: Vec<_> = outcome.refused.keys().filter(|code| !THEIR_OWN.contains(&code.as_str())).collect();
    assert!(strange.is_empty(), "{:?}", outcome.refused);
    let refused: u64 = outcome.refused.values().sum();
    assert!(refused * 50 < outcome.events, "{refused} of {} refused", outcome.events);
    assert_eq!(money(&engine) - before, moved + outcome.insurance.0 * 1_000, "billionths");
    nothing_is_left_over(&engine);
}

/// What everybody has in dollars and stable coins, and in the cost of what they hold: billionths.
fn money(engine: &Engine) -> i128 {
    let (assets, ticks) = engine.state().ledger.everything(&|_| 0).unwrap();
    let coins: i128 = ["USD", "USDC"].iter().filter_map(|name| assets.get(&Asset::new(name).unwrap())).sum();
    coins + ticks.0 * 1_000
}

/// What an event brought from outside, billionths.
fn brought(event: &Event, effects: &[Effect]) -> i128 {
    if effects.iter().any(|effect| matches!(effect, Effect::Rejected(_))) {
        return 0;
    }
    match &event.body {
        Body::Deposit { nano, .. } => *nano,
        Body::Withdraw { nano, .. } => -nano,
        _ => 0,
    }
}

/// Every lot that somebody has somebody else owes.
fn nothing_is_left_over(engine: &Engine) {
    let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
    for held in engine.state().ledger.accounts().iter().flat_map(|account| &account.positions) {
        *sums.entry(held.instrument).or_default() += held.lots;
    }
    assert!(sums.len() > 100, "{} instruments are held", sums.len());
    assert!(sums.values().all(|sum| *sum == 0), "{sums:?}");
}

#[test]
fn what_was_told_can_be_told_again_to_the_last_bit() {
    let spec = tiny();
    let rules = rules(&spec, "plimsoll", "plimsoll");
    let mut harbour = Harbour::new(&spec, &rules).unwrap();
    let mut engine = Engine::new(rules.clone(), spec.begins()).unwrap();
    let all = told(&mut harbour, &mut engine);
    let mut again = Engine::new(rules, spec.begins()).unwrap();
    for (event, effects) in &all {
        assert_eq!(again.step(event).unwrap(), *effects);
    }
    assert_eq!(engine.state().hash().unwrap(), again.state().hash().unwrap());
}

#[test]
fn a_book_that_is_opened_at_once_is_the_book_that_is_told() {
    let spec = tiny();
    let rules = rules(&spec, "plimsoll", "static");
    let mut one = Harbour::new(&spec, &rules).unwrap();
    let mut other = one.clone();
    let at_once = one.opened(&rules).unwrap();
    let mut engine = Engine::new(rules, spec.begins()).unwrap();
    while other.scene().phase == Phase::Opening && other.due().unwrap() < spec.start {
        let event = other.next().unwrap();
        let effects = engine.step(&event).unwrap();
        let refused = effects.iter().find(|effect| matches!(effect, Effect::Rejected(_)));
        assert_eq!(refused, None, "{event:?}");
    }
    assert_eq!(engine.state().ledger, at_once.state().ledger);
    assert_eq!(engine.state().insurance, at_once.state().insurance);
    assert_eq!(engine.state().sequence, at_once.state().sequence);
    for number in 0..engine.state().ledger.accounts().len() as u32 {
        assert_eq!(engine.valued().totals(number), at_once.valued().totals(number));
        let totals = engine.valued().totals(number).unwrap().unwrap();
        assert!(totals.im_excess.0 >= 0, "everybody begins with a cushion: {totals:?}");
    }
}

#[test]
fn a_shadow_is_what_telling_it_gives() {
    let spec = tiny();
    let rules = rules(&spec, "fixed", "static");
    let found: Outcome = shadow(&spec, rules.clone()).unwrap();
    let mut harbour = Harbour::new(&spec, &rules).unwrap();
    let (mut tally, mut engine) = (Tally::new(&rules, spec.start), harbour.opened(&rules).unwrap());
    tell(&mut harbour, &mut engine, &mut tally).unwrap();
    assert_eq!(found, tally.outcome());
    let dynamic = shadow(&spec, self::rules(&spec, "plimsoll", "plimsoll")).unwrap();
    assert!(found.capital_mean.0 > 3 * dynamic.capital_mean.0, "150 % of everything costs capital");
}

#[test]
fn the_fall_is_as_deep_as_is_said() {
    for seed in 1..4 {
        let spec = Spec { seed, length_seconds: 43_200, ..tiny() };
        let rules = rules(&spec, "fixed", "static");
        let mut prices: BTreeMap<String, Vec<(Timestamp, f64)>> = BTreeMap::new();
        for event in events(&spec, &rules).into_iter().filter(|event| event.at >= spec.start) {
            if let Body::Price { asset, seen, .. } = event.body {
                let price = seen.price.to_f64().unwrap();
                prices.entry(asset.to_string()).or_default().push((event.at, price));
            }
        }
        for (asset, fall) in [("BTC", 0.185), ("ETH", 0.215), ("SOL", 0.24), ("XRP", 0.235)] {
            let crash = spec.start.plus_seconds(43_200 * 65 / 100);
            let of = &prices[asset];
            let before = of.iter().rev().find(|(at, _)| *at <= crash).unwrap().1;
            let within = of.iter().filter(|(at, _)| *at > crash && *at <= crash.plus_seconds(2_700));
            let least = within.map(|(_, price)| *price).fold(before, f64::min);
            let fell = 1.0 - least / before;
            assert!((fell - fall).abs() < 0.06, "{asset} of seed {seed} fell by {fell}");
        }
    }
}

#[test]
fn a_spec_that_tells_no_story_is_refused() {
    let spec = Spec { source_seconds: 0, ..tiny() };
    let refused =
        Harbour::rules(&spec, ParamSet::preset("plimsoll").unwrap(), Policy::shipped("static").unwrap());
    assert!(matches!(refused, Err(HarbourError::Spec { field: "source_seconds", value: 0, .. })));
}

/// A chain of inverse options on a smile.
fn recorded(at: Timestamp, index: f64) -> Snapshot {
    let mut options = Vec::new();
    for expiry in ["30JAN26", "6FEB26", "27FEB26", "27MAR26"] {
        for strike in (60_000..=124_000).step_by(4_000) {
            for (kind, side) in [(OptionKind::Call, "C"), (OptionKind::Put, "P")] {
                let instrument: Instrument = format!("BTC-{expiry}-{strike}-{side}").parse().unwrap();
                let tau = at.years_until(instrument.expiry().unwrap());
                let k = plimsoll_quant::special::ln(f64::from(strike) / index);
                let vol = 0.5 + 0.1 * k * k - 0.05 * k;
                if tau <= 0.0 {
                    continue;
                }
                let mark = black::price(kind, index, f64::from(strike), vol, tau) / index;
                options.push(OptionQuote {
                    instrument,
                    bid: (mark > 4e-4).then_some(mark - 2e-4),
                    ask: Some(mark + 2e-4),
                    mark: (mark > 1e-6).then_some(mark),
                    mark_vol: Some(vol),
                    forward: Some(index),
                    open_interest: Some(f64::from(10 + strike / 4_000 % 7)),
                    time: at,
                });
            }
        }
    }
    let index = vec![IndexPrice { price: index, confidence: None, source: "made up".to_owned(), time: at }];
    let market = UnderlyingMarket { index, options, ..UnderlyingMarket::default() };
    let underlyings = BTreeMap::from([(Asset::new("BTC").unwrap(), market)]);
    Snapshot { as_of: at, underlyings, assets: BTreeMap::new() }
}

#[test]
fn recorded_chains_are_told_with_books_that_sum_to_nothing() {
    let start = Timestamp::from_seconds(1_769_572_800);
    let chains: Vec<Snapshot> =
        (0..14).map(|i| recorded(start.plus_seconds(21_600 * i), 90_000.0 - 1_500.0 * i as f64)).collect();
    let spec = TapeSpec { seed: 3, accounts: 60 };
    let (params, policy) = (ParamSet::preset("plimsoll").unwrap(), Policy::shipped("static").unwrap());
    let rules = Tape::rules(&spec, &chains, params, policy).unwrap();
    let mut tape = Tape::new(&spec, &rules, chains).unwrap();
    let mut engine = Engine::new(rules, tape.begins()).unwrap();
    let (mut last, mut settled, mut refused) = (tape.begins(), 0, BTreeMap::<String, u64>::new());
    while let Some(event) = tape.next() {
        assert!(event.at >= last && event.at <= tape.ends());
        last = event.at;
        let effects = engine.step(&event).unwrap();
        for effect in &effects {
            match effect {
                Effect::Rejected(reject) => *refused.entry(reject.code.clone()).or_default() += 1,
                Effect::Settled { .. } => settled += 1,
                _ => {}
            }
        }
        tape.react(&effects, event.at);
    }
    assert_eq!(last, tape.ends());
    assert!(settled > 5, "{settled} settled");
    // Hours before it expires a smile of one volatility for all tenors may cross the next.
    refused.remove("calendar");
    assert!(refused.keys().all(|code| THEIR_OWN.contains(&code.as_str())), "{refused:?}");
    let mut sums: BTreeMap<u32, i64> = BTreeMap::new();
    for held in engine.state().ledger.accounts().iter().flat_map(|account| &account.positions) {
        *sums.entry(held.instrument).or_default() += held.lots;
    }
    assert!(sums.len() > 20 && sums.values().all(|sum| *sum == 0), "{sums:?}");
}
