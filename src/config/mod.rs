//! The configuration: what the operator asked for, checked.
//!
//! Owns the key table, the parser of values, [`Config`], [`StartError`] and the memory plan. It
//! must not open sockets or files of the site, only its own file. Invariants: every value of a
//! [`Setup`] lies within the bounds of its key, no two contradict each other, and its plan fits
//! `memory.total`.

mod auth;
mod changed;
mod check;
mod descriptors;
mod draft;
mod error;
pub mod fault;
mod field;
pub mod file;
mod key;
pub mod keys;
pub mod listen;
mod logs;
mod mode;
pub mod network;
mod origin;
pub mod pattern;
pub mod plan;
pub mod rules;
mod script;
mod service;
mod site;
pub mod speaks;
pub mod status;
mod target;
mod upload;
pub mod value;
mod written;

pub use auth::{AuthConfig, AuthRule};
pub use changed::{Changes, changed};
pub use descriptors::Descriptors;
pub use draft::{Draft, Setup};
pub use error::{StartError, Text};
pub use listen::{Listen, TcpListen};
pub use logs::{AccessFormat, LogTarget};
pub use mode::Mode;
pub use origin::{Origin, Origins};
pub use plan::{Fixed, Plan, Sizes};
pub use script::{ScriptConfig, ScriptRule};
pub use service::{LISTENERS_MAX, Owner, SANDBOX_BUILT, Sandbox, ServiceConfig};
pub use site::{Coding, Dotfiles, NamedSite, SiteConfig, Symlinks, UnknownHost};
pub use status::StatusConfig;
pub use target::Target;
pub use upload::UploadRule;

use crate::connection::limits::Limits;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

/// Everything that was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where to listen; at least one.
    pub listen: Vec<Listen>,
    /// Listen on addresses that no interface has yet, too.
    pub freebind: bool,
    /// TCP_DEFER_ACCEPT, seconds; 0: who has come is taken in at once.
    pub defer_accept_s: u16,
    /// Permissions of unix sockets.
    pub unix_mode: Mode,
    /// Whose they are, as [`Owner::parse`] takes it; empty: of whoever starts the server.
    pub unix_owner: String,
    /// What a Host gets that no site has.
    pub unknown_host: UnknownHost,
    /// The default site.
    pub site: SiteConfig,
    /// Sites beside it, by Host.
    pub sites: Vec<NamedSite>,
    /// The proxies whose word about their clients is taken.
    pub trusted: network::Networks,
    /// How they say it.
    pub speaks: speaks::Speaks,
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
    /// Files that are kept open for the next request.
    pub cache_files: u16,
    /// Bytes of small ones that are kept with them.
    pub cache_bytes: u32,
    /// SO_RCVBUF of accepted sockets, bytes.
    pub receive_bytes: u32,
    /// SO_SNDBUF of accepted sockets, bytes.
    pub send_bytes: u32,
    /// The most that either may grow to for a transfer that moves, bytes.
    pub large_bytes: u32,
    /// What all of them may have over those sizes, bytes; 0: derived from `connections`.
    pub growth_bytes: u64,
    /// TCP_LINGER2, seconds, 1 to 60.
    pub linger2_s: u8,
    /// How long credentials are believed, and how often they may be wrong.
    pub auth: AuthConfig,
    /// Uploads on their way at the same time.
    pub uploads: u16,
    /// They are answered when they are on their disk.
    pub upload_sync: bool,
    /// What scripts may use.
    pub script: ScriptConfig,
    /// How it lives as a service.
    pub service: ServiceConfig,
    /// Where its status is shown.
    pub status: StatusConfig,
    /// Log level.
    pub log_level: log::LevelFilter,
    /// Where the log goes, as [`LogTarget::parse`] takes it.
    pub log_target: String,
    /// Largest file of it, bytes.
    pub log_target_bytes: u64,
    /// The form of the access log.
    pub access: AccessFormat,
    /// Where that goes, as [`LogTarget::parse`] takes it.
    pub access_target: String,
    /// Largest file of it, bytes.
    pub access_bytes: u64,
}

/// Directories that the kernel looks at for the cache of files, at most.
pub const CACHE_DIRECTORIES: u16 = 64;

/// Fewer buffers than this are not derived: one burst of a browser takes six.
const BUFFERS_DERIVED_MIN: u16 = 8;

/// So much of the room of large buffers is derived for each connection, bytes.
const LARGE_ROOM_SHARE_BYTES: u64 = 16 * 1024;

impl Config {
    /// What the buffers of all transfers that move may have over the usual sizes, bytes; none
    /// where nothing grows.
    #[must_use]
    pub fn large_room_bytes(&self) -> u64 {
        let is_tcp = |listen: &Listen| matches!(listen, Listen::Tcp(_));
        let is_larger = self.large_bytes > self.receive_bytes.min(self.send_bytes);
        match (
            is_larger && self.listen.iter().any(is_tcp),
            self.growth_bytes,
        ) {
            (false, _) => 0,
            (true, 0) => LARGE_ROOM_SHARE_BYTES.saturating_mul(self.connections.into()),
            (true, bytes) => bytes,
        }
    }

    /// Files are kept open for who asks next.
    #[must_use]
    pub fn keeps_files(&self) -> bool {
        self.cache_files > 0 && self.cache_bytes > 0
    }

