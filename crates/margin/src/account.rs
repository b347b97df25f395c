//! An account with its scenario vectors: what makes one more trade cost one row.
//!
//! Sums run in 64 bits when the bound `sum |lots| x max |entry| < 2^62` proves that no partial sum can leave them, and
//! in checked 128 bits otherwise. The bound is taken once per account. Both lanes are exact, so they agree.

use crate::aggregate::{Losses, Measure};
use crate::evaluate::report;
use crate::money::Exact;
use crate::{MarginError, MarginReport, Params, Trade};
use plimsoll_types::{Holding, InstrumentIx, InstrumentRow, Lots, Portfolio, Position, RiskArrays, Ticks};
use std::sync::Arc;

/// The width in which scenario sums run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// 64 bits: the bound is beneath 2^62.
    Narrow,
    /// 128 bits, checked.
    Wide,
}

/// The scenario vector of one underlying, with its losses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Slot {
    pub(crate) underlying: usize,
    pub(crate) pnl: Arc<[Ticks]>,
    losses: [Losses; 2],
}

impl Slot {
    pub(crate) fn new(underlying: usize, pnl: Arc<[Ticks]>, arrays: &RiskArrays) -> Self {
        let losses = Losses::of(&pnl, arrays);
        Self { underlying, pnl, losses }
    }

    pub(crate) fn losses(&self, measure: Measure) -> &Losses {
        let [im, mm] = &self.losses;
        if measure == Measure::Im { im } else { mm }
    }

    /// Replaces its vector by what `change` makes of it.
    pub(crate) fn change<E>(
        &mut self,
        arrays: &RiskArrays,
        change: impl FnOnce(&mut [Ticks]) -> Result<(), E>,
    ) -> Result<(), E> {
        change(Arc::make_mut(&mut self.pnl))?;
        self.losses = Losses::of(&self.pnl, arrays);
        Ok(())
    }
}

/// An account on its risk arrays, with the profit or loss of every underlying under every scenario.
///
/// Trading through it gives the same report as evaluating the traded portfolio from nothing.
#[derive(Clone, Debug)]
pub struct AccountState<'a> {
    pub(crate) arrays: &'a RiskArrays,
    pub(crate) portfolio: Portfolio,
    pub(crate) slots: Vec<Slot>,
    lane: Lane,
}

impl<'a> AccountState<'a> {
    /// Sums the rows of every position, on the narrow lane when the bound allows it.
    ///
    /// Refuses a portfolio that names what the arrays do not have, and arrays whose rows, blocks or indices do not hold
    /// together where this account reads them; the instruments it does not hold are not looked at.
    pub fn new(portfolio: Portfolio, arrays: &'a RiskArrays) -> Result<Self, MarginError> {
        check(&portfolio, arrays)?;
        let lane = if bound(&portfolio.positions, arrays).is_some() { Lane::Narrow } else { Lane::Wide };
        Self::summed(portfolio, arrays, lane)
    }

    /// As [`AccountState::new`] on the 128-bit lane whatever the bound: for checking one lane against the other.
    pub fn wide(portfolio: Portfolio, arrays: &'a RiskArrays) -> Result<Self, MarginError> {
        check(&portfolio, arrays)?;
        Self::summed(portfolio, arrays, Lane::Wide)
    }

    fn summed(portfolio: Portfolio, arrays: &'a RiskArrays, lane: Lane) -> Result<Self, MarginError> {
        let mut held: Vec<usize> =
            portfolio.positions.iter().filter_map(|p| underlying_of(arrays, p.instrument)).collect();
        let of: Vec<usize> = held.clone();
        held.sort_unstable();
        held.dedup();
        let mut slots = Vec::with_capacity(held.len());
        let mut room = vec![0_i64; arrays.scenarios.len()];
        for underlying in held {
            let own = portfolio.positions.iter().zip(&of).filter(|(_, of)| **of == underlying);
            let positions = own.map(|(position, _)| position);
            let pnl = match lane {
                Lane::Narrow => narrow(positions, arrays, &mut room),
                Lane::Wide => wide(positions, arrays, Exact { account: &portfolio.account })?,
            };
            slots.push(Slot::new(underlying, pnl, arrays));
        }
        Ok(Self { arrays, portfolio, slots, lane })
    }

