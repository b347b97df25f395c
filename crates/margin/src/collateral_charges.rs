//! Charges on collateral: what has left its peg, and what has no certain price. What falls when the account loses is
//! charged before them, see [`crate::wrong_way`].
//!
//! All three and the haircut never take more than the collateral is worth, and these two no more than what it secures.

use crate::charges::{Named, dressed};
use crate::formulas::{self, too_wide};
use crate::money::{Exact, Number, ratio_down, ratio_up, scale_up};
use crate::{
    Addon, AddonKind, CollateralReport, CollateralTerms, ConfidenceTerms, DepegTerms, Input, MarginError,
    Params,
};
use plimsoll_types::{NANO, Ppb, RiskArrays, Ticks};

const WHOLE: i128 = NANO as i128;
const UNSURE: &str = "the confidence of collateral";

/// What the charges on an asset depend on beside its value: looked up once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Falling {
    /// By how much its price is beneath its peg, in billionths of a unit, and the factor on that; of a stable coin.
    pub(crate) depeg: Option<(i128, Ppb)>,
    /// By how much its confidence is too wide, and the factor on that; where there are such terms.
    pub(crate) unsure: Option<(Ppb, Ppb)>,
}

/// The two charges on one asset, before they are cut to what the collateral secures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fallen {
    pub(crate) depeg: i128,
    pub(crate) unsure: i128,
}

impl Falling {
    /// `held` is the price that counts when it is held.
    pub(crate) fn new(
        asset: &plimsoll_types::Asset,
        (held, terms): (i64, &CollateralTerms),
        arrays: &RiskArrays,
        params: &Params,
    ) -> Number<Self> {
        let peg = |peg: DepegTerms| {
            let price =
                ratio_down(i128::from(held), WHOLE, i128::from(arrays.ticks_per_unit), "stable-coin depeg")?;
            Ok(((i128::from(peg.threshold.0) - price).max(0), peg.factor))
        };
        let stated = arrays.asset(asset).map_or(Ppb::ZERO, |row| row.confidence);
        let unsure = params.addons.confidence.of(asset);
        Ok(Self {
            depeg: terms.depeg.map(peg).transpose()?,
            unsure: unsure.map(|terms| (too_wide(stated, terms.threshold), terms.multiplier)),
        })
    }

    /// Whether both charges are zero whatever is held.
    pub(crate) fn is_nothing(&self) -> bool {
        self.depeg.is_none_or(|(short, _)| short == 0) && self.unsure.is_none_or(|(wide, _)| wide.0 == 0)
    }

    /// `depeg = min(factor x max(0, threshold - price) x value, left)` and then `unsure = min(multiplier x
    /// max(0, confidence - threshold) x value, what is left of that)`: by as much may the price of the collateral be
    /// off. `left` is what it counts for less its wrong-way charge. Source: the peg threshold and factor of Derive's
    /// manager (methods 3), applied to the coin itself; the confidence terms are those of the asset, else those of `*`,
    /// as for an index.
    pub(crate) fn of(&self, value: i128, left: i128) -> Number<Fallen> {
        let mut fallen = Fallen::default();
        if let Some((short, factor)) = self.depeg.filter(|(short, _)| *short > 0) {
            let what = "stable-coin depeg";
            fallen.depeg = scale_up(ratio_up(value, short, WHOLE, what)?, factor, what)?.min(left);
        }
        if let Some((wide, multiplier)) = self.unsure {
            let full = formulas::confidence(value, wide, multiplier, UNSURE)?;
            fallen.unsure = full.min(left - fallen.depeg);
        }
        Ok(fallen)
    }
}

/// What an asset still counts for after its wrong-way charge `(im, mm)`; a share of that may exceed its part by the tick
/// it is rounded by.
pub(crate) fn left_of(counted: i128, wrong_way: (i128, i128)) -> i128 {
    (counted - wrong_way.0.max(wrong_way.1)).max(0)
}

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
        let left = left_of(held.counted.0, wrong.map_or((0, 0), |charge| (charge.im.0, charge.mm.0)));
        let falling = exact.own(Falling::new(&held.asset, (held.price, terms), arrays, params))?;
        let fallen = exact.own(falling.of(held.value.0, left))?;
        let depeg = terms.depeg.map(|peg| {
            let inputs = || depeg_inputs(held, peg);
            dressed((AddonKind::Depeg, &held.asset), (fallen.depeg, terms.mm_share), exact, inputs)
        });
        let unsure = params.addons.confidence.of(&held.asset).map(|unsure| {
            let inputs = || unsure_inputs(held, unsure, arrays);
            dressed((AddonKind::Confidence, &held.asset), (fallen.unsure, unsure.mm_share), exact, inputs)
        });
        charges.extend(depeg.transpose()?.flatten());
        charges.extend(unsure.transpose()?.flatten());
    }
    Ok(charges)
}

fn unsure_inputs(held: &CollateralReport, terms: &ConfidenceTerms, arrays: &RiskArrays) -> Named<4> {
    let stated = arrays.asset(&held.asset).map_or(Ppb::ZERO, |row| row.confidence);
    [
        ("value", Input::Money(held.value)),
        ("confidence", Input::Ratio(stated)),
        ("threshold", Input::Ratio(terms.threshold)),
        ("multiplier", Input::Ratio(terms.multiplier)),
    ]
}

fn depeg_inputs(held: &CollateralReport, peg: DepegTerms) -> Named<4> {
    [
        ("value", Input::Money(held.value)),
        ("price", Input::Money(Ticks(i128::from(held.price)))),
        ("threshold", Input::Ratio(peg.threshold)),
        ("factor", Input::Ratio(peg.factor)),
    ]
}

/// Cuts a charge to what is left of `secured`, in initial and in maintenance margin, and takes it off.
pub(crate) fn cut(charge: (i128, i128), secured: &mut (i128, i128)) -> (i128, i128) {
    let kept = (charge.0.min(secured.0), charge.1.min(secured.1));
    *secured = (secured.0 - kept.0, secured.1 - kept.1);
    kept
}

/// Cuts the charges, in their order, so that they add up to no more than `secured` in initial and in maintenance
/// margin; what is cut to nothing is left out. Collateral that secures nothing may fall as it will.
pub(crate) fn limit(charges: Vec<Addon>, mut secured: (i128, i128)) -> Vec<Addon> {
    let limited = |mut charge: Addon| {
        let before = secured.0;
        let kept = cut((charge.im.0, charge.mm.0), &mut secured);
        if kept != (charge.im.0, charge.mm.0) {
            charge.inputs.push(("secured".into(), Input::Money(Ticks(before))));
        }
        (charge.im, charge.mm) = (Ticks(kept.0), Ticks(kept.1));
        charge
    };
    charges.into_iter().map(limited).filter(|charge| charge.im.0 != 0 || charge.mm.0 != 0).collect()
}
