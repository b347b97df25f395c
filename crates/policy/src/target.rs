//! Where a parameter should be before anybody adjusts it.
//!
//! **The one idea:** a target is a quantile of what one unit may lose over the margin period of risk, part of it from how the
//! world is and part from how it was in the long run, between a floor and a cap in units of the latter. It learns from its own
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
use crate::{Bar, Cause, Estimator, Trail};
use plimsoll_quant::filtered::TwoSided;
use plimsoll_quant::special::exp;
use plimsoll_quant::stats::StatsError;
use plimsoll_quant::tracking::CoverageTracker;
use plimsoll_types::{Ppb, Timestamp};
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
    /// Risk reversal over the volatility at the money; changes are differences.
    Skew,
    /// Butterfly over the volatility at the money; changes are differences.
    Wing,
    /// Slope by `ln(days)` over the volatility at the money; changes are differences.
    Term,
}

impl Series {
    /// Whether its numbers are > 0 and its changes relative; differences otherwise.
    pub(crate) fn is_relative(self) -> bool {
        matches!(self, Self::Price | Self::ImpliedVol)
    }

    /// The change from one number to another.
    pub(crate) fn change(self, then: f64, now: f64) -> f64 {
        if self.is_relative() { now / then - 1.0 } else { now - then }
    }
}

/// Which change is a loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Who is long loses.
    Fall,
    /// Who is short loses.
    Rise,
    /// Somebody loses either way: the larger of both counts.
    Either,
}

/// How a target learns from breaches: `theta += gain ([breach] - (1 - confidence))`, within bounds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracking {
    /// How much of its logarithm one breach adds; > 0 and at most 0.5.
    pub gain: f64,
    /// Least correction of the logarithm; from -1 to 0.
    pub least: f64,
    /// Largest; from 0 to 1.
    pub most: f64,
}

impl Tracking {
    /// A correction beyond these would be the target, and the estimate none.
    fn check(&self) -> Result<(), TargetSpecError> {
        let Self { gain, least, most } = *self;
        bounded("tracking.gain", gain, gain > 0.0 && gain <= 0.5, "above 0 and at most 0.5")?;
        bounded("tracking.least", least, (-1.0..=0.0).contains(&least), "from -1 to 0")?;
        bounded("tracking.most", most, (0.0..=1.0).contains(&most), "from 0 to 1")
    }
}

/// The long run, and how far a target follows it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stress {
    /// Its estimate.
    pub estimator: Estimator,
    /// Its weight, in [0, 1].
    pub weight: f64,
    /// Least target in units of the long run; >= 0.
    pub floor: f64,
    /// Largest target in units of the long run; above the floor.
    pub cap: f64,
}

/// A target that is estimated.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// Of what.
    pub series: Series,
    /// Which change is a loss.
    pub loss: Loss,
    /// The share of losses that the margin covers, in (0, 1).
    pub confidence: f64,
    /// The margin period of risk, in steps of observation; >= 1.
    pub horizon_steps: u32,
    /// What one unit of change of the series is in units of the parameter; > 0, 1 when left out.
    #[serde(default = "one")]
    pub times: f64,
    /// Estimates of today; the largest counts. One at least is of history.
    pub now: Vec<Estimator>,
    /// The long run; none when left out.
    #[serde(default)]
    pub stress: Option<Stress>,
    /// A breach lifts the target to so many times its loss, up to the cap; 0 for not at all.
    #[serde(default)]
    pub shock: f64,
    /// How it learns; not at all when left out.
    #[serde(default)]
    pub tracking: Option<Tracking>,
    /// What stands in until enough was seen: the stress floor.
    pub fallback: Ppb,
}

fn one() -> f64 {
    1.0
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
    /// A multiple of the larger price scan of the same place, both as they are proposed in the same step.
    PriceScan {
        /// The multiple; from a tenth to ten.
        times: f64,
        /// What stands in where there is no price scan.
        fallback: Ppb,
    },
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

/// What one step of a series was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Observation {
    /// Its bar; finite and > 0.
    pub(crate) bar: Bar,
    /// Whether the step is over; one that is not shows how far it has come.
    pub(crate) closed: bool,
}

/// A margin that has not ended.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Open {
    /// The number observed when it was set.
    seen: f64,
    /// The value in force then; `None` where it was no estimate, and is not judged.
    margin: Option<f64>,
}

/// What a target is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Standing {
    /// An estimate.
    Estimate,
    /// The stress floor: there never was one.
    TooLittleHistory,
    /// The larger of the stress floor and the last estimate: there is none any more.
    NoEstimate,
}

/// A target and what it has seen.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Estimated {
    now: Vec<Gauge>,
    stress: Option<Gauge>,
    tracker: Option<CoverageTracker>,
    /// The last number observed.
    last: Option<f64>,
    /// Margins that have not ended, oldest first.
    open: VecDeque<Open>,
    /// Whether the margin that was set at the last observation is not among them yet.
    unopened: bool,
    /// Losses now and in the long run, as of the last observation; `None` until enough was seen.
    reading: Option<(f64, Option<f64>)>,
    /// What the last target was, if there was one: only what follows an estimate is judged.
    standing: Option<Standing>,
    /// The last target that was an estimate.
    aimed: Option<f64>,
    /// The loss of the margin that ends with this step, if it is a breach.
    breach: Option<f64>,
}

