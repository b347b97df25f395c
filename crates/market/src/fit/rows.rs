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
    /// The slice before, and a ten-millionth of it.
    floor: [f64; GRID_ROWS],
    /// Later smiles where they are quoted, and where they are a guess themselves.
    ceiling: [[f64; GRID_ROWS]; 2],
}

impl Walls {
    fn new(task: &Task, xs: &[f64; GRID_ROWS]) -> Self {
        let s = task.s();
        let quoted = task.quoted();
        Self {
            floor: xs.map(|x| task.floor.map_or(0.0, |near| near.w(x * s) / task.scale) * (1.0 + 1e-7)),
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

/// Fills what Durrleman's function lacks of the margin, and the variance, at places of one length.
struct Lacks<'a> {
    shape: Shape,
    xs: &'a [f64],
    lack: &'a mut [f64],
    y: &'a mut [f64],
    margin: f64,
    scale: f64,
}

impl WithSimd for Lacks<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let n = self.xs.len();
        let (xs, lack, y) = (&self.xs[..n], &mut self.lack[..n], &mut self.y[..n]);
        for i in 0..n {
            let at = self.shape.jet(xs[i]);
            y[i] = at.y;
            lack[i] = positive(self.margin - durrleman(at, xs[i], self.scale));
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

    /// Evaluates the columns at `p`.
    fn fill(&mut self, p: &Coordinates) {
        let shape = Shape::new(p);
        let (scale, tau) = (self.task.scale, self.task.tau);
        self.path.run(Residuals { shape, columns: &mut self.columns, scale, tau });
        for i in GRID_ROWS..PLACES {
            self.xs[i] = self.place(p, i);
        }
        let (lack, y) = (&mut self.lack, &mut self.y);
        let margin = self.task.margin;
        self.path.run(Lacks { shape, xs: &self.xs, lack: &mut lack[..], y: &mut y[..], margin, scale });
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
            let low = positive(floor - y);
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

    /// Adds the rows of Durrleman's function where it lacks something, by forward differences: every such place at once
    /// for each coordinate moved.
    fn add_butterfly(&self, p: &Coordinates, normal: &mut Normal<5>) {
        let mut places = [0; PLACES_PADDED];
        let mut count = 0;
        for (i, _) in self.lack[..PLACES].iter().enumerate().filter(|(_, lack)| **lack > 0.0) {
            places[count] = i;
            count += 1;
        }
        if count == 0 {
            return;
        }
        let padded = count.next_multiple_of(8);
        let (margin, scale) = (self.task.margin, self.task.scale);
        let steps = p.map(|c| 1e-7 * c.abs().max(1e-2));
        let lacks: [[f64; PLACES_PADDED]; 5] = std::array::from_fn(|n| {
            let mut moved = *p;
            moved[n] += steps[n];
            let [mut xs, mut lack, mut y] = [[0.0; PLACES_PADDED]; 3];
            for (x, &i) in xs[..padded].iter_mut().zip(&places) {
                *x = self.place(&moved, i);
            }
            let (xs, y, filled) = (&xs[..padded], &mut y[..padded], &mut lack[..padded]);
            self.path.run(Lacks { shape: Shape::new(&moved), xs, lack: filled, y, margin, scale });
            lack
        });
        let unit = self.butterfly_unit();
        for (at, &i) in places[..count].iter().enumerate() {
            let here = self.lack[i];
            let row = std::array::from_fn(|n| unit * (lacks[n][at] - here) / steps[n]);
            normal.add(&row, unit * here);
        }
    }

    /// Where Durrleman's function is looked at, for the slice at `p`.
    fn place(&self, p: &Coordinates, i: usize) -> f64 {
        match VERTEX.get(i.wrapping_sub(GRID_ROWS)) {
            Some(place) => p[3] + p[4] * place,
            None => self.xs[i],
        }
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
        let shape = Shape::new(p);
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

#[cfg(test)]
mod tests {
    use super::super::quotes::Point;
    use super::*;
    use plimsoll_quant::svi::Svi;

    /// Every row written out one by one, zeros too: residual and slopes.
    fn dense(task: &Task, p: &Coordinates) -> Vec<(f64, Coordinates)> {
        let shape = Shape::new(p);
        let s = task.s();
        let mut rows = Vec::new();
        for (point, &weight) in task.points.iter().zip(task.weights) {
            let x = point.k / s;
            let d = x - shape.m;
            let vol = (shape.jet(x).y * task.scale / task.tau).sqrt();
            let root = weight.sqrt();
            let slope = root * 0.5 * task.scale / (task.tau * vol);
            rows.push((root * (vol - point.vol), shape.gradient(d, shape.root(d)).map(|g| slope * g)));
        }
        let total = task.weights.iter().sum::<f64>();
        let unit = (total * task.stiffness).sqrt();
        let xs = grid();
        for i in 0..PLACES {
            let lack = |p: &Coordinates| {
                let x = if i < GRID_ROWS { xs[i] } else { p[3] + p[4] * VERTEX[i - GRID_ROWS] };
                (task.margin - durrleman(Shape::new(p).jet(x), x, task.scale)).max(0.0)
            };
            let here = lack(p);
            let slope = |n: usize| {
                let step = 1e-7 * p[n].abs().max(1e-2);
                let mut moved = *p;
                moved[n] += step;
                if here > 0.0 { 0.1 * unit * (lack(&moved) - here) / step } else { 0.0 }
            };
            rows.push((0.1 * unit * here, [0, 1, 2, 3, 4].map(slope)));
        }
        let quoted = task.quoted();
        let later = |x: f64, known: bool| {
            let guessed = x < quoted.0 || x > quoted.1;
            let counted = task.ceiling.iter().filter(|far| guessed && far.is_quoted(x * s) == known);
            counted.map(|far| far.svi.w(x * s) / task.scale).fold(f64::INFINITY, f64::min)
        };
        for wall in 0..3 {
            for x in xs {
                let y = shape.jet(x).y;
                let d = x - shape.m;
                let per = unit / y;
                let (residual, slope) = if wall == 0 {
                    let floor = task.floor.map_or(0.0, |near| near.w(x * s) / task.scale);
                    let low = (floor * (1.0 + 1e-7) - y).max(0.0);
                    (per * low, if low > 0.0 { -per * (1.0 + low / y) } else { 0.0 })
                } else {
                    let high = (y - later(x, wall == 1)).max(0.0);
                    let weight = CEILING[wall - 1];
                    let slope = if high > 0.0 { weight * per * (1.0 - high / y) } else { 0.0 };
                    (weight * per * high, slope)
                };
                rows.push((residual, shape.gradient(d, shape.root(d)).map(|g| slope * g)));
            }
        }
        let pull = task.pull * SLOPE_PULL * total.sqrt();
        for n in [1, 2] {
            let mut row = [0.0; 5];
            row[n] = pull;
            rows.push((pull * (p[n] - SLOPE_USUAL), row));
        }
        rows
    }

    fn points(count: usize, tau: f64) -> Vec<Point<'static>> {
        let point = |i: usize| {
            let k = 0.9 * ((i * 7919 % 1000) as f64 / 1000.0 - 0.5);
            let vol = 0.5 + 0.4 * k * k - 0.1 * k + 0.02 * ((i * 104_729 % 17) as f64 / 17.0 - 0.5);
            Point {
                instrument: None,
                strike: f64::NAN,
                k: k * tau.sqrt(),
                bid_vol: None,
                ask_vol: None,
                mark_vol: None,
                vol,
                error: 0.005 + 0.001 * (i % 5) as f64,
                two_sided: true,
                outlier: i % 13 == 5,
            }
        };
        (0..count).map(point).collect()
    }

    /// Slices of every kind: usual, with a density that is negative, narrow, steep, far off.
    const PLACES_TRIED: [Coordinates; 6] = [
        [0.8, 1.2, 1.2, 0.0, 1.0],
        [0.05, 2.5, 1.9, 0.8, 0.02],
        [1e-4, 0.01, 3.0, -1.5, 0.3],
        [3.0, 1.0, 0.01, 4.0, 2.5],
        [20.0, 5.0, 5.0, 0.0, 8.0],
        [0.6, 0.4, 0.7, -0.3, 0.1],
    ];

    fn bits(cost: f64, normal: &Normal<5>) -> Vec<u64> {
        let lower = (0..5).flat_map(|i| normal.square[i][..=i].to_vec());
        lower.chain(normal.gradient).chain([cost]).map(f64::to_bits).collect()
    }

    #[test]
    fn sums_in_vectors_are_bit_for_bit_those_of_every_row_written_out() {
        let near = Svi { a: 0.002, b: 0.06, rho: -0.2, m: 0.01, sigma: 0.09 };
        let far = Svi { a: 0.004, b: 0.05, rho: -0.1, m: 0.0, sigma: 0.12 };
        let ceiling = [Ceiling { svi: far, quoted: (-0.2, 0.3) }, Ceiling { svi: near, quoted: (-0.9, 0.9) }];
        let tau = 0.08;
        for (count, floor, ceiling) in [
            (5, None, &[][..]),
            (8, Some(&near), &[][..]),
            (61, None, &ceiling[..]),
            (64, Some(&far), &ceiling[..]),
        ] {
            let points = points(count, tau);
            let weights: Vec<f64> = points.iter().map(Point::weight).collect();
            for (margin, stiffness) in [(1e-3, 1e2), (2e-2, 1e6)] {
                let (points, weights) = (&points[..], &weights[..]);
                let scale = 0.25 * tau;
                let task = Task { points, weights, tau, scale, floor, ceiling, pull: 0.3, margin, stiffness };
                for (path, p) in Path::available().into_iter().flat_map(|l| PLACES_TRIED.map(|p| (l, p))) {
                    let rows = dense(&task, &p);
                    let mut expected = Normal::zero();
                    rows.iter().for_each(|(residual, row)| expected.add(row, *residual));
                    let cost = 0.5 * rows.iter().fold(0.0, |sum, (r, _)| sum + r * r);
                    let mut model = Rows::new(&task, path);
                    let found = (model.cost(&p), model.normal(&p));
                    assert_eq!(
                        bits(found.0, &found.1),
                        bits(cost, &expected),
                        "{count} {} {p:?}",
                        path.name()
                    );
                    let mut residuals = vec![f64::NAN; model.len()];
                    model.residuals(&p, &mut residuals);
                    assert_eq!(residuals, rows.iter().map(|r| r.0).collect::<Vec<_>>());
                }
            }
        }
    }
}
