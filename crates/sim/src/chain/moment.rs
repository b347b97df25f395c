//! A recorded chain at an instant, guarded, fitted and valued.
//!
//! **The one idea:** everything that later stages ask of a snapshot is found once, in the order of instruments: what can be held is
//! what the venue marks and the fitted surface values. The rest is counted.

use plimsoll_engine::{ParamSet, implied};
use plimsoll_market::{PerpMark, Surface, UnderlyingSurface, fit, guard};
use plimsoll_policy::Implied;
use plimsoll_quant::black;
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

/// A mark that is none.
#[derive(Clone, PartialEq, Debug)]
pub struct Misplaced {
    /// Of which option.
    pub instrument: Instrument,
    /// What the venue wrote, quote units per coin.
    pub mark: f64,
    /// The least that it may be, quote units per coin.
    pub least: f64,
    /// And the most.
    pub most: f64,
}

/// A mark so many times its value at the venue's own volatility, or as many times less, is another unit or a misprint.
const MARK_RATIO_MAX: f64 = 3.0;

/// What an option pays may have moved by this share of its strike, or of the index, since it was marked.
const LATE_SHARE: f64 = 0.01;

/// Marks are told apart from each other down to this share of the index: a few ticks.
const MARK_SLACK: f64 = 5e-4;

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
    /// Marks that no option of its strike, index and volatility has: left out.
    pub misplaced: Vec<Misplaced>,
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
            let raw = snapshot.underlyings.get(asset).map_or(&[][..], |market| &market.options);
            let misplaced = misplaced(raw, surface.index, snapshot.as_of);
            let sound = |option: &&OptionQuote| {
                misplaced.binary_search_by(|bad| bad.instrument.cmp(&option.instrument)).is_err()
            };
            let options: Vec<&OptionQuote> = market.market.options.iter().filter(sound).collect();
            let listing = Listing::new(asset, surface, (snapshot.as_of, &options), params);
            let depth = market.market.depth.as_ref();
            let depth = depth.map(|d| if d.bid_quote < d.ask_quote { d.bid_quote } else { d.ask_quote });
            if !listing.quotes.is_empty() {
                listings.insert(asset.clone(), Listing { depth, misplaced, ..listing });
            }
        }
        Self { at: snapshot.as_of, listings }
    }
}

impl Listing {
    fn new(
        asset: &Asset,
        mut market: UnderlyingSurface,
        (at, options): (Timestamp, &[&OptionQuote]),
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
        let misplaced = Vec::new();
        Self { surface, index, quotes, unvalued, unmarked, misplaced, implied, open_interest, depth: None }
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

/// Marks outside what an option may be worth, in the order of instruments.
fn misplaced(options: &[OptionQuote], index: f64, at: Timestamp) -> Vec<Misplaced> {
    let one = |option: &OptionQuote| {
        let mark = mark(option, index)?;
        let (least, most) = bounds(option, index, at)?;
        let outside = !(least..=most).contains(&mark);
        outside.then(|| Misplaced { instrument: option.instrument.clone(), mark, least, most })
    };
    let mut found: Vec<Misplaced> = options.iter().filter_map(one).collect();
    found.sort_by(|a, b| a.instrument.cmp(&b.instrument));
    found
}

/// The least and the most that a coin of an option may be marked at, quote units: no arbitrage (beneath what it pays at the forward;
/// a call above a coin, a put above its strike), and where the venue says a volatility, three times its value at that either way.
/// Inverse options are marked in coins of the forward, which the chain counts at the index.
fn bounds(option: &OptionQuote, index: f64, at: Timestamp) -> Option<(f64, f64)> {
    let (expiry, (strike, kind)) = (option.instrument.expiry()?, option.instrument.option()?);
    let (strike, slack) = (nearest_f64(strike), MARK_SLACK * index);
    let forward = option.forward.filter(|forward| *forward > 0.0 && forward.is_finite()).unwrap_or(index);
    let inverse = option.instrument.settlement() == Settlement::Inverse;
    // What a linear option's value is discounted by lies between nothing and the basis.
    let (coin, apart) = if inverse { (index / forward, 0.0) } else { (1.0, (forward - index).abs()) };
    let (inner, whole, kind) = match kind {
        OptionKind::Call => (forward - strike, forward, black::OptionKind::Call),
        OptionKind::Put => (strike - forward, strike, black::OptionKind::Put),
    };
    let slack = slack + apart;
    // Forward, index and mark are of instants some minutes apart.
    let late = apart + LATE_SHARE * strike.max(index);
    let (least, most) = (coin * inner - late, coin * whole + late);
    let tau = at.years_until(expiry);
    let stated = option.mark_vol.filter(|vol| *vol > 0.0 && vol.is_finite() && tau > 0.0);
    let Some(worth) = stated.map(|vol| coin * black::price(kind, forward, strike, vol, tau)) else {
        return Some((least, most));
    };
    Some((least.max(worth / MARK_RATIO_MAX - slack), most.min(worth * MARK_RATIO_MAX + slack)))
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

/// Two chains of one underlying and one instant that do not say the same.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
#[error("{asset}: two chains of {at} do not say the same: {what}")]
pub struct ChainConflict {
    /// Of what.
    pub asset: Asset,
    /// When.
    pub at: Timestamp,
    /// What each says.
    pub what: String,
}

/// Moments in the order of time, each instant once, its underlyings put together; how many chains of an underlying were there
/// again and said the same.
///
/// # Errors
/// [`ChainConflict`] for two that do not.
pub fn in_order(mut moments: Vec<Moment>) -> Result<(Vec<Moment>, usize), ChainConflict> {
    moments.sort_by_key(|moment| moment.at);
    let (mut all, mut again): (Vec<Moment>, usize) = (Vec::with_capacity(moments.len()), 0);
    for next in moments {
        match all.last_mut().filter(|last| last.at == next.at) {
            Some(last) => again += last.join(next)?,
            None => all.push(next),
        }
    }
    Ok((all, again))
}

impl Moment {
    /// Takes in another moment of the same instant; how many of its listings were here.
    fn join(&mut self, other: Self) -> Result<usize, ChainConflict> {
        let mut again = 0;
        for (asset, listing) in other.listings {
            match self.listings.get(&asset) {
                None => drop(self.listings.insert(asset, listing)),
                Some(known) => match known.differs(&listing) {
                    None => again += 1,
                    Some(what) => return Err(ChainConflict { asset, at: self.at, what }),
                },
            }
        }
        Ok(again)
    }
}

impl Listing {
    /// The first thing that another chain of the same instant says otherwise.
    fn differs(&self, other: &Self) -> Option<String> {
        if self.index != other.index {
            return Some(format!("an index of {} and of {}", self.index, other.index));
        }
        if self.quotes.len() != other.quotes.len() {
            return Some(format!("{} and {} options", self.quotes.len(), other.quotes.len()));
        }
        let mut pairs = self.quotes.iter().zip(&other.quotes);
        let (one, two) = pairs.find(|(one, two)| one != two)?;
        Some(format!("{} marked at {}, {} at {}", one.instrument, one.mark, two.instrument, two.mark))
    }
}
