//! All state of a policy, and the step.
//!
//! **The one idea:** [`propose`] takes the world in and says where every parameter would go; [`decide`] puts one complete set of
//! values in force. Between the two somebody may show what the whole book would do. Everything that is remembered is in
//! [`State`]: saved and restored, it goes on with the same decisions, bit for bit.

use crate::parameter::Target;
use crate::policy::Parameter;
use crate::readings::{Watch, refused};
use crate::series::Taken;
use crate::target::{Estimated, Quantile};
use crate::{
    Bar, Board, Buffer, Cause, Decision, GovernanceError, Impact, Key, Knob, Note, Policy, PolicyError,
    Proposal, Proposed, Schedule, Scheduled, Series, Signals, StepError, TargetSpec, Trail,
    UnderlyingSignals,
};
use plimsoll_quant::correlation::EwmaCorrelation;
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A parameter's target on its way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Aim {
    estimated: Option<Estimated>,
    /// What is usual, for the buffer.
    usual: Option<RankWindow>,
    /// Whether the target has moved since it entered there.
    observed: bool,
}

/// All state of a policy: of the one that it began with. With JSON it must be read with exact floats (`float_roundtrip`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    began: Timestamp,
    /// The last signals.
    now: Option<Timestamp>,
    board: Board,
    #[serde(with = "crate::scope::pairs")]
    aims: BTreeMap<Arc<Key>, Aim>,
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
        let shared = Arc::new(key.clone());
        self.board.insert(Arc::clone(&shared), value, cause, now);
        self.aims.insert(shared, Aim { estimated, usual, observed: true });
        Ok(Some(Note::Began { key, value }))
    }

    /// Refuses what cannot be taken in, before anything is.
    fn check(&self, policy: &Policy, signals: &Signals) -> Result<(), StepError> {
        signals.check()?;
        if let Some(key) = self.aims.keys().find(|key| policy.parameter(key).is_none()) {
            return Err(StepError::Unknown(Key::clone(key)));
        }
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
            (Cause::Pool, signals.pool_coverage.map(|coverage| (1.0 / coverage.abs()).min(f64::MAX))),
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

    /// What adjusters read: of each underlying, and the worst of all for what is of none.
    fn worlds(&self, policy: &Policy) -> Worlds {
        let mut all = BTreeMap::new();
        if policy.file().adjusters.is_none() {
            return all;
        }
        let mut worst = self.market.clone();
        for (name, watch) in &self.watches {
            for (cause, reading) in &watch.readings {
                let kept = worst.entry(*cause).or_insert(*reading);
                *kept = if *reading > *kept { *reading } else { *kept };
            }
            all.insert(Some(name.clone()), self.readings(name));
        }
        all.insert(None, worst);
        all
    }
}

impl Aim {
    /// The estimated or stated target; `None` for one that follows the price scans.
    fn base(&mut self, of: &TargetSpec) -> Option<Target> {
        match of {
            TargetSpec::Stated { value } => {
                let value = value.to_f64();
                Some(Target { value, governed: false, trail: Trail::begin(Cause::Stated, value) })
            }
            TargetSpec::Quantile(of) => Some(of.target(self.estimated.as_mut()?)),
            TargetSpec::PriceScan { .. } => None,
        }
    }

    /// Whether the stress floor stands in for an estimate.
    fn stands_in(&self) -> bool {
        self.estimated.as_ref().is_some_and(Estimated::stands_in)
    }

    /// The target with its buffer.
    fn buffered(&mut self, buffer: &Buffer, target: &mut Target) {
        let fresh = std::mem::take(&mut self.observed);
        // What a window refuses it leaves out; a target is finite.
        let _ = self.usual.as_mut().filter(|_| fresh).map(|usual| usual.update(target.value));
        target.value = buffer.apply(self.usual.as_ref(), target.value).unwrap_or(target.value);
        target.trail.to(Cause::Buffer, target.value);
    }
}

fn quantile<'p>(policy: &'p Policy, key: &Key) -> Option<&'p Quantile> {
    match &policy.parameter(key)?.target {
        TargetSpec::Quantile(of) => Some(of),
        _ => None,
    }
}

/// The target of a parameter that follows the price scans as they are proposed.
fn following(of: &TargetSpec, key: &Key, proposals: &[Proposed]) -> Option<Target> {
    let TargetSpec::PriceScan { times, fallback } = of else { return None };
    let scan = |knob| {
        let here = proposals.iter().filter(|p| p.key.knob == knob && p.key.scope.covers(&key.scope));
        here.max_by(|a, b| a.key.scope.cmp_weight(&b.key.scope)).map(|p| p.new)
    };
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
    state.check(policy, signals)?;
    let now = signals.as_of;
    let statistic = |source: StatsError| StepError::Estimator { reason: source.to_string() };
    let mut notes = state.observe(policy, signals).map_err(statistic)?;
    state.schedule.forget(now);
    let worlds = state.worlds(policy);
    let State { aims, board, schedule, .. } = state;
    let (mut parameters, mut followers) = (Vec::with_capacity(aims.len()), Vec::new());
    let mut aimed = |key: &Arc<Key>, aim: &mut Aim, of: &Parameter, mut target: Target| {
        if let Some(buffer) = &of.buffer {
            aim.buffered(buffer, &mut target);
        }
        let target = outside(policy, (schedule, &worlds), (key, now), target);
        board.propose(policy, key, target, now)
    };
    for (key, aim) in &mut *aims {
        let Some(of) = policy.parameter(key) else { continue };
        let stood_in = aim.stands_in();
        let base = aim.base(&of.target);
        if aim.stands_in() && !stood_in {
            notes.push(Note::TooLittleHistory { key: Key::clone(key) });
        }
        match base {
            Some(target) => parameters.push(aimed(key, aim, of, target)?),
            None => followers.push((key, aim, of)),
        }
    }
    for (key, aim, of) in followers {
        let Some(target) = following(&of.target, key, &parameters) else { continue };
        parameters.push(aimed(key, aim, of, target)?);
    }
    parameters.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Proposal { now, version: state.board.version(), notes, parameters })
}

type Worlds = BTreeMap<Option<String>, BTreeMap<Cause, f64>>;

/// What the world and governance make of a target.
fn outside(
    policy: &Policy,
    (schedule, worlds): (&Schedule, &Worlds),
    (key, now): (&Key, Timestamp),
    mut target: Target,
) -> Target {
    let world = worlds.get(&key.scope.underlying).or_else(|| worlds.get(&None));
    if let Some((adjusters, readings)) = policy.file().adjusters.as_ref().zip(world) {
        target.value = adjusters.apply(key, target.value, readings, &mut target.trail);
    }
    if let Some(vote) = schedule.governing(key, now) {
        target.value = vote.value.to_f64();
        target.governed = true;
        target.trail.to(Cause::Governance, target.value);
    }
    target
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
    if let Some(last) = state.now.filter(|last| *last != proposal.now) {
        return Err(StepError::Clock { now: proposal.now, last });
    }
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
