//! Margin of an account from a file: what it holds is resolved to books, and `plimsoll_margin` evaluates them.

use super::holdings::{self, SpanContractName, SpanLookupError};
use super::levels::{Level, factors, level, rate};
use super::{
    SPAN_TICKS_PER_UNIT, SpanCommodityRules, SpanContract, SpanCreditRule, SpanFile, SpanLegPlace,
    SpanPeriod, SpanProduct, SpanRight, SpanScanning, SpanTierRange, SpanWeighting,
};
use plimsoll_margin::{
    MarginError, SpanBasis, SpanBook, SpanCredit, SpanCreditLeg, SpanCreditMethod, SpanCreditTier,
    SpanFigures, SpanMonth, SpanPlace, SpanRequirement, SpanShorts, SpanSpot, SpanSpread, SpanSpreadLeg,
    SpanTable, span_commodities, span_requirement, span_total,
};
use plimsoll_types::{AccountId, Decimal, NANO, Rounding, mul_div_wide};
use std::collections::BTreeMap;

/// Whose account it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SpanAccountKind {
    /// Speculators.
    Speculator,
    /// Hedgers.
    Hedger,
    /// Members of the clearing house.
    Member,
}

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpanAccountTerms {
    /// Whose account it is.
    pub kind: SpanAccountKind,
    /// Initial margin instead of maintenance.
    pub initial: bool,
}

/// Why an account has no margin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SpanAccountError {
    /// What a rule needs is not in the file.
    #[error("account {account}: the file lacks {what} of {of}")]
    Missing {
        /// Whose.
        account: AccountId,
        /// What is not there.
        what: &'static str,
        /// The contract or commodity.
        of: String,
    },
    /// A rule whose result is not published well enough to compute.
    #[error("account {account}: {what} of {of} is not supported")]
    Unsupported {
        /// Whose.
        account: AccountId,
        /// What it is.
        what: &'static str,
        /// The commodity.
        of: String,
    },
    /// A sum or product left 128 bits.
    #[error("account {account}: {what} of {of} does not fit in 128 bits")]
    Overflow {
        /// Whose.
        account: AccountId,
        /// The quantity that was being computed.
        what: &'static str,
        /// The contract or commodity.
        of: String,
    },
    /// The margin stage refused.
    #[error(transparent)]
    Margin(#[from] MarginError),
}

/// SPAN's numbers for one commodity of an account, in ticks of 1e-9 of its currency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanCommodityMargin {
    /// Its code.
    pub code: String,
    /// ISO code of its currency.
    pub currency: String,
    /// Its charges, before factors.
    pub figures: SpanFigures,
    /// Its requirement, after factors.
    pub requirement: SpanRequirement,
}

/// SPAN's numbers for an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanAccountReport {
    /// Whose.
    pub account: AccountId,
    /// Per combined commodity, in the order of the file.
    pub commodities: Vec<SpanCommodityMargin>,
    /// Requirement per currency, ticks of 1e-9: option value in excess of its own commodity's risk, where it is not
    /// capped, offsets other commodities of the currency.
    pub totals: BTreeMap<String, i128>,
    /// Scanning-based spreads between commodities that are held, for which no credit is given.
    pub uncredited: usize,
}

/// A file made ready for many accounts.
pub struct SpanDesk<'a> {
    file: &'a SpanFile,
    order: Vec<u32>,
    table: SpanTable,
    /// Per commodity: month and price scan of its futures.
    scans: Vec<Vec<(Option<SpanPeriod>, i128)>>,
}

/// One contract held.
#[derive(Clone, Copy)]
struct Held<'a> {
    index: usize,
    lots: i64,
    contract: &'a SpanContract,
    product: &'a SpanProduct,
    /// Billionths of a contract.
    delta: i128,
}

impl Held<'_> {
    /// The month its delta is counted in.
    fn month(&self) -> Option<SpanPeriod> {
        self.contract.underlying.or(self.contract.period)
    }
}

