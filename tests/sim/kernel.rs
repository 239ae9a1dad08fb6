//! The network as the reactor sees it: [`FakeNet`], over [`World`].
//!
//! Owns accepting, the edge-triggered poller, the options of closing, and mishaps. It must not help
//! the reactor: an edge that was taken from the poller does not come again, data and FIN of one
//! moment make one edge, and an event may come for a connection that is gone. Invariant: `poll`
//! never sleeps longer than it was told.

use crate::law::Goodbye;
use crate::tcp::SERVER;
use crate::wire::Wire;
use crate::world::World;
use adieu::connection::How;
use adieu::connection::linger::Queues;
use adieu::connection::time::Ms;
use adieu::reactor::net::{EVENTS, Event, Look, Net, Side, Token};
use adieu::sys::signal::Signal;
use adieu::sys::socket::{Peer, accept_pauses};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

/// SO_RCVBUF 16384, as the kernel doubles it.
const ACCEPTED_RECEIVE_BYTES: usize = 32 * 1024;
/// What every accepted connection is told to have: SO_RCVBUF and SO_SNDBUF.
pub(crate) const USUAL_BYTES: [u64; 2] = [16 * 1024, 16 * 1024];
/// 2033: later than any file of the site.
const WALL_S: i64 = 2_000_000_000;
/// Where a clock that is set anew may stand: before adieu was written, just before 2038, beyond
/// what 32 bits can say.
const SET_S: [Option<i64>; 4] = [
    None,
    Some(1_704_067_200),
    Some(2_147_483_647),
    Some(253_402_300_799),
];
/// What accept(2) may find too little of.
const SHORTAGES: [i32; 4] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
/// How long the machine stands still, ms.
const STALLS_MS: [u64; 4] = [500, 3_000, 20_000, 100_000];

/// What the wall clock does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Clock {
    /// It goes.
    #[default]
    Steady,
    /// Nobody has set it.
    Unset,
    /// It is set again and again.
    Jumps,
}

/// How often something goes wrong, in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mishaps {
    /// recv(2) gives less than there is.
    pub(crate) short_read: u64,
    /// recv(2) gives nothing for a while.
    pub(crate) dry: u64,
    /// send(2) takes less than there is room for.
    pub(crate) short_write: u64,
    /// send(2) finds no memory for a while.
    pub(crate) storm: u64,
    /// accept(2) finds no descriptor.
    pub(crate) no_descriptor: u64,
    /// An event comes for a connection that was closed.
    pub(crate) stale: u64,
    /// The world moves on during a call.
    pub(crate) stir: u64,
    /// poll(2) returns only some of the events.
    pub(crate) few_events: u64,
    /// poll(2) returns early and with nothing, as after EINTR.
    pub(crate) interrupted: u64,
    /// epoll has no memory for one more.
    pub(crate) unwatched: u64,
    /// Everything stands still in poll(2), but the clock.
    pub(crate) stall: u64,
    /// The wall clock.
    pub(crate) clock: Clock,
}

/// An accepted connection; not a descriptor, but dropped like one.
#[derive(Debug)]
pub(crate) struct FakeSocket(usize);

/// What epoll keeps.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    /// What each connection was registered as.
    pub(crate) tokens: Vec<Option<Token>>,
    ready: VecDeque<usize>,
    listener: bool,
    signal: bool,
    stale: Vec<Event>,
}

impl Epoll {
    /// Nothing is registered.
    pub(crate) fn new(connections: usize) -> Self {
        Self {
            tokens: vec![None; connections],
            ..Self::default()
        }
    }

    /// Something happened to a connection: an edge, if it is registered.
    pub(crate) fn wake(&mut self, at: usize) {
        if self.tokens[at].is_some() && !self.ready.contains(&at) {
            self.ready.push_back(at);
        }
    }

    /// A connection stands in the accept queue.
    pub(crate) fn knock(&mut self) {
        self.listener = true;
    }

    /// A signal came.
    pub(crate) fn signal(&mut self) {
        self.signal = true;
    }
}

/// The fake kernel.
#[derive(Debug)]
pub(crate) struct FakeNet(pub(crate) Rc<RefCell<World>>);

impl FakeNet {
    /// The world during a call: it may move on meanwhile.
    fn enter(&self) -> std::cell::RefMut<'_, World> {
        let mut world = self.0.borrow_mut();
        let often = world.mishaps.stir;
        if world.tcp.rng.chance(often) {
            world.tcp.now += world.tcp.rng.range(0, 1);
            world.deliver();
        }
        world
    }
}

