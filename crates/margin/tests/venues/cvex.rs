//! CVEX: the quadratic form against mpmath, its domain, the preset on books.

use crate::scenarios::{Row, grid, margin, preset, refusal};
use plimsoll_margin::venue::cvex::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_margin::*;
use plimsoll_types::Fixed;
use proptest::prelude::*;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

fn exposure(net: &str, alpha: &str) -> Exposure {
    Exposure { net: of(net), alpha: of(alpha) }
}

fn terms() -> Terms {
    match preset("cvex").aggregation {
        Aggregation::Venue(Venue::Cvex(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_loss_is_the_root_of_the_quadratic_form() {
    // mpmath, 30 digits: sqrt(810000 + 1440000 - 1728000 + 10000 + 10000) = sqrt(542000).
    let two = [exposure("10000", "0.09"), exposure("-10000", "0.12")];
    let own = [(of("10000"), of("0.01")), (of("10000"), of("0.01"))];
    let loss = expected_loss(&two, &[(0, 1, of("0.01728"))], &own).unwrap();
    assert!((loss - of("736.206492772238460")).abs() < of("1e-15"), "{loss}");
    // Same direction: sqrt(810000 + 1440000 + 1728000 + 20000) = 1999.49993...
    let same = [exposure("10000", "0.09"), exposure("10000", "0.12")];
    let loss = expected_loss(&same, &[(0, 1, of("0.01728"))], &own).unwrap();
    assert!((loss - of("1999.499937484370115")).abs() < of("1e-12"), "{loss}");
    // Correlation 1 and the same move: a hedge leaves what is the contracts' own.
    let hedge = [exposure("5000", "0.1"), exposure("-5000", "0.1")];
    let loss = expected_loss(&hedge, &[(0, 1, of("0.02"))], &[]).unwrap();
    assert_eq!(loss, Fixed::ZERO);
    assert_eq!(expected_loss(&[], &[], &[]).unwrap(), Fixed::ZERO);
}

#[test]
fn large_books_keep_their_digits() {
    // A hundred billion: squares of 81e18 and more do not fit eighteen decimals, their sum over a power of ten does.
    let loss = expected_loss(&[exposure("100000000000", "0.09")], &[], &[]).unwrap();
    assert_eq!(loss, of("9000000000"));
}

#[test]
fn a_negative_radicand_and_an_unknown_pair_are_errors() {
    let two = [exposure("100", "0.1"), exposure("-100", "0.1")];
    // b = 2 rho a a with rho = 1.5.
    let refused = expected_loss(&two, &[(0, 1, of("0.03"))], &[]).unwrap_err().to_string();
    assert!(refused.contains("the square of a loss is -100") && refused.contains("repair"), "{refused}");
    assert!(expected_loss(&two, &[(0, 2, of("0.01"))], &[]).is_err());
    assert!(expected_loss(&[Exposure { net: Fixed::LOST, alpha: Fixed::ONE }], &[], &[]).is_err());
}

#[test]
fn a_matrix_that_is_not_one_of_correlations_is_a_finding() {
    assert!(terms().lint().is_empty());
    let with = |pairs: &[(&str, &str)]| {
        let mut terms = terms();
        terms.alpha.insert("SOL".parse().unwrap(), of("0.15"));
        terms.correlation = pairs.iter().map(|(pair, rho)| ((*pair).to_owned(), of(rho))).collect();
        terms.lint().into_iter().map(|finding| finding.code.code()).collect::<Vec<_>>()
    };
    assert_eq!(with(&[("BTC/ETH", "0.8"), ("SOL/BTC", "0.7"), ("ETH/SOL", "0.75")]), Vec::<&str>::new());
    // 0.9, 0.9, -0.9: the determinant is -2.888.
    assert_eq!(with(&[("BTC/ETH", "0.9"), ("BTC/SOL", "0.9"), ("ETH/SOL", "-0.9")]), ["not_positive"]);
    assert_eq!(with(&[("BTC/ETH", "0.9")]), ["missing"]);
    // Rank one: all correlations 1 is a correlation matrix.
    assert_eq!(with(&[("BTC/ETH", "1"), ("BTC/SOL", "1"), ("ETH/SOL", "1")]), Vec::<&str>::new());
}

#[test]
fn an_account_is_liquidatable_at_a_ratio_of_one() {
    assert_eq!(margin_ratio(of("50"), of("80"), of("20")).unwrap(), of("0.5"));
    assert!(margin_ratio(of("50"), of("80"), of("-80")).is_err());
}

#[test]
fn the_preset_margins_futures_and_refuses_options() {
    let columns = grid(&[0.0], &[0]);
    let rows = [Row("BTC_USDC-PERPETUAL", 0), Row("BTC-26JUN26-120000-C", 180), Row("BTC_USDC-27MAR26", 90)];
    let (im, mm) = margin(&rows, &[1_000, 0, 0], &columns, &preset("cvex"));
    // 100,000 x sqrt(0.09^2 + 0.01^2) = 9055.385138...
    assert!((mm - 9_055.385_138).abs() < 1e-4 && im == mm, "{im} {mm}");
    // Long one contract against another: two contracts' own moves, 1000 x sqrt(2).
    let (_, hedged) = margin(&rows, &[1_000, 0, -1_000], &columns, &preset("cvex"));
    assert!((hedged - 1_414.213_562).abs() < 1e-4, "{hedged}");
    assert!(refusal(&rows, &[0, 1, 0], &columns, &preset("cvex")).contains("neither gamma nor vega"));
    let mut params = preset("cvex");
    let Aggregation::Venue(Venue::Cvex(terms)) = &mut params.aggregation else { panic!() };
    terms.alpha.clear();
    assert!(refusal(&rows, &[1, 0, 0], &columns, &params).contains("the quantile move of BTC"));
}

proptest! {
    #[test]
    fn the_loss_is_homogeneous_and_at_most_the_sum_of_its_parts(
        a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000, rho in -100_i64..100,
    ) {
        let rho = Fixed::ratio(i128::from(rho), 100);
        let of_both = |k: i64| {
            let (x, y) = (Exposure { net: Fixed::from(a * k), alpha: of("0.09") },
                Exposure { net: Fixed::from(b * k), alpha: of("0.12") });
            expected_loss(&[x, y], &[(0, 1, beta(rho, x.alpha, y.alpha))], &[]).unwrap()
        };
        let one = of_both(1);
        let parts = Fixed::from(a).abs() * of("0.09") + Fixed::from(b).abs() * of("0.12");
        prop_assert!(one <= parts + of("1e-6"));
        prop_assert!((of_both(3) - one * Fixed::from(3)).abs() <= of("1e-4"));
    }
}
