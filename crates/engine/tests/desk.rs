//! Answers of a whole desk, from snapshot to margin.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use common::{BOOK, PLAIN, Row, Tweak, desk, desk_on};
use plimsoll_engine::{HeatMapSpec, LiquidationSpec, PRESETS, ParamSet, attribute, parse_trade};
use plimsoll_margin::venue::VenueError;
use plimsoll_margin::{MarginError, evaluate_book};
use plimsoll_types::{AccountId, Ticks};

fn account(name: &str) -> AccountId {
    name.parse().unwrap()
}

/// Whether a venue refuses the account because it does not list what is held, or because the market lacks a number.
fn refused(error: &MarginError) -> bool {
    let MarginError::Venue { source, .. } = error else { return false };
    matches!(source, VenueError::Unsupported { .. } | VenueError::Missing { .. })
}

#[test]
fn every_account_is_answered_or_refused_by_name_under_every_preset() {
    for (name, _) in PRESETS {
        let desk = desk_on(name, PLAIN, &BOOK);
        for report in evaluate_book(&desk.book, &desk.arrays, &desk.params.margin) {
            match report {
                Ok(report) => {
                    assert!(report.im >= report.mm && report.mm.0 >= 0, "{name} {}", report.account)
                }
                Err(error) => assert!(refused(&error), "{name}: {error}"),
            }
        }
        assert!(desk.failures.is_empty());
    }
}

#[test]
fn a_book_of_one_underlying_is_charged_exactly_its_scan_loss() {
    let desk = desk();
    for name in ["condor", "hedged"] {
        let report = desk.account(&account(name)).unwrap();
        assert_eq!(report.aggregate.im, report.underlyings[0].scan_loss, "{name}");
        assert!(report.aggregate.im.0 > 0);
    }
}

#[test]
fn a_hedge_across_coins_saves_something_but_not_all() {
    let report = desk().account(&account("pair")).unwrap();
    let sum = report.im_detail.sum.0;
    assert!(
        report.aggregate.im.0 < sum && report.aggregate.im.0 * 100 >= sum * 35,
        "{} of {sum}",
        report.aggregate.im.0
    );
}

#[test]
fn a_book_of_long_options_is_never_charged_more_than_its_premium() {
    for preset in ["plimsoll", "span"] {
        let desk = desk_on(preset, PLAIN, &BOOK);
        let report = desk.account(&account("longs")).unwrap();
        assert!(
            report.marks.0 > 0 && report.im <= report.marks,
            "{preset}: {} above {}",
            report.im.0,
            report.marks.0
        );
    }
}

#[test]
fn a_trade_that_is_asked_about_costs_what_it_costs_once_done() {
    let trade = parse_trade("-3 BTC-27MAR26-75000-C").unwrap();
    let asked = desk().what_if(&account("condor"), &[trade]).unwrap();
    let mut rows: Vec<Row> = BOOK.to_vec();
    rows[2].2 = "-8";
    let done = desk_on("plimsoll", PLAIN, &rows).account(&account("condor")).unwrap();
    assert_eq!((asked.after.im, asked.after.mm), (done.im, done.mm));
    assert!(asked.after.im > asked.before.im);
}

#[test]
fn a_change_is_attributed_without_residual() {
    let mut rows: Vec<Row> = BOOK.to_vec();
    rows[4].2 = "-12";
    let before = desk();
    let after = desk_on("plimsoll", Tweak { spot: 0.93, vol: 1.15, hours: 2 }, &rows);
    for name in ["condor", "hedged", "longs", "pair", "seller"] {
        let report = attribute(&before, &after, &account(name)).unwrap().attribution;
        for split in [report.im, report.mm, report.equity] {
            assert_eq!(split.residual, Ticks(0), "{name}");
            assert_eq!(split.sum(), split.total, "{name}");
            assert_eq!(split.parameter, Ticks(0), "{name}");
        }
        assert_eq!(
            report.im.total.0,
            after.account(&account(name)).unwrap().im.0 - before.account(&account(name)).unwrap().im.0
        );
        // Inverse perpetuals are sized in dollars: their requirement does not depend on the price.
        assert_eq!(report.im.price.0 == 0, name == "pair", "{name}");
    }
    let hedged = attribute(&before, &after, &account("hedged")).unwrap().attribution;
    assert!(hedged.im.position.0 > 0);
}

#[test]
fn a_change_of_parameters_alone_is_all_parameter() {
    let before = desk();
    let after = desk_on("fixed", PLAIN, &BOOK);
    let im = attribute(&before, &after, &account("seller")).unwrap().attribution.im;
    assert_eq!(im.parameter, im.total);
    assert_ne!(im.total, Ticks(0));
}

