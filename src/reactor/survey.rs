//! Asking the kernel about our ports, in steps.
//!
//! Owns the questions and what came of the last ones. It must not wait: a step hears one message,
//! of some hundred sockets. Invariants: what fails or is forbidden is unknown; what fails is tried
//! again, on another socket, so that no answer is taken for a later one; what is forbidden is asked
//! again by a reload alone. An answer is given again until it is [`FRESH_MS`] old, so that who asks
//! often does not make the kernel work often.

use crate::config::Config;
use crate::connection::time::Ms;
use crate::report::status::{Host, Sockets, Survey, TCP_STATES};
use crate::sys::diag::{self, Family, Found, Said};
use crate::sys::{file, limits, socket};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An answer of this age is given once more, ms.
const FRESH_MS: u64 = 1_000;
/// As many are heard before the first turn: the first one says whether there are answers.
const FIRST_MESSAGES: usize = 64;
/// What a message is heard into then, bytes: the kernel makes none that is longer.
const FIRST_BYTES: usize = 16 * 1024;
/// The state of a listener.
const LISTEN: u8 = 10;
/// All states.
const STATES: u32 = !1;

/// What is asked, and what for.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    /// The kernel may be asked: it was, when that might wait, and did not refuse.
    answers: bool,
    /// `None` as well where it could not be opened again.
    socket: Option<OwnedFd>,
    questions: Vec<Vec<u8>>,
    sockstat: Option<File>,
    statm: Option<File>,
    page_bytes: u64,
    /// The question that is being answered.
    open: Option<usize>,
    /// The number that its answer has.
    number: u32,
    counted: Sockets,
    failed: bool,
    /// When the last answer was begun, and when this one was.
    answered: Option<Ms>,
    begun: Ms,
    /// When somebody last wanted to know.
    wanted: Ms,
    survey: Survey,
}

