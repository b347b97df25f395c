//! Drift against the numbers of its own tests and against an account worked by hand.
use crate::common::{arrays_of, portfolio_of};
use plimsoll_margin::venue::drift::*;
use plimsoll_margin::venue::{Method, Venue, VenueBook, VenueError};
use plimsoll_margin::{Aggregation, Params, evaluate};
use plimsoll_types::*;
use proptest::prelude::*;

const ALL: [MarginType; 3] = [MarginType::Initial, MarginType::Fill, MarginType::Maintenance];

fn market(initial: u32, maintenance: u32, imf: u32) -> PerpRatios {
    PerpRatios { initial, maintenance, imf, high_leverage: None, settlement: false }
}

fn lifted(initial: u32, maintenance: u32, imf: u32) -> PerpRatios {
    PerpRatios { high_leverage: Some(HighLeverage { initial, maintenance }), ..market(1000, 500, imf) }
}

fn spot(asset: [u32; 2], liability: [u32; 2], decimals: u32, imf: u32) -> SpotWeights {
    SpotWeights {
        asset_initial: asset[0],
        asset_maintenance: asset[1],
        liability_initial: liability[0],
        liability_maintenance: liability[1],
        decimals,
        imf,
    }
}

/// programs/drift/src/math/margin/tests.rs, spot_market_asset_weight.
#[test]
fn weights_of_tokens_are_those_of_the_venues_tests() {
    let size = 1_000_000_000;
    let with = |imf| spot([9000, 0], [11_000, 0], 6, imf);
    let asset = |imf, size| spot_asset_weight(&with(imf), 9000, size, MarginType::Initial).unwrap();
    assert_eq!(asset(0, size), 9000);
    assert_eq!(asset(10, size), 9000);
    assert_eq!(asset(10, size * 1_000_000), 8357);
    assert_eq!(asset(10_000, size), 8357);
    assert_eq!(asset(100_000, size), 2642);
    let owed = |imf, kind| spot_liability_weight(&with(imf), size, kind).unwrap();
    assert_eq!(owed(10, MarginType::Initial), 11_000);
    assert_eq!(owed(10_000, MarginType::Initial), 11_962);
    assert_eq!(owed(100_000, MarginType::Initial), 40_422);
    assert_eq!(owed(100_000, MarginType::Maintenance), 31_622);
    let other = |imf| spot([1500, 7500], [15_000, 12_500], 6, imf);
    let large = 100_000_000_000;
    let by_type = |imf| ALL.map(|kind| spot_asset_weight(&other(imf), 1500, large, kind).unwrap());
    assert_eq!(by_type(0), [1500, 4500, 7500]);
    assert_eq!(by_type(100_000), [337, 337, 337]);
}

/// spot_market_scale_initial_asset_weight: nine decimals, 25 a coin, scaled from 500 thousand.
#[test]
fn a_market_with_many_deposits_counts_them_for_less() {
    for (coins, expected) in [(1, 9000), (20_000, 9000), (40_000, 4500), (60_000, 3000)] {
        let value = token_value(coins * 1_000_000_000, 9, StrictPrice::plain(25_000_000)).unwrap();
        assert_eq!(scaled_initial_asset_weight(9000, 500_000_000_000, value).unwrap(), expected);
    }
}

/// calculate_user_equity_value_tests.
#[test]
fn profit_and_requirement_are_those_of_the_venues_tests() {
    let weight = |pnl| unrealised_pnl_weight(10_000, 1000, pnl).unwrap();
    assert_eq!(weight(22_699_050_905), 9559);
    let profit = 24_282_786_896;
    for (times, expected) in [(1, 9516), (10, 7368), (100, 4299), (1000, 1855), (10_000, 663), (800_000, 78)]
    {
        assert_eq!(weight(profit * times), expected, "{times}");
    }
    assert_eq!((weight(0), weight(-1)), (10_000, 10_000));
    let base = -6_147_540_983;
    let ratio = perp_margin_ratio(&market(1000, 500, 1000), -base, MarginType::Initial, false).unwrap();
    assert_eq!(perp_requirement(base, 22_050_000_000, PRICE_UNITS, ratio).unwrap(), 13_555_327_867);
    assert_eq!(perp_requirement(base, 21_050_000_000, PRICE_UNITS, ratio).unwrap(), 12_940_573_769);
}

