//! From a whole request to what stands in the output, and what follows it.
//!
//! Owns the way of an answer from the site to the heart: the file and the work that come with it
//! find their places here. It must not decide what is answered, nor send it. Invariant: a
//! descriptor or a work of an answer that the heart did not take goes home at once.

use super::net::Net;
use super::{Reactor, identity};
use crate::connection::head::NO_FIELD;
use crate::connection::limits::FIELDS_MAX;
use crate::connection::reason::Reject;
use crate::connection::time::Turn;
use crate::connection::{Content, Taken};
use crate::site;
use crate::sys::file;
use std::os::fd::AsFd;

impl<N: Net> Reactor<N> {
    pub(super) fn refuse(&mut self, index: u16, reject: Reject, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (_, output) = self.buffers.halves(buffer);
        if slot.connection.refuse(reject, output, turn) {
            self.hint(reject);
            self.counters.reject(reject);
            self.counters.response(reject.status());
        }
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
        let verdict = request.verdict;
        let (table, most) = (&mut self.addresses, self.per_address);
        let admitted = self.proxies.admit(slot, &request, table, most);
        let means = site::Means {
            work: self.works.has_room(slot.counted),
        };
        let mut reply = slot.connection.reply(output);
        let made = match admitted {
            Some(client) => self.site.answer(&request, &client, means, turn, &mut reply),
            None => identity::too_many(&mut reply),
        };
        let content = match &made {
            site::Content::Nothing => Content::Nothing,
            site::Content::Empty => Content::Empty,
            site::Content::Page => Content::Page,
            site::Content::File(part) => Content::File(part.length),
            site::Content::Pieces(pieces) => Content::Pieces(pieces.length),
        };
        let taken = slot
            .connection
            .answered(&verdict, reply, content, input, turn);
        if let Taken::Yes { status, .. } = taken {
            self.counters.request();
            self.counters.response(status);
        }
        match (made, taken) {
            (site::Content::File(part), Taken::Yes { file: 1.., .. }) => {
                self.begin_file(index, part, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { pieces: true, .. }) => {
                self.begin_pieces(index, pieces, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { .. } | Taken::Later) => {
                self.site.release(pieces.work);
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
