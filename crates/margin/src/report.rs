//! What an account is told: every number that was added.

use crate::params::Mode;
use crate::venue::VenueCharge;
use plimsoll_types::{AccountId, Asset, CorrelationState, InstrumentIx, Lots, Ppb, Ticks};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// A pair of amounts, for initial and for maintenance margin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Requirement {
    /// In initial margin.
    pub im: Ticks,
    /// In maintenance margin.
    pub mm: Ticks,
}

/// How an account stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// `im_excess >= 0`.
    Healthy,
    /// `im_excess < 0 <= mm_excess`: no new risk.
    Call,
    /// `mm_excess < 0`.
    Liquidatable,
}

impl State {
    /// The state that follows from `equity - im` and `equity - mm`.
    pub const fn of(im_excess: Ticks, mm_excess: Ticks) -> Self {
        if mm_excess.0 < 0 {
            Self::Liquidatable
        } else if im_excess.0 < 0 {
            Self::Call
        } else {
            Self::Healthy
        }
    }
}

/// The five numbers of an account and its state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Whose.
    pub account: AccountId,
    /// Initial margin; >= 0.
    pub im: Ticks,
    /// Maintenance margin; >= 0.
    pub mm: Ticks,
    /// Collateral after haircuts, rounded down, plus marks and unrealised profit.
    pub equity: Ticks,
    /// `equity - im`; in isolated mode the least over positions.
    pub im_excess: Ticks,
    /// `equity - mm`; in isolated mode the least over positions.
    pub mm_excess: Ticks,
    /// Which of the three states follows.
    pub state: State,
}

/// The margin of one account. The parts add up: `im = base.im + guard.im + sum of addons.im - premium_relief.im +
/// orders.extra.im`, and likewise `mm`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MarginReport {
    /// Whose.
    pub account: AccountId,
    /// What netted against what.
    pub mode: Mode,
    /// Initial margin; >= 0.
    pub im: Ticks,
    /// Maintenance margin; >= 0.
    pub mm: Ticks,
    /// Collateral after haircuts, rounded down, plus marks (whole ticks per lot, rounded to nearest) plus unrealised
    /// profit.
    pub equity: Ticks,
    /// `equity - im`; in isolated mode the least over positions.
    pub im_excess: Ticks,
    /// `equity - mm`; in isolated mode the least over positions.
    pub mm_excess: Ticks,
    /// Which state follows.
    pub state: State,
    /// The aggregate before scaling; >= 0.
    pub aggregate: Requirement,
    /// `ceil(scale x aggregate)`.
    pub base: Requirement,
    /// How the aggregate for initial margin was found.
    pub im_detail: AggregateDetail,
    /// How the aggregate for maintenance margin was found.
    pub mm_detail: AggregateDetail,
    /// Half a tick per lot and stacked sum, scaled, rounded up; 0 when switched off.
    pub guard: Requirement,
    /// Charges beside the scenario losses, in a fixed order, zero charges left out.
    pub addons: Vec<Addon>,
    /// What is taken off because long options and long spot may be dropped: a book is never charged more than it would be
    /// without them, plus their marks; >= 0.
    pub premium_relief: Requirement,
    /// What open orders added, and under which fills.
    pub orders: OrdersReport,
    /// Value of what is held: marks of options and spot, signed.
    pub marks: Ticks,
    /// Profit since entry, signed.
    pub unrealised: Ticks,
    /// Collateral, one by one.
    pub collateral: Vec<CollateralReport>,
    /// Per underlying held, in the order of the arrays.
    pub underlyings: Vec<UnderlyingReport>,
    /// Sum of the standalone scan losses of the positions minus the aggregate for initial margin; in `fixed` 0.
    pub netting_benefit: Ticks,
    /// The positions of an isolated account; empty in other modes.
    pub isolated: Vec<IsolatedPosition>,
    /// SPAN's numbers per commodity; empty under other aggregations.
    pub span: Vec<SpanCommodityReport>,
    /// The parts of `base` under a venue's method; empty under other aggregations.
    pub venue: Vec<VenueCharge>,
}

impl MarginReport {
    /// The five numbers and the state.
    pub fn summary(&self) -> Summary {
        Summary {
            account: self.account.clone(),
            im: self.im,
            mm: self.mm,
            equity: self.equity,
            im_excess: self.im_excess,
            mm_excess: self.mm_excess,
            state: self.state,
        }
    }
}

