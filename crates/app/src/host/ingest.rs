//! The way in: one order for all events, bounded, with market data that goes first and gives way to itself.
//!
//! **The one idea:** what waits is bounded, and who may wait depends on what it is. Few events are on their way through the journal to the
//! engine at once, so whatever goes next is applied soon. The others queue before that in their order, are refused at once when there is no
//! room, and never dropped after. Once the queue is long market data goes before it, the latest of each kind only: prices are what liquidations
//! follow, and no flood of anything else keeps them waiting.

use super::record::{self, By};
use super::running::{Applied, Failure};
use plimsoll_engine::live::{Body, Event, Key};
use plimsoll_journal::{Submitter, Ticket};
use plimsoll_types::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Who waits for what follows.
pub type Reply = Box<dyn FnOnce(Result<Arc<Applied>, Failure>) + Send>;

/// When an event is said to have been accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// By the host's clock.
    Now,
    /// By a clock of the caller's: of a demonstration, or of recorded data.
    Given(Timestamp),
}

/// An event as it is handed in.
#[derive(Clone, PartialEq, Debug)]
pub struct Entry {
    /// When.
    pub at: At,
    /// By what it is known again.
    pub key: Option<Key>,
    /// Who hands it in, where that was proved.
    pub by: Option<By>,
    /// What happened.
    pub body: Body,
}

impl Entry {
    /// Of nobody in particular.
    pub fn new(at: At, key: Option<Key>, body: Body) -> Self {
        Self { at, key, by: None, body }
    }
}

/// Why an event was not accepted. It is in no journal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Busy {
    /// Too many wait.
    #[error("{waiting} events wait: try again")]
    Full {
        /// How many.
        waiting: usize,
    },
    /// The journal failed, or the host is being stopped.
    #[error("{0}")]
    Stopped(String),
    /// The event has no form, or is longer than a record may be.
    #[error("{0}")]
    Unfit(String),
}

/// An event on its way from the journal to the engine.
pub(super) struct Pending {
    pub(super) event: Event,
    pub(super) ticket: Ticket,
    pub(super) reply: Option<Reply>,
}

/// Market data of which only the latest counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Kind(&'static str, String, String);

/// Events on their way through the journal to the engine at once, at most: what a price waits for in a flood.
const WINDOW_MAX: usize = 256;

/// An event as the journal takes it.
struct Ready {
    event: Event,
    by: Option<By>,
    /// Whether it happens when its turn comes.
    now: bool,
    record: (u8, Vec<u8>),
    reply: Option<Reply>,
}

impl Ready {
    fn new(Entry { at, key, by, body }: Entry, reply: Option<Reply>) -> Result<Self, Busy> {
        let (at, now) = match at {
            At::Now => (super::now(), true),
            At::Given(at) => (at, false),
        };
        let event = Event { at, key, body };
        let record = record::write(&event, by.as_ref()).map_err(|e| Busy::Unfit(e.to_string()))?;
        Ok(Self { event, by, now, record, reply })
    }

    /// What has waited happens now.
    fn stamped(mut self) -> Self {
        if self.now {
            self.event.at = super::now();
            // It could be written before.
            self.record = record::write(&self.event, self.by.as_ref()).unwrap_or(self.record);
        }
        self
    }
}

#[derive(Default)]
struct Inner {
    to_engine: Option<Sender<Pending>>,
    /// In order.
    queue: VecDeque<Ready>,
    /// Market data of a queue that is long, the latest of each kind; and the kinds in the order they came in.
    latest: BTreeMap<Kind, Entry>,
    kinds: VecDeque<Kind>,
}

impl Inner {
    fn held(&self) -> usize {
        self.queue.len() + self.latest.len()
    }

    fn next_latest(&mut self) -> Option<(Kind, Entry)> {
        let kind = self.kinds.pop_front()?;
        let entry = self.latest.remove(&kind)?;
        Some((kind, entry))
    }
}

/// The way in.
pub struct Ingest {
    submitter: Submitter,
    inner: Mutex<Inner>,
    /// Events on their way through the journal to the engine.
    flying: AtomicUsize,
    /// Events that wait for their turn, as of the last change.
    held: AtomicUsize,
    window: usize,
    limit: usize,
    conflated: AtomicU64,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ingest {{ waiting: {}, limit: {} }}", self.waiting(), self.limit)
    }
}

impl Ingest {
    pub(super) fn new(submitter: Submitter, to_engine: Sender<Pending>, limit: usize) -> Self {
        let inner = Inner { to_engine: Some(to_engine), ..Inner::default() };
        Self {
            submitter,
            inner: Mutex::new(inner),
            flying: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            window: (limit / 4).clamp(1, WINDOW_MAX),
            limit,
            conflated: AtomicU64::new(0),
        }
    }

