//! The committer: many threads submit, one writes and syncs, and every ticket is answered after its group is durable.
//!
//! **The one idea:** a record's sequence is its place in the queue, so a ticket is a number, and what is durable is one
//! number too. Nothing is allocated per record.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::chain::Anchor;
use crate::error::{Error, Result};
use crate::group::RECORD_HEADER;
use crate::journal::Journal;
use crate::spare::Preparer;

/// When a group is closed, and how much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// How long the first record of a group waits for others. Zero: a group is whatever came while the one before was
    /// being synced, which is the quickest answer.
    pub window: Duration,
    /// A group with this many records waits no longer.
    pub records: usize,
    /// The most records that wait while a group is written.
    pub queue_records: usize,
}

impl Default for Grouping {
    /// No window, 5,000 records, a queue of 20,000.
    fn default() -> Self {
        Self { window: Duration::ZERO, records: 5_000, queue_records: 20_000 }
    }
}

#[derive(Default)]
struct Queue {
    payloads: Vec<u8>,
    /// Version and length of each record in `payloads`.
    records: Vec<(u8, usize)>,
    /// Sequence of the next record to be submitted.
    next: u64,
    /// The last durable record.
    durable: u64,
    failed: Option<Error>,
    /// A record found no room: the group being gathered waits no longer.
    pressed: bool,
    closing: bool,
}

impl Queue {
    fn bytes(&self) -> usize {
        self.payloads.len() + self.records.len() * RECORD_HEADER
    }
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something was submitted, or closing began.
    submitted: Condvar,
    /// The queue was taken: there is room.
    taken: Condvar,
    /// A group became durable, or the journal failed.
    settled: Condvar,
    grouping: Grouping,
    /// Bytes that one group may hold: the queue never holds more than one group.
    bytes_max: usize,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds the lock; the queue is whole either way.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn room(&self, queue: &Queue, payload: usize) -> bool {
        queue.records.len() < self.grouping.queue_records
            && queue.bytes() + RECORD_HEADER + payload <= self.bytes_max
    }

    fn press(&self, queue: &mut Queue) {
        queue.pressed = true;
        self.submitted.notify_one();
    }

    fn refused(&self, queue: &Queue, payload: usize) -> Result<()> {
        if let Some(first) = &queue.failed {
            return Err(Error::Poisoned { first: Box::new(first.clone()) });
        }
        if queue.closing {
            return Err(Error::Closed);
        }
        if payload + RECORD_HEADER > self.bytes_max {
            let limit = self.bytes_max.saturating_sub(RECORD_HEADER) as u64;
            return Err(Error::TooLong { bytes: payload as u64, limit });
        }
        Ok(())
    }
}

/// Submits records to a [`Writer`]; cloned for every thread that does.
#[derive(Clone)]
pub struct Submitter(Arc<Shared>);

impl std::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Submitter {{ waiting: {} }}", self.0.lock().records.len())
    }
}

