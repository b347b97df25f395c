//! Vega's margin: risk factors of a lognormal expected shortfall, slippage on the open position, and four levels.
//!
//! Each market has a margin account of its own and every amount is a whole number of the settlement asset's smallest
//! unit, a tick here. The factors come from outside ([`RiskFactors`]), agreed between nodes to stated digits because
//! floats differ between machines; from there on the decimals are exact and rounded once, where the venue rounds.
//!
//! Source: vegaprotocol/vega @ a50750cc, specs @ 5fea1f3e (0019-MCAL, 0041-TSTK, 0053-PERP); methods, section 11. The
//! slippage is charged on the open position only, as the code does; the order book is not asked for an exit price, which
//! was withdrawn in 2024 after it had liquidated a liquidity provider.

use super::integer::{above_zero, not_below_zero};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Fixed, Rounding, Ticks, mul_div_wide};
use serde::{Deserialize, Serialize};

const METHOD: &str = "vega";

/// Seconds of the year that horizons are counted in: 365.25 days.
pub const YEAR_SECONDS_JULIAN: i64 = 31_557_600;

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Multiples of maintenance margin.
    pub scaling: Scaling,
    /// Per underlying.
    pub markets: ByAsset<MarketTerms>,
}

/// Levels as multiples of maintenance margin; each at least 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// A balance below it is topped up to the initial level.
    pub search: Fixed,
    /// What new risk needs.
    pub initial: Fixed,
    /// A balance above it is released down to the initial level.
    pub release: Fixed,
}

impl Scaling {
    /// The network's defaults: 1.1, 1.2 and 1.4.
    pub const NETWORK: Self = Self {
        search: Fixed::from_units(1_100_000_000_000_000_000),
        initial: Fixed::from_units(1_200_000_000_000_000_000),
        release: Fixed::from_units(1_400_000_000_000_000_000),
    };
}

/// A market's factors.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketTerms {
    /// Expected shortfall per unit of price.
    pub risk: RiskFactors,
    /// What closing costs at most.
    pub slippage: Slippage,
    /// Share of the funding due that is margined, of perpetuals.
    pub funding_factor: Fixed,
    /// Decimals of a position; a finer one is rounded away from 0.
    pub position_decimals: u32,
}

/// Expected shortfall of one unit, as a share of its price; >= 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RiskFactors {
    /// Of a long.
    pub long: Fixed,
    /// Of a short.
    pub short: Fixed,
}

/// Cost of closing `x` units as a share of the price: `linear x + quadratic x^2`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slippage {
    /// Per unit.
    pub linear: Fixed,
    /// Per unit squared.
    pub quadratic: Fixed,
}

/// A resting limit order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitOrder {
    /// Units; > 0.
    pub size: Fixed,
    /// Smallest units of the asset per unit.
    pub price: i128,
}

/// How a market trades.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trading {
    /// Continuously: orders count at the mark.
    Continuous,
    /// In an auction: orders count at their own prices, and at least at the indicative one.
    Auction {
        /// The indicative price; 0 where there is none.
        price: i128,
    },
}

/// What a party holds in a market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exposure<'a> {
    /// Units; long > 0.
    pub position: Fixed,
    /// Open bids.
    pub buys: &'a [LimitOrder],
    /// Open offers.
    pub sells: &'a [LimitOrder],
    /// How the market trades.
    pub trading: Trading,
}

impl Exposure<'_> {
    /// A position without orders in continuous trading.
    pub fn of(position: Fixed) -> Self {
        Self { position, buys: &[], sells: &[], trading: Trading::Continuous }
    }
}

/// The four levels, in smallest units of the asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MarginLevels {
    /// Below it the position is closed out.
    pub maintenance: i128,
    /// Below it the account is topped up.
    pub search: i128,
    /// What new risk needs, and where an account is topped up or released to.
    pub initial: i128,
    /// Above it the rest is released.
    pub release: i128,
}

