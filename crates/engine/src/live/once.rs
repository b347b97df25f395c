//! Events apply at most once.

use super::event::Key;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers of a sender that are remembered.
const REMEMBERED: usize = 4096;
/// Senders that are remembered: more are refused, since what is forgotten could apply twice.
const SENDERS: usize = 1 << 20;

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Once {
    senders: BTreeMap<String, Seen>,
}

/// Numbers of one sender: all up to the floor, and these.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Seen {
    floor: Option<u64>,
    above: BTreeSet<u64>,
}

impl Once {
    /// Whether this is the first time; it is remembered then.
    ///
    /// # Errors
    /// The stable code: `duplicate`, `too_old` or `too_many_senders`.
    pub(super) fn first(&mut self, key: &Key) -> Result<(), &'static str> {
        if !self.senders.contains_key(&key.source) && self.senders.len() >= SENDERS {
            return Err("too_many_senders");
        }
        let seen = self.senders.entry(key.source.clone()).or_default();
        if seen.above.contains(&key.number) {
            return Err("duplicate");
        }
        if seen.floor.is_some_and(|floor| key.number <= floor) {
            return Err("too_old");
        }
        seen.above.insert(key.number);
        if seen.above.len() > REMEMBERED {
            seen.floor = seen.above.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;

    #[test]
    fn a_number_counts_once_in_any_order_and_what_is_forgotten_is_refused() {
        let mut once = Once::default();
        let key = |number| Key { source: "a".into(), number };
        for number in (0..5_000).rev().step_by(2) {
            once.first(&key(number)).unwrap();
        }
        for number in (0..5_000).rev().step_by(2) {
            assert_eq!(once.first(&key(number)), Err("duplicate"));
        }
        for number in 10_000..14_096 {
            once.first(&key(number)).unwrap();
        }
        assert_eq!(once.first(&key(4_999)), Err("too_old"));
        assert_eq!(once.first(&key(4_998)), Err("too_old"));
        once.first(&Key { source: "b".into(), number: 4_999 }).unwrap();
    }
}
