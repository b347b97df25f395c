//! A policy: the file that says what moves, why, how fast and how far, parsed and checked.
//!
//! **The one idea:** a policy that exists is one that may run: what could loosen without limit, what contradicts itself and what
//! names something that is not there is refused with the number before there is a [`Policy`].

use crate::readings::Readings;
use crate::step::uncovered;
use crate::{
    AdjusterError, Adjusters, Buffer, Cause, Glide, Governance, GovernanceError, Key, Knob, LeverageTiers,
    Motion, MotionSpecError, Scheduled, Scope, Side, TargetSpec, TargetSpecError,
};
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// How the world is cut into observations, and what is not believed of it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservationSpec {
    /// Length of a step, seconds: one observation each, which begins at a whole multiple of it in UTC; > 0.
    pub step_seconds: i64,
    /// The first number of a step closes the one before when it is no later than this, seconds; however late when left out.
    #[serde(default)]
    pub late_seconds: Option<i64>,
    /// A price or volatility so many times the last, or as many times less, counts when the next one says the same; > 1, any
    /// counts at once when left out.
    #[serde(default)]
    pub suspect_ratio: Option<f64>,
    /// Steps that end at one and the same number before further ones are no observations; any count when left out.
    #[serde(default)]
    pub constant_steps: Option<u32>,
}

impl ObservationSpec {
    fn check(&self) -> Result<(), PolicyError> {
        let step = self.step_seconds;
        let ok = (1..=STEP_MAX).contains(&step);
        within("observation.step_seconds", step as f64, ok, "from a second to thirty days")?;
        let late = self.late_seconds.unwrap_or(0);
        within(
            "observation.late_seconds",
            late as f64,
            (0..step).contains(&late),
            "from 0 to within a step",
        )?;
        let ratio = self.suspect_ratio.unwrap_or(2.0);
        within("observation.suspect_ratio", ratio, ratio > 1.0 && ratio <= 1e6, "above 1, at most 1e6")?;
        let most = self.constant_steps.unwrap_or(1);
        within("observation.constant_steps", f64::from(most), most > 0, ">= 1")
    }
}

/// Where buckets begin and end.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buckets {
    /// Edges of tenor, days to expiry, rising; bucket 0 lies beneath the first.
    pub tenor_days: Vec<f64>,
    /// Edges of moneyness, strike over forward, rising; bucket 0 lies beneath the first.
    pub moneyness: Vec<f64>,
    /// Account tiers there are.
    pub tiers: Vec<String>,
}

/// One parameter, or one for every underlying.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParameterSpec {
    /// What.
    pub knob: Knob,
    /// For what; for all when left out.
    #[serde(default)]
    pub scope: Scope,
    /// Whether every underlying has one of its own, beginning when it is first seen.
    #[serde(default)]
    pub each_underlying: bool,
    /// How it may move: a name among the motions.
    pub motion: String,
    /// Where it should be.
    pub target: TargetSpec,
    /// A buffer on the target; none when left out.
    #[serde(default)]
    pub buffer: Option<Buffer>,
}

/// A policy as it is written down.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its name.
    pub name: String,
    /// One sentence on what it is.
    pub description: String,
    /// How the world is cut into observations.
    pub observation: ObservationSpec,
    /// Where buckets begin and end.
    #[serde(default)]
    pub buckets: Buckets,
    /// How parameters may move, by name.
    pub motions: BTreeMap<String, Motion>,
    /// What moves.
    pub parameters: Vec<ParameterSpec>,
    /// What the state of the world adds.
    #[serde(default)]
    pub adjusters: Option<Adjusters>,
    /// What adjusters read.
    #[serde(default)]
    pub readings: Readings,
    /// What the book may be made to bear; without it no book is judged.
    #[serde(default)]
    pub glide: Option<Glide>,
    /// What votes must satisfy; without it there are none.
    #[serde(default)]
    pub governance: Option<Governance>,
    /// Votes there are.
    #[serde(default)]
    pub schedule: Vec<Scheduled>,
    /// Tiers of the margin fraction of futures and perpetuals.
    #[serde(default)]
    pub leverage: Option<LeverageTiers>,
}

