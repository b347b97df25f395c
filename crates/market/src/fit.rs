//! Quotes to a surface free of arbitrage.
//!
//! Per underlying: forwards, then expiry by expiry the usable quotes as volatilities (`quotes`), one raw-SVI slice
//! through them (`slice`), and what makes it safe against the slice before (`calibrate`). A slice is published only if
//! `plimsoll_quant`'s [`Svi::check`] and [`calendar_violation`], which share nothing with the optimiser, have no objection.

mod calibrate;
mod external;
mod quality;
mod quotes;
mod readings;
mod rows;
mod shape;
mod slice;

use crate::forwards::{forwards, future_price};
use crate::guard::{Guarded, GuardedMarket};
use crate::surface::{PerpMark, Slice, Surface, UnderlyingSurface};
use calibrate::Free;
use plimsoll_quant::svi::Svi;
#[cfg(doc)]
use plimsoll_quant::svi::calendar_violation;
use plimsoll_types::{Asset, Instrument, Issue, OptionQuote, PerpQuote, Reason, Timestamp};
use quotes::Smile;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use slice::Ceiling;
use std::collections::BTreeMap;

/// Limits of the fit. Volatilities are annualised decimals: 0.01 is one vol point.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FitParams {
    /// Fewest usable quotes of an expiry that is fitted; at least 5.
    pub quotes_min: usize,
    /// Widest bid-ask spread, in volatility, of a quote whose middle is believed.
    pub spread_vol_max: f64,
    /// The same as a share of the middle volatility; the larger of the two limits counts.
    pub spread_share_max: f64,
    /// Error ascribed to the middle of the tightest quote; the half-spread is added in squares.
    pub mid_error: f64,
    /// Error ascribed to the venue's mark where there is no believed middle.
    pub mark_error: f64,
    /// Error of any price, as a share of the forward; over vega it is added in squares to the error in volatility.
    pub price_error: f64,
    /// A quote or mark whose error in volatility, price rounding included, is above this says nothing and is not used.
    pub mark_error_max: f64,
    /// A quote further from the smile of the others than this many of their median deviations is an outlier, if it is
    /// also further than its own spread and two vol points.
    pub outlier_deviations: f64,
    /// Largest share of an expiry's quotes that may be refused as outliers.
    pub outlier_share_max: f64,
    /// An expiry whose fit misses the middles by more than this root mean square is refused.
    pub rmse_max: f64,
    /// Largest volatility a bid or an ask may imply.
    pub vol_max: f64,
    /// Farthest a strike may be from the forward, in standard deviations at the volatility near the money. Beyond it one
    /// wrong quote is a lever on the whole smile.
    pub deviations_max: f64,
    /// Largest relative distance of the forward a quote was made on from the expiry's.
    pub forward_error_max: f64,
}

impl Default for FitParams {
    /// The limits of the parameter set `plimsoll`: 5 quotes; spreads up to 10 vol points or 20 % of the volatility; errors of
    /// 0.5 and 3 vol points and half a basis point of the forward, marks dropped beyond 10 vol points; outliers at 8 deviations, at most a fifth of the quotes; 10 vol points of misfit; volatilities up to
    /// 600 %, strikes up to 16 deviations away, forwards within 5 % of each other.
    fn default() -> Self {
        Self {
            quotes_min: 5,
            spread_vol_max: 0.10,
            spread_share_max: 0.20,
            mid_error: 0.005,
            mark_error: 0.03,
            price_error: 0.00005,
            mark_error_max: 0.10,
            outlier_deviations: 8.0,
            outlier_share_max: 0.2,
            rmse_max: 0.10,
            vol_max: 6.0,
            deviations_max: 16.0,
            forward_error_max: 0.05,
        }
    }
}

/// Fits every underlying of a guarded snapshot.
///
/// Never fails as a whole: an expiry that cannot be fitted free of arbitrage is refused with a reason in
/// [`UnderlyingSurface::refused`], and every issue of the guard and the fit is in [`Surface::issues`].
pub fn fit(guarded: &Guarded, params: &FitParams) -> Surface {
    let snapshot = &guarded.snapshot;
    let mut issues = guarded.issues.clone();
    let mut underlyings = BTreeMap::new();
    let fitted: Vec<UnderlyingSurface> = snapshot
        .underlyings
        .par_iter()
        .map(|(asset, market)| fit_underlying(asset, market, snapshot.as_of, params))
        .collect();
    for (asset, fitted) in snapshot.underlyings.keys().zip(fitted) {
        issues.extend(fitted.refused.iter().cloned());
        underlyings.insert(asset.clone(), fitted);
    }
    Surface { as_of: snapshot.as_of, underlyings, assets: snapshot.assets.clone(), issues }
}

