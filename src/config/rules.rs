//! Rules of a site, a line each: aliases, redirects, error pages, fields, media types, access.
//!
//! Owns the form of each line. It must not apply any of them: that is the site's work. Invariants:
//! what is displayed is parsed back to the same rule; no rule can write a line end into a reply.

use super::fault::Fault;
use super::network::Networks;
use super::pattern::Pattern;
use std::fmt;
use std::path::PathBuf;

/// The longest target of a redirect, bytes: it stands in a fixed buffer.
const TO_BYTES: usize = 512;
/// The longest media type with its parameters, bytes.
pub const TYPE_BYTES: usize = 100;
/// The longest name of a charset, bytes.
pub const CHARSET_BYTES: usize = 40;
/// The longest extension, bytes; the lookup has a buffer of this size.
pub const EXTENSION_BYTES: usize = 16;
/// Refusals that have a page of their own when one is configured: those that the site answers.
const PAGED: &[u16] = &[
    400, 401, 403, 404, 405, 409, 411, 412, 413, 414, 416, 421, 429, 431, 500, 501, 503, 507,
];
/// Fields that adieu writes itself, and those that frame a message or speak of the connection.
const OWN_FIELDS: &[&str] = &[
    "accept-ranges",
    "allow",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "keep-alive",
    "last-modified",
    "location",
    "proxy-connection",
    "retry-after",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "www-authenticate",
];

/// A rule that is written on one line.
pub trait Rule: Sized + fmt::Display {
    /// The rule that `line` stands for.
    ///
    /// # Errors
    /// What is wrong with it, and how it is written.
    fn parse(line: &str) -> Result<Self, Fault>;
}

/// `STATUS PATH`: the file that is sent with a refusal instead of adieu's own page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorPage {
    /// The status.
    pub status: u16,
    /// The file, as a path of the site.
    pub path: String,
}

impl Rule for ErrorPage {
    fn parse(line: &str) -> Result<Self, Fault> {
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), "write 404 /404.html");
        let (status, path) = two(line).ok_or_else(|| fault("is not a status and a path"))?;
        let known = status.parse().ok().filter(|status| PAGED.contains(status));
        let status = known.ok_or_else(|| {
            let all: Vec<String> = PAGED.iter().map(ToString::to_string).collect();
            fault(&format!("has no status of these: {}", all.join(", ")))
        })?;
        site_file(path).map_err(fault)?;
        let path = path.to_owned();
        Ok(Self { status, path })
    }
}

impl fmt::Display for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, self.path)
    }
}

/// `PATH DIRECTORY`: what is asked for beneath PATH lies in DIRECTORY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The path, as it was written.
    pub path: String,
    /// The directory.
    pub directory: PathBuf,
}

impl Rule for Alias {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /docs /usr/share/doc";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let (path, directory) = two(line).ok_or_else(|| fault("is not a path and a directory"))?;
        site_path(path).map_err(fault)?;
        if !directory.starts_with('/') {
            return Err(fault("names no directory from / on"));
        }
        Ok(Self {
            path: path.to_owned(),
            directory: PathBuf::from(directory),
        })
    }
}

impl Alias {
    /// The names on the way, without a slash at either end.
    #[must_use]
    pub fn names(&self) -> Vec<u8> {
        let path = Pattern::parse(&self.path).ok().and_then(|p| p.as_path());
        let path = path.unwrap_or_default();
        path.trim_ascii_start()
            .strip_prefix(b"/")
            .map(|path| path.strip_suffix(b"/").unwrap_or(path).to_vec())
            .unwrap_or_default()
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.path, self.directory.display())
    }
}

/// `STATUS FROM TO`: 301, 302, 307 or 308. Where both end in `*`, what the first stands for
/// replaces the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The status.
    pub status: u16,
    /// The paths that moved.
    pub from: Pattern,
    /// The path, or the URL, that they moved to. `{host}` in it stands for the Host of the request,
    /// if the site has it.
    pub to: String,
}

