//! Whole listings of real directories, against a naive model.

use super::smallest::{Class, compare};
use super::turns::STALL_MS;
use super::{
    CELLS, Home, Listing, NAMES, PART_BYTES, Phase, Piece, Policy, Prepared, RECORDS_BYTES, Shelf,
    View,
};
use crate::config::{Dotfiles, Symlinks};
use crate::connection::time::Ms;
use crate::site::names::Name;
use crate::site::tests::Folder;
use crate::site::walk::{Found, Refusal, Tree};
use crate::site::work::Place;
use crate::sys::file::{self, Kind, Stat};
use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

/// Far more calls than any listing here needs; only an endless one meets it.
const CALLS: usize = 200_000;

/// Chance that comes again: xorshift.
pub(super) struct Chance(pub(super) u32);

impl Chance {
    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        usize::try_from(self.0).unwrap() % end
    }

    fn name(&mut self, longest: usize) -> Vec<u8> {
        // Few letters, so that names are alike, and now and then any byte at all.
        let letter = |chance: &mut Self| match chance.below(4) {
            0 => u8::try_from(1 + chance.below(255)).unwrap(),
            _ => b"aAbB.:&\xc3\xa4"[chance.below(9)],
        };
        loop {
            let length = 1 + self.below(longest);
            let name: Vec<u8> = (0..length).map(|_| letter(self)).collect();
            if name != b"." && name != b".." && !name.contains(&b'/') {
                return name;
            }
        }
    }
}

/// The state of a file of this size and age.
pub(super) const fn stat(size: u64, modified_s: i64) -> Stat {
    Stat {
        kind: Kind::Regular,
        size,
        inode: 1,
        device: 1,
        modified_s,
        modified_ns: 0,
        changed_s: 0,
        changed_ns: 0,
        mode: 0o100_644,
    }
}

/// A tree that is served, and how.
struct World {
    folder: Folder,
    root: OwnedFd,
    canonical: PathBuf,
    symlinks: Symlinks,
    dotfiles: Dotfiles,
    place: Place,
}

impl World {
    fn new() -> Self {
        let folder = Folder::new();
        fs::create_dir_all(folder.path("root")).unwrap();
        let canonical = folder.path("root").canonicalize().unwrap();
        Self {
            root: file::open_root(&canonical).unwrap(),
            canonical,
            folder,
            symlinks: Symlinks::Within,
            dotfiles: Dotfiles::Hide,
            place: Place { host: 0, root: 0 },
        }
    }

    /// A path in the root.
    fn path(&self, name: &[u8]) -> PathBuf {
        self.canonical.join(OsStr::from_bytes(name))
    }

    fn file(&self, name: &[u8]) {
        fs::write(self.path(name), "").unwrap();
    }

    fn folder(&self, name: &[u8]) {
        fs::create_dir_all(self.path(name)).unwrap();
    }

    fn link(&self, target: &str, name: &str) {
        symlink(target, self.path(name.as_bytes())).unwrap();
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            tree: Tree {
                root: self.root.as_fd(),
                canonical: self.canonical.as_os_str().as_bytes(),
                symlinks: self.symlinks,
                hidden: &[],
                eyes: None,
            },
            dotfiles: self.dotfiles,
        }
    }

    /// Begins a listing as the site would.
    fn open(&self, shelf: &mut Shelf, path: &[u8]) -> Reader {
        let mut walk = self.policy().tree.walk();
        assert!(matches!(walk.open(path, b""), Ok(Found::Directory)));
        let directory = walk.list().unwrap();
        let listing = shelf.list(path, walk.way(), self.place, directory.as_fd());
        let listing = listing.unwrap();
        Reader {
            directory,
            listing,
            page: Vec::new(),
            pieces: 0,
        }
    }

    /// The whole page, in pieces of this size.
    fn page(&self, path: &[u8], room: usize) -> Vec<u8> {
        let mut shelf = Shelf::new();
        let mut reader = self.open(&mut shelf, path);
        reader.finish(&mut shelf, &self.policy(), room);
        reader.page
    }

    /// What stands on the page of the directory.
    fn shown(&self, path: &str) -> Vec<String> {
        let names = names(&self.page(path.as_bytes(), 8192));
        let text = |name: Vec<u8>| String::from_utf8(name).unwrap();
        names.into_iter().map(text).collect()
    }
}

