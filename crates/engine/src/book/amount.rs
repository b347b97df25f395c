//! Quantities and prices as readers find them, made lots and floats.
//!
//! **The one idea:** the usual spellings are read in integers, exactly; everything else, and everything that is refused,
//! goes through the text, so that there is one meaning and one set of refusals.

use super::RowError;
use plimsoll_types::{Decimal, DecimalError, NANO, parse_scaled};
use std::borrow::Cow;

/// The largest position: every count up to it is exact as a float.
pub(super) const LOTS_MAX: u64 = 1 << 53;

/// `10^n`.
const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut n = 1;
    while n < powers.len() {
        powers[n] = 10 * powers[n - 1];
        n += 1;
    }
    powers
};

/// The same as floats; up to `10^22` they are exact.
const FLOAT_POWERS: [f64; 16] =
    [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number as a file has it. Each stands for the text it prints to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Number<'a> {
    /// As written.
    Text(&'a str),
    /// The shortest decimal that reads back as this float.
    Float(f64),
    /// `mantissa x 10^-scale`; `scale` at most 18.
    Decimal {
        /// All digits, with the sign.
        mantissa: i64,
        /// How many of them are decimals.
        scale: u32,
    },
}

impl<'a> From<&'a str> for Number<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Number<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl Number<'_> {
    /// The text it stands for.
    ///
    /// ```
    /// use plimsoll_engine::Number;
    /// assert_eq!(Number::Decimal { mantissa: -50, scale: 3 }.text(), "-0.050");
    /// assert_eq!(Number::Float(0.1).text(), "0.1");
    /// ```
    pub fn text(&self) -> Cow<'_, str> {
        match *self {
            Number::Text(text) => Cow::Borrowed(text),
            Number::Float(x) => Cow::Owned(format!("{x:?}")),
            Number::Decimal { mantissa, scale: 0 } => Cow::Owned(mantissa.to_string()),
            Number::Decimal { mantissa, scale } => {
                let sign = if mantissa < 0 { "-" } else { "" };
                let digits = format!("{:0width$}", mantissa.unsigned_abs(), width = scale as usize + 1);
                let (whole, decimals) = digits.split_at(digits.len() - scale as usize);
                Cow::Owned(format!("{sign}{whole}.{decimals}"))
            }
        }
    }
}

/// The size of a lot, `mantissa x 10^-scale`; the mantissa is 0 where that is not beneath 19 digits and decimals.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    unit: Decimal,
    mantissa: i64,
    scale: u32,
}

impl Lot {
    pub(super) fn new(unit: Decimal) -> Self {
        let plain = unit.normalize();
        let mantissa = i64::try_from(plain.mantissa()).ok().filter(|m| *m > 0 && plain.scale() <= 18);
        Self { unit, mantissa: mantissa.unwrap_or(0), scale: plain.scale() }
    }

    /// `mantissa x 10^-scale` in lots; `None` unless that is a whole number of at most 2^53 and all products fit.
    #[inline]
    fn whole(self, mantissa: i64, scale: u32) -> Option<i64> {
        let (amount, lot) = if self.scale >= scale {
            (mantissa.checked_mul(*POWERS.get((self.scale - scale) as usize)?)?, self.mantissa)
        } else {
            (mantissa, self.mantissa.checked_mul(*POWERS.get((scale - self.scale) as usize)?)?)
        };
        let count = match lot {
            0 => return None,
            1 => amount,
            _ if amount % lot == 0 => amount / lot,
            _ => return None,
        };
        (count.unsigned_abs() <= LOTS_MAX).then_some(count)
    }
}

/// A plain decimal of at most 18 digits: an optional sign, digits, and optionally a dot and digits.
#[inline]
fn plain(text: &str) -> Option<(i64, u32)> {
    let bytes = text.as_bytes();
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let (mut value, mut dot) = (0_i64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte.wrapping_sub(b'0') {
            digit @ 0..=9 => value = value * 10 + i64::from(digit),
            // Nineteen digits may not fit; a dot among nineteen bytes leaves eighteen.
            _ if *byte == b'.' && dot.is_none() && at > 0 && at + 1 < digits.len() => dot = Some(at),
            _ => return None,
        }
        if at == 17 && dot.is_none() && digits.len() > 18 {
            return None;
        }
    }
    let scale = dot.map_or(0, |at| digits.len() - 1 - at) as u32;
    Some((if negative { -value } else { value }, scale))
}

