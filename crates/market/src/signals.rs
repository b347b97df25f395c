//! A surface as a trader reads it: level, skew, curvature and slope at constant maturities.

use crate::surface::{SurfaceError, UnderlyingSurface};
use plimsoll_quant::roots::{RootError, brent};
use plimsoll_quant::special::{ln, norm_cdf};
use plimsoll_types::Timestamp;

/// Readings of one underlying's surface.
#[derive(Clone, PartialEq, Debug)]
pub struct Signals {
    /// One reading per tenor asked for, in the order asked.
    pub tenors: Vec<TenorSignals>,
    /// Slope of at-the-money volatility from the shortest to the longest tenor, per unit of `ln(days)`; negative when
    /// the term structure is inverted. `None` for fewer than two different tenors.
    pub term_slope: Option<f64>,
}

/// Readings at one constant maturity. Volatilities are annualised decimals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TenorSignals {
    /// Days from `as_of`.
    pub days: f64,
    /// Volatility at the forward, `k = 0`.
    pub atm_vol: f64,
    /// 25-delta risk reversal: call volatility less put volatility; negative when puts are dearer.
    pub risk_reversal_25d: f64,
    /// 25-delta butterfly: mean of call and put volatility less at-the-money volatility.
    pub butterfly_25d: f64,
    /// Whether the tenor lies outside the fitted expiries, where volatility is held flat in time (up to
    /// [`crate::surface::TENOR_RATIO_MAX`]; farther out there is no reading).
    pub extrapolated: bool,
}

/// Why there is no reading.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SignalsError {
    /// A tenor is not a finite positive number of days below 36500.
    #[error("tenor of {days} days: expected more than 0 and less than 36500")]
    Tenor {
        /// What was asked for.
        days: f64,
    },
    /// The surface has no answer.
    #[error(transparent)]
    Surface(#[from] SurfaceError),
    /// No strike has the delta asked for.
    #[error("no strike has N(d1) = {n_d1} at {days} days: {source}")]
    Delta {
        /// The delta, as `N(d1)`.
        n_d1: f64,
        /// The tenor.
        days: f64,
        /// What the search said.
        source: RootError,
    },
}

/// Constant-maturity at-the-money volatility, 25-delta risk reversal and butterfly for each tenor in days, and the term
/// slope.
///
/// Delta is the forward delta of Black-76, not adjusted for a premium in coin: the 25-delta call has `N(d1) = 0.25`, the
/// 25-delta put `N(d1) = 0.75`, with `d1 = -k/(vol sqrt(tau)) + vol sqrt(tau)/2` on the smile's own volatility.
///
/// # Errors
/// [`SignalsError`] when a tenor is not positive, nothing was fitted near it in time, or no strike has the delta.
pub fn signals(
    surface: &UnderlyingSurface,
    as_of: Timestamp,
    tenors: &[f64],
) -> Result<Signals, SignalsError> {
    let tenors: Vec<TenorSignals> =
        tenors.iter().map(|&days| reading(surface, as_of, days)).collect::<Result<_, _>>()?;
    let shortest = tenors.iter().min_by(|a, b| a.days.total_cmp(&b.days));
    let longest = tenors.iter().max_by(|a, b| a.days.total_cmp(&b.days));
    let term_slope = match (shortest, longest) {
        (Some(s), Some(l)) if l.days > s.days => Some((l.atm_vol - s.atm_vol) / ln(l.days / s.days)),
        _ => None,
    };
    Ok(Signals { tenors, term_slope })
}

fn reading(surface: &UnderlyingSurface, as_of: Timestamp, days: f64) -> Result<TenorSignals, SignalsError> {
    if !(days > 0.0 && days < 36_500.0) {
        return Err(SignalsError::Tenor { days });
    }
    let expiry = Timestamp::from_nanos(as_of.nanos().saturating_add((days * 86_400e9).round() as i64));
    let tau = as_of.years_until(expiry);
    let atm_vol = surface.vol(expiry, 0.0)?;
    let call = vol_at_delta(surface, expiry, (tau, atm_vol), 0.25, days)?;
    let put = vol_at_delta(surface, expiry, (tau, atm_vol), 0.75, days)?;
    let inside = |first: Timestamp, last: Timestamp| first <= expiry && expiry <= last;
    let listed = surface.slices.first().zip(surface.slices.last());
    Ok(TenorSignals {
        days,
        atm_vol,
        risk_reversal_25d: call - put,
        butterfly_25d: 0.5 * (call + put) - atm_vol,
        extrapolated: !listed.is_some_and(|(first, last)| inside(first.expiry, last.expiry)),
    })
}

/// Volatility at the strike where `N(d1)` is `n_d1`.
fn vol_at_delta(
    surface: &UnderlyingSurface,
    expiry: Timestamp,
    (tau, atm_vol): (f64, f64),
    n_d1: f64,
    days: f64,
) -> Result<f64, SignalsError> {
    surface.vol(expiry, 0.0)?;
    let excess = |k: f64| {
        let vol = surface.vol(expiry, k).unwrap_or(f64::NAN);
        let deviation = vol * tau.sqrt();
        norm_cdf(-k / deviation + 0.5 * deviation) - n_d1
    };
    // d1 falls with k; eight deviations reach any smile's 25 delta, and the error names the ends if they do not.
    let reach = 8.0 * atm_vol * tau.sqrt();
    let k = brent(excess, -reach, reach, 1e-12, 200).map_err(|source| SignalsError::Delta {
        n_d1,
        days,
        source,
    })?;
    Ok(surface.vol(expiry, k)?)
}