/// Somebody who reads a listing.
struct Reader {
    directory: OwnedFd,
    listing: Listing,
    page: Vec<u8>,
    pieces: usize,
}

impl Reader {
    fn prepare(&mut self, shelf: &mut Shelf, view: &impl View, now: Ms) -> Prepared {
        let directory = self.directory.as_fd();
        let prepared = shelf.prepare(&mut self.listing, directory, view, now);
        prepared.unwrap()
    }

    fn produce(&mut self, shelf: &mut Shelf, view: &impl View, room: usize) -> Piece {
        let mut room = vec![b'?'; room];
        let directory = self.directory.as_fd();
        let piece = shelf.produce(&mut self.listing, directory, &mut room, view);
        let piece = piece.unwrap();
        self.page.extend_from_slice(&room[..piece.bytes]);
        self.pieces += 1;
        piece
    }

    /// One turn of the loop; true at the end of the page.
    fn turn(&mut self, shelf: &mut Shelf, view: &impl View, room: usize, now: Ms) -> bool {
        match self.prepare(shelf, view, now) {
            Prepared::Later | Prepared::Wait => false,
            Prepared::Ready => {
                let piece = self.produce(shelf, view, room);
                assert!(piece.bytes > 0);
                if piece.last {
                    shelf.release(&self.listing);
                }
                piece.last
            }
        }
    }

    /// Alone to the end; how many turns that took.
    fn finish(&mut self, shelf: &mut Shelf, view: &impl View, room: usize) -> usize {
        (1..CALLS)
            .find(|_| self.turn(shelf, view, room, Ms(0)))
            .expect("an end")
    }
}

/// The names on a page, from its references; directories with a slash.
fn names(page: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(page).expect("a page in UTF-8");
    assert!(text.starts_with("<!doctype html>"), "{text}");
    assert!(text.ends_with("</html>\n"), "{text}");
    text.split("<a href=\"./")
        .skip(1)
        .map(|row| decoded(row.split_once('"').unwrap().0))
        .collect()
}

fn decoded(reference: &str) -> Vec<u8> {
    let mut parts = reference.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

/// The order of a page, by sorting everything.
fn model(mut all: Vec<(Class, Vec<u8>)>) -> Vec<Vec<u8>> {
    all.sort_by(|a, b| {
        let folded = |name: &[u8]| name.to_ascii_lowercase();
        (a.0, folded(&a.1), &a.1).cmp(&(b.0, folded(&b.1), &b.1))
    });
    let slashed = |(class, mut name): (Class, Vec<u8>)| {
        if class == Class::Directory {
            name.push(b'/');
        }
        name
    };
    all.into_iter().map(slashed).collect()
}

/// Fills the root by chance, and answers the model of its page.
fn fill(world: &World, chance: &mut Chance, count: usize, longest: usize) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for _ in 0..count {
        let name = chance.name(longest);
        if fs::symlink_metadata(world.path(&name)).is_ok() {
            continue;
        }
        let class = [Class::Directory, Class::File, Class::File][chance.below(3)];
        match (class, chance.below(4)) {
            (Class::Directory, 0) => symlink(".", world.path(&name)).unwrap(),
            (Class::Directory, _) => world.folder(&name),
            (Class::File, _) => world.file(&name),
        }
        if !name.starts_with(b".") {
            all.push((class, name));
        }
    }
    model(all)
}

// ---- alone ------------------------------------------------------------------------------------

#[test]
fn pages_hold_everything_in_order_at_any_size() {
    let mut chance = Chance(0x00c0_ffee);
    for round in 0..40 {
        let world = World::new();
        let (count, longest) = (chance.below(60), [1, 3, 20, 255][chance.below(4)]);
        let want = fill(&world, &mut chance, count, longest);
        let room = PART_BYTES + chance.below(PART_BYTES);
        assert_eq!(names(&world.page(b"", room)), want, "round {round}");
        // A shelf of any size gives the same.
        let mut shelf = Shelf::sized(u16::try_from(1 + chance.below(9)).unwrap(), NAMES);
        let mut reader = world.open(&mut shelf, b"");
        reader.finish(&mut shelf, &world.policy(), room);
        assert_eq!(names(&reader.page), want, "round {round}");
    }
}

