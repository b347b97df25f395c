//! Derive's standard margin (SRM): each short option by itself, or the largest loss of its expiry where that is less.
//!
//! **The one idea:** an expiry is charged the smaller of two requirements, the sum of its short options one by one and
//! the largest loss at any strike or at price 0 (plus a share of the forward per call that no call covers). Perpetuals,
//! base assets, oracle contingencies and the depeg of the cash asset are added market by market; nothing nets between
//! markets. All functions give *net margin*: what a part adds to the account, below 0 where it needs cash.
//!
//! Source: derivexyz/v2-core @ 7736900d, `StandardManager` (methods.md 5). Option prices come from outside: Black-76
//! with no discount.

mod account;

use super::integer::above_zero;
use super::{VenueError, settled};
use crate::ByAsset;
use plimsoll_types::{Asset, Fixed, OptionKind};
use serde::{Deserialize, Serialize};
use std::ops::Add;

const METHOD: &str = "derive-srm";

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The asset that cash is held in, whose price is the stable price; the only one that can be borrowed.
    pub cash: Asset,
    /// What a depeg of the cash asset costs.
    pub depeg: Depeg,
    /// The markets, by underlying.
    pub markets: ByAsset<Market>,
}

/// Charge on positions while the cash asset trades below par, in initial margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Depeg {
    /// Price of the cash asset below which the charge applies, quote units.
    pub threshold: Fixed,
    /// Share of the spot value of every short option and perpetual, per unit of price below the threshold.
    pub factor: Fixed,
}

/// Parameters of a market. What is absent is not listed there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Market {
    /// Options.
    pub option: Option<OptionTerms>,
    /// Perpetuals.
    pub perp: Option<PerpTerms>,
    /// The base asset as collateral.
    pub base: Option<BaseTerms>,
    /// Charges on low confidence of the feeds.
    pub oracle: OracleTerms,
}

/// Shares of spot that a short option costs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionTerms {
    /// Initial, at the money, before the distance out of the money is taken off.
    pub max_spot_req: Fixed,
    /// Initial, the least.
    pub min_spot_req: Fixed,
    /// Maintenance of a call.
    pub mm_call_spot_req: Fixed,
    /// Maintenance of a put.
    pub mm_put_spot_req: Fixed,
    /// Maintenance of a put, as a share of its mark value: the larger of the two counts.
    pub mm_put_mtm_req: Fixed,
    /// Initial margin of a put is at least its maintenance margin times this; >= 1.
    pub mm_offset_scale: Fixed,
    /// Initial: forwards charged per call that no long call covers, beside the largest loss.
    pub unpaired_im_scale: Fixed,
    /// Maintenance: the same.
    pub unpaired_mm_scale: Fixed,
}

/// Shares of a perpetual's notional.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerpTerms {
    /// Initial.
    pub im: Fixed,
    /// Maintenance.
    pub mm: Fixed,
}

/// Share of a base asset's value that counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseTerms {
    /// In maintenance margin.
    pub margin_factor: Fixed,
    /// Times this in initial margin; at most 1.
    pub im_scale: Fixed,
}

/// Confidences (in [0, 1], 1 is best) below which initial margin pays for what the feeds may be wrong by. A threshold
/// of 0 disables its charge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OracleTerms {
    /// For perpetuals: the smaller of the perpetual's and spot's.
    pub perp_threshold: Fixed,
    /// For short options: the smallest of spot's, the forward's and the volatility's.
    pub option_threshold: Fixed,
    /// For base assets: spot's.
    pub base_threshold: Fixed,
    /// Share of spot per unit of confidence missing.
    pub factor: Fixed,
}

/// Net margin: what a part adds to the account's margin, currency; below 0 it needs cash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Net {
    /// Initial.
    pub im: Fixed,
    /// Maintenance.
    pub mm: Fixed,
}

impl Net {
    /// The same in both.
    fn both(amount: Fixed) -> Self {
        Self { im: amount, mm: amount }
    }

    /// In initial margin alone.
    fn initial(amount: Fixed) -> Self {
        Self { im: amount, mm: Fixed::ZERO }
    }
}

