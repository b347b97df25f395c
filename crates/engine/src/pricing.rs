//! One market's prices for the rows of a book: how an account as read becomes a portfolio of integers.

use crate::book::{Finished, RawAccount, RawHolding, RawOrder, RawPosition};
use crate::fill::{self, Scale};
use crate::{BookBuilder, EngineError, Failure};
use plimsoll_market::Surface;
use plimsoll_risk::Valuation;
use plimsoll_types::{
    AccountId, Book, Holding, Instrument, InstrumentIx, Issue, Lots, Order, Portfolio, Position,
    QuantiseError, RiskArrays, Ticks, Units, nearest_f64,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Accounts that one thread makes portfolios of at a time.
const ACCOUNTS_AT_ONCE: usize = 1 << 10;

/// As many times those are in memory before they are packed.
const AHEAD: usize = 64;

/// What is known of one instrument of the book under one market.
#[derive(Clone, Debug)]
struct Priced {
    value: Valuation,
    scale: Scale,
}

/// Where an instrument of the book is in the arrays.
#[derive(Clone, Copy, Debug)]
struct Place {
    ix: InstrumentIx,
    /// Whether its mark counts as equity in full, so that nothing else need be known of its positions.
    in_full: bool,
}

/// Array index and value of every instrument of a book that has them.
#[derive(Clone, Debug)]
pub(crate) struct Pricing<'a> {
    instruments: &'a [Instrument],
    places: Vec<Option<Place>>,
    priced: Vec<Option<Priced>>,
    /// The market that positions without an entry price were last marked to, when it is not this one.
    marked: Option<&'a Pricing<'a>>,
}

/// A book on the rows of risk arrays, and what of it has no place there.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Packed {
    /// The accounts that can be valued.
    pub book: Book,
    /// The accounts that cannot, in order of account.
    pub failures: Vec<Failure>,
}

/// Packs rows as read onto the rows of `arrays`: entry prices of futures and perpetuals and limit prices of orders
/// become ticks against the marks of `surface`, which `arrays` were built from in the same `units`. This is what
/// [`crate::Desk::assemble`] does with a book, for arrays that are already there.
///
/// # Errors
/// When the sum of the rows of one position is beyond 2^53 lots. An account with an instrument that has no row is a
/// [`Failure`] beside the book.
pub fn pack(
    rows: BookBuilder,
    arrays: &RiskArrays,
    surface: &Surface,
    units: &Units,
) -> Result<Packed, EngineError> {
    let finished = rows.finish()?;
    Pricing::new(&finished.instruments, arrays, surface, units).pack(&finished, &BTreeMap::new())
}

/// The portfolios of some accounts, in order of account.
#[derive(Default)]
struct Portfolios {
    positions: Vec<Position>,
    accounts: Vec<Made>,
    failures: Vec<Failure>,
}

/// One account; its positions end at `end` and begin where those before it end.
struct Made {
    account: AccountId,
    end: usize,
    collateral: Vec<Holding>,
    orders: Vec<Order>,
}

impl Portfolios {
    fn pack(self, packed: &mut Packed) -> Result<(), EngineError> {
        let mut start = 0;
        for Made { account, end, collateral, orders } in self.accounts {
            let positions = self.positions.get(start..end).unwrap_or(&[]);
            packed.book.push(account, positions, collateral, orders)?;
            start = end;
        }
        packed.failures.extend(self.failures);
        Ok(())
    }
}

/// An account with something in the way.
fn failure(
    account: &AccountId,
    (instrument, reason): Obstacle,
    unvalued: &BTreeMap<Instrument, Issue>,
) -> Failure {
    let issue = instrument.as_ref().and_then(|name| unvalued.get(name)).map(ToString::to_string);
    Failure { account: account.clone(), instrument, reason: issue.unwrap_or(reason) }
}

/// Which instrument is in the way, and why.
type Obstacle = (Option<Instrument>, String);

impl<'a> Pricing<'a> {
    /// Looks up every instrument that has a row in `arrays`.
    pub(crate) fn new(
        instruments: &'a [Instrument],
        arrays: &RiskArrays,
        surface: &Surface,
        units: &Units,
    ) -> Self {
        let rows: BTreeMap<&Instrument, u32> =
            arrays.instruments.iter().zip(0..).map(|(row, i)| (&row.instrument, i)).collect();
        let price = |instrument: &Instrument| {
            let ix = InstrumentIx(*rows.get(instrument)?);
            let value = plimsoll_risk::value(surface, instrument, units).ok()?;
            let lot = nearest_f64(units.lot(instrument));
            let scale = Scale { lot, ticks_per_unit: units.ticks_per_unit as f64 };
            Some((Place { ix, in_full: fill::counts_in_full(instrument) }, Priced { value, scale }))
        };
        let (places, priced) = instruments.iter().map(|instrument| price(instrument).unzip()).unzip();
        Self { instruments, places, priced, marked: None }
    }

    /// The same, for a market that `marked` has just moved to: positions without an entry price gain or lose the
    /// difference.
    pub(crate) fn moved_from(self, marked: &'a Pricing<'a>) -> Self {
        Self { marked: Some(marked), ..self }
    }

