//! Who pays, and in what order.

use crate::world::{World, account, asset, rules};
use plimsoll_engine::live::{Body, Effect, LiquidationRules};
use plimsoll_types::{AccountId, NANO, Ticks};

const SOL: &str = "SOL_USDC-PERPETUAL";

/// Alice has 4 ETH and no money, and has lost 12 495 dollars on 294 SOL: after haircuts she owes, without them she does not.
fn owing(backstop: Option<AccountId>) -> World {
    let mut rules = rules(&["a", "b", "c"]);
    let backstop_loss_max = Ticks(1_000_000_000_000);
    rules.liquidation =
        LiquidationRules { backstop_seconds: 60, backstop, backstop_loss_max, ..LiquidationRules::default() };
    let mut world = World::with(rules);
    world.ok(Body::Open { account: account("alice") });
    let nano = 4 * i128::from(NANO);
    world.ok(Body::Deposit { account: account("alice"), asset: asset("ETH"), nano });
    world.open("bob", 500_000);
    world.open("backstop", 500_000);
    world.ok(Body::Insure { nano: 20_000 * i128::from(NANO) });
    world.ok(Body::Filled(World::fill("alice", "bob", SOL, 2_940, 142.5)));
    world.wait(1_000);
    world.jump("SOL", 100.0);
    assert!(world.totals("alice").equity.0 < 0);
    world
}

fn taken_over(world: &mut World) -> Vec<Effect> {
    world.wait(61_000);
    for (name, price) in [("SOL", 100.0), ("ETH", 3_310.0), ("USDC", 1.0)] {
        world.price(name, price);
    }
    world.ok(Body::Clock)
}

fn seized(effects: &[Effect]) -> (i128, i128, Option<AccountId>) {
    let of = |effect: &Effect| match effect {
        Effect::Seized { nano, paid, by, .. } => Some((*nano, paid.0, by.clone())),
        _ => None,
    };
    effects.iter().find_map(of).unwrap()
}

#[test]
fn collateral_is_sold_at_its_whole_price_before_the_insurance_fund_pays_a_debt() {
    let mut world = owing(None);
    let insurance = world.engine.state().insurance.0;
    let effects = taken_over(&mut world);
    let (nano, paid, by) = seized(&effects);
    assert_eq!(by, None);
    // 12 495 dollars at 3 310 each, rounded up.
    assert!((paid - 12_495_000_000).abs() < 20_000_000, "{paid}");
    assert!((nano * 3_310 / 1_000 - paid).abs() < 10_000, "{nano} for {paid}");
    assert_eq!(world.engine.state().insurance.0, insurance - paid);
    assert_eq!(world.engine.state().insured[&asset("ETH")], nano);
    assert!(
        !effects.iter().any(|e| matches!(e, Effect::Covered { .. })),
        "nobody's money is lost: {effects:?}"
    );
    let alice = world.engine.state().ledger.account(0).unwrap().clone();
    assert_eq!(alice.held(&asset("ETH")), 4 * i128::from(NANO) - nano, "the rest stays hers");
    assert!(world.totals("alice").equity.0 > 0);
}

#[test]
fn the_backstop_buys_seized_collateral_where_its_margin_allows() {
    let mut world = owing(Some(account("backstop")));
    let insurance = world.engine.state().insurance;
    let own = world.totals("backstop").equity.0;
    let effects = taken_over(&mut world);
    let (nano, paid, by) = seized(&effects);
    assert_eq!(by, Some(account("backstop")));
    assert_eq!(world.engine.state().insurance, insurance, "the fund is not asked");
    let number = world.engine.state().ledger.find(&account("backstop")).unwrap();
    let backstop = world.engine.state().ledger.account(number).unwrap();
    assert_eq!(backstop.held(&asset("ETH")), nano);
    assert_eq!(backstop.held(&asset("USD")), 500_000 * i128::from(NANO) - paid * 1_000);
    assert!(world.totals("backstop").equity.0 <= own, "it holds a coin at its haircut for it");
}

#[test]
fn what_collateral_and_fund_cannot_pay_is_shared_by_all() {
    let mut world = owing(None);
    world.wait(1_000);
    // The coin falls too: what it is worth is less than the debt.
    world.jump("ETH", 2_000.0);
    let effects = {
        world.wait(61_000);
        for (name, price) in [("SOL", 100.0), ("ETH", 2_000.0), ("USDC", 1.0)] {
            world.price(name, price);
        }
        world.ok(Body::Clock)
    };
    let (nano, paid, _) = seized(&effects);
    assert_eq!(nano, 4 * i128::from(NANO), "all of it goes");
    let covered = effects.iter().find_map(|e| match e {
        Effect::Covered { insurance, socialised, .. } => Some((insurance.0, socialised.0)),
        _ => None,
    });
    let (insurance, socialised) = covered.unwrap();
    assert!((insurance + paid - 12_495_000_000).abs() < 20_000_000 && socialised == 0, "{covered:?}");
    assert_eq!(world.totals("alice").equity.0, 0);
}
