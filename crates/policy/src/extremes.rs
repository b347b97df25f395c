//! The largest or least value of a sliding window of time.

use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Which extreme.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extreme {
    Largest,
    Least,
}

/// Values of the last while that can still be the extreme of some later window: they fall, or rise, from the front.
/// A step costs O(1) amortised.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Extremes<T> {
    kept: VecDeque<(Timestamp, T)>,
}

impl<T> Default for Extremes<T> {
    fn default() -> Self {
        Self { kept: VecDeque::new() }
    }
}

impl<T: Copy + PartialOrd> Extremes<T> {
    /// Adds a value at `at`, which is not before the time of the last one, and forgets what is older than `seconds`.
    pub(crate) fn push(&mut self, of: Extreme, at: Timestamp, value: T, seconds: i64) {
        let old = |then: Timestamp| at.seconds().saturating_sub(then.seconds()) > seconds;
        while self.kept.front().is_some_and(|(then, _)| old(*then)) {
            self.kept.pop_front();
        }
        let beaten = |kept: T| match of {
            Extreme::Largest => kept <= value,
            Extreme::Least => kept >= value,
        };
        while self.kept.back().is_some_and(|(_, kept)| beaten(*kept)) {
            self.kept.pop_back();
        }
        self.kept.push_back((at, value));
    }

    /// The extreme of what is left after the last push.
    pub(crate) fn get(&self) -> Option<T> {
        self.kept.front().map(|(_, value)| *value)
    }
}
