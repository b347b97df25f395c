//! SSVI and eSSVI: a slice by its at-the-money total variance, correlation and curvature.
//!
//! `w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2))` (Gatheral and Jacquier 2014, section 4). The one
//! idea: every such slice is a raw SVI slice, so what the closed-form bounds leave open is decided by [`Svi::check`].
//! eSSVI lets `rho` change between slices (Hendriks and Martini 2019, "The extended SSVI volatility surface").

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::pow;
use crate::svi::{LEE_TOLERANCE, Svi, SviViolation, calendar_violation};

/// One slice of SSVI.
///
/// ```
/// use plimsoll_quant::ssvi::{Butterfly, SsviSlice};
/// let slice = SsviSlice { theta: 0.04, rho: -0.3, phi: 2.0 };
/// assert_eq!(slice.w(0.0), 0.04);
/// assert_eq!(slice.butterfly(), Butterfly::Free);
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SsviSlice {
    /// Total variance at the money, `> 0`.
    pub theta: f64,
    /// Correlation, `|rho| < 1`.
    pub rho: f64,
    /// Curvature, per unit of log-moneyness, `> 0`.
    pub phi: f64,
}

/// What the two closed-form bounds, and where they leave it open Durrleman's function, say of a slice.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Butterfly {
    /// First bound strictly met and second bound met: free of arbitrage (theorem 4.2).
    Free,
    /// First bound met with equality (a wing exactly at Lee's slope) and second bound met: free in the interior, on the
    /// boundary of what is allowed.
    Boundary,
    /// First bound strictly met, second exceeded, and `g >= 0` everywhere: free of arbitrage.
    FreeBySearch,
    /// First bound exceeded, `theta phi (1+|rho|) > 4`: a wing is too steep, though it may show only at `|k|` of order ten.
    FirstBound {
        /// `theta phi (1+|rho|)`.
        value: f64,
    },
    /// First bound met with equality and second exceeded: `theta phi^2 (1+|rho|) > 4`.
    SecondBound {
        /// `theta phi^2 (1+|rho|)`.
        value: f64,
    },
    /// Refused by the check of the raw slice.
    Refused(SviViolation),
}

impl Butterfly {
    /// Whether the slice may be priced on.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self, Self::Free | Self::Boundary | Self::FreeBySearch)
    }
}

/// Both closed-form bounds are against this number.
const BOUND: f64 = 4.0;
/// Rounding allowed on a bound meant to be met with equality.
const BOUND_TOLERANCE: f64 = 2.0 * LEE_TOLERANCE;

impl SsviSlice {
    /// Total variance at log-moneyness `k`.
    #[inline]
    #[must_use]
    pub fn w(&self, k: f64) -> f64 {
        let shifted = self.phi * k + self.rho;
        let root = (shifted * shifted + (1.0 - self.rho) * (1.0 + self.rho)).sqrt();
        0.5 * self.theta * (1.0 + self.rho * self.phi * k + root)
    }

    /// The same slice in raw SVI: `a = theta (1-rho^2)/2`, `b = theta phi/2`, `m = -rho/phi`, `sigma = sqrt(1-rho^2)/phi`.
    #[must_use]
    pub fn raw(&self) -> Svi {
        let rest = (1.0 - self.rho) * (1.0 + self.rho);
        Svi {
            a: 0.5 * self.theta * rest,
            b: 0.5 * self.theta * self.phi,
            rho: self.rho,
            m: -self.rho / self.phi,
            sigma: rest.sqrt() / self.phi,
        }
    }

    /// `theta phi`, the quantity eSSVI compares between slices.
    #[must_use]
    pub fn chi(&self) -> f64 {
        self.theta * self.phi
    }

    /// First bound's left side, `theta phi (1+|rho|)`: twice the steeper wing's slope, at most 4.
    #[must_use]
    pub fn first_bound(&self) -> f64 {
        self.theta * self.phi * (1.0 + self.rho.abs())
    }

    /// Second bound's left side, `theta phi^2 (1+|rho|)`.
    #[must_use]
    pub fn second_bound(&self) -> f64 {
        self.theta * self.phi * self.phi * (1.0 + self.rho.abs())
    }

    /// Butterfly arbitrage by the closed forms, and by `g` where they do not decide.
    ///
    /// First bound above 4: refused. First equal to 4 (to rounding): free on the boundary iff the second is at most 4.
    /// First below 4: free if the second is at most 4, else decided by [`Svi::check`].
    #[must_use]
    pub fn butterfly(&self) -> Butterfly {
        if let Err(violation) = self.check_domain() {
            return Butterfly::Refused(violation);
        }
        let (first, second) = (self.first_bound(), self.second_bound());
        if first > BOUND + BOUND_TOLERANCE {
            return Butterfly::FirstBound { value: first };
        }
        let second_met = second <= BOUND + BOUND_TOLERANCE;
        if first >= BOUND - BOUND_TOLERANCE {
            return if second_met { Butterfly::Boundary } else { Butterfly::SecondBound { value: second } };
        }
        if second_met {
            return Butterfly::Free;
        }
        match self.raw().check() {
            Ok(()) => Butterfly::FreeBySearch,
            Err(violation) => Butterfly::Refused(violation),
        }
    }

    fn check_domain(&self) -> Result<(), SviViolation> {
        let positive = |parameter, value: f64| {
            if value > 0.0 && value.is_finite() {
                return Ok(());
            }
            Err(SviViolation::Domain { parameter, value, domain: "finite and > 0" })
        };
        positive("theta", self.theta)?;
        positive("phi", self.phi)?;
        if !(self.rho.abs() < 1.0) {
            return Err(SviViolation::Domain { parameter: "rho", value: self.rho, domain: "|rho| < 1" });
        }
        Ok(())
    }
}

