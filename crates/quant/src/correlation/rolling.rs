//! Dynamic conditional correlation, online, with scheduled estimates.

use super::{Correlation, CorrelationError, Dcc, fit_dcc};
use crate::ewma::EwmaVariance;
use crate::schedule::{Refit, Schedule};
use crate::stats::{StatsError, at_least, finite};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// What a [`RollingDcc`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingDccSpec {
    /// Series, `>= 2`.
    pub series: usize,
    /// Half-life of each volatility, in its own observations, `> 0`.
    pub vol_half_life: f64,
    /// Observations before a volatility is known, `>= 1`; they do not enter the correlations.
    pub vol_warm_up: usize,
    /// Whole rows in an estimate, at least 50.
    pub window: usize,
    /// Whole rows before the first estimate, at least 50.
    pub needed: usize,
    /// Whole rows between estimates, `>= 1`.
    pub refit_every: usize,
}

/// Returns over the volatility known before them, and their dynamic conditional correlation, estimated anew from time to time.
/// Rows with a gap move volatilities only: the recursion needs every product.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingDcc {
    vols: Vec<EwmaVariance>,
    rows: Window<Vec<f64>>,
    schedule: Schedule,
    filter: Option<Dcc>,
}

/// Beyond so many deviations nothing more is learned, as in [`super::EwmaCorrelation`].
const DEVIATIONS_MAX: f64 = 60.0;

impl RollingDcc {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(spec: RollingDccSpec) -> Result<Self, StatsError> {
        at_least("series", spec.series, 2)?;
        at_least("rows in an estimate", spec.window, 50)?;
        at_least("rows needed", spec.needed, 50)?;
        at_least("rows in an estimate beyond those needed", spec.window, spec.needed)?;
        let vol = EwmaVariance::new(spec.vol_half_life, spec.vol_warm_up)?;
        let (rows, schedule) = (Window::new(spec.window)?, Schedule::new(spec.needed, spec.refit_every)?);
        Ok(Self { vols: vec![vol; spec.series], rows, schedule, filter: None })
    }

    /// Takes the next row in: a return per series, `None` where it is missing. Says what became of an estimate.
    ///
    /// # Errors
    /// [`StatsError::Lengths`] or [`StatsError::NotFinite`] with the place in the row; nothing changes.
    pub fn update(&mut self, values: &[Option<f64>]) -> Result<Refit, StatsError> {
        let series = self.vols.len();
        if values.len() != series {
            return Err(StatsError::Lengths { left: values.len(), right: series });
        }
        for (index, value) in values.iter().enumerate() {
            value.map_or(Ok(0.0), |r| finite(index, r * r))?;
        }
        let scaled = |(value, vol): (&Option<f64>, &EwmaVariance)| {
            let vol = vol.vol().ok().filter(|v| *v > 0.0)?;
            value.map(|r| (r / vol).clamp(-DEVIATIONS_MAX, DEVIATIONS_MAX))
        };
        let row: Option<Vec<f64>> = values.iter().zip(&self.vols).map(scaled).collect();
        for (value, vol) in values.iter().zip(&mut self.vols) {
            value.map_or(Ok(()), |r| vol.update(r))?;
        }
        let Some(row) = row else { return Ok(Refit::NotDue) };
        if let Some(filter) = &mut self.filter {
            filter.update(&row)?;
        }
        self.rows.push(row);
        let (rows, filter) = (&self.rows, &mut self.filter);
        Ok(self.schedule.step(|| {
            let flat: Vec<f64> = rows.iter().flatten().copied().collect();
            let warm = filter.as_ref().map(Dcc::parameters);
            let fit = fit_dcc(&flat, series, warm).map_err(CorrelationError::into_stats)?;
            *filter = Some(fit.filter);
            Ok(())
        }))
    }

    /// Correlation of the next row.
    ///
    /// # Errors
    /// [`CorrelationError`] before the first estimate.
    pub fn correlation(&self) -> Result<Correlation, CorrelationError> {
        self.filter.as_ref().ok_or_else(|| self.schedule.not_yet())?.correlation()
    }
}
