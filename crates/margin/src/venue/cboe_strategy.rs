//! Cboe's strategy-based margin: every option is part of a strategy, and each strategy has a rate or a largest loss.
//!
//! **The one idea:** positions on one underlying are put into strategies, in a fixed order: what opposes itself is
//! netted, shares cover short options, long options cover short ones of the same type that expire no later, remaining
//! short calls pair with remaining short puts, and what is left is naked. Covered options are charged their largest
//! loss at expiry, naked ones a rate of the underlying. No model and no volatility enters.
//!
//! Source: Cboe Margin Manual through tastyware/margin-estimator @ cd1b0187 (methods.md 23), corrected to be linear in
//! quantity. Rounding to the cent is per share, halves to even, as published.

use super::checks::{not_negative, ordered, positive, share};
use super::{Charge, Leg, LegKind, Method, VenueBook, VenueError, checks, settled};
use crate::ByAsset;
use crate::lint::LintFinding;
use plimsoll_types::{Asset, Fixed, OptionKind};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

const METHOD: &str = "cboe";
const DAY: i64 = 86_400;

/// Rates of the manual.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Shares per contract: 100; 1 where an option is on one coin.
    pub multiplier: Fixed,
    /// The smallest part of a contract that can be held, contracts: 1, or less where contracts are divisible.
    pub contract_step: Fixed,
    /// Of the underlying's value, for a short option on a share or a narrow index: 0.20.
    pub rate: Fixed,
    /// The same on a broad index: 0.15.
    pub broad_rate: Fixed,
    /// The least, of the strike of a put and of the underlying of a call: 0.10.
    pub minimum_rate: Fixed,
    /// Share of its price that a long option of [`Rules::listed_days`] or more costs in a margin account: 0.75.
    pub listed_share: Fixed,
    /// Days to expiry from which that applies: 90.
    pub listed_days: i64,
    /// Of the value of long shares: 0.50.
    pub long_shares: Fixed,
    /// Of the value of short shares, beside their proceeds: 0.50, which makes 150 %.
    pub short_shares: Fixed,
}

/// What an underlying is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A share.
    Equity,
    /// An index or fund of few shares.
    Narrow,
    /// An index or fund of many.
    Broad,
    /// A volatility index.
    Volatility,
}

/// The underlying of the options.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Underlying {
    /// Its price, per share.
    pub price: Fixed,
    /// What it is.
    pub class: Class,
    /// Leverage of a fund that moves by a multiple; 1 of others.
    pub leverage: Fixed,
}

/// Options of one series.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionLeg {
    /// Call or put.
    pub kind: OptionKind,
    /// Strike, per share.
    pub strike: Fixed,
    /// Seconds to expiry; >= 0.
    pub seconds: i64,
    /// Price, per share.
    pub price: Fixed,
    /// Contracts; short < 0.
    pub quantity: Fixed,
}

/// Shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shares {
    /// Price of one.
    pub price: Fixed,
    /// How many; short < 0.
    pub quantity: Fixed,
}

/// What is required, currency: of the manual's two kinds of account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Requirement {
    /// In a margin account. Of short options and short shares it includes the proceeds of the sale; of a spread it is net
    /// of them.
    pub margin: Fixed,
    /// In a cash account, net of proceeds. Shares cannot be sold short there: 0.
    pub cash: Fixed,
}

impl std::ops::Add for Requirement {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { margin: self.margin + other.margin, cash: self.cash + other.cash }
    }
}

/// Positions as strategies.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Strategies {
    /// The net position in shares, at its average price.
    pub shares: Option<Shares>,
    /// Short options that shares cover.
    pub covered: Vec<OptionLeg>,
    /// Short options and the long ones that cover them; all form one spread.
    pub spread: Vec<OptionLeg>,
    /// Short calls and short puts in pairs of the same quantity.
    pub strangles: Vec<(OptionLeg, OptionLeg)>,
    /// Short options on their own.
    pub naked: Vec<OptionLeg>,
    /// Long options that cover nothing.
    pub long: Vec<OptionLeg>,
}

/// Rounded to the cent, halves to even.
pub fn cents(x: Fixed) -> Fixed {
    const CENT: i128 = 10_000_000_000_000_000;
    let Some(units) = x.known() else { return x };
    let (whole, rest) = (units.div_euclid(CENT), units.rem_euclid(CENT));
    let up = rest * 2 > CENT || (rest * 2 == CENT && whole % 2 != 0);
    Fixed::from_units(whole * CENT) + if up { Fixed::from_units(CENT) } else { Fixed::ZERO }
}

