//! Where there is no room, or no permission: the old file stays.

use super::world::{Answer, World, begin, conclude, delete, feed, put, refuse, wanted};
use super::{Store, refusal};
use crate::connection::head::Framing;
use crate::site::Site;
use crate::site::tests::get;
use crate::sys::testing::until;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

/// The system, or this user, cannot show what a test is about.
pub(super) fn skipped(why: &str) {
    println!("SKIP: {why}");
}

/// A file system of its own, for as long as it lives.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// A tmpfs of this size; nothing where this user may not mount.
    pub(super) fn new(path: PathBuf, bytes: &str) -> Option<Self> {
        let options = format!("size={bytes},mode=755");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "adieu-test"])
            .arg(&path)
            .output();
        let done = mounted.is_ok_and(|output| output.status.success());
        done.then_some(Self(path))
    }

    /// A directory once more, in its own place; nothing where this user may not mount.
    fn again(path: PathBuf) -> Option<Self> {
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([&path, &path])
            .output();
        let done = mounted.is_ok_and(|output| output.status.success());
        done.then_some(Self(path))
    }

    fn read_only(&self, how: &str) -> bool {
        let mounted = Command::new("mount")
            .args(["-o", how])
            .arg(&self.0)
            .output();
        mounted.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Writes until it fails.
fn fill(site: &Site, store: &mut Store, most: u64) -> io::Error {
    let block = [b'x'; 4096];
    let mut offset = 0;
    while offset < most {
        let file = store.file.as_fd();
        match site.store(&mut store.upload, file, offset, &block) {
            Ok(count) => offset += u64::try_from(count).unwrap(),
            Err(error) => return error,
        }
    }
    panic!("{most} bytes were taken");
}

#[test]
fn a_full_file_system_keeps_the_old_file() {
    let world = World::new();
    let Some(mounted) = Mounted::new(world.path("root"), "64k,nr_inodes=20") else {
        return skipped("this user may not mount a tmpfs");
    };
    fs::create_dir(world.path("root/inbox")).unwrap();
    let mut site = world.site(&["/inbox 1GiB"]);
    assert_eq!(put(&mut site, "/inbox/old", &[], "old"), Answer::CREATED);
    let mut store = wanted(begin(&mut site, "/inbox/old", &[], Framing::Chunked));
    let error = fill(&site, &mut store, 1 << 20);
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let status = refusal(&error);
    assert_eq!(refuse(&site, store, status), Answer(507, "page"));
    assert_eq!(world.unfinished(), [""; 0]);
    assert_eq!(get(&mut site, "/inbox/old").body, "old");
    // The room is free again.
    let other = world.path("root/other");
    until(|| fs::write(&other, "other").is_ok());
    fs::remove_file(other).unwrap();
    assert_eq!(put(&mut site, "/inbox/old", &[], "new"), Answer::REPLACED);
    // Not even a name fits.
    let mut names = 0;
    let refused = loop {
        match begin(&mut site, &format!("/inbox/{names}"), &[], Framing::None) {
            Ok(store) => assert_eq!(conclude(&site, store), Answer::CREATED),
            Err(answer) => break answer,
        }
        names += 1;
        assert!(names < 100, "there is no end of names");
    };
    assert_eq!(refused, Answer(507, "page"));
    assert_eq!(get(&mut site, "/inbox/old").body, "new");
    drop((site, mounted));
}

#[test]
fn a_limit_of_the_process_keeps_the_old_file() {
    // A process of its own, for the limit is the process's, and SIGXFSZ would end it; in the server
    // `sys::signal` ignores it.
    let script = "ulimit -f 64; trap '' XFSZ; exec \"$0\" --exact --ignored --nocapture \
                  site::upload::tests::space::beneath_a_limit";
    let child = Command::new("sh")
        .args(["-c", script])
        .arg(env::current_exe().unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("the limit was met"), "{said}");
}

#[test]
#[ignore = "the test above runs it, in a process with a limit"]
fn beneath_a_limit() {
    let world = World::new();
    let mut site = world.site(&["/inbox 1GiB"]);
    assert_eq!(put(&mut site, "/inbox/old", &[], "old"), Answer::CREATED);
    let mut store = wanted(begin(&mut site, "/inbox/old", &[], Framing::Chunked));
    let error = fill(&site, &mut store, 1 << 20);
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let status = refusal(&error);
    assert_eq!(refuse(&site, store, status), Answer(507, "page"));
    assert_eq!(world.unfinished(), [""; 0]);
    assert_eq!(get(&mut site, "/inbox/old").body, "old");
    println!("the limit was met");
}

#[test]
fn what_may_not_be_written_is_forbidden() {
    let world = World::new();
    let mut site = world.site(&["/inbox 10"]);
    let inbox = world.path("root/inbox");
    fs::write(inbox.join("old"), "old").unwrap();
    let mut store = wanted(begin(&mut site, "/inbox/old", &[], Framing::Chunked));
    feed(&site, &mut store, b"new", 0);
    fs::set_permissions(&inbox, PermissionsExt::from_mode(0o555)).unwrap();
    if fs::write(inbox.join("probe"), "").is_ok() {
        site.abandon(store.upload);
        return skipped("this user (root?) may write everywhere");
    }
    // At the end, at the head, and for both methods.
    assert_eq!(conclude(&site, store), Answer(403, "page"));
    for name in ["old", "new"] {
        let target = format!("/inbox/{name}");
        let refused = begin(&mut site, &target, &[], Framing::None);
        assert_eq!(refused.unwrap_err(), Answer(403, "page"));
    }
    let removed = delete(&mut site, "/inbox/old", &[]);
    assert_eq!(removed, Answer(403, "page"));
    fs::set_permissions(&inbox, PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(world.unfinished(), [""; 0]);
    assert_eq!(get(&mut site, "/inbox/old").body, "old");
}

#[test]
fn a_file_system_that_becomes_read_only_keeps_the_old_file() {
    let world = World::new();
    let Some(mounted) = Mounted::new(world.path("root"), "256k") else {
        return skipped("this user may not mount a tmpfs");
    };
    fs::create_dir(world.path("root/inbox")).unwrap();
    let mut site = world.site(&["/inbox 10"]);
    assert_eq!(put(&mut site, "/inbox/old", &[], "old"), Answer::CREATED);
    if !mounted.read_only("remount,ro") {
        return skipped("this user may not remount");
    }
    for name in ["old", "new"] {
        let target = format!("/inbox/{name}");
        let refused = begin(&mut site, &target, &[], Framing::None);
        assert_eq!(refused.unwrap_err(), Answer(403, "page"));
    }
    let removed = delete(&mut site, "/inbox/old", &[]);
    assert_eq!(removed, Answer(403, "page"));
    assert_eq!(get(&mut site, "/inbox/old").body, "old");
    drop((site, mounted));
}

#[test]
fn a_directory_that_is_read_only_is_known_before_the_body_comes() {
    let world = World::new();
    let inbox = world.path("root/inbox");
    fs::write(inbox.join("old"), "old").unwrap();
    // Of the same file system as its root, so nothing else tells.
    let mounted = Mounted::again(inbox.clone());
    let Some(mounted) = mounted.filter(|m| m.read_only("remount,ro,bind")) else {
        return skipped("this user may not mount a directory");
    };
    let mut site = world.site(&["/inbox 10"]);
    for name in ["old", "new"] {
        let target = format!("/inbox/{name}");
        let refused = begin(&mut site, &target, &[], Framing::None);
        assert_eq!(refused.unwrap_err(), Answer(403, "page"));
    }
    let removed = delete(&mut site, "/inbox/old", &[]);
    assert_eq!(removed, Answer(403, "page"));
    let missing = delete(&mut site, "/inbox/new", &[]);
    assert_eq!(missing, Answer(404, "page"));
    assert_eq!(world.unfinished(), [""; 0]);
    assert_eq!(fs::read_to_string(inbox.join("old")).unwrap(), "old");
    drop((site, mounted));
}
