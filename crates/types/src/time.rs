//! Instants, as integer nanoseconds since the Unix epoch. Never a clock: every instant is an input.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Seconds in a year under ACT/365: `tau = seconds / 31_536_000`.
pub const YEAR_SECONDS: i64 = 31_536_000;

const NANOS: i64 = 1_000_000_000;

/// An instant in UTC, in nanoseconds since 1970-01-01T00:00:00Z. Prints and parses as RFC 3339;
/// binary formats hold the count.
///
/// ```
/// use plimsoll_types::Timestamp;
/// let expiry: Timestamp = "2026-03-27T08:00:00Z".parse()?;
/// let now = Timestamp::from_seconds(expiry.seconds() - 31_536_000);
/// assert_eq!(now.years_until(expiry), 1.0);
/// # Ok::<(), plimsoll_types::TimeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(i64);

/// Why a text or a number is not an instant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TimeError {
    /// The text is not an RFC 3339 date and time.
    #[error("`{text}` is not a time: expected RFC 3339 such as 2026-03-27T08:00:00Z ({reason})")]
    Unreadable {
        /// What was read.
        text: String,
        /// What the parser said.
        reason: String,
    },
    /// The instant does not fit in 64-bit nanoseconds (years 1677 to 2262).
    #[error("the time {value} is outside 1677 to 2262")]
    OutOfRange {
        /// The instant as given.
        value: String,
    },
}

impl Timestamp {
    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the epoch. Saturates outside 1677 to 2262, which no market time reaches.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS))
    }

    /// From milliseconds since the epoch, as Deribit writes them.
    pub fn from_millis(millis: i64) -> Result<Self, TimeError> {
        Self::scaled(millis, 1_000_000)
    }

    /// From microseconds since the epoch, as tardis writes them.
    pub fn from_micros(micros: i64) -> Result<Self, TimeError> {
        Self::scaled(micros, 1_000)
    }

    fn scaled(value: i64, by: i64) -> Result<Self, TimeError> {
        let nanos = value.checked_mul(by);
        nanos.map(Self).ok_or_else(|| TimeError::OutOfRange { value: value.to_string() })
    }

    /// The instant of a calendar date and an hour of the day, UTC.
    pub fn from_date(year: i16, month: i8, day: i8, hour: i8) -> Result<Self, TimeError> {
        let unreadable = |e: jiff::Error| TimeError::Unreadable {
            text: format!("{year:04}-{month:02}-{day:02} {hour:02}h"),
            reason: e.to_string(),
        };
        let date = jiff::civil::DateTime::new(year, month, day, hour, 0, 0, 0).map_err(unreadable)?;
        let zoned = date.to_zoned(jiff::tz::TimeZone::UTC).map_err(unreadable)?;
        Self::from_jiff(zoned.timestamp())
    }

    fn from_jiff(at: jiff::Timestamp) -> Result<Self, TimeError> {
        let nanos = i64::try_from(at.as_nanosecond());
        nanos.map(Self).map_err(|_| TimeError::OutOfRange { value: at.to_string() })
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// Nanoseconds since the epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Years (ACT/365 seconds) from `self` to `later`; negative when `later` is in the past.
    pub fn years_until(self, later: Self) -> f64 {
        self.seconds_until(later) / YEAR_SECONDS as f64
    }

    /// Seconds from `self` to `later`, as a float exact to the nanosecond for spans under 100 days.
    pub fn seconds_until(self, later: Self) -> f64 {
        let span = i128::from(later.0) - i128::from(self.0);
        span as f64 / NANOS as f64
    }

    /// The instant `seconds` later (earlier when negative), saturating at the ends of the range.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(NANOS)))
    }

    /// Year, month (1 to 12) and day (1 to 31) in UTC.
    pub fn date(self) -> (i16, i8, i8) {
        let date = self.to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date();
        (date.year(), date.month(), date.day())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_jiff())
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let parsed = text.parse::<jiff::Timestamp>();
        let at =
            parsed.map_err(|e| TimeError::Unreadable { text: text.to_owned(), reason: e.to_string() })?;
        Self::from_jiff(at)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return i64::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_instant_parses_back_to_the_same_nanosecond() {
        for nanos in [0, 1, -1, 1_767_115_875_944_181_000, i64::MAX, i64::MIN] {
            let at = Timestamp::from_nanos(nanos);
            assert_eq!(at.to_string().parse::<Timestamp>(), Ok(at));
        }
    }

    #[test]
    fn deribit_timestamps_are_milliseconds_and_tardis_are_microseconds() {
        let at: Timestamp = "2020-06-08T00:00:00Z".parse().unwrap();
        assert_eq!(Timestamp::from_millis(1_591_574_400_000), Ok(at));
        assert_eq!(Timestamp::from_micros(1_591_574_400_000_000), Ok(at));
        assert!(Timestamp::from_millis(i64::MAX).is_err());
    }

    #[test]
    fn a_date_without_a_day_is_refused() {
        assert!(Timestamp::from_date(2026, 2, 30, 8).is_err());
        assert!("2026-02-05".parse::<Timestamp>().is_err());
    }
}
