//! Worked examples with numbers computed by hand, the house rules, and the errors.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;

/// SPAN's sixteen scenarios for futures only: `move x price scan x weight`, in ticks per lot (one contract).
const SIXTEENTHS: [i64; 16] = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3, 6, -6];

fn futures(names: &[(&str, &str, i64)], index: &[(&str, i64, i64)]) -> RiskArrays {
    let row = |(name, index, scan): &(&str, i64, i64)| UnderlyingRow {
        asset: name.parse().unwrap(),
        index: *index,
        confidence: Ppb::ZERO,
        price_scan: Ppb(scan * 1_000_000_000 / index),
    };
    let mut pnl = Vec::new();
    let mut instruments = Vec::new();
    for (asset, expiry, seconds) in names {
        let u = index.iter().position(|(name, _, _)| name == asset).unwrap();
        let scan = index[u].2;
        let extreme = |i: usize| if i < 14 { 100 } else { 35 };
        pnl.extend((0..16).map(|i| SIXTEENTHS[i] * scan * extreme(i) / 300));
        instruments.push(InstrumentRow {
            instrument: format!("{asset}_USDC-{expiry}").parse().unwrap(),
            underlying: UnderlyingIx(u32::try_from(u).unwrap()),
            lot: Decimal::ONE,
            mark: 0,
            notional: index[u].1,
            greeks: GreekTicks { delta: index[u].1, ..GreekTicks::default() },
            composite_delta: Ppb::ONE,
            seconds_to_expiry: Some(*seconds),
            funding_8h: 0,
            reference: 1,
            open_interest: None,
        });
    }
    let column = |i: usize| ScenarioColumn {
        label: format!("scenario {}", i + 1),
        weight: if i < 14 { Ppb::ONE } else { Ppb(350_000_000) },
        spot: vec![Ppb::ZERO; index.len()],
        pair: if i < 14 { i ^ 1 } else { i },
    };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 1,
        underlyings: index.iter().map(row).collect(),
        instruments,
        scenarios: (0..16).map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..16 }],
        pnl,
        assets: vec![],
    }
}

fn span_params() -> Params {
    let mut params = load("span-margin.toml");
    if let Aggregation::Span(span) = &mut params.aggregation {
        span.im_ratio = Ppb::ONE;
        for terms in span.commodities.0.values_mut() {
            for spread in &mut terms.intra {
                spread.rate = 700;
            }
        }
    }
    params
}

#[test]
fn mcmillan_charges_one_future_its_price_scan_of_ten_thousand() {
    let mut arrays = futures(&[("BTC", "27FEB26", 4_924_800)], &[("BTC", 500_000, 10_000)]);
    // The published array, rounded to ten.
    arrays.pnl = vec![
        0, 0, 3330, 3330, -3330, -3330, 6670, 6670, -6670, -6670, 10000, 10000, -10000, -10000, 7000, -7000,
    ];
    let params = span_params();
    for lots in [1, -1] {
        let r = evaluate(&portfolio_of(&[lots], &[], &[]), &arrays, &params).unwrap();
        assert_eq!((r.im, r.mm), (Ticks(10_000), Ticks(10_000)));
        assert_eq!(r.span[0].active, if lots > 0 { 12 } else { 10 });
        assert_eq!(r.span[0].net_delta, i128::from(lots) * 1_000_000_000);
    }
    let flat = evaluate(&portfolio_of(&[], &[], &[]), &arrays, &params).unwrap();
    assert_eq!(flat.im, Ticks(0));
}

#[test]
fn opposite_months_net_in_the_scan_and_pay_the_inter_month_charge() {
    let months = [("BTC", "16JAN26", 15 * 86_400), ("BTC", "27FEB26", 57 * 86_400)];
    let arrays = futures(&months, &[("BTC", 500_000, 9_000)]);
    // Three against two: one outright at 9,000 and two spreads at 700.
    for lots in [[3, -2], [-3, 2]] {
        let r = evaluate(&portfolio_of(&lots, &[], &[]), &arrays, &span_params()).unwrap();
        assert_eq!((r.span[0].scan_loss, r.span[0].intra), (Ticks(9_000), Ticks(1_400)));
        assert_eq!(r.im, Ticks(10_400));
    }
}

#[test]
fn inter_commodity_credit_is_half_the_weighted_price_risk_of_the_deltas_spread() {
    let two = [("BTC", "16JAN26", 15 * 86_400), ("ETH", "16JAN26", 15 * 86_400)];
    let arrays = futures(&two, &[("BTC", 500_000, 9_000), ("ETH", 20_000, 600)]);
    // Long 2 BTC (scan 18,000, WFPR 9,000) against short 30 ETH (scan 18,000, WFPR 600), ratio 1 to 25:
    // n = min(2, 30/25) = 1.2 spreads; credits 9,000 x 1.2 / 2 = 5,400 and 600 x 30 / 2 = 9,000.
    let r = evaluate(&portfolio_of(&[2, -30], &[], &[]), &arrays, &span_params()).unwrap();
    assert_eq!((r.span[0].scan_loss, r.span[1].scan_loss), (Ticks(18_000), Ticks(18_000)));
    assert_eq!((r.span[0].inter_credit, r.span[1].inter_credit), (Ticks(5_400), Ticks(9_000)));
    assert_eq!(r.im, Ticks(36_000 - 14_400));
    // The same side earns nothing.
    let same = evaluate(&portfolio_of(&[2, 30], &[], &[]), &arrays, &span_params()).unwrap();
    assert_eq!(same.im, Ticks(36_000));
}

