//! Uploads on their way: bodies that flow into a file until it is whole.
//!
//! Owns the way of a body from its socket to the site, and of the answer that follows. It must not
//! name a file or decide what may be changed: the site does. Invariants: a slot has a place here
//! exactly while its state is Store; whatever ends that state gives the upload back to the site
//! that made it; no byte is received here that is not written, or refused, in the same call.

use super::Reactor;
use super::answer::{begun, content_of};
use super::drive::{Budget, Step};
use super::net::{Net, Side};
use super::passing::Passed;
use super::places::Place;
use super::slots::Slot;
use crate::config::Config;
use crate::connection::reason::Reject;
use crate::connection::reply::Status;
use crate::connection::time::{Ms, Turn};
use crate::site::upload::refusal;
use crate::site::{Store, Upload};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

/// How much of a body is received before it is written: four times a usual receive buffer.
pub(super) const THROUGH_BYTES: usize = 64 * 1024;

/// How often it is told that an upload could not be written, ms.
const FULL_MS: u32 = 10_000;
/// EIO: what is said of a disk that nobody asks any more.
const EIO: u8 = 5;

/// An upload on its way.
#[derive(Debug)]
pub(super) struct Kept {
    upload: Upload,
    durable: Durable,
}

/// What of it is on its disk, where that is waited for (`upload.sync`): first the file, then its
/// name, so that a power cut leaves the old file or the new one.
#[derive(Clone, Copy, Debug)]
enum Durable {
    /// Nothing, or nobody asks.
    New,
    /// The file is on its way there; under this ticket somebody waits for it.
    FileAsked(u32),
    /// It is there.
    File,
    /// It has its name, in the place of another file or not, and that is on its way there.
    DirectoryAsked(u32, bool),
    /// That is there too.
    Directory(bool),
    /// The disk has failed.
    Failed(Status),
}

impl Durable {
    const fn asked(self) -> Option<u32> {
        match self {
            Self::FileAsked(ticket) | Self::DirectoryAsked(ticket, _) => Some(ticket),
            Self::New | Self::File | Self::Directory(_) | Self::Failed(_) => None,
        }
    }

    /// What was asked for has come to this end.
    fn after(self, code: u8) -> Self {
        match (self, code) {
            (Self::FileAsked(_), 0) => Self::File,
            (Self::DirectoryAsked(_, replaced), 0) => Self::Directory(replaced),
            (Self::FileAsked(_) | Self::DirectoryAsked(..), code) => {
                Self::Failed(refusal(&io::Error::from_raw_os_error(code.into())))
            }
            (Self::New | Self::File | Self::Directory(_) | Self::Failed(_), _) => self,
        }
    }
}

/// How an upload ends.
enum End {
    /// The file has its name, in the place of another or not; or it was refused one.
    Named(Result<bool, Status>),
    /// Its body is not kept any further.
    Refused(Status),
}

/// The room through which bodies flow; none if no body is kept.
pub(super) fn room(config: &Config) -> Vec<u8> {
    let bytes = if config.takes_uploads() {
        THROUGH_BYTES
    } else {
        0
    };
    vec![0; bytes]
}

impl<N: Net> Reactor<N> {
    /// Makes room for uploads where a new configuration takes the first ones.
    pub(super) fn prepare_uploads(&mut self) {
        if self.uploads.count() == 0 {
            let (count, slots) = (self.config.upload_places(), self.config.connections);
            self.uploads = super::Places::new(count, self.per_address, slots);
        }
        if self.through.is_empty() {
            self.through = room(&self.config);
        }
    }

    /// The body of this request will be kept: what it is kept in stays with the slot.
    pub(super) fn begin_upload(&mut self, index: u16, store: Store, turn: &Turn<'_>) {
        let epoch = self.sites.epoch();
        let mut kept = Some(Kept {
            upload: store.upload,
            durable: Durable::New,
        });
        if let Some(slot) = self.slots.get_mut(index) {
            let at = self.uploads.put(&mut kept, slot.counted, epoch);
            slot.holds = at.map(Place::Upload);
            slot.file = Some(store.file);
            slot.offset = 0;
        }
        if let Some(kept) = kept {
            debug_assert!(false, "an upload without a place");
            self.sites.current().abandon(kept.upload);
            if let Some(slot) = self.slots.get_mut(index) {
                slot.connection.broken(turn);
            }
        }
    }

