//! Inter-month spreads: delta pools by tier or month, and the charge (methods 2.4).

use super::commodities::{Ground, Left, WHOLE};
use super::rules::{SpanPlace, SpanSpread};
use crate::{MarginError, Side};
use std::collections::BTreeMap;

/// Inter-month spreads in order of priority, each in both orientations.
pub(super) fn intra_charge(
    ground: Ground,
    spreads: &[SpanSpread],
    months: &mut [Left],
) -> Result<i128, MarginError> {
    let what = "inter-month charge";
    let mut charge = 0;
    for spread in spreads {
        for a_is_long in [true, false] {
            let formed = form_spread(ground, spread, a_is_long, months)?;
            let cost = ground.exact.ratio_up(formed, spread.rate, WHOLE, what)?;
            charge = ground.exact.add(charge, cost, what)?;
        }
    }
    Ok(charge)
}

/// Forms as many spreads as the pools allow and takes their deltas; returns billionths of a spread.
fn form_spread(
    ground: Ground,
    spread: &SpanSpread,
    a_is_long: bool,
    months: &mut [Left],
) -> Result<i128, MarginError> {
    let (exact, what) = (ground.exact, "inter-month spreads");
    // Legs on the same side of one place draw on one pool: their ratios add.
    let mut ratios: BTreeMap<(&SpanPlace, bool), i128> = BTreeMap::new();
    for leg in &spread.legs {
        let ratio = ratios.entry((&leg.place, (leg.side == Side::A) == a_is_long)).or_insert(0);
        *ratio = exact.add(*ratio, leg.ratio, what)?;
    }
    let mut formed: Option<i128> = None;
    for ((place, long), ratio) in &ratios {
        let pool = months.iter().filter(|m| draws(place, m, *long));
        let pool = exact.sum(pool.map(|m| m.left.saturating_abs()), what)?;
        let most = exact.ratio_down(pool, WHOLE, *ratio, what)?;
        formed = Some(formed.map_or(most, |n| n.min(most)));
    }
    let formed = formed.unwrap_or(0);
    for ((place, long), ratio) in ratios {
        let taken = exact.ratio_down(formed, ratio, WHOLE, what)?;
        consume(months, |m| draws(place, m, long), taken);
    }
    Ok(formed)
}

/// Whether a month has delta left for one side of a place.
fn draws(place: &SpanPlace, left: &Left, long: bool) -> bool {
    let there = match place {
        SpanPlace::Tier(tier) => left.month.tiers.contains(tier),
        SpanPlace::Month(period) => left.month.period == *period,
    };
    there && left.left != 0 && (left.left > 0) == long
}

/// Takes delta from the months that `from` admits, the nearest first.
pub(super) fn consume<'a>(months: &mut [Left<'a>], from: impl Fn(&Left<'a>) -> bool, mut amount: i128) {
    for month in months.iter_mut() {
        if from(month) {
            let taken = amount.min(month.left.saturating_abs());
            month.left -= taken * month.left.signum();
            amount -= taken;
        }
    }
}
