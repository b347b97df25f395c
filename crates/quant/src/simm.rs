//! The aggregation algebra of a sensitivity-based initial margin: weighted sensitivities, concentration, correlation, curvature.
//!
//! This is the algebra of the ISDA Standard Initial Margin Model, **for checking only**: commercial use of the model needs a licence
//! from ISDA, and none of its calibration is here. Risk weights, correlations, thresholds and volatility ratios are inputs.
//!
//! The one idea: a margin is the standard deviation of a sum, `sqrt(sum of rho WS WS)`, of sensitivities weighted by how far each
//! risk factor may move; only curvature, whose loss is one-sided, needs a quantile of a chi-square.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::norm_quantile;

/// Why there is no margin.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum SimmError {
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
    /// The correlations do not belong to any set of variables: the variance of the sum is negative.
    #[error("the correlations give a negative variance: {variance}")]
    NotCorrelations {
        /// The sum of products.
        variance: f64,
    },
}

fn check(parameter: &'static str, value: f64, fits: bool, domain: &'static str) -> Result<(), SimmError> {
    if fits && value.is_finite() { Ok(()) } else { Err(SimmError::Domain { parameter, value, domain }) }
}

/// The length of a tenor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tenor {
    /// Weeks of 7 days.
    Weeks(u32),
    /// Months of 365/12 days.
    Months(u32),
    /// Years of 365 days.
    Years(u32),
}

impl Tenor {
    /// Calendar days.
    #[must_use]
    pub fn days(self) -> f64 {
        match self {
            Self::Weeks(n) => 7.0 * f64::from(n),
            Self::Months(n) => 365.0 * f64::from(n) / 12.0,
            Self::Years(n) => 365.0 * f64::from(n),
        }
    }
}

/// Margin period of risk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Horizon {
    /// Ten days: regulatory margin.
    TenDays,
    /// One day: its own risk weights, and curvature times 0.1.
    OneDay,
}

impl Horizon {
    fn curvature_scale(self) -> f64 {
        match self {
            Self::TenDays => 1.0,
            Self::OneDay => 0.1,
        }
    }
}

/// Concentration factor `max(1, sqrt(abs(net)/threshold))` of a bucket, `net` the sum of its sensitivities.
///
/// # Errors
/// [`SimmError::Domain`] for a sum that is not finite or a threshold that is not positive.
pub fn concentration(net: f64, threshold: f64) -> Result<f64, SimmError> {
    check("net sensitivity", net, true, "finite")?;
    check("threshold", threshold, threshold > 0.0, "finite and > 0")?;
    Ok((net.abs() / threshold).sqrt().max(1.0))
}

/// Margin of a bucket, `sqrt(sum over k, l of rho(k, l) WS_k WS_l)`: weighted sensitivities `WS = RW s CR` (vega: `VRW v VCR`).
///
/// `correlation(k, l)` is asked for `k < l` only; a sensitivity's correlation with itself is 1.
///
/// ```
/// use plimsoll_quant::simm::bucket_margin;
/// let k = bucket_margin(&[3.0, 4.0], |_, _| 0.5).unwrap();
/// assert!((k - 37f64.sqrt()).abs() < 1e-15);
/// ```
///
/// # Errors
/// [`SimmError`] for a number that is not finite, a correlation outside [-1, 1], or correlations that cannot be.
pub fn bucket_margin(weighted: &[f64], correlation: impl Fn(usize, usize) -> f64) -> Result<f64, SimmError> {
    root(quadratic(weighted, correlation)?)
}

/// The variance of a sum, and the size of its terms.
fn quadratic(weighted: &[f64], correlation: impl Fn(usize, usize) -> f64) -> Result<(f64, f64), SimmError> {
    let (mut variance, mut size) = (0.0, 0.0);
    for (k, &a) in weighted.iter().enumerate() {
        check("weighted sensitivity", a, true, "finite")?;
        variance += a * a;
        size += a * a;
        for (above, &b) in weighted[k + 1..].iter().enumerate() {
            let rho = correlation(k, k + 1 + above);
            check("correlation", rho, rho.abs() <= 1.0, "[-1, 1]")?;
            variance += 2.0 * (rho * a * b);
        }
    }
    Ok((variance, size))
}

