//! Black-76.
