//! Small dense symmetric matrices: Cholesky, eigenvalues, and repair of correlation matrices.
//!
//! The one idea: everything is made of `+ - * /` and `sqrt` in an order fixed by the dimension, so that a repaired
//! correlation is the same on every machine. Meant for dimensions up to about a hundred.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

/// Why a matrix cannot be used.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum LinalgError {
    /// The number of entries is not the square of the dimension.
    #[error("{entries} entries do not make a {dimension} x {dimension} matrix")]
    Shape {
        /// Dimension.
        dimension: usize,
        /// Entries given.
        entries: usize,
    },
    /// An entry is not finite.
    #[error("entry ({row}, {column}) is {value}")]
    NotFinite {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// The entry.
        value: f64,
    },
    /// Two mirrored entries differ.
    #[error("entries ({row}, {column}) differ: {upper} and {lower}")]
    NotSymmetric {
        /// Row.
        row: usize,
        /// Column.
        column: usize,
        /// Entry above the diagonal.
        upper: f64,
        /// Entry below.
        lower: f64,
    },
    /// A Cholesky pivot is not positive.
    #[error("not positive definite: pivot {pivot} is {value}")]
    NotPositiveDefinite {
        /// Which pivot.
        pivot: usize,
        /// Its square.
        value: f64,
    },
    /// A weight is not positive and finite, or their number is wrong.
    #[error("weight {index} is {value}")]
    Weight {
        /// Which weight.
        index: usize,
        /// Its value (NaN when missing).
        value: f64,
    },
    /// An iteration did not converge.
    #[error("no convergence after {iterations} iterations, change {change}")]
    NotConverged {
        /// Iterations done.
        iterations: usize,
        /// Last relative change.
        change: f64,
    },
}

/// A symmetric matrix, row-major.
///
/// ```
/// use plimsoll_quant::linalg::Symmetric;
/// let m = Symmetric::new(2, vec![4.0, 2.0, 2.0, 5.0]).unwrap();
/// assert_eq!(m.cholesky().unwrap(), vec![2.0, 0.0, 1.0, 2.0]);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct Symmetric {
    n: usize,
    entries: Vec<f64>,
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct Eigen {
    /// Eigenvalues in ascending order.
    pub values: Vec<f64>,
    /// Orthonormal eigenvectors, row-major: row `i` belongs to `values[i]`.
    pub vectors: Vec<f64>,
}

/// Most sweeps of the Jacobi rotations; ten suffice in practice.
const SWEEPS_MAX: usize = 60;

impl Symmetric {
    /// A matrix from row-major entries; mirrored entries must be equal to 1e-12 of the largest entry.
    ///
    /// # Errors
    /// [`LinalgError`] on a wrong shape, an entry that is not finite, or asymmetry.
    pub fn new(n: usize, entries: Vec<f64>) -> Result<Self, LinalgError> {
        if entries.len() != n * n || n == 0 {
            return Err(LinalgError::Shape { dimension: n, entries: entries.len() });
        }
        let mut largest: f64 = 0.0;
        for (i, &value) in entries.iter().enumerate() {
            if !value.is_finite() {
                return Err(LinalgError::NotFinite { row: i / n, column: i % n, value });
            }
            largest = largest.max(value.abs());
        }
        for row in 0..n {
            for column in row + 1..n {
                let (upper, lower) = (entries[row * n + column], entries[column * n + row]);
                if (upper - lower).abs() > 1e-12 * largest {
                    return Err(LinalgError::NotSymmetric { row, column, upper, lower });
                }
            }
        }
        Ok(Self { n, entries })
    }

    /// Dimension.
    #[must_use]
    pub fn dimension(&self) -> usize {
        self.n
    }

    /// Entries, row-major.
    #[must_use]
    pub fn entries(&self) -> &[f64] {
        &self.entries
    }

    /// Entry at `(row, column)`.
    ///
    /// # Panics
    /// When an index is not below the dimension, as slices do.
    #[must_use]
    pub fn at(&self, row: usize, column: usize) -> f64 {
        self.entries[row * self.n + column]
    }

