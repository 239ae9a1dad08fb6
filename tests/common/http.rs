//! Answers as a client reads them. Strict, small, for tests only.

use std::io::Read;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }

    /// It says that it is the last.
    pub(crate) fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// Splits `bytes` into whole answers; what is left is the start of one that is not whole.
/// `head_only`: they answer HEAD.
pub(crate) fn answers(bytes: &[u8], head_only: bool) -> (Vec<Answer>, &[u8]) {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let Some((answer, used)) = first(rest, head_only) {
        found.push(answer);
        rest = &rest[used..];
    }
    (found, rest)
}

/// The one whole answer that `bytes` are.
pub(crate) fn only(bytes: &[u8]) -> Answer {
    let (mut found, rest) = answers(bytes, false);
    assert_eq!(found.len(), 1, "{}", String::from_utf8_lossy(bytes));
    assert!(rest.is_empty(), "bytes behind the answer: {rest:?}");
    found.remove(0)
}

/// Reads one answer and not a byte more.
pub(crate) fn read_answer(stream: &mut impl Read, head_only: bool) -> Answer {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a head");
        bytes.push(byte[0]);
    }
    let (mut answer, length) = head(&bytes, head_only).expect("a whole head");
    answer.body = vec![0; length];
    stream.read_exact(&mut answer.body).expect("a body");
    answer
}

fn first(bytes: &[u8], head_only: bool) -> Option<(Answer, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let (mut answer, length) = head(&bytes[..end], head_only)?;
    answer.body = bytes.get(end..end + length)?.to_vec();
    Some((answer, end + length))
}

/// Reads a head; the number is the length of the body that follows.
fn head(bytes: &[u8], head_only: bool) -> Option<(Answer, usize)> {
    let text = std::str::from_utf8(bytes).expect("an answer in ASCII");
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let status = status.parse().expect("a status");
    let fields: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").expect("a field"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let answer = Answer {
        status,
        fields,
        body: Vec::new(),
    };
    let bodiless = head_only || status < 200 || status == 204 || status == 304;
    let length = match answer.field("content-length") {
        Some(digits) if !bodiless => digits.parse().expect("a length"),
        None if !bodiless => panic!("no Content-Length: {text}"),
        _ => 0,
    };
    Some((answer, length))
}
