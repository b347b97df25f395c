//! All state of a policy, and the step.
//!
//! **The one idea:** [`propose`] takes the world in and says where every parameter would go; [`decide`] puts one complete set of
//! values in force. Between the two somebody may show what the whole book would do. Everything that is remembered is in
//! [`State`]: saved and restored, it goes on with the same decisions, bit for bit.

use crate::parameter::Target;
use crate::readings::{Watch, refused};
use crate::series::Taken;
use crate::target::{Estimated, Quantile};
use crate::{
    Bar, Board, Cause, Decision, GovernanceError, Impact, Key, Knob, Note, Policy, PolicyError, Proposal,
    Proposed, Schedule, Scheduled, Scope, Series, Signals, StepError, TargetSpec, Trail, UnderlyingSignals,
};
use plimsoll_quant::correlation::EwmaCorrelation;
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A parameter's target on its way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Aim {
    estimated: Option<Estimated>,
    /// What is usual, for the buffer.
    usual: Option<RankWindow>,
    /// Whether the target has moved since it entered there.
    observed: bool,
}

/// All state of a policy. With JSON it must be read with exact floats (`float_roundtrip`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    began: Timestamp,
    /// The last signals.
    now: Option<Timestamp>,
    board: Board,
    #[serde(with = "crate::scope::pairs")]
    aims: BTreeMap<Key, Aim>,
    watches: BTreeMap<String, Watch>,
    correlation: Option<EwmaCorrelation>,
    /// Readings that are of no underlying.
    market: BTreeMap<Cause, f64>,
    schedule: Schedule,
}

/// The closed changes of a step, by underlying, and what was noted on the way.
#[derive(Default)]
struct Seen {
    changes: BTreeMap<String, f64>,
    notes: Vec<Note>,
}

impl State {
    /// The state before anything was seen.
    ///
    /// # Errors
    /// [`PolicyError`] where an estimator does not begin: never for a policy that was checked.
    pub fn new(policy: &Policy, now: Timestamp) -> Result<Self, PolicyError> {
        let statistic = |source| PolicyError::Statistic { place: "readings".to_owned(), source };
        let correlation = policy.file().readings.correlation.as_ref();
        let mut new = Self {
            began: now,
            now: None,
            board: Board::default(),
            aims: BTreeMap::new(),
            watches: BTreeMap::new(),
            correlation: correlation.map(|of| of.begin()).transpose().map_err(statistic)?,
            market: BTreeMap::new(),
            schedule: Schedule::default(),
        };
        for key in policy.single().keys() {
            new.begin(policy, key.clone(), now).map_err(statistic)?;
        }
        for vote in &policy.file().schedule {
            new.schedule.add(vote.clone())?;
        }
        Ok(new)
    }

    /// The parameters as they are.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The instant of the last signals; `None` before the first.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// What is voted.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The last readings of an underlying, by the cause that they may become.
    pub fn readings(&self, underlying: &str) -> BTreeMap<Cause, f64> {
        let own = self.watches.get(underlying).map(|watch| watch.readings.clone()).unwrap_or_default();
        own.into_iter().chain(self.market.clone()).collect()
    }

    /// Schedules a vote.
    ///
    /// # Errors
    /// [`GovernanceError`] for one that does not count, or that is there already; nothing changes.
    pub fn vote(&mut self, policy: &Policy, vote: Scheduled) -> Result<(), GovernanceError> {
        policy.check_vote(&vote)?;
        self.schedule.add(vote)
    }

    /// Takes a vote back, in force or not.
    ///
    /// # Errors
    /// [`GovernanceError::Unknown`].
    pub fn cancel(&mut self, id: &str) -> Result<Scheduled, GovernanceError> {
        self.schedule.cancel(id)
    }

