//! Rules of the linter that every venue's parameters are held to.

use crate::lint::{LintCode, LintFinding};
use plimsoll_types::Fixed;

/// Initial margin is not beneath maintenance margin: `im >= mm` of two rates, ratios or factors of the same base.
pub fn im_covers_mm(subject: &str, im: Fixed, mm: Fixed) -> Option<LintFinding> {
    let message = || format!("initial {im} is below maintenance {mm}");
    let covered = im >= mm;
    (!covered).then(|| LintFinding::new(LintCode::ImBelowMm, subject, message()))
}

/// A share lies in [0, 1].
pub fn share(subject: &str, value: Fixed) -> Option<LintFinding> {
    let inside = value >= Fixed::ZERO && value <= Fixed::ONE;
    let message = || format!("{value} is not between 0 and 1");
    (!inside).then(|| LintFinding::new(LintCode::OutsideUnit, subject, message()))
}

/// A rate or size is not negative: the charge does not fall with size.
pub fn not_negative(subject: &str, value: Fixed) -> Option<LintFinding> {
    let message = || format!("{value} is negative: the charge falls with size");
    let sound = value >= Fixed::ZERO;
    (!sound).then(|| LintFinding::new(LintCode::ChargeFalls, subject, message()))
}

/// A number is above 0.
pub fn positive(subject: &str, value: Fixed) -> Option<LintFinding> {
    let message = || format!("{value} is not positive");
    let sound = value > Fixed::ZERO;
    (!sound).then(|| LintFinding::new(LintCode::NotPositive, subject, message()))
}

/// A lower bound is not above its upper bound.
pub fn ordered(subject: &str, low: Fixed, high: Fixed) -> Option<LintFinding> {
    let message = || format!("{low} is above {high}");
    let sound = low <= high;
    (!sound).then(|| LintFinding::new(LintCode::BoundsCrossed, subject, message()))
}

/// A discount marks a long down and a short up: `long <= 1 <= short`.
pub fn discounts(subject: &str, long: Fixed, short: Fixed) -> Option<LintFinding> {
    let right = long <= Fixed::ONE && short >= Fixed::ONE;
    let message = || format!("a long is valued at {long} and a short at {short} times its shocked value");
    (!right).then(|| LintFinding::new(LintCode::DiscountSwapped, subject, message()))
}

/// The findings of several rules.
pub fn all<const N: usize>(found: [Option<LintFinding>; N]) -> Vec<LintFinding> {
    found.into_iter().flatten().collect()
}
