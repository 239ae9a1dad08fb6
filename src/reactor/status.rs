//! Answers about the server itself.
//!
//! Owns the places of such answers, what is only counted for them, and the way of a piece through
//! the heart. It must not write a form: that is `report`'s work. Invariants: a place has one
//! snapshot, taken when the answer begins; while the kernel is asked the loop goes on; those who
//! come by `status.socket` have places of their own.

use super::Reactor;
use super::drive::{Budget, Step};
use super::net::Net;
use super::places::Place;
use super::sizes;
use crate::config::status::{BUILT, Form, PLACES, SOCKET_SLOTS};
use crate::config::{Config, Plan};
use crate::connection::reason::RETRY_AFTER_S;
use crate::connection::reply::{Reply, Status};
use crate::connection::state::State;
use crate::connection::time::{Ms, Turn};
use crate::report::goodbyes::Goodbyes;
use crate::report::status::{POLICY, POOLS, Pool, Snapshot, Survey};
use crate::site;
use std::rc::Rc;

/// An answer about the status.
#[derive(Debug)]
struct Showing {
    form: Form,
    /// Bytes that were written.
    from: usize,
    snapshot: Option<Snapshot>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Showings {
    /// Those of the path, then those of the socket; none where nothing is shown.
    places: Vec<Option<Showing>>,
    plan: Rc<Plan>,
    started: Ms,
    pub(super) goodbyes: Goodbyes,
}

/// Memory of each place, bytes.
pub(super) const BYTES_EACH: usize = size_of::<Option<Showing>>();

impl Showings {
    pub(super) fn new(config: &Config, now: Ms) -> Self {
        let mut showings = Self {
            places: Vec::new(),
            plan: Rc::new(Plan::default()),
            started: now,
            goodbyes: Goodbyes::new(),
        };
        showings.retune(config);
        showings
    }

    /// From now on this configuration holds. Places are made with the first wish to see something.
    pub(super) fn retune(&mut self, config: &Config) {
        if !config.shows_status() {
            return;
        }
        self.plan = Rc::new(Plan::of(config, &sizes()));
        if self.places.is_empty() {
            self.places = (0..PLACES).map(|_| None).collect();
        }
    }

    /// The places for who comes so.
    fn share(of_socket: bool) -> std::ops::Range<u16> {
        match of_socket {
            true => (PLACES - SOCKET_SLOTS)..PLACES,
            false => 0..(PLACES - SOCKET_SLOTS),
        }
    }

    /// A free place.
    fn vacancy(&self, of_socket: bool) -> Option<u16> {
        let free = |at: &u16| matches!(self.places.get(usize::from(*at)), Some(None));
        Self::share(of_socket).find(free)
    }

    /// Writes the head of an answer about the status, or of one that there is no place for it.
    /// Whatever else the site has made is as before.
    pub(super) fn begin(&self, made: &mut site::Content, of_socket: bool, reply: &mut Reply<'_>) {
        let site::Content::Status(form) = *made else {
            return;
        };
        if !BUILT || self.vacancy(of_socket).is_none() {
            reply.status(Status::SERVICE_UNAVAILABLE);
            reply.field_number("Retry-After", RETRY_AFTER_S);
            *made = site::Content::Page;
            return;
        }
        reply.status(Status::OK);
        reply.field("Content-Type", form.media_type());
        reply.field("Cache-Control", b"no-store");
        reply.field("X-Content-Type-Options", b"nosniff");
        if form == Form::Page {
            reply.field("Content-Security-Policy", POLICY);
        }
    }

    fn get_mut(&mut self, at: u16) -> Option<&mut Showing> {
        self.places.get_mut(usize::from(at))?.as_mut()
    }

    /// The answer is complete, or will never be.
    pub(super) fn end(&mut self, at: u16) {
        if let Some(place) = self.places.get_mut(usize::from(at)) {
            *place = None;
        }
    }

    /// Places that are taken.
    pub(super) fn taken(&self) -> usize {
        self.places.iter().flatten().count()
    }
}

impl<N: Net> Reactor<N> {
    /// An answer about the status begins.
    pub(super) fn begin_status(&mut self, index: u16, form: Form, turn: &Turn<'_>) {
        self.end_pieces(index);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(at) = self.showings.vacancy(slot.of_status) else {
            slot.connection.truncated(turn); // cannot be: it was asked before
            return;
        };
        slot.holds = Some(Place::Status(at));
        if let Some(place) = self.showings.places.get_mut(usize::from(at)) {
            *place = Some(Showing {
                form,
                from: 0,
                snapshot: None,
            });
        }
    }