    /// Keeps what stands in the input.
    pub(super) fn store(&mut self, index: u16, budget: &mut Budget, turn: &Turn<'_>) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let Some(buffer) = slot.buffer else { return };
        let (input, _) = self.buffers.halves(buffer);
        if let Some(at) = slot.script() {
            budget.spend(self.spool(index, at, turn));
            return;
        }
        let content = slot.connection.content(input);
        let upload = slot.upload().and_then(|at| self.uploads.get_mut(at));
        let site = upload.and_then(|(upload, epoch)| Some((upload, self.sites.of(epoch)?)));
        let written = match (site, &slot.file) {
            (Some((kept, site)), Some(file)) => {
                site.store(&mut kept.upload, file.as_fd(), slot.offset, content)
            }
            (_, _) => Err(ErrorKind::NotFound.into()),
        };
        match written {
            Ok(n) => {
                budget.spend(n);
                slot.advance(n);
                slot.connection.stored(n, input, turn);
            }
            Err(error) => self.refuse_upload(index, &error, turn),
        }
    }

    /// Receives a part of a body and keeps it, in one go.
    pub(super) fn store_unseen(
        &mut self,
        index: u16,
        max: u64,
        budget: &mut Budget,
        turn: &Turn<'_>,
    ) -> Step {
        let Some(slot) = self.slots.get_mut(index) else {
            return Step::Blocked;
        };
        let most = usize::try_from(max).unwrap_or(usize::MAX).min(budget.bytes);
        let passed = match &slot.file {
            Some(file) => self.net.pass(&slot.socket, file.as_fd(), slot.offset, most),
            None => None,
        };
        let received = match passed {
            Some(received) => received.inspect(|passed| slot.advance(passed.came)),
            None => self.copy(index, most),
        };
        match received {
            Ok(Passed { came: 0, .. }) => self.read_eof(index, turn),
            Ok(Passed { came: n, kept }) => {
                budget.spend(n);
                if let Some(slot) = self.slots.get_mut(index) {
                    let bytes = u64::try_from(n).unwrap_or(u64::MAX);
                    slot.connection.stored_unseen(bytes, turn);
                }
                self.moved(index, Side::Receive, n, turn);
                if let Err(error) = kept {
                    self.refuse_upload(index, &error, turn);
                }
            }
            Err(error) => self.read_failed(index, &error, turn),
        }
        Step::Moved
    }

    /// Receives a part of a body into the room, and writes it from there.
    fn copy(&mut self, index: u16, most: usize) -> io::Result<Passed> {
        let slot = self.slots.get_mut(index).ok_or(ErrorKind::NotFound)?;
        let asked = most.min(self.through.len());
        let room = self.through.get_mut(..asked).unwrap_or_default();
        let came = self.net.receive(&slot.socket, room)?;
        if 0 < came && came < asked && !slot.ready.closed {
            slot.ready.read = false;
        }
        let kept = self.keep(index, came);
        Ok(Passed { came, kept })
    }

