//! Estimates of what one unit may lose over a horizon, online.
//!
//! **The one idea:** every way to estimate is the same thing to the rest of the policy: it takes in what happened over a step,
//! and says which loss a long and a short unit will not exceed at a confidence, or that it has not seen enough. Losses over
//! several steps are those over one times the root of their number, except where a model forecasts them itself; each entry says
//! which.

use crate::Bar;
use plimsoll_quant::ewma::{EwmaVariance, TwoSpeedDeviation, TwoSpeedSpec};
use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec, TwoSided};
use plimsoll_quant::garch::{Dynamics, Innovations, Law, MeanModel, RollingGarch, RollingSpec};
use plimsoll_quant::har::{Har, HarScale, HarSpec};
use plimsoll_quant::pot::TailWindow;
use plimsoll_quant::range::{self, RangeEstimator, RangeEwma, YangZhangEwma};
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::schedule::Refit;
use plimsoll_quant::stats::{StatsError, student_t_mean_abs, student_t_unit_scale};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How the range of a bar is read as a variance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeMethod {
    /// High and low.
    Parkinson,
    /// High, low, open and close, without drift.
    GarmanKlass,
    /// High, low, open and close, whatever the drift.
    RogersSatchell,
    /// The same with the gap before the open.
    YangZhang,
}

/// A way to estimate a quantile of losses.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Estimator {
    /// Exponentially weighted variance about zero, times the quantile of a law. Root of time.
    Ewma {
        /// Half-life, observations.
        half_life: f64,
        /// Observations before a reading. The first ones are averaged plainly, until one weighs more than in that mean.
        needed: usize,
        /// Degrees of freedom of Student's t, > 2; the normal law when left out.
        #[serde(default)]
        nu: Option<f64>,
    },
    /// Exponentially weighted mean absolute return, times the quantile of Student's t over its own mean absolute value: one
    /// extreme day moves it far less than it moves a variance. Root of time.
    MeanAbs {
        /// Half-life, observations.
        half_life: f64,
        /// Observations before a reading; their plain mean is where it starts from.
        needed: usize,
        /// Degrees of freedom, > 2.
        nu: f64,
    },
    /// The same with the plain mean of a long window. Root of time.
    LongRun {
        /// Observations.
        window: usize,
        /// Observations before a reading.
        needed: usize,
        /// Degrees of freedom, > 2.
        nu: f64,
    },
    /// GARCH(1,1), or GJR with an own weight of losses, by maximum likelihood on a rolling window. Forecasts the variance of
    /// the whole horizon; the law is that of one step.
    Garch {
        /// Whether losses weigh more than gains.
        gjr: bool,
        /// Whether innovations are Student's t; normal otherwise.
        student_t: bool,
        /// Observations in a fit.
        window: usize,
        /// Observations before the first one.
        needed: usize,
        /// Observations between fits.
        refit_every: usize,
    },
    /// Heterogeneous autoregression of squared returns over a day, a week and a month, times the quantile of a law. Forecasts
    /// the variance of the whole horizon.
    Har {
        /// Observations of the middle average.
        week: usize,
        /// Observations of the long average.
        month: usize,
        /// Rows of the regression.
        window: usize,
        /// Rows of the first regression.
        needed: usize,
        /// Observations between regressions.
        refit_every: usize,
        /// Degrees of freedom of Student's t, > 2; the normal law when left out.
        #[serde(default)]
        nu: Option<f64>,
    },
    /// Exponentially weighted variance of the ranges of bars, times the quantile of a law. Root of time.
    Range {
        /// How a bar is read.
        method: RangeMethod,
        /// Half-life, observations.
        half_life: f64,
        /// Observations before a reading.
        needed: usize,
        /// Degrees of freedom of Student's t, > 2; the normal law when left out.
        #[serde(default)]
        nu: Option<f64>,
    },
    /// Order statistic of the last returns. Root of time.
    Historical {
        /// Observations.
        window: usize,
        /// Observations before a reading.
        needed: usize,
    },
    /// Historical simulation of returns rescaled to today's volatility. Root of time.
    Filtered {
        /// Observations.
        window: usize,
        /// Observations before a reading.
        needed: usize,
        /// Half-life of the volatility, observations.
        half_life: f64,
        /// Observations before a volatility is known; they do not enter the window.
        vol_needed: usize,
        /// Largest factor of rescaling, >= 1; none when left out.
        #[serde(default)]
        cap: Option<f64>,
    },
    /// A generalised Pareto law fitted to the worst losses of each side. Root of time.
    Tail {
        /// Observations.
        window: usize,
        /// Level of the threshold, in (0, 1) and beneath the confidence.
        level: f64,
        /// Observations before a reading.
        needed: usize,
        /// Observations between fits.
        refit_every: usize,
    },
    /// What options imply: the volatility at the money at 30 days over a step, times the quantile of a law. Root of time. It is
    /// no estimate of history: where there is none, or none any more, the others count alone.
    Implied {
        /// Degrees of freedom of Student's t, > 2; the normal law when left out.
        #[serde(default)]
        nu: Option<f64>,
        /// Seconds after which a volatility counts no more; > 0.
        stale_seconds: i64,
    },
}

