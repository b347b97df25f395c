//! Joint statistics of a whole book over more scenarios than fit in memory.
//!
//! **The one idea:** value at risk, expected shortfall and the tail mean are functions of the largest losses alone, so a
//! stream of blocks of columns needs to keep only those, and how often the least of them was let go.
//!
//! The result is that of [`crate::evaluate`] on the same columns held whole: the larger of zero and the statistic of
//! [`JointTerms`]. Memory is `(n - place + 192) x 8` bytes per account, rounded up to a multiple of 512, `n` the number of
//! scenarios and `place` that of the value at risk among them, besides one block at 32 bits an entry.

mod lanes;

use crate::joint::{Extreme, extreme_statistic, place};
use crate::money::Exact;
use crate::{JointTerms, MarginError};
use lanes::{EXACT, Floor, LANES, Largest, Loss, Narrow, reduce, whole};
use plimsoll_lanes::Path;
use plimsoll_types::{AccountId, Book, Held, Holdings, Position, Ticks};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Accounts that are worked on together. It does not depend on the number of threads, and no result depends on it.
const CHUNK: usize = 1024;
/// Losses kept beyond those wanted, at least, before the smallest are let go.
const SLACK: usize = 2 * LANES;

/// Losses of an account there is room for, with space for those of one more panel: whole panels.
fn space(keep: usize) -> usize {
    (keep + SLACK + LANES).next_multiple_of(LANES)
}

/// Columns of joint scenarios for every instrument: the profit or loss of one long lot of instrument `i` in the block's
/// column `c` is `pnl[i * width + c]`, in ticks, gain > 0.
#[derive(Clone, Copy, Debug)]
pub struct JointBlock<'a> {
    /// Entries, row by row.
    pub pnl: &'a [i64],
    /// Columns; > 0.
    pub width: usize,
}

/// Why a stream of blocks has no statistic.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TailError {
    /// A block is not instruments x width, or the width is 0.
    #[error("a block of {entries} entries is no whole number of rows of {width}")]
    Shape {
        /// Entries given.
        entries: usize,
        /// Width given.
        width: usize,
    },
    /// The blocks have more or fewer columns than were announced.
    #[error("{found} scenarios were given, {expected} announced")]
    Scenarios {
        /// Columns so far.
        found: usize,
        /// Columns announced.
        expected: usize,
    },
    /// The book has changed its number of accounts since the stream began.
    #[error("the book has {found} accounts, {expected} when the stream began")]
    Accounts {
        /// Now.
        found: usize,
        /// Then.
        expected: usize,
    },
    /// The terms have no place among so many scenarios, or a sum does not fit.
    #[error(transparent)]
    Margin(#[from] MarginError),
}

/// The largest losses of every account of a book over a stream of joint scenarios.
///
/// ```
/// use plimsoll_margin::tail::{JointBlock, TailLosses};
/// use plimsoll_margin::{JointTerms, Statistic};
/// use plimsoll_types::*;
/// let position = Position { instrument: InstrumentIx(0), lots: Lots(2), unrealised: Ticks(0) };
/// let mut book = Book::default();
/// book.push("alice".parse()?, &[position], vec![], vec![])?;
/// let level = Ppb(750_000_000);
/// let terms = JointTerms { statistic: Statistic::ExpectedShortfall, level, stress_weight: Ppb(0) };
/// let mut tail = TailLosses::new(&book, &terms, 4)?;
/// let path = plimsoll_lanes::Path::best();
/// tail.add(path, &book, &JointBlock { pnl: &[5, -1], width: 2 })?;
/// tail.add(path, &book, &JointBlock { pnl: &[-3, -2], width: 2 })?;
/// // Losses -10, 2, 6, 4: value at risk is the third of four, 4, and the mean of 4 and 6 is 5.
/// assert_eq!(tail.finish()?, [Ticks(5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TailLosses {
    terms: JointTerms,
    scenarios: usize,
    seen: usize,
    accounts: usize,
    keep: usize,
    chunks: Vec<Chunk>,
    /// The block's entries as the lanes read them, and the largest size in each row.
    entries: Vec<i32>,
    sizes: Vec<u64>,
}

/// A block with its entries as the lanes read them and the largest size in each row.
#[derive(Clone, Copy)]
struct Narrowed<'a> {
    entries: &'a [i32],
    sizes: &'a [u64],
    block: &'a JointBlock<'a>,
}

/// The accounts from one index on.
#[derive(Clone, Debug)]
struct Chunk {
    first: usize,
    floors: Vec<Floor>,
    kept: Vec<Loss>,
    wide: BTreeMap<usize, WideTail>,
}

/// The largest losses of an account whose sums may leave the lanes.
#[derive(Clone, Debug, Default)]
struct WideTail {
    kept: Vec<i128>,
    least: Option<i128>,
    ties: u64,
}

