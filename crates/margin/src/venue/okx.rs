//! OKX's portfolio margin, as far as its rules are public.
//!
//! Source: `methods.md` 10; OKX's help and announcements of January 2025. Amounts in USD. A risk unit is everything on one
//! underlying, in whatever it is quoted:
//!
//! ```text
//! MMR_unit = max(max(MR1, MR2, MR6) + MR3 + MR4 + MR5 + MR9, MR7 through its multiplier tiers)
//! MMR = sum of units + MR8          IMR = 1.3 MMR
//! ```
//!
//! MR3 (vega by term), MR5 (rates), MR7 before its tiers and MR8 (borrowing) have no public formula: they are inputs of
//! [`unit_requirement`], nothing unless stated, and an account of ours is charged nothing for them but the minimum rate
//! that the parameters name. The published words on MR4 leave its form open; what is done here is at [`basis_risk`].

use super::curves::{TierRate, tiered};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled, worst_loss};
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, Ppb, ScenarioColumn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "OKX's portfolio margin";

/// Parameters of one underlying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetTerms {
    /// Sizes of the relative moves of MR1, besides no move.
    pub moves: Vec<Ppb>,
    /// Size of the relative move of MR6.
    pub extreme: Ppb,
    /// Annualised move of MR4.
    pub annualised_move: Fixed,
    /// Multipliers of MR7 on the raw minimum charge, by marginal tiers.
    pub minimum_tiers: Vec<TierRate>,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Initial margin over maintenance margin; >= 1.
    pub im_factor: Fixed,
    /// Raw minimum charge (MR7) as a share of the size of the contracts; not published, so 0 unless stated.
    #[serde(default)]
    pub minimum_rate: Fixed,
    /// MR9: rates on the amount hedged between stable coins, by marginal tiers.
    pub depeg_tiers: Vec<TierRate>,
    /// By underlying; `*` for the others.
    pub assets: BTreeMap<String, AssetTerms>,
}

/// Charges of one risk unit, USD, each >= 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnitRisks {
    /// Spot shock.
    pub mr1: Fixed,
    /// Theta.
    pub mr2: Fixed,
    /// Vega by term; not published.
    pub mr3: Fixed,
    /// Basis.
    pub mr4: Fixed,
    /// Rates; not published.
    pub mr5: Fixed,
    /// Extreme move.
    pub mr6: Fixed,
    /// Minimum charge after its tiers.
    pub mr7: Fixed,
    /// Depeg of stable coins.
    pub mr9: Fixed,
}

/// Deltas of a risk unit by what it is quoted in, USD.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StableDeltas {
    /// Against USDT.
    pub usdt: Fixed,
    /// Against USDC.
    pub usdc: Fixed,
    /// Against USD.
    pub usd: Fixed,
}

/// Maintenance margin of a risk unit.
///
/// ```
/// use plimsoll_margin::venue::okx::{UnitRisks, unit_requirement};
/// use plimsoll_types::Fixed;
/// let risks = UnitRisks { mr1: Fixed::from(100), mr6: Fixed::from(120), mr4: Fixed::from(5), mr7: Fixed::from(90),
///     ..UnitRisks::default() };
/// assert_eq!(unit_requirement(&risks), Fixed::from(125));
/// ```
pub fn unit_requirement(risks: &UnitRisks) -> Fixed {
    let scenarios = risks.mr1.max(risks.mr2).max(risks.mr6);
    (scenarios + risks.mr3 + risks.mr4 + risks.mr5 + risks.mr9).max(risks.mr7)
}

/// Maintenance and initial margin of an account: units and borrowing (MR8).
pub fn requirement(units: &[Fixed], borrowing: Fixed, im_factor: Fixed) -> (Fixed, Fixed) {
    let mm = units.iter().copied().sum::<Fixed>() + borrowing;
    (mm, im_factor * mm)
}

