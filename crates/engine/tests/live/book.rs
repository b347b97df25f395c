//! Faults of positions, messages and parameters, by number. What is about signatures, chains and contracts is tried as far as
//! it reaches the engine: checking a signature, a domain or a block is the business of the doors, and a test that needs them is
//! not here.

use crate::world::{PERP, World, account, asset, instrument, intents, rules, stated};
use plimsoll_engine::live::feed::{Cause, Stated, Validity};
use plimsoll_engine::live::{Body, Effect, Event, Key, LiquidationRules, Standing, VERSION, decode, encode};
use plimsoll_policy::{Knob, Policy, Scheduled, Scope, Vote};
use plimsoll_types::{NANO, Ppb};

#[test]
fn f25_a_flipped_bit_is_another_event_or_none_as_the_engine_knows_no_signature() {
    let mut world = World::calm();
    world.wait(1_000);
    let body = world.seen("ETH", "a", 3_311.0);
    let key = Some(Key { source: "feeder".into(), number: 1 });
    let event = Event { at: world.now, key, body };
    let bytes = encode(&event).unwrap();
    let (mut unreadable, mut other) = (0, 0);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        match decode(VERSION, &flipped) {
            Err(_) => unreadable += 1,
            // A number may be written in several ways; the engine writes one, and these are not it.
            Ok(read) => {
                assert!(read != event || encode(&read).unwrap() != flipped, "bit {bit}");
                other += usize::from(read != event);
            }
        }
    }
    assert!(unreadable > other && other > 0, "{unreadable} {other}");
}

#[test]
fn f26_a_name_that_is_not_configured_is_not_heard_and_one_that_speaks_twice_is_one_voice() {
    let mut world = World::calm();
    world.wait(1_000);
    let body = world.seen("ETH", "mallory", 3_311.0);
    assert_eq!(world.refused(body), "unknown_source");
    world.wait(120_000);
    for price in [3_311.0, 3_311.5] {
        world.wait(1_000);
        let body = world.seen("ETH", "a", price);
        world.ok(body);
    }
    let feed = &world.engine.state().feeds[&asset("ETH")];
    assert!(feed.causes().contains(&Cause::SourcesLost) && feed.validity() == Validity::Degraded);
}

#[test]
fn f27_a_message_that_was_seen_is_refused_as_the_engine_knows_no_domain() {
    let mut world = World::calm();
    world.open("alice", 1_000);
    let deposit = Body::Deposit { account: account("alice"), asset: asset("USD"), nano: i128::from(NANO) };
    let tell = |world: &mut World, source: &str| {
        let key = Some(Key { source: source.into(), number: 1 });
        let event = Event { at: world.now, key, body: deposit.clone() };
        crate::world::code(&world.engine.step(&event).unwrap())
    };
    assert_eq!(
        ["chain 1", "chain 1", "chain 2"].map(|source| tell(&mut world, source)),
        ["", "duplicate", ""]
    );
}

#[test]
fn f37_the_parts_of_a_book_bear_no_less_than_the_whole() {
    let mut world = World::calm();
    world.open("whole", 10_000);
    world.open("other", 10_000_000);
    // A price that no tick divides, a lot at a time, by as many accounts.
    let dust = |buyer: &str, lots| {
        let mut fill = World::fill(buyer, "other", PERP, lots, 1.0);
        fill.price = Stated { mantissa: 3_310_000_333, exponent: -6 };
        Body::Filled(fill)
    };
    let count = 200;
    world.ok(dust("whole", count));
    let (mut im, mut mm, mut equity) = (0, 0, 0);
    for n in 0..count {
        let name = format!("dust{n:03}");
        world.open(&name, 50);
        world.ok(dust(&name, 1));
        let totals = world.totals(&name);
        im += totals.im.0;
        mm += totals.mm.0;
        equity += totals.equity.0;
    }
    let whole = world.totals("whole");
    assert!(im >= whole.im.0 && mm >= whole.mm.0, "{im} {mm} {whole:?}");
    assert!(im - whole.im.0 <= 4 * i128::from(count), "within a few ticks each: {im} {}", whole.im.0);
    assert!(
        (equity - whole.equity.0).abs() <= i128::from(count) / 2,
        "half a tick a fill: {equity} {whole:?}"
    );
    let given: i128 =
        world.engine.state().ledger.accounts().iter().flat_map(|a| &a.positions).map(|held| held.cost).sum();
    assert_eq!(given, 0);
}

