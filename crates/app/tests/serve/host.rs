//! The host beneath the server: what was accepted stays, what waits is bounded.

use crate::world::{World, config, open, start};
use plimsoll_app::host::{At, Busy, Config, Entry, replay};
use plimsoll_engine::live::Body;
use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_types::{Asset, Timestamp};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn an_engine_that_starts_again_is_where_it_was() {
    let mut world = World::calm();
    for i in 0..20 {
        world.price("ETH", &format!("{}", 3_310 + i));
    }
    let before = world.host.as_ref().unwrap().shared.course().engine.state().hash().unwrap();
    let hash_of =
        |dir: &std::path::Path| replay(dir, None, |_| Ok(())).unwrap().0.engine.state().hash().unwrap();
    assert_eq!(hash_of(world.dir.path()), before, "from the first record, while it runs");
    world.host.take().unwrap().stop().unwrap();
    assert_eq!(hash_of(world.dir.path()), before);
    let (host, _) = open(&config(world.dir.path(), ""));
    assert_eq!(host.shared.course().engine.state().hash().unwrap(), before, "from the snapshot");
    drop(host.stop());
}

#[test]
fn a_snapshot_and_the_tail_lead_where_the_whole_leads() {
    let mut world = World::empty("snapshot_events = 7\n");
    for (asset, price) in [("BTC", "96400"), ("ETH", "3310"), ("SOL", "142.5"), ("USDC", "1")] {
        world.price(asset, price);
    }
    for i in 0..40 {
        world.open(&format!("account{i}"), "1000");
        world.price("ETH", &format!("{}", 3_310 + i % 7));
    }
    let host = world.host.take().unwrap();
    let before = host.shared.course().engine.state().hash().unwrap();
    assert!(host.shared.saved() > 0, "snapshots are saved on the way");
    // As after a crash: nothing is saved at the end.
    let dir = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(world.dir.path()).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let (again, _) = open(&config(dir.path(), "snapshot_events = 7\n"));
    assert_eq!(again.shared.course().engine.state().hash().unwrap(), before);
    drop(again.stop());
    drop(host.stop());
}

#[test]
fn another_charter_is_a_record_and_what_is_held_stays() {
    let mut world = World::calm();
    world.host.take().unwrap().stop().unwrap();
    let mut other = config(world.dir.path(), "");
    for feed in other.charter.feeds.values_mut() {
        feed.soft_stale_ms = 90_000;
    }
    let (host, _) = open(&other);
    let course = host.shared.course();
    assert!(course.engine.rules().feeds.values().all(|feed| feed.soft_stale_ms == 90_000));
    assert_eq!(course.engine.state().ledger.accounts().len(), 2);
    let hash = course.engine.state().hash().unwrap();
    drop(course);
    host.stop().unwrap();
    let (replayed, _) = replay(world.dir.path(), None, |_| Ok(())).unwrap();
    assert_eq!(replayed.engine.state().hash().unwrap(), hash, "the journal knows both charters");
}

#[test]
fn another_units_or_a_journal_of_somebody_else_is_refused() {
    let mut world = World::calm();
    world.host.take().unwrap().stop().unwrap();
    let mut other = config(world.dir.path(), "");
    other.journal.identity = "somebody else".to_owned();
    let refused = plimsoll_app::host::Store::open(&other.journal, &other.charter).unwrap_err();
    assert!(refused.to_string().contains("somebody else"), "{refused}");
    let mut other = config(world.dir.path(), "");
    other.charter.params =
        other.charter.params.replace("ticks_per_unit = 1000000 ", "ticks_per_unit = 100000 ");
    let refused = plimsoll_app::host::Store::open(&other.journal, &other.charter).unwrap_err();
    assert!(refused.to_string().contains("units"), "{refused}");
}

