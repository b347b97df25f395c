//! Derive's Dutch auction over a portfolio margin.
