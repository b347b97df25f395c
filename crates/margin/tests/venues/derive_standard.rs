//! Derive's standard margin: numbers worked by hand and with mpmath, and the rules every preset keeps.

use crate::accounts::{arrays, margin, portfolio, preset, refusal, row};
use plimsoll_margin::Aggregation;
use plimsoll_margin::venue::derive_standard::*;
use plimsoll_margin::venue::{Method, Venue};
use plimsoll_types::{Fixed, OptionKind, Ppb};
use proptest::prelude::*;

const BILLION: i128 = 1_000_000_000;

fn of(text: &str) -> Fixed {
    text.parse().unwrap()
}

/// The parameters of the upstream tests.
fn market() -> Market {
    toml::from_str(
        "option = { max_spot_req = 0.15, min_spot_req = 0.10, mm_call_spot_req = 0.075, mm_put_spot_req = 0.075, \
         mm_put_mtm_req = 0.075, mm_offset_scale = 1.05, unpaired_im_scale = 1.2, unpaired_mm_scale = 1.1 }\n\
         perp = { im = 0.065, mm = 0.05 }\nbase = { margin_factor = 0.8, im_scale = 0.9 }\n\
         oracle = { perp_threshold = 0.4, option_threshold = 0.4, base_threshold = 0.4, factor = 0.4 }",
    )
    .unwrap()
}

fn option(kind: OptionKind, strike: i64, amount: &str, price: &str) -> OptionHolding {
    OptionHolding { kind, strike: Fixed::from(strike), amount: of(amount), price: of(price) }
}

fn holding(options: Vec<OptionHolding>) -> MarketHolding {
    let expiry = ExpiryHolding { forward: Fixed::from(2000), confidence: Fixed::ONE, options };
    MarketHolding {
        terms: market(),
        spot: Fixed::from(2000),
        spot_confidence: Fixed::ONE,
        perp: None,
        base: Fixed::ZERO,
        expiries: vec![expiry],
    }
}

fn account(market: MarketHolding) -> Portfolio {
    let depeg = Depeg { threshold: of("0.98"), factor: of("1.2") };
    Portfolio { cash: Fixed::ZERO, stable: Fixed::ONE, depeg, markets: vec![market] }
}

fn net(market: MarketHolding) -> (String, String) {
    let net = net_margin(&account(market)).unwrap().net;
    (net.im.to_string(), net.mm.to_string())
}

fn pair(im: &str, mm: &str) -> (String, String) {
    (im.to_owned(), mm.to_owned())
}

#[test]
fn a_short_call_costs_a_share_of_spot_that_falls_to_its_least_out_of_the_money() {
    let call = |strike| vec![option(OptionKind::Call, strike, "-1", "50")];
    assert_eq!(net(holding(call(2000))), pair("-350", "-200"));
    assert_eq!(net(holding(call(2060))), pair("-290", "-200"));
    assert_eq!(net(holding(call(2500))), pair("-250", "-200"));
}

#[test]
fn a_short_put_costs_the_larger_of_spot_and_mark_and_its_initial_margin_more_than_that() {
    // Mark 900, deep in the money: maintenance -(150 + 900), initial min(-(300 + 900), -1050 x 1.05).
    assert_eq!(net(holding(vec![option(OptionKind::Put, 2900, "-1", "900")])), pair("-1200", "-1050"));
    // Mark 5400: maintenance -(405 + 5400), initial -5805 x 1.05, but no more than the strike can be lost.
    assert_eq!(net(holding(vec![option(OptionKind::Put, 7400, "-1", "5400")])), pair("-6095.25", "-5805"));
}

#[test]
fn an_expiry_is_charged_its_largest_loss_where_that_is_less() {
    let spread = vec![option(OptionKind::Call, 1800, "-1", "210"), option(OptionKind::Call, 2000, "1", "50")];
    assert_eq!(net(holding(spread)), pair("-200", "-200"));
    // A short put can lose its strike, at price 0.
    let put = vec![option(OptionKind::Put, 150, "-1", "0.01")];
    assert_eq!(net(holding(put)), pair("-150", "-150"));
}