impl TailLosses {
    /// Nothing seen yet of so many scenarios, which must be at least 1.
    pub fn new(book: &Book, terms: &JointTerms, scenarios: usize) -> Result<Self, TailError> {
        if scenarios == 0 {
            return Err(TailError::Scenarios { found: 0, expected: 1 });
        }
        let account = nobody();
        let place = place(terms, scenarios, Exact { account: &account })?;
        let (accounts, keep) = (book.len(), scenarios - place);
        let chunk = |first: usize| {
            let size = CHUNK.min(accounts - first);
            let kept = vec![Loss::default(); size * space(keep)];
            Chunk { first, floors: vec![Floor::default(); size], kept, wide: BTreeMap::new() }
        };
        let chunks = (0..accounts).step_by(CHUNK).map(chunk).collect();
        let (entries, sizes) = (Vec::new(), Vec::new());
        Ok(Self { terms: *terms, scenarios, seen: 0, accounts, keep, chunks, entries, sizes })
    }

    /// Bytes held for the losses of all accounts.
    pub fn bytes(&self) -> usize {
        let of =
            |chunk: &Chunk| chunk.kept.len() * size_of::<Loss>() + chunk.floors.len() * size_of::<Floor>();
        self.chunks.iter().map(of).sum()
    }

    /// Adds the losses under a block of columns. The book must be the one the stream began with.
    pub fn add(&mut self, path: Path, book: &Book, block: &JointBlock<'_>) -> Result<(), TailError> {
        if block.width == 0 || !block.pnl.len().is_multiple_of(block.width) {
            return Err(TailError::Shape { entries: block.pnl.len(), width: block.width });
        }
        if book.len() != self.accounts {
            return Err(TailError::Accounts { found: book.len(), expected: self.accounts });
        }
        self.seen += block.width;
        if self.seen > self.scenarios {
            return Err(TailError::Scenarios { found: self.seen, expected: self.scenarios });
        }
        self.narrow(path, block);
        let narrowed = Narrowed { entries: &self.entries, sizes: &self.sizes, block };
        let keep = self.keep;
        self.chunks.par_iter_mut().try_for_each(|chunk| chunk.add((book, path), narrowed, keep))?;
        Ok(())
    }

    /// Copies a block into panels of rows that the lanes read.
    fn narrow(&mut self, path: Path, block: &JointBlock<'_>) {
        let (rows, panels) = (block.pnl.len() / block.width, block.width.div_ceil(LANES));
        self.entries.resize(panels * rows * LANES, 0);
        self.sizes.resize(panels * rows, 0);
        let sizes = self.sizes.par_chunks_mut(rows.max(1));
        let panels = self.entries.par_chunks_mut(rows.max(1) * LANES).zip(sizes).enumerate();
        panels.for_each(|(panel, (entries, sizes))| {
            let (pnl, width, first) = (block.pnl, block.width, panel * LANES);
            path.run(Narrow { pnl, width, first, rows: entries, sizes });
        });
        let (sizes, others) = self.sizes.split_at_mut(rows);
        for of_panel in others.chunks_exact(rows.max(1)) {
            for (size, other) in sizes.iter_mut().zip(of_panel) {
                *size = (*size).max(*other);
            }
        }
        self.sizes.truncate(rows);
    }

    /// The statistic of every account, in the order of the book, in ticks; >= 0. All scenarios must have been given.
    pub fn finish(mut self) -> Result<Vec<Ticks>, TailError> {
        if self.seen != self.scenarios {
            return Err(TailError::Scenarios { found: self.seen, expected: self.scenarios });
        }
        let (terms, keep) = (self.terms, self.keep);
        let of_chunk = |chunk: &mut Chunk| chunk.finish(&terms, keep);
        let parts: Vec<Vec<Ticks>> = self.chunks.par_iter_mut().map(of_chunk).collect::<Result<_, _>>()?;
        Ok(parts.concat())
    }
}

/// The name of nobody, for terms that are wrong for everybody.
fn nobody() -> AccountId {
    AccountId::new("joint").unwrap_or_else(|e| unreachable!("{e}"))
}

