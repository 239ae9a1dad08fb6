//! Asking the kernel about our ports, in steps.
//!
//! Owns the questions and what came of the last ones. It must not wait: a step hears one message,
//! of some hundred sockets. Invariants: what fails or is forbidden is unknown, and is tried again;
//! an answer is at most [`FRESH_MS`] old when it is given again, so that who asks often does not
//! make the kernel work often.

use crate::config::Config;
use crate::connection::time::Ms;
use crate::report::status::{Host, Sockets, Survey, TCP_STATES};
use crate::sys::diag::{self, Family, Found, Said};
use crate::sys::{file, limits, socket};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An answer of this age is given once more, ms.
const FRESH_MS: u64 = 1_000;
/// The state of a listener.
const LISTEN: u8 = 10;
/// All states.
const STATES: u32 = !1;

/// What is asked, and what for.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    socket: Option<OwnedFd>,
    questions: Vec<Vec<u8>>,
    sockstat: Option<File>,
    statm: Option<File>,
    page_bytes: u64,
    /// The question that is being answered.
    open: Option<usize>,
    counted: Sockets,
    failed: bool,
    /// When the last answer was begun, and when this one was.
    answered: Option<Ms>,
    begun: Ms,
    survey: Survey,
}

impl Surveyor {
    /// Opens what is needed for it, if `config` shows the status. What cannot be had is unknown.
    pub(super) fn retune(&mut self, config: &Config, addresses: impl Iterator<Item = SocketAddr>) {
        if !config.shows_status() || self.socket.is_some() {
            return;
        }
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in addresses {
            let ports = if address.is_ipv4() { &mut v4 } else { &mut v6 };
            if !ports.contains(&address.port()) {
                ports.push(address.port());
            }
        }
        let question = |family, ports: &[u16]| diag::question(family, STATES, ports);
        let both = [question(Family::V4, &v4), question(Family::V6, &v6)];
        self.questions = both.into_iter().flatten().collect();
        let open = |what: &str, error: &io::Error| {
            log::warn!("the status does not know {what}: {error}");
        };
        match diag::open() {
            Ok(fd) => self.socket = Some(fd),
            Err(error) => open("the sockets of the kernel", &error),
        }
        for (place, path) in [
            (&mut self.sockstat, "/proc/net/sockstat"),
            (&mut self.statm, "/proc/self/statm"),
        ] {
            match File::open(path) {
                Ok(file) => *place = Some(file),
                Err(error) => open(path, &error),
            }
        }
        self.page_bytes = limits::page_bytes();
    }

    /// Goes on asking. `None`: there is more to hear in the next turn.
    pub(super) fn step(&mut self, now: Ms, scratch: &mut [u8]) -> Option<Survey> {
        if let Some(at) = self.answered.filter(|_| self.open.is_none()) {
            let age_ms = now.since(at);
            if age_ms < FRESH_MS {
                return Some(Survey {
                    age_ms,
                    ..self.survey
                });
            }
        }
        if self.open.is_none() {
            self.counted = Sockets::default();
            self.failed = self.socket.is_none();
            self.begun = now;
            self.ask(0);
        }
        if let Some(question) = self.open {
            self.hear(question, scratch);
        }
        if self.open.is_some() {
            return None;
        }
        self.survey = Survey {
            sockets: Some(self.counted).filter(|_| !self.failed),
            host: self.host(scratch),
            resident_bytes: self.resident_bytes(scratch),
            age_ms: now.since(self.begun),
        };
        self.answered = Some(self.begun);
        Some(self.survey)
    }

    /// Asks a question, if there is one of this number.
    fn ask(&mut self, number: usize) {
        self.open = None;
        let (Some(fd), Some(question)) = (&self.socket, self.questions.get(number)) else {
            return;
        };
        match socket::send(fd.as_fd(), question, false) {
            Ok(_) => self.open = Some(number),
            Err(_) => self.failed = true,
        }
    }

