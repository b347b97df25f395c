//! Bounded nonlinear least squares: Levenberg-Marquardt with projection on a box.
//!
//! The one idea: the number of parameters is a compile-time constant and the residual buffers are made once, so that
//! the inner loop of a small fit allocates nothing; a parameter at a bound whose gradient pushes outwards is held, the
//! damped normal equations of the others are solved, and the step is clipped to the box
//! (Kanzow, Yamashita and Fukushima 2004; damping after Nielsen 1999).

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]
#![allow(clippy::needless_range_loop, reason = "matrix algebra is written with its indices")]

/// Why a fit could not start.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum LsqError {
    /// A bound is NaN or the lower is above the upper.
    #[error("parameter {index}: bounds [{lower}, {upper}] are empty")]
    Bounds {
        /// Which parameter.
        index: usize,
        /// Lower bound.
        lower: f64,
        /// Upper bound.
        upper: f64,
    },
    /// A starting value is not finite.
    #[error("parameter {index} starts at {value}")]
    Start {
        /// Which parameter.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// There are no residuals.
    #[error("no residuals to fit")]
    NoResiduals,
    /// The cost at the start is not finite.
    #[error("the sum of squares at the start is {cost}")]
    StartCost {
        /// The cost.
        cost: f64,
    },
}

/// A box of parameters; infinite bounds are allowed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds<const N: usize> {
    /// Lower bounds.
    pub lower: [f64; N],
    /// Upper bounds.
    pub upper: [f64; N],
}

impl<const N: usize> Bounds<N> {
    /// No bounds at all.
    #[must_use]
    pub const fn unbounded() -> Self {
        Self { lower: [f64::NEG_INFINITY; N], upper: [f64::INFINITY; N] }
    }

    fn clip(&self, x: &[f64; N]) -> [f64; N] {
        std::array::from_fn(|i| x[i].max(self.lower[i]).min(self.upper[i]))
    }
}

/// When to stop.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LsqOptions {
    /// Most iterations (accepted or refused steps).
    pub max_iter: usize,
    /// Stop when an accepted step lowers the cost by less than this share of it.
    pub ftol: f64,
    /// Stop when a step is shorter than this share of the parameters (plus as much absolutely).
    pub xtol: f64,
    /// Stop when no free component of the gradient is larger.
    pub gtol: f64,
}

impl LsqOptions {
    /// `ftol` and `xtol` 1e-12, `gtol` 1e-15, 100 iterations.
    #[must_use]
    pub const fn tight() -> Self {
        Self { max_iter: 100, ftol: 1e-12, xtol: 1e-12, gtol: 1e-15 }
    }
}

/// Why the fit stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LsqStop {
    /// The projected gradient vanished.
    Gradient,
    /// The step became too short.
    Step,
    /// The cost stopped falling.
    Cost,
    /// The iterations were used up; the answer is the best point seen, not a minimum.
    MaxIterations,
}

/// The result of a fit.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LsqFit<const N: usize> {
    /// Best parameters, inside the bounds.
    pub x: [f64; N],
    /// Half the sum of squared residuals there.
    pub cost: f64,
    /// Iterations done.
    pub iterations: usize,
    /// Times the residuals were computed (finite differences included).
    pub evaluations: usize,
    /// Why it stopped.
    pub reason: LsqStop,
}

