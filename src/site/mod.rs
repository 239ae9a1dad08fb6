//! A request head becomes an answer.
//!
//! Owns what is served and how it is chosen: the root, the methods, the order of the questions put
//! to a request. It must not read bodies, touch sockets, send bytes or decide on the connection;
//! the caller adds Date, Content-Length and Connection. Invariants: the answer path does not
//! allocate and does not panic; every answer names its status; what is opened for reading is a
//! regular file.

mod mime;
mod path;
mod range;
mod redirect;
mod text;
mod validators;
mod walk;

pub(crate) use validators::http_date;

use crate::config::{Config, StartError, Symlinks};
use crate::connection::head::{Method, Request, Target};
use crate::connection::reply::{Decimal, Reply, Status};
use crate::connection::time::Turn;
use crate::sys::file::{self, Kind};
use path::CleanPath;
use range::Selection;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use validators::{Outcome, Validators};
use walk::{Found, Opened, Refusal, Tree};

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
        if clean.is_directory() {
            return match self.index_of(&clean) {
                Ok((opened, name)) => represent(opened, name, request, turn, reply),
                Err(refusal) => page(reply, refusal.status()),
            };
        }
        match self.tree().open(clean.as_bytes(), b"") {
            Ok(Found::File(opened)) => represent(opened, clean.name(), request, turn, reply),
            Ok(Found::Directory) => redirect::to_directory(path, query, reply),
            Err(refusal) => page(reply, refusal.status()),
        }
    }

    /// The first index file of a directory, and its name. The names are tried before the directory
    /// itself is looked at: where there is an index, and that is nearly always, one way suffices.
    fn index_of(&self, clean: &CleanPath) -> Result<(Opened, &[u8]), Refusal> {
        for name in &self.index {
            match self.tree().open(clean.as_bytes(), name.as_bytes()) {
                Ok(Found::File(opened)) => return Ok((opened, name.as_bytes())),
                Ok(Found::Directory) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        match self.tree().open(clean.as_bytes(), b"")? {
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

/// Answers with a file: preconditions first, then the range (RFC 9110 section 13.2.2).
fn represent(
    opened: Opened,
    name: &[u8],
    request: &Request<'_>,
    turn: &Turn<'_>,
    reply: &mut Reply<'_>,
) -> Content {
    let validators = Validators::new(&opened.stat, turn.wall);
    match validators.check(request) {
        Outcome::Proceed => {}
        Outcome::Failed => return page(reply, Status::PRECONDITION_FAILED),
        Outcome::NotModified => {
            reply.status(Status::NOT_MODIFIED);
            // RFC 9110 section 15.4.5: beside an entity tag, Last-Modified is better left out.
            reply.field("ETag", validators.etag());
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