/// A commodity with what an account holds of it.
struct Position<'a> {
    rules: &'a SpanCommodityRules,
    scans: &'a [(Option<SpanPeriod>, i128)],
    held: Vec<Held<'a>>,
}

/// What errors and rates need to know.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) account: &'a AccountId,
    pub(super) terms: SpanAccountTerms,
}

impl Asked<'_> {
    pub(super) fn missing(self, what: &'static str, of: impl ToString) -> SpanAccountError {
        SpanAccountError::Missing { account: self.account.clone(), what, of: of.to_string() }
    }

    pub(super) fn overflow(self, what: &'static str, of: impl ToString) -> SpanAccountError {
        SpanAccountError::Overflow { account: self.account.clone(), what, of: of.to_string() }
    }
}

impl<'a> SpanDesk<'a> {
    /// Sorts the contracts of a file and reads the price scans off its futures, once.
    pub fn new(file: &'a SpanFile) -> Self {
        let table = SpanTable {
            pairs: file.scan_points.iter().map(|point| point.pair).collect(),
            scanned: (0..file.scan_points.len()).collect(),
        };
        Self { file, order: holdings::sorted(file), table, scans: price_scans(file) }
    }

    /// The index of a contract among those of the file.
    ///
    /// # Errors
    /// No contract, or several, of that name.
    pub fn find(&self, name: &SpanContractName) -> Result<usize, SpanLookupError> {
        holdings::find(self.file, &self.order, name)
    }

    /// The margin of an account that holds so many lots of each contract, by index.
    ///
    /// # Errors
    /// What its rules need is not in the file, or a number does not fit.
    pub fn margin(
        &self,
        account: &AccountId,
        lots: &BTreeMap<usize, i64>,
        terms: SpanAccountTerms,
    ) -> Result<SpanAccountReport, SpanAccountError> {
        let asked = Asked { account, terms };
        let positions = self.positions(asked, lots)?;
        let mut levels = Vec::with_capacity(positions.len());
        let mut spreads = Vec::with_capacity(positions.len());
        for position in positions.values() {
            let level = level(asked, self.file, position.rules)?;
            spreads.push(month_spreads(asked, position, &level)?);
            levels.push(level);
        }
        let mut books = Vec::with_capacity(positions.len());
        for ((position, level), intra) in positions.values().zip(&levels).zip(&spreads) {
            books.push(self.book(asked, position, level, intra)?);
        }
        let (credits, uncredited) = self.credits(asked, &positions, &levels)?;
        let figures = span_commodities(account, &self.table, &books, &credits)?;
        let mut report = SpanAccountReport {
            account: account.clone(),
            commodities: Vec::with_capacity(figures.len()),
            totals: BTreeMap::new(),
            uncredited,
        };
        for ((position, level), figures) in positions.values().zip(&levels).zip(figures) {
            let factors = factors(asked, self.file, position.rules, level)?;
            let requirement = span_requirement(account, &figures, &factors)?;
            let (code, currency) = (position.rules.code.clone(), position.rules.currency.clone());
            report.commodities.push(SpanCommodityMargin { code, currency, figures, requirement });
        }
        total(&mut report)?;
        Ok(report)
    }

