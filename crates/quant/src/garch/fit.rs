//! Maximum likelihood of GARCH(1,1) and GJR-GARCH(1,1).
//!
//! The one idea: parameters are moved where they cannot leave their domain (`ln omega`, the log-odds of the persistence, how it
//! is shared out, the log-odds of `nu` between 2 and 500), the series is divided by its deviation, and the gradient is carried along the recursion, so
//! that a few dozen passes over the series find the maximum.
//!
//! Sources: Bollerslev (1986, 1987); Fiorentini, Calzolari and Panattoni (1996), Journal of Applied Econometrics 11:399, for the
//! gradient and the benchmark.

use super::{Garch, Law, Start, log_constant, mean_square, next_variance};
use crate::minimise::{BfgsMinimum, BfgsOptions, bfgs};
use crate::special::{digamma, exp, ln};
use crate::stats::{StatsError, check_sample, count, mean, positive};
use serde::{Deserialize, Serialize};

/// Whether losses may raise the variance more than gains.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Dynamics {
    /// GARCH(1,1): `gamma = 0`.
    Symmetric,
    /// GJR-GARCH(1,1).
    Gjr,
}

/// The family of laws of which one is estimated.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Innovations {
    /// Normal.
    Normal,
    /// Student's t, degrees of freedom estimated between 2 and 500.
    StudentT,
}

/// The mean of a return.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MeanModel {
    /// Nothing.
    Zero,
    /// A constant, estimated.
    Constant,
}

/// What is estimated, and from which start of the recursion.
///
/// [`Start::MeanSquare`] is that of the residuals at the mean being tried: the benchmark's start.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FitSpec {
    /// Whether losses may count more.
    pub dynamics: Dynamics,
    /// Law of the innovations.
    pub innovations: Innovations,
    /// Mean of a return.
    pub mean: MeanModel,
    /// Start of the recursion.
    pub start: Start,
}

/// Estimated parameters.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct GarchFit {
    /// The recursion, in squares of the unit of the returns.
    pub model: Garch,
    /// Mean of a return; 0 where none was estimated.
    pub mean: f64,
    /// Law of the innovations.
    pub law: Law,
    /// Log-likelihood of the returns, no term dropped.
    pub log_likelihood: f64,
    /// Passes over the series.
    pub evaluations: usize,
}

/// Fewest returns a fit is made from.
const FEWEST: usize = 50;
/// The persistence stays below this.
const PERSISTENCE_MAX: f64 = 1.0 - 1e-8;
/// Degrees of freedom stay below this, where the law can no longer be told from the normal one.
const NU_MAX: f64 = 500.0;
const NU_SPAN: f64 = NU_MAX - 2.0;
const OPTIONS: BfgsOptions = BfgsOptions { max_iter: 200, gtol: 1e-9 };
/// A search that stopped short of [`OPTIONS`] still counts beneath this gradient per observation.
const GRADIENT_ACCEPTED: f64 = 1e-5;

