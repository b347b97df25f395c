//! The whole book, one underlying of it, one account of it.

use super::holders::Holders;
use super::lanes::{Again, Entry, Rescan, Scan, Source};
use super::losses::{CHUNK, Chunk, ScanLosses};
use super::plan::Draft;
use super::rows::{Cells, Rows};
use plimsoll_lanes::Path;
use plimsoll_types::{Book, UnderlyingIx};
use rayon::prelude::*;
use std::ops::Range;

/// Chunks that share room for planning.
const TASK: usize = 16;

/// What a scan of one underlying has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Touched {
    /// Accounts scanned.
    pub accounts: usize,
    /// Positions read there: of the underlying alone, or of the whole account where it has changed since the last scan of
    /// all, or is not on lanes.
    pub positions: usize,
}

/// The scan loss of every account in every underlying it holds, over the columns of `rows`: for each, the largest loss
/// over the columns, floored at 0; of the account, their sum. What an account holds without lots counts as held.
///
/// Chunks of accounts go to the threads of the current rayon pool; results do not depend on their number. An account
/// that holds what has no row, or whose sums leave 2^126, fails alone.
pub fn scan_losses(path: Path, book: &Book, rows: &Rows, out: &mut ScanLosses) {
    match &rows.cells {
        Cells::Narrow(panel) => scan_all(path, Source { book, rows, panel }, out),
        Cells::Wide(panel) => scan_all(path, Source { book, rows, panel }, out),
    }
}

fn scan_all<T: Entry>(path: Path, source: Source<'_, T>, out: &mut ScanLosses) {
    out.settle(source.book, source.rows);
    out.accounts = source.book.len();
    out.chunks.resize_with(out.accounts.div_ceil(CHUNK), Chunk::default);
    out.drafts.resize_with(out.chunks.len().div_ceil(TASK), Draft::default);
    let accounts = out.accounts;
    let tasks = out.chunks.par_chunks_mut(TASK).zip(&mut out.drafts).enumerate();
    tasks.for_each(|(task, (chunks, draft))| {
        for (i, chunk) in (task * TASK..).zip(chunks) {
            let own: Range<usize> = i * CHUNK..accounts.min((i + 1) * CHUNK);
            chunk.prepare(source.book, source.rows, own.clone(), draft);
            path.run(Scan { source, first: own.start, chunk });
        }
    });
}

impl Chunk {
    /// Sees to a plan for these accounts, and to room for their losses.
    fn prepare(&mut self, book: &Book, rows: &Rows, accounts: Range<usize>, draft: &mut Draft) {
        if self.plan.serves(book, rows, &accounts) {
            return;
        }
        let count = accounts.len();
        self.plan.make(book, rows, accounts, draft);
        let plan = &self.plan;
        self.apart.retain(|account, _| plan.odd_at(account % CHUNK).is_some());
        self.losses.resize(self.plan.places.len(), 0);
        self.totals.resize(count, 0);
    }
}

/// The scan losses in one underlying anew, of the accounts that hold it: `losses` are then what [`scan_losses`] would
/// find, if only the rows of this underlying have changed since, or accounts that [`ScanLosses::update`] was told of.
pub fn rescan(
    path: Path,
    book: &Book,
    rows: &Rows,
    underlying: UnderlyingIx,
    holders: &Holders,
    losses: &mut ScanLosses,
) -> Touched {
    match &rows.cells {
        Cells::Narrow(panel) => {
            rescan_holders(path, Source { book, rows, panel }, underlying, holders, losses)
        }
        Cells::Wide(panel) => rescan_holders(path, Source { book, rows, panel }, underlying, holders, losses),
    }
}

fn rescan_holders<T: Entry>(
    path: Path,
    source: Source<'_, T>,
    underlying: UnderlyingIx,
    holders: &Holders,
    losses: &mut ScanLosses,
) -> Touched {
    let planned = losses.is_of(source.book, source.rows);
    let chunks = losses.chunks.par_iter_mut().enumerate();
    let touched = chunks.map(|(i, chunk)| {
        let Some(bits) = holders.chunk(underlying, i) else {
            return (0, 0);
        };
        path.run(Rescan { source, underlying: underlying.index(), first: i * CHUNK, bits, planned, chunk })
    });
    let (accounts, positions) = touched.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    Touched { accounts, positions }
}

impl ScanLosses {
    /// Whether the plans are of this book and of instruments with these underlyings.
    fn is_of(&self, book: &Book, rows: &Rows) -> bool {
        self.book == book.identity() && self.underlying == rows.underlying
    }

    /// Forgets the plans of another book, or of instruments with other underlyings.
    fn settle(&mut self, book: &Book, rows: &Rows) {
        if !self.is_of(book, rows) {
            self.chunks.iter_mut().for_each(|chunk| chunk.plan.clear());
            self.book = book.identity();
            self.underlying.clone_from(&rows.underlying);
        }
    }

    /// The losses of one account anew, after its positions have changed or it was added at the end of the book. Costs
    /// its own rows; from then on it is summed apart from the plan of its chunk, until the next plan.
    pub fn update(&mut self, path: Path, book: &Book, rows: &Rows, account: usize) {
        while self.accounts <= account && self.accounts < book.len() {
            self.accounts += 1;
            self.chunks.resize_with(self.accounts.div_ceil(CHUNK), Chunk::default);
            self.update(path, book, rows, self.accounts - 1);
        }
        if account >= self.accounts {
            return;
        }
        if let Some(chunk) = self.chunks.get_mut(account / CHUNK) {
            match &rows.cells {
                Cells::Narrow(panel) => update_in(path, Source { book, rows, panel }, account, chunk),
                Cells::Wide(panel) => update_in(path, Source { book, rows, panel }, account, chunk),
            }
        }
    }
}

fn update_in<T: Entry>(path: Path, source: Source<'_, T>, account: usize, chunk: &mut Chunk) {
    path.run(Again { source, account, place: account % CHUNK, chunk });
}
