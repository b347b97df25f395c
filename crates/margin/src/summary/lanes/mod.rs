//! What is found on float lanes, beneath bounds that keep whole numbers exact; the only place of this module with floats.

pub(crate) mod charge;
pub(crate) mod check;
pub(crate) mod chunk;
pub(crate) mod eight;
pub(crate) mod exact;
pub(crate) mod fall;
pub(crate) mod keep;
pub(crate) mod rows;
pub(crate) mod settle;
pub(crate) mod tick;
pub(crate) mod walk;
