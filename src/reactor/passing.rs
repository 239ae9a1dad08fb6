//! Bodies from their socket into their file that pass through no memory of ours.
//!
//! Owns the one pipe that all uploads share, and what becomes of bytes in it that a file did not
//! take. It must not know whose they are. Invariants: the pipe is empty between two calls, or it is
//! given up; what was received is written, or refused, in the same call.

use super::kernel::REFUSES;
use crate::config::Config;
use crate::sys::change;
use crate::sys::splice::Tube;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// Size of the pipe: what a slot may move in one visit.
pub const TUBE_BYTES: usize = 256 * 1024;

/// A part of a body that has come.
#[derive(Debug)]
pub struct Passed {
    /// So many bytes; 0 is the peer's FIN.
    pub came: usize,
    /// Whether the file took all of them.
    pub kept: io::Result<()>,
}

/// The pipe, where there is one.
#[derive(Debug, Default)]
pub(super) struct Passing {
    tube: Option<Tube>,
    refused: bool,
}

impl Passing {
    /// Opens the pipe if bodies are kept. Without one they are copied.
    pub(super) fn prepare(&mut self, config: &Config) {
        if self.tube.is_none() && !self.refused && config.takes_uploads() {
            self.tube = Tube::new(TUBE_BYTES).ok();
        }
    }

    /// Moves at most `max` bytes from a socket into a file, from `offset` on; `scratch` is for what
    /// cannot go so. `None`: it cannot be done in this way, and nothing was received.
    pub(super) fn pass(
        &mut self,
        socket: BorrowedFd<'_>,
        (file, offset): (BorrowedFd<'_>, u64),
        max: usize,
        scratch: &mut [u8],
    ) -> Option<io::Result<Passed>> {
        let tube = self.tube.as_mut()?;
        let came = match tube.fill(socket, max) {
            Err(error) if REFUSES.contains(&error.kind()) => {
                self.give_up();
                return None;
            }
            Err(error) => return Some(Err(error)),
            Ok(came) => came,
        };
        let mut at = offset;
        let mut kept = Ok(());
        while tube.holds() > 0 && kept.is_ok() {
            kept = match tube.pour(file, at) {
                Ok(0) => Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    at = at.saturating_add(u64::try_from(n).unwrap_or(0));
                    Ok(())
                }
                Err(error) if REFUSES.contains(&error.kind()) => {
                    self.refused = true;
                    copy(tube, file, at, scratch)
                }
                Err(error) => Err(error),
            };
        }
        // Nobody's bytes may stand before another's.
        while tube.holds() > 0 && tube.empty(scratch).is_ok_and(|n| n > 0) {}
        if tube.holds() > 0 || self.refused {
            self.give_up();
        }
        Some(Ok(Passed { came, kept }))
    }

    /// From now on bodies are copied.
    fn give_up(&mut self) {
        self.tube = None;
        self.refused = true;
    }
}

/// Writes what is in the pipe in the other way.
fn copy(tube: &mut Tube, file: BorrowedFd<'_>, at: u64, scratch: &mut [u8]) -> io::Result<()> {
    let mut at = at;
    while tube.holds() > 0 {
        let n = tube.empty(scratch)?;
        let mut bytes = scratch.get(..n).unwrap_or_default();
        while !bytes.is_empty() {
            let written = change::write_at(file, bytes, at)?;
            at = at.saturating_add(u64::try_from(written).unwrap_or(0));
            bytes = bytes.get(written..).unwrap_or_default();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UploadRule;
    use crate::config::rules::Rule as _;
    use std::fs::{self, File, OpenOptions};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    /// A name that goes with the test.
    struct Name(std::path::PathBuf);

    impl Name {
        fn new(of: &str) -> Self {
            let name = format!("adieu-passing-{of}-{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Name {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn passing() -> Passing {
        let mut config = Config::default();
        let mut passing = Passing::default();
        passing.prepare(&config);
        assert!(passing.tube.is_none(), "nobody uploads anything");
        config.site.uploads = vec![UploadRule::parse("/ 1MiB").unwrap()];
        passing.prepare(&config);
        assert!(passing.tube.is_some());
        passing
    }

    /// A connection with these bytes in it: our end blocks.
    fn with(bytes: &[u8]) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(bytes).unwrap();
        let ours = listener.accept().unwrap().0;
        while ours.peek(&mut vec![0; bytes.len()]).unwrap() < bytes.len() {
            std::thread::yield_now();
        }
        (ours, client)
    }

    fn pass(passing: &mut Passing, from: &TcpStream, to: &File, at: u64) -> Passed {
        let place = (to.as_fd(), at);
        let passed = passing.pass(from.as_fd(), place, 1000, &mut [0; 7]);
        passed.expect("there is a pipe").expect("bytes are there")
    }

    #[test]
    fn no_byte_of_an_upload_that_failed_reaches_the_next() {
        let mut passing = passing();
        let name = Name::new("next");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let closed = File::open("/dev/null").unwrap();
        for failing in [&full, &closed] {
            let (secret, _client) = with(b"the secret of somebody else");
            let passed = pass(&mut passing, &secret, failing, 0);
            assert_eq!(passed.came, 27);
            assert!(passed.kept.is_err(), "{passed:?}");
            if passing.tube.is_none() {
                passing = super::tests::passing();
            }
            let file = File::create(&name.0).unwrap();
            let (next, _client) = with(b"mine");
            let passed = pass(&mut passing, &next, &file, 0);
            assert_eq!((passed.came, passed.kept.is_ok()), (4, true));
            assert_eq!(fs::read(&name.0).unwrap(), b"mine");
        }
    }

    #[test]
    fn what_a_file_system_refuses_is_copied() {
        let mut passing = passing();
        let name = Name::new("copied");
        // splice(2) refuses a file that is appended to.
        let options = OpenOptions::new().create(true).append(true).open(&name.0);
        let file = options.unwrap();
        let (ours, _client) = with(b"twenty bytes of text");
        let passed = pass(&mut passing, &ours, &file, 0);
        assert_eq!((passed.came, passed.kept.is_ok()), (20, true));
        assert_eq!(fs::read(&name.0).unwrap(), b"twenty bytes of text");
        let again = passing.pass(ours.as_fd(), (file.as_fd(), 20), 9, &mut [0; 7]);
        assert!(again.is_none(), "the caller copies from now on");
    }
}
