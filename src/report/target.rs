//! Where the lines of a log go, and how they get there without anybody waiting.
//!
//! Owns one target: a standard stream, a file with its size, or a syslog socket. It must not make
//! lines, nor keep them: they wait in their ring. Invariants: a flush writes at most
//! [`FLUSH_BYTES`] and a line, and waits for nobody who reads; a file never grows above its cap,
//! unless one line is longer, and begins with a whole line; a target that is gone is tried again at
//! most once in [`REVIVE_MS`], one that fails once in [`REST_MS`].

use super::ring::Ring;
use super::trouble::Trouble;
use crate::config::LogTarget;
use crate::connection::time::Ms;
use crate::sys::file::{self, Kind};
use crate::sys::standard::Standard;
use crate::sys::{clock, outlet};
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// What one flush writes at most.
pub(super) const FLUSH_BYTES: usize = 16 * 1024;
/// After an error other than "would block" nothing is written for so long.
const REST_MS: u32 = 100;
/// A target that is not there is looked for again after this.
const REVIVE_MS: u32 = 1_000;
/// The head of a datagram: `<134>adieu: `.
const LEAD_BYTES: usize = 16;

/// How the lines of a log are told apart in syslog (RFC 3164 section 4.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Facility {
    /// daemon, with the severity that the line names: what adieu says of itself.
    Daemon,
    /// local0, severity info: what clients asked for.
    Local0,
}

/// Where it goes right now.
#[derive(Debug)]
enum Way {
    Stream(Standard),
    /// A regular file has a size; a FIFO or a device has none.
    File(OwnedFd, Option<u64>),
    Socket(OwnedFd),
    /// Not there: no reader, no daemon, or no file after a rename.
    Gone,
}

/// A target.
#[derive(Debug)]
pub(super) struct Target {
    named: LogTarget,
    /// The name of the file that was full.
    old: PathBuf,
    cap_bytes: u64,
    facility: Facility,
    way: Way,
    /// A line was written in part: its rest belongs to the same file.
    torn: bool,
    rests_until: Ms,
    /// The trouble was told.
    told: bool,
    /// It may not be opened, and that was told.
    denied: bool,
    /// A datagram in the making.
    datagram: Vec<u8>,
}

impl Target {
    /// Opens it; a file is renamed when it has `cap_bytes`, and a line has `line_bytes` at most.
    ///
    /// # Errors
    /// As [`outlet::append`]. A reader or a daemon that is not there yet is none: it may come.
    pub(super) fn open(
        named: LogTarget,
        cap_bytes: u64,
        line_bytes: usize,
        facility: Facility,
    ) -> io::Result<Self> {
        let old = named.file().map_or_else(OsString::new, |path| {
            let mut old = path.as_os_str().to_owned();
            old.push(".1");
            old
        });
        let datagram = match named {
            LogTarget::Syslog(_) => vec![0; line_bytes.saturating_add(LEAD_BYTES)],
            LogTarget::Stderr | LogTarget::Stdout | LogTarget::File(_) => vec![],
        };
        let way = match Way::open(&named) {
            Ok(way) => way,
            Err(error) if may_come(&named, &error) => Way::Gone,
            Err(error) => return Err(error),
        };
        Ok(Self {
            named,
            old: old.into(),
            cap_bytes,
            facility,
            way,
            torn: false,
            rests_until: Ms(0),
            told: false,
            denied: false,
            datagram,
        })
    }

    /// Opens what has the name now: whoever renamed or removed the file finds a new one. Where that
    /// fails the old one stays. So does a standard stream: nobody can have replaced it, and in the
    /// sandbox a terminal could not be opened anew so that writing to it waits for nobody.
    pub(super) fn reopen(&mut self, ring: &mut Ring) -> io::Result<()> {
        if matches!(self.named, LogTarget::Stderr | LogTarget::Stdout) {
            return Ok(());
        }
        let way = Way::open(&self.named)?;
        self.exchange(way, ring);
        Ok(())
    }

