//! WebSocket: channels that say what is new.
//!
//! `params`, `liquidations` and `validity` say everything, in order: who reads too slowly is told so and cut off. `margin.{account}`,
//! `scenarios.{account}` and `overview` say how things stand, the latest only, at most ten times a second.

use super::App;
use super::answer::{Ctx, Problem};
use super::channel::{Channel, Channels, NAMES};
use super::rpc::{Call, Work, answer};
use crate::doors::{Caller, Seat, SocketClaim};
use crate::host::Applied;
use crate::wire;
use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::response::{IntoResponse, Response};
use plimsoll_engine::live::Effect;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

/// Between two messages of how things stand.
const PACE: Duration = Duration::from_millis(100);

/// A socket that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest request.
const REQUEST_BYTES: usize = 64 << 10;

/// What a socket asks.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    Subscribe { channels: Vec<String> },
    Unsubscribe { channels: Vec<String> },
    Auth(SocketClaim),
    Ping {},
}

/// Of `subscribe` and `unsubscribe`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(default)]
    channels: Option<Vec<String>>,
}

/// How a socket is spoken with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tongue {
    /// Messages with an `op`.
    Plain,
    /// JSON-RPC 2.0.
    Rpc,
}

impl Tongue {
    /// Where the socket is asked for: what a proof of it is of.
    fn path(self) -> &'static str {
        match self {
            Self::Plain => "/v1/ws",
            Self::Rpc => "/rpc",
        }
    }

    /// The longest request.
    fn bytes_max(self, app: &App) -> usize {
        match self {
            Self::Plain => REQUEST_BYTES,
            Self::Rpc => app.limits.body_bytes_max,
        }
    }
}

/// Channels `params`, `liquidations`, `validity`, `overview`, `margin.ACCOUNT`, `scenarios.ACCOUNT`; ask with
/// `{"op":"subscribe","channels":["params"]}`. Who cannot set headers proves itself with `{"op":"auth","key","time","nonce","proof"}`,
/// the proof being of `GET /v1/ws`, or with a session key by `{"op":"auth","address","time","nonce","valid_until","signature"}`.
#[utoipa::path(get, path = "/v1/ws", tag = "events",
    responses((status = 101, description = "a WebSocket"), (status = 200, body = Channels, description = "no WebSocket was asked for")))]
pub(super) async fn connect(
    State(app): Ctx,
    caller: Caller,
    seat: Option<Extension<Seat>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    open(app, caller, seat, upgrade, Tongue::Plain)
}

/// Opens a socket, where one was asked for.
pub(super) fn open(
    app: Arc<App>,
    caller: Caller,
    seat: Option<Extension<Seat>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    tongue: Tongue,
) -> Response {
    let Ok(upgrade) = upgrade else { return Json(NAMES).into_response() };
    upgrade.max_message_size(tongue.bytes_max(&app)).on_upgrade(move |socket| async move {
        metrics::gauge!("plimsoll_sockets").increment(1);
        // A socket that breaks is not told so.
        let _ = Talk { app, caller, socket, tongue, channels: BTreeMap::new() }.run().await;
        // Its place is another's now.
        drop(seat);
        metrics::gauge!("plimsoll_sockets").decrement(1);
    })
}

/// One socket.
struct Talk {
    app: Arc<App>,
    caller: Caller,
    socket: WebSocket,
    tongue: Tongue,
    /// What it hears, and by which name it asked for it.
    channels: BTreeMap<Channel, String>,
}

/// The other side has gone.
struct Gone;

impl From<axum::Error> for Gone {
    fn from(_: axum::Error) -> Self {
        Self
    }
}

