//! A floor: what mio, slab and httparse cost without a server around them.
//!
//! It reads every head with httparse and answers each with the same bytes. Whatever a real server
//! spends above this is its own doing. It looks at no method, path, field or time, and bounds
//! nothing: it is for `benches/compare` and for nobody else.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench: whatever is wrong here shall stop it"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use adieu::sys::socket;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

const LISTENER: Token = Token(usize::MAX);
const BACKLOG: u16 = 4096;
const READ_BYTES: usize = 64 * 1024;
/// Like that of the peers, for short heads.
const FIELDS: usize = 32;

struct Slot {
    stream: TcpStream,
    /// What was received of an unfinished head, and what the kernel did not take of an answer.
    rest: Vec<u8>,
    unsent: Vec<u8>,
    close: bool,
}

impl Slot {
    /// Answers what is there; whether the connection is over.
    fn turn(&mut self, room: &mut [u8], out: &mut Vec<u8>, answer: &[u8]) -> bool {
        loop {
            let kept = self.rest.len();
            room[..kept].copy_from_slice(&self.rest);
            let n = match self.stream.read(&mut room[kept..]) {
                Ok(0) => return true,
                Ok(n) => n,
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            };
            self.rest.clear();
            out.clear();
            let mut data = &room[..kept + n];
            while !data.is_empty() {
                let mut fields = [httparse::EMPTY_HEADER; FIELDS];
                let mut request = httparse::Request::new(&mut fields);
                match request.parse(data) {
                    Ok(httparse::Status::Complete(head)) => {
                        let last = request.headers.last();
                        self.close |= last.is_some_and(|field| field.value == b"close");
                        out.extend_from_slice(answer);
                        data = &data[head..];
                    }
                    Ok(httparse::Status::Partial) => {
                        self.rest.extend_from_slice(data);
                        break;
                    }
                    Err(_) => return true,
                }
            }
            if !out.is_empty() && self.send(out) {
                return true;
            }
            // A short read has emptied the queue.
            if kept + n < room.len() {
                return false;
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> bool {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return false;
        }
        match self.stream.write(bytes) {
            Ok(n) if n == bytes.len() => return self.close,
            Ok(n) => self.unsent.extend_from_slice(&bytes[n..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(bytes);
            }
            Err(_) => return true,
        }
        false
    }

    fn go_on(&mut self) -> bool {
        let bytes = std::mem::take(&mut self.unsent);
        !bytes.is_empty() && self.send(&bytes)
    }
}

fn accept(poll: &Poll, listener: &OwnedFd, slots: &mut Slab<Slot>) {
    while let Ok((socket, _)) = socket::accept(listener.as_fd()) {
        let entry = slots.vacant_entry();
        let both = Interest::READABLE.add(Interest::WRITABLE);
        watch(poll, &socket, Token(entry.key()), both);
        entry.insert(Slot {
            stream: TcpStream::from(socket),
            rest: Vec::new(),
            unsent: Vec::new(),
            close: false,
        });
    }
}

fn watch(poll: &Poll, fd: &OwnedFd, token: Token, interest: Interest) {
    poll.registry()
        .register(&mut SourceFd(&fd.as_raw_fd()), token, interest)
        .expect("cannot watch a socket");
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok());
    let (Some(port), Some(path)) = (port, arguments.next()) else {
        println!("floor_mio: a floor of benches/compare, which starts it: floor_mio PORT FILE");
        return;
    };
    let content = std::fs::read(path).expect("cannot read the file");
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nServer: floor\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {}\r\n\r\n",
        content.len()
    )
    .into_bytes();
    answer.extend_from_slice(&content);

    let mut poll = Poll::new().expect("no epoll");
    let mut events = Events::with_capacity(1024);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = socket::bind_tcp(&address, None, false).expect("cannot listen there");
    // Accepted sockets inherit it.
    socket::set_nodelay(listener.as_fd()).expect("cannot set TCP_NODELAY");
    socket::listen(listener.as_fd(), BACKLOG).expect("cannot listen there");
    watch(&poll, &listener, LISTENER, Interest::READABLE);
    let mut slots = Slab::new();
    let (mut room, mut out) = (vec![0; READ_BYTES], Vec::new());
    loop {
        match poll.poll(&mut events, None) {
            Ok(()) => {}
            // A tracer that comes or goes interrupts it.
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => panic!("cannot wait: {error}"),
        }
        for event in &events {
            if event.token() == LISTENER {
                accept(&poll, &listener, &mut slots);
                continue;
            }
            let index = event.token().0;
            let Some(slot) = slots.get_mut(index) else {
                continue;
            };
            let mut over = event.is_writable() && slot.go_on();
            if !over && event.is_readable() {
                over = slot.turn(&mut room, &mut out, &answer);
            }
            if over {
                slots.remove(index);
            }
        }
    }
}
