//! Derive's standard margin (SRM): each short option by itself, or the largest loss of its expiry where that is less.
//!
//! **The one idea:** an expiry is charged the smaller of two requirements, the sum of its short options one by one and
//! the largest loss at any strike or at price 0 (plus a share of the forward per call that no call covers). Perpetuals,
//! base assets, oracle contingencies and the depeg of the cash asset are added market by market; nothing nets between
//! markets. All functions give *net margin*: what a part adds to the account, below 0 where it needs cash.
//!
//! Source: derivexyz/v2-core @ 7736900d, `StandardManager` (methods.md 5). Option prices come from outside: Black-76
//! with no discount.

use super::checks::{im_covers_mm, not_negative, ordered, positive, share};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::lint::LintFinding;
use crate::{ByAsset, CollateralReport};
use plimsoll_types::{Asset, Fixed, OptionKind, UnderlyingRow};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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
    above_zero("the stable price", portfolio.stable)?;
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

fn above_zero(what: &'static str, value: Fixed) -> Result<(), VenueError> {
    let refused = || VenueError::Domain { what, value: value.to_string(), expected: "a positive number" };
    if value > Fixed::ZERO { Ok(()) } else { Err(refused()) }
}

fn check(market: &MarketHolding) -> Result<(), VenueError> {
    above_zero("a spot price", market.spot)?;
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

/// An account of ours. Equity counts collateral after haircuts, marks and unrealised profit, so a part is charged
/// what it counts there less its net margin. A price known to within a share `w` has confidence `1 - w`; the arrays
/// state one for the index alone, which therefore stands for the forward's and the volatility's too. A perpetual or
/// option settled in its coin is margined as its size in base units.
impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for (_, row, legs) in book.underlyings() {
            let market = self.holding(row, &legs)?;
            check(&market)?;
            charges.extend(self.option_charges(row, &market, &legs)?);
            charges.extend(perp_charges(row, &market)?);
            charges.extend(spot_charge(row, &market, &legs)?);
            charges.extend(self.depeg_charge(book, row, &market)?);
        }
        for held in book.collateral {
            charges.extend(self.collateral_charge(book, held)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let mut found = checks::all([
            positive("margin.aggregation.depeg.threshold", self.depeg.threshold),
            not_negative("margin.aggregation.depeg.factor", self.depeg.factor),
        ]);
        for (scope, market) in &self.markets.0 {
            found.extend(market.lint(&format!("margin.aggregation.markets.{scope}")));
        }
        found
    }
}

impl Market {
    fn lint(&self, path: &str) -> Vec<LintFinding> {
        let at = |name: &str| format!("{path}.{name}");
        let oracle = &self.oracle;
        let mut found = checks::all([
            share(&at("oracle.perp_threshold"), oracle.perp_threshold),
            share(&at("oracle.option_threshold"), oracle.option_threshold),
            share(&at("oracle.base_threshold"), oracle.base_threshold),
            not_negative(&at("oracle.factor"), oracle.factor),
        ]);
        if let Some(perp) = &self.perp {
            let subject = at("perp");
            found.extend(checks::all([
                not_negative(&subject, perp.mm),
                im_covers_mm(&subject, perp.im, perp.mm),
            ]));
        }
        if let Some(base) = &self.base {
            let factor = share(&at("base.margin_factor"), base.margin_factor);
            found.extend(checks::all([factor, share(&at("base.im_scale"), base.im_scale)]));
        }
        if let Some(option) = &self.option {
            found.extend(option.lint(&at("option")));
        }
        found
    }
}

impl OptionTerms {
    fn lint(&self, path: &str) -> Vec<LintFinding> {
        let at = |name: &str| format!("{path}.{name}");
        checks::all([
            ordered(&at("min_spot_req"), self.min_spot_req, self.max_spot_req),
            not_negative(&at("mm_call_spot_req"), self.mm_call_spot_req),
            not_negative(&at("mm_put_spot_req"), self.mm_put_spot_req),
            not_negative(&at("mm_put_mtm_req"), self.mm_put_mtm_req),
            im_covers_mm(&at("min_spot_req"), self.min_spot_req, self.mm_call_spot_req),
            im_covers_mm(&at("mm_offset_scale"), self.mm_offset_scale, Fixed::ONE),
            im_covers_mm(&at("unpaired_im_scale"), self.unpaired_im_scale, self.unpaired_mm_scale),
            im_covers_mm(&at("unpaired_mm_scale"), self.unpaired_mm_scale, Fixed::ONE),
        ])
    }
}

fn unsupported(leg: &Leg<'_>, why: &'static str) -> VenueError {
    VenueError::Unsupported { method: METHOD, instrument: Box::new(leg.row.instrument.clone()), why }
}

fn charge(code: &'static str, asset: &Asset, im: Fixed, mm: Fixed) -> Charge {
    Charge { code, asset: Some(asset.clone()), im, mm }
}

/// The confidence of a price known to within a share of itself.
fn confidence_of(width: Fixed) -> Fixed {
    (Fixed::ONE - width).clamp(Fixed::ZERO, Fixed::ONE)
}

impl Terms {
    /// An account's legs in one underlying, as the venue's market.
    fn holding(&self, row: &UnderlyingRow, legs: &[&Leg<'_>]) -> Result<MarketHolding, VenueError> {
        let terms = self.markets.of(&row.asset).copied().unwrap_or(Market::UNLISTED);
        let spot_confidence = confidence_of(row.confidence.into());
        let index = legs.first().map_or(Fixed::LOST, |leg| leg.index);
        let (perp, base) = (None, Fixed::ZERO);
        let mut market =
            MarketHolding { terms, spot: index, spot_confidence, perp, base, expiries: Vec::new() };
        let mut expiries: BTreeMap<i64, ExpiryHolding> = BTreeMap::new();
        for leg in legs {
            listed(&terms, leg)?;
            match leg.kind {
                LegKind::Spot => market.base = market.base + leg.quantity,
                LegKind::Perpetual => market.perp = Some(joined(market.perp, spot_confidence, leg)),
                LegKind::Option { kind, strike, seconds } => {
                    let forward = leg.reference;
                    let empty =
                        || ExpiryHolding { forward, confidence: spot_confidence, options: Vec::new() };
                    let expiry = expiries.entry(seconds).or_insert_with(empty);
                    expiry.forward = expiry.forward.max(forward);
                    let option = OptionHolding { kind, strike, amount: leg.quantity, price: leg.mark };
                    expiry.options.push(option);
                }
                LegKind::Future { .. } => return Err(unsupported(leg, "no dated futures are listed")),
            }
        }
        market.expiries = expiries.into_values().collect();
        Ok(market)
    }

    fn option_charges(
        &self,
        row: &UnderlyingRow,
        market: &MarketHolding,
        legs: &[&Leg<'_>],
    ) -> Result<Vec<Charge>, VenueError> {
        let Some(terms) = &market.terms.option else { return Ok(Vec::new()) };
        let mut net = Net::default();
        let mut low = Fixed::ZERO;
        for expiry in &market.expiries {
            net = net + expiry_margin(terms, market.spot, expiry.forward, &expiry.options);
            low = low - option_contingency(market, expiry);
        }
        let options = legs.iter().filter(|leg| matches!(leg.kind, LegKind::Option { .. }));
        let value: Fixed = options.map(|leg| leg.value()).sum();
        let own = charge("options", &row.asset, value - net.im, value - net.mm);
        known(vec![own, charge("option_confidence", &row.asset, low, Fixed::ZERO)], "the margin of options")
    }

    fn depeg_charge(
        &self,
        book: &VenueBook<'_>,
        row: &UnderlyingRow,
        market: &MarketHolding,
    ) -> Result<Vec<Charge>, VenueError> {
        let subject = self.cash.to_string();
        let missing = VenueError::Missing { method: METHOD, what: "the price", subject };
        let stable = book.price(&self.cash).ok_or(missing)?;
        let amount = -depeg_margin(&self.depeg, stable, market);
        known(vec![charge("depeg", &row.asset, amount, Fixed::ZERO)], "the charge for a depeg")
    }

    /// What the venue counts an asset at, against what equity counts.
    fn collateral_charge(
        &self,
        book: &VenueBook<'_>,
        held: &CollateralReport,
    ) -> Result<Vec<Charge>, VenueError> {
        if held.asset == self.cash || held.asset == book.arrays.currency {
            return known(vec![cash_charge(book, held)], "cash");
        }
        if held.amount_nano < 0 {
            let value = format!("{} nano {}", held.amount_nano, held.asset);
            let expected = "0 or more: only cash is borrowed";
            return Err(VenueError::Domain { what: "an amount of collateral", value, expected });
        }
        let subject = held.asset.to_string();
        let missing = VenueError::Missing { method: METHOD, what: "the factor of the base asset", subject };
        let market = self.markets.of(&held.asset);
        let Some((base, oracle)) = market.and_then(|m| m.base.as_ref().map(|base| (base, &m.oracle))) else {
            return Err(missing);
        };
        let (value, counted) = (book.money(held.value), book.money(held.counted));
        let width = book.arrays.asset(&held.asset).map_or(Fixed::LOST, |row| row.confidence.into());
        let net = base_margin(base, oracle, value, confidence_of(width), Fixed::ONE);
        known(
            vec![charge("base", &held.asset, counted - net.im, counted - net.mm)],
            "the value of a base asset",
        )
    }
}

impl Market {
    const UNLISTED: Self = Self {
        option: None,
        perp: None,
        base: None,
        oracle: OracleTerms {
            perp_threshold: Fixed::ZERO,
            option_threshold: Fixed::ZERO,
            base_threshold: Fixed::ZERO,
            factor: Fixed::ZERO,
        },
    };
}

/// The venue counts a unit of cash as one, whatever it trades at; a depeg is charged on positions.
fn cash_charge(book: &VenueBook<'_>, held: &CollateralReport) -> Charge {
    let face = held.amount_nano.checked_mul(1_000_000_000).map_or(Fixed::LOST, Fixed::from_units);
    let amount = book.money(held.counted) - face;
    charge("cash", &held.asset, amount, amount)
}

/// Whether the venue lists what a leg holds.
fn listed(terms: &Market, leg: &Leg<'_>) -> Result<(), VenueError> {
    let why = match leg.kind {
        LegKind::Future { .. } => "no dated futures are listed",
        LegKind::Perpetual if terms.perp.is_none() => "no perpetual of this underlying is listed",
        LegKind::Option { .. } if terms.option.is_none() => "no options of this underlying are listed",
        LegKind::Spot if terms.base.is_none() => "the asset is not taken as collateral",
        LegKind::Spot if leg.quantity < Fixed::ZERO => "only the cash asset can be borrowed",
        _ => return Ok(()),
    };
    Err(unsupported(leg, why))
}

/// Perpetuals of one underlying net, at the larger of their prices. Unrealised profit is in equity already.
fn joined(held: Option<PerpHolding>, confidence: Fixed, leg: &Leg<'_>) -> PerpHolding {
    let before = held.map_or(Fixed::ZERO, |perp| perp.amount);
    let price = held.map_or(leg.reference, |perp| perp.price.max(leg.reference));
    PerpHolding { amount: before + leg.quantity, price, confidence, unrealised: Fixed::ZERO }
}

fn perp_charges(row: &UnderlyingRow, market: &MarketHolding) -> Result<Vec<Charge>, VenueError> {
    let (Some(perp), Some(terms)) = (&market.perp, &market.terms.perp) else { return Ok(Vec::new()) };
    let net = perp_margin(terms, &market.terms.oracle, market, perp);
    known(vec![charge("perpetuals", &row.asset, -net.im, -net.mm)], "the margin of a perpetual")
}

fn spot_charge(
    row: &UnderlyingRow,
    market: &MarketHolding,
    legs: &[&Leg<'_>],
) -> Result<Vec<Charge>, VenueError> {
    let Some(terms) = market.terms.base.filter(|_| market.base != Fixed::ZERO) else { return Ok(Vec::new()) };
    let spot = legs.iter().filter(|leg| leg.kind == LegKind::Spot);
    let value: Fixed = spot.map(|leg| leg.value()).sum();
    let net = base_margin(&terms, &market.terms.oracle, market.spot, market.spot_confidence, market.base);
    known(vec![charge("base", &row.asset, value - net.im, value - net.mm)], "the value of a base asset")
}

/// The charges that are not 0 in both, if none was lost.
fn known(charges: Vec<Charge>, what: &'static str) -> Result<Vec<Charge>, VenueError> {
    for charge in &charges {
        settled(charge.im, what)?;
        settled(charge.mm, what)?;
    }
    Ok(charges.into_iter().filter(|c| c.im != Fixed::ZERO || c.mm != Fixed::ZERO).collect())
}
