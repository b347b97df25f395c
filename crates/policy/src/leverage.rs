//! Dynamic leverage: the margin fraction of futures and perpetuals by size of the position.
//!
//! **The one idea:** the fraction of the first tier is a parameter that moves (`im_fraction`, a multiple of the price scan,
//! lifted by open interest); larger tiers are stated multiples of it, and each tier's fraction counts only for the part of a
//! position within it, so that no edge is a jump: `requirement = fraction x notional - less`.

use crate::policy::within;
use crate::{Board, Knob, Place, Policy, PolicyError};
use plimsoll_types::{NANO, Ppb, Timestamp};
use serde::{Deserialize, Serialize};

/// The tiers of a policy.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeverageTiers {
    /// Where each tier but the last ends, notional in quote units, rising; > 0.
    pub ends: Vec<f64>,
    /// The multiple of the first tier's fraction in each tier, not falling; the first is 1.
    pub times: Vec<f64>,
    /// The largest leverage of any tier; >= 1.
    pub leverage_max: f64,
}

/// A tier as it stands. Amounts are in quote units.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LeverageTier {
    /// Notional from which on it counts.
    pub from: f64,
    /// Margin as a share of the notional within it.
    pub fraction: Ppb,
    /// Taken off `fraction x notional` for what lies in lower tiers; >= 0.
    pub less: f64,
    /// Largest leverage of the part within it: one over the fraction.
    pub leverage: f64,
}

impl LeverageTiers {
    /// Whether these are tiers.
    pub fn check(&self) -> Result<(), PolicyError> {
        let (ends, times) = (self.ends.len() as f64, &self.times);
        within("leverage.times", ends, times.len() == self.ends.len() + 1, "one more than ends")?;
        let mut before = 0.0;
        for end in &self.ends {
            within("leverage.ends", *end, end.is_finite() && *end > before, "finite, > 0 and rising")?;
            before = *end;
        }
        let mut before = 1.0;
        for (i, by) in times.iter().enumerate() {
            let first = i > 0 || *by == 1.0;
            within("leverage.times", *by, by.is_finite() && *by >= before && first, "1, then not falling")?;
            before = *by;
        }
        let most = self.leverage_max;
        within("leverage.leverage_max", most, most.is_finite() && most >= 1.0, "finite and >= 1")
    }

    /// The tiers with `fraction` in the first, in (0, 1]; no fraction is above 1 or beneath one over the largest leverage.
    pub fn at(&self, fraction: Ppb) -> Vec<LeverageTier> {
        let least = 1.0 / self.leverage_max;
        let starts = std::iter::once(0.0).chain(self.ends.iter().copied());
        let mut tiers: Vec<LeverageTier> = Vec::with_capacity(self.times.len());
        for (from, times) in starts.zip(&self.times) {
            let share = (fraction.to_f64() * times).clamp(least, 1.0);
            // In [0, 1], hence a ratio; rounded up, as requirements are.
            let fraction = Ppb((share * NANO as f64).ceil() as i64);
            let before = tiers.last().map_or((0.0, 0.0), |t| (t.fraction.to_f64(), t.less));
            let less = before.1 + (fraction.to_f64() - before.0) * from;
            tiers.push(LeverageTier { from, fraction, less, leverage: 1.0 / fraction.to_f64() });
        }
        tiers
    }
}

impl LeverageTier {
    /// What a position of so much notional requires, quote units, if this is the tier it ends in.
    pub fn requirement(&self, notional: f64) -> f64 {
        self.fraction.to_f64() * notional - self.less
    }
}

impl Policy {
    /// The tiers of an underlying for new risk; `None` where the policy has none, or no `im_fraction` for it.
    pub fn leverage(&self, board: &Board, underlying: &str, at: Timestamp) -> Option<Vec<LeverageTier>> {
        self.leverage_at(board, &Place { underlying: Some(underlying), ..Place::default() }, at)
    }

    /// The same at a place: its underlying, the side of the position and the account's tier.
    pub fn leverage_at(&self, board: &Board, place: &Place<'_>, at: Timestamp) -> Option<Vec<LeverageTier>> {
        let tiers = self.file().leverage.as_ref()?;
        let found = self.in_force(board, Knob::ImFraction, place, at)?;
        Some(tiers.at(found.initial))
    }
}
