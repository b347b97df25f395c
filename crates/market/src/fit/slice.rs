//! The optimiser of one slice: raw SVI in coordinates where every bound but two is a box.
//!
//! With `s^2` the variance at the money, `x = k/s` and `y = w/s^2`, a slice is
//! `y = v - sigma sqrt(L R) + (R - L)/2 d + (L + R)/2 sqrt(d^2 + sigma^2)`, `d = x - m`, where `v >= 0` is its least
//! variance and `L, R >= 0` are the slopes of its wings. Positive variance, Lee's bound and the wings of calendar order
//! are then boxes for Levenberg-Marquardt; Durrleman's `g >= 0` and calendar order between the wings are penalties on a
//! grid that reaches a thousand deviations. What comes out is a proposal: `calibrate` decides with other code.

use super::quotes::Point;
use plimsoll_quant::lsq::{Bounds, LsqOptions, fit, fit_with_jacobian};
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
/// Weight of a ceiling against that of the floor: where the later smile is quoted, and where it is a guess.
const CEILING: [f64; 2] = [0.1, 0.003];
/// Slope of a wing, in deviations, that quotes reaching far out are usually found to have; a wing whose quotes leave it
/// open is pulled there.
const SLOPE_USUAL: f64 = 1.2;
/// Full pull: a wing off by 1 from the usual slope counts like this much volatility on every quote.
const SLOPE_PULL: f64 = 0.001;
/// Points of the fixed grid on either side.
const GRID: usize = 20;
/// First grid point, deviations, and the ratio between neighbours: `0.3 * 1.5^19` is 665.
const GRID_FIRST: f64 = 0.3;
const GRID_RATIO: f64 = 1.5;
/// Grid points that travel with the vertex, in units of its width.
const VERTEX: [f64; 9] = [-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0];
/// Rows of the penalties: butterfly, floor, ceiling.
const GRID_ROWS: usize = 2 * GRID + 1;
const WALL_ROWS: usize = 3 * GRID_ROWS + 2;
const BUTTERFLY_ROWS: usize = GRID_ROWS + VERTEX.len();

/// What a slice is fitted to and kept between.
pub(super) struct Task<'a> {
    /// Quotes, with the weight of each beside it.
    pub(super) points: &'a [Point],
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
    fn is_quoted(&self, k: f64) -> bool {
        self.quoted.0 <= k && k <= self.quoted.1
    }
}

/// Value, first and second derivative of `y`.
#[derive(Clone, Copy)]
struct Jet {
    y: f64,
    y1: f64,
    y2: f64,
}

/// The slice in the coordinates of the optimiser: least variance, left and right slope, vertex, width.
type Coordinates = [f64; 5];

fn jet(p: &Coordinates, x: f64) -> Jet {
    let [v, left, right, m, sigma] = *p;
    let d = x - m;
    let r2 = d * d + sigma * sigma;
    let r = r2.sqrt();
    let (tilt, b) = (0.5 * (right - left), 0.5 * (left + right));
    Jet {
        y: v - sigma * (left * right).sqrt() + tilt * d + b * r,
        y1: tilt + b * d / r,
        y2: b * sigma * sigma / (r2 * r),
    }
}

fn gradient(p: &Coordinates, x: f64) -> Coordinates {
    let [_, left, right, m, sigma] = *p;
    let d = x - m;
    let r = (d * d + sigma * sigma).sqrt();
    let (tilt, b) = (0.5 * (right - left), 0.5 * (left + right));
    [
        1.0,
        0.5 * (r - d - sigma * (right / left).sqrt()),
        0.5 * (r + d - sigma * (left / right).sqrt()),
        -tilt - b * d / r,
        b * sigma / r - (left * right).sqrt(),
    ]
}

/// Durrleman's function in these coordinates; `scale` is `s^2`.
fn durrleman(at: Jet, x: f64, scale: f64) -> f64 {
    let q = 1.0 - 0.5 * x * at.y1 / at.y;
    q * q - 0.25 * at.y1 * at.y1 * (1.0 / at.y + 0.25 * scale) + 0.5 * at.y2
}

