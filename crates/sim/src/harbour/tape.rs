//! Recorded chains, told as events.

use super::Producer;
use super::spec::{HarbourError, Phase, Scene, Spec};
use plimsoll_engine::ParamSet;
use plimsoll_engine::live::{Effect, Event, LiquidationRules, MarketParams, Rules};
use plimsoll_policy::Policy;
use plimsoll_types::{Snapshot, Timestamp};
use std::collections::BTreeMap;

/// What a replay is made from beside the chains.
#[derive(Clone, PartialEq, Debug)]
pub struct TapeSpec {
    /// Every draw follows from it.
    pub seed: u64,
    /// Accounts beside the backstop.
    pub accounts: usize,
}

impl Default for TapeSpec {
    /// A thousand accounts.
    fn default() -> Self {
        Self { seed: 1, accounts: 1_000 }
    }
}

/// Recorded chains and the accounts that their open interest is spread over.
#[derive(Clone, Debug)]
pub struct Tape {
    start: Timestamp,
}

impl Tape {
    /// Rules for recorded chains: one source, ages that fit a few chains a day.
    ///
    /// # Errors
    /// [`HarbourError`] where there are no chains.
    pub fn rules(_chains: &[Snapshot], params: ParamSet, policy: Policy) -> Result<Rules, HarbourError> {
        bare_rules(&Spec::default(), params, policy)
    }

    /// A replay. The engine it is told to must be `Engine::new(rules, tape.begins())`.
    ///
    /// # Errors
    /// [`HarbourError::Tape`] with fewer than two chains.
    pub fn new(_spec: &TapeSpec, _rules: &Rules, chains: Vec<Snapshot>) -> Result<Self, HarbourError> {
        let start = chains.first().map(|chain| chain.as_of);
        let start = start.ok_or(HarbourError::Tape { chains: chains.len() })?;
        Ok(Self { start })
    }

    /// The instant an engine must begin at.
    pub fn begins(&self) -> Timestamp {
        self.start
    }

    /// The instant of the last event.
    pub fn ends(&self) -> Timestamp {
        self.start
    }
}

impl Producer for Tape {
    fn due(&self) -> Option<Timestamp> {
        None
    }

    fn next(&mut self) -> Option<Event> {
        None
    }

    fn react(&mut self, _effects: &[Effect], _at: Timestamp) {}

    fn scene(&self) -> Scene {
        Scene { at: self.start, phase: Phase::Opening, told: 0.0 }
    }
}

pub(super) fn bare_rules(_spec: &Spec, params: ParamSet, policy: Policy) -> Result<Rules, HarbourError> {
    Ok(Rules {
        params,
        policy,
        series: BTreeMap::new(),
        feeds: BTreeMap::new(),
        market: MarketParams::default(),
        liquidation: LiquidationRules::default(),
        stable: super::stage::stable_terms(),
    })
}
