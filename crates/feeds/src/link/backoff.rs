//! How long to wait before a source is tried again.

use std::time::Duration;

/// Waits that double up to a limit, each with chance in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// The first wait.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Backoff {
    /// Half a second, doubling to a minute.
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(60) }
    }
}

impl Backoff {
    /// The wait after so many failures in a row: between half of `first x 2^failures`, limited, and all of it; where in between,
    /// `chance` says.
    ///
    /// ```
    /// use plimsoll_feeds::link::Backoff;
    /// use std::time::Duration;
    /// let backoff = Backoff::default();
    /// assert_eq!(backoff.wait(0, 0), Duration::from_millis(250));
    /// assert_eq!(backoff.wait(3, u64::MAX), Duration::from_secs(4));
    /// assert_eq!(backoff.wait(u32::MAX, u64::MAX), Duration::from_secs(60));
    /// ```
    pub fn wait(&self, failures: u32, chance: u64) -> Duration {
        let doubled = self.first.checked_mul(1_u32.checked_shl(failures.min(30)).unwrap_or(u32::MAX));
        let whole = doubled.unwrap_or(self.longest).min(self.longest);
        let millis = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX);
        let half = millis / 2;
        // The high half of the product is uniform in 0..=half.
        let part = (u128::from(chance) * (u128::from(millis - half) + 1)) >> 64;
        Duration::from_millis(half + u64::try_from(part).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_stay_within_half_and_whole_and_are_limited() {
        let backoff = Backoff::default();
        for failures in 0..100 {
            let whole = 500_u64.saturating_mul(1 << failures.min(20)).min(60_000);
            for chance in [0, 1 << 62, u64::MAX / 2, u64::MAX] {
                let wait = u64::try_from(backoff.wait(failures, chance).as_millis()).unwrap();
                assert!(wait >= whole / 2 && wait <= whole, "{failures} {chance}: {wait}");
            }
        }
    }
}