impl Add for Net {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { im: self.im + other.im, mm: self.mm + other.mm }
    }
}

impl std::iter::Sum for Net {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

/// An option held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionHolding {
    /// Call or put.
    pub kind: OptionKind,
    /// Strike, quote units.
    pub strike: Fixed,
    /// Base units; short < 0.
    pub amount: Fixed,
    /// Black-76 price of one, quote units, undiscounted; at expiry the intrinsic value at the settlement price.
    pub price: Fixed,
}

/// The options of one expiry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiryHolding {
    /// Forward; of an expired one the settlement price.
    pub forward: Fixed,
    /// The smaller of the forward's and the volatility's confidence.
    pub confidence: Fixed,
    /// The options.
    pub options: Vec<OptionHolding>,
}

/// A perpetual held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PerpHolding {
    /// Base units; short < 0.
    pub amount: Fixed,
    /// Its price, quote units.
    pub price: Fixed,
    /// Confidence of that price.
    pub confidence: Fixed,
    /// Profit and funding not yet settled, quote units.
    pub unrealised: Fixed,
}

/// What an account holds in one market.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MarketHolding {
    /// Its parameters.
    pub terms: Market,
    /// Spot price; > 0.
    pub spot: Fixed,
    /// Confidence of it.
    pub spot_confidence: Fixed,
    /// The perpetual.
    pub perp: Option<PerpHolding>,
    /// The base asset, units; >= 0.
    pub base: Fixed,
    /// Options.
    pub expiries: Vec<ExpiryHolding>,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Portfolio {
    /// Cash; < 0 is borrowed.
    pub cash: Fixed,
    /// Price of the cash asset, quote units; > 0.
    pub stable: Fixed,
    /// Charge for its depeg.
    pub depeg: Depeg,
    /// Markets.
    pub markets: Vec<MarketHolding>,
}

/// What [`net_margin`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NetMargin {
    /// Net margin: `cash + sum over markets`; healthy iff >= 0.
    pub net: Net,
    /// Cash, options at their prices, unsettled profit of perpetuals, and base assets in units of the cash asset.
    pub mark_to_market: Fixed,
}

/// `m = max_req - otm` where that is above `min_req`, else `min_req`, with `otm` the distance out of the money as a share
/// of spot: the share of spot that a short option costs initially.
pub fn initial_rate(terms: &OptionTerms, spot: Fixed, option: &OptionHolding) -> Fixed {
    let distance = match option.kind {
        OptionKind::Call => option.strike - spot,
        OptionKind::Put => spot - option.strike,
    };
    (terms.max_spot_req - distance.positive() / spot).max(terms.min_spot_req)
}

/// Net margin of one option by itself: 0 of a long one; of a short one, with `a < 0` and `mtm = a price`,
///
/// ```text
/// call  IM  m S a + mtm                                MM  mm_call S a + mtm
/// put   IM  min(m S a + mtm, MM x offset)              MM  min(mm_put S a, mm_put_mtm mtm) + mtm
/// ```
///
/// ```
/// use plimsoll_margin::venue::derive_standard::{OptionHolding, OptionTerms, isolated};
/// use plimsoll_types::{Fixed, OptionKind};
/// let terms: OptionTerms = toml::from_str(
///     "max_spot_req = 0.15\nmin_spot_req = 0.1\nmm_call_spot_req = 0.075\nmm_put_spot_req = 0.075\n\
///      mm_put_mtm_req = 0.075\nmm_offset_scale = 1.05\nunpaired_im_scale = 1.2\nunpaired_mm_scale = 1.1")?;
/// // Short a call struck at 1900 with spot at 1500, worth 6: a tenth of spot and its price.
/// let call = OptionHolding { kind: OptionKind::Call, strike: Fixed::from(1900), amount: -Fixed::ONE, price: Fixed::from(6) };
/// let net = isolated(&terms, Fixed::from(1500), &call);
/// assert_eq!((net.im.to_string(), net.mm.to_string()), ("-156".into(), "-118.5".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn isolated(terms: &OptionTerms, spot: Fixed, option: &OptionHolding) -> Net {
    if option.amount >= Fixed::ZERO {
        return Net::default();
    }
    let mtm = option.amount * option.price;
    let size = spot * option.amount;
    let initial = initial_rate(terms, spot, option) * size + mtm;
    match option.kind {
        OptionKind::Call => Net { im: initial, mm: terms.mm_call_spot_req * size + mtm },
        OptionKind::Put => {
            let mm = (terms.mm_put_spot_req * size).min(terms.mm_put_mtm_req * mtm) + mtm;
            Net { im: initial.min(mm * terms.mm_offset_scale), mm }
        }
    }
}

