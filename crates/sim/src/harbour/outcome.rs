//! What became of it all, under some rules.

use super::spec::{HarbourError, Spec};
use super::{Harbour, Producer};
use plimsoll_engine::live::{Body, Effect, Engine, Event, Rules};
use plimsoll_types::{AccountId, Ticks};
use std::collections::{BTreeMap, BTreeSet};

/// What became of it all.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outcome {
    /// The rules' name: parameter set and policy.
    pub name: String,
    /// Events told.
    pub events: u64,
    /// Events refused, by code.
    pub refused: BTreeMap<String, u64>,
    /// Times that an account fell below initial margin.
    pub calls: u64,
    /// Accounts that were called at least once.
    pub called_accounts: usize,
    /// Accounts that were to be liquidated at least once.
    pub liquidated_accounts: usize,
    /// What liquidations traded, at the index of then, ticks.
    pub liquidated_notional: Ticks,
    /// Accounts that fell below zero at least once.
    pub insolvent_accounts: usize,
    /// Accounts whose positions were taken over, by the backstop or against others.
    pub taken_over: u64,
    /// Positions closed against those on the other side.
    pub deleveraged: u64,
    /// What the backstop lost, ticks.
    pub backstop_lost: Ticks,
    /// Debts that the insurance fund paid, ticks.
    pub insurance: Ticks,
    /// Debts that were shared by everybody, ticks.
    pub socialised: Ticks,
    /// Parameter changes.
    pub parameter_changes: u64,
    /// Mean over time of the initial margin of everybody, ticks.
    pub im_mean: Ticks,
    /// The most it was.
    pub im_peak: Ticks,
    /// Mean over time of everybody's equity: the capital that is tied up, ticks.
    pub capital_mean: Ticks,
    /// The most it was.
    pub capital_peak: Ticks,
}

/// Counts what follows from events.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    outcome: Outcome,
    called: BTreeSet<AccountId>,
    liquidated: BTreeSet<AccountId>,
    insolvent: BTreeSet<AccountId>,
}

impl Tally {
    /// Nothing yet, under some rules.
    pub fn new(rules: &Rules) -> Self {
        let name = format!("{}/{}", rules.params.name, rules.policy.name());
        Self { outcome: Outcome { name, ..Outcome::default() }, ..Self::default() }
    }

    /// Takes in a step of an engine that has just been made.
    pub fn take(&mut self, _engine: &Engine, event: &Event, effects: &[Effect]) {
        self.outcome.events += 1;
        for effect in effects {
            if let Effect::Rejected(reject) = effect {
                *self.outcome.refused.entry(reject.code.clone()).or_default() += 1;
            }
        }
        let _clock = event.body == Body::Clock;
    }

    /// What became of it so far.
    pub fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.clone();
        outcome.called_accounts = self.called.len();
        outcome.liquidated_accounts = self.liquidated.len();
        outcome.insolvent_accounts = self.insolvent.len();
        outcome
    }
}

/// Tells the story of a spec to an engine under some rules, to its end.
///
/// # Errors
/// [`HarbourError`].
pub fn shadow(spec: &Spec, rules: Rules) -> Result<Outcome, HarbourError> {
    let mut harbour = Harbour::new(spec, &rules)?;
    let mut tally = Tally::new(&rules);
    let mut engine = Engine::new(rules, spec.begins())?;
    tell(&mut harbour, &mut engine, &mut tally)?;
    Ok(tally.outcome())
}

/// Tells everything to an engine.
fn tell(producer: &mut dyn Producer, engine: &mut Engine, tally: &mut Tally) -> Result<(), HarbourError> {
    while let Some(event) = producer.next() {
        let effects = engine.step(&event)?;
        tally.take(engine, &event, &effects);
        producer.react(&effects, event.at);
    }
    Ok(())
}
