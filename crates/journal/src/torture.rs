//! The journal on a disk that loses power, fails, and is opened again, until a number of power cuts is reached.
//!
//! A model outside keeps what was acknowledged. After every restart the journal must hold all of it, exactly, and at most
//! the one group that was being written besides; it must never be refused; the newest snapshot acknowledged must be found.
//! With a disk that lies about syncs, the same run must lose: the control that shows that a loss would be seen.

use crate::chain::{Anchor, genesis, link};
use crate::error::{Error, Result};
use crate::journal::{Journal, Options, Repair};
use crate::reader::Reader;
use crate::sim::{Dice, Faults, SimDisk};
use crate::snapshot::Snapshots;
use crate::survey::verify;

const IDENTITY: &str = "torture";

/// What happened. All numbers are counts since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Histories begun on an empty disk.
    pub histories: u64,
    /// Restarts that came to an end: the journal was opened and compared.
    pub restarts: u64,
    /// Power cuts.
    pub cuts: u64,
    /// Of these, cuts while the journal was being opened.
    pub cuts_in_recovery: u64,
    /// Of these, cuts after recovery had begun to write.
    pub cuts_in_mending: u64,
    /// Reads, writes, syncs or changes of names that failed with EIO or ENOSPC.
    pub errors: u64,
    /// Processes killed without a power cut.
    pub kills: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Records acknowledged that were not found again, or found changed.
    pub lost: u64,
    /// Records found that were never submitted, or not where they could be.
    pub invented: u64,
    /// Journals refused though only power cuts and errors had happened to them.
    pub refused: u64,
    /// Snapshots acknowledged.
    pub snapshots: u64,
    /// Snapshots acknowledged that were not found again, or found changed.
    pub snapshots_lost: u64,
    /// Torn groups cut off.
    pub torn: u64,
    /// Groups in doubt that were found whole and kept.
    pub kept: u64,
    /// The seed of the first history that lost, invented or refused, and the journal's words if it refused.
    pub first_bad: Option<(u64, String)>,
}

impl Figures {
    /// Whether nothing was lost, invented or refused.
    #[must_use]
    pub fn sound(&self) -> bool {
        self.lost + self.invented + self.refused + self.snapshots_lost == 0
    }
}

/// Runs histories from one seed on, until `go_on` says no; it is asked after every restart.
///
/// ```
/// let figures = plimsoll_journal::torture::run(1, false, &mut |figures| figures.cuts < 100);
/// assert!(figures.sound() && figures.acknowledged > 100, "{figures:?}");
/// ```
pub fn run(seed: u64, lying: bool, go_on: &mut dyn FnMut(&Figures) -> bool) -> Figures {
    let mut figures = Figures::default();
    let mut seeds = Dice::new(seed);
    while go_on(&figures) {
        history(seeds.roll(), lying, &mut figures, go_on);
    }
    figures
}

