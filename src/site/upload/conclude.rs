//! The end of an upload: the file appears whole, or not at all.
//!
//! Owns the second look at what the name stands for, the rename, and the answer to both. It must
//! not create anything. Invariants: what is not given its name is removed; a file gets its name
//! only beneath the root that it was meant for; nothing allocates.

use super::super::host::Host;
use super::super::walk::Refusal;
use super::super::work::Place;
use super::super::{Content, Site, page};
use super::{State, Upload, obstacle, present};
use crate::connection::reply::{Reply, Status};
use crate::sys::change;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The answer when the body could not be written: 507 if there is no room, else 500.
#[must_use]
pub fn refusal(error: &io::Error) -> Status {
    match obstacle(error) {
        Status::INSUFFICIENT_STORAGE => Status::INSUFFICIENT_STORAGE,
        _ => Status::INTERNAL_SERVER_ERROR,
    }
}

impl Site {
    /// Writes a part of a body that belongs at `offset`: how many bytes of it, at least one.
    ///
    /// # Errors
    /// As write(2). [`refusal`] is the answer then, and [`Site::refuse`] gives it.
    pub fn store(
        &self,
        _upload: &mut Upload,
        file: BorrowedFd<'_>,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<usize> {
        change::write_at(file, bytes, offset)
    }

    /// The body is whole: the file gets its name; whether another one had it. If not, the answer
    /// says why, and the file is removed.
    ///
    /// # Errors
    /// The status of the answer.
    pub fn name(&self, upload: &Upload, file: &OwnedFd) -> Result<bool, Status> {
        let host = self.host_at(upload.place);
        let host = host.ok_or(Status::INTERNAL_SERVER_ERROR)?;
        host.rename(upload, file)
            .inspect_err(|_| host.abandon(upload))
    }

    /// The answer to an upload that was given its name, or was not.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is of no use to anybody afterwards"
    )]
    pub fn conclude(
        &self,
        upload: Upload,
        named: Result<bool, Status>,
        reply: &mut Reply<'_>,
    ) -> Content {
        let content = match named {
            Ok(true) => {
                reply.status(Status::NO_CONTENT);
                Content::Nothing
            }
            Ok(false) => {
                reply.status(Status::CREATED);
                Content::Empty
            }
            Err(status) => page(reply, status),
        };
        match self.host_at(upload.place) {
            Some(host) => host.finish(content, upload.fields, reply),
            None => content,
        }
    }

    /// The upload is given up and this is the answer.
    pub fn refuse(&self, upload: Upload, status: Status, reply: &mut Reply<'_>) -> Content {
        let content = page(reply, status);
        match self.host_at(upload.place) {
            Some(host) => {
                host.abandon(&upload);
                host.finish(content, upload.fields, reply)
            }
            None => content,
        }
    }

    /// The upload is given up and nobody is there to be told.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "it is of no use to anybody afterwards"
    )]
    pub fn abandon(&self, upload: Upload) {
        if let Some(host) = self.host_at(upload.place) {
            host.abandon(&upload);
        }
    }

    fn host_at(&self, place: Place) -> Option<&Host> {
        match place.host.checked_sub(1) {
            None => Some(&self.default),
            Some(n) => self.named.get(usize::from(n)),
        }
    }
}

impl Host {
    /// Gives the file its name; whether another one had it.
    fn rename(&self, upload: &Upload, file: &OwnedFd) -> Result<bool, Status> {
        let broken = Status::INTERNAL_SERVER_ERROR;
        let root = self.root_at(upload.place.root).ok_or(broken)?;
        let stage = root.stage.as_ref().ok_or(broken)?;
        // Of another site than the one that made it, or removed meanwhile.
        if !stage.holds(upload.number, file.as_fd()) {
            return Err(broken);
        }
        let parent = upload.parent.as_fd();
        // A body takes long enough for somebody to move the directory.
        let beneath = root.tree(self.symlinks).holds(parent);
        if !beneath.map_err(Refusal::status)? {
            return Err(Status::CONFLICT);
        }
        let now = present(&upload.parent, &upload.name)?;
        let state = now.as_ref().map(State::of);
        if upload.conditional && state != upload.before {
            return Err(Status::PRECONDITION_FAILED);
        }
        let name = upload.name.as_c_str().map_err(Refusal::status)?;
        let named = stage.release(upload.number, parent, name);
        named.map_err(|e| {
            self.barred.note(parent, &e);
            obstacle(&e)
        })?;
        Ok(now.is_some())
    }

    fn abandon(&self, upload: &Upload) {
        let root = self.root_at(upload.place.root);
        if let Some(stage) = root.and_then(|root| root.stage.as_ref()) {
            stage.remove(upload.number);
        }
    }
}
