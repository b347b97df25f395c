//! plimsoll-market
