//! Answers as a client would ask for them.

use super::cache::Cache;
use super::{Content, Means, Pieces, Prepared, Site, Source};
use crate::config::{AuthConfig, Config, Dotfiles, Listen, SiteConfig, StartError, UnknownHost};
use crate::connection::client::Client;
use crate::connection::head::{Field, Framing, Method, Request, Target, Verdict, Version};
use crate::connection::limits::Limits;
use crate::connection::reply::Reply;
use crate::connection::time::{Ms, Turn, Wall};
use crate::helper::credentials::Credentials;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};
use std::{env, fs, process};

/// 2024-05-06 07:08:09 UTC, when every file of these tests was modified.
const MODIFIED_S: u64 = 1_714_979_289;
const MODIFIED: &str = "Mon, 06 May 2024 07:08:09 GMT";

/// A folder of its own for one test, removed with it.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("adieu-site-{}-{count}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(super) fn config(root: &Path) -> Config {
    Config {
        listen: vec![Listen::Unix("unused".into())],
        unknown_host: UnknownHost::Serve,
        site: SiteConfig {
            root: root.to_owned(),
            ..SiteConfig::default()
        },
        sites: vec![],
        limits: Limits::new(),
        connections: 1,
        buffers: 1,
        buffer_bytes: 8192,
        connections_per_address: 0,
        memory_total_bytes: 0,
        backlog: 1,
        receive_bytes: 4096,
        send_bytes: 4096,
        linger2_s: 5,
        log_level: log::LevelFilter::Off,
        ..Config::default()
    }
}

/// The same with something changed.
pub(super) fn config_with(root: &Path, change: impl FnOnce(&mut SiteConfig)) -> Config {
    let mut config = config(root);
    change(&mut config.site);
    config
}

/// A folder with a small site in it, and the site.
fn site() -> (Folder, Site) {
    let folder = Folder::new();
    for name in ["sub/empty", "other", "odd/index.html", "a b", "back\\slash"] {
        fs::create_dir_all(folder.path(name)).unwrap();
    }
    for (name, text) in [
        ("index.html", "<p>top"),
        ("page.txt", "0123456789"),
        ("empty.bin", ""),
        ("sub/index.html", "<p>sub"),
        ("other/index.htm", "<p>other"),
        ("odd/index.htm", "<p>odd"),
        ("a b/c%d.svg", "<svg/>"),
        ("n\u{e9}\n", "x"),
    ] {
        fs::write(folder.path(name), text).unwrap();
        let file = fs::File::options()
            .write(true)
            .open(folder.path(name))
            .unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED_S))
            .unwrap();
    }
    let site = Site::new(&config(&folder.0)).unwrap();
    (folder, site)
}

/// An answer as a client sees it, but for what the caller adds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) content: &'static str,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(prefix.as_str()))
    }
}

/// Some moment of a server that knows the time.
pub(super) fn turn(limits: &Limits) -> Turn<'_> {
    let wall = Wall {
        unix_s: 1_800_000_000,
        date: *b"Fri, 15 Jan 2027 08:00:00 GMT",
    };
    Turn {
        now: Ms(0),
        wall: Some(wall),
        limits,
        stopping: false,
    }
}

/// What a head of these says about its connection.
pub(super) fn verdict(method: Method, framing: Framing, version: Version) -> Verdict {
    Verdict {
        head_bytes: 0,
        framing,
        version,
        keep: true,
        head_only: method == Method::Head,
        expects_continue: false,
    }
}

pub(super) fn ask(site: &mut Site, method: Method, target: &str, lines: &[(&str, &str)]) -> Answer {
    let (status, head, content) = made(site, method, target, lines, Framing::None);
    seen(site, status, head, content)
}

