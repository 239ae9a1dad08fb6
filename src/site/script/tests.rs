//! Scripts by path, and their environment.

use super::Facts;
use crate::config::rules::Rule;
use crate::config::{AuthConfig, AuthRule, Config, Dotfiles, ScriptRule, SiteConfig, Symlinks};
use crate::connection::client::Client;
use crate::connection::head::{Field, Framing, Method, Request, Target, Version};
use crate::connection::limits::Limits;
use crate::connection::reply::Reply;
use crate::helper::credentials::Credentials;
use crate::script::Frame;
use crate::site::cache::Cache;
use crate::site::tests::{Folder, config_with, turn, verdict};
use crate::site::{Body, Content, Means, Question, Script, ScriptMeans, Site, Source, basic};
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};

/// What a request came to.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    /// A script: its name, its interpreter, what it is told as SCRIPT_NAME and PATH_INFO.
    Script(String, String, String, String),
    Page(u16),
    File(String),
    NoPlace,
    Other(String),
}

/// A request, as far as it matters.
struct Ask<'a> {
    method: Method,
    target: &'a [u8],
    host: &'a [u8],
    lines: &'a [(&'a str, &'a [u8])],
    framing: Framing,
    version: Version,
    client: Client,
    server: Option<&'a str>,
    place: bool,
}

impl Default for Ask<'_> {
    fn default() -> Self {
        Self {
            method: Method::Get,
            target: b"/",
            host: b"device",
            lines: &[],
            framing: Framing::None,
            version: Version::Http11,
            client: Client::from_address("192.0.2.7".parse().unwrap()),
            server: Some("192.0.2.1:8080"),
            place: true,
        }
    }
}

/// A site with scripts, and what the last one was told.
struct Scripts {
    folder: Folder,
    site: Site,
    frame: Frame,
    directory: String,
    body: Body,
    allow: String,
}

impl Scripts {
    fn new(rules: &[&str], change: impl FnOnce(&mut SiteConfig)) -> Self {
        Self::with(rules, change, |_| {})
    }

    fn with(
        rules: &[&str],
        change: impl FnOnce(&mut SiteConfig),
        more: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = Folder::new();
        for name in ["cgi-bin/sub", "CGI-BIN", "app/static", "lib.php", "alias"] {
            fs::create_dir_all(folder.path(name)).unwrap();
        }
        for (name, mode) in [
            ("cgi-bin/run", 0o755),
            ("cgi-bin/sub/deep.sh", 0o711),
            ("cgi-bin/plain", 0o644),
            ("cgi-bin/plain.gz", 0o644),
            ("cgi-bin/nph-own", 0o755),
            ("cgi-bin/.hidden", 0o755),
            ("cgi-bin/a b\n", 0o755),
            ("CGI-BIN/other", 0o755),
            ("page.php", 0o644),
            ("page.php.gz", 0o644),
            ("page.PHP", 0o644),
            ("page.php.", 0o644),
            ("page.phps", 0o644),
            ("app/index.php", 0o644),
            ("app/index.html", 0o644),
            ("app/static/a.txt", 0o644),
            ("lib.php/readme.txt", 0o644),
            ("alias/tool", 0o755),
            ("file.txt", 0o755),
        ] {
            fs::write(folder.path(name), name).unwrap();
            let mode = fs::Permissions::from_mode(mode);
            fs::set_permissions(folder.path(name), mode).unwrap();
        }
        let mut config = config_with(&folder.path(""), |site| {
            site.scripts = rules
                .iter()
                .map(|rule| ScriptRule::parse(rule).unwrap())
                .collect();
            change(site);
        });
        more(&mut config);
        let site = Site::open(&config).unwrap();
        Self {
            folder,
            site,
            frame: Frame::new(),
            directory: String::new(),
            body: Body::None,
            allow: String::new(),
        }
    }

