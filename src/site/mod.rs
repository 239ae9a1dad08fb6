//! A request head becomes an answer.
//!
//! Owns what is served and how it is chosen: the sites by Host. It must not read bodies, touch
//! sockets, send bytes or decide on the connection; the caller adds Date, Content-Length and
//! Connection. Invariants: the answer path does not allocate and does not panic; every answer names
//! its status; what is opened for reading is a regular file, or a directory for its names.

mod asked;
mod authority;
pub mod barred;
#[allow(dead_code, reason = "a site asks for passwords next")]
pub(crate) mod basic;
mod built;
pub mod cache;
mod choose;
mod encoding;
mod fetch;
pub(crate) mod forwarded;
mod guard;
mod host;
mod listing;
mod mime;
mod names;
mod parts;
mod path;
mod range;
mod reach;
mod redirect;
mod represent;
mod root;
mod script;
mod stage;
mod stages;
mod status;
mod text;
pub mod upload;
mod validators;
mod walk;
pub(crate) mod work;

pub use reach::{Need, Reach};
pub use script::{Body, Script, ScriptMeans};
pub use upload::{Store, Upload};
pub(crate) use validators::http_date;
pub use work::{Means, Piece, Pieces, Prepared, Work};

use crate::config::status::Form;
use crate::config::{Config, StartError, UnknownHost};
use crate::connection::client::Client;
use crate::connection::head::Request;
use crate::connection::reply::{Reply, Status};
use crate::connection::time::Turn;
use crate::helper::credentials::Credentials;
use asked::Asked;
use cache::{Kept, Known};
use host::Host;
use listing::Shelf;
use parts::Boundaries;
use std::os::fd::OwnedFd;

/// What can be done to every resource here (RFC 9110 section 10.2.1).
const ALLOW: &[u8] = b"GET, HEAD, OPTIONS";
/// What can be done where uploads are allowed.
const ALLOW_CHANGES: &[u8] = b"GET, HEAD, OPTIONS, PUT, DELETE";

/// What follows a reply head that `site` wrote.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request; a box would allocate"
)]
pub enum Content {
    /// Nothing, and no Content-Length (304, or a 204).
    Nothing,
    /// An empty body with `Content-Length: 0`.
    Empty,
    /// The heart's own small page that names the status.
    Page,
    /// A part of a regular file.
    File(FilePart),
    /// Content that is made piece by piece.
    Pieces(Pieces),
    /// Nothing yet: the helper was asked under this number whether credentials are good.
    Later(u32),
    /// Nothing yet: the body is wanted first.
    Store(Store),
    /// Nothing yet: this script answers. Nothing is written to the reply.
    Script(Script),
    /// Nothing yet: a script would answer, but there was no place for one ([`Means::script`]). Ask
    /// again when there is, or say that there is none.
    NoPlace,
    /// Nothing yet: the status in this form, if there is a place for it.
    Status(Form),
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum Source {
    /// In a file that was opened for this answer.
    Own(OwnedFd),
    /// In the cache, for as long as nothing else is asked.
    Kept(Kept),
}

impl Source {
    const fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }
}

/// A part of a regular file.
#[derive(Debug)]
pub struct FilePart {
    /// The file.
    pub source: Source,
    /// First byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// All that is served: the default site, and others by Host.
#[derive(Debug)]
pub struct Site {
    default: Host,
    named: Vec<Host>,
    unknown: UnknownHost,
    boundaries: Boundaries,
    /// Where names of directories are put in order; none if no site lists them.
    shelf: Option<Shelf>,
    /// The path of the request that is being answered.
    asked: Asked,
}

/// What the path of the request that is being answered takes, bytes.
pub const PATH_ROOM_BYTES: usize = size_of::<Asked>();

/// What the shelf of listings takes, bytes.
pub const SHELF_BYTES: usize = Shelf::BYTES;

/// What is asked, and all that is known about it.
#[derive(Clone, Copy, Debug)]
struct Question<'q> {
    request: &'q Request<'q>,
    client: &'q Client,
    /// An answer in pieces can be given.
    pieces: bool,
    /// A body can be kept.
    keeps: bool,
    boundaries: &'q Boundaries,
    shelf: Option<&'q Shelf>,
    turn: &'q Turn<'q>,
}

