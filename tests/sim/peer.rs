//! How a client does what its plan says.
//!
//! Owns one client's progress and what it saw. It must not know the server. Invariants: it is only
//! run when something happened at its end or its time has come; what it saw is never forgotten.

use crate::answers::{Answers, Expected};
use crate::clients::Kind;
use crate::tcp::{CLIENT, Tcp};
use crate::wire::Wire;
use std::collections::VecDeque;
use std::io::ErrorKind;

/// One step of a plan.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send all of it: `piece` bytes at a time with pauses between.
    Send {
        /// What.
        bytes: Vec<u8>,
        /// How much is sent already.
        done: usize,
        /// Most bytes at a time.
        piece: usize,
        /// Between two pieces.
        pause_ms: u64,
    },
    /// Wait for so many answers.
    Answers(usize),
    /// Leave out the next step if the end was seen: a client does not ask who has hung up.
    IfOpen,
    /// Wait for the end of what the server sends.
    End,
    /// Wait.
    Pause(u64),
    /// Read from now on.
    Read,
    /// shutdown(SHUT_WR).
    Shut,
    /// close(2).
    Close,
    /// SO_LINGER{1,0} and close(2).
    Abort,
    /// The machine is gone.
    Vanish,
    /// Stay as it is, for ever.
    Hold,
}

/// How a client reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reads {
    /// Not (yet).
    Never,
    /// Whatever is there.
    Eager,
    /// So many bytes, then a pause.
    Slow(usize, u64),
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    /// What it is like.
    pub(crate) kind: Kind,
    /// What it still does.
    pub(crate) plan: VecDeque<Step>,
    /// What it is owed.
    pub(crate) expected: Vec<Expected>,
    /// How it reads.
    pub(crate) reads: Reads,
    /// It does not write before the handshake is done.
    pub(crate) connected: bool,
    /// Waiting until then.
    pub(crate) until: u64,
    /// Not reading until then.
    pub(crate) next_read: u64,
    /// What came.
    pub(crate) answers: Answers,
    /// A send failed.
    pub(crate) send_failed: bool,
    /// It was told of an RST.
    pub(crate) saw_reset: bool,
    /// It read the end.
    pub(crate) saw_end: bool,
    /// It closed its socket.
    pub(crate) closed: bool,
    /// The system had no memory for it: nothing is owed.
    pub(crate) unlucky: bool,
}

impl Client {
    /// A client that has not begun.
    pub(crate) fn new(kind: Kind, plan: Vec<Step>, expected: Vec<Expected>, reads: Reads) -> Self {
        Self {
            kind,
            plan: plan.into(),
            expected,
            reads,
            connected: false,
            until: 0,
            next_read: 0,
            answers: Answers::default(),
            send_failed: false,
            saw_reset: false,
            saw_end: false,
            closed: false,
            unlucky: false,
        }
    }

    /// The first thing it sends begins with this.
    pub(crate) fn introduce(&mut self, preface: &[u8]) {
        for step in &mut self.plan {
            if let Step::Send { bytes, .. } = step {
                bytes.splice(0..0, preface.iter().copied());
                return;
            }
        }
    }

    /// Nothing more will come of it by itself.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self.plan.front(), None | Some(Step::Hold))
    }

    /// Goes as far as it can.
    pub(crate) fn run(&mut self, me: usize, tcp: &mut Tcp, files: &[Vec<u8>]) {
        if !self.connected || self.closed {
            return;
        }
        loop {
            self.read(me, tcp, files);
            let Some(step) = self.plan.pop_front() else {
                return;
            };
            if let Some(step) = self.step(step, me, tcp) {
                self.plan.push_front(step);
                return;
            }
        }
    }

    fn wait(&mut self, me: usize, tcp: &mut Tcp, ms: u64) {
        self.until = tcp.now + ms;
        tcp.mail.post(self.until, me, CLIENT, Wire::Wake);
    }

    fn over(&self) -> bool {
        self.saw_end || self.saw_reset
    }

    /// Takes a step; gives it back when it is not done.
    fn step(&mut self, step: Step, me: usize, tcp: &mut Tcp) -> Option<Step> {
        if tcp.now < self.until {
            return Some(step);
        }
        match step {
            Step::Send { .. } => return self.send(step, me, tcp),
            Step::Answers(n) => {
                let waits = self.answers.statuses.len() < n && !self.over();
                return waits.then_some(step);
            }
            Step::IfOpen => {
                if self.over() {
                    self.plan.pop_front();
                }
            }
            Step::End => return (!self.over()).then_some(step),
            Step::Pause(ms) => self.wait(me, tcp, ms),
            Step::Read => self.reads = Reads::Eager,
            Step::Shut => drop(tcp.shut(me, CLIENT)),
            Step::Close => {
                self.closed = true;
                tcp.close(me, CLIENT);
            }
            Step::Abort => {
                self.closed = true;
                tcp.abort(me, CLIENT);
            }
            Step::Vanish => {
                self.closed = true;
                tcp.end_mut(me, CLIENT).vanished = true;
            }
            Step::Hold => return Some(step),
        }
        None
    }

    fn send(&mut self, step: Step, me: usize, tcp: &mut Tcp) -> Option<Step> {
        let Step::Send {
            bytes,
            mut done,
            piece,
            pause_ms,
        } = step
        else {
            return None;
        };
        while done < bytes.len() && !self.send_failed {
            let end = bytes.len().min(done.saturating_add(piece));
            match tcp.write(me, CLIENT, &bytes[done..end], false) {
                Ok(n) => done += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.send_failed = true;
                    self.saw_reset |= error.kind() == ErrorKind::ConnectionReset;
                }
            }
            if pause_ms > 0 {
                self.wait(me, tcp, pause_ms);
                break;
            }
        }
        let more = done < bytes.len() && !self.send_failed;
        more.then_some(Step::Send {
            bytes,
            done,
            piece,
            pause_ms,
        })
    }

    fn read(&mut self, me: usize, tcp: &mut Tcp, files: &[Vec<u8>]) {
        let piece = match self.reads {
            Reads::Never => return,
            Reads::Eager => 64 * 1024,
            Reads::Slow(_, _) if tcp.now < self.next_read => return,
            Reads::Slow(piece, _) => piece,
        };
        while !self.over() && !self.closed {
            let mut room = vec![0; piece.min(tcp.end(me, CLIENT).unread()).max(1)];
            match tcp.read(me, CLIENT, &mut room) {
                Ok(0) => {
                    self.saw_end = true;
                    self.answers.end(&self.expected, files);
                }
                Ok(n) => self.answers.extend(&room[..n], &self.expected, files),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.saw_reset = true,
            }
            if let Reads::Slow(_, pause_ms) = self.reads {
                self.next_read = tcp.now + pause_ms;
                tcp.mail.post(self.next_read, me, CLIENT, Wire::Wake);
                return;
            }
        }
    }
}
