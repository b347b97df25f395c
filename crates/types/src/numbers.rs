//! Integers that money is counted in, and the one bridge from floats to them.

use rust_decimal::Decimal;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::{Asset, Instrument};

/// One billion: the denominator of [`Ppb`] and of collateral amounts.
pub const NANO: i64 = 1_000_000_000;

/// A signed count of lots; long > 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lots(pub i64);

/// A signed amount of money in ticks of the valuation currency; gain > 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub i128);

/// A dimensionless ratio in parts per billion: `Ppb(150_000_000)` is 15 %.
///
/// In files it is a decimal, as number or text (`0.15` or `"0.15"`), refused when finer than 1e-9.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Ppb(pub i64);

impl Ppb {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One, the whole.
    pub const ONE: Self = Self(NANO);

    /// The ratio nearest to `x`.
    pub fn from_f64(x: f64) -> Result<Self, QuantiseError> {
        quantise(x * NANO as f64, Rounding::Nearest).map(Self)
    }

    /// The ratio as a decimal fraction.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / NANO as f64
    }
}

impl fmt::Display for Ppb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Decimal::new(self.0, 9).normalize().to_string();
        f.pad(&text)
    }
}

impl FromStr for Ppb {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let value = parse_scaled(text, Decimal::new(1, 9))?;
        i64::try_from(value).map(Self).map_err(|_| DecimalError::TooLarge { text: text.to_owned() })
    }
}

impl Serialize for Ppb {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Ppb {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Decimals;
        impl Visitor<'_> for Decimals {
            type Value = Ppb;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal ratio such as 0.15, no finer than 1e-9")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ppb, E> {
                text.parse().map_err(E::custom)
            }

            // The shortest decimal that reads back as the same float is what the file said.
            fn visit_f64<E: serde::de::Error>(self, x: f64) -> Result<Ppb, E> {
                self.visit_str(&x.to_string())
            }

            fn visit_i64<E: serde::de::Error>(self, x: i64) -> Result<Ppb, E> {
                self.visit_str(&x.to_string())
            }

            fn visit_u64<E: serde::de::Error>(self, x: u64) -> Result<Ppb, E> {
                self.visit_str(&x.to_string())
            }
        }
        deserializer.deserialize_any(Decimals)
    }
}

/// The direction in which a float becomes an integer. There is no default.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rounding {
    /// To the nearest integer, halves away from zero.
    Nearest,
    /// Towards plus infinity: requirements.
    Up,
    /// Towards minus infinity: equity.
    Down,
}

/// Why a float could not become an integer.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum QuantiseError {
    /// NaN or infinite.
    #[error("{value} is not finite")]
    NonFinite {
        /// The float.
        value: f64,
    },
    /// Beyond 64 bits.
    #[error("{value} does not fit in 64 bits")]
    Overflow {
        /// The float.
        value: f64,
    },
}

/// The one bridge from float to integer.
///
/// ```
/// use plimsoll_types::{quantise, Rounding};
/// assert_eq!(quantise(-2.5, Rounding::Nearest), Ok(-3));
/// assert_eq!(quantise(2.1, Rounding::Up), Ok(3));
/// assert!(quantise(f64::NAN, Rounding::Down).is_err());
/// ```
pub fn quantise(value: f64, rounding: Rounding) -> Result<i64, QuantiseError> {
    if !value.is_finite() {
        return Err(QuantiseError::NonFinite { value });
    }
    let whole = match rounding {
        Rounding::Nearest => value.round(),
        Rounding::Up => value.ceil(),
        Rounding::Down => value.floor(),
    };
    // 2^63 is a float; every float strictly inside (-2^63, 2^63) fits.
    if whole.abs() >= 9_223_372_036_854_775_808.0 {
        return Err(QuantiseError::Overflow { value });
    }
    Ok(whole as i64)
}

/// `a x b / c` exactly, rounded as named. `None` when the product leaves 128 bits or `c` is not positive.
/// [`Rounding::Nearest`] takes halves away from zero.
///
/// ```
/// use plimsoll_types::{mul_div, Rounding};
/// assert_eq!(mul_div(7, 3, 2, Rounding::Up), Some(11));
/// assert_eq!(mul_div(-7, 3, 2, Rounding::Down), Some(-11));
/// ```
#[inline(always)]
pub fn mul_div(a: i128, b: i128, c: i128, rounding: Rounding) -> Option<i128> {
    if c <= 0 {
        return None;
    }
    // Two 64-bit factors are the usual case: their product always fits, and there are fast divisions for it.
    if let (Ok(x), Ok(y), Ok(by)) = (i64::try_from(a), i64::try_from(b), u64::try_from(c)) {
        let size = u128::from(x.unsigned_abs()) * u128::from(y.unsigned_abs());
        return rounded(size, (x < 0) != (y < 0), by, rounding);
    }
    mul_div_large(a, b, c, rounding)
}

