//! Where a server shows its status.
//!
//! Owns [`Place`] and how it is written. It must not connect. Invariant: what is displayed can be
//! given on the command line.

use crate::config::{Listen, StartError};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) to: To,
    /// What stands before the name of a form; empty for the root of a socket.
    pub(super) path: String,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// A unix socket.
    Unix(PathBuf),
    /// A host as it was written, without brackets, and a port.
    Tcp(String, u16),
}

impl Place {
    /// `status.socket`.
    pub(super) const fn of_socket(path: PathBuf) -> Self {
        Self {
            to: To::Unix(path),
            path: String::new(),
        }
    }

    /// `status.path` at this address, if it can be reached by itself.
    pub(super) fn of_listener(listen: &Listen, path: &str) -> Option<Self> {
        let to = match listen {
            Listen::Unix(socket) => To::Unix(socket.clone()),
            Listen::Tcp(tcp) if tcp.scope.is_some() || tcp.interface.is_some() => return None,
            Listen::Tcp(tcp) => {
                let host = match tcp.address.ip() {
                    IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
                    IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
                    ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip.to_string(),
                };
                To::Tcp(host, tcp.address.port())
            }
        };
        let path = path.to_owned();
        Some(Self { to, path })
    }

    /// The place that a word names.
    pub(super) fn parse(word: &str) -> Result<Self, StartError> {
        if word.starts_with('/') {
            return Ok(Self::of_socket(PathBuf::from(word)));
        }
        url(word).ok_or_else(|| {
            let cure = "write the path of a socket from / on, or a URL such as \
                        http://127.0.0.1:8080/-/status";
            StartError::usage(word, "it is no place", cure)
        })
    }
}

/// `http://HOST[:PORT]/PATH`, without a user, a query or anything that would end a request line.
fn url(word: &str) -> Option<Place> {
    let rest = word.strip_prefix("http://")?;
    let plain = |b: u8| b.is_ascii_graphic() && !b"?#@\\\"".contains(&b);
    if !rest.bytes().all(plain) {
        return None;
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (host, port) = match authority.strip_prefix('[') {
        Some(literal) => literal.split_once(']')?,
        None => match authority.split_once(':') {
            Some((host, _)) => (host, authority.strip_prefix(host)?),
            None => (authority, ""),
        },
    };
    let port = match port {
        "" => 80,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() {
        String::new()
    } else {
        format!("/{path}")
    };
    (!host.is_empty()).then(|| Place {
        to: To::Tcp(host.to_owned(), port),
        path,
    })
}

impl Place {
    /// The host for the request.
    pub(super) fn host(&self) -> String {
        match &self.to {
            To::Unix(_) => "localhost".to_owned(),
            To::Tcp(host, port) if host.contains(':') => format!("[{host}]:{port}"),
            To::Tcp(host, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.to {
            To::Unix(path) => write!(f, "{}", path.display()),
            To::Tcp(..) => write!(f, "http://{}{}", self.host(), self.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_shown() {
        for (word, shown) in [
            ("/run/adieu/status", "/run/adieu/status"),
            ("http://nas.lan/-/status", "http://nas.lan:80/-/status"),
            (
                "http://127.0.0.1:8080/-/status/",
                "http://127.0.0.1:8080/-/status",
            ),
            ("http://[::1]:81/s", "http://[::1]:81/s"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            let place = Place::parse(word).unwrap();
            assert_eq!(place.to_string(), shown);
            assert_eq!(Place::parse(shown).unwrap(), place);
        }
        for word in [
            "",
            "status",
            "https://h/",
            "http://",
            "http:///x",
            "http://h:x/",
            "http://h:99999/",
            "http://u@h/",
            "http://h/a b",
            "http://h/\r\n",
            "http://[::1/",
            "http://h/?q",
        ] {
            assert!(Place::parse(word).is_err(), "{word}");
        }
    }

    #[test]
    fn a_listener_is_reached_from_its_own_machine() {
        for (text, shown) in [
            ("80", Some("http://127.0.0.1:80/s")),
            ("[::]:80", Some("http://[::1]:80/s")),
            ("192.0.2.1:81", Some("http://192.0.2.1:81/s")),
            ("unix:/run/a", Some("/run/a")),
            ("0.0.0.0%lo:80", None),
        ] {
            let listen = crate::config::listen::address(text).unwrap();
            let place = Place::of_listener(&listen, "/s");
            assert_eq!(place.map(|place| place.to_string()).as_deref(), shown);
        }
    }
}
