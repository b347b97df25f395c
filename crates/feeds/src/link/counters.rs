//! What a source has done, in numbers.

use crate::{Reason, Refusal};
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of a source, for metrics. They only rise.
#[derive(Debug, Default)]
pub struct Counters {
    connections: AtomicU64,
    failures: AtomicU64,
    frames: AtomicU64,
    readings: AtomicU64,
    lost: AtomicU64,
    fetches: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
}

/// The numbers at an instant.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Connections that were made: the first, and every one after.
    pub connections: u64,
    /// Connections that could not be made, and those that ended.
    pub failures: u64,
    /// Frames and fetched bodies that were decoded.
    pub frames: u64,
    /// Readings they came to.
    pub readings: u64,
    /// Readings that the sink had no room for.
    pub lost: u64,
    /// Fetches that were made.
    pub fetches: u64,
    /// Frames refused, by reason; a gap among them.
    pub refused: Vec<(Reason, u64)>,
}

pub(super) enum What {
    Connection,
    Failure,
    Frame,
    Reading,
    Lost,
    Fetch,
}

impl Counters {
    pub(super) fn add(&self, what: &What) {
        let counter = match what {
            What::Connection => &self.connections,
            What::Failure => &self.failures,
            What::Frame => &self.frames,
            What::Reading => &self.readings,
            What::Lost => &self.lost,
            What::Fetch => &self.fetches,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, refusal: &Refusal) {
        let place = Reason::ALL.iter().position(|reason| *reason == refusal.reason);
        if let Some(counter) = place.and_then(|at| self.refused.get(at)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The numbers now.
    pub fn count(&self) -> Count {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let refused = Reason::ALL.iter().zip(&self.refused).map(|(reason, counter)| (*reason, read(counter)));
        Count {
            connections: read(&self.connections),
            failures: read(&self.failures),
            frames: read(&self.frames),
            readings: read(&self.readings),
            lost: read(&self.lost),
            fetches: read(&self.fetches),
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
