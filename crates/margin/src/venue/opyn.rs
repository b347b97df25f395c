//! Opyn: naked shorts by the largest price an option of their expiry can have, and spreads by their largest loss.
//!
//! A vault holds a short, perhaps a long of the same expiry and kind, and collateral: the quote asset for puts, the base
//! asset for calls, whose margins are therefore in base units. There is one requirement, beneath which a vault cannot be
//! opened and is auctioned off.
//!
//! Source: opynfinance/GammaProtocol @ 841f81d9 (MarginCalculator); methods, section 17.

use super::integer::above_zero;
use super::{Charge, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::{LintCode, LintFinding};
use plimsoll_types::{Asset, Fixed, OptionKind, Rounding};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const METHOD: &str = "opyn";
const DAY_SECONDS: i64 = 86_400;

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Underlyings with naked margin.
    pub products: ByAsset<ProductTerms>,
}

/// Naked margin of an underlying.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductTerms {
    /// Share of spot left after the shock, in (0, 1].
    pub spot_shock: Fixed,
    /// Largest price of an option at the money as a share of its strike, by time to expiry.
    pub upper_bounds: Vec<UpperBound>,
}

/// The upper bound of a bucket of expiries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpperBound {
    /// Longest time to expiry of the bucket, days; they rise.
    pub days: i64,
    /// The bound, a share.
    pub share: Fixed,
}

/// The bound of the first bucket that is at least as long as the time to expiry.
///
/// # Errors
/// [`VenueError::Domain`] of an expiry beyond the last bucket.
pub fn upper_bound(bounds: &[UpperBound], seconds: i64) -> Result<Fixed, VenueError> {
    let bucket = bounds.iter().find(|bound| bound.days.saturating_mul(DAY_SECONDS) >= seconds);
    let beyond = || VenueError::Domain {
        what: "a naked option's time to expiry, seconds",
        value: seconds.to_string(),
        expected: "within the last bucket of upper bounds",
    };
    bucket.map(|bound| bound.share).ok_or_else(beyond)
}

/// Margin of one naked short, of a put in quote units and of a call in base units, with `x` the spot shock and `ub` the
/// [`upper_bound`]:
///
/// ```text
/// put:   ub min(K, x S) + max(K - x S, 0)
/// call:  ub min(1, K x/S) + max(1 - K x/S, 0)
/// ```
///
/// # Errors
/// [`VenueError::Domain`] of a spot or strike that is not positive; [`VenueError::Overflow`].
///
/// ```
/// use plimsoll_margin::venue::opyn::naked_margin;
/// use plimsoll_types::{Fixed, OptionKind};
/// let (shock, bound) = ("0.75".parse()?, "0.1678".parse()?);
/// let put = naked_margin(OptionKind::Put, Fixed::from(2000), Fixed::from(2000), shock, bound)?;
/// assert_eq!(put.to_string(), "751.7");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn naked_margin(
    kind: OptionKind,
    strike: Fixed,
    spot: Fixed,
    spot_shock: Fixed,
    upper_bound: Fixed,
) -> Result<Fixed, VenueError> {
    let (most, shocked) = match kind {
        OptionKind::Put => (strike, spot_shock * above_zero(spot, "a spot price")?),
        OptionKind::Call => {
            (Fixed::ONE, above_zero(strike, "a strike")? * spot_shock / above_zero(spot, "a spot price")?)
        }
    };
    settled(upper_bound * most.min(shocked) + (most - shocked).positive(), "a naked margin")
}

/// Amounts of a vault's short and long, with their strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spread {
    /// Options sold; >= 0.
    pub short: Fixed,
    /// Options held; >= 0.
    pub long: Fixed,
    /// Strike of the short.
    pub short_strike: Fixed,
    /// Strike of the long; 0 without one.
    pub long_strike: Fixed,
}

/// Margin of a put spread, quote units: `max(short Ks - Kl min(short, long), 0)`.
///
/// # Errors
/// [`VenueError::Domain`] of a negative amount; [`VenueError::Overflow`].
pub fn put_spread_margin(spread: &Spread) -> Result<Fixed, VenueError> {
    spread.check()?;
    let covered = spread.long_strike * spread.short.min(spread.long);
    settled((spread.short * spread.short_strike - covered).positive(), "a spread margin")
}

/// Margin of a call spread, base units: `max((Kl - Ks) short/Kl, short - long, 0)`; without a long (`Kl = 0`)
/// `max(short - long, 0)`.
///
/// # Errors
/// [`VenueError::Domain`] of a negative amount; [`VenueError::Overflow`].
pub fn call_spread_margin(spread: &Spread) -> Result<Fixed, VenueError> {
    spread.check()?;
    let uncovered = (spread.short - spread.long).positive();
    if spread.long_strike == Fixed::ZERO {
        return settled(uncovered, "a spread margin");
    }
    let apart = (spread.long_strike - spread.short_strike) * spread.short / spread.long_strike;
    settled(apart.max(uncovered), "a spread margin")
}

