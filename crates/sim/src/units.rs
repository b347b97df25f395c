//! Prices in another unit, and prices that are none.
//!
//! **The one idea:** a source that errs does so out of a calm sky and says so in its bars, and a market that crashes does neither.
//! So a row [`OFF`] times off or more is judged by what is around it, in this order:
//!
//! 1. its own bar opens within a factor of two of the last price and holds its close: it was traded, and is kept;
//! 2. at most [`SETTLED`] rows later the price is within a factor of two of the last one: those rows are misplaced points;
//! 3. it is [`FACTOR_MAX`] times off: no price moves so, the file is refused;
//! 4. one of the [`SETTLED`] moves before it or after it is by more than a factor of two: it is a step of a crash (LUNA's last
//!    week), and is kept;
//! 5. fewer than [`SETTLED`] rows follow: nobody can tell, the file is refused;
//! 6. it is a power of ten to a quarter: a change of unit, and what came before is rescaled; above [`CHANGES_MAX`] the file is
//!    refused;
//! 7. it is a move.
//!
//! A fall by nine tenths out of calm and into calm in a file without opens is taken for a change of unit: nothing in such a
//! file tells them apart. It is counted, and opens tell.

use crate::history::{Fault, Findings, HistoryError, PriceRow, is_price};
use plimsoll_quant::special::{ln, pow};
use plimsoll_types::Asset;

/// What is looked at: so many times the last price, or over so many.
const OFF: f64 = 8.0;
/// What is near: within this factor.
const NEAR: f64 = 2.0;
/// Rows that settle a matter.
const SETTLED: usize = 5;
/// Changes of unit that a file may have.
const CHANGES_MAX: usize = 3;
/// No price moves so far in one row.
const FACTOR_MAX: f64 = 1e6;
/// How far a ratio may be from a power of ten and still be a change of unit, as a share.
const TOLERANCE: f64 = 0.25;

/// What a row is.
enum Judgement {
    /// A price.
    Sound,
    /// So many rows that are none.
    Misplaced(usize),
    /// The first row in a unit so many times the last one.
    Unit(f64),
}

/// Puts all prices into the last unit, and leaves out rows that for a moment are far off.
pub(crate) fn units(
    asset: &Asset,
    rows: &mut Vec<PriceRow>,
    findings: &mut Findings,
) -> Result<(), HistoryError> {
    let mut kept: Vec<PriceRow> = Vec::with_capacity(rows.len());
    let mut scales: Vec<(usize, f64)> = Vec::new();
    let mut ahead = rows.as_slice();
    while let Some((row, rest)) = ahead.split_first() {
        let degree = kept.last().map_or(1.0, |last| row.close / last.close);
        // A number to read: how far beyond a million is nothing to a reader.
        let degree = degree.max(1.0 / degree).min(FACTOR_MAX);
        match judge(asset, &kept, ahead)? {
            Judgement::Misplaced(count) => {
                let (misplaced, after) = ahead.split_at(count);
                misplaced.iter().for_each(|row| findings.add(Fault::MisplacedPoint, row.time, degree));
                ahead = after;
                continue;
            }
            Judgement::Unit(factor) => {
                findings.add(Fault::UnitChange, row.time, factor.max(1.0 / factor));
                scales.push((kept.len(), factor));
            }
            Judgement::Sound => {}
        }
        kept.push(*row);
        ahead = rest;
    }
    if scales.len() > CHANGES_MAX {
        let (asset, count) = (asset.clone(), scales.len());
        return Err(HistoryError::Units { asset, count, most: CHANGES_MAX });
    }
    rescale(&mut kept, &scales);
    *rows = kept;
    Ok(())
}

