//! From rows of text to a book of integers: names interned, quantities turned into lots, equal rows summed.
//!
//! Rows stream in; memory grows with the distinct (account, instrument) pairs and not with the rows.

use plimsoll_types::{AccountId, Asset, Decimal, DecimalError, Instrument, NANO, Units, parse_scaled};
use std::collections::BTreeMap;

/// How many duplicated pairs are named; all are counted.
const DUPLICATES_NAMED: usize = 100;

/// Rows kept before equal ones are summed for the first time.
const ROWS_BEFORE_MERGE: usize = 1 << 16;

/// The largest position: every count up to it is exact as a float.
const LOTS_MAX: u64 = 1 << 53;

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

/// A quantity as whole lots.
pub(crate) fn lots(field: &'static str, text: &str, lot: Decimal) -> Result<i64, RowError> {
    let count = parse_scaled(text.strip_prefix('+').unwrap_or(text), lot).map_err(|e| match e {
        DecimalError::TooFine { unit, .. } => {
            RowError::new(field, text, format!("is finer than a lot: expected a multiple of {unit}"))
        }
        DecimalError::TooLarge { .. } => {
            RowError::new(field, text, "is too large: expected at most 2^53 lots")
        }
        DecimalError::Unreadable { .. } => {
            RowError::new(field, text, "is not a finite decimal number such as -1.5")
        }
    })?;
    match i64::try_from(count) {
        Ok(count) if count.unsigned_abs() <= LOTS_MAX => Ok(count),
        _ => Err(RowError::new(field, text, "is too large: expected at most 2^53 lots")),
    }
}

/// A positive price; kept as a float since it meets prices of the market and becomes an integer once, afterwards.
fn price(field: &'static str, text: &str) -> Result<f64, RowError> {
    let bad = || RowError::new(field, text, "is not a positive finite price such as 65000.5");
    let value: f64 = text.parse().map_err(|_| bad())?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(bad()) }
}

fn account(text: &str) -> Result<AccountId, RowError> {
    AccountId::new(text).map_err(|e| RowError::new("account", text, e.to_string()))
}

/// A position as read. `entered` of its lots came with an entry price; `entry_sum` is the sum of lots x entry price,
/// or of lots / entry price for contracts sized in quote units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct RawPosition {
    pub account: u32,
    pub instrument: u32,
    pub rows: u32,
    pub lots: i64,
    pub entered: i64,
    pub entry_sum: f64,
}

/// An open order as read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RawOrder {
    pub instrument: u32,
    pub lots: i64,
    pub price: Option<f64>,
}

/// Collateral as read.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RawHolding {
    pub asset: Asset,
    pub amount_nano: i128,
    pub earmark: Option<u32>,
}

/// What a row needs to know of its instrument.
#[derive(Clone, Copy, Debug)]
struct Terms {
    number: u32,
    lot: Decimal,
    sized_in_quote: bool,
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
    accounts: BTreeMap<AccountId, u32>,
    instruments: BTreeMap<Instrument, u32>,
    /// Spelling to number and terms, so that a name is parsed once.
    spellings: BTreeMap<Box<str>, Terms>,
    rows: Vec<RawPosition>,
    merged: usize,
    pub(crate) collateral: BTreeMap<u32, Vec<RawHolding>>,
    pub(crate) orders: BTreeMap<u32, Vec<RawOrder>>,
}

impl BookBuilder {
    /// An empty book in these units.
    pub fn new(units: &Units) -> Self {
        Self {
            units: units.clone(),
            only: None,
            accounts: BTreeMap::new(),
            instruments: BTreeMap::new(),
            spellings: BTreeMap::new(),
            rows: Vec::new(),
            merged: 0,
            collateral: BTreeMap::new(),
            orders: BTreeMap::new(),
        }
    }

    /// Keeps the rows of one account; others are still read, so that a malformed row is never passed over.
    #[must_use]
    pub fn only(mut self, account: AccountId) -> Self {
        self.only = Some(account);
        self
    }

    fn account_number(&mut self, text: &str) -> Result<Option<u32>, RowError> {
        let account = account(text)?;
        if self.only.as_ref().is_some_and(|only| *only != account) {
            return Ok(None);
        }
        let next = u32::try_from(self.accounts.len())
            .map_err(|_| RowError::new("account", text, "is one account too many"))?;
        Ok(Some(*self.accounts.entry(account).or_insert(next)))
    }

