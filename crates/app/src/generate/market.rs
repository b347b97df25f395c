//! A synthetic market: arbitrage-free smiles of our own parameters, quoted as a venue would quote them.

use super::{Draw, GenerateError};
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::exp;
use plimsoll_quant::ssvi::{SsviSlice, power_law_phi};
use plimsoll_types::{
    Asset, Depth, Forward, ForwardSource, FutureQuote, IndexPrice, Instrument, OptionQuote, PerpQuote,
    Settlement, Snapshot, Timestamp, UnderlyingMarket,
};
use std::collections::BTreeMap;

/// What a synthetic market is made from.
#[derive(Clone, PartialEq, Debug)]
pub struct MarketSpec {
    /// The instant the snapshot speaks of.
    pub as_of: Timestamp,
    /// Seed of the noise in quotes.
    pub seed: u64,
    /// The underlyings.
    pub underlyings: Vec<UnderlyingSpec>,
    /// Prices of stable coins: name and USD price.
    pub stables: Vec<(String, f64)>,
}

/// What one underlying is made from.
///
/// Its smiles are SSVI: at-the-money volatility runs from `vol_short` to `vol_long` with `vol_decay` years, and the
/// curvature is the power law with `eta` and `gamma`, so that with `eta (1 + |rho|) <= 2` and `gamma` in (0, 1/2] there is
/// no static arbitrage (Gatheral and Jacquier 2014, remark 4.4).
#[derive(Clone, PartialEq, Debug)]
pub struct UnderlyingSpec {
    /// The part of the names before the first dash: `BTC` for inverse contracts, `SOL_USDC` for linear ones.
    pub pair: String,
    /// Index price, USD.
    pub index: f64,
    /// Continuous carry of the forwards, per year.
    pub carry: f64,
    /// At-the-money volatility as time to expiry goes to zero.
    pub vol_short: f64,
    /// At-the-money volatility far out.
    pub vol_long: f64,
    /// Time constant between the two, years.
    pub vol_decay: f64,
    /// Correlation of the smile, below zero when puts are dear.
    pub rho: f64,
    /// Scale of the curvature.
    pub eta: f64,
    /// Exponent of the curvature.
    pub gamma: f64,
    /// Expiries of the options, as written in names: `27MAR26`.
    pub expiries: Vec<String>,
    /// Which of them have a future.
    pub futures: Vec<String>,
    /// Steps between strikes, finest first, USD.
    pub strike_steps: Vec<f64>,
    /// Quote units resting within 1 % of mid on either side.
    pub depth: f64,
}

impl MarketSpec {
    /// The bundled market: BTC and ETH inverse, SOL linear, on 15 January 2026.
    pub fn bundled() -> Self {
        Self {
            as_of: Timestamp::from_seconds(1_768_471_200),
            seed: 20_260_115,
            underlyings: vec![bitcoin(), ether(), sol()],
            stables: vec![("USDC".to_owned(), 0.9999), ("USDT".to_owned(), 0.9994)],
        }
    }
}

