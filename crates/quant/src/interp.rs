//! Interpolation of tabulated functions.
//!
//! The one idea: a table is checked once (finite, strictly increasing), and what happens outside it is an argument that
//! every caller writes down.

/// Why a table cannot be interpolated.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum InterpError {
    /// Too few points.
    #[error("{points} points, at least {needed} are needed")]
    TooFewPoints {
        /// Points given.
        points: usize,
        /// Points needed.
        needed: usize,
    },
    /// Abscissae and ordinates differ in number.
    #[error("{xs} abscissae but {ys} ordinates")]
    Lengths {
        /// Number of abscissae.
        xs: usize,
        /// Number of ordinates.
        ys: usize,
    },
    /// A number is not finite.
    #[error("point {index} is not finite: ({x}, {y})")]
    NotFinite {
        /// Position.
        index: usize,
        /// Abscissa.
        x: f64,
        /// Ordinate.
        y: f64,
    },
    /// The abscissae do not increase strictly.
    #[error("abscissa {index} is {after}, not above {before}")]
    NotIncreasing {
        /// Position of the later one.
        index: usize,
        /// The earlier one.
        before: f64,
        /// The later one.
        after: f64,
    },
    /// The argument is outside the table (or NaN) and extrapolation is refused.
    #[error("{x} is outside [{lo}, {hi}]")]
    OutOfRange {
        /// The argument.
        x: f64,
        /// First abscissa.
        lo: f64,
        /// Last abscissa.
        hi: f64,
    },
}

/// What to do outside the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extrapolation {
    /// An error.
    Refuse,
    /// The nearest end's value.
    Flat,
    /// A straight line with the slope at the nearest end (one point: flat).
    Linear,
}

fn check_table(xs: &[f64], ys: &[f64], needed: usize) -> Result<(), InterpError> {
    if xs.len() != ys.len() {
        return Err(InterpError::Lengths { xs: xs.len(), ys: ys.len() });
    }
    if xs.len() < needed {
        return Err(InterpError::TooFewPoints { points: xs.len(), needed });
    }
    for (index, (&x, &y)) in xs.iter().zip(ys).enumerate() {
        if !(x.is_finite() && y.is_finite()) {
            return Err(InterpError::NotFinite { index, x, y });
        }
    }
    for (index, pair) in xs.windows(2).enumerate() {
        if pair[1] <= pair[0] {
            return Err(InterpError::NotIncreasing { index: index + 1, before: pair[0], after: pair[1] });
        }
    }
    Ok(())
}

/// Where an argument lies in a checked table.
enum Place {
    /// Before the first abscissa.
    Before,
    /// In the interval that starts at this index.
    Inside(usize),
    /// After the last abscissa.
    After,
}

fn place(xs: &[f64], x: f64, outside: Extrapolation) -> Result<Place, InterpError> {
    let (lo, hi) = (xs[0], xs[xs.len() - 1]);
    let is_outside = !(x >= lo && x <= hi);
    if x.is_nan() || (is_outside && outside == Extrapolation::Refuse) {
        return Err(InterpError::OutOfRange { x, lo, hi });
    }
    if x < lo {
        return Ok(Place::Before);
    }
    if x > hi {
        return Ok(Place::After);
    }
    let after = xs.partition_point(|&knot| knot <= x);
    Ok(Place::Inside(after.saturating_sub(1).min(xs.len().saturating_sub(2))))
}

/// Piecewise linear value at `x`.
///
/// ```
/// use plimsoll_quant::interp::{Extrapolation, linear};
/// let y = linear(&[1.0, 3.0], &[10.0, 20.0], 1.5, Extrapolation::Refuse).unwrap();
/// assert_eq!(y, 12.5);
/// ```
///
/// # Errors
/// [`InterpError`] for an unusable table, or an argument outside it when `outside` refuses.
pub fn linear(xs: &[f64], ys: &[f64], x: f64, outside: Extrapolation) -> Result<f64, InterpError> {
    check_table(xs, ys, 1)?;
    let last = xs.len() - 1;
    let interval = match place(xs, x, outside)? {
        Place::Before if outside == Extrapolation::Flat || last == 0 => return Ok(ys[0]),
        Place::After if outside == Extrapolation::Flat || last == 0 => return Ok(ys[last]),
        Place::Inside(_) if last == 0 => return Ok(ys[0]),
        Place::Before => 0,
        Place::After => last - 1,
        Place::Inside(i) => i,
    };
    Ok(between((xs[interval], ys[interval]), (xs[interval + 1], ys[interval + 1]), x))
}

