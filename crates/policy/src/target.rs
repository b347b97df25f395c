//! Where a parameter should be before anybody adjusts it.
//!
//! **The one idea:** a target is a quantile of what one unit may lose over the margin period of risk, half of it from how the
//! world is and half from how it was in the long run, between a floor and a cap in units of the latter. It learns from its own
//! breaches: their share moves it slowly, one just seen lifts it at once.
//!
//! ```text
//! q      = (1 - w) max over `now` of q_i + w q_stress
//! target = min(max(q e^theta, shock x loss if it was a breach, floor q_stress e^theta), cap q_stress e^theta)
//! ```
//!
//! Source: design section 7; the tracker is Gibbs and Candes (2021), see `plimsoll_quant::tracking`; stress weight and floor
//! are those of Regulation (EU) 153/2013, article 28(1).

use crate::estimate::Gauge;
use crate::parameter::Target;
use crate::{Cause, Estimator, Trail};
use plimsoll_quant::filtered::TwoSided;
use plimsoll_quant::special::exp;
use plimsoll_quant::stats::StatsError;
use plimsoll_quant::tracking::CoverageTracker;
use plimsoll_types::Ppb;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is observed, one number a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Series {
    /// The price of the underlying; changes are relative.
    Price,
    /// Its implied volatility at 30 days at the money; changes are relative.
    ImpliedVol,
}

/// Which change is a loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Who is long loses.
    Fall,
    /// Who is short loses.
    Rise,
}

/// How a target learns from breaches: `theta += gain ([breach] - (1 - confidence))`, within bounds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// How much of its logarithm one breach adds; > 0.
    pub gain: f64,
    /// Least correction of the logarithm; <= 0.
    pub least: f64,
    /// Largest; >= 0.
    pub most: f64,
}

/// A target that is estimated.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// Of what.
    pub series: Series,
    /// Which change is a loss.
    pub loss: Change,
    /// The share of losses that the margin covers, in (0, 1).
    pub confidence: f64,
    /// The margin period of risk, in steps of observation; >= 1.
    pub steps: u32,
    /// Estimates of today; the largest counts.
    pub now: Vec<Estimator>,
    /// The estimate of the long run.
    pub stress: Estimator,
    /// Weight of the long run, in [0, 1].
    pub stress_weight: f64,
    /// Least target in units of the long run; >= 0.
    pub floor: f64,
    /// Largest target in units of the long run; above the floor.
    pub cap: f64,
    /// A breach lifts the target to so many times its loss, up to the cap; 0 for not at all.
    pub shock: f64,
    /// How it learns; not at all when left out.
    #[serde(default)]
    pub tracking: Option<Tracking>,
    /// What stands in until enough was seen: the stress floor.
    pub fallback: Ppb,
}

/// Where a parameter's target comes from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TargetSpec {
    /// A number of the policy file.
    Stated {
        /// The number; > 0.
        value: Ppb,
    },
    /// An estimate.
    Quantile(Box<Quantile>),
}

/// Why a target is none.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum TargetSpecError {
    /// A number is outside what it may be.
    #[error("target `{field}` is {value}: expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The number.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// An estimator's number is.
    #[error("estimator: {0}")]
    Estimator(#[from] StatsError),
}

/// A target and what it has seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Estimated {
    now: Vec<Gauge>,
    stress: Gauge,
    tracker: Option<CoverageTracker>,
    /// The last number observed.
    last: Option<f64>,
    /// Numbers observed and the values then in force, of the margins that have not ended, oldest first.
    open: VecDeque<(f64, Option<f64>)>,
    /// Whether the last target was an estimate: only then is what follows counted.
    estimated: bool,
    /// The loss of the margin that ended with the last observation, if it was a breach.
    breach: Option<f64>,
}

impl TargetSpec {
    /// Whether it is one.
    pub fn check(&self) -> Result<(), TargetSpecError> {
        match self {
            Self::Stated { value } => bounded("value", value.to_f64(), value.0 > 0, "> 0"),
            Self::Quantile(of) => of.check(),
        }
    }
}