fn dates(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn bitcoin() -> UnderlyingSpec {
    UnderlyingSpec {
        pair: "BTC".to_owned(),
        index: 96_400.0,
        carry: 0.045,
        vol_short: 0.41,
        vol_long: 0.50,
        vol_decay: 0.35,
        rho: -0.22,
        eta: 1.25,
        gamma: 0.42,
        expiries: dates(&["16JAN26", "23JAN26", "30JAN26", "27FEB26", "27MAR26", "26JUN26", "25SEP26"]),
        futures: dates(&["30JAN26", "27FEB26", "27MAR26", "26JUN26", "25SEP26"]),
        strike_steps: vec![500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0],
        depth: 38.0e6,
    }
}

fn ether() -> UnderlyingSpec {
    UnderlyingSpec {
        pair: "ETH".to_owned(),
        index: 3_310.0,
        carry: 0.037,
        vol_short: 0.60,
        vol_long: 0.67,
        vol_decay: 0.4,
        rho: -0.12,
        eta: 1.2,
        gamma: 0.40,
        expiries: dates(&["16JAN26", "23JAN26", "30JAN26", "27FEB26", "27MAR26", "26JUN26", "25SEP26"]),
        futures: dates(&["30JAN26", "27FEB26", "27MAR26", "26JUN26"]),
        strike_steps: vec![25.0, 50.0, 100.0, 200.0, 500.0],
        depth: 21.0e6,
    }
}

fn sol() -> UnderlyingSpec {
    UnderlyingSpec {
        pair: "SOL_USDC".to_owned(),
        index: 142.5,
        carry: 0.05,
        vol_short: 0.76,
        vol_long: 0.80,
        vol_decay: 0.3,
        rho: -0.05,
        eta: 1.1,
        gamma: 0.38,
        expiries: dates(&["16JAN26", "23JAN26", "30JAN26", "27FEB26", "27MAR26"]),
        futures: vec![],
        strike_steps: vec![1.0, 2.0, 5.0, 10.0, 20.0],
        depth: 4.5e6,
    }
}

/// The snapshot of a spec: the same bytes for the same spec.
///
/// ```
/// use plimsoll_app::generate::{MarketSpec, market};
/// let snapshot = market(&MarketSpec::bundled())?;
/// assert_eq!(snapshot.underlyings.len(), 3);
/// # Ok::<(), plimsoll_app::generate::GenerateError>(())
/// ```
///
/// # Errors
/// [`GenerateError`] where a name in the spec makes no instrument, or one that has expired.
pub fn market(spec: &MarketSpec) -> Result<Snapshot, GenerateError> {
    let mut underlyings = BTreeMap::new();
    for (index, underlying) in spec.underlyings.iter().enumerate() {
        let perpetual: Instrument = format!("{}-PERPETUAL", underlying.pair).parse()?;
        let draw = Draw::new(spec.seed.wrapping_add(index as u64));
        let mut quoting = Quoting { as_of: spec.as_of, spec: underlying, draw };
        underlyings.insert(perpetual.underlying().clone(), quoting.market(perpetual)?);
    }
    let mut assets = BTreeMap::new();
    for (name, price) in &spec.stables {
        assets.insert(Asset::new(name)?, index_price(*price, 2e-4, "synthetic", spec.as_of));
    }
    Ok(Snapshot { as_of: spec.as_of, underlyings, assets })
}

fn index_price(price: f64, confidence: f64, source: &str, time: Timestamp) -> IndexPrice {
    let confidence = Some(rounded(price * confidence, 1e6));
    IndexPrice { price, confidence, source: source.to_owned(), time }
}

/// To the nearest multiple of `1/per_unit`.
fn rounded(x: f64, per_unit: f64) -> f64 {
    (x * per_unit).round() / per_unit
}

/// The quoting of one underlying.
struct Quoting<'a> {
    as_of: Timestamp,
    spec: &'a UnderlyingSpec,
    draw: Draw,
}

/// One expiry of it.
struct Expiry<'a> {
    date: &'a str,
    at: Timestamp,
    tau: f64,
    forward: f64,
    smile: SsviSlice,
}