/// What the options of an expiry pay at a settlement price, quote units; a loss is negative.
pub fn payoff(options: &[OptionHolding], price: Fixed) -> Fixed {
    let one = |option: &OptionHolding| {
        let inside = match option.kind {
            OptionKind::Call => price - option.strike,
            OptionKind::Put => option.strike - price,
        };
        option.amount * inside.positive()
    };
    options.iter().map(one).sum()
}

/// The largest loss at price 0 and at every strike, as a number at most 0. Beyond the last strike it is bounded only
/// where no call is short of a cover, which [`expiry_margin`] charges for.
pub fn max_loss(options: &[OptionHolding]) -> Fixed {
    let at_zero = payoff(options, Fixed::ZERO).min(Fixed::ZERO);
    options.iter().fold(at_zero, |least, option| least.min(payoff(options, option.strike)))
}

/// Net margin of the options of an expiry: `max(iso, max_loss)`, with `iso` the sum of [`isolated`] and `max_loss`
/// lowered by `unpaired_scale F` per call net short.
pub fn expiry_margin(terms: &OptionTerms, spot: Fixed, forward: Fixed, options: &[OptionHolding]) -> Net {
    let alone: Net = options.iter().map(|option| isolated(terms, spot, option)).sum();
    let calls = options.iter().filter(|option| option.kind == OptionKind::Call);
    let unpaired = calls.map(|call| call.amount).sum::<Fixed>().min(Fixed::ZERO);
    let loss = max_loss(options);
    let bounded = |scale: Fixed| loss + scale * forward * unpaired;
    Net {
        im: alone.im.max(bounded(terms.unpaired_im_scale)),
        mm: alone.mm.max(bounded(terms.unpaired_mm_scale)),
    }
}

/// What low confidence adds to initial margin: `-(1 - c) factor size` where `c` is below a threshold that is not 0.
fn contingency(threshold: Fixed, factor: Fixed, confidence: Fixed, size: Fixed) -> Fixed {
    if confidence >= threshold {
        return Fixed::ZERO;
    }
    -(Fixed::ONE - confidence) * factor * size
}

/// Base units of short options.
fn short_size(options: &[OptionHolding]) -> Fixed {
    options.iter().map(|option| (-option.amount).positive()).sum()
}

/// Net margin of a perpetual without its unrealised profit: `-|q| P (im or mm)`, and the charge for low confidence.
pub fn perp_margin(
    terms: &PerpTerms,
    oracle: &OracleTerms,
    market: &MarketHolding,
    perp: &PerpHolding,
) -> Net {
    let notional = perp.amount.abs() * perp.price;
    let confidence = perp.confidence.min(market.spot_confidence);
    let size = market.spot * perp.amount.abs();
    Net { im: -notional * terms.im, mm: -notional * terms.mm }
        + Net::initial(contingency(oracle.perp_threshold, oracle.factor, confidence, size))
}

/// Net margin of a base asset: `b S margin_factor`, times `im_scale` in initial margin less the charge for low
/// confidence.
pub fn base_margin(
    terms: &BaseTerms,
    oracle: &OracleTerms,
    spot: Fixed,
    confidence: Fixed,
    base: Fixed,
) -> Net {
    let value = base * spot;
    let mm = value * terms.margin_factor;
    Net { im: mm * terms.im_scale, mm }
        + Net::initial(contingency(oracle.base_threshold, oracle.factor, confidence, value))
}