/// Maximum likelihood estimates from `returns`.
///
/// Without a `warm` start a grid of persistences and shares is tried and the search runs from the two best. With one, such as
/// last week's estimate, it runs once, from there: a point at the edge of the domain is first moved inside, where a search can
/// leave it.
///
/// ```
/// use plimsoll_quant::garch::{Dynamics, FitSpec, Innovations, MeanModel, Start, fit};
/// let returns: Vec<f64> = (0..400).map(|i| if (i / 50) % 2 == 0 { 0.01 } else { 0.03 }
///     * if i % 3 == 0 { -1.0 } else { 0.7 }).collect();
/// let spec = FitSpec { dynamics: Dynamics::Symmetric, innovations: Innovations::Normal,
///     mean: MeanModel::Zero, start: Start::MeanSquare };
/// let first = fit(&returns, &spec, None).unwrap();
/// let again = fit(&returns, &spec, Some(&first)).unwrap();
/// assert!((first.log_likelihood - again.log_likelihood).abs() < 1e-6);
/// assert!(again.evaluations < first.evaluations);
/// ```
///
/// # Errors
/// [`StatsError`] on fewer than 50 returns, one that is not finite, returns that do not vary, an unusable start, or a search
/// that does not settle.
pub fn fit(returns: &[f64], spec: &FitSpec, warm: Option<&GarchFit>) -> Result<GarchFit, StatsError> {
    check_sample(returns, FEWEST)?;
    let problem = Problem::new(returns, spec)?;
    let mut evaluations = 0;
    let mut best: Option<BfgsMinimum> = None;
    for start in problem.starts(warm, &mut evaluations) {
        let found = bfgs(&start, |x, gradient| problem.cost(x, gradient), &OPTIONS)?;
        evaluations += found.evaluations;
        if best.as_ref().is_none_or(|b| found.value < b.value) {
            best = Some(found);
        }
    }
    match best {
        Some(found) if found.gradient <= GRADIENT_ACCEPTED => problem.answer(&found, evaluations, returns),
        Some(found) => Err(StatsError::NotConverged { iterations: found.iterations, change: found.gradient }),
        None => Err(StatsError::NotConverged { iterations: 0, change: f64::NAN }),
    }
}

/// Returns in units of their deviation, and what is to be found.
struct Problem {
    scaled: Vec<f64>,
    scale: f64,
    spec: FitSpec,
    start: Start,
}

/// Parameters of the recursion with one weight for gains (`up`) and one for losses (`down`), and a derivative by each.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Natural {
    omega: f64,
    up: f64,
    down: f64,
    beta: f64,
    mean: f64,
    nu: f64,
}

/// Persistence and how it is shared out: half the weight of gains, half that of losses, the rest of it `beta`.
struct Shares {
    persistence: f64,
    of: [f64; 3],
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Sum of logarithms as the logarithm of products, of which one is taken only now and then.
struct LogSum {
    product: f64,
    logs: f64,
}

impl LogSum {
    fn new() -> Self {
        Self { product: 1.0, logs: 0.0 }
    }

    #[inline]
    fn add(&mut self, factor: f64) {
        self.product *= factor;
        if !(1e-100..1e100).contains(&self.product) {
            self.logs += ln(self.product);
            self.product = 1.0;
        }
    }

    fn total(&self) -> f64 {
        self.logs + ln(self.product)
    }
}

impl Problem {
    fn new(returns: &[f64], spec: &FitSpec) -> Result<Self, StatsError> {
        let centre = match spec.mean {
            MeanModel::Zero => 0.0,
            MeanModel::Constant => mean(returns)?,
        };
        let residuals: Vec<f64> = returns.iter().map(|r| r - centre).collect();
        let square = mean_square(&residuals);
        let rounding = mean_square(returns) * 1e-24;
        positive("mean square", if square > rounding { square } else { 0.0 })?;
        let start = match spec.start {
            Start::Variance(v) => Start::Variance(positive("variance", v)? / square),
            Start::Backcast(v) => Start::Backcast(positive("backcast", v)? / square),
            other => other,
        };
        let scale = square.sqrt();
        Ok(Self { scaled: returns.iter().map(|r| r / scale).collect(), scale, spec: *spec, start })
    }

    fn asymmetric(&self) -> bool {
        self.spec.dynamics == Dynamics::Gjr
    }

    /// Coordinates: `ln omega`, log-odds of the persistence, log-odds of the shares (one or two), mean, log-odds of `nu`.
    fn coordinates(&self, at: &Natural) -> Vec<f64> {
        let share = (0.5 * (at.up + at.down) + at.beta) / PERSISTENCE_MAX;
        let mut x = vec![ln(at.omega), ln(share / (1.0 - share))];
        if self.asymmetric() {
            x.extend([ln(0.5 * at.up / at.beta), ln(0.5 * at.down / at.beta)]);
        } else {
            x.push(ln(at.up / at.beta));
        }
        if self.spec.mean == MeanModel::Constant {
            x.push(at.mean);
        }
        if self.spec.innovations == Innovations::StudentT {
            x.push(ln((at.nu - 2.0) / (NU_MAX - at.nu)));
        }
        x
    }