impl TargetSpec {
    /// Whether it is one.
    pub fn check(&self) -> Result<(), TargetSpecError> {
        match self {
            Self::Stated { value } => bounded("value", value.to_f64(), value.0 > 0, "> 0"),
            Self::Quantile(of) => of.check(),
            Self::PriceScan { times, fallback } => {
                bounded("times", *times, (0.1..=10.0).contains(times), "from a tenth to ten")?;
                bounded("fallback", fallback.to_f64(), fallback.0 > 0, "> 0")
            }
        }
    }

    /// Why the first value is what it is.
    pub(crate) fn begins(&self) -> Cause {
        match self {
            Self::Stated { .. } => Cause::Stated,
            Self::Quantile(_) | Self::PriceScan { .. } => Cause::TooLittleHistory,
        }
    }

    /// The value before anything was seen.
    pub fn first(&self) -> Ppb {
        match self {
            Self::Stated { value } => *value,
            Self::Quantile(of) => of.fallback,
            Self::PriceScan { fallback, .. } => *fallback,
        }
    }
}

fn bounded(field: &'static str, value: f64, ok: bool, expected: &'static str) -> Result<(), TargetSpecError> {
    if ok { Ok(()) } else { Err(TargetSpecError::Field { field, value, expected }) }
}

impl Stress {
    fn check(&self) -> Result<(), TargetSpecError> {
        let Self { weight, floor, cap, .. } = *self;
        bounded("stress.weight", weight, (0.0..=1.0).contains(&weight), "from 0 to 1")?;
        bounded("stress.floor", floor, floor >= 0.0 && floor.is_finite(), "finite and >= 0")?;
        bounded("stress.cap", cap, cap > floor && cap.is_finite(), "finite and above the floor")
    }
}

impl Quantile {
    fn check(&self) -> Result<(), TargetSpecError> {
        let Self { confidence, horizon_steps, shock, fallback, .. } = *self;
        bounded("confidence", confidence, confidence > 0.5 && confidence < 1.0, "above 0.5 and beneath 1")?;
        bounded("horizon_steps", f64::from(horizon_steps), horizon_steps > 0, ">= 1")?;
        bounded("times", self.times, self.times > 0.0 && self.times.is_finite(), "finite and > 0")?;
        let history = self.now.iter().filter(|of| !of.is_implied()).count();
        bounded("now", history as f64, history > 0, "one estimator of history at least")?;
        let implied = self.stress.is_some_and(|stress| stress.estimator.is_implied());
        bounded("stress.estimator", 0.0, !implied, "an estimator of history")?;
        let all = self.now.iter().chain(self.stress.iter().map(|stress| &stress.estimator));
        let mut unfit = all.filter(|of| {
            of.is_implied() && self.series != Series::Price || of.reads_ranges() && !self.series.is_relative()
        });
        bounded(
            "series",
            0.0,
            unfit.next().is_none(),
            "one that the estimators can read: ranges are of prices",
        )?;
        self.stress.as_ref().map_or(Ok(()), Stress::check)?;
        self.tracking.as_ref().map_or(Ok(()), Tracking::check)?;
        bounded("shock", shock, shock >= 0.0 && shock.is_finite(), "finite and >= 0")?;
        bounded("fallback", fallback.to_f64(), fallback.0 > 0, "> 0")?;
        self.begin()?;
        Ok(())
    }

    /// The target with nothing seen.
    pub(crate) fn begin(&self) -> Result<Estimated, StatsError> {
        let tracker = |t: Tracking| CoverageTracker::new(1.0 - self.confidence, t.gain, (t.least, t.most));
        let begin = |of: &Estimator| of.begin(self.confidence);
        Ok(Estimated {
            now: self.now.iter().map(begin).collect::<Result<_, _>>()?,
            stress: self.stress.map(|stress| begin(&stress.estimator)).transpose()?,
            tracker: self.tracking.map(tracker).transpose()?,
            last: None,
            open: VecDeque::new(),
            unopened: false,
            reading: None,
            standing: None,
            aimed: None,
            breach: None,
        })
    }

    /// The loss of one unit since `then`.
    fn lost(&self, then: f64, now: f64) -> f64 {
        let change = self.times * self.series.change(then, now);
        match self.loss {
            Loss::Fall => -change,
            Loss::Rise => change,
            Loss::Either => change.abs(),
        }
    }

    /// Shows the estimators that read it the volatility that options imply, at an instant; `step_seconds` is the step of
    /// observation. What is forgotten counts no more from then on.
    pub(crate) fn look(
        &self,
        of: &mut Estimated,
        atm: Option<f64>,
        (now, step_seconds): (Timestamp, i64),
        room: &mut Vec<f64>,
    ) {
        let mut forgot = false;
        for (spec, gauge) in self.now.iter().zip(&mut of.now) {
            forgot |= gauge.look(spec, atm, now, step_seconds);
        }
        if forgot && of.reading.is_some() {
            of.reading = self.read(of, room);
        }
    }

