//! Two pieces of arithmetic every module needs.

use plimsoll_types::Decimal;

const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// A decimal as the nearest float: both parts of the quotient are exact, so one rounding is made. `None` for more than
/// 53 bits or 22 decimals, which no strike has.
pub(crate) fn nearest(value: Decimal) -> Option<f64> {
    let mantissa = value.mantissa();
    let tens = *TENS.get(usize::try_from(value.scale()).ok()?)?;
    (mantissa.unsigned_abs() <= 1 << 53).then(|| mantissa as f64 / tens)
}

/// Middle of the values, or the mean of the two middle ones; sorts them. `None` when there are none.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(middle - 1)?;
    Some(lower + 0.5 * (upper - lower))
}
