//! Everything outside the reactor, and one run of it.
//!
//! Owns [`World`] (wire, clients, poller, accept queue) and the run of a seed. What must hold in it
//! is [`crate::law`]'s matter. Invariant: the same seed gives the same run.

use crate::answers::Root;
use crate::clients;
use crate::end::End;
use crate::kernel::{Clock, Epoll, FakeNet, Mishaps, USUAL_BYTES};
use crate::law::{self, Goodbye};
use crate::peer::Client;
use crate::rng::Rng;
use crate::tcp::{CLIENT, Pair, SERVER, Tcp};
use crate::wire::{Mail, Wire};
use adieu::config::network::Networks;
use adieu::config::rules::Rule;
use adieu::config::speaks::Speaks;
use adieu::config::{AccessFormat, Config, SiteConfig, UploadRule};
use adieu::connection::limits::Limits;
use adieu::connection::state::Teardown;
use adieu::reactor::Reactor;
use adieu::report::access::Access;
use adieu::report::counters::Counters;
use adieu::site::Site;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// Most turns of a run; a run that takes more does not end.
const TURNS: usize = 300_000;
/// A SYN that found the accept queue full is sent again after this.
const SYN_AGAIN_MS: u64 = 1_000;
/// Below the default, so that a flood is over soon, and above what a good client is refused.
const LINGER_BYTES: u64 = 3 << 20;
/// Most connections of one address where many come from one, and how many addresses there are.
const CROWD: (u16, usize) = (3, 3);

/// Everything outside the reactor.
#[derive(Debug)]
pub(crate) struct World {
    /// The wire.
    pub(crate) tcp: Tcp,
    /// The clients; connection n is client n's.
    pub(crate) clients: Vec<Client>,
    /// The poller.
    pub(crate) epoll: Epoll,
    /// The accept queue.
    pub(crate) waiting: VecDeque<usize>,
    /// How often something goes wrong.
    pub(crate) mishaps: Mishaps,
    /// Which sockets the server has.
    pub(crate) open: Vec<bool>,
    /// What each was told to have of the kernel, SO_RCVBUF and SO_SNDBUF.
    pub(crate) sizes: Vec<[u64; 2]>,
    /// The most that all of them had at once over the usual sizes, bytes.
    pub(crate) large_peak: u64,
    /// The goodbyes that are said.
    pub(crate) goodbyes: Vec<Option<Goodbye>>,
    /// Those that ended in this turn, and whose they were.
    pub(crate) said: Vec<(usize, Goodbye)>,
    /// Since when the client's FIN is here and all of ours acknowledged.
    pub(crate) through_at: Vec<Option<u64>>,
    /// Bytes that each connection moved in this turn.
    pub(crate) moved: Vec<usize>,
    /// RSTs that the server sent in place of a goodbye.
    pub(crate) cuts: u64,
    /// The whole machine has just stood still.
    pub(crate) stalled: bool,
    /// The last number of the address of each client.
    pub(crate) addresses: Vec<u8>,
    /// Signals that nobody took.
    pub(crate) signals: usize,
    /// The listener is closed.
    pub(crate) deaf: bool,
    /// Nothing will ever happen again.
    pub(crate) asleep: bool,
    /// What must not be.
    pub(crate) faults: Vec<String>,
    backlog: usize,
    /// Somebody may wait for a buffer: then it takes as long as it takes.
    short: bool,
    files: Rc<[Vec<u8>]>,
    trace: bool,
}

