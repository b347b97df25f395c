//! Legs of a what-if, and how many of them one may ask about.

use super::App;
use super::answer::Problem;
use crate::doors::Caller;
use crate::wire::schema::{DecimalText, InstrumentName};
use crate::wire::{self, Unreadable};
use axum::http::StatusCode;
use plimsoll_types::{Instrument, Units};
use serde::Deserialize;
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// A leg.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Leg {
    /// Of what.
    #[schema(value_type = InstrumentName)]
    pub(super) instrument: Instrument,
    /// Bought > 0.
    pub(super) quantity: DecimalText,
}

/// Legs as trades, in lots.
pub(super) fn trades(legs: &[Leg], units: &Units) -> Result<Vec<(Instrument, i64)>, Problem> {
    let trade = |leg: &Leg| Ok((leg.instrument.clone(), lots(&leg.quantity, &leg.instrument, units)?));
    legs.iter().map(trade).collect()
}

/// A quantity in lots.
pub(super) fn lots(text: &str, instrument: &Instrument, units: &Units) -> Result<i64, Problem> {
    let unfit = |e: Unreadable| Problem::new(StatusCode::CONFLICT, "quantity", e.to_string());
    wire::lots(text, instrument, units).map_err(unfit)
}

/// Refuses more of something than one may ask about.
pub(super) fn limited(what: &str, found: usize, most: usize) -> Result<(), Problem> {
    if found <= most { Ok(()) } else { Err(Problem::argument(format!("{found} {what}: at most {most}"))) }
}

/// Units of work that so many legs are, priced under some scenarios: a request's own beside them.
pub(super) fn units_of(legs: usize) -> u32 {
    u32::try_from(legs).unwrap_or(u32::MAX)
}

impl App {
    /// Refuses instruments of more expiries than one may ask about.
    pub(super) fn expiries<'a>(&self, of: impl Iterator<Item = &'a Instrument>) -> Result<(), Problem> {
        let expiries: BTreeSet<_> = of.filter_map(Instrument::expiry).collect();
        limited("expiries", expiries.len(), self.limits.expiries_max)
    }

    /// What a what-if may be asked about, paid for.
    pub(super) fn legs(&self, caller: &Caller, legs: &[Leg]) -> Result<(), Problem> {
        limited("legs", legs.len(), self.limits.legs_max)?;
        self.expiries(legs.iter().map(|leg| &leg.instrument))?;
        self.doors.pay(caller, units_of(legs.len()))
    }
}
