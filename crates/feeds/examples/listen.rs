//! Listens to the sources of a TOML file and prints what they say, then what became of their frames.
//!
//! `cargo run -p plimsoll-feeds --example listen -- sources.toml [SECONDS] [HOST...]`: hosts that may be reached, as `host` or `host:port`.
//! Secrets are taken from the environment by their names.

#![allow(clippy::print_stdout, reason = "an example prints")]
#![allow(clippy::disallowed_methods, reason = "clock and chance are inputs: here they come in")]

use plimsoll_feeds::address::Allowed;
use plimsoll_feeds::config::{Configured, Terms};
use plimsoll_feeds::link::{Counters, Limits, Outside, run, system_roots};
use plimsoll_types::Timestamp;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

type Failed = Box<dyn std::error::Error>;

#[derive(serde::Deserialize)]
struct File {
    sources: BTreeMap<String, Configured>,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let file: File = toml::from_str(&std::fs::read_to_string(arguments.next().ok_or("which file?")?)?)?;
    let seconds: u64 = arguments.next().map_or(Ok(10), |text| text.parse())?;
    let allowed = Allowed { hosts: arguments.collect(), loopback: true };
    let outside = Outside {
        clock: Arc::new(now),
        chance: Arc::new(|| RandomState::new().hash_one(0)),
        tls: system_roots()?,
    };
    let secret = |name: &str| std::env::var(name).ok();
    let (stop, stopped) = watch::channel(false);
    let mut running = Vec::new();
    for (name, configured) in file.sources {
        let terms =
            Terms { allowed: allowed.clone(), limits: Limits::default(), band: 0.01, secret: &secret };
        let (source, mut protocol) =
            configured.build(&terms).map_err(|refusal| format!("{name}: {refusal}"))?;
        let (counters, outside, stopped) = (Arc::new(Counters::default()), outside.clone(), stopped.clone());
        running.push((name.clone(), counters.clone()));
        tokio::spawn(async move {
            let mut sink = |reading| {
                println!("{name}: {reading:?}");
                true
            };
            run(&source, protocol.as_mut(), &outside, &counters, &mut sink, stopped).await;
        });
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    stop.send(true)?;
    for (name, counters) in running {
        println!("{name}: {:?}", counters.count());
    }
    Ok(())
}