/// As [`mul_div`], for what does not fit 64 bits; `c > 0`.
#[cold]
#[inline(never)]
fn mul_div_large(a: i128, b: i128, c: i128, rounding: Rounding) -> Option<i128> {
    let product = a.checked_mul(b)?;
    match u64::try_from(c) {
        Ok(by) => rounded(product.unsigned_abs(), product < 0, by, rounding),
        Err(_) => plain_div(product, c, rounding),
    }
}

/// `product / c` for any `c > 0`.
#[cold]
fn plain_div(product: i128, c: i128, rounding: Rounding) -> Option<i128> {
    let floor = product.div_euclid(c);
    let rest = product.rem_euclid(c);
    let up = match rounding {
        Rounding::Down => false,
        Rounding::Up => rest > 0,
        Rounding::Nearest if product >= 0 => rest >= c - rest,
        Rounding::Nearest => rest > c - rest,
    };
    Some(floor + i128::from(up))
}

/// A number of this size and sign by a 64-bit divisor, which is not 0.
#[inline(always)]
fn rounded(size: u128, negative: bool, by: u64, rounding: Rounding) -> Option<i128> {
    let (quotient, rest) = divided(size, by);
    let away = match rounding {
        Rounding::Down => negative && rest > 0,
        Rounding::Up => !negative && rest > 0,
        Rounding::Nearest => rest >= by - rest,
    };
    // A size of 2^127 by 1 is the one that fits with its sign only.
    let size = quotient + u128::from(away);
    if negative { 0_i128.checked_sub_unsigned(size) } else { i128::try_from(size).ok() }
}

/// Quotient and rest.
#[inline(always)]
fn divided(size: u128, by: u64) -> (u128, u64) {
    if let Ok(size) = u64::try_from(size) {
        return (u128::from(size / by), size % by);
    }
    let high = (size >> 64) as u64;
    if by == NANO.unsigned_abs() && high < by {
        let (quotient, rest) = by_a_billion(size);
        return (u128::from(quotient), rest);
    }
    let quotient = size / u128::from(by);
    // The rest is beneath the divisor, so its 64 bits are all there is of it.
    (quotient, (size as u64).wrapping_sub((quotient as u64).wrapping_mul(by)))
}

/// One billion, shifted until its highest bit is set.
const BILLION_SHIFTED: u64 = NANO.unsigned_abs() << 34;
/// `floor((2^128 - 1) / BILLION_SHIFTED) - 2^64`.
const BILLION_INVERSE: u64 = (u128::MAX / BILLION_SHIFTED as u128 - (1 << 64)) as u64;

/// Quotient and rest of a number beneath `1e9 x 2^64` by one billion, by two products instead of a division (Moller and
/// Granlund, "Improved division by invariant integers", 2011, algorithm 4).
#[inline]
fn by_a_billion(size: u128) -> (u64, u64) {
    let shifted = size << 34;
    let (high, low) = ((shifted >> 64) as u64, shifted as u64);
    let guess = (u128::from(BILLION_INVERSE) * u128::from(high)).wrapping_add(shifted);
    let mut quotient = ((guess >> 64) as u64).wrapping_add(1);
    let mut rest = low.wrapping_sub(quotient.wrapping_mul(BILLION_SHIFTED));
    if rest > guess as u64 {
        quotient = quotient.wrapping_sub(1);
        rest = rest.wrapping_add(BILLION_SHIFTED);
    }
    if rest >= BILLION_SHIFTED {
        quotient = quotient.wrapping_add(1);
        rest = rest.wrapping_sub(BILLION_SHIFTED);
    }
    (quotient, rest >> 34)
}

/// The square root rounded down.
///
/// ```
/// assert_eq!(plimsoll_types::isqrt(99), 9);
/// ```
#[inline]
pub fn isqrt(n: u128) -> u128 {
    // Beneath 2^63 the float root is within one of the whole one: both conversions are within half a unit in the last
    // place, and the root is beneath 2^32.
    match u64::try_from(n) {
        Ok(n) if n < 1 << 63 => {
            let guess = (n as f64).sqrt() as u64;
            let low = guess - u64::from(guess * guess > n);
            u128::from(low + u64::from((low + 1) * (low + 1) <= n))
        }
        _ => n.isqrt(),
    }
}

