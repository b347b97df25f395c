//! One price out of several sources.

use super::checks::Checks;
use plimsoll_types::{IndexPrice, Reason};

/// A source that passed on its own: price and relative confidence (the floor if it states none).
#[derive(Clone, Copy)]
struct Sound<'a> {
    price: f64,
    confidence: f64,
    stated: bool,
    source: &'a str,
}

/// Median of the sound sources that agree and the largest of their relative confidences; `None` when there is none, or
/// when no majority agrees.
pub(super) fn consensus(checks: &mut Checks, sources: &[IndexPrice]) -> Option<(f64, f64)> {
    let mut sound: Vec<Sound> = sources.iter().filter_map(|s| sound_alone(checks, s)).collect();
    let refused = drop_wide(checks, &mut sound);
    sound.sort_by(|a, b| a.price.total_cmp(&b.price));
    let centre = median(&sound)?;
    let band = checks.times.params.disagreement_max;
    let far = |s: &Sound| (s.price - centre).abs() > band * centre;
    // Of two, each is half the distance from the middle, so the band is put on the distance between them.
    let apart =
        |s: &Sound| if sound.len() == 2 { 2.0 * (s.price - centre).abs() > band * centre } else { far(s) };
    let (out, agreeing): (Vec<Sound>, Vec<Sound>) = sound.iter().partition(|s| apart(s));
    for s in &out {
        let subject = format!("{} index of {}", checks.asset, s.source);
        checks.refuse(Reason::Outlier, &subject, Some((s.price, Some(centre))));
    }
    if 2 * agreeing.len() <= sound.len() {
        return None;
    }
    // Sources that say nothing of their confidence do not make a wide interval narrow.
    let known = agreeing.iter().any(|s| s.stated);
    let least = if known { 0.0 } else { refused.unwrap_or(0.0) };
    let confidence = agreeing.iter().fold(least, |most: f64, s| most.max(s.confidence));
    Some((median(&agreeing)?, confidence))
}

/// Finite, positive, current, and with a confidence that is one.
fn sound_alone<'a>(checks: &mut Checks, source: &'a IndexPrice) -> Option<Sound<'a>> {
    let name = format!("{} index of {}", checks.asset, source.source);
    let price = checks.positive(&name, "price", source.price)?;
    if !checks.is_current(&name, source.time, checks.times.params.index_age_seconds_max) {
        return None;
    }
    let floor = checks.times.params.confidence_floor;
    let Some(stated) = source.confidence else {
        return Some(Sound { price, confidence: floor, stated: false, source: &source.source });
    };
    if !stated.is_finite() {
        checks.refuse(Reason::NonFinite, &format!("{name}.confidence"), Some((stated, None)));
        return None;
    }
    if stated < 0.0 || stated > price {
        checks.refuse(Reason::BadConfidence, &name, Some((stated, Some(price))));
        return None;
    }
    if stated == 0.0 {
        checks.refuse(Reason::BadConfidence, &name, Some((0.0, Some(floor * price))));
    }
    let confidence = if stated == 0.0 { floor } else { stated / price };
    Some(Sound { price, confidence, stated: true, source: &source.source })
}

/// Drops the wide ones; when all are wide the narrowest stays. The narrowest dropped confidence, if any was.
fn drop_wide(checks: &mut Checks, sound: &mut Vec<Sound>) -> Option<f64> {
    let limit = checks.times.params.confidence_max;
    for s in sound.iter().filter(|s| s.confidence > limit) {
        let subject = format!("{} index of {}", checks.asset, s.source);
        checks.refuse(Reason::WideConfidence, &subject, Some((s.confidence, Some(limit))));
    }
    let least = sound.iter().map(|s| s.confidence).min_by(f64::total_cmp)?;
    let keep = limit.max(least);
    let dropped = sound.iter().map(|s| s.confidence).filter(|c| *c > keep).min_by(f64::total_cmp);
    sound.retain(|s| s.confidence <= keep);
    dropped
}

/// Middle of prices in order, or the mean of the two middle ones.
fn median(sorted: &[Sound]) -> Option<f64> {
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?.price;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = sorted.get(middle - 1)?.price;
    Some(lower + 0.5 * (upper - lower))
}