    fn terms(&mut self, field: &'static str, text: &str) -> Result<Terms, RowError> {
        if let Some(terms) = self.spellings.get(text) {
            return Ok(*terms);
        }
        let parsed = instrument(text).map_err(|e| RowError { field, ..e })?;
        let next = u32::try_from(self.instruments.len())
            .map_err(|_| RowError::new(field, text, "is one instrument too many"))?;
        let (lot, sized_in_quote) = (self.units.lot(&parsed), parsed.sized_in_quote());
        let terms = Terms { number: *self.instruments.entry(parsed).or_insert(next), lot, sized_in_quote };
        self.spellings.insert(text.into(), terms);
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
        let owner = self.account_number(account)?;
        let terms = self.terms("instrument", instrument)?;
        let count = lots("quantity", quantity, terms.lot)?;
        let entry = entry_price.map(|text| price("entry_price", text)).transpose()?;
        let Some(owner) = owner else { return Ok(()) };
        let entry_sum =
            entry.map_or(0.0, |p| if terms.sized_in_quote { count as f64 / p } else { count as f64 * p });
        let entered = if entry.is_some() { count } else { 0 };
        self.rows.push(RawPosition {
            account: owner,
            instrument: terms.number,
            rows: 1,
            lots: count,
            entered,
            entry_sum,
        });
        if self.rows.len() >= ROWS_BEFORE_MERGE.max(2 * self.merged) {
            self.merge().map_err(|()| {
                RowError::new("quantity", quantity, "makes a position too large: expected at most 2^53 lots")
            })?;
        }
        Ok(())
    }

    /// Adds a row of collateral; a negative amount is borrowed. `earmark` names the position it is set aside for.
    pub fn collateral(
        &mut self,
        account: &str,
        asset: &str,
        amount: &str,
        earmark: Option<&str>,
    ) -> Result<(), RowError> {
        let owner = self.account_number(account)?;
        let name = Asset::new(asset).map_err(|e| RowError::new("asset", asset, e.to_string()))?;
        let amount_nano = parse_scaled(amount.strip_prefix('+').unwrap_or(amount), Decimal::new(1, 9))
            .map_err(|e| {
                RowError::new(
                    "amount",
                    amount,
                    format!("{e}: expected a decimal number no finer than 0.000000001"),
                )
            })?;
        if amount_nano.unsigned_abs() > (1_u128 << 53) * NANO.unsigned_abs() as u128 {
            return Err(RowError::new("amount", amount, "is too large: expected at most 2^53 units"));
        }
        let earmark = earmark.map(|text| self.terms("position", text)).transpose()?.map(|terms| terms.number);
        let Some(owner) = owner else { return Ok(()) };
        let holdings = self.collateral.entry(owner).or_default();
        match holdings.iter_mut().find(|h| h.asset == name && h.earmark == earmark) {
            Some(held) => held.amount_nano += amount_nano,
            None => holdings.push(RawHolding { asset: name, amount_nano, earmark }),
        }
        Ok(())
    }

    /// Adds an open order; a bid is > 0. Without a price it is taken to fill at the mark.
    pub fn order(
        &mut self,
        account: &str,
        instrument: &str,
        quantity: &str,
        limit: Option<&str>,
    ) -> Result<(), RowError> {
        let owner = self.account_number(account)?;
        let terms = self.terms("instrument", instrument)?;
        let count = lots("quantity", quantity, terms.lot)?;
        let price = limit.map(|text| price("price", text)).transpose()?;
        let Some(owner) = owner else { return Ok(()) };
        self.orders.entry(owner).or_default().push(RawOrder { instrument: terms.number, lots: count, price });
        Ok(())
    }

    /// Sums rows of one account and instrument. `Err` when a sum leaves 2^53 lots.
    fn merge(&mut self) -> Result<(), ()> {
        // A stable sort keeps the order of the file, so that float sums of entry prices are the same every time.
        self.rows.sort_by_key(|row| (row.account, row.instrument));
        let mut kept: Vec<RawPosition> = Vec::with_capacity(self.rows.len() / 2);
        for row in self.rows.drain(..) {
            match kept.last_mut() {
                Some(last) if (last.account, last.instrument) == (row.account, row.instrument) => {
                    // Each addend is at most 2^53, so neither sum leaves 64 bits before it is checked.
                    last.lots += row.lots;
                    last.entered += row.entered;
                    last.entry_sum += row.entry_sum;
                    last.rows = last.rows.saturating_add(row.rows);
                    if last.lots.unsigned_abs() > LOTS_MAX || last.entered.unsigned_abs() > LOTS_MAX {
                        return Err(());
                    }
                }
                _ => kept.push(row),
            }
        }
        self.merged = kept.len();
        self.rows = kept;
        Ok(())
    }

