//! One parameter: what it is, what is in force, and one step of it.

use crate::{
    Breach, Cause, Holding, InForce, Key, Limits, LimitsError, Ramp, Stabiliser, StabiliserError, Trail,
};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{Ppb, QuantiseError, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

const DAY: f64 = 86_400.0;

/// Longest notice, ramp and both together, seconds: fourteen days. What takes longer comes after the storm.
const ANNOUNCE_MAX: i64 = 14 * 86_400;

/// How a tightening reaches existing positions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// From the announcement to the first move, seconds; from 0 to fourteen days.
    pub notice_seconds: i64,
    /// From there until the whole is in force, seconds; from 0 to fourteen days.
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
    /// The same before limits and rounding: what the stabiliser goes on from, so that neither adds up.
    exact: f64,
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
    pub key: Arc<Key>,
    /// The value in force.
    pub old: Ppb,
    /// The value proposed: within the limits, and `old` where it does not move.
    pub new: Ppb,
    /// The same before limits and rounding.
    pub exact: f64,
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

impl fmt::Display for Change {
    /// What moved, from where to where, and what each cause added, in hundredths of the logarithm.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {} to {}:", self.key, self.from, self.to)?;
        for (i, (cause, part)) in self.causes.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma} {cause} {:+.2} %", *part as f64 * 1e-7)?;
        }
        Ok(())
    }
}