#[test]
fn ten_thousand_long_names_come_whole_and_in_order() {
    let world = World::new();
    let name = |number: usize| {
        // Neither in the order of their making nor of their bytes.
        let mixed = number * 7919 % 10_000;
        format!("{}{mixed:0250}", ["File", "fILE"][number % 2]) + "x"
    };
    let mut all = Vec::new();
    for number in 0..10_000 {
        let name = name(number).into_bytes();
        assert_eq!(name.len(), 255);
        world.file(&name);
        all.push((Class::File, name));
    }
    let mut shelf = Shelf::new();
    let cells = (shelf.records.as_ptr(), shelf.records.len());
    let mut reader = world.open(&mut shelf, b"");
    let (mut calls, mut before) = (0, shelf.count.get());
    let mut passes = 0;
    while !reader.turn(&mut shelf, &world.policy(), 8192, Ms(0)) {
        calls += 1;
        passes += shelf.count.get() - before - u64::from(shelf.count.get() - before > 1);
        before = shelf.count.get();
    }
    assert_eq!(names(&reader.page), model(all));
    assert!(
        reader
            .page
            .ends_with(b"<p>10000 entries.</p>\n</body>\n</html>\n")
    );
    // 256 names in each pass, and a ticket for each.
    assert_eq!(passes, 10_000_u64.div_ceil(u64::from(CELLS)));
    // 280 bytes of record for each name: 58 names in a call.
    let steps = usize::try_from(passes).unwrap() * 10_000_usize.div_ceil(50);
    println!("{calls} calls, {} pieces, {passes} passes", reader.pieces);
    assert!(calls < steps + reader.pieces);
    assert_eq!(cells, (shelf.records.as_ptr(), shelf.records.len()));
    assert_eq!(shelf.names.len(), 10_000 % usize::from(CELLS));
}

