//! Filtered historical simulation, one observation at a time.
//!
//! The one idea: beside each return of the window stands the volatility known before it, so that the whole window is rescaled to
//! today's volatility whenever a reading is asked for, `r_i clamp(s_now/s_i, 1/c, c)`, and quantiles are selected, not sorted.
//! The factor and the order statistic are those of [`crate::procyclicality`] and [`crate::stats`].
//!
//! Sources: Barone-Adesi, Giannopoulos and Vosper (1999), Journal of Futures Markets 19:583; the cap after Murphy, Vasios and
//! Vause (Bank of England, 2014), since uncapped factors overshoot after a step of volatility.

use crate::ewma::EwmaVariance;
use crate::stats::{
    StatsError, check_cap, check_level, count, enough, filtered_factor, finite, positive, select_lower_tail,
};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// A window of returns, each with the volatility known before it.
///
/// For volatilities of one's own; [`FilteredHistory`] brings an exponential one.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RescaledWindow {
    recent: Window<(f64, f64)>,
    needed: usize,
    cap: Option<f64>,
}

/// The losses of one unit held long and one held short, in units of the return; each is negative when even the tail gains.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct TwoSided {
    /// Loss of a long position.
    pub long: f64,
    /// Loss of a short position.
    pub short: f64,
}

/// Both tails of returns, whose order and sign are lost.
fn two_tails(returns: &mut [f64], confidence: f64) -> TwoSided {
    let long = select_lower_tail(returns, confidence);
    returns.iter_mut().for_each(|r| *r = 0.0 - *r);
    TwoSided { long, short: select_lower_tail(returns, confidence) }
}

impl RescaledWindow {
    /// Nothing seen yet: the last `window` returns count, a reading needs `needed` of them, and no factor is above `cap` or below
    /// `1/cap` when there is one.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for an empty window, none or more needed than it holds, or a cap below 1.
    pub fn new(window: usize, needed: usize, cap: Option<f64>) -> Result<Self, StatsError> {
        let recent = Window::new(window)?;
        if needed == 0 || needed > window {
            let domain = "from 1 to the window";
            return Err(StatsError::Domain {
                parameter: "observations needed",
                value: count(needed),
                domain,
            });
        }
        check_cap(cap)?;
        Ok(Self { recent, needed, cap })
    }

    /// Takes in a return and the volatility per step known before it, `> 0`.
    ///
    /// # Errors
    /// [`StatsError`] for a return that is not finite or a volatility that is not positive and finite; nothing changes.
    pub fn push(&mut self, value: f64, vol_before: f64) -> Result<(), StatsError> {
        finite(self.recent.len(), value)?;
        self.recent.push((value, positive("volatility", vol_before)?));
        Ok(())
    }

    /// Losses at `confidence` (0.99, say) of the returns rescaled to `vol_now`: order statistic `ceil(n (1 - confidence))` of
    /// the returns, sign turned, and the same of the returns with their sign turned. `scratch` is room for the window, kept by
    /// the caller so that a reading allocates nothing.
    ///
    /// # Errors
    /// [`StatsError`] before enough was seen, for a confidence outside (0, 1), or a volatility that is not positive and finite.
    pub fn losses(
        &self,
        vol_now: f64,
        confidence: f64,
        scratch: &mut Vec<f64>,
    ) -> Result<TwoSided, StatsError> {
        enough(self.recent.len(), self.needed)?;
        check_level(confidence)?;
        positive("volatility", vol_now)?;
        scratch.clear();
        scratch.extend(self.recent.iter().map(|(r, before)| r * filtered_factor(vol_now, *before, self.cap)));
        Ok(two_tails(scratch, confidence))
    }

    /// Losses at `confidence` of the returns as they were: plain historical simulation.
    ///
    /// # Errors
    /// As [`RescaledWindow::losses`].
    pub fn plain_losses(&self, confidence: f64, scratch: &mut Vec<f64>) -> Result<TwoSided, StatsError> {
        enough(self.recent.len(), self.needed)?;
        check_level(confidence)?;
        scratch.clear();
        scratch.extend(self.recent.iter().map(|(r, _)| *r));
        Ok(two_tails(scratch, confidence))
    }

