//! How much Drift liquidates, and what fees it takes.

use super::super::VenueError;
use super::super::integer::{above_zero, add, fits, mul, mul_div, not_below_zero, power_of_ten, sub};
use super::weights::{BASE_UNITS, PRICE_UNITS, WEIGHT_UNITS};

/// Fee units in one unit of a margin ratio.
const FEE_PER_RATIO: i128 = 100;
/// A share has four decimals.
const SHARE_UNITS: i128 = 10_000;
/// A shortage below this is liquidated at once, quote units: 50.
const SMALL_SHORTAGE: i128 = 50_000_000;
/// The fee does not rise for so many slots after the account was last active.
const GRACE_SLOTS: i128 = 1500;
/// The largest number of 32 bits: the venue's fees saturate there.
const MOST_FEE: i128 = 4_294_967_295;
/// Decimals of the quote.
const QUOTE_DECIMALS: u32 = 6;

/// How much may be liquidated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Limit {
    /// So many units.
    Units(i128),
    /// As much as there is: no amount covers the shortage.
    Unlimited,
}

/// Fees of a liquidation, 1e-6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LiquidationFees {
    /// The liquidator's.
    pub liquidator: i128,
    /// The insurance fund's; where it is computed, the most it may be.
    pub insurance: i128,
}

/// Base units (1e-9) to liquidate so that a shortage `x` (1e-6) is covered:
/// `x 1e9/(price quote_price/1e6 (100 ratio - fee)/1e6 - price if_fee/1e6)`, each division rounded down; without limit
/// when `100 ratio <= fee` or the price is 0.
///
/// ```
/// use plimsoll_margin::venue::drift::{LiquidationFees, Limit, base_to_cover};
/// let fees = LiquidationFees { liquidator: 10_000, insurance: 0 };
/// // 10 of shortage at 100, a ratio of 10 % and a fee of 1 %: 10/9 of a coin.
/// assert_eq!(base_to_cover(10_000_000, 1000, fees, 100_000_000, 1_000_000)?, Limit::Units(1_111_111_111));
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for negative inputs or when the fees leave nothing, [`VenueError::Overflow`].
pub fn base_to_cover(
    shortage: i128,
    ratio: i128,
    fees: LiquidationFees,
    price: i128,
    quote_price: i128,
) -> Result<Limit, VenueError> {
    let shortage = not_below_zero(shortage, "a margin shortage")?;
    let price = not_below_zero(price, "a price")?;
    let left = sub(mul(ratio, FEE_PER_RATIO, "a ratio")?, fees.liquidator, "a fee")?;
    if price == 0 || left <= 0 {
        return Ok(Limit::Unlimited);
    }
    let quoted = mul_div(price, not_below_zero(quote_price, "a quote price")?, PRICE_UNITS, "a price")?;
    let freed = mul_div(quoted, left, PRICE_UNITS, "the margin freed per coin")?;
    let insurance = mul_div(price, fees.insurance, PRICE_UNITS, "an insurance fee")?;
    let per_coin = above_zero(sub(freed, insurance, "the margin freed")?, "the margin freed per coin")?;
    mul_div(shortage, BASE_UNITS, per_coin, "a base amount").map(Limit::Units)
}

/// A liability and the asset that pays for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// Weight of the asset, 1e-4.
    pub asset_weight: i128,
    /// What the asset is taken at: 1 plus the fee, 1e-6.
    pub asset_multiplier: i128,
    /// Weight of the liability, 1e-4.
    pub liability_weight: i128,
    /// What the liability is taken at: 1 minus the fee, 1e-6.
    pub liability_multiplier: i128,
    /// Decimals of the liability.
    pub liability_decimals: u32,
    /// Price of the liability, 1e-6.
    pub liability_price: i128,
}

