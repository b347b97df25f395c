//! An account that is asked before every trade.

use super::Totals;
use super::account::Kept;
use super::terms::{BookTerms, Native};
use crate::account::check;
use crate::{AccountState, MarginError, Trade};
use plimsoll_lanes::Path;
use plimsoll_types::Portfolio;

/// An account with its collateral valued and what every underlying comes to kept, which says what a trade at the mark would
/// make of it without making a report, and without asking for memory. Equal to [`crate::what_if`].
#[derive(Clone, Debug)]
pub struct LiveAccount<'a> {
    terms: &'a BookTerms<'a>,
    portfolio: Portfolio,
    unrealised: i128,
    /// `None` where only the reference can answer.
    kept: Option<Kept>,
    path: Path,
}

impl<'a> LiveAccount<'a> {
    /// An account on the terms of a tick. Refuses what [`AccountState::new`] refuses; where sums do not fit, asking does.
    pub fn new(portfolio: Portfolio, terms: &'a BookTerms<'a>, path: Path) -> Result<Self, MarginError> {
        check(&portfolio, terms.arrays)?;
        let mut live = Self { terms, portfolio, unrealised: 0, kept: None, path };
        live.keep()?;
        Ok(live)
    }

    /// The portfolio as traded so far.
    pub fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }

    /// The totals as the account stands.
    pub fn totals(&self) -> Result<Totals, MarginError> {
        match self.native(None) {
            Some(totals) => Ok(totals),
            None => self.state()?.report(self.terms.params)?.totals(),
        }
    }

    /// The totals after a trade at the mark, which is not done.
    pub fn check(&self, trade: &Trade) -> Result<Totals, MarginError> {
        if let Some(totals) = self.native(Some(trade)) {
            return Ok(totals);
        }
        let mut state = self.state()?;
        state.trade(trade)?;
        state.report(self.terms.params)?.totals()
    }

    /// Does a trade at the mark. On an error the account is unchanged.
    pub fn apply(&mut self, trade: &Trade) -> Result<(), MarginError> {
        let mut state = self.state()?;
        state.trade(trade)?;
        let before = std::mem::replace(&mut self.portfolio, state.portfolio);
        let kept = self.keep();
        if kept.is_err() {
            self.portfolio = before;
            self.keep()?;
        }
        kept
    }

    fn state(&self) -> Result<AccountState<'a>, MarginError> {
        AccountState::new(self.portfolio.clone(), self.terms.arrays)
    }

    /// Looks at the portfolio anew.
    fn keep(&mut self) -> Result<(), MarginError> {
        let mut profits = self.portfolio.positions.iter().map(|p| p.unrealised.0);
        let unrealised = profits.try_fold(0_i128, i128::checked_add);
        self.unrealised = unrealised.ok_or_else(|| MarginError::Overflow {
            account: self.portfolio.account.clone(),
            what: "unrealised profit",
        })?;
        let terms = self.terms;
        self.kept = terms.native().and_then(|native| self.walk(native));
        Ok(())
    }

    /// `None` where an asset is not in the terms, an order is open or sums may not be exact.
    fn walk(&mut self, native: &Native) -> Option<Kept> {
        let mut kept = self.kept.take().unwrap_or_default();
        let Self { portfolio, terms, .. } = self;
        if !portfolio.orders.is_empty() {
            return None;
        }
        let mut lent = terms.rooms().lend();
        let room = lent.room();
        room.clear();
        room.open();
        for position in &portfolio.positions {
            room.walked.hold(&native.rows, position.instrument.0, position.lots.0)?;
        }
        for held in &portfolio.collateral {
            room.deposit(native.asset(&held.asset)?, held.amount_nano)?;
        }
        room.close(native, Some(self.unrealised)).then_some(())?;
        room.walk(native, self.path);
        room.keep(native, self.path, &mut kept);
        Some(kept)
    }

    /// `None` where the reference has to answer.
    fn native(&self, trade: Option<&Trade>) -> Option<Totals> {
        let (native, kept) = (self.terms.native()?, self.kept.as_ref()?);
        let (mut unrealised, mut to) = (self.unrealised, None);
        if let Some(trade) = trade {
            let row = self.terms.arrays.instruments.get(trade.instrument.index())?;
            let premium = i128::from(trade.lots.0) * i128::from(row.mark);
            unrealised = unrealised.checked_sub(premium)?;
            let positions = &self.portfolio.positions;
            let held = positions.binary_search_by_key(&trade.instrument, |position| position.instrument);
            let before = held.map_or(0, |at| positions[at].lots.0);
            to = Some((trade.instrument.0, before.checked_add(trade.lots.0)?));
        }
        let mut lent = self.terms.rooms().lend();
        let room = lent.room();
        room.change((native, self.path), kept, to, unrealised)?;
        let mut found = None;
        room.totals((native, self.terms), self.path, |_, totals| found = totals);
        found
    }
}