    fn natural(&self, x: &[f64]) -> (Natural, Shares) {
        let persistence = PERSISTENCE_MAX * logistic(x[1]);
        let (of, used) = if self.asymmetric() {
            // Divided by the largest, so that none overflows.
            let top = x[2].max(x[3]).max(0.0);
            let raw = [exp(x[2] - top), exp(x[3] - top), exp(-top)];
            let total = raw[0] + raw[1] + raw[2];
            (raw.map(|r| r / total), 4)
        } else {
            let weight = logistic(x[2]);
            ([0.5 * weight, 0.5 * weight, logistic(-x[2])], 3)
        };
        let constant = self.spec.mean == MeanModel::Constant;
        let student = self.spec.innovations == Innovations::StudentT;
        let at = Natural {
            omega: exp(x[0]),
            up: 2.0 * persistence * of[0],
            down: 2.0 * persistence * of[1],
            beta: persistence * of[2],
            mean: if constant { x[used] } else { 0.0 },
            nu: if student { 2.0 + NU_SPAN * logistic(x[used + usize::from(constant)]) } else { 0.0 },
        };
        (at, Shares { persistence, of })
    }

    /// Derivatives by the coordinates from those by the natural parameters.
    fn pull_back(&self, by: &Natural, at: &Natural, shares: &Shares, gradient: &mut [f64]) {
        let p = shares.persistence;
        let q = shares.of;
        // What one more of each share is worth, and their average.
        let worth = [2.0 * p * by.up, 2.0 * p * by.down, p * by.beta];
        let average = q[0] * worth[0] + q[1] * worth[1] + q[2] * worth[2];
        gradient[0] = at.omega * by.omega;
        gradient[1] = average * (1.0 - p / PERSISTENCE_MAX);
        let mut used = 3;
        if self.asymmetric() {
            gradient[2] = q[0] * (worth[0] - average);
            gradient[3] = q[1] * (worth[1] - average);
            used = 4;
        } else {
            gradient[2] = q[0] * (worth[0] - average) + q[1] * (worth[1] - average);
        }
        if self.spec.mean == MeanModel::Constant {
            gradient[used] = by.mean;
            used += 1;
        }
        if self.spec.innovations == Innovations::StudentT {
            gradient[used] = (at.nu - 2.0) * (NU_MAX - at.nu) / NU_SPAN * by.nu;
        }
    }

    fn law(&self, nu: f64) -> Law {
        match self.spec.innovations {
            Innovations::Normal => Law::Normal,
            Innovations::StudentT => Law::StudentT { nu },
        }
    }

    /// Minus the log-likelihood per observation, with its gradient.
    fn cost(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (at, shares) = self.natural(x);
        let student = self.spec.innovations == Innovations::StudentT;
        if !(at.omega > 0.0 && at.omega < f64::INFINITY) || (student && at.nu <= 2.0) {
            return f64::INFINITY;
        }
        let (value, by) = self.likelihood(&at);
        self.pull_back(&by, &at, &shares, gradient);
        let per = -1.0 / count(self.scaled.len());
        gradient.iter_mut().for_each(|g| *g *= per);
        per * value
    }

    /// First variance and its derivatives.
    fn first(&self, at: &Natural) -> (f64, Natural) {
        let n = count(self.scaled.len());
        let first = self.scaled[0] - at.mean;
        let (square, by_mean) = match self.start {
            Start::Variance(variance) => return (variance, Natural::default()),
            Start::FirstSquare => {
                return (first * first, Natural { mean: -2.0 * first, ..Natural::default() });
            }
            Start::Backcast(square) => (square, 0.0),
            Start::MeanSquare => {
                let (mut squares, mut residuals) = (0.0, 0.0);
                for r in &self.scaled {
                    squares += (r - at.mean) * (r - at.mean);
                    residuals += r - at.mean;
                }
                (squares / n, -2.0 * residuals / n)
            }
        };
        let persistence = 0.5 * (at.up + at.down) + at.beta;
        let (half, mean) = (0.5 * square, persistence * by_mean);
        let by = Natural { omega: 1.0, up: half, down: half, beta: square, mean, nu: 0.0 };
        (at.omega + persistence * square, by)
    }

