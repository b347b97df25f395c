//! The journal on disk: opening it, going on from the newest snapshot, replaying it.

use super::charter::{CHARTER_VERSION, Charter};
use super::chronicle::{Chronicle, Sample};
use super::config::JournalConfig;
use super::record::Content;
use crate::wire;
use anyhow::{Context, bail};
use plimsoll_engine::EngineError;
use plimsoll_engine::live::feed::{Feed, Validity};
use plimsoll_engine::live::{Body, Effect, Engine, Event, State, restore, save};
use plimsoll_journal::{Anchor, DirDisk, Disk, Journal, Options, Reader, Repair, Snapshots, anchor_at};
use plimsoll_types::Timestamp;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

/// Whose a journal is, in words: without it nobody can read what is in the folder.
pub const IDENTITY_FILE: &str = "identity";

/// The version byte of a snapshot's content.
const CONTENT_VERSION: u8 = 1;

/// A journal's folder, opened to write.
#[derive(Clone)]
pub struct Store {
    disk: Arc<DirDisk>,
    identity: String,
    kept: usize,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store {{ identity: {:?} }}", self.identity)
    }
}

/// An engine as it was left, and how it was found.
#[derive(Debug)]
pub struct Recovered {
    /// To write on.
    pub journal: Journal,
    /// As of the journal's end.
    pub course: Course,
    /// Where the snapshot was that it began from.
    pub snapshot: Option<u64>,
    /// Records replayed after it.
    pub replayed: u64,
    /// What opening had to mend.
    pub repairs: Vec<Repair>,
}

/// An engine, what it runs by, and what happened to it, as of a place in the journal.
#[derive(Clone, Debug)]
pub struct Course {
    /// What it runs by.
    pub charter: Charter,
    /// The engine.
    pub engine: Engine,
    /// What happened.
    pub chronicle: Chronicle,
    /// The last record taken in.
    pub sequence: u64,
}

/// What a snapshot holds: everything but what follows from it.
#[derive(Clone, Debug)]
pub struct Remembered {
    charter: Charter,
    state: State,
    chronicle: Chronicle,
    sequence: u64,
}

impl Course {
    /// What is to be remembered of it.
    pub fn remembered(&self) -> Remembered {
        Remembered {
            charter: self.charter.clone(),
            state: self.engine.state().clone(),
            chronicle: self.chronicle.clone(),
            sequence: self.sequence,
        }
    }

    /// The worst of all feeds.
    pub fn validity(&self) -> Validity {
        self.engine.state().feeds.values().map(Feed::validity).max().unwrap_or_default()
    }

    /// One that begins with the first record of a journal.
    fn begin(sequence: u64, content: &Content) -> anyhow::Result<Self> {
        let Content::Charter { charter } = content else {
            bail!("record {sequence} is no charter, and nothing stands before it")
        };
        let engine = charter.engine()?;
        Ok(Self { charter: (**charter).clone(), engine, chronicle: Chronicle::default(), sequence })
    }

    /// Takes in what stands in a record, and says what followed.
    ///
    /// # Errors
    /// When the rules no longer hold.
    fn take(&mut self, sequence: u64, content: &Content) -> anyhow::Result<Vec<Effect>> {
        match content {
            Content::Charter { charter } => {
                self.sequence = sequence;
                self.adopt((**charter).clone())?;
                Ok(Vec::new())
            }
            Content::Event(event) | Content::Signed { event, .. } => Ok(self.step(sequence, event)?),
        }
    }

    /// Takes in one event.
    ///
    /// # Errors
    /// When the rules no longer hold.
    pub fn step(&mut self, sequence: u64, event: &Event) -> Result<Vec<Effect>, EngineError> {
        let effects = self.engine.step(event)?;
        self.sequence = sequence;
        let Self { engine, chronicle, .. } = self;
        let (units, now) = (&engine.rules().params.units, engine.state().now);
        chronicle.note((sequence, now), &effects, engine.state(), |effect| wire::effect(effect, units));
        if event.body == Body::Clock && chronicle.is_due(now) {
            chronicle.sample(Sample::whole(engine));
        }
        Ok(effects)
    }

    /// Goes on by another charter.
    ///
    /// # Errors
    /// [`Engine::adopt`]'s.
    pub fn adopt(&mut self, charter: Charter) -> anyhow::Result<()> {
        self.engine = self.engine.adopt(charter.rules()?, charter.since)?;
        self.charter = charter;
        Ok(())
    }
}

