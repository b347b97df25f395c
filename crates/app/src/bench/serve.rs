//! The whole service under load: ticks while people ask, checks over HTTP, journaled events, a restart.
//!
//! The engine holds a seeded market and its people. Load is open: what is asked is asked at its time, whether or not the answers before
//! it have come, so an answer that waits behind a tick counts with all of its waiting.

use crate::doors::{self, Doors};
use crate::host::{At, Charter, Config, Entry, Host, Listener, Recovered, Store, moment};
use crate::serve::{App, Heard, serve};
use anyhow::{Context, bail};
use plimsoll_engine::live::feed::{Observation, Stated};
use plimsoll_engine::live::{Body, Effect};
use plimsoll_types::{AccountId, Asset, NANO, Timestamp};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Connections that ask.
const CONNECTIONS: usize = 4;

/// Between two ticks.
const TICK: Duration = Duration::from_millis(100);
/// The same in market time, so that no other feed grows stale meanwhile.
const TICK_NANOS: i64 = 100_000_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct Load {
    /// What the engine runs by, and the engine itself.
    pub charter: Charter,
    /// Asks a second.
    pub rate: u32,
    /// Seconds of each part.
    pub seconds: u64,
    /// The underlying whose price ticks, its feed's sources, and its price.
    pub ticks: (Asset, Vec<String>, f64),
    /// Who is asked about, and what is traded.
    pub asked: (Vec<AccountId>, String),
}

/// Latencies.
#[derive(Clone, PartialEq, Debug)]
pub struct Latency {
    /// Of what.
    pub what: String,
    /// How many.
    pub count: usize,
    /// The median, milliseconds.
    pub median_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The worst.
    pub max_ms: f64,
}

impl Latency {
    pub(super) fn of(what: impl Into<String>, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len().saturating_sub(1) as f64 * share) as usize;
            times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        let (median_ms, p99_ms, max_ms) = (at(0.5), at(0.99), at(1.0));
        Self { what: what.into(), count: times.len(), median_ms, p99_ms, max_ms }
    }
}

/// What was measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Served {
    /// Ticks and checks, each alone and together.
    pub latencies: Vec<Latency>,
    /// Accounts and positions of the book.
    pub accounts: usize,
    /// See there.
    pub positions: usize,
    /// Accounts whose margin was new after a tick, at the median.
    pub touched: usize,
    /// Durable and applied events a second.
    pub events_per_second: f64,
    /// Seconds from opening the journal to every margin.
    pub restart_seconds: f64,
    /// Most memory the process held, megabytes.
    pub memory_mb: Option<f64>,
}

/// Measures on an engine in a folder.
///
/// # Errors
/// When the service fails.
pub fn run(config: &Config, course: crate::host::Course, load: &Load) -> anyhow::Result<Served> {
    let now = course.engine.state().now;
    let accounts = course.engine.state().ledger.accounts().len();
    let positions =
        course.engine.state().ledger.accounts().iter().map(|account| account.positions.len()).sum();
    let begun = Store::begin(&config.journal, course)?;
    let service = Service::start(config, begun, Vec::new())?;
    let mut ticker = Ticker { load, now, sequence: u64::MAX / 2, touched: Vec::new() };
    let mut latencies = Vec::new();
    latencies.push(Latency::of("tick to margins, nobody asking", ticker.run(&service, load.seconds)?));
    let asked = service.ask(load, load.seconds, || Ok(()))?;
    latencies.push(Latency::of(format!("check over HTTP, {} a second, no ticks", load.rate), asked));
    let mut ticked = Vec::new();
    let asked = service.ask(load, load.seconds, || {
        ticked = ticker.run(&service, load.seconds)?;
        Ok(())
    })?;
    latencies.push(Latency::of(format!("tick to margins, {} checks a second", load.rate), ticked));
    latencies.push(Latency::of(format!("check over HTTP, {} a second, with ticks", load.rate), asked));
    let events_per_second = flood(&service.host, load, ticker.now)?;
    let restart_seconds = service.again(config)?;
    ticker.touched.sort_unstable();
    let touched = ticker.touched.get(ticker.touched.len() / 2).copied().unwrap_or_default();
    let memory_mb = super::machine::peak_bytes().map(|bytes| bytes as f64 / 1e6);
    Ok(Served { latencies, accounts, positions, touched, events_per_second, restart_seconds, memory_mb })
}

