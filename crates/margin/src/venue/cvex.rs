//! CVEX's covariance value at risk: the root of a quadratic form in net exposures.
//!
//! Source: `methods.md` 12; CVEX's documentation. 99 %, one day. There is no gamma, no vega and no stress of the
//! correlation in it, so options have no margin here, and a correlation matrix that is not one is refused rather than
//! repaired in passing: repair it first (the nearest correlation matrix) and state the repaired one.

use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::lint::{LintCode, LintFinding};
use plimsoll_types::{Asset, Fixed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "CVEX's covariance value at risk";
/// Squares of numbers up to this size add up within 18 decimals.
const SQUARED_MOST: i64 = 100_000_000;
/// A radicand this small beside its squares, in 1e-18, is the rounding of its terms.
const ROUNDING: i128 = 1_000_000;

/// Parameters of the method; ratios of exposure.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Quantile move of each underlying.
    pub alpha: BTreeMap<Asset, Fixed>,
    /// Correlation of two underlyings under `A/B` in the order of their names; in [-1, 1].
    #[serde(default)]
    pub correlation: BTreeMap<String, Fixed>,
    /// Contract-specific move of each underlying's contracts.
    pub gamma: BTreeMap<Asset, Fixed>,
    /// Initial margin over the expected loss: the concentration adjustment; >= 1.
    pub concentration: Fixed,
}

/// One underlying: net exposure in quote units and quantile move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposure {
    /// Net, quote units; long > 0.
    pub net: Fixed,
    /// Quantile move, ratio; >= 0.
    pub alpha: Fixed,
}

/// Loss at the quantile: `sqrt(sum a_i^2 N_i^2 + sum_{i<j} b_ij N_i N_j + sum g_k^2 n_k^2)`. `beta` lists `(i, j, b_ij)`
/// with `b_ij = 2 rho_ij a_i a_j`; a pair that is not listed has none. `contracts` lists `(n_k, g_k)`.
///
/// ```
/// use plimsoll_margin::venue::cvex::{Exposure, expected_loss};
/// use plimsoll_types::Fixed;
/// let of = |net: i64, alpha: &str| -> Result<Exposure, Box<dyn std::error::Error>> {
///     Ok(Exposure { net: Fixed::from(net), alpha: alpha.parse()? })
/// };
/// // Short one against the other at a correlation of 0.8.
/// let exposures = [of(10_000, "0.09")?, of(-10_000, "0.12")?];
/// let contracts = [(Fixed::from(10_000), "0.01".parse()?), (Fixed::from(10_000), "0.01".parse()?)];
/// let loss = expected_loss(&exposures, &[(0, 1, "0.01728".parse()?)], &contracts)?;
/// assert!(loss.to_string().starts_with("736.206492772"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] when the radicand is negative (the correlations are not those of a matrix) or a pair names an
/// underlying that is not there; [`VenueError::Overflow`] when a number was lost.
pub fn expected_loss(
    exposures: &[Exposure],
    beta: &[(usize, usize, Fixed)],
    contracts: &[(Fixed, Fixed)],
) -> Result<Fixed, VenueError> {
    let nets = exposures.iter().map(|e| e.net.abs().max((e.alpha * e.net).abs()));
    let sizes = nets.chain(contracts.iter().map(|(size, gamma)| (*size * *gamma).abs()));
    let largest = settled(sizes.fold(Fixed::ZERO, Fixed::max), "an exposure")?;
    let unit = unit(largest);
    let square = |x: Fixed| x / unit * (x / unit);
    let systematic: Fixed = exposures.iter().map(|e| square(e.alpha * e.net)).sum();
    let specific: Fixed = contracts.iter().map(|(size, gamma)| square(*size * *gamma)).sum();
    let mut cross = Fixed::ZERO;
    for (i, j, beta) in beta {
        let (Some(a), Some(b)) = (exposures.get(*i), exposures.get(*j)) else {
            let value = format!("{i}, {j}");
            return Err(VenueError::Domain {
                what: "a pair",
                value,
                expected: "two underlyings of the list",
            });
        };
        cross = cross + *beta * (a.net / unit) * (b.net / unit);
    }
    let radicand = settled(systematic + cross + specific, "the square of a loss")?;
    let noise = Fixed::from_units(ROUNDING) * (Fixed::ONE + systematic + specific);
    if radicand < -noise {
        let value = radicand.to_string();
        return Err(VenueError::Domain {
            what: "the square of a loss",
            value,
            expected: "0 or more: repair the correlations",
        });
    }
    settled(radicand.positive().sqrt() * unit, "an expected loss")
}

/// A power of ten that brings a size within what can be squared.
fn unit(largest: Fixed) -> Fixed {
    let mut unit = Fixed::ONE;
    while largest / unit > Fixed::from(SQUARED_MOST) {
        unit = unit * Fixed::from(10);
    }
    unit
}

/// `b_ij = 2 rho a_i a_j`.
pub fn beta(correlation: Fixed, a: Fixed, b: Fixed) -> Fixed {
    Fixed::from(2) * correlation * a * b
}

