//! Checked integer arithmetic that names what overflowed, and amounts as text.

use crate::MarginError;
use plimsoll_types::{AccountId, NANO, Ppb, Rounding, mul_div};

/// Arithmetic on behalf of one account: every result is exact or an error that names the quantity.
#[derive(Clone, Copy)]
pub(crate) struct Exact<'a> {
    pub(crate) account: &'a AccountId,
}

impl Exact<'_> {
    pub(crate) fn overflow(self, what: &'static str) -> MarginError {
        MarginError::Overflow { account: self.account.clone(), what }
    }

    pub(crate) fn add(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        a.checked_add(b).ok_or_else(|| self.overflow(what))
    }

    pub(crate) fn sub(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        a.checked_sub(b).ok_or_else(|| self.overflow(what))
    }

    pub(crate) fn mul(self, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
        a.checked_mul(b).ok_or_else(|| self.overflow(what))
    }

    pub(crate) fn sum(
        self,
        terms: impl IntoIterator<Item = i128>,
        what: &'static str,
    ) -> Result<i128, MarginError> {
        terms.into_iter().try_fold(0, |sum, term| self.add(sum, term, what))
    }

    /// `a x b / c`, rounded up; `c > 0`.
    pub(crate) fn ratio_up(self, a: i128, b: i128, c: i128, what: &'static str) -> Result<i128, MarginError> {
        mul_div(a, b, c, Rounding::Up).ok_or_else(|| self.overflow(what))
    }

    /// `a x b / c`, rounded down; `c > 0`.
    pub(crate) fn ratio_down(
        self,
        a: i128,
        b: i128,
        c: i128,
        what: &'static str,
    ) -> Result<i128, MarginError> {
        mul_div(a, b, c, Rounding::Down).ok_or_else(|| self.overflow(what))
    }

    /// `amount x ratio`, rounded up.
    pub(crate) fn scale_up(self, amount: i128, ratio: Ppb, what: &'static str) -> Result<i128, MarginError> {
        self.ratio_up(amount, i128::from(ratio.0), i128::from(NANO), what)
    }
}

/// Splits a total in proportion to weights >= 0, of which one is > 0, so that the parts add up to it exactly: each is
/// what the rounded cumulative share gains, within a tick of its own share.
pub(crate) fn split(total: i128, weights: &[i128], exact: Exact) -> Result<Vec<i128>, MarginError> {
    let what = "the share of collateral";
    let all = exact.sum(weights.iter().copied(), what)?;
    let (mut given, mut passed, mut parts) = (0, 0, Vec::with_capacity(weights.len()));
    for weight in weights {
        passed += weight;
        let upto = exact.ratio_down(total, passed, all, what)?;
        parts.push(upto - given);
        given = upto;
    }
    Ok(parts)
}

/// The square root rounded down.
///
/// ```
/// assert_eq!(plimsoll_margin::isqrt(99), 9);
/// ```
pub fn isqrt(n: u128) -> u128 {
    n.isqrt()
}

/// The square root of a ratio `a / b` in parts per billion, rounded up; `a >= 0`, `b > 0`.
pub(crate) fn sqrt_ratio_up(exact: Exact, a: i128, b: i128, what: &'static str) -> Result<i128, MarginError> {
    let square = exact.ratio_up(exact.mul(a, i128::from(NANO), what)?, i128::from(NANO), b, what)?;
    let square = u128::try_from(square).map_err(|_| exact.overflow(what))?;
    let root = isqrt(square);
    let up = root + u128::from(root * root < square);
    i128::try_from(up).map_err(|_| exact.overflow(what))
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
