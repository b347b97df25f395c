//! Hyperliquid: maintenance margin in marginal tiers of leverage, liquidation in parts, and portfolio margin (alpha).
//!
//! Source: hyperliquid.gitbook.io (margin tiers, liquidations, portfolio margin), a document, not code; methods,
//! section 18.

use super::curves::{TierRate, tier_of, tiered};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::{LintCode, LintFinding};
use plimsoll_types::Fixed;
use serde::{Deserialize, Serialize};

const METHOD: &str = "hyperliquid";

/// Notional above which a liquidation begins with a part.
const PARTIAL_FROM: Fixed = Fixed::from_units(100_000_000_000_000_000_000_000);
/// The part.
const FIRST_PART: Fixed = Fixed::from_units(200_000_000_000_000_000);
/// Seconds between the part and the rest.
pub const PARTIAL_PAUSE_SECONDS: i64 = 30;
/// Least of the portfolio requirement, currency.
const PORTFOLIO_LEAST: Fixed = Fixed::from_units(20_000_000_000_000_000_000);
/// One half.
const HALF: Fixed = Fixed::from_units(500_000_000_000_000_000);
/// Two.
const TWO: Fixed = Fixed::from_units(2_000_000_000_000_000_000);

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Tiers of leverage per underlying.
    pub markets: ByAsset<Vec<LeverageTier>>,
}

/// A tier of leverage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeverageTier {
    /// Notional from which it holds, currency; the first is 0, they rise.
    pub from: Fixed,
    /// Largest leverage of what lies above; falls from tier to tier.
    pub leverage_max: Fixed,
}

/// Maintenance margin of a notional, with the rate and the deduction of its tier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TieredMargin {
    /// `notional rate - deduction`.
    pub margin: Fixed,
    /// `1/(2 leverage_max)` of the tier the notional lies in; an edge belongs to the upper tier.
    pub rate: Fixed,
    /// What makes the margin continuous at the edges.
    pub deduction: Fixed,
}

/// Maintenance margin: half the initial margin at the largest leverage, tier by tier.
///
/// ```
/// use plimsoll_margin::venue::hyperliquid::{LeverageTier, maintenance_margin};
/// use plimsoll_types::Fixed;
/// let tier = |from, leverage: i64| LeverageTier { from: Fixed::from(from), leverage_max: Fixed::from(leverage) };
/// let bitcoin = [tier(0, 40), tier(150_000_000, 20)];
/// let found = maintenance_margin(&bitcoin, Fixed::from(150_000_000))?;
/// assert_eq!(found.margin, Fixed::from(1_875_000));
/// assert_eq!(found.deduction, Fixed::from(1_875_000));
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] of tiers that do not rise from 0, a leverage that is not positive or a negative notional.
pub fn maintenance_margin(tiers: &[LeverageTier], notional: Fixed) -> Result<TieredMargin, VenueError> {
    let rates = rates(tiers, TWO)?;
    let margin = tiered(&rates, notional)?;
    let (rate, deduction) = tier_of(&rates, notional)?;
    Ok(TieredMargin { margin, rate, deduction })
}

/// Initial margin at the largest leverage, tier by tier: twice the maintenance margin.
///
/// # Errors
/// As [`maintenance_margin`].
pub fn initial_margin(tiers: &[LeverageTier], notional: Fixed) -> Result<Fixed, VenueError> {
    tiered(&rates(tiers, Fixed::ONE)?, notional)
}

/// `1/(divisor leverage_max)` from each edge.
fn rates(tiers: &[LeverageTier], divisor: Fixed) -> Result<Vec<TierRate>, VenueError> {
    let rate = |tier: &LeverageTier| {
        let rate = one_over(tier.leverage_max, divisor)?;
        Ok(TierRate { from: tier.from, rate })
    };
    tiers.iter().map(rate).collect()
}

fn one_over(leverage_max: Fixed, divisor: Fixed) -> Result<Fixed, VenueError> {
    if leverage_max > Fixed::ZERO {
        return settled(Fixed::ONE / (divisor * leverage_max), "a rate of a leverage");
    }
    let value = leverage_max.to_string();
    Err(VenueError::Domain { what: "a leverage", value, expected: "more than 0" })
}

