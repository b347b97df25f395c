//! Ordinary least squares of one variable on a few others.
//!
//! The one idea: everything is centred and scaled before the normal equations are made, so that regressors of any unit, and
//! ones that go together closely, are told apart as far as the numbers allow.

#![allow(clippy::needless_range_loop, reason = "matrix algebra is written with its indices")]

use crate::lsq::solve_positive;
use crate::stats::{StatsError, count, enough, finite, positive};

/// `y = intercept + sum slopes_i x_i + residual`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Regression<const N: usize> {
    /// Value where every regressor is 0.
    pub intercept: f64,
    /// One per regressor, in units of `y` over its unit.
    pub slopes: [f64; N],
    /// Unbiased variance of the residuals: squares over `n - N - 1`.
    pub residual_variance: f64,
}

/// Least squares over rows `(x, y)`.
///
/// ```
/// use plimsoll_quant::regression::least_squares;
/// let rows = [([1.0], 3.0), ([2.0], 5.0), ([3.0], 7.0), ([4.0], 9.0)];
/// let line = least_squares(&rows).unwrap();
/// assert!((line.intercept - 1.0).abs() < 1e-14 && (line.slopes[0] - 2.0).abs() < 1e-14);
/// ```
///
/// # Errors
/// [`StatsError`] on fewer than `N + 2` rows, a value that is not finite, a regressor that does not vary, or regressors of which
/// one follows from the others.
pub fn least_squares<const N: usize>(rows: &[([f64; N], f64)]) -> Result<Regression<N>, StatsError> {
    enough(rows.len(), N + 2)?;
    let n = count(rows.len());
    let (mut centre, mut centre_y) = ([0.0; N], 0.0);
    for (index, (x, y)) in rows.iter().enumerate() {
        for i in 0..N {
            centre[i] += finite(index, x[i])?;
        }
        centre_y += finite(index, *y)?;
    }
    centre = centre.map(|c| c / n);
    centre_y /= n;
    let mut square = [[0.0; N]; N];
    let mut right = [0.0; N];
    for (x, y) in rows {
        let d: [f64; N] = std::array::from_fn(|i| x[i] - centre[i]);
        for i in 0..N {
            right[i] += d[i] * (y - centre_y);
            for j in 0..=i {
                square[i][j] += d[i] * d[j];
            }
        }
    }
    let slopes = solve_scaled(&square, &right)?;
    let mut intercept = centre_y;
    for i in 0..N {
        intercept -= slopes[i] * centre[i];
    }
    let residual = |(x, y): &([f64; N], f64)| (0..N).fold(y - intercept, |e, i| e - slopes[i] * x[i]);
    let squares = rows.iter().map(residual).fold(0.0, |sum, e| sum + e * e);
    Ok(Regression { intercept, slopes, residual_variance: squares / count(rows.len() - N - 1) })
}

/// Relative size of what is left of a regressor beyond the others, beneath which it is refused.
const INDEPENDENT: f64 = 1e-12;

fn solve_scaled<const N: usize>(square: &[[f64; N]; N], right: &[f64; N]) -> Result<[f64; N], StatsError> {
    let mut scale = [0.0; N];
    for i in 0..N {
        scale[i] = positive("variation of a regressor", square[i][i])?.sqrt();
    }
    let mut matrix = *square;
    for i in 0..N {
        for j in 0..=i {
            matrix[i][j] = square[i][j] / (scale[i] * scale[j]);
        }
    }
    let scaled: [f64; N] = std::array::from_fn(|i| right[i] / scale[i]);
    let solution = solve_positive(&mut matrix, scaled);
    let pivot = (0..N).fold(1.0, |least: f64, i| least.min(matrix[i][i] * matrix[i][i]));
    match solution {
        Some(s) if pivot > INDEPENDENT => Ok(std::array::from_fn(|i| s[i] / scale[i])),
        _ => Err(StatsError::Domain {
            parameter: "independence of the regressors",
            value: pivot,
            domain: "> 1e-12",
        }),
    }
}
