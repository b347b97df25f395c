//! The quotes of one expiry as volatilities with errors.

use super::{FitParams, refusal};
use crate::number::{median, nearest};
use plimsoll_quant::black::{OptionKind as Kind, greeks};
use plimsoll_quant::implied::{ImpliedVolError, implied_vol};
use plimsoll_quant::special::ln;
use plimsoll_types::{Asset, Decimal, Issue, OptionKind, OptionQuote, Reason, Settlement, Timestamp};
use std::collections::BTreeMap;

/// Nearest strikes a volatility is held against.
const NEIGHBOURS: usize = 4;
/// Most times that a volatility may be theirs, or theirs it.
const LONE_RATIO_MAX: f64 = 2.0;
/// The same for a strike between two and two of them, where no steep wing explains it.
const INNER_RATIO_MAX: f64 = 1.5;

/// What a fit of one expiry sees.
pub(super) struct Smile {
    pub(super) asset: Asset,
    pub(super) expiry: Timestamp,
    pub(super) tau: f64,
    pub(super) forward: f64,
    /// In order of log-moneyness.
    pub(super) points: Vec<Point>,
    /// Quotes that are no use, with reasons.
    pub(super) refused: Vec<Issue>,
    /// How far the wings are pulled to the usual slope, as a share of the full pull; full until the noise of the quotes is
    /// known.
    pub(super) pull: f64,
}

/// One strike.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) strike: f64,
    /// `ln(K/F)` on the forward the quote was made on.
    pub(super) k: f64,
    pub(super) bid_vol: Option<f64>,
    pub(super) ask_vol: Option<f64>,
    pub(super) mark_vol: Option<f64>,
    /// What the fit aims at.
    pub(super) vol: f64,
    /// How far off that may be.
    pub(super) error: f64,
    /// Whether `vol` is the middle of a bid and an ask.
    pub(super) two_sided: bool,
    /// Whether the point was found to be far from all others.
    pub(super) outlier: bool,
}

impl Point {
    /// Weight in the fit, per squared volatility.
    pub(super) fn weight(&self) -> f64 {
        if self.outlier { 0.0 } else { 1.0 / (self.error * self.error) }
    }

    /// Half the bid-ask spread in volatility; 0 without one.
    pub(super) fn half_spread(&self) -> f64 {
        if !self.two_sided {
            return 0.0;
        }
        self.bid_vol.zip(self.ask_vol).map_or(0.0, |(bid, ask)| 0.5 * (ask - bid))
    }
}

impl Smile {
    /// Reads the quotes of one expiry, at each strike the out-of-the-money side.
    ///
    /// The in-the-money option takes its place where only that one has a believable bid and ask. The middle of bid and
    /// ask volatility is the target, with an error of half the spread (a spread in volatility is the spread in price
    /// over vega, so spread and vega both weigh; the rounding of prices over vega is added); where there is no such middle the mark volatility is, with the wider
    /// error of the parameters.
    pub(super) fn read(
        asset: &Asset,
        (as_of, expiry): (Timestamp, Timestamp),
        forward: f64,
        quotes: &[&OptionQuote],
        params: &FitParams,
    ) -> Self {
        let tau = as_of.years_until(expiry);
        let mut strikes: BTreeMap<Decimal, Vec<Reading>> = BTreeMap::new();
        let mut smile = Self {
            asset: asset.clone(),
            expiry,
            tau,
            forward,
            points: Vec::with_capacity(quotes.len() / 2 + 1),
            refused: Vec::new(),
            pull: 1.0,
        };
        for quote in quotes {
            let Some((strike, kind)) = quote.instrument.option() else { continue };
            let Some(at) = nearest(strike) else {
                smile.refuse(Reason::Overflow, quote, None);
                continue;
            };
            let off = quote.forward.map_or(0.0, |own| own / forward - 1.0);
            if off.abs() > params.forward_error_max {
                smile.refuse(Reason::Outlier, quote, Some((off, Some(params.forward_error_max))));
                continue;
            }
            strikes.entry(strike).or_default().push(Reading::new(quote, at, kind, forward));
        }
        for (_, readings) in strikes {
            smile.choose(&readings, params);
        }
        smile.drop_far(params.deviations_max);
        smile.points.sort_by(|a, b| a.k.total_cmp(&b.k));
        smile.drop_lone();
        smile
    }

