//! What may be done while somebody has stopped the rest.

use crate::world::{PERP, World, account, code, instrument, intents};
use plimsoll_engine::live::{Basis, Body, Change, Effect, Paid, Standing, Supposed, restore, save};

fn pause(hold_liquidations: bool) -> Body {
    Body::Pause { reason: "looked into".to_owned(), hold_liquidations }
}

#[test]
fn while_it_is_paused_what_raises_risk_is_refused_and_what_lowers_it_is_not() {
    let mut world = World::calm();
    world.open("alice", 100_000);
    world.open("bob", 100_000);
    world.ok(Body::Trade(World::fill("alice", "bob", PERP, 5_000, 3_310.0)));
    let before = world.totals("alice");
    let said = world.ok(pause(false));
    assert!(said.iter().any(|effect| matches!(effect, Effect::Paused { hold_liquidations: false, .. })));
    assert_eq!(world.totals("alice"), before, "a pause changes no number");
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 1_000, 3_310.0))), "paused");
    let withdrawal =
        Body::Withdraw { account: account("alice"), asset: crate::world::asset("USD"), nano: 1_000_000_000 };
    assert_eq!(world.refused(withdrawal.clone()), "paused");
    let check = world.engine.check(&account("alice"), &[(instrument(PERP), 1_000)]).unwrap();
    assert_eq!((check.allowed, &check.reason[..]), (false, "paused"));
    world.ok(Body::Trade(World::fill("bob", "alice", PERP, 1_000, 3_310.0)));
    world.ok(Body::Resume);
    world.ok(withdrawal);
    world.ok(Body::Trade(World::fill("alice", "bob", PERP, 1_000, 3_310.0)));
    assert_eq!(world.refused(Body::Resume), "not_paused");
    let nameless = Body::Pause { reason: String::new(), hold_liquidations: true };
    assert_eq!(world.refused(nameless), "argument");
}

#[test]
fn liquidations_wait_where_that_is_said_and_follow_at_the_first_tick_after() {
    let mut world = World::calm();
    world.open("alice", 1_000_000);
    world.open("carol", 2_000);
    world.ok(Body::Trade(World::fill("carol", "alice", PERP, 3_000, 3_310.0)));
    world.ok(pause(true));
    world.wait(1_000);
    let mut said = world.jump("ETH", 2_990.0);
    assert_eq!(world.standing("carol"), Standing::Liquidatable, "it stands as it stands");
    said.extend(world.ok(Body::Clock));
    assert_eq!(intents(&said), [], "{said:?}");
    // What was paused is remembered like everything else.
    let state = world.engine.state();
    assert_eq!(restore(1, &save(state).unwrap()).unwrap().paused, state.paused);
    world.ok(Body::Resume);
    let said = world.ok(Body::Clock);
    let given = intents(&said);
    assert_eq!(given.len(), 1, "{said:?}");
    assert_eq!(given[0].1, "carol");
    // Said again while one is under way, its steps wait too.
    world.ok(pause(true));
    let step = Body::Liquidated {
        intent: given[0].0,
        taker: account("alice"),
        instrument: instrument(PERP),
        lots: 1,
        price: crate::world::stated(2_990.0),
    };
    assert_eq!(code(&world.tell(step.clone())), "paused");
    world.ok(pause(false));
    world.ok(step);
}

#[test]
fn a_state_that_was_never_paused_says_nothing_of_it() {
    let world = World::calm();
    let bytes = save(world.engine.state()).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"paused"));
}

#[test]
fn what_is_imagined_is_valued_as_if_it_were_there_and_is_not() {
    let mut world = World::calm();
    world.open("alice", 50_000);
    world.open("bob", 50_000);
    world.ok(Body::Trade(World::fill("alice", "bob", PERP, 5_000, 3_300.0)));
    let hash = world.engine.state().hash().unwrap();
    let usd = (crate::world::asset("USD"), 50_000_000_000_000_i128);
    let bought = Supposed {
        instrument: instrument(PERP),
        lots: 5_000,
        paid: Paid::Price(crate::world::stated(3_300.0)),
    };
    let book = Change { positions: vec![bought], collateral: vec![usd] };
    let more = Change::at_the_mark(&[(instrument(PERP), 700)]);
    let nobodys = world.engine.imagine(&Basis::Nobody(book), &more).unwrap();
    let hers = world.engine.imagine(&Basis::Account(account("alice")), &more).unwrap();
    assert_eq!(nobodys.before.initial.equity, hers.before.initial.equity);
    assert_eq!(nobodys.before.initial.im, hers.before.initial.im);
    assert_eq!(nobodys.after.mm_excess(), hers.after.mm_excess());
    assert_eq!(nobodys.check, hers.check);
    assert_eq!(hers.check, world.engine.check(&account("alice"), &[(instrument(PERP), 700)]).unwrap());
    let vectors = world.engine.vectors(&hers.portfolio);
    assert_eq!(vectors.len(), 1);
    assert_eq!(vectors[0].pnl[..], hers.after.initial.underlyings[0].pnl[..]);
    assert_eq!(world.engine.state().hash().unwrap(), hash);
}