    fn ask(&mut self, ask: &Ask<'_>) -> Got {
        let question = ask.target.iter().position(|byte| *byte == b'?');
        let (path, query) = match question {
            Some(at) => (&ask.target[..at], Some(&ask.target[at + 1..])),
            None => (ask.target, None),
        };
        let fields: Vec<Field<'_>> = ask
            .lines
            .iter()
            .map(|(name, value)| Field { name, value })
            .collect();
        let request = Request {
            line: b"",
            method: ask.method,
            target: Target::Path { path, query },
            host: ask.host,
            fields: &fields,
            verdict: verdict(ask.method, ask.framing, ask.version),
        };
        let limits = Limits::new();
        let turn = turn(&limits);
        let mut buffer = [0; 8192];
        let mut reply = Reply::new(&mut buffer);
        let mut server = || ask.server.map(|text| text.parse().unwrap());
        let mut cache = Cache::off();
        let means = Means {
            upload: true,
            work: true,
            script: ScriptMeans::of(ask.place.then_some(&mut self.frame), &mut server),
            of_status: false,
            cache: &mut cache,
        };
        let mut credentials = Credentials::new(AuthConfig::default(), 8);
        let site = &mut self.site;
        let content = site.answer(
            &request,
            &ask.client,
            means,
            &mut credentials,
            &turn,
            &mut reply,
        );
        let (status, len) = (reply.current_status().code(), reply.len());
        let head = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let mut lines = head.lines();
        let allow = lines.find_map(|line| line.strip_prefix("Allow: "));
        self.allow = allow.unwrap_or_default().to_owned();
        match content {
            Content::Script(script) => {
                assert_eq!(len, 0, "nothing is written yet");
                self.got(&script)
            }
            Content::Page => Got::Page(status),
            Content::File(part) => {
                use std::os::unix::fs::FileExt;
                let mut bytes = vec![0; usize::try_from(part.length).unwrap()];
                let Source::Own(file) = part.source else {
                    panic!("there is no cache");
                };
                let file = fs::File::from(file);
                file.read_exact_at(&mut bytes, part.offset).unwrap();
                Got::File(String::from_utf8(bytes).unwrap())
            }
            Content::NoPlace => Got::NoPlace,
            other @ (Content::Nothing
            | Content::Empty
            | Content::Status(_)
            | Content::Pieces(_)
            | Content::Later(_)
            | Content::Store(_)) => Got::Other(format!("{status} {other:?}")),
        }
    }

    fn got(&mut self, script: &Script) -> Got {
        let link = format!("/proc/self/fd/{}", script.directory.as_raw_fd());
        self.directory = fs::read_link(link).unwrap().to_str().unwrap().to_owned();
        self.body = script.body;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let told = self.told();
        Got::Script(
            text(self.frame.name()),
            text(self.frame.interpreter()),
            told["SCRIPT_NAME"].clone(),
            told["PATH_INFO"].clone(),
        )
    }

    fn get(&mut self, target: &str) -> Got {
        let target = target.as_bytes();
        self.ask(&Ask {
            target,
            ..Ask::default()
        })
    }

    /// The variables of the last script.
    fn told(&self) -> BTreeMap<String, String> {
        let mut told = BTreeMap::new();
        for variable in self.frame.environment() {
            let text = String::from_utf8_lossy(variable).into_owned();
            let (name, value) = text.split_once('=').unwrap();
            let twice = told.insert(name.to_owned(), value.to_owned());
            assert_eq!(twice, None, "{name} is there twice");
        }
        told
    }

    /// The variables of a script that gets these fields.
    fn told_of(&mut self, lines: &[(&str, &[u8])]) -> BTreeMap<String, String> {
        let got = self.ask(&Ask {
            target: b"/cgi-bin/run",
            lines,
            ..Ask::default()
        });
        assert!(matches!(got, Got::Script(..)), "{got:?}");
        let mut told = self.told();
        told.retain(|name, _| name.starts_with("HTTP_") || name.starts_with("CONTENT_"));
        told
    }
}

fn script(name: &str, interpreter: &str, path: &str, info: &str) -> Got {
    Got::Script(name.into(), interpreter.into(), path.into(), info.into())
}

fn none(_: &mut SiteConfig) {}