    /// The rest of a line has no place in another file.
    pub(super) fn leave(&mut self, ring: &mut Ring) {
        if std::mem::take(&mut self.torn) {
            ring.consume(ring.line_bytes());
            ring.count_dropped();
        }
    }

    /// From now on this way.
    fn exchange(&mut self, way: Way, ring: &mut Ring) {
        self.leave(ring);
        self.way = way;
        self.rests_until = Ms(0);
        self.denied = false;
    }

    /// Writes what the target takes now. What is amiss is said once, until it works again.
    pub(super) fn flush(&mut self, ring: &mut Ring) -> Option<Trouble> {
        let mut left = FLUSH_BYTES;
        while left > 0 && ring.waits() {
            match self.step(ring, left) {
                Ok(0) => return None,
                Ok(bytes) => {
                    left = left.saturating_sub(bytes);
                    self.told = false;
                }
                Err(trouble) => {
                    let stuck = trouble.error.kind() == ErrorKind::WouldBlock;
                    if !stuck {
                        self.rest(REST_MS);
                    }
                    let told = stuck || std::mem::replace(&mut self.told, true);
                    return Some(trouble).filter(|_| !told);
                }
            }
        }
        None
    }

    /// There is something that takes lines.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.way, Way::Gone)
    }

    /// It is the standard error.
    pub(super) fn is_stderr(&self) -> bool {
        self.named == LogTarget::Stderr
    }

    /// Nobody but the log itself says when a line was written.
    pub(super) fn is_file(&self) -> bool {
        self.named.file().is_some()
    }

    /// A standard stream that somebody may be looking at.
    pub(super) fn is_terminal(&self) -> bool {
        match &self.way {
            Way::Stream(stream) => stream.is_terminal(),
            Way::File(..) | Way::Socket(_) | Way::Gone => false,
        }
    }

    fn rest(&mut self, ms: u32) {
        self.rests_until = Ms(clock::monotonic_ms()).after(ms);
    }

    /// Writes something; 0: not now.
    fn step(&mut self, ring: &mut Ring, most: usize) -> Result<usize, Trouble> {
        let rests = self.rests_until > Ms(0);
        if rests && Ms(clock::monotonic_ms()) < self.rests_until {
            return Ok(0);
        }
        if matches!(self.way, Way::Gone) {
            self.revive(ring)?;
        }
        let writing = |error| Trouble {
            what: "cannot be written",
            error,
        };
        match &mut self.way {
            Way::Gone => Ok(0),
            Way::Stream(stream) => {
                let front = ring.front();
                let written = stream.write(front.get(..most).unwrap_or(front));
                let bytes = written.map_err(writing)?;
                ring.consume(bytes);
                Ok(bytes)
            }
            Way::File(_, size_bytes) => {
                let full = size_bytes.is_some_and(|size| {
                    let line = u64::try_from(ring.line_bytes()).unwrap_or(u64::MAX);
                    size > 0 && size.saturating_add(line) > self.cap_bytes
                });
                if full && !self.torn {
                    self.rotate(ring)?;
                }
                match self.append(ring, most) {
                    // The reader is gone: the next one is to begin with a whole line.
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(self.gone(error)),
                    written => written.map_err(writing),
                }
            }
            Way::Socket(_) => self.send(ring),
        }
    }

    /// Looks whether a target that was gone has come.
    fn revive(&mut self, ring: &mut Ring) -> Result<(), Trouble> {
        match Way::open(&self.named) {
            Ok(way) => self.exchange(way, ring),
            Err(error) => {
                self.rest(REVIVE_MS);
                let told = std::mem::replace(&mut self.told, true);
                // A reader that is not there has been told; that the next one never comes has not.
                let denied = error.kind() == ErrorKind::PermissionDenied && !self.denied;
                if !told || denied {
                    return Err(self.gone(error));
                }
            }
        }
        Ok(())
    }

    fn gone(&mut self, error: io::Error) -> Trouble {
        self.way = Way::Gone;
        self.rest(REVIVE_MS);
        self.told = false;
        let trouble = Trouble {
            what: "is not there",
            error,
        };
        self.denied |= trouble.is_denied();
        trouble
    }

    /// The file is full: it gets its second name, and a new one is begun. Somebody else's file,
    /// which has taken the name meanwhile, is not renamed.
    fn rotate(&mut self, ring: &mut Ring) -> Result<(), Trouble> {
        let (LogTarget::File(path), Way::File(fd, _)) = (&self.named, &self.way) else {
            return Ok(());
        };
        if outlet::is_at(fd.as_fd(), path)
            && let Err(error) = outlet::rename(path, &self.old)
        {
            self.rest(REVIVE_MS);
            let what = "is full and cannot be renamed; lines are dropped";
            return Err(Trouble { what, error });
        }
        match Way::open(&self.named) {
            Ok(way) => self.exchange(way, ring),
            Err(error) => return Err(self.gone(error)),
        }
        Ok(())
    }

    /// Appends whole lines as far as the file has room for them; the first always has.
    fn append(&mut self, ring: &mut Ring, most: usize) -> io::Result<usize> {
        let Way::File(fd, size_bytes) = &mut self.way else {
            return Ok(0);
        };
        let front = ring.front();
        let mut piece = front.get(..most).unwrap_or(front);
        if let Some(size) = size_bytes {
            let room = usize::try_from(self.cap_bytes.saturating_sub(*size)).unwrap_or(usize::MAX);
            let fits = piece.get(..room).unwrap_or(piece);
            let end = fits.iter().rposition(|b| *b == b'\n');
            let line = ring.line_bytes();
            let end = end.map_or(line, |at| at.saturating_add(1));
            piece = piece.get(..end).unwrap_or(piece);
        }
        let bytes = outlet::write(fd.as_fd(), piece)?;
        if let Some(size) = size_bytes {
            *size = size.saturating_add(u64::try_from(bytes).unwrap_or(0));
        }
        let last = bytes.checked_sub(1).and_then(|at| piece.get(at));
        self.torn = last.map_or(self.torn, |last| *last != b'\n');
        ring.consume(bytes);
        Ok(bytes)
    }

    /// Sends one line as one datagram. One that is too long for the daemon is dropped.
    fn send(&mut self, ring: &mut Ring) -> Result<usize, Trouble> {
        let Way::Socket(socket) = &self.way else {
            return Ok(0);
        };
        let (lead, rest) = self
            .datagram
            .split_at_mut_checked(LEAD_BYTES)
            .unwrap_or_default();
        let whole = ring.line_bytes();
        let copied = ring.first_line(rest);
        let text = rest.get(..copied).unwrap_or_default();
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let head = head(self.facility, text);
        // The head stands directly before the text.
        let start = LEAD_BYTES.saturating_sub(head.len());
        let end = LEAD_BYTES.saturating_add(text.len());
        if let Some(room) = lead.get_mut(start..) {
            room.copy_from_slice(head);
        }
        let datagram = self.datagram.get(start..end).unwrap_or_default();
        match outlet::send(socket, datagram) {
            Ok(()) => {
                ring.consume(whole);
                Ok(whole)
            }
            Err(error) if outlet::is_too_long(&error) => {
                ring.consume(whole);
                ring.count_dropped();
                Ok(whole)
            }
            Err(error) if outlet::is_full(&error) => Err(Trouble {
                what: "is full",
                error: ErrorKind::WouldBlock.into(),
            }),
            Err(error) => Err(self.gone(error)),
        }
    }
}

