//! The answer that a script makes: its head, and what stands in for it.
//!
//! Owns how the head is read from the pipe and handed to the heart, and the answers in place of it.
//! It must not pass content on. Invariant: nothing of a head reaches the wire before all of it is
//! found sound.

use super::relay::Read;
use super::running::Phase;
use crate::connection::head::{Framing, Method, Request, Target, Verdict, Version};
use crate::connection::reason::Reject;
use crate::connection::reply::{Reply, Status};
use crate::connection::time::Turn;
use crate::connection::{Content, Taken};
use crate::reactor::Reactor;
use crate::reactor::answer::{begun, content_of};
use crate::reactor::drive::Step;
use crate::reactor::net::Net;
use crate::script::output::{Malformed, Said};
use crate::site;

/// The longest path that a script may name instead, bytes.
const LOCAL_BYTES: usize = 4096;

impl<N: Net> Reactor<N> {
    /// Reads on until the head of the answer is whole.
    pub(super) fn hear_head(&mut self, index: u16, at: u16, turn: &Turn<'_>) -> Step {
        let Some(stall) = self.scripts.stalls.get_mut(usize::from(at)) else {
            return Step::Blocked;
        };
        let Some(running) = &mut stall.running else {
            return Step::Blocked;
        };
        if running.phase == Phase::Failed {
            return self.tell_instead(index, Status::INTERNAL_SERVER_ERROR, turn);
        }
        let room = stall.frame.memory();
        let rest = room.get_mut(running.said..).unwrap_or_default();
        let ended = match rest.is_empty() {
            true => false,
            false => match running.read(rest, turn.now) {
                Ok(Read::Bytes(n)) => {
                    running.said = running.said.saturating_add(n);
                    false
                }
                Ok(Read::Nothing) => false,
                Ok(Read::End) | Err(_) => true,
            },
        };
        if running.looked == running.said && !ended {
            return Step::Blocked;
        }
        // It is looked at when there is a buffer to answer in.
        if !self.secure_buffer(index, turn) {
            return Step::Blocked;
        }
        self.look_at_head(index, at, ended, turn);
        Step::Moved
    }

    fn look_at_head(&mut self, index: u16, at: u16, ended: bool, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (input, output) = self.buffers.halves(buffer);
        let Some(stall) = self.scripts.stalls.get_mut(usize::from(at)) else {
            return;
        };
        let Some(running) = &mut stall.running else {
            return;
        };
        let room = stall.frame.memory();
        let most = room.len();
        let said = room.get(..running.said).unwrap_or_default();
        running.looked = running.said;
        let mut reply = slot.connection.reply(output);
        let answer = match running.head.look(said, most, ended, &mut reply) {
            Said::More => return,
            Said::Malformed(malformed) => {
                let name = running.name.as_bytes().escape_ascii();
                log::warn!("script {name}: its answer is malformed: {malformed:?}");
                let status = match (malformed, running.told) {
                    (Malformed::Cut, true) => Status::GATEWAY_TIMEOUT,
                    (_, _) => Status::BAD_GATEWAY,
                };
                self.answer_for_script(index, status, turn);
                return;
            }
            Said::Whole(answer) => answer,
        };
        running.passed = answer.head_bytes;
        running.owed = answer.content_bytes;
        if let Some(path) = answer.local {
            let mut kept = [0; LOCAL_BYTES];
            let path = kept.get_mut(..path.len()).map(|room| {
                room.copy_from_slice(path);
                &*room
            });
            match path {
                Some(path) => self.redirect(index, at, path, turn),
                None => self.answer_for_script(index, Status::BAD_GATEWAY, turn),
            }
            return;
        }
        let code = reply.current_status().code();
        let taken = match answer.content_bytes {
            Some(0) => {
                running.finished = true;
                let bare = matches!(code, 204 | 304);
                let content = if bare {
                    Content::Nothing
                } else {
                    Content::Empty
                };
                slot.connection.concluded(reply, content, input, turn)
            }
            bytes => slot.connection.relayed(reply, bytes, input, turn),
        };
        // Of a HEAD no content is passed on.
        running.finished |= matches!(taken, Taken::Yes { pieces: false, .. });
        self.note_answer(index, &taken);
    }