    /// What is held, by commodity in the order of the file.
    fn positions(
        &self,
        asked: Asked,
        lots: &BTreeMap<usize, i64>,
    ) -> Result<BTreeMap<usize, Position<'_>>, SpanAccountError> {
        let mut positions: BTreeMap<usize, Position> = BTreeMap::new();
        for (index, lots) in lots.iter().filter(|(_, lots)| **lots != 0) {
            let contract = self.file.contracts.get(*index);
            let contract = contract.ok_or_else(|| asked.missing("the contract number", index))?;
            let product = self.file.products.get(contract.product);
            let product = product.ok_or_else(|| asked.missing("the product", index))?;
            let commodity =
                product.commodity.ok_or_else(|| asked.missing("a combined commodity", &product.code))?;
            let rules = &self.file.commodities[commodity];
            let delta = delta(contract, product).and_then(|delta| delta.checked_mul(i128::from(*lots)));
            let delta = delta.ok_or_else(|| asked.overflow("delta", &product.code))?;
            let position = positions.entry(commodity).or_insert_with(|| Position {
                rules,
                scans: self.scans.get(commodity).map_or(&[], Vec::as_slice),
                held: Vec::new(),
            });
            position.held.push(Held { index: *index, lots: *lots, contract, product, delta });
        }
        Ok(positions)
    }

    fn book<'b>(
        &self,
        asked: Asked,
        position: &Position,
        level: &Level,
        intra: &'b [SpanSpread],
    ) -> Result<SpanBook<'b>, SpanAccountError> {
        let rules = position.rules;
        let tier = |tier: &SpanTierRange| {
            let inside: Vec<&Held> = position.held.iter().filter(|h| tier.holds(h.month())).collect();
            Ok(SpanCreditTier {
                tier: tier.number,
                losses: self.losses(asked, &inside)?,
                price_scan: lowest_scan(position.scans, Some(tier)),
            })
        };
        Ok(SpanBook {
            losses: self.scanned(asked, position)?,
            months: months(asked, position, level)?,
            credit_tiers: rules.credit_tiers.iter().map(tier).collect::<Result<_, SpanAccountError>>()?,
            intra,
            basis: basis(asked, position)?,
            shorts: shorts(asked, position, level)?,
            short_count: rules.short_count,
            option_value: option_value(asked, self.file, position)?,
            capped: rules.capped,
            price_scan: lowest_scan(position.scans, None),
        })
    }

    /// Losses by scanning tier.
    fn scanned(&self, asked: Asked, position: &Position) -> Result<Vec<Vec<i128>>, SpanAccountError> {
        let mut tiers: BTreeMap<Option<(usize, Option<SpanPeriod>)>, Vec<&Held>> = BTreeMap::new();
        for held in &position.held {
            let tier = match &position.rules.scanning {
                SpanScanning::Together => None,
                SpanScanning::EachMonth => Some((0, held.month())),
                SpanScanning::Tiers(tiers) => {
                    let tier = tiers.iter().find(|tier| tier.holds(held.month()));
                    let tier = tier.ok_or_else(|| asked.missing("a scanning tier", named(held)))?;
                    Some((tier.number, None))
                }
            };
            tiers.entry(tier).or_default().push(held);
        }
        tiers.values().map(|held| self.losses(asked, held)).collect()
    }

    fn losses(&self, asked: Asked, held: &[&Held]) -> Result<Vec<i128>, SpanAccountError> {
        let mut sums = vec![0_i128; self.file.width];
        for held in held {
            for (sum, loss) in sums.iter_mut().zip(self.file.losses_of(held.index)) {
                let product =
                    ticks(*loss, held.contract.exponent).and_then(|t| t.checked_mul(i128::from(held.lots)));
                let next = product.and_then(|product| sum.checked_add(product));
                *sum = next.ok_or_else(|| asked.overflow("a scenario's loss", &held.product.code))?;
            }
        }
        Ok(sums)
    }

    /// The spreads of which all legs are held, and how many more are scanning-based.
    fn credits(
        &self,
        asked: Asked,
        positions: &BTreeMap<usize, Position>,
        levels: &[Level],
    ) -> Result<(Vec<SpanCredit>, usize), SpanAccountError> {
        let places: BTreeMap<&str, usize> =
            positions.values().enumerate().map(|(at, p)| (p.rules.code.as_str(), at)).collect();
        let rules: Vec<&SpanCommodityRules> = positions.values().map(|p| p.rules).collect();
        let (mut credits, mut uncredited) = (Vec::new(), 0);
        for rule in &self.file.credits {
            let held = rule.legs.iter().map(|leg| places.get(leg.commodity.as_str()).copied());
            let Some(held) = held.collect::<Option<Vec<usize>>>() else { continue };
            if rule.scanning {
                uncredited += 1;
                continue;
            }
            credits.push(credit(asked, rule, &held, (&rules, levels))?);
        }
        Ok((credits, uncredited))
    }
}

