//! Socket addresses as the kernel lays them out.
//!
//! Owns: the bytes of a `struct sockaddr_in`, `_in6` or `_un`, written and read one field at a
//! time, so that no pointer to one struct is ever read as another. Must not: make a system call.
//!
//! Invariants: the bytes are aligned and large enough for every family (as `sockaddr_storage`);
//! `length` is at most their number. Layouts: ip(7), ipv6(7), unix(7); the family comes first, in
//! the machine's order; port and IP address are in network order.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{c_int, sockaddr, socklen_t};

use super::call;

/// The size of `struct sockaddr_storage`.
const STORAGE: usize = 128;
/// Where the family ends and, in the IP families, the port begins.
const PORT: usize = 2;
/// `sin_addr`.
const V4_ADDRESS: usize = 4;
/// The size of `struct sockaddr_in`.
const V4_LENGTH: socklen_t = 16;
/// `sin6_flowinfo`.
const V6_FLOW: usize = 4;
/// `sin6_addr`.
const V6_ADDRESS: usize = 8;
/// `sin6_scope_id`.
const V6_SCOPE: usize = 24;
/// The size of `struct sockaddr_in6`.
const V6_LENGTH: socklen_t = 28;
/// `sun_path`.
const UNIX_PATH: usize = 2;
/// The room in `sun_path`, its final NUL included.
const UNIX_ROOM: usize = 108;

/// Who is at the other end of an accepted connection, without its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An IPv4 address; also one that came mapped in an IPv6 address (::ffff:a.b.c.d).
    V4([u8; 4]),
    /// An IPv6 address.
    V6([u8; 16]),
    /// A process on this machine, through a unix socket.
    Unix,
}

/// Bytes a `struct sockaddr` of any family may lie at.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Storage([u8; STORAGE]);

/// One socket address, to hand to the kernel or filled by it.
#[derive(Clone, Copy)]
pub(super) struct Address {
    storage: Storage,
    length: socklen_t,
}

impl Address {
    /// Room for the kernel to write an address of any family.
    pub(super) fn room() -> Self {
        Self {
            storage: Storage([0; STORAGE]),
            length: call::size::<Storage>(),
        }
    }

