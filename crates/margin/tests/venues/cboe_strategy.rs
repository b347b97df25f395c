//! Cboe's strategy margin: the manual's examples, each strategy by hand, and the rules every preset keeps.

use crate::accounts::{arrays, margin, portfolio, preset, refusal, row};
use plimsoll_margin::Aggregation;
use plimsoll_margin::venue::cboe_strategy::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_types::OptionKind::{Call, Put};
use plimsoll_types::{Fixed, OptionKind, Ppb};
use proptest::prelude::*;

const BILLION: i128 = 1_000_000_000;
const DAY: i64 = 86_400;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn rules() -> Rules {
    toml::from_str(
        "multiplier = 100\ncontract_step = 1\nrate = 0.20\nbroad_rate = 0.15\nminimum_rate = 0.10\n\
         listed_share = 0.75\nlisted_days = 90\nlong_shares = 0.50\nshort_shares = 0.50",
    )
    .unwrap()
}

fn option(kind: OptionKind, strike: &str, days: i64, price: &str, quantity: i64) -> OptionLeg {
    OptionLeg {
        kind,
        strike: of(strike),
        seconds: days * DAY,
        price: of(price),
        quantity: Fixed::from(quantity),
    }
}

fn stock(price: &str, quantity: i64) -> Shares {
    Shares { price: of(price), quantity: Fixed::from(quantity) }
}

fn equity(price: &str) -> Underlying {
    Underlying { price: of(price), class: Class::Equity, leverage: Fixed::ONE }
}

fn required(underlying: Underlying, options: &[OptionLeg], shares: &[Shares]) -> (String, String) {
    let found = requirement(&rules(), &underlying, options, shares).unwrap();
    (found.margin.to_string(), found.cash.to_string())
}

fn pair(margin: &str, cash: &str) -> (String, String) {
    (margin.to_owned(), cash.to_owned())
}

#[test]
fn naked_options_cost_a_rate_of_the_underlying_or_the_least() {
    let short = |kind, strike, price| vec![option(kind, strike, 30, price, -1)];
    // 2 + 19 - 15 against 2 + 8; cash 80 - 2.
    assert_eq!(required(equity("95"), &short(Put, "80", "2"), &[]), pair("1000", "7800"));
    assert_eq!(required(equity("128.5"), &short(Call, "120", "8.4"), &[]), pair("3410", "12010"));
    let broad = Underlying { class: Class::Broad, ..equity("433.35") };
    assert_eq!(required(broad, &short(Put, "430", "7.8"), &[]), pair("6945", "42220"));
    // The call of an index is deposited as its strike, that of a share as the share.
    assert_eq!(required(broad, &short(Call, "440", "7.8"), &[]).1, "43220");
    // A fund that moves one and a half times: the least is 2 + 157.545, a tie of cents that goes to the even one.
    let fund = Underlying { leverage: of("1.5"), ..equity("1050.3") };
    assert_eq!(required(fund, &short(Call, "1250", "2"), &[]), pair("15954", "104830"));
}

#[test]
fn half_a_cent_rounds_to_the_even_cent() {
    for (exact, rounded) in
        [("0.005", "0"), ("0.015", "0.02"), ("0.025", "0.02"), ("-0.015", "-0.02"), ("0.0151", "0.02")]
    {
        assert_eq!(cents(of(exact)), of(rounded), "{exact}");
    }
}

#[test]
fn long_options_are_paid_in_full_and_three_quarters_from_ninety_days() {
    let long = |days| vec![option(Call, "125", days, "5.01", 2)];
    assert_eq!(required(equity("128.5"), &long(89), &[]), pair("1002", "1002"));
    // 0.75 x 5.01 is 3.7575: 3.76.
    assert_eq!(required(equity("128.5"), &long(90), &[]), pair("752", "1002"));
}

#[test]
fn longs_cover_shorts_that_expire_no_later() {
    let underlying = equity("100");
    let calendar =
        |short, long| vec![option(Call, "105", short, "10", -1), option(Call, "110", long, "5", 1)];
    assert_eq!(required(underlying, &calendar(30, 30), &[]), pair("0", "0"));
    assert_eq!(required(underlying, &calendar(30, 60), &[]), pair("0", "0"));
    // The long expires first: naked 10 + 20 - 5, and the long in full.
    assert_eq!(required(underlying, &calendar(60, 30), &[]), pair("3000", "9500"));
    // Two short against one long: one is naked.
    let ratio = vec![option(Call, "105", 30, "10", -2), option(Call, "110", 30, "5", 1)];
    assert_eq!(required(underlying, &ratio, &[]), pair("2500", "9000"));
}

#[test]
fn all_covered_options_form_one_spread() {
    // An iron butterfly can lose on one side only.
    let butterfly = vec![
        option(Put, "16", 30, "0.1", 1),
        option(Put, "20", 30, "0.2", -1),
        option(Call, "24", 30, "4", 1),
        option(Call, "20", 30, "7", -1),
    ];
    assert_eq!(required(equity("26.75"), &butterfly, &[]), pair("90", "90"));
}

