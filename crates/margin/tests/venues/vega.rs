//! Vega against its own tests, a plain integer implementation, and accounts worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::vega::*;
use plimsoll_margin::venue::{Method, Venue, VenueError};
use plimsoll_margin::{Aggregation, LintCode, MarginError, Params, evaluate};
use plimsoll_types::{Fixed, Ticks};
use proptest::prelude::*;

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/vega.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Vega(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn fixed(text: &str) -> Fixed {
    text.parse().unwrap()
}

const NONE: Slippage = Slippage { linear: Fixed::ZERO, quadratic: Fixed::ZERO };

fn risk() -> RiskFactors {
    RiskFactors { long: fixed("0.1"), short: fixed("0.11") }
}

fn orders(list: &[(i64, i128)]) -> Vec<LimitOrder> {
    list.iter().map(|(size, price)| LimitOrder { size: Fixed::from(*size), price: *price }).collect()
}

/// core/risk/engine_test.go, TestMarginWithNoOrdersOnBook.
#[test]
fn slippage_is_charged_on_the_open_position_alone_and_the_sum_rounds_up_once() {
    assert_eq!(maintenance_margin(risk(), NONE, &Exposure::of(Fixed::from(6)), 144, Fixed::ZERO), Ok(87));
    let (buys, sells) = (orders(&[(3, 141), (5, 132)]), orders(&[(5, 146), (2, 151)]));
    let slippage = Slippage { linear: fixed("0.01"), quadratic: Fixed::ZERO };
    let position = Fixed::from(-7);
    let exposure = Exposure { position, buys: &buys, sells: &sells, trading: Trading::Continuous };
    // 7 x 144 x 0.01 + 14 x 144 x 0.11 = 231.84; funding is due to a short, not from it.
    assert_eq!(maintenance_margin(risk(), slippage, &exposure, 144, Fixed::from(10)), Ok(232));
    // A payment of 10 per unit due from it: 70 more.
    assert_eq!(maintenance_margin(risk(), slippage, &exposure, 144, Fixed::from(-10)), Ok(302));
    // In an auction orders count at their prices (5 x 146 + 2 x 151 = 1032), at least at the indicative one (7 x 160).
    let at = |price| {
        let exposure = Exposure { trading: Trading::Auction { price }, ..exposure };
        maintenance_margin(risk(), slippage, &exposure, 144, Fixed::ZERO)
    };
    // 10.08 + 110.88 + 113.52 and 10.08 + 110.88 + 123.2.
    assert_eq!((at(0), at(160)), (Ok(235), Ok(245)));
}

#[test]
fn levels_are_rounded_down_and_transfers_go_to_the_initial_level() {
    let scaling = Scaling { search: fixed("3.2"), initial: fixed("4"), release: fixed("5") };
    let levels = margin_levels(249_600_000, scaling).unwrap();
    assert_eq!((levels.search, levels.initial, levels.release), (798_720_000, 998_400_000, 1_248_000_000));
    let levels = margin_levels(9, Scaling::NETWORK).unwrap();
    // 9.9, 10.8 and 12.6.
    assert_eq!((levels.maintenance, levels.search, levels.initial, levels.release), (9, 9, 10, 12));
    for (balance, moved) in [(0, 10), (8, 2), (9, 0), (12, 0), (13, -3)] {
        assert_eq!(transfer(balance, &levels), moved, "{balance}");
    }
}

/// core/risk/isolated_margin_test.go.
#[test]
fn isolated_orders_that_reduce_need_nothing_best_price_first() {
    let buys = orders(&[(30, 20), (10, 50), (20, 40)]);
    let sells = orders(&[(20, 40), (30, 50), (10, 20)]);
    let margin = |position: i64, buys: &[LimitOrder], sells: &[LimitOrder], trading| {
        let exposure = Exposure { position: Fixed::from(position), buys, sells, trading };
        isolated_order_margin(&exposure, 10, fixed("0.5")).unwrap()
    };
    let auction = Trading::Auction { price: 42 };
    assert_eq!(margin(-20, &buys, &[], Trading::Continuous), 50);
    assert_eq!(margin(0, &[], &sells, Trading::Continuous), 125);
    assert_eq!(margin(20, &buys, &[], auction), 130);
    assert_eq!(margin(20, &[], &sells, auction), 96);
    assert_eq!(margin(-4, &buys, &sells, Trading::Continuous), 125);
    assert_eq!(margin(-60, &buys, &[], auction), 0);
    let exposure = Exposure::of(Fixed::ONE);
    assert!(matches!(isolated_order_margin(&exposure, 0, Fixed::ONE), Err(VenueError::Domain { .. })));
}

/// 0041-TSTK, example 1, and core/integration 0019-MCAL.
#[test]
fn target_stake_takes_the_largest_open_interest_of_the_window() {
    let minutes = [(231, 140), (237, 120), (272, 90), (272, 60), (273, 70), (292, 110)];
    assert_eq!(open_interest_max(&minutes, 293, 60, 115), 120);
    // The start of the window does not count, what is merely in force does not, and the market opens late.
    assert_eq!(open_interest_max(&minutes, 297, 60, 115), 110);
    assert_eq!(open_interest_max(&minutes, 296, 60, 115), 120);
    assert_eq!(open_interest_max(&minutes, 500, 60, 115), 0);
    assert_eq!(open_interest_max(&minutes, 293, 600, 272), 110);
    assert_eq!(open_interest_max(&minutes, 272, 600, 0), 140);
    let risk = RiskFactors { long: fixed("0.118078458715817"), short: fixed("0.132813400256394") };
    assert_eq!(target_stake(1_000, 10, Fixed::ONE, risk), Ok(1_328));
    assert_eq!(target_stake(1_000, 10, fixed("1.5"), risk), Ok(1_992));
    assert!(matches!(target_stake(i128::MAX, 2, Fixed::ONE, risk), Err(VenueError::Overflow { .. })));
}

/// 0053-PERP and 0019-MCAL 027-030.
#[test]
fn funding_is_clamped_interest_on_the_premium_and_margins_who_pays() {
    let mut terms = FundingTerms {
        years: fixed("0.002"),
        interest: fixed("0.05"),
        clamp_lower: fixed("-0.05"),
        clamp_upper: fixed("1000000000"),
    };
    let paid = funding_payment(Fixed::from(1_700), Fixed::from(1_600), terms).unwrap();
    assert_eq!(paid, Fixed::from(20));
    assert_eq!(funding_margin(paid, -Fixed::ONE, fixed("0.5")), Ok(Fixed::ZERO));
    assert_eq!(funding_margin(paid, Fixed::from(3), fixed("0.5")), Ok(Fixed::from(30)));
    // Unclamped, a long pays interest alone: 0.16.
    terms.clamp_lower = -Fixed::ONE;
    assert_eq!(funding_payment(Fixed::from(1_700), Fixed::from(1_600), terms), Ok(fixed("0.16")));
}

#[test]
fn at_the_liquidation_price_collateral_and_profit_are_the_margin() {
    for (position, collateral) in [("10", "1500"), ("-10", "1500"), ("0.5", "100"), ("-3.25", "777.7")] {
        let (v, collateral, mark) = (fixed(position), fixed(collateral), Fixed::from(1_000));
        let slippage = Slippage { linear: fixed("0.01"), quadratic: fixed("0.0001") };
        let price = liquidation_price(collateral, (v, mark), Fixed::ZERO, risk(), slippage).unwrap();
        let factor = if v > Fixed::ZERO { risk().long } else { risk().short };
        let margin = price * (slippage.linear * v.abs() + slippage.quadratic * v * v + v.abs() * factor);
        let equity = collateral + v * (price - mark);
        assert!((equity - margin).abs() < fixed("1e-12"), "{position}: {equity} {margin}");
    }
    let rich = liquidation_price(Fixed::from(99_999), (Fixed::ONE, Fixed::ONE), Fixed::ZERO, risk(), NONE);
    assert_eq!(rich, Ok(Fixed::ZERO));
    let none = liquidation_price(Fixed::ONE, (Fixed::ZERO, Fixed::ONE), Fixed::ZERO, risk(), NONE);
    assert!(matches!(none, Err(VenueError::Domain { .. })));
}

#[test]
fn what_is_not_a_price_or_an_order_is_refused() {
    let wrong = orders(&[(0, 5)]);
    let exposure = Exposure { buys: &wrong, ..Exposure::of(Fixed::ONE) };
    let refused = maintenance_margin(risk(), NONE, &exposure, 100, Fixed::ZERO).unwrap_err();
    assert_eq!(refused.to_string(), "an order's size is 0: expected more than 0");
    let refused = maintenance_margin(risk(), NONE, &Exposure::of(Fixed::ONE), -1, Fixed::ZERO).unwrap_err();
    assert_eq!(refused.to_string(), "a mark price is -1: expected 0 or more");
    let vast = Exposure::of(fixed("1e20"));
    let lost = maintenance_margin(risk(), NONE, &vast, i128::MAX, Fixed::ZERO);
    assert!(matches!(lost, Err(VenueError::Overflow { .. })));
}

/// A perpetual of BTC at 100: 20 short, with 0.5 per lot due from a short.
#[test]
fn an_account_is_worked_by_hand() {
    let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    arrays.instruments[1].reference = 100_000_000;
    arrays.instruments[1].funding_8h = -500;
    let params = preset();
    let portfolio = portfolio_of(&[0, -20_000], &[("USDC", 1_000_000_000_000)], &[]);
    let report = evaluate(&portfolio, &arrays, &params).unwrap();
    // 20 x 100e6 x (0.001 + 0.009937604849), and 0.9 x 20,000 x 500 of funding; initial is 1.2 times that.
    let mm = 2_000_000_000.0_f64.mul_add(0.010_937_604_849, 9_000_000.0).ceil() as i128;
    assert_eq!((report.mm.0, report.im.0), (mm, mm * 6 / 5));
    assert_eq!(report.venue.len(), 1);
    assert_eq!(report.venue[0].code, "market_margin");
    // An option and spot are refused, and so is a market without factors.
    for (place, reason) in [
        (2, "vega does not margin BTC_USDC-26JUN26-100-C: it lists futures and perpetuals"),
        (4, "vega does not margin BTC: a margin account holds the settlement asset alone"),
    ] {
        let mut lots = [0; 5];
        lots[place] = 1_000;
        let error = evaluate(&portfolio_of(&lots, &[], &[]), &arrays, &params).unwrap_err();
        assert!(
            matches!(&error, MarginError::Venue { source, .. } if source.to_string() == reason),
            "{error}"
        );
    }
    let mut unknown = params.clone();
    let Aggregation::Venue(Venue::Vega(terms)) = &mut unknown.aggregation else { panic!() };
    terms.markets.0.clear();
    let error = evaluate(&portfolio, &arrays, &unknown).unwrap_err();
    let reason = "vega needs risk factors of BTC, which is not known";
    assert!(matches!(&error, MarginError::Venue { source, .. } if source.to_string() == reason), "{error}");
}

#[test]
fn swapped_levels_and_negative_factors_are_found() {
    assert_eq!(terms().lint(), []);
    let mut wrong = terms();
    wrong.scaling.initial = fixed("0.9");
    let codes: Vec<LintCode> = wrong.lint().into_iter().map(|found| found.code).collect();
    assert_eq!(codes, [LintCode::ImBelowMm, LintCode::BoundsCrossed]);
    let mut wrong = terms();
    for market in wrong.markets.0.values_mut() {
        market.risk.short = -Fixed::ONE;
        market.slippage.linear = -Fixed::ONE;
    }
    let codes: Vec<LintCode> = wrong.lint().into_iter().map(|found| found.code).collect();
    assert_eq!(codes, [LintCode::NotPositive, LintCode::ChargeFalls].repeat(2));
}

/// `maintenance_margin` of whole numbers: factors in 1e-4.
fn plain(v: i128, bids: i128, offers: i128, mark: i128, [long, short, linear]: [i128; 3]) -> i128 {
    let side = |x: i128, factor: i128, orders: i128| x * (linear + factor) * mark + orders * factor * mark;
    let long = if v + bids > 0 { side(v.max(0), long, bids) } else { 0 };
    let short = if v - offers < 0 { side((-v).max(0), short, offers) } else { 0 };
    let up = |x: i128| (x + 9_999) / 10_000;
    up(long.max(short).max(0))
}

proptest! {
    #[test]
    fn margins_equal_the_plain_implementation_and_rise_with_size(
        v in -100_000_i64..100_000, bids in 0_i64..1_000, offers in 0_i64..1_000,
        mark in 0_i128..1_000_000_000_000, factors in [1_i128..9_000, 1_i128..20_000, 0_i128..1_000],
    ) {
        let share = |x: i128| Fixed::ratio(x, 10_000);
        let risk = RiskFactors { long: share(factors[0]), short: share(factors[1]) };
        let slippage = Slippage { linear: share(factors[2]), quadratic: Fixed::ZERO };
        let of = |v: i64| {
            let list = |size: i64| if size == 0 { Vec::new() } else { orders(&[(size, 7)]) };
            let (buys, sells) = (list(bids), list(offers));
            let exposure = Exposure { buys: &buys, sells: &sells, ..Exposure::of(Fixed::from(v)) };
            maintenance_margin(risk, slippage, &exposure, mark, Fixed::ZERO).unwrap()
        };
        let expected = plain(v.into(), bids.into(), offers.into(), mark, factors);
        prop_assert_eq!(of(v), expected);
        if bids == 0 && offers == 0 {
            prop_assert!(of(v + v.signum()) >= of(v));
        }
    }

    #[test]
    fn the_requirement_of_an_account_rises_with_its_position(lots in 1_i64..50_000, more in 1_i64..5_000, short: bool) {
        let mut arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
        arrays.instruments[1].reference = 100_000_000;
        let sign = if short { -1 } else { 1 };
        let of = |lots: i64| evaluate(&portfolio_of(&[0, sign * lots], &[], &[]), &arrays, &preset()).unwrap();
        let (small, large) = (of(lots), of(lots + more));
        prop_assert!(large.im >= small.im && large.mm >= small.mm && small.im >= small.mm && small.mm > Ticks(0));
    }
}
