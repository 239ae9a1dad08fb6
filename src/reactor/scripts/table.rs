//! The places of scripts.
//!
//! Owns the table, the memory of each place, and the start of a script in one. It must not know a
//! connection. Invariants: a place is free, or of one process that was asked for and whose end was
//! not reported yet; nothing is allocated once there is a rule for scripts.

use super::running::{Kept, Phase, Running, Voice};
use crate::config::{Config, ScriptConfig};
use crate::connection::client::Client;
use crate::connection::reply::Status;
use crate::connection::time::Ms;
use crate::reactor::addresses::Key;
use crate::script::output::Output;
use crate::script::{BUILT, Bounds, Descriptors, Frame, Launched, ROOM, Room, Starter};
use crate::site::{Body, Script as Made};
use crate::sys::{memory, pipe};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

/// A place, with its memory.
#[derive(Debug)]
pub(super) struct Stall {
    pub(super) running: Option<Running>,
    /// What the script is started with; then what it says first.
    pub(super) frame: Frame,
    pub(super) generation: u16,
}

/// All places, and who waits for one.
#[derive(Debug)]
pub(in crate::reactor) struct Scripts {
    pub(super) starter: Option<Starter>,
    /// Those that have ended, or will, of which the system may still keep something.
    pub(super) gone: Vec<Starter>,
    /// Some rule needs one.
    pub(super) wanted: bool,
    pub(super) replace_at: Option<Ms>,
    pub(super) stalls: Vec<Stall>,
    queue: VecDeque<(u16, Option<Key>)>,
    waiting: usize,
    /// Most places of one client, and most that wait of one.
    shares: (usize, usize),
    pub(super) settings: ScriptConfig,
    pub(super) next_ticket: u32,
    /// The starter may have said more than was heard.
    pub(super) unheard: bool,
    /// Files on their way to their disk, also those that nobody waits for any more: each is a
    /// process.
    pub(super) syncing: u16,
    syncs: u16,
    pub(super) room: Box<Room>,
}

/// So many that have ended are waited for; of further ones a number stays taken until the server
/// ends.
const GONE_MAX: usize = 4;

/// Memory of each place, bytes.
pub(in crate::reactor) const BYTES_EACH: usize = size_of::<Stall>() + crate::script::frame::BYTES;

impl Scripts {
    /// Places for the scripts that `config` lets run.
    pub(in crate::reactor) fn new(config: &Config) -> Self {
        let mut scripts = Self {
            starter: None,
            gone: Vec::with_capacity(GONE_MAX),
            wanted: false,
            replace_at: None,
            stalls: Vec::new(),
            queue: VecDeque::new(),
            waiting: 0,
            shares: (1, 1),
            settings: config.script.clone(),
            next_ticket: 0,
            unheard: false,
            syncing: 0,
            syncs: 0,
            room: Box::new(ROOM),
        };
        scripts.retune(config);
        scripts
    }

    /// From now on these settings hold; the places are made with the first rule.
    pub(in crate::reactor) fn retune(&mut self, config: &Config) {
        self.settings = config.script.clone();
        self.wanted = config.needs_starter();
        self.syncs = self.syncs.max(config.upload_places());
        if self.stalls.is_empty() {
            let place = |_| Stall {
                running: None,
                frame: Frame::new(),
                generation: 0,
            };
            self.stalls = (0..config.script_places()).map(place).collect();
            self.waiting = usize::from(config.script_waiting());
            self.queue = VecDeque::with_capacity(self.waiting);
        }
        // The part that it gets of the slots: who is slow would have them all.
        let slots = usize::from(config.connections).max(1);
        let part = |of: usize| (of * usize::from(config.connections_per_address) / slots).max(1);
        self.shares = (part(self.stalls.len()), part(self.waiting));
    }

    /// This starter is not needed, or not any more: it ends all its scripts, then itself.
    pub(in crate::reactor) fn turn_away(&mut self, mut starter: Starter) {
        starter.dismiss();
        self.see_off(starter);
    }

    /// This one ends.
    pub(super) fn see_off(&mut self, starter: Starter) {
        if self.gone.len() < GONE_MAX {
            self.gone.push(starter);
        }
    }

    /// A free place, with the frame to write a launch into.
    pub(in crate::reactor) fn vacancy(&mut self, client: Option<Key>) -> Option<(u16, &mut Frame)> {
        self.starter
            .as_ref()
            .filter(|_| BUILT && self.is_within_share(client))?;
        let mut stalls = self.stalls.iter_mut().zip(0..);
        let (stall, at) = stalls.find(|(stall, _)| stall.running.is_none())?;
        Some((at, &mut stall.frame))
    }

