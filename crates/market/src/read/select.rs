//! Which of a file's snapshots is kept.

use super::{At, ReadError, ReadOutcome};
use plimsoll_types::{Issue, Snapshot, Timestamp};
use std::ops::ControlFlow;

/// Where a reader hands the snapshots it has put together, in order of time.
pub(super) trait Sink {
    /// Takes one; `Break` when no later one is wanted.
    fn take(&mut self, snapshot: Snapshot, issues: Vec<Issue>) -> ControlFlow<()>;

    /// Told after reading how many rows there were.
    fn rows(&mut self, _rows: u64) {}
}

/// Keeps the snapshot a selector means.
pub(super) struct Choice<'a> {
    name: &'a str,
    at: At,
    kept: Option<(Snapshot, Vec<Issue>)>,
    span: Option<(Timestamp, Timestamp)>,
    seen: usize,
    rows: u64,
}

impl<'a> Choice<'a> {
    pub(super) fn new(name: &'a str, at: At) -> Self {
        Self { name, at, kept: None, span: None, seen: 0, rows: 0 }
    }

    /// The snapshot chosen.
    pub(super) fn finish(self) -> Result<ReadOutcome, ReadError> {
        let name = self.name.to_owned();
        let Some((first, last)) = self.span else {
            return Err(ReadError::Empty { name });
        };
        if self.at == At::Only && self.seen > 1 {
            return Err(ReadError::Several { name, count: self.seen, first, last });
        }
        match (self.kept, self.at) {
            (Some((snapshot, issues)), _) => {
                Ok(ReadOutcome { snapshot, issues, snapshots: self.seen, rows: self.rows })
            }
            (None, At::AtOrBefore(wanted) | At::Nearest(wanted)) => {
                Err(ReadError::NoneAt { name, wanted, first })
            }
            (None, At::Only | At::Last) => Err(ReadError::Empty { name }),
        }
    }
}

impl Sink for Choice<'_> {
    fn take(&mut self, snapshot: Snapshot, issues: Vec<Issue>) -> ControlFlow<()> {
        let time = snapshot.as_of;
        self.seen += 1;
        self.span = Some((self.span.map_or(time, |s| s.0), time));
        let (keep, go_on) = match self.at {
            At::Only => (self.seen == 1, true),
            At::Last => (true, true),
            At::AtOrBefore(wanted) => (time <= wanted, time < wanted),
            At::Nearest(wanted) => {
                let distance = |t: Timestamp| t.seconds_until(wanted).abs();
                let nearer = self.kept.as_ref().is_none_or(|(k, _)| distance(time) < distance(k.as_of));
                (nearer, time < wanted)
            }
        };
        if keep {
            self.kept = Some((snapshot, issues));
        }
        if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn rows(&mut self, rows: u64) {
        self.rows = rows;
    }
}