/// The first row of `ahead` after the rows that were kept.
fn judge(asset: &Asset, kept: &[PriceRow], ahead: &[PriceRow]) -> Result<Judgement, HistoryError> {
    let (Some(last), Some((row, rest))) = (kept.last(), ahead.split_first()) else {
        return Ok(Judgement::Sound);
    };
    let ratio = row.close / last.close;
    if within(ratio, OFF) || traded(row, last) {
        return Ok(Judgement::Sound);
    }
    let near_by = ahead.iter().take(SETTLED + 1);
    let off = near_by.take_while(|row| !within(row.close / last.close, OFF)).count();
    if off <= SETTLED && ahead.get(off).is_some_and(|row| within(row.close / last.close, NEAR)) {
        return Ok(Judgement::Misplaced(off));
    }
    let (asset, time) = (asset.clone(), row.time);
    if !within(ratio, FACTOR_MAX) {
        return Err(HistoryError::Beyond { asset, time, ratio });
    }
    let before = kept.get(kept.len().saturating_sub(SETTLED + 1)..).unwrap_or_default();
    let after = ahead.get(..ahead.len().min(SETTLED + 1)).unwrap_or_default();
    if !is_calm(before) || !is_calm(after) {
        return Ok(Judgement::Sound);
    }
    if rest.len() < SETTLED {
        return Err(HistoryError::Undecided { asset, time, ratio, rows: rest.len() });
    }
    Ok(power_of_ten(ratio).map_or(Judgement::Sound, Judgement::Unit))
}

fn within(ratio: f64, factor: f64) -> bool {
    ratio <= factor && ratio >= 1.0 / factor
}

/// Whether the bar of a row goes from near the last price to its close.
fn traded(row: &PriceRow, last: &PriceRow) -> bool {
    let holds = row.high.is_none_or(|high| high >= row.close) && row.low.is_none_or(|low| low <= row.close);
    holds && row.open.is_some_and(|open| is_price(open) && within(open / last.close, NEAR))
}

fn is_calm(rows: &[PriceRow]) -> bool {
    rows.windows(2).all(|pair| within(pair[1].close / pair[0].close, NEAR))
}

/// The power of ten, not 1, that a ratio is to 25 %.
fn power_of_ten(ratio: f64) -> Option<f64> {
    let power = (ln(ratio) / std::f64::consts::LN_10).round();
    let factor = pow(10.0, power);
    (power != 0.0 && within(ratio / factor, 1.0 + TOLERANCE)).then_some(factor)
}

