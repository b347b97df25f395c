//! One market's prices for the rows of a book: how an account as read becomes a portfolio of integers.

use crate::book::{Finished, RawAccount, RawHolding, RawOrder, RawPosition};
use crate::fill::{self, Scale};
use crate::{BookBuilder, EngineError, Failure};
use plimsoll_market::Surface;
use plimsoll_risk::Valuation;
use plimsoll_types::{
    AccountId, Asset, Book, Holding, Instrument, InstrumentIx, Issue, Lots, Order, Portfolio, Position,
    QuantiseError, RiskArrays, Ticks, Units, nearest_f64,
};
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Accounts that one thread makes portfolios of at a time.
const ACCOUNTS_AT_ONCE: usize = 1 << 10;

/// As many times those are in memory before they are put together.
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

impl Packed {
    /// Adds accounts that come behind these.
    fn append(&mut self, parts: Vec<Self>) -> Result<(), EngineError> {
        for Self { book, failures } in parts {
            self.book.append(book)?;
            self.failures.extend(failures);
        }
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

/// Rows that net to nothing may still have made or lost money between their entry prices.
fn matters(row: &RawPosition) -> bool {
    row.lots != 0 || row.entered != 0 || row.entry_sum != 0.0
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

    /// Portfolios of array indices; accounts with an instrument that has no row become failures. Books of some accounts
    /// each are made side by side, and put together in order while the next are made.
    pub(crate) fn pack(
        &self,
        raw: &Finished,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Result<Packed, EngineError> {
        let mut packed =
            Packed { book: Book::with_capacity(raw.by_name.len(), raw.positions()), failures: Vec::new() };
        let mut waves = raw.by_name.chunks(AHEAD * ACCOUNTS_AT_ONCE);
        let mut made: Vec<Packed> = Vec::new();
        loop {
            let next = waves.next().map(|numbers| numbers.par_chunks(ACCOUNTS_AT_ONCE));
            let part = |some| self.part(some, raw, unvalued);
            let (appended, parts) = rayon::join(
                || packed.append(made),
                || next.map(|chunks| chunks.map(part).collect::<Result<_, EngineError>>()).transpose(),
            );
            appended?;
            match parts? {
                Some(parts) => made = parts,
                None => break,
            }
        }
        packed.book.shrink_to_fit();
        Ok(packed)
    }

    /// A book of some accounts.
    fn part(
        &self,
        numbers: &[u32],
        raw: &Finished,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Result<Packed, EngineError> {
        let held = numbers.iter().map(|number| raw.account(*number).len()).sum();
        let mut packed = Packed { book: Book::with_capacity(numbers.len(), held), failures: Vec::new() };
        let mut positions = Vec::new();
        for (number, account) in numbers.iter().filter_map(|number| Some((*number, raw.name(*number)?))) {
            positions.clear();
            match self.account(&raw.account(number), &mut positions) {
                Ok((collateral, orders)) => packed.book.push(account, &positions, collateral, orders)?,
                Err(obstacle) => packed.failures.push(failure(&account, obstacle, unvalued)),
            }
        }
        Ok(packed)
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

    /// Fills in the positions of an account, in order of instrument, and returns the rest of it.
    fn account(
        &self,
        raw: &RawAccount<'_>,
        positions: &mut Vec<Position>,
    ) -> Result<(Vec<Holding>, Vec<Order>), Obstacle> {
        for row in raw.positions().filter(matters) {
            positions.push(self.position(&row).map_err(|_| self.first_obstacle(raw))?);
        }
        if !positions.is_sorted_by_key(|position| position.instrument) {
            positions.sort_by_key(|position| position.instrument);
        }
        let orders: Result<Vec<Order>, Obstacle> = raw.orders.iter().map(|order| self.order(order)).collect();
        let orders = orders?;
        let collateral: Result<Vec<Holding>, Obstacle> =
            raw.collateral().map(|(asset, held)| self.holding(asset, held)).collect();
        Ok((collateral?, orders))
    }

    /// Of several positions in the way, that on the instrument which the book named first.
    #[cold]
    fn first_obstacle(&self, raw: &RawAccount<'_>) -> Obstacle {
        let mut rows: Vec<RawPosition> = raw.positions().filter(matters).collect();
        rows.sort_by_key(|row| row.instrument);
        let obstacle = rows.iter().find_map(|row| self.position(row).err());
        obstacle.unwrap_or_else(|| (None, "an instrument cannot be valued".to_owned()))
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

    fn holding(&self, asset: &Asset, raw: &RawHolding) -> Result<Holding, Obstacle> {
        let earmark = raw.earmark().map(|number| self.place(number).map(|place| place.ix)).transpose()?;
        Ok(Holding { asset: asset.clone(), amount_nano: raw.amount_nano, earmark })
    }
}
