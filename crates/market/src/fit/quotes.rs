//! The quotes of one expiry as volatilities with errors.

use super::readings::{Reading, Trouble, points};
use super::{FitParams, refusal};
use crate::number::{median, nearest};
use plimsoll_types::{Asset, Instrument, Issue, OptionQuote, Reason, Timestamp};

/// Nearest strikes a volatility is held against.
const NEIGHBOURS: usize = 4;
/// Most times that a volatility may be theirs, or theirs it.
const LONE_RATIO_MAX: f64 = 2.0;
/// The same for a strike between two and two of them, where no steep wing explains it.
const INNER_RATIO_MAX: f64 = 1.5;

/// What a fit of one expiry sees.
pub(super) struct Smile<'a> {
    pub(super) asset: Asset,
    pub(super) expiry: Timestamp,
    pub(super) tau: f64,
    pub(super) forward: f64,
    /// In order of log-moneyness.
    pub(super) points: Vec<Point<'a>>,
    /// Quotes that are no use, with reasons.
    pub(super) refused: Vec<Issue>,
    /// How far the wings are pulled to the usual slope, as a share of the full pull; full until the noise of the quotes is
    /// known.
    pub(super) pull: f64,
}

/// One strike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Point<'a> {
    /// Whose quote it is; `None` for a sample of another smile.
    pub(super) instrument: Option<&'a Instrument>,
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

impl Point<'_> {
    /// The instrument's name.
    pub(super) fn name(&self) -> String {
        self.instrument.map(ToString::to_string).unwrap_or_default()
    }

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

impl<'a> Smile<'a> {
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
        quotes: &[&'a OptionQuote],
        params: &FitParams,
    ) -> Self {
        let tau = as_of.years_until(expiry);
        let mut readings: Vec<Reading<'a>> = Vec::with_capacity(quotes.len());
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
            readings.push(Reading::new(quote, (strike, at), kind, forward));
        }
        readings.sort_by_key(|reading| reading.listed);
        smile.choose(&readings, params);
        smile.drop_far(params.deviations_max);
        smile.points.sort_by(|a, b| a.k.total_cmp(&b.k));
        smile.drop_lone();
        smile
    }

    /// Points that count.
    pub(super) fn used(&self) -> impl Iterator<Item = &Point<'a>> + Clone {
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
            let issue = Issue::new(Reason::Outlier, point.name()).at(&self.asset, Some(self.expiry));
            self.refused.push(issue.with(point.k.abs() / deviation, Some(deviations_max)));
        }
    }

    /// Refuses the points whose volatility is several times that of the strikes around them, or a small part of it.
    ///
    /// One such point can carry a smile away before the fit can tell which of them is wrong.
    fn drop_lone(&mut self) {
        let lone: Vec<Option<(f64, f64)>> = (0..self.points.len()).map(|i| self.loneliness(i)).collect();
        let mut lone = lone.into_iter();
        let (refused, asset, expiry) = (&mut self.refused, &self.asset, self.expiry);
        self.points.retain(|point| {
            let ratio = lone.next().flatten();
            if let Some((ratio, limit)) = ratio {
                let issue = Issue::new(Reason::Outlier, point.name()).at(asset, Some(expiry));
                refused.push(issue.with(ratio, Some(limit)));
            }
            ratio.is_none()
        });
    }

    /// How many times a point's volatility is that of its nearest strikes, or they are the point's, and the limit, where
    /// that is too much.
    fn loneliness(&self, i: usize) -> Option<(f64, f64)> {
        let point = self.points.get(i)?;
        if self.points.len() <= NEIGHBOURS {
            return None;
        }
        let below = self.points.partition_point(|p| p.k < point.k);
        let inner = below >= 2 && below + 3 <= self.points.len();
        let others = || self.points.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, p)| p);
        let mut vols: Vec<f64> = if inner {
            others().skip(below - 2).take(NEIGHBOURS).map(|p| p.vol).collect()
        } else {
            let mut near: Vec<&Point> = others().collect();
            near.sort_by(|a, b| (a.k - point.k).abs().total_cmp(&(b.k - point.k).abs()));
            near.iter().take(NEIGHBOURS).map(|p| p.vol).collect()
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

    /// Takes the best reading of each strike: out of the money first, a middle before a mark. Readings are in order of
    /// strike.
    fn choose(&mut self, readings: &[Reading<'a>], params: &FitParams) {
        let strikes: Vec<&[Reading]> = readings.chunk_by(|a, b| a.listed == b.listed).collect();
        let mut choices: Vec<Choice> = strikes.iter().map(|_| Choice::default()).collect();
        for out in [true, false] {
            let open = |(i, choice): (usize, &Choice)| (!choice.is_two_sided()).then_some(i);
            let open: Vec<usize> = choices.iter().enumerate().filter_map(open).collect();
            let asked: Vec<(usize, &Reading)> = open
                .into_iter()
                .flat_map(|i| strikes.get(i).into_iter().flat_map(move |s| s.iter().map(move |r| (i, r))))
                .filter(|(_, reading)| reading.out_of_the_money == out)
                .collect();
            let found =
                points(&asked.iter().map(|(_, reading)| *reading).collect::<Vec<_>>(), self.tau, params);
            for ((i, reading), point) in asked.into_iter().zip(found) {
                if let Some(choice) = choices.get_mut(i) {
                    choice.take(reading, point);
                }
            }
        }
        for choice in choices {
            match choice.best {
                Some(point) => self.points.push(point),
                None => {
                    for (quote, (reason, number)) in choice.troubles {
                        self.refuse(reason, quote, number);
                    }
                }
            }
        }
    }
}

/// What one strike has come to.
#[derive(Default)]
struct Choice<'a> {
    best: Option<Point<'a>>,
    /// Why out-of-the-money quotes made no point.
    troubles: Vec<(&'a OptionQuote, Trouble)>,
}

impl<'a> Choice<'a> {
    fn is_two_sided(&self) -> bool {
        self.best.is_some_and(|best| best.two_sided)
    }

    fn take(&mut self, reading: &Reading<'a>, point: Result<Point<'a>, Trouble>) {
        match point {
            Ok(point) if self.best.is_none() || (point.two_sided && !self.is_two_sided()) => {
                self.best = Some(point);
            }
            Err(trouble) if reading.out_of_the_money => self.troubles.push((reading.quote, trouble)),
            _ => {}
        }
    }
}
