//! SPAN worked by hand: delivery, flat credit, the minimum for short options, net option value.

use crate::common::load;
use plimsoll_margin::*;
use plimsoll_types::*;

const DAY: i64 = 86_400;

/// SPAN's sixteen scenarios for one long future, by price scan: thirds of it, then twice it at a weight of 0.35.
fn future_row(scan: i64) -> Vec<i64> {
    let thirds = [0, 0, 1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3];
    let extremes = [scan * 2 * 35 / 100, -scan * 2 * 35 / 100];
    thirds.iter().map(|third| third * scan / 3).chain(extremes).collect()
}

/// An option that loses `down` per long contract when price falls by the whole scan, and gains `up` when it rises.
fn option_row(up: i64, down: i64) -> Vec<i64> {
    let mut row = vec![0; 16];
    (row[10], row[11], row[12], row[13]) = (up, up, -down, -down);
    row
}

struct Row {
    name: &'static str,
    days: i64,
    mark: i64,
    pnl: Vec<i64>,
}

fn future(name: &'static str, days: i64, scan: i64) -> Row {
    Row { name, days, mark: 0, pnl: future_row(scan) }
}

/// One contract is one coin and one lot: BTC at 500,000 ticks with a scan of 9,000, ETH at 20,000 with 600.
fn arrays(rows: &[Row]) -> RiskArrays {
    let underlying = |asset: &str, index: i64, scan: i64| UnderlyingRow {
        asset: asset.parse().unwrap(),
        index,
        confidence: Ppb::ZERO,
        price_scan: Ppb(scan * NANO / index),
    };
    let instrument = |row: &Row| {
        let eth = row.name.starts_with("ETH");
        let notional = if eth { 20_000 } else { 500_000 };
        InstrumentRow {
            instrument: row.name.parse().unwrap(),
            underlying: UnderlyingIx(u32::from(eth)),
            lot: Decimal::ONE,
            mark: row.mark,
            notional,
            greeks: GreekTicks { delta: notional, ..GreekTicks::default() },
            composite_delta: Ppb::ONE,
            seconds_to_expiry: Some(row.days * DAY),
            funding_8h: 0,
            reference: 1,
            open_interest: None,
        }
    };
    let column = |i: usize| ScenarioColumn {
        label: format!("scenario {}", i + 1),
        weight: if i < 14 { Ppb::ONE } else { Ppb(350_000_000) },
        spot: vec![Ppb::ZERO; 2],
        pair: if i < 14 { i ^ 1 } else { i },
    };
    RiskArrays {
        as_of: "2026-01-01T00:00:00Z".parse().unwrap(),
        currency: "USD".parse().unwrap(),
        ticks_per_unit: 1,
        underlyings: vec![underlying("BTC", 500_000, 9_000), underlying("ETH", 20_000, 600)],
        instruments: rows.iter().map(instrument).collect(),
        scenarios: (0..16).map(column).collect(),
        blocks: vec![Block { kind: BlockKind::Grid, purpose: Purpose::Both, columns: 0..16 }],
        pnl: rows.iter().flat_map(|row| row.pnl.clone()).collect(),
        assets: vec![],
    }
}

/// The fixture with a ratio of 1 and every inter-month spread at 700, changed.
fn params(change: impl Fn(&mut SpanParams)) -> Params {
    let mut params = load("span-margin.toml");
    let Aggregation::Span(span) = &mut params.aggregation else { panic!("not SPAN") };
    span.im_ratio = Ppb::ONE;
    for terms in span.commodities.0.values_mut() {
        terms.intra.iter_mut().for_each(|spread| spread.rate = 700);
        (terms.short_option_rate, terms.short_option_count) = (500, ShortCount::Sum);
    }
    change(span);
    params
}

fn run(rows: &[Row], lots: &[i64], params: &Params) -> MarginReport {
    evaluate(&crate::common::portfolio_of(lots, &[], &[]), &arrays(rows), params).unwrap()
}

