//! Parameter sets from a file or by the name of a preset, and policies likewise.

use super::source::{STDIN, Source};
use anyhow::{Context, bail};
use plimsoll_engine::{PRESETS, ParamSet};
use plimsoll_policy::{POLICIES, Policy};
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

/// The policy of a name that ships, else of a TOML file. One rule for names, here and in `lint`: a word that is the name of what
/// ships is that, whatever lies in the current folder; a file of such a name is `./NAME`.
pub fn policy(path: &Path) -> anyhow::Result<Policy> {
    if let Some(name) = shipped_policy(path) {
        return Ok(Policy::shipped(name)?);
    }
    let is_word = path.components().count() == 1 && path.extension().is_none();
    if is_word && !path.exists() && path.as_os_str() != STDIN {
        let known = POLICIES.map(|(name, _)| name).join(", ");
        bail!("`{}` is no file, and no policy that ships: {known}", path.display());
    }
    let (name, text) = Source::read_small(path, BYTES_MAX)?;
    Policy::from_toml(&text).with_context(|| name)
}

/// The name of a policy that ships, if a path is no more than that.
pub fn shipped_policy(path: &Path) -> Option<&'static str> {
    POLICIES.iter().find(|(name, _)| path.as_os_str() == *name).map(|(name, _)| *name)
}

/// What a file that may be a parameter set or a policy is; a policy says how its parameters may move. Also where it cannot be
/// read to its end, its tables tell.
pub fn is_policy(text: &str) -> bool {
    let tables = ["[motions", "[[parameters]]", "[observation]"];
    let begins = |line: &str| tables.iter().any(|table| line.trim_start().starts_with(table));
    Policy::describes(text) || text.lines().any(begins)
}

/// A parameter set or a policy.
#[derive(Debug)]
pub enum Document {
    /// How margin is computed.
    Params(Box<ParamSet>),
    /// How parameters move.
    Policy(Box<Policy>),
}

/// What a name means, which may be both, or a file.
pub fn documents(path: &Path) -> anyhow::Result<Vec<Document>> {
    let preset = PRESETS.iter().find(|(name, _)| path.as_os_str() == *name);
    let mut found = Vec::new();
    if let Some((name, _)) = preset {
        found.push(Document::Params(Box::new(ParamSet::preset(name)?)));
    }
    if let Some(name) = shipped_policy(path) {
        found.push(Document::Policy(Box::new(Policy::shipped(name)?)));
    }
    if found.is_empty() {
        let (name, text) = Source::read_small(path, BYTES_MAX)?;
        found.push(match is_policy(&text) {
            true => Document::Policy(Box::new(Policy::from_toml(&text).with_context(|| name)?)),
            false => Document::Params(Box::new(ParamSet::from_toml(&text, &name)?)),
        });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_ships_is_what_ships_and_may_be_two_things() {
        assert_eq!(documents(Path::new("plimsoll")).unwrap().len(), 2);
        assert!(matches!(documents(Path::new("span")).unwrap().as_slice(), [Document::Params(_)]));
        assert!(matches!(documents(Path::new("ewma")).unwrap().as_slice(), [Document::Policy(_)]));
        assert!(documents(Path::new("./ewma")).is_err());
        assert!(
            policy(Path::new("nosuch")).unwrap_err().to_string().contains("no policy that ships: plimsoll")
        );
    }

    #[test]
    fn a_policy_that_breaks_off_is_a_policy_all_the_same() {
        assert!(is_policy("name = \"x\"\n[motions.scan]\nup = 99999999999999999999999"));
        assert!(is_policy("[observation]\nstep_seconds = ]"));
        assert!(!is_policy("[guard]\nx = ]") && !is_policy(""));
    }
}
