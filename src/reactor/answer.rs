//! From a whole request to what stands in the output, and what follows it.
//!
//! Owns the way of an answer from the site to the heart: the file and the work that come with it
//! find their places here. It must not decide what is answered, nor send it. Invariant: a
//! descriptor or a work of an answer that the heart did not take goes home at once.

use super::addresses::Key;
use super::net::Net;
use super::scripts::{self, Scripts};
use super::{Reactor, identity};
use crate::connection::client::Client;
use crate::connection::head::{Field, NO_FIELD, Request, Verdict};
use crate::connection::limits::{FIELDS_MAX, Limits};
use crate::connection::reason::Reject;
use crate::connection::reply::{Reply, Status};
use crate::connection::state::State;
use crate::connection::time::Turn;
use crate::connection::{Connection, Content, Size, Taken};
use crate::report::Asked;
use crate::report::access::Begun;
use crate::site::{self, Source, Store, upload};
use crate::sys::file;
use std::os::fd::AsFd;

/// Nearly all heads have no more field lines than this, browsers' too. The places are emptied for
/// each request, and [`FIELDS_MAX`] of them cost 3 % of a small answer.
const FIELDS_OFTEN: usize = 24;

/// What the heart must know of what the site made.
pub(super) fn content_of(made: &site::Content) -> Content {
    match made {
        site::Content::Nothing => Content::Nothing,
        site::Content::Empty => Content::Empty,
        site::Content::Page => Content::Page,
        site::Content::File(part) => Content::File(part.length),
        site::Content::Pieces(pieces) => Content::Pieces(pieces.length),
        // They do not come so far.
        site::Content::Later(_)
        | site::Content::Store(_)
        | site::Content::Script(_)
        | site::Content::NoPlace => Content::Page,
        site::Content::Status(_) => Content::Pieces(None),
    }
}

/// What the access log says of a request.
fn asked<'a>(request: &Request<'a>, client: Client, user: &'a [u8]) -> Asked<'a> {
    Asked {
        client,
        user: Some(user).filter(|user| !user.is_empty()),
        line: Some(request.line),
        host: Some(request.host).filter(|host| !host.is_empty()),
        referer: request.value("referer"),
        agent: request.value("user-agent"),
    }
}

/// What the access log says of a response that begins. Of one that waits for its body nothing is
/// known yet: if the body never ends, it was a bad request (RFC 9112 section 8).
pub(super) fn begun(taken: &Taken) -> Option<Begun> {
    match *taken {
        Taken::Yes {
            status,
            size,
            pieces: open,
            ..
        } => Some(Begun { status, size, open }),
        Taken::Body => Some(Begun {
            status: Status::BAD_REQUEST,
            size: Size::default(),
            open: true,
        }),
        Taken::Later => None,
    }
}

/// The request, with places for as many field lines as it has.
fn read<'a>(
    connection: &Connection,
    input: &'a [u8],
    (few, all): (
        &'a mut [Field<'a>; FIELDS_OFTEN],
        &'a mut Option<[Field<'a>; FIELDS_MAX]>,
    ),
    limits: &Limits,
) -> Result<Request<'a>, Reject> {
    match connection.request(input, few, limits) {
        Err(Reject::HeadTooLarge) => {
            connection.request(input, all.insert([NO_FIELD; FIELDS_MAX]), limits)
        }
        read => read,
    }
}

/// What becomes of a request.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request; a box would allocate"
)]
enum Outcome {
    /// The site has answered.
    Made(site::Content),
    /// Its body is kept first.
    Keep(Store),
    /// The script at this place answers, and gets the body so.
    Run(u16, site::Body),
    /// Whether its credentials are good is asked, under this number.
    AwaitVerdict(u32),
    /// There is no place for its script.
    AwaitPlace,
}

impl Outcome {
    /// Hands it over to the heart. `None`: the request waits.
    fn take(
        &self,
        connection: &mut Connection,
        verdict: &Verdict,
        reply: Reply<'_>,
        input: &[u8],
        turn: &Turn<'_>,
    ) -> Option<Taken> {
        match self {
            Self::AwaitVerdict(_) => {
                connection.await_verdict(turn);
                None
            }
            Self::AwaitPlace => {
                connection.await_place(turn);
                None
            }
            Self::Keep(store) => {
                Some(connection.await_store(verdict, store.max_bytes, input, turn))
            }
            Self::Run(_, site::Body::Spool(most)) => {
                Some(connection.await_store(verdict, *most, input, turn))
            }
            Self::Run(_, site::Body::None | site::Body::Length(_)) => {
                Some(connection.await_script(verdict, u64::MAX, input, turn))
            }
            Self::Made(made) => {
                let content = content_of(made);
                Some(connection.answered(verdict, reply, content, input, turn))
            }
        }
    }
}

