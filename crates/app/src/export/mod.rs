//! The past as columns: a period of a journal as Parquet files, a table at a time, a day at a time.
//!
//! **The one idea:** a file is a function of the journal, the table and the day. A day is always written whole, of the engine's own
//! time, which never goes back; so the same period gives the same bytes, whoever asks and however often.
//!
//! **Must never know:** a formula; the server.

mod files;
mod rows;
mod tables;

pub use files::Written;
pub use tables::{Column, Kind, TABLES, Table};

use crate::host::{Begin, End, follow, identity_of};
use anyhow::{Context, bail};
use files::Partitions;
use plimsoll_types::Timestamp;
use std::ops::ControlFlow;
use std::path::Path;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// The first record that may follow a snapshot of an engine that was there before its journal.
const FIRST_EVENT: u64 = 2;

/// A day in UTC, counted from 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Day(i64);

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.seconds().div_euclid(DAY))
    }

    /// Its first instant.
    pub fn begins(self) -> Timestamp {
        Timestamp::from_nanos(0).plus_seconds(self.0.saturating_mul(DAY))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (year, month, day) = self.begins().date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl std::str::FromStr for Day {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let at: Timestamp =
            format!("{text}T00:00:00Z").parse().with_context(|| format!("`{text}` is no day: YYYY-MM-DD"))?;
        Ok(Self::of(at))
    }
}

/// What of a journal is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Period {
    /// From this day, whole.
    pub from: Option<Day>,
    /// To this day, whole.
    pub to: Option<Day>,
    /// Seconds from one sample of all margins to the next, from midnight; they divide a day.
    pub sample_seconds: i64,
}

/// Writes a period of the journal in `dir` below `into`, and says which files there are now.
///
/// # Errors
/// What the journal refuses, or was pruned from it; amounts that the columns have no room for; what the disk says. Files are
/// put in place whole, day by day: what was written before an error stays.
pub fn export(dir: &Path, into: &Path, period: Period) -> anyhow::Result<Vec<Written>> {
    let Period { from, to, sample_seconds } = period;
    if sample_seconds < 1 || DAY % sample_seconds != 0 {
        bail!("samples {sample_seconds} s apart: they must divide a day of {DAY} s");
    }
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        bail!("the period ends before it begins");
    }
    let mut partitions = Partitions::new(into, &identity_of(dir)?)?;
    let (mut from, mut slot) = (from, None);
    let begin = from.map_or(Begin::First, |from| Begin::Instant(from.begins()));
    follow(dir, (begin, End::default()), |course, taken| {
        let now = course.engine.state().now;
        let day = Day::of(now);
        if to.is_some_and(|to| day > to) {
            return Ok(ControlFlow::Break(()));
        }
        // Of a journal that was pruned, the day it begins in is no longer whole: what was written of it before stays.
        let pruned = course.sequence > FIRST_EVENT;
        let from = *from.get_or_insert(if pruned { Day(day.0.saturating_add(1)) } else { day });
        let here = now.seconds().div_euclid(sample_seconds);
        let sampled = slot.replace(here) != Some(here);
        if day >= from {
            partitions.enter(day, course.sequence)?;
            rows::of_record(course, taken, &mut |table, row| partitions.push(table, row))?;
            if sampled {
                rows::of_accounts(course, &mut |table, row| partitions.push(table, row))?;
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    partitions.finish()
}