/// `x` of the fixed grid.
fn grid() -> [f64; GRID_ROWS] {
    let mut xs = [0.0; GRID_ROWS];
    let mut x = GRID_FIRST;
    for i in 1..=GRID {
        xs[GRID + i] = x;
        xs[GRID - i] = -x;
        x *= GRID_RATIO;
    }
    xs
}

impl Task<'_> {
    fn s(&self) -> f64 {
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
    fn quoted(&self) -> (f64, f64) {
        let s = self.s();
        let counted = self.points.iter().zip(self.weights).filter(|(_, w)| **w > 0.0);
        counted.fold((0.0, 0.0), |(lo, hi): (f64, f64), (p, _)| (lo.min(p.k / s), hi.max(p.k / s)))
    }

    fn walls(&self) -> Walls {
        let xs = grid();
        let s = self.s();
        let quoted = self.quoted();
        let total = self.weights.iter().sum::<f64>();
        Walls {
            floor: xs.map(|x| self.floor.map_or(0.0, |near| near.w(x * s) / self.scale)),
            ceiling: [true, false].map(|known| {
                xs.map(|x| {
                    let guessed = x < quoted.0 || x > quoted.1;
                    let later = self.ceiling.iter().filter(|far| guessed && far.is_quoted(x * s) == known);
                    later.map(|far| far.svi.w(x * s) / self.scale).fold(f64::INFINITY, f64::min)
                })
            }),
            xs,
            // At stiffness 100 a breach of 1e-3 of the variance counts like one vol point on every quote.
            unit: (total * self.stiffness).sqrt(),
            pull: self.pull * SLOPE_PULL * total.sqrt(),
        }
    }

    /// A smile of usual shape at the level of the points.
    pub(super) fn usual(&self) -> Svi {
        self.svi(&[0.8, SLOPE_USUAL, SLOPE_USUAL, 0.0, 1.0])
    }

    /// The slice nearest to the points, from `start`, and its cost; `None` when the optimiser cannot begin.
    pub(super) fn solve(&self, start: &Svi, steps: usize) -> Option<(Svi, f64)> {
        let walls = self.walls();
        let rows = self.points.len() + BUTTERFLY_ROWS + WALL_ROWS;
        let model = |p: &Coordinates, out: &mut [f64], jacobian: Option<&mut [[f64; 5]]>| {
            self.rows(p, &walls, out, jacobian);
        };
        let options = LsqOptions { max_iter: steps, ftol: 1e-7, xtol: 1e-8, gtol: 1e-9 };
        let found = fit_with_jacobian(self.coordinates(start), &self.bounds(), rows, model, &options).ok()?;
        Some((self.svi(&found.x), found.cost))
    }

    /// As [`Task::solve`] among SSVI slices: level, tilt and curvature only.
    pub(super) fn solve_ssvi(&self, start: &Svi, steps: usize) -> Option<Svi> {
        let walls = self.walls();
        let s = self.s();
        let raw = |q: &[f64; 3]| SsviSlice { theta: q[0] * self.scale, rho: q[1], phi: q[2] / s }.raw();
        let rows = self.points.len() + BUTTERFLY_ROWS + WALL_ROWS;
        let model = |q: &[f64; 3], out: &mut [f64]| {
            self.rows(&self.coordinates(&raw(q)), &walls, out, None);
        };
        let level = start.w(0.0) / self.scale;
        let steepest = 2.0 * SLOPE_MAX / s;
        let bounds = Bounds { lower: [1e-3, -0.99, 1e-3], upper: [20.0, 0.99, steepest / level.max(1e-3)] };
        let options = LsqOptions { max_iter: steps, ftol: 1e-7, xtol: 1e-8, gtol: 1e-9 };
        let found = fit([level, start.rho.clamp(-0.9, 0.9), 1.0], &bounds, rows, model, &options).ok()?;
        Some(raw(&found.x))
    }

    /// Fills residuals, and the Jacobian when asked.
    fn rows(&self, p: &Coordinates, walls: &Walls, out: &mut [f64], mut jacobian: Option<&mut [[f64; 5]]>) {
        let quotes = self.points.len();
        for (i, (point, &weight)) in self.points.iter().zip(self.weights).enumerate() {
            let x = point.k / self.s();
            let vol = (jet(p, x).y * self.scale / self.tau).sqrt();
            let root = weight.sqrt();
            out[i] = root * (vol - point.vol);
            if let Some(j) = jacobian.as_deref_mut() {
                let slope = root * 0.5 * self.scale / (self.tau * vol);
                j[i] = gradient(p, x).map(|g| slope * g);
            }
        }
        let from = quotes + BUTTERFLY_ROWS;
        self.walls_between(p, walls, &mut out[from..], jacobian.as_deref_mut().map(|j| &mut j[from..]));
        self.butterfly(p, walls, &mut out[quotes..from], jacobian.map(|j| &mut j[quotes..from]));
    }

    /// Breaches of floor and ceilings relative to the variance there, as in volatility, and the pull of the wings.
    fn walls_between(
        &self,
        p: &Coordinates,
        walls: &Walls,
        out: &mut [f64],
        mut jacobian: Option<&mut [[f64; 5]]>,
    ) {
        for (i, &x) in walls.xs.iter().enumerate() {
            let y = jet(p, x).y;
            let unit = walls.unit / y;
            let low = (walls.floor[i] * (1.0 + 1e-7) - y).max(0.0);
            let high = [0, 1].map(|n| (y - walls.ceiling[n][i]).max(0.0));
            let rows = [0, 1, 2].map(|n| n * GRID_ROWS + i);
            let breaches = [unit * low, CEILING[0] * unit * high[0], CEILING[1] * unit * high[1]];
            for (row, breach) in rows.into_iter().zip(breaches) {
                out[row] = breach;
            }
            if let Some(j) = jacobian.as_deref_mut() {
                let slope = gradient(p, x);
                let down = if low > 0.0 { -unit * (1.0 + low / y) } else { 0.0 };
                j[rows[0]] = slope.map(|g| down * g);
                for n in [0, 1] {
                    let up = if high[n] > 0.0 { CEILING[n] * unit * (1.0 - high[n] / y) } else { 0.0 };
                    j[rows[n + 1]] = slope.map(|g| up * g);
                }
            }
        }
        for n in [1, 2] {
            let row = 3 * GRID_ROWS + n - 1;
            out[row] = walls.pull * (p[n] - SLOPE_USUAL);
            if let Some(j) = jacobian.as_deref_mut() {
                j[row] = [0.0; 5];
                j[row][n] = walls.pull;
            }
        }
    }

    fn butterfly(
        &self,
        p: &Coordinates,
        walls: &Walls,
        out: &mut [f64],
        mut jacobian: Option<&mut [[f64; 5]]>,
    ) {
        let unit = 0.1 * walls.unit;
        let place = |p: &Coordinates, i: usize| match walls.xs.get(i) {
            Some(&x) => x,
            None => p[3] + p[4] * VERTEX[i - GRID_ROWS],
        };
        let lack = |p: &Coordinates, i: usize| {
            let x = place(p, i);
            (self.margin - durrleman(jet(p, x), x, self.scale)).max(0.0)
        };
        for (i, slot) in out.iter_mut().enumerate() {
            let here = lack(p, i);
            *slot = unit * here;
            let Some(j) = jacobian.as_deref_mut() else { continue };
            j[i] = [0.0; 5];
            if here > 0.0 {
                for n in 0..5 {
                    let step = 1e-7 * p[n].abs().max(1e-2);
                    let mut moved = *p;
                    moved[n] += step;
                    j[i][n] = unit * (lack(&moved, i) - here) / step;
                }
            }
        }
    }
}

/// What a slice must stay between, on the fixed grid, in units of the scale.
struct Walls {
    xs: [f64; GRID_ROWS],
    floor: [f64; GRID_ROWS],
    /// Later smiles where they are quoted, and where they are a guess themselves.
    ceiling: [[f64; GRID_ROWS]; 2],
    /// Weight of the pull of the wings to their usual slope.
    pull: f64,
    unit: f64,
}
