//! History fed to a policy, instant by instant, as a live engine would feed it.
//!
//! **The one idea:** the policy sees all assets together and only what has happened: at an instant the bars that end there go in
//! through [`plimsoll_policy::step`], and what comes out binds margins from then on. Nothing of a later row is looked at.

use crate::history::History;
use plimsoll_policy::{
    Cause, Change, Key, Knob, Note, Place, Policy, PolicyError, Ramp, Signals, State, StepError,
    UnderlyingSignals, step,
};
use plimsoll_types::{Asset, Ppb, Timestamp};
use serde::Serialize;

/// What a policy may move that a margin depends on, and is asked for by underlying.
const KNOBS: [Knob; 17] = [
    Knob::PriceScanDown,
    Knob::PriceScanUp,
    Knob::VolScanUp,
    Knob::VolScanDown,
    Knob::SkewScan,
    Knob::TermScan,
    Knob::ImScale,
    Knob::MmScale,
    Knob::ShortOption,
    Knob::Expiry,
    Knob::Basis,
    Knob::Spread,
    Knob::Impact,
    Knob::Haircut,
    Knob::Idiosyncratic,
    Knob::FloorShare,
    Knob::ImFraction,
];

/// Why a policy cannot be replayed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// It does not begin.
    #[error("policy `{policy}`: {source}")]
    Begin {
        /// Which.
        policy: String,
        /// Why.
        source: Box<PolicyError>,
    },
    /// It does not step.
    #[error("policy `{policy}` at {at}: {source}")]
    Step {
        /// Which.
        policy: String,
        /// When.
        at: Timestamp,
        /// Why.
        source: Box<StepError>,
    },
    /// There is nothing to replay.
    #[error("there is no history to replay")]
    Nothing,
}

/// A change and when it was made.
#[derive(Clone, PartialEq, Debug)]
pub struct Dated {
    /// When.
    pub at: Timestamp,
    /// What, fully attributed.
    pub change: Change,
}

/// What is in force for an underlying from an instant on.
#[derive(Clone, PartialEq, Debug)]
pub struct InForceFrom {
    /// From when.
    pub at: Timestamp,
    /// Each knob that the policy speaks of.
    pub values: Vec<(Knob, Ppb)>,
    /// The announced path of each of them, for existing positions; the same knobs in the same order.
    pub ramps: Vec<Ramp>,
    /// Which of them stand on the stress floor for too little history.
    pub on_stress_floor: Vec<Knob>,
}

/// How often a policy had to do without something, of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Without {
    /// Rows after which a price scan stood on the stress floor for too little history.
    pub on_stress_floor: u64,
    /// Observations that spanned missing steps.
    pub bridged: u64,
    /// Numbers that an estimator refused; those of no asset count for every one.
    pub refused: u64,
}

/// What a policy did over a history.
#[derive(Clone, PartialEq, Debug)]
pub struct Track {
    /// Every change in order.
    pub changes: Vec<Dated>,
    /// What was in force, in the order of the histories: each entry until the next.
    pub in_force: Vec<Vec<InForceFrom>>,
    /// What it had to do without, in the order of the histories.
    pub without: Vec<Without>,
}

/// Replays histories of distinct assets through a policy.
///
/// # Errors
/// [`ReplayError`] with the instant.
pub fn replay(policy: &Policy, histories: &[History]) -> Result<Track, ReplayError> {
    let starts = histories.iter().filter_map(|h| h.rows.first()).map(|row| row.0);
    let start = starts.min().ok_or(ReplayError::Nothing)?;
    let begin = |source| ReplayError::Begin { policy: policy.name().to_owned(), source: Box::new(source) };
    let mut state = State::new(policy, start).map_err(begin)?;
    let mut track = Track {
        changes: Vec::new(),
        in_force: vec![Vec::new(); histories.len()],
        without: vec![Without::default(); histories.len()],
    };
    let mut places = vec![0_usize; histories.len()];
    let mut signals = Signals::default();
    while let Some(now) = next(histories, &places) {
        signals.as_of = now;
        for (history, place) in histories.iter().zip(&mut places) {
            take(history, place, now, &mut signals);
        }
        let decision = step(policy, &mut state, &signals).map_err(|source| ReplayError::Step {
            policy: policy.name().to_owned(),
            at: now,
            source: Box::new(source),
        })?;
        for (i, (history, place)) in histories.iter().zip(&places).enumerate() {
            let (Some(in_force), Some(without)) = (track.in_force.get_mut(i), track.without.get_mut(i))
            else {
                continue;
            };
            let name = history.asset.as_str();
            let moved = decision.changes.iter().any(|change| speaks_of(&change.key, name));
            if *place > 0 && (in_force.is_empty() || moved) {
                in_force.push(in_force_from(policy, &state, name, now));
            }
            without.count(&decision.notes, name);
            let here =
                place.checked_sub(1).and_then(|at| history.rows.get(at)).is_some_and(|row| row.0 == now);
            let floor = in_force.last().is_some_and(InForceFrom::is_scan_on_floor);
            without.on_stress_floor += u64::from(here && floor);
        }
        track.changes.extend(decision.changes.into_iter().map(|change| Dated { at: now, change }));
    }
    Ok(track)
}

/// The next instant at which anything has a row.
fn next(histories: &[History], places: &[usize]) -> Option<Timestamp> {
    let rows = histories.iter().zip(places).filter_map(|(history, place)| history.rows.get(*place));
    rows.map(|row| row.0).min()
}

