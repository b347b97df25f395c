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
use super::integer::{fits, millionths, not_below_zero, power_of_ten, units_away};
use super::{Charge, Fraction, Leg, LegKind, Method, VenueBook, VenueError, Whole};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Fixed, Rounding};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// `q price 10^{atomic + exponent + 6}`, quote quantums with the sign of `q`, rounded toward zero. The venue's numbers
/// have no width: neither have ours.
///
/// ```
/// use plimsoll_margin::venue::dydx::{Scale, notional};
/// // 0.1 BTC at 50 000: 5000 of the quote.
/// let market = Scale { atomic: -8, exponent: -5 };
/// assert_eq!(notional(10_000_000, 5_000_000_000, market)?.known(), Some(5_000_000_000));
/// assert_eq!(notional(-1, 999, Scale { atomic: -8, exponent: -1 })?.known(), Some(0));
/// # Ok::<(), plimsoll_margin::venue::VenueError>(())
/// ```
///
/// # Errors
/// [`VenueError::Domain`] for a negative price, [`VenueError::Overflow`].
pub fn notional(quantums: i128, price: i128, scale: Scale) -> Result<Whole, VenueError> {
    let what = "a notional";
    let power = fits(scale.atomic.checked_add(scale.exponent), what)?;
    let power = fits(power.checked_add(QUOTE_DECIMALS), what)?;
    let product = Whole::from(quantums).times(not_below_zero(price, "a price")?.into(), what)?;
    let factor = Whole::power_of_ten(power.unsigned_abs(), what)?;
    if power < 0 { product.over(factor, what) } else { product.times(factor, what) }
}

/// The initial margin fraction at open interest `oi`, quote quantums, in ppm: the base up to the band's lower end or
/// without a band, 100 % from its upper end, a straight line between, rounded down.
///
/// # Errors
/// [`VenueError::Domain`] for negative open interest.
pub fn initial_fraction_ppm(tier: &Tier, open_interest: impl Into<Whole>) -> Result<i128, VenueError> {
    let oi: Whole = open_interest.into();
    if oi.is_negative() {
        let value = oi.to_string();
        return Err(VenueError::Domain { what: "open interest", value, expected: "0 or more" });
    }
    let base = i128::from(tier.initial_ppm);
    let (low, high) = (i128::from(tier.open_interest_low), i128::from(tier.open_interest_high));
    if high == 0 || oi <= low.into() {
        return Ok(base);
    }
    if oi >= high.into() {
        return Ok(PPM);
    }
    fits(ramp(oi.narrow("open interest")?, (low, base), (high, PPM)), "the open-interest curve")
}

/// `|amount| fraction/1e6`, rounded up.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn ceil_ppm(amount: impl Into<Whole>, fraction: i128) -> Result<Whole, VenueError> {
    let amount: Whole = amount.into();
    amount.abs().times(fraction.into(), "a margin")?.over_ceil(PPM.into(), "a margin")
}

/// The initial margin of a notional, quote quantums: `ceil_ppm(|notional|, max(fraction, own))`, with `own` the
/// account's own fraction in ppm, 0 where it has none.
///
/// # Errors
/// As [`initial_fraction_ppm`].
pub fn initial_margin(
    tier: &Tier,
    notional: impl Into<Whole>,
    open_interest: impl Into<Whole>,
    own: u32,
) -> Result<Whole, VenueError> {
    ceil_ppm(notional, initial_fraction_ppm(tier, open_interest)?.max(i128::from(own)))
}

/// The maintenance margin of a notional, quote quantums: `ceil_ppm(ceil_ppm(|notional|, base), maintenance_fraction)`.
/// It uses the base fraction and does not move with open interest.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn maintenance_margin(tier: &Tier, notional: impl Into<Whole>) -> Result<Whole, VenueError> {
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
    fn notional(&self) -> Result<Whole, VenueError> {
        notional(self.quantums, self.market.price, self.market.scale)
    }

    fn maintenance(&self) -> Result<Whole, VenueError> {
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
    pub collateral: Whole,
    /// Total maintenance margin `M`; 0 or more.
    pub maintenance: Whole,
}

