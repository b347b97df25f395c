//! Minimum of a smooth function of several variables with its gradient.
//!
//! The one idea: quasi-Newton steps (BFGS) with a bisecting search for a point that satisfies the weak Wolfe conditions, so
//! that the approximate inverse Hessian stays positive definite and the path depends only on the inputs.
//!
//! Sources: Nocedal and Wright (2006), algorithm 6.1 and equation 6.20; Lewis and Overton (2013), Mathematical
//! Programming 141:135, section 3, for the search along a line.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]
#![allow(clippy::needless_range_loop, reason = "matrix algebra is written with its indices")]

use crate::stats::{StatsError, finite};

/// When to stop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct BfgsOptions {
    /// Most steps.
    pub max_iter: usize,
    /// Stop when no component of the gradient is larger.
    pub gtol: f64,
}

/// A minimum.
#[derive(Clone, PartialEq, Debug)]
pub struct BfgsMinimum {
    /// Where.
    pub x: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// Largest component of the gradient there; above `gtol` when no step could lower the value any more, or the steps were
    /// used up.
    pub gradient: f64,
    /// Steps done.
    pub iterations: usize,
    /// Values with gradients computed.
    pub evaluations: usize,
}

/// Sufficient decrease and curvature of the weak Wolfe conditions.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Relative rounding of a value: a rise no larger is none (Hager and Zhang 2005), so that near the minimum the gradient decides.
const ROUNDING: f64 = 4e-15;
/// Most points tried along a line.
const LINE_MAX: usize = 50;

/// Local minimum of `objective`, which fills the gradient and gives the value; where that is not finite the step is cut.
///
/// ```
/// use plimsoll_quant::minimise::{BfgsOptions, bfgs};
/// let rosenbrock = |x: &[f64], gradient: &mut [f64]| {
///     let (u, v) = (x[1] - x[0] * x[0], 1.0 - x[0]);
///     gradient[0] = -400.0 * x[0] * u - 2.0 * v;
///     gradient[1] = 200.0 * u;
///     100.0 * u * u + v * v
/// };
/// let found = bfgs(&[-1.2, 1.0], rosenbrock, &BfgsOptions { max_iter: 100, gtol: 1e-10 }).unwrap();
/// assert!((found.x[0] - 1.0).abs() < 1e-9 && (found.x[1] - 1.0).abs() < 1e-9);
/// ```
///
/// # Errors
/// [`StatsError::NotFinite`] when the value at the start is not finite.
pub fn bfgs(
    start: &[f64],
    objective: impl FnMut(&[f64], &mut [f64]) -> f64,
    options: &BfgsOptions,
) -> Result<BfgsMinimum, StatsError> {
    let mut search = Search { objective, evaluations: 0 };
    let mut here = search.at(start.to_vec());
    finite(0, here.value)?;
    let mut inverse = InverseHessian::new(start.len());
    let mut iterations = 0;
    while iterations < options.max_iter && !(largest(&here.gradient) <= options.gtol) {
        let direction = inverse.direction(&here.gradient);
        let Some(next) = search.along(&here, &direction, inverse.first_length(&direction)) else {
            if inverse.fresh {
                break;
            }
            // The curvature gathered so far may mislead: steepest descent once more before giving up.
            inverse = InverseHessian::new(start.len());
            continue;
        };
        inverse.learn(&here, &next);
        here = next;
        iterations += 1;
    }
    let gradient = largest(&here.gradient);
    Ok(BfgsMinimum { x: here.x, value: here.value, gradient, iterations, evaluations: search.evaluations })
}

/// Largest absolute value; NaN if there is one.
fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a: f64, g| if g.abs() <= a { a } else { g.abs() })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

/// A point with what is known there.
struct Point {
    x: Vec<f64>,
    value: f64,
    gradient: Vec<f64>,
}

struct Search<F> {
    objective: F,
    evaluations: usize,
}

impl<F: FnMut(&[f64], &mut [f64]) -> f64> Search<F> {
    fn at(&mut self, x: Vec<f64>) -> Point {
        let mut gradient = vec![0.0; x.len()];
        let value = (self.objective)(&x, &mut gradient);
        self.evaluations += 1;
        Point { x, value, gradient }
    }

