//! One step of all parameters together: proposed, shown to whoever knows the book, and put in force whole or not at all.
//!
//! **The one idea:** parameters that depend on one another move in one struct. A [`Proposal`] holds all of them; its candidates
//! are complete sets of values; [`decide`] puts one candidate in force, with every change attributed, or none.

use crate::parameter::Target;
use crate::{
    Breach, Cause, Change, Choice, Glide, GlideError, Impact, Key, Knob, Motion, MotionError, ParameterState,
    Policy, Proposed, Scope, Series, covering,
};
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The parameters of a policy as they are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Board {
    /// Grows by one with every parameter that begins and every decision that changes something.
    version: u64,
    #[serde(with = "crate::scope::pairs")]
    parameters: BTreeMap<Arc<Key>, ParameterState>,
}

/// Where all parameters would go, together.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// When it was made.
    pub now: Timestamp,
    /// Of which version of the parameters.
    pub version: u64,
    /// What could not be read, or was bridged.
    pub notes: Vec<Note>,
    /// Every parameter of the policy, whether it moves or not, in the order of keys.
    pub parameters: Vec<Proposed>,
}

/// What was decided at an instant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The instant.
    pub now: Timestamp,
    /// Version of the parameters from now on.
    pub version: u64,
    /// What changed, each fully attributed, in the order of keys.
    pub changes: Vec<Change>,
    /// What the glide path chose; `None` when no book was shown.
    pub glide: Option<Choice>,
    /// Whether the result was refused, and nothing moved.
    pub refused: bool,
    /// What could not be read, or was bridged.
    pub notes: Vec<Note>,
}

/// What a decision had to do without. None of it stops a step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case", deny_unknown_fields)]
pub enum Note {
    /// A parameter began: the policy has it for every underlying, and this one was seen for the first time.
    Began {
        /// Which.
        key: Key,
        /// Where it starts.
        value: Ppb,
    },
    /// Too little history for an estimate: from now on the stress floor stands in.
    TooLittleHistory {
        /// Whose target.
        key: Key,
    },
    /// Observations were missing, and what happened meanwhile counts as one.
    Bridged {
        /// The underlying.
        underlying: String,
        /// Steps without an observation.
        steps: i64,
    },
    /// An underlying that was seen before is not among the signals, or a series of it is not.
    Missing {
        /// The underlying.
        underlying: String,
        /// Which series.
        series: Series,
    },
    /// The estimate of a target is lost: from now on the larger of the stress floor and the last one stands in.
    NoEstimate {
        /// Whose target.
        key: Key,
    },
    /// The first number of a step came late; the last before the step closes it where there is one.
    Late {
        /// The underlying.
        underlying: String,
        /// Which series.
        series: Series,
        /// Seconds into the step.
        seconds: i64,
    },
    /// A number too far from the last one to be believed: left out until the next says the same.
    Doubted {
        /// The underlying.
        underlying: String,
        /// Which series.
        series: Series,
        /// The last number that was believed.
        last: f64,
        /// This one.
        value: f64,
    },
    /// A series goes on in another unit: from now on its numbers are read in the old one.
    Rescaled {
        /// The underlying.
        underlying: String,
        /// Which series.
        series: Series,
        /// New numbers over old ones.
        factor: f64,
    },
    /// A series says the same for too long: no observations until it moves.
    Constant {
        /// The underlying.
        underlying: String,
        /// Which series.
        series: Series,
        /// Steps that said so.
        steps: u32,
    },
    /// A reading is older than its adjuster allows, and gone.
    Stale {
        /// The underlying, or `*`.
        place: String,
        /// Which adjuster.
        cause: Cause,
    },
    /// An adjuster that is on has nothing to read, of any underlying: it does nothing.
    NoReading {
        /// Which adjuster.
        cause: Cause,
    },
    /// A number that no market says, or one that an estimator or a reading refused: left out, and what was known stays.
    Refused {
        /// The underlying, the parameter, or `*`.
        place: String,
        /// Why.
        reason: String,
    },
    /// Initial margin would not have covered maintenance: those parameters stay as they are.
    Uncovered {
        /// The place.
        scope: Scope,
        /// What initial margin would have been scaled by.
        im: Ppb,
        /// And maintenance.
        mm: Ppb,
    },
}

