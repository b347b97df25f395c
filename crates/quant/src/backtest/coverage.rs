//! Likelihood-ratio tests of how many breaches there were and when.

use super::{check_rate, real, too_few};
use crate::special::{chi2_cdf, chi2_sf, ln};
use crate::stats::StatsError;
use std::ops::RangeInclusive;

/// A likelihood ratio, `>= 0`, with the chi-square law it follows for a model that is right.
///
/// ```
/// use plimsoll_quant::backtest::kupiec_pof;
/// let test = kupiec_pof(1043, 57, 0.05).unwrap();
/// assert!((test.statistic - 0.46146639532895506).abs() < 1e-12);
/// assert!((test.p_value() - 0.4969394476803891).abs() < 1e-12);
/// assert!(!test.rejects_at(0.95));
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LikelihoodRatio {
    /// Twice the logarithm of the ratio.
    pub statistic: f64,
    /// Degrees of freedom of its law; 0 where there was nothing to test and the statistic is 0.
    pub freedom: u64,
}

impl LikelihoodRatio {
    /// Probability of a statistic at least as large when the model is right; 1 where nothing was tested.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        if self.freedom == 0 { 1.0 } else { chi2_sf(self.statistic, real(self.freedom)) }
    }

    /// Whether the statistic is beyond the chi-square quantile at `confidence` (0.95: 3.841459 for one degree).
    #[must_use]
    pub fn rejects_at(&self, confidence: f64) -> bool {
        self.freedom > 0 && chi2_cdf(self.statistic, real(self.freedom)) > confidence
    }

    /// Both tests together: statistics and degrees of freedom add.
    #[must_use]
    pub fn with(&self, other: &Self) -> Self {
        Self { statistic: self.statistic + other.statistic, freedom: self.freedom + other.freedom }
    }
}

/// `count ln(count/expected) - (count - expected)`, `>= 0`, without loss where the two are close; `0 ln 0 = 0`.
///
/// A likelihood ratio of frequencies is twice the sum of these over its cells, since the linear parts cancel there: so a ratio
/// near 0 is found as a sum of small terms and not as a difference of large ones.
fn divergence(count: u64, expected: f64) -> f64 {
    let observed = real(count);
    if count == 0 || expected == 0.0 {
        return expected;
    }
    let excess = (observed - expected) / expected;
    if excess.abs() > 0.1 {
        return observed * ln(observed / expected) - (observed - expected);
    }
    // (1 + d) ln(1 + d) - d = d^2 (1/2 - d/6 + d^2/12 - ...), coefficients 1/(k (k-1))
    let series = (2..=TERMS).rev().fold(0.0, |sum, k| 1.0 / (f64::from(k) * f64::from(k - 1)) - excess * sum);
    expected * excess * excess * series
}

/// Terms after which a tenth to that power no longer counts.
const TERMS: u32 = 18;

/// Twice the logarithm of the likelihood of `hits` and `misses` at their own frequency over that at `rate`.
fn ratio_to(hits: u64, misses: u64, rate: f64) -> f64 {
    let total = real(hits + misses);
    2.0 * (divergence(hits, total * rate) + divergence(misses, total * (1.0 - rate)))
}

/// Proportion of failures (Kupiec 1995): `-2[(T-x) ln(1-p) + x ln p - (T-x) ln(1-x/T) - x ln(x/T)]`, chi-square with 1.
///
/// Two-sided: too few breaches are rejected as well as too many.
///
/// # Errors
/// [`StatsError`] for no observation, more breaches than observations, or a rate outside (0, 1).
pub fn kupiec_pof(observations: u64, breaches: u64, rate: f64) -> Result<LikelihoodRatio, StatsError> {
    check_rate("rate", rate)?;
    if observations == 0 {
        return Err(too_few(0, 1));
    }
    let Some(quiet) = observations.checked_sub(breaches) else {
        let domain = "at most the observations";
        return Err(StatsError::Domain { parameter: "breaches", value: real(breaches), domain });
    };
    Ok(LikelihoodRatio { statistic: ratio_to(breaches, quiet, rate), freedom: 1 })
}

/// Time until the first failure (Kupiec 1995), which came on day `first >= 1`:
/// `-2[ln p + (n-1) ln(1-p)] + 2[ln(1/n) + (n-1) ln(1 - 1/n)]`, chi-square with 1.
///
/// # Errors
/// [`StatsError::Domain`] for day 0 or a rate outside (0, 1).
pub fn kupiec_tuff(first: u64, rate: f64) -> Result<LikelihoodRatio, StatsError> {
    check_rate("rate", rate)?;
    if first == 0 {
        return Err(StatsError::Domain { parameter: "day of the first breach", value: 0.0, domain: ">= 1" });
    }
    Ok(LikelihoodRatio { statistic: ratio_to(1, first - 1, rate), freedom: 1 })
}

/// How often a day with or without a breach was followed by one: `nij` counts days in state `j` after a day in state `i`,
/// 1 for a breach.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Transitions {
    /// Quiet after quiet.
    pub n00: u64,
    /// Breach after quiet.
    pub n01: u64,
    /// Quiet after breach.
    pub n10: u64,
    /// Breach after breach.
    pub n11: u64,
}

