//! A state carried from one policy to another.
//!
//! **The one idea:** a new policy file changes what will be, and not what is: every value in force stays until the limits of the
//! new file let it move, wherever it was in force. What cannot be carried so is refused, and what begins anew is said.

use crate::policy::Parameter;
use crate::readings::Watch;
use crate::state::Aim;
use crate::step::uncovered;
use crate::{GovernanceError, Key, ParameterState, Policy, PolicyError, Scope, State, covering};
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Ppb, Timestamp};
use std::sync::Arc;

/// A state as another policy goes on with it.
#[derive(Clone, PartialEq, Debug)]
pub struct Migration {
    /// The state.
    pub state: State,
    /// Parameters that were not there: each begins with the value that was in force at its place, or where the policy says.
    pub begun: Vec<Key>,
    /// Parameters whose target is another: their estimates begin anew, and the stress floor stands in meanwhile.
    pub anew: Vec<Key>,
    /// Parameters that are no longer there, and that nothing else speaks of either: the parameter set's own values count.
    pub dropped: Vec<Key>,
    /// Votes that count no more, each with the reason.
    pub votes: Vec<(String, GovernanceError)>,
}

/// Why a state cannot be carried over.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum MigrateError {
    /// The state is not of the policy that it is said to be of.
    #[error("the state is of policy {state}, and not of {policy}")]
    Policy {
        /// Digest of the policy that the state is of.
        state: String,
        /// Digest of the policy given.
        policy: String,
    },
    /// The instant has passed.
    #[error("{now} is before {last}, the last instant seen")]
    Clock {
        /// The instant given.
        now: Timestamp,
        /// The last one.
        last: Timestamp,
    },
    /// Buckets have other edges: what is stated by bucket would be in force elsewhere.
    #[error("the edges of [buckets] are others, and {0} is stated by bucket")]
    Buckets(Key),
    /// A place would be left with a value further beneath than one update of the new limits lets it fall.
    #[error("{key} is {old} and would be {new} by {by}: its limits let one update fall to {least}")]
    Loosens {
        /// What was in force.
        key: Box<Key>,
        /// With which value.
        old: Ppb,
        /// What would be.
        by: Box<Key>,
        /// With which value.
        new: Ppb,
        /// The least it may be.
        least: Ppb,
    },
    /// What binds existing positions would rise at once, without notice.
    #[error("{key} binds existing positions by {old}, and {by} would at once by {new}")]
    Hurries {
        /// What was in force.
        key: Box<Key>,
        /// What bound existing positions.
        old: Ppb,
        /// What would be.
        by: Box<Key>,
        /// What would bind them.
        new: Ppb,
    },
    /// Initial margin would not cover maintenance.
    #[error("at {scope} initial margin would be scaled by {im} and maintenance by {mm}")]
    Uncovered {
        /// The place.
        scope: Scope,
        /// Scale of initial margin.
        im: Ppb,
        /// Scale of maintenance.
        mm: Ppb,
    },
    /// An estimator does not begin: never for a policy that was checked.
    #[error(transparent)]
    Begin(#[from] PolicyError),
}