impl Quoting<'_> {
    fn market(&mut self, perpetual: Instrument) -> Result<UnderlyingMarket, GenerateError> {
        let spec = self.spec;
        let expiries: Vec<Expiry<'_>> =
            spec.expiries.iter().map(|date| self.expiry(date)).collect::<Result<_, _>>()?;
        let mut options = Vec::new();
        let mut futures = Vec::new();
        for expiry in &expiries {
            if spec.futures.iter().any(|date| date == expiry.date) {
                futures.push(self.future(expiry)?);
            }
            for strike in self.strikes(expiry) {
                options.push(self.option(expiry, strike, OptionKind::Call)?);
                options.push(self.option(expiry, strike, OptionKind::Put)?);
            }
        }
        Ok(UnderlyingMarket {
            index: self.index(),
            forwards: expiries.iter().map(|expiry| self.forward(expiry)).collect(),
            futures,
            perpetuals: vec![self.perpetual(perpetual)],
            options,
            depth: Some(Depth {
                bid_quote: spec.depth,
                ask_quote: rounded(spec.depth * self.draw.between(0.85, 1.1), 1.0),
                within: 0.01,
                time: self.as_of,
            }),
            ..UnderlyingMarket::default()
        })
    }

    /// Three sources around the index, the median of which is the index.
    fn index(&mut self) -> Vec<IndexPrice> {
        let around = |factor: f64| rounded(self.spec.index * factor, 100.0);
        [("synthetic-a", 0.9998), ("synthetic-b", 1.0), ("synthetic-c", 1.0001)]
            .map(|(source, factor)| index_price(around(factor), 3e-4, source, self.as_of))
            .to_vec()
    }

    fn expiry<'b>(&self, date: &'b str) -> Result<Expiry<'b>, GenerateError> {
        let dated: Instrument = format!("{}-{date}", self.spec.pair).parse()?;
        let expired = || GenerateError::Expired { name: dated.to_string(), as_of: self.as_of.to_string() };
        let at = dated.expiry().filter(|at| *at > self.as_of).ok_or_else(expired)?;
        let tau = self.as_of.years_until(at);
        let spec = self.spec;
        let vol = spec.vol_long + (spec.vol_short - spec.vol_long) * exp(-tau / spec.vol_decay);
        let theta = vol * vol * tau;
        let smile = SsviSlice { theta, rho: spec.rho, phi: power_law_phi(spec.eta, spec.gamma, theta) };
        Ok(Expiry { date, at, tau, forward: rounded(spec.index * exp(spec.carry * tau), 100.0), smile })
    }

    fn forward(&self, expiry: &Expiry<'_>) -> Forward {
        let source = ForwardSource::Venue;
        Forward { expiry: expiry.at, price: expiry.forward, source, time: self.as_of }
    }

    /// Strikes within three standard deviations, at the finest step that needs at most 30 of them.
    fn strikes(&self, expiry: &Expiry<'_>) -> Vec<f64> {
        let width = 3.0 * expiry.smile.theta.sqrt().max(0.035);
        let (low, high) = (expiry.forward * exp(-width), expiry.forward * exp(width));
        let steps = &self.spec.strike_steps;
        let fits = |step: &&f64| (high - low) / **step <= 30.0;
        let step = steps.iter().find(fits).or(steps.last()).copied().unwrap_or(high - low);
        let mut strikes = Vec::new();
        let mut strike = (low / step).ceil() * step;
        while strike <= high {
            strikes.push(strike);
            strike += step;
        }
        strikes
    }

    fn future(&mut self, expiry: &Expiry<'_>) -> Result<FutureQuote, GenerateError> {
        let half = expiry.forward * 1.5e-4;
        Ok(FutureQuote {
            instrument: format!("{}-{}", self.spec.pair, expiry.date).parse()?,
            mark: Some(expiry.forward),
            bid: Some(rounded(expiry.forward - half, 2.0)),
            ask: Some(rounded(expiry.forward + half, 2.0)),
            open_interest: Some(self.open_interest(2e6, 4e7)),
            time: self.as_of,
        })
    }

    /// Contracts open between two amounts in dollars, in the quantity unit: dollars of inverse contracts, coins of linear
    /// ones.
    fn open_interest(&mut self, low: f64, high: f64) -> f64 {
        let dollars = self.draw.between(low, high);
        rounded(if self.spec.pair.contains('_') { dollars / self.spec.index } else { dollars }, 0.1)
    }

    fn perpetual(&mut self, instrument: Instrument) -> PerpQuote {
        let mark = rounded(self.spec.index * (1.0 + self.draw.between(-2e-4, 4e-4)), 100.0);
        PerpQuote {
            instrument,
            mark: Some(mark),
            bid: Some(rounded(mark * 0.99995, 100.0)),
            ask: Some(rounded(mark * 1.00005, 100.0)),
            funding_8h: Some(rounded(self.draw.between(-2e-5, 1.2e-4), 1e7)),
            open_interest: Some(self.open_interest(1e8, 6e8)),
            time: self.as_of,
        }
    }

    /// An option quoted as a venue would: a spread that widens away from the money, prices on ticks, and in the wings
    /// sometimes nobody who bids.
    fn option(
        &mut self,
        expiry: &Expiry<'_>,
        strike: f64,
        kind: OptionKind,
    ) -> Result<OptionQuote, GenerateError> {
        let side = if kind == OptionKind::Call { "C" } else { "P" };
        let instrument: Instrument = format!("{}-{}-{strike}-{side}", self.spec.pair, expiry.date).parse()?;
        let inverse = instrument.settlement() == Settlement::Inverse;
        let k = plimsoll_quant::special::ln(strike / expiry.forward);
        let vol = (expiry.smile.w(k) / expiry.tau).sqrt();
        let greeks = black::greeks(kind, expiry.forward, strike, vol, expiry.tau);
        let unit = if inverse { expiry.forward } else { 1.0 };
        let reach = k.abs() / expiry.smile.theta.sqrt();
        let half_vol = (0.006 + 0.004 * reach) * self.draw.between(0.7, 1.4);
        let skewed = vol + self.draw.between(-0.15, 0.15) * half_vol;
        let price = |vol: f64| black::price(kind, expiry.forward, strike, vol, expiry.tau) / unit;
        let nobody_bids = greeks.delta.abs() < 0.02 && self.draw.chance(0.5);
        let bid = if skewed > half_vol { below(price(skewed - half_vol), inverse) } else { None };
        Ok(OptionQuote {
            bid: bid.filter(|_| !nobody_bids),
            ask: Some(above(price(skewed + half_vol), inverse)),
            mark: Some(rounded(price(vol), if inverse { 1e6 } else { 1e4 })),
            mark_vol: Some(rounded(vol, 1e4)),
            forward: None,
            open_interest: Some(rounded(self.draw.between(1.0, 900.0) * exp(-0.5 * reach), 10.0)),
            time: self.as_of,
            instrument,
        })
    }
}

