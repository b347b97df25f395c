//! Published SPAN files: expanded `.pa2` (U2, UP; methods 2.8) and `.spn` XML (fileFormat 4.00; methods 2.9).
//!
//! The one idea: both forms are read line by line or element by element into one [`SpanFile`], with every number exact
//! (decimals, and integers for the arrays) and an absence kept as an absence; [`SpanDesk`] then resolves what an account
//! holds and calls the same `plimsoll_margin::span_commodities` as the preset. Nothing but the rows that are kept is held
//! in memory.

mod desk;
mod fault;
mod holdings;
mod levels;
mod link;
mod pa2;
mod pa2_rules;
mod period;
mod row;
mod spn;
mod spn_rules;
mod tree;

pub use desk::{
    SpanAccountError, SpanAccountKind, SpanAccountReport, SpanAccountTerms, SpanCommodityMargin, SpanDesk,
};
pub use fault::{SpanFault, SpanFileError};
pub use holdings::{SpanContractName, SpanLookupError};
pub use period::SpanPeriod;

use plimsoll_margin::{ShortCount, Side};
use plimsoll_types::Decimal;
use std::io::BufRead;
use std::ops::Range;

/// Ticks of the margin stage in one unit of a currency: every amount of a file is rounded once, to nearest, to 1e-9.
pub const SPAN_TICKS_PER_UNIT: i64 = 1_000_000_000;

/// Which form a file came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanFormat {
    /// Expanded unpacked, `U2`.
    Expanded,
    /// Paris expanded, `UP`.
    Paris,
    /// XML, `.spn`.
    Xml,
}

/// Everything a margin needs from a published file.
#[derive(Clone, PartialEq, Debug)]
pub struct SpanFile {
    /// Its form.
    pub format: SpanFormat,
    /// Business date, `CCYYMMDD`.
    pub date: String,
    /// Settlement (`true`) or intraday (`false`) prices; `None` where the file does not say.
    pub settlement: Option<bool>,
    /// Whether the arrays are at maintenance (`true`) or initial (`false`) level; `None` where the file does not say.
    pub maintenance: Option<bool>,
    /// Conversions between currencies.
    pub currencies: Vec<SpanCurrency>,
    /// Scenario definitions in order.
    pub scan_points: Vec<SpanScanPoint>,
    /// Price points of the composite delta; only `.spn` states them.
    pub delta_points: Vec<SpanDeltaPoint>,
    /// Levels of requirement that rates refer to by number; only `.spn` has them.
    pub levels: Vec<SpanLevel>,
    /// Products in order of appearance.
    pub products: Vec<SpanProduct>,
    /// Contracts in order of appearance.
    pub contracts: Vec<SpanContract>,
    /// Loss of one long contract per scenario, all contracts in a row, `width` each; times `10^exponent` of its contract
    /// it is in the currency of the combined commodity. Loss > 0.
    pub losses: Vec<i64>,
    /// Scenarios per contract.
    pub width: usize,
    /// Combined commodities with their rules.
    pub commodities: Vec<SpanCommodityRules>,
    /// Spreads between commodities, in order of group and priority.
    pub credits: Vec<SpanCreditRule>,
    /// Records or elements of a kind that is not read; counted, not kept.
    pub skipped: u64,
}

/// One unit of `from` is `multiplier` units of `to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCurrency {
    /// ISO code.
    pub from: String,
    /// ISO code.
    pub to: String,
    /// Units of `to` per unit of `from`; > 0.
    pub multiplier: Decimal,
}

/// `mult x numerator / denominator` times a scan range.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanMultiple {
    /// Factor, signed.
    pub mult: Decimal,
    /// Numerator, signed.
    pub numerator: Decimal,
    /// Denominator; not 0.
    pub denominator: Decimal,
}

