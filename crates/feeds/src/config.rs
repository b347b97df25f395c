//! A source as a configuration writes it, and what it stands for.
//!
//! Every field that is not known is refused, and so are addresses that are not allowed, signers fewer than their threshold, and secrets that are
//! not there. A secret is named and not written: whoever builds a source looks it up.

use crate::address::{Allowed, Endpoint, Scheme};
use crate::binance::{Binance, Market, Symbol};
use crate::chainlink::{Chainlink, Login, Stream};
use crate::deribit::{Deribit, Wanted};
use crate::evm::{Address, Signers, Term, fixed};
use crate::hyperliquid::{Coin, Hyperliquid, Origin};
use crate::link::{Limits, Source, Transport};
use crate::pyth::update::Trust;
use crate::pyth::{Bearer, Pyth};
use crate::refusal::refuse;
use crate::signed::{Domain, Signed};
use crate::{Protocol, Reason, Refusal, pyth, signed};
use plimsoll_types::{Asset, Instrument, Timestamp};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;

/// Of what a price is, and in what.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Of what.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
}

/// The same with the exponent of its numbers.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scaled {
    /// Of what.
    pub asset: Asset,
    /// In what.
    pub quote: Asset,
    /// The power of ten of its numbers: another is refused.
    pub exponent: i8,
}

/// A coin of Hyperliquid ([`Coin`]).
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoinTerms {
    asset: Asset,
    quote: Asset,
    #[serde(default = "nowhere")]
    price: Origin,
    instrument: Option<Instrument>,
    #[serde(default)]
    book: bool,
    #[serde(default)]
    trades: bool,
}

fn nowhere() -> Origin {
    Origin::Nowhere
}

/// A symbol of Binance ([`Symbol`]).
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymbolTerms {
    asset: Asset,
    quote: Asset,
    #[serde(default)]
    index: bool,
    instrument: Option<Instrument>,
    #[serde(default = "eight")]
    funding_hours: u32,
    #[serde(default)]
    book: bool,
    #[serde(default)]
    trades: bool,
}

fn eight() -> u32 {
    8
}

/// Who may sign, and how many of them must.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerTerms {
    threshold: usize,
    addresses: Vec<Address>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl SignerTerms {
    fn signers(&self) -> Result<Signers, Refusal> {
        let mut signers = Signers::new(self.addresses.iter().copied(), self.threshold)?;
        signers.term = Term { from: self.from, until: self.until }.checked()?;
        Ok(signers)
    }
}

/// A list, or a table: whichever is there is read as what it is, so that what is wrong in it is said of it.
struct Either<L, T>(PhantomData<(L, T)>);

/// What was there.
enum Found<L, T> {
    List(L),
    Table(T),
}

impl<'de, L: Deserialize<'de>, T: Deserialize<'de>> Visitor<'de> for Either<L, T> {
    type Value = Found<L, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or a table")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        L::deserialize(SeqAccessDeserializer::new(list)).map(Found::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(table)).map(Found::Table)
    }
}

/// Sets of signers that replace one another: one as a table, several as a list of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignerSets(Vec<SignerTerms>);

impl<'de> Deserialize<'de> for SignerSets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(
            match deserializer.deserialize_any(Either::<Vec<SignerTerms>, SignerTerms>(PhantomData))? {
                Found::List(sets) => sets,
                Found::Table(set) => vec![set],
            },
        ))
    }
}

impl SignerSets {
    fn signers(&self) -> Result<Vec<Signers>, Refusal> {
        self.0.iter().map(SignerTerms::signers).collect()
    }
}

/// A set of guardians, and when they may sign: a list of them, or a table with a term.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardianTerms {
    addresses: Vec<Address>,
    term: Term,
}

/// The table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GuardianTable {
    addresses: Vec<Address>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl<'de> Deserialize<'de> for GuardianTerms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match deserializer.deserialize_any(Either::<Vec<Address>, GuardianTable>(PhantomData))? {
            Found::List(addresses) => Self { addresses, term: Term::default() },
            Found::Table(GuardianTable { addresses, from, until }) => {
                Self { addresses, term: Term { from, until } }
            }
        })
    }
}