#[test]
fn a_call_without_a_cover_costs_a_forward_and_a_part_beside_the_largest_loss() {
    // Two short against one long: -200 at 2000, and 1.2 or 1.1 forwards; alone they cost less.
    let ratio = vec![option(OptionKind::Call, 1800, "-2", "0"), option(OptionKind::Call, 2000, "1", "0")];
    assert_eq!(max_loss(&ratio), Fixed::from(-400));
    let found = expiry_margin(&market().option.unwrap(), Fixed::from(2000), Fixed::from(2000), &ratio);
    assert_eq!((found.im, found.mm), (Fixed::from(-600), Fixed::from(-300)));
    let cheap = OptionTerms {
        unpaired_im_scale: of("0.05"),
        unpaired_mm_scale: Fixed::ZERO,
        ..market().option.unwrap()
    };
    let found = expiry_margin(&cheap, Fixed::from(2000), Fixed::from(2000), &ratio);
    assert_eq!((found.im, found.mm), (Fixed::from(-500), Fixed::from(-300)));
}

#[test]
fn low_confidence_is_charged_below_its_threshold_in_initial_margin_alone() {
    let call = vec![option(OptionKind::Call, 2500, "-1", "50")];
    let with = |confidence: &str| {
        let mut held = holding(call.clone());
        held.expiries[0].confidence = of(confidence);
        net(held)
    };
    assert_eq!(with("0.4"), pair("-250", "-200"));
    // 0.7 of confidence missing, 0.4 of it on spot.
    assert_eq!(with("0.3"), pair("-810", "-200"));
    let mut disabled = holding(call);
    disabled.spot_confidence = Fixed::ZERO;
    disabled.terms.oracle.option_threshold = Fixed::ZERO;
    assert_eq!(net(disabled), pair("-250", "-200"));
}

#[test]
fn perpetuals_and_base_assets_are_margined_with_their_own_confidence() {
    let mut held = holding(Vec::new());
    let (price, confidence) = (Fixed::from(2010), of("0.3"));
    held.perp = Some(PerpHolding { amount: of("-2"), price, confidence, unrealised: of("-10") });
    held.base = Fixed::from(3);
    // Perpetual: -4020 x 0.065 and 0.05, -10, and -0.7 x 0.4 x 4000; base: 6000 x 0.8, 0.9 of it initially.
    assert_eq!(net(held.clone()), pair("2928.7", "4589"));
    held.spot_confidence = of("0.2");
    // -0.8 x 0.4 of 4000 instead, and -0.8 x 0.4 of 6000.
    assert_eq!(net(held.clone()), pair("848.7", "4589"));
    assert_eq!(net_margin(&account(held)).unwrap().mark_to_market, Fixed::from(5990));
}

#[test]
fn a_depeg_costs_every_short_option_and_perpetual_initial_margin() {
    let mut held = holding(vec![
        option(OptionKind::Call, 2500, "-1", "0"),
        option(OptionKind::Put, 1000, "-2", "0"),
        option(OptionKind::Put, 1000, "5", "0"),
    ]);
    held.perp = Some(PerpHolding {
        amount: Fixed::from(3),
        price: Fixed::from(2000),
        confidence: Fixed::ONE,
        unrealised: Fixed::ZERO,
    });
    held.base = Fixed::ONE;
    let mut account = account(held);
    let before = net_margin(&account).unwrap();
    account.stable = of("0.9");
    let after = net_margin(&account).unwrap();
    // (0.98 - 0.9) x 1.2 x 2000 x (3 + 3).
    assert_eq!(before.net.im - after.net.im, of("1152"));
    assert_eq!(before.net.mm, after.net.mm);
    assert_eq!(after.mark_to_market, of("2222.222222222222222222"));
}

#[test]
fn numbers_without_a_meaning_are_refused_by_name() {
    let mut bad = account(holding(Vec::new()));
    bad.stable = Fixed::ZERO;
    assert!(net_margin(&bad).unwrap_err().to_string().starts_with("the stable price is 0"));
    let mut bad = account(holding(Vec::new()));
    bad.markets[0].spot_confidence = of("1.1");
    assert!(net_margin(&bad).unwrap_err().to_string().starts_with("a confidence is 1.1"));
    let mut bad = account(holding(Vec::new()));
    bad.markets[0].base = of("-1");
    assert!(net_margin(&bad).unwrap_err().to_string().starts_with("a base asset is -1"));
    let mut bad = account(holding(vec![option(OptionKind::Put, 1000, "-2", "1e20")]));
    bad.markets[0].spot = of("1e20");
    assert!(net_margin(&bad).unwrap_err().to_string().contains("does not fit"));
    let mut bad = account(holding(Vec::new()));
    bad.markets[0].terms.option = None;
    assert!(net_margin(&bad).unwrap_err().to_string().contains("the margin of options"));
}

