//! Arrays that do not hold together are refused where an account reads them, and nowhere else.

use crate::common::*;
use plimsoll_margin::*;
use plimsoll_types::*;

/// A book on the first two instruments of two underlyings, with an order on the third and BTC as collateral.
fn book() -> Portfolio {
    portfolio_of(&[3, -2], &[("USD", 1_000), ("BTC", 1_000)], &[(2, 1, 0)])
}

fn market() -> RiskArrays {
    arrays_of(2, 3, 2, &(1..200).collect::<Vec<i64>>())
}

/// What evaluation says of broken arrays: both lanes, a trade and an order alike.
fn refusal(spoil: impl Fn(&mut RiskArrays)) -> (&'static str, usize, usize) {
    let mut arrays = market();
    spoil(&mut arrays);
    let narrow = AccountState::new(book(), &arrays).map(|_| ()).unwrap_err();
    assert_eq!(AccountState::wide(book(), &arrays).map(|_| ()).unwrap_err(), narrow);
    assert_eq!(evaluate(&book(), &arrays, &plain(Aggregation::Sum)).map(|_| ()).unwrap_err(), narrow);
    assert!(narrow.to_string().starts_with("account alice: the risk arrays have "), "{narrow}");
    match narrow {
        MarginError::Arrays { what, found, expected, .. } => (what, found, expected),
        other => panic!("{other}"),
    }
}

#[test]
fn rows_that_are_not_as_wide_as_the_scenarios_are_refused() {
    let full = market();
    let (width, entries) = (full.scenarios.len(), full.pnl.len());
    assert_eq!(refusal(|a| _ = a.pnl.pop()), ("entries numbering", entries - 1, entries));
    assert_eq!(refusal(|a| a.pnl.push(0)), ("entries numbering", entries + 1, entries));
    assert_eq!(refusal(|a| a.pnl.clear()), ("entries numbering", 0, entries));
    // One scenario fewer shifts every row: without the check each would be read from another's entries.
    let fewer = 10 * (width - 1);
    assert_eq!(refusal(|a| _ = a.scenarios.pop()), ("entries numbering", entries, fewer));
}

#[test]
fn an_instrument_on_an_underlying_that_is_not_there_is_refused() {
    for held in 0..3 {
        let found = refusal(|a| a.instruments[held].underlying = UnderlyingIx(2));
        assert_eq!(found, ("an instrument on underlying number", 2, 2));
    }
    assert_eq!(refusal(|a| a.underlyings.clear()), ("an instrument on underlying number", 0, 0));
    // What the account does not hold is not looked at: the check costs what the account costs.
    let mut arrays = market();
    arrays.instruments[7].underlying = UnderlyingIx(9);
    let mut state = AccountState::new(book(), &arrays).unwrap();
    let before = state.portfolio().clone();
    let trade = Trade { instrument: InstrumentIx(7), lots: Lots(1) };
    assert!(matches!(state.trade(&trade), Err(MarginError::Arrays { found: 9, expected: 2, .. })));
    assert_eq!(state.portfolio(), &before);
}

#[test]
fn a_block_that_ends_outside_is_refused_instead_of_scanning_nothing() {
    let width = market().scenarios.len();
    assert_eq!(
        refusal(|a| a.blocks[0].columns = 0..width + 1),
        ("a block that ends at column", width + 1, width)
    );
}

#[test]
fn a_scenario_without_a_move_of_an_underlying_is_refused_where_that_is_collateral() {
    let found = refusal(|a| _ = a.scenarios[1].spot.pop());
    assert_eq!(found, ("a scenario with spot moves numbering", 1, 2));
    let mut arrays = market();
    arrays.scenarios[1].spot.pop();
    assert!(AccountState::new(portfolio_of(&[3, -2], &[("USD", 1_000)], &[]), &arrays).is_ok());
}

#[test]
fn a_scenario_paired_with_none_is_refused_by_span() {
    let mut arrays = arrays_of(1, 3, 0, &(1..200).collect::<Vec<i64>>());
    let width = arrays.scenarios.len();
    arrays.scenarios.iter_mut().for_each(|column| column.pair = width);
    let book = portfolio_of(&[3], &[], &[]);
    let error = evaluate(&book, &arrays, &load("span-margin.toml")).unwrap_err();
    assert!(
        matches!(error, MarginError::Arrays { found, expected, .. } if found == width && expected == width)
    );
}
