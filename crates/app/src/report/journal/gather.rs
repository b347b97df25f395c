//! What a journal says of a period, gathered while it is replayed.

use super::coverage::{Coverage, Covered};
use crate::host::{Course, Readings, Sample, readings};
use crate::methods::{self, Asked, COMPARED};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Effect, Standing};
use plimsoll_policy::Decision;
use plimsoll_types::{AccountId, Asset, Ticks, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Comparisons with other methods, at most; every other one is dropped when there are twice as many.
const COMPARISONS: usize = 48;

/// Seconds from one comparison to the next, at first.
const COMPARE_SECONDS: f64 = 600.0;

/// A decision on parameters.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) decision: Decision,
    /// Accounts that will be liquidatable when what is announced is in force.
    pub(crate) endangered: usize,
    pub(crate) readings: Readings,
}

/// Something that happened to an account.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Event {
    pub(crate) sequence: u64,
    pub(crate) at: Timestamp,
    pub(crate) account: AccountId,
    pub(crate) what: Happened,
}

/// What happened.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Happened {
    /// It stands otherwise: to what, equity, initial and maintenance margin.
    Stands(Standing, [Ticks; 3]),
    /// It is to be liquidated: the intent, how many steps, and whether they restore initial margin.
    Liquidate(u64, usize, bool),
    /// A liquidation is not wanted any more.
    Withdrawn(u64, String),
    /// Collateral was sold: what was paid.
    Seized(Asset, Ticks),
    /// A loss was taken over: by the fund, by everybody.
    Covered(Ticks, Ticks),
    /// Positions were closed against those of another account.
    Deleveraged(AccountId),
}

/// Other methods on the book of an instant.
#[derive(Clone, Debug)]
pub(crate) struct Compared {
    pub(crate) at: Timestamp,
    pub(crate) methods: Vec<(&'static str, Asked)>,
}

/// What a journal says of a period.
pub(crate) struct Gathered {
    /// Nothing before this.
    from: Option<Timestamp>,
    /// Records of the period.
    pub(crate) records: u64,
    pub(crate) samples: Vec<Sample>,
    pub(crate) decisions: Vec<Decided>,
    pub(crate) events: Vec<Event>,
    /// Stretches in which a feed was not normal; open ones end at the end.
    pub(crate) doubts: Vec<(Asset, Validity, Timestamp, Option<Timestamp>)>,
    pub(crate) compared: Vec<Compared>,
    every: f64,
    coverage: Coverage,
}

impl Gathered {
    /// Of nothing yet.
    pub(crate) fn new(from: Option<Timestamp>) -> Self {
        Self {
            from,
            records: 0,
            samples: Vec::new(),
            decisions: Vec::new(),
            events: Vec::new(),
            doubts: Vec::new(),
            compared: Vec::new(),
            every: COMPARE_SECONDS,
            coverage: Coverage::default(),
        }
    }

    /// Takes in what followed from a record.
    pub(crate) fn take(&mut self, course: &Course, effects: &[Effect]) {
        let now = course.engine.state().now;
        self.coverage.hear(effects);
        if self.from.is_some_and(|from| now < from) {
            return;
        }
        if self.records == 0 {
            self.begin(course, now);
        }
        self.records += 1;
        for effect in effects {
            self.hear(course, now, effect);
        }
        let new = course.chronicle.samples.back().filter(|sample| {
            self.from.is_none_or(|from| sample.at >= from)
                && self.samples.last().is_none_or(|last| sample.at > last.at)
        });
        let Some(sample) = new else { return };
        if self.from.is_none() && self.samples.is_empty() && sample.im.0 == 0 {
            return self.forget();
        }
        self.samples.push(sample.clone());
        self.coverage.look(course);
        self.compare(course, now);
    }

    /// Where nobody says when to begin, it begins with the first sample in which there is something to margin.
    fn forget(&mut self) {
        self.records = 0;
        self.decisions.clear();
        self.events.clear();
        self.doubts.clear();
    }

