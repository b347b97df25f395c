//! What has expired, and what cannot be valued.

use crate::world::{CALL, PERP, World, account, asset, instrument, intents};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Body, Effect, Engine, Standing};
use plimsoll_types::{NANO, Ticks, nearest_f64};

/// 15 JAN 10:00 is when the market is; the options expire on 16 JAN at 08:00.
const EXPIRY_MS: i64 = 22 * 3_600_000;

fn unvalued(effects: &[Effect]) -> Vec<(String, String)> {
    let of = |effect: &Effect| match effect {
        Effect::Unvalued { account, reason } => Some((account.to_string(), reason.clone())),
        _ => None,
    };
    effects.iter().filter_map(of).collect()
}

/// Alice is long calls at 142 and Bob is short; a second before expiry SOL stands at 150, and has for half an hour.
fn expiring() -> World {
    let mut world = World::calm();
    world.open("alice", 100_000);
    world.open("bob", 100_000);
    world.trade("alice", "bob", CALL, 1_000, 5.0);
    world.wait(EXPIRY_MS - 1_861_000);
    for _ in 0..62 {
        world.price("SOL", 150.0);
        world.wait(30_000);
    }
    assert_eq!(instrument(CALL).expiry().unwrap().seconds() - world.now.seconds(), 1);
    world.price("SOL", 150.0);
    world
}

fn value(world: &World) -> i128 {
    let lot = nearest_f64(world.engine.rules().params.units.lot(&instrument(CALL)));
    (8.0 * lot * 1e6).round() as i128
}

#[test]
fn f32_a_second_before_expiry_there_is_time_value_and_a_second_after_none() {
    let mut world = expiring();
    let number = world.engine.state().ledger.number(&instrument(CALL)).unwrap();
    let before = world.engine.valued().mark_of(number).unwrap();
    let intrinsic = i64::try_from(value(&world)).unwrap();
    assert!(before >= intrinsic && before - intrinsic < intrinsic / 10, "{before} {intrinsic}");
    assert!(world.totals("bob").im.0 > 0);
    world.wait(2_000);
    world.ok(Body::Clock);
    assert_eq!(world.engine.valued().mark_of(number), Some(intrinsic));
    assert_eq!(world.totals("bob").im.0, 0, "what expired bears no risk");
    let equity = |world: &World| (world.totals("alice").equity.0, world.totals("bob").equity.0);
    let then = equity(&world);
    // Bought at 5, worth 8.
    assert_eq!(then.0 - 100_000_000_000, 1_000 * value(&world) * 3 / 8);
    // Whatever the price does now.
    world.wait(1_000);
    world.jump("SOL", 200.0);
    assert_eq!(equity(&world), then);
    let more = World::fill("alice", "bob", CALL, 1, 5.0);
    assert_eq!(world.refused(Body::Trade(more)), "expired");
    assert_eq!(world.engine.check(&account("alice"), &[(instrument(CALL), 1)]).unwrap_err().code, "expired");
}

#[test]
fn a_settlement_that_comes_late_pays_the_mean_that_was_frozen() {
    let mut world = expiring();
    world.wait(2_000);
    world.ok(Body::Clock);
    let taken_up = Engine::resume(world.engine.rules().clone(), world.engine.state().clone()).unwrap();
    let before = (world.totals("alice").equity.0, world.totals("bob").equity.0);
    // Two days of other prices.
    for _ in 0..48 {
        world.wait(3_600_000);
        world.price("SOL", 170.0);
    }
    world.engine = taken_up;
    let effects = world.ok(Body::Settle { instrument: instrument(CALL) });
    let settled = effects.iter().find_map(|e| match e {
        Effect::Settled { value, accounts: 2, .. } => Some(*value),
        _ => None,
    });
    assert_eq!(settled, Some(Ticks(value(&world))));
    assert_eq!((world.totals("alice").equity.0, world.totals("bob").equity.0), before);
    assert_eq!(world.refused(Body::Settle { instrument: instrument(CALL) }), "settled");
}