/// How an aggregate was found.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct AggregateDetail {
    /// Sum of scan losses over underlyings; also of standalone scan losses in mode cross.
    pub sum: Ticks,
    /// `factor`: the floor under the result.
    pub floor: Option<Ticks>,
    /// `factor`: each correlation state.
    pub states: Vec<FactorState>,
    /// `factor`: the index in `states` of the worst one.
    pub worst_state: Option<usize>,
    /// Joint blocks: the statistic of the ordinary columns.
    pub joint: Option<Ticks>,
    /// Joint blocks: the statistic of the stressed columns.
    pub stressed: Option<Ticks>,
    /// Joint blocks: the blend of both, rounded up.
    pub blended: Option<Ticks>,
    /// Joint blocks: the column of the largest loss.
    pub worst_joint: Option<usize>,
    /// SPAN: total credit between commodities, before scaling.
    pub inter_credit: Ticks,
}

/// The loss of an account under one state of correlation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FactorState {
    /// Which state.
    pub state: CorrelationState,
    /// Largest loss over the columns of the common factor, floored at 0.
    pub systematic: Ticks,
    /// The column of that loss.
    pub column: Option<usize>,
    /// Sum over underlyings of what they lose beside the common factor.
    pub idiosyncratic: Ticks,
}

/// One underlying of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnderlyingReport {
    /// Its place in the arrays.
    pub index: usize,
    /// Its name.
    pub asset: Asset,
    /// Worst loss over the grid columns of initial margin; >= 0.
    pub scan_loss: Ticks,
    /// The column of that loss, lowest index on a tie; `None` when no column loses.
    pub worst: Option<usize>,
    /// As `scan_loss`, over the grid columns of maintenance margin.
    pub mm_scan_loss: Ticks,
    /// As `worst`, over the grid columns of maintenance margin.
    pub mm_worst: Option<usize>,
    /// Profit or loss under every column of the arrays. Shared by the reports of one account in which it is the same.
    #[serde(with = "vector")]
    pub pnl: Arc<[Ticks]>,
    /// What each position adds under `worst`, largest loss first.
    pub contributions: Vec<Contribution>,
    /// Greeks, exact sums.
    pub greeks: GreekSums,
}

/// A shared vector in files: a list like any other.
mod vector {
    use plimsoll_types::Ticks;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub(super) fn serialize<S: Serializer>(pnl: &Arc<[Ticks]>, to: S) -> Result<S::Ok, S::Error> {
        pnl.as_ref().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[Ticks]>, D::Error> {
        Vec::deserialize(from).map(Arc::from)
    }
}

/// A position's part in the worst scenario.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Contribution {
    /// Its row.
    pub instrument: InstrumentIx,
    /// Its size.
    pub lots: Lots,
    /// Profit or loss in the worst column.
    pub pnl: Ticks,
}

/// Greeks of all positions on one underlying: sums of lots times the per-lot integers, in the units of `GreekTicks`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GreekSums {
    /// Per unit relative move of spot.
    pub delta: Ticks,
    /// Second derivative in relative spot.
    pub gamma: Ticks,
    /// Per 1.00 of volatility.
    pub vega: Ticks,
    /// Per year.
    pub theta: Ticks,
    /// Per 1.00 of the rate.
    pub rho: Ticks,
    /// Cross derivative in relative spot and volatility.
    pub vanna: Ticks,
    /// Second derivative in volatility.
    pub volga: Ticks,
}

/// What a charge is for. The codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddonKind {
    /// Minimum for short options.
    ShortOption,
    /// Opposite forwards of different expiries.
    Basis,
    /// Opposite vega in different tenor buckets.
    Vega,
    /// Cost of closing a large delta.
    Liquidity,
    /// Cost of closing a large vega.
    VegaLiquidity,
    /// Wide confidence interval of the index, or of the price of collateral.
    Confidence,
    /// Collateral that falls when the account loses.
    WrongWay,
    /// A stable coin beneath its peg.
    Depeg,
    /// Uncovered short options near expiry.
    Expiry,
    /// Funding about to be paid.
    Funding,
    /// SPAN: option value beyond the risk of its own commodity, which the cap keeps from offsetting others.
    OptionValueCap,
}

impl AddonKind {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::ShortOption => "short_option",
            Self::Basis => "basis",
            Self::Vega => "vega",
            Self::Liquidity => "liquidity",
            Self::VegaLiquidity => "vega_liquidity",
            Self::Confidence => "confidence",
            Self::WrongWay => "wrong_way",
            Self::Depeg => "depeg",
            Self::Expiry => "expiry",
            Self::Funding => "funding",
            Self::OptionValueCap => "option_value_cap",
        }
    }
}

