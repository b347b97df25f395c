//! Announce, then apply: what binds existing positions moves along a path that is published beforehand.

use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};

/// A straight path between two values: `from` until `starts`, `to` from `ends` on.
///
/// ```
/// use plimsoll_policy::Ramp;
/// use plimsoll_types::{Ppb, Timestamp};
/// let day = 86_400;
/// let ramp = Ramp { from: Ppb(100), to: Ppb(200), starts: Timestamp::from_seconds(day), ends: Timestamp::from_seconds(3 * day) };
/// assert_eq!(ramp.at(Timestamp::from_seconds(0)), Ppb(100));
/// assert_eq!(ramp.at(Timestamp::from_seconds(2 * day)), Ppb(150));
/// assert_eq!(ramp.at(Timestamp::from_seconds(9 * day)), Ppb(200));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The value before.
    pub from: Ppb,
    /// The value after.
    pub to: Ppb,
    /// When it begins to move: no earlier than it was announced.
    pub starts: Timestamp,
    /// When it has moved, not before `starts`.
    pub ends: Timestamp,
}

impl Ramp {
    /// A value that does not move.
    pub fn level(value: Ppb, now: Timestamp) -> Self {
        Self { from: value, to: value, starts: now, ends: now }
    }

    /// The value at an instant, rounded down.
    pub fn at(&self, now: Timestamp) -> Ppb {
        if now >= self.ends {
            return self.to;
        }
        let passed = i128::from(now.nanos().saturating_sub(self.starts.nanos()).max(0));
        let all = i128::from(self.ends.nanos().saturating_sub(self.starts.nanos()).max(1));
        let moved = (i128::from(self.to.0) - i128::from(self.from.0)) * passed;
        // Between two 64-bit values, since passed <= all.
        Ppb(self.from.0.wrapping_add(moved.div_euclid(all) as i64))
    }

    /// The path after the value for new risk moved to `to` at `now`: a tightening starts after `notice_seconds` and takes
    /// `ramp_seconds`; a loosening counts at once for what lies above it. At no instant is it above `to`, and before the
    /// notice has passed it is nowhere above the path that was published.
    pub fn follow(&self, to: Ppb, now: Timestamp, (notice_seconds, ramp_seconds): (i64, i64)) -> Self {
        let here = self.at(now);
        if to <= here {
            return Self::level(to, now);
        }
        let starts = Timestamp::from_seconds(now.seconds().saturating_add(notice_seconds.max(0)));
        let ends = Timestamp::from_seconds(starts.seconds().saturating_add(ramp_seconds.max(0)));
        Self { from: here, to, starts, ends }
    }
}
