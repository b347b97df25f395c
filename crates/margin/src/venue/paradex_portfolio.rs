//! Paradex's portfolio margin: the larger of SCAN and a minimum on delta, with liquidation and its account rules.
//!
//! Source: `methods.md` 8; tradeparadex/paradex-docs @ 9b82a75a. Amounts in quote units. SCAN is the largest weighted
//! loss over 16 scenarios of full weight and 8 tails; the tails' weights differ between underlyings, and the scenario set
//! carries one weight per column, so they stand in the parameters by their move.
//!
//! The text of the documentation states a liquidation fee of 70 %; every number of its table is made with 50 %.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled, worst_loss};
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, Ppb, ScenarioColumn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "Paradex's portfolio margin";

/// A far scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// Relative move of spot.
    pub spot: Ppb,
    /// Share of the profit or loss that counts; in [0, 1].
    pub weight: Fixed,
}

/// Parameters of one underlying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssetTerms {
    /// Minimum on net delta, share of its value.
    pub unhedged: Fixed,
    /// Minimum on hedged delta, share of its value.
    pub hedged: Fixed,
    /// Weights of the far scenarios.
    pub tails: Vec<Tail>,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Maintenance share of the net requirement; in [0, 1].
    pub mm_factor: Fixed,
    /// Fee provision, share of the value of the positions at the price they are on.
    pub fee_rate: Fixed,
    /// By underlying.
    pub assets: BTreeMap<Asset, AssetTerms>,
}

/// What a liquidation of a share of all positions leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiquidationStep {
    /// Maintenance margin of what is left.
    pub mmr: Fixed,
    /// Paid to the insurance fund: `share x fee x MMR`.
    pub penalty: Fixed,
    /// Account value after it.
    pub account_value: Fixed,
    /// `mmr / account_value`; `None` where nothing is left to divide by.
    pub margin_ratio: Option<Fixed>,
}

/// Terms of partial liquidation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiquidationTerms {
    /// Penalty of a full liquidation as a share of MMR: 0.5.
    pub fee: Fixed,
    /// Shares are multiples of one over this: 5 for 20 %.
    pub steps: i64,
    /// Margin ratio to end below: 0.9.
    pub target: Fixed,
}

/// Weighted loss at worst: `max(0, -min_j weight_j pnl_j)`, from weighted profits.
pub fn scan(weighted: &[Fixed]) -> Fixed {
    worst_loss(weighted.iter().copied())
}

/// Minimum on delta: `(u |net| + h (gross - |net|)/2) spot`, deltas in base units, position by position.
///
/// ```
/// use plimsoll_margin::venue::paradex_portfolio::minimum_delta;
/// use plimsoll_types::Fixed;
/// let deltas = [Fixed::ONE, "-1.5".parse()?];
/// let factors = ("0.02".parse()?, "0.01".parse()?);
/// assert_eq!(minimum_delta(&deltas, Fixed::from(70_000), factors), Fixed::from(1400));
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
pub fn minimum_delta(deltas: &[Fixed], spot: Fixed, (unhedged, hedged): (Fixed, Fixed)) -> Fixed {
    let net = deltas.iter().copied().sum::<Fixed>().abs();
    let gross: Fixed = deltas.iter().map(|delta| delta.abs()).sum();
    (unhedged * net + hedged * (gross - net) / Fixed::from(2)) * spot
}

/// Initial and maintenance requirement: the larger of SCAN and the minimum on delta, in maintenance a share of it, and the
/// provisions for funding and fees on both.
///
/// ```
/// use plimsoll_margin::venue::paradex_portfolio::requirement;
/// use plimsoll_types::Fixed;
/// let net = (Fixed::from(20_000), Fixed::from(1400));
/// let (im, mm) = requirement(net, Fixed::from(30), "0.5".parse()?);
/// assert_eq!((im, mm), (Fixed::from(20_030), Fixed::from(10_030)));
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
pub fn requirement((scan, least): (Fixed, Fixed), provisions: Fixed, mm_factor: Fixed) -> (Fixed, Fixed) {
    let net = scan.max(least);
    (net + provisions, mm_factor * net + provisions)
}

