//! Whole-number arithmetic of venues that compute in integers: every step is exact or an error that names it.

use super::VenueError;
use plimsoll_types::{Fixed, Rounding, mul_div_wide};
use std::fmt;

/// Units of [`Fixed`] in one millionth: what turns 6 decimals into 18.
const MILLIONTH: i128 = 1_000_000_000_000;

/// The number, or the error that it does not fit.
pub(super) fn fits<T>(number: Option<T>, what: &'static str) -> Result<T, VenueError> {
    number.ok_or(VenueError::Overflow { what })
}

/// `floor(a b / c)` with a 256-bit product; `c` is not 0.
pub(super) fn mul_div(a: i128, b: i128, c: i128, what: &'static str) -> Result<i128, VenueError> {
    fits(mul_div_wide(a, b, c, Rounding::Down), what)
}

/// `a b / c` without the sign of the result, rounded toward zero, with it again.
pub(super) fn mul_div_truncated(a: i128, b: i128, c: i128, what: &'static str) -> Result<i128, VenueError> {
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    fits(mul_div_wide(a, b, c, if negative { Rounding::Up } else { Rounding::Down }), what)
}

/// `a + b`.
pub(super) fn add(a: i128, b: i128, what: &'static str) -> Result<i128, VenueError> {
    fits(a.checked_add(b), what)
}

/// `a - b`.
pub(super) fn sub(a: i128, b: i128, what: &'static str) -> Result<i128, VenueError> {
    fits(a.checked_sub(b), what)
}

/// `a b`.
pub(super) fn mul(a: i128, b: i128, what: &'static str) -> Result<i128, VenueError> {
    fits(a.checked_mul(b), what)
}

/// `10^n`, up to `10^38`.
pub(super) fn power_of_ten(n: u32, what: &'static str) -> Result<i128, VenueError> {
    fits(10_i128.checked_pow(n), what)
}

/// A number whose default is 0: a venue's integer or a [`Fixed`], of which a lost one is neither above nor below.
pub(super) trait Number: Copy + Default + PartialOrd + fmt::Display {}

impl<T: Copy + Default + PartialOrd + fmt::Display> Number for T {}

/// A number that the method has no meaning for below 0.
pub(super) fn not_below_zero<T: Number>(number: T, what: &'static str) -> Result<T, VenueError> {
    let refused = || VenueError::Domain { what, value: number.to_string(), expected: "0 or more" };
    (number >= T::default()).then_some(number).ok_or_else(refused)
}

/// A number that the method has a meaning for above 0 only.
pub(super) fn above_zero<T: Number>(number: T, what: &'static str) -> Result<T, VenueError> {
    let refused = || VenueError::Domain { what, value: number.to_string(), expected: "more than 0" };
    (number > T::default()).then_some(number).ok_or_else(refused)
}

/// The size of an amount of ours in units of `1/scale`, rounded away from zero: the named rounding of every quantity and
/// price that enters a requirement of a venue's integers.
pub(super) fn units_away(amount: Fixed, scale: i128, what: &'static str) -> Result<i128, VenueError> {
    let size = amount.abs().scaled(scale, 1_000_000_000_000_000_000, Rounding::Up);
    fits(size.known(), what)
}

/// So many millionths of the currency.
pub(super) fn millionths(amount: i128) -> Fixed {
    amount.checked_mul(MILLIONTH).map_or(Fixed::LOST, Fixed::from_units)
}