/// What one short option costs per share in a margin account, its price included:
/// `max(P + b U lev - otm, P + 0.10 lev (K of a put, U of a call))`, each side rounded to the cent.
///
/// ```
/// use plimsoll_margin::venue::cboe_strategy::{Class, OptionLeg, Rules, Underlying, short_rate};
/// use plimsoll_types::{Fixed, OptionKind};
/// let rules: Rules = toml::from_str(
///     "multiplier = 100\ncontract_step = 1\nrate = 0.2\nbroad_rate = 0.15\nminimum_rate = 0.1\n\
///      listed_share = 0.75\nlisted_days = 90\nlong_shares = 0.5\nshort_shares = 0.5")?;
/// let spy = Underlying { price: "433.35".parse()?, class: Class::Broad, leverage: Fixed::ONE };
/// let put = OptionLeg { kind: OptionKind::Put, strike: Fixed::from(430), seconds: 0, price: "7.8".parse()?,
///     quantity: -Fixed::ONE };
/// assert_eq!(short_rate(&rules, &spy, &put).to_string(), "69.45");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn short_rate(rules: &Rules, underlying: &Underlying, option: &OptionLeg) -> Fixed {
    let (distance, least) = match option.kind {
        OptionKind::Call => (option.strike - underlying.price, underlying.price),
        OptionKind::Put => (underlying.price - option.strike, option.strike),
    };
    let rate = if underlying.class == Class::Broad { rules.broad_rate } else { rules.rate };
    let base = option.price + underlying.price * rate * underlying.leverage - distance.positive();
    let minimum = option.price + least * rules.minimum_rate * underlying.leverage;
    cents(base).max(cents(minimum))
}

/// What one short option costs per share in a cash account: the strike of a put, the underlying of a call (of a call
/// on a broad index, which cannot be deposited, its strike), less the price received.
pub fn short_cash(underlying: &Underlying, option: &OptionLeg) -> Fixed {
    let deposited = match option.kind {
        OptionKind::Call if underlying.class != Class::Broad => underlying.price,
        _ => option.strike,
    };
    deposited - option.price
}

/// Short options on their own.
pub fn naked(rules: &Rules, underlying: &Underlying, option: &OptionLeg) -> Requirement {
    let size = option.quantity.abs() * rules.multiplier;
    let (margin, cash) = (short_rate(rules, underlying, option), short_cash(underlying, option));
    Requirement { margin: margin * size, cash: cash * size }
}

/// Long options on their own: paid in full; in a margin account 75 % of the price, to the cent and never above it,
/// where 90 days or more are left.
pub fn long(rules: &Rules, option: &OptionLeg) -> Requirement {
    let size = option.quantity.abs() * rules.multiplier;
    let listed = option.seconds >= rules.listed_days.saturating_mul(DAY);
    let price =
        if listed { cents(option.price * rules.listed_share).min(option.price) } else { option.price };
    Requirement { margin: price * size, cash: option.price * size }
}

/// A short call and a short put of the same quantity: the larger of the two requirements, and the price of the other
/// side.
pub fn strangle(rules: &Rules, underlying: &Underlying, call: &OptionLeg, put: &OptionLeg) -> Requirement {
    let size = call.quantity.abs() * rules.multiplier;
    let (of_call, of_put) = (short_rate(rules, underlying, call), short_rate(rules, underlying, put));
    let margin = if of_call > of_put { of_call + put.price } else { of_put + call.price };
    let cash = short_cash(underlying, call) + short_cash(underlying, put);
    Requirement { margin: margin * size, cash: cash * size }
}

/// A spread: `|least value at expiry at any strike| + net debit` (a credit is negative), in both kinds of account. As
/// published the size counts whatever its sign: a box, which pays at every strike, is charged that beside its debit.
pub fn spread(rules: &Rules, legs: &[OptionLeg]) -> Requirement {
    let value = |price: Fixed| {
        let one = |leg: &OptionLeg| {
            let inside = match leg.kind {
                OptionKind::Call => price - leg.strike,
                OptionKind::Put => leg.strike - price,
            };
            leg.quantity * inside.positive()
        };
        legs.iter().map(one).sum::<Fixed>()
    };
    let least = legs.iter().map(|leg| value(leg.strike)).reduce(Fixed::min).unwrap_or_default();
    let debit: Fixed = legs.iter().map(|leg| leg.quantity * leg.price).sum();
    let amount = (least.abs() + debit) * rules.multiplier;
    Requirement { margin: amount, cash: amount }
}

