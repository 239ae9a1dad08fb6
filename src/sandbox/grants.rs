//! What a configuration needs of the file system once the server serves.
//!
//! Owns the list of grants, each with the key that asks for it. It must not enter the sandbox.
//! Invariants: everything that a reload, a rotation of logs or the end of the server does by a path
//! of the configuration is in it, but for what is said here; what nothing names is not.
//!
//! | what | where | may be |
//! |---|---|---|
//! | roots and aliases | beneath them | read |
//! | paths of uploads, unfinished ones | beneath them | read, made, written, renamed, removed |
//! | files of logs | in and beneath their directory | made, written, renamed, removed |
//! | logs that are FIFOs | beneath their directory, if that has nothing else | written |
//! | the configuration file | in and beneath its directory, unless that is / | read |
//! | everything, with a chroot | beneath its / | read |
//! | the pidfile | in its directory, if that is its own | removed |
//!
//! Files of users are read by the helper, scripts started by the starter: both are outside.

use crate::config::{Config, LogTarget, StartError, Symlinks};
use crate::site::{Need, Site};
use crate::sys::confine::{self, Access};
use std::fs::{self, DirEntry};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// One of them.
#[derive(Debug)]
pub struct Grant {
    /// The directory or the file, open by name alone.
    pub(super) at: OwnedFd,
    /// The directory of what is none itself, for nothing leads there from a file.
    pub(super) above: Option<OwnedFd>,
    pub(super) access: Access,
    /// The key that asks for it.
    pub(super) key: String,
    /// Its name, for people.
    pub(super) shown: String,
}

/// Which logs are meant: that of the server itself, that of requests.
pub type Logs = [bool; 2];

/// Gives `each` what `config` with these sites and logs needs and a reload may change, one by one.
///
/// # Errors
/// Directories cannot be opened once more; those of `each`.
pub(super) fn of(
    config: &Config,
    site: &Site,
    logs: Logs,
    each: &mut dyn FnMut(Grant) -> Result<(), StartError>,
) -> Result<(), StartError> {
    let mut refused = Ok(());
    let reached = site.reach(&mut |reach| {
        refused = each(Grant {
            at: reach.at,
            above: None,
            access: match reach.need {
                Need::Read => Access::Read,
                Need::Change => Access::Change,
                Need::Make => Access::Fill,
            },
            key: reach.key,
            shown: reach.shown,
        });
        refused.is_ok()
    });
    refused?;
    reached.map_err(|error| unseen("site.root", &error))?;
    of_logs(config, logs).try_for_each(each)
}

/// What these logs need.
pub(super) fn of_logs(config: &Config, logs: Logs) -> impl Iterator<Item = Grant> {
    let words = [
        ("log.target", &config.log_target),
        ("log.access_target", &config.access_target),
    ];
    let meant = words.into_iter().zip(logs).filter(|(_, meant)| *meant);
    let files = meant.filter_map(|((key, word), _)| match LogTarget::parse(word) {
        Some(LogTarget::File(path)) => Some((key, path)),
        Some(LogTarget::Stderr | LogTarget::Stdout | LogTarget::Syslog(_)) | None => None,
    });
    files.flat_map(|(key, path)| of_log(key, &path))
}

/// That, and what holds from the start to the end; `file`: where the configuration was read.
///
/// # Errors
/// As `of`; a path that a key of the sandbox names is not there; what the start has made was
/// removed.
pub fn at_start(
    config: &Config,
    site: &Site,
    file: Option<&Path>,
) -> Result<Vec<Grant>, StartError> {
    let mut all = Vec::new();
    of(config, site, [true; 2], &mut |grant| {
        // A root is not given away for a directory that is to be made in it: it was made.
        if grant.access == Access::Fill {
            return Err(removed(&grant));
        }
        all.push(grant);
        Ok(())
    })?;
    if let Some(file) = file {
        all.extend(of_configuration(file));
    }
    if !config.service.chroot.is_empty() {
        // That is the limit already, and a reload finds all that lies beneath.
        all.extend(named(Path::new("/"), Access::Read, "service.chroot"));
    }
    if let Some(directory) = own_directory(Path::new(&config.service.pidfile)) {
        all.extend(named(&directory, Access::Remove, "service.pidfile"));
    }
    all.extend(of_lists(config)?);
    Ok(all)
}

