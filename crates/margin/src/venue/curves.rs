//! Curves that several venues share: marginal tiers, a straight ramp, and the size premium and discount.

use super::{VenueError, settled};
use plimsoll_types::{Fixed, Rounding, mul_div_wide};
use serde::{Deserialize, Serialize};

/// One marginal tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRate {
    /// Size from which the rate applies; the first is 0, they rise.
    pub from: Fixed,
    /// Rate on what lies above `from`, up to the next edge.
    pub rate: Fixed,
}

/// Marginal tiers: `T(x) = sum_i rate_i max(0, min(x, hi_i) - lo_i)`, continuous and piecewise linear (methods 1.4).
/// Equally `rate_n x - deduction_n`, as exchanges publish it.
///
/// ```
/// use plimsoll_margin::venue::curves::{TierRate, tiered};
/// use plimsoll_types::Fixed;
/// let tiers = [
///     TierRate { from: Fixed::ZERO, rate: "0.01".parse()? },
///     TierRate { from: Fixed::from(1000), rate: "0.02".parse()? },
/// ];
/// assert_eq!(tiered(&tiers, Fixed::from(1500))?, Fixed::from(20));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] when there is no tier, the first does not begin at 0 or the edges do not rise, or `size < 0`.
pub fn tiered(tiers: &[TierRate], size: Fixed) -> Result<Fixed, VenueError> {
    let first = tiers.first().map(|tier| tier.from);
    let rising = tiers.windows(2).all(|pair| pair[0].from < pair[1].from);
    if first != Some(Fixed::ZERO) || !rising {
        let value = format!("{} tiers", tiers.len());
        return Err(VenueError::Domain {
            what: "a table of tiers",
            value,
            expected: "edges that rise from 0",
        });
    }
    if size < Fixed::ZERO {
        return Err(VenueError::Domain {
            what: "a tiered size",
            value: size.to_string(),
            expected: "0 or more",
        });
    }
    let mut sum = Fixed::ZERO;
    for (i, tier) in tiers.iter().enumerate() {
        let upto = tiers.get(i + 1).map_or(size, |next| size.min(next.from));
        sum = sum + tier.rate * (upto - tier.from).positive();
    }
    settled(sum, "a tiered amount")
}

/// The straight line from `(x0, y0)` to `(x1, y1)` at `x`, rounded down, constant beyond its ends: the open-interest
/// curve of dYdX, the utilisation curve and the cross buffer of Panoptic, and every other kink. `None` when `x0 >= x1`
/// or the result does not fit.
///
/// ```
/// use plimsoll_margin::venue::curves::ramp;
/// // dYdX: a base of 2 % climbs to 100 % between 20 and 50 million of open interest, in ppm.
/// assert_eq!(ramp(35_000_000, (20_000_000, 20_000), (50_000_000, 1_000_000)), Some(510_000));
/// assert_eq!(ramp(60_000_000, (20_000_000, 20_000), (50_000_000, 1_000_000)), Some(1_000_000));
/// ```
pub fn ramp(x: i128, (x0, y0): (i128, i128), (x1, y1): (i128, i128)) -> Option<i128> {
    if x0 >= x1 {
        return None;
    }
    let at = x.clamp(x0, x1);
    let rise = mul_div_wide(y1.checked_sub(y0)?, at.checked_sub(x0)?, x1.checked_sub(x0)?, Rounding::Down)?;
    y0.checked_add(rise)
}