/// Shares: half of their value, to the cent per share; sold short, that and their value. Paid in full in a cash account.
pub fn shares(rules: &Rules, shares: &Shares) -> Requirement {
    let size = shares.quantity.abs();
    if shares.quantity >= Fixed::ZERO {
        let margin = cents(shares.price * rules.long_shares) * size;
        return Requirement { margin, cash: shares.price * size };
    }
    let margin = (shares.price + cents(shares.price * rules.short_shares)) * size;
    Requirement { margin, cash: Fixed::ZERO }
}

/// Positions on one underlying put into strategies.
///
/// # Errors
/// [`VenueError::Domain`] for a multiplier or step that is not positive, or a price below 0; [`VenueError::Overflow`]
/// where a number does not fit.
pub fn strategies(rules: &Rules, options: &[OptionLeg], shares: &[Shares]) -> Result<Strategies, VenueError> {
    check(rules, options, shares)?;
    let mut found = Strategies { shares: together(shares), ..Strategies::default() };
    let (mut shorts, mut longs) = netted(options);
    cover_by_shares(rules, &mut found, &mut shorts)?;
    let left = cover_by_longs(&mut found, &shorts, &mut longs);
    pair(&mut found, left);
    found.long = longs.into_iter().filter(|leg| leg.quantity != Fixed::ZERO).collect();
    Ok(found)
}

/// What positions on one underlying require: the sum over their [`strategies`]. Linear in quantity.
///
/// # Errors
/// As [`strategies`].
pub fn requirement(
    rules: &Rules,
    underlying: &Underlying,
    options: &[OptionLeg],
    shares: &[Shares],
) -> Result<Requirement, VenueError> {
    let found = strategies(rules, options, shares)?;
    let parts = [
        found.shares.map_or_else(Requirement::default, |held| self::shares(rules, &held)),
        spread(rules, &found.spread),
        sum(found.strangles.iter().map(|(call, put)| strangle(rules, underlying, call, put))),
        sum(found.naked.iter().map(|leg| naked(rules, underlying, leg))),
        sum(found.long.iter().map(|leg| long(rules, leg))),
    ];
    let total = sum(parts.into_iter());
    Ok(Requirement {
        margin: settled(total.margin, "a margin requirement")?,
        cash: settled(total.cash, "a cash requirement")?,
    })
}

fn sum(all: impl Iterator<Item = Requirement>) -> Requirement {
    all.fold(Requirement::default(), |a, b| a + b)
}

fn check(rules: &Rules, options: &[OptionLeg], shares: &[Shares]) -> Result<(), VenueError> {
    let refused =
        |what, value: Fixed, expected| Err(VenueError::Domain { what, value: value.to_string(), expected });
    for (what, value) in [("a multiplier", rules.multiplier), ("a contract's step", rules.contract_step)] {
        if settled(value, what)? <= Fixed::ZERO {
            return refused(what, value, "a positive number");
        }
    }
    let prices = options.iter().flat_map(|leg| [leg.price, leg.strike]);
    for price in prices.chain(shares.iter().map(|held| held.price)) {
        if settled(price, "a price")? < Fixed::ZERO {
            return refused("a price", price, "0 or more");
        }
    }
    let held = options.iter().map(|leg| leg.quantity).chain(shares.iter().map(|held| held.quantity));
    settled(held.map(Fixed::abs).sum(), "a quantity").map(|_| ())
}

/// All shares as one position at their average price; `None` where none is left.
fn together(held: &[Shares]) -> Option<Shares> {
    let quantity: Fixed = held.iter().map(|held| held.quantity).sum();
    let value: Fixed = held.iter().map(|held| held.quantity * held.price).sum();
    let price = if held.len() == 1 { held[0].price } else { value / quantity };
    (quantity != Fixed::ZERO).then_some(Shares { price, quantity })
}

/// Series net, short and long, each by expiry, then strike. A series given twice keeps its first price.
fn netted(options: &[OptionLeg]) -> (Vec<OptionLeg>, Vec<OptionLeg>) {
    let mut net: Vec<OptionLeg> = Vec::new();
    for leg in options {
        let same = |known: &&mut OptionLeg| {
            (known.seconds, known.strike, known.kind) == (leg.seconds, leg.strike, leg.kind)
        };
        match net.iter_mut().find(same) {
            Some(known) => known.quantity = known.quantity + leg.quantity,
            None => net.push(*leg),
        }
    }
    net.sort_by_key(|leg| (leg.seconds, leg.strike.known(), leg.kind == OptionKind::Put));
    let held = net.into_iter().filter(|leg| leg.quantity != Fixed::ZERO);
    held.partition(|leg| leg.quantity < Fixed::ZERO)
}

