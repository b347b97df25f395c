//! A flood: several times what can be taken, for a minute, while prices tick and people ask.
//!
//! **The one idea:** what was accepted is counted by whoever handed it in and by the journal, and the two must be equal. A tick counts until
//! a price as new as it is has been applied, whether or not it gave way to a later one.

use super::serve::{Latency, Load, Service, flood, wait};
use crate::host::{At, Busy, Config, Course, Entry, Ingest, Listener, Store, moment};
use anyhow::{Context, bail};
use plimsoll_engine::live::Body;
use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_types::{Asset, NANO, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two ticks, and between two handfuls of the flood.
const TICK: Duration = Duration::from_millis(100);
const HANDFUL: Duration = Duration::from_millis(1);
/// A tick that takes longer is lost.
const LATEST: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Flooded {
    /// Deposits a second that are durable and applied when nobody is in a hurry.
    pub capacity: f64,
    /// Deposits handed in.
    pub offered: u64,
    /// Of them accepted.
    pub accepted: u64,
    /// And applied; the rest was refused at once.
    pub applied: u64,
    /// Seconds of it.
    pub seconds: f64,
    /// The most events that waited at once.
    pub waiting_most: usize,
    /// From a tick to margins of a price as new, and checks over HTTP, without the flood and in it.
    pub latencies: Vec<Latency>,
    /// Memory of the process before and at its most, megabytes.
    pub memory_mb: Option<(f64, f64)>,
}

/// Of every tick its number and when it was handed in; taken out when it, or a later one, is applied.
#[derive(Default)]
struct Ticks {
    given: Mutex<Vec<(u64, Instant)>>,
    took: Mutex<Vec<Duration>>,
}

impl Ticks {
    fn applied(&self, number: u64) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let mut took = self.took.lock().unwrap_or_else(PoisonError::into_inner);
        given.retain(|(of, since)| {
            if *of <= number {
                took.push(since.elapsed());
            }
            *of > number
        });
    }

    /// Whether some are not applied yet.
    fn are_open(&self) -> bool {
        !self.given.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn taken(&self) -> Vec<Duration> {
        std::mem::take(&mut self.took.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Floods a service with `times` its capacity.
///
/// # Errors
/// When the service fails, and when something accepted is lost.
pub fn run(config: &Config, course: Course, load: &Load, times: u32) -> anyhow::Result<Flooded> {
    let now = course.engine.state().now;
    let begun = Store::begin(&config.journal, course)?;
    let ticks = Arc::new(Ticks::default());
    let service = Service::start(config, begun, vec![listener(&ticks, &load.ticks.1)])?;
    let capacity = flood(&service.host, load, now)?;
    let mut ticker = Ticker { now, number: u64::MAX / 2 };
    let quiet = measured(&service, load, &mut ticker, &ticks)?;
    let before = super::machine::resident_bytes();
    super::machine::forget_peak();
    let (counted, going) = (Arc::new(Counted::default()), Arc::new(AtomicBool::new(true)));
    let pour = Pour { rate: capacity * f64::from(times), now, counted: Arc::clone(&counted) };
    let ingest = Arc::clone(&service.host.ingest);
    let (flooded, seconds) = std::thread::scope(|scope| {
        let pouring = scope.spawn(|| pour.run(&ingest, load, &going));
        let begun = moment();
        let flooded = measured(&service, load, &mut ticker, &ticks);
        going.store(false, Ordering::Release);
        let poured = pouring.join().map_err(|_| anyhow::anyhow!("the flood panicked"));
        poured.and_then(|done| done).and(flooded).map(|flooded| (flooded, begun.elapsed().as_secs_f64()))
    })?;
    while service.host.ingest.waiting() > 0 {
        std::thread::sleep(HANDFUL);
    }
    let memory = before.zip(super::machine::peak_bytes());
    let read = |count: &AtomicU64| count.load(Ordering::Acquire);
    let (offered, accepted, applied) =
        (read(&counted.offered), read(&counted.accepted), read(&counted.applied));
    if accepted != applied {
        bail!("{accepted} were accepted and {applied} applied");
    }
    // And the journal says the same after another start.
    service.again(config)?;
    let [first, second] =
        [("nobody else", quiet), ("in the flood", flooded)].map(|(when, (ticked, asked))| {
            [
                Latency::of(format!("tick to margins as new, {when}"), ticked),
                Latency::of(format!("check over HTTP, {} a second, {when}", load.rate), asked),
            ]
        });
    Ok(Flooded {
        capacity,
        offered,
        accepted,
        applied,
        seconds,
        waiting_most: counted.waiting.load(Ordering::Acquire) as usize,
        latencies: first.into_iter().chain(second).collect(),
        memory_mb: memory.map(|(before, most)| (before as f64 / 1e6, most as f64 / 1e6)),
    })
}

/// Hears of prices by the last source of their feed: with it the tick is whole.
fn listener(ticks: &Arc<Ticks>, sources: &[String]) -> Listener {
    let (ticks, last) = (Arc::clone(ticks), sources.last().cloned());
    Box::new(move |event, _| {
        if let Body::Price { source, seen, .. } = &event.body
            && Some(source) == last.as_ref()
        {
            ticks.applied(seen.sequence);
        }
    })
}

/// Ticks and checks for as long as a part takes.
fn measured(
    service: &Service,
    load: &Load,
    ticker: &mut Ticker,
    ticks: &Arc<Ticks>,
) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
    let asked = service.ask(load, load.seconds, || ticker.run(service, load, ticks))?;
    // The last are on their way.
    let begun = moment();
    while ticks.are_open() {
        if begun.elapsed() > LATEST {
            bail!("a tick has not been followed for {LATEST:?}");
        }
        std::thread::sleep(HANDFUL);
    }
    Ok((ticks.taken(), asked))
}

struct Ticker {
    now: Timestamp,
    number: u64,
}

impl Ticker {
    fn run(&mut self, service: &Service, load: &Load, ticks: &Arc<Ticks>) -> anyhow::Result<()> {
        let (asset, sources, price) = &load.ticks;
        let begun = moment();
        for i in 0..u32::try_from(load.seconds * 10).unwrap_or(u32::MAX) {
            wait(begun + TICK * i);
            self.now = Timestamp::from_nanos(self.now.nanos() + TICK.as_nanos() as i64);
            self.number += 1;
            let moved = price * (1.0 + 0.0005 * f64::from(i % 7));
            let given = (self.number, moment());
            ticks.given.lock().unwrap_or_else(PoisonError::into_inner).push(given);
            for source in sources {
                let seen = Observation {
                    sequence: self.number,
                    time: self.now,
                    price: Stated { mantissa: (moved * 1e6) as i64, exponent: -6 },
                    confidence: None,
                    valid_until: None,
                };
                let body = Body::Price { asset: asset.clone(), source: source.clone(), seen };
                service.host.ingest.submit(Entry::new(At::Given(self.now), None, body), None)?;
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Counted {
    offered: AtomicU64,
    accepted: AtomicU64,
    applied: AtomicU64,
    failed: AtomicBool,
    waiting: AtomicU64,
}

/// Deposits at a rate, whatever becomes of them.
struct Pour {
    rate: f64,
    now: Timestamp,
    counted: Arc<Counted>,
}

impl Pour {
    fn run(&self, ingest: &Ingest, load: &Load, going: &AtomicBool) -> anyhow::Result<()> {
        let (begun, asset, accounts) = (moment(), Asset::new("USD")?, &load.asked.0);
        let mut sent = 0_u64;
        while going.load(Ordering::Acquire) {
            let due = (begun.elapsed().as_secs_f64() * self.rate) as u64;
            while sent < due {
                let place = usize::try_from(sent)? % accounts.len().max(1);
                let account = accounts.get(place).context("nobody to pay")?.clone();
                let body = Body::Deposit { account, asset: asset.clone(), nano: i128::from(NANO) };
                let counted = Arc::clone(&self.counted);
                let reply = Box::new(move |done: Result<_, _>| match done {
                    Ok(_) => drop(counted.applied.fetch_add(1, Ordering::AcqRel)),
                    Err(_) => counted.failed.store(true, Ordering::Release),
                });
                sent += 1;
                match ingest.submit(Entry::new(At::Given(self.now), None, body), Some(reply)) {
                    Ok(_) => drop(self.counted.accepted.fetch_add(1, Ordering::AcqRel)),
                    Err(Busy::Full { .. }) => {}
                    Err(other) => return Err(other.into()),
                }
                self.counted.waiting.fetch_max(ingest.waiting() as u64, Ordering::AcqRel);
            }
            self.counted.offered.store(sent, Ordering::Release);
            if self.counted.failed.load(Ordering::Acquire) {
                bail!("something accepted was not applied");
            }
            std::thread::sleep(HANDFUL);
        }
        Ok(())
    }
}
