//! All state of a policy, and the step.
//!
//! **The one idea:** [`propose`] takes the world in and says where every parameter would go; [`decide`] puts one complete set of
//! values in force. Between the two somebody may show what the whole book would do. Everything that is remembered is in
//! [`State`]: saved and restored, it goes on with the same decisions, bit for bit.

use crate::governance::Ruling;
use crate::parameter::Target;
use crate::policy::Parameter;
use crate::readings::{Watch, refused};
use crate::series::Taken;
use crate::target::{Estimated, Quantile};
use crate::{
    Bar, Board, Buffer, Cause, Decision, GovernanceError, Impact, Key, Knob, Note, ParameterState, Policy,
    PolicyError, Proposal, Proposed, Schedule, Scheduled, Series, Signals, StepError, TargetSpec, Trail,
    UnderlyingSignals,
};
use plimsoll_quant::correlation::EwmaCorrelation;
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A parameter's target on its way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aim {
    /// Whether the policy states the parameter by name, and not for every underlying.
    stated: bool,
    estimated: Option<Estimated>,
    /// What is usual, for the buffer.
    usual: Option<RankWindow>,
    /// Whether the target has moved since it entered there.
    observed: bool,
}

/// All state of a policy: of the one that it began with. With JSON it must be read with exact floats (`float_roundtrip`).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct State {
    /// Digest of the policy it is of.
    pub(crate) policy: String,
    pub(crate) began: Timestamp,
    /// The last signals.
    pub(crate) now: Option<Timestamp>,
    /// The last decision, vote or cancelling.
    pub(crate) decided: Option<Timestamp>,
    pub(crate) board: Board,
    #[serde(with = "crate::scope::pairs")]
    pub(crate) aims: BTreeMap<Arc<Key>, Aim>,
    pub(crate) watches: BTreeMap<String, Watch>,
    pub(crate) correlation: Option<EwmaCorrelation>,
    /// Readings that are of no underlying.
    pub(crate) market: BTreeMap<Cause, f64>,
    pub(crate) schedule: Schedule,
    /// The last values of underlyings that were retired: one that comes back begins no lower.
    #[serde(with = "crate::scope::pairs")]
    pub(crate) retired: BTreeMap<Arc<Key>, Ppb>,
}

