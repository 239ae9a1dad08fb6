//! What showing the status takes.
//!
//! Owns its lines of the plan. It must not know what is shown. Invariant: there are none where
//! nothing is shown.

use super::{Line, Sizes, line, wide};
use crate::config::{AccessFormat, Config, status};

/// What the status takes, if it is shown: its places, and who comes by its socket.
pub(super) fn lines(config: &Config, sizes: &Sizes) -> Vec<Line> {
    if !config.shows_status() {
        return vec![];
    }
    let places = line(
        "status: answers",
        "reactor",
        status::PLACES.into(),
        wide(sizes.status_bytes),
        "status",
    );
    let access_bytes = match config.access {
        AccessFormat::Off => 0,
        AccessFormat::Common | AccessFormat::Combined | AccessFormat::Json => {
            sizes.access_line_bytes.saturating_mul(2)
        }
    };
    let own = sizes.slot_bytes.saturating_add(sizes.slot_side_bytes);
    let each = wide(own.saturating_add(access_bytes))
        .saturating_add(u64::from(config.buffer_bytes).saturating_mul(2));
    let slots = config.socket_slots();
    let own = line(
        "status: its slots",
        "reactor",
        slots.into(),
        each,
        "status.socket",
    );
    let lines = [places, own].into_iter();
    lines.filter(|line| line.count > 0).collect()
}
