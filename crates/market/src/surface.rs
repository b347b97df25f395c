//! The fitted market: what later stages price on.

use plimsoll_quant::special::{exp, ln};
use plimsoll_quant::svi::Svi;
use plimsoll_types::{Asset, ForwardSource, Instrument, Issue, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Farthest, as a ratio of times to expiry, that the first or last smile answers for an expiry beyond it.
///
/// Volatility moves like a power of tenor, about the 0.3rd: over a factor of two that is some 20 % of it, beyond which
/// a neighbour says nothing of the expiry asked for.
pub const TENOR_RATIO_MAX: f64 = 2.0;

/// The fitted market at one instant.
#[derive(Clone, PartialEq, Debug)]
pub struct Surface {
    /// The instant it speaks of.
    pub as_of: Timestamp,
    /// What was fitted, per underlying. An underlying without a sound index is absent and in `issues`.
    pub underlyings: BTreeMap<Asset, UnderlyingSurface>,
    /// Other collateral assets: price in the valuation currency, and half-width of its confidence interval relative
    /// to it (the guard's floor where its source states none).
    pub assets: BTreeMap<Asset, (f64, f64)>,
    /// Everything that was refused on the way: the guard's issues, then the fit's.
    pub issues: Vec<Issue>,
}

/// The fitted market of one underlying.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UnderlyingSurface {
    /// Index price, quote units per base unit; > 0.
    pub index: f64,
    /// Half-width of the confidence interval of the index relative to it; a source that states none counts at the guard's
    /// floor.
    pub confidence: f64,
    /// Forward per expiry, quote units, and where it came from; in order of expiry, each after `as_of`.
    pub forwards: Vec<(Timestamp, f64, ForwardSource)>,
    /// Perpetual swaps that have a sound mark.
    pub perpetuals: BTreeMap<Instrument, PerpMark>,
    /// Mark price of dated futures, quote units per base unit.
    pub futures: BTreeMap<Instrument, f64>,
    /// Fitted smiles in order of expiry, each free of butterfly arbitrage and each pair of calendar arbitrage.
    pub slices: Vec<Slice>,
    /// Expiries without a smile, and quotes refused by the fit, with reasons.
    pub refused: Vec<Issue>,
}

/// The mark of a perpetual swap.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PerpMark {
    /// Quote units per base unit.
    pub price: f64,
    /// Funding per 8 hours as a fraction of notional; positive: longs pay. `None` where the venue states none.
    pub funding_8h: Option<f64>,
    /// Contracts open, in the instrument's quantity unit. `None` where the venue states none.
    pub open_interest: Option<f64>,
}

/// The smile of one expiry.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Slice {
    /// When its options settle.
    pub expiry: Timestamp,
    /// Years (ACT/365 seconds) to expiry when it was fitted; > 0.
    pub tau: f64,
    /// Forward for this expiry, quote units.
    pub forward: f64,
    /// Total variance `w(k)` against `k = ln(K/forward)`; volatility is `sqrt(w/tau)`.
    pub svi: Svi,
    /// How well it fits.
    pub quality: SliceQuality,
}

/// The slices that answer for one expiry: total variance is that of `near`, or `w_near + share (w_far - w_near)`, and
/// volatility `sqrt(w / tau)`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Smile<'a> {
    /// The slice of the expiry, or the one before it, or the nearest.
    pub near: &'a Slice,
    /// The slice after the expiry, and how far on the way to it in time the expiry lies, in (0, 1).
    pub far: Option<(&'a Slice, f64)>,
    /// Years by which total variance is divided: to the expiry when the surface was fitted; of a nearest slice its own.
    pub tau: f64,
}

/// How well a slice fits its quotes, and what was left out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct SliceQuality {
    /// Points the fit used: two-sided quotes, and marks where there was no two-sided quote.
    pub quotes_used: usize,
    /// Of these, points with a bid and an ask.
    pub quotes_two_sided: usize,
    /// Quotes of this expiry the fit refused, with reasons.
    pub quotes_refused: Vec<Issue>,
    /// Root mean square of fitted less mid volatility over two-sided points (over marks when there are none), in
    /// vol points (0.01 of volatility); each point counts alike.
    pub rmse_vol_points: f64,
    /// The same against the venue's mark volatility over all points that have one. `None` without marks.
    pub rmse_mark_vol_points: Option<f64>,
    /// Largest distance of fitted from mid volatility over the same points as `rmse_vol_points`, vol points.
    pub worst_vol_points: f64,
    /// Least Durrleman function over all `k`; not below `-1e-10`.
    pub min_durrleman: f64,
    /// Least `w(k) - w_before(k)` against the slice before, sampled over the quoted range, total variance; not
    /// negative. `None` for the first slice.
    pub calendar_slack: Option<f64>,
    /// How the slice was found.
    pub method: FitMethod,
    /// What was fitted, in order of strike.
    pub points: Vec<FitPoint>,
}

