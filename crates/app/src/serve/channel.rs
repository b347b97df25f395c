//! What a socket may hear, and what it is told.

use super::App;
use super::accounts::{margin_of, written as account_of};
use super::answer::{Answer, Problem, account as named};
use crate::doors::{Caller, Need};
use crate::host::Course;
use axum::http::StatusCode;
use plimsoll_engine::live::Effect;
use plimsoll_types::AccountId;
use serde::Serialize;
use serde_json::Value;

/// What may be subscribed to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Channel {
    Params,
    Liquidations,
    Validity,
    Overview,
    Margin(AccountId),
    Scenarios(AccountId),
}

impl Channel {
    /// Reads a name of ours.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
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

    /// As venues call it: what is read from their names is ours, and what is told is too.
    pub(super) fn of_venue(text: &str, caller: &Caller) -> Result<Self, Problem> {
        let own = || {
            let why = format!("`{text}`: this key is not for one account alone, ask for `margin.ACCOUNT`");
            caller.own_account().cloned().ok_or_else(|| Problem::argument(why))
        };
        match text.rsplit_once('.') {
            Some(("user.portfolio", _)) => Ok(Self::Margin(own()?)),
            Some(("auctions", "watch")) => Ok(Self::Liquidations),
            Some((account, "balances")) => Ok(Self::Margin(named(account)?)),
            None if text == "platform_state" => Ok(Self::Validity),
            _ => Self::parse(text),
        }
    }

    /// Whether anybody who may see the market may hear it.
    pub(super) fn is_public(&self) -> bool {
        matches!(self, Self::Params | Self::Validity)
    }

    /// As it is subscribed to.
    pub(super) fn name(&self) -> String {
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
    pub(super) fn is_open_to(&self, caller: &Caller) -> Result<(), Problem> {
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
    pub(super) fn of(effect: &Effect) -> Option<Self> {
        match effect {
            Effect::Parameters { .. } => Some(Self::Params),
            Effect::Validity { .. }
            | Effect::Escalated { .. }
            | Effect::Paused { .. }
            | Effect::Resumed { .. } => Some(Self::Validity),
            Effect::Rejected(_) | Effect::Margins { .. } | Effect::Issues { .. } => None,
            _ => Some(Self::Liquidations),
        }
    }

    /// How things stand; nothing for channels that say what happens.
    pub(super) fn stands(&self, app: &App) -> Option<Result<Value, Problem>> {
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

/// Of whom no WebSocket was asked for.
pub(super) const NAMES: Channels = Channels { channels: CHANNELS };
