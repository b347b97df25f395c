//! Faults of index prices and clocks, by number, and what the guard does about them.

use crate::world::{PERP, World, account, asset, instrument, intents, rules, stated};
use plimsoll_engine::live::feed::{Cause, Observation, SourceParams, Stated, Validity};
use plimsoll_engine::live::{Body, Effect, Engine, Standing};
use plimsoll_types::{NANO, Timestamp};

/// The observation of a body that is one.
fn with(body: Body, change: impl FnOnce(Observation) -> Observation) -> Body {
    let Body::Price { asset, source, seen } = body else { unreachable!() };
    Body::Price { asset, source, seen: change(seen) }
}

fn accepted(world: &World, name: &str) -> f64 {
    world.engine.state().feeds[&asset(name)].accepted().unwrap().price
}

fn causes(world: &World, name: &str) -> Vec<Cause> {
    world.engine.state().feeds[&asset(name)].causes().iter().copied().collect()
}

/// Alice is long enough that a fall of ETH beneath 2870 liquidates her.
fn leveraged(mut world: World) -> World {
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world
}

#[test]
fn f03_sixty_seconds_are_normal_and_a_millisecond_more_is_degraded() {
    let mut world = World::calm();
    world.wait(60_000);
    world.ok(Body::Clock);
    assert_eq!(world.validity("ETH"), Validity::Normal);
    world.wait(1);
    world.ok(Body::Clock);
    assert_eq!((world.validity("ETH"), causes(&world, "ETH")), (Validity::Degraded, vec![Cause::SoftStale]));
}

