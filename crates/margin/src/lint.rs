//! Whether a parameter set makes sense: the rules of the design, section 6, each broken in public at least once.

use crate::orders::EXACT_ORDERS_MAX;
use crate::{
    Addons, Aggregation, ConfidenceTerms, InterMethod, InterSpread, JointTerms, LiquidityTerms, Mode,
    OrderMethod, Params, ShortCount, SpanCommodity, SpanParams, Statistic,
};
use plimsoll_types::{Asset, BlockKind, NANO, Ppb, Purpose};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;

/// Which way a scenario moves volatility.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolMove {
    /// Down.
    Down,
    /// Not at all.
    None,
    /// Up.
    Up,
}

/// A scenario, as far as the linter looks at it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintColumn {
    /// Its label.
    pub label: String,
    /// Share of its profit or loss that counts.
    pub weight: Ppb,
    /// Relative spot move per underlying.
    pub spot: Vec<Ppb>,
    /// Which way volatility moves (of the first underlying).
    pub vol: VolMove,
    /// Whether it tilts the smile.
    pub skew: bool,
}

/// A run of columns with one meaning.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintBlock {
    /// What they mean.
    pub kind: BlockKind,
    /// Which requirement they serve.
    pub purpose: Purpose,
    /// Which columns.
    pub columns: Range<usize>,
    /// Largest allowed gap between neighbouring spot moves, as a share of the price scan; `None`: not a regular grid.
    pub step: Option<Ppb>,
}

/// What the linter is told of the other stages: plain integers and flags.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct LintInput {
    /// Underlyings, in the order of the columns' spot moves.
    pub underlyings: Vec<Asset>,
    /// Price scan of each underlying.
    pub price_scan: Vec<Ppb>,
    /// The scenarios.
    pub columns: Vec<LintColumn>,
    /// What the columns mean.
    pub blocks: Vec<LintBlock>,
}

/// A rule. The codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LintCode {
    /// Initial margin can be beneath maintenance margin.
    ImBelowMm,
    /// A long is marked up or a short marked down by a discount.
    DiscountSwapped,
    /// A charge falls with size, haircut or falling confidence.
    ChargeFalls,
    /// A scenario set lacks one tail.
    MissingTail,
    /// Neighbouring spot moves are further apart than the step allows.
    GridGap,
    /// A long option can be charged more than its premium.
    LongAbovePremium,
    /// A skew scenario moves spot.
    SkewMovesSpot,
    /// A haircut or a share is outside [0, 1].
    OutsideUnit,
    /// A lower bound lies above its upper bound.
    BoundsCrossed,
    /// Something the parameters need is not there.
    Missing,
    /// A parameter that must be positive is not.
    NotPositive,
}

/// One broken rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LintFinding {
    /// Which rule.
    pub code: LintCode,
    /// The path of the parameter, or the label of the scenario.
    pub subject: String,
    /// What is wrong, with the numbers.
    pub message: String,
}

impl LintCode {
    /// The stable code as text.
    pub fn code(self) -> &'static str {
        match self {
            Self::ImBelowMm => "im_below_mm",
            Self::DiscountSwapped => "discount_swapped",
            Self::ChargeFalls => "charge_falls",
            Self::MissingTail => "missing_tail",
            Self::GridGap => "grid_gap",
            Self::LongAbovePremium => "long_above_premium",
            Self::SkewMovesSpot => "skew_moves_spot",
            Self::OutsideUnit => "outside_unit",
            Self::BoundsCrossed => "bounds_crossed",
            Self::Missing => "missing",
            Self::NotPositive => "not_positive",
        }
    }
}

impl LintFinding {
    /// A broken rule.
    pub fn new(code: LintCode, subject: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code, subject: subject.into(), message: message.into() }
    }
}

impl fmt::Display for LintFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.code.code(), self.subject, self.message)
    }
}

/// The findings under way.
#[derive(Default)]
struct Findings(Vec<LintFinding>);

impl Findings {
    fn add(&mut self, code: LintCode, subject: impl Into<String>, message: impl Into<String>) {
        self.0.push(LintFinding::new(code, subject, message));
    }

    fn unit(&mut self, subject: &str, value: Ppb) {
        if !(0..=NANO).contains(&value.0) {
            self.add(LintCode::OutsideUnit, subject, format!("{value} is not between 0 and 1"));
        }
    }

