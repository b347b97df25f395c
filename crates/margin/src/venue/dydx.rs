//! dYdX v4: initial margin that rises with open interest, and the prices of its liquidations, in the venue's integers.
//!
//! Amounts of a market are in quantums of `10^atomic` coins, money in quote quantums of 1e-6, fractions in ppm. Margins
//! round up, the notional toward zero, a bankruptcy price toward +infinity, and a fillable price is an exact fraction.
//! Source: dydxprotocol/v4-chain @ 84d4664b.
//!
//! An account of ours is converted once: quantities to quantums away from zero, prices and open interest up. The venue
//! takes one collateral, USDC, and lists perpetuals only.

use super::checks::{all, im_covers_mm, ordered, share};
use super::curves::ramp;
use super::integer::{
    above_zero, add, fits, millionths, mul, mul_div, mul_div_truncated, not_below_zero, power_of_ten, sub,
    units_away,
};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Fixed, Rounding, mul_div_wide};
use ruint::Uint;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

const METHOD: &str = "dydx";
/// Parts per million.
const PPM: i128 = 1_000_000;
/// Decimals of a quote quantum.
const QUOTE_DECIMALS: i32 = 6;

/// A liquidity tier: the margin of every market in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Base initial margin fraction, ppm.
    pub initial_ppm: u32,
    /// Maintenance margin as a fraction of the base initial margin, ppm.
    pub maintenance_fraction_ppm: u32,
    /// Open interest from which the initial fraction rises, quote quantums.
    pub open_interest_low: u64,
    /// Open interest at which it is 100 %, quote quantums; 0: it never rises.
    pub open_interest_high: u64,
}

/// How a market writes its prices and amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// A quantum is `10^atomic` coins.
    pub atomic: i32,
    /// A price of 1 is `10^exponent` of the quote.
    pub exponent: i32,
}

/// `q price 10^{atomic + exponent + 6}`, quote quantums with the sign of `q`, rounded toward zero.
///
/// ```
/// use plimsoll_margin::venue::dydx::{Scale, notional};
/// // 0.1 BTC at 50 000: 5000 of the quote.
/// let market = Scale { atomic: -8, exponent: -5 };
/// assert_eq!(notional(10_000_000, 5_000_000_000, market)?, 5_000_000_000);
/// assert_eq!(notional(-1, 199_999, market)?, 0);
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for a negative price, [`VenueError::Overflow`].
pub fn notional(quantums: i128, price: i128, scale: Scale) -> Result<i128, VenueError> {
    let price = not_below_zero(price, "a price")?;
    let power = fits(scale.atomic.checked_add(scale.exponent), "an exponent")?;
    let power = fits(power.checked_add(QUOTE_DECIMALS), "an exponent")?;
    if quantums == 0 || price == 0 {
        return Ok(0);
    }
    let factor = power_of_ten(power.unsigned_abs(), "a power of ten")?;
    if power < 0 {
        return mul_div_truncated(quantums, price, factor, "a notional");
    }
    mul(mul(quantums, price, "a notional")?, factor, "a notional")
}

/// The initial margin fraction at open interest `oi`, ppm: the base up to the band's lower end or without a band, 100 %
/// from its upper end, a straight line between, rounded down.
///
/// # Errors
/// [`VenueError::Domain`] for negative open interest.
pub fn initial_fraction_ppm(tier: &Tier, open_interest: i128) -> Result<i128, VenueError> {
    let oi = not_below_zero(open_interest, "open interest")?;
    let base = i128::from(tier.initial_ppm);
    let (low, high) = (i128::from(tier.open_interest_low), i128::from(tier.open_interest_high));
    if high == 0 || oi <= low {
        return Ok(base);
    }
    if oi >= high {
        return Ok(PPM);
    }
    fits(ramp(oi, (low, base), (high, PPM)), "the open-interest curve")
}

/// `|amount| fraction/1e6`, rounded up.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn ceil_ppm(amount: i128, fraction: i128) -> Result<i128, VenueError> {
    let size = fits(amount.checked_abs(), "an amount")?;
    fits(mul_div_wide(size, fraction, PPM, Rounding::Up), "a margin")
}

