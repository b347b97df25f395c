//! The policy in the loop: on clock events it is told what is new, and decides.
//!
//! It is told as often as the clock says, and cuts time into its own steps: a breach is answered at once. What has not been said
//! again is not told again, so that readings age; what is halted is not told at all.

use super::effect::{Effect, Reject};
use super::engine::{Engine, Touched};
use super::feed::Validity;
use crate::EngineError;
use crate::readings::implied;
use plimsoll_policy::{Bar, Implied, Signals, UnderlyingSignals, decide, propose};
use plimsoll_types::{AccountId, Asset};

/// The policy is told no more often than this, seconds.
const LOOK_SECONDS: i64 = 60;

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
        self.state.policy_due = now.plus_seconds(LOOK_SECONDS);
        let signals = self.signals();
        let policy = &self.rules.policy;
        let version = self.state.policy.board().version();
        let decision = propose(policy, &mut self.state.policy, &signals)
            .and_then(|proposal| decide(policy, &mut self.state.policy, proposal, None, now));
        match decision {
            Ok(decision) => {
                let endangered: Vec<AccountId> = Vec::new();
                if !decision.changes.is_empty() {
                    effects.push(Effect::Parameters { decision: Box::new(decision), endangered });
                }
            }
            Err(error) => effects.push(Effect::Rejected(Reject::new("policy", error.to_string()))),
        }
        // Parameters that begin are in force too, and are no change.
        touched.all |= self.state.policy.board().version() != version;
        Ok(())
    }

    /// What is new since the last look; it is not new any more then.
    fn signals(&mut self) -> Signals {
        let seen: Vec<Asset> = self.valued.surface.underlyings.keys().cloned().collect();
        let mut signals = Signals {
            as_of: self.state.now,
            pool_coverage: self.state.pool.take(),
            sentiment: self.state.sentiment.take(),
            ..Signals::default()
        };
        for asset in seen {
            let Some(bar) = self.bar(&asset) else { continue };
            let of = UnderlyingSignals {
                bar: Some(bar),
                implied: self.implied(&asset),
                venues: self.state.depth.remove(&asset).unwrap_or_default(),
                ..UnderlyingSignals::default()
            };
            signals.underlyings.insert(asset.as_str().to_owned(), of);
        }
        self.state.looked = self.state.now;
        signals
    }

    /// Prices since the last look, or the price as it stands; nothing while the feed is halted.
    fn bar(&mut self, asset: &Asset) -> Option<Bar> {
        let feed = self.state.feeds.get(asset).filter(|feed| feed.validity() != Validity::Halted)?;
        let standing = Bar::at(feed.accepted()?.price);
        Some(self.state.bars.remove(asset).unwrap_or(standing))
    }

    /// The surface, where a chain came since the last look.
    fn implied(&self, asset: &Asset) -> Option<Implied> {
        let quoted = self.state.markets.get(asset)?.quoted()?;
        let surface = self.valued.surface.underlyings.get(asset).filter(|_| quoted > self.state.looked)?;
        implied(surface, self.state.now)
    }
}
