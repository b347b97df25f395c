//! What is traded: four underlyings, each with options of six expiries, a perpetual and a dated future.

use super::spec::HarbourError;
use plimsoll_types::{Asset, Instrument, Timestamp};
use std::collections::BTreeSet;

/// The currency of account, and the stable coin beside it.
pub(super) const DOLLAR: &str = "USD";
/// The stable coin that some put down.
pub(super) const STABLE: &str = "USDC";
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// Options settle at this hour of the day, UTC, seconds.
const SETTLES: i64 = 8 * 3_600;

/// What an underlying is like. Volatilities are annualised decimals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    /// Index price when the story begins, USD.
    pub(super) price: f64,
    /// Usual volatility.
    pub(super) vol: f64,
    /// Loading on what moves all of them.
    pub(super) loading: f64,
    /// How far it falls in the crash, a share of its price.
    pub(super) fall: f64,
    /// Of its forwards, per year.
    pub(super) carry: f64,
    /// Correlation of its smile in calm.
    pub(super) rho: f64,
    /// Scale and exponent of the curvature of its smile: `eta (1 + |rho|) <= 2` and `gamma` in (0, 1/2], so there is no static
    /// arbitrage (Gatheral and Jacquier 2014, remark 4.4).
    pub(super) eta: f64,
    pub(super) gamma: f64,
    /// Quote units within 1 % of the middle, both sides' lesser.
    pub(super) depth: f64,
    /// Who states its price.
    pub(super) sources: &'static [&'static str],
    /// Whether the coin itself may be put down.
    pub(super) collateral: bool,
    /// Base units of a lot, as written in parameter sets.
    pub(super) lot: &'static str,
}

/// Venues whose depth is told, as policies name them.
pub(super) const VENUES: [&str; 5] = ["binance", "coinbase", "okx", "bybit", "kraken"];
/// Who states prices.
const FIVE: [&str; 5] = ["beacon", "buoy", "lantern", "lighthouse", "semaphore"];
const THREE: [&str; 3] = ["beacon", "buoy", "lighthouse"];

/// The four.
pub(super) const SHAPES: [Shape; 4] = [
    Shape {
        name: "BTC",
        price: 96_400.0,
        vol: 0.46,
        loading: 0.95,
        fall: 0.185,
        carry: 0.045,
        rho: -0.20,
        eta: 1.10,
        gamma: 0.42,
        depth: 38.0e6,
        sources: &FIVE,
        collateral: true,
        lot: "0.001",
    },
    Shape {
        name: "ETH",
        price: 3_310.0,
        vol: 0.62,
        loading: 0.93,
        fall: 0.215,
        carry: 0.037,
        rho: -0.14,
        eta: 1.05,
        gamma: 0.40,
        depth: 21.0e6,
        sources: &FIVE,
        collateral: true,
        lot: "0.001",
    },
    Shape {
        name: "SOL",
        price: 142.5,
        vol: 0.76,
        loading: 0.88,
        fall: 0.24,
        carry: 0.05,
        rho: -0.08,
        eta: 1.05,
        gamma: 0.38,
        depth: 4.5e6,
        sources: &THREE,
        collateral: true,
        lot: "0.1",
    },
    Shape {
        name: "XRP",
        price: 2.35,
        vol: 0.80,
        loading: 0.85,
        fall: 0.235,
        carry: 0.04,
        rho: -0.05,
        eta: 1.05,
        gamma: 0.38,
        depth: 2.5e6,
        sources: &THREE,
        collateral: false,
        lot: "10",
    },
];

/// Options of one strike.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Strike {
    pub(super) price: f64,
    pub(super) call: Instrument,
    pub(super) put: Instrument,
}

/// Options of one expiry, strikes rising.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Expiry {
    pub(super) at: Timestamp,
    pub(super) strikes: Vec<Strike>,
}

/// An underlying and what is listed of it.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Coin {
    pub(super) shape: Shape,
    pub(super) asset: Asset,
    pub(super) perpetual: Instrument,
    /// The dated future, and when it settles.
    pub(super) future: (Instrument, Timestamp),
    pub(super) expiries: Vec<Expiry>,
}

impl Coin {
    /// What is listed at an instant: options of the second next day and of [`fridays`].
    pub(super) fn listed(shape: Shape, start: Timestamp) -> Result<Self, HarbourError> {
        let day = start.seconds().div_euclid(DAY);
        let mut days = fridays(day, day + 2);
        days.insert(day + 2);
        Self::quoted((shape, shape.price), &days, start, &WIDE)
    }

    /// What is quoted on a day of the past, at its price: few strikes.
    pub(super) fn past(shape: Shape, price: f64, now: Timestamp) -> Result<Self, HarbourError> {
        let day = now.seconds().div_euclid(DAY);
        Self::quoted((shape, price), &fridays(day, day), now, &NARROW)
    }

