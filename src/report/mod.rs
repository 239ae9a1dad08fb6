//! What adieu tells its operator: counters and the log.
//!
//! Owns numbers and lines. It must not decide anything, allocate after the start or block.

pub mod counters;
mod line;
mod ring;
pub mod sink;