/// Worth 2,000 and 1,500; BTC at 100,000.
fn book() -> Vec<crate::accounts::Row> {
    vec![
        row("BTC-27FEB26-110000-C", 57, 2000.0, 100_500.0),
        row("BTC-27FEB26-90000-P", 57, 1500.0, 100_500.0),
        row("BTC-27FEB26-120000-C", 57, 700.0, 100_500.0),
        row("BTC_USDC-PERPETUAL", 0, 0.0, 100_100.0),
        row("BTC", 0, 100_000.0, 100_000.0),
        row("BTC-PERPETUAL", 0, 0.0, 100_000.0),
        row("BTC-27FEB26", 57, 0.0, 100_500.0),
        row("SOL", 0, 150.0, 150.0),
        row("SOL_USDC-27FEB26-180-C", 57, 5.0, 151.0),
    ]
}

#[test]
fn an_account_of_ours_keeps_the_net_margin_of_the_venue() {
    let (rows, params) = (book(), preset("derive-srm"));
    let at = |lots: &[i64], collateral: &[(&str, i128)]| {
        margin(&portfolio(lots, collateral), &arrays(&rows, 1.0, Ppb::ZERO), &params)
    };
    // A short call: 0.13 and 0.09 of spot; its mark is in equity already.
    assert_eq!(at(&[-1000], &[("USDC", 50_000 * BILLION)]), (13_000.0, 9_000.0, 48_000.0));
    // Long against it: net -10,000 of largest loss, and 1,300 of mark value in equity.
    assert_eq!(at(&[-1000, 0, 1000], &[]), (8_700.0, 8_700.0, -1_300.0));
    // A perpetual at its own price: 10 % and 6.5 %; one sized in dollars counts the same coins.
    assert_eq!(at(&[0, 0, 0, -2000], &[]), (20_020.0, 13_013.0, 0.0));
    assert_eq!(at(&[0, 0, 0, 0, 0, 200_000], &[]), (20_000.0, 13_000.0, 0.0));
    // Coins held count 0.75 x 0.93 and 0.75, as positions and as collateral.
    assert_eq!(at(&[0, 0, 0, 0, 1000], &[]), (30_250.0, 25_000.0, 100_000.0));
    let (im, mm, equity) = at(&[-1], &[("BTC", BILLION)]);
    assert_eq!((equity - im, equity - mm), (69_750.0 - 2.0 - 13.0, 75_000.0 - 2.0 - 9.0));
}

#[test]
fn a_depeg_and_an_uncertain_index_cost_an_account_of_ours() {
    let (rows, params) = (book(), preset("derive-srm"));
    let held = portfolio(&[-1000, 0, 0, 1000], &[]);
    let (im, mm, _) = margin(&held, &arrays(&rows, 1.0, Ppb::ZERO), &params);
    let (low, same, _) = margin(&held, &arrays(&rows, 0.97, Ppb::ZERO), &params);
    // (0.99 - 0.97) x 2 x 100,000 x 2.
    assert_eq!((low - im, same - mm), (8_000.0, 0.0));
    let (unsure, same, _) = margin(&held, &arrays(&rows, 1.0, Ppb(500_000_000)), &params);
    // Confidence 0.5 is below 0.55: half of spot for the call and for the perpetual.
    assert_eq!((unsure - im, same - mm), (100_000.0, 0.0));
}

#[test]
fn cash_counts_as_many_units_as_are_held_whatever_they_trade_at() {
    let (rows, params) = (book(), preset("derive-srm"));
    let held = |lots| portfolio(&[lots], &[("USDC", 50_000 * BILLION)]);
    let (im, mm, equity) = margin(&held(0), &arrays(&rows, 0.97, Ppb::ZERO), &params);
    // Equity counts 48,500, and no requirement is below 0.
    assert_eq!((im, mm, equity), (0.0, 0.0, 48_500.0));
    let (im, mm, equity) = margin(&held(-1000), &arrays(&rows, 0.97, Ppb::ZERO), &params);
    // 50,000 - 2,000 - 13,000 or 9,000, and 0.04 of spot for the depeg initially.
    assert_eq!((equity - im, equity - mm), (31_000.0, 39_000.0));
}

