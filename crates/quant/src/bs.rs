//! Generalised Black-Scholes.