/// Under what a signed feed signs ([`Domain`]).
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainTerms {
    name: String,
    version: String,
    chain_id: u64,
    verifying_contract: Address,
}

/// A source, by the kind of its protocol.
#[derive(Clone, PartialEq, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Configured {
    /// Deribit's WebSocket.
    Deribit {
        /// Its address.
        url: String,
        /// Price indices by their names.
        #[serde(default)]
        indices: BTreeMap<String, Pair>,
        /// Currencies whose whole chains are asked for.
        #[serde(default)]
        currencies: BTreeSet<String>,
        /// Instruments whose ticker is listened to.
        #[serde(default)]
        tickers: BTreeSet<Instrument>,
        /// Instruments whose book is.
        #[serde(default)]
        books: BTreeSet<Instrument>,
        /// Instruments whose trades are.
        #[serde(default)]
        trades: BTreeSet<Instrument>,
        /// Seconds from one whole chain to the next.
        #[serde(default = "ten")]
        summary_seconds: i64,
    },
    /// Hyperliquid's WebSocket.
    Hyperliquid {
        /// Its address.
        url: String,
        /// Coins by their names on the wire.
        coins: BTreeMap<String, CoinTerms>,
    },
    /// Binance's streams.
    Binance {
        /// `usd_m` or `spot`.
        market: Market,
        /// The address of the streams, ending in `/stream`.
        url: String,
        /// The address of REST, for snapshots of books.
        rest: String,
        /// Symbols by their names on the wire.
        symbols: BTreeMap<String, SymbolTerms>,
    },
    /// Pyth's Hermes.
    Pyth {
        /// Its address, without a path.
        url: String,
        /// Whether prices are fetched once a tick instead of listened to.
        #[serde(default)]
        polls: bool,
        /// The name of the secret that it wants, where it wants one.
        key: Option<String>,
        /// Prices by their ids, in hexadecimal.
        feeds: BTreeMap<String, Scaled>,
        /// Guardian sets by their numbers, each with its term where it has one.
        guardians: BTreeMap<String, GuardianTerms>,
    },
    /// Chainlink Data Streams.
    Chainlink {
        /// Its address, without a path.
        url: String,
        /// The public id of the key.
        key: String,
        /// The name of its secret.
        secret: String,
        /// Streams by their ids, in hexadecimal.
        streams: BTreeMap<String, Scaled>,
        /// Signers by the digest of their configuration, in hexadecimal.
        signers: BTreeMap<String, SignerTerms>,
    },
    /// A feed of EIP-712 messages.
    Signed {
        /// Its address.
        url: String,
        /// Under what it signs.
        domain: DomainTerms,
        /// Who signs: one set, or several with their terms.
        signers: SignerSets,
        /// Feeds by their names on the wire.
        feeds: BTreeMap<String, Scaled>,
        /// Whether a number that is left out is a gap.
        #[serde(default)]
        gapless: bool,
        /// How far ahead a message may be dated, milliseconds.
        #[serde(default = "two_thousand")]
        future_ms: i64,
    },
}

fn ten() -> i64 {
    10
}

fn two_thousand() -> i64 {
    2_000
}

/// What a source is built with.
pub struct Terms<'a> {
    /// Which addresses may be reached.
    pub allowed: Allowed,
    /// What a source may cost.
    pub limits: Limits,
    /// The band of depth, a share of the middle: the engine's.
    pub band: f64,
    /// A secret by its name.
    pub secret: &'a dyn Fn(&str) -> Option<String>,
}

