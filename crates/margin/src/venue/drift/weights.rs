//! Drift's ratios of perpetuals and weights of spot balances.

use super::super::VenueError;
use super::super::curves::{size_discount, size_premium};
use super::super::integer::{
    above_zero, add, fits, mul, mul_div, mul_div_truncated, not_below_zero, power_of_ten, sub,
};
use serde::{Deserialize, Serialize};

/// Prices, quote amounts, size factors, fees and percentages: so many units are 1.
pub const PRICE_UNITS: i128 = 1_000_000;
/// Base amounts of perpetuals: so many units are one coin.
pub const BASE_UNITS: i128 = 1_000_000_000;
/// Margin ratios and weights: so many units are 1.
pub const WEIGHT_UNITS: i128 = 10_000;
/// Decimals of [`BASE_UNITS`].
const BASE_DECIMALS: u32 = 9;
/// Decimals of the quote.
const QUOTE_DECIMALS: u32 = 6;
/// What every open order adds to the requirement, quote units: a cent.
const OPEN_ORDER: i128 = 10_000;

/// Which requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarginType {
    /// To take on risk.
    Initial,
    /// To be filled: halfway between.
    Fill,
    /// To keep it.
    Maintenance,
}

impl MarginType {
    /// The number of the type: `initial`, `maintenance`, or the floor of their mean.
    fn of(self, initial: i128, maintenance: i128) -> Result<i128, VenueError> {
        match self {
            Self::Initial => Ok(initial),
            Self::Maintenance => Ok(maintenance),
            Self::Fill => Ok(add(initial, maintenance, "a mean of two weights")?.div_euclid(2)),
        }
    }
}

/// Ratios of a market for accounts in high-leverage mode; in effect only when both are above 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HighLeverage {
    /// Initial, in 1e-4.
    pub initial: u32,
    /// Maintenance, in 1e-4.
    pub maintenance: u32,
}

/// What margins a perpetual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerpRatios {
    /// Initial ratio, in 1e-4.
    pub initial: u32,
    /// Maintenance ratio, in 1e-4.
    pub maintenance: u32,
    /// Size factor, in 1e-6 per root of a coin; 0: none.
    pub imf: u32,
    /// Ratios of high-leverage mode; `None`: the market has none.
    pub high_leverage: Option<HighLeverage>,
    /// Whether the market is being settled: no requirement on size.
    pub settlement: bool,
}

/// The ratio of a perpetual position of `size` base units (1e-9), in 1e-4:
/// `max(base, premium(size, imf, base))` with `base` by type, 0 in settlement.
///
/// In high-leverage mode, for Initial and Fill, with `pre` the ordinary ratio of that type, `adj` its premium without
/// its lower bound and `d` the high-leverage ratio: `adj < pre`: `max(max(pre - d, 0), 1) f/1e6 + d` with
/// `f = max(0, 1e6 - (pre - adj) 1e6/(pre/5))`; `adj = pre`: `d`; `adj > pre`: `adj`. Source: drift-labs/protocol-v2 @
/// 0ae3e3b1, `get_margin_ratio`.
///
/// ```
/// use plimsoll_margin::venue::drift::{MarginType, PerpRatios, perp_margin_ratio};
/// let market =
///     PerpRatios { initial: 1000, maintenance: 500, imf: 1000, high_leverage: None, settlement: false };
/// assert_eq!(perp_margin_ratio(&market, 1_000_000_000, MarginType::Initial, false)?, 1000);
/// assert_eq!(perp_margin_ratio(&market, 1_000_000_000_000, MarginType::Maintenance, false)?, 716);
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for a negative size, [`VenueError::Overflow`] for one that does not fit.
pub fn perp_margin_ratio(
    market: &PerpRatios,
    size: i128,
    kind: MarginType,
    high_leverage: bool,
) -> Result<i128, VenueError> {
    let size = not_below_zero(size, "a size")?;
    if market.settlement {
        return Ok(0);
    }
    let ordinary = kind.of(i128::from(market.initial), i128::from(market.maintenance))?;
    let in_effect = |h: &HighLeverage| high_leverage && h.initial > 0 && h.maintenance > 0;
    match market.high_leverage.filter(in_effect) {
        None => bounded_premium(size, market.imf, ordinary),
        Some(lifted) => {
            let base = kind.of(i128::from(lifted.initial), i128::from(lifted.maintenance))?;
            match kind {
                MarginType::Maintenance => bounded_premium(size, market.imf, base),
                MarginType::Initial | MarginType::Fill => high_leverage_ratio(
                    ordinary,
                    fits(size_premium(size, i128::from(market.imf), ordinary), "a size premium")?,
                    base,
                ),
            }
        }
    }
}

