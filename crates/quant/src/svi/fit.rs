//! Quasi-explicit calibration of one slice (De Marco and Martini 2009, "Quasi-explicit calibration of Gatheral's
//! SVI model"): for fixed `(m, sigma)` the slice is linear in three numbers, so only two are searched.

use super::Svi;
use plimsoll_lanes::{Path, Simd, WithSimd};

/// Why quotes cannot be fitted.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum QuasiExplicitError {
    /// Fewer points than parameters.
    #[error("{points} points with positive weight, 5 are needed")]
    TooFewPoints {
        /// Points with positive weight.
        points: usize,
    },
    /// The three slices differ in length.
    #[error("{k} log-moneyness values, {w} variances, {weight} weights")]
    Lengths {
        /// Length of `k`.
        k: usize,
        /// Length of `w`.
        w: usize,
        /// Length of `weight`.
        weight: usize,
    },
    /// A value is not finite, a variance not positive or a weight negative.
    #[error("point {index} is not usable: k = {k}, w = {w}, weight = {weight}")]
    BadPoint {
        /// Position in the input.
        index: usize,
        /// Log-moneyness.
        k: f64,
        /// Total variance.
        w: f64,
        /// Weight.
        weight: f64,
    },
    /// All points have the same log-moneyness.
    #[error("all points are at k = {k}")]
    NoSpread {
        /// The common log-moneyness.
        k: f64,
    },
}

/// Steepest wing the fit may choose, kept inside Lee's bound of 2 so that the slice can pass the check.
const SLOPE_MAX: f64 = 1.999;
/// Largest `|rho|` the fit may choose.
const RHO_MAX: f64 = 0.999;
/// The least variance of the fit is at least this share of the least quoted variance.
const FLOOR_SHARE: f64 = 1e-4;
/// Steps of the simplex search after the coarse grid.
const SIMPLEX_STEPS: usize = 90;

/// Raw SVI slice nearest to points `(k, w)` in weighted least squares of total variance.
///
/// Inside, for fixed `(m, sigma)`, `w = a + d y + c sqrt(y^2 + 1)` with `y = (k-m)/sigma`, `c = b sigma`, `d = rho b sigma` is a
/// convex quadratic on the polygon `|d| <= 0.999 c`, `c + |d| <= 1.999 sigma` and is solved exactly; then `a` is raised
/// where the least variance would fall below `1e-4` of the least quoted one. Outside, `(m, sqrt(sigma))` is searched
/// on a grid and by a simplex. The answer meets Lee's bound and has positive variance; it may still have butterfly
/// arbitrage, which is for the caller to constrain. Points of zero weight are ignored.
///
/// ```
/// use plimsoll_quant::svi::{Svi, svi_quasi_explicit};
/// let truth = Svi { a: 0.01, b: 0.1, rho: -0.4, m: 0.05, sigma: 0.15 };
/// let k: Vec<f64> = (-10..=10).map(|i| f64::from(i) * 0.05).collect();
/// let w: Vec<f64> = k.iter().map(|&k| truth.w(k)).collect();
/// let fit = svi_quasi_explicit(&k, &w, &vec![1.0; k.len()]).unwrap();
/// assert!(k.iter().all(|&k| (fit.w(k) - truth.w(k)).abs() < 1e-5));
/// ```
///
/// # Errors
/// [`QuasiExplicitError`] when the input is not at least five finite points with spread.
pub fn svi_quasi_explicit(k: &[f64], w: &[f64], weight: &[f64]) -> Result<Svi, QuasiExplicitError> {
    let points = Points::new(k, w, weight)?;
    let mut columns = Columns::new(&points, Path::best());
    let start = points.coarse_grid(&mut columns);
    Ok(points.simplex(start, &mut columns).slice)
}

/// Checked input and its extent.
struct Points<'a> {
    k: &'a [f64],
    w: &'a [f64],
    weight: &'a [f64],
    k_min: f64,
    span: f64,
    w_floor: f64,
}

/// A slice with its weighted sum of squares, at outer coordinates `(m, t)`, `sigma = span t^2`.
#[derive(Clone, Copy)]
struct Trial {
    at: [f64; 2],
    slice: Svi,
    cost: f64,
}

