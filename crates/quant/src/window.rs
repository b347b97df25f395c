//! The last so many observations.
//!
//! The one idea: a statistic over a window keeps the window and nothing else that could drift from it, so that what it says
//! depends only on what is in the window. It never grows beyond the length it was made with.

use crate::stats::{StatsError, at_least};
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