#[test]
fn a_month_in_delivery_pays_one_rate_on_what_spreads_consumed_and_another_on_the_rest() {
    let rows = [future("BTC_USDC-6JAN26", 5, 9_000), future("BTC_USDC-27FEB26", 57, 9_000)];
    let within = |within_days| {
        params(move |span| {
            let spot = SpotCharge { within_days, rate_consumed: 100, rate_outright: 250 };
            span.commodities.0.values_mut().for_each(|terms| terms.spot = Some(spot));
        })
    };
    // Three against two: an outright at 9,000, two spreads at 700; in the near month 2 consumed at 100 and 1 left at 250.
    for lots in [[3, -2], [-3, 2]] {
        let r = run(&rows, &lots, &within(6));
        assert_eq!(
            (r.span[0].scan_loss, r.span[0].intra, r.span[0].spot),
            (Ticks(9_000), Ticks(1_400), Ticks(450))
        );
        assert_eq!((r.im, r.mm), (Ticks(10_850), Ticks(10_850)));
    }
    // A month that expires in exactly five days is not within five; with both in delivery the far one pays for 2 too.
    assert_eq!(run(&rows, &[3, -2], &within(5)).im, Ticks(10_400));
    assert_eq!(run(&rows, &[3, -2], &within(58)).span[0].spot, Ticks(450 + 200));
    assert_eq!(run(&rows, &[3, 0], &within(6)).span[0].spot, Ticks(3 * 250));
}

#[test]
fn a_flat_inter_commodity_credit_is_the_number_of_spreads_times_the_credit() {
    let rows = [future("BTC_USDC-16JAN26", 15, 9_000), future("ETH_USDC-16JAN26", 15, 600)];
    let flat = params(|span| span.inter[0].method = InterMethod::Flat { credit: 1_000 });
    // n = min(2, 30 / 25) = 1.2 spreads of 1,000 to each of two commodities of 18,000.
    let r = run(&rows, &[2, -30], &flat);
    assert_eq!((r.span[0].inter_credit, r.span[1].inter_credit), (Ticks(1_200), Ticks(1_200)));
    assert_eq!((r.im, r.im_detail.inter_credit), (Ticks(36_000 - 2_400), Ticks(2_400)));
    // Both orientations, and nothing for the same side.
    assert_eq!(run(&rows, &[-2, 30], &flat).im, Ticks(33_600));
    assert_eq!(run(&rows, &[2, 30], &flat).im, Ticks(36_000));
}

#[test]
fn the_minimum_for_short_options_counts_all_of_them_or_the_larger_kind() {
    // Far out of the money: a tick of mark, and 300 against a short call when price rises.
    let option = |name, up| Row { name, days: 57, mark: 1, pnl: option_row(up, 0) };
    let rows = [option("BTC_USDC-27FEB26-900000-C", 300), option("BTC_USDC-27FEB26-100000-P", 0)];
    let count = |count| {
        params(move |span| span.commodities.0.values_mut().for_each(|terms| terms.short_option_count = count))
    };
    // Three calls lose 900 at most; eight options at 500 are 4,000, the five puts alone 2,500.
    let sum = run(&rows, &[-3, -5], &count(ShortCount::Sum));
    assert_eq!((sum.span[0].scan_loss, sum.span[0].short_option_minimum), (Ticks(900), Ticks(4_000)));
    assert_eq!((sum.span[0].risk, sum.im), (Ticks(4_000), Ticks(4_000)));
    let larger = run(&rows, &[-3, -5], &count(ShortCount::Larger));
    assert_eq!((larger.span[0].short_option_minimum, larger.im), (Ticks(2_500), Ticks(2_500)));
    assert_eq!(run(&rows, &[-7, -5], &count(ShortCount::Larger)).im, Ticks(3_500));
    // Short option value is owed beside: 8 ticks. Longs do not count, and do not lower the minimum.
    assert_eq!((sum.span[0].option_value, sum.span[0].requirement), (Ticks(-8), Ticks(4_008)));
    assert_eq!(run(&rows, &[-3, 5], &count(ShortCount::Sum)).span[0].short_option_minimum, Ticks(1_500));
    // Above the minimum it does not add: three calls that lose 2,000 each.
    let near = [Row { pnl: option_row(2_000, 0), ..option("BTC_USDC-27FEB26-550000-C", 0) }];
    assert_eq!(run(&near, &[-3], &count(ShortCount::Sum)).im, Ticks(6_000));
    let refused =
        evaluate(&crate::common::portfolio_of(&[-3], &[], &[]), &arrays(&near), &count(ShortCount::Naked));
    assert!(matches!(refused, Err(MarginError::Parameter { .. })), "{refused:?}");
}

