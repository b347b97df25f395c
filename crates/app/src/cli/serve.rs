//! `plimsoll serve`: the engine as a service.

use crate::doors::{self, Doors};
use crate::host::{self, Config, Host, Listener, Store};
use crate::intake::Intake;
use crate::output::Verdict;
use crate::readmodels::ReadModels;
use crate::serve::{App, Heard, serve};
use crate::signer::Publisher;
use crate::webhooks::Webhooks;
use anyhow::Context;
use clap::{Args, ValueEnum};
use plimsoll_engine::live::Body;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

/// Arguments of `serve`.
#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    /// What to run by; PLIMSOLL__SECTION__KEY in the environment goes above it
    #[arg(long, default_value = "plimsoll.toml", value_name = "FILE")]
    config: PathBuf,
    /// Form of the log on the standard error stream; RUST_LOG says how much
    #[arg(long, value_enum, default_value_t, value_name = "FORM")]
    log: Log,
}

/// Forms of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(super) enum Log {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Log {
    /// Sets up the log of the process; the first to ask decides.
    pub(super) fn start(self, otherwise: &str) {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(otherwise));
        let color = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let log =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
        // A log that is there already stays.
        let _ = match self {
            Self::Text => log.try_init(),
            Self::Json => log.json().try_init(),
        };
    }
}

/// Serves until it is told to stop.
pub(super) fn run(args: &ServeArgs) -> anyhow::Result<Verdict> {
    args.log.start("info");
    let config = Config::read(&args.config, environment(), host::now())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (webhooks, listeners) = Webhooks::new(&config.webhooks, &config.journal)?;
    let (running, app) = start(&config, listeners)?;
    let told = webhooks.start(&running.shared, runtime.handle())?;
    let intake = Intake::start(&config.intake, &config.charter, &running.ingest, runtime.handle())?;
    let clock = clock(&running, config.server.clock_ms)?;
    let readmodels = config
        .postgres
        .as_ref()
        .map(|postgres| ReadModels::start(postgres, &config.journal, &running.shared));
    let readmodels = readmodels.transpose()?;
    let whose = (config.journal.identity.as_str(), config.doors.chain);
    let publisher = config
        .signer
        .as_ref()
        .map(|signer| Publisher::start(signer, whose, &running.shared, app.publication()));
    let publisher = publisher.transpose()?;
    let (stop, stopped) = watch::channel(false);
    let outcome = runtime.block_on(async {
        let open = doors::open(config.server.listen, &config.doors).await?;
        tracing::info!(address = %open.address()?, "serving; /docs describes every route");
        tokio::spawn(ended(Arc::clone(&running.shared), stop));
        tokio::select! {
            done = serve(app, open, gone(stopped.clone())) => done,
            // Who does not read to the end of an answer does not keep the engine from ending well.
            () = late(stopped) => Ok(()),
        }
    });
    intake.stop();
    runtime.shutdown_timeout(Duration::from_secs(2));
    clock.stop();
    if let Some(readmodels) = readmodels {
        readmodels.stop();
    }
    if let Some(publisher) = publisher {
        publisher.stop();
    }
    let end = running.stop().context("stopping")?.durable();
    told.settle();
    tracing::info!(sequence = end.sequence, hash = %end.hash, "stopped; everything accepted is in the journal");
    outcome.map(|()| Verdict::Passed)
}

/// What the environment says, as far as it is text.
pub(super) fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

/// Opens the journal, brings the engine up to its end, and starts what runs.
/// Whoever listens besides hears of everything that follows.
pub(super) fn start(config: &Config, mut listeners: Vec<Listener>) -> anyhow::Result<(Host, Arc<App>)> {
    let begun = host::moment();
    let (store, recovered) = Store::open(&config.journal, &config.charter)?;
    for repair in &recovered.repairs {
        tracing::warn!(?repair, "the journal was mended");
    }
    tracing::info!(
        sequence = recovered.course.sequence,
        snapshot = recovered.snapshot,
        replayed = recovered.replayed,
        seconds = begun.elapsed().as_secs_f64(),
        "recovered"
    );
    let heard = Heard::new(config.server.backlog);
    listeners.push(heard.listener());
    let running = Host::start((store, recovered), (&config.journal, &config.server), listeners)?;
    let doors =
        Doors::new(&config.doors, &config.journal.identity, config.server.body_bytes_max, host::now())?;
    let app = App::new(&running, config.server.clone(), doors, heard)?;
    Ok((running, app))
}

/// Waits for a signal, or for the engine to fail.
async fn ended(shared: Arc<host::Shared>, stop: watch::Sender<bool>) {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = pace.tick() => if shared.failed().is_some() { break },
        }
    }
    stop.send_replace(true);
}

async fn gone(mut stopped: watch::Receiver<bool>) {
    // When nobody can say stop any more, it has stopped.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Ends some seconds after it was said to stop.
async fn late(stopped: watch::Receiver<bool>) {
    gone(stopped).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// The thread that lets time pass.
pub(super) struct Clock {
    on: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Clock {
    pub(super) fn stop(self) {
        self.on.store(false, Ordering::Release);
        if let Some(thread) = self.thread {
            // It does nothing but wait and submit.
            let _ = thread.join();
        }
    }
}

fn clock(running: &Host, millis: u64) -> anyhow::Result<Clock> {
    let on = Arc::new(AtomicBool::new(millis > 0));
    let (ingest, going) = (Arc::clone(&running.ingest), Arc::clone(&on));
    let run = move || {
        while going.load(Ordering::Acquire) {
            // A queue that is full has time enough in it; one that is closed ends this too.
            let _ = ingest.submit(host::Entry::new(host::At::Now, None, Body::Clock), None);
            let begun = host::moment();
            while going.load(Ordering::Acquire) && begun.elapsed() < Duration::from_millis(millis) {
                std::thread::sleep(Duration::from_millis(millis.min(50)));
            }
        }
    };
    let thread = std::thread::Builder::new().name("clock".to_owned()).spawn(run)?;
    Ok(Clock { on, thread: Some(thread) })
}
