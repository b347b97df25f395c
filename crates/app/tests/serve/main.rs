//! The engine as a service: routes, events, sockets, and the real binary when it is killed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

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
mod sockets;
mod typed;
mod webhooks;
mod world;