/// Long shares cover short calls, short shares short puts, a whole contract or step of one at a time.
fn cover_by_shares(
    rules: &Rules,
    found: &mut Strategies,
    shorts: &mut [OptionLeg],
) -> Result<(), VenueError> {
    let Some(held) = found.shares else { return Ok(()) };
    let covers = if held.quantity > Fixed::ZERO { OptionKind::Call } else { OptionKind::Put };
    // Whole steps: the quotient of two 18-decimal numbers is exact as one of their units.
    let shares_per_step = rules.multiplier * rules.contract_step;
    let steps = held.quantity.abs().known().zip(shares_per_step.known()).filter(|(_, step)| *step > 0);
    let steps = steps.and_then(|(held, step)| rules.contract_step.known()?.checked_mul(held / step));
    let mut able = settled(steps.map_or(Fixed::LOST, Fixed::from_units), "the contracts that shares cover")?;
    for short in shorts.iter_mut().filter(|short| short.kind == covers) {
        let paired = able.min(-short.quantity);
        if paired > Fixed::ZERO {
            found.covered.push(OptionLeg { quantity: -paired, ..*short });
            (short.quantity, able) = (short.quantity + paired, able - paired);
        }
    }
    Ok(())
}

/// Long options cover short ones of their type that expire no later, the earliest short first, by the earliest long of
/// the lowest strike. What is not covered is returned.
fn cover_by_longs(found: &mut Strategies, shorts: &[OptionLeg], longs: &mut [OptionLeg]) -> Vec<OptionLeg> {
    let mut naked = Vec::new();
    for short in shorts {
        let mut open = -short.quantity;
        let fits = |long: &&mut OptionLeg| long.kind == short.kind && long.seconds >= short.seconds;
        for long in longs.iter_mut().filter(fits) {
            let paired = open.min(long.quantity);
            if paired > Fixed::ZERO {
                found.spread.push(OptionLeg { quantity: -paired, ..*short });
                found.spread.push(OptionLeg { quantity: paired, ..*long });
                (open, long.quantity) = (open - paired, long.quantity - paired);
            }
        }
        if open > Fixed::ZERO {
            naked.push(OptionLeg { quantity: -open, ..*short });
        }
    }
    naked
}

/// Short calls with short puts, in order; the rest is naked.
fn pair(found: &mut Strategies, left: Vec<OptionLeg>) {
    let (calls, puts): (Vec<_>, Vec<_>) = left.into_iter().partition(|leg| leg.kind == OptionKind::Call);
    let (mut calls, mut puts) = (VecDeque::from(calls), VecDeque::from(puts));
    while let (Some(call), Some(put)) = (calls.front_mut(), puts.front_mut()) {
        let both = call.quantity.max(put.quantity);
        found.strangles.push((OptionLeg { quantity: both, ..*call }, OptionLeg { quantity: both, ..*put }));
        call.quantity = call.quantity - both;
        put.quantity = put.quantity - both;
        let done = (call.quantity == Fixed::ZERO, put.quantity == Fixed::ZERO);
        if done.0 {
            calls.pop_front();
        }
        if done.1 {
            puts.pop_front();
        }
    }
    found.naked.extend(calls);
    found.naked.extend(puts);
}

/// Which kind of account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// Margin.
    Margin,
    /// Cash: everything is paid for or deposited.
    Cash,
}

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Which requirement is charged.
    pub account: AccountKind,
    /// The rates.
    pub rules: Rules,
    /// The underlyings that are listed.
    pub underlyings: ByAsset<UnderlyingTerms>,
}

/// Parameters of an underlying.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnderlyingTerms {
    /// What it is.
    pub class: Class,
    /// Its leverage: 1, or the multiple of a leveraged fund.
    pub leverage: Fixed,
}

