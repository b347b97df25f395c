//! What an instrument is worth once it has expired.
//!
//! **The one idea:** the mean of the last half hour is frozen at the first event at or after expiry, whatever that event is, and kept until
//! [`super::Body::Settle`] comes, however late. Meanwhile what expired counts as the money it will be: without time value, risk
//! or margin. Where the feed said nothing sound in that half hour there is no mean, and who holds it cannot be valued.

use super::effect::{Effect, Reject};
use super::engine::{Engine, Touched};
use super::state::State;
use plimsoll_types::{
    Asset, Instrument, OptionKind, Rounding, Ticks, Timestamp, Units, nearest_f64, quantise,
};
use std::collections::{BTreeMap, BTreeSet};

/// Expiries that have not come, and those that came and are not looked at: what was frozen is not among them.
pub(super) fn expiries(state: &State) -> BTreeSet<(Timestamp, Asset)> {
    let open = state.ledger.instruments().iter().filter(|listed| listed.settled.is_none());
    let of = |instrument: &Instrument| Some((instrument.expiry()?, instrument.underlying().clone()));
    open.filter_map(|listed| of(&listed.instrument))
        .filter(|(expiry, asset)| frozen(state, asset, *expiry).is_none())
        .collect()
}

/// What was frozen for an expiry: `Some(None)` where there was no mean.
fn frozen(state: &State, asset: &Asset, expiry: Timestamp) -> Option<Option<f64>> {
    state.frozen.get(asset)?.get(&expiry).copied()
}

/// By number, what a lot of an expired instrument will be settled at, ticks.
pub(super) fn frozen_values(state: &State, units: &Units) -> BTreeMap<u32, i64> {
    if state.frozen.is_empty() {
        return BTreeMap::new();
    }
    let open = (0..).zip(state.ledger.instruments()).filter(|(_, listed)| listed.settled.is_none());
    let value = |instrument: &Instrument| {
        let index = frozen(state, instrument.underlying(), instrument.expiry()?)??;
        lot_value(instrument, index, units).ok()
    };
    open.filter_map(|(number, listed)| Some((number, value(&listed.instrument)?))).collect()
}

/// What a lot pays at an index, ticks.
fn lot_value(instrument: &Instrument, index: f64, units: &Units) -> Result<i64, Reject> {
    let worth = payoff(instrument, index) * nearest_f64(units.lot(instrument)) * units.ticks_per_unit as f64;
    quantise(worth, Rounding::Nearest).map_err(|e| Reject::new("overflow", e.to_string()))
}

/// What one unit of an instrument pays at an index, quote units.
fn payoff(instrument: &Instrument, index: f64) -> f64 {
    match instrument.option() {
        Some((strike, OptionKind::Call)) => (index - nearest_f64(strike)).max(0.0),
        Some((strike, OptionKind::Put)) => (nearest_f64(strike) - index).max(0.0),
        None => index,
    }
}

impl Engine {
    /// Freezes what has expired by now.
    pub(super) fn freeze(&mut self, touched: &mut Touched) {
        while let Some((expiry, asset)) =
            self.expiries.first().filter(|(at, _)| *at <= self.state.now).cloned()
        {
            self.expiries.pop_first();
            let mean = self.state.trail.get(&asset).and_then(|trail| trail.mean(expiry));
            self.state.frozen.entry(asset).or_default().insert(expiry, mean);
            touched.all = true;
        }
    }

    /// Whether an instrument has expired.
    pub(super) fn has_expired(&self, instrument: &Instrument) -> bool {
        instrument.expiry().is_some_and(|expiry| expiry <= self.state.now)
    }

    /// The number of an instrument that may be traded: listed, not settled, not expired.
    pub(super) fn traded(&self, instrument: &Instrument) -> Result<u32, Reject> {
        let number = self.state.ledger.number(instrument)?;
        if self.has_expired(instrument) {
            Err(Reject::new("expired", instrument.to_string()))
        } else {
            Ok(number)
        }
    }

    /// Whether what an expired instrument is worth is known.
    pub(super) fn is_frozen(&self, instrument: &Instrument) -> bool {
        let known = instrument.expiry().and_then(|at| frozen(&self.state, instrument.underlying(), at));
        known.flatten().is_some()
    }

    /// An instrument that has expired becomes money.
    pub(super) fn settle(
        &mut self,
        instrument: &Instrument,
        touched: &mut Touched,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reject> {
        let number = self.state.ledger.number(instrument)?;
        let expiry =
            instrument.expiry().ok_or_else(|| Reject::new("never_expires", instrument.to_string()))?;
        if !self.has_expired(instrument) {
            return Err(Reject::new("not_expired", instrument.to_string()));
        }
        let mean = frozen(&self.state, instrument.underlying(), expiry).flatten();
        let index = mean.ok_or_else(|| Reject::new("missing_index", instrument.to_string()))?;
        let value = lot_value(instrument, index, &self.rules.params.units)?;
        let holders = self.state.ledger.settle(number, value, self.state.now)?;
        self.forget(instrument.underlying(), expiry);
        touched.all = true;
        let (accounts, value) = (holders.len(), Ticks(i128::from(value)));
        effects.push(Effect::Settled { instrument: instrument.clone(), value, accounts });
        Ok(())
    }

    /// Forgets what was frozen for an expiry of which nothing is left.
    fn forget(&mut self, asset: &Asset, expiry: Timestamp) {
        let mut open = self.state.ledger.instruments().iter().filter(|listed| listed.settled.is_none());
        let same = |of: &Instrument| of.underlying() == asset && of.expiry() == Some(expiry);
        if open.any(|listed| same(&listed.instrument)) {
            return;
        }
        if let Some(of) = self.state.frozen.get_mut(asset) {
            of.remove(&expiry);
            if of.is_empty() {
                self.state.frozen.remove(asset);
            }
        }
    }
}
