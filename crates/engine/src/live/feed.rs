//! One price out of several sources over time, and how far it may be relied on.
//!
//! **The one idea:** an observation is either refused with a stable reason, and then nothing has changed, or it is kept; what
//! the feed says is then found anew from what its sources last said and from the instant. Getting worse is immediate;
//! getting better takes several fresh observations that agree.
//!
//! **Must never know:** accounts, signatures, where observations came from.

mod consensus;
mod params;
mod source;

pub use params::{FeedParamError, FeedParams, SourceParams};
pub use source::{Observation, Quarantine, Stated};

use consensus::{Found, Verdict};
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// How far what is known may be relied on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validity {
    /// For everything.
    #[default]
    Normal,
    /// For what lowers risk; for liquidation only where it follows at every price that may be true.
    Degraded,
    /// For nothing but lowering risk.
    Halted,
}

/// Why a feed is not [`Validity::Normal`]. The codes are stable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing has been said yet.
    NoPrice,
    /// Older than the soft limit.
    SoftStale,
    /// Older than the hard limit.
    HardStale,
    /// Fewer sources agree than are wanted.
    SourcesLost,
    /// No majority of sources agrees.
    Disagreement,
    /// The confidence interval is too wide.
    WideConfidence,
    /// A jump that is not confirmed yet.
    Jump,
    /// A jump that too few sources state to be confirmed.
    LoneJump,
    /// The price no longer moves, away from what is known otherwise or at a bound of its source.
    Pinned,
    /// Too far from our own market.
    Divergence,
    /// Sound again, and not for long enough.
    Recovering,
    /// The host's clock does not go with what has been seen.
    ClockSkew,
    /// The chain below was down, by its own word.
    ChainDown,
    /// A surface with arbitrage in it was refused, and the one before stays.
    Arbitrage,
}

impl Cause {
    /// The worst that follows from it alone.
    pub const fn validity(self) -> Validity {
        match self {
            Self::NoPrice
            | Self::HardStale
            | Self::Disagreement
            | Self::LoneJump
            | Self::Pinned
            | Self::ChainDown => Validity::Halted,
            Self::SoftStale
            | Self::SourcesLost
            | Self::WideConfidence
            | Self::Jump
            | Self::Divergence
            | Self::Recovering
            | Self::ClockSkew
            | Self::Arbitrage => Validity::Degraded,
        }
    }
}

/// Why an observation was not taken. Nothing has changed then, but for the quarantine that is named.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// The feed has no such source.
    #[error("unknown_source")]
    UnknownSource,
    /// Dated in the future beyond the tolerance.
    #[error("future")]
    Future,
    /// Its validity has passed.
    #[error("expired")]
    Expired,
    /// Seen before.
    #[error("duplicate")]
    Duplicate,
    /// Older than what the source said last.
    #[error("out_of_order")]
    OutOfOrder,
    /// The source numbers its observations without gaps, and there is one.
    #[error("sequence_gap")]
    SequenceGap,
    /// The source said two different things of one instant: it is quarantined.
    #[error("equivocation")]
    Equivocation,
    /// Zero or negative.
    #[error("non_positive")]
    NonPositive,
    /// Another exponent than the source is configured with: it is quarantined until that is confirmed.
    #[error("exponent")]
    Exponent,
    /// A confidence below zero or above the price.
    #[error("bad_confidence")]
    BadConfidence,
    /// Not exactly a float.
    #[error("overflow")]
    Overflow,
    /// The source is in quarantine.
    #[error("quarantined")]
    Quarantined,
    /// The first price of a source is too far from what the others agree on: another unit or other decimals.
    #[error("activation")]
    Activation,
    /// A sign of life of a source that is not configured to give any.
    #[error("unexpected")]
    Unexpected,
}

/// The first price of a source over that of the feed lies within these.
const ACTIVATION: (f64, f64) = (0.9, 1.1);

/// A price that was accepted.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Accepted {
    /// Quote units per base unit; > 0.
    pub price: f64,
    /// Half-width of its confidence interval relative to it.
    pub confidence: f64,
    /// The newest observation it is made of.
    pub time: Timestamp,
}

/// A jump that waits for confirmation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The last price beyond the band.
    pub price: f64,
    /// Its confidence.
    pub confidence: f64,
    /// Observations that agreed on it since it was first seen, that one among them.
    pub count: u32,
}

