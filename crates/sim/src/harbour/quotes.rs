//! What a venue would quote: smiles free of arbitrage, with a spread on both sides, on ticks.

use super::coin::{Coin, Expiry, Shape, Strike};
use super::draw::Draw;
use super::sea::Water;
use plimsoll_quant::black::{self, OptionKind as Kind};
use plimsoll_quant::special::{exp, ln};
use plimsoll_quant::ssvi::{SsviSlice, power_law_phi};
use plimsoll_types::{
    Forward, ForwardSource, FutureQuote, Instrument, OptionKind, OptionQuote, PerpQuote, Timestamp,
    UnderlyingMarket,
};

/// Time constant of volatility between its short and its long end, years.
const DECAY: f64 = 0.12;
/// What of a swell at the short end reaches the long one.
const LONG_SHARE: f64 = 0.35;

/// One underlying at an instant, as everybody sees it.
#[derive(Clone, Copy)]
pub(super) struct Sight<'a> {
    pub(super) coin: &'a Coin,
    pub(super) at: Timestamp,
    /// Index price, USD.
    pub(super) price: f64,
    pub(super) swell: f64,
    pub(super) depth: f64,
}

impl<'a> Sight<'a> {
    /// The underlying at a place of the list.
    pub(super) fn new(coin: &'a Coin, place: usize, water: &Water, at: Timestamp) -> Self {
        let price = water.prices.get(place).copied().unwrap_or(coin.shape.price);
        Self { coin, at, price, swell: water.swell, depth: water.depth }
    }