    fn quoted(
        (shape, price): (Shape, f64),
        days: &BTreeSet<i64>,
        now: Timestamp,
        reach: &[(f64, f64)],
    ) -> Result<Self, HarbourError> {
        let pair = format!("{}_{STABLE}", shape.name);
        let expiries = days.iter().map(|day| Expiry::new((&pair, price, shape.vol), at(*day), now, reach));
        let expiries = expiries.collect::<Result<Vec<_>, _>>()?;
        let last = days.last().copied().map_or(now, at);
        Ok(Self {
            asset: Asset::new(shape.name)?,
            perpetual: format!("{pair}-PERPETUAL").parse()?,
            future: (format!("{pair}-{}", written(last)).parse()?, last),
            expiries,
            shape,
        })
    }

    /// Everything listed.
    pub(super) fn instruments(&self) -> Vec<Instrument> {
        let options = self.expiries.iter().flat_map(|expiry| &expiry.strikes);
        let options = options.flat_map(|strike| [strike.call.clone(), strike.put.clone()]);
        [self.perpetual.clone(), self.future.0.clone()].into_iter().chain(options).collect()
    }
}

/// Where strikes lie, in log-moneyness: so many usual deviations, and at least so far.
const WIDE: [(f64, f64); 12] = [
    (-2.9, 0.28),
    (-2.5, 0.20),
    (-2.1, 0.13),
    (-1.7, 0.075),
    (-1.2, 0.0),
    (-0.8, 0.0),
    (-0.4, 0.0),
    (0.0, 0.0),
    (0.4, 0.0),
    (0.8, 0.0),
    (1.3, 0.0),
    (2.0, 0.09),
];
/// The same of the past.
const NARROW: [(f64, f64); 7] =
    [(-1.6, 0.0), (-1.0, 0.0), (-0.5, 0.0), (0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (1.6, 0.0)];

impl Expiry {
    fn new(
        (pair, spot, vol): (&str, f64, f64),
        at: Timestamp,
        now: Timestamp,
        reach: &[(f64, f64)],
    ) -> Result<Self, HarbourError> {
        let deviation = vol * now.years_until(at).max(0.0).sqrt();
        let mut strikes: Vec<Strike> = Vec::new();
        for (deviations, least) in reach {
            let distance = (deviations * deviation).abs();
            let distance = if distance > *least { distance } else { *least };
            let k = if *deviations < 0.0 { -distance } else { distance };
            let price = tidy(spot * plimsoll_quant::special::exp(k), 0.4 * deviation * spot);
            if strikes.last().is_some_and(|last| price <= last.price) {
                continue;
            }
            let name = format!("{pair}-{}-{}", written(at), format!("{price}").replace('.', "d"));
            strikes.push(Strike {
                price,
                call: format!("{name}-C").parse()?,
                put: format!("{name}-P").parse()?,
            });
        }
        Ok(Self { at, strikes })
    }
}

/// Days, counted from the epoch, on which options expire that are quoted on a day, from the soonest on: the Fridays of two weeks, and
/// every fourth one for a quarter. One that is quoted stays so until it expires, so that no smile is left behind.
fn fridays(day: i64, soonest: i64) -> BTreeSet<i64> {
    // The epoch was a Thursday.
    let first = day + (1 - day).rem_euclid(7);
    let all = (0..16).map(|week| first + 7 * week).filter(|friday| *friday >= soonest);
    all.filter(|friday| *friday <= day + 14 || friday.rem_euclid(28) == 1 && *friday <= day + 100).collect()
}

/// The settlement of a day.
fn at(day: i64) -> Timestamp {
    Timestamp::from_seconds(day * DAY + SETTLES)
}

/// A date as names have it: `27MAR26`.
fn written(at: Timestamp) -> String {
    const MONTHS: [&str; 12] =
        ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    let (year, month, day) = at.date();
    let month = usize::try_from(month).ok().and_then(|m| MONTHS.get(m.saturating_sub(1))).unwrap_or(&"JAN");
    format!("{day}{month}{:02}", year.rem_euclid(100))
}

/// To a multiple of the largest tidy step (1, 2 or 5 times a power of ten) that is at most half of a distance.
fn tidy(price: f64, distance: f64) -> f64 {
    const STEPS: [f64; 21] = [
        10_000.0, 5_000.0, 2_000.0, 1_000.0, 500.0, 200.0, 100.0, 50.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2,
        0.1, 0.05, 0.02, 0.01, 0.005, 0.002,
    ];
    let step = STEPS.iter().find(|step| **step <= 0.5 * distance).copied().unwrap_or(0.001);
    let whole = (price / step).round();
    // Dividing by a whole number leaves the nearest float to the decimal, so that it prints as one.
    if step < 1.0 { whole / (1.0 / step).round() } else { whole * step }
}