/// What becomes of what the site made. `at` is the place that was shown to it; `alone`: there is
/// nothing before the request that is not sent yet.
fn outcome(
    made: site::Content,
    (scripts, at, alone): (&mut Scripts, Option<u16>, bool),
    (request, client, counted): (&Request<'_>, Client, Option<Key>),
    reply: &mut Reply<'_>,
    turn: &Turn<'_>,
) -> Outcome {
    match made {
        site::Content::Store(store) => Outcome::Keep(store),
        site::Content::Status(_) => Outcome::Made(made), // its head is written
        site::Content::Later(ticket) => Outcome::AwaitVerdict(ticket),
        site::Content::NoPlace if !alone || scripts.takes_waiter(counted) => Outcome::AwaitPlace,
        site::Content::NoPlace => {
            Outcome::Made(scripts::instead(Status::SERVICE_UNAVAILABLE, reply))
        }
        site::Content::Script(script) => {
            let body = script.body;
            let at = at.unwrap_or(0); // without one there is no script
            match scripts.begin(at, script, (request.host, client, counted), turn.now) {
                Ok(()) => Outcome::Run(at, body),
                Err(status) => Outcome::Made(scripts::instead(status, reply)),
            }
        }
        site::Content::Nothing
        | site::Content::Empty
        | site::Content::Page
        | site::Content::File(_)
        | site::Content::Pieces(_) => Outcome::Made(made),
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
        let replaces = matches!(
            slot.connection.state(),
            State::Body | State::Store | State::Script
        );
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
        self.scripts.forget(index);
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
        let (mut few, mut all) = ([NO_FIELD; FIELDS_OFTEN], None);
        let request = match read(&slot.connection, input, (&mut few, &mut all), turn.limits) {
            Ok(request) => request,
            Err(reject) => {
                self.refuse(index, reject, turn);
                return;
            }
        };
        if !slot.connection.may_join(&request) {
            return;
        }
        let full = self.access.as_ref().is_some_and(|a| !a.takes(index));
        if full && slot.connection.hold_answers() {
            return;
        }
        let verdict = request.verdict;
        let (table, most) = (&mut self.addresses, self.per_address);
        let admitted = self.proxies.admit(slot, &request, table, most);
        let (net, socket) = (&mut self.net, &slot.socket);
        let mut server = || net.local(socket);
        let alone = slot.connection.may_wait();
        let (at, frame) = self.scripts.vacancy_for(alone, slot.counted);
        let means = site::Means {
            work: self.works.has_room(slot.counted),
            upload: self.uploads.has_room(slot.counted),
            script: site::ScriptMeans::of(frame, &mut server),
            of_status: slot.of_status,
            cache: &mut self.cache,
        };
        self.credentials.begin(index, alone);
        let counted = slot.counted;
        let mut reply = slot.connection.reply(output);
        let site = self.sites.current();
        let outcome = match admitted {
            Ok(client) => {
                let credentials = &mut self.credentials;
                let mut made = site.answer(&request, &client, means, credentials, turn, &mut reply);
                self.showings.begin(&mut made, slot.of_status, &mut reply);
                let places = (&mut self.scripts, at, alone);
                outcome(made, places, (&request, client, counted), &mut reply, turn)
            }
            Err(_) => Outcome::Made(identity::too_many(&mut reply)),
        };
        let Some(taken) = outcome.take(&mut slot.connection, &verdict, reply, input, turn) else {
            match (outcome, slot.connection.state()) {
                (Outcome::AwaitVerdict(ticket), State::Verify) => self.credentials.wait(ticket),
                (Outcome::AwaitPlace, State::Queue) => self.scripts.wait(index, counted),
                (_, _) => {}
            }
            return;
        };
        if taken != Taken::Later {
            self.credentials.forget(index);
        }
        if let (Some(begun), Some(access)) = (begun(&taken), &mut self.access) {
            let client = admitted.unwrap_or_else(|client| client);
            let user = self.credentials.user();
            access.begin(index, &asked(&request, client, user), begun, turn);
        }
        self.count(&taken);
        self.look_at_refusal(&taken, self.sites.epoch(), turn.now);
        self.go_on(index, outcome, taken, turn);
    }

    /// What was taken finds its place.
    fn go_on(&mut self, index: u16, outcome: Outcome, taken: Taken, turn: &Turn<'_>) {
        match outcome {
            Outcome::Made(made) => self.follow(index, made, taken, turn),
            Outcome::Keep(store) if upload::BUILT => self.begin_upload(index, store, turn),
            Outcome::Run(at, _) => self.begin_script(index, at, turn),
            Outcome::Keep(_) | Outcome::AwaitVerdict(_) | Outcome::AwaitPlace => {}
        }
    }

    /// An answer that was taken counts.
    pub(super) fn count(&mut self, taken: &Taken) {
        if let Taken::Yes { status, .. } = *taken {
            self.counters.request();
            self.counters.response(status);
        }
    }

    /// What follows the head that was taken finds its place, or goes home.
    pub(super) fn follow(
        &mut self,
        index: u16,
        made: site::Content,
        taken: Taken,
        turn: &Turn<'_>,
    ) {
        match (made, taken) {
            (site::Content::File(part), Taken::Yes { file: 1.., .. }) => {
                self.begin_file(index, part, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { pieces: true, .. }) => {
                self.begin_pieces(index, pieces, turn);
            }
            (site::Content::Status(form), Taken::Yes { pieces: true, .. }) => {
                self.begin_status(index, form, turn);
            }
            (site::Content::Pieces(pieces), Taken::Yes { .. } | Taken::Later | Taken::Body) => {
                self.sites.current().release(pieces.work);
            }
            (_, Taken::Yes { .. } | Taken::Later | Taken::Body) => {}
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
        let (cache, source) = (&self.cache, part.source);
        let length = usize::try_from(part.length).ok();
        let done = match (length.and_then(|n| room.get_mut(..n)), source) {
            (Some(room), source) => {
                let read = match &source {
                    Source::Own(file) => file::read_whole(file.as_fd(), room, part.offset),
                    Source::Kept(kept) => cache.read(*kept, room, part.offset),
                };
                read.map(|()| slot.connection.inlined(room.len()))
            }
            (None, source) => {
                let file = match source {
                    Source::Own(file) => Ok(file),
                    Source::Kept(kept) => cache.file(kept),
                };
                slot.offset = part.offset;
                file.map(|file| slot.file = Some(file))
            }
        };
        if done.is_err() {
            slot.connection.truncated(turn);
        }
    }
}
