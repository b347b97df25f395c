//! The rules of a `.spn`: combined commodities and the spreads between them.

use super::link::ArrayLink;
use super::spn::{Reading, period};
use super::tree::Node;
use super::{
    SpanAdjustment, SpanCommodityRules, SpanCreditRule, SpanCreditRuleLeg, SpanDelivery, SpanFault,
    SpanFileError, SpanKind, SpanLegPlace, SpanMinimumTier, SpanMonthLeg, SpanMonthSpread, SpanRate,
    SpanScanning, SpanTierRange, SpanWeighting,
};
use plimsoll_margin::{ShortCount, Side};
use plimsoll_types::Decimal;

/// A combined commodity.
pub(super) fn commodity(reading: &mut Reading, node: &Node) -> Result<(), SpanFileError> {
    let code = node.name_of("cc")?.to_owned();
    if reading.draft.commodity(&code).is_some() {
        return Err(node.fault(SpanFault::Twice).field("cc", &code));
    }
    let exponent = exponent(node)?;
    let mut rules = SpanCommodityRules::plain(code, node.name_of("currency")?.to_owned());
    rules.capped = node.flag_of("capAnov")?.unwrap_or(false);
    rules.weighting = weighting(node)?;
    rules.short_count = short_count(node)?;
    rules.month_tiers = tiers(node, "intraTiers")?;
    rules.credit_tiers = tiers(node, "interTiers")?;
    let scanned = tiers(node, "scanTiers")?;
    if scanned.iter().any(|tier| tier.months.is_some()) {
        rules.scanning = SpanScanning::Tiers(scanned);
    }
    rules.minimums = minimums(node, exponent)?;
    for (at, spread) in node.all("dSpread").enumerate() {
        rules.spreads.push(month_spread(spread, at, exponent, &rules.code)?);
    }
    for rate in node.all("spotRate") {
        delivery(rate, exponent, &mut rules.delivery)?;
    }
    for rate in node.all("adjRate") {
        let (level, base) = (rate.small_of("r")?, rate.small_of("baseR")?);
        rules.levels.push(SpanAdjustment { level, base, value: rate.number_of("val")? });
    }
    let at = reading.draft.add_commodity(rules);
    for link in node.all("pfLink") {
        let Some(kind) = SpanKind::of(link.name_of("pfType")?) else { continue };
        let key = (link.name_of("exch")?.to_owned(), link.name_of("pfCode")?.to_owned(), kind);
        let scaling = link.decimal_of("sc")?.filter(|value| !value.is_zero());
        let array = ArrayLink { commodity: at, exponent, futures_style: false, scaling };
        if reading.draft.links.insert(key, array).is_some() {
            return Err(link.fault(SpanFault::Twice).field("pfLink", link.name_of("pfCode")?));
        }
    }
    Ok(())
}

/// The power of ten of arrays and rates.
fn exponent(node: &Node) -> Result<i32, SpanFileError> {
    let Some(child) = node.child("riskExponent")?.filter(|child| !child.text().is_empty()) else {
        return Ok(0);
    };
    let read: Option<i32> = child.text().parse().ok();
    read.filter(|n| (-9..=9).contains(n)).ok_or_else(|| child.fault(SpanFault::Malformed("-9 to 9")))
}

fn weighting(node: &Node) -> Result<SpanWeighting, SpanFileError> {
    let Some(child) = node.child("wfprMeth")? else { return Ok(SpanWeighting::PriceRisk) };
    match child.text() {
        "" | "1" => Ok(SpanWeighting::PriceRisk),
        "2" => Ok(SpanWeighting::Capped),
        "3" => Ok(SpanWeighting::Scan),
        _ => Err(child.fault(SpanFault::Malformed("1, 2 or 3"))),
    }
}

fn short_count(node: &Node) -> Result<ShortCount, SpanFileError> {
    let Some(child) = node.child("somMeth")? else { return Ok(ShortCount::Sum) };
    match child.text() {
        "" | "2" | "SUM" | "GROSS" => Ok(ShortCount::Sum),
        "1" | "MAX" => Ok(ShortCount::Larger),
        _ => Err(child.fault(SpanFault::Malformed("1, 2, MAX, SUM or GROSS"))),
    }
}