/// A float whose shortest decimal has no more decimals than the lot and at most 15 digits: there is one such decimal, and
/// a division of whole numbers beneath 2^53 rounds as reading it does.
#[inline]
fn short(x: f64, scale: u32) -> Option<(i64, u32)> {
    let power = *FLOAT_POWERS.get(scale as usize)?;
    let whole = (x * power).round();
    (whole.abs() < 1e15 && whole / power == x).then_some((whole as i64, scale))
}

/// The number as `mantissa x 10^-decimals` where that is plain to see; floats with at most `scale` decimals.
#[inline]
fn decimal(number: Number<'_>, scale: u32) -> Option<(i64, u32)> {
    match number {
        Number::Text(text) => plain(text),
        Number::Float(x) => short(x, scale),
        Number::Decimal { mantissa, scale } => Some((mantissa, scale)),
    }
}

/// Decimals of a billionth.
const NANO_SCALE: u32 = 9;

/// An amount in billionths, of at most 2^53 units either way.
pub(super) fn nano_of(field: &'static str, amount: Number<'_>) -> Result<i128, RowError> {
    let short = decimal(amount, NANO_SCALE).and_then(|(mantissa, scale)| {
        // What fits 64 bits is beneath the limit.
        mantissa.checked_mul(*POWERS.get(NANO_SCALE.checked_sub(scale)? as usize)?)
    });
    match short {
        Some(nano) => Ok(i128::from(nano)),
        None => nano(field, &amount.text()),
    }
}

/// The same from text of any spelling.
fn nano(field: &'static str, text: &str) -> Result<i128, RowError> {
    let amount = parse_scaled(text.strip_prefix('+').unwrap_or(text), Decimal::new(1, NANO_SCALE));
    let amount = amount.map_err(|e| {
        let expected = format!("{e}: expected a decimal number no finer than 0.000000001");
        RowError::new(field, text, expected)
    })?;
    if amount.unsigned_abs() > u128::from(LOTS_MAX) * NANO.unsigned_abs() as u128 {
        return Err(RowError::new(field, text, "is too large: expected at most 2^53 units"));
    }
    Ok(amount)
}

/// A quantity as whole lots, at most 2^53 of them.
#[inline]
pub(super) fn lots_of(field: &'static str, quantity: Number<'_>, lot: Lot) -> Result<i64, RowError> {
    match decimal(quantity, lot.scale).and_then(|(mantissa, scale)| lot.whole(mantissa, scale)) {
        Some(count) => Ok(count),
        None => lots(field, &quantity.text(), lot.unit),
    }
}

/// A quantity as whole lots.
pub(crate) fn lots(field: &'static str, text: &str, lot: Decimal) -> Result<i64, RowError> {
    let count = parse_scaled(text.strip_prefix('+').unwrap_or(text), lot).map_err(|e| match e {
        DecimalError::TooFine { unit, .. } => {
            RowError::new(field, text, format!("is finer than a lot: expected a multiple of {unit}"))
        }
        DecimalError::TooLarge { .. } => {
            RowError::new(field, text, "is too large: expected at most 2^53 lots")
        }
        DecimalError::Unreadable { .. } => {
            RowError::new(field, text, "is not a finite decimal number such as -1.5")
        }
    })?;
    match i64::try_from(count) {
        Ok(count) if count.unsigned_abs() <= LOTS_MAX => Ok(count),
        _ => Err(RowError::new(field, text, "is too large: expected at most 2^53 lots")),
    }
}

