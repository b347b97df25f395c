//! JSON-RPC 2.0, with the methods that market makers know from two venues. `docs/dialects.md` says what is theirs and what differs.
//!
//! **The one idea:** a dialect has names of its own and no numbers of its own. Every figure is that of the route that says the same,
//! and what may be asked, by whom and how much of it is asked of the same doors.

mod deribit;
mod derive;
mod envelope;
mod exact;

pub(super) use envelope::{Call, Fault, answer};

use super::App;
use super::answer::{Answer, Ctx, Problem};
use super::legs::{limited, units_of};
use super::socket::{Tongue, open};
use crate::doors::{Caller, Method, Need, Seat, rpc_method};
use crate::host;
use axum::body::Bytes;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use plimsoll_types::{AccountId, Instrument};
use serde::Deserialize;
use serde_json::{Value, json};

/// JSON-RPC 2.0: a call or a batch of at most 100. Methods and their parameters are in `docs/dialects.md`; a call that is refused is
/// answered with 200 and an `error`.
#[utoipa::path(post, path = "/rpc", tag = "dialects",
    request_body(content = Value, description = "a call or several"),
    responses((status = 200, body = Value, description = "what is answered"), (status = 204, description = "nothing is to be answered")))]
pub(super) async fn call(
    State(app): Ctx,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let why = "expected a body of `application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "body", why));
    }
    let mut work = Work::default();
    let said = answer(&body, |call| {
        let method = work.admitted(&app, &caller, call)?;
        if method.of_socket {
            return Err(Fault::no_method(format!("`{}` is for a WebSocket", method.name)));
        }
        Ok(work.run(&app, &caller, call)?)
    });
    let json = [(header::CONTENT_TYPE, "application/json")];
    Ok(said.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |text| (json, text).into_response()))
}

/// JSON-RPC 2.0 over a WebSocket, with `subscribe` and `unsubscribe`.
#[utoipa::path(get, path = "/rpc", tag = "dialects",
    responses((status = 101, description = "a WebSocket"), (status = 200, body = super::channel::Channels, description = "no WebSocket was asked for")))]
pub(super) async fn connect(
    State(app): Ctx,
    caller: Caller,
    seat: Option<Extension<Seat>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    open(app, caller, seat, upgrade, Tongue::Rpc)
}

/// What one message asks for: its calls together are held to the limits of one request.
#[derive(Debug, Default)]
pub(super) struct Work {
    legs: usize,
}

impl Work {
    /// The method of a call, where the caller may call it; its own work is paid for.
    pub(super) fn admitted(&self, app: &App, caller: &Caller, call: &Call) -> Result<&'static Method, Fault> {
        let known = rpc_method(&call.method);
        let method = known.ok_or_else(|| Fault::no_method(format!("`{}`", call.method)))?;
        app.doors.pay(caller, method.units)?;
        if !caller.may(method.need) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "not for this key").into());
        }
        Ok(method)
    }

    /// Does what is called, of what means anything without a socket.
    pub(super) fn run(&mut self, app: &App, caller: &Caller, call: &Call) -> Result<Value, Problem> {
        let mut asked = Asked { app, caller, work: self };
        match call.method.as_str() {
            "public/test" => {
                let Nothing {} = call.params()?;
                Ok(json!({ "version": env!("CARGO_PKG_VERSION") }))
            }
            "public/get_time" => {
                let Nothing {} = call.params()?;
                Ok(json!(host::now().nanos() / 1_000_000))
            }
            "public/get_margin" => derive::public_margin(&mut asked, call.params()?),
            "private/get_margin" => derive::private_margin(&mut asked, call.params()?),
            "private/simulate_portfolio" => deribit::simulate_portfolio(&mut asked, call.params()?),
            "private/pme/simulate" => deribit::risk_vectors(&mut asked, call.params()?),
            other => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", format!("`{other}`"))),
        }
    }
}

/// No parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// A call of somebody.
struct Asked<'a> {
    app: &'a App,
    caller: &'a Caller,
    work: &'a mut Work,
}

impl Asked<'_> {
    /// Whether legs may be asked about: of all calls together no more than of one request. They are paid for.
    fn legs<'a>(&mut self, of: impl ExactSizeIterator<Item = &'a Instrument>) -> Result<(), Problem> {
        let count = of.len();
        self.work.legs += count;
        limited("legs", self.work.legs, self.app.limits.legs_max)?;
        self.app.expiries(of)?;
        self.app.doors.pay(self.caller, units_of(count))
    }

    /// Whether so many amounts of collateral may be asked about.
    fn collaterals(&self, count: usize) -> Result<(), Problem> {
        limited("collaterals", count, self.app.limits.legs_max)
    }

    /// The account that is named, or the only one that the key is for. One that it may not see is not there.
    fn account(&self, named: Option<AccountId>) -> Result<AccountId, Problem> {
        let account = named.or_else(|| self.caller.own_account().cloned());
        let account = account.ok_or_else(|| Problem::argument("`account`: this key is not for one alone"))?;
        if self.caller.may(Need::Account) && self.caller.sees(&account) {
            Ok(account)
        } else {
            Err(Problem::unknown_account(&account))
        }
    }
}

/// A result, with what it was read from beside it.
fn read_from(answer: Answer<Value>, more: Value) -> Value {
    let mut beside = serde_json::to_value(answer.clone().with(())).unwrap_or_default();
    if let (Some(beside), Value::Object(more)) = (beside.as_object_mut(), more) {
        beside.remove("data");
        beside.extend(more);
    }
    let mut result = answer.data;
    result["plimsoll"] = beside;
    result
}