impl std::fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terms").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Terms<'_> {
    fn look_up(&self, name: &str) -> Result<String, Refusal> {
        (self.secret)(name)
            .ok_or_else(|| Refusal::new(Reason::Venue, format_args!("no secret is named {name}")))
    }

    fn source(&self, transport: Transport, url: &str, rest: Option<&str>) -> Result<Source, Refusal> {
        let stream = Endpoint::read(url, &self.allowed)?;
        let rest = rest.map(|url| Endpoint::read(url, &self.allowed)).transpose()?;
        let wants = if transport == Transport::WebSocket { Scheme::WebSocket } else { Scheme::Http };
        if stream.scheme != wants || rest.as_ref().is_some_and(|rest| rest.scheme != Scheme::Http) {
            return refuse(Reason::Domain, "a scheme of another transport");
        }
        Ok(Source { transport, stream, rest, allowed: self.allowed.clone(), limits: self.limits })
    }
}

/// A source that can be run.
pub type Built = (Source, Box<dyn Protocol>);

impl Configured {
    /// The source that it stands for.
    ///
    /// # Errors
    /// [`Reason::Domain`] or [`Reason::Malformed`] for an address, an id or a digest, [`Reason::Quorum`] for a threshold,
    /// [`Reason::Duplicate`] for an asset with two prices, which would contradict each other, [`Reason::Venue`] for a secret that is not
    /// there.
    pub fn build(&self, terms: &Terms<'_>) -> Result<Built, Refusal> {
        self.one_price_each()?;
        match self {
            Self::Deribit { url, .. } => Ok((
                terms.source(Transport::WebSocket, url, None)?,
                Box::new(Deribit::new(self.wanted(terms.band))),
            )),
            Self::Hyperliquid { url, coins } => {
                let coins = coins.iter().map(|(name, of)| of.coin(name)).collect();
                let source = terms.source(Transport::WebSocket, url, None)?;
                Ok((source, Box::new(Hyperliquid::new(coins, terms.band))))
            }
            Self::Binance { market, url, rest, symbols } => {
                let symbols = symbols.iter().map(|(name, of)| of.symbol(name)).collect();
                let source = terms.source(Transport::WebSocket, url, Some(rest))?;
                Ok((source, Box::new(Binance::new(*market, symbols, terms.band))))
            }
            Self::Pyth { .. } => self.pyth(terms),
            Self::Chainlink { .. } => self.chainlink(terms),
            Self::Signed { url, domain, signers, feeds, gapless, future_ms } => {
                let feeds = feeds.iter().map(|(name, of)| of.feed(name)).collect();
                let mut sets = signers.signers()?.into_iter();
                let Some(first) = sets.next() else { return refuse(Reason::Quorum, "no signers") };
                let first = Signed::new(domain.domain(), first, feeds, *gapless, *future_ms);
                let protocol = sets.fold(first, Signed::or);
                Ok((terms.source(Transport::WebSocket, url, None)?, Box::new(protocol)))
            }
        }
    }

    /// A source has one price of an asset: two of them, of two markets or in two currencies, are two sources.
    fn one_price_each(&self) -> Result<(), Refusal> {
        let assets: Vec<&Asset> = match self {
            Self::Deribit { indices, .. } => indices.values().map(|pair| &pair.asset).collect(),
            Self::Hyperliquid { coins, .. } => {
                coins.values().filter(|coin| coin.price != Origin::Nowhere).map(|coin| &coin.asset).collect()
            }
            Self::Binance { symbols, .. } => symbols.values().filter(|s| s.index).map(|s| &s.asset).collect(),
            Self::Pyth { feeds, .. } | Self::Signed { feeds, .. } => {
                feeds.values().map(|of| &of.asset).collect()
            }
            Self::Chainlink { streams, .. } => streams.values().map(|of| &of.asset).collect(),
        };
        let mut seen = BTreeSet::new();
        match assets.into_iter().find(|asset| !seen.insert(*asset)) {
            Some(asset) => refuse(Reason::Duplicate, format_args!("{asset} has two prices")),
            None => Ok(()),
        }
    }

    fn wanted(&self, band: f64) -> Wanted {
        let Self::Deribit { indices, currencies, tickers, books, trades, summary_seconds, .. } = self else {
            return Wanted::default();
        };
        let pair = |(name, pair): (&String, &Pair)| (name.clone(), (pair.asset.clone(), pair.quote.clone()));
        Wanted {
            indices: indices.iter().map(pair).collect(),
            currencies: currencies.clone(),
            tickers: tickers.clone(),
            books: books.clone(),
            trades: trades.clone(),
            summary_seconds: *summary_seconds,
            band,
        }
    }