/// What the keys of the sandbox name.
///
/// # Errors
/// Something of it is not there.
pub(super) fn of_lists(config: &Config) -> Result<Vec<Grant>, StartError> {
    let service = &config.service;
    let mut all = Vec::new();
    for (key, paths, access) in [
        ("service.sandbox_read", &service.sandbox_read, Access::Read),
        (
            "service.sandbox_write",
            &service.sandbox_write,
            Access::Fill,
        ),
    ] {
        for path in paths {
            let at = confine::name(Path::new(path));
            let at = at.map_err(|error| fault(key, &format!("{path}: {error}")))?;
            all.push(grant(at, access, key, Path::new(path)));
        }
    }
    Ok(all)
}

/// Links may lead out of a root, and nothing is granted there.
pub(super) fn lacks_targets(config: &Config) -> bool {
    let service = &config.service;
    follows(config) && service.chroot.is_empty() && service.sandbox_read.is_empty()
}

/// Some site follows links out of its root.
fn follows(config: &Config) -> bool {
    let named = config.sites.iter().map(|named| &named.site);
    let mut all = named.chain([&config.site]);
    all.any(|site| site.symlinks == Symlinks::Follow)
}

/// A file is made anew, and one that is full gets a second name beside it; where its name is a
/// link, that happens where it leads to. A FIFO is made anew by who reads it, so where it has a
/// directory for itself everything in that can be written, but nothing made. Another one and a
/// device are opened again as they are; an unnamed pipe (/dev/stdout) is on no file system, and
/// nobody is kept from it. / and /dev are not given away for a file in them: there the file alone
/// is.
fn of_log(key: &'static str, path: &Path) -> impl Iterator<Item = Grant> + use<> {
    let kind = path.metadata().map(|meta| meta.file_type());
    let is_fifo = kind.as_ref().is_ok_and(FileTypeExt::is_fifo);
    let is_special = kind.is_ok_and(|kind| !kind.is_file() && !kind.is_dir());
    let led_to = path.canonicalize();
    let is_unnamed = is_special && led_to.is_err();
    let both = [Some(path.to_owned()), led_to.ok()];
    both.into_iter().flatten().filter_map(move |path| {
        let directory = above(&path);
        let is_alone = is_special || directory == Path::new("/") || directory.starts_with("/dev");
        match is_alone {
            true if is_unnamed => None,
            true if is_fifo && !directory.starts_with("/dev") => {
                let own = own_directory(&path).filter(|own| has_fifos_alone(own));
                named(own.as_ref().unwrap_or(&path), Access::Write, key)
            }
            true => named(&path, Access::Write, key),
            false => named(directory, Access::Log, key),
        }
    })
}

/// Editors put another file into its place, so its directory is read; and where it is a link, that
/// of what it leads to. / is everything: there the file alone is.
pub(super) fn of_configuration(file: &Path) -> impl Iterator<Item = Grant> {
    let led_to = file.canonicalize().ok();
    let both = [Some(file.to_owned()), led_to].into_iter().flatten();
    both.filter_map(|path| match above(&path).canonicalize() {
        Ok(directory) if directory != Path::new("/") => named(&directory, Access::Read, "-c"),
        Ok(_) | Err(_) => named(&path, Access::Read, "-c"),
    })
}

/// The directory of this file, unless it is one that others use, too: such as /run or /tmp, which
/// have one name.
fn own_directory(path: &Path) -> Option<PathBuf> {
    let path = Some(path).filter(|path| *path != Path::new(""))?;
    let directory = above(path).canonicalize().ok()?;
    // The first is the root directory.
    (directory.components().count() > 2).then_some(directory)
}

/// Nothing is in this directory that could be changed by writing to it.
fn has_fifos_alone(directory: &Path) -> bool {
    let is_fifo = |entry: io::Result<DirEntry>| {
        let kind = entry.and_then(|entry| entry.file_type());
        kind.is_ok_and(|kind| kind.is_fifo() || kind.is_socket())
    };
    fs::read_dir(directory).is_ok_and(|mut entries| entries.all(is_fifo))
}

