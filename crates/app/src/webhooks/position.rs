//! How far a receiver was told, on disk, and what it was not told before the server stopped.
//!
//! **The one idea:** what is told follows from the journal, so what waited at a stop need not be written down: where a receiver stands is
//! enough to find it again.

use crate::host::{Applied, Begin, End, follow};
use anyhow::Context;
use plimsoll_engine::live::Effect;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The folder beside the journal's segments.
const FOLDER: &str = "webhooks";

/// Everything up to an effect of a record was told or given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position {
    /// The record.
    pub(super) sequence: u64,
    /// The effect of it, counted from 0; nothing stands for all of them.
    pub(super) place: Option<usize>,
    /// Messages that were given up and not spoken of yet.
    pub(super) given_up: u64,
}

impl Position {
    /// After a whole record.
    pub(super) fn whole(sequence: u64, given_up: u64) -> Self {
        Self { sequence, place: None, given_up }
    }

    /// Whether an effect lies behind it.
    pub(super) fn is_past(&self, sequence: u64, place: usize) -> bool {
        let of_it = || self.place.is_none_or(|told| place <= told);
        sequence < self.sequence || (sequence == self.sequence && of_it())
    }
}

/// The file of a receiver. It is renamed into place and not synced: after a power cut some may be told twice, under the same `id`.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    at: Mutex<Option<Position>>,
}

impl Kept {
    /// Of a receiver, beside a journal; no position where it was never told anything.
    ///
    /// # Errors
    /// What is there and cannot be read.
    pub(super) fn open(journal: &Path, name: &str) -> anyhow::Result<Self> {
        let path = journal.join(FOLDER).join(format!("{name}.json"));
        let at = || path.display().to_string();
        let found = match std::fs::read(&path) {
            Ok(text) => Some(serde_json::from_slice(&text).with_context(at)?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(at),
        };
        Ok(Self { path, at: Mutex::new(found) })
    }

    /// As it stands.
    pub(super) fn position(&self) -> Option<Position> {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on; a disk that fails is said and costs no more than telling again.
    pub(super) fn advance(&self, to: Position) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        if *at != Some(to) {
            *at = Some(to);
            if let Err(error) = self.write(&to) {
                tracing::warn!("{}: {error:#}", self.path.display());
            }
        }
    }

    fn write(&self, position: &Position) -> anyhow::Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, serde_json::to_vec(position)?)?;
        Ok(std::fs::rename(&beside, &self.path)?)
    }
}

/// What a journal says after a position, up to a record: the first `most` records of which something is wanted, and how many more there are.
///
/// # Errors
/// What the journal refuses; when it no longer holds them.
pub(super) fn since(
    journal: &Path,
    (position, until): (Position, u64),
    most: usize,
    wanted: impl Fn(&Effect) -> bool,
) -> anyhow::Result<(Vec<Arc<Applied>>, u64)> {
    let (mut found, mut more) = (Vec::new(), 0);
    // Of the record itself some may be left to tell.
    let begin = Begin::After(position.sequence.saturating_sub(1));
    follow(journal, (begin, End::at(until)), |course, taken| {
        if course.sequence >= position.sequence && taken.effects.iter().any(&wanted) {
            if found.len() < most {
                let state = course.engine.state();
                found.push(Arc::new(Applied {
                    sequence: course.sequence,
                    at: state.now,
                    effects: taken.effects.to_vec(),
                    parameters: state.policy.board().version(),
                    snapshot: course.engine.valued().surface.as_of,
                    validity: course.validity(),
                }));
            } else {
                more += 1;
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((found, more))
}