    fn pyth(&self, terms: &Terms<'_>) -> Result<Built, Refusal> {
        let Self::Pyth { url, polls, key, feeds, guardians } = self else {
            return refuse(Reason::Unasked, "another kind");
        };
        let mut wanted = Vec::new();
        for (id, of) in feeds {
            let (asset, quote) = (of.asset.clone(), of.quote.clone());
            wanted.push(pyth::Feed { id: fixed(id)?, asset, quote, exponent: of.exponent.into() });
        }
        let mut trust = Trust::of(BTreeMap::new());
        for (number, set) in guardians {
            let number = number.parse();
            let number = number.map_err(|_| Refusal::new(Reason::Number, "the number of a guardian set"))?;
            if set.addresses.is_empty() {
                return refuse(Reason::Quorum, format_args!("no guardians in set {number}"));
            }
            trust.guardians.insert(number, set.addresses.clone());
            trust.terms.insert(number, set.term.checked()?);
        }
        let bearer = key.as_ref().map(|name| terms.look_up(name).map(Bearer::new)).transpose()?;
        let protocol = Pyth::new(wanted, trust, bearer.unwrap_or_default(), *polls);
        let transport = if *polls { Transport::Poll } else { Transport::Events };
        let mut source = terms.source(transport, url, Some(url))?;
        source.stream.path = protocol.path("stream");
        Ok((source, Box::new(protocol)))
    }

    fn chainlink(&self, terms: &Terms<'_>) -> Result<Built, Refusal> {
        let Self::Chainlink { url, key, secret, streams, signers } = self else {
            return refuse(Reason::Unasked, "another kind");
        };
        let mut wanted = Vec::new();
        for (id, of) in streams {
            let (asset, quote) = (of.asset.clone(), of.quote.clone());
            wanted.push(Stream { feed_id: fixed(id)?, asset, quote, exponent: of.exponent });
        }
        let mut trusted = BTreeMap::new();
        for (digest, of) in signers {
            trusted.insert(fixed(digest)?, of.signers()?);
        }
        let ids: Vec<String> =
            streams.keys().map(|id| format!("0x{}", id.trim_start_matches("0x"))).collect();
        let path = format!("/api/v1/ws?feedIDs={}", ids.join(","));
        let login = Login { key: key.clone(), secret: terms.look_up(secret)?, path: path.clone() };
        let mut source = terms.source(Transport::WebSocket, url, None)?;
        source.stream.path = path;
        Ok((source, Box::new(Chainlink::new(wanted, trusted, Some(login)))))
    }
}

impl CoinTerms {
    fn coin(&self, name: &str) -> Coin {
        Coin {
            coin: name.to_owned(),
            asset: self.asset.clone(),
            quote: self.quote.clone(),
            price: self.price,
            instrument: self.instrument.clone(),
            book: self.book,
            trades: self.trades,
        }
    }
}

impl SymbolTerms {
    fn symbol(&self, name: &str) -> Symbol {
        Symbol {
            symbol: name.to_owned(),
            asset: self.asset.clone(),
            quote: self.quote.clone(),
            index: self.index,
            instrument: self.instrument.clone(),
            funding_hours: self.funding_hours,
            book: self.book,
            trades: self.trades,
        }
    }
}

impl Scaled {
    fn feed(&self, name: &str) -> signed::Feed {
        let (asset, quote) = (self.asset.clone(), self.quote.clone());
        signed::Feed { feed: name.to_owned(), asset, quote, exponent: self.exponent }
    }
}

impl DomainTerms {
    fn domain(&self) -> Domain {
        let (name, version) = (self.name.clone(), self.version.clone());
        Domain { name, version, chain_id: self.chain_id, verifying_contract: self.verifying_contract }
    }
}
