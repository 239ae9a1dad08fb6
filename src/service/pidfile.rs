//! The file with the number of the process.
//!
//! Owns that file. It must not trust what stands in it, nor take another file for it. Invariants:
//! it is opened while the server may still do so and written when the server serves, so that a
//! start that fails changes no number in it; the number of a server that lives is replaced by its
//! successor only; at the end it is removed or emptied only while it has our own number, and not by
//! a server that has a successor.
//!
//! Who has opened it has a mark in it, at its own number: so a number that a dead server has left,
//! and that another process has now, is not taken for a server, and who fails does not remove what
//! another is about to write to. Of two that start at once neither serves yet, and the second
//! number stays.

use crate::config::StartError;
use crate::sys::made::Made;
use crate::sys::{mark, outlet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Everybody may read it.
const MODE: u32 = 0o644;
/// The number of a process is shorter, its line feed included.
const NUMBER_BYTES: u64 = 24;
/// So often the file is opened anew when somebody removes it meanwhile.
const TRIES: u32 = 10;

/// The open file.
#[derive(Debug)]
pub(super) struct Pidfile {
    file: File,
    path: PathBuf,
    /// We have made it, and nothing stands in it yet.
    is_new: bool,
}

impl Pidfile {
    /// Opens the file at `path`, and makes it where there is none; an empty path is none. What
    /// stands in it stays. `succeeds`: this server takes over from whose number it has.
    ///
    /// # Errors
    /// It cannot be opened, is no regular file, has something else in it than a number, or that of
    /// another server, which serves.
    pub(super) fn open(path: &str, succeeds: bool) -> Result<Option<Self>, StartError> {
        if path.is_empty() {
            return Ok(None);
        }
        let opened = marked(Path::new(path)).map_err(|error| refused(path, &error))?;
        let (mut file, is_new) = opened;
        match file.metadata() {
            Ok(metadata) if metadata.is_file() => (),
            Ok(_) => return Err(fault(path, "it is no regular file", OTHER).lasting()),
            Err(error) => return Err(refused(path, &error)),
        }
        let before = content(&mut file).map_err(|error| refused(path, &error))?;
        let is_number = before.iter().all(|b| b.is_ascii_digit() || *b == b'\n');
        if !is_number {
            let what = "there is something else in it than the number of a process";
            return Err(fault(path, what, OTHER).lasting());
        }
        if let Some(number) = number(&before).filter(|_| !succeeds)
            && mark::is_set(file.as_fd(), number).unwrap_or(false)
        {
            let what = format!("process {number} serves, and has its number in it");
            let cure = "stop that server first, or name another file";
            return Err(fault(path, &what, cure));
        }
        Ok(Some(Self {
            file,
            path: PathBuf::from(path),
            is_new,
        }))
    }

    /// The server serves: writes our number. Where that fails it serves all the same.
    pub(super) fn write(&mut self) {
        let own = own();
        let bytes = u64::try_from(own.len()).unwrap_or(0);
        let written = self.file.write_all_at(own.as_bytes(), 0);
        match written.and_then(|()| self.file.set_len(bytes)) {
            Ok(()) => self.is_new = false,
            Err(error) => log::warn!("service.pidfile: our number is not in it: {error}"),
        }
        // Where a file system has no marks, nobody sees that we serve.
        let marked = mark::set(self.file.as_fd(), std::process::id());
        if marked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
            log::warn!("service.pidfile: somebody has locked the file; a second server may start");
        }
    }

    /// The server ends: removes the file; where the server may not any more, empties it.
    pub(super) fn remove(mut self) {
        let ours = content(&mut self.file).is_ok_and(|text| text == own().as_bytes());
        if ours && !self.unlink() {
            let _ = self.file.set_len(0);
        }
    }

    /// What we have made, if it was not there before.
    pub(super) fn made(&self) -> Option<Made> {
        let made = self
            .is_new
            .then(|| Made::open(&self.path, self.file.as_fd()));
        made?.ok()
    }

    fn unlink(&self) -> bool {
        outlet::is_at(self.file.as_fd(), &self.path) && fs::remove_file(&self.path).is_ok()
    }
}

/// Removes it for a start that has failed and could not: if it is empty, and nobody starts by it.
pub(super) fn sweep(made: &Made) {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    options.custom_flags(outlet::NO_LINK_NO_WAIT);
    let Ok(mut file) = options.open(made.path()) else {
        return;
    };
    let is_empty = content(&mut file).is_ok_and(|text| text.is_empty());
    let is_left = !mark::is_any(file.as_fd()).unwrap_or(false);
    if made.is(file.as_fd()) && is_empty && is_left {
        let _ = fs::remove_file(made.path());
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // The server has not served. Where it may not remove the file any more, `remover` does; one
        // in which another's number stands meanwhile stays.
        let is_empty = content(&mut self.file).is_ok_and(|text| text.is_empty());
        if self.is_new && is_empty && !mark::is_any(self.file.as_fd()).unwrap_or(false) {
            self.unlink();
        }
    }
}

/// The file at `path`, with our mark in it, and whether we have made it.
fn marked(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(MODE);
    // A link in a directory that others may write to would lead elsewhere.
    options.custom_flags(outlet::NO_LINK_NO_WAIT);
    let mut tries = 0;
    loop {
        tries += 1;
        let (file, is_new) = match options.clone().create_new(true).open(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (options.open(path), false),
            outcome => (outcome, true),
        };
        let file = match file {
            Err(error) if error.kind() == ErrorKind::NotFound && tries < TRIES => continue,
            outcome => outcome?,
        };
        // Where a file system has no marks, nobody sees that we start.
        let _ = mark::set(file.as_fd(), std::process::id());
        // Who made it may have removed it before the mark was there.
        if tries == TRIES || outlet::is_at(file.as_fd(), path) {
            return Ok((file, is_new));
        }
    }
}

