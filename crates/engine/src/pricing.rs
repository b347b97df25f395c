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
use std::collections::BTreeMap;

/// What is known of one instrument of the book under one market.
#[derive(Clone, Debug)]
struct Priced {
    ix: InstrumentIx,
    value: Valuation,
    scale: Scale,
}

/// Array index and value of every instrument of a book that has them.
#[derive(Clone, Debug)]
pub(crate) struct Pricing<'a> {
    instruments: &'a [Instrument],
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
            Some(Priced { ix, value, scale: Scale { lot, ticks_per_unit: units.ticks_per_unit as f64 } })
        };
        Self { instruments, priced: instruments.iter().map(price).collect(), marked: None }
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
        let (mut portfolios, mut failures) = (Vec::with_capacity(raw.accounts.len()), Vec::new());
        for (account, number) in &raw.accounts {
            match self.portfolio(account, &raw.account(*number), unvalued) {
                Ok(portfolio) => portfolios.push(portfolio),
                Err(failure) => failures.push(failure),
            }
        }
        Ok(Packed { book: Book::pack(portfolios)?, failures })
    }

    /// The portfolio of an account; a failure when an instrument has no row. `unvalued` says why not.
    pub(crate) fn portfolio(
        &self,
        account: &AccountId,
        raw: &RawAccount<'_>,
        unvalued: &BTreeMap<Instrument, Issue>,
    ) -> Result<Portfolio, Failure> {
        let fail = |(instrument, reason): Obstacle| {
            let issue = instrument.as_ref().and_then(|name| unvalued.get(name)).map(ToString::to_string);
            Failure { account: account.clone(), instrument, reason: issue.unwrap_or(reason) }
        };
        // Rows that net to nothing may still have made or lost money between their entry prices.
        let held =
            raw.positions.iter().filter(|row| row.lots != 0 || row.entered != 0 || row.entry_sum != 0.0);
        let positions: Result<Vec<Position>, Obstacle> = held.map(|row| self.position(row)).collect();
        let mut positions = positions.map_err(fail)?;
        positions.sort_by_key(|position| position.instrument);
        let orders: Result<Vec<Order>, Obstacle> = raw.orders.iter().map(|order| self.order(order)).collect();
        let collateral: Result<Vec<Holding>, Obstacle> =
            raw.collateral.iter().map(|held| self.holding(held)).collect();
        let (orders, collateral) = (orders.map_err(fail)?, collateral.map_err(fail)?);
        Ok(Portfolio { account: account.clone(), positions, collateral, orders })
    }

    fn found(&self, number: u32) -> Result<(&Instrument, &Priced), Obstacle> {
        let instrument = self.instruments.get(number as usize);
        let priced = self.priced.get(number as usize).and_then(Option::as_ref);
        instrument
            .zip(priced)
            .ok_or_else(|| (instrument.cloned(), "an instrument cannot be valued".to_owned()))
    }

    fn position(&self, raw: &RawPosition) -> Result<Position, Obstacle> {
        let (instrument, priced) = self.found(raw.instrument)?;
        let since_entry = fill::unrealised(instrument, &priced.value, raw, priced.scale);
        let since_mark = self.variation(raw);
        let sum = since_entry.and_then(|a| since_mark.map(|b| Ticks(a.0 + b.0)));
        let unrealised = sum.map_err(|e| (Some(instrument.clone()), e.to_string()))?;
        Ok(Position { instrument: priced.ix, lots: Lots(raw.lots), unrealised })
    }

    /// Gain of the lots without an entry price since they were marked. Zero for options and spot.
    fn variation(&self, raw: &RawPosition) -> Result<Ticks, QuantiseError> {
        let before = self.marked.and_then(|marked| marked.found(raw.instrument).ok());
        let (Some((instrument, before)), Ok((_, now))) = (before, self.found(raw.instrument)) else {
            return Ok(Ticks(0));
        };
        if fill::counts_in_full(instrument) {
            return Ok(Ticks(0));
        }
        fill::edge(instrument, &now.value, raw.lots - raw.entered, before.value.price, now.scale)
    }

    fn order(&self, raw: &RawOrder) -> Result<Order, Obstacle> {
        let (instrument, priced) = self.found(raw.instrument)?;
        let edge =
            raw.price.map(|price| fill::edge(instrument, &priced.value, raw.lots, price, priced.scale));
        let edge = edge.transpose().map_err(|e| (Some(instrument.clone()), e.to_string()))?;
        Ok(Order { instrument: priced.ix, lots: Lots(raw.lots), edge: edge.unwrap_or(Ticks(0)) })
    }

    fn holding(&self, raw: &RawHolding) -> Result<Holding, Obstacle> {
        let earmark =
            raw.earmark.map(|number| self.found(number).map(|(_, priced)| priced.ix)).transpose()?;
        Ok(Holding { asset: raw.asset.clone(), amount_nano: raw.amount_nano, earmark })
    }
}