fn tiers(node: &Node, name: &str) -> Result<Vec<SpanTierRange>, SpanFileError> {
    let Some(list) = node.child(name)? else { return Ok(Vec::new()) };
    let mut found: Vec<SpanTierRange> = Vec::new();
    for child in list.all("tier") {
        let range = tier(child)?;
        if found.iter().any(|known| known.number == range.number) {
            return Err(child.fault(SpanFault::Twice).field("tn", &range.number.to_string()));
        }
        found.push(range);
    }
    Ok(found)
}

fn tier(node: &Node) -> Result<SpanTierRange, SpanFileError> {
    let number = node.small_of("tn")?.ok_or_else(|| node.lacks("tn"))?;
    let end = |name| node.child(name)?.map(period).transpose().map(Option::flatten);
    let months = match (end("sPe")?, end("ePe")?) {
        (Some(first), Some(last)) if first.is_not_after(last) => Some((first, last)),
        (None, None) => None,
        _ => {
            let fault = SpanFault::Malformed("a first month and a last one not before it");
            return Err(node.fault(fault).field("sPe", node.text_of("sPe")?.unwrap_or("")));
        }
    };
    Ok(SpanTierRange { number: usize::try_from(number).unwrap_or(usize::MAX), months })
}

/// Tiers of the short option minimum with all their rates.
fn minimums(node: &Node, exponent: i32) -> Result<Vec<SpanMinimumTier>, SpanFileError> {
    let Some(list) = node.child("somTiers")? else { return Ok(Vec::new()) };
    let read = |child: &Node| Ok(SpanMinimumTier { range: tier(child)?, rates: rates(child, exponent)? });
    list.all("tier").map(read).collect()
}

/// Every `rate`, of whatever level; at least one.
fn rates(node: &Node, exponent: i32) -> Result<Vec<SpanRate>, SpanFileError> {
    let read = |rate: &Node| {
        let value = raised(rate, rate.number_of("val")?, exponent)?;
        Ok(SpanRate { level: rate.small_of("r")?, value })
    };
    let rates = node.all("rate").map(read).collect::<Result<Vec<SpanRate>, SpanFileError>>()?;
    if rates.is_empty() { Err(node.lacks("rate")) } else { Ok(rates) }
}

/// An amount of the file in currency; a negative one is refused.
fn raised(node: &Node, value: Decimal, exponent: i32) -> Result<Decimal, SpanFileError> {
    if value.is_sign_negative() && !value.is_zero() {
        return Err(node.fault(SpanFault::Malformed("a rate of 0 or more")));
    }
    let power = Decimal::from(10_i64.pow(exponent.unsigned_abs()));
    let found = if exponent < 0 { value.checked_div(power) } else { value.checked_mul(power) };
    found.ok_or_else(|| node.fault(SpanFault::Overflow))
}

fn month_spread(node: &Node, at: usize, exponent: i32, code: &str) -> Result<SpanMonthSpread, SpanFileError> {
    let flat = charge_method(node)?;
    let mut legs = Vec::new();
    for leg in node.all("tLeg").chain(node.all("pLeg")) {
        if leg.text_of("cc")?.is_some_and(|named| named != code) {
            let fault = SpanFault::Malformed("a leg of the same combined commodity");
            return Err(leg.fault(fault).field("cc", leg.name_of("cc")?));
        }
        let place = if leg.name() == "tLeg" {
            let number = leg.small_of("tn")?.ok_or_else(|| leg.lacks("tn"))?;
            SpanLegPlace::Tier(usize::try_from(number).unwrap_or(usize::MAX))
        } else {
            let child = leg.child("pe")?.ok_or_else(|| leg.lacks("pe"))?;
            SpanLegPlace::Month(period(child)?.ok_or_else(|| leg.lacks("pe"))?)
        };
        let (side, ratio) = side_and_ratio(leg)?;
        legs.push(SpanMonthLeg { place, side, ratio });
    }
    if legs.len() < 2 {
        return Err(node.lacks("tLeg"));
    }
    let series = legs.iter().all(|leg| matches!(leg.place, SpanLegPlace::Month(_)));
    let rates = rates(node, if flat { exponent } else { 0 })?;
    Ok(SpanMonthSpread { priority: priority(node, at)?, series, flat, rates, legs })
}

