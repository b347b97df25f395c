//! What events, effects and reports look like outside: JSON, with money, prices and quantities as decimals in text.
//!
//! **The one idea:** the engine counts in ticks and lots; people and programs read and write decimals of the currency and of
//! coins. Every amount is turned here, exactly, in both directions, or refused.
//!
//! **Must never know:** requests, sockets, the engine's state.

mod effects;
mod events;
mod reports;
pub mod schema;

pub(crate) use effects::quantity;
pub use effects::{effect, plan};
pub(crate) use events::lots;
pub use events::{EventBody, EventIn, Unreadable, kind};
pub use reports::{
    AccountOut, Added, CheckOut, Collateral, Contribution, Greeks, Listed, MarginOut, OrderOut, Position,
    TotalsOut, Underlying, WhatIfOut, account, check, greeks, margin, totals, what_if,
};

use plimsoll_types::{NANO, Ticks, Units};

/// An amount of the valuation currency.
pub fn money(ticks: Ticks, units: &Units) -> String {
    units.amount(ticks).normalize().to_string()
}

/// Billionths of an asset.
pub(crate) fn coins(nano: i128) -> String {
    let (whole, part) = (nano / i128::from(NANO), (nano % i128::from(NANO)).abs());
    let sign = if nano < 0 && whole == 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
