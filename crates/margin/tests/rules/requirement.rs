//! The charges beside scenario losses and the cap on them, with numbers worked by hand.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;
use proptest::prelude::*;

const DAY: i64 = 86_400;
const CALL_150: &str = "BTC_USDC-27FEB26-150000-C";
const CALL_160: &str = "BTC_USDC-27FEB26-160000-C";
const CALL_LATE: &str = "BTC_USDC-26JUN26-150000-C";
const PUT: &str = "BTC_USDC-27FEB26-90000-P";
const PERP: &str = "BTC_USDC-PERPETUAL";

/// An instrument: its name, its mark, its delta, and its entries.
type Row<'a> = (&'a str, i64, i64, &'a [i64]);

/// Two underlyings at 100,000 ticks, one lot a whole one, and as many columns as the rows have entries.
fn arrays(rows: &[Row], blocks: &[(BlockKind, usize)]) -> RiskArrays {
    let width: usize = blocks.iter().map(|(_, n)| n).sum();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let instrument = |(name, mark, delta, _): &Row| {
        let instrument: Instrument = name.parse().unwrap();
        let eth = name.starts_with("ETH");
        InstrumentRow {
            seconds_to_expiry: instrument
                .expiry()
                .map(|_| if name.contains("JUN") { 176 * DAY } else { 57 * DAY }),
            instrument,
            underlying: UnderlyingIx(u32::from(eth)),
            lot: Decimal::ONE,
            mark: *mark,
            notional: 100_000,
            greeks: GreekTicks { delta: *delta, ..GreekTicks::default() },
            composite_delta: Ppb::ONE,
            funding_8h: 0,
            reference: 1,
            open_interest: None,
        }
    };
    let underlying = |name: &str| UnderlyingRow {
        asset: name.parse().unwrap(),
        index: 100_000,
        confidence: Ppb::ZERO,
        price_scan: Ppb(150_000_000),
    };
    let column = |i: usize| ScenarioColumn {
        label: format!("scenario {i}"),
        weight: Ppb::ONE,
        spot: vec![Ppb::ZERO; 2],
        pair: i,
    };
    let mut at = 0;
    let block = |(kind, n): &(BlockKind, usize)| {
        at += n;
        Block { kind: *kind, purpose: Purpose::Both, columns: at - n..at }
    };
    let arrays = RiskArrays {
        as_of: now,
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 1,
        underlyings: vec![underlying("BTC"), underlying("ETH")],
        instruments: rows.iter().map(instrument).collect(),
        blocks: blocks.iter().map(block).collect(),
        scenarios: (0..width).map(column).collect(),
        pnl: rows.iter().flat_map(|(_, _, _, entries)| entries.iter().copied()).collect(),
        assets: vec![],
    };
    arrays.check().unwrap();
    arrays
}

const GRID: &[(BlockKind, usize)] = &[(BlockKind::Grid, 2)];

/// Whole losses in initial margin, four fifths in maintenance margin, and one kind of charge.
fn with(addons: Addons) -> Params {
    Params { im_scale: Ppb::ONE, mm_scale: Ppb(800_000_000), addons, ..plain(Aggregation::Sum) }
}

fn everywhere<T>(terms: T) -> ByAsset<T> {
    ByAsset([(Scope::Any, terms)].into())
}

/// One per cent of notional, four fifths of it in maintenance margin.
fn minimum(count: ShortCount, style: ShortOptionStyle) -> Params {
    let terms = ShortOptionTerms { rate: Ppb(10_000_000), count, style, mm_share: Ppb(800_000_000) };
    with(Addons { short_option: everywhere(terms), ..Addons::default() })
}

fn run(lots: &[i64], arrays: &RiskArrays, params: &Params) -> MarginReport {
    evaluate(&portfolio_of(lots, &[], &[]), arrays, params).unwrap()
}

fn charge(report: &MarginReport, kind: AddonKind) -> Vec<(i128, i128)> {
    report.addons.iter().filter(|a| a.kind == kind).map(|a| (a.im.0, a.mm.0)).collect()
}

fn complete(r: &MarginReport) {
    let im: i128 = r.addons.iter().map(|a| a.im.0).sum();
    let mm: i128 = r.addons.iter().map(|a| a.mm.0).sum();
    assert_eq!(r.im.0, r.base.im.0 + r.guard.im.0 + im - r.premium_relief.im.0 + r.orders.extra.im.0);
    assert_eq!(r.mm.0, r.base.mm.0 + r.guard.mm.0 + mm - r.premium_relief.mm.0 + r.orders.extra.mm.0);
}