    /// Lower triangular `L` with `L L' = self`, row-major, zeros above the diagonal.
    ///
    /// # Errors
    /// [`LinalgError::NotPositiveDefinite`] at the first pivot that is not positive. A semi-definite matrix is refused.
    pub fn cholesky(&self) -> Result<Vec<f64>, LinalgError> {
        let n = self.n;
        let mut l = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let mut sum = self.at(i, j);
                for p in 0..j {
                    sum -= l[i * n + p] * l[j * n + p];
                }
                if i > j {
                    l[i * n + j] = sum / l[j * n + j];
                } else if sum > 0.0 {
                    l[i * n + i] = sum.sqrt();
                } else {
                    return Err(LinalgError::NotPositiveDefinite { pivot: i, value: sum });
                }
            }
        }
        Ok(l)
    }

    /// Eigenvalues (ascending) and eigenvectors by cyclic Jacobi rotations (Golub and Van Loan, section 8.5).
    ///
    /// # Errors
    /// [`LinalgError::NotConverged`] if sixty sweeps do not clear the off-diagonal.
    pub fn eigen(&self) -> Result<Eigen, LinalgError> {
        let n = self.n;
        let mut a = self.entries.clone();
        let mut v = identity(n);
        let size = frobenius(&a);
        for _ in 0..SWEEPS_MAX {
            let off = off_diagonal(&a, n);
            if off <= 1e-17 * size {
                return Ok(sorted(&a, &v, n));
            }
            for p in 0..n {
                for q in p + 1..n {
                    rotate(&mut a, &mut v, n, (p, q));
                }
            }
        }
        let change = off_diagonal(&a, n) / size;
        if change <= 1e-14 {
            return Ok(sorted(&a, &v, n));
        }
        Err(LinalgError::NotConverged { iterations: SWEEPS_MAX, change })
    }

    /// Whether every eigenvalue is at least `-tolerance`.
    ///
    /// # Errors
    /// As for [`Symmetric::eigen`].
    pub fn is_positive_semidefinite(&self, tolerance: f64) -> Result<bool, LinalgError> {
        Ok(self.eigen()?.values[0] >= -tolerance)
    }

    /// The nearest positive semi-definite matrix in the Frobenius norm: negative eigenvalues clipped at zero.
    fn clipped(&self) -> Result<Self, LinalgError> {
        let eigen = self.eigen()?;
        if eigen.values[0] >= 0.0 {
            return Ok(self.clone());
        }
        Ok(eigen.recompose(|value| value.max(0.0)))
    }

    fn scaled(&self, factor: &[f64]) -> Self {
        let n = self.n;
        let entries = (0..n * n).map(|i| factor[i / n] * self.entries[i] * factor[i % n]).collect();
        Self { n, entries }
    }
}

impl Eigen {
    /// `sum f(value) v v'`, exactly symmetric.
    fn recompose(&self, f: impl Fn(f64) -> f64) -> Symmetric {
        let n = self.values.len();
        let mut entries = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let mut sum = 0.0;
                for (p, &value) in self.values.iter().enumerate() {
                    sum += f(value) * self.vectors[p * n + i] * self.vectors[p * n + j];
                }
                entries[i * n + j] = sum;
                entries[j * n + i] = sum;
            }
        }
        Symmetric { n, entries }
    }
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|i| if i / n == i % n { 1.0 } else { 0.0 }).collect()
}

fn frobenius(a: &[f64]) -> f64 {
    a.iter().fold(0.0, |sum, x| sum + x * x).sqrt()
}

fn off_diagonal(a: &[f64], n: usize) -> f64 {
    let mut sum = 0.0;
    for i in 0..n {
        for j in 0..i {
            sum += 2.0 * a[i * n + j] * a[i * n + j];
        }
    }
    sum.sqrt()
}

/// One Jacobi rotation that clears `a[p][q]`; rows of `v` turn along.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, (p, q): (usize, usize)) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let theta = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = if theta.abs() > 1e150 {
        0.5 / theta
    } else {
        1.0_f64.copysign(theta) / (theta.abs() + (theta * theta + 1.0).sqrt())
    };
    let c = 1.0 / (t * t + 1.0).sqrt();
    let s = t * c;
    for i in 0..n {
        let (x, y) = (a[i * n + p], a[i * n + q]);
        a[i * n + p] = c * x - s * y;
        a[i * n + q] = s * x + c * y;
    }
    for i in 0..n {
        let (x, y) = (a[p * n + i], a[q * n + i]);
        a[p * n + i] = c * x - s * y;
        a[q * n + i] = s * x + c * y;
        let (x, y) = (v[p * n + i], v[q * n + i]);
        v[p * n + i] = c * x - s * y;
        v[q * n + i] = s * x + c * y;
    }
    a[p * n + q] = 0.0;
    a[q * n + p] = 0.0;
}

fn sorted(a: &[f64], v: &[f64], n: usize) -> Eigen {
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[i * n + i].total_cmp(&a[j * n + j]));
    Eigen {
        values: order.iter().map(|&i| a[i * n + i]).collect(),
        vectors: order.iter().flat_map(|&i| v[i * n..(i + 1) * n].iter().copied()).collect(),
    }
}

