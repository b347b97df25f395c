//! The usual course of things.

use crate::world::{CALL, PERP, World, account, asset, code, instrument, intents, stated};
use plimsoll_engine::live::{Body, Effect, Engine, LiquidationRules, Standing};
use plimsoll_types::{NANO, Ticks};

#[test]
fn a_trade_is_margined_and_profit_follows_the_price() {
    let mut world = World::calm();
    world.open("alice", 10_000);
    world.open("bob", 10_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    let (alice, bob) = (world.totals("alice"), world.totals("bob"));
    assert!(alice.im.0 > 0 && bob.im.0 > 0);
    assert_eq!(alice.equity.0 + bob.equity.0, 20_000 * 1_000_000);
    world.wait(1_000);
    world.price("ETH", 3_410.0);
    // 10 ETH up by 100 and a bit: the perpetual moves with its index.
    let gained = world.totals("alice").equity.0 - alice.equity.0;
    assert!((gained - 1_000_000_000).abs() < 1_000_000, "{gained}");
    assert_eq!(world.totals("alice").equity.0 + world.totals("bob").equity.0, 20_000 * 1_000_000);
}

#[test]
fn refreshing_in_place_gives_what_starting_over_gives() {
    let mut world = World::calm();
    for name in ["alice", "bob", "carol"] {
        world.open(name, 100_000);
    }
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.trade("bob", "carol", CALL, 5_000, 5.0);
    world.trade("carol", "alice", "SOL_USDC-16JAN26-128-P", 2_000, 2.0);
    for (i, price) in [3_300.0, 3_350.0, 3_200.0, 3_260.0].into_iter().enumerate() {
        world.wait(2_000);
        world.price("ETH", price);
        world.price("SOL", 143.5 + i as f64);
        world.price("BTC", 96_401.0 + i as f64);
        world.trade("alice", "carol", PERP, 100, price);
        let again = Engine::resume(world.engine.rules().clone(), world.engine.state().clone()).unwrap();
        for number in 0..3 {
            assert!(world.engine.valued().totals(number).is_some());
            assert_eq!(world.engine.valued().totals(number), again.valued().totals(number));
        }
        assert_eq!(world.engine.valued().arrays(), again.valued().arrays());
    }
}

#[test]
fn who_falls_below_maintenance_gets_one_plan_that_restores_him() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    assert_eq!(world.standing("alice"), Standing::Healthy);
    world.wait(1_000);
    let effects = world.jump("ETH", 2_820.0);
    assert_eq!(world.standing("alice"), Standing::Liquidatable);
    let given = intents(&effects);
    assert_eq!(given.len(), 1);
    let plan = world.engine.state().intents[&given[0].0].plan.clone();
    assert!(plan.restores && plan.steps.len() == 1, "{plan:?}");
    assert!(plan.steps[0].lots > 0 && plan.steps[0].lots < 10_000, "part of it is enough: {plan:?}");
    world.wait(1_000);
    assert_eq!(intents(&world.price("ETH", 2_819.0)), [], "once is enough");
    // A lot less would not have been.
    let less =
        world.engine.check(&account("alice"), &[(instrument(PERP), -(plan.steps[0].lots - 50))]).unwrap();
    assert!(less.im_excess_after.0 < 0, "{less:?}");
    let body = Body::Liquidated {
        intent: given[0].0,
        taker: account("bob"),
        instrument: instrument(PERP),
        lots: plan.steps[0].lots,
        price: stated(2_819.0),
    };
    let effects = world.ok(body.clone());
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Withdrawn { why, .. } if why == "cured")),
        "{effects:?}"
    );
    assert!(world.standing("alice") < Standing::Liquidatable);
    assert_eq!(world.refused(body), "unknown_intent");
}

#[test]
fn a_deposit_cures() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.wait(1_000);
    world.jump("ETH", 2_820.0);
    let deposit =
        Body::Deposit { account: account("alice"), asset: asset("USD"), nano: 10_000 * i128::from(NANO) };
    let effects = world.ok(deposit);
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Withdrawn { why, .. } if why == "cured")),
        "{effects:?}"
    );
    assert_eq!(world.standing("alice"), Standing::Healthy);
    assert!(world.engine.state().intents.is_empty());
}

