//! What the loop tells the access log.
//!
//! Owns the way of a response's progress into the log, if one is kept. It must not format or write
//! lines: that is `report`'s work. Invariant: every response that stood in an output gets one line,
//! or is counted as dropped.

use super::Reactor;
use super::net::Net;
use crate::connection::client::Client;
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::report::Asked;
use crate::report::access::{Access, Begun};
use std::io;

impl<N: Net> Reactor<N> {
    /// Keeps this access log from now on; `None`: none. Responses on their way have no line in it,
    /// and what the target of the one before does not take now is lost.
    pub fn log_accesses(&mut self, access: Option<Box<Access>>) {
        self.end_access();
        self.access = access;
    }

    /// Nothing will be logged any more: writes out what the target takes.
    pub fn end_access(&mut self) {
        if let Some(access) = &mut self.access {
            access.end();
        }
        self.flush_access();
    }

    /// Opens what has the name of the access log now: whoever renamed or removed its file asks for
    /// it. Where that fails the old one stays.
    ///
    /// # Errors
    /// As open(2) and connect(2).
    pub fn reopen_access(&mut self) -> io::Result<()> {
        match &mut self.access {
            Some(access) => access.reopen(),
            None => Ok(()),
        }
    }

    /// Writes out what the target takes now.
    pub(super) fn flush_access(&mut self) {
        if let Some(access) = &mut self.access {
            access.flush();
            self.counters.access_dropped(access.take_dropped());
        }
    }

    /// Lines wait for the target.
    pub(super) fn access_waits(&self) -> bool {
        self.access.as_ref().is_some_and(|access| access.pending())
    }

    /// Something was sent, before which `owed_bytes` were owed.
    pub(super) fn note_sent(&mut self, index: u16, owed_bytes: u64, turn: &Turn<'_>) {
        let (Some(access), Some(slot)) = (&mut self.access, self.slots.get(index)) else {
            return;
        };
        let sent_bytes = owed_bytes.saturating_sub(slot.connection.response_bytes_owed());
        let ends = matches!(slot.connection.state(), State::Linger | State::Closed);
        access.sent(index, sent_bytes, ends, turn.now);
    }

    /// A piece was made, with so many bytes of the file behind it.
    pub(super) fn note_piece(&mut self, index: u16, bytes: usize, file: u64, turn: &Turn<'_>) {
        let (Some(access), Some(slot)) = (&mut self.access, self.slots.get(index)) else {
            return;
        };
        let owed_bytes = slot.connection.response_bytes_owed();
        let content_bytes = u64::try_from(bytes).unwrap_or(0).saturating_add(file);
        let open = slot.connection.has_pieces();
        access.grew(index, owed_bytes, content_bytes, open);
        // An empty last piece ends the response here.
        self.note_sent(index, owed_bytes, turn);
    }

    /// A refusal stands in the output: for a request that was never read, or (`replaces`) instead
    /// of the answer to one whose body is at fault.
    pub(super) fn note_refusal(
        &mut self,
        index: u16,
        peer: Client,
        begun: Begun,
        replaces: bool,
        turn: &Turn<'_>,
    ) {
        let Some(access) = &mut self.access else {
            return;
        };
        if replaces && access.replace(index, begun) {
            return;
        }
        let asked = Asked {
            client: peer,
            user: None,
            line: None,
            host: None,
            referer: None,
            agent: None,
        };
        access.begin(index, &asked, begun, turn);
    }
}