/// Maintenance margin, rounded up: the larger of the two sides, each for the position and its orders on that side.
///
/// ```text
/// long  (v + B > 0): x = max(v, 0);   M (lin x + quad x^2) + x rf_long M  + B rf_long M  + max(0, funding v)
/// short (v - A < 0): x = |min(v, 0)|; M (lin x + quad x^2) + x rf_short M + A rf_short M + max(0, funding v)
/// ```
///
/// In an auction an order counts at its own price: `max(sum size price, auction_price total) rf`. `funding` is the
/// margined payment due per unit held, `mark` in smallest units per unit.
///
/// # Errors
/// [`VenueError::Domain`] of a negative mark or order, [`VenueError::Overflow`] past 128 bits.
///
/// ```
/// use plimsoll_margin::venue::vega::{Exposure, RiskFactors, Slippage, maintenance_margin};
/// use plimsoll_types::Fixed;
/// let risk = RiskFactors { long: "0.1".parse()?, short: "0.11".parse()? };
/// let slippage = Slippage { linear: Fixed::ZERO, quadratic: Fixed::ZERO };
/// let exposure = Exposure::of(Fixed::from(6));
/// assert_eq!(maintenance_margin(risk, slippage, &exposure, 144, Fixed::ZERO)?, 87);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn maintenance_margin(
    risk: RiskFactors,
    slippage: Slippage,
    exposure: &Exposure<'_>,
    mark: i128,
    funding: Fixed,
) -> Result<i128, VenueError> {
    not_below_zero(mark, "a mark price")?;
    let v = exposure.position;
    let bids = side(exposure.buys, exposure.trading)?;
    let offers = side(exposure.sells, exposure.trading)?;
    settled(v + bids.size + offers.size, "a position")?;
    let due = Exact::from(funding).times(Exact::from(v)).positive();
    let of = |units: Fixed, factor: Fixed, orders: Side| {
        let (x, factor) = (Exact::from(units), Exact::from(factor));
        let per_unit =
            Exact::from(slippage.quadratic).times(x).plus(Exact::from(slippage.linear)).plus(factor);
        let per_mark = per_unit.times(x).plus(orders.at_mark.times(factor));
        let margin = per_mark.of_whole_plus(mark, orders.value.times(factor).plus(due), Rounding::Up);
        margin.ok_or(VenueError::Overflow { what: "a maintenance margin" })
    };
    let mut largest = 0;
    if v + bids.size > Fixed::ZERO {
        largest = largest.max(of(v.positive(), risk.long, bids)?);
    }
    if v - offers.size < Fixed::ZERO {
        largest = largest.max(of((-v).positive(), risk.short, offers)?);
    }
    Ok(largest)
}

/// The orders of a side: their size, the units that are margined at the mark, and the value that is beside them.
#[derive(Clone, Copy)]
struct Side {
    size: Fixed,
    at_mark: Exact,
    value: Exact,
}

fn side(orders: &[LimitOrder], trading: Trading) -> Result<Side, VenueError> {
    for order in orders {
        not_below_zero(order.price, "an order's price")?;
        above_zero(order.size, "an order's size")?;
    }
    let size: Fixed = orders.iter().map(|order| order.size).sum();
    let nothing = Exact::from(0);
    Ok(match trading {
        Trading::Continuous => Side { size, at_mark: Exact::from(size), value: nothing },
        Trading::Auction { price } => {
            let own = |sum: Exact, o: &LimitOrder| sum.plus(Exact::from(o.size).times(Exact::from(o.price)));
            let total = Exact::from(size).times(Exact::from(price));
            Side { size, at_mark: nothing, value: orders.iter().fold(nothing, own).max(total) }
        }
    })
}

/// The levels above a maintenance margin, each rounded down: `floor(s maintenance)` and so on.
///
/// # Errors
/// [`VenueError::Overflow`] past 128 bits.
pub fn margin_levels(maintenance: i128, scaling: Scaling) -> Result<MarginLevels, VenueError> {
    let level = |factor: Fixed| {
        let product = Exact::from(factor).times(Exact::from(maintenance));
        product.whole(Rounding::Down).ok_or(VenueError::Overflow { what: "a margin level" })
    };
    Ok(MarginLevels {
        maintenance,
        search: level(scaling.search)?,
        initial: level(scaling.initial)?,
        release: level(scaling.release)?,
    })
}

