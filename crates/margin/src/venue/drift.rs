//! Drift: ratios of perpetuals and weights of spot balances that worsen with size, and its liquidations, in the venue's
//! own integers.
//!
//! Prices, quote amounts, size factors and fees have six decimals, base amounts nine, ratios and weights four; every
//! division rounds down unless it says otherwise. Source: drift-labs/protocol-v2 @ 0ae3e3b1. A position so small that a
//! division rounds its liquidation to nothing still counts here: its requirement is rounded like every other.
//!
//! An account of ours is converted once: sizes and prices to the venue's units away from zero. Perpetuals are valued at
//! the index; the strict price needs a five-minute average that the arrays do not carry, so it is the index, and the
//! quote asset is at par. Collateral counts in full as equity, and what its weight takes is a charge: the preset's
//! haircuts are 0.

mod liquidation;
mod oracle;
mod weights;

pub use liquidation::{
    Exchange, Limit, LiquidationFees, Pace, base_to_cover, buffered_requirement, fee_by_slots,
    liability_to_cover, liquidation_multiplier, perp_insurance_fee, quoted_price, share_to_liquidate,
    spot_insurance_fee,
};
pub use oracle::{OracleAction, OracleGuards, OracleReading, OracleValidity, oracle_validity};
pub use weights::{
    BASE_UNITS, HighLeverage, MarginType, PRICE_UNITS, PerpRatios, QuoteBalance, SpotBalance, SpotFill,
    SpotWeights, StrictPrice, WEIGHT_UNITS, own_asset_weight, own_liability_weight, own_ratio,
    perp_margin_ratio, perp_requirement, perp_value, quote_balance, requirement_of,
    scaled_initial_asset_weight, spot_asset_weight, spot_liability_weight, token_value,
    unrealised_pnl_weight, worst_fill,
};

use super::checks::{all, im_covers_mm, ordered, share};
use super::integer::{fits, millionths, power_of_ten, units_away};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, settled};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, Rounding};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "drift";

/// How unrealised profit of a perpetual counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PnlWeights {
    /// Weight for initial margin, in 1e-4.
    pub initial: u32,
    /// Weight for maintenance margin, in 1e-4.
    pub maintenance: u32,
    /// Size factor of the initial weight, in 1e-6; 0: none.
    pub imf: u32,
    /// The most profit that counts for initial margin, quote units (1e-6), in markets that cap it.
    pub cap: Option<i64>,
}

/// A perpetual market.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerpTerms {
    /// Its ratios.
    pub ratios: PerpRatios,
    /// How profit counts.
    pub pnl: PnlWeights,
}

/// From where all deposits of a token scale its initial weight down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DepositScale {
    /// Value from which it scales, quote units (1e-6).
    pub start: i64,
    /// Value of all deposits, quote units (1e-6).
    pub deposits: i64,
}

/// A spot market.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotTerms {
    /// Its weights.
    pub weights: SpotWeights,
    /// Its scale; `None`: not scaled.
    pub scale: Option<DepositScale>,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Whether accounts are in high-leverage mode.
    pub high_leverage: bool,
    /// The account's own initial ratio, in 1e-4; 0: none.
    pub own_ratio: u32,
    /// Perpetual markets by underlying.
    pub perps: ByAsset<PerpTerms>,
    /// Spot markets by asset: collateral and spot positions alike. The currency itself needs none: it is the quote.
    pub spots: ByAsset<SpotTerms>,
}

/// What an account holds of an asset.
#[derive(Clone, Copy, Default)]
struct Holding {
    amount: Fixed,
    value: Fixed,
}

impl Terms {
    fn perp(&self, leg: &Leg<'_>) -> Result<[Charge; 2], VenueError> {
        let base = &leg.underlying.asset;
        let missing =
            || VenueError::Missing { method: METHOD, what: "perpetual market", subject: base.to_string() };
        let terms = self.perps.of(base).ok_or_else(missing)?;
        let size = units_away(leg.quantity, BASE_UNITS, "a base amount")?;
        let price = units_away(leg.index, PRICE_UNITS, "a price")?;
        let required = |kind| {
            if terms.ratios.settlement {
                return Ok(Fixed::ZERO);
            }
            let ratio = perp_margin_ratio(&terms.ratios, size, kind, self.high_leverage)?;
            let ratio = own_ratio(ratio, self.own_ratio, kind);
            perp_requirement(size, price, PRICE_UNITS, ratio).map(millionths)
        };
        let asset = Some(base.clone());
        let (im, mm) = (required(MarginType::Initial)?, required(MarginType::Maintenance)?);
        let requirement = Charge { code: "perp_requirement", asset: asset.clone(), im, mm };
        let (im, mm) = uncounted_profit(leg.unrealised, &terms.pnl)?;
        Ok([requirement, Charge { code: "unrealised_profit", asset, im, mm }])
    }

