//! Who removes the files of a start that fails when the server may not any more.
//!
//! Owns a process that stands by while a server starts that is about to lose the right to remove
//! what it has made: by becoming another user, or in its sandbox. It must not do anything else, nor
//! be there once the server serves. Invariants: it ends with the start, however that ends; it is
//! what the server was, so it removes what the server could have removed, and no file that another
//! has put there since. Where there is no room for it the start goes on without.

use super::pidfile::{Pidfile, sweep};
use crate::reactor::socket_files::SocketFiles;
use crate::sys::process::{self, Fork, Pid};
use crate::sys::{poll, signal};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What ps(1) calls it.
const NAME: &std::ffi::CStr = c"adieu-remover";
/// Its code.
const DONE: u8 = 0;
/// The server serves.
const KEEP: u8 = 1;
/// It removes a few files; a disk that does not answer is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks for its end, a millisecond each, when it has let go of everything.
const LOOKS: u32 = 1000;

/// The process, if there is one. Dropped before it is told to keep them, the files are removed.
#[derive(Debug, Default)]
pub(super) struct Remover(Option<(UnixStream, Pid)>);

impl Remover {
    /// Lets one stand by, if anything was made and this start loses rights: it becomes another
    /// user, or may fail in its sandbox, where it waits for the server before. **While the server
    /// may still remove what it made, and before other processes are made.**
    pub(super) fn stand_by(
        &mut self,
        loses_rights: bool,
        files: &SocketFiles,
        pidfile: Option<&Pidfile>,
    ) {
        let made = pidfile.and_then(Pidfile::made);
        if !loses_rights || (files.is_empty() && made.is_none()) {
            return;
        }
        let Ok((ours, its)) = UnixStream::pair() else {
            return;
        };
        match process::fork() {
            Ok(Fork::Parent(pid)) => {
                let _ = ours.set_read_timeout(Some(PATIENCE));
                self.0 = Some((ours, pid));
            }
            Ok(Fork::Child) => {
                let _last = Last;
                if hears_that_it_fails(&its) {
                    files.remove();
                    if let Some(made) = made {
                        sweep(&made);
                    }
                }
                process::end(DONE)
            }
            Err(_) => {}
        }
    }

    /// The server serves: they stay.
    pub(super) fn keep(&mut self) {
        if let Some((word, _)) = &mut self.0 {
            let _ = word.write_all(&[KEEP]);
        }
        *self = Self::default();
    }
}

impl Drop for Remover {
    fn drop(&mut self) {
        let Some((word, pid)) = &mut self.0 else {
            return;
        };
        let _ = word.shutdown(Shutdown::Write);
        // All is removed, or kept, when it lets go.
        let _ = word.read(&mut [0]);
        for _ in 0..LOOKS {
            if process::ended(*pid).unwrap_or(true) {
                return;
            }
            let _ = poll::wait(&[], Some(1));
        }
    }
}

/// A panic ends the process, where it would unwind into the server's code.
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        process::end(DONE)
    }
}

/// Waits for the server's word, or for its end without one.
fn hears_that_it_fails(its: &UnixStream) -> bool {
    // A signal to the group is the server's to hear, and its end is heard here.
    if signal::ignore().is_err() {
        return false;
    }
    process::close_others(its.as_fd());
    // Without a name of its own it works as well.
    let _ = process::set_name(NAME);
    let mut its = its;
    matches!(its.read(&mut [0]), Ok(0))
}