    /// A parameter begins where its target does, unless there is one.
    fn begin(&mut self, policy: &Policy, key: Key, now: Timestamp) -> Result<Option<Note>, StatsError> {
        if self.board.get(&key).is_some() {
            return Ok(None);
        }
        let Some(parameter) = policy.parameter(&key) else { return Ok(None) };
        let (estimated, cause) = match &parameter.target {
            TargetSpec::Stated { .. } => (None, Cause::Stated),
            TargetSpec::Quantile(of) => (Some(of.begin()?), Cause::TooLittleHistory),
            TargetSpec::PriceScan { .. } => (None, Cause::TooLittleHistory),
        };
        let usual = parameter.buffer.map_or(Ok(None), |of| of.begin())?;
        let value = parameter.target.first();
        self.board.insert(key.clone(), value, cause, now);
        self.aims.insert(key.clone(), Aim { estimated, usual, observed: true });
        Ok(Some(Note::Began { key, value }))
    }

    /// Refuses what cannot be taken in, before anything is.
    fn check(&self, signals: &Signals) -> Result<(), StepError> {
        signals.check()?;
        if let Some(last) = self.now.filter(|last| signals.as_of <= *last) {
            return Err(StepError::Clock { now: signals.as_of, last });
        }
        if signals.as_of < self.began {
            return Err(StepError::Clock { now: signals.as_of, last: self.began });
        }
        for (name, of) in &signals.underlyings {
            let watch = self.watches.get(name);
            let last = of.bar.zip(watch).is_none_or(|(bar, watch)| watch.price.can_follow(bar.close));
            let vol = of.implied.zip(watch).is_none_or(|(of, watch)| watch.implied.can_follow(of.atm));
            if !last || !vol {
                let value = of.bar.map_or(f64::NAN, |bar| bar.close);
                let expected = "a change whose square is finite";
                return Err(
                    crate::SignalError { place: name.clone(), field: "close", value, expected }.into()
                );
            }
        }
        Ok(())
    }

    /// Takes the world in.
    fn observe(&mut self, policy: &Policy, signals: &Signals) -> Result<Vec<Note>, StatsError> {
        let now = signals.as_of;
        let elapsed = self.now.map_or(0.0, |last| last.seconds_until(now));
        let mut seen = Seen::default();
        for (name, of) in &signals.underlyings {
            if !self.watches.contains_key(name) {
                self.watches.insert(name.clone(), Watch::new(&policy.file().readings)?);
                for key in policy.keys_of(name) {
                    seen.notes.extend(self.begin(policy, key, now)?);
                }
            }
            self.underlying(policy, (name, of), (now, elapsed), &mut seen);
        }
        for (name, watch) in &self.watches {
            let absent = |known: bool, here: bool, series| {
                (known && !here).then(|| Note::Missing { underlying: name.clone(), series })
            };
            let of = signals.underlyings.get(name);
            seen.notes.extend(absent(
                watch.price.known(),
                of.is_some_and(|s| s.bar.is_some()),
                Series::Price,
            ));
            let vol = of.is_some_and(|s| s.implied.is_some());
            seen.notes.extend(absent(watch.implied.known(), vol, Series::ImpliedVol));
        }
        self.correlate(policy, &mut seen);
        let market = [
            (Cause::Pool, signals.pool_coverage.map(|coverage| (1.0 / coverage).min(f64::MAX))),
            (Cause::Sentiment, signals.sentiment.map(|mood| (mood - 50.0).abs())),
        ];
        self.market.extend(market.into_iter().filter_map(|(cause, reading)| Some((cause, reading?))));
        self.now = Some(now);
        Ok(seen.notes)
    }