    /// The same for a request: a script is started once, so for one that stands alone, with nothing
    /// before it that is not sent yet.
    pub(in crate::reactor) fn vacancy_for(
        &mut self,
        alone: bool,
        counted: Option<Key>,
    ) -> (Option<u16>, Option<&mut Frame>) {
        match alone {
            true => self.vacancy(counted).unzip(),
            false => (None, None),
        }
    }

    pub(super) fn get_mut(&mut self, at: u16) -> Option<&mut Running> {
        if !BUILT {
            return None;
        }
        self.stalls.get_mut(usize::from(at))?.running.as_mut()
    }

    pub(super) fn running(&mut self) -> impl Iterator<Item = (&mut Running, u16)> {
        let stalls = self.stalls.iter_mut().zip(0..);
        stalls.filter_map(|(stall, at)| Some((stall.running.as_mut()?, at)))
    }

    /// A further script of this client is within its share. Who has no address has none.
    fn is_within_share(&self, client: Option<Key>) -> bool {
        let held = self
            .stalls
            .iter()
            .filter_map(|stall| stall.running.as_ref());
        let own = held.filter(|one| client.is_some() && one.counted == client);
        own.count() < self.shares.0
    }

    /// Another one of this client may wait for a place.
    pub(in crate::reactor) fn takes_waiter(&self, client: Option<Key>) -> bool {
        let own = self
            .queue
            .iter()
            .filter(|(_, other)| client.is_some() && *other == client);
        let within = self.queue.len() < self.waiting && own.count() < self.shares.1;
        self.starter.is_some() && within
    }