/// What is moved into a margin account (out of it: < 0): up to the initial level from below the search level, down to it
/// from above the release level, nothing in between.
pub fn transfer(balance: i128, levels: &MarginLevels) -> i128 {
    if balance < levels.search || balance > levels.release { levels.initial - balance } else { 0 }
}

/// Margin of the orders of an isolated account, rounded down: the larger side of
/// `sum size max(price, auction_price) margin_factor / position_factor`.
///
/// Orders are taken best first, bids from the highest, offers from the lowest; the first `|position|` of the side that
/// reduces the position needs nothing. `auction_price` is `None` in continuous trading. Sizes and position count
/// `1/position_factor` of a unit.
///
/// # Errors
/// [`VenueError::Domain`] of a position factor that is not positive or a negative order, [`VenueError::Overflow`].
pub fn isolated_order_margin(
    exposure: &Exposure<'_>,
    position_factor: i128,
    margin_factor: Fixed,
) -> Result<i128, VenueError> {
    if position_factor <= 0 {
        let value = position_factor.to_string();
        return Err(VenueError::Domain { what: "a position factor", value, expected: "1 or more" });
    }
    let least = match exposure.trading {
        Trading::Continuous => 0,
        Trading::Auction { price } => price,
    };
    let position = exposure.position;
    let mut bids = exposure.buys.to_vec();
    bids.sort_by_key(|order| std::cmp::Reverse(order.price));
    let mut offers = exposure.sells.to_vec();
    offers.sort_by_key(|order| order.price);
    let bid = beyond(&bids, (-position).positive(), least)?;
    let offered = beyond(&offers, position.positive(), least)?;
    let value = bid.max(offered).times(Exact::from(margin_factor));
    let margin = value.over(position_factor, Rounding::Down);
    margin.ok_or(VenueError::Overflow { what: "an order margin" })
}

/// `sum size max(price, least)` of what is left of sorted orders after the first `free` units.
fn beyond(orders: &[LimitOrder], free: Fixed, least: i128) -> Result<Exact, VenueError> {
    let (mut sum, mut free) = (Exact::from(0), free);
    for order in orders {
        not_below_zero(order.price, "an order's price")?;
        above_zero(order.size, "an order's size")?;
        let left = (order.size - free).positive();
        free = (free - order.size).positive();
        sum = sum.plus(Exact::from(left).times(Exact::from(order.price.max(least))));
    }
    Ok(sum)
}

/// The stake that a market's liquidity providers together owe, rounded down:
/// `floor(M max_oi scaling max(rf_long, rf_short))`.
///
/// # Errors
/// [`VenueError::Overflow`] past 128 bits.
pub fn target_stake(
    mark: i128,
    open_interest_max: i128,
    scaling: Fixed,
    risk: RiskFactors,
) -> Result<i128, VenueError> {
    let factor = Exact::from(scaling).times(Exact::from(risk.long.max(risk.short)));
    let value = mark.checked_mul(open_interest_max);
    let stake = value.and_then(|value| factor.of_whole(value, Rounding::Down));
    stake.ok_or(VenueError::Overflow { what: "a target stake" })
}

/// The largest open interest recorded at an instant after `max(now - window, market_open)` and up to `now`; 0 where none
/// was. What was recorded before that instant and is merely still in force does not count. Instants are in any one unit.
///
/// ```
/// use plimsoll_margin::venue::vega::open_interest_max;
/// let minutes = [(231, 140), (237, 120), (272, 90), (272, 60), (273, 70), (292, 110)];
/// assert_eq!(open_interest_max(&minutes, 293, 60, 115), 120);
/// ```
pub fn open_interest_max(recorded: &[(i64, i128)], now: i64, window: i64, market_open: i64) -> i128 {
    let from = now.saturating_sub(window).max(market_open);
    let counted = recorded.iter().filter(|(at, _)| *at > from && *at <= now);
    counted.map(|(_, open)| *open).max().unwrap_or(0)
}

