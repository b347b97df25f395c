//! A slow score of how deep the books are, which a spike cannot raise and an empty book cannot crash.
//!
//! The one idea: what is there only for a moment is not liquidity. Per venue, observed time is cut into slots and a slot counts
//! with its least depth; the level of a venue is a low order statistic of its last slots; the score is the lower median over the
//! venues, and it grows and falls by no more than so much a day.
//!
//! ```text
//! slot     least depth in force during `slot_seconds` of observed time
//! level    x_(1 + floor(ignored n)) of the last n = slots slots, times 2^(-(gap - hold)+ / decay_half_life)
//! target   max(floor, lower median of the levels)
//! score    target clamped to [score (1 - fall)^days, score (1 + growth)^days]
//! ```
//!
//! What follows, and is tested: the score never falls when any depth at any time is raised (every step above is a minimum, an
//! order statistic or a clamp with bounds that rise with the score before); depth shown for less than a slot never raises it,
//! nor does any shown for less than the part `1 - ignored` of the window; a book empty in no more than the part `ignored` of
//! the slots does not lower it; without data a level holds for `hold` seconds, then halves every `decay_half_life` down to the
//! floor. Time is what the caller says has passed: nothing here knows a clock.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses NaN too")]

use crate::special::{exp, pow};
use crate::stats::{StatsError, at_least, count, enough, not_negative, positive};
use crate::window::Window;
use serde::{Deserialize, Serialize};

const DAY_SECONDS: f64 = 86_400.0;

/// What a [`LiquidityScore`] is made of.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiquiditySpec {
    /// Venues, `>= 1`.
    pub venues: usize,
    /// Slots in the window, `>= 1`; 24.
    pub slots: usize,
    /// Observed time of a slot, in seconds, `> 0`; 3600.
    pub slot_seconds: f64,
    /// Share of the slots whose depth may be lower without effect, in [0, 1); 0.1.
    pub ignored: f64,
    /// Seconds an observation stays in force without a newer one, `> 0`.
    pub hold_seconds: f64,
    /// Seconds in which a level halves once there is no data, `> 0`.
    pub decay_half_life_seconds: f64,
    /// Largest growth of the score in a day, `> 0`; 0.1 is a tenth.
    pub growth_per_day: f64,
    /// Largest fall of the score in a day, in (0, 1).
    pub fall_per_day: f64,
    /// Least score, in the unit of depth, `> 0`.
    pub floor: f64,
}

impl LiquiditySpec {
    fn check(&self) -> Result<(), StatsError> {
        at_least("venues", self.venues, 1)?;
        at_least("slots", self.slots, 1)?;
        positive("slot seconds", self.slot_seconds)?;
        positive("hold seconds", self.hold_seconds)?;
        positive("decay half-life", self.decay_half_life_seconds)?;
        positive("growth per day", self.growth_per_day)?;
        positive("floor", self.floor)?;
        if !(0.0..1.0).contains(&self.ignored) {
            return Err(StatsError::Domain { parameter: "ignored", value: self.ignored, domain: "[0, 1)" });
        }
        if positive("fall per day", self.fall_per_day)? >= 1.0 {
            return Err(StatsError::Domain {
                parameter: "fall per day",
                value: self.fall_per_day,
                domain: "(0, 1)",
            });
        }
        Ok(())
    }
}

/// One venue's slots.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Venue {
    /// Depth in force, and seconds since it was observed.
    depth: Option<f64>,
    age: f64,
    /// Observed seconds of the open slot, and the least depth in force during them.
    open: Option<(f64, f64)>,
    slots: Window<f64>,
}

impl Venue {
    /// Lets time pass under the depth in force.
    fn pass(&mut self, spec: &LiquiditySpec, elapsed: f64) {
        let Some(depth) = self.depth else { return };
        let in_force = elapsed.min(spec.hold_seconds - self.age);
        self.age += elapsed;
        if !(in_force > 0.0) {
            return;
        }
        // What lies more than a window back would be pushed out anyway.
        let mut left = in_force.min(spec.slot_seconds * (count(spec.slots) + 1.0));
        while left > 0.0 {
            let (observed, least) = self.open.unwrap_or((0.0, depth));
            let least = if depth < least { depth } else { least };
            let room = spec.slot_seconds - observed;
            if left < room {
                self.open = Some((observed + left, least));
                return;
            }
            left -= room;
            self.slots.push(least);
            self.open = None;
        }
    }

    /// Level, if there is a full window.
    fn level(&self, spec: &LiquiditySpec) -> Option<f64> {
        let n = self.slots.len();
        if n < spec.slots {
            return None;
        }
        let mut ascending: Vec<f64> = self.slots.iter().copied().collect();
        ascending.sort_by(f64::total_cmp);
        let skipped = ignored_slots(spec.ignored, n);
        let stale = (self.age - spec.hold_seconds).max(0.0) / spec.decay_half_life_seconds;
        Some(ascending[skipped] * exp(-std::f64::consts::LN_2 * stale))
    }
}