impl Spread {
    fn check(&self) -> Result<(), VenueError> {
        let amounts = [self.short, self.long, self.short_strike, self.long_strike];
        let wrong = amounts.into_iter().find(|amount| *amount < Fixed::ZERO);
        let outside = |amount: Fixed| VenueError::Domain {
            what: "an amount or strike of a spread",
            value: amount.to_string(),
            expected: "0 or more",
        };
        wrong.map_or(Ok(()), |amount| Err(outside(amount)))
    }
}

/// A vault being auctioned off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Auction {
    /// Put or call.
    pub kind: OptionKind,
    /// Collateral of the vault: quote units of a put, base units of a call.
    pub collateral: Fixed,
    /// Options sold; > 0.
    pub debt: Fixed,
    /// What an option is worth exercised now, quote units.
    pub cash_value: Fixed,
    /// Spot price.
    pub spot: Fixed,
}

/// How an auction runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuctionTerms {
    /// Share of spot the oracle may be off by: 0.05.
    pub oracle_deviation: Fixed,
    /// How long the price climbs: 3600 seconds.
    pub seconds: i128,
}

/// Price per option a liquidator is paid after `elapsed` seconds: from `max(cash_value - deviation S, 0)` (of a call
/// divided by `S`) in a straight line to `collateral/debt`, and never above that.
///
/// # Errors
/// [`VenueError::Domain`] of a negative time or a debt, spot or length that is not positive; [`VenueError::Overflow`].
pub fn debt_price(auction: &Auction, terms: AuctionTerms, elapsed: i128) -> Result<Fixed, VenueError> {
    if elapsed < 0 || terms.seconds <= 0 {
        let value = format!("{elapsed} of {}", terms.seconds);
        return Err(VenueError::Domain { what: "the time of an auction", value, expected: "0 or more" });
    }
    let end = auction.collateral / above_zero(auction.debt, "a debt")?;
    let spot = above_zero(auction.spot, "a spot price")?;
    let value = (auction.cash_value - terms.oracle_deviation * spot).positive();
    let start = match auction.kind {
        OptionKind::Put => value,
        OptionKind::Call => value / spot,
    };
    let climbed = (end - start).scaled(elapsed.min(terms.seconds), terms.seconds, Rounding::Nearest);
    settled((start + climbed).min(end), "an auction price")
}

/// Collateral ratio of Squeeth: 150 % of the debt.
const SQUEETH_RATIO: Fixed = Fixed::from_units(1_500_000_000_000_000_000);
/// Least collateral of a Squeeth vault, ETH.
const SQUEETH_LEAST: Fixed = Fixed::from_units(500_000_000_000_000_000);
/// Share of the debt that whoever liquidates a Squeeth vault earns.
const SQUEETH_BOUNTY: Fixed = Fixed::from_units(100_000_000_000_000_000);

/// Collateral that a Squeeth vault needs, ETH: 150 % of its debt at the time-weighted index, at least 0.5; nothing
/// without debt.
///
/// # Errors
/// [`VenueError::Domain`] of a negative debt; [`VenueError::Overflow`].
pub fn squeeth_margin(debt: Fixed) -> Result<Fixed, VenueError> {
    if debt < Fixed::ZERO {
        return Err(VenueError::Domain { what: "a debt", value: debt.to_string(), expected: "0 or more" });
    }
    let least = if debt == Fixed::ZERO { Fixed::ZERO } else { SQUEETH_LEAST };
    settled((SQUEETH_RATIO * debt).max(least), "a Squeeth margin")
}

/// Collateral paid to whoever repays `debt` of a Squeeth vault, ETH: the debt and a tenth.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn squeeth_liquidation(debt: Fixed) -> Result<Fixed, VenueError> {
    settled(debt + SQUEETH_BOUNTY * debt, "a Squeeth liquidation")
}

/// Options of one underlying, expiry and kind.
struct Series<'a> {
    asset: &'a Asset,
    kind: OptionKind,
    seconds: i64,
    spot: Fixed,
    shorts: Vec<(Fixed, Fixed)>,
    longs: Vec<(Fixed, Fixed)>,
}

