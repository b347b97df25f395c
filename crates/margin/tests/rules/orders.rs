//! Open orders: what they may cost, and that a price far from the market is not money.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;

/// One perpetual on an index of 100 USD in ticks of 1e-6, that moves by a tenth either way. One lot is 0.001 coins.
fn market() -> RiskArrays {
    let mut arrays = arrays_of(1, 2, 0, &[0; 50]);
    let width = arrays.scenarios.len();
    for (i, entry) in arrays.pnl.iter_mut().enumerate().skip(width).take(width) {
        *entry = if i % 2 == 0 { 10_000 } else { -10_000 };
    }
    arrays
}

const BOUND: OrderMethod = OrderMethod::Bound;
const EXACT: OrderMethod = OrderMethod::Exact { max_orders: 8 };

/// A bid for 100,000,000 USD: 1,000,000 coins, a thousand lots each.
const LOTS: i64 = 1_000_000_000;

#[test]
fn a_bid_at_half_price_needs_the_margin_of_its_fill_under_every_method() {
    let arrays = market();
    // Half the price is half of 100,000,000 USD to the good, in millionths, were it ever filled.
    let edge = 50_000_000 * 1_000_000;
    for base in [plain(Aggregation::Sum), load("span-margin.toml")] {
        for (method, mode) in [(BOUND, Mode::Portfolio), (EXACT, Mode::Portfolio), (BOUND, Mode::Cross)] {
            let orders = OrderTerms { method, in_mm: true };
            let params = Params { mode, orders, im_scale: Ppb::ONE, ..base.clone() };
            let at = |edge| evaluate(&portfolio_of(&[], &[], &[(1, LOTS, edge)]), &arrays, &params).unwrap();
            // A tenth of 100,000,000 USD; SPAN's ratio of initial to maintenance margin is 1.1 beside.
            let report = at(edge);
            assert!(report.im.0 >= 10_000_000 * 1_000_000, "{method:?}: {:?}", report.im);
            assert_eq!(report.mm.0, 10_000_000 * 1_000_000, "{method:?} {mode:?}");
            assert_eq!(report.state, State::Liquidatable);
            // The price of a passive order does not matter, that of an aggressive one costs its loss.
            assert_eq!((at(0).im, at(0).mm), (report.im, report.mm));
            assert_eq!(at(-7).im.0, report.im.0 + 7);
        }
    }
}

#[test]
fn two_far_bids_do_not_pay_for_a_third_that_loses() {
    let arrays = market();
    for method in [BOUND, EXACT] {
        let orders = OrderTerms { method, in_mm: true };
        let params = Params { orders, im_scale: Ppb::ONE, ..plain(Aggregation::Sum) };
        let book = portfolio_of(&[], &[], &[(1, 1, 900_000), (1, 2, 900_000), (1, 3, -500)]);
        let report = evaluate(&book, &arrays, &params).unwrap();
        assert_eq!(report.im, Ticks(6 * 10_000 + 500));
        assert!(report.orders.cases.iter().all(|case| case.margin.im.0 >= 0));
    }
}

#[test]
fn the_bound_covers_expected_shortfall_where_a_tie_dilutes_it() {
    // Joint losses of the book: 0, 0, 9, 10, 10, an expected shortfall at 80 % of 10. One bid loses 30 in the last
    // column: filled alone, the tail is 10, 40 and its mean 25. The other loses 1 in the third column, which then ties
    // with value at risk: with both filled the tail is 10, 10, 40 and its mean 20. No named case sees 25.
    let mut arrays = arrays_of(2, 1, 5, &[0; 50]);
    let width = arrays.scenarios.len();
    let joint = arrays.blocks.iter().find(|b| b.kind == BlockKind::Joint).unwrap().columns.start;
    for (i, loss) in [0_i64, 0, 9, 10, 10].iter().enumerate() {
        arrays.pnl[joint + i] = -loss;
    }
    arrays.pnl[width + joint + 2] = -1;
    arrays.pnl[5 * width + joint + 4] = -30;
    let statistic = Statistic::ExpectedShortfall;
    let terms = JointTerms { statistic, level: Ppb(800_000_000), stress_weight: Ppb(0) };
    for base in [Aggregation::Joint(terms), Aggregation::Sum] {
        let at = |method, lots: &[i64], open: &[(u32, i64, i64)]| {
            let orders = OrderTerms { method, in_mm: true };
            let params = Params { orders, joint: Some(terms), ..plain(base.clone()) };
            evaluate(&portfolio_of(lots, &[], open), &arrays, &params).unwrap().mm
        };
        assert_eq!((at(BOUND, &[1], &[]), at(BOUND, &[1, 1, 0, 0, 0, 1], &[])), (Ticks(10), Ticks(20)));
        let both = [(1, 1, 0), (5, 1, 0)];
        assert_eq!((at(EXACT, &[1], &both), at(BOUND, &[1], &both)), (Ticks(25), Ticks(25)));
    }
}
