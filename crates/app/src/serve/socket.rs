//! WebSocket: channels that say what is new.
//!
//! `params`, `liquidations` and `validity` say everything, in order: who reads too slowly is told so and cut off. `margin.{account}`,
//! `scenarios.{account}` and `overview` say how things stand, the latest only, at most ten times a second.

use super::App;
use super::accounts::{margin_of, written as account_of};
use super::answer::{Answer, Ctx, Problem, account as named};
use crate::doors::{Caller, Need, Seat, SocketClaim};
use crate::host::{Applied, Course};
use crate::wire;
use axum::Json;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use plimsoll_engine::live::Effect;
use plimsoll_types::AccountId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
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

/// What may be subscribed to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Channel {
    Params,
    Liquidations,
    Validity,
    Overview,
    Margin(AccountId),
    Scenarios(AccountId),
}

/// What a socket asks.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Ask {
    Subscribe { channels: Vec<String> },
    Unsubscribe { channels: Vec<String> },
    Auth(SocketClaim),
    Ping {},
}

impl Channel {
    fn parse(text: &str) -> Result<Self, Problem> {
        let of = |rest: &str| named(rest);
        match text.split_once('.') {
            Some(("margin", account)) => Ok(Self::Margin(of(account)?)),
            Some(("scenarios", account)) => Ok(Self::Scenarios(of(account)?)),
            None if text == "params" => Ok(Self::Params),
            None if text == "liquidations" => Ok(Self::Liquidations),
            None if text == "validity" => Ok(Self::Validity),
            None if text == "overview" => Ok(Self::Overview),
            _ => Err(Problem::argument(format!("`{text}` is no channel: expected {}", CHANNELS.join(", ")))),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Params => "params".to_owned(),
            Self::Liquidations => "liquidations".to_owned(),
            Self::Validity => "validity".to_owned(),
            Self::Overview => "overview".to_owned(),
            Self::Margin(account) => format!("margin.{account}"),
            Self::Scenarios(account) => format!("scenarios.{account}"),
        }
    }

    /// Whether a caller may hear it; an account that it may not see is not there.
    fn is_open_to(&self, caller: &Caller) -> Result<(), Problem> {
        let (open, needed) = match self {
            Self::Margin(account) | Self::Scenarios(account) => {
                return if caller.may(Need::Account) && caller.sees(account) {
                    Ok(())
                } else {
                    Err(Problem::unknown_account(account))
                };
            }
            Self::Overview | Self::Liquidations => (caller.may(Need::Everybody), "a key of all accounts"),
            Self::Params | Self::Validity => (caller.may(Need::Market), "a key"),
        };
        let refused =
            || Problem::new(StatusCode::FORBIDDEN, "forbidden", format!("`{}` needs {needed}", self.name()));
        open.then_some(()).ok_or_else(refused)
    }

    /// The channel that says an effect in full.
    fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Parameters { .. } => Some(Self::Params),
            Effect::Validity { .. } | Effect::Escalated { .. } => Some(Self::Validity),
            Effect::Rejected(_) | Effect::Margins { .. } | Effect::Issues { .. } => None,
            _ => Some(Self::Liquidations),
        }
    }

    /// How things stand; nothing for channels that say what happens.
    fn stands(&self, app: &App) -> Option<Result<Value, Problem>> {
        match self {
            Self::Overview => Some(app.overview().map(|answer| self.message(&*answer))),
            Self::Margin(account) => Some(self.of_account(app, account, |course| {
                Ok(serde_json::to_value(account_of(course, account)?).unwrap_or_default())
            })),
            Self::Scenarios(account) => Some(self.of_account(app, account, |course| {
                Ok(serde_json::to_value(margin_of(&course.engine, account)?).unwrap_or_default())
            })),
            _ => None,
        }
    }

    fn of_account(
        &self,
        app: &App,
        account: &AccountId,
        of: impl FnOnce(&Course) -> Result<Value, Problem>,
    ) -> Result<Value, Problem> {
        let answer = app.read(|course| {
            let (number, _) = course.engine.account(account)?;
            Ok((course.engine.validity(number), of(course)?))
        })?;
        Ok(self.message(&answer))
    }

    fn message<T: Serialize>(&self, answer: &Answer<T>) -> Value {
        let mut value = serde_json::to_value(answer).unwrap_or_default();
        value["channel"] = Value::String(self.name());
        value
    }
}