/// F40 and P7: a flood beyond capacity. Positions are refused or applied and never dropped, market data gives way.
#[test]
fn f40_a_flood_is_conflated_and_nothing_that_was_accepted_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = config(dir.path(), "");
    small.server.queue = 64;
    let (host, _) = open(&small);
    let applied = Arc::new(AtomicU64::new(0));
    let (mut accepted, mut refused, mut beside, mut most) = (0_u64, 0_u64, 0_u64, 0);
    // The engine waits for whoever reads: for half of the flood nothing is applied.
    let shared = Arc::clone(&host.shared);
    let mut reading = Some(shared.course());
    for i in 0..6_000_u64 {
        let body = if i.is_multiple_of(10) {
            Body::Open { account: format!("a{i}").parse().unwrap() }
        } else {
            Body::Price { asset: Asset::new("ETH").unwrap(), source: "a".to_owned(), seen: seen(i) }
        };
        let counted = Arc::clone(&applied);
        let reply = Box::new(move |done: Result<_, _>| {
            assert!(done.is_ok());
            counted.fetch_add(1, Ordering::Relaxed);
        });
        match host.ingest.submit(Entry::new(At::Given(start().plus_seconds(1)), None, body), Some(reply)) {
            Ok(true) => accepted += 1,
            Ok(false) => beside += 1,
            Err(Busy::Full { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
        most = most.max(host.ingest.waiting());
        if i == 3_000 {
            reading = None;
        }
    }
    drop(reading);
    let ingest = Arc::clone(&host.ingest);
    host.stop().unwrap();
    println!("{accepted} accepted, {refused} refused, {beside} beside, at most {most} waiting");
    println!("{} of those beside gave way to later ones", ingest.conflated());
    assert_eq!(applied.load(Ordering::Relaxed), accepted, "everything accepted was applied");
    assert!(most <= 64 + 16, "what waits is bounded: {most}");
    assert!(beside > 0 && ingest.conflated() > 0, "{beside} beside, {} conflated", ingest.conflated());
    assert!(refused > 0, "positions that find no room are refused at once");
}

fn seen(i: u64) -> Observation {
    let price = Stated { mantissa: 3_310 + i64::try_from(i % 5).unwrap(), exponent: 0 };
    Observation { sequence: i + 1, time: start(), price, confidence: None, valid_until: None }
}

#[test]
fn what_is_handed_in_after_the_end_is_refused() {
    let world = World::calm();
    let ingest = Arc::clone(&world.host.as_ref().unwrap().ingest);
    drop(world);
    let refused = ingest.submit(Entry::new(At::Now, None, Body::Clock), None);
    assert!(matches!(refused, Err(Busy::Stopped(_))), "{refused:?}");
    let _ = json!({});
}

/// A journal of several segments over four days: its configuration, the state it leads to, and the days' beginnings.
fn four_days(dir: &std::path::Path) -> (Config, String, Vec<Timestamp>) {
    let mut told = config(dir, "snapshots_kept = 1\n");
    told.journal.segment_mb = 5;
    let (host, _) = open(&told);
    let market: serde_json::Value = serde_json::from_str(crate::world::MARKET).unwrap();
    let units = host.shared.course().engine.rules().params.units.clone();
    let days: Vec<Timestamp> = (0..4).map(|day| start().plus_seconds(86_400 * day)).collect();
    for day in &days {
        for i in 0..200 {
            let at = day.plus_seconds(i);
            // What is refused is in the journal too: all that counts here is how long it is.
            let chain = json!({ "event": { "type": "chain", "underlying": "BTC", "time": start().to_string(),
                "quotes": market["underlyings"]["BTC"] } });
            let event: plimsoll_app::wire::EventIn = serde_json::from_value(chain).unwrap();
            let (key, body) = event.read(&units).unwrap();
            let (tell, told) = std::sync::mpsc::channel();
            let reply = Box::new(move |done| drop(tell.send(done)));
            assert!(host.ingest.submit(Entry::new(At::Given(at), key, body), Some(reply)).unwrap());
            told.recv().unwrap().unwrap();
        }
    }
    let hash = host.shared.course().engine.state().hash().unwrap().to_string();
    host.stop().unwrap();
    (told, hash, days)
}

#[test]
fn a_journal_is_pruned_by_age_to_what_a_verified_snapshot_covers_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (told, hash, days) = four_days(dir.path());
    let segments = || {
        let names = std::fs::read_dir(&told.journal.dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".seg")).count()
    };
    let all = segments();
    assert!(all > 4, "{all} segments are too few to show anything");
    let open = || plimsoll_app::host::Store::open(&told.journal, &told.charter).unwrap();
    let (store, recovered) = open();
    assert_eq!(store.prune(days[0]).unwrap(), 0, "nothing is that old");
    let removed = store.prune(days[2]).unwrap();
    assert!(removed > 0 && segments() == all - usize::try_from(removed).unwrap());
    drop((store, recovered));
    // What is left begins no later than the first record of the third day.
    let mut first = None;
    let (course, _) = plimsoll_app::host::follow(
        &told.journal.dir,
        (plimsoll_app::host::Begin::First, plimsoll_app::host::End::default()),
        |course, _| {
            first.get_or_insert(course.engine.state().now);
            Ok(std::ops::ControlFlow::Continue(()))
        },
    )
    .unwrap();
    assert_eq!(course.engine.state().hash().unwrap().to_string(), hash);
    let disk = plimsoll_journal::DirDisk::read_only(&told.journal.dir);
    let lowest = plimsoll_journal::first(&disk, &told.journal.identity).unwrap();
    let mut reader = plimsoll_journal::Reader::open(&disk, &told.journal.identity, lowest).unwrap();
    let record = reader.next_record().unwrap().unwrap();
    let at = plimsoll_app::host::Content::read(record.version, record.payload).unwrap().at();
    assert!(at < days[2], "{at} is of a day that is kept");
    plimsoll_journal::verify(&disk, &told.journal.identity, None).unwrap();
    // And it goes on from there, to the same state.
    let (store, recovered) = open();
    assert_eq!(recovered.course.engine.state().hash().unwrap().to_string(), hash);
    // A snapshot with a byte changed covers nothing: nothing more is removed.
    let snapshot = std::fs::read_dir(&told.journal.dir).unwrap().map(|entry| entry.unwrap().path());
    let snapshot = snapshot.into_iter().find(|path| path.extension().is_some_and(|e| e == "snap")).unwrap();
    let mut bytes = std::fs::read(&snapshot).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&snapshot, bytes).unwrap();
    let before = segments();
    assert_eq!(store.prune(days[3].plus_seconds(86_400)).unwrap(), 0);
    assert_eq!(segments(), before);
}
