//! Margins of sampled books at one chain, by the code that runs live.
//!
//! **The one idea:** the risk arrays are of the whole chain, fully repriced under the values of a policy, and every book is margined
//! on them by [`summaries`]. Where two policies have the same values in force, it is done once.

use super::books::Held;
use super::moment::{Listing, perpetual};
use crate::margining::{MarginingError, Values, forget_labels};
use plimsoll_engine::{Adjusted, ParamSet};
use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, summaries};
use plimsoll_risk::Plan;
use plimsoll_types::{
    AccountId, Asset, Book, BookError, Instrument, InstrumentIx, Lots, Position, RiskArrays, Ticks,
};
use std::collections::BTreeMap;

/// Sampled books on the chain that they are margined on.
pub(crate) struct Stand<'m> {
    listing: &'m Listing,
    instruments: Vec<Instrument>,
    book: Book,
    params: &'m ParamSet,
    adjusted: Adjusted,
}

impl<'m> Stand<'m> {
    /// `params` are those of one underlying without the charges that a history does not show.
    pub(crate) fn new(
        asset: &Asset,
        listing: &'m Listing,
        held: &[Held],
        params: &'m ParamSet,
    ) -> Result<Self, MarginingError> {
        let mut instruments: Vec<Instrument> =
            listing.quotes.iter().map(|quote| quote.instrument.clone()).collect();
        instruments.push(Instrument::spot(asset.clone()));
        instruments.extend(perpetual(asset));
        let mut adjusted = Adjusted::new(params, std::slice::from_ref(asset), &BTreeMap::new())?;
        forget_labels(&mut adjusted);
        let book = book(held, listing.quotes.len() as u32)?;
        Ok(Self { listing, instruments, book, params, adjusted })
    }

    /// Initial margins, quote units, in the order of the books, with the values of a policy in place.
    pub(crate) fn margins(&mut self, values: Values<'_>) -> Result<Vec<f64>, MarginingError> {
        self.adjusted.set(values);
        let plan = Plan::new(&self.instruments, &self.adjusted.scenarios, &self.params.units)?;
        let built = plan.build(&self.listing.surface, Path::best())?;
        if let Some((instrument, issue)) = built.issues.into_iter().next() {
            return Err(MarginingError::Unvalued { instrument, issue: Box::new(issue) });
        }
        self.evaluate(&built.arrays)
    }

    fn evaluate(&self, arrays: &RiskArrays) -> Result<Vec<f64>, MarginingError> {
        let terms = BookTerms::new(arrays, &self.adjusted.margin);
        let mut totals = Vec::new();
        summaries(Path::best(), &self.book, &terms, &mut totals);
        let ticks = arrays.ticks_per_unit as f64;
        totals.into_iter().map(|one| Ok(one?.im.0 as f64 / ticks)).collect()
    }
}

/// The books as accounts: options by their places, then the coin, then the perpetual.
fn book(held: &[Held], options: u32) -> Result<Book, MarginingError> {
    let mut book = Book::with_capacity(held.len(), 8 * held.len());
    for (number, held) in held.iter().enumerate() {
        let others = [(options, held.spot), (options + 1, held.perpetual)];
        let all = held.options.iter().copied().chain(others).filter(|(_, lots)| *lots != 0);
        let position = |(place, lots)| Position {
            instrument: InstrumentIx(place),
            lots: Lots(lots),
            unrealised: Ticks(0),
        };
        let positions: Vec<Position> = all.map(position).collect();
        let account = AccountId::new(&format!("{number:06}"))?;
        book.push(account, &positions, Vec::new(), Vec::new())?;
    }
    Ok(book)
}

impl From<BookError> for MarginingError {
    fn from(error: BookError) -> Self {
        Self::Book(error)
    }
}
