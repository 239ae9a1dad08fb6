//! Sockets, as the rest of the crate sees them.
//!
//! Owns: the names. Must not: hold code. The work is in four files beside this one: `listen`
//! (making listeners, accepting), `socket_file` (what unix sockets are bound to), `transfer`
//! (moving bytes), `options` (sizes, timers, questions, the ways to close). Invariants: those of
//! [`super`].

pub use super::address::Peer;
pub use super::listen::{Bound, accept, accept_pauses, bind_tcp, bound, listen, waits};
pub use super::options::{
    Memory, abort, close, memory, receive_buffer, resize_receive_buffer, resize_send_buffer,
    retransmission_timeout_ms, round_trip_us, send_buffer, set_defer_accept, set_linger,
    set_linger2, set_nodelay, set_receive_buffer, set_segment_max, set_send_buffer,
    set_user_timeout, shutdown_write, unacknowledged, unread,
};
pub use super::socket_file::{bind_unix, connect_unix, give_unix};
pub use super::transfer::{discard, peek, receive, send, send_file};