/// Why a decimal text is not a whole number of units.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecimalError {
    /// Not a decimal number at all (this includes NaN and infinities).
    #[error("`{text}` is not a finite decimal number")]
    Unreadable {
        /// What was read.
        text: String,
    },
    /// Too many digits.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was read.
        text: String,
    },
    /// Not a multiple of the unit.
    #[error("`{text}` is finer than the unit {unit}")]
    TooFine {
        /// What was read.
        text: String,
        /// The unit it should be a multiple of.
        unit: Decimal,
    },
}

/// Beneath this a decimal of 96 bits holds every whole number, so a number it cannot hold has too many decimals.
const DECIMAL_MAX: f64 = 7.9e28;

/// How many `unit`s the decimal `text` is, exactly; plain (`-1.5`) or scientific (`2e-3`) notation.
///
/// ```
/// use plimsoll_types::{parse_scaled, Decimal};
/// assert_eq!(parse_scaled("-1.5", Decimal::new(1, 3)), Ok(-1500));
/// assert!(parse_scaled("0.0005", Decimal::new(1, 3)).is_err());
/// assert!(parse_scaled("NaN", Decimal::new(1, 3)).is_err());
/// ```
pub fn parse_scaled(text: &str, unit: Decimal) -> Result<i128, DecimalError> {
    let unreadable = || DecimalError::Unreadable { text: text.to_owned() };
    if text.len() > 64 || !text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) {
        return Err(unreadable());
    }
    let parsed = if text.contains(['e', 'E']) {
        Decimal::from_scientific(text)
    } else {
        Decimal::from_str_exact(text)
    };
    let value = parsed.map_err(|_| match text.parse::<f64>() {
        Ok(x) if x.abs() < DECIMAL_MAX => DecimalError::TooFine { text: text.to_owned(), unit },
        Ok(_) => DecimalError::TooLarge { text: text.to_owned() },
        Err(_) => unreadable(),
    })?;
    let too_large = || DecimalError::TooLarge { text: text.to_owned() };
    let rest = value.checked_rem(unit).ok_or_else(too_large)?;
    if !rest.is_zero() {
        return Err(DecimalError::TooFine { text: text.to_owned(), unit });
    }
    let units = value.checked_div(unit).ok_or_else(too_large)?.normalize();
    if units.scale() != 0 { Err(too_large()) } else { Ok(units.mantissa()) }
}

/// The float nearest to a decimal, through its text: the one conversion that rounds correctly.
pub fn nearest_f64(value: Decimal) -> f64 {
    // The text of a decimal is always a float's.
    value.to_string().parse().unwrap_or_else(|e| unreachable!("{value}: {e}"))
}

/// How large a lot of an underlying's instruments is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotSize {
    /// Base units per lot, of spot, options and linear futures and perpetuals.
    pub base: Decimal,
    /// Quote units per lot, of inverse futures and perpetuals, whose size is quoted in the quote currency.
    pub quote: Decimal,
}

/// The units of a parameter set: how large a tick and a lot are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Units {
    /// The valuation currency; every tick is of it.
    pub currency: Asset,
    /// Ticks per unit of the currency (1,000,000 means a tick of 1e-6).
    pub ticks_per_unit: i64,
    /// The lot of every underlying not named in `lots`.
    pub lot: LotSize,
    /// Lots of single underlyings.
    #[serde(default)]
    pub lots: BTreeMap<Asset, LotSize>,
}

impl Units {
    /// The lot of an underlying.
    pub fn lot_of(&self, underlying: &Asset) -> LotSize {
        self.lots.get(underlying).copied().unwrap_or(self.lot)
    }

    /// Size of one lot in the instrument's own quantity unit.
    pub fn lot(&self, instrument: &Instrument) -> Decimal {
        let LotSize { base, quote } = self.lot_of(instrument.underlying());
        if instrument.sized_in_quote() { quote } else { base }
    }

