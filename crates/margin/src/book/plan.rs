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

/// What a chunk holds of one underlying: where it begins, and how many sums each list has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shelf {
    pub(super) held: u32,
    /// Its first sum.
    pub(super) sum: u32,
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
    /// Of each sum: the account's place in the chunk.
    pub(super) places: Vec<u16>,
    /// Of the sums in the last lists.
    pub(super) lengths: Vec<u32>,
    /// Account by account and there by underlying: which sum it is.
    index: Vec<u32>,
    /// Where that ends for each account.
    ends: Vec<u32>,
    /// Places of accounts that are summed from the book.
    pub(super) odd: Vec<u16>,
    /// By place: which of the odd ones, and one; 0 for planned ones.
    odd_at: Vec<u16>,
    /// How many of them no plan takes.
    never: usize,
}

/// The positions of one account in one underlying.
#[derive(Clone, Debug)]
struct Pair {
    underlying: u32,
    place: u16,
    held: Range<usize>,
}

/// Room for planning.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    held: Vec<Held>,
    pairs: Vec<Pair>,
    /// By underlying: positions of each list.
    sizes: Vec<[u32; LISTS]>,
    /// By underlying: where the next sum of each list goes, as positions, sums, lengths.
    next: Vec<[[u32; 3]; LISTS]>,
}

fn list(length: usize) -> usize {
    length.min(LISTS) - 1
}

impl Plan {
    /// Forgets everything; what was odd stays so.
    pub(super) fn clear(&mut self) {
        self.accounts = 0;
    }

    /// Which of the odd ones an account is; `None` for planned ones.
    #[inline(always)]
    pub(super) fn odd_at(&self, place: usize) -> Option<usize> {
        usize::from(*self.odd_at.get(place)?).checked_sub(1)
    }

    /// Whether an account is in the plan, and has not changed since.
    #[inline(always)]
    pub(super) fn is_planned(&self, place: usize) -> bool {
        self.odd_at.get(place) == Some(&0)
    }

    /// Which sums are those of a planned account, by rising underlying.
    pub(super) fn index_of(&self, place: usize) -> Option<&[u32]> {
        let end = *self.ends.get(place)? as usize;
        let start =
            place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.index.get(start..end)
    }

    /// From now on an account is summed from the book; gives which of the odd ones it is. Accounts after the last are new.
    pub(super) fn set_odd(&mut self, place: usize) -> usize {
        if self.odd_at.len() <= place {
            self.odd_at.resize(place + 1, 0);
        }
        if self.odd_at[place] == 0 {
            self.odd.push(place as u16);
            self.odd_at[place] = self.odd.len() as u16;
        }
        usize::from(self.odd_at[place]) - 1
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

    /// Plans a chunk anew.
    pub(super) fn make(&mut self, book: &Book, rows: &Rows, accounts: Range<usize>, draft: &mut Draft) {
        draft.held.clear();
        draft.pairs.clear();
        self.odd.clear();
        self.odd_at.clear();
        self.odd_at.resize(accounts.len(), 0);
        self.ends.clear();
        (self.accounts, self.gross_max) = (accounts.len(), 0);
        self.edits = book.last_edit_in(accounts.start / CHUNK);
        for (place, account) in accounts.enumerate() {
            match book.narrow(account).and_then(|narrow| draft.add(place, narrow, rows)) {
                Some(gross) => self.gross_max = self.gross_max.max(gross),
                None => {
                    self.set_odd(place);
                }
            }
            self.ends.push(draft.pairs.len() as u32);
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
        self.index.clear();
        for pair in pairs.iter() {
            let list = list(pair.held.len());
            let [held, sum, length] = &mut next[pair.underlying as usize][list];
            let to = *held as usize..*held as usize + pair.held.len();
            self.held[to].copy_from_slice(&from[pair.held.clone()]);
            self.places[*sum as usize] = pair.place;
            self.index.push(*sum);
            (*held, *sum) = (*held + pair.held.len() as u32, *sum + 1);
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
            [shelf.held, shelf.sum, shelf.length] = end;
            for (list, (next, size)) in next.iter_mut().zip(sizes).enumerate() {
                *next = end;
                let lengths = if list + 1 == LISTS { shelf.sums[list] } else { 0 };
                end = [end[0] + size, end[1] + shelf.sums[list], end[2] + lengths];
            }
        }
        let [held, sums, lengths] = end.map(|end| end as usize);
        self.held.resize(held, Held::default());
        self.places.resize(sums, 0);
        self.lengths.resize(lengths, 0);
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let words = self.lengths.capacity() + self.index.capacity() + self.ends.capacity();
        let places = self.places.capacity() + self.odd.capacity() + self.odd_at.capacity();
        let shelves = self.shelves.capacity() * size_of::<Shelf>();
        self.held.capacity() * size_of::<Held>() + words * 4 + shelves + places * 2
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
        let first = self.held.len();
        self.held.extend_from_slice(narrow.held);
        let own = &mut self.held[first..];
        let of = |held: &Held| rows.underlying[held.instrument as usize];
        if !rows.grouped {
            own.sort_unstable_by_key(|held| (of(held), held.instrument));
        }
        let mut start = first;
        for group in own.chunk_by(|a, b| of(a) == of(b)) {
            let held = start..start + group.len();
            start = held.end;
            self.pairs.push(Pair { underlying: of(&group[0]), place: place as u16, held });
        }
        Some(gross)
    }
}
