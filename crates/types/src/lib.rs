//! plimsoll-types
