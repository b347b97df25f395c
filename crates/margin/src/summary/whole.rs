//! The totals of every account of a book.

use super::Totals;
use super::account::Room;
use super::lanes::tick::Scratch;
use super::terms::{BookTerms, Native};
use crate::{MarginError, evaluate};
use plimsoll_lanes::Path;
use plimsoll_types::{Book, Deposits, Holdings, InstrumentIx};
use rayon::prelude::*;
use std::sync::{Arc, Mutex};

/// Accounts that are answered by one thread at a time. What an account is told depends on no other account, so neither
/// this nor the number of threads is seen in a number.
const CHUNK: usize = 256;

/// The margin of every account of a book, in its order: equal to [`crate::evaluate`] of each, without what explains it.
/// An account that fails does so alone, with the error of `evaluate`. `out` is overwritten; keeping it from one tick to
/// the next saves asking for its memory.
///
/// ```
/// # use plimsoll_lanes::Path;
/// # use plimsoll_margin::*;
/// # use plimsoll_types::*;
/// # fn show(book: &Book, arrays: &RiskArrays, params: &Params) {
/// let terms = BookTerms::new(arrays, params);
/// let mut totals = Vec::new();
/// summaries(Path::best(), book, &terms, &mut totals);
/// let liquidatable = totals.iter().flatten().filter(|t| t.state == State::Liquidatable).count();
/// # }
/// ```
pub fn summaries(path: Path, book: &Book, terms: &BookTerms, out: &mut Vec<Result<Totals, MarginError>>) {
    out.resize_with(book.len(), || Ok(Totals::default()));
    let assets = assets(book, terms);
    let chunks = out.par_chunks_mut(CHUNK).enumerate();
    chunks.for_each_init(
        || terms.rooms().lend(),
        |lent, (chunk, out)| {
            let accounts = Accounts { book, first: chunk * CHUNK, assets: &assets };
            match terms.native() {
                Some(native) => accounts.totals(lent.room(), (native, terms), path, out),
                None => accounts.refer(terms, out),
            }
        },
    );
}

/// Rooms that nobody is in, so that few are ever asked for.
#[derive(Clone, Debug, Default)]
#[expect(clippy::vec_box, reason = "a room is lent by moving a pointer to it")]
pub(crate) struct Rooms(Arc<Mutex<Vec<Box<Both>>>>);

/// Room for a walk and room for a tick.
#[derive(Clone, Debug, Default)]
struct Both {
    room: Room,
    scratch: Scratch,
}

/// A room until it is given back.
pub(crate) struct Lent<'a> {
    room: Option<Box<Both>>,
    rooms: &'a Rooms,
}

impl Rooms {
    pub(crate) fn lend(&self) -> Lent<'_> {
        Lent { room: self.0.lock().ok().and_then(|mut rooms| rooms.pop()), rooms: self }
    }
}

impl Lent<'_> {
    pub(crate) fn room(&mut self) -> &mut Room {
        self.both().0
    }

    pub(crate) fn both(&mut self) -> (&mut Room, &mut Scratch) {
        let Both { room, scratch } = &mut **self.room.get_or_insert_default();
        (room, scratch)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let (Some(room), Ok(mut rooms)) = (self.room.take(), self.rooms.0.lock()) {
            rooms.push(room);
        }
    }
}

/// The place in the terms of every asset of the book.
pub(super) fn assets(book: &Book, terms: &BookTerms) -> Vec<Option<usize>> {
    let native = terms.native();
    book.assets().iter().map(|asset| native.and_then(|n| n.asset(asset))).collect()
}

#[cold]
pub(crate) fn reference(book: &Book, index: usize, terms: &BookTerms) -> Result<Totals, MarginError> {
    match book.portfolio(index) {
        Some(portfolio) => evaluate(&portfolio, terms.arrays, terms.params)?.totals(),
        None => Ok(Totals::default()),
    }
}

/// Some accounts of a book.
pub(crate) struct Accounts<'a> {
    pub(crate) book: &'a Book,
    /// The index of the first of a chunk.
    pub(crate) first: usize,
    pub(crate) assets: &'a [Option<usize>],
}

impl Accounts<'_> {
    /// The totals of all, by the reference.
    fn refer(&self, terms: &BookTerms, out: &mut [Result<Totals, MarginError>]) {
        for (place, out) in out.iter_mut().enumerate() {
            *out = reference(self.book, self.first + place, terms);
        }
    }

    /// The totals of all, by the reference where it has to answer.
    fn totals(
        &self,
        room: &mut Room,
        (native, terms): (&Native, &BookTerms),
        path: Path,
        out: &mut [Result<Totals, MarginError>],
    ) {
        room.clear();
        room.places.clear();
        for (place, out) in out.iter_mut().enumerate() {
            room.open();
            let unrealised = self.hold(room, native, self.first + place);
            if room.close(native, unrealised) {
                room.places.push(place);
            } else {
                *out = reference(self.book, self.first + place, terms);
            }
        }
        room.walk(native, path);
        let places = std::mem::take(&mut room.places);
        room.totals((native, terms), path, |account, totals| {
            let place = places[account];
            out[place] = totals.map_or_else(|| reference(self.book, self.first + place, terms), Ok);
        });
        room.places = places;
    }

    /// Adds what an account holds; returns the sum of its unrealised profit, or `None` where the reference has to answer.
    pub(crate) fn hold(&self, room: &mut Room, native: &Native, index: usize) -> Option<i128> {
        if !self.book.orders(index).is_empty() {
            return None;
        }
        self.deposit(room, native, index)?;
        let walked = &mut room.walked;
        match self.book.holdings(index)? {
            Holdings::Narrow(narrow) => {
                for held in narrow.held {
                    walked.hold(&native.rows, held.instrument, i64::from(held.lots))?;
                }
                Some(narrow.unrealised.iter().map(|x| i128::from(*x)).sum())
            }
            Holdings::Wide(positions) => {
                let mut unrealised = 0_i128;
                for position in positions {
                    walked.hold(&native.rows, position.instrument.0, position.lots.0)?;
                    unrealised = unrealised.checked_add(position.unrealised.0)?;
                }
                Some(unrealised)
            }
        }
    }

    fn deposit(&self, room: &mut Room, native: &Native, index: usize) -> Option<()> {
        let known = |earmark: Option<InstrumentIx>| {
            earmark.is_none_or(|instrument| instrument.index() < native.rows.briefs.len())
        };
        match self.book.deposits(index)? {
            Deposits::Narrow(deposits) => {
                for deposit in deposits {
                    let asset = self.assets.get(usize::from(deposit.asset)).copied().flatten()?;
                    known(deposit.earmark()).then_some(())?;
                    room.deposit(asset, i128::from(deposit.amount_nano))?;
                }
            }
            Deposits::Wide(holdings) => {
                for holding in holdings {
                    known(holding.earmark).then_some(())?;
                    room.deposit(native.asset(&holding.asset)?, holding.amount_nano)?;
                }
            }
        }
        Some(())
    }
}
