//! Why margin changed: a telescoping sum, so the parts add up to the change to the tick.

use crate::{MarginReport, Summary};
use plimsoll_types::Ticks;
use serde::{Deserialize, Serialize};

/// What was changed between one report and the next.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Index, forwards and the prices of collateral.
    Price,
    /// Volatilities.
    Vol,
    /// The passing of time.
    Time,
    /// Positions, collateral and orders.
    Position,
    /// Parameters.
    Parameter,
}

/// A change by cause, in ticks; signed. The six parts add up to `total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Split {
    /// Due to prices.
    pub price: Ticks,
    /// Due to volatilities.
    pub vol: Ticks,
    /// Due to time.
    pub time: Ticks,
    /// Due to positions.
    pub position: Ticks,
    /// Due to parameters.
    pub parameter: Ticks,
    /// From the last step to the report after: 0 when the steps lead all the way.
    pub residual: Ticks,
    /// After minus before.
    pub total: Ticks,
}

/// The change of an account's margin by cause.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Attribution {
    /// As it was.
    pub before: Summary,
    /// As it is.
    pub after: Summary,
    /// Change of initial margin.
    pub im: Split,
    /// Change of maintenance margin.
    pub mm: Split,
    /// Change of equity.
    pub equity: Split,
}

impl Split {
    fn add(&mut self, cause: Cause, change: i128) {
        let part = match cause {
            Cause::Price => &mut self.price,
            Cause::Vol => &mut self.vol,
            Cause::Time => &mut self.time,
            Cause::Position => &mut self.position,
            Cause::Parameter => &mut self.parameter,
        };
        part.0 = part.0.wrapping_add(change);
    }

    fn of(before: Ticks, steps: impl Iterator<Item = (Cause, Ticks)>, after: Ticks) -> Self {
        let mut split = Self { total: Ticks(after.0.wrapping_sub(before.0)), ..Self::default() };
        let mut last = before.0;
        for (cause, value) in steps {
            split.add(cause, value.0.wrapping_sub(last));
            last = value.0;
        }
        split.residual = Ticks(after.0.wrapping_sub(last));
        split
    }

    /// The sum of the six parts: equals `total`.
    pub fn sum(&self) -> Ticks {
        let parts = [self.price, self.vol, self.time, self.position, self.parameter, self.residual];
        Ticks(parts.iter().fold(0_i128, |sum, part| sum.wrapping_add(part.0)))
    }
}

/// Splits the change from `before` to `after` over `steps`: each step is the report after one more cause was brought
/// to its new value, in order, and is charged with the difference to the report before it. What lies between the last
/// step and `after` is the residual. A cause may come more than once. Exact for margins within half of 128 bits, and
/// the parts add up to the total even beyond.
pub fn attribute(
    before: &MarginReport,
    steps: &[(Cause, &MarginReport)],
    after: &MarginReport,
) -> Attribution {
    let split = |read: fn(&MarginReport) -> Ticks| {
        Split::of(read(before), steps.iter().map(|(cause, report)| (*cause, read(report))), read(after))
    };
    Attribution {
        before: before.summary(),
        after: after.summary(),
        im: split(|report| report.im),
        mm: split(|report| report.mm),
        equity: split(|report| report.equity),
    }
}
