//! A request head becomes an answer.
//!
//! Owns what is served and how it is chosen: the root, the methods, the order of the questions put
//! to a request. It must not read bodies, touch sockets, send bytes or decide on the connection;
//! the caller adds Date, Content-Length and Connection. Invariants: the answer path does not
//! allocate and does not panic; every answer names its status; what is opened for reading is a
//! regular file.

mod encoding;
mod mime;
mod names;
mod path;
mod range;
mod redirect;
mod text;
mod validators;
mod walk;

pub(crate) use validators::http_date;

use crate::config::{Coding, Config, Dotfiles, StartError, Symlinks};
use crate::connection::head::{Method, Request, Target};
use crate::connection::reply::{Decimal, Reply, Status};
use crate::connection::time::Turn;
use crate::sys::file::{self, Kind};
use encoding::{Accepted, Codings};
use path::CleanPath;
use range::Selection;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use validators::{Outcome, Validators};
use walk::{Found, Opened, Refusal, Tree, Walk};

/// What can be done to every resource here (RFC 9110 section 10.2.1).
const ALLOW: &[u8] = b"GET, HEAD, OPTIONS";

/// What follows a reply head that `site` wrote.
#[derive(Debug)]
pub enum Content {
    /// Nothing, and no Content-Length (304, or a 204).
    Nothing,
    /// An empty body with `Content-Length: 0`.
    Empty,
    /// The heart's own small page that names the status.
    Page,
    /// A part of a regular file.
    File(FilePart),
}

/// A part of an open regular file.
#[derive(Debug)]
pub struct FilePart {
    /// The file.
    pub file: OwnedFd,
    /// First byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}

/// The site: a directory and how it is shown.
#[derive(Debug)]
pub struct Site {
    root: OwnedFd,
    canonical: Vec<u8>,
    index: Vec<String>,
    symlinks: Symlinks,
    dotfiles: Dotfiles,
    codings: Codings,
}

/// What is served under a name: the file itself or, in a coding, one beside it.
struct Chosen {
    opened: Opened,
    coding: Option<Coding>,
    /// There is more than one to choose from.
    varies: bool,
}

impl Site {
    /// Opens the root and keeps it open: the site is the directory that had this name at start.
    ///
    /// # Errors
    ///
    /// The root is missing, no directory, or may not be searched.
    pub fn new(config: &Config) -> Result<Self, StartError> {
        let fault = |reason: String| StartError {
            what: format!("cannot serve {}: {reason}", config.root.display()),
            place: "site.root".to_owned(),
            cure:
                "name a directory that the server's user can enter, in the configuration or with -d"
                    .to_owned(),
            code: 1,
        };
        let failed = |error: io::Error| fault(error.to_string());
        let root = file::open_root(&config.root).map_err(failed)?;
        if !matches!(
            file::stat(root.as_fd()).map_err(failed)?.kind,
            Kind::Directory
        ) {
            return Err(fault("not a directory".to_owned()));
        }
        // O_PATH asks for no permission; looking up a name does.
        file::stat_at(root.as_fd(), c".").map_err(failed)?;
        let mut canonical = config
            .root
            .canonicalize()
            .map_err(failed)?
            .as_os_str()
            .as_bytes()
            .to_vec();
        if canonical.ends_with(b"/") {
            canonical.pop();
        }
        Ok(Self {
            root,
            canonical,
            index: config.index.clone(),
            symlinks: config.symlinks,
            dotfiles: config.dotfiles,
            codings: encoding::configured(&config.precompressed),
        })
    }

    /// Writes the status and the fields of the answer and says what follows them.
    ///
    /// A HEAD gets what a GET would get; that its content is not sent is up to the caller.
    pub fn answer(
        &mut self,
        request: &Request<'_>,
        turn: &Turn<'_>,
        reply: &mut Reply<'_>,
    ) -> Content {
        match request.method {
            Method::Get | Method::Head => self.fetch(request, turn, reply),
            Method::Options => {
                reply.status(Status::OK);
                reply.field("Allow", ALLOW);
                Content::Empty
            }
            Method::Post
            | Method::Put
            | Method::Delete
            | Method::Patch
            | Method::Trace
            | Method::Connect => {
                reply.status(Status::METHOD_NOT_ALLOWED);
                reply.field("Allow", ALLOW);
                Content::Page
            }
            Method::Other => page(reply, Status::NOT_IMPLEMENTED),
        }
    }

    fn fetch(&self, request: &Request<'_>, turn: &Turn<'_>, reply: &mut Reply<'_>) -> Content {
        let Target::Path { path, query } = request.target else {
            return page(reply, Status::BAD_REQUEST);
        };
        let clean = match CleanPath::parse(path) {
            Ok(clean) => clean,
            Err(fault) => return page(reply, fault.status()),
        };
        if self.dotfiles == Dotfiles::Hide && clean.is_hidden() {
            return page(reply, Status::NOT_FOUND);
        }
        let mut walk = self.tree().walk();
        let found = if clean.is_directory() {
            self.index_of(&clean, &mut walk)
        } else {
            match walk.open(clean.as_bytes(), b"") {
                Ok(Found::File(opened)) => Ok((opened, clean.name())),
                Ok(Found::Directory) => return redirect::to_directory(path, query, reply),
                Err(refusal) => Err(refusal),
            }
        };
        match found {
            Ok((opened, name)) => {
                let chosen = self.choose(opened, name, &walk, request);
                represent(chosen, name, request, turn, reply)
            }
            Err(refusal) => page(reply, refusal.status()),
        }
    }

