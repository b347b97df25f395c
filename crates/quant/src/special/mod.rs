//! Elementary and special functions.
