//! From rows of text to a book of integers: names interned, quantities turned into lots, equal rows summed.
//!
//! Rows stream in; memory grows with the distinct (account, instrument) pairs and not with the rows.

mod amount;
mod collateral;
mod names;
mod rows;
mod stretch;

pub use amount::Number;
pub(crate) use amount::lots;
use collateral::Holdings;
pub(crate) use collateral::{Collateral, RawHolding};
pub(crate) use names::Names;
use rows::Ordered;
pub(crate) use rows::{RawPosition, Repeated, Row};
pub use stretch::{Owner, Stretch};

use amount::{Lot, lots_of, nano_of, price};
use plimsoll_types::{AccountId, Asset, Decimal, Instrument, Lots, Units, parse_scaled};
use rows::{INSTRUMENTS_MAX, Rows};
use std::collections::BTreeMap;

/// How many duplicated pairs are named; all are counted.
const DUPLICATES_NAMED: usize = 100;

/// Why a row cannot be read. The reader adds file and line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("field `{field}`: `{value}` {expected}")]
pub struct RowError {
    /// The column.
    pub field: &'static str,
    /// What it held.
    pub value: String,
    /// What is wrong with it and what was expected.
    pub expected: String,
}

impl RowError {
    fn new(field: &'static str, value: &str, expected: impl Into<String>) -> Self {
        Self { field, value: value.chars().take(80).collect(), expected: expected.into() }
    }
}

/// A pair whose rows were summed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Duplicate {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub instrument: Instrument,
    /// How many rows it had.
    pub rows: u32,
}

/// What one account holds of one instrument, all rows summed.
#[derive(Clone, PartialEq, Debug)]
pub struct PositionRow {
    /// Whose.
    pub account: AccountId,
    /// What.
    pub instrument: Instrument,
    /// Signed lots; long > 0.
    pub lots: Lots,
    /// As many of them as came with an entry price.
    pub entered: Lots,
    /// Over those, the sum of lots x entry price, or of lots / entry price for contracts sized in quote units.
    pub entry_sum: f64,
}

/// A trade in words: how much of what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TradeRow {
    /// Signed quantity in the instrument's own unit; a buy is > 0.
    pub quantity: Decimal,
    /// What is traded.
    pub instrument: Instrument,
}

/// Reads a trade such as `+10 BTC-27MAR26-100000-C`.
///
/// ```
/// let trade = plimsoll_engine::parse_trade("-2.5 BTC-27MAR26-100000-C")?;
/// assert_eq!(trade.quantity.to_string(), "-2.5");
/// # Ok::<(), plimsoll_engine::RowError>(())
/// ```
pub fn parse_trade(text: &str) -> Result<TradeRow, RowError> {
    let form =
        || RowError::new("trade", text, "is not a trade: expected a form such as '+10 BTC-27MAR26-100000-C'");
    let mut words = text.split_whitespace();
    let (Some(quantity), Some(name), None) = (words.next(), words.next(), words.next()) else {
        return Err(form());
    };
    let unit = Decimal::new(1, 18);
    let scaled = parse_scaled(quantity.strip_prefix('+').unwrap_or(quantity), unit).map_err(|_| form())?;
    let quantity = Decimal::try_from_i128_with_scale(scaled, 18).map_err(|_| form())?.normalize();
    Ok(TradeRow { quantity, instrument: instrument(name)? })
}

fn instrument(name: &str) -> Result<Instrument, RowError> {
    name.parse()
        .map_err(|e: plimsoll_types::InstrumentError| RowError::new("instrument", name, e.to_string()))
}

fn account_named(text: &str) -> Result<AccountId, RowError> {
    AccountId::new(text).map_err(|e| RowError::new("account", text, e.to_string()))
}

/// An open order as read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RawOrder {
    pub instrument: u32,
    pub lots: i64,
    pub price: Option<f64>,
}

/// What a row needs to know of its instrument, as the stretch knows it that read it.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    number: u32,
    sized_in_quote: bool,
    lot: Lot,
}