#[test]
fn the_middle_of_the_heat_map_is_zero_and_its_worst_cell_is_the_least() {
    let map = desk().heat_map(&account("seller"), &HeatMapSpec::default()).unwrap();
    assert_eq!(map.pnl[2][10], Ticks(0));
    let least = map.pnl.iter().flatten().min().copied().unwrap();
    assert_eq!(map.pnl[map.worst.0][map.worst.1], least);
    assert!(least.0 < 0);
}

#[test]
fn crossing_the_liquidation_boundary_makes_the_account_liquidatable() {
    let rows = [("longperp", "BTC-PERPETUAL", "400000")];
    let spec = LiquidationSpec { vols: vec![0.0], days: vec![0.0, 5.0], ..LiquidationSpec::default() };
    let surface = desk_on("plimsoll", PLAIN, &rows).liquidation(&account("longperp"), &spec).unwrap();
    let down = surface.points[0].spot_down.unwrap();
    assert!(surface.points[0].spot_up.is_none());
    // Built from a snapshot that has moved: the loss of the future is taken from the collateral by hand.
    let at = |spot: f64| {
        let desk = desk_on("plimsoll", Tweak { spot: 1.0 + spot, ..PLAIN }, &rows);
        let report = desk.account(&account("longperp")).unwrap();
        report.mm_excess.0 as f64 / 1e6 + 400_000.0 * (1.0 - 1.0 / (1.0 + spot)) * (1.0 + spot)
    };
    assert!(
        at(down - 0.0005) < 0.0 && at(down + 0.0005) > 0.0,
        "{down}: {} {}",
        at(down - 0.0005),
        at(down + 0.0005)
    );
    let nearest = surface.nearest.unwrap();
    assert_eq!(nearest.spot, down);
    assert!((nearest.distance - down.abs() / 0.15).abs() < 1e-9);
}

#[test]
fn an_account_that_cannot_be_valued_fails_alone() {
    let rows = [
        ("good", "BTC-27MAR26-60000-P", "-1"),
        ("expired", "BTC-30JAN26-60000-P", "-1"),
        ("unlisted", "BTC-27MAR26-61234-P", "-1"),
        ("foreign", "DOGE-PERPETUAL", "100"),
    ];
    let desk = desk_on("plimsoll", PLAIN, &rows);
    let failed: Vec<(String, String)> =
        desk.failures.iter().map(|f| (f.account.to_string(), f.reason.clone())).collect();
    assert_eq!(failed.len(), 3);
    for (name, code) in
        [("expired", "expired"), ("foreign", "unknown_underlying"), ("unlisted", "unknown_instrument")]
    {
        assert!(failed.iter().any(|(a, reason)| a == name && reason.contains(code)), "{failed:?}");
    }
    let answered: Vec<_> =
        desk.margin().map(|(account, report)| (account.to_string(), report.is_ok())).collect();
    assert_eq!(answered.len(), 4);
    assert_eq!(answered.iter().filter(|(_, ok)| *ok).count(), 1);
}

#[test]
fn greeks_of_the_book_are_the_sum_of_the_accounts() {
    let desk = desk();
    let total: f64 = desk.greeks(None).unwrap().iter().map(|row| row.delta_cash).sum();
    let parts: f64 = ["condor", "hedged", "longs", "pair", "seller"]
        .iter()
        .flat_map(|name| desk.greeks(Some(&account(name))).unwrap())
        .map(|row| row.delta_cash)
        .sum();
    assert!((total - parts).abs() < 1e-6 * total.abs().max(1.0), "{total} {parts}");
}

#[test]
fn entry_prices_become_unrealised_profit() {
    let params = ParamSet::preset("plimsoll").unwrap();
    let market = plimsoll_engine::Market::new(common::snapshot(PLAIN), &params);
    let mut book = plimsoll_engine::BookBuilder::new(&params.units);
    book.position("a", "BTC-PERPETUAL", "65013", Some("60000")).unwrap();
    book.position("b", "BTC-27MAR26", "-65000", None).unwrap();
    let desk =
        plimsoll_engine::Desk::assemble(params, market, book, &[], &plimsoll_engine::BuildOptions::default())
            .unwrap();
    // 65,013 USD bought at 60,000, now at 65,013: (1/60000 - 1/65013) coins per dollar, at an index of 65,000.
    let expected = 65_013.0 * (1.0 / 60_000.0 - 1.0 / 65_013.0) * 65_000.0;
    let got = desk.account(&account("a")).unwrap().unrealised.0 as f64 / 1e6;
    assert!((got - expected).abs() < 1e-5, "{got} {expected}");
    assert_eq!(desk.account(&account("b")).unwrap().unrealised, Ticks(0));
}