    /// Takes one underlying in: its readings, then the targets that look at it.
    fn underlying(
        &mut self,
        policy: &Policy,
        (name, of): (&String, &UnderlyingSignals),
        (now, elapsed): (Timestamp, f64),
        seen: &mut Seen,
    ) {
        let Some(watch) = self.watches.get_mut(name) else { return };
        let step = policy.step_seconds();
        let price = of.bar.map(|bar| watch.price.take(now, step, bar));
        let implied = of.implied.map(|of| watch.implied.take(now, step, Bar::at(of.atm)));
        if let Some(Taken { seen: one, change, bridged }) = price {
            if bridged > 0 {
                seen.notes.push(Note::Bridged { underlying: name.clone(), steps: bridged });
            }
            if let Some(change) = change.filter(|_| one.closed) {
                seen.changes.insert(name.clone(), change);
                seen.notes.extend(refused(name, watch.returned(change)));
            }
        }
        if let Some(Taken { seen: one, .. }) = implied {
            seen.notes.extend(refused(name, watch.surface(of, &one)));
        }
        let closed = price.or(implied).is_some_and(|taken| taken.seen.closed);
        let depth = policy.file().readings.liquidity.as_ref();
        seen.notes.extend(refused(name, watch.quotes(depth, &of.venues, (elapsed, closed))));
        watch.look(of);
        self.aim(policy, name, (price, implied), seen);
    }

    /// Shows the targets of an underlying what was seen of it.
    fn aim(
        &mut self,
        policy: &Policy,
        name: &str,
        (price, implied): (Option<Taken>, Option<Taken>),
        seen: &mut Seen,
    ) {
        let mut room = Vec::new();
        for (key, aim) in &mut self.aims {
            let Some((of, estimated)) = quantile(policy, key).zip(aim.estimated.as_mut()) else { continue };
            if key.scope.underlying.as_deref() != Some(name) {
                continue;
            }
            let taken = if of.series == Series::Price { price } else { implied };
            let Some(taken) = taken else { continue };
            let margin = self.board.get(key).map_or(0.0, |state| state.value().to_f64());
            let outcome = of.observe(estimated, &taken.seen, margin, &mut room);
            seen.notes.extend(refused(name, outcome));
            aim.observed |= taken.seen.closed;
        }
    }

    fn correlate(&mut self, policy: &Policy, seen: &mut Seen) {
        let Some((gauge, spec)) = self.correlation.as_mut().zip(policy.file().readings.correlation.as_ref())
        else {
            return;
        };
        if seen.changes.is_empty() {
            return;
        }
        let row: Vec<Option<f64>> =
            spec.underlyings.iter().map(|name| seen.changes.get(name).copied()).collect();
        seen.notes.extend(refused("*", gauge.update(&row)));
        if let Ok(correlation) = gauge.correlation() {
            self.market.insert(Cause::Correlation, correlation.average());
        }
    }

    /// What adjusters read for a parameter: of its underlying, or the worst of all where it has none.
    fn readings_for(&self, scope: &Scope) -> BTreeMap<Cause, f64> {
        if let Some(underlying) = &scope.underlying {
            return self.readings(underlying);
        }
        let mut worst = self.market.clone();
        for (cause, reading) in self.watches.values().flat_map(|watch| &watch.readings) {
            let kept = worst.entry(*cause).or_insert(*reading);
            *kept = if *reading > *kept { *reading } else { *kept };
        }
        worst
    }

    /// The target of one parameter: estimated, buffered, adjusted, or voted.
    fn target(&mut self, policy: &Policy, key: &Key, base: Target, now: Timestamp) -> Target {
        let Target { value, mut trail, .. } = base;
        let mut value = value;
        let parameter = policy.parameter(key);
        if let Some((buffer, aim)) = parameter.and_then(|p| p.buffer).zip(self.aims.get_mut(key)) {
            let fresh = std::mem::take(&mut aim.observed);
            // What a window refuses it leaves out; a target is finite.
            let _ = aim.usual.as_mut().filter(|_| fresh).map(|usual| usual.update(value));
            value = buffer.apply(aim.usual.as_ref(), value).unwrap_or(value);
            trail.to(Cause::Buffer, value);
        }
        if let Some(adjusters) = &policy.file().adjusters {
            value = adjusters.apply(key, value, &self.readings_for(&key.scope), &mut trail);
        }
        let governed = self.schedule.governing(key, now).map(|vote| vote.value.to_f64());
        if let Some(voted) = governed {
            value = voted;
            trail.to(Cause::Governance, value);
        }
        Target { value, governed: governed.is_some(), trail }
    }