    fn positive(&mut self, subject: &str, value: i64) {
        if value <= 0 {
            self.add(LintCode::NotPositive, subject, format!("{value} is not positive"));
        }
    }

    fn rate(&mut self, subject: &str, value: i64) {
        if value < 0 {
            let message = format!("the rate {value} is negative: the charge falls with size");
            self.add(LintCode::ChargeFalls, subject, message);
        }
    }
}

/// Every rule the parameters break; empty when clean. A set with findings is to be refused.
pub fn lint(params: &Params, input: &LintInput) -> Vec<LintFinding> {
    let mut found = Findings::default();
    scales(params, &mut found);
    aggregation(params, input, &mut found);
    collateral(params, &mut found);
    addons(&params.addons, &mut found);
    for block in &input.blocks {
        tails(block, input, &mut found);
        gaps(block, input, &mut found);
    }
    columns(input, &mut found);
    purposes(params, input, &mut found);
    found.0
}

fn scales(params: &Params, found: &mut Findings) {
    found.positive("im_scale", params.im_scale.0);
    found.positive("mm_scale", params.mm_scale.0);
    if params.im_scale < params.mm_scale {
        let message = format!("im_scale {} is below mm_scale {}", params.im_scale, params.mm_scale);
        found.add(LintCode::ImBelowMm, "im_scale", message);
    }
    if let OrderMethod::Exact { max_orders } = params.orders.method
        && max_orders > EXACT_ORDERS_MAX
    {
        let message =
            format!("max_orders {max_orders} is above {EXACT_ORDERS_MAX}, the most that is searched");
        found.add(LintCode::BoundsCrossed, "orders.method.exact", message);
    }
    let Some(fixed) = params.fixed else {
        if params.mode == Mode::Fixed {
            found.add(LintCode::Missing, "fixed", "mode fixed needs [fixed]");
        }
        return;
    };
    found.rate("fixed.mm_ratio", fixed.mm_ratio.0);
    if fixed.im_ratio < fixed.mm_ratio {
        let message = format!("im_ratio {} is below mm_ratio {}", fixed.im_ratio, fixed.mm_ratio);
        found.add(LintCode::ImBelowMm, "fixed", message);
    }
}

fn joint(terms: &JointTerms, path: &str, found: &mut Findings) {
    found.unit(&format!("{path}.stress_weight"), terms.stress_weight);
    let inside = terms.level.0 > 0 && terms.level.0 < NANO;
    if terms.statistic != Statistic::Worst && !inside {
        let message = format!("{} is not between 0 and 1, both excluded", terms.level);
        found.add(LintCode::OutsideUnit, format!("{path}.level"), message);
    }
}

fn aggregation(params: &Params, input: &LintInput, found: &mut Findings) {
    if let Some(terms) = &params.joint {
        joint(terms, "joint", found);
    }
    let has = |wanted: fn(BlockKind) -> bool| input.blocks.iter().any(|block| wanted(block.kind));
    let is_joint = matches!(params.aggregation, Aggregation::Joint(_));
    if has(|kind| kind == BlockKind::Joint) && params.joint.is_none() && !is_joint {
        found.add(LintCode::Missing, "joint", "the scenario set has joint columns, which need [joint]");
    }
    match &params.aggregation {
        Aggregation::Sum => {}
        Aggregation::Factor { floor_share } => {
            found.unit("aggregation.floor_share", *floor_share);
            let factor = has(|kind| matches!(kind, BlockKind::Systematic(_)));
            if input.underlyings.len() > 1 && !input.blocks.is_empty() && !factor {
                let message = "aggregation factor needs systematic columns";
                found.add(LintCode::Missing, "aggregation", message);
            }
        }
        Aggregation::Joint(terms) => joint(terms, "aggregation", found),
        Aggregation::Span(span) => lint_span(span, found),
        Aggregation::Venue(venue) => {
            if (params.im_scale, params.mm_scale) != (Ppb::ONE, Ppb::ONE) {
                let message = "a venue's method has its own factors: im_scale and mm_scale are 1";
                found.add(LintCode::BoundsCrossed, "im_scale", message);
            }
            found.0.extend(venue.lint());
        }
    }
}

