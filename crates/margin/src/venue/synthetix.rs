//! Synthetix v3 perps: margin ratios that rise with the size of a position against the market's skew scale.
//!
//! Source: Synthetixio/synthetix-v3 @ 23585f73 (perps market); methods, section 16. The limits of the collateral
//! discount are `lower <= upper`: an audit found them swapped.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::{LintCode, LintFinding};
use plimsoll_types::{Fixed, Rounding, mul_div_wide};
use serde::{Deserialize, Serialize};

const METHOD: &str = "synthetix";

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Perpetuals, per underlying.
    pub markets: ByAsset<MarketTerms>,
    /// Discount of spot that is held as collateral, per asset.
    pub discounts: ByAsset<DiscountTerms>,
}

/// A market's terms.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketTerms {
    /// Base units of skew that move the price by 100 %; 0: size has no impact.
    pub skew_scale: Fixed,
    /// Initial ratio of a position as large as the skew scale.
    pub im_ratio: Fixed,
    /// Least initial ratio.
    pub im_ratio_min: Fixed,
    /// Maintenance ratio as a share of the initial one.
    pub mm_scale: Fixed,
    /// Added to both requirements of a position, currency.
    pub margin_min: Fixed,
    /// Reward for flagging a position, as a share of its value.
    pub flag_ratio: Fixed,
}

/// The discount that collateral is sold at, by its amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscountTerms {
    /// Units of the collateral's spot market that move its price by 100 %.
    pub skew_scale: Fixed,
    /// Multiple of that impact.
    pub scalar: Fixed,
    /// Least discount.
    pub lower: Fixed,
    /// Largest discount.
    pub upper: Fixed,
}

/// Initial and maintenance numbers of a position: ratios, or amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Margins {
    /// Initial.
    pub im: Fixed,
    /// Maintenance.
    pub mm: Fixed,
}

/// Ratios of a position of `size`: `im = |q|/skew_scale im_ratio + im_ratio_min` (without the first part where the skew
/// scale is 0), `mm = im mm_scale`.
///
/// # Errors
/// [`VenueError::Overflow`]; [`VenueError::Domain`] of a negative skew scale.
pub fn margin_ratios(size: Fixed, terms: &MarketTerms) -> Result<Margins, VenueError> {
    let im = impact(size, terms.skew_scale)?.abs() * terms.im_ratio + terms.im_ratio_min;
    let im = settled(im, "an initial ratio")?;
    Ok(Margins { im, mm: settled(im * terms.mm_scale, "a maintenance ratio")? })
}

/// Requirements of a position: `|q| P ratio + margin_min`, nothing without a position.
///
/// ```
/// use plimsoll_margin::venue::synthetix::{MarketTerms, margins};
/// use plimsoll_types::Fixed;
/// let terms = MarketTerms {
///     skew_scale: Fixed::from(1000),
///     im_ratio: Fixed::from(2),
///     im_ratio_min: "0.02".parse()?,
///     mm_scale: "0.5".parse()?,
///     margin_min: Fixed::from(500),
///     flag_ratio: "0.01".parse()?,
/// };
/// // 20 of 1000: 4 % + 2 % of 20 x 1775, and 500.
/// let found = margins(Fixed::from(20), Fixed::from(1775), &terms)?;
/// assert_eq!((found.im, found.mm), (Fixed::from(2630), Fixed::from(1565)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Overflow`]; [`VenueError::Domain`] of a negative skew scale.
pub fn margins(size: Fixed, price: Fixed, terms: &MarketTerms) -> Result<Margins, VenueError> {
    let ratios = margin_ratios(size, terms)?;
    if size == Fixed::ZERO {
        return Ok(Margins { im: Fixed::ZERO, mm: Fixed::ZERO });
    }
    let of = |ratio: Fixed| settled(size.abs() * price * ratio + terms.margin_min, "a margin");
    Ok(Margins { im: of(ratios.im)?, mm: of(ratios.mm)? })
}

