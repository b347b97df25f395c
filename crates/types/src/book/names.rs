//! The names of accounts in one text, found by binary search.

use super::spans::{heap, reserve};
use crate::AccountId;

/// Names by account. The first `ordered` rise strictly; accounts added out of order come after them, and `late` has their
/// places by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<u32>,
    ordered: usize,
    late: Vec<u32>,
}

impl Names {
    pub(crate) fn with_capacity(accounts: usize) -> Self {
        Self { ends: Vec::with_capacity(accounts), ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, account: usize) -> Option<&str> {
        let end = *self.ends.get(account)? as usize;
        let start =
            account.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        self.text.get(start..end)
    }

    pub(crate) fn id(&self, account: usize) -> Option<AccountId> {
        self.get(account).map(AccountId::of_known)
    }

    /// The place of a name: among the ordered ones, else among the late ones.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.ordered);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle)? < name { low = middle + 1 } else { high = middle }
        }
        if low < self.ordered && self.get(low) == Some(name) {
            return Some(low);
        }
        let at = self.late.partition_point(|place| self.get(*place as usize).is_some_and(|late| late < name));
        let place = *self.late.get(at)? as usize;
        (self.get(place) == Some(name)).then_some(place)
    }

    /// The greatest name.
    pub(crate) fn last(&self) -> Option<&str> {
        let ordered = self.ordered.checked_sub(1).and_then(|place| self.get(place));
        ordered.max(self.late.last().and_then(|place| self.get(*place as usize)))
    }

    /// The end of the text with this name, and the place it would have. `None` at the limit of 32 bits of either.
    fn next(&self, name: &str) -> Option<(u32, u32)> {
        Some((u32::try_from(self.text.len() + name.len()).ok()?, u32::try_from(self.len()).ok()?))
    }

    /// Whether there is room for a name.
    pub(crate) fn fits(&self, name: &str) -> bool {
        self.next(name).is_some()
    }

    /// Adds a name that is not there yet and that fits.
    pub(crate) fn add(&mut self, name: &str) {
        let place = self.len();
        let Some((end, late)) = self.next(name) else {
            return;
        };
        if self.ordered == place && self.last().is_none_or(|last| last < name) {
            self.ordered += 1;
        } else {
            let at = self
                .late
                .partition_point(|place| self.get(*place as usize).is_some_and(|other| other < name));
            self.late.insert(at, late);
        }
        if self.text.capacity() - self.text.len() < name.len() {
            self.text.reserve_exact(name.len().max(self.text.len() / 8).max(64));
        }
        self.text.push_str(name);
        reserve(&mut self.ends, 1);
        self.ends.push(end);
    }

    /// Whether the names of another book, all in order, come behind these and fit.
    pub(crate) fn precede(&self, other: &Self) -> bool {
        let fits = u32::try_from(self.text.len() + other.text.len()).is_ok()
            && u32::try_from(self.len() + other.len()).is_ok();
        fits && other.late.is_empty()
            && other.get(0).is_none_or(|first| self.last().is_none_or(|last| last < first))
    }

    /// Adds names that [`Names::precede`] has seen. Those among them that were ordered stay so.
    pub(crate) fn append(&mut self, other: &Self) {
        let start = self.text.len() as u32;
        if self.late.is_empty() {
            self.ordered += other.len();
        } else {
            self.late.extend((self.len()..self.len() + other.len()).map(|place| place as u32));
        }
        if self.text.capacity() - self.text.len() < other.text.len() {
            self.text.reserve_exact(other.text.len().max(self.text.len() / 8));
        }
        self.text.push_str(&other.text);
        reserve(&mut self.ends, other.len());
        self.ends.extend(other.ends.iter().map(|end| start + end));
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
        self.late.shrink_to_fit();
    }

    pub(crate) fn bytes(&self) -> usize {
        self.text.capacity() + heap(&self.ends) + heap(&self.late)
    }
}