#[test]
fn a_small_short_beside_long_options_adds_what_it_is_charged_alone() {
    let calls: Row = (CALL_150, 40, 10_000, &[500, -40]);
    let future: Row = (PERP, 0, 100, &[100, -100]);
    let arrays = arrays(&[calls, future], GRID);
    let terms = LiquidityTerms {
        depth: 1_000_000_000,
        spread: Ppb(10_000_000),
        daily_volume: 1_000_000_000,
        impact: Ppb(0),
        participation: Ppb::ONE,
        horizon_days: 1,
        daily_vega: 1,
        vega_impact: Ppb(0),
        mm_share: Ppb(500_000_000),
    };
    let params = with(Addons { liquidity: everywhere(terms), ..Addons::default() });
    // 1,000 calls of 40: 40,000 is all that can be lost, and the spread on 10,000,000 of delta is 100,000.
    let long = run(&[1_000], &arrays, &params);
    assert_eq!((long.im, long.mm), (Ticks(40_000), Ticks(40_000)));
    assert_eq!((long.premium_relief.im, long.premium_relief.mm), (Ticks(100_000), Ticks(42_000)));
    // The short alone: 100 and a spread of 1; 80 and half of it, rounded up.
    let short = run(&[0, -1], &arrays, &params);
    assert_eq!((short.im, short.mm), (Ticks(101), Ticks(81)));
    // Together: 39,900 + 99,999 without the cap.
    let both = run(&[1_000, -1], &arrays, &params);
    assert_eq!((both.im, both.mm), (Ticks(40_101), Ticks(40_081)));
    assert_eq!(both.premium_relief.im, Ticks(139_899 - 40_101));
    complete(&both);
    // An order to sell the short comes to the same once every fill is tried.
    let orders = OrderTerms { method: OrderMethod::Exact { max_orders: 4 }, in_mm: true };
    let book = portfolio_of(&[1_000], &[], &[(1, -1, 0)]);
    let ordered = evaluate(&book, &arrays, &Params { orders, ..params.clone() }).unwrap();
    assert_eq!((ordered.im, ordered.mm), (both.im, both.mm));
    assert_eq!((ordered.orders.extra.im, ordered.orders.extra.mm), (Ticks(101), Ticks(81)));
    complete(&ordered);
    let text = explain(&both, &arrays, &params);
    for part in ["- more than longs may lose", "99798.00", "99999.00", "40101.00"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn a_charge_on_collateral_is_at_most_the_requirement_and_the_debt_it_secures() {
    let arrays = arrays_of(1, 2, 0, &[0; 50]);
    let params = plimsoll();
    // 1,000 USDC at 0.97: 2 x 2 % of 970 is 38.80. A loss of 10 not yet paid is owed like a loan; a profit is not.
    for (unrealised, im) in [(0, 0), (-10_000_000, 10_000_000), (-50_000_000, 38_800_000), (10_000_000, 0)] {
        let mut book = portfolio_of(&[1], &[("USDC", 1_000_000_000_000)], &[]);
        book.positions[0].lots = Lots(0);
        book.positions[0].unrealised = Ticks(unrealised);
        let r = evaluate(&book, &arrays, &params).unwrap();
        assert_eq!((r.im, r.mm), (Ticks(im), Ticks(im)), "{unrealised}");
    }
}

#[test]
fn spreads_of_either_sign_are_not_uncovered() {
    let rows = [(CALL_150, 0, 0, &[0, 0][..]), (CALL_160, 0, 0, &[0, 0]), (CALL_LATE, 0, 0, &[0, 0])];
    let arrays = arrays(&rows, GRID);
    let naked = minimum(ShortCount::Naked, ShortOptionStyle::Floor);
    for lots in [[10, -10, 0], [-10, 10, 0], [-10, 0, 10]] {
        assert_eq!(run(&lots, &arrays, &naked).addons, [], "{lots:?}");
        let all = run(&lots, &arrays, &minimum(ShortCount::Sum, ShortOptionStyle::Floor));
        assert_eq!(charge(&all, AddonKind::ShortOption), [(10_000, 8_000)]);
    }
    // A long that expires first covers nothing.
    assert_eq!(charge(&run(&[10, 0, -10], &arrays, &naked), AddonKind::ShortOption), [(10_000, 8_000)]);
    // Far: nothing lives as long as the 4. Near: 5 against 2 longs of another strike leave 3.
    let mixed = run(&[-5, 2, -4], &arrays, &naked);
    assert_eq!(charge(&mixed, AddonKind::ShortOption), [(7_000, 5_600)]);
    complete(&mixed);
}

#[test]
fn short_call_covered_by_spot_needs_no_naked_addon() {
    let rows =
        [(CALL_150, 0, 0, &[0, 0][..]), (PUT, 0, 0, &[0, 0]), (PERP, 0, 0, &[0, 0]), ("BTC", 0, 0, &[0, 0])];
    let arrays = arrays(&rows, GRID);
    let naked = minimum(ShortCount::Naked, ShortOptionStyle::Add);
    let im = |lots: &[i64]| run(lots, &arrays, &naked).im.0;
    assert_eq!(im(&[-10, 0, 0, 10]), 0);
    assert_eq!(im(&[-12, 0, 0, 10]), 2_000);
    // What is net long in both counts: 10 spot less 4 short perpetuals cover six calls and no put.
    assert_eq!(im(&[-10, -3, -4, 10]), 4_000 + 3_000);
    // Short perpetuals cover puts.
    assert_eq!(im(&[-1, -3, -3, 0]), 1_000);
    // A long of the other kind covers nothing.
    assert_eq!(im(&[-10, 10, 0, 0]), 10_000);
}

#[test]
fn the_last_day_is_charged_on_uncovered_shorts_alone() {
    let rows = [(CALL_150, 0, 0, &[0, 0][..]), (CALL_160, 0, 0, &[0, 0])];
    let mut arrays = arrays(&rows, GRID);
    for row in &mut arrays.instruments {
        row.seconds_to_expiry = Some(DAY / 4);
    }
    let terms = ExpiryTerms { window_seconds: DAY, rate: Ppb(10_000_000), mm_share: Ppb(800_000_000) };
    let params = with(Addons { expiry: everywhere(terms), ..Addons::default() });
    // A quarter of the day is left: three quarters of 1 % of 10 x 100,000, and of 6 x 100,000.
    assert_eq!(charge(&run(&[-10, 0], &arrays, &params), AddonKind::Expiry), [(7_500, 6_000)]);
    assert_eq!(charge(&run(&[-10, 4], &arrays, &params), AddonKind::Expiry), [(4_500, 3_600)]);
    assert_eq!(run(&[-10, 10], &arrays, &params).addons, []);
}

#[test]
fn span_refuses_a_count_that_it_does_not_know() {
    let arrays = arrays(&[(CALL_150, 0, 0, &[0, 0])], GRID);
    let mut params = load("span-margin.toml");
    if let Aggregation::Span(span) = &mut params.aggregation {
        span.commodities.0.values_mut().for_each(|terms| terms.short_option_count = ShortCount::Naked);
    }
    let error = evaluate(&portfolio_of(&[-1], &[], &[]), &arrays, &params).unwrap_err();
    assert!(error.to_string().contains("naked, expected sum or larger"), "{error}");
}

#[test]
fn a_floor_is_compared_with_what_the_mode_charges() {
    // Short a call that may lose 900, long a future that hedges it: 250 together, 900 + 650 one by one.
    let arrays = arrays(&[(CALL_150, 0, 0, &[900, 0]), (PERP, 0, 0, &[900, -250])], GRID);
    let portfolio = minimum(ShortCount::Sum, ShortOptionStyle::Floor);
    let netted = run(&[-1, 1], &arrays, &portfolio);
    assert_eq!((netted.base.im, netted.base.mm), (Ticks(250), Ticks(200)));
    assert_eq!(charge(&netted, AddonKind::ShortOption), [(750, 600)]);
    assert_eq!((netted.im, netted.mm), (Ticks(1_000), Ticks(800)));
    let cross = run(&[-1, 1], &arrays, &Params { mode: Mode::Cross, ..portfolio });
    assert_eq!((cross.im, cross.mm), (Ticks(1_150), Ticks(920)));
    assert_eq!(cross.addons, []);
}

#[test]
fn without_a_grid_a_floor_is_compared_with_the_joint_statistic() {
    let arrays = arrays(&[(CALL_150, 0, 0, &[300, 100])], &[(BlockKind::Joint, 2)]);
    let worst = JointTerms { statistic: Statistic::Worst, level: Ppb(0), stress_weight: Ppb(0) };
    let floor = minimum(ShortCount::Sum, ShortOptionStyle::Floor);
    let r = run(&[-1], &arrays, &Params { joint: Some(worst), ..floor });
    assert_eq!(charge(&r, AddonKind::ShortOption), [(700, 560)]);
    assert_eq!((r.im, r.mm), (Ticks(1_000), Ticks(800)));
}

#[test]
fn a_credit_between_underlyings_does_not_undo_the_minimums() {
    // Each loses 600 alone. Together 100 of the common factor and 300 each beside it: 700.
    let blocks = [
        (BlockKind::Grid, 2),
        (BlockKind::Systematic(CorrelationState::Estimated), 2),
        (BlockKind::Idiosyncratic(CorrelationState::Estimated), 2),
    ];
    let rows = [
        (CALL_150, 0, 0, &[600, 0, 600, -500, 300, 0][..]),
        ("ETH_USDC-27FEB26-5000-C", 0, 0, &[600, 0, -500, 600, 300, 0]),
    ];
    let mut arrays = arrays(&rows, &blocks);
    (arrays.instruments[0].notional, arrays.instruments[1].notional) = (50_000, 70_000);
    let aggregation = Aggregation::Factor { floor_share: Ppb(350_000_000) };
    let params = Params { aggregation, ..minimum(ShortCount::Sum, ShortOptionStyle::Floor) };
    let r = run(&[-1, -1], &arrays, &params);
    assert_eq!((r.base.im, r.base.mm), (Ticks(700), Ticks(560)));
    // Minimums 500 and 700 against 600 each: 100. 1,200 - 700 - 100 = 400 more, 5 to 7: 166 and 234.
    // Maintenance: 400 and 560 against 480 each: 80. 960 - 560 - 80 = 320 more, 5 to 7: 133 and 187.
    assert_eq!(charge(&r, AddonKind::ShortOption), [(166, 133), (334, 267)]);
    assert_eq!((r.im, r.mm), (Ticks(1_200), Ticks(960)));
    complete(&r);
}

#[test]
fn cross_margin_nets_nothing_and_pays_nothing_for_netting() {
    let rows = [
        ("BTC_USDC-27FEB26", 0, 100_000, &[15_000, -15_000][..]),
        ("BTC_USDC-26JUN26", 0, 100_000, &[15_000, -15_000]),
    ];
    let mut arrays = arrays(&rows, GRID);
    arrays.instruments.iter_mut().for_each(|row| row.greeks.vega = 1_000);
    let buckets = vec![
        VegaBucket { up_to_days: 90, shock: Ppb(100_000_000) },
        VegaBucket { up_to_days: 365, shock: Ppb(50_000_000) },
    ];
    let params = with(Addons {
        basis: everywhere(BasisTerms { rate: Ppb(5_000_000), rate_per_year: Ppb(0), mm_share: Ppb::ONE }),
        vega: everywhere(VegaTerms { buckets, credit: Ppb(500_000_000), mm_share: Ppb::ONE }),
        ..Addons::default()
    });
    let netted = run(&[1, -1], &arrays, &params);
    // 0.5 % of 100,000. At 176 days 86 / 275 of the vega is in the later bucket and nets nothing with that at 57 days:
    // 312.7 in each, half of the smaller of 31.3 and 15.6, each rounded up.
    assert_eq!(charge(&netted, AddonKind::Basis), [(500, 500)]);
    assert_eq!(charge(&netted, AddonKind::Vega), [(8, 8)]);
    assert_eq!(netted.im, Ticks(508));
    let cross = run(&[1, -1], &arrays, &Params { mode: Mode::Cross, ..params });
    assert_eq!((cross.im, cross.addons.len()), (Ticks(30_000), 0));
}

#[test]
fn collateral_of_an_uncertain_price_is_charged_its_confidence() {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    arrays.assets[2].confidence = Ppb(12_000_000);
    // 1,000 BTC at 100 USD, 1.2 % uncertain where 0.2 % is free: 1 % of 100,000 USD, none of it in maintenance margin.
    let run = |owed: i128| {
        let held = [("BTC", 1_000_000_000_000), ("USD", -owed * 1_000_000_000)];
        evaluate(&portfolio_of(&[], &held, &[]), &arrays, &plimsoll()).unwrap()
    };
    let r = run(5_000);
    assert_eq!(charge(&r, AddonKind::Confidence), [(1_000_000_000, 0)]);
    assert_eq!(r.addons[0].asset, "BTC".parse().unwrap());
    assert_eq!((r.im, r.mm), (Ticks(1_000_000_000), Ticks(0)));
    // What is owed bounds it.
    assert_eq!(run(300).im, Ticks(300_000_000));
    assert_eq!(run(0).im, Ticks(0));
}

#[test]
fn a_stable_coin_is_held_at_no_more_than_par_and_owed_at_its_price() {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    arrays.assets[1].price = 1_020_000;
    let equity = |amount: i128| {
        let held = portfolio_of(&[], &[("USDC", amount * 1_000_000_000)], &[]);
        evaluate(&held, &arrays, &plimsoll()).unwrap().equity.0
    };
    // 1,000 at par less 0.5 %; 1,000 owed at 1.02 and a tick, and 0.5 %.
    assert_eq!(equity(1_000), 995_000_000);
    assert_eq!(equity(-1_000), -1_020_001_000 - 5_100_005);
}

#[test]
fn vega_moves_from_bucket_to_bucket_without_a_jump() {
    let rows = [(CALL_150, 0, 0, &[0, 0][..]), (CALL_LATE, 0, 0, &[0, 0])];
    let bucket = |up_to_days, shock: i64| VegaBucket { up_to_days, shock: Ppb(shock * 10_000_000) };
    let buckets = vec![bucket(7, 12), bucket(30, 7), bucket(90, 5)];
    let terms = VegaTerms { buckets, credit: Ppb(0), mm_share: Ppb::ONE };
    let params = with(Addons { vega: everywhere(terms), ..Addons::default() });
    // A million of vega short at `near`, ten million long at 400 days: what the short one moves is charged.
    let at = |near: i64| {
        let mut arrays = arrays(&rows, GRID);
        for (row, (vega, seconds)) in
            arrays.instruments.iter_mut().zip([(1_000_000, near), (10_000_000, 400 * DAY)])
        {
            (row.greeks.vega, row.seconds_to_expiry) = (vega, Some(seconds));
        }
        charge(&run(&[-1, 1], &arrays, &params), AddonKind::Vega).first().map_or(0, |charge| charge.0)
    };
    // 12 % up to a week, 7 % at thirty days, half of each in between.
    assert_eq!((at(0), at(DAY), at(7 * DAY), at(30 * DAY)), (120_000, 120_000, 120_000, 70_000));
    assert_eq!(at((7 * DAY + 30 * DAY) / 2), 95_000);
    // Half-way to the last edge half of it is in the bucket that is long, and the rest is short at 7 %.
    assert_eq!((at(60 * DAY), at(90 * DAY), at(200 * DAY)), (35_000, 0, 0));
    for edge in [7, 30, 90] {
        for second in -1..=1 {
            let moved = at(edge * DAY + second) - at(edge * DAY + second + 1);
            assert!((-1..=1).contains(&moved), "{edge} days and {second} s: {moved}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_book_is_never_charged_more_than_without_its_longs_plus_their_marks(a in market(), lots in lots(),
        btc in -2_000_000_000_i128..5_000_000_000) {
        let lots = cut(&a, &lots);
        let limited = |i: usize| matches!(a.instruments[i].instrument.contract(), Contract::Option { .. } | Contract::Spot);
        let (mut rest, mut value) = (lots.clone(), 0);
        for (i, l) in rest.iter_mut().enumerate().filter(|(i, l)| limited(*i) && **l > 0) {
            value += i128::from(*l) * i128::from(a.instruments[i].mark);
            *l = 0;
        }
        let joint = JointTerms {
            statistic: Statistic::ExpectedShortfall, level: Ppb(900_000_000), stress_weight: Ppb(250_000_000),
        };
        let fixed = Some(FixedRatio { im_ratio: Ppb(1_500_000_000), mm_ratio: Ppb(1_000_000_000) });
        let held = [("BTC", btc), ("USDC", 40_000_000_000)];
        for mode in [Mode::Portfolio, Mode::Cross, Mode::Fixed] {
            for im_scale in [Ppb::ONE, Ppb(1_500_000_000)] {
                let params = Params { mode, fixed, im_scale, joint: Some(joint), ..plimsoll() };
                let bare = Params { addons: Addons::default(), rounding_guard: false, joint: None,
                    aggregation: Aggregation::Sum, ..params.clone() };
                let mut grid = a.clone();
                grid.blocks.retain(|b| b.kind == BlockKind::Grid);
                for (a, params) in [(&a, &params), (&grid, &bare)] {
                    let all = evaluate(&portfolio_of(&lots, &held, &[]), a, params).unwrap();
                    let without = evaluate(&portfolio_of(&rest, &held, &[]), a, params).unwrap();
                    prop_assert!(all.im.0 <= without.im.0 + value, "{mode:?} {} {} {value}", all.im.0, without.im.0);
                    prop_assert!(all.mm.0 <= without.mm.0 + value);
                    prop_assert!(all.mm <= all.im);
                    complete(&all);
                }
            }
        }
    }
}