/// Steps and steps per unit of prices: finer below fifty fine steps, as venues have it.
fn tick(price: f64, inverse: bool) -> (f64, f64) {
    let fine = if inverse { 1e4 } else { 1e2 };
    if price * fine < 50.0 { (1.0, fine) } else { (5.0, fine) }
}

/// The tick at or beneath a price; none where that is nothing.
fn below(price: f64, inverse: bool) -> Option<f64> {
    let (step, per_unit) = tick(price, inverse);
    let ticks = (price * per_unit / step).floor();
    (ticks > 0.0).then_some(ticks * step / per_unit)
}

/// The first tick above a price.
fn above(price: f64, inverse: bool) -> f64 {
    let (step, per_unit) = tick(price, inverse);
    ((price * per_unit / step).floor() + 1.0) * step / per_unit
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_quant::ssvi::check_surface;

    fn slices(spec: &UnderlyingSpec, as_of: Timestamp) -> Vec<SsviSlice> {
        let quoting = Quoting { as_of, spec, draw: Draw::new(0) };
        spec.expiries.iter().map(|date| quoting.expiry(date).unwrap().smile).collect()
    }

    #[test]
    fn the_bundled_surfaces_have_no_static_arbitrage() {
        let spec = MarketSpec::bundled();
        for underlying in &spec.underlyings {
            assert_eq!(check_surface(&slices(underlying, spec.as_of)), Ok(()), "{}", underlying.pair);
        }
    }

    #[test]
    fn the_bundled_snapshot_is_the_same_every_time_and_its_quotes_are_sound() {
        let spec = MarketSpec::bundled();
        let snapshot = market(&spec).unwrap();
        assert_eq!(snapshot, market(&spec).unwrap());
        assert_eq!(snapshot.as_of.to_string(), "2026-01-15T10:00:00Z");
        let mut without_bid = 0;
        for (asset, underlying) in &snapshot.underlyings {
            assert!(underlying.options.len() > 100, "{asset}: {} options", underlying.options.len());
            for quote in &underlying.options {
                let (ask, mark) = (quote.ask.unwrap(), quote.mark.unwrap());
                assert!(quote.bid.is_none_or(|bid| bid < ask && bid > 0.0), "{}", quote.instrument);
                assert!(mark >= 0.0 && mark <= ask, "{}: mark {mark}, ask {ask}", quote.instrument);
                without_bid += usize::from(quote.bid.is_none());
            }
        }
        assert!(without_bid > 20, "{without_bid} options without a bid");
    }

    #[test]
    fn the_listing_holds_the_contract_named_in_the_manual() {
        let snapshot = market(&MarketSpec::bundled()).unwrap();
        let options = &snapshot.underlyings[&Asset::new("BTC").unwrap()].options;
        assert!(options.iter().any(|quote| quote.instrument.to_string() == "BTC-27MAR26-100000-C"));
    }

    #[test]
    fn a_date_that_has_passed_is_refused() {
        let mut spec = MarketSpec::bundled();
        spec.underlyings[0].expiries[0] = "14JAN26".to_owned();
        assert!(matches!(market(&spec), Err(GenerateError::Expired { .. })));
    }
}