impl Remembered {
    /// The engine's time at which it was left.
    fn left(&self) -> Timestamp {
        self.state.now
    }

    /// The engine values everybody anew, and goes on.
    ///
    /// # Errors
    /// When the rules no longer hold.
    fn resume(self) -> anyhow::Result<Course> {
        let Self { charter, state, chronicle, sequence } = self;
        let engine = Engine::resume(charter.rules()?, state)?;
        Ok(Course { charter, engine, chronicle, sequence })
    }
}

impl Store {
    /// Opens the journal of a configuration, or begins it, and brings the engine up to its end. Where the charter is another
    /// than before, that is its newest record then.
    ///
    /// # Errors
    /// What the journal refuses; a charter that cannot be adopted.
    pub fn open(config: &JournalConfig, charter: &Charter) -> anyhow::Result<(Self, Recovered)> {
        let (store, mut journal, repairs) = Self::journal(config)?;
        if journal.durable().sequence == 0 {
            journal.append(CHARTER_VERSION, &charter.encode()?)?;
            journal.commit()?;
        }
        let kept = Snapshots::new(&store.disk, &store.identity).newest(&journal)?.0;
        let snapshot = kept.as_ref().map(|kept| kept.anchor.sequence);
        let (mut course, replayed) = store.course(kept.as_ref(), journal.durable().sequence)?;
        if !course.charter.same_terms(charter) {
            let since = course.engine.state().now.max(charter.since);
            let charter = Charter { since, ..charter.clone() };
            course.adopt(charter.clone())?;
            journal.append(CHARTER_VERSION, &charter.encode()?)?;
            course.sequence = journal.commit()?.sequence;
        }
        Ok((store, Recovered { journal, course, snapshot, replayed, repairs }))
    }

    /// Begins a journal with an engine that is there already: its charter is the first record, and a snapshot at it holds all that it
    /// remembers, which is in no record.
    ///
    /// # Errors
    /// When there is a journal already; what the disk says.
    pub fn begin(config: &JournalConfig, course: Course) -> anyhow::Result<(Self, Recovered)> {
        let (store, mut journal, repairs) = Self::journal(config)?;
        if journal.durable().sequence != 0 {
            bail!("{} holds a journal already", config.dir.display());
        }
        journal.append(CHARTER_VERSION, &course.charter.encode()?)?;
        let sequence = journal.commit()?.sequence;
        let course = Course { sequence, ..course };
        store.save(&course.remembered())?;
        Ok((store, Recovered { journal, course, snapshot: Some(sequence), replayed: 0, repairs }))
    }

    /// Opens the folder and the journal in it, or creates both.
    fn journal(config: &JournalConfig) -> anyhow::Result<(Self, Journal, Vec<Repair>)> {
        let disk = Arc::new(DirDisk::exclusive(&config.dir)?);
        claim(&config.dir, &config.identity)?;
        let store = Self { disk, identity: config.identity.clone(), kept: config.snapshots_kept };
        let options = Options { segment_bytes: config.segment_mb << 20, ..Options::new(&config.identity) };
        let (journal, recovery) = Journal::open_or_create(Box::new(Arc::clone(&store.disk)), options)?;
        Ok((store, journal, recovery.repairs))
    }

    /// The course up to a record, from a snapshot or from the beginning, and how many records were replayed for it.
    fn course(&self, kept: Option<&plimsoll_journal::Snapshot>, until: u64) -> anyhow::Result<(Course, u64)> {
        let snapshots = Snapshots::new(&self.disk, &self.identity);
        let begun = kept.map(|kept| taken_up(&snapshots, kept)?.resume());
        let end = End::at(until);
        run_on((&self.disk, &self.identity), begun.transpose()?, end, |_, _| Ok(ControlFlow::Continue(())))
    }

    /// Saves a snapshot, which must be of durable records, and removes the oldest beyond those kept.
    ///
    /// # Errors
    /// What the disk says; nothing that was saved before is lost by it.
    pub fn save(&self, of: &Remembered) -> anyhow::Result<Anchor> {
        let anchor = anchor_at(&self.disk, &self.identity, of.sequence)?;
        let content = pack(of)?;
        let snapshots = Snapshots::new(&self.disk, &self.identity);
        snapshots.save(&anchor, CONTENT_VERSION, |to| {
            content.iter().try_for_each(|piece| {
                to.write_all(&(piece.len() as u64).to_le_bytes())?;
                to.write_all(piece)
            })
        })?;
        snapshots.retain(self.kept)?;
        Ok(anchor)
    }