/// Status, head and what follows, of a request with a body to come.
pub(super) fn made(
    site: &mut Site,
    method: Method,
    target: &str,
    lines: &[(&str, &str)],
    framing: Framing,
) -> (u16, String, Content) {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.as_bytes())),
        None => (target, None),
    };
    let target = match path {
        "*" => Target::Asterisk,
        path => Target::Path {
            path: path.as_bytes(),
            query,
        },
    };
    let fields: Vec<Field<'_>> = lines
        .iter()
        .map(|(name, value)| Field {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let request = Request {
        line: b"",
        method,
        target,
        host: b"device",
        fields: &fields,
        verdict: verdict(method, framing, Version::Http11),
    };
    let mut cache = Cache::new(4, 8192, 2000);
    let mut made = answer(site, &request, &mut cache);
    // Who asks again, and is answered from the cache, gets the same.
    for _ in 0..if method.is_safe() { 2 } else { 0 } {
        let again = answer(site, &request, &mut cache);
        if !matches!(made.2, Content::Pieces(_)) {
            assert_eq!((again.0, &again.1), (made.0, &made.1), "from the cache");
        }
        if let Content::Pieces(pieces) = made.2 {
            site.release(pieces.work);
        }
        made = again;
    }
    if let Content::File(part) = &mut made.2
        && let Source::Kept(kept) = part.source
    {
        let mut bytes = vec![0; usize::try_from(part.length).unwrap()];
        let file = fs::File::from(cache.file(kept).unwrap());
        file.read_exact_at(&mut bytes, part.offset).unwrap();
        let mut room = vec![0; bytes.len()];
        cache.read(kept, &mut room, part.offset).unwrap();
        assert_eq!(room, bytes);
        part.source = Source::Own(file.into());
    }
    made
}

/// Status, head and what follows, with files of this cache.
pub(super) fn answer(
    site: &mut Site,
    request: &Request<'_>,
    cache: &mut Cache,
) -> (u16, String, Content) {
    let limits = Limits::new();
    answer_in(site, request, cache, &turn(&limits))
}

/// The same in this turn.
pub(super) fn answer_in(
    site: &mut Site,
    request: &Request<'_>,
    cache: &mut Cache,
    turn: &Turn<'_>,
) -> (u16, String, Content) {
    let mut buffer = [0; 8192];
    let mut reply = Reply::new(&mut buffer);
    let means = Means {
        work: true,
        upload: true,
        script: None,
        of_status: false,
        cache,
    };
    let mut credentials = Credentials::new(AuthConfig::default(), 8);
    let content = site.answer(
        request,
        &Client::Unix,
        means,
        &mut credentials,
        turn,
        &mut reply,
    );
    assert!(!reply.overflowed());
    let (status, len) = (reply.current_status().code(), reply.len());
    let head = String::from_utf8(buffer[..len].to_vec()).unwrap();
    (status, head, content)
}

/// The answer with its content read.
pub(super) fn seen(site: &mut Site, status: u16, head: String, content: Content) -> Answer {
    let (content, body) = match content {
        Content::Nothing => ("nothing", String::new()),
        Content::Empty => ("empty", String::new()),
        Content::Page => ("page", String::new()),
        Content::Later(_) => ("later", String::new()),
        Content::Store(_) => ("store", String::new()),
        Content::Script(_) | Content::NoPlace => ("script", String::new()),
        Content::Status(_) => ("status", String::new()),
        Content::File(part) => {
            let mut bytes = vec![0; usize::try_from(part.length).unwrap()];
            let Source::Own(file) = part.source else {
                panic!("the cache is gone");
            };
            fs::File::from(file)
                .read_exact_at(&mut bytes, part.offset)
                .unwrap();
            ("file", String::from_utf8(bytes).unwrap())
        }
        Content::Pieces(pieces) => ("pieces", whole(site, pieces)),
    };
    Answer {
        status,
        head,
        content,
        body,
    }
}

/// All pieces of an answer, in rooms of 300 bytes: no more than two heads of parts fit.
fn whole(site: &mut Site, mut pieces: Pieces) -> String {
    let file = fs::File::from(pieces.file.try_clone().unwrap());
    let mut all = Vec::new();
    loop {
        assert_eq!(
            site.prepare(&mut pieces.work, file.as_fd(), Ms(0)).unwrap(),
            Prepared::Ready
        );
        let mut room = [0; 300];
        let piece = site
            .produce(&mut pieces.work, file.as_fd(), &mut room)
            .unwrap();
        all.extend_from_slice(&room[..piece.bytes]);
        if let Some((offset, length)) = piece.file {
            let mut bytes = vec![0; usize::try_from(length).unwrap()];
            file.read_exact_at(&mut bytes, offset).unwrap();
            all.extend_from_slice(&bytes);
        }
        if piece.last {
            site.release(pieces.work);
            assert_eq!(pieces.length, Some(u64::try_from(all.len()).unwrap()));
            return String::from_utf8(all).unwrap();
        }
    }
}

pub(super) fn get(site: &mut Site, target: &str) -> Answer {
    ask(site, Method::Get, target, &[])
}

#[test]
fn a_file_and_its_fields() {
    let (_folder, mut site) = site();
    for method in [Method::Get, Method::Head] {
        let answer = ask(&mut site, method, "/page.txt?ignored", &[]);
        assert_eq!((answer.status, answer.content), (200, "file"));
        assert_eq!(answer.body, "0123456789");
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/plain; charset=utf-8")
        );
        assert_eq!(answer.field("Last-Modified"), Some(MODIFIED));
        assert_eq!(answer.field("Accept-Ranges"), Some("bytes"));
        assert!(
            answer.field("ETag").is_some_and(|tag| tag.starts_with('"')),
            "{answer:?}"
        );
        for name in ["Date", "Content-Length", "Connection"] {
            assert_eq!(answer.field(name), None, "{name} is the caller's");
        }
    }
    let answer = get(&mut site, "/empty.bin");
    assert_eq!(
        (answer.status, answer.content, answer.body.as_str()),
        (200, "file", "")
    );
}

