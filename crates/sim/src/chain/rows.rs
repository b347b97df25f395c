//! What is said of margins of sampled books.
//!
//! **The one idea:** many books at one instant are one event seen many times. Counts of breaches are over books and instants; what
//! is tested is the series of instants: the share of books that a move uncovers, with its own persistence, is what may not lie
//! above 1 % on average.

use super::losses::Counted;
use super::series::{ChainSeries, Pool, average, clustered, design_effect, most, shares};
use super::study::{ChainStudy, SEPARATED, Sampled, Variant};
use super::style::Style;
use crate::compare::{MONTH_SECONDS, is_attributed};
use crate::figures::{Figures, Judged, Laws, worse};
use crate::study::StudyError;
use plimsoll_policy::Cause;
use plimsoll_types::Timestamp;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Books count as hit together where more than this share of them breach.
const TOGETHER: f64 = 0.05;

/// One policy, underlying, style and horizon. Margins and losses are shares of the gross notional of a book's options.
#[derive(Clone, PartialEq, Debug)]
pub struct ChainRow {
    /// Name of the policy.
    pub policy: String,
    /// The underlying.
    pub asset: String,
    /// The style.
    pub style: Style,
    /// Seconds.
    pub horizon_seconds: i64,
    /// First margin that is judged.
    pub first: Timestamp,
    /// Last one.
    pub last: Timestamp,
    /// Books.
    pub books: usize,
    /// Instants that are judged.
    pub instants: usize,
    /// Of all books and instants as if they were independent: counts, severity, capital and score are read from it, and its
    /// probabilities are too small.
    pub pooled: Figures,
    /// Of the mean margin and mean loss over books: procyclicality is read from it.
    pub mean: Figures,
    /// Probability of a mean share of breaching books this far above 1 % or farther, by its long-run variance.
    pub count_p: f64,
    /// Christoffersen's independence, on whether more than one in twenty books breach.
    pub independence_p: Option<f64>,
    /// Zone of the book with the median number of breaches, by the law of overlapping losses.
    pub traffic_light: &'static str,
    /// The most breaches of one book that are green.
    pub green_most: u64,
    /// Breaches of the book with the median number.
    pub median_breaches: usize,
    /// Share of the instants at which more than this share of books breach: 0, 5, 20 and 50 %.
    pub instants_over: [f64; 4],
    /// The largest share of books that breach at one instant.
    pub most_at_once: f64,
    /// That instant; `None` without a breach.
    pub most_at: Option<Timestamp>,
    /// Variance of the share of breaching books over what independent books would have; `None` without a breach.
    pub design_effect: Option<f64>,
    /// Mean hours from a margin to its loss: chains come when they come.
    pub mean_span_hours: f64,
    /// How the positions behind the losses were valued.
    pub counted: Counted,
    /// Margins set for which no chain came in time, or while some book of the style held nothing.
    pub unjudged: usize,
    /// By adjuster of [`SEPARATED`]: what it added to the mean margin, and the most it added to the mean over books at an
    /// instant; `None` where the policy has none that acts.
    pub added: [Option<(f64, f64)>; 3],
    /// Mean margin over that of the preset `fixed`.
    pub capital_against_fixed: Option<f64>,
    /// Mean margin over that of each other policy.
    pub capital_against: BTreeMap<String, f64>,
    /// The other policy of the least quantile score.
    pub best_other: Option<String>,
    /// Diebold and Mariano against it on mean scores over books; > 0 where this policy is worse.
    pub diebold_mariano: Option<f64>,
    /// Probability of one as large when both are equally good.
    pub diebold_mariano_p: Option<f64>,
    /// Changes of parameters that speak of the underlying, per month judged.
    pub changes_per_month: f64,
    /// Share of them whose causes add up to the change exactly; `None` without a change.
    pub attributed_share: Option<f64>,
    /// Instant by instant.
    pub series: ChainSeries,
}

/// One underlying, style and horizon, all policies.
pub(super) struct Place<'a> {
    pub(super) sampled: &'a Sampled,
    pub(super) style: usize,
    pub(super) horizon: usize,
}

