//! How many breaches there are among overlapping horizons.
//!
//! Profits over `h` overlapping days share days, so breaches come in clusters and their number is far more spread than a
//! binomial one. Its law has no closed form; it is simulated here, and three things that are known exactly are used:
//!
//! - profits `h` days apart share nothing, so beyond the memory of a cluster every further day does the same to the law: the
//!   logarithm of the generating function `E z^N` of the count `N` of `n` days is linear in `n`. Two simulated lengths therefore
//!   give every longer one, and the error does not grow as it would if every length were simulated;
//! - the mean is `n p`;
//! - the variance is `n p (1-p) + 2 sum over j < h of (n-j) (P_j - p^2)`, with `P_j` the bivariate normal probability that two
//!   profits `j` days apart both breach: `P_j = p^2 + (1/2 pi) integral over r from 0 to 1 - j/h of e^(-c^2/(1+r)) / sqrt(1-r^2)`,
//!   `c` the quantile.
//!
//! The two simulated laws are moved to the exact mean and variance before they are extrapolated. For ten days at 99 % and four
//! million samples the cumulative probabilities near 95 % are then known to about 2e-5 at any length.

use super::zones::{GREEN_BELOW, YELLOW_BELOW, ZoneLimits};
use super::{check_rate, real, too_few};
use crate::sobol::Rng64;
use crate::special::{exp, ln, norm_pdf, norm_quantile};
use crate::stats::StatsError;

/// Draws of 16 bits: equally likely cells of the normal law, each its mean.
const CELLS: usize = 1 << 16;
/// Units of the integer random walk in one standard deviation.
const UNIT: f64 = 16_777_216.0;
/// Most horizons of the longer of the two simulated lengths.
const LENGTHS_IN_HORIZONS: usize = 16;
/// Intervals of Simpson's rule for the covariances.
const SIMPSON: u32 = 400;
/// Longest horizon: the sum of so many draws stays far inside its integer.
const HORIZON_MAX: usize = 250;

/// What to simulate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct OverlappingSpec {
    /// Days of one profit, 1 to 250.
    pub horizon: usize,
    /// Confidence of the value at risk, 0.99 say.
    pub confidence: f64,
    /// Simulated series of days; each gives two samples, one of breaches of losses and one of gains.
    pub paths: u32,
    /// Seed.
    pub seed: u64,
}

/// The law of the number of breaches among overlapping profits, for any number of observations.
///
/// ```
/// use plimsoll_quant::backtest::{OverlappingLaw, OverlappingSpec};
/// let spec = OverlappingSpec { horizon: 10, confidence: 0.99, paths: 50_000, seed: 1 };
/// let law = OverlappingLaw::simulate(&spec).unwrap();
/// let limits = law.limits(250).unwrap();
/// // Independent days would give 5 and 10.
/// assert_eq!(limits.yellow_from, 9);
/// assert!(limits.red_from.abs_diff(25) <= 1);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub struct OverlappingLaw {
    spec: OverlappingSpec,
    /// Row `n - 1`: samples with 0, 1, 2... breaches among the first `n` observations, up to the shorter length.
    counts: Vec<Vec<u64>>,
    /// Logarithms of the generating functions at the shorter and the longer length, as power series.
    logs: [Vec<f64>; 2],
    lengths: [usize; 2],
}

impl OverlappingLaw {
    /// Simulates.
    ///
    /// # Errors
    /// [`StatsError`] for no path, a horizon outside [1, 250] or a confidence outside [0.9, 1), or so
    /// few paths that none is without a breach.
    pub fn simulate(spec: &OverlappingSpec) -> Result<Self, StatsError> {
        check_rate("confidence", spec.confidence)?;
        if spec.confidence < 0.9 {
            let value = spec.confidence;
            return Err(StatsError::Domain { parameter: "confidence", value, domain: "[0.9, 1)" });
        }
        if !(1..=HORIZON_MAX).contains(&spec.horizon) {
            let value = real(spec.horizon as u64);
            return Err(StatsError::Domain { parameter: "horizon", value, domain: "[1, 250]" });
        }
        if spec.paths == 0 {
            return Err(too_few(0, 1));
        }
        let longer = LENGTHS_IN_HORIZONS * spec.horizon;
        let lengths = [longer / 2, longer];
        let (counts, last) = walk(spec, lengths);
        if last[0] == 0 || counts[lengths[0] - 1][0] == 0 {
            return Err(too_few(u64::from(spec.paths), spec.paths as usize + 1));
        }
        let logs = [(lengths[0], &counts[lengths[0] - 1]), (lengths[1], &last)]
            .map(|(n, counts)| calibrated_log(counts, n, spec));
        Ok(Self { spec: *spec, counts, logs, lengths })
    }

    /// Samples behind the law.
    #[must_use]
    pub fn samples(&self) -> u64 {
        2 * u64::from(self.spec.paths)
    }