/// How a slice was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub enum FitMethod {
    /// Raw SVI, five free parameters.
    #[default]
    Raw,
    /// Raw SVI moved by the Gatheral-Jacquier butterfly repair.
    Repaired,
    /// An SSVI slice (three parameters), where no raw slice was free of arbitrage.
    Ssvi,
    /// Supplied from outside.
    External,
    /// Ours and an outside one, blended in total variance.
    Blended,
}

/// One strike the fit saw.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FitPoint {
    /// Strike, quote units.
    pub strike: f64,
    /// `ln(strike/forward)`, on the forward the quote was made on.
    pub k: f64,
    /// Volatility of the bid, annualised decimal.
    pub bid_vol: Option<f64>,
    /// Volatility of the ask.
    pub ask_vol: Option<f64>,
    /// The venue's mark volatility.
    pub mark_vol: Option<f64>,
    /// The slice at `k`.
    pub fitted_vol: f64,
    /// Weight in the fit, per squared volatility.
    pub weight: f64,
}

/// Why a surface has no answer.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SurfaceError {
    /// The underlying is not on the surface.
    #[error("no market for {asset}: the surface has {known}")]
    UnknownUnderlying {
        /// What was asked for.
        asset: Asset,
        /// What there is, separated by commas.
        known: String,
    },
    /// No expiry of the underlying has a fitted smile.
    #[error("no fitted smile to take the volatility for {expiry} from")]
    NoSlice {
        /// The expiry asked for.
        expiry: Timestamp,
    },
    /// The expiry lies beyond the fitted smiles, too far in time from the nearest ([`TENOR_RATIO_MAX`]).
    #[error("no fitted smile near {expiry}: the nearest is that of {nearest}, another tenor")]
    NoSmileNear {
        /// The expiry asked for.
        expiry: Timestamp,
        /// The nearest expiry that has a smile.
        nearest: Timestamp,
    },
    /// The expiry is not after the surface's instant.
    #[error("expiry {expiry} is not after {as_of}")]
    Expired {
        /// The expiry asked for.
        expiry: Timestamp,
        /// The instant of the surface.
        as_of: Timestamp,
    },
    /// No forward is known to take the one for this expiry from.
    #[error("no forward to take the one for {expiry} from")]
    NoForward {
        /// The expiry asked for.
        expiry: Timestamp,
    },
    /// The log-moneyness is not a finite number.
    #[error("log-moneyness {k} is not finite")]
    BadMoneyness {
        /// What was asked for.
        k: f64,
    },
}

impl Surface {
    /// The fitted market of an underlying.
    ///
    /// # Errors
    /// [`SurfaceError::UnknownUnderlying`], with the names there are.
    pub fn underlying(&self, asset: &Asset) -> Result<&UnderlyingSurface, SurfaceError> {
        self.underlyings.get(asset).ok_or_else(|| {
            let known: Vec<&str> = self.underlyings.keys().map(Asset::as_str).collect();
            SurfaceError::UnknownUnderlying { asset: asset.clone(), known: known.join(", ") }
        })
    }
}

impl UnderlyingSurface {
    /// Forward price for `expiry`, quote units: the listed one, else log-linear in time between its neighbours (the index
    /// at `as_of` is the first), else at the carry rate of the last.
    ///
    /// # Errors
    /// [`SurfaceError::Expired`] unless `expiry > as_of`; [`SurfaceError::NoForward`] when no expiry has one.
    pub fn forward(&self, as_of: Timestamp, expiry: Timestamp) -> Result<f64, SurfaceError> {
        if expiry <= as_of {
            return Err(SurfaceError::Expired { expiry, as_of });
        }
        let after = self.forwards.partition_point(|f| f.0 < expiry);
        if let Some(&(at, price, _)) = self.forwards.get(after)
            && at == expiry
        {
            return Ok(price);
        }
        let before = after.checked_sub(1).and_then(|i| self.forwards.get(i)).map(|f| (f.0, f.1));
        let near = before.unwrap_or((as_of, self.index));
        let years = near.0.years_until(expiry);
        if let Some(&(at, price, _)) = self.forwards.get(after) {
            let share = years / near.0.years_until(at);
            return Ok(near.1 * exp(share * ln(price / near.1)));
        }
        let (at, price) = before.ok_or(SurfaceError::NoForward { expiry })?;
        let carry = ln(price / self.index) / as_of.years_until(at);
        Ok(price * exp(carry * years))
    }

