//! A simulated disk that loses, tears and reorders what was not synced, fails where it is told to, and can lie.
//!
//! For tests and for `torture`: the journal runs on it unchanged. Everything follows from a seed and from the order of
//! the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// A small seeded generator (splitmix64): the same numbers everywhere.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when it is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll().checked_rem(bound).unwrap_or(0)
    }

    /// Whether something that happens `per_cent` times in a hundred happens now.
    pub fn chance(&mut self, per_cent: u64) -> bool {
        self.below(100) < per_cent
    }
}

/// What a disk does wrong, and when. Calls are counted from 0, all kinds alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// The power goes at this call: it may be done in part, and every later one fails until [`SimDisk::reboot`].
    pub cut_at: Option<u64>,
    /// This call fails with this error, done in part if it writes.
    pub fail_at: Option<(u64, ErrorKind)>,
    /// Syncs do nothing and say that they did.
    pub lying: bool,
}

struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

/// What a file holds: what the process sees, what is on the disk, and what is between the two.
#[derive(Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Write>,
}

enum NameChange {
    Link(String, usize),
    Rename(String, String, usize),
    Unlink(String),
}

struct State {
    inodes: Vec<Inode>,
    seen: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<NameChange>,
    faults: Faults,
    calls: u64,
    changes: u64,
    dead: bool,
    dice: Dice,
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        write!(f, "SimDisk {{ files: {:?}, calls: {} }}", state.seen.keys(), state.calls)
    }
}

impl SimDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            inodes: Vec::new(),
            seen: BTreeMap::new(),
            durable: BTreeMap::new(),
            pending: Vec::new(),
            faults: Faults::default(),
            calls: 0,
            changes: 0,
            dead: false,
            dice: Dice::new(seed),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the faults, and counts calls from 0 again.
    pub fn set_faults(&self, faults: Faults) {
        let mut state = self.lock();
        state.faults = faults;
        state.calls = 0;
        state.changes = 0;
    }

    /// Calls since the faults were set.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Calls since the faults were set that changed something: not reads.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Whether the power is gone.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.lock().dead
    }

    /// An independent disk in the same state, which will throw other dice.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let state = self.lock();
        let copy = |inode: &Inode| Inode {
            seen: inode.seen.clone(),
            durable: inode.durable.clone(),
            pending: inode
                .pending
                .iter()
                .map(|w| Write { offset: w.offset, bytes: w.bytes.clone() })
                .collect(),
        };
        let rename = |change: &NameChange| match change {
            NameChange::Link(name, inode) => NameChange::Link(name.clone(), *inode),
            NameChange::Rename(from, to, inode) => NameChange::Rename(from.clone(), to.clone(), *inode),
            NameChange::Unlink(name) => NameChange::Unlink(name.clone()),
        };
        Self(Arc::new(Mutex::new(State {
            inodes: state.inodes.iter().map(copy).collect(),
            seen: state.seen.clone(),
            durable: state.durable.clone(),
            pending: state.pending.iter().map(rename).collect(),
            faults: state.faults,
            calls: state.calls,
            changes: state.changes,
            dead: state.dead,
            dice: Dice::new(seed),
        })))
    }

    /// The power goes (if it has not yet) and comes back: of what was not synced, the dice decide what is left.
    pub fn reboot(&self) {
        let mut state = self.lock();
        let State { inodes, durable, pending, dice, .. } = &mut *state;
        for inode in inodes.iter_mut() {
            land(inode, dice);
            inode.seen.clone_from(&inode.durable);
        }
        land_names(durable, pending, dice);
        state.seen = state.durable.clone();
        state.dead = false;
        state.faults = Faults { lying: state.faults.lying, ..Faults::default() };
        state.sweep();
    }

    /// The content of a file as a process sees it.
    #[must_use]
    pub fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        state.seen.get(name).and_then(|inode| state.inodes.get(*inode)).map(|inode| inode.seen.clone())
    }

    /// Changes a file behind everybody's back, durably; creates it if need be.
    pub fn tamper(&self, name: &str, content: Vec<u8>) {
        let mut state = self.lock();
        let number = state.inodes.len();
        state.inodes.push(Inode { seen: content.clone(), durable: content, pending: Vec::new() });
        state.seen.insert(name.to_owned(), number);
        state.durable.insert(name.to_owned(), number);
    }

    /// Removes a file behind everybody's back, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.lock();
        state.seen.remove(name);
        state.durable.remove(name);
    }
}

