//! A buffer that is built in calm and used up in stress.

use plimsoll_quant::rank::RankWindow;
use plimsoll_quant::stats::StatsError;
use serde::{Deserialize, Serialize};

/// `max(m, min((1 + share) m, (1 + share) q))`, `q` being the quantile at `level` of the last `window` values, today's among
/// them: a target beneath what is usual is raised by the share, one far above it not at all. Where no usual is stated the buffer
/// is plain: `(1 + share) m`, and never released.
///
/// Source: Regulation (EU) 153/2013, article 28(1)(a), a buffer of at least 25 % that may be exhausted when margins rise
/// significantly; the form is methods 24.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffer {
    /// How much is put on; 0.25 in the regulation.
    pub share: f64,
    /// What is usual; a plain buffer when left out.
    #[serde(default)]
    pub usual: Option<Usual>,
}

/// What is usual of a target.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usual {
    /// A level in (0, 1).
    pub level: f64,
    /// Steps looked at; >= 1.
    pub window: usize,
}

impl Buffer {
    /// The window, empty; `None` for a plain buffer.
    pub fn begin(&self) -> Result<Option<RankWindow>, StatsError> {
        self.usual.map(|usual| RankWindow::new(usual.window, 1)).transpose()
    }

    /// Whether it is one.
    pub fn check(&self) -> Result<(), StatsError> {
        let refused = |parameter, value, domain| Err(StatsError::Domain { parameter, value, domain });
        if !(self.share >= 0.0 && self.share.is_finite()) {
            return refused("buffer share", self.share, "finite and >= 0");
        }
        let level = self.usual.map_or(0.5, |usual| usual.level);
        if !(level > 0.0 && level < 1.0) {
            return refused("buffer level", level, "(0, 1)");
        }
        self.begin().map(|_| ())
    }

    /// A target with its buffer; `target` is finite and > 0, and the window has seen one at least.
    pub fn apply(&self, seen: Option<&RankWindow>, target: f64) -> Result<f64, StatsError> {
        let raised = (1.0 + self.share) * target;
        let Some((usual, seen)) = self.usual.zip(seen) else { return Ok(raised) };
        let most = (1.0 + self.share) * seen.quantile(usual.level)?;
        let buffered = if raised < most { raised } else { most };
        Ok(if buffered > target { buffered } else { target })
    }
}
