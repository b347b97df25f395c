//! OKX: risk units, tiers, depeg; books on a scenario set with every class of moves; Dederi's futures.

use crate::scenarios::{Column, Row, charge, grid, margin, premium, preset, report};
use plimsoll_margin::venue::curves::tiered;
use plimsoll_margin::venue::okx::*;
use plimsoll_margin::venue::{Method, Venue, dederi};
use plimsoll_margin::*;
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn steps(step: f64, n: i32) -> Vec<f64> {
    (-n..=n).map(|k| step * f64::from(k)).collect()
}

/// The columns of the preset: three even grids, a day's passing, the extremes at half.
fn columns() -> Vec<Column> {
    let vols = [1, 0, -1];
    let grids =
        [grid(&steps(0.04, 6), &vols), grid(&steps(0.06, 4), &vols), grid(&steps(0.05, 5), &vols)].concat();
    let far = [0.24, 0.36, 0.5, -0.24, -0.36, -0.5].map(|by| (by, 0, 0.5));
    [grids, vec![(0.0, 0, 1.0)], far.to_vec()].concat()
}

fn terms() -> Terms {
    match preset("okx").aggregation {
        Aggregation::Venue(Venue::Okx(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_unit_is_its_worst_scenario_and_what_is_added_or_its_minimum() {
    let risks = UnitRisks {
        mr1: of("100"),
        mr2: of("7"),
        mr3: of("1"),
        mr4: of("2"),
        mr5: of("3"),
        mr6: of("90"),
        mr7: of("50"),
        mr9: of("4"),
    };
    assert_eq!(unit_requirement(&risks), of("110"));
    assert_eq!(unit_requirement(&UnitRisks { mr6: of("130"), ..risks }), of("140"));
    assert_eq!(unit_requirement(&UnitRisks { mr7: of("500"), ..risks }), of("500"));
    assert_eq!(requirement(&[of("110"), of("40")], of("10"), of("1.3")), (of("160"), of("208")));
}

#[test]
fn the_minimum_goes_through_its_multipliers() {
    let tiers = &terms().assets["BTC"].minimum_tiers;
    // 250,000 x 1 + 250,000 x 2 + 500,000 x 4 + 500,000 x 6 at 1.5 million.
    for (raw, charged) in [("0", "0"), ("250000", "250000"), ("300000", "350000"), ("1500000", "5750000")] {
        assert_eq!(tiered(tiers, of(raw)).unwrap(), of(charged), "{raw}");
    }
}

#[test]
fn opposite_deltas_are_matched_between_stable_coins_in_order() {
    let deltas =
        |usdt: &str, usdc: &str, usd: &str| StableDeltas { usdt: of(usdt), usdc: of(usdc), usd: of(usd) };
    let hedged = |d| hedged_amounts(d).map(|x| x.to_string());
    assert_eq!(hedged(deltas("10", "-4", "-3")), ["3", "4", "0"]);
    assert_eq!(hedged(deltas("-10", "4", "30")), ["10", "0", "0"]);
    assert_eq!(hedged(deltas("0", "4", "-30")), ["0", "0", "4"]);
    assert_eq!(hedged(deltas("5", "6", "7")), ["0", "0", "0"]);
}

#[test]
fn matched_expiries_are_charged_for_the_basis_between_them() {
    // Long 100 half a year off against short 40 perpetuals: 40 % of the long side at 5 % a year.
    let charged = basis_risk(&[(of("100"), of("0.5")), (of("-40"), Fixed::ZERO)], of("0.05"));
    assert_eq!(charged, of("1"));
    assert_eq!(basis_risk(&[(of("100"), of("0.5"))], of("0.05")), Fixed::ZERO);
    assert_eq!(basis_risk(&[], of("0.05")), Fixed::ZERO);
}

#[test]
fn a_class_counts_the_columns_of_its_own_moves() {
    let rows = [Row("BTC_USDT-PERPETUAL", 0)];
    let mut params = preset("okx");
    // Bitcoin: 12 % in full and half of 24 % are the same; 30 % more for IM.
    let (im, mm) = margin(&rows, &[1_000], &columns(), &params);
    assert_eq!((im, mm), (15_600.0, 12_000.0));
    let Aggregation::Venue(Venue::Okx(terms)) = &mut params.aggregation else { panic!() };
    let others = terms.assets["*"].clone();
    terms.assets.insert("BTC".to_owned(), others);
    // The others: 25 % in full and half of 50 %.
    assert_eq!(margin(&rows, &[-1_000], &columns(), &params).1, 25_000.0);
}

#[test]
fn a_hedge_between_stable_coins_pays_for_their_peg() {
    let rows = [Row("BTC_USDT-PERPETUAL", 0), Row("BTC_USDC-PERPETUAL", 0)];
    let found = report(&rows, &[100_000, -100_000], &columns(), &preset("okx"));
    // Ten million: 202,500, times 1.3.
    assert_eq!(charge(&found, "stable_depeg"), 263_250.0);
    assert_eq!(charge(&found, "spot_shock"), 0.0);
}

#[test]
fn dederis_example_of_ten_futures_is_reproduced() {
    let price = dederi::future_price(of("2243.3"), of("0.08"), of("20")).unwrap();
    assert_eq!(price, of("2253.2"));
    let pnl: Vec<Fixed> =
        dederi::moves().into_iter().map(|by| dederi::future_pnl(&[(of("10"), price)], by)).collect();
    assert_eq!((pnl.len(), pnl[0], pnl[5], pnl[10]), (11, of("-3379.8"), Fixed::ZERO, of("3379.8")));
    let contingency = dederi::future_contingency(&[of("10")], of("2243.3"), of("0.006"));
    assert_eq!(contingency, of("134.598"));
    assert_eq!(dederi::margin(&pnl, contingency).unwrap(), of("3514.398"));
}

#[test]
fn the_linter_finds_what_is_wrong_with_parameters() {
    assert!(terms().lint().is_empty());
    let mut wrong = terms();
    wrong.im_factor = of("0.9");
    wrong.depeg_tiers[1].rate = of("0.001");
    wrong.assets.get_mut("BTC").unwrap().extreme = plimsoll_types::Ppb(100_000_000);
    assert_eq!(wrong.lint().len(), 3);
}

const BOOK: [Row; 6] = [
    Row("BTC-26JUN26-120000-C", 180),
    Row("BTC-26JUN26-80000-P", 180),
    Row("BTC-27MAR26-95000-C", 90),
    Row("BTC-27MAR26-105000-P", 90),
    Row("BTC_USDT-27MAR26", 90),
    Row("BTC_USDC-PERPETUAL", 0),
];

proptest! {
    #[test]
    fn long_options_never_cost_more_than_their_premium(lots in prop::collection::vec(0_i64..50_000, 4)) {
        let (im, mm) = margin(&BOOK[..4], &lots, &columns(), &preset("okx"));
        let premium = premium(&BOOK[..4], &lots);
        prop_assert!(im <= premium + 1e-9 * premium.max(1.0) && mm <= im, "{im} {mm} {premium}");
    }

    #[test]
    fn a_requirement_grows_with_size_and_covers_maintenance(
        lots in prop::collection::vec(-20_000_i64..20_000, 6), times in 2_i64..5,
    ) {
        let (im, mm) = margin(&BOOK, &lots, &columns(), &preset("okx"));
        let more: Vec<i64> = lots.iter().map(|lots| lots * times).collect();
        let (larger, _) = margin(&BOOK, &more, &columns(), &preset("okx"));
        prop_assert!(mm <= im + 1e-5 && larger >= im - 1e-5, "{im} {mm} {larger}");
    }
}