/// The terms of a perpetual's funding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FundingTerms {
    /// Length of the period, years.
    pub years: Fixed,
    /// Interest per year.
    pub interest: Fixed,
    /// Least of the interest term, as a share of the spot price.
    pub clamp_lower: Fixed,
    /// Most of it.
    pub clamp_upper: Fixed,
}

/// Funding that a long pays per unit over a period:
/// `f - s + min(upper s, max(lower s, (1 + dt interest) s - f))`, of the time-weighted futures and spot prices.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn funding_payment(futures: Fixed, spot: Fixed, terms: FundingTerms) -> Result<Fixed, VenueError> {
    let carried = (Fixed::ONE + terms.years * terms.interest) * spot - futures;
    let term = carried.max(terms.clamp_lower * spot).min(terms.clamp_upper * spot);
    settled(futures - spot + term, "a funding payment")
}

/// What funding adds to a margin: `funding_factor max(0, funding position)`.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn funding_margin(funding: Fixed, position: Fixed, funding_factor: Fixed) -> Result<Fixed, VenueError> {
    settled(funding_factor * (funding * position).positive(), "a margin for funding")
}

/// The price at which a position on its own is closed out:
/// `max(0, (collateral - v P - max(0, v funding)) / (lin |v| + quad v^2 + |v| rf - v))`, `P` the mark, `rf` of its side.
///
/// # Errors
/// [`VenueError::Domain`] without a position; [`VenueError::Overflow`], also where the divisor is 0 (margin and price
/// move alike).
pub fn liquidation_price(
    collateral: Fixed,
    (position, mark): (Fixed, Fixed),
    funding: Fixed,
    risk: RiskFactors,
    slippage: Slippage,
) -> Result<Fixed, VenueError> {
    let v = position;
    if v == Fixed::ZERO {
        return Err(VenueError::Domain {
            what: "a position",
            value: v.to_string(),
            expected: "other than 0",
        });
    }
    let factor = if v > Fixed::ZERO { risk.long } else { risk.short };
    let per_price = slippage.linear * v.abs() + slippage.quadratic * v * v + v.abs() * factor - v;
    let price = (collateral - v * mark - (v * funding).positive()) / per_price;
    settled(price.positive(), "a liquidation price")
}

/// A decimal, `mantissa / 10^scale`, exact; nothing where 128 bits do not suffice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Exact(Option<(i128, u32)>);

impl From<i128> for Exact {
    fn from(whole: i128) -> Self {
        Self(Some((whole, 0)))
    }
}

impl From<Fixed> for Exact {
    fn from(number: Fixed) -> Self {
        Self(number.known().map(|units| shortest(units, 18)))
    }
}

/// Without the trailing zeros of its decimals.
fn shortest(mut mantissa: i128, mut scale: u32) -> (i128, u32) {
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    (mantissa, scale)
}

impl Exact {
    fn plus(self, other: Self) -> Self {
        let sum = |(a, p): (i128, u32), (b, q): (i128, u32)| {
            let scale = p.max(q);
            let widen = |x: i128, from: u32| x.checked_mul(10_i128.checked_pow(scale - from)?);
            Some(shortest(widen(a, p)?.checked_add(widen(b, q)?)?, scale))
        };
        Self(self.0.zip(other.0).and_then(|(a, b)| sum(a, b)))
    }

    fn times(self, other: Self) -> Self {
        let product = |(a, p): (i128, u32), (b, q): (i128, u32)| Some(shortest(a.checked_mul(b)?, p + q));
        Self(self.0.zip(other.0).and_then(|(a, b)| product(a, b)))
    }

    fn positive(self) -> Self {
        Self(self.0.map(|(a, p)| if a > 0 { (a, p) } else { (0, 0) }))
    }

    fn max(self, other: Self) -> Self {
        let gap = self.plus(other.times(Self::from(-1)));
        Self(gap.0.and_then(|(gap, _)| if gap >= 0 { self.0 } else { other.0 }))
    }

    fn whole(self, rounding: Rounding) -> Option<i128> {
        self.of_whole(1, rounding)
    }

    /// `value x self + rest`, rounded once; the product has 256 bits where the rest is whole.
    fn of_whole_plus(self, value: i128, rest: Self, rounding: Rounding) -> Option<i128> {
        match rest.0? {
            (whole, 0) => self.of_whole(value, rounding)?.checked_add(whole),
            _ => self.times(Self::from(value)).plus(rest).whole(rounding),
        }
    }