impl Submitter {
    /// Submits a record, waiting while the queue is full.
    ///
    /// # Errors
    /// [`Error::Poisoned`], [`Error::Closed`], [`Error::TooLong`].
    pub fn submit(&self, version: u8, payload: &[u8]) -> Result<Ticket> {
        let mut queue = self.0.lock();
        loop {
            self.0.refused(&queue, payload.len())?;
            if self.0.room(&queue, payload.len()) {
                return Ok(self.push(&mut queue, version, payload));
            }
            self.0.press(&mut queue);
            queue = self.0.taken.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Submits a record, or refuses at once when the queue is full.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::Poisoned`], [`Error::Closed`], [`Error::TooLong`].
    pub fn try_submit(&self, version: u8, payload: &[u8]) -> Result<Ticket> {
        let mut queue = self.0.lock();
        self.0.refused(&queue, payload.len())?;
        if self.0.room(&queue, payload.len()) {
            return Ok(self.push(&mut queue, version, payload));
        }
        self.0.press(&mut queue);
        Err(Error::QueueFull { records: queue.records.len() as u64, bytes: queue.bytes() as u64 })
    }

    fn push(&self, queue: &mut Queue, version: u8, payload: &[u8]) -> Ticket {
        queue.payloads.extend_from_slice(payload);
        queue.records.push((version, payload.len()));
        let sequence = queue.next;
        queue.next += 1;
        // The committer sleeps only on an empty queue or inside its window.
        if queue.records.len() == 1 || queue.records.len() >= self.0.grouping.records {
            self.0.submitted.notify_one();
        }
        Ticket { sequence, shared: Arc::clone(&self.0) }
    }

    /// The last durable record.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.0.lock().durable
    }
}

/// The promise of an answer for one record.
#[derive(Clone)]
pub struct Ticket {
    sequence: u64,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket {{ sequence: {} }}", self.sequence)
    }
}

impl Ticket {
    /// The sequence the record has, once it is durable.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Waits until the record is durable, and says its sequence.
    ///
    /// # Errors
    /// [`Error::Poisoned`] when the journal failed before: the record is not acknowledged. It may or may not be found
    /// when the journal is opened again.
    pub fn wait(&self) -> Result<u64> {
        let mut queue = self.shared.lock();
        loop {
            match self.answer(&queue) {
                Some(answer) => return answer,
                None => queue = self.shared.settled.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// The answer, if there is one yet.
    #[must_use]
    pub fn poll(&self) -> Option<Result<u64>> {
        self.answer(&self.shared.lock())
    }

    fn answer(&self, queue: &Queue) -> Option<Result<u64>> {
        if queue.durable >= self.sequence {
            return Some(Ok(self.sequence));
        }
        let poisoned = |first: &Error| Err(Error::Poisoned { first: Box::new(first.clone()) });
        queue.failed.as_ref().map(poisoned)
    }
}

/// Owns a journal and the thread that commits to it.
pub struct Writer {
    submitter: Submitter,
    thread: Option<JoinHandle<Journal>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer {{ durable: {} }}", self.submitter.durable())
    }
}

impl Writer {
    /// Starts the committer. After every group, `settled` is called on its thread with the durable end, or once with the
    /// error that ended it: the bridge to whatever waits otherwise than on a [`Ticket`].
    ///
    /// ```
    /// use plimsoll_journal::{Grouping, Journal, Options, Writer, sim::SimDisk};
    /// let journal = Journal::create(Box::new(SimDisk::new(1)), Options::new("test"))?;
    /// let writer = Writer::start(journal, Grouping::default(), |_| {})?;
    /// let ticket = writer.submitter().submit(0, b"opaque")?;
    /// assert_eq!(ticket.wait()?, 1);
    /// assert_eq!(writer.close()?.durable().sequence, 1);
    /// # Ok::<(), plimsoll_journal::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Option`]; [`Error::Poisoned`] of the journal; [`Error::Io`] when no thread starts.
    pub fn start(
        journal: Journal,
        grouping: Grouping,
        settled: impl FnMut(&Result<Anchor>) + Send + 'static,
    ) -> Result<Self> {
        journal.live()?;
        if grouping.records == 0 || grouping.queue_records == 0 {
            return Err(Error::Option { name: "records", value: 0, why: "a group has at least one record" });
        }
        let durable = journal.durable().sequence;
        let next = durable + 1;
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { durable, next, ..Queue::default() }),
            submitted: Condvar::new(),
            taken: Condvar::new(),
            settled: Condvar::new(),
            grouping,
            bytes_max: journal.group_max(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                let _answers = AnswerOnPanic(Arc::clone(&of_thread));
                run(journal, &of_thread, settled)
            })
            .map_err(|e| Error::io("start", "the committer", 0, &e))?;
        Ok(Self { submitter: Submitter(shared), thread: Some(thread) })
    }

    /// A way to submit, for another thread.
    #[must_use]
    pub fn submitter(&self) -> Submitter {
        self.submitter.clone()
    }

    /// Refuses new records, commits those that wait, and gives the journal back.
    ///
    /// # Errors
    /// [`Error::Poisoned`] with the first error of the journal.
    pub fn close(mut self) -> Result<Journal> {
        let journal = self.stop().ok_or(Error::Closed)?;
        journal.live()?;
        Ok(journal)
    }