/// One scenario.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanScanPoint {
    /// Index of the scenario that differs in the move of volatility only, from 0.
    pub pair: usize,
    /// Share of the loss that is counted; it is already in the arrays. `None` where a `.pa2` has no type B record.
    pub weight: Option<Decimal>,
    /// Price move in price scans.
    pub price: Option<SpanMultiple>,
    /// Volatility move in volatility scans.
    pub vol: Option<SpanMultiple>,
}

/// One price point of the composite delta.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanDeltaPoint {
    /// Its weight.
    pub weight: Decimal,
    /// Price move in price scans.
    pub price: Option<SpanMultiple>,
}

/// A level of requirement (`pbRateDef`): who it is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanLevel {
    /// The number that rates refer to.
    pub number: u32,
    /// `H` hedger, `S` speculator, `M` member, or another code of the clearing house.
    pub account: String,
    /// Maintenance (`true`) or initial; `None` where not said.
    pub maintenance: Option<bool>,
}

/// A rate for one level, or for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanRate {
    /// The level it is for; `None` is all.
    pub level: Option<u32>,
    /// Its value.
    pub value: Decimal,
}

/// What a product is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SpanKind {
    /// `PHY`: the physical, or spot.
    Physical,
    /// `FUT`, `FWD`: futures and forwards.
    Future,
    /// `CMB`: combinations.
    Combination,
    /// `OOF`: options on futures.
    OptionOnFuture,
    /// `OOP`, `OOS`, `OOE`: options on a physical, a stock, an equity.
    OptionOnPhysical,
    /// `OOC`: options on combinations.
    OptionOnCombination,
}

/// Call or put.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SpanRight {
    /// A call.
    Call,
    /// A put.
    Put,
}

/// A product: contracts of one kind under one code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanProduct {
    /// Exchange.
    pub exchange: String,
    /// Product code.
    pub code: String,
    /// What it is.
    pub kind: SpanKind,
    /// ISO code of the currency of its prices; `None` is that of its commodity.
    pub currency: Option<String>,
    /// Currency per price point.
    pub cvf: Option<Decimal>,
    /// Whether options are settled daily like futures, so that they have no net option value.
    pub futures_style: bool,
    /// Index of its combined commodity, if any is linked.
    pub commodity: Option<usize>,
    /// Factor on deltas.
    pub delta_scaling: Option<Decimal>,
}

/// A contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanContract {
    /// Index of its product.
    pub product: usize,
    /// Contract month, or expiry of the option; `None` for physicals.
    pub period: Option<SpanPeriod>,
    /// Month of the future under an option on one, which deltas are counted in.
    pub underlying: Option<SpanPeriod>,
    /// Call or put; `None` for what is no option.
    pub right: Option<SpanRight>,
    /// Strike in price points; `None` for what is no option.
    pub strike: Option<Decimal>,
    /// Settlement price in price points.
    pub price: Option<Decimal>,
    /// Currency per price point where it differs from its product's.
    pub cvf: Option<Decimal>,
    /// Composite delta of one long contract.
    pub composite_delta: Decimal,
    /// Factor on the delta where it differs from its product's.
    pub delta_scaling: Option<Decimal>,
    /// Implied volatility, annualised decimal.
    pub vol: Option<Decimal>,
    /// Power of ten that brings its losses to units of the currency.
    pub exponent: i32,
}

/// A run of contract months that count as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanTierRange {
    /// Its number, from 1.
    pub number: usize,
    /// First and last month, both included; `None` is all months.
    pub months: Option<(SpanPeriod, SpanPeriod)>,
}

/// A tier of the short option minimum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanMinimumTier {
    /// Its months.
    pub range: SpanTierRange,
    /// Currency per short option.
    pub rates: Vec<SpanRate>,
}

/// How a commodity is scanned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpanScanning {
    /// All months together (method 01).
    Together,
    /// Each month alone (method 02).
    EachMonth,
    /// By tier (methods 10 and 20 to 23).
    Tiers(Vec<SpanTierRange>),
}

/// How the weighted price risk of a commodity is found (methods 2.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanWeighting {
    /// Price risk over net delta (1).
    PriceRisk,
    /// The smaller of it and the price scan (2).
    Capped,
    /// The price scan (3).
    Scan,
}

