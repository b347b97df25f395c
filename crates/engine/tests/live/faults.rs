//! Faults by number, as `faults.md` has them, as far as the engine sees them.

use crate::world::{CALL, PERP, World, account, asset, instrument, intents, stated};
use plimsoll_engine::live::feed::{Observation, Stated, Validity};
use plimsoll_engine::live::{Body, Standing};
use plimsoll_types::NANO;

fn validity(world: &World, name: &str) -> Validity {
    world.engine.state().feeds[&asset(name)].validity()
}

/// Alice is long enough that a fall of ETH beneath 2870 liquidates her.
fn leveraged() -> World {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world
}

#[test]
fn f01_soft_stale_refuses_new_risk_and_allows_less() {
    let mut world = leveraged();
    world.wait(61_000);
    world.ok(Body::Clock);
    assert_eq!(validity(&world, "ETH"), Validity::Degraded);
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 10, 3_310.0))), "degraded");
    world.trade("bob", "alice", PERP, 10, 3_310.0);
    world.ok(Body::Deposit { account: account("alice"), asset: asset("USD"), nano: i128::from(NANO) });
}

#[test]
fn f02_hard_stale_halts_that_underlying_only() {
    let mut world = leveraged();
    world.wait(150_000);
    world.price("SOL", 142.5);
    world.wait(31_000);
    world.ok(Body::Clock);
    assert_eq!(validity(&world, "ETH"), Validity::Halted);
    assert_eq!(validity(&world, "SOL"), Validity::Normal);
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 10, 3_310.0))), "halted");
    assert!(world.engine.state().intents.is_empty());
}

#[test]
fn f04_a_price_from_the_future_is_refused() {
    let mut world = World::calm();
    let Body::Price { asset, source, seen } = world.seen("ETH", "a", 3_311.0) else { unreachable!() };
    let time = seen.time.plus_seconds(5);
    assert_eq!(world.refused(Body::Price { asset, source, seen: Observation { time, ..seen } }), "future");
}

#[test]
fn f05_f06_what_is_old_or_known_changes_nothing() {
    let mut world = World::calm();
    world.wait(2_000);
    let later = world.seen("ETH", "a", 3_311.0);
    world.now = plimsoll_types::Timestamp::from_nanos(world.now.nanos() - 1_000_000_000);
    let earlier = world.seen("ETH", "a", 3_312.0);
    world.wait(1_000);
    world.ok(later.clone());
    let before = world.engine.state().feeds.clone();
    assert_eq!(world.refused(earlier), "out_of_order");
    assert_eq!(world.refused(later.clone()), "duplicate");
    assert_eq!(world.refused(later), "duplicate");
    assert_eq!(world.engine.state().feeds, before);
}

#[test]
fn f07_two_prices_for_one_instant_quarantine_the_source() {
    let mut world = World::calm();
    world.wait(1_000);
    let first = world.seen("ETH", "a", 3_311.0);
    world.ok(first);
    let second = world.seen("ETH", "a", 3_320.0);
    assert_eq!(world.refused(second), "equivocation");
    let third = world.seen("ETH", "a", 3_311.0);
    assert_eq!(world.refused(third), "quarantined");
    assert_eq!(world.engine.state().feeds[&asset("ETH")].quarantined().count(), 1);
}

#[test]
fn f08_zero_and_negative_prices_are_refused() {
    let mut world = World::calm();
    world.wait(1_000);
    for price in [0.0, -37.63] {
        let body = world.seen("ETH", "a", price);
        assert_eq!(world.refused(body), "non_positive");
    }
}

#[test]
fn f10_another_exponent_silences_the_source_until_confirmed() {
    let mut rules = crate::world::rules(&["a"]);
    for feed in rules.feeds.values_mut() {
        feed.quorum = 1;
        feed.sources.get_mut("a").unwrap().exponent = Some(-4);
    }
    let mut world = World::with(rules);
    world.wait(1_000);
    let Body::Price { asset: of, source, seen } = world.seen("ETH", "a", 3_311.0) else { unreachable!() };
    let price = Stated { mantissa: 33_110, exponent: -1 };
    let body = Body::Price { asset: of, source, seen: Observation { price, ..seen } };
    assert_eq!(world.refused(body), "exponent");
    assert_eq!(validity(&world, "ETH"), Validity::Halted);
    world.ok(Body::Pardon { asset: asset("ETH"), source: "a".into() });
    world.wait(1_000);
    let again = world.seen("ETH", "a", 3_311.0);
    world.ok(again);
    assert_eq!(validity(&world, "ETH"), Validity::Normal);
}

