//! A recording as a source: files of tardis.dev or of markets, CSV or Parquet, told again at a chosen speed.
//!
//! **The one idea:** every file is read by a thread of its own, a few thousand things ahead, and of all files what arrived first is told
//! first. Times are moved to those at which things are told; expiries stay where they are.

use crate::io::market::each_snapshot;
use crate::io::tape::recording;
use anyhow::{Context, bail};
use plimsoll_feeds::replay::{Named, Said, of_snapshot};
use plimsoll_feeds::{Reason, Refusal};
use plimsoll_types::{Asset, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;

/// What a file's reader is ahead, things said.
const AHEAD: usize = 4_096;

/// `[sources.NAME]` of kind `replay`.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Tables of tardis.dev, files of markets or directories of them; beside the configuration.
    pub files: Vec<PathBuf>,
    /// How much faster than it happened; > 0, and `inf` as fast as it goes.
    #[serde(default = "as_it_happened")]
    pub speed: f64,
    /// What symbols stand for that do not say so themselves.
    #[serde(default)]
    pub symbols: BTreeMap<String, Named>,
    /// In what the index prices of files of markets are.
    #[serde(default = "dollars")]
    pub quote: Asset,
}

fn as_it_happened() -> f64 {
    1.0
}

fn dollars() -> Asset {
    Asset::new("USD").unwrap_or_else(|e| unreachable!("{e}"))
}

impl Recorded {
    /// With its files in `folder`.
    #[must_use]
    pub fn beside(mut self, folder: &Path) -> Self {
        self.files.iter_mut().for_each(|file| *file = folder.join(&*file));
        self
    }

    /// Refuses what cannot be told.
    ///
    /// # Errors
    /// No file, one that is not there, a speed that is none.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.files.is_empty() {
            bail!("`files` names none");
        }
        if self.speed.is_nan() || self.speed <= 0.0 {
            bail!("`speed` is {}: expected more than 0", self.speed);
        }
        for file in &self.files {
            file.metadata().with_context(|| file.display().to_string())?;
        }
        Ok(())
    }

    /// What is said in all files, by when it arrived; depth is within `band`, a share of the middle. To be asked where waiting for a disk is
    /// allowed.
    pub fn said(&self, band: f64) -> impl Iterator<Item = Result<Said, Refusal>> + Send + use<> {
        let mut files: Vec<_> = self.files.iter().map(|file| self.ahead(file.clone(), band)).collect();
        std::iter::from_fn(move || {
            // A refusal has no instant: it is counted at once.
            let instant = |said: &Result<Said, Refusal>| said.as_ref().ok().map(|said| said.at);
            let next = files.iter_mut().enumerate();
            let next = next.filter_map(|(at, file)| Some((instant(file.peek()?), at)));
            let (_, at): (Option<Timestamp>, usize) = next.min()?;
            files.get_mut(at)?.next()
        })
    }

    fn ahead(&self, file: PathBuf, band: f64) -> Peekable<mpsc::IntoIter<Result<Said, Refusal>>> {
        let (send, told) = mpsc::sync_channel(AHEAD);
        let (symbols, quote) = (self.symbols.clone(), self.quote.clone());
        std::thread::spawn(move || {
            // A receiver that is gone wants no more.
            let mut tell = |said| match send.send(said) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            if let Err(error) = read(&file, (&symbols, &quote, band), &mut tell) {
                tracing::warn!(file = %file.display(), error = format!("{error:#}"), "a recording ends early");
                let _ = tell(Err(Refusal::new(Reason::Malformed, format_args!("{error:#}"))));
            }
        });
        told.into_iter().peekable()
    }
}

/// A table of tardis.dev where it is one, else whatever market files there are.
fn read(
    file: &Path,
    (symbols, quote, band): (&BTreeMap<String, Named>, &Asset, f64),
    tell: &mut dyn FnMut(Result<Said, Refusal>) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    if file.is_dir() || recording(file, (symbols, band), tell)?.is_none() {
        each_snapshot(file, &mut |snapshot, _| tell(of_snapshot(&snapshot, quote)))?;
    }
    Ok(())
}
