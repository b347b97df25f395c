//! From signals at any instants to observations, one a step.
//!
//! **The one idea:** time is cut into steps of equal length that begin at whole multiples of it, in UTC. The first number in a
//! new step closes what came before; every other shows how far the open step has come. Nothing is repaired in silence:
//!
//! | what comes | rule |
//! |---|---|
//! | steps are missing | what happened meanwhile is one observation: [`Note::Bridged`] |
//! | the first number of a step is more than `late_seconds` late | the last number before the step closes, where there is one: [`Note::Late`] |
//! | a number more than `suspect_ratio` times, or as many times less than, the last one | not believed: [`Note::Doubted`] |
//! | the next one says the same, at a power of ten of the last to 25 % | a change of unit: read in the old unit from then on, no return: [`Note::Rescaled`] |
//! | the next one says the same otherwise | a move: it counts |
//! | its bar opens near the last number | the move was traded through: it counts at once |
//! | a high or low as far from its open and close | cut to them: [`Note::Doubted`] |
//! | the same number beyond `constant_steps` | no observation until it moves: [`Note::Constant`] |

use crate::target::Observation;
use crate::{Bar, Note, ObservationSpec, Series};
use plimsoll_quant::special::{ln, pow};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};

/// How far a ratio may be from a power of ten and still be a change of unit, as a share.
const UNIT_TOLERANCE: f64 = 0.25;
/// Changes beneath this are none: they are those of rounding.
const SAME: f64 = 1e-12;
/// No number in the unit of the first is further from one: only a long run of made-up moves gets there.
const RANGE: f64 = 1e90;

/// A series between two observations.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Forming {
    /// Of what.
    of: Series,
    /// The step that the last observation opened.
    step: Option<i64>,
    /// Everything since.
    bar: Option<Bar>,
    /// The last number observed.
    last: Option<f64>,
    /// The last number that was believed, an observation or not.
    believed: Option<f64>,
    /// The last number, where it was not.
    doubted: Option<f64>,
    /// What a number is multiplied by to be in the unit of the first.
    unit: f64,
    /// Steps that ended at the number they began at, in a row.
    constant: u32,
}

/// What a number was.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Taken {
    pub(crate) seen: Observation,
    /// Change since the last observation; `None` at the first.
    pub(crate) change: Option<f64>,
}

/// What became of a number: at most an observation that it closes late, and itself.
pub(crate) type Both = [Option<Taken>; 2];

impl Bar {
    /// The bar of both, the other one after this.
    fn and(self, later: Self) -> Self {
        let high = if later.high > self.high { later.high } else { self.high };
        let low = if later.low < self.low { later.low } else { self.low };
        Self { open: self.open, high, low, close: later.close }
    }

    fn times(self, by: f64) -> Self {
        let Self { open, high, low, close } = self;
        Self { open: open * by, high: high * by, low: low * by, close: close * by }
    }
}

/// Whether two numbers > 0 are further apart than a ratio > 1.
fn apart(a: f64, b: f64, ratio: f64) -> bool {
    a > b * ratio || b > a * ratio
}

/// The power of ten near a ratio > 0, other than one.
fn power_of_ten(ratio: f64) -> Option<f64> {
    let factor = pow(10.0, (ln(ratio) / std::f64::consts::LN_10).round());
    (factor != 1.0 && !apart(ratio, factor, 1.0 + UNIT_TOLERANCE)).then_some(factor)
}

impl Forming {
    pub(crate) fn new(of: Series) -> Self {
        let (step, bar, last, believed, doubted) = (None, None, None, None, None);
        Self { of, step, bar, last, believed, doubted, unit: 1.0, constant: 0 }
    }

    /// Takes in what happened to `underlying` since the last number; says on the way what was wrong.
    pub(crate) fn take(
        &mut self,
        (now, spec): (Timestamp, &ObservationSpec),
        bar: Bar,
        underlying: &str,
        notes: &mut Vec<Note>,
    ) -> Both {
        let Some(bar) = self.believe(bar, spec.suspect_ratio, underlying, notes) else { return [None; 2] };
        let seconds = spec.step_seconds.max(1);
        let step = now.seconds().div_euclid(seconds);
        let late = now.seconds().rem_euclid(seconds);
        let mut closed_late = None;
        if self.step.is_some_and(|open| step > open) && spec.late_seconds.is_some_and(|most| late > most) {
            notes.push(Note::Late { underlying: underlying.to_owned(), series: self.of, seconds: late });
            closed_late = self.bar.map(|before| {
                self.bar = None;
                self.close((step, before), spec, underlying, notes)
            });
        }
        [closed_late, Some(self.close((step, bar), spec, underlying, notes))]
    }