/// A position on its way to liquidation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Price now, currency per base unit.
    pub price: Fixed,
    /// Base units; > 0 a long, < 0 a short.
    pub size: Fixed,
    /// Equity less maintenance margin at the price now: see [`margin_available`].
    pub margin_available: Fixed,
    /// Largest leverage of the tier at the liquidation price.
    pub leverage_max: Fixed,
}

/// `equity - l |size| price`, `l = 1/(2 leverage_max)`: what a position may still lose.
///
/// # Errors
/// [`VenueError::Domain`] of a leverage that is not positive; [`VenueError::Overflow`].
pub fn margin_available(
    equity: Fixed,
    size: Fixed,
    price: Fixed,
    leverage_max: Fixed,
) -> Result<Fixed, VenueError> {
    let rate = one_over(leverage_max, TWO)?;
    settled(equity - rate * size.abs() * price, "an available margin")
}

/// Price at which equity is the maintenance margin: `P - side margin_available/|size| / (1 - l side)`.
///
/// A long without debt has none; the number is then 0 or less.
///
/// # Errors
/// [`VenueError::Domain`] without a position or of a leverage that is not positive; [`VenueError::Overflow`], also of a
/// long of leverage 1/2, which is always liquidatable or never.
pub fn liquidation_price(holding: &Holding) -> Result<Fixed, VenueError> {
    let size = holding.size;
    if size == Fixed::ZERO {
        return Err(VenueError::Domain {
            what: "a position",
            value: "0".to_owned(),
            expected: "other than 0",
        });
    }
    let rate = one_over(holding.leverage_max, TWO)?;
    let side = if size > Fixed::ZERO { Fixed::ONE } else { -Fixed::ONE };
    let room = side * holding.margin_available / (size.abs() * (Fixed::ONE - rate * side));
    settled(holding.price - room, "a liquidation price")
}

/// Notional of the first liquidation order: a fifth of a position above 100,000, else all of it. The rest follows after
/// [`PARTIAL_PAUSE_SECONDS`].
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn first_liquidation(notional: Fixed) -> Result<Fixed, VenueError> {
    let part = if notional > PARTIAL_FROM { FIRST_PART } else { Fixed::ONE };
    settled(notional * part, "a first liquidation")
}

/// Equity below which the backstop takes the account over: two thirds of the maintenance margin.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn backstop_equity(maintenance: Fixed) -> Result<Fixed, VenueError> {
    settled(maintenance.scaled(2, 3, plimsoll_types::Rounding::Nearest), "a backstop level")
}

/// Interest per year on what is borrowed: `0.05 + 4.75 max(0, utilisation - 0.8)`.
///
/// # Errors
/// [`VenueError::Domain`] of a utilisation outside [0, 1].
pub fn borrow_rate(utilisation: Fixed) -> Result<Fixed, VenueError> {
    let inside = utilisation >= Fixed::ZERO && utilisation <= Fixed::ONE;
    if !inside {
        let value = utilisation.to_string();
        return Err(VenueError::Domain { what: "a utilisation", value, expected: "0 to 1" });
    }
    let least = Fixed::from_units(50_000_000_000_000_000);
    let slope = Fixed::from_units(4_750_000_000_000_000_000);
    let kink = Fixed::from_units(800_000_000_000_000_000);
    settled(least + slope * (utilisation - kink).positive(), "a borrow rate")
}

/// A collateral asset under portfolio margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpotCollateral {
    /// Units held.
    pub balance: Fixed,
    /// Oracle price, currency per unit.
    pub price: Fixed,
    /// Loan to value, a share.
    pub ltv: Fixed,
    /// Most units that count.
    pub supply_cap: Fixed,
    /// Most that can be borrowed against it, currency.
    pub borrow_cap: Fixed,
}