#[test]
fn a_ratio_depends_on_type_status_and_mode() {
    let coin = 1_000_000_000;
    let of = |market: &PerpRatios, size, high| {
        ALL.map(|kind| perp_margin_ratio(market, size, kind, high).unwrap())
    };
    assert_eq!(of(&market(1000, 500, 0), coin, false), [1000, 750, 500]);
    assert_eq!(of(&PerpRatios { settlement: true, ..market(1000, 500, 0) }, coin, false), [0, 0, 0]);
    // Without a size factor the mode replaces the ratio; not in the mode, or without both ratios, nothing changes.
    assert_eq!(of(&lifted(200, 100, 0), coin, true), [200, 150, 100]);
    assert_eq!(of(&lifted(200, 100, 0), coin, false), [1000, 750, 500]);
    assert_eq!(of(&lifted(200, 0, 0), coin, true), [1000, 750, 500]);
    // 3000 coins, factor 0.00005: maintenance 40 + 27.
    assert_eq!(of(&lifted(100, 50, 50), 3_000 * coin, true)[2], 67);
    // Initial there: adj = 800 + 27, f = 1e6 - 173e6/200 = 135 000, 900 x 0.135 + 100.
    assert_eq!(of(&lifted(100, 50, 50), 3_000 * coin, true)[0], 221);
    // Where the premium exceeds the ordinary ratio it is the ratio.
    assert_eq!(of(&lifted(100, 50, 1000), 3_000 * coin, true)[0], 800 + 547);
}

/// user_custom_margin_ratio: 100 coins of 100 in a perpetual and owed.
#[test]
fn the_accounts_own_ratio_binds_initial_margin_only() {
    let value = 10_000_000_000;
    let both = |own, kind, perp, owed| {
        requirement_of(&[(value, own_ratio(perp, own, kind)), (value, own_liability_weight(owed, own, kind))])
            .unwrap()
    };
    assert_eq!(both(20_000, MarginType::Initial, 1000, 12_000), 50_000_000_000);
    assert_eq!(both(10_000, MarginType::Initial, 1000, 12_000), 30_000_000_000);
    assert_eq!(both(5_000, MarginType::Initial, 1000, 12_000), 20_000_000_000);
    assert_eq!(both(100_000, MarginType::Maintenance, 500, 11_000), 11_500_000_000);
    assert_eq!(own_asset_weight(8000, 5000, MarginType::Initial), 5000);
    assert_eq!(own_asset_weight(9000, 5000, MarginType::Maintenance), 9000);
}

#[test]
fn strict_prices_count_deposits_low_and_debts_high() {
    let price = StrictPrice::strict(990_000, 950_000);
    let balance = |amount| quote_balance(amount, price).unwrap();
    assert_eq!(balance(1_000_000), QuoteBalance { collateral: 950_000, requirement: 0 });
    assert_eq!(balance(-1_000_000), QuoteBalance { collateral: 0, requirement: 990_000 });
    // A debt rounds against its owner: one unit of eighteen decimals is a whole unit of quote.
    assert_eq!(token_value(-1, 18, StrictPrice::plain(1_000_000)).unwrap(), -1);
    assert_eq!(token_value(1, 18, StrictPrice::plain(1_000_000)).unwrap(), 0);
}

/// Sells 3000 of a coin at 100 with a deposit of 500: margin/tests.rs asks 300 000.01 for it, at weights of 1 and 1.2.
#[test]
fn open_spot_orders_take_the_worst_side_and_a_cent_each() {
    let weights = spot([8000, 9000], [12_000, 11_000], 9, 0);
    let coin = 1_000_000_000;
    let balance = SpotBalance { amount: 500 * coin, bids: 0, asks: -3000 * coin, orders: 1 };
    let price = StrictPrice::plain(100_000_000);
    let fill = worst_fill(&weights, 8000, balance, price, MarginType::Initial).unwrap();
    assert_eq!((fill.amount, fill.weighted), (-2500 * coin, -300_000_000_000));
    assert_eq!((fill.orders_value, fill.open_orders), (300_000_000_000, 10_000));
    let idle = SpotBalance { amount: 500 * coin, bids: 0, asks: 0, orders: 0 };
    let none = worst_fill(&weights, 8000, idle, price, MarginType::Initial).unwrap();
    assert_eq!((none.weighted, none.free_collateral, none.open_orders), (40_000_000_000, 40_000_000_000, 0));
    let bids = SpotBalance { bids: 1000 * coin, orders: 2, ..idle };
    let fill = worst_fill(&weights, 8000, bids, price, MarginType::Initial).unwrap();
    assert_eq!((fill.amount, fill.free_collateral), (1500 * coin, 20_000_000_000));
}