/// The initial margin of a notional, quote quantums: `ceil_ppm(|notional|, max(fraction, own))`, with `own` the
/// account's own fraction, 0 where it has none.
///
/// # Errors
/// As [`initial_fraction_ppm`].
pub fn initial_margin(
    tier: &Tier,
    notional: i128,
    open_interest: i128,
    own: u32,
) -> Result<i128, VenueError> {
    ceil_ppm(notional, initial_fraction_ppm(tier, open_interest)?.max(i128::from(own)))
}

/// The maintenance margin of a notional, quote quantums: `ceil_ppm(ceil_ppm(|notional|, base), maintenance_fraction)`.
/// It uses the base fraction and does not move with open interest.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn maintenance_margin(tier: &Tier, notional: i128) -> Result<i128, VenueError> {
    ceil_ppm(ceil_ppm(notional, i128::from(tier.initial_ppm))?, i128::from(tier.maintenance_fraction_ppm))
}

/// A market with its price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Market {
    /// Its tier.
    pub tier: Tier,
    /// Its units.
    pub scale: Scale,
    /// Price in its own exponent.
    pub price: i128,
}

/// A position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Holding {
    /// Quantums; long > 0.
    pub quantums: i128,
    /// In what.
    pub market: Market,
}

impl Holding {
    fn notional(&self) -> Result<i128, VenueError> {
        notional(self.quantums, self.market.price, self.market.scale)
    }

    fn maintenance(&self) -> Result<i128, VenueError> {
        maintenance_margin(&self.market.tier, self.notional()?)
    }

    fn with(&self, quantums: i128) -> Self {
        Self { quantums, market: self.market }
    }
}

/// An account's collateral and maintenance margin, quote quantums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Total net collateral `N`: the quote balance and the notionals.
    pub collateral: i128,
    /// Total maintenance margin `M`.
    pub maintenance: i128,
}

impl Standing {
    /// Of a quote balance and positions.
    ///
    /// # Errors
    /// [`VenueError::Overflow`].
    pub fn of(quote: i128, holdings: &[Holding]) -> Result<Self, VenueError> {
        let mut standing = Self { collateral: quote, maintenance: 0 };
        for holding in holdings {
            standing.collateral = add(standing.collateral, holding.notional()?, "net collateral")?;
            standing.maintenance = add(standing.maintenance, holding.maintenance()?, "maintenance margin")?;
        }
        Ok(standing)
    }

    /// Liquidatable iff `N < M`; without maintenance margin never.
    pub fn is_liquidatable(&self) -> bool {
        self.maintenance > 0 && self.collateral < self.maintenance
    }
}

/// 512 bits: products of four numbers of the venue.
type Wide = Uint<512, 8>;

/// An exact fraction in lowest terms, with a positive denominator; 0 is `0/1`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fraction {
    negative: bool,
    numerator: Wide,
    denominator: Wide,
}

impl Fraction {
    /// `numerator/denominator`, of which the sizes are given.
    fn new(negative: bool, numerator: Wide, denominator: Wide) -> Self {
        let common = numerator.gcd(denominator);
        if numerator.is_zero() || common.is_zero() {
            return Self { negative: false, numerator: Wide::ZERO, denominator: Wide::ONE };
        }
        Self { negative, numerator: numerator / common, denominator: denominator / common }
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        f.pad(&format!("{sign}{}/{}", self.numerator, self.denominator))
    }
}

/// How far from the oracle an account's positions are sold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillableTerms {
    /// `ba`: how fast the price moves to bankruptcy, ppm; at least 1.
    pub bankruptcy_adjustment_ppm: u32,
    /// `smmr`: the spread at bankruptcy as a fraction of the maintenance margin, ppm.
    pub spread_to_maintenance_ppm: u32,
}