/// The directory that a path names a file in.
fn above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// What is not there now cannot be granted, nor used before the next start.
fn named(path: &Path, access: Access, key: &str) -> Option<Grant> {
    let at = confine::name(path).ok()?;
    Some(grant(at, access, key, path))
}

fn grant(at: OwnedFd, access: Access, key: &str, path: &Path) -> Grant {
    let led_to = path.canonicalize().ok().filter(|led_to| !led_to.is_dir());
    let above = led_to.and_then(|led_to| confine::name(above(&led_to)).ok());
    Grant {
        at,
        above,
        access,
        key: key.to_owned(),
        shown: path.display().to_string(),
    }
}

fn fault(key: &str, what: &dyn std::fmt::Display) -> StartError {
    let cure = "name what is there, or take it away";
    StartError::runtime(key, format!("cannot be granted: {what}"), cure)
}

/// The fault of what was there a moment ago.
fn removed(grant: &Grant) -> StartError {
    let what = format!("{} was removed while the server started", grant.shown);
    StartError::runtime(&grant.key, what, "start adieu anew, and leave it there")
}

/// The fault of a path that cannot be looked at.
pub(super) fn unseen(key: &str, error: &io::Error) -> StartError {
    let cure = "look at its disk, and at the limits of the process (ulimit -n)";
    StartError::runtime(key, format!("cannot be granted: {error}"), cure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rules::Rule as _;
    use crate::config::{ScriptRule, UploadRule};
    use crate::sandbox::Granted;
    use std::fs;
    use std::os::fd::AsFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory of its own, in that of the system for such.
    struct Folder(PathBuf);

    static NUMBER: AtomicU32 = AtomicU32::new(0);

    impl Folder {
        fn new() -> Self {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("adieu-grants-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            for below in ["www/inbox/deep", "www/public", "alias", "log", "etc", "run"] {
                fs::create_dir_all(path.join(below)).unwrap();
            }
            Self(path.canonicalize().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn config(&self, rules: &[&str]) -> Config {
            let mut config = Config::default();
            config.site.root = self.at("www");
            let rules = rules.iter().map(|rule| UploadRule::parse(rule).unwrap());
            config.site.uploads = rules.collect();
            config
        }

        /// What is granted, as names beneath the folder.
        fn granted(&self, config: &Config, file: Option<&Path>) -> Vec<(String, Access)> {
            let site = Site::new(config).unwrap();
            let all = at_start(config, &site, file).unwrap();
            let name = |grant: &Grant| {
                let link = format!(
                    "/proc/self/fd/{}",
                    std::os::fd::AsRawFd::as_raw_fd(&grant.at)
                );
                let path = fs::read_link(link).unwrap();
                let below = path.strip_prefix(&self.0).unwrap_or(&path);
                below.display().to_string()
            };
            all.iter()
                .map(|grant| (name(grant), grant.access))
                .collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pairs(all: &[(&str, Access)]) -> Vec<(String, Access)> {
        let owned = all
            .iter()
            .map(|(name, access)| ((*name).to_owned(), *access));
        owned.collect()
    }

    #[test]
    fn a_site_is_read_and_nothing_else_is_granted() {
        let folder = Folder::new();
        let mut config = folder.config(&[]);
        if crate::script::BUILT {
            config.site.scripts = vec![ScriptRule::parse("/cgi-bin").unwrap()];
        }
        let granted = folder.granted(&config, None);
        assert_eq!(granted, pairs(&[("www", Access::Read)]));
    }

    #[test]
    fn uploads_change_what_their_rules_lead_to() {
        if !crate::site::upload::BUILT {
            return;
        }
        let stage = ("www/.adieu-uploads", Access::Change);
        let (root, change) = (("www", Access::Read), Access::Change);
        for (rules, wanted) in [
            (&["/inbox 1"][..], &["www/inbox"][..]),
            (&["/inbox/deep/*.jpg 1"], &["www/inbox/deep"]),
            // What is not there yet is made in the one above it.
            (&["/inbox/new/er 1"], &["www/inbox"]),
            (&["/new 1"], &["www"]),
            (&["/inbox 1", "/public 1"], &["www/inbox", "www/public"]),
            (&["/ 1"], &["www"]),
            (&["*.jpg 1"], &["www"]),
            // A link inside leads where it leads, one that leads out nowhere.
            (&["/near 1"], &["www/public"]),
            (&["/far 1"], &[]),
        ] {
            let folder = Folder::new();
            symlink("public", folder.at("www/near")).unwrap();
            symlink(folder.at("alias"), folder.at("www/far")).unwrap();
            let granted = folder.granted(&folder.config(rules), None);
            let mut expected = vec![root, stage];
            expected.extend(wanted.iter().map(|name| (*name, change)));
            assert_eq!(granted, pairs(&expected), "{rules:?}");
        }
    }

    #[test]
    fn a_stage_that_goes_while_the_server_starts_is_not_made_up_for_by_its_root() {
        if !crate::site::upload::BUILT {
            return;
        }
        let folder = Folder::new();
        let config = folder.config(&["/inbox 1"]);
        let stage = folder.at("www/.adieu-uploads");
        for is_another in [false, true] {
            let site = Site::new(&config).unwrap();
            // Its number is not free for another one while this has it.
            fs::rename(&stage, folder.at("alias/gone")).unwrap();
            if is_another {
                fs::create_dir(&stage).unwrap();
            }
            let error = at_start(&config, &site, None).unwrap_err();
            let line = format!(
                "site.uploads: {} was removed while the server started; start adieu anew, and \
                 leave it there",
                stage.display()
            );
            assert_eq!((error.to_string(), error.code), (line, 1));
            fs::remove_dir(folder.at("alias/gone")).unwrap();
        }
        // Before it was made, as a reload looks: then it is the root that must have been granted.
        fs::remove_dir(&stage).unwrap();
        let site = Site::check(&config).unwrap();
        let mut needed = Vec::new();
        let all = of(&config, &site, [true; 2], &mut |grant| {
            needed.push(grant.access);
            Ok(())
        });
        assert!(all.is_ok());
        assert_eq!(needed, [Access::Read, Access::Fill, Access::Change]);
    }

    #[test]
    fn aliases_beneath_a_rule_change_as_a_whole() {
        if !crate::site::upload::BUILT {
            return;
        }
        let folder = Folder::new();
        let mut config = folder.config(&["/inbox 1"]);
        let line = format!("/inbox/other {}", folder.at("alias").display());
        config.site.aliases = vec![crate::config::rules::Alias::parse(&line).unwrap()];
        let granted = folder.granted(&config, None);
        for name in ["alias", "www/inbox"] {
            assert!(
                granted.contains(&(name.to_owned(), Access::Change)),
                "{granted:?}"
            );
        }
    }

    #[test]
    fn logs_configuration_and_pidfile_have_their_directories() {
        let folder = Folder::new();
        let shown = |name: &str| folder.at(name).display().to_string();
        let mut config = folder.config(&[]);
        config.log_target = format!("file:{}", shown("log/adieu"));
        config.access_target = format!("file:{}", shown("missing/access"));
        config.service.pidfile = shown("run/pid");
        config.service.sandbox_read = vec![shown("alias")];
        config.service.sandbox_write = vec![shown("www/public")];
        fs::write(folder.at("etc/real.toml"), "").unwrap();
        fs::create_dir(folder.at("etc/links")).unwrap();
        let link = folder.at("etc/links/adieu.toml");
        symlink("../real.toml", &link).unwrap();
        let granted = folder.granted(&config, Some(&link));
        let expected = [
            ("www", Access::Read),
            ("log", Access::Log),
            ("etc/links", Access::Read),
            ("etc", Access::Read),
            ("run", Access::Remove),
            ("alias", Access::Read),
            ("www/public", Access::Fill),
        ];
        assert_eq!(granted, pairs(&expected));
        config.service.sandbox_read = vec![shown("nowhere")];
        let site = Site::new(&config).unwrap();
        let error = at_start(&config, &site, None).unwrap_err().to_string();
        assert!(
            error.starts_with("service.sandbox_read: cannot be granted: "),
            "{error}"
        );
    }

    #[test]
    fn what_others_use_too_is_not_granted_for_a_file() {
        assert_eq!(own_directory(Path::new("")), None);
        for path in [
            "/adieu.pid",
            "/run/adieu.pid",
            "/tmp/adieu.pid",
            "/nowhere/at/all/x",
        ] {
            assert_eq!(own_directory(Path::new(path)), None, "{path}");
        }
        assert!(of_configuration(Path::new("/etc")).all(|grant| grant.shown == "/etc"));
        // A device is opened again as it is.
        let last = of_log("log.target", Path::new("/dev/null")).next().unwrap();
        assert_eq!(
            (last.shown.as_str(), last.access),
            ("/dev/null", Access::Write)
        );
    }

    #[test]
    fn a_fifo_has_its_directory_where_that_is_its_own() {
        let folder = Folder::new();
        let fifo = |path: &Path| {
            let made = std::process::Command::new("mkfifo").arg(path).status();
            assert!(made.unwrap().success());
        };
        let granted = |path: &Path| -> Vec<_> {
            let all = of_log("log.target", path).map(|grant| (grant.shown, grant.access));
            all.collect()
        };
        let shown = |path: PathBuf| (path.display().to_string(), Access::Write);
        let path = folder.at("log/fifo");
        fifo(&path);
        assert_eq!(
            granted(&path),
            [shown(folder.at("log")), shown(folder.at("log"))]
        );
        // A file beside it would be written as well.
        fs::write(folder.at("log/file"), "").unwrap();
        assert_eq!(granted(&path), [shown(path.clone()), shown(path.clone())]);
        // Others write to /tmp as well.
        let path = PathBuf::from(format!("/tmp/adieu-fifo-{}", std::process::id()));
        fifo(&path);
        let all = granted(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(all, [shown(path.clone()), shown(path)]);
    }

    #[test]
    fn what_was_granted_is_found_as_the_kernel_finds_it() {
        let folder = Folder::new();
        let mut granted = Granted::default();
        let open = |name: &str| confine::name(&folder.at(name)).unwrap();
        granted
            .add(open("www").as_fd(), Access::Read, "www")
            .unwrap();
        granted
            .add(open("www/inbox").as_fd(), Access::Log, "inbox")
            .unwrap();
        let has = |name: &str, access| granted.has(open(name).as_fd(), None, access).unwrap();
        assert!(has("www", Access::Read) && has("www/inbox/deep", Access::Read));
        assert!(has("www/inbox/deep", Access::Log) && !has("www/public", Access::Log));
        assert!(!has("log", Access::Read) && !has("", Access::Read));
        assert!(!has("www", Access::Execute) && !has("www/inbox", Access::Change));
        // What is no directory, whatever it is, lies beneath its own, also by a link.
        let path = folder.at("www/inbox/fifo");
        let fifo = std::process::Command::new("mkfifo").arg(path).status();
        assert!(fifo.unwrap().success());
        let _socket = UnixListener::bind(folder.at("www/inbox/socket")).unwrap();
        fs::write(folder.at("www/inbox/file"), "").unwrap();
        symlink("../www/inbox/fifo", folder.at("log/link")).unwrap();
        symlink("/dev/null", folder.at("www/inbox/null")).unwrap();
        for (name, beneath) in [
            ("www/inbox/fifo", true),
            ("www/inbox/socket", true),
            ("www/inbox/file", true),
            ("log/link", true),
            ("www/inbox/null", false),
        ] {
            let Grant { at, above, .. } = named(&folder.at(name), Access::Write, "key").unwrap();
            let above = above.as_ref().map(AsFd::as_fd);
            let has = granted.has(at.as_fd(), above, Access::Write).unwrap();
            assert_eq!(has, beneath, "{name}");
        }
        // Another one of the same name.
        fs::rename(folder.at("www"), folder.at("was")).unwrap();
        fs::create_dir(folder.at("www")).unwrap();
        assert!(!has("www", Access::Read) && has("was", Access::Read));
    }
}
