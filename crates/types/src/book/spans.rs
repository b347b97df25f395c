//! Where the cells of each account lie in an arena: spans that grow by moving, and the free spans they leave.
//!
//! Cells themselves are the owner's: this says which to move, so that parallel columns can share one layout.

/// The most cells an arena has.
pub(crate) const CELLS_MAX: usize = u32::MAX as usize - 1;

/// The cells of one account: `start..start + len`, with room to grow to `start + room`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
    /// `u32::MAX` marks an account that lives apart at full width; it has no cells.
    room: u32,
}

impl Span {
    /// An account whose values do not fit the cells.
    pub(crate) const APART: Self = Self { start: 0, len: 0, room: u32::MAX };

    #[inline(always)]
    pub(crate) fn is_apart(self) -> bool {
        self.room == u32::MAX
    }

    #[inline(always)]
    pub(crate) fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }

    pub(crate) fn is_full(self) -> bool {
        self.len >= self.room
    }
}

/// Spans by account, and free spans by size class.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans {
    spans: Vec<Span>,
    /// By class: spans with at least the class's room and less than the next one's. `len` is 0.
    free: Vec<Vec<Span>>,
    /// The first cell never given out.
    end: u32,
}

/// The room of a size class: 1, 2, 3, 4, 6, 8, 12, 16, 24, ... so that a span grows by a third or a half at a time.
const fn room_of(class: usize) -> usize {
    match class {
        0 => 1,
        n if n % 2 == 1 => 2 << (n / 2),
        n => 3 << (n / 2 - 1),
    }
}

/// The smallest class with at least this room; `room` > 0.
fn class_holding(room: usize) -> usize {
    (0..).find(|class| room_of(*class) >= room).unwrap_or(usize::MAX)
}

/// The largest class with at most this room; `room` > 0.
fn class_within(room: usize) -> usize {
    let holding = class_holding(room);
    if room_of(holding) == room { holding } else { holding - 1 }
}

impl Spans {
    pub(crate) fn with_capacity(accounts: usize) -> Self {
        Self { spans: Vec::with_capacity(accounts), ..Self::default() }
    }

    #[inline(always)]
    pub(crate) fn get(&self, account: usize) -> Option<Span> {
        self.spans.get(account).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// The first cell never given out: how many cells the owner must have.
    pub(crate) fn end(&self) -> usize {
        self.end as usize
    }

    /// One more account, with exactly `len` cells at the end. `None` when the arena is full.
    pub(crate) fn push(&mut self, len: usize) -> Option<Span> {
        let span = self.at_end(len)?;
        self.push_span(Span { len: span.room, ..span });
        self.spans.last().copied()
    }

    /// One more account that lives apart.
    pub(crate) fn push_apart(&mut self) {
        self.push_span(Span::APART);
    }

    /// Adds the accounts and free spans of another arena, whose cells the owner moves to the end. The caller has seen to
    /// it that both fit one arena.
    pub(crate) fn append(&mut self, other: Self) {
        let moved = |span: &Span| {
            if span.is_apart() { *span } else { Span { start: self.end + span.start, ..*span } }
        };
        reserve(&mut self.spans, other.spans.len());
        self.spans.extend(other.spans.iter().map(moved));
        let free: Vec<Span> = other.free.iter().flatten().map(moved).collect();
        self.end += other.end;
        for span in free {
            self.give_back(span);
        }
    }

    fn push_span(&mut self, span: Span) {
        reserve(&mut self.spans, 1);
        self.spans.push(span);
    }

    fn at_end(&mut self, room: usize) -> Option<Span> {
        let end = self.end().checked_add(room).filter(|end| *end <= CELLS_MAX)?;
        let span = Span { start: self.end, len: 0, room: u32::try_from(room).ok()? };
        self.end = u32::try_from(end).ok()?;
        Some(span)
    }

    /// A free span with at least this room: one left by another account, or a new one at the end.
    fn take(&mut self, room: usize) -> Option<Span> {
        let class = class_holding(room);
        match self.free.get_mut(class).and_then(Vec::pop) {
            Some(span) => Some(span),
            None => self.at_end(room_of(class)),
        }
    }

    fn give_back(&mut self, span: Span) {
        if span.room == 0 || span.is_apart() {
            return;
        }
        let class = class_within(span.room as usize);
        if self.free.len() <= class {
            self.free.resize_with(class + 1, Vec::new);
        }
        self.free[class].push(Span { len: 0, ..span });
    }

    /// Moves an account to a span with room for one cell more than it has; the owner must have [`Spans::end`] cells and
    /// copy the old cells to the start of the new. `None` when the arena is full.
    pub(crate) fn grow(&mut self, account: usize) -> Option<(Span, Span)> {
        let old = self.get(account)?;
        let new = self.take(old.len as usize + 1)?;
        let new = Span { len: old.len, ..new };
        self.spans[account] = new;
        self.give_back(old);
        Some((old, new))
    }

    /// Gives an account a span of `len` cells whose contents the owner writes, in place if they fit.
    pub(crate) fn replace(&mut self, account: usize, len: usize) -> Option<Span> {
        let old = self.get(account)?;
        let cells = u32::try_from(len).ok()?;
        let fits = !old.is_apart() && cells <= old.room;
        let new = if fits { old } else { self.take(len.max(1))? };
        if !fits {
            self.give_back(old);
        }
        self.spans[account] = Span { len: cells, ..new };
        self.get(account)
    }

    /// Frees the cells of an account that goes to live apart.
    pub(crate) fn part(&mut self, account: usize) {
        if let Some(old) = self.get(account) {
            self.give_back(old);
            self.spans[account] = Span::APART;
        }
    }

    /// Sets how many of its cells an account uses; at most its room.
    pub(crate) fn set_len(&mut self, account: usize, len: u32) {
        if let Some(span) = self.spans.get_mut(account) {
            span.len = len;
        }
    }

    pub(crate) fn shrink_to_fit(&mut self) {
        self.spans.shrink_to_fit();
        self.free.shrink_to_fit();
    }

    pub(crate) fn bytes(&self) -> usize {
        let free = self.free.iter().map(heap).sum::<usize>();
        heap(&self.spans) + heap(&self.free) + free
    }
}

/// Bytes that a vector has on the heap.
pub(crate) fn heap<T>(of: &Vec<T>) -> usize {
    of.capacity() * size_of::<T>()
}

/// Makes room for more by an eighth of what there is: a book of hundreds of megabytes is not to double for one entry,
/// and an element is still moved only some eight times in its life.
pub(crate) fn reserve<T>(of: &mut Vec<T>, more: usize) {
    if of.capacity() - of.len() < more {
        of.reserve_exact(more.max(of.len() / 8).max(8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_rise_and_hold_what_they_say() {
        assert_eq!((0..9).map(room_of).collect::<Vec<_>>(), [1, 2, 3, 4, 6, 8, 12, 16, 24]);
        for room in 1..5_000 {
            let (holding, within) = (class_holding(room), class_within(room));
            assert!(room_of(holding) >= room && room_of(within) <= room && holding - within <= 1);
        }
    }

    #[test]
    fn a_span_that_one_account_leaves_is_taken_by_the_next_that_needs_it() {
        let mut spans = Spans::default();
        spans.push(4).unwrap();
        spans.push(3).unwrap();
        let (left, _) = spans.grow(0).unwrap();
        let end = spans.end();
        let (_, taken) = spans.grow(1).unwrap();
        assert_eq!((taken.start, spans.end()), (left.start, end));
    }
}
