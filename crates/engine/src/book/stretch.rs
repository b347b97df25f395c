//! Rows of one stretch of a file, read apart from the others.
//!
//! **The one idea:** stretches are read side by side against the book as it stands, with numbers of their own for the
//! names it does not know, and appended in the order of the file: the outcome is that of one row after the other.

use super::amount::{Number, lots_of, price};
use super::names::Names;
use super::rows::{INSTRUMENTS_MAX, Row};
use super::{BookBuilder, RowError, Terms, account_named, instrument};
use plimsoll_types::Instrument;
use std::collections::BTreeMap;

/// Rows of one stretch of a file, for [`BookBuilder::append`].
///
/// ```
/// use plimsoll_engine::{BookBuilder, Number, ParamSet, Stretch};
/// let mut book = BookBuilder::new(&ParamSet::preset("plimsoll")?.units);
/// let mut stretch = Stretch::new(&book);
/// stretch.position(&book, ["alice", "BTC-27MAR26-100000-C"], Number::Text("-2"), None)?;
/// book.append(stretch)?;
/// assert_eq!(book.accounts(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Accounts and instruments the book knew when the stretch was begun; higher numbers are the stretch's own.
    accounts_known: u32,
    instruments_known: u32,
    accounts: Names,
    instruments: BTreeMap<Instrument, u32>,
    spellings: Names,
    terms: Vec<Terms>,
    rows: Vec<Row>,
    /// The account of the last row, and its number where its rows are kept.
    last: (String, Option<u32>),
}

/// The account of a row, as the stretch knows it that read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner(Option<u32>);

impl Stretch {
    /// No rows yet.
    pub fn new(book: &BookBuilder) -> Self {
        Self {
            accounts_known: u32::try_from(book.accounts.len()).unwrap_or(u32::MAX),
            instruments_known: u32::try_from(book.instruments.len()).unwrap_or(u32::MAX),
            accounts: Names::default(),
            instruments: BTreeMap::new(),
            spellings: Names::default(),
            terms: Vec::new(),
            rows: Vec::new(),
            last: (String::new(), None),
        }
    }

    /// Reads a row of positions: the names of account and instrument, how much, and the entry price. `book` is the one
    /// the stretch was begun with, unchanged since. See [`BookBuilder::position`].
    ///
    /// # Errors
    /// With field, value and what was expected.
    #[inline]
    pub fn position(
        &mut self,
        book: &BookBuilder,
        [account, instrument]: [&str; 2],
        quantity: Number<'_>,
        entry_price: Option<Number<'_>>,
    ) -> Result<(), RowError> {
        let owner = self.owner(book, account)?;
        let terms = self.terms(book, instrument)?;
        self.hold(owner, terms, quantity, entry_price)
    }

    /// The account of a row, the first of its three parts; the others are [`Stretch::terms`] and [`Stretch::hold`].
    ///
    /// # Errors
    /// With field, value and what was expected.
    #[inline]
    pub fn owner(&mut self, book: &BookBuilder, account: &str) -> Result<Owner, RowError> {
        if self.last.0 == account && !account.is_empty() {
            return Ok(Owner(self.last.1));
        }
        self.other_owner(book, account).map(Owner)
    }

    /// Adds a row of positions of an account and instrument that this stretch has read.
    ///
    /// # Errors
    /// With field, value and what was expected.
    #[inline]
    pub fn hold(
        &mut self,
        owner: Owner,
        terms: Terms,
        quantity: Number<'_>,
        entry_price: Option<Number<'_>>,
    ) -> Result<(), RowError> {
        let count = lots_of("quantity", quantity, terms.lot)?;
        let entry = entry_price.map(|number| price("entry_price", number)).transpose()?;
        let Some(owner) = owner.0 else { return Ok(()) };
        let lots = count as f64;
        let entry_sum = entry.map(|price| if terms.sized_in_quote { lots / price } else { lots * price });
        self.rows.push(Row::new(owner, terms.number, count, entry_sum));
        Ok(())
    }

    /// How many spellings of instruments it has that the book did not know: a row that raises this number is the first
    /// of the stretch to name its instrument.
    pub fn spellings(&self) -> usize {
        self.spellings.len()
    }

    /// The number of another account than that of the row before, if its rows are kept.
    fn other_owner(&mut self, book: &BookBuilder, account: &str) -> Result<Option<u32>, RowError> {
        let number = match &book.only {
            Some(only) if only.as_str() != account => account_named(account).map(|_| None)?,
            _ => Some(self.number(book, account)?),
        };
        self.last.0.clear();
        self.last.0.push_str(account);
        self.last.1 = number;
        Ok(number)
    }

