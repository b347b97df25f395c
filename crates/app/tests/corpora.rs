//! Every seed of the fuzzers, and what is near it, through every target of theirs: without a fuzzer, a nightly compiler or an hour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch that prints what it reads")]

// The targets are read as they stand: what they call the fuzzer's is ours here.
extern crate self as libfuzzer_sys;

macro_rules! replayed {
    (|$bytes:ident: &[u8]| $body:block) => {
        pub(crate) fn run($bytes: &[u8]) $body
    };
}
pub(crate) use replayed as fuzz_target;

macro_rules! targets {
    ($($name:ident $path:literal,)*) => {
        $(
            #[allow(unused_attributes, reason = "`no_main` is the fuzzer's")]
            #[path = $path]
            mod $name;
        )*
        const TARGETS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), $name::run),)*];
    };
}

targets! {
    configs "../../../fuzz/targets/configs.rs",
    events "../../../fuzz/targets/events.rs",
    frames "../../../fuzz/targets/frames.rs",
    journal "../../../fuzz/targets/journal.rs",
    oracles "../../../fuzz/targets/oracles.rs",
    records "../../../fuzz/targets/records.rs",
    rpc "../../../fuzz/targets/rpc.rs",
    snapshots "../../../fuzz/targets/snapshots.rs",
    span "../../../fuzz/targets/span.rs",
    tables "../../../fuzz/targets/tables.rs",
}

use plimsoll_quant::sobol::Rng64;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Changed copies of every seed, for its own target.
const COPIES: usize = 40;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// By the target that they are for.
fn seeds() -> BTreeMap<String, Vec<Vec<u8>>> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let paths = |of: &Path| -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let read = |of: &Path| paths(of).iter().map(|path| std::fs::read(path).unwrap()).collect();
    paths(&folder().join("seeds")).iter().map(|of| (name(of), read(of))).collect()
}

/// A copy with some bytes changed, cut or said twice.
fn changed(seed: &[u8], draw: &mut Rng64) -> Vec<u8> {
    let mut copy = seed.to_vec();
    let mut below = |most: usize| (draw.next_u64() % most.max(1) as u64) as usize;
    for _ in 0..=below(4) {
        let (at, length) = (below(copy.len()), below(12));
        let end = (at + length).min(copy.len());
        match below(5) {
            0 => copy.truncate(at),
            1 => drop(copy.drain(at..end)),
            2 => {
                let twice = copy[at..end].to_vec();
                copy.splice(at..at, twice);
            }
            3 if at < copy.len() => copy[at] = [0, 0xff, b'"', b'[', b'-', b'9', b'.', b'e'][below(8)],
            _ if at < copy.len() => copy[at] ^= 1 << below(8),
            _ => {}
        }
    }
    copy
}

#[test]
fn every_seed_and_what_is_near_it_is_read_or_refused_by_every_decoder() {
    let (all, mut draw) = (seeds(), Rng64::new(7));
    for (name, run) in TARGETS {
        let begun = std::time::Instant::now();
        let own = all.get(*name).unwrap_or_else(|| panic!("{name} has no seeds"));
        let mut count = 0;
        for seed in all.values().flatten() {
            run(seed);
            count += 1;
        }
        for seed in own {
            for _ in 0..COPIES {
                run(&changed(seed, &mut draw));
                count += 1;
            }
        }
        println!("{name:<10} {count:>6} inputs {:>6.1} s", begun.elapsed().as_secs_f64());
    }
    for memory in [PathBuf::from("/dev/shm"), std::env::temp_dir()] {
        // What the target of tables leaves, where it left it.
        let _ = std::fs::remove_dir_all(memory.join(format!("plimsoll-fuzz-{}", std::process::id())));
    }
}

#[test]
fn every_target_is_replayed_and_run_and_has_seeds() {
    let manifest = std::fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    let command = std::fs::read_to_string(folder().join("../.ci/fuzz")).unwrap();
    let mut files = 0;
    for entry in std::fs::read_dir(folder().join("targets")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(TARGETS.iter().any(|(known, _)| *known == name), "{name} is not replayed");
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name} is not built");
        assert!(command.split_whitespace().any(|word| word == name), "{name} is not run");
        files += 1;
    }
    assert_eq!(files, TARGETS.len());
    assert_eq!(seeds().len(), TARGETS.len());
}
