//! Going on by other rules: what is held and what was seen stays, what is not allowed any more is said.

use super::engine::Engine;
use super::rules::Rules;
use crate::EngineError;
use plimsoll_types::Timestamp;

impl Engine {
    /// The engine by other rules from an instant on. Values in force, their ramps and votes stay as far as the new policy knows
    /// them; feeds that were there keep what they heard.
    ///
    /// # Errors
    /// [`EngineError`] when units differ, a feed that is relied on is gone, the policy would loosen or hurry by it, or the
    /// scenarios cannot be made. The engine that was asked goes on as it was.
    pub fn adopt(&self, rules: Rules, now: Timestamp) -> Result<Self, EngineError> {
        let refused = |reason: String| EngineError::Rules { reason };
        if rules.params.units != self.rules.params.units {
            return Err(refused("units are part of what is held, and cannot change".to_owned()));
        }
        let mut state = self.state.clone();
        if let Some(gone) = state.feeds.keys().find(|asset| !rules.feeds.contains_key(*asset)) {
            return Err(refused(format!("the feed of {gone} is gone")));
        }
        for asset in rules.feeds.keys() {
            state.feeds.entry(asset.clone()).or_default();
        }
        state.now = state.now.max(now);
        if rules.policy.digest() != self.rules.policy.digest() {
            let migrated = state.policy.migrate(&self.rules.policy, &rules.policy, state.now);
            state.policy = migrated.map_err(|e| EngineError::Policy { reason: e.to_string() })?.state;
        }
        state.ruled_at = state.now;
        state.valued_at.clear();
        Self::resume(rules, state)
    }
}