#[test]
fn f09_what_is_no_number_is_no_event_and_a_float_that_is_none_is_refused() {
    let price = |mantissa: &str| {
        let seen = format!(
            r#"{{"sequence":9,"time":"2026-01-15T10:00:01Z","price":{{"mantissa":{mantissa},"exponent":-2}}}}"#
        );
        serde_json::from_str::<Body>(&format!(r#"{{"price":{{"asset":"ETH","source":"a","seen":{seen}}}}}"#))
    };
    assert!(price("331000").is_ok());
    for text in
        ["NaN", "1e400", "-0.0", "\"Infinity\"", "Infinity", "331000.5", "1e3", "null", "9223372036854775808"]
    {
        assert!(price(text).is_err(), "{text}");
    }
    // Minus zero of an integer is zero, and that is no price.
    let mut world = World::calm();
    world.wait(1_000);
    let zero = with(world.seen("ETH", "a", 1.0), |seen| Observation {
        price: Stated { mantissa: 0, exponent: -4 },
        ..seen
    });
    assert_eq!(world.refused(zero), "non_positive");
    // A number that has no float goes no further either.
    let wide = with(world.seen("ETH", "a", 1.0), |seen| Observation {
        price: Stated { mantissa: i64::MAX, exponent: -16 },
        ..seen
    });
    assert_eq!(world.refused(wide), "overflow");
    // Readings of the policy are floats: bytes can hold what a text cannot.
    for coverage in [f64::NAN, f64::INFINITY, -1.0] {
        assert_eq!(world.refused(Body::Pool { coverage }), "non_finite");
        assert_eq!(world.refused(Body::Sentiment { value: coverage }), "non_finite");
        let quoted = plimsoll_policy::Quoted { depth: coverage, spread: 0.001 };
        assert_eq!(
            world.refused(Body::Depth { underlying: asset("ETH"), venue: "v".into(), quoted }),
            "non_finite"
        );
        let interest = Body::OpenInterest {
            underlying: asset("ETH"),
            open_interest: coverage,
            daily_volume: None,
            concentration: None,
        };
        assert_eq!(world.refused(interest), "non_finite");
    }
}

#[test]
fn f11_where_three_are_wanted_two_that_remain_are_degraded() {
    let mut rules = rules(&["a", "b", "c"]);
    rules.feeds.values_mut().for_each(|feed| feed.quorum = 3);
    let mut world = World::with(rules);
    world.wait(1_000);
    let wrong = world.seen("ETH", "a", 3_310_000.0);
    world.ok(wrong);
    assert_eq!(accepted(&world, "ETH"), 3_310.0);
    assert_eq!(
        (world.validity("ETH"), causes(&world, "ETH")),
        (Validity::Degraded, vec![Cause::SourcesLost])
    );
}

#[test]
fn f13_only_what_says_so_itself_confirms_a_jump() {
    let mut world = World::calm();
    world.wait(1_000);
    for source in ["a", "b"] {
        let body = world.seen("ETH", source, 2_500.0);
        world.ok(body);
    }
    // The median has jumped and waits. The third still says what it said, however often.
    for _ in 0..10 {
        world.wait(1_000);
        let body = world.seen("ETH", "c", 3_310.0);
        world.ok(body);
    }
    assert_eq!((accepted(&world, "ETH"), world.validity("ETH")), (3_310.0, Validity::Degraded));
    // Time alone confirms nothing.
    world.wait(10_000);
    world.ok(Body::Clock);
    assert_eq!(accepted(&world, "ETH"), 3_310.0);
    for source in ["a", "b"] {
        let body = world.seen("ETH", source, 2_500.0);
        world.ok(body);
    }
    assert_eq!(accepted(&world, "ETH"), 2_500.0);
}

#[test]
fn f19_a_confidence_above_its_scale_is_refused() {
    let mut world = World::calm();
    world.wait(1_000);
    // 1.0000001 of the price of one dollar, in parts of 1e18, and the same where its digits are too many for a float.
    let conf = |mantissa, exponent| Some(Stated { mantissa, exponent });
    let price = Stated { mantissa: 1, exponent: 0 };
    let exact = with(world.seen("USDC", "a", 1.0), |seen| Observation {
        price,
        confidence: conf(10_000_001, -7),
        ..seen
    });
    assert_eq!(world.refused(exact), "bad_confidence");
    let digits = conf(1_000_000_100_000_000_000, -18);
    let long = with(world.seen("USDC", "a", 1.0), |seen| Observation { price, confidence: digits, ..seen });
    assert_eq!(world.refused(long), "overflow");
    assert_eq!(world.validity("USDC"), Validity::Normal);
}

#[test]
fn f22_a_depeg_on_one_venue_is_left_out_and_liquidates_nobody() {
    let mut world = World::calm();
    world.ok(Body::Open { account: account("alice") });
    world.ok(Body::Deposit {
        account: account("alice"),
        asset: asset("USDC"),
        nano: 8_000 * i128::from(NANO),
    });
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.wait(1_000);
    let mut effects = Vec::new();
    for (source, price) in [("a", 0.65), ("b", 0.999), ("c", 0.999)] {
        let body = world.seen("USDC", source, price);
        effects.extend(world.ok(body));
    }
    effects.extend(world.ok(Body::Clock));
    assert_eq!((accepted(&world, "USDC"), world.validity("USDC")), (0.999, Validity::Normal));
    assert_eq!((intents(&effects), world.standing("alice")), (vec![], Standing::Healthy));
}

#[test]
fn f23_a_source_in_another_unit_is_refused_at_load_or_at_its_first_price() {
    let quote = |quote: &str| {
        let mut rules = rules(&["a", "b", "c"]);
        let feed = rules.feeds.get_mut(&asset("ETH")).unwrap();
        feed.sources.get_mut("a").unwrap().quote = Some(asset(quote));
        Engine::new(rules, Timestamp::from_seconds(0))
    };
    assert!(quote("USD").is_ok());
    assert!(quote("ETH").unwrap_err().to_string().contains("unit: source a of ETH"));
    // A source that is not configured so is refused by what it says: ETH per cbETH, and not dollars.
    let mut rules = rules(&["a", "b", "c", "d"]);
    rules.feeds.values_mut().for_each(|feed| feed.quorum = 2);
    let mut world = World::only(rules, &["a", "b", "c"]);
    world.wait(1_000);
    for price in [1.08, 3_310.0 * 0.89, 3_310.0 * 1.11] {
        let before = world.engine.state().feeds.clone();
        let body = world.seen("ETH", "d", price);
        assert_eq!(world.refused(body), "activation");
        assert_eq!(world.engine.state().feeds, before);
    }
    let body = world.seen("ETH", "d", 3_310.0 * 1.005);
    world.ok(body);
}

#[test]
fn f24_a_source_of_eight_decimals_read_as_eighteen_is_refused() {
    let mut rules = rules(&["a", "b", "c", "d"]);
    rules.feeds.values_mut().for_each(|feed| feed.quorum = 2);
    let mut world = World::only(rules.clone(), &["a", "b", "c"]);
    world.wait(1_000);
    let read_as = |exponent| Stated { mantissa: 331_000_000_000, exponent };
    // Its decimals are not configured: what it says is not what the others say.
    let body = with(world.seen("ETH", "d", 3_310.0), |seen| Observation {
        price: read_as(-18),
        confidence: None,
        ..seen
    });
    assert_eq!(world.refused(body), "activation");
    // They are: any other number of them silences it.
    let of = SourceParams { exponent: Some(-8), ..SourceParams::default() };
    rules.feeds.get_mut(&asset("ETH")).unwrap().sources.insert("d".into(), of);
    for exponent in (-18_i8..=0).filter(|exponent| *exponent != -8) {
        let mut world = World::only(rules.clone(), &["a", "b", "c"]);
        world.wait(1_000);
        let body = with(world.seen("ETH", "d", 3_310.0), |seen| Observation {
            price: read_as(exponent),
            confidence: None,
            ..seen
        });
        assert_eq!(world.refused(body), "exponent", "{exponent}");
        assert_eq!(accepted(&world, "ETH"), 3_310.0);
    }
    let mut world = World::only(rules, &["a", "b", "c"]);
    world.wait(1_000);
    let body = with(world.seen("ETH", "d", 3_310.0), |seen| Observation {
        price: read_as(-8),
        confidence: None,
        ..seen
    });
    world.ok(body);
}

#[test]
fn f28_what_has_expired_or_leaves_a_gap_is_refused() {
    let mut rules = rules(&["a", "b", "c"]);
    for feed in rules.feeds.values_mut() {
        feed.sources.get_mut("a").unwrap().gapless = true;
    }
    let mut world = World::with(rules);
    world.wait(1_000);
    let past = Some(world.now.plus_seconds(-1));
    let body = with(world.seen("ETH", "b", 3_311.0), |seen| Observation { valid_until: past, ..seen });
    assert_eq!(world.refused(body), "expired");
    let now = Some(world.now);
    let body = with(world.seen("ETH", "b", 3_311.0), |seen| Observation { valid_until: now, ..seen });
    world.ok(body);
    // The world counts all its observations together: the next of one source is far from its last.
    let body = world.seen("ETH", "a", 3_311.0);
    assert_eq!(world.refused(body), "sequence_gap");
    // Five after one, and two after one.
    let first = 4;
    let next = |world: &mut World, sequence| {
        with(world.seen("ETH", "a", 3_311.0), |seen| Observation { sequence, ..seen })
    };
    let gap = next(&mut world, first + 4);
    assert_eq!(world.refused(gap), "sequence_gap");
    let body = next(&mut world, first + 1);
    world.ok(body);
}

#[test]
fn f40_after_silence_a_burst_leaves_one_price_every_position_and_bounded_memory() {
    let mut world = leveraged(World::calm());
    world.wait(600_000);
    world.ok(Body::Clock);
    assert_eq!(world.validity("ETH"), Validity::Halted);
    let size = |world: &World| plimsoll_engine::live::save(world.engine.state()).unwrap().len();
    let before = size(&world);
    let (count, deposits) = (3_000, 30);
    for n in 0..count {
        world.now = Timestamp::from_nanos(world.now.nanos() + 1_000_000_000 / count);
        let body = world.seen("ETH", ["a", "b", "c"][(n % 3) as usize], 3_310.0 + (n % 7) as f64 * 0.1);
        assert_eq!(intents(&world.ok(body)), []);
        if n % (count / deposits) == 0 {
            world.ok(Body::Deposit { account: account("bob"), asset: asset("USD"), nano: i128::from(NANO) });
        }
    }
    let bob = world.engine.state().ledger.account(world.number("bob")).unwrap().held(&asset("USD"));
    assert_eq!(
        bob,
        (1_000_000 + i128::from(deposits)) * i128::from(NANO),
        "what moves money is never conflated"
    );
    let last = 3_310.0 + ((count - 1) % 7) as f64 * 0.1;
    assert!((accepted(&world, "ETH") - last).abs() <= 0.6 && world.validity("ETH") == Validity::Normal);
    assert!(size(&world) < before + 1_000, "{} {before}", size(&world));
}

#[test]
fn f42_a_clock_that_steps_an_hour_ahead_halts_and_the_step_back_is_skew_until_time_has_caught_up() {
    let mut world = leveraged(World::calm());
    let real = world.now;
    world.wait(3_600_000);
    let mut effects = world.ok(Body::Clock);
    assert_eq!(world.validity("ETH"), Validity::Halted);
    let ahead = world.engine.state().now;
    // Back again: nothing is younger for it, nobody is liquidated, and a price of now is an hour old to the engine.
    world.now = real.plus_seconds(1);
    effects.extend(world.price("ETH", 2_000.0));
    assert_eq!((world.engine.state().now, world.engine.state().clock_skew), (ahead, true));
    assert_eq!((intents(&effects), world.validity("ETH")), (vec![], Validity::Halted));
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 10, 3_310.0))), "halted");
    world.now = ahead.plus_seconds(1);
    world.price("ETH", 3_310.0);
    world.price("USDC", 1.0);
    assert_eq!((world.validity("ETH"), world.engine.state().clock_skew), (Validity::Normal, false));
    world.trade("alice", "bob", PERP, 10, 3_310.0);
}

