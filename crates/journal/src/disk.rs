//! What the journal needs of a disk, and the real one.
//!
//! The second implementation is [`crate::sim::SimDisk`], on which every fault can be had.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// A flat directory of files.
pub trait Disk: Send + Sync {
    /// Names of all files, in no particular order.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that exists, to read and, unless the disk is for reading only, to write.
    ///
    /// # Errors
    /// What the system says; `NotFound` when there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a file, or empties the one there.
    ///
    /// # Errors
    /// What the system says.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file, over another if there is one. Durable only after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// What the system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable only after [`Disk::sync_directory`].
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and removals durable.
    ///
    /// # Errors
    /// What the system says.
    fn sync_directory(&self) -> io::Result<()>;
}

/// A disk that several own: the journal, its snapshots, a reader.
impl<D: Disk + ?Sized> Disk for Arc<D> {
    fn list(&self) -> io::Result<Vec<String>> {
        (**self).list()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        (**self).open(name)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        (**self).create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        (**self).rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        (**self).remove(name)
    }

    fn sync_directory(&self) -> io::Result<()> {
        (**self).sync_directory()
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Length in bytes.
    ///
    /// # Errors
    /// What the system says.
    fn length(&self) -> io::Result<u64>;
    /// Fills `into` from `offset` on.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` when the file is too short.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. Durable only after [`DiskFile::sync`].
    ///
    /// # Errors
    /// What the system says; some of the bytes may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was written durable (`fdatasync`).
    ///
    /// # Errors
    /// What the system says. What was written since the last sync is then in doubt for good: a later sync that
    /// succeeds proves nothing about it.
    fn sync(&self) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct DirDisk {
    path: PathBuf,
    /// Held as long as the disk is: the system gives it back when the process ends, however it ends.
    lock: Option<File>,
}

/// The file whose lock says that a process writes here.
pub const LOCK_FILE: &str = "LOCK";

impl DirDisk {
    /// A directory to write in, created if need be, locked against every other writer.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process (or this one) writes there; [`Error::Io`].
    pub fn exclusive(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let io = |action| move |error: io::Error| Error::io(action, &path.display().to_string(), 0, &error);
        std::fs::create_dir_all(path).map_err(io("create directory"))?;
        if let Some(parent) = path.parent() {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            File::open(parent).and_then(|p| p.sync_all()).map_err(io("sync the parent of"))?;
        }
        let lock = OpenOptions::new().create(true).append(true).open(path.join(LOCK_FILE));
        let lock = lock.map_err(io("open the lock of"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock: Some(lock) }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Error::Locked { file: format!("{shown}/{LOCK_FILE}") })
            }
            Err(std::fs::TryLockError::Error(error)) => Err(io("lock")(error)),
        }
    }

    /// A directory to read from, also while another process writes there.
    #[must_use]
    pub fn read_only(path: &Path) -> Self {
        Self { path: path.to_owned(), lock: None }
    }

    fn writable(&self) -> io::Result<()> {
        let refused = || io::Error::new(io::ErrorKind::PermissionDenied, "the disk was opened to read only");
        self.lock.as_ref().map(|_| ()).ok_or_else(refused)
    }
}

impl Disk for DirDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = std::fs::read_dir(&self.path)?.map(|entry| entry.map(|e| e.file_name()));
        names.map(|name| name.map(|n| n.to_string_lossy().into_owned())).collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(self.lock.is_some()).open(self.path.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.writable()?;
        let mut how = OpenOptions::new();
        let file = how.read(true).write(true).create(true).truncate(true).open(self.path.join(name))?;
        Ok(Box::new(RealFile(file)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.writable()?;
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.writable()?;
        std::fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
