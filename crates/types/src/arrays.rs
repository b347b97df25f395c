//! What the risk stage hands to the margin stage: integers per lot, and nothing of how they were found.

use crate::{Asset, Instrument, Ppb, Ticks, Timestamp};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The row of an instrument in the risk arrays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InstrumentIx(pub u32);

/// The place of an underlying in the risk arrays.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnderlyingIx(pub u32);

impl InstrumentIx {
    /// As an index of `instruments`.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl UnderlyingIx {
    /// As an index of `underlyings`.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A state of the correlation between underlyings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrelationState {
    /// As estimated.
    Estimated,
    /// Everything moves together.
    Crash,
    /// The common factor loses its hold.
    Breakdown,
}

/// What the columns of a block mean, and so how they may be aggregated.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// Each column moves every underlying on its own scale; rows of different underlyings are not to be added
    /// within a column.
    Grid,
    /// The common factor under a correlation state: rows of all underlyings add within a column.
    Systematic(CorrelationState),
    /// What is left of each underlying beside the common factor under a state: as `Grid`, to be added across
    /// underlyings and to the systematic loss of the same state.
    Idiosyncratic(CorrelationState),
    /// One joint move of all underlyings per column, equally likely: rows add within a column.
    Joint,
    /// As `Joint`, from a stressed period.
    StressedJoint,
}

/// Which requirement a block serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Initial and maintenance margin.
    Both,
    /// Initial margin only.
    Im,
    /// Maintenance margin only.
    Mm,
}

/// A run of columns with one meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Block {
    /// What its columns mean.
    pub kind: BlockKind,
    /// Which requirement it serves.
    pub purpose: Purpose,
    /// Which columns.
    pub columns: Range<usize>,
}

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScenarioColumn {
    /// What it does, in words: `spot +16 % vol up`.
    pub label: String,
    /// Share of its profit or loss that counts; already applied to the entries.
    pub weight: Ppb,
    /// Relative spot move of each underlying, in the order of `underlyings`.
    pub spot: Vec<Ppb>,
    /// The column that differs from this one in the direction of volatility only (itself if there is none).
    pub pair: usize,
}

/// What the margin stage may know of an underlying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnderlyingRow {
    /// Its name.
    pub asset: Asset,
    /// Index price of one base unit, in ticks; > 0.
    pub index: i64,
    /// Half-width of the confidence interval of the index, relative to it; >= 0. Zero where the source states none.
    pub confidence: Ppb,
    /// The price scan of the scenario set: the largest full-weight relative move; > 0.
    pub price_scan: Ppb,
}

/// Sensitivities of one long lot, in ticks, rounded to nearest. Raw derivatives times the size of the move named.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GreekTicks {
    /// Per unit relative move of spot: `S dV/dS`.
    pub delta: i64,
    /// `S^2 d2V/dS2`.
    pub gamma: i64,
    /// Per 1.00 of volatility.
    pub vega: i64,
    /// Per year: `dV/dt`.
    pub theta: i64,
    /// Per 1.00 of the interest rate.
    pub rho: i64,
    /// `S d2V/(dS dvol)`.
    pub vanna: i64,
    /// `d2V/dvol2`.
    pub volga: i64,
}

/// What the margin stage may know of an instrument. All amounts are of one long lot, in ticks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstrumentRow {
    /// Its terms.
    pub instrument: Instrument,
    /// Its underlying.
    pub underlying: UnderlyingIx,
    /// Quantity of one lot, in the instrument's own quantity unit.
    pub lot: Decimal,
    /// Value that counts as equity: the mark of options and spot; 0 for futures and perpetuals.
    pub mark: i64,
    /// Size at the index price; >= 0.
    pub notional: i64,
    /// Price of one base unit, not of a lot, that the contract is on: the forward of a dated contract, the mark price of
    /// a perpetual, the index of spot; > 0.
    pub reference: i64,
    /// All contracts open at the venue, of perpetuals, at the index price; `None` where the source states none.
    pub open_interest: Option<Ticks>,
    /// Sensitivities.
    pub greeks: GreekTicks,
    /// Composite delta per unit of `notional`: the delta averaged over the price scan (SPAN).
    pub composite_delta: Ppb,
    /// Seconds to expiry, of dated contracts; > 0.
    pub seconds_to_expiry: Option<i64>,
    /// Funding due over the next 8 hours by one long lot, of perpetuals; > 0 is a payment. 0 where none is known.
    pub funding_8h: i64,
}

