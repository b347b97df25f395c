//! Aevo: the documentation's example, books on a scenario set, the rules every preset keeps.

use crate::scenarios::{Column, Row, charge, grid, margin, premium, preset, refusal, report};
use plimsoll_margin::venue::aevo::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_margin::*;
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn columns() -> Vec<Column> {
    grid(&[0.2, 0.1, 0.0, -0.1, -0.2], &[1, 0, -1])
}

fn terms() -> Terms {
    match preset("aevo").aggregation {
        Aggregation::Venue(Venue::Aevo(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_documented_strangle_costs_what_the_documentation_says() {
    let rows = ["-190.06", "-90.22", "-50.92", "-132.58", "13.21", "27.04"].map(of);
    let found = requirement(&terms(), &rows, of("2"), of("1300")).unwrap();
    assert_eq!((found.scenario_margin, found.floor_margin), (of("190.06"), of("26")));
    assert_eq!((found.maintenance_margin, found.initial_margin), (of("216.06"), of("270.075")));
    // A leg against the mark given: short one at 17.40, worth 200.19.
    assert_eq!(pnl(of("-1"), of("200.19"), of("17.40")), of("-182.79"));
}

#[test]
fn a_book_that_only_gains_pays_the_floor_of_its_shorts() {
    let found = requirement(&terms(), &[of("5"), Fixed::ZERO], of("3"), of("1000")).unwrap();
    assert_eq!((found.scenario_margin, found.initial_margin), (Fixed::ZERO, of("37.5")));
    assert!(requirement(&terms(), &[], of("-1"), of("1000")).is_err());
    assert!(requirement(&terms(), &[], Fixed::ZERO, Fixed::ZERO).is_err());
    assert!(requirement(&terms(), &[Fixed::LOST], Fixed::ZERO, Fixed::ONE).is_err());
}

#[test]
fn longs_do_not_net_the_floor_and_perpetuals_have_none() {
    let rows =
        [Row("BTC-26JUN26-120000-C", 180), Row("BTC-26JUN26-130000-C", 180), Row("BTC_USDC-PERPETUAL", 0)];
    let floor = |lots: &[i64]| charge(&report(&rows, lots, &columns(), &preset("aevo")), "floor");
    // One coin short at 1 % of 100,000, times 1.25.
    assert_eq!(floor(&[-1_000, 0, 0]), 1_250.0);
    assert_eq!(floor(&[-1_000, 1_000, 0]), 1_250.0);
    assert_eq!(floor(&[-1_000, -500, 0]), 1_875.0);
    assert_eq!(floor(&[0, 0, -1_000]), 0.0);
    // A perpetual: 20 %, and 25 %.
    let (im, mm) = margin(&rows, &[0, 0, 1_000], &columns(), &preset("aevo"));
    assert_eq!((im, mm), (25_000.0, 20_000.0));
}

#[test]
fn what_is_not_listed_is_refused_by_name() {
    let rows = [Row("BTC", 0), Row("BTC-27MAR26", 90)];
    assert!(refusal(&rows, &[1, 0], &columns(), &preset("aevo")).contains("does not margin BTC: spot"));
    assert!(refusal(&rows, &[0, 1], &columns(), &preset("aevo")).contains("does not margin BTC-27MAR26"));
}

#[test]
fn an_initial_margin_below_maintenance_is_a_finding() {
    assert!(terms().lint().is_empty());
    let swapped = Terms { im_factor: of("0.8"), unit_floor: of("-0.01") };
    assert_eq!(swapped.lint().len(), 2);
}

const BOOK: [Row; 5] = [
    Row("BTC-26JUN26-120000-C", 180),
    Row("BTC-26JUN26-80000-P", 180),
    Row("BTC_USDC-27MAR26-95000-C", 90),
    Row("BTC-27MAR26-105000-P", 90),
    Row("BTC_USDC-PERPETUAL", 0),
];

proptest! {
    #[test]
    fn long_options_never_cost_more_than_their_premium(lots in prop::collection::vec(0_i64..50_000, 4)) {
        let (im, mm) = margin(&BOOK[..4], &lots, &columns(), &preset("aevo"));
        let premium = premium(&BOOK[..4], &lots);
        prop_assert!(im <= premium + 1e-9 * premium.max(1.0) && mm <= im, "{im} {mm} {premium}");
    }

    #[test]
    fn a_requirement_grows_with_size_and_initial_is_five_quarters(
        lots in prop::collection::vec(-20_000_i64..-1, 5), times in 2_i64..5,
    ) {
        let (im, mm) = margin(&BOOK, &lots, &columns(), &preset("aevo"));
        let more: Vec<i64> = lots.iter().map(|lots| lots * times).collect();
        let (larger, _) = margin(&BOOK, &more, &columns(), &preset("aevo"));
        prop_assert!((im - 1.25 * mm).abs() < 1e-5 && larger >= im, "{im} {mm} {larger}");
    }
}
