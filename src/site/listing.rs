//! A directory as a page, made piece by piece in fixed memory.
//!
//! Owns the shelf on which the next names of one directory lie, the passes over directories that
//! fill it, and the state of each listing. It must not write a reply's head, keep a directory open
//! or decide when a piece is wanted. Invariants: a listing moves forward only, so that no name
//! comes twice in one class, whatever happens to the directory meanwhile; every call does a bounded
//! amount of work; nothing is allocated after [`Shelf::new`].
//!
//! The caller asks [`Shelf::prepare`] once a turn, and only while a piece could be taken; at
//! [`Prepared::Ready`] it calls [`Shelf::produce`] in the same turn. A listing that ends, in
//! whatever way, is given to [`Shelf::release`].
//!
//! Why so: `docs/decisions/0015-a-sorted-listing-in-fixed-memory.md`.

mod date;
mod html;
mod sieve;
mod smallest;
mod turns;
mod view;
mod writing;

pub(super) use view::{Policy, View};

use super::text::Text;
use super::work::{Piece, Place, Prepared};
use crate::connection::time::Ms;
use crate::sys::{directory, file};
use html::Sheet;
use sieve::Sieve;
use smallest::{Mark, Smallest, compare};
use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use turns::Turns;
use view::Home;

/// This build lists directories. The tests beside the code do so in every build.
pub(super) const BUILT: bool = cfg!(any(feature = "listing", test));

/// Names that lie on the shelf.
const CELLS: u16 = 256;
/// Bytes of names that one call reads from a directory.
const RECORDS_BYTES: usize = 16 * 1024;
/// What any record fits into: a name of 255 characters in UTF-8, as some file systems have them.
const RECORD_BYTES: usize = 1024;
/// Names that one call looks at, one statx(2) each and the steps of links.
const LOOKS: usize = 64;
/// Calls that one pass over a directory may take. One that grows faster than it is read would have
/// no end; 256 MiB of names have one.
const STEPS: u32 = 16 * 1024;
/// Names that one listing goes over, shown or not.
const NAMES: u64 = 262_144;
/// Room that any part of the page fits into, and so the least that a piece can be.
pub(super) const PART_BYTES: usize = 4096;
/// The end of a path that a page names: escaped, it stands twice in the head.
const SHOWN_BYTES: usize = 144;
/// The largest state of one listing.
const LISTING_BYTES: usize = 736;

const _: () = assert!(size_of::<Listing>() <= LISTING_BYTES);

/// How far a listing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Names,
    Done,
}

/// The state of one listing.
#[derive(Debug)]
pub struct Listing {
    /// Counts up from listing to listing, and shares its count with passes.
    id: u64,
    /// Drawn when it first waits for the shelf; 0: it does not wait.
    ticket: u64,
    home: Home,
    /// The end of the path that was asked for.
    shown: Text<SHOWN_BYTES>,
    /// `shown` is not all of the path.
    is_cut: bool,
    phase: Phase,
    /// All names up to here are done.
    mark: Mark,
    /// Names gone over.
    passed: u64,
    /// Entries on the page.
    entries: u64,
}

/// What is on the shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stock {
    /// Nothing of use.
    Nothing,
    /// A part of what there is.
    Growing,
    /// The smallest names; there are more behind them.
    Front,
    /// All names there were.
    All,
    /// What was found until there was too much of it.
    Cut,
}

/// One way through a directory.
#[derive(Debug)]
struct Pass {
    stock: Stock,
    /// When it began, in the count of listings.
    number: u64,
    home: Home,
    /// It gathers what lies behind.
    after: Mark,
    steps: u32,
}

/// The next names of one directory; all listings of all sites share it. Made at the start.
#[derive(Debug)]
pub(super) struct Shelf {
    names: Smallest,
    records: Box<[u8]>,
    pass: Pass,
    turns: Turns,
    /// The last number given to a listing, a ticket or a pass.
    count: Cell<u64>,
    /// [`NAMES`], less in tests.
    names_max: u64,
}

impl Shelf {
    /// Allocates all that listings ever need, [`Shelf::BYTES`].
    pub(super) fn new() -> Self {
        Self::sized(CELLS, NAMES)
    }

    /// What it takes, in bytes; the names, their order, and the records.
    pub(super) const BYTES: usize = 256 * 256 + 256 * 4 + RECORDS_BYTES;

    fn sized(cells: u16, names_max: u64) -> Self {
        let pass = Pass {
            stock: Stock::Nothing,
            number: 0,
            home: Home::NOWHERE,
            after: Mark::START,
            steps: 0,
        };
        Self {
            names: Smallest::new(cells),
            records: vec![0; RECORDS_BYTES].into_boxed_slice(),
            pass,
            turns: Turns::default(),
            count: Cell::new(0),
            names_max,
        }
    }

