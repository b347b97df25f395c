//! An account that is asked before every trade.

use super::Totals;
use super::account::Room;
use super::terms::{BookTerms, Native};
use crate::account::check;
use crate::{AccountState, MarginError, Trade};
use plimsoll_lanes::Path;
use plimsoll_types::{InstrumentIx, Lots, Portfolio, Position};

/// An account with its collateral looked up, which says what a trade at the mark would make of it without making a
/// report, and without asking for memory. Equal to [`crate::what_if`].
#[derive(Clone, Debug)]
pub struct LiveAccount<'a> {
    terms: &'a BookTerms<'a>,
    portfolio: Portfolio,
    /// Amounts by place in the terms; `None` where an asset is not there, or an order is open.
    deposits: Option<Vec<(usize, i128)>>,
    unrealised: i128,
    room: Room,
    path: Path,
}

impl<'a> LiveAccount<'a> {
    /// An account on the terms of a tick. Refuses what [`AccountState::new`] refuses; where sums do not fit, asking does.
    pub fn new(portfolio: Portfolio, terms: &'a BookTerms<'a>, path: Path) -> Result<Self, MarginError> {
        check(&portfolio, terms.arrays)?;
        let deposits = terms.native.as_ref().and_then(|native| deposits(&portfolio, native));
        let unrealised =
            portfolio.positions.iter().try_fold(0_i128, |sum, p| sum.checked_add(p.unrealised.0));
        let unrealised = unrealised.ok_or_else(|| MarginError::Overflow {
            account: portfolio.account.clone(),
            what: "unrealised profit",
        })?;
        Ok(Self { terms, portfolio, deposits, unrealised, room: Room::default(), path })
    }

    /// The portfolio as traded so far.
    pub fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }

    /// The totals as the account stands.
    pub fn totals(&mut self) -> Result<Totals, MarginError> {
        match self.native(None) {
            Some(totals) => Ok(totals),
            None => self.state()?.report(self.terms.params)?.totals(),
        }
    }

    /// The totals after a trade at the mark, which is not done.
    pub fn check(&mut self, trade: &Trade) -> Result<Totals, MarginError> {
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
        let sum = state.portfolio.positions.iter().try_fold(0_i128, |sum, p| sum.checked_add(p.unrealised.0));
        self.unrealised = sum.ok_or_else(|| MarginError::Overflow {
            account: self.portfolio.account.clone(),
            what: "unrealised profit",
        })?;
        self.portfolio = state.portfolio;
        Ok(())
    }

    fn state(&self) -> Result<AccountState<'a>, MarginError> {
        AccountState::new(self.portfolio.clone(), self.terms.arrays)
    }

    /// `None` where the reference has to answer.
    fn native(&mut self, trade: Option<&Trade>) -> Option<Totals> {
        let native = self.terms.native.as_ref()?;
        let deposits = self.deposits.as_ref()?;
        let mut unrealised = self.unrealised;
        if let Some(trade) = trade {
            let row = self.terms.arrays.instruments.get(trade.instrument.index())?;
            let premium = i128::from(trade.lots.0) * i128::from(row.mark);
            unrealised = unrealised.checked_sub(premium)?;
        }
        self.room.clear();
        self.room.open();
        for (instrument, lots) in traded(&self.portfolio.positions, trade) {
            self.room.walked.hold(&native.rows, instrument.0, lots?.0)?;
        }
        for (asset, amount) in deposits {
            self.room.deposit(*asset, *amount)?;
        }
        self.room.close(native, Some(unrealised)).then_some(())?;
        self.room.walk(native, self.path);
        self.room.totals((native, self.terms.params), 0)
    }
}

/// The positions after a trade, in rising order of instrument; lots that do not fit are `None`.
fn traded<'p>(
    positions: &'p [Position],
    trade: Option<&'p Trade>,
) -> impl Iterator<Item = (InstrumentIx, Option<Lots>)> + 'p {
    let before = |p: &Position| trade.is_some_and(|t| p.instrument < t.instrument);
    let at = positions.partition_point(before);
    let same = positions.get(at).filter(|p| trade.is_some_and(|t| t.instrument == p.instrument));
    let plain = |p: &Position| (p.instrument, Some(p.lots));
    let new =
        trade.map(|t| (t.instrument, same.map_or(Lots(0), |p| p.lots).0.checked_add(t.lots.0).map(Lots)));
    let after = positions.get(at + usize::from(same.is_some())..).unwrap_or_default();
    positions[..at].iter().map(plain).chain(new).chain(after.iter().map(plain))
}

fn deposits(portfolio: &Portfolio, native: &Native) -> Option<Vec<(usize, i128)>> {
    if !portfolio.orders.is_empty() {
        return None;
    }
    portfolio.collateral.iter().map(|h| Some((native.asset(&h.asset)?, h.amount_nano))).collect()
}
