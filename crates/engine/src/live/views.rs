//! What may be asked of an engine that changes nothing: reports, words, sensitivities, and what would be.
//!
//! **The one idea:** an answer is a function of the engine as it stands, and of the very numbers it acts by.

use super::effect::Reject;
use super::engine::Engine;
use super::ledger::{Account, Ledger};
use super::valued::Valued;
use crate::greeks::Ladder;
use crate::liquidation::{first_expiry_days, smallest_scan};
use crate::{EngineError, GreeksRow, HeatMap, HeatMapSpec, LiquidationSpec, LiquidationSurface};
use plimsoll_margin::{MarginReport, explain};
use plimsoll_risk::{Mode, Shift};
use plimsoll_types::{AccountId, Instrument, Portfolio, Position, RiskArrays, Ticks};

/// The margin of an account with every number that was added.
#[derive(Clone, PartialEq, Debug)]
pub struct Reports {
    /// Under what binds new risk: equity and initial margin are this one's.
    pub initial: MarginReport,
    /// Under what binds existing positions, while it is not the same: maintenance margin is this one's.
    pub maintenance: Option<MarginReport>,
}

/// Reports in words.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Worded {
    /// Of new risk.
    pub initial: String,
    /// Of existing positions, while it is not the same.
    pub maintenance: Option<String>,
}

impl Reports {
    /// What existing positions need.
    pub fn mm(&self) -> Ticks {
        self.maintenance.as_ref().unwrap_or(&self.initial).mm
    }

    /// Equity less what existing positions need.
    pub fn mm_excess(&self) -> Ticks {
        self.maintenance.as_ref().unwrap_or(&self.initial).mm_excess
    }
}

impl Engine {
    /// An account and its number.
    ///
    /// # Errors
    /// `unknown_account`.
    pub fn account(&self, account: &AccountId) -> Result<(u32, &Account), Reject> {
        let number = self.state.ledger.find(account)?;
        let found = self.state.ledger.account(number);
        Ok((number, found.ok_or_else(|| Reject::new("unknown_account", account.to_string()))?))
    }

    /// The margin of an account, every number of it.
    ///
    /// # Errors
    /// `unknown_account`, or `not_valid` while it cannot be valued.
    pub fn report(&self, account: &AccountId) -> Result<Reports, Reject> {
        self.report_of(self.account(account)?.1)
    }

    /// The margin of an account in words.
    ///
    /// # Errors
    /// As [`Engine::report`].
    pub fn explain(&self, account: &AccountId) -> Result<Worded, Reject> {
        let reports = self.report(account)?;
        let arrays = self.valued.arrays();
        let initial = explain(&reports.initial, arrays, self.valued.params());
        let of_maintenance = self.valued.maintenance();
        let maintenance = reports.maintenance.as_ref().zip(of_maintenance);
        let maintenance = maintenance.map(|(report, (arrays, params))| explain(report, arrays, params));
        Ok(Worded { initial, maintenance })
    }

    /// The Greeks ladder of an account, or of all of them.
    ///
    /// # Errors
    /// As [`Engine::report`].
    pub fn greeks(&self, account: Option<&AccountId>) -> Result<Vec<GreeksRow>, Reject> {
        let mut ladder = Ladder::new(self.valued.arrays());
        match account {
            Some(account) => ladder.add(&self.portfolio(self.account(account)?.1)?),
            None => self.valued.book().iter().for_each(|portfolio| ladder.add(&portfolio)),
        }
        Ok(ladder.rows(account))
    }

    /// An account with what it takes to try it on other markets, apart from the engine, which may go on meanwhile.
    ///
    /// # Errors
    /// As [`Engine::report`].
    pub fn study(&self, account: &AccountId) -> Result<Study, Reject> {
        let account = self.account(account)?.1.clone();
        let portfolio = self.portfolio(&account)?;
        let names = self.names(&portfolio);
        let (valued, ledger) = (self.valued.without_book(), self.state.ledger.without_accounts());
        Ok(Study { account, portfolio, names, valued, ledger })
    }

