//! Deribit's portfolio and standard margin: published responses, coin books on our arrays, the rules every preset keeps.

use crate::scenarios::{Column, Row, charge, grid, margin, premium, preset, refusal, report, tails};
use plimsoll_margin::venue::deribit_portfolio::*;
use plimsoll_margin::venue::deribit_standard;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_margin::*;
use plimsoll_types::{Fixed, OptionKind};
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn columns() -> Vec<Column> {
    let prices = [-0.16, -0.12, -0.08, -0.04, 0.0, 0.04, 0.08, 0.12, 0.16];
    let far = [
        (-0.66, 0.197),
        (-0.33, 0.394),
        (0.5, 0.26),
        (1.0, 0.13),
        (2.0, 0.065),
        (3.0, 0.0433),
        (4.0, 0.0325),
        (5.0, 0.026),
    ];
    [grid(&prices, &[1, 0, -1]), tails(&far)].concat()
}

fn portfolio_terms() -> Terms {
    match preset("deribit-pm").aggregation {
        Aggregation::Venue(Venue::DeribitPortfolio(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn standard_terms() -> deribit_standard::Terms {
    match preset("deribit-sm").aggregation {
        Aggregation::Venue(Venue::DeribitStandard(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

fn vectors(standard: &[&str], extended: &[&str]) -> Vectors {
    let read = |all: &[&str]| all.iter().map(|x| of(x)).collect();
    Vectors { standard: read(standard), extended: read(extended) }
}

#[test]
fn a_response_of_february_2026_is_reproduced() {
    // private/pme/simulate of 15 February 2026: short 0.999487053 ETH of perpetual, price range 18 %.
    let short = of("-0.999487053");
    let moves = buckets(of("0.18"), 4).unwrap();
    let standard: Vec<Fixed> = moves.iter().flat_map(|by| [inverse_future(short, *by); 3]).collect();
    let far = ["-0.66", "-0.33", "0.5", "1", "2", "3", "4", "5"].map(of);
    let extended = future_extended(&standard, &far);
    assert!((extended[0] - of("0.219399596999999970")).abs() < of("1e-16"));
    assert!((extended[7] - of("-0.152464126728813570")).abs() < of("1e-16"));
    let terms = &portfolio_terms().currencies["ETH"];
    let counted = aggregate(&Vectors { standard, extended }, terms, of("1949.34")).unwrap();
    assert!((counted.standard[0] - of("0.131639758199999980")).abs() < of("1e-16"));
    assert!(counted.extended.iter().all(|pnl| *pnl == Fixed::ZERO));
    let (loss, at) = worst(&counted).unwrap();
    assert_eq!((at.bucket, at.index, at.side, at.source), (9, 25, "right", "standard"));
    let parts =
        Parts { worst_case: loss, roll_shock: roll_shock(short, Fixed::ZERO, terms), ..Parts::default() };
    let found = requirement(&parts, of("0.8")).unwrap();
    assert_eq!(found.risk_matrix_margin.to_string(), "0.157461562265");
    assert_eq!(found.initial_margin.to_string(), "0.157461562");
    assert_eq!(found.maintenance_margin.to_string(), "0.125969249812");
}

#[test]
fn gains_count_by_the_offset_up_to_the_limit_and_losses_in_full() {
    let terms = CurrencyTerms {
        pnl_offset: of("0.4"),
        max_offsetable_pnl: Some(of("1000")),
        annualised_move_risk: of("0.1"),
        min_annualised_move: of("0.01"),
        extended_dampener: of("25000"),
    };
    let pair = vectors(&["-0.5", "0.01", "0.5"], &["-0.5", "-0.1", "0.9"]);
    let counted = aggregate(&pair, &terms, of("100000")).unwrap();
    // 1,000 over 100,000 is 0.01 of a coin at most; 25,000 is a quarter of a coin.
    assert_eq!(counted.standard, vectors(&["-0.5", "0.004", "0.01"], &[]).standard);
    assert_eq!(counted.extended, vectors(&[], &["-0.25", "0", "0"]).extended);
    let free = CurrencyTerms { max_offsetable_pnl: None, ..terms.clone() };
    assert_eq!(aggregate(&pair, &free, of("100000")).unwrap().standard[2], of("0.2"));
    assert!(aggregate(&pair, &terms, Fixed::ZERO).is_err());
}

#[test]
fn the_worst_case_names_its_table_its_side_and_its_place() {
    let at = |total: &Vectors| {
        worst(total).map(|(loss, at)| (loss.to_string(), at.source, at.side, at.bucket, at.index))
    };
    let standard = |at: usize, loss: &str| {
        let mut all = vec![Fixed::ZERO; 27];
        all[at] = of(loss);
        Vectors { standard: all, extended: vec![Fixed::ZERO; 8] }
    };
    assert_eq!(at(&standard(2, "-1")).unwrap(), ("1".into(), "standard", "left", 1, 3));
    assert_eq!(at(&standard(13, "-2")).unwrap(), ("2".into(), "standard", "center", 5, 14));
    assert_eq!(at(&standard(26, "-3")).unwrap(), ("3".into(), "standard", "right", 9, 27));
    let mut far = standard(26, "-3");
    far.extended[1] = of("-4");
    assert_eq!(at(&far).unwrap(), ("4".into(), "extended", "left", 2, 2));
    far.extended[2] = of("-5");
    assert_eq!(at(&far).unwrap(), ("5".into(), "extended", "right", 3, 3));
    // Equal losses: the first. All gains: nothing.
    assert_eq!(at(&standard(4, "7")).unwrap(), ("0".into(), "standard", "left", 1, 1));
    assert!(worst(&vectors(&["1", "2"], &[])).is_err());
    assert!(worst(&Vectors { standard: vec![Fixed::LOST; 3], extended: vec![] }).is_err());
}

#[test]
fn deltas_decay_over_the_last_half_hour() {
    for (seconds, share) in [(86_400, "1"), (1800, "1"), (900, "0.5"), (450, "0.25"), (0, "0"), (-5, "0")] {
        assert_eq!(settlement_share(seconds), of(share), "{seconds}");
    }
    // The support page: a call with delta 1 and mark 0.3, 15 minutes in: 0.5 - 0.3 x 0.5 = 0.35.
    assert_eq!(net_delta(Fixed::ONE, of("0.3"), 900), of("0.35"));
}

#[test]
fn an_inverse_position_is_margined_in_coin_at_the_index() {
    // A million dollars of inverse perpetual is ten coins; -16 % costs 10 x 0.16/0.84 coins, the roll a tenth of one.
    let rows = [Row("BTC-PERPETUAL", 0)];
    let params = preset("deribit-pm");
    let worst = 10.0 * 0.16 / 0.84;
    let coin = |x: f64| (x * 1e9).round() / 1e9 * 100_000.0;
    let (im, mm) = margin(&rows, &[1_000_000], &columns(), &params);
    assert!((im - coin(worst) - 10_000.0).abs() < 1e-3, "{im}");
    assert!((mm - 0.8 * im).abs() < 1e-5);
    // Short: the rise costs 0.16/1.16.
    let (short, _) = margin(&rows, &[-1_000_000], &columns(), &params);
    assert!((short - coin(10.0 * 0.16 / 1.16) - 10_000.0).abs() < 1e-3, "{short}");
}

#[test]
fn a_linear_position_is_margined_in_its_quote() {
    let rows = [Row("BTC_USDC-PERPETUAL", 0)];
    // One coin: 16 %, and 1 % of roll.
    let (im, mm) = margin(&rows, &[1_000], &columns(), &preset("deribit-pm"));
    assert!((im - 17_000.0).abs() < 1e-6 && (mm - 13_600.0).abs() < 1e-6, "{im} {mm}");
    // A future of a year: 10 % a year of roll.
    let future = [Row("BTC_USDC-25DEC26", 365)];
    let (im, _) = margin(&future, &[-1_000], &columns(), &preset("deribit-pm"));
    assert!((im - 26_000.0).abs() < 1e-6, "{im}");
}

#[test]
fn coin_held_beside_a_coin_book_neither_gains_nor_loses() {
    let rows = [Row("BTC", 0), Row("BTC-26JUN26-120000-C", 180)];
    let params = preset("deribit-pm");
    assert_eq!(margin(&rows, &[5_000, 0], &columns(), &params), (0.0, 0.0));
    let alone = report(&rows, &[0, -1_000], &columns(), &params);
    let covered = report(&rows, &[1_000, -1_000], &columns(), &params);
    assert_eq!(covered.im, alone.im);
}

#[test]
fn far_short_calls_are_seen_by_the_extended_table() {
    // Calls at 250,000 have no value under the standard moves of the test's market; a hundred of them at +200 to +500 %
    // lose millions, which the dampener of 100,000 does not cover.
    let rows = [Row("BTC-26JUN26-250000-C", 180)];
    let found = report(&rows, &[-100_000], &columns(), &preset("deribit-pm"));
    // +500 %: value 350,000 of 600,000, in coin 0.58333 each, times 0.026; 100 of them, less a coin of dampener.
    let expected: f64 = (100.0 * (350_000.0 / 600_000.0) * 0.026 - 1.0) * 100_000.0;
    let at_300 = (100.0 * (150_000.0 / 400_000.0) * 0.0433 - 1.0) * 100_000.0;
    let at_400 = (100.0 * (250_000.0 / 500_000.0) * 0.0325 - 1.0) * 100_000.0;
    let worst = expected.max(at_300).max(at_400);
    assert!((charge(&found, "worst_case") - worst).abs() < 0.1, "{}", charge(&found, "worst_case"));
}

#[test]
fn correlation_sets_add_bucket_by_bucket_before_the_minimum() {
    let one = vectors(&["-1", "0", "2"], &[]);
    let other = vectors(&["3", "0", "-1.5"], &[]);
    let together = sum(&[one.clone(), other]).unwrap();
    assert_eq!(together, vectors(&["2", "0", "0.5"], &[]));
    assert!(sum(&[one, vectors(&["1"], &[])]).is_err());
}

#[test]
fn standard_margin_has_the_published_formulas() {
    let terms = standard_terms();
    let short = |kind, otm: &str, mark: &str| {
        let found = deribit_standard::short_option(&terms, kind, of(otm), of(mark));
        (found.im.to_string(), found.mm.to_string())
    };
    let pair = |im: &str, mm: &str| (im.to_owned(), mm.to_owned());
    assert_eq!(short(OptionKind::Call, "0", "0.05"), pair("0.2", "0.125"));
    assert_eq!(short(OptionKind::Call, "0.03", "0.02"), pair("0.14", "0.095"));
    assert_eq!(short(OptionKind::Call, "0.9", "0.001"), pair("0.101", "0.076"));
    assert_eq!(short(OptionKind::Put, "0.03", "0.02"), pair("0.14", "0.095"));
    // A put far in the money: 7.5 % of its mark is more than 7.5 % of a coin, and IM is not below MM.
    assert_eq!(short(OptionKind::Put, "0", "3"), pair("3.225", "3.225"));
    let future = deribit_standard::future(&terms, of("-100"));
    // 2 % + 0.5 bp x 100 = 2.5 % of 100.
    assert_eq!((future.im.to_string(), future.mm.to_string()), pair("2.5", "1.5"));
}

#[test]
fn standard_margin_takes_the_value_of_options_out_of_equity() {
    let params = preset("deribit-sm");
    let rows = [Row("BTC-26JUN26-120000-C", 180), Row("BTC-PERPETUAL", 0)];
    let mark = premium(&rows, &[1_000]);
    // A long call was paid for: its value is no margin.
    assert_eq!(margin(&rows, &[1_000], &columns(), &params), (mark, mark));
    // A short one is charged its formula with the mark, and its negative value is in equity already.
    let short = report(&rows, &[-1_000], &columns(), &params);
    assert!((charge(&short, "short_option") - (10_000.0 + mark)).abs() < 1e-5);
    assert!(
        (short.im.0 as f64 / 1e6 - 10_000.0).abs() < 1e-5 && (short.mm.0 as f64 / 1e6 - 7_500.0).abs() < 1e-5
    );
    let (im, mm) = margin(&rows, &[0, 1_000_000], &columns(), &params);
    // Ten coins: 2 % + 0.05 %, 1 % + 0.05 %.
    assert!((im - 20_500.0).abs() < 1e-5 && (mm - 10_500.0).abs() < 1e-5, "{im} {mm}");
    let mut unknown = params.clone();
    let Aggregation::Venue(Venue::DeribitStandard(terms)) = &mut unknown.aggregation else { panic!() };
    terms.underlyings.clear();
    let why = refusal(&rows, &[0, 1], &columns(), &unknown);
    assert!(why.contains("BTC-PERPETUAL") && why.contains("not published"), "{why}");
}

#[test]
fn the_linter_finds_what_is_wrong_with_parameters() {
    assert!(portfolio_terms().lint().is_empty() && standard_terms().lint().is_empty());
    let mut terms = portfolio_terms();
    terms.mm_factor = of("1.2");
    terms.currencies.get_mut("BTC").unwrap().extended_dampener = of("-1");
    assert_eq!(terms.lint().len(), 2);
    let mut terms = standard_terms();
    (terms.option_im_least, terms.future_mm) = (of("0.05"), of("0.03"));
    assert_eq!(terms.lint().len(), 2);
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
        for name in ["deribit-pm", "deribit-sm"] {
            let (im, mm) = margin(&BOOK[..4], &lots, &columns(), &preset(name));
            let premium = premium(&BOOK[..4], &lots);
            prop_assert!(im <= premium + 1e-9 * premium.max(1.0) && mm <= im, "{name} {im} {mm} {premium}");
        }
    }

    #[test]
    fn a_requirement_grows_with_size_and_covers_maintenance(
        lots in prop::collection::vec(-20_000_i64..20_000, 6), times in 2_i64..5,
    ) {
        for name in ["deribit-pm", "deribit-sm"] {
            let params = preset(name);
            let (im, mm) = margin(&BOOK, &lots, &columns(), &params);
            let more: Vec<i64> = lots.iter().map(|lots| lots * times).collect();
            let (larger, _) = margin(&BOOK, &more, &columns(), &params);
            prop_assert!(mm <= im + 1e-6 && larger >= im - 1e-6, "{name} {im} {mm} {larger}");
        }
    }
}
