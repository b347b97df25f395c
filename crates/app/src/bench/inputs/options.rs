//! Options in columns, for pricing and for implied volatility.

use crate::bench::frame::{Frame, Type};
use crate::generate::Draw;
use anyhow::bail;
use plimsoll_quant::black::{self, OptionKind};
use plimsoll_quant::special::{exp, ln};
use std::path::Path;

/// Options to be priced: one entry per option in every column.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::bench) struct Options {
    /// Call or put.
    pub(in crate::bench) kind: Vec<OptionKind>,
    /// Forward.
    pub(in crate::bench) forward: Vec<f64>,
    /// Strike, in the unit of the forward.
    pub(in crate::bench) strike: Vec<f64>,
    /// Annualised volatility.
    pub(in crate::bench) vol: Vec<f64>,
    /// Years to expiry.
    pub(in crate::bench) tau: Vec<f64>,
}

/// Prices that volatilities are wanted of.
#[derive(Clone, PartialEq, Debug)]
pub(in crate::bench) struct Premiums {
    /// Call or put.
    pub(in crate::bench) kind: Vec<OptionKind>,
    /// Undiscounted price.
    pub(in crate::bench) price: Vec<f64>,
    /// Forward.
    pub(in crate::bench) forward: Vec<f64>,
    /// Strike.
    pub(in crate::bench) strike: Vec<f64>,
    /// Years to expiry.
    pub(in crate::bench) tau: Vec<f64>,
}

/// Ranges that options are drawn from; volatility and years evenly in their logarithms.
struct Law {
    vol: (f64, f64),
    years: (f64, f64),
    /// Largest distance of the strike from the forward in standard deviations.
    deviations: f64,
}

/// An hour in years.
const HOUR: f64 = 1.0 / 8760.0;

/// One premium in this many is none that any volatility gives.
const IMPOSSIBLE_EVERY: usize = 1000;

fn log_between(draw: &mut Draw, (low, high): (f64, f64)) -> f64 {
    exp(draw.between(ln(low), ln(high)))
}

impl Options {
    /// For pricing: forwards from 14 to 739, a day to five years, 5 to 200 %, strikes within four standard deviations.
    pub(in crate::bench) fn made(count: usize) -> Self {
        Self::drawn(count, 1, &Law { vol: (0.05, 2.0), years: (24.0 * HOUR, 5.0), deviations: 4.0 })
    }

    fn drawn(count: usize, seed: u64, law: &Law) -> Self {
        let mut draw = Draw::new(seed);
        let mut all = Self {
            kind: Vec::with_capacity(count),
            forward: Vec::with_capacity(count),
            strike: Vec::with_capacity(count),
            vol: Vec::with_capacity(count),
            tau: Vec::with_capacity(count),
        };
        for _ in 0..count {
            let forward = 100.0 * exp(draw.between(-2.0, 2.0));
            let (vol, tau) = (log_between(&mut draw, law.vol), log_between(&mut draw, law.years));
            let deviations = draw.between(-law.deviations, law.deviations);
            all.kind.push(if draw.chance(0.5) { OptionKind::Call } else { OptionKind::Put });
            all.forward.push(forward);
            all.strike.push(forward * exp(deviations * vol * tau.sqrt()));
            all.vol.push(vol);
            all.tau.push(tau);
        }
        all
    }

    /// How many there are.
    pub(in crate::bench) fn len(&self) -> usize {
        self.kind.len()
    }

    /// As a table.
    pub(in crate::bench) fn frame(&self) -> Frame {
        Frame::new("options", "A row is a European option on a forward; nothing is discounted.")
            .text("kind", "`C` call, `P` put", letters(&self.kind))
            .float("forward", "forward price", self.forward.clone())
            .float("strike", "strike, in the unit of the forward", self.strike.clone())
            .float("vol", "annualised volatility, decimal", self.vol.clone())
            .float("tau", "years to expiry", self.tau.clone())
    }

    /// From a table.
    pub(in crate::bench) fn read(directory: &Path) -> anyhow::Result<Self> {
        let numbers = ["forward", "strike", "vol", "tau"].map(|name| (name, Type::Float));
        let wanted = [&[("kind", Type::Text)], &numbers[..]].concat();
        let mut frame = Frame::read(directory, "options", &wanted)?;
        Ok(Self {
            kind: kinds(&frame.words("kind")?)?,
            forward: frame.floats("forward")?,
            strike: frame.floats("strike")?,
            vol: frame.floats("vol")?,
            tau: frame.floats("tau")?,
        })
    }
}

impl Premiums {
    /// Prices of options from an hour to five years and 5 to 200 %, strikes within six standard deviations; seven of eight
    /// are out of the money, one is either. One in a thousand is above or beneath what any volatility gives.
    pub(in crate::bench) fn made(count: usize) -> Self {
        let law = Law { vol: (0.05, 2.0), years: (HOUR, 5.0), deviations: 6.0 };
        let Options { mut kind, forward, strike, vol, tau } = Options::drawn(count, 2, &law);
        let mut price = Vec::with_capacity(count);
        for i in 0..count {
            if i % 8 != 7 {
                kind[i] = if strike[i] > forward[i] { OptionKind::Call } else { OptionKind::Put };
            }
            let most = if kind[i] == OptionKind::Call { forward[i] } else { strike[i] };
            price.push(match i % (2 * IMPOSSIBLE_EVERY) {
                0 => 1.01 * most,
                IMPOSSIBLE_EVERY => -0.01 * most,
                _ => black::price(kind[i], forward[i], strike[i], vol[i], tau[i]),
            });
        }
        Self { kind, price, forward, strike, tau }
    }

    /// How many there are.
    pub(in crate::bench) fn len(&self) -> usize {
        self.kind.len()
    }

    /// As a table.
    pub(in crate::bench) fn frame(&self) -> Frame {
        let about =
            "A row is an undiscounted price that a volatility is wanted of; one in a thousand has none.";
        Frame::new("premiums", about)
            .text("kind", "`C` call, `P` put", letters(&self.kind))
            .float("price", "undiscounted price", self.price.clone())
            .float("forward", "forward price", self.forward.clone())
            .float("strike", "strike, in the unit of the forward", self.strike.clone())
            .float("tau", "years to expiry", self.tau.clone())
    }

    /// From a table.
    pub(in crate::bench) fn read(directory: &Path) -> anyhow::Result<Self> {
        let numbers = ["price", "forward", "strike", "tau"].map(|name| (name, Type::Float));
        let wanted = [&[("kind", Type::Text)], &numbers[..]].concat();
        let mut frame = Frame::read(directory, "premiums", &wanted)?;
        Ok(Self {
            kind: kinds(&frame.words("kind")?)?,
            price: frame.floats("price")?,
            forward: frame.floats("forward")?,
            strike: frame.floats("strike")?,
            tau: frame.floats("tau")?,
        })
    }
}

fn letters(kinds: &[OptionKind]) -> Vec<String> {
    let letter = |kind: &OptionKind| if *kind == OptionKind::Call { "C" } else { "P" };
    kinds.iter().map(|kind| letter(kind).to_owned()).collect()
}

fn kinds(letters: &[String]) -> anyhow::Result<Vec<OptionKind>> {
    let kind = |letter: &String| match letter.as_str() {
        "C" => Ok(OptionKind::Call),
        "P" => Ok(OptionKind::Put),
        other => bail!("column kind: `{other}`: expected C or P"),
    };
    letters.iter().map(kind).collect()
}