/// Tokens of the liability (`10^-dec`) to transfer so that a shortage `x` (1e-6) is covered: with
/// `bracket = 10 lw - 10 aw am/lm` and `component = price bracket - price if_fee/1e6 x 10 lw`,
/// `x 10^{dec-6} 1e6 1e4 10/component`, at least 1; without limit when `aw >= lw` or `bracket <= 0`.
///
/// # Errors
/// [`VenueError::Domain`] for a multiplier of 0 or when the fee leaves nothing, [`VenueError::Overflow`].
pub fn liability_to_cover(
    shortage: i128,
    exchange: &Exchange,
    insurance_fee: i128,
) -> Result<Limit, VenueError> {
    let shortage = not_below_zero(shortage, "a margin shortage")?;
    if exchange.asset_weight >= exchange.liability_weight {
        return Ok(Limit::Unlimited);
    }
    let tenfold = |weight: i128| mul(weight, 10, "a weight");
    let liability = tenfold(exchange.liability_weight)?;
    let multiplier = above_zero(exchange.liability_multiplier, "a liability multiplier")?;
    let asset = tenfold(exchange.asset_weight)?;
    let bracket =
        sub(liability, mul_div(asset, exchange.asset_multiplier, multiplier, "a weight")?, "a weight")?;
    if bracket <= 0 {
        return Ok(Limit::Unlimited);
    }
    let price = not_below_zero(exchange.liability_price, "a price")?;
    let fee = mul_div(price, insurance_fee, PRICE_UNITS, "an insurance fee")?;
    let taken = mul(fee, liability, "an insurance fee")?;
    let component = sub(mul(price, bracket, "a component")?, taken, "a component")?;
    let component = above_zero(component, "the margin freed per token")?;
    let gap = power_of_ten(exchange.liability_decimals.abs_diff(QUOTE_DECIMALS), "a token's decimals")?;
    let fine = exchange.liability_decimals > QUOTE_DECIMALS;
    let (up, down) = if fine { (gap, 1) } else { (1, gap) };
    let scale = mul(up, PRICE_UNITS * WEIGHT_UNITS * 10, "a scale")?;
    let transfer = mul_div(shortage, scale, component, "a transfer")? / down;
    Ok(Limit::Units(transfer.max(1)))
}

/// The insurance fund's fee on a perpetual, 1e-6:
/// `max(0, 100 ratio - fee - min(x 1e9/base 1e6/price, 2^32-1)) x 19/20`, at most `fees.insurance`; 0 when
/// `100 ratio <= fee`, without base or without a price. `price` is the oracle's times the quote's.
///
/// # Errors
/// [`VenueError::Domain`] for negative inputs, [`VenueError::Overflow`].
pub fn perp_insurance_fee(
    shortage: i128,
    base: i128,
    ratio: i128,
    fees: LiquidationFees,
    price: i128,
) -> Result<i128, VenueError> {
    let shortage = not_below_zero(shortage, "a margin shortage")?;
    let left = sub(mul(ratio, FEE_PER_RATIO, "a ratio")?, fees.liquidator, "a fee")?;
    if left <= 0 || base == 0 || price == 0 {
        return Ok(0);
    }
    let size = fits(base.checked_abs(), "a size")?;
    let per_coin = mul_div(shortage, BASE_UNITS, size, "a shortage per coin")?;
    let missing = mul_div(per_coin, PRICE_UNITS, above_zero(price, "a price")?, "a missing share")?;
    let implied = (left - missing.min(MOST_FEE)).max(0);
    Ok(mul_div(implied, 19, 20, "an insurance fee")?.min(fees.insurance))
}

/// The price of a perpetual in quote units, 1e-6: `oracle quote/1e6`, rounded down.
///
/// # Errors
/// [`VenueError::Domain`] for negative prices.
pub fn quoted_price(oracle: i128, quote: i128) -> Result<i128, VenueError> {
    let oracle = not_below_zero(oracle, "a price")?;
    mul_div(oracle, not_below_zero(quote, "a quote price")?, PRICE_UNITS, "a price")
}