/// What may be subscribed to.
const CHANNELS: [&str; 6] =
    ["params", "liquidations", "validity", "overview", "margin.ACCOUNT", "scenarios.ACCOUNT"];

/// What a socket would have to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Channels {
    /// See there.
    channels: [&'static str; 6],
}

/// Where the socket is asked for: what a proof of it is of.
const PATH: &str = "/v1/ws";

/// Channels `params`, `liquidations`, `validity`, `overview`, `margin.ACCOUNT`, `scenarios.ACCOUNT`; ask with
/// `{"op":"subscribe","channels":["params"]}`. Who cannot set headers proves itself with `{"op":"auth","key","time","nonce","proof"}`,
/// the proof being of `GET /v1/ws`.
#[utoipa::path(get, path = "/v1/ws", tag = "events",
    responses((status = 101, description = "a WebSocket"), (status = 200, body = Channels, description = "no WebSocket was asked for")))]
pub(super) async fn connect(
    State(app): Ctx,
    caller: Caller,
    seat: Option<Extension<Seat>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else { return Json(Channels { channels: CHANNELS }).into_response() };
    upgrade.max_message_size(REQUEST_BYTES).on_upgrade(move |socket| async move {
        metrics::gauge!("plimsoll_sockets").increment(1);
        // A socket that breaks is not told so.
        let _ = Talk { app, caller, socket, channels: BTreeSet::new() }.run().await;
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
    channels: BTreeSet<Channel>,
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
                self.caller = self.app.doors.at_socket(PATH, &claim)?;
                return Ok((json!({ "op": "known", "key": self.caller.key }), Vec::new()));
            }
            Ask::Subscribe { channels: names } => {
                let channels = parse(&names)?;
                channels.iter().try_for_each(|channel| channel.is_open_to(&self.caller))?;
                let most = self.app.limits.subscriptions_max;
                if self.channels.len() + channels.len() > most {
                    return Err(Problem::argument(format!("at most {most} channels")));
                }
                self.known(&channels)?;
                self.channels.extend(channels.iter().cloned());
                ("subscribed", names, channels)
            }
            Ask::Unsubscribe { channels: names } => {
                let channels = parse(&names)?;
                self.channels.retain(|channel| !channels.contains(channel));
                ("unsubscribed", names, Vec::new())
            }
        };
        Ok((json!({ "op": op, "channels": names }), new))
    }

    /// Whether every account that is named is there.
    fn known(&self, channels: &[Channel]) -> Result<(), Problem> {
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
        let wanted = |effect: &&Effect| Channel::of(effect).is_some_and(|of| self.channels.contains(&of));
        let written = |effect: &Effect| {
            json!({
                "channel": Channel::of(effect).map(|of| of.name()),
                "sequence": applied.sequence,
                "as_of": applied.at.to_string(),
                "snapshot": applied.snapshot.to_string(),
                "parameters": applied.parameters,
                "validity": applied.validity,
                "data": wire::effect(effect, units),
            })
        };
        applied.effects.iter().filter(wanted).map(written).collect()
    }

    /// Says how everything stands that is followed: the earliest event that any of it is of.
    async fn stands(&mut self) -> Result<u64, Gone> {
        let mut earliest = u64::MAX;
        for channel in self.channels.clone() {
            earliest = earliest.min(self.stand(&channel).await?);
        }
        Ok(earliest)
    }

    async fn stand(&mut self, channel: &Channel) -> Result<u64, Gone> {
        match channel.stands(&self.app) {
            Some(Ok(message)) => {
                let sequence = message["sequence"].as_u64().unwrap_or(u64::MAX);
                self.say(message).await?;
                Ok(sequence)
            }
            // Not valued just now; it will be said when it is.
            Some(Err(_)) | None => Ok(u64::MAX),
        }
    }

    async fn say(&mut self, message: Value) -> Result<(), Gone> {
        let sent = self.socket.send(Message::Text(message.to_string().into()));
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
