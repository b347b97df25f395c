//! Whether Drift trusts an oracle, and what for.

use super::super::VenueError;
use super::super::integer::{mul, mul_div, not_below_zero};
use super::weights::PRICE_UNITS;

/// What is wrong with an oracle, the worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum OracleValidity {
    /// The price is 0 or less.
    NonPositive,
    /// The price is too far from its average.
    TooVolatile,
    /// The confidence interval is too wide.
    TooUncertain,
    /// Too old for margin.
    StaleForMargin,
    /// Too few sources.
    InsufficientData,
    /// Too old for the venue's own market maker.
    StaleForAmm,
    /// Nothing.
    Valid,
}

/// What is done with a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OracleAction {
    /// A requirement is computed.
    Margin,
    /// An account is liquidated.
    Liquidation,
}

impl OracleValidity {
    /// Margin refuses the four worst, liquidation only the two worst: a liquidation must not wait for a price that is
    /// merely uncertain.
    pub fn allows(self, action: OracleAction) -> bool {
        match action {
            OracleAction::Margin => self > Self::StaleForMargin,
            OracleAction::Liquidation => self > Self::TooVolatile,
        }
    }
}

/// A price of an oracle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OracleReading {
    /// Price, 1e-6.
    pub price: i128,
    /// Its average, 1e-6.
    pub average: i128,
    /// Half-width of its confidence interval, 1e-6.
    pub confidence: i128,
    /// Slots since it was made.
    pub delay: i128,
    /// Whether enough sources made it.
    pub sufficient: bool,
}

/// Limits of trust.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OracleGuards {
    /// The most that price and average may be apart: the larger over the smaller, rounded down.
    pub volatile_ratio: i128,
    /// Widest confidence relative to the price, 1e-6.
    pub confidence: i128,
    /// What a market's tier widens it by.
    pub confidence_multiplier: i128,
    /// Oldest for margin, slots.
    pub margin_slots: i128,
    /// Oldest for the market maker, slots.
    pub amm_slots: i128,
}

/// The worst that is wrong with a price.
///
/// # Errors
/// [`VenueError::Domain`] for a negative confidence, [`VenueError::Overflow`].
pub fn oracle_validity(reading: &OracleReading, guards: &OracleGuards) -> Result<OracleValidity, VenueError> {
    let price = reading.price;
    if price <= 0 {
        return Ok(OracleValidity::NonPositive);
    }
    let (low, high) = (price.min(reading.average).max(1), price.max(reading.average));
    let confidence = not_below_zero(reading.confidence, "a confidence")?;
    let relative = mul_div(confidence, PRICE_UNITS, price, "a relative confidence")?;
    let widest = mul(guards.confidence, guards.confidence_multiplier, "a widest confidence")?;
    let wrong = [
        (high / low > guards.volatile_ratio, OracleValidity::TooVolatile),
        (relative > widest, OracleValidity::TooUncertain),
        (reading.delay > guards.margin_slots, OracleValidity::StaleForMargin),
        (!reading.sufficient, OracleValidity::InsufficientData),
        (reading.delay > guards.amm_slots, OracleValidity::StaleForAmm),
    ];
    let worst = wrong.into_iter().find(|(holds, _)| *holds);
    Ok(worst.map_or(OracleValidity::Valid, |(_, validity)| validity))
}
