//! TCP between one server and its clients, as far as goodbyes depend on it.
//!
//! Owns both ends of every connection: buffers, windows, acknowledgements, FIN and RST. It must not
//! know the poller or who uses an end. Invariants, each measured on Linux 6.18:
//! - close with unread input sends RST at once and drops what is not on the wire;
//! - close without it leaves an orphan that delivers, until data comes for it: RST, and the rest is
//!   dropped;
//! - after both FINs are through, a close sends nothing;
//! - what arrived before an RST can still be read; then ECONNRESET once, then the end;
//! - the unacknowledged bytes count the FIN;
//! - data arrives in order, once, and never beyond the window.

use crate::end::{CONGESTION, End};
use crate::rng::Rng;
use crate::wire::{Mail, Wire};
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};

/// The server's end of a connection.
pub(crate) const SERVER: usize = 0;
/// The client's end.
pub(crate) const CLIENT: usize = 1;
/// Below this much a MSG_MORE holds back.
const SEGMENT_BYTES: usize = 1460;
/// How long a MSG_MORE holds back.
const CORK_MS: u64 = 200;
/// The shortest retransmission timeout, and the longest.
const RTO_MS: (u64, u64) = (200, 120_000);

/// What lies between the two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// There and back.
    pub(crate) rtt_ms: u64,
    /// Bytes per ms.
    pub(crate) rate: u64,
    /// Segments lost in a thousand.
    pub(crate) loss: u64,
    /// Bytes sent in one piece.
    pub(crate) burst: usize,
    /// A single segment is acknowledged after this.
    pub(crate) delayed_ack_ms: u64,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Pair {
    /// What lies between.
    pub(crate) link: Link,
    /// [`SERVER`] and [`CLIENT`].
    pub(crate) ends: [End; 2],
}

/// All connections, the wire and the clock.
#[derive(Debug)]
pub(crate) struct Tcp {
    /// The virtual clock, ms.
    pub(crate) now: u64,
    /// Chance.
    pub(crate) rng: Rng,
    /// What is on its way.
    pub(crate) mail: Mail,
    /// The connections.
    pub(crate) pairs: Vec<Pair>,
    /// Ends to which something happened.
    pub(crate) woken: VecDeque<(usize, usize)>,
    /// What arrived.
    pub(crate) parcels: u64,
    /// RSTs of an end that destroy something: of the server, and of the clients.
    pub(crate) resets: [u64; 2],
}

impl Tcp {
    /// An end.
    pub(crate) fn end(&self, at: usize, side: usize) -> &End {
        &self.pairs[at].ends[side]
    }

    /// An end.
    pub(crate) fn end_mut(&mut self, at: usize, side: usize) -> &mut End {
        &mut self.pairs[at].ends[side]
    }

    /// The retransmission timeout, backed off while nothing is acknowledged.
    pub(crate) fn rto_ms(&self, at: usize, side: usize) -> u64 {
        let end = self.end(at, side);
        let mut rto = RTO_MS.0 + self.pairs[at].link.rtt_ms;
        let mut silent = self.now.saturating_sub(end.progress_at);
        while end.unacknowledged() > 0 && silent >= rto && rto < RTO_MS.1 {
            silent -= rto;
            rto *= 2;
        }
        rto.min(RTO_MS.1)
    }

    /// send(2).
    pub(crate) fn write(
        &mut self,
        at: usize,
        side: usize,
        bytes: &[u8],
        more: bool,
    ) -> Result<usize> {
        let now = self.now;
        let end = self.end_mut(at, side);
        if end.reset {
            let first = std::mem::take(&mut end.error);
            let kind = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset][usize::from(first)];
            return Err(kind.into());
        }
        if end.fin_wanted {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let n = bytes.len().min(end.space());
        if n < bytes.len() {
            end.no_space = true;
        }
        if n == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if end.unacknowledged() == 0 {
            end.progress_at = now;
        }
        end.out.push(&bytes[..n]);
        end.corked = more;
        if more {
            self.mail.post(now + CORK_MS, at, side, Wire::Uncork);
        }
        self.transmit(at, side);
        Ok(n)
    }

