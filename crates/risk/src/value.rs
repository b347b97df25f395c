//! What one unit of an instrument is worth on a surface, as it is and under a move.

use crate::set::{Move, Sticky, VolShock, VolShockKind};
use crate::shock::Shocked;
use plimsoll_market::{Surface, SurfaceError, UnderlyingSurface};
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::ln;
use plimsoll_types::{Asset, Contract, Decimal, Instrument, Issue, Reason, Settlement, Timestamp, Units};

/// Quote assets valued at par with the US dollar for profit and loss; a depeg is an add-on, not a price.
const AT_PAR: [&str; 3] = ["USD", "USDC", "USDT"];

/// Value and sensitivities of one long unit of an instrument (a base unit, or a quote unit of an inverse future or
/// perpetual), in the valuation currency.
#[derive(Clone, PartialEq, Debug)]
pub struct Valuation {
    /// Size of a lot in the instrument's quantity unit.
    pub lot: Decimal,
    /// Value that counts as equity: of options and spot; 0 for futures and perpetuals.
    pub mark: f64,
    /// Index price of the underlying.
    pub index: f64,
    /// Forward of the expiry; the mark price of a perpetual; the index of spot.
    pub forward: f64,
    /// Years to expiry; 0 for undated instruments.
    pub tau: f64,
    /// Volatility, of options.
    pub vol: Option<f64>,
    /// Price in the settlement asset: coin for inverse options, else as `mark`; the quoted price of anything else.
    pub price: f64,
    /// Size of one unit at the index price; > 0.
    pub notional: f64,
    /// Sensitivities.
    pub greeks: UnitGreeks,
    /// Funding per 8 hours paid by one long unit (negative: received), valuation currency; `None` for anything but a
    /// perpetual and where the venue states no rate. The arrays hold integers and say 0 for `None`.
    pub funding_8h: Option<f64>,
}

/// Sensitivities of one long unit, valuation currency, raw derivatives as in [`plimsoll_types::GreekTicks`].
///
/// Options: Black-76 at the marked volatility (the smile held at the strike), times spot over forward when inverse.
/// Futures and perpetuals: delta is `F` when linear, `S/F` per quote unit when inverse (the profit settles in coin and
/// is linear in the relative move with that factor), and nothing else.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct UnitGreeks {
    /// `S dV/dS`.
    pub delta: f64,
    /// `S^2 d2V/dS2`.
    pub gamma: f64,
    /// `dV/dvol`.
    pub vega: f64,
    /// `dV/dt` per year.
    pub theta: f64,
    /// `dV/drate`.
    pub rho: f64,
    /// `S d2V/(dS dvol)`.
    pub vanna: f64,
    /// `d2V/dvol2`.
    pub volga: f64,
}

/// The terms of an instrument that matter to its price.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Terms {
    Spot,
    Perpetual { funding_8h: Option<f64>, open_interest: Option<f64> },
    Future,
    Option { kind: OptionKind, strike: f64, expiry: Timestamp },
}

/// An instrument with its market found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resolved<'a> {
    pub(crate) market: &'a UnderlyingSurface,
    pub(crate) terms: Terms,
    /// Settled in coin.
    pub(crate) inverse: bool,
    /// Forward of the expiry, mark of a perpetual, index of spot.
    pub(crate) reference: f64,
    /// Years to expiry; 0 if undated.
    pub(crate) tau: f64,
}

/// The vol shock that leaves everything as it is: used where a move has no vol part.
pub(crate) const STILL: VolShock = VolShock {
    kind: VolShockKind::Relative,
    power_short: 0.0,
    power_long: 0.0,
    dte_floor: 1.0,
    min_vol_up: 0.0,
    skew: None,
    sticky: Sticky::Moneyness,
};

/// Decimal to the nearest float, through its text: the one conversion that rounds correctly.
pub(crate) fn float(x: Decimal) -> Option<f64> {
    x.to_string().parse().ok()
}

fn refused(error: &SurfaceError, instrument: &Instrument) -> Issue {
    let reason = match error {
        SurfaceError::UnknownUnderlying { .. } => Reason::UnknownUnderlying,
        SurfaceError::NoSlice { .. } | SurfaceError::NoSmileNear { .. } => Reason::MissingSmile,
        SurfaceError::Expired { .. } => Reason::Expired,
        SurfaceError::NoForward { .. } => Reason::MissingForward,
        SurfaceError::BadMoneyness { .. } => Reason::NonFinite,
    };
    about(reason, instrument)
}