    /// A listing of `directory`, open for reading. `path` is what was asked for, decoded and
    /// without a slash at either end; `way` is [`Walk::way`](super::walk::Walk::way), and `place`
    /// says whose policy will be asked.
    pub(super) fn list(
        &self,
        path: &[u8],
        way: &[u8],
        place: Place,
        directory: BorrowedFd<'_>,
    ) -> io::Result<Listing> {
        if !BUILT {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let stat = file::stat(directory)?;
        let (end, is_cut) = end_of(path);
        let mut shown = Text::new();
        let _ = shown.push(end); // it fits: it was cut to
        Ok(Listing {
            id: self.draw(),
            ticket: 0,
            home: Home::new(place, &stat, path.is_empty(), way),
            shown,
            is_cut,
            phase: Phase::Head,
            mark: Mark::START,
            passed: 0,
            entries: 0,
        })
    }

    /// One step towards the next piece: at most 16 KiB of names are read, at most 64 looked at.
    ///
    /// # Errors
    ///
    /// The directory cannot be read: the page will not be whole, and the response must say so by
    /// its end. One that was removed is empty instead.
    pub(super) fn prepare(
        &mut self,
        listing: &mut Listing,
        directory: BorrowedFd<'_>,
        view: &impl View,
        now: Ms,
    ) -> io::Result<Prepared> {
        if !BUILT || listing.phase == Phase::Done {
            return Ok(Prepared::Ready);
        }
        if self.serves(listing) {
            listing.ticket = 0;
            self.turns.comes(listing.id, now);
            return Ok(Prepared::Ready);
        }
        let growing = self.pass.stock == Stock::Growing && self.turns.holds(listing.id);
        if !growing {
            if listing.ticket == 0 {
                listing.ticket = self.draw();
            }
            if !self.turns.ask(listing.id, listing.ticket, now) {
                return Ok(Prepared::Wait);
            }
            listing.ticket = 0;
            self.begin(listing);
        }
        match self.step(directory, view) {
            Ok(Stock::Growing) => {
                self.turns.touch(now);
                Ok(Prepared::Later)
            }
            Ok(_) => {
                self.turns.gathered(now);
                Ok(Prepared::Ready)
            }
            Err(error) => {
                self.release(listing);
                Err(error)
            }
        }
    }

    /// Writes the next piece into `room`, of [`PART_BYTES`] or more. It is never empty while the
    /// listing is ready; if it is not, it is empty and not the last.
    ///
    /// # Errors
    ///
    /// `room` is too small.
    pub(super) fn produce(
        &mut self,
        listing: &mut Listing,
        directory: BorrowedFd<'_>,
        room: &mut [u8],
        view: &impl View,
    ) -> io::Result<Piece> {
        if !BUILT || room.len() < PART_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut sheet = Sheet::new(room);
        if listing.phase != Phase::Done && self.serves(listing) {
            self.turns.served();
            self.write(listing, directory, &mut sheet, view);
            if sheet.len() == 0 {
                // Everything looked at has vanished. An empty chunk would end the response.
                let _ = sheet.put(b"\n");
            }
        }
        Ok(Piece {
            bytes: sheet.len(),
            file: None,
            last: listing.phase == Phase::Done,
        })
    }

    /// The listing ends here. What it held is free for others.
    pub(super) fn release(&mut self, listing: &Listing) {
        let held = self.turns.leave(listing.id);
        if held && self.pass.stock == Stock::Growing {
            self.pass.stock = Stock::Nothing;
        }
    }

    fn draw(&self) -> u64 {
        self.count.set(self.count.get().wrapping_add(1));
        self.count.get()
    }

    /// What is on the shelf has the next names of this listing, or says that there are none. A pass
    /// that began before the listing did is not good enough: who asks after a change sees it.
    fn serves(&self, listing: &Listing) -> bool {
        let (pass, mark) = (&self.pass, listing.mark.key());
        let goes_on = match pass.stock {
            Stock::Nothing | Stock::Growing => return false,
            Stock::Front => self.names.last().is_some_and(|l| compare(mark, l).is_lt()),
            Stock::All | Stock::Cut => true,
        };
        goes_on
            && pass.number > listing.id
            && compare(pass.after.key(), mark).is_le()
            && pass.home.is(&listing.home)
    }

    /// Empties the shelf for the names behind the listing's mark.
    fn begin(&mut self, listing: &Listing) {
        self.names.clear();
        self.pass = Pass {
            stock: Stock::Growing,
            number: self.draw(),
            home: listing.home.clone(),
            after: listing.mark.clone(),
            steps: 0,
        };
    }

    /// Reads on. [`Stock::Growing`]: there is more to read.
    fn step(&mut self, directory: BorrowedFd<'_>, view: &impl View) -> io::Result<Stock> {
        if self.pass.steps == 0 {
            directory::seek(directory, 0)?;
        }
        self.pass.steps = self.pass.steps.saturating_add(1);
        if self.pass.steps > STEPS {
            self.pass.stock = Stock::Cut;
            return Ok(self.pass.stock);
        }
        let mut bytes = RECORDS_BYTES;
        let mut sieve = Sieve {
            names: &mut self.names,
            home: &self.pass.home,
            after: self.pass.after.key(),
            directory,
            view,
            looks: LOOKS,
        };
        while bytes >= RECORD_BYTES && sieve.looks > 0 {
            let room = self.records.get_mut(..bytes).unwrap_or_default();
            let entries = match directory::read(directory, room) {
                Ok(entries) if entries.bytes() > 0 => entries,
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(_) | Err(_) => {
                    let front = self.names.has_more();
                    self.pass.stock = if front { Stock::Front } else { Stock::All };
                    break;
                }
            };
            bytes = bytes.saturating_sub(entries.bytes());
            sieve.sift(entries)?;
        }
        Ok(self.pass.stock)
    }
}

/// The end of a path that a page can name, and whether something is missing before it. A character
/// is not cut in two.
fn end_of(path: &[u8]) -> (&[u8], bool) {
    let start = path.len().saturating_sub(SHOWN_BYTES);
    if start == 0 {
        return (path, false);
    }
    let end = path.get(start..).unwrap_or_default();
    let rest = end.iter().take(3).take_while(|&&b| b & 0xc0 == 0x80);
    (end.get(rest.count()..).unwrap_or_default(), true)
}

#[cfg(test)]
mod tests;
