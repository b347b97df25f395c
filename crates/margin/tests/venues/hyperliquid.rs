//! Hyperliquid against its documentation, and accounts worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::curves::{fixed_ratio, leveraged_margin};
use plimsoll_margin::venue::hyperliquid::*;
use plimsoll_margin::venue::{Method, Venue, VenueError};
use plimsoll_margin::{Aggregation, LintCode, MarginError, Params, evaluate};
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/hyperliquid.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Hyperliquid(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn fixed(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn tiers(list: &[(i64, i64)]) -> Vec<LeverageTier> {
    let tier = |(from, leverage): &(i64, i64)| LeverageTier {
        from: Fixed::from(*from),
        leverage_max: Fixed::from(*leverage),
    };
    list.iter().map(tier).collect()
}

#[test]
fn maintenance_margin_is_a_rate_less_a_deduction_and_has_no_jump() {
    let at =
        |list: &[(i64, i64)], notional: i64| maintenance_margin(&tiers(list), Fixed::from(notional)).unwrap();
    let doge = at(&[(0, 10), (20_000_000, 5)], 30_000_000);
    assert_eq!(
        (doge.margin, doge.rate, doge.deduction),
        (Fixed::from(2_000_000), fixed("0.1"), Fixed::from(1_000_000),)
    );
    let bitcoin = [(0, 40), (150_000_000, 20)];
    let (edge, beneath) = (at(&bitcoin, 150_000_000), at(&bitcoin, 149_999_999));
    assert_eq!((edge.margin, edge.rate), (Fixed::from(1_875_000), fixed("0.025")));
    assert_eq!((beneath.rate, beneath.deduction), (fixed("0.0125"), Fixed::ZERO));
    assert_eq!(edge.margin - beneath.margin, fixed("0.0125"));
    assert_eq!(initial_margin(&tiers(&bitcoin), Fixed::from(200_000_000)), Ok(Fixed::from(6_250_000)));
    for wrong in [&[][..], &[(1, 40)], &[(0, 40), (0, 20)], &[(0, 0)]] {
        assert!(matches!(maintenance_margin(&tiers(wrong), Fixed::ONE), Err(VenueError::Domain { .. })));
    }
}

#[test]
fn at_the_liquidation_price_equity_is_the_maintenance_margin() {
    let holding = |side: i64| Holding {
        price: Fixed::from(100),
        size: Fixed::from(side),
        margin_available: Fixed::from(10),
        leverage_max: Fixed::from(20),
    };
    assert_eq!(liquidation_price(&holding(1)), Ok(fixed("89.743589743589743590")));
    // A short: 100 + 10/1.025.
    assert_eq!(liquidation_price(&holding(-1)), Ok(fixed("109.756097560975609756")));
    let available = margin_available(Fixed::from(15), Fixed::from(-2), Fixed::from(100), Fixed::from(20));
    assert_eq!(available, Ok(Fixed::from(10)));
    assert!(matches!(liquidation_price(&holding(0)), Err(VenueError::Domain { .. })));
}

#[test]
fn liquidation_begins_with_a_fifth_above_a_hundred_thousand() {
    assert_eq!(first_liquidation(Fixed::from(100_000)), Ok(Fixed::from(100_000)));
    assert_eq!(first_liquidation(Fixed::from(100_005)), Ok(Fixed::from(20_001)));
    assert_eq!(PARTIAL_PAUSE_SECONDS, 30);
    assert_eq!(backstop_equity(Fixed::from(900)), Ok(Fixed::from(600)));
}

#[test]
fn the_borrow_rate_has_a_kink_at_four_fifths() {
    let rate = |u: &str| borrow_rate(fixed(u)).unwrap();
    assert_eq!([rate("0"), rate("0.5"), rate("0.8")], [fixed("0.05"); 3]);
    assert_eq!((rate("0.9"), rate("1")), (fixed("0.525"), Fixed::ONE));
    assert!(borrow_rate(fixed("1.01")).is_err() && borrow_rate(fixed("-0.01")).is_err());
}

#[test]
fn portfolio_margin_counts_capped_collateral_at_three_quarters() {
    let hype = SpotCollateral {
        balance: Fixed::from(1_000),
        price: Fixed::from(40),
        ltv: fixed("0.5"),
        supply_cap: Fixed::from(500),
        borrow_cap: Fixed::from(100_000),
    };
    // 500 x 40 x 0.75.
    assert_eq!(hype.counted(), Ok(Fixed::from(15_000)));
    assert_eq!(hype.borrowable(), Ok(Fixed::from(20_000)));
    let capped = SpotCollateral { borrow_cap: Fixed::from(9_000), ..hype };
    assert_eq!(capped.counted(), Ok(Fixed::from(9_000)));
    let account = PortfolioAccount {
        cross_maintenance: Fixed::from(1_480),
        borrowed: Fixed::from(8_000),
        balance: Fixed::from(1_000),
        collateral: &[capped],
    };
    let ratio = portfolio_ratio(&account).unwrap();
    assert_eq!(ratio, fixed("0.95"));
    assert!(!portfolio_liquidatable(ratio) && portfolio_liquidatable(ratio + Fixed::from_units(1)));
    let empty = PortfolioAccount { balance: Fixed::ZERO, collateral: &[], ..account };
    assert!(matches!(portfolio_ratio(&empty), Err(VenueError::Domain { .. })));
}

#[test]
fn a_fixed_ratio_is_of_gross_size() {
    let values = [Fixed::from(100), Fixed::from(-300)];
    assert_eq!(fixed_ratio(fixed("1.5"), &values), Ok(Fixed::from(600)));
    assert_eq!(fixed_ratio(fixed("1.5"), &[]), Ok(Fixed::ZERO));
    assert_eq!(leveraged_margin(Fixed::from(-500), Fixed::from(20)), Ok(Fixed::from(25)));
    assert!(matches!(leveraged_margin(Fixed::ONE, Fixed::ZERO), Err(VenueError::Domain { .. })));
}

/// 3 million BTC of a perpetual at 100: half above the edge of 150 million.
#[test]
fn an_account_is_worked_by_hand() {
    let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    arrays.instruments[1].reference = 100_000_000;
    let report = evaluate(&portfolio_of(&[0, -3_000_000_000], &[], &[]), &arrays, &preset()).unwrap();
    // 150 million at 1/40 and 150 million at 1/20, half of that to maintain.
    assert_eq!((report.im.0, report.mm.0), (11_250_000_000_000, 5_625_000_000_000));
    let error = evaluate(&portfolio_of(&[1_000], &[], &[]), &arrays, &preset()).unwrap_err();
    let reason =
        "hyperliquid does not margin BTC_USDC-27MAR26: the cross account holds perpetuals and the currency";
    assert!(matches!(&error, MarginError::Venue { source, .. } if source.to_string() == reason), "{error}");
}

#[test]
fn leverage_that_rises_with_size_is_found() {
    assert_eq!(terms().lint(), []);
    let mut wrong = terms();
    for list in wrong.markets.0.values_mut() {
        *list = tiers(&[(0, 10), (5, 20), (5, -1)]);
    }
    wrong.markets.0.retain(|scope, _| scope.to_string() == "BTC");
    let codes: Vec<LintCode> = wrong.lint().into_iter().map(|found| found.code).collect();
    assert_eq!(codes, [LintCode::ChargeFalls, LintCode::NotPositive]);
}

proptest! {
    #[test]
    fn margins_rise_with_size_without_a_jump_and_initial_is_twice_maintenance(
        notional in 0_i64..400_000_000, more in 1_i64..1_000_000,
    ) {
        let list = tiers(&[(0, 40), (1_000_000, 25), (150_000_000, 10), (300_000_000, 3)]);
        let of = |x: i64| maintenance_margin(&list, Fixed::from(x)).unwrap();
        let (small, large) = (of(notional), of(notional + more));
        let rise = large.margin - small.margin;
        prop_assert!(rise > Fixed::ZERO && rise <= Fixed::from(more) * fixed("0.166666666666666667"));
        let direct = Fixed::from(notional) * small.rate - small.deduction;
        prop_assert!((direct - small.margin).abs() < fixed("1e-8"));
        let im = initial_margin(&list, Fixed::from(notional)).unwrap();
        prop_assert!((im - small.margin - small.margin).abs() < fixed("1e-8"));
    }
}
