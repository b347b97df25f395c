//! A whole book: what a million accounts hold, compactly, and changing while prices arrive.
//!
//! **The one idea:** a position that fits is eight bytes, `{instrument, lots}`, in one arena, the positions of an account
//! side by side; an account grows by moving to a larger free span. Accounts with any number that does not fit live apart
//! at full width, and every way to look at an account's positions says which of the two it is.
//!
//! Accounts are known by their index, which never changes: pushed accounts rise by name, and one inserted out of order
//! takes the next index. A closed account stays, empty.

mod collateral;
mod edits;
mod names;
mod spans;

pub use collateral::{Deposit, Deposits};

use crate::{AccountId, Asset, Holding, InstrumentIx, Lots, Order, Portfolio, Position, Ticks};
use collateral::Collateral;
use edits::{Edits, Identity};
use names::Names;
use spans::{Span, Spans, heap, reserve};
use std::collections::BTreeMap;

/// Why a book is malformed, or a change of it refused. Nothing has changed then.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BookError {
    /// Accounts are not in strictly rising order.
    #[error("account {account} is out of order or twice in the book")]
    Accounts {
        /// The account.
        account: AccountId,
    },
    /// Positions of an account are not in strictly rising order of instrument.
    #[error("account {account} has its positions out of order or twice")]
    Positions {
        /// The account.
        account: AccountId,
    },
    /// There is no account of this index.
    #[error("account number {index} is not among the {accounts} of the book")]
    NoAccount {
        /// The index asked for.
        index: usize,
        /// Accounts there are.
        accounts: usize,
    },
    /// The book is at its limit of 2^32 accounts, positions, holdings or bytes of names.
    #[error("no more {what} fit in the book, which has {accounts} accounts")]
    Full {
        /// What has no room.
        what: &'static str,
        /// Accounts there are.
        accounts: usize,
    },
}

/// A position in eight bytes: instrument and lots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    /// The row of the risk arrays ([`InstrumentIx`]).
    pub instrument: u32,
    /// Signed lots; long > 0.
    pub lots: i32,
}

/// The positions of an account whose numbers fit: lots in 32 bits, unrealised profit in 64.
#[derive(Clone, Copy, Debug)]
pub struct Narrow<'a> {
    /// Positions, in strictly rising order of instrument.
    pub held: &'a [Held],
    /// Unrealised profit of each position in ticks, rounded down; empty when nobody in the book has any.
    pub unrealised: &'a [i64],
    /// `|lots| < 2^lots_bits` for every position: an upper bound, not always the least.
    pub lots_bits: u32,
}

/// The positions of an account, as stored.
#[derive(Clone, Copy, Debug)]
pub enum Holdings<'a> {
    /// Compact.
    Narrow(Narrow<'a>),
    /// At full width: some lots or some unrealised profit do not fit.
    Wide(&'a [Position]),
}

/// A whole book.
///
/// ```
/// use plimsoll_types::*;
/// let position = |ix, lots| Position { instrument: InstrumentIx(ix), lots: Lots(lots), unrealised: Ticks(0) };
/// let mut book = Book::default();
/// book.push("alice".parse()?, &[position(0, 5), position(7, -2)], vec![], vec![])?;
/// book.set_position(0, position(3, 1))?;
/// book.set_position(0, position(0, 0))?;
/// let held: Vec<_> = book.portfolio(0).unwrap().positions.iter().map(|p| (p.instrument.0, p.lots.0)).collect();
/// assert_eq!(held, [(3, 1), (7, -2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Book {
    names: Names,
    spans: Spans,
    held: Vec<Held>,
    /// As long as `held`, or empty while no position has any.
    unrealised: Vec<i64>,
    /// `|lots| < 2^bits` of each account; it only grows while the account is changed position by position.
    lots_bits: Vec<u8>,
    /// Accounts that do not fit the arena.
    apart: BTreeMap<u32, Vec<Position>>,
    count: usize,
    collateral: Collateral,
    orders: BTreeMap<u32, Vec<Order>>,
    identity: Identity,
    edits: Edits,
}