fn bounded_premium(size: i128, imf: u32, weight: i128) -> Result<i128, VenueError> {
    let premium = fits(size_premium(size, i128::from(imf), weight), "a size premium")?;
    Ok(premium.max(weight))
}

/// The ratio of high-leverage mode from the ordinary ratio, its premium and the high-leverage ratio.
fn high_leverage_ratio(pre: i128, adjusted: i128, lifted: i128) -> Result<i128, VenueError> {
    if adjusted >= pre {
        return Ok(if adjusted == pre { lifted } else { adjusted });
    }
    let fifth = above_zero(pre / 5, "a fifth of a ratio")?;
    let share = (PRICE_UNITS - mul_div(pre - adjusted, PRICE_UNITS, fifth, "a share")?).max(0);
    let gap = (pre - lifted).max(1);
    add(mul_div(gap, share, PRICE_UNITS, "a ratio")?, lifted, "a ratio")
}

/// The requirement of a perpetual position, quote units (1e-6): `|base| price/1e9 x quote_price/1e6 x ratio/1e4`, each
/// division rounded down. `base` in 1e-9, prices in 1e-6; a quote asset at par has `quote_price` 1e6, one that left it
/// its strict maximum.
///
/// # Errors
/// [`VenueError::Domain`] for a negative price, [`VenueError::Overflow`] for what does not fit.
pub fn perp_requirement(base: i128, price: i128, quote_price: i128, ratio: i128) -> Result<i128, VenueError> {
    let value = perp_value(base, price, quote_price)?;
    mul_div(value, ratio, WEIGHT_UNITS, "a requirement")
}

/// The value of a perpetual position, quote units: `|base| price/1e9 x quote_price/1e6`.
///
/// # Errors
/// As [`perp_requirement`].
pub fn perp_value(base: i128, price: i128, quote_price: i128) -> Result<i128, VenueError> {
    let size = fits(base.checked_abs(), "a size")?;
    let value = mul_div(size, not_below_zero(price, "a price")?, BASE_UNITS, "a value")?;
    mul_div(value, not_below_zero(quote_price, "a quote price")?, PRICE_UNITS, "a value")
}

/// The ratio with the account's own: `max(ratio, own)`, for [`MarginType::Initial`] only.
pub fn own_ratio(ratio: i128, own: u32, kind: MarginType) -> i128 {
    if kind == MarginType::Initial { ratio.max(i128::from(own)) } else { ratio }
}

/// The liability weight with the account's own ratio: `max(weight, 1e4 + own)`, for [`MarginType::Initial`] only.
pub fn own_liability_weight(weight: i128, own: u32, kind: MarginType) -> i128 {
    let asked = own != 0 && kind == MarginType::Initial;
    if asked { weight.max(WEIGHT_UNITS + i128::from(own)) } else { weight }
}

/// The asset weight with the account's own ratio: `min(weight, max(0, 1e4 - own))`, for [`MarginType::Initial`] only.
/// Source: drift-labs/protocol-v2, test `user_custom_margin_ratio`: at a ratio of 50 %, 10 000 of value count 5 000.
pub fn own_asset_weight(weight: i128, own: u32, kind: MarginType) -> i128 {
    let asked = own != 0 && kind == MarginType::Initial;
    if asked { weight.min((WEIGHT_UNITS - i128::from(own)).max(0)) } else { weight }
}

/// What weighs a spot balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotWeights {
    /// Initial asset weight, in 1e-4.
    pub asset_initial: u32,
    /// Maintenance asset weight, in 1e-4.
    pub asset_maintenance: u32,
    /// Initial liability weight, in 1e-4.
    pub liability_initial: u32,
    /// Maintenance liability weight, in 1e-4.
    pub liability_maintenance: u32,
    /// Decimals of the token.
    pub decimals: u32,
    /// Size factor, in 1e-6 per root of a coin; 0: none.
    pub imf: u32,
}

