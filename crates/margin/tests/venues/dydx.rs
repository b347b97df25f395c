//! dYdX against numbers of its own tests and an account worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::dydx::*;
use plimsoll_margin::venue::{Method, Venue, VenueBook, VenueError, Whole};
use plimsoll_margin::{Aggregation, Params, evaluate};
use plimsoll_types::Ticks;
use proptest::prelude::*;

const BAND: Tier = Tier {
    initial_ppm: 200_000,
    maintenance_fraction_ppm: 500_000,
    open_interest_low: 25_000_000_000_000,
    open_interest_high: 50_000_000_000_000,
};
const FLAT: Tier = Tier { open_interest_low: 0, open_interest_high: 0, ..BAND };
const BTC: Scale = Scale { atomic: -8, exponent: -5 };

fn bitcoin(quantums: i128) -> Holding {
    Holding { quantums, market: Market { tier: FLAT, scale: BTC, price: 5_000_000_000 } }
}

#[test]
fn the_fraction_climbs_from_the_base_to_one_over_the_band() {
    let at = |oi| initial_fraction_ppm(&BAND, oi).unwrap();
    assert_eq!(at(0), 200_000);
    assert_eq!(at(25_000_000_000_000), 200_000);
    assert_eq!(at(25_000_000_000_001), 200_000);
    assert_eq!(at(30_000_000_000_000), 360_000);
    assert_eq!(at(49_999_999_999_999), 999_999);
    assert_eq!(at(50_000_000_000_000), 1_000_000);
    assert_eq!(at(i128::MAX), 1_000_000);
    assert_eq!(initial_fraction_ppm(&FLAT, i128::MAX), Ok(200_000));
    assert!(matches!(initial_fraction_ppm(&BAND, -1), Err(VenueError::Domain { .. })));
}

#[test]
fn margins_round_up_twice_and_the_notional_toward_zero() {
    let ok = |x: i128| Ok(Whole::from(x));
    assert_eq!(ceil_ppm(-1, 1), ok(1));
    assert_eq!(ceil_ppm(1_000_000, 1), ok(1));
    assert_eq!(ceil_ppm(1_000_001, 1), ok(2));
    // 3 at 20 % is 0.6, rounded to 1; half of it rounds to 1 again.
    assert_eq!(maintenance_margin(&FLAT, 3), ok(1));
    assert_eq!(initial_margin(&FLAT, 3, 0, 0), ok(1));
    assert_eq!(initial_margin(&FLAT, -1_000_000, 0, 300_000), ok(300_000));
    assert_eq!(initial_margin(&FLAT, -1_000_000, 0, 100_000), ok(200_000));
    assert_eq!(notional(-1, 123_456_789_123, Scale { atomic: 4, exponent: -5 }), ok(-12_345_678_912_300_000));
    let scale = Scale { atomic: -6, exponent: -1 };
    assert_eq!((notional(19, 1, scale), notional(-19, 1, scale)), (ok(1), ok(-1)));
    // TestGetMarginRequirementsInQuoteQuantums: the largest price and position, ten times, at a basis point.
    let most = i128::from(u64::MAX);
    let value = notional(most, most, Scale { atomic: -6, exponent: 1 }).unwrap();
    assert_eq!((value.known(), value.to_string().len()), (None, 40));
    let tier = Tier { initial_ppm: 100, maintenance_fraction_ppm: 1_000_000, ..FLAT };
    let margin = ok(340_282_366_920_938_463_426_481_119_284_349_109);
    assert_eq!(
        (initial_margin(&tier, value, 0, 0), maintenance_margin(&tier, value)),
        (margin.clone(), margin)
    );
    let beyond = notional(1, 1, Scale { atomic: 400, exponent: 0 }).unwrap_err();
    assert_eq!(beyond.to_string(), "a notional does not fit its number of digits");
}

#[test]
fn maintenance_margin_does_not_move_with_open_interest() {
    let value = 1_000_000_000_000_i128;
    assert_eq!(initial_margin(&BAND, value, 50_000_000_000_000, 0), Ok(value.into()));
    assert_eq!(maintenance_margin(&BAND, value), Ok(100_000_000_000.into()));
}

/// protocol/x/clob/keeper/liquidations_test.go.
#[test]
fn fillable_prices_are_exact_fractions() {
    let price = |quote, quantums, adjustment, spread| {
        let holding = bitcoin(quantums);
        let account = Standing::of(quote, &[holding]).unwrap();
        let terms =
            FillableTerms { bankruptcy_adjustment_ppm: adjustment, spread_to_maintenance_ppm: spread };
        fillable_price(&holding, account, terms).map(|price| price.to_string())
    };
    assert_eq!(price(-4_501_000_000, 10_000_000, 2_000_000, 100_000), Ok("24999/50".into()));
    assert_eq!(price(5_000_000_000, -10_000_000, 1_000_000, 100_000), Ok("505/1".into()));
    assert_eq!(price(-4_501_000_000, 10_000_000, 1_000_000, 1), Ok("4999999999/10000000".into()));
    // Well collateralised: the oracle price. Spread above the notional: below zero.
    assert_eq!(price(0, 10_000_000, 1_000_000, 100_000), Ok("500/1".into()));
    assert_eq!(price(-5_000_000_000, 10_000_000, 1_000_000, 20_000_000), Ok("-500/1".into()));
    assert!(matches!(price(1, 0, 1_000_000, 1), Err(VenueError::Domain { what: "a position", .. })));
}