    /// recv(2) with MSG_PEEK.
    pub(crate) fn peek(&mut self, at: usize, side: usize, into: &mut [u8]) -> Result<usize> {
        match self.queued(at, side)? {
            0 => Ok(0),
            _ => Ok(self.end(at, side).input.peek(into)),
        }
    }

    /// recv(2).
    pub(crate) fn read(&mut self, at: usize, side: usize, into: &mut [u8]) -> Result<usize> {
        let n = self.peek(at, side, into)?;
        self.consume(at, side, n);
        Ok(n)
    }

    /// recv(2) with MSG_TRUNC.
    pub(crate) fn discard(&mut self, at: usize, side: usize, max: usize) -> Result<usize> {
        let n = self.queued(at, side)?.min(max);
        self.consume(at, side, n);
        Ok(n)
    }

    /// Bytes to read; 0 at the end.
    fn queued(&mut self, at: usize, side: usize) -> Result<usize> {
        let end = self.end_mut(at, side);
        if !end.input.is_empty() {
            return Ok(end.input.len());
        }
        if end.reset {
            return match std::mem::take(&mut end.error) {
                true => Err(ErrorKind::ConnectionReset.into()),
                false => Ok(0),
            };
        }
        match end.fin_seen {
            true => Ok(0),
            false => Err(Error::from(ErrorKind::WouldBlock)),
        }
    }

    fn consume(&mut self, at: usize, side: usize, n: usize) {
        let end = self.end_mut(at, side);
        end.input.skip(n);
        end.taken += n as u64;
        let limit = end.taken + end.receive_bytes as u64;
        if n > 0 && limit.saturating_sub(end.advertised) >= end.receive_bytes as u64 / 2 {
            self.acknowledge(at, side, 0);
        }
    }

    /// shutdown(SHUT_WR).
    pub(crate) fn shut(&mut self, at: usize, side: usize) -> Result<()> {
        let now = self.now;
        let end = self.end_mut(at, side);
        if end.reset {
            return Err(ErrorKind::NotConnected.into());
        }
        if end.unacknowledged() == 0 {
            end.progress_at = now;
        }
        end.fin_wanted = true;
        self.transmit(at, side);
        Ok(())
    }

    /// close(2).
    pub(crate) fn close(&mut self, at: usize, side: usize) {
        let end = self.end_mut(at, side);
        end.closed = true;
        let through = end.fin_acked() && end.fin_seen;
        if !end.input.is_empty() && !through {
            self.abort(at, side);
        } else {
            end.fin_wanted = true;
            self.transmit(at, side);
        }
    }

    /// SO_LINGER{1,0} and close(2).
    pub(crate) fn abort(&mut self, at: usize, side: usize) {
        let now = self.now;
        let half = self.pairs[at].link.rtt_ms / 2;
        let end = self.end_mut(at, side);
        let quiet = end.dead || end.reset || end.vanished || (end.fin_acked() && end.fin_seen);
        end.closed = true;
        end.dead = true;
        end.out.clear();
        end.input.clear();
        if quiet {
            return;
        }
        self.resets[side] += 1;
        let end = self.end_mut(at, side);
        let mut arrival = now + half;
        if arrival >= end.hole_until {
            arrival = arrival.max(end.arrival);
        }
        self.mail.post(arrival, at, 1 - side, Wire::Reset);
    }

