//! The misfit of a slice and its slopes, added up row by row.
//!
//! **The one idea:** the optimiser needs sums only, so columns of quotes and of the grid are filled by vector kernels and
//! rows that are zero (penalties that do not bite) are never formed. The sums run in the order of the rows, which keeps
//! every bit: quotes, butterfly, floor, ceilings, pull.

use super::shape::{Coordinates, Shape, durrleman};
use super::slice::{Ceiling, Task};
use plimsoll_lanes::{Path, Simd, WithSimd};
use plimsoll_quant::lsq::{Normal, SumOfSquares};

/// Weight of a ceiling against that of the floor: where the later smile is quoted, and where it is a guess.
const CEILING: [f64; 2] = [0.1, 0.003];
/// Slope of a wing, in deviations, that quotes reaching far out are usually found to have; a wing whose quotes leave it
/// open is pulled there.
pub(super) const SLOPE_USUAL: f64 = 1.2;
/// Full pull: a wing off by 1 from the usual slope counts like this much volatility on every quote.
const SLOPE_PULL: f64 = 0.001;
/// Points of the fixed grid on either side.
const GRID: usize = 20;
/// First grid point, deviations, and the ratio between neighbours: `0.3 * 1.5^19` is 665.
const GRID_FIRST: f64 = 0.3;
const GRID_RATIO: f64 = 1.5;
/// Grid points that travel with the vertex, in units of its width.
const VERTEX: [f64; 9] = [-4.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 4.0];
/// Rows of the fixed grid.
const GRID_ROWS: usize = 2 * GRID + 1;
/// Points at which Durrleman's function is looked at.
const PLACES: usize = GRID_ROWS + VERTEX.len();
/// The same in whole vectors of eight.
const PLACES_PADDED: usize = PLACES.next_multiple_of(8);

/// What a slice must stay between, on the fixed grid, in units of the scale.
struct Walls {
    floor: [f64; GRID_ROWS],
    /// Later smiles where they are quoted, and where they are a guess themselves.
    ceiling: [[f64; GRID_ROWS]; 2],
}

impl Walls {
    fn new(task: &Task, xs: &[f64; GRID_ROWS]) -> Self {
        let s = task.s();
        let quoted = task.quoted();
        Self {
            floor: xs.map(|x| task.floor.map_or(0.0, |near| near.w(x * s) / task.scale)),
            ceiling: [true, false].map(|known| {
                xs.map(|x| {
                    let guessed = x < quoted.0 || x > quoted.1;
                    let bounding = |far: &&Ceiling| guessed && far.is_quoted(x * s) == known;
                    let later = task.ceiling.iter().filter(bounding);
                    later.map(|far| far.svi.w(x * s) / task.scale).fold(f64::INFINITY, f64::min)
                })
            }),
        }
    }
}

/// Columns of the quotes, padded to whole vectors with quotes of no weight.
struct Columns {
    quotes: usize,
    /// Log-moneyness in deviations, volatility aimed at, root of the weight.
    x: Vec<f64>,
    aim: Vec<f64>,
    root: Vec<f64>,
    /// `sqrt((x - m)^2 + sigma^2)`, volatility of the slice, residual.
    r: Vec<f64>,
    vol: Vec<f64>,
    residual: Vec<f64>,
    /// The Jacobian by parameter.
    slope: [Vec<f64>; 5],
}

impl Columns {
    fn new(task: &Task) -> Self {
        let quotes = task.points.len();
        let padded = quotes.next_multiple_of(8);
        let s = task.s();
        let column = |fill: &mut dyn Iterator<Item = f64>| {
            let mut column: Vec<f64> = Vec::with_capacity(padded);
            column.extend(fill);
            column.resize(padded, 0.0);
            column
        };
        Self {
            quotes,
            x: column(&mut task.points.iter().map(|p| p.k / s)),
            aim: column(&mut task.points.iter().map(|p| p.vol)),
            root: column(&mut task.weights.iter().map(|w| w.sqrt())),
            r: vec![0.0; padded],
            vol: vec![0.0; padded],
            residual: vec![0.0; padded],
            slope: std::array::from_fn(|_| vec![0.0; padded]),
        }
    }
}

/// A task's rows at one point of the search.
pub(super) struct Rows<'a> {
    task: &'a Task<'a>,
    path: Path,
    /// Nothing to keep above or below: the rows of the walls are zero.
    walls: Option<Walls>,
    columns: Columns,
    /// Where Durrleman's function is looked at: the fixed grid, then the points that travel, then padding.
    xs: [f64; PLACES_PADDED],
    lack: [f64; PLACES_PADDED],
    y: [f64; PLACES_PADDED],
    /// Weight of a breach: at stiffness 100 one of 1e-3 of the variance counts like one vol point on every quote.
    unit: f64,
    /// Weight of the pull of the wings to their usual slope.
    pull: f64,
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

/// Fills the residuals of the quotes.
struct Residuals<'a> {
    shape: Shape,
    columns: &'a mut Columns,
    scale: f64,
    tau: f64,
}