#[test]
fn net_option_value_beyond_the_risk_of_its_commodity_counts_only_where_it_is_not_capped() {
    let call =
        Row { name: "BTC_USDC-27FEB26-500000-C", days: 57, mark: 4_000, pnl: option_row(2_500, 1_500) };
    let rows = [call, future("ETH_USDC-27FEB26", 57, 600)];
    let capped = |cap| {
        params(move |span| {
            span.cap_option_value = cap;
            span.inter.clear();
        })
    };
    // Two calls: worth 8,000, risk 3,000. One short ETH future: risk 600.
    let with = run(&rows, &[2, -1], &capped(true));
    let without = run(&rows, &[2, -1], &capped(false));
    for r in [&with, &without] {
        assert_eq!((r.span[0].risk, r.span[0].option_value), (Ticks(3_000), Ticks(8_000)));
        assert_eq!((r.span[0].requirement, r.span[1].requirement), (Ticks(0), Ticks(600)));
        assert_eq!(r.equity, Ticks(8_000));
    }
    // Capped, 3,000 of value meets the calls' own risk and the future lacks its 600. Uncapped, 4,400 is left over.
    assert_eq!((with.span[0].available_option_value, with.im_excess), (Ticks(3_000), Ticks(-600)));
    assert_eq!((without.span[0].available_option_value, without.im_excess), (Ticks(8_000), Ticks(4_400)));
    // Value of at most the risk is available in full either way: a short call more than halves it.
    let short = Row { name: "BTC_USDC-27FEB26-510000-C", days: 57, mark: 6_000, pnl: option_row(1_000, 0) };
    let rows = [
        Row { name: "BTC_USDC-27FEB26-500000-C", days: 57, mark: 4_000, pnl: option_row(2_500, 1_500) },
        short,
    ];
    for cap in [true, false] {
        // 8,000 - 6,000 = 2,000 of value; the calls lose 3,000 when price falls.
        let r = run(&rows, &[2, -1], &capped(cap));
        assert_eq!((r.span[0].risk, r.span[0].available_option_value), (Ticks(3_000), Ticks(2_000)));
        assert_eq!(r.span[0].requirement, Ticks(1_000));
    }
}

/// A book on explicit numbers: losses over two scenarios that are each other's pair, and deltas by month.
fn book(losses: &[[i128; 2]], deltas: &[i128]) -> SpanBook<'static> {
    let month = |(at, delta): (usize, &i128)| SpanMonth {
        period: format!("20260{}", at + 1),
        tiers: vec![at],
        credit_tiers: vec![at],
        delta: delta * i128::from(NANO),
        spot: None,
    };
    SpanBook {
        losses: losses.iter().map(|pair| pair.to_vec()).collect(),
        months: deltas.iter().enumerate().map(month).collect(),
        credit_tiers: vec![],
        intra: &[],
        basis: None,
        shorts: vec![],
        short_count: ShortCount::Sum,
        option_value: 0,
        capped: false,
        price_scan: Some(50),
    }
}

/// Scenarios: unchanged with volatility up and down, price against us up and down.
fn four() -> SpanTable {
    SpanTable { pairs: vec![1, 0, 3, 2], scanned: vec![0, 1, 2, 3] }
}

/// Losses of 120 and 80 in the pair of the active scenario; 10 and -10 in the first.
fn exposed(delta: i128) -> SpanBook<'static> {
    SpanBook { losses: vec![vec![10, -10, 120, 80]], ..book(&[], &[delta]) }
}

fn evaluated(books: &[SpanBook], credits: &[SpanCredit]) -> Vec<SpanFigures> {
    span_commodities(&"alice".parse().unwrap(), &four(), books, credits).unwrap()
}

fn spread_of(legs: &[(usize, Option<usize>, Side, i128, SpanCreditMethod)]) -> SpanCredit {
    let leg = |(book, tier, side, ratio, method): &(usize, Option<usize>, Side, i128, SpanCreditMethod)| {
        SpanCreditLeg {
            book: *book,
            tier: *tier,
            side: *side,
            ratio: ratio * i128::from(NANO),
            method: *method,
        }
    };
    SpanCredit { before_intra: false, legs: legs.iter().map(leg).collect() }
}

const HALF: i128 = NANO as i128 / 2;