/// About what an entry of a `BTreeMap` by account takes: nodes are at least half full.
fn node_bytes<V>() -> usize {
    2 * (size_of::<u32>() + size_of::<V>()) + 8
}

/// The bits of `|lots|`.
fn bits(lots: i32) -> u8 {
    let bits = u32::BITS - lots.unsigned_abs().leading_zeros();
    u8::try_from(bits).unwrap_or(u8::MAX)
}

/// A position in the compact form; `None` when it does not fit.
fn narrowed(position: &Position) -> Option<(Held, i64)> {
    let lots = i32::try_from(position.lots.0).ok()?;
    let unrealised = i64::try_from(position.unrealised.0).ok()?;
    Some((Held { instrument: position.instrument.0, lots }, unrealised))
}

fn widened(held: Held, unrealised: i64) -> Position {
    Position {
        instrument: InstrumentIx(held.instrument),
        lots: Lots(i64::from(held.lots)),
        unrealised: Ticks(i128::from(unrealised)),
    }
}

impl<'a> Narrow<'a> {
    /// Unrealised profit of the `place`-th position, in ticks.
    pub fn unrealised(&self, place: usize) -> i64 {
        self.unrealised.get(place).copied().unwrap_or(0)
    }

    /// The positions at full width.
    pub fn positions(self) -> impl Iterator<Item = Position> + 'a {
        self.held.iter().enumerate().map(move |(i, held)| widened(*held, self.unrealised(i)))
    }
}

impl Holdings<'_> {
    /// The positions at full width, copied out.
    pub fn to_positions(self) -> Vec<Position> {
        match self {
            Self::Narrow(narrow) => narrow.positions().collect(),
            Self::Wide(positions) => positions.to_vec(),
        }
    }

    /// How many positions there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Narrow(narrow) => narrow.held.len(),
            Self::Wide(positions) => positions.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Building and changing.
impl Book {
    /// An empty book with room for so many accounts and positions.
    pub fn with_capacity(accounts: usize, positions: usize) -> Self {
        Self {
            names: Names::with_capacity(accounts),
            spans: Spans::with_capacity(accounts),
            held: Vec::with_capacity(positions),
            lots_bits: Vec::with_capacity(accounts),
            collateral: Collateral::with_capacity(accounts),
            edits: Edits::with_capacity(accounts),
            ..Self::default()
        }
    }

    /// Packs portfolios, which must come in strictly rising order of account, with positions in strictly rising
    /// order of instrument.
    pub fn pack(portfolios: impl IntoIterator<Item = Portfolio>) -> Result<Self, BookError> {
        let mut book = Self::default();
        for Portfolio { account, positions, collateral, orders } in portfolios {
            book.push(account, &positions, collateral, orders)?;
        }
        book.shrink_to_fit();
        Ok(book)
    }

    /// Adds an account with a name above all others; its index is the length before. Positions must be in strictly
    /// rising order of instrument.
    pub fn push(
        &mut self,
        account: AccountId,
        positions: &[Position],
        collateral: Vec<Holding>,
        orders: Vec<Order>,
    ) -> Result<(), BookError> {
        if self.names.last().is_some_and(|last| last >= account.as_str()) {
            return Err(BookError::Accounts { account });
        }
        self.add(account, positions, collateral, orders)
    }

    /// Adds the accounts of another book, in its order and with all they hold; their indices rise by the length before.
    /// Their names must rise and be above all others, as with [`Book::push`]. Costs a copy of the columns, so that a
    /// large book can be put together of parts that were made side by side.
    ///
    /// # Errors
    /// As [`Book::push`] of its accounts one by one; those before the one refused are then there.
    pub fn append(&mut self, other: Self) -> Result<(), BookError> {
        let fits = self.held.len() + other.held.len() <= spans::CELLS_MAX
            && self.collateral.fits(&other.collateral)
            && self.names.precede(&other.names);
        if !fits {
            let each = |p: Portfolio| self.push(p.account, &p.positions, p.collateral, p.orders);
            return other.iter().try_for_each(each);
        }
        let (accounts, cells) = (self.len() as u32, self.held.len());
        self.names.append(&other.names);
        self.spans.append(other.spans);
        reserve(&mut self.held, other.held.len());
        self.held.extend_from_slice(&other.held);
        if !(self.unrealised.is_empty() && other.unrealised.is_empty()) {
            self.unrealised.resize(cells, 0);
            reserve(&mut self.unrealised, other.held.len());
            self.unrealised.extend_from_slice(&other.unrealised);
            self.unrealised.resize(self.held.len(), 0);
        }
        reserve(&mut self.lots_bits, other.lots_bits.len());
        self.lots_bits.extend_from_slice(&other.lots_bits);
        self.apart.extend(other.apart.into_iter().map(|(account, all)| (accounts + account, all)));
        self.count += other.count;
        self.collateral.append(other.collateral);
        self.orders.extend(other.orders.into_iter().map(|(account, all)| (accounts + account, all)));
        (accounts as usize..self.len()).for_each(|account| self.edits.note(account));
        Ok(())
    }