/// Why nothing was decided. Nothing has changed then.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum StepError {
    /// One parameter could not be moved.
    #[error("{key}: {source}")]
    Parameter {
        /// Which.
        key: Key,
        /// Why.
        source: MotionError,
    },
    /// The policy has no motion for a parameter, or the board no parameter of this key.
    #[error("there is no parameter {0}")]
    Unknown(Key),
    /// The impacts are not those of the candidates.
    #[error(transparent)]
    Glide(#[from] GlideError),
    /// Signals of an instant that is not after the last one, or a proposal that is not of it.
    #[error("of {now}: the last signals are of {last}")]
    Clock {
        /// The instant given.
        now: Timestamp,
        /// The last one.
        last: Timestamp,
    },
    /// The parameters have moved since the proposal was made.
    #[error("a proposal for version {proposal} of the parameters: they are at {version}")]
    Stale {
        /// What it was made for.
        proposal: u64,
        /// What there is.
        version: u64,
    },
    /// A book was shown, and the policy has no glide path.
    #[error("the policy has no glide path: no book can be judged")]
    NoGlide,
    /// An estimator could not begin: never for a policy that was checked.
    #[error("{reason}")]
    Estimator {
        /// Why.
        reason: String,
    },
}

impl StepError {
    fn limit(key: &Key, source: Breach) -> Self {
        Self::Parameter { key: key.clone(), source: source.into() }
    }
}

impl Board {
    /// A parameter that starts at `value` > 0 because of `cause`; one of the same key is replaced.
    pub(crate) fn insert(&mut self, key: Arc<Key>, value: Ppb, cause: Cause, now: Timestamp) {
        self.parameters.insert(key, ParameterState::new(value, cause, now));
        self.version += 1;
    }

    /// Version of the parameters: another one when a parameter has begun or changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A parameter.
    pub fn get(&self, key: &Key) -> Option<&ParameterState> {
        self.parameters.get(key)
    }

    /// All parameters, in the order of keys.
    pub fn parameters(&self) -> &BTreeMap<Arc<Key>, ParameterState> {
        &self.parameters
    }

    /// Where a target would take a parameter.
    pub(crate) fn propose(
        &mut self,
        policy: &Policy,
        key: &Arc<Key>,
        target: Target,
        now: Timestamp,
    ) -> Result<Proposed, StepError> {
        let motion = motion_of(policy, key)?;
        let state = self.parameters.get_mut(key).ok_or_else(|| StepError::Unknown(Key::clone(key)))?;
        let parameter = |source| StepError::Parameter { key: Key::clone(key), source };
        state.propose(Arc::clone(key), motion, target, now).map_err(parameter)
    }

    /// Puts a proposal in force: the candidate that the glide path chooses by its `impacts`, in the order of
    /// [`Proposal::candidates`], or the whole where no book is shown. All changes go in force, or none.
    pub(crate) fn decide(
        &mut self,
        policy: &Policy,
        proposal: Proposal,
        book: Option<(&Glide, &[Impact])>,
    ) -> Result<Decision, StepError> {
        let Proposal { now, version, mut notes, parameters } = proposal;
        if version != self.version {
            return Err(StepError::Stale { proposal: version, version: self.version });
        }
        let glide = book.map(|(glide, impacts)| glide.choose(impacts)).transpose()?;
        if glide == Some(None) {
            return Ok(Decision { now, version, changes: vec![], glide: None, refused: true, notes });
        }
        let glide = glide.flatten();
        let fraction = glide.map_or(1.0, |choice| choice.fraction);
        let mut parts = Vec::with_capacity(parameters.len());
        for proposed in parameters {
            let motion = motion_of(policy, &proposed.key)?;
            parts.push(proposed.part(fraction, &motion.limits));
        }
        notes.extend(coupled(&self.parameters, &mut parts));
        let (mut moved, mut changes) = (Vec::new(), Vec::new());
        for part in parts.iter().filter(|part| part.new != part.old) {
            let key = Arc::clone(&part.key);
            let mut state = self.at(&key)?.clone();
            let change = state.apply(part.clone(), motion_of(policy, &key)?, now);
            changes.push(change.map_err(|source| StepError::limit(&key, source))?);
            moved.push((key, state));
        }
        // Nothing can fail from here on.
        self.version += u64::from(!changes.is_empty());
        self.parameters.extend(moved);
        for part in parts.iter().filter(|part| part.new == part.old) {
            self.parameters.entry(Arc::clone(&part.key)).and_modify(|state| state.settle(part));
        }
        Ok(Decision { now, version: self.version, changes, glide, refused: false, notes })
    }

