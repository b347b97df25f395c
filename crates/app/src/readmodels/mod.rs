//! Read models in Postgres, kept up beside an engine that runs.
//!
//! **The one idea:** the engine tells nobody and waits for nobody. A thread of its own looks at what stands, some accounts at a time, and at what
//! was noted since the record the database says it holds; where that has given way already, it reads the journal again.
//!
//! **Must never know:** a formula; what is asked of the database.

mod history;
mod sweep;

use crate::host::{JournalConfig, Shared};
use anyhow::{Context, bail};
use history::History;
use plimsoll_readmodels::{Store, Target};
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use sweep::Sweep;
use tokio::runtime::Runtime;

/// Between two attempts to reach a database that is away: first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Which database, and how often.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresConfig {
    /// The file that holds its address, which nobody else may read.
    pub url_file: PathBuf,
    /// Whom to trust with its certificate, PEM; without it, whom the system trusts.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// Milliseconds from one look at all accounts to the next.
    #[serde(default = "every_ms")]
    pub every_ms: u64,
    /// Accounts whose scenario vectors are kept: those with the least equity over maintenance margin.
    #[serde(default = "worst")]
    pub worst: usize,
}

fn every_ms() -> u64 {
    1_000
}

fn worst() -> usize {
    20
}

impl PostgresConfig {
    /// With the files it names beside the configuration's own.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.url_file = folder.join(&self.url_file);
        self.authorities = self.authorities.map(|path| folder.join(path));
        self
    }

    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// By the name of the key.
    pub fn check(&self) -> anyhow::Result<()> {
        if !(10..=3_600_000).contains(&self.every_ms) {
            bail!("`postgres.every_ms` is {}: expected 10 to 3600000", self.every_ms);
        }
        if self.worst > 1_000 {
            bail!("`postgres.worst` is {}: expected 0 to 1000", self.worst);
        }
        self.target().map(drop)
    }

    fn target(&self) -> anyhow::Result<Target> {
        let at = || format!("postgres.url_file: {}", self.url_file.display());
        let mode = std::fs::metadata(&self.url_file).with_context(at)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{}: mode {:o} lets others at it: expected 600", at(), mode & 0o777);
        }
        let address = std::fs::read_to_string(&self.url_file).with_context(at)?;
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("postgres.authorities: {}", path.display()))
        };
        let authorities = self.authorities.as_ref().map(read).transpose()?;
        Target::parse(&address, authorities.as_deref()).with_context(at)
    }
}

/// The thread that writes.
#[derive(Debug)]
pub struct ReadModels {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl ReadModels {
    /// Starts it. A database that is away is waited for, however long.
    ///
    /// # Errors
    /// When the address is none or the thread does not start.
    pub fn start(
        config: &PostgresConfig,
        journal: &JournalConfig,
        shared: &Arc<Shared>,
    ) -> anyhow::Result<Self> {
        let target = config.target()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = channel();
        let writer = Writer {
            target,
            identity: journal.identity.clone(),
            every: Duration::from_millis(config.every_ms),
            history: History::new(journal.dir.clone()),
            sweep: Sweep::new(config.worst),
            shared: Arc::clone(shared),
            stopped,
            runtime,
        };
        let spawned = std::thread::Builder::new().name("read models".to_owned()).spawn(move || writer.run());
        Ok(Self { stop, thread: spawned.context("the thread of read models")? })
    }

    /// Ends it after the write that is under way. What is missing then is written after the next start.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of read models panicked");
        }
    }
}

struct Writer {
    target: Target,
    identity: String,
    every: Duration,
    history: History,
    sweep: Sweep,
    shared: Arc<Shared>,
    stopped: Receiver<()>,
    runtime: Runtime,
}

impl Writer {
    fn run(mut self) {
        let mut pause = PAUSES.0;
        loop {
            let mut reached = false;
            match self.session(&mut reached) {
                Ok(()) => return,
                Err(error) => {
                    metrics::counter!("plimsoll_read_models_errors_total").increment(1);
                    tracing::warn!("read models fall behind: {error:#}");
                }
            }
            metrics::gauge!("plimsoll_read_models_up").set(0.0);
            pause = if reached { PAUSES.0 } else { pause.saturating_mul(2).min(PAUSES.1) };
            if self.told(pause) {
                return;
            }
        }
    }

    /// Writes until it is told to stop, or until an error.
    fn session(&mut self, reached: &mut bool) -> anyhow::Result<()> {
        let mut store = self.runtime.block_on(Store::open(&self.target, &self.identity))?;
        let mut done = self.runtime.block_on(store.progress())?.history;
        let applied = self.shared.applied();
        if done > applied {
            bail!(
                "the database holds what followed from record {done}, and the journal ends at {applied}: one of them was restored"
            );
        }
        // The database may have lost what it had not synced, or been restored: everything is told anew.
        self.sweep.forget();
        loop {
            done = self
                .history
                .catch_up(&self.runtime, &mut store, (&*self.shared, done), &|| self.is_stopped())?;
            let whole = self.sweep.step(&self.runtime, &mut store, &self.shared)?;
            *reached = true;
            self.tell(done);
            let pause = if whole { self.every } else { Duration::ZERO };
            if self.told(pause) {
                return Ok(());
            }
        }
    }

    fn tell(&self, done: u64) {
        let behind = self.shared.applied().saturating_sub(done);
        metrics::gauge!("plimsoll_read_models_up").set(1.0);
        metrics::gauge!("plimsoll_read_models_sequence").set(done as f64);
        metrics::gauge!("plimsoll_read_models_lag_events").set(behind as f64);
        metrics::gauge!("plimsoll_read_models_sweep_lag_events")
            .set(self.shared.applied().saturating_sub(self.sweep.swept()) as f64);
    }

    fn is_stopped(&self) -> bool {
        self.told(Duration::ZERO)
    }

    /// Waits, and says whether it is to stop.
    fn told(&self, pause: Duration) -> bool {
        !matches!(self.stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout))
    }
}