impl Terms {
    fn new(number: u32, instrument: &Instrument, units: &Units) -> Self {
        let (lot, sized_in_quote) = (Lot::new(units.lot(instrument)), instrument.sized_in_quote());
        Self { number, sized_in_quote, lot }
    }
}

/// The refusal of a sum of rows, which no single row is to blame for.
fn too_large() -> RowError {
    RowError::new("quantity", "the sum of rows", "is too large: expected at most 2^53 lots")
}

/// Collects rows into a book.
///
/// ```
/// use plimsoll_engine::{BookBuilder, ParamSet};
/// let mut book = BookBuilder::new(&ParamSet::preset("plimsoll")?.units);
/// book.position("alice", "BTC-27MAR26-100000-C", "-2", None)?;
/// assert!(book.position("alice", "BTC-27MAR26-100000-C", "0.0001", None).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct BookBuilder {
    units: Units,
    only: Option<AccountId>,
    accounts: Names,
    instruments: BTreeMap<Instrument, u32>,
    /// Every spelling of an instrument, so that a name is parsed once, and its terms.
    spellings: Names,
    terms: Vec<Terms>,
    rows: Rows,
    collateral: Holdings,
    /// The account of the last row of collateral that was kept.
    near: u32,
    orders: BTreeMap<u32, Vec<RawOrder>>,
}

impl BookBuilder {
    /// An empty book in these units.
    pub fn new(units: &Units) -> Self {
        Self {
            units: units.clone(),
            only: None,
            accounts: Names::default(),
            instruments: BTreeMap::new(),
            spellings: Names::default(),
            terms: Vec::new(),
            rows: Rows::default(),
            collateral: Holdings::default(),
            near: 0,
            orders: BTreeMap::new(),
        }
    }

    /// Keeps the rows of one account; others are still read, so that a malformed row is never passed over.
    #[must_use]
    pub fn only(mut self, account: AccountId) -> Self {
        self.only = Some(account);
        self
    }

    /// The number of an account whose name is sound.
    fn account_number(&mut self, name: &str) -> Result<u32, RowError> {
        let number = self.accounts.number(name);
        number.ok_or_else(|| RowError::new("account", name, "is one account too many"))
    }

    /// The number of an account if its rows are kept.
    fn owner(&mut self, text: &str) -> Result<Option<u32>, RowError> {
        if let Some(number) = self.accounts.find_near(self.near, text) {
            return Ok(Some(number));
        }
        let account = account_named(text)?;
        if self.only.as_ref().is_some_and(|only| *only != account) {
            return Ok(None);
        }
        self.account_number(text).map(Some)
    }

    fn instrument_number(&mut self, field: &'static str, name: &Instrument) -> Result<u32, RowError> {
        if let Some(number) = self.instruments.get(name) {
            return Ok(*number);
        }
        let next = u32::try_from(self.instruments.len()).ok().filter(|next| *next < INSTRUMENTS_MAX);
        let next =
            next.ok_or_else(|| RowError::new(field, &name.to_string(), "is one instrument too many"))?;
        self.instruments.insert(name.clone(), next);
        Ok(next)
    }

    /// Keeps the terms of a spelling.
    fn spell(&mut self, text: &str, terms: Terms) -> Result<(), RowError> {
        if self.spellings.find(text).is_none() {
            let added = self.spellings.add(text);
            added.ok_or_else(|| RowError::new("instrument", text, "is one spelling too many"))?;
            self.terms.push(terms);
        }
        Ok(())
    }

    fn terms(&mut self, field: &'static str, text: &str) -> Result<Terms, RowError> {
        let known = self.spellings.find(text);
        if let Some(terms) = known.and_then(|at| self.terms.get(at as usize)) {
            return Ok(*terms);
        }
        let parsed = instrument(text).map_err(|e| RowError { field, ..e })?;
        let terms = Terms::new(self.instrument_number(field, &parsed)?, &parsed, &self.units);
        self.spell(text, terms)?;
        Ok(terms)
    }

