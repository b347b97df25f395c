//! Hard limits of a parameter, set by governance: no path to a new value goes around them.
//!
//! **The one idea:** from what is in force and when, [`Limits::range`] says which values may come next, in whole
//! billionths; a proposal is cut to it, and [`Limits::validate`] refuses whatever lies outside, whoever proposed it.
//! Every comparison is of integers, so that a contract makes the same one.
//!
//! Source: design section 7; delays and largest changes as in Aave's `RiskSteward` (methods 22), with minimum, maximum and
//! cumulative change added.

use crate::extremes::{Extreme, Extremes};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{NANO, Ppb, Timestamp};
use serde::{Deserialize, Serialize};

/// The hard limits of one parameter. Changes are relative to the value in force.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Least value, > 0.
    pub minimum: Ppb,
    /// Largest value, at least the minimum.
    pub maximum: Ppb,
    /// Largest rise in one update: `new <= old (1 + up)`; > 0.
    pub up: Ppb,
    /// Largest fall in one update: `new >= old (1 - down)`; in (0, 1).
    pub down: Ppb,
    /// The window of cumulative change, seconds; > 0.
    pub window_seconds: i64,
    /// `new <= (1 + window_up) x least value in force in the window`; > 0.
    pub window_up: Ppb,
    /// `new >= (1 - window_down) x largest value in force in the window`; in (0, 1).
    pub window_down: Ppb,
    /// Least time from any change to the next rise, seconds; >= 0, at most a day unless `unbounded`.
    pub delay_up_seconds: i64,
    /// Least time from any change to the next fall, seconds; >= 0.
    pub delay_down_seconds: i64,
    /// Age at which a proposal expires, seconds; > 0.
    pub expiry_seconds: i64,
    /// Values are multiples of this; > 0.
    pub step: Ppb,
    /// Whether a value may fall faster than [`DAY_FALL_MAX`] and [`WEEK_FALL_MAX`] let it, and rise later than within a day: for
    /// base lines, which answer to no governance. The linter reports it.
    #[serde(default)]
    pub unbounded: bool,
}

/// The most that a value may be let to fall within a day, a share of it, unless its limits are `unbounded`.
pub const DAY_FALL_MAX: Ppb = Ppb(NANO / 2);

/// The most that a value may be let to fall within a week.
pub const WEEK_FALL_MAX: Ppb = Ppb(NANO / 4 * 3);

/// How often the minimum may go into the maximum: a minimum that is never reached bounds nothing.
const RANGE_MAX: i64 = 10_000;

/// Longest time that limits may speak of, seconds: ten years.
const SECONDS_MAX: i64 = 315_360_000;

const DAY: i64 = 86_400;

/// Longest life of a proposal, seconds: thirty days. What is older is of another world.
const EXPIRY_MAX: i64 = 30 * DAY;

/// Why limits are no limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LimitsError {
    /// A number is outside what it may be.
    #[error("limit `{field}` is {value}: expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The number, ratios in decimals.
        value: Ppb,
        /// What it may be.
        expected: &'static str,
    },
    /// A number of seconds is outside what it may be.
    #[error("limit `{field}` is {seconds} s: expected {expected}")]
    Seconds {
        /// Its name.
        field: &'static str,
        /// The number.
        seconds: i64,
        /// What it may be.
        expected: &'static str,
    },
    /// Values could loosen without limit, as good as.
    #[error("limits let a value fall by {fall} within {seconds} s: expected {most} at most, or `unbounded`")]
    Loosens {
        /// The share of it that it may fall by.
        fall: Ppb,
        /// Within which time.
        seconds: i64,
        /// The most that it may.
        most: Ppb,
    },
    /// Values fall faster than they rise.
    #[error(
        "limits let a value fall to {least} of itself within {seconds} s and rise to {most} times itself: expected as much upwards at least"
    )]
    Slower {
        /// The share of it that it may fall to.
        least: Ppb,
        /// How many times itself it may rise to.
        most: Ppb,
        /// Within which time.
        seconds: i64,
    },
    /// No multiple of the step lies between minimum and maximum.
    #[error("no multiple of {step} lies between {minimum} and {maximum}")]
    Empty {
        /// The step.
        step: Ppb,
        /// The minimum.
        minimum: Ppb,
        /// The maximum.
        maximum: Ppb,
    },
}