#[test]
fn the_first_file_on_the_way_is_the_script_and_the_rest_is_told_to_it() {
    let mut scripts = Scripts::new(&["/cgi-bin", "*.php /usr/bin/php-cgi"], none);
    let php = "/usr/bin/php-cgi";
    for (target, got) in [
        ("/cgi-bin/run", script("run", "", "/cgi-bin/run", "")),
        ("/cgi-bin/run?a=1", script("run", "", "/cgi-bin/run", "")),
        ("/cgi-bin/run/", script("run", "", "/cgi-bin/run", "/")),
        (
            "/cgi-bin/run/a/b",
            script("run", "", "/cgi-bin/run", "/a/b"),
        ),
        (
            "/cgi-bin/run/a%20b/?x",
            script("run", "", "/cgi-bin/run", "/a b/"),
        ),
        (
            "/cgi-bin//run//a/./../b",
            script("run", "", "/cgi-bin/run", "/b"),
        ),
        ("/%63gi-bin/r%75n", script("run", "", "/cgi-bin/run", "")),
        (
            "/cgi-bin/run/run",
            script("run", "", "/cgi-bin/run", "/run"),
        ),
        (
            "/cgi-bin/sub/deep.sh/x",
            script("deep.sh", "", "/cgi-bin/sub/deep.sh", "/x"),
        ),
        (
            "/cgi-bin/run/page.php",
            script("run", "", "/cgi-bin/run", "/page.php"),
        ),
        ("/page.php", script("page.php", php, "/page.php", "")),
        ("/page.php/", script("page.php", php, "/page.php", "/")),
        (
            "/page.php/more.php",
            script("page.php", php, "/page.php", "/more.php"),
        ),
        ("/page.php/%5C", script("page.php", php, "/page.php", "/\\")),
        (
            "/page.php/../cgi-bin/run",
            script("run", "", "/cgi-bin/run", ""),
        ),
    ] {
        assert_eq!(scripts.get(target), got, "{target}");
    }
    scripts.get("/cgi-bin/sub/deep.sh");
    let expected = scripts.folder.path("cgi-bin/sub").canonicalize().unwrap();
    assert_eq!(scripts.directory, expected.to_str().unwrap());
}

#[test]
fn what_is_no_script_is_refused_or_is_not_there() {
    let mut scripts = Scripts::new(&["/cgi-bin", "*.php /usr/bin/php-cgi"], |site| {
        site.listing = true;
        site.fallback = "/file.txt".to_owned();
    });
    for (target, status) in [
        ("/cgi-bin", 403),
        ("/cgi-bin/", 403),
        ("/cgi-bin/sub", 403),
        ("/cgi-bin/sub/", 403),
        ("/cgi-bin/plain", 403),
        ("/cgi-bin/plain/info", 403),
        ("/cgi-bin/plain.gz", 403),
        ("/cgi-bin/nph-own", 403),
        ("/cgi-bin/nph-own/x", 403),
        ("/cgi-bin/missing", 404),
        ("/cgi-bin/missing/run", 404),
        ("/cgi-bin/.hidden", 404),
        ("/cgi-bin/.hidden/x", 404),
        ("/cgi-bin/a%20b%0A", 400),
        ("/cgi-bin/run/a%0Ab", 400),
        ("/cgi-bin/run/%7F", 400),
        ("/cgi-bin/run/a%2Fb", 404),
        ("/cgi-bin/run/%00", 400),
        ("/missing.php", 404),
        ("/missing.php/x", 404),
    ] {
        assert_eq!(scripts.get(target), Got::Page(status), "{target}");
    }
    for (target, file) in [
        ("/file.txt", "file.txt"),
        ("/page.phps", "page.phps"),
        ("/app/static/a.txt", "app/static/a.txt"),
        ("/lib.php/readme.txt", "lib.php/readme.txt"),
        ("/nowhere", "file.txt"),
    ] {
        assert_eq!(scripts.get(target), Got::File(file.into()), "{target}");
    }
    assert!(
        matches!(scripts.get("/lib.php/"), Got::Other(_)),
        "a listing"
    );
}

#[test]
fn the_source_of_a_script_is_never_sent() {
    let mut scripts = Scripts::new(&["/cgi-bin", "*.php /usr/bin/php-cgi"], |site| {
        site.error_pages = vec![Rule::parse("404 /page.php").unwrap()];
        site.listing = true;
    });
    symlink("page.php", scripts.folder.path("link.txt")).unwrap();
    symlink("cgi-bin/run", scripts.folder.path("run.txt")).unwrap();
    symlink("cgi-bin", scripts.folder.path("bin")).unwrap();
    symlink("../file.txt", scripts.folder.path("cgi-bin/link")).unwrap();
    for target in [
        "/page.php.gz",
        "/page.PHP",
        "/page.Php",
        "/page.php.",
        "/page.php%20",
        "/page.php...",
        "/page.PHP.gz",
        "/page.php./x",
        "/CGI-BIN/other",
        "/CGI-BIN/",
        "/Cgi-Bin/run",
        "/cgi-bin./run",
        "/link.txt",
        "/run.txt",
        "/bin/run",
    ] {
        for (method, lines) in [
            (Method::Get, &[][..]),
            (Method::Head, &[]),
            (Method::Get, &[("accept-encoding", &b"gzip, br"[..])]),
            (Method::Get, &[("range", b"bytes=0-1")]),
        ] {
            let got = scripts.ask(&Ask {
                method,
                target: target.as_bytes(),
                lines,
                ..Ask::default()
            });
            let refused = matches!(got, Got::Page(403 | 404));
            assert!(refused, "{target}: {got:?}");
        }
    }
    for target in ["/bin/", "/bin/sub/"] {
        assert_eq!(scripts.get(target), Got::Page(403), "{target}");
    }
    // The page of a refusal is no script, and not shown as a file either.
    assert_eq!(scripts.get("/nowhere"), Got::Page(404));
    // The other way: a file is a script when it is called so, wherever it lies in the root.
    let got = script("file.txt", "", "/cgi-bin/link", "/x");
    assert_eq!(scripts.get("/cgi-bin/link/x"), got);
    let root = scripts.folder.path("").canonicalize().unwrap();
    assert_eq!(scripts.directory, root.to_str().unwrap());
}