/// Straight line through two points; exact at both.
fn between(p: (f64, f64), q: (f64, f64), x: f64) -> f64 {
    let share = (x - p.0) / (q.0 - p.0);
    if share == 1.0 { q.1 } else { p.1 + share * (q.1 - p.1) }
}

/// A piecewise cubic with continuous slope.
#[derive(Clone, PartialEq, Debug)]
pub struct Cubic {
    xs: Vec<f64>,
    ys: Vec<f64>,
    slopes: Vec<f64>,
}

impl Cubic {
    /// Monotone cubic: no interval overshoots its ends (Fritsch and Carlson 1980; interior slopes the weighted
    /// harmonic mean of Fritsch and Butland 1984, three-point formula at the ends, known as PCHIP).
    ///
    /// # Errors
    /// [`InterpError`] for an unusable table or fewer than two points.
    pub fn monotone(xs: &[f64], ys: &[f64]) -> Result<Self, InterpError> {
        check_table(xs, ys, 2)?;
        let slopes = pchip_slopes(&widths(xs), &secants(xs, ys));
        Ok(Self { xs: xs.to_vec(), ys: ys.to_vec(), slopes })
    }

    /// Natural cubic spline: continuous second derivative, zero at both ends.
    ///
    /// # Errors
    /// [`InterpError`] for an unusable table or fewer than two points.
    pub fn natural(xs: &[f64], ys: &[f64]) -> Result<Self, InterpError> {
        check_table(xs, ys, 2)?;
        let slopes = natural_slopes(&widths(xs), &secants(xs, ys));
        Ok(Self { xs: xs.to_vec(), ys: ys.to_vec(), slopes })
    }

    /// Value at `x`.
    ///
    /// # Errors
    /// [`InterpError::OutOfRange`] outside the table when `outside` refuses, and for NaN.
    pub fn value(&self, x: f64, outside: Extrapolation) -> Result<f64, InterpError> {
        let last = self.xs.len() - 1;
        let end = |i: usize| match outside {
            Extrapolation::Linear => self.ys[i] + self.slopes[i] * (x - self.xs[i]),
            Extrapolation::Refuse | Extrapolation::Flat => self.ys[i],
        };
        Ok(match place(&self.xs, x, outside)? {
            Place::Before => end(0),
            Place::After => end(last),
            Place::Inside(i) => self.hermite(i, x),
        })
    }

    fn hermite(&self, i: usize, x: f64) -> f64 {
        let h = self.xs[i + 1] - self.xs[i];
        let s = (x - self.xs[i]) / h;
        let r = 1.0 - s;
        let rise = (1.0 + 2.0 * s) * r * r * self.ys[i] + s * s * (3.0 - 2.0 * s) * self.ys[i + 1];
        rise + h * s * r * (r * self.slopes[i] - s * self.slopes[i + 1])
    }
}

fn widths(xs: &[f64]) -> Vec<f64> {
    xs.windows(2).map(|p| p[1] - p[0]).collect()
}

fn secants(xs: &[f64], ys: &[f64]) -> Vec<f64> {
    xs.windows(2).zip(ys.windows(2)).map(|(x, y)| (y[1] - y[0]) / (x[1] - x[0])).collect()
}

fn pchip_slopes(h: &[f64], s: &[f64]) -> Vec<f64> {
    let n = s.len();
    if n == 1 {
        return vec![s[0]; 2];
    }
    let mut slopes = vec![0.0; n + 1];
    for i in 1..n {
        if s[i - 1] * s[i] > 0.0 {
            let (before, after) = (2.0 * h[i] + h[i - 1], h[i] + 2.0 * h[i - 1]);
            slopes[i] = (before + after) / (before / s[i - 1] + after / s[i]);
        }
    }
    slopes[0] = pchip_end(h[0], h[1], s[0], s[1]);
    slopes[n] = pchip_end(h[n - 1], h[n - 2], s[n - 1], s[n - 2]);
    slopes
}