    fn number(&mut self, book: &BookBuilder, account: &str) -> Result<u32, RowError> {
        let known = book.accounts.find(account);
        if let Some(known) = known.filter(|number| *number < self.accounts_known) {
            return Ok(known);
        }
        let own = match self.accounts.find(account) {
            Some(own) => Some(own),
            None => {
                account_named(account)?;
                self.accounts.add(account)
            }
        };
        let number = own.and_then(|own| self.accounts_known.checked_add(own));
        number.ok_or_else(|| RowError::new("account", account, "is one account too many"))
    }

    /// The instrument of a row, by any of its spellings.
    ///
    /// # Errors
    /// With field, value and what was expected.
    #[inline]
    pub fn terms(&mut self, book: &BookBuilder, text: &str) -> Result<Terms, RowError> {
        if let Some(terms) = book.spellings.find(text).and_then(|i| book.terms.get(i as usize)) {
            return Ok(*terms);
        }
        if let Some(terms) = self.spellings.find(text).and_then(|i| self.terms.get(i as usize)) {
            return Ok(*terms);
        }
        self.first_terms(book, text)
    }

    /// Terms of a spelling that neither the book nor the stretch has met.
    fn first_terms(&mut self, book: &BookBuilder, text: &str) -> Result<Terms, RowError> {
        let parsed = instrument(text)?;
        let too_many = || RowError::new("instrument", text, "is one instrument too many");
        let number = match book.instruments.get(&parsed).or_else(|| self.instruments.get(&parsed)) {
            Some(number) => *number,
            None => {
                let own = u32::try_from(self.instruments.len()).ok();
                let next = own.and_then(|own| self.instruments_known.checked_add(own));
                next.filter(|next| *next < INSTRUMENTS_MAX).ok_or_else(too_many)?
            }
        };
        let terms = Terms::new(number, &parsed, &book.units);
        if number >= self.instruments_known {
            self.instruments.insert(parsed, number);
        }
        self.spellings.add(text).ok_or_else(too_many)?;
        self.terms.push(terms);
        Ok(terms)
    }
}

/// What the numbers of a stretch are in the book: those the book knew are the same.
struct Renumbering {
    known: u32,
    own: Vec<u32>,
}

impl Renumbering {
    #[inline]
    fn of(&self, number: u32) -> u32 {
        let own = number.checked_sub(self.known).and_then(|own| self.own.get(own as usize));
        own.copied().unwrap_or(number)
    }
}

impl BookBuilder {
    /// Adds the rows of a stretch behind those that are there. Stretches that were begun side by side are appended in
    /// the order of the file.
    ///
    /// # Errors
    /// When there are too many names, or a sum of rows is beyond 2^53 lots.
    pub fn append(&mut self, stretch: Stretch) -> Result<(), RowError> {
        let accounts = self.renumber_accounts(&stretch)?;
        let instruments = self.renumber_instruments(&stretch)?;
        for (text, terms) in stretch.spellings.iter().zip(&stretch.terms) {
            self.spell(text, Terms { number: instruments.of(terms.number), ..*terms })?;
        }
        let renumbered =
            |row: &Row| row.renumbered(accounts.of(row.account), instruments.of(row.instrument()));
        self.rows.extend(stretch.rows.iter().map(renumbered));
        self.rows.merge_when_due(self.accounts.len()).map_err(|_| super::too_large())
    }

    fn renumber_accounts(&mut self, stretch: &Stretch) -> Result<Renumbering, RowError> {
        let mut own = Vec::with_capacity(stretch.accounts.len());
        for name in stretch.accounts.iter() {
            own.push(self.account_number(name)?);
        }
        Ok(Renumbering { known: stretch.accounts_known, own })
    }

    fn renumber_instruments(&mut self, stretch: &Stretch) -> Result<Renumbering, RowError> {
        let mut named: Vec<(&Instrument, u32)> = stretch.instruments.iter().map(|(i, n)| (i, *n)).collect();
        named.sort_by_key(|(_, number)| *number);
        let mut own = Vec::with_capacity(named.len());
        for (name, _) in named {
            own.push(self.instrument_number("instrument", name)?);
        }
        Ok(Renumbering { known: stretch.instruments_known, own })
    }
}
