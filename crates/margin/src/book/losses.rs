//! Where scan losses are kept: chunk by chunk, with room that is used again.

use super::exact::Leg;
use super::plan::{Draft, Plan};
use crate::MarginError;
use plimsoll_types::{Book, Held};
use std::collections::BTreeMap;

/// Accounts in a chunk: a task of its own, whatever the number of threads.
pub(super) const CHUNK: usize = Book::BLOCK;

/// What an account has beside its losses in 64 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Apart {
    /// Some loss, or the sum, leaves 64 bits.
    Wide { losses: Vec<i128>, total: i128 },
    /// There is no answer.
    Failed(MarginError),
}

/// The losses of up to [`CHUNK`] accounts.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    /// Where the losses of each account end.
    pub(super) ends: Vec<u32>,
    pub(super) losses: Vec<i64>,
    pub(super) totals: Vec<i64>,
    pub(super) apart: BTreeMap<usize, Apart>,
    /// In which order their positions are summed.
    pub(super) plan: Plan,
    /// Room for the positions of one account in order of underlying, and for its losses at full width.
    pub(super) sorted: Vec<Held>,
    pub(super) legs: Vec<Leg>,
    pub(super) found: Vec<i128>,
}

impl Chunk {
    /// Forgets all losses, and keeps the room for those of so many accounts.
    pub(super) fn clear(&mut self, accounts: usize) {
        self.ends.clear();
        self.losses.clear();
        self.totals.clear();
        self.ends.reserve(accounts);
        self.totals.reserve(accounts);
    }

    /// Ends the losses of the next account.
    #[inline(always)]
    pub(super) fn close(&mut self, total: i64) {
        self.ends.push(place(self.losses.len()));
        self.totals.push(total);
    }

    /// Forgets what an account had apart.
    #[inline(always)]
    pub(super) fn clear_apart(&mut self, account: usize) {
        if !self.apart.is_empty() {
            self.apart.remove(&account);
        }
    }

    /// Appends losses of any width; gives their sum, saturated.
    pub(super) fn keep(&mut self, account: usize, found: &[i128], total: i128) -> i64 {
        let saturated = |x: i128| i64::try_from(x).unwrap_or(i64::MAX);
        self.losses.extend(found.iter().map(|loss| saturated(*loss)));
        if i64::try_from(total).is_ok() {
            // No loss is above the sum.
            self.clear_apart(account);
        } else if let Some(Apart::Wide { losses, total: kept }) = self.apart.get_mut(&account) {
            losses.clear();
            losses.extend_from_slice(found);
            *kept = total;
        } else {
            self.apart.insert(account, Apart::Wide { losses: found.to_vec(), total });
        }
        saturated(total)
    }

    fn span(&self, place: usize) -> Option<std::ops::Range<usize>> {
        let end = *self.ends.get(place)? as usize;
        let start =
            place.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        Some(start..end)
    }

    /// Puts the losses that were just appended in the place of an account, or after the last.
    pub(super) fn put(&mut self, place: usize, total: i64) {
        let Some(span) = self.span(place) else {
            return self.close(total);
        };
        let fresh = self.losses.len() - self.ends.last().map_or(0, |end| *end as usize);
        if fresh == span.len() {
            let end = self.losses.len() - fresh;
            self.losses.copy_within(end.., span.start);
            self.losses.truncate(end);
            self.totals[place] = total;
            return;
        }
        if let Some(rest) = self.losses.get_mut(span.start..) {
            rest.rotate_right(fresh);
        }
        self.losses.drain(span.start + fresh..span.end + fresh);
        for end in self.ends.iter_mut().skip(place) {
            *end = place_moved(*end, span.len(), fresh);
        }
        if let Some(slot) = self.totals.get_mut(place) {
            *slot = total;
        }
    }

    fn bytes(&self) -> usize {
        self.ends.capacity() * 4 + (self.losses.capacity() + self.totals.capacity()) * 8 + self.plan.bytes()
    }
}

/// A chunk has fewer than 2^32 losses: an account has at most one per instrument.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn place_moved(end: u32, old: usize, new: usize) -> u32 {
    place((end as usize + new).saturating_sub(old))
}

/// The scan losses of an account, by rising underlying among those it holds, in ticks; >= 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Losses<'a> {
    /// All of them and their sum in 64 bits.
    Narrow(&'a [i64]),
    /// Some of them or their sum leaves 64 bits.
    Wide(&'a [i128]),
}

impl Losses<'_> {
    /// At full width.
    pub fn iter(&self) -> impl Iterator<Item = i128> + '_ {
        let (narrow, wide) = match self {
            Losses::Narrow(losses) => (*losses, &[][..]),
            Losses::Wide(losses) => (&[][..], *losses),
        };
        narrow.iter().map(|loss| i128::from(*loss)).chain(wide.iter().copied())
    }
}

/// The scan losses of every account of a book, per underlying held and in sum. To be used again from tick to tick: then
/// nothing is allocated. Equal when the numbers are.
#[derive(Clone, Debug, Default)]
pub struct ScanLosses {
    pub(super) chunks: Vec<Chunk>,
    pub(super) accounts: usize,
    /// What the plans are of: the book, and the underlying of each instrument.
    pub(super) book: u64,
    pub(super) underlying: Vec<u32>,
    /// Room for planning.
    pub(super) drafts: Vec<Draft>,
}

impl ScanLosses {
    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.accounts
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.accounts == 0
    }

    fn chunk(&self, account: usize) -> Option<(&Chunk, usize)> {
        let chunk = self.chunks.get(account / CHUNK).filter(|_| account < self.accounts)?;
        Some((chunk, account % CHUNK))
    }

    /// The losses of an account, or why it has none; `None` past the end.
    pub fn account(&self, account: usize) -> Option<Result<Losses<'_>, &MarginError>> {
        let (chunk, place) = self.chunk(account)?;
        match chunk.apart.get(&account) {
            Some(Apart::Wide { losses, .. }) => Some(Ok(Losses::Wide(losses))),
            Some(Apart::Failed(error)) => Some(Err(error)),
            None => Some(Ok(Losses::Narrow(chunk.losses.get(chunk.span(place)?)?))),
        }
    }

    /// The sum of the losses of an account in ticks, or why it has none; `None` past the end.
    pub fn total(&self, account: usize) -> Option<Result<i128, &MarginError>> {
        let (chunk, place) = self.chunk(account)?;
        match chunk.apart.get(&account) {
            Some(Apart::Wide { total, .. }) => Some(Ok(*total)),
            Some(Apart::Failed(error)) => Some(Err(error)),
            None => chunk.totals.get(place).map(|total| Ok(i128::from(*total))),
        }
    }

    /// How many losses there are: pairs of an account and an underlying it holds.
    pub fn pairs(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.losses.len()).sum()
    }

    /// Bytes on the heap, but for accounts whose losses leave 64 bits or that have none.
    pub fn bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| size_of::<Chunk>() + chunk.bytes()).sum();
        chunks + self.drafts.iter().map(Draft::bytes).sum::<usize>() + self.underlying.capacity() * 4
    }
}

impl PartialEq for ScanLosses {
    fn eq(&self, other: &Self) -> bool {
        let same = |account| {
            self.account(account) == other.account(account) && self.total(account) == other.total(account)
        };
        self.accounts == other.accounts && (0..self.accounts).all(same)
    }
}

impl Eq for ScanLosses {}