fn lint_span(span: &SpanParams, found: &mut Findings) {
    found.positive("aggregation.adjustment", span.adjustment.0);
    if span.im_ratio < Ppb::ONE {
        let message = format!("im_ratio {} is below 1", span.im_ratio);
        found.add(LintCode::ImBelowMm, "aggregation.im_ratio", message);
    }
    for (scope, terms) in &span.commodities.0 {
        span_commodity(&format!("aggregation.commodities.{scope}"), terms, found);
    }
    for (i, spread) in span.inter.iter().enumerate() {
        span_inter(&format!("aggregation.inter[{i}]"), spread, span, found);
    }
}

fn span_commodity(path: &str, terms: &SpanCommodity, found: &mut Findings) {
    found.positive(&format!("{path}.contract"), terms.contract.0);
    found.rate(&format!("{path}.short_option_rate"), terms.short_option_rate);
    if terms.short_option_count == ShortCount::Naked {
        let message = "the minimum of SPAN counts `sum` or `larger`, not `naked`";
        found.add(LintCode::Missing, format!("{path}.short_option_count"), message);
    }
    let mut last = i64::MIN;
    for (i, tier) in terms.tiers.iter().enumerate() {
        let (from, to) = (tier.from_days, tier.to_days);
        if from >= to || from < last {
            let message = format!("from_days {from} to_days {to} does not follow the tier before it");
            found.add(LintCode::BoundsCrossed, format!("{path}.tiers[{i}]"), message);
        }
        last = to;
    }
    for (i, spread) in terms.intra.iter().enumerate() {
        found.rate(&format!("{path}.intra[{i}].rate"), spread.rate);
        if spread.legs.len() < 2 {
            found.add(LintCode::Missing, format!("{path}.intra[{i}].legs"), "a spread has two legs or more");
        }
        for leg in &spread.legs {
            found.positive(&format!("{path}.intra[{i}].ratio"), leg.ratio.0);
            if leg.tier >= terms.tiers.len() {
                let message = format!("tier {} of {}", leg.tier, terms.tiers.len());
                found.add(LintCode::Missing, format!("{path}.intra[{i}].tier"), message);
            }
        }
    }
    if let Some(spot) = terms.spot {
        found.rate(&format!("{path}.spot.rate_consumed"), spot.rate_consumed);
        found.rate(&format!("{path}.spot.rate_outright"), spot.rate_outright);
        found.positive(&format!("{path}.spot.within_days"), spot.within_days);
    }
}

fn span_inter(path: &str, spread: &InterSpread, span: &SpanParams, found: &mut Findings) {
    if let InterMethod::Flat { credit } = spread.method
        && credit < 0
    {
        let message = format!("the credit {credit} is negative: a hedge is charged");
        found.add(LintCode::ChargeFalls, format!("{path}.method.flat.credit"), message);
    }
    if spread.legs.len() < 2 {
        found.add(LintCode::Missing, format!("{path}.legs"), "a spread has two legs or more");
    }
    for leg in &spread.legs {
        found.unit(&format!("{path}.rate"), leg.rate);
        found.positive(&format!("{path}.ratio"), leg.ratio.0);
        if span.commodities.of(&leg.asset).is_none() {
            let message = format!("{} is not among the commodities", leg.asset);
            found.add(LintCode::Missing, format!("{path}.legs"), message);
        }
    }
}

fn collateral(params: &Params, found: &mut Findings) {
    for (asset, terms) in &params.collateral {
        let path = format!("collateral.{asset}");
        found.unit(&format!("{path}.haircut"), terms.haircut);
        found.unit(&format!("{path}.wrong_way"), terms.wrong_way);
        found.unit(&format!("{path}.mm_share"), terms.mm_share);
        if let Some(depeg) = terms.depeg {
            found.rate(&format!("{path}.depeg.factor"), depeg.factor.0);
            found.positive(&format!("{path}.depeg.threshold"), depeg.threshold.0);
        }
        let mut last = (0, terms.haircut);
        for (i, tier) in terms.tiers.iter().enumerate() {
            let path = format!("{path}.tiers[{i}]");
            found.unit(&path, tier.haircut);
            if tier.above <= last.0 {
                let message = format!("the edge {} is not above {}", tier.above, last.0);
                found.add(LintCode::BoundsCrossed, path.clone(), message);
            }
            if tier.haircut < last.1 {
                let message = format!("the haircut falls from {} to {} with size", last.1, tier.haircut);
                found.add(LintCode::ChargeFalls, path, message);
            }
            last = (tier.above, tier.haircut);
        }
    }
}

