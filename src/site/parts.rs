//! Several ranges of a file in one answer: multipart/byteranges (RFC 9110 section 14.6).
//!
//! Owns the boundaries, the heads of the parts and the order in which all comes. It must not choose
//! the ranges. Invariants: the length that is declared is made by the same code that writes; a part
//! that fits behind its head is read and leaves with it, a larger one leaves as a part of the file.

use super::mime::{Type, VALUE_BYTES};
use super::range::{Part, Ranges};
use super::text::Text;
use super::work::Piece;
use crate::config::Coding;
use crate::connection::reply::Decimal;
use crate::sys::file;
use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;

/// Length of a boundary: 128 bits in hexadecimal.
const BOUNDARY_BYTES: usize = 32;

/// What separates the parts of one answer.
type Boundary = [u8; BOUNDARY_BYTES];

/// The source of boundaries: a number hashed with the keys that the standard library draws once for
/// each process. Who writes a file that is served cannot know the next one.
#[derive(Debug)]
pub(super) struct Boundaries {
    keys: RandomState,
    next: Cell<u64>,
}

impl Boundaries {
    /// Draws the keys.
    pub(super) fn new() -> Self {
        Self {
            keys: RandomState::new(),
            next: Cell::new(0),
        }
    }

    /// One that was not given before.
    pub(super) fn next(&self) -> Boundary {
        let number = self.next.get();
        self.next.set(number.wrapping_add(2));
        let halves = [number, number.wrapping_add(1)].map(|n| self.keys.hash_one(n).to_be_bytes());
        let mut boundary = [b'0'; BOUNDARY_BYTES];
        for (pair, byte) in boundary.chunks_exact_mut(2).zip(halves.iter().flatten()) {
            pair.copy_from_slice(&[letter(byte >> 4), letter(byte & 15)]);
        }
        boundary
    }
}

/// A hexadecimal digit.
fn letter(digit: u8) -> u8 {
    if digit < 10 {
        b'0' + digit
    } else {
        b'a' + (digit - 10)
    }
}

/// The value of Content-Range (RFC 9110 section 14.4).
#[derive(Debug)]
pub(super) struct ContentRange {
    first: Decimal,
    last: Decimal,
    size: Decimal,
}

impl ContentRange {
    /// For a part of `size` bytes.
    pub(super) fn new(part: Part, size: u64) -> Self {
        let last = part.first.saturating_add(part.length).saturating_sub(1);
        Self {
            first: Decimal::new(part.first),
            last: Decimal::new(last),
            size: Decimal::new(size),
        }
    }

    /// Its words, in a row.
    pub(super) fn words(&self) -> [&[u8]; 6] {
        [
            b"bytes ",
            self.first.as_bytes(),
            b"-",
            self.last.as_bytes(),
            b"/",
            self.size.as_bytes(),
        ]
    }
}

/// The parts that are still to be sent.
#[derive(Debug)]
pub struct Parts {
    ranges: Ranges,
    /// How many of them were sent.
    sent: usize,
    /// Bytes of the representation.
    size: u64,
    media_type: Text<VALUE_BYTES>,
    coding: Option<Coding>,
    boundary: Boundary,
    /// Bytes of the whole content.
    length: u64,
}

impl Parts {
    /// An answer with these ranges of `size` bytes. `None` when it would be longer than the whole.
    pub(super) fn new(
        ranges: Ranges,
        size: u64,
        media_type: Type<'_>,
        coding: Option<Coding>,
        boundary: Boundary,
    ) -> Option<Self> {
        let mut parts = Self {
            ranges,
            sent: 0,
            size,
            media_type: media_type.text(),
            coding,
            boundary,
            length: 0,
        };
        parts.length = parts.measure().filter(|length| *length <= size)?;
        Some(parts)
    }

    /// Bytes of the content.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// What separates the parts.
    pub(super) fn boundary(&self) -> &[u8] {
        &self.boundary
    }

    fn measure(&self) -> Option<u64> {
        let mut sum = Some(0_u64);
        let mut add = |bytes: u64| sum = sum.and_then(|sum| sum.checked_add(bytes));
        let mut count = |bytes: &[u8]| add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        for (index, part) in self.ranges.as_slice().iter().enumerate() {
            self.head(index, *part, &mut count);
        }
        self.tail(&mut count);
        for part in self.ranges.as_slice() {
            add(part.length);
        }
        sum
    }

    /// What stands before a part (RFC 2046 section 5.1.1). A part of a coded file says so itself.
    fn head(&self, index: usize, part: Part, put: &mut impl FnMut(&[u8])) {
        if index > 0 {
            put(b"\r\n");
        }
        put(b"--");
        put(&self.boundary);
        put(b"\r\nContent-Type: ");
        put(self.media_type.as_bytes());
        if let Some(coding) = self.coding {
            put(b"\r\nContent-Encoding: ");
            put(coding.name().as_bytes());
        }
        put(b"\r\nContent-Range: ");
        for word in ContentRange::new(part, self.size).words() {
            put(word);
        }
        put(b"\r\n\r\n");
    }

    /// What stands behind the last part.
    fn tail(&self, put: &mut impl FnMut(&[u8])) {
        put(b"\r\n--");
        put(&self.boundary);
        put(b"--\r\n");
    }