    /// Log-likelihood of the scaled returns and its derivatives.
    fn likelihood(&self, at: &Natural) -> (f64, Natural) {
        let law = self.law(at.nu);
        let (mut variance, mut d) = self.first(at);
        let mut by = Natural::default();
        let (mut squares, mut variances, mut tails) = (0.0, LogSum::new(), LogSum::new());
        for r in &self.scaled {
            let residual = r - at.mean;
            let square = residual * residual;
            let inverse = 1.0 / variance;
            variances.add(variance);
            // Twice the derivatives of the density by the variance and by the residual.
            let (tail, slope) = match law {
                Law::Normal => {
                    squares += square * inverse;
                    (square * inverse, residual * inverse)
                }
                Law::StudentT { nu } => {
                    let z = square * inverse / (nu - 2.0);
                    let weight = (nu + 1.0) / (1.0 + z);
                    tails.add(1.0 + z);
                    by.nu += 0.5 * weight * z / (nu - 2.0);
                    (weight * z, weight * residual * inverse / (nu - 2.0))
                }
            };
            let by_variance = 0.5 * inverse * (tail - 1.0);
            by.omega += by_variance * d.omega;
            by.up += by_variance * d.up;
            by.down += by_variance * d.down;
            by.beta += by_variance * d.beta;
            by.mean += by_variance * d.mean + slope;
            let (up, down, weight) =
                if residual < 0.0 { (0.0, square, at.down) } else { (square, 0.0, at.up) };
            d.omega = 1.0 + at.beta * d.omega;
            d.up = up + at.beta * d.up;
            d.down = down + at.beta * d.down;
            d.beta = variance + at.beta * d.beta;
            d.mean = at.beta * d.mean - 2.0 * weight * residual;
            variance = next_variance([at.omega, weight, at.beta], residual, variance);
        }
        let n = count(self.scaled.len());
        let mut tail = squares;
        if let Law::StudentT { nu } = law {
            let constant = digamma(0.5 * (nu + 1.0)) - digamma(0.5 * nu) - 1.0 / (nu - 2.0);
            let logs = tails.total();
            by.nu += 0.5 * (n * constant - logs);
            tail = (nu + 1.0) * logs;
        }
        (n * log_constant(law) - 0.5 * (variances.total() + tail), by)
    }

    /// Where to search from.
    fn starts(&self, warm: Option<&GarchFit>, evaluations: &mut usize) -> Vec<Vec<f64>> {
        if let Some(before) = warm {
            return vec![self.coordinates(&self.inside(before))];
        }
        let mean = match self.spec.mean {
            MeanModel::Zero => 0.0,
            MeanModel::Constant => self.scaled.iter().sum::<f64>() / count(self.scaled.len()),
        };
        let tilts: &[f64] = if self.asymmetric() { &[1.0, 0.4] } else { &[1.0] };
        let mut tried: Vec<(f64, Vec<f64>)> = Vec::new();
        for persistence in [0.6, 0.85, 0.95, 0.985] {
            for weight in [0.03, 0.08, 0.2] {
                for tilt in tilts {
                    let (up, down) = (weight * tilt, weight * (2.0 - tilt));
                    let beta = persistence - weight;
                    let at = Natural { omega: 1.0 - persistence, up, down, beta, mean, nu: 6.0 };
                    let x = self.coordinates(&at);
                    let value = self.cost(&x, &mut vec![0.0; x.len()]);
                    tried.push((value, x));
                }
            }
        }
        *evaluations += tried.len();
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        tried.into_iter().take(2).map(|(_, x)| x).collect()
    }

