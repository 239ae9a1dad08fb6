//! What the tests of uploads share: directories, and requests as the shell would make them.

use crate::config::SiteConfig;
use crate::config::rules::Rule;
use crate::connection::head::{Framing, Method};
use crate::connection::reply::{Reply, Status};
use crate::site::tests::{Folder, config_with, made};
use crate::site::{Content, Site, Store};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// `root/` is served, with `root/inbox` and `root/file` in it; `out/secret` is outside.
pub(super) struct World(Folder);

impl World {
    pub(super) fn new() -> Self {
        let folder = Folder::new();
        for name in ["root/inbox", "out"] {
            fs::create_dir_all(folder.path(name)).unwrap();
        }
        fs::write(folder.path("root/file"), "file").unwrap();
        fs::write(folder.path("out/secret"), "secret").unwrap();
        Self(folder)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    pub(super) fn site(&self, rules: &[&str]) -> Site {
        self.site_with(rules, |_| ())
    }

    pub(super) fn site_with(&self, rules: &[&str], change: impl FnOnce(&mut SiteConfig)) -> Site {
        let config = config_with(&self.path("root"), |site| {
            site.uploads = rules.iter().map(|line| rule(line)).collect();
            change(site);
        });
        Site::new(&config).unwrap()
    }

    /// The names of what is not whole.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let Ok(names) = fs::read_dir(self.path("root/.adieu-uploads")) else {
            return vec![];
        };
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    /// Everything there, with enough of its state to see any change.
    pub(super) fn tree(&self) -> BTreeMap<PathBuf, String> {
        tree(&self.path(""))
    }

    /// A name of any bytes is there.
    pub(super) fn has(&self, directory: &str, name: &[u8]) -> bool {
        let mut names = fs::read_dir(self.path(directory)).unwrap();
        names.any(|entry| entry.unwrap().file_name() == OsStr::from_bytes(name))
    }

    pub(super) fn fifo(&self, name: &str) {
        let made = Command::new("mkfifo").arg(self.path(name)).status();
        assert!(made.unwrap().success());
    }
}

/// Everything beneath `path`, with inode, mode and content.
pub(super) fn tree(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![path.to_owned()];
    while let Some(path) = open.pop() {
        let meta = path.symlink_metadata().unwrap();
        let content = match meta.is_file() {
            true => fs::read(&path).unwrap(),
            false => vec![],
        };
        let mode = meta.permissions().mode();
        let state = format!("{} {mode:o} {content:?}", meta.ino());
        if meta.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        found.insert(path, state);
    }
    found
}

pub(super) fn rule<R: Rule>(line: &str) -> R {
    R::parse(line).unwrap()
}

/// Status and content of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer(pub(super) u16, pub(super) &'static str);

impl Answer {
    pub(super) const CREATED: Self = Self(201, "empty");
    pub(super) const REPLACED: Self = Self(204, "nothing");
    pub(super) const REMOVED: Self = Self(204, "nothing");
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Nothing => "nothing",
        Content::Empty => "empty",
        Content::Page => "page",
        Content::File(_) => "file",
        Content::Pieces(_) => "pieces",
        Content::Later(_) => "later",
        Content::Store(_) => "store",
        Content::Script(_) | Content::NoPlace => "script",
        Content::Status(_) => "status",
    }
}

/// A PUT, up to where its body is wanted.
pub(super) fn begin(
    site: &mut Site,
    target: &str,
    lines: &[(&str, &str)],
    framing: Framing,
) -> Result<Store, Answer> {
    let (status, head, content) = made(site, Method::Put, target, lines, framing);
    let answer = Answer(status, kind(&content));
    let Content::Store(store) = content else {
        return Err(answer);
    };
    assert_eq!(head, "", "nothing is written yet");
    Ok(store)
}

pub(super) fn wanted(begun: Result<Store, Answer>) -> Store {
    begun.unwrap_or_else(|answer| panic!("{answer:?}"))
}

/// Writes a part of the body, however often that takes.
pub(super) fn feed(site: &Site, store: &mut Store, mut bytes: &[u8], mut offset: u64) {
    while !bytes.is_empty() {
        let file = store.file.as_fd();
        let count = site.store(&mut store.upload, file, offset, bytes).unwrap();
        bytes = &bytes[count..];
        offset += u64::try_from(count).unwrap();
    }
}

/// An answer that is written at the end: its status, head and content.
pub(super) fn end(write: impl FnOnce(&mut Reply<'_>) -> Content) -> (u16, String, Content) {
    let mut buffer = [0; 8192];
    let mut reply = Reply::new(&mut buffer);
    let content = write(&mut reply);
    assert!(!reply.overflowed());
    let (status, len) = (reply.current_status().code(), reply.len());
    let head = String::from_utf8(buffer[..len].to_vec()).unwrap();
    (status, head, content)
}

/// The end of an upload, and its answer.
pub(super) fn concluded(site: &Site, store: Store, reply: &mut Reply<'_>) -> Content {
    let Store { upload, file, .. } = store;
    let named = site.name(&upload, &file);
    site.conclude(upload, named, reply)
}

pub(super) fn conclude(site: &Site, store: Store) -> Answer {
    let (status, _, content) = end(|reply| concluded(site, store, reply));
    Answer(status, kind(&content))
}

pub(super) fn refuse(site: &Site, store: Store, status: Status) -> Answer {
    let (status, _, content) = end(|reply| site.refuse(store.upload, status, reply));
    Answer(status, kind(&content))
}

/// A whole PUT.
pub(super) fn put(site: &mut Site, target: &str, lines: &[(&str, &str)], text: &str) -> Answer {
    let framing = match u64::try_from(text.len()).unwrap() {
        0 => Framing::None,
        bytes => Framing::Length(bytes),
    };
    match begin(site, target, lines, framing) {
        Ok(mut store) => {
            feed(site, &mut store, text.as_bytes(), 0);
            conclude(site, store)
        }
        Err(answer) => answer,
    }
}

pub(super) fn delete(site: &mut Site, target: &str, lines: &[(&str, &str)]) -> Answer {
    let (status, _, content) = made(site, Method::Delete, target, lines, Framing::None);
    Answer(status, kind(&content))
}
