//! Quantiles and ranks within a long window, exact, one observation at a time.
//!
//! The one idea: beside the window the same values are kept sorted. An observation costs a binary search and the move of at
//! most the window's length of numbers (ten years of days: 29 kB), a reading costs nothing.

use crate::stats::{StatsError, check_level, count, enough, finite, index_above};
use crate::window::Window;
use serde::{Deserialize, Serialize};

/// The last values and their order.
///
/// ```
/// use plimsoll_quant::rank::RankWindow;
/// let mut losses = RankWindow::new(4, 3).unwrap();
/// for loss in [0.04, 0.01, 0.03, 0.02, 0.05] {
///     losses.update(loss).unwrap();
/// }
/// // 0.04 has left: the third of (0.01, 0.02, 0.03, 0.05).
/// assert_eq!(losses.quantile(0.75), Ok(0.03));
/// assert_eq!(losses.percentile_rank(0.03), Ok(0.625));
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RankWindow {
    recent: Window<f64>,
    ascending: Vec<f64>,
    needed: usize,
}

impl RankWindow {
    /// Nothing seen yet: the last `window >= 1` values count, and a reading needs `needed` of them.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for an empty window or more needed than it holds.
    pub fn new(window: usize, needed: usize) -> Result<Self, StatsError> {
        let recent = Window::new(window)?;
        if needed == 0 || needed > window {
            let domain = "from 1 to the window";
            return Err(StatsError::Domain {
                parameter: "observations needed",
                value: count(needed),
                domain,
            });
        }
        Ok(Self { recent, ascending: Vec::new(), needed })
    }

    /// Takes the next value in and the oldest out.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`]; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        // Adding zero makes one zero of two, so that equal values are equal in the total order.
        let value = finite(self.recent.len(), value)? + 0.0;
        if let Some(gone) = self.recent.push(value) {
            let place = self.ascending.partition_point(|x| *x < gone);
            if place < self.ascending.len() {
                self.ascending.remove(place);
            }
        }
        let place = self.ascending.partition_point(|x| *x <= value);
        self.ascending.insert(place, value);
        Ok(())
    }

    /// Index-above quantile at `level` in (0, 1): `x_ceil(n level)` of the `n` values held.
    ///
    /// # Errors
    /// [`StatsError`] before enough was seen or for a level outside (0, 1).
    pub fn quantile(&self, level: f64) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.needed)?;
        check_level(level)?;
        Ok(self.ascending[index_above(self.ascending.len(), level)])
    }

    /// The same from above: as many values held lie above it as lie below [`RankWindow::quantile`] at `level`.
    ///
    /// ```
    /// # use plimsoll_quant::rank::RankWindow;
    /// let mut window = RankWindow::new(200, 1)?;
    /// (1..=200).try_for_each(|x| window.update(f64::from(x)))?;
    /// assert_eq!((window.quantile(0.01)?, window.upper_quantile(0.01)?), (2.0, 199.0));
    /// # Ok::<(), plimsoll_quant::stats::StatsError>(())
    /// ```
    ///
    /// # Errors
    /// As [`RankWindow::quantile`].
    pub fn upper_quantile(&self, level: f64) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.needed)?;
        check_level(level)?;
        let last = self.ascending.len() - 1;
        Ok(self.ascending[last - index_above(self.ascending.len(), level)])
    }

    /// Share of the values held that are below `value`, equal ones counting half: in [0, 1].
    ///
    /// # Errors
    /// [`StatsError`] before enough was seen or for a value that is not finite.
    pub fn percentile_rank(&self, value: f64) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.needed)?;
        finite(self.recent.len(), value)?;
        let below = self.ascending.partition_point(|x| *x < value);
        let not_above = self.ascending.partition_point(|x| *x <= value);
        Ok(0.5 * (count(below) + count(not_above)) / count(self.ascending.len()))
    }

    /// Values held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.recent.len()
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Oldest to newest.
    pub fn iter(&self) -> impl Iterator<Item = f64> + '_ {
        self.recent.iter().copied()
    }
}