/// Fits with a Jacobian by forward differences; see [`fit_with_jacobian`].
///
/// `residuals(x, out)` fills `out` with the `rows` residuals at `x`. The difference step of parameter `i` is
/// `1.5e-8 max(|x_i|, 1e-3)`, taken inwards at an upper bound.
///
/// ```
/// use plimsoll_quant::lsq::{Bounds, LsqOptions, fit};
/// // Rosenbrock's valley: the minimum is at (1, 1).
/// let rosenbrock = |x: &[f64; 2], r: &mut [f64]| {
///     r[0] = 10.0 * (x[1] - x[0] * x[0]);
///     r[1] = 1.0 - x[0];
/// };
/// let found = fit([-1.2, 1.0], &Bounds::unbounded(), 2, rosenbrock, &LsqOptions::tight()).unwrap();
/// assert!((found.x[0] - 1.0).abs() < 1e-7 && (found.x[1] - 1.0).abs() < 1e-7);
/// ```
///
/// # Errors
/// [`LsqError`] when the start or the bounds are not usable.
pub fn fit<const N: usize>(
    start: [f64; N],
    bounds: &Bounds<N>,
    rows: usize,
    mut residuals: impl FnMut(&[f64; N], &mut [f64]),
    options: &LsqOptions,
) -> Result<LsqFit<N>, LsqError> {
    let mut moved = vec![0.0; rows];
    let mut calls = 0;
    let upper = bounds.upper;
    let model = |x: &[f64; N], out: &mut [f64], jacobian: Option<&mut [[f64; N]]>| {
        residuals(x, out);
        calls += 1;
        let Some(jacobian) = jacobian else { return };
        for i in 0..N {
            let step = 1.5e-8 * x[i].abs().max(1e-3);
            let mut at = *x;
            at[i] = if x[i] + step > upper[i] { x[i] - step } else { x[i] + step };
            residuals(&at, &mut moved);
            calls += 1;
            let inverse = 1.0 / (at[i] - x[i]);
            for ((row, &after), &before) in jacobian.iter_mut().zip(&moved).zip(&*out) {
                row[i] = (after - before) * inverse;
            }
        }
    };
    let mut found = fit_with_jacobian(start, bounds, rows, model, options)?;
    found.evaluations = calls;
    Ok(found)
}

/// Least squares inside a box with the caller's Jacobian.
///
/// `model(x, residuals, jacobian)` fills the residuals and, when asked, `jacobian[row][parameter]` at the same `x`.
/// A start outside the box is moved to its nearest point. A trial with a cost that is not finite is refused and the
/// damping raised, so the model may return NaN where it is not defined. The result depends only on the inputs.
///
/// # Errors
/// [`LsqError`] when the start or the bounds are not usable.
pub fn fit_with_jacobian<const N: usize>(
    start: [f64; N],
    bounds: &Bounds<N>,
    rows: usize,
    model: impl FnMut(&[f64; N], &mut [f64], Option<&mut [[f64; N]]>),
    options: &LsqOptions,
) -> Result<LsqFit<N>, LsqError> {
    if rows == 0 {
        return Err(LsqError::NoResiduals);
    }
    let mut dense = Dense { model, residuals: vec![0.0; rows], jacobian: vec![[0.0; N]; rows] };
    fit_sums(start, bounds, &mut dense, options)
}

/// A sum of squares that knows its own shape: rows that are zero, or that share work, need not be written out.
pub trait SumOfSquares<const N: usize> {
    /// Half the sum of squared residuals at `x`; not finite where the model is not defined.
    fn cost(&mut self, x: &[f64; N]) -> f64;

    /// The normal equations at `x`, which is that of the last call of [`SumOfSquares::cost`].
    fn normal(&mut self, x: &[f64; N]) -> Normal<N>;
}

/// Least squares inside a box of a model that adds up its own rows; otherwise as [`fit_with_jacobian`], and bit for bit the
/// same where the sums run in the order of the rows (a row of zeros may be left out).
///
/// # Errors
/// [`LsqError`] when the start or the bounds are not usable.
pub fn fit_sums<const N: usize>(
    start: [f64; N],
    bounds: &Bounds<N>,
    model: &mut impl SumOfSquares<N>,
    options: &LsqOptions,
) -> Result<LsqFit<N>, LsqError> {
    check(&start, bounds)?;
    let mut state = State { x: bounds.clip(&start), cost: 0.0, damping: 1e-3, growth: 2.0 };
    state.cost = model.cost(&state.x);
    if !state.cost.is_finite() {
        return Err(LsqError::StartCost { cost: state.cost });
    }
    let mut normal = model.normal(&state.x);
    let mut evaluations = 2;
    let mut reason = LsqStop::MaxIterations;
    let mut iterations = 0;
    while iterations < options.max_iter {
        let free = normal.free(&state.x, bounds);
        if normal.largest_free_gradient(&free) <= options.gtol {
            reason = LsqStop::Gradient;
            break;
        }
        iterations += 1;
        let Some(trial) = normal.step(&state, &free, bounds) else {
            state.refuse();
            continue;
        };
        if is_short(&trial, &state.x, options.xtol) {
            reason = LsqStop::Step;
            break;
        }
        evaluations += 1;
        let fall = state.cost - model.cost(&trial);
        if !(fall > 0.0) {
            state.refuse();
            continue;
        }
        let predicted = normal.predicted_fall(&state.x, &trial);
        let small = fall <= options.ftol * state.cost;
        state.accept(trial, fall, predicted);
        if small {
            reason = LsqStop::Cost;
            break;
        }
        normal = model.normal(&state.x);
        evaluations += 1;
    }
    Ok(LsqFit { x: state.x, cost: state.cost, iterations, evaluations, reason })
}