#[test]
fn bankruptcy_prices_round_against_the_insurance_fund_never() {
    let price = |quote, quantums, change| {
        let holding = bitcoin(quantums);
        bankruptcy_price(&holding, change, Standing::of(quote, &[holding]).unwrap())
            .map(|price| price.known().unwrap())
    };
    assert_eq!(price(-5_000_000_000, 10_000_000, -5_000_000), Ok(2_500_000_000));
    assert_eq!(price(5_000_000_000, -10_000_000, 10_000_000), Ok(-5_000_000_000));
    assert_eq!(price(-13_000_000, 100_000_000, -21_347), Ok(2_776));
    for change in [0, 1, -10_000_001] {
        assert!(matches!(price(0, 10_000_000, change), Err(VenueError::Domain { what: "a change", .. })));
    }
}

#[test]
fn an_account_without_maintenance_margin_is_not_liquidatable() {
    let standing = |n: i128, m: i128| Standing { collateral: n.into(), maintenance: m.into() };
    assert!(!standing(-5, 0).is_liquidatable());
    assert!(!standing(5, 5).is_liquidatable());
    assert!(standing(4, 5).is_liquidatable());
    let none = Standing::of(7, &[]).unwrap();
    assert_eq!(none, standing(7, 0));
}

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/dydx.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Dydx(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

/// 20 coins of BTC short and 3 of SOL long at 100. BTC: 2 % of 2000, 60 % of it. SOL: open interest of 35 million is
/// half of its band, 10 % + 45 %; maintenance is half of 10 %.
#[test]
fn an_account_is_worked_by_hand() {
    let mut arrays = arrays_of(3, 3, 0, &[100, -50, 20]);
    arrays.instruments[11].open_interest = Some(Ticks(35_000_000_000_000));
    let mut lots = [0; 12];
    (lots[1], lots[11]) = (-20_000, 3_000);
    let portfolio = portfolio_of(&lots, &[("USDC", 1_000_000_000_000)], &[]);
    let report = evaluate(&portfolio, &arrays, &preset()).unwrap();
    let charges: Vec<_> = report.venue.iter().map(|charge| (charge.im.0, charge.mm.0)).collect();
    assert_eq!(charges, [(40_000_000, 24_000_000), (165_000_000, 15_000_000)]);
    assert_eq!((report.im.0, report.mm.0), (205_000_000, 39_000_000));
}

#[test]
fn open_interest_that_a_band_needs_must_be_known_and_other_contracts_are_refused() {
    let arrays = arrays_of(3, 3, 0, &[100, -50, 20]);
    let charges = |held: usize| {
        let mut lots = vec![0; held + 1];
        lots[held] = 1;
        let portfolio = portfolio_of(&lots, &[], &[]);
        terms().charges(&VenueBook::new(&arrays, &portfolio.positions, &[]).unwrap())
    };
    assert!(charges(1).is_ok());
    assert!(matches!(charges(11), Err(VenueError::Missing { what: "open interest", .. })));
    for held in [0, 2, 3, 4] {
        assert!(matches!(charges(held), Err(VenueError::Unsupported { method: "dydx", .. })), "{held}");
    }
}

/// A tenth of a position, and at most 100 thousand: of 0.1 and of 40 BTC at 50 000.
#[test]
fn a_block_liquidates_a_share_of_a_position_up_to_a_limit() {
    let most = |quantums| block_notional(&bitcoin(quantums), &terms().block).unwrap().known().unwrap();
    assert_eq!((most(10_000_000), most(-4_000_000_000)), (500_000_000, 100_000_000_000));
    assert_eq!((most(0), most(-1)), (0, 50));
}

#[test]
fn the_linter_finds_a_band_that_is_upside_down() {
    assert_eq!(terms().lint(), []);
    let mut bad = terms();
    let tier = bad.tiers.get_mut("small-cap").unwrap();
    (tier.open_interest_low, tier.maintenance_fraction_ppm) = (60_000_000_000_000, 1_000_001);
    assert_eq!(bad.lint().len(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn initial_margin_rises_with_open_interest_and_size_and_covers_maintenance(
        (base, part) in (0_u32..1_000_001, 0_u32..1_000_001),
        (low, width) in (0_u64..1 << 60, 1_u64..1 << 60),
        (oi, more_oi) in (0_i128..1 << 62, 0_i128..1 << 62),
        (value, more) in (0_i128..1 << 80, 0_i128..1 << 80),
    ) {
        let tier = Tier {
            initial_ppm: base,
            maintenance_fraction_ppm: part,
            open_interest_low: low,
            open_interest_high: low + width,
        };
        let im = |value, oi| initial_margin(&tier, value, oi, 0).unwrap();
        prop_assert!(im(value, oi + more_oi) >= im(value, oi));
        prop_assert!(im(value + more, oi) >= im(value, oi));
        prop_assert_eq!(im(-value, oi), im(value, oi));
        prop_assert!(im(value, oi) >= maintenance_margin(&tier, value).unwrap());
    }

    #[test]
    fn closing_in_parts_never_pays_less_than_at_once(
        (quote, size, part) in (-6_000_000_000_i128..0, 2_i128..20_000_000, 1_i128..100),
    ) {
        let whole = bitcoin(size);
        let account = Standing::of(quote, &[whole]).unwrap();
        let first = (size * part / 100).max(1);
        let rest = bitcoin(size - first);
        let price = |holding: &Holding, change, account| {
            bankruptcy_price(holding, change, account).map(|price| price.known().unwrap())
        };
        let at_once = price(&whole, -size, account).unwrap();
        let start = price(&whole, -first, account).unwrap();
        // The first part leaves the account with its price instead of its coins.
        let left = Standing::of(quote + start, &[rest]).unwrap();
        let end = price(&rest, -(size - first), left);
        if let Ok(end) = end {
            prop_assert!(start + end >= at_once, "{start} + {end} < {at_once}");
        }
    }
}
