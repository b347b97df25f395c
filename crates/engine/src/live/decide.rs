//! The policy in the loop: on its own clock it sees what was seen, proposes, is shown the whole book, and decides.

use super::effect::Effect;
use super::engine::{Engine, Touched};
use super::feed::Validity;
use crate::EngineError;
use plimsoll_policy::{Implied, Signals, UnderlyingSignals, decide, propose};
use plimsoll_types::{AccountId, Asset};

/// The tenors at which a surface is read, days; the last is the one that level and skew are of.
const TENORS: [f64; 2] = [7.0, 30.0];

impl Engine {
    /// Lets the policy look, if it is time.
    pub(super) fn decide(
        &mut self,
        touched: &mut Touched,
        effects: &mut Vec<Effect>,
    ) -> Result<(), EngineError> {
        let now = self.state.now;
        if now < self.state.policy_due {
            return Ok(());
        }
        self.state.policy_due = now.plus_seconds(self.rules.policy.step_seconds());
        let signals = self.signals();
        self.state.bars.clear();
        let frozen = self.state.feeds.values().any(|feed| feed.validity() == Validity::Halted);
        if frozen {
            return Ok(());
        }
        let policy = &self.rules.policy;
        let decision = propose(policy, &mut self.state.policy, &signals)
            .and_then(|proposal| decide(policy, &mut self.state.policy, proposal, None, now));
        match decision {
            Ok(decision) => {
                touched.all |= !decision.changes.is_empty();
                let endangered: Vec<AccountId> = Vec::new();
                effects.push(Effect::Parameters { decision: Box::new(decision), endangered });
            }
            Err(error) => {
                effects.push(Effect::Rejected(super::effect::Reject::new("policy", error.to_string())))
            }
        }
        Ok(())
    }

    fn signals(&self) -> Signals {
        let of = |asset: &Asset| UnderlyingSignals {
            bar: self.state.bars.get(asset).copied(),
            implied: self.implied(asset),
            venues: self.state.depth.get(asset).cloned().unwrap_or_default(),
            ..UnderlyingSignals::default()
        };
        let seen = self.valued.surface.underlyings.keys();
        Signals {
            as_of: self.state.now,
            underlyings: seen.map(|asset| (asset.as_str().to_owned(), of(asset))).collect(),
            pool_coverage: self.state.pool,
            sentiment: self.state.sentiment,
        }
    }

    fn implied(&self, asset: &Asset) -> Option<Implied> {
        let surface = self.valued.surface.underlyings.get(asset)?;
        let read = plimsoll_market::signals(surface, self.state.now, &TENORS).ok()?;
        let month = read.tenors.last()?;
        Some(Implied {
            atm: month.atm_vol,
            risk_reversal: month.risk_reversal_25d,
            butterfly: month.butterfly_25d,
            slope: read.term_slope?,
        })
    }
}
