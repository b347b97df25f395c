//! All state of a policy, and the step.
//!
//! **The one idea:** [`propose`] takes the world in and says where every parameter would go; [`decide`] puts one complete set of
//! values in force. Between the two somebody may show what the whole book would do. Everything that is remembered is in
//! [`State`]: saved and restored, it goes on with the same decisions, bit for bit.

use crate::governance::Ruling;
use crate::parameter::Target;
use crate::policy::Parameter;
use crate::readings::{Correlator, Reads, Watch, refused};
use crate::series::{Both, Forming, Taken};
use crate::target::{Estimated, Quantile, Standing};
use crate::{
    Adjusters, Bar, Board, Buffer, Cause, Decision, GovernanceError, Impact, Implied, Key, Knob, Note,
    ParameterState, Policy, PolicyError, Proposal, Proposed, Schedule, Scheduled, Scope, Series, SignalError,
    Signals, StepError, TargetSpec, Trail, UnderlyingSignals, covering,
};
use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A parameter's target on its way.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Aim {
    /// Whether the policy states the parameter by name, and not for every underlying.
    stated: bool,
    estimated: Option<Estimated>,
    /// What is usual, for the buffer.
    usual: Option<RankWindow>,
    /// Whether the estimate was made anew since the target entered there.
    observed: bool,
    /// The step in which a target that is no estimate entered there last.
    entered: Option<i64>,
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
    pub(crate) correlation: Option<Correlator>,
    /// Readings that are of no underlying.
    pub(crate) market: Reads,
    /// Adjusters that are on and have nothing to read, as noted.
    pub(crate) unread: BTreeSet<Cause>,
    pub(crate) schedule: Schedule,
    /// The last values of underlyings that were retired: one that comes back begins no lower.
    #[serde(with = "crate::scope::pairs")]
    pub(crate) retired: BTreeMap<Arc<Key>, Ppb>,
}

/// The closed changes of a step, by underlying, and what was noted on the way.
#[derive(Default)]
struct Seen {
    changes: BTreeMap<String, f64>,
    /// By underlying.
    sights: BTreeMap<String, Sight>,
    notes: Vec<Note>,
}

/// What was seen of an underlying.
struct Sight {
    /// Implied volatility at the money.
    atm: Option<f64>,
    taken: Vec<(Series, Both)>,
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
            market: Reads::default(),
            unread: BTreeSet::new(),
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

