//! Market, book and parameters, read and put together.

use super::args::{BookArgs, MarketArgs, ParamArgs, one_stdin};
use super::say;
use crate::io::book::{self, Places};
use crate::io::market;
use crate::io::progress::Progress;
use crate::output::Cell;
use clap::Args;
use plimsoll_engine::{Desk, EngineError, Failure, Market};
use plimsoll_types::{AccountId, Asset, Decimal, Instrument, Issue, Reason, Ticks};
use serde::Serialize;
use std::io::Write;

/// What every question about accounts needs.
#[derive(Args, Debug, Clone)]
pub(super) struct DeskArgs {
    #[command(flatten)]
    pub market: MarketArgs,
    #[command(flatten)]
    pub book: BookArgs,
    #[command(flatten)]
    pub params: ParamArgs,
}

/// A desk, and where its instruments were named.
pub(super) struct Loaded {
    pub desk: Desk,
    pub places: Places,
}

/// What an answer rests on.
#[derive(Serialize, Debug)]
pub(super) struct Basis {
    pub as_of: String,
    pub market: String,
    pub params: ParamsId,
    pub code: String,
    pub currency: String,
    pub ticks_per_unit: i64,
}

/// The name of a parameter set and its digest.
#[derive(Serialize, Debug)]
pub(super) struct ParamsId {
    pub name: String,
    pub id: String,
}

/// An account that could not be valued, as programs read it.
#[derive(Serialize, Debug, Clone)]
pub(super) struct FailureRow {
    pub account: String,
    pub instrument: Option<String>,
    /// The stable code of the reason, where an instrument is to blame (docs/reasons.md).
    pub code: Option<&'static str>,
    pub reason: String,
}

impl DeskArgs {
    /// Reads everything and assembles a desk for one account or for all, able to value `extra` besides the book; says
    /// what it had to assume.
    pub(super) fn load(&self, only: Option<&AccountId>, extra: &[Instrument]) -> anyhow::Result<Loaded> {
        let loaded = self.assemble(only, extra)?;
        say_notes(&loaded.desk.notes);
        Ok(loaded)
    }

    /// The same without a word about what was assumed.
    pub(super) fn assemble(&self, only: Option<&AccountId>, extra: &[Instrument]) -> anyhow::Result<Loaded> {
        one_stdin(
            self.book.paths().chain([self.market.market.as_path()]).chain(self.params.params.as_deref()),
        )?;
        let params = self.params.set()?;
        let options = self.params.options(&params)?;
        let (snapshot, issues) = market::snapshot(&self.market.market, self.market.at)?;
        say_issues(&issues);
        let read = book::read(&self.book.files(), &params.units, only)?;
        for note in &read.notes {
            say!("{note}");
        }
        let progress = Progress::spinner("pricing scenarios");
        let market = Market::new(snapshot, &params);
        let mut desk = Desk::assemble(params, market, read.builder, extra, &options).map_err(with_remedy)?;
        drop(progress);
        if self.params.allow_lint {
            let found = desk.params.lint().into_iter();
            desk.notes.extend(found.map(|f| format!("lint, {}: {}", f.subject, f.message)));
        }
        if let Some(error) = &desk.approximation {
            say!(
                "approximate revaluation: largest error {} per unit, root mean square {} over {} cells",
                error.max_abs,
                error.rms,
                error.cells
            );
        }
        Ok(Loaded { desk, places: read.places })
    }
}

/// Accounts that are named when they cannot be valued; of more, the number.
const FAILURES_NAMED: usize = 100;

/// Says what reading the market left out, and where it took a second-best index.
pub(super) fn say_issues(issues: &[Issue]) {
    let (index, left_out): (Vec<&Issue>, Vec<&Issue>) =
        issues.iter().partition(|issue| issue.reason == Reason::MissingIndex);
    for issue in index {
        say!("note: market: {issue}");
    }
    if let Some(first) = left_out.first() {
        say!("market: {} items were left out, such as {first}", left_out.len());
    }
}

/// Findings of the linter, and what may be done about them.
fn with_remedy(error: EngineError) -> anyhow::Error {
    match error {
        EngineError::Lint { .. } => anyhow::anyhow!("{error} (--allow-lint uses them nevertheless)"),
        other => other.into(),
    }
}