    /// Adds a row of positions. `quantity` is in the instrument's own unit (base units; quote units for inverse
    /// futures and perpetuals), long > 0. `entry_price` matters to futures and perpetuals: their profit since entry
    /// counts as equity; without one they are taken as marked to market.
    pub fn position(
        &mut self,
        account: &str,
        instrument: &str,
        quantity: &str,
        entry_price: Option<&str>,
    ) -> Result<(), RowError> {
        let mut stretch = Stretch::new(self);
        stretch.position(
            self,
            [account, instrument],
            Number::Text(quantity),
            entry_price.map(Number::Text),
        )?;
        self.append(stretch)
    }

    /// Adds a row of collateral; a negative amount is borrowed. `earmark` names the position it is set aside for. Whether
    /// it was added to an earlier row of the same account, asset and position.
    ///
    /// # Errors
    /// With field, value and what was expected.
    pub fn collateral<'a>(
        &mut self,
        account: &str,
        asset: &str,
        amount: impl Into<Number<'a>>,
        earmark: Option<&str>,
    ) -> Result<bool, RowError> {
        let owner = self.owner(account)?;
        if !self.collateral.knows(asset) {
            Asset::new(asset).map_err(|e| RowError::new("asset", asset, e.to_string()))?;
        }
        let amount_nano = nano_of("amount", amount.into())?;
        let earmark = earmark.map(|text| self.terms("position", text)).transpose()?.map(|terms| terms.number);
        let Some(owner) = owner else { return Ok(false) };
        self.near = owner;
        let summed = self.collateral.add(owner, asset, amount_nano, earmark);
        summed.ok_or_else(|| RowError::new("account", account, "is one holding too many"))
    }

    /// Adds an open order; a bid is > 0. Without a price it is taken to fill at the mark.
    pub fn order(
        &mut self,
        account: &str,
        instrument: &str,
        quantity: &str,
        limit: Option<&str>,
    ) -> Result<(), RowError> {
        let owner = self.owner(account)?;
        let terms = self.terms("instrument", instrument)?;
        let count = lots_of("quantity", Number::Text(quantity), terms.lot)?;
        let price = limit.map(|text| price("price", Number::Text(text))).transpose()?;
        let Some(owner) = owner else { return Ok(()) };
        self.orders.entry(owner).or_default().push(RawOrder { instrument: terms.number, lots: count, price });
        Ok(())
    }

    /// Sums what is left to sum and hands out the pieces.
    pub(crate) fn finish(self) -> Result<Finished, RowError> {
        let Ordered { rows, starts, repeated } =
            self.rows.finish(self.accounts.len()).map_err(|_| too_large())?;
        let mut instruments: Vec<(Instrument, u32)> = self.instruments.into_iter().collect();
        instruments.sort_by_key(|(_, number)| *number);
        Ok(Finished {
            by_name: self.accounts.by_name(),
            collateral: self.collateral.finish(self.accounts.len()),
            accounts: self.accounts,
            instruments: instruments.into_iter().map(|(name, _)| name).collect(),
            rows,
            starts,
            repeated,
            orders: self.orders,
        })
    }

    /// Every instrument named so far, in order of name.
    pub fn instruments(&self) -> Vec<Instrument> {
        self.instruments.keys().cloned().collect()
    }

    /// How many accounts are named so far.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }

    /// What accounts hold, in order of account and then of instrument.
    ///
    /// # Errors
    /// When a sum of rows is beyond 2^53 lots.
    pub fn positions(self) -> Result<Vec<PositionRow>, RowError> {
        let finished = self.finish()?;
        let mut rows = Vec::with_capacity(finished.positions());
        for number in &finished.by_name {
            let Some(account) = finished.name(*number) else { continue };
            let held = finished.account(*number).positions();
            let named = held.filter_map(|raw| {
                let instrument = finished.instruments.get(raw.instrument as usize)?.clone();
                let (account, lots) = (account.clone(), Lots(raw.lots));
                Some(PositionRow {
                    account,
                    instrument,
                    lots,
                    entered: Lots(raw.entered),
                    entry_sum: raw.entry_sum,
                })
            });
            let mut named: Vec<PositionRow> = named.collect();
            named.sort_by(|a, b| a.instrument.cmp(&b.instrument));
            rows.extend(named);
        }
        Ok(rows)
    }

    /// The pairs that had more than one row, at most a hundred of them, and how many there are in all.
    pub fn duplicates(&mut self) -> Result<(Vec<Duplicate>, usize), RowError> {
        self.rows.merge(self.accounts.len()).map_err(|_| too_large())?;
        let instruments: BTreeMap<u32, &Instrument> =
            self.instruments.iter().map(|(name, number)| (*number, name)).collect();
        let repeated = self.rows.repeated();
        let named = repeated.iter().take(DUPLICATES_NAMED).filter_map(|sum| {
            let account = account_named(self.accounts.get(sum.account as usize)?).ok()?;
            let instrument = (*instruments.get(&sum.instrument)?).clone();
            Some(Duplicate { account, instrument, rows: sum.rows })
        });
        Ok((named.collect(), repeated.len()))
    }
}

