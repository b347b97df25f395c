//! Parameter sets from a file or by the name of a preset, and policies from a file.

use super::source::Source;
use anyhow::Context;
use plimsoll_engine::ParamSet;
use plimsoll_policy::Policy;
use std::path::Path;

/// The set used when none is named.
pub const DEFAULT_PRESET: &str = "plimsoll";

/// No parameter set is longer than this.
const BYTES_MAX: u64 = 4 << 20;

/// The set of a TOML file, else of the preset, else the default.
pub fn params(file: Option<&Path>, preset: Option<&str>) -> anyhow::Result<ParamSet> {
    let Some(path) = file else {
        return Ok(ParamSet::preset(preset.unwrap_or(DEFAULT_PRESET))?);
    };
    let (name, text) = Source::read_small(path, BYTES_MAX)?;
    Ok(ParamSet::from_toml(&text, &name)?)
}

/// The policy of a TOML file; `None` where there is no such file, or it is none: a policy says how its parameters may move.
pub fn policy(path: &Path) -> anyhow::Result<Option<Policy>> {
    if !path.exists() {
        return Ok(None);
    }
    let (name, text) = Source::read_small(path, BYTES_MAX)?;
    if !Policy::describes(&text) {
        return Ok(None);
    }
    Policy::from_toml(&text).map(Some).with_context(|| name)
}
