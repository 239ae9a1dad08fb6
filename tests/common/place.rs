//! A place in the file system that other users may enter, with paths that fit a socket's. Gone
//! after the test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own, in the system's directory for such.
#[derive(Debug)]
pub(crate) struct Place(PathBuf);

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Place {
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("adieu-place-{}-{number}", std::process::id());
        let place = Self(std::env::temp_dir().join(name));
        fs::create_dir(place.root()).expect("a directory");
        permit(place.root(), 0o755);
        place
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text.
    pub(crate) fn shown(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A directory that everybody may read.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory");
        permit(&path, 0o755);
        path
    }

    /// A file that everybody may read.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("a file");
        permit(&self.path(name), 0o644);
    }

    /// A site with this page.
    pub(crate) fn site(&self, name: &str, page: &str) -> PathBuf {
        let path = self.directory(name);
        self.file(&format!("{name}/index.html"), page.as_bytes());
        path
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    /// Gives it to this user and the group of the same number.
    pub(crate) fn give(&self, name: &str, id: u32) {
        chown(self.path(name), Some(id), Some(id)).expect("root");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}