impl Transitions {
    /// Counts the `T - 1` transitions of a series of days, true for a breach.
    #[must_use]
    pub fn of(breaches: &[bool]) -> Self {
        let mut counts = Self::default();
        for pair in breaches.windows(2) {
            let counter = match (pair[0], pair[1]) {
                (false, false) => &mut counts.n00,
                (false, true) => &mut counts.n01,
                (true, false) => &mut counts.n10,
                (true, true) => &mut counts.n11,
            };
            *counter += 1;
        }
        counts
    }
}

/// Independence (Christoffersen 1998): is a breach as likely after a breach as after a quiet day? Chi-square with 1.
///
/// `-2[(n00+n10) ln(1-pi) + (n01+n11) ln pi - n00 ln(1-pi01) - n01 ln pi01 - n10 ln(1-pi11) - n11 ln pi11]` with the three
/// frequencies of breaches: overall, after quiet, after a breach.
///
/// # Errors
/// [`StatsError::TooFew`] without a transition.
pub fn christoffersen_independence(n: &Transitions) -> Result<LikelihoodRatio, StatsError> {
    let (quiet, breaches) = (n.n00 + n.n10, n.n01 + n.n11);
    if quiet + breaches == 0 {
        return Err(too_few(0, 1));
    }
    let overall = real(breaches) / real(quiet + breaches);
    let statistic = ratio_to(n.n01, n.n00, overall) + ratio_to(n.n11, n.n10, overall);
    Ok(LikelihoodRatio { statistic, freedom: 1 })
}

/// Conditional coverage (Christoffersen 1998): proportion of failures and independence together, chi-square with 2.
///
/// `observations` and `breaches` are of the whole series, which has one day more than transitions.
///
/// # Errors
/// As [`kupiec_pof`] and [`christoffersen_independence`].
pub fn christoffersen_coverage(
    observations: u64,
    breaches: u64,
    rate: f64,
    transitions: &Transitions,
) -> Result<LikelihoodRatio, StatsError> {
    let proportion = kupiec_pof(observations, breaches, rate)?;
    Ok(proportion.with(&christoffersen_independence(transitions)?))
}

/// Time between failures (Haas 2001): the sum of [`kupiec_tuff`] over the gaps, chi-square with as many degrees.
///
/// A gap is the number of days from one breach to the next, the first one from the start of the series; all `>= 1`.
///
/// # Errors
/// As [`kupiec_tuff`].
pub fn haas_independence(gaps: &[u64], rate: f64) -> Result<LikelihoodRatio, StatsError> {
    check_rate("rate", rate)?;
    let mut all = LikelihoodRatio { statistic: 0.0, freedom: 0 };
    for &gap in gaps {
        all = all.with(&kupiec_tuff(gap, rate)?);
    }
    Ok(all)
}

/// Mixed test of Haas: time between failures and proportion of failures together, chi-square with `x + 1`.
///
/// # Errors
/// As [`kupiec_tuff`] and [`kupiec_pof`].
pub fn haas_coverage(gaps: &[u64], observations: u64, rate: f64) -> Result<LikelihoodRatio, StatsError> {
    let breaches = gaps.len() as u64;
    Ok(haas_independence(gaps, rate)?.with(&kupiec_pof(observations, breaches, rate)?))
}

/// Counts of breaches that [`kupiec_pof`] does not reject at `confidence`: one run of integers.
///
/// ```
/// use plimsoll_quant::backtest::acceptance_region;
/// // Kupiec (1995): 16 < N < 36 at p = 0.05 over 510 days.
/// assert_eq!(acceptance_region(510, 0.05, 0.95), Ok(17..=35));
/// ```
///
/// # Errors
/// As [`kupiec_pof`]; [`StatsError::Domain`] for a confidence outside (0, 1), or so low that no count is accepted.
pub fn acceptance_region(
    observations: u64,
    rate: f64,
    confidence: f64,
) -> Result<RangeInclusive<u64>, StatsError> {
    check_rate("confidence", confidence)?;
    let accepted = |x: u64| Ok(!kupiec_pof(observations, x, rate)?.rejects_at(confidence));
    // The statistic falls up to the expected count and rises after it.
    let (below, above) = nearest_counts(observations, rate);
    let inside = if accepted(below)? { below } else { above };
    if !accepted(inside)? {
        let domain = "high enough that a count is accepted";
        return Err(StatsError::Domain { parameter: "confidence", value: confidence, domain });
    }
    let first = edge(0, inside, accepted)?;
    let last = edge(0, observations - inside, |x| accepted(observations - x))?;
    Ok(first..=observations - last)
}

/// The integers around `T p`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the observations")]
fn nearest_counts(observations: u64, rate: f64) -> (u64, u64) {
    let below = (real(observations) * rate).floor() as u64;
    (below.min(observations), (below + 1).min(observations))
}

/// Least `x` in `lo..=hi` that is accepted, where `hi` is and acceptance does not stop in between.
fn edge(
    mut lo: u64,
    mut hi: u64,
    accepted: impl Fn(u64) -> Result<bool, StatsError>,
) -> Result<u64, StatsError> {
    while lo < hi {
        let middle = lo + (hi - lo) / 2;
        if accepted(middle)? {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    Ok(hi)
}
