//! Methods side by side on one market and one book.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

mod common;

use common::{BOOK, PLAIN, Row, builder, snapshot};
use plimsoll_engine::{
    BookBuilder, BuildOptions, CompareError, Comparison, Component, Contender, Desk, EngineError, Market,
    Measure, NotMarginedKind, Over, ParamSet, Ratio, Standing, compare,
};
use plimsoll_margin::{AddonKind, Mode, State};
use plimsoll_types::Ticks;
use proptest::prelude::*;

fn preset(name: &str) -> (String, ParamSet) {
    (name.to_owned(), ParamSet::preset(name).unwrap())
}

/// Compares sets on a book that `fill` reads in the units of each.
fn compared(
    sets: Vec<(String, ParamSet)>,
    fill: impl Fn(&ParamSet) -> BookBuilder,
) -> Result<Comparison, CompareError> {
    let options = BuildOptions { allow_lint: true, ..BuildOptions::default() };
    let books: Vec<BookBuilder> = sets.iter().map(|(_, set)| fill(set)).collect();
    let contenders = sets.into_iter().zip(&books);
    let contenders =
        contenders.map(|((label, params), book)| Contender { label, params, book, options: &options });
    compare(contenders.collect(), &snapshot(PLAIN))
}

fn plain(names: &[&str]) -> Comparison {
    compared(names.iter().map(|name| preset(name)).collect(), |set| builder(set, &BOOK)).unwrap()
}

/// Fixed terms that do not take a coin as collateral.
fn without_collateral(asset: &str) -> (String, ParamSet) {
    let mut set = ParamSet::preset("fixed").unwrap();
    set.margin.collateral.remove(&asset.parse().unwrap()).unwrap();
    set.name = "strict".to_owned();
    (set.name.clone(), set)
}

/// The book of the tests, and two accounts that have put up ether.
fn with_ether(set: &ParamSet) -> BookBuilder {
    let mut book = builder(set, &BOOK);
    for account in ["condor", "pair"] {
        book.collateral(account, "ETH", "10", None).unwrap();
    }
    book
}

#[test]
fn every_number_is_that_of_the_method_by_itself() {
    let names = ["fixed", "plimsoll", "span"];
    let found = plain(&names);
    assert_eq!(found.methods.iter().map(|method| method.label.as_str()).collect::<Vec<_>>(), names);
    for (at, name) in names.iter().enumerate() {
        let params = ParamSet::preset(name).unwrap();
        assert_eq!(
            (found.ticks_per_unit % params.units.ticks_per_unit, &found.methods[at].id),
            (0, &params.id())
        );
        let factor = i128::from(found.ticks_per_unit / params.units.ticks_per_unit);
        let market = Market::new(snapshot(PLAIN), &params);
        assert_eq!(found.market, market.id);
        let book = builder(&params, &BOOK);
        let desk = Desk::assemble(params, market, book, &[], &BuildOptions::default()).unwrap();
        for (i, (account, report)) in desk.margin().enumerate() {
            let report = report.unwrap();
            let compared = &found.accounts[i];
            assert_eq!(compared.account, account);
            let standing = compared.standing(at).unwrap();
            let numbers = [report.equity, report.im, report.mm, report.im_excess, report.mm_excess];
            let kept = [standing.equity, standing.im, standing.mm, standing.im_excess, standing.mm_excess];
            assert_eq!(numbers.map(|ticks| Ticks(ticks.0 * factor)), kept, "{name} {account}");
            assert_eq!(standing.state, report.state);
        }
    }
}

#[test]
fn the_first_method_named_is_the_base() {
    let (forth, back) = (plain(&["plimsoll", "fixed"]), plain(&["fixed", "plimsoll"]));
    for (a, b) in forth.accounts.iter().zip(&back.accounts) {
        assert_eq!((a.standing(0), a.standing(1)), (b.standing(1), b.standing(0)));
    }
    let median =
        |found: &Comparison| found.distribution(1, Measure::Initial, Over::Common).quantiles.unwrap().median;
    assert!(median(&forth) > Ratio::ONE && median(&back) < Ratio::ONE);
}