fn credit(
    asked: Asked,
    rule: &SpanCreditRule,
    held: &[usize],
    (rules, levels): (&[&SpanCommodityRules], &[Level]),
) -> Result<SpanCredit, SpanAccountError> {
    let mut legs = Vec::with_capacity(held.len());
    for (leg, book) in rule.legs.iter().zip(held) {
        let value = rate(asked, &leg.rates, &levels[*book], &leg.commodity)?;
        let overflow = || asked.overflow("a credit rate", &leg.commodity);
        // A share and a ratio are billionths, and so is an amount in ticks.
        let value = nano(value, Rounding::Down).ok_or_else(overflow)?;
        let method = match (rule.flat, rules[*book].weighting) {
            (true, _) => SpanCreditMethod::Flat(value),
            (false, SpanWeighting::PriceRisk) => SpanCreditMethod::PriceRisk(value),
            (false, SpanWeighting::Capped) => SpanCreditMethod::Capped(value),
            (false, SpanWeighting::Scan) => SpanCreditMethod::Scan(value),
        };
        let ratio = nano(leg.ratio, Rounding::Nearest).filter(|ratio| *ratio > 0).ok_or_else(overflow)?;
        legs.push(SpanCreditLeg { book: *book, tier: leg.tier, side: leg.side, ratio, method });
    }
    Ok(SpanCredit { before_intra: rule.before_intra, legs })
}

fn total(report: &mut SpanAccountReport) -> Result<(), SpanAccountError> {
    let mut parts: BTreeMap<String, Vec<SpanRequirement>> = BTreeMap::new();
    for commodity in &report.commodities {
        parts.entry(commodity.currency.clone()).or_default().push(commodity.requirement);
    }
    for (currency, parts) in parts {
        report.totals.insert(currency, span_total(&report.account, &parts)?);
    }
    Ok(())
}

fn named(held: &Held) -> String {
    let period = held.contract.period.map_or_else(String::new, |period| format!(" {period}"));
    format!("{} {}{period}", held.product.exchange, held.product.code)
}

/// The price scan of every future, off its own array at the whole move, where `RA = -m PSR` (methods 2.1).
fn price_scans(file: &SpanFile) -> Vec<Vec<(Option<SpanPeriod>, i128)>> {
    let mut scans = vec![Vec::new(); file.commodities.len()];
    let whole = file.scan_points.iter().position(|point| {
        point.weight == Some(Decimal::ONE) && point.price.is_some_and(|price| price.is_whole())
    });
    let Some(whole) = whole else { return scans };
    for (index, contract) in file.contracts.iter().enumerate() {
        let Some(product) = file.products.get(contract.product) else { continue };
        let future = matches!(product.kind, super::SpanKind::Future | super::SpanKind::Physical);
        let scan = file.losses_of(index).get(whole).and_then(|loss| ticks(*loss, contract.exponent));
        let place = product.commodity.and_then(|at| scans.get_mut(at));
        if let (true, Some(scan), Some(place)) = (future, scan, place) {
            place.push((contract.period, scan.saturating_abs()));
        }
    }
    scans
}

/// The lowest price scan of the futures of a commodity or a tier: a credit is never above any of them.
fn lowest_scan(scans: &[(Option<SpanPeriod>, i128)], tier: Option<&SpanTierRange>) -> Option<i128> {
    let inside = scans.iter().filter(|(period, _)| tier.is_none_or(|tier| tier.holds(*period)));
    inside.map(|(_, scan)| *scan).min()
}

/// Billionths of a contract for one lot.
fn delta(contract: &SpanContract, product: &SpanProduct) -> Option<i128> {
    let scaling = contract.delta_scaling.or(product.delta_scaling).unwrap_or(Decimal::ONE);
    nano(contract.composite_delta.checked_mul(scaling)?, Rounding::Nearest)
}

