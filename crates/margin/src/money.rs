//! stage
/// decimal
pub fn decimal(ticks: i128, _per_unit: i64) -> String { ticks.to_string() }
/// isqrt
pub fn isqrt(n: u128) -> u128 { n.isqrt() }