/// The closed changes of a step, by underlying, and what was noted on the way.
#[derive(Default)]
struct Seen {
    changes: BTreeMap<String, f64>,
    /// What the prices and the implied volatility of each underlying were.
    taken: BTreeMap<String, (Option<Taken>, Option<Taken>)>,
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
            policy: policy.digest().to_owned(),
            began: now,
            now: None,
            decided: None,
            board: Board::default(),
            aims: BTreeMap::new(),
            watches: BTreeMap::new(),
            correlation: correlation.map(|of| of.begin()).transpose().map_err(statistic)?,
            market: BTreeMap::new(),
            schedule: Schedule::default(),
            retired: BTreeMap::new(),
        };
        for (key, _) in policy.parameters().iter().filter(|(_, of)| !of.each) {
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

    /// The last instant that the state has seen: of signals, a decision or a vote.
    pub fn clock(&self) -> Timestamp {
        self.now.into_iter().chain(self.decided).fold(self.began, Timestamp::max)
    }

    /// Schedules a vote at `now`. It cannot have been proposed before the last instant seen, and its timelock runs from its
    /// proposal or from now, whichever is later. Proposals that were made before count no more.
    ///
    /// # Errors
    /// [`GovernanceError`] for one that does not count, or that is there already; nothing changes.
    pub fn vote(&mut self, policy: &Policy, vote: Scheduled, now: Timestamp) -> Result<(), GovernanceError> {
        let last = self.governed(policy, &vote.id, now)?;
        if vote.proposed < last {
            return Err(GovernanceError::Backdated { id: vote.id, proposed: vote.proposed, last });
        }
        policy.check_vote(&vote, now)?;
        self.schedule.add(vote)?;
        self.touch(now);
        Ok(())
    }

    /// Takes a vote back at `now`, and says when it ends. One that has not begun and asks for no more than what is in force
    /// goes at once, and so does one that would begin only after another timelock. Any other holds its value up for one more
    /// timelock: until then the parameter goes no lower than to it, and where its own target is higher, there. Proposals that
    /// were made before count no more.
    ///
    /// # Errors
    /// [`GovernanceError`] for one that is not there, or an instant that has passed; nothing changes.
    pub fn cancel(
        &mut self,
        policy: &Policy,
        id: &str,
        now: Timestamp,
    ) -> Result<Timestamp, GovernanceError> {
        self.governed(policy, id, now)?;
        let rules = policy.file().governance.ok_or_else(|| GovernanceError::None { id: id.to_owned() })?;
        let key = self.schedule.votes().find(|vote| vote.id == id).map(|vote| &vote.key);
        let in_force = key.and_then(|key| self.board.get(key)).map(ParameterState::value);
        let ends = self.schedule.cancel(id, in_force, (now, rules.timelock_seconds))?;
        self.touch(now);
        Ok(ends)
    }

    /// Whether governance may act at an instant, and the last instant seen.
    fn governed(&self, policy: &Policy, id: &str, now: Timestamp) -> Result<Timestamp, GovernanceError> {
        let id = || id.to_owned();
        if self.policy != policy.digest() {
            let (state, policy) = (self.policy.clone(), policy.digest().to_owned());
            return Err(GovernanceError::Policy { id: id(), state, policy });
        }
        let last = self.clock();
        if now < last { Err(GovernanceError::Clock { id: id(), now, last }) } else { Ok(last) }
    }

    fn touch(&mut self, now: Timestamp) {
        self.decided = Some(now);
        self.board.touch();
    }

    /// Forgets an underlying that is no longer there: its readings, estimates and votes, and the parameters that it has
    /// because every underlying has them. Those that the policy states for it by name stay. One that comes back begins where the
    /// policy says and no lower than where it was. Says which parameters went.
    pub fn retire(&mut self, underlying: &str) -> Vec<Key> {
        let of = |key: &Key| key.scope.underlying.as_deref() == Some(underlying);
        self.watches.remove(underlying);
        self.schedule.retain(|vote| !of(&vote.key));
        let (board, retired) = (&mut self.board, &mut self.retired);
        let aims = &mut self.aims;
        let mut gone = Vec::new();
        board.retain(|key, state| {
            let stays = !of(key) || aims.get(key).is_some_and(|aim| aim.stated);
            if !stays {
                aims.remove(key);
                retired.insert(Arc::new(key.clone()), state.value());
                gone.push(key.clone());
            }
            stays
        });
        gone
    }

    /// Whether it is a state of this policy.
    fn of(&self, policy: &Policy) -> Result<(), StepError> {
        if self.policy == policy.digest() {
            return Ok(());
        }
        Err(StepError::Policy { state: self.policy.clone(), policy: policy.digest().to_owned() })
    }

    /// A parameter begins where its target does, unless there is one.
    fn begin(&mut self, policy: &Policy, key: Key, now: Timestamp) -> Result<Option<Note>, StatsError> {
        if self.board.get(&key).is_some() {
            return Ok(None);
        }
        let Some(parameter) = policy.parameter(&key) else { return Ok(None) };
        let aim = Aim::begin(parameter)?;
        let cause = parameter.target.begins();
        let (least, most) = (self.retired.remove(&key), parameter.motion.limits.maximum);
        let value = least.map_or(Ppb::ZERO, |last| last.min(most)).max(parameter.target.first());
        let shared = Arc::new(key.clone());
        self.board.insert(Arc::clone(&shared), value, cause, now);
        self.aims.insert(shared, aim);
        Ok(Some(Note::Began { key, value }))
    }

    /// Refuses what cannot be taken in, before anything is.
    fn check(&self, policy: &Policy, signals: &Signals) -> Result<(), StepError> {
        self.of(policy)?;
        signals.check()?;
        if let Some(key) = self.aims.keys().find(|key| policy.parameter(key).is_none()) {
            return Err(StepError::Unknown(Key::clone(key)));
        }
        if let Some(last) = self.now.filter(|last| signals.as_of <= *last) {
            return Err(StepError::Clock { now: signals.as_of, last });
        }
        if signals.as_of < self.clock() {
            return Err(StepError::Clock { now: signals.as_of, last: self.clock() });
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
        self.aim(policy, &mut seen);
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
        seen.taken.insert(name.clone(), (price, implied));
    }

    /// Shows every target what was seen of its underlying.
    fn aim(&mut self, policy: &Policy, seen: &mut Seen) {
        let mut room = Vec::new();
        for (key, aim) in &mut self.aims {
            let Some(name) = key.scope.underlying.as_deref() else { continue };
            let Some((price, implied)) = seen.taken.get(name).copied() else { continue };
            let Some((of, estimated)) = quantile(policy, key).zip(aim.estimated.as_mut()) else { continue };
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
    /// The same of a parameter that is stated by name, or is not.
    pub(crate) fn stated(self, stated: bool) -> Self {
        Self { stated, ..self }
    }

    /// The target of a parameter with nothing seen.
    pub(crate) fn begin(of: &Parameter) -> Result<Self, StatsError> {
        let estimated = match &of.target {
            TargetSpec::Quantile(quantile) => Some(quantile.begin()?),
            TargetSpec::Stated { .. } | TargetSpec::PriceScan { .. } => None,
        };
        let usual = of.buffer.map_or(Ok(None), |buffer| buffer.begin())?;
        Ok(Self { stated: !of.each, estimated, usual, observed: true })
    }

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

/// Price scans as they are proposed, by underlying.
struct Scans<'p>(BTreeMap<Option<&'p str>, Vec<&'p Proposed>>);

impl<'p> Scans<'p> {
    fn new(proposals: &'p [Proposed]) -> Self {
        let mut by: BTreeMap<_, Vec<&Proposed>> = BTreeMap::new();
        let scan = |p: &&Proposed| matches!(p.key.knob, Knob::PriceScanDown | Knob::PriceScanUp);
        for proposed in proposals.iter().filter(scan) {
            by.entry(proposed.key.scope.underlying.as_deref()).or_default().push(proposed);
        }
        Self(by)
    }

    /// The larger of both sides where a key is, each by the heaviest scope.
    fn largest(&self, key: &Key) -> Option<Ppb> {
        let own = key.scope.underlying.as_deref();
        let places = [Some(own), own.map(|_| None)].into_iter().flatten();
        let all: Vec<&Proposed> = places.filter_map(|at| self.0.get(&at)).flatten().copied().collect();
        let scan = |knob| {
            let here = all.iter().filter(|p| p.key.knob == knob && p.key.scope.covers(&key.scope));
            here.max_by(|a, b| a.key.scope.cmp_weight(&b.key.scope)).map(|p| p.new)
        };
        scan(Knob::PriceScanDown).max(scan(Knob::PriceScanUp))
    }
}

/// The target of a parameter that follows the price scans.
fn following(of: &TargetSpec, key: &Key, scans: &Scans<'_>) -> Option<Target> {
    let TargetSpec::PriceScan { times, fallback } = of else { return None };
    let (value, cause) = scans.largest(key).map_or((fallback.to_f64(), Cause::TooLittleHistory), |scan| {
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
    let rulings = schedule.rulings(now);
    let (mut parameters, mut followers) = (Vec::with_capacity(aims.len()), Vec::new());
    let mut aimed = |key: &Arc<Key>, aim: &mut Aim, of: &Parameter, mut target: Target| {
        if let Some(buffer) = &of.buffer {
            aim.buffered(buffer, &mut target);
        }
        let target = outside(policy, (rulings.get(&**key), &worlds), key, target);
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
    let scans = Scans::new(&parameters);
    let targets: Vec<_> = followers.iter().map(|(key, _, of)| following(&of.target, key, &scans)).collect();
    for ((key, aim, of), target) in followers.into_iter().zip(targets) {
        let Some(target) = target else { continue };
        parameters.push(aimed(key, aim, of, target)?);
    }
    parameters.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(Proposal { now, version: state.board.version(), notes, parameters })
}

type Worlds = BTreeMap<Option<String>, BTreeMap<Cause, f64>>;

/// What the world and governance make of a target.
fn outside(
    policy: &Policy,
    (ruling, worlds): (Option<&Ruling>, &Worlds),
    key: &Key,
    mut target: Target,
) -> Target {
    let world = worlds.get(&key.scope.underlying).or_else(|| worlds.get(&None));
    if let Some((adjusters, readings)) = policy.file().adjusters.as_ref().zip(world) {
        target.value = adjusters.apply(key, target.value, readings, &mut target.trail);
    }
    if let Some(value) = ruling.and_then(|ruling| ruling.over(target.value)) {
        target.value = value;
        target.governed = true;
        target.trail.to(Cause::Governance, target.value);
    }
    target
}

/// Puts a proposal in force at `now`: the part of it that the glide path chooses by the `book`'s impacts, in the order of
/// [`Proposal::candidates`], or the whole where no book is shown. What a tightening announces to existing positions counts
/// from now.
///
/// # Errors
/// [`StepError`] for a proposal that the parameters have moved on from, that has expired, or whose impacts are not those of
/// its candidates; nothing changes then.
pub fn decide(
    policy: &Policy,
    state: &mut State,
    proposal: Proposal,
    book: Option<&[Impact]>,
    now: Timestamp,
) -> Result<Decision, StepError> {
    state.of(policy)?;
    if let Some(last) = state.now.filter(|last| *last != proposal.now) {
        return Err(StepError::Clock { now: proposal.now, last });
    }
    let last = state.clock().max(proposal.now);
    if now < last {
        return Err(StepError::Clock { now, last });
    }
    let judged = |impacts| policy.glide().map(|glide| (glide, impacts)).ok_or(StepError::NoGlide);
    let book = book.map(judged).transpose()?;
    let decision = state.board.decide(policy, proposal, book, now)?;
    state.decided = Some(now);
    Ok(decision)
}

/// [`propose`] and [`decide`] at the same instant, where nobody shows a book.
///
/// # Errors
/// As both.
pub fn step(policy: &Policy, state: &mut State, signals: &Signals) -> Result<Decision, StepError> {
    let proposal = propose(policy, state, signals)?;
    decide(policy, state, proposal, None, signals.as_of)
}
