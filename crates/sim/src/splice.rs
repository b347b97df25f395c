//! Several sources of one asset, joined.
//!
//! **The one idea:** returns are spliced and not prices, so that two sources that disagree on the level make no jump. The source
//! that begins later takes over at its first row; everything before is rescaled to its price there. Sources that share no instant
//! are parts of one series: the return between them is that of their prices. One that ends before another does adds nothing after
//! its own rows, and is left out.

use crate::history::{Fault, Findings, GAP_SECONDS_MAX, History, HistoryError, SHARED_MOST};
use plimsoll_policy::Bar;
use std::collections::BTreeMap;

/// Parts that share no instant are one series only where the price between them moves by no more than this factor either way.
const LEVEL_MAX: f64 = 5.0;

/// Joins histories of one asset in the order of their first rows; `None` of none. The ratio of prices at each seam is reported.
///
/// # Errors
/// [`HistoryError::Spacing`] where the sources have rows at another spacing, [`HistoryError::Gap`] where nothing is between them for
/// longer than is bridged, [`HistoryError::Disagree`] where two say different things of the same instants, [`HistoryError::Seam`] where parts that share no instant look to be in different units.
pub fn splice(mut sources: Vec<History>) -> Result<Option<History>, HistoryError> {
    sources.sort_by_key(|history| history.rows.first().map(|row| row.0));
    let mut all = sources.into_iter();
    let Some(mut joined) = all.next() else { return Ok(None) };
    for next in all {
        if next.step_seconds != joined.step_seconds {
            let (first, second) = (joined.step_seconds, next.step_seconds);
            return Err(HistoryError::Spacing { asset: joined.asset, first, second });
        }
        joined = join(joined, next)?;
    }
    Ok(Some(joined))
}

/// Refuses sources that are apart at more than one in a hundred of the instants that both have, beside the ratio they usually are.
fn agree(before: &History, after: &History) -> Result<(), HistoryError> {
    let known: BTreeMap<_, f64> = before.rows.iter().map(|(time, bar)| (*time, bar.close)).collect();
    let pair = |(time, bar): &(_, Bar)| Some((*time, *known.get(time)?, bar.close));
    let shared: Vec<_> = after.rows.iter().filter_map(pair).collect();
    let mut ratios: Vec<f64> = shared.iter().map(|(_, first, second)| second / first).collect();
    ratios.sort_by(f64::total_cmp);
    let Some(ratio) = ratios.get(ratios.len() / 2).copied() else { return Ok(()) };
    let near = 1.0 / SHARED_MOST..=SHARED_MOST;
    let apart = |(_, first, second): &&(_, f64, f64)| !near.contains(&(second / first / ratio));
    let mut all = shared.iter().filter(apart);
    let Some((at, first, second)) = all.next().copied() else { return Ok(()) };
    let (asset, count, shared) = (before.asset.clone(), 1 + all.count(), shared.len());
    if 100 * count <= shared {
        return Ok(());
    }
    Err(HistoryError::Disagree { asset, shared, count, at, first, second, ratio })
}

fn join(before: History, after: History) -> Result<History, HistoryError> {
    let Some((start, first)) = after.rows.first().copied() else { return Ok(before) };
    agree(&before, &after)?;
    let last = |history: &History| history.rows.last().map(|row| row.0);
    if last(&after) <= last(&before) {
        return Ok(History { findings: found(&before, &after).into_list(), ..before });
    }
    let kept = before.rows.partition_point(|(time, _)| *time <= start);
    let seam = kept.checked_sub(1).and_then(|i| before.rows.get(i));
    if let Some((from, _)) = seam.filter(|(time, _)| start.seconds() - time.seconds() > GAP_SECONDS_MAX) {
        return Err(HistoryError::Gap { asset: before.asset, from: *from, to: start });
    }
    let level = seam.map_or(1.0, |(_, bar)| first.close / bar.close);
    if seam.is_some_and(|(time, _)| *time < start) && !(1.0 / LEVEL_MAX..=LEVEL_MAX).contains(&level) {
        return Err(HistoryError::Seam { asset: before.asset, at: start, ratio: level });
    }
    let ratio = seam.filter(|(time, _)| *time == start).map_or(1.0, |(_, bar)| first.close / bar.close);
    let scaled = |bar: &Bar| Bar {
        open: bar.open * ratio,
        high: bar.high * ratio,
        low: bar.low * ratio,
        close: bar.close * ratio,
    };
    let mut findings = found(&before, &after);
    findings.add(Fault::Splice, start, ratio);
    let older = before.rows.iter().take_while(|(time, _)| *time < start);
    let mut rows: Vec<_> = older.map(|(time, bar)| (*time, scaled(bar))).collect();
    rows.extend(after.rows);
    let History { asset, step_seconds, .. } = before;
    Ok(History { asset, step_seconds, rows, findings: findings.into_list() })
}

