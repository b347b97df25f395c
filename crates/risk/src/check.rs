//! What a set, units and a list of instruments must be before anything is computed.

use crate::set::ScenarioSet;
use plimsoll_types::{Instrument, Ppb, QuantiseError, Units};
use std::collections::BTreeSet;

/// Why no arrays could be built at all: the set or the units are malformed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum BuildError {
    /// A unit is not positive.
    #[error("{field} is {value}: expected a positive number")]
    Units {
        /// Which.
        field: String,
        /// What it says.
        value: String,
    },
    /// The same instrument twice.
    #[error("instrument {instrument} is listed twice")]
    Duplicate {
        /// Which.
        instrument: Instrument,
    },
    /// A scenario has not one move per underlying, a pair points outside its block, or a list has the wrong length.
    #[error("{what} of `{label}` has {found} entries or points there, expected {expected}")]
    Shape {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// Found.
        found: usize,
        /// Expected.
        expected: usize,
    },
    /// A number of the set is outside its domain.
    #[error("{what} of `{label}` is {value}: expected {expected}")]
    Domain {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// The number.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// A ratio does not fit parts per billion.
    #[error("{what} of `{label}`: {source}")]
    Ratio {
        /// The field.
        what: &'static str,
        /// Whose.
        label: String,
        /// Why.
        source: QuantiseError,
    },
    /// More rows or underlyings than an index holds.
    #[error("{count} {what} do not fit a 32-bit index")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
    },
}

pub(crate) fn check_units(units: &Units) -> Result<(), BuildError> {
    let refuse = |field: String, value: String| Err(BuildError::Units { field, value });
    if units.ticks_per_unit <= 0 {
        return refuse("ticks_per_unit".to_owned(), units.ticks_per_unit.to_string());
    }
    let named = units.lots.iter().map(|(asset, size)| (format!("lots.{asset}"), size));
    for (field, size) in named.chain([("lot".to_owned(), &units.lot)]) {
        for (part, lot) in [("base", size.base), ("quote", size.quote)] {
            if lot <= plimsoll_types::Decimal::ZERO {
                return refuse(format!("{field}.{part}"), lot.to_string());
            }
        }
    }
    Ok(())
}

pub(crate) fn check_distinct(instruments: &[Instrument]) -> Result<(), BuildError> {
    let mut seen = BTreeSet::new();
    match instruments.iter().find(|i| !seen.insert(*i)) {
        Some(twice) => Err(BuildError::Duplicate { instrument: twice.clone() }),
        None => Ok(()),
    }
}

pub(crate) fn check_set(set: &ScenarioSet) -> Result<(), BuildError> {
    let n = set.underlyings.len();
    let shape = |what, label: &str, found, expected| {
        Err(BuildError::Shape { what, label: label.to_owned(), found, expected })
    };
    if set.price_scan.len() != n {
        return shape("price_scan", "set", set.price_scan.len(), n);
    }
    let points = &set.composite_delta;
    if points.points.len() != points.weights.len() {
        return shape("composite_delta.weights", "set", points.weights.len(), points.points.len());
    }
    let sum: f64 = points.weights.iter().sum();
    if sum <= 0.0 || !sum.is_finite() {
        let (what, label, expected) = ("sum of composite_delta.weights", "set".to_owned(), "above 0");
        return Err(BuildError::Domain { what, label, value: sum, expected });
    }
    for block in &set.blocks {
        for scenario in &block.scenarios {
            if scenario.moves.len() != n {
                return shape("moves", &scenario.label, scenario.moves.len(), n);
            }
            if scenario.pair >= block.scenarios.len() {
                return shape("pair", &scenario.label, scenario.pair, block.scenarios.len());
            }
            check_scenario(scenario, set.vol_shock.skew.is_some())?;
        }
    }
    Ok(())
}

fn check_scenario(scenario: &crate::Scenario, has_skew_form: bool) -> Result<(), BuildError> {
    let refuse = |what, value, expected| {
        Err(BuildError::Domain { what, label: scenario.label.clone(), value, expected })
    };
    let weight = scenario.weight;
    if !(weight > 0.0 && weight <= 1.0) {
        return refuse("weight", weight, "a share in (0, 1]");
    }
    for m in &scenario.moves {
        let all = [m.spot, m.vol, m.skew, m.wing, m.term, m.basis, m.rate, m.elapsed_days];
        if let Some(bad) = all.into_iter().find(|x| !x.is_finite()) {
            return refuse("move", bad, "a finite number");
        }
        if m.spot <= -1.0 {
            return refuse("spot move", m.spot, "more than -1");
        }
        if m.elapsed_days < 0.0 {
            return refuse("elapsed_days", m.elapsed_days, "0 or more");
        }
        if (m.skew != 0.0 || m.wing != 0.0) && !has_skew_form {
            return refuse("skew or wing move", m.skew, "0 where vol_shock.skew is absent");
        }
    }
    Ok(())
}

/// A ratio of the set in parts per billion.
pub(crate) fn ratio(what: &'static str, label: &str, x: f64) -> Result<Ppb, BuildError> {
    Ppb::from_f64(x).map_err(|source| BuildError::Ratio { what, label: label.to_owned(), source })
}
