//! History: changes of parameters, standings and liquidations, each written once, in the order of the journal.

use crate::host::chronicle::{Kind, Readings, kind};
use crate::host::{Begin, Course, End, Noted, Pruned, Shared, Taken, follow};
use crate::wire;
use anyhow::Context;
use plimsoll_policy::Decision;
use plimsoll_readmodels::{Change, Liquidation, Store};
use plimsoll_types::{Ppb, Timestamp};
use serde_json::{Value, json};
use std::ops::ControlFlow;
use std::path::PathBuf;
use tokio::runtime::Runtime;

/// Rows that are kept before they are written, but for those of one record.
const ROWS: usize = 512;

/// Records after which it is said how far a reading of the journal is.
const RECORDS: u64 = 10_000;

/// What is written next.
#[derive(Default)]
struct Batch {
    changes: Vec<Change>,
    liquidations: Vec<Liquidation>,
}

/// Where history comes from.
pub(super) struct History {
    journal: PathBuf,
}

impl History {
    pub(super) fn new(journal: PathBuf) -> Self {
        Self { journal }
    }

    /// Writes what was noted after a record, and says up to which it is whole now.
    pub(super) fn catch_up(
        &self,
        runtime: &Runtime,
        store: &mut Store,
        (shared, done): (&Shared, u64),
        stopped: &dyn Fn() -> bool,
    ) -> anyhow::Result<u64> {
        if let Some(done) = recent(runtime, store, (shared, done))? {
            return Ok(done);
        }
        let whole_after = shared.course().chronicle.whole_after();
        tracing::info!(after = done, "read models read the journal again");
        let read = self.reread(runtime, store, (done, whole_after), stopped);
        match read {
            Err(error) if error.downcast_ref::<Pruned>().is_some() => {
                tracing::error!(after = done, until = whole_after, "history that is pruned: {error:#}");
                runtime.block_on(store.gap(done, whole_after))?;
                Ok(whole_after)
            }
            other => other,
        }
    }

    /// The same from the journal, of records that have given way.
    fn reread(
        &self,
        runtime: &Runtime,
        store: &mut Store,
        (done, until): (u64, u64),
        stopped: &dyn Fn() -> bool,
    ) -> anyhow::Result<u64> {
        let mut batch = Batch::default();
        let mut written = done;
        follow(&self.journal, (Begin::After(done), End::at(until)), |course, taken| {
            if course.sequence <= done {
                return Ok(ControlFlow::Continue(()));
            }
            batch.take(course, taken)?;
            if batch.len() >= ROWS || course.sequence.is_multiple_of(RECORDS) || course.sequence == until {
                batch.write(runtime, store, (course.sequence, course.engine.state().now))?;
                written = course.sequence;
                if stopped() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(written)
    }
}

/// From what is noted, unless some of it has given way: some at a time, so that the engine is held for a moment only.
fn recent(
    runtime: &Runtime,
    store: &mut Store,
    (shared, done): (&Shared, u64),
) -> anyhow::Result<Option<u64>> {
    let (parameters, accounts, (until, now)) = {
        let course = shared.course();
        if course.chronicle.whole_after() > done {
            return Ok(None);
        }
        let of = |kind| course.chronicle.after(kind, done, ROWS);
        let ((parameters, first), (accounts, second)) = (of(Kind::Parameters), of(Kind::Accounts));
        let until = [first, second].into_iter().flatten().min().unwrap_or(course.sequence);
        (parameters, accounts, (until, course.engine.state().now))
    };
    let (mut batch, mut place) = (Batch::default(), Places::default());
    for noted in parameters.iter().filter(|noted| noted.sequence <= until) {
        batch.changes(noted, &mut place)?;
    }
    let mut place = Places::default();
    for noted in accounts.iter().filter(|noted| noted.sequence <= until) {
        batch.liquidation(noted, &mut place)?;
    }
    batch.write(runtime, store, (until, now))?;
    Ok(Some(until))
}

/// Places within a record, as they come.
#[derive(Default)]
struct Places {
    sequence: u64,
    next: i32,
}

impl Places {
    fn of(&mut self, sequence: u64) -> i32 {
        if self.sequence != sequence {
            *self = Self { sequence, next: 0 };
        }
        self.next += 1;
        self.next - 1
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.changes.len() + self.liquidations.len()
    }

    /// What followed from a record.
    fn take(&mut self, course: &Course, taken: &Taken<'_>) -> anyhow::Result<()> {
        let units = &course.engine.rules().params.units;
        let (mut changes, mut steps) = (Places::default(), Places::default());
        for effect in taken.effects {
            let noted = || Noted {
                sequence: course.sequence,
                at: course.engine.state().now,
                what: wire::effect(effect, units),
                readings: Readings::new(),
            };
            match kind(effect) {
                Some(Kind::Parameters) => self.changes(&noted(), &mut changes)?,
                Some(Kind::Accounts) => self.liquidation(&noted(), &mut steps)?,
                Some(Kind::Feeds) | None => {}
            }
        }
        Ok(())
    }

    fn changes(&mut self, noted: &Noted, places: &mut Places) -> anyhow::Result<()> {
        let decision = noted.what.get("decision").context("a change of parameters without a decision")?;
        let decision: Decision = serde_json::from_value(decision.clone()).context("decision")?;
        for change in &decision.changes {
            let causes = change.causes.iter();
            let causes: Vec<Value> = causes
                .map(|(cause, part)| json!({ "cause": cause.to_string(), "part": Ppb(*part).to_string() }))
                .collect();
            self.changes.push(Change {
                sequence: i64::try_from(noted.sequence)?,
                ordinal: places.of(noted.sequence),
                as_of: noted.at.to_string(),
                version: i64::try_from(decision.version)?,
                parameter: change.key.to_string(),
                before: change.from.to_string(),
                after: change.to.to_string(),
                maintenance: serde_json::to_string(&change.maintenance)?,
                causes: serde_json::to_string(&causes)?,
                words: change.to_string(),
            });
        }
        Ok(())
    }

    fn liquidation(&mut self, noted: &Noted, places: &mut Places) -> anyhow::Result<()> {
        let text = |name: &str| noted.what.get(name).and_then(Value::as_str).map(str::to_owned);
        self.liquidations.push(Liquidation {
            sequence: i64::try_from(noted.sequence)?,
            ordinal: places.of(noted.sequence),
            as_of: noted.at.to_string(),
            effect: text("effect").context("an effect without a name")?,
            account: text("account"),
            intent: noted.what.get("intent").and_then(Value::as_i64),
            body: noted.what.to_string(),
        });
        Ok(())
    }

    fn write(
        &mut self,
        runtime: &Runtime,
        store: &mut Store,
        (until, now): (u64, Timestamp),
    ) -> anyhow::Result<()> {
        let Self { changes, liquidations } = std::mem::take(self);
        runtime.block_on(store.history((until, &now.to_string()), &changes, &liquidations))?;
        for (table, rows) in [("parameter_changes", changes.len()), ("liquidations", liquidations.len())] {
            metrics::counter!("plimsoll_read_models_rows_total", "table" => table).increment(rows as u64);
        }
        Ok(())
    }
}