fn bounded(field: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<(), TargetSpecError> {
    if ok { Ok(()) } else { Err(TargetSpecError::Field { field, value, expected }) }
}

impl Quantile {
    fn check(&self) -> Result<(), TargetSpecError> {
        let Self { confidence, steps, stress_weight, floor, cap, shock, fallback, .. } = *self;
        bounded("confidence", confidence, confidence > 0.5 && confidence < 1.0, "above 0.5 and beneath 1")?;
        bounded("steps", f64::from(steps), steps > 0, ">= 1")?;
        bounded("now", 0.0, !self.now.is_empty(), "one estimator at least")?;
        bounded("stress_weight", stress_weight, (0.0..=1.0).contains(&stress_weight), "from 0 to 1")?;
        bounded("floor", floor, floor >= 0.0 && floor.is_finite(), "finite and >= 0")?;
        bounded("cap", cap, cap > floor && cap.is_finite(), "finite and above the floor")?;
        bounded("shock", shock, shock >= 0.0 && shock.is_finite(), "finite and >= 0")?;
        bounded("fallback", fallback.to_f64(), fallback.0 > 0, "> 0")?;
        self.begin().map(|_| ())
    }

    /// The target with nothing seen.
    pub(crate) fn begin(&self) -> Result<Estimated, TargetSpecError> {
        let tracker = |t: Tracking| CoverageTracker::new(1.0 - self.confidence, t.gain, (t.least, t.most));
        Ok(Estimated {
            now: self.now.iter().map(Estimator::begin).collect::<Result<_, _>>()?,
            stress: self.stress.begin()?,
            tracker: self.tracking.map(tracker).transpose()?,
            last: None,
            open: VecDeque::new(),
            estimated: false,
            breach: None,
        })
    }

    fn side(&self, of: TwoSided) -> f64 {
        match self.loss {
            Change::Fall => of.long,
            Change::Rise => of.short,
        }
    }

    /// Takes in the next observation, finite and > 0, when `value` has been in force since the last one.
    pub(crate) fn observe(&self, of: &mut Estimated, seen: f64, value: f64) -> Result<(), StatsError> {
        let Some(before) = of.last.replace(seen) else { return Ok(()) };
        let change = seen / before - 1.0;
        for gauge in of.now.iter_mut().chain([&mut of.stress]) {
            gauge.update(change)?;
        }
        of.open.push_back((before, of.estimated.then_some(value)));
        of.breach = None;
        if of.open.len() >= self.steps as usize
            && let Some((then, Some(margin))) = of.open.pop_front()
        {
            let move_ = seen / then - 1.0;
            let loss = if self.loss == Change::Fall { -move_ } else { move_ };
            of.breach = (loss > margin).then_some(loss);
            if let Some(tracker) = &mut of.tracker {
                tracker.update(loss > margin);
            }
        }
        Ok(())
    }

    /// The target as it stands, with how it was made.
    pub(crate) fn target(&self, of: &mut Estimated, room: &mut Vec<f64>) -> Target {
        let estimate = self.estimate(of, room).filter(|(value, _)| value.is_finite() && *value > 0.0);
        of.estimated = estimate.is_some();
        match estimate {
            Some((value, trail)) => Target { value, governed: false, trail },
            None => {
                let value = self.fallback.to_f64();
                Target { value, governed: false, trail: Trail::begin(Cause::TooLittleHistory, value) }
            }
        }
    }

    /// `None` until every estimator has seen enough, and where one says nothing positive.
    fn estimate(&self, of: &Estimated, room: &mut Vec<f64>) -> Option<(f64, Trail)> {
        let steps = f64::from(self.steps);
        let mut reading = |gauge: &Gauge| {
            let losses = gauge.losses(self.confidence, steps, room).ok()?;
            Some(self.side(losses)).filter(|loss| *loss > 0.0 && loss.is_finite())
        };
        let mut now = 0.0;
        for gauge in &of.now {
            let one = reading(gauge)?;
            now = if one > now { one } else { now };
        }
        let stress = reading(&of.stress)?;
        let mut trail = Trail::begin(Cause::Now, now);
        let blend = (1.0 - self.stress_weight) * now + self.stress_weight * stress;
        trail.to(Cause::Stress, blend);
        let learned = exp(of.tracker.as_ref().map_or(0.0, CoverageTracker::correction));
        let mut value = blend * learned;
        trail.to(Cause::Coverage, value);
        let mut raise = |cause, to: f64| {
            if to > value {
                value = to;
                trail.to(cause, value);
            }
        };
        raise(Cause::Breach, self.shock * of.breach.unwrap_or(0.0));
        raise(Cause::TargetFloor, self.floor * stress * learned);
        let cap = self.cap * stress * learned;
        if value > cap {
            value = cap;
            trail.to(Cause::TargetCap, value);
        }
        Some((value, trail))
    }
}