    /// Ticks as a decimal amount of the currency, exactly; saturates at 28 digits.
    pub fn amount(&self, ticks: Ticks) -> Decimal {
        let whole = Decimal::try_from_i128_with_scale(ticks.0, 0).unwrap_or(Decimal::MAX);
        whole.checked_div(Decimal::from(self.ticks_per_unit)).unwrap_or(Decimal::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_goes_where_its_name_says_on_both_sides_of_zero() {
        for (x, nearest, up, down) in [(1.5, 2, 2, 1), (-1.5, -2, -1, -2), (2.25, 2, 3, 2), (-0.25, 0, 0, -1)]
        {
            assert_eq!(quantise(x, Rounding::Nearest), Ok(nearest));
            assert_eq!(quantise(x, Rounding::Up), Ok(up));
            assert_eq!(quantise(x, Rounding::Down), Ok(down));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_never_saturates() {
        assert_eq!(quantise(9.3e18, Rounding::Down), Err(QuantiseError::Overflow { value: 9.3e18 }));
        assert!(quantise(f64::INFINITY, Rounding::Up).is_err());
        assert_eq!(mul_div(i128::MAX, 2, 1, Rounding::Up), None);
    }

    #[test]
    fn multiply_then_divide_rounds_as_named() {
        assert_eq!(mul_div(5, 1, 2, Rounding::Nearest), Some(3));
        assert_eq!(mul_div(-5, 1, 2, Rounding::Nearest), Some(-3));
        assert_eq!(mul_div(-5, 1, 2, Rounding::Up), Some(-2));
        assert_eq!(mul_div(-5, 1, 2, Rounding::Down), Some(-3));
        assert_eq!(mul_div(4, 1, 2, Rounding::Up), Some(2));
    }

    /// As the documentation says it, with nothing to make it fast.
    fn slow(a: i128, b: i128, c: i128, rounding: Rounding) -> Option<i128> {
        if c <= 0 { None } else { plain_div(a.checked_mul(b)?, c, rounding) }
    }

    #[test]
    fn the_fast_divisions_and_the_plain_one_agree_on_random_and_extreme_numbers() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let edges = [0, 1, 2, NANO - 1, NANO, NANO + 1, 1 << 32, i64::MAX - 1, i64::MAX];
        let edges: Vec<i128> = edges.iter().map(|x| i128::from(*x)).collect();
        let wide = [i128::MAX, i128::MAX - 1, 1 << 64, (1 << 64) - 1, 1 << 96, i128::MIN, i128::MIN + 1];
        let mut number = |high: bool| {
            let pick = draw();
            let size = match pick % 8 {
                0 => edges[(draw() % 9) as usize],
                1 if high => wide[(draw() % 7) as usize],
                2 if high => i128::from(draw()) * i128::from(draw() >> 2),
                _ => i128::from(draw() >> (draw() % 64)),
            };
            if pick & 256 == 0 { size } else { size.wrapping_neg() }
        };
        for i in 0..200_000 {
            let (a, b) = (number(true), number(i % 3 == 0));
            let c = if i % 2 == 0 { i128::from(NANO) } else { number(i % 5 == 0) };
            for rounding in [Rounding::Up, Rounding::Down, Rounding::Nearest] {
                assert_eq!(
                    mul_div(a, b, c, rounding),
                    slow(a, b, c, rounding),
                    "{a} x {b} / {c} {rounding:?}"
                );
            }
        }
    }

    #[test]
    fn roots_are_those_of_the_standard_library() {
        let mut n = 1_u128;
        for i in 0..2_000_u128 {
            for x in [n, n * n, n * n - 1, n * n + 1, n * n + i] {
                assert_eq!(isqrt(x), x.isqrt(), "{x}");
            }
            n = n * 1_021 / 1_000 + 1;
            n = if n > 1 << 62 { i + 2 } else { n };
        }
        for x in [0, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, u128::MAX] {
            assert_eq!(isqrt(x), x.isqrt());
        }
    }

    #[test]
    fn every_spelling_of_a_non_number_is_refused() {
        for text in ["NaN", "nan", "inf", "-Infinity", "", "1.2.3", "0x10", "1_000", " 1", "--1", "e5"] {
            assert!(
                matches!(parse_scaled(text, Decimal::ONE), Err(DecimalError::Unreadable { .. })),
                "{text}"
            );
        }
        assert!(matches!(parse_scaled("1e400", Decimal::ONE), Err(DecimalError::TooLarge { .. })));
        assert!(matches!(
            parse_scaled("99999999999999999999999999999999", Decimal::ONE),
            Err(DecimalError::TooLarge { .. })
        ));
        for text in ["1e-400", "0.12345678901234567890123456789012345"] {
            assert!(matches!(parse_scaled(text, Decimal::ONE), Err(DecimalError::TooFine { .. })), "{text}");
        }
        assert_eq!(parse_scaled("2e3", Decimal::ONE), Ok(2000));
        assert_eq!(parse_scaled("-0.0", Decimal::new(1, 3)), Ok(0));
    }

    #[test]
    fn a_ratio_reads_from_number_and_text_alike() {
        for json in ["0.15", "\"0.15\"", "\"1.5e-1\""] {
            assert_eq!(serde_json::from_str::<Ppb>(json).unwrap(), Ppb(150_000_000));
        }
        assert!(serde_json::from_str::<Ppb>("1e-10").is_err());
        assert_eq!(Ppb(-1_500_000_000).to_string(), "-1.5");
    }
}