#[test]
fn paths_and_their_answers() {
    let (folder, mut site) = site();
    symlink("../", folder.path("up")).unwrap();
    symlink("page.txt", folder.path("link.html")).unwrap();
    for (path, status, body) in [
        ("/", 200, "<p>top"),
        ("//", 200, "<p>top"),
        ("/.", 200, "<p>top"),
        ("/sub/..", 200, "<p>top"),
        ("/sub/", 200, "<p>sub"),
        ("/sub/empty/../", 200, "<p>sub"),
        ("/other/", 200, "<p>other"),
        ("/odd/", 200, "<p>odd"),
        ("/a%20b/c%25d.svg", 200, "<svg/>"),
        ("/n%c3%a9%0A", 200, "x"),
        ("/link.html", 200, "0123456789"),
        ("/sub/../page.txt", 200, "0123456789"),
        ("/sub/empty/", 403, ""),
        ("/up/", 403, ""),
        ("/up", 403, ""),
        ("/page.txt/", 404, ""),
        ("/page.txt/.", 404, ""),
        ("/page.txt/x", 404, ""),
        ("/none", 404, ""),
        ("/none/", 404, ""),
        ("/PAGE.TXT", 404, ""),
        ("/sub%2findex.html", 404, ""),
        ("/%2e%2e%2fetc/passwd", 404, ""),
        ("/../page.txt", 400, ""),
        ("/%2e%2e/etc/passwd", 400, ""),
        ("/%", 400, ""),
        ("/page.txt%00", 400, ""),
    ] {
        let answer = get(&mut site, path);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{path}"
        );
        assert_eq!(
            answer.content,
            if status == 200 { "file" } else { "page" },
            "{path}"
        );
    }
    assert_eq!(get(&mut site, &format!("/{}", "x".repeat(256))).status, 404);
    assert_eq!(get(&mut site, &"/x".repeat(2100)).status, 414);
    // The type is the one of the name that was asked for.
    assert_eq!(
        get(&mut site, "/link.html").field("Content-Type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(
        get(&mut site, "/a%20b/c%25d.svg").field("Content-Type"),
        Some("image/svg+xml")
    );
}