/// A model that writes out every row.
struct Dense<F, const N: usize> {
    model: F,
    residuals: Vec<f64>,
    jacobian: Vec<[f64; N]>,
}

impl<F, const N: usize> SumOfSquares<N> for Dense<F, N>
where
    F: FnMut(&[f64; N], &mut [f64], Option<&mut [[f64; N]]>),
{
    fn cost(&mut self, x: &[f64; N]) -> f64 {
        (self.model)(x, &mut self.residuals, None);
        half_square(&self.residuals)
    }

    fn normal(&mut self, x: &[f64; N]) -> Normal<N> {
        (self.model)(x, &mut self.residuals, Some(&mut self.jacobian));
        let mut normal = Normal::zero();
        for (row, &r) in self.jacobian.iter().zip(&self.residuals) {
            normal.add(row, r);
        }
        normal
    }
}

fn check<const N: usize>(start: &[f64; N], bounds: &Bounds<N>) -> Result<(), LsqError> {
    for (index, &value) in start.iter().enumerate() {
        let (lower, upper) = (bounds.lower[index], bounds.upper[index]);
        if !(lower <= upper) {
            return Err(LsqError::Bounds { index, lower, upper });
        }
        if !value.is_finite() {
            return Err(LsqError::Start { index, value });
        }
    }
    Ok(())
}

fn half_square(residuals: &[f64]) -> f64 {
    0.5 * residuals.iter().fold(0.0, |sum, r| sum + r * r)
}

fn is_short<const N: usize>(trial: &[f64; N], x: &[f64; N], xtol: f64) -> bool {
    (0..N).all(|i| (trial[i] - x[i]).abs() <= xtol * (x[i].abs() + xtol))
}

/// Where the search stands.
struct State<const N: usize> {
    x: [f64; N],
    cost: f64,
    damping: f64,
    growth: f64,
}

impl<const N: usize> State<N> {
    fn refuse(&mut self) {
        self.damping = (self.damping * self.growth).min(1e100);
        self.growth *= 2.0;
    }

    fn accept(&mut self, x: [f64; N], fall: f64, predicted: f64) {
        self.x = x;
        self.cost -= fall;
        let ratio = if predicted > 0.0 { (fall / predicted).min(1.0) } else { 0.5 };
        let centred = 2.0 * ratio - 1.0;
        self.damping = (self.damping * (1.0 - centred * centred * centred).max(1.0 / 3.0)).max(1e-15);
        self.growth = 2.0;
    }
}

/// Normal equations: `J'J` and the gradient `J'r`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Normal<const N: usize> {
    /// `J'J`; only the lower triangle, `square[i][j]` with `j <= i`, is read.
    pub square: [[f64; N]; N],
    /// `J'r`.
    pub gradient: [f64; N],
}

impl<const N: usize> Normal<N> {
    /// No rows.
    #[must_use]
    pub const fn zero() -> Self {
        Self { square: [[0.0; N]; N], gradient: [0.0; N] }
    }

    /// Adds a row of the Jacobian and its residual.
    #[inline]
    pub fn add(&mut self, row: &[f64; N], residual: f64) {
        for i in 0..N {
            self.gradient[i] += row[i] * residual;
            for j in 0..=i {
                self.square[i][j] += row[i] * row[j];
            }
        }
    }

