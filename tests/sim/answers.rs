//! What a client was sent, against what it was owed.
//!
//! Owns the site of the simulation, a strict reader of responses, and [`Expected`]. It must not
//! forgive: a status, a length, a chunk, a boundary, a name or a byte that differs is an error.
//! Invariant: an answer counts only when it is whole.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
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
/// The small one.
pub(crate) const SMALL_IN_PARTS: usize = BIG_IN_PARTS + 1;
/// Directories that are listed, under the numbers behind the parts, and how many names they have:
/// what fits one piece, and what needs several, and more than one look at the directory.
const LISTED: [(&str, usize); 2] = [("few/", 9), ("many/", 333)];
/// The small directory.
pub(crate) const FEW: usize = FILES.len() + IN_PARTS.len();
/// The large directory.
pub(crate) const MANY: usize = FEW + 1;
/// The last that can be asked for, the first being [`SMALL`].
pub(crate) const LAST: usize = MANY;

/// What is asked for is a directory.
pub(crate) fn is_listed(one: usize) -> bool {
    one >= FEW
}

/// The names in a listed directory, as they are to be shown: directories first, then the rest, each
/// without regard to case.
fn names(listed: usize) -> Vec<String> {
    let count = LISTED[listed].1;
    let case = |n: usize, name: String| {
        if n % 3 == 0 {
            name.to_uppercase()
        } else {
            name
        }
    };
    let letter = |n: usize| char::from(b'a' + (n * 7 % 26) as u8);
    let dirs = (0..3).map(|n| case(n, format!("{}-directory", letter(n))) + "/");
    let files = (3..count).map(|n| case(n, format!("{}-a-name-of-some-length-{n}", letter(n))));
    let (mut dirs, mut files): (Vec<_>, Vec<_>) = (dirs.collect(), files.collect());
    dirs.sort_by_key(|name| (name.to_lowercase(), name.clone()));
    files.sort_by_key(|name| (name.to_lowercase(), name.clone()));
    dirs.append(&mut files);
    dirs
}

/// What to ask for: a name, and a Range field if it is to come in parts.
pub(crate) fn asked(one: usize) -> (&'static str, String) {
    if is_listed(one) {
        return (LISTED[one - FEW].0, String::new());
    }
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
    let parts = FILES.len()..FEW;
    if parts.contains(&one) { 206 } else { 200 }
}

/// What a file holds: no two places look alike.
fn content(file: usize) -> Vec<u8> {
    let byte = |at: usize| (at / 251 + at * (file + 3)) as u8;
    (0..FILES[file].1).map(byte).collect()
}

/// What is put under a name that says how long it is.
pub(crate) fn kept(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 253 + at * 7) as u8).collect()
}

/// Such a name.
pub(crate) fn kept_name(number: u64, length: usize) -> String {
    format!("{number:x}-{length}")
}

/// Makes a FIFO, and fills it.
fn full_fifo(path: &Path) -> File {
    let _ = std::fs::remove_file(path);
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let mut both = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .unwrap();
    while both.write(&[b'\n'; 4_096]).is_ok() {}
    while both.write(b"\n").is_ok() {}
    both
}

/// A directory with the site, gone with the test.
#[derive(Debug)]
pub(crate) struct Root {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// What its files hold.
    pub(crate) files: Rc<[Vec<u8>]>,
    /// A FIFO that is full.
    pub(crate) stuck: PathBuf,
    /// Its reader, which reads nothing.
    _reader: File,
}

impl Root {
    /// Writes the site.
    pub(crate) fn new(name: &str) -> Self {
        let name = format!("adieu-sim-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("in")).unwrap();
        let files: Rc<[Vec<u8>]> = (0..FILES.len()).map(content).collect();
        for ((name, _), bytes) in FILES.iter().zip(files.iter()) {
            std::fs::write(path.join(name), bytes).unwrap();
        }
        for (at, (directory, _)) in LISTED.iter().enumerate() {
            let directory = path.join(directory);
            for name in names(at) {
                let made = directory.join(&name);
                if name.ends_with('/') {
                    std::fs::create_dir_all(made).unwrap();
                } else {
                    std::fs::write(made, name).unwrap();
                }
            }
        }
        let stuck = path.join(".stuck");
        let reader = full_fifo(&stuck);
        Self {
            path,
            files,
            stuck,
            _reader: reader,
        }
    }

    /// Every file that was put is whole, and nothing else is left.
    pub(crate) fn holds_whole_files(&self) {
        for entry in std::fs::read_dir(self.path.join("in")).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let length = name.rsplit('-').next().unwrap().parse().unwrap();
            assert!(
                std::fs::read(entry.path()).unwrap() == kept(length),
                "{name}"
            );
            std::fs::remove_file(entry.path()).unwrap();
        }
        let stage = self.path.join(".adieu-uploads");
        assert_eq!(std::fs::read_dir(stage).unwrap().count(), 0);
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
    /// It was asked for in HTTP/1.0: what has no length ends with the connection.
    pub(crate) old: bool,
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
    /// The server's FIN was read.
    ended: bool,
}

impl Answers {
    /// Further bytes came.
    pub(crate) fn extend(&mut self, bytes: &[u8], expected: &[Expected], files: &[Vec<u8>]) {
        self.bytes.extend_from_slice(bytes);
        while self.wrong.is_none() && self.next(expected, files) {}
    }

    /// The server's FIN came: it may be the end of an answer.
    pub(crate) fn end(&mut self, expected: &[Expected], files: &[Vec<u8>]) {
        self.ended = true;
        self.extend(&[], expected, files);
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
        let owed = expected.get(self.whole);
        let old = owed.is_some_and(|owed| owed.old) && field(&text, "Connection") == Some("close");
        let (content, length) = match (status, length, chunked) {
            (Some(_), Some(length), false) => {
                self.due = self.at + head + 4 + length;
                if body.len() < length {
                    return false;
                }
                (body[..length].to_vec(), length)
            }
            (Some(_), None, false) if old && self.ended => (body.to_vec(), body.len()),
            (Some(_), None, false) if old => return false,
            (Some(_), None, true) if !old => match unchunked(body) {
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
        // Any request may be told to come again when there is no buffer; the client judges that.
        let again = status == 408 && owed.is_some_and(|owed| owed.status != 408);
        let right = owed.is_some_and(|owed| match owed.file {
            Some(one) => carries(one, status, &text, body, files),
            None if status == 201 => body.is_empty(),
            None => body.starts_with(b"<!doctype html>") && body.ends_with(b"</h1>\n"),
        });
        // Where no work is free, the whole comes instead of parts, and 503 instead of a listing;
        // and where no upload has a place.
        let whole = status == 200 && owed.is_some_and(|owed| owed.status == 206);
        let may_lack = |owed: Expected| owed.status == 201 || owed.file.is_some_and(is_listed);
        let none = status == 503 && owed.copied().is_some_and(may_lack);
        let as_owed = whole || none || owed.map(|owed| owed.status) == Some(status);
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
    if is_listed(one) {
        return match status {
            503 => body.starts_with(b"<!doctype html>") && body.ends_with(b"</h1>\n"),
            _ => lists(one - FEW, body),
        };
    }
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

/// Whether `page` is whole and has every name of the directory, in order.
fn lists(listed: usize, page: &[u8]) -> bool {
    let page = String::from_utf8_lossy(page);
    let rows = page.split("<a href=\"./").skip(1);
    let shown = rows.filter_map(|row| Some(row.split_once('"')?.0));
    let is_whole = page.starts_with("<!doctype html>") && page.ends_with("</html>\n");
    is_whole && shown.eq(names(listed))
}
