//! Panoptic: collateral ratios that rise with the utilisation of the pool that options are sold against.
//!
//! Ratios have seven decimals (`D = 1e7`), utilisation is in basis points. Source: panoptic-labs/panoptic-v2-core @
//! d20b0aed, contract `RiskEngine`. The curve is flat to two thirds of utilisation and reaches full collateral at 90 %.
//!
//! An account of ours: Panoptic options neither expire nor have a premium that is paid at once, ours do. A short option
//! is charged the sell ratio of its notional (the index for a call, the strike for a put), a long one the buyer's
//! ratio and never more than its mark. The utilisation is a parameter of the preset: it is no part of a market snapshot.

use super::checks::{all, not_negative, ordered, positive};
use super::curves::ramp;
use super::integer::{above_zero, add, fits, not_below_zero};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, settled};
use crate::lint::LintFinding;
use plimsoll_types::{Fixed, OptionKind, Rounding, mul_div_wide};
use serde::{Deserialize, Serialize};

const METHOD: &str = "panoptic";
/// Units of the curve in one basis point of utilisation.
const UNITS_PER_BPS: i128 = 1000;

/// The utilisation curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What is 1: `D`.
    pub decimals: i64,
    /// Utilisation up to which the ratio is the least, in `1/D`.
    pub target: i64,
    /// Utilisation from which collateral is full, in `1/D`.
    pub saturated: i64,
}

/// The contract's own curve.
pub const CURVE: Curve = Curve { decimals: 10_000_000, target: 6_666_667, saturated: 9_000_000 };

/// Utilisation in units of the curve: `1000 |u|` of `u` in basis points.
fn utilised(bps: i128) -> Result<i128, VenueError> {
    let size = fits(bps.checked_abs(), "a utilisation")?;
    fits(size.checked_mul(UNITS_PER_BPS), "a utilisation")
}

/// The ratio of notional that a seller holds, in `1/D`, at utilisation `bps`: `ratio` below the target, `D` above
/// saturation, a straight line between, rounded down. A negative utilisation marks a strangle, which holds half of
/// `ratio`, rounded down.
///
/// ```
/// use plimsoll_margin::venue::panoptic::{CURVE, sell_collateral_ratio};
/// assert_eq!(sell_collateral_ratio(2500, 2_000_000, &CURVE)?, 2_000_000);
/// assert_eq!(sell_collateral_ratio(-2500, 2_000_000, &CURVE)?, 1_000_000);
/// assert_eq!(sell_collateral_ratio(9000, 2_000_000, &CURVE)?, 10_000_000);
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for a negative ratio, [`VenueError::Overflow`] when the curve does not rise.
pub fn sell_collateral_ratio(bps: i128, ratio: i128, curve: &Curve) -> Result<i128, VenueError> {
    let ratio = not_below_zero(ratio, "a ratio")?;
    let least = if bps < 0 { ratio / 2 } else { ratio };
    let (target, saturated) = (i128::from(curve.target), i128::from(curve.saturated));
    let line = ramp(utilised(bps)?, (target, least), (saturated, i128::from(curve.decimals)));
    fits(line, "the utilisation curve")
}

/// What a loan of `amount` requires, in its own unit: `ceil(amount (sell(u, rate) + D)/D)`.
///
/// # Errors
/// As [`sell_collateral_ratio`].
pub fn loan_requirement(amount: i128, bps: i128, rate: i128, curve: &Curve) -> Result<i128, VenueError> {
    let amount = not_below_zero(amount, "an amount")?;
    let whole = above_zero(i128::from(curve.decimals), "the unit of the curve")?;
    let ratio = add(sell_collateral_ratio(bps, rate, curve)?, whole, "a ratio")?;
    fits(mul_div_wide(amount, ratio, whole, Rounding::Up), "a requirement")
}

/// The share of collateral in one token that counts for the other, in `1/D`: `buffer` below saturation, 0 above halfway
/// between saturation and 1, a straight line between, rounded down.
///
/// # Errors
/// [`VenueError::Domain`] for a negative buffer, [`VenueError::Overflow`] when the curve does not rise.
pub fn cross_buffer_ratio(bps: i128, buffer: i128, curve: &Curve) -> Result<i128, VenueError> {
    let buffer = not_below_zero(buffer, "a buffer")?;
    let saturated = i128::from(curve.saturated);
    let cut = add(saturated, i128::from(curve.decimals), "a cut-off")? / 2;
    fits(ramp(utilised(bps)?, (saturated, buffer), (cut, 0)), "the cross buffer")
}

/// The state of the oracle's averages at which the venue is in safe mode: the spot tick further than 724 from the
/// average (7.5 %).
pub fn safe_mode(spot_tick: i32, average_tick: i32) -> bool {
    spot_tick.abs_diff(average_tick) > 724
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Utilisation of the pool, basis points; 0 to 10 000.
    pub utilisation_bps: u32,
    /// Least ratio of a seller, in `1/D`.
    pub sell_ratio: i64,
    /// Ratio of a buyer, in `1/D`.
    pub buy_ratio: i64,
    /// The curve.
    pub curve: Curve,
    /// What a requirement is multiplied by when a position is opened, in `1/D`; at least `D`.
    pub initial_buffer: i64,
}

impl Terms {
    fn leg(&self, leg: &Leg<'_>) -> Result<Charge, VenueError> {
        let LegKind::Option { kind, strike, .. } = leg.kind else {
            return Err(leg.unsupported(METHOD, "it lists options only"));
        };
        let per_unit = match kind {
            OptionKind::Call => leg.index,
            OptionKind::Put => strike,
        };
        let notional = settled(leg.quantity.abs() * per_unit, "a notional")?;
        let whole = i128::from(self.curve.decimals);
        let times = |amount: Fixed, ratio: i128| amount.scaled(ratio, whole, Rounding::Up);
        let short = leg.quantity < Fixed::ZERO;
        let (code, mm, im) = if short {
            let bps = i128::from(self.utilisation_bps);
            let ratio = sell_collateral_ratio(bps, i128::from(self.sell_ratio), &self.curve)?;
            let mm = times(notional, ratio);
            ("sell_ratio", mm, times(mm, i128::from(self.initial_buffer)))
        } else {
            let premium = leg.value().positive();
            let mm = times(notional, i128::from(self.buy_ratio));
            ("buy_ratio", mm.min(premium), times(mm, i128::from(self.initial_buffer)).min(premium))
        };
        let asset = Some(leg.underlying.asset.clone());
        Ok(Charge { code, asset, im: settled(im, "a requirement")?, mm: settled(mm, "a requirement")? })
    }
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        book.legs.iter().map(|leg| self.leg(leg)).collect()
    }

    fn lint(&self) -> Vec<LintFinding> {
        let at = |field: &str| format!("margin.aggregation.{field}");
        let whole = |units: i64| Fixed::from(units);
        let curve = &self.curve;
        all([
            positive(&at("curve.decimals"), whole(curve.decimals)),
            not_negative(&at("sell_ratio"), whole(self.sell_ratio)),
            not_negative(&at("buy_ratio"), whole(self.buy_ratio)),
            ordered(&at("sell_ratio"), whole(self.sell_ratio), whole(curve.decimals)),
            ordered(&at("curve"), whole(curve.target), whole(curve.saturated)),
            ordered(&at("curve.saturated"), whole(curve.saturated), whole(curve.decimals)),
            ordered(&at("initial_buffer"), whole(curve.decimals), whole(self.initial_buffer)),
        ])
    }
}
