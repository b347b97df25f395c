//! Shrinkage of a covariance matrix towards one with less to estimate.
//!
//! The one idea: the intensity is the variance of the sample covariance over its distance from the target, and both are sums
//! of weighted moments; a sample with equal weights and an exponential average are the same formula with other weights `w_k`.
//!
//! ```text
//! S = sum w x x',  noise = sum_ij sum_k w_k^2 (x_i x_j - S_ij)^2,  intensity = (noise - common) / ||S - target||^2  in [0, 1]
//! ```
//!
//! where `common` is the part of the noise that the target shares. Sources: Ledoit and Wolf (2004), Journal of Multivariate
//! Analysis 88:365 (identity); Ledoit and Wolf (2004), Journal of Portfolio Management 30:110 (constant correlation).

use super::{CorrelationError, average_off_diagonal, correlations_of, mirrored};
use crate::linalg::Symmetric;
use crate::stats::{StatsError, count, enough, finite};
use serde::{Deserialize, Serialize};

/// What a covariance is shrunk towards.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Target {
    /// The identity times the mean variance.
    Identity,
    /// The sample's variances with one correlation, the mean of the sample's, for all pairs.
    ConstantCorrelation,
}

/// A shrunk covariance.
#[derive(Clone, PartialEq, Debug)]
pub struct Shrunk {
    /// `intensity target + (1 - intensity) sample`.
    pub covariance: Symmetric,
    /// Weight of the target, in [0, 1].
    pub intensity: f64,
}

/// Shrinks the sample covariance (over `n`, not `n - 1`) of observations, row-major: one row of `series` numbers per step.
///
/// ```
/// use plimsoll_quant::correlation::{Target, ledoit_wolf};
/// let rows = [1.0, 2.0, -1.0, -1.5, 0.5, 0.0, -0.5, -0.5];
/// let shrunk = ledoit_wolf(&rows, 2, Target::Identity).unwrap();
/// assert!(shrunk.intensity > 0.0 && shrunk.intensity < 1.0);
/// ```
///
/// # Errors
/// [`CorrelationError`] on rows of the wrong length, fewer than two, a value that is not finite, or (towards constant
/// correlation) a series that does not vary.
pub fn ledoit_wolf(rows: &[f64], series: usize, target: Target) -> Result<Shrunk, CorrelationError> {
    if series == 0 || !rows.len().is_multiple_of(series) {
        return Err(StatsError::Lengths { left: rows.len(), right: series }.into());
    }
    let n = rows.len() / series;
    enough(n, 2)?;
    for (index, value) in rows.iter().enumerate() {
        finite(index, *value)?;
    }
    let mean = |i: usize| rows.iter().skip(i).step_by(series).fold(0.0, |sum, x| sum + x) / count(n);
    let means: Vec<f64> = (0..series).map(mean).collect();
    let mut moments = WeightedMoments::new(series);
    for row in rows.chunks(series) {
        let centred: Vec<Option<f64>> = row.iter().zip(&means).map(|(x, m)| Some(x - m)).collect();
        moments.update(&centred, 1.0);
    }
    moments.shrink(target)
}

/// Weighted moments of one ordered pair.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct PairMoments {
    seen: usize,
    /// `sum w x y`.
    product: f64,
    /// `sum w^2`.
    weight: f64,
    /// `sum w^2 x y`.
    doubled: f64,
    /// `sum w^2 x^2 y^2`.
    square: f64,
    /// `sum w^2 x^2`.
    own: f64,
    /// `sum w^2 x^3 y`.
    cube: f64,
}

impl PairMoments {
    fn update(&mut self, x: f64, y: f64, lambda: f64) {
        self.seen = self.seen.saturating_add(1);
        let decay = lambda.min(1.0 - 1.0 / count(self.seen));
        let (gain, faded) = (1.0 - decay, decay * decay);
        let fresh = gain * gain;
        self.product = decay * self.product + gain * (x * y);
        self.weight = faded * self.weight + fresh;
        self.doubled = faded * self.doubled + fresh * (x * y);
        self.square = faded * self.square + fresh * (x * y) * (x * y);
        self.own = faded * self.own + fresh * (x * x);
        self.cube = faded * self.cube + fresh * (x * x) * (x * y);
    }

