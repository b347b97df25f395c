//! Chainlink Data Streams: reports over a WebSocket, decoded and verified as far as a report allows.
//!
//! A full report is `abi.encode(bytes32[3] context, bytes report, bytes32[] rs, bytes32[] ss, bytes32 vs)`. What is signed is
//! `keccak256(keccak256(report) ++ context)`, by `f + 1` of the oracles that the configuration digest `context[0]` stands for. The
//! verifier contract knows those signers; here they are configured, and without them nothing is accepted.
//!
//! The feed id's first two bytes are the version of the report: 2, 3 (crypto, with bid and ask), 4 (real-world assets, with the status
//! of their market) and 9 (net asset value) are decoded. Prices are whole numbers of 18 decimals; a float holds fewer digits, so a
//! price is rounded to nearest, ties to even, at the exponent configured, and refused if even that has too many digits.

use crate::evm::{Signers, fixed, keccak, unhex};
use crate::field::{json, seconds};
use crate::order::Stated;
use crate::protocol::{Protocol, Turn};
use crate::refusal::refuse;
use crate::{Number, Price, Reading, Reason, Refusal};
use hmac::{Hmac, Mac};
use plimsoll_types::{Asset, Timestamp};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;

/// Decimals of a report's prices.
const DECIMALS: i8 = 18;
/// The most signatures that are looked at: 31 is the most oracles of a configuration.
const SIGNATURES_MAX: usize = 31;

/// A report with what it was signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FullReport {
    /// Configuration digest, epoch and round, extra hash.
    pub context: [[u8; 32]; 3],
    /// The report itself.
    pub report: Vec<u8>,
    /// Signatures: r, s and the parity as 27 or 28.
    pub signatures: Vec<[u8; 65]>,
}

/// What a report says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Of which feed.
    pub feed_id: [u8; 32],
    /// 2, 3, 4 or 9.
    pub version: u16,
    /// Earliest instant it holds at, seconds.
    pub valid_from: u32,
    /// The instant it speaks of, seconds.
    pub observed: u32,
    /// No longer good after, seconds.
    pub expires: u32,
    /// The price, or the net asset value of a share: 18 decimals.
    pub price: i128,
    /// Bid and ask, of version 3: 18 decimals.
    pub sides: Option<(i128, i128)>,
    /// Of version 4: 0 unknown, 1 closed, 2 open. Of version 9: whether the auditor pulled the ripcord (then 1).
    pub status: Option<u32>,
}

/// Words of the EVM's encoding.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn word(&self, at: usize) -> Result<&'a [u8; 32], Refusal> {
        let from = at.checked_mul(32).and_then(|from| self.0.get(from..)).and_then(<[u8]>::first_chunk);
        from.ok_or_else(|| Refusal::new(Reason::Malformed, format_args!("ends before word {at}")))
    }

    /// A count of no more than 64 bits.
    fn count(&self, at: usize) -> Result<u64, Refusal> {
        match self.word(at)?.split_at(24) {
            (zeros, low) if zeros.iter().all(|b| *b == 0) => {
                Ok(low.iter().fold(0, |sum, b| sum << 8 | u64::from(*b)))
            }
            _ => refuse(Reason::Number, format_args!("word {at} has more than 64 bits")),
        }
    }

    fn small(&self, at: usize) -> Result<u32, Refusal> {
        let count = self.count(at)?;
        u32::try_from(count).or_else(|_| refuse(Reason::Number, format_args!("word {at} is {count}")))
    }

    /// An `int192`, where it has no more than 127 bits and a sign.
    fn signed(&self, at: usize) -> Result<i128, Refusal> {
        let (high, low) = self.word(at)?.split_at(16);
        let value = low.iter().fold(0_u128, |sum, b| sum << 8 | u128::from(*b)).cast_signed();
        let sign = if value < 0 { 0xff } else { 0 };
        let held = high.iter().all(|b| *b == sign);
        held.then_some(value)
            .ok_or_else(|| Refusal::new(Reason::Number, format_args!("word {at} has more than 127 bits")))
    }

    /// The place in words, and the length as written there, of something whose offset is at `at`.
    fn dynamic(&self, at: usize) -> Result<(usize, usize), Refusal> {
        let bad = || Refusal::new(Reason::Malformed, format_args!("offset of word {at}"));
        let offset = usize::try_from(self.count(at)?).map_err(|_| bad())?;
        let place = (offset % 32 == 0).then_some(offset / 32).ok_or_else(bad)?;
        let length = usize::try_from(self.count(place)?).map_err(|_| bad())?;
        Ok((place.saturating_add(1), length))
    }

    fn bytes(&self, at: usize) -> Result<&'a [u8], Refusal> {
        let (place, length) = self.dynamic(at)?;
        let from = place.saturating_mul(32);
        let found = self.0.get(from..from.saturating_add(length));
        found.ok_or_else(|| Refusal::new(Reason::Malformed, format_args!("{length} bytes at {from}")))
    }

    fn words(&self, at: usize) -> Result<Vec<&'a [u8; 32]>, Refusal> {
        let (place, length) = self.dynamic(at)?;
        if length > SIGNATURES_MAX {
            return refuse(Reason::TooLong, format_args!("{length} signatures"));
        }
        (0..length).map(|i| self.word(place.saturating_add(i))).collect()
    }
}

