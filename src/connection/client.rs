//! Who a request comes from: the peer of the connection, or whom a trusted proxy named.
//!
//! Owns [`Client`]. It must not decide whom to believe: that is `site`'s and the reactor's work.
//! Invariant: what [`Client::from_address`] makes is never an IPv4 address mapped into IPv6, so one
//! client has one spelling.

use core::fmt;
use core::net::IpAddr;

/// Who a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A host, without its port.
    Address(IpAddr),
    /// A process on this machine, through a unix socket.
    Unix,
    /// A proxy named somebody that is no address, or nothing that can be read (RFC 7239 sections
    /// 6.2 and 6.3).
    Unknown,
}

impl Client {
    /// A host. An IPv4 address mapped into IPv6 (RFC 4291 section 2.5.5.2) becomes the IPv4 one.
    #[must_use]
    pub const fn from_address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_one_spelling() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::ffff:c000:201", "192.0.2.1"),
            ("2001:DB8:0::1", "2001:db8::1"),
            ("::192.0.2.1", "::c000:201"), // compatible, not mapped
            ("::1", "::1"),
        ] {
            let client = Client::from_address(text.parse().unwrap());
            assert_eq!(client.to_string(), shown, "{text}");
        }
        assert_eq!(Client::Unix.to_string(), "unix");
        assert_eq!(Client::Unknown.to_string(), "unknown");
    }
}