/// Why arrays are malformed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RiskArraysError {
    /// The matrix is not instruments x scenarios.
    #[error("{entries} entries for {instruments} instruments and {scenarios} scenarios")]
    Shape {
        /// Entries given.
        entries: usize,
        /// Rows.
        instruments: usize,
        /// Columns.
        scenarios: usize,
    },
    /// A row names an underlying that is not there, or a column has not one spot move per underlying, or a block or
    /// a pair reaches outside the columns.
    #[error("{what} of {subject} points outside the arrays")]
    Reference {
        /// The field.
        what: &'static str,
        /// Whose.
        subject: String,
    },
}

/// Profit or loss of one long lot of every instrument under every scenario, in ticks; gain > 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RiskArrays {
    /// The instant the market speaks of.
    pub as_of: Timestamp,
    /// The currency of every amount.
    pub currency: Asset,
    /// Ticks per unit of the currency.
    pub ticks_per_unit: i64,
    /// Underlyings.
    pub underlyings: Vec<UnderlyingRow>,
    /// Instruments: the rows.
    pub instruments: Vec<InstrumentRow>,
    /// Scenarios: the columns.
    pub scenarios: Vec<ScenarioColumn>,
    /// What the columns mean.
    pub blocks: Vec<Block>,
    /// Entries, row-major: instrument `i` under scenario `s` is `pnl[i * scenarios.len() + s]`.
    pub pnl: Vec<i64>,
    /// Prices of collateral assets.
    pub assets: Vec<AssetRow>,
}

/// What the margin stage may know of a collateral asset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AssetRow {
    /// Its name.
    pub asset: Asset,
    /// Price of one unit in ticks, rounded down; > 0.
    pub price: i64,
    /// Half-width of the confidence interval relative to the price; >= 0.
    pub confidence: Ppb,
}

impl RiskArrays {
    /// Checks that every index points inside and that the matrix has its shape; call once after building by hand.
    pub fn check(&self) -> Result<(), RiskArraysError> {
        let (instruments, scenarios) = (self.instruments.len(), self.scenarios.len());
        if self.pnl.len() != instruments * scenarios {
            return Err(RiskArraysError::Shape { entries: self.pnl.len(), instruments, scenarios });
        }
        let outside = |what, subject: String| Err(RiskArraysError::Reference { what, subject });
        for row in &self.instruments {
            if row.underlying.index() >= self.underlyings.len() {
                return outside("underlying", row.instrument.to_string());
            }
        }
        for column in &self.scenarios {
            if column.spot.len() != self.underlyings.len() || column.pair >= scenarios {
                return outside("spot or pair", column.label.clone());
            }
        }
        for block in &self.blocks {
            if block.columns.start > block.columns.end || block.columns.end > scenarios {
                return outside("columns", format!("{:?}", block.kind));
            }
        }
        Ok(())
    }

    /// The row of an instrument: profit or loss of one long lot per scenario. Empty past the end.
    pub fn row(&self, ix: InstrumentIx) -> &[i64] {
        let width = self.scenarios.len();
        let start = ix.index() * width;
        self.pnl.get(start..start + width).unwrap_or(&[])
    }

    /// The terms of an instrument; `None` past the end.
    pub fn instrument(&self, ix: InstrumentIx) -> Option<&InstrumentRow> {
        self.instruments.get(ix.index())
    }

    /// The index of an instrument, by a scan; build a map where it is asked often.
    pub fn find(&self, instrument: &Instrument) -> Option<InstrumentIx> {
        let at = self.instruments.iter().position(|row| row.instrument == *instrument)?;
        u32::try_from(at).ok().map(InstrumentIx)
    }

    /// The price of a collateral asset.
    pub fn asset(&self, asset: &Asset) -> Option<&AssetRow> {
        self.assets.iter().find(|row| row.asset == *asset)
    }
}
