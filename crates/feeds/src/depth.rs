//! Live depth to a slow, capped score of liquidity.
//!
//! What rests in a book for a moment is not liquidity (F35), and an empty or crossed book is a fact (F34). So every state of every book
//! goes in, and out comes, per venue, the least depth and the widest spread of each period, which is what the engine is told; and, per
//! underlying, [`plimsoll_quant::liquidity::LiquidityScore`] over all venues (time-weighted minima, a low order statistic of them, lower
//! median over venues, limited growth and fall), never above a cap.
//!
//! Each step is a minimum, an order statistic, a clamp or a product with a number that does not depend on the depth, so no depth raised at
//! any time lowers the score.

use crate::refusal::refuse;
use crate::{Depth, Reason, Refusal};
use plimsoll_quant::liquidity::{LiquidityScore, LiquiditySpec, effective_depth};
use plimsoll_quant::stats::StatsError;
use plimsoll_types::{Asset, Timestamp};
use std::collections::BTreeMap;

/// What a [`Pipeline`] is made of.
#[derive(Clone, PartialEq, Debug)]
pub struct DepthSpec {
    /// Venues by name; a reading of another is refused.
    pub venues: Vec<String>,
    /// Seconds of a period, of which the least counts; > 0.
    pub period_seconds: i64,
    /// A spread that makes depth worth no less, a share of the middle; > 0.
    pub usual_spread: f64,
    /// The most the score can be, quote units; > 0.
    pub cap: f64,
    /// The score; its number of venues is set to theirs.
    pub score: LiquiditySpec,
}

/// A venue's period.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Period {
    since: Timestamp,
    /// The last reading's, which hold until the next.
    depth: f64,
    spread: f64,
    /// The least and the widest of the period.
    least: f64,
    widest: f64,
}

/// One underlying.
#[derive(Clone, Debug)]
struct Watched {
    at: Timestamp,
    score: LiquidityScore,
    periods: Vec<Option<Period>>,
}

/// Books of all venues in, one slow number per underlying out.
#[derive(Clone, Debug)]
pub struct Pipeline {
    spec: DepthSpec,
    watched: BTreeMap<Asset, Watched>,
}

fn out_of_domain(error: StatsError) -> Refusal {
    Refusal::new(Reason::Number, error)
}

impl Pipeline {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// [`Reason::Number`] for a parameter that is none.
    pub fn new(mut spec: DepthSpec) -> Result<Self, Refusal> {
        spec.score.venues = spec.venues.len();
        LiquidityScore::new(spec.score).map_err(out_of_domain)?;
        effective_depth(1.0, 0.0, spec.usual_spread).map_err(out_of_domain)?;
        let positive = spec.cap > 0.0 && spec.period_seconds > 0;
        if !positive {
            return refuse(
                Reason::Number,
                format_args!("cap {}, period {} s", spec.cap, spec.period_seconds),
            );
        }
        Ok(Self { spec, watched: BTreeMap::new() })
    }

    /// Takes what a venue's book shows. Where that begins a new period, gives the least depth and the widest spread of the one
    /// before, dated by its end.
    ///
    /// # Errors
    /// [`Reason::Unasked`] for a venue that is not configured, [`Reason::OutOfOrder`] for a reading before the venue's last,
    /// [`Reason::Number`] for a depth or spread that is none.
    pub fn take(&mut self, venue: &str, seen: &Depth) -> Result<Option<Depth>, Refusal> {
        let Some(place) = self.spec.venues.iter().position(|name| name == venue) else {
            return refuse(Reason::Unasked, format_args!("venue {venue}"));
        };
        let worth =
            effective_depth(seen.depth, seen.spread, self.spec.usual_spread).map_err(out_of_domain)?;
        let watched = watched(&mut self.watched, &self.spec, &seen.asset, seen.time)?;
        let Some(period) = watched.periods.get_mut(place) else { return Ok(None) };
        if let Some(last) = period.filter(|last| last.since > seen.time) {
            return refuse(Reason::OutOfOrder, format_args!("{venue} {} after {}", seen.time, last.since));
        }
        let ended = step(period, seen, self.spec.period_seconds);
        let mut depths = vec![None; self.spec.venues.len()];
        if let Some(depth) = depths.get_mut(place) {
            *depth = Some(worth);
        }
        watched.pass(seen.time, &depths)?;
        Ok(ended)
    }

    /// Lets time pass: a venue that is silent grows old.
    ///
    /// # Errors
    /// None that a pipeline that was made can give; the score's own.
    pub fn pass(&mut self, at: Timestamp) -> Result<(), Refusal> {
        let nothing = vec![None; self.spec.venues.len()];
        self.watched.values_mut().try_for_each(|watched| watched.pass(at, &nothing))
    }

    /// The score, quote units, never above the cap; `None` until a venue has been seen for a whole window.
    pub fn score(&self, asset: &Asset) -> Option<f64> {
        let score = self.watched.get(asset)?.score.score().ok()?;
        Some(if score < self.spec.cap { score } else { self.spec.cap })
    }
}

fn watched<'a>(
    all: &'a mut BTreeMap<Asset, Watched>,
    spec: &DepthSpec,
    asset: &Asset,
    at: Timestamp,
) -> Result<&'a mut Watched, Refusal> {
    if !all.contains_key(asset) {
        let score = LiquidityScore::new(spec.score).map_err(out_of_domain)?;
        all.insert(asset.clone(), Watched { at, score, periods: vec![None; spec.venues.len()] });
    }
    all.get_mut(asset).ok_or_else(|| Refusal::new(Reason::Unasked, asset))
}

