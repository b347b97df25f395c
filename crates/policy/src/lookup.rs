//! What is in force at a place: the most specific statement wins, and it is said which one that was.

use crate::{Board, Key, Knob, Place, Policy, covering};
use plimsoll_types::{Ppb, Timestamp};
use std::fmt;

/// What is in force at a place.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// The parameter that counts.
    pub key: Key,
    /// What binds new risk.
    pub initial: Ppb,
    /// What binds existing positions: at most the same.
    pub maintenance: Ppb,
    /// What it takes precedence over, the next to count first.
    pub over: Vec<Key>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.initial, self.key)?;
        if self.maintenance != self.initial {
            write!(f, ", {} for existing positions", self.maintenance)?;
        }
        self.over.iter().try_for_each(|key| write!(f, ", over {key}"))
    }
}

impl Policy {
    /// What is in force of a knob at a place and an instant; `None` where the policy says nothing of it, or
    /// the place's tenor or moneyness is not finite.
    ///
    /// ```
    /// use plimsoll_policy::{Knob, Place, Policy, State};
    /// use plimsoll_types::{Ppb, Timestamp};
    /// let policy = Policy::shipped("static")?;
    /// let now = Timestamp::from_seconds(0);
    /// let state = State::new(&policy, now)?;
    /// let place = Place { underlying: Some("BTC"), ..Place::default() };
    /// let found = policy.in_force(state.board(), Knob::PriceScanDown, &place, now).ok_or("none")?;
    /// assert_eq!(found.key.to_string(), "price_scan_down[*]");
    /// assert_eq!(found.initial, found.maintenance);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn in_force(&self, board: &Board, knob: Knob, place: &Place<'_>, at: Timestamp) -> Option<Found> {
        let scopes = covering(board.parameters(), knob, &self.scope_of(place)?);
        let mut found = scopes.into_iter().map(|(scope, state)| (Key { knob, scope: scope.clone() }, state));
        let (key, state) = found.next()?;
        let over = found.map(|(key, _)| key).collect();
        Some(Found { key, initial: state.value(), maintenance: state.maintenance(at), over })
    }
}
