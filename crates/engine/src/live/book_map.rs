//! All accounts over a grid of moves of spot and volatility: who loses how much, and who would be liquidatable.
//!
//! **The one idea:** risk arrays of the grid are built once, and every account is a sum of their rows. Requirements and collateral
//! stay what they are at present, so that a cell costs a sum and not a margin.
//!
//! **Must never know:** a price; how a requirement came about.

use super::effect::Reject;
use super::engine::Engine;
use super::valued::Valued;
use super::views::moved;
use crate::HeatMapSpec;
use plimsoll_types::{Instrument, RiskArrays, Ticks};

/// One cell: all accounts after one move.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BookCell {
    /// Profit and loss of all of them together; gain > 0.
    pub pnl: Ticks,
    /// Losses of those that lose; >= 0.
    pub losses: Ticks,
    /// Accounts whose equity is then beneath the maintenance margin of the present.
    pub accounts: u64,
    /// Notional of their positions at the present index; >= 0.
    pub notional: Ticks,
    /// What they owe beyond what they have; >= 0.
    pub shortfall: Ticks,
}

/// All accounts over the grid.
#[derive(Clone, PartialEq, Debug)]
pub struct BookMap {
    /// Relative moves of spot.
    pub spot: Vec<f64>,
    /// Relative moves of volatility.
    pub vol: Vec<f64>,
    /// `cells[vol][spot]`.
    pub cells: Vec<Vec<BookCell>>,
}

/// An account as far as the grid asks for it.
#[derive(Clone, Debug)]
struct Member {
    /// Rows and lots.
    held: Vec<(usize, i64)>,
    equity: i128,
    mm: i128,
    notional: i128,
}

/// All accounts on their market, apart from the engine.
#[derive(Clone, Debug)]
pub struct BookStudy {
    valued: Valued,
    names: Vec<Instrument>,
    members: Vec<Member>,
}

impl Engine {
    /// All accounts that can be valued, with what it takes to try them on other markets.
    pub fn book_study(&self) -> BookStudy {
        let accounts = (0..).zip(self.state.ledger.accounts());
        let members = accounts.filter_map(|(number, account)| {
            let totals = self.valued.totals(number)?.ok()?;
            let portfolio = self.valued.portfolio(account)?;
            let held: Vec<_> = portfolio.positions.iter().map(|p| (p.instrument.index(), p.lots.0)).collect();
            let notional = notional(&held, self.valued.arrays());
            Some(Member { held, equity: totals.equity.0, mm: totals.mm.0, notional })
        });
        let names = self.valued.arrays().instruments.iter().map(|row| row.instrument.clone());
        BookStudy { members: members.collect(), names: names.collect(), valued: self.valued.without_book() }
    }
}

fn notional(held: &[(usize, i64)], arrays: &RiskArrays) -> i128 {
    let of = |(row, lots): &(usize, i64)| {
        let row = arrays.instruments.get(*row)?;
        Some(i128::from(row.notional) * i128::from(lots.unsigned_abs()))
    };
    held.iter().filter_map(of).sum()
}

impl BookStudy {
    /// Every cell of the grid.
    ///
    /// # Errors
    /// `argument` of a move out of range, `not_valid` where an instrument has no value after one.
    pub fn map(&self, spec: &HeatMapSpec) -> Result<BookMap, Reject> {
        let arrays = moved(&self.valued, &self.names, spec)?;
        let lost = || Reject::new("not_valid", "an instrument has no value after a move");
        if arrays.instruments.len() != self.names.len() {
            return Err(lost());
        }
        let width = spec.spot.len() * spec.vol.len();
        let mut cells = vec![BookCell::default(); width];
        let mut pnl = vec![0_i128; width];
        for member in &self.members {
            member.over(&arrays, &mut pnl);
            cells.iter_mut().zip(&pnl).for_each(|(cell, pnl)| cell.add(member, *pnl));
        }
        let cells = cells.chunks(spec.spot.len()).map(<[BookCell]>::to_vec).collect();
        Ok(BookMap { spot: spec.spot.clone(), vol: spec.vol.clone(), cells })
    }
}

impl Member {
    /// Its profit and loss in every cell.
    fn over(&self, arrays: &RiskArrays, pnl: &mut [i128]) {
        pnl.fill(0);
        for (row, lots) in &self.held {
            let Ok(row) = u32::try_from(*row) else { continue };
            for (cell, entry) in pnl.iter_mut().zip(arrays.row(plimsoll_types::InstrumentIx(row))) {
                *cell += i128::from(*lots) * i128::from(*entry);
            }
        }
    }
}

impl BookCell {
    fn add(&mut self, member: &Member, pnl: i128) {
        self.pnl.0 += pnl;
        self.losses.0 += (-pnl).max(0);
        let equity = member.equity + pnl;
        if equity < member.mm {
            self.accounts += 1;
            self.notional.0 += member.notional;
            self.shortfall.0 += (-equity).max(0);
        }
    }
}