impl Chunk {
    fn add(
        &mut self,
        (book, path): (&Book, Path),
        block: Narrowed<'_>,
        keep: usize,
    ) -> Result<(), TailError> {
        let mut all = Vec::with_capacity(self.floors.len());
        for place in 0..self.floors.len() {
            let index = self.first + place;
            let Some(holdings) = book.holdings(index) else {
                all.push(None);
                continue;
            };
            check(&holdings, block.sizes.len(), || name(book, index))?;
            let held = match holdings {
                Holdings::Narrow(narrow) if exact(narrow.held, block.sizes) => Some(narrow.held),
                _ => None,
            };
            let held = held.filter(|_| !self.wide.contains_key(&place));
            all.push(held);
            if held.is_none() {
                let account = name(book, index);
                let mut tail = self.taken(place, keep);
                tail.add(&holdings.to_positions(), block.block, Exact { account: &account })?;
                tail.reduce(keep);
                self.wide.insert(place, tail);
            }
        }
        let Narrowed { entries, sizes, block } = block;
        let (rows, width, floors, room) =
            (sizes.len(), block.width, &mut self.floors[..], &mut self.kept[..]);
        path.run(Largest { entries, rows, width, held: &all, floors, room, keep });
        Ok(())
    }

    /// What the lanes keep of an account, at full width.
    fn taken(&mut self, place: usize, keep: usize) -> WideTail {
        if let Some(tail) = self.wide.remove(&place) {
            return tail;
        }
        let space = space(keep);
        let (floor, kept) = (&mut self.floors[place], &mut self.kept[place * space..(place + 1) * space]);
        reduce(kept, keep, floor);
        let kept: Vec<i128> = kept[..floor.count].iter().map(|loss| i128::from(whole(*loss))).collect();
        let least = kept.iter().min().copied().filter(|_| kept.len() == keep);
        WideTail { kept, least, ties: floor.ties }
    }

    fn finish(&mut self, terms: &JointTerms, keep: usize) -> Result<Vec<Ticks>, TailError> {
        let account = nobody();
        let mut all = Vec::with_capacity(self.floors.len());
        for place in 0..self.floors.len() {
            let mut tail = self.taken(place, keep);
            tail.reduce(keep);
            order_ends(&mut tail.kept);
            let extreme = Extreme { largest: &tail.kept, ties_below: tail.ties };
            all.push(Ticks(extreme_statistic(terms, extreme, Exact { account: &account })?));
        }
        Ok(all)
    }
}

/// Moves the least to the front and the largest to the end.
fn order_ends(losses: &mut [i128]) {
    if let Some(least) = (0..losses.len()).min_by_key(|at| losses[*at]) {
        losses.swap(0, least);
    }
    if let Some(most) = (1..losses.len()).max_by_key(|at| losses[*at]) {
        losses.swap(losses.len() - 1, most);
    }
}

fn name(book: &Book, index: usize) -> AccountId {
    book.portfolio(index).map_or_else(nobody, |portfolio| portfolio.account)
}

/// Refuses an instrument that the block has no row of.
fn check(holdings: &Holdings<'_>, rows: usize, name: impl Fn() -> AccountId) -> Result<(), MarginError> {
    let last = match holdings {
        Holdings::Narrow(narrow) => narrow.held.last().map(|held| held.instrument),
        Holdings::Wide(positions) => positions.last().map(|position| position.instrument.0),
    };
    match last {
        Some(index) if index as usize >= rows => {
            Err(MarginError::UnknownInstrument { account: name(), index, instruments: rows })
        }
        _ => Ok(()),
    }
}

/// Whether every sum of the account stays where lanes are exact, and every entry it reads fits them.
fn exact(held: &[Held], sizes: &[u64]) -> bool {
    let mut bound = 0_u64;
    for position in held {
        let size = sizes.get(position.instrument as usize).copied().unwrap_or(u64::MAX);
        if size > u64::from(i32::MAX.unsigned_abs()) {
            return false;
        }
        // 31 bits times 31 bits; a saturated sum is over the bound.
        bound = bound.saturating_add(u64::from(position.lots.unsigned_abs()) * size);
    }
    bound < EXACT
}

impl WideTail {
    fn add(
        &mut self,
        positions: &[Position],
        block: &JointBlock<'_>,
        exact: Exact,
    ) -> Result<(), MarginError> {
        for column in 0..block.width {
            let entry = |p: &Position| {
                let at = p.instrument.index() * block.width + column;
                -i128::from(p.lots.0) * i128::from(block.pnl.get(at).copied().unwrap_or(0))
            };
            let loss = exact.sum(positions.iter().map(entry), "a joint scenario's profit or loss")?;
            match self.least {
                Some(least) if loss == least => self.ties += 1,
                Some(least) if loss < least => {}
                _ => self.kept.push(loss),
            }
        }
        Ok(())
    }

    fn reduce(&mut self, keep: usize) {
        if self.kept.len() <= keep {
            return;
        }
        let (_, least, gone) = self.kept.select_nth_unstable_by(keep - 1, |a, b| b.cmp(a));
        let least = *least;
        let ties = gone.iter().filter(|loss| **loss == least).count() as u64;
        self.ties = if self.least == Some(least) { self.ties + ties } else { ties };
        self.least = Some(least);
        self.kept.truncate(keep);
    }
}
