//! What was lost on sampled books, at the venue's own marks.
//!
//! **The one idea:** a loss is found in what the venue marked and in nothing that was fitted: each position is valued at its mark when
//! the margin was set and at its mark at the first chain at or after the horizon, inverse options at their coins times the index
//! of the chain. Where there is no mark then:
//!
//! | the option | is worth | counted as |
//! |---|---|---|
//! | has expired | what it pays at the index of the first chain at or after its expiry | settled |
//! | is not marked | its value on the surface fitted to the chain of then | unmarked |
//! | nor valued | what it would pay at the index of then | unmarked |

use super::books::Held;
use super::moment::{Listing, Moment, Quote};
use plimsoll_risk::value;
use plimsoll_types::{Asset, Instrument, OptionKind, Timestamp, Units, nearest_f64};

/// A loss is not judged where the first chain at or after the horizon is later than this.
const LATE_SECONDS_MAX: f64 = 86_400.0;

/// How positions were valued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Positions valued at a mark.
    pub marked: u64,
    /// Expired in between.
    pub settled: u64,
    /// Listed no longer, or without a mark.
    pub unmarked: u64,
}

/// What was lost over a horizon from a chain on.
#[derive(Clone, PartialEq, Debug)]
pub struct Lost {
    /// The instant at which it was judged.
    pub until: Timestamp,
    /// Index then over index before.
    pub ratio: f64,
    /// By book, quote units; below 0 for a gain.
    pub losses: Vec<f64>,
    /// How positions were valued, by book.
    pub counted: Vec<Counted>,
}

/// The losses of what was held of an asset at a moment; `None` where no chain of the asset comes in time.
pub fn lost(
    moments: &[Moment],
    (asset, from): (&Asset, usize),
    held: &[Held],
    horizon: i64,
    units: &Units,
) -> Option<Lost> {
    let start = moments.get(from)?;
    let listing = start.listings.get(asset)?;
    let due = start.at.plus_seconds(horizon);
    let (then, later) = first_at_or_after(moments, asset, due)?;
    if due.seconds_until(then) > LATE_SECONDS_MAX {
        return None;
    }
    let worths: Vec<(f64, Counted)> =
        listing.quotes.iter().map(|quote| worth(moments, (asset, quote), (then, later), units)).collect();
    let lot = nearest_f64(units.lot(&Instrument::spot(asset.clone())));
    let (mut losses, mut counted) = (Vec::with_capacity(held.len()), Vec::with_capacity(held.len()));
    for held in held {
        let mut gain = (held.spot + held.perpetual) as f64 * lot * (later.index - listing.index);
        let mut count = Counted::default();
        for (place, lots) in &held.options {
            let place = *place as usize;
            let Some((quote, (worth, how))) = listing.quotes.get(place).zip(worths.get(place)) else {
                continue;
            };
            gain += *lots as f64 * nearest_f64(units.lot(&quote.instrument)) * (worth - quote.mark);
            count.marked += how.marked;
            count.settled += how.settled;
            count.unmarked += how.unmarked;
        }
        losses.push(-gain);
        counted.push(count);
    }
    Some(Lost { until: then, ratio: later.index / listing.index, losses, counted })
}

fn first_at_or_after<'m>(
    moments: &'m [Moment],
    asset: &Asset,
    at: Timestamp,
) -> Option<(Timestamp, &'m Listing)> {
    let later = moments.get(moments.partition_point(|moment| moment.at < at)..)?;
    later.iter().find_map(|moment| Some((moment.at, moment.listings.get(asset)?)))
}

/// What a coin of an option is worth then, quote units.
fn worth(
    moments: &[Moment],
    (asset, quote): (&Asset, &Quote),
    (then, later): (Timestamp, &Listing),
    units: &Units,
) -> (f64, Counted) {
    let none = Counted::default();
    if quote.expiry <= then {
        let settled = first_at_or_after(moments, asset, quote.expiry).map_or(later, |(_, listing)| listing);
        return (pays(quote, settled.index), Counted { settled: 1, ..none });
    }
    if let Some(mark) = later.mark(&quote.instrument) {
        return (mark, Counted { marked: 1, ..none });
    }
    let fitted = value(&later.surface, &quote.instrument, units).ok().map(|valued| valued.mark);
    (fitted.unwrap_or_else(|| pays(quote, later.index)), Counted { unmarked: 1, ..none })
}

/// What an option pays at an index. Coins of an inverse one are worth the index then.
fn pays(quote: &Quote, index: f64) -> f64 {
    let side = if quote.kind == OptionKind::Call { 1.0 } else { -1.0 };
    let inner = side * (index - quote.strike);

    if inner > 0.0 { inner } else { 0.0 }
}
