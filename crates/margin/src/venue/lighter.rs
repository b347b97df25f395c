//! Lighter's zero price and its rule for changes of risk, in the venue's integers.
//!
//! The zero price of a position is the price at which closing it leaves the account's value over its requirement as it
//! was: what a liquidation may trade at without making the account worse. Source: elliottech/lighter-prover. Margin
//! fractions have four decimals; prices, values and requirements are in one unit of the venue's.

use super::VenueError;
use super::integer::{above_zero, fits, mul};
use plimsoll_types::{Rounding, mul_div_wide};

/// Margin fractions: so many units are 1.
const FRACTION_UNITS: i128 = 10_000;

/// Which side a position is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Long.
    Long,
    /// Short.
    Short,
}

/// The maintenance requirement of a position: `|quantity| mark fraction/1e4`, rounded down.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn lighter_requirement(quantity: i128, mark: i128, fraction: i128) -> Result<i128, VenueError> {
    let size = fits(quantity.checked_abs(), "a size")?;
    let value = mul(size, mark, "a value")?;
    fits(mul_div_wide(value, fraction, FRACTION_UNITS, Rounding::Down), "a requirement")
}

/// The zero price of a position at `mark` with maintenance fraction `fraction`, in an account of value `value` and
/// maintenance requirement `requirement`: with `A = mark requirement 1e4` and `B = mark fraction value side`,
/// `ceil((A - B)/(requirement 1e4))` for a long, the floor for a short.
///
/// ```
/// use plimsoll_margin::venue::lighter::{Side, lighter_zero_price};
/// // An account without value trades at the mark; one at its requirement gives up the whole fraction.
/// assert_eq!(lighter_zero_price(10_000, 500, 0, 1_000, Side::Long)?, 10_000);
/// assert_eq!(lighter_zero_price(10_000, 500, 1_000, 1_000, Side::Long)?, 9_500);
/// assert_eq!(lighter_zero_price(10_000, 500, 1_000, 1_000, Side::Short)?, 10_500);
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] without a requirement, [`VenueError::Overflow`].
pub fn lighter_zero_price(
    mark: i128,
    fraction: i128,
    value: i128,
    requirement: i128,
    side: Side,
) -> Result<i128, VenueError> {
    let under = mul(above_zero(requirement, "a requirement")?, FRACTION_UNITS, "a requirement")?;
    let moved = mul(mark, fraction, "a margin per unit")?;
    let (signed, rounding) = match side {
        Side::Long => (fits(value.checked_neg(), "a value")?, Rounding::Up),
        Side::Short => (value, Rounding::Down),
    };
    // `A/(requirement 1e4)` is the mark exactly, so only the second part rounds.
    let part = fits(mul_div_wide(moved, signed, under, rounding), "a zero price")?;
    fits(mark.checked_add(part), "a zero price")
}

/// An account before or after a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Account value.
    pub value: i128,
    /// Requirement.
    pub requirement: i128,
}

/// Whether a change of an account is allowed: it is healthy after, or its value over its requirement is not worse than
/// before, compared by cross-multiplication.
///
/// # Errors
/// [`VenueError::Domain`] for a negative requirement, [`VenueError::Overflow`].
pub fn lighter_risk_change(before: Standing, after: Standing) -> Result<bool, VenueError> {
    for standing in [before, after] {
        super::integer::not_below_zero(standing.requirement, "a requirement")?;
    }
    if after.value >= after.requirement {
        return Ok(true);
    }
    let kept = mul(after.value, before.requirement, "a health")?;
    Ok(kept >= mul(before.value, after.requirement, "a health")?)
}