    /// Volatility (annualised decimal) at log-moneyness `k = ln(K/F)` for `expiry`.
    ///
    /// A listed slice answers itself. Between slices total variance is linear in time at fixed `k`, which keeps the
    /// surface free of calendar arbitrage; before the first and after the last slice volatility is flat in time, up to
    /// [`TENOR_RATIO_MAX`] times its time to expiry or the same part of it. Time is counted from the instant of the fit,
    /// so the answer does not change as time passes.
    ///
    /// # Errors
    /// [`SurfaceError::NoSlice`] when nothing was fitted, [`SurfaceError::NoSmileNear`] when the nearest slice is of
    /// another tenor, [`SurfaceError::Expired`] when `expiry` is not after the
    /// instant of the fit, [`SurfaceError::BadMoneyness`] when `k` is not finite.
    pub fn vol(&self, expiry: Timestamp, k: f64) -> Result<f64, SurfaceError> {
        if !k.is_finite() && !self.slices.is_empty() {
            return Err(SurfaceError::BadMoneyness { k });
        }
        let Smile { near, far, tau } = self.smile(expiry)?;
        Ok(match far {
            None => near.svi.vol(k, near.tau),
            Some((far, share)) => {
                let (w_near, w_far) = (near.svi.w(k), far.svi.w(k));
                ((w_near + share * (w_far - w_near)) / tau).sqrt()
            }
        })
    }

    /// The slices that answer for `expiry`, by the rule of [`UnderlyingSurface::vol`].
    ///
    /// # Errors
    /// As [`UnderlyingSurface::vol`], but for the log-moneyness.
    pub fn smile(&self, expiry: Timestamp) -> Result<Smile<'_>, SurfaceError> {
        let first = self.slices.first().ok_or(SurfaceError::NoSlice { expiry })?;
        let after = self.slices.partition_point(|s| s.expiry < expiry);
        let before = after.checked_sub(1).and_then(|i| self.slices.get(i));
        let near = match (before, self.slices.get(after)) {
            (_, Some(far)) if far.expiry == expiry => far,
            (Some(near), Some(far)) => {
                let years = near.expiry.years_until(expiry);
                let share = years / near.expiry.years_until(far.expiry);
                return Ok(Smile { near, far: Some((far, share)), tau: near.tau + years });
            }
            (Some(near), None) => near_enough(near, expiry)?,
            (None, _) => {
                expire_check(first, expiry)?;
                near_enough(first, expiry)?
            }
        };
        Ok(Smile { near, far: None, tau: near.tau })
    }

    /// Whether `expiry` has a fitted smile of its own; where it has none, [`UnderlyingSurface::vol`] answers from its
    /// neighbours or not at all.
    pub fn has_slice(&self, expiry: Timestamp) -> bool {
        self.slices.iter().any(|slice| slice.expiry == expiry)
    }
}

/// Refuses an expiry at or before the instant of the fit.
fn expire_check(first: &Slice, expiry: Timestamp) -> Result<(), SurfaceError> {
    let before_first = expiry.years_until(first.expiry);
    if before_first < first.tau {
        return Ok(());
    }
    let seconds = first.tau * plimsoll_types::YEAR_SECONDS as f64;
    let as_of = first.expiry.plus_seconds(-(seconds.round() as i64));
    Err(SurfaceError::Expired { expiry, as_of })
}

/// The first or last slice, if its time to expiry is that of `expiry` to within [`TENOR_RATIO_MAX`].
fn near_enough(slice: &Slice, expiry: Timestamp) -> Result<&Slice, SurfaceError> {
    let tau = slice.tau + slice.expiry.years_until(expiry);
    if tau.max(slice.tau) <= TENOR_RATIO_MAX * tau.min(slice.tau) {
        return Ok(slice);
    }
    Err(SurfaceError::NoSmileNear { expiry, nearest: slice.expiry })
}