#[test]
fn f11_f12_a_thousandfold_error_is_outvoted_by_two_and_halts_between_two() {
    let mut world = leveraged();
    world.wait(1_000);
    let wrong = world.seen("ETH", "a", 3_310_000.0);
    let effects = world.ok(wrong);
    assert_eq!((validity(&world, "ETH"), intents(&effects)), (Validity::Normal, vec![]));
    let equity = world.totals("alice").equity.0;
    let mut rules = crate::world::rules(&["a", "b"]);
    rules.feeds.values_mut().for_each(|feed| feed.quorum = 2);
    let mut world = World::with(rules);
    world.wait(1_000);
    let wrong = world.seen("ETH", "a", 3_310_000.0);
    world.ok(wrong);
    assert_eq!(validity(&world, "ETH"), Validity::Halted);
    assert_eq!(world.engine.state().feeds[&asset("ETH")].accepted().unwrap().price, 3_310.0);
    assert!(equity > 0);
}

#[test]
fn f13_a_fall_of_everything_liquidates_only_when_it_is_confirmed() {
    let mut world = leveraged();
    world.wait(1_000);
    let mut first = Vec::new();
    for source in ["a", "b"] {
        let body = world.seen("ETH", source, 1_820.0);
        first.extend(world.ok(body));
    }
    assert_eq!(intents(&first), [], "{first:?}");
    assert_ne!(validity(&world, "ETH"), Validity::Normal);
    let mut ticks = 0;
    while world.standing("alice") < Standing::Liquidatable {
        world.wait(1_000);
        world.price("ETH", 1_820.0);
        ticks += 1;
        assert!(ticks <= 3, "three ticks are the bound");
    }
}

#[test]
fn f14_f15_profit_from_a_price_that_was_pushed_cannot_leave() {
    let mut world = World::calm();
    world.open("alice", 10_000);
    world.open("bob", 10_000);
    world.trade("alice", "bob", "SOL_USDC-PERPETUAL", 1_000, 142.5);
    let deposited = 10_000 * i128::from(NANO);
    let mut price = 142.5;
    for _ in 0..120 {
        world.wait(1_000);
        price *= 1.005;
        world.price("SOL", price);
    }
    let gained = world.totals("alice").equity.0;
    assert!(gained > 14_000 * 1_000_000, "{gained}");
    let most = Body::Withdraw { account: account("alice"), asset: asset("USD"), nano: deposited };
    assert_eq!(world.refused(most), "unconfirmed_profit");
}

#[test]
fn f16_a_pinned_price_halts() {
    let mut world = World::calm();
    world.ok(Body::OwnMarket { asset: asset("ETH"), middle: Some(stated(3_310.0 * 10.7)) });
    for _ in 0..10 {
        world.wait(1_000);
        world.price("ETH", 3_310.0);
    }
    assert_eq!(validity(&world, "ETH"), Validity::Halted);
}

#[test]
fn f17_f18_a_wide_confidence_degrades_and_one_above_the_price_is_refused() {
    let mut world = leveraged();
    let with = |world: &mut World, source: &str, share: f64| {
        let Body::Price { asset, source, seen } = world.seen("ETH", source, 3_000.0) else { unreachable!() };
        let confidence = Some(stated(3_000.0 * share));
        Body::Price { asset, source, seen: Observation { confidence, ..seen } }
    };
    world.wait(1_000);
    let above = with(&mut world, "a", 1.2);
    assert_eq!(world.refused(above), "bad_confidence");
    for source in ["a", "b", "c"] {
        let body = with(&mut world, source, 0.021);
        world.ok(body);
    }
    assert_eq!(validity(&world, "ETH"), Validity::Degraded);
}

#[test]
fn f17_in_doubt_a_liquidation_must_follow_at_every_price_that_may_be_true() {
    let mut world = leveraged();
    world.wait(1_000);
    // Below maintenance at the price, not at three confidences above it.
    world.jump("ETH", 2_900.0);
    assert!(world.standing("alice") < Standing::Liquidatable);
    world.wait(1_000);
    for source in ["a", "b", "c"] {
        let Body::Price { asset, source, seen } = world.seen("ETH", source, 2_820.0) else { unreachable!() };
        let confidence = Some(stated(2_820.0 * 0.021));
        let body = Body::Price { asset, source, seen: Observation { confidence, ..seen } };
        assert_eq!(intents(&world.ok(body)), []);
    }
    assert_eq!(world.standing("alice"), Standing::Call);
    world.wait(1_000);
    for source in ["a", "b", "c"] {
        let Body::Price { asset, source, seen } = world.seen("ETH", source, 2_640.0) else { unreachable!() };
        let confidence = Some(stated(2_640.0 * 0.021));
        world.ok(Body::Price { asset, source, seen: Observation { confidence, ..seen } });
    }
    assert_eq!(validity(&world, "ETH"), Validity::Degraded);
    assert!(world.standing("alice") >= Standing::Liquidatable);
}

#[test]
fn f20_away_from_our_own_market_funding_is_frozen() {
    let mut world = leveraged();
    world.ok(Body::OwnMarket { asset: asset("ETH"), middle: Some(stated(3_310.0 * 1.13)) });
    assert_eq!(validity(&world, "ETH"), Validity::Degraded);
    assert_eq!(world.refused(Body::Funding { instrument: instrument(PERP), rate: stated(0.001) }), "frozen");
}

