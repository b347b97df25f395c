//! The story: what is due next.

use super::Producer;
use super::spec::{HarbourError, Phase, Scene, Spec};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::{Effect, Event, Rules};
use plimsoll_policy::Policy;
use plimsoll_types::Timestamp;

/// The market and its people.
#[derive(Clone, Debug)]
pub struct Harbour {
    spec: Spec,
}

impl Harbour {
    /// Rules for this market: its feeds, limits and backstop under a parameter set and a policy.
    ///
    /// # Errors
    /// [`HarbourError`] where a name of the market is none.
    pub fn rules(spec: &Spec, params: ParamSet, policy: Policy) -> Result<Rules, HarbourError> {
        super::tape::bare_rules(spec, params, policy)
    }

    /// The story of a spec. The rules decide one thing only: what everybody puts down in the beginning, a cushion of their own
    /// choice over what the rules ask for the same positions.
    ///
    /// The engine it is told to must be `Engine::new(rules, spec.begins())`.
    ///
    /// # Errors
    /// [`HarbourError`].
    pub fn new(spec: &Spec, _rules: &Rules) -> Result<Self, HarbourError> {
        Ok(Self { spec: spec.clone() })
    }
}

impl Producer for Harbour {
    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn next(&mut self) -> Option<Event> {
        None
    }

    fn react(&mut self, _effects: &[Effect], _at: Timestamp) {}

    fn scene(&self) -> Scene {
        Scene { at: self.spec.start, phase: Phase::Opening, told: 0.0 }
    }
}
