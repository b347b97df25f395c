//! Correlations that rise or break, and what losses add up to under them.
//!
//! Sources: Basel Committee (2019), minimum capital requirements for market risk, MAR21.6, for the low and high scenarios; the
//! bounds of the sum are this project's (`docs/model.md`).

use super::{Correlation, mirrored};
use crate::linalg::{LinalgError, Symmetric};
use crate::stats::{StatsError, finite};
use serde::{Deserialize, Serialize};

/// A state of the correlations.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub enum Stress {
    /// As estimated.
    Base,
    /// `max(2 rho - 1, 0.75 rho)`.
    Low,
    /// `min(1.25 rho, 1)`.
    High,
    /// Every pair at this correlation, in [-1, 1]: 0 or -1 for a break, 1 for a crash.
    Broken(f64),
}

/// A correlation under stress, in [-1, 1].
///
/// ```
/// use plimsoll_quant::correlation::{Stress, stressed};
/// assert_eq!(stressed(0.9, Stress::Low), 0.8);
/// assert_eq!(stressed(0.9, Stress::High), 1.0);
/// assert_eq!(stressed(0.2, Stress::Low), 0.15000000000000002);
/// assert_eq!(stressed(0.9, Stress::Broken(0.0)), 0.0);
/// ```
#[must_use]
pub fn stressed(rho: f64, stress: Stress) -> f64 {
    let moved = match stress {
        Stress::Base => rho,
        Stress::Low => (2.0 * rho - 1.0).max(0.75 * rho),
        Stress::High => 1.25 * rho,
        Stress::Broken(level) => level,
    };
    moved.clamp(-1.0, 1.0)
}

/// A correlation matrix under stress, repaired where it is none (three series cannot all move against each other).
///
/// # Errors
/// [`LinalgError`] for a level that is not a number, or when the repair does not settle.
pub fn stressed_matrix(matrix: &Symmetric, stress: Stress) -> Result<Correlation, LinalgError> {
    let entry = |i: usize, j: usize| if i == j { 1.0 } else { stressed(matrix.at(i, j), stress) };
    Correlation::of(mirrored(matrix.dimension(), entry)?)
}

/// Aggregate of signed losses (positive is a loss) under a correlation matrix: `sqrt(L' rho L)`, but not below the largest loss nor
/// below `floor_share`, in [0, 1], of the sum of the losses that are positive; `>= 0`.
///
/// ```
/// use plimsoll_quant::correlation::aggregate;
/// use plimsoll_quant::linalg::Symmetric;
/// let rho = Symmetric::new(2, vec![1.0, 0.5, 0.5, 1.0]).unwrap();
/// assert!((aggregate(&[3.0, 4.0], &rho, 0.0).unwrap() - 37f64.sqrt()).abs() < 1e-15);
/// // A gain offsets, but the largest leg is always held.
/// assert_eq!(aggregate(&[3.0, -2.0], &rho, 0.0), Ok(3.0));
/// assert_eq!(aggregate(&[3.0, 4.0], &rho, 0.95), Ok(6.6499999999999995));
/// ```
///
/// # Errors
/// [`StatsError`] on a number of losses that is not the matrix's, one that is not finite, or a share outside [0, 1].
pub fn aggregate(losses: &[f64], rho: &Symmetric, floor_share: f64) -> Result<f64, StatsError> {
    if losses.len() != rho.dimension() {
        return Err(StatsError::Lengths { left: losses.len(), right: rho.dimension() });
    }
    if !(0.0..=1.0).contains(&floor_share) {
        return Err(StatsError::Domain { parameter: "floor share", value: floor_share, domain: "[0, 1]" });
    }
    let (mut square, mut largest, mut total) = (0.0, 0.0, 0.0);
    for (i, loss) in losses.iter().enumerate() {
        let loss = finite(i, *loss)?;
        let row = losses.iter().enumerate().fold(0.0, |sum, (j, other)| sum + rho.at(i, j) * other);
        square += loss * row;
        if loss > 0.0 {
            total += loss;
            largest = if loss > largest { loss } else { largest };
        }
    }
    Ok(square.max(0.0).sqrt().max(largest).max(floor_share * total))
}