    fn spot(&self, asset: &Asset, held: Holding) -> Result<Charge, VenueError> {
        let missing =
            || VenueError::Missing { method: METHOD, what: "spot market", subject: asset.to_string() };
        let SpotTerms { weights, scale } = self.spots.of(asset).ok_or_else(missing)?;
        let unit = power_of_ten(weights.decimals, "a token's decimals")?;
        let size = units_away(held.amount, unit, "a token amount")?;
        let owed = held.amount < Fixed::ZERO;
        let taken = |kind| {
            let lost = if owed {
                let weight = spot_liability_weight(weights, size, kind)?;
                own_liability_weight(weight, self.own_ratio, kind) - WEIGHT_UNITS
            } else {
                let initial = match scale {
                    Some(s) => scaled_initial_asset_weight(
                        weights.asset_initial,
                        i128::from(s.start),
                        i128::from(s.deposits),
                    )?,
                    None => i128::from(weights.asset_initial),
                };
                let weight = spot_asset_weight(weights, initial, size, kind)?;
                WEIGHT_UNITS - own_asset_weight(weight, self.own_ratio, kind)
            };
            settled(held.value.abs().scaled(lost, WEIGHT_UNITS, Rounding::Up), "a weighted value")
        };
        let (im, mm) = (taken(MarginType::Initial)?, taken(MarginType::Maintenance)?);
        let code = if owed { "liability_weight" } else { "asset_weight" };
        Ok(Charge { code, asset: Some(asset.clone()), im, mm })
    }
}

/// The part of unrealised profit that does not count, for initial and for maintenance margin.
fn uncounted_profit(unrealised: Fixed, weights: &PnlWeights) -> Result<(Fixed, Fixed), VenueError> {
    let profit = unrealised.positive();
    let units = fits(profit.ticks(1_000_000, Rounding::Up), "a profit")?.0;
    let weight = unrealised_pnl_weight(weights.initial, weights.imf, units)?;
    let counted = |weight| profit.scaled(weight, WEIGHT_UNITS, Rounding::Down).min(profit);
    let cap = weights.cap.map(|cap| millionths(i128::from(cap)));
    let initial = cap.map_or(counted(weight), |cap| counted(weight).min(cap));
    let (im, mm) = (profit - initial, profit - counted(i128::from(weights.maintenance)));
    Ok((settled(im, "a profit")?, settled(mm, "a profit")?))
}

/// Spot positions and collateral together, by asset; the currency left out.
fn holdings(book: &VenueBook<'_>) -> Result<BTreeMap<Asset, Holding>, VenueError> {
    let mut all: BTreeMap<Asset, Holding> = BTreeMap::new();
    let mut add = |asset: &Asset, amount: Fixed, value: Fixed| {
        let held = all.entry(asset.clone()).or_default();
        *held = Holding { amount: held.amount + amount, value: held.value + value };
        settled(held.amount, "a holding").and(settled(held.value, "a holding"))
    };
    for leg in book.legs.iter().filter(|leg| leg.kind == LegKind::Spot) {
        add(&leg.underlying.asset, leg.quantity, leg.value())?;
    }
    for report in book.collateral.iter().filter(|report| report.asset != book.arrays.currency) {
        let units = fits(report.amount_nano.checked_mul(1_000_000_000), "a holding")?;
        add(&report.asset, Fixed::from_units(units), book.money(report.value))?;
    }
    Ok(all)
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for leg in &book.legs {
            match leg.kind {
                LegKind::Spot => {}
                LegKind::Perpetual => charges.extend(self.perp(leg)?),
                LegKind::Future { .. } | LegKind::Option { .. } => {
                    return Err(leg.unsupported(METHOD, "it lists perpetuals and spot tokens only"));
                }
            }
        }
        for (asset, held) in holdings(book)? {
            charges.push(self.spot(&asset, held)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let perps = self.perps.0.iter().flat_map(|(scope, terms)| lint_perp(&scope.to_string(), terms));
        let spots =
            self.spots.0.iter().flat_map(|(scope, terms)| lint_spot(&scope.to_string(), &terms.weights));
        perps.chain(spots).collect()
    }
}

/// A weight or ratio of the file as a share.
fn weight(units: u32) -> Fixed {
    Fixed::ratio(i128::from(units), WEIGHT_UNITS)
}

fn lint_perp(scope: &str, terms: &PerpTerms) -> Vec<LintFinding> {
    let at = |field: &str| format!("margin.aggregation.perps.{scope}.{field}");
    let ratios = &terms.ratios;
    let lifted = ratios
        .high_leverage
        .and_then(|h| im_covers_mm(&at("ratios.high_leverage"), weight(h.initial), weight(h.maintenance)));
    let pnl = &terms.pnl;
    all([
        im_covers_mm(&at("ratios"), weight(ratios.initial), weight(ratios.maintenance)),
        lifted,
        share(&at("pnl.initial"), weight(pnl.initial)),
        share(&at("pnl.maintenance"), weight(pnl.maintenance)),
        ordered(&at("pnl"), weight(pnl.initial), weight(pnl.maintenance)),
    ])
}

fn lint_spot(scope: &str, weights: &SpotWeights) -> Vec<LintFinding> {
    let at = |field: &str| format!("margin.aggregation.spots.{scope}.weights.{field}");
    let owed = [weights.liability_initial, weights.liability_maintenance].map(weight);
    all([
        share(&at("asset_initial"), weight(weights.asset_initial)),
        share(&at("asset_maintenance"), weight(weights.asset_maintenance)),
        ordered(&at("asset"), weight(weights.asset_initial), weight(weights.asset_maintenance)),
        im_covers_mm(&at("liability"), owed[0], owed[1]),
        ordered(&at("liability_maintenance"), Fixed::ONE, owed[1]),
    ])
}
