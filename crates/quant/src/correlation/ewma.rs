//! Covariance and correlation one row of observations at a time.

use super::shrink::{Shrunk, Target, WeightedMoments};
use super::{Correlation, CorrelationError, correlations_of, mirrored, packed};
use crate::ewma::EwmaVariance;
use crate::linalg::Symmetric;
use crate::stats::{StatsError, at_least, count, decay_of_half_life, enough, finite, positive};
use serde::{Deserialize, Serialize};

/// Exponentially weighted covariances about zero, pair by pair.
///
/// A pair of which either series is missing keeps what it had; each pair has its own count, so a young pair starts from its
/// plain mean (see [`crate::ewma`]).
///
/// ```
/// use plimsoll_quant::correlation::EwmaCovariance;
/// let mut both = EwmaCovariance::new(2, 60.0, 3).unwrap();
/// for r in [0.01, -0.02, 0.03] {
///     both.update(&[Some(r), Some(2.0 * r)]).unwrap();
/// }
/// both.update(&[Some(0.05), None]).unwrap();
/// let covariance = both.covariance().unwrap();
/// assert!((covariance.at(1, 1) / covariance.at(0, 1) - 2.0).abs() < 1e-12);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EwmaCovariance {
    series: usize,
    lambda: f64,
    needed: usize,
    covariances: Vec<f64>,
    seen: Vec<usize>,
}

fn check_row(values: &[Option<f64>], series: usize) -> Result<(), StatsError> {
    if values.len() != series {
        return Err(StatsError::Lengths { left: values.len(), right: series });
    }
    for (index, value) in values.iter().enumerate() {
        let value = value.unwrap_or(0.0);
        if !(value * value).is_finite() {
            return Err(StatsError::NotFinite { index, value });
        }
    }
    Ok(())
}

impl EwmaCovariance {
    /// Nothing seen yet of `series >= 1` series. `half_life` is in rows, `> 0`; a reading needs `needed >= 1` rows of every pair.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(series: usize, half_life: f64, needed: usize) -> Result<Self, StatsError> {
        at_least("series", series, 1)?;
        at_least("observations needed", needed, 1)?;
        let lambda = decay_of_half_life(positive("half-life", half_life)?);
        let pairs = packed(series, 0);
        Ok(Self { series, lambda, needed, covariances: vec![0.0; pairs], seen: vec![0; pairs] })
    }

    /// Takes the next row in: a return per series, `None` where it is missing.
    ///
    /// # Errors
    /// [`StatsError::Lengths`] or [`StatsError::NotFinite`] with the place in the row; nothing changes.
    pub fn update(&mut self, values: &[Option<f64>]) -> Result<(), StatsError> {
        check_row(values, self.series)?;
        for (i, left) in values.iter().enumerate() {
            for (j, right) in values[..=i].iter().enumerate() {
                let (Some(left), Some(right)) = (left, right) else { continue };
                let at = packed(i, j);
                self.seen[at] = self.seen[at].saturating_add(1);
                let decay = self.lambda.min(1.0 - 1.0 / count(self.seen[at]));
                self.covariances[at] = decay * self.covariances[at] + (1.0 - decay) * (left * right);
            }
        }
        Ok(())
    }

    /// Covariances per step. With gaps in the series they need not be positive semi-definite.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before every pair was seen often enough.
    pub fn covariance(&self) -> Result<Symmetric, CorrelationError> {
        enough(self.seen.iter().copied().min().unwrap_or(0), self.needed)?;
        Ok(mirrored(self.series, |i, j| self.covariances[packed(i, j)])?)
    }

    /// Correlations, repaired if they have no Cholesky factor.
    ///
    /// # Errors
    /// [`CorrelationError`] before enough was seen, or when a variance is 0.
    pub fn correlation(&self) -> Result<Correlation, CorrelationError> {
        Ok(Correlation::of(correlations_of(&self.covariance()?)?)?)
    }
}

/// What an [`EwmaCorrelation`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct EwmaCorrelationSpec {
    /// Series, `>= 1`.
    pub series: usize,
    /// Half-life of each volatility, in its own observations, `> 0`.
    pub vol_half_life: f64,
    /// Observations before a volatility is known, `>= 1`; they do not enter the correlations.
    pub vol_warm_up: usize,
    /// Half-life of the correlations, in rows, `> 0`.
    pub half_life: f64,
    /// Rows of every pair that a reading needs, at least 2.
    pub needed: usize,
    /// What the correlations are shrunk towards.
    pub target: Target,
}

/// Exponentially weighted correlation of returns over the volatility known before them, shrunk after Ledoit and Wolf.
///
/// Dividing first keeps one series' burst from passing for co-movement, and lets volatility forget faster than correlation. The
/// intensity of the shrinkage is estimated with the same exponential weights.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EwmaCorrelation {
    spec: EwmaCorrelationSpec,
    lambda: f64,
    vols: Vec<EwmaVariance>,
    moments: WeightedMoments,
}

impl EwmaCorrelation {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(spec: EwmaCorrelationSpec) -> Result<Self, StatsError> {
        at_least("series", spec.series, 1)?;
        at_least("observations needed", spec.needed, 2)?;
        let lambda = decay_of_half_life(positive("half-life", spec.half_life)?);
        let vol = EwmaVariance::new(spec.vol_half_life, spec.vol_warm_up)?;
        let moments = WeightedMoments::new(spec.series);
        Ok(Self { spec, lambda, vols: vec![vol; spec.series], moments })
    }

    /// Takes the next row in: a return per series, `None` where it is missing. A return before which nothing moved enters the
    /// volatility only.
    ///
    /// # Errors
    /// [`StatsError::Lengths`] or [`StatsError::NotFinite`] with the place in the row; nothing changes.
    pub fn update(&mut self, values: &[Option<f64>]) -> Result<(), StatsError> {
        check_row(values, self.spec.series)?;
        let scaled = |(value, vol): (&Option<f64>, &EwmaVariance)| {
            let vol = vol.vol().ok().filter(|v| *v > 0.0)?;
            // Beyond sixty deviations nothing more is learned, and the fourth moments stay finite.
            value.map(|r| (r / vol).clamp(-60.0, 60.0))
        };
        let row: Vec<Option<f64>> = values.iter().zip(&self.vols).map(scaled).collect();
        self.moments.update(&row, self.lambda);
        for (index, (value, vol)) in values.iter().zip(&mut self.vols).enumerate() {
            if let Some(value) = value {
                vol.update(finite(index, *value)?)?;
            }
        }
        Ok(())
    }

    /// Covariances of the standardised returns, shrunk, with the intensity.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before every pair was seen often enough.
    pub fn shrunk(&self) -> Result<Shrunk, CorrelationError> {
        enough(self.moments.seen(), self.spec.needed)?;
        self.moments.shrink(self.spec.target)
    }

    /// Shrunk correlations, repaired if they have no Cholesky factor.
    ///
    /// # Errors
    /// As [`EwmaCorrelation::shrunk`].
    pub fn correlation(&self) -> Result<Correlation, CorrelationError> {
        Ok(Correlation::of(correlations_of(&self.shrunk()?.covariance)?)?)
    }

    /// Volatility per step of series `index`.
    ///
    /// # Errors
    /// [`StatsError`] before its warm-up is over, or for a series there is not.
    pub fn vol(&self, index: usize) -> Result<f64, StatsError> {
        let Some(vol) = self.vols.get(index) else {
            return Err(StatsError::Domain {
                parameter: "series",
                value: count(index),
                domain: "below their number",
            });
        };
        vol.vol()
    }
}
