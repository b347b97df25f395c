//! Missing or bad market data as a value: a stable reason and the number, never a default.

use crate::{Asset, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a quote, a price or an expiry was not used. The codes are stable: programs match on them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not a finite number.
    NonFinite,
    /// Zero or negative where only a positive number has meaning.
    NonPositive,
    /// Bid above ask.
    Crossed,
    /// Older than the limit.
    Stale,
    /// Dated after the snapshot, beyond the tolerance.
    Future,
    /// Confidence interval wider than the limit, relative to the price.
    WideConfidence,
    /// Confidence interval of zero or wider than the price itself.
    BadConfidence,
    /// No index price.
    MissingIndex,
    /// No smile of the expiry, nor of one near enough in time.
    MissingSmile,
    /// No forward from the venue, a future or put-call parity.
    MissingForward,
    /// Neither bid, ask nor mark.
    MissingQuote,
    /// The price determines its volatility too loosely to be of use.
    Imprecise,
    /// The expiry is not after the snapshot.
    Expired,
    /// Price at or below intrinsic value.
    BelowIntrinsic,
    /// Price at or above the forward (call) or strike (put).
    AboveBound,
    /// No volatility can be recovered from the price.
    Unrecoverable,
    /// Fewer usable quotes than a smile needs.
    TooFewQuotes,
    /// Too far from the consensus of the other quotes.
    Outlier,
    /// The calibration did not converge or left its error bound.
    FitFailed,
    /// Butterfly arbitrage.
    Butterfly,
    /// Calendar arbitrage.
    Calendar,
    /// The instrument is not one of the snapshot.
    UnknownInstrument,
    /// The underlying is not in the snapshot.
    UnknownUnderlying,
    /// A number does not fit in the integer that should hold it.
    Overflow,
}

impl Reason {
    /// The stable code, in snake case.
    pub fn code(self) -> &'static str {
        match self {
            Self::NonFinite => "non_finite",
            Self::NonPositive => "non_positive",
            Self::Crossed => "crossed",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::WideConfidence => "wide_confidence",
            Self::BadConfidence => "bad_confidence",
            Self::MissingIndex => "missing_index",
            Self::MissingSmile => "missing_smile",
            Self::MissingForward => "missing_forward",
            Self::MissingQuote => "missing_quote",
            Self::Imprecise => "imprecise",
            Self::Expired => "expired",
            Self::BelowIntrinsic => "below_intrinsic",
            Self::AboveBound => "above_bound",
            Self::Unrecoverable => "unrecoverable",
            Self::TooFewQuotes => "too_few_quotes",
            Self::Outlier => "outlier",
            Self::FitFailed => "fit_failed",
            Self::Butterfly => "butterfly",
            Self::Calendar => "calendar",
            Self::UnknownInstrument => "unknown_instrument",
            Self::UnknownUnderlying => "unknown_underlying",
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}

/// One refusal: what, why, and with which numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Issue {
    /// The stable reason.
    pub reason: Reason,
    /// What it is about: an instrument's name, an underlying, an expiry.
    pub subject: String,
    /// The underlying it belongs to, if any.
    pub underlying: Option<Asset>,
    /// The expiry it belongs to, if any.
    pub expiry: Option<Timestamp>,
    /// The offending number, in the unit its field has. `None` when the trouble is an absence.
    pub value: Option<f64>,
    /// The limit it broke, in the same unit.
    pub limit: Option<f64>,
}

impl Issue {
    /// An issue about `subject` with no numbers.
    pub fn new(reason: Reason, subject: impl Into<String>) -> Self {
        Self { reason, subject: subject.into(), underlying: None, expiry: None, value: None, limit: None }
    }

    /// The same issue with the underlying and expiry it belongs to.
    #[must_use]
    pub fn at(mut self, underlying: &Asset, expiry: Option<Timestamp>) -> Self {
        self.underlying = Some(underlying.clone());
        self.expiry = expiry;
        self
    }

    /// The same issue with the number that broke the rule and the limit it broke.
    #[must_use]
    pub fn with(mut self, value: f64, limit: Option<f64>) -> Self {
        self.value = Some(value);
        self.limit = limit;
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.reason)?;
        if let Some(value) = self.value {
            write!(f, " ({value}")?;
            if let Some(limit) = self.limit {
                write!(f, ", limit {limit}")?;
            }
            write!(f, ")")?;
        }
        Ok(())
    }
}
