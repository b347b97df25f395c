//! One step of all parameters together: proposed, shown to whoever knows the book, and put in force whole or not at all.
//!
//! **The one idea:** parameters that depend on one another move in one struct. A [`Proposal`] holds all of them; its candidates
//! are complete sets of values; [`decide`] puts one candidate in force, with every change attributed, or none.

use crate::glide::Move;
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

/// Where all parameters would go, together. Nobody but [`crate::propose`] makes one, and nothing in it can be changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    pub(crate) now: Timestamp,
    pub(crate) version: u64,
    pub(crate) notes: Vec<Note>,
    pub(crate) parameters: Vec<Proposed>,
}

/// What was decided at an instant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// The instant.
    pub now: Timestamp,
    /// When it was proposed: that of the signals it rests on.
    pub made: Timestamp,
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
    /// Initial margin would not have covered maintenance: the rise of maintenance gave way, or the fall of initial margin.
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
    /// The proposal is not of these parameters: it leaves one out, holds one that is not there, or rests on another value.
    #[error("the proposal is not of these parameters: {0}")]
    Foreign(Key),
    /// The state is one of another policy: [`crate::State::migrate`] makes it one of this.
    #[error("the state is of policy {state}, and this is {policy}")]
    Policy {
        /// Digest of the policy that the state is of.
        state: String,
        /// Digest of the policy given.
        policy: String,
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

    /// A parameter as it was on another board.
    pub(crate) fn keep(&mut self, key: Arc<Key>, state: ParameterState) {
        self.parameters.insert(key, state);
    }

    /// The version after that of another board: proposals for either are stale.
    pub(crate) fn follow(&mut self, other: &Self) {
        self.version = self.version.max(other.version) + 1;
    }

    /// Makes every proposal stale that was made before.
    pub(crate) fn touch(&mut self) {
        self.version += 1;
    }

    /// Takes parameters out, those that `keeps` does not keep.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Key, &ParameterState) -> bool) {
        self.parameters.retain(|key, state| keeps(key, state));
    }

    /// Puts a proposal in force at `now`: the candidate that the glide path chooses by its `impacts`, in the order of
    /// [`Proposal::candidates`], or the whole where no book is shown. All changes go in force, or none.
    pub(crate) fn decide(
        &mut self,
        policy: &Policy,
        proposal: Proposal,
        book: Option<(&Glide, &[Impact])>,
        now: Timestamp,
    ) -> Result<Decision, StepError> {
        let Proposal { now: made, version, mut notes, parameters } = proposal;
        if version != self.version {
            return Err(StepError::Stale { proposal: version, version: self.version });
        }
        self.complete(&parameters)?;
        let choice = book.map(|(glide, impacts)| glide.choose(impacts)).transpose()?;
        let refused = choice == Some(None);
        let glide = choice.flatten();
        if refused || glide.is_some_and(|choice| !choice.loosens) {
            return Ok(Decision { now, made, version, changes: vec![], glide, refused, notes });
        }
        let chosen = glide.map_or(Move::WHOLE, |Choice { loosens, fraction, .. }| Move { loosens, fraction });
        let (parts, gave_way) = parts(policy, &parameters, chosen)?;
        notes.extend(gave_way);
        let (mut moved, mut changes) = (Vec::new(), Vec::new());
        for part in parts.iter().filter(|part| part.new != part.old) {
            let key = Arc::clone(&part.key);
            let mut state = self.at(&key)?.clone();
            let change = state.apply(part.clone(), motion_of(policy, &key)?, (made, now));
            changes.push(change.map_err(|source| StepError::limit(&key, source))?);
            moved.push((key, state));
        }
        // Nothing can fail from here on.
        self.version += u64::from(!changes.is_empty());
        self.parameters.extend(moved);
        for part in parts.iter().filter(|part| part.new == part.old) {
            self.parameters.entry(Arc::clone(&part.key)).and_modify(|state| state.settle(part));
        }
        Ok(Decision { now, made, version: self.version, changes, glide, refused, notes })
    }

    /// Whether a proposal holds every parameter once, as it is in force, and finite numbers.
    fn complete(&self, parameters: &[Proposed]) -> Result<(), StepError> {
        let mut own = self.parameters.iter();
        for proposed in parameters {
            let same = own.next().is_some_and(|(key, state)| {
                *key == proposed.key && state.value() == proposed.old && proposed.exact.is_finite()
            });
            if !same {
                return Err(StepError::Foreign(Key::clone(&proposed.key)));
            }
        }
        own.next().map_or(Ok(()), |(key, _)| Err(StepError::Foreign(Key::clone(key))))
    }

    fn at(&self, key: &Key) -> Result<&ParameterState, StepError> {
        self.parameters.get(key).ok_or_else(|| StepError::Unknown(key.clone()))
    }
}

