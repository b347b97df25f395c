//! Jumps: which return is one, and how much of a variance they are.
//!
//! The one idea: a product of two neighbouring absolute returns hardly feels a jump, so volatility made of such products
//! (bipower variation) is what a return is measured against.
//!
//! Sources: Lee and Mykland (2008), Review of Financial Studies 21:2535, for single returns; Barndorff-Nielsen and Shephard (2004, 2006)
//! and Huang and Tauchen (2005), Journal of Financial Econometrics 3:456, for the share of a stretch.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{exp, exp_m1, ln, norm_cdf, pow};
use crate::stats::{StatsError, at_least, check_level, check_sample, count, enough, positive};
use crate::window::Window;
use serde::{Deserialize, Serialize};
use std::f64::consts::{FRAC_PI_2, PI};

/// `sqrt(2/pi)`: mean of the absolute value of a standard normal number.
const MEAN_ABS: f64 = 0.797_884_560_802_865_4;
/// `E|Z|^(4/3)` of a standard normal number, `2^(2/3) Gamma(7/6)/Gamma(1/2)`.
const MEAN_ABS_FOUR_THIRDS: f64 = 0.830_860_925_029_559_1;

/// What a return says of a jump.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct JumpReading {
    /// The return over the local volatility before it; its sign is that of the return.
    pub statistic: f64,
    /// Probability that the largest statistic of a stretch without jumps is at least as large, in [0, 1].
    pub p_value: f64,
    /// Whether the probability is below the level of the test.
    pub is_jump: bool,
}

/// The test of Lee and Mykland, one return at a time.
///
/// The local variance is `sum |r_j||r_{j-1}| / (window - 2)` over the `window - 1` returns before the tested one; the largest of
/// `stretch` statistics without a jump follows Gumbel's law with
///
/// ```text
/// C = sqrt(2 ln n)/c - (ln pi + ln ln n)/(2 c sqrt(2 ln n)),  S = 1/(c sqrt(2 ln n)),  c = sqrt(2/pi)
/// ```
///
/// ```
/// use plimsoll_quant::jump::JumpTest;
/// let mut test = JumpTest::new(16, 365, 0.01).unwrap();
/// for i in 0..40 {
///     let reading = test.update(if i % 2 == 0 { 0.01 } else { -0.011 }).unwrap();
///     assert_eq!(reading.is_some(), i >= 15);
///     assert!(!reading.is_some_and(|r| r.is_jump));
/// }
/// assert!(test.update(-0.12).unwrap().unwrap().is_jump);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JumpTest {
    recent: Window<f64>,
    centre: f64,
    spread: f64,
    level: f64,
}

impl JumpTest {
    /// Nothing seen yet: a local window of `window >= 3` returns with the tested one (16 for days, 156 for hours), the number of
    /// returns `stretch >= 3` over which `level` is the probability of a false alarm.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(window: usize, stretch: usize, level: f64) -> Result<Self, StatsError> {
        at_least("window", window, 3)?;
        at_least("stretch", stretch, 3)?;
        check_level(level)?;
        let log = ln(count(stretch));
        let root = (2.0 * log).sqrt();
        let centre = root / MEAN_ABS - (ln(PI) + ln(log)) / (2.0 * MEAN_ABS * root);
        let spread = 1.0 / (MEAN_ABS * root);
        Ok(Self { recent: Window::new(window - 1)?, centre, spread, level })
    }

    /// Tests the next return, then takes it in. No reading before the window is full, or where nothing moved in it.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when its square is not finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<Option<JumpReading>, StatsError> {
        if !(value * value).is_finite() {
            return Err(StatsError::NotFinite { index: self.recent.len(), value });
        }
        let reading = self.local_variance().ok().filter(|v| *v > 0.0).map(|v| self.read(value / v.sqrt()));
        self.recent.push(value);
        Ok(reading)
    }

    /// Local variance per step by bipower variation, without the factor `pi/2`, as the test wants it.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before the window is full.
    pub fn local_variance(&self) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.recent.length())?;
        let later = self.recent.iter().skip(1);
        let products = self.recent.iter().zip(later).map(|(a, b)| a.abs() * b.abs());
        Ok(products.fold(0.0, |sum, p| sum + p) / count(self.recent.len() - 1))
    }

    fn read(&self, statistic: f64) -> JumpReading {
        let gumbel = (statistic.abs() - self.centre) / self.spread;
        // 1 - exp(-e^(-x)), without loss where it is small.
        let p_value = -exp_m1(-exp(-gumbel));
        JumpReading { statistic, p_value, is_jump: p_value < self.level }
    }
}

/// How much of the variance of a stretch of returns is jumps.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct JumpShare {
    /// Sum of squares, `> 0`.
    pub realised: f64,
    /// Bipower variation `pi/2 n/(n-1) sum |r_j||r_{j-1}|`, `>= 0`.
    pub bipower: f64,
    /// `max(0, 1 - bipower/realised)`, in [0, 1].
    pub share: f64,
    /// The ratio statistic, standard normal without jumps.
    pub statistic: f64,
    /// Probability of a statistic at least as large without jumps.
    pub p_value: f64,
}

/// The share of jumps in the variance of `returns`, with the ratio test of Huang and Tauchen:
/// `(1 - BV/RV) / sqrt((pi^2/4 + pi - 5)/n max(1, TQ/BV^2))`, `TQ` the tripower quarticity.
///
/// # Errors
/// [`StatsError`] on fewer than three returns, one that is not finite, or returns of which no two neighbours move.
pub fn jump_share(returns: &[f64]) -> Result<JumpShare, StatsError> {
    check_sample(returns, 3)?;
    let n = count(returns.len());
    let realised = positive("realised variance", returns.iter().fold(0.0, |sum, r| sum + r * r))?;
    let pairs = returns.windows(2).fold(0.0, |sum, w| sum + w[0].abs() * w[1].abs());
    let bipower = positive("bipower variation", FRAC_PI_2 * (n / (n - 1.0)) * pairs)?;
    let powers: Vec<f64> = returns.iter().map(|r| pow(r.abs(), 4.0 / 3.0)).collect();
    let triples = powers.windows(3).fold(0.0, |sum, w| sum + w[0] * w[1] * w[2]);
    let cube = MEAN_ABS_FOUR_THIRDS * MEAN_ABS_FOUR_THIRDS * MEAN_ABS_FOUR_THIRDS;
    let quarticity = n * (n / (n - 2.0)) * triples / cube;
    let ratio = (quarticity / (bipower * bipower)).max(1.0);
    let excess = 1.0 - bipower / realised;
    let statistic = excess / ((0.25 * PI * PI + PI - 5.0) / n * ratio).sqrt();
    Ok(JumpShare { realised, bipower, share: excess.max(0.0), statistic, p_value: norm_cdf(-statistic) })
}