/// What a liquidation of `share` of all positions does to an account.
pub fn liquidation_step(account_value: Fixed, mmr: Fixed, share: Fixed, fee: Fixed) -> LiquidationStep {
    let penalty = share * fee * mmr;
    let left = account_value - penalty;
    let mmr = mmr * (Fixed::ONE - share);
    let margin_ratio = (left > Fixed::ZERO).then(|| mmr / left);
    LiquidationStep { mmr, penalty, account_value: left, margin_ratio }
}

/// The smallest share, in steps, that brings the margin ratio below the target; all where none does. Zero where the
/// account passes the health check: its value is positive and its ratio not above 1.
///
/// ```
/// use plimsoll_margin::venue::paradex_portfolio::{LiquidationTerms, liquidation_share};
/// use plimsoll_types::Fixed;
/// let terms = LiquidationTerms { fee: "0.5".parse()?, steps: 5, target: "0.9".parse()? };
/// assert_eq!(liquidation_share(Fixed::from(80), "88.8".parse()?, &terms)?, "0.4".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] when there are no steps or a requirement is negative.
pub fn liquidation_share(
    account_value: Fixed,
    mmr: Fixed,
    terms: &LiquidationTerms,
) -> Result<Fixed, VenueError> {
    let sound = terms.steps >= 1 && mmr >= Fixed::ZERO;
    if !sound {
        let value = format!("{} of {mmr}", terms.steps);
        return Err(VenueError::Domain {
            what: "a liquidation in steps",
            value,
            expected: "steps of an MMR",
        });
    }
    if account_value > Fixed::ZERO && mmr <= account_value {
        return Ok(Fixed::ZERO);
    }
    let share = |k: i64| Fixed::ratio(i128::from(k), i128::from(terms.steps));
    let enough = |k: &i64| {
        let step = liquidation_step(account_value, mmr, share(*k), terms.fee);
        step.margin_ratio.is_some_and(|ratio| ratio < terms.target)
    };
    Ok((1..=terms.steps).find(enough).map_or(Fixed::ONE, share))
}

/// Whether an order is accepted: the account meets its initial margin with it, or the order does not raise it.
pub fn accepts(account_value: Fixed, imr_before: Fixed, imr_after: Fixed) -> bool {
    account_value >= imr_after || imr_after <= imr_before
}

/// Room to buy and to sell under a position limit: `limit - q` and `limit + q`, less the open orders of the side, not
/// below 0.
pub fn position_room(limit: Fixed, quantity: Fixed, (buys, sells): (Fixed, Fixed)) -> (Fixed, Fixed) {
    ((limit - quantity - buys).positive(), (limit + quantity - sells).positive())
}

/// An open order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenOrder {
    /// Signed size; a buy > 0.
    pub size: Fixed,
    /// Limit price.
    pub price: Fixed,
}

/// The orders cancelled of an account below its initial margin, by their place: those that do not offset the position,
/// then of the others the most passive first, until what is left is no larger than the position.
pub fn deleveraged(quantity: Fixed, orders: &[OpenOrder]) -> Vec<usize> {
    let offsets = |order: &OpenOrder| {
        (quantity > Fixed::ZERO && order.size < Fixed::ZERO)
            || (quantity < Fixed::ZERO && order.size > Fixed::ZERO)
    };
    let (mut kept, mut cancelled): (Vec<usize>, Vec<usize>) =
        (0..orders.len()).partition(|at| orders.get(*at).is_some_and(offsets));
    let price = |at: &usize| orders.get(*at).and_then(|order| order.price.known());
    // A sell is passive at a high price, a buy at a low one; equals in the order they were sent.
    kept.sort_by(
        |a, b| if quantity > Fixed::ZERO { price(b).cmp(&price(a)) } else { price(a).cmp(&price(b)) },
    );
    let mut total: Fixed = kept.iter().filter_map(|at| orders.get(*at)).map(|order| order.size.abs()).sum();
    for at in kept {
        if total <= quantity.abs() {
            break;
        }
        total = total - orders.get(at).map_or(Fixed::ZERO, |order| order.size.abs());
        cancelled.push(at);
    }
    cancelled
}

