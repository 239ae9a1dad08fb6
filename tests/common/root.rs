//! A document root that is gone after the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of its own.
#[derive(Debug)]
pub(crate) struct Root(PathBuf);

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Root {
    /// With an `index.html` in it.
    pub(crate) fn new() -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("root-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).expect("a directory");
        let root = Self(path);
        root.file("index.html", b"<!doctype html><title>good day</title>\n");
        root
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) {
        fs::write(self.0.join(name), bytes).expect("a file");
    }

    /// A file of so many zeros that takes no room.
    pub(crate) fn sparse(&self, name: &str, bytes: u64) -> fs::File {
        let file = fs::File::create(self.0.join(name)).expect("a file");
        file.set_len(bytes).expect("a sparse file");
        file
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