/// A service that runs.
pub(super) struct Service {
    pub(super) host: Host,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl Service {
    pub(super) fn start(
        config: &Config,
        begun: (Store, Recovered),
        more: Vec<Listener>,
    ) -> anyhow::Result<Self> {
        let heard = Heard::new(config.server.backlog);
        let listeners = more.into_iter().chain([heard.listener()]).collect();
        let host = Host::start(begun, (&config.journal, &config.server), listeners)?;
        let limit = config.server.body_bytes_max;
        let doors = Doors::new(&config.doors, &config.journal.identity, limit, crate::host::now())?;
        let app = App::new(&host, config.server.clone(), doors, heard)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let open = runtime.block_on(doors::open(SocketAddr::from(([127, 0, 0, 1], 0)), &config.doors))?;
        let address = open.address()?;
        runtime.spawn(serve(app, open, std::future::pending()));
        Ok(Self { host, address, runtime })
    }

    /// Asks at a rate for some seconds while something else is done, and says how long each answer took from when it was due.
    pub(super) fn ask(
        &self,
        load: &Load,
        seconds: u64,
        meanwhile: impl FnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Vec<Duration>> {
        let total = u64::from(load.rate) * seconds;
        let (next, begun) = (AtomicU64::new(0), moment());
        let gap = Duration::from_secs(1) / load.rate.max(1);
        let due = |i: u64| begun + gap.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
        std::thread::scope(|scope| {
            let one = || -> anyhow::Result<Vec<Duration>> {
                let mut client = Client::connect(self.address)?;
                let mut times = Vec::new();
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= total {
                        return Ok(times);
                    }
                    wait(due(i));
                    client.check(load, i)?;
                    times.push(due(i).elapsed());
                }
            };
            let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
            meanwhile()?;
            let mut all = Vec::new();
            for thread in threads {
                all.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
            }
            Ok(all)
        })
    }

    /// Stops, and starts again: seconds until every margin is known.
    pub(super) fn again(self, config: &Config) -> anyhow::Result<f64> {
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        let before = self.host.shared.course().engine.state().hash()?;
        self.host.stop()?;
        let begun = moment();
        let (_, recovered) = Store::open(&config.journal, &config.charter)?;
        let seconds = begun.elapsed().as_secs_f64();
        if recovered.course.engine.state().hash()? != before {
            bail!("the engine that was started again is another");
        }
        Ok(seconds)
    }
}

pub(super) fn wait(until: Instant) {
    if let Some(left) = until.checked_duration_since(moment()) {
        std::thread::sleep(left);
    }
}

/// Prices of one underlying, one tick after another.
struct Ticker<'a> {
    load: &'a Load,
    now: Timestamp,
    sequence: u64,
    touched: Vec<usize>,
}

