//! plimsoll-risk
