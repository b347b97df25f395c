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
    /// In which order positions are summed.
    pub(super) plan: Plan,
    /// The losses of planned accounts, in that order.
    pub(super) losses: Vec<i64>,
    /// The losses of odd accounts, in the order of [`Plan::odd`]; room beyond them.
    pub(super) odd: Vec<Vec<i64>>,
    /// Of every account.
    pub(super) totals: Vec<i64>,
    pub(super) apart: BTreeMap<usize, Apart>,
    /// Room for the positions of one account in order of underlying, and for its losses at full width.
    pub(super) sorted: Vec<Held>,
    pub(super) legs: Vec<Leg>,
    pub(super) found: Vec<i128>,
}

impl Chunk {
    /// Forgets what an account had apart.
    #[inline(always)]
    pub(super) fn clear_apart(&mut self, account: usize) {
        if !self.apart.is_empty() {
            self.apart.remove(&account);
        }
    }

    /// Appends losses of any width to `losses`; gives their sum, saturated.
    pub(super) fn keep(&mut self, account: usize, found: &[i128], total: i128, losses: &mut Vec<i64>) -> i64 {
        let saturated = |x: i128| i64::try_from(x).unwrap_or(i64::MAX);
        losses.extend(found.iter().map(|loss| saturated(*loss)));
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

    /// Makes an account odd, if it is not, and gives its place among the odd ones.
    pub(super) fn make_odd(&mut self, place: usize) -> usize {
        let odd = self.plan.set_odd(place);
        if self.odd.len() <= odd {
            self.odd.resize_with(odd + 1, Vec::new);
        }
        if self.totals.len() <= place {
            self.totals.resize(place + 1, 0);
        }
        odd
    }

    /// The losses of an account that fit 64 bits, in order of underlying.
    fn of(&self, place: usize) -> Option<Kept<'_>> {
        match self.plan.odd_at(place) {
            Some(odd) => self.odd.get(odd).map(|losses| Kept::Odd(losses)),
            None => Some(Kept::Planned(&self.losses, self.plan.index_of(place)?)),
        }
    }

    fn pairs(&self) -> usize {
        let planned = |place: &usize| self.plan.odd_at(*place).is_none();
        let of = |place: usize| self.plan.index_of(place).map_or(0, <[u32]>::len);
        let odd = self.odd.iter().take(self.plan.odd.len()).map(Vec::len).sum::<usize>();
        odd + (0..self.totals.len()).filter(planned).map(of).sum::<usize>()
    }

    fn bytes(&self) -> usize {
        let odd = self.odd.iter().map(|losses| losses.capacity() * 8).sum::<usize>();
        (self.losses.capacity() + self.totals.capacity()) * 8 + odd + self.plan.bytes()
    }
}

#[derive(Clone, Copy, Debug)]
enum Kept<'a> {
    /// All losses of a plan, and the places of one account's.
    Planned(&'a [i64], &'a [u32]),
    /// Those of one account.
    Odd(&'a [i64]),
    /// Some of them or their sum leaves 64 bits.
    Wide(&'a [i128]),
}

/// The scan losses of an account, by rising underlying among those it holds, in ticks; >= 0.
#[derive(Clone, Copy, Debug)]
pub struct Losses<'a>(Kept<'a>);

impl<'a> Losses<'a> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Kept::Planned(_, index) => index.len(),
            Kept::Odd(losses) => losses.len(),
            Kept::Wide(losses) => losses.len(),
        }
    }

    /// Whether the account holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether some of them or their sum leaves 64 bits.
    pub fn is_wide(&self) -> bool {
        matches!(self.0, Kept::Wide(_))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = i128> + 'a {
        let kept = self.0;
        (0..self.len()).map(move |i| match kept {
            Kept::Planned(losses, index) => i128::from(losses[index[i] as usize]),
            Kept::Odd(losses) => i128::from(losses[i]),
            Kept::Wide(losses) => losses[i],
        })
    }
}

impl PartialEq for Losses<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Losses<'_> {}

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
            Some(Apart::Wide { losses, .. }) => Some(Ok(Losses(Kept::Wide(losses)))),
            Some(Apart::Failed(error)) => Some(Err(error)),
            None => chunk.of(place).map(|kept| Ok(Losses(kept))),
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
        self.chunks.iter().map(Chunk::pairs).sum()
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
