//! What is left there, and who may take it away.

use super::{Stage, Temporary, is_reserved};
use crate::site::tests::Folder;
use crate::sys::file::Identity;
use crate::sys::testing::until;
use crate::sys::{change, file};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};

fn root(folder: &Folder) -> OwnedFd {
    file::open_root(&folder.path("")).unwrap()
}

fn names(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path(Stage::NAME)).unwrap();
    let mut names: Vec<String> = names
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn names_that_a_file_system_could_take_for_it_are_its_own() {
    for name in [
        ".adieu-uploads",
        ".ADIEU-UPLOADS",
        ".Adieu-Uploads.",
        ".adieu-uploads. . ",
    ] {
        assert!(is_reserved(name.as_bytes()), "{name}");
    }
    for name in [
        "",
        ".",
        "...",
        "adieu-uploads",
        ".adieu-upload",
        ".adieu-uploads2",
        " .adieu-uploads",
        "..adieu-uploads",
        ".adieu_uploads",
    ] {
        assert!(!is_reserved(name.as_bytes()), "{name}");
    }
}

#[test]
fn a_file_has_a_name_of_sixteen_digits() {
    for (number, name) in [
        (0, "0000000000000000"),
        (0x0123_4567_89ab_cdef, "0123456789abcdef"),
        (u64::MAX, "ffffffffffffffff"),
    ] {
        assert_eq!(Temporary::new(number).as_c_str().to_str(), Ok(name));
        assert!(Temporary::is_one(name.as_bytes()));
    }
    for name in ["", "0123", "0123456789ABCDEF", "0123456789abcdef0", "."] {
        assert!(!Temporary::is_one(name.as_bytes()), "{name}");
    }
}

#[test]
fn it_is_made_once_and_is_ours_alone() {
    let folder = Folder::new();
    let path = folder.path(Stage::NAME);
    let first = Stage::open(root(&folder).as_fd()).unwrap();
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(), 0o700);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let again = Stage::open(root(&folder).as_fd()).unwrap();
    assert_eq!((mode(), again.identity()), (0o700, first.identity()));
    let state = file::stat_at(root(&folder).as_fd(), c".adieu-uploads").unwrap();
    assert_eq!(Identity::from(&state), first.identity());
}

#[test]
fn nothing_else_is_taken_for_it() {
    let folder = Folder::new();
    fs::create_dir(folder.path("other")).unwrap();
    fs::write(folder.path(Stage::NAME), "file").unwrap();
    assert!(Stage::open(root(&folder).as_fd()).is_err());
    fs::remove_file(folder.path(Stage::NAME)).unwrap();
    symlink("other", folder.path(Stage::NAME)).unwrap();
    assert!(Stage::open(root(&folder).as_fd()).is_err());
    assert_eq!(fs::read_dir(folder.path("other")).unwrap().count(), 0);
}

#[test]
fn a_start_removes_what_nobody_works_at_and_nothing_else() {
    let folder = Folder::new();
    let living = Stage::open(root(&folder).as_fd()).unwrap();
    let (number, held) = living.create().unwrap();
    let path = folder.path(Stage::NAME);
    fs::write(folder.path("outside"), "outside").unwrap();
    for count in 0..300 {
        let left = format!("{count:016x}");
        fs::write(path.join(left), "left").unwrap();
    }
    symlink("../outside", path.join("aaaaaaaaaaaaaaaa")).unwrap();
    fs::create_dir(path.join("bbbbbbbbbbbbbbbb")).unwrap();
    for name in ["a note", "ABCDEFABCDEFABCD", "0123456789abcdef0"] {
        fs::write(path.join(name), "of somebody").unwrap();
    }
    let own = Temporary::new(number)
        .as_c_str()
        .to_str()
        .unwrap()
        .to_owned();
    let mut kept = vec![
        own.clone(),
        "a note".to_owned(),
        "ABCDEFABCDEFABCD".to_owned(),
        "0123456789abcdef0".to_owned(),
        "aaaaaaaaaaaaaaaa".to_owned(),
        "bbbbbbbbbbbbbbbb".to_owned(),
    ];
    kept.sort();
    // Another server, or the same one with another configuration.
    let successor = Stage::open(root(&folder).as_fd()).unwrap();
    assert_eq!(names(&folder), kept);
    assert_eq!(
        fs::read_to_string(folder.path("outside")).unwrap(),
        "outside"
    );
    assert!(successor.holds(number, held.as_fd()));
    // Once it is let go the next one removes it.
    drop(held);
    until(|| {
        drop(Stage::open(root(&folder).as_fd()).unwrap());
        !names(&folder).contains(&own)
    });
}

