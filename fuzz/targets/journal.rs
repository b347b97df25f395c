//! A journal whose files were changed: opened, read and verified, it holds what was written or is refused. The input is changes of a
//! sound journal (first byte 0), or the whole file of a segment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_journal::sim::SimDisk;
use plimsoll_journal::{Disk, Journal, Options, Reader, verify};

const SEGMENT: &str = "00000000000000000001.seg";

fn options() -> Options {
    Options { segment_bytes: 16 << 10, group_bytes_max: 4 << 10, ..Options::new("fuzz") }
}

fn payload(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 10 + (sequence as usize * 37) % 300]
}

fn sound() -> SimDisk {
    let disk = SimDisk::new(1);
    let mut journal = Journal::create(Box::new(disk.clone()), options()).expect("a new disk");
    for sequence in 1..=12 {
        journal.append(1, &payload(sequence)).expect("room");
        if sequence % 3 == 0 {
            journal.commit().expect("a sound disk");
        }
    }
    journal.close().expect("a sound disk");
    disk
}

fn read(disk: &SimDisk) {
    let Ok(mut reader) = Reader::open(disk, "fuzz", 1) else { return };
    while let Ok(Some(record)) = reader.next_record() {
        // The chain stands between any change and a reader.
        assert_eq!(record.payload, payload(record.sequence), "record {}", record.sequence);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let disk = sound();
    let Some(mut file) = disk.content(SEGMENT) else { panic!("no segment: {:?}", disk.list()) };
    if which % 2 == 0 {
        for change in rest.chunks_exact(4) {
            let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % file.len();
            file[at] ^= change[2];
            if change[3] & 1 == 1 {
                let end = (at + usize::from(change[3]) * 8).min(file.len());
                file[at..end].fill(0);
            }
        }
    } else {
        file.clear();
        file.extend_from_slice(rest);
    }
    disk.tamper(SEGMENT, file);
    read(&disk);
    let _ = verify(&disk, "fuzz", None);
    if let Ok((journal, _)) = Journal::open(Box::new(disk.clone()), options()) {
        assert!(journal.durable().sequence <= 12);
        drop(journal);
        read(&disk);
    }
});