/// The fillable price of a position in an account, quote quantums per quantum, exactly:
/// `(notional - abr smmr MMR)/q` with `abr = clamp((1 - N/M) ba, 0, 1)`.
///
/// ```
/// use plimsoll_margin::venue::dydx::{
///     FillableTerms, Holding, Market, Scale, Standing, Tier, fillable_price,
/// };
/// let tier = Tier {
///     initial_ppm: 200_000,
///     maintenance_fraction_ppm: 500_000,
///     open_interest_low: 0,
///     open_interest_high: 0,
/// };
/// let market = Market { tier, scale: Scale { atomic: -8, exponent: -5 }, price: 5_000_000_000 };
/// let long = Holding { quantums: 10_000_000, market };
/// let account = Standing::of(-4_501_000_000, &[long])?;
/// let terms = FillableTerms { bankruptcy_adjustment_ppm: 2_000_000, spread_to_maintenance_ppm: 100_000 };
/// assert_eq!(fillable_price(&long, account, terms)?.to_string(), "24999/50");
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for no position, an account without maintenance margin or positions beyond the range.
pub fn fillable_price(
    holding: &Holding,
    account: Standing,
    terms: FillableTerms,
) -> Result<Fraction, VenueError> {
    if holding.quantums == 0 {
        let value = "0".to_owned();
        return Err(VenueError::Domain { what: "a position", value, expected: "a long or a short" });
    }
    let maintenance = above_zero(account.maintenance, "total maintenance margin")?;
    let wide = |x: i128| Wide::from(x.unsigned_abs());
    // abr = share/whole, with share between 0 and whole; ba is 32 bits.
    let whole = wide(maintenance) * wide(PPM);
    let short_by = sub(maintenance, account.collateral, "a shortage")?.max(0);
    let share = (wide(short_by) * Wide::from(terms.bankruptcy_adjustment_ppm)).min(whole);
    let notional = holding.notional()?;
    let spread = share * Wide::from(terms.spread_to_maintenance_ppm) * wide(holding.maintenance()?);
    let under = whole * wide(PPM);
    let value = wide(notional) * under;
    // notional has the sign of q: the price is |notional| -/+ spread over |q|, lower for a long, higher for a short.
    let (negative, numerator) = match holding.quantums {
        q if q < 0 => (false, value + spread),
        _ if value >= spread => (false, value - spread),
        _ => (true, spread - value),
    };
    Ok(Fraction::new(negative, numerator, under * wide(holding.quantums)))
}

/// The bankruptcy price of a change `d` of a position, quote quantums paid for all of it (negative: received for a
/// short): `-(notional(q + d) - notional(q)) - floor(N |MMR(q + d) - MMR(q)|/M)`, so rounded toward +infinity.
///
/// # Errors
/// [`VenueError::Domain`] for a change that does not reduce the position, or an account without maintenance margin.
pub fn bankruptcy_price(holding: &Holding, change: i128, account: Standing) -> Result<i128, VenueError> {
    let quantums = holding.quantums;
    let reduces =
        change != 0 && (change < 0) != (quantums < 0) && change.unsigned_abs() <= quantums.unsigned_abs();
    if !reduces {
        let value = format!("{change} of {quantums}");
        return Err(VenueError::Domain {
            what: "a change",
            value,
            expected: "one that reduces the position",
        });
    }
    let maintenance = above_zero(account.maintenance, "total maintenance margin")?;
    let after = holding.with(add(quantums, change, "a position")?);
    let moved = sub(after.notional()?, holding.notional()?, "a notional")?;
    let freed = sub(after.maintenance()?, holding.maintenance()?, "a margin")?.abs();
    let part = mul_div(account.collateral, freed, maintenance, "a share of collateral")?;
    sub(fits(moved.checked_neg(), "a notional")?, part, "a bankruptcy price")
}

/// What one block may liquidate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockLimits {
    /// Share of a position, ppm.
    pub position_ppm: u32,
    /// Notional of an account, quote quantums.
    pub notional: u64,
    /// Loss of the insurance fund on an account, quote quantums.
    pub insurance: u64,
    /// Largest fee of a liquidation, ppm of what is traded.
    pub fee_ppm: u32,
}