/// What is served under a name: the file itself or, in a coding, one beside it.
struct Chosen<'k> {
    source: Source,
    known: &'k Known,
    /// The front of its head when it is sent whole, if that is known.
    front: &'k [u8],
}

impl Site {
    /// Opens the directories and keeps them open: a site is the directory that had its name at
    /// start.
    ///
    /// # Errors
    ///
    /// As [`Site::check`] and [`Site::furnish`].
    pub fn new(config: &Config) -> Result<Self, StartError> {
        Self::check(config)?.furnish()
    }

    /// Makes of one that was checked one that takes uploads.
    ///
    /// # Errors
    ///
    /// The directories where uploads grow cannot be made.
    pub fn furnish(mut self) -> Result<Self, StartError> {
        for host in [&mut self.default].into_iter().chain(&mut self.named) {
            host.open_stages()?;
        }
        // Sites may share directories: what is one's to hide is everybody's.
        let hosts = [&self.default].into_iter().chain(&self.named);
        let hidden: Vec<_> = hosts.flat_map(Host::stages).collect();
        for host in [&mut self.default].into_iter().chain(&mut self.named) {
            host.hide(&hidden);
        }
        Ok(self)
    }

    /// The same without making anything, to see whether it could be: as such it takes no uploads.
    ///
    /// # Errors
    /// A directory is missing, none, or may not be searched; passwords, scripts, uploads,
    /// listings or the status, in a build without them.
    pub fn check(config: &Config) -> Result<Self, StartError> {
        built::check(config)?;
        crate::config::status::built(config, crate::config::status::BUILT)?;
        Self::open(config)
    }

    /// The same in every build.
    fn open(config: &Config) -> Result<Self, StartError> {
        let named = config.sites.iter().zip(1..).map(|(named, number)| {
            let section = format!("sites.{}", named.name);
            Host::new(&named.site, &section, number, config)
        });
        Ok(Self {
            default: Host::new(&config.site, "site", 0, config)?,
            named: named.collect::<Result<_, _>>()?,
            shelf: (listing::BUILT && config.lists()).then(Shelf::new),
            unknown: config.unknown_host,
            boundaries: Boundaries::new(),
            asked: Asked::new(),
        })
    }

    /// Writes the status and the fields of the answer and says what follows them.
    ///
    /// `client` is who the request comes from, as far as is known.
    /// A HEAD gets what a GET would get; that its content is not sent is up to the caller.
    pub fn answer(
        &mut self,
        request: &Request<'_>,
        client: &Client,
        means: Means<'_>,
        credentials: &mut Credentials,
        turn: &Turn<'_>,
        reply: &mut Reply<'_>,
    ) -> Content {
        let question = Question {
            request,
            client,
            pieces: means.work,
            keeps: means.upload,
            boundaries: &self.boundaries,
            shelf: self.shelf.as_ref(),
            turn,
        };
        if means.of_status {
            return status::of_socket(request, reply);
        }
        let (named, default) = (self.named.as_slice(), &self.default);
        match host(named, default, self.unknown, request.host) {
            Some(host) => host.answer(question, means, credentials, &mut self.asked, reply),
            // RFC 9110 section 15.5.20: another server may have it.
            None => self.default.misdirected(reply),
        }
    }
}

/// Whose name this is; `None` if nobody's, and that matters. HTTP/1.0 may have none at all. Who
/// calls itself so word for word is meant before who does with a star, whatever the order.
fn host<'s>(
    named: &'s [Host],
    default: &'s Host,
    unknown: UnknownHost,
    authority: &[u8],
) -> Option<&'s Host> {
    if named.is_empty() && unknown == UnknownHost::Serve {
        return Some(default); // whatever it is called
    }
    let name = authority::name(authority);
    let all = named.iter().chain([default]);
    let called = all.filter_map(|host| Some((host.likeness(name)?, host)));
    let most = called.max_by_key(|(likeness, _)| *likeness);
    most.map(|(_, host)| host).or_else(|| {
        let own = unknown == UnknownHost::Serve || name.is_empty() || authority::is_address(name);
        own.then_some(default)
    })
}

/// An answer that is nothing but its status.
fn page(reply: &mut Reply<'_>, status: Status) -> Content {
    reply.status(status);
    Content::Page
}

#[cfg(test)]
mod tests;