    /// The estimated or stated target of a parameter; `None` for those that follow others.
    fn base(&mut self, policy: &Policy, key: &Key) -> Option<Target> {
        match &policy.parameter(key)?.target {
            TargetSpec::Stated { value } => {
                let value = value.to_f64();
                Some(Target { value, governed: false, trail: Trail::begin(Cause::Stated, value) })
            }
            TargetSpec::Quantile(of) => Some(of.target(self.aims.get_mut(key)?.estimated.as_mut()?)),
            TargetSpec::PriceScan { .. } => None,
        }
    }
}

fn quantile<'p>(policy: &'p Policy, key: &Key) -> Option<&'p Quantile> {
    match &policy.parameter(key)?.target {
        TargetSpec::Quantile(of) => Some(of),
        _ => None,
    }
}

/// The target of a parameter that follows the price scans as they are proposed.
fn following(policy: &Policy, key: &Key, proposals: &[Proposed]) -> Option<Target> {
    let TargetSpec::PriceScan { times, fallback } = &policy.parameter(key)?.target else { return None };
    let values: BTreeMap<Key, Ppb> = proposals.iter().map(|p| (p.key.clone(), p.new)).collect();
    let scan = |knob| crate::covering(&values, knob, &key.scope).first().map(|(_, value)| **value);
    let largest = scan(Knob::PriceScanDown).max(scan(Knob::PriceScanUp));
    let (value, cause) = largest.map_or((fallback.to_f64(), Cause::TooLittleHistory), |scan| {
        (times * scan.to_f64(), Cause::PriceScan)
    });
    Some(Target { value, governed: false, trail: Trail::begin(cause, value) })
}

/// Takes the world in and says where every parameter would go.
///
/// # Errors
/// [`StepError`] for signals that no market says or that are not after the last; nothing changes then.
pub fn propose(policy: &Policy, state: &mut State, signals: &Signals) -> Result<Proposal, StepError> {
    state.check(signals)?;
    let now = signals.as_of;
    let statistic = |source: StatsError| StepError::Estimator { reason: source.to_string() };
    let mut notes = state.observe(policy, signals).map_err(statistic)?;
    state.schedule.forget(now);
    let keys: Vec<Key> = state.board.parameters().keys().cloned().collect();
    let mut targets = BTreeMap::new();
    for key in &keys {
        let Some(base) = state.base(policy, key) else { continue };
        let short =
            state.aims.get(key).and_then(|aim| aim.estimated.as_ref()).is_some_and(|e| !e.estimated());
        if short {
            notes.push(Note::TooLittleHistory { key: key.clone() });
        }
        targets.insert(key.clone(), state.target(policy, key, base, now));
    }
    let mut parameters = state.board.propose(policy, targets, now)?;
    let mut followers = BTreeMap::new();
    for key in &keys {
        let Some(base) = following(policy, key, &parameters) else { continue };
        followers.insert(key.clone(), state.target(policy, key, base, now));
    }
    parameters.extend(state.board.propose(policy, followers, now)?);
    parameters.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Proposal { now, version: state.board.version(), notes, parameters })
}

/// Puts a proposal in force: the part of it that the glide path chooses by the `book`'s impacts, in the order of
/// [`Proposal::candidates`], or the whole where no book is shown.
///
/// # Errors
/// [`StepError`] for a proposal that the parameters have moved on from, or impacts that are not those of its candidates; nothing
/// changes then.
pub fn decide(
    policy: &Policy,
    state: &mut State,
    proposal: Proposal,
    book: Option<&[Impact]>,
) -> Result<Decision, StepError> {
    let judged = |impacts| policy.glide().map(|glide| (glide, impacts)).ok_or(StepError::NoGlide);
    let book = book.map(judged).transpose()?;
    state.board.decide(policy, proposal, book)
}

/// [`propose`] and [`decide`] where nobody shows a book.
///
/// # Errors
/// As both.
pub fn step(policy: &Policy, state: &mut State, signals: &Signals) -> Result<Decision, StepError> {
    let proposal = propose(policy, state, signals)?;
    decide(policy, state, proposal, None)
}
