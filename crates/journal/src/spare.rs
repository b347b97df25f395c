//! The next segment, allocated ahead, so that going on in a new one costs one small write and not a file of zeros.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{Disk, DiskFile};
use crate::error::{Error, Result};

/// A file of zeros, synced, under a temporary name.
pub(crate) struct Ready {
    pub(crate) name: String,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) length: u64,
}

#[derive(Default)]
pub(crate) struct Slot {
    ready: Mutex<Option<Ready>>,
    /// One was asked for since the last was taken: a disk that refused is not asked again and again.
    asked: AtomicBool,
    /// Every file has a name of its own, so that none is prepared over one that is being put to use.
    count: AtomicU64,
}

impl Slot {
    pub(crate) fn take(&self) -> Option<Ready> {
        self.asked.store(false, Ordering::Release);
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn wanted(&self) -> bool {
        !self.asked.load(Ordering::Acquire)
    }
}

/// Allocates the next segment of a journal, on any thread, while the journal goes on.
pub struct Preparer {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) slot: Arc<Slot>,
    pub(crate) length: u64,
}

impl std::fmt::Debug for Preparer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Preparer {{ wanted: {} }}", self.slot.wanted())
    }
}

/// Zeros between two syncs: small, so that a group that is synced meanwhile waits for little.
const STRIDE: u64 = 4 << 20;

impl Preparer {
    /// Prepares a segment if the last one was taken. Without it, and when it fails, the journal allocates the next segment
    /// itself when it needs it: a failure here says nothing about what is accepted, and poisons nothing.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn prepare(&self) -> Result<()> {
        if self.slot.asked.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let name = format!("spare-{}.tmp", self.slot.count.fetch_add(1, Ordering::AcqRel));
        let io = |action| move |error: std::io::Error| (action, error);
        let prepared = self.disk.create(&name).map_err(io("create")).and_then(|file| {
            let zeros = vec![0; self.length.min(STRIDE) as usize];
            let mut at = 0;
            while at < self.length {
                let piece = (self.length - at).min(STRIDE) as usize;
                file.write_at(at, &zeros[..piece]).map_err(io("allocate"))?;
                file.sync().map_err(io("sync"))?;
                at += STRIDE;
            }
            Ok(file)
        });
        match prepared {
            Ok(file) => {
                let ready = Ready { name, file, length: self.length };
                *self.slot.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready);
                Ok(())
            }
            Err((action, error)) => {
                let _ = self.disk.remove(&name);
                Err(Error::io(action, &name, 0, &error))
            }
        }
    }
}
