//! Decimal fixed point with eighteen decimals: the numbers contracts compute with.

use crate::{DecimalError, QuantiseError, Rounding, Ticks};
use ruint::aliases::U256;
use rust_decimal::Decimal;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Sub};
use std::str::FromStr;

/// The unit: `1.0` is this many.
const WAD: i128 = 1_000_000_000_000_000_000;
/// `ln 2` in units of 1e-18.
const LN_2: i128 = 693_147_180_559_945_309;
/// What `LN_2` leaves out, in thousandths of its unit.
const LN_2_REST: i128 = 417;
/// Beyond this the exponential is below half a unit.
const EXP_LEAST: i128 = -43 * WAD;
/// Beyond this the exponential does not fit.
const EXP_MOST: i128 = 46 * WAD;

/// A number of 18 decimals, `|x| < 1.7e20`, exact under addition. Products and quotients have 256-bit intermediates and
/// are rounded to nearest, halves away from zero.
///
/// What does not fit, and a division by zero, becomes [`Fixed::LOST`], which every operation carries on and which no
/// comparison holds for, as NaN does among floats; [`Fixed::known`] and [`Fixed::ticks`] refuse it. So a formula is
/// written as on paper and checked once.
///
/// ```
/// use plimsoll_types::Fixed;
/// let third = Fixed::ONE / Fixed::from(3);
/// assert_eq!((third * Fixed::from(3)).to_string(), "0.999999999999999999");
/// assert!((Fixed::ONE / Fixed::ZERO).known().is_none());
/// assert_eq!(("0.15".parse::<Fixed>()? + Fixed::ONE).to_string(), "1.15");
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Fixed(Held);

/// Units of 1e-18, or nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Held {
    Known(i128),
    Lost,
}

impl Default for Held {
    fn default() -> Self {
        Self::Known(0)
    }
}

impl Fixed {
    /// Nothing.
    pub const ZERO: Self = Self(Held::Known(0));
    /// One.
    pub const ONE: Self = Self(Held::Known(WAD));
    /// The result of what does not fit, or of a division by zero.
    pub const LOST: Self = Self(Held::Lost);

    /// So many units of 1e-18.
    pub const fn from_units(units: i128) -> Self {
        Self(Held::Known(units))
    }

    /// The units of 1e-18; `None` where the number was lost.
    pub const fn known(self) -> Option<i128> {
        match self.0 {
            Held::Known(units) => Some(units),
            Held::Lost => None,
        }
    }

    fn lift(units: Option<i128>) -> Self {
        units.map_or(Self::LOST, Self::from_units)
    }

    fn with(self, other: Self, by: impl FnOnce(i128, i128) -> Option<i128>) -> Self {
        match (self.0, other.0) {
            (Held::Known(a), Held::Known(b)) => Self::lift(by(a, b)),
            _ => Self::LOST,
        }
    }

    /// `a / b` of two whole numbers.
    pub fn ratio(a: i128, b: i128) -> Self {
        Self::lift(mul_div_wide(a, WAD, b, Rounding::Nearest))
    }

    /// `self x a / b` in one rounding, as named; `b` of either sign, not 0.
    pub fn scaled(self, a: i128, b: i128, rounding: Rounding) -> Self {
        self.known().map_or(Self::LOST, |x| Self::lift(mul_div_wide(x, a, b, rounding)))
    }

    /// The number nearest to a float.
    pub fn from_f64(value: f64) -> Result<Self, QuantiseError> {
        if !value.is_finite() {
            return Err(QuantiseError::NonFinite { value });
        }
        // Whole part and fraction are exact; so is the whole part as an integer.
        if value.trunc().abs() >= 1.7e20 {
            return Err(QuantiseError::Overflow { value });
        }
        let fraction = (value.fract() * WAD as f64).round();
        Ok(Self::from_units(value.trunc() as i128 * WAD + fraction as i128))
    }

    /// The float nearest to the number up to a few units in the last place; NaN where it was lost.
    pub fn to_f64(self) -> f64 {
        self.known().map_or(f64::NAN, |units| (units / WAD) as f64 + (units % WAD) as f64 / WAD as f64)
    }

    /// The amount in whole ticks, rounded as named; `None` where it was lost or does not fit.
    pub fn ticks(self, ticks_per_unit: i64, rounding: Rounding) -> Option<Ticks> {
        mul_div_wide(self.known()?, i128::from(ticks_per_unit), WAD, rounding).map(Ticks)
    }

