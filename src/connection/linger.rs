//! The goodbye: what is still to be read off, its budgets, and when it is over.
//!
//! Owns the rules of lingering close and their arithmetic. It must not touch a socket: what the
//! kernel's queues hold is told to it as [`Queues`]. Invariants: a goodbye is over after
//! `linger_total_ms` or `linger_bytes` whatever the peer does, and after one idle period in which
//! the peer neither sent nor acknowledged [`LINGER_FLOOR_BYTES`]; it is never over in peace while
//! something of ours is unacknowledged.
//!
//! Why all this: a socket closed with unread input answers with RST at once and drops what is not
//! delivered; RFC 9112 section 9.6 asks for the staged close.

use super::limits::{LINGER_FLOOR_BYTES, LINGER_SLACK_BYTES, Limits};
use super::reason::CloseReason;
use super::time::Ms;

/// What SIOCOUTQ counts for our FIN.
const FIN: u32 = 1;

/// In place of a remainder that was not declared, or was exceeded: only a FIN or a budget ends it.
const UNKNOWN: u64 = u64::MAX;

/// What the kernel holds for one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queues {
    /// Sent but not acknowledged, our FIN included (SIOCOUTQ, tcp(7)). Unix sockets: not yet read
    /// by the peer.
    pub unacknowledged: u32,
    /// Received but not read (FIONREAD).
    pub unread: u32,
    /// The retransmission timeout, ms; 0 if unknown. A slow peer is given four of them.
    pub rto_ms: u32,
}

/// The books of one goodbye. They are opened when it is clear that the connection will end, which
/// may be before the last reply is sent.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// What is left of the declared body, or [`UNKNOWN`]; an `Option` would be twice as large.
    remainder: u64,
    /// How many bytes may still be read off.
    allowance: u64,
    /// Bytes read off.
    discarded: u64,
    /// When the write side was shut.
    started: Ms,
    /// Start of the current idle window, ms from `started`.
    window_ms: u32,
    /// Bytes read off in it; beyond 32 bits it is enough for any floor.
    window_discarded: u32,
    /// What was not acknowledged when it began.
    window_unacknowledged: u32,
    /// Length of an idle window, ms: `linger_idle_ms`, or longer for a slow peer.
    idle_ms: u32,
    /// What was not acknowledged at the last look, our FIN included; 0 is for good.
    unacknowledged: u32,
    /// When that had last become less, ms from `started`.
    moved_ms: u32,
}

impl Linger {
    /// Opens the books: `remainder` as declared by the request (`Some(0)`: consumed whole).
    #[must_use]
    pub fn new(remainder: Option<u64>, limits: &Limits) -> Self {
        let remainder = remainder.unwrap_or(UNKNOWN);
        let declared = remainder.saturating_add(LINGER_SLACK_BYTES);
        Self {
            remainder,
            allowance: limits.linger_bytes.min(declared),
            discarded: 0,
            started: Ms(0),
            window_ms: 0,
            window_discarded: 0,
            window_unacknowledged: 0,
            idle_ms: limits.linger_idle_ms,
            unacknowledged: u32::MAX,
            moved_ms: 0,
        }
    }

    /// The write side is shut: the clocks start. The retransmission timeout is taken now, before a
    /// peer that vanished has made it grow.
    pub fn begin(&mut self, queues: Queues, now: Ms, limits: &Limits) {
        self.started = now;
        self.window_ms = 0;
        self.window_discarded = 0;
        self.window_unacknowledged = queues.unacknowledged;
        self.unacknowledged = queues.unacknowledged;
        self.moved_ms = 0;
        self.idle_ms = patience(queues, limits);
    }

    /// How much more may be read off.
    #[must_use]
    pub fn allowance(&self) -> u64 {
        self.allowance
    }

    /// Bytes were read off.
    pub fn discarded(&mut self, bytes: u64) {
        self.discarded = self.discarded.saturating_add(bytes);
        self.allowance = self.allowance.saturating_sub(bytes);
        let narrow = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.window_discarded = self.window_discarded.saturating_add(narrow);
        if self.remainder != UNKNOWN {
            // More than was declared: somebody goes on sending, and only a FIN says when it ends.
            self.remainder = self.remainder.checked_sub(bytes).unwrap_or(UNKNOWN);
        }
    }

    /// Bytes read off so far.
    #[must_use]
    pub fn discarded_bytes(&self) -> u64 {
        self.discarded
    }