    /// Returns held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recent.len()
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Returns held with the volatilities before them, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        self.recent.iter().copied()
    }
}

/// What a [`FilteredHistory`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct FilteredSpec {
    /// Returns in the window, `>= 1`.
    pub window: usize,
    /// Returns that a reading needs, from 1 to the window.
    pub needed: usize,
    /// Half-life of the volatility, in observations, `> 0`.
    pub half_life: f64,
    /// Returns before a volatility is known, `>= 1`; they do not enter the window.
    pub vol_warm_up: usize,
    /// Largest factor a return is scaled by and one over the smallest, `>= 1`; none: no bound.
    pub cap: Option<f64>,
    /// Least volatility per step, `> 0`: a constant price must not divide by nothing.
    pub vol_floor: f64,
}

/// Filtered historical simulation with an exponentially weighted volatility.
///
/// ```
/// use plimsoll_quant::filtered::{FilteredHistory, FilteredSpec};
/// let spec = FilteredSpec {
///     window: 100, needed: 4, half_life: 5.0, vol_warm_up: 2, cap: Some(1.25), vol_floor: 1e-6,
/// };
/// let mut history = FilteredHistory::new(spec).unwrap();
/// for r in [0.01, -0.01, 0.02, -0.02, 0.01, -0.03] {
///     history.update(r).unwrap();
/// }
/// let worst = history.losses(0.99, &mut Vec::new()).unwrap();
/// // The last return was the largest, and its volatility before is below today's.
/// assert!(worst.long > 0.03 && worst.long <= 0.03 * 1.25);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FilteredHistory {
    window: RescaledWindow,
    vol: EwmaVariance,
    vol_floor: f64,
}

impl FilteredHistory {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(spec: FilteredSpec) -> Result<Self, StatsError> {
        Ok(Self {
            window: RescaledWindow::new(spec.window, spec.needed, spec.cap)?,
            vol: EwmaVariance::new(spec.half_life, spec.vol_warm_up)?,
            vol_floor: positive("volatility floor", spec.vol_floor)?,
        })
    }

    /// Nothing seen yet but the volatility before the first return, which then enters the window at once.
    ///
    /// # Errors
    /// As [`FilteredHistory::new`], and for a volatility that is not positive and finite.
    pub fn seeded(spec: FilteredSpec, vol: f64) -> Result<Self, StatsError> {
        let mut history = Self::new(spec)?;
        history.vol = EwmaVariance::seeded(spec.half_life, vol * vol)?;
        Ok(history)
    }

    /// Takes the next return in.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`]; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        let before = self.vol().ok();
        self.vol.update(value)?;
        match before {
            Some(before) => self.window.push(value, before),
            None => Ok(()),
        }
    }

    /// Losses at `confidence` of the window rescaled to today's volatility: see [`RescaledWindow::losses`].
    ///
    /// # Errors
    /// [`StatsError`] before enough was seen or for a confidence outside (0, 1).
    pub fn losses(&self, confidence: f64, scratch: &mut Vec<f64>) -> Result<TwoSided, StatsError> {
        self.window.losses(self.vol()?, confidence, scratch)
    }

    /// Losses at `confidence` of the window as it was: plain historical simulation.
    ///
    /// # Errors
    /// As [`FilteredHistory::losses`].
    pub fn plain_losses(&self, confidence: f64, scratch: &mut Vec<f64>) -> Result<TwoSided, StatsError> {
        self.window.plain_losses(confidence, scratch)
    }

    /// Today's volatility per step, not below the floor.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before its warm-up is over.
    pub fn vol(&self) -> Result<f64, StatsError> {
        let vol = self.vol.vol()?;
        Ok(if vol < self.vol_floor { self.vol_floor } else { vol })
    }

    /// Returns in the window.
    #[must_use]
    pub fn len(&self) -> usize {
        self.window.len()
    }

    /// Whether the window is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.window.is_empty()
    }
}