#[test]
fn nothing_is_a_page_too() {
    let world = World::new();
    let page = world.page(b"", PART_BYTES);
    assert!(names(&page).is_empty());
    let text = String::from_utf8(page).unwrap();
    assert!(text.contains("<p>Nothing here.</p>") && text.contains("<title>Index of /</title>"));
    // One call to prepare, one to produce.
    world.file(b"x");
    let mut shelf = Shelf::new();
    let mut reader = world.open(&mut shelf, b"");
    assert_eq!(reader.finish(&mut shelf, &world.policy(), PART_BYTES), 1);
    // Whoever asks again is told that it is over.
    assert_eq!(
        reader.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Ready
    );
    let piece = reader.produce(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!((piece.bytes, piece.last), (0, true));
}

#[test]
fn sizes_and_dates_are_those_of_the_file() {
    let world = World::new();
    world.folder(b"d");
    let file = fs::File::create(world.path(b"d/f")).unwrap();
    file.set_len(1_258_291).unwrap();
    let touched = Command::new("touch")
        .args(["-d", "2040-02-03T04:05:06Z"])
        .arg(world.path(b"d/f"))
        .status();
    assert!(touched.unwrap().success());
    let page = String::from_utf8(world.page(b"d", PART_BYTES)).unwrap();
    assert!(page.contains("<title>Index of /d/</title>"));
    assert!(page.contains("<a href=\"../\">../</a>"));
    let row = "<tr><td><a href=\"./f\">f</a><td title=\"1258291 bytes\">1.2 MiB\
               <td><time datetime=\"2040-02-03T04:05Z\">2040-02-03 04:05</time>\n";
    assert!(page.contains(row), "{page}");
}

#[test]
fn a_long_path_is_named_by_its_end() {
    let world = World::new();
    let path = ["\u{e4}".repeat(100), "x".repeat(100), "\u{6f22}".repeat(41)].join("/");
    world.folder(path.as_bytes());
    for room in [PART_BYTES, 8192] {
        let page = String::from_utf8(world.page(path.as_bytes(), room)).unwrap();
        let title = page.split_once("<title>Index of ").unwrap().1;
        let title = title.split_once("</title>").unwrap().0;
        let end = title.strip_prefix('\u{2026}').unwrap();
        assert!(
            format!("{path}/").ends_with(end) && end.len() > 130,
            "{title}"
        );
    }
}

// ---- what is shown ----------------------------------------------------------------------------

#[test]
fn links_are_shown_as_what_they_lead_to_by_the_policy() {
    let mut world = World::new();
    fs::write(world.folder.path("out"), "secret").unwrap();
    world.folder(b"a/b/sub");
    world.folder(b"other");
    world.file(b"other/file");
    world.file(b"a/b/plain");
    let canonical = world.canonical.to_str().unwrap().to_owned();
    for (target, name) in [
        ("plain", "l-file"),
        ("sub", "l-dir"),
        ("../../other", "l-up-dir"),
        ("../../other/file", "l-up-file"),
        ("sub/../../b/plain", "l-round"),
        ("l-file", "l-l-file"),
        ("none", "x-dangling"),
        ("x-self", "x-self"),
        ("../../../out", "y-out"),
        ("/etc/passwd", "y-abs-out"),
        ("../../..", "y-above"),
        (&format!("{canonical}/other/file"), "l-abs-in"),
    ] {
        world.link(target, &format!("a/b/{name}"));
    }
    world.link("a/b", "way");
    let inside = [
        "l-dir/",
        "l-up-dir/",
        "sub/",
        "l-abs-in",
        "l-file",
        "l-l-file",
        "l-round",
    ];
    let inside = [&inside[..], &["l-up-file", "plain"]].concat();
    assert_eq!(world.shown("a/b"), inside);
    // The way leads through a link, and `..` in a link starts where the link stands.
    assert_eq!(world.shown("way"), inside);
    world.symlinks = Symlinks::None;
    assert_eq!(world.shown("a/b"), ["sub/", "plain"]);
    world.symlinks = Symlinks::Follow;
    let all = [
        &inside[..2],
        &["sub/", "y-above/"],
        &inside[3..],
        &["y-abs-out", "y-out"],
    ]
    .concat();
    assert_eq!(world.shown("a/b"), all);
}

#[test]
fn without_a_known_way_links_are_left_out() {
    let mut world = World::new();
    let path = ["d".repeat(150), "e".repeat(150)].join("/");
    world.folder(path.as_bytes());
    world.file(format!("{path}/f").as_bytes());
    world.link("f", &format!("{path}/l"));
    assert_eq!(world.shown(&path), ["f"]);
    world.symlinks = Symlinks::Follow;
    assert_eq!(world.shown(&path), ["f", "l"]);
}

#[test]
fn names_with_a_dot_are_shown_as_they_are_served() {
    let mut world = World::new();
    for name in [&b".well-known"[..], b".git", b"sub/.well-known"] {
        world.folder(name);
    }
    for name in [&b".htpasswd"[..], b"...", b"a.", b"sub/.x"] {
        world.file(name);
    }
    assert_eq!(world.shown(""), [".well-known/", "sub/", "a."]);
    assert!(world.shown("sub").is_empty());
    world.dotfiles = Dotfiles::Serve;
    let all = [".git/", ".well-known/", "sub/", "...", ".htpasswd", "a."];
    assert_eq!(world.shown(""), all);
    assert_eq!(world.shown("sub"), [".well-known/", ".x"]);
}

#[test]
fn what_is_neither_file_nor_directory_is_left_out() {
    let world = World::new();
    world.file(b"f");
    let _bound = UnixListener::bind(world.path(b"socket")).unwrap();
    let made = Command::new("mkfifo").arg(world.path(b"fifo")).status();
    assert!(made.unwrap().success());
    world.link("fifo", "to-fifo");
    world.link("/dev/null", "to-device");
    assert_eq!(world.shown(""), ["f"]);
}

/// A view that a test changes.
struct Fake<L: Fn(&[u8]) -> Option<Kind>>(L);

impl<L: Fn(&[u8]) -> Option<Kind>> View for Fake<L> {
    fn hides(&self, _: &Home, _: &[u8]) -> bool {
        false
    }

    fn look(&self, _: &Home, _: BorrowedFd<'_>, name: &Name) -> Option<Stat> {
        let kind = self.0(name.as_bytes())?;
        Some(Stat { kind, ..stat(1, 0) })
    }
}

#[test]
fn links_cost_a_bounded_number_of_looks_a_call() {
    let world = World::new();
    for number in 0..1000 {
        world.link("nowhere", &format!("{number:04}"));
    }
    let looks = Cell::new(0);
    let view = Fake(|name| {
        looks.set(looks.get() + 1);
        let number: u32 = std::str::from_utf8(name).unwrap().parse().unwrap();
        match number % 3 {
            0 => Some(Kind::Regular),
            1 => Some(Kind::Directory),
            _ => None,
        }
    });
    let mut shelf = Shelf::new();
    let mut reader = world.open(&mut shelf, b"");
    let mut most = 0;
    let mut total = 0;
    while reader.listing.phase != Phase::Done {
        looks.set(0);
        if reader.prepare(&mut shelf, &view, Ms(0)) == Prepared::Ready {
            most = most.max(looks.take());
            reader.produce(&mut shelf, &view, 8192);
        }
        most = most.max(looks.get());
        total += 1;
        assert!(total < 1000);
    }
    assert_eq!(most, super::LOOKS);
    let class = |n: &u32| [Class::File, Class::Directory][usize::try_from(n % 3).unwrap()];
    let want = (0..1000_u32).filter(|n| n % 3 != 2);
    let want = want.map(|n| (class(&n), format!("{n:04}").into_bytes()));
    assert_eq!(names(&reader.page), model(want.collect()));
}

// ---- directories that change ------------------------------------------------------------------

#[test]
fn a_directory_that_changes_breaks_neither_order_nor_end() {
    let mut chance = Chance(99);
    for round in 0..30 {
        let world = World::new();
        fill(&world, &mut chance, 60, 3);
        for name in [&b"kept"[..], b"zz-kept"] {
            if fs::symlink_metadata(world.path(name)).is_err() {
                world.file(name);
            }
        }
        let mut shelf = Shelf::sized(u16::try_from(1 + chance.below(9)).unwrap(), NAMES);
        let mut reader = world.open(&mut shelf, b"");
        let mut calls = 0;
        while !reader.turn(&mut shelf, &world.policy(), PART_BYTES, Ms(0)) {
            let name = chance.name(3);
            let path = world.path(&name);
            match chance.below(4) {
                0 => drop(fs::write(&path, "")),
                1 => drop(fs::create_dir(&path)),
                2 => drop(fs::remove_file(&path)),
                _ => drop(fs::remove_dir(&path)),
            }
            calls += 1;
            assert!(calls < CALLS);
        }
        let shown = names(&reader.page);
        let keys: Vec<(Class, &[u8])> = shown
            .iter()
            .map(|name| match name.strip_suffix(b"/") {
                Some(name) => (Class::Directory, name),
                None => (Class::File, &name[..]),
            })
            .collect();
        for pair in keys.windows(2) {
            assert!(compare(pair[0], pair[1]).is_lt(), "round {round}: {pair:?}");
        }
        for kept in [&b"kept"[..], b"zz-kept"] {
            assert!(keys.contains(&(Class::File, kept)), "round {round}");
        }
    }
}

#[test]
fn what_changed_between_order_and_page_is_left_out() {
    let world = World::new();
    for name in [&b"1-dir"[..], b"2-dir", b"3-dir"] {
        world.folder(name);
    }
    for name in [&b"4-file"[..], b"5-file", b"6-file"] {
        world.file(name);
    }
    let mut shelf = Shelf::new();
    let mut reader = world.open(&mut shelf, b"");
    assert_eq!(
        reader.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Ready
    );
    fs::remove_dir(world.path(b"1-dir")).unwrap();
    fs::remove_dir(world.path(b"2-dir")).unwrap();
    world.file(b"2-dir");
    fs::remove_file(world.path(b"4-file")).unwrap();
    fs::remove_file(world.path(b"5-file")).unwrap();
    world.folder(b"5-file");
    world.file(b"7-late");
    reader.finish(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!(names(&reader.page), [&b"3-dir/"[..], b"6-file"]);
    assert!(reader.page.windows(9).any(|w| w == b"2 entries"));
}

#[test]
fn pieces_are_not_empty_when_everything_vanished() {
    let world = World::new();
    for number in 0..200 {
        world.file(format!("{number}").as_bytes());
    }
    let mut shelf = Shelf::new();
    let mut reader = world.open(&mut shelf, b"");
    assert_eq!(
        reader.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Ready
    );
    for number in 0..200 {
        fs::remove_file(world.path(format!("{number}").as_bytes())).unwrap();
    }
    // Every piece is checked for that in `turn`.
    assert!(reader.finish(&mut shelf, &world.policy(), PART_BYTES) > 2);
    assert!(names(&reader.page).is_empty());
}

#[test]
fn a_removed_directory_ends_the_page() {
    let world = World::new();
    world.folder(b"d");
    for number in 0..20 {
        world.file(format!("d/{number}").as_bytes());
    }
    let mut shelf = Shelf::sized(8, NAMES);
    let mut reader = world.open(&mut shelf, b"d");
    assert!(!reader.turn(&mut shelf, &world.policy(), PART_BYTES, Ms(0)));
    fs::remove_dir_all(world.path(b"d")).unwrap();
    reader.finish(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!(names(&reader.page).len(), 8);
}

/// Whenever a name is met, there is one more behind it.
struct Breeder<'w> {
    world: &'w World,
    count: Cell<u32>,
}

impl View for Breeder<'_> {
    fn hides(&self, _: &Home, _: &[u8]) -> bool {
        self.count.set(self.count.get() + 1);
        // Far more than are listed, and still an end for a reader that sees each of them at once.
        if self.count.get() < 5000 {
            self.world
                .file(format!("{:06}", self.count.get()).as_bytes());
        }
        false
    }

    fn look(&self, _: &Home, _: BorrowedFd<'_>, _: &Name) -> Option<Stat> {
        Some(stat(1, 0))
    }
}

#[test]
fn a_stream_of_new_names_ends() {
    let world = World::new();
    let view = Breeder {
        world: &world,
        count: Cell::new(9),
    };
    for number in 0..10 {
        world.file(format!("{number:06}").as_bytes());
    }
    let mut shelf = Shelf::sized(7, 500);
    let mut reader = world.open(&mut shelf, b"");
    reader.finish(&mut shelf, &view, PART_BYTES);
    assert_eq!(names(&reader.page).len(), 500);
    let text = String::from_utf8(reader.page).unwrap();
    assert!(text.contains("<p>500 entries. There are more; the list ends here.</p>"));
    // As many as it may have, and no more, is everything.
    let world = World::new();
    for number in 0..8 {
        world.file(format!("{number}").as_bytes());
    }
    let mut shelf = Shelf::sized(4, 8);
    let mut reader = world.open(&mut shelf, b"");
    reader.finish(&mut shelf, &world.policy(), PART_BYTES);
    let text = String::from_utf8(reader.page).unwrap();
    assert!(text.contains("<p>8 entries.</p>"), "{text}");
}

// ---- side by side -----------------------------------------------------------------------------

/// A world with so many files in each of two directories.
fn two_directories(count: usize) -> World {
    let world = World::new();
    for name in ["a", "b"] {
        world.folder(name.as_bytes());
        for number in 0..count {
            world.file(format!("{name}/{name}{number:04}").as_bytes());
        }
    }
    world
}

fn numbered(name: &str, count: usize) -> Vec<Vec<u8>> {
    let name = |number| format!("{name}{number:04}").into_bytes();
    (0..count).map(name).collect()
}

#[test]
fn two_directories_in_turn_both_finish() {
    let world = two_directories(1000);
    for step_ms in [0, 1, 10, 100, 2000] {
        let mut shelf = Shelf::sized(64, NAMES);
        let mut readers = ["a", "b"].map(|name| world.open(&mut shelf, name.as_bytes()));
        let mut ends = [None; 2];
        let mut now = 0;
        while ends.contains(&None) {
            for (reader, end) in readers.iter_mut().zip(&mut ends) {
                if end.is_none() && reader.turn(&mut shelf, &world.policy(), 8192, Ms(now)) {
                    *end = Some(now);
                }
            }
            now += step_ms.max(1);
            assert!(
                now < 100_000 * step_ms.max(1),
                "no end at {step_ms} ms a turn"
            );
        }
        for (reader, name) in readers.iter().zip(["a", "b"]) {
            assert_eq!(names(&reader.page), numbered(name, 1000));
        }
        println!(
            "{step_ms} ms a turn: ends {ends:?}, {} draws",
            shelf.count.get()
        );
        if step_ms <= 1 {
            // Neither waits for the end of the other, and no pass is thrown away.
            let passes = 2 * 1000_u64.div_ceil(64);
            assert!(
                shelf.count.get() < 3 * passes,
                "{} draws",
                shelf.count.get()
            );
        }
    }
}

#[test]
fn many_who_list_the_same_share_its_passes() {
    let world = two_directories(1000);
    let mut shelf = Shelf::new();
    let mut readers: Vec<Reader> = (0..50).map(|_| world.open(&mut shelf, b"a")).collect();
    let before = shelf.count.get();
    let mut left = readers.len();
    let mut now = 0;
    let mut done = vec![false; readers.len()];
    while left > 0 {
        for (reader, done) in readers.iter_mut().zip(&mut done) {
            if !*done && reader.turn(&mut shelf, &world.policy(), 8192, Ms(now)) {
                *done = true;
                left -= 1;
            }
        }
        now += 1;
        assert!(now < 100_000);
    }
    for reader in &readers {
        assert_eq!(names(&reader.page), numbered("a", 1000));
    }
    // Four passes for all of them, and at most a ticket for each reader and pass.
    println!("{} turns, {} draws", now, shelf.count.get() - before);
    assert!(shelf.count.get() - before <= 4 * 51 + 4);
}

#[test]
fn who_is_behind_or_elsewhere_is_not_served_from_the_shelf() {
    let world = two_directories(20);
    world.link("a", "same");
    let view = world.policy();
    let mut shelf = Shelf::sized(8, NAMES);
    let paths = [&b"b"[..], b"same", b"a", b"a"];
    let [mut other, mut same, mut behind, mut ahead] =
        paths.map(|path| world.open(&mut shelf, path));
    assert!(!ahead.turn(&mut shelf, &view, PART_BYTES, Ms(0)));
    assert_eq!(other.prepare(&mut shelf, &view, Ms(0)), Prepared::Wait);
    shelf.release(&other.listing);
    // By a link it is the same directory, and its links mean the same.
    assert_eq!(same.prepare(&mut shelf, &view, Ms(0)), Prepared::Ready);
    // The next eight: who has not had the first cannot begin with them.
    assert_eq!(
        ahead.prepare(&mut shelf, &view, Ms(STALL_MS)),
        Prepared::Ready
    );
    assert_eq!(
        behind.prepare(&mut shelf, &view, Ms(STALL_MS)),
        Prepared::Wait
    );
    shelf.release(&ahead.listing);
    behind.finish(&mut shelf, &view, PART_BYTES);
    assert_eq!(names(&behind.page), numbered("a", 20));
}

#[test]
fn sites_with_the_same_directory_show_each_what_they_serve() {
    let mut world = World::new();
    for name in [&b".secret"[..], b"open"] {
        world.file(name);
    }
    let mut shelf = Shelf::new();
    let mut hides = world.open(&mut shelf, b"");
    world.place.host = 1;
    let mut serves = world.open(&mut shelf, b"");
    world.dotfiles = Dotfiles::Serve;
    assert_eq!(
        serves.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Ready
    );
    world.dotfiles = Dotfiles::Hide;
    // What the other site has gathered is not for this one.
    assert_eq!(
        hides.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Wait
    );
    let view = world.policy();
    let end = (1..CALLS).find(|_| hides.turn(&mut shelf, &view, PART_BYTES, Ms(STALL_MS)));
    assert!(end.is_some());
    assert_eq!(names(&hides.page), [b"open"]);
}

#[test]
fn who_asks_after_a_change_sees_it() {
    let world = two_directories(10);
    let mut shelf = Shelf::new();
    let mut first = world.open(&mut shelf, b"a");
    assert_eq!(
        first.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Ready
    );
    first.produce(&mut shelf, &world.policy(), PART_BYTES);
    shelf.release(&first.listing);
    world.file(b"a/a9999");
    let mut second = world.open(&mut shelf, b"a");
    second.finish(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!(names(&second.page).last().unwrap(), b"a9999");
}

#[test]
fn who_leaves_in_the_middle_frees_the_shelf() {
    let world = two_directories(3000);
    let mut shelf = Shelf::new();
    let mut first = world.open(&mut shelf, b"a");
    // In the middle of a pass, and with names that it does not come for.
    for ready in [false, true] {
        while (first.prepare(&mut shelf, &world.policy(), Ms(0)) == Prepared::Ready) != ready {}
        let mut second = world.open(&mut shelf, b"b");
        assert_eq!(
            second.prepare(&mut shelf, &world.policy(), Ms(0)),
            Prepared::Wait
        );
        let growing = shelf.pass.number;
        assert_eq!(
            second.prepare(&mut shelf, &world.policy(), Ms(0)),
            Prepared::Wait
        );
        assert_eq!(shelf.pass.number, growing, "it waits");
        shelf.release(&first.listing);
        second.finish(&mut shelf, &world.policy(), 8192);
        assert_eq!(names(&second.page), numbered("b", 3000));
        first = world.open(&mut shelf, b"a");
    }
    // Who waits and leaves holds up nobody.
    let mut second = world.open(&mut shelf, b"b");
    first.prepare(&mut shelf, &world.policy(), Ms(0));
    assert_eq!(
        second.prepare(&mut shelf, &world.policy(), Ms(0)),
        Prepared::Wait
    );
    shelf.release(&second.listing);
    first.finish(&mut shelf, &world.policy(), 8192);
    assert_eq!(names(&first.page), numbered("a", 3000));
}

#[test]
fn who_does_not_come_gives_way_and_goes_on_later() {
    let world = two_directories(1500);
    let mut shelf = Shelf::new();
    let mut slow = world.open(&mut shelf, b"a");
    let mut quick = world.open(&mut shelf, b"b");
    let mut now = 0;
    let mut quick_done = false;
    // The slow one takes a piece a second, the quick one whenever it can.
    loop {
        let slow_done = now % 1000 == 0 && {
            while slow.prepare(&mut shelf, &world.policy(), Ms(now)) != Prepared::Ready {
                now += 1;
                quick_done = quick_done || quick.turn(&mut shelf, &world.policy(), 8192, Ms(now));
            }
            slow.produce(&mut shelf, &world.policy(), 8192).last
        };
        quick_done = quick_done || quick.turn(&mut shelf, &world.policy(), 8192, Ms(now));
        if quick_done {
            assert!(!slow_done, "the quick one waited for the slow one");
            break;
        }
        now = now.next_multiple_of(10) + 10;
        assert!(now < 1_000_000);
    }
    println!("the quick one has its page at {now} ms");
    assert_eq!(names(&quick.page), numbered("b", 1500));
    slow.finish(&mut shelf, &world.policy(), 8192);
    assert_eq!(names(&slow.page), numbered("a", 1500));
}

#[test]
fn who_is_not_ready_gets_nothing() {
    let world = two_directories(3);
    let mut shelf = Shelf::new();
    let mut reader = world.open(&mut shelf, b"a");
    let piece = reader.produce(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!((piece.bytes, piece.last), (0, false));
    let small = shelf.produce(
        &mut reader.listing,
        reader.directory.as_fd(),
        &mut [0; PART_BYTES - 1],
        &world.policy(),
    );
    assert_eq!(small.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    reader.finish(&mut shelf, &world.policy(), PART_BYTES);
    assert_eq!(names(&reader.page).len(), 3);
}

#[test]
fn what_cannot_be_read_is_refused_before_and_fails_in_between() {
    let world = World::new();
    world.folder(b"d");
    world.file(b"d/f");
    let mut walk = world.policy().tree.walk();
    assert!(walk.open(b"d", b"").is_ok());
    fs::set_permissions(world.path(b"d"), fs::Permissions::from_mode(0o311)).unwrap();
    match walk.list() {
        Ok(_) => println!("skipped: this user (root?) may read everything"),
        Err(refusal) => assert_eq!(refusal, Refusal::Forbidden),
    }
    // Not open for reading: an error of the call, and the next one is not held up by it.
    let mut shelf = Shelf::new();
    let mut listing = shelf
        .list(b"", b"", world.place, world.root.as_fd())
        .unwrap();
    let view = world.policy();
    let failed = shelf.prepare(&mut listing, world.root.as_fd(), &view, Ms(0));
    assert!(failed.is_err());
    fs::set_permissions(world.path(b"d"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        world
            .open(&mut shelf, b"d")
            .finish(&mut shelf, &view, PART_BYTES),
        1
    );
}

#[test]
fn the_shelf_is_as_large_as_it_says() {
    let shelf = Shelf::new();
    assert_eq!(shelf.records.len(), RECORDS_BYTES);
    assert_eq!(shelf.names.bytes() + RECORDS_BYTES, Shelf::BYTES);
    println!("a listing takes {} bytes", size_of::<Listing>());
}
