//! Where the status of the server is shown, and to whom.
//!
//! Owns [`StatusConfig`], the forms of a status with their names, and what contradicts it. It must
//! not know what a status says. Invariants: nothing is shown unless a path or a socket is named; a
//! path that passes is one plain path from / on.

use super::check::Contradiction;
use super::listen::UNIX_PATH_BYTES;
use super::network::Networks;
use super::pattern::Pattern;
use super::{Config, Listen, Mode, StartError};
use std::path::Path;

/// This build shows its status.
pub const BUILT: bool = cfg!(feature = "status");

/// Connections to `status.socket` have slots and buffers of their own, so many: one that asks
/// regularly, and a person.
pub const SOCKET_SLOTS: u16 = 2;
/// Answers about the status at the same time: those of the socket, and as many on the path.
pub const PLACES: u16 = 2 * SOCKET_SLOTS;
/// Where `adieu status` looks when nobody says where.
pub const DEFAULT_SOCKET: &str = "/run/adieu/status";

/// The form in which a status is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The page that draws it.
    Page,
    /// JSON (RFC 8259).
    Json,
    /// The text format of Prometheus, 0.0.4.
    Metrics,
    /// Lines for a terminal.
    Text,
}

impl Form {
    /// Every form, and its name beneath the path; the page is the path itself.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Page, ""),
        (Self::Json, "/json"),
        (Self::Metrics, "/metrics"),
        (Self::Text, "/text"),
    ];

    /// The form that `name` asks for, what stands behind the path; a slash alone is the path.
    #[must_use]
    pub fn named(name: &[u8]) -> Option<Self> {
        let name = if name == b"/" { b"" } else { name };
        let mut all = Self::ALL.iter();
        all.find(|(_, own)| own.as_bytes() == name)
            .map(|(form, _)| *form)
    }

    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static [u8] {
        match self {
            Self::Page => b"text/html; charset=utf-8",
            Self::Json => b"application/json",
            Self::Metrics => b"text/plain; version=0.0.4; charset=utf-8",
            Self::Text => b"text/plain; charset=utf-8",
        }
    }
}

/// The keys of `status`. An empty word stands for none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusConfig {
    /// The path of the default site at which it is shown.
    pub path: String,
    /// The clients who see it there.
    pub allow: Networks,
    /// The unix socket at which it is shown, and nothing else.
    pub socket: String,
    /// Its permissions.
    pub socket_mode: Mode,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            path: String::new(),
            allow: Networks::own_machine(), // so that nobody publishes it by accident
            socket: String::new(),
            socket_mode: Mode::new(0o600), // who started the server
        }
    }
}

impl Config {
    /// The status is shown somewhere.
    #[must_use]
    pub fn shows_status(&self) -> bool {
        BUILT && !(self.status.path.is_empty() && self.status.socket.is_empty())
    }

    /// Slots, and buffers, that are there for `status.socket` alone.
    #[must_use]
    pub fn socket_slots(&self) -> u16 {
        match BUILT && !self.status.socket.is_empty() {
            true => SOCKET_SLOTS,
            false => 0,
        }
    }
}

/// A build that cannot show it says so.
///
/// # Errors
/// When it is to be shown nevertheless.
pub fn built(config: &Config, built: bool) -> Result<(), StartError> {
    let keys = [
        ("status.path", &config.status.path),
        ("status.socket", &config.status.socket),
    ];
    match keys.iter().find(|(_, word)| !built && !word.is_empty()) {
        None => Ok(()),
        Some((key, _)) => {
            let what = "this build does not show its status";
            let cure = format!("build adieu with the feature status, or take {key} away");
            Err(StartError::configuration(*key, what, cure))
        }
    }
}

/// The first contradiction among these values.
pub(super) fn contradiction(config: &Config) -> Option<Contradiction> {
    of_path(&config.status.path).or_else(|| of_socket(config))
}

fn of_path(path: &str) -> Option<Contradiction> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
    let sound = path.len() > 1
        && path.starts_with('/')
        && !path.ends_with('/')
        && path.bytes().all(plain)
        && Pattern::parse(path).is_ok();
    (!path.is_empty() && !sound).then(|| {
        let what = format!("\"{path}\" is no plain path");
        let cure = "write one of letters, digits and -_.~ from / on, such as /-/status, or none";
        Contradiction::new("status.path", what, cure)
    })
}