    /// An IP address and port.
    pub(super) fn ip(address: &SocketAddr) -> Self {
        let mut room = Self::room();
        room.put(PORT, address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                room.put_family(libc::AF_INET);
                room.put(V4_ADDRESS, v4.ip().octets());
                room.length = V4_LENGTH;
            }
            SocketAddr::V6(v6) => {
                room.put_family(libc::AF_INET6);
                room.put(V6_FLOW, v6.flowinfo().to_ne_bytes());
                room.put(V6_ADDRESS, v6.ip().octets());
                room.put(V6_SCOPE, v6.scope_id().to_ne_bytes());
                room.length = V6_LENGTH;
            }
        }
        room
    }

    /// A unix socket's path: 1 to 107 bytes and no NUL, or EINVAL.
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        let path = path.as_os_str().as_bytes();
        if path.is_empty() || path.len() >= UNIX_ROOM || path.contains(&0) {
            return Err(call::invalid());
        }
        let mut room = Self::room();
        room.put_family(libc::AF_UNIX);
        for (to, from) in room.storage.0.iter_mut().skip(UNIX_PATH).zip(path) {
            *to = *from;
        }
        // The family, the path and the NUL behind it.
        let length = UNIX_PATH.saturating_add(path.len()).saturating_add(1);
        room.length = socklen_t::try_from(length).map_err(|_| call::invalid())?;
        Ok(room)
    }

    /// `AF_INET`, `AF_INET6`, `AF_UNIX`, or what else the kernel wrote.
    pub(super) fn family(&self) -> c_int {
        c_int::from(u16::from_ne_bytes(self.get(0)))
    }

    /// The address, for a call that reads it.
    pub(super) fn pointer(&self) -> *const sockaddr {
        self.storage.0.as_ptr().cast()
    }

    /// How many bytes of it count.
    pub(super) fn length(&self) -> socklen_t {
        self.length
    }

    /// The address and its length, for a call that writes both.
    pub(super) fn parts(&mut self) -> (*mut sockaddr, *mut socklen_t) {
        (self.storage.0.as_mut_ptr().cast(), &raw mut self.length)
    }

    /// The IP address and port, or `None` for another family.
    pub(super) fn socket_address(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.get(PORT));
        match self.family() {
            libc::AF_INET => {
                let ip = Ipv4Addr::from(self.get::<4>(V4_ADDRESS));
                Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
            }
            libc::AF_INET6 => {
                let ip = Ipv6Addr::from(self.get::<16>(V6_ADDRESS));
                let flow = u32::from_ne_bytes(self.get(V6_FLOW));
                let scope = u32::from_ne_bytes(self.get(V6_SCOPE));
                Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
            }
            _ => None,
        }
    }

    /// The path of a unix socket, empty if it has none in the file system; `None` for another
    /// family.
    pub(super) fn path(&self) -> Option<PathBuf> {
        if self.family() != libc::AF_UNIX {
            return None;
        }
        // What counts of it ends at its length or at a NUL; an abstract name begins with one.
        let length = usize::try_from(self.length).unwrap_or(0);
        let room = self.storage.0.get(UNIX_PATH..length.min(STORAGE));
        let path = room.unwrap_or_default().split(|b| *b == 0).next();
        Some(PathBuf::from(OsStr::from_bytes(path.unwrap_or_default())))
    }

    /// Who this is, or `None` for a family nobody listens on here.
    pub(super) fn peer(&self) -> Option<Peer> {
        match self.socket_address() {
            Some(SocketAddr::V4(v4)) => Some(Peer::V4(v4.ip().octets())),
            Some(SocketAddr::V6(v6)) => Some(match v6.ip().to_ipv4_mapped() {
                Some(v4) => Peer::V4(v4.octets()),
                None => Peer::V6(v6.ip().octets()),
            }),
            None if self.family() == libc::AF_UNIX => Some(Peer::Unix),
            None => None,
        }
    }

    fn put_family(&mut self, family: c_int) {
        // Every family's number fits; the default, AF_UNSPEC, is not met and refused by the kernel.
        self.put(
            0,
            libc::sa_family_t::try_from(family)
                .unwrap_or_default()
                .to_ne_bytes(),
        );
    }

    fn put<const N: usize>(&mut self, at: usize, value: [u8; N]) {
        for (to, from) in self.storage.0.iter_mut().skip(at).zip(value) {
            *to = from;
        }
    }

    fn get<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut value = [0; N];
        for (to, from) in value.iter_mut().zip(self.storage.0.iter().skip(at)) {
            *to = *from;
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_one_libc_describes() {
        assert_eq!(STORAGE, size_of::<libc::sockaddr_storage>());
        assert!(align_of::<Storage>() >= align_of::<libc::sockaddr_storage>());
        assert_eq!(V4_LENGTH, call::size::<libc::sockaddr_in>());
        assert_eq!(V6_LENGTH, call::size::<libc::sockaddr_in6>());
        assert_eq!(UNIX_PATH + UNIX_ROOM, size_of::<libc::sockaddr_un>());
        assert_eq!(PORT, std::mem::offset_of!(libc::sockaddr_in, sin_port));
        assert_eq!(
            V4_ADDRESS,
            std::mem::offset_of!(libc::sockaddr_in, sin_addr)
        );
        assert_eq!(PORT, std::mem::offset_of!(libc::sockaddr_in6, sin6_port));
        assert_eq!(
            V6_FLOW,
            std::mem::offset_of!(libc::sockaddr_in6, sin6_flowinfo)
        );
        assert_eq!(
            V6_ADDRESS,
            std::mem::offset_of!(libc::sockaddr_in6, sin6_addr)
        );
        assert_eq!(
            V6_SCOPE,
            std::mem::offset_of!(libc::sockaddr_in6, sin6_scope_id)
        );
        assert_eq!(UNIX_PATH, std::mem::offset_of!(libc::sockaddr_un, sun_path));
    }

    #[test]
    fn ip_addresses_come_back_as_they_went_in() {
        for text in [
            "127.0.0.1:80",
            "255.1.2.3:65535",
            "[::1]:1",
            "[fe80::1%7]:8080",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::ip(&address).socket_address(), Some(address));
        }
    }

    #[test]
    fn a_mapped_peer_is_an_ipv4_peer() {
        let peer = |text: &str| Address::ip(&text.parse().unwrap()).peer();
        assert_eq!(peer("10.0.0.7:1"), Some(Peer::V4([10, 0, 0, 7])));
        assert_eq!(peer("[::ffff:10.0.0.7]:1"), Some(Peer::V4([10, 0, 0, 7])));
        assert_eq!(
            peer("[::1]:1"),
            Some(Peer::V6(Ipv6Addr::LOCALHOST.octets()))
        );
        assert_eq!(
            Address::unix(Path::new("/run/a")).unwrap().peer(),
            Some(Peer::Unix)
        );
        assert_eq!(Address::room().peer(), None);
    }

    #[test]
    fn a_path_that_does_not_fit_is_refused() {
        assert!(Address::unix(Path::new(&"a".repeat(107))).is_ok());
        for path in [String::new(), "a".repeat(108), "a\0b".to_owned()] {
            assert!(Address::unix(Path::new(&path)).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_path_comes_back_as_it_went_in() {
        for text in ["/run/a", "a", &"a".repeat(107)] {
            let address = Address::unix(Path::new(text)).unwrap();
            assert_eq!(address.path(), Some(PathBuf::from(text)));
            assert_eq!(address.socket_address(), None);
        }
        let ip = Address::ip(&"127.0.0.1:1".parse().unwrap());
        assert_eq!(ip.path(), None);
    }
}
