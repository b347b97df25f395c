//! One source: its connection, its fetches, its protocol.

use super::counters::{Counters, What};
use super::http::{Arriving, fetch, get};
use super::socket::{Socket, open, refusal};
use super::{Backoff, http};
use crate::address::{Allowed, Endpoint};
use crate::protocol::{Ask, Protocol, Turn};
use crate::refusal::refuse;
use crate::{Events, Reading, Reason, Refusal};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Bytes;
use plimsoll_types::Timestamp;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::rustls::ClientConfig;
use tokio_tungstenite::tungstenite::Message;

/// Fetches at one time.
const FETCHES_MAX: usize = 4;
/// Fetches that wait; more are forgotten, and the protocol asks again.
const WAITING_MAX: usize = 64;

/// A source that says something sound is not waited for longer than after so many failures: eight times the first wait. Only one that
/// lasted is tried again at once, or a venue whose connections do not hold would be asked twice a second.
const SOUND_FAILURES_MAX: u32 = 3;

/// What comes from outside: nothing here has a clock or chance of its own.
#[derive(Clone)]
pub struct Outside {
    /// The instant.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// A number of 64 bits, each as likely as any other.
    pub chance: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Whom to trust over TLS ([`super::system_roots`]).
    pub tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for Outside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outside")
    }
}

/// How a source is listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// A WebSocket.
    WebSocket,
    /// Server-sent events.
    Events,
    /// Nothing is opened: the protocol fetches what it wants when time passes.
    Poll,
}

/// What a source may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest frame, event or body, bytes.
    pub frame_bytes: usize,
    /// The longest that a connection or a fetch may take.
    pub connect: Duration,
    /// The longest silence.
    pub silence: Duration,
    /// Between two ticks of the protocol.
    pub tick: Duration,
    /// Frames in a row after which the source is left, where all are refused as none of its protocol ([`Reason::is_foreign`]).
    pub foreign_max: u32,
    /// How long to wait before it is tried again.
    pub backoff: Backoff,
}

impl Default for Limits {
    /// 8 MiB, 10 s to connect, 30 s of silence, a tick a second, 100 frames that are none of the protocol.
    fn default() -> Self {
        Self {
            frame_bytes: 8 << 20,
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            tick: Duration::from_secs(1),
            foreign_max: 100,
            backoff: Backoff::default(),
        }
    }
}

/// Where a source is, and what it may cost.
#[derive(Clone, Debug)]
pub struct Source {
    /// How it is listened to.
    pub transport: Transport,
    /// Where.
    pub stream: Endpoint,
    /// Where bodies are fetched.
    pub rest: Option<Endpoint>,
    /// Which addresses may be reached.
    pub allowed: Allowed,
    /// What it may cost.
    pub limits: Limits,
}

/// Takes a reading; false where there is no room. It must not wait.
pub type Sink<'a> = dyn FnMut(Reading) -> bool + Send + 'a;

/// Listens to a source until `stop` is true or its sender is gone: connects, asks, decodes, and when the connection ends waits and begins
/// again. To be run in a task of its own.
pub async fn run(
    source: &Source,
    protocol: &mut dyn Protocol,
    outside: &Outside,
    counters: &Counters,
    sink: &mut Sink<'_>,
    mut stop: watch::Receiver<bool>,
) {
    let mut failures = 0_u32;
    while !*stop.borrow() {
        let begun = (outside.clock)();
        let mut session = Session {
            source,
            outside,
            counters,
            fetching: FuturesUnordered::new(),
            waiting: VecDeque::new(),
            foreign: 0,
            sound: false,
        };
        let ended = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            ended = session.run(protocol, sink) => ended,
        };
        counters.add(&What::Failure);
        counters.refuse(&ended);
        let backoff = source.limits.backoff;
        let lasted = begun.seconds_until((outside.clock)()) >= backoff.longest.as_secs_f64();
        failures = match session.sound {
            true if lasted => 0,
            true => failures.saturating_add(1).min(SOUND_FAILURES_MAX),
            false => failures.saturating_add(1),
        };
        let wait = backoff.wait(failures, (outside.chance)());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(wait) => {}
        }
    }
}

/// A connection, whichever.
enum Line {
    Socket(Box<Socket>),
    Events(Arriving, Events),
    Nothing,
}

/// What happened next.
enum Next {
    Frames(Vec<Bytes>),
    Fetched(String, Result<Bytes, Refusal>),
    Tick,
}

/// One connection's life.
struct Session<'a> {
    source: &'a Source,
    outside: &'a Outside,
    counters: &'a Counters,
    fetching: FuturesUnordered<BoxFuture<'a, (String, Result<Bytes, Refusal>)>>,
    waiting: VecDeque<String>,
    /// Frames in a row that were none of the protocol.
    foreign: u32,
    /// Whether anything else came.
    sound: bool,
}