/// What a call is to do, by the faults.
enum Verdict {
    Do,
    /// The power goes during this call: its effects are pending.
    Cut,
    Fail(ErrorKind),
}

impl State {
    fn verdict(&mut self, changes: bool) -> io::Result<Verdict> {
        if self.dead {
            return Err(cut());
        }
        let call = self.calls;
        self.calls += 1;
        self.changes += u64::from(changes);
        if self.faults.cut_at == Some(call) {
            self.dead = true;
            return Ok(Verdict::Cut);
        }
        Ok(match self.faults.fail_at {
            Some((at, kind)) if at == call => Verdict::Fail(kind),
            _ => Verdict::Do,
        })
    }

    /// A call that reads: it is done or fails.
    fn read(&mut self) -> io::Result<()> {
        match self.verdict(false)? {
            Verdict::Do => Ok(()),
            Verdict::Cut => Err(cut()),
            Verdict::Fail(kind) => Err(kind.into()),
        }
    }

    /// A call that changes names: on a cut or an error it may have been done or not.
    fn change(&mut self, change: NameChange) -> io::Result<()> {
        let verdict = self.verdict(true)?;
        let done = matches!(verdict, Verdict::Do) || self.dice.chance(50);
        if done {
            match &change {
                NameChange::Link(name, inode) => {
                    self.seen.insert(name.clone(), *inode);
                }
                NameChange::Rename(from, to, inode) => {
                    self.seen.remove(from);
                    self.seen.insert(to.clone(), *inode);
                }
                NameChange::Unlink(name) => {
                    self.seen.remove(name);
                }
            }
            self.pending.push(change);
        }
        outcome(&verdict)
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.seen.get(name).copied().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// Forgets the content of files that no name leads to.
    fn sweep(&mut self) {
        let live: Vec<usize> = self.durable.values().copied().collect();
        for (number, inode) in self.inodes.iter_mut().enumerate() {
            if !live.contains(&number) {
                *inode = Inode::default();
            }
        }
    }
}

fn outcome(verdict: &Verdict) -> io::Result<()> {
    match verdict {
        Verdict::Do => Ok(()),
        Verdict::Cut => Err(cut()),
        Verdict::Fail(kind) => Err((*kind).into()),
    }
}

fn cut() -> io::Error {
    io::Error::other("the power is gone")
}

fn apply(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset..end].copy_from_slice(bytes);
}

/// How much of what was pending reaches the disk.
#[derive(Clone, Copy)]
enum Landing {
    Nothing,
    All,
    /// The writes in order up to one, which is cut at a byte.
    Prefix,
    /// Every sector for itself, some cut at a byte.
    Sectors,
}

/// Lets pending writes reach the disk, or not. A sector holds what one of the writes to it left, never an older one over
/// a newer; a cut inside a sector leaves its front new and its back old.
fn land(inode: &mut Inode, dice: &mut Dice) {
    let pending = std::mem::take(&mut inode.pending);
    let how = [Landing::Nothing, Landing::All, Landing::Prefix, Landing::Sectors, Landing::Sectors];
    let how = how.get(dice.below(5) as usize).copied().unwrap_or(Landing::Nothing);
    match how {
        Landing::Nothing => {}
        Landing::All => pending.iter().for_each(|w| apply(&mut inode.durable, w.offset, &w.bytes)),
        Landing::Prefix => {
            let whole = dice.below(pending.len() as u64) as usize;
            pending[..whole].iter().for_each(|w| apply(&mut inode.durable, w.offset, &w.bytes));
            if let Some(torn) = pending.get(whole) {
                let length = dice.below(torn.bytes.len() as u64 + 1) as usize;
                apply(&mut inode.durable, torn.offset, &torn.bytes[..length]);
            }
        }
        Landing::Sectors => land_sectors(inode, &pending, dice),
    }
}

