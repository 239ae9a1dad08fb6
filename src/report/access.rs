//! The access log: one line for each response, when it is over or cut.
//!
//! Owns the lines of responses that are on their way, the ring of those that are not written yet,
//! and their target. It must not decide anything about a connection but that a further answer waits
//! for those before it ([`Access::takes`]). Invariants: nothing is allocated after
//! [`Access::open`]; a line is in the target whole, or dropped and counted; nobody waits for it.

use super::escape::Writer;
use super::form::{self, Asked, Ended, LINE_BYTES, TEXT_BYTES};
use super::line::LINE_BYTES as NOTICE_BYTES;
use super::pending::{Pending, Record};
use super::ring::Ring;
use super::stamp::Stamps;
use super::target::{FLUSH_BYTES, Facility, Target};
use crate::config::{AccessFormat, Config, LogTarget, StartError};
use crate::connection::Size;
use crate::connection::reason::CloseReason;
use crate::connection::reply::Status;
use crate::connection::time::{Ms, Turn};
use std::io;

/// This build keeps an access log.
pub const BUILT: bool = cfg!(feature = "access-log");

/// The ring's size: a hundred usual lines, ten of the longest.
const ACCESS_RING_BYTES: usize = 32 * 1024;

/// What is written within one turn at most: a burst of requests makes more lines than the ring has
/// room for. Three thousand usual ones.
const TURN_BYTES: usize = 1024 * 1024;

/// The access log. See the module.
#[derive(Debug)]
pub struct Access {
    format: AccessFormat,
    pending: Pending,
    ring: Ring,
    target: Target,
    stamps: Stamps,
    line: Box<[u8]>,
    /// What may still be written in this turn, beside the flush at its end.
    left_bytes: usize,
    /// Nothing will be written any more.
    ended: bool,
    /// So many dropped lines were told.
    told_dropped: u64,
}

/// A response that begins.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Its status.
    pub status: Status,
    /// Its size, as far as it is made.
    pub size: Size,
    /// Further pieces will be made.
    pub open: bool,
}

fn built(config: &Config, built: bool) -> Result<(), StartError> {
    if built || config.access == AccessFormat::Off {
        return Ok(());
    }
    let what = "this build keeps no access log";
    let cure = "build adieu with the feature access-log, or set log.access to off";
    Err(StartError::configuration("log.access", what, cure))
}

impl Access {
    /// Whether this build can keep the access log that `config` asks for.
    ///
    /// # Errors
    /// It keeps none.
    pub fn check(config: &Config) -> Result<(), StartError> {
        built(config, BUILT)
    }

    /// The access log that `config` asks for; `None` if it is off.
    ///
    /// # Errors
    /// As [`Access::check`]; its file cannot be opened.
    pub fn open(config: &Config) -> Result<Option<Box<Self>>, StartError> {
        Self::check(config)?;
        if !BUILT || config.access == AccessFormat::Off {
            return Ok(None);
        }
        let mut config = config.clone();
        config.settle();
        let word = &config.access_target;
        let fault = |what: String| {
            let cure = "name a place that the server's user may write to";
            StartError::runtime("log.access_target", what, cure)
        };
        let named = LogTarget::parse(word).ok_or_else(|| fault(format!("{word} is no target")))?;
        let target = Target::open(named, config.access_bytes, LINE_BYTES, Facility::Local0)
            .map_err(|error| fault(format!("cannot open {word}: {error}")))?;
        Ok(Some(Box::new(Self {
            format: config.access,
            pending: Pending::new(
                config.connections.saturating_add(config.socket_slots()),
                config.buffers.saturating_add(config.socket_slots()),
            ),
            ring: Ring::new(ACCESS_RING_BYTES, form::notice(config.access)),
            target,
            stamps: Stamps::default(),
            line: vec![0; LINE_BYTES].into_boxed_slice(),
            left_bytes: TURN_BYTES,
            ended: false,
            told_dropped: 0,
        })))
    }

    /// Memory for each slot and each buffer, bytes.
    #[must_use]
    pub const fn bytes_each() -> usize {
        Pending::bytes_each()
    }

    /// Memory beside that, bytes: the ring, a line in the making, and a datagram.
    #[must_use]
    pub const fn bytes_fixed() -> usize {
        size_of::<Self>() + ACCESS_RING_BYTES + 2 * LINE_BYTES
    }

    /// A further line of this slot finds room. If not, the answer waits until those before it have
    /// left: then it does.
    #[must_use]
    pub fn takes(&self, slot: u16) -> bool {
        self.pending.room(slot) > 0
    }

    /// Responses of this slot that are on their way.
    #[must_use]
    pub fn holds(&self, slot: u16) -> usize {
        self.pending.count(slot)
    }

    /// A response stands in the output.
    pub fn begin(&mut self, slot: u16, asked: &Asked<'_>, begun: Begun, turn: &Turn<'_>) {
        if !BUILT {
            return;
        }
        let stamp = self.stamps.of(turn.wall.map(|wall| wall.unix_s));
        let most = self.pending.room(slot).min(TEXT_BYTES);
        let room = self.line.get_mut(..most).unwrap_or_default();
        let (len, split) = form::text(self.format, asked, stamp, room);
        let record = Record {
            split: u16::try_from(split).unwrap_or(0),
            status: begun.status.code(),
            head_bytes: begun.size.head_bytes,
            bytes: begun.size.bytes,
            framing_bytes: 0,
            open: begun.open,
            begun: turn.now,
            over: None,
        };
        let text = self.line.get(..len).unwrap_or_default();
        if !self.pending.put(slot, record, text) {
            self.ring.count_dropped();
        }
    }

