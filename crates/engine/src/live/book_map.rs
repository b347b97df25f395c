//! All accounts over a grid of moves of spot and volatility: who loses how much on what, and who would be liquidatable. And what
//! each of them adds to a Greek.
//!
//! **The one idea:** risk arrays of the grid are built once, and every account is a sum of their rows. Requirements and collateral
//! stay what they are at present, so that a cell costs a sum and not a margin.
//!
//! **Must never know:** a price; how a requirement came about.

use super::effect::Reject;
use super::engine::Engine;
use super::valued::Valued;
use super::views::moved;
use crate::greeks::Ladder;
use crate::{GreeksRow, HeatMapSpec};
use plimsoll_margin::Totals;
use plimsoll_market::Surface;
use plimsoll_types::{
    AccountId, Asset, Book, Instrument, InstrumentIx, Portfolio, RiskArrays, Ticks, Timestamp,
};

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

/// What those that lose, lose on one expiry of an underlying. Over all parts a cell adds up to its [`BookCell::losses`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    /// Of which underlying.
    pub underlying: Asset,
    /// Which expiry; `None` of perpetuals and spot.
    pub expiry: Option<Timestamp>,
    /// `losses[vol][spot]`; below zero where they gain on it and lose more elsewhere.
    pub losses: Vec<Vec<Ticks>>,
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
    /// In order of underlying and expiry.
    pub parts: Vec<Part>,
}

/// All accounts on their market, apart from the engine, which may go on meanwhile.
#[derive(Clone, Debug)]
pub struct BookStudy {
    valued: Valued,
    book: Book,
    /// By place in the book; `None` of who cannot be valued.
    totals: Vec<Option<Totals>>,
}

/// An account of a study.
#[derive(Clone, PartialEq, Debug)]
pub struct Holder {
    /// Whose.
    pub account: AccountId,
    /// What it holds: lots, long > 0.
    pub held: Vec<(Instrument, i64)>,
    /// What backs it, billionths; below zero is owed.
    pub collateral: Vec<(Asset, i128)>,
    /// What is in force asks of it.
    pub totals: Totals,
}

impl Engine {
    /// All accounts that can be valued, with what it takes to try them on other markets and under other methods. Packed columns are
    /// copied, and totals are added up from what is kept of every account.
    pub fn book_study(&self) -> BookStudy {
        let totals = self.valued.by_place().collect();
        BookStudy { valued: self.valued.without_book(), book: self.valued.book().clone(), totals }
    }
}

fn notional(portfolio: &Portfolio, arrays: &RiskArrays) -> i128 {
    let held = portfolio.positions.iter();
    held.filter_map(|held| {
        let row = arrays.instrument(held.instrument)?;
        Some(i128::from(row.notional) * i128::from(held.lots.0.unsigned_abs()))
    })
    .sum()
}

impl BookStudy {
    /// The market that they are on.
    pub fn surface(&self) -> &Surface {
        &self.valued.surface
    }

    /// Everybody who can be valued, with portfolio and totals, in the order of the book.
    fn members(&self) -> impl Iterator<Item = (Portfolio, &Totals)> {
        let all = self.totals.iter().enumerate();
        all.filter_map(|(place, totals)| Some((self.book.portfolio(place)?, totals.as_ref()?)))
    }

    /// What everybody holds who can be valued.
    pub fn holders(&self) -> impl Iterator<Item = Holder> {
        let arrays = self.valued.arrays();
        self.members().map(|(portfolio, totals)| Holder {
            held: portfolio
                .positions
                .iter()
                .filter_map(|held| {
                    Some((arrays.instrument(held.instrument)?.instrument.clone(), held.lots.0))
                })
                .collect(),
            collateral: portfolio.collateral.into_iter().map(|held| (held.asset, held.amount_nano)).collect(),
            account: portfolio.account,
            totals: *totals,
        })
    }

    /// What each account adds to the Greeks of an underlying, and of one of its expiries where one is named (`None` for perpetuals and
    /// spot). Accounts that hold nothing of it are left out.
    pub fn greeks(&self, underlying: &Asset, expiry: Option<Option<Timestamp>>) -> Vec<GreeksRow> {
        let arrays = self.valued.arrays();
        let asked = |ix: InstrumentIx| {
            let row = arrays.instrument(ix).map(|row| &row.instrument);
            row.is_some_and(|of| {
                of.underlying() == underlying && expiry.is_none_or(|expiry| of.expiry() == expiry)
            })
        };
        let each = |(mut portfolio, _): (Portfolio, &Totals)| {
            portfolio.positions.retain(|held| asked(held.instrument));
            let mut ladder = Ladder::new(arrays);
            ladder.add(&portfolio);
            ladder.total(&portfolio.account)
        };
        self.members().filter_map(each).collect()
    }