    /// `sum w^2 (x y - S)^2`.
    fn noise(&self) -> f64 {
        let s = self.product;
        (self.square - 2.0 * s * self.doubled + s * s * self.weight).max(0.0)
    }

    /// `sum w^2 (x^2 - S_xx)(x y - S_xy)`.
    fn common(&self, own: f64) -> f64 {
        self.cube - self.product * self.own - own * self.doubled + own * self.product * self.weight
    }
}

/// Weighted moments of every ordered pair, row-major.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct WeightedMoments {
    series: usize,
    pairs: Vec<PairMoments>,
}

impl WeightedMoments {
    pub(super) fn new(series: usize) -> Self {
        Self { series, pairs: vec![PairMoments::default(); series * series] }
    }

    /// Takes a row in; with `lambda = 1` every row has the same weight.
    pub(super) fn update(&mut self, row: &[Option<f64>], lambda: f64) {
        for (i, x) in row.iter().enumerate() {
            for (j, y) in row.iter().enumerate() {
                if let (Some(x), Some(y)) = (x, y) {
                    self.pairs[i * self.series + j].update(*x, *y, lambda);
                }
            }
        }
    }

    /// Rows of the pair seen least often.
    pub(super) fn seen(&self) -> usize {
        self.pairs.iter().map(|pair| pair.seen).min().unwrap_or(0)
    }

    fn at(&self, i: usize, j: usize) -> &PairMoments {
        &self.pairs[i * self.series + j]
    }

    fn sum(&self, term: impl Fn(usize, usize) -> f64) -> f64 {
        let n = self.series;
        (0..n * n).fold(0.0, |sum, at| sum + term(at / n, at % n))
    }

    pub(super) fn shrink(&self, target: Target) -> Result<Shrunk, CorrelationError> {
        let sample = mirrored(self.series, |i, j| self.at(i, j).product)?;
        let noise = self.sum(|i, j| self.at(i, j).noise());
        let (aim, common) = match target {
            Target::Identity => {
                let mean = (0..self.series).fold(0.0, |sum, i| sum + sample.at(i, i)) / count(self.series);
                (mirrored(self.series, |i, j| if i == j { mean } else { 0.0 })?, 0.0)
            }
            Target::ConstantCorrelation => self.constant_correlation(&sample)?,
        };
        let distance = self.sum(|i, j| (sample.at(i, j) - aim.at(i, j)) * (sample.at(i, j) - aim.at(i, j)));
        let intensity = if distance > 0.0 { ((noise - common) / distance).clamp(0.0, 1.0) } else { 1.0 };
        let entry = |i: usize, j: usize| intensity * aim.at(i, j) + (1.0 - intensity) * sample.at(i, j);
        Ok(Shrunk { covariance: mirrored(self.series, entry)?, intensity })
    }

    /// The target of equal correlations and what of the noise it shares.
    fn constant_correlation(&self, sample: &Symmetric) -> Result<(Symmetric, f64), CorrelationError> {
        let average = average_off_diagonal(&correlations_of(sample)?);
        let vol = |i: usize| sample.at(i, i).sqrt();
        let entry = |i: usize, j: usize| {
            if i == j { sample.at(i, i) } else { average * (vol(i) * vol(j)) }
        };
        let shared = |i: usize, j: usize| {
            if i == j {
                return self.at(i, i).noise();
            }
            let of = |i: usize, j: usize| vol(j) / vol(i) * self.at(i, j).common(sample.at(i, i));
            0.5 * average * (of(i, j) + of(j, i))
        };
        Ok((mirrored(self.series, entry)?, self.sum(shared)))
    }
}