impl World {
    /// A line of the trace.
    pub(crate) fn note(&self, what: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>7} {}", self.tcp.now, what());
        }
    }

    /// Something that must not be.
    pub(crate) fn fault(&mut self, what: String) {
        self.faults.push(what);
    }

    /// Brings everything that has arrived, and lets who was woken act.
    pub(crate) fn deliver(&mut self) {
        while let Some((at, side, wire)) = self.tcp.mail.due(self.tcp.now) {
            match wire {
                Wire::Syn => self.syn(at),
                Wire::SynAck => {
                    self.clients[at].connected = true;
                    self.tcp.woken.push_back((at, CLIENT));
                }
                Wire::Signal => {
                    self.signals += 1;
                    self.epoll.signal();
                }
                Wire::Segment { .. }
                | Wire::Ack { .. }
                | Wire::Reset
                | Wire::Uncork
                | Wire::OrphanOver
                | Wire::Wake => self.tcp.arrive(at, side, wire),
            }
            while let Some((at, side)) = self.tcp.woken.pop_front() {
                if side == SERVER {
                    self.epoll.wake(at);
                } else {
                    self.clients[at].run(at, &mut self.tcp, &self.files);
                }
            }
        }
    }

    fn syn(&mut self, at: usize) {
        let now = self.tcp.now;
        if self.deaf {
            self.clients[at].connected = true;
            self.tcp.abort(at, SERVER);
            return;
        }
        if self.waiting.len() > self.backlog {
            self.tcp
                .mail
                .post(now + SYN_AGAIN_MS, at, SERVER, Wire::Syn);
            return;
        }
        self.waiting.push_back(at);
        self.epoll.knock();
        let half = self.tcp.pairs[at].link.rtt_ms / 2;
        self.tcp.mail.post(now + half, at, CLIENT, Wire::SynAck);
    }

    /// Notes since when the server has nothing to wait for.
    fn look(&mut self) {
        for (at, through) in self.through_at.iter_mut().enumerate() {
            let end = self.tcp.end(at, SERVER);
            let waits = self.open[at] && end.fin_seen && end.unacknowledged() == 0;
            if !waits || self.short {
                *through = None;
            } else if through.is_none() {
                *through = Some(self.tcp.now);
            }
        }
    }

    /// The server is gone: what is on its way still arrives.
    fn rest(&mut self) {
        while let Some(next) = self.tcp.mail.next_at() {
            self.tcp.now = next;
            self.deliver();
        }
    }

    /// Who still has something to do.
    fn unfinished(&self) -> String {
        let clients = self.clients.iter().enumerate();
        let unfinished = clients.filter(|(_, client)| !client.connected || !client.is_silent());
        let named = unfinished.map(|(at, client)| format!("client {at}, {:?}", client.kind));
        named.collect::<Vec<_>>().join("; ")
    }

    fn is_over(&self) -> bool {
        let silent = self.clients.iter().all(|c| c.connected && c.is_silent());
        // A client may wait for a server that forgot it while the machine stood still.
        let quiet = silent || self.tcp.mail.next_at().is_none();
        self.asleep || (quiet && self.waiting.is_empty() && !self.open.contains(&true))
    }
}

/// What a seed chooses.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Slots and buffers are fewer than clients.
    pub(crate) short: bool,
    /// The server is asked to stop in the middle.
    pub(crate) stops: bool,
    /// A proxy stands before the server and says whom it speaks for.
    pub(crate) proxied: bool,
    /// The machine stands still now and then, longer than some deadlines. Only where buffers are
    /// for all.
    pub(crate) stalls: bool,
    /// Few addresses, and a share for each.
    pub(crate) crowded: bool,
    /// Responses are logged.
    log: Log,
    slots: u16,
    buffers: u16,
    clients: usize,
}

/// Where responses are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Log {
    /// Nowhere.
    Off,
    /// Where every line goes.
    Open,
    /// Where no line goes.
    Stuck,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The scene.
    pub(crate) scene: Scene,
    /// The clients at the end.
    pub(crate) clients: Vec<Client>,
    /// Turns of the loop.
    pub(crate) turns: usize,
    /// The counters.
    pub(crate) counters: Counters,
    /// What arrived anywhere.
    pub(crate) parcels: u64,
    /// Virtual time at the end.
    pub(crate) ms: u64,
    /// The most that all large buffers had over the usual sizes, bytes.
    pub(crate) large_peak: u64,
}

fn scene(seed: u64, rng: &mut Rng) -> Scene {
    let short = rng.chance(350);
    let stops = rng.chance(150);
    // Who waits for a buffer as long as that is refused.
    let stalls = !short && rng.chance(150);
    let crowded = rng.chance(200);
    let clients = rng.size(4, 22);
    let (slots, buffers) = if short {
        (rng.range(4, 8) as u16, rng.range(3, 5) as u16)
    } else {
        (24, 24)
    };
    Scene {
        short,
        stops,
        proxied: rng.chance(250),
        stalls,
        crowded,
        // Not drawn: who logs does nothing else.
        log: [Log::Off, Log::Open, Log::Stuck][(seed % 3) as usize],
        slots,
        buffers,
        clients,
    }
}

fn mishaps(rng: &mut Rng, stalls: bool) -> Mishaps {
    Mishaps {
        short_read: rng.pick(&[0, 0, 100, 500]),
        dry: rng.pick(&[0, 0, 50, 200]),
        unwatched: rng.pick(&[0, 0, 0, 50]),
        interrupted: rng.pick(&[0, 100]),
        stall: if stalls { 5 } else { 0 },
        clock: rng.pick(&[Clock::Steady, Clock::Steady, Clock::Unset, Clock::Jumps]),
        short_write: rng.pick(&[0, 0, 100, 500]),
        storm: rng.pick(&[0, 0, 50, 200]),
        no_descriptor: rng.pick(&[0, 0, 200]),
        stale: rng.pick(&[0, 300, 1000]),
        stir: rng.pick(&[0, 20, 200]),
        few_events: rng.pick(&[0, 0, 300]),
    }
}

