//! Panoptic's curve and Lighter's zero price against exact rational arithmetic worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::lighter::*;
use plimsoll_margin::venue::panoptic::*;
use plimsoll_margin::venue::{Method, Venue, VenueBook, VenueError};
use plimsoll_margin::{Aggregation, Params};
use plimsoll_types::*;
use proptest::prelude::*;

const WHOLE: i128 = 10_000_000;

#[test]
fn a_seller_holds_a_fifth_up_to_two_thirds_and_all_from_nine_tenths() {
    let sell = |bps| sell_collateral_ratio(bps, 2_000_000, &CURVE).unwrap();
    assert_eq!((sell(0), sell(5000), sell(6666)), (2_000_000, 2_000_000, 2_000_000));
    // 6667 is 333 units above the target: 8e6 x 333/2 333 333 = 1141.7.
    assert_eq!(sell(6667), 2_001_141);
    assert_eq!(sell(7500), 4_857_142);
    assert_eq!((sell(8999), sell(9000), sell(9001), sell(10_000)), (9_996_571, WHOLE, WHOLE, WHOLE));
    // A strangle: half, from the same curve.
    assert_eq!(sell_collateral_ratio(-1, 1_000_001, &CURVE), Ok(500_000));
    assert_eq!((sell(-5000), sell(-9500)), (1_000_000, WHOLE));
}

#[test]
fn a_loan_and_the_cross_buffer_follow_the_curve() {
    let coin = 1_000_000_000_000_000_000;
    assert_eq!(loan_requirement(coin, 9000, 1_000_000, &CURVE), Ok(2 * coin));
    assert_eq!(loan_requirement(coin, 0, 1_000_000, &CURVE), Ok(coin / 10 * 11));
    assert_eq!(loan_requirement(1, 0, 1_000_000, &CURVE), Ok(2));
    let buffer = |bps| cross_buffer_ratio(bps, 5_000_000, &CURVE).unwrap();
    assert_eq!((buffer(0), buffer(8999), buffer(9000)), (5_000_000, 5_000_000, 5_000_000));
    assert_eq!((buffer(9250), buffer(9499), buffer(9500), buffer(10_000)), (2_500_000, 10_000, 0, 0));
}

#[test]
fn a_curve_that_does_not_rise_and_negative_numbers_are_errors() {
    let flat = Curve { target: 9_000_000, ..CURVE };
    assert_eq!(
        sell_collateral_ratio(0, 1, &flat),
        Err(VenueError::Overflow { what: "the utilisation curve" })
    );
    assert!(matches!(sell_collateral_ratio(0, -1, &CURVE), Err(VenueError::Domain { what: "a ratio", .. })));
    assert!(matches!(loan_requirement(-1, 0, 1, &CURVE), Err(VenueError::Domain { what: "an amount", .. })));
    assert!(loan_requirement(i128::MAX, 9000, 1, &CURVE).is_err());
    assert!(safe_mode(1000, 275) && !safe_mode(1000, 276));
}

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/panoptic.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Panoptic(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

/// Calls of strike 100 and puts of strike 90 on an index of 100, ten coins each.
#[test]
fn shorts_hold_the_sell_ratio_and_longs_at_most_their_premium() {
    let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    let charges = |arrays: &RiskArrays, lots: &[i64]| {
        let portfolio = portfolio_of(lots, &[], &[]);
        let book = VenueBook::new(arrays, &portfolio.positions, &[]).unwrap();
        terms().charges(&book).map(|charges| charges[0].clone())
    };
    let call = charges(&arrays, &[0, 0, -10_000]).unwrap();
    assert_eq!((call.mm.to_string(), call.im.to_string()), ("200".into(), "213.33334".into()));
    let put = charges(&arrays, &[0, 0, 0, -10_000]).unwrap();
    assert_eq!(put.mm.to_string(), "180");
    // A tenth of a notional of 1000 is 100; a premium of 30 is less.
    arrays.instruments[2].mark = 3_000;
    let long = charges(&arrays, &[0, 0, 10_000]).unwrap();
    assert_eq!((long.im.to_string(), long.mm.to_string()), ("30".into(), "30".into()));
    arrays.instruments[2].mark = 300_000;
    let long = charges(&arrays, &[0, 0, 10_000]).unwrap();
    assert_eq!((long.im.to_string(), long.mm.to_string()), ("106.66667".into(), "100".into()));
    for lots in [&[1][..], &[0, 1], &[0, 0, 0, 0, 1]] {
        assert!(matches!(charges(&arrays, lots), Err(VenueError::Unsupported { method: "panoptic", .. })));
    }
}

#[test]
fn the_linter_finds_a_curve_upside_down_and_a_buffer_below_one() {
    assert_eq!(terms().lint(), []);
    let bad = Terms { curve: Curve { target: 9_500_000, ..CURVE }, initial_buffer: 9_000_000, ..terms() };
    assert_eq!(bad.lint().len(), 2);
}

#[test]
fn a_zero_price_rounds_against_the_account_and_a_change_must_not_worsen_it() {
    // 10 000 - 10 000 x 333 x 1/(7 x 1e4) = 9952.43 and 10 047.57.
    assert_eq!(lighter_zero_price(10_000, 333, 1, 7, Side::Long), Ok(9_953));
    assert_eq!(lighter_zero_price(10_000, 333, 1, 7, Side::Short), Ok(10_047));
    assert_eq!(lighter_zero_price(10_000, 333, -1, 7, Side::Long), Ok(10_048));
    assert!(lighter_zero_price(10_000, 333, 1, 0, Side::Long).is_err());
    assert_eq!(lighter_requirement(-20, 10_000, 333), Ok(6_660));
    let standing = |value, requirement| Standing { value, requirement };
    let allowed = |a, b| lighter_risk_change(a, b).unwrap();
    assert!(allowed(standing(1, 100), standing(10, 10)));
    assert!(allowed(standing(50, 100), standing(45, 90)));
    assert!(!allowed(standing(50, 100), standing(44, 90)));
    assert!(allowed(standing(-50, 100), standing(-49, 100)));
    assert!(!allowed(standing(-50, 100), standing(-50, 99)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ratios_rise_with_utilisation_and_the_buffer_falls(
        (bps, more) in (0_i128..10_000, 0_i128..10_000),
        (ratio, buffer) in (0_i128..WHOLE, 0_i128..WHOLE),
    ) {
        let sell = |bps| sell_collateral_ratio(bps, ratio, &CURVE).unwrap();
        prop_assert!(sell(bps + more) >= sell(bps) && sell(bps) >= ratio && sell(bps) <= WHOLE);
        let cross = |bps| cross_buffer_ratio(bps, buffer, &CURVE).unwrap();
        prop_assert!(cross(bps + more) <= cross(bps) && cross(bps) <= buffer);
    }

    #[test]
    fn a_long_option_is_never_charged_more_than_its_premium(
        (mark, lots) in (0_i64..1_000_000, 1_i64..1_000_000),
    ) {
        let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
        arrays.instruments[2].mark = mark;
        let portfolio = portfolio_of(&[0, 0, lots], &[], &[]);
        let book = VenueBook::new(&arrays, &portfolio.positions, &[]).unwrap();
        let charge = &terms().charges(&book).unwrap()[0];
        prop_assert!(charge.im <= book.legs[0].value() && charge.mm <= charge.im);
    }
}