#[test]
fn directories_redirect_to_their_slash() {
    let (_folder, mut site) = site();
    for (target, location) in [
        ("/sub", "/sub/"),
        ("/sub?a=1&b=//x", "/sub/?a=1&b=//x"),
        ("//sub", "/sub/"),
        ("//evil.example/../sub", "/evil.example/../sub/"),
        ("/\\evil.example/../sub", "/%5Cevil.example/../sub/"),
        ("/a%20b", "/a%20b/"),
        ("/back\\slash", "/back%5Cslash/"),
        ("/other/../sub", "/other/../sub/"),
    ] {
        let answer = get(&mut site, target);
        assert_eq!((answer.status, answer.content), (301, "page"), "{target}");
        assert_eq!(answer.field("Location"), Some(location), "{target}");
    }
}

#[test]
fn methods() {
    let (_folder, mut site) = site();
    let allow = Some("GET, HEAD, OPTIONS");
    for target in ["*", "/", "/none", "/page.txt"] {
        let answer = ask(&mut site, Method::Options, target, &[]);
        assert_eq!((answer.status, answer.content), (200, "empty"), "{target}");
        assert_eq!(answer.field("Allow"), allow);
    }
    for method in [
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Patch,
        Method::Trace,
        Method::Connect,
    ] {
        let answer = ask(&mut site, method, "/none", &[]);
        assert_eq!((answer.status, answer.content), (405, "page"), "{method:?}");
        assert_eq!(answer.field("Allow"), allow);
    }
    let answer = ask(&mut site, Method::Other, "/", &[]);
    assert_eq!((answer.status, answer.content), (501, "page"));
    assert_eq!(ask(&mut site, Method::Get, "*", &[]).status, 400);
}

#[test]
fn ranges() {
    let (_folder, mut site) = site();
    for (value, status, content_range, body) in [
        ("bytes=2-4", 206, Some("bytes 2-4/10"), "234"),
        ("bytes=-3", 206, Some("bytes 7-9/10"), "789"),
        ("bytes=5-", 206, Some("bytes 5-9/10"), "56789"),
        ("bytes=0-", 206, Some("bytes 0-9/10"), "0123456789"),
        ("bytes=10-", 416, Some("bytes */10"), ""),
        ("bytes=-0", 416, Some("bytes */10"), ""),
        ("bytes=0-1,3-4", 206, Some("bytes 0-4/10"), "01234"),
        ("bytes=x", 200, None, "0123456789"),
    ] {
        let answer = ask(&mut site, Method::Get, "/page.txt", &[("Range", value)]);
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (status, body),
            "{value}"
        );
        assert_eq!(answer.field("Content-Range"), content_range, "{value}");
        if status == 206 {
            assert_eq!(
                answer.field("Content-Type"),
                Some("text/plain; charset=utf-8")
            );
            assert!(answer.field("ETag").is_some() && answer.field("Last-Modified").is_some());
        } else if status == 416 {
            assert_eq!(
                (answer.content, answer.field("Content-Type")),
                ("page", None)
            );
        }
    }
    let twice = [("Range", "bytes=0-1"), ("Range", "bytes=0-1")];
    assert_eq!(ask(&mut site, Method::Get, "/page.txt", &twice).status, 200);
    assert_eq!(
        ask(
            &mut site,
            Method::Head,
            "/page.txt",
            &[("Range", "bytes=0-1")]
        )
        .status,
        200
    );
    let empty = ask(
        &mut site,
        Method::Get,
        "/empty.bin",
        &[("Range", "bytes=0-")],
    );
    assert_eq!(
        (empty.status, empty.field("Content-Range")),
        (416, Some("bytes */0"))
    );
    assert_eq!(
        ask(&mut site, Method::Get, "/none", &[("Range", "bytes=0-1")]).status,
        404
    );
}

