//! PUT and DELETE: files that clients may change (RFC 9110 sections 9.3.4, 9.3.5 and 14.5).
//!
//! Owns the order of the questions that are put to a change before anything changes, DELETE, and
//! [`Upload`], which stands in a table while a body flows. It must not read a body. Invariants:
//! nothing changes where no rule allows it; a directory is never replaced or removed, nor what is
//! no regular file; nothing is created for a request that is refused.

mod conclude;

pub use conclude::refusal;

use super::asked::Asked;
use super::host::Host;
use super::names::Name;
use super::stage::{self, Stage};
use super::validators::Validators;
use super::walk::{self, Found, Refusal};
use super::work::Place;
use super::{Content, Question, page};
use crate::config::{Dotfiles, UploadRule};
use crate::connection::head::{Framing, Request};
use crate::connection::reply::{Reply, Status};
use crate::sys::change;
use crate::sys::file::{self, Identity, Kind, Stat};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// This build takes uploads.
pub const BUILT: bool = cfg!(feature = "upload");

/// A body is wanted, and this is where it goes. The reply is not written yet.
#[derive(Debug)]
pub struct Store {
    /// The file that the body is written to, with [`Site::store`](super::Site::store). It is locked
    /// for as long as it is open, so it stays open until [`Upload`] is given back.
    pub file: OwnedFd,
    /// The most bytes that may be written.
    pub max_bytes: u64,
    /// What becomes of it.
    pub upload: Upload,
}

/// When to come again where too many uploads are on their way, s.
const BUSY_RETRY_S: u64 = 5;

/// What is known of an upload while its body flows. It is given back to its [`Site`](super::Site),
/// in one way or another: dropped, its file stays until the next start.
#[derive(Debug)]
#[must_use]
pub struct Upload {
    place: Place,
    /// Of the file while it is not whole.
    number: u64,
    /// Where it belongs.
    parent: OwnedFd,
    name: Name,
    /// What had that name when the request came.
    before: Option<State>,
    /// The request has preconditions.
    conditional: bool,
    /// Which further fields of the site its answer has.
    fields: u128,
}

impl Upload {
    /// The directory that the file belongs to, open by name alone.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.parent.as_fd()
    }
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    inode: u64,
    size: u64,
    modified: (i64, u32),
    changed: (i64, u32),
}

impl State {
    const fn of(stat: &Stat) -> Self {
        Self {
            inode: stat.inode,
            size: stat.size,
            modified: (stat.modified_s, stat.modified_ns),
            changed: (stat.changed_s, stat.changed_ns),
        }
    }
}

/// The name that is to be changed, and what has it.
struct Spot<'s> {
    place: Place,
    /// None if the root takes no uploads.
    stage: Option<&'s Stage>,
    parent: OwnedFd,
    name: Name,
    before: Option<Stat>,
}

impl Host {
    /// The rule that allows changes at this path: of several the last.
    fn rule(&self, path: &[u8]) -> Option<&UploadRule> {
        let mut rules = self.uploads.iter();
        rules.rfind(|rule| BUILT && rule.pattern.matches(path))
    }

    /// Files at this path may be put and removed.
    pub(super) fn is_changeable(&self, path: &[u8]) -> bool {
        self.rule(path).is_some()
    }

    /// Answers PUT, up to where the body is wanted. Nothing if no rule is about the path.
    pub(super) fn put(
        &self,
        question: Question<'_>,
        asked: &Asked,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        let rule = self.rule(asked.path())?;
        let store = self.prepare(rule, question, asked);
        Some(store.map_or_else(
            |status| {
                let content = page(reply, status);
                if status == Status::SERVICE_UNAVAILABLE {
                    reply.field_number("Retry-After", BUSY_RETRY_S);
                }
                content
            },
            Content::Store,
        ))
    }

    fn prepare(
        &self,
        rule: &UploadRule,
        question: Question<'_>,
        asked: &Asked,
    ) -> Result<Store, Status> {
        let request = question.request;
        if self.is_out_of_sight(asked) {
            return Err(Status::NOT_FOUND);
        }
        // RFC 9110 section 14.5: taken for the whole, a part would destroy the rest.
        if request.value("Content-Range").is_some() {
            return Err(Status::BAD_REQUEST);
        }
        let most = self.largest_body(asked.path()).unwrap_or(u64::MAX);
        let max_bytes = rule.max_bytes.min(most);
        if matches!(request.verdict.framing, Framing::Length(bytes) if bytes > max_bytes) {
            return Err(Status::CONTENT_TOO_LARGE);
        }
        let spot = self.spot(asked, Status::CONFLICT)?;
        let stage = spot.stage.ok_or(Status::INTERNAL_SERVER_ERROR)?;
        let parent = Identity::of(spot.parent.as_fd()).map_err(|e| obstacle(&e))?;
        if !stage.identity().is_beside(parent) {
            // It could grow there and never move here.
            return Err(Status::INTERNAL_SERVER_ERROR);
        }
        let conditional = spot.permits(question)?;
        if !question.keeps {
            return Err(Status::SERVICE_UNAVAILABLE);
        }
        // Of the directory where uploads grow no client knows anything.
        let (number, file) = stage.create().map_err(|e| match obstacle(&e) {
            Status::CONFLICT => Status::INTERNAL_SERVER_ERROR,
            status => status,
        })?;
        let upload = Upload {
            place: spot.place,
            number,
            parent: spot.parent,
            name: spot.name,
            before: spot.before.as_ref().map(State::of),
            conditional,
            fields: self.marks(asked.path()),
        };
        Ok(Store {
            file,
            max_bytes,
            upload,
        })
    }