    /// Removes the segments whose every record was accepted before an instant and is covered by the oldest snapshot that is kept, once that was
    /// verified and taken up; says how many.
    ///
    /// # Errors
    /// What the disk says, or the snapshot that does not open; then nothing is removed.
    pub fn prune(&self, before: Timestamp) -> anyhow::Result<u64> {
        let snapshots = Snapshots::new(&self.disk, &self.identity);
        let Some(oldest) = snapshots.first()? else { return Ok(0) };
        let mut cut = None;
        for first in plimsoll_journal::segments(&self.disk, &self.identity)?.into_iter().skip(1) {
            if first > oldest.anchor.sequence.saturating_add(1) {
                break;
            }
            // All before it was accepted before it.
            let mut reader = Reader::open(&self.disk, &self.identity, first)?;
            let Some(record) = reader.next_record()? else { break };
            if Content::read(record.version, record.payload)?.at() >= before {
                break;
            }
            cut = Some(first.saturating_sub(1));
        }
        let Some(cut) = cut else { return Ok(0) };
        taken_up(&snapshots, &oldest)
            .and_then(Remembered::resume)
            .context("the snapshot that would be all that is left")?;
        Ok(snapshots.prune(cut)?)
    }
}

/// Says in the folder whose journal it is, or refuses another's.
fn claim(dir: &Path, identity: &str) -> anyhow::Result<()> {
    let path = dir.join(IDENTITY_FILE);
    match std::fs::read_to_string(&path) {
        Ok(found) if found == identity => Ok(()),
        Ok(found) if !found.is_empty() => {
            bail!("{} is the journal of `{found}`, and not of `{identity}`", dir.display())
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| path.display().to_string())
        }
        // Nobody's yet, or the power went while it was written.
        _ => {
            let mut file = std::fs::File::create(&path)?;
            file.write_all(identity.as_bytes())?;
            Ok(file.sync_all()?)
        }
    }
}

/// Whose the journal in a folder is.
///
/// # Errors
/// When there is none.
pub fn identity_of(dir: &Path) -> anyhow::Result<String> {
    let path = dir.join(IDENTITY_FILE);
    std::fs::read_to_string(&path).with_context(|| format!("{} holds no journal", dir.display()))
}

/// The pieces of a snapshot: charter, state, chronicle.
fn pack(of: &Remembered) -> anyhow::Result<[Vec<u8>; 3]> {
    Ok([of.charter.encode()?, save(&of.state)?, rmp_serde::to_vec_named(&of.chronicle).context("chronicle")?])
}

/// What a snapshot holds, read and verified.
fn taken_up(snapshots: &Snapshots<'_>, kept: &plimsoll_journal::Snapshot) -> anyhow::Result<Remembered> {
    unpack(kept.version, &snapshots.read(kept)?, kept.anchor.sequence)
}

fn unpack(version: u8, content: &[u8], sequence: u64) -> anyhow::Result<Remembered> {
    if version != CONTENT_VERSION {
        bail!("the snapshot at {sequence} is of version {version}: {CONTENT_VERSION} is known");
    }
    let mut rest = content;
    let mut piece = || -> anyhow::Result<&[u8]> {
        let (length, after) = rest.split_first_chunk::<8>().context("the snapshot ends too soon")?;
        let length = usize::try_from(u64::from_le_bytes(*length))?;
        let (piece, after) = after.split_at_checked(length).context("the snapshot ends too soon")?;
        rest = after;
        Ok(piece)
    };
    let charter = Charter::decode(piece()?)?;
    let state = restore(plimsoll_engine::live::VERSION, piece()?)?;
    let chronicle = rmp_serde::from_slice(piece()?).context("chronicle")?;
    Ok(Remembered { charter, state, chronicle, sequence })
}

/// A record that was taken in.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// What stands in it.
    pub content: &'a Content,
    /// What followed.
    pub effects: &'a [Effect],
}

