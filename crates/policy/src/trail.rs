//! Where a value came from, step by step, so that the parts add up exactly.
//!
//! **The one idea:** a value is made in steps, each of which takes it from one positive number to another. In logarithms
//! the steps add up to the value, and their differences between two days to the change of the value. Logarithms are kept as
//! whole billionths, each step being the difference of two rounded levels, so that no sum is off by a digit.

use crate::Cause;
use plimsoll_quant::special::ln;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Billionths of a natural logarithm: 1 is a relative change of 1e-9.
pub type NanoLog = i64;

/// `ln(value)` in whole billionths, to nearest. `value` is finite and > 0, hence the result is within 1e12.
fn nano_log(value: f64) -> NanoLog {
    (ln(value) * 1e9).round() as NanoLog
}

/// How a value was made: what each cause added to its logarithm.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Trail {
    /// In the order made; a cause may stand more than once.
    steps: Vec<(Cause, NanoLog)>,
    level: NanoLog,
    /// Where it stands.
    value: f64,
}

impl Trail {
    /// A value as it starts, `value > 0`, in the unit of the parameter.
    pub fn begin(cause: Cause, value: f64) -> Self {
        let level = nano_log(value);
        Self { steps: vec![(cause, level)], level, value }
    }

    /// The value becomes `value > 0` because of `cause`. Nothing is noted where it does not move.
    pub fn to(&mut self, cause: Cause, value: f64) {
        if value == self.value {
            return;
        }
        self.value = value;
        let level = nano_log(value);
        if level != self.level {
            self.steps.push((cause, level.saturating_sub(self.level)));
            self.level = level;
        }
    }

    /// `ln(value)` in billionths: the sum of all steps.
    pub fn level(&self) -> NanoLog {
        self.level
    }

    /// What each cause added.
    pub fn steps(&self) -> &[(Cause, NanoLog)] {
        &self.steps
    }

    /// What each cause adds, those that stand more than once added up.
    fn sums(&self) -> BTreeMap<Cause, NanoLog> {
        let mut sums = BTreeMap::new();
        for (cause, part) in &self.steps {
            *sums.entry(*cause).or_insert(0) += part;
        }
        sums
    }

    /// By how much each cause moved the logarithm since `before`; the parts add up to `self.level() - before.level()`
    /// exactly. Causes that moved nothing are left out.
    ///
    /// ```
    /// use plimsoll_policy::{Cause, Trail};
    /// let mut before = Trail::begin(Cause::Now, 0.10);
    /// before.to(Cause::SpeedLimit, 0.09);
    /// let mut after = Trail::begin(Cause::Now, 0.12);
    /// after.to(Cause::Liquidity, 0.15);
    /// let parts = after.since(&before);
    /// assert_eq!(parts.iter().map(|(_, part)| part).sum::<i64>(), after.level() - before.level());
    /// assert_eq!(parts.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), [Cause::Now, Cause::Liquidity, Cause::SpeedLimit]);
    /// ```
    pub fn since(&self, before: &Self) -> Vec<(Cause, NanoLog)> {
        let mut parts = self.sums();
        for (cause, part) in before.sums() {
            *parts.entry(cause).or_insert(0) -= part;
        }
        parts.into_iter().filter(|(_, part)| *part != 0).collect()
    }
}
