//! Synthetix against its integration tests and accounts worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::synthetix::*;
use plimsoll_margin::venue::{Method, Venue, VenueError};
use plimsoll_margin::{Aggregation, LintCode, MarginError, Params, evaluate};
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/synthetix.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Synthetix(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn fixed(text: &str) -> Fixed {
    text.parse().unwrap()
}

/// Liquidation.margin.test.ts: five positions lose exactly the collateral of 20,000.
#[test]
fn positions_pay_half_their_own_impact_when_they_fill() {
    let cases = [
        (-1, 30_000, 100, "31000", "-1150"),
        (20, 2_000, 1_000, "1775", "-4900"),
        (2_000, 5, 100_000, "3", "-4100"),
        (5_000, 2, 100_000, "1", "-5250"),
        (5_000, 2, 100_000, "1.13", "-4600"),
    ];
    let mut available = Fixed::from(20_000);
    for (size, entry, scale, mark, expected) in cases {
        let size = Fixed::from(size);
        let fill = fill_price(Fixed::ZERO, Fixed::from(scale), size, Fixed::from(entry)).unwrap();
        let profit = position_pnl(size, fill, fixed(mark)).unwrap();
        assert_eq!(profit, fixed(expected));
        available = available + profit;
    }
    assert_eq!(available, Fixed::ZERO);
    assert_eq!(withdrawable(available, Fixed::from(5), Fixed::from(2)), Ok(Fixed::from(-7)));
}

#[test]
fn a_fill_is_the_mean_of_the_prices_before_and_after() {
    let fill = |skew: i64, scale: i64, size: i64| {
        fill_price(Fixed::from(skew), Fixed::from(scale), Fixed::from(size), Fixed::from(1_000))
    };
    // Skew 100 of 1000 before and 150 after: the mean of 1100 and 1150.
    assert_eq!(fill(100, 1_000, 50), Ok(Fixed::from(1_125)));
    // A trade through to the other side, and one that flattens the skew.
    assert_eq!(fill(100, 1_000, -200), Ok(Fixed::from(1_000)));
    assert_eq!(fill(-100, 1_000, 100), Ok(Fixed::from(950)));
    assert_eq!(fill(100, 0, 50), Ok(Fixed::from(1_000)));
    assert!(matches!(fill(100, -1, 50), Err(VenueError::Domain { .. })));
}

#[test]
fn ratios_rise_with_size_and_a_scale_of_0_has_no_impact() {
    let btc = *terms().markets.of(&"BTC".parse().unwrap()).unwrap();
    // 100 of 50,000: 0.002 x 13.35 + 0.02 = 4.67 %, 28 % of it to maintain.
    let found = margins(Fixed::from(-100), Fixed::from(60_000), &btc).unwrap();
    assert_eq!((found.im, found.mm), (fixed("280250"), fixed("78506")));
    let none = margins(Fixed::ZERO, Fixed::from(60_000), &btc).unwrap();
    assert_eq!((none.im, none.mm), (Fixed::ZERO, Fixed::ZERO));
    let flat = MarketTerms { skew_scale: Fixed::ZERO, ..btc };
    assert_eq!(margin_ratios(Fixed::from(1_000_000), &flat).unwrap().im, fixed("0.02"));
    assert_eq!(flag_reward(Fixed::from(-100), Fixed::from(60_000), btc.flag_ratio), Ok(Fixed::from(1_800)));
}

/// Margins.multiCollateral.test.ts.
#[test]
fn collateral_is_discounted_by_size_between_its_limits() {
    let terms = DiscountTerms {
        skew_scale: Fixed::from(50_000),
        scalar: Fixed::from(2),
        lower: fixed("0.01"),
        upper: fixed("0.05"),
    };
    let at = |amount: i64| size_discount(Fixed::from(amount), &terms).unwrap();
    assert_eq!(
        (at(20), at(250), at(500), at(1_250), at(9_999)),
        (fixed("0.01"), fixed("0.01"), fixed("0.02"), fixed("0.05"), fixed("0.05"),)
    );
    assert_eq!(discounted_value(Fixed::from(20), Fixed::from(2_000), &terms), Ok(Fixed::from(39_600)));
    // An audit found the limits swapped: then there is no discount at all, but an error.
    let swapped = DiscountTerms { lower: terms.upper, upper: terms.lower, ..terms };
    let refused = size_discount(Fixed::ONE, &swapped).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the limits of a discount is 0.05 to 0.01: expected a lower and an upper share"
    );
    assert!(size_discount(-Fixed::ONE, &terms).is_err());
}