    /// Events that were accepted and are not applied.
    pub fn waiting(&self) -> usize {
        self.flying.load(Ordering::SeqCst) + self.held.load(Ordering::SeqCst)
    }

    /// Market data that gave way to later of its kind.
    pub fn conflated(&self) -> u64 {
        self.conflated.load(Ordering::Relaxed)
    }

    /// Hands an event in; whoever asks is answered when it was applied. Market data that must wait is not answered: `false`.
    ///
    /// # Errors
    /// [`Busy`]: the event was not accepted and nobody will be answered.
    pub fn submit(&self, entry: Entry, reply: Option<Reply>) -> Result<bool, Busy> {
        let mut inner = self.lock();
        if inner.to_engine.is_none() {
            return Err(Busy::Stopped("the host is being stopped".to_owned()));
        }
        let waiting = self.flying.load(Ordering::SeqCst) + inner.queue.len();
        let long = waiting >= self.limit / 8 || !inner.latest.is_empty();
        let latest = kind(&entry.body).filter(|_| long);
        let answered = latest.is_none();
        if let Some(kind) = latest {
            self.supersede(&mut inner, kind, entry)?;
        } else if waiting >= self.limit {
            return Err(Busy::Full { waiting });
        } else if inner.held() == 0 && self.has_room() {
            return self.send(&inner, Ready::new(entry, reply)?).map(|()| true).map_err(|(busy, _)| busy);
        } else {
            inner.queue.push_back(Ready::new(entry, reply)?);
        }
        self.held.store(inner.held(), Ordering::SeqCst);
        // The engine may have taken the last before it could see that something waits.
        if self.flying.load(Ordering::SeqCst) <= self.window / 2 {
            self.refill(&mut inner);
        }
        Ok(answered)
    }

    /// Market data waits in the place of what waits of its kind.
    fn supersede(&self, inner: &mut Inner, kind: Kind, entry: Entry) -> Result<(), Busy> {
        if inner.latest.contains_key(&kind) {
            self.conflated.fetch_add(1, Ordering::Relaxed);
        } else if inner.latest.len() < self.limit {
            inner.kinds.push_back(kind.clone());
        } else {
            return Err(Busy::Full { waiting: self.waiting() });
        }
        inner.latest.insert(kind, entry);
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.flying.load(Ordering::SeqCst) < self.window
    }

    /// In the order of the lock: of the journal and of the engine alike. What the journal has no room for is given back.
    fn send(&self, inner: &Inner, ready: Ready) -> Result<(), (Busy, Option<Box<Ready>>)> {
        let Some(to_engine) = &inner.to_engine else {
            return Err((Busy::Stopped("the host is being stopped".to_owned()), Some(Box::new(ready))));
        };
        // Whoever hands in may be one of few threads: it never waits for the disk.
        let ticket = match self.submitter.try_submit(ready.record.0, &ready.record.1) {
            Ok(ticket) => ticket,
            Err(error) => {
                let busy = match error {
                    plimsoll_journal::Error::TooLong { .. } => Busy::Unfit(error.to_string()),
                    plimsoll_journal::Error::QueueFull { .. } => Busy::Full { waiting: self.waiting() },
                    _ => Busy::Stopped(error.to_string()),
                };
                return Err((busy, Some(Box::new(ready))));
            }
        };
        self.flying.fetch_add(1, Ordering::SeqCst);
        let sent = to_engine.send(Pending { event: ready.event, ticket, reply: ready.reply });
        sent.map_err(|_| (Busy::Stopped("the engine has stopped".to_owned()), None))
    }

    /// The engine has taken one: there may be room for what waits.
    pub(super) fn taken(&self) {
        let flying = self.flying.fetch_sub(1, Ordering::SeqCst) - 1;
        if flying <= self.window / 2 && self.held.load(Ordering::SeqCst) > 0 {
            self.refill(&mut self.lock());
        }
    }

    /// Lets in what waits, as far as there is room: market data first, but for no more than half of it while others wait.
    fn refill(&self, inner: &mut Inner) {
        let mut first = self.window / 4 + 1;
        while self.has_room() && self.next(inner, first > 0) {
            first = first.saturating_sub(1);
        }
        self.held.store(inner.held(), Ordering::SeqCst);
    }

    /// Lets one in, of market data where it goes first or nothing else waits; whether there was one, and the journal had room.
    fn next(&self, inner: &mut Inner, first: bool) -> bool {
        if (first || inner.queue.is_empty())
            && let Some((kind, entry)) = inner.next_latest()
        {
            return self.let_in_latest(inner, kind, entry);
        }
        let next = inner.queue.pop_front();
        next.is_some_and(|ready| self.let_in(inner, ready.stamped()))
    }