#[test]
fn money_made_between_entry_prices_is_kept_when_the_rows_net_to_nothing() {
    let params = ParamSet::preset("plimsoll").unwrap();
    let market = plimsoll_engine::Market::new(common::snapshot(PLAIN), &params);
    let mut book = plimsoll_engine::BookBuilder::new(&params.units);
    book.position("a", "BTC-PERPETUAL", "1000000", Some("90000")).unwrap();
    book.position("a", "BTC-PERPETUAL", "-1000000", Some("95000")).unwrap();
    let desk =
        plimsoll_engine::Desk::assemble(params, market, book, &[], &plimsoll_engine::BuildOptions::default())
            .unwrap();
    let report = desk.account(&account("a")).unwrap();
    // A million dollars bought at 90,000 and sold at 95,000, in coins, at an index of 65,000.
    let expected = 1e6 * (1.0 / 90_000.0 - 1.0 / 95_000.0) * 65_000.0;
    assert!((report.unrealised.0 as f64 / 1e6 - expected).abs() < 1e-5, "{}", report.unrealised.0);
    assert_eq!(report.im, Ticks(0));
}

#[test]
fn a_set_the_linter_condemns_is_refused_unless_allowed() {
    let text = PRESETS[0].1.replace("im_scale = 1.0 ", "im_scale = 0.5 ");
    let assemble = |allow_lint| {
        let params = ParamSet::from_toml(&text, "bad").unwrap();
        let market = plimsoll_engine::Market::new(common::snapshot(PLAIN), &params);
        let book = common::builder(&params, &BOOK);
        let options = plimsoll_engine::BuildOptions { allow_lint, ..Default::default() };
        plimsoll_engine::Desk::assemble(params, market, book, &[], &options)
    };
    assert!(matches!(assemble(false), Err(plimsoll_engine::EngineError::Lint { .. })));
    assert!(assemble(true).is_ok());
}

#[test]
fn a_set_that_is_silent_on_what_the_book_does_not_hold_is_enough() {
    let text = PRESETS[0]
        .1
        .replace("\"*\" = 0.30 }", "}")
        .replace(", SOL = 0.24, }", " }")
        .replace("SOL = 0.24, }", "}");
    let params = ParamSet::from_toml(&text, "narrow").unwrap();
    let market = plimsoll_engine::Market::new(common::snapshot(PLAIN), &params);
    let mut book = plimsoll_engine::BookBuilder::new(&params.units);
    book.position("a", "BTC-PERPETUAL", "1000", None).unwrap();
    let desk =
        plimsoll_engine::Desk::assemble(params, market, book, &[], &plimsoll_engine::BuildOptions::default())
            .unwrap();
    assert_eq!(desk.scenarios.underlyings.len(), 1);
    assert!(desk.account(&account("a")).is_ok());
}

#[test]
fn a_historical_only_set_lints_clean_and_limits_must_be_numbers() {
    let text = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/params/monte-carlo.toml"
    ))
    .unwrap();
    let from = text.find("[[scenarios.scenarios]]").unwrap();
    let to = text.find("[margin]").unwrap();
    let past = "[[scenarios.scenarios]]\nkind = \"historical\"\npurpose = \"both\"\nseries = \"daily\"\nhorizon = 1\nstep = 1\n";
    let past = format!("{}{past}{}", &text[..from], &text[to..])
        .replace("stress_weight = 0.25", "stress_weight = 0.0");
    let set = ParamSet::from_toml(&past, "past").unwrap();
    assert_eq!(set.lint(), []);
    assert_eq!(set.series_needed(), ["daily"]);
    for bad in ["rmse_max = nan", "rmse_max = -1.0"] {
        assert!(ParamSet::from_toml(&text.replace("rmse_max = 0.10", bad), "bad").is_err(), "{bad}");
    }
}

#[test]
fn futures_that_nobody_lists_and_markets_without_an_index_say_so() {
    let rows = [("a", "BTC-28MAR26", "1000"), ("b", "BTC_USDC-27MAR26", "1"), ("c", "BTC-27MAR26", "1000")];
    let desk = desk_on("plimsoll", PLAIN, &rows);
    assert_eq!(desk.failures.len(), 2);
    assert!(desk.failures.iter().all(|f| f.reason.contains("unknown_instrument")), "{:?}", desk.failures);

    let params = ParamSet::preset("plimsoll").unwrap();
    let mut stale = common::snapshot(PLAIN);
    let as_of = stale.as_of;
    for price in &mut stale.underlyings.get_mut(&"BTC".parse().unwrap()).unwrap().index {
        price.time = as_of.plus_seconds(-600);
    }
    let market = plimsoll_engine::Market::new(stale, &params);
    let book = common::builder(&params, &[("a", "BTC-PERPETUAL", "1000")]);
    let desk =
        plimsoll_engine::Desk::assemble(params, market, book, &[], &plimsoll_engine::BuildOptions::default())
            .unwrap();
    let reason = &desk.failures[0].reason;
    assert!(reason.contains("stale") && reason.contains("600") && reason.contains("180"), "{reason}");
}