/// Why a file is no policy.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum PolicyError {
    /// No such policy is shipped.
    #[error("no policy is called `{name}`: expected one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Not TOML, or not of this form.
    #[error("{reason}")]
    Unreadable {
        /// Where and why.
        reason: String,
    },
    /// A number is outside what it may be.
    #[error("`{field}` is {value}: expected {expected}")]
    Field {
        /// Its name.
        field: &'static str,
        /// The number.
        value: f64,
        /// What it may be.
        expected: &'static str,
    },
    /// A number is outside what it may be.
    #[error("{place}: `{field}` is {value}: expected from {least} to {most}")]
    Range {
        /// Where it stands.
        place: String,
        /// Its name.
        field: &'static str,
        /// The number.
        value: f64,
        /// The least that it may be.
        least: f64,
        /// The most.
        most: f64,
    },
    /// A number is so small that it is neither 0 nor meant.
    #[error("`{place}` is {value}: expected 0, or 1e-9 in size at least")]
    Misprint {
        /// Where it stands.
        place: String,
        /// The number.
        value: f64,
    },
    /// A motion is none.
    #[error("motion `{name}`: {source}")]
    Motion {
        /// Which.
        name: String,
        /// Why.
        source: MotionSpecError,
    },
    /// A parameter moves in a way that is not there.
    #[error("{key}: there is no motion `{name}`")]
    NoMotion {
        /// Which.
        key: Key,
        /// The name.
        name: String,
    },
    /// A parameter is stated twice, or both for all and for each underlying.
    #[error("{0} is stated twice")]
    Twice(Key),
    /// A parameter is for every underlying and for one.
    #[error("{0} is for each underlying and for one")]
    Each(Key),
    /// An estimate is of one underlying, and this is of none.
    #[error("{0} is estimated and of no underlying: state one, or `each_underlying`")]
    NoSeries(Key),
    /// A target is none.
    #[error("{key}: {source}")]
    Target {
        /// Whose.
        key: Key,
        /// Why.
        source: TargetSpecError,
    },
    /// A parameter would start outside its limits, and could not be moved back at once.
    #[error("{key} starts at {value}: its limits are {minimum} to {maximum}")]
    Start {
        /// Which.
        key: Key,
        /// Where it starts.
        value: Ppb,
        /// The least value.
        minimum: Ppb,
        /// The largest.
        maximum: Ppb,
    },
    /// A scope names a bucket or tier that is not there.
    #[error("{key}: there is no {what} in [buckets]")]
    Bucket {
        /// Whose.
        key: Key,
        /// What is not there.
        what: String,
    },
    /// A scope names what nothing applies.
    #[error("{key}: nothing applies its {field}: {reason}")]
    Reach {
        /// Whose.
        key: Key,
        /// Which part of the scope.
        field: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// Initial margin does not cover maintenance.
    #[error("at {scope} initial margin is scaled by {im} and maintenance by {mm}: expected at least as much")]
    Uncovered {
        /// The place.
        scope: Scope,
        /// Scale of initial margin.
        im: Ppb,
        /// Scale of maintenance.
        mm: Ppb,
    },
    /// Adjusters are none.
    #[error(transparent)]
    Adjuster(#[from] AdjusterError),
    /// An adjuster has nothing to read.
    #[error("adjuster `{0}` is on and there is nothing in [readings] to read it with")]
    NoReading(Cause),
    /// A reading, or a buffer, is none.
    #[error("{place}: {source}")]
    Statistic {
        /// Which.
        place: String,
        /// Why.
        source: StatsError,
    },
    /// A vote does not count.
    #[error(transparent)]
    Vote(#[from] GovernanceError),
}

/// A parameter with its motion.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parameter {
    /// Whether every underlying has one of its own: its key is then without one.
    pub(crate) each: bool,
    pub(crate) target: TargetSpec,
    pub(crate) motion: Motion,
    pub(crate) buffer: Option<Buffer>,
}

/// A policy that was checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Policy {
    file: PolicyFile,
    parameters: BTreeMap<Key, Parameter>,
    digest: String,
}

