//! What accounts hold, by instrument index and in integers.

use crate::{AccountId, Asset, InstrumentIx, Lots, Ticks};
use serde::{Deserialize, Serialize};

/// A holding of one instrument.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Position {
    /// Which row of the risk arrays.
    pub instrument: InstrumentIx,
    /// Signed lots; long > 0.
    pub lots: Lots,
    /// Profit since entry that is not yet in the collateral, in ticks, rounded down; 0 where the position was marked
    /// to market or no entry price is known.
    pub unrealised: Ticks,
}

/// An amount of a collateral asset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Holding {
    /// Which asset.
    pub asset: Asset,
    /// Billionths of a unit; negative is borrowed.
    pub amount_nano: i128,
    /// The position it is set aside for, in isolated mode.
    pub earmark: Option<InstrumentIx>,
}

/// An open order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Order {
    /// Which row of the risk arrays.
    pub instrument: InstrumentIx,
    /// Signed lots still open; a bid is > 0, an ask < 0.
    pub lots: Lots,
    /// Gain (> 0) or loss against the mark if it fills in full, in ticks, rounded down.
    pub edge: Ticks,
}

/// One account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Portfolio {
    /// Whose.
    pub account: AccountId,
    /// At most one per instrument, in rising order of `instrument`.
    pub positions: Vec<Position>,
    /// Collateral.
    pub collateral: Vec<Holding>,
    /// Open orders.
    pub orders: Vec<Order>,
}