impl Series<'_> {
    /// Strike and amount in the order of pairing: each short meets the long that protects best of what is left. Puts
    /// fall from the highest strike, calls rise from the lowest.
    fn sort(&mut self) {
        for side in [&mut self.shorts, &mut self.longs] {
            side.sort_by_key(|(strike, _)| strike.known());
            if self.kind == OptionKind::Put {
                side.reverse();
            }
        }
    }

    /// Margin of all vaults, quote units: pairs as spreads, or naked where that is cheaper and the expiry allows it; the
    /// rest naked.
    fn margin(&mut self, product: &ProductTerms) -> Result<Fixed, VenueError> {
        self.sort();
        let mut sum = Fixed::ZERO;
        let mut longs = self.longs.iter().copied();
        let mut long = longs.next();
        for &(strike, amount) in &self.shorts {
            let mut left = amount;
            while let Some((long_strike, held)) = long.filter(|_| left > Fixed::ZERO) {
                let matched = left.min(held);
                sum = sum + self.pair(product, strike, long_strike, matched)?;
                left = left - matched;
                long = if held > matched { Some((long_strike, held - matched)) } else { longs.next() };
            }
            if left > Fixed::ZERO {
                sum = sum + self.naked(product, strike)? * left;
            }
        }
        let unit = if self.kind == OptionKind::Call { self.spot } else { Fixed::ONE };
        settled(sum * unit, "a vault margin")
    }

    fn naked(&self, product: &ProductTerms, strike: Fixed) -> Result<Fixed, VenueError> {
        let bound = upper_bound(&product.upper_bounds, self.seconds)?;
        naked_margin(self.kind, strike, self.spot, product.spot_shock, bound)
    }

    fn pair(
        &self,
        product: &ProductTerms,
        short_strike: Fixed,
        long_strike: Fixed,
        amount: Fixed,
    ) -> Result<Fixed, VenueError> {
        let spread = Spread { short: amount, long: amount, short_strike, long_strike };
        let margin = match self.kind {
            OptionKind::Put => put_spread_margin(&spread)?,
            OptionKind::Call => call_spread_margin(&spread)?,
        };
        let last = product.upper_bounds.last().map_or(0, |bound| bound.days.saturating_mul(DAY_SECONDS));
        if self.seconds > last {
            return Ok(margin);
        }
        settled(margin.min(self.naked(product, short_strike)? * amount), "a vault margin")
    }
}

/// The options of the book by underlying, expiry and kind.
fn series<'a>(book: &'a VenueBook<'a>) -> Result<Vec<Series<'a>>, VenueError> {
    let mut all: BTreeMap<(usize, i64, OptionKind), Series<'a>> = BTreeMap::new();
    for leg in &book.legs {
        let LegKind::Option { kind, strike, seconds } = leg.kind else {
            return Err(leg.unsupported(METHOD, "a vault holds options and collateral"));
        };
        let key = (leg.row.underlying.index(), seconds, kind);
        let (asset, spot) = (&leg.underlying.asset, leg.index);
        let entry = all.entry(key).or_insert_with(|| Series {
            asset,
            kind,
            seconds,
            spot,
            shorts: Vec::new(),
            longs: Vec::new(),
        });
        let side = if leg.quantity < Fixed::ZERO { &mut entry.shorts } else { &mut entry.longs };
        side.push((strike, leg.quantity.abs()));
    }
    Ok(all.into_values().collect())
}

impl Method for Terms {
    /// A requirement is on collateral alone, so what the equity has of options' marks is taken out of it
    /// (`option_value`, negative of shorts): a long on its own is charged its premium, no more.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let both =
            |code, asset: &Asset, amount| Charge { code, asset: Some(asset.clone()), im: amount, mm: amount };
        let mut charges = Vec::new();
        for mut series in series(book)?.into_iter().filter(|series| !series.shorts.is_empty()) {
            let subject = || series.asset.to_string();
            let missing = || VenueError::Missing { method: METHOD, what: "naked margin", subject: subject() };
            let product = self.products.of(series.asset).ok_or_else(missing)?;
            let margin = series.margin(product)?;
            charges.push(both("vault_margin", series.asset, margin));
        }
        for (_, row, legs) in book.underlyings() {
            let value: Fixed = legs.iter().map(|leg| leg.value()).sum();
            charges.push(both("option_value", &row.asset, settled(value, "a value of options")?));
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = Vec::new();
        for (scope, product) in &self.products.0 {
            let path = format!("aggregation.products.{scope}");
            found.extend(checks::share(&format!("{path}.spot_shock"), product.spot_shock));
            found.extend(checks::positive(&format!("{path}.spot_shock"), product.spot_shock));
            if product.upper_bounds.is_empty() {
                let message = "no bucket of expiries";
                found.push(LintFinding::new(LintCode::Missing, format!("{path}.upper_bounds"), message));
            }
            for (i, bound) in product.upper_bounds.iter().enumerate() {
                let bucket = format!("{path}.upper_bounds[{i}]");
                found.extend(checks::share(&format!("{bucket}.share"), bound.share));
                let before = i.checked_sub(1).and_then(|i| product.upper_bounds.get(i));
                let Some(before) = before else { continue };
                let (from, to) = (Fixed::from(before.days), Fixed::from(bound.days));
                found.extend(checks::ordered(&format!("{bucket}.days"), from, to));
                if bound.share < before.share {
                    let message = format!("{} of a longer expiry is below {}", bound.share, before.share);
                    found.push(LintFinding::new(LintCode::ChargeFalls, format!("{bucket}.share"), message));
                }
            }
        }
        found
    }
}