/// A place that a value is asked for.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Place<'p> {
    /// Underlying, or asset of collateral.
    pub underlying: Option<&'p str>,
    /// Days to expiry.
    pub tenor_days: Option<f64>,
    /// Strike over forward.
    pub moneyness: Option<f64>,
    /// Side of the position.
    pub side: Option<Side>,
    /// Account tier.
    pub tier: Option<&'p str>,
}

impl Policy {
    /// Reads and checks a policy.
    ///
    /// # Errors
    /// [`PolicyError`] for what is no policy, could loosen without limit, contradicts itself, or names what is not there.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let unreadable = |e: toml::de::Error| PolicyError::Unreadable { reason: e.to_string() };
        Self::new(toml::from_str(text).map_err(unreadable)?)
    }

    /// Whether a text means to be a policy, sound or not, and not a parameter set: only a policy has motions.
    ///
    /// ```
    /// assert!(plimsoll_policy::Policy::describes("[motions.scan]"));
    /// assert!(!plimsoll_policy::Policy::describes("[guard]"));
    /// ```
    pub fn describes(text: &str) -> bool {
        text.parse::<toml::Table>().is_ok_and(|table| table.contains_key("motions"))
    }

    /// Checks a policy.
    ///
    /// # Errors
    /// As [`Policy::from_toml`].
    pub fn new(file: PolicyFile) -> Result<Self, PolicyError> {
        file.check_ranges()?;
        file.observation.check()?;
        file.buckets.check()?;
        for (name, motion) in &file.motions {
            motion.check().map_err(|source| PolicyError::Motion { name: name.clone(), source })?;
        }
        let (parameters, digest) = (file.parameters()?, file.digest()?);
        let new = Self { file, parameters, digest };
        new.check_scales()?;
        new.check_world()?;
        new.check_votes()?;
        Ok(new)
    }

    /// Initial margin covers maintenance where parameters start: for every underlying that is named, and for one that is not.
    fn check_scales(&self) -> Result<(), PolicyError> {
        let scales = || self.parameters.iter().filter(|(key, _)| key.knob.is_scale());
        let named = scales().filter_map(|(key, _)| key.scope.underlying.as_deref());
        let underlyings: BTreeSet<&str> = named.chain([""]).collect();
        let mut first: BTreeMap<Key, Ppb> = BTreeMap::new();
        for (key, of) in scales() {
            if of.each {
                for underlying in &underlyings {
                    first.entry(key.of(underlying)).or_insert(of.target.first());
                }
            } else {
                first.insert(key.clone(), of.target.first());
            }
        }
        uncovered(&first).map_or(Ok(()), |(scope, im, mm)| Err(PolicyError::Uncovered { scope, im, mm }))
    }

    fn check_world(&self) -> Result<(), PolicyError> {
        let statistic = |source| PolicyError::Statistic { place: "readings".to_owned(), source };
        self.file.readings.check().map_err(statistic)?;
        if let Some(adjusters) = &self.file.adjusters {
            adjusters.check()?;
            for adjuster in adjusters.by.values() {
                for knob in &adjuster.knobs {
                    self.file.reaches(&Key { knob: *knob, scope: adjuster.scope.clone() })?;
                }
            }
            let unread = |(cause, of): &(&Cause, &crate::Adjuster)| of.on && !self.file.readings.has(**cause);
            if let Some((cause, _)) = adjusters.by.iter().find(unread) {
                return Err(PolicyError::NoReading(*cause));
            }
        }
        self.file.glide.as_ref().map_or(Ok(()), Glide::check)?;
        self.file.leverage.as_ref().map_or(Ok(()), LeverageTiers::check)
    }

    fn check_votes(&self) -> Result<(), PolicyError> {
        self.file.governance.as_ref().map_or(Ok(()), Governance::check)?;
        let mut ids = BTreeMap::new();
        for vote in &self.file.schedule {
            self.check_vote(vote, vote.proposed)?;
            if ids.insert(&vote.id, ()).is_some() {
                return Err(GovernanceError::Twice { id: vote.id.clone() }.into());
            }
        }
        self.check_falls()
    }

    /// No vote of the file asks for less than limits let a value fall within their window, from what was stated before it.
    fn check_falls(&self) -> Result<(), PolicyError> {
        let mut votes: Vec<&Scheduled> = self.file.schedule.iter().collect();
        votes.sort_by_key(|vote| (vote.effective, &vote.id));
        let mut before: BTreeMap<&Key, Ppb> = BTreeMap::new();
        for vote in votes {
            let Some(of) = self.parameter(&vote.key) else { continue };
            let from = before.insert(&vote.key, vote.value).unwrap_or(of.target.first());
            let share = 1.0 - of.motion.limits.window_down.to_f64();
            if vote.value.to_f64() < from.to_f64() * share * (1.0 - 1e-9) {
                let (id, value, least) = (vote.id.clone(), vote.value, from.to_f64() * share);
                return Err(GovernanceError::Falls { id, value, from, least }.into());
            }
        }
        Ok(())
    }

    /// Whether a vote may be scheduled at an instant.
    pub(crate) fn check_vote(&self, vote: &Scheduled, now: Timestamp) -> Result<(), GovernanceError> {
        let none = || GovernanceError::NoParameter { id: vote.id.clone(), key: Box::new(vote.key.clone()) };
        let motion = self.motion(&vote.key).ok_or_else(none)?;
        let rules = self.file.governance.ok_or_else(|| GovernanceError::None { id: vote.id.clone() })?;
        rules.accepts(vote, &motion.limits, now)
    }

    /// The policy as it is written down.
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.file.name
    }

    /// What it is told by from any other policy: sixteen hexadecimal digits of the SHA-256 of everything that it says. Comments
    /// and layout are not part of it.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// One sentence on what it is.
    pub fn description(&self) -> &str {
        &self.file.description
    }

    /// Length of a step of observation, seconds.
    pub fn step_seconds(&self) -> i64 {
        self.file.observation.step_seconds
    }

    /// What the book may be made to bear.
    pub fn glide(&self) -> Option<&Glide> {
        self.file.glide.as_ref()
    }

    /// How a parameter may move; `None` when the policy has no such parameter.
    pub fn motion(&self, key: &Key) -> Option<&Motion> {
        self.parameter(key).map(|of| &of.motion)
    }

    /// The same policy over another margin period of risk: every estimated target looks so many steps ahead.
    ///
    /// # Errors
    /// [`PolicyError`] for no steps.
    pub fn with_horizon(&self, steps: u32) -> Result<Self, PolicyError> {
        let mut file = self.file.clone();
        for parameter in &mut file.parameters {
            if let TargetSpec::Quantile(of) = &mut parameter.target {
                of.horizon_steps = steps;
            }
        }
        Self::new(file)
    }

    pub(crate) fn parameter(&self, key: &Key) -> Option<&Parameter> {
        let own = self.parameters.get(key).filter(|of| !of.each);
        own.or_else(|| {
            key.scope.underlying.as_ref()?;
            let any = Key { knob: key.knob, scope: Scope { underlying: None, ..key.scope.clone() } };
            self.parameters.get(&any).filter(|of| of.each)
        })
    }

    /// All parameters, those of every underlying without it.
    pub(crate) fn parameters(&self) -> &BTreeMap<Key, Parameter> {
        &self.parameters
    }

    /// The keys of what every underlying has, for one of them.
    pub(crate) fn keys_of(&self, underlying: &str) -> impl Iterator<Item = Key> {
        self.parameters.iter().filter(|(_, of)| of.each).map(|(key, _)| key.of(underlying))
    }

    /// The scope of a place: its buckets. `None` for a tenor or moneyness that is not finite: it lies in none.
    pub fn scope_of(&self, place: &Place<'_>) -> Option<Scope> {
        let bucket = |edges: &[f64], at: Option<f64>| {
            let Some(at) = at else { return Some(None) };
            let place = edges.partition_point(|edge| *edge <= at);
            at.is_finite().then(|| Some(u8::try_from(place).unwrap_or(u8::MAX)))
        };
        let Buckets { tenor_days, moneyness, .. } = &self.file.buckets;
        Some(Scope {
            tier: place.tier.map(str::to_owned),
            side: place.side,
            moneyness: bucket(moneyness, place.moneyness)?,
            tenor: bucket(tenor_days, place.tenor_days)?,
            underlying: place.underlying.map(str::to_owned),
        })
    }
}