    /// Adds an account wherever its name falls and returns its index, the length before: indices do not move, so
    /// accounts inserted out of order come last in [`Book::iter`]. Costs a search by name and a move of the places of
    /// the other accounts inserted out of order. To build a whole book, sort and [`Book::push`].
    pub fn insert(
        &mut self,
        account: AccountId,
        positions: &[Position],
        collateral: Vec<Holding>,
        orders: Vec<Order>,
    ) -> Result<usize, BookError> {
        if self.find(&account).is_some() {
            return Err(BookError::Accounts { account });
        }
        let index = self.len();
        self.add(account, positions, collateral, orders).map(|()| index)
    }

    fn add(
        &mut self,
        account: AccountId,
        positions: &[Position],
        collateral: Vec<Holding>,
        orders: Vec<Order>,
    ) -> Result<(), BookError> {
        if !positions.is_sorted_by(|a, b| a.instrument < b.instrument) {
            return Err(BookError::Positions { account });
        }
        let full = |what| BookError::Full { what, accounts: self.names.len() };
        let key = u32::try_from(self.len()).map_err(|_| full("accounts"))?;
        if self.held.len() + positions.len() > spans::CELLS_MAX {
            return Err(full("positions"));
        }
        let full_collateral = full("collateral");
        let full_names = full("names");
        if !self.names.fits(account.as_str()) {
            return Err(full_names);
        }
        if !self.collateral.push(collateral) {
            return Err(full_collateral);
        }
        self.names.add(account.as_str());
        self.push_positions(key, positions);
        self.edits.note(key as usize);
        self.count += positions.len();
        if !orders.is_empty() {
            self.orders.insert(key, orders);
        }
        Ok(())
    }

    /// The positions of a new account; the caller has seen to it that they fit in number.
    fn push_positions(&mut self, key: u32, positions: &[Position]) {
        let start = self.held.len();
        reserve(&mut self.held, positions.len());
        let mut magnitude = 0;
        for position in positions {
            let Some((held, unrealised)) = narrowed(position) else {
                break;
            };
            self.held.push(held);
            magnitude = magnitude.max(bits(held.lots));
            self.push_unrealised(unrealised);
        }
        reserve(&mut self.lots_bits, 1);
        self.lots_bits.push(magnitude);
        if self.held.len() - start == positions.len() && self.spans.push(positions.len()).is_some() {
            return;
        }
        self.held.truncate(start);
        self.unrealised.truncate(start);
        self.spans.push_apart();
        self.apart.insert(key, positions.to_vec());
    }

    /// The unrealised profit of the position that was just added to `held`.
    fn push_unrealised(&mut self, unrealised: i64) {
        if self.unrealised.is_empty() {
            if unrealised != 0 {
                self.start_unrealised();
                if let Some(last) = self.unrealised.last_mut() {
                    *last = unrealised;
                }
            }
        } else {
            reserve(&mut self.unrealised, 1);
            self.unrealised.push(unrealised);
        }
    }

    /// Begins to keep unrealised profit: zero for every cell there is.
    fn start_unrealised(&mut self) {
        self.unrealised = vec![0; self.held.len()];
    }

