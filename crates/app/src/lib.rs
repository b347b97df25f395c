//! plimsoll-app
