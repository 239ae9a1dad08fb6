//! One end of a connection: its buffers, its sequence numbers and what the system says of them.
//!
//! Owns the fields and the questions that one end can answer alone. It must not send anything:
//! [`crate::tcp`] does. Invariant: `acked <= sent`, and nothing is unacknowledged where no socket
//! is.

use crate::fifo::Fifo;

/// The congestion window at the start, and its end.
pub(crate) const CONGESTION: (u64, u64) = (14_600, 131_072);

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    /// Written, not on the wire.
    pub(crate) out: Fifo,
    /// Arrived, not read.
    pub(crate) input: Fifo,
    /// Sequence numbers sent, FIN included.
    pub(crate) sent: u64,
    /// Sequence numbers acknowledged.
    pub(crate) acked: u64,
    /// How far the other end lets it go.
    pub(crate) limit: u64,
    /// The congestion window.
    pub(crate) congestion: u64,
    /// Sequence numbers that came.
    pub(crate) received: u64,
    /// Bytes read.
    pub(crate) taken: u64,
    /// How far it lets the other end go.
    pub(crate) advertised: u64,
    /// An acknowledgement is delayed.
    pub(crate) owes_ack: bool,
    /// The write side is shut.
    pub(crate) fin_wanted: bool,
    /// The FIN is on the wire.
    pub(crate) fin_sent: bool,
    /// The other end's FIN is here.
    pub(crate) fin_seen: bool,
    /// The last write had MSG_MORE.
    pub(crate) corked: bool,
    /// A write found no room: an edge is owed.
    pub(crate) no_space: bool,
    /// An RST came.
    pub(crate) reset: bool,
    /// The RST was not reported yet.
    pub(crate) error: bool,
    /// Something that was lost will not come again.
    pub(crate) gap: bool,
    /// The application has closed it.
    pub(crate) closed: bool,
    /// No socket any more: it neither sends nor answers.
    pub(crate) dead: bool,
    /// The machine is gone: nothing arrives, nothing is sent.
    pub(crate) vanished: bool,
    /// SO_SNDBUF as counted.
    pub(crate) send_bytes: usize,
    /// SO_RCVBUF as offered.
    pub(crate) receive_bytes: usize,
    /// When the last parcel from here arrives.
    pub(crate) arrival: u64,
    /// When what was lost arrives again.
    pub(crate) hole_until: u64,
    /// When the last acknowledgement came.
    pub(crate) progress_at: u64,
}

impl End {
    /// An end with buffers of these sizes; the other one receives into `other_bytes`.
    pub(crate) fn new(send_bytes: usize, receive_bytes: usize, other_bytes: usize) -> Self {
        Self {
            out: Fifo::default(),
            input: Fifo::default(),
            sent: 0,
            acked: 0,
            limit: other_bytes as u64,
            congestion: CONGESTION.0,
            received: 0,
            taken: 0,
            advertised: receive_bytes as u64,
            owes_ack: false,
            fin_wanted: false,
            fin_sent: false,
            fin_seen: false,
            corked: false,
            no_space: false,
            reset: false,
            error: false,
            gap: false,
            closed: false,
            dead: false,
            vanished: false,
            send_bytes,
            receive_bytes,
            arrival: 0,
            hole_until: 0,
            progress_at: 0,
        }
    }

    /// SIOCOUTQ: payload and FIN that are not acknowledged.
    pub(crate) fn unacknowledged(&self) -> u64 {
        if self.dead || self.reset {
            return 0;
        }
        let fin = u64::from(self.fin_wanted && !self.fin_sent);
        self.sent - self.acked + self.out.len() as u64 + fin
    }

    /// FIONREAD.
    pub(crate) fn unread(&self) -> usize {
        self.input.len()
    }

    /// A read would not block.
    pub(crate) fn readable(&self) -> bool {
        !self.input.is_empty() || self.fin_seen || self.reset
    }

    /// EPOLLOUT: a third of the buffer is free, or a write would fail at once.
    pub(crate) fn writable(&self) -> bool {
        self.reset || self.fin_wanted || self.space() >= self.send_bytes / 3
    }

    /// The peer may be gone: closed now, it would send the rest, or the FIN alone, for long.
    pub(crate) fn may_be_left_alone(&self) -> bool {
        let peer_was_here = self.fin_acked() || (self.fin_seen && self.unacknowledged() == 0);
        !self.reset && !peer_was_here
    }

    pub(crate) fn space(&self) -> usize {
        self.send_bytes
            .saturating_sub(self.unacknowledged() as usize)
    }

    pub(crate) fn fin_acked(&self) -> bool {
        self.fin_sent && self.acked == self.sent
    }

    /// SO_SNDBUF after accept: what stands in it stays there.
    pub(crate) fn set_send_bytes(&mut self, bytes: usize) {
        self.send_bytes = bytes;
    }

    /// SO_RCVBUF after accept: what was offered stays offered.
    pub(crate) fn set_receive_bytes(&mut self, bytes: usize) {
        self.receive_bytes = bytes;
    }
}