    /// Whether the journal had room.
    fn let_in_latest(&self, inner: &mut Inner, kind: Kind, entry: Entry) -> bool {
        // One that has no form gives way to the next.
        let Ok(ready) = Ready::new(entry.clone(), None) else { return true };
        match self.send(inner, ready) {
            Err((Busy::Full { .. }, _)) => {
                inner.kinds.push_front(kind.clone());
                inner.latest.insert(kind, entry);
                false
            }
            _ => true,
        }
    }

    /// Whether the journal had room.
    fn let_in(&self, inner: &mut Inner, ready: Ready) -> bool {
        match self.send(inner, ready) {
            Err((Busy::Full { .. }, Some(ready))) => {
                inner.queue.push_front(*ready);
                false
            }
            Err((busy, ready)) => {
                if let Some(reply) = ready.and_then(|ready| ready.reply) {
                    reply(Err(Failure(busy.to_string())));
                }
                true
            }
            Ok(()) => true,
        }
    }

    /// Nothing more is accepted. What was accepted is still applied.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        while inner.held() > 0 {
            if !self.next(&mut inner, true) {
                // The journal takes a group at a time, whoever waits here.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        self.held.store(0, Ordering::SeqCst);
        inner.to_engine = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it is held; the queue is whole either way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of market data is the same again.
fn kind(body: &Body) -> Option<Kind> {
    let named = |what, a: &dyn ToString, b: &str| Some(Kind(what, a.to_string(), b.to_owned()));
    match body {
        Body::Clock => named("clock", &"", ""),
        Body::Price { asset, source, .. } => named("price", asset, source),
        Body::Chain { underlying, .. } => named("chain", underlying, ""),
        Body::OwnMarket { asset, .. } => named("own_market", asset, ""),
        Body::Depth { underlying, venue, .. } => named("depth", underlying, venue),
        Body::Heartbeat { asset, source, .. } => named("heartbeat", asset, source),
        Body::OpenInterest { underlying, .. } => named("open_interest", underlying, ""),
        Body::Pool { .. } => named("pool", &"", ""),
        Body::Sentiment { .. } => named("sentiment", &"", ""),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]
mod tests {
    use super::*;
    use plimsoll_engine::live::feed::{Observation, Stated};
    use plimsoll_journal::sim::SimDisk;
    use plimsoll_journal::{Grouping, Journal, Options, Writer};
    use plimsoll_types::Asset;
    use std::sync::mpsc::channel;

    /// P7: who floods with positions takes every place that is free; a price is let in all the same.
    #[test]
    fn f40_market_data_is_not_starved_by_a_queue_that_stays_full() {
        const LIMIT: usize = 64;
        let disk = SimDisk::new(1);
        let journal = Journal::create(
            Box::new(disk),
            Options { segment_bytes: 1 << 20, group_bytes_max: 64 << 10, ..Options::new("flood") },
        )
        .unwrap();
        let writer = Writer::start(journal, Grouping::default(), |_| {}).unwrap();
        let (to_engine, engine) = channel();
        let ingest = Ingest::new(writer.submitter(), to_engine, LIMIT);
        let mut number = 0;
        let mut open = || {
            number += 1;
            let body = Body::Open { account: format!("a{number}").parse().unwrap() };
            ingest.submit(Entry::new(At::Now, None, body), None)
        };
        while open().is_ok() {}
        let seen = Observation {
            sequence: 1,
            time: Timestamp::from_seconds(0),
            price: Stated { mantissa: 1, exponent: 0 },
            confidence: None,
            valid_until: None,
        };
        let body = Body::Price { asset: Asset::new("ETH").unwrap(), source: "a".to_owned(), seen };
        assert_eq!(ingest.submit(Entry::new(At::Now, None, body), None), Ok(false), "it waits beside");
        let (mut before, mut most) = (0, 0);
        loop {
            let Pending { event, ticket, .. } = engine.recv().unwrap();
            ticket.wait().unwrap();
            if matches!(event.body, Body::Price { .. }) {
                break;
            }
            before += 1;
            ingest.taken();
            // Whoever floods is there at once.
            while open().is_ok() {}
            most = most.max(ingest.waiting());
            assert!(before <= LIMIT / 4, "{before} others went before the price");
        }
        assert!(most <= LIMIT + 1, "{most} wait");
        ingest.close();
        // What was accepted is applied, in its order.
        let mut opened = Vec::new();
        while let Ok(Pending { event, ticket, .. }) = engine.try_recv() {
            ticket.wait().unwrap();
            let Body::Open { account } = event.body else { panic!("{event:?}") };
            opened.push(account.to_string()[1..].parse::<u64>().unwrap());
        }
        assert!(opened.len() > LIMIT / 2 && opened.is_sorted(), "{opened:?}");
    }
}