#[test]
fn f39_a_block_that_is_replaced_is_compensated_and_margin_is_that_of_the_new_one() {
    let world = || {
        let mut world = World::calm();
        world.open("alice", 100_000);
        world.open("bob", 100_000);
        world
    };
    let fill =
        |buyer: &str, seller: &str, lots, price| Body::Filled(World::fill(buyer, seller, PERP, lots, price));
    let (mut seen, mut fresh) = (world(), world());
    seen.ok(fill("alice", "bob", 5_000, 3_310.0));
    seen.ok(Body::Deposit { account: account("alice"), asset: asset("USD"), nano: 77 });
    // The block goes: what it said is turned round, whatever the accounts may bear.
    seen.ok(fill("bob", "alice", 5_000, 3_310.0));
    let back = Body::Withdraw { account: account("alice"), asset: asset("USD"), nano: 77 };
    seen.ok(back);
    for world in [&mut seen, &mut fresh] {
        world.ok(fill("bob", "alice", 3_000, 3_305.0));
    }
    assert_eq!(seen.engine.state().ledger, fresh.engine.state().ledger);
    assert_eq!(seen.totals("alice"), fresh.totals("alice"));
    assert_eq!(seen.totals("bob"), fresh.totals("bob"));
}

#[test]
fn f43_an_intent_that_nobody_serves_stays_one_then_is_taken_over_and_never_sold_beneath_its_worth() {
    let mut rules = rules(&["a", "b", "c"]);
    rules.liquidation = LiquidationRules { backstop_seconds: 300, ..LiquidationRules::default() };
    let mut world = World::with(rules);
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.wait(1_000);
    let given = intents(&world.jump("ETH", 2_820.0));
    let [(intent, _)] = given[..] else { panic!("{given:?}") };
    let lots = world.engine.state().intents[&intent].plan.steps[0].lots;
    for _ in 0..9 {
        world.wait(30_000);
        let mut effects = world.price("ETH", 2_820.0);
        effects.extend(world.price("USDC", 1.0));
        effects.extend(world.ok(Body::Clock));
        assert_eq!(intents(&effects), [], "told once");
        let body = Body::Liquidated {
            intent,
            taker: account("bob"),
            instrument: instrument(PERP),
            lots,
            price: stated(2_000.0),
        };
        assert_eq!(world.refused(body), "worsens", "no price is taken for want of others");
        assert!(world.engine.state().intents.contains_key(&intent));
    }
    world.wait(31_000);
    world.price("ETH", 2_820.0);
    world.price("USDC", 1.0);
    let effects = world.ok(Body::Clock);
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Withdrawn { why, .. } if why == "taken_over")),
        "{effects:?}"
    );
    assert!(world.standing("alice") < Standing::Liquidatable);
}

#[test]
fn f46_of_a_coupled_pair_no_half_goes_in_force() {
    let mut rules = rules(&["a", "b", "c"]);
    rules.policy = Policy::shipped("plimsoll").unwrap();
    let mut world = World::with(rules);
    world.open("alice", 100_000);
    world.open("bob", 100_000);
    world.trade("alice", "bob", PERP, 5_000, 3_310.0);
    world.ok(Body::Clock);
    // Maintenance alone is voted up, above the initial margin that nobody moves.
    let vote = |id: &str, world: &World, value| {
        Body::Vote(Box::new(Scheduled {
            id: id.into(),
            key: plimsoll_policy::Key { knob: Knob::MmScale, scope: Scope::default() },
            value,
            proposed: world.now,
            effective: world.now.plus_seconds(172_800),
            expires: None,
            vote: Vote { reference: "r".into(), yes: 3, no: 0 },
        }))
    };
    let body = vote("pair", &world, Ppb(NANO * 2));
    world.ok(body);
    // One that comes before its time is refused whole.
    let Body::Vote(mut early) = vote("early", &world, Ppb(NANO)) else { unreachable!() };
    early.effective = world.now.plus_seconds(1);
    let (policy, before) = (world.engine.state().policy.clone(), world.engine.valued().params().clone());
    assert_eq!(world.refused(Body::Vote(early)), "vote");
    assert_eq!((&world.engine.state().policy, world.engine.valued().params()), (&policy, &before));
    let mut moved = false;
    for _ in 0..100 {
        world.wait(3_600_000);
        for (name, price) in [("ETH", 3_310.0), ("USDC", 1.0)] {
            world.price(name, price);
        }
        let effects = world.ok(Body::Clock);
        moved |= effects.iter().any(|e| {
            matches!(e, Effect::Parameters { decision, .. }
            if decision.changes.iter().any(|c| c.key.knob == Knob::MmScale))
        });
        for name in ["alice", "bob"] {
            let totals = world.totals(name);
            assert!(totals.im >= totals.mm, "{totals:?}");
        }
        let at = |knob| {
            let place =
                plimsoll_policy::Place { underlying: Some("ETH"), ..plimsoll_policy::Place::default() };
            let (policy, board) = (&world.engine.rules().policy, world.engine.state().policy.board());
            policy.in_force(board, knob, &place, world.now).unwrap().initial
        };
        assert!(at(Knob::ImScale) >= at(Knob::MmScale));
    }
    assert!(moved, "the vote has moved what it may");
}
