//! A policy's values in force, put in the place of a parameter set's own: by underlying, account tier, tenor and moneyness.
//!
//! **The one idea:** what a policy says of a tenor or a moneyness is a scenario set of its own, and the instruments of that bucket
//! have their rows from it; columns stay what they are, so that everything nets within a scenario as before. What is said of a
//! tier is a set of parameters of its own, chosen by the account. An instrument that crosses an edge takes the other bucket's
//! moves.

use crate::Adjusted;
use plimsoll_market::Surface;
use plimsoll_policy::{Board, Knob, Place, Policy, Scope, covering};
use plimsoll_risk::{BuildError, Built, Mode, build, value};
use plimsoll_types::{Asset, Instrument, Ppb, Timestamp, Units, nearest_f64};
use std::collections::BTreeMap;

/// What is asked of the board: which account, which requirement, when.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Account tier; `None` for an account of none.
    pub tier: Option<&'a str>,
    /// What binds existing positions instead of what binds new risk.
    pub maintenance: bool,
    /// The instant.
    pub at: Timestamp,
}

/// Buckets of tenor and moneyness, by their places among the edges of the policy.
type Bucket = (Option<u8>, Option<u8>);

/// What is said of a knob at a place.
pub(crate) type Said<'v> = &'v dyn Fn(Knob, &Scope) -> Option<Ppb>;

/// Scenarios and margin parameters as a policy has them, bucket by bucket.
#[derive(Clone, Debug)]
pub struct Bucketed<'p> {
    policy: &'p Policy,
    whole: Adjusted,
    finer: BTreeMap<Bucket, Adjusted>,
}

impl<'p> Bucketed<'p> {
    /// The values of a board in the place of those of `base`.
    pub fn new(base: &Adjusted, policy: &'p Policy, board: &Board, of: Asked<'_>) -> Self {
        let scopes: Vec<&Scope> = board.parameters().keys().map(|key| &key.scope).collect();
        Self::by(base, policy, (&scopes, of.tier), &|knob, scope| in_force(board, knob, scope, of))
    }

    /// What `value` says of a knob at a place, in the place of the values of `base`; `scopes` are those that anything is said of.
    pub(crate) fn by(
        base: &Adjusted,
        policy: &'p Policy,
        (scopes, tier): (&[&Scope], Option<&str>),
        value: Said<'_>,
    ) -> Self {
        let set = |bucket: Bucket| {
            let mut adjusted = base.clone();
            adjusted.set(&|knob, asset| value(knob, &scope(asset, tier, bucket)));
            adjusted
        };
        let spoken = |bucket: &Bucket| {
            let inside = |own: Option<u8>, at: Option<u8>| own.is_none() || own == at;
            scopes.iter().any(|Scope { tenor, moneyness, .. }| {
                let finer = tenor.is_some() || moneyness.is_some();
                finer && inside(*tenor, bucket.0) && inside(*moneyness, bucket.1)
            })
        };
        let buckets = buckets(policy).filter(spoken).map(|bucket| (bucket, set(bucket)));
        Self { policy, whole: set((None, None)), finer: buckets.collect() }
    }

    /// What holds where the policy says nothing of tenor and moneyness; its margin parameters are those of every bucket.
    pub fn whole(&self) -> &Adjusted {
        &self.whole
    }

    /// Every set of scenarios: the whole, then those of buckets.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &Adjusted> {
        std::iter::once(&self.whole).chain(self.finer.values())
    }

    /// Builds the risk arrays of instruments, each under the scenarios of its bucket.
    ///
    /// # Errors
    /// As [`plimsoll_risk::build`].
    pub fn build(
        &self,
        surface: &Surface,
        instruments: &[Instrument],
        units: &Units,
        mode: Mode,
    ) -> Result<Built, BuildError> {
        let mut built = build(surface, instruments, &self.whole.scenarios, units, mode)?;
        if self.finer.is_empty() {
            return Ok(built);
        }
        let mut members: BTreeMap<Bucket, Vec<Instrument>> = BTreeMap::new();
        for instrument in instruments {
            let bucket = self.bucket(surface, instrument, units);
            if self.finer.contains_key(&bucket) {
                members.entry(bucket).or_default().push(instrument.clone());
            }
        }
        let place = |(at, row): (usize, &plimsoll_types::InstrumentRow)| (row.instrument.clone(), at);
        let places: BTreeMap<Instrument, usize> =
            built.arrays.instruments.iter().enumerate().map(place).collect();
        let columns = built.arrays.scenarios.len();
        for (bucket, adjusted) in &self.finer {
            let Some(members) = members.get(bucket) else { continue };
            let own = build(surface, members, &adjusted.scenarios, units, mode)?.arrays;
            for (row, pnl) in own.instruments.iter().zip(own.pnl.chunks(columns.max(1))) {
                let at = places.get(&row.instrument).map(|at| at * columns..(at + 1) * columns);
                if let Some(into) = at.and_then(|range| built.arrays.pnl.get_mut(range)) {
                    into.copy_from_slice(pnl);
                }
            }
        }
        Ok(built)
    }

    /// The bucket of an instrument; of neither for what has no expiry, or cannot be valued.
    fn bucket(&self, surface: &Surface, instrument: &Instrument, units: &Units) -> Bucket {
        let days = |expiry: Timestamp| surface.as_of.seconds_until(expiry) / 86_400.0;
        let tenor_days = instrument.expiry().map(days);
        let over_forward = |(strike, _)| {
            let forward = value(surface, instrument, units).ok()?.forward;
            Some(nearest_f64(strike) / forward)
        };
        let moneyness = instrument.option().and_then(over_forward);
        let place = Place { tenor_days, moneyness, ..Place::default() };
        let scope = self.policy.scope_of(&place).unwrap_or_default();
        (scope.tenor, scope.moneyness)
    }
}

/// All buckets that an instrument with an expiry may be in.
fn buckets(policy: &Policy) -> impl Iterator<Item = Bucket> {
    let all = |edges: usize| (0..=edges).filter_map(|at| u8::try_from(at).ok().map(Some));
    let edges = &policy.file().buckets;
    let (tenors, moneyness) = (edges.tenor_days.len(), edges.moneyness.len());
    all(tenors).flat_map(move |tenor| {
        std::iter::once(None).chain(all(moneyness)).map(move |moneyness| (tenor, moneyness))
    })
}

fn scope(asset: &Asset, tier: Option<&str>, (tenor, moneyness): Bucket) -> Scope {
    let tier = tier.map(str::to_owned);
    Scope { tier, side: None, moneyness, tenor, underlying: Some(asset.as_str().to_owned()) }
}

pub(crate) fn in_force(board: &Board, knob: Knob, scope: &Scope, of: Asked<'_>) -> Option<Ppb> {
    let (_, state) = covering(board.parameters(), knob, scope).into_iter().next()?;
    Some(if of.maintenance { state.maintenance(of.at) } else { state.value() })
}
