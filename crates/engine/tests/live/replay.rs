//! The same events make the same state, however often it is put away and taken up again.

use crate::world::{CALL, PERP, World, account, asset, instrument, stated};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Body, Effect, Engine, Event, Key, VERSION, decode, encode, restore, save};
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::{NANO, Timestamp};

const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
const LISTED: [&str; 5] = [PERP, "BTC_USDC-PERPETUAL", CALL, "SOL_USDC-PERPETUAL", "SOL_USDC-16JAN26-128-P"];

/// A made-up day: prices that walk and jump, trades, money in and out, stale feeds, errors of every kind.
pub(crate) fn events(world: &mut World, seed: u64, count: usize) -> Vec<Event> {
    let mut rng = Rng64::new(seed);
    let mut below = |n: u64| rng.next_u64() % n;
    let mut prices = [("BTC", 96_400.0), ("ETH", 3_310.0), ("SOL", 142.5), ("USDC", 1.0)];
    let mut events = Vec::new();
    for number in 0..count as u64 {
        world.wait(i64::try_from(below(3_000)).unwrap() + if below(200) == 0 { 90_000 } else { 0 });
        let (a, b) = (NAMES[below(6) as usize], NAMES[below(6) as usize]);
        let name = LISTED[below(5) as usize];
        let (of, price) = &mut prices[below(4) as usize];
        let step = if below(150) == 0 { 0.85 } else { 1.0 + (below(2_001) as f64 - 1_000.0) * 2e-6 };
        *price *= if *of == "USDC" { 1.0 } else { step };
        let (of, price) = (*of, *price);
        let money = i128::from(below(50_000)) * i128::from(NANO);
        let lots = i64::try_from(below(2_000)).unwrap();
        let near = match name {
            PERP => 3_310.0,
            "BTC_USDC-PERPETUAL" => 96_400.0,
            "SOL_USDC-PERPETUAL" => 142.5,
            _ => 3.0,
        };
        let body = match below(20) {
            0..=9 => {
                let source = ["a", "b", "c"][below(3) as usize];
                world.seen(of, source, if below(100) == 0 { price * 1_000.0 } else { price })
            }
            10 | 11 => Body::Clock,
            12 => Body::Deposit { account: account(a), asset: asset("USD"), nano: money },
            13 => Body::Withdraw { account: account(a), asset: asset("USD"), nano: money },
            14 => Body::Filled(World::fill(a, b, name, lots, near)),
            15 | 16 => Body::Trade(World::fill(a, b, name, lots, near)),
            17 => Body::Funding { instrument: instrument(PERP), rate: stated(0.0001) },
            18 => Body::OwnMarket { asset: asset(of), middle: Some(stated(price)) },
            _ => Body::Transfer { from: account(a), to: account(b), asset: asset("USD"), nano: money },
        };
        let key = Some(Key { source: "test".into(), number });
        let event = Event { at: world.now, key, body };
        if below(10) == 0 {
            events.push(event.clone());
        }
        events.push(event);
    }
    events
}

fn world() -> World {
    let mut rules = crate::world::rules(&["a", "b", "c"]);
    rules.policy = plimsoll_policy::Policy::shipped("plimsoll").unwrap();
    let mut world = World::with(rules);
    for (name, dollars) in NAMES.into_iter().zip([20_000, 50_000, 100_000, 5_000, 300_000, 80_000]) {
        world.open(name, dollars);
    }
    world
}

#[test]
fn a_state_put_away_and_taken_up_again_goes_on_to_the_last_bit() {
    let mut world = world();
    let mut begun = world.engine.clone();
    let events = events(&mut world, 5, 1_500);
    let mut often = begun.clone();
    let (mut kinds, mut refused) = (std::collections::BTreeSet::new(), 0);
    for (i, event) in events.iter().enumerate() {
        let read = decode(VERSION, &encode(event).unwrap()).unwrap();
        assert_eq!(read, *event);
        let effects = begun.step(event).unwrap();
        assert_eq!(often.step(&read).unwrap(), effects, "event {i}: {event:?}");
        for effect in &effects {
            if let Effect::Liquidate { account, .. } = effect {
                let number = begun.state().ledger.find(account).unwrap();
                assert_ne!(begun.validity(number), Validity::Halted, "{effect:?}");
            }
            refused += usize::from(matches!(effect, Effect::Rejected(_)));
            kinds.insert(serde_json::to_value(effect).unwrap()["effect"].as_str().unwrap().to_owned());
        }
        if i % 97 == 0 {
            let state = restore(VERSION, &save(often.state()).unwrap()).unwrap();
            assert_eq!(state, *often.state());
            often = Engine::resume(often.rules().clone(), state).unwrap();
            assert_eq!(often.valued().arrays(), begun.valued().arrays(), "event {i}");
        }
    }
    assert_eq!(begun.state().hash().unwrap(), often.state().hash().unwrap());
    assert!(kinds.len() >= 6, "a day with little in it: {kinds:?}");
    assert!(refused > 100 && refused < 1_300, "{refused}");
}

