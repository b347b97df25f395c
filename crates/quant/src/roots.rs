//! Roots and minima of functions of one variable.
//!
//! The one idea: every search keeps a bracket, so that it cannot leave the interval it was given, and says in a
//! typed error when the interval holds no answer. Functions are called in an order fixed by their values, so equal
//! inputs give equal bits.

/// Why a search gave no answer.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum RootError {
    /// The function has the same sign at both ends.
    #[error("no sign change on [{lo}, {hi}]: f = {f_lo} and {f_hi}")]
    NotBracketed {
        /// Lower end.
        lo: f64,
        /// Upper end.
        hi: f64,
        /// Value at the lower end.
        f_lo: f64,
        /// Value at the upper end.
        f_hi: f64,
    },
    /// An argument, or the function's value at `x`, is not finite.
    #[error("not finite at x = {x}: {value}")]
    NotFinite {
        /// Where.
        x: f64,
        /// The value there.
        value: f64,
    },
    /// The tolerance was not reached.
    #[error("no convergence after {iterations} iterations: bracket [{lo}, {hi}]")]
    MaxIterations {
        /// Iterations done.
        iterations: usize,
        /// Lower end of the bracket reached.
        lo: f64,
        /// Upper end of the bracket reached.
        hi: f64,
    },
}

fn finite(x: f64, value: f64) -> Result<f64, RootError> {
    if value.is_finite() { Ok(value) } else { Err(RootError::NotFinite { x, value }) }
}

fn bracket(f: &mut impl FnMut(f64) -> f64, lo: f64, hi: f64) -> Result<(f64, f64), RootError> {
    finite(lo, lo)?;
    finite(hi, hi)?;
    let (f_lo, f_hi) = (finite(lo, f(lo))?, finite(hi, f(hi))?);
    if (f_lo > 0.0 && f_hi > 0.0) || (f_lo < 0.0 && f_hi < 0.0) {
        return Err(RootError::NotBracketed { lo, hi, f_lo, f_hi });
    }
    Ok((f_lo, f_hi))
}