#[test]
fn liquidation_windows_round_up() {
    let terms = LiquidationTerms {
        maker_fee: fixed("0.0002"),
        taker_fee: fixed("0.0005"),
        skew_scale: Fixed::from(50_000),
        multiplier: fixed("1.5"),
        window_seconds: Fixed::from(30),
    };
    let each = liquidation_per_window(&terms).unwrap();
    assert_eq!(each, Fixed::from(1_575));
    let windows = |size: &str| liquidation_windows(fixed(size), each).unwrap();
    assert_eq!(
        [windows("0"), windows("1575"), windows("-1575.000000000000000001"), windows("3151")],
        [0, 1, 2, 3]
    );
    assert!(matches!(liquidation_windows(Fixed::ONE, Fixed::ZERO), Err(VenueError::Domain { .. })));
}

/// 20 of a perpetual at 100 and 5 of BTC as collateral at a discount of 1 %.
#[test]
fn an_account_is_worked_by_hand() {
    let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    arrays.instruments[1].reference = 100_000_000;
    arrays.instruments[4].mark = 100_000;
    let mut params = preset();
    let portfolio = portfolio_of(&[0, 20_000, 0, 0, 5_000], &[], &[]);
    let error = evaluate(&portfolio, &arrays, &params).unwrap_err();
    let reason = "synthetix needs a collateral discount of BTC, which is not known";
    assert!(matches!(&error, MarginError::Venue { source, .. } if source.to_string() == reason), "{error}");
    let Aggregation::Venue(Venue::Synthetix(terms)) = &mut params.aggregation else { panic!() };
    let text = r#"{"BTC": {"skew_scale": 50000, "scalar": 2, "lower": 0.01, "upper": 0.05}}"#;
    terms.discounts = serde_json::from_str(text).unwrap();
    let report = evaluate(&portfolio, &arrays, &params).unwrap();
    let charges: Vec<_> = report.venue.iter().map(|c| (c.code.as_str(), c.im.0, c.mm.0)).collect();
    // 2000 x (20/50000 x 13.35 + 0.02) + 50, of the ratio 28 % to maintain; 3 bp of 2000; 1 % of 500.
    assert_eq!(
        charges,
        [
            ("position_margin", 100_680_000, 64_190_400),
            ("flag_reward", 600_000, 600_000),
            ("collateral_discount", 5_000_000, 5_000_000),
        ]
    );
    let future = evaluate(&portfolio_of(&[1_000], &[], &[]), &arrays, &params).unwrap_err();
    let reason = "synthetix does not margin BTC_USDC-27MAR26: it lists perpetuals";
    assert!(matches!(&future, MarginError::Venue { source, .. } if source.to_string() == reason), "{future}");
}

#[test]
fn swapped_limits_and_a_maintenance_above_initial_are_found() {
    assert_eq!(terms().lint(), []);
    let mut wrong = terms();
    let text = r#"{"ETH": {"skew_scale": 50000, "scalar": 2, "lower": 0.05, "upper": 0.01}}"#;
    wrong.discounts = serde_json::from_str(text).unwrap();
    for market in wrong.markets.0.values_mut() {
        market.mm_scale = fixed("1.2");
    }
    let codes: Vec<LintCode> = wrong.lint().into_iter().map(|found| found.code).collect();
    assert_eq!(codes, [vec![LintCode::ImBelowMm; 3], vec![LintCode::BoundsCrossed]].concat());
}

proptest! {
    #[test]
    fn margins_rise_faster_than_size_and_initial_covers_maintenance(size in 1_i64..100_000, more in 1_i64..1_000) {
        let btc = *terms().markets.of(&"BTC".parse().unwrap()).unwrap();
        let of = |size: i64| margins(Fixed::from(size), Fixed::from(50_000), &btc).unwrap();
        let (small, large, short) = (of(size), of(size + more), of(-size));
        prop_assert_eq!(small, short);
        prop_assert!(large.im > small.im && large.mm > small.mm && small.im >= small.mm);
        prop_assert!(large.im / Fixed::from(size + more) >= (small.im - btc.margin_min) / Fixed::from(size));
    }
}