fn addons(addons: &Addons, found: &mut Findings) {
    for (scope, t) in &addons.short_option.0 {
        found.rate(&format!("addons.short_option.{scope}.rate"), t.rate.0);
        found.unit(&format!("addons.short_option.{scope}.mm_share"), t.mm_share);
    }
    for (scope, t) in &addons.basis.0 {
        found.rate(&format!("addons.basis.{scope}.rate"), t.rate.0);
        found.rate(&format!("addons.basis.{scope}.rate_per_year"), t.rate_per_year.0);
        found.unit(&format!("addons.basis.{scope}.mm_share"), t.mm_share);
    }
    for (scope, t) in &addons.vega.0 {
        found.unit(&format!("addons.vega.{scope}.credit"), t.credit);
        found.unit(&format!("addons.vega.{scope}.mm_share"), t.mm_share);
        for bucket in &t.buckets {
            found.rate(&format!("addons.vega.{scope}.buckets.shock"), bucket.shock.0);
        }
        if t.buckets.is_empty() {
            let message = "without a bucket nothing is charged";
            found.add(LintCode::Missing, format!("addons.vega.{scope}.buckets"), message);
        }
        if !t.buckets.is_sorted_by(|a, b| a.up_to_days < b.up_to_days) {
            let path = format!("addons.vega.{scope}.buckets");
            found.add(LintCode::BoundsCrossed, path, "up_to_days does not rise");
        }
    }
    for (scope, t) in &addons.liquidity.0 {
        liquidity(&format!("addons.liquidity.{scope}"), t, found);
    }
    for (scope, t) in &addons.confidence.0 {
        confidence(&format!("addons.confidence.{scope}"), t, found);
    }
    for (scope, t) in &addons.expiry.0 {
        found.rate(&format!("addons.expiry.{scope}.rate"), t.rate.0);
        found.positive(&format!("addons.expiry.{scope}.window_seconds"), t.window_seconds);
        found.unit(&format!("addons.expiry.{scope}.mm_share"), t.mm_share);
    }
    for (scope, t) in &addons.funding.0 {
        found.unit(&format!("addons.funding.{scope}.mm_share"), t.mm_share);
    }
}

/// The width of the interval is the lack of confidence: what it costs may not fall as it widens.
fn confidence(path: &str, t: &ConfidenceTerms, found: &mut Findings) {
    if t.multiplier.0 < 0 {
        let message =
            format!("the multiplier {} is negative: the charge falls with falling confidence", t.multiplier);
        found.add(LintCode::ChargeFalls, format!("{path}.multiplier"), message);
    }
    if t.threshold.0 < 0 {
        let message = format!("the threshold {} is negative: no confidence is free of charge", t.threshold);
        found.add(LintCode::ChargeFalls, format!("{path}.threshold"), message);
    }
    found.unit(&format!("{path}.mm_share"), t.mm_share);
}

fn liquidity(path: &str, t: &LiquidityTerms, found: &mut Findings) {
    for (name, value) in [("spread", t.spread), ("impact", t.impact), ("vega_impact", t.vega_impact)] {
        found.rate(&format!("{path}.{name}"), value.0);
    }
    for (name, value) in [("daily_volume", t.daily_volume), ("daily_vega", t.daily_vega)] {
        found.positive(&format!("{path}.{name}"), value);
    }
    found.positive(&format!("{path}.horizon_days"), t.horizon_days);
    found.positive(&format!("{path}.participation"), t.participation.0);
    found.unit(&format!("{path}.participation"), t.participation);
    found.unit(&format!("{path}.mm_share"), t.mm_share);
    found.rate(&format!("{path}.depth"), t.depth);
}

/// The spot moves of an underlying in a block, in rising order.
fn moves(block: &LintBlock, input: &LintInput, underlying: usize) -> Vec<i64> {
    let columns = input.columns.get(block.columns.clone()).unwrap_or(&[]);
    let mut moves: Vec<i64> = columns.iter().filter_map(|c| Some(c.spot.get(underlying)?.0)).collect();
    moves.sort_unstable();
    moves.dedup();
    moves
}

