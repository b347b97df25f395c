//! A feed of our own making: prices that signers sign as EIP-712 messages, m of n, each with a sequence and a deadline.
//!
//! Whoever signs a price signs, under the domain (`name`, `version`, `chainId`, `verifyingContract`), the struct
//!
//! ```text
//! Price(string feed,int64 mantissa,int8 exponent,uint64 confidence,uint64 sequence,uint64 time,uint64 deadline)
//! ```
//!
//! where the price is `mantissa x 10^exponent`, `confidence` has the same exponent (0: none is stated), and times are milliseconds
//! since the epoch. On the wire it is JSON with numbers as decimal strings, and `signatures` of 65 bytes each in the order of their
//! signers' addresses:
//!
//! ```text
//! {"feed":"ETH-USD","mantissa":"250012","exponent":-2,"confidence":"15","sequence":"7","time":"1767225600000",
//!  "deadline":"1767225660000","signatures":["0x...","0x..."]}
//! ```
//!
//! A subscription is `{"op":"subscribe","feeds":[{"feed":"ETH-USD","from":"8"}]}`: a server that keeps its messages begins with that
//! number, so a gap can be filled.

use crate::evm::{Address, Signers, fixed, keccak, unhex, word};
use crate::field::{json, millis};
use crate::protocol::{Ask, Protocol, Turn};
use crate::refusal::refuse;
use crate::{Number, Price, Reading, Reason, Refusal};
use plimsoll_types::{Asset, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;

const DOMAIN_TYPE: &str =
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)";
const PRICE_TYPE: &str = "Price(string feed,int64 mantissa,int8 exponent,uint64 confidence,uint64 sequence,uint64 time,uint64 deadline)";
/// The most signatures of a message that are looked at: recovery is the dearest thing here.
const SIGNATURES_MAX: usize = 32;

/// What keeps a signature from counting elsewhere (F27).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Domain {
    /// Of the feed.
    pub name: String,
    /// Of its format.
    pub version: String,
    /// The chain.
    pub chain_id: u64,
    /// The contract that would check the same message.
    pub verifying_contract: Address,
}

impl Domain {
    /// The domain separator of EIP-712.
    pub fn separator(&self) -> [u8; 32] {
        keccak(&[
            &keccak(&[DOMAIN_TYPE.as_bytes()]),
            &keccak(&[self.name.as_bytes()]),
            &keccak(&[self.version.as_bytes()]),
            &word(i128::from(self.chain_id)),
            &address_word(self.verifying_contract),
        ])
    }
}

/// What is signed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The name of the feed, such as `ETH-USD`.
    pub feed: String,
    /// The price.
    pub price: Number,
    /// Half-width of its confidence interval with the exponent of the price; 0 where none is stated.
    pub confidence: u64,
    /// The feed's own count.
    pub sequence: u64,
    /// The instant it speaks of, milliseconds.
    pub time: u64,
    /// No longer good after, milliseconds.
    pub deadline: u64,
}

impl Message {
    /// What is signed: the hash of EIP-712 under a domain.
    pub fn hash(&self, domain: &Domain) -> [u8; 32] {
        let of_struct = keccak(&[
            &keccak(&[PRICE_TYPE.as_bytes()]),
            &keccak(&[self.feed.as_bytes()]),
            &word(i128::from(self.price.mantissa)),
            &word(i128::from(self.price.exponent)),
            &word(i128::from(self.confidence)),
            &word(i128::from(self.sequence)),
            &word(i128::from(self.time)),
            &word(i128::from(self.deadline)),
        ]);
        keccak(&[b"\x19\x01", &domain.separator(), &of_struct])
    }
}

fn address_word(address: Address) -> [u8; 32] {
    let mut word = [0; 32];
    for (place, byte) in word.iter_mut().skip(12).zip(address.0) {
        *place = byte;
    }
    word
}

/// One feed that is listened to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// Its name on the wire.
    pub feed: String,
    /// Of what its price is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// The exponent of its prices: another is refused (F10, F24).
    pub exponent: i8,
}

