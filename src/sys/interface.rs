//! Network interfaces by name.
//!
//! Owns: if_nametoindex(3), SO_BINDTODEVICE (socket(7)). Must not: list interfaces, or know their
//! addresses. Invariant: a name the kernel would cut off, or take for another, never reaches it.
#![allow(
    unsafe_code,
    reason = "if_nametoindex(3), setsockopt(2), getsockopt(2)"
)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::socklen_t;

use super::call::{checked, fit, invalid, size};

/// The room for a name, its final NUL included (IFNAMSIZ).
const ROOM: usize = 16;

/// The number of the interface, which is the scope id of its link-local addresses.
///
/// # Errors
///
/// ENODEV if there is none; EINVAL for a name that none can have: 1 to 15 bytes, without a NUL, a
/// slash or a colon (the kernel takes `lo:1` for `lo`); see if_nametoindex(3).
pub fn index(name: &str) -> io::Result<u32> {
    let name = checked_name(name)?;
    // SAFETY: `name` is a C string and outlives the call.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        number => Ok(number),
    }
}

/// Lets a socket send and receive through that interface only (SO_BINDTODEVICE). A listener then
/// sees connections that come in there, whatever its address is.
///
/// # Errors
///
/// ENODEV and EINVAL as [`index`]; EPERM without CAP_NET_RAW on a socket that is bound to one
/// already, and before Linux 5.7 on any.
pub fn bind_to(fd: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    let name = checked_name(name)?;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    let bytes = name.as_bytes_with_nul();
    let (from, length) = (bytes.as_ptr().cast(), fit::<_, socklen_t>(bytes.len())?);
    // SAFETY: `from` is valid for reads of `length` bytes and outlives the call.
    checked(unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, from, length) })?;
    Ok(())
}

/// The name of the interface a socket is bound to; empty if to none.
///
/// # Errors
///
/// ENODEV if it is gone; EINVAL for a name that is not UTF-8; see getsockopt(2).
pub fn bound_to(fd: BorrowedFd<'_>) -> io::Result<String> {
    let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    let mut name = [0_u8; ROOM];
    let mut length = size::<[u8; ROOM]>();
    let (into, len) = (name.as_mut_ptr().cast(), &raw mut length);
    // SAFETY: `into` is valid for writes of `length` bytes, those of `name`; both outlive the call.
    checked(unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, into, len) })?;
    // The length is 0 for none, and what the kernel did not write is NUL.
    let name = name.into_iter().take_while(|byte| *byte != 0).collect();
    String::from_utf8(name).map_err(|_| invalid())
}

/// A name that an interface can have.
fn checked_name(name: &str) -> io::Result<CString> {
    let fits = (1..ROOM).contains(&name.len());
    if !fits || name.contains(['/', ':']) {
        return Err(invalid());
    }
    CString::new(name).map_err(|_| invalid())
}

/// The error says that there is no such interface.
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENODEV)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::net::TcpStream;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::testing::{accepted, tcp};

    const BAD: [&str; 6] = ["", "a23456789abcdef0", "l\0o", "lo/", "lo:1", "lo\0"];

    fn raw(error: &io::Error) -> Option<i32> {
        error.raw_os_error()
    }

    #[test]
    fn every_interface_has_the_number_that_the_system_says() {
        let mut seen = Vec::new();
        for entry in fs::read_dir("/sys/class/net").unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            // Some files there are no interfaces.
            let Ok(number) = fs::read_to_string(entry.path().join("ifindex")) else {
                continue;
            };
            assert_eq!(
                index(&name).unwrap(),
                number.trim().parse().unwrap(),
                "{name}"
            );
            seen.push(name);
        }
        assert!(seen.contains(&"lo".to_owned()));
    }

    #[test]
    fn a_name_without_an_interface_and_one_that_cannot_be_are_told_apart() {
        let (listener, _) = tcp("127.0.0.1:0");
        let fd = listener.as_fd();
        for name in ["adieu-none", "a23456789abcdef", "l"] {
            assert_eq!(raw(&index(name).unwrap_err()), Some(libc::ENODEV), "{name}");
            assert_eq!(
                raw(&bind_to(fd, name).unwrap_err()),
                Some(libc::ENODEV),
                "{name}"
            );
        }
        for name in BAD {
            assert_eq!(
                raw(&index(name).unwrap_err()),
                Some(libc::EINVAL),
                "{name:?}"
            );
            assert_eq!(
                raw(&bind_to(fd, name).unwrap_err()),
                Some(libc::EINVAL),
                "{name:?}"
            );
        }
        assert_eq!(bound_to(fd).unwrap(), "");
    }

    #[test]
    fn a_bound_socket_says_so_and_still_accepts() {
        let (listener, address) = tcp("127.0.0.1:0");
        assert_eq!(bound_to(listener.as_fd()).unwrap(), "");
        match bind_to(listener.as_fd(), "lo") {
            Err(error) if raw(&error) == Some(libc::EPERM) => {
                println!(
                    "SKIP a_bound_socket_says_so_and_still_accepts: it takes CAP_NET_RAW here"
                );
                return;
            }
            bound => bound.unwrap(),
        }
        assert_eq!(bound_to(listener.as_fd()).unwrap(), "lo");
        let _client = TcpStream::connect(address).unwrap();
        let (socket, _) = accepted(&listener);
        assert_eq!(bound_to(socket.as_fd()).unwrap(), "lo");
    }

    #[test]
    fn what_is_no_socket_is_bound_to_nothing() {
        let file = File::open("/dev/null").unwrap();
        assert_eq!(
            raw(&bind_to(file.as_fd(), "lo").unwrap_err()),
            Some(libc::ENOTSOCK)
        );
        assert_eq!(
            raw(&bound_to(file.as_fd()).unwrap_err()),
            Some(libc::ENOTSOCK)
        );
    }
}
