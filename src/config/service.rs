//! How the server lives as a service: its user, its files, who starts it.
//!
//! Owns [`ServiceConfig`], the words for users, and the contradictions among these values. It must
//! not look a user up, nor open a path. Invariant: what passes here has paths from / on, and names
//! that can be looked up.

use super::check::Contradiction;
use super::listen::UNIX_PATH_BYTES;
use super::{Config, Listen};
use std::path::Path;

/// This build has the sandbox.
pub const SANDBOX_BUILT: bool = cfg!(feature = "sandbox");

/// The keys of `service` and what is near to them. An empty word stands for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Whom the server becomes once it listens, as [`Owner::parse`] takes it.
    pub user: String,
    /// The directory that it takes for / once it listens.
    pub chroot: String,
    /// The file that has its process number while it lives.
    pub pidfile: String,
    /// The socket at which a successor asks for the listeners.
    pub control: String,
    /// The descriptor that is told when it serves, 1 to 1023; 0: none.
    pub ready_fd: u16,
    /// Whether it goes into its sandbox.
    pub sandbox: Sandbox,
    /// Further paths that it may read there, from / on.
    pub sandbox_read: Vec<String>,
    /// Further paths beneath which it may change files there, from / on.
    pub sandbox_write: Vec<String>,
}

/// Whether the server goes into its sandbox once it serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// As far as the kernel lets it (default).
    #[default]
    On,
    /// It does not.
    Off,
    /// It does, or it does not start.
    Require,
}

/// `USER` or `USER:GROUP`, each a name or a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group; `None`: the one that the user has.
    pub group: Option<String>,
}

impl Owner {
    /// What `word` names; `None` when it is no such word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let plain = |name: &str| {
            !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '\0')
        };
        let (user, group) = match word.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (word, None),
        };
        let fits = plain(user) && group.is_none_or(|g| plain(g) && !g.contains(':'));
        fits.then(|| Self {
            user: user.to_owned(),
            group: group.map(ToOwned::to_owned),
        })
    }
}

/// More listeners than this make no sense, and a successor gets them in one message.
pub const LISTENERS_MAX: u8 = 64;

/// The first contradiction among the values of the service.
pub(super) fn contradiction(config: &Config) -> Option<Contradiction> {
    let service = &config.service;
    let paths = [
        ("service.chroot", &service.chroot),
        ("service.pidfile", &service.pidfile),
        ("service.control", &service.control),
    ];
    for (key, path) in paths {
        if !path.is_empty() && !path.starts_with('/') {
            let what = format!("\"{path}\" is no path from / on");
            let cure = "write one, such as /run/adieu/adieu.sock, or none";
            return Some(Contradiction::new(key, what, cure));
        }
    }
    let owners = [
        ("service.user", &service.user),
        ("listen.unix_owner", &config.unix_owner),
    ];
    for (key, word) in owners {
        if !word.is_empty() && Owner::parse(word).is_none() {
            let what = format!("\"{word}\" names no user");
            let cure = "write USER or USER:GROUP, such as www or www:www";
            return Some(Contradiction::new(key, what, cure));
        }
    }
    if !service.chroot.is_empty() && service.user.is_empty() {
        let what = "the server stays the user it is, and root walks out of a chroot";
        let cure = "name a user in service.user";
        return Some(Contradiction::new("service.chroot", what, cure));
    }
    let lists = [
        ("service.sandbox_read", &service.sandbox_read),
        ("service.sandbox_write", &service.sandbox_write),
        ("script.sandbox_read", &config.script.sandbox_read),
        ("script.sandbox_write", &config.script.sandbox_write),
    ];
    for (key, paths) in lists {
        if let Some(path) = paths.iter().find(|path| !path.starts_with('/')) {
            let what = format!("\"{path}\" is no path from / on");
            return Some(Contradiction::new(
                key,
                what,
                "write one, such as /srv, or none",
            ));
        }
    }
    of_control(config).or_else(|| {
        let count = config.listen.len();
        let what = format!("{count} addresses are more than {LISTENERS_MAX}");
        let cure = "name fewer, such as one for all addresses: 80";
        (count > usize::from(LISTENERS_MAX))
            .then(|| Contradiction::new("listen.address", what, cure))
    })
}

fn of_control(config: &Config) -> Option<Contradiction> {
    let path = config.service.control.as_str();
    let (what, cure) = if path.len() > UNIX_PATH_BYTES {
        let what = format!("\"{path}\" is longer than the 107 bytes of a socket's path");
        (what, "choose a shorter one")
    } else if config
        .listen
        .contains(&Listen::Unix(Path::new(path).to_owned()))
    {
        let what = format!("\"{path}\" is an address of listen.address");
        (what, "choose another path for one of them")
    } else {
        return None;
    };
    Some(Contradiction::new("service.control", what, cure))
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Sizes};
    use super::*;

    #[test]
    fn owners_have_a_user_and_perhaps_a_group() {
        let owner = |user: &str, group: Option<&str>| {
            Some(Owner {
                user: user.to_owned(),
                group: group.map(ToOwned::to_owned),
            })
        };
        assert_eq!(Owner::parse("www"), owner("www", None));
        assert_eq!(Owner::parse("www:http"), owner("www", Some("http")));
        assert_eq!(Owner::parse("33:33"), owner("33", Some("33")));
        for word in ["", ":", "www:", ":www", "a:b:c", "a b", "a\0"] {
            assert_eq!(Owner::parse(word), None, "{word:?}");
        }
    }

    #[test]
    fn contradictions_read_well() {
        let long = format!("/{}", "x".repeat(107));
        let many: Vec<String> = (1..=65).map(|port: u16| port.to_string()).collect();
        for (pairs, line) in [
            (
                &[("service.pidfile", "adieu.pid")][..],
                "service.pidfile: \"adieu.pid\" is no path from / on; write one, such as \
                 /run/adieu/adieu.sock, or none",
            ),
            (
                &[("service.user", "www:")],
                "service.user: \"www:\" names no user; write USER or USER:GROUP, such as www or \
                 www:www",
            ),
            (
                &[("listen.unix_owner", "a:b:c")],
                "listen.unix_owner: \"a:b:c\" names no user; write USER or USER:GROUP, such as \
                 www or www:www",
            ),
            (
                &[("service.chroot", "/srv")],
                "service.chroot: the server stays the user it is, and root walks out of a chroot; \
                 name a user in service.user",
            ),
            (
                &[
                    ("service.control", "/run/a"),
                    ("listen.address", "unix:/run/a"),
                ],
                "service.control: \"/run/a\" is an address of listen.address; choose another path \
                 for one of them",
            ),
            (
                &[("service.control", &long)],
                &format!(
                    "service.control: \"{long}\" is longer than the 107 bytes of a socket's path; \
                     choose a shorter one"
                ),
            ),
            (
                &[("listen.address", &many.join(","))],
                "listen.address: 65 addresses are more than 64; name fewer, such as one for all \
                 addresses: 80",
            ),
        ] {
            let mut draft = Draft::new();
            for (name, text) in pairs {
                draft.set(name, text, "test").unwrap();
            }
            let error = draft.finish(&Sizes::default()).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.code), (line, 78));
        }
    }
}
