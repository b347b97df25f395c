//! The interface that every venue is behind.

use crate::{Reading, Refusal};
use plimsoll_types::Timestamp;

/// What a protocol wants of whoever holds its connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// A text frame to be sent.
    Send(String),
    /// A path, with its query, to be fetched from the venue's REST address; what comes is handed to [`Protocol::fetched`].
    Fetch(String),
}

/// What came of a frame.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Turn {
    /// What it says.
    pub readings: Vec<Reading>,
    /// What is wanted next. A frame that is refused may want something too: a gap wants a snapshot.
    pub asks: Vec<Ask>,
}

impl Turn {
    pub(crate) fn say(&mut self, reading: Reading) {
        self.readings.push(reading);
    }

    pub(crate) fn ask(&mut self, ask: Ask) {
        self.asks.push(ask);
    }
}

/// A venue's protocol, without its sockets. `at` is the instant of arrival, by the caller's clock.
pub trait Protocol: Send {
    /// Headers of the request that opens the connection.
    fn headers(&self, _at: Timestamp) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// A connection is open: everything built on the one before is forgotten, everything is asked for anew.
    fn open(&mut self, at: Timestamp, turn: &mut Turn);

    /// A frame arrived.
    ///
    /// # Errors
    /// [`Refusal`] with a stable reason. Readings in `turn` stand all the same: a frame may be refused in part.
    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal>;

    /// What was asked for by [`Ask::Fetch`] arrived.
    ///
    /// # Errors
    /// As [`Protocol::receive`].
    fn fetched(&mut self, _path: &str, body: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        self.receive(body, at, turn)
    }

    /// Time passes: about once a second.
    fn tick(&mut self, _at: Timestamp, _turn: &mut Turn) {}
}