impl Rule for Redirect {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write 301 /old /new, 308 /old/* /new/* or 302 /away https://example.com/";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let parts = two(line).and_then(|(status, rest)| Some((status, two(rest)?)));
        let (status, (from, to)) = parts.ok_or_else(|| fault("is not a status and two paths"))?;
        let known = status.parse().ok();
        let status = known
            .filter(|status| [301, 302, 307, 308].contains(status))
            .ok_or_else(|| fault("has no status of 301, 302, 307 and 308"))?;
        let stars = |text: &str| text.bytes().filter(|b| *b == b'*').count();
        if !from.starts_with('/') || stars(from) > usize::from(from.ends_with('*')) {
            return Err(fault(
                "leads away from no path with at most one star, at its end",
            ));
        }
        if stars(to) > usize::from(from.ends_with('*') && to.ends_with('*')) {
            return Err(fault("has a star that stands for nothing"));
        }
        let path = to.starts_with('/') && !to.starts_with("//");
        if !path && !is_url(to) {
            return Err(fault("leads neither to a path nor to http:// or https://"));
        }
        // What the client wrote must not become a part of the host.
        if !path && stars(to) > 0 && to.matches('/').count() < 3 {
            return Err(fault("has a star in its host; put a slash before it"));
        }
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\');
        if to.len() > TO_BYTES || !to.bytes().all(plain) {
            return Err(fault(
                "has a target with bytes that a URL cannot hold, or above 512",
            ));
        }
        let holders = to.matches(HOST).count();
        if to.matches(['{', '}']).count() != holders * 2 {
            return Err(fault("has a brace that is no {host}"));
        }
        if holders > 1 {
            return Err(fault("has {host} more than once"));
        }
        Ok(Self {
            status,
            from: Pattern::parse(from)?,
            to: to.to_owned(),
        })
    }
}

impl Redirect {
    /// It leads away from this decoded path. A slash at the end does not count.
    fn is_about(&self, path: &[u8]) -> bool {
        let (from, beneath) = self.from.front();
        let path = path.strip_suffix(b"/").unwrap_or(path);
        let bare = from.strip_suffix(b"/").unwrap_or(&from);
        path == bare || (beneath && path.starts_with(&from))
    }

    /// Who follows it comes back to it: the target is a path of this site that it is about.
    #[must_use]
    pub fn is_endless(&self) -> bool {
        let path = self.to.split(['?', '#']).next().unwrap_or_default();
        let target = Pattern::parse(path).ok();
        target.is_some_and(|target| self.is_about(&target.front().0))
    }
}

/// What stands for the Host of the request in the target of a redirect.
pub const HOST: &str = "{host}";

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.status, self.from, self.to)
    }
}

/// `PATTERN NAME: VALUE`: a further response field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraField {
    /// The paths it is for.
    pub pattern: Pattern,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl ExtraField {
    /// Bytes of its line in a reply.
    #[must_use]
    pub fn line_bytes(&self) -> usize {
        self.name.len() + self.value.len() + ": \r\n".len()
    }

    /// It is about how long the content may be kept, and so is not for refusals.
    #[must_use]
    pub fn is_freshness(&self) -> bool {
        ["cache-control", "expires"]
            .iter()
            .any(|name| self.name.eq_ignore_ascii_case(name))
    }
}

impl Rule for ExtraField {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /assets/* Cache-Control: max-age=31536000, immutable";
        let fault = |what: String| Fault::new(format!("\"{line}\" {what}"), cure);
        let parts = two(line).and_then(|(pattern, field)| Some((pattern, field.split_once(':')?)));
        let (pattern, (name, value)) =
            parts.ok_or_else(|| fault("is not a pattern, a name, a colon and a value".into()))?;
        let value = value.trim();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return Err(fault(format!("has no field name: \"{name}\"")));
        }
        if OWN_FIELDS.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            return Err(fault(format!("names {name}, which adieu writes itself")));
        }
        if value.is_empty() || !value.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return Err(fault(
                "has a value that is empty, or not plain ASCII".into(),
            ));
        }
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl fmt::Display for ExtraField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.pattern, self.name, self.value)
    }
}

/// `EXTENSION TYPE`: what files with this extension are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// In lower case, without its dot.
    pub extension: String,
    /// `type/subtype`, and parameters.
    pub media_type: String,
}

impl Rule for MediaType {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write wasm application/wasm, or log text/plain; charset=iso-8859-1";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let (extension, media_type) =
            two(line).ok_or_else(|| fault("is not an extension and a media type"))?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+".contains(&b);
        if extension.len() > EXTENSION_BYTES || !extension.bytes().all(plain) {
            return Err(fault(
                "has no extension of 1 to 16 letters, digits, -, _ and +, without its dot",
            ));
        }
        let (essence, _) = media_type.split_once(';').unwrap_or((media_type, ""));
        let name = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
        };
        let sound = essence
            .trim_end()
            .split_once('/')
            .is_some_and(|(left, right)| name(left) && name(right));
        let clean = media_type.bytes().all(|b| matches!(b, b' '..=b'~'));
        if !sound || !clean || media_type.len() > TYPE_BYTES {
            return Err(fault("has no media type of at most 100 bytes"));
        }
        Ok(Self {
            extension: extension.to_ascii_lowercase(),
            media_type: media_type.to_owned(),
        })
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.extension, self.media_type)
    }
}

/// `PATTERN allow NETWORKS` or `PATTERN deny NETWORKS`: only these clients, or all but these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The paths it guards.
    pub pattern: Pattern,
    /// The networks are let in; else they are kept out.
    pub allow: bool,
    /// The networks.
    pub networks: Networks,
}

impl Rule for Access {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /admin allow 192.168.0.0/16 fd00::/8, or / deny 203.0.113.7";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let parts = two(line).and_then(|(pattern, rest)| Some((pattern, two(rest)?)));
        let (pattern, (verb, networks)) =
            parts.ok_or_else(|| fault("is not a path, allow or deny, and networks"))?;
        let allow = match verb {
            "allow" => true,
            "deny" => false,
            _ => return Err(fault("says neither allow nor deny")),
        };
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            allow,
            networks: Networks::parse(networks)?,
        })
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.allow { "allow" } else { "deny" };
        write!(f, "{} {verb} {}", self.pattern, self.networks)
    }
}

/// The first word of a line, and the rest; both not empty.
pub(super) fn two(line: &str) -> Option<(&str, &str)> {
    let (first, rest) = line.trim().split_once([' ', '\t'])?;
    Some((first, rest.trim_start()))
}

/// A path of the site: a pattern without a star.
pub(super) fn site_path(path: &str) -> Result<(), &'static str> {
    let parsed = Pattern::parse(path).ok().and_then(|p| p.as_path());
    match parsed {
        Some(path) if path.starts_with(b"/") => Ok(()),
        Some(_) | None => Err("has no path of the site, such as /a/b"),
    }
}

/// A path of the site that can be a file: it does not end in a slash, and no name in it has one.
pub(super) fn site_file(path: &str) -> Result<(), &'static str> {
    site_path(path)?;
    match path.ends_with('/') || path.to_ascii_lowercase().contains("%2f") {
        true => Err("names no file of the site, such as /a/b.html"),
        false => Ok(()),
    }
}

/// `http://` or `https://`, with an authority behind it.
fn is_url(text: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        text.strip_prefix(scheme)
            .is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_back<R: Rule>(lines: &[&str]) {
        for line in lines {
            let shown = R::parse(line).unwrap().to_string();
            assert_eq!(&shown, line);
        }
    }

    fn refused<R: Rule>(lines: &[&str]) {
        for line in lines {
            match R::parse(line) {
                Ok(rule) => panic!("{line:?} became {rule}"),
                Err(fault) => assert!(!fault.what.is_empty() && fault.cure.contains("write ")),
            }
        }
    }

    #[test]
    fn error_pages() {
        taken_back::<ErrorPage>(&["404 /404.html", "503 /a%20b/busy.html"]);
        refused::<ErrorPage>(&[
            "",
            "404",
            "200 /x",
            "499 /x",
            "x /x",
            "404 x",
            "404 *",
            "404 /a/../b",
            "404 //x",
            "404 /",
            "404 /pages/",
            "404 /a%2fb",
            "408 /late.html",
        ]);
    }

    #[test]
    fn aliases() {
        taken_back::<Alias>(&[
            "/docs /usr/share/doc",
            "/a/b/ /srv/with blank",
            "/x%20y /srv",
        ]);
        refused::<Alias>(&["", "/docs", "docs /x", "/docs x", "/d* /x", "/a/../b /x"]);
        for (line, names) in [
            ("/docs/ /x", "docs"),
            ("/a/b /x", "a/b"),
            ("/a%20b /x", "a b"),
        ] {
            assert_eq!(Alias::parse(line).unwrap().names(), names.as_bytes());
        }
    }

    #[test]
    fn redirects() {
        taken_back::<Redirect>(&[
            "301 /old /new",
            "308 /old/* /new/*",
            "307 /* https://{host}/*",
            "302 /away http://[2001:db8::1]:8080/x?y=z#f",
            "301 /a%2A /b",
        ]);
        refused::<Redirect>(&[
            "",
            "301 /old",
            "300 /old /new",
            "301 old /new",
            "301 /old new",
            "301 /old //evil.example/",
            "301 /old ftp://x/",
            "301 /old https://",
            "301 /old https:///x",
            "301 /*/x /y",
            "301 * /y",
            "301 /a* https://example.com*",
            "308 /* https://{host}*",
            "301 /a* /b*c",
            "301 /old /new*",
            "301 /old /new\\x",
            "301 /old /n w",
            "301 /old /{x}",
            "301 /old /{host",
            "301 /old https://{host}/{host}",
            &format!("301 /old /{}", "x".repeat(512)),
        ]);
    }

    #[test]
    fn redirects_that_come_back_are_known() {
        for (line, endless) in [
            ("301 / /", true),
            ("301 / /app", false),
            ("301 /a /a/", true),
            ("301 /a/* /a/b", true),
            ("301 /a/* /a", true),
            ("301 /a/* /b/*", false),
            ("301 /a* /ab/*", true),
            ("301 /a%20b /a%20b#c", true),
            ("301 /a /a/b", false),
            ("301 /A /a", false),
            ("308 /* https://{host}/*", false),
            ("302 /a https://example.com/a", false),
        ] {
            let rule = Redirect::parse(line).unwrap();
            assert_eq!(rule.is_endless(), endless, "{line}");
        }
    }

    #[test]
    fn fields() {
        taken_back::<ExtraField>(&[
            "/assets/* Cache-Control: max-age=31536000, immutable",
            "/ Content-Security-Policy: default-src 'self'; img-src *",
        ]);
        refused::<ExtraField>(&[
            "",
            "/",
            "/ X",
            "/ X:",
            "/ : y",
            "/ X Y: z",
            "x X: y",
            "/ X: a\rb",
            "/ X: \u{e9}",
            "/ Content-Length: 5",
            "/ transfer-encoding: chunked",
            "/ Set Cookie: x",
        ]);
        assert_eq!(
            ExtraField::parse("/ A: b").unwrap().line_bytes(),
            "A: b\r\n".len()
        );
    }

    #[test]
    fn media_types() {
        taken_back::<MediaType>(&["log text/plain; charset=iso-8859-1", "3mf model/3mf"]);
        assert_eq!(MediaType::parse("WASM a/b").unwrap().extension, "wasm");
        refused::<MediaType>(&[
            "",
            "x",
            ".x a/b",
            "x a",
            "x a/",
            "x /b",
            "x a/b\ry",
            "x a b/c",
            "abcdefghijklmnopq a/b",
        ]);
    }

    #[test]
    fn access() {
        taken_back::<Access>(&[
            "/admin allow 192.168.0.0/16,fd00::/8",
            "/ deny 203.0.113.7",
            "*.key deny all",
        ]);
        refused::<Access>(&[
            "",
            "/admin",
            "/admin allow",
            "/admin permit 1.2.3.4",
            "admin allow all",
            "/ allow 1.2.3.4/33",
            "/ allow host.example",
        ]);
    }
}