    /// An earlier estimate in scaled units, moved away from the edges, where the gradient by the coordinates vanishes.
    fn inside(&self, before: &GarchFit) -> Natural {
        let [omega, alpha, gamma, beta] = before.model.parameters();
        let persistence = before.model.persistence().clamp(0.05, 0.9995);
        let share = |part: f64| (part / before.model.persistence().max(1e-300)).clamp(0.004, 0.99);
        let (mut up, mut down, rest) = (share(0.5 * alpha), share(0.5 * (alpha + gamma)), share(beta));
        if !self.asymmetric() {
            up = 0.5 * (up + down);
            down = up;
        }
        let each = persistence / (up + down + rest);
        let square = self.scale * self.scale;
        let nu = match before.law {
            Law::Normal => 30.0,
            Law::StudentT { nu } => nu.clamp(2.05, 200.0),
        };
        Natural {
            omega: (omega / square).clamp(1e-10, 10.0),
            up: 2.0 * each * up,
            down: 2.0 * each * down,
            beta: each * rest,
            mean: before.mean / self.scale,
            nu,
        }
    }

    fn answer(
        &self,
        found: &BfgsMinimum,
        evaluations: usize,
        returns: &[f64],
    ) -> Result<GarchFit, StatsError> {
        let (at, _) = self.natural(&found.x);
        let gamma = (at.down - at.up).max(0.0 - at.up);
        let gamma = if self.asymmetric() { gamma } else { 0.0 };
        let model = Garch::new(at.omega * self.scale * self.scale, at.up, gamma, at.beta)?;
        let (mean, law) = (at.mean * self.scale, self.law(at.nu));
        let residuals: Vec<f64> = returns.iter().map(|r| r - mean).collect();
        let log_likelihood = model.log_likelihood(&residuals, self.spec.start, law)?;
        Ok(GarchFit { model, mean, law, log_likelihood, evaluations })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    /// Bursts of alternating returns.
    fn returns() -> Vec<f64> {
        let size = |i: u32| if (i / 40).is_multiple_of(3) { 0.03 } else { 0.01 };
        let sign = |i: u32| if i.is_multiple_of(3) { -1.0 } else { 0.6 };
        (0..600).map(|i| size(i) * sign(i) * (0.2 + f64::from(i * 37 % 101) / 100.0)).collect()
    }

    #[test]
    fn the_cost_is_the_likelihood_and_its_gradient_that_of_differences() {
        for (dynamics, innovations) in
            [(Dynamics::Symmetric, Innovations::Normal), (Dynamics::Gjr, Innovations::StudentT)]
        {
            for start in [Start::MeanSquare, Start::FirstSquare, Start::Backcast(2e-4), Start::Variance(3e-4)]
            {
                let spec = FitSpec { dynamics, innovations, mean: MeanModel::Constant, start };
                let problem = Problem::new(&returns(), &spec).unwrap();
                let at = Natural { omega: 0.05, up: 0.06, down: 0.1, beta: 0.85, mean: 0.02, nu: 6.0 };
                let at = if problem.asymmetric() { at } else { Natural { down: at.up, ..at } };
                let x = problem.coordinates(&at);
                let mut gradient = vec![0.0; x.len()];
                let cost = problem.cost(&x, &mut gradient);
                let model = Garch::new(at.omega, at.up, at.down - at.up, at.beta).unwrap();
                let residuals: Vec<f64> = problem.scaled.iter().map(|r| r - at.mean).collect();
                let likelihood = model.log_likelihood(&residuals, problem.start, problem.law(at.nu)).unwrap();
                assert!((cost * -600.0 / likelihood - 1.0).abs() < 1e-12, "{cost} {likelihood}");
                for i in 0..x.len() {
                    let moved = |by: f64| {
                        let mut x = x.clone();
                        x[i] += by;
                        problem.cost(&x, &mut vec![0.0; x.len()])
                    };
                    let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    assert!((difference - gradient[i]).abs() < 1e-8, "{i}: {difference} {gradient:?}");
                }
            }
        }
    }
}