/// A feed: its sources, what it says, and how far that may be relied on.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Feed {
    sources: BTreeMap<String, Source>,
    accepted: Option<Accepted>,
    candidate: Option<Candidate>,
    /// The middle of our own market, if it has one.
    own: Option<f64>,
    validity: Validity,
    causes: BTreeSet<Cause>,
    /// Fresh observations in a row that left nothing to object to.
    sound: u32,
    /// No liquidation before: the grace after an outage.
    grace_until: Option<Timestamp>,
    /// Whether the chain below is down, by its uptime feed.
    chain_down: bool,
    /// When it was halted, while it is.
    #[serde(default)]
    halted_since: Option<Timestamp>,
    /// Whether a person was told of this halt.
    #[serde(default)]
    escalated: bool,
}

impl Feed {
    /// A feed that has said nothing: halted.
    pub fn new() -> Self {
        Self { validity: Validity::Halted, causes: BTreeSet::from([Cause::NoPrice]), ..Self::default() }
    }

    /// How far the price may be relied on.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Why it is not more.
    pub fn causes(&self) -> &BTreeSet<Cause> {
        &self.causes
    }

    /// What is relied on. While a jump is not confirmed it is what was known before.
    pub fn accepted(&self) -> Option<Accepted> {
        self.accepted
    }

    /// The jump that waits for confirmation.
    pub fn candidate(&self) -> Option<Candidate> {
        self.candidate
    }

    /// Sources in quarantine, and why.
    pub fn quarantined(&self) -> impl Iterator<Item = (&str, Quarantine)> {
        self.sources.iter().filter_map(|(name, source)| Some((name.as_str(), source.quarantine?)))
    }

    /// Whether a liquidation may follow now: an outage ended long enough ago.
    pub fn grace_is_over(&self, now: Timestamp) -> bool {
        self.grace_until.is_none_or(|until| now >= until)
    }

    /// The prices that may be true: the accepted one with its confidence, the middle of a jump that waits, and `around`
    /// confidences of each side. Lowest and highest; `None` where nothing is known.
    pub fn range(&self, around: f64) -> Option<(f64, f64)> {
        let Accepted { price, confidence, .. } = self.accepted?;
        let wide = |price: f64, confidence: f64| {
            let half = price * (around * confidence);
            (price - half, price + half)
        };
        let (low, high) = wide(price, confidence);
        Some(match self.candidate {
            Some(c) => {
                let (other_low, other_high) = wide(c.price, c.confidence);
                (low.min(other_low), high.max(other_high))
            }
            None => (low, high),
        })
    }

    /// Takes an observation of a source.
    pub fn observe(
        &mut self,
        params: &FeedParams,
        (name, seen): (&str, &Observation),
        now: Timestamp,
    ) -> Result<(), Refused> {
        let of = params.sources.get(name).ok_or(Refused::UnknownSource)?;
        let known = self.sources.get(name).copied().unwrap_or_default();
        match known.next(seen, (params, of), now) {
            Ok(next) => {
                let first = known.last.is_none_or(|last| last.forgotten);
                if first && !self.may_join(params, &next, now) {
                    return Err(Refused::Activation);
                }
                self.sources.insert(name.to_owned(), next);
                self.judge(params, now, Some(name));
                Ok(())
            }
            Err(refused) => {
                if let Some(quarantine) = Quarantine::of(refused) {
                    let source = Source { quarantine: Some(quarantine), ..known };
                    self.sources.insert(name.to_owned(), source);
                    self.judge(params, now, None);
                }
                Err(refused)
            }
        }
    }

    /// A source is alive and has nothing new to say: its price is as good as if it had said it again.
    pub fn heartbeat(
        &mut self,
        params: &FeedParams,
        (name, time): (&str, Timestamp),
        now: Timestamp,
    ) -> Result<(), Refused> {
        let of = params.sources.get(name).ok_or(Refused::UnknownSource)?;
        of.heartbeat_ms.ok_or(Refused::Unexpected)?;
        let known = self.sources.get(name).copied().unwrap_or_default();
        self.sources.insert(name.to_owned(), known.beat(params, time, now)?);
        self.judge(params, now, None);
        Ok(())
    }

    /// When the feed was halted, if that is so long ago that a person should look and nobody was told.
    pub(super) fn escalate(&mut self, params: &FeedParams, now: Timestamp) -> Option<Timestamp> {
        let since = self.halted_since.filter(|_| !self.escalated)?;
        self.escalated = since.plus_seconds(params.escalate_seconds) <= now;
        self.escalated.then_some(since)
    }