/// Why a motion is none.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum MotionSpecError {
    /// How it follows.
    #[error(transparent)]
    Stabiliser(#[from] StabiliserError),
    /// What bounds it.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// When positions feel it.
    #[error("announce `{field}` is {seconds} s: expected from 0 to fourteen days")]
    Announce {
        /// Its name.
        field: &'static str,
        /// The number.
        seconds: i64,
    },
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

impl Motion {
    /// Whether it is one.
    pub fn check(&self) -> Result<(), MotionSpecError> {
        self.limits.check()?;
        self.stabiliser.check(self.limits.unbounded)?;
        let Announce { notice_seconds, ramp_seconds } = self.announce;
        let both = notice_seconds.saturating_add(ramp_seconds);
        let all = [("notice_seconds", notice_seconds), ("ramp_seconds", ramp_seconds)];
        for (field, seconds) in all.into_iter().chain([("notice_seconds + ramp_seconds", both)]) {
            if !(0..=ANNOUNCE_MAX).contains(&seconds) {
                return Err(MotionSpecError::Announce { field, seconds });
            }
        }
        Ok(())
    }

    /// The least a value may loosen to in the time since it last changed: rounding up must not make a loosening faster than
    /// its limit.
    fn slowest(&self, of: &InForce, now: Timestamp) -> Ppb {
        let Some(changed) = of.changed() else { return Ppb::ZERO };
        let days = (now.seconds() - changed.seconds()) as f64 / DAY;
        let least = of.value().to_f64() * exp(-self.stabiliser.loosen_per_day * days);
        Ppb::from_f64(least).map_or(of.value(), |least| self.limits.to_step_up(least))
    }
}

impl ParameterState {
    /// A parameter that starts at `value` > 0 because of `cause`.
    pub fn new(value: Ppb, cause: Cause, now: Timestamp) -> Self {
        Self {
            in_force: InForce::new(value, now),
            exact: value.to_f64(),
            maintenance: Ramp::level(value),
            holding: Holding::default(),
            trail: Trail::begin(cause, value.to_f64()),
            stepped: now,
        }
    }

    /// A parameter that takes the place of `others` at `now`: their history bounds where it goes, and existing positions feel a
    /// rise as one that was announced now.
    pub(crate) fn replacing(
        others: &[&Self],
        (value, cause): (Ppb, Cause),
        motion: &Motion,
        now: Timestamp,
    ) -> Self {
        let mut new = Self::new(value, cause, now);
        if let Some(last) = others.iter().map(|of| &of.in_force).max_by_key(|of| of.largest()) {
            new.in_force = last.replaced(value, now, motion.limits.window_seconds);
        }
        if let Some(least) = others.iter().map(|of| of.maintenance(now)).min() {
            let Announce { notice_seconds, ramp_seconds } = motion.announce;
            let level = Ramp::level(least.min(value));
            new.maintenance = level.follow(value, now, (notice_seconds, ramp_seconds));
        }
        new
    }

    /// The least value that may follow at `now` under a motion.
    pub(crate) fn least(&self, motion: &Motion, now: Timestamp) -> Result<Ppb, Breach> {
        let range = motion.limits.range(&mut self.in_force.clone(), now)?;
        Ok(motion.slowest(&self.in_force, now).clamp(range.least, self.value()))
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
    pub fn ramp(&self) -> &Ramp {
        &self.maintenance
    }

    /// How the value in force was made.
    pub fn trail(&self) -> &Trail {
        &self.trail
    }

    /// What would bind new risk without limits and rounding.
    pub fn exact(&self) -> f64 {
        self.exact
    }

    /// Where a target would take the parameter at `now`: stabilised, unless a vote governs it, cut to the limits, rounded
    /// up. The trail stands at the target.
    pub(crate) fn propose(
        &mut self,
        key: Arc<Key>,
        motion: &Motion,
        target: Target,
        now: Timestamp,
    ) -> Result<Proposed, MotionError> {
        let Target { value: target, governed, mut trail } = target;
        let old = self.value();
        let range = motion.limits.range(&mut self.in_force, now)?;
        let days = (now.seconds() - self.stepped.seconds()) as f64 / DAY;
        self.stepped = now;
        let (from_to, when) = ((self.exact, target), (now, days));
        let mut value = target;
        let mut slowest = range.least;
        if governed {
            motion.stabiliser.follow(&mut self.holding, from_to, when, &mut trail.clone());
        } else {
            value = motion.stabiliser.follow(&mut self.holding, from_to, when, &mut trail);
            slowest = motion.slowest(&self.in_force, now).clamp(range.least, old);
        }
        let within = |value: f64, (least, most): (Ppb, Ppb)| value.clamp(least.to_f64(), most.to_f64());
        trail.to(Cause::Limit, within(value, range.unwindowed));
        let exact = within(value, range.undelayed);
        trail.to(Cause::Window, exact);
        // A delay holds back what is in force and not what it follows: what is waited for adds up.
        let shown = within(exact, (range.least, range.most));
        trail.to(Cause::Limit, shown);
        let rounded = Ppb::from_f64(shown).map_err(|source| MotionError::Target { value: target, source })?;
        let new = motion.limits.to_step_up(rounded).clamp(slowest, range.most);
        trail.to(Cause::Rounding, new.to_f64());
        Ok(Proposed { key, old, new, exact, trail })
    }

    /// The value before limits and rounding follows also where they hide that it moved.
    pub(crate) fn settle(&mut self, proposed: &Proposed) {
        self.exact = proposed.exact;
    }

    /// Puts a proposal that was made at an instant in force at another.
    pub(crate) fn apply(
        &mut self,
        proposed: Proposed,
        motion: &Motion,
        (made, now): (Timestamp, Timestamp),
    ) -> Result<Change, Breach> {
        let Proposed { key, new, exact, trail, .. } = proposed;
        let from = self.value();
        motion.limits.apply(&mut self.in_force, new, made, now)?;
        self.exact = exact;
        let Announce { notice_seconds, ramp_seconds } = motion.announce;
        self.maintenance = self.maintenance.follow(new, now, (notice_seconds, ramp_seconds));
        let causes = trail.since(&self.trail);
        self.trail = trail;
        Ok(Change { key: Key::clone(&key), from, to: new, maintenance: self.maintenance.clone(), causes })
    }
}

/// Where a parameter should be.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Finite and > 0.
    pub(crate) value: f64,
    /// Whether a vote set it: the stabiliser steps aside then, the limits do not.
    pub(crate) governed: bool,
    /// How it was made.
    pub(crate) trail: Trail,
}

impl Proposed {
    /// The proposal of which the result was refused beyond `to`.
    pub(crate) fn refused(&self, to: Ppb) -> Self {
        self.cut(Cause::ResultCheck, to)
    }

    /// The proposal of which the glide path takes so much.
    pub(crate) fn glided(&self, to: Ppb) -> Self {
        self.cut(Cause::GlidePath, to)
    }

    fn cut(&self, cause: Cause, to: Ppb) -> Self {
        let mut trail = self.trail.clone();
        trail.to(cause, to.to_f64());
        Self { new: to, exact: to.to_f64(), trail, ..self.clone() }
    }

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
        self.glided(cut)
    }
}
