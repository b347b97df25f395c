//! Derive's portfolio margin: PMRM and PMRM_2 as one method with parameters.
//!
//! A set of shocks revalues every expiry; the summed shocked value of an expiry is discounted against the account, the
//! worst sum over expiries, perpetual and coins is the loss, and contingencies are added. The venue publishes a net
//! margin `N = equity - requirement`, healthy from 0 on. Prices are not made here: what is given is the value of each
//! expiry under each shock, from Black-76 on the shocked forward and volatility.
//!
//! PMRM is the same method with: no discounting of values, a short discount of 1, no damping, no skew shocks, no
//! separate rates for initial margin, contingencies inside the factor of initial margin, and the base asset as its only
//! coin, whose contingencies count it at the index with the account's confidence.
//!
//! Source: derivexyz/v2-core at 7736900d (`PMRMLib`, `PMRMLib_2`); methods 3 and 4.

#![allow(clippy::neg_cmp_op_on_partial_ord, reason = "a negated comparison refuses a lost number too")]

mod account;

pub use account::{AccountTerms, Haircut};

use super::{VenueError, settled};
use plimsoll_types::{Fixed, Rounding, YEAR_SECONDS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most scenarios of a set.
pub const SCENARIOS_MAX: usize = 40;
/// Seconds before expiry over which the settlement price is averaged.
pub const SETTLEMENT_SECONDS: i64 = 1800;

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Factor on the loss in initial margin.
    pub im_factor: Fixed,
    /// Factor on the loss in maintenance margin.
    pub mm_factor: Fixed,
    /// Whether `im_factor` and the depeg factor multiply the contingencies too (PMRM), or the loss alone (PMRM_2).
    pub contingency_scaled: bool,
    /// Whether option values are discounted by `D = exp(-max(r, 0) tau)` (PMRM_2), or `D = 1` (PMRM).
    pub discounted: bool,
    /// What a coin in the account is charged on.
    pub coins: CoinRule,
    /// Surcharge when the stable coin loses its peg.
    pub peg: Peg,
    /// Surcharge on prices that their sources are unsure of.
    pub confidence: Confidence,
    /// Contingency per base unit of perpetual, relative to the index.
    pub perpetual: Rates,
    /// Contingency per uncovered short base unit of option, relative to the index.
    pub option: Rates,
    /// What a positive shocked value of an expiry is multiplied by: at most 1.
    pub long_discount: Discount,
    /// What a negative one is multiplied by: at least 1.
    pub short_discount: Discount,
    /// Contingency for forwards that move apart from spot.
    pub basis: Basis,
    /// What an account of ours needs beside the published parameters.
    pub account: AccountTerms,
}

/// What a coin is charged on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CoinRule {
    /// `amount x price`, with the confidence of spot and perpetual (PMRM).
    AtIndex,
    /// `amount x price / stable price`, with the confidence of spot and of the coin itself (PMRM_2).
    InStable,
}

/// `depeg = max(0, threshold - stable price) x factor` is added to the factor of initial margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peg {
    /// Price beneath which the peg is lost.
    pub threshold: Fixed,
    /// What each unit of shortfall adds to the factor.
    pub factor: Fixed,
}

/// `[c < threshold] (1 - c) margin n S` for `n` base units whose price has confidence `c`, 1 being sure.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Confidence beneath which there is a charge.
    pub threshold: Fixed,
    /// Share of the value charged at confidence 0.
    pub margin: Fixed,
}

/// Rates of a contingency; that of initial margin comes on top of that of maintenance margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// In maintenance margin.
    pub mm: Fixed,
    /// Added in initial margin.
    pub im_add: Fixed,
}

/// A static discount: `base` and `exp(-tau (max(r, 0) rate_mult + rate_add))`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Discount {
    /// At expiry.
    pub base: Fixed,
    /// Multiple of the rate.
    pub rate_mult: Fixed,
    /// Added rate, per year.
    pub rate_add: Fixed,
}

/// `sum_e min(V_e(up) - mtm_e, V_e(down) - mtm_e, 0) (add + mult tau)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Basis {
    /// Multiple of the forward, above 1.
    pub up: Fixed,
    /// Multiple of the forward, below 1.
    pub down: Fixed,
    /// Share of the loss that counts at expiry.
    pub add: Fixed,
    /// What a year adds to it.
    pub mult: Fixed,
}