impl World {
    /// Takes the edges out of the poller.
    fn collect(&mut self, events: &mut Vec<Event>) {
        let mut most = EVENTS;
        if self.tcp.rng.chance(self.mishaps.few_events) {
            most = self.tcp.rng.size(1, 3);
        }
        let others = [
            (&mut self.epoll.listener, Token::Listener(0)),
            (&mut self.epoll.signal, Token::Signals),
        ];
        for (edge, token) in others {
            if std::mem::take(edge) {
                events.push(Event {
                    token,
                    readable: true,
                    writable: false,
                    read_closed: false,
                    broken: false,
                });
            }
        }
        while events.len() < most {
            let Some(at) = self.epoll.ready.pop_front() else {
                break;
            };
            let end = self.tcp.end(at, SERVER);
            let Some(token) = self.epoll.tokens[at] else {
                continue;
            };
            let event = Event {
                token,
                readable: end.readable(),
                writable: end.writable(),
                read_closed: end.fin_seen || end.reset,
                broken: end.reset,
            };
            if event.readable || event.writable {
                events.push(event);
            }
        }
        for stale in std::mem::take(&mut self.epoll.stale) {
            let place = self.tcp.rng.size(0, events.len());
            events.insert(place, stale);
        }
    }

    /// A closed connection leaves the poller, but perhaps not without a trace.
    fn forget(&mut self, at: usize) {
        self.open[at] = false;
        let said = self.goodbyes[at].take();
        self.said.extend(said.map(|goodbye| (at, goodbye)));
        let Some(token) = self.epoll.tokens[at].take() else {
            return;
        };
        if self.tcp.rng.chance(self.mishaps.stale) {
            let read_closed = self.tcp.rng.chance(500);
            self.epoll.stale.push(Event {
                token,
                readable: true,
                writable: self.tcp.rng.chance(500),
                read_closed,
                broken: false,
            });
        }
    }

    /// How much of a read happens: `None`, nothing, for a while. An edge follows, as one does when
    /// the rest of it comes.
    fn read_mishap(&mut self, at: usize, bytes: usize) -> Option<usize> {
        let end = self.tcp.end(at, SERVER);
        let unread = end.unread();
        if unread > 0 && self.tcp.rng.chance(self.mishaps.dry) {
            let later = self.tcp.now + self.tcp.rng.range(0, 20);
            self.tcp.mail.post(later, at, SERVER, Wire::Wake);
            return None;
        }
        let most = bytes.min(unread);
        if most > 1 && self.tcp.rng.chance(self.mishaps.short_read) {
            self.tcp.mail.post(self.tcp.now, at, SERVER, Wire::Wake);
            return Some(self.tcp.rng.size(1, most - 1));
        }
        Some(bytes)
    }

    /// How much of a write happens: `None`, nothing, for want of memory.
    fn mishap(&mut self, at: usize, bytes: usize) -> Option<usize> {
        if self.tcp.rng.chance(self.mishaps.storm) {
            let later = self.tcp.now + self.tcp.rng.range(1, 20);
            self.tcp.mail.post(later, at, SERVER, Wire::Wake);
            self.tcp.end_mut(at, SERVER).no_space = true;
            return None;
        }
        if bytes > 1 && self.tcp.rng.chance(self.mishaps.short_write) {
            return Some(self.tcp.rng.size(1, bytes - 1));
        }
        Some(bytes)
    }
}

impl Net for FakeNet {
    type Socket = FakeSocket;

    fn poll(&mut self, timeout_ms: Option<u32>, events: &mut Vec<Event>) -> Result<()> {
        let mut world = self.0.borrow_mut();
        let world = &mut *world;
        world.moved.fill(0);
        if world.tcp.rng.chance(world.mishaps.interrupted) {
            return Ok(());
        }
        if world.tcp.rng.chance(world.mishaps.stall) {
            world.tcp.now += world.tcp.rng.pick(&STALLS_MS);
            world.stalled = true;
        }
        let until = timeout_ms.map(|ms| world.tcp.now + u64::from(ms));
        if until.is_none() && world.open.contains(&true) {
            world.fault("the loop sleeps without a deadline while connections live".to_owned());
        }
        loop {
            world.deliver();
            world.collect(events);
            if !events.is_empty() {
                break;
            }
            let next = world.tcp.mail.next_at();
            match (next, until) {
                (Some(next), Some(until)) if next <= until => world.tcp.now = next,
                (Some(next), None) => world.tcp.now = next,
                (_, Some(until)) => {
                    world.tcp.now = until;
                    break;
                }
                (None, None) => {
                    world.asleep = true;
                    break;
                }
            }
        }
        for event in events.iter() {
            world.note(|| format!("event {event:?}"));
        }
        Ok(())
    }