/// The pieces of a book before it meets the market. Accounts and instruments are known by number, in the order they were
/// named first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finished {
    accounts: Names,
    /// Numbers of accounts in rising order of name.
    pub by_name: Vec<u32>,
    pub instruments: Vec<Instrument>,
    /// By account number; see [`RawAccount::positions`].
    rows: Vec<Row>,
    /// Where the rows of each account begin, and where the last end.
    starts: Vec<usize>,
    repeated: Vec<Repeated>,
    pub collateral: Collateral,
    pub orders: BTreeMap<u32, Vec<RawOrder>>,
}

/// What one account holds, as read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawAccount<'a> {
    rows: &'a [Row],
    repeated: &'a [Repeated],
    holdings: &'a [RawHolding],
    collateral: &'a Collateral,
    pub orders: &'a [RawOrder],
}

impl Finished {
    /// How many positions there are.
    pub(crate) fn positions(&self) -> usize {
        self.rows.len()
    }

    /// The number of an account.
    pub(crate) fn number(&self, account: &AccountId) -> Option<u32> {
        self.accounts.find(account.as_str())
    }

    /// The name of an account.
    pub(crate) fn name(&self, number: u32) -> Option<AccountId> {
        account_named(self.accounts.get(number as usize)?).ok()
    }

    /// The rows of an account.
    pub(crate) fn account(&self, number: u32) -> RawAccount<'_> {
        let end = |number: usize| self.starts.get(number).copied().unwrap_or(self.rows.len());
        let span = end(number as usize)..end(number as usize + 1);
        RawAccount {
            rows: self.rows.get(span).unwrap_or(&[]),
            repeated: &self.repeated,
            holdings: self.collateral.of(number),
            collateral: &self.collateral,
            orders: self.orders.get(&number).map_or(&[], Vec::as_slice),
        }
    }
}

