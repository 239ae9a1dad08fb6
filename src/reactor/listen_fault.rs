//! Why an address cannot be listened on, and what helps.
//!
//! Owns the cures. It must not open anything. Invariant: a cure fits what the operator has: a path
//! has no port, and a server that was asked for its listeners is named as such.

use crate::config::{Listen, StartError};
use crate::sys::interface;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

pub(super) fn cannot_listen(
    listen: &Listen,
    error: &io::Error,
    in_use: &'static str,
) -> StartError {
    let cure = match (listen, error.kind()) {
        (Listen::Unix(_), kind) => cure_of_path(kind),
        (Listen::Tcp(_), _) if lacks_scope(listen) => "name its interface, as in [fe80::1%br0]:80",
        (Listen::Tcp(_), ErrorKind::AddrInUse) => in_use,
        (Listen::Tcp(_), _) => cure_of(error),
    };
    let fault = StartError::runtime(listen.to_string(), format!("cannot listen: {error}"), cure);
    match listen {
        Listen::Tcp(_) if lacks_scope(listen) => fault.lasting(),
        Listen::Tcp(_) => fault.lasting_if_forbidden(error),
        // Its directory may be one that is mounted or made later.
        Listen::Unix(_) => fault,
    }
}

/// What helps against an address in use.
pub(super) const IN_USE: &str = "stop the server that holds it, or choose another with -p";
/// The same, where a server could have handed it over.
pub(super) const IN_USE_UNANSWERED: &str = "no server answered at service.control: stop the one \
                                            that holds the address, or choose another with -p";
/// The same, where one has handed over what it has.
pub(super) const IN_USE_OTHERWISE: &str = "the server before does not listen on exactly this \
                                           address, so it cannot hand it over: stop it first";

/// What helps against a unix socket that cannot be had.
fn cure_of_path(kind: ErrorKind) -> &'static str {
    let cures = [
        (
            ErrorKind::AddrInUse,
            "another server listens there, or it is no socket: choose another path",
        ),
        (
            ErrorKind::PermissionDenied,
            "name a path in a directory that adieu may write to",
        ),
        (
            ErrorKind::NotFound,
            "make its directory, or choose another path",
        ),
    ];
    let cure = cures.iter().find(|(other, _)| *other == kind);
    cure.map_or("choose another path", |(_, cure)| cure)
}

/// A link-local address means nothing without an interface (RFC 4007 section 6).
fn lacks_scope(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(tcp) => match tcp.address {
            SocketAddr::V6(v6) => {
                let named = tcp.scope.is_some() || tcp.interface.is_some() || v6.scope_id() > 0;
                v6.ip().is_unicast_link_local() && !named
            }
            SocketAddr::V4(_) => false,
        },
        Listen::Unix(_) => false,
    }
}

/// What helps against a listener that cannot be had.
fn cure_of(error: &io::Error) -> &'static str {
    if interface::is_missing(error) {
        return "name an interface that is there when adieu starts (ip link)";
    }
    let cures = [
        (
            ErrorKind::PermissionDenied,
            "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another with -p",
        ),
        (
            ErrorKind::AddrNotAvailable,
            "give an address that this machine has, with -p, or set listen.freebind to on",
        ),
    ];
    let cure = cures
        .iter()
        .find(|(other, _)| *other == error.kind())
        .map(|(_, cure)| *cure);
    cure.unwrap_or("choose another address with -p")
}