/// What stands before a line in a datagram. Without a time: a daemon puts its own there, in its own
/// time zone.
fn head(facility: Facility, text: &[u8]) -> &'static [u8] {
    match facility {
        Facility::Local0 => b"<134>adieu: ",
        Facility::Daemon if text.starts_with(b"adieu: error: ") => b"<27>",
        Facility::Daemon if text.starts_with(b"adieu: warning: ") => b"<28>",
        Facility::Daemon => b"<30>",
    }
}

/// A reader or a daemon that is not there now.
fn may_come(named: &LogTarget, error: &io::Error) -> bool {
    match named {
        LogTarget::Syslog(_) => true,
        LogTarget::File(_) => outlet::lacks_reader(error),
        LogTarget::Stderr | LogTarget::Stdout => false,
    }
}

impl Way {
    fn open(named: &LogTarget) -> io::Result<Self> {
        Ok(match named {
            LogTarget::Stderr => Self::Stream(Standard::error()),
            LogTarget::Stdout => Self::Stream(Standard::output()),
            LogTarget::Syslog(path) => Self::Socket(outlet::connect(path)?),
            LogTarget::File(path) => {
                let fd = outlet::append(path)?;
                let stat = file::stat(fd.as_fd())?;
                let size_bytes = (stat.kind == Kind::Regular).then_some(stat.size);
                Self::File(fd, size_bytes)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::{LINE_BYTES, Line};
    use super::*;
    use std::fs;
    use std::os::unix::net::UnixDatagram;
    use std::path::Path;

    const LINE: &[u8] = b"0123456789abcde\n";

    fn ring() -> Ring {
        Ring::new(1024, |dropped| Line::plain(format_args!("# {dropped}")))
    }

    /// A directory that goes with the test.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let name = format!("adieu-target-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn file(path: &Path, cap_bytes: u64) -> Target {
        let named = LogTarget::File(path.to_path_buf());
        Target::open(named, cap_bytes, LINE_BYTES, Facility::Local0).unwrap()
    }

    fn lines(path: &Path) -> usize {
        let text = fs::read(path).unwrap();
        assert!(text.chunks(LINE.len()).all(|line| line == LINE));
        text.len() / LINE.len()
    }

    #[test]
    fn a_full_file_is_renamed_once_and_never_grows_above_its_cap() {
        let dir = Dir::new("cap");
        let (path, old) = (dir.path("log"), dir.path("log.1"));
        let (mut target, mut ring) = (file(&path, 100), ring());
        for n in 1..=60 {
            assert!(ring.push(LINE));
            if n % 7 == 0 || n == 60 {
                assert!(target.flush(&mut ring).is_none());
                assert!(fs::metadata(&path).unwrap().len() <= 100);
            }
        }
        assert!(ring.is_empty());
        assert_eq!((lines(&path), lines(&old)), (6, 6));
        // What was there before counts.
        let mut target = file(&path, 100);
        ring.push(LINE);
        assert!(target.flush(&mut ring).is_none());
        assert_eq!((lines(&path), lines(&old)), (1, 6));
    }

    #[test]
    fn a_rename_that_fails_is_told_once_and_drops_what_does_not_fit() {
        let dir = Dir::new("rename");
        let (path, old) = (dir.path("log"), dir.path("log.1"));
        fs::create_dir(&old).unwrap();
        let (mut target, mut ring) = (file(&path, 40), ring());
        let mut told = 0;
        for _ in 0..1000 {
            ring.push(LINE);
            told += usize::from(target.flush(&mut ring).is_some());
        }
        assert_eq!((told, lines(&path)), (1, 2));
        fs::remove_dir(&old).unwrap();
        target.rests_until = Ms(0);
        assert!(target.flush(&mut ring).is_none());
        assert_eq!(lines(&old), 2);
    }

    #[test]
    fn a_file_that_others_renamed_is_left_until_it_is_reopened() {
        let dir = Dir::new("reopen");
        let (path, other) = (dir.path("log"), dir.path("other"));
        let (mut target, mut ring) = (file(&path, 64), ring());
        let mut write = |target: &mut Target| {
            ring.push(LINE);
            assert!(target.flush(&mut ring).is_none());
        };
        write(&mut target);
        fs::rename(&path, &other).unwrap();
        write(&mut target);
        assert_eq!(lines(&other), 2);
        target.reopen(&mut super::tests::ring()).unwrap();
        write(&mut target);
        assert_eq!((lines(&path), lines(&other)), (1, 2));
        // Removed, and the directory with it: the old one stays.
        fs::remove_file(&path).unwrap();
        target.named = LogTarget::File(dir.path("no/log"));
        assert!(target.reopen(&mut super::tests::ring()).is_err());
        write(&mut target);
        target.named = LogTarget::File(path.clone());
        target.reopen(&mut super::tests::ring()).unwrap();
        write(&mut target);
        assert_eq!(lines(&path), 1);
        // Full, and the name is somebody else's: his file is not renamed.
        fs::rename(&path, &other).unwrap();
        for _ in 0..3 {
            write(&mut target);
        }
        fs::write(&path, LINE).unwrap();
        write(&mut target);
        assert_eq!((lines(&path), lines(&other)), (2, 4));
        assert!(!dir.path("log.1").exists());
    }

    #[test]
    fn the_rest_of_a_torn_line_is_dropped_with_its_file() {
        let dir = Dir::new("torn");
        let path = dir.path("log");
        let (mut target, mut ring) = (file(&path, 1000), ring());
        ring.push(LINE);
        ring.push(LINE);
        ring.consume(5); // as after a short write
        target.torn = true;
        target.reopen(&mut ring).unwrap();
        assert!(target.flush(&mut ring).is_none());
        assert_eq!(fs::read(&path).unwrap(), [LINE, b"# 1\n"].concat());
    }

    #[test]
    fn a_stuck_or_failing_target_costs_nothing_but_lines() {
        let dir = Dir::new("stuck");
        let fifo = dir.path("fifo");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        for path in [Path::new("/dev/full"), &fifo] {
            let (mut target, mut ring) = (file(path, 1 << 20), ring());
            let mut told = 0;
            let kept = (0..10_000).filter(|_| {
                told += usize::from(target.flush(&mut ring).is_some());
                ring.push(LINE)
            });
            assert_eq!((kept.count(), told), (64, 1), "{}", path.display());
        }
        // With a reader that has come and does not read.
        let mut target = file(&fifo, 1 << 20);
        let reader = fs::OpenOptions::new().read(true).write(true).open(&fifo);
        let mut ring = ring();
        target.rests_until = Ms(0);
        let mut kept = 0;
        while ring.push(LINE) {
            kept += 1;
            assert!(
                target.flush(&mut ring).is_none(),
                "would block is no trouble"
            );
        }
        assert!(kept > 1000);
        drop(reader);
    }

    #[test]
    fn a_daemon_gets_a_datagram_a_line_and_may_come_and_go() {
        let dir = Dir::new("syslog");
        let path = dir.path("log");
        let named = LogTarget::Syslog(path.clone());
        let open = |facility| Target::open(named.clone(), 0, 64, facility).unwrap();
        let (mut target, mut ring) = (open(Facility::Local0), ring());
        ring.push(LINE);
        assert!(target.flush(&mut ring).is_some() && target.flush(&mut ring).is_none());
        let mut room = [0; 100];
        for _ in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            daemon.set_nonblocking(true).unwrap();
            target.rests_until = Ms(0);
            assert!(target.flush(&mut ring).is_none() && ring.is_empty());
            let heard = daemon.recv(&mut room).unwrap();
            assert_eq!(&room[..heard], b"<134>adieu: 0123456789abcde");
            fs::remove_file(&path).unwrap();
            drop(daemon);
            ring.push(LINE);
            assert!(target.flush(&mut ring).is_some());
        }
        let daemon = UnixDatagram::bind(&path).unwrap();
        let mut target = open(Facility::Daemon);
        ring.consume(usize::MAX);
        for (line, datagram) in [
            ("adieu: x\n", "<30>adieu: x"),
            ("adieu: warning: x\n", "<28>adieu: warning: x"),
            ("adieu: error: x\n", "<27>adieu: error: x"),
        ] {
            ring.push(line.as_bytes());
            assert!(target.flush(&mut ring).is_none());
            let heard = daemon.recv(&mut room).unwrap();
            assert_eq!(&room[..heard], datagram.as_bytes());
        }
    }
}