impl Surveyor {
    /// Opens what is needed for it, if `config` shows the status. What cannot be had is unknown.
    /// The kernel is asked here once, so that it looks for its modules now: that waits.
    pub(super) fn retune(&mut self, config: &Config, addresses: impl Iterator<Item = SocketAddr>) {
        if !config.shows_status() || self.answers {
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
        match diag::open() {
            Ok(fd) => {
                self.socket = Some(fd);
                self.answers = true;
                self.ask_first();
            }
            Err(error) => unknown("the sockets of the kernel", &error),
        }
        for (place, path) in [
            (&mut self.sockstat, "/proc/net/sockstat"),
            (&mut self.statm, "/proc/self/statm"),
        ] {
            if place.is_some() {
                continue;
            }
            match File::open(path) {
                Ok(file) => *place = Some(file),
                Err(error) => unknown(path, &error),
            }
        }
        self.page_bytes = limits::page_bytes();
    }

    /// Asks what it will ask later, and forgets what it hears, all but a refusal.
    fn ask_first(&mut self) {
        let mut room = vec![0; FIRST_BYTES];
        self.begin(Ms::default());
        for _ in 0..FIRST_MESSAGES {
            let Some(question) = self.open else {
                return;
            };
            self.hear(question, &mut room);
        }
        self.reopen();
    }

    /// Goes on asking. `None`: there is more to hear in the next turn.
    pub(super) fn step(&mut self, now: Ms, scratch: &mut [u8]) -> Option<Survey> {
        let left_ms = now.since(self.wanted);
        self.wanted = now;
        if self.open.is_some() && left_ms >= FRESH_MS {
            self.reopen(); // who asked has left: what was heard for it is too old
        }
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
            self.begin(now);
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

    fn begin(&mut self, now: Ms) {
        if self.socket.is_none() {
            self.reopen();
        }
        self.counted = Sockets::default();
        self.failed = self.socket.is_none();
        self.begun = now;
        self.ask(0);
    }

    /// Asks a question, if there is one at this place.
    fn ask(&mut self, at: usize) {
        self.open = None;
        let (Some(fd), Some(question)) = (&self.socket, self.questions.get_mut(at)) else {
            return;
        };
        self.number = self.number.wrapping_add(1);
        diag::set_number(question, self.number);
        match socket::send(fd.as_fd(), question, false) {
            Ok(_) => self.open = Some(at),
            Err(error) => self.give_up(&error),
        }
    }

    /// Hears one message, which has many sockets.
    fn hear(&mut self, question: usize, scratch: &mut [u8]) {
        let Some(fd) = &self.socket else {
            return;
        };
        let heard = match socket::receive(fd.as_fd(), scratch) {
            Ok(count) => scratch.get(..count).unwrap_or_default(),
            Err(error) => {
                // EAGAIN too: the kernel answers at once, or not at all.
                self.give_up(&error);
                return;
            }
        };
        for said in diag::messages(heard, self.number) {
            match said {
                Said::Socket(found) => self.count(found),
                Said::Done => {
                    self.ask(question.saturating_add(1));
                    return;
                }
                Said::Error(error) => {
                    self.give_up(&io::Error::from_raw_os_error(error));
                    return;
                }
            }
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.failed = true;
        if self.answers && diag::refuses(error) {
            self.answers = false;
            unknown("the sockets of the kernel", error);
        }
        self.reopen();
    }

    /// Nothing is asked any more. The kernel forgets with the socket what it was about to say: on
    /// the same one it would say that first, and take no other question meanwhile.
    fn reopen(&mut self) {
        self.open = None;
        self.socket = None;
        if self.answers {
            self.socket = diag::open().ok();
        }
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

fn unknown(what: &str, error: &io::Error) {
    log::warn!("the status does not know {what}: {error}");
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
    use crate::sys::testing::until;
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

    /// Asks anew until the answer is `met`: handshakes and closes go on behind what a test calls.
    /// `None`, and why, where the kernel does not answer.
    fn survey_until(
        surveyor: &mut Surveyor,
        now: Ms,
        met: impl Fn(&Sockets) -> bool,
    ) -> Option<Survey> {
        let mut last = None;
        until(|| {
            surveyor.answered = None;
            last = Some(survey(surveyor, now)).filter(|one| one.sockets.is_some());
            last.is_none_or(|one| one.sockets.is_some_and(|sockets| met(&sockets)))
        });
        if last.is_none() {
            println!("SKIP: this kernel does not answer");
        }
        last
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
        let met = |sockets: &Sockets| {
            (sockets.states[0], sockets.states[9], sockets.waiting) == (3, 1, 3)
        };
        let Some(first) = survey_until(&mut surveyor, Ms(5_000), met) else {
            return;
        };
        let sockets = first.sockets.unwrap();
        assert!(first.resident_bytes.unwrap() > 100_000);
        assert!(first.host.is_some());
        drop(listener.accept().unwrap());
        let again = survey(&mut surveyor, Ms(5_999));
        assert_eq!((again.sockets, again.age_ms), (Some(sockets), 999));
        let later = survey(&mut surveyor, Ms(6_000)).sockets.unwrap();
        assert_eq!(later.waiting, 2);
        let left = |sockets: &Sockets| {
            let closed = sockets.states[3] + sockets.states[4]; // its FIN may be on its way
            (sockets.states[0], closed) == (2, 1)
        };
        assert!(survey_until(&mut surveyor, Ms(6_000), left).is_some());
        drop(clients);
    }

    /// Connections whose sockets need more than one message, and a surveyor that has heard one.
    /// `None`, and why, where the kernel does not answer.
    fn left_behind() -> Option<(TcpListener, Vec<TcpStream>, Surveyor)> {
        if !crate::config::status::BUILT {
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut surveyor = surveyor(address);
        let clients = (0..MANY).map(|_| TcpStream::connect(address).unwrap());
        let clients = clients.collect();
        survey_until(&mut surveyor, Ms(1), |sockets| sockets.states[0] == MANY)?;
        surveyor.answered = None;
        surveyor.reopen(); // a socket that has heard long messages is told long ones
        let mut scratch = vec![0; 16 * 1024];
        assert_eq!(surveyor.step(Ms(5_000), &mut scratch), None);
        assert!(surveyor.open.is_some());
        let heard = surveyor.counted.states[0];
        assert!(heard < MANY, "all {heard} were in one message");
        Some((listener, clients, surveyor))
    }

    const MANY: u32 = 80;

    fn established(survey: Survey) -> Option<u32> {
        survey.sockets.map(|sockets| sockets.states[0])
    }

    #[test]
    fn what_was_heard_for_who_left_long_ago_is_not_counted() {
        let Some((listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        let mut another = self::surveyor(listener.local_addr().unwrap());
        drop(listener); // and with it all that nobody accepted
        survey_until(&mut another, Ms(1), |sockets| {
            *sockets == Sockets::default()
        });
        let later = survey(&mut surveyor, Ms(6_000));
        assert_eq!((later.sockets, later.age_ms), (Some(Sockets::default()), 0));
    }

    #[test]
    fn who_asks_meanwhile_gets_what_was_begun_and_how_old_it_is() {
        let Some((_listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        let number = surveyor.number;
        let later = survey(&mut surveyor, Ms(5_999));
        assert_eq!((established(later), later.age_ms), (Some(MANY), 999));
        assert_eq!(surveyor.number, number, "no question was asked again");
    }

    #[test]
    fn a_question_that_failed_leaves_nothing_for_the_next_one() {
        let Some((_listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        surveyor.give_up(&io::Error::from_raw_os_error(105)); // ENOBUFS
        assert!(surveyor.socket.is_some());
        assert_eq!(
            survey(&mut surveyor, Ms(5_000)).sockets.map(|_| ()),
            Some(())
        );
        let next = survey(&mut surveyor, Ms(6_000));
        assert_eq!(established(next), Some(MANY));
    }

    #[test]
    fn a_socket_that_could_not_be_had_is_tried_again_after_a_second() {
        let Some((_listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        assert_eq!(established(survey(&mut surveyor, Ms(5_000))), Some(MANY));
        surveyor.socket = None;
        assert_eq!(established(survey(&mut surveyor, Ms(5_999))), Some(MANY));
        assert!(surveyor.socket.is_none());
        assert_eq!(established(survey(&mut surveyor, Ms(6_000))), Some(MANY));
        assert!(surveyor.socket.is_some());
    }

    #[test]
    fn answers_to_another_question_are_not_taken_for_this_one() {
        let Some((_listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        surveyor.reopen();
        // The kernel answers it with an error, which waits before what is asked next.
        let mut foreign = surveyor.questions[0].clone();
        foreign[4..6].copy_from_slice(&77_u16.to_ne_bytes());
        diag::set_number(&mut foreign, surveyor.number);
        let fd = surveyor.socket.as_ref().unwrap();
        socket::send(fd.as_fd(), &foreign, false).unwrap();
        assert_eq!(established(survey(&mut surveyor, Ms(5_000))), Some(MANY));
    }

    #[test]
    fn the_kernel_is_asked_before_the_first_turn_and_no_more_where_it_refuses() {
        let Some((listener, _clients, _)) = left_behind() else {
            return;
        };
        let address = listener.local_addr().unwrap();
        let mut surveyor = surveyor(address);
        assert_eq!((surveyor.number, surveyor.open), (1, None));
        assert_eq!(surveyor.counted.states[0], MANY, "it was heard to its end");
        assert!(surveyor.answers && surveyor.answered.is_none());
        surveyor.questions[0][17] = 200; // a protocol that the kernel does not know
        surveyor.ask_first();
        assert!(!surveyor.answers && surveyor.socket.is_none());
        assert_eq!(surveyor.number, 2);
        for at in [Ms(1), Ms(1_001), Ms(100_000)] {
            assert_eq!(survey(&mut surveyor, at).sockets, None);
        }
        assert_eq!(surveyor.number, 2, "it is asked again");
        // A reload tries once more.
        let mut config = Config::default();
        config.status.socket = "/run/s".to_owned();
        surveyor.retune(&config, [address].into_iter());
        assert_eq!(established(survey(&mut surveyor, Ms(200_000))), Some(MANY));
    }

    #[test]
    fn the_first_question_does_not_go_on_for_ever() {
        let Some((_listener, _clients, mut surveyor)) = left_behind() else {
            return;
        };
        let question = surveyor.questions[0].clone();
        surveyor.questions = vec![question; 2 * FIRST_MESSAGES];
        surveyor.reopen();
        let before = surveyor.number;
        surveyor.ask_first();
        let asked = usize::try_from(surveyor.number - before).unwrap();
        assert!((2..=FIRST_MESSAGES).contains(&asked), "{asked}");
        assert!(surveyor.open.is_none() && surveyor.socket.is_some());
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
