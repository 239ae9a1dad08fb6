//! A supervisor's socket (sd_notify(3)), and what it hears.

use super::PATIENCE;
use super::place::Place;
use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(crate) socket: UnixDatagram,
    /// For `NOTIFY_SOCKET`.
    pub(crate) address: String,
}

impl Supervisor {
    /// At a path in this place.
    pub(crate) fn at_path(place: &Place) -> Self {
        let socket = UnixDatagram::bind(place.path("notify")).expect("a socket");
        Self::new(socket, place.shown("notify"))
    }

    /// At an abstract name: the path of that place without a file.
    pub(crate) fn at_name(place: &Place) -> Self {
        let name = place.shown("notify").replace('/', "-");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        Self::new(socket, format!("@{name}"))
    }

    fn new(socket: UnixDatagram, address: String) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { socket, address }
    }

    /// Waits for the next message.
    pub(crate) fn hears(&self) -> String {
        let mut room = [0; 500];
        // With a timeout the kernel does not begin it anew after a signal.
        let count = loop {
            match self.socket.recv(&mut room) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a message"),
            }
        };
        String::from_utf8(room[..count].to_vec()).expect("words")
    }

    /// All messages that are here already.
    pub(crate) fn heard(&self) -> Vec<String> {
        let mut room = [0; 500];
        let mut heard = Vec::new();
        self.socket.set_nonblocking(true).expect("a socket");
        loop {
            match self.socket.recv(&mut room) {
                Ok(count) => heard.push(String::from_utf8_lossy(&room[..count]).into_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("no messages: {error}"),
            }
        }
        self.socket.set_nonblocking(false).expect("a socket");
        heard
    }
}