/// A positive price; kept as a float since it meets prices of the market and becomes an integer once, afterwards.
pub(super) fn price(field: &'static str, number: Number<'_>) -> Result<f64, RowError> {
    let value = match number {
        Number::Text(text) => text.parse().ok(),
        Number::Float(x) => Some(x),
        Number::Decimal { .. } => number.text().parse().ok(),
    };
    value
        .filter(|x: &f64| x.is_finite() && *x > 0.0)
        .ok_or_else(|| RowError::new(field, &number.text(), "is not a positive finite price such as 65000.5"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The reference: the text, read as a decimal of any kind.
    fn by_text(number: Number<'_>, unit: Decimal) -> Result<i64, RowError> {
        lots("quantity", &number.text(), unit)
    }

    fn units() -> impl Strategy<Value = Decimal> {
        let odd = (1_i64..1_000, 0_u32..28).prop_map(|(m, s)| Decimal::new(m, s));
        prop_oneof![(0_u32..10).prop_map(|s| Decimal::new(1, s)), odd]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_text_reads_as_by_the_decimal_parser(text in "[-+]{0,2}[0-9]{0,20}[.]{0,2}[0-9]{0,6}(e-?[0-9])?", unit in units()) {
            let number = Number::Text(&text);
            prop_assert_eq!(lots_of("quantity", number, Lot::new(unit)), by_text(number, unit));
        }

        #[test]
        fn any_text_reads_as_by_the_decimal_parser(text in "[-+0-9.e_ a]{0,12}", unit in units()) {
            let number = Number::Text(&text);
            prop_assert_eq!(lots_of("quantity", number, Lot::new(unit)), by_text(number, unit));
        }

        #[test]
        fn a_float_reads_as_its_shortest_text(bits in any::<u64>(), unit in units()) {
            let number = Number::Float(f64::from_bits(bits));
            prop_assert_eq!(lots_of("quantity", number, Lot::new(unit)), by_text(number, unit));
        }

        #[test]
        fn a_short_float_reads_as_its_shortest_text(whole in -20_000_000_000_000_000_i64..20_000_000_000_000_000, cut in 0_u32..50, scale in 0_i32..12, unit in units()) {
            let x: f64 = format!("{}e-{scale}", whole >> cut).parse().unwrap();
            for x in [x, x.next_up(), x.next_down()] {
                let number = Number::Float(x);
                prop_assert_eq!(lots_of("quantity", number, Lot::new(unit)), by_text(number, unit));
            }
        }

        #[test]
        fn a_decimal_reads_as_its_text(mantissa in any::<i64>(), cut in 0_u32..63, scale in 0_u32..19, unit in units()) {
            let number = Number::Decimal { mantissa: mantissa >> cut, scale };
            prop_assert_eq!(lots_of("quantity", number, Lot::new(unit)), by_text(number, unit));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn an_amount_reads_as_by_the_decimal_parser(text in "[-+]{0,2}[0-9]{0,20}[.]{0,2}[0-9]{0,12}(e-?[0-9])?") {
            prop_assert_eq!(nano_of("amount", Number::Text(&text)), nano("amount", &text));
        }

        #[test]
        fn a_typed_amount_reads_as_its_text(mantissa in any::<i64>(), cut in 0_u32..63, scale in 0_u32..19, bits in any::<u64>()) {
            let short: f64 = format!("{}e-{scale}", mantissa >> cut).parse().unwrap();
            for x in [f64::from_bits(bits), short, short.next_up()] {
                prop_assert_eq!(nano_of("amount", Number::Float(x)), nano("amount", &Number::Float(x).text()));
            }
            let number = Number::Decimal { mantissa: mantissa >> cut, scale };
            prop_assert_eq!(nano_of("amount", number), nano("amount", &number.text()));
        }
    }

    #[test]
    fn the_limit_is_2_to_the_53_lots_by_every_way_in() {
        let lot = Lot::new(Decimal::ONE);
        let most = 9_007_199_254_740_992_i64;
        for sign in [1, -1] {
            let decimal = |mantissa| lots_of("quantity", Number::Decimal { mantissa, scale: 0 }, lot);
            assert_eq!(decimal(sign * most), Ok(sign * most));
            assert!(decimal(sign * (most + 1)).is_err());
            let text = |count: i64| lots_of("quantity", Number::Text(&count.to_string()), lot);
            assert_eq!(text(sign * most), Ok(sign * most));
            assert!(text(sign * (most + 1)).is_err());
            assert_eq!(lots_of("quantity", Number::Float((sign * most) as f64), lot), Ok(sign * most));
        }
        assert!(lots_of("quantity", Number::Float(f64::NAN), lot).is_err());
    }
}