    /// The lane the sums took.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// The portfolio as traded so far.
    pub fn portfolio(&self) -> &Portfolio {
        &self.portfolio
    }

    /// Trades at the mark: adds the lots, and pays `lots x mark` out of unrealised profit, so equity does not change.
    /// Costs one row. On an error the state is unchanged.
    pub fn trade(&mut self, trade: &Trade) -> Result<(), MarginError> {
        let row = known(self.arrays, &self.portfolio, trade.instrument)?;
        let premium = i128::from(trade.lots.0) * i128::from(row.mark);
        self.fill(trade.instrument, trade.lots, premium)
    }

    /// Adds lots for `cost` ticks.
    pub(crate) fn fill(
        &mut self,
        instrument: InstrumentIx,
        lots: Lots,
        cost: i128,
    ) -> Result<(), MarginError> {
        let underlying = known(self.arrays, &self.portfolio, instrument)?.underlying.index();
        let exact = Exact { account: &self.portfolio.account };
        let at = self.portfolio.positions.binary_search_by_key(&instrument, |p| p.instrument);
        let old = at.ok().and_then(|i| self.portfolio.positions.get(i)).copied();
        let old = old.unwrap_or(Position { instrument, lots: Lots(0), unrealised: Ticks(0) });
        let sum = old.lots.0.checked_add(lots.0).ok_or_else(|| exact.overflow("lots"))?;
        let unrealised = exact.sub(old.unrealised.0, cost, "unrealised profit")?;
        let slot_at = self.slots.binary_search_by_key(&underlying, |slot| slot.underlying);
        let mut pnl = match slot_at.ok().and_then(|i| self.slots.get(i)) {
            Some(slot) => Arc::clone(&slot.pnl),
            None => nothing(self.arrays),
        };
        add_row(Arc::make_mut(&mut pnl), self.arrays.row(instrument), lots, exact)?;
        let position = Position { instrument, lots: Lots(sum), unrealised: Ticks(unrealised) };
        match at {
            Ok(i) => self.portfolio.positions[i] = position,
            Err(i) => self.portfolio.positions.insert(i, position),
        }
        match slot_at {
            Ok(i) => self.slots[i] = Slot::new(underlying, pnl, self.arrays),
            Err(i) => self.slots.insert(i, Slot::new(underlying, pnl, self.arrays)),
        }
        Ok(())
    }

    /// The margin of the account as it stands.
    pub fn report(&self, params: &Params) -> Result<MarginReport, MarginError> {
        report(self, params)
    }
}

/// What a sum of entries is called in an error.
pub(crate) const WHAT: &str = "a scenario's profit or loss";

/// Adds `lots` of a row, checked.
pub(crate) fn add_row(pnl: &mut [Ticks], row: &[i64], lots: Lots, exact: Exact) -> Result<(), MarginError> {
    for (sum, entry) in pnl.iter_mut().zip(row) {
        sum.0 = add_entry(sum.0, lots.0, *entry).ok_or_else(|| exact.overflow(WHAT))?;
    }
    Ok(())
}

/// `sum + lots x entry`; `None` when it leaves 2^126.
#[inline(always)]
pub(crate) fn add_entry(sum: i128, lots: i64, entry: i64) -> Option<i128> {
    // A product of two 64-bit numbers always fits in 128 bits.
    let sum = sum.checked_add(i128::from(lots) * i128::from(entry))?;
    // Two bits of headroom, so that signs and small sums of such numbers are safe.
    (sum.unsigned_abs() <= 1 << 126).then_some(sum)
}

/// `sum |lots| x max |entry|` over the positions, when it is beneath 2^62.
fn bound(positions: &[Position], arrays: &RiskArrays) -> Option<u64> {
    let mut sum = 0_u64;
    for position in positions {
        let largest = arrays.row(position.instrument).iter().fold(0, |m: u64, e| m.max(e.unsigned_abs()));
        sum = sum.checked_add(position.lots.0.unsigned_abs().checked_mul(largest)?)?;
    }
    (sum < 1 << 62).then_some(sum)
}

/// A vector of zeros.
pub(crate) fn nothing(arrays: &RiskArrays) -> Arc<[Ticks]> {
    std::iter::repeat_n(Ticks(0), arrays.scenarios.len()).collect()
}

