//! Regimes one return at a time, estimated anew on a schedule.

use super::{EmOptions, RegimeFilter, fit};
use crate::garch::Law;
use crate::schedule::{Refit, Schedule};
use crate::stats::{StatsError, at_least};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// What a [`RollingRegime`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingRegimeSpec {
    /// States, 2 or 3.
    pub states: usize,
    /// Law of the innovations.
    pub law: Law,
    /// Returns an estimate is made from, at most.
    pub window: usize,
    /// Returns before the first estimate, at least 100.
    pub needed: usize,
    /// Returns between estimates, `>= 1`.
    pub refit_every: usize,
    /// When an estimate is good enough.
    pub options: EmOptions,
}

/// A filter whose chain is estimated anew on a schedule from the last returns, each time from the chain before.
///
/// After an estimate the probabilities are those of the new chain after the window. A window that allows no estimate leaves the
/// chain in force and says why.
///
/// ```
/// use plimsoll_quant::garch::Law;
/// use plimsoll_quant::regime::{EmOptions, RollingRegime, RollingRegimeSpec};
/// let spec = RollingRegimeSpec { states: 2, law: Law::Normal, window: 400, needed: 200, refit_every: 100,
///     options: EmOptions::usual() };
/// let mut regime = RollingRegime::new(spec).unwrap();
/// for i in 0..400u32 {
///     let size = if (i / 50) % 2 == 0 { 0.01 } else { 0.04 };
///     regime.update(size * (f64::from(i * 37 % 101) / 50.0 - 1.0)).unwrap();
/// }
/// assert_eq!(regime.filter().unwrap().state(), 1);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingRegime {
    spec: RollingRegimeSpec,
    recent: Window<f64>,
    schedule: Schedule,
    filter: Option<RegimeFilter>,
}

impl RollingRegime {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] unless there are two or three states, `100 <= needed <= window` and `refit_every >= 1`.
    pub fn new(spec: RollingRegimeSpec) -> Result<Self, StatsError> {
        spec.law.check()?;
        at_least("states", spec.states, 2)?;
        at_least("observations needed", spec.needed, 100)?;
        at_least("window", spec.window, spec.needed)?;
        if !super::STATES.contains(&spec.states) {
            return Err(StatsError::Domain {
                parameter: "states",
                value: crate::stats::count(spec.states),
                domain: "2 or 3",
            });
        }
        let schedule = Schedule::new(spec.needed, spec.refit_every)?;
        Ok(Self { spec, recent: Window::new(spec.window)?, schedule, filter: None })
    }

    /// Takes the next return in and says whether the chain was estimated anew.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when its square is not finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<Refit, StatsError> {
        if !(value * value).is_finite() {
            return Err(StatsError::NotFinite { index: self.schedule.observations(), value });
        }
        if let Some(filter) = &mut self.filter {
            filter.update(value)?;
        }
        self.recent.push(value);
        let Self { spec, recent, schedule, filter } = self;
        Ok(schedule.step(|| {
            let returns: Vec<f64> = recent.iter().copied().collect();
            let shape = (spec.states, spec.law);
            let warm = filter.as_ref().map(RegimeFilter::model);
            let found = match fit(&returns, shape, &spec.options, warm) {
                Err(_) if warm.is_some() => fit(&returns, shape, &spec.options, None)?,
                other => other?,
            };
            *filter = Some(found.filter);
            Ok(())
        }))
    }

    /// The filter after the last return.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the first estimate.
    pub fn filter(&self) -> Result<&RegimeFilter, StatsError> {
        self.filter.as_ref().ok_or_else(|| self.schedule.not_yet())
    }

    /// Returns since the chain in force was estimated.
    #[must_use]
    pub fn age(&self) -> Option<usize> {
        self.schedule.age()
    }
}