#[test]
fn a_taken_name_and_one_that_was_swept_away_are_passed_over() {
    let folder = Folder::new();
    let stage = Stage::open(root(&folder).as_fd()).unwrap();
    stage.number.set(u64::MAX);
    for taken in [u64::MAX, 0] {
        let name = Temporary::new(taken);
        let name = name.as_c_str().to_str().unwrap();
        fs::write(folder.path(Stage::NAME).join(name), "taken").unwrap();
    }
    let (number, file) = stage.create().unwrap();
    assert_eq!(number, 1);
    assert!(stage.holds(1, file.as_fd()));
    assert!(!stage.holds(0, file.as_fd()), "another file");
    assert!(!stage.holds(2, file.as_fd()), "no file");
    stage.remove(1);
    assert!(!stage.holds(1, file.as_fd()));
    stage.remove(1);
    // All names that are tried are taken.
    stage.number.set(10);
    for taken in 10..14 {
        let name = Temporary::new(taken);
        let name = name.as_c_str().to_str().unwrap();
        fs::write(folder.path(Stage::NAME).join(name), "taken").unwrap();
    }
    let error = stage.create().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert!(stage.create().is_ok());
}

#[test]
fn every_file_is_locked() {
    let folder = Folder::new();
    let stage = Stage::open(root(&folder).as_fd()).unwrap();
    let (number, held) = stage.create().unwrap();
    let name = Temporary::new(number);
    let other = file::open_regular(stage.fd.as_fd(), name.as_c_str()).unwrap();
    for lock in [change::lock, change::lock_shared] {
        let error = lock(other.as_fd()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(held);
    until(|| change::lock(other.as_fd()).is_ok());
}

#[test]
fn who_sweeps_between_the_making_and_the_locking_of_a_file_is_noticed() {
    let folder = Folder::new();
    let stage = Stage::open(root(&folder).as_fd()).unwrap();
    let made = |number| {
        let name = Temporary::new(number);
        change::create(stage.fd.as_fd(), name.as_c_str(), 0o600).unwrap()
    };
    let open = |number| {
        let name = Temporary::new(number);
        file::open_regular(stage.fd.as_fd(), name.as_c_str()).unwrap()
    };
    // Nobody; who has the lock; who had it and has removed the file.
    assert!(stage.claims(1, made(1).as_fd()));
    let (file, sweeper) = (made(2), open_locked(open(2)));
    assert!(!stage.claims(2, file.as_fd()));
    drop(sweeper);
    until(|| stage.claims(2, file.as_fd()));
    let (file, sweeper) = (made(3), open_locked(open(3)));
    stage.remove(3);
    drop(sweeper);
    assert!(!stage.claims(3, file.as_fd()));
}

fn open_locked(file: OwnedFd) -> OwnedFd {
    change::lock_shared(file.as_fd()).unwrap();
    file
}

#[test]
fn two_stages_never_give_the_same_name() {
    let folder = Folder::new();
    let stages = [(); 4].map(|()| Stage::open(root(&folder).as_fd()).unwrap());
    let mut numbers: Vec<u64> = stages.iter().map(|stage| stage.number.get()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4);
}