    /// A bar in the unit of the first, without what is not believed; `None` where its last price is not.
    fn believe(
        &mut self,
        bar: Bar,
        ratio: Option<f64>,
        underlying: &str,
        notes: &mut Vec<Note>,
    ) -> Option<Bar> {
        let Some(ratio) = ratio.filter(|_| self.of.is_relative()) else { return Some(bar) };
        let mut bar = bar.times(self.unit);
        if !(1.0 / RANGE..RANGE).contains(&bar.close) {
            let reason =
                format!("{:?} is {:?} in its first unit: expected from 1e-90 to 1e90", self.of, bar.close);
            notes.push(Note::Refused { place: underlying.to_owned(), reason });
            return None;
        }
        let doubt = |last: f64, value: f64| {
            let underlying = underlying.to_owned();
            Note::Doubted { underlying, series: self.of, last, value }
        };
        let (most, least) = if bar.open > bar.close { (bar.open, bar.close) } else { (bar.close, bar.open) };
        if bar.high > most * ratio {
            notes.push(doubt(most, bar.high));
            bar.high = most;
        }
        if bar.low * ratio < least {
            notes.push(doubt(least, bar.low));
            bar.low = least;
        }
        let before = self.doubted.take();
        let Some(last) = self.believed.filter(|last| apart(bar.close, *last, ratio)) else {
            self.believed = Some(bar.close);
            return Some(bar);
        };
        let traded = bar.open != bar.close && !apart(bar.open, last, ratio);
        let again = before.is_some_and(|before| !apart(bar.close, before, ratio));
        if !traded && !again {
            notes.push(doubt(last, bar.close));
            self.doubted = Some(bar.close);
            return None;
        }
        if let Some(factor) = power_of_ten(bar.close / last).filter(|_| !traded) {
            self.unit /= factor;
            bar = bar.times(1.0 / factor);
            notes.push(Note::Rescaled { underlying: underlying.to_owned(), series: self.of, factor });
        }
        self.believed = Some(bar.close);
        Some(bar)
    }

    /// Puts a bar at the end of what there is; closes where a new step has begun.
    fn close(
        &mut self,
        (step, bar): (i64, Bar),
        spec: &ObservationSpec,
        underlying: &str,
        notes: &mut Vec<Note>,
    ) -> Taken {
        let whole = self.bar.map_or(bar, |before| before.and(bar));
        let change = self.last.map(|last| self.of.change(last, bar.close));
        let begins = self.step.is_none_or(|open| step > open);
        let closed = begins && !self.is_constant(change, spec.constant_steps, underlying, notes);
        if !closed {
            self.bar = Some(whole);
            return Taken { seen: Observation { bar: whole, closed }, change };
        }
        let steps = self.step.map_or(0, |open| (step - open - 1).max(0));
        if steps > 0 && self.of == Series::Price {
            notes.push(Note::Bridged { underlying: underlying.to_owned(), steps });
        }
        (self.step, self.bar, self.last) = (Some(step), None, Some(bar.close));
        Taken { seen: Observation { bar: whole, closed }, change }
    }

    /// Whether a step that ends with this change repeats what too many before it said.
    fn is_constant(
        &mut self,
        change: Option<f64>,
        most: Option<u32>,
        underlying: &str,
        notes: &mut Vec<Note>,
    ) -> bool {
        let Some(most) = most.filter(|_| change.is_some_and(|by| by.abs() < SAME)) else {
            self.constant = 0;
            return false;
        };
        if self.constant == most {
            notes.push(Note::Constant { underlying: underlying.to_owned(), series: self.of, steps: most });
        }
        self.constant = self.constant.saturating_add(1).min(most.saturating_add(1));
        self.constant > most
    }

    /// Whether anything was seen.
    pub(crate) fn known(&self) -> bool {
        self.last.is_some()
    }
}