    /// Everything we sent is known to be acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> bool {
        self.unacknowledged == 0
    }

    /// What was not acknowledged at the last look, bytes, our FIN included.
    #[must_use]
    pub fn unacknowledged(&self) -> u32 {
        self.unacknowledged
    }

    /// When acknowledgements were last seen to move.
    #[must_use]
    pub fn moved(&self) -> Ms {
        self.started.after(self.moved_ms)
    }

    /// The end of the current idle window.
    fn window_end(&self) -> Ms {
        self.started.after(self.window_ms).after(self.idle_ms)
    }

    /// Nothing more is expected of the peer.
    #[must_use]
    pub fn awaits_nothing(&self) -> bool {
        self.remainder == 0
    }

    /// The write side was shut.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.unacknowledged != u32::MAX
    }

    /// When the goodbye began.
    #[must_use]
    pub fn started(&self) -> Ms {
        self.started
    }

    /// The byte budget is spent, and more than acknowledgements is waited for.
    fn spent(&self, eof: bool) -> bool {
        !eof && self.allowance() == 0 && self.remainder != 0
    }

    /// When to look again at the latest. `eof`: the peer's FIN was read.
    #[must_use]
    pub fn until(&self, eof: bool, limits: &Limits) -> Ms {
        if self.spent(eof) {
            return self.started;
        }
        self.window_end()
            .min(self.started.after(limits.linger_total_ms))
    }

    /// Looks at the books: `Some(reason)` when the goodbye is over. `eof`: the peer's FIN was read.
    pub fn look(
        &mut self,
        queues: Queues,
        eof: bool,
        now: Ms,
        limits: &Limits,
    ) -> Option<CloseReason> {
        if queues.unacknowledged < self.unacknowledged {
            let delivered = self.unacknowledged > FIN && queues.unacknowledged <= FIN;
            self.unacknowledged = queues.unacknowledged;
            self.moved_ms = self.elapsed_ms(now);
            if delivered {
                self.open_window(queues, now); // its silence begins to count here
            }
        }
        if queues.unacknowledged == 0 {
            if eof {
                return Some(CloseReason::PeerFin);
            }
            if self.remainder == 0 && queues.unread == 0 {
                let acked_only = self.discarded == 0;
                return Some(if acked_only {
                    CloseReason::Acked
                } else {
                    CloseReason::Drained
                });
            }
        }
        if self.spent(eof) {
            return Some(CloseReason::LingerBytes);
        }
        if now >= self.started.after(limits.linger_total_ms) {
            return Some(CloseReason::LingerTotal);
        }
        if now >= self.window_end() {
            return self.turn_window(queues, now, limits);
        }
        None
    }

    fn elapsed_ms(&self, now: Ms) -> u32 {
        u32::try_from(now.since(self.started)).unwrap_or(u32::MAX)
    }

    /// The idle window is over: either the peer did enough in it, or it is idle.
    fn turn_window(&mut self, queues: Queues, now: Ms, limits: &Limits) -> Option<CloseReason> {
        let acked = self
            .window_unacknowledged
            .saturating_sub(queues.unacknowledged);
        let moved = u64::from(self.window_discarded).saturating_add(acked.into());
        let busy = moved >= LINGER_FLOOR_BYTES;
        if !busy {
            // Once only: the timeout of a peer that vanished doubles with every look.
            if self.idle_ms == limits.linger_idle_ms {
                self.idle_ms = patience(queues, limits);
            }
            if now < self.window_end() {
                return None;
            }
            // While a part of the answer is on its way the peer may pause as it may in the
            // response.
            let still_owed = queues.unacknowledged > FIN;
            let pause_ms = now.since(self.moved());
            if !still_owed || pause_ms >= u64::from(limits.write_ms) {
                return Some(CloseReason::LingerIdle);
            }
        }
        self.open_window(queues, now);
        None
    }

    /// An idle window begins.
    fn open_window(&mut self, queues: Queues, now: Ms) {
        self.window_ms = self.elapsed_ms(now);
        self.window_discarded = 0;
        self.window_unacknowledged = queues.unacknowledged;
    }
}

/// How long this peer may be silent: four retransmissions, for a slow path loses acknowledgements.
fn patience(queues: Queues, limits: &Limits) -> u32 {
    queues.rto_ms.saturating_mul(4).max(limits.linger_idle_ms)
}
