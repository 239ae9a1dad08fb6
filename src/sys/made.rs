//! A file that this process has made at a path.
//!
//! Owns: path and identity, and whether a file is that one. Must not: make or remove it; when it
//! may go is its owner's matter. Invariant: what another has put at the path since is not it.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::file::Identity;

/// The file.
#[derive(Debug)]
pub struct Made {
    path: PathBuf,
    identity: Identity,
}

impl Made {
    /// What stands at `path` now, a symbolic link itself.
    ///
    /// # Errors
    ///
    /// As [`Identity::at_itself`].
    pub fn at(path: &Path) -> io::Result<Self> {
        let (path, identity) = (path.to_owned(), Identity::at_itself(path)?);
        Ok(Self { path, identity })
    }

    /// What was opened at `path`.
    ///
    /// # Errors
    ///
    /// As [`Identity::of`].
    pub fn open(path: &Path, fd: BorrowedFd<'_>) -> io::Result<Self> {
        let (path, identity) = (path.to_owned(), Identity::of(fd)?);
        Ok(Self { path, identity })
    }

    /// Where it was made.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// It is still there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        Identity::at_itself(&self.path).is_ok_and(|now| now == self.identity)
    }

    /// What was opened there is still it.
    #[must_use]
    pub fn is(&self, fd: BorrowedFd<'_>) -> bool {
        Identity::of(fd).is_ok_and(|now| now == self.identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;

    #[test]
    fn another_file_of_its_path_is_not_it() {
        let name = |end: &str| format!("adieu-made-{}-{end}", std::process::id());
        let [path, aside] = ["it", "aside"].map(|end| std::env::temp_dir().join(name(end)));
        let file = File::create(&path).unwrap();
        let both = [
            Made::at(&path).unwrap(),
            Made::open(&path, file.as_fd()).unwrap(),
        ];
        for made in &both {
            assert_eq!(made.path(), path);
            assert!(made.is_there() && made.is(file.as_fd()));
        }
        fs::rename(&path, &aside).unwrap();
        let other = File::create(&path).unwrap();
        for made in &both {
            assert!(made.is(file.as_fd()) && !made.is(other.as_fd()));
            assert!(!made.is_there());
        }
        // A link that leads to it is another file.
        fs::remove_file(&path).unwrap();
        symlink(&aside, &path).unwrap();
        assert!(both.iter().all(|made| !made.is_there()));
        fs::remove_file(&path).unwrap();
        fs::remove_file(&aside).unwrap();
        assert!(both.iter().all(|made| !made.is_there()));
    }
}
