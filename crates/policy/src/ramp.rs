//! Announce, then apply: what binds existing positions moves along a path that is published beforehand.
//!
//! **The one idea:** a tightening is a leg of its own, which begins after its notice and takes its time; legs add up. So what was
//! announced is neither hurried nor put off by what is announced after it, and however often the value for new risk moves,
//! existing positions follow it.

use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};

/// One rise that was announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leg {
    /// When it begins: no earlier than it was announced.
    pub starts: Timestamp,
    /// When it is whole, not before `starts`.
    pub ends: Timestamp,
    /// By how much it rises; >= 0.
    pub rise: Ppb,
}

/// A path that never falls: a value, and what is added to it.
///
/// ```
/// use plimsoll_policy::Ramp;
/// use plimsoll_types::{Ppb, Timestamp};
/// let day = |n: i64| Timestamp::from_seconds(86_400 * n);
/// let ramp = Ramp::level(Ppb(100)).follow(Ppb(200), day(0), (86_400, 2 * 86_400));
/// assert_eq!([0, 1, 2, 3, 9].map(|n| ramp.at(day(n)).0), [100, 100, 150, 200, 200]);
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ramp {
    /// The value before any leg.
    pub from: Ppb,
    /// In the order announced.
    pub legs: Vec<Leg>,
}

impl Leg {
    /// How much of it is done at an instant, rounded down.
    fn done(&self, now: Timestamp) -> i64 {
        if now >= self.ends {
            return self.rise.0;
        }
        let passed = i128::from(now.nanos().saturating_sub(self.starts.nanos()).max(0));
        let all = i128::from(self.ends.nanos().saturating_sub(self.starts.nanos()).max(1));
        // At most the rise, since passed < all.
        (i128::from(self.rise.0) * passed / all) as i64
    }
}

impl Ramp {
    /// A value that does not move.
    pub fn level(value: Ppb) -> Self {
        Self { from: value, legs: Vec::new() }
    }

    /// The value at an instant, rounded down.
    pub fn at(&self, now: Timestamp) -> Ppb {
        let done = self.legs.iter().fold(0, |sum: i64, leg| sum.saturating_add(leg.done(now)));
        Ppb(self.from.0.saturating_add(done))
    }

    /// The value when all legs are done.
    pub fn end(&self) -> Ppb {
        Ppb(self.legs.iter().fold(self.from.0, |sum, leg| sum.saturating_add(leg.rise.0)))
    }

    /// The path after the value for new risk moved to `to` at `now`: a rise above the end of the path is a leg that starts
    /// after `notice_seconds` and takes `ramp_seconds`; where `to` is beneath the end, what was announced last is taken back
    /// first, and what is above `to` already falls to it. At no instant is the path above `to`, and before the notice has
    /// passed it is nowhere above the path that was published.
    pub fn follow(&self, to: Ppb, now: Timestamp, (notice_seconds, ramp_seconds): (i64, i64)) -> Self {
        let here = self.at(now);
        if to <= here {
            return Self::level(to);
        }
        let left = |leg: &Leg| Leg {
            starts: leg.starts.max(now),
            ends: leg.ends,
            rise: Ppb(leg.rise.0 - leg.done(now)),
        };
        let mut next = Self { from: here, legs: self.legs.iter().map(left).collect() };
        let end = next.end();
        if to > end {
            let starts = now.plus_seconds(notice_seconds.max(0));
            let rise = Ppb(to.0.saturating_sub(end.0));
            next.legs.push(Leg { starts, ends: starts.plus_seconds(ramp_seconds.max(0)), rise });
        }
        let mut back = end.0.saturating_sub(to.0).max(0);
        for leg in next.legs.iter_mut().rev() {
            let part = leg.rise.0.min(back);
            leg.rise = Ppb(leg.rise.0 - part);
            back -= part;
        }
        next.legs.retain(|leg| leg.rise > Ppb::ZERO);
        next
    }

    /// The same path drawn with at most so many legs (at least one): neighbours that were announced one after the other are put
    /// together, from the earliest start to the latest end. Begins and ends as the path does; for people to look at, not to hold
    /// anybody to.
    pub fn outline(&self, most: usize) -> Self {
        let each = self.legs.len().div_ceil(most.max(1)).max(1);
        let together = |legs: &[Leg]| {
            legs.iter().copied().reduce(|all, leg| Leg {
                starts: all.starts.min(leg.starts),
                ends: all.ends.max(leg.ends),
                rise: Ppb(all.rise.0.saturating_add(leg.rise.0)),
            })
        };
        Self { from: self.from, legs: self.legs.chunks(each).filter_map(together).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_begins_and_ends_as_the_path_does() {
        let minute = |n: i64| Timestamp::from_seconds(60 * n);
        let ramp = (1..=1_000).fold(Ramp::level(Ppb(1_000)), |ramp, n| {
            ramp.follow(Ppb(1_000 + 7 * n), minute(n), (600, 86_400))
        });
        assert_eq!(ramp.legs.len(), 1_000);
        let last = ramp.legs[999].ends;
        for most in [1, 16, 999, 1_000, 2_000] {
            let outline = ramp.outline(most);
            assert!(outline.legs.len() <= most);
            for at in [minute(1_000), last] {
                assert_eq!(outline.at(at), ramp.at(at));
            }
            assert_eq!(outline.end(), ramp.end());
        }
        assert_eq!(ramp.outline(2_000), ramp);
        assert_eq!(Ramp::level(Ppb(5)).outline(0), Ramp::level(Ppb(5)));
    }
}
