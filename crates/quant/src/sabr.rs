//! The SABR model's implied volatility: the lognormal expansion of Hagan, Kumar, Lesniewski and Woodward (2002).
//!
//! The one idea: the expansion is a formula of its own, not the model. It gives a volatility for Black-76 and may allow
//! arbitrage at low strikes and long times; what is made of it has to be checked as any other surface is.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{ln_1p, ln_ratio, pow};

/// Why there is no volatility.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum SabrError {
    /// A parameter is outside its domain.
    #[error("{parameter} = {value} is outside its domain: {domain}")]
    Domain {
        /// Name.
        parameter: &'static str,
        /// Value.
        value: f64,
        /// The domain.
        domain: &'static str,
    },
    /// The expansion gives a volatility that is not finite and positive.
    #[error("the expansion gives {vol} at strike {strike}")]
    Breakdown {
        /// Strike.
        strike: f64,
        /// What came out.
        vol: f64,
    },
}

/// Parameters of `dF = a F^beta dW`, `da = nu a dZ`, `dW dZ = rho dt`, `a(0) = alpha`.
///
/// ```
/// use plimsoll_quant::sabr::Sabr;
/// let smile = Sabr { alpha: 0.3, beta: 0.6, nu: 0.02, rho: 0.01 };
/// let vol = smile.vol(0.039, 0.034, 1.0).unwrap();
/// assert!((vol - 1.13829711098834).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sabr {
    /// Volatility of the forward at the start, in units of `F^(1-beta)` per root year, `> 0`.
    pub alpha: f64,
    /// Backbone, in [0, 1]: 1 lognormal, 0 normal.
    pub beta: f64,
    /// Volatility of the volatility per root year, `>= 0`.
    pub nu: f64,
    /// Correlation, in (-1, 1).
    pub rho: f64,
}

fn check(parameter: &'static str, value: f64, fits: bool, domain: &'static str) -> Result<(), SabrError> {
    if fits && value.is_finite() { Ok(()) } else { Err(SabrError::Domain { parameter, value, domain }) }
}

impl Sabr {
    /// Black volatility at a strike, annualised decimal, for `tau >= 0` years:
    ///
    /// ```text
    /// A / (1 + (1-beta)^2 l^2/24 + (1-beta)^4 l^4/1920)  z/chi(z)
    ///   (1 + tau ((1-beta)^2 A^2/24 + rho beta nu A/4 + (2 - 3 rho^2) nu^2/24))
    /// A = alpha/(F K)^((1-beta)/2),  l = ln(F/K),  z = (nu/A) l,
    /// chi(z) = ln((sqrt(1 - 2 rho z + z^2) + z - rho)/(1 - rho)),  z/chi = 1 at z = 0
    /// ```
    ///
    /// # Errors
    /// [`SabrError::Domain`] for a parameter outside its domain, or a forward or strike that is not positive;
    /// [`SabrError::Breakdown`] where the correction in time makes the volatility negative.
    pub fn vol(&self, forward: f64, strike: f64, tau: f64) -> Result<f64, SabrError> {
        self.check()?;
        check("forward", forward, forward > 0.0, "finite and > 0")?;
        check("strike", strike, strike > 0.0, "finite and > 0")?;
        check("tau", tau, tau >= 0.0, "finite and >= 0")?;
        let skew = 1.0 - self.beta;
        let log = ln_ratio(forward, strike).hi;
        // Root by root: the product of two small or large prices may leave the range.
        let level = self.alpha / (pow(forward, 0.5 * skew) * pow(strike, 0.5 * skew));
        let slope = skew * skew * log * log;
        let backbone = level / (1.0 + slope / 24.0 + slope * slope / 1920.0);
        let ratio = stretch(self.nu / level * log, self.rho);
        let vol = backbone * ratio * (1.0 + tau * self.drift(level));
        if vol > 0.0 && vol.is_finite() { Ok(vol) } else { Err(SabrError::Breakdown { strike, vol }) }
    }

    /// Relative correction per year.
    fn drift(&self, level: f64) -> f64 {
        let skew = 1.0 - self.beta;
        skew * skew * level * level / 24.0
            + 0.25 * self.rho * self.beta * self.nu * level
            + (2.0 - 3.0 * self.rho * self.rho) * self.nu * self.nu / 24.0
    }

    fn check(&self) -> Result<(), SabrError> {
        check("alpha", self.alpha, self.alpha > 0.0, "finite and > 0")?;
        check("beta", self.beta, (0.0..=1.0).contains(&self.beta), "[0, 1]")?;
        check("nu", self.nu, self.nu >= 0.0, "finite and >= 0")?;
        check("rho", self.rho, self.rho.abs() < 1.0, "(-1, 1)")
    }
}

/// `z/chi(z)`, without loss near 0 and far out on either side.
///
/// With `s = sqrt(1 - 2 rho z + z^2)` both `(s + z - rho)/(1 - rho)` and, times its conjugate, `(1 + rho)/(s - z + rho)` are the
/// argument of the logarithm; each is 1 plus a quotient that does not cancel on its side.
fn stretch(z: f64, rho: f64) -> f64 {
    if z == 0.0 {
        return 1.0;
    }
    let square = z * z - 2.0 * rho * z;
    let root_less_one = square / ((1.0 + square).max(0.0).sqrt() + 1.0);
    let chi = if z > 0.0 {
        ln_1p((root_less_one + z) / (1.0 - rho))
    } else {
        -ln_1p((root_less_one - z) / (1.0 + rho))
    };
    z / chi
}
