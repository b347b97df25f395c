//! plimsoll-margin