/// The number of a spread, else its place.
fn priority(node: &Node, at: usize) -> Result<u32, SpanFileError> {
    Ok(node.small_of("spread")?.unwrap_or_else(|| u32::try_from(at + 1).unwrap_or(u32::MAX)))
}

/// Whether the rate is an amount (`F`), or a share (`P`, `W`).
fn charge_method(node: &Node) -> Result<bool, SpanFileError> {
    let child = node.child("chargeMeth")?.ok_or_else(|| node.lacks("chargeMeth"))?;
    match child.text() {
        "F" => Ok(true),
        "P" | "W" => Ok(false),
        _ => Err(child.fault(SpanFault::Malformed("F, P or W"))),
    }
}

/// Side and ratio of a leg, in `rs` and `i`. Files and their descriptions differ in which is which, and no text is both
/// a side and a number: the letter is the side.
fn side_and_ratio(leg: &Node) -> Result<(Side, Decimal), SpanFileError> {
    let one = leg.child("rs")?.ok_or_else(|| leg.lacks("rs"))?;
    let other = leg.child("i")?.ok_or_else(|| leg.lacks("i"))?;
    let side = |node: &Node| match node.text() {
        "A" => Some(Side::A),
        "B" => Some(Side::B),
        _ => None,
    };
    let (side, ratio) = match (side(one), side(other)) {
        (Some(side), None) => (side, other),
        (None, Some(side)) => (side, one),
        _ => return Err(other.fault(SpanFault::Malformed("a side, A or B, and a ratio"))),
    };
    let value = ratio.decimal()?;
    if value <= Decimal::ZERO {
        return Err(ratio.fault(SpanFault::Malformed("a ratio above 0")));
    }
    Ok((side, value))
}

/// Rates of a month in delivery; several levels of one month come in several elements.
fn delivery(node: &Node, exponent: i32, known: &mut Vec<SpanDelivery>) -> Result<(), SpanFileError> {
    let child = node.child("pe")?.ok_or_else(|| node.lacks("pe"))?;
    let Some(month) = period(child)? else { return Ok(()) };
    let level = node.small_of("r")?;
    let rate = |name| {
        let value = raised(node, node.decimal_of(name)?.unwrap_or(Decimal::ZERO), exponent)?;
        Ok(SpanRate { level, value })
    };
    let (consumed, outright) = (rate("sprd")?, rate("outr")?);
    match known.iter_mut().find(|delivery| delivery.period == month) {
        Some(delivery) if delivery.consumed.iter().any(|rate| rate.level == level) => {
            Err(child.fault(SpanFault::Twice))
        }
        Some(delivery) => {
            delivery.consumed.push(consumed);
            delivery.outright.push(outright);
            Ok(())
        }
        None => {
            let (consumed, outright) = (vec![consumed], vec![outright]);
            known.push(SpanDelivery { period: month, consumed, outright });
            Ok(())
        }
    }
}

/// A spread between commodities.
pub(super) fn credit(reading: &mut Reading, node: &Node) -> Result<(), SpanFileError> {
    let flat = charge_method(node)?;
    let mut legs = Vec::new();
    for leg in node.all("tLeg") {
        let (side, ratio) = side_and_ratio(leg)?;
        // A leg's own rates are its own; else it has those of the spread.
        let rates = rates(if leg.all("rate").next().is_some() { leg } else { node }, 0)?;
        if let Some(rate) = rates.iter().find(|rate| !flat && rate.value > Decimal::ONE) {
            let fault = SpanFault::Malformed("a share from 0 to 1");
            return Err(leg.fault(fault).field("rate/val", &rate.value.to_string()));
        }
        let tier = leg.small_of("tn")?.filter(|n| *n > 0);
        let tier = tier.map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        legs.push(SpanCreditRuleLeg { commodity: leg.name_of("cc")?.to_owned(), tier, side, ratio, rates });
    }
    if legs.len() < 2 {
        return Err(node.lacks("tLeg"));
    }
    let at = reading.draft.file.credits.len();
    let credit = SpanCreditRule {
        group: String::new(),
        priority: priority(node, at)?,
        before_intra: false,
        scanning: false,
        flat,
        legs,
    };
    reading.draft.add_credit(credit, node.place());
    Ok(())
}