pub(crate) fn about(reason: Reason, instrument: &Instrument) -> Issue {
    Issue::new(reason, instrument.to_string()).at(instrument.underlying(), instrument.expiry())
}

/// Whether amounts in the quote asset count one for one in the valuation currency.
pub(crate) fn at_par(quote: &Asset, currency: &Asset) -> bool {
    let dollar = |asset: &Asset| AT_PAR.contains(&asset.as_str());
    quote == currency || (dollar(quote) && dollar(currency))
}

impl<'a> Resolved<'a> {
    /// Finds the market of an instrument.
    pub(crate) fn find(
        surface: &'a Surface,
        instrument: &Instrument,
        currency: &Asset,
    ) -> Result<Self, Issue> {
        if !at_par(instrument.quote(), currency) {
            return Err(about(Reason::UnknownInstrument, instrument));
        }
        let market = surface.underlying(instrument.underlying()).map_err(|e| refused(&e, instrument))?;
        let inverse = instrument.settlement() == Settlement::Inverse;
        let (terms, reference) = terms(surface.as_of, market, instrument)?;
        if !(reference > 0.0 && reference.is_finite() && market.index > 0.0 && market.index.is_finite()) {
            let price = if reference > 0.0 && reference.is_finite() { market.index } else { reference };
            return Err(about(Reason::NonPositive, instrument).with(price, Some(0.0)));
        }
        let tau = instrument.expiry().map_or(0.0, |expiry| surface.as_of.years_until(expiry));
        Ok(Self { market, terms, inverse, reference, tau })
    }

    /// The market under a move.
    pub(crate) fn shocked(&self, shock: &VolShock, by: &Move) -> Result<Shocked, f64> {
        Shocked::new(shock, by, self.market.index, (self.reference, self.tau))
    }

    /// Value of one long unit under a shocked market; of futures and perpetuals the profit since now.
    pub(crate) fn value(&self, to: &Shocked) -> Result<f64, SurfaceError> {
        match self.terms {
            Terms::Option { kind, strike, expiry } => {
                let undiscounted = if to.tau > 0.0 {
                    let k = ln(strike / to.forward);
                    let seen = match to.vol.sticky {
                        Sticky::Moneyness => k,
                        Sticky::Strike => ln(strike / self.reference),
                    };
                    let vol = to.vol.apply(self.market.vol(expiry, seen)?, k);
                    black::price(kind, to.forward, strike, vol, to.tau)
                } else {
                    black::intrinsic(kind, to.forward, strike)
                };
                Ok(to.discount * undiscounted * self.coin(to))
            }
            Terms::Spot => Ok(to.spot),
            // The profit `1/F - 1/F'` is in coin, and a coin is then worth `S'`.
            Terms::Perpetual { .. } | Terms::Future if self.inverse => {
                Ok((to.forward / self.reference - 1.0) * self.coin(to))
            }
            Terms::Perpetual { .. } | Terms::Future => Ok(to.forward - self.reference),
        }
    }

    /// Currency per unit of what settles at the forward: `S'/F'` for inverse contracts, which pay `B/F'` or
    /// `(F'/F - 1)/F'` in coin, worth `S'` each; 1 for linear ones.
    pub(crate) fn coin(&self, to: &Shocked) -> f64 {
        if self.inverse { to.spot / to.forward } else { 1.0 }
    }

    /// Contracts open, of a perpetual whose venue states them, in its quantity unit.
    pub(crate) fn open_interest(&self) -> Option<f64> {
        match self.terms {
            Terms::Perpetual { open_interest, .. } => open_interest,
            Terms::Spot | Terms::Future | Terms::Option { .. } => None,
        }
    }

    /// Value of one long unit now.
    pub(crate) fn value_now(&self) -> Result<f64, Issue> {
        let price = |x| Issue::new(Reason::NonPositive, "price").with(x, Some(0.0));
        let now = self.shocked(&STILL, &Move::default()).map_err(price)?;
        self.value(&now).map_err(|e| Issue::new(Reason::FitFailed, e.to_string()))
    }
}