/// Says what was assumed, one line each.
pub(super) fn say_notes(notes: &[String]) {
    for note in notes {
        say!("note: {note}");
    }
}

impl Loaded {
    /// An exact decimal.
    pub(super) fn amount(&self, ticks: Ticks) -> Decimal {
        self.desk.params.units.amount(ticks)
    }

    /// An exact decimal in a table.
    pub(super) fn cell(&self, ticks: Ticks) -> Cell {
        Cell::Amount(self.amount(ticks))
    }

    /// The label of a scenario column.
    pub(super) fn scenario(&self, column: Option<usize>) -> String {
        let found = column.and_then(|at| self.desk.arrays.scenarios.get(at));
        found.map_or_else(|| "-".to_owned(), |scenario| scenario.label.clone())
    }

    /// What the answer rests on.
    pub(super) fn basis(&self) -> Basis {
        let Desk { params, market, arrays, .. } = &self.desk;
        Basis {
            as_of: arrays.as_of.to_string(),
            market: market.id.clone(),
            params: ParamsId { name: params.name.clone(), id: params.id() },
            code: env!("CARGO_PKG_VERSION").to_owned(),
            currency: arrays.currency.to_string(),
            ticks_per_unit: arrays.ticks_per_unit,
        }
    }

    /// Says which accounts could not be valued, and why.
    pub(super) fn say_failures(&self, failures: &[Failure]) {
        for failure in failures.iter().take(FAILURES_NAMED) {
            say!("error: {}", self.told(failure));
        }
        if failures.len() > FAILURES_NAMED {
            let more = failures.len() - FAILURES_NAMED;
            say!("error: {more} more accounts could not be valued; --format json names them all");
        }
    }

    /// Failures as programs read them.
    pub(super) fn failure_rows(&self, failures: &[Failure]) -> Vec<FailureRow> {
        let row = |failure: &Failure| FailureRow {
            account: failure.account.to_string(),
            instrument: failure.instrument.as_ref().map(ToString::to_string),
            code: self.reason(failure).map(Reason::code),
            reason: failure.reason.clone(),
        };
        failures.iter().map(row).collect()
    }

    /// Why the instrument that is to blame cannot be valued.
    fn reason(&self, failure: &Failure) -> Option<Reason> {
        failure.instrument.as_ref().and_then(|i| self.desk.unvalued.get(i)).map(|issue| issue.reason)
    }

    /// Ends a question about one account that cannot be valued.
    pub(super) fn valued(&self, account: &AccountId) -> Result<(), Unvalued> {
        let failure = self.desk.failures.iter().find(|failure| failure.account == *account);
        failure.map_or(Ok(()), |failure| Err(Unvalued(self.told(failure))))
    }

    /// A failure with the place of its instrument and what it should have been.
    fn told(&self, failure: &Failure) -> String {
        let expected = failure.instrument.as_ref().zip(self.reason(failure));
        let expected = expected.and_then(|(instrument, reason)| self.expected(instrument, reason));
        let expected = expected.map_or_else(String::new, |text| format!("; expected {text}"));
        format!("{}{expected}", self.places.locate(failure))
    }

    /// What an instrument that is refused for this reason should have been.
    pub(super) fn expected(&self, instrument: &Instrument, reason: Reason) -> Option<String> {
        let surface = &self.desk.market.surface;
        Some(match reason {
            Reason::Expired => format!("an expiry after {}", surface.as_of),
            Reason::UnknownUnderlying => {
                let known: Vec<&str> = surface.underlyings.keys().map(Asset::as_str).collect();
                format!("an underlying of the market: {}", known.join(", "))
            }
            Reason::UnknownInstrument if instrument.option().is_none() => {
                "an instrument that the snapshot prices".to_owned()
            }
            Reason::UnknownInstrument => {
                "an option that the snapshot lists (--unlisted values others from the surface)".to_owned()
            }
            _ => return None,
        })
    }
}

/// The account asked for cannot be valued; everything else about the question was sound.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unvalued(String);
