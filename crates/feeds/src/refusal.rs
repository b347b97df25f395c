//! Why a frame was not used.

use std::fmt;

/// Why a frame, or a part of it, was not used. The codes are stable: counters and alerts go by them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// Not of the form that the protocol has.
    Malformed,
    /// Longer than the limit.
    TooLong,
    /// Well formed, and of a kind or about an instrument that was not asked for.
    Unasked,
    /// A number that is none, is not finite, or has more digits than can be held exactly.
    Number,
    /// A time that is none.
    Time,
    /// The name of an instrument of a form that is not priced here.
    Instrument,
    /// A break in the sequence: what was built on it is dropped and asked for anew.
    Gap,
    /// Seen before.
    Duplicate,
    /// Older than what was said last.
    OutOfOrder,
    /// The venue says that it refuses, or that something failed.
    Venue,
    /// A version of a format that is not known.
    Version,
    /// A signature that is none: its length, its `s`, or no key that it could be by.
    Signature,
    /// By a key that is not one of those allowed, or by one key twice.
    Signer,
    /// Fewer signatures than are wanted.
    Quorum,
    /// Signed for another chain, contract, network or configuration.
    Domain,
    /// A proof that does not lead to what was signed.
    Proof,
    /// Another exponent than was configured.
    Exponent,
    /// No longer good.
    Expired,
    /// Dated in the future, or not valid yet.
    Future,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 19] = [
        Self::Malformed,
        Self::TooLong,
        Self::Unasked,
        Self::Number,
        Self::Time,
        Self::Instrument,
        Self::Gap,
        Self::Duplicate,
        Self::OutOfOrder,
        Self::Venue,
        Self::Version,
        Self::Signature,
        Self::Signer,
        Self::Quorum,
        Self::Domain,
        Self::Proof,
        Self::Exponent,
        Self::Expired,
        Self::Future,
    ];

    /// The stable code, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Unasked => "unasked",
            Self::Number => "number",
            Self::Time => "time",
            Self::Instrument => "instrument",
            Self::Gap => "gap",
            Self::Duplicate => "duplicate",
            Self::OutOfOrder => "out_of_order",
            Self::Venue => "venue",
            Self::Version => "version",
            Self::Signature => "signature",
            Self::Signer => "signer",
            Self::Quorum => "quorum",
            Self::Domain => "domain",
            Self::Proof => "proof",
            Self::Exponent => "exponent",
            Self::Expired => "expired",
            Self::Future => "future",
        }
    }
}

impl Reason {
    /// Whether a source that says nothing but such frames speaks something else than its protocol, or for somebody else. What is merely
    /// old, not asked for or not priced here is said by sound sources too: a market that is closed repeats its last price for days.
    pub const fn is_foreign(self) -> bool {
        match self {
            Self::Malformed
            | Self::TooLong
            | Self::Number
            | Self::Time
            | Self::Version
            | Self::Signature
            | Self::Signer
            | Self::Quorum
            | Self::Domain
            | Self::Proof => true,
            Self::Unasked
            | Self::Instrument
            | Self::Gap
            | Self::Duplicate
            | Self::OutOfOrder
            | Self::Venue
            | Self::Exponent
            | Self::Expired
            | Self::Future => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// One refusal: why, and what it was about.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {about}")]
pub struct Refusal {
    /// The stable reason.
    pub reason: Reason,
    /// The field, the number, the channel: for a person. At most [`ABOUT_MAX`] characters, none of them a control character.
    pub about: String,
}

/// The longest text of a refusal, characters: what a venue sends is not repeated at any length.
pub const ABOUT_MAX: usize = 160;

impl Refusal {
    /// A refusal about something.
    pub fn new(reason: Reason, about: impl fmt::Display) -> Self {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self { reason, about: about.to_string().chars().take(ABOUT_MAX).map(plain).collect() }
    }
}

/// Shorthand for where something is looked at.
pub(crate) fn refuse<T>(reason: Reason, about: impl fmt::Display) -> Result<T, Refusal> {
    Err(Refusal::new(reason, about))
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Reason::Malformed, error)
    }
}
