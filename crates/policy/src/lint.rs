//! What may run and should be looked at: each finding would have caught a mistake that was made somewhere.
//!
//! What may not run is no [`Policy`]: [`Policy::from_toml`] refuses it.

use crate::policy::Parameter;
use crate::{Buffer, Estimator, Key, Policy, Quantile, TargetSpec};
use plimsoll_quant::special::{exp, ln};
use plimsoll_types::Ppb;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a finding is about. The names are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The limits say that they bound nothing: a base line, and no policy to run.
    Unbounded,
    /// The limits let a value fall by more than half within their window.
    LoosensFast,
    /// Existing positions feel a tightening without notice or ramp.
    NoNotice,
    /// No floor, no weight of a stressed period and no buffer: Regulation (EU) 153/2013, article 28(1) asks for one of them.
    Procyclical,
    /// A weight of the stressed period or a buffer beneath the regulation's quarter, and no floor.
    ThinStress,
    /// The confidence is beneath 99 %.
    LowConfidence,
    /// The stabiliser is faster than the hard limits let it be.
    FasterThanLimits,
    /// From the floor to the cap takes longer than a day, or the limits let a value rise by less than a quarter in one.
    SlowToTighten,
    /// The cap is beneath the long run's own quantile: a target that never gets there does not cover what it says.
    LowCap,
    /// The maximum is beneath what the cap may ask for when the fallback is the floor.
    LowMaximum,
    /// Learning may take more than 30 % off a target.
    LooseTracker,
    /// Nothing lowers the margin's answer to volatility: an elasticity of one or more.
    Elastic,
    /// Adjusters may together do more than double a target, or one of them more than all together may.
    StrongAdjusters,
    /// The band is wider than a tenth.
    WideBand,
    /// Votes may count less than a day after they are handed over.
    ShortTimelock,
    /// An adjuster acts on no parameter there is.
    IdleAdjuster,
    /// No book is judged before a tightening.
    NoGlide,
}

/// Something to look at.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// What it is about.
    pub rule: Rule,
    /// Which parameter; `None` for the whole policy.
    pub key: Option<Key>,
    /// The number, and what is expected.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

/// Least weight of a stressed period, and least buffer.
const QUARTER: f64 = 0.25;

/// Least correction of the logarithm that learning should make: 30 % off.
const TRACKER_LEAST: f64 = -0.357;

impl Policy {
    /// What should be looked at, parameters first, in the order of keys.
    pub fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (key, parameter) in self.parameters() {
            let one = |(rule, text)| Finding { rule, key: Some(key.clone()), text };
            let all = motion(parameter).into_iter().chain(self.speed(parameter)).chain(target(parameter));
            found.extend(all.map(one));
        }
        let whole = |(rule, text)| Finding { rule, key: None, text };
        found.extend(self.world().into_iter().map(whole));
        found
    }

    fn world(&self) -> Vec<(Rule, String)> {
        let mut found = Vec::new();
        let file = self.file();
        if let Some(of) = &file.adjusters {
            if of.product_max > 2.0 {
                let text = format!("adjusters may multiply by {}: expected at most 2", of.product_max);
                found.push((Rule::StrongAdjusters, text));
            }
            for (cause, adjuster) in of.by.iter().filter(|(_, adjuster)| adjuster.on) {
                let most = adjuster.underlyings.values().chain([&adjuster.slope]).map(|slope| slope.most);
                if let Some(most) = most.into_iter().find(|most| *most > of.product_max) {
                    let text = format!(
                        "adjuster `{cause}` multiplies by {most}: all together may by {}",
                        of.product_max
                    );
                    found.push((Rule::StrongAdjusters, text));
                }
            }
            for (cause, adjuster) in of.by.iter().filter(|(_, adjuster)| adjuster.on) {
                let acts = |(key, parameter): (&Key, &Parameter)| {
                    let named = adjuster.scope.underlying.as_deref().filter(|_| parameter.each);
                    let place = named.map_or_else(|| key.clone(), |name| key.of(name));
                    adjuster.knobs.contains(&key.knob) && adjuster.scope.covers(&place.scope)
                };
                if !self.parameters().iter().any(acts) {
                    found.push((
                        Rule::IdleAdjuster,
                        format!("adjuster `{cause}` acts on no parameter there is"),
                    ));
                }
            }
        }
        if let Some(of) = file.governance.filter(|of| of.timelock_seconds < 86_400) {
            let text = format!(
                "votes may count {} s after they are handed over: expected a day at least",
                of.timelock_seconds
            );
            found.push((Rule::ShortTimelock, text));
        }
        if file.glide.is_none() {
            found.push((
                Rule::NoGlide,
                "there is no [glide]: no book is judged before a tightening".to_owned(),
            ));
        }
        found
    }
}