/// Which way a scenario moves volatility.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum VolShift {
    /// Up, at least to the floor.
    Up,
    /// Down.
    Down,
    /// Not at all.
    None,
    /// Tilted by log-moneyness; the loss counts whichever way.
    Linear,
    /// Lifted by the size of log-moneyness; the loss counts whichever way.
    Abs,
}

impl VolShift {
    /// Whether it moves the smile and not its level.
    pub fn is_skew(self) -> bool {
        matches!(self, Self::Linear | Self::Abs)
    }
}

/// A scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shock {
    /// Multiple of spot, >= 0.
    pub spot: Fixed,
    /// What becomes of volatility.
    pub vol: VolShift,
    /// Share of the profit or loss that counts.
    pub damping: Fixed,
}

/// Options of one expiry, valued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expiry {
    /// Seconds to expiry; expired at 0 and below.
    pub seconds: i64,
    /// Interest rate per year; below 0 it counts as 0.
    pub rate: Fixed,
    /// Least confidence of forward, rate and volatility; 1 is sure.
    pub confidence: Fixed,
    /// Value at the market.
    pub mtm: Fixed,
    /// Value with the forward at `basis.up` and at `basis.down`, volatility unchanged.
    pub at_basis: (Fixed, Fixed),
    /// Value under each scenario, in their order.
    pub shocked: Vec<Fixed>,
    /// Sum of the sizes of all options, base units.
    pub size: Fixed,
    /// Uncovered short options, base units: [`naked`].
    pub naked: Fixed,
}

/// The perpetual of the account; all zero where there is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Perpetual {
    /// Signed base units.
    pub size: Fixed,
    /// Gain per unit relative move of spot: `size x price`.
    pub exposure: Fixed,
    /// Confidence of its price; 1 is sure.
    pub confidence: Fixed,
    /// Unrealised profit and funding.
    pub value: Fixed,
}

impl Perpetual {
    /// A position of so many base units at a price, with its unrealised profit and funding. Without a position nothing
    /// counts, whatever is still stated as unrealised.
    pub fn at(size: Fixed, price: Fixed, confidence: Fixed, unrealised: Fixed, funding: Fixed) -> Self {
        if size == Fixed::ZERO {
            return Self::default();
        }
        Self { size, exposure: size * price, confidence, value: unrealised + funding }
    }
}

/// A coin in the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coin {
    /// Units.
    pub amount: Fixed,
    /// Price of a unit.
    pub price: Fixed,
    /// Confidence of the price; 1 is sure.
    pub confidence: Fixed,
    /// Whether it moves with spot in the scenarios.
    pub cancelling: bool,
    /// Haircuts.
    pub haircut: Rates,
}

/// What an account holds of one underlying.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Portfolio {
    /// Index price.
    pub spot: Fixed,
    /// Its confidence; 1 is sure.
    pub confidence: Fixed,
    /// Price of the stable coin that cash is in.
    pub stable: Fixed,
    /// Cash.
    pub cash: Fixed,
    /// Perpetual.
    pub perpetual: Perpetual,
    /// Options.
    pub expiries: Vec<Expiry>,
    /// Coins.
    pub coins: Vec<Coin>,
}

/// One part of the requirement: code, in initial margin, in maintenance margin.
pub type Part = (&'static str, Fixed, Fixed);

/// The result, with what it is made of. Charges are 0 or more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// Net initial margin.
    pub im: Fixed,
    /// Net maintenance margin.
    pub mm: Fixed,
    /// Mark value of the options.
    pub option_mtm: Fixed,
    /// Mark value of everything, with cash.
    pub mtm: Fixed,
    /// Profit or loss of each scenario, in their order.
    pub scenario_pnl: Vec<Fixed>,
    /// The basis contingency, 0 or less.
    pub basis_contingency: Fixed,
    /// Place of the scenario that binds; the number of scenarios where the basis contingency does.
    pub worst: usize,
    /// What confidence charges in initial margin.
    pub confidence: Fixed,
    /// Contingency of the perpetual.
    pub perpetual: Rates,
    /// Contingency of uncovered short options.
    pub option: Rates,
    /// Haircuts of coins.
    pub coin: Rates,
    /// What `mtm - im` and `mtm - mm` are made of.
    pub parts: Vec<Part>,
}

/// Years to expiry, ACT/365; 0 from expiry on.
pub fn years(seconds: i64) -> Fixed {
    Fixed::ratio(i128::from(seconds.max(0)), i128::from(YEAR_SECONDS))
}