    /// The response that was to be sent last is another one now: of its request was more amiss.
    /// False if there was none.
    pub fn replace(&mut self, slot: u16, begun: Begun) -> bool {
        let Some(record) = self.pending.last(slot).filter(|_| BUILT) else {
            return false;
        };
        record.status = begun.status.code();
        record.head_bytes = begun.size.head_bytes;
        record.bytes = begun.size.bytes;
        record.open = begun.open;
        true
    }

    /// A piece of the response was made: `bytes` with all that stands around it, of which
    /// `content_bytes` are content; `open`: there will be more.
    pub fn grew(&mut self, slot: u16, bytes: u64, content_bytes: u64, open: bool) {
        if !BUILT {
            return;
        }
        if let Some(record) = self.pending.last(slot) {
            record.bytes = record.bytes.saturating_add(bytes);
            let framing = bytes.saturating_sub(content_bytes);
            record.framing_bytes = record.framing_bytes.saturating_add(framing);
            record.open = open;
        }
    }

    /// `bytes` of responses left. The line of one that ends its connection (`ends`) waits for the
    /// reason.
    pub fn sent(&mut self, slot: u16, bytes: u64, ends: bool, now: Ms) {
        if !BUILT {
            return;
        }
        if let Some((_, sent, _)) = self.pending.first(slot) {
            *sent = sent.saturating_add(bytes);
        }
        while let Some((record, sent, only)) = self.pending.first(slot) {
            if record.open || *sent < record.bytes {
                return;
            }
            if ends && only {
                record.over = Some(now);
                return;
            }
            self.finish(slot, None, now);
        }
    }

    /// The connection is over; `given_up`: with bytes that the client has not acknowledged.
    pub fn close(&mut self, slot: u16, reason: CloseReason, given_up: bool, now: Ms) {
        if !BUILT {
            return;
        }
        while self.pending.first(slot).is_some() {
            self.finish(slot, Some((reason, given_up)), now);
        }
    }

    /// The first line of a slot is whole now.
    fn finish(&mut self, slot: u16, close: Option<(CloseReason, bool)>, now: Ms) {
        let Some((_, sent, _)) = self.pending.first(slot) else {
            return;
        };
        let sent = *sent;
        let mut to = Writer::new(&mut self.line);
        let Some(record) = self.pending.take(slot, |part| {
            to.put(part);
        }) else {
            return;
        };
        let len = to.len();
        let whole = !record.open && sent >= record.bytes;
        let content_bytes = sent
            .min(record.bytes)
            .saturating_sub(record.head_bytes)
            .saturating_sub(record.framing_bytes);
        let ended = Ended {
            status: record.status,
            content_bytes,
            duration_ms: record.over.unwrap_or(now).since(record.begun),
            complete: whole && close.is_none_or(|(_, given_up)| !given_up),
            close: close.map(|(reason, _)| reason),
        };
        let split = usize::from(record.split);
        let mut behind = [0; TEXT_BYTES];
        let rest = self.line.get(split..len).unwrap_or_default();
        let Some(behind) = behind.get_mut(..rest.len()) else {
            return;
        };
        behind.copy_from_slice(rest);
        let mut to = Writer::at(&mut self.line, split);
        form::tail(self.format, &ended, behind, &mut to);
        let len = to.len();
        let line = self.line.get(..len).unwrap_or_default();
        if self.ring.room() < line.len().saturating_add(NOTICE_BYTES) && self.left_bytes > 0 {
            self.left_bytes = self.left_bytes.saturating_sub(FLUSH_BYTES);
            write_out(&mut self.target, &mut self.ring);
        }
        self.ring.push(line);
    }

    /// Writes out what the target takes now: once a turn. Says once what is amiss.
    pub fn flush(&mut self) {
        if !BUILT {
            return;
        }
        self.left_bytes = TURN_BYTES;
        if !self.ring.is_empty() {
            write_out(&mut self.target, &mut self.ring);
        }
    }

    /// Writes out what the target takes, for the last time: the rest counts as dropped.
    pub fn end(&mut self) {
        for _ in 0..=ACCESS_RING_BYTES / FLUSH_BYTES {
            self.flush();
        }
        self.ended = true;
    }

    /// Something waits for the target. Not a reason to poll at once: a stuck target stays stuck.
    #[must_use]
    pub fn pending(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Opens what has the name of the file now, for it may have been renamed or removed. Where that
    /// fails the old one stays.
    ///
    /// # Errors
    /// As open(2) and connect(2).
    pub fn reopen(&mut self) -> io::Result<()> {
        if !BUILT {
            return Ok(());
        }
        self.target.reopen(&mut self.ring)
    }

    /// Lines dropped since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        let total = self.ring.dropped_total(self.ended);
        total.saturating_sub(std::mem::replace(&mut self.told_dropped, total))
    }
}

/// One flush; what is amiss is a warning.
fn write_out(target: &mut Target, ring: &mut Ring) {
    if let Some(trouble) = target.flush(ring) {
        log::warn!("the access log {trouble}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_it_says_so() {
        let mut config = Config::default();
        assert!(built(&config, false).is_ok());
        config.access = AccessFormat::Json;
        assert!(built(&config, true).is_ok());
        assert_eq!(
            built(&config, false).unwrap_err().to_string(),
            "log.access: this build keeps no access log; build adieu with the feature access-log, \
             or set log.access to off"
        );
    }
}