    /// Makes the next piece of it, for a socket that took everything before it.
    pub(super) fn produce_of_status(
        &mut self,
        index: u16,
        at: u16,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> Step {
        if self
            .showings
            .get_mut(at)
            .is_some_and(|s| s.snapshot.is_none())
        {
            let Some(survey) = self.net.survey(turn.now) else {
                budget.later = true;
                return Step::Blocked;
            };
            let snapshot = self.snapshot(survey, turn);
            if let Some(showing) = self.showings.get_mut(at) {
                showing.snapshot = Some(snapshot);
            }
        }
        if !self.buffer_for_piece(index, budget, turn) {
            return Step::Blocked;
        }
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let Some(buffer) = slot.buffer else {
            return Step::Blocked;
        };
        let (_, output) = self.buffers.halves(buffer);
        let room = slot.connection.room_for_piece(output);
        let showing = self.showings.get_mut(at);
        let shown = showing.and_then(|s| Some((s.snapshot.as_ref()?, s.form, &mut s.from)));
        let Some((snapshot, form, from)) = shown else {
            slot.connection.truncated(turn);
            return Step::Moved;
        };
        let (bytes, last) = snapshot.write(form, *from, room);
        *from = from.saturating_add(bytes);
        slot.connection.produced(bytes, 0, last, output, turn);
        self.note_piece(index, bytes, 0, turn);
        let open = |slot: &super::slots::Slot<N::Socket>| slot.connection.has_pieces();
        if !self.slots.get(index).is_some_and(open) {
            self.end_pieces(index);
        }
        Step::Moved
    }

    /// What there is to say at this moment.
    fn snapshot(&self, survey: Survey, turn: &Turn<'_>) -> Snapshot {
        let mut states = [0_u16; State::ALL.len()];
        // Walked when somebody asks: to keep the numbers at every change would cost every request.
        for (_, slot) in self.slots.iter().filter(|(_, slot)| !slot.of_status) {
            let of = slot.connection.state();
            let at = State::ALL.iter().position(|state| *state == of);
            if let Some(count) = at.and_then(|at| states.get_mut(at)) {
                *count = count.saturating_add(1);
            }
        }
        Snapshot {
            pid: std::process::id(),
            uptime_ms: turn.now.since(self.showings.started),
            unix_s: turn.wall.map(|wall| wall.unix_s),
            stopping: turn.stopping,
            states,
            pools: self.pools(),
            counters: self.counters.clone(),
            goodbyes: self.showings.goodbyes.clone(),
            survey,
            plan: Rc::clone(&self.showings.plan),
        }
    }

    fn pools(&self) -> [Pool; POOLS] {
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let pool = |name, (used, most): (usize, usize), peak: Option<usize>, plan| Pool {
            name,
            used: wide(used),
            most: wide(most),
            peak: peak.map(wide),
            plan,
        };
        let config = &self.config;
        let slots = (self.slots.clients(), usize::from(config.connections));
        let buffers = (self.buffers.used(), self.buffers.common());
        let works = self.works.used();
        let uploads = self.uploads.used();
        let (scripts_free, scripts) = self.scripts.census();
        let scripts = (scripts - scripts_free, scripts);
        let verdicts = match config.asks_who() {
            true => config.auth.waiting.min(config.buffers / 2).max(1),
            false => 0,
        };
        let verdicts = (self.credentials.waiting(), usize::from(verdicts));
        let (waiting, may_wait) = self.scripts.waiting();
        let may_wait = if config.runs_scripts() { may_wait } else { 0 };
        [
            pool("slots", slots, Some(self.slots.peak()), "slots"),
            pool(
                "buffers",
                buffers,
                Some(self.buffers.peak()),
                "buffers, both halves",
            ),
            pool(
                "pieces",
                works,
                Some(self.works.peak()),
                "answers in pieces",
            ),
            pool(
                "uploads",
                uploads,
                Some(self.uploads.peak()),
                "uploads on their way",
            ),
            pool("scripts", scripts, None, "scripts on their way"),
            pool("scripts-waiting", (waiting, may_wait), None, ""),
            pool("verdicts-waiting", verdicts, None, ""),
        ]
    }
}