impl WithSimd for Residuals<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { shape, columns, scale, tau } = self;
        let n = columns.x.len();
        let (x, aim, root) = (&columns.x[..n], &columns.aim[..n], &columns.root[..n]);
        let (r, vol, residual) = (&mut columns.r[..n], &mut columns.vol[..n], &mut columns.residual[..n]);
        for i in 0..n {
            let d = x[i] - shape.m;
            r[i] = shape.root(d);
            vol[i] = (shape.variance(d, r[i]) * scale / tau).sqrt();
            residual[i] = root[i] * (vol[i] - aim[i]);
        }
    }
}

/// Fills the Jacobian of the quotes from what [`Residuals`] left.
struct Slopes<'a> {
    shape: Shape,
    columns: &'a mut Columns,
    scale: f64,
    tau: f64,
}

impl WithSimd for Slopes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Self { shape, columns, scale, tau } = self;
        let n = columns.x.len();
        let (x, root, r, vol) = (&columns.x[..n], &columns.root[..n], &columns.r[..n], &columns.vol[..n]);
        let [s0, s1, s2, s3, s4] = &mut columns.slope;
        let (s0, s1, s2) = (&mut s0[..n], &mut s1[..n], &mut s2[..n]);
        let (s3, s4) = (&mut s3[..n], &mut s4[..n]);
        for i in 0..n {
            let slope = root[i] * 0.5 * scale / (tau * vol[i]);
            let g = shape.gradient(x[i] - shape.m, r[i]);
            s0[i] = slope * g[0];
            s1[i] = slope * g[1];
            s2[i] = slope * g[2];
            s3[i] = slope * g[3];
            s4[i] = slope * g[4];
        }
    }
}

/// Fills what Durrleman's function lacks of the margin, and the variance, on the grid.
struct Lacks<'a> {
    shape: Shape,
    xs: &'a [f64; PLACES_PADDED],
    lack: &'a mut [f64; PLACES_PADDED],
    y: &'a mut [f64; PLACES_PADDED],
    margin: f64,
    scale: f64,
}

impl WithSimd for Lacks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        for i in 0..PLACES_PADDED {
            let at = self.shape.jet(self.xs[i]);
            self.y[i] = at.y;
            self.lack[i] = positive(self.margin - durrleman(at, self.xs[i], self.scale));
        }
    }
}

/// Adds the rows of the quotes to normal equations.
struct Products<'a> {
    columns: &'a Columns,
}

impl WithSimd for Products<'_> {
    type Output = Normal<5>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Normal<5> {
        let n = self.columns.quotes;
        let [s0, s1, s2, s3, s4] = &self.columns.slope;
        let (s0, s1, s2, s3, s4) = (&s0[..n], &s1[..n], &s2[..n], &s3[..n], &s4[..n]);
        let residual = &self.columns.residual[..n];
        // Products of a row with itself and its residual, eight to a vector; the last two lanes idle.
        let mut sums = [[0.0; 8]; 5];
        for i in 0..n {
            let row = [s0[i], s1[i], s2[i], s3[i], s4[i], residual[i], 0.0, 0.0];
            for (sum, left) in sums.iter_mut().zip(row) {
                for (cell, right) in sum.iter_mut().zip(row) {
                    *cell += left * right;
                }
            }
        }
        Normal { square: sums.map(|s| [s[0], s[1], s[2], s[3], s[4]]), gradient: sums.map(|s| s[5]) }
    }
}

#[inline(always)]
fn positive(x: f64) -> f64 {
    if x > 0.0 { x } else { 0.0 }
}

impl<'a> Rows<'a> {
    pub(super) fn new(task: &'a Task<'a>, path: Path) -> Self {
        let fixed = grid();
        let mut xs = [0.0; PLACES_PADDED];
        xs[..GRID_ROWS].copy_from_slice(&fixed);
        let total = task.weights.iter().sum::<f64>();
        let walled = task.floor.is_some() || !task.ceiling.is_empty();
        Self {
            path,
            walls: walled.then(|| Walls::new(task, &fixed)),
            columns: Columns::new(task),
            xs,
            lack: [0.0; PLACES_PADDED],
            y: [0.0; PLACES_PADDED],
            unit: (total * task.stiffness).sqrt(),
            pull: task.pull * SLOPE_PULL * total.sqrt(),
            task,
        }
    }

    fn shape(&self, p: &Coordinates) -> Shape {
        Shape::new(p)
    }

    /// Evaluates the columns at `p`.
    fn fill(&mut self, p: &Coordinates) {
        let shape = self.shape(p);
        let (scale, tau) = (self.task.scale, self.task.tau);
        self.path.run(Residuals { shape, columns: &mut self.columns, scale, tau });
        for (x, place) in self.xs[GRID_ROWS..PLACES].iter_mut().zip(VERTEX) {
            *x = p[3] + p[4] * place;
        }
        let (lack, y) = (&mut self.lack, &mut self.y);
        self.path.run(Lacks { shape, xs: &self.xs, lack, y, margin: self.task.margin, scale });
    }

