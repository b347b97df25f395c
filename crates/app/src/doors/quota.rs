//! How much work each key may ask for.

use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;

/// Callers without a key that are remembered; beyond, those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// Units of work by caller.
#[derive(Debug)]
pub(super) struct Quotas {
    by: DefaultKeyedRateLimiter<String>,
    at_once: u32,
}

impl Quotas {
    /// So many units a second, and so many at once.
    pub(super) fn new(per_second: u32, at_once: u32) -> Self {
        let some = |units: u32| NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(some(per_second)).allow_burst(some(at_once));
        Self { by: RateLimiter::keyed(quota), at_once: at_once.max(1) }
    }

    /// Takes units; whether there were as many.
    pub(super) fn take(&self, who: &str, units: u32) -> bool {
        if self.by.len() > REMEMBERED {
            self.by.retain_recent();
        }
        let Some(units) = NonZeroU32::new(units.min(self.at_once)) else { return true };
        matches!(self.by.check_key_n(&who.to_owned(), units), Ok(Ok(())))
    }
}
