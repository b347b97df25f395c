//! Heterogeneous autoregression of realised variance: tomorrow from the last day, week and month.
//!
//! ```text
//! v_{t+1} = c + b_d v_t + b_w mean(v_{t-4..t}) + b_m mean(v_{t-21..t}) + residual
//! ```
//!
//! The one idea: three averages of the past stand for long memory, and the forecast is kept inside what the sample has seen, so
//! that an unlucky estimate cannot forecast what never was. In logarithms the three averages are taken first and their
//! logarithms after; the forecast is the mean of the lognormal, `exp(forecast + residual variance / 2)`.
//!
//! Sources: Corsi (2009), Journal of Financial Econometrics 7:174; the bounds after Bollerslev, Patton and Quaedvlieg (2016),
//! Journal of Econometrics 192:1, section 4.

use crate::regression::least_squares;
use crate::schedule::{Refit, Schedule};
use crate::special::{exp, ln};
use crate::stats::{StatsError, at_least, count, enough, not_negative, positive};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// The unit in which the regression is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HarScale {
    /// Variances as they are, `>= 0`.
    Level,
    /// Their logarithms; every variance must be `> 0`.
    Log,
}

/// What a [`Har`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct HarSpec {
    /// Observations in the middle average; 5 for days.
    pub week: usize,
    /// Observations in the long average, above `week`; 22 for days.
    pub month: usize,
    /// Rows of the regression, at most.
    pub window: usize,
    /// Rows of the first regression, at least 20.
    pub needed: usize,
    /// Observations between regressions, `>= 1`.
    pub refit_every: usize,
    /// The unit of the regression.
    pub scale: HarScale,
}

/// Estimated coefficients, in the unit of the regression.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct HarFit {
    /// Constant.
    pub intercept: f64,
    /// Weights of day, week and month.
    pub weights: [f64; 3],
    /// Variance of the residuals.
    pub residual_variance: f64,
    /// Least variance of the sample that was to be forecast.
    pub least: f64,
    /// Largest variance of the sample that was to be forecast.
    pub most: f64,
}

/// Realised variances so far and the regression in force.
///
/// ```
/// use plimsoll_quant::har::{Har, HarScale, HarSpec};
/// let spec = HarSpec { week: 2, month: 4, window: 60, needed: 20, refit_every: 10, scale: HarScale::Level };
/// let mut har = Har::new(spec).unwrap();
/// for day in 0..60u32 {
///     har.update(1e-4 * f64::from(1 + day * day % 7)).unwrap();
/// }
/// let tomorrow = har.forecast().unwrap();
/// assert!(tomorrow >= 1e-4 && tomorrow <= 7e-4);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Har {
    spec: HarSpec,
    recent: Window<f64>,
    schedule: Schedule,
    fit: Option<HarFit>,
}

impl Har {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] unless `1 <= week < month`, `20 <= needed <= window` and `refit_every >= 1`.
    pub fn new(spec: HarSpec) -> Result<Self, StatsError> {
        at_least("week", spec.week, 1)?;
        at_least("month", spec.month, spec.week.saturating_add(1))?;
        at_least("rows needed", spec.needed, 20)?;
        at_least("window", spec.window, spec.needed)?;
        let recent = Window::new(spec.window.saturating_add(spec.month))?;
        let schedule = Schedule::new(spec.needed.saturating_add(spec.month), spec.refit_every)?;
        Ok(Self { spec, recent, schedule, fit: None })
    }

    /// Takes in the variance realised over the last step and says whether the regression was made anew.
    ///
    /// # Errors
    /// [`StatsError`] for a variance that is not finite, is negative, or is 0 where logarithms are taken; nothing changes.
    pub fn update(&mut self, variance: f64) -> Result<Refit, StatsError> {
        match self.spec.scale {
            HarScale::Level => not_negative("realised variance", variance)?,
            HarScale::Log => positive("realised variance", variance)?,
        };
        self.recent.push(variance);
        let Self { spec, recent, schedule, fit } = self;
        Ok(schedule.step(|| {
            *fit = Some(spec.estimate(&recent.iter().copied().collect::<Vec<f64>>())?);
            Ok(())
        }))
    }

    /// The last variance and its means over the last week and month, as they are.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before a month was seen.
    pub fn averages(&self) -> Result<[f64; 3], StatsError> {
        enough(self.recent.len(), self.spec.month)?;
        Ok(self.spec.averages(&self.last_month()))
    }

    /// Expected variance of the next step, between the least and the largest of the sample.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the first regression.
    pub fn forecast(&self) -> Result<f64, StatsError> {
        Ok(self.spec.forecast(self.fit()?, &self.last_month()))
    }

    /// Expected variance of the sum of the next `steps` returns: each forecast is taken as seen for the one after it.
    ///
    /// # Errors
    /// [`StatsError`] before the first regression or when `steps` is 0.
    pub fn forecast_total(&self, steps: usize) -> Result<f64, StatsError> {
        at_least("steps", steps, 1)?;
        let fit = self.fit()?;
        let mut month = self.last_month();
        let mut total = 0.0;
        for _ in 0..steps {
            let next = self.spec.forecast(fit, &month);
            month.remove(0);
            month.push(next);
            total += next;
        }
        Ok(total)
    }

    /// The regression in force.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the first one.
    pub fn fit(&self) -> Result<&HarFit, StatsError> {
        self.fit.as_ref().ok_or_else(|| self.schedule.not_yet())
    }

    fn last_month(&self) -> Vec<f64> {
        let skipped = self.recent.len().saturating_sub(self.spec.month);
        self.recent.iter().skip(skipped).copied().collect()
    }
}

impl HarSpec {
    /// Day, week and month at the end of `past`, which holds a month at least.
    fn averages(&self, past: &[f64]) -> [f64; 3] {
        [1, self.week, self.month].map(|n| {
            let last = &past[past.len() - n..];
            last.iter().fold(0.0, |sum, v| sum + v) / count(n)
        })
    }

    fn regressors(&self, past: &[f64]) -> [f64; 3] {
        match self.scale {
            HarScale::Level => self.averages(past),
            HarScale::Log => self.averages(past).map(ln),
        }
    }

    fn estimate(&self, variances: &[f64]) -> Result<HarFit, StatsError> {
        let targets = &variances[self.month..];
        let row = |(i, v): (usize, &f64)| {
            let y = if self.scale == HarScale::Log { ln(*v) } else { *v };
            (self.regressors(&variances[i..i + self.month]), y)
        };
        let rows: Vec<([f64; 3], f64)> = targets.iter().enumerate().map(row).collect();
        let found = least_squares(&rows)?;
        Ok(HarFit {
            intercept: found.intercept,
            weights: found.slopes,
            residual_variance: found.residual_variance,
            least: targets.iter().fold(f64::INFINITY, |a, v| a.min(*v)),
            most: targets.iter().fold(0.0, |a: f64, v| a.max(*v)),
        })
    }

    fn forecast(&self, fit: &HarFit, past: &[f64]) -> f64 {
        let x = self.regressors(past);
        let linear = (0..3).fold(fit.intercept, |sum, i| sum + fit.weights[i] * x[i]);
        let raw = match self.scale {
            HarScale::Level => linear,
            HarScale::Log => exp(linear + 0.5 * fit.residual_variance),
        };
        raw.max(fit.least).min(fit.most)
    }
}
