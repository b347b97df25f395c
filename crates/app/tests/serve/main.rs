//! The engine as a service: routes, events, sockets, and the real binary when it is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch that prints what it reads")]

mod binary;
mod client;
mod doors;
mod events;
mod export;
mod host;
mod intake;
mod limits;
mod pictures;
mod readmodels;
mod report;
mod routes;
mod rpc;
mod signer;
mod sockets;
mod typed;
mod webhooks;
mod world;
