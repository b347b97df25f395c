//! One parameter: what it is, what is in force, and one step of it.

use crate::{Breach, Cause, Holding, InForce, Key, Limits, Ramp, Stabiliser, Trail};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{Ppb, QuantiseError, Timestamp};
use serde::{Deserialize, Serialize};

const DAY: f64 = 86_400.0;

/// How a tightening reaches existing positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// From the announcement to the first move, seconds; >= 0.
    pub notice_seconds: i64,
    /// From there until the whole is in force, seconds; >= 0.
    pub ramp_seconds: i64,
}

/// How a parameter may move.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Motion {
    /// How it follows its target.
    pub stabiliser: Stabiliser,
    /// What it may never do.
    pub limits: Limits,
    /// When existing positions feel it.
    pub announce: Announce,
}

/// A parameter as it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ParameterState {
    /// What binds new risk.
    in_force: InForce,
    /// What binds existing positions.
    maintenance: Ramp,
    holding: Holding,
    /// How the value in force was made when it last changed.
    trail: Trail,
    stepped: Timestamp,
}

/// Where a parameter would go.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposed {
    /// Which.
    pub key: Key,
    /// The value in force.
    pub old: Ppb,
    /// The value proposed: within the limits, and `old` where it does not move.
    pub new: Ppb,
    /// How it was made.
    pub trail: Trail,
}

/// A change that was made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// Which parameter.
    pub key: Key,
    /// What bound new risk before.
    pub from: Ppb,
    /// What binds it from now on.
    pub to: Ppb,
    /// What binds existing positions: a path published now.
    pub maintenance: Ramp,
    /// By how much each cause moved the logarithm since the last change, billionths; they add up to it.
    pub causes: Vec<(Cause, i64)>,
}

/// Why a parameter did not step.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum MotionError {
    /// A limit, or the clock.
    #[error(transparent)]
    Limit(#[from] Breach),
    /// A target that is no number.
    #[error("target {value}: {source}")]
    Target {
        /// The target.
        value: f64,
        /// Why not.
        source: QuantiseError,
    },
}

impl ParameterState {
    /// A parameter that starts at `value` > 0.
    pub fn new(value: Ppb, now: Timestamp) -> Self {
        Self {
            in_force: InForce::new(value, now),
            maintenance: Ramp::level(value, now),
            holding: Holding::default(),
            trail: Trail::begin(Cause::Stated, value.to_f64()),
            stepped: now,
        }
    }

    /// What binds new risk.
    pub fn value(&self) -> Ppb {
        self.in_force.value()
    }

    /// What binds existing positions at an instant: never above [`ParameterState::value`].
    pub fn maintenance(&self, at: Timestamp) -> Ppb {
        self.maintenance.at(at)
    }

    /// The published path of what binds existing positions.
    pub fn ramp(&self) -> Ramp {
        self.maintenance
    }

    /// How the value in force was made.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// Where a target would take the parameter at `now`: stabilised, unless a vote governs it, cut to the limits, rounded
    /// up. The trail stands at the target.
    pub(crate) fn propose(
        &mut self,
        key: Key,
        motion: &Motion,
        target: Target,
        now: Timestamp,
    ) -> Result<Proposed, MotionError> {
        let Target { value: target, governed, mut trail } = target;
        let unread = |source| MotionError::Target { value: target, source };
        Ppb::from_f64(target).map_err(unread)?;
        let old = self.value();
        let range = motion.limits.range(&mut self.in_force, now)?;
        let days = (now.seconds() - self.stepped.seconds()) as f64 / DAY;
        self.stepped = now;
        let mut followed_trail = trail.clone();
        let from_to = (old.to_f64(), target);
        let followed = motion.stabiliser.follow(&mut self.holding, from_to, (now, days), &mut followed_trail);
        let mut value = target;
        if !governed {
            (value, trail) = (followed, followed_trail);
        }
        let within = |value: f64, (least, most): (Ppb, Ppb)| value.clamp(least.to_f64(), most.to_f64());
        trail.to(Cause::Limit, within(value, range.unwindowed));
        value = within(value, (range.least, range.most));
        trail.to(Cause::Window, value);
        let new =
            motion.limits.to_step_up(Ppb::from_f64(value).map_err(unread)?).clamp(range.least, range.most);
        trail.to(Cause::Rounding, new.to_f64());
        Ok(Proposed { key, old, new, trail })
    }

    /// Puts a proposal in force.
    pub(crate) fn apply(
        &mut self,
        proposed: Proposed,
        motion: &Motion,
        now: Timestamp,
    ) -> Result<Change, Breach> {
        let Proposed { key, new, trail, .. } = proposed;
        let from = self.value();
        motion.limits.apply(&mut self.in_force, new, now, now)?;
        let Announce { notice_seconds, ramp_seconds } = motion.announce;
        self.maintenance = self.maintenance.follow(new, now, (notice_seconds, ramp_seconds));
        let causes = trail.since(&self.trail);
        self.trail = trail;
        Ok(Change { key, from, to: new, maintenance: self.maintenance, causes })
    }
}

/// Where a parameter should be.
pub(crate) struct Target {
    /// Finite and > 0.
    pub(crate) value: f64,
    /// Whether a vote set it: the stabiliser steps aside then, the limits do not.
    pub(crate) governed: bool,
    /// How it was made.
    pub(crate) trail: Trail,
}

impl Proposed {
    /// The proposal with a fraction of its tightening, in [0, 1], between old and new in logarithms and rounded up;
    /// loosening is not cut.
    pub fn part(&self, fraction: f64, limits: &Limits) -> Self {
        if self.new <= self.old || fraction >= 1.0 {
            return self.clone();
        }
        let (old, new) = (self.old.to_f64(), self.new.to_f64());
        let value = old * exp(fraction * ln(new / old));
        // Between two ratios, hence one itself; nothing of the step is the value in force, on a multiple or not.
        let cut = if fraction > 0.0 { Ppb::from_f64(value).unwrap_or(self.old) } else { self.old };
        let cut = if cut > self.old { limits.to_step_up(cut).min(self.new) } else { self.old };
        let mut trail = self.trail.clone();
        trail.to(Cause::GlidePath, cut.to_f64());
        Self { new: cut, trail, ..self.clone() }
    }
}