impl<'a> Points<'a> {
    fn new(k: &'a [f64], w: &'a [f64], weight: &'a [f64]) -> Result<Self, QuasiExplicitError> {
        if k.len() != w.len() || k.len() != weight.len() {
            return Err(QuasiExplicitError::Lengths { k: k.len(), w: w.len(), weight: weight.len() });
        }
        let (mut k_min, mut k_max, mut w_min) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY);
        let mut points = 0;
        for (index, ((&k, &w), &weight)) in k.iter().zip(w).zip(weight).enumerate() {
            let usable = k.is_finite() && w.is_finite() && w > 0.0 && weight.is_finite() && weight >= 0.0;
            if !usable {
                return Err(QuasiExplicitError::BadPoint { index, k, w, weight });
            }
            if weight > 0.0 {
                points += 1;
                (k_min, k_max, w_min) = (k_min.min(k), k_max.max(k), w_min.min(w));
            }
        }
        if points < 5 {
            return Err(QuasiExplicitError::TooFewPoints { points });
        }
        let span = k_max - k_min;
        if !(span > 0.0) {
            return Err(QuasiExplicitError::NoSpread { k: k_min });
        }
        Ok(Self { k, w, weight, k_min, span, w_floor: FLOOR_SHARE * w_min })
    }

    /// Best of seven shifts and six widths.
    fn coarse_grid(&self, columns: &mut Columns) -> Trial {
        let mut best: Option<Trial> = None;
        for t in [0.14, 0.23, 0.36, 0.55, 0.8, 1.2] {
            for i in 0..7 {
                let m = self.k_min + self.span * (f64::from(i) / 6.0);
                let trial = self.trial([m, t], columns);
                if best.is_none_or(|b| trial.cost < b.cost) {
                    best = Some(trial);
                }
            }
        }
        best.unwrap_or_else(|| self.trial([self.k_min, 0.5], columns))
    }

    /// Nelder-Mead in `(m, t)` from the best of the grid.
    fn simplex(&self, start: Trial, columns: &mut Columns) -> Trial {
        let [m, t] = start.at;
        let mut trial = |at: [f64; 2]| self.trial(at, columns);
        let mut s = [start, trial([m + 0.08 * self.span, t]), trial([m, t * 1.2])];
        for _ in 0..SIMPLEX_STEPS {
            s.sort_by(|x, y| x.cost.total_cmp(&y.cost));
            let size = (s[2].at[0] - s[0].at[0]).abs() / self.span + (s[2].at[1] - s[0].at[1]).abs();
            if s[2].cost - s[0].cost <= 1e-10 * s[0].cost && size < 1e-5 {
                break;
            }
            let mut along = |u: f64| {
                let towards = |i: usize| {
                    let middle = 0.5 * (s[0].at[i] + s[1].at[i]);
                    middle + u * (s[2].at[i] - middle)
                };
                trial([towards(0), towards(1)])
            };
            let reflected = along(-1.0);
            let tried = if reflected.cost < s[0].cost {
                let expanded = along(-2.0);
                if expanded.cost < reflected.cost { expanded } else { reflected }
            } else if reflected.cost < s[1].cost {
                reflected
            } else {
                along(if reflected.cost < s[2].cost { -0.5 } else { 0.5 })
            };
            if tried.cost < s[2].cost {
                s[2] = tried;
            } else {
                let towards_best = |x: &Trial| [0.5 * (x.at[0] + s[0].at[0]), 0.5 * (x.at[1] + s[0].at[1])];
                s = [s[0], trial(towards_best(&s[1])), trial(towards_best(&s[2]))];
            }
        }
        s.sort_by(|x, y| x.cost.total_cmp(&y.cost));
        s[0]
    }

    /// Solves the inner problem at `(m, t)`, kept in the box the quotes can inform about.
    fn trial(&self, at: [f64; 2], columns: &mut Columns) -> Trial {
        let m = at[0].max(self.k_min - self.span).min(self.k_min + 2.0 * self.span);
        let t = at[1].clamp(0.01, 2.2);
        let sigma = self.span * t * t;
        let sums = columns.sums(m, sigma);
        let (d, c, quadratic) = sums.least_on_polygon(sigma);
        let level = sums.level(d, c);
        let least = level - c + ((c - d) * (c + d)).max(0.0).sqrt();
        let lift = (self.w_floor - least).max(0.0);
        let b = c / sigma;
        let rho = if c > 0.0 { d / c } else { 0.0 };
        let slice = Svi { a: level + lift - c, b, rho, m, sigma };
        Trial { at: [m, t], slice, cost: quadratic + sums.weight * lift * lift }
    }
}

