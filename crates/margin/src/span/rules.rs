//! What SPAN needs of one account, whoever publishes the arrays: plain integers, resolved to what is held.
//!
//! Money is ticks, deltas and ratios are billionths of a contract, shares are billionths.

use crate::{ShortCount, Side};

/// The scenario table, as the file or the preset states it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanTable {
    /// Per scenario, the index of the one that differs in the move of volatility only (its own where there is none).
    pub pairs: Vec<usize>,
    /// The scenarios that count, in order; the first of them and its pair measure time risk (methods 2.6).
    pub scanned: Vec<usize>,
}

/// A combined commodity as one account holds it, with its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanBook<'a> {
    /// Loss of the position per scenario (loss > 0), one vector per scanning tier that is held; at least one.
    pub losses: Vec<Vec<i128>>,
    /// Contract months with delta, the nearest first.
    pub months: Vec<SpanMonth>,
    /// Tiers of inter-commodity legs, with the losses of what is held in each.
    pub credit_tiers: Vec<SpanCreditTier>,
    /// Inter-month spreads in order of priority, series-to-series before tier-to-tier.
    pub intra: &'a [SpanSpread],
    /// Charge between the spot product and all else, if any.
    pub basis: Option<SpanBasis>,
    /// Short options by tier of the short option minimum.
    pub shorts: Vec<SpanShorts>,
    /// Which short options the minimum counts.
    pub short_count: ShortCount,
    /// Net option value, signed: premium-style options only.
    pub option_value: i128,
    /// Whether option value is capped at the commodity's own risk.
    pub capped: bool,
    /// Price scan per contract, ticks; needed by credits that read it.
    pub price_scan: Option<i128>,
}

/// Delta of one contract month.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanMonth {
    /// Its name, which series-to-series spreads refer to: `202512`, `20251219`.
    pub period: String,
    /// Inter-month tiers it belongs to.
    pub tiers: Vec<usize>,
    /// Inter-commodity tiers it belongs to.
    pub credit_tiers: Vec<usize>,
    /// Position delta, `q x composite delta x scaling factor` (methods 2.3).
    pub delta: i128,
    /// Charge in delivery; `None` outside it.
    pub spot: Option<SpanSpot>,
}

/// Rates of a month in delivery, ticks per contract of delta (methods 2.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanSpot {
    /// On delta that spreads consumed.
    pub consumed: i128,
    /// On delta that remains.
    pub outright: i128,
}

/// Spot product against the rest of its commodity (type 4, method 11): `rate x min(|spot|, |rest|)` where the two are on
/// opposite sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanBasis {
    /// Delta of the spot product.
    pub spot_delta: i128,
    /// Delta of all other products.
    pub other_delta: i128,
    /// Ticks per contract of delta.
    pub rate: i128,
}

/// A tier of inter-commodity legs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCreditTier {
    /// Its number.
    pub tier: usize,
    /// Loss per scenario of what is held in it.
    pub losses: Vec<i128>,
    /// Price scan per contract, ticks.
    pub price_scan: Option<i128>,
}

/// Short options of one tier of the short option minimum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanShorts {
    /// Short calls, billionths of a contract.
    pub calls: i128,
    /// Short puts, billionths of a contract.
    pub puts: i128,
    /// Ticks per contract.
    pub rate: i128,
}

/// Where a leg of an inter-month spread draws delta from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SpanPlace {
    /// A tier: its months on one side, taken together.
    Tier(usize),
    /// One contract month.
    Month(String),
}

/// A leg of an inter-month spread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanSpreadLeg {
    /// Where it draws from.
    pub place: SpanPlace,
    /// Its side; both orientations are tried.
    pub side: Side,
    /// Delta per spread; > 0.
    pub ratio: i128,
}

/// An inter-month spread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanSpread {
    /// Its legs, any number.
    pub legs: Vec<SpanSpreadLeg>,
    /// Ticks per spread.
    pub rate: i128,
}

/// How the credit of one leg is found (methods 2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanCreditMethod {
    /// Share of the weighted price risk (method 1).
    PriceRisk(i128),
    /// Share of the smaller of it and the price scan (method 2).
    Capped(i128),
    /// Share of the price scan (method 3).
    Scan(i128),
    /// Ticks per spread (flat method).
    Flat(i128),
}

/// A leg of an inter-commodity spread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCreditLeg {
    /// Index into the books of the account.
    pub book: usize,
    /// One tier of it, or all of it.
    pub tier: Option<usize>,
    /// Its side; both orientations are tried.
    pub side: Side,
    /// Delta per spread; > 0.
    pub ratio: i128,
    /// How its credit is found.
    pub method: SpanCreditMethod,
}

/// An inter-commodity spread all of whose legs the account holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCredit {
    /// A "super" spread (group flag S): formed before inter-month spreads.
    pub before_intra: bool,
    /// Its legs, any number.
    pub legs: Vec<SpanCreditLeg>,
}

/// SPAN's numbers for one combined commodity of an account, ticks unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanFigures {
    /// Largest scenario loss, floored at 0, summed over scanning tiers.
    pub scan_loss: i128,
    /// The active scenario of the first scanning tier that loses, from 0; the first scenario where none loses.
    pub active: usize,
    /// Net delta, billionths of a contract.
    pub net_delta: i128,
    /// `SR + SR_pair - s1 - s2`: twice the price risk.
    pub price_risk_twice: i128,
    /// Inter-month charge.
    pub intra: i128,
    /// Delivery and basis charge.
    pub spot: i128,
    /// Inter-commodity credit.
    pub inter_credit: i128,
    /// Short option minimum.
    pub short_option_minimum: i128,
    /// `max(scan_loss + intra + spot - inter_credit, short_option_minimum)`.
    pub risk: i128,
    /// Net option value, signed.
    pub option_value: i128,
    /// Whether it is capped.
    pub capped: bool,
}

/// A requirement and the option value behind it, ticks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanRequirement {
    /// Risk times its factor, rounded up.
    pub risk: i128,
    /// Option value that offsets risk: all of it, or at most `risk` where it is capped.
    pub available: i128,
    /// `max(risk - available, 0)`.
    pub requirement: i128,
}