/// `required / (collateral + unrealised)`; an account is liquidatable at 1.
///
/// # Errors
/// [`VenueError::Domain`] unless the denominator is positive.
pub fn margin_ratio(required: Fixed, collateral: Fixed, unrealised: Fixed) -> Result<Fixed, VenueError> {
    let equity = collateral + unrealised;
    let solvent = equity > Fixed::ZERO;
    if !solvent {
        let value = equity.to_string();
        return Err(VenueError::Domain {
            what: "collateral and unrealised profit",
            value,
            expected: "a positive sum",
        });
    }
    settled(required / equity, "a margin ratio")
}

impl Terms {
    fn rho(&self, a: &Asset, b: &Asset) -> Option<Fixed> {
        let named = |x: &Asset, y: &Asset| self.correlation.get(&format!("{x}/{y}")).copied();
        if a == b { Some(Fixed::ONE) } else { named(a, b).or_else(|| named(b, a)) }
    }

    fn pairs(&self, held: &[(&Asset, Exposure)]) -> Result<Vec<(usize, usize, Fixed)>, VenueError> {
        let mut all = Vec::new();
        for (i, (a, of_a)) in held.iter().enumerate() {
            for (j, (b, of_b)) in held.iter().enumerate().skip(i + 1) {
                let missing = || VenueError::Missing {
                    method: METHOD,
                    what: "the correlation",
                    subject: format!("{a}/{b}"),
                };
                let rho = self.rho(a, b).ok_or_else(missing)?;
                all.push((i, j, beta(rho, of_a.alpha, of_b.alpha)));
            }
        }
        Ok(all)
    }

    fn rate(of: &BTreeMap<Asset, Fixed>, asset: &Asset, what: &'static str) -> Result<Fixed, VenueError> {
        let missing = || VenueError::Missing { method: METHOD, what, subject: asset.to_string() };
        of.get(asset).copied().ok_or_else(missing)
    }

    /// The smallest pivot of the correlation matrix of all underlyings; below 0 it is none.
    fn smallest_pivot(&self) -> Option<Fixed> {
        let assets: Vec<&Asset> = self.alpha.keys().collect();
        let mut rows: Vec<Vec<Fixed>> = Vec::new();
        for a in &assets {
            rows.push(assets.iter().map(|b| self.rho(a, b)).collect::<Option<_>>()?);
        }
        let mut smallest = Fixed::ONE;
        for k in 0..rows.len() {
            let pivot = *rows.get(k)?.get(k)?;
            smallest = smallest.min(pivot);
            let usable = pivot > Fixed::from_units(ROUNDING);
            if !usable {
                continue;
            }
            let row = rows.get(k)?.clone();
            for below in rows.iter_mut().skip(k + 1) {
                let factor = *below.get(k)? / pivot;
                below.iter_mut().zip(&row).for_each(|(x, above)| *x = *x - factor * *above);
            }
        }
        Some(smallest)
    }
}

fn exposure(leg: &Leg<'_>) -> Result<Fixed, VenueError> {
    let why = match leg.kind {
        LegKind::Perpetual | LegKind::Future { .. } => return Ok(leg.delta_cash()),
        LegKind::Spot => "spot is not a position there",
        LegKind::Option { .. } => "it sees neither gamma nor vega",
    };
    Err(leg.unsupported(METHOD, why))
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let (mut held, mut contracts) = (Vec::new(), Vec::new());
        for (_, row, legs) in book.underlyings() {
            let gamma = Self::rate(&self.gamma, &row.asset, "the contract-specific move")?;
            let sizes = legs.iter().map(|leg| exposure(leg)).collect::<Result<Vec<_>, _>>()?;
            contracts.extend(sizes.iter().map(|size| (*size, gamma)));
            let alpha = Self::rate(&self.alpha, &row.asset, "the quantile move")?;
            held.push((&row.asset, Exposure { net: sizes.into_iter().sum(), alpha }));
        }
        let exposures: Vec<Exposure> = held.iter().map(|(_, exposure)| *exposure).collect();
        let mm = expected_loss(&exposures, &self.pairs(&held)?, &contracts)?;
        Ok(vec![Charge { code: "expected_loss", asset: None, im: self.concentration * mm, mm }])
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found =
            checks::all([checks::im_covers_mm("aggregation.concentration", self.concentration, Fixed::ONE)]);
        for (name, table) in [("alpha", &self.alpha), ("gamma", &self.gamma)] {
            let paths = table.iter().map(|(asset, rate)| (format!("aggregation.{name}.{asset}"), rate));
            found.extend(paths.filter_map(|(path, rate)| checks::not_negative(&path, *rate)));
        }
        let subject = "aggregation.correlation";
        match self.smallest_pivot() {
            None => {
                found.push(LintFinding::new(LintCode::Missing, subject, "a pair of underlyings has none"))
            }
            Some(pivot) if pivot < -Fixed::from_units(ROUNDING) => {
                let message = format!("not a correlation matrix: a pivot is {pivot}; use the nearest one");
                found.push(LintFinding::new(LintCode::NotPositive, subject, message));
            }
            Some(_) => {}
        }
        found
    }
}
