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
pub use events::{EventBody, EventIn, Unreadable, kind};
pub(crate) use events::{lots, nano, stated};
pub use plimsoll_client::answers::{
    Account as AccountOut, Check as CheckOut, Collateral, Greeks, Listed, Margin as MarginOut, Position,
    Totals as TotalsOut, WhatIf as WhatIfOut,
};
pub use reports::{account, check, greeks, margin, totals, totals_in, what_if};

use plimsoll_types::{NANO, Ticks, Units};
use serde::Serialize;

/// An amount of the valuation currency.
pub fn money(ticks: Ticks, units: &Units) -> String {
    units.amount(ticks).normalize().to_string()
}

/// The word that something is written as.
pub fn word<T: Serialize>(of: &T) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// Billionths of an asset.
pub(crate) fn coins(nano: i128) -> String {
    let (whole, part) = (nano / i128::from(NANO), (nano % i128::from(NANO)).abs());
    let sign = if nano < 0 && whole == 0 { "-" } else { "" };
    let text = format!("{sign}{whole}.{part:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