#[test]
fn f30_a_volatility_tenfold_waits_and_none_is_refused() {
    let mut world = World::calm();
    let chain = |world: &mut World, factor: f64| {
        world.wait(1_000);
        let time = world.now;
        let mut quotes = world.snapshot.underlyings[&asset("SOL")].clone();
        for option in &mut quotes.options {
            option.mark_vol = option.mark_vol.map(|vol| vol * factor);
            (option.bid, option.ask, option.mark) = (None, None, None);
            option.time = time;
        }
        quotes.perpetuals.iter_mut().for_each(|quote| quote.time = time);
        quotes.forwards.iter_mut().for_each(|quote| quote.time = time);
        Body::Chain { underlying: asset("SOL"), time, quotes: Box::new(quotes) }
    };
    let none = chain(&mut world, 0.0);
    assert_eq!(world.refused(none), "unsound");
    let much = chain(&mut world, 4.0);
    assert_eq!(world.refused(much), "vol_jump");
    let expiry = instrument(CALL).expiry().unwrap();
    let market = &world.engine.state().markets[&asset("SOL")];
    let limits = &world.engine.rules().market;
    assert_eq!(market.validity(limits, expiry, world.now).0, Validity::Degraded);
}

#[test]
fn f32_an_option_at_its_expiry_has_no_time_value_and_settles() {
    let mut world = World::calm();
    world.open("alice", 100_000);
    world.open("bob", 100_000);
    world.trade("alice", "bob", CALL, 1_000, 5.0);
    world.wait((22 * 3_600 - 1) * 1_000);
    world.jump("SOL", 150.0);
    world.wait(1_000);
    world.ok(Body::Clock);
    world.ok(Body::Settle { instrument: instrument(CALL) });
    assert!(world.engine.state().ledger.accounts().iter().all(|account| account.positions.is_empty()));
}

#[test]
fn f36_a_number_beyond_its_integer_is_refused() {
    let mut world = leveraged();
    let huge = World::fill("alice", "bob", PERP, i64::MAX, 3_310.0);
    assert_eq!(world.refused(Body::Filled(huge)), "overflow");
    let nano = i128::MAX;
    assert_eq!(
        world.refused(Body::Deposit { account: account("alice"), asset: asset("USD"), nano }),
        "overflow"
    );
}

#[test]
fn f38_what_is_not_known_is_refused_and_degrades_nothing() {
    let mut world = leveraged();
    assert_eq!(world.refused(Body::Filled(World::fill("alice", "zoe", PERP, 1, 1.0))), "unknown_account");
    assert_eq!(
        world.refused(Body::Filled(World::fill("alice", "bob", "DOGE_USDC-PERPETUAL", 1, 1.0))),
        "unknown_instrument"
    );
    assert_eq!(validity(&world, "ETH"), Validity::Normal);
}

#[test]
fn f41_no_liquidation_while_the_chain_is_down_nor_in_the_grace_after() {
    let mut rules = crate::world::rules(&["a", "b", "c"]);
    rules.feeds.values_mut().for_each(|feed| feed.grace_seconds = 120);
    let mut world = World::with(rules);
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.wait(121_000);
    for (name, price) in [("ETH", 3_310.0), ("USDC", 1.0)] {
        world.price(name, price);
    }
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.ok(Body::Uptime { down: true });
    world.wait(1_000);
    let mut effects = world.jump("ETH", 2_780.0);
    effects.extend(world.ok(Body::Uptime { down: false }));
    world.wait(1_000);
    effects.extend(world.price("ETH", 2_780.0));
    assert_eq!(intents(&effects), []);
    for _ in 0..3 {
        world.wait(40_000);
        effects.extend(world.price("ETH", 2_780.0));
        effects.extend(world.ok(Body::Clock));
    }
    assert_eq!(intents(&effects).len(), 1);
}

#[test]
fn f42_a_clock_that_steps_back_makes_nothing_younger() {
    let mut world = leveraged();
    world.wait(30_000);
    world.ok(Body::Clock);
    let now = world.engine.state().now;
    world.now = world.now.plus_seconds(-120);
    world.ok(Body::Clock);
    assert_eq!(world.engine.state().now, now);
    assert!(world.engine.state().clock_skew);
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 10, 3_310.0))), "degraded");
}

#[test]
fn f44_f45_a_second_keeper_is_refused_and_a_cure_in_between_counts() {
    let mut world = leveraged();
    world.wait(1_000);
    let effects = world.jump("ETH", 2_820.0);
    let (intent, _) = intents(&effects)[0].clone();
    let lots = world.engine.state().intents[&intent].plan.steps[0].lots;
    let body = Body::Liquidated {
        intent,
        taker: account("bob"),
        instrument: instrument(PERP),
        lots,
        price: stated(2_820.0),
    };
    world.ok(Body::Deposit {
        account: account("alice"),
        asset: asset("USD"),
        nano: 20_000 * i128::from(NANO),
    });
    assert_eq!(world.refused(body.clone()), "unknown_intent");
    assert_eq!(world.refused(body), "unknown_intent");
}
