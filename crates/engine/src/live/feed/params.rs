//! The limits of a feed.

use plimsoll_types::Asset;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Limits of one feed. A value exactly at its limit passes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedParams {
    /// Who may say something.
    pub sources: BTreeMap<String, SourceParams>,
    /// Sources that must agree for the price to be relied on in full.
    pub quorum: u32,
    /// Age from which the price is stale, milliseconds.
    pub soft_stale_ms: i64,
    /// Age from which it is worth nothing, milliseconds.
    pub hard_stale_ms: i64,
    /// How far in the future an observation may be dated, milliseconds.
    pub future_ms: i64,
    /// Largest relative distance of a source from the median, and of two sources from each other.
    pub disagreement_max: f64,
    /// Largest relative move that needs no confirmation.
    pub jump_max: f64,
    /// Observations that must agree on a larger one.
    pub confirmations: u32,
    /// Widest confidence interval, half-width relative to the price.
    pub confidence_max: f64,
    /// The same of a source that states none, or zero.
    pub confidence_floor: f64,
    /// Largest relative distance from our own market.
    pub divergence_max: f64,
    /// Observations of exactly one price after which it may be pinned.
    pub pinned: u32,
    /// Fresh observations in a row that nothing is said against, before the feed is normal again.
    pub recover: u32,
    /// Seconds without liquidations after a halt.
    pub grace_seconds: i64,
    /// Seconds of a halt after which a person is told.
    #[serde(default = "escalate_seconds")]
    pub escalate_seconds: i64,
}

fn escalate_seconds() -> i64 {
    600
}

/// One source of a feed.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceParams {
    /// The exponent of its numbers, where it may not change.
    #[serde(default)]
    pub exponent: Option<i8>,
    /// The least and the largest it can say, where it has bounds.
    #[serde(default)]
    pub bounds: Option<(f64, f64)>,
    /// Whether its sequence has no gaps.
    #[serde(default)]
    pub gapless: bool,
    /// Longest time between two words of it, prices or signs of life, milliseconds, where it gives such: a source that is silent
    /// for longer is lost. Its price is as old as its last word then. Without, a price ages and no sign of life is taken.
    #[serde(default)]
    pub heartbeat_ms: Option<i64>,
    /// What its numbers are quoted in, where that is stated: nothing but the valuation currency is taken.
    #[serde(default)]
    pub quote: Option<Asset>,
}

impl Default for FeedParams {
    /// Soft 60 s, hard 180 s, 2 s into the future; sources within 1 %, moves of 10 % without confirmation and three
    /// observations with; confidence 2 % with a floor of 5 bp; 10 % from our own market; ten times one price; five
    /// observations to recover; two minutes of grace; a person is told of ten minutes of halt.
    fn default() -> Self {
        Self {
            sources: BTreeMap::new(),
            quorum: 1,
            soft_stale_ms: 60_000,
            hard_stale_ms: 180_000,
            future_ms: 2_000,
            disagreement_max: 0.01,
            jump_max: 0.10,
            confirmations: 3,
            confidence_max: 0.02,
            confidence_floor: 0.0005,
            divergence_max: 0.10,
            pinned: 10,
            recover: 5,
            grace_seconds: 120,
            escalate_seconds: escalate_seconds(),
        }
    }
}

/// A limit that is none.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{field} is {value}: expected {expected}")]
pub struct FeedParamError {
    /// Which.
    pub field: &'static str,
    /// What it says.
    pub value: f64,
    /// What it may be.
    pub expected: &'static str,
}

impl FeedParams {
    /// Whether every limit limits something.
    pub fn check(&self) -> Result<(), FeedParamError> {
        let shares = [
            ("disagreement_max", self.disagreement_max),
            ("jump_max", self.jump_max),
            ("confidence_max", self.confidence_max),
            ("confidence_floor", self.confidence_floor),
            ("divergence_max", self.divergence_max),
        ];
        for (field, value) in shares {
            let sound = value > 0.0 && value < 1.0;
            sound.then_some(()).ok_or(FeedParamError { field, value, expected: "between 0 and 1" })?;
        }
        let beats = self.sources.values().filter_map(|of| of.heartbeat_ms);
        let counts = [
            ("soft_stale_ms", self.soft_stale_ms, 1),
            ("hard_stale_ms", self.hard_stale_ms, self.soft_stale_ms),
            ("future_ms", self.future_ms, 0),
            ("grace_seconds", self.grace_seconds, 0),
            ("escalate_seconds", self.escalate_seconds, 0),
            ("pinned", i64::from(self.pinned), 2),
            ("confirmations", i64::from(self.confirmations), 1),
            ("quorum", i64::from(self.quorum), 1),
        ];
        let beats = beats.map(|value| ("heartbeat_ms", value, 1));
        for (field, value, least) in counts.into_iter().chain(beats) {
            let sound = value >= least;
            let expected = "larger: see the limits beside it";
            sound.then_some(()).ok_or(FeedParamError { field, value: value as f64, expected })?;
        }
        Ok(())
    }
}