    /// Parameters that are not held at a bound by the gradient.
    fn free(&self, x: &[f64; N], bounds: &Bounds<N>) -> [bool; N] {
        std::array::from_fn(|i| {
            let held_below = x[i] <= bounds.lower[i] && self.gradient[i] >= 0.0;
            let held_above = x[i] >= bounds.upper[i] && self.gradient[i] <= 0.0;
            !(held_below || held_above)
        })
    }

    fn largest_free_gradient(&self, free: &[bool; N]) -> f64 {
        (0..N).fold(0.0, |largest, i| if free[i] { self.gradient[i].abs().max(largest) } else { largest })
    }

    /// Clipped damped Gauss-Newton point, or `None` when the damped matrix is not positive definite.
    fn step(&self, state: &State<N>, free: &[bool; N], bounds: &Bounds<N>) -> Option<[f64; N]> {
        let mut matrix = self.square;
        let mut right = [0.0; N];
        for i in 0..N {
            if free[i] {
                right[i] = -self.gradient[i];
                matrix[i][i] += state.damping * self.square[i][i].max(f64::MIN_POSITIVE);
            }
            for j in 0..N {
                if !free[i] || !free[j] {
                    matrix[i][j] = if i == j { 1.0 } else { 0.0 };
                }
            }
        }
        let step = solve_positive(&mut matrix, right)?;
        let moved: [f64; N] = std::array::from_fn(|i| state.x[i] + step[i]);
        moved.iter().all(|v| v.is_finite()).then(|| bounds.clip(&moved))
    }

    /// Fall of the cost that the linear model promises for the step actually taken.
    fn predicted_fall(&self, x: &[f64; N], trial: &[f64; N]) -> f64 {
        let step: [f64; N] = std::array::from_fn(|i| trial[i] - x[i]);
        let mut fall = 0.0;
        for i in 0..N {
            let mut row = 0.5 * self.square[i][i] * step[i];
            for j in 0..i {
                row += self.square[i][j] * step[j];
            }
            fall -= step[i] * (self.gradient[i] + row);
        }
        fall
    }
}