impl Ticker<'_> {
    /// Times from handing a tick's last price in to margins known and durable.
    fn run(&mut self, service: &Service, seconds: u64) -> anyhow::Result<Vec<Duration>> {
        let (_, sources, price) = &self.load.ticks;
        let begun = moment();
        let mut times = Vec::new();
        for i in 0..u32::try_from(seconds * 10).unwrap_or(u32::MAX) {
            wait(begun + TICK * i);
            self.now = Timestamp::from_nanos(self.now.nanos() + TICK_NANOS);
            let moved = price * (1.0 + 0.0005 * f64::from(i % 7));
            for source in sources {
                let (took, touched) = self.say(service, source, moved)?;
                if touched > 0 {
                    times.push(took);
                    self.touched.push(touched);
                }
            }
        }
        Ok(times)
    }

    fn say(&mut self, service: &Service, source: &str, price: f64) -> anyhow::Result<(Duration, usize)> {
        self.sequence += 1;
        let price = Stated { mantissa: (price * 1e6) as i64, exponent: -6 };
        let seen = Observation {
            sequence: self.sequence,
            time: self.now,
            price,
            confidence: None,
            valid_until: None,
        };
        let body = Body::Price { asset: self.load.ticks.0.clone(), source: source.to_owned(), seen };
        let (tell, told) = channel();
        let begun = moment();
        let reply = Box::new(move |done| drop(tell.send(done)));
        service.host.ingest.submit(Entry::new(At::Given(self.now), None, body), Some(reply))?;
        let applied = told.recv().context("the engine has stopped")??;
        let refused = applied.effects.iter().find_map(|effect| match effect {
            Effect::Rejected(reject) => Some(reject),
            _ => None,
        });
        if let Some(reject) = refused {
            bail!("a tick was refused: {reject}");
        }
        let touched = applied.effects.iter().find_map(|effect| match effect {
            Effect::Margins { accounts, .. } => Some(*accounts),
            _ => None,
        });
        Ok((begun.elapsed(), touched.unwrap_or_default()))
    }
}

/// Deposits as fast as they are taken.
pub(super) fn flood(host: &Host, load: &Load, now: Timestamp) -> anyhow::Result<f64> {
    let (begun, until) = (moment(), Duration::from_secs(load.seconds));
    let applied = Arc::new(AtomicU64::new(0));
    let failed = Arc::new(AtomicBool::new(false));
    let accounts = &load.asked.0;
    let asset = Asset::new("USD")?;
    let mut sent = 0_usize;
    while begun.elapsed() < until && !failed.load(Ordering::Relaxed) {
        let account = accounts.get(sent % accounts.len().max(1)).context("nobody to pay")?.clone();
        let body = Body::Deposit { account, asset: asset.clone(), nano: i128::from(NANO) };
        let (counted, broken) = (Arc::clone(&applied), Arc::clone(&failed));
        let reply = Box::new(move |done: Result<_, _>| match done {
            Ok(_) => drop(counted.fetch_add(1, Ordering::Relaxed)),
            Err(_) => broken.store(true, Ordering::Relaxed),
        });
        match host.ingest.submit(Entry::new(At::Given(now), None, body), Some(reply)) {
            Ok(_) => sent += 1,
            Err(crate::host::Busy::Full { .. }) => std::thread::yield_now(),
            Err(other) => return Err(other.into()),
        }
    }
    while host.ingest.waiting() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(applied.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64())
}

/// A connection that is kept.
struct Client {
    stream: BufReader<TcpStream>,
    host: String,
    answer: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), host: address.to_string(), answer: Vec::new() })
    }

    /// Asks whether an account may trade a little, and reads the answer to its end.
    fn check(&mut self, load: &Load, i: u64) -> anyhow::Result<()> {
        let (accounts, instrument) = &load.asked;
        let place = usize::try_from(i)? % accounts.len().max(1);
        let account = accounts.get(place).context("nobody to ask about")?;
        let body = format!(r#"{{"legs":[{{"instrument":"{instrument}","quantity":"1"}}]}}"#);
        write!(
            self.stream.get_mut(),
            "POST /v1/accounts/{account}/check HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        )?;
        let mut length = 0;
        let mut line = String::new();
        let mut status = String::new();
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let header = line.trim_end();
            if header.is_empty() {
                break;
            }
            if status.is_empty() {
                status = header.to_owned();
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        self.answer.resize(length, 0);
        self.stream.read_exact(&mut self.answer)?;
        if !status.contains(" 200") {
            bail!("{status}: {}", String::from_utf8_lossy(&self.answer));
        }
        Ok(())
    }
}
