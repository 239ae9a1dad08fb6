//! A floor: what the kernel alone costs, with nothing but its own calls.
//!
//! It counts the ends of heads in what it receives and answers so many times the same bytes. It
//! reads no head, takes each as whole, and bounds nothing: it is for `benches/compare` and for
//! nobody else.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench: whatever is wrong here shall stop it"
)]
#![allow(
    unsafe_code,
    reason = "a floor has no library between itself and the kernel"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use adieu::sys::socket;

const BACKLOG: u16 = 4096;
const READ_BYTES: usize = 64 * 1024;
const EVENTS: usize = 1024;
const CLOSE: &[u8] = b"Connection: close\r\n\r\n";

fn epoll() -> OwnedFd {
    // SAFETY: takes no pointer; the result is checked.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    assert!(fd >= 0, "no epoll");
    // SAFETY: the descriptor is new, open and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Has the kernel say when `fd` is readable, at every wait.
fn watch(epoll: &OwnedFd, fd: RawFd) {
    let mut event = libc::epoll_event {
        events: u32::try_from(libc::EPOLLIN).unwrap(),
        u64: u64::try_from(fd).unwrap(),
    };
    let epoll = epoll.as_raw_fd();
    // SAFETY: `event` lives through the call, which only reads it.
    let result = unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &raw mut event) };
    assert!(result == 0, "cannot watch a socket");
}

/// How many events there are now.
fn wait(epoll: &OwnedFd, events: &mut [libc::epoll_event]) -> usize {
    let most = i32::try_from(events.len()).unwrap();
    let (epoll, at) = (epoll.as_raw_fd(), events.as_mut_ptr());
    // SAFETY: `at` points to `most` events that are ours.
    let n = unsafe { libc::epoll_wait(epoll, at, most, -1) };
    // A tracer that comes or goes interrupts it.
    usize::try_from(n).unwrap_or(0)
}

/// Answers what is there; whether the connection is over.
fn turn(stream: &mut TcpStream, room: &mut [u8], out: &mut Vec<u8>, answer: &[u8]) -> bool {
    let data = match stream.read(room) {
        Ok(0) => return true,
        Ok(n) => &room[..n],
        Err(error) => return error.kind() != ErrorKind::WouldBlock,
    };
    let ends = data.windows(4).filter(|four| four == b"\r\n\r\n").count();
    let bytes = if ends == 1 {
        answer
    } else {
        out.clear();
        (0..ends).for_each(|_| out.extend_from_slice(answer));
        out
    };
    // What the kernel does not take of a few answers is lost, and the client says so.
    stream.write_all(bytes).is_err() || data.ends_with(CLOSE)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok());
    let (Some(port), Some(path)) = (port, arguments.next()) else {
        println!("floor_epoll: a floor of benches/compare, which starts it: floor_epoll PORT FILE");
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

    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = socket::bind_tcp(&address, None, false).expect("cannot listen there");
    // Accepted sockets inherit it.
    socket::set_nodelay(listener.as_fd()).expect("cannot set TCP_NODELAY");
    socket::listen(listener.as_fd(), BACKLOG).expect("cannot listen there");
    let epoll = epoll();
    watch(&epoll, listener.as_raw_fd());
    // By descriptor.
    let mut streams: Vec<Option<TcpStream>> = Vec::new();
    let mut events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    let (mut room, mut out) = (vec![0; READ_BYTES], Vec::new());
    loop {
        let n = wait(&epoll, &mut events);
        for event in &events[..n] {
            let fd = usize::try_from(event.u64).unwrap();
            if fd == usize::try_from(listener.as_raw_fd()).unwrap() {
                while let Ok((socket, _)) = socket::accept(listener.as_fd()) {
                    let fd = usize::try_from(socket.as_raw_fd()).unwrap();
                    streams.resize_with(streams.len().max(fd + 1), || None);
                    watch(&epoll, socket.as_raw_fd());
                    streams[fd] = Some(TcpStream::from(socket));
                }
            } else if let Some(stream) = &mut streams[fd]
                && turn(stream, &mut room, &mut out, &answer)
            {
                streams[fd] = None;
            }
        }
    }
}