#[test]
fn a_source_whose_signs_of_life_stop_is_lost_and_one_that_gives_them_is_as_good_as_new() {
    let mut rules = rules(&["a", "b", "c"]);
    for of in rules.feeds.get_mut(&asset("ETH")).unwrap().sources.values_mut() {
        of.heartbeat_ms = Some(20_000);
    }
    let mut world = World::with(rules);
    let beat = |world: &World, name: &str, source: &str| Body::Heartbeat {
        asset: asset(name),
        source: source.into(),
        time: world.now,
    };
    // Ten minutes without a new price, and all three alive.
    for _ in 0..60 {
        world.wait(10_000);
        for source in ["a", "b", "c"] {
            world.ok(beat(&world, "ETH", source));
        }
    }
    assert_eq!(world.validity("ETH"), Validity::Normal);
    let old = beat(&world, "ETH", "a");
    assert_eq!(world.refused(old), "out_of_order");
    let (other, unknown) = (beat(&world, "SOL", "a"), beat(&world, "ETH", "z"));
    assert_eq!(
        (world.refused(other), world.refused(unknown)),
        ("unexpected".to_owned(), "unknown_source".to_owned())
    );
    // Two of them stop.
    for _ in 0..3 {
        world.wait(10_000);
        world.ok(beat(&world, "ETH", "a"));
    }
    assert_eq!(
        (world.validity("ETH"), causes(&world, "ETH")),
        (Validity::Degraded, vec![Cause::SourcesLost])
    );
}

