//! In which order the positions of a chunk of accounts are summed.
//!
//! **The one idea:** what a scan does depends on the positions, and they change far less often than prices. So a chunk keeps a
//! copy of its positions underlying by underlying, and within one by how many an account has there: one, two, three or more.
//! Then rows of one underlying are read while they are near, sums of one length follow one another, nothing branches, and a
//! move of one underlying finds what it touches side by side. An account that has changed since is left out of the copy,
//! odd, and summed from the book; when odd ones are many the chunk is planned anew.

use super::losses::CHUNK;
use super::rows::Rows;
use plimsoll_types::{Book, Held, Narrow};
use std::ops::Range;

/// Odd accounts, beside those that no plan takes, before a chunk is planned anew: what planning costs, shared among as many
/// changes, is some two microseconds each.
const ODD: usize = 64;

/// Lengths that have a list of their own; the last list has all longer ones.
pub(super) const LISTS: usize = 4;

/// An account's place in its chunk and which of its losses: ten bits and 22.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot(u32);

impl Slot {
    /// `None` when there are too many pairs.
    fn new(place: usize, pair: usize) -> Option<Self> {
        let pair = u32::try_from(pair).ok().filter(|pair| *pair < 1 << 22)?;
        Some(Self((pair << 10) | (place as u32 % CHUNK as u32)))
    }

    #[inline(always)]
    pub(super) fn place(self) -> usize {
        self.0 as usize % CHUNK
    }

    #[inline(always)]
    pub(super) fn pair(self) -> usize {
        (self.0 >> 10) as usize
    }
}

/// What a chunk holds of one underlying: where it begins, and how many sums each list has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shelf {
    pub(super) held: u32,
    pub(super) slot: u32,
    pub(super) length: u32,
    pub(super) sums: [u32; LISTS],
}

/// The positions of a chunk in the order in which they are summed.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Accounts planned or odd; 0 when there is no plan.
    accounts: usize,
    /// The last edit that is known.
    edits: u64,
    /// The largest `positions << lots_bits` of a planned account.
    pub(super) gross_max: u64,
    /// One for each underlying.
    pub(super) shelves: Vec<Shelf>,
    pub(super) held: Vec<Held>,
    /// One for each sum.
    pub(super) slots: Vec<Slot>,
    /// Of the sums in the last lists.
    pub(super) lengths: Vec<u32>,
    /// Places of accounts that are summed from the book.
    pub(super) odd: Vec<u16>,
    is_odd: [u64; CHUNK / 64],
    /// How many of them no plan takes.
    never: usize,
}

/// The positions of one account in one underlying.
#[derive(Clone, Debug)]
struct Pair {
    underlying: u32,
    slot: Slot,
    held: Range<usize>,
}

/// Room for planning.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    held: Vec<Held>,
    pairs: Vec<Pair>,
    /// By underlying: positions of each list.
    sizes: Vec<[u32; LISTS]>,
    /// By underlying: where the next sum of each list goes, as positions, slots, lengths.
    next: Vec<[[u32; 3]; LISTS]>,
}

fn list(length: usize) -> usize {
    length.min(LISTS) - 1
}