/// What was found in either.
fn found(before: &History, after: &History) -> Findings {
    let mut all = Findings::default();
    all.merge(&before.findings);
    all.merge(&after.findings);
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::history::{PriceRow, clean};
    use plimsoll_types::{Asset, Timestamp};

    fn source(days: std::ops::Range<i64>, price: impl Fn(i64) -> f64) -> History {
        let row = |day: i64| PriceRow {
            time: Timestamp::from_seconds(day * 86_400),
            open: None,
            high: None,
            low: None,
            close: price(day),
        };
        clean(Asset::new("BTC").unwrap(), days.map(row).collect()).unwrap()
    }

    #[test]
    fn two_levels_make_no_jump_and_every_return_is_of_one_source() {
        let wave = |day: i64| 1.0 + 0.1 * ((day * 3 % 7) as f64);
        let early = source(0..60, |day| 100.0 * wave(day));
        let late = source(40..90, |day| 103.0 * wave(day));
        let joined = splice(vec![late.clone(), early.clone()]).unwrap().unwrap();
        assert_eq!(joined.rows.len(), 90);
        let change = |of: &History, day: usize, start: usize| {
            of.rows[day - start].1.close / of.rows[day - 1 - start].1.close
        };
        for day in 1..=40 {
            assert!((change(&joined, day, 0) - change(&early, day, 0)).abs() < 1e-12, "day {day}");
        }
        for day in 41..90 {
            assert!((change(&joined, day, 0) - change(&late, day, 40)).abs() < 1e-12, "day {day}");
        }
        let seam = joined.findings.iter().find(|f| f.fault == Fault::Splice).unwrap();
        assert!((seam.worst - 1.03).abs() < 1e-12);
    }

    #[test]
    fn parts_that_share_no_instant_keep_the_return_between_them() {
        let wave = |day: i64| 100.0 + 40.0 * ((day * 3 % 7) as f64);
        let whole = source(0..90, wave);
        let joined = splice(vec![source(45..90, wave), source(0..45, wave)]).unwrap().unwrap();
        assert_eq!(joined.rows, whole.rows);
        let within = splice(vec![whole.clone(), source(30..60, wave)]).unwrap().unwrap();
        assert_eq!(within.rows, whole.rows);
        let dearer = splice(vec![source(0..45, wave), source(45..90, |day| 10.0 * wave(day))]);
        assert!(matches!(dearer, Err(HistoryError::Seam { .. })), "another unit");
        let apart = splice(vec![source(0..45, wave), source(80..120, wave)]);
        assert!(matches!(apart, Err(HistoryError::Gap { .. })));
    }

    #[test]
    fn files_that_say_different_things_of_the_same_days_are_refused() {
        let wave = |day: i64| 100.0 + 40.0 * ((day * 3 % 7) as f64);
        let whole = source(0..90, wave);
        // Another level is no contradiction, one far point is a misprint of one source, and another path is another asset.
        splice(vec![whole.clone(), source(10..120, |day| 1.3 * wave(day))]).unwrap();
        let refused = splice(vec![whole.clone(), source(10..120, |day| wave(day + 2))]).unwrap_err();
        assert!(matches!(refused, HistoryError::Disagree { shared: 80, .. }), "{refused}");
        let within = splice(vec![whole, source(30..60, |day| wave(day + 2))]).unwrap_err();
        assert!(matches!(within, HistoryError::Disagree { shared: 30, .. }), "{within}");
    }

    #[test]
    fn another_spacing_is_refused() {
        let mut hourly = source(0..60, |day| 100.0 + (day % 5) as f64);
        hourly.step_seconds = 3600;
        let daily = source(0..60, |day| 100.0 + (day % 5) as f64);
        assert!(matches!(splice(vec![hourly, daily]), Err(HistoryError::Spacing { .. })));
    }
}
