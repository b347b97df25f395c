//! The policy in the loop: on clock events it is told what is new, and decides.
//!
//! It is told as often as the clock says, and cuts time into its own steps: a breach is answered at once. What has not been said
//! again is not told again, so that readings age; what is halted is not told at all. Where something tightens the whole book is
//! evaluated first, and who it endangers is announced with it. While a feed is in doubt nothing loosens that rests on it.

use super::effect::{Effect, Reject};
use super::engine::{Engine, Touched};
use super::feed::Validity;
use super::glide::Glided;
use crate::EngineError;
use crate::readings::implied;
use plimsoll_policy::{Bar, Implied, Proposal, Signals, StepError, UnderlyingSignals, decide, propose};
use plimsoll_types::Asset;

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
        // It is shown the market of now.
        self.revalue(&std::mem::take(touched), effects)?;
        let signals = self.signals();
        let version = self.state.policy.board().version();
        let refused = |e: StepError| Reject::new("policy", e.to_string());
        let decided = propose(&self.rules.policy, &mut self.state.policy, &signals)
            .map_err(refused)
            .and_then(|proposal| self.choose(proposal));
        match decided {
            Ok(Some(announced)) => effects.push(announced),
            Ok(None) => {}
            Err(reject) => effects.push(Effect::Rejected(reject)),
        }
        // Parameters that begin are in force too, and are no change.
        touched.all |= self.state.policy.board().version() != version;
        Ok(())
    }

    /// Puts so much of a proposal in force as the book bears; what is announced of it, where anything changes.
    fn choose(&mut self, proposal: Proposal) -> Result<Option<Effect>, Reject> {
        if self.loosens_in_doubt(&proposal) {
            return Ok(None);
        }
        let policy = &self.rules.policy;
        // Nobody is endangered by what loosens.
        let book = proposal.tightens().then(|| self.glide(&proposal)).transpose();
        let book = book.map_err(|e| Reject::new("glide", e.to_string()))?;
        let impacts = book.as_ref().filter(|_| policy.glide().is_some()).map(Glided::impacts);
        let decision = decide(policy, &mut self.state.policy, proposal, impacts.as_deref(), self.state.now)
            .map_err(|e| Reject::new("policy", e.to_string()))?;
        let chosen = decision.glide.map(|choice| choice.candidate);
        let endangered = book.map_or_else(Vec::new, |book| book.endangered(chosen));
        let changes = !decision.changes.is_empty();
        Ok(changes.then(|| Effect::Parameters { decision: Box::new(decision), endangered }))
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
            let interest = self.state.interest.remove(&asset);
            let of = UnderlyingSignals {
                bar: Some(bar),
                open_interest: interest.map(|of| of.open_interest),
                daily_volume: interest.and_then(|of| of.daily_volume),
                concentration: interest.and_then(|of| of.concentration),
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
