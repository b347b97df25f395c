//! Checked integer arithmetic that names what overflowed, and amounts as text.

use crate::MarginError;
pub use plimsoll_types::isqrt;
use plimsoll_types::{AccountId, NANO, Ppb, Rounding, mul_div};

const WHOLE: i128 = NANO as i128;

/// What does not fit in 128 bits: a formula's error, before anyone asks whose account it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TooLarge(pub(crate) &'static str);

/// The result of a formula that knows of no account.
pub(crate) type Number<T> = Result<T, TooLarge>;

#[inline(always)]
pub(crate) fn add(a: i128, b: i128, what: &'static str) -> Number<i128> {
    a.checked_add(b).ok_or(TooLarge(what))
}

#[inline(always)]
pub(crate) fn sub(a: i128, b: i128, what: &'static str) -> Number<i128> {
    a.checked_sub(b).ok_or(TooLarge(what))
}

#[inline(always)]
pub(crate) fn mul(a: i128, b: i128, what: &'static str) -> Number<i128> {
    match (i64::try_from(a), i64::try_from(b)) {
        // A product of two 64-bit numbers always fits.
        (Ok(a), Ok(b)) => Ok(i128::from(a).wrapping_mul(i128::from(b))),
        _ => a.checked_mul(b).ok_or(TooLarge(what)),
    }
}

#[inline(always)]
pub(crate) fn sum(terms: impl IntoIterator<Item = i128>, what: &'static str) -> Number<i128> {
    terms.into_iter().try_fold(0, |sum, term| add(sum, term, what))
}

/// `a x b / c`, rounded up; `c > 0`.
#[inline(always)]
pub(crate) fn ratio_up(a: i128, b: i128, c: i128, what: &'static str) -> Number<i128> {
    mul_div(a, b, c, Rounding::Up).ok_or(TooLarge(what))
}

/// `a x b / c`, rounded down; `c > 0`.
#[inline(always)]
pub(crate) fn ratio_down(a: i128, b: i128, c: i128, what: &'static str) -> Number<i128> {
    mul_div(a, b, c, Rounding::Down).ok_or(TooLarge(what))
}

/// `amount x ratio`, rounded up.
#[inline(always)]
pub(crate) fn scale_up(amount: i128, ratio: Ppb, what: &'static str) -> Number<i128> {
    if ratio == Ppb::ONE {
        // What does not fit when it is multiplied is refused, whatever it is divided by.
        return mul(amount, WHOLE, what).map(|_| amount);
    }
    ratio_up(amount, i128::from(ratio.0), WHOLE, what)
}

/// The square root of a ratio `a / b` in parts per billion, rounded up; `a >= 0`, `b > 0`.
#[inline(always)]
pub(crate) fn sqrt_ratio_up(a: i128, b: i128, what: &'static str) -> Number<i128> {
    if a == 0 {
        return Ok(0);
    }
    let square = ratio_up(mul(a, WHOLE, what)?, WHOLE, b, what)?;
    let square = u128::try_from(square).map_err(|_| TooLarge(what))?;
    let root = isqrt(square);
    let up = root + u128::from(root * root < square);
    i128::try_from(up).map_err(|_| TooLarge(what))
}

/// Arithmetic on behalf of one account: every result is exact or an error that names the quantity.
#[derive(Clone, Copy)]
pub(crate) struct Exact<'a> {
    pub(crate) account: &'a AccountId,
}

impl Exact<'_> {
    #[cold]
    pub(crate) fn overflow(self, what: &'static str) -> MarginError {
        MarginError::Overflow { account: self.account.clone(), what }
    }

    /// The number of this account, or its error.
    #[inline(always)]
    pub(crate) fn own<T>(self, number: Number<T>) -> Result<T, MarginError> {
        number.map_err(|TooLarge(what)| self.overflow(what))
    }

    #[inline(always)]
    pub(crate) fn add(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        self.own(add(a, b, what))
    }

    #[inline(always)]
    pub(crate) fn sub(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        self.own(sub(a, b, what))
    }

    #[inline(always)]
    pub(crate) fn mul(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        self.own(mul(a, b, what))
    }

    #[inline(always)]
    pub(crate) fn sum(
        self,
        terms: impl IntoIterator<Item = i128>,
        what: &'static str,
    ) -> Result<i128, MarginError> {
        self.own(sum(terms, what))
    }

    /// `a x b / c`, rounded up; `c > 0`.
    pub(crate) fn ratio_up(self, a: i128, b: i128, c: i128, what: &'static str) -> Result<i128, MarginError> {
        self.own(ratio_up(a, b, c, what))
    }

    /// `a x b / c`, rounded down; `c > 0`.
    pub(crate) fn ratio_down(
        self,
        a: i128,
        b: i128,
        c: i128,
        what: &'static str,
    ) -> Result<i128, MarginError> {
        self.own(ratio_down(a, b, c, what))
    }

    /// `amount x ratio`, rounded up.
    pub(crate) fn scale_up(self, amount: i128, ratio: Ppb, what: &'static str) -> Result<i128, MarginError> {
        self.own(scale_up(amount, ratio, what))
    }
}

/// Splits a total in proportion to weights >= 0, of which one is > 0, so that the parts add up to it exactly: each is
/// what the rounded cumulative share gains, within a tick of its own share.
pub(crate) fn split(total: i128, weights: &[i128], exact: Exact) -> Result<Vec<i128>, MarginError> {
    let mut parts = vec![0; weights.len()];
    exact.own(split_into(total, weights, &mut parts))?;
    Ok(parts)
}

/// As [`split`], into a slice as long as the weights.
pub(crate) fn split_into(total: i128, weights: &[i128], parts: &mut [i128]) -> Number<()> {
    let what = "the share of collateral";
    let all = sum(weights.iter().copied(), what)?;
    let (mut given, mut passed) = (0, 0);
    for (weight, part) in weights.iter().zip(parts) {
        passed += weight;
        let upto = ratio_down(total, passed, all, what)?;
        *part = upto - given;
        given = upto;
    }
    Ok(())
}

/// Ticks as a decimal amount of the currency, by integer arithmetic: at least two decimals, trailing zeros beyond
/// them dropped, at most nine decimals (beyond them truncated towards zero). `per_unit` is the number of ticks in a
/// unit; > 0.
///
/// ```
/// use plimsoll_margin::decimal;
/// assert_eq!(decimal(-1_234_567_890, 1_000_000), "-1234.56789");
/// assert_eq!(decimal(5, 1_000_000), "0.000005");
/// assert_eq!(decimal(7_000_000, 1_000_000), "7.00");
/// ```
pub fn decimal(ticks: i128, per_unit: i64) -> String {
    let per_unit = u128::try_from(per_unit).unwrap_or(1).max(1);
    let size = ticks.unsigned_abs();
    let (whole, mut rest) = (size / per_unit, size % per_unit);
    let mut digits = String::new();
    while digits.len() < 2 || (rest > 0 && digits.len() < 9) {
        rest *= 10;
        digits.push(char::from(b'0' + u8::try_from(rest / per_unit).unwrap_or(9)));
        rest %= per_unit;
    }
    let sign = if ticks < 0 { "-" } else { "" };
    format!("{sign}{whole}.{digits}")
}