    /// The representation of the file at the end of `walk` that the client wants most (RFC 9110
    /// section 12.1).
    ///
    /// Siblings are looked for whatever the client takes, for Vary must stand in every answer as
    /// soon as one could differ. A file without any costs one failed statx for each coding, three
    /// by default; one that has the coding wanted most costs statx, openat, statx and close. A
    /// sibling that is older than the original is left over from another one.
    fn choose(&self, own: Opened, name: &[u8], walk: &Walk<'_>, request: &Request<'_>) -> Chosen {
        let mut varies = false;
        if !encoding::is_coded(name) {
            let accepted = Accepted::of(request);
            for coding in accepted.order(self.codings) {
                let sibling = walk.sibling(encoding::suffix(coding));
                let Some(opened) = sibling.filter(|s| age(s) >= age(&own)) else {
                    continue;
                };
                varies = true;
                if accepted.weight(coding) > 0 {
                    let coding = Some(coding);
                    return Chosen {
                        opened,
                        coding,
                        varies,
                    };
                }
                break; // those behind it are wanted as little
            }
        }
        // Also with `identity;q=0`: RFC 9110 section 12.5.3 lets a server disregard the field, and
        // a client that gets its bytes is better off than one with a 406 that it cannot use.
        Chosen {
            opened: own,
            coding: None,
            varies,
        }
    }

    /// The first index file of a directory, and its name. The names are tried before the directory
    /// itself is looked at: where there is an index, and that is nearly always, one way suffices.
    fn index_of(&self, clean: &CleanPath, walk: &mut Walk<'_>) -> Result<(Opened, &[u8]), Refusal> {
        let hides = self.dotfiles == Dotfiles::Hide;
        for name in &self.index {
            if hides && path::is_hidden_name(name.as_bytes()) {
                continue;
            }
            match walk.open(clean.as_bytes(), name.as_bytes()) {
                Ok(Found::File(opened)) => return Ok((opened, name.as_bytes())),
                Ok(Found::Directory) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        match walk.open(clean.as_bytes(), b"")? {
            // There is something, but nothing that may be shown: adieu does not list directories.
            Found::Directory => Err(Refusal::Forbidden),
            // A regular file has no directory form.
            Found::File(_) => Err(Refusal::Missing),
        }
    }

    fn tree(&self) -> Tree<'_> {
        Tree {
            root: self.root.as_fd(),
            canonical: &self.canonical,
            symlinks: self.symlinks,
        }
    }
}

/// An answer that is nothing but its status.
fn page(reply: &mut Reply<'_>, status: Status) -> Content {
    reply.status(status);
    Content::Page
}

/// When the bytes of a file last changed.
fn age(opened: &Opened) -> (i64, u32) {
    (opened.stat.modified_s, opened.stat.modified_ns)
}

/// Answers with a file: preconditions first, then the range (RFC 9110 section 13.2.2).
fn represent(
    chosen: Chosen,
    name: &[u8],
    request: &Request<'_>,
    turn: &Turn<'_>,
    reply: &mut Reply<'_>,
) -> Content {
    let Chosen {
        opened,
        coding,
        varies,
    } = chosen;
    let validators = Validators::new(&opened.stat, turn.wall);
    match validators.check(request) {
        Outcome::Proceed => {}
        Outcome::Failed => return page(reply, Status::PRECONDITION_FAILED),
        Outcome::NotModified => {
            reply.status(Status::NOT_MODIFIED);
            // RFC 9110 section 15.4.5: beside an entity tag, Last-Modified is better left out.
            reply.field("ETag", validators.etag());
            vary(varies, reply);
            return Content::Nothing;
        }
    }
    let size = opened.stat.size;
    let total = Decimal::new(size);
    let (offset, length) = match wanted(request, &validators, size) {
        Selection::Whole => {
            reply.status(Status::OK);
            (0, size)
        }
        Selection::Part { first, length } => {
            reply.status(Status::PARTIAL_CONTENT);
            let last = Decimal::new(first.saturating_add(length).saturating_sub(1));
            let (first_digits, slash) = (Decimal::new(first), b"/");
            reply.field_parts(
                "Content-Range",
                &[
                    b"bytes ",
                    first_digits.as_bytes(),
                    b"-",
                    last.as_bytes(),
                    slash,
                    total.as_bytes(),
                ],
            );
            (first, length)
        }
        Selection::Unsatisfiable => {
            reply.status(Status::RANGE_NOT_SATISFIABLE);
            reply.field_parts("Content-Range", &[b"bytes */", total.as_bytes()]);
            return Content::Page;
        }
    };
    reply.field("Content-Type", mime::of_name(name).as_bytes());
    if let Some(coding) = coding {
        reply.field("Content-Encoding", coding.name().as_bytes());
    }
    vary(varies, reply);
    reply.field("ETag", validators.etag());
    if let Some(date) = validators.last_modified() {
        reply.field("Last-Modified", date);
    }
    reply.field("Accept-Ranges", b"bytes");
    Content::File(FilePart {
        file: opened.file,
        offset,
        length,
    })
}

/// Tells caches that another client may get another representation (RFC 9110 section 12.5.5).
fn vary(varies: bool, reply: &mut Reply<'_>) {
    if varies {
        reply.field("Vary", b"Accept-Encoding");
    }
}

/// What of the file is asked for. Range has a meaning for GET only (RFC 9110 section 14.2); given
/// twice it has none.
fn wanted(request: &Request<'_>, validators: &Validators, size: u64) -> Selection {
    let mut ranges = request.values("Range");
    match (ranges.next(), ranges.next()) {
        (Some(value), None)
            if matches!(request.method, Method::Get) && validators.range_applies(request) =>
        {
            range::select(value, size)
        }
        _ => Selection::Whole,
    }
}

#[cfg(test)]
mod tests;
