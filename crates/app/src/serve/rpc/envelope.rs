//! What JSON-RPC 2.0 wraps around a call: <https://www.jsonrpc.org/specification>, sections 4 to 6.

use super::super::answer::Problem;
use crate::doors::is_too_deep;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

/// Calls of one batch.
const CALLS_MAX: usize = 100;

/// The version that is spoken.
const VERSION: &str = "2.0";

/// A call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::serve) struct Call {
    jsonrpc: String,
    /// What is called.
    pub(in crate::serve) method: String,
    #[serde(default)]
    params: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Box<RawValue>>,
}

/// Whatever else may be wrong with a call: whose it is.
#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "present")]
    id: Option<Box<RawValue>>,
}

/// An `id` that is there, though it be `null`.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

/// What is answered.
#[derive(Debug, Serialize)]
struct Reply {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
    id: Box<RawValue>,
}

/// Why a call was not done.
#[derive(Debug, Serialize)]
pub(in crate::serve) struct Fault {
    code: i32,
    message: String,
    /// The stable word and the particulars, as everywhere else.
    data: Value,
}

impl Fault {
    fn new(code: i32, message: &str, problem: &Problem) -> Self {
        let data = serde_json::to_value(problem).unwrap_or_default();
        Self { code, message: message.to_owned(), data }
    }

    fn no_json(detail: String) -> Self {
        Self::new(-32_700, "Parse error", &Problem::argument(detail))
    }

    fn no_request(detail: impl Into<String>) -> Self {
        Self::new(-32_600, "Invalid Request", &Problem::argument(detail))
    }

    /// Of a method that is not there.
    pub(super) fn no_method(detail: String) -> Self {
        Self::new(-32_601, "Method not found", &Problem::argument(detail))
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        match problem.status() {
            400 => Self::new(-32_602, "Invalid params", &problem),
            500 => Self::new(-32_603, "Internal error", &problem),
            // The status of the same refusal over HTTP, in the range that is left to servers.
            status if status < 500 => Self::new(-32_000 - i32::from(status % 50), &problem.code, &problem),
            status => Self::new(-32_050 - i32::from(status % 50), &problem.code, &problem),
        }
    }
}

impl Call {
    /// Reads one.
    fn read(raw: &RawValue) -> Result<Self, Box<Reply>> {
        let call = serde_json::from_str::<Self>(raw.get());
        let fits = call.map_err(|e| e.to_string()).and_then(|call| {
            let structured = |params: &RawValue| params.get().starts_with(['{', '[']);
            match &call {
                Self { jsonrpc, .. } if jsonrpc != VERSION => Err(format!("`jsonrpc` is not \"{VERSION}\"")),
                Self { id: Some(id), .. } if !is_id(id) => Err("`id` is no text, number or null".to_owned()),
                Self { params: Some(params), .. } if !structured(params) => {
                    Err("`params` is no object".to_owned())
                }
                _ => Ok(call),
            }
        });
        let named = || serde_json::from_str::<Named>(raw.get()).ok().and_then(|named| named.id);
        fits.map_err(|why| Box::new(Reply::fault(Fault::no_request(why), named().filter(|id| is_id(id)))))
    }

    /// What it is called with, by name.
    ///
    /// # Errors
    /// What is not of the form.
    pub(in crate::serve) fn params<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        let text = self.params.as_ref().map_or("{}", |params| params.get());
        if text.starts_with('[') {
            return Err(Problem::argument("parameters are given by name"));
        }
        serde_json::from_str(text).map_err(|e| Problem::argument(e.to_string()))
    }
}

/// Whether something is what an `id` may be: a text, a number that others can read too, or nothing.
fn is_id(id: &RawValue) -> bool {
    matches!(serde_json::from_str(id.get()), Ok(Value::String(_) | Value::Number(_) | Value::Null))
}

impl Reply {
    fn fault(fault: Fault, id: Option<Box<RawValue>>) -> Self {
        Self { jsonrpc: VERSION, result: None, error: Some(fault), id: id.unwrap_or_else(nothing) }
    }

    fn of(done: Result<Value, Fault>, id: Box<RawValue>) -> Self {
        match done {
            Ok(result) => Self { jsonrpc: VERSION, result: Some(result), error: None, id },
            Err(fault) => Self::fault(fault, Some(id)),
        }
    }
}

fn nothing() -> Box<RawValue> {
    RawValue::NULL.to_owned()
}

/// Answers what was sent, call by call; nothing where no answer is asked for.
pub(in crate::serve) fn answer(
    text: &[u8],
    mut run: impl FnMut(&Call) -> Result<Value, Fault>,
) -> Option<String> {
    let mut one = |raw: &RawValue| match Call::read(raw) {
        Ok(call) => {
            let done = run(&call);
            call.id.map(|id| Reply::of(done, id))
        }
        Err(reply) => Some(*reply),
    };
    let refused = |fault| written(&Reply::fault(fault, None));
    if is_too_deep(text) {
        return refused(Fault::no_request("more than 32 brackets within each other"));
    }
    let raw: &RawValue = match serde_json::from_slice(text) {
        Ok(raw) => raw,
        Err(e) => return refused(Fault::no_json(e.to_string())),
    };
    if !raw.get().starts_with('[') {
        return one(raw).as_ref().and_then(written);
    }
    let calls: Vec<&RawValue> = match serde_json::from_str(raw.get()) {
        Ok(calls) => calls,
        Err(e) => return refused(Fault::no_json(e.to_string())),
    };
    if calls.is_empty() || calls.len() > CALLS_MAX {
        return refused(Fault::no_request(format!("{} calls: expected 1 to {CALLS_MAX}", calls.len())));
    }
    let replies: Vec<Reply> = calls.into_iter().filter_map(one).collect();
    if replies.is_empty() { None } else { written(&replies) }
}

fn written<T: Serialize>(reply: &T) -> Option<String> {
    // Text, numbers and maps with text for keys are always writable.
    to_raw_value(reply).ok().map(|raw| raw.get().to_owned())
}
