//! How kinds of traders build their positions.

use super::Draw;
use super::account::Account;
use super::chain::{Chain, Expiry};
use plimsoll_quant::black::OptionKind::{Call, Put};

/// A kind of trader: its name, its share in a hundred accounts, and how it trades.
pub(super) struct Archetype {
    pub(super) name: &'static str,
    pub(super) share: usize,
    pub(super) trade: fn(&mut Trader<'_, '_>),
}

/// Every kind; the shares add up to 100.
pub(super) const ARCHETYPES: [Archetype; 10] = [
    Archetype { name: "covered-call", share: 16, trade: covered_call },
    Archetype { name: "put-seller", share: 14, trade: put_seller },
    Archetype { name: "strangle-seller", share: 12, trade: strangle_seller },
    Archetype { name: "condor-maker", share: 10, trade: condor_maker },
    Archetype { name: "calendar-spreader", share: 8, trade: calendar_spreader },
    Archetype { name: "market-maker", share: 8, trade: market_maker },
    Archetype { name: "basis-trader", share: 10, trade: basis_trader },
    Archetype { name: "punter", share: 12, trade: punter },
    Archetype { name: "tail-buyer", share: 6, trade: tail_buyer },
    Archetype { name: "ratio-spreader", share: 4, trade: ratio_spreader },
];

/// One trader at work.
pub(super) struct Trader<'a, 'c> {
    pub(super) chain: &'c Chain,
    pub(super) draw: &'a mut Draw,
    pub(super) account: Account<'c>,
    /// Typical size, base units.
    pub(super) size: f64,
}

impl<'c> Trader<'_, 'c> {
    /// An expiry between two tenors in days; any at all where there is none.
    fn expiry(&mut self, days: (f64, f64)) -> Option<&'c Expiry> {
        let within = |e: &&Expiry| e.tau * 365.0 >= days.0 && e.tau * 365.0 <= days.1;
        let expiries = &self.chain.expiries;
        let suitable: Vec<&Expiry> = expiries.iter().filter(within).collect();
        if suitable.is_empty() { self.draw.one_of(expiries) } else { self.draw.one_of(&suitable).copied() }
    }

    fn size(&mut self) -> f64 {
        self.size * self.draw.between(0.6, 1.6)
    }

    /// Brings the net delta to about zero with a perpetual or a future, where there is one.
    fn hedge(&mut self, quality: f64) {
        let delta = self.account.delta();
        let contract = self.chain.perpetuals.first().or(self.chain.futures.first());
        if let Some(contract) = contract {
            self.account.delta_one(contract, -delta * quality);
        }
    }
}

/// Coins held, out-of-the-money calls sold against them.
fn covered_call(t: &mut Trader<'_, '_>) {
    let size = t.size();
    let legs = 1 + t.draw.below(3);
    t.account.spot(size * t.draw.between(1.0, 1.3));
    for _ in 0..legs {
        if let Some(expiry) = t.expiry((5.0, 120.0)) {
            let strike = expiry.by_delta(Call, t.draw.between(0.08, 0.32));
            t.account.option(expiry, strike, Call, -size / legs as f64);
        }
    }
}

/// Out-of-the-money puts sold for the premium.
fn put_seller(t: &mut Trader<'_, '_>) {
    for _ in 0..=t.draw.below(3) {
        if let Some(expiry) = t.expiry((3.0, 100.0)) {
            let strike = expiry.by_delta(Put, t.draw.between(0.06, 0.35));
            let size = t.size();
            t.account.option(expiry, strike, Put, -size);
        }
    }
}

/// A call and a put sold on either side, now and then hedged.
fn strangle_seller(t: &mut Trader<'_, '_>) {
    for _ in 0..=t.draw.below(2) {
        if let Some(expiry) = t.expiry((5.0, 100.0)) {
            let (size, delta) = (t.size(), t.draw.between(0.08, 0.3));
            t.account.option(expiry, expiry.by_delta(Call, delta), Call, -size);
            t.account.option(expiry, expiry.by_delta(Put, delta), Put, -size);
        }
    }
    if t.draw.chance(0.4) {
        t.hedge(0.9);
    }
}

/// A strangle sold with wings bought further out.
fn condor_maker(t: &mut Trader<'_, '_>) {
    for _ in 0..=t.draw.below(3) {
        let Some(expiry) = t.expiry((5.0, 100.0)) else {
            return;
        };
        let (size, delta) = (t.size(), t.draw.between(0.18, 0.32));
        let last = expiry.strikes.len() - 1;
        let (call, put) = (expiry.by_delta(Call, delta), expiry.by_delta(Put, delta));
        let wing = 1 + t.draw.below(3);
        t.account.option(expiry, call, Call, -size);
        t.account.option(expiry, (call + wing).min(last), Call, size);
        t.account.option(expiry, put, Put, -size);
        t.account.option(expiry, put.saturating_sub(wing), Put, size);
    }
}