impl ChainStudy {
    pub(super) fn rows(
        &self,
        sampled: &[Sampled],
        variants: &[Variant],
    ) -> Result<Vec<ChainRow>, StudyError> {
        let mut places = Vec::new();
        for of in sampled {
            for horizon in 0..self.horizons.len() {
                places.extend((0..Style::ALL.len()).map(|style| Place { sampled: of, style, horizon }));
            }
        }
        let pools: Vec<Pool<'_>> = places.iter().map(|place| self.pool(place)).collect();
        let mut spans: Vec<usize> = pools.iter().map(|pool| pool.span).collect();
        spans.sort_unstable();
        spans.dedup();
        let laws = Laws::simulate(&spans)?;
        let each = places.par_iter().zip(&pools);
        let rows: Vec<Vec<ChainRow>> =
            each.map(|(place, pool)| self.compare(place, pool, variants, &laws)).collect::<Result<_, _>>()?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Books of a style.
    pub(super) fn books_of<'v, T>(&self, of: &'v [T], style: usize) -> &'v [T] {
        of.get(style * self.books..(style + 1) * self.books).unwrap_or_default()
    }

    pub(super) fn pool<'a>(&self, place: &Place<'a>) -> Pool<'a> {
        let sampled = place.sampled;
        let mut pool =
            Pool { places: vec![], losts: vec![], at: vec![], losses: vec![], span: 1, unjudged: 0 };
        let losts = sampled.lost.get(place.horizon).map_or(&[][..], |losts| losts);
        for (i, (lost, held)) in losts.iter().zip(&sampled.held).enumerate() {
            let at = sampled.places.get(i).and_then(|at| self.moments.get(*at)).map(|moment| moment.at);
            let Some(at) = at.filter(|at| self.from.is_none_or(|from| *at >= from)) else { continue };
            let horizon = self.horizons.get(place.horizon).copied().unwrap_or_default();
            if self.to.is_some_and(|to| at.plus_seconds(horizon) > to) {
                continue;
            }
            let books = self.books_of(held, place.style);
            if books.iter().all(|held| held.gross <= 0.0) {
                continue;
            }
            // Where some books hold nothing the others would stand in their places.
            let whole = books.iter().all(|held| held.gross > 0.0);
            let Some(lost) = lost.as_ref().filter(|_| whole) else {
                pool.unjudged += 1;
                continue;
            };
            let losses = shares(self.books_of(&lost.losses, place.style), books);
            pool.places.push(i);
            pool.losts.push(lost);
            pool.at.push(at);
            pool.losses.push(losses);
        }
        // Chains that a loss spans: the median.
        let mut spans: Vec<usize> = pool
            .losts
            .iter()
            .zip(&pool.places)
            .map(|(lost, from)| {
                let times = sampled.places.iter().filter_map(|at| self.moments.get(*at)).skip(*from);
                times.take_while(|moment| moment.at < lost.until).count().max(1)
            })
            .collect();
        spans.sort_unstable();
        pool.span = spans.get(spans.len() / 2).copied().unwrap_or(1);
        pool
    }

    /// Margins of a variant in step with a pool, as shares.
    pub(super) fn margins_of(&self, place: &Place<'_>, pool: &Pool<'_>, variant: usize) -> Vec<Vec<f64>> {
        let sampled = place.sampled;
        let all = sampled.margins.get(variant).map_or(&[][..], |all| all);
        self.shares_of(place, pool, all)
    }

    fn shares_of(&self, place: &Place<'_>, pool: &Pool<'_>, all: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let one = |i: &usize| {
            let (margins, held) = all.get(*i).zip(place.sampled.held.get(*i))?;
            Some(shares(self.books_of(margins, place.style), self.books_of(held, place.style)))
        };
        pool.places.iter().filter_map(one).collect()
    }

    /// All policies at one place.
    fn compare(
        &self,
        place: &Place<'_>,
        pool: &Pool<'_>,
        variants: &[Variant],
        laws: &Laws,
    ) -> Result<Vec<ChainRow>, StudyError> {
        let of = |policy: usize, without: Option<Cause>| {
            variants.iter().position(|v| (v.policy, v.horizon, v.without) == (policy, place.horizon, without))
        };
        let mut rows = Vec::new();
        let mut scores: Vec<Vec<f64>> = Vec::new();
        let fixed = self.shares_of(place, pool, &place.sampled.fixed);
        for policy in 0..self.policies.len() {
            let Some(whole) = of(policy, None) else { continue };
            let margins = self.margins_of(place, pool, whole);
            let added = SEPARATED.map(|cause| {
                let without = self.margins_of(place, pool, of(policy, Some(cause))?);
                let parts: Vec<f64> = margins
                    .iter()
                    .zip(&without)
                    .map(|(with, other)| average(with) - average(other))
                    .collect();
                Some((average(&parts), most(&parts)))
            });
            let Some(mut row) = self.row(place, pool, (policy, &margins), laws)? else { continue };
            row.added = added;
            let per_book = average(&fixed.iter().map(|of| average(of)).collect::<Vec<_>>());
            row.capital_against_fixed =
                row.pooled.mean_margin.map(|m| m / per_book).filter(|x| x.is_finite());
            if let Some(variant) = variants.get(whole) {
                (row.changes_per_month, row.attributed_share) = changes(variant, &row);
            }
            scores.push(pool.mean_scores(&margins)?);
            rows.push(row);
        }
        rank(&mut rows, &scores, pool.span);
        Ok(rows)
    }

    /// A row without what is said of other policies and variants; `None` with fewer than two instants.
    fn row(
        &self,
        place: &Place<'_>,
        pool: &Pool<'_>,
        (policy, margins): (usize, &[Vec<f64>]),
        laws: &Laws,
    ) -> Result<Option<ChainRow>, StudyError> {
        let (Some(first), Some(last)) = (pool.at.first(), pool.at.last()) else { return Ok(None) };
        let series = pool.series(margins);
        let instants = series.at.len();
        let flat = |of: &[Vec<f64>]| of.iter().flatten().copied().collect::<Vec<f64>>();
        let (all_margins, all_losses) = (flat(margins), flat(&pool.losses));
        let one = |margins: &[f64], losses: &[f64], span| {
            Judged { margins, losses, span, per_day: pool.per_day() }.figures(laws)
        };
        let pooled = one(&all_margins, &all_losses, 1)?;
        let mean = one(&series.margin, &series.loss, 1)?;
        let (Some(pooled), Some(mean)) = (pooled.filter(|_| instants > 1), mean) else { return Ok(None) };
        let bad: Vec<f64> = series.breached.iter().map(|share| f64::from(*share > TOGETHER)).collect();
        let independence = one(&vec![0.5; instants], &bad, pool.span)?;
        let median = pool.median_book(margins);
        let typical = one(&vec![0.5; instants], &median, pool.span)?;
        let over = |least: f64| {
            series.breached.iter().filter(|share| **share > least).count() as f64 / instants as f64
        };
        let most_at_once = most(&series.breached);
        let worst = series.breached.iter().position(|share| *share > 0.0 && *share == most_at_once);
        Ok(Some(ChainRow {
            policy: self.policies.get(policy).map_or("", |p| p.name()).to_owned(),
            asset: place.sampled.asset.to_string(),
            style: Style::ALL.get(place.style).copied().unwrap_or(Style::MarketMaker),
            horizon_seconds: self.horizons.get(place.horizon).copied().unwrap_or(0),
            first: *first,
            last: *last,
            books: self.books,
            instants,
            count_p: clustered(&series.breached, pool.span),
            independence_p: independence.and_then(|f| f.independence_p),
            traffic_light: typical.as_ref().map_or("", |f| f.traffic_light),
            green_most: typical.as_ref().map_or(0, |f| f.green_most),
            median_breaches: typical.map_or(0, |f| f.breaches),
            instants_over: [over(0.0), over(0.05), over(0.20), over(0.50)],
            most_at_once,
            most_at: worst.and_then(|i| series.at.get(i)).copied(),
            design_effect: design_effect(&series.breached, pooled.observations),
            mean_span_hours: average(&series.hours()),
            counted: self.counted(pool, place.style),
            unjudged: pool.unjudged,
            added: [None; 3],
            capital_against_fixed: None,
            capital_against: BTreeMap::new(),
            best_other: None,
            diebold_mariano: None,
            diebold_mariano_p: None,
            changes_per_month: 0.0,
            attributed_share: None,
            pooled,
            mean,
            series,
        }))
    }

    /// How the positions of a style were valued.
    fn counted(&self, pool: &Pool<'_>, style: usize) -> Counted {
        let all = pool.losts.iter().flat_map(|lost| self.books_of(&lost.counted, style));
        all.fold(Counted::default(), |sum, one| Counted {
            marked: sum.marked + one.marked,
            settled: sum.settled + one.settled,
            unmarked: sum.unmarked + one.unmarked,
        })
    }
}