    /// Directories are listed, by one site at least.
    #[must_use]
    pub fn lists(&self) -> bool {
        self.site.listing || self.sites.iter().any(|named| named.site.listing)
    }

    /// The same, for who is not beneath `service.chroot` yet: directories of sites have their paths
    /// outside.
    #[must_use]
    pub fn seen_from_outside(&self) -> Self {
        let mut config = self.clone();
        let root = Path::new(&self.service.chroot);
        if self.service.chroot.is_empty() {
            return config;
        }
        let named = config.sites.iter_mut().map(|named| &mut named.site);
        for site in named.chain([&mut config.site]) {
            // A relative path is relative to the new root then.
            let outside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
            site.root = outside(&site.root);
            for alias in &mut site.aliases {
                alias.directory = outside(&alias.directory);
            }
        }
        config
    }

    /// Some site lets clients put files.
    #[must_use]
    pub fn takes_uploads(&self) -> bool {
        let named = self.sites.iter().map(|named| &named.site);
        named
            .chain([&self.site])
            .any(|site| !site.uploads.is_empty())
    }

    /// Something is to be started beside the server: scripts, or waiting for a disk.
    #[must_use]
    pub fn needs_starter(&self) -> bool {
        self.runs_scripts() || (self.upload_sync && self.takes_uploads())
    }

    /// A process stays outside of the sandbox, that starts the others.
    #[must_use]
    pub fn needs_maker(&self) -> bool {
        let goes_in = SANDBOX_BUILT && self.service.sandbox != Sandbox::Off;
        goes_in && (self.asks_who() || self.needs_starter())
    }

    /// Places for uploads; none where none are taken. An upload may take its time, and is not
    /// evicted: at most half of the slots, so that others get in.
    #[must_use]
    pub fn upload_places(&self) -> u16 {
        match self.takes_uploads() {
            true => self.uploads.min(self.connections / 2).max(1),
            false => 0,
        }
    }

    /// Places for scripts; none where none are run. Each may hold a buffer for as long as it takes,
    /// so at most a quarter of the buffers.
    #[must_use]
    pub fn script_places(&self) -> u16 {
        match self.runs_scripts() {
            true => self.script.at_once.min(self.buffers / 4).max(1),
            false => 0,
        }
    }

    /// Requests that may wait for such a place, with their buffers: at most a quarter of these.
    #[must_use]
    pub fn script_waiting(&self) -> u16 {
        self.script.waiting.min(self.buffers / 4)
    }

    /// Some request must show credentials, so a helper is needed that looks at them.
    #[must_use]
    pub fn asks_who(&self) -> bool {
        let named = self.sites.iter().map(|named| &named.site);
        named.chain([&self.site]).any(|site| !site.auth.is_empty())
    }

    /// Some request is answered by a script, so a starter is needed.
    #[must_use]
    pub fn runs_scripts(&self) -> bool {
        let named = self.sites.iter().map(|named| &named.site);
        let mut all = named.chain([&self.site]);
        all.any(|site| !site.scripts.is_empty())
    }

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
            listen: vec![Listen::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)))],
            freebind: true, // at boot an address may come after us, and nobody starts us again
            defer_accept_s: 0, // who says nothing gets its 408
            unix_mode: Mode::new(0o660), // a front runs as another user of the same group
            unix_owner: String::new(),
            unknown_host: UnknownHost::Serve,
            site: SiteConfig::default(),
            sites: vec![],
            trusted: network::Networks::default(),
            speaks: speaks::Speaks::XForwardedFor, // what most proxies set
            limits: Limits::new(),
            connections: 128,   // twenty browsers with six connections each
            buffers: 0,         // derived: most connections are idle or linger, which takes none
            buffer_bytes: 8192, // Apache's and nginx's longest request line
            connections_per_address: 0,
            memory_total_bytes: 0,
            backlog: 16,            // each waiting connection may pin 245 kB
            cache_files: 64,        // what a page asks for together
            cache_bytes: 128 << 10, // its small parts
            receive_bytes: 16384,   // smaller ones double the cost of a byte
            send_bytes: 16384,      // no loss on a local network; the kernel doubles it
            large_bytes: 512 << 10, // 100 Mbit/s on a path of 40 ms
            growth_bytes: 0,
            linger2_s: 5, // survives two lost packets; 256 bytes per silent peer
            auth: AuthConfig::default(),
            uploads: 16,        // a family's telephones, two uploads each
            upload_sync: false, // flash takes seconds, and a rename in order suffices mostly
            script: ScriptConfig::default(),
            service: ServiceConfig::default(),
            status: StatusConfig::default(),
            log_level: log::LevelFilter::Info,
            log_target: "stderr".to_owned(),
            log_target_bytes: 256 << 10, // some thousand lines, and nobody comes to take them away
            access: AccessFormat::Off,   // who asks for what is nobody's business unless asked for
            access_target: "stdout".to_owned(),
            access_bytes: 1 << 20, // with the one before it 2 MiB of a tmpfs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_seen_from_outside_of_another_root() {
        let mut config = Config::default();
        assert_eq!(config.seen_from_outside(), config);
        config.service.chroot = "/jail".to_owned();
        for (root, outside) in [("/www", "/jail/www"), ("www", "/jail/www"), ("/", "/jail/")] {
            config.site.root = root.into();
            assert_eq!(config.seen_from_outside().site.root, Path::new(outside));
        }
    }

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
