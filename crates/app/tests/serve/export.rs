//! A journal as Parquet: what is published of the columns, what stands in them, and that it is the same whoever asks.

use crate::world::World;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use plimsoll_app::export::{Day, Period, TABLES, export};
use plimsoll_app::host::replay;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

const HOURLY: Period = Period { from: None, to: None, sample_seconds: 3_600 };

/// Three days of a small market, snapshots among them: the folder, the journal in it, and its days.
fn three_days() -> (tempfile::TempDir, PathBuf, Vec<Day>) {
    let mut world = World::calm_in(tempfile::tempdir().unwrap(), "snapshot_events = 8\n");
    let mut days = vec![Day::of(world.now)];
    world.open("carol", "2000");
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "3", "3310");
    world.price("ETH", "2990");
    // A fact that cannot be: refused, and in the journal.
    world.tell(serde_json::json!({ "type": "deposit", "account": "nobody", "asset": "USD", "amount": "1" }));
    for day in 1..3 {
        world.now = days[0].begins().plus_seconds(86_400 * day + 3_600 * 5);
        days.push(Day::of(world.now));
        for price in ["3000", "3001", "3002"] {
            world.price("ETH", price);
            world.now = world.now.plus_seconds(1_800);
        }
    }
    world.host.take().unwrap().stop().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let journal = dir.path().join("journal");
    copy(&journal_of(&world), &journal);
    (dir, journal, days)
}

fn journal_of(world: &World) -> PathBuf {
    crate::world::config(world.dir.path(), "").journal.dir
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.path().is_file()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The bytes of every file below a folder, by path.
fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                open.push(entry);
            } else {
                found.insert(entry.strip_prefix(root).unwrap().to_owned(), std::fs::read(&entry).unwrap());
            }
        }
    }
    found
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

fn texts(batches: &[RecordBatch], name: &str) -> Vec<Option<String>> {
    let each = |batch: &RecordBatch| {
        let column = batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        column.iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>()
    };
    batches.iter().flat_map(each).collect()
}

#[test]
fn the_schemas_that_are_published_are_those_that_are_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schemas");
    let (dir, journal, _) = three_days();
    let into = dir.path().join("out");
    let written = export(&journal, &into, HOURLY).unwrap();
    let mut seen = 0;
    for table in TABLES {
        let page = std::fs::read_to_string(folder.join(format!("{}.json", table.name))).unwrap();
        let expected = format!("{}\n", serde_json::to_string_pretty(&table.page()).unwrap());
        assert_eq!(page, expected, "docs/schemas/{}.json: `plimsoll export --schema {0}`", table.name);
        for file in written.iter().filter(|file| file.table == table.name) {
            let opened = File::open(into.join(&file.path)).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(opened).unwrap();
            assert_eq!(reader.schema().fields(), table.schema().fields(), "{}", file.path.display());
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen} files compared");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), TABLES.len(), "a schema of no table");
}

#[test]
fn every_record_is_there_once_and_the_amounts_are_the_engines_own() {
    let (dir, journal, days) = three_days();
    let into = dir.path().join("out");
    export(&journal, &into, HOURLY).unwrap();
    let (course, records) = replay(&journal, None, |_| Ok(())).unwrap();
    let mut sequences = Vec::new();
    for day in &days {
        let events = read(&into.join(format!("table=events/day={day}/part-00000.parquet")));
        for batch in &events {
            sequences.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
        }
    }
    assert_eq!(sequences, (1..=i64::try_from(records).unwrap()).collect::<Vec<_>>());
    let first = read(&into.join(format!("table=events/day={}/part-00000.parquet", days[0])));
    assert_eq!(texts(&first, "kind")[0].as_deref(), Some("charter"));
    let refused: Vec<String> = texts(&first, "refused").into_iter().flatten().collect();
    assert_eq!(refused, ["unknown_account"]);
    let steps = read(&into.join(format!("table=liquidations/day={}/part-00000.parquet", days[0])));
    assert!(texts(&steps, "what").contains(&Some("liquidate".to_owned())));
    assert!(texts(&steps, "account").iter().all(|account| account.as_deref() == Some("carol")));
    // The last sample was taken at 06:00, after the last record.
    let last = read(&into.join(format!("table=margins/day={}/part-00000.parquet", days[2])));
    let (engine, units) = (&course.engine, &course.engine.rules().params.units);
    let accounts = engine.state().ledger.accounts();
    let (names, batch) = (texts(&last, "account"), &last[last.len() - 1]);
    let (tail, mut valued) = (names.len() - accounts.len(), 0);
    for (number, account) in (0_u32..).zip(accounts) {
        let row = tail + number as usize;
        assert_eq!(names[row].as_deref(), Some(account.id.to_string().as_str()));
        let Some(Ok(totals)) = engine.valued().totals(number) else {
            assert!(
                batch.column_by_name("equity").unwrap().is_null(row),
                "what cannot be valued has no amount"
            );
            continue;
        };
        valued += 1;
        for (column, ticks) in [("equity", totals.equity), ("im", totals.im), ("mm_excess", totals.mm_excess)]
        {
            let amounts = batch.column_by_name(column).unwrap().as_primitive::<Decimal128Type>();
            assert!(!amounts.is_null(row));
            assert_eq!(
                amounts.value(row),
                ticks.0 * 1_000_000_000 / i128::from(units.ticks_per_unit),
                "{column}"
            );
        }
    }
    assert!(valued > 0, "nobody is valued: nothing was compared");
}

#[test]
fn the_same_period_gives_the_same_bytes() {
    let (dir, journal, days) = three_days();
    let (whole, again) = (dir.path().join("whole"), dir.path().join("again"));
    export(&journal, &whole, HOURLY).unwrap();
    let first = files(&whole);
    export(&journal, &whole, HOURLY).unwrap();
    assert_eq!(files(&whole), first, "written over itself");
    // Day by day, backwards, so that each begins at a snapshot or at the beginning.
    for day in days.iter().rev() {
        let written =
            export(&journal, &again, Period { from: Some(*day), to: Some(*day), ..HOURLY }).unwrap();
        assert!(written.iter().all(|file| file.day == *day) && !written.is_empty());
    }
    assert_eq!(files(&again), first, "day by day");
    let unfinished = first.keys().filter(|path| path.to_string_lossy().contains("_part")).count();
    assert_eq!(unfinished, 0);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let (dir, journal, days) = three_days();
    let refused = |period| export(&journal, &dir.path().join("out"), period).unwrap_err().to_string();
    assert!(refused(Period { sample_seconds: 7_000, ..HOURLY }).contains("divide a day"));
    assert!(refused(Period { from: Some(days[1]), to: Some(days[0]), ..HOURLY }).contains("ends before"));
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("_identity"), "somebody else").unwrap();
    let refused = export(&journal, &other, HOURLY).unwrap_err().to_string();
    assert!(refused.contains("somebody else"), "{refused}");
    assert!("2026-02-30".parse::<Day>().is_err() && "yesterday".parse::<Day>().is_err());
    assert_eq!("2026-01-31".parse::<Day>().unwrap().to_string(), "2026-01-31");
}