/// Reward for flagging a position: `|q| P flag_ratio`.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn flag_reward(size: Fixed, price: Fixed, flag_ratio: Fixed) -> Result<Fixed, VenueError> {
    settled(size.abs() * price * flag_ratio, "a reward for flagging")
}

/// Price at which a trade of `size` fills: the mean of the prices before and after it,
/// `P (1 + skew/scale)` and `P (1 + (skew + size)/scale)`; `P` where the scale is 0.
///
/// # Errors
/// [`VenueError::Overflow`]; [`VenueError::Domain`] of a negative skew scale.
pub fn fill_price(skew: Fixed, skew_scale: Fixed, size: Fixed, price: Fixed) -> Result<Fixed, VenueError> {
    let premium = impact(skew + skew + size, skew_scale + skew_scale)?;
    settled(price + price * premium, "a fill price")
}

/// Profit of a position at `price` since it was filled at `fill`.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn position_pnl(size: Fixed, fill: Fixed, price: Fixed) -> Result<Fixed, VenueError> {
    settled((price - fill) * size, "a profit")
}

/// What can be withdrawn: available margin less initial margins and the rewards for flagging; < 0 where the account
/// could not open what it holds.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn withdrawable(available: Fixed, im: Fixed, flag_rewards: Fixed) -> Result<Fixed, VenueError> {
    settled(available - im - flag_rewards, "a withdrawable margin")
}

/// Discount of an amount of collateral: `clamp(amount/skew_scale scalar, lower, upper)`.
///
/// # Errors
/// [`VenueError::Domain`] of limits that are swapped or outside [0, 1], or a negative amount or scale;
/// [`VenueError::Overflow`].
pub fn size_discount(amount: Fixed, terms: &DiscountTerms) -> Result<Fixed, VenueError> {
    let ordered = Fixed::ZERO <= terms.lower && terms.lower <= terms.upper && terms.upper <= Fixed::ONE;
    if !ordered {
        let value = format!("{} to {}", terms.lower, terms.upper);
        let expected = "a lower and an upper share";
        return Err(VenueError::Domain { what: "the limits of a discount", value, expected });
    }
    if amount < Fixed::ZERO {
        let value = amount.to_string();
        return Err(VenueError::Domain { what: "an amount of collateral", value, expected: "0 or more" });
    }
    let sold = impact(amount, terms.skew_scale)? * terms.scalar;
    settled(sold.clamp(terms.lower, terms.upper), "a discount")
}

/// Value of collateral after its discount: `amount price (1 - discount)`.
///
/// # Errors
/// As [`size_discount`].
pub fn discounted_value(amount: Fixed, price: Fixed, terms: &DiscountTerms) -> Result<Fixed, VenueError> {
    let discount = size_discount(amount, terms)?;
    settled(amount * price * (Fixed::ONE - discount), "a value of collateral")
}

/// How fast a market liquidates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiquidationTerms {
    /// Fee of a maker, a share.
    pub maker_fee: Fixed,
    /// Fee of a taker, a share.
    pub taker_fee: Fixed,
    /// Base units of skew that move the price by 100 %.
    pub skew_scale: Fixed,
    /// The accumulation multiplier, per second.
    pub multiplier: Fixed,
    /// Length of a window, seconds.
    pub window_seconds: Fixed,
}

/// Base units that can be liquidated in a window: `(maker + taker) skew_scale multiplier seconds`.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn liquidation_per_window(terms: &LiquidationTerms) -> Result<Fixed, VenueError> {
    let fees = terms.maker_fee + terms.taker_fee;
    let size = fees * terms.skew_scale * terms.multiplier * terms.window_seconds;
    settled(size, "a liquidation window")
}

/// Windows that the liquidation of a position takes, rounded up.
///
/// # Errors
/// [`VenueError::Domain`] where a window liquidates nothing; [`VenueError::Overflow`].
pub fn liquidation_windows(size: Fixed, per_window: Fixed) -> Result<i128, VenueError> {
    if per_window > Fixed::ZERO {
        let units = size.abs().known().zip(per_window.known());
        let windows = units.and_then(|(size, each)| mul_div_wide(size, 1, each, Rounding::Up));
        return windows.ok_or(VenueError::Overflow { what: "a number of windows" });
    }
    let value = per_window.to_string();
    Err(VenueError::Domain { what: "a liquidation window", value, expected: "more than 0" })
}