impl FullReport {
    /// Reads a report with its signatures.
    ///
    /// # Errors
    /// [`Reason::Malformed`], [`Reason::Number`], [`Reason::TooLong`], [`Reason::Signature`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let words = Words(bytes);
        let context = [*words.word(0)?, *words.word(1)?, *words.word(2)?];
        let report = words.bytes(3)?.to_vec();
        let (rs, ss, vs) = (words.words(4)?, words.words(5)?, words.word(6)?);
        if rs.len() != ss.len() || rs.len() > 32 {
            return refuse(Reason::Signature, format_args!("{} r and {} s", rs.len(), ss.len()));
        }
        let join = |((r, s), v): ((&[u8; 32], &[u8; 32]), &u8)| {
            let mut signature = [0; 65];
            let parts = r.iter().chain(s.iter()).copied().chain([v.saturating_add(27)]);
            signature.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
            signature
        };
        let signatures = rs.into_iter().zip(ss).zip(vs).map(join).collect();
        Ok(Self { context, report, signatures })
    }

    /// What was signed.
    pub fn hash(&self) -> [u8; 32] {
        let [digest, round, extra] = &self.context;
        keccak(&[&keccak(&[&self.report]), digest, round, extra])
    }
}

impl Report {
    /// Reads what a report says.
    ///
    /// # Errors
    /// [`Reason::Version`] for one that is not known, [`Reason::Malformed`] or [`Reason::Number`] for one that is not as its version is.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refusal> {
        let words = Words(bytes);
        let feed_id = *words.word(0)?;
        let version = match feed_id {
            [high, low, ..] => u16::from_be_bytes([high, low]),
        };
        let (sides, status) = match version {
            2 => (None, None),
            3 => (Some((words.signed(7)?, words.signed(8)?)), None),
            4 => (None, Some(words.small(7)?)),
            9 => (None, Some(words.small(9)?)),
            _ => return refuse(Reason::Version, format_args!("report version {version}")),
        };
        Ok(Self {
            feed_id,
            version,
            valid_from: words.small(1)?,
            observed: words.small(2)?,
            expires: words.small(5)?,
            price: words.signed(6)?,
            sides,
            status,
        })
    }
}

/// `value x 10^-18` at another exponent, to nearest, ties to even.
fn at_exponent(value: i128, exponent: i8) -> Result<Number, Refusal> {
    let bad = || Refusal::new(Reason::Number, format_args!("{value}e-{DECIMALS} at exponent {exponent}"));
    let shift = DECIMALS.checked_add(exponent).and_then(|shift| u32::try_from(shift).ok()).ok_or_else(bad)?;
    let unit = 10_i128.checked_pow(shift).ok_or_else(bad)?;
    let (whole, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
    let up = rest > unit - rest || (rest == unit - rest && whole % 2 != 0);
    Number::new(i64::try_from(whole + i128::from(up)).map_err(|_| bad())?, exponent)
}

/// One stream that is listened to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// Its id, 32 bytes in hexadecimal.
    pub feed_id: [u8; 32],
    /// Of what its price is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// At which exponent its price is stated, -18 to 0; -8 suits most.
    pub exponent: i8,
}

/// What opens the door of the service. Never printed.
#[derive(Clone)]
pub struct Login {
    /// The key's public id.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// The path that is opened, `/api/v1/ws?feedIDs=...`.
    pub path: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login")
    }
}

