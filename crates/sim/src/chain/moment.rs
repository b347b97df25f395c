//! A recorded chain at an instant, guarded, fitted and valued.
//!
//! **The one idea:** everything that later stages ask of a snapshot is found once, in the order of instruments: what can be held is
//! what the venue marks and the fitted surface values. The rest is counted.

use plimsoll_engine::{ParamSet, implied};
use plimsoll_market::{PerpMark, Surface, UnderlyingSurface, fit, guard};
use plimsoll_policy::Implied;
use plimsoll_risk::value;
use plimsoll_types::{
    Asset, Instrument, OptionKind, OptionQuote, Settlement, Snapshot, Timestamp, Units, nearest_f64,
};
use std::collections::BTreeMap;

/// An option that can be held.
#[derive(Clone, PartialEq, Debug)]
pub struct Quote {
    /// Which.
    pub instrument: Instrument,
    /// When it settles.
    pub expiry: Timestamp,
    /// Quote units per coin.
    pub strike: f64,
    /// Call or put.
    pub kind: OptionKind,
    /// The venue's mark, quote units per coin; > 0.
    pub mark: f64,
    /// Coins open; >= 0.
    pub open_interest: f64,
    /// Coins of the underlying that one coin of it moves with.
    pub delta: f64,
    /// Strike over forward.
    pub moneyness: f64,
}

/// The chain of one underlying.
#[derive(Clone, PartialEq, Debug)]
pub struct Listing {
    /// The fitted market of this underlying alone, with a linear perpetual at the index.
    pub surface: Surface,
    /// Index price, quote units.
    pub index: f64,
    /// What can be held, in the order of instruments.
    pub quotes: Vec<Quote>,
    /// Marks, quote units per coin, of options that the surface does not value, in the order of instruments: nobody is given
    /// them, and who has them sees them marked.
    pub unvalued: Vec<(Instrument, f64)>,
    /// Options that are quoted and not marked.
    pub unmarked: usize,
    /// The surface as a trader reads it.
    pub implied: Option<Implied>,
    /// Options open, quote units at the index.
    pub open_interest: f64,
    /// Lesser of the depths of both sides, quote units, where the snapshot has one.
    pub depth: Option<f64>,
}

/// All chains of one instant.
#[derive(Clone, PartialEq, Debug)]
pub struct Moment {
    /// The instant.
    pub at: Timestamp,
    /// By underlying; one without an index, or with nothing that can be held, is absent.
    pub listings: BTreeMap<Asset, Listing>,
}

/// The perpetual that books are hedged with.
pub(crate) fn perpetual(asset: &Asset) -> Option<Instrument> {
    format!("{asset}-PERP").parse().ok()
}

impl Moment {
    /// Guards, fits and values a snapshot by the rules of a parameter set.
    pub fn new(snapshot: &Snapshot, params: &ParamSet) -> Self {
        let guarded = guard(snapshot, &params.guard);
        let mut fitted = fit(&guarded, &params.fit);
        let mut listings = BTreeMap::new();
        for (asset, market) in &guarded.snapshot.underlyings {
            let Some(surface) = fitted.underlyings.remove(asset) else { continue };
            let listing = Listing::new(asset, surface, (snapshot.as_of, &market.market.options), params);
            let depth = market.market.depth.as_ref();
            let depth = depth.map(|d| if d.bid_quote < d.ask_quote { d.bid_quote } else { d.ask_quote });
            if !listing.quotes.is_empty() {
                listings.insert(asset.clone(), Listing { depth, ..listing });
            }
        }
        Self { at: snapshot.as_of, listings }
    }
}

impl Listing {
    fn new(
        asset: &Asset,
        mut market: UnderlyingSurface,
        (at, options): (Timestamp, &[OptionQuote]),
        params: &ParamSet,
    ) -> Self {
        let index = market.index;
        let implied = implied(&market, at);
        let perpetual_mark = PerpMark { price: index, funding_8h: None, open_interest: None };
        market.perpetuals = perpetual(asset).map(|name| (name, perpetual_mark)).into_iter().collect();
        for slice in &mut market.slices {
            // Points are many, and nobody asks for them again.
            slice.quality = plimsoll_market::SliceQuality::default();
        }
        let underlyings = BTreeMap::from([(asset.clone(), market)]);
        let surface = Surface { as_of: at, underlyings, assets: BTreeMap::new(), issues: Vec::new() };
        let (mut quotes, mut unvalued) = (Vec::with_capacity(options.len()), Vec::new());
        for (option, mark) in options.iter().filter_map(|option| Some((option, mark(option, index)?))) {
            match quote((option, mark), &surface, index, &params.units) {
                Some(quote) => quotes.push(quote),
                None => unvalued.push((option.instrument.clone(), mark)),
            }
        }
        quotes.sort_by(|a, b| a.instrument.cmp(&b.instrument));
        unvalued.sort_by(|a, b| a.0.cmp(&b.0));
        let unmarked = options.len() - quotes.len() - unvalued.len();
        let open_interest = index * options.iter().filter_map(|option| option.open_interest).sum::<f64>();
        Self { surface, index, quotes, unvalued, unmarked, implied, open_interest, depth: None }
    }

    /// The venue's mark of an option, quote units per coin.
    pub fn mark(&self, instrument: &Instrument) -> Option<f64> {
        let valued = self.find(instrument).and_then(|place| self.quotes.get(place)).map(|quote| quote.mark);
        valued.or_else(|| {
            let place = self.unvalued.binary_search_by(|(known, _)| known.cmp(instrument)).ok()?;
            self.unvalued.get(place).map(|(_, mark)| *mark)
        })
    }

    /// The place of an option among the quotes.
    pub fn find(&self, instrument: &Instrument) -> Option<usize> {
        self.quotes.binary_search_by(|quote| quote.instrument.cmp(instrument)).ok()
    }
}

/// The venue's mark, quote units per coin.
fn mark(option: &OptionQuote, index: f64) -> Option<f64> {
    let coin = if option.instrument.settlement() == Settlement::Inverse { index } else { 1.0 };
    Some(coin * option.mark?)
}

fn quote((option, mark): (&OptionQuote, f64), surface: &Surface, index: f64, units: &Units) -> Option<Quote> {
    let instrument = &option.instrument;
    let (expiry, (strike, kind)) = (instrument.expiry()?, instrument.option()?);
    let valued = value(surface, instrument, units).ok()?;
    let strike = nearest_f64(strike);
    Some(Quote {
        instrument: instrument.clone(),
        expiry,
        strike,
        kind,
        mark,
        open_interest: option.open_interest.unwrap_or(0.0),
        delta: valued.greeks.delta / index,
        moneyness: strike / valued.forward,
    })
}

/// Moments in the order of time, each instant once; how many were there again.
pub fn in_order(mut moments: Vec<Moment>) -> (Vec<Moment>, usize) {
    moments.sort_by_key(|moment| moment.at);
    let before = moments.len();
    moments.dedup_by_key(|moment| moment.at);
    let again = before - moments.len();
    (moments, again)
}