/// An estimator and what it has seen; the number beside it is the loss of one unit of what it measures at the confidence.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Gauge {
    Ewma(EwmaVariance, f64),
    MeanAbs(TwoSpeedDeviation, f64),
    Garch(Box<RollingGarch>),
    Har(Box<Har>, f64),
    Range(RangeEwma, f64),
    YangZhang(Box<YangZhangEwma>, f64),
    Historical(RankWindow),
    Filtered(Box<FilteredHistory>),
    Tail(Box<[TailWindow; 2]>),
    /// The deviation of a step and when it was seen.
    Implied(Option<(Timestamp, f64)>, f64),
}

/// Options' volatilities are of a year of 365 days.
const YEAR_SECONDS: f64 = 365.0 * 86_400.0;

/// Least volatility per step that rescaling divides by.
const VOL_FLOOR: f64 = 1e-8;

/// Quantile of a law of unit variance: Student's t, or the normal law; refused where it has no variance.
fn unit(nu: Option<f64>, confidence: f64) -> Result<f64, StatsError> {
    nu.map_or(Law::Normal, |nu| Law::StudentT { nu }).quantile(confidence)
}

impl Estimator {
    /// The stable name, as in the policy file.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ewma { .. } => "ewma",
            Self::MeanAbs { .. } => "mean_abs",
            Self::LongRun { .. } => "long_run",
            Self::Garch { .. } => "garch",
            Self::Har { .. } => "har",
            Self::Range { .. } => "range",
            Self::Historical { .. } => "historical",
            Self::Filtered { .. } => "filtered",
            Self::Tail { .. } => "tail",
            Self::Implied { .. } => "implied",
        }
    }

    pub(crate) fn is_implied(&self) -> bool {
        matches!(self, Self::Implied { .. })
    }

    pub(crate) fn reads_ranges(&self) -> bool {
        matches!(self, Self::Range { .. })
    }

    /// The estimator with nothing seen.
    pub(crate) fn begin(&self, confidence: f64) -> Result<Gauge, StatsError> {
        let unit = |nu| unit(nu, confidence);
        Ok(match *self {
            Self::Ewma { half_life, needed, nu } => {
                Gauge::Ewma(EwmaVariance::new(half_life, needed)?, unit(nu)?)
            }
            Self::MeanAbs { half_life, needed, nu } => {
                mean_abs((half_life, needed), needed, 1.0, (nu, confidence))?
            }
            Self::LongRun { window, needed, nu } => mean_abs((1.0, window), needed, 0.0, (nu, confidence))?,
            Self::Garch { gjr, student_t, window, needed, refit_every } => {
                let dynamics = if gjr { Dynamics::Gjr } else { Dynamics::Symmetric };
                let innovations = if student_t { Innovations::StudentT } else { Innovations::Normal };
                let mean = MeanModel::Zero;
                let spec = RollingSpec { dynamics, innovations, mean, window, needed, refit_every };
                Gauge::Garch(Box::new(RollingGarch::new(spec)?))
            }
            Self::Har { week, month, window, needed, refit_every, nu } => {
                let spec = HarSpec { week, month, window, needed, refit_every, scale: HarScale::Level };
                Gauge::Har(Box::new(Har::new(spec)?), unit(nu)?)
            }
            Self::Range { method, half_life, needed, nu } => {
                range_gauge(method, half_life, needed, unit(nu)?)?
            }
            Self::Historical { window, needed } => Gauge::Historical(RankWindow::new(window, needed)?),
            Self::Filtered { window, needed, half_life, vol_needed: vol_warm_up, cap } => {
                let spec = FilteredSpec { window, needed, half_life, vol_warm_up, cap, vol_floor: VOL_FLOOR };
                Gauge::Filtered(Box::new(FilteredHistory::new(spec)?))
            }
            Self::Tail { window, level, needed, refit_every } => {
                let one = TailWindow::new(window, level, needed, refit_every)?;
                Gauge::Tail(Box::new([one.clone(), one]))
            }
            Self::Implied { nu, stale_seconds } => {
                if stale_seconds <= 0 {
                    let (parameter, value) = ("stale_seconds", stale_seconds as f64);
                    return Err(StatsError::Domain { parameter, value, domain: "> 0" });
                }
                Gauge::Implied(None, unit(nu)?)
            }
        })
    }
}

/// Mean absolute return: an exponential mean with weight `fast_weight`, the plain mean of a window with the rest.
fn mean_abs(
    (half_life, window): (f64, usize),
    needed: usize,
    fast_weight: f64,
    (nu, confidence): (f64, f64),
) -> Result<Gauge, StatsError> {
    // The law's own quantile over its own mean absolute value: free of its scale.
    let unit = unit(Some(nu), confidence)? / (student_t_unit_scale(nu)? * student_t_mean_abs(nu)?);
    let spec = TwoSpeedSpec { half_life, window, needed, fast_weight, winsor: None };
    Ok(Gauge::MeanAbs(TwoSpeedDeviation::new(spec)?, unit))
}

