//! Charges on collateral: what has left its peg, and what has no certain price. What falls when the account loses is
//! charged before them, see [`crate::wrong_way`].
//!
//! All three and the haircut never take more than the collateral is worth, and these two no more than what it secures.

use crate::charges::{blank, shared};
use crate::money::Exact;
use crate::{
    Addon, AddonKind, CollateralReport, CollateralTerms, ConfidenceTerms, Input, MarginError, Params,
};
use plimsoll_types::{NANO, Ppb, RiskArrays, Ticks};

const WHOLE: i128 = NANO as i128;

/// The charges on every collateral asset but the wrong-way charge, which is found before them.
pub(crate) fn of_collateral(
    collateral: &[CollateralReport],
    wrong_way: &[Addon],
    arrays: &RiskArrays,
    params: &Params,
    exact: Exact,
) -> Result<Vec<Addon>, MarginError> {
    let mut charges = Vec::new();
    for held in collateral.iter().filter(|held| held.value.0 > 0) {
        let Some(terms) = params.collateral.get(&held.asset) else { continue };
        let wrong = wrong_way.iter().find(|charge| charge.asset == held.asset);
        // A share of the wrong-way charge may exceed its part by the tick it is rounded by.
        let mut left = (held.counted.0 - wrong.map_or(0, |charge| charge.im.0.max(charge.mm.0))).max(0);
        let depeg = depeg(held, terms, (left, arrays.ticks_per_unit), exact)?;
        left -= depeg.as_ref().map_or(0, |charge| charge.im.0);
        let unsure = params.addons.confidence.of(&held.asset);
        let unsure = unsure.map(|t| confidence(held, t, (left, arrays), exact)).transpose()?;
        charges.extend([depeg, unsure].into_iter().flatten().filter(|charge| charge.im.0 != 0));
    }
    Ok(charges)
}

/// Cuts the charges, in their order, so that they add up to no more than `secured` in initial and in maintenance
/// margin; what is cut to nothing is left out. Collateral that secures nothing may fall as it will.
pub(crate) fn limit(charges: Vec<Addon>, secured: (i128, i128)) -> Vec<Addon> {
    let (mut im, mut mm) = secured;
    let cut = |mut charge: Addon| {
        let kept = (charge.im.0.min(im), charge.mm.0.min(mm));
        if kept != (charge.im.0, charge.mm.0) {
            charge.inputs.push(("secured".to_owned(), Input::Money(Ticks(im))));
        }
        (im, mm) = (im - kept.0, mm - kept.1);
        (charge.im, charge.mm) = (Ticks(kept.0), Ticks(kept.1));
        charge
    };
    charges.into_iter().map(cut).filter(|charge| charge.im.0 != 0 || charge.mm.0 != 0).collect()
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

/// `min(multiplier x max(0, confidence - threshold) x value, what is left)`: by as much may the price of the collateral
/// be off. The terms are those of the asset, else those of `*`, as for an index.
fn confidence(
    held: &CollateralReport,
    terms: &ConfidenceTerms,
    (left, arrays): (i128, &RiskArrays),
    exact: Exact,
) -> Result<Addon, MarginError> {
    let what = "the confidence of collateral";
    let stated = arrays.asset(&held.asset).map_or(Ppb::ZERO, |row| row.confidence);
    let wide = stated.0.saturating_sub(terms.threshold.0).max(0);
    let full = exact.scale_up(exact.scale_up(held.value.0, Ppb(wide), what)?, terms.multiplier, what)?;
    let inputs = vec![
        ("value", Input::Money(held.value)),
        ("confidence", Input::Ratio(stated)),
        ("threshold", Input::Ratio(terms.threshold)),
        ("multiplier", Input::Ratio(terms.multiplier)),
    ];
    shared(blank(AddonKind::Confidence, &held.asset, inputs), full.min(left), terms.mm_share, exact)
}