fn land_sectors(inode: &mut Inode, pending: &[Write], dice: &mut Dice) {
    // Sectors that have taken their last write: later ones are lost there.
    let mut stops = BTreeSet::new();
    let per_cent = [10, 50, 90].get(dice.below(3) as usize).copied().unwrap_or(50);
    for write in pending {
        let mut at = write.offset;
        while at < write.offset + write.bytes.len() {
            let sector = at / SECTOR;
            let end = ((sector + 1) * SECTOR).min(write.offset + write.bytes.len());
            let piece = &write.bytes[at - write.offset..end - write.offset];
            let stopped = stops.contains(&sector);
            if !stopped && dice.chance(per_cent) {
                apply(&mut inode.durable, at, piece);
            } else if !stopped {
                let length = if dice.chance(20) { dice.below(piece.len() as u64 + 1) as usize } else { 0 };
                apply(&mut inode.durable, at, &piece[..length]);
                stops.insert(sector);
            }
            at = end;
        }
    }
}

/// Names reach the disk up to one change (a journalling file system), or each for itself (one that promises nothing).
fn land_names(durable: &mut BTreeMap<String, usize>, pending: &mut Vec<NameChange>, dice: &mut Dice) {
    let ordered = dice.chance(50);
    let whole = dice.below(pending.len() as u64 + 1) as usize;
    for (index, change) in std::mem::take(pending).into_iter().enumerate() {
        if if ordered { index < whole } else { dice.chance(50) } {
            settle_name(durable, change);
        }
    }
}

fn settle_name(durable: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Link(name, inode) => {
            durable.insert(name, inode);
        }
        NameChange::Rename(from, to, inode) => {
            durable.remove(&from);
            durable.insert(to, inode);
        }
        NameChange::Unlink(name) => {
            durable.remove(&name);
        }
    }
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.lock();
        state.read()?;
        Ok(state.seen.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        state.read()?;
        let inode = state.find(name)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.lock();
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(NameChange::Link(name.to_owned(), inode))?;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.find(from)?;
        state.change(NameChange::Rename(from.to_owned(), to.to_owned(), inode))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.find(name)?;
        state.change(NameChange::Unlink(name.to_owned()))
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.lock();
        let verdict = state.verdict(true)?;
        if matches!(verdict, Verdict::Do) && !state.faults.lying {
            let State { durable, pending, .. } = &mut *state;
            std::mem::take(pending).into_iter().for_each(|change| settle_name(durable, change));
        }
        outcome(&verdict)
    }
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

fn gone() -> io::Error {
    io::Error::other("the file is gone")
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.lock();
        state.read()?;
        state.inodes.get(self.inode).map(|inode| inode.seen.len() as u64).ok_or_else(gone)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        state.read()?;
        let inode = state.inodes.get(self.inode).ok_or_else(gone)?;
        let end = (offset as usize).saturating_add(into.len());
        let bytes = inode.seen.get(offset as usize..end).ok_or(ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock();
        let verdict = state.verdict(true)?;
        let length = match verdict {
            Verdict::Do => bytes.len(),
            _ => state.dice.below(bytes.len() as u64 + 1) as usize,
        };
        let inode = state.inodes.get_mut(self.inode).ok_or_else(gone)?;
        apply(&mut inode.seen, offset as usize, &bytes[..length]);
        inode.pending.push(Write { offset: offset as usize, bytes: bytes[..length].to_vec() });
        outcome(&verdict)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock();
        let verdict = state.verdict(true)?;
        let lying = state.faults.lying;
        let State { inodes, dice, .. } = &mut *state;
        let inode = inodes.get_mut(self.inode).ok_or_else(gone)?;
        match verdict {
            Verdict::Do if !lying => {
                for write in std::mem::take(&mut inode.pending) {
                    apply(&mut inode.durable, write.offset, &write.bytes);
                }
            }
            // What a failed sync did not write is forgotten: it is still seen, but a later sync does not write it.
            Verdict::Fail(_) => land(inode, dice),
            _ => {}
        }
        outcome(&verdict)
    }
}
