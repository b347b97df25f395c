//! The way in: one order for all events, bounded, with market data that gives way.
//!
//! **The one idea:** what waits is bounded, and who may wait depends on what it is. Positions and money are refused at once when
//! there is no room, and never dropped after. Market data that finds the queue half full waits beside it, the latest of each
//! kind only.

use super::record::{self, By};
use super::running::{Applied, Failure};
use plimsoll_engine::live::{Body, Event, Key};
use plimsoll_journal::{Submitter, Ticket};
use plimsoll_types::Timestamp;
use std::collections::BTreeMap;
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

#[derive(Default)]
struct Inner {
    to_engine: Option<Sender<Pending>>,
    /// Waits for room, the latest of each kind.
    latest: BTreeMap<Kind, Entry>,
}

/// The way in.
pub struct Ingest {
    submitter: Submitter,
    inner: Mutex<Inner>,
    /// Events between the queue's two ends.
    waiting: AtomicUsize,
    limit: usize,
    conflated: AtomicU64,
    /// Taken since market data that waits was last let in.
    passed: AtomicUsize,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ingest {{ waiting: {}, limit: {} }}", self.waiting(), self.limit)
    }
}

impl Ingest {
    pub(super) fn new(submitter: Submitter, to_engine: Sender<Pending>, limit: usize) -> Self {
        let inner = Inner { to_engine: Some(to_engine), latest: BTreeMap::new() };
        let (waiting, conflated, passed) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicUsize::new(0));
        Self { submitter, inner: Mutex::new(inner), waiting, limit, conflated, passed }
    }

    /// Events that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
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
        let waiting = self.waiting();
        if let Some(kind) =
            kind(&entry.body).filter(|_| waiting >= self.limit / 2 || !inner.latest.is_empty())
        {
            if inner.to_engine.is_none() {
                return Err(Busy::Stopped("the host is being stopped".to_owned()));
            }
            if inner.latest.len() >= self.limit && !inner.latest.contains_key(&kind) {
                return Err(Busy::Full { waiting: waiting + inner.latest.len() });
            }
            if inner.latest.insert(kind, entry).is_some() {
                self.conflated.fetch_add(1, Ordering::Relaxed);
            }
            return Ok(false);
        }
        if waiting >= self.limit {
            return Err(Busy::Full { waiting });
        }
        self.send(&inner, entry, reply)?;
        Ok(true)
    }

    /// In the order of the lock: of the journal and of the engine alike.
    fn send(&self, inner: &Inner, entry: Entry, reply: Option<Reply>) -> Result<(), Busy> {
        let Some(to_engine) = &inner.to_engine else {
            return Err(Busy::Stopped("the host is being stopped".to_owned()));
        };
        let at = match entry.at {
            At::Now => super::now(),
            At::Given(at) => at,
        };
        let event = Event { at, key: entry.key, body: entry.body };
        let written = record::write(&event, entry.by.as_ref());
        let (version, bytes) = written.map_err(|e| Busy::Unfit(e.to_string()))?;
        // Whoever hands in may be one of few threads: it never waits for the disk.
        let ticket = self.submitter.try_submit(version, &bytes).map_err(|e| match e {
            plimsoll_journal::Error::TooLong { .. } => Busy::Unfit(e.to_string()),
            plimsoll_journal::Error::QueueFull { .. } => Busy::Full { waiting: self.waiting() },
            _ => Busy::Stopped(e.to_string()),
        })?;
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let sent = to_engine.send(Pending { event, ticket, reply });
        sent.map_err(|_| Busy::Stopped("the engine has stopped".to_owned()))
    }

    /// The engine has taken one: there may be room for what waited beside the queue. Where there is none, since others take it all, what
    /// waits is let in beyond the limit after a quarter of it has passed: prices are what liquidations follow, and no flood of anything else
    /// keeps them out.
    pub(super) fn taken(&self) {
        let waiting = self.waiting.fetch_sub(1, Ordering::Relaxed) - 1;
        let passed = self.passed.fetch_add(1, Ordering::Relaxed) + 1;
        if waiting > self.limit / 4 && passed < self.limit / 4 {
            return;
        }
        self.passed.store(0, Ordering::Relaxed);
        let mut inner = self.lock();
        for _ in 0..(self.limit / 4).max(1) {
            let Some((kind, waits)) = inner.latest.pop_first() else { return };
            match self.send(&inner, waits.clone(), None) {
                // One that has no form gives way to the next.
                Ok(()) | Err(Busy::Unfit(_)) => {}
                Err(_) => {
                    inner.latest.insert(kind, waits);
                    return;
                }
            }
        }
    }

    /// Nothing more is accepted. What was accepted is still applied.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        while let Some((_, waits)) = inner.latest.pop_first() {
            while let Err(Busy::Full { .. }) = self.send(&inner, waits.clone(), None) {
                // The journal takes a group at a time, whoever waits here.
                std::thread::sleep(Duration::from_millis(1));
            }
        }
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
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
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
            assert!(before <= 2 * LIMIT, "{before} others went before the price");
        }
        assert!(most <= LIMIT + LIMIT / 4, "{most} wait");
        ingest.close();
    }
}