    /// The next piece.
    ///
    /// # Errors
    /// The file became shorter or cannot be read, or `room` is too small for one head.
    pub(super) fn produce(&mut self, file: BorrowedFd<'_>, room: &mut [u8]) -> io::Result<Piece> {
        let mut pen = Pen::new(room);
        let mut bytes = 0;
        while let Some(part) = self.ranges.as_slice().get(self.sent).copied() {
            self.head(self.sent, part, &mut |bytes| pen.put(bytes));
            if !pen.fits {
                return some(bytes);
            }
            self.sent += 1;
            let Some(into) = pen.take(part.length) else {
                return Ok(Piece {
                    bytes: pen.len,
                    file: Some((part.first, part.length)),
                    last: false,
                });
            };
            file::read_whole(file, into, part.first)?;
            bytes = pen.len;
        }
        self.tail(&mut |bytes| pen.put(bytes));
        if !pen.fits {
            return some(bytes);
        }
        Ok(Piece {
            bytes: pen.len,
            file: None,
            last: true,
        })
    }
}

/// A piece of so many bytes, of which there must be some.
fn some(bytes: usize) -> io::Result<Piece> {
    if bytes == 0 {
        return Err(ErrorKind::StorageFull.into());
    }
    Ok(Piece {
        bytes,
        file: None,
        last: false,
    })
}

/// Writes into a room as far as it goes.
struct Pen<'r> {
    room: &'r mut [u8],
    len: usize,
    fits: bool,
}

impl<'r> Pen<'r> {
    fn new(room: &'r mut [u8]) -> Self {
        Self {
            room,
            len: 0,
            fits: true,
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        match self.room.get_mut(self.len..end) {
            Some(room) if self.fits => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            Some(_) | None => self.fits = false,
        }
    }

    /// Room for so many bytes, if there is.
    fn take(&mut self, bytes: u64) -> Option<&mut [u8]> {
        let end = self.len.checked_add(usize::try_from(bytes).ok()?)?;
        let room = self.room.get_mut(self.len..end)?;
        self.len = end;
        Some(room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::mime::Types;
    use crate::site::range::{Selection, select};
    use crate::site::tests::Folder;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    fn parts(ranges: &str, size: u64, coding: Option<Coding>) -> Option<Parts> {
        let Selection::Parts(ranges) = select(ranges.as_bytes(), size) else {
            panic!("{ranges} of {size}");
        };
        let types = Types::new(&[], "");
        let media_type = types.of_name(b"a.txt");
        Parts::new(ranges, size, media_type, coding, [b'B'; BOUNDARY_BYTES])
    }

    /// All pieces through rooms of this size.
    fn whole(mut parts: Parts, file: &fs::File, room_bytes: usize) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let mut room = vec![0; room_bytes];
            let piece = parts.produce(file.as_fd(), &mut room)?;
            assert!(piece.last || piece.bytes > 0, "a piece of nothing");
            all.extend_from_slice(&room[..piece.bytes]);
            if let Some((offset, length)) = piece.file {
                let mut bytes = vec![0; usize::try_from(length).unwrap()];
                file.read_exact_at(&mut bytes, offset)?;
                all.extend_from_slice(&bytes);
            }
            if piece.last {
                return Ok(all);
            }
        }
    }

    #[test]
    fn a_room_of_any_size_gives_the_same_bytes() {
        let folder = Folder::new();
        let bytes: Vec<u8> = (0..2000_u32)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect();
        fs::write(folder.path("f"), &bytes).unwrap();
        let file = fs::File::open(folder.path("f")).unwrap();
        let ranges = "bytes=1000-1009,0-299,500-500";
        let boundary = "B".repeat(BOUNDARY_BYTES);
        let mut expected = Vec::new();
        for (lead, first, last) in [("", 1000, 1009), ("\r\n", 0, 299), ("\r\n", 500, 500)] {
            let head = format!(
                "{lead}--{boundary}\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\n\
                 Content-Range: bytes {first}-{last}/2000\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&bytes[first..=last]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        for room_bytes in 140..1000 {
            let parts = parts(ranges, 2000, Some(Coding::Gzip)).unwrap();
            assert_eq!(parts.length(), u64::try_from(expected.len()).unwrap());
            let made = whole(parts, &file, room_bytes).unwrap();
            assert!(made == expected, "a room of {room_bytes}");
        }
        let parts = parts(ranges, 2000, None).unwrap();
        assert!(whole(parts, &file, 50).is_err(), "not one head fits");
    }

    #[test]
    fn a_file_that_shrank_cannot_be_completed() {
        let folder = Folder::new();
        fs::write(folder.path("f"), [b'x'; 700]).unwrap();
        let file = fs::File::open(folder.path("f")).unwrap();
        let parts = parts("bytes=0-9,995-999", 1000, None).unwrap();
        assert!(whole(parts, &file, 2048).is_err());
    }

    #[test]
    fn what_is_longer_than_the_whole_is_not_made() {
        assert!(parts("bytes=0-0,100-100", 400, None).is_some());
        assert!(parts("bytes=0-0,100-100", 200, None).is_none());
        // Nor does the sum overflow.
        let half = u64::MAX / 2;
        let ranges = format!("bytes=0-{half},{}-", half + 100);
        assert!(parts(&ranges, u64::MAX, None).is_none());
    }

    #[test]
    fn no_boundary_comes_twice() {
        let ours = Boundaries::new();
        let mut all: Vec<Boundary> = (0..1000).map(|_| ours.next()).collect();
        all.extend((0..1000).map(|_| Boundaries::new().next()));
        assert!(all.iter().flatten().all(u8::is_ascii_hexdigit));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }
}