    /// The amount of so many ticks, to nearest.
    pub fn from_ticks(ticks: Ticks, ticks_per_unit: i64) -> Self {
        Self::lift(mul_div_wide(ticks.0, WAD, i128::from(ticks_per_unit), Rounding::Nearest))
    }

    /// The smaller; lost where either is.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.with(other, |a, b| Some(a.min(b)))
    }

    /// The larger; lost where either is.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.with(other, |a, b| Some(a.max(b)))
    }

    /// `min(max(self, low), high)`.
    #[must_use]
    pub fn clamp(self, low: Self, high: Self) -> Self {
        self.max(low).min(high)
    }

    /// `max(self, 0)`.
    #[must_use]
    pub fn positive(self) -> Self {
        self.max(Self::ZERO)
    }

    /// The size without the sign.
    #[must_use]
    pub fn abs(self) -> Self {
        self.known().map_or(Self::LOST, |x| Self::lift(x.checked_abs()))
    }

    /// Rounded to `decimals` (at most 18) as named.
    #[must_use]
    pub fn rounded(self, decimals: u32, rounding: Rounding) -> Self {
        let step = 10_i128.pow(18 - decimals.min(18));
        self.known().map_or(Self::LOST, |x| {
            Self::lift(mul_div_wide(x, 1, step, rounding).and_then(|whole| whole.checked_mul(step)))
        })
    }

    /// The square root rounded down; lost for a negative number.
    #[must_use]
    pub fn sqrt(self) -> Self {
        let Some(x) = self.known().and_then(|x| u128::try_from(x).ok()) else { return Self::LOST };
        let square = U256::from(x) * U256::from(WAD as u128);
        Self::lift(i128::try_from(root(square)).ok())
    }

    /// The exponential, within 1e-17 of itself up to 1 and relative beyond.
    ///
    /// ```
    /// use plimsoll_types::Fixed;
    /// // e^-1 = 0.36787944117144232159...
    /// let known: Fixed = "0.367879441171442322".parse()?;
    /// assert!(((-Fixed::ONE).exp() - known).abs() < Fixed::from_units(10));
    /// # Ok::<(), plimsoll_types::DecimalError>(())
    /// ```
    #[must_use]
    pub fn exp(self) -> Self {
        let Some(x) = self.known() else { return Self::LOST };
        if x < EXP_LEAST {
            return Self::ZERO;
        }
        if x > EXP_MOST {
            return Self::LOST;
        }
        // x = n ln 2 + r with 0 <= r < ln 2; the series of e^r has terms below a unit from the twentieth on.
        let n = x.div_euclid(LN_2);
        let r = x.rem_euclid(LN_2) - n * LN_2_REST / 1000;
        let (mut sum, mut term, mut k) = (WAD, WAD, 1);
        while term > 0 {
            term = term * r / (WAD * k);
            sum += term;
            k += 1;
        }
        // |n| < 67, so both shifts are of fewer than 128 bits.
        Self::lift(if n >= 0 { sum.checked_mul(1 << n) } else { Some((sum + (1 << (-n - 1))) >> -n) })
    }
}

/// The largest whole number whose square is at most `x`, by Newton's method from above.
fn root(x: U256) -> U256 {
    if x.is_zero() {
        return x;
    }
    let mut guess = U256::ONE << x.bit_len().div_ceil(2);
    loop {
        let next = (guess + x / guess) >> 1;
        if next >= guess {
            return guess;
        }
        guess = next;
    }
}

/// `a x b / c` with a 256-bit product, rounded as named, [`Rounding::Nearest`] with halves away from zero. `None` when
/// the quotient leaves 128 bits or `c` is 0.
///
/// ```
/// use plimsoll_types::{Rounding, mul_div_wide};
/// assert_eq!(mul_div_wide(i128::MAX, 10, -20, Rounding::Nearest), Some(-(i128::MAX / 2) - 1));
/// assert_eq!(mul_div_wide(7, 1, -2, Rounding::Down), Some(-4));
/// assert_eq!(mul_div_wide(1, 1, 0, Rounding::Up), None);
/// ```
pub fn mul_div_wide(a: i128, b: i128, c: i128, rounding: Rounding) -> Option<i128> {
    if c == 0 {
        return None;
    }
    let negative = (a < 0) ^ (b < 0) ^ (c < 0);
    let (quotient, exact, above_half) = magnitude(a.unsigned_abs(), b.unsigned_abs(), c.unsigned_abs())?;
    let away = !exact
        && match rounding {
            Rounding::Nearest => above_half,
            Rounding::Up => !negative,
            Rounding::Down => negative,
        };
    let size = quotient.checked_add(u128::from(away))?;
    let value = i128::try_from(size).ok();
    if negative { 0_i128.checked_sub_unsigned(size) } else { value }
}

