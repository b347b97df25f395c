//! What the signer signs at most: bounds of its own, which the engine neither reads nor sets.

use super::document::{Document, Parameter};
use super::ledger::{Kept, Stretch};
use anyhow::{Context, bail};
use plimsoll_engine::live::Reject;
use plimsoll_policy::Ramp;
use plimsoll_types::{NANO, Ppb, Rounding, Timestamp, mul_div};
use serde::Deserialize;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

/// Every reason for which a document is not signed.
pub const REASONS: [&str; 15] = [
    "form",
    "sequence",
    "equivocation",
    "version",
    "time",
    "valid_until",
    "missing",
    "unbounded",
    "floor",
    "ceiling",
    "path",
    "step",
    "notice",
    "rate",
    "ledger",
];

/// The most legs of a path.
const LEGS_MAX: usize = 4_096;

/// Paths are signed in whole milliseconds, rounded when they are cut anew: so far apart two of one path may be.
const ROUNDED_NANOS: i64 = 2_000_000;

/// The file of bounds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// How often it signs.
    pub rate: Rate,
    /// How far from the signer's clock a document may be dated, seconds.
    pub clock_seconds: i64,
    /// For how long a document may be good, seconds.
    pub valid_seconds_max: i64,
    /// Of parameters: the first whose `of` fits a name counts.
    pub parameters: Vec<Bound>,
}

/// At most so many signatures within a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Signatures.
    pub signatures: usize,
    /// Seconds.
    pub seconds: i64,
}

/// The bounds of a parameter, or of several. Changes are relative.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// A name; with `*` at its end, all that begin so.
    pub of: String,
    /// Least value.
    pub floor: Ppb,
    /// Largest value.
    pub ceiling: Ppb,
    /// Largest rise within the window: at most `1 + up` times the least value signed in it.
    pub up: Ppb,
    /// Largest fall within the window: at least `1 - down` times the largest value signed in it.
    pub down: Ppb,
    /// The window, seconds.
    pub window_seconds: i64,
    /// Least time from a signature until existing positions feel a rise that it announces, seconds.
    pub notice_seconds: i64,
}

fn refuse<T>(code: &str, detail: impl Into<String>) -> Result<T, Reject> {
    Err(Reject::new(code, detail))
}

impl Bounds {
    /// Reads a file.
    ///
    /// # Errors
    /// What is not readable, not known, or bounds nothing.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let at = || path.display().to_string();
        Self::parse(&std::fs::read_to_string(path).with_context(at)?).with_context(at)
    }

    /// As [`Bounds::read`], of a text.
    ///
    /// # Errors
    /// As there.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let bounds: Self = toml::from_str(text)?;
        let Rate { signatures, seconds } = bounds.rate;
        if !(1..=1_000).contains(&signatures) || !(1..=604_800).contains(&seconds) {
            bail!("`rate`: expected 1 to 1000 signatures within 1 to 604800 seconds");
        }
        if !(1..=3_600).contains(&bounds.clock_seconds) {
            bail!("`clock_seconds` is {}: expected 1 to 3600", bounds.clock_seconds);
        }
        if !(60..=2_592_000).contains(&bounds.valid_seconds_max) {
            bail!("`valid_seconds_max` is {}: expected 60 to 2592000", bounds.valid_seconds_max);
        }
        for bound in &bounds.parameters {
            let Bound { of, floor, ceiling, up, down, window_seconds, notice_seconds } = bound;
            let sound = Ppb::ZERO < *floor
                && floor <= ceiling
                && Ppb::ZERO < *up
                && (1..NANO).contains(&down.0)
                && (1..=31_536_000).contains(window_seconds)
                && (0..=1_209_600).contains(notice_seconds);
            if !sound {
                bail!(
                    "`{of}`: expected 0 < floor <= ceiling, up > 0, down in (0, 1), a window of 1 s to a year, a notice of at most fourteen days"
                );
            }
        }
        Ok(bounds)
    }

    /// The bound of a parameter.
    pub fn of(&self, name: &str) -> Option<&Bound> {
        let fits = |bound: &&Bound| match bound.of.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == bound.of,
        };
        self.parameters.iter().find(fits)
    }

    /// Whether a document may follow what was signed, at an instant of the signer's own clock.
    pub(super) fn check(&self, document: &Document, kept: &Kept, now: Timestamp) -> Result<(), Reject> {
        document.check().map_err(|error| Reject::new("form", error.to_string()))?;
        if document.parameters.is_empty() {
            return refuse("form", "no parameter");
        }
        self.dated(document, now)?;
        if let Some(last) = &kept.last {
            follows(document, &last.document)?;
        }
        for one in &document.parameters {
            let Some(bound) = self.of(&one.name) else { return refuse("unbounded", one.name.clone()) };
            bound.contains(one)?;
            let Some(course) = kept.course.get(&one.name).filter(|course| !course.is_empty()) else {
                continue;
            };
            let last = kept.last.iter().flat_map(|last| &last.document.parameters);
            let Some(old) = last.into_iter().find(|old| old.name == one.name) else { continue };
            bound.steps(one, &old.maintenance, (course, now))?;
            bound.announced(one, &old.maintenance, now)?;
        }
        let since = now.plus_seconds(-self.rate.seconds);
        let lately = kept.signed.iter().filter(|at| **at > since).count();
        if lately >= self.rate.signatures {
            return refuse("rate", format!("{lately} signatures within {} s", self.rate.seconds));
        }
        Ok(())
    }

    fn dated(&self, document: &Document, now: Timestamp) -> Result<(), Reject> {
        let Document { time, valid_until, .. } = document;
        let off = time.seconds_until(now).abs();
        if off > self.clock_seconds as f64 {
            return refuse(
                "time",
                format!("{time} is {off:.0} s from {now}: {} at most", self.clock_seconds),
            );
        }
        if valid_until <= time || *valid_until > time.plus_seconds(self.valid_seconds_max) {
            return refuse("valid_until", format!("{valid_until}: {} s at most", self.valid_seconds_max));
        }
        Ok(())
    }
}

