//! `plimsoll demo`: the server on a market of the project's own, and what it does there, live in the terminal.

mod ending;
mod story;
mod view;

use super::serve;
use crate::doors::{self, DoorsConfig};
use crate::host::{self, At, Config, Entry, Host, JournalConfig, ServerConfig};
use crate::intake::IntakeConfig;
use crate::output::Verdict;
use crate::serve::App;
use crate::webhooks::WebhooksConfig;
use anyhow::{Context, bail};
use clap::Args;
use plimsoll_engine::live::Event;
use plimsoll_sim::harbour::{Phase, Producer, Spec, Tally, TapeSpec};
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};
pub(in crate::cli) use story::Story;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// How long the story takes unless it is told otherwise.
const STORY: Duration = Duration::from_secs(120);

/// Accounts that recorded open interest is spread over, at most.
const TAPE_MAX: usize = 1_000;

/// Events of the opening that are on their way at once: nobody reacts to them.
const OPENING: usize = 1_024;

/// Arguments of `demo`.
#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Market seconds per second; unless given, the story takes two minutes or what --for says
    #[arg(long, value_name = "TIMES")]
    speed: Option<f64>,
    /// Every draw of the market follows from it
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// How long it takes, as 60s or 5m
    #[arg(long = "for", value_parser = duration, value_name = "TIME")]
    lasts: Option<Duration>,
    /// Accounts beside the backstop
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    accounts: usize,
    /// Market seconds between two observations of one source: fewer make more prices
    #[arg(long, default_value_t = Spec::default().source_seconds, value_name = "SECONDS")]
    every: i64,
    /// A line now and then and not a view that is redrawn
    #[arg(long)]
    headless: bool,
    /// Keep the journal here; otherwise in a temporary folder that is removed
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Address to serve at; a free port unless given
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Tell recorded chains (a file or folder, as for `backtest --chains`) and not the seeded market
    #[arg(long, value_name = "FILES", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// Do not compute what it would have been under other rules
    #[arg(long)]
    alone: bool,
}

/// A number and s, m or h.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(format!("`{unit}` is no unit: expected s, m or h")),
    };
    let number: f64 = number.parse().map_err(|e| format!("`{text}`: {e}"))?;
    let found = Duration::try_from_secs_f64(number * seconds).map_err(|e| format!("`{text}`: {e}"))?;
    if found < Duration::from_secs(1) { Err(format!("`{text}` is less than a second")) } else { Ok(found) }
}

/// What is shown, and how fast.
struct Plan {
    story: Story,
    /// Market seconds per second.
    speed: f64,
}

impl Plan {
    fn of(args: &DemoArgs) -> anyhow::Result<Self> {
        let lasts = args.lasts.unwrap_or(STORY).as_secs_f64();
        let (seed, accounts, source_seconds) = (args.seed, args.accounts, args.every);
        let seeded = Spec { seed, accounts, source_seconds, ..Spec::default() };
        let story = match (args.replay.as_slice(), args.speed, args.lasts) {
            ([], Some(speed), Some(_)) => {
                Story::Seeded(Spec { length_seconds: (speed * lasts) as i64, ..seeded })
            }
            ([], ..) => Story::Seeded(seeded),
            (files, ..) => {
                Story::recorded(TapeSpec { seed: args.seed, accounts: args.accounts.min(TAPE_MAX) }, files)?
            }
        };
        let speed = args.speed.unwrap_or(story.seconds() / lasts);
        if !(speed.is_finite() && speed >= 1.0) {
            bail!("`--speed` is {speed}: expected at least 1");
        }
        Ok(Self { story, speed })
    }
}

/// Runs the demonstration.
pub(super) fn run(args: &DemoArgs) -> anyhow::Result<Verdict> {
    serve::Log::default().start("warn");
    let plan = Plan::of(args)?;
    let folder = Folder::of(args.dir.as_deref())?;
    let config = Config {
        journal: JournalConfig {
            dir: folder.path().to_owned(),
            identity: "plimsoll demo".to_owned(),
            ..JournalConfig::default()
        },
        server: ServerConfig::default(),
        doors: DoorsConfig::default(),
        intake: IntakeConfig::default(),
        webhooks: WebhooksConfig::default(),
        postgres: None,
        signer: None,
        charter: plan.story.charter("plimsoll", "plimsoll")?,
    };
    if folder.path().join(host::IDENTITY_FILE).exists() {
        bail!("{} holds a journal already: `plimsoll replay` says what is in it", folder.path().display());
    }
    let (running, app) = serve::start(&config, Vec::new())?;
    let others = (!args.alone).then(|| ending::others(&plan)).transpose()?;
    let door = Door::open(app, args.listen)?;
    let shown = view::View::new(door.address, plan.speed, !args.headless && std::io::stdout().is_terminal());
    let told = tell(&plan, &running, shown);
    door.close();
    let end = running.stop()?.durable();
    let (outcome, whole) = told?;
    if !whole {
        writeln!(std::io::stdout(), "stopped before the end: nothing is compared")?;
    }
    ending::print(outcome, others.filter(|_| whole), (end, args.dir.as_deref()))?;
    Ok(Verdict::Passed)
}