impl Watched {
    /// Venues' clocks differ: time goes on by the latest of them, and never back.
    fn pass(&mut self, at: Timestamp, depths: &[Option<f64>]) -> Result<(), Refusal> {
        let elapsed = self.at.seconds_until(at).max(0.0);
        self.at = self.at.max(at);
        self.score.update(elapsed, depths).map_err(out_of_domain)
    }
}

/// The period after a reading, and what the one before came to where it is over.
fn step(period: &mut Option<Period>, seen: &Depth, seconds: i64) -> Option<Depth> {
    let Depth { asset, depth, spread, time } = seen.clone();
    let fresh = Period { since: time, depth, spread, least: depth, widest: spread };
    let Some(open) = period else {
        *period = Some(fresh);
        return None;
    };
    if time < open.since.plus_seconds(seconds) {
        (open.depth, open.spread) = (depth, spread);
        (open.least, open.widest) = (open.least.min(depth), open.widest.max(spread));
        return None;
    }
    let ended = Depth { asset, depth: open.least, spread: open.widest, time };
    // What was shown last was in force until now: it belongs to both periods.
    let (least, widest) = (open.depth.min(depth), open.spread.max(spread));
    *period = Some(Period { since: time, depth, spread, least, widest });
    Some(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(venues: &[&str]) -> DepthSpec {
        let score = LiquiditySpec {
            venues: 0,
            slots: 6,
            slot_seconds: 60.0,
            ignored: 0.0,
            hold_seconds: 120.0,
            decay_half_life_seconds: 600.0,
            growth_per_day: 1000.0,
            fall_per_day: 0.999,
            floor: 1.0,
        };
        let venues = venues.iter().map(|v| (*v).to_owned()).collect();
        DepthSpec { venues, period_seconds: 10, usual_spread: 0.001, cap: 1e6, score }
    }

    fn seen(second: i64, depth: f64) -> Depth {
        let asset = "BTC".parse().unwrap();
        Depth { asset, depth, spread: 0.0005, time: Timestamp::from_seconds(1_700_000_000 + second) }
    }

    /// What a second-by-second course of depth comes to: what the engine is told, and the score.
    fn course(depth: impl Fn(i64) -> f64) -> (Vec<f64>, f64) {
        let mut pipeline = Pipeline::new(spec(&["a"])).unwrap();
        let mut told = Vec::new();
        for second in 0..1200 {
            told.extend(pipeline.take("a", &seen(second, depth(second))).unwrap().map(|d| d.depth));
        }
        (told, pipeline.score(&"BTC".parse().unwrap()).unwrap())
    }

    #[test]
    fn f35_a_hundred_times_the_depth_for_one_tick_changes_nothing() {
        let (told, score) = course(|_| 1000.0);
        for at in [1, 59, 600, 601, 609, 1199] {
            let spoofed = course(|second| if second == at { 100_000.0 } else { 1000.0 });
            assert_eq!(spoofed, (told.clone(), score), "second {at}");
        }
    }

    #[test]
    fn f34_an_empty_book_is_told_at_once_and_the_score_follows_slowly() {
        let (told, score) = course(|second| if second == 605 { 0.0 } else { 1000.0 });
        assert_eq!(told.iter().filter(|d| **d == 0.0).count(), 1);
        assert!(score > 900.0, "{score}");
    }

    #[test]
    fn more_depth_at_any_time_never_lowers_the_score() {
        let base = |second: i64| 500.0 + 100.0 * (second % 7) as f64;
        let (_, lower) = course(base);
        for from in [0, 300, 900] {
            for length in [1, 60, 600] {
                let more = |second: i64| {
                    base(second) + if (from..from + length).contains(&second) { 300.0 } else { 0.0 }
                };
                assert!(course(more).1 >= lower);
            }
        }
    }

    #[test]
    fn the_score_is_capped_and_one_deep_venue_of_three_does_not_make_it() {
        let mut pipeline = Pipeline::new(spec(&["a", "b", "c"])).unwrap();
        let asset: Asset = "BTC".parse().unwrap();
        for second in 0..1200 {
            pipeline.take("a", &seen(second, 1e12)).unwrap();
            pipeline.take("b", &seen(second, 2000.0)).unwrap();
            pipeline.take("c", &seen(second, 1000.0)).unwrap();
        }
        assert_eq!(pipeline.score(&asset), Some(2000.0));
        assert_eq!(course(|_| 1e12).1, 1e6);
        assert_eq!(pipeline.take("d", &seen(0, 1.0)).map_err(|r| r.reason), Err(Reason::Unasked));
        assert_eq!(pipeline.take("a", &seen(0, 1.0)).map_err(|r| r.reason), Err(Reason::OutOfOrder));
        assert_eq!(pipeline.take("a", &seen(2000, f64::NAN)).map_err(|r| r.reason), Err(Reason::Number));
    }

    #[test]
    fn a_venue_that_falls_silent_is_worth_half_after_a_half_life() {
        let mut pipeline = Pipeline::new(spec(&["a"])).unwrap();
        for second in 0..1200 {
            pipeline.take("a", &seen(second, 1000.0)).unwrap();
        }
        for minute in 0..60 {
            pipeline.pass(seen(1200 + 60 * minute, 0.0).time).unwrap();
        }
        assert!(pipeline.score(&"BTC".parse().unwrap()).unwrap() < 800.0);
    }
}