    fn shape(&self) -> &'a Shape {
        &self.coin.shape
    }

    /// Forward of an instant, USD. In a storm nobody pays for carry.
    fn forward(&self, expiry: Timestamp) -> f64 {
        let carry = self.shape().carry * (1.0 - 0.6 * (self.swell - 1.0).clamp(0.0, 2.0));
        self.price * exp(carry * self.at.years_until(expiry).max(0.0))
    }

    fn smile(&self, expiry: Timestamp) -> (SsviSlice, f64) {
        let shape = self.shape();
        let tau = self.at.years_until(expiry).max(1e-6);
        let short = 0.97 * shape.vol * self.swell;
        let long = 1.06 * shape.vol * (1.0 + LONG_SHARE * (self.swell - 1.0));
        let vol = long + (short - long) * exp(-tau / DECAY);
        let theta = vol * vol * tau;
        let rho = shape.rho - 0.16 * (self.swell - 1.0).clamp(0.0, 2.5);
        (SsviSlice { theta, rho, phi: power_law_phi(shape.eta, shape.gamma, theta) }, tau)
    }

    /// Price, volatility and delta of an option.
    fn valued(&self, expiry: Timestamp, strike: f64, kind: Kind) -> (f64, f64, f64) {
        let (forward, (smile, tau)) = (self.forward(expiry), self.smile(expiry));
        let vol = (smile.w(ln(strike / forward)) / tau).sqrt();
        let greeks = black::greeks(kind, forward, strike, vol, tau);
        (greeks.price, vol, greeks.delta)
    }

    /// What one unit is worth, USD: the price of anything listed.
    pub(super) fn worth(&self, instrument: &Instrument) -> f64 {
        match (instrument.option(), instrument.expiry()) {
            (Some((strike, kind)), Some(expiry)) => {
                self.valued(expiry, plimsoll_types::nearest_f64(strike), black_kind(kind)).0
            }
            (None, Some(expiry)) => self.forward(expiry),
            _ => self.price * (1.0 + self.premium()),
        }
    }

    /// Coins that one unit moves with.
    pub(super) fn delta(&self, instrument: &Instrument) -> f64 {
        match (instrument.option(), instrument.expiry()) {
            (Some((strike, kind)), Some(expiry)) => {
                self.valued(expiry, plimsoll_types::nearest_f64(strike), black_kind(kind)).2
            }
            _ => 1.0,
        }
    }

    /// Half of the spread of futures and perpetuals, a share.
    pub(super) fn half_spread(&self) -> f64 {
        1e-4 / self.depth.max(0.02)
    }

    /// Perpetual over index: a little above in calm, beneath in a crash.
    fn premium(&self) -> f64 {
        2e-4 - 6e-4 * (self.swell - 1.0).clamp(0.0, 2.0)
    }

    /// Funding of eight hours, a share of the notional.
    pub(super) fn funding(&self) -> f64 {
        0.5 * self.premium()
    }

    /// The chain as quoted.
    pub(super) fn chain(&self, draw: &mut Draw) -> UnderlyingMarket {
        let (time, coin) = (self.at, self.coin);
        let forwards = coin.expiries.iter().filter(|e| e.at > time).map(|expiry| Forward {
            expiry: expiry.at,
            price: self.forward(expiry.at),
            source: ForwardSource::Venue,
            time,
        });
        let live = coin.expiries.iter().filter(|e| e.at > time);
        let options = live.flat_map(|expiry| expiry.strikes.iter().map(move |strike| (expiry, strike)));
        let options: Vec<OptionQuote> = options.flat_map(|of| self.pair(of, draw)).collect();
        UnderlyingMarket {
            index: Vec::new(),
            forwards: forwards.collect(),
            futures: vec![self.future()],
            perpetuals: vec![self.perpetual()],
            options,
            depth: None,
            pool: None,
            sentiment: None,
            external: Vec::new(),
        }
    }

    fn future(&self) -> FutureQuote {
        let (instrument, expiry) = self.coin.future.clone();
        let mark = self.forward(expiry);
        let half = 2.0 * self.half_spread() * mark;
        FutureQuote {
            instrument,
            mark: Some(mark),
            bid: Some(mark - half),
            ask: Some(mark + half),
            open_interest: None,
            time: self.at,
        }
    }

    fn perpetual(&self) -> PerpQuote {
        let mark = self.worth(&self.coin.perpetual);
        let half = self.half_spread() * mark;
        PerpQuote {
            instrument: self.coin.perpetual.clone(),
            mark: Some(mark),
            bid: Some(mark - half),
            ask: Some(mark + half),
            funding_8h: Some(self.funding()),
            open_interest: None,
            time: self.at,
        }
    }

    fn pair(&self, (expiry, strike): (&Expiry, &Strike), draw: &mut Draw) -> [OptionQuote; 2] {
        let (smile, tau) = self.smile(expiry.at);
        let forward = self.forward(expiry.at);
        let k = ln(strike.price / forward);
        let vol = (smile.w(k) / tau).sqrt();
        let reach = k.abs() / smile.theta.sqrt();
        // Spreads are of volatility; a thin market quotes wide.
        let half =
            (0.006 + 0.003 * reach.min(4.0)) * draw.between(0.7, 1.3) * (0.8 + 0.2 / self.depth.max(0.05));
        let middle = vol + draw.between(-0.15, 0.15) * half;
        [(Kind::Call, &strike.call), (Kind::Put, &strike.put)].map(|(kind, instrument)| {
            let price = |vol: f64| black::price(kind, forward, strike.price, vol, tau);
            let tick = self.tick();
            let low = if middle > half { price(middle - half) } else { 0.0 };
            let bid = (low / tick).floor() * tick;
            OptionQuote {
                instrument: instrument.clone(),
                bid: (bid > 0.0).then_some(bid),
                ask: Some(((price(middle + half) / tick).floor() + 1.0) * tick),
                mark: Some(price(vol)),
                mark_vol: Some(vol),
                forward: None,
                open_interest: None,
                time: self.at,
            }
        })
    }

    /// Step of option prices, USD: about half a basis point of the coin, a power of ten.
    fn tick(&self) -> f64 {
        match self.price {
            p if p > 10_000.0 => 1.0,
            p if p > 1_000.0 => 0.1,
            p if p > 10.0 => 0.001,
            _ => 0.0001,
        }
    }
}

fn black_kind(kind: OptionKind) -> Kind {
    match kind {
        OptionKind::Call => Kind::Call,
        OptionKind::Put => Kind::Put,
    }
}