fn of_socket(config: &Config) -> Option<Contradiction> {
    let path = config.status.socket.as_str();
    let at =
        |what: String, cure: &'static str| Some(Contradiction::new("status.socket", what, cure));
    if path.is_empty() {
        return None;
    }
    if !path.starts_with('/') {
        let what = format!("\"{path}\" is no path from / on");
        return at(what, "write one, such as /run/adieu/status, or none");
    }
    if path.len() > UNIX_PATH_BYTES {
        let what = format!("\"{path}\" is longer than the 107 bytes of a socket's path");
        return at(what, "choose a shorter one");
    }
    let listened = config
        .listen
        .contains(&Listen::Unix(Path::new(path).to_owned()));
    let other = match (listened, path == config.service.control) {
        (true, _) => "an address of listen.address",
        (false, true) => "service.control",
        (false, false) => return None,
    };
    at(
        format!("\"{path}\" is {other}"),
        "choose another path for one of them",
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Sizes};
    use super::*;

    #[test]
    fn forms_have_names_beneath_the_path() {
        for (name, form) in [
            ("", Some(Form::Page)),
            ("/", Some(Form::Page)),
            ("/json", Some(Form::Json)),
            ("/metrics", Some(Form::Metrics)),
            ("/text", Some(Form::Text)),
            ("/json/", None),
            ("/JSON", None),
            ("x", None),
        ] {
            assert_eq!(Form::named(name.as_bytes()), form, "{name}");
        }
    }

    #[test]
    fn who_is_not_told_otherwise_shows_it_to_the_machine_itself() {
        let config = Config::default();
        assert!(!config.shows_status());
        assert_eq!(config.status.allow.to_string(), "127.0.0.0/8,::1,unix");
    }

    #[test]
    fn a_build_without_it_says_so() {
        let mut config = Config::default();
        assert!(built(&config, false).is_ok());
        config.status.socket = "/run/s".to_owned();
        assert!(built(&config, true).is_ok());
        assert_eq!(
            built(&config, false).unwrap_err().to_string(),
            "status.socket: this build does not show its status; build adieu with the feature \
             status, or take status.socket away"
        );
    }

    #[test]
    fn contradictions_read_well() {
        let long = format!("/{}", "x".repeat(107));
        for (pairs, line) in [
            (
                &[("status.path", "status")][..],
                "status.path: \"status\" is no plain path; write one of letters, digits and -_.~ \
                 from / on, such as /-/status, or none",
            ),
            (
                &[("status.path", "/a/../b")],
                "status.path: \"/a/../b\" is no plain path; write one of letters, digits and -_.~ \
                 from / on, such as /-/status, or none",
            ),
            (
                &[("status.socket", "run/s")],
                "status.socket: \"run/s\" is no path from / on; write one, such as \
                 /run/adieu/status, or none",
            ),
            (
                &[("status.socket", &long)],
                &format!(
                    "status.socket: \"{long}\" is longer than the 107 bytes of a socket's path; \
                     choose a shorter one"
                ),
            ),
            (
                &[
                    ("status.socket", "/run/a"),
                    ("listen.address", "unix:/run/a"),
                ],
                "status.socket: \"/run/a\" is an address of listen.address; choose another path \
                 for one of them",
            ),
            (
                &[("status.socket", "/run/a"), ("service.control", "/run/a")],
                "status.socket: \"/run/a\" is service.control; choose another path for one of them",
            ),
        ] {
            let mut draft = Draft::new();
            for (name, text) in pairs {
                draft.set(name, text, "test").unwrap();
            }
            let error = draft.finish(&Sizes::default()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.code), (line, 78));
        }
        for path in ["/a/", "/", "/a b", "/a%20", "/*", "//a", "/a?"] {
            assert!(of_path(path).is_some(), "{path}");
        }
        assert!(of_path("/-/status").is_none() && of_path("/.well-known/adieu").is_none());
    }
}
