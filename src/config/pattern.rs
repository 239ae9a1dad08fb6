//! Patterns of paths: what a rule of the site is about.
//!
//! Owns their form and the matching. It must not decode: what is matched is a decoded path without
//! dot segments, that begins with a slash. Invariants: matching takes time in the product of both
//! lengths at most, and no memory; `/a` never matches `/ab`.

use super::fault::Fault;
use std::fmt;

/// The longest pattern, bytes.
const PATTERN_BYTES: usize = 256;

/// Which paths a rule is about.
///
/// Without `*`: that path and everything beneath it (`/admin` and `/admin/` mean the same). With
/// `*`: the paths that match as a whole; a `*` stands for any bytes, slashes included (`*.css`). An
/// escape stands for its byte: `%20` for a blank, `%2A` for a star that is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// As it was written.
    text: String,
    /// Bytes; `None` is a star.
    parts: Vec<Option<u8>>,
}

impl Pattern {
    /// The pattern that `text` stands for.
    ///
    /// # Errors
    /// When it does not begin with `/` or `*`, is too long, or could never match a path.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |what: &str| {
            let cure = "write a path such as /admin, or a pattern such as /assets/* or *.css";
            Fault::new(format!("\"{text}\" {what}"), cure)
        };
        if !text.starts_with(['/', '*']) {
            return Err(fault("does not begin with / or *"));
        }
        if text.len() > PATTERN_BYTES {
            return Err(fault("is longer than 256 bytes"));
        }
        let parts = decode(text.as_bytes()).ok_or_else(|| fault("has a malformed escape"))?;
        let never =
            |segment: &[Option<u8>]| segment == [Some(b'.')] || segment == [Some(b'.'), Some(b'.')];
        let mut segments = parts.split(|part| *part == Some(b'/'));
        let empty = parts
            .windows(2)
            .any(|pair| *pair == [Some(b'/'), Some(b'/')]);
        if empty || segments.any(never) || parts.contains(&Some(0)) {
            return Err(fault(
                "matches nothing: no path has an empty or a dot segment",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// The path itself, where the pattern is one.
    #[must_use]
    pub fn as_path(&self) -> Option<Vec<u8>> {
        self.parts.iter().copied().collect()
    }

    /// The path before its first star, and whether there is one.
    #[must_use]
    pub fn front(&self) -> (Vec<u8>, bool) {
        let front: Vec<u8> = self.parts.iter().map_while(|part| *part).collect();
        let starred = front.len() < self.parts.len();
        (front, starred)
    }

    /// Whether the rule is about this path.
    #[must_use]
    pub fn matches(&self, path: &[u8]) -> bool {
        self.matches_with(path, |a, b| a == b)
    }

    /// The same without regard to ASCII case: on a file system that has none, `/ADMIN` is the
    /// directory that a rule on `/admin` means to guard.
    #[must_use]
    pub fn matches_any_case(&self, path: &[u8]) -> bool {
        self.matches_with(path, |a, b| a.eq_ignore_ascii_case(&b))
    }

    fn matches_with(&self, path: &[u8], same: fn(u8, u8) -> bool) -> bool {
        if self.parts.contains(&None) {
            // Most rules with a star are about an extension, and most paths have another one: the
            // end is looked at first, for a long path costs a client little.
            return ends(path, &self.parts, same) && glob(&self.parts, path, same);
        }
        let above = self
            .parts
            .strip_suffix(&[Some(b'/')])
            .unwrap_or(&self.parts);
        let Some((front, rest)) = path.split_at_checked(above.len()) else {
            return false;
        };
        let mut pairs = front.iter().zip(above);
        let alike = pairs.all(|(byte, part)| part.is_some_and(|part| same(*byte, part)));
        alike && (rest.is_empty() || rest.starts_with(b"/"))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The bytes and stars of a pattern; `None` for an escape without two hex digits.
fn decode(text: &[u8]) -> Option<Vec<Option<u8>>> {
    let mut rest = text.iter().copied();
    let mut parts = Vec::with_capacity(text.len());
    while let Some(byte) = rest.next() {
        parts.push(match byte {
            b'*' => None,
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                Some(u8::try_from(high * 16 + low).ok()?)
            }
            plain => Some(plain),
        });
    }
    Some(parts)
}

/// Whether `path` ends in what follows the last star of `pattern`.
fn ends(path: &[u8], pattern: &[Option<u8>], same: fn(u8, u8) -> bool) -> bool {
    let mut literal = pattern.iter().rev().map_while(|part| *part);
    let mut path = path.iter().rev();
    literal.all(|a| path.next().is_some_and(|b| same(a, *b)))
}

/// Whether `path` as a whole is what `pattern` stands for. The last star seen takes one byte more
/// whenever what is behind it does not match: no recursion, no memory.
fn glob(pattern: &[Option<u8>], path: &[u8], same: fn(u8, u8) -> bool) -> bool {
    let (mut p, mut at) = (0_usize, 0_usize);
    // Behind the last star, and where in the path it began to take.
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), path.get(at)) {
            (None, None) => return true,
            (Some(None), _) => {
                p += 1;
                star = Some((p, at));
            }
            (Some(Some(a)), Some(b)) if same(*a, *b) => {
                p += 1;
                at += 1;
            }
            (_, _) => {
                let Some((behind, taken)) = star.filter(|(_, taken)| *taken < path.len()) else {
                    return false;
                };
                star = Some((behind, taken + 1));
                p = behind;
                at = taken + 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments_or_what_stars_leave() {
        for (pattern, path, matched) in [
            ("/", "/", true),
            ("/", "/any/thing", true),
            ("/admin", "/admin", true),
            ("/admin", "/admin/", true),
            ("/admin", "/admin/x/y", true),
            ("/admin/", "/admin", true),
            ("/admin/", "/admin/x", true),
            ("/admin", "/administrator", false),
            ("/admin", "/a", false),
            ("/admin", "/x/admin", false),
            ("/a.html", "/a.html", true),
            ("/a.html", "/b.html", false),
            ("*", "/", true),
            ("*.css", "/a/b.css", true),
            ("*.css", "/a/b.css.gz", false),
            ("*.css", "/.css", true),
            ("/assets/*", "/assets/", true),
            ("/assets/*", "/assets", false),
            ("/assets/*.js", "/assets/a/b.js", true),
            ("/assets/*.js", "/other/a.js", false),
            ("/a*b*c", "/aXbYbZc", true),
            ("/a*b*c", "/aXbYbZ", false),
            ("/*.tar.*", "/x.tar.gz", true),
            ("/**", "/x", true),
            ("/a b", "/a b/c", true),
            ("/a%20b", "/a b", true),
            ("*.css", "css", false),
            ("/a*/a", "/a", false),
            ("/%2A.css", "/*.css", true),
            ("/%2a.css", "/x.css", false),
            ("/a%2Fb", "/a/b", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(path.as_bytes()), matched, "{pattern} {path}");
            assert_eq!(parsed.to_string(), pattern);
        }
    }

    #[test]
    fn the_front_ends_before_the_first_star() {
        for (pattern, front, starred) in [
            ("/a", "/a", false),
            ("/a/*", "/a/", true),
            ("/a/.*", "/a/.", true),
            ("/%2A", "/*", false),
            ("/%2a*", "/*", true),
            ("*", "", true),
        ] {
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.front(), (front.as_bytes().to_vec(), starred));
        }
    }

    #[test]
    fn case_counts_only_where_it_is_asked_for() {
        for (pattern, path) in [("/admin", "/Admin/x"), ("*.KEY", "/a.key")] {
            let pattern = Pattern::parse(pattern).unwrap();
            assert!(!pattern.matches(path.as_bytes()));
            assert!(pattern.matches_any_case(path.as_bytes()));
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_done_in_bounded_steps() {
        let pattern = Pattern::parse(&format!("/{}b", "a*".repeat(100))).unwrap();
        let path = format!("/{}", "a".repeat(4000));
        assert!(!pattern.matches(path.as_bytes()));
    }

    #[test]
    fn what_could_never_match_is_refused() {
        let long = format!("/{}", "x".repeat(256));
        for text in [
            "",
            "admin",
            "a/*",
            "/a//b",
            "//",
            "/a/../b",
            "/./a",
            "/%2e%2E/a",
            "/a%00",
            "/a%2",
            "/a%zz",
            &long,
        ] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
    }
}
