//! Conditional variance one observation at a time.

use super::{Dynamics, FitSpec, Garch, GarchFit, Innovations, Law, MeanModel, Start, fit};
use crate::schedule::{Refit, Schedule};
use crate::stats::{StatsError, at_least, count, finite, positive};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// The variance of the next return under given parameters.
///
/// ```
/// use plimsoll_quant::garch::{Garch, GarchFilter, Law};
/// let model = Garch::symmetric(2e-6, 0.08, 0.9).unwrap();
/// let mut filter = GarchFilter::new(model, 0.0, Law::Normal, model.long_run()).unwrap();
/// filter.update(-0.03).unwrap();
/// assert!((filter.next_variance() - (2e-6 + 0.08 * 9e-4 + 0.9 * 1e-4)).abs() < 1e-18);
/// // The loss of a long position that one day in a hundred exceeds.
/// let loss = -filter.quantile(0.01, 1).unwrap();
/// assert!((loss - 2.3263478740408408 * filter.next_variance().sqrt()).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct GarchFilter {
    model: Garch,
    mean: f64,
    law: Law,
    next: f64,
    seen: usize,
}

impl GarchFilter {
    /// Parameters, and the variance of the first return, `> 0`.
    ///
    /// # Errors
    /// [`StatsError`] for a variance that is not positive, a mean that is not finite, or degrees of freedom at or below 2.
    pub fn new(model: Garch, mean: f64, law: Law, first_variance: f64) -> Result<Self, StatsError> {
        law.check()?;
        finite(0, mean)?;
        Ok(Self { model, mean, law, next: positive("variance", first_variance)?, seen: 0 })
    }

    /// Takes the next return in and gives its residual over the root of the variance it had before: mean 0, variance 1 when
    /// the parameters are right.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when its square is not finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<f64, StatsError> {
        let residual = value - self.mean;
        let next = self.model.step(residual, self.next);
        if !next.is_finite() {
            return Err(StatsError::NotFinite { index: self.seen, value });
        }
        let standardised = residual / self.next.sqrt();
        self.next = next;
        self.seen = self.seen.saturating_add(1);
        Ok(standardised)
    }

    /// New parameters; the variance stays.
    ///
    /// # Errors
    /// As [`GarchFilter::new`].
    pub fn replace(&mut self, fit: &GarchFit) -> Result<(), StatsError> {
        let seen = self.seen;
        *self = Self::new(fit.model, fit.mean, fit.law, self.next)?;
        self.seen = seen;
        Ok(())
    }

    /// Variance of the next return, `> 0`.
    #[must_use]
    pub fn next_variance(&self) -> f64 {
        self.next
    }

    /// Expected variance of the return `steps` ahead: see [`Garch::forecast`].
    ///
    /// # Errors
    /// [`StatsError::Domain`] when `steps` is 0.
    pub fn forecast(&self, steps: u32) -> Result<f64, StatsError> {
        self.model.forecast(self.next, steps)
    }

    /// Expected variance of the sum of the next `steps` returns.
    ///
    /// # Errors
    /// [`StatsError::Domain`] when `steps` is 0.
    pub fn forecast_total(&self, steps: u32) -> Result<f64, StatsError> {
        self.model.forecast_total(self.next, steps)
    }

    /// Quantile at `level` of the sum of the next `steps` returns, a gain positive: `steps mean + q sqrt(total variance)` with `q` of
    /// the law of one step. Exact for one step; for more the sum has thinner tails than one step, of which nothing is made.
    ///
    /// # Errors
    /// [`StatsError::Domain`] when `steps` is 0 or the level outside (0, 1).
    pub fn quantile(&self, level: f64, steps: u32) -> Result<f64, StatsError> {
        let deviation = self.forecast_total(steps)?.sqrt();
        Ok(f64::from(steps) * self.mean + self.law.quantile(level)? * deviation)
    }

    /// The recursion.
    #[must_use]
    pub fn model(&self) -> Garch {
        self.model
    }

    /// The law of the innovations.
    #[must_use]
    pub fn law(&self) -> Law {
        self.law
    }
}

/// When and from what a [`RollingGarch`] is estimated.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingSpec {
    /// Whether losses may count more.
    pub dynamics: Dynamics,
    /// Law of the innovations.
    pub innovations: Innovations,
    /// Mean of a return.
    pub mean: MeanModel,
    /// Returns an estimate is made from, at most.
    pub window: usize,
    /// Returns before the first estimate, at least 50.
    pub needed: usize,
    /// Returns between estimates, `>= 1`.
    pub refit_every: usize,
}

/// A filter whose parameters are estimated anew on a schedule from the last returns, each time from the estimate before.
///
/// The recursion of an estimate starts from the mean square of its window; the filter then goes on from the variance at its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingGarch {
    spec: RollingSpec,
    recent: Window<f64>,
    schedule: Schedule,
    estimate: Option<GarchFit>,
    filter: Option<GarchFilter>,
}

impl RollingGarch {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] when fewer than 50 returns are needed, more than the window holds, or none between estimates.
    pub fn new(spec: RollingSpec) -> Result<Self, StatsError> {
        at_least("observations needed", spec.needed, 50)?;
        if spec.needed > spec.window {
            let (value, domain) = (count(spec.needed), "at most the window");
            return Err(StatsError::Domain { parameter: "observations needed", value, domain });
        }
        let schedule = Schedule::new(spec.needed, spec.refit_every)?;
        Ok(Self { spec, recent: Window::new(spec.window)?, schedule, estimate: None, filter: None })
    }

    /// Takes the next return in and says whether the parameters were estimated anew.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`]; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<Refit, StatsError> {
        if !(value * value).is_finite() {
            return Err(StatsError::NotFinite { index: self.schedule.observations(), value });
        }
        if let Some(filter) = &mut self.filter {
            filter.update(value)?;
        }
        self.recent.push(value);
        let Self { spec, recent, schedule, estimate, filter } = self;
        Ok(schedule.step(|| {
            let returns: Vec<f64> = recent.iter().copied().collect();
            let found = match spec.estimate(&returns, estimate.as_ref()) {
                Err(_) if estimate.is_some() => spec.estimate(&returns, None)?,
                other => other?,
            };
            *filter = Some(spec.filter_after(&found, &returns)?);
            *estimate = Some(found);
            Ok(())
        }))
    }

    /// The filter after the last return.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the first estimate.
    pub fn filter(&self) -> Result<&GarchFilter, StatsError> {
        self.filter.as_ref().ok_or_else(|| self.schedule.not_yet())
    }

    /// The estimate in force.
    ///
    /// # Errors
    /// As [`RollingGarch::filter`].
    pub fn estimate(&self) -> Result<&GarchFit, StatsError> {
        self.estimate.as_ref().ok_or_else(|| self.schedule.not_yet())
    }
}

impl RollingSpec {
    fn estimate(&self, returns: &[f64], before: Option<&GarchFit>) -> Result<GarchFit, StatsError> {
        let Self { dynamics, innovations, mean, .. } = *self;
        fit(returns, &FitSpec { dynamics, innovations, mean, start: Start::MeanSquare }, before)
    }

    fn filter_after(&self, found: &GarchFit, returns: &[f64]) -> Result<GarchFilter, StatsError> {
        let residuals: Vec<f64> = returns.iter().map(|r| r - found.mean).collect();
        let next = found.model.variances(&residuals, Start::MeanSquare)?.next;
        GarchFilter::new(found.model, found.mean, found.law, next)
    }
}