    /// How many wait for a place, of how many that may.
    pub(in crate::reactor) fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), self.waiting)
    }

    /// A slot waits for a place.
    pub(in crate::reactor) fn wait(&mut self, slot: u16, client: Option<Key>) {
        self.queue.push_back((slot, client));
    }

    /// Who has waited longest of those for whom there is a place now.
    pub(super) fn next_waiter(&mut self) -> Option<u16> {
        self.starter.as_ref()?;
        self.stalls.iter().find(|stall| stall.running.is_none())?;
        let mut queue = self.queue.iter();
        let at = queue.position(|(_, client)| self.is_within_share(*client))?;
        self.queue.remove(at).map(|(slot, _)| slot)
    }

    /// A slot waits no longer.
    pub(in crate::reactor) fn forget(&mut self, slot: u16) {
        self.queue.retain(|(waiter, _)| *waiter != slot);
    }

    /// How many places are free, and how many there are.
    pub(in crate::reactor) fn census(&self) -> (usize, usize) {
        let free = self.stalls.iter().filter(|stall| stall.running.is_none());
        (free.count(), self.stalls.len())
    }

    /// Takes the place at `at` for this script of `slot`, and starts it unless its body is kept
    /// first.
    ///
    /// # Errors
    /// The answer when it cannot be started.
    pub(in crate::reactor) fn begin(
        &mut self,
        at: u16,
        made: Made,
        (host, client, counted): (&[u8], Client, Option<Key>),
        now: Ms,
    ) -> Result<(), Status> {
        let broken = Status::INTERNAL_SERVER_ERROR;
        if !BUILT {
            return Err(broken);
        }
        let stall = self.stalls.get(usize::from(at)).ok_or(broken)?;
        let name = Kept::of(stall.frame.name());
        let ticket = self.next_ticket;
        self.next_ticket = self.next_ticket.wrapping_add(1);
        let allowed = match self.settings.output_bytes {
            0 => u64::MAX,
            bytes => bytes,
        };
        let spools = matches!(made.body, Body::Spool(_));
        let mut running = Running {
            phase: if spools {
                Phase::Spooling
            } else {
                Phase::Running
            },
            slot: None,
            ticket,
            name,
            host: Kept::of(host),
            client,
            counted,
            directory: Some(made.directory),
            input: None,
            output: None,
            writable: true,
            readable: true,
            head: Output::default(),
            said: 0,
            looked: 0,
            passed: 0,
            allowed,
            owed: None,
            voice: Voice::Speaks,
            finished: false,
            until: now.after(self.settings.total_ms),
            told: false,
        };
        let busy = |_| Status::SERVICE_UNAVAILABLE;
        let mut its_end = None;
        match made.body {
            Body::None => {}
            Body::Length(_) => {
                let (ours, theirs) = pipe::to_program().map_err(busy)?;
                running.input = Some(ours);
                its_end = Some(theirs);
            }
            Body::Spool(_) => running.input = Some(memory::file(c"adieu-body").map_err(busy)?),
        }
        if !spools {
            self.launch(at, &mut running, its_end.as_ref().map(AsFd::as_fd))?;
        }
        let stall = self.stalls.get_mut(usize::from(at)).ok_or(broken)?;
        stall.generation = stall.generation.wrapping_add(1);
        stall.running = Some(running);
        Ok(())
    }

    /// Sends a script to the starter.
    fn launch(
        &mut self,
        at: u16,
        running: &mut Running,
        input: Option<BorrowedFd<'_>>,
    ) -> Result<(), Status> {
        let broken = Status::INTERNAL_SERVER_ERROR;
        let busy = Status::SERVICE_UNAVAILABLE;
        let bounds = Bounds {
            processes: self.settings.processes,
            memory_bytes: self.settings.memory_bytes,
            cpu_s: self.settings.cpu_s,
            kill_ms: self.settings.kill_ms,
        };
        let (ours, theirs) = pipe::from_program().map_err(|_| busy)?;
        let directory = running.directory.take().ok_or(broken)?;
        let stall = self.stalls.get_mut(usize::from(at)).ok_or(broken)?;
        let starter = self.starter.as_mut().ok_or(busy)?;
        let descriptors = Descriptors {
            directory: directory.as_fd(),
            input,
            output: theirs.as_fd(),
        };
        match starter.launch(running.ticket, &mut stall.frame, descriptors, &bounds) {
            Launched::Sent => {}
            Launched::TooLong => return Err(broken),
            Launched::Full | Launched::Gone => return Err(busy),
        }
        running.output = Some(ours);
        running.phase = Phase::Running;
        Ok(())
    }

    /// The body that was kept is whole: the script starts with it.
    pub(super) fn launch_spooled(&mut self, at: u16, bytes: u64, now: Ms) -> Result<(), Status> {
        let broken = Status::INTERNAL_SERVER_ERROR;
        if !BUILT {
            return Err(broken);
        }
        let stall = self.stalls.get_mut(usize::from(at)).ok_or(broken)?;
        stall.frame.content_length(bytes);
        let mut running = stall.running.take().ok_or(broken)?;
        let spool = running.input.take().ok_or(broken)?;
        running.until = now.after(self.settings.total_ms);
        let launched = self.launch(at, &mut running, Some(spool.as_fd()));
        if launched.is_err() {
            running.phase = Phase::Failed;
        }
        if let Some(stall) = self.stalls.get_mut(usize::from(at)) {
            stall.running = Some(running);
        }
        launched
    }

    /// Brings a file or a directory to its disk: under which ticket that is reported.
    ///
    /// # Errors
    /// The answer when nobody can.
    pub(in crate::reactor) fn sync(&mut self, file: BorrowedFd<'_>) -> Result<u32, Status> {
        let busy = Status::SERVICE_UNAVAILABLE;
        if self.syncing >= self.syncs {
            return Err(busy);
        }
        let ticket = self.next_ticket;
        let starter = self.starter.as_mut().ok_or(busy)?;
        match starter.sync(ticket, file) {
            Launched::Sent => {}
            Launched::TooLong | Launched::Full | Launched::Gone => return Err(busy),
        }
        self.next_ticket = self.next_ticket.wrapping_add(1);
        self.syncing += 1;
        Ok(ticket)
    }

    /// Tells a script to end. It is told again later where the starter could not be told now.
    pub(super) fn tell_to_end(&mut self, at: u16) {
        let Some(stall) = self.stalls.get_mut(usize::from(at)) else {
            return;
        };
        let (Some(running), Some(starter)) = (&mut stall.running, &mut self.starter) else {
            return;
        };
        if running.phase == Phase::Running && !running.told {
            running.told = starter.end(running.ticket);
        }
    }

    /// Frees a place whose process has ended and whose answer nobody waits for.
    pub(super) fn vacate(&mut self, at: u16) -> bool {
        let Some(stall) = self.stalls.get_mut(usize::from(at)) else {
            return false;
        };
        let over =
            |running: &mut Running| running.slot.is_none() && running.phase != Phase::Running;
        stall.running.take_if(over).is_some()
    }
}