/// The 64-bit lane: wrapping operations, which the bound keeps from ever wrapping, so that they vectorise.
fn narrow<'p>(
    positions: impl Iterator<Item = &'p Position>,
    arrays: &RiskArrays,
    sums: &mut [i64],
) -> Arc<[Ticks]> {
    sums.fill(0);
    for position in positions {
        for (sum, entry) in sums.iter_mut().zip(arrays.row(position.instrument)) {
            *sum = sum.wrapping_add(position.lots.0.wrapping_mul(*entry));
        }
    }
    sums.iter().map(|sum| Ticks(i128::from(*sum))).collect()
}

/// The 128-bit lane.
fn wide<'p>(
    mut positions: impl Iterator<Item = &'p Position>,
    arrays: &RiskArrays,
    exact: Exact,
) -> Result<Arc<[Ticks]>, MarginError> {
    let mut pnl = nothing(arrays);
    let sums = Arc::make_mut(&mut pnl);
    positions.try_for_each(|p| add_row(sums, arrays.row(p.instrument), p.lots, exact))?;
    Ok(pnl)
}

pub(crate) fn underlying_of(arrays: &RiskArrays, instrument: InstrumentIx) -> Option<usize> {
    arrays.instrument(instrument).map(|row| row.underlying.index())
}

/// The row of an instrument, or the error that it is not there or not whole.
fn known<'a>(
    arrays: &'a RiskArrays,
    portfolio: &Portfolio,
    instrument: InstrumentIx,
) -> Result<&'a InstrumentRow, MarginError> {
    let row = arrays.instrument(instrument).ok_or_else(|| MarginError::UnknownInstrument {
        account: portfolio.account.clone(),
        index: instrument.0,
        instruments: arrays.instruments.len(),
    })?;
    let misshapen = |what, found, expected| MarginError::Arrays {
        account: portfolio.account.clone(),
        what,
        found,
        expected,
    };
    let (underlying, width) = (row.underlying.index(), arrays.row(instrument).len());
    if underlying >= arrays.underlyings.len() {
        let what = "an instrument on underlying number";
        return Err(misshapen(what, underlying, arrays.underlyings.len()));
    }
    if width != arrays.scenarios.len() {
        return Err(misshapen("a row of entries numbering", width, arrays.scenarios.len()));
    }
    Ok(row)
}

/// The shape of the arrays as far as one account depends on it: the number of entries, the blocks, and the columns only
/// where collateral is an underlying too (its fall is read from them). Rows are looked at one by one, when used.
fn check_shape(portfolio: &Portfolio, arrays: &RiskArrays) -> Result<(), MarginError> {
    let misshapen = |what, found, expected| {
        let account = portfolio.account.clone();
        Err(MarginError::Arrays { account, what, found, expected })
    };
    let scenarios = arrays.scenarios.len();
    let entries = arrays.instruments.len().saturating_mul(scenarios);
    if arrays.pnl.len() != entries {
        return misshapen("entries numbering", arrays.pnl.len(), entries);
    }
    if let Some(block) = arrays.blocks.iter().find(|b| b.columns.end > scenarios) {
        return misshapen("a block that ends at column", block.columns.end, scenarios);
    }
    let underlyings = arrays.underlyings.len();
    let falls = |h: &Holding| arrays.underlyings.iter().any(|row| row.asset == h.asset);
    if portfolio.collateral.iter().any(falls)
        && let Some(column) = arrays.scenarios.iter().find(|column| column.spot.len() != underlyings)
    {
        return misshapen("a scenario with spot moves numbering", column.spot.len(), underlyings);
    }
    Ok(())
}

/// Refuses what [`AccountState::new`] does, but for sums that do not fit.
pub(crate) fn check(portfolio: &Portfolio, arrays: &RiskArrays) -> Result<(), MarginError> {
    check_shape(portfolio, arrays)?;
    let positions = portfolio.positions.iter().map(|p| p.instrument);
    let orders = portfolio.orders.iter().map(|o| o.instrument);
    let earmarks = portfolio.collateral.iter().filter_map(|h| h.earmark);
    for instrument in positions.chain(orders).chain(earmarks) {
        known(arrays, portfolio, instrument)?;
    }
    for pair in portfolio.positions.windows(2) {
        if let [a, b] = pair
            && a.instrument >= b.instrument
        {
            return Err(MarginError::Positions { account: portfolio.account.clone(), index: b.instrument.0 });
        }
    }
    Ok(())
}
