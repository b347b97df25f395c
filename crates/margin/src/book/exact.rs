//! The exact path: what does not fit the lanes, in checked 128 bits.

use super::lanes::{Entry, Source};
use super::losses::{Apart, Chunk};
use super::rows::{Panel, STEP};
use crate::MarginError;
use crate::account::{WHAT, add_entry};
use plimsoll_types::{AccountId, Holdings};

/// A position on this path: underlying, instrument, lots.
pub(super) type Leg = (u32, u32, i64);

/// Why an account has no losses, before its name is looked up.
enum Fault {
    Unknown(u32),
    TooLarge(&'static str),
}

impl Fault {
    fn of(self, account: AccountId, instruments: usize) -> MarginError {
        match self {
            Self::Unknown(index) => MarginError::UnknownInstrument { account, index, instruments },
            Self::TooLarge(what) => MarginError::Overflow { account, what },
        }
    }
}

/// Appends the losses of an account to `losses` and gives their sum. Where they leave 64 bits both are
/// saturated, and the chunk has them in full apart; of an account that cannot be answered it has the error, and no
/// losses.
#[cold]
#[inline(never)]
pub(super) fn append<T: Entry>(
    source: Source<'_, T>,
    account: usize,
    chunk: &mut Chunk,
    losses: &mut Vec<i64>,
) -> i64 {
    let (mut legs, mut found) = (std::mem::take(&mut chunk.legs), std::mem::take(&mut chunk.found));
    legs.clear();
    found.clear();
    let total = collect(source, account, &mut legs).and_then(|()| walk(source.panel, &legs, &mut found));
    let saturated = match total {
        Ok(total) => chunk.keep(account, &found, total, losses),
        Err(fault) => {
            if let Some(name) = source.book.id(account) {
                chunk.apart.insert(account, Apart::Failed(fault.of(name, source.rows.len())));
            }
            0
        }
    };
    (chunk.legs, chunk.found) = (legs, found);
    saturated
}

/// The positions of an account, underlying by underlying.
fn collect<T: Entry>(source: Source<'_, T>, account: usize, legs: &mut Vec<Leg>) -> Result<(), Fault> {
    let mut add = |instrument: u32, lots: i64| {
        let underlying = source.rows.underlying(instrument).ok_or(Fault::Unknown(instrument))?;
        legs.push((underlying.0, instrument, lots));
        Ok(())
    };
    match source.book.holdings(account) {
        Some(Holdings::Narrow(narrow)) => {
            narrow.held.iter().try_for_each(|held| add(held.instrument, i64::from(held.lots)))?;
        }
        Some(Holdings::Wide(positions)) => {
            positions.iter().try_for_each(|position| add(position.instrument.0, position.lots.0))?;
        }
        None => {}
    }
    legs.sort_unstable();
    Ok(())
}

/// The losses of the legs, underlying by underlying, and their sum.
fn walk<T: Entry>(panel: &Panel<T>, legs: &[Leg], found: &mut Vec<i128>) -> Result<i128, Fault> {
    let mut total = 0_i128;
    for group in legs.chunk_by(|a, b| a.0 == b.0) {
        let loss = loss(panel, group).ok_or(Fault::TooLarge(WHAT))?;
        found.push(loss);
        total = total.checked_add(loss).ok_or(Fault::TooLarge("the sum of scan losses"))?;
    }
    Ok(total)
}

/// The scan loss of the legs in one underlying.
fn loss<T: Entry>(panel: &Panel<T>, group: &[Leg]) -> Option<i128> {
    let mut worst = 0;
    for at in (0..panel.stride()).step_by(STEP) {
        let mut sums = [0_i128; STEP];
        for (_, instrument, lots) in group {
            let row = panel.row(*instrument as usize).get(at..at + STEP)?;
            for (sum, entry) in sums.iter_mut().zip(row) {
                *sum = add_entry(*sum, *lots, entry.whole())?;
            }
        }
        worst = sums.into_iter().fold(worst, i128::min);
    }
    Some(-worst)
}