/// Amounts hedged between stable coins: opposite deltas, matched USDT against USD, then USDT against USDC, then USDC
/// against USD, each taking what the ones before left.
pub fn hedged_amounts(deltas: StableDeltas) -> [Fixed; 3] {
    let (mut usdt, mut usdc, mut usd) = (deltas.usdt, deltas.usdc, deltas.usd);
    let first = matched(&mut usdt, &mut usd);
    let second = matched(&mut usdt, &mut usdc);
    [first, second, matched(&mut usdc, &mut usd)]
}

/// Takes from two opposite amounts what they have in common.
fn matched(a: &mut Fixed, b: &mut Fixed) -> Fixed {
    let opposite = (*a > Fixed::ZERO && *b < Fixed::ZERO) || (*a < Fixed::ZERO && *b > Fixed::ZERO);
    if !opposite {
        return Fixed::ZERO;
    }
    let common = a.abs().min(b.abs());
    for x in [a, b] {
        *x = if *x > Fixed::ZERO { *x - common } else { *x + common };
    }
    common
}

/// MR9: the tiers on each hedged amount, added.
///
/// ```
/// use plimsoll_margin::venue::{curves::TierRate, okx::stable_depeg};
/// use plimsoll_types::Fixed;
/// // The published example: 0.75 % of the first million, 1.75 % of the next four, 2.5 % of the last five.
/// let tier = |from: i64, rate: &str| -> Result<TierRate, Box<dyn std::error::Error>> {
///     Ok(TierRate { from: Fixed::from(from), rate: rate.parse()? })
/// };
/// let tiers = [tier(0, "0.0075")?, tier(1_000_000, "0.0175")?, tier(5_000_000, "0.025")?];
/// assert_eq!(stable_depeg(&tiers, &[Fixed::from(10_000_000)])?, Fixed::from(202_500));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`tiered`].
pub fn stable_depeg(tiers: &[TierRate], hedged: &[Fixed]) -> Result<Fixed, VenueError> {
    let mut sum = Fixed::ZERO;
    for amount in hedged {
        sum = sum + tiered(tiers, *amount)?;
    }
    settled(sum, "a depeg charge")
}

/// MR4: each side's deltas times annualised move times years to expiry, in the share in which it is matched by the other
/// side. `deltas` are `(USD, years)` per expiry; a perpetual has 0 years.
pub fn basis_risk(deltas: &[(Fixed, Fixed)], annualised_move: Fixed) -> Fixed {
    let side = |long: bool| {
        let of_it = deltas.iter().filter(move |(delta, _)| (*delta > Fixed::ZERO) == long);
        of_it.fold((Fixed::ZERO, Fixed::ZERO), |(size, charge), (delta, years)| {
            (size + delta.abs(), charge + delta.abs() * annualised_move * *years)
        })
    };
    let ((longs, of_longs), (shorts, of_shorts)) = (side(true), side(false));
    let common = longs.min(shorts);
    let part =
        |charge: Fixed, size: Fixed| if size > Fixed::ZERO { charge * (common / size) } else { Fixed::ZERO };
    part(of_longs, longs) + part(of_shorts, shorts)
}

impl AssetTerms {
    fn shocks(&self, by: Ppb) -> bool {
        by == Ppb::ZERO || self.moves.iter().any(|size| size.0 == by.0.abs())
    }
}