/// A decimal in billionths, rounded as named.
pub(super) fn nano(value: Decimal, rounding: Rounding) -> Option<i128> {
    let divisor = 10_i128.checked_pow(value.scale())?;
    mul_div_wide(value.mantissa(), i128::from(NANO), divisor, rounding)
}

/// `loss x 10^exponent` in ticks, to nearest.
fn ticks(loss: i64, exponent: i32) -> Option<i128> {
    let (up, down) = if exponent < 0 { (0, exponent.unsigned_abs()) } else { (exponent.unsigned_abs(), 0) };
    let whole = i128::from(loss).checked_mul(10_i128.checked_pow(up)?)?;
    mul_div_wide(whole, i128::from(SPAN_TICKS_PER_UNIT), 10_i128.checked_pow(down)?, Rounding::Nearest)
}

fn months(asked: Asked, position: &Position, level: &Level) -> Result<Vec<SpanMonth>, SpanAccountError> {
    let rules = position.rules;
    let mut deltas: BTreeMap<Option<SpanPeriod>, i128> = BTreeMap::new();
    for held in &position.held {
        let sum = deltas.entry(held.month()).or_insert(0);
        let next = sum.checked_add(held.delta);
        *sum = next.ok_or_else(|| asked.overflow("delta", &rules.code))?;
    }
    let inside = |tiers: &[SpanTierRange], period| {
        let found = tiers.iter().filter(|tier| tier.holds(period)).map(|tier| tier.number);
        found.collect::<Vec<usize>>()
    };
    let month = |(period, delta): (Option<SpanPeriod>, i128)| {
        // Tier 0 of a leg is every month.
        let mut tiers = inside(&rules.month_tiers, period);
        tiers.push(0);
        Ok(SpanMonth {
            period: period.map_or_else(String::new, |period| period.to_string()),
            tiers,
            credit_tiers: inside(&rules.credit_tiers, period),
            delta,
            spot: spot(asked, rules, level, period)?,
        })
    };
    deltas.into_iter().map(month).collect()
}

fn spot(
    asked: Asked,
    rules: &SpanCommodityRules,
    level: &Level,
    period: Option<SpanPeriod>,
) -> Result<Option<SpanSpot>, SpanAccountError> {
    let Some(period) = period else { return Ok(None) };
    let of_month = |at: SpanPeriod| at == period || at == period.whole_month();
    let Some(found) = rules.delivery.iter().find(|d| of_month(d.period)) else { return Ok(None) };
    let rate = |rates| {
        let value = rate(asked, rates, level, &rules.code)?;
        nano(value, Rounding::Up).ok_or_else(|| asked.overflow("a delivery rate", &rules.code))
    };
    Ok(Some(SpanSpot { consumed: rate(&found.consumed)?, outright: rate(&found.outright)? }))
}

fn basis(asked: Asked, position: &Position) -> Result<Option<SpanBasis>, SpanAccountError> {
    let Some(rule) = &position.rules.basis else { return Ok(None) };
    let sum = |spot: bool| {
        let mut held = position.held.iter().filter(|h| (h.product.code == rule.product) == spot);
        held.try_fold(0_i128, |sum, held| sum.checked_add(held.delta))
    };
    let rate = nano(rule.rate, Rounding::Up);
    let overflow = || asked.overflow("the basis charge", &position.rules.code);
    match (sum(true), sum(false), rate) {
        (Some(spot_delta), Some(other_delta), Some(rate)) => {
            Ok(Some(SpanBasis { spot_delta, other_delta, rate }))
        }
        _ => Err(overflow()),
    }
}

