//! Aevo's portfolio margin: the worst of fifteen scenarios and a floor per short option.
//!
//! Source: `methods.md` 9; Aevo's documentation. Spot moves by {+20, +10, 0, -10, -20} %, volatility by {+50, 0, -25}
//! points, added and not scaled with tenor; profit and loss is against the mark that the venue gives. Initial margin is
//! 1.25 times maintenance margin. Underlyings are margined one by one and added.

use super::integer::{above_zero, not_below_zero};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled, worst_loss};
use crate::lint::LintFinding;
use plimsoll_types::Fixed;
use serde::{Deserialize, Serialize};

const METHOD: &str = "Aevo's portfolio margin";

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Charge per short option, of one base unit, as a share of spot. Longs do not net it.
    pub unit_floor: Fixed,
    /// Initial margin over maintenance margin; >= 1.
    pub im_factor: Fixed,
}

/// A requirement of one underlying, quote units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// The largest loss over the scenarios, not below 0.
    pub scenario_margin: Fixed,
    /// `shorts x unit_floor x spot`.
    pub floor_margin: Fixed,
    /// The sum of both.
    pub maintenance_margin: Fixed,
    /// `im_factor` times that.
    pub initial_margin: Fixed,
}

/// Profit of a position of `quantity` against its mark: `quantity (value - mark)`.
pub fn pnl(quantity: Fixed, value: Fixed, mark: Fixed) -> Fixed {
    quantity * (value - mark)
}

/// The requirement, from the profit or loss of every scenario and the sum of short option sizes, base units.
///
/// ```
/// use plimsoll_margin::venue::aevo::{Terms, requirement};
/// use plimsoll_types::Fixed;
/// // The documentation's short strangle: 190.06 at worst, two shorts at 0.01 x 1300.
/// let terms = Terms { unit_floor: "0.01".parse()?, im_factor: "1.25".parse()? };
/// let margin = requirement(&terms, &["-190.06".parse()?, "19.92".parse()?], Fixed::from(2), Fixed::from(1300))?;
/// assert_eq!(margin.maintenance_margin.to_string(), "216.06");
/// assert_eq!(margin.initial_margin.to_string(), "270.075");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] when `shorts < 0` or `spot <= 0`; [`VenueError::Overflow`] when a number was lost.
pub fn requirement(
    terms: &Terms,
    pnl: &[Fixed],
    shorts: Fixed,
    spot: Fixed,
) -> Result<Requirement, VenueError> {
    not_below_zero(shorts, "the sum of short sizes")?;
    above_zero(spot, "spot")?;
    let scenario_margin = worst_loss(pnl.iter().copied());
    let floor_margin = shorts * terms.unit_floor * spot;
    let maintenance_margin = settled(scenario_margin + floor_margin, "a maintenance margin")?;
    let initial_margin = settled(terms.im_factor * maintenance_margin, "an initial margin")?;
    Ok(Requirement { scenario_margin, floor_margin, maintenance_margin, initial_margin })
}

fn supported(leg: &Leg<'_>) -> Result<(), VenueError> {
    let why = match leg.kind {
        LegKind::Perpetual | LegKind::Option { .. } => return Ok(()),
        LegKind::Spot => "spot is collateral there",
        LegKind::Future { .. } => "dated futures are not listed there",
    };
    Err(leg.unsupported(METHOD, why))
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        book.legs.iter().try_for_each(supported)?;
        let mut charges = Vec::new();
        for (_, row, legs) in book.underlyings() {
            let column = |at: usize| legs.iter().map(|leg| leg.pnl(at)).sum::<Fixed>();
            let pnl: Vec<Fixed> = book.grid().map(|(at, _)| column(at)).collect();
            let options = legs.iter().filter(|leg| matches!(leg.kind, LegKind::Option { .. }));
            let shorts = options.map(|leg| (-leg.quantity).positive()).sum();
            let spot = legs.first().map_or(Fixed::LOST, |leg| leg.index);
            let margin = requirement(self, &pnl, shorts, spot)?;
            for (code, mm) in [("scenario", margin.scenario_margin), ("floor", margin.floor_margin)] {
                charges.push(Charge { code, asset: Some(row.asset.clone()), im: self.im_factor * mm, mm });
            }
        }
        charges.extend(book.premium_credit(&charges));
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        checks::all([
            checks::not_negative("aggregation.unit_floor", self.unit_floor),
            checks::im_covers_mm("aggregation.im_factor", self.im_factor, Fixed::ONE),
        ])
    }
}
