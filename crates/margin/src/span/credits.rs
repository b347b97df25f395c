//! Credits between commodities: weighted price risk and flat (methods 2.6).

use super::commodities::{Ground, Left, Open, WHOLE, scan};
use super::rules::{SpanCredit, SpanCreditLeg, SpanCreditMethod};
use super::spreads::consume;
use crate::{MarginError, Side};
use std::collections::BTreeMap;

const WHAT: &str = "inter-commodity spreads";

/// The part of an account that a leg reads: a commodity or one tier of it.
type Scope = (usize, Option<usize>);

/// One orientation of one inter-commodity spread: credits every leg, or none.
pub(super) fn credit(
    ground: Ground,
    spread: &SpanCredit,
    a_is_long: bool,
    open: &mut [Open],
) -> Result<(), MarginError> {
    // Legs on the same scope draw on one net delta: their ratios add.
    let mut ratios: BTreeMap<Scope, i128> = BTreeMap::new();
    for leg in &spread.legs {
        if !eligible(ground, leg, a_is_long, open)? {
            return Ok(());
        }
        let ratio = ratios.entry((leg.book, leg.tier)).or_insert(0);
        *ratio = ground.exact.add(*ratio, leg.ratio, WHAT)?;
    }
    let mut formed: Option<i128> = None;
    for (scope, ratio) in &ratios {
        let size = remaining(ground, open, *scope)?.saturating_abs();
        let most = ground.exact.ratio_down(size, WHOLE, *ratio, WHAT)?;
        formed = Some(formed.map_or(most, |n| n.min(most)));
    }
    let formed = formed.unwrap_or(0);
    for leg in &spread.legs {
        let used = ground.exact.ratio_down(formed, leg.ratio, WHOLE, WHAT)?;
        let given = leg_credit(ground, leg, (formed, used), open)?;
        let long = (leg.side == Side::A) == a_is_long;
        let Some(commodity) = open.get_mut(leg.book) else { continue };
        commodity.credit = ground.exact.add(commodity.credit, given, WHAT)?;
        consume(&mut commodity.months, |m| within(m, leg.tier) && m.left != 0 && (m.left > 0) == long, used);
    }
    Ok(())
}

fn within(left: &Left, tier: Option<usize>) -> bool {
    tier.is_none_or(|tier| left.month.credit_tiers.contains(&tier))
}

/// Net delta that spreads have left in a scope.
fn remaining(ground: Ground, open: &[Open], (book, tier): Scope) -> Result<i128, MarginError> {
    let months = open.get(book).into_iter().flat_map(|o| o.months.iter()).filter(|m| within(m, tier));
    ground.exact.sum(months.map(|m| m.left), "remaining delta")
}

/// Whether a leg has delta on the side wanted and a positive weighted price risk.
fn eligible(
    ground: Ground,
    leg: &SpanCreditLeg,
    a_is_long: bool,
    open: &[Open],
) -> Result<bool, MarginError> {
    let left = remaining(ground, open, (leg.book, leg.tier))?;
    if left == 0 || (left > 0) != ((leg.side == Side::A) == a_is_long) {
        return Ok(false);
    }
    Ok(match leg.method {
        SpanCreditMethod::Flat(_) => true,
        SpanCreditMethod::Scan(_) => price_scan(ground, leg, open)? > 0,
        SpanCreditMethod::PriceRisk(_) => price_risk(ground, leg, open)? > (0, 0),
        SpanCreditMethod::Capped(_) => {
            price_risk(ground, leg, open)? > (0, 0) && price_scan(ground, leg, open)? > 0
        }
    })
}

/// The credit of a leg whose spreads use `used` of its delta, rounded down.
fn leg_credit(
    ground: Ground,
    leg: &SpanCreditLeg,
    (formed, used): (i128, i128),
    open: &[Open],
) -> Result<i128, MarginError> {
    let exact = ground.exact;
    let by_risk = || {
        let (twice, delta) = price_risk(ground, leg, open)?;
        exact.ratio_down(twice, used, exact.mul(2, delta, WHAT)?, "weighted price risk")
    };
    let by_scan = || exact.ratio_down(price_scan(ground, leg, open)?, used, WHOLE, "weighted price risk");
    let (risk, rate) = match leg.method {
        SpanCreditMethod::Flat(amount) => return exact.ratio_down(formed, amount, WHOLE, WHAT),
        SpanCreditMethod::PriceRisk(rate) => (by_risk()?, rate),
        SpanCreditMethod::Capped(rate) => (by_risk()?.min(by_scan()?), rate),
        SpanCreditMethod::Scan(rate) => (by_scan()?, rate),
    };
    exact.ratio_down(risk, rate, WHOLE, WHAT)
}

/// Twice the price risk of a leg's scope and its net delta, both before spreads; `(0, 0)` where either is not positive.
fn price_risk(ground: Ground, leg: &SpanCreditLeg, open: &[Open]) -> Result<(i128, i128), MarginError> {
    let Some(commodity) = open.get(leg.book) else { return Ok((0, 0)) };
    let book = commodity.book;
    let mut twice = 0;
    match leg.tier {
        None => {
            for losses in &book.losses {
                twice = ground.exact.add(twice, scan(ground, losses)?.price_risk_twice, WHAT)?;
            }
        }
        Some(tier) => {
            for held in book.credit_tiers.iter().filter(|t| t.tier == tier) {
                twice = ground.exact.add(twice, scan(ground, &held.losses)?.price_risk_twice, WHAT)?;
            }
        }
    }
    let held = commodity.months.iter().filter(|m| within(m, leg.tier)).map(|m| m.month.delta);
    let delta = ground.exact.sum(held, "net delta")?.saturating_abs();
    Ok(if twice > 0 && delta > 0 { (twice, delta) } else { (0, 0) })
}

/// Price scan per contract of a leg's scope, or the error that it is not known.
fn price_scan(ground: Ground, leg: &SpanCreditLeg, open: &[Open]) -> Result<i128, MarginError> {
    let book = open.get(leg.book).map(|o| o.book);
    let known = book.and_then(|book| match leg.tier {
        None => book.price_scan,
        Some(tier) => book.credit_tiers.iter().find(|t| t.tier == tier).and_then(|t| t.price_scan),
    });
    known.ok_or_else(|| MarginError::MissingTerms {
        account: ground.exact.account.clone(),
        what: "a price scan".to_owned(),
        needed_by: "an inter-commodity credit by price scan",
    })
}