/// Which limit a change breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Breach {
    /// Beneath the least value.
    #[error("{new} is beneath the minimum {minimum}")]
    Minimum {
        /// The value proposed.
        new: Ppb,
        /// The limit.
        minimum: Ppb,
    },
    /// Above the largest value.
    #[error("{new} is above the maximum {maximum}")]
    Maximum {
        /// The value proposed.
        new: Ppb,
        /// The limit.
        maximum: Ppb,
    },
    /// Too large a change of the value in force, or of those in the window.
    #[error("{new} is outside {least} to {most}, which may follow {old}")]
    Change {
        /// The value proposed.
        new: Ppb,
        /// The value in force.
        old: Ppb,
        /// The least that may follow.
        least: Ppb,
        /// The most that may follow.
        most: Ppb,
    },
    /// Too soon after the last change.
    #[error("changed {elapsed} s ago: {delay} s must pass")]
    Delay {
        /// Seconds since the last change.
        elapsed: i64,
        /// The limit.
        delay: i64,
    },
    /// The proposal is too old.
    #[error("the proposal is {age} s old: it expires at {expiry} s")]
    Expired {
        /// Seconds since it was made.
        age: i64,
        /// The limit.
        expiry: i64,
    },
    /// Not a multiple of the step.
    #[error("{new} is no multiple of {step}")]
    Step {
        /// The value proposed.
        new: Ppb,
        /// The step.
        step: Ppb,
    },
    /// An instant before one that has passed.
    #[error("{now} is before {last}, the last instant seen")]
    Clock {
        /// The instant given.
        now: Timestamp,
        /// The last one.
        last: Timestamp,
    },
}

/// A parameter's value and what was in force before, as far as limits ask.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InForce {
    value: Ppb,
    seen: Timestamp,
    changed: Option<Timestamp>,
    least: Extremes<i64>,
    largest: Extremes<i64>,
}

/// The values that may come next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range {
    /// The least, a multiple of the step unless it is the value in force.
    pub least: Ppb,
    /// The most, likewise.
    pub most: Ppb,
    /// What the least and the most would be without the window.
    pub unwindowed: (Ppb, Ppb),
    /// And what they would be without the delays.
    pub undelayed: (Ppb, Ppb),
}

