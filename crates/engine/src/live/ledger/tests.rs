use super::*;
use plimsoll_quant::sobol::Rng64;
use plimsoll_types::LotSize;
use rust_decimal::Decimal;

fn units() -> Units {
    let lot = LotSize { base: Decimal::new(1, 3), quote: Decimal::new(10, 0) };
    Units { currency: Asset::new("USD").unwrap(), ticks_per_unit: 1_000_000, lot, lots: BTreeMap::new() }
}

fn named(name: &str) -> AccountId {
    name.parse().unwrap()
}

fn fill(buyer: &str, seller: &str, instrument: &str, lots: i64, price: Stated) -> Fill {
    let instrument = instrument.parse().unwrap();
    Fill { buyer: named(buyer), seller: named(seller), instrument, lots, price }
}

fn dollars(cents: i64) -> Stated {
    Stated { mantissa: cents, exponent: -2 }
}

fn ledger() -> Ledger {
    let mut ledger = Ledger::new(units());
    for name in ["alice", "bob", "carol"] {
        let account = ledger.open(&named(name)).unwrap();
        ledger.deposit(account, &Asset::new("USD").unwrap(), 1_000 * i128::from(NANO)).unwrap();
    }
    for name in ["ETH_USDC-PERPETUAL", "BTC-27DEC26-100000-C", "ETH_USDC-27DEC26-3000-P"] {
        ledger.list(&name.parse().unwrap()).unwrap();
    }
    ledger
}

#[test]
fn a_trade_costs_one_side_what_the_other_receives() {
    let mut ledger = ledger();
    ledger.fill(&fill("alice", "bob", "ETH_USDC-PERPETUAL", 1_500, dollars(300_012))).unwrap();
    let held = |n: u32| ledger.account(n).unwrap().positions[0];
    // 1.5 ETH at 3000.12.
    assert_eq!(held(0), Held { instrument: 0, lots: 1_500, cost: 4_500_180_000 });
    assert_eq!(held(1), Held { instrument: 0, lots: -1_500, cost: -4_500_180_000 });
}

#[test]
fn a_closed_position_leaves_its_profit_as_cash() {
    let mut ledger = ledger();
    ledger.fill(&fill("alice", "bob", "ETH_USDC-PERPETUAL", 1_000, dollars(300_000))).unwrap();
    ledger.fill(&fill("bob", "alice", "ETH_USDC-PERPETUAL", 1_000, dollars(310_000))).unwrap();
    let usd = Asset::new("USD").unwrap();
    assert!(ledger.account(0).unwrap().positions.is_empty());
    assert_eq!(ledger.account(0).unwrap().held(&usd), 1_100 * i128::from(NANO));
    assert_eq!(ledger.account(1).unwrap().held(&usd), 900 * i128::from(NANO));
}

#[test]
fn an_inverse_option_is_paid_for_in_coin() {
    let mut ledger = ledger();
    let price = Stated { mantissa: 425, exponent: -4 };
    ledger.fill(&fill("alice", "bob", "BTC-27DEC26-100000-C", 2_000, price)).unwrap();
    let btc = Asset::new("BTC").unwrap();
    assert_eq!(ledger.account(0).unwrap().held(&btc), -85_000_000);
    assert_eq!(ledger.account(1).unwrap().held(&btc), 85_000_000);
    assert_eq!(ledger.account(0).unwrap().positions[0].cost, 0);
}

#[test]
fn funding_is_paid_on_what_was_held_while_it_accrued() {
    let mut ledger = ledger();
    ledger.fund(0, 50).unwrap();
    ledger.fill(&fill("alice", "bob", "ETH_USDC-PERPETUAL", 1_000, dollars(300_000))).unwrap();
    ledger.fund(0, 7).unwrap();
    ledger.fill(&fill("bob", "alice", "ETH_USDC-PERPETUAL", 1_000, dollars(300_000))).unwrap();
    let usd = Asset::new("USD").unwrap();
    // 1000 lots x 7 ticks of 1e-6 USD.
    assert_eq!(ledger.account(0).unwrap().held(&usd), 1_000 * i128::from(NANO) - 7_000_000);
    assert_eq!(ledger.account(1).unwrap().held(&usd), 1_000 * i128::from(NANO) + 7_000_000);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut ledger = ledger();
    let before = ledger.clone();
    let perp = "ETH_USDC-PERPETUAL";
    let refused = [
        fill("alice", "zoe", perp, 1, dollars(1)),
        fill("alice", "alice", perp, 1, dollars(1)),
        fill("alice", "bob", perp, 0, dollars(1)),
        fill("alice", "bob", perp, 1, dollars(-1)),
        fill("alice", "bob", perp, i64::MAX, dollars(1)),
        fill("alice", "bob", "SOL_USDC-PERPETUAL", 1, dollars(1)),
        fill("alice", "bob", perp, 1, Stated { mantissa: i64::MAX, exponent: 20 }),
    ];
    for fill in refused {
        assert!(ledger.fill(&fill).is_err(), "{fill:?}");
        assert_eq!(ledger, before);
    }
    assert!(ledger.withdraw(0, &Asset::new("USD").unwrap(), 1_001 * i128::from(NANO)).is_err());
    assert!(ledger.list(&"BTC-PERPETUAL".parse().unwrap()).is_err());
    assert_eq!(ledger, before);
}

#[test]
fn nothing_is_made_or_lost_in_ten_thousand_random_movements() {
    let (mut ledger, mut rng) = (ledger(), Rng64::new(7));
    let names = ["alice", "bob", "carol"];
    let markets = ["ETH_USDC-PERPETUAL", "BTC-27DEC26-100000-C", "ETH_USDC-27DEC26-3000-P"];
    let mut below = |n: u64| rng.next_u64() % n;
    let value = |number: u32| 3_000_000 + i64::from(number) * 777;
    for _ in 0..10_000 {
        let (a, b) = (below(3) as usize, below(3) as usize);
        let market = markets[below(3) as usize];
        let lots = i64::try_from(below(5_000)).unwrap();
        let price = Stated { mantissa: i64::try_from(below(400_000)).unwrap(), exponent: -4 };
        let before = ledger.everything(&value).unwrap();
        let _ = ledger.fill(&fill(names[a], names[b], market, lots, price));
        if below(10) == 0 {
            ledger.fund(0, i64::try_from(below(100)).unwrap() - 50).unwrap();
        }
        let after = ledger.everything(&value).unwrap();
        // Cash is in billionths of a unit, a tick is a thousand of them.
        let usd = Asset::new("USD").unwrap();
        let total = |(assets, ticks): &(BTreeMap<Asset, i128>, Ticks)| assets[&usd] + ticks.0 * 1_000;
        assert_eq!(total(&after), total(&before));
    }
    let held = ledger.accounts().iter().flat_map(|a| &a.positions).count();
    assert!(held > 0);
    let settled = ledger.settle(2, 120, Timestamp::default()).unwrap();
    assert!(!settled.is_empty() && ledger.number(&markets[2].parse().unwrap()).is_err());
    ledger.settle(0, value(0), Timestamp::default()).unwrap();
    let (assets, ticks) = ledger.everything(&|_| 0).unwrap();
    assert_eq!((assets[&Asset::new("USD").unwrap()], ticks.0), (3_000 * i128::from(NANO), 0));
}