fn root((variance, size): (f64, f64)) -> Result<f64, SimmError> {
    // A hedge that cancels leaves rounding of either sign; anything larger is not a variance.
    if variance < -1e-10 * size {
        return Err(SimmError::NotCorrelations { variance });
    }
    Ok(variance.max(0.0).sqrt())
}

/// A bucket (a currency, for interest rates) as the next level sees it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bucket {
    /// Its margin `K`, `>= 0`.
    pub margin: f64,
    /// Sum of its weighted sensitivities.
    pub net: f64,
    /// Its concentration factor.
    pub concentration: f64,
}

/// Margin across buckets: `sqrt(sum K_b^2 + sum over b != c of gamma(b, c) g(b, c) S_b S_c)` with `S_b` the net limited to `+-K_b` and
/// `g = min(CR_b, CR_c)/max(CR_b, CR_c)`.
///
/// # Errors
/// As [`bucket_margin`]; [`SimmError::Domain`] for a negative margin or a concentration below 1.
pub fn across_buckets(buckets: &[Bucket], gamma: impl Fn(usize, usize) -> f64) -> Result<f64, SimmError> {
    let (mut variance, mut size) = (0.0, 0.0);
    for (b, one) in buckets.iter().enumerate() {
        check("bucket margin", one.margin, one.margin >= 0.0, "finite and >= 0")?;
        check("concentration", one.concentration, one.concentration >= 1.0, "finite and >= 1")?;
        check("net", one.net, true, "finite")?;
        variance += one.margin * one.margin;
        size += one.margin * one.margin;
        for (c, other) in buckets.iter().enumerate().take(b) {
            let rho = gamma(c, b);
            check("correlation", rho, rho.abs() <= 1.0, "[-1, 1]")?;
            let (low, high) =
                (one.concentration.min(other.concentration), one.concentration.max(other.concentration));
            variance += 2.0 * rho * (low / high) * limited(one) * limited(other);
        }
    }
    root((variance, size))
}

fn limited(bucket: &Bucket) -> f64 {
    bucket.net.clamp(-bucket.margin, bucket.margin)
}

/// Scaling function of curvature: `SF = 0.5 min(1, 14/days)`.
///
/// # Errors
/// [`SimmError::Domain`] for a tenor of no days.
pub fn curvature_scaling(tenor: Tenor) -> Result<f64, SimmError> {
    let days = tenor.days();
    check("days", days, days > 0.0, "> 0")?;
    Ok(0.5 * (14.0 / days).min(1.0))
}

/// Curvature margin of one bucket, `>= 0`, of curvature risks `CVR = SF v` (`v` the vega sensitivity, long options positive):
///
/// ```text
/// theta  = min(sum CVR/sum |CVR|, 0)                      0 where there is none
/// lambda = (N^-1(0.995)^2 - 1)(1 + theta) - theta
/// margin = max(sum CVR + lambda sqrt(sum rho^2 CVR CVR), 0)/hvr^2      one day: times 0.1
/// ```
///
/// The other party of the trades has the risks with the other sign. `hvr` is the historical volatility ratio (1 outside interest
/// rates).
///
/// # Errors
/// As [`bucket_margin`]; [`SimmError::Domain`] for a ratio that is not positive.
pub fn curvature_margin(
    risks: &[f64],
    correlation: impl Fn(usize, usize) -> f64,
    hvr: f64,
    horizon: Horizon,
) -> Result<f64, SimmError> {
    check("hvr", hvr, hvr > 0.0, "finite and > 0")?;
    let squared = |k: usize, l: usize| {
        let rho = correlation(k, l);
        rho * rho
    };
    let spread = bucket_margin(risks, squared)?;
    let (sum, size) = risks.iter().fold((0.0, 0.0), |(sum, size), v| (sum + v, size + v.abs()));
    let theta = if size > 0.0 { (sum / size).min(0.0) } else { 0.0 };
    let z = norm_quantile(0.995);
    let lambda = (z * z - 1.0) * (1.0 + theta) - theta;
    Ok(horizon.curvature_scale() * (sum + lambda * spread).max(0.0) / (hvr * hvr))
}

/// Parts of the margin of a risk class.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RiskClassMargin {
    /// Of first-order moves.
    pub delta: f64,
    /// Of moves of volatility.
    pub vega: f64,
    /// Of the second order.
    pub curvature: f64,
}

impl RiskClassMargin {
    /// The parts, added.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.delta + self.vega + self.curvature
    }
}
