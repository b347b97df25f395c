//! What happened, as far as people ask for it: decisions on parameters, standings, liquidations, validity, totals over time.
//!
//! It follows from the events, so it is rebuilt by replay and kept beside the state in snapshots; the oldest of each kind gives way.

use plimsoll_engine::live::{Effect, Engine, Standing, State};
use plimsoll_types::{Asset, Ticks, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Kept of each kind.
const KEPT: usize = 5_000;

/// Legs that are kept of a path: one that was announced minute by minute has a thousand, and every decision states it whole.
const LEGS: usize = 16;

/// Seconds from one sample of totals to the next.
const SAMPLE_SECONDS: f64 = 10.0;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Noted {
    /// The event that it followed from: its place in the journal.
    pub sequence: u64,
    /// When.
    pub at: Timestamp,
    /// What, as the wire has it.
    pub what: Value,
    /// What was read when it was decided, by underlying and cause; of decisions on parameters alone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readings: Readings,
}

/// What may move parameters, by underlying and cause.
pub type Readings = BTreeMap<String, BTreeMap<String, f64>>;

/// What was read last of every underlying and of the whole market.
pub fn readings(state: &State) -> Readings {
    let read = |asset: &Asset| {
        let readings = state.policy.readings(asset.as_str());
        let named = readings.into_iter().map(|(cause, value)| (cause.to_string(), value)).collect();
        (asset.to_string(), named)
    };
    state.feeds.keys().map(read).collect()
}

/// Totals of all accounts at an instant, ticks.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When; nanoseconds.
    pub at: Timestamp,
    /// Accounts that are valued.
    pub accounts: u64,
    /// Equity of those.
    pub equity: Ticks,
    /// Initial margin.
    pub im: Ticks,
    /// Maintenance margin.
    pub mm: Ticks,
    /// Accounts in call, not valued, liquidatable, insolvent.
    pub standings: [u64; 4],
    /// The insurance fund.
    pub insurance: Ticks,
    /// Of each underlying by itself, initial and maintenance: the largest losses of accounts over the grid, added up.
    #[serde(default)]
    pub underlyings: Vec<(Asset, [Ticks; 2])>,
}

/// What happened.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Chronicle {
    /// Changes and announcements of parameters.
    pub parameters: VecDeque<Noted>,
    /// Standings of accounts, liquidations and what came after.
    pub accounts: VecDeque<Noted>,
    /// Validity of feeds.
    pub feeds: VecDeque<Noted>,
    /// Totals over time.
    pub samples: VecDeque<Sample>,
}

/// What an effect is about, as far as people ask for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Changes and announcements of parameters.
    Parameters,
    /// Validity of feeds.
    Feeds,
    /// Standings of accounts, liquidations and what came after.
    Accounts,
}

/// Which kind an effect is noted as; nothing where it is not.
pub fn kind(effect: &Effect) -> Option<Kind> {
    match effect {
        Effect::Parameters { .. } => Some(Kind::Parameters),
        Effect::Validity { .. } | Effect::Escalated { .. } => Some(Kind::Feeds),
        Effect::Rejected(_) | Effect::Margins { .. } | Effect::Issues { .. } => None,
        _ => Some(Kind::Accounts),
    }
}

impl Chronicle {
    /// Takes in what followed from an event, after which the engine remembers `state`; `wire` says how an effect is written.
    pub fn note(
        &mut self,
        (sequence, at): (u64, Timestamp),
        effects: &[Effect],
        state: &State,
        wire: impl Fn(&Effect) -> Value,
    ) {
        for effect in effects {
            let kept = match kind(effect) {
                Some(Kind::Parameters) => &mut self.parameters,
                Some(Kind::Feeds) => &mut self.feeds,
                Some(Kind::Accounts) => &mut self.accounts,
                None => continue,
            };
            let (what, readings) = match effect {
                Effect::Parameters { .. } => (wire(&outlined(effect)), readings(state)),
                _ => (wire(effect), Readings::new()),
            };
            push(kept, Noted { sequence, at, what, readings });
        }
    }

    /// The record after which nothing of parameters and accounts has given way.
    pub fn whole_after(&self) -> u64 {
        let after = |kept: &VecDeque<Noted>| {
            kept.front().filter(|_| kept.len() >= KEPT).map_or(0, |oldest| oldest.sequence)
        };
        after(&self.parameters).max(after(&self.accounts))
    }