/// Power-law curvature `phi(theta) = eta/(theta^gamma (1+theta)^(1-gamma))`.
///
/// With `eta (1+|rho|) <= 2` and `gamma` in `(0, 1/2]` the whole surface is free of static arbitrage (Gatheral and Jacquier
/// 2014, remark 4.4).
#[must_use]
pub fn power_law_phi(eta: f64, gamma: f64, theta: f64) -> f64 {
    eta / (pow(theta, gamma) * pow(1.0 + theta, 1.0 - gamma))
}

/// Whether `phi = power_law_phi(eta, gamma, .)` with one `rho` gives a surface free of static arbitrage.
#[must_use]
pub fn power_law_is_free(eta: f64, gamma: f64, rho: f64) -> bool {
    eta > 0.0 && eta * (1.0 + rho.abs()) <= 2.0 && gamma > 0.0 && gamma <= 0.5 && rho.abs() < 1.0
}

/// Whether SSVI with one `rho` has no calendar arbitrage at `theta`, given `phi` and `d(theta phi)/d theta` there:
/// `0 <= d(theta phi)/d theta <= phi (1 + sqrt(1-rho^2))/rho^2` (theorem 4.1; no upper bound for `rho = 0`).
#[must_use]
pub fn ssvi_calendar_is_free(rho: f64, phi: f64, chi_slope: f64) -> bool {
    let rest = (1.0 - rho) * (1.0 + rho);
    chi_slope >= 0.0 && chi_slope * rho * rho <= phi * (1.0 + rest.sqrt())
}

/// Why two slices, or a surface, have arbitrage.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum SsviViolation {
    /// A slice has butterfly arbitrage.
    #[error("slice {index} has butterfly arbitrage: {verdict:?}")]
    Butterfly {
        /// Position in the surface.
        index: usize,
        /// The verdict.
        verdict: Butterfly,
    },
    /// At-the-money variance falls with time.
    #[error("slice {index}: theta falls from {near} to {far}")]
    Theta {
        /// Position of the farther slice.
        index: usize,
        /// Nearer slice's theta.
        near: f64,
        /// Farther slice's theta.
        far: f64,
    },
    /// A wing's slope falls with time: `|rho_2 chi_2 - rho_1 chi_1| > chi_2 - chi_1`.
    #[error("slice {index}: |rho chi| moves by {tilt}, chi by {rise}")]
    Wing {
        /// Position of the farther slice.
        index: usize,
        /// `|rho_2 chi_2 - rho_1 chi_1|`.
        tilt: f64,
        /// `chi_2 - chi_1`.
        rise: f64,
    },
    /// The slices cross between the money and the wings.
    #[error("slice {index}: the nearer expiry is above by {excess} at k = {k}")]
    Crossing {
        /// Position of the farther slice.
        index: usize,
        /// Log-moneyness.
        k: f64,
        /// `w_near - w_far` there.
        excess: f64,
    },
}

/// Hendriks and Martini's necessary conditions between two slices: `theta_2 >= theta_1`, `chi_2 >= chi_1`,
/// `|rho_2 chi_2 - rho_1 chi_1| <= chi_2 - chi_1`, equality (to rounding) allowed.
///
/// Sufficient with `phi_2 <= phi_1`; otherwise see [`essvi_calendar`].
#[must_use]
pub fn hendriks_martini(near: &SsviSlice, far: &SsviSlice) -> bool {
    necessary(near, far, 0).is_ok()
}

fn necessary(near: &SsviSlice, far: &SsviSlice, index: usize) -> Result<(), SsviViolation> {
    let rounding = 4.0 * f64::EPSILON;
    if far.theta < near.theta * (1.0 - rounding) {
        return Err(SsviViolation::Theta { index, near: near.theta, far: far.theta });
    }
    let rise = far.chi() - near.chi();
    let tilt = (far.rho * far.chi() - near.rho * near.chi()).abs();
    if tilt > rise + rounding * (far.chi() + near.chi()) {
        return Err(SsviViolation::Wing { index, tilt, rise });
    }
    Ok(())
}

/// Freedom from calendar arbitrage between two slices: the necessary conditions, and for `phi_2 > phi_1` the comparison
/// of both smiles over all `k`.
///
/// # Errors
/// The first [`SsviViolation`] found, with `index` 1.
pub fn essvi_calendar(near: &SsviSlice, far: &SsviSlice) -> Result<(), SsviViolation> {
    calendar_at(near, far, 1)
}

fn calendar_at(near: &SsviSlice, far: &SsviSlice, index: usize) -> Result<(), SsviViolation> {
    necessary(near, far, index)?;
    if far.phi <= near.phi {
        return Ok(());
    }
    match calendar_violation(&near.raw(), &far.raw()) {
        None => Ok(()),
        Some((k, excess)) => Err(SsviViolation::Crossing { index, k, excess }),
    }
}

/// Freedom from static arbitrage of a surface given by its slices in order of time.
///
/// # Errors
/// The first [`SsviViolation`], slices before pairs.
pub fn check_surface(slices: &[SsviSlice]) -> Result<(), SsviViolation> {
    for (index, slice) in slices.iter().enumerate() {
        let verdict = slice.butterfly();
        if !verdict.is_free() {
            return Err(SsviViolation::Butterfly { index, verdict });
        }
    }
    for (index, pair) in slices.windows(2).enumerate() {
        calendar_at(&pair[0], &pair[1], index + 1)?;
    }
    Ok(())
}
