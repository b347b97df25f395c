//! What became of it all, under some rules.

use super::spec::{HarbourError, Spec};
use super::{Harbour, Producer};
use plimsoll_engine::live::{Body, Effect, Engine, Event, Rules, Standing};
use plimsoll_types::{AccountId, Instrument, Ticks, Timestamp};
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

/// Counts what follows from events from an instant on.
#[derive(Clone, Debug)]
pub struct Tally {
    outcome: Outcome,
    from: Timestamp,
    called: BTreeSet<AccountId>,
    liquidated: BTreeSet<AccountId>,
    insolvent: BTreeSet<AccountId>,
    sums: Sums,
}

/// Sums over looks at everybody.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    looks: i128,
    im: i128,
    capital: i128,
}

impl Tally {
    /// Nothing yet, under some rules. What is before `from` does not count.
    pub fn new(rules: &Rules, from: Timestamp) -> Self {
        let name = format!("{} / {}", rules.params.name, rules.policy.name());
        Self {
            outcome: Outcome { name, ..Outcome::default() },
            from,
            called: BTreeSet::new(),
            liquidated: BTreeSet::new(),
            insolvent: BTreeSet::new(),
            sums: Sums::default(),
        }
    }

    /// Takes in a step that an engine has just made.
    pub fn take(&mut self, engine: &Engine, event: &Event, effects: &[Effect]) {
        if event.at < self.from {
            return;
        }
        self.outcome.events += 1;
        let refused = effects.iter().any(|effect| matches!(effect, Effect::Rejected(_)));
        effects.iter().for_each(|effect| self.count(effect));
        match &event.body {
            Body::Liquidated { instrument, lots, .. } if !refused => {
                let traded = notional(engine, instrument, *lots);
                self.outcome.liquidated_notional = Ticks(self.outcome.liquidated_notional.0 + traded);
            }
            Body::Clock => self.look(engine),
            _ => {}
        }
    }

    fn count(&mut self, effect: &Effect) {
        let outcome = &mut self.outcome;
        match effect {
            Effect::Rejected(reject) => *outcome.refused.entry(reject.code.clone()).or_default() += 1,
            Effect::Standing { account, from, to, .. } => {
                if *from == Standing::Healthy && *to > Standing::Healthy {
                    outcome.calls += 1;
                    self.called.insert(account.clone());
                }
                if *to == Standing::Insolvent {
                    self.insolvent.insert(account.clone());
                }
            }
            Effect::Liquidate { account, .. } => drop(self.liquidated.insert(account.clone())),
            Effect::Withdrawn { why, .. } => outcome.taken_over += u64::from(why == "taken_over"),
            Effect::Covered { insurance, socialised, .. } => {
                outcome.insurance = Ticks(outcome.insurance.0 + insurance.0);
                outcome.socialised = Ticks(outcome.socialised.0 + socialised.0);
            }
            Effect::Deleveraged { .. } => outcome.deleveraged += 1,
            Effect::Parameters { decision, .. } => {
                outcome.parameter_changes += decision.changes.len() as u64;
            }
            _ => {}
        }
    }

    /// Everybody's margin and equity but the backstop's, which is there whatever happens.
    fn look(&mut self, engine: &Engine) {
        let backstop = engine.rules().liquidation.backstop.as_ref();
        let (mut im, mut capital) = (0, 0);
        for (account, number) in engine.state().ledger.accounts().iter().zip(0..) {
            if let Some(Ok(totals)) = engine.valued().totals(number).filter(|_| Some(&account.id) != backstop)
            {
                im += totals.im.0;
                capital += totals.equity.0;
            }
        }
        let outcome = &mut self.outcome;
        outcome.im_peak = outcome.im_peak.max(Ticks(im));
        outcome.capital_peak = outcome.capital_peak.max(Ticks(capital));
        outcome.backstop_lost = engine.state().backstop_lost;
        self.sums.looks += 1;
        self.sums.im += im;
        self.sums.capital += capital;
    }

    /// What became of it so far.
    pub fn outcome(&self) -> Outcome {
        let looks = self.sums.looks.max(1);
        Outcome {
            called_accounts: self.called.len(),
            liquidated_accounts: self.liquidated.len(),
            insolvent_accounts: self.insolvent.len(),
            im_mean: Ticks(self.sums.im / looks),
            capital_mean: Ticks(self.sums.capital / looks),
            ..self.outcome.clone()
        }
    }
}

/// What lots of an instrument are at the index, ticks, without their sign.
fn notional(engine: &Engine, instrument: &Instrument, lots: i64) -> i128 {
    let row = engine.state().ledger.number(instrument).ok().and_then(|number| engine.valued().row(number));
    let row = row.and_then(|row| engine.valued().arrays().instrument(row));
    row.map_or(0, |row| i128::from(row.notional) * i128::from(lots.unsigned_abs()))
}

impl Outcome {
    /// Losses that neither the market nor the account itself bore, ticks: of the backstop, the insurance fund and everybody.
    pub fn bad_debt(&self) -> Ticks {
        Ticks(self.backstop_lost.0 + self.insurance.0 + self.socialised.0)
    }
}

/// Tells the story of a spec to an engine under some rules, to its end.
///
/// # Errors
/// [`HarbourError`].
pub fn shadow(spec: &Spec, rules: Rules) -> Result<Outcome, HarbourError> {
    let mut harbour = Harbour::new(spec, &rules)?;
    let mut tally = Tally::new(&rules, spec.start);
    let mut engine = harbour.opened(&rules)?;
    tell(&mut harbour, &mut engine, &mut tally)?;
    Ok(tally.outcome())
}

/// Tells everything to an engine.
///
/// # Errors
/// Where the engine cannot go on.
pub fn tell(producer: &mut dyn Producer, engine: &mut Engine, tally: &mut Tally) -> Result<(), HarbourError> {
    while let Some(event) = producer.next() {
        let effects = engine.step(&event)?;
        tally.take(engine, &event, &effects);
        producer.react(&effects, event.at);
    }
    Ok(())
}
