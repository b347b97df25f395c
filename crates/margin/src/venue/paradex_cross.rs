//! Paradex's cross margin.

use super::{Charge, Method, VenueBook, VenueError};
use crate::lint::LintFinding;
use serde::{Deserialize, Serialize};

/// Parameters of the method.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {}

impl Method for Terms {
    fn charges(&self, _book: &VenueBook<'_>) -> Result<Vec<Charge>, VenueError> {
        Ok(Vec::new())
    }

    fn lint(&self) -> Vec<LintFinding> {
        Vec::new()
    }
}