    /// Sums what is left to sum and hands out the pieces, positions ordered by account number.
    pub(crate) fn finish(mut self) -> Result<Finished, RowError> {
        self.merge().map_err(|()| {
            RowError::new("quantity", "the sum of rows", "is too large: expected at most 2^53 lots")
        })?;
        let mut instruments: Vec<(Instrument, u32)> = self.instruments.into_iter().collect();
        instruments.sort_by_key(|(_, number)| *number);
        Ok(Finished {
            accounts: self.accounts,
            instruments: instruments.into_iter().map(|(name, _)| name).collect(),
            positions: self.rows,
            collateral: self.collateral,
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

    /// The pairs that had more than one row, at most a hundred of them, and how many there are in all.
    pub fn duplicates(&mut self) -> Result<(Vec<Duplicate>, usize), RowError> {
        self.merge().map_err(|()| {
            RowError::new("quantity", "the sum of rows", "is too large: expected at most 2^53 lots")
        })?;
        let accounts: BTreeMap<u32, &AccountId> =
            self.accounts.iter().map(|(name, number)| (*number, name)).collect();
        let instruments: BTreeMap<u32, &Instrument> =
            self.instruments.iter().map(|(name, number)| (*number, name)).collect();
        let repeated = self.rows.iter().filter(|row| row.rows > 1);
        let count = repeated.clone().count();
        let named = repeated.take(DUPLICATES_NAMED).filter_map(|row| {
            let account = (*accounts.get(&row.account)?).clone();
            let instrument = (*instruments.get(&row.instrument)?).clone();
            Some(Duplicate { account, instrument, rows: row.rows })
        });
        Ok((named.collect(), count))
    }
}

/// The pieces of a book before it meets the market; positions in order of account number, then instrument number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finished {
    pub accounts: BTreeMap<AccountId, u32>,
    pub instruments: Vec<Instrument>,
    pub positions: Vec<RawPosition>,
    pub collateral: BTreeMap<u32, Vec<RawHolding>>,
    pub orders: BTreeMap<u32, Vec<RawOrder>>,
}

/// What one account holds, as read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawAccount<'a> {
    pub positions: &'a [RawPosition],
    pub collateral: &'a [RawHolding],
    pub orders: &'a [RawOrder],
}

impl Finished {
    /// The rows of an account.
    pub(crate) fn account(&self, number: u32) -> RawAccount<'_> {
        let start = self.positions.partition_point(|row| row.account < number);
        let end = self.positions.partition_point(|row| row.account <= number);
        RawAccount {
            positions: self.positions.get(start..end).unwrap_or(&[]),
            collateral: self.collateral.get(&number).map_or(&[], Vec::as_slice),
            orders: self.orders.get(&number).map_or(&[], Vec::as_slice),
        }
    }
}

impl RawAccount<'_> {
    /// Numbers of the instruments it names, rising, each once.
    pub(crate) fn instruments(&self) -> Vec<u32> {
        let held = self.positions.iter().map(|row| row.instrument);
        let ordered = self.orders.iter().map(|row| row.instrument);
        let earmarked = self.collateral.iter().filter_map(|held| held.earmark);
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
        assert_eq!(book.finish().unwrap().positions.iter().map(|p| p.lots).collect::<Vec<_>>(), [3499, 100]);
    }

    #[test]
    fn memory_follows_the_pairs_and_not_the_rows() {
        let mut book = builder();
        for i in 0..300_000 {
            book.position(if i % 2 == 0 { "a" } else { "b" }, "BTC-PERPETUAL", "1", None).unwrap();
        }
        assert!(book.rows.len() < 2 * ROWS_BEFORE_MERGE, "{}", book.rows.len());
        assert_eq!(
            book.finish().unwrap().positions.iter().map(|p| p.lots).collect::<Vec<_>>(),
            [150_000, 150_000]
        );
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
        assert_eq!(book.finish().unwrap().positions[0].lots, 0);
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
        assert!(book.finish().unwrap().positions.is_empty());
    }

    #[test]
    fn trades_read_with_either_sign() {
        assert_eq!(parse_trade("+10 BTC-27MAR26-100000-C").unwrap().quantity, Decimal::TEN);
        for text in ["", "10", "BTC 10", "+10 BTC-27MAR26-100000-C extra", "ten BTC", "1e400 BTC"] {
            assert!(parse_trade(text).is_err(), "{text}");
        }
    }
}
