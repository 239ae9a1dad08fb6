//! Where to listen: from text and back.
//!
//! Owns [`Listen`], its parser and how it is shown. It must not ask the system whether an address
//! or an interface is there. Invariant: what is displayed is parsed back to the same.

use super::fault::Fault;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP over IPv4 or IPv6 (IPv6 sockets are V6ONLY).
    Tcp(TcpListen),
    /// A unix stream socket at this path.
    Unix(PathBuf),
}

/// A TCP listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpListen {
    /// Address and port; port 0: the system chooses. A scope that is a number stands here.
    pub address: SocketAddr,
    /// A scope that is the name of an interface (RFC 4007 section 11): `[fe80::1%br0]:80`.
    pub scope: Option<String>,
    /// Only what comes in by this interface (SO_BINDTODEVICE): `[::]%br0:80`.
    pub interface: Option<String>,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(TcpListen {
            address,
            scope: None,
            interface: None,
        })
    }
}

impl Listen {
    /// The system chooses the port: two of these are two listeners.
    #[must_use]
    pub fn is_any_port(&self) -> bool {
        match self {
            Self::Tcp(tcp) => tcp.address.port() == 0,
            Self::Unix(_) => false,
        }
    }

    /// It is all addresses of a port, and the other is one of them: the kernel refuses the second.
    #[must_use]
    pub fn includes(&self, other: &Self) -> bool {
        let (Self::Tcp(all), Self::Tcp(one)) = (self, other) else {
            return false;
        };
        let (a, b) = (all.address, one.address);
        let same = a.port() == b.port() && a.port() != 0 && a.is_ipv4() == b.is_ipv4();
        // Two interfaces do not meet.
        let meet = all.interface.is_none() || all.interface == one.interface;
        same && meet && a.ip().is_unspecified() && !b.ip().is_unspecified()
    }
}

/// The longest path of a unix socket, bytes: sun_path without its NUL.
pub(super) const UNIX_PATH_BYTES: usize = 107;
/// The longest name of an interface, bytes: IFNAMSIZ without its NUL.
const INTERFACE_BYTES: usize = 15;

/// One address: `PORT` (every IPv4 address), `ADDRESS:PORT`, `[IPV6]:PORT`, `unix:PATH`. An IPv6
/// address may have a scope, and behind every address may stand the interface that it is bound to,
/// as ss(8) shows it: `192.168.1.1%br0:80`.
///
/// # Errors
/// When it is none of these. Names of hosts are not looked up.
pub fn address(text: &str) -> Result<Listen, Fault> {
    let text = text.trim();
    let fault = |what: &str| {
        Fault::new(
            format!("\"{text}\" {what}"),
            "write 8080, 127.0.0.1:8080, [::]:8080 or unix:/run/adieu.sock",
        )
    };
    if let Some(path) = text.strip_prefix("unix:") {
        return match path.len() {
            0 => Err(fault("names no path")),
            1..=UNIX_PATH_BYTES => Ok(Listen::Unix(PathBuf::from(path))),
            _ => Err(fault("is longer than the 107 bytes of a socket's path")),
        };
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        let port: u16 = text
            .parse()
            .map_err(|_| fault("is no port: they end at 65535"))?;
        return Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into());
    }
    tcp(text)
        .map(Listen::Tcp)
        .ok_or_else(|| fault("is no numeric address with a port"))
}

/// `HOST:PORT`, `HOST%INTERFACE:PORT`
fn tcp(text: &str) -> Option<TcpListen> {
    let (host, port) = text.rsplit_once(':')?;
    let plain = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|_| plain)?;
    // Behind the bracket, for inside it is the scope.
    let (inside, behind) = match host.rsplit_once(']') {
        Some((inside, behind)) => (Some(inside.strip_prefix('[')?), behind),
        None => (None, host),
    };
    let (rest, interface) = match behind.split_once('%') {
        Some((rest, name)) => (rest, Some(interface(name)?)),
        None => (behind, None),
    };
    let Some(inside) = inside else {
        let address = IpAddr::V4(rest.parse().ok()?);
        return Some(TcpListen {
            address: (address, port).into(),
            scope: None,
            interface,
        });
    };
    if !rest.is_empty() {
        return None;
    }
    let (ip, scope) = match inside.split_once('%') {
        Some((ip, scope)) => (ip, Some(scope)),
        None => (inside, None),
    };
    let ip = ip.parse().ok()?;
    let number = scope.and_then(|scope| scope.parse::<u32>().ok());
    let address = SocketAddrV6::new(ip, port, 0, number.unwrap_or(0)).into();
    let named = scope.filter(|_| number.is_none());
    Some(TcpListen {
        address,
        scope: named.map_or(Some(None), |name| self::interface(name).map(Some))?,
        interface,
    })
}