/// What was accepted last of a feed.
#[derive(Clone, Debug)]
struct Last {
    sequence: u64,
    hash: [u8; 32],
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Signed {
    domain: Domain,
    /// Those who may sign; while one set replaces another, both.
    signers: Vec<Signers>,
    feeds: BTreeMap<String, Feed>,
    gapless: bool,
    last: BTreeMap<String, Last>,
    future_ms: i64,
}

impl Signed {
    /// Listens to feeds under a domain and by signers. With `gapless`, a number that is left out is a gap (F28); a message may be
    /// dated `future_ms` ahead.
    pub fn new(domain: Domain, signers: Signers, feeds: Vec<Feed>, gapless: bool, future_ms: i64) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed.feed.clone(), feed)).collect();
        Self { domain, signers: vec![signers], feeds, gapless, last: BTreeMap::new(), future_ms }
    }

    /// Another set of signers, who may sign in their own term. A message is signed by one set alone.
    #[must_use]
    pub fn or(mut self, signers: Signers) -> Self {
        self.signers.push(signers);
        self
    }

    /// Whether one of the sets whose term runs has signed; the refusal is that of the last of them.
    fn signed<'a>(
        &self,
        hash: &[u8; 32],
        signatures: impl Iterator<Item = &'a [u8]> + Clone,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let mut outcome = refuse(Reason::Expired, "no signers may sign now");
        for signers in self.signers.iter().filter(|signers| signers.term.runs(at).is_ok()) {
            outcome = signers.check_sorted(hash, signatures.clone());
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    fn subscription(&self) -> Ask {
        let feed = |name: &String| {
            let from = self.last.get(name).map_or(0, |last| last.sequence.saturating_add(1));
            serde_json::json!({ "feed": name, "from": from.to_string() })
        };
        let feeds: Vec<_> = self.feeds.keys().map(feed).collect();
        Ask::Send(serde_json::json!({ "op": "subscribe", "feeds": feeds }).to_string())
    }

    /// Whether a message comes next. One that says something else under a number or at an instant that was used goes on to the
    /// engine, which puts the source in quarantine for it (F07).
    fn in_order(&self, message: &Message, hash: &[u8; 32]) -> Result<(), Refusal> {
        let Some(last) = self.last.get(&message.feed) else { return Ok(()) };
        let (sequence, before) = (message.sequence, last.sequence);
        if sequence == before && *hash == last.hash {
            return refuse(Reason::Duplicate, format_args!("{} {sequence}", message.feed));
        }
        if sequence < before {
            return refuse(Reason::OutOfOrder, format_args!("{} {sequence} after {before}", message.feed));
        }
        if self.gapless && sequence - before > 1 {
            return refuse(Reason::Gap, format_args!("{} {sequence} after {before}", message.feed));
        }
        Ok(())
    }

    fn accept(&mut self, message: &Message, hash: [u8; 32]) -> Result<Reading, Refusal> {
        let Some(feed) = self.feeds.get(&message.feed) else {
            return refuse(Reason::Unasked, format_args!("feed {}", message.feed));
        };
        let Number { mantissa, exponent } = message.price;
        if exponent != feed.exponent {
            return refuse(
                Reason::Exponent,
                format_args!("{exponent} where {} is configured", feed.exponent),
            );
        }
        let confidence = i64::try_from(message.confidence).map_err(|_| {
            Refusal::new(Reason::Number, format_args!("confidence is {}", message.confidence))
        })?;
        let price = Price {
            asset: feed.asset.clone(),
            quote: feed.quote.clone(),
            sequence: message.sequence,
            time: instant(message.time)?,
            price: Number::new(mantissa, exponent)?,
            confidence: (confidence > 0).then(|| Number::new(confidence, exponent)).transpose()?,
            valid_until: Some(instant(message.deadline)?),
        };
        self.last.insert(message.feed.clone(), Last { sequence: message.sequence, hash });
        Ok(Reading::Price(price))
    }
}

fn instant(value: u64) -> Result<Timestamp, Refusal> {
    i64::try_from(value).map_or_else(|_| refuse(Reason::Time, format_args!("{value} ms")), millis)
}

/// A message on the wire.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Frame<'a> {
    feed: String,
    mantissa: &'a str,
    exponent: i8,
    confidence: &'a str,
    sequence: &'a str,
    time: &'a str,
    deadline: &'a str,
    signatures: Vec<&'a str>,
}

fn whole<T: std::str::FromStr>(text: &str, field: &str) -> Result<T, Refusal> {
    // A sign is none of a count's characters, and `+1` is another text of 1.
    let plain = !text.starts_with('+') && text != "-0";
    text.parse()
        .ok()
        .filter(|_| plain)
        .ok_or_else(|| Refusal::new(Reason::Number, format_args!("{field} is {text}")))
}

impl Frame<'_> {
    fn message(&self) -> Result<Message, Refusal> {
        Ok(Message {
            feed: self.feed.clone(),
            price: Number { mantissa: whole(self.mantissa, "mantissa")?, exponent: self.exponent },
            confidence: whole(self.confidence, "confidence")?,
            sequence: whole(self.sequence, "sequence")?,
            time: whole(self.time, "time")?,
            deadline: whole(self.deadline, "deadline")?,
        })
    }
}

impl Protocol for Signed {
    fn open(&mut self, _at: Timestamp, turn: &mut Turn) {
        turn.ask(self.subscription());
    }

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let frame: Frame<'_> = json(frame)?;
        let message = frame.message()?;
        if !self.feeds.contains_key(&message.feed) {
            return refuse(Reason::Unasked, format_args!("feed {}", message.feed));
        }
        if frame.signatures.len() > SIGNATURES_MAX {
            return refuse(Reason::TooLong, format_args!("{} signatures", frame.signatures.len()));
        }
        let hash = message.hash(&self.domain);
        let signatures: Vec<[u8; 65]> =
            frame.signatures.iter().map(|text| sixty_five(text)).collect::<Result<_, _>>()?;
        self.signed(&hash, signatures.iter().map(<[u8; 65]>::as_slice), at)?;
        let ahead = instant(message.time)?.nanos().saturating_sub(at.nanos());
        if ahead > self.future_ms.saturating_mul(1_000_000) {
            return refuse(Reason::Future, format_args!("{} of {} ms", message.feed, message.time));
        }
        if let Err(refusal) = self.in_order(&message, &hash) {
            if refusal.reason == Reason::Gap {
                turn.ask(self.subscription());
            }
            return Err(refusal);
        }
        if instant(message.deadline)? < at {
            // It says nothing any more, and is no gap: what fills one may well be old.
            self.last.insert(message.feed.clone(), Last { sequence: message.sequence, hash });
            return refuse(Reason::Expired, format_args!("{} at {} ms", message.feed, message.deadline));
        }
        let reading = self.accept(&message, hash)?;
        turn.say(reading);
        Ok(())
    }
}

/// A signature's bytes. Its length is a matter of the signature, not of the text: EIP-2098's 64 bytes are refused as such.
fn sixty_five(text: &str) -> Result<[u8; 65], Refusal> {
    let length = unhex(text)?.len();
    fixed(text)
        .map_err(|_| Refusal::new(Reason::Signature, format_args!("{length} bytes where 65 are expected")))
}