    /// Cumulative probabilities of 0, 1, 2... breaches among `observations`, up to where nothing is left.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] for no observation.
    pub fn cumulative(&self, observations: usize) -> Result<Vec<f64>, StatsError> {
        if observations == 0 {
            return Err(too_few(0, 1));
        }
        let probabilities = match self.counts.get(observations - 1) {
            Some(counts) => shares(counts),
            None => self.extrapolated(observations),
        };
        let mut total = 0.0;
        let sums = probabilities.iter().map(|p| {
            total += p;
            total
        });
        Ok(sums.collect())
    }

    /// Where the zones begin, as published for overlapping horizons: the least count whose cumulative probability reaches 95 %
    /// and 99.99 %, but never 0, since no breach at all is never one too many.
    ///
    /// # Errors
    /// As [`OverlappingLaw::cumulative`].
    pub fn limits(&self, observations: usize) -> Result<ZoneLimits, StatsError> {
        let cumulative = self.cumulative(observations)?;
        let least = |level: f64| cumulative.iter().take_while(|f| **f < level).count().max(1) as u64;
        Ok(ZoneLimits { yellow_from: least(GREEN_BELOW), red_from: least(YELLOW_BELOW) })
    }

    /// Law at a length beyond the shorter simulated one: the logarithm is continued in a straight line.
    fn extrapolated(&self, observations: usize) -> Vec<f64> {
        let [near, far] = &self.logs;
        let step = real((self.lengths[1] - self.lengths[0]) as u64);
        let beyond = real((observations - self.lengths[0]) as u64) / step;
        // Eighteen deviations above the mean, more than any count that matters.
        let length = real(observations as u64);
        let spread = variance(observations, &self.spec).sqrt();
        let last = ((1.0 - self.spec.confidence) * length + 18.0 * spread + 20.0).min(length);
        let terms = index(last) + 1;
        let coefficient = |series: &[f64], k: usize| series.get(k).copied().unwrap_or(0.0);
        let log: Vec<f64> = (0..terms)
            .map(|k| coefficient(near, k) + beyond * (coefficient(far, k) - coefficient(near, k)))
            .collect();
        let law = series_exp(&log);
        let moments = ((1.0 - self.spec.confidence) * length, spread * spread);
        if is_law(&law, moments) { law } else { negative_binomial(moments, terms) }
    }
}

/// Whether these are probabilities with this mean and variance. Far beyond the simulated lengths the noise of high coefficients
/// may have grown until they are not.
fn is_law(probabilities: &[f64], (mean, variance): (f64, f64)) -> bool {
    let (mut total, mut first, mut second) = (0.0, 0.0, 0.0);
    for (k, p) in probabilities.iter().enumerate() {
        let off = real(k as u64) - mean;
        total += p;
        first += off * p;
        second += off * off * p;
    }
    let small = |x: f64, most: f64| x.abs() <= most;
    probabilities.iter().all(|p| (-1e-3..=1.0).contains(p))
        && small(total - 1.0, 1e-3)
        && small(first, 1e-2 * mean)
        && small(second - variance, 0.1 * variance)
}

/// The first probabilities of the negative binomial law of this mean and variance: breaches in clusters of a logarithmic law that
/// begin at random. Source: Johnson, Kemp and Kotz, Univariate Discrete Distributions (2005), section 5.3.
fn negative_binomial((mean, variance): (f64, f64), terms: usize) -> Vec<f64> {
    // Overlap spreads the count: the variance is above the mean.
    let spread = (variance / mean).max(1.0 + 1e-9);
    let size = mean / (spread - 1.0);
    let mut log = -size * ln(spread);
    let each = (0..terms).map(|k| {
        let probability = exp(log);
        log += ln((size + real(k as u64)) / real(k as u64 + 1) * (1.0 - 1.0 / spread));
        probability
    });
    each.collect()
}

