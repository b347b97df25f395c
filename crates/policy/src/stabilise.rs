//! Responsiveness against stability: how far a value follows its target.
//!
//! **The one idea:** the next value is a clamp of the present one between two bounds that follow the target, cut by two
//! speeds. Clamps are monotone in everything, so a higher path of targets, or a higher start, never gives a lower value; and
//! under a constant target the value goes to the band around it, once, and stays.
//!
//! With target `T`, present value `x`, `M` the largest target of the hold and `d` days since the last step:
//! `x' = clamp(x, T exp(-band_up), M exp(band_down))`, then `x exp(-loosen d) <= x' <= x exp(tighten d)`.
//! The hold looks at targets and not at changes of the value: a hold that began when the value rose would let a higher path
//! of targets end lower.

use crate::extremes::{Extreme, Extremes};
use crate::{Cause, Trail};
use plimsoll_quant::special::exp;
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// How a parameter follows its target. All rates are of the logarithm: 0.02 is about 2 %.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stabiliser {
    /// How far beneath its target a value may rest; from 0 to 0.5.
    pub band_up: f64,
    /// How far above its target a value may rest; from 0 to 0.5.
    pub band_down: f64,
    /// Fastest tightening per day; > 0.
    pub tighten_per_day: f64,
    /// Fastest loosening per day; > 0, at most that of tightening, and at most ln 2 unless the limits are `unbounded`.
    pub loosen_per_day: f64,
    /// A value loosens no further than to the largest target of so many seconds; from 0 to a year.
    pub hold_seconds: i64,
}

/// The widest band: a value that may rest further from its target does not follow it.
const BAND_MAX: f64 = 0.5;

/// The fastest loosening per day of the logarithm: halved in a day, as limits let it ([`crate::DAY_FALL_MAX`]).
const LOOSEN_MAX: f64 = LN_2;

/// The longest hold, seconds: a year.
const HOLD_MAX: i64 = 366 * 86_400;

/// Why a stabiliser is none.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
#[error("stabiliser `{field}` is {value}: expected {expected}")]
pub struct StabiliserError {
    /// Its name.
    pub field: &'static str,
    /// The number.
    pub value: f64,
    /// What it may be.
    pub expected: &'static str,
}

/// The targets of the hold.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Holding {
    targets: Extremes<f64>,
}

impl Stabiliser {
    /// Whether these are numbers to follow; `unbounded` is that of the limits beside them.
    pub fn check(&self, unbounded: bool) -> Result<(), StabiliserError> {
        let sound = |ok: bool, field, value, expected| {
            if ok { Ok(()) } else { Err(StabiliserError { field, value, expected }) }
        };
        let finite = |x: f64| x.is_finite() && x >= 0.0;
        let band = |x: f64| (0.0..=BAND_MAX).contains(&x);
        sound(band(self.band_up), "band_up", self.band_up, "from 0 to 0.5")?;
        sound(band(self.band_down), "band_down", self.band_down, "from 0 to 0.5")?;
        let tighten = self.tighten_per_day;
        sound(finite(tighten) && tighten > 0.0, "tighten_per_day", tighten, "finite and > 0")?;
        let loosen = self.loosen_per_day;
        let slower = finite(loosen) && loosen > 0.0 && loosen <= tighten;
        sound(slower, "loosen_per_day", loosen, "> 0 and at most `tighten_per_day`")?;
        let slow = unbounded || loosen <= LOOSEN_MAX;
        sound(slow, "loosen_per_day", loosen, "at most ln 2, half in a day, unless `unbounded`")?;
        let held = (0..=HOLD_MAX).contains(&self.hold_seconds);
        sound(held, "hold_seconds", self.hold_seconds as f64, "from 0 to a year")
    }

    /// The next value of a parameter at `value` whose target is `target`, both finite and > 0; `days` have passed since
    /// the last step. Every step of the way goes on the trail, which stands at the target.
    pub fn follow(
        &self,
        holding: &mut Holding,
        (value, target): (f64, f64),
        (now, days): (Timestamp, f64),
        trail: &mut Trail,
    ) -> f64 {
        holding.targets.push(Extreme::Largest, now, target, self.hold_seconds);
        let highest = holding.targets.get().unwrap_or(target);
        let held = value.clamp(target, highest);
        trail.to(Cause::Hold, held);
        let banded = value.clamp(target * exp(-self.band_up), highest * exp(self.band_down));
        trail.to(Cause::Hysteresis, banded);
        let slowest = value * exp(-self.loosen_per_day * days);
        let fastest = value * exp(self.tighten_per_day * days);
        let next = banded.clamp(slowest, fastest);
        trail.to(Cause::SpeedLimit, next);
        next
    }
}