/// `floor(a b / c)`, whether that is exact, and whether the rest is at least half of `c`.
fn magnitude(a: u128, b: u128, c: u128) -> Option<(u128, bool, bool)> {
    if let Some(product) = a.checked_mul(b) {
        let rest = product % c;
        return Some((product / c, rest == 0, rest >= c - rest));
    }
    let (quotient, rest) = (U256::from(a) * U256::from(b)).div_rem(U256::from(c));
    let rest = u128::try_from(rest).ok()?;
    Some((u128::try_from(quotient).ok()?, rest == 0, rest >= c - rest))
}

impl From<i64> for Fixed {
    fn from(whole: i64) -> Self {
        // 2^63 x 1e18 < 2^123.
        Self::from_units(i128::from(whole) * WAD)
    }
}

impl From<crate::Ppb> for Fixed {
    fn from(ratio: crate::Ppb) -> Self {
        Self::from_units(i128::from(ratio.0) * (WAD / i128::from(crate::NANO)))
    }
}

impl Add for Fixed {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, i128::checked_add)
    }
}

impl Sub for Fixed {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.with(other, i128::checked_sub)
    }
}

impl Mul for Fixed {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        self.with(other, |a, b| mul_div_wide(a, b, WAD, Rounding::Nearest))
    }
}

impl Div for Fixed {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        self.with(other, |a, b| mul_div_wide(a, WAD, b, Rounding::Nearest))
    }
}

impl Neg for Fixed {
    type Output = Self;

    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl std::iter::Sum for Fixed {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::add)
    }
}

impl PartialOrd for Fixed {
    /// No order where either was lost.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.known()?.cmp(&other.known()?))
    }
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(units) = self.known() else { return f.pad("lost") };
        let (size, wad) = (units.unsigned_abs(), WAD.unsigned_abs());
        let sign = if units < 0 { "-" } else { "" };
        let digits = format!("{:018}", size % wad);
        let digits = digits.trim_end_matches('0');
        let point = if digits.is_empty() { "" } else { "." };
        f.pad(&format!("{sign}{}{point}{digits}", size / wad))
    }
}

impl FromStr for Fixed {
    type Err = DecimalError;

    /// Reads a decimal, plain or scientific, of at most 18 decimals.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let unreadable = || DecimalError::Unreadable { text: text.to_owned() };
        let too_large = || DecimalError::TooLarge { text: text.to_owned() };
        let (number, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let power: i32 = power.parse().map_err(|_| unreadable())?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let fraction = fraction.trim_end_matches('0');
        let size = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let digits = size.bytes().chain(fraction.bytes());
        if number.len() > 64
            || size.len() + fraction.len() == 0
            || !digits.clone().all(|b| b.is_ascii_digit())
        {
            return Err(unreadable());
        }
        let add = |sum: i128, b: u8| sum.checked_mul(10)?.checked_add(i128::from(b - b'0'));
        let mantissa = digits.clone().try_fold(0_i128, add).ok_or_else(too_large)?;
        let decimals = i32::try_from(fraction.len()).map_err(|_| unreadable())?;
        let shift = 18_i32.saturating_add(power).saturating_sub(decimals);
        let factor = || 10_i128.checked_pow(shift.unsigned_abs());
        let units = if mantissa == 0 {
            0
        } else if shift >= 0 {
            factor().and_then(|f| mantissa.checked_mul(f)).ok_or_else(too_large)?
        } else {
            let whole = factor().filter(|f| mantissa % f == 0).map(|f| mantissa / f);
            whole.ok_or_else(|| DecimalError::TooFine { text: text.to_owned(), unit: Decimal::new(1, 18) })?
        };
        Ok(Self::from_units(if whole.starts_with('-') { -units } else { units }))
    }
}

