//! What a server says.
//!
//! Amounts, prices and quantities are decimals in text; Greeks are floats. What a later server says beside this is passed over.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An answer, and what it was read from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Answer<T> {
    /// The last event of the journal that it takes in.
    pub sequence: u64,
    /// The engine's time after that event.
    pub as_of: String,
    /// The market it is on: the instant that was valued last.
    pub snapshot: String,
    /// Version of the parameters in force.
    pub parameters: u64,
    /// How far its numbers may be relied on: `normal`, `degraded` or `halted`.
    pub validity: String,
    /// What was asked for.
    pub data: T,
}

/// Why a request was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Problem {
    /// One stable word.
    pub code: String,
    /// The particulars.
    pub detail: String,
}

/// The answer for one of several.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Each<T> {
    /// Whose.
    pub account: String,
    /// The answer, where there is one.
    pub answer: Option<T>,
    /// Else why not.
    pub problem: Option<Problem>,
}

/// What became of an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Its place in the journal; nothing when it is not there.
    pub sequence: Option<u64>,
    /// Whether it was applied. What is refused is in the journal too.
    pub applied: bool,
    /// Market data that waits.
    #[serde(default)]
    pub waits: bool,
    /// Why it was refused.
    pub problem: Option<Problem>,
    /// What followed from it.
    pub effects: Vec<Value>,
}

/// An account among others.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub account: String,
    /// How it stands.
    pub standing: String,
    /// How far its numbers may be relied on.
    pub validity: String,
    /// Nothing while it cannot be valued.
    pub totals: Option<Totals>,
}

/// Totals of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Totals {
    /// Collateral after haircuts, plus marks, plus profit.
    pub equity: String,
    /// Initial margin: what new risk needs.
    pub im: String,
    /// Maintenance margin: what existing positions need.
    pub mm: String,
    /// `equity - im`.
    pub im_excess: String,
    /// `equity - mm`; liquidatable below zero.
    pub mm_excess: String,
    /// Scenario losses, before scaling.
    pub aggregate: String,
    /// Charges beside them, in initial margin.
    pub addons: String,
    /// Profit since entry.
    pub unrealised: String,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Account {
    /// Its name.
    pub account: String,
    /// `healthy`, `call`, `unvalued`, `liquidatable` or `insolvent`.
    pub standing: String,
    /// Left out while it cannot be valued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
    /// What it holds.
    pub positions: Vec<Position>,
    /// What backs it.
    pub collateral: Vec<Collateral>,
    /// What it has ordered.
    pub orders: Vec<Order>,
    /// Its liquidation under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
}

/// A position.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Position {
    /// Of what.
    pub instrument: String,
    /// Long > 0.
    pub quantity: String,
    /// What it cost, funding and premiums included.
    pub cost: String,
    /// What it is worth; left out while it cannot be valued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Collateral.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Collateral {
    /// What.
    pub asset: String,
    /// Borrowed < 0.
    pub amount: String,
}

/// An open order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Order {
    /// The client's number.
    pub id: u64,
    /// Of what.
    pub instrument: String,
    /// Bids > 0.
    pub quantity: String,
    /// Its limit.
    pub limit: String,
}

/// An instrument.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Listed {
    /// Its name.
    pub instrument: String,
    /// What one lot is, of the instrument's quantity.
    pub lot: String,
    /// What a lot is worth; left out while it cannot be valued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_of_lot: Option<String>,
    /// Whether it is settled.
    pub settled: bool,
}

/// Every number of a margin. `im = base.im + guard.im + sum of addons.im - relief.im + orders.im`, and `mm` likewise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Margin {
    /// Whose.
    pub account: String,
    /// Its totals.
    pub totals: Totals,
    /// Scaled scenario losses.
    pub base: Added,
    /// What rounding is covered by.
    pub guard: Added,
    /// Charges beside the scenario losses.
    pub addons: Vec<Added>,
    /// What is taken off because a long costs its premium at most.
    pub relief: Added,
    /// What open orders add.
    pub orders: Added,
    /// Sum of standalone losses less the aggregate.
    pub netting_benefit: String,
    /// Names of the scenarios, in the order of every `pnl`.
    pub scenarios: Vec<String>,
    /// Per underlying.
    pub underlyings: Vec<Underlying>,
    /// What backs it, one by one.
    pub collateral: Vec<Collateral>,
}

/// A part of a margin.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Added {
    /// Which.
    pub part: String,
    /// Of what, where it is of something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// In initial margin.
    pub im: String,
    /// In maintenance margin.
    pub mm: String,
    /// What it was computed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
}

/// One underlying of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Underlying {
    /// Which.
    pub asset: String,
    /// Worst loss in the scenarios of initial margin.
    pub scan_loss: String,
    /// In which scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// The same of maintenance margin.
    pub mm_scan_loss: String,
    /// Profit or loss in every scenario.
    pub pnl: Vec<String>,
    /// What each position adds to the worst.
    pub contributions: Vec<Contribution>,
}

/// A position's part in the worst scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Contribution {
    /// Which.
    pub instrument: String,
    /// How much of it.
    pub quantity: String,
    /// What it gains or loses there.
    pub pnl: String,
}

/// The answer before a trade.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Check {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why not: `insufficient_margin`, `unconfirmed_profit`, `degraded`, `halted`; empty where it may.
    pub reason: String,
    /// `equity - im` before.
    pub im_excess_before: String,
    /// And after.
    pub im_excess_after: String,
    /// `equity - mm` before.
    pub mm_excess_before: String,
    /// And after.
    pub mm_excess_after: String,
    /// Profit at a price that the stable one does not confirm: no cover for new risk.
    pub unconfirmed: String,
}

/// Margin before and after trades at the mark.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WhatIf {
    /// As it is.
    pub before: Margin,
    /// With the trades.
    pub after: Margin,
    /// Whether they would be allowed.
    pub check: Check,
}

/// One rung of a Greeks ladder, for reading: floats.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Greeks {
    /// Of which underlying.
    pub underlying: String,
    /// Of which expiry; left out for spot and perpetuals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<String>,
    /// `dV/dS`, base units.
    pub delta: f64,
    /// `S dV/dS`, valuation currency.
    pub delta_cash: f64,
    /// `d2V/dS2`, base units per quote unit of price.
    pub gamma: f64,
    /// Per 0.01 of volatility, valuation currency.
    pub vega_per_point: f64,
    /// Per day, valuation currency.
    pub theta_per_day: f64,
    /// Per 0.0001 of rate, valuation currency.
    pub rho_per_bp: f64,
    /// `d2V/(dS dvol)` per 0.01 of volatility, base units.
    pub vanna: f64,
    /// `d2V/dvol2` per squared 0.01 of volatility, valuation currency.
    pub volga: f64,
}
