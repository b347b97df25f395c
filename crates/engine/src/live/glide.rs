//! The whole book under the candidates of a tightening, before it is announced: [`crate::Desk::glide`] on the engine as it runs.
//!
//! **The one idea:** rows and book are those that are valued; only scenarios and parameters are a candidate's. What binds existing
//! positions now is margined on the same arrays' market, so that nothing but the values differs.

use super::engine::Engine;
use super::feed::Validity;
use super::state::State;
use super::valued::Values;
use crate::glide::{Margined, Shown, policy_refuses, valued as said};
use crate::{Absorption, Adjusted, Depth, EngineError, Evaluated};
use plimsoll_lanes::Path;
use plimsoll_policy::{Impact, Knob, Place, Proposal, Quoted};
use plimsoll_risk::Plan;
use plimsoll_types::{AccountId, Asset, Instrument, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds of a slot of depth, and slots over which the least counts.
const SLOT_SECONDS: i64 = 60;
const SLOTS: i64 = 5;

/// The least depth of a venue in each of the last minutes, quote units.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Resting {
    slots: Vec<(i64, f64)>,
    /// What it said last, in force until it says otherwise.
    last: f64,
}

impl Resting {
    /// Takes in what is quoted.
    pub(super) fn quote(&mut self, Quoted { depth, .. }: Quoted, at: Timestamp) {
        let slot = at.seconds().div_euclid(SLOT_SECONDS);
        match self.slots.last_mut() {
            Some((last, least)) if *last >= slot => *least = least.min(depth),
            // What was in force stood into this slot.
            Some(_) => self.slots.push((slot, depth.min(self.last))),
            None => self.slots.push((slot, depth)),
        }
        self.last = depth;
        self.slots.retain(|(kept, _)| slot - kept < SLOTS);
    }

    /// The least of the last five minutes in which it was heard, and nothing when it was not.
    pub fn depth(&self, now: Timestamp) -> f64 {
        let slot = now.seconds().div_euclid(SLOT_SECONDS);
        let heard = self.slots.iter().filter(|(kept, _)| slot - kept < SLOTS);
        heard.map(|(_, least)| *least).reduce(f64::min).unwrap_or(0.0)
    }
}

/// A book under each candidate, in the order of [`Proposal::candidates`].
pub(super) struct Glided {
    candidates: Vec<Evaluated>,
}

impl Glided {
    /// What the policy is shown.
    pub(super) fn impacts(&self) -> Vec<Impact> {
        self.candidates.iter().map(|of| of.impact).collect()
    }

    /// Who the chosen candidate makes liquidatable; the whole step where nobody chose.
    pub(super) fn endangered(&self, chosen: Option<usize>) -> Vec<AccountId> {
        let of = chosen.map_or(self.candidates.last(), |place| self.candidates.get(place));
        of.map_or_else(Vec::new, |of| of.affected.iter().map(|one| one.account.clone()).collect())
    }
}

impl Engine {
    /// The whole book under every candidate of a proposal, at the market as it is valued.
    pub(super) fn glide(&self, proposal: &Proposal) -> Result<Glided, EngineError> {
        let (rules, state, valued) = (&self.rules, &self.state, &self.valued);
        let policy = &rules.policy;
        let market = self.absorption();
        market.check()?;
        let candidates = proposal.candidates(policy).map_err(|e| policy_refuses(&e))?;
        let arrays = valued.arrays();
        let listed: Vec<Instrument> = arrays.instruments.iter().map(|row| row.instrument.clone()).collect();
        let underlyings: Vec<Asset> = valued.surface.underlyings.keys().cloned().collect();
        let stated = Adjusted::new(&rules.params, &underlyings, &rules.series)?;
        let margined = |values: Values<'_>| {
            let mut adjusted = stated.clone();
            adjusted.set(values);
            let plan = Plan::new(&listed, &adjusted.scenarios, &rules.params.units)?;
            let mut made = plan.build(&valued.surface, Path::best())?.arrays;
            if made.instruments.len() != listed.len() {
                let reason = format!("{} of {} rows", made.instruments.len(), listed.len());
                return Err(EngineError::Rules { reason });
            }
            valued.mark_rows(&state.ledger, &mut made);
            Ok(Margined::new(valued.book(), &made, (std::iter::once(&adjusted.scenarios), &adjusted.margin)))
        };
        let binding = |knob: Knob, asset: &Asset| {
            let place = Place { underlying: Some(asset.as_str()), ..Place::default() };
            Some(policy.in_force(state.policy.board(), knob, &place, state.now)?.maintenance)
        };
        let now = margined(&binding)?.margins;
        let shown = Shown { book: valued.book(), arrays, market: &market, now: &now };
        let candidates =
            shown.under_each(&candidates, |values| margined(&|knob, asset| said(values, knob, asset)))?;
        Ok(Glided { candidates })
    }

    /// What rests in order books: the least of some minutes, of every venue together.
    pub(super) fn absorption(&self) -> Absorption {
        let State { resting, now, .. } = &self.state;
        let within = self.rules.liquidation.depth_within;
        let of = |venues: &BTreeMap<String, Resting>| Depth {
            quote: venues.values().map(|venue| venue.depth(*now)).sum(),
            within,
        };
        let depth = resting.iter().map(|(asset, venues)| (asset.clone(), of(venues))).collect();
        Absorption { depth, breach: self.rules.liquidation.breach }
    }

    /// Whether all that a proposal does is to loosen, something of it while a feed behind it is in doubt. One that tightens
    /// something is not held up by another's trouble.
    pub(super) fn loosens_in_doubt(&self, proposal: &Proposal) -> bool {
        if proposal.tightens() {
            return false;
        }
        let doubted = |name: Option<&str>| {
            let mut feeds = self.state.feeds.iter();
            feeds.any(|(asset, feed)| {
                name.is_none_or(|name| name == asset.as_str()) && feed.validity() != Validity::Normal
            })
        };
        let mut loosening = proposal.parameters().iter().filter(|p| p.new < p.old);
        loosening.any(|p| self.state.clock_skew || doubted(p.key.scope.underlying.as_deref()))
    }
}
