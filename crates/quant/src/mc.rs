//! Monte Carlo prices of European payoffs, and Merton's series they are compared with.
//!
//! The one idea: an estimate without an error is no estimate. Sobol points are scrambled independently in several
//! replicates; their mean is the price and their spread its standard error. The terminal price is sampled exactly, so there
//! is no discretisation error.

use crate::black::{self, OptionKind};
use crate::sobol::{Rng64, Scramble, Sobol, SobolError};
use crate::special::{exp, norm_quantile};

/// Why there is no estimate.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum McError {
    /// A number is outside its domain.
    #[error("{parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name.
        parameter: &'static str,
        /// Value.
        value: f64,
        /// The domain.
        domain: &'static str,
    },
    /// Too few replicates for a standard error, or no paths.
    #[error("{replicates} replicates of {paths} paths: at least 2 of at least 1 are needed")]
    Sample {
        /// Replicates.
        replicates: u32,
        /// Paths in each.
        paths: u32,
    },
    /// The sequence could not be made.
    #[error("no sequence")]
    Sequence(#[from] SobolError),
}

/// How many points, and from which seed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct McSpec {
    /// Paths in each replicate; a power of two keeps the stratification of the sequence.
    pub paths: u32,
    /// Independently scrambled replicates, at least 2; with 16 the error itself is known to about a fifth.
    pub replicates: u32,
    /// Seed of the scrambling.
    pub seed: u64,
}

/// Law of the forward under the pricing measure, in which it is a martingale.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Model {
    /// Geometric Brownian motion.
    Gbm {
        /// Volatility, annualised.
        vol: f64,
    },
    /// Merton's jump diffusion (1976).
    Merton(Merton),
}

/// Merton's jump diffusion: log-jumps are normal, at Poisson times.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Merton {
    /// Volatility of the diffusion, annualised.
    pub vol: f64,
    /// Jumps per year.
    pub intensity: f64,
    /// Mean of a log-jump.
    pub jump_mean: f64,
    /// Standard deviation of a log-jump.
    pub jump_vol: f64,
}

/// A price with its error.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct McEstimate {
    /// Undiscounted price.
    pub price: f64,
    /// Standard error of the price, from the spread of the replicates.
    pub std_error: f64,
    /// Paths in all.
    pub paths: u64,
    /// Replicates behind the standard error (`replicates - 1` degrees of freedom).
    pub replicates: u32,
}

/// Largest expected number of jumps: above it the Poisson weights underflow.
const JUMPS_MEAN_MAX: f64 = 500.0;

fn in_domain(parameter: &'static str, value: f64, minimum: f64, domain: &'static str) -> Result<(), McError> {
    if value >= minimum && value.is_finite() {
        return Ok(());
    }
    Err(McError::Domain { parameter, value, domain })
}

fn check_contract(forward: f64, strike: f64, tau: f64) -> Result<(), McError> {
    in_domain("forward", forward, f64::MIN_POSITIVE, "finite and > 0")?;
    in_domain("strike", strike, f64::MIN_POSITIVE, "finite and > 0")?;
    in_domain("tau", tau, 0.0, "finite and >= 0")
}

impl Merton {
    fn check(&self, tau: f64) -> Result<(), McError> {
        in_domain("vol", self.vol, 0.0, "finite and >= 0")?;
        in_domain("intensity", self.intensity, 0.0, "finite and >= 0")?;
        in_domain("jump_mean", self.jump_mean, f64::MIN, "finite")?;
        in_domain("jump_vol", self.jump_vol, 0.0, "finite and >= 0")?;
        let expected = self.intensity * tau * (1.0 + self.mean_jump());
        if self.intensity * tau <= JUMPS_MEAN_MAX && expected <= JUMPS_MEAN_MAX {
            return Ok(());
        }
        Err(McError::Domain { parameter: "expected jumps", value: expected, domain: "<= 500" })
    }

    /// Mean relative jump `e^(jump_mean + jump_vol^2/2) - 1`.
    fn mean_jump(&self) -> f64 {
        exp(self.jump_mean + 0.5 * self.jump_vol * self.jump_vol) - 1.0
    }
}

/// European option by randomised quasi Monte Carlo: undiscounted price and its standard error.
///
/// A path is one draw of the terminal price: `F exp(-s^2/2 + s z)` for geometric Brownian motion with `s = vol sqrt(tau)`; for Merton the
/// number of jumps comes from a second coordinate by inversion, and diffusion and jumps given their number are one normal.
///
/// ```
/// use plimsoll_quant::black::OptionKind;
/// use plimsoll_quant::mc::{McSpec, Model, price_european};
/// let spec = McSpec { paths: 1024, replicates: 16, seed: 7 };
/// let call = price_european(OptionKind::Call, 100.0, 100.0, 1.0, &Model::Gbm { vol: 0.2 }, &spec).unwrap();
/// // Black-76: 7.965567455405804
/// assert!((call.price - 7.965567455405804).abs() < 5.0 * call.std_error);
/// assert!(call.std_error < 0.01);
/// ```
///
/// # Errors
/// [`McError`] when a number is outside its domain or there are too few replicates.
pub fn price_european(
    kind: OptionKind,
    forward: f64,
    strike: f64,
    tau: f64,
    model: &Model,
    spec: &McSpec,
) -> Result<McEstimate, McError> {
    check_contract(forward, strike, tau)?;
    if spec.replicates < 2 || spec.paths == 0 {
        return Err(McError::Sample { replicates: spec.replicates, paths: spec.paths });
    }
    let terminal = Terminal::new(model, tau)?;
    let payoff = |u: &[f64; 2]| {
        let gain = forward * terminal.growth(u) - strike;
        match kind {
            OptionKind::Call => gain.max(0.0),
            OptionKind::Put => (0.0 - gain).max(0.0),
        }
    };
    replicated_mean(spec, payoff)
}