/// A contract that hedges between stable coins: what it is quoted in, and its delta.
fn quoted(legs: &[&Leg<'_>]) -> StableDeltas {
    let mut deltas = StableDeltas::default();
    for leg in legs.iter().filter(|leg| leg.kind != LegKind::Spot) {
        let into = match leg.row.instrument.quote().as_str() {
            "USDT" => &mut deltas.usdt,
            "USDC" => &mut deltas.usdc,
            _ => &mut deltas.usd,
        };
        *into = *into + leg.delta_cash();
    }
    deltas
}

impl Terms {
    fn asset(&self, asset: &Asset) -> Result<&AssetTerms, VenueError> {
        let named = self.assets.get(asset.as_str()).or_else(|| self.assets.get("*"));
        named.ok_or_else(|| VenueError::Missing {
            method: METHOD,
            what: "the parameters",
            subject: asset.to_string(),
        })
    }

    /// The charges of a unit that have public rules.
    fn risks(&self, book: &VenueBook<'_>, place: usize, legs: &[&Leg<'_>]) -> Result<UnitRisks, VenueError> {
        let Some(first) = legs.first() else { return Ok(UnitRisks::default()) };
        let terms = self.asset(&first.underlying.asset)?;
        let pnl = |at: usize| legs.iter().map(|leg| leg.pnl(at)).sum::<Fixed>();
        let by = |column: &ScenarioColumn| column.spot.get(place).copied().unwrap_or(Ppb::ZERO);
        // A day's passing is a column at an unmoved price, so MR2 is among those of MR1.
        let shocks = book.grid().filter(|(_, c)| c.weight == Ppb::ONE && terms.shocks(by(c)));
        let extremes = book.grid().filter(|(_, c)| c.weight != Ppb::ONE && by(c).0.abs() == terms.extreme.0);
        let futures =
            legs.iter().filter(|leg| matches!(leg.kind, LegKind::Future { .. } | LegKind::Perpetual));
        let deltas: Vec<(Fixed, Fixed)> = futures.map(|leg| (leg.delta_cash(), leg.years())).collect();
        let contracts = legs.iter().filter(|leg| leg.kind != LegKind::Spot);
        let size: Fixed = contracts.map(|leg| leg.quantity.abs() * leg.index).sum();
        Ok(UnitRisks {
            mr1: settled(worst_loss(shocks.map(|(at, _)| pnl(at))), "a spot shock")?,
            mr4: basis_risk(&deltas, terms.annualised_move),
            mr6: settled(worst_loss(extremes.map(|(at, _)| pnl(at))), "an extreme move")?,
            mr7: tiered(&terms.minimum_tiers, size * self.minimum_rate)?,
            mr9: stable_depeg(&self.depeg_tiers, &hedged_amounts(quoted(legs)))?,
            ..UnitRisks::default()
        })
    }
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for (place, row, legs) in book.underlyings() {
            let risks = self.risks(book, place, &legs)?;
            let before = unit_requirement(&UnitRisks { mr7: Fixed::ZERO, ..risks });
            let parts = [
                ("spot_shock", risks.mr1),
                ("extreme_move", (risks.mr6 - risks.mr1).positive()),
                ("basis", risks.mr4),
                ("stable_depeg", risks.mr9),
                ("minimum", unit_requirement(&risks) - before),
            ];
            for (code, mm) in parts {
                charges.push(Charge { code, asset: Some(row.asset.clone()), im: self.im_factor * mm, mm });
            }
        }
        charges.extend(book.premium_credit(&charges));
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            checks::im_covers_mm("aggregation.im_factor", self.im_factor, Fixed::ONE),
            checks::not_negative("aggregation.minimum_rate", self.minimum_rate),
        ]);
        let rising = |path: String, tiers: &[TierRate]| {
            let pairs = tiers.windows(2).enumerate();
            let found = pairs.filter_map(move |(i, pair)| {
                checks::ordered(&format!("{path}[{}].rate", i + 1), pair[0].rate, pair[1].rate)
            });
            found.collect::<Vec<_>>()
        };
        found.extend(rising("aggregation.depeg_tiers".to_owned(), &self.depeg_tiers));
        for (name, terms) in &self.assets {
            let path = |field: &str| format!("aggregation.assets.{name}.{field}");
            found.extend(checks::not_negative(&path("annualised_move"), terms.annualised_move));
            found.extend(rising(path("minimum_tiers"), &terms.minimum_tiers));
            let largest = terms.moves.iter().max().copied().unwrap_or(Ppb::ZERO);
            found.extend(checks::ordered(&path("extreme"), Fixed::from(largest), Fixed::from(terms.extreme)));
        }
        found
    }
}
