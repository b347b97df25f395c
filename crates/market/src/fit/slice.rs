//! The optimiser of one slice: raw SVI in coordinates where every bound but two is a box.
//!
//! Positive variance, Lee's bound and the wings of calendar order are boxes for Levenberg-Marquardt in the coordinates of
//! `shape`; Durrleman's `g >= 0` and calendar order between the wings are penalties on a grid that reaches a thousand
//! deviations (`rows`). What comes out is a proposal: `calibrate` decides with other code.

use super::quotes::Point;
use super::rows::{Rows, SLOPE_USUAL};
use super::shape::Coordinates;
use plimsoll_lanes::Path;
use plimsoll_quant::lsq::{Bounds, LsqOptions, fit, fit_sums};
use plimsoll_quant::ssvi::SsviSlice;
use plimsoll_quant::svi::Svi;

/// Steepest wing proposed, of total variance; Lee's bound is 2.
const SLOPE_MAX: f64 = 1.98;
/// Least slope of a wing, in deviations.
const SLOPE_MIN: f64 = 0.01;
/// Least width of the vertex, in deviations.
const SIGMA_MIN: f64 = 0.02;
/// How far out the vertex may lie, as a multiple of the farthest quote: a smile that only slopes has it outside.
const VERTEX_REACH: f64 = 2.0;
/// What a slice is fitted to and kept between.
pub(super) struct Task<'a> {
    /// Quotes, with the weight of each beside it.
    pub(super) points: &'a [Point<'a>],
    /// One per point.
    pub(super) weights: &'a [f64],
    /// Years to expiry.
    pub(super) tau: f64,
    /// Variance at the money that sets the scale.
    pub(super) scale: f64,
    /// The slice before: never below it.
    pub(super) floor: Option<&'a Svi>,
    /// The smiles after, fitted by themselves: beyond the quoted strikes, where this smile is a guess, not above any.
    pub(super) ceiling: &'a [Ceiling],
    /// Share of the full pull of the wings to their usual slope, 0 to 1: how little the quotes say of them.
    pub(super) pull: f64,
    /// Least `g` aimed at on the grid.
    pub(super) margin: f64,
    /// Weight of the penalties.
    pub(super) stiffness: f64,
}

/// A later smile as fitted by itself, and the log-moneyness its quotes span.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Ceiling {
    pub(super) svi: Svi,
    pub(super) quoted: (f64, f64),
}

impl Ceiling {
    pub(super) fn is_quoted(&self, k: f64) -> bool {
        self.quoted.0 <= k && k <= self.quoted.1
    }
}

impl Task<'_> {
    pub(super) fn s(&self) -> f64 {
        self.scale.sqrt()
    }

    /// The optimiser's coordinates of a raw slice.
    fn coordinates(&self, svi: &Svi) -> Coordinates {
        let s = self.s();
        let per = s / self.scale;
        [svi.min_w() / self.scale, svi.left_slope() * per, svi.right_slope() * per, svi.m / s, svi.sigma / s]
    }

    /// The raw slice at coordinates.
    fn svi(&self, p: &Coordinates) -> Svi {
        let [v, left, right, m, sigma] = *p;
        let s = self.s();
        let b = 0.5 * (left + right);
        Svi {
            a: self.scale * (v - sigma * (left * right).sqrt()),
            b: b * s,
            rho: 0.5 * (right - left) / b,
            m: m * s,
            sigma: sigma * s,
        }
    }

    fn bounds(&self) -> Bounds<5> {
        let s = self.s();
        let steepest = SLOPE_MAX / s;
        let floor = |slope: f64| (slope / s).clamp(SLOPE_MIN, steepest);
        let (left, right) = match self.floor {
            Some(near) => (floor(near.left_slope() * (1.0 + 1e-9)), floor(near.right_slope() * (1.0 + 1e-9))),
            None => (SLOPE_MIN, SLOPE_MIN),
        };
        let reach = self.points.iter().fold(1.0, |most: f64, p| most.max((p.k / s).abs()));
        Bounds {
            lower: [1e-4, left, right, -VERTEX_REACH * reach, SIGMA_MIN],
            upper: [20.0, steepest.max(left), steepest.max(right), VERTEX_REACH * reach, 4.0 * reach],
        }
    }

    /// Quoted strikes, in deviations.
    pub(super) fn quoted(&self) -> (f64, f64) {
        let s = self.s();
        let counted = self.points.iter().zip(self.weights).filter(|(_, w)| **w > 0.0);
        counted.fold((0.0, 0.0), |(lo, hi): (f64, f64), (p, _)| (lo.min(p.k / s), hi.max(p.k / s)))
    }

    /// A smile of usual shape at the level of the points.
    pub(super) fn usual(&self) -> Svi {
        self.svi(&[0.8, SLOPE_USUAL, SLOPE_USUAL, 0.0, 1.0])
    }

    /// The slice nearest to the points, from `start`, and its cost; `None` when the optimiser cannot begin.
    pub(super) fn solve(&self, start: &Svi, steps: usize) -> Option<(Svi, f64)> {
        let mut rows = Rows::new(self, Path::best());
        let options = LsqOptions { max_iter: steps, ftol: 1e-7, xtol: 1e-8, gtol: 1e-9 };
        let found = fit_sums(self.coordinates(start), &self.bounds(), &mut rows, &options).ok()?;
        Some((self.svi(&found.x), found.cost))
    }

    /// As [`Task::solve`] among SSVI slices: level, tilt and curvature only.
    pub(super) fn solve_ssvi(&self, start: &Svi, steps: usize) -> Option<Svi> {
        let s = self.s();
        let raw = |q: &[f64; 3]| SsviSlice { theta: q[0] * self.scale, rho: q[1], phi: q[2] / s }.raw();
        let mut rows = Rows::new(self, Path::best());
        let count = rows.len();
        let model = |q: &[f64; 3], out: &mut [f64]| rows.residuals(&self.coordinates(&raw(q)), out);
        let level = start.w(0.0) / self.scale;
        let steepest = 2.0 * SLOPE_MAX / s;
        let bounds = Bounds { lower: [1e-3, -0.99, 1e-3], upper: [20.0, 0.99, steepest / level.max(1e-3)] };
        let options = LsqOptions { max_iter: steps, ftol: 1e-7, xtol: 1e-8, gtol: 1e-9 };
        let found = fit([level, start.rho.clamp(-0.9, 0.9), 1.0], &bounds, count, model, &options).ok()?;
        Some(raw(&found.x))
    }
}
