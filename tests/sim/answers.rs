//! What a client was sent, against what it was owed.
//!
//! Owns the site of the simulation, a strict reader of responses, and [`Expected`]. It must not
//! forgive: a status, a length, a chunk, a boundary or a byte that differs is an error. Invariant:
//! an answer counts only when it is whole.

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

/// The file that comes in parts under a number behind those of the files, and its ranges: first and
/// last byte. Large parts flow as a file, small ones stand in a buffer.
const IN_PARTS: [(usize, &[(usize, usize)]); 2] = [
    (
        BIG,
        &[(100, 120_099), (299_000, 299_009), (130_000, 280_000)],
    ),
    (1, &[(4_000, 4_999), (10, 1_009)]),
];
/// The large file in parts.
pub(crate) const BIG_IN_PARTS: usize = FILES.len();
/// The last that can be asked for, the first being [`SMALL`].
pub(crate) const LAST: usize = FILES.len() + IN_PARTS.len() - 1;

/// What to ask for: a name, and a Range field if it is to come in parts.
pub(crate) fn asked(one: usize) -> (&'static str, String) {
    let Some((file, ranges)) = one.checked_sub(FILES.len()).map(|at| IN_PARTS[at]) else {
        return (FILES[one].0, String::new());
    };
    let ranges: Vec<_> = ranges.iter().map(|(a, b)| format!("{a}-{b}")).collect();
    (
        FILES[file].0,
        format!("Range: bytes={}\r\n", ranges.join(",")),
    )
}

/// The status that is owed for it.
pub(crate) fn status(one: usize) -> u16 {
    if one < FILES.len() { 200 } else { 206 }
}

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
    /// The file it carries, see [`asked`]; else a page.
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
        let length = field(&text, "Content-Length").and_then(|digits| digits.parse().ok());
        let chunked = field(&text, "Transfer-Encoding") == Some("chunked");
        let (content, length) = match (status, length, chunked) {
            (Some(_), Some(length), false) => {
                self.due = self.at + head + 4 + length;
                if body.len() < length {
                    return false;
                }
                (body[..length].to_vec(), length)
            }
            (Some(_), None, true) => match unchunked(body) {
                Ok(Some(whole)) => whole,
                Ok(None) => return false,
                Err(wrong) => {
                    self.wrong = Some(wrong);
                    return false;
                }
            },
            (_, _, _) => {
                self.wrong = Some(format!("not a response: {text:?}"));
                return false;
            }
        };
        let (status, body) = (status.unwrap_or(0), content.as_slice());
        self.due = self.at + head + 4 + length;
        let owed = expected.get(self.whole);
        // Any request may be told to come again when there is no buffer; the client judges that.
        let again = status == 408 && owed.is_some_and(|owed| owed.status != 408);
        let right = owed.is_some_and(|owed| match owed.file {
            Some(one) => carries(one, status, &text, body, files),
            None => body.starts_with(b"<!doctype html>") && body.ends_with(b"</h1>\n"),
        });
        // Where no work is free, the whole comes instead of parts.
        let whole = status == 200 && owed.is_some_and(|owed| owed.status == 206);
        let as_owed = whole || owed.map(|owed| owed.status) == Some(status);
        let as_owed = as_owed && right;
        if !again && !as_owed {
            let n = self.whole;
            self.wrong = Some(format!("answer {n} should be {owed:?}: {text:?}"));
        }
        self.at = self.due;
        self.statuses.push(status);
        self.whole += usize::from(!again);
        true
    }
}

fn field<'t>(head: &'t str, name: &str) -> Option<&'t str> {
    let mut lines = head.lines();
    lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The content of a body in chunks and how long it is with them; `None`: it is not whole.
fn unchunked(body: &[u8]) -> Result<Option<(Vec<u8>, usize)>, String> {
    let (mut content, mut at) = (vec![], 0);
    loop {
        let rest = &body[at..];
        let Some(line) = rest.windows(2).position(|w| w == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&rest[..line]).unwrap_or("?");
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return Err(format!("not the size of a chunk: {size:?}"));
        };
        let end = line + 2 + size;
        let Some(chunk) = rest.get(line + 2..end + 2) else {
            return Ok(None);
        };
        if !chunk.ends_with(b"\r\n") {
            return Err("a chunk that does not end".to_owned());
        }
        content.extend_from_slice(&chunk[..size]);
        at += end + 2;
        if size == 0 {
            return Ok(Some((content, at)));
        }
    }
}

/// Whether `body` is what was asked for: a file, or its parts and nothing else.
fn carries(one: usize, status: u16, head: &str, body: &[u8], files: &[Vec<u8>]) -> bool {
    let Some((file, ranges)) = one.checked_sub(FILES.len()).map(|at| IN_PARTS[at]) else {
        return body == files[one];
    };
    let file = &files[file];
    if status == 200 {
        return body == file;
    }
    let lead = "multipart/byteranges; boundary=";
    let Some(boundary) = field(head, "Content-Type").and_then(|t| t.strip_prefix(lead)) else {
        return false;
    };
    let mut owed = vec![];
    for (first, last) in ranges {
        let line = if owed.is_empty() { "--" } else { "\r\n--" };
        let media_type = if file.len() == FILES[BIG].1 {
            "application/octet-stream"
        } else {
            "text/plain; charset=utf-8"
        };
        let size = file.len();
        let part = format!(
            "{line}{boundary}\r\nContent-Type: {media_type}\r\n\
             Content-Range: bytes {first}-{last}/{size}\r\n\r\n"
        );
        owed.extend_from_slice(part.as_bytes());
        owed.extend_from_slice(&file[*first..=*last]);
    }
    owed.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body == owed
}