fn month_spreads(
    asked: Asked,
    position: &Position,
    level: &Level,
) -> Result<Vec<SpanSpread>, SpanAccountError> {
    let code = &position.rules.code;
    let overflow = || asked.overflow("an inter-month spread", code);
    let mut spreads = Vec::with_capacity(position.rules.spreads.len());
    for spread in &position.rules.spreads {
        if !spread.flat {
            let (account, of) = (asked.account.clone(), code.clone());
            let what = "an inter-month charge by share (P, W)";
            return Err(SpanAccountError::Unsupported { account, what, of });
        }
        let leg = |leg: &super::SpanMonthLeg| {
            let place = match leg.place {
                SpanLegPlace::Tier(number) => SpanPlace::Tier(number),
                SpanLegPlace::Month(period) => SpanPlace::Month(period.to_string()),
            };
            let ratio = nano(leg.ratio, Rounding::Nearest).filter(|ratio| *ratio > 0);
            ratio.map(|ratio| SpanSpreadLeg { place, side: leg.side, ratio })
        };
        let legs = spread.legs.iter().map(leg).collect::<Option<Vec<_>>>().ok_or_else(overflow)?;
        let value = rate(asked, &spread.rates, level, code)?;
        spreads.push(SpanSpread { legs, rate: nano(value, Rounding::Up).ok_or_else(overflow)? });
    }
    Ok(spreads)
}

/// Short options by tier of the minimum. An option in no tier is refused: its minimum is not zero but unknown.
fn shorts(asked: Asked, position: &Position, level: &Level) -> Result<Vec<SpanShorts>, SpanAccountError> {
    let minimums = &position.rules.minimums;
    let mut shorts = vec![SpanShorts::default(); minimums.len()];
    for (tier, short) in minimums.iter().zip(&mut shorts) {
        let value = rate(asked, &tier.rates, level, &position.rules.code)?;
        let ticks = nano(value, Rounding::Up);
        short.rate = ticks.ok_or_else(|| asked.overflow("the short option minimum", &position.rules.code))?;
    }
    for held in position.held.iter().filter(|h| h.lots < 0 && !minimums.is_empty()) {
        let Some(right) = held.contract.right else { continue };
        let tier = minimums.iter().position(|tier| tier.range.holds(held.month()));
        let tier = tier.and_then(|at| shorts.get_mut(at));
        let tier = tier.ok_or_else(|| asked.missing("a tier of the short option minimum", named(held)))?;
        // A product of 64-bit numbers fits.
        let number = i128::from(held.lots.unsigned_abs()) * i128::from(NANO);
        match right {
            SpanRight::Call => tier.calls += number,
            SpanRight::Put => tier.puts += number,
        }
    }
    Ok(shorts)
}

/// `sum q price cvf` over premium-style options, in the currency of the commodity (methods 2.7).
fn option_value(asked: Asked, file: &SpanFile, position: &Position) -> Result<i128, SpanAccountError> {
    let mut sum = 0_i128;
    let options = |h: &&Held| h.product.kind.is_option() && !h.product.futures_style;
    for held in position.held.iter().filter(options) {
        let price = held.contract.price.ok_or_else(|| asked.missing("a price", named(held)))?;
        let cvf = held.contract.cvf.or(held.product.cvf);
        let cvf = cvf.ok_or_else(|| asked.missing("a contract value factor", named(held)))?;
        let to = &position.rules.currency;
        let converted = match &held.product.currency {
            Some(from) if from != to => {
                let rate = file.currencies.iter().find(|c| c.from == *from && c.to == *to);
                let rate = rate.ok_or_else(|| asked.missing("a conversion of currencies", named(held)))?;
                cvf.checked_mul(rate.multiplier)
            }
            _ => Some(cvf),
        };
        let value = converted.and_then(|cvf| price.checked_mul(cvf));
        let value = value.and_then(|value| nano(value, Rounding::Nearest));
        let value = value.and_then(|value| value.checked_mul(i128::from(held.lots)));
        let next = value.and_then(|value| sum.checked_add(value));
        sum = next.ok_or_else(|| asked.overflow("option value", named(held)))?;
    }
    Ok(sum)
}
