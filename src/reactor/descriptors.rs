//! As many descriptors as the server needs.
//!
//! Owns the raising of the limit to the sum of [`Descriptors`]. It must not open anything.
//! Invariant: a server that starts never runs out of descriptors of its own.

use crate::config::{Config, Descriptors, StartError};
use crate::sys::limits;

/// There may be as many open as `config` needs with so many listeners.
pub(super) fn enough_descriptors(config: &Config, listeners: u8) -> Result<(), StartError> {
    let Descriptors { need, own } = Descriptors::of(config, listeners.into());
    match limits::raise_open_files(need) {
        Ok(limit) if limit >= need => Ok(()),
        outcome => Err(StartError::configuration(
            "memory.connections",
            format!(
                "{} connections need {need} descriptors (one each, one for its file, and {own}), \
                 but the limit is {}",
                config.connections,
                outcome.map_or_else(|error| error.to_string(), |limit| limit.to_string()),
            ),
            "raise the hard limit of open files (ulimit -Hn), or lower memory.connections",
        )),
    }
}