/// `value (NANO + by) / NANO`, rounded down. `by` may be negative; saturates.
fn scaled_down(value: i64, by: i64) -> i64 {
    let nano = i128::from(NANO);
    let scaled = (i128::from(value) * (nano + i128::from(by))).div_euclid(nano);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// As [`scaled_down`], rounded up.
fn scaled_up(value: i64, by: i64) -> i64 {
    let nano = i128::from(NANO);
    let scaled = -(-(i128::from(value) * (nano + i128::from(by)))).div_euclid(nano);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

impl InForce {
    /// A parameter that starts at `value`.
    pub fn new(value: Ppb, now: Timestamp) -> Self {
        let mut new = Self {
            value,
            seen: now,
            changed: None,
            least: Extremes::default(),
            largest: Extremes::default(),
        };
        new.note(now, 0);
        new
    }

    /// The value in force.
    pub fn value(&self) -> Ppb {
        self.value
    }

    /// When it last changed; `None`: never.
    pub fn changed(&self) -> Option<Timestamp> {
        self.changed
    }

    /// The largest value that the window remembers.
    pub(crate) fn largest(&self) -> Ppb {
        self.largest.get().map_or(self.value, Ppb)
    }

    /// The same history with another value from `now` on, which no limit was asked for.
    pub(crate) fn replaced(&self, value: Ppb, now: Timestamp, window_seconds: i64) -> Self {
        let mut new = self.clone();
        new.note(now, window_seconds);
        (new.value, new.changed) = (value, Some(now));
        new.note(now, window_seconds);
        new
    }

    /// The value has been in force until `now`.
    fn note(&mut self, now: Timestamp, window_seconds: i64) {
        self.seen = now;
        self.least.push(Extreme::Least, now, self.value.0, window_seconds);
        self.largest.push(Extreme::Largest, now, self.value.0, window_seconds);
    }
}

impl Limits {
    /// Whether these are limits at all: a policy that could loosen without limit, or whose bounds contradict each other,
    /// is refused.
    pub fn check(&self) -> Result<(), LimitsError> {
        let field = |ok: bool, field, value, expected| {
            if ok { Ok(()) } else { Err(LimitsError::Field { field, value, expected }) }
        };
        let seconds = |ok: bool, field, seconds, expected| {
            if ok { Ok(()) } else { Err(LimitsError::Seconds { field, seconds, expected }) }
        };
        let share = |x: Ppb| x.0 > 0 && x.0 < NANO;
        field(self.step.0 > 0, "step", self.step, "> 0")?;
        field(self.minimum.0 > 0, "minimum", self.minimum, "> 0")?;
        field(self.maximum >= self.minimum, "maximum", self.maximum, "at least the minimum")?;
        let reached = self.maximum.0 / RANGE_MAX <= self.minimum.0;
        field(reached, "minimum", self.minimum, "a ten-thousandth of the maximum at least")?;
        field(self.up.0 > 0, "up", self.up, "> 0")?;
        field(share(self.down), "down", self.down, "more than 0 and less than 1")?;
        field(self.window_up >= self.up, "window_up", self.window_up, "at least `up`")?;
        let below_one = self.window_down >= self.down && share(self.window_down);
        field(below_one, "window_down", self.window_down, "at least `down` and less than 1")?;
        let soon = self.unbounded || self.delay_up_seconds <= DAY;
        let expected = "a day at most, or `unbounded`: what may not rise for longer does not follow a storm";
        seconds(soon, "delay_up_seconds", self.delay_up_seconds, expected)?;
        let fresh = self.expiry_seconds <= EXPIRY_MAX;
        seconds(fresh, "expiry_seconds", self.expiry_seconds, "thirty days at most")?;
        for (name, time, least) in [
            ("window_seconds", self.window_seconds, 1),
            ("delay_up_seconds", self.delay_up_seconds, 0),
            ("delay_down_seconds", self.delay_down_seconds, 0),
            ("expiry_seconds", self.expiry_seconds, 1),
        ] {
            let expected = if least > 0 { "from 1 to ten years" } else { "from 0 to ten years" };
            seconds((least..=SECONDS_MAX).contains(&time), name, time, expected)?;
        }
        if self.to_step_up(self.minimum) > self.to_step_down(self.maximum) {
            let Self { step, minimum, maximum, .. } = *self;
            return Err(LimitsError::Empty { step, minimum, maximum });
        }
        self.check_speeds()
    }

    /// Whether a value may not fall too fast, nor faster than it may rise.
    fn check_speeds(&self) -> Result<(), LimitsError> {
        for (seconds, most) in [(DAY, DAY_FALL_MAX), (7 * DAY, WEEK_FALL_MAX)] {
            let (least, rise) = self.within_time(seconds);
            let fall = Ppb(NANO - least.0);
            if fall > most && !self.unbounded {
                return Err(LimitsError::Loosens { fall, seconds, most });
            }
            // What is halved must be doubled in the same time; a hundredth is left for decimals.
            let back = i128::from(least.0) * i128::from(rise.0) / i128::from(NANO);
            if back < i128::from(NANO / 100 * 99) && !self.unbounded {
                return Err(LimitsError::Slower { least, most: rise, seconds });
            }
        }
        Ok(())
    }

    /// The least and the most that a value may become within a time, in shares of itself: by as many updates as the delays
    /// let be, by the window, and between minimum and maximum. Without a delay updates are without number.
    ///
    /// ```text
    /// least = max((1 - down)^n, (1 - window_down)^k, minimum/maximum),  n = 1 + floor(T/delay),  k = ceil(T/window)
    /// ```
    pub fn within_time(&self, seconds: i64) -> (Ppb, Ppb) {
        let updates = |delay: i64| if delay > 0 { 1.0 + (seconds / delay) as f64 } else { f64::INFINITY };
        let windows = (seconds as f64 / self.window_seconds.max(1) as f64).ceil();
        let range = ln(self.maximum.to_f64() / self.minimum.to_f64());
        let fall = |share: Ppb| ln(1.0 - share.to_f64());
        let rise = |share: Ppb| ln(1.0 + share.to_f64());
        let least = (fall(self.down) * updates(self.delay_down_seconds))
            .max(fall(self.window_down) * windows)
            .max(-range);
        let most =
            (rise(self.up) * updates(self.delay_up_seconds)).min(rise(self.window_up) * windows).min(range);
        // A range of at most four decades.
        let share = |log: f64| Ppb::from_f64(exp(log)).unwrap_or(Ppb::ONE);
        (share(least), share(most))
    }

    /// The least multiple of the step that is no less; saturates.
    pub fn to_step_up(&self, value: Ppb) -> Ppb {
        let rest = value.0.rem_euclid(self.step.0.max(1));
        if rest == 0 { value } else { Ppb(value.0.saturating_add(self.step.0 - rest)) }
    }

    /// The largest multiple of the step that is no more.
    pub fn to_step_down(&self, value: Ppb) -> Ppb {
        Ppb(value.0 - value.0.rem_euclid(self.step.0.max(1)))
    }

    /// Which values may follow what is in force, at `now`, which is not before the last instant seen. The value in force
    /// always may. A value outside of minimum and maximum (they were changed) may move towards them and not away.
    pub fn range(&self, of: &mut InForce, now: Timestamp) -> Result<Range, Breach> {
        if now < of.seen {
            return Err(Breach::Clock { now, last: of.seen });
        }
        of.note(now, self.window_seconds);
        let old = of.value;
        let (mut least, mut most) = (scaled_up(old.0, -self.down.0), scaled_down(old.0, self.up.0));
        let unwindowed = self.within(old, (least, most));
        if let Some(low) = of.least.get() {
            most = most.min(scaled_down(low, self.window_up.0));
        }
        if let Some(high) = of.largest.get() {
            least = least.max(scaled_up(high, -self.window_down.0));
        }
        let undelayed = self.within(old, (least, most));
        let elapsed = of.changed.map(|then| now.seconds() - then.seconds());
        let waits = |delay: i64| elapsed.is_some_and(|elapsed| elapsed < delay);
        let least = if waits(self.delay_down_seconds) { old } else { undelayed.0 };
        let most = if waits(self.delay_up_seconds) { old } else { undelayed.1 };
        Ok(Range { least, most, unwindowed, undelayed })
    }

    /// The part of `(least, most)` within minimum and maximum, on multiples of the step, and always `old`.
    fn within(&self, old: Ppb, (least, most): (i64, i64)) -> (Ppb, Ppb) {
        let least = self.to_step_up(Ppb(least)).max(self.to_step_up(self.minimum)).min(old);
        let most = self.to_step_down(Ppb(most)).min(self.to_step_down(self.maximum)).max(old);
        (least, most)
    }

    /// Whether `new`, proposed at `made`, may take the place of what is in force at `now`. Every path to a new value,
    /// by algorithm or by vote, goes through here.
    pub fn validate(
        &self,
        of: &mut InForce,
        new: Ppb,
        made: Timestamp,
        now: Timestamp,
    ) -> Result<(), Breach> {
        let Range { least, most, .. } = self.range(of, now)?;
        let age = now.seconds().saturating_sub(made.seconds());
        if age >= self.expiry_seconds {
            return Err(Breach::Expired { age, expiry: self.expiry_seconds });
        }
        let old = of.value;
        if new == old {
            return Ok(());
        }
        if new.0.rem_euclid(self.step.0.max(1)) != 0 {
            return Err(Breach::Step { new, step: self.step });
        }
        if new >= least && new <= most {
            return Ok(());
        }
        Err(self.breach(of, new, now, (least, most)))
    }

    fn breach(&self, of: &InForce, new: Ppb, now: Timestamp, (least, most): (Ppb, Ppb)) -> Breach {
        let old = of.value;
        if new < self.minimum && new < old {
            return Breach::Minimum { new, minimum: self.minimum };
        }
        if new > self.maximum && new > old {
            return Breach::Maximum { new, maximum: self.maximum };
        }
        let delay = if new > old { self.delay_up_seconds } else { self.delay_down_seconds };
        match of.changed.map(|then| now.seconds() - then.seconds()) {
            Some(elapsed) if elapsed < delay => Breach::Delay { elapsed, delay },
            _ => Breach::Change { new, old, least, most },
        }
    }

    /// Puts `new` in force at `now` if [`Limits::validate`] lets it. Nothing changes otherwise.
    pub fn apply(&self, of: &mut InForce, new: Ppb, made: Timestamp, now: Timestamp) -> Result<(), Breach> {
        self.validate(of, new, made, now)?;
        if new != of.value {
            of.value = new;
            of.changed = Some(now);
            of.note(now, self.window_seconds);
        }
        Ok(())
    }
}