impl Session<'_> {
    /// Runs until it ends; says why.
    async fn run(&mut self, protocol: &mut dyn Protocol, sink: &mut Sink<'_>) -> Refusal {
        match self.hold(protocol, sink).await {
            Ok(never) => match never {},
            Err(refusal) => refusal,
        }
    }

    async fn hold(&mut self, protocol: &mut dyn Protocol, sink: &mut Sink<'_>) -> Result<Never, Refusal> {
        let limits = self.source.limits;
        let headers = protocol.headers((self.outside.clock)());
        let opening = timeout(limits.connect, connect(self.source, headers, self.outside)).await;
        let mut line = opening.unwrap_or_else(|_| refuse(Reason::Venue, "connecting timed out"))?;
        self.counters.add(&What::Connection);
        let mut turn = Turn::default();
        protocol.open((self.outside.clock)(), &mut turn);
        self.settle(&mut line, protocol, turn, sink).await?;
        let mut ticks = interval(limits.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = std::pin::pin!(sleep(limits.silence));
        loop {
            let next = tokio::select! {
                frames = next_frames(&mut line) => {
                    quiet.set(sleep(limits.silence));
                    Next::Frames(frames?)
                }
                Some((path, body)) = self.fetching.next(), if !self.fetching.is_empty() => Next::Fetched(path, body),
                _ = ticks.tick() => Next::Tick,
                () = &mut quiet, if !matches!(line, Line::Nothing) => return refuse(Reason::Venue, "silent"),
            };
            self.take(&mut line, protocol, next, sink).await?;
        }
    }

    async fn take(
        &mut self,
        line: &mut Line,
        protocol: &mut dyn Protocol,
        next: Next,
        sink: &mut Sink<'_>,
    ) -> Result<(), Refusal> {
        let at = (self.outside.clock)();
        match next {
            Next::Frames(frames) => {
                for frame in frames {
                    let mut turn = Turn::default();
                    let taken = protocol.receive(&frame, at, &mut turn);
                    self.note(taken)?;
                    self.settle(line, protocol, turn, sink).await?;
                }
                Ok(())
            }
            Next::Fetched(path, body) => {
                let mut turn = Turn::default();
                let taken = body.and_then(|body| protocol.fetched(&path, &body, at, &mut turn));
                self.note(taken)?;
                self.settle(line, protocol, turn, sink).await
            }
            Next::Tick => {
                let mut turn = Turn::default();
                protocol.tick(at, &mut turn);
                self.settle(line, protocol, turn, sink).await
            }
        }
    }

    fn note(&mut self, taken: Result<(), Refusal>) -> Result<(), Refusal> {
        match &taken {
            Ok(()) => self.counters.add(&What::Frame),
            Err(refusal) => self.counters.refuse(refusal),
        }
        let reason = taken.err().map(|refusal| refusal.reason);
        if !reason.is_some_and(Reason::is_foreign) {
            self.foreign = 0;
            // That the venue refuses, or cannot be reached, says nothing sound.
            self.sound |= reason != Some(Reason::Venue);
            return Ok(());
        }
        self.foreign = self.foreign.saturating_add(1);
        if self.foreign < self.source.limits.foreign_max {
            return Ok(());
        }
        refuse(Reason::Venue, format_args!("{} frames in a row that are none of its protocol", self.foreign))
    }

    /// Hands on what was read and does what is asked.
    async fn settle(
        &mut self,
        line: &mut Line,
        protocol: &mut dyn Protocol,
        turn: Turn,
        sink: &mut Sink<'_>,
    ) -> Result<(), Refusal> {
        for reading in turn.readings {
            self.counters.add(if sink(reading) { &What::Reading } else { &What::Lost });
        }
        for ask in turn.asks {
            match ask {
                Ask::Send(text) => send(line, text, self.source.limits.connect).await?,
                Ask::Fetch(path) => {
                    if self.waiting.len() < WAITING_MAX && !self.waiting.contains(&path) {
                        self.waiting.push_back(path);
                    }
                }
            }
        }
        while self.fetching.len() < FETCHES_MAX {
            let Some(path) = self.waiting.pop_front() else { break };
            self.counters.add(&What::Fetch);
            let headers = protocol.headers((self.outside.clock)());
            self.fetching.push(Box::pin(fetch(path, headers, (self.source, self.outside))));
        }
        Ok(())
    }
}

enum Never {}

async fn connect(
    source: &Source,
    headers: Vec<(&'static str, String)>,
    outside: &Outside,
) -> Result<Line, Refusal> {
    match source.transport {
        Transport::WebSocket => Ok(Line::Socket(Box::new(open(source, headers, outside).await?))),
        Transport::Events => {
            let arriving = get(&source.stream, "text/event-stream", headers, (source, outside)).await?;
            Ok(Line::Events(arriving, Events::new(source.limits.frame_bytes)))
        }
        Transport::Poll => Ok(Line::Nothing),
    }
}

/// Sends a frame. One that cannot be sent in time is a connection that is none.
async fn send(line: &mut Line, text: String, within: Duration) -> Result<(), Refusal> {
    let Line::Socket(socket) = line else { return Ok(()) };
    match timeout(within, socket.send(Message::text(text))).await {
        Ok(sent) => sent.map_err(|error| refusal(&error)),
        Err(_) => refuse(Reason::Venue, "sending timed out"),
    }
}

/// The next frames: of a WebSocket one, or none for its own pings; of a stream of events all that are complete.
async fn next_frames(line: &mut Line) -> Result<Vec<Bytes>, Refusal> {
    match line {
        Line::Socket(socket) => match socket.next().await {
            Some(Ok(Message::Text(text))) => Ok(vec![text.into()]),
            Some(Ok(Message::Binary(bytes))) => Ok(vec![bytes]),
            Some(Ok(Message::Close(_))) | None => refuse(Reason::Venue, "closed"),
            // Whoever reads on answers pings.
            Some(Ok(_)) => Ok(Vec::new()),
            Some(Err(error)) => Err(refusal(&error)),
        },
        Line::Events(arriving, events) => {
            let Some(bytes) = http::Arriving::next(arriving).await? else {
                return refuse(Reason::Venue, "ended");
            };
            let mut frames = Vec::new();
            events.take(&bytes, &mut |event| frames.push(Bytes::copy_from_slice(event)))?;
            Ok(frames)
        }
        Line::Nothing => std::future::pending().await,
    }
}