/// Where a leg of an inter-month spread draws delta from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanLegPlace {
    /// A tier, by number; 0 is all months.
    Tier(usize),
    /// One contract month.
    Month(SpanPeriod),
}

/// A leg of an inter-month spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanMonthLeg {
    /// Where it draws from.
    pub place: SpanLegPlace,
    /// Its side.
    pub side: Side,
    /// Delta per spread; > 0.
    pub ratio: Decimal,
}

/// An inter-month spread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanMonthSpread {
    /// Its priority within its kind; series-to-series come before tier-to-tier.
    pub priority: u32,
    /// Between single months.
    pub series: bool,
    /// Whether the rate is an amount of currency; another charge method is kept, and refused when it would count.
    pub flat: bool,
    /// Currency per spread.
    pub rates: Vec<SpanRate>,
    /// Its legs.
    pub legs: Vec<SpanMonthLeg>,
}

/// Rates of a month in delivery, currency per contract of delta.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanDelivery {
    /// The month.
    pub period: SpanPeriod,
    /// On delta that spreads consumed.
    pub consumed: Vec<SpanRate>,
    /// On delta that remains.
    pub outright: Vec<SpanRate>,
}

/// The basis between a spot product and the rest (type 4, method 11).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanBasisRule {
    /// Code of the spot product.
    pub product: String,
    /// Currency per contract of delta.
    pub rate: Decimal,
}

/// A figure for each kind of account; `None` where the file gives none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SpanByAccount {
    /// Members.
    pub member: Option<Decimal>,
    /// Hedgers.
    pub hedger: Option<Decimal>,
    /// Speculators.
    pub speculator: Option<Decimal>,
}

/// `adjRate`: a level is `value` times its base level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanAdjustment {
    /// The level.
    pub level: Option<u32>,
    /// The level it is a multiple of.
    pub base: Option<u32>,
    /// The multiple.
    pub value: Decimal,
}

/// A combined commodity and its rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCommodityRules {
    /// Its code.
    pub code: String,
    /// ISO code of the currency it is margined in.
    pub currency: String,
    /// Whether option value is capped at the commodity's own risk.
    pub capped: bool,
    /// How its weighted price risk is found.
    pub weighting: SpanWeighting,
    /// Which short options the minimum counts.
    pub short_count: ShortCount,
    /// How it is scanned.
    pub scanning: SpanScanning,
    /// Tiers of inter-month spreads.
    pub month_tiers: Vec<SpanTierRange>,
    /// Tiers of spreads between commodities.
    pub credit_tiers: Vec<SpanTierRange>,
    /// Tiers of the short option minimum; empty where there is no minimum.
    pub minimums: Vec<SpanMinimumTier>,
    /// Inter-month spreads in order: series first, then by priority.
    pub spreads: Vec<SpanMonthSpread>,
    /// Months in delivery.
    pub delivery: Vec<SpanDelivery>,
    /// Basis against a spot product.
    pub basis: Option<SpanBasisRule>,
    /// Factor on risk by account (type 4).
    pub adjustment: SpanByAccount,
    /// Initial over maintenance by account (type 3).
    pub initial_ratio: SpanByAccount,
    /// Factors on risk by level (`.spn`).
    pub levels: Vec<SpanAdjustment>,
}

/// A leg of a spread between commodities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCreditRuleLeg {
    /// Code of the commodity.
    pub commodity: String,
    /// Its tier, by number; `None` is all of it.
    pub tier: Option<usize>,
    /// Its side.
    pub side: Side,
    /// Delta per spread; > 0.
    pub ratio: Decimal,
    /// Share of the weighted price risk in [0, 1], or currency per spread when flat.
    pub rates: Vec<SpanRate>,
}

