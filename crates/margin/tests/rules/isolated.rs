//! Isolated margin: where the free collateral goes, and that dividing things does not make them cheaper.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

fn isolated() -> Params {
    let shortfall = Statistic::ExpectedShortfall;
    let joint = JointTerms { statistic: shortfall, level: Ppb(900_000_000), stress_weight: Ppb(0) };
    Params { mode: Mode::Isolated, joint: Some(joint), ..plimsoll() }
}

/// Sets an amount of an asset aside for an instrument.
fn earmark(book: &mut Portfolio, asset: &str, amount_nano: i128, instrument: u32) {
    let earmark = Some(InstrumentIx(instrument));
    book.collateral.push(Holding { asset: asset.parse().unwrap(), amount_nano, earmark });
}

/// What the positions lack of maintenance margin on their own collateral.
fn lacks(r: &MarginReport) -> i128 {
    r.isolated.iter().map(|p| (-p.mm_excess.0).max(0)).sum()
}

/// Nano amounts of USD per tick of a millionth.
const TICK: i128 = 1_000;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_account_is_liquidatable_only_when_the_free_collateral_is_less_than_what_is_lacking(a in market(),
        lots in lots(), share in 0_i128..200, aside in 0_i128..5_000_000_000, unrealised in -3_000_000_i128..3_000_000) {
        let lots = cut(&a, &lots);
        let mut book = portfolio_of(&lots, &[], &[]);
        earmark(&mut book, "USD", aside, 1);
        for (i, position) in book.positions.iter_mut().enumerate() {
            position.unrealised = Ticks(if i % 2 == 0 { unrealised } else { -unrealised });
        }
        let alone = evaluate(&book, &a, &isolated()).unwrap();
        let lacking = lacks(&alone);
        for free in [lacking * share / 100, lacking, (lacking - 1).max(0)] {
            let mut funded = book.clone();
            funded.collateral.push(Holding { asset: "USD".parse().unwrap(), amount_nano: free * TICK, earmark: None });
            let r = evaluate(&funded, &a, &isolated()).unwrap();
            prop_assert_eq!(r.state == State::Liquidatable, free < lacking, "{} of {}", free, lacking);
            prop_assert_eq!(r.equity.0 - alone.equity.0, free);
            prop_assert_eq!((r.im, r.mm), (alone.im, alone.mm));
            let excess: i128 = r.isolated.iter().map(|p| p.mm_excess.0).sum();
            prop_assert_eq!(excess, r.equity.0 - r.mm.0);
        }
    }

    #[test]
    fn with_free_collateral_only_an_account_that_holds_its_maintenance_margin_is_not_liquidatable(a in market(),
        lots in lots(), more in -3_i128..3) {
        // Futures have no mark, so that all equity is free collateral.
        let mut lots = cut(&a, &lots);
        lots.iter_mut().enumerate().filter(|(i, _)| i % 5 > 1).for_each(|(_, l)| *l = 0);
        let needs = evaluate(&portfolio_of(&lots, &[], &[]), &a, &isolated()).unwrap().mm.0;
        let held = [("USD", (needs + more) * TICK)];
        let r = evaluate(&portfolio_of(&lots, &held, &[]), &a, &isolated()).unwrap();
        prop_assert_eq!(r.state == State::Liquidatable, r.equity < r.mm);
    }

    #[test]
    fn an_order_never_makes_a_position_liquidatable(a in market(), lots in lots(), usd in -2_000_000_i128..4_000_000,
        btc in 0_i128..5_000_000, orders in prop::collection::vec((0_u32..5, -5_000_i64..5_000, -50_000_i64..50_000), 1..5)) {
        let lots = cut(&a, &lots);
        let held = [("USD", usd * TICK), ("BTC", btc)];
        let mut params = isolated();
        params.orders = OrderTerms { method: OrderMethod::Bound, in_mm: false };
        let bare = evaluate(&portfolio_of(&lots, &held, &[]), &a, &params).unwrap();
        let open = evaluate(&portfolio_of(&lots, &held, &orders), &a, &params).unwrap();
        prop_assert_eq!(open.mm, bare.mm);
        prop_assert!(bare.state == State::Liquidatable || open.state != State::Liquidatable);
    }

    #[test]
    fn setting_collateral_aside_does_not_escape_its_haircut(a in market(), lots in lots(),
        btc in prop::collection::vec(0_i128..1_000_000_000_000_000, 1..6)) {
        let lots = cut(&a, &lots);
        let pooled = evaluate(&portfolio_of(&lots, &[("BTC", btc.iter().sum())], &[]), &a, &isolated()).unwrap();
        let mut apart = portfolio_of(&lots, &[], &[]);
        for (i, amount) in btc.iter().enumerate() {
            earmark(&mut apart, "BTC", *amount, u32::try_from(i % 5).unwrap());
        }
        let apart = evaluate(&apart, &a, &isolated()).unwrap();
        let counted = |r: &MarginReport| r.collateral.iter().map(|c| c.counted.0).sum::<i128>();
        prop_assert!(counted(&apart) <= counted(&pooled));
        // Each part loses less than a tick to rounding of its value and another of its haircut.
        prop_assert!(counted(&apart) + 2 * btc.len() as i128 >= counted(&pooled));
    }
}

