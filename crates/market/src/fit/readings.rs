//! One quote of an option as a volatility with an error, many at a time.

use super::FitParams;
use super::quotes::Point;
use plimsoll_quant::black::{OptionKind as Kind, greeks};
use plimsoll_quant::implied::{ImpliedVolError, implied_vol};
use plimsoll_quant::special::ln;
use plimsoll_types::{Decimal, OptionKind, OptionQuote, Reason, Settlement};

/// Why a quote is no use: the reason, and the number that was too much with its limit.
pub(super) type Trouble = (Reason, Option<(f64, Option<f64>)>);

/// One quote and the forward it was made on.
pub(super) struct Reading<'a> {
    pub(super) quote: &'a OptionQuote,
    /// The strike as listed, and as a float.
    pub(super) listed: Decimal,
    strike: f64,
    kind: Kind,
    forward: f64,
    pub(super) out_of_the_money: bool,
}

/// Volatilities of bid, ask and mark, where there is a price.
#[derive(Clone, Copy)]
struct Sides {
    bid: Option<Result<f64, Trouble>>,
    ask: Option<Result<f64, Trouble>>,
    mark: Option<f64>,
}

/// The points that readings make, in the same order.
///
/// # Errors
/// Per reading, why it makes none.
pub(super) fn points<'a>(
    readings: &[&Reading<'a>],
    tau: f64,
    params: &FitParams,
) -> Vec<Result<Point<'a>, Trouble>> {
    readings.iter().map(|reading| reading.point(reading.sides(tau, params.vol_max), tau, params)).collect()
}

impl<'a> Reading<'a> {
    pub(super) fn new(
        quote: &'a OptionQuote,
        (listed, strike): (Decimal, f64),
        kind: OptionKind,
        forward: f64,
    ) -> Self {
        let forward = quote.forward.unwrap_or(forward);
        let (kind, out_of_the_money) = match kind {
            OptionKind::Call => (Kind::Call, strike >= forward),
            OptionKind::Put => (Kind::Put, strike < forward),
        };
        Self { quote, listed, strike, kind, forward, out_of_the_money }
    }

    fn sides(&self, tau: f64, most: f64) -> Sides {
        let quote = self.quote;
        Sides {
            bid: quote.bid.map(|p| self.vol(p, tau, most)),
            ask: quote.ask.map(|p| self.vol(p, tau, most)),
            mark: quote.mark_vol.or_else(|| quote.mark.and_then(|p| self.vol(p, tau, most).ok())),
        }
    }

    /// Volatility of a price in the settlement asset.
    ///
    /// # Errors
    /// No volatility, or one above `most`.
    fn vol(&self, price: f64, tau: f64, most: f64) -> Result<f64, Trouble> {
        let unit = match self.quote.instrument.settlement() {
            Settlement::Linear => 1.0,
            Settlement::Inverse => self.forward,
        };
        let vol = implied_vol(self.kind, price * unit, self.forward, self.strike, tau).map_err(|e| {
            let reason = match e {
                ImpliedVolError::BelowIntrinsic { .. } => Reason::BelowIntrinsic,
                ImpliedVolError::AboveBound { .. } => Reason::AboveBound,
                ImpliedVolError::NonFinite { .. } => Reason::NonFinite,
                _ => Reason::Unrecoverable,
            };
            (reason, Some((price, None)))
        })?;
        if vol > most { Err((Reason::Outlier, Some((vol, Some(most))))) } else { Ok(vol) }
    }

    /// The error of a volatility: its own, and the rounding of prices over vega, in squares.
    fn error_of(&self, vol: f64, own: f64, (tau, price_error): (f64, f64)) -> f64 {
        let vega = greeks(self.kind, self.forward, self.strike, vol, tau).vega;
        let rounding = price_error * self.forward / vega;
        (own * own + rounding * rounding).sqrt()
    }

    fn point(&self, sides: Sides, tau: f64, params: &FitParams) -> Result<Point<'a>, Trouble> {
        let rounding = (tau, params.price_error);
        let point = |vol, error, two_sided| Point {
            instrument: Some(&self.quote.instrument),
            strike: self.strike,
            k: ln(self.strike / self.forward),
            bid_vol: sides.bid.and_then(Result::ok),
            ask_vol: sides.ask.and_then(Result::ok),
            mark_vol: sides.mark,
            vol,
            error,
            two_sided,
            outlier: false,
        };
        let mut trouble: Trouble = (Reason::MissingQuote, None);
        match (sides.bid, sides.ask) {
            (Some(Ok(bid)), Some(Ok(ask))) => {
                let (spread, middle) = (ask - bid, 0.5 * (bid + ask));
                let limit = params.spread_vol_max.max(params.spread_share_max * middle);
                if spread <= limit {
                    let own = (0.25 * spread * spread + params.mid_error * params.mid_error).sqrt();
                    let error = self.error_of(middle, own, rounding);
                    let error_max = limit.max(params.mark_error_max);
                    if error <= error_max {
                        return Ok(point(middle, error, true));
                    }
                    return Err((Reason::Imprecise, Some((error, Some(error_max)))));
                }
                trouble = (Reason::Outlier, Some((spread, Some(limit))));
            }
            (Some(Err(why)), _) | (_, Some(Err(why))) => trouble = why,
            _ => {}
        }
        let Some(vol) = sides.mark else { return Err(trouble) };
        let error = self.error_of(vol, params.mark_error, rounding);
        if error <= params.mark_error_max {
            return Ok(point(vol, error, false));
        }
        Err(match trouble.0 {
            Reason::MissingQuote => (Reason::Imprecise, Some((error, Some(params.mark_error_max)))),
            _ => trouble,
        })
    }
}