/// `floor(ignored n)`, below `n`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number from 0 to n")]
fn ignored_slots(ignored: f64, n: usize) -> usize {
    ((ignored * count(n) + 1e-12).floor() as usize).min(n - 1)
}

/// The score.
///
/// ```
/// use plimsoll_quant::liquidity::{LiquidityScore, LiquiditySpec};
/// let spec = LiquiditySpec { venues: 1, slots: 4, slot_seconds: 60.0, ignored: 0.25, hold_seconds: 120.0,
///     decay_half_life_seconds: 600.0, growth_per_day: 0.1, fall_per_day: 0.5, floor: 1.0 };
/// let mut score = LiquidityScore::new(spec).unwrap();
/// for _ in 0..5 {
///     score.update(60.0, &[Some(100.0)]).unwrap();
/// }
/// assert_eq!(score.score(), Ok(100.0));
/// // A spike for half a minute.
/// score.update(30.0, &[Some(1e9)]).unwrap();
/// score.update(30.0, &[Some(100.0)]).unwrap();
/// score.update(60.0, &[Some(100.0)]).unwrap();
/// assert_eq!(score.score(), Ok(100.0));
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LiquidityScore {
    spec: LiquiditySpec,
    venues: Vec<Venue>,
    score: Option<f64>,
}

impl LiquidityScore {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`StatsError::Domain`] for a parameter outside its domain.
    pub fn new(spec: LiquiditySpec) -> Result<Self, StatsError> {
        spec.check()?;
        let venue = Venue { depth: None, age: 0.0, open: None, slots: Window::new(spec.slots)? };
        Ok(Self { spec, venues: vec![venue; spec.venues], score: None })
    }

    /// Lets `elapsed >= 0` seconds pass under the depths last observed, then takes in the depths of now: one per venue, `>= 0`,
    /// `None` where there is no news. A depth that is observed when time stands still counts only from then on.
    ///
    /// # Errors
    /// [`StatsError`] for a time or a depth that is negative or not finite, or another number of venues; nothing changes.
    pub fn update(&mut self, elapsed: f64, depths: &[Option<f64>]) -> Result<(), StatsError> {
        not_negative("elapsed seconds", elapsed)?;
        if depths.len() != self.venues.len() {
            return Err(StatsError::Lengths { left: depths.len(), right: self.venues.len() });
        }
        for depth in depths.iter().flatten() {
            not_negative("depth", *depth)?;
        }
        for (venue, depth) in self.venues.iter_mut().zip(depths) {
            venue.pass(&self.spec, elapsed);
            if depth.is_some() {
                venue.depth = *depth;
                venue.age = 0.0;
            }
        }
        self.follow(elapsed);
        Ok(())
    }

    /// Moves the score towards its target as far as the time allows.
    fn follow(&mut self, elapsed: f64) {
        let Some(target) = self.target() else { return };
        let days = elapsed / DAY_SECONDS;
        let next = self.score.map_or(target, |score| {
            let low = score * pow(1.0 - self.spec.fall_per_day, days);
            let high = score * pow(1.0 + self.spec.growth_per_day, days);
            target.max(low).min(high)
        });
        self.score = Some(next.max(self.spec.floor));
    }

    /// The lower median of the levels there are, not below the floor.
    fn target(&self) -> Option<f64> {
        let mut levels: Vec<f64> = self.venues.iter().filter_map(|venue| venue.level(&self.spec)).collect();
        levels.sort_by(f64::total_cmp);
        let median = *levels.get(levels.len().saturating_sub(1) / 2)?;
        Some(median.max(self.spec.floor))
    }

    /// The score, in the unit of depth, at least the floor.
    ///
    /// # Errors
    /// [`StatsError::TooFew`], in slots, before some venue has a full window.
    pub fn score(&self) -> Result<f64, StatsError> {
        let most = self.venues.iter().map(|venue| venue.slots.len()).max().unwrap_or(0);
        enough(most, self.spec.slots)?;
        self.score.ok_or(StatsError::TooFew { observations: most, needed: self.spec.slots })
    }
}

/// Depth that a wide spread makes worth less: `depth min(1, usual/spread)`, never more than the depth, rising with it and
/// falling with the spread. A spread of 0 is no wider than usual. Spreads are relative, `usual > 0`.
///
/// # Errors
/// [`StatsError::Domain`] for a depth or spread that is negative, a usual spread that is not positive, or one not finite.
pub fn effective_depth(depth: f64, spread: f64, usual: f64) -> Result<f64, StatsError> {
    not_negative("depth", depth)?;
    positive("usual spread", usual)?;
    Ok(if not_negative("spread", spread)? <= usual { depth } else { depth * (usual / spread) })
}
