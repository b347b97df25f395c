//! What governance votes: a value from an instant on, until another.
//!
//! **The one idea:** a vote is one more cause of a target. It waits for its timelock, ends at its expiry, and goes through the
//! limits like everything else; what it does not go through is the stabiliser. What was announced is taken back with as much
//! notice as it was announced with: a vote that is cancelled still holds its value up for one more timelock.

use crate::policy::within;
use crate::{Key, Limits, PolicyError};
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
    /// When it was handed over, won: the timelock runs from here.
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
    /// Least time from the proposal until it may count, and from its cancelling until it counts no more, seconds; from 0 to a year.
    pub timelock_seconds: i64,
    /// Least votes in favour; >= 1.
    pub quorum: u64,
}

/// Longest timelock, seconds: a year.
const TIMELOCK_MAX: i64 = 366 * 86_400;

/// Why a vote does not count.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
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
    /// It was not there when it says that it was proposed.
    #[error("`{id}` says that it was proposed at {proposed}, before {last}, the last instant seen")]
    Backdated {
        /// Its name.
        id: String,
        /// When it says.
        proposed: Timestamp,
        /// The last instant seen.
        last: Timestamp,
    },
    /// The instant given has passed.
    #[error("`{id}`: {now} is before {last}, the last instant seen")]
    Clock {
        /// Its name.
        id: String,
        /// The instant given.
        now: Timestamp,
        /// The last instant seen.
        last: Timestamp,
    },
    /// The state is one of another policy.
    #[error("`{id}`: the state is of policy {state}, and this is {policy}")]
    Policy {
        /// Its name.
        id: String,
        /// Digest of the policy that the state is of.
        state: String,
        /// Digest of the policy given.
        policy: String,
    },
    /// It would count too soon.
    #[error("`{id}` would count {after} s after it was handed over: {timelock} s must pass")]
    Timelock {
        /// Its name.
        id: String,
        /// Seconds from its proposal, or from now where that is later, until it counts.
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
    /// It falls further at once than limits let a value fall within their window.
    #[error(
        "`{id}`: {value} after {from} falls further than limits let it in a window: expected {least} at least, or several votes"
    )]
    Falls {
        /// Its name.
        id: String,
        /// The value.
        value: Ppb,
        /// What was stated before it.
        from: Ppb,
        /// The least that it may ask for.
        least: f64,
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
    /// Whether these are rules: a timelock of some time and one vote at least.
    pub fn check(&self) -> Result<(), PolicyError> {
        let (timelock, quorum) = (self.timelock_seconds, self.quorum);
        let ok = (0..=TIMELOCK_MAX).contains(&timelock);
        within("governance.timelock_seconds", timelock as f64, ok, "from 0 to a year")?;
        within("governance.quorum", quorum as f64, quorum > 0, ">= 1: what nobody votes for is no vote")
    }

    /// Whether a vote may be scheduled at `now` for a parameter with these limits; `now` is that of its proposal in a policy
    /// file, which was there before anything was seen.
    pub(crate) fn accepts(
        &self,
        new: &Scheduled,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<(), GovernanceError> {
        let id = || new.id.clone();
        let after = new.effective.seconds().saturating_sub(new.proposed.max(now).seconds());
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

/// A vote, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Entry {
    vote: Scheduled,
    /// When it ends since it was cancelled. Until then it holds its value up, and rules no more.
    ends: Option<Timestamp>,
}

impl Entry {
    /// Whether it counts at an instant, in one way or the other.
    fn counts(&self, now: Timestamp) -> bool {
        self.vote.effective <= now && !self.over(now)
    }

    fn over(&self, now: Timestamp) -> bool {
        self.last().is_some_and(|last| last <= now)
    }

    /// From when on it counts no more; `None` is never.
    fn last(&self) -> Option<Timestamp> {
        self.vote.expires.into_iter().chain(self.ends).min()
    }
}

/// What votes make of a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ruling {
    /// The value of the vote that governs, and when it began.
    value: Option<(Timestamp, Ppb)>,
    /// The largest value of those that were cancelled.
    floor: Option<Ppb>,
}

impl Ruling {
    /// The value that is ruled where the target would be `own`; `None` where nothing is.
    pub(crate) fn over(&self, own: f64) -> Option<f64> {
        let ruled = self.value.map(|(_, value)| value.to_f64());
        let floor = self.floor.map(Ppb::to_f64).filter(|floor| *floor > ruled.unwrap_or(own));
        floor.or(ruled)
    }
}

/// What is scheduled, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Schedule {
    votes: BTreeMap<String, Entry>,
}

impl Schedule {
    /// Adds a vote that was checked.
    pub(crate) fn add(&mut self, new: Scheduled) -> Result<(), GovernanceError> {
        if self.votes.contains_key(&new.id) {
            return Err(GovernanceError::Twice { id: new.id });
        }
        self.votes.insert(new.id.clone(), Entry { vote: new, ends: None });
        Ok(())
    }

    /// Takes a vote back at `now`, `notice` seconds after which it counts no more; one that would begin only then, or that
    /// has not begun and asks for no more than what is `in_force`, goes at once. Says when it ends.
    pub(crate) fn cancel(
        &mut self,
        id: &str,
        in_force: Option<Ppb>,
        (now, notice): (Timestamp, i64),
    ) -> Result<Timestamp, GovernanceError> {
        let unknown = || GovernanceError::Unknown { id: id.to_owned() };
        let entry = self.votes.get_mut(id).ok_or_else(unknown)?;
        let later = now.plus_seconds(notice);
        let loosens = in_force.is_some_and(|value| entry.vote.value <= value);
        if entry.vote.effective >= later || (entry.vote.effective > now && loosens) {
            self.votes.remove(id);
            return Ok(now);
        }
        // What was cancelled before does not hold on for longer.
        let ends = entry.last().unwrap_or(later).min(later);
        entry.ends = Some(ends);
        Ok(ends)
    }

    /// All votes, by name.
    pub fn votes(&self) -> impl Iterator<Item = &Scheduled> {
        self.votes.values().map(|entry| &entry.vote)
    }

    /// When a vote ends that was cancelled; `None` for one that was not, or is not there.
    pub fn cancelled(&self, id: &str) -> Option<Timestamp> {
        self.votes.get(id)?.ends
    }

    /// Keeps the votes that `keeps` does.
    pub(crate) fn retain(&mut self, mut keeps: impl FnMut(&Scheduled) -> bool) {
        self.votes.retain(|_, entry| keeps(&entry.vote));
    }

    /// What votes make of each parameter at `now`: of those that count, the one that began last, and of those the last by
    /// name.
    pub(crate) fn rulings(&self, now: Timestamp) -> BTreeMap<&Key, Ruling> {
        let mut rulings: BTreeMap<&Key, Ruling> = BTreeMap::new();
        for entry in self.votes.values().filter(|entry| entry.counts(now)) {
            let ruling = rulings.entry(&entry.vote.key).or_default();
            let (began, value) = (entry.vote.effective, entry.vote.value);
            if entry.ends.is_some() {
                ruling.floor = ruling.floor.max(Some(value));
            } else if ruling.value.is_none_or(|(last, _)| began >= last) {
                ruling.value = Some((began, value));
            }
        }
        rulings
    }

    /// Forgets what has ended. What a later vote hides stays: it counts again where that one is taken back.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        self.votes.retain(|_, entry| !entry.over(now));
    }
}
