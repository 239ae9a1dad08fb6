//! Where a listener stands, by its configured address.
//!
//! Owns the binding of TCP listeners, with their scopes and interfaces, and whether a socket that
//! is there already is the one that is meant. It must not listen. Invariant: an address without an
//! interface is bound all the same only where that is wished for.

use crate::config::{Listen, TcpListen};
use crate::sys::interface;
use crate::sys::socket::{self, Bound};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Binds a TCP listener.
pub(super) fn open_tcp(tcp: &TcpListen, freebind: bool) -> io::Result<OwnedFd> {
    let address = scoped(tcp)?;
    let on = tcp.interface.as_deref();
    match socket::bind_tcp(&address, on, false) {
        Err(error) if freebind && error.kind() == ErrorKind::AddrNotAvailable => {
            let fd = socket::bind_tcp(&address, on, true)?;
            log::warn!("{tcp}: no interface has this address yet; it is listened on all the same");
            Ok(fd)
        }
        outcome => outcome,
    }
}

/// The address, with the number of the interface that its scope names.
fn scoped(tcp: &TcpListen) -> io::Result<SocketAddr> {
    let mut address = tcp.address;
    if let (SocketAddr::V6(v6), Some(name)) = (&mut address, &tcp.scope) {
        v6.set_scope_id(interface::index(name)?);
    }
    Ok(address)
}

/// The socket is what this address of the configuration stands for. Port 0 is any.
pub(super) fn is_at(fd: BorrowedFd<'_>, listen: &Listen) -> bool {
    match (socket::bound(fd), listen) {
        (Ok(Bound::Tcp(bound)), Listen::Tcp(tcp)) => {
            let scope = |address: &SocketAddr| match address {
                SocketAddr::V4(_) => 0,
                SocketAddr::V6(v6) => v6.scope_id(),
            };
            scoped(tcp).is_ok_and(|wanted| {
                let port = [0, bound.port()].contains(&wanted.port());
                let on = interface::bound_to(fd).unwrap_or_default();
                let interface = match &tcp.interface {
                    Some(name) => on == *name,
                    // A scope binds to its interface as well.
                    None => {
                        let of_scope = || interface::index(&on).is_ok_and(|i| i == scope(&wanted));
                        on.is_empty() || of_scope()
                    }
                };
                let address = bound.ip() == wanted.ip() && scope(&bound) == scope(&wanted);
                address && port && interface
            })
        }
        (Ok(Bound::Unix(bound)), Listen::Unix(path)) => bound == *path,
        (Ok(_), _) | (Err(_), _) => false,
    }
}
