//! What a margin was worth in the worst falls of recorded chains.
//!
//! **The one idea:** falls are found in the index by a rule and not picked, and every style and policy is shown in all of them.

use super::rows::Place;
use super::series::{Pool, most};
use super::study::{ChainStudy, Sampled, Variant};
use super::style::Style;
use plimsoll_types::Timestamp;

/// No crash: a fall over the horizon by less.
pub const CHAIN_FALL_MIN: f64 = 0.08;
/// Crashes shown of each underlying, the worst.
const CRASHES: usize = 2;
/// Falls nearer than this are one crash.
const APART_SECONDS: f64 = 10.0 * 86_400.0;
const WEEK_SECONDS: i64 = 7 * 86_400;

/// A style and policy in one of the worst falls of an underlying.
#[derive(Clone, PartialEq, Debug)]
pub struct ChainCrash {
    /// The underlying.
    pub asset: String,
    /// The style.
    pub style: Style,
    /// Name of the policy.
    pub policy: String,
    /// Its margin period of risk, seconds.
    pub horizon_seconds: i64,
    /// Where the fall begins.
    pub from: Timestamp,
    /// Where it ends.
    pub until: Timestamp,
    /// Fall of the index, a share.
    pub fall: f64,
    /// Mean margin over books when it began.
    pub margin_before: f64,
    /// Mean loss over books.
    pub loss: f64,
    /// Share of books that were uncovered.
    pub breached: f64,
    /// Mean over books of what was uncovered.
    pub uncovered: f64,
    /// The most of a book, over all margins set from a horizon before the fall to its end.
    pub uncovered_most: f64,
    /// The largest mean margin of the week from when it began.
    pub margin_most: f64,
}

impl ChainStudy {
    pub(super) fn crashes(&self, sampled: &[Sampled], variants: &[Variant]) -> Vec<ChainCrash> {
        let mut all = Vec::new();
        for of in sampled {
            for horizon in 0..self.horizons.len() {
                let places: Vec<Place<'_>> =
                    (0..Style::ALL.len()).map(|style| Place { sampled: of, style, horizon }).collect();
                let pools: Vec<Pool<'_>> = places.iter().map(|place| self.pool(place)).collect();
                let Some(first) = pools.first() else { continue };
                for from in falls(first) {
                    let each = places.iter().zip(&pools);
                    all.extend(each.flat_map(|(place, pool)| self.crash(place, pool, from, variants)));
                }
            }
        }
        all
    }

    /// Every policy in one style and crash, which begins at an instant.
    fn crash(
        &self,
        place: &Place<'_>,
        pool: &Pool<'_>,
        from: Timestamp,
        variants: &[Variant],
    ) -> Vec<ChainCrash> {
        let whole =
            variants.iter().enumerate().filter(|(_, v)| v.horizon == place.horizon && v.without.is_none());
        let one = |(at, variant): (usize, &Variant)| {
            let series = pool.series(&self.margins_of(place, pool, at));
            let i = series.at.binary_search(&from).ok()?;
            let horizon = *self.horizons.get(place.horizon)?;
            let until = *series.until.get(i)?;
            let reach = |to: Timestamp| series.at.partition_point(|time| *time < to);
            let around = reach(from.plus_seconds(-horizon))..reach(until);
            Some(ChainCrash {
                asset: place.sampled.asset.to_string(),
                style: *Style::ALL.get(place.style)?,
                policy: self.policies.get(variant.policy)?.name().to_owned(),
                horizon_seconds: horizon,
                from,
                until,
                fall: 1.0 - pool.losts.get(i)?.ratio,
                margin_before: *series.margin.get(i)?,
                loss: *series.loss.get(i)?,
                breached: *series.breached.get(i)?,
                uncovered: *series.uncovered.get(i)?,
                uncovered_most: most(series.uncovered_most.get(around)?),
                margin_most: most(series.margin.get(i..reach(from.plus_seconds(WEEK_SECONDS)))?),
            })
        };
        whole.filter_map(one).collect()
    }
}

/// Where the worst falls begin, in the order of time.
fn falls(pool: &Pool<'_>) -> Vec<Timestamp> {
    let mut found: Vec<(f64, Timestamp)> = pool
        .losts
        .iter()
        .zip(&pool.at)
        .map(|(lost, at)| (1.0 - lost.ratio, *at))
        .filter(|(fall, _)| *fall >= CHAIN_FALL_MIN)
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut kept: Vec<Timestamp> = Vec::new();
    for (_, at) in found {
        let near = kept.iter().any(|other| other.seconds_until(at).abs() < APART_SECONDS);
        if kept.len() < CRASHES && !near {
            kept.push(at);
        }
    }
    kept.sort();
    kept
}
