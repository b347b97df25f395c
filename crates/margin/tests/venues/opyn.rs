//! Opyn against its unit tests, and vaults worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::opyn::*;
use plimsoll_margin::venue::{Method, Venue, VenueBook, VenueError};
use plimsoll_margin::{Aggregation, LintCode, MarginError, MarginReport, Params, evaluate};
use plimsoll_types::{Fixed, OptionKind, RiskArrays};
use proptest::prelude::*;

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/opyn.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Opyn(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn fixed(text: &str) -> Fixed {
    text.parse().unwrap()
}

const DAY: i64 = 86_400;

#[test]
fn the_upper_bound_is_of_the_first_bucket_that_is_long_enough() {
    let bounds = terms().products.of(&"ETH".parse().unwrap()).unwrap().upper_bounds.clone();
    let at = |seconds| upper_bound(&bounds, seconds).map(|bound| bound.to_string());
    assert_eq!(at(1), Ok("0.1678".into()));
    assert_eq!(at(7 * DAY), Ok("0.1678".into()));
    assert_eq!(at(7 * DAY + 1), Ok("0.237".into()));
    assert_eq!(at(28 * DAY), Ok("0.3326".into()));
    assert_eq!(at(56 * DAY), Ok("0.4603".into()));
    assert!(matches!(at(56 * DAY + 1), Err(VenueError::Domain { .. })));
}

/// marginCalculatorNakedMargin.test.ts.
#[test]
fn naked_shorts_are_margined_by_a_bound_and_their_shocked_intrinsic_value() {
    let margin = |kind, strike: i64, spot: i64| {
        naked_margin(kind, Fixed::from(strike), Fixed::from(spot), fixed("0.75"), fixed("0.1678"))
    };
    assert_eq!(margin(OptionKind::Call, 2_500, 1_800), Ok(fixed("0.1678")));
    // 1500 x 0.75/2000 = 0.5625: 0.1678 x 0.5625 + 0.4375.
    assert_eq!(margin(OptionKind::Call, 1_500, 2_000), Ok(fixed("0.5318875")));
    assert_eq!(margin(OptionKind::Put, 1_000, 2_000), Ok(fixed("167.8")));
    // 0.1678 x 1500 + 2500 - 1500.
    assert_eq!(margin(OptionKind::Put, 2_500, 2_000), Ok(fixed("1251.7")));
    assert!(margin(OptionKind::Put, 2_500, 0).is_err() && margin(OptionKind::Call, 0, 2_000).is_err());
}

/// marginCalculator.test.ts.
#[test]
fn spreads_are_margined_by_their_largest_loss() {
    let spread = |short: i64, long: i64, short_strike: i64, long_strike: i64| Spread {
        short: Fixed::from(short),
        long: Fixed::from(long),
        short_strike: Fixed::from(short_strike),
        long_strike: Fixed::from(long_strike),
    };
    let put = |a, b, c, d| put_spread_margin(&spread(a, b, c, d)).unwrap();
    let call = |a, b, c, d| call_spread_margin(&spread(a, b, c, d)).unwrap();
    assert_eq!(
        [put(2, 1, 200, 250), put(1, 1, 250, 200), put(1, 1, 200, 250), put(1, 0, 250, 0)]
            .map(|x| x.to_string()),
        ["150", "50", "0", "250",]
    );
    assert_eq!(
        [call(1, 1, 250, 200), call(3, 1, 200, 250), call(1, 1, 200, 250), call(2, 0, 200, 0)]
            .map(|x| x.to_string()),
        ["0", "2", "0.2", "2",]
    );
    assert!(put_spread_margin(&spread(-1, 0, 1, 1)).is_err());
}

/// liquidations.test.ts.
#[test]
fn the_auction_climbs_from_the_discounted_cash_value_to_the_collateral() {
    let terms = AuctionTerms { oracle_deviation: fixed("0.05"), seconds: 3_600 };
    let put = Auction {
        kind: OptionKind::Put,
        collateral: Fixed::from(40),
        debt: Fixed::ONE,
        cash_value: Fixed::from(20),
        spot: Fixed::from(80),
    };
    let at = |auction: &Auction, elapsed| debt_price(auction, terms, elapsed).unwrap().to_string();
    assert_eq!([at(&put, 0), at(&put, 120), at(&put, 3_600), at(&put, 9_999)], ["16", "16.8", "40", "40"]);
    let call = Auction { kind: OptionKind::Call, collateral: Fixed::ONE, ..put };
    assert_eq!([at(&call, 0), at(&call, 1_800), at(&call, 3_600)], ["0.2", "0.6", "1"]);
    let poor = Auction { collateral: Fixed::from(10), ..put };
    assert_eq!([at(&poor, 0), at(&poor, 120)], ["10", "10"]);
    let worthless = Auction { cash_value: Fixed::from(3), ..put };
    assert_eq!(at(&worthless, 0), "0");
    assert!(debt_price(&put, terms, -1).is_err());
}

#[test]
fn squeeth_is_collateralised_at_150_percent_and_half_an_ether() {
    let margin = |debt: &str| squeeth_margin(fixed(debt)).unwrap().to_string();
    assert_eq!([margin("0"), margin("0.1"), margin("10")], ["0", "0.5", "15"]);
    assert_eq!(squeeth_liquidation(Fixed::from(10)), Ok(Fixed::from(11)));
    assert!(squeeth_margin(-Fixed::ONE).is_err());
}

/// ETH at 100: calls of strike 100 in 176 days, puts of strike 90 in 57 days. The second underlying of the arrays.
fn market() -> RiskArrays {
    let mut arrays = arrays_of(2, 3, 0, &[100, -50, 20]);
    for (place, mark, days) in [(7, 8_000, 30), (8, 2_000, 5)] {
        arrays.instruments[place].mark = mark;
        arrays.instruments[place].seconds_to_expiry = Some(days * DAY);
    }
    arrays
}

fn held(arrays: &RiskArrays, calls: i64, puts: i64) -> Result<MarginReport, MarginError> {
    let lots = [0, 0, 0, 0, 0, 0, 0, calls, puts, 0];
    evaluate(&portfolio_of(&lots, &[], &[]), arrays, &preset())
}

#[test]
fn vaults_are_worked_by_hand() {
    let arrays = market();
    // 10 puts: x S = 75, 0.1678 x 75 + 15 = 27.585 each; the equity already has their 2 each.
    let puts = held(&arrays, 0, -10_000).unwrap();
    assert_eq!((puts.im.0, puts.mm.0), (255_850_000, 255_850_000));
    let codes: Vec<_> = puts.venue.iter().map(|c| (c.code.as_str(), c.im.0)).collect();
    assert_eq!(codes, [("vault_margin", 275_850_000), ("option_value", -20_000_000)]);
    assert_eq!(puts.im_excess.0, -275_850_000);
    // 10 calls of 30 days: 0.4032 x 0.75 + 0.25 = 0.5524 ETH each, 100 a piece; less their 8.
    assert_eq!(held(&arrays, -10_000, 0).unwrap().im.0, 472_400_000);
    // Too long for any bucket.
    let mut long = arrays.clone();
    long.instruments[7].seconds_to_expiry = Some(56 * DAY + 1);
    let error = held(&long, -1_000, 0).unwrap_err();
    assert!(error.to_string().contains("expected within the last bucket of upper bounds"), "{error:?}");
}

/// A put of strike 80 beside the one of 90, of the same expiry.
fn with_lower_put() -> RiskArrays {
    let mut arrays = market();
    let lower = &mut arrays.instruments[7];
    lower.instrument = "ETH_USDC-27FEB26-80-P".parse().unwrap();
    lower.mark = 1_000;
    lower.seconds_to_expiry = Some(5 * DAY);
    arrays
}

#[test]
fn a_long_caps_the_short_of_its_expiry_and_kind() {
    let arrays = with_lower_put();
    let margin = |lower, upper| held(&arrays, lower, upper).unwrap().venue[0].im.0;
    // Spread 10 each.
    assert_eq!(margin(10_000, -10_000), 100_000_000);
    // Four are covered, six are naked.
    assert_eq!(margin(4_000, -10_000), 40_000_000 + 6 * 27_585_000);
    // More longs than shorts change nothing; the higher put covers the lower one wholly.
    assert_eq!(margin(50_000, -10_000), 100_000_000);
    assert_eq!(margin(-10_000, 10_000), 0);
    // Beyond the last bucket a pair is margined as a spread, what is left of the short is refused.
    let mut long = arrays.clone();
    for place in [7, 8] {
        long.instruments[place].seconds_to_expiry = Some(100 * DAY);
    }
    let charges = |lower, upper| {
        let portfolio = portfolio_of(&[0, 0, 0, 0, 0, 0, 0, lower, upper], &[], &[]);
        terms().charges(&VenueBook::new(&long, &portfolio.positions, &[]).unwrap())
    };
    assert_eq!(charges(10_000, -10_000).unwrap()[0].im, Fixed::from(100));
    assert!(matches!(charges(9_999, -10_000), Err(VenueError::Domain { .. })));
}

#[test]
fn what_is_not_an_option_is_refused_and_a_short_without_numbers_too() {
    let arrays = market();
    let future = evaluate(&portfolio_of(&[1_000], &[], &[]), &arrays, &preset()).unwrap_err();
    let reason = "opyn does not margin BTC_USDC-27MAR26: a vault holds options and collateral";
    assert!(matches!(&future, MarginError::Venue { source, .. } if source.to_string() == reason), "{future}");
    let short = evaluate(&portfolio_of(&[0, 0, 0, -1_000], &[], &[]), &arrays, &preset()).unwrap_err();
    let reason = "opyn needs naked margin of BTC, which is not known";
    assert!(matches!(&short, MarginError::Venue { source, .. } if source.to_string() == reason), "{short}");
}

#[test]
fn bounds_that_fall_with_time_are_found() {
    assert_eq!(terms().lint(), []);
    let mut wrong = terms();
    for product in wrong.products.0.values_mut() {
        product.upper_bounds[1].share = fixed("0.1");
        product.upper_bounds[2].days = 1;
        product.spot_shock = Fixed::ZERO;
    }
    let codes: Vec<LintCode> = wrong.lint().into_iter().map(|found| found.code).collect();
    assert_eq!(codes, [LintCode::NotPositive, LintCode::ChargeFalls, LintCode::BoundsCrossed]);
}

proptest! {
    #[test]
    fn a_long_is_never_charged_more_than_its_premium(calls in 0_i64..100_000, puts in 0_i64..100_000) {
        let report = held(&market(), calls, puts).unwrap();
        prop_assert!(report.im <= report.marks && report.mm <= report.marks);
        prop_assert!(report.im_excess.0 >= 0 && report.mm_excess.0 >= 0);
    }

    #[test]
    fn shorts_need_more_with_size_and_a_long_never_raises_what_is_needed_of_collateral(
        shorts in 1_i64..100_000, more in 1_i64..10_000, longs in 0_i64..100_000,
    ) {
        let arrays = with_lower_put();
        let needed = |lower: i64, upper: i64| -held(&arrays, lower, upper).unwrap().im_excess.0;
        prop_assert!(needed(0, -shorts - more) > needed(0, -shorts));
        prop_assert!(needed(longs, -shorts) <= needed(0, -shorts));
        prop_assert!(needed(longs + more, -shorts) <= needed(longs, -shorts));
    }

    #[test]
    fn naked_margin_is_at_least_the_shocked_intrinsic_value_and_at_most_full_collateral(
        strike in 1_i64..10_000, spot in 1_i64..10_000,
    ) {
        let margin = |kind| {
            naked_margin(kind, Fixed::from(strike), Fixed::from(spot), fixed("0.75"), fixed("0.4603")).unwrap()
        };
        let (put, call) = (margin(OptionKind::Put), margin(OptionKind::Call));
        let intrinsic = Fixed::from(strike) - fixed("0.75") * Fixed::from(spot);
        prop_assert!(put >= intrinsic && put <= Fixed::from(strike) && put > Fixed::ZERO);
        prop_assert!(call <= Fixed::ONE && call > Fixed::ZERO);
    }
}