/// Solves a symmetric positive definite system given by its lower triangle, by Cholesky in place.
pub(crate) fn solve_positive<const N: usize>(
    matrix: &mut [[f64; N]; N],
    mut right: [f64; N],
) -> Option<[f64; N]> {
    for i in 0..N {
        for j in 0..=i {
            let mut sum = matrix[i][j];
            for p in 0..j {
                sum -= matrix[i][p] * matrix[j][p];
            }
            if i == j {
                if !(sum > 0.0) {
                    return None;
                }
                matrix[i][i] = sum.sqrt();
            } else {
                matrix[i][j] = sum / matrix[j][j];
            }
        }
    }
    for i in 0..N {
        for p in 0..i {
            right[i] -= matrix[i][p] * right[p];
        }
        right[i] /= matrix[i][i];
    }
    for i in (0..N).rev() {
        for p in i + 1..N {
            right[i] -= matrix[p][i] * right[p];
        }
        right[i] /= matrix[i][i];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rosenbrock(x: &[f64; 2], r: &mut [f64]) {
        r[0] = 10.0 * (x[1] - x[0] * x[0]);
        r[1] = 1.0 - x[0];
    }

    #[test]
    fn the_valley_is_followed_to_its_end_with_and_without_a_jacobian() {
        let model = |x: &[f64; 2], r: &mut [f64], j: Option<&mut [[f64; 2]]>| {
            rosenbrock(x, r);
            if let Some(j) = j {
                j[0] = [-20.0 * x[0], 10.0];
                j[1] = [-1.0, 0.0];
            }
        };
        let options = LsqOptions::tight();
        let with = fit_with_jacobian([-1.2, 1.0], &Bounds::unbounded(), 2, model, &options).unwrap();
        let without = fit([-1.2, 1.0], &Bounds::unbounded(), 2, rosenbrock, &options).unwrap();
        assert!((with.x[0] - 1.0).abs() < 1e-10 && (with.x[1] - 1.0).abs() < 1e-10, "{with:?}");
        assert!((without.x[0] - 1.0).abs() < 1e-8, "{without:?}");
        assert!(with.iterations < 40, "{with:?}");
    }

    /// Rosenbrock's rows added up, a row of zeros between them left out.
    struct Valley;

    impl SumOfSquares<2> for Valley {
        fn cost(&mut self, x: &[f64; 2]) -> f64 {
            let mut r = [0.0; 2];
            rosenbrock(x, &mut r);
            half_square(&r)
        }

        fn normal(&mut self, x: &[f64; 2]) -> Normal<2> {
            let mut r = [0.0; 2];
            rosenbrock(x, &mut r);
            let mut normal = Normal::zero();
            normal.add(&[-20.0 * x[0], 10.0], r[0]);
            normal.add(&[-1.0, 0.0], r[1]);
            normal
        }
    }

    #[test]
    fn sums_without_the_rows_of_zeros_give_the_same_bits_as_all_rows() {
        let model = |x: &[f64; 2], r: &mut [f64], j: Option<&mut [[f64; 2]]>| {
            rosenbrock(x, r);
            (r[2], r[1]) = (r[1], 0.0);
            if let Some(j) = j {
                j.copy_from_slice(&[[-20.0 * x[0], 10.0], [0.0, 0.0], [-1.0, 0.0]]);
            }
        };
        let bounds = Bounds { lower: [-2.0, -2.0], upper: [0.9, 2.0] };
        for start in [[-1.2, 1.0], [0.0, -2.0], [0.5, 0.5]] {
            let rows = fit_with_jacobian(start, &bounds, 3, model, &LsqOptions::tight()).unwrap();
            let sums = fit_sums(start, &bounds, &mut Valley, &LsqOptions::tight()).unwrap();
            assert_eq!(rows, sums);
        }
    }

    #[test]
    fn a_bound_that_cuts_the_valley_holds_the_answer_on_it() {
        // With x0 <= 0.5 the least is on the bound: x1 = 0.25, cost (1 - 0.5)^2/2.
        let bounds = Bounds { lower: [-2.0, -2.0], upper: [0.5, 2.0] };
        let found = fit([-1.2, 1.0], &bounds, 2, rosenbrock, &LsqOptions::tight()).unwrap();
        assert_eq!(found.x[0], 0.5);
        assert!((found.x[1] - 0.25).abs() < 1e-7, "{found:?}");
        assert!((found.cost - 0.125).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_start_outside_the_box_is_moved_into_it() {
        let bounds = Bounds { lower: [0.0, 0.0], upper: [2.0, 2.0] };
        let found = fit([-5.0, 9.0], &bounds, 2, rosenbrock, &LsqOptions::tight()).unwrap();
        assert!((found.x[0] - 1.0).abs() < 1e-6 && (found.x[1] - 1.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_model_that_is_nan_beyond_a_wall_is_fitted_on_this_side() {
        let wall = |x: &[f64; 1], r: &mut [f64]| r[0] = if x[0] > 3.0 { f64::NAN } else { x[0] * x[0] - 4.0 };
        let found = fit([0.1], &Bounds::unbounded(), 1, wall, &LsqOptions::tight()).unwrap();
        assert!((found.x[0] - 2.0).abs() < 1e-7, "{found:?}");
    }

    #[test]
    fn unusable_input_is_a_typed_error() {
        let options = LsqOptions::tight();
        let empty = Bounds { lower: [1.0, 0.0], upper: [0.0, 1.0] };
        assert_eq!(
            fit([0.0, 0.0], &empty, 2, rosenbrock, &options),
            Err(LsqError::Bounds { index: 0, lower: 1.0, upper: 0.0 })
        );
        assert_eq!(
            fit([0.0, 0.0], &Bounds::unbounded(), 0, rosenbrock, &options),
            Err(LsqError::NoResiduals)
        );
        let nan = |_: &[f64; 2], r: &mut [f64]| r[0] = f64::NAN;
        assert!(matches!(
            fit([0.0, 0.0], &Bounds::unbounded(), 2, nan, &options),
            Err(LsqError::StartCost { .. })
        ));
        assert!(matches!(
            fit([f64::NAN, 0.0], &Bounds::unbounded(), 2, rosenbrock, &options),
            Err(LsqError::Start { index: 0, .. })
        ));
    }
}