/// Longest step of observation, seconds: thirty days.
const STEP_MAX: i64 = 30 * 86_400;

/// Whether a number of the file is what it may be.
pub(crate) fn within(
    field: &'static str,
    value: f64,
    ok: bool,
    expected: &'static str,
) -> Result<(), PolicyError> {
    if ok { Ok(()) } else { Err(PolicyError::Field { field, value, expected }) }
}

impl Buckets {
    fn check(&self) -> Result<(), PolicyError> {
        let edges = [("buckets.tenor_days", &self.tenor_days), ("buckets.moneyness", &self.moneyness)];
        for (field, edges) in edges {
            let bad = edges.iter().enumerate().find(|(i, edge)| {
                let before = i.checked_sub(1).and_then(|i| edges.get(i)).copied().unwrap_or(0.0);
                !(edge.is_finite() && **edge > before)
            });
            if let Some((_, value)) = bad {
                return Err(PolicyError::Field { field, value: *value, expected: "finite, > 0 and rising" });
            }
        }
        Ok(())
    }

    /// What a scope names and is not there.
    fn lacks(&self, scope: &Scope) -> Option<String> {
        let beyond = |bucket: Option<u8>, edges: &[f64], what: &str| {
            bucket.filter(|at| usize::from(*at) > edges.len()).map(|at| format!("{what} bucket {at}"))
        };
        let tier = scope.tier.as_ref().filter(|tier| !self.tiers.contains(tier));
        beyond(scope.tenor, &self.tenor_days, "tenor")
            .or_else(|| beyond(scope.moneyness, &self.moneyness, "moneyness"))
            .or_else(|| tier.map(|tier| format!("tier `{tier}`")))
    }
}

