//! GMX: the collateral a position must open with rises with the market's open interest.
//!
//! Source: gmx-io/gmx-synthetics @ a5c0c883 (`MarketUtils.getMinCollateralFactorForOpenInterest`, `config/markets.ts`);
//! methods, section 20. Liquidation has a fixed factor of its own, and open profit does not count when opening.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::{LintCode, LintFinding};
use plimsoll_types::{Fixed, Ticks};
use serde::{Deserialize, Serialize};

const METHOD: &str = "gmx";

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Markets, per underlying.
    pub markets: ByAsset<MarketTerms>,
}

/// A market's factors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketTerms {
    /// Least collateral of a position as a share of its size.
    pub collateral_factor_min: Fixed,
    /// Rise of that share per unit of the currency of open interest of the position's side.
    pub open_interest_multiplier: Fixed,
    /// Most open interest of a side that the market allows, currency: nothing opens beyond it.
    pub open_interest_max: Fixed,
    /// Collateral beneath which a position is liquidated, as a share of its size.
    pub liquidation_factor: Fixed,
}

/// Collateral a position needs to open, as a share of its size: `max(market_factor, (oi + d_oi) multiplier)`.
///
/// `open_interest` and its change are of the position's side, currency.
///
/// ```
/// use plimsoll_margin::venue::gmx::collateral_factor_min;
/// use plimsoll_types::Fixed;
/// let each = Fixed::from(100_000_000);
/// let factor = collateral_factor_min(each, each, "6e-11".parse()?, "0.01".parse()?)?;
/// assert_eq!(factor, "0.012".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] where the open interest would be negative; [`VenueError::Overflow`].
pub fn collateral_factor_min(
    open_interest: Fixed,
    change: Fixed,
    multiplier: Fixed,
    market_factor: Fixed,
) -> Result<Fixed, VenueError> {
    let after = settled(open_interest + change, "an open interest")?;
    if after < Fixed::ZERO {
        let value = after.to_string();
        return Err(VenueError::Domain { what: "an open interest", value, expected: "0 or more" });
    }
    settled(market_factor.max(after * multiplier), "a collateral factor")
}

impl Terms {
    fn position(&self, leg: &Leg<'_>, book: &VenueBook<'_>) -> Result<[Charge; 2], VenueError> {
        let asset = &leg.underlying.asset;
        if leg.kind != LegKind::Perpetual {
            return Err(
                leg.unsupported(METHOD, "it lists perpetuals, and a position's collateral is its own")
            );
        }
        let missing =
            |what| VenueError::Missing { method: METHOD, what, subject: leg.row.instrument.to_string() };
        let market = self.markets.of(asset).ok_or_else(|| missing("a market"))?;
        let open: Ticks = leg.row.open_interest.ok_or_else(|| missing("open interest"))?;
        let factor = collateral_factor_min(
            book.money(open).min(market.open_interest_max),
            Fixed::ZERO,
            market.open_interest_multiplier,
            market.collateral_factor_min,
        )?;
        let size = leg.quantity.abs() * leg.reference;
        let charge = |code, im, mm| {
            let (im, mm) = (settled(im, "a collateral")?, settled(mm, "a collateral")?);
            Ok(Charge { code, asset: Some(asset.clone()), im, mm })
        };
        let liquidation = size * market.liquidation_factor;
        Ok([
            charge("collateral", (size * factor).max(liquidation), liquidation)?,
            charge("open_profit", leg.unrealised.positive(), Fixed::ZERO)?,
        ])
    }
}

impl Method for Terms {
    /// Each position on its own. Of open interest the arrays know what is open in all, which is what each side has, and
    /// the position is part of it; it counts up to the market's own limit, so that another venue's market can be read. An open profit is taken out of what new risk can lean on; an open loss stays in.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for leg in &book.legs {
            charges.extend(self.position(leg, book)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = Vec::new();
        for (scope, market) in &self.markets.0 {
            let path = |field: &str| format!("aggregation.markets.{scope}.{field}");
            let (open, close) = (market.collateral_factor_min, market.liquidation_factor);
            found.extend(checks::all([
                checks::im_covers_mm(&path("liquidation_factor"), open, close),
                checks::positive(&path("liquidation_factor"), close),
                checks::share(&path("collateral_factor_min"), open),
                checks::not_negative(&path("open_interest_multiplier"), market.open_interest_multiplier),
                checks::positive(&path("open_interest_max"), market.open_interest_max),
            ]));
        }
        if self.markets.is_empty() {
            let message = "no market has factors";
            found.push(LintFinding::new(LintCode::Missing, "aggregation.markets", message));
        }
        found
    }
}