/// Initial margin for a depeg: `-(|q_perp| + short options) S (threshold - stable) factor` while `stable < threshold`.
pub fn depeg_margin(depeg: &Depeg, stable: Fixed, market: &MarketHolding) -> Fixed {
    let shorts: Fixed = market.expiries.iter().map(|expiry| short_size(&expiry.options)).sum();
    let size = market.perp.map_or(Fixed::ZERO, |perp| perp.amount.abs()) + shorts;
    -(depeg.threshold - stable).positive() * depeg.factor * market.spot * size
}

/// Net margin and mark to market of an account under the standard manager.
///
/// # Errors
/// [`VenueError::Domain`] for a price that is not positive, a confidence outside [0, 1] or a base asset below 0;
/// [`VenueError::Missing`] where something is held that the market's parameters do not list.
pub fn net_margin(portfolio: &Portfolio) -> Result<NetMargin, VenueError> {
    above_zero(portfolio.stable, "the stable price")?;
    let mut net = Net::both(portfolio.cash);
    let mut mark_to_market = portfolio.cash;
    for market in &portfolio.markets {
        check(market)?;
        net = net
            + market_margin(market)?
            + Net::initial(depeg_margin(&portfolio.depeg, portfolio.stable, market));
        let options = market.expiries.iter().flat_map(|expiry| &expiry.options);
        let unrealised = market.perp.map_or(Fixed::ZERO, |perp| perp.unrealised);
        mark_to_market = mark_to_market
            + options.map(|option| option.amount * option.price).sum()
            + unrealised
            + market.base * market.spot / portfolio.stable;
    }
    settled(net.im, "initial net margin")?;
    settled(net.mm, "maintenance net margin")?;
    settled(mark_to_market, "a mark to market")?;
    Ok(NetMargin { net, mark_to_market })
}

fn market_margin(market: &MarketHolding) -> Result<Net, VenueError> {
    let (terms, oracle) = (&market.terms, &market.terms.oracle);
    let unlisted = |what| VenueError::Missing { method: METHOD, what, subject: "a market".to_owned() };
    let mut net = Net::default();
    if let Some(perp) = &market.perp {
        let listed = terms.perp.as_ref().ok_or_else(|| unlisted("the margin of perpetuals"))?;
        net = net + perp_margin(listed, oracle, market, perp) + Net::both(perp.unrealised);
    }
    if market.base != Fixed::ZERO {
        let listed = terms.base.as_ref().ok_or_else(|| unlisted("the factor of the base asset"))?;
        net = net + base_margin(listed, oracle, market.spot, market.spot_confidence, market.base);
    }
    for expiry in &market.expiries {
        let listed = terms.option.as_ref().ok_or_else(|| unlisted("the margin of options"))?;
        net = net
            + expiry_margin(listed, market.spot, expiry.forward, &expiry.options)
            + Net::initial(option_contingency(market, expiry));
    }
    Ok(net)
}

fn option_contingency(market: &MarketHolding, expiry: &ExpiryHolding) -> Fixed {
    let oracle = &market.terms.oracle;
    let confidence = market.spot_confidence.min(expiry.confidence);
    contingency(oracle.option_threshold, oracle.factor, confidence, market.spot * short_size(&expiry.options))
}

fn check(market: &MarketHolding) -> Result<(), VenueError> {
    above_zero(market.spot, "a spot price")?;
    let perp = market.perp.iter().map(|perp| perp.confidence);
    let expiries = market.expiries.iter().map(|expiry| expiry.confidence);
    for confidence in [market.spot_confidence].into_iter().chain(perp).chain(expiries) {
        if !(confidence >= Fixed::ZERO && confidence <= Fixed::ONE) {
            let value = confidence.to_string();
            return Err(VenueError::Domain { what: "a confidence", value, expected: "a number from 0 to 1" });
        }
    }
    if market.base >= Fixed::ZERO {
        return Ok(());
    }
    let value = market.base.to_string();
    Err(VenueError::Domain { what: "a base asset", value, expected: "0 or more: only cash is borrowed" })
}