    /// Points that count.
    pub(super) fn used(&self) -> impl Iterator<Item = &Point> + Clone {
        self.points.iter().filter(|p| !p.outlier)
    }

    /// The log-moneyness the points span, the money included.
    pub(super) fn quoted(&self) -> (f64, f64) {
        self.used().fold((0.0, 0.0), |(lo, hi): (f64, f64), p| (lo.min(p.k), hi.max(p.k)))
    }

    /// An issue about this expiry as a whole.
    pub(super) fn refusal(&self, reason: Reason) -> Issue {
        refusal(reason, &self.asset, self.expiry)
    }

    /// Refuses the points whose strikes are out of all proportion to the time left and the volatility near the money.
    fn drop_far(&mut self, deviations_max: f64) {
        let deviation = self.vol_near_money() * self.tau.sqrt();
        let (near, far) = std::mem::take(&mut self.points)
            .into_iter()
            .partition(|p: &Point| p.k.abs() <= deviations_max * deviation);
        self.points = near;
        for point in far {
            let issue = Issue::new(Reason::Outlier, point.name).at(&self.asset, Some(self.expiry));
            self.refused.push(issue.with(point.k.abs() / deviation, Some(deviations_max)));
        }
    }

    /// Refuses the points whose volatility is several times that of the strikes around them, or a small part of it.
    ///
    /// One such point can carry a smile away before the fit can tell which of them is wrong.
    fn drop_lone(&mut self) {
        let lone: Vec<Option<(f64, f64)>> = self.points.iter().map(|p| self.loneliness(p)).collect();
        let mut lone = lone.into_iter();
        let (refused, asset, expiry) = (&mut self.refused, &self.asset, self.expiry);
        self.points.retain(|point| {
            let ratio = lone.next().flatten();
            if let Some((ratio, limit)) = ratio {
                let issue = Issue::new(Reason::Outlier, point.name.clone()).at(asset, Some(expiry));
                refused.push(issue.with(ratio, Some(limit)));
            }
            ratio.is_none()
        });
    }

    /// How many times a point's volatility is that of its nearest strikes, or they are the point's, and the limit, where
    /// that is too much.
    fn loneliness(&self, point: &Point) -> Option<(f64, f64)> {
        let mut others: Vec<&Point> = self.points.iter().filter(|p| p.name != point.name).collect();
        if others.len() < NEIGHBOURS {
            return None;
        }
        let (below, above): (Vec<&Point>, Vec<&Point>) = others.iter().partition(|p| p.k < point.k);
        let inner = below.len() >= 2 && above.len() >= 2;
        let mut vols: Vec<f64> = if inner {
            below.iter().rev().take(2).chain(above.iter().take(2)).map(|p| p.vol).collect()
        } else {
            others.sort_by(|a, b| (a.k - point.k).abs().total_cmp(&(b.k - point.k).abs()));
            others.iter().take(NEIGHBOURS).map(|p| p.vol).collect()
        };
        let limit = if inner { INNER_RATIO_MAX } else { LONE_RATIO_MAX };
        let usual = median(&mut vols)?;
        let ratio = (point.vol / usual).max(usual / point.vol);
        (ratio > limit).then_some((ratio, limit))
    }

    /// The middle volatility of the five points nearest to the money: one wrong quote does not move it far.
    fn vol_near_money(&self) -> f64 {
        let mut near: Vec<&Point> = self.points.iter().collect();
        near.sort_by(|a, b| a.k.abs().total_cmp(&b.k.abs()));
        let mut vols: Vec<f64> = near.iter().take(5).map(|p| p.vol).collect();
        median(&mut vols).unwrap_or(0.0)
    }

    fn refuse(&mut self, reason: Reason, quote: &OptionQuote, number: Option<(f64, Option<f64>)>) {
        let issue = Issue::new(reason, quote.instrument.to_string()).at(&self.asset, Some(self.expiry));
        self.refused.push(match number {
            Some((value, limit)) => issue.with(value, limit),
            None => issue,
        });
    }

