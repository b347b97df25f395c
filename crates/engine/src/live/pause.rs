//! Stopping by hand: what may still be done is what lowers risk.
//!
//! **The one idea:** a pause changes no number. Accounts are valued, told of and looked at as ever; what would raise risk is refused as it
//! is while a feed is in doubt, and liquidations wait where that was asked for, to follow at the first tick after.

use super::effect::{Effect, Reject};
use super::engine::Engine;
use super::state::Pause;

/// The longest reason, bytes.
const REASON_BYTES: usize = 512;

impl Engine {
    /// Whether liquidations wait for somebody.
    pub(super) fn holds_liquidations(&self) -> bool {
        self.state.paused.as_ref().is_some_and(|paused| paused.hold_liquidations)
    }

    /// Stops new risk; said again it may stop liquidations too, or let them go on.
    pub(super) fn pause(
        &mut self,
        reason: &str,
        hold_liquidations: bool,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Reject> {
        if reason.is_empty() || reason.len() > REASON_BYTES {
            return Err(Reject::new("argument", format!("a reason of 1 to {REASON_BYTES} bytes")));
        }
        let since = self.state.paused.as_ref().map_or(self.state.now, |paused| paused.since);
        self.state.paused = Some(Pause { since, reason: reason.to_owned(), hold_liquidations });
        effects.push(Effect::Paused { reason: reason.to_owned(), hold_liquidations });
        Ok(())
    }

    /// Lets what was stopped go on.
    pub(super) fn go_on(&mut self, effects: &mut Vec<Effect>) -> Result<(), Reject> {
        let paused = self.state.paused.take().ok_or_else(|| Reject::new("not_paused", ""))?;
        effects.push(Effect::Resumed { since: paused.since });
        Ok(())
    }
}