/// Changes per month that speak of the underlying of a row, and the share of them that is attributed exactly.
fn changes(variant: &Variant, row: &ChainRow) -> (f64, Option<f64>) {
    let (mut count, mut exact) = (0_u64, 0_u64);
    for dated in variant.track.changes.iter().filter(|d| d.at >= row.first && d.at <= row.last) {
        if dated.change.key.scope.underlying.as_ref().is_none_or(|of| *of == row.asset) {
            count += 1;
            exact += u64::from(is_attributed(&dated.change));
        }
    }
    let months = row.first.seconds_until(row.last).max(1.0) / MONTH_SECONDS;
    (count as f64 / months, (count > 0).then(|| exact as f64 / count as f64))
}

/// What is said of each policy beside the others; `scores` are in the order of the rows.
fn rank(rows: &mut [ChainRow], scores: &[Vec<f64>], span: usize) {
    let known: Vec<(String, Option<f64>, Option<f64>)> = rows
        .iter()
        .map(|row| (row.policy.clone(), row.pooled.mean_margin, row.pooled.quantile_score))
        .collect();
    for (place, row) in rows.iter_mut().enumerate() {
        let mut best: Option<usize> = None;
        for (at, (name, margin, score)) in known.iter().enumerate().filter(|(at, _)| *at != place) {
            let ratio = row.pooled.mean_margin.zip(*margin).map(|(own, other)| own / other);
            if let Some(ratio) = ratio.filter(|x| x.is_finite()) {
                row.capital_against.insert(name.clone(), ratio);
            }
            let better = best.and_then(|b| known.get(b)).is_none_or(|(_, _, least)| score < least);
            best = if better { Some(at) } else { best };
        }
        let Some(at) = best else { continue };
        let pair = scores.get(place).zip(scores.get(at));
        let test = pair.and_then(|(own, other)| worse(own, other, span));
        row.best_other = known.get(at).map(|(name, ..)| name.clone());
        (row.diebold_mariano, row.diebold_mariano_p) = (test.map(|t| t.0), test.map(|t| t.1));
    }
}
