//! The glide path: how large a step of a tightening the whole book can bear.
//!
//! **The one idea:** the policy proposes a few fractions of its step, each a complete and coupled set of values; somebody who
//! knows the accounts evaluates the whole book under each and hands back four numbers; the policy takes the largest fraction
//! whose induced impact stays under the limit, and a larger one where waiting would cost more than it induces. Nothing here
//! sees an account.

use crate::PolicyError;
use crate::policy::within;
use serde::{Deserialize, Serialize};

/// What the whole book would do under one candidate. Amounts are in the currency of the book.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impact {
    /// Accounts that would be liquidatable and are not now.
    pub newly_liquidatable: u64,
    /// Their equity, as a share of that of all accounts; in [0, 1].
    pub newly_liquidatable_share: f64,
    /// What liquidating them would cost against depth; >= 0.
    pub induced: f64,
    /// Expected loss beyond margin until the next step; >= 0, falling as values rise.
    pub waiting: f64,
    /// Whether initial margin covers maintenance everywhere, and the linter has nothing against the set.
    pub sound: bool,
}

/// What a book may be made to bear.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Glide {
    /// Fractions of the step that are tried, rising, in (0, 1], the last 1.
    pub fractions: [f64; 4],
    /// Most that a step may induce, or what standing still does where that is more, unless waiting costs more; >= 0.
    pub induced_max: f64,
    /// Most equity, as a share of all, that may be made liquidatable, whatever waiting costs; in [0, 1]. Where what was announced
    /// before makes more so already, a step may add nothing to it.
    pub liquidatable_share_max: f64,
}

/// How much of a proposal one candidate holds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Move {
    /// Whether what loosens does.
    pub(crate) loosens: bool,
    /// The fraction of the tightening.
    pub(crate) fraction: f64,
}

impl Move {
    /// The whole.
    pub(crate) const WHOLE: Self = Self { loosens: true, fraction: 1.0 };

    /// Every candidate: nothing at all, then what loosens alone, then that with each fraction of the tightening.
    pub(crate) fn all(glide: Option<&Glide>) -> Vec<Self> {
        let fractions = glide.map_or_else(|| vec![1.0], |glide| glide.fractions.to_vec());
        let some = std::iter::once(0.0).chain(fractions).map(|fraction| Self { loosens: true, fraction });
        std::iter::once(Self { loosens: false, fraction: 0.0 }).chain(some).collect()
    }
}

/// What was chosen and why.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Choice {
    /// Which candidate: its place among [`crate::Proposal::candidates`].
    pub candidate: usize,
    /// Whether what loosens does: where it does not, nothing moves at all.
    pub loosens: bool,
    /// The fraction of the tightening: 0 is none of it.
    pub fraction: f64,
    /// Accounts it makes liquidatable.
    pub newly_liquidatable: u64,
    /// Their equity, as a share of that of all accounts.
    pub newly_liquidatable_share: f64,
    /// What it induces.
    pub induced: f64,
    /// What waiting would have cost at the largest fraction under the limit.
    pub waiting: f64,
    /// Whether waiting cost more than going further.
    pub urgent: bool,
}

/// What a glide path cannot do without.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
pub enum GlideError {
    /// There must be one impact for every candidate.
    #[error("{impacts} impacts for {candidates} candidates")]
    Count {
        /// Impacts given.
        impacts: usize,
        /// Candidates proposed.
        candidates: usize,
    },
    /// A number of an impact is not finite, or negative.
    #[error("impact {index}: `{field}` is {value}, expected finite and >= 0")]
    Number {
        /// Which impact.
        index: usize,
        /// Which number.
        field: &'static str,
        /// The number.
        value: f64,
    },
}

impl Glide {
    /// Whether it is one.
    pub fn check(&self) -> Result<(), PolicyError> {
        let rising = self.fractions.windows(2).all(|pair| pair[0] < pair[1]);
        let [first, .., last] = self.fractions;
        let ok = rising && first > 0.0 && last == 1.0;
        within("glide.fractions", first, ok, "rising in (0, 1], the last 1")?;
        let induced = self.induced_max;
        within("glide.induced_max", induced, induced >= 0.0 && induced.is_finite(), "finite and >= 0")?;
        let share = self.liquidatable_share_max;
        within("glide.liquidatable_share_max", share, (0.0..=1.0).contains(&share), "from 0 to 1")
    }

    /// Chooses among candidates, in the order of [`crate::Proposal::candidates`]. `None` when not even the first is sound: nothing moves then.
    pub fn choose(&self, impacts: &[Impact]) -> Result<Option<Choice>, GlideError> {
        let moves = Move::all(Some(self));
        check(impacts, moves.len())?;
        // What was announced before counts in every candidate, and is past choosing: nothing may be added to it beyond the
        // limit, and what adds nothing goes on.
        let standing = impacts.first().copied().unwrap_or_default();
        let share_max = self.liquidatable_share_max.max(standing.newly_liquidatable_share);
        let induced_max = self.induced_max.max(standing.induced);
        let bearable = |i: &usize| impacts[*i].sound && impacts[*i].newly_liquidatable_share <= share_max;
        let allowed: Vec<usize> = (0..impacts.len()).filter(bearable).collect();
        let under = |i: &&usize| impacts[**i].induced <= induced_max;
        let Some(calm) = allowed.iter().rfind(under).or(allowed.first()).copied() else {
            return Ok(None);
        };
        let waiting = impacts[calm].waiting;
        let cost = |i: usize| impacts[i].induced + impacts[i].waiting;
        // Further only where what is saved exceeds what it induces: the least sum, the smaller step among equals.
        let best = allowed
            .iter()
            .copied()
            .filter(|i| *i > calm)
            .fold(calm, |best, i| if cost(i) < cost(best) { i } else { best });
        let urgent = best > calm;
        let Impact { newly_liquidatable, newly_liquidatable_share, induced, .. } = impacts[best];
        let Move { loosens, fraction } = moves[best];
        Ok(Some(Choice {
            candidate: best,
            loosens,
            fraction,
            newly_liquidatable,
            newly_liquidatable_share,
            induced,
            waiting,
            urgent,
        }))
    }
}

fn check(impacts: &[Impact], candidates: usize) -> Result<(), GlideError> {
    if impacts.len() != candidates {
        return Err(GlideError::Count { impacts: impacts.len(), candidates });
    }
    for (index, impact) in impacts.iter().enumerate() {
        let numbers = [
            ("newly_liquidatable_share", impact.newly_liquidatable_share),
            ("induced", impact.induced),
            ("waiting", impact.waiting),
        ];
        if let Some((field, value)) = numbers.into_iter().find(|(_, x)| !(x.is_finite() && *x >= 0.0)) {
            return Err(GlideError::Number { index, field, value });
        }
    }
    Ok(())
}