/// Mean of `f` over the scrambled replicates of a two-dimensional sequence, with its standard error.
fn replicated_mean(spec: &McSpec, f: impl Fn(&[f64; 2]) -> f64) -> Result<McEstimate, McError> {
    let mut seeds = Rng64::new(spec.seed);
    let (mut total, mut means) = (0.0, Vec::new());
    for _ in 0..spec.replicates {
        let scramble = Scramble::Owen { seed: seeds.next_u64() };
        let mean = mean_over(&Sobol::new(2, scramble)?, spec.paths, &f);
        means.push(mean);
        total += mean;
    }
    let replicates = f64::from(spec.replicates);
    let price = total / replicates;
    let squares = means.iter().fold(0.0, |sum, m| sum + (m - price) * (m - price));
    Ok(McEstimate {
        price,
        std_error: (squares / ((replicates - 1.0) * replicates)).sqrt(),
        paths: u64::from(spec.paths) * u64::from(spec.replicates),
        replicates: spec.replicates,
    })
}

fn mean_over(sequence: &Sobol, paths: u32, f: impl Fn(&[f64; 2]) -> f64) -> f64 {
    let mut point = [0.0; 2];
    let mut total = 0.0;
    for index in 0..u64::from(paths) {
        sequence.point(index, &mut point);
        total += f(&point);
    }
    total / f64::from(paths)
}

/// Law of `ln(F_T/F)`: given `n` jumps, normal with mean `drift + n jump_mean` less half its diffusion variance.
struct Terminal {
    drift: f64,
    variance: f64,
    jump_mean: f64,
    jump_variance: f64,
    /// Cumulative Poisson probabilities of 0, 1, 2... jumps.
    cumulative: Vec<f64>,
}

impl Terminal {
    fn new(model: &Model, tau: f64) -> Result<Self, McError> {
        let merton = match *model {
            Model::Gbm { vol } => Merton { vol, intensity: 0.0, jump_mean: 0.0, jump_vol: 0.0 },
            Model::Merton(merton) => merton,
        };
        merton.check(tau)?;
        let variance = merton.vol * merton.vol * tau;
        Ok(Self {
            drift: -0.5 * variance - merton.intensity * tau * merton.mean_jump(),
            variance,
            jump_mean: merton.jump_mean,
            jump_variance: merton.jump_vol * merton.jump_vol,
            cumulative: cumulative_poisson(merton.intensity * tau),
        })
    }

    /// `F_T/F` at a point of the unit square.
    fn growth(&self, u: &[f64; 2]) -> f64 {
        let jumps = f64::from(self.jumps(u[1]));
        let deviation = (self.variance + jumps * self.jump_variance).sqrt();
        exp(self.drift + jumps * self.jump_mean + deviation * norm_quantile(u[0]))
    }

    fn jumps(&self, u: f64) -> u32 {
        let n = self.cumulative.partition_point(|&p| p < u);
        u32::try_from(n).unwrap_or(u32::MAX)
    }
}

/// Cumulative Poisson probabilities up to where the next term no longer changes the sum.
fn cumulative_poisson(mean: f64) -> Vec<f64> {
    let (mut term, mut total, mut n) = (exp(-mean), 0.0, 0.0);
    let mut cumulative = Vec::new();
    loop {
        total += term;
        cumulative.push(total);
        n += 1.0;
        term *= mean / n;
        if n > mean && total + term <= total {
            return cumulative;
        }
    }
}

/// European option under Merton's jump diffusion by his series: undiscounted.
///
/// `sum_n e^(-l t)(l t)^n/n! Black(F e^(-l kappa t) (1 + kappa)^n, K, sqrt(vol^2 + n jump_vol^2/t), t)`,
/// `kappa = e^(jump_mean + jump_vol^2/2) - 1` (Merton 1976, "Option pricing when underlying stock returns are discontinuous").
///
/// ```
/// use plimsoll_quant::black::OptionKind;
/// use plimsoll_quant::mc::{Merton, merton_price};
/// let quiet = Merton { vol: 0.2, intensity: 0.0, jump_mean: -0.1, jump_vol: 0.1 };
/// let call = merton_price(OptionKind::Call, 100.0, 100.0, 1.0, &quiet).unwrap();
/// assert!((call - 7.965567455405804).abs() < 1e-12);
/// ```
///
/// # Errors
/// [`McError::Domain`], also when more than 500 jumps are expected.
pub fn merton_price(
    kind: OptionKind,
    forward: f64,
    strike: f64,
    tau: f64,
    model: &Merton,
) -> Result<f64, McError> {
    check_contract(forward, strike, tau)?;
    model.check(tau)?;
    if tau == 0.0 {
        return Ok(black::price(kind, forward, strike, model.vol, tau));
    }
    let mean = model.intensity * tau;
    let grown = mean * (1.0 + model.mean_jump());
    let (mut weight, mut total, mut n) = (exp(-mean), 0.0, 0.0);
    let mut mean_forward = forward * exp(-mean * model.mean_jump());
    loop {
        let vol = (model.vol * model.vol + n * model.jump_vol * model.jump_vol / tau).sqrt();
        total += weight * black::price(kind, mean_forward, strike, vol, tau);
        n += 1.0;
        weight *= mean / n;
        mean_forward *= 1.0 + model.mean_jump();
        // The rest of the series is below the tail of two Poisson laws, both past their means.
        let rest = weight * (mean_forward + strike);
        if n > 2.0 * mean.max(grown) && rest <= 1e-18 * (forward + strike) {
            return Ok(total);
        }
    }
}