#[test]
fn totals_are_the_sums_of_the_accounts() {
    let found = plain(&["fixed", "plimsoll", "span"]);
    for at in 0..3 {
        let totals = found.totals(at, Over::Common);
        let sum = |read: fn(&Standing) -> Ticks| -> i128 {
            found.accounts.iter().map(|account| read(account.standing(at).unwrap()).0).sum()
        };
        assert_eq!((totals.accounts, totals.im.0, totals.mm.0), (5, sum(|s| s.im), sum(|s| s.mm)));
        assert_eq!(totals.equity.0, sum(|s| s.equity));
        assert_eq!(totals.healthy + totals.call + totals.liquidatable, 5);
        assert_eq!((totals, found.not_margined(at).len()), (found.totals(at, Over::Own), 0));
        let parts = found.components(at, Over::Common);
        let of = |measure| parts.iter().map(|part| part.of(measure).0).sum::<i128>();
        assert_eq!(of(Measure::Initial), sum(|s| s.im_excess));
        assert_eq!(of(Measure::Maintenance), sum(|s| s.mm_excess));
    }
}

#[test]
fn ratios_are_those_of_the_requirements() {
    let found = plain(&["fixed", "plimsoll"]);
    let of = |account: &plimsoll_engine::ComparedAccount| {
        Ratio::new(account.standing(1).unwrap().mm.0, account.standing(0).unwrap().mm.0).unwrap()
    };
    let mut ratios: Vec<Ratio> = found.accounts.iter().map(of).collect();
    ratios.sort();
    let distribution = found.distribution(1, Measure::Maintenance, Over::Common);
    let quantiles = distribution.quantiles.unwrap();
    // Five accounts: index above is number 1, 2, 3, 4, 5.
    assert_eq!(quantiles.named().map(|(_, ratio)| ratio), [0, 0, 1, 2, 3, 4, 4].map(|i| ratios[i]));
    assert_eq!((distribution.count, distribution.base_zero), (5, 0));
    let below = ratios.iter().filter(|ratio| **ratio < Ratio::ONE).count();
    assert_eq!((distribution.below, distribution.above), (below, 5 - below));
    let own = found.distribution(0, Measure::Maintenance, Over::Common);
    assert_eq!((own.equal, own.quantiles.unwrap().max), (5, Ratio::ONE));
}

#[test]
fn who_is_liquidatable_under_one_method_only_is_named_with_the_part_that_differs_most() {
    let fill = |set: &ParamSet| {
        let mut book = builder(set, &BOOK);
        book.collateral("hedged", "USDC", "250000", None).unwrap();
        book
    };
    let found = compared(vec![preset("fixed"), preset("plimsoll")], fill).unwrap();
    let state = |name: &str, at: usize| {
        let account = found.accounts.iter().find(|account| account.account.as_str() == name).unwrap();
        account.standing(at).unwrap().state
    };
    // 350,000 dollars hold a hedge of ten calls whose gross notional a fixed ratio charges in full.
    assert_eq!((state("hedged", 0), state("hedged", 1)), (State::Liquidatable, State::Healthy));
    for measure in Measure::BOTH {
        let all = found.disagreements(1, measure);
        let hedged = all.iter().find(|found| found.account.account.as_str() == "hedged").unwrap();
        assert!(hedged.under_base && hedged.difference().0 > 0);
        let largest = &hedged.parts[0];
        assert_eq!((&largest.component, hedged.cause()), (&Component::Risk, Some(largest)));
        let standing = |at| hedged.account.standing(at).unwrap();
        assert_eq!(hedged.difference().0, standing(1).excess(measure).0 - standing(0).excess(measure).0);
        assert_eq!(standing(0).risk(measure), Some("ratio of notional"));
        assert!(standing(1).risk(measure).unwrap().contains("spot"), "{:?}", standing(1).risk(measure));
        let sizes: Vec<u128> = all.iter().map(|found| found.difference().0.unsigned_abs()).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b));
        for account in &found.accounts {
            let under = |at| account.standing(at).unwrap().excess(measure).0 < 0;
            let named = all.iter().any(|found| found.account.account == account.account);
            assert_eq!(named, under(0) != under(1), "{}", account.account);
        }
    }
    // The other way round it is the method and not the base that would liquidate.
    let back = compared(vec![preset("plimsoll"), preset("fixed")], fill).unwrap();
    assert!(back.disagreements(1, Measure::Maintenance).iter().any(|found| !found.under_base));
}