/// Puts the bar that ends now among the signals; an asset that has had one has none otherwise.
fn take(history: &History, place: &mut usize, now: Timestamp, signals: &mut Signals) {
    let row = history.rows.get(*place).filter(|row| row.0 == now);
    let bar = row.map(|row| row.1);
    *place += usize::from(bar.is_some());
    if let Some(known) = signals.underlyings.get_mut(history.asset.as_str()) {
        known.bar = bar;
    } else if bar.is_some() {
        let new = UnderlyingSignals { bar, ..UnderlyingSignals::default() };
        signals.underlyings.insert(history.asset.as_str().to_owned(), new);
    }
}

pub(crate) fn speaks_of(key: &Key, underlying: &str) -> bool {
    key.scope.underlying.as_deref().is_none_or(|of| of == underlying)
}

pub(crate) fn in_force_from(policy: &Policy, state: &State, underlying: &str, now: Timestamp) -> InForceFrom {
    let place = Place { underlying: Some(underlying), ..Place::default() };
    let mut entry =
        InForceFrom { at: now, values: Vec::new(), ramps: Vec::new(), on_stress_floor: Vec::new() };
    for knob in KNOBS {
        let Some(found) = policy.in_force(state.board(), knob, &place, now) else { continue };
        let Some(parameter) = state.board().get(&found.key) else { continue };
        entry.values.push((knob, found.initial));
        entry.ramps.push(parameter.ramp().clone());
        let begins = parameter.trail().steps().first().map(|step| step.0);
        if begins == Some(Cause::TooLittleHistory) {
            entry.on_stress_floor.push(knob);
        }
    }
    entry
}

impl Without {
    pub(crate) fn count(&mut self, notes: &[Note], underlying: &str) {
        for note in notes {
            match note {
                Note::Bridged { underlying: of, .. } => self.bridged += u64::from(of == underlying),
                Note::Refused { place, .. } => {
                    // A place is an underlying, one at a venue, or a parameter's key with its scope.
                    let mut words = place.split(|c: char| !c.is_ascii_alphanumeric());
                    self.refused += u64::from(place == "*" || words.any(|word| word == underlying));
                }
                _ => {}
            }
        }
    }
}

impl InForceFrom {
    /// What is in force of a knob; `None` when the policy does not speak of it.
    pub fn of(&self, knob: Knob) -> Option<Ppb> {
        self.values.iter().find(|(known, _)| *known == knob).map(|(_, value)| *value)
    }

    /// What binds existing positions at an instant, of a knob.
    pub fn maintenance(&self, knob: Knob, at: Timestamp) -> Option<Ppb> {
        let place = self.values.iter().position(|(known, _)| *known == knob)?;
        self.ramps.get(place).map(|ramp| ramp.at(at))
    }

    pub(crate) fn is_scan_on_floor(&self) -> bool {
        self.on_stress_floor.iter().any(|knob| matches!(knob, Knob::PriceScanDown | Knob::PriceScanUp))
    }

    /// Whether an announced path has not yet come to what binds new risk.
    pub fn is_on_ramp(&self, at: Timestamp) -> bool {
        self.values.iter().zip(&self.ramps).any(|((_, value), ramp)| ramp.at(at) != *value)
    }
}

/// What is in force for several assets at once, read in the order of time.
pub(crate) struct Reading<'t> {
    assets: Vec<(&'t Asset, &'t [InForceFrom], usize)>,
}

impl<'t> Reading<'t> {
    /// Of the assets, each with what was in force.
    pub(crate) fn new(of: impl Iterator<Item = (&'t Asset, &'t [InForceFrom])>) -> Self {
        Self { assets: of.map(|(asset, entries)| (asset, entries, usize::MAX)).collect() }
    }

    /// Goes on to an instant; whether anything is another than before.
    pub(crate) fn advance(&mut self, now: Timestamp) -> bool {
        let mut moved = false;
        for (_, entries, at) in &mut self.assets {
            let mut next = at.wrapping_add(1);
            while entries.get(next).is_some_and(|entry| entry.at <= now) {
                (*at, moved) = (next, true);
                next += 1;
            }
        }
        moved
    }

    /// What is in force of a knob for an asset.
    pub(crate) fn value(&self, knob: Knob, asset: &Asset) -> Option<Ppb> {
        self.entry(asset)?.of(knob)
    }

    /// What binds existing positions at an instant, of a knob for an asset.
    pub(crate) fn maintenance(&self, knob: Knob, asset: &Asset, at: Timestamp) -> Option<Ppb> {
        self.entry(asset)?.maintenance(knob, at)
    }

    /// Whether existing positions are bound by something else than new risk.
    pub(crate) fn is_on_ramp(&self, at: Timestamp) -> bool {
        let entries = self.assets.iter().filter_map(|(_, entries, place)| entries.get(*place));
        entries.into_iter().any(|entry| entry.is_on_ramp(at))
    }

    /// Puts what binds existing positions at an instant into `seen`; whether that is another than before.
    pub(crate) fn on_ramp(&self, at: Timestamp, seen: &mut Vec<Ppb>) -> bool {
        let (mut next, mut moved) = (0, false);
        for (_, entries, place) in &self.assets {
            for ramp in entries.get(*place).into_iter().flat_map(|entry| &entry.ramps) {
                let value = ramp.at(at);
                match seen.get_mut(next) {
                    Some(known) => moved |= std::mem::replace(known, value) != value,
                    None => {
                        seen.push(value);
                        moved = true;
                    }
                }
                next += 1;
            }
        }
        moved |= next != seen.len();
        seen.truncate(next);
        moved
    }

    fn entry(&self, asset: &Asset) -> Option<&InForceFrom> {
        let (_, entries, at) = self.assets.iter().find(|(known, ..)| *known == asset)?;
        entries.get(*at)
    }
}