fn range_gauge(method: RangeMethod, half_life: f64, needed: usize, unit: f64) -> Result<Gauge, StatsError> {
    let single = |of| Ok(Gauge::Range(RangeEwma::new(of, half_life, needed)?, unit));
    match method {
        RangeMethod::Parkinson => single(RangeEstimator::Parkinson),
        RangeMethod::GarmanKlass => single(RangeEstimator::GarmanKlass),
        RangeMethod::RogersSatchell => single(RangeEstimator::RogersSatchell),
        RangeMethod::YangZhang => {
            Ok(Gauge::YangZhang(Box::new(YangZhangEwma::new(half_life, needed)?), unit))
        }
    }
}

fn checked(bar: &Bar) -> Result<range::Bar, StatsError> {
    range::Bar::new(bar.open, bar.high, bar.low, bar.close)
}

/// What an estimate became; an error where it was due and could not be made.
pub(crate) fn fitted(of: Refit) -> Result<(), StatsError> {
    match of {
        Refit::Kept(reason) => Err(reason),
        Refit::NotDue | Refit::Done => Ok(()),
    }
}

impl Gauge {
    /// Takes in a step: its bar, and the relative change from the last close to its own. On an error nothing changes, or a new
    /// fit failed and the last one stays.
    pub(crate) fn update(&mut self, bar: &Bar, value: f64) -> Result<(), StatsError> {
        match self {
            Self::Ewma(of, _) => of.update(value),
            Self::MeanAbs(of, _) => of.update(value),
            Self::Garch(of) => of.update(value).and_then(fitted),
            Self::Har(of, _) => of.update(value * value).and_then(fitted),
            Self::Range(of, _) => of.update(&checked(bar)?),
            Self::YangZhang(of, _) => of.update(&checked(bar)?),
            Self::Historical(of) => of.update(value),
            Self::Filtered(of) => of.update(value),
            Self::Tail(of) => {
                let [long, short] = of.as_mut();
                let (long, short) = (long.update(-value), short.update(value));
                long.and_then(fitted).and(short.and_then(fitted))
            }
            Self::Implied(..) => Ok(()),
        }
    }

    /// Shows what options imply, as [`crate::target::Quantile::look`] does; forgets what is stale, and says
    /// whether it did.
    pub(crate) fn look(
        &mut self,
        spec: &Estimator,
        atm: Option<f64>,
        now: Timestamp,
        step_seconds: i64,
    ) -> bool {
        let (Self::Implied(seen, _), Estimator::Implied { stale_seconds, .. }) = (self, spec) else {
            return false;
        };
        let stale = |(then, _): (Timestamp, f64)| then.seconds_until(now) > *stale_seconds as f64;
        let deviation = |atm: f64| (now, atm * (step_seconds as f64 / YEAR_SECONDS).sqrt());
        if let Some(deviation) = atm.map(deviation) {
            *seen = Some(deviation);
        } else if seen.is_some_and(stale) {
            *seen = None;
            return true;
        }
        false
    }

    /// Whether it has nothing to say and needs not: options imply nothing now.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Self::Implied(None, _))
    }

    /// Losses of a long and of a short unit over `steps` at a confidence.
    pub(crate) fn losses(
        &self,
        confidence: f64,
        steps: u32,
        room: &mut Vec<f64>,
    ) -> Result<TwoSided, StatsError> {
        let both = |loss: f64| TwoSided { long: loss, short: loss };
        let root = f64::from(steps).sqrt();
        Ok(match self {
            Self::Ewma(of, unit) => both(root * of.vol()? * unit),
            Self::MeanAbs(of, unit) => both(root * of.deviation()? * unit),
            Self::Garch(of) => {
                let filter = of.filter()?;
                both(filter.quantile(confidence, steps)?)
            }
            Self::Har(of, unit) => both(of.forecast_total(steps as usize)?.sqrt() * unit),
            Self::Range(of, unit) => both(root * of.variance()?.sqrt() * unit),
            Self::YangZhang(of, unit) => both(root * of.variance()?.sqrt() * unit),
            Self::Historical(of) => {
                let share = 1.0 - confidence;
                scaled(TwoSided { long: -of.quantile(share)?, short: of.upper_quantile(share)? }, root)
            }
            Self::Filtered(of) => scaled(of.losses(confidence, room)?, root),
            Self::Tail(of) => {
                let [long, short] = of.as_ref();
                let loss = |of: &TailWindow| of.tail()?.quantile(confidence);
                scaled(TwoSided { long: loss(long)?, short: loss(short)? }, root)
            }
            Self::Implied(seen, unit) => {
                let deviation = seen.map(|(_, deviation)| deviation);
                both(root * deviation.ok_or(StatsError::TooFew { observations: 0, needed: 1 })? * unit)
            }
        })
    }
}

fn scaled(of: TwoSided, by: f64) -> TwoSided {
    TwoSided { long: of.long * by, short: of.short * by }
}
