//! Rows of one instant to a snapshot.

use crate::number::median;
use plimsoll_types::{
    Asset, Contract, FutureQuote, IndexPrice, Instrument, Issue, OptionQuote, PerpQuote, Reason, Snapshot,
    Timestamp, UnderlyingMarket,
};
use std::collections::{BTreeMap, BTreeSet};

/// Names of unknown form that are reported one by one; the rest are only counted.
const UNKNOWN_MAX: usize = 200;

/// What any venue says of one instrument.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Row {
    pub(super) bid: Option<f64>,
    pub(super) ask: Option<f64>,
    pub(super) mark: Option<f64>,
    pub(super) mark_vol: Option<f64>,
    pub(super) forward: Option<f64>,
    pub(super) open_interest: Option<f64>,
    pub(super) funding_8h: Option<f64>,
    pub(super) index: Option<f64>,
    pub(super) time: Timestamp,
}

/// The snapshot being put together.
pub(super) struct Assembly {
    source: &'static str,
    as_of: Option<Timestamp>,
    rows: BTreeMap<Instrument, Row>,
    index: BTreeMap<Asset, (Timestamp, Vec<f64>)>,
    unknown: BTreeSet<String>,
    issues: Vec<Issue>,
}

impl Assembly {
    /// An empty one; `source` is who is quoted as the index price's source.
    pub(super) fn new(source: &'static str) -> Self {
        Self {
            source,
            as_of: None,
            rows: BTreeMap::new(),
            index: BTreeMap::new(),
            unknown: BTreeSet::new(),
            issues: Vec::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.as_of.is_none()
    }

    /// Adds a row. Of two rows of one instrument the later one counts; of two at one time the first, and if they differ
    /// that is an issue.
    pub(super) fn add(&mut self, name: &str, row: Row) {
        self.as_of = Some(self.as_of.map_or(row.time, |t| t.max(row.time)));
        let Some(instrument) = known(name) else {
            if self.unknown.len() < UNKNOWN_MAX && self.unknown.insert(name.to_owned()) {
                self.issues.push(Issue::new(Reason::UnknownInstrument, name));
            }
            return;
        };
        if let Some(price) = row.index {
            let (time, prices) =
                self.index.entry(instrument.underlying().clone()).or_insert((row.time, Vec::new()));
            if row.time > *time {
                *time = row.time;
                prices.clear();
            }
            if row.time == *time {
                prices.push(price);
            }
        }
        match self.rows.get(&instrument) {
            Some(before) if before.time > row.time => {}
            Some(before) if before.time == row.time => {
                if *before != row {
                    let subject = format!("{name} twice at one time");
                    let issue = Issue::new(Reason::Outlier, subject);
                    self.issues.push(issue.at(instrument.underlying(), instrument.expiry()));
                }
            }
            _ => drop(self.rows.insert(instrument, row)),
        }
    }

    /// The snapshot, and the issues met. `None` when there was no row.
    pub(super) fn finish(mut self) -> Option<(Snapshot, Vec<Issue>)> {
        let as_of = self.as_of?;
        let mut underlyings: BTreeMap<Asset, UnderlyingMarket> = BTreeMap::new();
        for (instrument, row) in self.rows {
            let market = underlyings.entry(instrument.underlying().clone()).or_default();
            place(market, instrument, row);
        }
        for (asset, market) in &mut underlyings {
            let stated = self.index.remove(asset).and_then(|(time, mut prices)| {
                median(&mut prices).map(|price| index_price(price, self.source.to_owned(), time))
            });
            let price = stated.or_else(|| nearest_forward(asset, market, self.source, &mut self.issues));
            market.index.extend(price);
        }
        Some((Snapshot { as_of, underlyings, assets: BTreeMap::new() }, self.issues))
    }
}

/// An instrument that can be priced; spot pairs are none of these files' business.
fn known(name: &str) -> Option<Instrument> {
    let instrument: Instrument = name.parse().ok()?;
    (instrument.contract() != Contract::Spot).then_some(instrument)
}

fn place(market: &mut UnderlyingMarket, instrument: Instrument, row: Row) {
    let Row { bid, ask, mark, mark_vol, forward, open_interest, funding_8h, time, .. } = row;
    match instrument.contract() {
        Contract::Option { .. } => market.options.push(OptionQuote {
            instrument,
            bid,
            ask,
            mark,
            mark_vol,
            forward,
            open_interest,
            time,
        }),
        Contract::Future { .. } => {
            market.futures.push(FutureQuote { instrument, mark, bid, ask, open_interest, time });
        }
        Contract::Perpetual => {
            market.perpetuals.push(PerpQuote { instrument, mark, bid, ask, funding_8h, open_interest, time });
        }
        Contract::Spot => {}
    }
}

fn index_price(price: f64, source: String, time: Timestamp) -> IndexPrice {
    IndexPrice { price, confidence: None, source, time }
}

/// Where a file states no index, the venue's forward for the nearest expiry, named as such and reported.
fn nearest_forward(
    asset: &Asset,
    market: &UnderlyingMarket,
    source: &str,
    issues: &mut Vec<Issue>,
) -> Option<IndexPrice> {
    let quoted = market.options.iter().filter(|q| q.forward.is_some());
    let expiry = quoted.clone().filter_map(|q| q.instrument.expiry()).min()?;
    let nearest = || quoted.clone().filter(|q| q.instrument.expiry() == Some(expiry));
    let time = nearest().map(|q| q.time).max()?;
    let mut prices: Vec<f64> = nearest().filter(|q| q.time == time).filter_map(|q| q.forward).collect();
    let price = median(&mut prices)?;
    let said = format!("{source}: forward of the nearest expiry, no index stated");
    let issue = Issue::new(Reason::MissingIndex, format!("{asset}: {said}"));
    issues.push(issue.at(asset, Some(expiry)).with(price, None));
    Some(index_price(price, said, time))
}
