//! What a client was sent, against what it was owed.
//!
//! Owns the site of the simulation, a strict reader of responses, and [`Expected`]. It must not
//! forgive: a status, a Content-Length or a byte that differs is an error. Invariant: an answer
//! counts only when it is whole.

use std::path::PathBuf;
use std::rc::Rc;

/// The files of the site: name and size.
pub(crate) const FILES: [(&str, usize); 3] = [
    ("small.txt", 200),
    ("middle.txt", 5_000),
    ("big.bin", 300_000),
];
/// [`FILES`], by size.
pub(crate) const SMALL: usize = 0;
/// The file that does not go with its head.
pub(crate) const BIG: usize = 2;

/// What a file holds: no two places look alike.
fn content(file: usize) -> Vec<u8> {
    let byte = |at: usize| (at / 251 + at * (file + 3)) as u8;
    (0..FILES[file].1).map(byte).collect()
}

/// A directory with the site, gone with the test.
#[derive(Debug)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What its files hold.
    pub(crate) files: Rc<[Vec<u8>]>,
}

impl Root {
    /// Writes the site.
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("adieu-sim-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        let files: Rc<[Vec<u8>]> = (0..FILES.len()).map(content).collect();
        for ((name, _), bytes) in FILES.iter().zip(files.iter()) {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        Self { path, files }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// An answer that is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Its status.
    pub(crate) status: u16,
    /// The file it carries; else a page.
    pub(crate) file: Option<usize>,
}

/// The answers that have arrived.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    bytes: Vec<u8>,
    /// All before this is read.
    at: usize,
    /// An answer cannot be whole before so many bytes are there.
    due: usize,
    /// Whole answers, as they were owed.
    pub(crate) whole: usize,
    /// The statuses, in order.
    pub(crate) statuses: Vec<u16>,
    /// The first thing that was wrong.
    pub(crate) wrong: Option<String>,
}

impl Answers {
    /// Further bytes came.
    pub(crate) fn extend(&mut self, bytes: &[u8], expected: &[Expected], files: &[Vec<u8>]) {
        self.bytes.extend_from_slice(bytes);
        while self.wrong.is_none() && self.next(expected, files) {}
    }

    /// Bytes of an answer that is not whole.
    pub(crate) fn loose(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Reads one answer, if it is whole.
    fn next(&mut self, expected: &[Expected], files: &[Vec<u8>]) -> bool {
        if self.bytes.len() < self.due {
            return false;
        }
        let rest = &self.bytes[self.at..];
        let Some(head) = rest.windows(4).position(|w| w == b"\r\n\r\n") else {
            return false;
        };
        let (text, body) = (String::from_utf8_lossy(&rest[..head]), &rest[head + 4..]);
        let status = text.get(9..12).and_then(|digits| digits.parse().ok());
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .and_then(|digits| digits.parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            self.wrong = Some(format!("not a response: {text:?}"));
            return false;
        };
        self.due = self.at + head + 4 + length;
        if body.len() < length {
            return false;
        }
        let body = &body[..length];
        let owed = expected.get(self.whole);
        // Any request may be told to come again when there is no buffer; the client judges that.
        let again = status == 408 && owed.is_some_and(|owed| owed.status != 408);
        let right = owed.is_some_and(|owed| match owed.file {
            Some(file) => body == files[file],
            None => body.starts_with(b"<!doctype html>") && body.ends_with(b"</h1>\n"),
        });
        if !again && (owed.map(|owed| owed.status) != Some(status) || !right) {
            let n = self.whole;
            self.wrong = Some(format!("answer {n} should be {owed:?}: {text:?}"));
        }
        self.at = self.due;
        self.statuses.push(status);
        self.whole += usize::from(!again);
        true
    }
}
