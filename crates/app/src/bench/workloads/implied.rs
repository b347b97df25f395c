//! W2: implied volatilities.

use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::Premiums;
use crate::bench::limits::Cost;
use plimsoll_lanes::Path;
use plimsoll_quant::batch::{ImpliedStatus, Prices, implied_vols};
use plimsoll_quant::implied::implied_vol;
use rayon::prelude::*;

/// Operations of one implied volatility, counted in `plimsoll_quant::batch`: normalising 37, start 195, short step 110,
/// full step 208; both starts are computed and one is taken.
pub(super) const FLOPS_IMPLIED: u64 = 550;

/// Prices a thread takes at a time.
const CHUNK: usize = 1 << 12;

/// Prices that the reference inverts.
const SAMPLE: usize = 20_000;

/// Volatilities of prices, with a reason where there is none.
#[derive(Debug)]
pub(in crate::bench) struct Implied {
    premiums: Premiums,
    vol: Vec<f64>,
    status: Vec<ImpliedStatus>,
}

impl Implied {
    /// A million prices, or 65,536.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let premiums = match setup.folder("w2") {
            Some(folder) => Premiums::read(&folder)?,
            None => Premiums::made(setup.size(1_000_000, 1 << 16)),
        };
        let (vol, status) = (vec![0.0; premiums.len()], vec![ImpliedStatus::Ok; premiums.len()]);
        Ok(Self { premiums, vol, status })
    }
}

impl Work for Implied {
    fn facts(&self) -> Facts {
        let units = self.premiums.len() as u64;
        let failed = self.status.iter().filter(|status| **status != ImpliedStatus::Ok).count();
        Facts {
            what: "implied volatility".to_owned(),
            unit: "option",
            units,
            cost: Cost { streamed: units * (1 + 8 * 4 + 8 + 1), cached: 0, flops: units * FLOPS_IMPLIED },
            reference: "scalar inversion, option by option",
            notes: vec![format!("{failed} prices have no volatility and say why")],
        }
    }

    fn run(&mut self, path: Path) -> anyhow::Result<()> {
        let Premiums { kind, price, forward, strike, tau } = &self.premiums;
        let chunks = self.vol.par_chunks_mut(CHUNK).zip(self.status.par_chunks_mut(CHUNK)).enumerate();
        chunks.try_for_each(|(i, (vol, status))| {
            let span = i * CHUNK..i * CHUNK + vol.len();
            let prices = Prices {
                kind: &kind[span.clone()],
                price: &price[span.clone()],
                forward: &forward[span.clone()],
                strike: &strike[span.clone()],
                tau: &tau[span],
            };
            implied_vols(path, &prices, vol, status).map(drop)
        })?;
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.numbers(&self.vol);
        for status in &self.status {
            digest.word(u64::from(*status == ImpliedStatus::Ok));
        }
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let Premiums { kind, price, forward, strike, tau } = &self.premiums;
        let count = self.premiums.len().min(SAMPLE);
        for i in 0..count {
            let expected = implied_vol(kind[i], price[i], forward[i], strike[i], tau[i]);
            let agrees = match expected {
                // Both are the volatility of this price to the precision of the price.
                Ok(vol) => (self.vol[i] - vol).abs() <= 1e-6 * vol || self.vol[i].is_nan() && vol.is_nan(),
                Err(_) => self.status[i] != ImpliedStatus::Ok,
            };
            if !agrees {
                return Err(differs("price", i, self.vol[i], format!("{expected:?}")));
            }
        }
        Ok(count as u64)
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let status = self.status.iter().map(|status| format!("{status:?}")).collect();
        let answer = Frame::new("vols", "The answer to W2, in the order of `premiums`.")
            .float("vol", "annualised volatility, decimal; NaN where there is none", self.vol.clone())
            .text("status", "`Ok`, or why there is none", status);
        Ok(vec![self.premiums.frame(), answer])
    }
}