#[test]
fn links_out_of_the_root_are_no_scripts() {
    let outside = Folder::new();
    fs::write(outside.path("tool"), "").unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(outside.path("tool"), mode).unwrap();
    for (symlinks, got) in [
        (Symlinks::Within, Got::Page(403)),
        (Symlinks::None, Got::Page(403)),
        (Symlinks::Follow, script("tool", "", "/cgi-bin/out", "/x")),
    ] {
        let mut scripts = Scripts::new(&["/cgi-bin"], |site| site.symlinks = symlinks);
        symlink(outside.path("tool"), scripts.folder.path("cgi-bin/out")).unwrap();
        assert_eq!(scripts.get("/cgi-bin/out/x"), got, "{symlinks:?}");
        // What a link adds behind a file is nowhere.
        let target = format!("{}/more", outside.path("tool").display());
        symlink(target, scripts.folder.path("cgi-bin/more")).unwrap();
        assert!(matches!(scripts.get("/cgi-bin/more"), Got::Page(403 | 404)));
        assert!(matches!(
            scripts.get("/cgi-bin/more/x"),
            Got::Page(403 | 404)
        ));
    }
}

#[test]
fn an_index_may_be_a_script() {
    let index = |names: &'static [&'static str]| {
        move |site: &mut SiteConfig| site.index = names.iter().map(|n| (*n).to_owned()).collect()
    };
    let rules = ["*.php /usr/bin/php-cgi"];
    let mut scripts = Scripts::new(&rules, index(&["index.php", "index.html"]));
    let php = script("index.php", "/usr/bin/php-cgi", "/app/index.php", "");
    assert_eq!(scripts.get("/app/?x"), php);
    let post = Ask {
        method: Method::Post,
        target: b"/app/",
        framing: Framing::Length(3),
        ..Ask::default()
    };
    assert_eq!(scripts.ask(&post), php);
    assert_eq!(scripts.body, Body::Length(3));
    // A directory is sent to its own name first, and one without a script has none.
    assert!(matches!(
        scripts.get("/app"),
        Got::Page(301 | 308) | Got::Other(_)
    ));
    assert_eq!(scripts.get("/app/static/"), Got::Page(403));
    assert_eq!(scripts.get("/lib.php/"), Got::Page(403));
    let mut scripts = Scripts::new(&rules, index(&["index.html", "index.php"]));
    assert_eq!(scripts.get("/app/"), Got::File("app/index.html".into()));
    // An index in a spelling that the rule has not.
    let mut scripts = Scripts::new(&rules, index(&["index.PHP", "index.html"]));
    fs::rename(
        scripts.folder.path("app/index.php"),
        scripts.folder.path("app/index.PHP"),
    )
    .unwrap();
    assert_eq!(scripts.get("/app/"), Got::Page(403));
}

#[test]
fn scripts_lie_beneath_aliases_too() {
    let outside = Folder::new();
    fs::create_dir(outside.path("cgi")).unwrap();
    fs::write(outside.path("cgi/tool"), "").unwrap();
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(outside.path("cgi/tool"), mode).unwrap();
    let alias = format!("/bin {}", outside.path("").display());
    let alias = Rule::parse(&alias).unwrap();
    let mut scripts = Scripts::new(&["/bin/cgi"], |site| site.aliases = vec![alias]);
    let got = script("tool", "", "/bin/cgi/tool", "/bin/x/");
    assert_eq!(scripts.get("/bin/cgi/tool/bin/x/"), got);
    // Where the rest would lie, had it been asked for.
    let root = outside.path("").canonicalize().unwrap();
    let path = format!("{}/x/", root.display());
    assert_eq!(scripts.told()["PATH_TRANSLATED"], path);
    symlink("cgi/tool", outside.path("link.txt")).unwrap();
    assert_eq!(scripts.get("/bin/link.txt"), Got::Page(403));
}