    /// What was noted of a kind after a record: some of it, whole records only, and the record up to which it is whole; nothing
    /// for that where it is all.
    pub fn after(&self, of: Kind, sequence: u64, some: usize) -> (Vec<Noted>, Option<u64>) {
        let kept = match of {
            Kind::Parameters => &self.parameters,
            Kind::Feeds => &self.feeds,
            Kind::Accounts => &self.accounts,
        };
        let from = kept.partition_point(|noted| noted.sequence <= sequence);
        let last = kept.get(from.saturating_add(some)).map(|noted| noted.sequence);
        // The record in which it is cut off comes whole, however long it is.
        let until = last.map_or(kept.len(), |last| kept.partition_point(|noted| noted.sequence <= last));
        let whole = last.filter(|_| until < kept.len());
        (kept.range(from..until).cloned().collect(), whole)
    }

    /// Whether it is time for a sample.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.samples.back().is_none_or(|last| last.at.seconds_until(now) >= SAMPLE_SECONDS)
    }

    /// Takes a sample.
    pub fn sample(&mut self, sample: Sample) {
        push(&mut self.samples, sample);
    }
}

impl Sample {
    /// Totals of an engine as it stands, and of each underlying by itself.
    pub fn whole(engine: &Engine) -> Self {
        let each = engine.scan_losses().into_iter();
        Self { underlyings: each.map(|(asset, of)| (asset, [of.im, of.mm])).collect(), ..Self::of(engine) }
    }

    /// Totals of an engine as it stands, underlyings apart.
    pub fn of(engine: &Engine) -> Self {
        let state = engine.state();
        let mut sample = Self { at: state.now, insurance: state.insurance, ..Self::default() };
        for number in 0..u32::try_from(state.ledger.accounts().len()).unwrap_or(u32::MAX) {
            let at = match state.standing(number) {
                Standing::Healthy => None,
                Standing::Call => Some(0),
                Standing::Unvalued => Some(1),
                Standing::Liquidatable => Some(2),
                Standing::Insolvent => Some(3),
            };
            at.into_iter().for_each(|at| sample.standings[at] += 1);
            let Some(Ok(totals)) = engine.valued().totals(number) else { continue };
            sample.accounts += 1;
            sample.equity.0 += totals.equity.0;
            sample.im.0 += totals.im.0;
            sample.mm.0 += totals.mm.0;
        }
        sample
    }
}

/// A decision, its paths as they are kept.
fn outlined(effect: &Effect) -> Effect {
    let mut effect = effect.clone();
    if let Effect::Parameters { decision, .. } = &mut effect {
        for change in &mut decision.changes {
            change.maintenance = change.maintenance.outline(LEGS);
        }
    }
    effect
}

fn push<T>(kept: &mut VecDeque<T>, new: T) {
    if kept.len() == KEPT {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    fn with(records: &[u64]) -> Chronicle {
        let noted = |sequence: &u64| {
            let (at, what, readings) = (Timestamp::from_nanos(0), Value::Null, Readings::new());
            Noted { sequence: *sequence, at, what, readings }
        };
        Chronicle { accounts: records.iter().map(noted).collect(), ..Chronicle::default() }
    }

    #[test]
    fn what_is_given_out_after_a_record_is_whole_records() {
        let chronicle = with(&[3, 3, 5, 5, 5, 9]);
        let sequences = |after, some| {
            let (noted, whole) = chronicle.after(Kind::Accounts, after, some);
            (noted.iter().map(|noted| noted.sequence).collect::<Vec<_>>(), whole)
        };
        assert_eq!(sequences(0, 1), (vec![3, 3], Some(3)));
        assert_eq!(sequences(3, 1), (vec![5, 5, 5], Some(5)));
        assert_eq!(sequences(0, 100), (vec![3, 3, 5, 5, 5, 9], None));
        assert_eq!(sequences(9, 1), (vec![], None));
        assert_eq!(chronicle.whole_after(), 0);
        let full = with(&(1..=KEPT as u64).collect::<Vec<_>>());
        assert_eq!(full.whole_after(), 1, "of the oldest record some may be gone");
    }
}
