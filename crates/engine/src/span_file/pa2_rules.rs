//! The rules of a `.pa2`: combined commodities, tiers, spreads, delivery, minimums and credits (types 2 to 6, C, E, S).

use super::link::ArrayLink;
use super::pa2::Reading;
use super::period::SpanPeriod;
use super::row::{Row, Span};
use super::{
    SpanBasisRule, SpanByAccount, SpanCommodityRules, SpanCreditRule, SpanCreditRuleLeg, SpanDelivery,
    SpanFault, SpanFileError, SpanKind, SpanLegPlace, SpanMinimumTier, SpanMonthLeg, SpanMonthSpread,
    SpanRate, SpanScanning, SpanTierRange, SpanWeighting,
};
use plimsoll_margin::ShortCount;
use plimsoll_types::Decimal;

/// Reads a record of a rule; `false` when it is of another type.
pub(super) fn record(reading: &mut Reading, row: Row, kind: &str) -> Result<bool, SpanFileError> {
    match kind {
        "2" => commodity(reading, row)?,
        "3" => month_tiers(reading, row)?,
        "C" => tier_spread(reading, row)?,
        "E" => series_spread(reading, row)?,
        "S" => scanning(reading, row)?,
        "4" => delivery(reading, row)?,
        "5" => {
            row.name("group", (3, 5))?;
        }
        "6" => credit(reading, row)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn commodity(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    row.name("exchange", (3, 5))?;
    let code = row.name("code", (7, 12))?;
    let exponent = row.small("risk exponent", (13, 13))?.unwrap_or(0);
    let exponent =
        i32::try_from(exponent).map_err(|_| row.fault("risk exponent", (13, 13), SpanFault::Overflow))?;
    let currency = row.name("currency", (14, 16))?;
    let futures_style = match row.text("option margin style", (18, 18))? {
        "F" => true,
        "P" | "" => false,
        _ => return Err(row.fault("option margin style", (18, 18), SpanFault::Malformed("P, F or blank"))),
    };
    let capped = row.flag("cap of option value", 19)? || reading.capped;
    let at = match reading.draft.commodity(code) {
        // A commodity with more products than one record holds goes on in another.
        Some(at) => at,
        None => reading.draft.add_commodity(SpanCommodityRules {
            capped,
            ..SpanCommodityRules::plain(code.to_owned(), currency.to_owned())
        }),
    };
    reading.draft.exponents[at] = exponent;
    for group in 0..6 {
        let from = 23 + 15 * group;
        let product = row.text("product", (from, from + 9))?;
        if product.is_empty() {
            continue;
        }
        let exchange = row.name("exchange", (3, 5))?;
        let Some(kind) = SpanKind::of(row.name("contract type", (from + 10, from + 12))?) else { continue };
        let locator = row.small("array decimal locator", (from + 13, from + 13))?.unwrap_or(0);
        let locator = i32::try_from(locator).unwrap_or(0);
        let up = locator != 0 && row.minus("array locator sign", from + 14)?;
        let array = exponent + if up { locator } else { -locator };
        let link = ArrayLink { commodity: at, exponent: array, futures_style, scaling: None };
        let key = (exchange.to_owned(), product.to_owned(), kind);
        if reading.draft.links.insert(key, link).is_some_and(|before| before.commodity != at) {
            return Err(row.fault("product", (from, from + 9), SpanFault::Twice));
        }
    }
    Ok(())
}

impl SpanCommodityRules {
    /// A commodity without any rule.
    pub(super) fn plain(code: String, currency: String) -> Self {
        Self {
            code,
            currency,
            capped: false,
            weighting: SpanWeighting::PriceRisk,
            short_count: ShortCount::Sum,
            scanning: SpanScanning::Together,
            month_tiers: Vec::new(),
            credit_tiers: Vec::new(),
            minimums: Vec::new(),
            spreads: Vec::new(),
            delivery: Vec::new(),
            basis: None,
            adjustment: SpanByAccount::default(),
            initial_ratio: SpanByAccount::default(),
            levels: Vec::new(),
        }
    }
}

/// The commodity a rule is for, which a record of type 2 must have named before, and its risk exponent.
fn rules<'a>(reading: &'a mut Reading, row: Row) -> Result<(&'a mut SpanCommodityRules, i32), SpanFileError> {
    let code = row.name("code", (3, 8))?;
    let Some(at) = reading.draft.commodity(code) else {
        return Err(row.fault("code", (3, 8), SpanFault::Order("its combined commodity")));
    };
    let exponent = reading.draft.exponents[at];
    Ok((&mut reading.draft.file.commodities[at], exponent))
}

/// A rate of the file, in currency; `None` where blank.
fn money(row: Row, field: &str, span: Span, exponent: i32) -> Result<Option<Decimal>, SpanFileError> {
    row.decimal(field, span, -exponent)
}

fn one_rate(value: Decimal) -> Vec<SpanRate> {
    vec![SpanRate { level: None, value }]
}

/// Groups of tier number, first and last month.
fn tiers(row: Row, from: usize, groups: usize) -> Result<Vec<SpanTierRange>, SpanFileError> {
    let mut tiers = Vec::new();
    for at in (0..groups).map(|group| from + 14 * group) {
        let Some(number) = row.small("tier", (at, at + 1))?.filter(|n| *n > 0) else { continue };
        let first = row.period("first month", (at + 2, at + 7), (0, 0))?;
        let last = row.period("last month", (at + 8, at + 13), (0, 0))?;
        let months = match (first, last) {
            (Some(first), Some(last)) if first.is_not_after(last) => Some((first, last)),
            (None, None) => None,
            _ => {
                let fault = SpanFault::Malformed("a first month and a last one not before it");
                return Err(row.fault("months of tier", (at + 2, at + 13), fault));
            }
        };
        tiers.push(SpanTierRange { number: usize::try_from(number).unwrap_or(usize::MAX), months });
    }
    Ok(tiers)
}

/// Adds tiers to those of a record before; a number that is there again is refused.
fn add_tiers(
    row: Row,
    known: &mut Vec<SpanTierRange>,
    more: Vec<SpanTierRange>,
) -> Result<(), SpanFileError> {
    for tier in more {
        if known.iter().any(|t| t.number == tier.number) {
            return Err(row.fault("tier", (3, 24), SpanFault::Twice));
        }
        known.push(tier);
    }
    Ok(())
}

/// Methods of inter-month spreads.
fn month_method(row: Row) -> Result<u32, SpanFileError> {
    let method = row.small("method", (9, 10))?.unwrap_or(1);
    if matches!(method, 1 | 2 | 10) {
        return Ok(method);
    }
    Err(row.fault("method", (9, 10), SpanFault::Malformed("01, 02 or 10")))
}

fn month_tiers(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    month_method(row)?;
    let more = tiers(row, 11, 4)?;
    let ratio = |field, at| row.decimal(field, (at, at + 3), 3).map(|r| r.filter(|r| !r.is_zero()));
    let found = SpanByAccount {
        member: ratio("initial ratio of members", 69)?,
        hedger: ratio("initial ratio of hedgers", 73)?,
        speculator: ratio("initial ratio of speculators", 77)?,
    };
    let (rules, _) = rules(reading, row)?;
    rules.initial_ratio = found.or(rules.initial_ratio);
    add_tiers(row, &mut rules.month_tiers, more)
}

impl SpanByAccount {
    fn or(self, other: Self) -> Self {
        Self {
            member: self.member.or(other.member),
            hedger: self.hedger.or(other.hedger),
            speculator: self.speculator.or(other.speculator),
        }
    }
}

fn tier_spread(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let method = month_method(row)?;
    let priority = row.small("priority", (11, 12))?.unwrap_or(0);
    let legs = match method {
        1 => return rules(reading, row).map(|_| ()),
        // All months against each other: the long and the short side of one pool of all months.
        2 => every_month().to_vec(),
        _ => tier_legs(row)?,
    };
    let (rules, exponent) = rules(reading, row)?;
    let rate = money(row, "rate", (15, 21), exponent)?;
    let rate = rate.ok_or_else(|| row.fault("rate", (15, 21), SpanFault::Missing))?;
    if let Some(leg) = legs.iter().find(|leg| !known_tier(rules, leg)) {
        let named = format!("{:?}", leg.place);
        let fault = SpanFault::Unknown("the tiers of its commodity");
        return Err(row.fault("tier", (22, 78), fault).field("tier", &named));
    }
    let spread = SpanMonthSpread { priority, series: false, flat: true, rates: one_rate(rate), legs };
    rules.spreads.push(spread);
    Ok(())
}

fn known_tier(rules: &SpanCommodityRules, leg: &SpanMonthLeg) -> bool {
    match leg.place {
        SpanLegPlace::Tier(number) => {
            number == 0 || rules.month_tiers.iter().any(|tier| tier.number == number)
        }
        SpanLegPlace::Month(_) => true,
    }
}

fn every_month() -> [SpanMonthLeg; 2] {
    use plimsoll_margin::Side::{A, B};
    [A, B].map(|side| SpanMonthLeg { place: SpanLegPlace::Tier(0), side, ratio: Decimal::ONE })
}

fn tier_legs(row: Row) -> Result<Vec<SpanMonthLeg>, SpanFileError> {
    let count = row.small("legs", (13, 14))?.unwrap_or(0);
    if !(2..=8).contains(&count) {
        return Err(row.fault("legs", (13, 14), SpanFault::Malformed("02 to 08")));
    }
    let leg = |at: usize| {
        let tier = row.whole_here("tier", (at + 2, at + 3))?;
        let tier =
            usize::try_from(tier).map_err(|_| row.fault("tier", (at + 2, at + 3), SpanFault::Overflow))?;
        let ratio = positive(row, "ratio", (at + 4, at + 5), 0)?;
        let side = row.side("side", at + 6)?;
        if tier == 0 {
            return Err(row.fault("tier", (at + 2, at + 3), SpanFault::Malformed("01 or more")));
        }
        Ok(SpanMonthLeg { place: SpanLegPlace::Tier(tier), side, ratio })
    };
    let count = usize::try_from(count).unwrap_or(0);
    (0..count).map(|n| leg(22 + 7 * n)).collect()
}

fn positive(row: Row, field: &str, span: Span, decimals: i32) -> Result<Decimal, SpanFileError> {
    let value = row.decimal_here(field, span, decimals)?;
    if value.is_zero() {
        return Err(row.fault(field, span, SpanFault::Malformed("more than 0")));
    }
    Ok(value)
}

fn series_spread(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let priority = row.small("priority", (9, 13))?.unwrap_or(0);
    let mut legs = Vec::new();
    for at in (0..4).map(|n| 21 + 14 * n) {
        if row.text("leg", (at, at + 13))?.is_empty() {
            continue;
        }
        let year_month = row.name("month", (at, at + 3))?;
        let rest = row.text("rest of period", (at + 4, at + 6))?;
        let period = SpanPeriod::of(&format!("20{year_month}"), rest);
        let period =
            period.ok_or_else(|| row.fault("month", (at, at + 6), SpanFault::Malformed("YYMM and a day")))?;
        let ratio = positive(row, "ratio", (at + 7, at + 12), 4)?;
        let side = row.side("side", at + 13)?;
        legs.push(SpanMonthLeg { place: SpanLegPlace::Month(period), side, ratio });
    }
    if legs.len() < 2 {
        return Err(row.fault("leg", (21, 76), SpanFault::Malformed("two legs or more")));
    }
    let (rules, exponent) = rules(reading, row)?;
    let rate = money(row, "rate", (14, 20), exponent)?;
    let rate = rate.ok_or_else(|| row.fault("rate", (14, 20), SpanFault::Missing))?;
    let spread = SpanMonthSpread { priority, series: true, flat: true, rates: one_rate(rate), legs };
    rules.spreads.push(spread);
    Ok(())
}

fn scanning(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let method = row.small("method", (9, 10))?.unwrap_or(1);
    let more = tiers(row, 13, 5)?;
    let weighting = match row.text("weighted price risk method", (83, 83))? {
        "" => None,
        "1" => Some(SpanWeighting::PriceRisk),
        "2" => Some(SpanWeighting::Capped),
        "3" => Some(SpanWeighting::Scan),
        _ => {
            let fault = SpanFault::Malformed("1, 2, 3 or blank");
            return Err(row.fault("weighted price risk method", (83, 83), fault));
        }
    };
    let (rules, exponent) = rules(reading, row)?;
    rules.weighting = weighting.unwrap_or(rules.weighting);
    match method {
        1 => {}
        2 => rules.scanning = SpanScanning::EachMonth,
        10 | 20..=23 => {
            let mut known = match std::mem::replace(&mut rules.scanning, SpanScanning::Together) {
                SpanScanning::Tiers(tiers) => tiers,
                _ => Vec::new(),
            };
            add_tiers(row, &mut known, more)?;
            rules.credit_tiers.clone_from(&known);
            rules.scanning = SpanScanning::Tiers(known);
        }
        30 => minimums(row, rules, exponent, more)?,
        _ => {
            let fault = SpanFault::Malformed("01, 02, 10, 20 to 23 or 30");
            return Err(row.fault("method", (9, 10), fault));
        }
    }
    Ok(())
}

/// Tiers of the short option minimum, each with the rate of its own place.
fn minimums(
    row: Row,
    rules: &mut SpanCommodityRules,
    exponent: i32,
    tiers: Vec<SpanTierRange>,
) -> Result<(), SpanFileError> {
    // The rate of the whole commodity gives way to its tiers.
    rules.minimums.retain(|tier| tier.range.number > 0);
    for (at, range) in tiers.into_iter().enumerate() {
        let span = (104 + 7 * at, 110 + 7 * at);
        let rate = money(row, "short option minimum of a tier", span, exponent)?;
        let rate =
            rate.ok_or_else(|| row.fault("short option minimum of a tier", span, SpanFault::Missing))?;
        if rules.minimums.iter().any(|known| known.range.number == range.number) {
            return Err(row.fault("tier", (13, 82), SpanFault::Twice));
        }
        rules.minimums.push(SpanMinimumTier { range, rates: one_rate(rate) });
    }
    Ok(())
}

fn delivery(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let method = row.small("method", (9, 10))?.unwrap_or(1);
    let factor = |field, at| row.decimal(field, (at, at + 2), 2).map(|f| f.filter(|f| !f.is_zero()));
    let adjustment = SpanByAccount {
        member: factor("adjustment of members", 70)?,
        hedger: factor("adjustment of hedgers", 73)?,
        speculator: factor("adjustment of speculators", 76)?,
    };
    let count = match row.text("short option minimum method", (79, 79))? {
        "1" => Some(ShortCount::Larger),
        "2" => Some(ShortCount::Sum),
        "" => None,
        _ => {
            let fault = SpanFault::Malformed("1, 2 or blank");
            return Err(row.fault("short option minimum method", (79, 79), fault));
        }
    };
    let (rules, exponent) = rules(reading, row)?;
    rules.adjustment = adjustment.or(rules.adjustment);
    rules.short_count = count.unwrap_or(rules.short_count);
    let minimum = money(row, "short option minimum", (63, 69), exponent)?;
    let tiered = rules.minimums.iter().any(|tier| tier.range.number > 0);
    if let Some(rate) = minimum.filter(|_| !tiered) {
        let range = SpanTierRange { number: 0, months: None };
        rules.minimums = vec![SpanMinimumTier { range, rates: one_rate(rate) }];
    }
    match method {
        0 | 1 => Ok(()),
        2..=8 | 10 => delivery_months(row, rules, exponent),
        11 => {
            let product = row.name("spot product", (11, 20))?.to_owned();
            let rate = money(row, "basis rate", (21, 27), exponent)?;
            let rate = rate.ok_or_else(|| row.fault("basis rate", (21, 27), SpanFault::Missing))?;
            rules.basis = Some(SpanBasisRule { product, rate });
            Ok(())
        }
        _ => Err(row.fault("method", (9, 10), SpanFault::Malformed("01 to 08, 10 or 11"))),
    }
}

fn delivery_months(row: Row, rules: &mut SpanCommodityRules, exponent: i32) -> Result<(), SpanFileError> {
    for at in [15, 37] {
        let Some(period) = row.period("month in delivery", (at, at + 5), (0, 0))? else { continue };
        if rules.delivery.iter().any(|known| known.period == period) {
            return Err(row.fault("month in delivery", (at, at + 5), SpanFault::Twice));
        }
        let consumed = money(row, "rate on consumed delta", (at + 6, at + 12), exponent)?;
        let outright = money(row, "rate on outright delta", (at + 13, at + 19), exponent)?;
        let rate = |rate: Option<Decimal>| one_rate(rate.unwrap_or(Decimal::ZERO));
        rules.delivery.push(SpanDelivery { period, consumed: rate(consumed), outright: rate(outright) });
    }
    Ok(())
}

fn credit(reading: &mut Reading, row: Row) -> Result<(), SpanFileError> {
    let group = row.name("group", (3, 5))?.to_owned();
    let priority = row.small("priority", (6, 9))?.unwrap_or(0);
    let scanning = row.text("method", (89, 90))?.trim_start_matches('0') == "4";
    let flat = match row.text("credit method", (101, 101))? {
        "" | "W" => false,
        "F" => true,
        _ => return Err(row.fault("credit method", (101, 101), SpanFault::Malformed("W, F or blank"))),
    };
    let before_intra = row.text("group flag", (110, 110))? == "S";
    let separate = row.flag("separate rates flag", 122)?;
    let mut legs = Vec::new();
    for n in 0..4 {
        let from = 17 + 18 * n;
        if row.text("leg", (from + 4, from + 9))?.is_empty() {
            continue;
        }
        let span = if separate { (123 + 7 * n, 129 + 7 * n) } else { (10, 16) };
        let rate = credit_rate(row, span, flat)?;
        let tier = row.small("leg tier", (102 + 2 * n, 103 + 2 * n))?.filter(|t| *t > 0);
        legs.push(SpanCreditRuleLeg {
            commodity: row.name("leg", (from + 4, from + 9))?.to_owned(),
            tier: tier.map(|t| usize::try_from(t).unwrap_or(usize::MAX)),
            side: row.side("side of leg", from + 17)?,
            ratio: positive(row, "ratio of leg", (from + 10, from + 16), 4)?,
            rates: one_rate(rate),
        });
    }
    if legs.len() < 2 && !scanning {
        return Err(row.fault("leg", (17, 88), SpanFault::Malformed("two legs or more")));
    }
    let credit = SpanCreditRule { group, priority, before_intra, scanning, flat, legs };
    reading.draft.add_credit(credit, (row.line, row.byte));
    Ok(())
}

/// A share from a percentage, which is at most all, or an amount.
fn credit_rate(row: Row, span: Span, flat: bool) -> Result<Decimal, SpanFileError> {
    let rate = row.decimal_here("rate", span, if flat { 2 } else { 6 })?;
    if !flat && rate > Decimal::ONE {
        return Err(row.fault("rate", span, SpanFault::Malformed("at most 100 percent")));
    }
    Ok(rate)
}
