//! Messages to a supervisor: its datagram socket, as sd_notify(3) has it.
//!
//! Owns: reading the address of such a socket, connecting to it, one datagram. Must not: read the
//! environment, or know what a message says.
//!
//! Invariants: nothing here waits for the supervisor; the socket is connected from the start, so
//! that another root or another user later does not part them. It is close-on-exec.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::call::invalid;
use super::transfer;

/// The room for an address in `sockaddr_un`, the NUL before an abstract name or behind a path
/// included.
const ROOM: usize = 108;

/// A socket that is connected to the supervisor's.
#[derive(Debug)]
pub struct Notify(UnixDatagram);

/// Connects to the supervisor at `address`: `/path`, or `@name` for the abstract name (unix(7)).
///
/// # Errors
///
/// EINVAL for any other address (a `vsock:` one too), for one with a NUL and one that does not fit;
/// ENOENT, EACCES, ECONNREFUSED if nobody is there, EPROTOTYPE if it is a stream; EMFILE.
pub fn connect(address: &OsStr) -> io::Result<Notify> {
    let bytes = address.as_bytes();
    if bytes.len() >= ROOM || bytes.contains(&0) {
        return Err(invalid());
    }
    let address = match bytes {
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        [b'@', name @ ..] if !name.is_empty() => SocketAddr::from_abstract_name(name)?,
        _ => return Err(invalid()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(Notify(socket))
}

impl Notify {
    /// Sends one message, whole or not at all; never waits.
    ///
    /// # Errors
    ///
    /// `WouldBlock` while the supervisor has no room; ECONNREFUSED once its socket is gone, for
    /// good; EMSGSIZE if the message is too long; see send(2).
    pub fn send(&self, message: &[u8]) -> io::Result<()> {
        transfer::send(self.0.as_fd(), message, false).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::sys::testing::{Dir, until};

    fn received(supervisor: &UnixDatagram) -> String {
        supervisor.set_nonblocking(true).unwrap();
        let mut room = [0; 100];
        let count = supervisor.recv(&mut room).unwrap();
        String::from_utf8(room[..count].to_vec()).unwrap()
    }

    #[test]
    fn messages_arrive_at_a_path_also_once_the_path_is_gone() {
        let dir = Dir::new();
        let path = dir.path("notify");
        let supervisor = UnixDatagram::bind(&path).unwrap();
        let notify = connect(path.as_os_str()).unwrap();
        notify.send(b"READY=1").unwrap();
        // As it is for a process with another root.
        fs::remove_file(&path).unwrap();
        notify.send(b"STOPPING=1\n").unwrap();
        assert_eq!(received(&supervisor), "READY=1");
        assert_eq!(received(&supervisor), "STOPPING=1\n");
    }

    #[test]
    fn messages_arrive_at_an_abstract_name() {
        let name = format!("adieu-notify-{}", std::process::id());
        let bound = SocketAddr::from_abstract_name(&name).unwrap();
        let supervisor = UnixDatagram::bind_addr(&bound).unwrap();
        let notify = connect(OsStr::new(&format!("@{name}"))).unwrap();
        notify.send(b"READY=1").unwrap();
        assert_eq!(received(&supervisor), "READY=1");
    }

    #[test]
    fn a_supervisor_that_does_not_read_holds_nobody() {
        let dir = Dir::new();
        let supervisor = UnixDatagram::bind(dir.path("notify")).unwrap();
        let notify = connect(dir.path("notify").as_os_str()).unwrap();
        let error = loop {
            if let Err(error) = notify.send(b"WATCHDOG=1") {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        drop(supervisor);
        // Another test may be starting a process, which has a copy of the socket until its exec.
        until(|| {
            let error = notify.send(b"WATCHDOG=1").unwrap_err();
            error.kind() == io::ErrorKind::ConnectionRefused
        });
    }

    #[test]
    fn other_addresses_are_refused() {
        let long = |first: &str| OsString::from(format!("{first}{}", "a".repeat(107)));
        let other = ["", "@", "run/notify", "vsock:2:1234", "/a\0b", "@a\0b"];
        let other = other.map(OsString::from).into_iter();
        for address in other.chain([long("/"), long("@")]) {
            let error = connect(&address).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{address:?}");
        }
    }

    #[test]
    fn nobody_there_and_a_stream_are_errors() {
        let dir = Dir::new();
        let error = connect(dir.path("none").as_os_str()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let error = connect(OsStr::new("@adieu-nobody-is-here")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // As long as it may be.
        let error = connect(OsStr::new(&format!("@{}", "a".repeat(106)))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let _stream = UnixListener::bind(dir.path("stream")).unwrap();
        let error = connect(dir.path("stream").as_os_str()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPROTOTYPE));
    }
}
