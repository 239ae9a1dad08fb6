//! The background, for init systems that wait until a daemon leaves them (`-b`).
//!
//! Owns the two processes of the start. It must not open anything of the server. Invariants: the
//! process that was started ends when the server serves, with code 0, or when it does not, with its
//! code and after its last words; the standard streams are the caller's until then, and /dev/null
//! from then on.

use crate::config::StartError;
use crate::sys::process::{self, Fork};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// The process that was started, and waits.
#[derive(Debug)]
pub(super) struct Parent {
    /// Where it waits for a word.
    word: UnixStream,
    /// /dev/null, opened while it is there: a chroot may have none.
    null: File,
}

/// Serves.
const READY: u8 = 0;

impl Parent {
    /// Leaves it: what returns is another process, in a session of its own. The working directory
    /// stays, for relative paths.
    ///
    /// # Errors
    /// The system has no room for a process.
    pub(super) fn leave() -> Result<Self, StartError> {
        let failed = |error: io::Error| {
            let cure = "leave -b away, or free memory for one more process";
            StartError::runtime("-b", format!("no background: {error}"), cure)
        };
        let (reader, writer) = UnixStream::pair().map_err(failed)?;
        let null = OpenOptions::new().read(true).write(true).open("/dev/null");
        let null = null.map_err(failed)?;
        match process::fork().map_err(failed)? {
            Fork::Parent(_) => {
                drop(writer);
                wait(reader)
            }
            Fork::Child => {
                process::new_session().map_err(failed)?;
                Ok(Self { word: writer, null })
            }
        }
    }

    /// The server serves: it leaves the standard streams, and its caller goes on.
    pub(super) fn ready(self) {
        if let Err(error) = process::leave_standard(self.null.as_fd()) {
            log::warn!("-b: the standard streams could not be left: {error}");
        }
        // Who was to hear it may be gone; that changes nothing.
        let _ = (&self.word).write_all(&[READY]);
    }

    /// The server does not serve, and ends with this code once it has said why.
    pub(super) fn told(self, code: u8) {
        let _ = (&self.word).write_all(&[code]);
        // The caller waits until it is closed: by the end of this process.
        std::mem::forget(self.word);
    }
}

/// Waits for the word of the server, and ends with it.
fn wait(mut reader: UnixStream) -> ! {
    let mut words = [StartError::RUNTIME];
    let code = match reader.read_exact(&mut words) {
        Ok(()) => words[0],
        // It died without a word.
        Err(_) => StartError::RUNTIME,
    };
    if code != READY {
        // Its last words come first.
        let _ = io::copy(&mut reader, &mut io::sink());
    }
    std::process::exit(code.into())
}