    /// Whether a source that has said nothing yet may join with its first price: not where most of the others agree on another.
    fn may_join(&self, params: &FeedParams, next: &Source, now: Timestamp) -> bool {
        let settled = self.validity == Validity::Normal && 2 * self.heard(params, now) > params.sources.len();
        let both = self.accepted.filter(|_| settled).zip(next.last);
        both.is_none_or(|(accepted, heard)| {
            let ratio = heard.price / accepted.price;
            ratio >= ACTIVATION.0 && ratio <= ACTIVATION.1
        })
    }

    /// Lets time pass.
    pub fn wait(&mut self, params: &FeedParams, now: Timestamp) {
        self.judge(params, now, None);
    }

    /// The middle of our own market, or that there is none.
    pub fn own(&mut self, params: &FeedParams, middle: Option<f64>, now: Timestamp) {
        self.own = middle.filter(|x| x.is_finite() && *x > 0.0);
        self.judge(params, now, None);
    }

    /// The chain below went down or came back.
    pub fn chain(&mut self, params: &FeedParams, down: bool, now: Timestamp) {
        self.chain_down = down;
        self.judge(params, now, None);
    }

    /// Takes a source out of quarantine: somebody has looked. What it said is forgotten, its sequence is not.
    pub fn pardon(&mut self, params: &FeedParams, name: &str, now: Timestamp) -> Result<(), Refused> {
        let source = self.sources.get_mut(name).ok_or(Refused::UnknownSource)?;
        source.pardon();
        self.judge(params, now, None);
        Ok(())
    }

    /// `fresh` is the source that has just said something.
    fn judge(&mut self, params: &FeedParams, now: Timestamp, fresh: Option<&str>) {
        let verdict = self.verdict(params, now);
        self.quarantine(&verdict);
        let mut causes = verdict.causes;
        if let Some(found) = verdict.found {
            causes.extend(self.take(params, found, fresh));
        }
        self.causes = causes;
        self.settle(params, now, fresh.is_some());
    }

    fn quarantine(&mut self, verdict: &Verdict) {
        for name in &verdict.outliers {
            if let Some(source) = self.sources.get_mut(name) {
                source.outliers = source.outliers.saturating_add(1);
            }
        }
    }

    /// Accepts what the sources agree on, or holds it until it is confirmed.
    fn take(&mut self, params: &FeedParams, found: Found, fresh: Option<&str>) -> Option<Cause> {
        let Found { price, confidence, time, enough } = found;
        let next = Accepted { price, confidence, time };
        let apart = |a: f64, b: f64| (a - b).abs() > params.jump_max * b;
        let Some(last) = self.accepted.filter(|last| apart(price, last.price)) else {
            (self.accepted, self.candidate) = (Some(next), None);
            return None;
        };
        let agreed = self.candidate.filter(|c| !apart(price, c.price)).map_or(0, |c| c.count);
        // Only what says so itself confirms: an observation counts once, and one of something else not at all.
        let said = fresh.and_then(|name| self.sources.get(name)?.last);
        let confirms =
            said.is_some_and(|heard| (heard.price - price).abs() <= params.disagreement_max * price);
        let count = agreed.saturating_add(u32::from(confirms));
        if enough && count >= params.confirmations {
            (self.accepted, self.candidate) = (Some(next), None);
            return None;
        }
        // The price is not new, its being seen is.
        self.accepted = Some(Accepted { time, ..last });
        self.candidate = Some(Candidate { price, confidence, count });
        Some(if enough { Cause::Jump } else { Cause::LoneJump })
    }

    /// Validity from the causes: worse at once, better step by step.
    fn settle(&mut self, params: &FeedParams, now: Timestamp, fresh: bool) {
        let worst = self.causes.iter().map(|cause| cause.validity()).max().unwrap_or_default();
        self.sound = match (worst, fresh) {
            (Validity::Normal, true) => self.sound.saturating_add(1),
            (Validity::Normal, false) => self.sound,
            _ => 0,
        };
        let halted = self.validity == Validity::Halted;
        if worst == Validity::Halted {
            self.grace_until = None;
            self.halted_since = self.halted_since.or(Some(now));
        } else {
            (self.halted_since, self.escalated) = (None, false);
        }
        if worst != Validity::Halted && halted {
            self.grace_until = Some(now.plus_seconds(params.grace_seconds));
        }
        self.validity = worst;
        let recovered = self.sound >= params.recover || params.recover == 0;
        if worst == Validity::Normal && !recovered {
            self.validity = Validity::Degraded;
            self.causes.insert(Cause::Recovering);
        }
    }
}

#[cfg(test)]
mod tests;