/// Our number, as it stands in the file.
fn own() -> String {
    format!("{}\n", std::process::id())
}

/// The number that these bytes are.
fn number(bytes: &[u8]) -> Option<u32> {
    std::str::from_utf8(bytes).ok()?.trim_end().parse().ok()
}

/// What stands in it, as far as it matters.
fn content(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    Read::take(&*file, NUMBER_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The cure where the file is not what it should be.
const OTHER: &str = "name a file of its own, such as /run/adieu.pid";

fn refused(path: &str, error: &io::Error) -> StartError {
    let cure = match error.kind() == ErrorKind::StorageFull {
        true => "free some room there, or name another file",
        false => {
            "name a file in a directory that is there and may be written, such as /run/adieu.pid"
        }
    };
    fault(path, &error.to_string(), cure)
}

fn fault(path: &str, what: &str, cure: &'static str) -> StartError {
    let what = format!("cannot write {path}: {what}");
    StartError::runtime("service.pidfile", what, cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::testing::until;
    use std::process::{Child, Command};

    /// A path of its own, removed at the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let name = format!("adieu-pid-{}-{name}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn open(&self) -> Pidfile {
            Pidfile::open(self.0.to_str().unwrap(), false)
                .unwrap()
                .unwrap()
        }

        fn text(&self) -> Option<String> {
            fs::read_to_string(&self.0).ok()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    #[test]
    fn it_has_our_number_until_the_end() {
        let place = Place::new("life");
        fs::write(&place.0, "123456789\n").unwrap();
        let mut pidfile = place.open();
        assert_eq!(place.text().unwrap(), "123456789\n");
        pidfile.write();
        assert_eq!(place.text().unwrap(), own());
        pidfile.remove();
        assert_eq!(place.text(), None);
    }

    #[test]
    fn a_start_that_fails_leaves_it_as_it_was() {
        let place = Place::new("failed");
        drop(place.open());
        assert_eq!(place.text(), None);
        for before in ["4711\n", ""] {
            fs::write(&place.0, before).unwrap();
            drop(place.open());
            assert_eq!(place.text().unwrap(), before);
        }
        // Two at once: who does not serve takes nothing from who does.
        fs::remove_file(&place.0).unwrap();
        let (loser, mut winner) = (place.open(), place.open());
        winner.write();
        drop(winner);
        drop(loser);
        assert_eq!(place.text().unwrap(), own());
    }

    /// Another process, which is about to serve: this test, started anew.
    fn starting(place: &Place) -> Killed {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = "service::pidfile::tests::another_start";
        child.args(["--exact", name, "--ignored"]);
        Killed(child.env("ADIEU_PIDFILE", &place.0).spawn().unwrap())
    }

    /// It ends with the test, however that ends.
    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    #[ignore = "the other process of the next test"]
    fn another_start() {
        let Some(path) = std::env::var_os("ADIEU_PIDFILE") else {
            return;
        };
        let _opened = Pidfile::open(path.to_str().unwrap(), false).unwrap();
        loop {
            std::thread::park();
        }
    }

    #[test]
    fn who_fails_removes_nothing_that_another_has_opened() {
        let place = Place::new("two");
        let loser = place.open();
        let other = starting(&place);
        until(|| mark::is_any(loser.file.as_fd()).unwrap());
        drop(loser);
        assert_eq!(place.text().unwrap(), "");
        drop(other);
        drop(place.open());
        assert_eq!(place.text().unwrap(), "");
    }

    #[test]
    fn the_number_of_another_stays() {
        let place = Place::new("other");
        let mut pidfile = place.open();
        pidfile.write();
        fs::write(&place.0, "4711\n").unwrap();
        pidfile.remove();
        assert_eq!(place.text().unwrap(), "4711\n");
        // So does a file that has taken its place.
        let mut pidfile = place.open();
        pidfile.write();
        fs::remove_file(&place.0).unwrap();
        fs::write(&place.0, "4712\n").unwrap();
        pidfile.remove();
        assert_eq!(place.text().unwrap(), "4712\n");
    }

    #[test]
    fn where_it_cannot_be_removed_it_is_emptied() {
        let place = Place::new("stays");
        let mut pidfile = place.open();
        pidfile.write();
        pidfile.path = PathBuf::from("/nowhere/at/all");
        pidfile.remove();
        assert_eq!(place.text().unwrap(), "");
    }

    #[test]
    fn another_file_is_not_taken_for_it() {
        let place = Place::new("mistyped");
        for text in ["[site]\n", "12 34\n", "-1\n", &"x".repeat(300)] {
            fs::write(&place.0, text).unwrap();
            let error = Pidfile::open(place.0.to_str().unwrap(), false).unwrap_err();
            assert!(error.what.contains("something else in it"), "{error}");
            assert_eq!(place.text().unwrap(), text);
        }
    }

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(Pidfile::open("", false).unwrap().is_none());
        let place = Place::new("link");
        std::os::unix::fs::symlink("/dev/null", &place.0).unwrap();
        for path in [
            place.0.to_str().unwrap(),
            "/dev/null",
            "/",
            "/nowhere/at/all",
        ] {
            let error = Pidfile::open(path, false).unwrap_err().to_string();
            assert!(error.starts_with(&format!("service.pidfile: cannot write {path}: ")));
        }
    }
}