fn motion_of<'p>(policy: &'p Policy, key: &Key) -> Result<&'p Motion, StepError> {
    policy.motion(key).ok_or_else(|| StepError::Unknown(key.clone()))
}

/// So much of a proposal as a candidate holds, and what gave way in it.
fn parts(
    policy: &Policy,
    parameters: &[Proposed],
    of: Move,
) -> Result<(Vec<Proposed>, Vec<Note>), StepError> {
    let part = |proposed: &Proposed| {
        let limits = &motion_of(policy, &proposed.key)?.limits;
        let stays = !of.loosens && proposed.new < proposed.old;
        Ok(if stays { proposed.glided(proposed.old) } else { proposed.part(of.fraction, limits) })
    };
    let mut parts = parameters.iter().map(part).collect::<Result<Vec<_>, StepError>>()?;
    let gave_way = coupled(policy, &mut parts);
    Ok((parts, gave_way))
}

/// Initial margin is never scaled by less than maintenance, at any place. Where it would be, the rise of maintenance gives way,
/// then the fall of initial margin, neither by more than its own move: so one of the two never stops the other, and what was
/// sound before is sound after. Where not even that helps, it was not sound before: then no maintenance rises and no initial
/// margin falls, and what repairs it goes on.
fn coupled(policy: &Policy, parts: &mut [Proposed]) -> Vec<Note> {
    let mut notes = Vec::new();
    if !parts.iter().any(|p| p.key.knob.is_scale() && p.new != p.old) {
        return notes;
    }
    loop {
        let scales = parts.iter().filter(|p| p.key.knob.is_scale());
        let next: BTreeMap<Key, Ppb> = scales.map(|p| (Key::clone(&p.key), p.new)).collect();
        let Some((scope, im, mm)) = uncovered(&next) else { return notes };
        notes.push(Note::Uncovered { scope: scope.clone(), im, mm });
        let cut = give_way(policy, parts, &next, &scope);
        if cut.is_none() {
            let widens = |p: &&mut Proposed| match p.key.knob {
                Knob::MmScale => p.new > p.old,
                Knob::ImScale => p.new < p.old,
                _ => false,
            };
            for part in parts.iter_mut().filter(widens) {
                *part = part.refused(part.old);
            }
            return notes;
        }
    }
}

/// Cuts the rise of maintenance at a place, or else the fall of initial margin; `None` where neither can be.
fn give_way(policy: &Policy, parts: &mut [Proposed], next: &BTreeMap<Key, Ppb>, place: &Scope) -> Option<()> {
    let at = |knob| {
        let (scope, value) = covering(next, knob, place).into_iter().next()?;
        let key = Key { knob, scope: scope.clone() };
        let index = parts.iter().position(|p| *p.key == key)?;
        Some((index, *value, policy.motion(&key)?.limits))
    };
    let ((im_at, im, im_limits), (mm_at, mm, mm_limits)) = (at(Knob::ImScale)?, at(Knob::MmScale)?);
    let (initial, maintenance) = (parts.get(im_at)?, parts.get(mm_at)?);
    let lower = mm_limits.to_step_down(im).max(maintenance.old);
    let higher = im_limits.to_step_up(mm).min(initial.old);
    let (index, cut) = if lower < mm {
        (mm_at, maintenance.refused(lower))
    } else if higher > im {
        (im_at, initial.refused(higher))
    } else {
        return None;
    };
    *parts.get_mut(index)? = cut;
    Some(())
}