/// The forward as the part already averaged and the part that still moves with spot: inside the last 30 minutes
/// `F (1800 - sec)/1800` and `F sec/1800`, before them nothing and `F`, from expiry on `F` and nothing.
///
/// ```
/// use plimsoll_margin::venue::derive_portfolio::settling;
/// use plimsoll_types::Fixed;
/// assert_eq!(settling(Fixed::from(1000), 450), (Fixed::from(750), Fixed::from(250)));
/// assert_eq!(settling(Fixed::from(1000), 1800), (Fixed::ZERO, Fixed::from(1000)));
/// ```
pub fn settling(forward: Fixed, seconds: i64) -> (Fixed, Fixed) {
    let left = i128::from(seconds.clamp(0, SETTLEMENT_SECONDS));
    let whole = i128::from(SETTLEMENT_SECONDS);
    let variable = forward.scaled(left, whole, Rounding::Nearest);
    (forward - variable, variable)
}

/// The forward under a shock: `fixed + variable x spot`.
pub fn forward(fixed: Fixed, variable: Fixed, spot: Fixed) -> Fixed {
    fixed + variable * spot
}

/// `sum amount x price x D`, the value of an expiry from undiscounted prices of its options.
pub fn expiry_value(options: &[(Fixed, Fixed)], discount: Fixed) -> Fixed {
    options.iter().map(|(amount, price)| *amount * (*price * discount)).sum()
}

/// Uncovered short options of an expiry, from (strike, call?, amount). At one strike a call and a put of opposite signs
/// cover each other, `max(-sum, 0)`; two shorts add; two longs need nothing.
///
/// # Errors
/// [`VenueError::Overflow`] where a number was lost.
pub fn naked(options: impl IntoIterator<Item = (Fixed, bool, Fixed)>) -> Result<Fixed, VenueError> {
    let mut strikes: BTreeMap<i128, (Fixed, Fixed)> = BTreeMap::new();
    for (strike, call, amount) in options {
        let key = strike.known().ok_or(VenueError::Overflow { what: "a strike" })?;
        let at = strikes.entry(key).or_default();
        let side = if call { &mut at.0 } else { &mut at.1 };
        *side = *side + amount;
    }
    let short = |(call, put): &(Fixed, Fixed)| {
        let opposite = (*call < Fixed::ZERO) != (*put < Fixed::ZERO);
        if opposite { (-(*call + *put)).positive() } else { (-*call).positive() + (-*put).positive() }
    };
    settled(strikes.values().map(short).sum(), "uncovered short options")
}

/// Refuses a set of scenarios that the venue refuses: none or more than [`SCENARIOS_MAX`], more than one linear or one
/// absolute skew shock, or one that moves spot.
///
/// # Errors
/// [`VenueError::Domain`] with what was found.
pub fn check_set(shocks: &[Shock]) -> Result<(), VenueError> {
    let domain = |what, value: String, expected| Err(VenueError::Domain { what, value, expected });
    if shocks.is_empty() || shocks.len() > SCENARIOS_MAX {
        return domain("the number of scenarios", shocks.len().to_string(), "1 to 40");
    }
    for kind in [VolShift::Linear, VolShift::Abs] {
        let all: Vec<&Shock> = shocks.iter().filter(|shock| shock.vol == kind).collect();
        if all.len() > 1 {
            let what =
                if kind == VolShift::Linear { "linear skew scenarios" } else { "absolute skew scenarios" };
            return domain(what, all.len().to_string(), "at most one");
        }
        if let Some(moved) = all.into_iter().find(|shock| shock.spot != Fixed::ONE) {
            return domain("the spot move of a skew scenario", moved.spot.to_string(), "1: spot unchanged");
        }
    }
    let wrong = shocks.iter().find(|s| !(s.spot >= Fixed::ZERO) || !(s.damping >= Fixed::ZERO));
    wrong.map_or(Ok(()), |s| {
        domain("a scenario", format!("spot {} damping {}", s.spot, s.damping), "numbers not below 0")
    })
}

impl Terms {
    /// `D = exp(-max(r, 0) tau)`, or 1 where values are not discounted.
    pub fn discount(&self, rate: Fixed, seconds: i64) -> Fixed {
        if self.discounted { (-(rate.positive() * years(seconds))).exp() } else { Fixed::ONE }
    }

    /// `base exp(-tau (max(r, 0) rate_mult + rate_add))` on a positive shocked value.
    pub fn long_factor(&self, rate: Fixed, seconds: i64) -> Fixed {
        self.long_discount.base * self.long_discount.decay(rate, seconds)
    }