/// Tells the story to the engine at its speed, and shows what follows: the outcome, and whether it is of the whole story.
fn tell(
    plan: &Plan,
    running: &Host,
    mut view: view::View,
) -> anyhow::Result<(plimsoll_sim::harbour::Outcome, bool)> {
    let rules = running.shared.course().engine.rules().clone();
    let mut producer = plan.story.producer(&rules)?;
    let mut tally = Tally::new(&rules, plan.story.starts());
    let stop = interrupted()?;
    let mut pace: Option<Pace> = None;
    while let Some(due) = producer.due().filter(|_| !stop.load(Ordering::Acquire)) {
        if producer.scene().phase != Phase::Opening {
            pace.get_or_insert_with(|| Pace::new(due, plan.speed))
                .wait(due, || view.draw(running, producer.scene(), &tally))?;
        }
        let batch = if pace.is_some() { 1 } else { OPENING };
        step(producer.as_mut(), running, (&mut tally, &mut view), batch)?;
        view.draw(running, producer.scene(), &tally)?;
    }
    view.end(running, producer.scene(), &tally)?;
    Ok((tally.outcome(), producer.due().is_none()))
}

/// Hands in the next events, at most so many that nobody reacts to, and lets people react to what followed.
fn step(
    producer: &mut dyn Producer,
    running: &Host,
    (tally, view): (&mut Tally, &mut view::View),
    batch: usize,
) -> anyhow::Result<()> {
    let (tell, told) = sync_channel(batch);
    let mut handed = Vec::new();
    while handed.len() < batch && (handed.is_empty() || producer.scene().phase == Phase::Opening) {
        let Some(event) = producer.next() else { break };
        if hand_in(running, &event, &tell)? {
            handed.push(event);
        }
    }
    // From here on only what was handed in can answer: when the engine stops, nobody waits for ever.
    drop(tell);
    for event in handed {
        let (done, took) = told.recv().context("the engine has stopped")?;
        let applied = done?;
        tally.take(&running.shared.course().engine, &event, &applied.effects);
        view.took(&event, &applied, took);
        producer.react(&applied.effects, applied.at);
    }
    Ok(())
}

/// What became of an event, and how long it took.
type Told = (Result<Arc<host::Applied>, host::Failure>, Duration);

/// Hands an event in, waiting while there is no room; whether it will be answered.
fn hand_in(running: &Host, event: &Event, tell: &SyncSender<Told>) -> anyhow::Result<bool> {
    loop {
        let (tell, begun) = (tell.clone(), host::moment());
        let reply = Box::new(move |done| {
            // Nobody listens any more when the demonstration was cut short.
            let _ = tell.send((done, begun.elapsed()));
        });
        let entry = Entry::new(At::Given(event.at), event.key.clone(), event.body.clone());
        match running.ingest.submit(entry, Some(reply)) {
            Err(host::Busy::Full { .. }) => std::thread::sleep(Duration::from_millis(1)),
            done => return Ok(done?),
        }
    }
}

/// Market time against the host's.
struct Pace {
    began: Instant,
    from: plimsoll_types::Timestamp,
    speed: f64,
}

impl Pace {
    fn new(from: plimsoll_types::Timestamp, speed: f64) -> Self {
        Self { began: host::moment(), from, speed }
    }

    /// Waits until it is time, drawing meanwhile.
    fn wait(
        &self,
        due: plimsoll_types::Timestamp,
        mut draw: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let at = Duration::from_secs_f64((self.from.seconds_until(due) / self.speed).max(0.0));
        while let Some(left) = at.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero()) {
            draw()?;
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
        Ok(())
    }
}

/// Says when somebody has had enough.
fn interrupted() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let said = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = move || {
        // Without a signal there is nothing to wait for.
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            said.store(true, Ordering::Release);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(stop)
}

/// The server of a demonstration.
struct Door {
    runtime: Runtime,
    stop: oneshot::Sender<()>,
    address: SocketAddr,
}

impl Door {
    fn open(app: Arc<App>, address: Option<SocketAddr>) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = DoorsConfig::default();
        let open = runtime.block_on(async {
            match address {
                Some(address) => doors::open(address, &config).await,
                None => match doors::open(usual, &config).await {
                    Ok(open) => Ok(open),
                    Err(_) => doors::open(any, &config).await,
                },
            }
        })?;
        let address = open.address()?;
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(crate::serve::serve(app, open, async {
            // Dropped or told: either way it is over.
            let _ = stopped.await;
        }));
        Ok(Self { runtime, stop, address })
    }

    fn close(self) {
        // It may have ended by itself.
        let _ = self.stop.send(());
        self.runtime.shutdown_timeout(Duration::from_secs(1));
    }
}

/// The folder of the journal; a temporary one is removed at the end.
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn of(kept: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = kept {
            return Ok(Self { path: path.to_owned(), temporary: false });
        }
        let name = format!("plimsoll-demo-{}-{}", std::process::id(), host::now().nanos());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, temporary: true })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // Nothing depends on it any more.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