#[test]
fn conditions_go_before_ranges() {
    let (_folder, mut site) = site();
    let tag = get(&mut site, "/page.txt")
        .field("ETag")
        .unwrap()
        .to_owned();
    let range = ("Range", "bytes=0-1");
    for (line, status) in [
        (("If-None-Match", tag.as_str()), 304),
        (("If-Modified-Since", MODIFIED), 304),
        (("If-Match", "\"x\""), 412),
        (("If-Match", tag.as_str()), 206),
        (("If-Range", tag.as_str()), 206),
        (("If-Range", MODIFIED), 206),
        (("If-Range", "\"x\""), 200),
        (("If-Range", "Mon, 06 May 2024 07:08:10 GMT"), 200),
    ] {
        let answer = ask(&mut site, Method::Get, "/page.txt", &[range, line]);
        assert_eq!(answer.status, status, "{line:?}");
    }
    for method in [Method::Get, Method::Head] {
        let answer = ask(&mut site, method, "/page.txt", &[("If-None-Match", &tag)]);
        assert_eq!((answer.status, answer.content), (304, "nothing"));
        assert_eq!(
            answer.head,
            format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n")
        );
    }
    // What is not there has no state to compare (RFC 9110 section 13.2.1).
    assert_eq!(
        ask(&mut site, Method::Get, "/none", &[("If-Match", "*")]).status,
        404
    );
    assert_eq!(
        ask(&mut site, Method::Get, "/sub", &[("If-None-Match", "*")]).status,
        301
    );
}

#[test]
fn a_replaced_file_has_another_tag() {
    let (folder, mut site) = site();
    let first = get(&mut site, "/page.txt")
        .field("ETag")
        .unwrap()
        .to_owned();
    fs::write(folder.path("new"), "9876543210").unwrap();
    let file = fs::File::options()
        .write(true)
        .open(folder.path("new"))
        .unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED_S))
        .unwrap();
    fs::rename(folder.path("new"), folder.path("page.txt")).unwrap();
    let answer = ask(
        &mut site,
        Method::Get,
        "/page.txt",
        &[("If-None-Match", &first)],
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "9876543210"));
}

#[test]
fn index_names_stay_inside_too() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("root/sub")).unwrap();
    fs::write(folder.path("secret"), "secret").unwrap();
    fs::write(folder.path("root/top.html"), "top").unwrap();
    for (name, status) in [
        ("../secret", 403),
        ("..", 403),
        ("top.html", 200),
        ("a\0b", 403),
        ("", 403),
    ] {
        let index = vec![name.to_owned()];
        let mut site = Site::new(&config_with(&folder.path("root"), |site| {
            site.index = index;
            site.dotfiles = Dotfiles::Serve; // `..` is what this is about
        }))
        .unwrap();
        assert_eq!(get(&mut site, "/").status, status, "{name:?}");
    }
    let index = vec!["../top.html".to_owned()];
    let mut site = Site::new(&config_with(&folder.path("root"), |site| {
        site.index = index;
        site.dotfiles = Dotfiles::Serve;
    }))
    .unwrap();
    assert_eq!(get(&mut site, "/sub/").body, "top");
    symlink("../secret", folder.path("root/index.html")).unwrap();
    let mut site = Site::new(&config(&folder.path("root"))).unwrap();
    assert_eq!(get(&mut site, "/").status, 403);
}

#[test]
fn a_root_that_cannot_be_served_stops_the_start() {
    let folder = Folder::new();
    fs::write(folder.path("file"), "").unwrap();
    for (name, reason) in [
        ("none", "No such file"),
        ("file", "ot a directory"),
        ("file/x", "ot a directory"),
    ] {
        let error: StartError = Site::new(&config(&folder.path(name))).unwrap_err();
        assert_eq!(
            (error.place.as_str(), error.code),
            ("site.root", 1),
            "{name}"
        );
        assert!(
            error.what.contains(reason) && error.what.contains(name),
            "{error}"
        );
        assert_eq!(error.to_string().lines().count(), 1);
    }
}

#[test]
fn a_root_that_is_a_link_is_served() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    fs::write(folder.path("real/page"), "page").unwrap();
    symlink("real", folder.path("root")).unwrap();
    symlink(
        folder.path("real").canonicalize().unwrap().join("page"),
        folder.path("real/link"),
    )
    .unwrap();
    let mut site = Site::new(&config(&folder.path("root"))).unwrap();
    assert_eq!(
        get(&mut site, "/link").body,
        "page",
        "absolute, and beneath the real root"
    );
}

