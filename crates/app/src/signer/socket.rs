//! How a signer is asked: a socket of the machine, a line of JSON each way, one question per connection.

use super::document::Document;
use super::ledger::Signed;
use super::office::Signer;
use crate::doors::is_too_deep;
use crate::host;
use anyhow::{Context, bail};
use plimsoll_engine::live::Reject;
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// The longest line.
const LINE_BYTES: usize = 1 << 20;

/// How long whoever asks may take for a line.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long an answer may take: others may be before.
const PATIENCE_ANSWER: Duration = Duration::from_secs(5);

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// To sign.
    Sign {
        /// What.
        document: Document,
    },
    /// What was signed last.
    Last {},
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// A document and its signature.
    Signed(Box<Signed>),
    /// Not signed, and why.
    Refused(Reject),
    /// Nothing was signed yet.
    Nothing,
}

/// Listens where a configuration says; owner and group may ask. What a process before left there is taken away, unless it still listens.
///
/// # Errors
/// When somebody listens there; what the system says.
pub fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    let at = || path.display().to_string();
    if UnixStream::connect(path).is_ok() {
        bail!("{}: a signer listens there", at());
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(at),
        _ => {}
    }
    let listener = UnixListener::bind(path).with_context(at)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(at)?;
    Ok(listener)
}

/// Answers one after the other, for ever.
///
/// # Errors
/// When the ledger could not be written: a signer that does not know what it signed signs no more.
pub fn serve(signer: &mut Signer, listener: &UnixListener) -> anyhow::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "no connection");
                std::thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let line = match line(&stream, PATIENCE) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!(%error, "nothing was asked");
                continue;
            }
        };
        let answer = answer(signer, &line)?;
        if let Err(error) = tell(&stream, &answer) {
            tracing::warn!(%error, "the answer was not taken");
        }
    }
}

fn answer(signer: &mut Signer, line: &[u8]) -> anyhow::Result<Answer> {
    let asked = match is_too_deep(line) {
        true => Err("more than 32 brackets within each other".to_owned()),
        false => serde_json::from_slice(line).map_err(|error| error.to_string()),
    };
    let document = match asked {
        Ok(Ask::Sign { document }) => document,
        Ok(Ask::Last {}) => {
            return Ok(signer.last().map_or(Answer::Nothing, |last| Answer::Signed(Box::new(last.clone()))));
        }
        Err(why) => return Ok(Answer::Refused(Reject::new("form", why))),
    };
    let (sequence, version) = (document.sequence, document.version);
    let done = signer.sign(document, host::now());
    Ok(match done.inspect_err(|error| tracing::error!("{error:#}")).context("ledger")? {
        Ok(signed) => {
            tracing::info!(sequence, version, "signed");
            Answer::Signed(Box::new(signed))
        }
        Err(refused) => {
            tracing::warn!(sequence, version, code = refused.code, detail = refused.detail, "refused");
            Answer::Refused(refused)
        }
    })
}

/// Asks a signer; what it says is not believed yet.
///
/// # Errors
/// When it is not there or says nothing in time.
pub fn ask(path: &Path, question: &Ask) -> anyhow::Result<Answer> {
    let stream = UnixStream::connect(path).with_context(|| path.display().to_string())?;
    tell(&stream, question)?;
    Ok(serde_json::from_slice(&line(&stream, PATIENCE_ANSWER)?)?)
}

fn tell<T: Serialize>(mut stream: &UnixStream, what: &T) -> anyhow::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(what)?;
    line.push(b'\n');
    Ok(stream.write_all(&line)?)
}

/// A line, which ends in time and is not too long.
fn line(mut stream: &UnixStream, patience: Duration) -> anyhow::Result<Vec<u8>> {
    let begun = host::moment();
    let (mut line, mut some) = (Vec::new(), [0; 16 << 10]);
    loop {
        let left = patience.checked_sub(begun.elapsed()).filter(|left| !left.is_zero());
        stream.set_read_timeout(Some(left.context("no line in time")?))?;
        let read = stream.read(&mut some)?;
        let part = some.get(..read).unwrap_or_default();
        if let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(part.get(..end).unwrap_or_default());
            return Ok(line);
        }
        line.extend_from_slice(part);
        if read == 0 || line.len() > LINE_BYTES {
            bail!("no line of at most {LINE_BYTES} bytes");
        }
    }
}
