//! Paradex: the documentation's examples, SCAN and minimum on delta on books, liquidation, acceptance, cross margin.

use crate::scenarios::{Column, Row, charge, grid, margin, premium, preset, refusal, report, tails};
use plimsoll_margin::venue::paradex_cross::{self, OptionTerms, long_option, open_size, short_option};
use plimsoll_margin::venue::paradex_portfolio::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_margin::*;
use plimsoll_types::{Fixed, OptionKind, Ppb};
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn columns() -> Vec<Column> {
    let far = [
        (-0.66, 0.18),
        (-0.33, 0.36),
        (0.5, 0.24),
        (1.0, 0.12),
        (2.0, 0.06),
        (3.0, 0.04),
        (4.0, 0.03),
        (5.0, 0.024),
    ];
    let inner = grid(&[0.12, 0.08, 0.04, 0.0, -0.04, -0.08, -0.12], &[1, -1]);
    [grid(&[0.16], &[1]), inner, grid(&[-0.16], &[1]), tails(&far)].concat()
}

fn portfolio_terms() -> Terms {
    match preset("paradex").aggregation {
        Aggregation::Venue(Venue::ParadexPortfolio(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn cross_terms() -> paradex_cross::Terms {
    match preset("paradex-cross").aggregation {
        Aggregation::Venue(Venue::ParadexCross(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_preset_has_the_published_table() {
    let terms = portfolio_terms();
    let weights = |asset: &str| -> Vec<String> {
        terms.assets[&asset.parse().unwrap()].tails.iter().map(|tail| tail.weight.to_string()).collect()
    };
    assert_eq!(columns().len(), 24);
    assert_eq!(weights("BTC"), ["0.18", "0.36", "0.24", "0.12", "0.06", "0.04", "0.03", "0.024"]);
    assert_eq!(weights("HYPE"), ["0.3", "0.5", "0.4", "0.2", "0.1", "0.07", "0.05", "0.04"]);
    assert!(terms.lint().is_empty() && cross_terms().lint().is_empty());
}

#[test]
fn a_linear_position_is_charged_its_sixteen_percent_and_the_fees() {
    let rows = [Row("BTC_USDC-PERPETUAL", 0)];
    let found = report(&rows, &[1_000], &columns(), &preset("paradex"));
    // -16 % costs 16,000; -66 % at 0.18 is 11,880; +500 % at 0.024 of a short 12,000. Fees: 3 bp.
    assert_eq!((charge(&found, "scan"), charge(&found, "minimum_delta")), (16_000.0, 0.0));
    assert_eq!((found.im.0, found.mm.0), (16_030_000_000, 8_030_000_000));
}

#[test]
fn a_hedged_book_is_charged_the_minimum_on_its_hedged_delta() {
    let rows = [Row("BTC_USDC-PERPETUAL", 0), Row("BTC-PERPETUAL", 0)];
    // A coin against the same in inverse contracts: nothing is lost, hedged delta is one coin at 1 %.
    let found = report(&rows, &[1_000, -100_000], &columns(), &preset("paradex"));
    assert!((charge(&found, "minimum_delta") - 1_000.0).abs() < 1e-6);
    assert_eq!(charge(&found, "scan"), 0.0);
}

#[test]
fn an_underlyings_own_tail_weights_replace_those_of_the_columns() {
    let rows = [Row("BTC_USDC-PERPETUAL", 0)];
    let mut params = preset("paradex");
    let Aggregation::Venue(Venue::ParadexPortfolio(terms)) = &mut params.aggregation else { panic!() };
    let tails = &mut terms.assets.get_mut(&"BTC".parse().unwrap()).unwrap().tails;
    tails[0].weight = of("0.5");
    // -66 % at one half.
    assert!((charge(&report(&rows, &[1_000], &columns(), &params), "scan") - 33_000.0).abs() < 1e-5);
    let Aggregation::Venue(Venue::ParadexPortfolio(terms)) = &mut params.aggregation else { panic!() };
    terms.assets.get_mut(&"BTC".parse().unwrap()).unwrap().tails[0].spot = Ppb(-650_000_000);
    assert!(refusal(&rows, &[1_000], &columns(), &params).contains("the weight of a tail"));
}

#[test]
fn what_is_not_listed_is_refused_by_name() {
    let rows = [Row("BTC", 0), Row("BTC-27MAR26", 90), Row("BTC_USDC-PERPETUAL", 0)];
    for name in ["paradex", "paradex-cross"] {
        assert!(refusal(&rows, &[1, 0, 0], &columns(), &preset(name)).contains("does not margin BTC"));
        assert!(
            refusal(&rows, &[0, 1, 0], &columns(), &preset(name)).contains("does not margin BTC-27MAR26")
        );
    }
    let mut params = preset("paradex");
    let Aggregation::Venue(Venue::ParadexPortfolio(terms)) = &mut params.aggregation else { panic!() };
    terms.assets.clear();
    assert!(refusal(&rows, &[0, 0, 1], &columns(), &params).contains("parameters of BTC"));
}

const TERMS: LiquidationTerms = LiquidationTerms {
    fee: Fixed::from_units(500_000_000_000_000_000),
    steps: 5,
    target: Fixed::from_units(900_000_000_000_000_000),
};

#[test]
fn the_table_of_partial_liquidation_is_made_with_a_fee_of_half() {
    // Share, new MMR, penalty, new account value, ratio in tenths of a percent (truncated as printed).
    for (share, mmr, penalty, value, ratio) in [
        ("0.2", "71.04", "8.88", "71.12", 998),
        ("0.4", "53.28", "17.76", "62.24", 856),
        ("0.6", "35.52", "26.64", "53.36", 665),
        ("0.8", "17.76", "35.52", "44.48", 399),
    ] {
        let step = liquidation_step(of("80"), of("88.8"), of(share), TERMS.fee);
        assert_eq!((step.mmr, step.penalty, step.account_value), (of(mmr), of(penalty), of(value)));
        let thousandths = step.margin_ratio.unwrap().known().unwrap() / 1_000_000_000_000_000;
        assert_eq!(thousandths, ratio);
    }
    assert_eq!(liquidation_share(of("80"), of("88.8"), &TERMS).unwrap(), of("0.4"));
}

#[test]
fn the_smallest_share_is_taken_and_all_where_none_suffices() {
    let share = |value: &str, mmr: &str| liquidation_share(of(value), of(mmr), &TERMS).unwrap();
    assert_eq!(share("100", "100"), Fixed::ZERO);
    assert_eq!(share("100", "100.1"), of("0.2"));
    // 100 at 0.8 less 10 % of 100: 80/90 is below 0.9; a value of 98.9 leaves 80/88.9 at 0.89988.
    assert_eq!(share("98.9", "100"), of("0.2"));
    assert_eq!(share("98.8", "100"), of("0.4"));
    assert_eq!(share("20", "100"), Fixed::ONE);
    assert_eq!(share("-5", "100"), Fixed::ONE);
    assert_eq!(share("-5", "0"), Fixed::ONE);
    assert!(liquidation_share(of("1"), of("2"), &LiquidationTerms { steps: 0, ..TERMS }).is_err());
    assert_eq!(liquidation_step(of("10"), of("100"), Fixed::ONE, TERMS.fee).margin_ratio, None);
}

#[test]
fn an_order_is_accepted_when_the_margin_is_met_or_does_not_rise() {
    assert!(accepts(of("100"), of("90"), of("100")));
    assert!(!accepts(of("100"), of("90"), of("100.01")));
    // The page: below its margin, 5 of 10 offset; 8 more would make the open size 13 - 10 = 3 on the other side only.
    assert!(accepts(of("80"), of("98"), of("98")));
    assert!(accepts(of("80"), of("98"), of("97")));
    assert!(!accepts(of("80"), of("98"), of("98.1")));
}

#[test]
fn the_limit_of_a_position_leaves_room_on_both_sides() {
    let none = (Fixed::ZERO, Fixed::ZERO);
    // Short 900 of a limit of 1000: 1900 to buy, 100 to sell.
    assert_eq!(position_room(of("1000"), of("-900"), none), (of("1900"), of("100")));
    assert_eq!(position_room(of("1000"), of("-900"), (of("2000"), of("40"))), (Fixed::ZERO, of("60")));
}

#[test]
fn orders_that_add_risk_go_first_then_the_most_passive_of_the_others() {
    let order = |size: &str, price: &str| OpenOrder { size: of(size), price: of(price) };
    let orders =
        [order("1", "90"), order("-4", "120"), order("-5", "110"), order("-3", "130"), order("2", "95")];
    // Long 10: the buys go; sells of 12 lose the one at 130.
    assert_eq!(deleveraged(of("10"), &orders), [0, 4, 3]);
    // Short 2: the sells go; buys of 3 lose the one at 90.
    assert_eq!(deleveraged(of("-2"), &orders), [1, 2, 3, 0]);
    assert_eq!(deleveraged(Fixed::ZERO, &orders), [0, 1, 2, 3, 4]);
}

#[test]
fn cross_margin_of_options_and_perpetuals_is_by_formula() {
    let terms = cross_terms().assets[&"BTC".parse().unwrap()];
    let spot = of("70000");
    // 15 % less 2,000 out of the money, not below 10 %.
    assert_eq!(short_option(&terms.im, OptionKind::Call, of("72000"), spot), of("8500"));
    assert_eq!(short_option(&terms.im, OptionKind::Call, of("90000"), spot), of("7000"));
    assert_eq!(short_option(&terms.im, OptionKind::Call, of("50000"), spot), of("10500"));
    assert_eq!(short_option(&terms.mm, OptionKind::Call, of("72000"), spot), of("3500"));
    // A put at 10,000 costs no more than half of that.
    assert_eq!(short_option(&terms.im, OptionKind::Put, of("10000"), spot), of("5000"));
    let free = OptionTerms { put_cap: None, ..terms.im };
    assert_eq!(short_option(&free, OptionKind::Put, of("10000"), spot), of("7000"));
    assert_eq!(long_option(&terms.im, of("500"), spot), of("500"));
    assert_eq!(long_option(&terms.im, of("20000"), spot), of("14000"));
    assert_eq!(long_option(&terms.mm, of("500"), spot), of("250"));
    assert_eq!(open_size(of("-1"), of("3"), of("2")), of("3"));
    assert_eq!(open_size(of("10"), of("0"), of("5")), of("10"));
}

#[test]
fn cross_margin_adds_positions_up() {
    let rows =
        [Row("BTC-26JUN26-120000-C", 180), Row("BTC_USDC-PERPETUAL", 0), Row("BTC-26JUN26-60000-C", 180)];
    let found = report(&rows, &[-1_000, -2_000, 1_000], &columns(), &preset("paradex-cross"));
    // Short: max(15,000 - 20,000, 10,000); perpetual 2 % of 200,000; long, worth 40,000: 20 % of spot.
    assert_eq!(charge(&found, "short_option"), 10_000.0);
    assert_eq!(charge(&found, "perpetual"), 4_000.0);
    assert!((charge(&found, "long_option") - 20_000.0).abs() < 1e-5);
    assert!((charge(&found, "fees") - 0.0003 * 400_000.0).abs() < 1e-5);
}

#[test]
fn the_linter_finds_what_is_wrong_with_parameters() {
    let mut terms = portfolio_terms();
    terms.mm_factor = of("1.1");
    let btc = terms.assets.get_mut(&"BTC".parse().unwrap()).unwrap();
    btc.tails[3].weight = of("1.2");
    btc.hedged = of("0.05");
    assert_eq!(terms.lint().len(), 3);
    let mut terms = cross_terms();
    terms.assets.get_mut(&"ETH".parse().unwrap()).unwrap().mm.short_itm = of("0.2");
    assert_eq!(terms.lint().len(), 1);
}

const BOOK: [Row; 6] = [
    Row("BTC-26JUN26-120000-C", 180),
    Row("BTC-26JUN26-80000-P", 180),
    Row("BTC_USDC-27MAR26-95000-C", 90),
    Row("BTC-27MAR26-105000-P", 90),
    Row("BTC-PERPETUAL", 0),
    Row("BTC_USDC-PERPETUAL", 0),
];

proptest! {
    #[test]
    fn long_options_never_cost_more_than_their_premium(lots in prop::collection::vec(0_i64..50_000, 4)) {
        for name in ["paradex", "paradex-cross"] {
            let found = report(&BOOK[..4], &lots, &columns(), &preset(name));
            let (im, fees) = (found.im.0 as f64 / 1e6, charge(&found, "fees"));
            let premium = premium(&BOOK[..4], &lots);
            prop_assert!(im - fees <= premium + 1e-9 * premium.max(1.0) && found.mm <= found.im, "{name} {im} {premium}");
        }
    }

    #[test]
    fn a_requirement_grows_with_size_and_covers_maintenance(
        lots in prop::collection::vec(-20_000_i64..20_000, 6), times in 2_i64..5,
    ) {
        for name in ["paradex", "paradex-cross"] {
            let params = preset(name);
            let (im, mm) = margin(&BOOK, &lots, &columns(), &params);
            let more: Vec<i64> = lots.iter().map(|lots| lots * times).collect();
            let (larger, _) = margin(&BOOK, &more, &columns(), &params);
            prop_assert!(mm <= im + 1e-5 && larger >= im - 1e-5, "{name} {im} {mm} {larger}");
        }
    }
}