fn terms(
    as_of: Timestamp,
    market: &UnderlyingSurface,
    instrument: &Instrument,
) -> Result<(Terms, f64), Issue> {
    let forward = |expiry| market.forward(as_of, expiry).map_err(|e| refused(&e, instrument));
    if instrument.expiry().is_some_and(|expiry| expiry <= as_of) {
        return Err(about(Reason::Expired, instrument));
    }
    match instrument.contract() {
        Contract::Spot => Ok((Terms::Spot, market.index)),
        Contract::Perpetual => {
            let perp = market.perpetuals.get(instrument);
            let mark = perp.ok_or_else(|| about(Reason::UnknownInstrument, instrument))?;
            let (funding_8h, open_interest) = (mark.funding_8h, mark.open_interest);
            Ok((Terms::Perpetual { funding_8h, open_interest }, mark.price))
        }
        Contract::Future { expiry } => {
            let listed = market.futures.get(instrument).copied();
            Ok((Terms::Future, listed.map_or_else(|| forward(expiry), Ok)?))
        }
        Contract::Option { expiry, strike, kind } => {
            let kind = match kind {
                plimsoll_types::OptionKind::Call => OptionKind::Call,
                plimsoll_types::OptionKind::Put => OptionKind::Put,
            };
            let strike = float(strike).ok_or_else(|| about(Reason::NonFinite, instrument))?;
            let at = forward(expiry)?;
            // A smile must exist before any scenario asks for it.
            market.vol(expiry, ln(strike / at)).map_err(|e| refused(&e, instrument))?;
            Ok((Terms::Option { kind, strike, expiry }, at))
        }
    }
}

/// Values one unit of an instrument: price, forward, volatility and Greeks.
///
/// # Errors
/// An [`Issue`] with a stable reason when the market does not answer: expired, unknown underlying or perpetual, no
/// forward, no smile, or a quote asset that is not at par with the currency.
pub fn value(surface: &Surface, instrument: &Instrument, units: &Units) -> Result<Valuation, Issue> {
    let found = Resolved::find(surface, instrument, &units.currency)?;
    valuation(&found, instrument, units)
}

/// Size of a lot in the instrument's quantity unit.
pub(crate) fn lot(instrument: &Instrument, units: &Units) -> Decimal {
    let size = units.lot_of(instrument.underlying());
    if instrument.sized_in_quote() { size.quote } else { size.base }
}

pub(crate) fn valuation(
    found: &Resolved<'_>,
    instrument: &Instrument,
    units: &Units,
) -> Result<Valuation, Issue> {
    let (index, forward) = (found.market.index, found.reference);
    let value = found.value_now().map_err(|e| Issue { subject: instrument.to_string(), ..e })?;
    let mut made = Valuation {
        lot: lot(instrument, units),
        mark: 0.0,
        index,
        forward,
        tau: found.tau,
        vol: None,
        price: forward,
        notional: if instrument.sized_in_quote() { 1.0 } else { index },
        greeks: UnitGreeks::default(),
        funding_8h: None,
    };
    match found.terms {
        Terms::Spot => {
            made.mark = value;
            made.greeks.delta = index;
        }
        Terms::Future => made.greeks.delta = if found.inverse { index / forward } else { forward },
        Terms::Perpetual { funding_8h, .. } => {
            made.greeks.delta = if found.inverse { index / forward } else { forward };
            made.funding_8h = funding_8h.map(|rate| rate * made.greeks.delta);
        }
        Terms::Option { kind, strike, expiry } => {
            let vol = found.market.vol(expiry, ln(strike / forward)).map_err(|e| refused(&e, instrument))?;
            made.mark = value;
            made.price = if found.inverse { value / index } else { value };
            made.vol = Some(vol);
            made.greeks = option_greeks(found, kind, strike, vol);
        }
    }
    Ok(made)
}

fn option_greeks(found: &Resolved<'_>, kind: OptionKind, strike: f64, vol: f64) -> UnitGreeks {
    let f = found.reference;
    let g = black::greeks(kind, f, strike, vol, found.tau);
    let coin = if found.inverse { found.market.index / f } else { 1.0 };
    UnitGreeks {
        delta: coin * (f * g.delta),
        gamma: coin * (f * f * g.gamma),
        vega: coin * g.vega,
        theta: coin * g.theta,
        rho: coin * g.rho,
        vanna: coin * (f * g.vanna),
        volga: coin * g.volga,
    }
}