#[test]
fn what_opposes_itself_is_netted_first() {
    let underlying = equity("500");
    let both = vec![option(Call, "510", 30, "10", 1), option(Call, "510", 30, "10", -2)];
    assert_eq!(required(underlying, &both, &[]), pair("10000", "49000"));
    let none = vec![option(Call, "510", 30, "10", 1), option(Call, "510", 30, "10", -1)];
    assert_eq!(required(underlying, &none, &[]), pair("0", "0"));
}

#[test]
fn shares_cover_whole_contracts() {
    let short = |quantity| vec![option(Call, "90", 30, "7", quantity)];
    assert_eq!(required(equity("95"), &short(-1), &[stock("92.38", 100)]), pair("4619", "9238"));
    // 199 shares cover one of two calls; the other is naked: 7 + 19.
    assert_eq!(required(equity("95"), &short(-2), &[stock("92.38", 199)]), pair("11791.81", "27183.62"));
    // Short shares cover puts, at one and a half times their price, and cannot be held in a cash account.
    let puts = vec![option(Put, "90", 30, "3", -1)];
    assert_eq!(required(equity("95"), &puts, &[stock("92.38", -100)]), pair("13857", "0"));
    assert_eq!(required(equity("95"), &[], &[stock("92", 100), stock("94", -100)]), pair("0", "0"));
}

#[test]
fn strangles_and_cash_requirements_are_linear_in_quantity() {
    let broad = Underlying { class: Class::Broad, ..equity("433.35") };
    let straddle =
        |quantity| vec![option(Put, "435", 30, "7.2", quantity), option(Call, "435", 30, "5.5", quantity)];
    assert_eq!(required(broad, &straddle(-1), &[]), pair("7770", "85730"));
    assert_eq!(required(broad, &straddle(-3), &[]), pair("23310", "257190"));
    let put = |quantity| vec![option(Put, "80", 30, "2", quantity)];
    assert_eq!(required(equity("95"), &put(-4), &[]), pair("4000", "31200"));
}

#[test]
fn numbers_without_a_meaning_are_refused_by_name() {
    let bad = Rules { multiplier: Fixed::ZERO, ..rules() };
    let refused = requirement(&bad, &equity("95"), &[], &[]).unwrap_err().to_string();
    assert!(refused.starts_with("a multiplier is 0"), "{refused}");
    let negative = [option(Put, "80", 30, "-2", 1)];
    assert!(
        requirement(&rules(), &equity("95"), &negative, &[])
            .unwrap_err()
            .to_string()
            .starts_with("a price is -2")
    );
    let huge = [option(Put, "1e19", 30, "2", -1_000_000)];
    assert!(
        requirement(&rules(), &equity("95"), &huge, &[]).unwrap_err().to_string().contains("does not fit")
    );
}

fn book() -> Vec<crate::accounts::Row> {
    vec![
        row("BTC-27FEB26-110000-C", 57, 2000.0, 100_500.0),
        row("BTC-27FEB26-90000-P", 57, 1500.0, 100_500.0),
        row("BTC-26JUN26-120000-C", 176, 4000.0, 102_000.0),
        row("BTC", 0, 100_000.0, 100_000.0),
        row("BTC_USDC-PERPETUAL", 0, 0.0, 100_100.0),
    ]
}

#[test]
fn an_account_of_ours_is_charged_what_equity_has_not_counted() {
    let (rows, params) = (book(), preset("cboe"));
    let arrays = arrays(&rows, 1.0, Ppb::ZERO);
    let at =
        |lots: &[i64], collateral: &[(&str, i128)]| margin(&portfolio(lots, collateral), &arrays, &params);
    // A naked call: 2,000 + 20,000 - 10,000, of which equity has paid the 2,000.
    assert_eq!(at(&[-1000], &[("USDC", 50_000 * BILLION)]), (10_000.0, 10_000.0, 48_000.0));
    // Half a strangle: the put side is 1,500 + max(20,000 - 10,000, 9,000), the call side 2,000 + 10,000.
    assert_eq!(at(&[-500, -500], &[]).0, 5_000.0);
    // A later call covers: 10,000 of loss at 120,000 and 2,000 of debit, the debit being in equity.
    assert_eq!(at(&[-1000, 0, 1000], &[]), (12_000.0, 12_000.0, 2_000.0));
    // Coins cover the call in every part: half of their value.
    assert_eq!(at(&[-1500, 0, 0, 1500], &[]).0, 75_000.0);
    assert_eq!(at(&[0, 0, 0, -1000], &[]).0, 50_000.0);
    // Long options: in full, and three quarters of what has 90 days.
    assert_eq!(at(&[0, 1000, 1000], &[]), (4_500.0, 4_500.0, 5_500.0));
    let refused = refusal(&portfolio(&[0, 0, 0, 0, 1], &[]), &arrays, &params);
    assert!(
        refused.ends_with("cboe does not margin BTC_USDC-PERPETUAL: strategies are of options and shares")
    );
}