impl Serialize for Fixed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fixed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimals;
        impl Visitor<'_> for Decimals {
            type Value = Fixed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal such as 0.15 or 1200, of at most 18 decimals")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Fixed, E> {
                text.parse().map_err(E::custom)
            }

            // The shortest decimal that reads back as the same float is what the file said.
            fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Fixed, E> {
                self.visit_str(&x.to_string())
            }

            fn visit_i64<E: serde::de::Error>(self, x: i64) -> Result<Fixed, E> {
                Ok(Fixed::from(x))
            }

            fn visit_u64<E: serde::de::Error>(self, x: u64) -> Result<Fixed, E> {
                self.visit_str(&x.to_string())
            }
        }
        deserializer.deserialize_any(Decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(text: &str) -> Fixed {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in ["0", "1", "-1.5", "0.000000000000000001", "170000000000000000000", "-0.3"] {
            assert_eq!(fixed(text).to_string(), text);
        }
        assert_eq!(fixed("1e-3").to_string(), "0.001");
        assert!("0.0000000000000000001".parse::<Fixed>().is_err());
        assert!("1e30".parse::<Fixed>().is_err());
        assert!("NaN".parse::<Fixed>().is_err());
        assert_eq!(serde_json::from_str::<Fixed>("0.1").unwrap(), fixed("0.1"));
    }

    #[test]
    fn products_and_quotients_round_to_nearest_away_from_zero() {
        let unit = Fixed::from_units(1);
        assert_eq!(unit * fixed("0.5"), unit);
        assert_eq!(unit * fixed("-0.5"), -unit);
        assert_eq!(unit * fixed("0.49"), Fixed::ZERO);
        assert_eq!(fixed("2") / fixed("3"), fixed("0.666666666666666667"));
        assert_eq!(fixed("1e10") * fixed("1e9"), fixed("1e19"));
        assert_eq!(fixed("-7").scaled(1, 2, Rounding::Down).rounded(0, Rounding::Down), fixed("-4"));
    }

    #[test]
    fn what_is_lost_stays_lost_and_compares_with_nothing() {
        let lost = fixed("1e15") * fixed("1e15");
        assert_eq!(lost, Fixed::LOST);
        assert_eq!((lost - lost).known(), None);
        assert_eq!(lost.min(Fixed::ZERO), Fixed::LOST);
        assert_eq!(Fixed::ZERO.max(lost), Fixed::LOST);
        assert_eq!(lost.partial_cmp(&Fixed::ONE), None);
        assert_eq!(lost.ticks(1, Rounding::Up), None);
    }

    #[test]
    fn roots_and_exponentials_have_the_digits_of_mpmath() {
        assert_eq!(fixed("2").sqrt(), fixed("1.414213562373095048"));
        assert_eq!(fixed("144").sqrt(), fixed("12"));
        assert_eq!(fixed("1e18").sqrt(), fixed("1e9"));
        assert_eq!((-Fixed::ONE).sqrt(), Fixed::LOST);
        for (x, expected) in [
            ("0", "1"),
            ("1", "2.718281828459045235"),
            ("-0.0123", "0.987775335806853050"),
            ("-20", "0.000000002061153622"),
            ("10.5", "36315.502674246637739"),
        ] {
            let gap = (fixed(x).exp() - fixed(expected)).abs();
            assert!(gap <= fixed(expected).max(Fixed::ONE) * fixed("1e-17"), "{x}: {}", fixed(x).exp());
        }
        assert_eq!(fixed("-50").exp(), Fixed::ZERO);
        assert_eq!(fixed("47").exp(), Fixed::LOST);
    }

    #[test]
    fn floats_come_in_and_go_out() {
        for x in [0.0, 1.5, -123_456.789_012_345, 1e-18, 9.5e15, -0.1] {
            let back = Fixed::from_f64(x).unwrap().to_f64();
            assert!((back - x).abs() <= 1e-18 + 3e-16 * x.abs(), "{x} {back}");
        }
        assert!(Fixed::from_f64(f64::NAN).is_err() && Fixed::from_f64(1e21).is_err());
        assert_eq!(Fixed::from_ticks(Ticks(1_500_000), 1_000_000), fixed("1.5"));
        assert_eq!(fixed("0.0000011").ticks(1_000_000, Rounding::Up), Some(Ticks(2)));
    }
}
