//! From signals at any instants to observations, one a step.
//!
//! **The one idea:** time is cut into steps of equal length that begin at whole multiples of it, in UTC. The first number in a
//! new step closes what came before; every other shows how far the open step has come. Where steps are missing, what happened
//! meanwhile is one observation, and it is said how many are missing.

use crate::Bar;
use crate::target::Observation;
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};

/// A series between two observations.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Forming {
    /// The step that the last observation opened.
    step: Option<i64>,
    /// Everything since.
    bar: Option<Bar>,
    /// The last number observed.
    last: Option<f64>,
}

/// What a number was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Taken {
    pub(crate) seen: Observation,
    /// Relative change since the last observation; `None` at the first.
    pub(crate) change: Option<f64>,
    /// Steps without an observation.
    pub(crate) bridged: i64,
}

impl Bar {
    /// The bar of both, the other one after this.
    fn and(self, later: Self) -> Self {
        let high = if later.high > self.high { later.high } else { self.high };
        let low = if later.low < self.low { later.low } else { self.low };
        Self { open: self.open, high, low, close: later.close }
    }
}

impl Forming {
    /// Takes in what happened since the last number.
    pub(crate) fn take(&mut self, now: Timestamp, step_seconds: i64, bar: Bar) -> Taken {
        let whole = self.bar.map_or(bar, |before| before.and(bar));
        let change = self.last.map(|last| bar.close / last - 1.0);
        let step = now.seconds().div_euclid(step_seconds.max(1));
        let closed = self.step.is_none_or(|open| step > open);
        let bridged = self.step.map_or(0, |open| (step - open - 1).max(0));
        if closed {
            *self = Self { step: Some(step), bar: None, last: Some(bar.close) };
        } else {
            self.bar = Some(whole);
        }
        Taken { seen: Observation { bar: whole, closed }, change, bridged }
    }

    /// Whether anything was seen.
    pub(crate) fn known(&self) -> bool {
        self.last.is_some()
    }

    /// Whether a number can follow: the change to it has a finite square.
    pub(crate) fn can_follow(&self, close: f64) -> bool {
        let change = self.last.map_or(0.0, |last| close / last - 1.0);
        (change * change).is_finite()
    }
}