    /// Sends what the windows allow.
    fn transmit(&mut self, at: usize, side: usize) {
        let (now, link) = (self.now, self.pairs[at].link);
        loop {
            let lost = self.rng.chance(link.loss);
            let end = self.end_mut(at, side);
            if end.dead || end.reset || end.vanished {
                return;
            }
            let edge = end.limit.min(end.acked + end.congestion);
            let window = edge.saturating_sub(end.sent) as usize;
            let n = end.out.len().min(window).min(link.burst);
            let fin = end.fin_wanted && !end.fin_sent && n == end.out.len();
            let held = end.corked && !end.fin_wanted && n < SEGMENT_BYTES;
            if (n == 0 && !fin) || held {
                return;
            }
            let bytes = end.out.take(n);
            end.sent += n as u64 + u64::from(fin);
            end.fin_sent |= fin;
            let soonest = now + link.rtt_ms / 2;
            let doubtful = lost || soonest < end.hole_until;
            end.arrival = end.arrival.max(soonest) + n as u64 / link.rate;
            if lost {
                end.arrival += RTO_MS.0 + link.rtt_ms;
                end.hole_until = end.arrival;
            }
            let arrival = end.arrival;
            let segment = Wire::Segment {
                bytes,
                fin,
                doubtful,
            };
            if end.owes_ack {
                self.acknowledge(at, side, 0);
            }
            self.mail.post(arrival, at, 1 - side, segment);
        }
    }

    /// Tells the other end what has arrived and how far it may go.
    fn acknowledge(&mut self, at: usize, side: usize, delay_ms: u64) {
        let arrival = self.now + delay_ms + self.pairs[at].link.rtt_ms / 2;
        let end = self.end_mut(at, side);
        if end.dead || end.vanished || end.reset {
            return;
        }
        end.owes_ack = delay_ms > 0;
        end.advertised = end.advertised.max(end.taken + end.receive_bytes as u64);
        let (acked, limit) = (end.received, end.advertised);
        let ack = Wire::Ack { acked, limit };
        self.mail.post(arrival, at, 1 - side, ack);
    }

    /// Something has arrived at an end.
    pub(crate) fn arrive(&mut self, at: usize, side: usize, wire: Wire) {
        self.parcels += 1;
        if self.end(at, side).vanished {
            return;
        }
        match wire {
            Wire::Segment {
                bytes,
                fin,
                doubtful,
            } => {
                // Who is gone does not send again, and nothing is read behind a gap.
                self.pairs[at].ends[side].gap |= doubtful && self.end(at, 1 - side).dead;
                if !self.end(at, side).gap {
                    self.segment(at, side, &bytes, fin);
                }
            }
            Wire::Ack { acked, limit } => self.acked(at, side, acked, limit),
            Wire::Reset => {
                let end = self.end_mut(at, side);
                end.error = !end.reset;
                end.reset = true;
                end.out.clear();
                self.woken.push_back((at, side));
            }
            Wire::Uncork => {
                self.end_mut(at, side).corked = false;
                self.transmit(at, side);
            }
            Wire::OrphanOver => {
                let end = self.end_mut(at, side);
                end.dead |= end.unacknowledged() > 0;
            }
            Wire::Wake | Wire::Syn | Wire::SynAck | Wire::Signal => {
                self.woken.push_back((at, side))
            }
        }
    }

    fn segment(&mut self, at: usize, side: usize, bytes: &[u8], fin: bool) {
        let delay_ms = self.pairs[at].link.delayed_ack_ms;
        let end = self.end_mut(at, side);
        if end.dead || end.reset {
            return;
        }
        if end.closed && !bytes.is_empty() {
            self.abort(at, side);
            return;
        }
        end.input.push(bytes);
        end.received += bytes.len() as u64 + u64::from(fin);
        end.fin_seen |= fin;
        let every_second = end.owes_ack;
        let closed = end.closed;
        self.acknowledge(at, side, if every_second { 0 } else { delay_ms });
        if !closed {
            self.woken.push_back((at, side));
        }
    }

    fn acked(&mut self, at: usize, side: usize, acked: u64, limit: u64) {
        let now = self.now;
        let end = self.end_mut(at, side);
        if end.dead || end.reset {
            return;
        }
        let news = acked > end.acked;
        if news {
            end.congestion = (end.congestion + acked - end.acked).min(CONGESTION.1);
            end.acked = acked;
            end.progress_at = now;
        }
        end.limit = end.limit.max(limit);
        self.transmit(at, side);
        let end = self.end_mut(at, side);
        let room = end.no_space && end.writable();
        if room || (news && end.fin_acked()) {
            end.no_space = false;
            self.woken.push_back((at, side));
        }
    }
}
