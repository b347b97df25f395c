//! Charges on collateral: what falls when the account loses, and what has left its peg.
//!
//! Together with the haircut they never take more than the collateral counts for.

use crate::charges::{blank, shared};
use crate::money::Exact;
use crate::{Addon, AddonKind, CollateralReport, CollateralTerms, Input, MarginError, Params};
use plimsoll_types::{NANO, Ppb, RiskArrays, Ticks};

const WHOLE: i128 = NANO as i128;

/// The charges on every collateral asset; `columns` are the scenarios that bind the account.
pub(crate) fn of_collateral(
    collateral: &[CollateralReport],
    columns: &[usize],
    arrays: &RiskArrays,
    params: &Params,
    exact: Exact,
) -> Result<Vec<Addon>, MarginError> {
    let mut charges = Vec::new();
    for held in collateral.iter().filter(|held| held.value.0 > 0) {
        let Some(terms) = params.collateral.get(&held.asset) else { continue };
        let fall = worst_fall(held, columns, arrays, exact)?;
        let wrong = wrong_way(held, terms, fall, exact)?;
        let left = held.counted.0 - wrong.im.0;
        let depeg = depeg(held, terms, (left, arrays.ticks_per_unit), exact)?;
        charges.extend([Some(wrong), depeg].into_iter().flatten().filter(|charge| charge.im.0 != 0));
    }
    Ok(charges)
}

/// The largest weighted fall of the asset over the columns, as a share of its price; 0 for what is no underlying.
fn worst_fall(
    held: &CollateralReport,
    columns: &[usize],
    arrays: &RiskArrays,
    exact: Exact,
) -> Result<Ppb, MarginError> {
    let Some(index) = arrays.underlyings.iter().position(|row| row.asset == held.asset) else {
        return Ok(Ppb::ZERO);
    };
    let mut fall = 0_i128;
    for column in columns.iter().filter_map(|c| arrays.scenarios.get(*c)) {
        let Some(spot) = column.spot.get(index) else { continue };
        let weighted = exact.ratio_down(
            i128::from(spot.0),
            i128::from(column.weight.0),
            WHOLE,
            "a fall of collateral",
        )?;
        fall = fall.max(-weighted);
    }
    i64::try_from(fall).map(Ppb).map_err(|_| exact.overflow("a fall of collateral"))
}

/// `min(wrong_way x fall x value, counted)`, where `fall` is the weighted fall of the asset in the worst of the
/// scenarios that bind the account: its loss and the fall of its collateral come together.
fn wrong_way(
    held: &CollateralReport,
    terms: &CollateralTerms,
    fall: Ppb,
    exact: Exact,
) -> Result<Addon, MarginError> {
    let what = "wrong-way collateral";
    let lost = exact.scale_up(held.value.0, fall, what)?;
    let full = exact.scale_up(lost, terms.wrong_way, what)?.min(held.counted.0);
    let inputs = vec![
        ("value", Input::Money(held.value)),
        ("fall", Input::Ratio(fall)),
        ("wrong_way", Input::Ratio(terms.wrong_way)),
    ];
    shared(blank(AddonKind::WrongWay, &held.asset, inputs), full, terms.mm_share, exact)
}

/// `min(factor x max(0, threshold - price) x value, what is left)`, with the price in units of the valuation currency.
/// Source: the peg threshold and factor of Derive's manager (methods 3), applied to the coin itself.
fn depeg(
    held: &CollateralReport,
    terms: &CollateralTerms,
    (left, per_unit): (i128, i64),
    exact: Exact,
) -> Result<Option<Addon>, MarginError> {
    let what = "stable-coin depeg";
    let Some(peg) = terms.depeg else { return Ok(None) };
    let price = exact.ratio_down(i128::from(held.price), WHOLE, i128::from(per_unit), what)?;
    let short = (i128::from(peg.threshold.0) - price).max(0);
    let charged = exact.ratio_up(held.value.0, short, WHOLE, what)?;
    let full = exact.scale_up(charged, peg.factor, what)?.min(left);
    let inputs = vec![
        ("value", Input::Money(held.value)),
        ("price", Input::Money(Ticks(i128::from(held.price)))),
        ("threshold", Input::Ratio(peg.threshold)),
        ("factor", Input::Ratio(peg.factor)),
    ];
    let addon = blank(AddonKind::Depeg, &held.asset, inputs);
    shared(addon, full, terms.mm_share, exact).map(Some)
}
