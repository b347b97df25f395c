//! What may run and should be looked at: each finding would have caught a mistake that was made somewhere.
//!
//! What may not run is no [`Policy`]: [`Policy::from_toml`] refuses it.

use crate::policy::Parameter;
use crate::{Buffer, Estimator, Key, Policy, Quantile, TargetSpec};
use plimsoll_quant::special::ln;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a finding is about. The names are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
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
    /// From the floor to the cap takes longer than a day.
    SlowToTighten,
    /// Nothing lowers the margin's answer to volatility: an elasticity of one or more.
    Elastic,
    /// Adjusters may together do more than double a target.
    StrongAdjusters,
    /// The band is wider than a tenth.
    WideBand,
    /// Votes may count within a day.
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

impl Policy {
    /// What should be looked at, parameters first, in the order of keys.
    pub fn lint(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (key, parameter) in self.parameters() {
            let one = |rule, text| Finding { rule, key: Some(key.clone()), text };
            found.extend(
                motion(parameter).into_iter().chain(target(parameter)).map(|(rule, text)| one(rule, text)),
            );
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
                let acts = |key: &Key| adjuster.knobs.contains(&key.knob);
                if !self.parameters().any(|(key, _)| acts(key)) {
                    found.push((
                        Rule::IdleAdjuster,
                        format!("adjuster `{cause}` acts on no parameter there is"),
                    ));
                }
            }
        }
        if let Some(of) = file.governance.filter(|of| of.timelock_seconds < 86_400) {
            let text = format!(
                "votes count {} s after they are proposed: expected a day at least",
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

fn motion(of: &Parameter) -> Vec<(Rule, String)> {
    let mut found = Vec::new();
    let (limits, stabiliser, announce) = (of.motion.limits, of.motion.stabiliser, of.motion.announce);
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
    if let Some(stress) = spec.stress.filter(|stress| stress.floor > 0.0) {
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