#[test]
fn the_weighted_price_risk_is_by_delta_the_smaller_or_the_price_scan() {
    // (120 + 80 - 10 + 10) / 2 = 100 over 4 deltas: 25 each; the price scan is 50, and 20 where it caps.
    let credit_by = |method: fn(i128) -> SpanCreditMethod, scan: i128| {
        let books = [SpanBook { price_scan: Some(scan), ..exposed(4) }, exposed(-4)];
        let legs = [(0, None, Side::A, 1, method(HALF)), (1, None, Side::B, 2, SpanCreditMethod::Flat(7))];
        let figures = evaluated(&books, &[spread_of(&legs)]);
        assert_eq!((figures[0].scan_loss, figures[0].active, figures[0].price_risk_twice), (120, 2, 200));
        assert_eq!(figures[1].inter_credit, 2 * 7, "n = min(4 / 1, 4 / 2) = 2");
        figures[0].inter_credit
    };
    assert_eq!(credit_by(SpanCreditMethod::PriceRisk, 50), 25);
    assert_eq!(credit_by(SpanCreditMethod::Capped, 50), 25);
    assert_eq!(credit_by(SpanCreditMethod::Capped, 20), 20);
    assert_eq!(credit_by(SpanCreditMethod::Scan, 50), 50);
}

#[test]
fn no_credit_without_price_risk_net_delta_or_opposite_sides() {
    let by_risk = SpanCreditMethod::PriceRisk(HALF);
    let spread = spread_of(&[(0, None, Side::A, 1, by_risk), (1, None, Side::B, 1, by_risk)]);
    let credits = |first: SpanBook<'static>, second: SpanBook<'static>| {
        let figures = evaluated(&[first, second], std::slice::from_ref(&spread));
        (figures[0].inter_credit, figures[1].inter_credit)
    };
    assert_eq!(credits(exposed(4), exposed(-4)), (50, 50));
    assert_eq!(credits(exposed(-2), exposed(4)), (50, 25));
    assert_eq!(credits(exposed(4), exposed(4)), (0, 0));
    // Volatility alone: 100 and 20 in the pair, 100 and 20 unchanged; price risk is zero, then below it.
    let flat = SpanBook { losses: vec![vec![100, 20, 100, 20]], ..exposed(-4) };
    assert_eq!(credits(exposed(4), flat), (0, 0));
    let gain = SpanBook { losses: vec![vec![100, 90, 105, 20]], ..exposed(-4) };
    assert_eq!(credits(exposed(4), gain), (0, 0));
    // Four long and four short months net to nothing.
    let even = SpanBook { months: book(&[], &[4, -4]).months, ..exposed(0) };
    assert_eq!(credits(exposed(4), even), (0, 0));
}

#[test]
fn a_spread_of_three_legs_needs_all_of_them_and_uses_each_by_its_ratio() {
    let flat = SpanCreditMethod::Flat(10);
    let legs = [(0, None, Side::A, 1, flat), (1, None, Side::B, 2, flat), (2, None, Side::A, 3, flat)];
    let books = |third| [exposed(5), exposed(-6), exposed(third)];
    // min(5 / 1, 6 / 2, 12 / 3) = 3, then 2 of six, then none on the wrong side.
    let given =
        |third| evaluated(&books(third), &[spread_of(&legs)]).iter().map(|f| f.inter_credit).sum::<i128>();
    assert_eq!((given(12), given(6), given(-6)), (90, 60, 0));
    // A second spread gets what the first left: 5 - 3 = 2 of book 0, 12 - 9 = 3 of book 2, nothing of book 1.
    let pair = spread_of(&[(0, None, Side::A, 1, flat), (1, None, Side::B, 1, flat)]);
    let figures = evaluated(&books(12), &[spread_of(&legs), pair]);
    assert_eq!(figures.iter().map(|f| f.inter_credit).collect::<Vec<_>>(), [30, 30, 30]);
}