#[test]
fn an_expired_instrument_without_a_sound_index_is_told_once_and_what_can_be_valued_may_be_reduced() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", CALL, 1_000, 5.0);
    world.trade("alice", "bob", PERP, 8_000, 3_310.0);
    // SOL falls silent and is halted more than half an hour before expiry; ETH goes on.
    world.wait(200_000);
    world.ok(Body::Clock);
    assert_eq!(world.engine.state().feeds[&asset("SOL")].validity(), Validity::Halted);
    world.wait(EXPIRY_MS - 200_000 + 1_000);
    let mut effects = world.price("ETH", 3_310.0);
    effects.extend(world.ok(Body::Clock));
    let reason = format!("expired {CALL}");
    let told = unvalued(&effects);
    assert_eq!(told, [("alice".to_owned(), reason.clone()), ("bob".to_owned(), reason)]);
    assert_eq!(world.standing("alice"), Standing::Unvalued);
    world.wait(1_000);
    assert_eq!(unvalued(&world.price("ETH", 3_311.0)), [], "once");
    world.wait(1_000);
    // ETH falls far: nobody is liquidated on numbers that are not known.
    assert_eq!(intents(&world.jump("ETH", 2_500.0)), []);
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", PERP, 10, 2_500.0))), "not_valid");
    world.ok(Body::Open { account: account("carol") });
    world.ok(Body::Deposit {
        account: account("carol"),
        asset: asset("USD"),
        nano: 1_000_000 * i128::from(NANO),
    });
    assert_eq!(world.refused(Body::Trade(World::fill("carol", "alice", PERP, 1_000, 1.0))), "not_valid");
    world.trade("carol", "alice", PERP, 1_000, 2_500.0);
    world.ok(Body::Deposit {
        account: account("alice"),
        asset: asset("USD"),
        nano: 10_000 * i128::from(NANO),
    });
    let all = Body::Withdraw { account: account("alice"), asset: asset("USD"), nano: i128::from(NANO) };
    assert_eq!(world.refused(all), "not_valid");
    assert_eq!(world.refused(Body::Settle { instrument: instrument(CALL) }), "missing_index");
}

#[test]
fn collateral_without_a_price_makes_an_account_unvalued_until_its_feed_speaks() {
    let mut rules = crate::world::rules(&["a", "b", "c"]);
    let usdt = asset("USDT");
    assert!(rules.params.margin.collateral.contains_key(&usdt), "the preset knows it");
    rules.feeds.insert(usdt.clone(), rules.feeds[&asset("USDC")].clone());
    let mut world = World::with(rules);
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.open("carol", 10_000);
    let deposit =
        |name: &str| Body::Deposit { account: account(name), asset: asset("USDT"), nano: i128::from(NANO) };
    let effects = world.ok(deposit("carol"));
    assert_eq!(unvalued(&effects), [("carol".to_owned(), "missing_index USDT".to_owned())]);
    assert_eq!(world.refused(Body::Trade(World::fill("carol", "bob", PERP, 1, 3_310.0))), "not_valid");
    // Nobody who holds positions can shield himself, or be stopped by another, with a coin that has no price.
    world.trade("alice", "bob", PERP, 8_000, 3_310.0);
    assert_eq!(world.refused(deposit("alice")), "no_price");
    let gift = Body::Transfer {
        from: account("carol"),
        to: account("alice"),
        asset: asset("USDT"),
        nano: i128::from(NANO),
    };
    assert_ne!(world.refused(gift), "");
    world.wait(1_000);
    let effects = world.price("USDT", 1.0);
    let back =
        |e: &Effect| matches!(e, Effect::Standing { from: Standing::Unvalued, to: Standing::Healthy, .. });
    assert!(effects.iter().any(back) && world.engine.state().unvalued.is_empty(), "{effects:?}");
    world.ok(deposit("alice"));
}