#[test]
fn an_account_that_a_method_does_not_margin_has_no_numbers_and_is_left_out_of_what_all_share() {
    let sets = vec![preset("plimsoll"), without_collateral("ETH"), preset("span")];
    let found = compared(sets, with_ether).unwrap();
    for account in &found.accounts {
        let refused = ["condor", "pair"].contains(&account.account.as_str());
        assert_eq!(account.everywhere(), !refused, "{}", account.account);
        assert_eq!(account.standing(1).is_none(), refused);
        if let Err(reason) = &account.under[1] {
            assert_eq!(reason.kind, NotMarginedKind::Unsupported);
            assert_eq!(reason.reason, "the parameters have no [collateral.ETH]");
        }
    }
    assert_eq!(found.not_margined(1).into_iter().collect::<Vec<_>>(), [(NotMarginedKind::Unsupported, 2)]);
    let accounts = |at, over| found.totals(at, over).accounts;
    assert_eq!([0, 1, 2].map(|at| accounts(at, Over::Common)), [3, 3, 3]);
    assert_eq!([0, 1, 2].map(|at| accounts(at, Over::Own)), [5, 3, 5]);
    assert_eq!(accounts(2, Over::WithBase), 5);
    let paired: i128 =
        found.accounts.iter().filter(|a| a.standing(1).is_some()).map(|a| a.standing(0).unwrap().im.0).sum();
    assert_eq!((found.base_totals(1).accounts, found.base_totals(1).im.0), (3, paired));
    let count = |at, over| found.distribution(at, Measure::Initial, over).count;
    assert_eq!((count(1, Over::WithBase), count(2, Over::WithBase), count(2, Over::Common)), (3, 5, 3));
}

#[test]
fn a_method_that_margins_no_account_does_not_empty_what_the_others_share() {
    let strict = without_collateral("USDC");
    let found =
        compared(vec![preset("plimsoll"), strict, preset("span")], |set| builder(set, &BOOK)).unwrap();
    assert_eq!([0, 1, 2].map(|at| found.methods[at].margins), [5, 0, 5]);
    assert_eq!([0, 1, 2].map(|at| found.totals(at, Over::Common).accounts), [5, 0, 5]);
    assert_eq!(found.distribution(1, Measure::Initial, Over::WithBase).count, 0);
}

#[test]
fn a_venue_of_perpetuals_margins_the_account_of_perpetuals_and_says_of_options_that_it_does_not() {
    let found = compared(vec![preset("plimsoll"), preset("dydx")], |set| builder(set, &BOOK)).unwrap();
    for account in &found.accounts {
        match &account.under[1] {
            Ok(standing) => {
                assert_eq!(account.account.as_str(), "pair");
                assert!(standing.im.0 > 0);
            }
            Err(refused) if account.account.as_str() == "pair" => {
                // No open interest is stated on this market.
                assert_eq!(refused.kind, NotMarginedKind::Missing, "{}", refused.reason);
            }
            Err(refused) => {
                assert_eq!(refused.kind, NotMarginedKind::Unsupported);
                assert!(refused.reason.contains(&refused.instrument.as_ref().unwrap().to_string()));
            }
        }
    }
    assert_eq!(found.not_margined(1)[&NotMarginedKind::Unsupported], 4);
}