    /// Takes in what was seen since the last step, during which `margin` was in force. Says which estimators refused it and
    /// why; they keep what they knew.
    pub(crate) fn observe(
        &self,
        of: &mut Estimated,
        seen: &Observation,
        margin: f64,
        room: &mut Vec<f64>,
    ) -> Vec<(&'static str, StatsError)> {
        let close = seen.bar.close;
        if std::mem::take(&mut of.unopened)
            && let Some(last) = of.last
        {
            of.open.push_back(Open {
                seen: last,
                margin: (of.standing == Some(Standing::Estimate)).then_some(margin),
            });
        }
        let ends = of.open.len() >= self.horizon_steps as usize;
        let oldest = of.open.front().filter(|_| ends).and_then(|open| Some((open.seen, open.margin?)));
        let ended = oldest.map(|(then, margin)| (self.lost(then, close), margin));
        of.breach = ended.filter(|(loss, margin)| loss > margin).map(|(loss, _)| loss);
        let mut refused = Vec::new();
        if !seen.closed {
            return refused;
        }
        if ends {
            of.open.pop_front();
        }
        if let (Some(tracker), Some(_)) = (&mut of.tracker, ended) {
            tracker.update(of.breach.is_some());
        }
        of.unopened = true;
        let Some(before) = of.last.replace(close) else { return refused };
        let change = self.series.change(before, close);
        let specs = self.now.iter().chain(self.stress.iter().map(|stress| &stress.estimator));
        for (spec, gauge) in specs.zip(of.now.iter_mut().chain(&mut of.stress)) {
            refused.extend(gauge.update(&seen.bar, change).err().map(|error| (spec.name(), error)));
        }
        of.reading = self.read(of, room);
        refused
    }

    /// `None` until every estimator of history has seen enough, and where one says nothing positive. What options imply counts
    /// while it is there.
    fn read(&self, of: &Estimated, room: &mut Vec<f64>) -> Option<(f64, Option<f64>)> {
        let mut loss = |gauge: &Gauge| {
            let TwoSided { long, short } = gauge.losses(self.confidence, self.horizon_steps, room).ok()?;
            let larger = if long > short { long } else { short };
            let loss = self.times
                * match self.loss {
                    Loss::Fall => long,
                    Loss::Rise => short,
                    Loss::Either => larger,
                };
            (loss > 0.0 && loss.is_finite()).then_some(loss)
        };
        let mut now = 0.0;
        for gauge in of.now.iter().filter(|gauge| !gauge.is_absent()) {
            let one = loss(gauge)?;
            now = if one > now { one } else { now };
        }
        match &of.stress {
            None => Some((now, None)),
            Some(gauge) => Some((now, Some(loss(gauge)?))),
        }
    }

    /// The target as it stands, with how it was made.
    pub(crate) fn target(&self, of: &mut Estimated) -> Target {
        let estimate = of.reading.map(|reading| self.estimate(of, reading));
        let estimate = estimate.filter(|(value, _)| value.is_finite() && *value > 0.0);
        let (standing, (value, trail)) = match (estimate, of.aimed) {
            (Some(made), _) => (Standing::Estimate, made),
            (None, None) => (Standing::TooLittleHistory, self.without(None)),
            (None, aimed) => (Standing::NoEstimate, self.without(aimed)),
        };
        of.standing = Some(standing);
        if standing == Standing::Estimate {
            of.aimed = Some(value);
        }
        Target { value, governed: false, trail }
    }

    /// What stands in for an estimate: never less than the last one.
    fn without(&self, aimed: Option<f64>) -> (f64, Trail) {
        let fallback = self.fallback.to_f64();
        let Some(aimed) = aimed else { return (fallback, Trail::begin(Cause::TooLittleHistory, fallback)) };
        let value = if aimed > fallback { aimed } else { fallback };
        (value, Trail::begin(Cause::NoEstimate, value))
    }

    fn estimate(&self, of: &Estimated, (now, long_run): (f64, Option<f64>)) -> (f64, Trail) {
        let mut trail = Trail::begin(Cause::Now, now);
        let long_run = self.stress.zip(long_run);
        let mut value = long_run.map_or(now, |(s, level)| (1.0 - s.weight) * now + s.weight * level);
        trail.to(Cause::Stress, value);
        let learned = exp(of.tracker.as_ref().map_or(0.0, CoverageTracker::correction));
        value *= learned;
        trail.to(Cause::Coverage, value);
        let raise = |value: &mut f64, to: f64, trail: &mut Trail, cause| {
            if to > *value {
                *value = to;
                trail.to(cause, to);
            }
        };
        raise(&mut value, self.shock * of.breach.unwrap_or(0.0), &mut trail, Cause::Breach);
        if let Some((s, level)) = long_run {
            raise(&mut value, s.floor * level * learned, &mut trail, Cause::StressFloor);
            let cap = s.cap * level * learned;
            value = if value > cap { cap } else { value };
            trail.to(Cause::TargetCap, value);
        }
        (value, trail)
    }
}

impl Estimated {
    /// What the last target was made of; `None` before the first.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.standing
    }
}