/// A perpetual market of the preset.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarketTerms {
    /// Name of its tier.
    pub tier: String,
    /// Its units.
    pub scale: Scale,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The account's own initial margin fraction, ppm; 0: none.
    pub own_initial_ppm: u32,
    /// Tiers by name.
    pub tiers: BTreeMap<String, Tier>,
    /// Markets by underlying.
    pub markets: ByAsset<MarketTerms>,
    /// How liquidations are priced.
    pub fillable: FillableTerms,
    /// How much of them a block takes.
    pub block: BlockLimits,
}

impl Terms {
    fn market(&self, leg: &Leg<'_>) -> Result<(&Tier, Scale), VenueError> {
        let base = &leg.underlying.asset;
        let missing = |what| VenueError::Missing { method: METHOD, what, subject: base.to_string() };
        let market = self.markets.of(base).ok_or_else(|| missing("perpetual market"))?;
        let tier = self.tiers.get(&market.tier).ok_or_else(|| missing("liquidity tier"))?;
        Ok((tier, market.scale))
    }

    fn leg(&self, book: &VenueBook<'_>, leg: &Leg<'_>) -> Result<Charge, VenueError> {
        if leg.kind != LegKind::Perpetual {
            let instrument = Box::new(leg.row.instrument.clone());
            let why = "it lists perpetuals only";
            return Err(VenueError::Unsupported { method: METHOD, instrument, why });
        }
        let (tier, scale) = self.market(leg)?;
        let quantums = units_at(leg.quantity, scale.atomic, "a position")?;
        let price = units_at(leg.index, scale.exponent, "a price")?;
        let value = notional(quantums, price, scale)?;
        // Without a band the initial fraction does not depend on open interest.
        let open_interest = if tier.open_interest_high == 0 { 0 } else { open_interest(book, leg)? };
        Ok(Charge {
            code: "margin_requirement",
            asset: Some(leg.underlying.asset.clone()),
            im: millionths(initial_margin(tier, value, open_interest, self.own_initial_ppm)?),
            mm: millionths(maintenance_margin(tier, value)?),
        })
    }
}

/// The size of an amount of ours in units of `10^decimals`, rounded up.
fn units_at(amount: Fixed, decimals: i32, what: &'static str) -> Result<i128, VenueError> {
    let power = power_of_ten(decimals.unsigned_abs(), "a power of ten")?;
    if decimals <= 0 {
        return units_away(amount, power, what);
    }
    let units = amount.abs().scaled(1, power, Rounding::Up);
    units_away(units, 1, what)
}

/// Open interest of a perpetual, quote quantums, rounded up.
fn open_interest(book: &VenueBook<'_>, leg: &Leg<'_>) -> Result<i128, VenueError> {
    let subject = || leg.row.instrument.to_string();
    let missing = || VenueError::Missing { method: METHOD, what: "open interest", subject: subject() };
    let ticks = leg.row.open_interest.ok_or_else(missing)?;
    units_away(book.money(ticks), PPM, "open interest")
}

impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        book.legs.iter().map(|leg| self.leg(book, leg)).collect()
    }

    fn lint(&self) -> Vec<LintFinding> {
        self.tiers.iter().flat_map(|(name, tier)| lint_tier(name, tier)).collect()
    }
}

fn lint_tier(name: &str, tier: &Tier) -> Vec<LintFinding> {
    let at = |field: &str| format!("margin.aggregation.tiers.{name}.{field}");
    let ppm = |part: u32| Fixed::ratio(i128::from(part), PPM);
    let (initial, fraction) = (ppm(tier.initial_ppm), ppm(tier.maintenance_fraction_ppm));
    let whole = |quantums: u64| Fixed::ratio(i128::from(quantums), PPM);
    let band = ordered(&at("open_interest"), whole(tier.open_interest_low), whole(tier.open_interest_high));
    all([
        share(&at("initial_ppm"), initial),
        share(&at("maintenance_fraction_ppm"), fraction),
        im_covers_mm(&at("maintenance_fraction_ppm"), initial, initial * fraction),
        band.filter(|_| tier.open_interest_high != 0),
    ])
}
