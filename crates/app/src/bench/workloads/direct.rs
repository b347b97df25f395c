//! The reference of everything repriced: one option under one scenario, by the formulas for a single option.

use crate::bench::inputs::Listing;
use anyhow::{Context, bail};
use plimsoll_quant::black::OptionKind;
use plimsoll_quant::special::ln;
use plimsoll_risk::{Move, OptionLeg, Scenario, Sticky, revalue};
use plimsoll_types::{Contract, Rounding, nearest_f64, quantise};

/// How far an entry may be from the direct one: both round, and the formulas differ in the last digits.
const TICKS: i64 = 1;

/// The scenarios of a set in the order of columns.
pub(super) fn scenarios(listing: &Listing) -> Vec<&Scenario> {
    listing.set.blocks.iter().flat_map(|block| &block.scenarios).collect()
}

/// Profit or loss of one long lot of an option under a scenario, in ticks.
pub(super) fn entry(listing: &Listing, instrument: usize, scenario: &Scenario) -> anyhow::Result<i64> {
    let instrument = listing.instruments.get(instrument).context("an instrument of the listing")?;
    let Contract::Option { expiry, strike, kind } = instrument.contract() else {
        bail!("{instrument}: expected an option");
    };
    let place = listing.set.underlyings.iter().position(|asset| asset == instrument.underlying());
    let by = place.and_then(|place| scenario.moves.get(place)).context("a move of the underlying")?;
    let market = listing.surface.underlying(instrument.underlying())?;
    let (strike, forward) = (nearest_f64(strike), market.forward(listing.surface.as_of, expiry)?);
    let shock = &listing.set.vol_shock;
    let moved = match shock.sticky {
        Sticky::Moneyness => forward * (1.0 + by.spot),
        Sticky::Strike => forward,
    };
    let kind = if kind == plimsoll_types::OptionKind::Call { OptionKind::Call } else { OptionKind::Put };
    let leg = |on: f64| -> anyhow::Result<OptionLeg> {
        let vol = market.vol(expiry, ln(strike / on))?;
        let tau = listing.surface.as_of.years_until(expiry);
        Ok(OptionLeg { kind, strike, fixed: 0.0, variable: forward, vol, tau })
    };
    let now = revalue(&leg(forward)?, shock, &Move::default())?;
    let then = revalue(&leg(moved)?, shock, by)?;
    let scale = nearest_f64(listing.units.lot(instrument)) * listing.units.ticks_per_unit as f64;
    Ok(quantise(scenario.weight * (then - now) * scale, Rounding::Nearest)?)
}

/// Compares entries of a row with direct ones, column by column.
pub(super) fn compare(
    listing: &Listing,
    instrument: usize,
    row: &[i64],
    scenarios: &[&Scenario],
) -> anyhow::Result<()> {
    for (found, scenario) in row.iter().zip(scenarios) {
        let expected = entry(listing, instrument, scenario)?;
        if (found - expected).abs() > TICKS {
            return Err(super::differs(
                &format!("`{}` of instrument", scenario.label),
                instrument,
                found,
                expected,
            ));
        }
    }
    Ok(())
}
