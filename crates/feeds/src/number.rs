//! Numbers as sources state them.

use crate::{Reason, Refusal};
use plimsoll_types::Decimal;
use std::fmt;

/// A number as a source states it: `mantissa x 10^exponent`, exact.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Number {
    /// The digits; at most 2^53 in size, so that a float holds them.
    pub mantissa: i64,
    /// Their power of ten; -22 to 22.
    pub exponent: i8,
}

/// Digits that a float holds: 2^53.
const EXACT: u64 = 1 << 53;
/// Powers of ten that a float holds.
const POWER_MAX: u8 = 22;

impl Number {
    /// The number, if a float holds its digits and its power of ten each exactly.
    ///
    /// # Errors
    /// [`Reason::Number`] with the number.
    pub fn new(mantissa: i64, exponent: i8) -> Result<Self, Refusal> {
        let held = mantissa.unsigned_abs() <= EXACT && exponent.unsigned_abs() <= POWER_MAX;
        let number = Self { mantissa, exponent };
        held.then_some(number)
            .ok_or_else(|| Refusal::new(Reason::Number, format_args!("{number} has too many digits")))
    }

    /// A decimal in its shortest form: 61800.20 and 61800.2 are one number.
    ///
    /// # Errors
    /// [`Reason::Number`] where there are too many digits.
    pub fn of(decimal: Decimal) -> Result<Self, Refusal> {
        let least = decimal.normalize();
        let digits = || Refusal::new(Reason::Number, format_args!("{decimal} has too many digits"));
        let exponent = i8::try_from(least.scale()).map_err(|_| digits())?;
        Self::new(i64::try_from(least.mantissa()).map_err(|_| digits())?, -exponent)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}e{}", self.mantissa, self.exponent)
    }
}

/// Reads a decimal, plain or scientific, of at most 28 digits. What a float would round, make infinite or sign although it is
/// nothing (`-0.0`) is refused.
pub(crate) fn decimal(text: &str, field: &str) -> Result<Decimal, Refusal> {
    let bad = || Refusal::new(Reason::Number, format_args!("{field} is {text}"));
    if text.len() > 64 || !is_decimal(text) {
        return Err(bad());
    }
    let read = match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(text),
        false => Decimal::from_str_exact(text),
    };
    let value = read.map_err(|_| bad())?;
    if value.is_zero() && text.starts_with('-') { Err(bad()) } else { Ok(value) }
}

/// Whether a text is a sign or none, digits with a point or none, and a power of ten or none: no other number gets as far as a library
/// that may read more than that.
fn is_decimal(text: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|c| c.is_ascii_digit());
    let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let number = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let power = power.strip_prefix(['-', '+']).unwrap_or(power);
    whole.len() + fraction.len() > 0
        && !power.is_empty()
        && digits(whole)
        && digits(fraction)
        && digits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_kept_and_zeros_at_the_end_are_not() {
        for (text, mantissa, exponent) in [
            ("61837.63000000", 6_183_763, -2),
            ("100", 100, 0),
            ("1.5e-7", 15, -8),
            ("0", 0, 0),
            ("-0.25", -25, -2),
        ] {
            assert_eq!(Number::of(decimal(text, "p").unwrap()), Ok(Number { mantissa, exponent }), "{text}");
        }
    }

    #[test]
    fn f09_what_is_no_number_is_refused_before_it_is_one() {
        for text in [
            "NaN", "Infinity", "-inf", "1e400", "-0.0", "-0", "", "1,5", "0x10", "1e-400", "--1", "1e", ".",
            "1_000",
        ] {
            assert_eq!(decimal(text, "p").map_err(|r| r.reason), Err(Reason::Number), "{text}");
        }
    }

    #[test]
    fn p9_any_text_is_a_number_or_refused() {
        let (mut seed, mut read) = (7_u64, 0);
        for _ in 0..200_000 {
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                usize::try_from(seed >> 40).unwrap()
            };
            let length = next() % 34;
            let text: String = (0..length)
                .map(|_| char::from(b"0123456789012345678901234567890123456789.eE+-"[next() % 45]))
                .collect();
            let Ok(value) = decimal(&text, "p") else { continue };
            // What is read is what the text says, as far as a float tells.
            let float: f64 = text.parse().unwrap();
            let nearest = plimsoll_types::nearest_f64(value);
            assert!((nearest - float).abs() <= 1e-12 * float.abs() + 1e-28, "{text}: {value}");
            read += 1;
        }
        assert!(read > 10_000, "{read}");
    }

    #[test]
    fn more_digits_than_a_float_holds_are_refused_not_rounded() {
        assert!(Number::of(decimal("9007199254740992", "p").unwrap()).is_ok());
        assert!(Number::of(decimal("9007199254740993", "p").unwrap()).is_err());
        assert!(Number::of(decimal("0.00000000000000000000001", "p").unwrap()).is_err());
        assert!(Number::new(1, 23).is_err());
        assert!(Number::new(i64::MIN, 0).is_err());
    }
}