impl Standing {
    /// Of a quote balance and positions.
    ///
    /// # Errors
    /// [`VenueError::Overflow`].
    pub fn of(quote: i128, holdings: &[Holding]) -> Result<Self, VenueError> {
        let mut standing = Self { collateral: quote.into(), maintenance: Whole::ZERO };
        for holding in holdings {
            standing.collateral = standing.collateral.plus(holding.notional()?, "net collateral")?;
            standing.maintenance = standing.maintenance.plus(holding.maintenance()?, "a margin")?;
        }
        Ok(standing)
    }

    /// Liquidatable iff `N < M`; without maintenance margin never.
    pub fn is_liquidatable(&self) -> bool {
        self.maintenance > Whole::ZERO && self.collateral < self.maintenance
    }

    /// The maintenance margin, of an account that has some.
    fn divisor(&self) -> Result<Whole, VenueError> {
        let value = self.maintenance.to_string();
        let none = VenueError::Domain { what: "total maintenance margin", value, expected: "more than 0" };
        (self.maintenance > Whole::ZERO).then_some(self.maintenance).ok_or(none)
    }
}

/// How far from the oracle an account's positions are sold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillableTerms {
    /// `ba`: how fast the price moves to bankruptcy, ppm.
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
/// [`VenueError::Domain`] for no position or an account without maintenance margin, [`VenueError::Overflow`].
pub fn fillable_price(
    holding: &Holding,
    account: Standing,
    terms: FillableTerms,
) -> Result<Fraction, VenueError> {
    let what = "a fillable price";
    if holding.quantums == 0 {
        let value = "0".to_owned();
        return Err(VenueError::Domain { what: "a position", value, expected: "a long or a short" });
    }
    let maintenance = account.divisor()?;
    let ppm = |part: u32| Whole::from(i128::from(part));
    // abr = share/whole, with share between 0 and whole = M 1e6.
    let whole = maintenance.times(PPM.into(), what)?;
    let short_by = maintenance.less(account.collateral, what)?.max(Whole::ZERO);
    let share = short_by.times(ppm(terms.bankruptcy_adjustment_ppm), what)?.min(whole);
    let margin = holding.maintenance()?.times(ppm(terms.spread_to_maintenance_ppm), what)?;
    let spread = share.times(margin, what)?;
    let under = whole.times(PPM.into(), what)?;
    let numerator = holding.notional()?.times(under, what)?.less(spread, what)?;
    Fraction::new(numerator, under.times(holding.quantums.into(), what)?, what)
}

/// The bankruptcy price of a change `d` of a position, quote quantums for all of it (negative: to be paid for closing a
/// short): `-(notional(q + d) - notional(q)) - floor(N |MMR(q + d) - MMR(q)|/M)`, so rounded toward +infinity.
///
/// # Errors
/// [`VenueError::Domain`] for a change that does not reduce the position, or an account without maintenance margin.
pub fn bankruptcy_price(holding: &Holding, change: i128, account: Standing) -> Result<Whole, VenueError> {
    let what = "a bankruptcy price";
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
    let maintenance = account.divisor()?;
    let after = holding.with(fits(quantums.checked_add(change), what)?);
    let moved = after.notional()?.less(holding.notional()?, what)?;
    let freed = after.maintenance()?.less(holding.maintenance()?, what)?.abs();
    let part = account.collateral.times(freed, what)?.over_floor(maintenance, what)?;
    moved.minus().less(part, what)
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

/// The most of a position's notional that one block may liquidate, quote quantums:
/// `min(floor(|notional| position_ppm/1e6), limit)`.
///
/// # Errors
/// [`VenueError::Overflow`].
pub fn block_notional(holding: &Holding, limits: &BlockLimits) -> Result<Whole, VenueError> {
    let what = "a liquidated notional";
    let share = Whole::from(i128::from(limits.position_ppm));
    let part = holding.notional()?.abs().times(share, what)?.over_floor(PPM.into(), what)?;
    Ok(part.min(Whole::from(i128::from(limits.notional))))
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
            return Err(leg.unsupported(METHOD, "it lists perpetuals only"));
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
            im: money(initial_margin(tier, value, open_interest, self.own_initial_ppm)?)?,
            mm: money(maintenance_margin(tier, value)?)?,
        })
    }
}

/// Quote quantums as an amount of ours.
fn money(quantums: Whole) -> Result<Fixed, VenueError> {
    quantums.narrow("a margin").map(millionths)
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