    /// `min(1/D, base / exp(-tau (max(r, 0) rate_mult + rate_add)))` on a negative one: a short is never marked further
    /// down than to its undiscounted value.
    pub fn short_factor(&self, rate: Fixed, seconds: i64) -> Fixed {
        let most = Fixed::ONE / self.discount(rate, seconds);
        let decay = self.short_discount.decay(rate, seconds);
        let marked = self.short_discount.base / decay;
        // A decay below half a unit of 1e-18, or a quotient that does not fit, is above any cap.
        if marked.known().is_none() && decay.known().is_some() { most } else { most.min(marked) }
    }

    /// `[c < threshold] (1 - c) margin`, the share of the value charged for confidence `c`.
    fn unsure(&self, confidence: Fixed) -> Fixed {
        let charged = confidence < self.confidence.threshold;
        if charged { (Fixed::ONE - confidence) * self.confidence.margin } else { Fixed::ZERO }
    }
}

impl Discount {
    fn decay(&self, rate: Fixed, seconds: i64) -> Fixed {
        (-(years(seconds) * (rate.positive() * self.rate_mult + self.rate_add))).exp()
    }
}

/// The net margins of a portfolio under a set of scenarios. Ties go to the first scenario strictly below the running
/// minimum, which starts at the basis contingency.
///
/// ```
/// use plimsoll_margin::venue::derive_portfolio::{check_set, Shock, VolShift};
/// use plimsoll_types::Fixed;
/// let tilted = Shock { spot: "1.1".parse()?, vol: VolShift::Linear, damping: Fixed::ONE };
/// assert!(check_set(&[tilted]).is_err());
/// # Ok::<(), plimsoll_types::DecimalError>(())
/// ```
///
/// # Errors
/// [`VenueError`] when the set is refused ([`check_set`]), an expiry is not valued under every scenario, or a number does
/// not fit.
pub fn evaluate(terms: &Terms, shocks: &[Shock], held: &Portfolio) -> Result<Outcome, VenueError> {
    check_set(shocks)?;
    if !(held.stable > Fixed::ZERO) {
        let value = held.stable.to_string();
        return Err(VenueError::Domain { what: "the stable price", value, expected: "above 0" });
    }
    if let Some(expiry) = held.expiries.iter().find(|e| e.shocked.len() != shocks.len()) {
        let value = expiry.shocked.len().to_string();
        return Err(VenueError::Domain { what: "values of an expiry", value, expected: "one per scenario" });
    }
    let scenario_pnl = scenario_pnl(terms, shocks, held);
    let basis_contingency = basis_contingency(terms, held);
    let (worst, loss) = worst(basis_contingency, &scenario_pnl)?;
    let charges = contingencies(terms, held);
    let parts = charges.parts(terms, loss, held.stable);
    let option_mtm: Fixed = held.expiries.iter().map(|e| e.mtm).sum();
    let coins: Fixed = held.coins.iter().map(|c| c.value(held.stable)).sum();
    let mtm = held.perpetual.value + option_mtm + coins + held.cash;
    let net = |read: fn(&Part) -> Fixed, what| settled(mtm - parts.iter().map(read).sum(), what);
    Ok(Outcome {
        im: net(|p| p.1, "net initial margin")?,
        mm: net(|p| p.2, "net maintenance margin")?,
        option_mtm,
        mtm,
        scenario_pnl,
        basis_contingency,
        worst,
        confidence: charges.confidence,
        perpetual: charges.perpetual,
        option: charges.option,
        coin: charges.coin,
        parts,
    })
}

impl Coin {
    /// `amount x price / stable price`.
    fn value(&self, stable: Fixed) -> Fixed {
        self.amount * self.price / stable
    }
}

/// Per scenario: expiries, discounted against the account and damped, perpetual, and coins that move with spot.
fn scenario_pnl(terms: &Terms, shocks: &[Shock], held: &Portfolio) -> Vec<Fixed> {
    let factors: Vec<(Fixed, Fixed)> = held
        .expiries
        .iter()
        .map(|e| (terms.long_factor(e.rate, e.seconds), terms.short_factor(e.rate, e.seconds)))
        .collect();
    let cancelling = held.coins.iter().filter(|c| c.cancelling);
    let moving = held.perpetual.exposure + cancelling.map(|c| c.value(held.stable)).sum();
    let of = |(place, shock): (usize, &Shock)| {
        let options: Fixed = held
            .expiries
            .iter()
            .zip(&factors)
            .map(|(e, (long, short))| {
                let x = e.shocked[place];
                let gain = (x * if x >= Fixed::ZERO { *long } else { *short } - e.mtm) * shock.damping;
                if shock.vol.is_skew() { -gain.abs() } else { gain }
            })
            .sum();
        options + moving * (shock.spot - Fixed::ONE) * shock.damping
    };
    shocks.iter().enumerate().map(of).collect()
}

