//! From names on the shelf to a piece of the page.
//!
//! Owns what is asked of a name at the last moment, and when the page is whole. It must not read a
//! directory. Invariants: a listing's mark moves only behind what was written or left out for good;
//! one call looks at a bounded number of names.

use super::html::{self, Sheet};
use super::smallest::{Class, Key};
use super::{LOOKS, Listing, Phase, Shelf, Stock, View};
use crate::site::names::Name;
use crate::site::text::Full;
use std::os::fd::BorrowedFd;

impl Shelf {
    /// Writes what fits: the head, the names that are there, the foot.
    pub(super) fn write(
        &self,
        listing: &mut Listing,
        directory: BorrowedFd<'_>,
        sheet: &mut Sheet<'_>,
        view: &impl View,
    ) {
        if listing.phase == Phase::Head {
            if html::head(sheet, listing.shown.as_bytes(), listing.is_cut).is_err() {
                return;
            }
            listing.phase = Phase::Names;
        }
        let first = self.names.behind(listing.mark.key());
        for place in (first..self.names.len()).take(LOOKS) {
            let full = listing.passed >= self.names_max;
            let Some(key) = self.names.get(place).filter(|_| !full) else {
                break;
            };
            if show(listing, key, directory, sheet, view).is_err() {
                return;
            }
            listing.mark.advance(key);
            listing.passed = listing.passed.saturating_add(1);
        }
        let done = self.names.behind(listing.mark.key()) >= self.names.len();
        let over = done && self.pass.stock != Stock::Front;
        let full = listing.passed >= self.names_max;
        let cut = !over || self.pass.stock == Stock::Cut;
        if (over || full) && html::foot(sheet, listing.entries, cut).is_ok() {
            listing.phase = Phase::Done;
        }
    }
}

/// Writes an entry, if the name still leads to what it was when it was put in order. One that
/// turned from a file into a directory would stand among the files.
fn show(
    listing: &mut Listing,
    key: Key<'_>,
    directory: BorrowedFd<'_>,
    sheet: &mut Sheet<'_>,
    view: &impl View,
) -> Result<(), Full> {
    let (class, name) = key;
    let found = Name::new(name).ok();
    let stat = found.and_then(|name| view.look(&listing.home, directory, &name));
    let Some(stat) = stat.filter(|stat| Class::of(stat.kind) == Some(class)) else {
        return Ok(());
    };
    html::entry(sheet, class, name, &stat)?;
    listing.entries = listing.entries.saturating_add(1);
    Ok(())
}
