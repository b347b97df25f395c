//! A book out of a snapshot and the changes around it.

use super::Market;
use crate::refusal::refuse;
use crate::{Book, Reason, Refusal, Side};
use plimsoll_types::{Decimal, Timestamp};
use std::collections::VecDeque;

/// Changes that are kept while a snapshot is waited for: more than three minutes of them.
const WAITING_MAX: usize = 2000;

/// Prices and amounts of both sides.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Levels {
    pub(super) bids: Vec<(Decimal, Decimal)>,
    pub(super) asks: Vec<(Decimal, Decimal)>,
}

/// A change of a book, with the numbers it spans.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Change {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) before: Option<u64>,
    pub(super) time: Timestamp,
    pub(super) levels: Levels,
}

/// How far a book is.
#[derive(Clone, PartialEq, Debug)]
enum Stand {
    /// A snapshot is waited for, asked for at that instant.
    Waiting(Option<Timestamp>),
    /// A snapshot of that number is there, and no change was applied to it.
    Fresh(u64),
    /// The last change.
    Following(u64),
}

/// A book being kept in step.
#[derive(Clone, Debug)]
pub(super) struct Sync {
    market: Market,
    book: Book,
    stand: Stand,
    waiting: VecDeque<Change>,
}

impl Sync {
    pub(super) fn new(market: Market) -> Self {
        Self { market, book: Book::default(), stand: Stand::Waiting(None), waiting: VecDeque::new() }
    }

    pub(super) fn book(&self) -> &Book {
        &self.book
    }

    /// Whether a snapshot is to be asked for now; takes note that it is.
    pub(super) fn wants_snapshot(&mut self, at: Timestamp, seconds: i64) -> bool {
        let Stand::Waiting(asked) = &mut self.stand else { return false };
        let due = asked.is_none_or(|asked| at >= asked.plus_seconds(seconds));
        if due {
            *asked = Some(at);
        }
        due
    }

    /// Takes a change; whether the book shows something new.
    pub(super) fn change(&mut self, change: Change) -> Result<bool, Refusal> {
        if matches!(self.stand, Stand::Waiting(_)) {
            if self.waiting.len() >= WAITING_MAX {
                self.waiting.pop_front();
            }
            self.waiting.push_back(change);
            return Ok(false);
        }
        let applied = self.apply(&change);
        if applied.is_err() {
            // It may be the first of what the next snapshot is in.
            self.lose();
            self.waiting.push_back(change);
        }
        applied
    }

    /// Takes a snapshot and the changes that waited for it: the time of the last one applied. One that is too old for them, as those
    /// out of a cache are, is asked for again later, not at once.
    pub(super) fn snapshot(
        &mut self,
        number: u64,
        levels: &Levels,
        at: Timestamp,
    ) -> Result<Option<Timestamp>, Refusal> {
        if !matches!(self.stand, Stand::Waiting(_)) {
            return refuse(Reason::Duplicate, format_args!("snapshot {number} of a book that is in step"));
        }
        self.book = Book::default();
        self.set(levels);
        self.stand = Stand::Fresh(number);
        let mut latest = None;
        while let Some(change) = self.waiting.pop_front() {
            match self.apply(&change) {
                Ok(true) => latest = Some(change.time),
                Ok(false) => {}
                Err(refusal) => {
                    self.waiting.push_front(change);
                    self.book = Book::default();
                    self.stand = Stand::Waiting(Some(at));
                    return Err(refusal);
                }
            }
        }
        Ok(latest)
    }

    fn lose(&mut self) {
        self.book = Book::default();
        self.stand = Stand::Waiting(None);
        self.waiting.clear();
    }

    fn set(&mut self, levels: &Levels) {
        for (side, levels) in [(Side::Bid, &levels.bids), (Side::Ask, &levels.asks)] {
            for (price, amount) in levels {
                self.book.set(side, *price, *amount);
            }
        }
    }

    /// Applies a change that comes next; one that the snapshot has in it is passed over.
    fn apply(&mut self, change: &Change) -> Result<bool, Refusal> {
        let Change { first, last, before, .. } = change;
        let gap = |stand: u64| {
            refuse(Reason::Gap, format_args!("changes {first} to {last}, before {before:?}, after {stand}"))
        };
        let next = match (self.stand.clone(), self.market) {
            (Stand::Waiting(_), _) => return Ok(false),
            (Stand::Fresh(number), Market::UsdM) if *last < number => return Ok(false),
            (Stand::Fresh(number), Market::Spot) if *last <= number => return Ok(false),
            (Stand::Fresh(number), Market::UsdM) => (*first <= number || *before == Some(number), number),
            (Stand::Fresh(number), Market::Spot) => (*first <= number.saturating_add(1), number),
            (Stand::Following(stand), Market::UsdM) => (*before == Some(stand), stand),
            (Stand::Following(stand), Market::Spot) => (*first == stand.saturating_add(1), stand),
        };
        if let (false, stand) = next {
            return gap(stand);
        }
        self.set(&change.levels);
        self.stand = Stand::Following(*last);
        Ok(true)
    }
}