#[test]
fn a_position_divided_over_expiries_costs_as_much_to_close_as_in_one() {
    // Two futures alike: 40 million USD of delta each way of dividing, eight times the depth of the thinnest book.
    let mut a = arrays_of(1, 2, 2, &[0; 50]);
    for row in [0, 1] {
        a.instruments[row].greeks = GreekTicks { delta: 100_000, vega: 7_000, ..GreekTicks::default() };
    }
    let closing = |r: &MarginReport| -> (i128, i128) {
        let own =
            r.addons.iter().filter(|c| matches!(c.kind, AddonKind::Liquidity | AddonKind::VegaLiquidity));
        own.fold((0, 0), |(im, mm), c| (im + c.im.0, mm + c.mm.0))
    };
    let run = |lots: &[i64]| evaluate(&portfolio_of(lots, &[], &[]), &a, &isolated()).unwrap();
    let whole = closing(&run(&[8_000_000_000, 0]));
    assert!(whole.0 > 0 && whole.1 > 0);
    for part in [1, 2_345_678, 4_000_000_000] {
        let split = closing(&run(&[8_000_000_000 - part, part]));
        // Two charges in two parts, each rounded up.
        assert!((whole.0..=whole.0 + 4).contains(&split.0), "{whole:?} {split:?}");
        assert!((whole.1..=whole.1 + 4).contains(&split.1), "{whole:?} {split:?}");
    }
    // Each of six parts alone would cost much less: that was the way round the charge.
    let alone = closing(&run(&[4_000_000_000, 0]));
    assert!(2 * alone.0 < whole.0);
    // Opposite sides are closed one by one: they neither add up nor net.
    let opposite = closing(&run(&[4_000_000_000, -4_000_000_000]));
    assert_eq!(opposite, (2 * alone.0, 2 * alone.1));
    // Under portfolio margin the whole is charged alike.
    let portfolio = Params { mode: Mode::Portfolio, ..isolated() };
    let r = evaluate(&portfolio_of(&[8_000_000_000], &[], &[]), &a, &portfolio).unwrap();
    assert_eq!(closing(&r), whole);
}

#[test]
fn haircut_tiers_look_at_all_the_account_holds() {
    let a = arrays_of(1, 2, 2, &[0; 50]);
    let mut params = isolated();
    let terms = params.collateral.get_mut(&"BTC".parse().unwrap()).unwrap();
    terms.haircut = Ppb(100_000_000);
    terms.tiers = vec![HaircutTier { above: 1_000, haircut: Ppb(200_000_000) }];
    // 40 BTC at 100 USD: 10 % of 1,000 and 20 % of 3,000 is 700. Ten in each of four places keep 825 each.
    let mut book = portfolio_of(&[], &[("BTC", 10_000_000_000)], &[]);
    for instrument in 0..3 {
        earmark(&mut book, "BTC", 10_000_000_000, instrument);
    }
    let r = evaluate(&book, &a, &params).unwrap();
    assert_eq!(r.collateral.iter().map(|c| c.haircut.0).collect::<Vec<_>>(), [175_000_000; 4]);
    assert_eq!(r.equity, Ticks(3_300_000_000));
    // A loan of BTC against one position does not lower the haircut of what the others hold, and is owed with its own
    // of 10 %: 1,000.00001 and 100.000001.
    earmark(&mut book, "BTC", -10_000_000_000, 3);
    let owing = evaluate(&book, &a, &params).unwrap();
    assert_eq!(owing.equity, Ticks(3_300_000_000 - 1_000_000_010 - 100_000_001));
}