/// A size of tokens in 1e-9: `size/(10^dec/1e9)` with more than nine decimals, else `size 1e9/10^dec`.
fn base_size(size: i128, decimals: u32) -> Result<i128, VenueError> {
    let size = not_below_zero(size, "a size")?;
    let gap = power_of_ten(decimals.abs_diff(BASE_DECIMALS), "a token's decimals")?;
    if decimals > BASE_DECIMALS { Ok(size / gap) } else { mul(size, gap, "a size") }
}

/// The asset weight of a balance of `size` tokens (`10^-dec`), in 1e-4: the weight of the type, `initial` for Initial,
/// the mean for Fill, and not above the size discount. `initial` is the market's, scaled by
/// [`scaled_initial_asset_weight`] where it is.
///
/// # Errors
/// [`VenueError::Domain`] for a negative size, [`VenueError::Overflow`] for one that does not fit.
pub fn spot_asset_weight(
    market: &SpotWeights,
    initial: i128,
    size: i128,
    kind: MarginType,
) -> Result<i128, VenueError> {
    let weight = kind.of(initial, i128::from(market.asset_maintenance))?;
    let size = base_size(size, market.decimals)?;
    let discount = fits(size_discount(size, i128::from(market.imf), weight), "a size discount")?;
    Ok(discount.min(weight))
}

/// The liability weight of a debt of `size` tokens (`10^-dec`), in 1e-4: the weight of the type and not below the size
/// premium.
///
/// # Errors
/// As [`spot_asset_weight`].
pub fn spot_liability_weight(market: &SpotWeights, size: i128, kind: MarginType) -> Result<i128, VenueError> {
    let weight = kind.of(i128::from(market.liability_initial), i128::from(market.liability_maintenance))?;
    bounded_premium(base_size(size, market.decimals)?, market.imf, weight)
}

/// The initial asset weight of a market with deposits worth `deposits` quote units: `initial` below `start`, else
/// `initial start/deposits`; `start` 0 does not scale.
///
/// # Errors
/// [`VenueError::Domain`] for negative deposits.
pub fn scaled_initial_asset_weight(initial: u32, start: i128, deposits: i128) -> Result<i128, VenueError> {
    let deposits = not_below_zero(deposits, "the value of all deposits")?;
    let initial = i128::from(initial);
    if start == 0 || deposits < start {
        return Ok(initial);
    }
    mul_div(initial, start, deposits, "a scaled weight")
}

/// The weight of unrealised profit for Initial, in 1e-4: the size discount of `pnl x 1000` (1e-6 to 1e-9); 1 for a
/// loss or nothing.
///
/// # Errors
/// [`VenueError::Overflow`] for a profit that does not fit.
pub fn unrealised_pnl_weight(initial: u32, imf: u32, pnl: i128) -> Result<i128, VenueError> {
    if pnl <= 0 {
        return Ok(WEIGHT_UNITS);
    }
    let size = mul(pnl, 1000, "a profit")?;
    fits(size_discount(size, i128::from(imf), i128::from(initial)), "a size discount")
}

/// The price that counts and the one that is owed: under strict pricing the lower and the higher of the oracle and its
/// five-minute average, 1e-6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StrictPrice {
    /// For deposits and profits.
    pub low: i128,
    /// For debts and losses.
    pub high: i128,
}

impl StrictPrice {
    /// Of an oracle price and its five-minute average.
    pub fn strict(oracle: i128, average: i128) -> Self {
        Self { low: oracle.min(average), high: oracle.max(average) }
    }

    /// Of an oracle price alone.
    pub fn plain(oracle: i128) -> Self {
        Self { low: oracle, high: oracle }
    }
}

/// The value of an amount of tokens (`10^-dec`), quote units: rounded down, so that a debt is rounded against its owner.
///
/// # Errors
/// [`VenueError::Overflow`] for what does not fit.
pub fn token_value(amount: i128, decimals: u32, price: StrictPrice) -> Result<i128, VenueError> {
    let price = if amount > 0 { price.low } else { price.high };
    mul_div(amount, price, power_of_ten(decimals, "a token's decimals")?, "a value")
}