/// Multiplies every row before each place by its factor.
fn rescale(rows: &mut [PriceRow], scales: &[(usize, f64)]) {
    let mut factor = 1.0;
    let mut left = scales.iter().rev().peekable();
    for (i, row) in rows.iter_mut().enumerate().rev() {
        if factor != 1.0 {
            row.close *= factor;
            for price in [&mut row.open, &mut row.high, &mut row.low].into_iter().flatten() {
                *price *= factor;
            }
        }
        if let Some((_, scale)) = left.next_if(|(at, _)| *at == i) {
            factor *= scale;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::history::{History, clean};
    use plimsoll_types::Timestamp;

    fn row(day: i64, close: f64) -> PriceRow {
        let time = Timestamp::from_seconds(1_600_000_000 + day * 86_400);
        PriceRow { time, open: None, high: None, low: None, close }
    }

    fn prices(count: i64) -> Vec<PriceRow> {
        (0..count).map(|day| row(day, 100.0 + ((day * 7) % 11) as f64)).collect()
    }

    fn of(closes: &[f64]) -> Vec<PriceRow> {
        (0..).zip(closes).map(|(day, close)| row(day, *close)).collect()
    }

    fn made(rows: Vec<PriceRow>) -> Result<History, HistoryError> {
        clean(Asset::new("BTC").unwrap(), rows)
    }

    fn steepest(history: &History) -> f64 {
        let moves = history.rows.windows(2).map(|pair| ln(pair[1].1.close / pair[0].1.close).abs());
        moves.fold(0.0, f64::max)
    }

    #[test]
    fn a_change_of_unit_makes_no_return_and_a_crash_that_was_traded_does() {
        let mut rows = prices(300);
        rows[150..].iter_mut().for_each(|row| row.close /= 10.0);
        let history = made(rows.clone()).unwrap();
        assert_eq!((history.count(Fault::UnitChange), history.rows.len()), (1, 300));
        assert!(steepest(&history) < 0.2);
        rows[150].open = Some(rows[149].close);
        let history = made(rows.clone()).unwrap();
        assert!(history.findings.is_empty() && steepest(&history) > 2.0, "it was traded through");
        // A bar whose high does not reach its close does not say that.
        (rows[150].open, rows[150].low) = (Some(100.0), Some(90.0));
        assert_eq!(made(rows).unwrap().count(Fault::UnitChange), 1);
    }

    #[test]
    fn lunas_last_week_is_a_crash_and_no_change_of_unit() {
        // Closes of 2022-05-01 to 2022-05-20; 0.0045 to 0.00005 is a hundredth to 11 %.
        let closes = [
            80.0, 82.1, 85.3, 86.0, 82.7, 77.4, 68.6, 64.1, 30.4, 17.5, 1.05, 0.0045, 0.00005, 0.0002,
            0.0002, 0.00018, 0.00019, 0.00017, 0.00016, 0.00015,
        ];
        let history = made(of(&closes)).unwrap();
        assert!(history.findings.is_empty(), "{:?}", history.findings);
        assert_eq!(history.rows[9].1.close, 17.5);
        // By tens, one after the other, as an adversary would have it; and broken off on the way down.
        let mut rows = prices(300);
        rows[150].close *= 0.1;
        rows[151..].iter_mut().for_each(|row| row.close *= 0.01);
        assert!(made(rows).unwrap().findings.is_empty());
        assert!(made(of(&closes[..11])).unwrap().findings.is_empty());
    }

    #[test]
    fn rows_that_are_far_off_for_a_moment_are_left_out() {
        for (off, count) in [(10.0, 1), (50.0, 1), (1e300, 1), (1e-300, 1), (0.02, 2), (100.0, 5)] {
            let mut rows = prices(1000);
            rows[150..150 + count].iter_mut().for_each(|row| row.close *= off);
            let history = made(rows).unwrap();
            assert_eq!((history.count(Fault::MisplacedPoint), history.rows.len()), (count, 1000 - count));
            assert!(steepest(&history) < 0.2, "{off}");
        }
        // The market moved meanwhile, so that neither ratio is a power of ten.
        let mut rows = prices(300);
        rows[150].close = 11.0 * rows[149].close;
        rows[151..].iter_mut().for_each(|row| row.close *= 0.8);
        let history = made(rows).unwrap();
        assert_eq!((history.count(Fault::MisplacedPoint), history.count(Fault::UnitChange)), (1, 0));
        assert!(steepest(&history) < 0.4);
    }

    #[test]
    fn what_no_rule_bounds_is_refused_with_its_number() {
        let mut rows = prices(1001);
        rows.iter_mut().skip(1).step_by(2).for_each(|row| row.close *= 10.0);
        assert!(matches!(made(rows), Err(HistoryError::TooMany { count: 500, rows: 1001, .. })));
        let mut rows = prices(1000);
        for start in [100, 300, 500, 700] {
            rows[start..].iter_mut().for_each(|row| row.close *= 10.0);
        }
        assert!(matches!(made(rows.clone()), Err(HistoryError::Units { count: 4, most: 3, .. })));
        rows[700..].iter_mut().for_each(|row| row.close /= 10.0);
        assert_eq!(made(rows).unwrap().count(Fault::UnitChange), 3);
        let mut rows = prices(1000);
        rows[999].close *= 10.0;
        assert!(matches!(made(rows), Err(HistoryError::Undecided { rows: 0, .. })));
        let mut rows = prices(1000);
        rows[500..].iter_mut().for_each(|row| row.close *= 1e250);
        assert!(matches!(made(rows), Err(HistoryError::Beyond { .. })));
    }

    #[test]
    fn forty_thousand_misplaced_points_are_found_in_a_moment() {
        let mut rows = prices(80_001);
        rows.iter_mut().skip(1).step_by(2).for_each(|row| row.close *= 10.0);
        assert!(matches!(made(rows), Err(HistoryError::TooMany { count: 40_000, .. })));
    }
}