impl PolicyFile {
    fn digest(&self) -> Result<String, PolicyError> {
        let unreadable = |e: toml::ser::Error| PolicyError::Unreadable { reason: e.to_string() };
        let hash = Sha256::digest(toml::to_string(self).map_err(unreadable)?);
        Ok(hash.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The parameters, checked one by one.
    fn parameters(&self) -> Result<BTreeMap<Key, Parameter>, PolicyError> {
        let mut parameters = BTreeMap::new();
        for spec in &self.parameters {
            let key = Key { knob: spec.knob, scope: spec.scope.clone() };
            if spec.each_underlying && key.scope.underlying.is_some() {
                return Err(PolicyError::Each(key));
            }
            let one = spec.each_underlying || key.scope.underlying.is_some();
            if matches!(spec.target, TargetSpec::Quantile(_)) && !one {
                return Err(PolicyError::NoSeries(key));
            }
            let checked = self.parameter(&key, spec)?;
            if parameters.insert(key.clone(), checked).is_some() {
                return Err(PolicyError::Twice(key));
            }
        }
        Ok(parameters)
    }

    /// Whether the scope of a key is there, and something applies it.
    fn reaches(&self, key: &Key) -> Result<(), PolicyError> {
        if let Some(what) = self.buckets.lacks(&key.scope) {
            return Err(PolicyError::Bucket { key: key.clone(), what });
        }
        if let Some((field, reason)) = key.knob.cannot_reach(&key.scope) {
            return Err(PolicyError::Reach { key: key.clone(), field, reason });
        }
        Ok(())
    }

    fn parameter(&self, key: &Key, spec: &ParameterSpec) -> Result<Parameter, PolicyError> {
        self.reaches(key)?;
        let none = || PolicyError::NoMotion { key: key.clone(), name: spec.motion.clone() };
        let motion = *self.motions.get(&spec.motion).ok_or_else(none)?;
        spec.target.check().map_err(|source| PolicyError::Target { key: key.clone(), source })?;
        if let Some(buffer) = spec.buffer {
            let statistic = |source| PolicyError::Statistic { place: key.to_string(), source };
            buffer.check().map_err(statistic)?;
        }
        let (value, limits) = (spec.target.first(), motion.limits);
        if value < limits.minimum || value > limits.maximum || limits.to_step_up(value) != value {
            let (minimum, maximum) = (limits.minimum, limits.maximum);
            return Err(PolicyError::Start { key: key.clone(), value, minimum, maximum });
        }
        let each = spec.each_underlying;
        Ok(Parameter { each, target: spec.target.clone(), motion, buffer: spec.buffer })
    }
}