/// Standard error of a probability that was found as a share of `samples`: `sqrt(p (1-p)/samples)`.
#[must_use]
pub fn sampling_error(probability: f64, samples: u64) -> f64 {
    (probability * (1.0 - probability) / real(samples)).sqrt()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most the observations")]
fn index(x: f64) -> usize {
    x as usize
}

fn shares(counts: &[u64]) -> Vec<f64> {
    let total = real(counts.iter().sum());
    counts.iter().map(|&n| real(n) / total).collect()
}

/// Means of equally likely cells of the normal law, scaled to unit variance, in integer units: sums of them are exact.
#[allow(clippy::cast_possible_truncation, reason = "below 5 UNIT")]
fn normal_cells() -> Vec<i64> {
    let cells = real(CELLS as u64);
    let density = |i: usize| {
        if i == 0 || i == CELLS { 0.0 } else { norm_pdf(norm_quantile(real(i as u64) / cells)) }
    };
    let edges: Vec<f64> = (0..=CELLS).map(density).collect();
    let means: Vec<f64> = edges.windows(2).map(|edge| cells * (edge[0] - edge[1])).collect();
    let square = means.iter().fold(0.0, |total, m| total + m * m) / cells;
    means.iter().map(|m| (m / square.sqrt() * UNIT).round() as i64).collect()
}

/// Counts of breaches at every length up to the shorter one, and at the longer one.
#[allow(clippy::cast_possible_truncation, reason = "a threshold of a few hundred UNIT")]
fn walk(spec: &OverlappingSpec, lengths: [usize; 2]) -> (Vec<Vec<u64>>, Vec<u64>) {
    let cells = normal_cells();
    let threshold = norm_quantile(spec.confidence) * real(spec.horizon as u64).sqrt();
    let threshold = (threshold * UNIT).round() as i64;
    let mut counts: Vec<Vec<u64>> = (1..=lengths[0]).map(|n| vec![0; n + 1]).collect();
    let mut last = vec![0; lengths[1] + 1];
    let days = lengths[1] + spec.horizon - 1;
    let mut steps = vec![0; days.div_ceil(4) * 4];
    let mut rng = Rng64::new(spec.seed);
    for _ in 0..spec.paths {
        draw(&mut rng, &cells, &mut steps);
        let mut profit: i64 = steps[..spec.horizon - 1].iter().sum();
        let (mut losses, mut gains) = (0, 0);
        for (day, row) in counts.iter_mut().enumerate() {
            profit += steps[day + spec.horizon - 1];
            losses += usize::from(profit < -threshold);
            gains += usize::from(profit > threshold);
            row[losses] += 1;
            row[gains] += 1;
            profit -= steps[day];
        }
        for day in lengths[0]..lengths[1] {
            profit += steps[day + spec.horizon - 1];
            losses += usize::from(profit < -threshold);
            gains += usize::from(profit > threshold);
            profit -= steps[day];
        }
        last[losses] += 1;
        last[gains] += 1;
    }
    (counts, last)
}

/// Fills `steps`, a multiple of four, with normal draws.
#[inline]
fn draw(rng: &mut Rng64, cells: &[i64], steps: &mut [i64]) {
    for four in steps.chunks_exact_mut(4) {
        let bits = rng.next_u64();
        for (place, step) in four.iter_mut().enumerate() {
            *step = cells[(bits >> (16 * place)) as usize & (CELLS - 1)];
        }
    }
}

/// Exact variance of the count of breaches among `observations`.
fn variance(observations: usize, spec: &OverlappingSpec) -> f64 {
    let rate = 1.0 - spec.confidence;
    let c = norm_quantile(spec.confidence);
    let days = real(observations as u64);
    let mut total = days * rate * spec.confidence;
    for apart in 1..spec.horizon.min(observations) {
        let shared = 1.0 - real(apart as u64) / real(spec.horizon as u64);
        total += 2.0 * (days - real(apart as u64)) * joint_excess(c, shared);
    }
    total
}

/// Probability that two standard normals with correlation `shared` are both above `c`, less that of independent ones.
fn joint_excess(c: f64, shared: f64) -> f64 {
    let density = |r: f64| exp(-c * c / (1.0 + r)) / (1.0 - r * r).sqrt();
    let width = shared / f64::from(SIMPSON);
    let inner = (1..SIMPSON).map(|i| {
        let weight = if i % 2 == 1 { 4.0 } else { 2.0 };
        weight * density(f64::from(i) * width)
    });
    let sum = inner.fold(density(0.0) + density(shared), |total, term| total + term);
    sum * width / 3.0 / (2.0 * std::f64::consts::PI)
}

/// Logarithm of a simulated generating function, moved to the exact mean and variance of the law.
///
/// With `ln E z^N = sum g_k z^k` the mean is `sum k g_k` and the variance `sum k^2 g_k`; the terms of `z` and `z^2` take the
/// difference, and the constant keeps the total probability.
fn calibrated_log(counts: &[u64], observations: usize, spec: &OverlappingSpec) -> Vec<f64> {
    let mut log = series_log(&shares(counts));
    let moment = |power: fn(f64) -> f64| {
        log.iter().enumerate().fold(0.0, |total, (k, g)| total + power(real(k as u64)) * g)
    };
    let mean_gap = (1.0 - spec.confidence) * real(observations as u64) - moment(|k| k);
    let variance_gap = variance(observations, spec) - moment(|k| k * k);
    if log.len() > 2 {
        let second = 0.5 * (variance_gap - mean_gap);
        let first = mean_gap - 2.0 * second;
        log[0] -= first + second;
        log[1] += first;
        log[2] += second;
    }
    log
}

/// Power series of `ln f` for a series with a positive constant term, to as many terms.
fn series_log(f: &[f64]) -> Vec<f64> {
    let mut log = vec![0.0; f.len()];
    log[0] = ln(f[0]);
    for k in 1..f.len() {
        let known = (1..k).fold(0.0, |total, j| total + real(j as u64) * log[j] * f[k - j]);
        log[k] = (real(k as u64) * f[k] - known) / (real(k as u64) * f[0]);
    }
    log
}

/// Power series of `e^g`, to as many terms.
fn series_exp(g: &[f64]) -> Vec<f64> {
    let mut f = vec![0.0; g.len()];
    f[0] = exp(g[0]);
    for k in 1..g.len() {
        let sum = (1..=k).fold(0.0, |total, j| total + real(j as u64) * g[j] * f[k - j]);
        f[k] = sum / real(k as u64);
    }
    f
}
