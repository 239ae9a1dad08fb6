//! What travels, and when it arrives.
//!
//! Owns the parcels on their way, by time of arrival. It must not know what they do on arrival.
//! Invariant: two parcels of one moment come out in the order in which they were sent.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What travels.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wire {
    /// A client knocks.
    Syn,
    /// The client may write.
    SynAck,
    /// Data, a FIN, or both. `doubtful`: it or one before it was lost and is sent again, unless
    /// the sender is gone by then.
    Segment {
        /// Payload.
        bytes: Vec<u8>,
        /// FIN behind it.
        fin: bool,
        /// Depends on a retransmission.
        doubtful: bool,
    },
    /// All below `acked` is there; the sender may go up to `limit`.
    Ack {
        /// Sequence number.
        acked: u64,
        /// Right edge of the window.
        limit: u64,
    },
    /// RST.
    Reset,
    /// The end of a MSG_MORE that nothing followed.
    Uncork,
    /// TCP_USER_TIMEOUT of an orphan.
    OrphanOver,
    /// SIGTERM, for the server.
    Signal,
    /// A timer of a client, or the end of a shortage of memory.
    Wake,
}

/// A parcel: when, a serial number, which connection, to which end.
type Parcel = (u64, u64, usize, usize, Wire);

/// All parcels on their way.
#[derive(Debug, Default)]
pub(crate) struct Mail {
    heap: BinaryHeap<Reverse<Parcel>>,
    serial: u64,
}

impl Mail {
    /// Sends a parcel.
    pub(crate) fn post(&mut self, at: u64, connection: usize, to: usize, wire: Wire) {
        self.serial += 1;
        self.heap
            .push(Reverse((at, self.serial, connection, to, wire)));
    }

    /// When the next arrives.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(parcel)| parcel.0)
    }

    /// The next one that has arrived by `now`.
    pub(crate) fn due(&mut self, now: u64) -> Option<(usize, usize, Wire)> {
        if self.next_at()? > now {
            return None;
        }
        let Reverse((_, _, connection, to, wire)) = self.heap.pop()?;
        Some((connection, to, wire))
    }
}
