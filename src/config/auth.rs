//! Who must say who he is, and how long that is believed.
//!
//! Owns [`AuthRule`], a rule of a site, and [`AuthConfig`], what holds for all of them. It must not
//! read a file of users. Invariant: what is displayed is parsed back to the same rule; no realm can
//! end the quoted string it is sent in.

use super::fault::Fault;
use super::pattern::Pattern;
use super::rules::{Rule, two};
use std::fmt;

/// The longest path of a file of users, bytes: it is sent to the helper in one message.
const FILE_BYTES: usize = 255;
/// The longest realm, bytes: it stands in a field of a reply.
const REALM_BYTES: usize = 64;
/// Methods that a rule may name: those that are told apart.
const METHODS: &[&str] = &[
    "GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT",
];

/// What holds for all rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthConfig {
    /// Passwords may stand in a file of users as they are.
    pub plain: bool,
    /// Credentials that were good are not looked at again for so long, ms. 0: they are good for the
    /// requests that waited for the word, and for no other.
    pub remember_ms: u32,
    /// Requests that wait for a verdict at the same time, 1 to 64, and no more than half of the
    /// buffers: each holds one.
    pub waiting: u16,
    /// Wrong passwords of one address before it must pause.
    pub failures: u16,
    /// So long it must pause after each further one, ms.
    pub pause_ms: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self {
            plain: false,        // a file that is read by accident should give nothing away
            remember_ms: 30_000, // a page with its pictures; who is taken out is out after it
            waiting: 8,          // one page of a browser opens six connections
            failures: 5,         // typing errors
            pause_ms: 10_000,    // six a minute: a year for the thousand most usual passwords
        }
    }
}

/// `PATTERN METHODS FILE REALM`: who asks for such a path must be a user of that file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthRule {
    /// The paths it guards.
    pub pattern: Pattern,
    /// The methods it guards, in capitals; empty: all.
    pub methods: Vec<String>,
    /// The file of users, as htpasswd(1) makes it.
    pub file: String,
    /// What a browser shows beside the box for the password.
    pub realm: String,
}

impl AuthRule {
    /// It is about requests of this method. A HEAD is a GET whose answer has no content.
    #[must_use]
    pub fn is_about(&self, method: &str) -> bool {
        let own = |method: &str| self.methods.iter().any(|one| one == method);
        self.methods.is_empty() || own(method) || (method == "HEAD" && own("GET"))
    }
}

impl Rule for AuthRule {
    fn parse(line: &str) -> Result<Self, Fault> {
        let cure = "write /admin * /etc/adieu/users Administration, or GET,POST for the *";
        let fault = |what: &str| Fault::new(format!("\"{line}\" {what}"), cure);
        let parts = two(line).and_then(|(pattern, rest)| {
            let (methods, rest) = two(rest)?;
            let (file, realm) = two(rest)?;
            Some((pattern, methods, file, realm.trim_end()))
        });
        let (pattern, methods, file, realm) =
            parts.ok_or_else(|| fault("is not a path, methods, a file of users and a realm"))?;
        let methods: Vec<&str> = match methods {
            "*" => vec![],
            words => words.split(',').collect(),
        };
        if !methods.iter().all(|word| METHODS.contains(word)) {
            return Err(fault(&format!(
                "has other methods than {}",
                METHODS.join(", ")
            )));
        }
        if !file.starts_with('/') || file.len() > FILE_BYTES {
            return Err(fault(
                "names no file of users, from / on and of 255 bytes at most",
            ));
        }
        if realm.len() > REALM_BYTES {
            return Err(fault("has a realm of more than 64 bytes"));
        }
        if realm.contains(['"', '\\']) {
            return Err(fault("has a realm with a quote or a backslash"));
        }
        if realm.contains(char::is_control) {
            return Err(fault("has a realm with a tab or another control character"));
        }
        Ok(Self {
            pattern: Pattern::parse(pattern)?,
            methods: methods.into_iter().map(str::to_owned).collect(),
            file: file.to_owned(),
            realm: realm.to_owned(),
        })
    }
}

impl fmt::Display for AuthRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let methods = match self.methods.is_empty() {
            true => "*".to_owned(),
            false => self.methods.join(","),
        };
        write!(f, "{} {methods} {} {}", self.pattern, self.file, self.realm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_and_shown() {
        for line in [
            "/admin * /etc/adieu/users Administration",
            "/ POST,PUT,DELETE /u A device of mine",
            "*.cgi PATCH /u Gerät",
        ] {
            let rule = AuthRule::parse(line).unwrap();
            assert_eq!(rule.to_string(), line);
            assert_eq!(AuthRule::parse(&rule.to_string()).unwrap(), rule);
        }
        for line in [
            "",
            "/admin",
            "/admin * /users",
            "/admin * users Realm",
            "/admin get /users Realm",
            "/admin GET, /users Realm",
            "/admin GET,* /users Realm",
            "/admin BREW /users Realm",
            "/admin * /users a \"realm\"",
            "/admin * /users a\\b",
            "/admin * /users a\tb",
            "admin * /users Realm",
            &format!("/ * /users {}", "r".repeat(65)),
            &format!("/ * /{} Realm", "f".repeat(255)),
        ] {
            let fault = AuthRule::parse(line).unwrap_err();
            assert!(fault.what.starts_with('"'), "{line}: {}", fault.what);
        }
    }

    #[test]
    fn methods_are_those_that_were_named() {
        let about = |line: &str, method: &str| AuthRule::parse(line).unwrap().is_about(method);
        let all = "/ * /u R";
        let some = "/ GET,PUT /u R";
        for method in ["GET", "HEAD", "PUT", ""] {
            assert!(about(all, method));
        }
        assert!(about(some, "GET") && about(some, "HEAD") && about(some, "PUT"));
        assert!(!about(some, "POST") && !about(some, "get"));
        assert!(!about("/ HEAD /u R", "GET"));
    }
}
