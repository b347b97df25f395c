//! What was signed last: on disk before anybody is told.
//!
//! **The one idea:** a document is written down, and the disk has it, before its signature leaves the process. So whatever happens in
//! between, a signer that starts again knows of every signature that anybody may hold.

use super::bounds::Bounds;
use super::document::Document;
use crate::doors::{Chain, Keyring};
use anyhow::{Context, bail};
use plimsoll_feeds::evm::Address;
use plimsoll_types::{Ppb, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use utoipa::ToSchema;

/// Stretches that are kept of a parameter; beyond, the two oldest become one that bounds as much as both.
const STRETCHES: usize = 48;

/// A document, and who signed it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What was signed.
    pub document: Document,
    /// Whose signature it is.
    #[schema(value_type = String)]
    pub signer: Address,
    /// 65 bytes, hexadecimal: `s` in the lower half, `v` 27 or 28.
    pub signature: String,
}

/// What a parameter was from an instant on, until the next of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stretch {
    /// Since when, by the signer's clock.
    pub(super) since: Timestamp,
    /// The least value for new risk.
    pub(super) least: Ppb,
    /// The largest value for new risk.
    pub(super) most: Ppb,
    /// The largest value for existing positions, as it was at the signing.
    pub(super) held: Ppb,
}

/// All that is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Kept {
    /// Whose it is.
    pub(super) signer: Address,
    /// For which service.
    pub(super) identity: String,
    /// And where.
    pub(super) chain: Chain,
    /// What was signed last.
    pub(super) last: Option<Signed>,
    /// When it was signed lately.
    pub(super) signed: VecDeque<Timestamp>,
    /// What every parameter was lately.
    pub(super) course: BTreeMap<String, VecDeque<Stretch>>,
}

impl Kept {
    /// The same after another document; what no bound looks at any more is left out.
    pub(super) fn after(&self, signed: Signed, now: Timestamp, bounds: &Bounds) -> Self {
        let mut next = self.clone();
        next.signed.push_back(now);
        let lately = now.plus_seconds(-bounds.rate.seconds);
        next.signed.retain(|at| *at > lately);
        for one in &signed.document.parameters {
            let held = one.maintenance.at(now);
            let new = Stretch { since: now, least: one.initial, most: one.initial, held };
            let course = next.course.entry(one.name.clone()).or_default();
            let same = |last: &Stretch| (last.least, last.most, last.held) == (new.least, new.most, new.held);
            if !course.back().is_some_and(same) {
                course.push_back(new);
            }
            let window = bounds.of(&one.name).map_or(0, |bound| bound.window_seconds);
            forget(course, now.plus_seconds(-window));
        }
        next.last = Some(signed);
        next
    }
}

/// Drops what ended before an instant, and keeps what is left short.
fn forget(course: &mut VecDeque<Stretch>, before: Timestamp) {
    while course.get(1).is_some_and(|next| next.since <= before) {
        course.pop_front();
    }
    while course.len() > STRETCHES {
        let (Some(first), Some(second)) = (course.pop_front(), course.front_mut()) else { return };
        second.since = first.since;
        second.least = second.least.min(first.least);
        second.most = second.most.max(first.most);
        second.held = second.held.max(first.held);
    }
}

/// The file, which one process at a time has.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    pub(super) kept: Kept,
    _lock: File,
}

impl Ledger {
    /// Begins one that is not there yet. Without this nothing is signed: a ledger that is missing is not one that is empty.
    ///
    /// # Errors
    /// When there is one; what the disk says.
    pub fn begin(path: &Path, signer: Address, (identity, chain): (&str, Chain)) -> anyhow::Result<()> {
        if path.exists() {
            bail!("{} is there already", path.display());
        }
        let kept = Kept {
            signer,
            identity: identity.to_owned(),
            chain,
            last: None,
            signed: VecDeque::new(),
            course: BTreeMap::new(),
        };
        let _lock = locked(path)?;
        write(path, &kept)
    }

    /// Opens it.
    ///
    /// # Errors
    /// When it is not there, is another's, is open to others, cannot be read, or another process has it.
    pub fn open(path: &Path, signer: Address, (identity, chain): (&str, Chain)) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        let lock = locked(path)?;
        if !path.exists() {
            bail!("{}: no ledger: `--begin` begins one; where it was lost, restore it", at());
        }
        Keyring::private(path)?;
        let kept: Kept = serde_json::from_slice(&std::fs::read(path).with_context(at)?).with_context(at)?;
        if (kept.signer, kept.identity.as_str(), kept.chain) != (signer, identity, chain) {
            bail!("{}: the ledger of {} for `{}`", at(), kept.signer, kept.identity);
        }
        Ok(Self { path: path.to_owned(), kept, _lock: lock })
    }

    /// Puts on disk what is to be remembered from now on.
    ///
    /// # Errors
    /// What the disk says; then nobody knows what it has, and nothing more may be signed.
    pub(super) fn keep(&mut self, kept: Kept) -> anyhow::Result<()> {
        write(&self.path, &kept)?;
        self.kept = kept;
        Ok(())
    }
}

/// Whole or not at all.
fn write(path: &Path, kept: &Kept) -> anyhow::Result<()> {
    let at = || path.display().to_string();
    let beside = beside(path, "new");
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create(true).truncate(true).mode(0o600).open(&beside).with_context(at)?;
    file.write_all(&serde_json::to_vec(kept)?).with_context(at)?;
    file.sync_all().with_context(at)?;
    std::fs::rename(&beside, path).with_context(at)?;
    // The name is durable when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(at)
}

fn locked(path: &Path) -> anyhow::Result<File> {
    let beside = beside(path, "lock");
    let at = || beside.display().to_string();
    let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(&beside).with_context(at)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("{}: another process signs by this ledger", path.display()),
        Err(TryLockError::Error(error)) => Err(error).with_context(at),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{ending}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn what_is_put_together_bounds_as_much_as_its_parts() {
        let mut course: VecDeque<Stretch> = (0..100)
            .map(|i| Stretch { since: at(i), least: Ppb(i), most: Ppb(200 - i), held: Ppb(i % 7) })
            .collect();
        forget(&mut course, at(-1));
        assert_eq!(course.len(), STRETCHES);
        let oldest = course[0];
        assert_eq!((oldest.since, oldest.least, oldest.most, oldest.held), (at(0), Ppb(0), Ppb(200), Ppb(6)));
        // What stood when the window began still counts; what gave way before does not.
        forget(&mut course, at(80));
        assert_eq!((course[0].since, course.len()), (at(80), 20));
    }
}
