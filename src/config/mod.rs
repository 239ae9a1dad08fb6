//! The configuration: what the operator asked for, checked.
//!
//! Owns the key table, the parser of values, [`Config`], [`StartError`] and the memory plan. It
//! must not open sockets or files of the site. Invariants: every value of a [`Setup`] lies within
//! the bounds of its key, no two contradict each other, and its plan fits `memory.total`.

mod draft;
mod error;
mod key;
pub mod keys;
pub mod plan;
pub mod value;

pub use draft::{Draft, Setup};
pub use error::StartError;
pub use plan::{Fixed, Plan, Sizes};

use crate::connection::limits::Limits;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// TCP over IPv4 or IPv6 (IPv6 sockets are V6ONLY).
    Tcp(std::net::SocketAddr),
    /// A unix stream socket at this path.
    Unix(PathBuf),
}

/// Which symbolic links beneath the root are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay inside the root (default).
    Within,
    /// None: 403.
    None,
    /// All.
    Follow,
}

/// Names that begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dotfiles {
    /// Not there: 404, but for `.well-known` (default).
    Hide,
    /// Files like others.
    Serve,
}

/// A content coding that a file may have been given beforehand (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The name in fields and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }
}

/// Everything that was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// The document root.
    pub root: PathBuf,
    /// Names that stand for a directory, tried in order.
    pub index: Vec<String>,
    /// Symbolic links.
    pub symlinks: Symlinks,
    /// Names that begin with a dot.
    pub dotfiles: Dotfiles,
    /// Codings whose files are looked for beside the originals, the preferred ones first.
    pub precompressed: Vec<String>,
    /// Limits of the heart.
    pub limits: Limits,
    /// Slots, 1 to 65,000.
    pub connections: u16,
    /// Buffers (each with an input and an output half); 0 until [`Config::settle`], which derives
    /// them from `connections`.
    pub buffers: u16,
    /// Size of each half, bytes.
    pub buffer_bytes: u16,
    /// Most connections of one address (IPv4 /32, IPv6 /64); 0 until [`Config::settle`], which
    /// makes it three quarters of `connections`.
    pub connections_per_address: u16,
    /// `memory.total`: derive `connections` from it; 0 = as configured.
    pub memory_total_bytes: u64,
    /// listen(2) backlog.
    pub backlog: u16,
    /// SO_RCVBUF of accepted sockets, bytes.
    pub receive_bytes: u32,
    /// SO_SNDBUF of accepted sockets, bytes.
    pub send_bytes: u32,
    /// TCP_LINGER2, seconds, 1 to 60.
    pub linger2_s: u8,
    /// Log level.
    pub log_level: log::LevelFilter,
}

/// Fewer buffers than this are not derived: one burst of a browser takes six.
const BUFFERS_DERIVED_MIN: u16 = 8;

impl Config {
    /// Replaces the zeros that stand for "derived from memory.connections" by their numbers:
    /// `buffers` (a quarter, at least 8, never more than the slots) and `connections_per_address`
    /// (three quarters, at least 1). A [`Setup`] is settled already.
    pub fn settle(&mut self) {
        if self.buffers == 0 {
            self.buffers = (self.connections / 4)
                .max(BUFFERS_DERIVED_MIN)
                .min(self.connections);
        }
        if self.connections_per_address == 0 {
            // Divided first, for 3 x 65,000 does not fit; what that loses is below one in four.
            let rest = (self.connections % 4) * 3 / 4;
            self.connections_per_address = ((self.connections / 4) * 3 + rest).max(1);
        }
    }
}

impl Default for Config {
    /// A small site for one device, reachable from itself only. Not yet settled.
    fn default() -> Self {
        Self {
            listen: vec![Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))],
            root: PathBuf::from("conf/www"),
            index: vec!["index.html".to_owned(), "index.htm".to_owned()],
            symlinks: Symlinks::Within,
            dotfiles: Dotfiles::Hide, // .git, .htpasswd, .env: nobody means to publish them
            precompressed: ["br", "zstd", "gzip"].map(str::to_owned).to_vec(), // smallest first
            limits: Limits::new(),
            connections: 128,   // twenty browsers with six connections each
            buffers: 0,         // derived: most connections are idle or linger, which takes none
            buffer_bytes: 8192, // Apache's and nginx's longest request line
            connections_per_address: 0,
            memory_total_bytes: 0,
            backlog: 16,          // each waiting connection may pin 132 kB
            receive_bytes: 16384, // smaller ones double the cost of a byte
            send_bytes: 16384,    // no loss on a local network; the kernel doubles it
            linger2_s: 5,         // survives two lost packets; 256 bytes per silent peer
            log_level: log::LevelFilter::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_derives_what_is_zero_and_nothing_else() {
        for (connections, buffers, per_address) in [
            (1, 1, 1),
            (4, 4, 3),
            (7, 7, 5),
            (8, 8, 6),
            (32, 8, 24),
            (128, 32, 96),
            (65_000, 16_250, 48_750),
        ] {
            let mut config = Config {
                connections,
                ..Config::default()
            };
            config.settle();
            assert_eq!(
                (config.buffers, config.connections_per_address),
                (buffers, per_address)
            );
            let settled = config.clone();
            config.settle();
            assert_eq!(config, settled);
        }
    }
}