    /// Writes the first `n` bytes of what was received.
    fn keep(&mut self, index: u16, n: usize) -> io::Result<()> {
        let gone = || io::Error::from(ErrorKind::NotFound);
        let slot = self.slots.get_mut(index).ok_or_else(gone)?;
        let at = slot.upload().ok_or_else(gone)?;
        let (kept, epoch) = self.uploads.get_mut(at).ok_or_else(gone)?;
        let site = self.sites.of(epoch).ok_or_else(gone)?;
        let file = slot.file.as_ref().ok_or_else(gone)?;
        let mut bytes = self.through.get(..n).unwrap_or_default();
        while !bytes.is_empty() {
            let written = site.store(&mut kept.upload, file.as_fd(), slot.offset, bytes)?;
            slot.offset = slot
                .offset
                .saturating_add(u64::try_from(written).unwrap_or(0));
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    /// The body is there: the file gets its name, and the client its answer, at once or when the
    /// disk has both.
    pub(super) fn conclude(&mut self, index: u16, turn: &Turn<'_>) -> Step {
        let Some(slot) = self.slots.get(index) else {
            return Step::Blocked;
        };
        if let Some(at) = slot.script() {
            self.start_spooled(index, at, turn);
            return Step::Moved;
        }
        let kept = slot.upload().and_then(|at| self.uploads.get_mut(at));
        let (Some((kept, epoch)), Some(file)) = (kept, &slot.file) else {
            return Step::Blocked;
        };
        let waits = self.config.upload_sync;
        self.cache.clear(); // it has the file of before
        let named = match kept.durable {
            Durable::FileAsked(_) | Durable::DirectoryAsked(..) => return Step::Blocked,
            Durable::New if waits => match self.scripts.sync(file.as_fd()) {
                Ok(ticket) => {
                    kept.durable = Durable::FileAsked(ticket);
                    return Step::Blocked;
                }
                Err(status) => Err(status),
            },
            Durable::New | Durable::File => match self.sites.of(epoch) {
                Some(site) => site.name(&kept.upload, file),
                None => Err(Status::INTERNAL_SERVER_ERROR),
            },
            Durable::Failed(status) => Err(status),
            Durable::Directory(replaced) => Ok(replaced),
        };
        if let (Durable::File, Ok(replaced)) = (kept.durable, named) {
            match self.scripts.sync(kept.upload.directory()) {
                Ok(ticket) => {
                    kept.durable = Durable::DirectoryAsked(ticket, replaced);
                    return Step::Blocked;
                }
                Err(status) => log::warn!("an upload may not be on its disk: {}", status.code()),
            }
        }
        self.end_upload(index, End::Named(named), turn);
        Step::Moved
    }

    /// A file or a directory is on its disk, or cannot be brought there: code 0, or the errno.
    pub(super) fn synced(&mut self, ticket: u32, code: u8, turn: &Turn<'_>) {
        let slots = self.slots.iter();
        let uploads = slots.filter_map(|(index, slot)| Some((index, slot.upload()?)));
        let mut found = None;
        for (index, at) in uploads {
            let Some((kept, _)) = self.uploads.get_mut(at) else {
                continue;
            };
            if kept.durable.asked() == Some(ticket) {
                kept.durable = kept.durable.after(code);
                found = Some(index);
            }
        }
        if code != 0 {
            log::warn!("an upload could not be brought to its disk: error {code}");
        }
        if let Some(index) = found {
            self.drive(index, turn);
        }
    }

    /// Nobody brings files to their disk any more.
    pub(super) fn nothing_is_synced(&mut self, turn: &Turn<'_>) {
        for index in self.slots.indices() {
            let at = self.slots.get(index).and_then(Slot::upload);
            let kept = at.and_then(|at| self.uploads.get_mut(at));
            if let Some(ticket) = kept.and_then(|(kept, _)| kept.durable.asked()) {
                self.synced(ticket, EIO, turn);
            }
        }
    }

    /// The body cannot be written: the client hears that now, however much of it is to come.
    fn refuse_upload(&mut self, index: u16, error: &io::Error, turn: &Turn<'_>) {
        // On a full disk every client could fill the log as well.
        if turn.now >= self.full_told.after(FULL_MS) || self.full_told == Ms(0) {
            self.full_told = turn.now;
            log::warn!("an upload could not be written: {error}");
        }
        if self.secure_buffer(index, turn) {
            self.end_upload(index, End::Refused(refusal(error)), turn);
        } else if let Some(slot) = self.slots.get_mut(index) {
            let reject = match refusal(error) {
                Status::INSUFFICIENT_STORAGE => Reject::StorageFull,
                _ => Reject::Internal,
            };
            slot.connection.refuse_store(reject, turn);
        }
    }

    /// Takes the upload of a slot out. Its file is locked no longer.
    fn take_upload(&mut self, index: u16) -> Option<(Upload, u16)> {
        let slot = self.slots.get_mut(index)?;
        let at = slot.upload()?;
        slot.holds = None;
        slot.file = None;
        let (kept, epoch) = self.uploads.take(at)?;
        Some((kept.upload, epoch))
    }

    /// Answers at the end of an upload.
    fn end_upload(&mut self, index: u16, end: End, turn: &Turn<'_>) {
        let Some((upload, epoch)) = self.take_upload(index) else {
            return;
        };
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        let (Some(buffer), Some(site)) = (slot.buffer, self.sites.of(epoch)) else {
            slot.connection.broken(turn); // cannot be: both are held for it
            return;
        };
        let (input, output) = self.buffers.halves(buffer);
        let mut reply = slot.connection.reply(output);
        let made = match end {
            End::Refused(status) => site.refuse(upload, status, &mut reply),
            End::Named(named) => site.conclude(upload, named, &mut reply),
        };
        let content = content_of(&made);
        let taken = slot.connection.concluded(reply, content, input, turn);
        if let (Some(begun), Some(access)) = (begun(&taken), &mut self.access) {
            access.replace(index, begun);
        }
        self.count(&taken);
        self.look_at_refusal(&taken, epoch, turn.now);
        self.follow(index, made, taken, turn);
        self.forget_site_of(epoch);
    }

    /// Nobody is there any more for whom it could be finished.
    pub(super) fn abandon_upload(&mut self, at: u16) {
        let Some((kept, epoch)) = self.uploads.take(at) else {
            return;
        };
        self.counters.abandon_upload();
        if let Some(site) = self.sites.of(epoch) {
            site.abandon(kept.upload);
        }
        self.forget_site_of(epoch);
    }

    /// Something of this epoch is done: its site may not be needed any more.
    pub(super) fn forget_site_of(&mut self, epoch: u16) {
        if epoch != self.sites.epoch() {
            self.forget_sites();
        }
    }
}
