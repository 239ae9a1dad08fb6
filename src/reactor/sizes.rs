//! What the memory plan must know of the shell.
//!
//! Owns nothing: it asks the owners of the memory. It must not allocate it.

use super::addresses::Addresses;
use super::growth::Growth;
use super::net::{EVENTS, Event};
use super::places::Places;
use super::queue::Queue;
use super::slots::Slots;
use super::timers::Timers;
use super::uploads::Kept;
use super::{PEEK_BYTES, kernel, passing, scripts, status, uploads};
use crate::config::{Fixed, Sizes};
use crate::helper::credentials;
use crate::report::access::Access;
use crate::report::sink;
use crate::site::cache::Cache;
use crate::site::{PATH_ROOM_BYTES, SHELF_BYTES, Work};

/// struct epoll_event, where it is not packed.
const EPOLL_EVENT_BYTES: usize = 16;

/// What the memory plan must know of the shell.
#[must_use]
pub fn sizes() -> Sizes {
    let events = EVENTS * (size_of::<Event>() + EPOLL_EVENT_BYTES);
    Sizes {
        slot_bytes: Slots::<kernel::Socket>::bytes_each(),
        slot_side_bytes: Timers::bytes_each()
            + 4 * Queue::bytes_each()
            + Addresses::bytes_each()
            + Growth::bytes_each(),
        work_bytes: Places::<Work>::bytes_each(),
        upload_bytes: Places::<Kept>::bytes_each(),
        through_bytes: uploads::THROUGH_BYTES,
        tube_bytes: passing::TUBE_BYTES,
        script_bytes: scripts::BYTES_EACH,
        shelf_bytes: SHELF_BYTES,
        access_line_bytes: Access::bytes_each(),
        access_bytes: Access::bytes_fixed(),
        status_bytes: status::BYTES_EACH,
        cached_bytes: Cache::bytes_each(),
        fixed: vec![
            fixed("events", "reactor", events),
            fixed("timer wheel", "reactor", Timers::bytes_fixed()),
            fixed("scratch", "reactor", kernel::SCRATCH_BYTES),
            fixed("peek", "reactor", PEEK_BYTES),
            fixed("beside the cache", "site", Cache::bytes_fixed()),
            fixed("path of a request", "site", PATH_ROOM_BYTES),
            fixed("credentials", "helper", credentials::BYTES),
            fixed("log ring", "report", sink::RING_BYTES),
        ],
    }
}

const fn fixed(what: &'static str, owner: &'static str, bytes: usize) -> Fixed {
    Fixed { what, owner, bytes }
}