/// A number a charge was computed from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "unit", content = "value", rename_all = "snake_case")]
pub enum Input {
    /// An amount of money.
    Money(Ticks),
    /// A ratio.
    Ratio(Ppb),
    /// Seconds.
    Seconds(i64),
    /// A count.
    Count(i128),
}

/// One charge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Addon {
    /// What for.
    pub kind: AddonKind,
    /// The underlying or collateral asset it is about.
    pub asset: Asset,
    /// In initial margin; >= 0.
    pub im: Ticks,
    /// In maintenance margin; >= 0. At most `im`, but for a minimum of style `floor`, whose loss differs too, and for a
    /// charge on collateral cut to what the collateral secures.
    pub mm: Ticks,
    /// What it was computed from, by name.
    pub inputs: Vec<(Cow<'static, str>, Input)>,
}

/// A collateral asset of an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CollateralReport {
    /// Which asset.
    pub asset: Asset,
    /// Billionths of a unit, all holdings together; negative is borrowed.
    pub amount_nano: i128,
    /// Price of one unit that counts, ticks: of a stable coin that is held, at most one unit of the currency; of what is
    /// borrowed, but the currency, one tick above its price.
    pub price: i64,
    /// Value before the haircut, rounded down.
    pub value: Ticks,
    /// What the haircut takes, rounded up; of a borrowed amount what it adds to the debt.
    pub haircut: Ticks,
    /// `value - haircut`: what counts in equity.
    pub counted: Ticks,
}

/// Which open orders were taken to fill.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderCase {
    /// None.
    None,
    /// All bids.
    Bids,
    /// All asks.
    Asks,
    /// All orders that raise delta.
    DeltaUp,
    /// All orders that lower delta.
    DeltaDown,
    /// In each scenario those that hurt.
    Bound,
    /// These, by their place in the portfolio's list.
    Subset(Vec<usize>),
}

/// The requirement under one case of fills, net of the edge of the orders filled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderCaseMargin {
    /// Which fills.
    pub case: OrderCase,
    /// Requirement minus edge; may lie below that without orders.
    pub margin: Requirement,
}

/// What open orders did to a requirement.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OrdersReport {
    /// Every case that was tried.
    pub cases: Vec<OrderCaseMargin>,
    /// The index in `cases` that bound initial margin.
    pub im_case: Option<usize>,
    /// The index in `cases` that bound maintenance margin.
    pub mm_case: Option<usize>,
    /// What orders added to the requirement without them; >= 0.
    pub extra: Requirement,
}

/// A position of an isolated account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IsolatedPosition {
    /// Its row.
    pub instrument: InstrumentIx,
    /// Its size.
    pub lots: Lots,
    /// Initial margin on its own.
    pub im: Ticks,
    /// Maintenance margin on its own.
    pub mm: Ticks,
    /// Its collateral, its share of what is not set aside, its mark and its profit.
    pub equity: Ticks,
    /// `equity - im`.
    pub im_excess: Ticks,
    /// `equity - mm`.
    pub mm_excess: Ticks,
}

/// SPAN's numbers for one combined commodity, in ticks unless said otherwise.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpanCommodityReport {
    /// The commodity.
    pub asset: Asset,
    /// Largest scenario loss, floored at 0.
    pub scan_loss: Ticks,
    /// The column of the active scenario.
    pub active: usize,
    /// Net delta in contracts, billionths.
    pub net_delta: i128,
    /// `SR + SR_pair - s1 - s2`: twice the price risk.
    pub price_risk_twice: Ticks,
    /// Inter-month charge.
    pub intra: Ticks,
    /// Delivery charge.
    pub spot: Ticks,
    /// Inter-commodity credit.
    pub inter_credit: Ticks,
    /// Short option minimum.
    pub short_option_minimum: Ticks,
    /// `max(scan_loss + intra + spot - inter_credit, short_option_minimum)`.
    pub risk: Ticks,
    /// Net option value, signed.
    pub option_value: Ticks,
    /// The option value that may offset risk: `option_value`, or the smaller of it and `risk` when capped.
    pub available_option_value: Ticks,
    /// `max(risk - available_option_value, 0)`, as a clearing house publishes it (maintenance, before factors).
    pub requirement: Ticks,
}

/// A trade at the mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trade {
    /// The row.
    pub instrument: InstrumentIx,
    /// Signed lots; a purchase > 0.
    pub lots: Lots,
}

/// The margin of an account before and after trades.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WhatIf {
    /// As it is.
    pub before: MarginReport,
    /// With the trades done at the mark.
    pub after: MarginReport,
}