impl State {
    /// The state as another policy goes on with it from `now` on. Values in force, their history and their ramps stay; so do
    /// estimates whose target is stated alike, and readings where [`crate::Readings`] are. Votes stay that the new policy
    /// accepts; those of its file are scheduled as [`State::vote`] does.
    ///
    /// # Errors
    /// [`MigrateError`] where a value would fall faster than the new limits let it, maintenance would not be covered, or a
    /// place would have another name.
    pub fn migrate(&self, from: &Policy, to: &Policy, now: Timestamp) -> Result<Migration, MigrateError> {
        if self.policy != from.digest() {
            let (state, policy) = (self.policy.clone(), from.digest().to_owned());
            return Err(MigrateError::Policy { state, policy });
        }
        if now < self.clock() {
            return Err(MigrateError::Clock { now, last: self.clock() });
        }
        same_buckets(from, to)?;
        let statistic = |source: StatsError| PolicyError::Statistic { place: "migrate".to_owned(), source };
        let mut state = State::new(to, now)?;
        (state.began, state.now, state.decided) = (self.began, self.now, Some(now));
        let (mut begun, mut anew) = (Vec::new(), Vec::new());
        state.watch(self, (from, to)).map_err(statistic)?;
        for key in self.keys(to) {
            let Some(parameter) = to.parameter(&key) else { continue };
            let (own, aim) = (self.board.get(&key), self.aims.get(&key));
            if own.is_none() {
                begun.push(key.clone());
            }
            let begins = (parameter.target.first(), parameter.target.begins());
            let fresh = || ParameterState::replacing(&within(self, &key), begins, &parameter.motion, now);
            let inherited = own.or_else(|| inherited(self, &key)).cloned().unwrap_or_else(fresh);
            let goes_on = own.is_some() && same_target(from, to, &key, parameter);
            let aim = match aim.filter(|_| goes_on) {
                Some(aim) => aim.clone().stated(!parameter.each),
                None => Aim::begin(parameter).map_err(statistic)?,
            };
            if own.is_some() && !goes_on {
                anew.push(key.clone());
            }
            let shared = Arc::new(key);
            state.board.keep(Arc::clone(&shared), inherited);
            state.aims.insert(shared, aim);
        }
        let dropped = bounded(self, to, &state, now)?;
        let scales = state.board.parameters().iter().filter(|(key, _)| key.knob.is_scale());
        let scales = scales.map(|(key, of)| (Key::clone(key), of.value())).collect();
        if let Some((scope, im, mm)) = uncovered(&scales) {
            return Err(MigrateError::Uncovered { scope, im, mm });
        }
        let votes = state.carry_votes(self, (from, to), now);
        state.board.follow(&self.board);
        Ok(Migration { state, begun, anew, dropped, votes })
    }

    /// The keys of another policy for the underlyings that are known.
    fn keys(&self, to: &Policy) -> Vec<Key> {
        let mut keys: Vec<Key> =
            to.parameters().iter().filter(|(_, of)| !of.each).map(|(key, _)| key.clone()).collect();
        // What is stated by name says nothing of whether an underlying was seen.
        let begun = self.aims.iter().filter(|(_, aim)| !aim.is_stated());
        let known = begun.filter_map(|(key, _)| key.scope.underlying.as_deref());
        let mut known: Vec<&str> = known.chain(self.watches.keys().map(String::as_str)).collect();
        known.sort_unstable();
        known.dedup();
        keys.extend(known.into_iter().flat_map(|underlying| to.keys_of(underlying)));
        keys.sort();
        keys.dedup();
        keys
    }

    /// Readings as far as they are made alike.
    fn watch(&mut self, old: &Self, (from, to): (&Policy, &Policy)) -> Result<(), StatsError> {
        self.retired.clone_from(&old.retired);
        if from.step_seconds() != to.step_seconds() {
            return Ok(());
        }
        if from.file().readings == to.file().readings {
            self.watches.clone_from(&old.watches);
            self.correlation.clone_from(&old.correlation);
            self.market.clone_from(&old.market);
            self.unread.clone_from(&old.unread);
            return Ok(());
        }
        for (name, watch) in &old.watches {
            let mut new = Watch::new(&to.file().readings)?;
            new.forming.clone_from(&watch.forming);
            self.watches.insert(name.clone(), new);
        }
        Ok(())
    }

    /// Votes that the other policy accepts, and those of its file that are new. Says which do not count.
    fn carry_votes(
        &mut self,
        old: &Self,
        (from, to): (&Policy, &Policy),
        now: Timestamp,
    ) -> Vec<(String, GovernanceError)> {
        let mut refused = Vec::new();
        self.schedule.clone_from(&old.schedule);
        self.schedule.retain(|vote| match to.check_vote(vote, vote.proposed) {
            Ok(()) => true,
            Err(reason) => {
                refused.push((vote.id.clone(), reason));
                false
            }
        });
        let known =
            |id: &str| from.file().schedule.iter().chain(old.schedule.votes()).any(|vote| vote.id == *id);
        for vote in to.file().schedule.iter().filter(|vote| !known(&vote.id)) {
            if let Err(reason) = self.vote(to, vote.clone(), now) {
                refused.push((vote.id.clone(), reason));
            }
        }
        refused
    }
}