/// A spread between commodities.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCreditRule {
    /// Its group; empty where the form has none.
    pub group: String,
    /// Its priority within its group.
    pub priority: u32,
    /// Formed before inter-month spreads (group flag S).
    pub before_intra: bool,
    /// Scanning-based (method 04): kept, and given no credit, since how it is split is not published.
    pub scanning: bool,
    /// Credit in currency per spread.
    pub flat: bool,
    /// Its legs.
    pub legs: Vec<SpanCreditRuleLeg>,
}

impl SpanFile {
    /// Reads an expanded `.pa2` (positions of methods 2.8), line by line.
    ///
    /// # Errors
    /// The line, byte, record, field and text at fault: see [`SpanFault`].
    ///
    /// ```
    /// use plimsoll_engine::SpanFile;
    /// let error = SpanFile::read_pa2(&b"81 not a header"[..]).unwrap_err();
    /// assert_eq!(error.line, 1);
    /// ```
    pub fn read_pa2(reader: impl BufRead) -> Result<Self, SpanFileError> {
        pa2::read(reader)
    }

    /// Reads `.spn` XML (elements of methods 2.9), by name in any order.
    ///
    /// # Errors
    /// The line, byte, element, field and text at fault: see [`SpanFault`].
    pub fn read_spn(reader: impl BufRead) -> Result<Self, SpanFileError> {
        spn::read(reader)
    }

    /// Reads either form, told by its first byte that is not a space: `<` begins XML.
    ///
    /// # Errors
    /// As [`SpanFile::read_pa2`] and [`SpanFile::read_spn`].
    pub fn read(mut reader: impl BufRead) -> Result<Self, SpanFileError> {
        let head = reader.fill_buf().map_err(|e| SpanFileError::unreadable(1, 0, &e))?;
        let text = head.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(head);
        let is_xml = text.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'<') || text.is_empty();
        // A first chunk of one byte can be half of a byte order mark, which no line of digits begins with.
        if is_xml || head.first() == Some(&0xef) { Self::read_spn(reader) } else { Self::read_pa2(reader) }
    }

    /// The losses of a contract, one long, in the order of the scenarios.
    pub fn losses_of(&self, contract: usize) -> &[i64] {
        let at = contract.saturating_mul(self.width);
        let range: Range<usize> = at..at.saturating_add(self.width);
        self.losses.get(range).unwrap_or(&[])
    }
}

impl SpanKind {
    /// By its three letters, as both forms and positions write it.
    pub fn of(text: &str) -> Option<Self> {
        Some(match text {
            "PHY" => Self::Physical,
            "FUT" | "FWD" => Self::Future,
            "CMB" => Self::Combination,
            "OOF" => Self::OptionOnFuture,
            "OOP" | "OOS" | "OOE" => Self::OptionOnPhysical,
            "OOC" => Self::OptionOnCombination,
            _ => return None,
        })
    }

    /// Whether contracts have a right and a strike.
    pub fn is_option(self) -> bool {
        matches!(self, Self::OptionOnFuture | Self::OptionOnPhysical | Self::OptionOnCombination)
    }
}

impl SpanRight {
    /// `C` or `P`.
    pub fn of(text: &str) -> Option<Self> {
        match text {
            "C" => Some(Self::Call),
            "P" => Some(Self::Put),
            _ => None,
        }
    }
}

impl SpanMultiple {
    /// Whether it is the whole scan range, up or down.
    pub fn is_whole(&self) -> bool {
        let size = self.mult.checked_mul(self.numerator).map(|product| product.abs());
        size == Some(self.denominator.abs())
    }

    /// A whole number of thirds, as in `2/3`.
    pub(crate) fn thirds(thirds: i64) -> Self {
        Self { mult: Decimal::ONE, numerator: Decimal::from(thirds), denominator: Decimal::from(3) }
    }
}

impl SpanTierRange {
    /// Whether a month belongs to it.
    pub fn holds(&self, period: Option<SpanPeriod>) -> bool {
        match (self.months, period) {
            (None, _) => true,
            (Some((first, last)), Some(period)) => first.is_not_after(period) && period.is_not_after(last),
            (Some(_), None) => false,
        }
    }
}