    /// Hears one message, which has many sockets.
    fn hear(&mut self, question: usize, scratch: &mut [u8]) {
        let Some(fd) = &self.socket else {
            return;
        };
        let heard = match socket::receive(fd.as_fd(), scratch) {
            Ok(count) => scratch.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // The kernel answers at once, or not at all.
                self.give_up();
                return;
            }
            Err(_) => {
                self.give_up();
                return;
            }
        };
        let mut said = diag::messages(heard).peekable();
        if said.peek().is_none() {
            self.give_up();
            return;
        }
        for said in said {
            match said {
                Said::Socket(found) => self.count(found),
                Said::Done => {
                    self.ask(question.saturating_add(1));
                    return;
                }
                Said::Error(_) => {
                    self.give_up();
                    return;
                }
            }
        }
    }

    fn give_up(&mut self) {
        self.failed = true;
        self.open = None;
    }

    fn count(&mut self, found: Found) {
        let at = usize::from(found.state).checked_sub(1);
        if let Some(state) = at.and_then(|at| self.counted.states.get_mut(at)) {
            *state = state.saturating_add(1);
        }
        if found.state == LISTEN {
            self.counted.waiting = self.counted.waiting.saturating_add(found.queued);
        }
        let sums = [
            (&mut self.counted.receive_bytes, found.receive_bytes),
            (&mut self.counted.send_bytes, found.send_bytes),
        ];
        for (sum, bytes) in sums {
            *sum = sum.saturating_add(bytes.into());
        }
    }

    /// `TCP: inuse 5 orphan 0 tw 0 alloc 8 mem 1`, the last in pages.
    fn host(&self, scratch: &mut [u8]) -> Option<Host> {
        let text = read(self.sockstat.as_ref()?.as_fd(), scratch)?;
        let line = text.lines().find_map(|line| line.strip_prefix("TCP:"))?;
        let pages = named(line, "mem")?;
        Some(Host {
            orphans: named(line, "orphan")?,
            memory_bytes: pages.checked_mul(self.page_bytes)?,
        })
    }

    /// The second number of `statm`, in pages.
    fn resident_bytes(&self, scratch: &mut [u8]) -> Option<u64> {
        let text = read(self.statm.as_ref()?.as_fd(), scratch)?;
        let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
        pages.checked_mul(self.page_bytes)
    }
}

/// What the kernel writes into such a file now.
fn read<'s>(fd: BorrowedFd<'_>, scratch: &'s mut [u8]) -> Option<&'s str> {
    let count = file::read_at(fd, scratch, 0).ok()?;
    std::str::from_utf8(scratch.get(..count)?).ok()
}

/// The number behind a word.
fn named(line: &str, word: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    words.find(|one| *one == word)?;
    words.next()?.parse().ok()
}

const _: () = assert!(TCP_STATES.len() == 12);

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    fn surveyor(address: SocketAddr) -> Surveyor {
        let mut config = Config::default();
        config.status.socket = "/run/s".to_owned();
        let mut surveyor = Surveyor::default();
        surveyor.retune(&config, [address].into_iter());
        surveyor
    }

    fn survey(surveyor: &mut Surveyor, now: Ms) -> Survey {
        let mut scratch = vec![0; 16 * 1024];
        let mut turns = 0;
        loop {
            if let Some(survey) = surveyor.step(now, &mut scratch) {
                return survey;
            }
            turns += 1;
            assert!(turns < 100_000, "it does not end");
        }
    }

    #[test]
    fn sockets_of_our_ports_are_counted_and_remembered_for_a_second() {
        if !crate::config::status::BUILT {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut surveyor = surveyor(address);
        let clients: Vec<_> = (0..3)
            .map(|_| TcpStream::connect(address).unwrap())
            .collect();
        let first = survey(&mut surveyor, Ms(5_000));
        let Some(sockets) = first.sockets else {
            println!("SKIP: this kernel does not answer");
            return;
        };
        assert_eq!(
            (sockets.states[0], sockets.states[9], sockets.waiting),
            (3, 1, 3)
        );
        assert!(first.resident_bytes.unwrap() > 100_000);
        assert!(first.host.is_some());
        drop(listener.accept().unwrap());
        let again = survey(&mut surveyor, Ms(5_999));
        assert_eq!((again.sockets, again.age_ms), (Some(sockets), 999));
        let later = survey(&mut surveyor, Ms(6_000)).sockets.unwrap();
        assert_eq!(later.waiting, 2);
        let closed = later.states[3] + later.states[4]; // its FIN may be on its way
        assert_eq!((later.states[0], closed), (2, 1), "{later:?}");
        drop(clients);
    }

    #[test]
    fn where_nobody_may_ask_it_is_unknown() {
        let mut surveyor = Surveyor::default();
        assert_eq!(survey(&mut surveyor, Ms(1)), Survey::default());
        if !crate::config::status::BUILT {
            return;
        }
        let mut surveyor = self::surveyor("127.0.0.1:1".parse().unwrap());
        surveyor.questions = vec![vec![0; 72]]; // no question that the kernel understands
        assert_eq!(survey(&mut surveyor, Ms(1)).sockets, None);
    }
}
