//! Backtests: is a stated value at risk or expected shortfall what it says?
//!
//! The one idea: a backtest sees only counts, positions or sizes of breaches and compares them with what the stated model
//! gives by chance. Nothing here knows what was held or how the measure was made.
//!
//! - coverage: [`kupiec_pof`], [`kupiec_tuff`], [`christoffersen_independence`], [`haas_independence`] and their
//!   combinations, each a likelihood ratio; [`acceptance_region`], the counts of breaches a test does not reject;
//! - zones: the Basel traffic light ([`cumulative_zone`], [`zone_limits`]) for independent days, and [`OverlappingLaw`] for
//!   overlapping horizons, where breaches come in clusters and binomial limits are far too narrow;
//! - comparison: [`pinball_loss`] of quantile forecasts and [`DieboldMariano`], which of two is better;
//! - shortfall: the statistics of Acerbi and Szekely, [`z1`], [`z2`], [`z3`], and [`z2_critical_value`].
//!
//! Symbols: `T` observations, `x` breaches, `p` expected rate of breaches (1 less the confidence). `0 ln 0 = 0`.

mod comparison;
mod coverage;
mod overlapping;
mod shortfall;
mod zones;

pub use comparison::{DieboldMariano, newey_west_lags, newey_west_variance, pinball_loss};
pub use coverage::{
    LikelihoodRatio, Transitions, acceptance_region, christoffersen_coverage, christoffersen_independence,
    haas_coverage, haas_independence, kupiec_pof, kupiec_tuff,
};
pub use overlapping::{OverlappingLaw, OverlappingSpec, sampling_error};
pub use shortfall::{ShortfallDay, z1, z2, z2_critical_value, z3};
pub use zones::{
    GREEN_BELOW, YELLOW_BELOW, Zone, ZoneLimits, cumulative_zone, multiplier_mar99, plus_factor_1996,
    zone_limits,
};

use crate::stats::StatsError;

/// A probability strictly inside (0, 1).
fn check_rate(parameter: &'static str, value: f64) -> Result<(), StatsError> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(StatsError::Domain { parameter, value, domain: "(0, 1)" })
}

/// A count as a number.
#[allow(clippy::cast_precision_loss, reason = "no backtest has 2^53 observations")]
fn real(count: u64) -> f64 {
    count as f64
}

fn too_few(observations: u64, needed: usize) -> StatsError {
    StatsError::TooFew { observations: usize::try_from(observations).unwrap_or(usize::MAX), needed }
}