/// The points as columns, in whole vectors of eight: what is padded has no weight and is not summed.
struct Columns {
    path: Path,
    points: usize,
    /// Log-moneyness, variance, weight.
    k: Vec<f64>,
    w: Vec<f64>,
    weight: Vec<f64>,
    /// Terms of the seven sums that depend on `(m, sigma)`.
    terms: [Vec<f64>; 7],
    /// Sums that do not: of the weights, and with the variance once and twice.
    one: f64,
    v: f64,
    vv: f64,
}

impl Columns {
    fn new(points: &Points, path: Path) -> Self {
        let padded = points.k.len().next_multiple_of(8);
        let column = |values: &[f64]| {
            let mut column = Vec::with_capacity(padded);
            column.extend_from_slice(values);
            column.resize(padded, 0.0);
            column
        };
        let (mut one, mut v, mut vv) = (0.0, 0.0, 0.0);
        for (&w, &weight) in points.w.iter().zip(points.weight) {
            one += weight;
            v += weight * w;
            vv += weight * w * w;
        }
        Self {
            path,
            points: points.k.len(),
            k: column(points.k),
            w: column(points.w),
            weight: column(points.weight),
            terms: std::array::from_fn(|_| vec![0.0; padded]),
            one,
            v,
            vv,
        }
    }

    fn sums(&mut self, m: f64, sigma: f64) -> Sums {
        self.path.run(Terms { columns: self, m, inverse: 1.0 / sigma });
        let n = self.points;
        let [y, h, yy, yh, hh, yv, hv] = &self.terms;
        let (y, h, yy, yh, hh, yv, hv) = (&y[..n], &h[..n], &yy[..n], &yh[..n], &hh[..n], &yv[..n], &hv[..n]);
        let mut s = Raw { one: self.one, v: self.v, vv: self.vv, ..Raw::default() };
        for i in 0..n {
            s.y += y[i];
            s.h += h[i];
            s.yy += yy[i];
            s.yh += yh[i];
            s.hh += hh[i];
            s.yv += yv[i];
            s.hv += hv[i];
        }
        Sums::from(s)
    }
}

/// Fills the terms of the sums at `(m, sigma)`.
struct Terms<'a> {
    columns: &'a mut Columns,
    m: f64,
    inverse: f64,
}

impl WithSimd for Terms<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { columns, m, inverse } = self;
        let n = columns.k.len();
        let (k, w, weight) = (&columns.k[..n], &columns.w[..n], &columns.weight[..n]);
        let [ty, th, tyy, tyh, thh, tyv, thv] = &mut columns.terms;
        let (ty, th, tyy, tyh) = (&mut ty[..n], &mut th[..n], &mut tyy[..n], &mut tyh[..n]);
        let (thh, tyv, thv) = (&mut thh[..n], &mut tyv[..n], &mut thv[..n]);
        for i in 0..n {
            let y = (k[i] - m) * inverse;
            let y2 = y * y;
            // sqrt(y^2 + 1) - 1 without cancellation for a wide smile.
            let h = y2 / (1.0 + (1.0 + y2).sqrt());
            let (wy, wh) = (weight[i] * y, weight[i] * h);
            ty[i] = wy;
            th[i] = wh;
            tyy[i] = wy * y;
            tyh[i] = wy * h;
            thh[i] = wh * h;
            tyv[i] = wy * w[i];
            thv[i] = wh * w[i];
        }
    }
}

/// Weighted sums of products of `1`, `y`, `h = sqrt(y^2 + 1) - 1` and the variance `v`.
#[derive(Default)]
struct Raw {
    one: f64,
    y: f64,
    h: f64,
    v: f64,
    yy: f64,
    yh: f64,
    hh: f64,
    yv: f64,
    hv: f64,
    vv: f64,
}

/// The same about their weighted means: the quadratic in `(d, c)` after the level has been eliminated.
struct Sums {
    weight: f64,
    mean: [f64; 3],
    yy: f64,
    yh: f64,
    hh: f64,
    yv: f64,
    hv: f64,
    vv: f64,
}

impl From<Raw> for Sums {
    fn from(s: Raw) -> Self {
        let mean = [s.y / s.one, s.h / s.one, s.v / s.one];
        Self {
            weight: s.one,
            mean,
            yy: s.yy - s.y * mean[0],
            yh: s.yh - s.y * mean[1],
            hh: s.hh - s.h * mean[1],
            yv: s.yv - s.y * mean[2],
            hv: s.hv - s.h * mean[2],
            vv: s.vv - s.v * mean[2],
        }
    }
}