impl Policy {
    /// Whether hard limits let a value rise in time: with one update a step of observation, within a day, from floor to cap where
    /// the target has them, by a quarter where it has not.
    fn speed(&self, of: &Parameter) -> Option<(Rule, String)> {
        let limits = of.motion.limits;
        let stress = match &of.target {
            TargetSpec::Quantile(spec) => spec.stress.filter(|stress| stress.floor > 0.0),
            TargetSpec::Stated { .. } | TargetSpec::PriceScan { .. } => None,
        };
        let range = limits.maximum.to_f64() / limits.minimum.to_f64();
        let needed = stress.map_or(1.25, |stress| stress.cap / stress.floor);
        let needed = if needed < range { needed } else { range };
        let updates = (86_400 / limits.delay_up_seconds.max(self.step_seconds())).max(1) as f64;
        let windows = (86_400.0 / limits.window_seconds as f64).ceil();
        let by = |share: Ppb, times: f64| exp(ln(1.0 + share.to_f64()) * times);
        let (updates, window) = (by(limits.up, updates), by(limits.window_up, windows));
        let rise = if updates < window { updates } else { window };
        let text =
            || format!("limits let it rise to {rise} times itself in a day: expected {needed} at least");
        (rise < needed * (1.0 - 1e-9)).then(|| (Rule::SlowToTighten, text()))
    }
}

fn motion(of: &Parameter) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    let (limits, stabiliser, announce) = (of.motion.limits, of.motion.stabiliser, of.motion.announce);
    if limits.unbounded {
        let (least, _) = limits.within_time(86_400);
        let delay = limits.delay_up_seconds;
        let text =
            format!("`unbounded`: may fall to {least} of itself in a day, and rise {delay} s after a change");
        found.push((Rule::Unbounded, text));
    }
    let down = limits.window_down.to_f64();
    if down > 0.5 {
        found.push((
            Rule::LoosensFast,
            format!("may fall by {down} in {} s: expected at most 0.5", limits.window_seconds),
        ));
    }
    let moves = limits.minimum < limits.maximum;
    if moves && announce.notice_seconds == 0 && announce.ramp_seconds == 0 {
        found.push((
            Rule::NoNotice,
            "existing positions feel a tightening at once: no notice, no ramp".to_owned(),
        ));
    }
    let windows = limits.window_seconds as f64 / 86_400.0;
    let most = ln(1.0 - down).abs();
    if stabiliser.loosen_per_day * windows > most * 1.01 && down <= 0.5 {
        let rate = stabiliser.loosen_per_day;
        found.push((
            Rule::FasterThanLimits,
            format!("loosens by {rate} a day: the window lets it move {most} in {windows} days"),
        ));
    }
    let band =
        if stabiliser.band_up > stabiliser.band_down { stabiliser.band_up } else { stabiliser.band_down };
    if band > 0.1 {
        found.push((Rule::WideBand, format!("rests within {band} of its target: expected at most 0.1")));
    }
    found
}

fn target(of: &Parameter) -> Vec<(Rule, String)> {
    let TargetSpec::Quantile(spec) = &of.target else { return Vec::new() };
    let mut found = Vec::new();
    if spec.confidence < 0.99 {
        found.push((
            Rule::LowConfidence,
            format!("covers {} of losses: expected 0.99 at least", spec.confidence),
        ));
    }
    let elasticity = spec.elasticity();
    if elasticity >= 1.0 && spec.reacts() {
        found.push((
            Rule::Elastic,
            format!("answers volatility with an elasticity of {elasticity}: expected less than 1"),
        ));
    }
    let buffer = of.buffer.as_ref().map_or(0.0, |Buffer { share, .. }| *share);
    let weight = spec.stress.map_or(0.0, |stress| stress.weight);
    let floor = spec.stress.map_or(0.0, |stress| stress.floor);
    if floor == 0.0 && weight < QUARTER && buffer < QUARTER {
        let thin = weight > 0.0 || buffer > 0.0;
        let text = format!(
            "weight of stress {weight}, buffer {buffer}, floor 0: expected a quarter, a quarter, or a floor"
        );
        found.push((if thin { Rule::ThinStress } else { Rule::Procyclical }, text));
    }
    if let Some(stress) = spec.stress.filter(|stress| stress.cap < 1.0) {
        let text =
            format!("cap is {} of the long run: expected 1 at least, or it is never covered", stress.cap);
        found.push((Rule::LowCap, text));
    }
    if let Some(least) = spec.tracking.map(|of| of.least).filter(|least| *least < TRACKER_LEAST) {
        let text = format!("learning takes off {least} of the logarithm: expected {TRACKER_LEAST} at least");
        found.push((Rule::LooseTracker, text));
    }
    if let Some(stress) = spec.stress.filter(|stress| stress.floor > 0.0) {
        let (maximum, needed) =
            (of.motion.limits.maximum, spec.fallback.to_f64() * stress.cap / stress.floor);
        if maximum.to_f64() < needed {
            let text = format!("maximum is {maximum}: the fallback from floor to cap is {needed}");
            found.push((Rule::LowMaximum, text));
        }
        let days = ln(stress.cap / stress.floor) / of.motion.stabiliser.tighten_per_day;
        if days > 1.0 {
            found.push((Rule::SlowToTighten, format!("{days} days from floor to cap: expected one at most")));
        }
    }
    found
}

impl Quantile {
    /// By how much the logarithm of the target follows that of today's volatility, where volatility is as in the long run: one
    /// less the weight of the long run. The bound of the closed loop asks for it.
    pub fn elasticity(&self) -> f64 {
        1.0 - self.stress.map_or(0.0, |stress| stress.weight)
    }

    /// Whether an estimate of today follows volatility at all: order statistics do so slowly.
    fn reacts(&self) -> bool {
        self.now.iter().any(|of| !matches!(of, Estimator::Historical { .. } | Estimator::LongRun { .. }))
    }
}
