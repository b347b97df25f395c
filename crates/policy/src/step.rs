//! One step of all parameters together: proposed, shown to whoever knows the book, and put in force whole or not at all.
//!
//! **The one idea:** parameters that depend on one another move in one struct. A [`Proposal`] holds all of them; its candidates
//! are complete sets of values; [`decide`] puts one candidate in force, with every change attributed, or none.

use crate::parameter::Target;
use crate::{
    Breach, Change, Choice, Glide, GlideError, Impact, Key, Motion, MotionError, ParameterState, Proposed,
};
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The parameters of a policy as they are.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Board {
    /// Grows by one with every decision that changes something.
    version: u64,
    parameters: BTreeMap<Key, ParameterState>,
}

/// Where all parameters would go, together.
#[derive(Clone, PartialEq, Debug)]
pub struct Proposal {
    /// When it was made.
    pub now: Timestamp,
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
}

impl StepError {
    fn limit(key: &Key, source: Breach) -> Self {
        Self::Parameter { key: key.clone(), source: source.into() }
    }
}

impl Board {
    /// A parameter that starts at `value` > 0; one of the same key is replaced.
    pub fn insert(&mut self, key: Key, value: Ppb, now: Timestamp) {
        self.parameters.insert(key, ParameterState::new(value, now));
    }

    /// Version of the parameters: 0 until something changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A parameter.
    pub fn get(&self, key: &Key) -> Option<&ParameterState> {
        self.parameters.get(key)
    }

    /// All parameters, in the order of keys.
    pub fn parameters(&self) -> &BTreeMap<Key, ParameterState> {
        &self.parameters
    }

    /// Where targets would take the parameters; those without a target stay.
    pub(crate) fn propose(
        &mut self,
        motions: &BTreeMap<Key, Motion>,
        mut targets: BTreeMap<Key, Target>,
        now: Timestamp,
    ) -> Result<Proposal, StepError> {
        let mut next = self.parameters.clone();
        let mut parameters = Vec::with_capacity(targets.len());
        for (key, state) in &mut next {
            let Some(target) = targets.remove(key) else { continue };
            let motion = motions.get(key).ok_or_else(|| StepError::Unknown(key.clone()))?;
            let proposed = state.propose(key.clone(), motion, target, now);
            parameters.push(proposed.map_err(|source| StepError::Parameter { key: key.clone(), source })?);
        }
        if let Some(key) = targets.into_keys().next() {
            return Err(StepError::Unknown(key));
        }
        self.parameters = next;
        Ok(Proposal { now, parameters })
    }

    /// Puts a proposal in force: the candidate that the glide path chooses by its `impacts`, in the order of
    /// [`Proposal::candidates`], or the whole where no book is shown. All changes go in force, or none.
    pub fn decide(
        &mut self,
        motions: &BTreeMap<Key, Motion>,
        proposal: Proposal,
        book: Option<(&Glide, &[Impact])>,
    ) -> Result<Decision, StepError> {
        let now = proposal.now;
        let glide = book.map(|(glide, impacts)| glide.choose(impacts)).transpose()?;
        let fraction = match glide {
            Some(None) => {
                return Ok(Decision {
                    now,
                    version: self.version,
                    changes: vec![],
                    glide: None,
                    refused: true,
                });
            }
            Some(Some(choice)) => choice.fraction,
            None => 1.0,
        };
        let mut next = self.parameters.clone();
        let mut changes = Vec::new();
        for proposed in proposal.parameters {
            let unknown = || StepError::Unknown(proposed.key.clone());
            let motion = motions.get(&proposed.key).ok_or_else(unknown)?;
            let part = proposed.part(fraction, &motion.limits);
            if part.new == part.old {
                continue;
            }
            let state = next.get_mut(&part.key).ok_or_else(unknown)?;
            let key = part.key.clone();
            changes.push(state.apply(part, motion, now).map_err(|source| StepError::limit(&key, source))?);
        }
        self.parameters = next;
        self.version += u64::from(!changes.is_empty());
        Ok(Decision { now, version: self.version, changes, glide: glide.flatten(), refused: false })
    }
}

impl Proposal {
    /// Complete sets of values: the first without any tightening, then one for each fraction of it.
    pub fn candidates(&self, glide: &Glide, motions: &BTreeMap<Key, Motion>) -> Vec<BTreeMap<Key, Ppb>> {
        let values = |fraction: f64| {
            let part = |p: &Proposed| {
                let new = motions.get(&p.key).map_or(p.old, |motion| p.part(fraction, &motion.limits).new);
                (p.key.clone(), new)
            };
            self.parameters.iter().map(part).collect()
        };
        std::iter::once(0.0).chain(glide.fractions).map(values).collect()
    }

    /// Whether any parameter would tighten: only then must a book be evaluated.
    pub fn tightens(&self) -> bool {
        self.parameters.iter().any(|p| p.new > p.old)
    }
}