/// Three-point slope at an end, cut back where it would break monotonicity.
fn pchip_end(h0: f64, h1: f64, s0: f64, s1: f64) -> f64 {
    let slope = ((2.0 * h0 + h1) * s0 - h0 * s1) / (h0 + h1);
    if slope * s0 <= 0.0 {
        0.0
    } else if s0 * s1 <= 0.0 && slope.abs() > 3.0 * s0.abs() {
        3.0 * s0
    } else {
        slope
    }
}

/// Slopes of the natural spline by the tridiagonal (Thomas) recursion.
fn natural_slopes(h: &[f64], s: &[f64]) -> Vec<f64> {
    let n = s.len();
    // Row i: lower[i] m[i-1] + diagonal[i] m[i] + upper[i] m[i+1] = right[i].
    let mut upper = vec![0.0; n + 1];
    let mut right = vec![0.0; n + 1];
    upper[0] = 0.5;
    right[0] = 1.5 * s[0];
    for i in 1..n {
        let (lower, above) = (1.0 / h[i - 1], 1.0 / h[i]);
        let pivot = 2.0 * (lower + above) - lower * upper[i - 1];
        upper[i] = above / pivot;
        right[i] = (3.0 * (s[i - 1] * lower + s[i] * above) - lower * right[i - 1]) / pivot;
    }
    let mut slopes = vec![0.0; n + 1];
    slopes[n] = (3.0 * s[n - 1] - right[n - 1]) / (2.0 - upper[n - 1]);
    for i in (0..n).rev() {
        slopes[i] = right[i] - upper[i] * slopes[i + 1];
    }
    slopes
}

/// What to do before the first and after the last expiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeExtrapolation {
    /// An error.
    Refuse,
    /// The nearest expiry's volatility: total variance proportional to time.
    FlatVol,
}