    /// Portfolios of array indices; accounts with an instrument that has no row become failures.
    pub(crate) fn pack(
        &self,
        raw: &Finished,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Result<Packed, EngineError> {
        let mut packed =
            Packed { book: Book::with_capacity(raw.by_name.len(), raw.positions()), failures: Vec::new() };
        for numbers in raw.by_name.chunks(AHEAD * ACCOUNTS_AT_ONCE) {
            let chunks = numbers.par_chunks(ACCOUNTS_AT_ONCE);
            let made: Vec<Portfolios> = chunks.map(|some| self.portfolios(some, raw, unvalued)).collect();
            for portfolios in made {
                portfolios.pack(&mut packed)?;
            }
        }
        packed.book.shrink_to_fit();
        Ok(packed)
    }

    /// The portfolios of some accounts.
    fn portfolios(
        &self,
        numbers: &[u32],
        raw: &Finished,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Portfolios {
        let mut made = Portfolios::default();
        for (number, account) in numbers.iter().filter_map(|number| Some((*number, raw.name(*number)?))) {
            let start = made.positions.len();
            match self.account(&raw.account(number), &mut made.positions) {
                Ok((collateral, orders)) => {
                    let end = made.positions.len();
                    made.accounts.push(Made { account, end, collateral, orders });
                }
                Err(obstacle) => {
                    made.positions.truncate(start);
                    made.failures.push(failure(&account, obstacle, unvalued));
                }
            }
        }
        made
    }

    /// The portfolio of an account; a failure when an instrument has no row. `unvalued` says why not.
    pub(crate) fn portfolio(
        &self,
        account: &AccountId,
        raw: &RawAccount<'_>,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Result<Portfolio, Failure> {
        let mut positions = Vec::new();
        let made = self.account(raw, &mut positions);
        let (collateral, orders) = made.map_err(|obstacle| failure(account, obstacle, unvalued))?;
        Ok(Portfolio { account: account.clone(), positions, collateral, orders })
    }

    /// Appends the positions of an account, in order of instrument, and returns the rest of it.
    fn account(
        &self,
        raw: &RawAccount<'_>,
        positions: &mut Vec<Position>,
    ) -> Result<(Vec<Holding>, Vec<Order>), Obstacle> {
        let start = positions.len();
        // Rows that net to nothing may still have made or lost money between their entry prices.
        for row in raw.positions().filter(|row| row.lots != 0 || row.entered != 0 || row.entry_sum != 0.0) {
            positions.push(self.position(&row)?);
        }
        if let Some(own) = positions.get_mut(start..) {
            own.sort_by_key(|position| position.instrument);
        }
        let orders: Result<Vec<Order>, Obstacle> = raw.orders.iter().map(|order| self.order(order)).collect();
        let orders = orders?;
        let collateral: Result<Vec<Holding>, Obstacle> =
            raw.collateral.iter().map(|held| self.holding(held)).collect();
        Ok((collateral?, orders))
    }

    fn found(&self, number: u32) -> Result<(&Instrument, &Priced), Obstacle> {
        let instrument = self.instruments.get(number as usize);
        let priced = self.priced.get(number as usize).and_then(Option::as_ref);
        instrument.zip(priced).ok_or_else(|| self.obstacle(number))
    }

    fn place(&self, number: u32) -> Result<Place, Obstacle> {
        let place = self.places.get(number as usize).copied().flatten();
        place.ok_or_else(|| self.obstacle(number))
    }

    #[cold]
    fn obstacle(&self, number: u32) -> Obstacle {
        let instrument = self.instruments.get(number as usize);
        (instrument.cloned(), "an instrument cannot be valued".to_owned())
    }

    fn position(&self, raw: &RawPosition) -> Result<Position, Obstacle> {
        let place = self.place(raw.instrument)?;
        if place.in_full {
            return Ok(Position { instrument: place.ix, lots: Lots(raw.lots), unrealised: Ticks(0) });
        }
        let (instrument, priced) = self.found(raw.instrument)?;
        let since_entry = fill::unrealised(instrument, &priced.value, raw, priced.scale);
        let since_mark = self.variation(raw);
        let sum = since_entry.and_then(|a| since_mark.map(|b| Ticks(a.0 + b.0)));
        let unrealised = sum.map_err(|e| (Some(instrument.clone()), e.to_string()))?;
        Ok(Position { instrument: place.ix, lots: Lots(raw.lots), unrealised })
    }

    /// Gain of the lots without an entry price since they were marked, of what does not count in full.
    fn variation(&self, raw: &RawPosition) -> Result<Ticks, QuantiseError> {
        let before = self.marked.and_then(|marked| marked.found(raw.instrument).ok());
        let (Some((instrument, before)), Ok((_, now))) = (before, self.found(raw.instrument)) else {
            return Ok(Ticks(0));
        };
        fill::edge(instrument, &now.value, raw.lots - raw.entered, before.value.price, now.scale)
    }

    fn order(&self, raw: &RawOrder) -> Result<Order, Obstacle> {
        let (instrument, priced) = self.found(raw.instrument)?;
        let edge =
            raw.price.map(|price| fill::edge(instrument, &priced.value, raw.lots, price, priced.scale));
        let edge = edge.transpose().map_err(|e| (Some(instrument.clone()), e.to_string()))?;
        let ix = self.place(raw.instrument)?.ix;
        Ok(Order { instrument: ix, lots: Lots(raw.lots), edge: edge.unwrap_or(Ticks(0)) })
    }

    fn holding(&self, raw: &RawHolding) -> Result<Holding, Obstacle> {
        let earmark = raw.earmark.map(|number| self.place(number).map(|place| place.ix)).transpose()?;
        Ok(Holding { asset: raw.asset.clone(), amount_nano: raw.amount_nano, earmark })
    }
}
