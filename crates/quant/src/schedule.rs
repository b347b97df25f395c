//! Estimates that are made anew from time to time.
//!
//! The one idea: when an estimate is due is counted in observations, and what became of it is a value: an estimate that could
//! not be made leaves the one before in force, with the reason.

use crate::stats::{StatsError, at_least};
use serde::{Deserialize, Serialize};

/// What became of an estimate that was, or was not, due.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Refit {
    /// Not yet due.
    NotDue,
    /// Made anew.
    Done,
    /// Due, but it could not be made: the one before stays in force, if there is one. It is due again when the next would be.
    Kept(StatsError),
}

/// Counts observations until the next estimate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Schedule {
    every: usize,
    needed: usize,
    seen: usize,
    /// Observations since an estimate was last tried.
    tried: Option<usize>,
    /// Observations since one was last made.
    made: Option<usize>,
}

impl Schedule {
    /// A first estimate after `needed >= 1` observations, then one every `every >= 1`.
    ///
    /// # Errors
    /// [`StatsError::Domain`] when either is 0.
    pub fn new(needed: usize, every: usize) -> Result<Self, StatsError> {
        at_least("observations needed", needed, 1)?;
        at_least("observations between estimates", every, 1)?;
        Ok(Self { every, needed, seen: 0, tried: None, made: None })
    }

    /// Counts an observation and, when an estimate is due, makes it.
    pub(crate) fn step(&mut self, estimate: impl FnOnce() -> Result<(), StatsError>) -> Refit {
        self.seen = self.seen.saturating_add(1);
        self.tried = self.tried.map(|n| n.saturating_add(1));
        self.made = self.made.map(|n| n.saturating_add(1));
        let due = self.seen >= self.needed && self.tried.is_none_or(|n| n >= self.every);
        if !due {
            return Refit::NotDue;
        }
        self.tried = Some(0);
        match estimate() {
            Ok(()) => {
                self.made = Some(0);
                Refit::Done
            }
            Err(reason) => Refit::Kept(reason),
        }
    }

    /// Observations seen.
    #[must_use]
    pub fn observations(&self) -> usize {
        self.seen
    }

    /// Observations since the estimate in force was made; none while there is none.
    #[must_use]
    pub fn age(&self) -> Option<usize> {
        self.made
    }

    /// What a reading says while there is no estimate.
    pub(crate) fn not_yet(&self) -> StatsError {
        StatsError::TooFew { observations: self.seen, needed: self.needed }
    }
}