#[test]
fn new_risk_needs_initial_margin_and_less_risk_needs_nothing() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    let fill = World::fill("alice", "bob", PERP, 100_000, 3_310.0);
    assert_eq!(world.refused(Body::Trade(fill)), "insufficient_margin");
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.wait(1_000);
    world.jump("ETH", 2_900.0);
    assert!(world.standing("alice") >= Standing::Call);
    let more = World::fill("alice", "bob", PERP, 100, 2_900.0);
    assert_eq!(world.refused(Body::Trade(more)), "insufficient_margin");
    world.trade("bob", "alice", PERP, 2_000, 2_900.0);
    let all =
        Body::Withdraw { account: account("alice"), asset: asset("USD"), nano: 7_000 * i128::from(NANO) };
    assert_eq!(world.refused(all), "insufficient_margin");
    let check = world.engine.check(&account("alice"), &[(instrument(PERP), -8_000)]).unwrap();
    assert!(check.allowed && check.im_excess_after.0 > check.im_excess_before.0, "{check:?}");
}

#[test]
fn an_option_settles_at_the_mean_of_its_last_half_hour() {
    let mut world = World::calm();
    world.open("alice", 100_000);
    world.open("bob", 100_000);
    world.trade("alice", "bob", CALL, 1_000, 5.0);
    assert_eq!(world.refused(Body::Settle { instrument: instrument(CALL) }), "not_expired");
    // 15 JAN 10:00 to 16 JAN 07:30, then 150 for a quarter of an hour and 160 for another.
    world.wait((21 * 3_600 + 1_800) * 1_000);
    world.jump("SOL", 150.0);
    world.wait(899_000);
    world.price("SOL", 160.0);
    world.wait(900_000);
    let effects = world.ok(Body::Settle { instrument: instrument(CALL) });
    let value = effects.iter().find_map(|e| match e {
        Effect::Settled { value, accounts: 2, .. } => Some(value.0),
        _ => None,
    });
    let mean = value.unwrap() as f64
        / 1e6
        / plimsoll_types::nearest_f64(world.engine.rules().params.units.lot(&instrument(CALL)))
        + 142.0;
    assert!((mean - 155.0).abs() < 0.05, "{mean}");
    assert_eq!(world.refused(Body::Trade(World::fill("alice", "bob", CALL, 1, 5.0))), "settled");
    let (alice, bob) = (world.totals("alice").equity.0, world.totals("bob").equity.0);
    assert_eq!(alice + bob, 200_000 * 1_000_000);
}