/// `size / scale`, 0 where the scale is 0.
fn impact(size: Fixed, scale: Fixed) -> Result<Fixed, VenueError> {
    if scale < Fixed::ZERO {
        let value = scale.to_string();
        return Err(VenueError::Domain { what: "a skew scale", value, expected: "0 or more" });
    }
    Ok(if scale == Fixed::ZERO { Fixed::ZERO } else { size / scale })
}

impl Terms {
    fn perpetual(&self, leg: &Leg<'_>) -> Result<[Charge; 2], VenueError> {
        let asset = &leg.underlying.asset;
        let terms = self.markets.of(asset).ok_or_else(|| missing("a market", leg))?;
        let required = margins(leg.quantity, leg.reference, terms)?;
        let reward = flag_reward(leg.quantity, leg.reference, terms.flag_ratio)?;
        let charge = |code, im, mm| Charge { code, asset: Some(asset.clone()), im, mm };
        Ok([charge("position_margin", required.im, required.mm), charge("flag_reward", reward, reward)])
    }

    fn spot(&self, leg: &Leg<'_>) -> Result<Charge, VenueError> {
        let asset = &leg.underlying.asset;
        if leg.quantity < Fixed::ZERO {
            return Err(leg.unsupported(METHOD, "collateral is not borrowed"));
        }
        let terms = self.discounts.of(asset).ok_or_else(|| missing("a collateral discount", leg))?;
        let lost = leg.value() - discounted_value(leg.quantity, leg.mark, terms)?;
        let lost = settled(lost, "a collateral discount")?;
        Ok(Charge { code: "collateral_discount", asset: Some(asset.clone()), im: lost, mm: lost })
    }
}

fn missing(what: &'static str, leg: &Leg<'_>) -> VenueError {
    VenueError::Missing { method: METHOD, what, subject: leg.underlying.asset.to_string() }
}

impl Method for Terms {
    /// Positions one by one, without netting between markets; rewards for flagging in both requirements, because the
    /// venue keeps them out of what can be withdrawn. Spot is collateral, and charged its discount.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for leg in &book.legs {
            match leg.kind {
                LegKind::Perpetual => charges.extend(self.perpetual(leg)?),
                LegKind::Spot => charges.push(self.spot(leg)?),
                LegKind::Future { .. } | LegKind::Option { .. } => {
                    return Err(leg.unsupported(METHOD, "it lists perpetuals"));
                }
            }
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = Vec::new();
        for (scope, market) in &self.markets.0 {
            let path = |field: &str| format!("aggregation.markets.{scope}.{field}");
            found.extend(checks::all([
                checks::not_negative(&path("skew_scale"), market.skew_scale),
                checks::not_negative(&path("im_ratio"), market.im_ratio),
                checks::positive(&path("im_ratio_min"), market.im_ratio_min),
                checks::im_covers_mm(&path("mm_scale"), Fixed::ONE, market.mm_scale),
                checks::positive(&path("mm_scale"), market.mm_scale),
                checks::not_negative(&path("margin_min"), market.margin_min),
                checks::share(&path("flag_ratio"), market.flag_ratio),
            ]));
        }
        for (scope, terms) in &self.discounts.0 {
            let path = |field: &str| format!("aggregation.discounts.{scope}.{field}");
            found.extend(checks::all([
                checks::ordered(&path("lower"), terms.lower, terms.upper),
                checks::share(&path("lower"), terms.lower),
                checks::share(&path("upper"), terms.upper),
                checks::not_negative(&path("scalar"), terms.scalar),
                checks::positive(&path("skew_scale"), terms.skew_scale),
            ]));
        }
        if self.markets.is_empty() {
            let message = "no market has terms";
            found.push(LintFinding::new(LintCode::Missing, "aggregation.markets", message));
        }
        found
    }
}