    /// `value x self`, rounded once.
    fn of_whole(self, value: i128, rounding: Rounding) -> Option<i128> {
        let (mantissa, scale) = self.0?;
        mul_div_wide(mantissa, value, 10_i128.checked_pow(scale)?, rounding)
    }

    /// `self / divisor`, rounded once.
    fn over(self, divisor: i128, rounding: Rounding) -> Option<i128> {
        let (mantissa, scale) = self.0?;
        mul_div_wide(mantissa, 1, 10_i128.checked_pow(scale)?.checked_mul(divisor)?, rounding)
    }
}

impl Terms {
    fn market(&self, leg: &Leg<'_>) -> Result<&MarketTerms, VenueError> {
        let why = match leg.kind {
            LegKind::Perpetual | LegKind::Future { .. } => None,
            LegKind::Option { .. } => Some("it lists futures and perpetuals"),
            LegKind::Spot => Some("a margin account holds the settlement asset alone"),
        };
        if let Some(why) = why {
            return Err(leg.unsupported(METHOD, why));
        }
        let subject = || leg.underlying.asset.to_string();
        let missing = || VenueError::Missing { method: METHOD, what: "risk factors", subject: subject() };
        self.markets.of(&leg.underlying.asset).ok_or_else(missing)
    }

    /// The levels of one position, in ticks.
    fn levels(&self, leg: &Leg<'_>, ticks_per_unit: i64) -> Result<MarginLevels, VenueError> {
        let market = self.market(leg)?;
        let away = if leg.quantity > Fixed::ZERO { Rounding::Up } else { Rounding::Down };
        let position = leg.quantity.rounded(market.position_decimals, away);
        let mark = i128::from(leg.row.reference);
        let due = if leg.kind == LegKind::Perpetual { leg.of_lots(leg.row.funding_8h) } else { Fixed::ZERO };
        let margined = (market.funding_factor * due).positive();
        let held =
            maintenance_margin(market.risk, market.slippage, &Exposure::of(position), mark, Fixed::ZERO)?;
        let overflow = || VenueError::Overflow { what: "a margin for funding" };
        let funding = margined.ticks(ticks_per_unit, Rounding::Up).ok_or_else(overflow)?;
        margin_levels(held.checked_add(funding.0).ok_or_else(overflow)?, self.scaling)
    }
}

impl Method for Terms {
    /// Every position is a market of its own, with its own margin account: maintenance and initial level. Funding is
    /// what the position would pay over the next eight hours.
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let charge = |leg: &Leg<'_>| {
            let levels = self.levels(leg, book.arrays.ticks_per_unit)?;
            let (im, mm) = (book.money(Ticks(levels.initial)), book.money(Ticks(levels.maintenance)));
            Ok(Charge { code: "market_margin", asset: Some(leg.underlying.asset.clone()), im, mm })
        };
        book.legs.iter().map(charge).collect()
    }

    fn lint(&self) -> Vec<LintFinding> {
        let Scaling { search, initial, release } = self.scaling;
        let mut found = checks::all([
            checks::im_covers_mm("aggregation.scaling.initial", initial, Fixed::ONE),
            checks::im_covers_mm("aggregation.scaling.search", search, Fixed::ONE),
            checks::ordered("aggregation.scaling.search", search, initial),
            checks::ordered("aggregation.scaling.release", initial, release),
        ]);
        for (scope, market) in &self.markets.0 {
            let path = |field: &str| format!("aggregation.markets.{scope}.{field}");
            found.extend(checks::all([
                checks::share(&path("risk.long"), market.risk.long),
                checks::positive(&path("risk.long"), market.risk.long),
                checks::positive(&path("risk.short"), market.risk.short),
                checks::not_negative(&path("slippage.linear"), market.slippage.linear),
                checks::not_negative(&path("slippage.quadratic"), market.slippage.quadratic),
                checks::share(&path("funding_factor"), market.funding_factor),
            ]));
        }
        found
    }
}
