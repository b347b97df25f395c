//! Joint Student-t scenarios.

use super::{Scales, each};
use crate::set::{Move, Note, Scenario, ScenarioBlock, VolShockKind};
use crate::spec::{MonteCarloSpec, Sampling, SpecError};
use crate::validate::refuse;
use plimsoll_quant::linalg::{LinalgError, Symmetric, nearest_correlation};
use plimsoll_quant::sobol::{DIMENSIONS_MAX, Rng64, Scramble, Sobol};
use plimsoll_quant::special::{chi2_cdf, exp_m1, norm_quantile};
use plimsoll_types::{Asset, BlockKind};

/// Eigenvalues down to minus this are rounding, not a broken correlation.
const PSD_TOLERANCE: f64 = 1e-12;
/// Bisections of a chi-square quantile: enough to leave only neighbouring floats.
const BISECTIONS: usize = 200;

/// The law of one entry, per underlying of the set, over the horizon.
struct Law {
    /// Standard deviation of the log return.
    spot: Vec<f64>,
    /// Standard deviation of the change of `ln vol`, and its correlation with the spot return.
    vol: Option<Vec<(f64, f64)>>,
    /// Lower triangle, row-major, of the square root of the correlation.
    root: Vec<f64>,
    nu: f64,
}

impl Scales<'_> {
    pub(super) fn monte_carlo(
        &self,
        i: usize,
        spec: &MonteCarloSpec,
        notes: &mut Vec<Note>,
    ) -> Result<ScenarioBlock, SpecError> {
        let law = self.law(i, spec, notes)?;
        let draws = draws(&format!("scenarios[{i}]"), spec, law.dimensions())?;
        let scenario = |(at, uniforms): (usize, Vec<f64>)| Scenario {
            label: format!("path {} of {}", at + 1, spec.paths),
            weight: 1.0,
            moves: law.moves(&uniforms),
            pair: at,
        };
        let kind = if spec.stressed { BlockKind::StressedJoint } else { BlockKind::Joint };
        let scenarios = draws.into_iter().enumerate().map(scenario).collect();
        Ok(ScenarioBlock { kind, purpose: spec.purpose, scenarios })
    }

    fn law(&self, i: usize, spec: &MonteCarloSpec, notes: &mut Vec<Note>) -> Result<Law, SpecError> {
        let field = format!("scenarios[{i}]");
        let root_time = spec.horizon_days.sqrt();
        let daily = each(&format!("{field}.daily_vol"), &spec.daily_vol, self.underlyings)?;
        let vol = match &spec.vol {
            None => None,
            Some(_) if self.vol_kind == VolShockKind::Absolute => {
                return refuse("vol_shock.kind", "absolute", "relative where a Monte Carlo entry moves vol");
            }
            Some(moves) => {
                let size = each(&format!("{field}.vol.daily_vol"), &moves.daily_vol, self.underlyings)?;
                let leverage = each(&format!("{field}.vol.leverage"), &moves.leverage, self.underlyings)?;
                Some(size.iter().map(|s| s * root_time).zip(leverage).collect())
            }
        };
        let root = self.root(i, &format!("{field}.correlation"), spec, notes)?;
        Ok(Law { spot: daily.iter().map(|s| s * root_time).collect(), vol, root, nu: spec.nu })
    }

    /// The square root of the correlation, of the nearest correlation if it is none.
    fn root(
        &self,
        entry: usize,
        field: &str,
        spec: &MonteCarloSpec,
        notes: &mut Vec<Note>,
    ) -> Result<Vec<f64>, SpecError> {
        let n = self.underlyings.len();
        if n == 0 {
            return Ok(Vec::new());
        }
        let matrix_error = |source: LinalgError| SpecError::Matrix { field: field.to_owned(), source };
        let mut entries = vec![1.0; n * n];
        for row in 0..n {
            for column in 0..row {
                let rho = pair(field, spec, (&self.underlyings[row], &self.underlyings[column]))?;
                entries[row * n + column] = rho;
                entries[column * n + row] = rho;
            }
        }
        let given = Symmetric::new(n, entries).map_err(matrix_error)?;
        if given.is_positive_semidefinite(PSD_TOLERANCE).map_err(matrix_error)? {
            return Ok(lower_root(&given));
        }
        let repaired = nearest_correlation(&given, None).map_err(matrix_error)?;
        notes.push(Note::CorrelationRepaired { entry, distance: repaired.distance });
        Ok(lower_root(&repaired.matrix))
    }
}

fn pair(field: &str, spec: &MonteCarloSpec, (a, b): (&Asset, &Asset)) -> Result<f64, SpecError> {
    let table = &spec.correlation;
    let found = table.get(&format!("{a}/{b}")).or_else(|| table.get(&format!("{b}/{a}")));
    found.or_else(|| table.get("*")).copied().ok_or_else(|| SpecError::MissingUnderlying {
        field: format!("{field} (pair {a}/{b})"),
        underlying: a.clone(),
    })
}