#[test]
fn methods_bodies_and_places() {
    let change = |config: &mut Config| {
        config.script.body_bytes = 100;
        config.script.spool_bytes = 50;
    };
    let mut scripts = Scripts::with(&["/cgi-bin"], none, change);
    let ask = |method, framing, place| Ask {
        method,
        target: b"/cgi-bin/run",
        framing,
        place,
        ..Ask::default()
    };
    for method in [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Delete,
        Method::Patch,
    ] {
        for (framing, body) in [
            (Framing::None, Body::None),
            (Framing::Length(100), Body::Length(100)),
            (Framing::Chunked, Body::Spool(50)),
        ] {
            let got = scripts.ask(&ask(method, framing, true));
            assert!(matches!(got, Got::Script(..)), "{got:?}");
            assert_eq!(scripts.body, body);
            assert_eq!(scripts.told()["REQUEST_METHOD"], method.name());
        }
        assert_eq!(
            scripts.ask(&ask(method, Framing::None, false)),
            Got::NoPlace
        );
        let large = scripts.ask(&ask(method, Framing::Length(101), false));
        assert_eq!(large, Got::Page(413));
    }
    let all = "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
    for (method, status) in [
        (Method::Trace, 405),
        (Method::Connect, 405),
        (Method::Other, 501),
    ] {
        let got = scripts.ask(&ask(method, Framing::None, true));
        assert_eq!(got, Got::Page(status));
    }
    scripts.ask(&ask(Method::Trace, Framing::None, true));
    assert_eq!(scripts.allow, all);
    let got = scripts.ask(&ask(Method::Options, Framing::None, true));
    assert!(matches!(got, Got::Other(_)));
    assert_eq!(scripts.allow, all);
    // Files stay what they are.
    let got = scripts.ask(&Ask {
        method: Method::Post,
        target: b"/file.txt",
        ..Ask::default()
    });
    assert_eq!(
        (got, scripts.allow.as_str()),
        (Got::Page(405), "GET, HEAD, OPTIONS")
    );
    // Who must not be run is refused before anybody looks for a place.
    let got = scripts.ask(&Ask {
        target: b"/cgi-bin/plain",
        place: false,
        ..Ask::default()
    });
    assert_eq!(got, Got::Page(403));
    let mut scripts = Scripts::with(&["/cgi-bin"], none, |config| config.script.spool_bytes = 0);
    let got = scripts.ask(&ask(Method::Post, Framing::Chunked, true));
    assert_eq!(got, Got::Page(411));
}

