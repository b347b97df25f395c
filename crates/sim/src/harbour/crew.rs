//! What people do about what the engine says: liquidations are traded, calls answered, orders taken back.

use super::draw::Draw;
use super::opening::{refusal, told};
use super::people::{People, Trade, nano, stated};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::liquidation::Plan;
use plimsoll_engine::live::{Body, Effect, Event, Standing};
use plimsoll_types::{AccountId, Asset, Instrument, Settlement, Timestamp, Units, nearest_f64};
use std::collections::{BTreeMap, VecDeque};

/// The keeper begins so soon after an intent, seconds, and trades every so often.
const KEEPER: (f64, f64) = (10.0, 60.0);
const SLICE_SECONDS: i64 = 20;
/// After a refusal it waits so long.
const REFUSED_SECONDS: i64 = 20;
/// And gives up after so many.
const TRIES: usize = 25;
/// The largest slice: a share of the depth, and at least so many USD.
const SLICE: (f64, f64) = (0.04, 25_000.0);
/// Price moves by 1 % when all of the depth is taken; no slice pays more than this.
const IMPACT_MAX: f64 = 0.01;
/// Somebody who answers a call does so after so many seconds.
const ANSWER: (f64, f64) = (120.0, 1_500.0);
/// An answer under this is none, USD.
const ANSWER_MIN: f64 = 5.0;
/// Makers take orders back so soon.
const CANCEL_SECONDS: i64 = 2;

/// Something that somebody is going to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Deed {
    /// The keeper trades the next part of a plan.
    Slice { intent: u64 },
    /// Somebody pays.
    Answer { person: usize, nano: i128 },
    /// A maker takes an order back.
    Cancel { maker: usize, bid: bool },
}

/// A part of a plan that is left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part {
    pub(super) instrument: Instrument,
    /// Sold > 0.
    pub(super) lots: i64,
}

#[derive(Clone, Debug)]
struct Job {
    parts: VecDeque<Part>,
    refused: usize,
    turn: usize,
    /// Lots of what was told last.
    asked: i64,
}

/// What a keeper sees of what it is to trade, USD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Desk {
    pub(super) at: Timestamp,
    pub(super) index: f64,
    /// Quote units within 1 % of the middle.
    pub(super) depth: f64,
    /// Of futures and perpetuals, a share.
    pub(super) half_spread: f64,
    /// One unit.
    pub(super) worth: f64,
    /// Coins that one unit moves with.
    pub(super) delta: f64,
}

/// Everybody who acts on effects.
#[derive(Clone, Debug)]
pub(super) struct Crew {
    seed: u64,
    places: BTreeMap<AccountId, usize>,
    deeds: BTreeMap<(Timestamp, u64), Deed>,
    number: u64,
    jobs: BTreeMap<u64, Job>,
    calls: BTreeMap<usize, u64>,
    last: Option<Deed>,
}

impl Crew {
    pub(super) fn new(seed: u64, people: &People) -> Self {
        let places = people.all.iter().enumerate().map(|(place, person)| (person.id.clone(), place));
        Self {
            seed,
            places: places.collect(),
            deeds: BTreeMap::new(),
            number: 0,
            jobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            last: None,
        }
    }

    /// The place of an account.
    pub(super) fn find(&self, account: &AccountId) -> Option<usize> {
        self.places.get(account).copied()
    }

    /// When the next deed is due.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.deeds.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next deed.
    pub(super) fn pop(&mut self) -> Option<Deed> {
        self.deeds.pop_first().map(|(_, deed)| deed)
    }

    /// Remembers what is told now, to know what an answer is about.
    pub(super) fn told(&mut self, deed: Option<Deed>) {
        self.last = deed;
    }

    fn plan(&mut self, at: Timestamp, deed: Deed) {
        self.number += 1;
        self.deeds.insert((at, self.number), deed);
    }

    /// What is left to trade of an intent.
    pub(super) fn next_of(&self, intent: u64) -> Option<&Part> {
        self.jobs.get(&intent)?.parts.front()
    }

    /// The next slice of an intent: near the market, the worse the more it takes of what rests there.
    pub(super) fn slice(
        &mut self,
        intent: u64,
        desk: &Desk,
        units: &Units,
        maker: impl Fn(usize) -> Option<AccountId>,
    ) -> Option<Event> {
        let job = self.jobs.get_mut(&intent)?;
        let part = job.parts.front()?;
        let lot = nearest_f64(units.lot(&part.instrument)) * desk.index;
        let most = (SLICE.0 * desk.depth).max(SLICE.1) / lot;
        let size = part.lots.unsigned_abs().min((most as u64).max(1));
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        job.asked = size * part.lots.signum();
        let impact = (0.01 * size as f64 * lot / desk.depth).min(IMPACT_MAX) + desk.half_spread;
        let spread = if part.instrument.option().is_some() { 0.01 * desk.worth } else { 0.0 };
        let cost = impact * desk.delta.abs() * desk.index + spread;
        let price = if part.lots > 0 { desk.worth - cost } else { desk.worth + cost };
        let coin = part.instrument.settlement() == Settlement::Inverse;
        let price = stated(if coin { price / desk.index } else { price });
        let taker = maker(usize::try_from(intent).unwrap_or(0).wrapping_add(job.turn))?;
        let instrument = part.instrument.clone();
        Some(told(desk.at, Body::Liquidated { intent, taker, instrument, lots: job.asked, price }))
    }