impl Plan {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.accounts = 0;
        self.shelves.clear();
    }

    /// Whether an account is summed from the book.
    #[inline(always)]
    pub(super) fn is_odd(&self, place: usize) -> bool {
        self.is_odd[place / 64] >> (place % 64) & 1 == 1
    }

    /// The bits of planned accounts that are not odd, 64 places from `64 word` on.
    pub(super) fn planned(&self, word: usize) -> u64 {
        let in_word = self.accounts.saturating_sub(64 * word).min(64);
        let all = if in_word == 64 { u64::MAX } else { (1 << in_word) - 1 };
        all & !self.is_odd[word]
    }

    /// From now on an account is summed from the book.
    pub(super) fn set_odd(&mut self, place: usize) {
        if self.accounts > place && !self.is_odd(place) {
            self.is_odd[place / 64] |= 1 << (place % 64);
            self.odd.push(place as u16);
        }
    }

    /// Whether the plan still serves these accounts, those that changed being odd now.
    pub(super) fn serves(&mut self, book: &Book, rows: &Rows, accounts: &Range<usize>) -> bool {
        if self.accounts != accounts.len() || self.gross_max > rows.lots_max() {
            return false;
        }
        let last = book.last_edit_in(accounts.start / CHUNK);
        if last != self.edits {
            for (place, account) in accounts.clone().enumerate() {
                if book.last_edit(account) > self.edits {
                    self.set_odd(place);
                }
            }
            self.edits = last;
        }
        self.odd.len() <= self.never + ODD
    }

    /// Plans a chunk anew; gives the number of pairs of each account, 0 for odd ones.
    pub(super) fn make(&mut self, book: &Book, rows: &Rows, accounts: Range<usize>, draft: &mut Draft) {
        draft.held.clear();
        draft.pairs.clear();
        self.odd.clear();
        self.is_odd = [0; CHUNK / 64];
        (self.accounts, self.gross_max) = (accounts.len(), 0);
        self.edits = book.last_edit_in(accounts.start / CHUNK);
        for (place, account) in accounts.enumerate() {
            match book.narrow(account).and_then(|narrow| draft.add(place, narrow, rows)) {
                Some(gross) => self.gross_max = self.gross_max.max(gross),
                None => self.set_odd(place),
            }
        }
        self.never = self.odd.len();
        self.sort(rows.underlyings(), draft);
    }

    /// Puts the pairs of a draft on their shelves.
    fn sort(&mut self, underlyings: usize, draft: &mut Draft) {
        let Draft { held: from, pairs, sizes, next } = draft;
        sizes.clear();
        sizes.resize(underlyings, [0; LISTS]);
        self.shelves.clear();
        self.shelves.resize(underlyings, Shelf::default());
        for pair in pairs.iter() {
            let (shelf, list) = (pair.underlying as usize, list(pair.held.len()));
            self.shelves[shelf].sums[list] += 1;
            sizes[shelf][list] += pair.held.len() as u32;
        }
        self.lay_out(sizes, next);
        for pair in pairs.iter() {
            let list = list(pair.held.len());
            let [held, slot, length] = &mut next[pair.underlying as usize][list];
            let to = *held as usize..*held as usize + pair.held.len();
            self.held[to].copy_from_slice(&from[pair.held.clone()]);
            self.slots[*slot as usize] = pair.slot;
            (*held, *slot) = (*held + pair.held.len() as u32, *slot + 1);
            if list + 1 == LISTS {
                self.lengths[*length as usize] = pair.held.len() as u32;
                *length += 1;
            }
        }
    }

    /// Finds where every list begins, and makes room for all.
    fn lay_out(&mut self, sizes: &[[u32; LISTS]], next: &mut Vec<[[u32; 3]; LISTS]>) {
        next.clear();
        next.resize(sizes.len(), [[0; 3]; LISTS]);
        let mut end = [0; 3];
        for ((shelf, next), sizes) in self.shelves.iter_mut().zip(next).zip(sizes) {
            [shelf.held, shelf.slot, shelf.length] = end;
            for (list, (next, size)) in next.iter_mut().zip(sizes).enumerate() {
                *next = end;
                let lengths = if list + 1 == LISTS { shelf.sums[list] } else { 0 };
                end = [end[0] + size, end[1] + shelf.sums[list], end[2] + lengths];
            }
        }
        let [held, slots, lengths] = end.map(|end| end as usize);
        self.held.resize(held, Held::default());
        self.slots.resize(slots, Slot(0));
        self.lengths.resize(lengths, 0);
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let words = self.slots.capacity() + self.lengths.capacity();
        let shelves = self.shelves.capacity() * size_of::<Shelf>();
        self.held.capacity() * size_of::<Held>() + words * 4 + shelves + self.odd.capacity() * 2
    }
}

impl Draft {
    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let by_underlying = self.sizes.capacity() * size_of::<[u32; LISTS]>()
            + self.next.capacity() * size_of::<[[u32; 3]; LISTS]>();
        self.held.capacity() * size_of::<Held>() + self.pairs.capacity() * size_of::<Pair>() + by_underlying
    }

    /// Adds the pairs of an account; gives its gross lots, to a power of two, or `None` where no plan takes it: it holds what
    /// has no row, or is so large that a small move would take it from the lanes.
    fn add(&mut self, place: usize, narrow: Narrow<'_>, rows: &Rows) -> Option<u64> {
        // Fewer than 2^32 positions of at most 2^32 lots.
        let gross = (narrow.held.len() as u64) << narrow.lots_bits;
        let known = narrow.held.last().is_none_or(|last| (last.instrument as usize) < rows.len());
        if !known || gross > rows.lots_max() / 4 {
            return None;
        }
        let (first, before) = (self.held.len(), self.pairs.len());
        self.held.extend_from_slice(narrow.held);
        let own = &mut self.held[first..];
        if !rows.grouped {
            own.sort_unstable_by_key(|held| (rows.underlying[held.instrument as usize], held.instrument));
        }
        let mut start = first;
        for group in own
            .chunk_by(|a, b| rows.underlying[a.instrument as usize] == rows.underlying[b.instrument as usize])
        {
            let Some(slot) = Slot::new(place, self.pairs.len() - before) else {
                self.held.truncate(first);
                self.pairs.truncate(before);
                return None;
            };
            let underlying = rows.underlying[group[0].instrument as usize];
            self.pairs.push(Pair { underlying, slot, held: start..start + group.len() });
            start += group.len();
        }
        Some(gross)
    }

    /// How many pairs each of so many accounts has.
    pub(super) fn pairs_of(&self, accounts: usize) -> impl Iterator<Item = usize> + '_ {
        let mut at = 0;
        (0..accounts).map(move |place| {
            let start = at;
            while self.pairs.get(at).is_some_and(|pair| pair.slot.place() == place) {
                at += 1;
            }
            at - start
        })
    }
}
