//! W1: prices of options, alone and with their first sensitivities.

use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::Options;
use crate::bench::limits::Cost;
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{GreekColumns, Quotes, greeks, prices};
use plimsoll_quant::black;
use rayon::prelude::*;

/// Operations of one price and of one price with its sensitivities, counted in `plimsoll_quant::batch::lane`:
/// logarithm 25, density 27, two Mills ratios 88, the rest 15; sensitivities 8.
const FLOPS_PRICE: u64 = 155;
const FLOPS_GREEKS: u64 = 163;

/// Options a thread takes at a time.
const CHUNK: usize = 1 << 12;

/// Options that the reference prices.
const SAMPLE: usize = 20_000;

/// How far a price may be from the scalar one, in parts of the larger of forward and strike.
const ERROR_MAX: f64 = 2e-14;

/// Prices, and the sensitivities where they are wanted.
#[derive(Debug)]
pub(in crate::bench) struct Pricing {
    options: Options,
    with_greeks: bool,
    /// Price, delta, gamma, vega, theta; all but the first empty where only prices are wanted.
    out: [Vec<f64>; 5],
}

impl Pricing {
    /// A million options, or 65,536.
    pub(in crate::bench) fn new(setup: &Setup, with_greeks: bool) -> anyhow::Result<Self> {
        let options = match setup.folder("w1") {
            Some(folder) => Options::read(&folder)?,
            None => Options::made(setup.size(1_000_000, 1 << 16)),
        };
        let column = |wanted: bool| vec![0.0; if wanted { options.len() } else { 0 }];
        let out = [true, with_greeks, with_greeks, with_greeks, with_greeks].map(column);
        Ok(Self { options, with_greeks, out })
    }

    fn part(&self, start: usize, end: usize) -> Quotes<'_> {
        part(&self.options, start, end)
    }
}

fn part(options: &Options, start: usize, end: usize) -> Quotes<'_> {
    Quotes {
        kind: &options.kind[start..end],
        forward: &options.forward[start..end],
        strike: &options.strike[start..end],
        vol: &options.vol[start..end],
        tau: &options.tau[start..end],
    }
}

impl Work for Pricing {
    fn facts(&self) -> Facts {
        let units = self.options.len() as u64;
        let (out, flops) = if self.with_greeks { (5, FLOPS_GREEKS) } else { (1, FLOPS_PRICE) };
        Facts {
            what: if self.with_greeks { "price and four Greeks" } else { "price" }.to_owned(),
            unit: "option",
            units,
            cost: Cost { streamed: units * (1 + 8 * (4 + out)), cached: 0, flops: units * flops },
            reference: "scalar formula, option by option",
            notes: Vec::new(),
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        let options = &self.options;
        let [price, delta, gamma, vega, theta] = &mut self.out;
        let chunk = |i: usize, len: usize| part(options, i * CHUNK, i * CHUNK + len);
        if self.with_greeks {
            let firsts = price.par_chunks_mut(CHUNK).zip(delta.par_chunks_mut(CHUNK));
            let columns = firsts.zip(gamma.par_chunks_mut(CHUNK)).zip(vega.par_chunks_mut(CHUNK));
            let columns = columns.zip(theta.par_chunks_mut(CHUNK)).enumerate();
            columns.try_for_each(|(i, ((((price, delta), gamma), vega), theta))| {
                let quotes = chunk(i, price.len());
                greeks(path, &quotes, &mut GreekColumns { price, delta, gamma, vega, theta })
            })?;
            return Ok(());
        }
        let chunks = price.par_chunks_mut(CHUNK).enumerate();
        chunks.try_for_each(|(i, price)| prices(path, &chunk(i, price.len()), price))?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for column in &self.out {
            digest.numbers(column);
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let count = self.options.len().min(SAMPLE);
        let Quotes { kind, forward, strike, vol, tau } = self.part(0, count);
        for i in 0..count {
            let scale = if forward[i] > strike[i] { forward[i] } else { strike[i] };
            let expected = if self.with_greeks {
                black::greeks(kind[i], forward[i], strike[i], vol[i], tau[i]).price
            } else {
                black::price(kind[i], forward[i], strike[i], vol[i], tau[i])
            };
            if (self.out[0][i] - expected).abs() > ERROR_MAX * scale {
                return Err(differs("option", i, self.out[0][i], expected));
            }
        }
        Ok(count as u64)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let [price, delta, gamma, vega, theta] = self.out.clone();
        if !self.with_greeks {
            let about = "The answer to W1, in the order of `options`.";
            return Ok(vec![
                self.options.frame(),
                Frame::new("prices", about).float("price", "undiscounted price", price),
            ]);
        }
        let answer = Frame::new("greeks", "The answer to W1g, in the order of `options`.")
            .float("price", "undiscounted price", price)
            .float("delta", "derivative by the forward", delta)
            .float("gamma", "second derivative by the forward", gamma)
            .float("vega", "derivative by the volatility", vega)
            .float("theta", "derivative by time, per year", theta);
        Ok(vec![self.options.frame(), answer])
    }
}