    fn now(&mut self) -> Ms {
        Ms(self.0.borrow().tcp.now)
    }

    fn wall_s(&mut self) -> Option<i64> {
        let mut world = self.0.borrow_mut();
        match world.mishaps.clock {
            Clock::Steady => Some(WALL_S + (world.tcp.now / 1000) as i64),
            Clock::Unset => None,
            Clock::Jumps => world.tcp.rng.pick(&SET_S),
        }
    }

    fn signal(&mut self) -> Option<Signal> {
        let mut world = self.0.borrow_mut();
        world.signals = world.signals.checked_sub(1)?;
        Some(Signal::Terminate)
    }

    fn listeners(&self) -> u8 {
        1
    }

    fn waits(&mut self, _: u8) -> bool {
        !self.enter().waiting.is_empty()
    }

    fn accept(&mut self, _: u8) -> Result<(FakeSocket, Peer)> {
        let mut world = self.enter();
        let often = world.mishaps.no_descriptor;
        if !world.waiting.is_empty() && world.tcp.rng.chance(often) {
            let errno = world.tcp.rng.pick(&SHORTAGES);
            return Err(Error::from_raw_os_error(errno));
        }
        let at = world.waiting.pop_front().ok_or(ErrorKind::WouldBlock)?;
        world
            .tcp
            .end_mut(at, SERVER)
            .set_receive_bytes(ACCEPTED_RECEIVE_BYTES);
        world.open[at] = true;
        world.sizes[at] = USUAL_BYTES;
        world.note(|| format!("{at}: accepted"));
        let last = world.addresses[at];
        Ok((FakeSocket(at), Peer::V4([10, 0, 0, last])))
    }

    fn pauses(error: &Error) -> bool {
        accept_pauses(error)
    }

    fn close_listeners(&mut self) {
        let mut world = self.0.borrow_mut();
        world.deaf = true;
        while let Some(at) = world.waiting.pop_front() {
            world.tcp.abort(at, SERVER);
        }
    }

    fn register(&mut self, socket: &FakeSocket, token: Token) -> Result<()> {
        let mut world = self.0.borrow_mut();
        let often = world.mishaps.unwatched;
        if world.tcp.rng.chance(often) {
            world.clients[socket.0].unlucky = true;
            return Err(Error::from_raw_os_error(libc::ENOMEM));
        }
        world.epoll.tokens[socket.0] = Some(token);
        world.epoll.wake(socket.0);
        Ok(())
    }

    fn peek(&mut self, socket: &FakeSocket, into: &mut [u8]) -> Result<usize> {
        let mut world = self.enter();
        let n = world
            .read_mishap(socket.0, into.len())
            .ok_or(ErrorKind::WouldBlock)?;
        world.tcp.peek(socket.0, SERVER, &mut into[..n])
    }

    fn receive(&mut self, socket: &FakeSocket, into: &mut [u8]) -> Result<usize> {
        let mut world = self.enter();
        let n = world
            .read_mishap(socket.0, into.len())
            .ok_or(ErrorKind::WouldBlock)?;
        let outcome = world.tcp.read(socket.0, SERVER, &mut into[..n]);
        world.moved[socket.0] += outcome.as_ref().unwrap_or(&0);
        world.note(|| format!("{}: receive {outcome:?}", socket.0));
        outcome
    }

    fn discard(&mut self, socket: &FakeSocket, max: usize) -> Result<usize> {
        let mut world = self.enter();
        let n = world
            .read_mishap(socket.0, max)
            .ok_or(ErrorKind::WouldBlock)?;
        let outcome = world.tcp.discard(socket.0, SERVER, n);
        let (now, drained) = (world.tcp.now, *outcome.as_ref().unwrap_or(&0));
        world.moved[socket.0] += drained;
        if let Some(goodbye) = &mut world.goodbyes[socket.0] {
            goodbye.drained(now, drained as u64);
        }
        world.note(|| format!("{}: discard {outcome:?}", socket.0));
        outcome
    }

