//! Adjusters: what the state of the world adds to a target, each with its reason.
//!
//! **The one idea:** every adjuster reads one number and turns it into a factor by one slope: 1 up to `start`, rising in a
//! straight line to `most` at `full`, and no further. So each is monotone, bounded and says in three numbers what it does.
//! Adjusters of one group are about the same thing and count by the largest; groups multiply; the product is capped.

use crate::readings::{Read, Reads};
use crate::{Cause, Key, Knob, Scope, Trail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// From a reading to a factor.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slope {
    /// The reading up to which the factor is 1.
    pub start: f64,
    /// The reading from which it is `most`; above `start`.
    pub full: f64,
    /// The largest factor; >= 1.
    pub most: f64,
}

impl Slope {
    /// The factor, in [1, most]; a reading that is no number gives `most`.
    pub fn factor(&self, reading: f64) -> f64 {
        if reading <= self.start {
            return 1.0;
        }
        if reading < self.full {
            let share = (reading - self.start) / (self.full - self.start);
            return 1.0 + (self.most - 1.0) * share;
        }
        self.most
    }

    fn sound(&self) -> bool {
        self.start.is_finite()
            && self.full.is_finite()
            && self.full > self.start
            && self.most.is_finite()
            && self.most >= 1.0
    }
}

/// What adjusters of one kind are about: within a group the largest factor counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Implied and realised volatility, their skew and slope, and the regime.
    Volatility,
    /// Whether positions can be closed.
    Liquidity,
    /// Whether the protocol can pay.
    Capital,
    /// Whether underlyings move together.
    Dependence,
    /// Whether many are on one side, or few hold much.
    Crowding,
}

/// What an adjuster does when its reading has come and comes no more. Where there never was one it does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenStale {
    /// Nothing: what is no news is good news.
    Nothing,
    /// Its most, for a parameter of the underlying, and for one of all when no underlying has a reading.
    Most,
}

/// One adjuster.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjuster {
    /// Whether it acts.
    pub on: bool,
    /// What it is about.
    pub group: Group,
    /// Which parameters it multiplies.
    pub knobs: Vec<Knob>,
    /// Within which scope; all when left out.
    #[serde(default)]
    pub scope: Scope,
    /// How strongly.
    pub slope: Slope,
    /// Seconds after which a reading is gone; > 0.
    pub stale_seconds: i64,
    /// What it does then.
    pub when_stale: WhenStale,
    /// How strongly for single underlyings, where their readings are amounts.
    #[serde(default)]
    pub underlyings: BTreeMap<String, Slope>,
}

/// The adjusters of a policy, by the reason they give.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adjusters {
    /// The largest product of all factors; >= 1.
    pub product_max: f64,
    /// Each by its cause.
    #[serde(default)]
    pub by: BTreeMap<Cause, Adjuster>,
}

/// Why adjusters are none.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum AdjusterError {
    /// This reason is not one that an adjuster gives.
    #[error("`{0}` is no adjuster")]
    Cause(Cause),
    /// The slope is not one.
    #[error("adjuster `{cause}`: slope from {} to {} with at most {}: expected finite, rising, at most >= 1", slope.start, slope.full, slope.most)]
    Slope {
        /// Which adjuster.
        cause: Cause,
        /// Its slope.
        slope: Slope,
    },
    /// A reading would be gone at once.
    #[error("adjuster `{cause}`: stale_seconds is {seconds}: expected > 0")]
    Stale {
        /// Which adjuster.
        cause: Cause,
        /// The number.
        seconds: i64,
    },
    /// The cap is not one.
    #[error("product_max is {0}: expected finite and >= 1")]
    Cap(f64),
}

/// The reasons that adjusters give. `risk_neutral` and `model` have their place and no reading yet.
const CAUSES: [Cause; 14] = [
    Cause::VolSpike,
    Cause::Skew,
    Cause::TermInversion,
    Cause::Liquidity,
    Cause::Pool,
    Cause::OpenInterest,
    Cause::Correlation,
    Cause::Concentration,
    Cause::Regime,
    Cause::Jump,
    Cause::Funding,
    Cause::Sentiment,
    Cause::RiskNeutral,
    Cause::Model,
];

impl Adjuster {
    fn slope_of(&self, scope: &Scope) -> &Slope {
        scope.underlying.as_ref().and_then(|name| self.underlyings.get(name)).unwrap_or(&self.slope)
    }
}

impl Adjusters {
    /// Whether these are adjusters.
    pub fn check(&self) -> Result<(), AdjusterError> {
        if !(self.product_max.is_finite() && self.product_max >= 1.0) {
            return Err(AdjusterError::Cap(self.product_max));
        }
        for (cause, adjuster) in &self.by {
            if !CAUSES.contains(cause) {
                return Err(AdjusterError::Cause(*cause));
            }
            if adjuster.stale_seconds <= 0 {
                return Err(AdjusterError::Stale { cause: *cause, seconds: adjuster.stale_seconds });
            }
            for slope in adjuster.underlyings.values().chain([&adjuster.slope]) {
                if !slope.sound() {
                    return Err(AdjusterError::Slope { cause: *cause, slope: *slope });
                }
            }
        }
        Ok(())
    }

    /// What readings say to these adjusters: what is gone says nothing, or more than any slope ends at.
    pub(crate) fn heard(&self, reads: &Reads) -> BTreeMap<Cause, f64> {
        let said = |(cause, read): (&Cause, &Read)| {
            let most = || self.by.get(cause).is_some_and(|of| of.when_stale == WhenStale::Most);
            let value = if read.gone { most().then_some(f64::INFINITY) } else { Some(read.value) };
            value.map(|value| (*cause, value))
        };
        reads.0.iter().filter_map(said).collect()
    }

    /// The value of a parameter after all adjusters that act on it, each group's largest on the trail, which stands at
    /// `value`. `readings` are of the parameter's underlying; an adjuster without a reading does nothing, one whose reading is no
    /// number does its most.
    pub fn apply(&self, key: &Key, value: f64, readings: &BTreeMap<Cause, f64>, trail: &mut Trail) -> f64 {
        let mut largest: [Option<(Cause, f64)>; 5] = [None; 5];
        for (cause, adjuster) in &self.by {
            let acts = adjuster.on && adjuster.knobs.contains(&key.knob) && adjuster.scope.covers(&key.scope);
            let Some(reading) = readings.get(cause).filter(|_| acts) else { continue };
            let factor = adjuster.slope_of(&key.scope).factor(*reading);
            let best = &mut largest[adjuster.group as usize];
            if best.is_none_or(|(_, most)| factor > most) {
                *best = Some((*cause, factor));
            }
        }
        let mut product = 1.0;
        for (cause, factor) in largest.into_iter().flatten() {
            product *= factor;
            trail.to(cause, value * product);
        }
        let capped = value * if product > self.product_max { self.product_max } else { product };
        trail.to(Cause::AdjusterCap, capped);
        capped
    }
}
