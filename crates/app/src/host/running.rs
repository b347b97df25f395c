//! The engine's own thread, and the one that saves.

use super::config::{JournalConfig, ServerConfig};
use super::ingest::{Ingest, Pending};
use super::moment;
use super::store::{Course, Recovered, Remembered, Store};
use crate::wire;
use anyhow::Context;
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Effect, Event};
use plimsoll_journal::{Grouping, Journal, Writer};
use plimsoll_types::Timestamp;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

/// What followed from an event.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Its place in the journal.
    pub sequence: u64,
    /// The engine's time after it.
    pub at: Timestamp,
    /// What followed.
    pub effects: Vec<Effect>,
    /// The version of the parameters after it.
    pub parameters: u64,
    /// The market it was valued on.
    pub snapshot: Timestamp,
    /// The worst of all feeds after it.
    pub validity: Validity,
}

/// Why an event that was accepted for the journal was not applied: the host has failed, and will stop.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

/// Hears of everything that follows, in order, on the engine's thread: it must not wait.
pub type Listener = Box<dyn Fn(&Event, &Arc<Applied>) + Send + Sync>;

/// What readers share with the engine's thread.
#[derive(Debug)]
pub struct Shared {
    course: RwLock<Course>,
    /// The last record applied.
    applied: AtomicU64,
    /// The last record of which a snapshot was saved.
    saved: AtomicU64,
    /// Whether one is being saved.
    saving: AtomicBool,
    failed: OnceLock<Failure>,
}

impl Shared {
    /// Engine, charter and chronicle as they stand. The engine waits while it is held.
    pub fn course(&self) -> RwLockReadGuard<'_, Course> {
        // A panic of the engine's thread is a failure that everybody is told of: nobody answers from what it left.
        self.course.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last record applied.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// The last record of which a snapshot was saved.
    pub fn saved(&self) -> u64 {
        self.saved.load(Ordering::Acquire)
    }

    /// Nothing goes on: the first reason is the one that counts.
    fn fail(&self, failure: &Failure) {
        if self.failed.set(failure.clone()).is_ok() {
            tracing::error!(%failure, "stopped accepting");
        }
    }

    /// Why nothing goes on, if so.
    pub fn failed(&self) -> Option<&Failure> {
        self.failed.get()
    }
}

/// An engine kept running.
pub struct Host {
    /// The way in.
    pub ingest: Arc<Ingest>,
    /// What readers see.
    pub shared: Arc<Shared>,
    store: Store,
    config: JournalConfig,
    engine: JoinHandle<()>,
    saver: JoinHandle<()>,
    writer: Writer,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Host {{ applied: {} }}", self.shared.applied())
    }
}

impl Host {
    /// Starts the threads. Every listener hears of every event.
    ///
    /// # Errors
    /// When a thread does not start.
    pub fn start(
        (store, recovered): (Store, Recovered),
        (journal, server): (&JournalConfig, &ServerConfig),
        listeners: Vec<Listener>,
    ) -> anyhow::Result<Self> {
        let Recovered { journal: log, course, snapshot, .. } = recovered;
        let shared = Arc::new(Shared {
            applied: AtomicU64::new(course.sequence),
            saved: AtomicU64::new(snapshot.unwrap_or_default()),
            saving: AtomicBool::new(false),
            course: RwLock::new(course),
            failed: OnceLock::new(),
        });
        let grouping = Grouping { window: journal.window(), ..Grouping::default() };
        let of_journal = Arc::clone(&shared);
        let writer = Writer::start(log, grouping, move |settled| {
            if let Err(error) = settled {
                of_journal.fail(&Failure(error.to_string()));
            }
        })?;
        let (to_engine, from_ingest) = channel();
        let ingest = Arc::new(Ingest::new(writer.submitter(), to_engine, server.queue));
        let (to_saver, from_engine) = sync_channel(1);
        let stepper = Stepper {
            shared: Arc::clone(&shared),
            ingest: Arc::clone(&ingest),
            listeners,
            to_saver,
            every: journal.snapshot_events,
        };
        let engine = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || stepper.run(&from_ingest))
            .context("the engine's thread")?;
        let saver = saver((store.clone(), journal.clone()), Arc::clone(&shared), from_engine)?;
        Ok(Self { ingest, shared, store, config: journal.clone(), engine, saver, writer })
    }

    /// Accepts no more, applies what was accepted, saves a snapshot, and gives the journal back.
    ///
    /// # Errors
    /// The failure of the journal or the engine; what the disk says of the snapshot.
    pub fn stop(self) -> anyhow::Result<Journal> {
        self.ingest.close();
        let joined = self.engine.join().and_then(|()| self.saver.join());
        let journal = self.writer.close();
        if let Some(failed) = self.shared.failed() {
            anyhow::bail!("{failed}");
        }
        joined.map_err(|_| anyhow::anyhow!("a thread of the engine panicked"))?;
        let course = self.shared.course();
        if course.sequence > self.shared.saved() {
            self.store.save(&course.remembered())?;
            prune(&self.store, &self.config);
        }
        Ok(journal?)
    }
}