fn tails(block: &LintBlock, input: &LintInput, found: &mut Findings) {
    for (i, asset) in input.underlyings.iter().enumerate() {
        let moves = moves(block, input, i);
        let (down, up) = (moves.first().is_some_and(|m| *m < 0), moves.last().is_some_and(|m| *m > 0));
        // A loading of zero leaves a factor block without any move of the underlying, on either side.
        let still = moves.iter().all(|m| *m == 0);
        if down == up && !(still && block.kind == BlockKind::Grid) {
            continue;
        }
        let lacks = if down { "up" } else { "down" };
        let message = format!("{:?} never moves {asset} {lacks}", block.kind);
        found.add(LintCode::MissingTail, asset.as_str(), message);
    }
    let vols: Vec<VolMove> =
        input.columns.get(block.columns.clone()).unwrap_or(&[]).iter().map(|c| c.vol).collect();
    let (down, up) = (vols.contains(&VolMove::Down), vols.contains(&VolMove::Up));
    if block.kind == BlockKind::Grid && down != up {
        let lacks = if down { "up" } else { "down" };
        found.add(LintCode::MissingTail, "vol", format!("the grid never moves volatility {lacks}"));
    }
}

/// Gaps between neighbouring full-weight moves of a regular grid; extremes of partial weight may lie apart.
fn gaps(block: &LintBlock, input: &LintInput, found: &mut Findings) {
    let Some(step) = block.step else { return };
    for (i, asset) in input.underlyings.iter().enumerate() {
        let Some(scan) = input.price_scan.get(i) else { continue };
        let columns = input.columns.get(block.columns.clone()).unwrap_or(&[]);
        let full = columns.iter().filter(|c| c.weight >= Ppb::ONE);
        let mut moves: Vec<i64> = full.filter_map(|c| Some(c.spot.get(i)?.0)).collect();
        moves.sort_unstable();
        moves.dedup();
        for pair in moves.windows(2) {
            let [a, b] = pair else { continue };
            let gap = (i128::from(*b) - i128::from(*a)) * i128::from(NANO);
            // Two parts per billion of room for the rounding of each move.
            let allowed = (i128::from(step.0)) * i128::from(scan.0) + 2 * i128::from(NANO);
            if gap > allowed {
                let message = format!(
                    "no scenario between {} and {}, further apart than {step} of the price scan {scan}",
                    Ppb(*a),
                    Ppb(*b)
                );
                found.add(LintCode::GridGap, asset.as_str(), message);
            }
        }
    }
}

fn columns(input: &LintInput, found: &mut Findings) {
    for column in &input.columns {
        if column.skew && column.spot.iter().any(|spot| spot.0 != 0) {
            let message = "tilts the smile and moves spot: a skew scenario is to be read at the present spot";
            found.add(LintCode::SkewMovesSpot, column.label.clone(), message);
        }
        found.rate(&column.label, column.weight.0);
        if column.weight > Ppb::ONE {
            let message = format!("weight {} charges a long option more than it can lose", column.weight);
            found.add(LintCode::LongAbovePremium, column.label.clone(), message);
        }
    }
    for (scan, asset) in input.price_scan.iter().zip(&input.underlyings) {
        found.positive(&format!("price_scan of {asset}"), scan.0);
    }
}

/// Blocks of maintenance margin alone may not reach further than those of initial margin.
fn purposes(params: &Params, input: &LintInput, found: &mut Findings) {
    let reach = |wanted: Purpose, underlying: usize| {
        let blocks = input.blocks.iter().filter(|b| b.kind == BlockKind::Grid);
        let taken = blocks.filter(|b| b.purpose == wanted || b.purpose == Purpose::Both);
        let sizes = taken.flat_map(|b| moves(b, input, underlying)).map(i64::unsigned_abs);
        u128::from(sizes.max().unwrap_or(0))
    };
    for (i, asset) in input.underlyings.iter().enumerate() {
        let im = reach(Purpose::Im, i) * u128::from(params.im_scale.0.unsigned_abs());
        let mm = reach(Purpose::Mm, i) * u128::from(params.mm_scale.0.unsigned_abs());
        if im < mm {
            let message = "the scaled moves of maintenance margin reach further than those of initial margin";
            found.add(LintCode::ImBelowMm, asset.as_str(), message);
        }
    }
}