#[test]
fn a_hedge_across_underlyings_gets_no_more_credit_than_the_stressed_correlation_supports() {
    // Long one, short the other, scan 1,000 each. Loadings 0.8 estimated and 0.4 in breakdown: the systematic parts
    // cancel, and what is left is 2 x sqrt(1 - rho^2) x 1,000: 1,200 estimated, 1,833 in breakdown, 0 in a crash.
    let mut arrays = arrays_of(2, 2, 0, &[0; 50]);
    let width = arrays.scenarios.len();
    let own = [(0, 1_000), (1, 800), (2, 600), (3, 1_000), (4, 0), (5, 400), (6, 917)];
    for row in [0, 5] {
        for (block, size) in own {
            arrays.pnl[row * width + 2 * block] = size;
            arrays.pnl[row * width + 2 * block + 1] = -size;
        }
    }
    let params = plain(Aggregation::Factor { floor_share: Ppb(500_000_000) });
    let run = |lots: &[i64]| evaluate(&portfolio_of(lots, &[], &[]), &arrays, &params).unwrap();
    let hedged = run(&[1, 0, 0, 0, 0, -1]);
    assert_eq!(hedged.aggregate.im, Ticks(2 * 917));
    assert_eq!(
        hedged.im_detail.states[hedged.im_detail.worst_state.unwrap()].state,
        CorrelationState::Breakdown
    );
    assert_eq!(hedged.netting_benefit, Ticks(166));
    assert_eq!(run(&[1, 0, 0, 0, 0, 1]).aggregate.im, Ticks(2_000));
    assert_eq!(run(&[1]).aggregate.im, Ticks(1_000));
}

#[test]
fn the_largest_integers_give_a_typed_error_or_an_exact_answer() {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    arrays.pnl.fill(-(1 << 62));
    let params = plain(Aggregation::Sum);
    let one = evaluate(&portfolio_of(&[4], &[], &[]), &arrays, &params).unwrap();
    assert_eq!(one.aggregate.im, Ticks(4 << 62));
    let five = evaluate(&portfolio_of(&[1 << 62; 5], &[], &[]), &arrays, &params);
    assert!(matches!(five, Err(MarginError::Overflow { .. })), "{five:?}");
    let scaled = evaluate(&portfolio_of(&[1 << 62], &[], &[]), &arrays, &params);
    assert!(matches!(scaled, Err(MarginError::Overflow { .. })));
}

#[test]
fn what_is_not_known_is_an_error_that_names_it() {
    let arrays = arrays_of(1, 2, 0, &[7; 50]);
    let params = plimsoll();
    let run = |p: &Portfolio| evaluate(p, &arrays, &params).unwrap_err().to_string();
    assert!(run(&portfolio_of(&[0, 0, 0, 0, 0, 1], &[], &[])).contains("instrument number 5"));
    assert!(run(&portfolio_of(&[], &[("XRP", 1)], &[])).contains("[collateral.XRP]"));
    assert!(run(&portfolio_of(&[], &[("ETH", 1)], &[])).contains("no price for collateral ETH"));
    let mut fixed = params.clone();
    fixed.mode = Mode::Fixed;
    let error = evaluate(&portfolio_of(&[1], &[], &[]), &arrays, &fixed).unwrap_err();
    assert!(error.to_string().contains("[fixed]"));
}

#[test]
fn collateral_is_cut_by_marginal_haircuts_and_debt_grows_by_the_base_one() {
    let arrays = arrays_of(1, 2, 0, &[7; 50]);
    let params = plimsoll();
    // 200,000 BTC at 100 USD: 20 million. 10 % of the first 10 million, 15 % of the rest.
    let held = evaluate(&portfolio_of(&[], &[("BTC", 200_000_000_000_000)], &[]), &arrays, &params).unwrap();
    assert_eq!(held.equity, Ticks(17_500_000_000_000));
    let owed = evaluate(&portfolio_of(&[], &[("BTC", -1_000_000_001)], &[]), &arrays, &params).unwrap();
    // 1.000000001 BTC at 100.000001 USD, rounded up, and a tenth.
    assert_eq!(owed.equity, Ticks(-100_000_002 - 10_000_001));
    assert_eq!(owed.state, State::Liquidatable);
    // USDC at 0.97 against 0.99: 2 x 2 % of value; nothing where nothing is owed, and no
    // more than what is owed.
    let run = |owed: i128| {
        let held = [("USDC", 1_000_000_000_000), ("USD", -owed)];
        evaluate(&portfolio_of(&[], &held, &[]), &arrays, &params).unwrap()
    };
    assert_eq!((run(0).im, run(0).addons.len()), (Ticks(0), 0));
    let (little, much) = (run(1_000_000_000), run(1_000_000_000_000));
    assert_eq!((little.im, little.mm), (Ticks(1_000_000), Ticks(1_000_000)));
    assert_eq!((much.im, much.mm), (Ticks(38_800_000), Ticks(38_800_000)));
}