fn supported(leg: &Leg<'_>) -> Result<(), VenueError> {
    let why = match leg.kind {
        LegKind::Perpetual | LegKind::Option { .. } => return Ok(()),
        LegKind::Spot => "spot is not a position there",
        LegKind::Future { .. } => "dated futures are not listed there",
    };
    Err(leg.unsupported(METHOD, why))
}

impl AssetTerms {
    /// The share of a column's entry that counts: its own weight replaced by the underlying's.
    fn weight(&self, column: &ScenarioColumn, place: usize) -> Result<Fixed, VenueError> {
        if column.weight == Ppb::ONE {
            return Ok(Fixed::ONE);
        }
        let by = column.spot.get(place).copied();
        let tail = self.tails.iter().find(|tail| Some(tail.spot) == by);
        let missing = || VenueError::Missing {
            method: METHOD,
            what: "the weight of a tail",
            subject: column.label.clone(),
        };
        Ok(tail.ok_or_else(missing)?.weight / Fixed::from(column.weight))
    }
}

impl Terms {
    fn asset(&self, asset: &Asset) -> Result<&AssetTerms, VenueError> {
        self.assets.get(asset).ok_or_else(|| VenueError::Missing {
            method: METHOD,
            what: "the parameters",
            subject: asset.to_string(),
        })
    }

    fn net(
        &self,
        book: &VenueBook<'_>,
        place: usize,
        legs: &[&Leg<'_>],
    ) -> Result<(Fixed, Fixed), VenueError> {
        let Some(first) = legs.first() else { return Ok((Fixed::ZERO, Fixed::ZERO)) };
        let terms = self.asset(&first.underlying.asset)?;
        let mut weighted = Vec::new();
        for (at, column) in book.grid() {
            let pnl: Fixed = legs.iter().map(|leg| leg.pnl(at)).sum();
            weighted.push(pnl * terms.weight(column, place)?);
        }
        let cash: Vec<Fixed> = legs.iter().map(|leg| leg.delta_cash()).collect();
        let least = minimum_delta(&cash, Fixed::ONE, (terms.unhedged, terms.hedged));
        Ok((settled(scan(&weighted), "a SCAN risk")?, settled(least, "a minimum on delta")?))
    }
}

/// Funding that the legs owe over the next eight hours; what one receives does not pay for another.
fn funding(legs: &[&Leg<'_>]) -> Fixed {
    legs.iter().map(|leg| leg.of_lots(leg.row.funding_8h).positive()).sum()
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        book.legs.iter().try_for_each(supported)?;
        let mut charges = Vec::new();
        let mut provisions = Vec::new();
        for (place, row, legs) in book.underlyings() {
            let asset = Some(row.asset.clone());
            let (scan, least) = self.net(book, place, &legs)?;
            let above = (least - scan).positive();
            for (code, im) in [("scan", scan), ("minimum_delta", above)] {
                charges.push(Charge { code, asset: asset.clone(), im, mm: self.mm_factor * im });
            }
            let fees = legs.iter().map(|leg| leg.quantity.abs() * leg.reference * self.fee_rate).sum();
            for (code, im) in [("funding", funding(&legs)), ("fees", fees)] {
                provisions.push(Charge { code, asset: asset.clone(), im, mm: im });
            }
        }
        charges.extend(book.premium_credit(&charges));
        charges.extend(provisions);
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            checks::share("aggregation.mm_factor", self.mm_factor),
            checks::not_negative("aggregation.fee_rate", self.fee_rate),
        ]);
        for (asset, terms) in &self.assets {
            let path = |field: &str| format!("aggregation.assets.{asset}.{field}");
            found.extend(checks::all([
                checks::not_negative(&path("hedged"), terms.hedged),
                checks::ordered(&path("hedged"), terms.hedged, terms.unhedged + terms.unhedged),
            ]));
            let tails = terms.tails.iter().enumerate();
            found
                .extend(tails.filter_map(|(i, tail)| {
                    checks::share(&path(&format!("tails[{i}].weight")), tail.weight)
                }));
        }
        found
    }
}