/// Goes on from a course, or from the first record, to an end; `each` looks at every one after it was taken, and may end it.
fn run_on(
    (disk, identity): (&dyn Disk, &str),
    begun: Option<Course>,
    end: End,
    mut each: impl FnMut(&Course, &Taken<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<(Course, u64)> {
    let mut course = begun;
    let from = course.as_ref().map_or(1, |course| course.sequence + 1);
    let mut reader = Reader::open(disk, identity, from)?;
    let mut count = 0;
    while let Some(record) = reader.next_record()? {
        let sequence = record.sequence;
        if end.sequence.is_some_and(|last| sequence > last) {
            break;
        }
        let at = || format!("record {sequence}");
        let content = Content::read(record.version, record.payload).with_context(at)?;
        if end.instant.is_some_and(|last| content.at() > last) {
            break;
        }
        let (course, effects) = match &mut course {
            Some(course) => {
                let effects = course.take(sequence, &content).with_context(at)?;
                (course, effects)
            }
            None => (course.insert(Course::begin(sequence, &content).with_context(at)?), Vec::new()),
        };
        count += 1;
        if each(course, &Taken { content: &content, effects: &effects })?.is_break() {
            break;
        }
    }
    Ok((course.context("the journal is empty, or begins after the period")?, count))
}

/// Where a reading of the past begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// At the first record; of a journal that was pruned, at its oldest snapshot.
    First,
    /// Early enough to see everything from an instant of the engine's time on.
    Instant(Timestamp),
    /// Early enough to see everything after a record.
    After(u64),
}

/// Where a reading of the past ends; by default where the journal does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct End {
    /// The last record.
    pub sequence: Option<u64>,
    /// Nothing that happened after this instant of the engine's time.
    pub instant: Option<Timestamp>,
}

impl End {
    /// At a record.
    pub fn at(sequence: u64) -> Self {
        Self { sequence: Some(sequence), instant: None }
    }
}

/// What is asked for is no longer there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the journal was pruned: it begins at record {first}, and no snapshot kept is old enough")]
pub struct Pruned {
    /// The first record that is held.
    pub first: u64,
}

/// Reads the journal in a folder up to an end; `each` looks at every record after it was taken, and may end it. The journal may be
/// growing. Gives what stands at the end, and how many records were read for it.
///
/// # Errors
/// What the journal refuses, or what is in it no longer means; when what is asked for was pruned.
pub fn follow(
    dir: &Path,
    (begin, end): (Begin, End),
    each: impl FnMut(&Course, &Taken<'_>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<(Course, u64)> {
    let identity = identity_of(dir)?;
    let disk = DirDisk::read_only(dir);
    // What is being written while we look is not ours to judge.
    let until = end.sequence.unwrap_or(u64::MAX).min(plimsoll_journal::end(&disk, &identity)?.sequence);
    let begun = begun(&disk, &identity, begin, until)?;
    run_on((&disk, &identity), begun, End { sequence: Some(until), ..end }, each)
}

/// The snapshot to begin from; nothing where that is the first record. Of those that come too late the time alone is read: to value
/// everybody anew for each would cost more than the replay that it saves.
fn begun(disk: &dyn Disk, identity: &str, begin: Begin, until: u64) -> anyhow::Result<Option<Course>> {
    let first = plimsoll_journal::first(disk, identity)?;
    let snapshots = Snapshots::new(disk, identity);
    if first == 1 && matches!(begin, Begin::First | Begin::After(0)) {
        // Of an engine that was there before its journal, the first record has a snapshot.
        let kept = snapshots.up_to(1)?;
        return kept.map(|kept| taken_up(&snapshots, &kept)?.resume()).transpose();
    }
    let mut below = if let Begin::After(sequence) = begin { until.min(sequence) } else { until };
    let mut oldest = None;
    while let Some(kept) = snapshots.up_to(below)? {
        let left = taken_up(&snapshots, &kept)?;
        let early = match begin {
            Begin::First => false,
            Begin::Instant(instant) => left.left() < instant,
            Begin::After(_) => true,
        };
        if early {
            return left.resume().map(Some);
        }
        below = left.sequence.saturating_sub(1);
        oldest = Some(left);
    }
    match (first, begin, oldest) {
        (1, ..) => Ok(None),
        (_, Begin::First, Some(left)) => left.resume().map(Some),
        _ => Err(Pruned { first }.into()),
    }
}

/// The course of the journal in a folder up to a record, from the first that is held; `each` looks at it after every record.
///
/// # Errors
/// As [`follow`].
pub fn replay(
    dir: &Path,
    until: Option<u64>,
    mut each: impl FnMut(&Course) -> anyhow::Result<()>,
) -> anyhow::Result<(Course, u64)> {
    let identity = identity_of(dir)?;
    let disk = DirDisk::read_only(dir);
    let until = until.unwrap_or(u64::MAX);
    let begun = begun(&disk, &identity, Begin::First, until)?;
    let each = |course: &Course, _: &Taken<'_>| each(course).map(ControlFlow::Continue);
    run_on((&disk, &identity), begun, End::at(until), each)
}