    /// Sets a position of an account: adds it in its place, replaces the one on the same instrument, or, with zero lots
    /// and no unrealised profit, removes it. Costs a binary search and a move of the positions behind it; a full span
    /// moves to one a third to a half larger. No other account is touched.
    pub fn set_position(&mut self, account: usize, position: Position) -> Result<(), BookError> {
        let span = self.span(account)?;
        self.edits.note(account);
        if span.is_apart() {
            return self.set_apart(account, position);
        }
        let Some((held, unrealised)) = narrowed(&position) else {
            self.part(account)?;
            return self.set_apart(account, position);
        };
        let cells = self.held.get(span.range()).unwrap_or(&[]);
        let at = cells.binary_search_by_key(&held.instrument, |cell| cell.instrument);
        let gone = held.lots == 0 && unrealised == 0;
        match at {
            Ok(at) if gone => self.cut(account, span, at),
            Ok(at) => self.write(account, span.range().start + at, held, unrealised),
            Err(_) if gone => {}
            Err(at) => {
                let span = if span.is_full() { self.grow(account)? } else { span };
                self.open(account, span, at);
                self.write(account, span.range().start + at, held, unrealised);
            }
        }
        Ok(())
    }

    fn span(&self, account: usize) -> Result<Span, BookError> {
        self.spans.get(account).ok_or(BookError::NoAccount { index: account, accounts: self.len() })
    }

    fn write(&mut self, account: usize, cell: usize, held: Held, unrealised: i64) {
        if let Some(slot) = self.held.get_mut(cell) {
            *slot = held;
        }
        if unrealised != 0 && self.unrealised.is_empty() {
            self.start_unrealised();
        }
        if let Some(slot) = self.unrealised.get_mut(cell) {
            *slot = unrealised;
        }
        if let Some(magnitude) = self.lots_bits.get_mut(account) {
            *magnitude = (*magnitude).max(bits(held.lots));
        }
    }

    /// Takes out the cell at `at`.
    fn cut(&mut self, account: usize, span: Span, at: usize) {
        let cells = span.range();
        self.held.copy_within(cells.start + at + 1..cells.end, cells.start + at);
        if !self.unrealised.is_empty() {
            self.unrealised.copy_within(cells.start + at + 1..cells.end, cells.start + at);
        }
        self.spans.set_len(account, span.len - 1);
        self.count -= 1;
        if span.len == 1 {
            self.lots_bits[account] = 0;
        }
    }

    /// Opens a cell at `at`; the span has room for it.
    fn open(&mut self, account: usize, span: Span, at: usize) {
        let cells = span.range();
        self.held.copy_within(cells.start + at..cells.end, cells.start + at + 1);
        if !self.unrealised.is_empty() {
            self.unrealised.copy_within(cells.start + at..cells.end, cells.start + at + 1);
        }
        self.spans.set_len(account, span.len + 1);
        self.count += 1;
    }

    fn grow(&mut self, account: usize) -> Result<Span, BookError> {
        let full = BookError::Full { what: "positions", accounts: self.len() };
        let (old, new) = self.spans.grow(account).ok_or(full)?;
        self.extend();
        self.held.copy_within(old.range(), new.range().start);
        if !self.unrealised.is_empty() {
            self.unrealised.copy_within(old.range(), new.range().start);
        }
        Ok(new)
    }

    /// Makes the columns as long as the spans say.
    fn extend(&mut self) {
        let end = self.spans.end();
        let more = end.saturating_sub(self.held.len());
        reserve(&mut self.held, more);
        self.held.resize(end, Held::default());
        if !self.unrealised.is_empty() {
            reserve(&mut self.unrealised, more);
            self.unrealised.resize(end, 0);
        }
    }

    /// Moves an account out of the arena.
    fn part(&mut self, account: usize) -> Result<(), BookError> {
        let full = BookError::Full { what: "accounts", accounts: self.len() };
        let key = u32::try_from(account).map_err(|_| full)?;
        let positions = self.holdings(account).map(Holdings::to_positions).unwrap_or_default();
        self.spans.part(account);
        self.apart.insert(key, positions);
        Ok(())
    }