#[test]
fn funding_moves_money_from_longs_to_shorts() {
    let mut world = World::calm();
    world.open("alice", 10_000);
    world.open("bob", 10_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    let before = world.totals("alice").equity.0;
    world.ok(Body::Funding { instrument: instrument(PERP), rate: stated(0.001) });
    let paid = before - world.totals("alice").equity.0;
    assert!((paid - 33_100_000).abs() < 10_000, "{paid}");
    assert_eq!(world.totals("alice").equity.0 + world.totals("bob").equity.0, 20_000 * 1_000_000);
}

#[test]
fn a_debt_goes_to_the_insurance_fund_and_the_rest_is_shared() {
    let mut rules = crate::world::rules(&["a", "b", "c"]);
    rules.liquidation = LiquidationRules { backstop_seconds: 60, ..LiquidationRules::default() };
    let mut world = World::with(rules);
    world.open("alice", 5_000);
    world.open("bob", 50_000);
    world.open("carol", 50_000);
    world.trade("alice", "bob", PERP, 8_000, 3_310.0);
    world.ok(Body::Insure { nano: 1_000 * i128::from(NANO) });
    world.wait(1_000);
    world.jump("ETH", 2_000.0);
    assert_eq!(world.standing("alice"), Standing::Insolvent);
    let all = |world: &World| {
        ["alice", "bob", "carol"].iter().map(|name| world.totals(name).equity.0).sum::<i128>()
    };
    let before = all(&world) + world.engine.state().insurance.0;
    world.wait(30_000);
    world.price("ETH", 2_000.0);
    world.wait(31_000);
    world.price("ETH", 2_000.0);
    let effects = world.ok(Body::Clock);
    let covered = effects.iter().find_map(|e| match e {
        Effect::Covered { insurance, socialised, .. } => Some((insurance.0, socialised.0)),
        _ => None,
    });
    let (insurance, socialised) = covered.unwrap();
    assert_eq!(insurance, 1_000_000_000);
    assert!(socialised > 0);
    assert!(effects.iter().any(|e| matches!(e, Effect::Deleveraged { .. })));
    assert_eq!(world.engine.state().insurance, Ticks(0));
    assert_eq!(all(&world) + world.engine.state().insurance.0, before, "money is conserved");
    assert!(world.engine.state().ledger.account(0).unwrap().positions.is_empty());
    assert_eq!(world.totals("alice").equity.0, 0);
    assert!(world.engine.state().intents.is_empty());
}

#[test]
fn an_unknown_account_is_refused_and_nothing_else_is_touched() {
    let mut world = World::calm();
    world.open("alice", 10_000);
    let effects = world.tell(Body::Trade(World::fill("alice", "zoe", PERP, 1, 3_310.0)));
    assert_eq!((code(&effects).as_str(), effects.len()), ("unknown_account", 1));
}

#[test]
fn the_backstop_pays_what_it_takes_over_and_no_more_than_its_limit() {
    let mut rules = crate::world::rules(&["a", "b", "c"]);
    rules.liquidation = LiquidationRules {
        backstop_seconds: 60,
        backstop: Some(account("backstop")),
        backstop_loss_max: Ticks(6_000_000_000),
        ..LiquidationRules::default()
    };
    let mut world = World::with(rules);
    for (name, dollars) in [("alice", 5_000), ("bob", 100_000), ("backstop", 100_000), ("dave", 5_000)] {
        world.open(name, dollars);
    }
    world.trade("alice", "bob", PERP, 8_000, 3_310.0);
    world.trade("dave", "bob", PERP, 8_000, 3_310.0);
    world.wait(1_000);
    world.jump("ETH", 2_000.0);
    let names = ["alice", "bob", "backstop", "dave"];
    let all = |world: &World| names.iter().map(|name| world.totals(name).equity.0).sum::<i128>();
    let (before, own) = (all(&world), world.totals("backstop").equity.0);
    let debt = -world.totals("alice").equity.0;
    assert!(debt > 3_000_000_000 && debt < 6_000_000_000, "{debt}");
    world.wait(61_000);
    world.price("ETH", 2_000.0);
    let effects = world.ok(Body::Clock);
    assert_eq!(all(&world), before, "money is conserved");
    assert_eq!(world.engine.state().backstop_lost.0, debt);
    assert_eq!(world.totals("alice").equity.0, 0);
    assert!(world.totals("backstop").equity.0 <= own - debt, "it pays");
    // The second is beyond its limit: others close it, and all share the debt.
    assert!(effects.iter().any(|e| matches!(e, Effect::Deleveraged { .. })), "{effects:?}");
    assert!(effects.iter().any(|e| matches!(e, Effect::Covered { .. })));
    let given: Vec<u64> = intents(&effects).into_iter().map(|(id, _)| id).collect();
    let once: std::collections::BTreeSet<u64> = given.iter().copied().collect();
    assert_eq!(given.len(), once.len(), "an intent is told apart from all others");
}

#[test]
fn a_liquidation_below_the_market_is_refused() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    world.open("bob", 1_000_000);
    world.trade("alice", "bob", PERP, 10_000, 3_310.0);
    world.wait(1_000);
    let (intent, _) = intents(&world.jump("ETH", 2_820.0))[0].clone();
    let lots = world.engine.state().intents[&intent].plan.steps[0].lots;
    let body = |price: f64| Body::Liquidated {
        intent,
        taker: account("bob"),
        instrument: instrument(PERP),
        lots,
        price: stated(price),
    };
    assert_eq!(world.refused(body(1.0)), "worsens");
    world.ok(body(2_815.0));
}

#[test]
fn what_counts_for_nothing_is_no_collateral() {
    let mut world = World::calm();
    world.open("alice", 8_000);
    let junk = Body::Deposit { account: account("alice"), asset: asset("JUNK"), nano: 1 };
    assert_eq!(world.refused(junk), "no_collateral");
}
