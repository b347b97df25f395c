//! The Basel traffic light on independent days.

use super::{check_rate, real, too_few};
use crate::special::{binomial_cdf, binomial_sf};
use crate::stats::StatsError;

/// Cumulative probability from which a count of breaches is yellow.
pub const GREEN_BELOW: f64 = 0.95;
/// Cumulative probability from which it is red.
pub const YELLOW_BELOW: f64 = 0.9999;

/// Zone of the traffic light.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Zone {
    /// Nothing speaks against the model.
    Green,
    /// More breaches than expected: the multiplier rises.
    Yellow,
    /// The model is presumed wrong.
    Red,
}

/// The counts at which zones begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneLimits {
    /// Least count that is not green (5 for 250 days at 99 %).
    pub yellow_from: u64,
    /// Least count that is red (10 for 250 days at 99 %).
    pub red_from: u64,
}

impl ZoneLimits {
    /// Zone of a count.
    #[must_use]
    pub fn zone(&self, breaches: u64) -> Zone {
        if breaches < self.yellow_from {
            Zone::Green
        } else if breaches < self.red_from {
            Zone::Yellow
        } else {
            Zone::Red
        }
    }
}

/// Probability of at most `breaches` in `observations` independent days at `rate`, and its zone: green below 95 %, yellow
/// below 99.99 % (Basel Committee 1996, table 2).
///
/// ```
/// use plimsoll_quant::backtest::{Zone, cumulative_zone};
/// let (cumulative, zone) = cumulative_zone(4, 250, 0.01).unwrap();
/// assert!((100.0 * cumulative - 89.22).abs() < 0.005);
/// assert_eq!(zone, Zone::Green);
/// ```
///
/// # Errors
/// [`StatsError`] for no observation, more breaches than observations, or a rate outside (0, 1).
pub fn cumulative_zone(breaches: u64, observations: u64, rate: f64) -> Result<(f64, Zone), StatsError> {
    check_rate("rate", rate)?;
    if breaches > observations {
        let domain = "at most the observations";
        return Err(StatsError::Domain { parameter: "breaches", value: real(breaches), domain });
    }
    let limits = zone_limits(observations, rate)?;
    Ok((binomial_cdf(breaches, observations, rate), limits.zone(breaches)))
}

/// Where the zones begin for `observations` independent days at `rate`: the largest `x` with `P(X <= x-1)` below the level.
///
/// # Errors
/// As [`cumulative_zone`].
pub fn zone_limits(observations: u64, rate: f64) -> Result<ZoneLimits, StatsError> {
    check_rate("rate", rate)?;
    if observations == 0 {
        return Err(too_few(0, 1));
    }
    Ok(ZoneLimits {
        yellow_from: least_at(GREEN_BELOW, observations, rate),
        red_from: least_at(YELLOW_BELOW, observations, rate),
    })
}

/// Least count whose cumulative probability reaches `level`, judged by the upper tail, which is the more accurate there.
fn least_at(level: f64, observations: u64, rate: f64) -> u64 {
    let (mut lo, mut hi) = (0, observations);
    while lo < hi {
        let middle = lo + (hi - lo) / 2;
        if binomial_sf(middle, observations, rate) <= 1.0 - level {
            hi = middle;
        } else {
            lo = middle + 1;
        }
    }
    hi
}

/// Plus factor of 1996 for breaches in 250 days at 99 %, added to a multiplier of 3 (Basel Committee 1996, table 2).
#[must_use]
pub fn plus_factor_1996(breaches: u64) -> f64 {
    match breaches {
        0..=4 => 0.0,
        5 => 0.40,
        6 => 0.50,
        7 => 0.65,
        8 => 0.75,
        9 => 0.85,
        _ => 1.00,
    }
}

/// Multiplier of the present standard for breaches in 250 days at 99 % (Basel Framework, MAR99.69, as commonly quoted).
#[must_use]
pub fn multiplier_mar99(breaches: u64) -> f64 {
    match breaches {
        0..=4 => 1.50,
        5 => 1.70,
        6 => 1.76,
        7 => 1.83,
        8 => 1.88,
        9 => 1.92,
        _ => 2.00,
    }
}