    /// Sets a position of an account that lives apart, and takes it back into the arena once all of it fits.
    fn set_apart(&mut self, account: usize, position: Position) -> Result<(), BookError> {
        let missing = BookError::NoAccount { index: account, accounts: self.len() };
        let found = u32::try_from(account).ok().and_then(|key| self.apart.get_mut(&key));
        let Some(positions) = found else {
            return Err(missing);
        };
        let at = positions.binary_search_by_key(&position.instrument, |p| p.instrument);
        let gone = position.lots.0 == 0 && position.unrealised.0 == 0;
        match at {
            Ok(at) if gone => {
                positions.remove(at);
                self.count -= 1;
            }
            Ok(at) => positions[at] = position,
            Err(_) if gone => {}
            Err(at) => {
                positions.insert(at, position);
                self.count += 1;
            }
        }
        if narrowed(&position).is_some() && positions.iter().all(|p| narrowed(p).is_some()) {
            // Where the arena is full the account stays apart, which is as good.
            let positions = positions.clone();
            self.rejoin(account, &positions);
        }
        Ok(())
    }

    /// Brings an account whose positions all fit back into the arena, if that has room.
    fn rejoin(&mut self, account: usize, positions: &[Position]) {
        let Some(span) = self.spans.replace(account, positions.len()) else {
            return;
        };
        self.extend();
        self.lots_bits[account] = 0;
        for (cell, position) in span.range().zip(positions) {
            if let Some((held, unrealised)) = narrowed(position) {
                self.write(account, cell, held, unrealised);
            }
        }
        if let Ok(key) = u32::try_from(account) {
            self.apart.remove(&key);
        }
    }

    /// Replaces the collateral of an account.
    pub fn set_collateral(&mut self, account: usize, collateral: Vec<Holding>) -> Result<(), BookError> {
        self.span(account)?;
        let full = BookError::Full { what: "collateral", accounts: self.len() };
        if self.collateral.set(account, collateral) { Ok(()) } else { Err(full) }
    }

    /// Replaces the open orders of an account.
    pub fn set_orders(&mut self, account: usize, orders: Vec<Order>) -> Result<(), BookError> {
        self.span(account)?;
        let full = BookError::Full { what: "accounts", accounts: self.len() };
        let key = u32::try_from(account).map_err(|_| full)?;
        if orders.is_empty() {
            self.orders.remove(&key);
        } else {
            self.orders.insert(key, orders);
        }
        Ok(())
    }

    /// Empties an account: no positions, collateral or orders. Its name and index stay, so that no other index moves.
    pub fn close(&mut self, account: usize) -> Result<(), BookError> {
        let span = self.span(account)?;
        self.set_collateral(account, Vec::new())?;
        self.set_orders(account, Vec::new())?;
        self.edits.note(account);
        self.count -= self.holdings(account).map_or(0, |holdings| holdings.len());
        if span.is_apart() {
            self.rejoin(account, &[]);
        }
        self.spans.set_len(account, 0);
        self.lots_bits[account] = 0;
        Ok(())
    }

    /// Gives back the room that growth has not used, except that of free spans.
    pub fn shrink_to_fit(&mut self) {
        self.names.shrink_to_fit();
        self.spans.shrink_to_fit();
        self.held.shrink_to_fit();
        self.unrealised.shrink_to_fit();
        self.lots_bits.shrink_to_fit();
        self.collateral.shrink_to_fit();
    }
}

/// Looking.
impl Book {
    /// Accounts whose last change is also known in common: block `b` is those from `b x BLOCK` on.
    pub const BLOCK: usize = edits::BLOCK;

    /// How many accounts there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no account.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many positions all accounts have together.
    pub fn positions(&self) -> usize {
        self.count
    }

    /// Bytes on the heap, with what is reserved and not used. Nodes of maps are counted at half full.
    pub fn bytes(&self) -> usize {
        let apart = self.apart.values().map(|all| node_bytes::<Vec<Position>>() + heap(all)).sum::<usize>();
        let orders = self.orders.values().map(|all| node_bytes::<Vec<Order>>() + heap(all)).sum::<usize>();
        let columns = heap(&self.held) + heap(&self.unrealised) + heap(&self.lots_bits);
        columns
            + self.names.bytes()
            + self.spans.bytes()
            + self.collateral.bytes()
            + self.edits.bytes()
            + apart
            + orders
    }