#[test]
fn what_the_venue_does_not_list_is_refused_by_name() {
    let (rows, params) = (book(), preset("derive-srm"));
    let arrays = arrays(&rows, 1.0, Ppb::ZERO);
    let of = |place: usize, lots: i64| {
        let mut all = [0; 9];
        all[place] = lots;
        refusal(&portfolio(&all, &[]), &arrays, &params)
    };
    assert!(of(6, 1000).ends_with("derive-srm does not margin BTC-27FEB26: no dated futures are listed"));
    assert!(of(7, 1000).ends_with("does not margin SOL: the asset is not taken as collateral"));
    assert!(of(8, -1000).ends_with("no options of this underlying are listed"));
    assert!(of(4, -1000).ends_with("does not margin BTC: only the cash asset can be borrowed"));
    let borrowed = refusal(&portfolio(&[1000], &[("BTC", -BILLION)]), &arrays, &params);
    assert!(borrowed.ends_with("expected 0 or more: only cash is borrowed"), "{borrowed}");
}

#[test]
fn the_linter_names_what_is_wrong_with_parameters() {
    let params = preset("derive-srm");
    let Aggregation::Venue(Venue::DeriveStandard(terms)) = &params.aggregation else {
        panic!("another method")
    };
    assert_eq!(terms.lint(), []);
    let mut bad = terms.clone();
    for market in bad.markets.0.values_mut() {
        if let Some(option) = &mut market.option {
            (option.mm_call_spot_req, option.unpaired_mm_scale) = (of("0.2"), of("1.3"));
        }
        if let Some(perp) = &mut market.perp {
            (perp.im, perp.mm) = (perp.mm, perp.im);
        }
    }
    let codes: Vec<&str> = bad.lint().iter().map(|finding| finding.code.code()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "im_below_mm").count(), 4 + 2 * 2);
}

fn options() -> impl Strategy<Value = Vec<OptionHolding>> {
    let one = (any::<bool>(), 1_i64..40, -50_i64..50, 0_i64..100_000);
    prop::collection::vec(one, 1..8).prop_map(|rows| {
        let held = |(call, strike, amount, price): (bool, i64, i64, i64)| {
            let kind = if call { OptionKind::Call } else { OptionKind::Put };
            // A price between what the option is worth now and its bound.
            let (strike, price) = (strike * 100, Fixed::ratio(i128::from(price), 1000));
            let inside = if call { 2000 - strike } else { strike - 2000 };
            let price = Fixed::from(inside).positive() + price;
            OptionHolding {
                kind,
                strike: Fixed::from(strike),
                amount: Fixed::ratio(i128::from(amount), 10),
                price,
            }
        };
        rows.into_iter().map(held).collect()
    })
}

fn margins(options: &[OptionHolding]) -> Net {
    expiry_margin(&market().option.unwrap(), Fixed::from(2000), Fixed::from(2000), options)
}

proptest! {
    #[test]
    fn long_options_need_nothing_and_short_ones_never_add(mut options in options()) {
        let found = margins(&options);
        prop_assert!(found.im <= Fixed::ZERO && found.mm <= Fixed::ZERO);
        for option in &mut options {
            option.amount = option.amount.abs();
        }
        prop_assert_eq!(margins(&options), Net::default());
    }

    #[test]
    fn initial_margin_is_never_below_maintenance_margin(options in options()) {
        let found = margins(&options);
        prop_assert!(found.im <= found.mm);
    }

    #[test]
    fn the_charge_grows_in_proportion_to_size(options in options()) {
        let twice: Vec<OptionHolding> =
            options.iter().map(|o| OptionHolding { amount: o.amount + o.amount, ..*o }).collect();
        let (one, two) = (margins(&options), margins(&twice));
        let near = |a: Fixed, b: Fixed| (a - b).abs() <= of("1e-12");
        prop_assert!(near(two.im, one.im + one.im) && near(two.mm, one.mm + one.mm));
    }

    #[test]
    fn order_changes_nothing_and_shorts_together_cost_no_more_than_apart(options in options()) {
        let mut turned = options.clone();
        turned.reverse();
        prop_assert_eq!(margins(&options), margins(&turned));
        let apart: Net = options.iter().map(|option| isolated(&market().option.unwrap(), Fixed::from(2000), option)).sum();
        let together = margins(&options);
        prop_assert!(together.im >= apart.im && together.mm >= apart.mm);
    }

    #[test]
    fn an_account_of_long_options_has_its_marks_charged_and_no_more(lots in prop::collection::vec(0_i64..5_000, 3)) {
        let (im, mm, equity) = margin(&portfolio(&lots, &[]), &arrays(&book(), 1.0, Ppb::ZERO), &preset("derive-srm"));
        prop_assert_eq!((im, mm), (equity, equity));
    }
}