#[test]
fn what_a_venue_charges_is_told_in_the_words_of_the_others_and_by_the_scenario_it_was_found_in() {
    let found = compared(vec![preset("plimsoll"), preset("deribit-pm")], |set| builder(set, &BOOK)).unwrap();
    let condor = found.accounts.iter().find(|account| account.account.as_str() == "condor").unwrap();
    let standing = condor.standing(1).unwrap();
    let of =
        |component: Component| standing.parts.iter().find(|part| part.component == component).unwrap().im.0;
    let (risk, basis) = (of(Component::Risk), of(Component::Addon(AddonKind::Basis)));
    assert!(risk < 0 && basis < 0 && risk + basis == -standing.im.0);
    assert!(standing.risk(Measure::Initial).unwrap().starts_with("worst_case BTC"));
}

#[test]
fn an_account_that_no_market_prices_is_left_out_of_every_method_and_the_others_are_answered() {
    let mut rows: Vec<Row> = BOOK.to_vec();
    rows.push(("seller", "BTC-27MAR26-123456-C", "1"));
    let found = compared(vec![preset("fixed"), preset("span")], |set| builder(set, &rows)).unwrap();
    for at in 0..2 {
        assert_eq!(found.not_margined(at).into_iter().collect::<Vec<_>>(), [(NotMarginedKind::Unvalued, 1)]);
        assert_eq!(found.totals(at, Over::Common).accounts, 4);
    }
    let seller = found.accounts.iter().find(|account| account.account.as_str() == "seller").unwrap();
    let reason = seller.under[0].as_ref().unwrap_err();
    assert_eq!(reason.instrument.as_ref().unwrap().to_string(), "BTC-27MAR26-123456-C");
}

#[test]
fn fewer_than_two_methods_one_twice_and_two_currencies_are_refused() {
    let fill = |set: &ParamSet| builder(set, &BOOK);
    assert!(matches!(compared(vec![], fill), Err(CompareError::Few { count: 0 })));
    assert!(matches!(compared(vec![preset("span")], fill), Err(CompareError::Few { count: 1 })));
    let twice = compared(vec![preset("span"), preset("fixed"), preset("span")], fill).unwrap_err();
    assert_eq!(twice.to_string(), "span is span again: every method may be named once");
    let renamed = ("mine".to_owned(), ParamSet::preset("span").unwrap());
    assert!(matches!(compared(vec![preset("span"), renamed], fill), Err(CompareError::Twice { .. })));
    let (label, mut other) = preset("fixed");
    other.units.currency = "EUR".parse().unwrap();
    let error = compared(vec![preset("span"), (label, other)], fill).unwrap_err();
    assert_eq!(error.to_string(), "fixed counts in EUR, span in USD: expected one currency");
}

#[test]
fn a_set_that_the_linter_refuses_is_refused_by_name_before_anything_is_computed() {
    let mut set = ParamSet::preset("plimsoll").unwrap();
    (set.name, set.margin.mm_scale) = ("mine".to_owned(), plimsoll_types::Ppb(9_000_000_000));
    let options = BuildOptions::default();
    let base = ParamSet::preset("fixed").unwrap();
    let (first, second) = (builder(&base, &BOOK), builder(&set, &BOOK));
    let contenders = vec![
        Contender { label: "fixed".to_owned(), params: base, book: &first, options: &options },
        Contender { label: "mine".to_owned(), params: set, book: &second, options: &options },
    ];
    let error = compare(contenders, &snapshot(PLAIN)).unwrap_err();
    assert!(
        matches!(&error, CompareError::Method { label, source } if label == "mine" && matches!(**source, EngineError::Lint { .. }))
    );
}