/// The engine's thread.
struct Stepper {
    shared: Arc<Shared>,
    ingest: Arc<Ingest>,
    listeners: Vec<Listener>,
    to_saver: SyncSender<Remembered>,
    every: u64,
}

impl Stepper {
    fn run(&self, from: &Receiver<Pending>) {
        let _failure = FailOnPanic(self);
        let mut since = 0;
        while let Ok(Pending { event, ticket, reply }) = from.recv() {
            let known = self.shared.failed.get().cloned().map_or(Ok(()), Err);
            let done = known.and_then(|()| {
                let sequence = ticket.wait().map_err(|e| Failure(e.to_string()))?;
                self.apply(sequence, &event)
            });
            self.ingest.taken();
            match &done {
                Ok(applied) => self.listeners.iter().for_each(|listener| listener(&event, applied)),
                Err(failure) => self.fail(failure),
            }
            let sound = done.is_ok();
            if let Some(reply) = reply {
                reply(done);
            }
            since += 1;
            // What a failed step left behind is nothing to go on from.
            if sound && self.every > 0 && since >= self.every && self.offer() {
                since = 0;
            }
        }
    }

    fn apply(&self, sequence: u64, event: &Event) -> Result<Arc<Applied>, Failure> {
        let begun = moment();
        let mut course = self.shared.course.write().unwrap_or_else(PoisonError::into_inner);
        let done = course.step(sequence, event);
        let effects = done.map_err(|e| Failure(format!("record {sequence}: {e}")))?;
        let state = course.engine.state();
        let (at, parameters) = (state.now, state.policy.board().version());
        let (snapshot, validity) = (course.engine.valued().surface.as_of, course.validity());
        drop(course);
        self.shared.applied.store(sequence, Ordering::Release);
        metrics::histogram!("plimsoll_step_seconds", "event" => wire::kind(&event.body))
            .record(begun.elapsed().as_secs_f64());
        Ok(Arc::new(Applied { sequence, at, effects, parameters, snapshot, validity }))
    }

    fn fail(&self, failure: &Failure) {
        self.shared.fail(failure);
        self.ingest.close();
    }

    /// Hands a copy to whoever saves, unless the last is still being saved.
    fn offer(&self) -> bool {
        if self.shared.saving.swap(true, Ordering::AcqRel) {
            return false;
        }
        let copy = self.shared.course().remembered();
        self.to_saver.send(copy).is_ok()
    }
}

/// Says that the engine has failed when its thread panics.
struct FailOnPanic<'a>(&'a Stepper);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&Failure("the engine panicked".to_owned()));
        }
    }
}

fn saver(
    (store, config): (Store, JournalConfig),
    shared: Arc<Shared>,
    from: Receiver<Remembered>,
) -> anyhow::Result<JoinHandle<()>> {
    let run = move || {
        for of in from {
            match store.save(&of) {
                Ok(anchor) => {
                    shared.saved.store(anchor.sequence, Ordering::Release);
                    prune(&store, &config);
                }
                // What was saved before stays; the journal is the truth.
                Err(error) => tracing::error!(%error, "no snapshot"),
            }
            shared.saving.store(false, Ordering::Release);
        }
    };
    std::thread::Builder::new().name("snapshots".to_owned()).spawn(run).context("the thread of snapshots")
}

/// Removes what need not be kept. Where it cannot, everything stays.
fn prune(store: &Store, config: &JournalConfig) {
    let Some(before) = config.forgotten_before(super::now()) else { return };
    match store.prune(before) {
        Ok(0) => {}
        Ok(segments) => {
            metrics::counter!("plimsoll_journal_pruned_segments_total").increment(segments);
            tracing::info!(segments, %before, "the journal was pruned");
        }
        Err(error) => tracing::error!("the journal was not pruned: {error:#}"),
    }
}
