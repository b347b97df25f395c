//! Contract months.

use std::fmt;
use std::str::FromStr;

/// A contract month, with a day or a week code where the file gives one: `202512`, `20251219`, `202512W1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct SpanPeriod {
    month: u32,
    /// Zero bytes where there is none.
    day: [u8; 2],
}

const NO_DAY: [u8; 2] = [0, 0];

impl SpanPeriod {
    /// From a year and month `CCYYMM` and the text of a day, which is none when blank or zeros.
    pub(crate) fn of(month: &str, day: &str) -> Option<Self> {
        let digits = month.len() == 6 && month.bytes().all(|b| b.is_ascii_digit());
        let number: u32 = month.parse().ok().filter(|_| digits)?;
        let day = day.trim();
        let plain = day.bytes().all(|b| b.is_ascii_alphanumeric());
        if number / 100 == 0 || !(1..=12).contains(&(number % 100)) || !plain {
            return None;
        }
        let day = match day.trim_start_matches('0').as_bytes() {
            [] => NO_DAY,
            [one] => [b'0', *one],
            [one, two] => [*one, *two],
            _ => return None,
        };
        Some(Self { month: number, day })
    }

    /// `CCYYMM`.
    pub fn month(self) -> u32 {
        self.month
    }

    /// Whether it has a day.
    pub fn has_day(self) -> bool {
        self.day != NO_DAY
    }

    /// Whether it is in or before the month of `last`, or at its day where both have one.
    pub(crate) fn is_not_after(self, last: Self) -> bool {
        match self.month.cmp(&last.month) {
            std::cmp::Ordering::Equal => !self.has_day() || !last.has_day() || self.day <= last.day,
            order => order.is_lt(),
        }
    }

    /// The month without its day.
    pub(crate) fn whole_month(self) -> Self {
        Self { day: NO_DAY, ..self }
    }
}

impl FromStr for SpanPeriod {
    type Err = ();

    /// `CCYYMM`, optionally followed by a day or week of up to two characters.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (month, day) = text.split_at_checked(6).ok_or(())?;
        Self::of(month, day).ok_or(())
    }
}

impl fmt::Display for SpanPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:06}", self.month)?;
        if self.has_day() {
            for byte in self.day {
                write!(f, "{}", char::from(byte))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_days_and_weeks_are_read_and_anything_else_is_refused() {
        for text in ["202512", "20251219", "202512W1", "20251205"] {
            assert_eq!(text.parse::<SpanPeriod>().unwrap().to_string(), text);
        }
        assert_eq!("20251200".parse::<SpanPeriod>().unwrap().to_string(), "202512");
        for text in ["", "2025", "202500", "202513", "20251219x", "2025é1", "2025-1"] {
            assert!(text.parse::<SpanPeriod>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_month_holds_all_its_days() {
        let of = |text: &str| text.parse::<SpanPeriod>().unwrap();
        assert!(of("202512").is_not_after(of("20251219")) && of("20251219").is_not_after(of("202512")));
        assert!(!of("20251219").is_not_after(of("20251205")) && !of("202601").is_not_after(of("202512")));
    }
}
