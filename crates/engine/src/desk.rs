//! Everything one margin question needs, gathered once.

use crate::book::Finished;
use crate::params::digest;
use crate::pricing::Pricing;
use crate::{BookBuilder, ParamSet, RowError, TradeRow};
use plimsoll_margin::{LintFinding, MarginError, MarginReport, Trade, WhatIf};
use plimsoll_market::Surface;
use plimsoll_risk::{ApproximationError, BuildError, Mode, Note, ReturnSeries, ScenarioSet, SpecError};
use plimsoll_types::{
    AccountId, Asset, Book, BookError, Contract, Instrument, InstrumentIx, Issue, Lots, Portfolio, Reason,
    RiskArrays, RiskArraysError, Snapshot,
};
use std::collections::{BTreeMap, BTreeSet};

/// Why the desk cannot answer at all. What concerns one account only is a [`Failure`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The scenario specification cannot be made explicit.
    #[error("scenarios: {0}")]
    Scenarios(#[from] SpecError),
    /// Risk arrays cannot be built.
    #[error("risk arrays: {0}")]
    Build(#[from] BuildError),
    /// Risk arrays are malformed: a defect of ours.
    #[error("risk arrays: {0}")]
    Arrays(#[from] RiskArraysError),
    /// The book is malformed: a defect of ours.
    #[error("book: {0}")]
    Book(#[from] BookError),
    /// A sum of rows is too large.
    #[error("book: {0}")]
    Row(#[from] RowError),
    /// The account has no position, collateral or order.
    #[error("no account is called `{account}`")]
    UnknownAccount {
        /// What was asked for.
        account: AccountId,
    },
    /// The account cannot be valued.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The margin of the account cannot be computed.
    #[error("{source}")]
    Margin {
        /// Whose.
        account: AccountId,
        /// Why.
        source: MarginError,
    },
    /// A trade names an instrument that cannot be valued.
    #[error("trade: {issue}")]
    Trade {
        /// What stands against it.
        issue: Issue,
    },
    /// Risk arrays cannot be refreshed: a defect of ours.
    #[error("risk arrays: {0}")]
    Refresh(#[from] plimsoll_risk::RefreshError),
    /// What an engine is to run by has a limit that is none.
    #[error("rules: {reason}")]
    Rules {
        /// Which.
        reason: String,
    },
    /// The policy cannot begin.
    #[error("policy: {reason}")]
    Policy {
        /// Why.
        reason: String,
    },
    /// The linter has something against the parameter set.
    #[error("parameters {name}: the linter refuses them: {}", in_words(findings))]
    Lint {
        /// Which set.
        name: String,
        /// What it has against them.
        findings: Vec<LintFinding>,
    },
    /// An argument is outside its range.
    #[error("{what}: {value} is outside {expected}")]
    Argument {
        /// Which.
        what: &'static str,
        /// What it was.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// An account that cannot be valued; the others are.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("account {account}: {reason}")]
pub struct Failure {
    /// Whose.
    pub account: AccountId,
    /// The instrument it fails on, if one.
    pub instrument: Option<Instrument>,
    /// The reason in words, beginning with its stable code where there is one.
    pub reason: String,
}

/// A market: what was read, and what was made of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Market {
    /// As read.
    pub snapshot: Snapshot,
    /// As guarded and fitted.
    pub surface: Surface,
    /// Sixteen hexadecimal digits of the SHA-256 of the snapshot.
    pub id: String,
}

impl Market {
    /// Guards and fits a snapshot. Never fails whole: what is refused is in `surface.issues`.
    pub fn new(snapshot: Snapshot, params: &ParamSet) -> Self {
        let guarded = plimsoll_market::guard(&snapshot, &params.guard);
        let surface = plimsoll_market::fit(&guarded, &params.fit);
        let id = digest(&snapshot);
        Self { snapshot, surface, id }
    }

    /// Whether the snapshot lists the instrument. An option must be quoted; a dated future must be quoted or be the one
    /// that quoted options of its expiry and settlement are on. Spot needs its underlying, a perpetual its mark, which
    /// is seen to where it is valued.
    fn lists(&self, instrument: &Instrument) -> bool {
        let Some(market) = self.snapshot.underlyings.get(instrument.underlying()) else { return false };
        let kin = |other: &Instrument| {
            other.expiry() == instrument.expiry()
                && other.settlement() == instrument.settlement()
                && other.quote() == instrument.quote()
        };
        match instrument.contract() {
            Contract::Spot | Contract::Perpetual => true,
            Contract::Option { .. } => market.options.iter().any(|quote| quote.instrument == *instrument),
            Contract::Future { .. } => {
                market.futures.iter().any(|quote| quote.instrument == *instrument)
                    || market.options.iter().any(|quote| kin(&quote.instrument))
            }
        }
    }
}

/// How to build.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Return series by name, for historical scenarios.
    pub series: BTreeMap<String, ReturnSeries>,
    /// Full reprice, or the second-order approximation.
    pub mode: Mode,
    /// Whether options that the snapshot does not list are valued from the surface; otherwise they are unknown.
    pub unlisted: bool,
    /// Whether a parameter set is used in spite of what the linter has against it.
    pub allow_lint: bool,
}

/// Parameters, market, risk arrays and book, from which every answer follows.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The parameter set.
    pub params: ParamSet,
    /// The market.
    pub market: Market,
    /// The scenarios, explicit.
    pub scenarios: ScenarioSet,
    /// Profit and loss per lot.
    pub arrays: RiskArrays,
    /// The accounts that can be valued.
    pub book: Book,
    /// The accounts that cannot, in order of account.
    pub failures: Vec<Failure>,
    /// Instruments that cannot be valued, with the reason.
    pub unvalued: BTreeMap<Instrument, Issue>,
    /// Error of the second-order approximation against full reprice, if it was used.
    pub approximation: Option<ApproximationError>,
    /// What had to be assumed, in words: a reader of the numbers should know.
    pub notes: Vec<String>,
    /// How the arrays were built.
    pub(crate) mode: Mode,
    /// The return series they were built with.
    pub(crate) series: BTreeMap<String, ReturnSeries>,
    /// The book as read, with entry and limit prices.
    pub(crate) raw: Finished,
}

impl Desk {
    /// Builds the arrays for every instrument of the book and of `extra`, and packs the accounts that can be valued.
    ///
    /// # Errors
    /// When no answer is possible for any account; see [`EngineError`].
    pub fn assemble(
        params: ParamSet,
        market: Market,
        book: BookBuilder,
        extra: &[Instrument],
        options: &BuildOptions,
    ) -> Result<Self, EngineError> {
        let findings = if options.allow_lint { Vec::new() } else { params.lint() };
        if !findings.is_empty() {
            return Err(EngineError::Lint { name: params.name, findings });
        }
        let finished = book.finish()?;
        let wanted: BTreeSet<Instrument> = finished.instruments.iter().chain(extra).cloned().collect();
        let mut unvalued = BTreeMap::new();
        let mut known = Vec::new();
        for instrument in wanted {
            match refusal(&instrument, &market, options) {
                Some(issue) => drop(unvalued.insert(instrument, issue)),
                None => known.push(instrument),
            }
        }
        let underlyings = moved(&known, &finished, &market.surface);
        let scenarios = plimsoll_risk::generate(&params.scenarios, &underlyings, &options.series)?;
        let built = plimsoll_risk::build(&market.surface, &known, &scenarios, &params.units, options.mode)?;
        built.arrays.check()?;
        unvalued.extend(built.issues);
        let notes = notes(&scenarios, &built.arrays, &market.surface);
        let mut desk = Self {
            params,
            market,
            scenarios,
            arrays: built.arrays,
            book: Book::default(),
            failures: Vec::new(),
            unvalued,
            approximation: built.approximation,
            notes,
            mode: options.mode,
            series: options.series.clone(),
            raw: finished,
        };
        desk.pack()?;
        Ok(desk)
    }

    /// Turns raw rows into portfolios of array indices; accounts with an instrument that has no row become failures.
    fn pack(&mut self) -> Result<(), EngineError> {
        let pricing =
            Pricing::new(&self.raw.instruments, &self.arrays, &self.market.surface, &self.params.units);
        let packed = pricing.pack(&self.raw, &self.unvalued)?;
        (self.book, self.failures) = (packed.book, packed.failures);
        Ok(())
    }

    /// The margin of every account in order, those that cannot be valued as failures.
    pub fn margin(&self) -> impl Iterator<Item = (AccountId, Result<MarginReport, Failure>)> + '_ {
        let mut valued = self.book.iter().peekable();
        let mut failed = self.failures.iter().peekable();
        std::iter::from_fn(move || {
            let failure_first = match (valued.peek(), failed.peek()) {
                (Some(portfolio), Some(failure)) => failure.account < portfolio.account,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            if failure_first {
                return failed.next().map(|failure| (failure.account.clone(), Err(failure.clone())));
            }
            valued.next().map(|portfolio| {
                let report = self.evaluate(&portfolio).map_err(|source| Failure {
                    account: portfolio.account.clone(),
                    instrument: None,
                    reason: without_account(&source.to_string(), &portfolio.account),
                });
                (portfolio.account, report)
            })
        })
    }

    pub(crate) fn evaluate(&self, portfolio: &Portfolio) -> Result<MarginReport, MarginError> {
        plimsoll_margin::evaluate(portfolio, &self.arrays, &self.params.margin)
    }

    /// The portfolio of an account.
    ///
    /// # Errors
    /// When there is no such account or it cannot be valued.
    pub fn portfolio(&self, account: &AccountId) -> Result<Portfolio, EngineError> {
        if let Some(portfolio) = self.book.find(account).and_then(|i| self.book.portfolio(i)) {
            return Ok(portfolio);
        }
        match self.failures.iter().find(|failure| failure.account == *account) {
            Some(failure) => Err(failure.clone().into()),
            None => Err(EngineError::UnknownAccount { account: account.clone() }),
        }
    }

    /// The margin of one account.
    ///
    /// # Errors
    /// When there is no such account or it cannot be valued.
    pub fn account(&self, account: &AccountId) -> Result<MarginReport, EngineError> {
        let portfolio = self.portfolio(account)?;
        self.evaluate(&portfolio).map_err(|source| EngineError::Margin { account: account.clone(), source })
    }

    /// The margin of one account in words: every number that was added, and why.
    ///
    /// # Errors
    /// When there is no such account or it cannot be valued.
    pub fn explain(&self, account: &AccountId) -> Result<String, EngineError> {
        let report = self.account(account)?;
        let text = plimsoll_margin::explain(&report, &self.arrays, &self.params.margin);
        Ok(format!("{text}\n{}\n", self.provenance()))
    }

    /// As-of, market, parameters and code that an answer rests on.
    pub fn provenance(&self) -> String {
        format!(
            "as of {}, market {}, parameters {} ({}), plimsoll {}",
            self.market.surface.as_of,
            self.market.id,
            self.params.name,
            self.params.id(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// The index of an instrument the desk was assembled with.
    fn row(&self, instrument: &Instrument) -> Result<InstrumentIx, EngineError> {
        self.arrays.find(instrument).ok_or_else(|| {
            let unknown = || Issue::new(Reason::UnknownInstrument, instrument.to_string());
            EngineError::Trade { issue: self.unvalued.get(instrument).cloned().unwrap_or_else(unknown) }
        })
    }

    /// Margin before and after trades at the mark. The instruments must be those of the book or of `extra`.
    ///
    /// # Errors
    /// When the account or an instrument cannot be valued, or a quantity is finer than a lot.
    pub fn what_if(&self, account: &AccountId, trades: &[TradeRow]) -> Result<WhatIf, EngineError> {
        let portfolio = self.portfolio(account)?;
        let trades: Vec<Trade> = trades.iter().map(|trade| self.trade(trade)).collect::<Result<_, _>>()?;
        plimsoll_margin::what_if(&portfolio, &trades, &self.arrays, &self.params.margin)
            .map_err(|source| EngineError::Margin { account: account.clone(), source })
    }

    /// Number of an account and the instruments it names.
    pub(crate) fn names_of(&self, account: &AccountId) -> Result<(u32, Vec<Instrument>), EngineError> {
        let unknown = || EngineError::UnknownAccount { account: account.clone() };
        let number = self.raw.number(account).ok_or_else(unknown)?;
        let numbers = self.raw.account(number).instruments();
        let names = numbers.iter().filter_map(|i| self.raw.instruments.get(*i as usize)).cloned().collect();
        Ok((number, names))
    }

    /// The scenarios that other parameters would make for another market.
    pub(crate) fn scenarios_of(
        &self,
        params: &ParamSet,
        surface: &Surface,
    ) -> Result<ScenarioSet, EngineError> {
        let mine = &self.scenarios.underlyings;
        let underlyings: Vec<Asset> =
            surface.underlyings.keys().filter(|asset| mine.contains(asset)).cloned().collect();
        Ok(plimsoll_risk::generate(&params.scenarios, &underlyings, &self.series)?)
    }

    fn trade(&self, row: &TradeRow) -> Result<Trade, EngineError> {
        let lot = self.params.units.lot(&row.instrument);
        let lots = crate::book::lots("trade", &row.quantity.to_string(), lot)?;
        Ok(Trade { instrument: self.row(&row.instrument)?, lots: Lots(lots) })
    }
}

fn in_words(findings: &[LintFinding]) -> String {
    let each = findings.iter().map(|f| format!("{}: {}", f.subject, f.message));
    each.collect::<Vec<_>>().join("; ")
}

/// The margin stage names the account in its errors; a failure names it too.
pub(crate) fn without_account(text: &str, account: &AccountId) -> String {
    text.strip_prefix(&format!("account {account}: ")).unwrap_or(text).to_owned()
}

/// The underlyings that scenarios must move: of the instruments, and of coins held as collateral.
fn moved(known: &[Instrument], book: &Finished, surface: &Surface) -> Vec<Asset> {
    let all: BTreeSet<&Asset> =
        known.iter().map(Instrument::underlying).chain(book.collateral.assets()).collect();
    surface.underlyings.keys().filter(|asset| all.contains(asset)).cloned().collect()
}

fn in_one_sentence(note: &Note) -> String {
    match note {
        Note::CorrelationRepaired { entry, distance } => format!(
            "scenarios entry {entry}: the correlation was no correlation matrix; the nearest one is used, {distance:.6} away"
        ),
        Note::NoVolInSeries { entry, series } => {
            format!("scenarios entry {entry}: the series `{series}` has no volatility, so only spot moves")
        }
        Note::Windows { entry, windows, shared } => {
            format!(
                "scenarios entry {entry}: {windows} windows, each sharing {shared} observations with the next"
            )
        }
    }
}

/// What the scenarios say of themselves, options whose expiry has no smile of its own, and perpetuals whose funding
/// nobody states.
fn notes(scenarios: &ScenarioSet, arrays: &RiskArrays, surface: &Surface) -> Vec<String> {
    let mut notes: BTreeSet<String> = scenarios.notes.iter().map(in_one_sentence).collect();
    for row in &arrays.instruments {
        let Some(market) = surface.underlyings.get(row.instrument.underlying()) else { continue };
        match row.instrument.contract() {
            Contract::Option { expiry, .. } if !market.slices.iter().any(|slice| slice.expiry == expiry) => {
                let asset = row.instrument.underlying();
                notes.insert(format!(
                    "{asset} options of {expiry} are valued on neighbouring smiles: theirs was refused"
                ));
            }
            Contract::Perpetual => {
                let funding = market.perpetuals.get(&row.instrument).and_then(|perp| perp.funding_8h);
                if funding.is_none() {
                    notes.insert(format!("{}: no funding rate is stated, none is charged", row.instrument));
                }
            }
            _ => {}
        }
    }
    notes.into_iter().collect()
}

/// Why an underlying of the snapshot has no market: what the guard had against its index.
fn no_market(instrument: &Instrument, market: &Market) -> Issue {
    let asset = instrument.underlying();
    let of_index = |issue: &&Issue| issue.underlying.as_ref() == Some(asset) && issue.expiry.is_none();
    let cause = market.surface.issues.iter().find(of_index);
    let missing = Issue::new(Reason::MissingIndex, "");
    let Issue { reason, value, limit, .. } = cause.cloned().unwrap_or(missing);
    let issue =
        Issue::new(reason, format!("{instrument}: the index of {asset}")).at(asset, instrument.expiry());
    Issue { value, limit, ..issue }
}

/// What stands against valuing an instrument, before any attempt.
fn refusal(instrument: &Instrument, market: &Market, options: &BuildOptions) -> Option<Issue> {
    let as_of = market.surface.as_of;
    let issue =
        |reason| Issue::new(reason, instrument.to_string()).at(instrument.underlying(), instrument.expiry());
    if instrument.expiry().is_some_and(|expiry| expiry <= as_of) {
        return Some(issue(Reason::Expired));
    }
    let asset = instrument.underlying();
    if !market.surface.underlyings.contains_key(asset) {
        let known = market.snapshot.underlyings.contains_key(asset);
        return Some(if known { no_market(instrument, market) } else { issue(Reason::UnknownUnderlying) });
    }
    (!options.unlisted && !market.lists(instrument)).then(|| issue(Reason::UnknownInstrument))
}
