//! The world: prices, volatility and depth over the story, drawn once.
//!
//! **The one idea:** all of it is a function of the seed, on a grid of a few seconds, so that anything can be asked for at any
//! instant and nothing that anybody does moves it. Returns are a common factor and a part of each, times a volatility that has its
//! own noise and a regime; the crash is a fall in legs on top.

use super::coin::SHAPES;
use super::draw::Draw;
use super::spec::{Phase, Spec};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::{Timestamp, YEAR_SECONDS};

/// Underlyings.
pub(super) const COINS: usize = SHAPES.len();
/// Seconds of the grid.
const STEP: i64 = 5;
/// When volatility doubles, a share of the story.
const STORM: f64 = 0.40;
/// When prices begin to fall.
const CRASH: f64 = 0.65;
/// The longest crash, seconds.
const CRASH_SECONDS: f64 = 2_700.0;
/// Half of the noise in volatility is gone after so many seconds.
const NOISE_HALF_LIFE: f64 = 3_600.0;
/// Deviation of the logarithm of volatility by it.
const NOISE: f64 = 0.22;
/// Jumps an hour in the storm, and their deviation in units of a usual day.
const JUMPS: (f64, f64) = (2.5, 0.22);
/// What of each leg is a gap at its beginning, and how long the gap takes, a share of the crash.
const GAP: (f64, f64) = (0.55, 0.006);
/// What of each leg of the fall comes back before the next.
const REBOUND: f64 = 0.12;
/// What of the whole fall comes back afterwards.
const REGAINED: f64 = 0.38;

/// The world at an instant.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Water {
    pub(super) phase: Phase,
    /// Index prices, USD.
    pub(super) prices: [f64; COINS],
    /// Implied volatility at the short end over the usual.
    pub(super) swell: f64,
    /// Depth over the usual.
    pub(super) depth: f64,
    /// Price of the stable coin, USD.
    pub(super) stable: f64,
}

/// The world over the story.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Sea {
    start: Timestamp,
    grid: Vec<Water>,
    past: Vec<Water>,
}

impl Sea {
    /// The world of a spec.
    pub(super) fn new(spec: &Spec) -> Self {
        let count = spec.length_seconds / STEP + 2;
        let crash = Legs::new(spec);
        let mut flow = Flow::new(spec);
        let grid = (0..count).map(|i| flow.next((i * STEP) as f64, &crash)).collect();
        Self { start: spec.start, grid, past: past(spec) }
    }

    /// The world at an instant of the story; before and after it as at its ends.
    pub(super) fn at(&self, at: Timestamp) -> Water {
        let step = (at.seconds() - self.start.seconds()).max(0) / STEP;
        let place = usize::try_from(step).unwrap_or(0).min(self.grid.len().saturating_sub(1));
        self.grid.get(place).copied().unwrap_or_else(Water::usual)
    }

    /// The days before, oldest first; the last is the day before the story.
    pub(super) fn past(&self) -> &[Water] {
        &self.past
    }
}

impl Water {
    fn usual() -> Self {
        Self { phase: Phase::Calm, prices: SHAPES.map(|s| s.price), swell: 1.0, depth: 1.0, stable: 1.0 }
    }
}

/// A number that begins at one and ends at another, in a straight line between.
fn line(x: f64, (from, to): (f64, f64), (low, high): (f64, f64)) -> f64 {
    let share = ((x - from) / (to - from)).clamp(0.0, 1.0);
    low + (high - low) * share
}

/// The fall: legs with rebounds between.
struct Legs {
    begins: f64,
    lasts: f64,
    ends: f64,
    /// Share of the crash at which a stretch ends, and share of the fall that is done by then.
    stretches: Vec<(f64, f64)>,
}

impl Legs {
    fn new(spec: &Spec) -> Self {
        let length = spec.length_seconds as f64;
        let mut draw = Draw::of(spec.seed, &[11]);
        let mut weights = [0.18, 0.40, 0.26, 0.16].map(|w: f64| w * draw.between(0.8, 1.2));
        let lost: f64 = weights.iter().take(3).sum::<f64>() * REBOUND;
        let net: f64 = weights.iter().sum::<f64>() - lost;
        weights.iter_mut().for_each(|w| *w /= net);
        let (mut stretches, mut share, mut done) = (vec![(0.0, 0.0)], 0.0, 0.0);
        for (i, weight) in weights.iter().enumerate() {
            stretches.push((share + GAP.1, done + GAP.0 * weight));
            share += 0.16;
            done += weight;
            stretches.push((share, done));
            if i < 3 {
                share += 0.12;
                done -= weight * REBOUND;
                stretches.push((share, done));
            }
        }
        let lasts = if 0.2 * length < CRASH_SECONDS { 0.2 * length } else { CRASH_SECONDS };
        Self { begins: CRASH * length, lasts, ends: length, stretches }
    }

    fn share(&self, t: f64) -> f64 {
        (t - self.begins) / self.lasts
    }

    /// Share of the fall that is on the prices at a time.
    fn fallen(&self, t: f64) -> f64 {
        let x = self.share(t);
        if x > 1.0 {
            let after = (t - self.begins - self.lasts) / (self.ends - self.begins - self.lasts);
            return 1.0 - REGAINED * (1.0 - exp(-3.0 * after));
        }
        let pairs = self.stretches.iter().zip(self.stretches.iter().skip(1));
        let found = pairs.into_iter().find(|(_, to)| x <= to.0);
        found.map_or(f64::from(u8::from(x > 0.0)), |(from, to)| line(x, (from.0, to.0), (from.1, to.1)))
    }

