//! The whole book, one underlying of it, one account of it.

use super::holders::Holders;
use super::lanes::{Again, Entry, Rescan, Scan, Source};
use super::losses::{CHUNK, Chunk, ScanLosses};
use super::rows::{Cells, Rows};
use plimsoll_lanes::Path;
use plimsoll_types::{Book, UnderlyingIx};
use rayon::prelude::*;
use std::ops::Range;

/// What a scan of one underlying has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Touched {
    /// Accounts scanned.
    pub accounts: usize,
    /// Positions read there: of the underlying alone, or of the whole account where it is not on lanes.
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
    out.accounts = source.book.len();
    out.chunks.resize_with(out.accounts.div_ceil(CHUNK), Chunk::default);
    let accounts = out.accounts;
    out.chunks.par_iter_mut().enumerate().for_each(|(i, chunk)| {
        let accounts: Range<usize> = i * CHUNK..accounts.min((i + 1) * CHUNK);
        path.run(Scan { source, accounts, chunk });
    });
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
    let chunks = losses.chunks.par_iter_mut().enumerate();
    let touched = chunks.map(|(i, chunk)| {
        let Some(bits) = holders.chunk(underlying, i) else {
            return (0, 0);
        };
        path.run(Rescan { source, underlying: underlying.0, first: i * CHUNK, bits, chunk })
    });
    let (accounts, positions) = touched.reduce(|| (0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    Touched { accounts, positions }
}

impl ScanLosses {
    /// The losses of one account anew, after its positions have changed or it was added at the end of the book. Costs
    /// its own rows, and a move within its chunk of 1024 accounts where the underlyings it holds are not as many.
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