#[test]
fn an_event_sent_twice_counts_once() {
    let mut world = world();
    let key = Some(Key { source: "client".into(), number: 7 });
    let deposit = Body::Deposit { account: account("alice"), asset: asset("USD"), nano: i128::from(NANO) };
    let event = Event { at: world.now, key, body: deposit };
    assert!(!world.engine.step(&event).unwrap().iter().any(|e| matches!(e, Effect::Rejected(_))));
    let ledger = world.engine.state().ledger.clone();
    for _ in 0..4 {
        let effects = world.engine.step(&event).unwrap();
        assert!(matches!(&effects[0], Effect::Rejected(reject) if reject.code == "duplicate"), "{effects:?}");
    }
    assert_eq!(world.engine.state().ledger, ledger);
}

#[test]
fn money_is_neither_made_nor_lost_whatever_happens() {
    let mut world = world();
    let mut engine = world.engine.clone();
    let dollars = |engine: &Engine| {
        let value = |number| engine.valued().mark_of(number).unwrap_or(0);
        let listed = engine.state().ledger.instruments();
        // A mark has the funding taken off already.
        let value = |number: u32| value(number) + listed[number as usize].funding;
        let (assets, ticks) = engine.state().ledger.everything(&value).unwrap();
        assets[&asset("USD")] + (ticks.0 + engine.state().insurance.0) * 1_000
    };
    let events = events(&mut world, 11, 1_500);
    let mut expected = dollars(&engine);
    for event in &events {
        let effects = engine.step(event).unwrap();
        let done = !effects.iter().any(|e| matches!(e, Effect::Rejected(_)));
        expected += match &event.body {
            Body::Deposit { nano, .. } if done => *nano,
            Body::Withdraw { nano, .. } if done => -*nano,
            _ => 0,
        };
        assert_eq!(dollars(&engine), expected, "{event:?}");
    }
}

#[test]
fn bytes_that_are_no_event_are_refused() {
    assert!(decode(VERSION, &[0xc1, 0, 1]).is_err());
    assert!(decode(VERSION + 1, &[]).is_err());
    let event = Event { at: Timestamp::from_seconds(0), key: None, body: Body::Clock };
    let bytes = encode(&event).unwrap();
    assert_eq!(decode(VERSION, &bytes).unwrap(), event);
    assert!(decode(VERSION, &bytes[..bytes.len() - 1]).is_err());
}

/// Takes out of a value what older versions did not write.
fn older(value: &mut serde_json::Value, newer: &[&str]) {
    match value {
        serde_json::Value::Object(map) => {
            map.retain(|name, _| !newer.contains(&name.as_str()));
            map.values_mut().for_each(|value| older(value, newer));
        }
        serde_json::Value::Array(all) => all.iter_mut().for_each(|value| older(value, newer)),
        _ => {}
    }
}

#[test]
fn a_state_and_rules_written_before_still_read() {
    let mut world = world();
    for event in events(&mut world, 7, 200) {
        world.engine.step(&event).unwrap();
    }
    let newer = [
        "resting",
        "frozen",
        "unvalued",
        "insured",
        "interest",
        "halted_since",
        "escalated",
        "alive",
        "candidate",
        "crossed",
        "arbitrage",
    ];
    let calm = World::calm();
    let mut written = serde_json::to_value(calm.engine.state()).unwrap();
    older(&mut written, &newer);
    let read: plimsoll_engine::live::State = serde_json::from_value(written).unwrap();
    assert_eq!(read.feeds, calm.engine.state().feeds);
    for feed in world.engine.state().feeds.values() {
        let mut written = serde_json::to_value(feed).unwrap();
        older(&mut written, &["halted_since", "escalated", "alive"]);
        let read: plimsoll_engine::live::feed::Feed = serde_json::from_value(written).unwrap();
        assert_eq!(read.accepted(), feed.accepted());
    }
    for market in world.engine.state().markets.values() {
        let mut written = serde_json::to_value(market).unwrap();
        older(&mut written, &newer);
        let read: plimsoll_engine::live::Market = serde_json::from_value(written).unwrap();
        assert_eq!(read.quoted(), market.quoted());
    }
    let rules = world.engine.rules();
    let mut written = serde_json::to_value(&rules.liquidation).unwrap();
    older(&mut written, &["depth_within", "breach"]);
    let read: plimsoll_engine::live::LiquidationRules = serde_json::from_value(written).unwrap();
    assert_eq!(read, rules.liquidation);
    let mut written = serde_json::to_value(rules.feeds.values().next().unwrap()).unwrap();
    older(&mut written, &["escalate_seconds", "heartbeat_ms", "quote"]);
    let read: plimsoll_engine::live::feed::FeedParams = serde_json::from_value(written).unwrap();
    assert_eq!(Some(&read), rules.feeds.values().next());
}