#[test]
fn a_leg_on_a_tier_reads_the_tiers_own_risk_and_delta() {
    let by_risk = SpanCreditMethod::PriceRisk(i128::from(NANO));
    let tier = |tier, losses: [i128; 4]| SpanCreditTier { tier, losses: losses.to_vec(), price_scan: None };
    let mut first = SpanBook { months: book(&[], &[6, -2]).months, ..exposed(0) };
    first.credit_tiers = vec![tier(0, [0, 0, 90, 90]), tier(1, [0, 0, -30, -30])];
    let legs = [(0, Some(0), Side::A, 1, by_risk), (1, None, Side::B, 1, by_risk)];
    // The near tier is six long at 15 each, though the commodity is four at 25: four spreads.
    let figures = evaluated(&[first.clone(), exposed(-4)], &[spread_of(&legs)]);
    assert_eq!((figures[0].inter_credit, figures[1].inter_credit), (60, 100));
    // The far tier gains in every scenario: no price risk, no credit.
    let legs = [(0, Some(1), Side::B, 1, by_risk), (1, None, Side::A, 1, by_risk)];
    let figures = evaluated(&[first, exposed(4)], &[spread_of(&legs)]);
    assert_eq!((figures[0].inter_credit, figures[1].inter_credit), (0, 0));
}

#[test]
fn scanning_tiers_do_not_net_and_minimum_tiers_add_at_their_own_rates() {
    let mut held = SpanBook { losses: vec![vec![0, 0, 100, 90], vec![0, 0, -100, -90]], ..exposed(0) };
    assert_eq!(evaluated(&[held.clone()], &[])[0].scan_loss, 100);
    held.losses = vec![vec![0, 0, 0, 0]];
    let n = i128::from(NANO);
    held.shorts = vec![
        SpanShorts { calls: 3 * n, puts: 5 * n, rate: 10 },
        SpanShorts { calls: 4 * n, puts: n, rate: 100 },
    ];
    assert_eq!(evaluated(&[held.clone()], &[])[0].short_option_minimum, 8 * 10 + 5 * 100);
    held.short_count = ShortCount::Larger;
    assert_eq!(evaluated(&[held.clone()], &[])[0].risk, 5 * 10 + 4 * 100);
    held.basis = Some(SpanBasis { spot_delta: -2 * n, other_delta: 3 * n, rate: 400 });
    assert_eq!(evaluated(&[held.clone()], &[])[0].spot, 800);
    held.basis = Some(SpanBasis { spot_delta: 2 * n, other_delta: 3 * n, rate: 400 });
    assert_eq!(evaluated(&[held], &[])[0].spot, 0);
}

#[test]
fn factors_round_up_and_excess_option_value_helps_other_commodities_unless_capped() {
    let account: AccountId = "alice".parse().unwrap();
    let factors = [Ppb(1_100_000_000), Ppb(1_350_000_000)];
    let of = |risk, option_value, capped| {
        let figures = SpanFigures { risk, option_value, capped, ..SpanFigures::default() };
        span_requirement(&account, &figures, &factors).unwrap()
    };
    // 101 x 1.1 = 111.1, up to 112; x 1.35 = 151.2, up to 152.
    let r = of(101, 0, false);
    assert_eq!((r.risk, r.available, r.requirement), (152, 0, 152));
    let (rich, capped) = (of(101, 200, false), of(101, 200, true));
    assert_eq!((rich.available, rich.requirement), (200, 0));
    assert_eq!((capped.available, capped.requirement), (152, 0));
    assert_eq!(of(101, -30, true).requirement, 182);
    let other = of(101, 0, false);
    assert_eq!(span_total(&account, &[rich, other]), Ok(104));
    assert_eq!(span_total(&account, &[capped, other]), Ok(152));
    assert_eq!(span_total(&account, &[rich]), Ok(0));
}

#[test]
fn a_super_spread_of_the_preset_takes_delta_before_delivery_counts_it() {
    let rows = [future("BTC_USDC-6JAN26", 5, 9_000), future("ETH_USDC-6JAN26", 5, 600)];
    let spot = |before| {
        let set = params(move |span| {
            span.inter[0].before_intra = before;
            let spot = SpotCharge { within_days: 6, rate_consumed: 100, rate_outright: 250 };
            span.commodities.0.values_mut().for_each(|terms| terms.spot = Some(spot));
        });
        run(&rows, &[1, -25], &set).span.iter().map(|c| (c.spot.0, c.inter_credit.0)).collect::<Vec<_>>()
    };
    let (after, before) = (spot(false), spot(true));
    assert_eq!(after.iter().map(|c| c.0).collect::<Vec<_>>(), [250, 25 * 250]);
    assert_eq!(before.iter().map(|c| c.0).collect::<Vec<_>>(), [100, 25 * 100]);
    assert_eq!(after.iter().map(|c| c.1).collect::<Vec<_>>(), before.iter().map(|c| c.1).collect::<Vec<_>>());
}