    /// A point below `here` along `direction` that satisfies the weak Wolfe conditions; the lowest that decreases enough when
    /// the tries are used up.
    fn along(&mut self, here: &Point, direction: &[f64], first: f64) -> Option<Point> {
        let slope = dot(&here.gradient, direction);
        if !(slope < 0.0) {
            return None;
        }
        let slack = ROUNDING * here.value.abs();
        let (mut near, mut far, mut length) = (0.0, f64::INFINITY, first);
        let mut best: Option<Point> = None;
        for _ in 0..LINE_MAX {
            let x: Vec<f64> = here.x.iter().zip(direction).map(|(x, d)| x + length * d).collect();
            if x == here.x {
                break;
            }
            let there = self.at(x);
            let usable = there.gradient.iter().all(|g| g.is_finite());
            if !(usable && there.value <= here.value + DECREASE * length * slope + slack) {
                far = length;
            } else if dot(&there.gradient, direction) < CURVATURE * slope {
                near = length;
                best = Some(there);
            } else {
                return Some(there);
            }
            length = if far.is_finite() { 0.5 * (near + far) } else { 2.0 * near };
        }
        best.filter(|point| point.value < here.value)
    }
}

/// Approximation to the inverse of the Hessian, row-major.
struct InverseHessian {
    entries: Vec<f64>,
    /// Nothing learned yet: the identity.
    fresh: bool,
}

impl InverseHessian {
    fn new(n: usize) -> Self {
        Self { entries: (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect(), fresh: true }
    }

    fn times(&self, v: &[f64]) -> Vec<f64> {
        self.entries.chunks(v.len()).map(|row| dot(row, v)).collect()
    }

    fn direction(&self, gradient: &[f64]) -> Vec<f64> {
        self.times(gradient).into_iter().map(|d| -d).collect()
    }

    /// A whole step, but no longer than 1 where the scale is not yet known.
    fn first_length(&self, direction: &[f64]) -> f64 {
        let length = dot(direction, direction).sqrt();
        if self.fresh && length > 1.0 { 1.0 / length } else { 1.0 }
    }

    fn learn(&mut self, before: &Point, after: &Point) {
        let n = before.x.len();
        let step: Vec<f64> = after.x.iter().zip(&before.x).map(|(a, b)| a - b).collect();
        let turn: Vec<f64> = after.gradient.iter().zip(&before.gradient).map(|(a, b)| a - b).collect();
        let curvature = dot(&step, &turn);
        if !(curvature > 0.0) {
            return;
        }
        if self.fresh {
            let scale = curvature / dot(&turn, &turn);
            self.entries.iter_mut().for_each(|h| *h *= scale);
            self.fresh = false;
        }
        let moved = self.times(&turn);
        let weight = (1.0 + dot(&turn, &moved) / curvature) / curvature;
        for i in 0..n {
            for j in 0..n {
                let cross = (step[i] * moved[j] + moved[i] * step[j]) / curvature;
                self.entries[i * n + j] += weight * (step[i] * step[j]) - cross;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quadratic_bowl_of_bad_scale_is_found() {
        let bowl = |x: &[f64], g: &mut [f64]| {
            let scale = [1.0, 100.0, 1e4];
            let mut sum = 0.0;
            for i in 0..3 {
                g[i] = scale[i] * (x[i] - 1.0);
                sum += 0.5 * scale[i] * (x[i] - 1.0) * (x[i] - 1.0);
            }
            sum
        };
        let found = bfgs(&[-3.0, 4.0, 20.0], bowl, &BfgsOptions { max_iter: 200, gtol: 1e-10 }).unwrap();
        assert!(found.x.iter().all(|x| (x - 1.0).abs() < 1e-9), "{found:?}");
    }

    #[test]
    fn a_wall_of_nan_is_not_crossed() {
        let wall = |x: &[f64], g: &mut [f64]| {
            g[0] = 2.0 * (x[0] - 0.9);
            if x[0] > 1.0 { f64::NAN } else { (x[0] - 0.9) * (x[0] - 0.9) }
        };
        let found = bfgs(&[-5.0], wall, &BfgsOptions { max_iter: 100, gtol: 1e-12 }).unwrap();
        assert!((found.x[0] - 0.9).abs() < 1e-9, "{found:?}");
        assert!(bfgs(&[2.0], wall, &BfgsOptions { max_iter: 100, gtol: 1e-12 }).is_err());
    }
}
