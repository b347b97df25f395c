//! How series move together: exponentially weighted, shrunk, dynamic, repaired and stressed correlation.
//!
//! The one idea: a correlation matrix that leaves this module is one. It is repaired to the nearest correlation matrix
//! (Higham) only where a Cholesky factor does not exist, and then it says how far it was moved.
//!
//! - [`EwmaCovariance`], pairwise, so that a series with gaps harms no other; [`EwmaCorrelation`], of returns over their own
//!   exponentially weighted volatility, shrunk;
//! - [`ledoit_wolf`], towards a multiple of the identity or towards equal correlations;
//! - [`Dcc`], dynamic conditional correlation, and its estimate; [`RollingDcc`], online with scheduled estimates;
//! - [`stressed`], [`aggregate`]: what margin is charged when correlations rise or break.
//!
//! A missing observation is `None` and never a number: a pair of which either is missing keeps what it had.

mod dcc;
mod ewma;
mod rolling;
mod shrink;
mod stress;

pub use dcc::{Dcc, DccFit, fit_dcc};
pub use ewma::{EwmaCorrelation, EwmaCorrelationSpec, EwmaCovariance};
pub use rolling::{RollingDcc, RollingDccSpec};
pub use shrink::{Shrunk, Target, ledoit_wolf};
pub use stress::{Stress, aggregate, stressed, stressed_matrix};

use crate::linalg::{LinalgError, Symmetric, nearest_correlation};
use crate::stats::{StatsError, count, positive};

/// Why there is no correlation.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum CorrelationError {
    /// The observations do not allow it.
    #[error(transparent)]
    Stats(#[from] StatsError),
    /// The matrix does not allow it.
    #[error(transparent)]
    Linalg(#[from] LinalgError),
}

impl CorrelationError {
    /// The same as a reason of statistics: a matrix without what it needs is a search that did not settle.
    pub(crate) fn into_stats(self) -> StatsError {
        match self {
            Self::Stats(reason) => reason,
            Self::Linalg(_) => StatsError::NotConverged { iterations: 0, change: f64::NAN },
        }
    }
}

/// A correlation matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Correlation {
    /// Unit diagonal, positive semi-definite to rounding.
    pub matrix: Symmetric,
    /// Frobenius distance it was moved by a repair; none where no repair was needed.
    pub moved: Option<f64>,
}

impl Correlation {
    /// A symmetric matrix with a unit diagonal, repaired to the nearest correlation matrix if it has no Cholesky factor.
    ///
    /// ```
    /// use plimsoll_quant::correlation::Correlation;
    /// use plimsoll_quant::linalg::Symmetric;
    /// let broken = Symmetric::new(3, vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0]).unwrap();
    /// let fixed = Correlation::of(broken).unwrap();
    /// assert!((fixed.matrix.at(0, 1) - 0.76068985).abs() < 2e-8);
    /// assert!((fixed.moved.unwrap() - 0.52779046).abs() < 1e-6);
    /// ```
    ///
    /// # Errors
    /// [`LinalgError::NotConverged`] when the repair does not settle.
    pub fn of(matrix: Symmetric) -> Result<Self, LinalgError> {
        if matrix.cholesky().is_ok() {
            return Ok(Self { matrix, moved: None });
        }
        let nearest = nearest_correlation(&matrix, None)?;
        Ok(Self { matrix: nearest.matrix, moved: Some(nearest.distance) })
    }

    /// Mean of the correlations of distinct series, in [-1/(n - 1), 1]; 1 for a single series.
    #[must_use]
    pub fn average(&self) -> f64 {
        average_off_diagonal(&self.matrix)
    }
}

fn average_off_diagonal(matrix: &Symmetric) -> f64 {
    let n = matrix.dimension();
    if n < 2 {
        return 1.0;
    }
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    pairs.fold(0.0, |sum, (i, j)| sum + matrix.at(i, j)) / (0.5 * count(n) * count(n - 1))
}

/// The correlations of a covariance matrix, each clamped to [-1, 1], unit diagonal; not necessarily positive semi-definite.
///
/// # Errors
/// [`StatsError::Domain`] when a variance is not positive.
pub fn correlations_of(covariance: &Symmetric) -> Result<Symmetric, CorrelationError> {
    let n = covariance.dimension();
    let vol = |i| positive("variance", covariance.at(i, i)).map(f64::sqrt);
    let vols = (0..n).map(vol).collect::<Result<Vec<f64>, StatsError>>()?;
    let entry = |i: usize, j: usize| {
        if i == j { 1.0 } else { (covariance.at(i, j) / (vols[i] * vols[j])).clamp(-1.0, 1.0) }
    };
    Ok(mirrored(n, entry)?)
}

/// A symmetric matrix from its lower triangle.
fn mirrored(n: usize, entry: impl Fn(usize, usize) -> f64) -> Result<Symmetric, LinalgError> {
    let entries = (0..n * n).map(|at| entry((at / n).max(at % n), (at / n).min(at % n))).collect();
    Symmetric::new(n, entries)
}

/// Place of `(row, column)`, `column <= row`, in a packed lower triangle.
fn packed(row: usize, column: usize) -> usize {
    row * (row + 1) / 2 + column
}