    fn stop(&mut self) -> Option<Journal> {
        let shared = &self.submitter.0;
        shared.lock().closing = true;
        shared.submitted.notify_all();
        shared.taken.notify_all();
        self.thread.take()?.join().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Answers every ticket when the committer itself panics (in `settled`), so that nobody waits for ever.
struct AnswerOnPanic(Arc<Shared>);

impl Drop for AnswerOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.lock().failed.get_or_insert(Error::Closed);
            self.0.settled.notify_all();
            self.0.taken.notify_all();
        }
    }
}

/// Keeps the next segment allocated, on a thread of its own, for as long as it is sent wishes.
fn prepare_ahead(preparer: Preparer) -> Option<(SyncSender<()>, JoinHandle<()>)> {
    let (wish, wishes) = sync_channel(1);
    let thread = std::thread::Builder::new().name("journal-spare".to_owned()).spawn(move || {
        while wishes.recv().is_ok() {
            // A failure is met again, and then counts, when the segment is needed.
            let _ = preparer.prepare();
        }
    });
    Some((wish, thread.ok()?))
}

/// Commits until closed or failed, while the next segment is prepared.
fn run(journal: Journal, shared: &Shared, settled: impl FnMut(&Result<Anchor>)) -> Journal {
    let ahead = prepare_ahead(journal.preparer());
    let journal = commit_all(journal, shared, settled, ahead.as_ref().map(|(wish, _)| wish));
    if let Some((wish, thread)) = ahead {
        drop(wish);
        let _ = thread.join();
    }
    journal
}

/// Takes what waits, commits it, answers; until closed and empty, or failed.
fn commit_all(
    mut journal: Journal,
    shared: &Shared,
    mut settled: impl FnMut(&Result<Anchor>),
    wish: Option<&SyncSender<()>>,
) -> Journal {
    let (mut payloads, mut records) = (Vec::new(), Vec::new());
    while take(shared, &mut payloads, &mut records) {
        let outcome = write(&mut journal, &payloads, &records);
        answer(shared, &outcome, journal.poisoned());
        settled(&outcome);
        payloads.clear();
        records.clear();
        if let Some(wish) = wish.filter(|_| journal.wants_spare()) {
            let _ = wish.try_send(());
        }
        if let Some(first) = journal.poisoned() {
            if outcome.is_ok() {
                settled(&Err(first.clone()));
            }
            break;
        }
        if outcome.is_err() {
            break;
        }
    }
    journal
}

/// Waits for records and for the window, and takes all that wait; false when closed and empty.
fn take(shared: &Shared, payloads: &mut Vec<u8>, records: &mut Vec<(u8, usize)>) -> bool {
    let mut queue = shared.lock();
    while queue.records.is_empty() && !queue.closing {
        queue = shared.submitted.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
    if !shared.grouping.window.is_zero() {
        let waits = |queue: &mut Queue| {
            queue.records.len() < shared.grouping.records && !queue.closing && !queue.pressed
        };
        let waited = shared.submitted.wait_timeout_while(queue, shared.grouping.window, waits);
        queue = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(queue, _)| queue);
    }
    queue.pressed = false;
    std::mem::swap(&mut queue.payloads, payloads);
    std::mem::swap(&mut queue.records, records);
    drop(queue);
    shared.taken.notify_all();
    !records.is_empty()
}

fn write(journal: &mut Journal, payloads: &[u8], records: &[(u8, usize)]) -> Result<Anchor> {
    let mut rest = payloads;
    for (version, length) in records {
        let (payload, after) = rest.split_at(*length);
        rest = after;
        journal.append(*version, payload)?;
    }
    journal.commit()
}

fn answer(shared: &Shared, outcome: &Result<Anchor>, poison: Option<&Error>) {
    let mut queue = shared.lock();
    match outcome {
        Ok(end) => {
            queue.durable = end.sequence;
            queue.failed = poison.cloned();
        }
        Err(error) => queue.failed = Some(error.clone()),
    }
    drop(queue);
    shared.settled.notify_all();
    shared.taken.notify_all();
}