#[test]
fn a_halt_that_lasts_is_told_to_a_person_once() {
    let mut world = World::calm();
    let escalated = |effects: &[Effect]| {
        let of = |e: &Effect| match e {
            Effect::Escalated { feed, since } if *feed == asset("ETH") => Some(*since),
            _ => None,
        };
        effects.iter().filter_map(of).collect::<Vec<_>>()
    };
    world.wait(181_000);
    world.ok(Body::Clock);
    let since = world.now;
    world.wait(599_000);
    assert_eq!(escalated(&world.ok(Body::Clock)), []);
    world.wait(1_000);
    assert_eq!(escalated(&world.ok(Body::Clock)), [since]);
    world.wait(600_000);
    assert_eq!(escalated(&world.ok(Body::Clock)), []);
    world.price("ETH", 3_310.0);
    world.wait(181_000);
    world.ok(Body::Clock);
    world.wait(600_000);
    assert_eq!(escalated(&world.ok(Body::Clock)).len(), 1, "another halt is told again");
}

#[test]
fn in_doubt_a_margin_is_a_range_and_otherwise_one_number() {
    let mut world = leveraged(World::calm());
    let number = world.number("alice");
    let (low, high) = world.engine.range(number).unwrap();
    assert!(low == high && low == world.totals("alice"));
    world.wait(1_000);
    for source in ["a", "b", "c"] {
        let confidence = Some(stated(3_310.0 * 0.021));
        let body = with(world.seen("ETH", source, 3_310.0), |seen| Observation { confidence, ..seen });
        world.ok(body);
    }
    let (low, high) = world.engine.range(number).unwrap();
    // Ten ETH at three confidences of 2.1 % to each side.
    let wide = (high.equity.0 - low.equity.0) as f64 / 1e6;
    assert!((wide - 2.0 * 3.0 * 0.021 * 33_100.0).abs() < 10.0, "{wide}");
    let own = world.totals("alice");
    assert!(low.mm_excess < own.mm_excess && own.mm_excess < high.mm_excess);
}

