//! The policies that come with the crate, and the schema of their files.

use crate::{Policy, PolicyError};

/// Name and text of each: our own first, then the base lines.
pub const POLICIES: [(&str, &str); 10] = [
    ("plimsoll", include_str!("../../../policies/plimsoll.toml")),
    ("static", include_str!("../../../policies/static.toml")),
    ("ewma", include_str!("../../../policies/ewma.toml")),
    ("ewma-buffer", include_str!("../../../policies/ewma-buffer.toml")),
    ("garch", include_str!("../../../policies/garch.toml")),
    ("historical", include_str!("../../../policies/historical.toml")),
    ("fhs", include_str!("../../../policies/fhs.toml")),
    ("fhs-capped", include_str!("../../../policies/fhs-capped.toml")),
    ("span-like", include_str!("../../../policies/span-like.toml")),
    ("venue-2025", include_str!("../../../policies/venue-2025.toml")),
];

/// JSON Schema of a policy file.
pub const SCHEMA: &str = include_str!("../../../policies/policy.schema.json");

impl Policy {
    /// One of [`POLICIES`].
    ///
    /// # Errors
    /// [`PolicyError::Unknown`] with the names there are.
    pub fn shipped(name: &str) -> Result<Self, PolicyError> {
        let found = POLICIES.iter().find(|(known, _)| *known == name);
        let unknown = || PolicyError::Unknown {
            name: name.to_owned(),
            known: POLICIES.map(|(known, _)| known).join(", "),
        };
        found.ok_or_else(unknown).and_then(|(_, text)| Self::from_toml(text))
    }
}