    fn phase(&self, t: f64) -> Phase {
        match t {
            t if t < STORM * self.ends => Phase::Calm,
            t if t < self.begins => Phase::Storm,
            t if t < self.begins + self.lasts => Phase::Crash,
            _ => Phase::Recovery,
        }
    }
}

/// What is carried from one instant to the next.
struct Flow {
    draw: Draw,
    logs: [f64; COINS],
    noise: f64,
    swell: f64,
}

impl Flow {
    fn new(spec: &Spec) -> Self {
        let logs = SHAPES.map(|shape| ln(shape.price));
        Self { draw: Draw::of(spec.seed, &[7]), logs, noise: 0.0, swell: 1.0 }
    }

    fn next(&mut self, t: f64, crash: &Legs) -> Water {
        let phase = crash.phase(t);
        let since_storm = t - STORM * crash.ends;
        let ebb = exp(-(t - crash.begins - crash.lasts).max(0.0) / 7_200.0);
        // Volatility over the usual: what moves prices, and what options are priced on.
        let (rough, implied, depth) = match phase {
            Phase::Opening | Phase::Calm => (0.9, 1.0, 1.0),
            Phase::Storm => (
                2.0,
                line(since_storm, (0.0, 2_400.0), (1.0, 1.65)),
                line(since_storm, (0.0, 900.0), (1.0, 0.5)),
            ),
            Phase::Crash => {
                let x = crash.share(t);
                (3.2, line(x, (0.0, 0.9), (1.65, 2.9)), line(x, (0.0, 0.2), (0.5, 0.1)))
            }
            Phase::Recovery => (1.4 + 1.4 * ebb, 1.45 + 1.35 * ebb, 0.6 - 0.45 * ebb),
        };
        let kept = exp(-core::f64::consts::LN_2 * STEP as f64 / NOISE_HALF_LIFE);
        self.noise = self.noise * kept + NOISE * (1.0 - kept * kept).sqrt() * self.draw.normal();
        let pace = exp(-(STEP as f64) / 240.0);
        self.swell = self.swell * pace + implied * exp(0.3 * self.noise) * (1.0 - pace);
        self.drift(rough * exp(self.noise), phase);
        let fallen = crash.fallen(t);
        let mut prices = self.logs;
        for (log, shape) in prices.iter_mut().zip(&SHAPES) {
            *log = exp(*log + fallen * ln(1.0 - shape.fall));
        }
        let stable = stable(phase, crash.share(t));
        let depth = depth * exp(-0.3 * self.noise.abs().min(1.0));
        Water { phase, prices, swell: self.swell, depth, stable }
    }

    /// One step of the diffusion, and jumps while the storm lasts.
    fn drift(&mut self, rough: f64, phase: Phase) {
        let years = STEP as f64 / YEAR_SECONDS as f64;
        let common = self.draw.normal();
        let often = JUMPS.0 * STEP as f64 / 3_600.0;
        let jumps = phase == Phase::Storm && self.draw.chance(often);
        let jump = if jumps { JUMPS.1 * self.draw.normal() } else { 0.0 };
        for (log, shape) in self.logs.iter_mut().zip(&SHAPES) {
            let own = (1.0 - shape.loading * shape.loading).sqrt();
            let shock = shape.loading * common + own * self.draw.normal();
            let day = shape.vol * (1.0_f64 / 365.0).sqrt();
            *log += rough * shape.vol * years.sqrt() * shock + shape.loading * day * jump;
        }
    }
}

/// The stable coin slips in the crash and comes back, in few steps: whoever holds it is valued anew at each.
fn stable(phase: Phase, x: f64) -> f64 {
    match phase {
        Phase::Crash if x > 0.75 => 0.9955,
        Phase::Crash if x > 0.40 => 0.9975,
        Phase::Recovery if x < 3.0 => 0.9985,
        _ => 1.0,
    }
}

/// Closes of days before the story, which end at its first prices: usual days, and a bad week two months ago.
fn past(spec: &Spec) -> Vec<Water> {
    let mut draw = Draw::of(spec.seed, &[5]);
    let days = usize::try_from(spec.past_days).unwrap_or(0);
    let mut levels = SHAPES.map(|shape| ln(shape.price));
    let mut all = Vec::with_capacity(days);
    for back in 0..days {
        let bad = (55..62).contains(&back);
        let rough = if bad { 2.0 } else { 1.0 } * exp(0.25 * draw.normal());
        let prices = levels.map(exp);
        let swell = if bad { 1.35 } else { 1.0 } * exp(0.05 * draw.normal());
        let depth = exp(0.1 * draw.normal());
        all.push(Water { phase: Phase::Opening, prices, swell, depth, stable: 1.0 });
        let common = draw.normal();
        for (level, shape) in levels.iter_mut().zip(&SHAPES) {
            let own = (1.0 - shape.loading * shape.loading).sqrt();
            let day = shape.vol * (1.0_f64 / 365.0).sqrt();
            *level -= (rough * day * (shape.loading * common + own * draw.normal())).clamp(-0.09, 0.09);
        }
    }
    all.reverse();
    all
}