/// The name of an interface, as the kernel takes it.
fn interface(name: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_graphic() && !b"/:%[]".contains(&b);
    let fits = (1..=INTERFACE_BYTES).contains(&name.len()) && !matches!(name, "." | "..");
    (fits && name.bytes().all(plain)).then(|| name.to_owned())
}

impl fmt::Display for TcpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = self.address.port();
        match (self.address, &self.scope) {
            (SocketAddr::V4(v4), _) => write!(f, "{}", v4.ip())?,
            (SocketAddr::V6(v6), Some(name)) => write!(f, "[{}%{name}]", v6.ip())?,
            (SocketAddr::V6(v6), None) => match v6.scope_id() {
                0 => write!(f, "[{}]", v6.ip())?,
                number => write!(f, "[{}%{number}]", v6.ip())?,
            },
        }
        match &self.interface {
            Some(name) => write!(f, "%{name}:{port}"),
            None => write!(f, ":{port}"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => write!(f, "{tcp}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ports_numeric_addresses_or_unix_paths() {
        for (text, shown) in [
            ("8080", "0.0.0.0:8080"),
            ("0", "0.0.0.0:0"),
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::]:80", "[::]:80"),
            ("[::1]:65535", "[::1]:65535"),
            ("[::ffff:1.2.3.4]:80", "[::ffff:1.2.3.4]:80"),
            ("[fe80::1%br0]:80", "[fe80::1%br0]:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("[fe80::1%0]:80", "[fe80::1]:80"),
            ("0.0.0.0%br-lan.1:80", "0.0.0.0%br-lan.1:80"),
            ("[::]%br0:80", "[::]%br0:80"),
            ("[fe80::1%br0]%br0:80", "[fe80::1%br0]%br0:80"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:/run/a%b:1", "unix:/run/a%b:1"),
        ] {
            let listen = address(text).unwrap();
            assert_eq!(listen.to_string(), shown);
            assert_eq!(address(shown), Ok(listen));
        }
        let long = format!("unix:/{}", "x".repeat(107));
        for text in [
            "",
            ":80",
            "65536",
            "localhost:80",
            "::1:80",
            "[::1:80",
            "::1]:80",
            "[]:80",
            "[[::1]]:80",
            "[::1]x:80",
            "[1.2.3.4]:80",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:+80",
            "1.2.3.4:70000",
            "1.2.3.4%:80",
            "1.2.3.4%a b:80",
            "1.2.3.4%sixteen-letters-:80",
            "[fe80::1%]:80",
            "[fe80::1%a/b]:80",
            "%br0:80",
            "unix:",
            "*:80",
            &long,
        ] {
            let fault = address(text).unwrap_err();
            assert!(
                fault.what.starts_with(&format!("\"{text}\" ")),
                "{}",
                fault.what
            );
            assert!(fault.cure.contains("[::]:8080"));
        }
    }

    #[test]
    fn all_addresses_include_each_of_them() {
        let includes =
            |all: &str, one: &str| address(all).unwrap().includes(&address(one).unwrap());
        for (all, one) in [
            ("80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("80", "10.0.0.1%br0:80"),
            ("0.0.0.0%br0:80", "10.0.0.1%br0:80"),
        ] {
            assert!(includes(all, one) && !includes(one, all), "{all} {one}");
        }
        for (all, one) in [
            ("80", "127.0.0.1:81"),
            ("80", "[::1]:80"),
            ("0", "127.0.0.1:0"),
            ("80", "80"),
            ("80", "unix:/80"),
            ("0.0.0.0%br0:80", "10.0.0.1%br1:80"),
            ("0.0.0.0%br0:80", "10.0.0.1:80"),
        ] {
            assert!(!includes(all, one), "{all} {one}");
        }
    }

    #[test]
    fn scopes_and_interfaces_are_told_apart() {
        let Ok(Listen::Tcp(tcp)) = address("[fe80::1%br0]%br1:80") else {
            panic!("no address");
        };
        assert_eq!(tcp.address, "[fe80::1]:80".parse().unwrap());
        assert_eq!(tcp.scope.as_deref(), Some("br0"));
        assert_eq!(tcp.interface.as_deref(), Some("br1"));
        let Ok(Listen::Tcp(tcp)) = address("[fe80::1%7]:80") else {
            panic!("no address");
        };
        assert_eq!((tcp.scope, tcp.interface), (None, None));
        assert_eq!(tcp.address, "[fe80::1%7]:80".parse().unwrap());
    }
}