    fn at(&self, key: &Key) -> Result<&ParameterState, StepError> {
        self.parameters.get(key).ok_or_else(|| StepError::Unknown(key.clone()))
    }
}

fn motion_of<'p>(policy: &'p Policy, key: &Key) -> Result<&'p Motion, StepError> {
    policy.motion(key).ok_or_else(|| StepError::Unknown(key.clone()))
}

/// Initial margin is never scaled by less than maintenance, at any place: where it would be, all of both stay as they are,
/// which is sound as long as it was sound before.
fn coupled(now: &BTreeMap<Arc<Key>, ParameterState>, parts: &mut [Proposed]) -> Option<Note> {
    let scales = |knob| knob == Knob::ImScale || knob == Knob::MmScale;
    if !parts.iter().any(|p| scales(p.key.knob) && p.new != p.old) {
        return None;
    }
    let stays = now.iter().map(|(key, state)| (key, state.value()));
    let moves = parts.iter().map(|p| (&p.key, p.new));
    let next: BTreeMap<Key, Ppb> = stays
        .chain(moves)
        .filter(|(key, _)| scales(key.knob))
        .map(|(key, value)| (Key::clone(key), value))
        .collect();
    let (scope, im, mm) = uncovered(&next)?;
    for part in parts.iter_mut().filter(|p| scales(p.key.knob)) {
        *part = part.refused();
    }
    Some(Note::Uncovered { scope, im, mm })
}

/// A place where the scale of initial margin is beneath that of maintenance: it is enough to look where some scale is stated.
pub(crate) fn uncovered(scales: &BTreeMap<Key, Ppb>) -> Option<(Scope, Ppb, Ppb)> {
    let at = |knob, place: &Scope| covering(scales, knob, place).first().map(|(_, value)| **value);
    let beneath = |scope: &Scope| {
        let (im, mm) = (at(Knob::ImScale, scope)?, at(Knob::MmScale, scope)?);
        (im < mm).then(|| (scope.clone(), im, mm))
    };
    let scopes: Vec<&Scope> = scales.keys().map(|key| &key.scope).collect();
    let joint = |a: &Scope| scopes.iter().find_map(|b| beneath(&a.and(b)?));
    scopes.iter().find_map(|a| joint(a))
}

impl Proposal {
    /// Complete sets of values: the first without any tightening, then one for each fraction of it.
    pub fn candidates(&self, policy: &Policy) -> Vec<BTreeMap<Key, Ppb>> {
        let values = |fraction: f64| {
            let part = |p: &Proposed| {
                let limits = policy.motion(&p.key).map(|motion| &motion.limits);
                (Key::clone(&p.key), limits.map_or(p.old, |limits| p.part(fraction, limits).new))
            };
            self.parameters.iter().map(part).collect()
        };
        let fractions = policy.glide().map_or([1.0; 4], |glide| glide.fractions);
        std::iter::once(0.0).chain(fractions).map(values).collect()
    }

    /// Whether any parameter would tighten: only then must a book be evaluated.
    pub fn tightens(&self) -> bool {
        self.parameters.iter().any(|p| p.new > p.old)
    }
}
