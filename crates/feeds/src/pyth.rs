//! Pyth Hermes: server-sent events and REST, with the signed update verified.
//!
//! Hermes repeats its prices in plain JSON beside the update (`parsed`). That part is not looked at: what counts is the signed
//! accumulator update in `binary` ([`update`]), whose Merkle root the Wormhole guardians signed. So neither Hermes nor whoever stands
//! between can state another price.

pub mod update;

use crate::evm::{Address, unhex};
use crate::field::{json, seconds};
use crate::order::Stated;
use crate::protocol::{Ask, Protocol, Turn};
use crate::refusal::refuse;
use crate::{Number, Price, Reading, Reason, Refusal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plimsoll_types::{Asset, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use update::{Statement, Trust, Update};

/// The most updates of one message.
const UPDATES_MAX: usize = 64;

/// One price that is listened to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feed {
    /// Its id, 32 bytes.
    pub id: [u8; 32],
    /// Of what its price is.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// The exponent of its prices: another is refused until the configuration says so (F10).
    pub exponent: i32,
}

/// Who asks, where Hermes wants to know. Never printed.
#[derive(Clone, Default)]
pub struct Bearer(Option<String>);

impl Bearer {
    /// A key.
    pub fn new(key: String) -> Self {
        Self(Some(key))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer")
    }
}

/// The protocol.
#[derive(Clone, Debug)]
pub struct Pyth {
    feeds: BTreeMap<[u8; 32], Feed>,
    trust: Trust,
    bearer: Bearer,
    stated: Stated,
    /// Whether prices are fetched at every tick, for want of a stream.
    polls: bool,
}

impl Pyth {
    /// Listens to prices signed by guardians. With `polls` they are fetched at every tick and no stream is opened.
    pub fn new(feeds: Vec<Feed>, trust: Trust, bearer: Bearer, polls: bool) -> Self {
        let feeds = feeds.into_iter().map(|feed| (feed.id, feed)).collect();
        Self { feeds, trust, bearer, stated: Stated::default(), polls }
    }

    /// The path of the stream (`stream`) or of the latest prices (`latest`).
    pub fn path(&self, of: &str) -> String {
        let hex = |id: &[u8; 32]| id.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let ids: Vec<String> = self.feeds.keys().map(|id| format!("ids[]={}", hex(id))).collect();
        format!("/v2/updates/price/{of}?encoding=hex&parsed=false&{}", ids.join("&"))
    }

    fn update(&mut self, bytes: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let update = Update::decode(bytes)?;
        self.trust.terms.get(&update.set).map_or(Ok(()), |term| term.runs(at))?;
        update.verify(&self.trust)?;
        let mut first = Ok(());
        for statement in update.statements()? {
            match self.price(&statement, update.slot) {
                Ok(reading) => turn.say(reading),
                Err(refusal) => first = first.and(Err(refusal)),
            }
        }
        first
    }

    fn price(&mut self, statement: &Statement, slot: u64) -> Result<Reading, Refusal> {
        let Statement::Price(said) = statement else { return refuse(Reason::Unasked, "a mean over time") };
        let Some(feed) = self.feeds.get(&said.id) else {
            return refuse(Reason::Unasked, "a price of another feed");
        };
        if said.exponent != feed.exponent {
            return refuse(
                Reason::Exponent,
                format_args!("{} where {} is configured", said.exponent, feed.exponent),
            );
        }
        let exponent = i8::try_from(said.exponent)
            .map_err(|_| Refusal::new(Reason::Exponent, format_args!("{}", said.exponent)))?;
        let confidence = i64::try_from(said.confidence)
            .map_err(|_| Refusal::new(Reason::Number, format_args!("confidence is {}", said.confidence)))?;
        let price = Price {
            asset: feed.asset.clone(),
            quote: feed.quote.clone(),
            sequence: slot,
            time: seconds(said.publish_time)?,
            price: Number::new(said.price, exponent)?,
            confidence: Some(Number::new(confidence, exponent)?),
            valid_until: None,
        };
        self.stated.take(&price.asset, price.time, price.price)?;
        Ok(Reading::Price(price))
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    binary: Binary<'a>,
}

#[derive(Deserialize)]
struct Binary<'a> {
    encoding: &'a str,
    #[serde(borrow)]
    data: Vec<&'a str>,
}

impl Protocol for Pyth {
    fn headers(&self, _at: Timestamp) -> Vec<(&'static str, String)> {
        self.bearer.0.iter().map(|key| ("authorization", format!("Bearer {key}"))).collect()
    }

    /// What is listened to is in the path that was opened.
    fn open(&mut self, at: Timestamp, turn: &mut Turn) {
        self.tick(at, turn);
    }

    fn receive(&mut self, frame: &[u8], at: Timestamp, turn: &mut Turn) -> Result<(), Refusal> {
        let Binary { encoding, data } = json::<Frame<'_>>(frame)?.binary;
        if data.len() > UPDATES_MAX {
            return refuse(Reason::TooLong, format_args!("{} updates", data.len()));
        }
        let mut first = Ok(());
        for text in data {
            let bytes = match encoding {
                "hex" => unhex(text)?,
                "base64" => STANDARD.decode(text).map_err(|e| Refusal::new(Reason::Malformed, e))?,
                other => return refuse(Reason::Malformed, format_args!("encoding {other}")),
            };
            first = first.and(self.update(&bytes, at, turn));
        }
        first
    }

    fn tick(&mut self, _at: Timestamp, turn: &mut Turn) {
        if self.polls {
            turn.ask(Ask::Fetch(self.path("latest")));
        }
    }
}

/// The Wormhole guardians whose set had the number 4 (2024), in their order: those whose signatures the recorded updates bear. A set is
/// replaced by the governance of the guardians; which one to trust is for the configuration to say.
pub fn guardian_set_4() -> Vec<Address> {
    const GUARDIANS: [&str; 19] = [
        "0x5893B5A76c3f739645648885bDCcC06cd70a3Cd3",
        "0xfF6CB952589BDE862c25Ef4392132fb9D4A42157",
        "0x114De8460193bdf3A2fCf81f86a09765F4762fD1",
        "0x107A0086b32d7A0977926A205131d8731D39cbEB",
        "0x8C82B2fd82FaeD2711d59AF0F2499D16e726f6b2",
        "0x11b39756C042441BE6D8650b69b54EbE715E2343",
        "0x54Ce5B4D348fb74B958e8966e2ec3dBd4958a7cd",
        "0x15e7cAF07C4e3DC8e7C469f92C8Cd88FB8005a20",
        "0x74a3bf913953D695260D88BC1aA25A4eeE363ef0",
        "0x000aC0076727b35FBea2dAc28fEE5cCB0fEA768e",
        "0xAF45Ced136b9D9e24903464AE889F5C8a723FC14",
        "0xf93124b7c738843CBB89E864c862c38cddCccF95",
        "0xD2CC37A4dc036a8D232b48f62cDD4731412f4890",
        "0xDA798F6896A3331F64b48c12D1D57Fd9cbe70811",
        "0x71AA1BE1D36CaFE3867910F99C09e347899C19C3",
        "0x8192b6E7387CCd768277c17DAb1b7a5027c0b3Cf",
        "0x178e21ad2E77AE06711549CFBB1f9c7a9d8096e8",
        "0x5E1487F35515d02A92753504a8D75471b9f49EdB",
        "0x6FbEBc898F403E4773E95feB15E80C9A99c8348d",
    ];
    GUARDIANS.iter().filter_map(|text| text.parse().ok()).collect()
}
