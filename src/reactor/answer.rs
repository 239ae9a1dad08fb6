//! From a whole request to what stands in the output, and what follows it.
//!
//! Owns the way of an answer from the site to the heart: the file and the work that come with it
//! find their places here. It must not decide what is answered, nor send it. Invariant: a
//! descriptor or a work of an answer that the heart did not take goes home at once.

use super::net::Net;
use super::{Reactor, identity};
use crate::connection::client::Client;
use crate::connection::head::{NO_FIELD, Request};
use crate::connection::limits::FIELDS_MAX;
use crate::connection::reason::Reject;
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::connection::{Content, Taken};
use crate::report::Asked;
use crate::report::access::Begun;
use crate::site;
use crate::sys::file;
use std::os::fd::AsFd;

/// What the heart must know of what the site made.
fn content_of(made: &site::Content) -> Content {
    match made {
        site::Content::Nothing => Content::Nothing,
        site::Content::Empty => Content::Empty,
        site::Content::Page => Content::Page,
        site::Content::File(part) => Content::File(part.length),
        site::Content::Pieces(pieces) => Content::Pieces(pieces.length),
        // It does not come so far.
        site::Content::Later(_) => Content::Page,
    }
}

/// What the access log says of a request.
fn asked<'a>(request: &Request<'a>, line: &'a [u8], client: Client, user: &'a [u8]) -> Asked<'a> {
    Asked {
        client,
        user: Some(user).filter(|user| !user.is_empty()),
        line: Some(line),
        host: Some(request.host).filter(|host| !host.is_empty()),
        referer: request.value("referer"),
        agent: request.value("user-agent"),
    }
}

impl<N: Net> Reactor<N> {
    pub(super) fn refuse(&mut self, index: u16, reject: Reject, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (_, output) = self.buffers.halves(buffer);
        // Of a request whose body is being read the answer is made already, and goes.
        let replaces = slot.connection.state() == State::Body;
        let full = self.access.as_ref().is_some_and(|a| !a.takes(index));
        if !replaces && full && slot.connection.hold_answers() {
            return;
        }
        let Some(size) = slot.connection.refuse(reject, output, turn) else {
            return;
        };
        let begun = Begun {
            status: reject.status(),
            size,
            open: false,
        };
        let peer = slot.peer;
        self.credentials.forget(index);
        self.note_refusal(index, peer, begun, replaces, turn);
        self.hint(reject);
        self.counters.reject(reject);
        self.counters.response(reject.status());
    }

    pub(super) fn answer(&mut self, index: u16, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (input, output) = self.buffers.halves(buffer);
        let mut fields = [NO_FIELD; FIELDS_MAX];
        let request = match slot.connection.request(input, &mut fields, turn.limits) {
            Ok(request) => request,
            Err(reject) => {
                self.refuse(index, reject, turn);
                return;
            }
        };
        if !slot.connection.may_join(&request.verdict) {
            return;
        }
        let full = self.access.as_ref().is_some_and(|a| !a.takes(index));
        if full && slot.connection.hold_answers() {
            return;
        }
        let line = slot.connection.request_line(input);
        let verdict = request.verdict;
        let (table, most) = (&mut self.addresses, self.per_address);
        let admitted = self.proxies.admit(slot, &request, table, most);
        let means = site::Means {
            work: self.works.has_room(slot.counted),
        };
        self.credentials.begin(index, slot.connection.may_wait());
        let mut reply = slot.connection.reply(output);
        let made = match admitted {
            Ok(client) => self.sites.current().answer(
                &request,
                &client,
                means,
                &mut self.credentials,
                turn,
                &mut reply,
            ),
            Err(_) => identity::too_many(&mut reply),
        };
        if let site::Content::Later(ticket) = made {
            if slot.connection.await_verdict(turn) {
                self.credentials.wait(ticket);
            }
            return;
        }
        let content = content_of(&made);
        let taken = slot
            .connection
            .answered(&verdict, reply, content, input, turn);
        if let Taken::Yes {
            status,
            size,
            pieces: open,
            ..
        } = taken
        {
            self.credentials.forget(index);
            self.counters.request();
            self.counters.response(status);
            if let Some(access) = &mut self.access {
                let client = admitted.unwrap_or_else(|client| client);
                let begun = Begun { status, size, open };
                let user = self.credentials.user();
                access.begin(index, &asked(&request, line, client, user), begun, turn);
            }
        }
        self.follow(index, made, taken, turn);
    }

    /// What follows the head that was taken finds its place, or goes home.
    fn follow(&mut self, index: u16, made: site::Content, taken: Taken, turn: &Turn<'_>) {
        match (made, taken) {
            (site::Content::File(part), Taken::Yes { file: 1.., .. }) => {
                self.begin_file(index, part, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { pieces: true, .. }) => {
                self.begin_pieces(index, pieces, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { .. } | Taken::Later) => {
                self.sites.current().release(pieces.work);
            }
            (_, Taken::Yes { .. } | Taken::Later) => {}
        }
    }

    /// A file that fits behind its head leaves with it; a larger one stays with the slot.
    fn begin_file(&mut self, index: u16, part: site::FilePart, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (_, output) = self.buffers.halves(buffer);
        let room = slot.connection.room(output);
        match usize::try_from(part.length)
            .ok()
            .and_then(|n| room.get_mut(..n))
        {
            Some(room) => match file::read_whole(part.file.as_fd(), room, part.offset) {
                Ok(()) => slot.connection.inlined(room.len()),
                Err(_) => slot.connection.truncated(turn),
            },
            None => {
                slot.offset = part.offset;
                slot.file = Some(part.file);
            }
        }
    }
}