/// programs/drift/src/math/liquidation/tests.rs.
#[test]
fn liquidated_amounts_are_those_of_the_venues_tests() {
    let base = |liquidator, insurance, quote| {
        let fees = LiquidationFees { liquidator, insurance };
        base_to_cover(10_000_000, 1000, fees, 100_000_000, quote).unwrap()
    };
    assert_eq!(base(0, 0, 1_000_000), Limit::Units(1_000_000_000));
    assert_eq!(base(0, 0, 990_000), Limit::Units(1_010_101_010));
    assert_eq!(base(0, 0, 1_010_000), Limit::Units(990_099_009));
    assert_eq!(base(10_000, 10_000, 1_000_000), Limit::Units(1_250_000_000));
    assert_eq!(base(100_000, 0, 1_000_000), Limit::Unlimited);
    let exchange = |am, lm| Exchange {
        asset_weight: 8000,
        asset_multiplier: am,
        liability_weight: 12_000,
        liability_multiplier: lm,
        liability_decimals: 9,
        liability_price: 100_000_000,
    };
    let transfer = |am, lm, fee| liability_to_cover(10_000_000, &exchange(am, lm), fee).unwrap();
    assert_eq!(transfer(1_000_000, 1_000_000, 0), Limit::Units(250_000_000));
    assert_eq!(transfer(1_100_000, 900_000, 0), Limit::Units(449_984_250));
    assert_eq!(transfer(1_000_000, 1_000_000, 10_000), Limit::Units(257_731_958));
    assert_eq!(transfer(1_100_000, 900_000, 10_000), Limit::Units(475_669_504));
    assert_eq!(transfer(1_500_000, 1_000_000, 0), Limit::Unlimited);
    // Nothing is short: a liquidation still moves one unit.
    assert_eq!(liability_to_cover(0, &exchange(1_000_000, 1_000_000), 0), Ok(Limit::Units(1)));
}

#[test]
fn fees_and_shares_follow_the_slots() {
    assert_eq!(fee_by_slots(20_000, 50_000, 0, 1499), Ok(20_000));
    assert_eq!(fee_by_slots(20_000, 50_000, 0, 1500), Ok(21_500));
    assert_eq!(fee_by_slots(20_000, 50_000, 7, 100_007), Ok(50_000));
    assert!(fee_by_slots(20_000, 50_000, 8, 7).is_err());
    let pace = |slots| Pace { slots, duration: 150, initial: 1000 };
    assert_eq!(share_to_liquidate(49_999_999, 0, pace(0)), Ok(10_000));
    assert_eq!(share_to_liquidate(50_000_000, 0, pace(0)), Ok(1000));
    assert_eq!(share_to_liquidate(100_000_000, 0, pace(75)), Ok(6000));
    // 10 of 110 freed already: 10 % of 110 is 11, one more may go.
    assert_eq!(share_to_liquidate(100_000_000, 10_000_000, pace(0)), Ok(100));
    assert_eq!(share_to_liquidate(100_000_000, 0, Pace { duration: 0, ..pace(0) }), Ok(10_000));
    assert_eq!(liquidation_multiplier(25_000, true), Ok(1_025_000));
    assert_eq!(liquidation_multiplier(25_000, false), Ok(975_000));
    assert_eq!(buffered_requirement(1_000_000, 10_000_000, 200), Ok(1_200_000));
}