    /// Every cell of the grid.
    ///
    /// # Errors
    /// `argument` of a move out of range, `not_valid` where an instrument has no value after one.
    pub fn map(&self, spec: &HeatMapSpec) -> Result<BookMap, Reject> {
        let rows = &self.valued.arrays().instruments;
        let names: Vec<Instrument> = rows.iter().map(|row| row.instrument.clone()).collect();
        let arrays = moved(&self.valued, &names, spec)?;
        if arrays.instruments.len() != names.len() {
            return Err(Reject::new("not_valid", "an instrument has no value after a move"));
        }
        let width = spec.spot.len() * spec.vol.len();
        let mut sums = Sums::new(&names, width);
        for (portfolio, totals) in self.members() {
            sums.add(&portfolio, (totals, notional(&portfolio, self.valued.arrays())), &arrays);
        }
        let Sums { cells, groups, losses, .. } = sums;
        let part = |((underlying, expiry), flat): ((Asset, Option<Timestamp>), &[i128])| Part {
            underlying,
            expiry,
            losses: flat.chunks(spec.spot.len()).map(|row| row.iter().map(|x| Ticks(*x)).collect()).collect(),
        };
        Ok(BookMap {
            spot: spec.spot.clone(),
            vol: spec.vol.clone(),
            cells: cells.chunks(spec.spot.len()).map(<[BookCell]>::to_vec).collect(),
            parts: groups.into_iter().zip(losses.chunks(width)).map(part).collect(),
        })
    }
}

/// Cells of the grid while accounts are added to them.
struct Sums {
    width: usize,
    cells: Vec<BookCell>,
    /// Underlyings and expiries, in order.
    groups: Vec<(Asset, Option<Timestamp>)>,
    /// By instrument, its group.
    group: Vec<usize>,
    /// By group, then cell.
    losses: Vec<i128>,
    /// Of the account that is being added.
    pnl: Vec<i128>,
}

impl Sums {
    fn new(names: &[Instrument], width: usize) -> Self {
        let of = |name: &Instrument| (name.underlying().clone(), name.expiry());
        let mut groups: Vec<_> = names.iter().map(of).collect();
        groups.sort_unstable();
        groups.dedup();
        let group = names.iter().filter_map(|name| groups.binary_search(&of(name)).ok()).collect();
        let losses = vec![0; groups.len() * width];
        Self { width, cells: vec![BookCell::default(); width], groups, group, losses, pnl: vec![0; width] }
    }

    fn add(&mut self, portfolio: &Portfolio, (totals, notional): (&Totals, i128), arrays: &RiskArrays) {
        self.pnl.fill(0);
        for held in &portfolio.positions {
            for (cell, entry) in self.pnl.iter_mut().zip(arrays.row(held.instrument)) {
                *cell += i128::from(held.lots.0) * i128::from(*entry);
            }
        }
        for (cell, pnl) in self.cells.iter_mut().zip(&self.pnl) {
            cell.add((totals.equity.0, totals.mm.0, notional), *pnl);
        }
        for held in &portfolio.positions {
            let Some(group) = self.group.get(held.instrument.index()) else { continue };
            let losses = self.losses[group * self.width..(group + 1) * self.width].iter_mut();
            for ((loss, pnl), entry) in losses.zip(&self.pnl).zip(arrays.row(held.instrument)) {
                if *pnl < 0 {
                    *loss -= i128::from(held.lots.0) * i128::from(*entry);
                }
            }
        }
    }
}

impl BookCell {
    fn add(&mut self, (equity, mm, notional): (i128, i128, i128), pnl: i128) {
        self.pnl.0 += pnl;
        self.losses.0 += (-pnl).max(0);
        let equity = equity + pnl;
        if equity < mm {
            self.accounts += 1;
            self.notional.0 += notional;
            self.shortfall.0 += (-equity).max(0);
        }
    }
}