/// An account of ours. Spot positions are the shares, the index is the price of the underlying, marks are the prices of
/// options. Equity already counts marks, short ones against the account; the manual's requirement of short options and
/// short shares includes their proceeds, which are taken off here, so that both are met at the same cash. Initial and
/// maintenance requirements are the same.
impl Method for Terms {
    fn charges(&self, book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        let mut charges = Vec::new();
        for (_, row, legs) in book.underlyings() {
            let unlisted =
                |leg: &&Leg<'_>| leg.unsupported(METHOD, "no options of this underlying are listed");
            let Some(terms) = self.underlyings.of(&row.asset) else {
                return Err(legs.first().map_or(VenueError::Overflow { what: "an underlying" }, unlisted));
            };
            let price = legs.first().map_or(Fixed::LOST, |leg| leg.index);
            let underlying = Underlying { price, class: terms.class, leverage: terms.leverage };
            let (options, held) = self.holdings(&legs)?;
            let found = strategies(&self.rules, &options, &held)?;
            charges.extend(self.parts(&underlying, &row.asset, &found)?);
        }
        Ok(charges)
    }

    fn lint(&self) -> Vec<LintFinding> {
        let rules = &self.rules;
        let at = |name: &str| format!("margin.aggregation.rules.{name}");
        let mut found = checks::all([
            positive(&at("multiplier"), rules.multiplier),
            positive(&at("contract_step"), rules.contract_step),
            not_negative(&at("rate"), rules.rate),
            not_negative(&at("broad_rate"), rules.broad_rate),
            not_negative(&at("minimum_rate"), rules.minimum_rate),
            ordered(&at("minimum_rate"), rules.minimum_rate, rules.rate.min(rules.broad_rate)),
            share(&at("listed_share"), rules.listed_share),
            share(&at("long_shares"), rules.long_shares),
            not_negative(&at("short_shares"), rules.short_shares),
        ]);
        for (scope, terms) in &self.underlyings.0 {
            let path = format!("margin.aggregation.underlyings.{scope}.leverage");
            found.extend(positive(&path, terms.leverage));
        }
        found
    }
}

impl Terms {
    fn holdings(&self, legs: &[&Leg<'_>]) -> Result<(Vec<OptionLeg>, Vec<Shares>), VenueError> {
        let (mut options, mut held) = (Vec::new(), Vec::new());
        for leg in legs {
            match leg.kind {
                LegKind::Spot if self.account == AccountKind::Cash && leg.quantity < Fixed::ZERO => {
                    return Err(leg.unsupported(METHOD, "a cash account cannot sell short"));
                }
                LegKind::Spot => held.push(Shares { price: leg.index, quantity: leg.quantity }),
                LegKind::Option { kind, strike, seconds } => {
                    let quantity = leg.quantity / self.rules.multiplier;
                    options.push(OptionLeg { kind, strike, seconds, price: leg.mark, quantity });
                }
                LegKind::Perpetual => {
                    return Err(leg.unsupported(METHOD, "strategies are of options and shares"));
                }
                LegKind::Future { .. } => {
                    return Err(leg.unsupported(METHOD, "strategies are of options and shares"));
                }
            }
        }
        Ok((options, held))
    }

    fn parts(
        &self,
        underlying: &Underlying,
        asset: &Asset,
        found: &Strategies,
    ) -> Result<Vec<Charge>, VenueError> {
        let rules = &self.rules;
        let held = found.shares.map_or_else(Requirement::default, |held| shares(rules, &held));
        let sold = found.shares.map_or(Fixed::ZERO, |held| (-held.quantity).positive() * held.price);
        let proceeds = |leg: &OptionLeg| (-leg.quantity).positive() * leg.price * rules.multiplier;
        let pairs = found.strangles.iter();
        let of_pairs = sum(pairs.clone().map(|(call, put)| strangle(rules, underlying, call, put)));
        let from_pairs: Fixed = pairs.map(|(call, put)| proceeds(call) + proceeds(put)).sum();
        let of_naked = sum(found.naked.iter().map(|leg| naked(rules, underlying, leg)));
        let from_naked: Fixed = found.naked.iter().map(proceeds).sum();
        let of_long = sum(found.long.iter().map(|leg| long(rules, leg)));
        let parts = [
            ("shares", held, sold),
            ("spreads", spread(rules, &found.spread), Fixed::ZERO),
            ("strangles", of_pairs, from_pairs),
            ("short_options", of_naked, from_naked),
            ("long_options", of_long, Fixed::ZERO),
        ];
        let mut charges = Vec::new();
        for (code, required, proceeds) in parts {
            let amount = match self.account {
                AccountKind::Margin => required.margin - proceeds,
                AccountKind::Cash => required.cash,
            };
            let amount = settled(amount, "a requirement")?;
            if amount != Fixed::ZERO {
                charges.push(Charge { code, asset: Some(asset.clone()), im: amount, mm: amount });
            }
        }
        Ok(charges)
    }
}
