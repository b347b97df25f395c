//! What every number of a policy file may be.
//!
//! **The one idea:** one table, read before anything is built: a number that means nothing at its size, one that would never bind,
//! and one that asks for more history than there is are refused with their place. The schema states the same ranges.

use crate::policy::{ObservationSpec, ParameterSpec};
use crate::readings::{CorrelationMethod, CorrelationReading, LiquidityReading, Norm, RegimeReading};
use crate::{
    Adjusters, Buckets, Buffer, Estimator, Glide, Governance, Knob, LeverageTiers, Motion, PolicyError,
    PolicyFile, Quantile, Readings, Slope, TargetSpec,
};
use plimsoll_types::Ppb;

/// A number of the file: its name, itself, the least and the most that it may be, both included.
type Number = (&'static str, f64, f64, f64);

const DAY: f64 = 86_400.0;

/// Least size of a number that is not 0: what is smaller is a misprint, or denormal.
const SIZE_MIN: f64 = 1e-9;

/// Most history that anything may wait for, seconds: three years.
const NEEDED_MAX: f64 = 1_096.0 * DAY;

/// Longest time between two fits, seconds: a year.
const REFIT_MAX: f64 = 366.0 * DAY;

/// Least span of an estimate that a floor stands on, seconds: half a year.
const LONG_RUN_MIN: f64 = 180.0 * DAY;

/// Observations that anything may hold.
const WINDOW_MAX: f64 = 200_000.0;

/// Least factor that an adjuster which is on reaches: one percent.
const MOST_MIN: f64 = 1.01;

/// Least stress floor of a knob: beneath it there is none. Scans of price and volatility in decimals, tilts in units.
fn fallback_min(knob: Knob) -> f64 {
    match knob {
        Knob::PriceScanDown | Knob::PriceScanUp => 0.02,
        Knob::VolScanUp | Knob::VolScanDown | Knob::SkewScan | Knob::TermScan => 0.05,
        Knob::ImFraction => 0.01,
        _ => SIZE_MIN,
    }
}

fn first_outside(place: &str, numbers: impl IntoIterator<Item = Number>) -> Result<(), PolicyError> {
    let outside = |(_, value, least, most): &Number| !(*least..=*most).contains(value);
    numbers.into_iter().find(outside).map_or(Ok(()), |(field, value, least, most)| {
        Err(PolicyError::Range { place: place.to_owned(), field, value, least, most })
    })
}

impl PolicyFile {
    /// Whether every number lies where it means something; `docs/policy.md` section 14 has the reasons.
    pub(crate) fn check_ranges(&self) -> Result<(), PolicyError> {
        first_outside("observation", self.observation.numbers())?;
        first_outside("buckets", self.buckets.numbers())?;
        for (name, motion) in &self.motions {
            first_outside(&format!("motion `{name}`"), motion.numbers())?;
        }
        let step = self.observation.step_seconds as f64;
        for spec in &self.parameters {
            let place = format!("{}[{}]", spec.knob.name(), spec.scope);
            first_outside(&place, spec.numbers(step))?;
        }
        if let Some(adjusters) = &self.adjusters {
            adjusters.check_ranges()?;
        }
        first_outside("readings", self.readings.numbers(step))?;
        first_outside("glide", self.glide.iter().flat_map(Glide::numbers))?;
        first_outside("leverage", self.leverage.iter().flat_map(LeverageTiers::numbers))?;
        first_outside("governance", self.governance.iter().flat_map(Governance::numbers))?;
        let whole = toml::Value::try_from(self);
        let whole = whole.map_err(|e| PolicyError::Unreadable { reason: e.to_string() })?;
        no_misprint(&whole, "")
    }
}

/// No float anywhere is so small that it is neither 0 nor meant.
fn no_misprint(of: &toml::Value, place: &str) -> Result<(), PolicyError> {
    match of {
        toml::Value::Float(x) if *x != 0.0 && x.abs() < SIZE_MIN => {
            Err(PolicyError::Misprint { place: place.to_owned(), value: *x })
        }
        toml::Value::Array(all) => {
            all.iter().enumerate().try_for_each(|(i, one)| no_misprint(one, &format!("{place}[{i}]")))
        }
        toml::Value::Table(all) => all.iter().try_for_each(|(name, one)| {
            let dot = if place.is_empty() { "" } else { "." };
            no_misprint(one, &format!("{place}{dot}{name}"))
        }),
        _ => Ok(()),
    }
}

impl ObservationSpec {
    fn numbers(&self) -> Vec<Number> {
        vec![
            ("observation.step_seconds", self.step_seconds as f64, 1.0, 30.0 * DAY),
            ("observation.suspect_ratio", self.suspect_ratio.unwrap_or(2.0), 1.1, 1e6),
            ("observation.constant_steps", f64::from(self.constant_steps.unwrap_or(1)), 1.0, 1e6),
        ]
    }
}

impl Buckets {
    fn numbers(&self) -> Vec<Number> {
        let tenors = self.tenor_days.iter().map(|x| ("tenor_days", *x, 0.001, 36_500.0));
        tenors.chain(self.moneyness.iter().map(|x| ("moneyness", *x, 0.001, 1_000.0))).collect()
    }
}

impl Motion {
    fn numbers(&self) -> Vec<Number> {
        let (stabiliser, limits) = (self.stabiliser, self.limits);
        vec![
            ("maximum", limits.maximum.to_f64(), SIZE_MIN, 1_000.0),
            ("up", limits.up.to_f64(), SIZE_MIN, 1_000.0),
            ("window_up", limits.window_up.to_f64(), SIZE_MIN, 1_000.0),
            ("tighten_per_day", stabiliser.tighten_per_day, 0.01, 100.0),
            ("loosen_per_day", stabiliser.loosen_per_day, 0.0001, 100.0),
        ]
    }
}

impl ParameterSpec {
    fn numbers(&self, step: f64) -> Vec<Number> {
        let fallback = |of: Ppb| ("fallback", of.to_f64(), fallback_min(self.knob), 1_000.0);
        let mut numbers = self.buffer.as_ref().map_or_else(Vec::new, Buffer::numbers);
        match &self.target {
            TargetSpec::Stated { value } => numbers.push(("value", value.to_f64(), SIZE_MIN, 1_000.0)),
            TargetSpec::PriceScan { times, fallback: of } => {
                numbers.extend([("times", *times, 0.1, 10.0), fallback(*of)]);
            }
            TargetSpec::Quantile(of) => {
                numbers.push(fallback(of.fallback));
                numbers.extend(of.numbers(step));
            }
        }
        numbers
    }
}

impl Buffer {
    fn numbers(&self) -> Vec<Number> {
        let mut numbers = vec![("buffer.share", self.share, 0.0, 10.0)];
        if let Some(usual) = self.usual {
            numbers.push(("buffer.usual.level", usual.level, 0.01, 0.99));
            numbers.push(("buffer.usual.window", usual.window as f64, 1.0, WINDOW_MAX));
        }
        numbers
    }
}

impl Quantile {
    fn numbers(&self, step: f64) -> Vec<Number> {
        // Relative changes are in the unit of the scan itself; a shape's are not.
        let least = if self.series.is_relative() { 0.1 } else { 0.01 };
        let most = if self.series.is_relative() { 10.0 } else { 1_000.0 };
        let mut numbers = vec![
            ("confidence", self.confidence, 0.9, 0.9999),
            ("horizon_steps", f64::from(self.horizon_steps), 1.0, 10_000.0),
            ("times", self.times, least, most),
            ("shock", self.shock, 0.0, 10.0),
        ];
        if let Some(tracking) = self.tracking {
            numbers.push(("tracking.gain", tracking.gain, 0.0001, 0.5));
            numbers.push(("tracking.least", tracking.least, -1.0, 0.0));
            numbers.push(("tracking.most", tracking.most, 0.0, 1.0));
        }
        numbers.extend(self.now.iter().flat_map(|of| of.numbers(step)));
        let Some(stress) = self.stress else { return numbers };
        numbers.push(("stress.weight", stress.weight, 0.0, 1.0));
        numbers.push(("stress.floor", stress.floor, 0.0, 10.0));
        numbers.push(("stress.cap", stress.cap, 0.01, 100.0));
        numbers.extend(stress.estimator.numbers(step));
        let span = stress.estimator.memory() * step;
        numbers.push(("stress.estimator: seconds that it looks back", span, LONG_RUN_MIN, f64::MAX));
        numbers
    }
}

/// Observations before a reading, by number and by how long they take.
fn needed(count: usize, step: f64) -> [Number; 2] {
    let count = count as f64;
    let time = ("needed: seconds until there are so many", count * step, 1.0, NEEDED_MAX);
    [("needed", count, 1.0, WINDOW_MAX), time]
}

fn refit(every: usize, step: f64) -> Number {
    ("refit_every: seconds between fits", every as f64 * step, 1.0, REFIT_MAX)
}

fn half_life(of: f64) -> Number {
    ("half_life", of, 0.5, 20_000.0)
}

fn window(of: usize) -> Number {
    ("window", of as f64, 2.0, WINDOW_MAX)
}

fn degrees(nu: Option<f64>) -> Option<Number> {
    nu.map(|nu| ("nu", nu, 2.01, 1_000.0))
}

impl Estimator {
    /// How far it looks back, observations: its window, or the span of a mean that weighs as much at once, `2/ln 2` half-lives.
    fn memory(&self) -> f64 {
        match *self {
            Self::Ewma { half_life, .. }
            | Self::MeanAbs { half_life, .. }
            | Self::Range { half_life, .. } => 2.0 / std::f64::consts::LN_2 * half_life,
            Self::LongRun { window, .. }
            | Self::Garch { window, .. }
            | Self::Har { window, .. }
            | Self::Historical { window, .. }
            | Self::Filtered { window, .. }
            | Self::Tail { window, .. } => window as f64,
            // Refused where it is asked for: it is no estimate of history.
            Self::Implied { .. } => f64::INFINITY,
        }
    }

    fn numbers(&self, step: f64) -> Vec<Number> {
        let with = |own: Vec<Number>, count: usize| [own, needed(count, step).to_vec()].concat();
        match *self {
            Self::Ewma { half_life: h, needed: n, nu } | Self::Range { half_life: h, needed: n, nu, .. } => {
                with([half_life(h)].into_iter().chain(degrees(nu)).collect(), n)
            }
            Self::MeanAbs { half_life: h, needed: n, nu } => {
                with([half_life(h)].into_iter().chain(degrees(Some(nu))).collect(), n)
            }
            Self::LongRun { window: w, needed: n, nu } => {
                with([window(w)].into_iter().chain(degrees(Some(nu))).collect(), n)
            }
            Self::Garch { window: w, needed: n, refit_every, .. } => {
                with(vec![window(w), refit(refit_every, step)], n)
            }
            Self::Har { week, month, window: w, needed: n, refit_every, nu } => {
                let means = [("week", week as f64, 2.0, 20_000.0), ("month", month as f64, 3.0, 20_000.0)];
                let fits = [window(w), refit(refit_every, step)];
                with(means.into_iter().chain(fits).chain(degrees(nu)).collect(), n)
            }
            Self::Historical { window: w, needed: n } => with(vec![window(w)], n),
            Self::Filtered { window: w, needed: n, half_life: h, vol_needed, cap } => {
                let vol = ("vol_needed: seconds until there are so many", vol_needed as f64 * step, 1.0);
                let vol = (vol.0, vol.1, vol.2, NEEDED_MAX);
                with(vec![window(w), half_life(h), vol, ("cap", cap.unwrap_or(1.0), 1.0, 100.0)], n)
            }
            Self::Tail { window: w, level, needed: n, refit_every } => {
                with(vec![window(w), ("level", level, 0.5, 0.999), refit(refit_every, step)], n)
            }
            Self::Implied { nu, stale_seconds } => {
                let stale = ("stale_seconds", stale_seconds as f64, 1.0, 30.0 * DAY);
                [stale].into_iter().chain(degrees(nu)).collect()
            }
        }
    }
}

impl Adjusters {
    fn check_ranges(&self) -> Result<(), PolicyError> {
        let on = self.by.values().any(|of| of.on);
        let least = if on { MOST_MIN } else { 1.0 };
        first_outside("adjusters", [("product_max", self.product_max, least, 10.0)])?;
        for (cause, adjuster) in &self.by {
            let place = format!("adjuster `{cause}`");
            let least = if adjuster.on { MOST_MIN } else { 1.0 };
            let slopes = adjuster.underlyings.values().chain([&adjuster.slope]);
            first_outside(&place, slopes.flat_map(|slope| slope.numbers(least)))?;
            first_outside(&place, [("stale_seconds", adjuster.stale_seconds as f64, 1.0, 30.0 * DAY)])?;
        }
        Ok(())
    }
}

impl Slope {
    fn numbers(&self, most_min: f64) -> [Number; 3] {
        [
            ("slope.start", self.start, -1e15, 1e15),
            ("slope.full", self.full, -1e15, 1e15),
            ("slope.most", self.most, most_min, 10.0),
        ]
    }
}

impl Norm {
    fn numbers(&self, step: f64) -> [Number; 3] {
        let [count, time] = needed(self.needed, step);
        [half_life(self.half_life), count, time]
    }
}

impl Readings {
    fn numbers(&self, step: f64) -> Vec<Number> {
        let norms = [&self.vol_spike, &self.skew, &self.open_interest].into_iter().flatten();
        let mut numbers: Vec<Number> = norms.flat_map(|of| of.numbers(step)).collect();
        numbers.extend(self.liquidity.iter().flat_map(|of| of.numbers(step)));
        numbers.extend(self.correlation.iter().flat_map(|of| of.numbers(step)));
        numbers.extend(self.regime.iter().flat_map(|of| of.numbers(step)));
        if let Some(jump) = self.jump {
            numbers.push(window(jump.window));
            numbers.push(("jump.stretch", jump.stretch as f64, 3.0, 1e6));
            numbers.push(("jump.level", jump.level, 1e-6, 0.5));
        }
        numbers
    }
}

impl LiquidityReading {
    fn numbers(&self, step: f64) -> Vec<Number> {
        let own = [
            ("liquidity.usual_spread", self.usual_spread, 1e-6, 0.1),
            ("liquidity.slots", self.slots as f64, 1.0, 10_000.0),
            ("liquidity.slot_seconds", self.slot_seconds, 1.0, 7.0 * DAY),
            ("liquidity.ignored", self.ignored, 0.0, 0.5),
            ("liquidity.hold_seconds", self.hold_seconds, 1.0, 7.0 * DAY),
            ("liquidity.decay_half_life_seconds", self.decay_half_life_seconds, 1.0, 7.0 * DAY),
            ("liquidity.growth_per_day", self.growth_per_day, 0.001, 10.0),
            ("liquidity.fall_per_day", self.fall_per_day, 0.01, 0.99),
            ("liquidity.floor", self.floor, 0.001, 1e12),
        ];
        own.into_iter().chain(self.norm.numbers(step)).collect()
    }
}

impl CorrelationReading {
    fn numbers(&self, step: f64) -> Vec<Number> {
        let mut numbers = vec![
            ("correlation.vol_half_life", self.vol_half_life, 0.5, 20_000.0),
            ("vol_needed: seconds until there are so many", self.vol_needed as f64 * step, 1.0, NEEDED_MAX),
        ];
        match self.method {
            CorrelationMethod::Ewma { half_life: h, needed: n } => {
                numbers.extend([half_life(h)].into_iter().chain(needed(n, step)));
            }
            CorrelationMethod::Dcc { window: w, needed: n, refit_every } => {
                numbers.extend([window(w), refit(refit_every, step)].into_iter().chain(needed(n, step)));
            }
        }
        numbers
    }
}

impl RegimeReading {
    fn numbers(&self, step: f64) -> Vec<Number> {
        let fits = [window(self.window), refit(self.refit_every, step)];
        fits.into_iter().chain(degrees(self.nu)).chain(needed(self.needed, step)).collect()
    }
}

impl Glide {
    fn numbers(&self) -> Vec<Number> {
        let fractions = self.fractions.into_iter().map(|x| ("glide.fractions", x, 0.001, 1.0));
        let limits = [
            // What more would be past any book, and would never be reached.
            ("glide.induced_max", self.induced_max, 0.0, 1e9),
            ("glide.liquidatable_share_max", self.liquidatable_share_max, 0.0, 0.25),
        ];
        fractions.chain(limits).collect()
    }
}

impl LeverageTiers {
    fn numbers(&self) -> Vec<Number> {
        let ends = self.ends.iter().map(|x| ("leverage.ends", *x, 1.0, 1e15));
        let times = self.times.iter().map(|x| ("leverage.times", *x, 1.0, 1_000.0));
        ends.chain(times).chain([("leverage.leverage_max", self.leverage_max, 1.0, 1_000.0)]).collect()
    }
}

impl Governance {
    fn numbers(&self) -> [Number; 1] {
        [("governance.quorum", self.quorum as f64, 1.0, 1e12)]
    }
}