/// A place where the scale of initial margin is beneath that of maintenance: it is enough to look where some scale is stated.
/// Scales are few: a pair of them for every pair of scopes.
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
    /// When it was made: the instant of the signals.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Of which version of the parameters.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What could not be read, or was bridged.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Every parameter of the policy, whether it moves or not, in the order of keys.
    pub fn parameters(&self) -> &[Proposed] {
        &self.parameters
    }

    /// Complete sets of values, each as it would go in force: first what is in force, nothing moved; then what loosens and none of
    /// the tightening; then that with each fraction of it.
    ///
    /// # Errors
    /// [`StepError::Unknown`] for a parameter that the policy does not have: never for the policy it was made with.
    pub fn candidates(&self, policy: &Policy) -> Result<Vec<BTreeMap<Key, Ppb>>, StepError> {
        let values = |of: Move| {
            if !of.loosens {
                return Ok(self.parameters.iter().map(|p| (Key::clone(&p.key), p.old)).collect());
            }
            let (parts, _) = parts(policy, &self.parameters, of)?;
            Ok(parts.into_iter().map(|part| (Key::clone(&part.key), part.new)).collect())
        };
        Move::all(policy.glide()).into_iter().map(values).collect()
    }

    /// Whether any parameter would tighten: only then must a book be evaluated.
    pub fn tightens(&self) -> bool {
        self.parameters.iter().any(|p| p.new > p.old)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
    use super::*;
    use crate::{Bar, Signals, State, UnderlyingSignals, decide, propose, step};

    /// A state that would tighten, and the proposal.
    fn tightening(policy: &Policy) -> (State, Proposal) {
        let mut state = State::new(policy, Timestamp::from_seconds(0)).unwrap();
        let signals = |day: i64, close: f64| {
            let of = UnderlyingSignals { bar: Some(Bar::at(close)), ..UnderlyingSignals::default() };
            let as_of = Timestamp::from_seconds(86_400 * day);
            Signals { as_of, underlyings: [("BTC".to_owned(), of)].into(), ..Signals::default() }
        };
        for day in 0..120 {
            step(policy, &mut state, &signals(day, if day % 2 == 0 { 100.0 } else { 101.0 })).unwrap();
        }
        let proposal = propose(policy, &mut state, &signals(120, 70.0)).unwrap();
        (state, proposal)
    }

    #[test]
    fn a_proposal_that_is_not_whole_or_not_of_these_parameters_is_refused_whole() {
        let policy = Policy::shipped("plimsoll").unwrap();
        let (state, proposal) = tightening(&policy);
        assert!(proposal.tightens());
        let decided = |change: &dyn Fn(&mut Vec<Proposed>)| {
            let (mut own, mut bad) = (state.clone(), proposal.clone());
            change(&mut bad.parameters);
            let now = bad.now;
            let outcome = decide(&policy, &mut own, bad, None, now);
            assert!(outcome.is_ok() || own == state, "nothing moves where it is refused");
            outcome
        };
        assert!(decided(&|_| ()).is_ok());
        let foreign = |change: &dyn Fn(&mut Vec<Proposed>)| {
            assert!(matches!(decided(change), Err(StepError::Foreign(_))));
        };
        foreign(&|all| all.truncate(all.len() - 1));
        foreign(&|all| drop(all.remove(0)));
        foreign(&|all| all.push(all[0].clone()));
        foreign(&|all| all[1] = all[0].clone());
        foreign(&|all| all.swap(0, 1));
        foreign(&|all| all[0].exact = f64::NAN);
        foreign(&|all| all[0].old = Ppb(all[0].old.0 + 1));
        let last = proposal.parameters.iter().position(|p| p.key.knob == Knob::PriceScanUp).unwrap();
        for beyond in [Ppb(i64::MAX), Ppb(0), Ppb(-1), Ppb(1)] {
            let error = decided(&|all| all[last].new = beyond).unwrap_err();
            assert!(matches!(error, StepError::Parameter { .. }), "{error}");
        }
    }
}