/// A near option sold against a far one of about the same delta.
fn calendar_spreader(t: &mut Trader<'_, '_>) {
    for _ in 0..=t.draw.below(2) {
        let (near, far) = (t.expiry((1.0, 30.0)), t.expiry((31.0, 300.0)));
        let (Some(near), Some(far)) = (near, far) else {
            return;
        };
        let kind = if t.draw.chance(0.5) { Call } else { Put };
        let (size, delta) = (t.size(), t.draw.between(0.25, 0.55));
        let sign = if t.draw.chance(0.8) { 1.0 } else { -1.0 };
        t.account.option(near, near.by_delta(kind, delta), kind, -sign * size);
        t.account.option(far, far.by_delta(kind, delta), kind, sign * size);
    }
}

/// Many legs on both sides, delta-hedged.
fn market_maker(t: &mut Trader<'_, '_>) {
    for _ in 0..20 + t.draw.below(40) {
        if let Some(expiry) = t.expiry((0.0, 1000.0)) {
            let kind = if t.draw.chance(0.5) { Call } else { Put };
            let delta = t.draw.between(0.03, 0.6);
            // Customers buy wings and sell the money: a maker ends up slightly short of options.
            let sold = t.draw.chance(0.54);
            let size = t.size() * if sold { -0.7 } else { 0.7 };
            t.account.option(expiry, expiry.by_delta(kind, delta), kind, size);
        }
    }
    let quality = t.draw.between(0.85, 1.0);
    t.hedge(quality);
}

/// Coin against perpetual, or perpetual against future.
fn basis_trader(t: &mut Trader<'_, '_>) {
    let size = t.size();
    let chain = t.chain;
    let (perpetual, future) = (chain.perpetuals.first(), t.draw.one_of(&chain.futures));
    match (perpetual, future) {
        (Some(perpetual), Some(future)) if t.draw.chance(0.5) => {
            t.account.delta_one(perpetual, size);
            t.account.delta_one(future, -size);
        }
        (Some(contract), _) | (None, Some(contract)) => {
            t.account.spot(size);
            t.account.delta_one(contract, -size);
        }
        (None, None) => synthetic(t, size),
    }
}

/// The coin against a synthetic short future, where no future is listed.
fn synthetic(t: &mut Trader<'_, '_>, size: f64) {
    t.account.spot(size);
    if let Some(expiry) = t.expiry((20.0, 250.0)) {
        let strike = expiry.by_delta(Call, 0.5);
        t.account.option(expiry, strike, Call, -size);
        t.account.option(expiry, strike, Put, size);
    }
}

/// A view on direction: short-dated options bought, or a perpetual with leverage.
fn punter(t: &mut Trader<'_, '_>) {
    let up = t.draw.chance(0.6);
    let size = t.size();
    let perpetual = t.chain.perpetuals.first();
    if let (Some(perpetual), true) = (perpetual, t.draw.chance(0.45)) {
        t.account.delta_one(perpetual, if up { size } else { -size });
        return;
    }
    for _ in 0..=t.draw.below(2) {
        if let Some(expiry) = t.expiry((0.5, 45.0)) {
            let kind = if up { Call } else { Put };
            let strike = expiry.by_delta(kind, t.draw.between(0.15, 0.5));
            t.account.option(expiry, strike, kind, size);
        }
    }
}

/// Far options bought against a crash or a melt-up, sometimes paid for by one sold nearer.
fn tail_buyer(t: &mut Trader<'_, '_>) {
    for _ in 0..=t.draw.below(3) {
        if let Some(expiry) = t.expiry((20.0, 300.0)) {
            let kind = if t.draw.chance(0.8) { Put } else { Call };
            let strike = expiry.by_delta(kind, t.draw.between(0.02, 0.08));
            let size = 2.0 * t.size();
            t.account.option(expiry, strike, kind, size);
        }
    }
}

/// One option bought, more of a farther one sold.
fn ratio_spreader(t: &mut Trader<'_, '_>) {
    if let Some(expiry) = t.expiry((10.0, 120.0)) {
        let kind = if t.draw.chance(0.5) { Call } else { Put };
        let size = t.size();
        t.account.option(expiry, expiry.by_delta(kind, t.draw.between(0.35, 0.5)), kind, size);
        let ratio = 1.0 + t.draw.between(0.5, 1.5);
        t.account.option(expiry, expiry.by_delta(kind, t.draw.between(0.08, 0.2)), kind, -ratio * size);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_a_hundred() {
        assert_eq!(ARCHETYPES.iter().map(|a| a.share).sum::<usize>(), 100);
    }
}
