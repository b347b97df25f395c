//! What the sources of a feed say together at an instant.

use super::source::{Heard, millis_since};
use super::{Cause, Feed, FeedParams};
use plimsoll_types::Timestamp;
use std::collections::BTreeSet;

/// What was found.
pub(super) struct Verdict {
    pub(super) causes: BTreeSet<Cause>,
    /// What the sources agree on, where they do.
    pub(super) found: Option<Found>,
    /// Sources that were left out.
    pub(super) outliers: Vec<String>,
}

/// A price that a majority agrees on.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) price: f64,
    /// The largest relative one.
    pub(super) confidence: f64,
    /// Of the newest observation.
    pub(super) time: Timestamp,
    /// Whether as many sources agree as are wanted.
    pub(super) enough: bool,
}

/// A source that counts.
#[derive(Clone, Copy)]
struct Voice<'a> {
    name: &'a str,
    heard: Heard,
    bounds: Option<(f64, f64)>,
}

impl Feed {
    pub(super) fn verdict(&self, params: &FeedParams, now: Timestamp) -> Verdict {
        let mut causes = BTreeSet::new();
        if self.chain_down {
            causes.insert(Cause::ChainDown);
        }
        let mut voices = self.voices(params, now, params.soft_stale_ms);
        if voices.is_empty() {
            voices = self.voices(params, now, params.hard_stale_ms);
            let heard = self.sources.values().any(|source| source.last.is_some());
            let nothing = if heard { Cause::HardStale } else { Cause::NoPrice };
            causes.insert(if voices.is_empty() { nothing } else { Cause::SoftStale });
        }
        let none = |causes, outliers| Verdict { causes, found: None, outliers };
        if voices.is_empty() {
            return none(causes, Vec::new());
        }
        let Some((agreeing, outliers)) = agreement(voices, params) else {
            causes.insert(Cause::Disagreement);
            return none(causes, Vec::new());
        };
        let found = middle(&agreeing, params);
        causes.extend(self.doubts(params, found, &agreeing));
        Verdict { causes, found: Some(found), outliers }
    }

    /// Sources that are no older than the limit, in order of price.
    fn voices<'a>(&'a self, params: &'a FeedParams, now: Timestamp, limit_ms: i64) -> Vec<Voice<'a>> {
        let mut voices: Vec<Voice<'a>> = params
            .sources
            .iter()
            .filter_map(|(name, of)| {
                let source = self.sources.get(name).filter(|source| source.quarantine.is_none())?;
                let heard = source.last.filter(|heard| !heard.forgotten)?;
                // A source that gives signs of life is as old as the last of them, and lost when they stop.
                let (since, limit_ms) = match of.heartbeat_ms {
                    Some(most) => (source.last_word()?, limit_ms.min(most)),
                    None => (heard.seen.time, limit_ms),
                };
                let fresh = nanos_since(since, now) <= limit_ms.saturating_mul(1_000_000);
                fresh.then_some(Voice { name, heard, bounds: of.bounds })
            })
            .collect();
        voices.sort_by(|a, b| a.heard.price.total_cmp(&b.heard.price));
        voices
    }

    /// How many sources count now.
    pub(super) fn heard(&self, params: &FeedParams, now: Timestamp) -> usize {
        self.voices(params, now, params.soft_stale_ms).len()
    }

    fn doubts(&self, params: &FeedParams, found: Found, agreeing: &[Voice]) -> Vec<Cause> {
        let mut doubts = Vec::new();
        if !found.enough {
            doubts.push(Cause::SourcesLost);
        }
        if found.confidence > params.confidence_max {
            doubts.push(Cause::WideConfidence);
        }
        let diverges = self.own.is_some_and(|own| (found.price - own).abs() > params.divergence_max * own);
        if diverges {
            doubts.push(Cause::Divergence);
        }
        let at_bound = |voice: &Voice| {
            voice.bounds.is_some_and(|(low, high)| voice.heard.price <= low || voice.heard.price >= high)
        };
        let stuck = |voice: &Voice| voice.heard.repeated >= params.pinned && (diverges || at_bound(voice));
        if agreeing.iter().all(stuck) {
            doubts.push(Cause::Pinned);
        }
        doubts
    }
}

/// Never negative: what is dated in the future has no age.
fn nanos_since(from: Timestamp, to: Timestamp) -> i64 {
    if millis_since(from, to) < 0 { 0 } else { to.nanos().saturating_sub(from.nanos()) }
}

/// The sources that agree, and the names of those that do not; `None` where there is no majority. Two that differ are
/// never averaged.
fn agreement<'a>(voices: Vec<Voice<'a>>, params: &FeedParams) -> Option<(Vec<Voice<'a>>, Vec<String>)> {
    let count = voices.len();
    if let [low, high] = voices[..] {
        let apart = high.heard.price - low.heard.price > params.disagreement_max * low.heard.price;
        return (!apart).then_some((voices, Vec::new()));
    }
    let centre = median(&voices);
    let agrees = |v: &Voice| (v.heard.price - centre).abs() <= params.disagreement_max * centre;
    let (agreeing, out): (Vec<Voice>, Vec<Voice>) = voices.into_iter().partition(agrees);
    let outliers = out.iter().map(|voice| voice.name.to_owned()).collect();
    (2 * agreeing.len() > count).then_some((agreeing, outliers))
}

fn median(sorted: &[Voice]) -> f64 {
    let price = |at: usize| sorted.get(at).map_or(0.0, |voice| voice.heard.price);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        return price(middle);
    }
    let lower = price(middle.saturating_sub(1));
    lower + 0.5 * (price(middle) - lower)
}

fn middle(agreeing: &[Voice], params: &FeedParams) -> Found {
    let confidences = agreeing.iter().map(|voice| voice.heard.confidence);
    let times = agreeing.iter().map(|voice| voice.heard.seen.time);
    Found {
        price: median(agreeing),
        confidence: confidences.fold(0.0, |most, c| if c > most { c } else { most }),
        time: times.max().unwrap_or_default(),
        enough: agreeing.len() >= params.quorum as usize,
    }
}