#[test]
fn methods_that_count_in_different_ticks_are_compared_in_ticks_whole_in_both() {
    let mut coarse = ParamSet::preset("fixed").unwrap();
    coarse.name = "coarse".to_owned();
    coarse.units.ticks_per_unit = 2_500;
    let found =
        compared(vec![preset("fixed"), ("coarse".to_owned(), coarse)], |set| builder(set, &BOOK)).unwrap();
    assert_eq!(found.ticks_per_unit, 1_000_000);
    for account in &found.accounts {
        let (fine, coarse) = (account.standing(0).unwrap(), account.standing(1).unwrap());
        // A notional is rounded once per lot: half a coarse tick, 200 fine ones, at each of at most 650,000 lots.
        assert!(
            (fine.im.0 - coarse.im.0).abs() <= 650_000 * 400 && coarse.im.0 % 400 == 0,
            "{}",
            account.account
        );
    }
}

#[test]
fn books_that_name_different_accounts_are_refused() {
    let fill = |set: &ParamSet| {
        let rows: &[Row] = if set.name == "fixed" { &BOOK } else { &BOOK[..9] };
        builder(set, rows)
    };
    let error = compared(vec![preset("fixed"), preset("span")], fill).unwrap_err();
    assert!(matches!(&error, CompareError::Books { account, .. } if account.as_str() == "pair"), "{error}");
}

const TRADED: [&str; 7] = [
    "BTC-27MAR26-55000-P",
    "BTC-27MAR26-75000-C",
    "BTC-13FEB26-65000-C",
    "BTC-PERPETUAL",
    "ETH-PERPETUAL",
    "ETH-27MAR26-1900-P",
    "ETH-26JUN26-2200-C",
];

fn isolated(name: &str) -> (String, ParamSet) {
    let mut set = ParamSet::preset(name).unwrap();
    (set.name, set.margin.mode) = (format!("{name}-isolated"), Mode::Isolated);
    (set.name.clone(), set)
}

fn cross(name: &str) -> (String, ParamSet) {
    let mut set = ParamSet::preset(name).unwrap();
    (set.name, set.margin.mode) = (format!("{name}-cross"), Mode::Cross);
    (set.name.clone(), set)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_parts_of_a_difference_add_up_to_it_exactly(
        quantities in prop::collection::vec(-40_i32..40, 3 * TRADED.len()),
        usdc in prop::collection::vec(-20_000_i32..400_000, 3),
        coins in prop::collection::vec(-2_i32..20, 3),
        orders in prop::collection::vec(-5_i32..5, 3),
    ) {
        let fill = |set: &ParamSet| {
            let mut book = BookBuilder::new(&set.units);
            for (i, quantity) in quantities.iter().enumerate() {
                let (account, instrument) = (format!("a{}", i % 3), TRADED[i / 3]);
                let size = if instrument.ends_with("PERPETUAL") { quantity * 1_000 } else { *quantity };
                book.position(&account, instrument, &size.to_string(), None).unwrap();
            }
            for i in 0..3 {
                let account = format!("a{i}");
                book.collateral(&account, "USDC", &usdc[i].to_string(), None).unwrap();
                book.collateral(&account, "ETH", &coins[i].to_string(), None).unwrap();
                book.order(&account, "BTC-27MAR26-75000-C", &orders[i].to_string(), Some("0.01")).unwrap();
            }
            book
        };
        let sets = vec![
            preset("fixed"),
            preset("plimsoll"),
            preset("span"),
            isolated("plimsoll"),
            cross("plimsoll"),
            preset("deribit-pm"),
            preset("okx"),
        ];
        let found = compared(sets, fill).unwrap();
        for account in &found.accounts {
            for at in 0..5 {
                prop_assert!(account.standing(at).is_some(), "{:?}", account);
            }
            for (base, other) in (0..7).flat_map(|base| (0..7).map(move |other| (base, other))) {
                let (Some(base), Some(other)) = (account.standing(base), account.standing(other)) else { continue };
                for measure in Measure::BOTH {
                    let parts = other.differences(base, measure);
                    let sum: i128 = parts.iter().map(|part| part.amount().0).sum();
                    prop_assert_eq!(sum, other.excess(measure).0 - base.excess(measure).0);
                }
            }
        }
    }
}