    /// Takes the best reading of one strike: out of the money first, a middle before a mark.
    fn choose(&mut self, readings: &[Reading], params: &FitParams) {
        let mut best: Option<Point> = None;
        let mut troubles = Vec::new();
        for out in [true, false] {
            for reading in readings.iter().filter(|r| r.out_of_the_money == out) {
                match reading.point(self.tau, params) {
                    Ok(point) if point.two_sided && !best.as_ref().is_some_and(|b| b.two_sided) => {
                        best = Some(point);
                    }
                    Ok(point) if best.is_none() => best = Some(point),
                    Ok(_) => {}
                    Err(trouble) if out => troubles.push((reading.quote, trouble)),
                    Err(_) => {}
                }
            }
        }
        match best {
            Some(point) => self.points.push(point),
            None => {
                for (quote, (reason, number)) in troubles {
                    self.refuse(reason, quote, number);
                }
            }
        }
    }
}

type Trouble = (Reason, Option<(f64, Option<f64>)>);

/// One quote and the forward it was made on.
struct Reading<'a> {
    quote: &'a OptionQuote,
    strike: f64,
    kind: Kind,
    forward: f64,
    out_of_the_money: bool,
}

impl<'a> Reading<'a> {
    fn new(quote: &'a OptionQuote, strike: f64, kind: OptionKind, forward: f64) -> Self {
        let forward = quote.forward.unwrap_or(forward);
        let (kind, out_of_the_money) = match kind {
            OptionKind::Call => (Kind::Call, strike >= forward),
            OptionKind::Put => (Kind::Put, strike < forward),
        };
        Self { quote, strike, kind, forward, out_of_the_money }
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

    fn point(&self, tau: f64, params: &FitParams) -> Result<Point, Trouble> {
        let quote = self.quote;
        let bid_vol = quote.bid.map(|p| self.vol(p, tau, params.vol_max));
        let ask_vol = quote.ask.map(|p| self.vol(p, tau, params.vol_max));
        let mark_vol =
            quote.mark_vol.or_else(|| quote.mark.and_then(|p| self.vol(p, tau, params.vol_max).ok()));
        let error_of = |vol: f64, own: f64| {
            let vega = greeks(self.kind, self.forward, self.strike, vol, tau).vega;
            let rounding = params.price_error * self.forward / vega;
            (own * own + rounding * rounding).sqrt()
        };
        let point = |vol, error, two_sided| Point {
            name: quote.instrument.to_string(),
            strike: self.strike,
            k: ln(self.strike / self.forward),
            bid_vol: bid_vol.and_then(Result::ok),
            ask_vol: ask_vol.and_then(Result::ok),
            mark_vol,
            vol,
            error,
            two_sided,
            outlier: false,
        };
        let mut trouble: Trouble = (Reason::MissingQuote, None);
        match (&bid_vol, &ask_vol) {
            (Some(Ok(bid)), Some(Ok(ask))) => {
                let (spread, middle) = (ask - bid, 0.5 * (bid + ask));
                let limit = params.spread_vol_max.max(params.spread_share_max * middle);
                if spread <= limit {
                    let own = (0.25 * spread * spread + params.mid_error * params.mid_error).sqrt();
                    let error = error_of(middle, own);
                    let error_max = limit.max(params.mark_error_max);
                    if error <= error_max {
                        return Ok(point(middle, error, true));
                    }
                    return Err((Reason::Imprecise, Some((error, Some(error_max)))));
                }
                trouble = (Reason::Outlier, Some((spread, Some(limit))));
            }
            (Some(Err(why)), _) | (_, Some(Err(why))) => trouble = *why,
            _ => {}
        }
        let Some(vol) = mark_vol else { return Err(trouble) };
        let error = error_of(vol, params.mark_error);
        if error <= params.mark_error_max {
            return Ok(point(vol, error, false));
        }
        Err(match trouble.0 {
            Reason::MissingQuote => (Reason::Imprecise, Some((error, Some(params.mark_error_max)))),
            _ => trouble,
        })
    }
}
