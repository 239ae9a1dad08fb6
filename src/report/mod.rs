//! What adieu tells its operator: counters and the log.
//!
//! Owns numbers and lines. It must not decide anything, allocate after the start or block.

pub mod access;
pub mod counters;
mod escape;
mod form;
pub mod goodbyes;
pub mod herald;
mod line;
mod pending;
mod ring;
pub mod sink;
mod stamp;
pub mod status;
mod target;
mod trouble;

pub use form::Asked;
