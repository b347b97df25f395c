//! Stretches of high volatility, for the eye.
//!
//! **The one idea:** the bands behind a picture come from the same online filter that a policy may read: two states, estimated
//! anew on a schedule from what was past then. No margin depends on them.

use crate::history::History;
use plimsoll_quant::garch::Law;
use plimsoll_quant::regime::{EmOptions, RollingRegime, RollingRegimeSpec};
use plimsoll_quant::stats::StatsError;
use plimsoll_types::Timestamp;

const DAY: i64 = 86_400;
const SPEC: RollingRegimeSpec = RollingRegimeSpec {
    states: 2,
    law: Law::StudentT { nu: 5.0 },
    window: 730,
    needed: 250,
    refit_every: 60,
    options: EmOptions::usual(),
};
/// The volatile state holds above this probability, and until the other one has it.
const ENTER: f64 = 0.8;

/// Stretches in which the volatile one of two regimes holds, by daily closes: from and to, in order.
///
/// # Errors
/// [`StatsError`] for returns that are not finite.
pub fn stressed(history: &History) -> Result<Vec<(Timestamp, Timestamp)>, StatsError> {
    let mut filter = RollingRegime::new(SPEC)?;
    let mut bands: Vec<(Timestamp, Timestamp)> = Vec::new();
    let (mut last, mut open): (Option<(i64, f64)>, Option<Timestamp>) = (None, None);
    for (time, bar) in &history.rows {
        let day = time.seconds().div_euclid(DAY);
        let Some((before, price)) = last else {
            last = Some((day, bar.close));
            continue;
        };
        if day == before {
            continue;
        }
        last = Some((day, bar.close));
        filter.update(bar.close / price - 1.0)?;
        let volatile = filter.filter().ok().and_then(|f| f.probabilities().last().copied()).unwrap_or(0.0);
        match open {
            None if volatile > ENTER => open = Some(*time),
            Some(from) if volatile < 1.0 - ENTER => {
                bands.push((from, *time));
                open = None;
            }
            _ => {}
        }
    }
    let end = history.rows.last().map(|row| row.0);
    bands.extend(open.zip(end));
    Ok(bands)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
    use super::*;
    use crate::history::{PriceRow, clean};
    use plimsoll_types::Asset;

    #[test]
    fn a_wild_stretch_is_a_band_that_begins_after_it_does() {
        let mut price = 100.0;
        let row = |day: i64| {
            let size = if (700..800).contains(&day) || (350..420).contains(&day) { 0.08 } else { 0.01 };
            price *= 1.0 + size * (((day * 37) % 101) as f64 / 50.0 - 1.0);
            PriceRow {
                time: Timestamp::from_seconds(day * DAY),
                open: None,
                high: None,
                low: None,
                close: price,
            }
        };
        let history = clean(Asset::new("BTC").unwrap(), (0..1000).map(row).collect()).unwrap();
        let bands = stressed(&history).unwrap();
        let found = bands.iter().find(|(from, _)| from.seconds() / DAY >= 650).unwrap();
        let (from, to) = (found.0.seconds() / DAY, found.1.seconds() / DAY);
        assert!((700..725).contains(&from) && (795..830).contains(&to), "{from} to {to}");
    }
}
