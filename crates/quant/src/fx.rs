//! Deltas of currency options in the four conventions of the market, and the strike of a delta.
//!
//! The one idea: a delta is a number only together with its convention. The premium of a currency option may itself be paid in
//! the currency that is bought, and then is part of the hedge; and the hedge may be dealt spot or forward.
//!
//! Sources: Reiswich and Wystup, *FX volatility smile construction* (2010); Castagna, *FX Options and Smile Risk* (2009).

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::black::OptionKind;
use crate::roots::{RootError, brent};
use crate::special::{exp, ln_ratio, norm_cdf, norm_pdf, norm_quantile};

/// Convention of a delta; `w` is +1 for a call and -1 for a put.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeltaConvention {
    /// `w D_f N(w d1)`: hedged spot.
    Spot,
    /// `w N(w d1)`: hedged forward.
    Forward,
    /// `w D_f (K/F) N(w d2)`: hedged spot, premium in the foreign currency.
    PremiumAdjustedSpot,
    /// `w (K/F) N(w d2)`: hedged forward, premium in the foreign currency.
    PremiumAdjustedForward,
}

impl DeltaConvention {
    fn is_premium_adjusted(self) -> bool {
        matches!(self, Self::PremiumAdjustedSpot | Self::PremiumAdjustedForward)
    }

    fn is_spot(self) -> bool {
        matches!(self, Self::Spot | Self::PremiumAdjustedSpot)
    }
}

/// The market an option is seen in.
///
/// ```
/// use plimsoll_quant::black::OptionKind;
/// use plimsoll_quant::fx::{DeltaConvention, FxMarket};
/// let market = FxMarket { spot: 1.421, domestic_discount: 0.997306, foreign_discount: 0.992266, std_dev: 0.1180654 };
/// let delta = market.delta(OptionKind::Call, DeltaConvention::PremiumAdjustedSpot, 1.600545).unwrap();
/// assert!((delta - 0.15003010677012207).abs() < 1e-14);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FxMarket {
    /// Domestic units per foreign unit, `> 0`.
    pub spot: f64,
    /// Domestic discount factor to expiry, `> 0`.
    pub domestic_discount: f64,
    /// Foreign discount factor to expiry, `> 0`.
    pub foreign_discount: f64,
    /// Volatility times the root of the time to expiry, `>= 0`; 0 makes the delta a step, one half at the forward.
    pub std_dev: f64,
}

/// Why there is no delta or strike.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum FxError {
    /// A number is outside its domain.
    #[error("{parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name.
        parameter: &'static str,
        /// Value.
        value: f64,
        /// The domain.
        domain: &'static str,
    },
    /// No strike has the delta.
    #[error("no strike has a delta of {delta}: {reason}")]
    NoStrike {
        /// Asked for.
        delta: f64,
        /// The search that failed.
        reason: RootError,
    },
}

fn positive(parameter: &'static str, value: f64) -> Result<(), FxError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(FxError::Domain { parameter, value, domain: "finite and > 0" })
}

impl FxMarket {
    fn check(&self) -> Result<(), FxError> {
        positive("spot", self.spot)?;
        positive("domestic_discount", self.domestic_discount)?;
        positive("foreign_discount", self.foreign_discount)?;
        if self.std_dev >= 0.0 && self.std_dev.is_finite() {
            return Ok(());
        }
        Err(FxError::Domain { parameter: "std_dev", value: self.std_dev, domain: "finite and >= 0" })
    }

    /// Forward `S D_f/D_d`.
    #[must_use]
    pub fn forward(&self) -> f64 {
        self.spot * self.foreign_discount / self.domestic_discount
    }

    fn discount(&self, convention: DeltaConvention) -> f64 {
        if convention.is_spot() { self.foreign_discount } else { 1.0 }
    }

    /// Delta of a European option at a strike: foreign units to hold per foreign unit of the option, negative for a put.
    ///
    /// # Errors
    /// [`FxError::Domain`] for a number outside its domain.
    pub fn delta(&self, kind: OptionKind, convention: DeltaConvention, strike: f64) -> Result<f64, FxError> {
        self.check()?;
        positive("strike", strike)?;
        let w = kind.sign();
        let log = ln_ratio(self.spot * self.foreign_discount, strike * self.domestic_discount).hi;
        let half = 0.5 * self.std_dev;
        let share = if convention.is_premium_adjusted() { strike / self.forward() } else { 1.0 };
        let tilt = if convention.is_premium_adjusted() { -half } else { half };
        let probability =
            if self.std_dev == 0.0 { step(w * log) } else { norm_cdf(w * (log / self.std_dev + tilt)) };
        Ok(w * self.discount(convention) * share * probability)
    }

    /// Strike at which the option has `delta` (signed: negative for a put).
    ///
    /// A premium-adjusted call has two; the one with the higher strike is given, which is the market's choice.
    ///
    /// # Errors
    /// [`FxError::Domain`] for a number outside its domain, a deviation of 0, or a delta of the wrong sign or out of range;
    /// [`FxError::NoStrike`] where a premium-adjusted delta is above the largest there is.
    pub fn strike(&self, kind: OptionKind, convention: DeltaConvention, delta: f64) -> Result<f64, FxError> {
        self.check()?;
        positive("std_dev", self.std_dev)?;
        let undiscounted = kind.sign() * delta / self.discount(convention);
        positive("delta times the sign of the option", undiscounted)?;
        let d2 = if convention.is_premium_adjusted() {
            self.adjusted_d2(kind, undiscounted).map_err(|reason| FxError::NoStrike { delta, reason })?
        } else if undiscounted < 1.0 {
            kind.sign() * norm_quantile(undiscounted) - self.std_dev
        } else {
            return Err(FxError::Domain {
                parameter: "undiscounted delta",
                value: undiscounted,
                domain: "(0, 1)",
            });
        };
        Ok(self.forward() * exp(-self.std_dev * (d2 + 0.5 * self.std_dev)))
    }

    /// `d2` at which `(K/F) N(w d2)` is `target`, with `K/F = e^(-s d2 - s^2/2)`.
    fn adjusted_d2(&self, kind: OptionKind, target: f64) -> Result<f64, RootError> {
        let (s, w) = (self.std_dev, kind.sign());
        let gap = |d2: f64| exp(-s * (d2 + 0.5 * s)) * norm_cdf(w * d2) - target;
        // A call's delta rises with d2 up to its maximum, where s N(d2) = n(d2), and falls again towards low strikes; a
        // put's falls throughout.
        let top = match kind {
            OptionKind::Call => brent(|d2| s * norm_cdf(d2) - norm_pdf(d2), -38.0, 38.0, 1e-14, 200)?,
            OptionKind::Put => 38.0,
        };
        brent(gap, -38.0, top, 1e-15, 200)
    }
}

/// Probability of ending in the money when nothing is left to chance.
fn step(moneyness: f64) -> f64 {
    if moneyness > 0.0 {
        1.0
    } else if moneyness < 0.0 {
        0.0
    } else {
        0.5
    }
}