impl SpotCollateral {
    /// What counts towards the ratio: `min(borrow_cap, min(balance, supply_cap) price (0.5 + 0.5 ltv))`.
    ///
    /// # Errors
    /// [`VenueError::Overflow`].
    pub fn counted(&self) -> Result<Fixed, VenueError> {
        let held = self.balance.min(self.supply_cap) * self.price;
        settled(self.borrow_cap.min(held * (HALF + HALF * self.ltv)), "a counted collateral")
    }

    /// What can be borrowed: `balance ltv price`.
    ///
    /// # Errors
    /// [`VenueError::Overflow`].
    pub fn borrowable(&self) -> Result<Fixed, VenueError> {
        settled(self.balance * self.ltv * self.price, "a borrowable amount")
    }
}

/// An account under portfolio margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortfolioAccount<'a> {
    /// Sum of the maintenance margins of the cross positions, currency.
    pub cross_maintenance: Fixed,
    /// Borrowed, currency.
    pub borrowed: Fixed,
    /// Balance in the currency.
    pub balance: Fixed,
    /// Other collateral.
    pub collateral: &'a [SpotCollateral],
}

/// Portfolio margin ratio: `(20 + sum cross MM + borrowed) / (balance + sum counted collateral)`.
///
/// # Errors
/// [`VenueError::Domain`] where nothing counts; [`VenueError::Overflow`].
pub fn portfolio_ratio(account: &PortfolioAccount<'_>) -> Result<Fixed, VenueError> {
    let mut counted = account.balance;
    for asset in account.collateral {
        counted = counted + asset.counted()?;
    }
    if settled(counted, "a counted balance")? > Fixed::ZERO {
        let owed = PORTFOLIO_LEAST + account.cross_maintenance + account.borrowed;
        return settled(owed / counted, "a portfolio margin ratio");
    }
    let value = counted.to_string();
    Err(VenueError::Domain { what: "a counted balance", value, expected: "more than 0" })
}

/// Whether an account under portfolio margin is liquidatable: its ratio is above 0.95.
pub fn portfolio_liquidatable(ratio: Fixed) -> bool {
    ratio > Fixed::from_units(950_000_000_000_000_000)
}

impl Method for Terms {
    /// Perpetuals in the cross account: each in the tiers of its market, at the largest leverage, at the mark price.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let charge = |leg: &Leg<'_>| {
            let asset = &leg.underlying.asset;
            if leg.kind != LegKind::Perpetual {
                return Err(leg.unsupported(METHOD, "the cross account holds perpetuals and the currency"));
            }
            let subject = || asset.to_string();
            let missing =
                || VenueError::Missing { method: METHOD, what: "leverage tiers", subject: subject() };
            let tiers = self.markets.of(asset).ok_or_else(missing)?;
            let notional = settled(leg.quantity.abs() * leg.reference, "a notional")?;
            let im = initial_margin(tiers, notional)?;
            let mm = maintenance_margin(tiers, notional)?.margin;
            Ok(Charge { code: "tiered_margin", asset: Some(asset.clone()), im, mm })
        };
        book.legs.iter().map(charge).collect()
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = Vec::new();
        for (scope, tiers) in &self.markets.0 {
            let path = format!("aggregation.markets.{scope}");
            if tiers.first().map(|tier| tier.from) != Some(Fixed::ZERO) {
                found.push(LintFinding::new(LintCode::Missing, &path, "the first tier does not begin at 0"));
            }
            for (i, pair) in tiers.windows(2).enumerate() {
                let tier = format!("{path}[{}]", i + 1);
                found.extend(checks::ordered(&format!("{tier}.from"), pair[0].from, pair[1].from));
                if pair[1].leverage_max > pair[0].leverage_max {
                    let message = format!("{} above {}", pair[1].leverage_max, pair[0].leverage_max);
                    found.push(LintFinding::new(
                        LintCode::ChargeFalls,
                        format!("{tier}.leverage_max"),
                        message,
                    ));
                }
            }
            let leverages = tiers.iter().enumerate();
            found.extend(leverages.filter_map(|(i, tier)| {
                checks::positive(&format!("{path}[{i}].leverage_max"), tier.leverage_max)
            }));
        }
        found
    }
}