    /// The last readings of an underlying that are not gone, by the cause that they may become.
    pub fn readings(&self, underlying: &str) -> BTreeMap<Cause, f64> {
        let own = self.watches.get(underlying).map(|watch| &watch.reads);
        let all = own.into_iter().chain([&self.market]).flat_map(|reads| &reads.0);
        all.filter(|(_, read)| !read.gone).map(|(cause, read)| (*cause, read.value)).collect()
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

    /// Forgets an underlying that is no longer there: its readings, and the parameters that it has because every underlying has
    /// them, with their estimates and votes. Those that the policy states for it by name stay, with theirs. Proposals that were
    /// made before count no more. One that comes back begins where the
    /// policy says and no lower than where it was. Says which parameters went.
    pub fn retire(&mut self, underlying: &str) -> Vec<Key> {
        let of = |key: &Key| key.scope.underlying.as_deref() == Some(underlying);
        self.watches.remove(underlying);
        let (board, retired) = (&mut self.board, &mut self.retired);
        let aims = &mut self.aims;
        let stays = |key: &Key| !of(key) || aims.get(key).is_some_and(|aim| aim.stated);
        self.schedule.retain(|vote| stays(&vote.key));
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
        // A proposal may rest on what was read of it.
        board.touch();
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
        let mut value = least.map_or(Ppb::ZERO, |last| last.min(most)).max(parameter.target.first());
        if key.knob == Knob::ImScale {
            let covers = parameter.motion.limits.to_step_up(self.maintenance_scale(&key.scope));
            value = value.max(covers.min(most));
        }
        let shared = Arc::new(key.clone());
        self.board.insert(Arc::clone(&shared), value, cause, now);
        self.aims.insert(shared, aim);
        Ok(Some(Note::Began { key, value }))
    }

    /// The largest scale of maintenance in force anywhere within a scope; zero where there is none.
    fn maintenance_scale(&self, scope: &Scope) -> Ppb {
        let all = self.board.parameters();
        let scales = all.keys().filter(|key| key.knob == Knob::MmScale);
        let places = scales.filter_map(|key| key.scope.and(scope));
        let at = |place: Scope| covering(all, Knob::MmScale, &place).first().map(|(_, of)| of.value());
        places.filter_map(at).max().unwrap_or(Ppb::ZERO)
    }

    /// Refuses what cannot be taken in, before anything is.
    fn check(&self, policy: &Policy, signals: &Signals) -> Result<(), StepError> {
        self.of(policy)?;
        if let Some(key) = self.aims.keys().find(|key| policy.parameter(key).is_none()) {
            return Err(StepError::Unknown(Key::clone(key)));
        }
        if let Some(last) = self.now.filter(|last| signals.as_of <= *last) {
            return Err(StepError::Clock { now: signals.as_of, last });
        }
        if signals.as_of < self.clock() {
            return Err(StepError::Clock { now: signals.as_of, last: self.clock() });
        }
        Ok(())
    }

    /// Takes the world in.
    fn observe(&mut self, policy: &Policy, signals: &Signals) -> Result<Vec<Note>, StatsError> {
        let now = signals.as_of;
        let mut seen = Seen::default();
        for (name, of) in &signals.underlyings {
            if !self.watches.contains_key(name) {
                self.watches.insert(name.clone(), Watch::new(&policy.file().readings)?);
                for key in policy.keys_of(name) {
                    seen.notes.extend(self.begin(policy, key, now)?);
                }
            }
            self.underlying(policy, (name, of), now, &mut seen);
        }
        self.aim(policy, now, &mut seen);
        self.note_missing(signals, &mut seen.notes);
        self.correlate(policy, now, &mut seen);
        let market = [
            (Cause::Pool, signals.pool_coverage.map(|coverage| (1.0 / coverage.abs()).min(f64::MAX))),
            (Cause::Sentiment, signals.sentiment.map(|mood| (mood - 50.0).abs())),
        ];
        for (cause, reading) in market {
            reading.into_iter().for_each(|reading| self.market.insert(cause, reading, now));
        }
        if let Some(adjusters) = &policy.file().adjusters {
            self.age(adjusters, now, &mut seen.notes);
        }
        self.now = Some(now);
        Ok(seen.notes)
    }

    /// Says what was seen before and is not there now.
    fn note_missing(&self, signals: &Signals, notes: &mut Vec<Note>) {
        for (name, watch) in &self.watches {
            let of = signals.underlyings.get(name);
            let here = [
                (Series::Price, of.is_some_and(|s| s.bar.is_some())),
                (Series::ImpliedVol, of.is_some_and(|s| s.implied.is_some())),
            ];
            let absent = here.into_iter().filter(|(series, here)| !here && watch.known(*series));
            notes.extend(absent.map(|(series, _)| Note::Missing { underlying: name.clone(), series }));
        }
    }

    /// Puts away readings that are too old; says so, and which adjusters have none at all.
    fn age(&mut self, adjusters: &Adjusters, now: Timestamp, notes: &mut Vec<Note>) {
        let stale = |place: &str| {
            let place = place.to_owned();
            move |cause| Note::Stale { place: place.clone(), cause }
        };
        notes.extend(self.market.age(adjusters, now).map(stale("*")));
        for (name, watch) in &mut self.watches {
            notes.extend(watch.reads.age(adjusters, now).map(stale(name)));
        }
        let all = || self.watches.values().map(|watch| &watch.reads).chain([&self.market]);
        let read = |cause: &Cause| all().any(|reads| reads.0.get(cause).is_some_and(|read| !read.gone));
        let on = adjusters.by.iter().filter(|(_, of)| of.on).map(|(cause, _)| *cause);
        let unread: BTreeSet<Cause> = on.filter(|cause| !read(cause)).collect();
        notes.extend(unread.difference(&self.unread).map(|cause| Note::NoReading { cause: *cause }));
        self.unread = unread;
    }

    /// Takes one underlying in: its readings, then the targets that look at it.
    fn underlying(
        &mut self,
        policy: &Policy,
        (name, of): (&String, &UnderlyingSignals),
        now: Timestamp,
        seen: &mut Seen,
    ) {
        let Some(watch) = self.watches.get_mut(name) else { return };
        let spec = &policy.file().observation;
        let mut taken = Vec::new();
        for (series, bar) in numbers(of) {
            let forming = watch.forming.entry(series).or_insert_with(|| Forming::new(series));
            taken.push((series, forming.take((now, spec), bar, name, &mut seen.notes)));
        }
        let closes = |of: Series| {
            let both = taken.iter().find(|(series, _)| *series == of);
            let mut all = both.into_iter().flat_map(|(_, both)| both).flatten();
            all.find(|taken: &&Taken| taken.seen.closed).copied()
        };
        if let Some(change) = closes(Series::Price).and_then(|taken| taken.change) {
            seen.changes.insert(name.clone(), change);
            seen.notes.extend(refused(name, watch.returned(change, now)));
        }
        let new_vol = closes(Series::ImpliedVol).is_some();
        let closed = if of.bar.is_some() { closes(Series::Price).is_some() } else { new_vol };
        seen.notes.extend(refused(name, watch.surface(of, now, new_vol)));
        let depth = policy.file().readings.liquidity.as_ref();
        let quotes = watch.quotes(depth, &of.venues, (now, closed));
        seen.notes.extend(refused(name, quotes.err().map(|error| ("liquidity", error))));
        seen.notes.extend(refused(name, watch.look(of, now, closed)));
        let atm = of.implied.map(|implied| implied.atm);
        seen.sights.insert(name.clone(), Sight { atm, taken });
    }

    /// Shows every target what was seen of its underlying.
    fn aim(&mut self, policy: &Policy, now: Timestamp, seen: &mut Seen) {
        let mut room = Vec::new();
        for (key, aim) in &mut self.aims {
            let Some(name) = key.scope.underlying.as_deref() else { continue };
            let Some((of, estimated)) = quantile(policy, key).zip(aim.estimated.as_mut()) else { continue };
            let sight = seen.sights.get(name);
            of.look(estimated, sight.and_then(|sight| sight.atm), (now, policy.step_seconds()), &mut room);
            let Some(sight) = sight else { continue };
            let margin = self.board.get(key).map_or(0.0, |state| state.value().to_f64());
            let own = sight.taken.iter().filter(|(series, _)| *series == of.series);
            for taken in own.flat_map(|(_, both)| both).flatten() {
                let outcome = of.observe(estimated, &taken.seen, margin, &mut room);
                if !outcome.is_empty() {
                    seen.notes.extend(refused(&key.to_string(), outcome));
                }
                aim.observed |= taken.seen.closed;
            }
        }
    }

    fn correlate(&mut self, policy: &Policy, now: Timestamp, seen: &mut Seen) {
        let spec = policy.file().readings.correlation.as_ref();
        let Some((gauge, spec)) = self.correlation.as_mut().zip(spec) else { return };
        let step = now.seconds().div_euclid(policy.step_seconds());
        match gauge.update(spec, step, &seen.changes) {
            Ok(Some(mean)) => self.market.insert(Cause::Correlation, mean, now),
            Ok(None) => {}
            Err(error) => seen.notes.extend(refused("*", [("correlation", error)])),
        }
    }

    /// What adjusters hear: of each underlying, and the worst of all for what is of none.
    fn worlds(&self, policy: &Policy) -> Worlds {
        let mut all = Worlds::default();
        let Some(adjusters) = &policy.file().adjusters else { return all };
        all.market = adjusters.heard(&self.market);
        // A reading that is gone counts for all only where there is no other.
        let mut worst = Reads::default();
        for (name, watch) in &self.watches {
            for (cause, read) in &watch.reads.0 {
                let kept = worst.0.entry(*cause).or_insert(*read);
                if (!read.gone, read.value) > (!kept.gone, kept.value) {
                    *kept = *read;
                }
            }
            let mut own = adjusters.heard(&watch.reads);
            own.extend(&all.market);
            all.of.insert(name.clone(), own);
        }
        all.worst = adjusters.heard(&worst);
        all.worst.extend(&all.market);
        all
    }
}

/// The numbers of an underlying, by the series that they belong to.
fn numbers(of: &UnderlyingSignals) -> impl Iterator<Item = (Series, Bar)> {
    let shape = of.implied.map(|Implied { atm, risk_reversal, butterfly, slope }| {
        [
            (Series::ImpliedVol, atm),
            (Series::Skew, risk_reversal / atm),
            (Series::Wing, butterfly / atm),
            (Series::Term, slope / atm),
        ]
    });
    let surface = shape.into_iter().flatten().filter(|(_, number)| number.is_finite());
    let price = of.bar.map(|bar| (Series::Price, bar));
    price.into_iter().chain(surface.map(|(series, number)| (series, Bar::at(number))))
}

/// What adjusters hear.
#[derive(Default)]
struct Worlds {
    /// Of each underlying that was seen.
    of: BTreeMap<String, BTreeMap<Cause, f64>>,
    /// The worst of any, for parameters of no underlying.
    worst: BTreeMap<Cause, f64>,
    /// What is of no underlying: all that there is for one that was never seen.
    market: BTreeMap<Cause, f64>,
}

impl Worlds {
    fn at(&self, underlying: Option<&str>) -> &BTreeMap<Cause, f64> {
        underlying.map_or(&self.worst, |name| self.of.get(name).unwrap_or(&self.market))
    }
}

impl Aim {
    /// Whether the parameter is stated by name, and not for every underlying.
    pub(crate) fn is_stated(&self) -> bool {
        self.stated
    }

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
        Ok(Self { stated: !of.each, estimated, usual, observed: true, entered: None })
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