impl Talk {
    async fn run(mut self) -> Result<(), Gone> {
        let mut notable = self.app.heard.notable.subscribe();
        let mut margins = self.app.heard.margins.subscribe();
        let mut pace = interval(PACE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whether something was told of an event before the last: an overview is shared, and may be a little older.
        let mut behind = false;
        loop {
            tokio::select! {
                asked = self.socket.recv() => match asked {
                    Some(message) => self.asked(message?).await?,
                    None => return Ok(()),
                },
                heard = notable.recv() => match heard {
                    Ok(applied) => self.happened(&applied).await?,
                    Err(RecvError::Lagged(missed)) => return self.cut_off(missed).await,
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = pace.tick() => {
                    if !self.app.doors.is_still_good(&self.caller) {
                        return self.revoked().await;
                    }
                    if behind || margins.has_changed().unwrap_or(false) {
                        let newest = *margins.borrow_and_update();
                        behind = self.stands().await? < newest;
                    }
                },
            }
        }
    }

    async fn asked(&mut self, message: Message) -> Result<(), Gone> {
        let text = match &message {
            Message::Text(text) => text.as_str(),
            Message::Close(_) => return Err(Gone),
            _ => return Ok(()),
        };
        if self.tongue == Tongue::Rpc {
            return self.called(text).await;
        }
        let done = serde_json::from_str::<Ask>(text)
            .map_err(|e| Problem::argument(e.to_string()))
            .and_then(|ask| self.take(ask));
        match done {
            Ok((answer, new)) => {
                self.say(answer).await?;
                for channel in new {
                    self.stand(&channel).await?;
                }
                Ok(())
            }
            Err(problem) => {
                self.say(json!({ "op": "error", "code": problem.code, "detail": problem.detail })).await
            }
        }
    }

    /// Does what is asked: the answer, and channels that are new.
    fn take(&mut self, ask: Ask) -> Result<(Value, Vec<Channel>), Problem> {
        let parse = |channels: &[String]| -> Result<Vec<Channel>, Problem> {
            channels.iter().map(|name| Channel::parse(name)).collect()
        };
        let (op, names, new) = match ask {
            Ask::Ping {} => return Ok((json!({ "op": "pong" }), Vec::new())),
            Ask::Auth(claim) => {
                self.know(&claim)?;
                return Ok((json!({ "op": "known", "key": self.caller.key }), Vec::new()));
            }
            Ask::Subscribe { channels: names } => {
                let channels = parse(&names)?;
                self.subscribe(channels.iter().cloned().zip(names.iter().cloned()).collect())?;
                ("subscribed", names, channels)
            }
            Ask::Unsubscribe { channels: names } => {
                let channels = parse(&names)?;
                self.channels.retain(|channel, _| !channels.contains(channel));
                ("unsubscribed", names, Vec::new())
            }
        };
        Ok((json!({ "op": op, "channels": names }), new))
    }

    fn know(&mut self, claim: &SocketClaim) -> Result<(), Problem> {
        self.caller = self.app.doors.at_socket(self.tongue.path(), claim)?;
        Ok(())
    }

    /// Adds channels, by the names they were asked for: all of them or none.
    fn subscribe(&mut self, new: Vec<(Channel, String)>) -> Result<(), Problem> {
        new.iter().try_for_each(|(channel, _)| channel.is_open_to(&self.caller))?;
        let most = self.app.limits.subscriptions_max;
        if self.channels.len() + new.len() > most {
            return Err(Problem::argument(format!("at most {most} channels")));
        }
        self.known(new.iter().map(|(channel, _)| channel))?;
        self.channels.extend(new);
        Ok(())
    }

    /// Answers calls of JSON-RPC, and says how things stand on what is new.
    async fn called(&mut self, text: &str) -> Result<(), Gone> {
        let (mut work, mut new) = (Work::default(), Vec::new());
        let app = Arc::clone(&self.app);
        let said = answer(text.as_bytes(), |call| {
            let method = work.admitted(&app, &self.caller, call)?;
            if method.of_socket {
                return Ok(self.of_socket(call, &mut new)?);
            }
            Ok(work.run(&app, &self.caller, call)?)
        });
        if let Some(said) = said {
            self.say_text(said).await?;
        }
        for channel in new {
            self.stand(&channel).await?;
        }
        Ok(())
    }

    /// Does what is called, of what is about the socket itself.
    fn of_socket(&mut self, call: &Call, new: &mut Vec<Channel>) -> Result<Value, Problem> {
        let (of, verb) = call.method.split_once('/').unwrap_or(("", &call.method));
        if verb == "auth" {
            self.know(&call.params()?)?;
            return Ok(json!({ "key": self.caller.key }));
        }
        let Named { channels: names } = call.params()?;
        let read = |name: &String| Ok((Channel::of_venue(name, &self.caller)?, name.clone()));
        let named = names.iter().flatten().map(read).collect::<Result<Vec<_>, Problem>>()?;
        if let Some((_, name)) = named.iter().find(|(channel, _)| of == "public" && !channel.is_public()) {
            return Err(Problem::argument(format!("`{name}` is private")));
        }
        let names = match (verb, names) {
            ("subscribe", Some(names)) => {
                self.subscribe(named.clone())?;
                new.extend(named.into_iter().map(|(channel, _)| channel));
                names
            }
            ("subscribe", None) => return Err(Problem::argument("`channels` are missing")),
            (_, Some(names)) => {
                self.channels.retain(|channel, _| !named.iter().any(|(gone, _)| gone == channel));
                names
            }
            (_, None) => std::mem::take(&mut self.channels).into_values().collect(),
        };
        // The same method is answered in another form by each of the two venues that have it.
        if of.is_empty() {
            let status: BTreeMap<&String, &str> = names.iter().map(|name| (name, "ok")).collect();
            let current: Vec<&String> = self.channels.values().collect();
            return Ok(json!({ "status": status, "current_subscriptions": current }));
        }
        Ok(json!(names))
    }

    /// Whether every account that is named is there.
    fn known<'a>(&self, channels: impl Iterator<Item = &'a Channel>) -> Result<(), Problem> {
        let course = self.app.shared.course();
        for channel in channels {
            if let Channel::Margin(account) | Channel::Scenarios(account) = channel {
                course.engine.account(account)?;
            }
        }
        Ok(())
    }

    async fn happened(&mut self, applied: &Applied) -> Result<(), Gone> {
        let messages = self.messages(applied);
        for message in messages {
            self.say(message).await?;
        }
        Ok(())
    }

    fn messages(&self, applied: &Applied) -> Vec<Value> {
        let course = self.app.shared.course();
        let units = &course.engine.rules().params.units;
        let written = |effect: &Effect| {
            let channel = Channel::of(effect).filter(|of| self.channels.contains_key(of))?;
            let message = json!({
                "channel": channel.name(),
                "sequence": applied.sequence,
                "as_of": applied.at.to_string(),
                "snapshot": applied.snapshot.to_string(),
                "parameters": applied.parameters,
                "validity": applied.validity,
                "data": wire::effect(effect, units),
            });
            Some(self.told(&channel, message))
        };
        applied.effects.iter().filter_map(written).collect()
    }

    /// Says how everything stands that is followed: the earliest event that any of it is of.
    async fn stands(&mut self) -> Result<u64, Gone> {
        let mut earliest = u64::MAX;
        for channel in self.channels.keys().cloned().collect::<Vec<_>>() {
            earliest = earliest.min(self.stand(&channel).await?);
        }
        Ok(earliest)
    }

    async fn stand(&mut self, channel: &Channel) -> Result<u64, Gone> {
        match channel.stands(&self.app) {
            Some(Ok(message)) => {
                let sequence = message["sequence"].as_u64().unwrap_or(u64::MAX);
                self.say(self.told(channel, message)).await?;
                Ok(sequence)
            }
            // Not valued just now; it will be said when it is.
            Some(Err(_)) | None => Ok(u64::MAX),
        }
    }

    /// A message of a channel, as it is told in the socket's tongue.
    fn told(&self, channel: &Channel, mut message: Value) -> Value {
        if self.tongue == Tongue::Plain {
            return message;
        }
        if let Some(fields) = message.as_object_mut() {
            fields.remove("channel");
        }
        let name = self.channels.get(channel);
        json!({ "jsonrpc": "2.0", "method": "subscription", "params": { "channel": name, "data": message } })
    }

    async fn say(&mut self, message: Value) -> Result<(), Gone> {
        self.say_text(message.to_string()).await
    }

    async fn say_text(&mut self, text: String) -> Result<(), Gone> {
        let sent = self.socket.send(Message::Text(text.into()));
        match tokio::time::timeout(PATIENCE, sent).await {
            Ok(sent) => Ok(sent?),
            Err(_) => {
                metrics::counter!("plimsoll_slow_sockets_total").increment(1);
                Err(Gone)
            }
        }
    }

    async fn revoked(mut self) -> Result<(), Gone> {
        let frame = CloseFrame { code: close_code::POLICY, reason: "the key opens nothing any more".into() };
        Ok(self.socket.send(Message::Close(Some(frame))).await?)
    }

    async fn cut_off(mut self, missed: u64) -> Result<(), Gone> {
        metrics::counter!("plimsoll_slow_sockets_total").increment(1);
        let reason = format!("too slow: {missed} messages missed").into();
        let frame = CloseFrame { code: close_code::POLICY, reason };
        Ok(self.socket.send(Message::Close(Some(frame))).await?)
    }
}