impl<'a> RawAccount<'a> {
    /// The positions, one of each instrument: in the order of the file, or by instrument number where rows were summed.
    pub(crate) fn positions(&self) -> impl Iterator<Item = RawPosition> + use<'a> {
        rows::positions(self.rows, self.repeated)
    }

    /// How many positions it has.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The collateral, in the order of the file.
    pub(crate) fn collateral(&self) -> impl Iterator<Item = (&'a Asset, &'a RawHolding)> + use<'a> {
        let of = self.collateral;
        self.holdings.iter().filter_map(move |held| Some((of.asset(held)?, held)))
    }

    /// Numbers of the instruments it names, rising, each once.
    pub(crate) fn instruments(&self) -> Vec<u32> {
        let held = self.rows.iter().map(Row::instrument);
        let ordered = self.orders.iter().map(|row| row.instrument);
        let earmarked = self.holdings.iter().filter_map(RawHolding::earmark);
        let mut all: Vec<u32> = held.chain(ordered).chain(earmarked).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_types::LotSize;

    fn builder() -> BookBuilder {
        BookBuilder::new(&Units {
            currency: Asset::new("USD").unwrap(),
            ticks_per_unit: 1_000_000,
            lot: LotSize { base: Decimal::new(1, 3), quote: Decimal::ONE },
            lots: BTreeMap::new(),
        })
    }

    /// Lots by account number, then instrument number.
    fn lots_held(book: BookBuilder) -> Vec<i64> {
        let finished = book.finish().unwrap();
        let numbers = 0..u32::try_from(finished.by_name.len()).unwrap();
        numbers.flat_map(|number| finished.account(number).positions()).map(|p| p.lots).collect()
    }

    #[test]
    fn rows_of_one_account_and_instrument_are_summed_and_named() {
        let mut book = builder();
        for quantity in ["1", "2.5", "-0.001"] {
            book.position("a", "BTC-27MAR26-100000-C", quantity, None).unwrap();
        }
        book.position("a", "BTC-PERPETUAL", "100", None).unwrap();
        let (named, count) = book.duplicates().unwrap();
        assert_eq!(
            (count, named[0].rows, named[0].instrument.to_string().as_str()),
            (1, 3, "BTC-27MAR26-100000-C")
        );
        assert_eq!(lots_held(book), [3499, 100]);
    }

    #[test]
    fn memory_follows_the_pairs_and_not_the_rows() {
        let mut book = builder();
        for i in 0..300_000 {
            book.position(if i % 2 == 0 { "a" } else { "b" }, "BTC-PERPETUAL", "1", None).unwrap();
        }
        assert!(book.rows.len() < 2 * rows::ROWS_BEFORE_MERGE, "{}", book.rows.len());
        assert_eq!(lots_held(book), [150_000, 150_000]);
    }

    #[test]
    fn a_bad_field_is_named_with_its_value_and_what_was_expected() {
        let mut book = builder();
        let cases = [
            ("a", "BTC-27MAR26-100000-X", "1", "instrument"),
            ("a", "BTC-PERPETUAL", "NaN", "quantity"),
            ("a", "BTC-PERPETUAL", "1e400", "quantity"),
            ("a", "BTC-PERPETUAL", "inf", "quantity"),
            ("a", "BTC-PERPETUAL", "0.5", "quantity"),
            ("a", "BTC-27MAR26-100000-C", "0.0001", "quantity"),
            ("a", "BTC-27MAR26-100000-C", "99999999999999999", "quantity"),
            ("", "BTC-PERPETUAL", "1", "account"),
        ];
        for (account, instrument, quantity, field) in cases {
            let error = book.position(account, instrument, quantity, None).unwrap_err();
            assert_eq!(error.field, field, "{error}");
        }
        let entry = book.position("a", "BTC-PERPETUAL", "1", Some("-5")).unwrap_err();
        assert_eq!(entry.field, "entry_price");
        assert_eq!(book.collateral("a", "usdc", "1", None).unwrap_err().field, "asset");
        assert_eq!(book.collateral("a", "USDC", "1e-12", None).unwrap_err().field, "amount");
    }

    #[test]
    fn sums_beyond_the_largest_position_are_refused_and_never_wrap() {
        let mut book = builder();
        for _ in 0..1_100 {
            for quantity in ["9007199254740992", "-9007199254740992"] {
                book.position("a", "BTC-PERPETUAL", quantity, Some("100")).unwrap();
            }
        }
        assert_eq!(lots_held(book), [0]);
        let mut book = builder();
        for _ in 0..2 {
            book.position("a", "BTC-PERPETUAL", "9007199254740992", Some("100")).unwrap();
        }
        assert!(book.finish().is_err());
    }

    #[test]
    fn a_malformed_row_of_another_account_is_still_an_error() {
        let mut book = builder().only("a".parse().unwrap());
        assert!(book.position("b", "BTC-PERPETUAL", "x", None).is_err());
        book.position("b", "BTC-PERPETUAL", "1", None).unwrap();
        assert_eq!(book.finish().unwrap().positions(), 0);
    }

    #[test]
    fn trades_read_with_either_sign() {
        assert_eq!(parse_trade("+10 BTC-27MAR26-100000-C").unwrap().quantity, Decimal::TEN);
        for text in ["", "10", "BTC 10", "+10 BTC-27MAR26-100000-C extra", "ten BTC", "1e400 BTC"] {
            assert!(parse_trade(text).is_err(), "{text}");
        }
    }
}
