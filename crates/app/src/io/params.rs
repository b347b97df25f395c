//! Parameter sets from a file or by the name of a preset.

use super::source::Source;
use plimsoll_engine::ParamSet;
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
