//! What an account gains or loses over a grid of spot and volatility moves, by full reprice.

use crate::{Desk, EngineError};
use plimsoll_risk::{Move, Scenario, ScenarioBlock, ScenarioSet, VolShock, VolShockKind};
use plimsoll_types::{AccountId, Asset, BlockKind, Portfolio, Purpose, RiskArrays, Ticks};
use serde::Serialize;

/// The grid. Every underlying moves alike; volatility moves relative to itself, the same at every tenor.
#[derive(Clone, PartialEq, Debug)]
pub struct HeatMapSpec {
    /// Relative moves of spot; each > -1.
    pub spot: Vec<f64>,
    /// Relative moves of volatility; each > -1.
    pub vol: Vec<f64>,
    /// Days that pass; >= 0.
    pub days: f64,
}

impl Default for HeatMapSpec {
    fn default() -> Self {
        let spot = (-10..=10).map(|i| f64::from(i) * 0.04).collect();
        Self { spot, vol: vec![-0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0], days: 0.0 }
    }
}

/// Profit and loss of one account over a grid.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HeatMap {
    /// Relative moves of spot.
    pub spot: Vec<f64>,
    /// Relative moves of volatility.
    pub vol: Vec<f64>,
    /// Ticks, gain > 0: `pnl[vol][spot]`.
    pub pnl: Vec<Vec<Ticks>>,
    /// The worst cell as (vol, spot).
    pub worst: (usize, usize),
}

impl HeatMapSpec {
    fn check(&self) -> Result<(), EngineError> {
        let argument =
            |what, value: String| Err(EngineError::Argument { what, value, expected: "finite and above -1" });
        for (what, moves) in [("spot", &self.spot), ("vol", &self.vol)] {
            if moves.is_empty() || moves.len() > 501 {
                return Err(EngineError::Argument {
                    what,
                    value: format!("{} moves", moves.len()),
                    expected: "1 to 501 moves",
                });
            }
            if let Some(bad) = moves.iter().find(|m| !(m.is_finite() && **m > -1.0)) {
                return argument(what, bad.to_string());
            }
        }
        if !(self.days.is_finite() && self.days >= 0.0) {
            return Err(EngineError::Argument {
                what: "days",
                value: self.days.to_string(),
                expected: "at least 0",
            });
        }
        Ok(())
    }

    /// The grid as one block of scenarios, vol by vol.
    pub(crate) fn scenarios(
        &self,
        like: &ScenarioSet,
        underlyings: Vec<Asset>,
    ) -> Result<ScenarioSet, EngineError> {
        self.check()?;
        let cell = |(at, (vol, spot)): (usize, (f64, f64))| {
            let each = Move { spot, vol, elapsed_days: self.days, ..Move::default() };
            Scenario {
                label: format!("{spot:+} {vol:+}"),
                weight: 1.0,
                moves: vec![each; underlyings.len()],
                pair: at,
            }
        };
        let cells = self.vol.iter().flat_map(|vol| self.spot.iter().map(move |spot| (*vol, *spot)));
        let scenarios = cells.enumerate().map(cell).collect();
        let flat = VolShock {
            kind: VolShockKind::Relative,
            power_short: 0.0,
            power_long: 0.0,
            min_vol_up: 0.0,
            ..like.vol_shock
        };
        Ok(ScenarioSet {
            price_scan: like.price_scan.clone(),
            underlyings,
            vol_shock: flat,
            composite_delta: like.composite_delta.clone(),
            blocks: vec![ScenarioBlock { kind: BlockKind::Grid, purpose: Purpose::Both, scenarios }],
            notes: Vec::new(),
        })
    }
}

impl Desk {
    /// The account's profit and loss over the grid, all underlyings moving together.
    ///
    /// # Errors
    /// When the account cannot be valued, or a move is out of range.
    pub fn heat_map(&self, account: &AccountId, spec: &HeatMapSpec) -> Result<HeatMap, EngineError> {
        let portfolio = self.portfolio(account)?;
        let (_, names) = self.names_of(account)?;
        let set = spec.scenarios(&self.scenarios, self.scenarios.underlyings.clone())?;
        let built = plimsoll_risk::build(&self.market.surface, &names, &set, &self.params.units, self.mode)?;
        spec.over(account, &portfolio, (&self.arrays, &built.arrays))
    }
}

impl HeatMapSpec {
    /// A portfolio on `rows`, over the grid that `moved` was built of.
    pub(crate) fn over(
        &self,
        account: &AccountId,
        portfolio: &Portfolio,
        (rows, moved): (&RiskArrays, &RiskArrays),
    ) -> Result<HeatMap, EngineError> {
        let mut cells = vec![0_i128; self.spot.len() * self.vol.len()];
        for position in &portfolio.positions {
            let row = rows.instrument(position.instrument);
            let ix =
                row.and_then(|row| moved.find(&row.instrument)).ok_or_else(|| EngineError::Argument {
                    what: "account",
                    value: account.to_string(),
                    expected: "positions that can all be valued under every move",
                })?;
            for (cell, entry) in cells.iter_mut().zip(moved.row(ix)) {
                *cell += i128::from(position.lots.0) * i128::from(*entry);
            }
        }
        let worst = cells.iter().enumerate().min_by_key(|(_, pnl)| **pnl).map_or(0, |(at, _)| at);
        let width = self.spot.len();
        Ok(HeatMap {
            spot: self.spot.clone(),
            vol: self.vol.clone(),
            pnl: cells.chunks(width).map(|row| row.iter().map(|pnl| Ticks(*pnl)).collect()).collect(),
            worst: (worst / width, worst % width),
        })
    }
}