impl Login {
    /// The headers of a request: key, instant in milliseconds, and the HMAC-SHA256 of method, path, body's hash, key and instant.
    fn headers(&self, at: Timestamp) -> Vec<(&'static str, String)> {
        let millis = at.nanos().div_euclid(1_000_000);
        let empty = hex(&Sha256::digest(b""));
        let text = format!("GET {} {empty} {} {millis}", self.path, self.key);
        // A key of any length is one.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()) else { return Vec::new() };
        mac.update(text.as_bytes());
        vec![
            ("authorization", self.key.clone()),
            ("x-authorization-timestamp", millis.to_string()),
            ("x-authorization-signature-sha256", hex(&mac.finalize().into_bytes())),
        ]
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Chainlink {
    streams: BTreeMap<[u8; 32], Stream>,
    /// Signers by the digest of the configuration they belong to.
    signers: BTreeMap<[u8; 32], Signers>,
    login: Option<Login>,
    stated: Stated,
}

impl Chainlink {
    /// Listens to streams whose reports are signed under one of these configurations.
    pub fn new(
        streams: Vec<Stream>,
        signers: impl IntoIterator<Item = ([u8; 32], Signers)>,
        login: Option<Login>,
    ) -> Self {
        let streams = streams.into_iter().map(|stream| (stream.feed_id, stream)).collect();
        Self { streams, signers: signers.into_iter().collect(), login, stated: Stated::default() }
    }

    /// What a full report says, verified.
    ///
    /// # Errors
    /// Every reason of this module.
    pub fn take(&mut self, full: &[u8], at: Timestamp) -> Result<Reading, Refusal> {
        self.accept(&FullReport::decode(full)?, at)
    }

    fn accept(&mut self, full: &FullReport, at: Timestamp) -> Result<Reading, Refusal> {
        let report = Report::decode(&full.report)?;
        let Some(stream) = self.streams.get(&report.feed_id) else {
            return refuse(Reason::Unasked, format_args!("stream 0x{}", hex(&report.feed_id)));
        };
        let [digest, ..] = &full.context;
        let Some(signers) = self.signers.get(digest) else {
            return refuse(Reason::Domain, format_args!("configuration 0x{}", hex(digest)));
        };
        signers.term.runs(at)?;
        signers.check(&full.hash(), full.signatures.iter().map(<[u8; 65]>::as_slice))?;
        let observed = seconds(report.observed.into())?;
        if at > seconds(report.expires.into())? {
            return refuse(Reason::Expired, format_args!("at {}", report.expires));
        }
        if report.valid_from > report.observed {
            return refuse(
                Reason::Future,
                format_args!("valid from {}, observed {}", report.valid_from, report.observed),
            );
        }
        self.open_market(&report)?;
        let price = at_exponent(report.price, stream.exponent)?;
        let confidence = report.sides.map(|(bid, ask)| half_spread(bid, ask, stream.exponent)).transpose()?;
        let reading = Price {
            asset: stream.asset.clone(),
            quote: stream.quote.clone(),
            sequence: report.observed.into(),
            time: observed,
            price,
            confidence,
            valid_until: Some(seconds(report.expires.into())?),
        };
        self.stated.take(&reading.asset, observed, price)?;
        Ok(Reading::Price(reading))
    }

    /// A market that is closed, or a value whose auditor says not to use it, has no price.
    fn open_market(&self, report: &Report) -> Result<(), Refusal> {
        match (report.version, report.status) {
            (4, Some(status)) if status != 2 => refuse(Reason::Venue, format_args!("market status {status}")),
            (9, Some(ripcord)) if ripcord != 0 => refuse(Reason::Venue, format_args!("ripcord {ripcord}")),
            _ => Ok(()),
        }
    }
}

/// Half of what lies between bid and ask: the width that the report itself gives its price.
fn half_spread(bid: i128, ask: i128, exponent: i8) -> Result<Number, Refusal> {
    match ask.checked_sub(bid) {
        Some(spread) if spread >= 0 => at_exponent(spread / 2, exponent),
        _ => refuse(Reason::Number, format_args!("bid {bid} above ask {ask}")),
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    report: Option<Outer<'a>>,
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(rename = "fullReport")]
    full: &'a str,
    #[serde(rename = "feedID")]
    feed: &'a str,
}

impl Protocol for Chainlink {
    fn headers(&self, at: Timestamp) -> Vec<(&'static str, String)> {
        self.login.as_ref().map(|login| login.headers(at)).unwrap_or_default()
    }

    /// What is listened to is in the path that was opened.
    fn open(&mut self, _at: Timestamp, _turn: &mut Turn) {}

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let frame: Frame<'_> = json(frame)?;
        let Some(outer) = frame.report else { return refuse(Reason::Unasked, "no report") };
        let full = FullReport::decode(&unhex(outer.full)?)?;
        let named: [u8; 32] = fixed(outer.feed)?;
        if full.report.first_chunk() != Some(&named) {
            return refuse(Reason::Domain, "the report is of another stream than its envelope says");
        }
        let reading = self.accept(&full, at)?;
        turn.say(reading);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_of_eighteen_decimals_is_rounded_once_at_its_exponent() {
        for (value, exponent, mantissa) in [
            (695_410_242_043_786_500, -8, 69_541_024),
            (1_500_000_000_000_000_000, 0, 2),
            (2_500_000_000_000_000_000, 0, 2),
            (-1_500_000_000_000_000_000, 0, -2),
            (60_000_i128 * 1_000_000_000_000_000_000, -8, 6_000_000_000_000),
        ] {
            assert_eq!(at_exponent(value, exponent), Ok(Number { mantissa, exponent }), "{value}");
        }
        assert_eq!(
            at_exponent(60_000_i128 * 10_i128.pow(18), -18).map_err(|r| r.reason),
            Err(Reason::Number)
        );
        assert!(at_exponent(1, -19).is_err());
        assert!(at_exponent(i128::MIN, 22).is_err());
    }

    #[test]
    fn the_login_signs_what_the_service_signs_and_prints_nothing() {
        let login =
            Login { key: "id".into(), secret: "secret".into(), path: "/api/v1/ws?feedIDs=0x00".into() };
        assert_eq!(format!("{login:?}"), "Login");
        let headers = login.headers(Timestamp::from_seconds(1_700_000_000));
        // python3: hmac.new(b"secret", b"GET /api/v1/ws?feedIDs=0x00 " + sha256(b"").hexdigest() + b" id 1700000000000", sha256)
        assert_eq!(headers[2].1, "1824472226d93b8eda251fb8ce5e551ce1a3ce81f1d64a7fc52eabcafe8b0e81");
    }
}