/// Cholesky's factor of a positive semi-definite correlation. A pivot that vanishes (a repaired matrix is singular)
/// leaves its column 0: that underlying is a combination of those before it.
fn lower_root(matrix: &Symmetric) -> Vec<f64> {
    let n = matrix.dimension();
    let mut root = vec![0.0; n * n];
    for column in 0..n {
        let known = |row: usize, root: &[f64]| -> f64 {
            (0..column).map(|k| root[row * n + k] * root[column * n + k]).sum()
        };
        let pivot = matrix.at(column, column) - known(column, &root);
        if pivot <= PSD_TOLERANCE {
            continue;
        }
        let diagonal = pivot.sqrt();
        root[column * n + column] = diagonal;
        for row in column + 1..n {
            root[row * n + column] = (matrix.at(row, column) - known(row, &root)) / diagonal;
        }
    }
    root
}

/// Points of the unit cube, one per path; the first coordinate is the common tail, then spot, then vol.
fn draws(field: &str, spec: &MonteCarloSpec, dimensions: usize) -> Result<Vec<Vec<f64>>, SpecError> {
    match spec.sampling {
        Sampling::Sobol => {
            let Ok(mut sobol) = Sobol::new(dimensions, Scramble::Owen { seed: spec.seed }) else {
                let asked = format!("sobol with {dimensions} dimensions");
                debug_assert!(dimensions > DIMENSIONS_MAX);
                return refuse(&format!("{field}.sampling"), asked, "antithetic beyond 64 dimensions");
            };
            let mut point = vec![0.0; dimensions];
            let next = |_| {
                sobol.next_point(&mut point);
                point.clone()
            };
            Ok((0..spec.paths).map(next).collect())
        }
        Sampling::Antithetic => {
            let mut random = Rng64::new(spec.seed);
            let mut all = Vec::with_capacity(spec.paths);
            for _ in 0..spec.paths / 2 {
                let point: Vec<f64> = (0..dimensions).map(|_| random.uniform()).collect();
                // The tail is shared: only directions are mirrored.
                let mirror = |(d, u): (usize, &f64)| if d == 0 { *u } else { 1.0 - u };
                let mirrored = point.iter().enumerate().map(mirror).collect();
                all.push(point);
                all.push(mirrored);
            }
            Ok(all)
        }
    }
}

impl Law {
    fn dimensions(&self) -> usize {
        1 + self.spot.len() * if self.vol.is_some() { 2 } else { 1 }
    }

    /// Spot: `exp(s_u x_u) - 1` with `x = sqrt((nu - 2)/chi2) L z`, unit variance. Vol: the same tail with
    /// `leverage x z_u + sqrt(1 - leverage^2) x independent`. No drift.
    fn moves(&self, uniforms: &[f64]) -> Vec<Move> {
        let n = self.spot.len();
        let tail = ((self.nu - 2.0) / chi2_quantile(uniforms[0], self.nu)).sqrt();
        let normals: Vec<f64> = uniforms[1..].iter().map(|u| norm_quantile(*u)).collect();
        let one = |u: usize| {
            let z: f64 = (0..=u).map(|k| self.root[u * n + k] * normals[k]).sum();
            let vol = self.vol.as_ref().map_or(0.0, |law| {
                let (size, leverage) = law[u];
                let own = (1.0 - leverage * leverage).max(0.0).sqrt() * normals[n + u];
                exp_m1(size * tail * (leverage * z + own))
            });
            Move { spot: exp_m1(self.spot[u] * tail * z), vol, ..Move::default() }
        };
        (0..n).map(one).collect()
    }
}

/// Quantile of the chi-square law with `nu` degrees of freedom at `p` in (0, 1): the root of the cdf, by bisection to
/// neighbouring floats.
fn chi2_quantile(p: f64, nu: f64) -> f64 {
    let (mut low, mut high) = (0.0, nu.max(1.0));
    while chi2_cdf(high, nu) < p {
        low = high;
        high *= 2.0;
    }
    for _ in 0..BISECTIONS {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if chi2_cdf(middle, nu) < p { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chi_square_quantiles_are_those_of_the_tables() {
        // scipy.stats.chi2.ppf
        for (p, nu, expected) in [
            (0.01, 4.0, 0.297_109_480_506_532_4),
            (0.5, 4.0, 3.356_693_980_033_321),
            (0.99, 4.0, 13.276_704_135_987_622),
            (0.001, 2.5, 0.008_815_875_243_366_968),
        ] {
            let got = chi2_quantile(p, nu);
            assert!((got / expected - 1.0).abs() < 1e-12, "{p} {nu}: {got}");
        }
    }

    #[test]
    fn the_root_of_a_singular_correlation_reproduces_it() {
        let matrix = Symmetric::new(3, vec![1.0, 1.0, 0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0]).unwrap();
        let root = lower_root(&matrix);
        for row in 0..3 {
            for column in 0..3 {
                let product: f64 = (0..3).map(|k| root[row * 3 + k] * root[column * 3 + k]).sum();
                assert!((product - matrix.at(row, column)).abs() < 1e-15);
            }
        }
    }
}
