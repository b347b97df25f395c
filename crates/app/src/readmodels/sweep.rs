//! Accounts and margins: looked at some at a time, and told where they are not as they were told last.

use crate::host::{Course, Shared};
use crate::wire;
use plimsoll_engine::live::Standing;
use plimsoll_engine::live::ledger::Account as Held;
use plimsoll_readmodels::{Account, Margin, Store, Vector};
use plimsoll_types::Ticks;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use tokio::runtime::Runtime;

/// Accounts that are looked at while the engine waits: well under a millisecond.
const HELD: usize = 32;

/// Accounts that are looked at from one write to the next.
const STEP: usize = 1_024;

/// A look at all accounts, and what was told of each.
pub(super) struct Sweep {
    worst: usize,
    /// The next account's number.
    next: usize,
    /// The record the look began at.
    since: u64,
    /// The last look that was whole began at this record.
    swept: u64,
    /// Least equity over maintenance margin first, and whose, by number.
    least: BTreeSet<(Ticks, usize)>,
    /// By number, a digest of what was told last: 0 where nothing was.
    told: Vec<u64>,
}

impl Sweep {
    pub(super) fn new(worst: usize) -> Self {
        Self { worst, next: 0, since: 0, swept: 0, least: BTreeSet::new(), told: Vec::new() }
    }

    /// Begins again, and tells everything.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.worst);
    }

    pub(super) fn swept(&self) -> u64 {
        self.swept
    }

    /// Looks at some accounts and writes them; whether all were looked at now.
    pub(super) fn step(
        &mut self,
        runtime: &Runtime,
        store: &mut Store,
        shared: &Shared,
    ) -> anyhow::Result<bool> {
        if self.next == 0 {
            self.since = shared.applied();
            self.least.clear();
        }
        let (mut accounts, mut margins, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        let (until, mut whole) = (self.next + STEP, false);
        while self.next < until && !whole {
            let course = shared.course();
            let all = course.engine.state().ledger.accounts();
            let some = all.iter().enumerate().skip(self.next).take(HELD);
            let mut looked = 0;
            for (number, held) in some {
                let (account, margin) = rows(&course, number, held)?;
                self.rank(&course, number);
                let digest = digest(&account, &margin);
                if self.told.get(number) != Some(&digest) {
                    accounts.push(account);
                    margins.push(margin);
                    digests.push((number, digest));
                }
                looked += 1;
            }
            self.next += looked;
            whole = self.next >= all.len();
        }
        if !accounts.is_empty() {
            runtime.block_on(store.accounts(&accounts, &margins))?;
            metrics::counter!("plimsoll_read_models_rows_total", "table" => "margins")
                .increment(margins.len() as u64);
        }
        // Only what was written was told.
        for (number, digest) in digests {
            if self.told.len() <= number {
                self.told.resize(number + 1, 0);
            }
            self.told[number] = digest;
        }
        if whole {
            runtime.block_on(store.swept(self.since, &self.vectors(shared)?))?;
            (self.next, self.swept) = (0, self.since);
        }
        Ok(whole)
    }

    fn rank(&mut self, course: &Course, number: usize) {
        let totals = u32::try_from(number).ok().and_then(|number| course.engine.valued().totals(number));
        if let Some(Ok(totals)) = totals {
            self.least.insert((totals.mm_excess, number));
            if self.least.len() > self.worst {
                self.least.pop_last();
            }
        }
    }

    /// The scenario vectors of the accounts that were worst off; each as it is now, one at a time.
    fn vectors(&self, shared: &Shared) -> anyhow::Result<Vec<Vector>> {
        let mut vectors = Vec::new();
        for (rank, (_, number)) in (1..).zip(&self.least) {
            let course = shared.course();
            let (engine, state) = (&course.engine, course.engine.state());
            let Some(held) = state.ledger.accounts().get(*number) else { continue };
            // What cannot be valued any more has no vector.
            let Ok(reports) = engine.report(&held.id) else { continue };
            let (arrays, units) = (engine.valued().arrays(), &engine.rules().params.units);
            let margin = wire::margin(&reports, arrays, units);
            let (sequence, as_of) = (i64::try_from(course.sequence)?, state.now.to_string());
            drop(course);
            vectors.extend(margin.underlyings.into_iter().map(|underlying| Vector {
                account: margin.account.clone(),
                underlying: underlying.asset,
                rank,
                sequence,
                as_of: as_of.clone(),
                scenarios: margin.scenarios.clone(),
                pnl: underlying.pnl,
            }));
        }
        Ok(vectors)
    }
}

/// The rows of an account as it stands.
fn rows(course: &Course, number: usize, held: &Held) -> anyhow::Result<(Account, Margin)> {
    let (engine, state) = (&course.engine, course.engine.state());
    let number = u32::try_from(number)?;
    let units = &engine.rules().params.units;
    let (sequence, as_of) = (i64::try_from(course.sequence)?, state.now.to_string());
    let value = |instrument| engine.valued().mark_of(instrument);
    let (positions, collateral, _) = wire::account(held, &state.ledger, units, value);
    let standing = state.standing(number);
    let intent = if matches!(standing, Standing::Liquidatable | Standing::Insolvent) {
        state.intents.iter().find(|(_, of)| of.account == number).map(|(intent, _)| *intent)
    } else {
        None
    };
    let account = Account {
        account: held.id.to_string(),
        sequence,
        as_of: as_of.clone(),
        standing: serde_json::to_value(standing)?.as_str().unwrap_or_default().to_owned(),
        intent: intent.map(i64::try_from).transpose()?,
        unvalued: state.unvalued.get(&number).cloned(),
        positions: serde_json::to_string(&positions)?,
        collateral: serde_json::to_string(&collateral)?,
    };
    let totals = engine.valued().totals(number).and_then(Result::ok);
    let amounts = totals.map(|of| {
        [of.equity, of.im, of.mm, of.im_excess, of.mm_excess].map(|ticks| wire::money(ticks, units))
    });
    let parameters = i64::try_from(state.policy.board().version())?;
    let margin = Margin { account: account.account.clone(), sequence, as_of, parameters, amounts };
    Ok((account, margin))
}

/// Of what a row says, but for since when.
fn digest(account: &Account, margin: &Margin) -> u64 {
    let mut hasher = DefaultHasher::new();
    (&account.standing, account.intent, &account.unvalued, &account.positions, &account.collateral)
        .hash(&mut hasher);
    (margin.parameters, &margin.amounts).hash(&mut hasher);
    hasher.finish()
}
