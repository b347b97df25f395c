//! Who holds what: the accounts of each underlying, kept up to date as positions change.

use super::losses::CHUNK;
use super::rows::Rows;
use plimsoll_types::{Book, Holdings, UnderlyingIx};

/// Words of bits for a chunk of accounts.
const WORDS: usize = CHUNK / 64;

/// For each underlying, a bit per account: one million accounts and 16 underlyings take 2 MB, a change is one bit.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Holders {
    /// By underlying, then account.
    bits: Vec<Vec<[u64; WORDS]>>,
}

impl Holders {
    /// The holders of every underlying. Positions without a row count nowhere.
    pub fn new(book: &Book, rows: &Rows) -> Self {
        let chunks = book.len().div_ceil(CHUNK);
        let mut holders = Self { bits: vec![vec![[0; WORDS]; chunks]; rows.underlyings()] };
        for account in 0..book.len() {
            holders.add(book, rows, account);
        }
        holders
    }

    /// Sets the bits of all underlyings an account holds: for one that was added.
    pub fn add(&mut self, book: &Book, rows: &Rows, account: usize) {
        match book.holdings(account) {
            Some(Holdings::Narrow(narrow)) => {
                narrow
                    .held
                    .iter()
                    .for_each(|held| self.mark(rows.underlying(held.instrument), account, true));
            }
            Some(Holdings::Wide(positions)) => {
                positions.iter().for_each(|p| self.mark(rows.underlying(p.instrument.0), account, true));
            }
            None => {}
        }
    }

    /// Brings the bit of one account and the underlying of one instrument up to date, after a position on it was set.
    /// Costs a look at the positions of the account.
    pub fn update(&mut self, book: &Book, rows: &Rows, account: usize, instrument: u32) {
        let underlying = rows.underlying(instrument);
        let same = |other: u32| rows.underlying(other) == underlying;
        let holds = match book.holdings(account) {
            Some(Holdings::Narrow(narrow)) => narrow.held.iter().any(|held| same(held.instrument)),
            Some(Holdings::Wide(positions)) => positions.iter().any(|p| same(p.instrument.0)),
            None => false,
        };
        self.mark(underlying, account, holds);
    }

    fn mark(&mut self, underlying: Option<UnderlyingIx>, account: usize, holds: bool) {
        let Some(chunks) = underlying.and_then(|ix| self.bits.get_mut(ix.index())) else {
            return;
        };
        if chunks.len() <= account / CHUNK {
            chunks.resize(account / CHUNK + 1, [0; WORDS]);
        }
        let bit = 1 << (account % 64);
        let word = &mut chunks[account / CHUNK][account % CHUNK / 64];
        *word = if holds { *word | bit } else { *word & !bit };
    }

    /// Whether an account holds an underlying.
    pub fn holds(&self, account: usize, underlying: UnderlyingIx) -> bool {
        let words = self.chunk(underlying, account / CHUNK);
        words.is_some_and(|words| words[account % CHUNK / 64] >> (account % 64) & 1 == 1)
    }

    /// How many accounts hold an underlying.
    pub fn count(&self, underlying: UnderlyingIx) -> usize {
        let words = self.bits.get(underlying.index()).into_iter().flatten().flatten();
        words.map(|word| word.count_ones() as usize).sum()
    }

    /// The bits of a chunk of accounts; `None` where there are none.
    pub(super) fn chunk(&self, underlying: UnderlyingIx, chunk: usize) -> Option<&[u64]> {
        self.bits.get(underlying.index())?.get(chunk).map(<[u64; WORDS]>::as_slice)
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        let outer = self.bits.capacity() * size_of::<Vec<[u64; WORDS]>>();
        outer + self.bits.iter().map(|chunks| chunks.capacity() * size_of::<[u64; WORDS]>()).sum::<usize>()
    }
}