    /// Hears what followed.
    pub(super) fn react(&mut self, effects: &[Effect], at: Timestamp, people: &mut People) {
        if let Some(Deed::Slice { intent }) = self.last.take() {
            self.after(intent, refusal(effects), at);
        }
        for effect in effects {
            match effect {
                Effect::Liquidate { intent, plan, .. } => self.take_on(*intent, plan, at),
                Effect::Withdrawn { intent, .. } => drop(self.jobs.remove(intent)),
                Effect::Standing {
                    account, to: Standing::Call, from: Standing::Healthy, equity, im, ..
                } => {
                    self.called(account, (equity.0, im.0), at, people);
                }
                Effect::Validity { feed, from: Validity::Normal, .. } => self.shy(feed, at, people),
                _ => {}
            }
        }
    }

    /// The keeper takes on an intent.
    fn take_on(&mut self, intent: u64, plan: &Plan, at: Timestamp) {
        let part = |step: &plimsoll_engine::live::liquidation::Step| Part {
            instrument: step.instrument.clone(),
            lots: step.lots,
        };
        let parts: VecDeque<Part> = plan.steps.iter().filter(|step| step.lots != 0).map(part).collect();
        if parts.is_empty() {
            return;
        }
        self.jobs.insert(intent, Job { parts, refused: 0, turn: 0, asked: 0 });
        let wait = Draw::of(self.seed, &[71, intent]).between(KEEPER.0, KEEPER.1);
        self.plan(at.plus_seconds(wait as i64), Deed::Slice { intent });
    }

    /// What the keeper does after a slice was taken or refused.
    fn after(&mut self, intent: u64, refused: Option<&str>, at: Timestamp) {
        let Some(job) = self.jobs.get_mut(&intent) else { return };
        job.turn += 1;
        let pause = match refused {
            None => {
                if let Some(part) = job.parts.front_mut() {
                    part.lots -= job.asked;
                }
                job.parts.retain(|part| part.lots != 0);
                SLICE_SECONDS
            }
            Some("taker" | "worsens" | "halted") => {
                job.refused += 1;
                // Another part may go where this one does not.
                job.parts.rotate_left(1);
                REFUSED_SECONDS
            }
            Some(_) => {
                self.jobs.remove(&intent);
                return;
            }
        };
        if job.parts.is_empty() || job.refused > TRIES {
            self.jobs.remove(&intent);
        } else {
            self.plan(at.plus_seconds(pause), Deed::Slice { intent });
        }
    }

    /// Somebody is called, and may answer.
    fn called(
        &mut self,
        account: &AccountId,
        (equity, im): (i128, i128),
        at: Timestamp,
        people: &mut People,
    ) {
        let Some(place) = self.find(account) else { return };
        let Some(person) = people.all.get_mut(place) else { return };
        let count = self.calls.entry(place).or_default();
        *count += 1;
        let mut draw = Draw::of(self.seed, &[73, place as u64, *count]);
        let (answers, wait) = (draw.chance(person.answers), draw.between(ANSWER.0, ANSWER.1));
        let short = (1.0 + 0.5 * person.cushion) * im as f64 - equity as f64;
        let amount = (short / people.ticks_per_unit).min(person.reserve).floor();
        if answers && amount >= ANSWER_MIN {
            person.reserve -= amount;
            self.plan(at.plus_seconds(wait as i64), Deed::Answer { person: place, nano: nano(amount) });
        }
    }

    /// Makers of an underlying whose price is in doubt take their orders back.
    fn shy(&mut self, feed: &Asset, at: Timestamp, people: &People) {
        let makers = people.all.iter().enumerate().filter(|(_, person)| {
            person.trade == Trade::Maker
                && super::coin::SHAPES.get(person.home).is_some_and(|shape| shape.name == feed.as_str())
        });
        let makers: Vec<usize> = makers.map(|(place, _)| place).collect();
        for maker in makers {
            for bid in [true, false] {
                self.plan(at.plus_seconds(CANCEL_SECONDS), Deed::Cancel { maker, bid });
            }
        }
    }
}