    /// The answer takes the place of what stood in the log while nothing was known.
    fn note_answer(&mut self, index: u16, taken: &Taken) {
        if let (Some(begun), Some(access)) = (begun(taken), &mut self.access) {
            access.replace(index, begun);
        }
        self.count(taken);
    }

    /// Answers in place of a script that cannot, where a buffer is at hand.
    fn tell_instead(&mut self, index: u16, status: Status, turn: &Turn<'_>) -> Step {
        if !self.secure_buffer(index, turn) {
            return Step::Blocked;
        }
        self.answer_for_script(index, status, turn);
        Step::Moved
    }

    /// Answers in place of a script that cannot.
    pub(in crate::reactor) fn answer_for_script(
        &mut self,
        index: u16,
        status: Status,
        turn: &Turn<'_>,
    ) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else {
            slot.connection.fail_script(Reject::Internal, turn);
            return;
        };
        let (input, output) = self.buffers.halves(buffer);
        let mut reply = slot.connection.reply(output);
        super::instead(status, &mut reply);
        let taken = slot.connection.concluded(reply, Content::Page, input, turn);
        self.note_answer(index, &taken);
    }

    /// Answers what the script has named instead (RFC 3875 section 6.2.2). Another script it does
    /// not lead to: then the client is sent there.
    fn redirect(&mut self, index: u16, at: u16, location: &[u8], turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (Some(buffer), Some(running)) = (slot.buffer, self.scripts.get_mut(at)) else {
            return;
        };
        running.finished = true;
        let host = running.host;
        let (input, output) = self.buffers.halves(buffer);
        let request = request_for(location, host.as_bytes(), slot.connection.is_head());
        let means = site::Means {
            work: self.works.has_room(slot.counted),
            upload: false,
            script: None,
            of_status: slot.of_status,
            cache: &mut self.cache,
        };
        let (site, credentials) = (self.sites.current(), &mut self.credentials);
        let client = running.client;
        credentials.begin(index, false);
        let mut reply = slot.connection.reply(output);
        let made = site.answer(&request, &client, means, credentials, turn, &mut reply);
        let made = match made {
            site::Content::NoPlace
            | site::Content::Status(_)
            | site::Content::Script(_)
            | site::Content::Store(_)
            | site::Content::Later(_) => {
                reply = slot.connection.reply(output);
                elsewhere(location, &mut reply)
            }
            site::Content::Nothing
            | site::Content::Empty
            | site::Content::Page
            | site::Content::File(_)
            | site::Content::Pieces(_) => made,
        };
        let content = content_of(&made);
        let taken = slot.connection.concluded(reply, content, input, turn);
        let held = slot.holds.take();
        self.note_answer(index, &taken);
        self.go_home(held);
        self.follow(index, made, taken, turn);
    }
}

/// Sends the client to this place.
fn elsewhere(location: &[u8], reply: &mut Reply<'_>) -> site::Content {
    reply.status(Status::FOUND);
    reply.field("Location", location);
    site::Content::Page
}

/// The request that a local redirect stands for: a GET without fields, so without credentials.
fn request_for<'r>(location: &'r [u8], host: &'r [u8], head_only: bool) -> Request<'r> {
    let mut parts = location.splitn(2, |byte| *byte == b'?');
    let path = parts.next().unwrap_or_default();
    Request {
        line: b"",
        method: if head_only { Method::Head } else { Method::Get },
        target: Target::Path {
            path,
            query: parts.next(),
        },
        host,
        fields: &[],
        verdict: Verdict {
            head_bytes: 0,
            framing: Framing::None,
            version: Version::Http11,
            keep: true,
            head_only,
            expects_continue: false,
        },
    }
}