    /// Answers DELETE. Nothing if no rule is about the path.
    pub(super) fn delete(
        &self,
        question: Question<'_>,
        asked: &Asked,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        self.rule(asked.path())?;
        Some(match self.remove(question, asked) {
            Ok(()) => {
                reply.status(Status::NO_CONTENT);
                Content::Nothing
            }
            Err(status) => page(reply, status),
        })
    }

    fn remove(&self, question: Question<'_>, asked: &Asked) -> Result<(), Status> {
        if self.is_out_of_sight(asked) {
            return Err(Status::NOT_FOUND);
        }
        let spot = self.spot(asked, Status::NOT_FOUND)?;
        if spot.before.is_none() {
            return Err(Status::NOT_FOUND);
        }
        spot.permits(question)?;
        let name = spot.name.as_c_str().map_err(Refusal::status)?;
        match change::remove(spot.parent.as_fd(), name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Status::NOT_FOUND),
            Err(error) => {
                self.barred.note(spot.parent.as_fd(), &error);
                Err(obstacle(&error))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Nobody is told of such a name.
    fn is_out_of_sight(&self, asked: &Asked) -> bool {
        let mut names = asked.clean.as_bytes().split(|b| *b == b'/');
        let hidden = self.dotfiles == Dotfiles::Hide && asked.clean.is_hidden();
        hidden || names.any(stage::is_reserved)
    }

    /// Where the path leads. `missing` is the answer where its directory does not exist.
    fn spot(&self, asked: &Asked, missing: Status) -> Result<Spot<'_>, Status> {
        if asked.clean.is_directory() {
            return Err(Status::CONFLICT);
        }
        let (root, names) = self.place(asked.clean.as_bytes());
        let slash = names.iter().rposition(|b| *b == b'/');
        let (way, name) = match slash.and_then(|slash| names.split_at_checked(slash)) {
            Some((way, name)) => (way, name.get(1..).unwrap_or_default()),
            None => (&b""[..], names),
        };
        if name.is_empty() {
            // The directory of an alias.
            return Err(Status::CONFLICT);
        }
        let place = Place {
            host: self.number,
            root,
        };
        let number = root;
        let root = self.root_at(root).ok_or(Status::INTERNAL_SERVER_ERROR)?;
        let mut walk = root.tree(self.symlinks).walk();
        // The dot asks for a directory: nothing else has one in it, nor is anything opened.
        match walk.open(way, b".") {
            Ok(Found::Directory) => {}
            Ok(Found::File(_)) | Err(Refusal::Missing) => return Err(missing),
            Err(refusal) => return Err(refusal.status()),
        }
        // A link may lead to where scripts lie.
        if self.is_source_at(number, walk.way(), name) {
            return Err(Status::FORBIDDEN);
        }
        let parent = walk.keep().map_err(Refusal::status)?;
        let name = Name::new(name).map_err(Refusal::status)?;
        let before = present(&parent, &name)?;
        Ok(Spot {
            place,
            stage: root.stage.as_ref(),
            parent,
            name,
            before,
        })
    }
}

impl Spot<'_> {
    /// The directory may be changed, and the preconditions of the request hold; whether it has any.
    fn permits(&self, question: Question<'_>) -> Result<bool, Status> {
        change::may_change(self.parent.as_fd()).map_err(|e| obstacle(&e))?;
        let request: &Request<'_> = question.request;
        let permitted = match &self.before {
            Some(stat) => Validators::new(stat).at(question.turn.wall).permit(request),
            None => Validators::permit_absent(request),
        };
        match permitted {
            true => Ok(Validators::asked_for(request)),
            false => Err(Status::PRECONDITION_FAILED),
        }
    }
}

/// The regular file that has the name; nothing if there is none. All else stays as it is.
fn present(parent: &OwnedFd, name: &Name) -> Result<Option<Stat>, Status> {
    let name = name.as_c_str().map_err(Refusal::status)?;
    match file::stat_at(parent.as_fd(), name) {
        Ok(stat) if stat.kind == Kind::Regular => Ok(Some(stat)),
        Ok(_) => Err(Status::CONFLICT),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(obstacle(&error)),
    }
}

/// The answer when a name cannot be changed.
fn obstacle(error: &io::Error) -> Status {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    if [Kind::StorageFull, Kind::QuotaExceeded, Kind::FileTooLarge].contains(&kind) {
        return Status::INSUFFICIENT_STORAGE;
    }
    if kind == Kind::ReadOnlyFilesystem {
        return Status::FORBIDDEN;
    }
    // Something else has got the name; EBUSY: something is mounted there.
    if [Kind::IsADirectory, Kind::ResourceBusy].contains(&kind) {
        return Status::CONFLICT;
    }
    match walk::refusal(error) {
        // The directory was removed, or the file system cannot hold such a name.
        Refusal::Missing => Status::CONFLICT,
        refusal @ (Refusal::Forbidden | Refusal::Busy | Refusal::Broken) => refusal.status(),
    }
}

// It stands in a table with a place for each upload.
const _: () = assert!(size_of::<Upload>() <= 400);

#[cfg(feature = "upload")]
#[cfg(test)]
mod tests;
