//! What would be: an account, or a book that is nobody's, before and after a change that is not made.
//!
//! **The one idea:** what is imagined is an [`Account`] like any other, put together beside the ledger and valued by the code that
//! values those in it. So a simulated book needs what the same book needs when somebody has it.

use super::checks::Check;
use super::effect::Reject;
use super::engine::Engine;
use super::feed::Stated;
use super::ledger::{Account, Fill};
use super::views::{Reports, not_valid};
use crate::GreeksRow;
use crate::greeks::Ladder;
use plimsoll_types::{AccountId, Asset, Instrument, Portfolio, Ticks};

/// What was paid for lots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paid {
    /// Their mark: nothing is gained by having them.
    Mark,
    /// Nothing: all their value is the account's.
    Nothing,
    /// A price as the venue quotes it, of instruments that settle in the valuation currency.
    Price(Stated),
}

/// Lots that an account is to have beside what it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Supposed {
    /// Of what.
    pub instrument: Instrument,
    /// Bought > 0.
    pub lots: i64,
    /// For how much.
    pub paid: Paid,
}

/// What is added to an account.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// One by one.
    pub positions: Vec<Supposed>,
    /// Billionths of an asset; below zero taken away.
    pub collateral: Vec<(Asset, i128)>,
}

impl Change {
    /// Trades at the mark, and nothing else.
    pub fn at_the_mark(trades: &[(Instrument, i64)]) -> Self {
        let one = |(instrument, lots): &(Instrument, i64)| Supposed {
            instrument: instrument.clone(),
            lots: *lots,
            paid: Paid::Mark,
        };
        Self { positions: trades.iter().map(one).collect(), collateral: Vec::new() }
    }

    /// Whether nothing is added.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.collateral.is_empty()
    }
}

/// Whose book is changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Basis {
    /// An account's, with its orders.
    Account(AccountId),
    /// An account's collateral, without its positions and orders.
    Collateral(AccountId),
    /// Nobody's.
    Nobody(Change),
}

/// A book before and after a change.
#[derive(Clone, PartialEq, Debug)]
pub struct Imagined {
    /// The margin before.
    pub before: Reports,
    /// And after.
    pub after: Reports,
    /// Whether the change would be allowed.
    pub check: Check,
    /// The book after.
    pub portfolio: Portfolio,
}

/// Profit or loss of a position in every scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vector {
    /// Of what.
    pub instrument: Instrument,
    /// Of the whole position, in the order of the scenarios of new risk.
    pub pnl: Vec<Ticks>,
}

/// The name of a book that is nobody's.
const NOBODY: &str = "simulated";

impl Engine {
    /// A book before and after a change that is not made, with both margins in full.
    ///
    /// # Errors
    /// [`Reject`]: `unknown_account`, an instrument or collateral that is not taken here, `not_valid` for what cannot be valued,
    /// `argument` for a price of what settles in coin, `overflow`.
    pub fn imagine(&self, of: &Basis, change: &Change) -> Result<Imagined, Reject> {
        let number = match of {
            Basis::Account(account) => Some(self.account(account)?.0),
            _ => None,
        };
        let before = self.basis(of)?;
        let after = self.with(before.clone(), change)?;
        let (reports, then) = (self.report_of(&before)?, self.report_of(&after)?);
        let check = match number {
            Some(number) => self.may_turn(number, (&before, &after))?,
            None => {
                let failed = |e: plimsoll_margin::MarginError| Reject::new("margin", e.to_string());
                let totals = self.valued.totals_of(&self.portfolio(&before)?).map_err(failed)?;
                self.turned(&totals, &after, self.validity_on(&before))?
            }
        };
        let portfolio = self.portfolio(&after)?;
        Ok(Imagined { before: reports, after: then, check, portfolio })
    }

    fn basis(&self, of: &Basis) -> Result<Account, Reject> {
        match of {
            Basis::Account(account) => Ok(self.account(account)?.1.clone()),
            Basis::Collateral(account) => {
                let found = self.account(account)?.1.clone();
                Ok(Account { positions: Vec::new(), orders: Vec::new(), ..found })
            }
            Basis::Nobody(book) => {
                let id = AccountId::new(NOBODY).map_err(|e| Reject::new("argument", e.to_string()))?;
                let (positions, collateral, orders) = (Vec::new(), Vec::new(), Vec::new());
                self.with(Account { id, positions, collateral, orders }, book)
            }
        }
    }

    /// An account with what is added to it.
    pub(super) fn with(&self, mut account: Account, change: &Change) -> Result<Account, Reject> {
        for (asset, nano) in &change.collateral {
            self.rules.collateral(asset).map_err(|asset| Reject::new("no_collateral", asset))?;
            account.pay(asset, *nano).ok_or_else(|| Reject::new("overflow", asset.to_string()))?;
        }
        account.collateral.retain(|(_, nano)| *nano != 0);
        for supposed in &change.positions {
            let Supposed { instrument, lots, .. } = supposed;
            let listed = self.traded(instrument)?;
            let mark = self.valued.mark_of(listed).ok_or_else(|| not_valued(instrument))?;
            let cost = match supposed.paid {
                Paid::Mark => i128::from(*lots) * i128::from(mark),
                Paid::Nothing => 0,
                Paid::Price(price) => self.state.ledger.cost(&self.fill(&account, supposed, price))?,
            };
            account
                .add(listed, *lots, cost)
                .ok_or_else(|| Reject::new("overflow", instrument.to_string()))?;
        }
        account.positions.retain(|held| held.lots != 0 || held.cost != 0);
        Ok(account)
    }

    fn fill(&self, account: &Account, supposed: &Supposed, price: Stated) -> Fill {
        let Supposed { instrument, lots, .. } = supposed.clone();
        Fill { buyer: account.id.clone(), seller: account.id.clone(), instrument, lots, price }
    }

    /// The Greeks ladder of a book.
    pub fn greeks_of(&self, portfolio: &Portfolio) -> Vec<GreeksRow> {
        let mut ladder = Ladder::new(self.valued.arrays());
        ladder.add(portfolio);
        ladder.rows(Some(&portfolio.account))
    }

    /// What every position of a book gains or loses in every scenario of new risk.
    pub fn vectors(&self, portfolio: &Portfolio) -> Vec<Vector> {
        let arrays = self.valued.arrays();
        let one = |position: &plimsoll_types::Position| {
            let instrument = arrays.instrument(position.instrument)?.instrument.clone();
            let times = |entry: &i64| Ticks(i128::from(position.lots.0) * i128::from(*entry));
            Some(Vector { instrument, pnl: arrays.row(position.instrument).iter().map(times).collect() })
        };
        portfolio.positions.iter().filter_map(one).collect()
    }

    pub(super) fn portfolio(&self, account: &Account) -> Result<Portfolio, Reject> {
        self.valued.portfolio(account).ok_or_else(|| not_valid(account))
    }
}

fn not_valued(instrument: &Instrument) -> Reject {
    Reject::new("not_valid", instrument.to_string())
}