fn build(seed: u64, root: &Root, trace: bool) -> (Scene, World) {
    let mut rng = Rng::new(seed);
    let scene = scene(seed, &mut rng);
    let n = scene.clients;
    let mishaps = mishaps(&mut rng, scene.stalls);
    let mut clients: Vec<Client> = vec![];
    let mut mail = Mail::default();
    let mut pairs = vec![];
    let span_ms = rng.pick(&[1, 200, 5_000]);
    for at in 0..n {
        let link = clients::link(&mut rng, scene.short);
        let mut client = clients::client(&mut rng, link);
        if scene.proxied {
            client.introduce(&clients::preface(&mut rng));
        }
        clients.push(client);
        let client_bytes = rng.pick(&[8, 16, 64]) * 1_024;
        // The largest takes more than the loop gives one connection in a turn.
        let server_bytes = rng.pick(&[8, 32, 32, 64, if scene.short { 32 } else { 1_024 }]) * 1_024;
        let server = End::new(server_bytes, 64 * 1_024, client_bytes);
        let client = End::new(rng.pick(&[16, 64, 256]) * 1_024, client_bytes, 64 * 1_024);
        let ends = [server, client];
        pairs.push(Pair { link, ends });
        mail.post(rng.range(0, span_ms), at, SERVER, Wire::Syn);
    }
    if scene.stops {
        mail.post(rng.range(0, 2 * span_ms), 0, SERVER, Wire::Signal);
    }
    let tcp = Tcp {
        now: 0,
        rng,
        mail,
        pairs,
        woken: VecDeque::new(),
        parcels: 0,
        resets: [0; 2],
    };
    let world = World {
        tcp,
        clients,
        epoll: Epoll::new(n),
        waiting: VecDeque::new(),
        mishaps,
        open: vec![false; n],
        sizes: vec![USUAL_BYTES; n],
        large_peak: 0,
        goodbyes: (0..n).map(|_| None).collect(),
        said: vec![],
        through_at: vec![None; n],
        moved: vec![0; n],
        cuts: 0,
        stalled: false,
        addresses: (0..n)
            .map(|at| if scene.crowded { at % CROWD.1 } else { at } as u8)
            .collect(),
        signals: 0,
        deaf: false,
        asleep: false,
        faults: vec![],
        backlog: 16,
        short: scene.short,
        files: Rc::clone(&root.files),
        trace,
    };
    (scene, world)
}

/// Runs a seed to its end; panics when something does not hold that holds for every client.
pub(crate) fn run(seed: u64, teardown: Teardown, root: &Root, trace: bool) -> Outcome {
    let (scene, world) = build(seed, root, trace);
    let config = Config {
        site: SiteConfig {
            root: root.path.clone(),
            listing: true,
            uploads: vec![UploadRule::parse("/in 1MiB").unwrap()],
            ..SiteConfig::default()
        },
        connections: scene.slots,
        buffers: scene.buffers,
        connections_per_address: if scene.crowded { CROWD.0 } else { scene.slots },
        trusted: Networks::parse(if scene.proxied { "10.0.0.0/8" } else { "none" }).unwrap(),
        speaks: Speaks::ProxyProtocol,
        access: AccessFormat::Json,
        access_target: match scene.log {
            Log::Stuck => format!("file:{}", root.stuck.display()),
            Log::Off | Log::Open => "file:/dev/null".to_owned(),
        },
        limits: Limits {
            linger_bytes: LINGER_BYTES,
            ..Limits::default()
        },
        ..Config::default()
    };
    let world = Rc::new(RefCell::new(world));
    let site = Site::new(&config).unwrap();
    let mut reactor = Reactor::new(FakeNet(Rc::clone(&world)), site, &config, teardown);
    if scene.log != Log::Off {
        reactor.log_accesses(Access::open(&config).unwrap());
    }
    let (mut turns, mut before) = (0, law::Before::default());
    while !world.borrow().is_over() && !reactor.finished() {
        turns += 1;
        let now = world.borrow().tcp.now;
        assert!(
            turns < TURNS,
            "does not end: {now} ms, {:?}, {}",
            reactor.census(),
            world.borrow().unfinished()
        );
        reactor.turn().unwrap();
        world.borrow_mut().look();
        let world = &mut world.borrow_mut();
        law::holds(&reactor, world, &config.limits, teardown, &mut before);
        law::large_buffers(world, config.large_room_bytes());
    }
    law::ends(&reactor);
    world.borrow_mut().rest();
    root.holds_whole_files();
    let counters = reactor.counters().clone();
    drop(reactor);
    let world = Rc::try_unwrap(world).unwrap().into_inner();
    Outcome {
        scene,
        ms: world.tcp.now,
        large_peak: world.large_peak,
        parcels: world.tcp.parcels,
        clients: world.clients,
        turns,
        counters,
    }
}
