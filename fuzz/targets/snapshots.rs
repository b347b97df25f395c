//! Snapshots: the file of one (first byte 0), whose every change is found, and the engine's state in one, which is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_engine::live::{VERSION, restore, save};
use plimsoll_journal::sim::SimDisk;
use plimsoll_journal::{Journal, Options, Snapshots};

const CONTENT: &[u8] = b"the state after one record";

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    if which % 2 == 1 {
        if let Ok(state) = restore(VERSION, rest) {
            let saved = save(&state).expect("what was read can be written");
            let again = restore(VERSION, &saved).expect("and read again");
            assert_eq!(again.hash().expect("it has one"), state.hash().expect("it has one"));
        }
        return;
    }
    let disk = SimDisk::new(1);
    let options = Options { segment_bytes: 16 << 10, group_bytes_max: 4 << 10, ..Options::new("fuzz") };
    let mut journal = Journal::create(Box::new(disk.clone()), options).expect("a new disk");
    journal.append(0, b"opaque").expect("room");
    let anchor = journal.commit().expect("a sound disk");
    let snapshots = Snapshots::new(&disk, "fuzz");
    let kept = snapshots.save(&anchor, 0, |to| to.write_all(CONTENT)).expect("a sound disk");
    let mut file = disk.content(&kept.name).expect("it was saved");
    for change in rest.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
        file[at] ^= change[2];
    }
    disk.tamper(&kept.name, file);
    if let Ok((Some(found), _)) = snapshots.newest(&journal) {
        assert_eq!(snapshots.read(&found).expect("verified"), CONTENT);
    }
});
