//! How an account that must be liquidated is: the smallest reduction that restores initial margin.
//!
//! **The one idea:** of all ways to give up a part of one position, the one that gains most over what it costs to trade comes
//! next, and one that gains nothing never comes: so a hedge stays while it is one, and no step makes the account worse. The last step is as
//! small as does it.

use plimsoll_lanes::Path;
use plimsoll_margin::{BookTerms, LiveAccount, MarginError, Params, Trade};
use plimsoll_types::{Instrument, InstrumentIx, Lots, NANO, Portfolio, RiskArrays, Rounding, Ticks, mul_div};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Parts of a position that are given up at a time, before the last.
const PARTS: u64 = 8;

/// A part of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Of what.
    pub instrument: Instrument,
    /// Given up: > 0 is sold, < 0 bought back.
    pub lots: i64,
    /// What trading it is expected to cost, ticks.
    pub cost: Ticks,
    /// By how much `equity - im` rises, cost taken off, ticks.
    pub gain: Ticks,
}

/// How an account is to be reduced.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// In the order they are to be done, one per instrument.
    pub steps: Vec<Step>,
    /// `equity - im` before.
    pub im_excess_before: Ticks,
    /// And when all is done, costs taken off.
    pub im_excess_after: Ticks,
    /// Whether that restores initial margin. Where it does not, everything that helps is in the plan.
    pub restores: bool,
}

/// An account on the way.
struct Sale<'a> {
    live: LiveAccount<'a>,
    arrays: &'a RiskArrays,
    params: &'a Params,
    excess: i128,
    spent: i128,
}

/// One way to give something up.
#[derive(Clone, Copy)]
struct Offer {
    instrument: InstrumentIx,
    /// Sold > 0.
    lots: i64,
    cost: i128,
    gain: i128,
}

/// The plan of an account. Trading costs what the liquidity terms of the underlying say of the spread.
///
/// # Errors
/// When a margin cannot be computed.
pub fn plan(
    portfolio: &Portfolio,
    terms: &BookTerms<'_>,
    of: (&RiskArrays, &Params),
) -> Result<Plan, MarginError> {
    // Orders are taken back before anything is sold.
    let portfolio = Portfolio { orders: Vec::new(), ..portfolio.clone() };
    let live = LiveAccount::new(portfolio, terms, Path::best())?;
    let before = live.totals()?.im_excess;
    let mut sale = Sale { live, arrays: of.0, params: of.1, excess: before.0, spent: 0 };
    let mut sold: Vec<Offer> = Vec::new();
    let parts: BTreeMap<InstrumentIx, i64> =
        sale.live.portfolio().positions.iter().map(|p| (p.instrument, part(p.lots.0))).collect();
    while sale.excess < 0 {
        let Some(mut best) = sale.best(&parts)? else { break };
        if sale.excess + best.gain >= 0 {
            best = sale.least(best)?;
        }
        sale.take(best)?;
        match sold.iter_mut().find(|other| other.instrument == best.instrument) {
            Some(other) => {
                other.lots += best.lots;
                other.cost += best.cost;
                other.gain += best.gain;
            }
            None => sold.push(best),
        }
    }
    let named = |offer: &Offer| {
        let row = of.0.instrument(offer.instrument)?;
        let (cost, gain) = (Ticks(offer.cost), Ticks(offer.gain));
        Some(Step { instrument: row.instrument.clone(), lots: offer.lots, cost, gain })
    };
    Ok(Plan {
        steps: sold.iter().filter_map(named).collect(),
        im_excess_before: before,
        im_excess_after: Ticks(sale.excess),
        restores: sale.excess >= 0,
    })
}

/// What is offered of a position at a time.
fn part(lots: i64) -> i64 {
    let size = lots.unsigned_abs().div_ceil(PARTS);
    // A part of a 64-bit size, rounded up, fits for more than one part.
    i64::try_from(size).unwrap_or(i64::MAX) * lots.signum()
}

impl Sale<'_> {
    /// The offer that gains most over what it costs; `None` where none gains.
    fn best(&self, parts: &BTreeMap<InstrumentIx, i64>) -> Result<Option<Offer>, MarginError> {
        let mut best: Option<(f64, Offer)> = None;
        for position in &self.live.portfolio().positions {
            let held = position.lots.0;
            let part = parts.get(&position.instrument).copied().unwrap_or(held);
            let lots = if part.unsigned_abs() > held.unsigned_abs() { held } else { part };
            // A hedge of several parts gains only as a whole.
            for lots in [lots, held] {
                let Some(offer) = self.offer(position.instrument, lots)?.filter(|offer| offer.gain > 0)
                else {
                    continue;
                };
                let rate = offer.gain as f64 / self.weight(&offer);
                if best.as_ref().is_none_or(|(most, _)| rate > *most) {
                    best = Some((rate, offer));
                }
            }
        }
        Ok(best.map(|(_, offer)| offer))
    }

    /// What an offer is measured against: its cost, and where it has none its size.
    fn weight(&self, offer: &Offer) -> f64 {
        let notional = self.arrays.instrument(offer.instrument).map_or(0, |row| row.notional);
        let size = notional as f64 * offer.lots.unsigned_abs() as f64 / NANO as f64;
        offer.cost as f64 + if size > 0.0 { size } else { 1.0 }
    }

    fn offer(&self, instrument: InstrumentIx, lots: i64) -> Result<Option<Offer>, MarginError> {
        if lots == 0 {
            return Ok(None);
        }
        let cost = self.cost(instrument, lots);
        let after = self.live.check(&Trade { instrument, lots: Lots(-lots) })?;
        let gain = after.im_excess.0 - self.spent - cost - self.excess;
        Ok(Some(Offer { instrument, lots, cost, gain }))
    }

    /// Half the spread on what is traded, rounded up.
    fn cost(&self, instrument: InstrumentIx, lots: i64) -> i128 {
        let Some(row) = self.arrays.instrument(instrument) else { return 0 };
        let asset = self.arrays.underlyings.get(row.underlying.index()).map(|u| &u.asset);
        let spread = asset.and_then(|asset| self.params.addons.liquidity.of(asset)).map_or(0, |t| t.spread.0);
        let size = i128::from(row.notional) * i128::from(lots.unsigned_abs());
        mul_div(size, i128::from(spread), i128::from(NANO), Rounding::Up).unwrap_or(i128::MAX / 4)
    }

    /// The smallest part of an offer that restores the margin.
    fn least(&self, offer: Offer) -> Result<Offer, MarginError> {
        let (mut short, mut enough) = (0_u64, offer);
        while enough.lots.unsigned_abs() - short > 1 {
            let middle = short + (enough.lots.unsigned_abs() - short) / 2;
            let lots = i64::try_from(middle).unwrap_or(i64::MAX) * offer.lots.signum();
            match self.offer(offer.instrument, lots)? {
                Some(found) if self.excess + found.gain >= 0 => enough = found,
                _ => short = middle,
            }
        }
        Ok(enough)
    }

    fn take(&mut self, offer: Offer) -> Result<(), MarginError> {
        self.live.apply(&Trade { instrument: offer.instrument, lots: Lots(-offer.lots) })?;
        self.spent += offer.cost;
        self.excess += offer.gain;
        Ok(())
    }
}
