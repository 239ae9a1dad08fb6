//! Uploads: a root that takes them, requests that make them, and what is left of them.

use super::http::{Answer, read_answer};
use super::root::Root;
use super::server::Server;
use super::{Heard, PATIENCE, eventually, hear};
use adieu::connection::state::Teardown;
use adieu::reactor::teardown::BUILT;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// Where the tests put their files, and the largest.
pub(crate) const RULE: &str = "site.uploads=/inbox 64MiB";
/// One address may have all slots and all places for uploads: all clients here share one.
pub(crate) const CROWD: &str = "limits.connections_per_address=128";
/// The directory of what is not whole.
pub(crate) const STAGE: &str = ".adieu-uploads";
/// This build says goodbye: nobody's send fails.
pub(crate) const LINGERS: bool = matches!(BUILT, Teardown::Linger);

/// A root with an empty directory `inbox`.
pub(crate) fn inbox() -> Root {
    let root = Root::new();
    fs::create_dir(root.path().join("inbox")).expect("a directory");
    root
}

/// A server for it, with these further keys.
pub(crate) fn start(root: &Root, keys: &[&str]) -> Server {
    let mut all = vec![RULE, CROWD];
    all.extend_from_slice(keys);
    Server::start(root.path(), &all)
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut out: Vec<u8> = (0..bytes.div_ceil(8)).flat_map(|_| next()).collect();
    out.truncate(bytes);
    out
}

/// The head of a request that has a body of so many bytes.
pub(crate) fn head(method: &str, target: &str, fields: &str, bytes: usize) -> Vec<u8> {
    let text =
        format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}Content-Length: {bytes}\r\n\r\n");
    text.into_bytes()
}

/// A whole request.
pub(crate) fn put(target: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    [&head("PUT", target, fields, body.len())[..], body].concat()
}

/// The same in chunks of at most so many bytes, with what HTTP allows around them.
pub(crate) fn put_chunked(target: &str, fields: &str, body: &[u8], most: usize) -> Vec<u8> {
    let head =
        format!("PUT {target} HTTP/1.1\r\nHost: h\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    let mut request = head.into_bytes();
    for chunk in body.chunks(most) {
        request.extend_from_slice(format!("{:x};a=\"b\"\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\nDigest: none\r\n\r\n");
    request
}

/// Sends a whole request and reads its answer.
pub(crate) fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Answer {
    stream.write_all(request).expect("a send");
    read_answer(stream, false)
}

/// The answer on a connection of its own.
pub(crate) fn alone(server: &Server, request: &[u8]) -> Answer {
    ask(&mut server.connect(), request)
}

/// A request without a body.
pub(crate) fn bare(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
}

pub(crate) fn get(server: &Server, target: &str) -> Answer {
    alone(server, &bare("GET", target, ""))
}

/// Status and body of a GET.
pub(crate) fn content(server: &Server, target: &str) -> (u16, Vec<u8>) {
    let answer = get(server, target);
    (answer.status, answer.body)
}

/// Sends everything before it reads, as simple clients do. Without an error of the send, `Ok`.
pub(crate) fn say_all_then_hear(
    stream: &mut (impl Read + Write),
    request: &[u8],
) -> (io::Result<()>, Heard) {
    let said = stream.write_all(request);
    (said, hear(stream))
}

/// Names and sizes of what is not whole.
pub(crate) fn unfinished(root: &Root) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    // Without a rule there is none.
    let Ok(entries) = fs::read_dir(root.path().join(STAGE)) else {
        return found;
    };
    for entry in entries {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        // It may have got its name since.
        if let Ok(metadata) = entry.metadata() {
            found.push((name, metadata.len()));
        }
    }
    found
}

/// Nothing unfinished is left, at once or when the server has seen the end.
pub(crate) fn nothing_is_left(root: &Root) {
    eventually("nothing unfinished is left", || unfinished(root).is_empty());
}

/// Names beneath the inbox.
pub(crate) fn names(root: &Root) -> Vec<String> {
    let entries = fs::read_dir(root.path().join("inbox")).expect("a directory");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).into_string().expect("a name"))
        .collect();
    names.sort();
    names
}

/// An upload of which a part has been kept.
pub(crate) struct Half {
    pub(crate) stream: TcpStream,
    body: Vec<u8>,
    kept: usize,
}

impl Half {
    /// Half of `body` is on its way to `target`, and has reached the file.
    pub(crate) fn put(server: &Server, root: &Root, target: &str, body: &[u8]) -> Self {
        Self::on(server.connect(), root, target, body)
    }

    pub(crate) fn on(mut stream: TcpStream, root: &Root, target: &str, body: &[u8]) -> Self {
        let half = body.len() / 2;
        let before = unfinished(root);
        let head = head("PUT", target, "", body.len());
        stream.write_all(&head).expect("a send");
        stream.write_all(&body[..half]).expect("a send");
        let want = u64::try_from(half).expect("a size");
        eventually("half of it is kept", || {
            let now = unfinished(root);
            let new = now
                .iter()
                .find(|(name, _)| before.iter().all(|(n, _)| n != name));
            new.is_some_and(|(_, bytes)| *bytes == want)
        });
        Self {
            stream,
            body: body.to_vec(),
            kept: half,
        }
    }

    /// Sends the rest and reads the answer.
    pub(crate) fn finish(&mut self) -> Answer {
        let rest = self.body[self.kept..].to_vec();
        ask(&mut self.stream, &rest)
    }
}

/// Whether the stream has something to read, or its end; it does not wait.
pub(crate) fn is_answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    !matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
}