/// Runs the one history of a seed.
pub fn history(seed: u64, lying: bool, figures: &mut Figures, go_on: &mut dyn FnMut(&Figures) -> bool) {
    figures.histories += 1;
    let mut history = History::new(seed, lying);
    let lives = 10 + history.dice.below(60);
    for _ in 0..lives {
        history.life(figures);
        if !figures.sound() {
            figures.first_bad.get_or_insert((seed, history.why.clone()));
        }
        if history.over || !go_on(figures) {
            break;
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
struct Entry {
    version: u8,
    payload: Vec<u8>,
}

/// How a life ends.
enum Fate {
    /// At a call to the disk, in whatever the journal is doing.
    Cut(u64),
    /// A call fails; the process stops.
    Error(u64, std::io::ErrorKind),
    /// Between two calls, the system going on.
    Kill,
    /// Between two calls.
    CutWhenIdle,
    Close,
}

struct History {
    disk: SimDisk,
    dice: Dice,
    options: Options,
    lying: bool,
    /// Everything acknowledged, from sequence 1 on.
    acknowledged: Vec<Entry>,
    /// The group whose commit was not answered.
    flight: Vec<Entry>,
    /// The newest snapshot acknowledged.
    snapshot: Option<Anchor>,
    created: bool,
    over: bool,
    /// Why the journal refused.
    why: String,
}

impl History {
    fn new(seed: u64, lying: bool) -> Self {
        let mut dice = Dice::new(seed);
        let disk = SimDisk::new(dice.roll());
        disk.set_faults(Faults { lying, ..Faults::default() });
        let options = Options {
            segment_bytes: 4096 * (6 + dice.below(8)),
            group_bytes_max: 4096 + dice.below(8000) as u32,
            ..Options::new(IDENTITY)
        };
        Self {
            disk,
            dice,
            options,
            lying,
            acknowledged: Vec::new(),
            flight: Vec::new(),
            snapshot: None,
            created: false,
            over: false,
            why: String::new(),
        }
    }

    fn life(&mut self, figures: &mut Figures) {
        let Some(mut journal) = self.restart(figures) else { return };
        figures.restarts += 1;
        let fate = self.draw_fate();
        self.disk.set_faults(match fate {
            Fate::Cut(at) => Faults { cut_at: Some(at), lying: self.lying, ..Faults::default() },
            Fate::Error(at, kind) => {
                Faults { fail_at: Some((at, kind)), lying: self.lying, ..Faults::default() }
            }
            _ => Faults { lying: self.lying, ..Faults::default() },
        });
        let steps = 1 + self.dice.below(12);
        let worked = (0..steps).try_for_each(|_| self.work(&mut journal, figures));
        self.end(fate, worked, journal, figures);
    }

    fn draw_fate(&mut self) -> Fate {
        match self.dice.below(100) {
            0..75 => Fate::Cut(self.dice.below(40)),
            75..83 => Fate::Error(self.dice.below(40), self.kind()),
            83..90 => Fate::Kill,
            90..95 => Fate::CutWhenIdle,
            _ => Fate::Close,
        }
    }

    fn kind(&mut self) -> std::io::ErrorKind {
        if self.dice.chance(50) { std::io::ErrorKind::StorageFull } else { std::io::ErrorKind::Other }
    }

    /// Ends a life and leaves the disk as the next one finds it.
    fn end(&mut self, fate: Fate, worked: Result<()>, journal: Journal, figures: &mut Figures) {
        let failed = worked.is_err();
        let cut = match fate {
            Fate::Close if !failed => {
                let _ = journal.close();
                false
            }
            Fate::Cut(_) | Fate::CutWhenIdle => true,
            _ => {
                figures.errors += u64::from(failed);
                figures.kills += u64::from(!failed);
                drop(journal);
                // After an error, some restart in the same system and some after a power cut.
                self.dice.chance(30)
            }
        };
        if cut {
            figures.cuts += 1;
            self.disk.reboot();
        }
        self.disk.set_faults(Faults { lying: self.lying, ..Faults::default() });
    }

    /// One thing that a user of a journal does.
    fn work(&mut self, journal: &mut Journal, figures: &mut Figures) -> Result<()> {
        match self.dice.below(100) {
            0..80 => self.commit(journal, figures),
            80..85 => match journal.preparer().prepare() {
                // Not the journal's: it goes on, unless the power is gone.
                Err(error) if self.disk.is_dead() => Err(error),
                _ => Ok(()),
            },
            85..93 => self.save(journal, figures),
            93..97 => Snapshots::new(&self.disk, IDENTITY).retain(2).map(|_| ()),
            _ => match journal.prune(&Snapshots::new(&self.disk, IDENTITY)) {
                Err(Error::NoSnapshot) => Ok(()),
                other => other.map(|_| ()),
            },
        }
    }

    fn entry(&mut self) -> Entry {
        let length = match self.dice.below(20) {
            0 => 0,
            1..17 => self.dice.below(120),
            17..19 => self.dice.below(900),
            _ => self.dice.below(3000),
        };
        // Zeros and images of zeros are the payloads that could be taken for what was never written.
        let mut payload = vec![0; length as usize];
        if self.dice.chance(80) {
            payload.fill_with(|| self.dice.roll() as u8);
        }
        Entry { version: self.dice.roll() as u8, payload }
    }

    fn commit(&mut self, journal: &mut Journal, figures: &mut Figures) -> Result<()> {
        self.flight.clear();
        for _ in 0..=self.dice.below(30) {
            let entry = self.entry();
            match journal.append(entry.version, &entry.payload) {
                Ok(_) => self.flight.push(entry),
                Err(Error::GroupFull { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        journal.commit()?;
        figures.acknowledged += self.flight.len() as u64;
        self.acknowledged.append(&mut self.flight);
        Ok(())
    }

    fn save(&mut self, journal: &Journal, figures: &mut Figures) -> Result<()> {
        let anchor = journal.durable();
        Snapshots::new(&self.disk, IDENTITY).save(&anchor, 1, |to| to.write_all(&state_at(&anchor)))?;
        figures.snapshots += 1;
        self.snapshot = Some(anchor);
        Ok(())
    }

    /// Opens the journal, through as many cuts and errors as the dice want, and compares it with the model.
    fn restart(&mut self, figures: &mut Figures) -> Option<Journal> {
        for attempt in 0.. {
            let faults = if attempt < 6 { self.draw_recovery_faults() } else { Faults::default() };
            self.disk.set_faults(Faults { lying: self.lying, ..faults });
            let opened = self.open();
            let changes = self.disk.changes();
            if self.disk.is_dead() {
                figures.cuts += 1;
                figures.cuts_in_recovery += 1;
                figures.cuts_in_mending += u64::from(changes > 0);
                self.disk.reboot();
                continue;
            }
            match opened {
                Ok(journal) => return self.compare(journal, figures),
                Err(Error::Io { .. }) if faults.fail_at.is_some() => {
                    figures.errors += 1;
                }
                Err(error) => {
                    self.why = error.to_string();
                    figures.refused += 1;
                    figures.lost += self.acknowledged.len() as u64;
                    self.over = true;
                    return None;
                }
            }
        }
        None
    }

    fn open(&mut self) -> Result<(Journal, Vec<Repair>)> {
        let disk = Box::new(self.disk.clone());
        let opened = if self.created {
            Journal::open(disk, self.options.clone())
        } else {
            Journal::open_or_create(disk, self.options.clone())
        };
        let (journal, recovery) = opened?;
        self.created = true;
        Ok((journal, recovery.repairs))
    }

    /// In two of five recoveries the power goes, at a call that a trial on a copy of the disk says will be made; half
    /// of those once it writes.
    fn draw_recovery_faults(&mut self) -> Faults {
        let draw = self.dice.below(100);
        if draw >= 45 {
            return Faults::default();
        }
        let trial = self.disk.fork(self.dice.roll());
        trial.set_faults(Faults::default());
        let disk = Box::new(trial.clone());
        let _ = Journal::open_or_create(disk, self.options.clone());
        let (calls, changes) = (trial.calls(), trial.changes());
        let among = if self.dice.chance(50) { changes } else { calls };
        let at = calls.saturating_sub(1 + self.dice.below(among));
        if draw < 40 {
            Faults { cut_at: Some(at), ..Faults::default() }
        } else {
            Faults { fail_at: Some((at, self.kind())), ..Faults::default() }
        }
    }

    fn compare(
        &mut self,
        (mut journal, repairs): (Journal, Vec<Repair>),
        figures: &mut Figures,
    ) -> Option<Journal> {
        self.disk.set_faults(Faults { lying: self.lying, ..Faults::default() });
        for repair in &repairs {
            figures.torn += u64::from(matches!(repair, Repair::TornTail { .. }));
            figures.kept += u64::from(matches!(repair, Repair::Kept { .. }));
        }
        let bad = figures.lost + figures.invented + figures.snapshots_lost;
        let read = self.compare_records(&mut journal, figures);
        let read = read.and_then(|()| self.compare_snapshots(&journal, figures));
        let read = read.and_then(|()| match self.dice.chance(90) {
            true => Ok(()),
            false => verify(&self.disk, IDENTITY, Some(journal.durable())).map(|_| ()),
        });
        if let Err(error) = &read {
            self.why = error.to_string();
            figures.refused += 1;
        }
        self.over = read.is_err() || figures.lost + figures.invented + figures.snapshots_lost > bad;
        (!self.over).then_some(journal)
    }

    fn compare_records(&mut self, journal: &mut Journal, figures: &mut Figures) -> Result<()> {
        let first = journal.first();
        let mut reader = Reader::open(&self.disk, IDENTITY, first)?;
        let mut expected = self.acknowledged.iter().chain(&self.flight).skip(first as usize - 1);
        let mut found = first - 1;
        while let Some(record) = reader.next_record()? {
            let same =
                expected.next().is_some_and(|e| e.version == record.version && e.payload == record.payload);
            let known = record.sequence <= self.acknowledged.len() as u64;
            figures.lost += u64::from(!same && known);
            figures.invented += u64::from(!same && !known);
            found = record.sequence;
        }
        let acknowledged = self.acknowledged.len() as u64;
        figures.lost += acknowledged.saturating_sub(found);
        let extra = found.saturating_sub(acknowledged);
        figures.invented += u64::from(extra != 0 && extra != self.flight.len() as u64);
        figures.invented += u64::from(reader.anchor() != journal.durable() || self.wrong_hash(journal));
        let kept = if extra == 0 { Vec::new() } else { std::mem::take(&mut self.flight) };
        self.acknowledged.extend(kept);
        self.flight.clear();
        Ok(())
    }

    /// Whether the chain hash is not the one of what was submitted.
    fn wrong_hash(&self, journal: &Journal) -> bool {
        let mut hash = genesis(IDENTITY);
        let mut scratch = Vec::new();
        let end = journal.durable();
        let entries = self.acknowledged.iter().chain(&self.flight).take(end.sequence as usize);
        for (index, entry) in entries.enumerate() {
            hash = link(&mut scratch, &hash, index as u64 + 1, entry.version, &entry.payload);
        }
        hash != end.hash
    }

    fn compare_snapshots(&mut self, journal: &Journal, figures: &mut Figures) -> Result<()> {
        let snapshots = Snapshots::new(&self.disk, IDENTITY);
        let (newest, _) = snapshots.newest(journal)?;
        let content = newest.as_ref().map(|snapshot| snapshots.read(snapshot)).transpose()?;
        let sound = match (&newest, &self.snapshot) {
            (None, wanted) => wanted.is_none(),
            (Some(found), wanted) => {
                content == Some(state_at(&found.anchor))
                    && wanted.is_none_or(|wanted| found.anchor.sequence >= wanted.sequence)
                    && journal.first() <= found.anchor.sequence + 1
            }
        };
        figures.snapshots_lost += u64::from(!sound);
        Ok(())
    }
}

/// The content of the snapshot of a point: some bytes that follow from it.
fn state_at(anchor: &Anchor) -> Vec<u8> {
    anchor.hash.0.repeat(1 + (anchor.sequence % 200) as usize)
}