#[test]
fn the_environment_is_that_of_the_rfc() {
    let mut scripts = Scripts::new(&["/cgi-bin"], none);
    let got = scripts.ask(&Ask {
        method: Method::Post,
        target: b"/cgi-bin/ru%6E/a%20b/c?x=1&y=%20;z",
        lines: &[
            ("content-type", b"text/plain; charset=utf-8"),
            ("content-length", b"5"),
            ("user-agent", b"test \xe9"),
        ],
        framing: Framing::Length(5),
        ..Ask::default()
    });
    assert!(matches!(got, Got::Script(..)));
    let root = scripts.folder.path("").canonicalize().unwrap();
    let translated = format!("{}/a b/c", root.display());
    let software = concat!("adieu/", env!("CARGO_PKG_VERSION"));
    let expected = [
        ("CONTENT_LENGTH", "5"),
        ("CONTENT_TYPE", "text/plain; charset=utf-8"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("HTTP_USER_AGENT", "test \u{fffd}"),
        (
            "PATH",
            "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
        ),
        ("PATH_INFO", "/a b/c"),
        ("PATH_TRANSLATED", &translated),
        ("QUERY_STRING", "x=1&y=%20;z"),
        ("REMOTE_ADDR", "192.0.2.7"),
        ("REMOTE_HOST", "192.0.2.7"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/cgi-bin/ru%6E/a%20b/c?x=1&y=%20;z"),
        ("SCRIPT_NAME", "/cgi-bin/run"),
        ("SERVER_NAME", "device"),
        ("SERVER_PORT", "8080"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SERVER_SOFTWARE", software),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(scripts.told(), BTreeMap::from(expected));
    // Without a body, a query, a rest or fields.
    scripts.ask(&Ask {
        target: b"/cgi-bin/run",
        version: Version::Http10,
        client: Client::from_address("2001:db8::7".parse().unwrap()),
        ..Ask::default()
    });
    let told = scripts.told();
    for name in [
        "CONTENT_LENGTH",
        "CONTENT_TYPE",
        "PATH_TRANSLATED",
        "AUTH_TYPE",
        "REMOTE_USER",
    ] {
        assert_eq!(told.get(name), None, "{name}");
    }
    assert_eq!(
        (told["QUERY_STRING"].as_str(), told["PATH_INFO"].as_str()),
        ("", "")
    );
    assert_eq!(told["REQUEST_URI"], "/cgi-bin/run");
    assert_eq!(told["SERVER_PROTOCOL"], "HTTP/1.0");
    assert_eq!(told["REMOTE_ADDR"], "2001:db8::7");
}

#[test]
fn the_server_has_a_name_that_nobody_made_up() {
    let named = |site: &mut SiteConfig| {
        site.hosts = vec!["*.lan".to_owned(), "nas.example".to_owned()];
    };
    for (has_names, host, server, name, port) in [
        (
            false,
            &b"whatever:81"[..],
            Some("192.0.2.1:8080"),
            "whatever",
            "8080",
        ),
        (false, b"", Some("192.0.2.1:80"), "192.0.2.1", "80"),
        (false, b"", Some("[2001:db8::1]:80"), "[2001:db8::1]", "80"),
        (false, b"", Some("[::ffff:192.0.2.1]:80"), "192.0.2.1", "80"),
        (false, b"[2001:db8::2]:1", None, "[2001:db8::2]", "1"),
        (false, b"", None, "localhost", "80"),
        (true, b"a.lan", Some("192.0.2.1:80"), "a.lan", "80"),
        (true, b"NAS.example:8080", None, "NAS.example", "8080"),
        (
            true,
            b"evil.example",
            Some("192.0.2.1:80"),
            "nas.example",
            "80",
        ),
        (true, b"", None, "nas.example", "80"),
    ] {
        let change = if has_names { named } else { none };
        let mut scripts = Scripts::new(&["/cgi-bin"], change);
        scripts.ask(&Ask {
            target: b"/cgi-bin/run",
            host,
            server,
            ..Ask::default()
        });
        let told = scripts.told();
        let found = (told["SERVER_NAME"].as_str(), told["SERVER_PORT"].as_str());
        assert_eq!(found, (name, port), "{:?}", String::from_utf8_lossy(host));
    }
}

#[test]
fn who_has_no_address_is_not_taken_for_one_who_has() {
    let mut scripts = Scripts::new(&["/cgi-bin"], none);
    for (client, shown) in [(Client::Unix, "unix"), (Client::Unknown, "unknown")] {
        scripts.ask(&Ask {
            target: b"/cgi-bin/run",
            client,
            ..Ask::default()
        });
        assert_eq!(scripts.told()["REMOTE_ADDR"], shown);
    }
}

/// Fields, and the variables that they become.
type Becomes = (
    &'static [(&'static str, &'static [u8])],
    &'static [(&'static str, &'static str)],
);

const FIELDS: &[Becomes] = &[
    // httpoxy, secrets, what is about the connection.
    (
        &[
            ("Proxy", b"http://evil.example"),
            ("PROXY", b"x"),
            ("Authorization", b"Basic eDp5"),
            ("Proxy-Authorization", b"Basic eDp5"),
            ("Connection", b"close, X-Hop"),
            ("connection", b"x-other"),
            ("X-Hop", b"1"),
            ("X-Other", b"1"),
            ("Keep-Alive", b"5"),
            ("TE", b"trailers"),
            ("Trailer", b"x"),
            ("Transfer-Encoding", b"chunked"),
            ("Upgrade", b"h2c"),
            ("Expect", b"100-continue"),
            ("Content-Length", b"7"),
            ("Proxy-Connection", b"x"),
        ],
        &[],
    ),
    // An underscore would be a dash, and other signs are nothing to a shell.
    (
        &[
            ("X_Forwarded_For", b"10.0.0.1"),
            ("X-Forwarded-For", b"192.0.2.9"),
            ("X-Forwarded_For", b"10.0.0.2"),
            ("X.Y", b"1"),
            ("X!", b"1"),
            ("()", b"1"),
            ("Content_Type", b"1"),
        ],
        &[("HTTP_X_FORWARDED_FOR", "192.0.2.9")],
    ),
    // Of one name is one variable.
    (
        &[
            ("Accept", b"a/b"),
            ("Cookie", b"a=1"),
            ("ACCEPT", b"c/d"),
            ("cookie", b"b=2; c=3"),
            ("accept", b""),
        ],
        &[
            ("HTTP_ACCEPT", "a/b, c/d, "),
            ("HTTP_COOKIE", "a=1; b=2; c=3"),
        ],
    ),
    (
        &[
            ("Content-Type", b"a/b"),
            ("Host", b"device"),
            ("X-\u{c0}", b""),
        ],
        &[("CONTENT_TYPE", "a/b"), ("HTTP_HOST", "device")],
    ),
    (
        &[
            ("LD-PRELOAD", b"/tmp/x.so"),
            ("Path", b"/tmp"),
            ("X", b"() { :;}; id"),
        ],
        &[
            ("HTTP_LD_PRELOAD", "/tmp/x.so"),
            ("HTTP_PATH", "/tmp"),
            ("HTTP_X", "() { :;}; id"),
        ],
    ),
];
#[test]
fn fields_become_variables_and_nothing_else() {
    let mut scripts = Scripts::new(&["/cgi-bin"], none);
    let of = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        pairs.iter().map(owned).collect()
    };
    for (lines, expected) in FIELDS {
        assert_eq!(scripts.told_of(lines), of(expected), "{lines:?}");
    }
    // Nothing of a query is a name.
    scripts.get("/cgi-bin/run?LD_PRELOAD=/tmp/x.so&PATH=/tmp");
    let told = scripts.told();
    assert!(!told.contains_key("LD_PRELOAD"));
    assert!(told["PATH"].starts_with("/usr/"));
    let twice = scripts.ask(&Ask {
        target: b"/cgi-bin/run",
        lines: &[("content-type", b"a/b"), ("content-type", b"c/d")],
        ..Ask::default()
    });
    assert_eq!(twice, Got::Page(400));
}

#[test]
fn an_environment_that_does_not_fit_is_refused() {
    let mut scripts = Scripts::new(&["/cgi-bin"], none);
    let long = vec![b'x'; 8000];
    let name = "n".repeat(200);
    for (lines, status) in [
        (&[("a", &long[..])][..], None),
        (&[("a", &long), ("b", &long)], None),
        (&[("a", &long), ("b", &long), ("c", &long)], Some(431)),
        (&[("a", &long), ("a", &long), ("a", &long)], Some(431)),
        (&[(&name, b"1")], Some(431)),
    ] {
        let got = scripts.ask(&Ask {
            target: b"/cgi-bin/run",
            lines,
            ..Ask::default()
        });
        match status {
            Some(status) => assert_eq!(got, Got::Page(status)),
            None => assert!(matches!(got, Got::Script(..)), "{got:?}"),
        }
    }
    // As many fields as a head may have, all of one name.
    let many = vec![("a", &b"v"[..]); 100];
    scripts.ask(&Ask {
        target: b"/cgi-bin/run",
        lines: &many,
        ..Ask::default()
    });
    assert_eq!(scripts.told()["HTTP_A"].matches('v').count(), 100);
}

#[test]
fn rules_about_the_script_guard_it_whatever_stands_behind_it() {
    let mut scripts = Scripts::new(&["*.php /usr/bin/php-cgi", "/cgi-bin"], |site| {
        site.access = vec![
            Rule::parse("*.php deny 192.0.2.0/24").unwrap(),
            Rule::parse("/cgi-bin/run/secret deny 192.0.2.0/24").unwrap(),
        ];
        site.index = vec!["index.php".to_owned()];
        site.auth = vec![AuthRule::parse("/cgi-bin/sub * /users Realm").unwrap()];
    });
    for target in [
        "/page.php",
        "/page.php/",
        "/page.php/x",
        "/app/",
        "/cgi-bin/run/secret",
        "/cgi-bin/run/secret/x",
    ] {
        assert_eq!(scripts.get(target), Got::Page(403), "{target}");
    }
    assert!(matches!(scripts.get("/cgi-bin/run/other"), Got::Script(..)));
    assert_eq!(scripts.get("/cgi-bin/sub/deep.sh"), Got::Page(401));
    assert_eq!(scripts.get("/cgi-bin/sub/missing"), Got::Page(401));
}

#[test]
fn who_was_let_in_is_told_by_name_and_his_password_is_not() {
    let mut scripts = Scripts::new(&["/cgi-bin"], |site| {
        site.auth = vec![AuthRule::parse("/cgi-bin/run GET /users Realm").unwrap()];
    });
    // alice:wonderland
    let fields = [Field {
        name: "Authorization",
        value: b"Basic YWxpY2U6d29uZGVybGFuZA==",
    }];
    for (method, path, user) in [
        (Method::Get, &b"/cgi-bin/run"[..], Some(&b"alice"[..])),
        (Method::Head, b"/cgi-bin/RUN./x", Some(b"alice")),
        (Method::Post, b"/cgi-bin/run", None),
        (Method::Get, b"/cgi-bin/other", None),
    ] {
        let request = Request {
            line: b"",
            method,
            target: Target::Path { path, query: None },
            host: b"device",
            fields: &fields,
            verdict: verdict(method, Framing::None, Version::Http11),
        };
        let limits = Limits::new();
        let question = Question {
            keeps: true,
            request: &request,
            client: &Client::Unix,
            pieces: false,
            boundaries: &scripts.site.boundaries,
            shelf: None,
            turn: &turn(&limits),
        };
        let mut room = [0; basic::ROOM_BYTES];
        let host = &scripts.site.default;
        let found = host.user([path, b"/"], question, &mut room);
        // A build that asks nobody reads no credentials either.
        let user = user.filter(|_| crate::helper::BUILT);
        assert_eq!(found, user);
        scripts.frame.begin(b"run", None).unwrap();
        let facts = Facts {
            path,
            info: b"",
            user: found,
            server: None,
            body: Body::None,
        };
        host.environment(&mut scripts.frame, &facts, question)
            .unwrap();
        let told = scripts.told();
        let name = user.map(|user| String::from_utf8(user.to_vec()).unwrap());
        assert_eq!(told.get("REMOTE_USER"), name.as_ref());
        let kind = name.map(|_| "Basic".to_owned());
        assert_eq!(told.get("AUTH_TYPE"), kind.as_ref());
        assert!(told.values().all(|value| !value.contains("YWxpY2U")));
    }
}

#[test]
fn hidden_names_are_scripts_where_they_are_served() {
    let mut scripts = Scripts::new(&["/cgi-bin"], |site| site.dotfiles = Dotfiles::Serve);
    let got = script(".hidden", "", "/cgi-bin/.hidden", "/.x");
    assert_eq!(scripts.get("/cgi-bin/.hidden/.x"), got);
    let mut scripts = Scripts::new(&["/cgi-bin"], none);
    let got = script("run", "", "/cgi-bin/run", "/.x");
    assert_eq!(
        scripts.get("/cgi-bin/run/.x"),
        got,
        "what is behind a script is no name"
    );
}

#[test]
fn no_target_and_no_field_makes_it_panic() {
    let mut scripts = Scripts::new(&["/cgi-bin", "*.php /usr/bin/php-cgi"], |site| {
        site.index = vec!["index.php".to_owned()];
    });
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    };
    let parts = [
        "/", "cgi-bin", "run", "page.php", "%", "%2e", "..", ".", "%0a", "%00", "app", "?", "=",
        "\u{e9}", " ", "%2F", ".gz", "CGI", "x",
    ];
    let names = [
        "host",
        "cookie",
        "proxy",
        "x_y",
        "content-type",
        "connection",
        "x",
        "",
    ];
    for _ in 0..4000 {
        let mut target = String::from("/");
        for _ in 0..next() % 9 {
            target.push_str(parts[next() % parts.len()]);
        }
        let value: Vec<u8> = (0..next() % 6)
            .map(|_| u8::try_from(next() % 256).unwrap())
            .collect();
        let lines: Vec<(&str, &[u8])> = (0..next() % 4)
            .map(|_| (names[next() % names.len()], &value[..]))
            .collect();
        let got = scripts.ask(&Ask {
            target: target.as_bytes(),
            lines: &lines,
            ..Ask::default()
        });
        if matches!(got, Got::Script(..)) {
            for variable in scripts.frame.environment() {
                assert!(variable.contains(&b'=') && !variable.starts_with(b"="));
            }
        }
    }
}