    /// What the last target was made of; `None` for one that is no estimate.
    fn standing(&self) -> Option<Standing> {
        self.estimated.as_ref().and_then(Estimated::standing)
    }

    /// The target with its buffer, in `step`: what is usual learns once a step, from an estimate when it is made anew.
    fn buffered(&mut self, buffer: &Buffer, target: &mut Target, step: i64) {
        let mut fresh = std::mem::take(&mut self.observed);
        if self.estimated.is_none() {
            fresh = self.entered.is_none_or(|last| step > last);
            self.entered = Some(step);
        }
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
            let own = here.max_by(|a, b| a.key.scope.cmp_weight(&b.key.scope)).map(|p| p.new);
            // One that is for several places follows the largest of theirs.
            let theirs = || self.0.values().flatten().filter(|p| p.key.knob == knob);
            own.or_else(|| theirs().filter(|p| key.scope.covers(&p.key.scope)).map(|p| p.new).max())
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
/// [`StepError`] for signals that are not after the last, and for a state of another policy; nothing changes then. A number that
/// no market says is left out and noted.
pub fn propose(policy: &Policy, state: &mut State, signals: &Signals) -> Result<Proposal, StepError> {
    state.check(policy, signals)?;
    let now = signals.as_of;
    let statistic = |source: StatsError| StepError::Estimator { reason: source.to_string() };
    let (sound, bad) = signals.sift();
    let note = |SignalError { place, field, value, expected }: SignalError| Note::Refused {
        place,
        reason: format!("{field} is {value:?}: expected {expected}"),
    };
    let mut notes: Vec<Note> = bad.into_iter().map(note).collect();
    notes.extend(state.observe(policy, &sound).map_err(statistic)?);
    state.schedule.forget(now);
    let worlds = state.worlds(policy);
    let State { aims, board, schedule, .. } = state;
    let rulings = schedule.rulings(now);
    let (mut parameters, mut followers) = (Vec::with_capacity(aims.len()), Vec::new());
    let mut aimed = |key: &Arc<Key>, aim: &mut Aim, of: &Parameter, mut target: Target| {
        if let Some(buffer) = &of.buffer {
            aim.buffered(buffer, &mut target, now.seconds().div_euclid(policy.step_seconds()));
        }
        let target = outside(policy, (rulings.get(&**key), &worlds), key, target);
        board.propose(policy, key, target, now)
    };
    for (key, aim) in &mut *aims {
        let Some(of) = policy.parameter(key) else { continue };
        let stood = aim.standing();
        let base = aim.base(&of.target);
        if aim.standing() != stood {
            notes.extend(standing_in(key, aim.standing()));
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

/// What is said where no estimate makes a target.
fn standing_in(key: &Key, standing: Option<Standing>) -> Option<Note> {
    let key = key.clone();
    match standing? {
        Standing::Estimate => None,
        Standing::TooLittleHistory => Some(Note::TooLittleHistory { key }),
        Standing::NoEstimate => Some(Note::NoEstimate { key }),
    }
}

/// What the world and governance make of a target.
fn outside(
    policy: &Policy,
    (ruling, worlds): (Option<&Ruling>, &Worlds),
    key: &Key,
    mut target: Target,
) -> Target {
    if let Some(adjusters) = &policy.file().adjusters {
        let readings = worlds.at(key.scope.underlying.as_deref());
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