    /// Weight of a lack of Durrleman's function.
    fn butterfly_unit(&self) -> f64 {
        0.1 * self.unit
    }

    /// Calls `take` with row (floor, near ceilings, guessed ceilings; one per place of the fixed grid), residual and slope to
    /// `y` of every breach, relative to the variance there, as in volatility.
    fn breaches(&self, take: &mut impl FnMut(usize, f64, f64)) {
        let Some(walls) = &self.walls else { return };
        for (i, (&floor, &y)) in walls.floor.iter().zip(&self.y).enumerate() {
            let low = positive(floor * (1.0 + 1e-7) - y);
            if low > 0.0 {
                let unit = self.unit / y;
                take(i, unit * low, -unit * (1.0 + low / y));
            }
        }
        for (n, (ceiling, weight)) in walls.ceiling.iter().zip(CEILING).enumerate() {
            let first = (n + 1) * GRID_ROWS;
            for (i, (&ceiling, &y)) in ceiling.iter().zip(&self.y).enumerate() {
                let high = positive(y - ceiling);
                if high > 0.0 {
                    let unit = self.unit / y;
                    take(first + i, weight * unit * high, weight * unit * (1.0 - high / y));
                }
            }
        }
    }

    /// Residuals of the pull of the left and the right wing.
    fn pulls(&self, p: &Coordinates) -> [f64; 2] {
        [1, 2].map(|n| self.pull * (p[n] - SLOPE_USUAL))
    }

    /// How many residuals [`Rows::residuals`] fills.
    pub(super) fn len(&self) -> usize {
        self.columns.quotes + PLACES + 3 * GRID_ROWS + 2
    }

    /// Every residual at `p`, those that are zero too.
    pub(super) fn residuals(&mut self, p: &Coordinates, out: &mut [f64]) {
        self.fill(p);
        let quotes = self.columns.quotes;
        out.fill(0.0);
        for (slot, &residual) in out.iter_mut().zip(&self.columns.residual[..quotes]) {
            *slot = residual;
        }
        let unit = self.butterfly_unit();
        for (slot, &lack) in out[quotes..].iter_mut().zip(&self.lack[..PLACES]) {
            *slot = unit * lack;
        }
        let walls = &mut out[quotes + PLACES..];
        self.breaches(&mut |row, residual, _| walls[row] = residual);
        walls[3 * GRID_ROWS..].copy_from_slice(&self.pulls(p));
    }

    /// Adds the rows of Durrleman's function where it lacks something, by forward differences.
    fn add_butterfly(&self, p: &Coordinates, normal: &mut Normal<5>) {
        let unit = self.butterfly_unit();
        for (i, &here) in self.lack[..PLACES].iter().enumerate().filter(|(_, lack)| **lack > 0.0) {
            let mut row = [0.0; 5];
            for n in 0..5 {
                let step = 1e-7 * p[n].abs().max(1e-2);
                let mut moved = *p;
                moved[n] += step;
                row[n] = unit * (self.lack_at(&moved, i) - here) / step;
            }
            normal.add(&row, unit * here);
        }
    }

    /// What Durrleman's function lacks at one place of the grid.
    fn lack_at(&self, p: &Coordinates, i: usize) -> f64 {
        let x = match VERTEX.get(i.wrapping_sub(GRID_ROWS)) {
            Some(place) => p[3] + p[4] * place,
            None => self.xs[i],
        };
        positive(self.task.margin - durrleman(self.shape(p).jet(x), x, self.task.scale))
    }
}

impl SumOfSquares<5> for Rows<'_> {
    fn cost(&mut self, p: &Coordinates) -> f64 {
        self.fill(p);
        let mut sum = self.columns.residual[..self.columns.quotes].iter().fold(0.0, |sum, r| sum + r * r);
        let unit = self.butterfly_unit();
        for lack in self.lack[..PLACES].iter().filter(|lack| **lack > 0.0) {
            let r = unit * lack;
            sum += r * r;
        }
        self.breaches(&mut |_, r, _| sum += r * r);
        for r in self.pulls(p) {
            sum += r * r;
        }
        0.5 * sum
    }

    fn normal(&mut self, p: &Coordinates) -> Normal<5> {
        let shape = self.shape(p);
        let (scale, tau) = (self.task.scale, self.task.tau);
        self.path.run(Slopes { shape, columns: &mut self.columns, scale, tau });
        let mut normal = self.path.run(Products { columns: &self.columns });
        self.add_butterfly(p, &mut normal);
        self.breaches(&mut |row, residual, per_y| {
            let d = self.xs[row % GRID_ROWS] - shape.m;
            let row = shape.gradient(d, shape.root(d)).map(|g| per_y * g);
            normal.add(&row, residual);
        });
        for (n, residual) in [1, 2].into_iter().zip(self.pulls(p)) {
            let mut row = [0.0; 5];
            row[n] = self.pull;
            normal.add(&row, residual);
        }
        normal
    }
}