/// The insurance fund's fee on a spot liability of `tokens`, 1e-6:
/// `max(0, 100 lw - 100 aw am/lm - x 1e6 10^dec/tokens/price) 1e6/(100 lw)`, at most `most`; 0 when `aw >= lw`, without
/// tokens, a price or a liability multiplier.
///
/// # Errors
/// [`VenueError::Domain`] for negative inputs, [`VenueError::Overflow`].
pub fn spot_insurance_fee(
    shortage: i128,
    tokens: i128,
    exchange: &Exchange,
    most: i128,
) -> Result<i128, VenueError> {
    let shortage = not_below_zero(shortage, "a margin shortage")?;
    let nothing = [tokens, exchange.liability_price, exchange.liability_multiplier].contains(&0);
    if nothing || exchange.asset_weight >= exchange.liability_weight {
        return Ok(0);
    }
    let finer = |weight: i128| mul(weight, FEE_PER_RATIO, "a weight");
    let liability = above_zero(finer(exchange.liability_weight)?, "a liability weight")?;
    let multiplier = above_zero(exchange.liability_multiplier, "a liability multiplier")?;
    let asset = mul_div(finer(exchange.asset_weight)?, exchange.asset_multiplier, multiplier, "a weight")?;
    let unit = power_of_ten(exchange.liability_decimals, "a token's decimals")?;
    let scale = mul(PRICE_UNITS, unit, "a scale")?;
    let per_token = mul_div(shortage, scale, above_zero(tokens, "a token amount")?, "a shortage per token")?;
    let missing = per_token / above_zero(exchange.liability_price, "a price")?;
    let implied = sub((liability - asset).max(0), missing, "an insurance fee")?.max(0);
    Ok(mul_div(implied, PRICE_UNITS, liability, "an insurance fee")?.min(most))
}

/// The liquidator's fee by how long the account has been inactive, 1e-6: `base` for fewer than 1500 slots, then
/// `min(most, base + elapsed)`.
///
/// # Errors
/// [`VenueError::Domain`] when `slot` is before `last_active`.
pub fn fee_by_slots(base: i128, most: i128, last_active: i128, slot: i128) -> Result<i128, VenueError> {
    let elapsed = not_below_zero(sub(slot, last_active, "elapsed slots")?, "elapsed slots")?;
    if elapsed < GRACE_SLOTS {
        return Ok(base);
    }
    Ok(add(base, elapsed, "a fee")?.min(most))
}

/// How fast an account is liquidated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// Slots since the account was last active.
    pub slots: i128,
    /// Slots in which everything may be liquidated; 0: at once.
    pub duration: i128,
    /// Share that may be liquidated at once, 1e-4.
    pub initial: i128,
}

/// The share of a position that may be liquidated now, 1e-4: all of it when the shortage is below 50; else, with
/// `p = min(1e4, slots 1e4/duration + initial)`, `max(0, (shortage + freed) p/1e4 - freed) 1e4/shortage`.
///
/// # Errors
/// [`VenueError::Domain`] for negative inputs, [`VenueError::Overflow`].
pub fn share_to_liquidate(shortage: i128, freed: i128, pace: Pace) -> Result<i128, VenueError> {
    let shortage = not_below_zero(shortage, "a margin shortage")?;
    if shortage < SMALL_SHORTAGE {
        return Ok(SHARE_UNITS);
    }
    let slots = not_below_zero(pace.slots, "elapsed slots")?;
    let elapsed = match not_below_zero(pace.duration, "a duration")? {
        0 => SHARE_UNITS,
        duration => mul_div(slots, SHARE_UNITS, duration, "a share of time")?,
    };
    let share = add(elapsed, pace.initial, "a share")?.min(SHARE_UNITS);
    let all = add(shortage, not_below_zero(freed, "margin freed")?, "a shortage")?;
    let due = sub(mul_div(all, share, SHARE_UNITS, "margin to free")?, freed, "margin to free")?.max(0);
    mul_div(due, SHARE_UNITS, shortage, "a share")
}

/// A liquidation's multiplier: `1e6 + fee` for the asset that is taken, `1e6 - fee` for the liability.
///
/// # Errors
/// [`VenueError::Domain`] when the fee is above 1.
pub fn liquidation_multiplier(fee: i128, premium: bool) -> Result<i128, VenueError> {
    let signed = if premium { fee } else { -fee };
    not_below_zero(add(PRICE_UNITS, signed, "a multiplier")?, "a multiplier")
}

/// The requirement with the buffer that a liquidation restores: `requirement + value buffer/1e4`; the venue's buffer is
/// 2 % (200) of the value of what is owed.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn buffered_requirement(requirement: i128, value: i128, buffer: i128) -> Result<i128, VenueError> {
    add(requirement, mul_div(value, buffer, WEIGHT_UNITS, "a buffer")?, "a requirement")
}