#[test]
fn a_coin_that_was_pumped_is_no_cover_for_what_leaves() {
    let mut world = World::calm();
    world.ok(Body::Open { account: account("alice") });
    world.ok(Body::Deposit { account: account("alice"), asset: asset("SOL"), nano: 100 * i128::from(NANO) });
    world.open("bob", 1_000_000);
    let fill = |lots| Body::Trade(World::fill("alice", "bob", PERP, lots, 3_310.0));
    let mut price = 142.5;
    for _ in 0..200 {
        world.wait(1_000);
        price *= 1.005;
        world.price("SOL", price);
        world.price("ETH", 3_310.0);
        world.price("USDC", 1.0);
    }
    // 14 250 dollars became 38 000: enough for the margin of 40 ETH, were it true.
    assert!(world.totals("alice").equity.0 > 25_000 * 1_000_000);
    assert_eq!(world.refused(fill(40_000)), "unconfirmed_profit");
    world.ok(fill(1_000));
}

#[test]
fn a_plan_that_no_longer_restores_is_made_anew_under_its_intent() {
    let mut world = leveraged(World::calm());
    world.wait(1_000);
    let given = intents(&world.jump("ETH", 2_820.0));
    let intent = given[0].0;
    let (first, since) =
        (world.engine.state().intents[&intent].plan.clone(), world.engine.state().intents[&intent].since);
    world.wait(1_000);
    let again = intents(&world.price("ETH", 2_700.0));
    assert!(!again.is_empty() && again.iter().all(|(id, _)| *id == intent), "{again:?}");
    let after = &world.engine.state().intents[&intent];
    assert!(after.plan.restores && after.plan.steps[0].lots > first.steps[0].lots);
    assert_eq!(after.since, since, "the backstop does not wait longer for it");
    // Who has the first plan may still do it: it is a part of the second.
    let body = |lots| Body::Liquidated {
        intent,
        taker: account("bob"),
        instrument: instrument(PERP),
        lots,
        price: stated(2_700.0),
    };
    let (old, new) = (first.steps[0].lots, after.plan.steps[0].lots);
    world.ok(body(old));
    world.ok(body(new - old));
    assert!(world.standing("alice") < Standing::Liquidatable);
}
