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

/// `floor(sqrt(10 s + 1))` of a size `s` in 1e-9: the root of the size in coins, with five digits.
fn size_root(size: i128) -> Option<i128> {
    let tenfold = u128::try_from(size).ok()?.checked_mul(10)?.checked_add(1)?;
    i128::try_from(tenfold.isqrt()).ok()
}

/// The size premium of a ratio or liability weight, in 1e-4: `(w - w/5) + sqrt(10 s + 1) imf/1e7`, each division rounded
/// down, in real numbers `0.8 w + sqrt(size) imf`; without a factor `w`. It may be below `w`: a venue takes the larger.
/// `size` is in 1e-9, `imf` in 1e-6 per root of a coin. `None` when it does not fit or an input is negative.
///
/// ```
/// use plimsoll_margin::venue::curves::size_premium;
/// // 1000 coins, a factor of 0.001: 0.8 x 10 % + 31.62 x 0.1 %.
/// assert_eq!(size_premium(1_000_000_000_000, 1000, 1000), Some(1116));
/// assert_eq!(size_premium(1_000_000_000_000, 0, 1000), Some(1000));
/// ```
pub fn size_premium(size: i128, imf: i128, weight: i128) -> Option<i128> {
    if imf == 0 {
        return Some(weight);
    }
    let rise = mul_div_wide(size_root(size)?, imf, 10_000_000, Rounding::Down)?;
    (weight - weight / 5).checked_add(rise)
}

/// The size discount of an asset weight, in 1e-4: `min(w, 1.1e6 x 1e4/(1e6 + sqrt(10 s + 1) imf/1e5))`, each division
/// rounded down, in real numbers `min(w, 1.1/(1 + sqrt(size) imf))`; without a factor `w`. Units as in [`size_premium`].
///
/// ```
/// use plimsoll_margin::venue::curves::size_discount;
/// // 1000 coins, a factor of 0.01: 1.1/1.3162.
/// assert_eq!(size_discount(1_000_000_000_000, 10_000, 9000), Some(8357));
/// ```
pub fn size_discount(size: i128, imf: i128, weight: i128) -> Option<i128> {
    if imf == 0 {
        return Some(weight);
    }
    let spread = mul_div_wide(size_root(size)?, imf, 100_000, Rounding::Down)?;
    let under = 1_000_000_i128.checked_add(spread).filter(|under| *under > 0)?;
    Some(weight.min(1_100_000 * 10_000 / under))
}

/// Rate and deduction of the tier that a size lies in: [`tiered`] is `rate size - deduction`. An edge belongs to the
/// upper tier; the deduction grows by `edge (rate - rate before)` from tier to tier.
///
/// # Errors
/// As [`tiered`].
pub fn tier_of(tiers: &[TierRate], size: Fixed) -> Result<(Fixed, Fixed), VenueError> {
    tiered(tiers, size)?;
    let reached = |tier: &&TierRate| tier.from <= size;
    let rate = tiers.iter().rev().find(reached).map_or(Fixed::LOST, |tier| tier.rate);
    let steps = tiers.windows(2).filter(|pair| pair[1].from <= size);
    let deduction = steps.map(|pair| pair[1].from * (pair[1].rate - pair[0].rate)).sum();
    Ok((settled(rate, "a rate")?, settled(deduction, "a deduction")?))
}

/// Initial margin at a leverage: `|value| / leverage`.
///
/// # Errors
/// [`VenueError::Domain`] of a leverage that is not positive; [`VenueError::Overflow`].
pub fn leveraged_margin(value: Fixed, leverage: Fixed) -> Result<Fixed, VenueError> {
    if leverage > Fixed::ZERO {
        return settled(value.abs() / leverage, "a leveraged margin");
    }
    let value = leverage.to_string();
    Err(VenueError::Domain { what: "a leverage", value, expected: "more than 0" })
}

/// A static share of the gross size: `ratio x sum |value|`, of positions' notionals or of a debt (1.5 of it where debt is
/// collateralised at 150 %).
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn fixed_ratio(ratio: Fixed, values: &[Fixed]) -> Result<Fixed, VenueError> {
    let gross: Fixed = values.iter().map(|value| value.abs()).sum();
    settled(ratio * gross, "a fixed share")
}