/// What a balance of the quote asset counts for and requires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuoteBalance {
    /// Collateral, quote units.
    pub collateral: i128,
    /// Requirement, quote units.
    pub requirement: i128,
}

/// A balance of the quote asset, quote units: a deposit is collateral at the lower price and requires nothing, a debt
/// requires its value at the higher one. Both weights are 1.
///
/// # Errors
/// [`VenueError::Overflow`] for what does not fit.
pub fn quote_balance(amount: i128, price: StrictPrice) -> Result<QuoteBalance, VenueError> {
    let value = token_value(amount, QUOTE_DECIMALS, price)?;
    Ok(QuoteBalance { collateral: value.max(0), requirement: fits(value.min(0).checked_neg(), "a debt")? })
}

/// The requirement of several liabilities, each a value in quote units with its ratio or weight in 1e-4:
/// `sum floor(value ratio/1e4)`.
///
/// # Errors
/// [`VenueError::Overflow`] for what does not fit.
pub fn requirement_of(liabilities: &[(i128, i128)]) -> Result<i128, VenueError> {
    let one = |(value, ratio): &(i128, i128)| mul_div(*value, *ratio, WEIGHT_UNITS, "a requirement");
    liabilities.iter().try_fold(0, |sum, liability| add(sum, one(liability)?, "a requirement"))
}

/// A spot balance with its open orders.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpotBalance {
    /// Tokens held; negative is owed.
    pub amount: i128,
    /// Tokens that bids would buy; 0 or more.
    pub bids: i128,
    /// Tokens that asks would sell, as a negative number; 0 or less.
    pub asks: i128,
    /// How many orders are open.
    pub orders: u32,
}

/// A spot balance after the fills that hurt most.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpotFill {
    /// Tokens after the fills.
    pub amount: i128,
    /// Quote units that the fills pay (negative) or bring.
    pub orders_value: i128,
    /// Value of the tokens after the fills.
    pub value: i128,
    /// Its weighted value.
    pub weighted: i128,
    /// `weighted + orders_value`.
    pub free_collateral: i128,
    /// What the open orders themselves require.
    pub open_orders: i128,
}

/// The worst of no change, all bids filled and all asks filled: the one with the least free collateral, asks before bids
/// before no change where they are equal.
///
/// # Errors
/// As [`spot_asset_weight`].
pub fn worst_fill(
    market: &SpotWeights,
    initial: i128,
    balance: SpotBalance,
    price: StrictPrice,
    kind: MarginType,
) -> Result<SpotFill, VenueError> {
    let open_orders = mul(i128::from(balance.orders), OPEN_ORDER, "a requirement of orders")?;
    let value = token_value(balance.amount, market.decimals, price)?;
    let after = |filled: i128| -> Result<SpotFill, VenueError> {
        let high = StrictPrice::plain(price.high);
        let orders_value = token_value(-filled, market.decimals, high)?;
        let amount = add(balance.amount, filled, "an amount")?;
        let value = sub(value, orders_value, "a value")?;
        let weighted = weighted_value(market, initial, amount, value, kind)?;
        let free_collateral = add(weighted, orders_value, "free collateral")?;
        Ok(SpotFill { amount, orders_value, value, weighted, free_collateral, open_orders })
    };
    let cases = [after(balance.asks)?, after(balance.bids)?, after(0)?];
    let [asks, others @ ..] = cases;
    let worse = |a: SpotFill, b: SpotFill| if b.free_collateral < a.free_collateral { b } else { a };
    Ok(others.into_iter().fold(asks, worse))
}

/// The value of a balance times its weight, rounded toward zero.
fn weighted_value(
    market: &SpotWeights,
    initial: i128,
    amount: i128,
    value: i128,
    kind: MarginType,
) -> Result<i128, VenueError> {
    let size = fits(amount.checked_abs(), "a size")?;
    let weight = match value {
        0 => return Ok(0),
        1.. => spot_asset_weight(market, initial, size, kind)?,
        _ => spot_liability_weight(market, size, kind)?,
    };
    mul_div_truncated(value, weight, WEIGHT_UNITS, "a weighted value")
}
