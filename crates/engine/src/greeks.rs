//! Sensitivities in the units people read, per account, underlying and expiry.

use crate::Desk;
use plimsoll_types::{AccountId, Asset, GreekTicks, InstrumentRow, Portfolio, RiskArrays, Ticks, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// Days in a year, for `theta_per_day`.
const YEAR_DAYS: f64 = 365.0;

/// One rung of a Greeks ladder. Sums of integers, scaled once for display.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct GreeksRow {
    /// Whose; `None` for the whole book.
    pub account: Option<AccountId>,
    /// Of which underlying.
    pub underlying: Asset,
    /// Which expiry; `None` for spot and perpetuals.
    pub expiry: Option<Timestamp>,
    /// Mark value of options and spot, in the valuation currency.
    pub mark_value: f64,
    /// `dV/dS`, base units.
    pub delta: f64,
    /// `S dV/dS`, valuation currency.
    pub delta_cash: f64,
    /// `d2V/dS2`, base units per quote unit of price.
    pub gamma: f64,
    /// `dV/dvol` per 0.01 of volatility, valuation currency.
    pub vega_per_point: f64,
    /// `dV/dt` per day, valuation currency.
    pub theta_per_day: f64,
    /// `dV/dr` per 0.0001 of rate, valuation currency.
    pub rho_per_bp: f64,
    /// `d2V/(dS dvol)` per 0.01 of volatility, base units.
    pub vanna: f64,
    /// `d2V/dvol2` per squared 0.01 of volatility, valuation currency.
    pub volga: f64,
}

/// Exact sums over one rung.
#[derive(Clone, Copy, Default)]
struct Sums {
    mark: i128,
    delta: i128,
    gamma: i128,
    vega: i128,
    theta: i128,
    rho: i128,
    vanna: i128,
    volga: i128,
}

impl Sums {
    fn add(&mut self, row: &InstrumentRow, lots: i64) {
        let GreekTicks { delta, gamma, vega, theta, rho, vanna, volga } = row.greeks;
        let times = |x: i64| i128::from(lots) * i128::from(x);
        self.mark += times(row.mark);
        self.delta += times(delta);
        self.gamma += times(gamma);
        self.vega += times(vega);
        self.theta += times(theta);
        self.rho += times(rho);
        self.vanna += times(vanna);
        self.volga += times(volga);
    }

    fn take(&mut self, other: &Self) {
        self.mark += other.mark;
        self.delta += other.delta;
        self.gamma += other.gamma;
        self.vega += other.vega;
        self.theta += other.theta;
        self.rho += other.rho;
        self.vanna += other.vanna;
        self.volga += other.volga;
    }
}

impl Desk {
    /// The ladder of one account, or of the whole book, in order of underlying and expiry.
    ///
    /// # Errors
    /// When there is no such account or it cannot be valued.
    pub fn greeks(&self, account: Option<&AccountId>) -> Result<Vec<GreeksRow>, crate::EngineError> {
        let mut ladder = Ladder::new(&self.arrays);
        match account {
            Some(account) => ladder.add(&self.portfolio(account)?),
            None => self.book.iter().for_each(|portfolio| ladder.add(&portfolio)),
        }
        Ok(ladder.rows(account))
    }
}

/// Sums by underlying and expiry, growing portfolio by portfolio.
pub(crate) struct Ladder<'a> {
    arrays: &'a RiskArrays,
    rungs: BTreeMap<(usize, Option<Timestamp>), Sums>,
}

impl<'a> Ladder<'a> {
    pub(crate) fn new(arrays: &'a RiskArrays) -> Self {
        Self { arrays, rungs: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, portfolio: &Portfolio) {
        for position in &portfolio.positions {
            if let Some(row) = self.arrays.instrument(position.instrument) {
                let rung = (row.underlying.index(), row.instrument.expiry());
                self.rungs.entry(rung).or_default().add(row, position.lots.0);
            }
        }
    }

    /// Everything of one underlying together, whatever expires when; `None` where there is nothing. Of several, the first.
    pub(crate) fn total(self, account: &AccountId) -> Option<GreeksRow> {
        let (underlying, _) = *self.rungs.keys().next()?;
        let mut sums = Sums::default();
        for ((of, _), rung) in &self.rungs {
            if *of == underlying {
                sums.take(rung);
            }
        }
        rung(self.arrays, Some(account), (underlying, None), &sums)
    }

    /// In order of underlying and expiry.
    pub(crate) fn rows(self, account: Option<&AccountId>) -> Vec<GreeksRow> {
        let row = |((underlying, expiry), sums)| rung(self.arrays, account, (underlying, expiry), &sums);
        self.rungs.into_iter().filter_map(row).collect()
    }
}

fn rung(
    arrays: &RiskArrays,
    account: Option<&AccountId>,
    (underlying, expiry): (usize, Option<Timestamp>),
    sums: &Sums,
) -> Option<GreeksRow> {
    let under = arrays.underlyings.get(underlying)?;
    let tick = arrays.ticks_per_unit as f64;
    let cash = |ticks: i128| Ticks(ticks).0 as f64 / tick;
    let spot = under.index as f64 / tick;
    Some(GreeksRow {
        account: account.cloned(),
        underlying: under.asset.clone(),
        expiry,
        mark_value: cash(sums.mark),
        delta: cash(sums.delta) / spot,
        delta_cash: cash(sums.delta),
        gamma: cash(sums.gamma) / (spot * spot),
        vega_per_point: cash(sums.vega) * 0.01,
        theta_per_day: cash(sums.theta) / YEAR_DAYS,
        rho_per_bp: cash(sums.rho) * 0.0001,
        vanna: cash(sums.vanna) / spot * 0.01,
        volga: cash(sums.volga) * 0.0001,
    })
}