/// A repaired correlation matrix.
#[derive(Clone, PartialEq, Debug)]
pub struct NearestCorrelation {
    /// The correlation matrix: unit diagonal, positive semi-definite to rounding.
    pub matrix: Symmetric,
    /// Alternating projections done.
    pub iterations: usize,
    /// Frobenius distance from the input.
    pub distance: f64,
}

/// Relative change at which the alternating projections stop.
const HIGHAM_TOLERANCE: f64 = 1e-13;
/// Most alternating projections.
const HIGHAM_MAX: usize = 20_000;

/// The correlation matrix nearest to `a` in the weighted Frobenius norm `||W^1/2 (X - A) W^1/2||`, by Higham's alternating
/// projections with Dykstra's correction (Higham 2002, IMA J. Numer. Anal. 22:329).
///
/// `weights` are the diagonal of `W`, all 1 when `None`. The input need not have a unit diagonal.
///
/// # Errors
/// [`LinalgError`] on bad weights, or when 20 000 projections do not settle to `1e-13`.
pub fn nearest_correlation(
    a: &Symmetric,
    weights: Option<&[f64]>,
) -> Result<NearestCorrelation, LinalgError> {
    let n = a.dimension();
    let roots = weight_roots(weights, n)?;
    let inverse: Vec<f64> = roots.iter().map(|r| 1.0 / r).collect();
    let mut y = a.clone();
    let mut correction = vec![0.0; n * n];
    let mut change = f64::INFINITY;
    for iterations in 1..=HIGHAM_MAX {
        let r = Symmetric { n, entries: y.entries.iter().zip(&correction).map(|(y, c)| y - c).collect() };
        let x = r.scaled(&roots).clipped()?.scaled(&inverse);
        for ((c, x), r) in correction.iter_mut().zip(&x.entries).zip(&r.entries) {
            *c = x - r;
        }
        let next = with_unit_diagonal(x);
        change = relative_change(&next, &y);
        y = next;
        if change < HIGHAM_TOLERANCE {
            let distance = frobenius(&difference(&y, a));
            return Ok(NearestCorrelation { matrix: y, iterations, distance });
        }
    }
    Err(LinalgError::NotConverged { iterations: HIGHAM_MAX, change })
}

fn weight_roots(weights: Option<&[f64]>, n: usize) -> Result<Vec<f64>, LinalgError> {
    let Some(weights) = weights else {
        return Ok(vec![1.0; n]);
    };
    if weights.len() != n {
        return Err(LinalgError::Weight { index: weights.len().min(n), value: f64::NAN });
    }
    for (index, &value) in weights.iter().enumerate() {
        if !(value > 0.0 && value.is_finite()) {
            return Err(LinalgError::Weight { index, value });
        }
    }
    Ok(weights.iter().map(|w| w.sqrt()).collect())
}

fn with_unit_diagonal(mut x: Symmetric) -> Symmetric {
    for i in 0..x.n {
        x.entries[i * x.n + i] = 1.0;
    }
    x
}

fn difference(a: &Symmetric, b: &Symmetric) -> Vec<f64> {
    a.entries.iter().zip(&b.entries).map(|(a, b)| a - b).collect()
}

/// `||next - before||_inf / ||next||_inf`, largest absolute row sum.
fn relative_change(next: &Symmetric, before: &Symmetric) -> f64 {
    let norm = |entries: &[f64]| {
        entries.chunks(next.n).fold(0.0_f64, |m, row| m.max(row.iter().fold(0.0, |s, x| s + x.abs())))
    };
    norm(&difference(next, before)) / norm(&next.entries)
}

/// Spectral repair (Jaeckel 2002): negative eigenvalues clipped at zero, then rescaled to a unit diagonal once. Positive
/// semi-definite but not the nearest.
///
/// # Errors
/// [`LinalgError`] from the eigenvalues, or [`LinalgError::NotPositiveDefinite`] when clipping leaves a zero on the diagonal.
pub fn spectral_repair(a: &Symmetric) -> Result<Symmetric, LinalgError> {
    let x = a.clipped()?;
    let mut scale = Vec::with_capacity(x.n);
    for i in 0..x.n {
        let value = x.at(i, i);
        if !(value > 0.0) {
            return Err(LinalgError::NotPositiveDefinite { pivot: i, value });
        }
        scale.push(1.0 / value.sqrt());
    }
    Ok(with_unit_diagonal(x.scaled(&scale)))
}