    /// A number that no other book has in this process, not even a copy of this one: who keeps something derived from a
    /// book knows by it, [`Book::last_edit`] and [`Book::last_edit_in`] what is still true. It stands for nothing else.
    pub fn identity(&self) -> u64 {
        self.identity.get()
    }

    /// When the positions of an account last changed: a count that rises with every change of any account.
    pub fn last_edit(&self, account: usize) -> u64 {
        self.edits.account(account)
    }

    /// The largest [`Book::last_edit`] of a block of [`Book::BLOCK`] accounts.
    pub fn last_edit_in(&self, block: usize) -> u64 {
        self.edits.block(block)
    }

    /// The name of an account; `None` past the end.
    pub fn account(&self, index: usize) -> Option<&str> {
        self.names.get(index)
    }

    /// The name of an account, copied out; `None` past the end.
    pub fn id(&self, index: usize) -> Option<AccountId> {
        self.names.id(index)
    }

    /// The names of all accounts, by index.
    pub fn accounts(&self) -> impl Iterator<Item = AccountId> + '_ {
        (0..self.len()).filter_map(|index| self.names.id(index))
    }

    /// The index of an account.
    pub fn find(&self, account: &AccountId) -> Option<usize> {
        self.names.find(account.as_str())
    }

    /// The positions of an account as stored; `None` past the end.
    #[inline]
    pub fn holdings(&self, index: usize) -> Option<Holdings<'_>> {
        let span = self.spans.get(index)?;
        if span.is_apart() {
            return self.wide(index).map(Holdings::Wide);
        }
        self.narrow(index).map(Holdings::Narrow)
    }

    /// The positions of an account in the compact form; `None` past the end and where they do not fit it: then
    /// [`Book::wide`] has them.
    #[inline(always)]
    pub fn narrow(&self, index: usize) -> Option<Narrow<'_>> {
        let span = self.spans.get(index).filter(|span| !span.is_apart())?;
        let held = self.held.get(span.range())?;
        let unrealised = self.unrealised.get(span.range()).unwrap_or(&[]);
        let lots_bits = u32::from(*self.lots_bits.get(index)?);
        Some(Narrow { held, unrealised, lots_bits })
    }

    /// The positions of an account that lives apart, at full width; `None` for all others.
    pub fn wide(&self, index: usize) -> Option<&[Position]> {
        self.apart.get(&u32::try_from(index).ok()?).map(Vec::as_slice)
    }

    /// Whether an account lives apart at full width: some lots leave 32 bits or some unrealised profit 64.
    pub fn is_wide(&self, index: usize) -> bool {
        self.spans.get(index).is_some_and(Span::is_apart)
    }

    /// The collateral of an account as stored; `None` past the end.
    pub fn deposits(&self, index: usize) -> Option<Deposits<'_>> {
        self.collateral.get(index)
    }

    /// The assets that [`Deposit::asset`] counts.
    pub fn assets(&self) -> &[Asset] {
        self.collateral.assets()
    }

    /// The open orders of an account; empty past the end.
    pub fn orders(&self, index: usize) -> &[Order] {
        let found = u32::try_from(index).ok().and_then(|key| self.orders.get(&key));
        found.map_or(&[], Vec::as_slice)
    }

    /// The portfolio of the `index`-th account, copied out; `None` past the end.
    pub fn portfolio(&self, index: usize) -> Option<Portfolio> {
        Some(Portfolio {
            account: self.names.id(index)?,
            positions: self.holdings(index)?.to_positions(),
            collateral: self.collateral.holdings(index),
            orders: self.orders(index).to_vec(),
        })
    }

    /// Every portfolio, by index.
    pub fn iter(&self) -> impl Iterator<Item = Portfolio> + '_ {
        (0..self.len()).filter_map(|i| self.portfolio(i))
    }
}

/// Two books are equal when account by account they hold the same, however they came to it.
impl PartialEq for Book {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.count == other.count && self.iter().eq(other.iter())
    }
}

impl Eq for Book {}