#[test]
fn a_cash_account_pays_or_deposits_everything() {
    let (rows, mut params) = (book(), preset("cboe"));
    let arrays = arrays(&rows, 1.0, Ppb::ZERO);
    let Aggregation::Venue(Venue::CboeStrategy(terms)) = &mut params.aggregation else {
        panic!("another method")
    };
    terms.account = AccountKind::Cash;
    // The put's strike less its price.
    assert_eq!(margin(&portfolio(&[0, -1000], &[]), &arrays, &params).0, 88_500.0);
    assert_eq!(margin(&portfolio(&[0, 0, 1000, 1000], &[]), &arrays, &params).0, 104_000.0);
    let refused = refusal(&portfolio(&[0, 0, 0, -1000], &[]), &arrays, &params);
    assert!(refused.ends_with("a cash account cannot sell short"), "{refused}");
}

#[test]
fn the_linter_names_what_is_wrong_with_rates() {
    let Aggregation::Venue(Venue::CboeStrategy(terms)) = preset("cboe").aggregation else {
        panic!("another method")
    };
    assert_eq!(terms.lint(), []);
    let mut bad = terms;
    bad.rules =
        Rules { multiplier: Fixed::ZERO, listed_share: of("1.2"), minimum_rate: of("0.3"), ..bad.rules };
    let codes: Vec<&str> = bad.lint().iter().map(|finding| finding.code.code()).collect();
    assert_eq!(codes, ["not_positive", "bounds_crossed", "outside_unit"]);
}

fn legs() -> impl Strategy<Value = Vec<OptionLeg>> {
    let one = (any::<bool>(), 14_i64..26, prop_oneof![Just(30_i64), Just(60), Just(120)], -5_i64..6);
    prop::collection::vec(one, 1..8).prop_map(|rows| {
        let leg = |(call, strike, days, quantity): (bool, i64, i64, i64)| {
            let kind = if call { Call } else { Put };
            let inside = Fixed::from(if call { 100 - 5 * strike } else { 5 * strike - 100 }).positive();
            let price = inside + Fixed::ratio(i128::from(days), 60);
            OptionLeg {
                kind,
                strike: Fixed::from(5 * strike),
                seconds: days * DAY,
                price,
                quantity: Fixed::from(quantity),
            }
        };
        rows.into_iter().map(leg).collect()
    })
}

fn amount(options: &[OptionLeg], shares: &[Shares]) -> Requirement {
    requirement(&rules(), &equity("100"), options, shares).unwrap()
}

proptest! {
    #[test]
    fn long_options_are_never_charged_more_than_they_cost(mut options in legs()) {
        for leg in &mut options {
            leg.quantity = leg.quantity.abs();
        }
        let cost: Fixed = options.iter().map(|leg| leg.quantity * leg.price * Fixed::from(100)).sum();
        let found = amount(&options, &[]);
        // A tie of cents may round three quarters of a price up, never above the price.
        prop_assert!(found.margin <= cost && found.cash <= cost + of("1e-9"));
    }

    #[test]
    fn the_requirement_is_linear_in_quantity(options in legs(), times in 2_i64..6) {
        let many: Vec<OptionLeg> =
            options.iter().map(|leg| OptionLeg { quantity: leg.quantity * Fixed::from(times), ..*leg }).collect();
        let (one, all) = (amount(&options, &[]), amount(&many, &[]));
        let near = |a: Fixed, b: Fixed| (a - b).abs() <= of("1e-9");
        prop_assert!(near(all.margin, one.margin * Fixed::from(times)) && near(all.cash, one.cash * Fixed::from(times)));
    }

    #[test]
    fn order_changes_nothing(options in legs(), shares in -500_i64..500) {
        let mut turned = options.clone();
        turned.reverse();
        prop_assert_eq!(amount(&options, &[stock("100", shares)]), amount(&turned, &[stock("100", shares)]));
    }

    #[test]
    fn every_contract_is_in_exactly_one_strategy(options in legs(), shares in -500_i64..500) {
        let found = strategies(&rules(), &options, &[stock("100", shares)]).unwrap();
        let pairs = found.strangles.iter().flat_map(|(call, put)| [call, put]);
        let all = found.covered.iter().chain(&found.spread).chain(pairs).chain(&found.naked).chain(&found.long);
        let placed: Fixed = all.map(|leg| leg.quantity).sum();
        prop_assert_eq!(placed, options.iter().map(|leg| leg.quantity).sum());
        let covered = found.spread.iter().map(|leg| leg.quantity).sum::<Fixed>();
        prop_assert_eq!(covered, Fixed::ZERO);
        prop_assert!(found.naked.iter().all(|leg| leg.quantity < Fixed::ZERO));
    }

    #[test]
    fn a_short_option_costs_more_the_larger_it_is(strike in 14_i64..26, quantity in 1_i64..50, call in any::<bool>()) {
        let short = |quantity: i64| [option(if call { Call } else { Put }, &(5 * strike).to_string(), 30, "3", -quantity)];
        let (less, more) = (amount(&short(quantity), &[]), amount(&short(quantity + 1), &[]));
        prop_assert!(less.margin < more.margin);
    }
}