    fn resize(&mut self, socket: &FakeSocket, side: Side, bytes: u32) -> Option<u32> {
        let mut world = self.0.borrow_mut();
        let end = world.tcp.end_mut(socket.0, SERVER);
        match side {
            Side::Receive => end.set_receive_bytes(2 * bytes as usize),
            Side::Send => end.set_send_bytes(2 * bytes as usize),
        }
        world.sizes[socket.0][usize::from(side == Side::Send)] = u64::from(bytes);
        world.note(|| format!("{}: {side:?} of {bytes}", socket.0));
        Some(bytes)
    }

    fn charged(&mut self, socket: &FakeSocket, side: Side) -> u32 {
        let world = self.0.borrow();
        let end = world.tcp.end(socket.0, SERVER);
        match side {
            Side::Receive => end.unread() as u32,
            Side::Send => end.unacknowledged() as u32,
        }
    }

    fn round_trip_us(&mut self, socket: &FakeSocket) -> u32 {
        let world = self.0.borrow();
        world.tcp.pairs[socket.0].link.rtt_ms as u32 * 1_000
    }

    fn send(&mut self, socket: &FakeSocket, bytes: &[u8], more: bool) -> Result<usize> {
        let mut world = self.enter();
        let n = world
            .mishap(socket.0, bytes.len())
            .ok_or(ErrorKind::WouldBlock)?;
        let outcome = world.tcp.write(socket.0, SERVER, &bytes[..n], more);
        world.moved[socket.0] += outcome.as_ref().unwrap_or(&0);
        world.note(|| format!("{}: send {} {outcome:?}", socket.0, bytes.len()));
        outcome
    }

    fn send_file(
        &mut self,
        socket: &FakeSocket,
        file: &OwnedFd,
        offset: u64,
        max: usize,
    ) -> Result<usize> {
        // Never more than fits; and one byte, for the error or the end of the file.
        let space = self.0.borrow().tcp.end(socket.0, SERVER).space();
        let mut bytes = vec![0; max.min(space.max(1))];
        let read = adieu::sys::file::read_at(file.as_fd(), &mut bytes, offset)?;
        bytes.truncate(read);
        if bytes.is_empty() {
            return Ok(0);
        }
        self.send(socket, &bytes, false)
    }

    fn shutdown_write(&mut self, socket: &FakeSocket) -> Result<()> {
        let mut world = self.enter();
        world.note(|| format!("{}: shut", socket.0));
        let (end, rto_ms) = (
            world.tcp.end(socket.0, SERVER),
            world.tcp.rto_ms(socket.0, SERVER),
        );
        let goodbye = Goodbye::new(world.tcp.now, end, rto_ms);
        world.goodbyes[socket.0] = Some(goodbye);
        world.tcp.shut(socket.0, SERVER)
    }

    fn queues(&mut self, socket: &FakeSocket, look: Look) -> Queues {
        let world = self.0.borrow();
        let end = world.tcp.end(socket.0, SERVER);
        Queues {
            unacknowledged: end.unacknowledged() as u32,
            // What does not count may be anything.
            unread: match look {
                Look::Whole | Look::Moved => end.unread() as u32,
                Look::Ended => 0,
            },
            rto_ms: match look {
                Look::Whole => world.tcp.rto_ms(socket.0, SERVER) as u32,
                Look::Moved | Look::Ended => 0,
            },
        }
    }

    fn close(&mut self, socket: FakeSocket, how: How) {
        let mut world = self.enter();
        let at = socket.0;
        let unacknowledged = world.tcp.end(at, SERVER).unacknowledged();
        let alone = world.tcp.end(at, SERVER).may_be_left_alone() && !world.clients[at].unlucky;
        world.note(|| format!("{at}: close {how:?}, {unacknowledged} unacknowledged"));
        world.forget(at);
        let resets = world.tcp.resets[SERVER];
        match how {
            How::Reset => world.tcp.abort(at, SERVER),
            How::Plain if alone => {
                world.fault(format!("{at}: an orphan without a bound"));
            }
            How::KernelLinger(_) if unacknowledged > 0 => {
                world.fault(format!("{at}: this close blocks"));
            }
            How::Plain | How::KernelLinger(_) => world.tcp.close(at, SERVER),
            How::Bounded(ms) => {
                let over = world.tcp.now + u64::from(ms);
                world.tcp.mail.post(over, at, SERVER, Wire::OrphanOver);
                world.tcp.close(at, SERVER);
            }
        }
        if !world.clients[at].unlucky {
            world.cuts += world.tcp.resets[SERVER] - resets;
        }
    }
}
