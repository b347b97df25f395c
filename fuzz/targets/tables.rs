//! Files of rows: positions, collateral, orders, prices, chains. The first byte says which; the rest is the file, CSV, JSON, or
//! compressed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_app::io::book::{BookFiles, read};
use plimsoll_app::io::market::snapshot;
use plimsoll_app::io::prices::{Label, PriceFile, histories};
use plimsoll_app::io::series::series;
use plimsoll_engine::{PRESETS, ParamSet};
use plimsoll_types::Units;
use std::path::PathBuf;
use std::sync::OnceLock;

/// In memory, where the system has such a place.
fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let memory = PathBuf::from("/dev/shm");
        let root = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let folder = root.join(format!("plimsoll-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("positions.csv"), "account,instrument,quantity\na,BTC-PERPETUAL,1\n").expect("room");
        folder
    })
}

fn units() -> &'static Units {
    static UNITS: OnceLock<Units> = OnceLock::new();
    UNITS.get_or_init(|| {
        let (_, text) = PRESETS.iter().find(|(name, _)| *name == "plimsoll").expect("it ships");
        ParamSet::from_toml(text, "plimsoll").expect("it is sound").units
    })
}

fuzz_target!(|bytes: &[u8]| {
    let Some((which, rest)) = bytes.split_first() else { return };
    let (path, positions) = (folder().join("input"), folder().join("positions.csv"));
    // Compressed Parquet is another crate's to try; a file of ours never begins so.
    if rest.starts_with(b"PAR1") {
        return;
    }
    std::fs::write(&path, rest).expect("room");
    let book = |positions, collateral, orders| {
        let _ = read(&BookFiles { positions, collateral, orders }, units(), None);
    };
    match which % 6 {
        0 => book(path, None, None),
        1 => book(positions, Some(path), None),
        2 => book(positions, None, Some(path)),
        3 => drop(snapshot(&path, None)),
        4 => drop(series(&path)),
        _ => drop(histories(&[PriceFile { asset: "BTC".parse().expect("a name"), path }], Label::Close)),
    }
});
