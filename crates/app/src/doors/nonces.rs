//! Every proof opens once.

use plimsoll_types::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

/// Nonces that are kept of a signer, the highest.
const KEPT: usize = 100;

/// Which proofs were seen. Of each signer the highest hundred nonces are kept, and only one above the least of them, and not among
/// them, is new (Hyperliquid's rule). What was seen before a restart is forgotten, so nothing that was said before it is taken.
#[derive(Debug)]
pub(super) struct Nonces {
    seen: Mutex<BTreeMap<String, BTreeSet<u64>>>,
    /// Nothing that is dated before is taken.
    since_ms: u64,
    /// How old a request may be.
    past_ms: u64,
}

/// How far a request may be dated ahead, milliseconds.
const AHEAD_MS: u64 = 2_000;

impl Nonces {
    /// From an instant on; requests may be so old.
    pub(super) fn new(now: Timestamp, past_ms: u64) -> Self {
        // A request that was dated ahead may have been taken before.
        Self { seen: Mutex::default(), since_ms: millis(now).saturating_add(AHEAD_MS), past_ms }
    }

    /// Whether an instant is near enough to be taken.
    pub(super) fn is_timely(&self, time_ms: u64, now: Timestamp) -> bool {
        let now = millis(now);
        let oldest = now.saturating_sub(self.past_ms).max(self.since_ms);
        (oldest..=now.saturating_add(AHEAD_MS)).contains(&time_ms)
    }

    /// Takes a nonce; says whether it is new.
    pub(super) fn take(&self, signer: &str, nonce: u64) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of = seen.entry(signer.to_owned()).or_default();
        let too_low = of.len() >= KEPT && of.first().is_some_and(|least| nonce <= *least);
        if too_low || !of.insert(nonce) {
            return false;
        }
        if of.len() > KEPT {
            of.pop_first();
        }
        true
    }
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.nanos() / 1_000_000).unwrap_or_default()
}
