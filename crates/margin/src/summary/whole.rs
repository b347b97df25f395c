//! The totals of every account of a book.

use super::Totals;
use super::account::Room;
use super::terms::{BookTerms, Native};
use crate::{MarginError, evaluate};
use plimsoll_lanes::Path;
use plimsoll_types::{Book, Deposits, Holdings, InstrumentIx};
use rayon::prelude::*;

/// Accounts that are answered by one thread at a time. What an account is told depends on no other account, so neither
/// this nor the number of threads is seen in a number.
const CHUNK: usize = 1_024;

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
    chunks.for_each_init(Room::default, |room, (chunk, out)| {
        for (place, out) in out.iter_mut().enumerate() {
            let index = chunk * CHUNK + place;
            let native = terms.native.as_ref().and_then(|native| {
                let account = Account { book, index, assets: &assets };
                account.totals(room, (native, terms), path)
            });
            *out = match native {
                Some(totals) => Ok(totals),
                None => reference(book, index, terms),
            };
        }
    });
}

/// The place in the terms of every asset of the book.
fn assets(book: &Book, terms: &BookTerms) -> Vec<Option<usize>> {
    let native = terms.native.as_ref();
    book.assets().iter().map(|asset| native.and_then(|n| n.asset(asset))).collect()
}

#[cold]
fn reference(book: &Book, index: usize, terms: &BookTerms) -> Result<Totals, MarginError> {
    match book.portfolio(index) {
        Some(portfolio) => evaluate(&portfolio, terms.arrays, terms.params)?.totals(),
        None => Ok(Totals::default()),
    }
}

/// One account of a book.
struct Account<'a> {
    book: &'a Book,
    index: usize,
    assets: &'a [Option<usize>],
}

impl Account<'_> {
    /// `None` where the reference has to answer.
    fn totals(&self, room: &mut Room, (native, terms): (&Native, &BookTerms), path: Path) -> Option<Totals> {
        if !self.book.orders(self.index).is_empty() {
            return None;
        }
        room.begin();
        let unrealised = self.hold(room, native)?;
        self.deposit(room, native)?;
        room.totals((native, terms.params), unrealised, path)
    }

    /// Adds the positions; returns the sum of their unrealised profit.
    fn hold(&self, room: &mut Room, native: &Native) -> Option<i128> {
        match self.book.holdings(self.index)? {
            Holdings::Narrow(narrow) => {
                for held in narrow.held {
                    room.hold(native, InstrumentIx(held.instrument), i64::from(held.lots))?;
                }
                Some(narrow.unrealised.iter().map(|x| i128::from(*x)).sum())
            }
            Holdings::Wide(positions) => {
                let mut unrealised = 0_i128;
                for position in positions {
                    room.hold(native, position.instrument, position.lots.0)?;
                    unrealised = unrealised.checked_add(position.unrealised.0)?;
                }
                Some(unrealised)
            }
        }
    }

    fn deposit(&self, room: &mut Room, native: &Native) -> Option<()> {
        let known = |earmark: Option<InstrumentIx>| {
            earmark.is_none_or(|instrument| instrument.index() < native.instruments.len())
        };
        match self.book.deposits(self.index)? {
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
