//! Our own JSON form of a snapshot.

use super::ReadError;
use super::json::Located;
use super::select::Sink;
use plimsoll_types::{
    Asset, Contract, Depth, ExternalSlice, Forward, FutureQuote, IndexPrice, Instrument, Issue, OptionQuote,
    PerpQuote, Reason, Snapshot, Timestamp, UnderlyingMarket,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error, MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;
use std::marker::PhantomData;

/// A snapshot as written: as [`Snapshot`], but no name may be there twice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    as_of: Timestamp,
    #[serde(deserialize_with = "distinct")]
    underlyings: BTreeMap<Asset, UnderlyingMarket>,
    #[serde(default, deserialize_with = "distinct")]
    assets: BTreeMap<Asset, IndexPrice>,
}

/// A map whose keys are all different; JSON would let the last one win.
fn distinct<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<BTreeMap<Asset, T>, D::Error> {
    struct Distinct<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Distinct<T> {
        type Value = BTreeMap<Asset, T>;

        fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
            f.write_str("an object with a name per asset")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some(asset) = map.next_key::<Asset>()? {
                if found.contains_key(&asset) {
                    return Err(A::Error::custom(format!(
                        "duplicate key `{asset}`, expected each name once"
                    )));
                }
                found.insert(asset, map.next_value()?);
            }
            Ok(found)
        }
    }
    from.deserialize_map(Distinct(PhantomData))
}

/// The fields an object of a snapshot may have, by the name it is under.
pub(super) fn known(container: &str) -> Vec<String> {
    match container {
        "" => fields::<Document>(),
        "index" | "assets" => fields::<IndexPrice>(),
        "forwards" => fields::<Forward>(),
        "futures" => fields::<FutureQuote>(),
        "perpetuals" => fields::<PerpQuote>(),
        "options" => fields::<OptionQuote>(),
        "depth" => fields::<Depth>(),
        "external" => fields::<ExternalSlice>(),
        "underlyings" => fields::<UnderlyingMarket>(),
        _ => Vec::new(),
    }
}

/// The fields of a type that takes no others, as its own refusal of one without a name lists them.
fn fields<T: DeserializeOwned>() -> Vec<String> {
    let refusal = serde_json::from_str::<T>("{\"\":0}").err().map(|e| e.to_string()).unwrap_or_default();
    refusal.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

/// Leaves out what is listed under another name than its own, or a second time, and says so.
fn sort_out(snapshot: &mut Snapshot) -> Vec<Issue> {
    let mut issues = Vec::new();
    for (asset, market) in &mut snapshot.underlyings {
        let mut place = Place { asset, seen: BTreeSet::new(), issues: &mut issues };
        let is_option = |c: Contract| matches!(c, Contract::Option { .. });
        let is_future = |c: Contract| matches!(c, Contract::Future { .. });
        market.options.retain(|q| place.takes(&q.instrument, "options", is_option));
        market.futures.retain(|q| place.takes(&q.instrument, "futures", is_future));
        market.perpetuals.retain(|q| place.takes(&q.instrument, "perpetuals", |c| c == Contract::Perpetual));
    }
    issues
}

/// The instruments of one underlying.
struct Place<'a> {
    asset: &'a Asset,
    seen: BTreeSet<Instrument>,
    issues: &'a mut Vec<Issue>,
}

impl Place<'_> {
    /// Whether an instrument belongs in a list and is met for the first time.
    fn takes(&mut self, instrument: &Instrument, list: &str, fits: impl Fn(Contract) -> bool) -> bool {
        let (reason, subject) = if instrument.underlying() != self.asset || !fits(instrument.contract()) {
            (Reason::UnknownInstrument, format!("{instrument} under {}.{list}", self.asset))
        } else if self.seen.insert(instrument.clone()) {
            return true;
        } else {
            (Reason::Outlier, format!("{instrument} twice at one time"))
        };
        self.issues.push(Issue::new(reason, subject).at(self.asset, instrument.expiry()));
        false
    }
}

/// The JSON form of a snapshot, which [`super::Format::SnapshotJson`] reads back to an equal value.
///
/// JSON has no NaN or infinity: such a number, which no reader of this crate lets in, is written as `null`.
pub fn write_json(snapshot: &Snapshot) -> String {
    // Maps keyed by names and plain numbers: there is nothing in a snapshot that cannot be written.
    serde_json::to_string_pretty(snapshot).unwrap_or_else(|e| unreachable!("{e}"))
}

/// Hands each document of the stream to `sink`. Of an instrument listed twice the first counts.
pub(super) fn read(reader: impl BufRead, name: &str, sink: &mut dyn Sink) -> Result<(), ReadError> {
    let mut documents = Located::new(reader);
    let mut before: Option<Timestamp> = None;
    let mut rows = 0;
    while let Some(document) = documents.document(name, PhantomData::<Document>)? {
        let Document { as_of, underlyings, assets } = document;
        let mut snapshot = Snapshot { as_of, underlyings, assets };
        let issues = sort_out(&mut snapshot);
        let time = snapshot.as_of;
        if let Some(before) = before.filter(|b| time <= *b) {
            return Err(ReadError::Order { name: name.to_owned(), line: documents.line(), time, before });
        }
        before = Some(time);
        rows += snapshot.underlyings.values().map(|u| u.options.len() as u64).sum::<u64>();
        if sink.take(snapshot, issues).is_break() {
            break;
        }
    }
    sink.rows(rows);
    Ok(())
}