    pub(super) fn report_of(&self, account: &Account) -> Result<Reports, Reject> {
        let report = self.valued.report(account).ok_or_else(|| not_valid(account))?;
        let (initial, maintenance) = report.map_err(|e| Reject::new("margin", e.to_string()))?;
        Ok(Reports { initial, maintenance })
    }

    fn names(&self, portfolio: &Portfolio) -> Vec<Instrument> {
        let arrays = self.valued.arrays();
        let row = |ix| arrays.instrument(ix).map(|row| row.instrument.clone());
        portfolio.positions.iter().filter_map(|position| row(position.instrument)).collect()
    }
}

/// An account on its market, apart from the engine.
#[derive(Clone, Debug)]
pub struct Study {
    account: Account,
    portfolio: Portfolio,
    /// What it holds.
    names: Vec<Instrument>,
    valued: Valued,
    ledger: Ledger,
}

impl Study {
    /// Profit and loss over spot and volatility.
    ///
    /// # Errors
    /// `argument` of a move out of range, `not_valid` where a position has no value after one.
    pub fn heat_map(&self, spec: &HeatMapSpec) -> Result<HeatMap, Reject> {
        let moved = moved(&self.valued, &self.names, spec)?;
        spec.over(&self.account.id, &self.portfolio, (self.valued.arrays(), &moved)).map_err(argument)
    }

    /// What each position adds to [`Study::heat_map`], in its order of cells: the maps of all add up to that of the account.
    ///
    /// # Errors
    /// As [`Study::heat_map`].
    pub fn legs(&self, spec: &HeatMapSpec) -> Result<Vec<(Instrument, HeatMap)>, Reject> {
        let moved = moved(&self.valued, &self.names, spec)?;
        let alone = |position: &Position| Portfolio { positions: vec![*position], ..self.portfolio.clone() };
        let leg = |(name, position): (&Instrument, &Position)| {
            let map = spec.over(&self.account.id, &alone(position), (self.valued.arrays(), &moved));
            Ok((name.clone(), map.map_err(argument)?))
        };
        self.names.iter().zip(&self.portfolio.positions).map(leg).collect()
    }

    /// Where in spot, volatility and time the account becomes liquidatable.
    ///
    /// # Errors
    /// As [`Study::heat_map`].
    pub fn liquidation(&self, spec: &LiquidationSpec) -> Result<LiquidationSurface, Reject> {
        let excess = |shift: &Shift| {
            let surface = plimsoll_risk::shifted(&self.valued.surface, shift);
            let totals = self.valued.totals_on(&self.ledger, &self.account, &surface);
            totals.map(|totals| totals.mm_excess).ok_or_else(|| EngineError::Argument {
                what: "account",
                value: self.account.id.to_string(),
                expected: "positions that can all be valued after every move",
            })
        };
        let scan = smallest_scan(self.valued.arrays(), self.names.iter());
        let first = first_expiry_days(self.valued.surface.as_of, self.names.iter());
        spec.search(&excess, scan, first).map_err(argument)
    }
}

/// Risk arrays of instruments over a grid of moves, by full reprice.
pub(super) fn moved(valued: &Valued, names: &[Instrument], spec: &HeatMapSpec) -> Result<RiskArrays, Reject> {
    let like = valued.scenarios();
    let set = spec.scenarios(like, like.underlyings.clone()).map_err(argument)?;
    let built = plimsoll_risk::build(&valued.surface, names, &set, valued.units(), Mode::default());
    Ok(built.map_err(|e| Reject::new("not_valid", e.to_string()))?.arrays)
}

pub(super) fn not_valid(account: &Account) -> Reject {
    Reject::new("not_valid", format!("an instrument of {} cannot be valued", account.id))
}

fn argument(error: EngineError) -> Reject {
    Reject::new("argument", error.to_string())
}
