//! The last so many observations.
//!
//! The one idea: a statistic over a window keeps the window and nothing else that could drift from it, so that what it says
//! depends only on what is in the window. It never grows beyond the length it was made with.

use crate::stats::{StatsError, at_least, count, enough, finite};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The last `length` items, oldest first.
///
/// ```
/// use plimsoll_quant::window::Window;
/// let mut last = Window::new(2).unwrap();
/// assert_eq!(last.push(1.0), None);
/// assert_eq!(last.push(2.0), None);
/// assert_eq!(last.push(3.0), Some(1.0));
/// assert_eq!(last.iter().copied().collect::<Vec<_>>(), [2.0, 3.0]);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Window<T> {
    length: usize,
    items: VecDeque<T>,
}

impl<T> Window<T> {
    /// An empty window of at most `length >= 1` items.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a length of 0.
    pub fn new(length: usize) -> Result<Self, StatsError> {
        at_least("window", length, 1)?;
        Ok(Self { length, items: VecDeque::new() })
    }

    /// Adds the newest item and gives back the oldest when there is no room for both.
    pub fn push(&mut self, item: T) -> Option<T> {
        let gone = if self.items.len() >= self.length { self.items.pop_front() } else { None };
        self.items.push_back(item);
        gone
    }

    /// Items held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing was seen yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Most items held.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// The newest item.
    #[must_use]
    pub fn last(&self) -> Option<&T> {
        self.items.back()
    }

    /// Oldest to newest.
    pub fn iter(&self) -> std::collections::vec_deque::Iter<'_, T> {
        self.items.iter()
    }
}

/// Mean of the last values, one observation at a time.
///
/// The sum is made anew from the window each time it has gone round, so what rounding leaves in it never lasts longer.
///
/// ```
/// use plimsoll_quant::window::RollingMean;
/// let mut mean = RollingMean::new(3, 2).unwrap();
/// mean.update(6.0).unwrap();
/// assert!(mean.mean().is_err());
/// for value in [1.0, 2.0, 3.0] {
///     mean.update(value).unwrap();
/// }
/// assert_eq!(mean.mean(), Ok(2.0));
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RollingMean {
    recent: Window<f64>,
    needed: usize,
    total: f64,
    since: usize,
}

impl RollingMean {
    /// Nothing seen yet: the last `window >= 1` values count, and a reading needs `needed` of them.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for an empty window, or none or more needed than it holds.
    pub fn new(window: usize, needed: usize) -> Result<Self, StatsError> {
        at_least("observations needed", needed, 1)?;
        at_least("window", window, needed)?;
        Ok(Self { recent: Window::new(window)?, needed, total: 0.0, since: 0 })
    }

    /// Takes the next value in and the oldest out.
    ///
    /// # Errors
    /// [`StatsError::NotFinite`], also when the sum would not be finite; nothing changes.
    pub fn update(&mut self, value: f64) -> Result<(), StatsError> {
        let total = self.total + finite(self.recent.len(), value)?;
        if !total.is_finite() {
            return Err(StatsError::NotFinite { index: self.recent.len(), value });
        }
        let gone = self.recent.push(value);
        self.since += 1;
        if self.since >= self.recent.length() {
            self.total = self.recent.iter().fold(0.0, |sum, x| sum + x);
            self.since = 0;
        } else {
            self.total = total - gone.unwrap_or(0.0);
        }
        Ok(())
    }

    /// Mean of the values held.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] before enough was seen.
    pub fn mean(&self) -> Result<f64, StatsError> {
        enough(self.recent.len(), self.needed)?;
        Ok(self.total / count(self.recent.len()))
    }
}