/// Total variance at `tau` years, linear in time at fixed log-moneyness between expiries.
///
/// `taus` are years, `> 0` and increasing; `ws` are total variances at one `k`.
///
/// # Errors
/// [`InterpError`] for an unusable table, and outside it when `outside` refuses or `tau` is negative.
pub fn total_variance_in_time(
    taus: &[f64],
    ws: &[f64],
    tau: f64,
    outside: TimeExtrapolation,
) -> Result<f64, InterpError> {
    check_table(taus, ws, 1)?;
    let last = taus.len() - 1;
    let (lo, hi) = (taus[0], taus[last]);
    let inside = tau >= lo && tau <= hi;
    if inside {
        return linear(taus, ws, tau, Extrapolation::Refuse);
    }
    if outside == TimeExtrapolation::Refuse || !(tau >= 0.0 && tau.is_finite() && lo > 0.0) {
        return Err(InterpError::OutOfRange { x: tau, lo, hi });
    }
    let nearest = if tau < lo { 0 } else { last };
    Ok(ws[nearest] * (tau / taus[nearest]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const XS: [f64; 6] = [0.0, 1.0, 2.5, 3.0, 4.0, 7.0];
    const YS: [f64; 6] = [0.0, 2.0, 2.5, 2.5, 5.0, 4.0];

    #[test]
    fn linear_is_exact_at_the_knots_and_straight_between() {
        for (&x, &y) in XS.iter().zip(&YS) {
            assert_eq!(linear(&XS, &YS, x, Extrapolation::Refuse).unwrap(), y);
        }
        assert_eq!(linear(&XS, &YS, 5.5, Extrapolation::Refuse).unwrap(), 4.5);
        assert_eq!(linear(&XS, &YS, 9.0, Extrapolation::Flat).unwrap(), 4.0);
        assert!((linear(&XS, &YS, 10.0, Extrapolation::Linear).unwrap() - 3.0).abs() < 1e-15);
        assert_eq!(linear(&[2.0], &[5.0], 3.0, Extrapolation::Linear).unwrap(), 5.0);
        assert_eq!(linear(&[2.0], &[5.0], 2.0, Extrapolation::Refuse).unwrap(), 5.0);
    }

    #[test]
    fn monotone_cubic_agrees_with_scipy() {
        // scipy.interpolate.PchipInterpolator(XS, YS).
        let cubic = Cubic::monotone(&XS, &YS).unwrap();
        for (x, expected) in PCHIP {
            let value = cubic.value(x, Extrapolation::Refuse).unwrap();
            assert!((value - expected).abs() < 1e-14, "{x}: {value} {expected}");
        }
    }

    #[test]
    fn natural_cubic_agrees_with_scipy() {
        // scipy.interpolate.CubicSpline(XS, YS, bc_type="natural").
        let cubic = Cubic::natural(&XS, &YS).unwrap();
        for (x, expected) in NATURAL {
            let value = cubic.value(x, Extrapolation::Refuse).unwrap();
            assert!((value - expected).abs() < 1e-14, "{x}: {value} {expected}");
        }
    }

    #[test]
    fn monotone_cubic_never_leaves_the_interval_of_its_knots() {
        let cubic = Cubic::monotone(&XS, &YS).unwrap();
        for i in 0..=700 {
            let x = f64::from(i) / 100.0;
            let j = XS.partition_point(|&k| k <= x).clamp(1, 5);
            let y = cubic.value(x, Extrapolation::Refuse).unwrap();
            let (lo, hi) = (YS[j - 1].min(YS[j]), YS[j - 1].max(YS[j]));
            assert!(y >= lo - 1e-15 && y <= hi + 1e-15, "{x} {y}");
        }
    }

    #[test]
    fn unusable_tables_are_typed_errors() {
        let refuse = Extrapolation::Refuse;
        assert_eq!(linear(&[], &[], 0.0, refuse), Err(InterpError::TooFewPoints { points: 0, needed: 1 }));
        assert_eq!(
            linear(&[1.0, 1.0], &[0.0, 0.0], 1.0, refuse),
            Err(InterpError::NotIncreasing { index: 1, before: 1.0, after: 1.0 })
        );
        assert_eq!(linear(&[1.0], &[], 1.0, refuse), Err(InterpError::Lengths { xs: 1, ys: 0 }));
        assert!(matches!(
            Cubic::natural(&[0.0, f64::NAN], &[0.0, 0.0]),
            Err(InterpError::NotFinite { index: 1, .. })
        ));
        assert_eq!(linear(&XS, &YS, 8.0, refuse), Err(InterpError::OutOfRange { x: 8.0, lo: 0.0, hi: 7.0 }));
        assert!(linear(&XS, &YS, f64::NAN, Extrapolation::Flat).is_err());
    }

    #[test]
    fn total_variance_is_linear_in_time_and_keeps_the_vol_beyond_the_ends() {
        let (taus, ws) = ([0.25, 1.0], [0.04, 0.09]);
        let at = |tau| total_variance_in_time(&taus, &ws, tau, TimeExtrapolation::FlatVol).unwrap();
        assert!((at(0.5) - (0.04 + 0.05 / 3.0)).abs() < 1e-16);
        assert!((at(0.125) - 0.02).abs() < 1e-16);
        assert!((at(2.0) - 0.18).abs() < 1e-16);
        assert_eq!(at(0.0), 0.0);
        assert!(total_variance_in_time(&taus, &ws, 0.1, TimeExtrapolation::Refuse).is_err());
        assert!(total_variance_in_time(&taus, &ws, -0.1, TimeExtrapolation::FlatVol).is_err());
    }

    const PCHIP: [(f64, f64); 6] = [
        (0.3, 0.7861999999999999),
        (1.7, 2.3445037037037038),
        (2.75, 2.5),
        (3.4, 3.3799999999999994),
        (5.0, 4.962962962962963),
        (6.9, 4.096703703703703),
    ];
    const NATURAL: [(f64, f64); 6] = [
        (0.3, 0.6832024482109228),
        (1.7, 2.5732275929413406),
        (2.75, 2.4143028091650973),
        (3.4, 3.273815442561205),
        (5.0, 6.267768710329916),
        (6.9, 4.177272407058661),
    ];
}