    /// What was in doubt already.
    fn begin(&mut self, course: &Course, now: Timestamp) {
        for (asset, feed) in &course.engine.state().feeds {
            if feed.accepted().is_some() && feed.validity() != Validity::Normal {
                self.doubts.push((asset.clone(), feed.validity(), now, None));
            }
        }
    }

    fn hear(&mut self, course: &Course, at: Timestamp, effect: &Effect) {
        let sequence = course.sequence;
        let mut note = |account: &AccountId, what| {
            self.events.push(Event { sequence, at, account: account.clone(), what });
        };
        match effect {
            Effect::Standing { account, to, equity, im, mm, .. } => {
                note(account, Happened::Stands(*to, [*equity, *im, *mm]));
            }
            Effect::Liquidate { intent, account, plan } => {
                note(account, Happened::Liquidate(*intent, plan.steps.len(), plan.restores));
            }
            Effect::Withdrawn { intent, account, why } => {
                note(account, Happened::Withdrawn(*intent, why.clone()));
            }
            Effect::Seized { account, asset, paid, .. } => {
                note(account, Happened::Seized(asset.clone(), *paid))
            }
            Effect::Covered { account, insurance, socialised } => {
                note(account, Happened::Covered(*insurance, *socialised));
            }
            Effect::Deleveraged { account, against, .. } => {
                note(account, Happened::Deleveraged(against.clone()));
            }
            Effect::Validity { feed, to, .. } => self.doubt(feed, *to, at),
            Effect::Parameters { decision, endangered } => self.decisions.push(Decided {
                sequence,
                at,
                decision: (**decision).clone(),
                endangered: endangered.len(),
                readings: readings(course.engine.state()),
            }),
            _ => {}
        }
    }

    fn doubt(&mut self, feed: &Asset, to: Validity, at: Timestamp) {
        let open = self.doubts.iter_mut().find(|(asset, _, _, end)| asset == feed && end.is_none());
        if let Some((.., end)) = open {
            *end = Some(at);
        }
        if to != Validity::Normal {
            self.doubts.push((feed.clone(), to, at, None));
        }
    }

    fn compare(&mut self, course: &Course, now: Timestamp) {
        if self.compared.last().is_some_and(|last| last.at.seconds_until(now) < self.every) {
            return;
        }
        let (study, units) = (course.engine.book_study(), &course.engine.rules().params.units);
        let one =
            |preset: &&'static str| Some((*preset, methods::asked(preset, (&study, units), None).ok()?));
        let methods: Vec<_> = COMPARED.iter().filter_map(one).collect();
        if methods.iter().all(|(_, asked)| asked.own == [Ticks(0); 2]) {
            return;
        }
        self.compared.push(Compared { at: now, methods });
        if self.compared.len() == 2 * COMPARISONS {
            let mut place = 0;
            self.compared.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.every *= 2.0;
        }
    }

    /// Different liquidations that were asked for.
    pub(crate) fn intents(&self) -> usize {
        let intent = |event: &Event| match event.what {
            Happened::Liquidate(intent, ..) => Some(intent),
            _ => None,
        };
        self.events.iter().filter_map(intent).collect::<BTreeSet<u64>>().len()
    }

    /// How many events are of a kind.
    pub(crate) fn count(&self, of: impl Fn(&Happened) -> bool) -> usize {
        self.events.iter().filter(|event| of(&event.what)).count()
    }

    /// How many times accounts came to stand so.
    pub(crate) fn standings(&self) -> BTreeMap<Standing, usize> {
        let mut counts = BTreeMap::new();
        for event in &self.events {
            if let Happened::Stands(to, _) = event.what {
                *counts.entry(to).or_default() += 1;
            }
        }
        counts
    }

    /// What losses were covered.
    pub(crate) fn coverage(&mut self) -> Vec<Covered> {
        std::mem::take(&mut self.coverage).found()
    }
}