impl Sums {
    /// Best value of `a + c` for given `(d, c)`.
    fn level(&self, d: f64, c: f64) -> f64 {
        self.mean[2] - d * self.mean[0] - c * self.mean[1]
    }

    fn cost(&self, d: f64, c: f64) -> f64 {
        let quadratic = d * (self.yy * d + 2.0 * self.yh * c) + c * self.hh * c;
        (quadratic - 2.0 * (self.yv * d + self.hv * c) + self.vv).max(0.0)
    }

    /// Least cost over `|d| <= RHO_MAX c`, `c + |d| <= SLOPE_MAX sigma`: `(d, c, cost)`.
    ///
    /// The cost is convex, so the least is the free one when that is inside, and on an edge otherwise.
    fn least_on_polygon(&self, sigma: f64) -> (f64, f64, f64) {
        let reach = SLOPE_MAX * sigma;
        let determinant = self.yy * self.hh - self.yh * self.yh;
        if determinant > 1e-13 * self.yy * self.hh {
            let d = (self.yv * self.hh - self.hv * self.yh) / determinant;
            let c = (self.hv * self.yy - self.yv * self.yh) / determinant;
            if d.abs() <= RHO_MAX * c && c + d.abs() <= reach {
                return (d, c, self.cost(d, c));
            }
        }
        let side = reach / (1.0 + RHO_MAX);
        let corners = [(0.0, 0.0), (RHO_MAX * side, side), (0.0, reach), (-RHO_MAX * side, side), (0.0, 0.0)];
        let mut best = (0.0, 0.0, f64::INFINITY);
        for ends in corners.windows(2) {
            let (d, c) = self.least_on_edge(ends[0], ends[1]);
            let cost = self.cost(d, c);
            if cost < best.2 {
                best = (d, c, cost);
            }
        }
        best
    }

    fn least_on_edge(&self, from: (f64, f64), to: (f64, f64)) -> (f64, f64) {
        let (u, v) = (to.0 - from.0, to.1 - from.1);
        let curvature = u * (self.yy * u + 2.0 * self.yh * v) + v * self.hh * v;
        let gradient = u * (self.yy * from.0 + self.yh * from.1 - self.yv)
            + v * (self.yh * from.0 + self.hh * from.1 - self.hv);
        let share = if curvature > 0.0 { (-gradient / curvature).clamp(0.0, 1.0) } else { 0.0 };
        (from.0 + share * u, from.1 + share * v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_in_vectors_are_bit_for_bit_those_of_one_point_after_another() {
        for count in [7_i32, 8, 13, 61] {
            let k: Vec<f64> = (0..count).map(|i| 0.03 * f64::from(i * 37 % count) - 0.4).collect();
            let w: Vec<f64> = k.iter().map(|k| 0.02 + 0.1 * (k * k + 0.01).sqrt()).collect();
            let weight: Vec<f64> = (0..count).map(|i| f64::from((i + 1) % 6) * 1e4).collect();
            let points = Points::new(&k, &w, &weight).unwrap();
            for path in Path::available() {
                let mut columns = Columns::new(&points, path);
                for (m, sigma) in [(0.0, 0.1), (-0.7, 1e-4), (2.0, 5.0)] {
                    let sums = columns.sums(m, sigma);
                    let mut s = Raw::default();
                    for ((&k, &w), &weight) in k.iter().zip(&w).zip(&weight) {
                        let y = (k - m) * (1.0 / sigma);
                        let h = y * y / (1.0 + (1.0 + y * y).sqrt());
                        let (wy, wh, wv) = (weight * y, weight * h, weight * w);
                        s.one += weight;
                        s.y += wy;
                        s.h += wh;
                        s.v += wv;
                        s.yy += wy * y;
                        s.yh += wy * h;
                        s.hh += wh * h;
                        s.yv += wy * w;
                        s.hv += wh * w;
                        s.vv += wv * w;
                    }
                    let bits = |s: &Sums| {
                        let [y, h, v] = s.mean;
                        [s.weight, y, h, v, s.yy, s.yh, s.hh, s.yv, s.hv, s.vv].map(f64::to_bits)
                    };
                    assert_eq!(bits(&sums), bits(&Sums::from(s)), "{count} {m} {sigma} {}", path.name());
                }
            }
        }
    }
}