#[test]
fn the_site_that_comes_with_adieu() {
    let mut site = Site::new(&config(Path::new("conf/www"))).unwrap();
    for (path, media_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/goodbye.html", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ] {
        let answer = get(&mut site, path);
        assert_eq!(
            (answer.status, answer.field("Content-Type")),
            (200, Some(media_type)),
            "{path}"
        );
        let local = answer.body.replace("http://www.w3.org/2000/svg", "");
        assert!(
            !local.contains("://") && !local.contains("=\"//"),
            "{path} names another host"
        );
    }
}

#[test]
fn hidden_names_are_not_there() {
    let (folder, mut site) = site();
    for name in [".git", ".well-known", "sub/.well-known"] {
        fs::create_dir_all(folder.path(name)).unwrap();
        fs::write(folder.path(name).join("x"), "x").unwrap();
    }
    fs::write(folder.path("other/.index.html"), "hidden").unwrap();
    fs::create_dir(folder.path("hidden")).unwrap();
    fs::write(folder.path("hidden/.index.html"), "hidden").unwrap();
    symlink("../.git", folder.path("sub/git")).unwrap();
    let mut served = Site::new(&config_with(&folder.0, |site| {
        site.dotfiles = Dotfiles::Serve;
    }))
    .unwrap();
    for (path, hide, serve) in [
        ("/.git", 404, 301),
        ("/.git/", 404, 403),
        ("/.git/x", 404, 200),
        ("/.none", 404, 404),
        ("/.well-known", 301, 301),
        ("/.well-known/x", 200, 200),
        ("/sub/.well-known/x", 404, 200),
        // A link without a dot leads through a name with one.
        ("/sub/git/x", 200, 200),
    ] {
        assert_eq!(get(&mut site, path).status, hide, "{path}");
        assert_eq!(get(&mut served, path).status, serve, "{path}");
    }
    for (dotfiles, other, hidden) in [
        (Dotfiles::Hide, "<p>other", 403),
        (Dotfiles::Serve, "hidden", 200),
    ] {
        let index = vec![".index.html".to_owned(), "index.htm".to_owned()];
        let mut site = Site::new(&config_with(&folder.0, |site| {
            site.index = index;
            site.dotfiles = dotfiles;
        }))
        .unwrap();
        assert_eq!(get(&mut site, "/other/").body, other);
        assert_eq!(get(&mut site, "/hidden/").status, hidden);
    }
}

/// A file that was modified so many seconds after the others.
fn file_at(folder: &Folder, name: &str, text: &str, later_s: u64) {
    fs::write(folder.path(name), text).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(folder.path(name))
        .unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(MODIFIED_S + later_s))
        .unwrap();
}

#[test]
fn a_coding_is_looked_for_once() {
    let (folder, mut site) = site();
    for (name, later_s) in [("page.txt.br", 0), ("page.txt.zst", 1), ("page.txt.gz", 2)] {
        file_at(&folder, name, name, later_s);
    }
    for (accept, body) in [
        ("gzip", "page.txt.gz"),
        ("gzip, zstd", "page.txt.zst"),
        ("gzip, zstd;q=0.9", "page.txt.gz"),
        ("*", "page.txt.br"),
        ("identity;q=0", "0123456789"),
    ] {
        let answer = ask(
            &mut site,
            Method::Get,
            "/page.txt",
            &[("Accept-Encoding", accept)],
        );
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, body),
            "{accept}"
        );
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"), "{accept}");
        let media_type = answer.field("Content-Type");
        assert_eq!(media_type, Some("text/plain; charset=utf-8"), "{accept}");
    }
    let every = [("Accept-Encoding", "br, zstd, gzip")];
    for (words, body, vary) in [
        (&["gzip", "br"][..], "page.txt.gz", true),
        (&["zstd"], "page.txt.zst", true),
        (&[], "0123456789", false),
    ] {
        let mut site = Site::new(&config_with(&folder.0, |site| {
            site.precompressed = words.iter().map(|w| (*w).to_owned()).collect();
        }))
        .unwrap();
        let answer = ask(&mut site, Method::Get, "/page.txt", &every);
        assert_eq!(answer.body, body, "{words:?}");
        assert_eq!(answer.field("Vary").is_some(), vary, "{words:?}");
    }
}
