//! Power cuts, errors and kills on a simulated disk, until enough; then the control on a disk that lies.
//!
//! `cargo run --release -p plimsoll-journal --example torture -- --cuts 20000 --minutes 10 --seed 1`
//!
//! Exit status 1 when anything was lost, invented or refused, or when the control lost nothing.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a command: it prints, and it has a clock"
)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use plimsoll_journal::torture::{Figures, run};

struct Wanted {
    cuts: u64,
    minutes: u64,
    seed: u64,
}

fn wanted() -> Result<Wanted, String> {
    let mut wanted = Wanted { cuts: 20_000, minutes: 10, seed: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a number"))?;
        let value: u64 = value.parse().map_err(|_| format!("{word} needs a number, not `{value}`"))?;
        match word.as_str() {
            "--cuts" => wanted.cuts = value,
            "--minutes" => wanted.minutes = value,
            "--seed" => wanted.seed = value,
            _ => return Err(format!("{word}: known are --cuts, --minutes and --seed")),
        }
    }
    Ok(wanted)
}

fn print(title: &str, figures: &Figures, took: Duration) {
    println!("{title} ({:.1} s)", took.as_secs_f64());
    for (name, count) in [
        ("histories", figures.histories),
        ("restarts compared", figures.restarts),
        ("power cuts", figures.cuts),
        ("  during recovery", figures.cuts_in_recovery),
        ("  while it wrote", figures.cuts_in_mending),
        ("EIO and ENOSPC", figures.errors),
        ("kills and closes", figures.kills),
        ("torn groups cut off", figures.torn),
        ("groups kept in doubt", figures.kept),
        ("records acknowledged", figures.acknowledged),
        ("records lost", figures.lost),
        ("records invented", figures.invented),
        ("journals refused", figures.refused),
        ("snapshots acknowledged", figures.snapshots),
        ("snapshots lost", figures.snapshots_lost),
    ] {
        println!("  {name:<24}{count:>12}");
    }
    if let Some((seed, why)) = &figures.first_bad {
        println!("  first bad history: seed {seed}: {why}");
    }
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(why) => {
            println!("{why}");
            return ExitCode::from(2);
        }
    };
    let start = Instant::now();
    let limit = Duration::from_secs(60 * wanted.minutes);
    let mut enough = |figures: &Figures| figures.cuts < wanted.cuts && start.elapsed() < limit;
    let figures = run(wanted.seed, false, &mut enough);
    print("Honest disk", &figures, start.elapsed());

    let start = Instant::now();
    let control = run(wanted.seed, true, &mut |figures| figures.cuts < 200);
    print("Control: a disk that lies about syncs", &control, start.elapsed());

    let sound = figures.sound() && figures.cuts_in_recovery * 3 >= figures.cuts;
    println!("{}", if sound { "sound: 0 lost" } else { "NOT SOUND" });
    println!(
        "{}",
        if control.lost > 0 { "the control lost, as it must" } else { "THE CONTROL LOST NOTHING" }
    );
    if sound && control.lost > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