/// Root of `f` in `[lo, hi]` by Brent's method (Brent 1973, "Algorithms for minimization without derivatives",
/// chapter 4): inverse quadratic interpolation or secant inside a bracket, bisection when they are slow.
///
/// The answer is within `xtol` plus four units in the last place of a sign change.
///
/// ```
/// use plimsoll_quant::roots::brent;
/// let root = brent(|x| x * x - 2.0, 0.0, 2.0, 1e-15, 100).unwrap();
/// assert!((root - 2f64.sqrt()).abs() < 1e-15);
/// ```
///
/// # Errors
/// [`RootError`] when the ends do not bracket a root, a value is not finite, or `max_iter` is used up.
pub fn brent(
    mut f: impl FnMut(f64) -> f64,
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> Result<f64, RootError> {
    let (f_lo, f_hi) = bracket(&mut f, lo, hi)?;
    let mut state = Brent::new((lo, f_lo), (hi, f_hi));
    for _ in 0..max_iter {
        let Some(x) = state.next_point(xtol) else {
            return Ok(state.best.0);
        };
        state.place((x, finite(x, f(x))?));
    }
    match state.next_point(xtol) {
        None => Ok(state.best.0),
        Some(_) => {
            let (lo, hi) = state.ends();
            Err(RootError::MaxIterations { iterations: max_iter, lo, hi })
        }
    }
}

/// Brent's root search for a caller that has already seen the sign change: the best point after at most
/// `max_iter` steps, without an error path.
pub(crate) fn brent_root_between(
    f: impl Fn(f64) -> f64,
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> f64 {
    let mut state = Brent::new((lo, f(lo)), (hi, f(hi)));
    for _ in 0..max_iter {
        let Some(x) = state.next_point(xtol) else { break };
        state.place((x, f(x)));
    }
    state.best.0
}

/// State of Brent's root search; pairs are `(x, f(x))`.
struct Brent {
    /// Least `|f|` so far.
    best: (f64, f64),
    /// Other end of the bracket.
    other: (f64, f64),
    /// Previous `best`.
    previous: (f64, f64),
    step: f64,
    step_before: f64,
}

impl Brent {
    fn new(lo: (f64, f64), hi: (f64, f64)) -> Self {
        let step = hi.0 - lo.0;
        let mut state = Self { best: hi, other: lo, previous: lo, step, step_before: step };
        state.order();
        state
    }

    fn order(&mut self) {
        if self.other.1.abs() < self.best.1.abs() {
            self.previous = self.best;
            self.best = self.other;
            self.other = self.previous;
        }
    }

    fn ends(&self) -> (f64, f64) {
        (self.best.0.min(self.other.0), self.best.0.max(self.other.0))
    }

    /// Next abscissa to try, or `None` when the bracket is within tolerance.
    fn next_point(&mut self, xtol: f64) -> Option<f64> {
        let tolerance = 2.0 * f64::EPSILON * self.best.0.abs() + 0.5 * xtol;
        let half = 0.5 * (self.other.0 - self.best.0);
        if half.abs() <= tolerance || self.best.1 == 0.0 {
            return None;
        }
        match self.interpolate(half, tolerance) {
            Some(step) => {
                self.step_before = self.step;
                self.step = step;
            }
            None => {
                self.step = half;
                self.step_before = half;
            }
        }
        let move_by = if self.step.abs() > tolerance { self.step } else { tolerance.copysign(half) };
        Some(self.best.0 + move_by)
    }

    /// Secant or inverse quadratic step, if it is inside the bracket and shrinking.
    fn interpolate(&self, half: f64, tolerance: f64) -> Option<f64> {
        if self.step_before.abs() < tolerance || self.previous.1.abs() <= self.best.1.abs() {
            return None;
        }
        let s = self.best.1 / self.previous.1;
        let (mut p, mut q) = if self.previous.0 == self.other.0 {
            (2.0 * half * s, 1.0 - s)
        } else {
            let q = self.previous.1 / self.other.1;
            let r = self.best.1 / self.other.1;
            (
                s * (2.0 * half * q * (q - r) - (self.best.0 - self.previous.0) * (r - 1.0)),
                (q - 1.0) * (r - 1.0) * (s - 1.0),
            )
        };
        if p > 0.0 {
            q = -q;
        } else {
            p = -p;
        }
        let inside = 2.0 * p < 3.0 * half * q - (tolerance * q).abs();
        (inside && p < (0.5 * self.step_before * q).abs()).then(|| p / q)
    }

    fn place(&mut self, new: (f64, f64)) {
        self.previous = self.best;
        self.best = new;
        if (new.1 > 0.0) == (self.other.1 > 0.0) {
            self.other = self.previous;
            self.step = self.best.0 - self.previous.0;
            self.step_before = self.step;
        }
        self.order();
    }
}

/// Root of `f` in `[lo, hi]` by halving, within `xtol` plus two units in the last place.
///
/// # Errors
/// [`RootError`] as for [`brent`].
pub fn bisection(
    mut f: impl FnMut(f64) -> f64,
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> Result<f64, RootError> {
    let (f_lo, f_hi) = bracket(&mut f, lo, hi)?;
    if f_lo == 0.0 {
        return Ok(lo);
    }
    if f_hi == 0.0 {
        return Ok(hi);
    }
    let (mut lo, mut hi) = (lo, hi);
    for _ in 0..max_iter {
        let mid = lo + 0.5 * (hi - lo);
        if (hi - lo).abs() <= xtol + 2.0 * f64::EPSILON * mid.abs() {
            return Ok(mid);
        }
        let value = finite(mid, f(mid))?;
        if value == 0.0 {
            return Ok(mid);
        }
        if (value > 0.0) == (f_lo > 0.0) {
            lo = mid;
        } else {
            hi = mid;
        }
    }
    Err(RootError::MaxIterations { iterations: max_iter, lo, hi })
}

/// Root of `f` in `[lo, hi]` by Newton's method kept inside the bracket; `f` returns value and derivative.
///
/// A step that would leave the bracket, or that does not halve the one before last, is replaced by a bisection.
///
/// # Errors
/// [`RootError`] as for [`brent`].
pub fn newton_bracketed(
    mut f: impl FnMut(f64) -> (f64, f64),
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> Result<f64, RootError> {
    let (f_lo, f_hi) = bracket(&mut |x| f(x).0, lo, hi)?;
    if f_lo == 0.0 {
        return Ok(lo);
    }
    if f_hi == 0.0 {
        return Ok(hi);
    }
    // Orient so that the function is negative at `below`.
    let (mut below, mut above) = if f_lo < 0.0 { (lo, hi) } else { (hi, lo) };
    let mut x = lo + 0.5 * (hi - lo);
    let (mut step, mut step_before) = ((hi - lo).abs(), (hi - lo).abs());
    for _ in 0..max_iter {
        let (value, slope) = f(x);
        finite(x, value)?;
        if value == 0.0 {
            return Ok(x);
        }
        if value < 0.0 {
            below = x;
        } else {
            above = x;
        }
        let newton = x - value / slope;
        let (lo, hi) = (below.min(above), below.max(above));
        let usable = newton > lo && newton < hi && (newton - x).abs() <= 0.5 * step_before;
        let next = if usable { newton } else { lo + 0.5 * (hi - lo) };
        step_before = step;
        step = (next - x).abs();
        if step <= xtol + 2.0 * f64::EPSILON * next.abs() {
            return Ok(next);
        }
        x = next;
    }
    Err(RootError::MaxIterations { iterations: max_iter, lo: below.min(above), hi: below.max(above) })
}

/// A minimum of a function of one variable.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Minimum {
    /// Where the function is least.
    pub x: f64,
    /// Its value there.
    pub value: f64,
}

/// Local minimum of `f` in `[lo, hi]` by Brent's method (golden section with parabolic steps; Brent 1973, chapter 5).
///
/// Global if `f` is unimodal on the interval. `xtol` is relative to `|x|` with the same absolute floor times the
/// width; below about `1.5e-8` a minimum cannot be located from values alone.
///
/// # Errors
/// [`RootError::NotFinite`] when an end or a value is not finite.
pub fn brent_minimum(
    mut f: impl FnMut(f64) -> f64,
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> Result<Minimum, RootError> {
    finite(lo, lo)?;
    finite(hi, hi)?;
    let mut bad = None;
    let (x, value) = brent_minimum_between(
        |x| {
            let value = f(x);
            if !value.is_finite() {
                bad = Some(RootError::NotFinite { x, value });
            }
            value
        },
        lo,
        hi,
        xtol,
        max_iter,
    );
    bad.map_or(Ok(Minimum { x, value }), Err)
}

/// `(3 - sqrt 5)/2`.
const GOLDEN: f64 = 0.381_966_011_250_105_15;

/// [`brent_minimum`] without an error path: the least value seen after at most `max_iter` steps, as `(x, f(x))`.
pub(crate) fn brent_minimum_between(
    mut f: impl FnMut(f64) -> f64,
    lo: f64,
    hi: f64,
    xtol: f64,
    max_iter: usize,
) -> (f64, f64) {
    let (mut lo, mut hi) = (lo, hi);
    let floor = xtol * (hi - lo).abs();
    let start = lo + GOLDEN * (hi - lo);
    let first = (start, f(start));
    // Best, second best and the point before that.
    let (mut x, mut w, mut v) = (first, first, first);
    let (mut step, mut step_before) = (0.0_f64, 0.0_f64);
    for _ in 0..max_iter {
        let middle = lo + 0.5 * (hi - lo);
        let tolerance = xtol * x.0.abs() * 1e-3 + floor;
        if (x.0 - middle).abs() <= 2.0 * tolerance - 0.5 * (hi - lo) {
            break;
        }
        match parabola(x, w, v).filter(|s| {
            s.abs() < 0.5 * step_before.abs()
                && x.0 + s > lo + tolerance
                && x.0 + s < hi - tolerance
                && step_before.abs() > tolerance
        }) {
            Some(s) => (step_before, step) = (step, s),
            None => {
                step_before = if x.0 >= middle { lo - x.0 } else { hi - x.0 };
                step = GOLDEN * step_before;
            }
        }
        let at = x.0 + if step.abs() >= tolerance { step } else { tolerance.copysign(step) };
        let new = (at, f(at));
        if new.1 <= x.1 {
            if new.0 >= x.0 {
                lo = x.0
            } else {
                hi = x.0
            }
            (v, w, x) = (w, x, new);
        } else {
            if new.0 < x.0 {
                lo = new.0
            } else {
                hi = new.0
            }
            if new.1 <= w.1 || w.0 == x.0 {
                (v, w) = (w, new);
            } else if new.1 <= v.1 || v.0 == x.0 || v.0 == w.0 {
                v = new;
            }
        }
    }
    x
}

/// Step from `x` to the vertex of the parabola through three points, if there is one.
fn parabola(x: (f64, f64), w: (f64, f64), v: (f64, f64)) -> Option<f64> {
    let r = (x.0 - w.0) * (x.1 - v.1);
    let q = (x.0 - v.0) * (x.1 - w.1);
    let p = (x.0 - v.0) * q - (x.0 - w.0) * r;
    let denominator = 2.0 * (q - r);
    let step = -p / denominator;
    (denominator != 0.0 && step.is_finite()).then_some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brent_finds_the_root_of_a_cubic_to_the_last_digits() {
        // x^3 - 2x - 5 = 0 (Wallis): 2.0945514815423265915 (mpmath).
        let root = brent(|x| x * x * x - 2.0 * x - 5.0, 2.0, 3.0, 0.0, 100).unwrap();
        assert!((root - 2.094_551_481_542_326_6).abs() <= 1e-15, "{root}");
    }

    #[test]
    fn brent_counts_few_evaluations_on_a_smooth_function() {
        let mut calls = 0;
        let f = |x: f64| {
            calls += 1;
            x * x * x - 2.0 * x - 5.0
        };
        brent(f, 2.0, 3.0, 1e-14, 100).unwrap();
        assert!(calls <= 12, "{calls}");
    }

    #[test]
    fn all_three_searches_agree_on_a_steep_function() {
        let f = |x: f64| x * x * x * x * x - 1e-3;
        let slope = |x: f64| 5.0 * x * x * x * x;
        let expected = 0.251_188_643_150_958; // 10^(-3/5)
        let one = brent(f, -1.0, 2.0, 1e-15, 200).unwrap();
        let two = bisection(f, -1.0, 2.0, 1e-15, 200).unwrap();
        let three = newton_bracketed(|x| (f(x), slope(x)), -1.0, 2.0, 1e-15, 200).unwrap();
        for root in [one, two, three] {
            assert!((root - expected).abs() < 2e-15, "{root}");
        }
    }

    #[test]
    fn an_interval_without_a_sign_change_is_an_error_with_its_numbers() {
        let error = brent(|x| x * x + 1.0, -1.0, 2.0, 1e-12, 50).unwrap_err();
        assert_eq!(error, RootError::NotBracketed { lo: -1.0, hi: 2.0, f_lo: 2.0, f_hi: 5.0 });
        assert!(bisection(|x| x * x + 1.0, -1.0, 2.0, 1e-12, 50).is_err());
        assert!(newton_bracketed(|x| (x * x + 1.0, 2.0 * x), -1.0, 2.0, 1e-12, 50).is_err());
    }

    #[test]
    fn a_value_that_is_not_finite_is_an_error() {
        let error = brent(|x| 1.0 / x, 0.0, 1.0, 1e-12, 50).unwrap_err();
        assert_eq!(error, RootError::NotFinite { x: 0.0, value: f64::INFINITY });
    }

    #[test]
    fn too_few_iterations_are_an_error_with_the_bracket_reached() {
        let error = bisection(|x| x - 0.3, 0.0, 1.0, 1e-12, 3).unwrap_err();
        assert_eq!(error, RootError::MaxIterations { iterations: 3, lo: 0.25, hi: 0.375 });
        assert!(matches!(
            brent(|x| x * x * x - 0.3, 0.0, 1.0, 1e-15, 2),
            Err(RootError::MaxIterations { iterations: 2, .. })
        ));
    }

    #[test]
    fn a_root_at_an_end_is_found() {
        assert_eq!(brent(|x| x, 0.0, 1.0, 1e-12, 50).unwrap(), 0.0);
        assert_eq!(bisection(|x| x - 1.0, 0.0, 1.0, 1e-12, 50).unwrap(), 1.0);
        assert_eq!(newton_bracketed(|x| (x, 1.0), 0.0, 1.0, 1e-12, 50).unwrap(), 0.0);
    }

    #[test]
    fn brent_minimum_finds_the_minimum_of_a_quartic() {
        // f = x^4 - 3 x^3 + 2, least at 9/4 with value 2 - 2187/256.
        let found = brent_minimum(|x| x * x * x * (x - 3.0) + 2.0, 1.0, 4.0, 1e-9, 100).unwrap();
        assert!((found.x - 2.25).abs() < 1e-7, "{found:?}");
        assert!((found.value - (2.0 - 2187.0 / 256.0)).abs() < 1e-13, "{found:?}");
    }

    #[test]
    fn brent_minimum_of_a_monotone_function_is_at_the_end() {
        let found = brent_minimum(|x| x, 1.0, 4.0, 1e-9, 100).unwrap();
        assert!(found.x - 1.0 < 1e-7, "{found:?}");
        assert!(brent_minimum(|x| 1.0 / (x - x), 1.0, 4.0, 1e-9, 100).is_err());
    }
}