fn fit_underlying(
    asset: &Asset,
    market: &GuardedMarket,
    as_of: Timestamp,
    params: &FitParams,
) -> UnderlyingSurface {
    let (forwards, missing) = forwards(market, as_of);
    let mut refused: Vec<Issue> =
        missing.into_iter().map(|issue| Issue { underlying: Some(asset.clone()), ..issue }).collect();
    let mut by_expiry: BTreeMap<Timestamp, Vec<&OptionQuote>> = BTreeMap::new();
    for quote in &market.market.options {
        if let Some(expiry) = quote.instrument.expiry() {
            by_expiry.entry(expiry).or_default().push(quote);
        }
    }
    let listed: Vec<(Timestamp, f64, &[&OptionQuote])> = forwards
        .iter()
        .filter_map(|&(expiry, forward, _)| Some((expiry, forward, by_expiry.get(&expiry)?.as_slice())))
        .collect();
    let free: Vec<Free> = listed
        .par_iter()
        .map(|&(expiry, forward, quotes)| {
            calibrate::free_fit(Smile::read(asset, (as_of, expiry), forward, quotes, params), params)
        })
        .collect();
    let slices = slices(asset, market, as_of, (free, params), &mut refused);
    UnderlyingSurface {
        index: market.index,
        confidence: market.confidence,
        perpetuals: market.market.perpetuals.iter().filter_map(perp_mark).collect(),
        futures: futures(market),
        forwards,
        slices,
        refused,
    }
}

/// Fits the smiles from the nearest expiry to the farthest, each against the one before.
fn slices(
    asset: &Asset,
    market: &GuardedMarket,
    as_of: Timestamp,
    (free, params): (Vec<Free>, &FitParams),
    refused: &mut Vec<Issue>,
) -> Vec<Slice> {
    let mut outside = external::by_expiry(&market.market.external, as_of);
    let ceilings: Vec<Option<Ceiling>> = free.iter().map(Free::ceiling).collect();
    let later = |i: usize| ceilings.iter().skip(i + 1).flatten().copied().collect::<Vec<_>>();
    // Whether a free fit can stand as it is, but for the slice before, depends on no other outcome.
    let stands: Vec<bool> =
        free.par_iter().enumerate().map(|(i, free)| free.is_sound_under(&later(i))).collect();
    let mut chosen: Vec<(Smile, Found, Option<Svi>)> = Vec::new();
    for (i, (free, stands)) in free.into_iter().zip(stands).enumerate() {
        refused.extend(free.smile.refused.iter().cloned());
        let floor = chosen.last().map(|s| s.1.svi);
        let own = free.svi.and_then(|svi| {
            let sides = (floor.as_ref(), &later(i)[..]);
            calibrate::constrained_fit(&free.smile, (&svi, stands), sides, params)
        });
        let found = match outside.remove(&free.smile.expiry) {
            Some(supplied) => external::choose(&supplied, &free.smile, own, floor.as_ref(), refused),
            None => own,
        };
        match found {
            Ok(found) => chosen.push((free.smile, found, floor)),
            Err(issue) => refused.push(issue),
        }
    }
    let measured =
        |(smile, found, floor): (Smile, Found, Option<Svi>)| quality::slice(smile, &found, floor.as_ref());
    let mut slices: Vec<Slice> = chosen.into_par_iter().map(measured).collect();
    external::insert_rest(asset, outside, &mut slices, refused);
    slices
}

fn perp_mark(quote: &PerpQuote) -> Option<(Instrument, PerpMark)> {
    let middle = || quote.bid.zip(quote.ask).map(|(bid, ask)| bid + 0.5 * (ask - bid));
    let price = quote.mark.or_else(middle)?;
    let (funding_8h, open_interest) = (quote.funding_8h, quote.open_interest);
    Some((quote.instrument.clone(), PerpMark { price, funding_8h, open_interest }))
}

fn futures(market: &GuardedMarket) -> BTreeMap<Instrument, f64> {
    let quotes = market.market.futures.iter();
    quotes.filter_map(|q| Some((q.instrument.clone(), future_price(q)?))).collect()
}

/// A calibrated smile and how it was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    svi: Svi,
    method: crate::surface::FitMethod,
}

/// The refusal of a whole expiry.
fn refusal(reason: Reason, asset: &Asset, expiry: Timestamp) -> Issue {
    Issue::new(reason, format!("{asset} smile {expiry}")).at(asset, Some(expiry))
}