#[test]
fn margin_refuses_four_states_of_an_oracle_and_liquidation_two() {
    let guards = OracleGuards {
        volatile_ratio: 5,
        confidence: 20_000,
        confidence_multiplier: 1,
        margin_slots: 120,
        amm_slots: 10,
    };
    let good = OracleReading { price: 100, average: 100, confidence: 0, delay: 0, sufficient: true };
    let state = |reading| oracle_validity(&reading, &guards).unwrap();
    let states = [
        (OracleReading { price: 0, ..good }, OracleValidity::NonPositive, false, false),
        (OracleReading { average: 16, ..good }, OracleValidity::TooVolatile, false, false),
        (OracleReading { confidence: 3, delay: 999, ..good }, OracleValidity::TooUncertain, false, true),
        (
            OracleReading { delay: 121, sufficient: false, ..good },
            OracleValidity::StaleForMargin,
            false,
            true,
        ),
        (
            OracleReading { delay: 120, sufficient: false, ..good },
            OracleValidity::InsufficientData,
            true,
            true,
        ),
        (OracleReading { delay: 11, ..good }, OracleValidity::StaleForAmm, true, true),
        (good, OracleValidity::Valid, true, true),
    ];
    for (reading, expected, margin, liquidation) in states {
        assert_eq!(state(reading), expected);
        assert_eq!(expected.allows(OracleAction::Margin), margin, "{expected:?}");
        assert_eq!(expected.allows(OracleAction::Liquidation), liquidation, "{expected:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_that_names_it() {
    let huge = perp_margin_ratio(&market(1000, 500, 1000), i128::MAX, MarginType::Initial, false);
    assert_eq!(huge, Err(VenueError::Overflow { what: "a size premium" }));
    assert!(matches!(
        perp_margin_ratio(&market(1000, 500, 0), -1, MarginType::Initial, false),
        Err(VenueError::Domain { what: "a size", .. })
    ));
    // The largest numbers of the venue's types do fit.
    let most = perp_margin_ratio(&market(1000, 500, u32::MAX), u64::MAX.into(), MarginType::Initial, false);
    assert_eq!(most, Ok(800 + 5_833_372_667_228));
    assert!(perp_requirement(i64::MIN.into(), i64::MAX.into(), PRICE_UNITS, 1000).is_ok());
}

fn preset() -> Params {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../presets/drift.toml");
    let set: toml::Table = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    set["margin"].clone().try_into().unwrap()
}

fn terms() -> Terms {
    match preset().aggregation {
        Aggregation::Venue(Venue::Drift(terms)) => terms,
        other => panic!("{other:?}"),
    }
}

/// Two thousand coins at 100 in a perpetual: 1e9 x 2000, root 4 472 135, so 800 + 447 and 400 + 447 of 200 000. Beside
/// 10 000 USDC (0.97, weight 1), one coin is held: 100 at 0.8 and 0.9, but with a size factor of 0.105 at 0.9954.
#[test]
fn an_account_is_worked_by_hand() {
    let arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    let portfolio =
        portfolio_of(&[0, 2_000_000], &[("USDC", 10_000_000_000_000), ("BTC", 1_000_000_000)], &[]);
    let report = evaluate(&portfolio, &arrays, &preset()).unwrap();
    let charge = |code: &str| {
        let found = report.venue.iter().filter(|charge| charge.code == code);
        found.map(|charge| (charge.im.0, charge.mm.0)).collect::<Vec<_>>()
    };
    assert_eq!(charge("perp_requirement"), [(24_940_000_000, 16_940_000_000)]);
    assert_eq!(charge("asset_weight"), [(20_000_000, 10_000_000), (0, 0)]);
    assert_eq!((report.im.0, report.mm.0), (24_960_000_000, 16_950_000_000));
    assert_eq!(report.equity.0, 9_800_000_000);
}

#[test]
fn profit_counts_by_its_weight_and_a_borrowed_coin_by_its_liability_weight() {
    let arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    let mut portfolio = portfolio_of(&[0, 1_000], &[("BTC", -2_000_000_000)], &[]);
    portfolio.positions[0].unrealised = Ticks(22_699_050_905);
    let portfolio = evaluate(&portfolio, &arrays, &preset()).unwrap();
    let charge = |code: &str| portfolio.venue.iter().find(|charge| charge.code == code).unwrap();
    // Weight 0.9559: 4.41 % of 22 699.050905, rounded up.
    assert_eq!((charge("unrealised_profit").im.0, charge("unrealised_profit").mm.0), (1_001_028_145, 0));
    // Two coins, factor 0.105: 0.8 x 1.2 + 0.105 sqrt 2 is below 1.2, for maintenance 0.88 + 0.1484 below 1.1.
    let owed = charge("liability_weight");
    assert!((40_000_000..=40_000_001).contains(&owed.im.0) && (20_000_000..=20_000_001).contains(&owed.mm.0));
}

#[test]
fn options_and_futures_are_refused_by_name_and_an_unknown_market_is_missing() {
    let arrays = arrays_of(1, 3, 0, &[100, -50, 20]);
    let charges = |terms: &Terms, lots: &[i64]| {
        let portfolio = portfolio_of(lots, &[], &[]);
        terms.charges(&VenueBook::new(&arrays, &portfolio.positions, &[]).unwrap())
    };
    for lots in [&[1][..], &[0, 0, 1], &[0, 0, 0, -1]] {
        assert!(matches!(charges(&terms(), lots), Err(VenueError::Unsupported { method: "drift", .. })));
    }
    let bare = Terms { perps: plimsoll_margin::ByAsset::default(), ..terms() };
    let missing = VenueError::Missing { method: "drift", what: "perpetual market", subject: "BTC".into() };
    assert_eq!(charges(&bare, &[0, 1]), Err(missing));
    assert_eq!(charges(&bare, &[]), Ok(Vec::new()));
}

#[test]
fn the_linter_finds_inverted_numbers() {
    assert_eq!(terms().lint(), []);
    let mut bad = terms();
    for market in bad.perps.0.values_mut() {
        market.ratios.maintenance = 1001;
    }
    for market in bad.spots.0.values_mut() {
        market.weights.asset_initial = 10_001;
    }
    // Three perpetuals; five tokens, each above 1 and above its maintenance weight.
    assert_eq!(bad.lint().len(), 3 + 2 * 5);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_requirement_never_falls_with_size(
        (initial, share, imf) in (5_u32..10_001, 0_u32..101, 0_u32..100_000),
        (size, more) in (0_i128..1 << 70, 0_i128..1 << 70),
    ) {
        let market = market(initial, initial * share / 100, imf);
        for kind in ALL {
            let of = |size| perp_margin_ratio(&market, size, kind, false).unwrap();
            prop_assert!(of(size + more) >= of(size));
            prop_assert!(of(size) >= i128::from(market.maintenance));
        }
    }

    #[test]
    fn initial_margin_covers_fill_and_fill_covers_maintenance(
        (initial, share, imf) in (5_u32..10_001, 0_u32..101, 0_u32..100_000),
        size in 0_i128..1 << 70,
    ) {
        let market = market(initial, initial * share / 100, imf);
        let [im, fill, mm] = ALL.map(|kind| perp_margin_ratio(&market, size, kind, false).unwrap());
        prop_assert!(im >= fill && fill >= mm);
    }

    #[test]
    fn a_token_never_counts_for_more_in_a_larger_balance(
        (weight, imf, decimals) in (0_u32..10_001, 0_u32..1_000_000, 0_u32..19),
        (size, more) in (0_i128..1 << 64, 0_i128..1 << 64),
    ) {
        let market = spot([weight, 10_000], [10_000, 10_000], decimals, imf);
        let held = |size| spot_asset_weight(&market, weight.into(), size, MarginType::Initial).unwrap();
        prop_assert!(held(size + more) <= held(size) && held(size) <= weight.into());
        let owed = |size| spot_liability_weight(&market, size, MarginType::Initial).unwrap();
        prop_assert!(owed(size + more) >= owed(size) && owed(size) >= 10_000);
    }

    #[test]
    fn the_base_that_covers_a_shortage_does_and_one_unit_less_does_not(
        (shortage, price) in (1_i128..1 << 50, 1_000_000_i128..1 << 45),
        (ratio, fee) in (200_i128..10_001, 0_i128..10_000),
    ) {
        let fees = LiquidationFees { liquidator: fee, insurance: 0 };
        let Limit::Units(base) = base_to_cover(shortage, ratio, fees, price, PRICE_UNITS).unwrap() else {
            return Err(TestCaseError::fail("unlimited"));
        };
        let per_coin = price * (ratio * 100 - fee) / PRICE_UNITS;
        prop_assert!(base * per_coin <= shortage * BASE_UNITS);
        prop_assert!((base + 1) * per_coin > shortage * BASE_UNITS);
    }
}
