//! W8: the surface of a whole chain, from quotes.

use super::implied::FLOPS_IMPLIED;
use super::{Facts, Setup, Work, differs};
use crate::bench::digest::Digest;
use crate::bench::frame::Frame;
use crate::bench::inputs::chain;
use crate::bench::limits::Cost;
use crate::io::market;
use plimsoll_engine::ParamSet;
use plimsoll_lanes::Path;
use plimsoll_market::{Surface, fit, guard};
use plimsoll_types::{OptionQuote, Snapshot};

/// A chain and its surface.
#[derive(Debug)]
pub(in crate::bench) struct Fit {
    snapshot: Snapshot,
    params: ParamSet,
    surface: Option<Surface>,
}

impl Fit {
    /// Twelve expiries, seven hundred quotes.
    pub(in crate::bench) fn new(setup: &Setup) -> anyhow::Result<Self> {
        let snapshot = match setup.folder("w8") {
            Some(folder) => market::snapshot(&folder.join("chain.json"), None)?.0,
            None => chain::made()?,
        };
        Ok(Self { snapshot, params: ParamSet::preset("plimsoll")?, surface: None })
    }

    fn surface(&self) -> Surface {
        fit(&guard(&self.snapshot, &self.params.guard), &self.params.fit)
    }

    fn count(&self) -> usize {
        self.snapshot.underlyings.values().map(|market| market.options.len()).sum()
    }
}

fn parameters(surface: &Surface) -> Vec<f64> {
    let slices = surface.underlyings.values().flat_map(|market| &market.slices);
    slices.flat_map(|s| [s.tau, s.forward, s.svi.a, s.svi.b, s.svi.rho, s.svi.m, s.svi.sigma]).collect()
}

impl Work for Fit {
    fn facts(&self) -> Facts {
        let fitted =
            self.surface.iter().flat_map(|s| s.underlyings.values()).map(|market| market.slices.len());
        Facts {
            what: format!("guard and fit of {} quotes", self.count()),
            unit: "quote",
            units: self.count() as u64,
            // How many steps a fit takes depends on the quotes. Counted is what every fit must do: read them, and invert
            // bids and asks.
            cost: Cost {
                streamed: (self.count() * size_of::<OptionQuote>()) as u64,
                cached: 0,
                flops: 2 * self.count() as u64 * FLOPS_IMPLIED,
            },
            reference: "the same on one thread",
            notes: vec![format!("{} expiries fitted", fitted.sum::<usize>())],
        }
    }

    fn run(&mut self, _: Path) -> anyhow::Result<()> {
        self.surface = Some(self.surface());
        Ok(())
    }

    fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        digest.numbers(&self.surface.as_ref().map(parameters).unwrap_or_default());
        digest.finish()
    }

    fn reference(&mut self) -> anyhow::Result<u64> {
        let alone = crate::bench::pool(1)?.install(|| self.surface());
        let fitted = self.surface.as_ref().map(parameters).unwrap_or_default();
        let same = fitted.iter().zip(&parameters(&alone)).position(|(a, b)| a.to_bits() != b.to_bits());
        match same {
            Some(at) => Err(differs("parameter", at, fitted[at], "another")),
            None => Ok(self.count() as u64),
        }
    }

    fn frames(&self) -> anyhow::Result<Vec<Frame>> {
        let slices =
            || self.surface.iter().flat_map(|s| s.underlyings.values()).flat_map(|market| &market.slices);
        let about = "The answer to W8: total variance w(k) = a + b (rho (k - m) + sqrt((k - m)^2 + sigma^2)) per expiry.";
        let answer = Frame::new("smiles", about)
            .text("expiry", "when its options settle", slices().map(|s| s.expiry.to_string()).collect())
            .float("tau", "years to expiry", slices().map(|s| s.tau).collect())
            .float("forward", "forward price, USD", slices().map(|s| s.forward).collect())
            .float("a", "see above", slices().map(|s| s.svi.a).collect())
            .float("b", "see above", slices().map(|s| s.svi.b).collect())
            .float("rho", "see above", slices().map(|s| s.svi.rho).collect())
            .float("m", "see above", slices().map(|s| s.svi.m).collect())
            .float("sigma", "see above", slices().map(|s| s.svi.sigma).collect());
        Ok(vec![chain::frame(&self.snapshot), answer])
    }

    fn files(&self) -> Vec<(&'static str, String)> {
        vec![("chain.json", plimsoll_market::read::write_json(&self.snapshot))]
    }
}