/// Whether a document comes after another in its numbers, and leaves nothing out.
fn follows(new: &Document, last: &Document) -> Result<(), Reject> {
    if new.sequence <= last.sequence {
        return refuse("sequence", format!("{} after {}", new.sequence, last.sequence));
    }
    if new.version < last.version || (new.version == last.version && new.parameters != last.parameters) {
        return refuse("version", format!("{} after {}, with other values", new.version, last.version));
    }
    if new.time < last.time {
        return refuse("time", format!("{} after {}", new.time, last.time));
    }
    let names: BTreeSet<&str> = new.parameters.iter().map(|one| one.name.as_str()).collect();
    match last.parameters.iter().find(|one| !names.contains(one.name.as_str())) {
        Some(gone) => refuse("missing", gone.name.clone()),
        None => Ok(()),
    }
}

/// `value x share`, rounded; what does not fit is the largest there is.
fn share(value: Ppb, share: i64, rounding: Rounding) -> Ppb {
    let product = mul_div(value.0.into(), share.into(), NANO.into(), rounding);
    Ppb(product.and_then(|product| i64::try_from(product).ok()).unwrap_or(i64::MAX))
}

impl Bound {
    /// Floor, ceiling, and a path that never passes what binds new risk.
    fn contains(&self, one: &Parameter) -> Result<(), Reject> {
        let Parameter { name, initial, maintenance } = one;
        let least = maintenance.from.min(*initial);
        if least < self.floor {
            return refuse("floor", format!("{name}: {least} is beneath {}", self.floor));
        }
        if *initial > self.ceiling {
            return refuse("ceiling", format!("{name}: {initial} is above {}", self.ceiling));
        }
        let sound = maintenance.legs.len() <= LEGS_MAX
            && maintenance.legs.iter().all(|leg| leg.rise > Ppb::ZERO && leg.starts <= leg.ends)
            && maintenance.end() <= *initial;
        if sound { Ok(()) } else { refuse("path", format!("{name}: no path up to {initial}")) }
    }

    /// The biggest step: against every value signed within the window and the one it began with.
    fn steps(
        &self,
        one: &Parameter,
        old: &Ramp,
        (course, now): (&VecDeque<Stretch>, Timestamp),
    ) -> Result<(), Reject> {
        let since = now.plus_seconds(-self.window_seconds);
        let ended = |place: usize| course.get(place + 1).is_some_and(|next| next.since <= since);
        let counted = course.iter().enumerate().filter(|(place, _)| !ended(*place)).map(|(_, of)| of);
        let start = (Ppb(i64::MAX), Ppb::ZERO, old.at(now));
        let (least, most, held) = counted.fold(start, |(least, most, held), of| {
            (least.min(of.least), most.max(of.most), held.max(of.held))
        });
        let (up, down) = (NANO.saturating_add(self.up.0), NANO - self.down.0);
        let highest = share(least, up, Rounding::Down);
        let lowest = share(most, down, Rounding::Up);
        let lowest_held = share(held, down, Rounding::Down);
        let (new, new_held) = (one.initial, one.maintenance.at(now));
        let within = || format!("within {} s", self.window_seconds);
        if new > highest || new < lowest {
            let detail = format!("{}: {new} is outside {lowest} to {highest} {}", one.name, within());
            return refuse("step", detail);
        }
        if new_held < lowest_held {
            let detail =
                format!("{}: {new_held} for what is held is beneath {lowest_held} {}", one.name, within());
            return refuse("step", detail);
        }
        Ok(())
    }

    /// Until the notice has passed, a path is nowhere above the one that was signed before. Both are straight between their corners, so it
    /// is enough to look there.
    fn announced(&self, one: &Parameter, old: &Ramp, now: Timestamp) -> Result<(), Reject> {
        let until = now.plus_seconds(self.notice_seconds);
        let corners = one.maintenance.legs.iter().chain(&old.legs).flat_map(|leg| [leg.starts, leg.ends]);
        let looked = corners.filter(|at| (now..=until).contains(at)).chain([now, until]);
        // Every leg that is cut anew is rounded once.
        let rounded = i64::try_from(one.maintenance.legs.len() + old.legs.len() + 1).unwrap_or(i64::MAX);
        for at in looked {
            let published = old.at(Timestamp::from_nanos(at.nanos().saturating_add(ROUNDED_NANOS)));
            let new = one.maintenance.at(at);
            if new.0 > published.0.saturating_add(rounded) {
                let detail =
                    format!("{}: {new} at {at}, where {published} is published until {until}", one.name);
                return refuse("notice", detail);
            }
        }
        Ok(())
    }
}
