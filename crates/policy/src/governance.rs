//! What governance votes: a value from an instant on, until another.
//!
//! **The one idea:** a vote is one more cause of a target. It waits for its timelock, ends at its expiry, and goes through the
//! limits like everything else; what it does not go through is the stabiliser.

use crate::{Key, Limits};
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The record of a vote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vote {
    /// Where it can be looked up.
    pub reference: String,
    /// Votes in favour.
    pub yes: u64,
    /// Votes against.
    pub no: u64,
}

/// A value that was voted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduled {
    /// Its name, once only.
    pub id: String,
    /// Which parameter.
    pub key: Key,
    /// The value from then on.
    pub value: Ppb,
    /// When it was proposed.
    pub proposed: Timestamp,
    /// When it begins to count.
    pub effective: Timestamp,
    /// When it ends, and the policy's own target counts again; never when left out.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// The vote.
    pub vote: Vote,
}

/// What votes must satisfy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Governance {
    /// Least time from the proposal until it may count, seconds; >= 0.
    pub timelock_seconds: i64,
    /// Least votes in favour.
    pub quorum: u64,
}

/// Why a vote does not count.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GovernanceError {
    /// The policy knows no votes.
    #[error("`{id}`: the policy has no [governance]")]
    None {
        /// Its name.
        id: String,
    },
    /// There is one of this name.
    #[error("`{id}` is scheduled already")]
    Twice {
        /// Its name.
        id: String,
    },
    /// There is none of this name.
    #[error("`{id}` is not scheduled")]
    Unknown {
        /// Its name.
        id: String,
    },
    /// The policy has no such parameter.
    #[error("`{id}`: there is no parameter {key}")]
    NoParameter {
        /// Its name.
        id: String,
        /// The parameter.
        key: Box<Key>,
    },
    /// It would count too soon.
    #[error("`{id}` counts {after} s after it was proposed: {timelock} s must pass")]
    Timelock {
        /// Its name.
        id: String,
        /// Seconds between.
        after: i64,
        /// The limit.
        timelock: i64,
    },
    /// It ends before it begins.
    #[error("`{id}` ends at {expires}, not after {effective}, when it begins")]
    Expiry {
        /// Its name.
        id: String,
        /// When it begins.
        effective: Timestamp,
        /// When it ends.
        expires: Timestamp,
    },
    /// It has not been won.
    #[error("`{id}`: {yes} for and {no} against, of {quorum} needed")]
    Lost {
        /// Its name.
        id: String,
        /// Votes in favour.
        yes: u64,
        /// Votes against.
        no: u64,
        /// The quorum.
        quorum: u64,
    },
    /// A value outside the hard limits could never be reached.
    #[error("`{id}`: {value} is outside {minimum} to {maximum}")]
    Outside {
        /// Its name.
        id: String,
        /// The value.
        value: Ppb,
        /// The limits' minimum.
        minimum: Ppb,
        /// The limits' maximum.
        maximum: Ppb,
    },
}

impl Governance {
    /// Whether these are rules: a timelock of no negative time.
    pub fn sound(&self) -> bool {
        self.timelock_seconds >= 0
    }

    /// Whether a vote may be scheduled for a parameter with these limits.
    pub fn check(&self, new: &Scheduled, limits: &Limits) -> Result<(), GovernanceError> {
        let id = || new.id.clone();
        let after = new.effective.seconds().saturating_sub(new.proposed.seconds());
        if after < self.timelock_seconds {
            return Err(GovernanceError::Timelock { id: id(), after, timelock: self.timelock_seconds });
        }
        if let Some(expires) = new.expires.filter(|expires| *expires <= new.effective) {
            return Err(GovernanceError::Expiry { id: id(), effective: new.effective, expires });
        }
        let Vote { yes, no, .. } = new.vote;
        if yes <= no || yes < self.quorum {
            return Err(GovernanceError::Lost { id: id(), yes, no, quorum: self.quorum });
        }
        let Limits { minimum, maximum, .. } = *limits;
        if new.value < minimum || new.value > maximum {
            return Err(GovernanceError::Outside { id: id(), value: new.value, minimum, maximum });
        }
        Ok(())
    }
}

/// What is scheduled, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Schedule {
    votes: BTreeMap<String, Scheduled>,
}

impl Schedule {
    /// Adds a vote that was checked.
    pub(crate) fn add(&mut self, new: Scheduled) -> Result<(), GovernanceError> {
        if self.votes.contains_key(&new.id) {
            return Err(GovernanceError::Twice { id: new.id });
        }
        self.votes.insert(new.id.clone(), new);
        Ok(())
    }

    /// Takes a vote back, in force or not.
    pub(crate) fn cancel(&mut self, id: &str) -> Result<Scheduled, GovernanceError> {
        self.votes.remove(id).ok_or_else(|| GovernanceError::Unknown { id: id.to_owned() })
    }

    /// All votes, by name.
    pub fn votes(&self) -> impl Iterator<Item = &Scheduled> {
        self.votes.values()
    }

    /// The vote that governs a parameter at `now`: of those in force, the one that began last, and of those the last by
    /// name.
    pub(crate) fn governing(&self, key: &Key, now: Timestamp) -> Option<&Scheduled> {
        let in_force = |vote: &&Scheduled| {
            vote.key == *key && vote.effective <= now && vote.expires.is_none_or(|expires| now < expires)
        };
        self.votes.values().filter(in_force).max_by_key(|vote| vote.effective)
    }

    /// Forgets what has ended.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.votes.retain(|_, vote| vote.expires.is_none_or(|expires| now < expires));
    }
}