fn basis_contingency(terms: &Terms, held: &Portfolio) -> Fixed {
    let of = |e: &Expiry| {
        let worse = (e.at_basis.0 - e.mtm).min(e.at_basis.1 - e.mtm).min(Fixed::ZERO);
        worse * (terms.basis.add + terms.basis.mult * years(e.seconds))
    };
    held.expiries.iter().map(of).sum()
}

/// Place and size of the loss.
fn worst(basis: Fixed, pnl: &[Fixed]) -> Result<(usize, Fixed), VenueError> {
    let mut least = (pnl.len(), settled(basis, "the basis contingency")?);
    for (place, pnl) in pnl.iter().enumerate() {
        let pnl = settled(*pnl, "a scenario's profit or loss")?;
        if pnl < least.1 {
            least = (place, pnl);
        }
    }
    Ok(least)
}

struct Contingencies {
    confidence: Fixed,
    perpetual: Rates,
    option: Rates,
    coin: Rates,
}

fn contingencies(terms: &Terms, held: &Portfolio) -> Contingencies {
    let (spot, size) = (held.spot, held.perpetual.size.abs());
    let both = if held.perpetual.size == Fixed::ZERO {
        held.confidence
    } else {
        held.confidence.min(held.perpetual.confidence)
    };
    let naked: Fixed = held.expiries.iter().map(|e| e.naked).sum();
    let charged =
        |rates: Rates, notional: Fixed| Rates { mm: notional * rates.mm, im_add: notional * rates.im_add };
    let mut coin = Rates { mm: Fixed::ZERO, im_add: Fixed::ZERO };
    let mut confidence = terms.unsure(both) * size * spot;
    for held_coin in &held.coins {
        let (value, sure) = match terms.coins {
            CoinRule::AtIndex => (held_coin.amount * held_coin.price, both),
            CoinRule::InStable => (held_coin.value(held.stable), held_coin.confidence.min(held.confidence)),
        };
        let of_it = charged(held_coin.haircut, value);
        coin = Rates { mm: coin.mm + of_it.mm, im_add: coin.im_add + of_it.im_add };
        confidence = confidence + terms.unsure(sure) * value;
    }
    for expiry in &held.expiries {
        confidence = confidence + terms.unsure(both.min(expiry.confidence)) * expiry.size * spot;
    }
    Contingencies {
        confidence,
        perpetual: charged(terms.perpetual, size * spot),
        option: charged(terms.option, naked * spot),
        coin,
    }
}

impl Contingencies {
    /// `mtm - N` in its parts: the loss and, where the terms say so, the contingencies times the factors.
    fn parts(&self, terms: &Terms, loss: Fixed, stable: Fixed) -> Vec<Part> {
        let depeg = (terms.peg.threshold - stable).positive() * terms.peg.factor;
        let factor = if terms.contingency_scaled { terms.im_factor } else { Fixed::ONE };
        let added = |code, rates: Rates| (code, rates.mm * factor + rates.im_add, rates.mm);
        let static_mm = self.perpetual.mm + self.option.mm + self.coin.mm;
        let pegged = if terms.contingency_scaled { static_mm - loss } else { -loss };
        vec![
            ("scan_loss", -loss * terms.im_factor, -loss * terms.mm_factor),
            ("depeg", pegged * depeg, Fixed::ZERO),
            added("perpetual_contingency", self.perpetual),
            added("option_contingency", self.option),
            added("coin_haircut", self.coin),
            ("confidence_contingency", self.confidence, Fixed::ZERO),
        ]
    }
}

/// The scenarios that the venue tests PMRM and its auctions with: spot at 1.15, 1.10, ... 0.85, each with volatility up,
/// unchanged and down, undamped.
pub fn test_set() -> Vec<Shock> {
    let spots = (0..7).map(|step| Fixed::ratio(115 - 5 * step, 100));
    let vols = [VolShift::Up, VolShift::None, VolShift::Down];
    spots.flat_map(|spot| vols.map(|vol| Shock { spot, vol, damping: Fixed::ONE })).collect()
}