#[test]
fn an_isolated_account_is_as_healthy_as_its_weakest_position() {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    let width = arrays.scenarios.len();
    (arrays.pnl[0], arrays.pnl[width + 1]) = (-100, -300);
    let params = Params { mode: Mode::Isolated, im_scale: Ppb::ONE, ..plain(Aggregation::Sum) };
    let mut book = portfolio_of(&[1, 1], &[("USD", 200_000)], &[]);
    book.collateral.push(Holding { earmark: Some(InstrumentIx(0)), ..book.collateral[0].clone() });
    let r = evaluate(&book, &arrays, &params).unwrap();
    // 200 ticks of its own against 100; all 200 free ones against 300, for the first lacks nothing.
    assert_eq!(r.isolated.iter().map(|p| p.im_excess.0).collect::<Vec<_>>(), [100, -100]);
    assert_eq!((r.im, r.equity, r.im_excess), (Ticks(400), Ticks(400), Ticks(-100)));
}

#[test]
fn the_recommended_parameters_are_clean_and_every_rule_has_its_code() {
    for params in [plimsoll(), load("span-margin.toml")] {
        assert_eq!(lint(&params, &LintInput::default()), []);
    }
    let column = |spot: i64, vol, skew| LintColumn {
        label: format!("spot {spot}"),
        weight: Ppb::ONE,
        spot: vec![Ppb(spot)],
        vol,
        skew,
    };
    let mut bad = plimsoll();
    bad.im_scale = Ppb(700_000_000);
    bad.collateral.get_mut(&"USD".parse().unwrap()).unwrap().haircut = Ppb(1_100_000_000);
    for terms in bad.addons.short_option.0.values_mut() {
        terms.rate = Ppb(-1);
    }
    let mut heavy = column(100, VolMove::Up, true);
    heavy.weight = Ppb(2_000_000_000);
    let input = LintInput {
        underlyings: vec!["BTC".parse().unwrap()],
        price_scan: vec![Ppb(100)],
        columns: vec![
            column(0, VolMove::None, false),
            heavy,
            column(50, VolMove::Up, false),
            column(100, VolMove::Up, false),
        ],
        blocks: vec![LintBlock {
            kind: BlockKind::Grid,
            purpose: Purpose::Both,
            columns: 0..4,
            step: Some(Ppb(300_000_000)),
        }],
    };
    let found: std::collections::BTreeSet<LintCode> = lint(&bad, &input).iter().map(|f| f.code).collect();
    for code in [
        LintCode::ImBelowMm,
        LintCode::ChargeFalls,
        LintCode::MissingTail,
        LintCode::GridGap,
        LintCode::LongAbovePremium,
        LintCode::SkewMovesSpot,
        LintCode::OutsideUnit,
    ] {
        assert!(found.contains(&code), "{code:?}");
    }
}

#[test]
fn the_explanation_names_the_scenario_the_positions_and_the_state() {
    let entries: Vec<i64> = (0..200_i64).map(|i| (i * 7_919) % 20_001 - 10_000).collect();
    let arrays = arrays_of(2, 3, 0, &entries);
    let params = plimsoll();
    let book = portfolio_of(&[100, -50, -20, 0, 0, -70], &[("USD", 5_000_000_000)], &[(0, 10, -5)]);
    let r = evaluate(&book, &arrays, &params).unwrap();
    let text = explain(&r, &arrays, &params);
    for part in [
        "alice",
        "equity",
        "BTC scan loss",
        "scenario ",
        "BTC_USDC-27MAR26",
        "correlation",
        "+ open orders",
        "= requirement",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(text.contains(&decimal(r.im.0, 1_000_000)));
    println!("{text}");
    let again: MarginReport = serde_json::from_str(&serde_json::to_string(&r).unwrap()).unwrap();
    assert_eq!(again, r);
}

#[test]
fn parameters_read_back_as_written_and_refuse_unknown_keys() {
    for params in [plimsoll(), load("span-margin.toml")] {
        let text = toml::to_string(&params).unwrap();
        assert_eq!(toml::from_str::<Params>(&text).unwrap(), params);
        assert!(toml::from_str::<Params>(&format!("surprise = 1\n{text}")).is_err());
    }
}
