//! Which of two forecasts of a quantile is better?

use crate::special::{norm_cdf, pow};
use crate::stats::{StatsError, check_level, check_sample, count, finite, mean, positive};

/// Quantile (pinball) loss of a forecast at `level` when `outcome` came: `(level - [outcome < forecast]) (outcome - forecast)`, `>= 0`.
///
/// For a margin at 99 % against the loss that came after it, the level is 0.99: what is uncovered costs 99 times what is
/// covered in excess.
///
/// # Errors
/// [`StatsError`] for a level outside (0, 1) or a number that is not finite.
pub fn pinball_loss(outcome: f64, forecast: f64, level: f64) -> Result<f64, StatsError> {
    check_level(level)?;
    let excess = finite(0, outcome)? - finite(0, forecast)?;
    Ok(if excess < 0.0 { (level - 1.0) * excess } else { level * excess })
}

/// Long-run variance of the mean of a series (Newey and West 1987): `(g_0 + 2 sum_{k <= lags} (1 - k/(lags + 1)) g_k) / n` with
/// autocovariances `g_k` over `n`, `>= 0`.
///
/// # Errors
/// [`StatsError`] on a series no longer than the lags, or a value that is not finite.
pub fn newey_west_variance(series: &[f64], lags: usize) -> Result<f64, StatsError> {
    check_sample(series, lags.saturating_add(2))?;
    let centre = mean(series)?;
    let n = count(series.len());
    let autocovariance = |k: usize| {
        let pairs = series.iter().zip(&series[k..]);
        pairs.fold(0.0, |sum, (a, b)| sum + (a - centre) * (b - centre)) / n
    };
    let weighted = |k: usize| 2.0 * (1.0 - count(k) / count(lags + 1)) * autocovariance(k);
    Ok((1..=lags).fold(autocovariance(0), |sum, k| sum + weighted(k)) / n)
}

/// Lags for a series of `n`: `floor(4 (n/100)^(2/9))` (Newey and West 1994).
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
pub fn newey_west_lags(n: usize) -> usize {
    (4.0 * pow(count(n) / 100.0, 2.0 / 9.0)).floor() as usize
}

/// The test of Diebold and Mariano (1995) of equal expected losses.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct DieboldMariano {
    /// Mean of the first series of losses less that of the second: negative when the first forecast is better.
    pub difference: f64,
    /// The difference over its standard error, standard normal when both are equally good.
    pub statistic: f64,
    /// Lags of the long-run variance.
    pub lags: usize,
}

impl DieboldMariano {
    /// Compares two series of losses in step; the lags of [`newey_west_lags`] where none are given. For overlapping horizons of
    /// `h` days give at least `h - 1`.
    ///
    /// ```
    /// use plimsoll_quant::backtest::DieboldMariano;
    /// let better = [0.1, 0.2, 0.1, 0.3, 0.2, 0.1, 0.2, 0.3];
    /// let worse = [0.3, 0.3, 0.2, 0.5, 0.3, 0.3, 0.2, 0.5];
    /// let test = DieboldMariano::of(&better, &worse, Some(0)).unwrap();
    /// assert!((test.difference + 0.1375).abs() < 1e-15);
    /// assert!(test.p_first_not_better() < 1e-6);
    /// ```
    ///
    /// # Errors
    /// [`StatsError`] on series of different length, no longer than the lags, with a value that is not finite, or whose
    /// difference does not vary.
    pub fn of(first: &[f64], second: &[f64], lags: Option<usize>) -> Result<Self, StatsError> {
        if first.len() != second.len() {
            return Err(StatsError::Lengths { left: first.len(), right: second.len() });
        }
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        let lags = lags.unwrap_or_else(|| newey_west_lags(differences.len()));
        let variance = newey_west_variance(&differences, lags)?;
        let difference = mean(&differences)?;
        let statistic = difference / positive("long-run variance", variance)?.sqrt();
        Ok(Self { difference, statistic, lags })
    }

    /// Two-sided: probability of a difference at least as large when both are equally good.
    #[must_use]
    pub fn p_equal(&self) -> f64 {
        2.0 * norm_cdf(-self.statistic.abs())
    }

    /// One-sided: probability of the first being ahead this far or further when it is no better. Small: the first is better.
    #[must_use]
    pub fn p_first_not_better(&self) -> f64 {
        norm_cdf(self.statistic)
    }
}