/// Whether a parameter's target is made alike by both policies.
fn same_target(from: &Policy, to: &Policy, key: &Key, new: &Parameter) -> bool {
    let alike = |old: &Parameter| old.target == new.target && old.buffer == new.buffer;
    from.step_seconds() == to.step_seconds() && from.parameter(key).is_some_and(alike)
}

/// What was in force where a new parameter will be.
fn inherited<'s>(old: &'s State, key: &Key) -> Option<&'s ParameterState> {
    covering(old.board.parameters(), key.knob, &key.scope).first().map(|(_, state)| *state)
}

/// What was in force within the scope of a new parameter.
fn within<'s>(old: &'s State, key: &Key) -> Vec<&'s ParameterState> {
    let all = old.board.parameters().iter();
    let meets = |(other, _): &(&Arc<Key>, _)| other.knob == key.knob && other.scope.and(&key.scope).is_some();
    all.filter(meets).map(|(_, state)| state).collect()
}

fn same_buckets(from: &Policy, to: &Policy) -> Result<(), MigrateError> {
    let (old, new) = (&from.file().buckets, &to.file().buckets);
    let moved = |key: &&Key| {
        (key.scope.tenor.is_some() && old.tenor_days != new.tenor_days)
            || (key.scope.moneyness.is_some() && old.moneyness != new.moneyness)
    };
    let mut keys = from.parameters().keys().chain(to.parameters().keys());
    keys.find(moved).map_or(Ok(()), |key| Err(MigrateError::Buckets(key.clone())))
}

/// Nowhere does a value fall by more than one update of the new limits from its history, and what binds existing positions
/// neither does so nor rises. Says which parameters nothing speaks of any more.
fn bounded(old: &State, to: &Policy, new: &State, now: Timestamp) -> Result<Vec<Key>, MigrateError> {
    let mut dropped = Vec::new();
    let (before, after) = (old.board.parameters(), new.board.parameters());
    for key in before.keys() {
        if covering(after, key.knob, &key.scope).is_empty() {
            dropped.push(Key::clone(key));
        }
        // A scope of both may be ruled by another parameter than either alone.
        let here = after.keys().filter(|other| other.knob == key.knob);
        let joint = here.filter_map(|other| key.scope.and(&other.scope));
        for place in joint.chain([key.scope.clone()]) {
            let top = |of| covering(of, key.knob, &place).into_iter().next();
            let top: (Option<(&Scope, &ParameterState)>, _) = (top(before), top(after));
            let (Some((was, before)), Some((is, after))) = top else { continue };
            let of = |scope: &Scope| Key { knob: key.knob, scope: scope.clone() };
            may_follow(to, (of(was), before), (of(is), after), now)?;
        }
    }
    Ok(dropped)
}

/// Whether one parameter may take the place of another.
fn may_follow(
    to: &Policy,
    (key, before): (Key, &ParameterState),
    (by, after): (Key, &ParameterState),
    now: Timestamp,
) -> Result<(), MigrateError> {
    let Some(motion) = to.motion(&by) else { return Ok(()) };
    let (old, new) = (before.value(), after.value());
    let least = before.least(motion, now).unwrap_or(old);
    let (key, by) = (Box::new(key), Box::new(by));
    if new < least {
        return Err(MigrateError::Loosens { key, old, by, new, least });
    }
    let (old, new) = (before.maintenance(now), after.maintenance(now));
    if new > old {
        return Err(MigrateError::Hurries { key, old, by, new });
    }
    let least = least.min(old);
    if new < least { Err(MigrateError::Loosens { key, old, by, new, least }) } else { Ok(()) }
}
