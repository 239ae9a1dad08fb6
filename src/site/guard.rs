//! Who may ask: the access and auth rules of a site, put to every name that a file has.
//!
//! Owns the spellings under which a file system or a coding shows what a rule guards, and the
//! answers to who may not ask. It must not ask the file system: a forbidden name does not show
//! whether it exists. Invariants: another spelling can only ever bring further rules to bear, never
//! fewer; without a word that credentials are good nobody is let in.

use super::asked::ROOM_BYTES;
use super::basic;
use super::encoding::{self, Codings};
use super::host::Host;
use super::text::Text;
use super::{Content, Question, page};
use crate::config::AuthRule;
use crate::config::pattern::Pattern;
use crate::connection::client::Client;
use crate::connection::reply::{Reply, Status};
use crate::helper::credentials::{Credentials, Looked};

impl Host {
    /// Every rule that is about this path, in any of its [`Spellings`], lets the request in; else
    /// the answer that says why not.
    pub(super) fn guard(
        &self,
        path: &[u8],
        question: Question<'_>,
        credentials: &mut Credentials,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        if self.access.is_empty() && self.auth.is_empty() {
            return None;
        }
        let spellings = Spellings::of(path, self.codings);
        let about = |pattern: &Pattern| spellings.match_with(pattern);
        let client = question.client;
        let refuses = |rule: &crate::config::rules::Access| {
            let listed = rule.networks.contains(client);
            // Of whom nothing is known, nobody can say that he is not meant.
            about(&rule.pattern) && (listed != rule.allow || *client == Client::Unknown)
        };
        if self.access.iter().any(refuses) {
            return Some(page(reply, Status::FORBIDDEN));
        }
        let method = question.request.method.name();
        let mut rules = self
            .auth
            .iter()
            .filter(|rule| rule.is_about(method) && about(&rule.pattern));
        let refusal = rules.find_map(|rule| authorize(rule, question, credentials, reply));
        if refusal.is_some() {
            credentials.forget_user();
        }
        refusal
    }
}

impl Host {
    /// Who was let in by a rule about one of these paths; none if no rule asked.
    pub(super) fn user<'r>(
        &self,
        paths: [&[u8]; 2],
        question: Question<'_>,
        room: &'r mut [u8; basic::ROOM_BYTES],
    ) -> Option<&'r [u8]> {
        let method = question.request.method.name();
        let mut rules = self.auth.iter().filter(|rule| rule.is_about(method));
        let spellings = paths.map(|path| Spellings::of(path, self.codings));
        rules.find(|rule| {
            let mut all = spellings.iter();
            all.any(|path| path.match_with(&rule.pattern))
        })?;
        let shown = question.request.value("authorization")?;
        basic::credentials(shown, room).map(|(user, _)| user)
    }
}

/// A path, and the other spellings under which a file system or a coding shows what is there.
///
/// Case does not count, nor do dots and blanks behind a name: on vfat and exFAT `/ADMIN.` is
/// `/admin`. What lies beside a file in a coding is that file.
pub(super) struct Spellings<'p> {
    path: &'p [u8],
    bare: Text<ROOM_BYTES>,
    codings: Codings,
}

impl<'p> Spellings<'p> {
    pub(super) fn of(path: &'p [u8], codings: Codings) -> Self {
        let bare = bare(path);
        Self {
            path,
            bare,
            codings,
        }
    }

    /// The pattern is about one of them.
    pub(super) fn match_with(&self, pattern: &Pattern) -> bool {
        let bare = self.bare.as_bytes();
        let spellings = [
            Some(self.path),
            Some(bare).filter(|bare| *bare != self.path),
            encoding::original(bare, self.codings),
        ];
        let mut spellings = spellings.iter().flatten();
        spellings.any(|path| pattern.matches_any_case(path))
    }

    /// The pattern is about one of them, or about something on the way to it.
    pub(super) fn begin_with(&self, pattern: &Pattern) -> bool {
        let mut all = fronts(self.path).chain(fronts(self.bare.as_bytes()));
        all.any(|front| {
            let original = encoding::original(front, self.codings);
            let original = original.is_some_and(|front| pattern.matches_any_case(front));
            original || pattern.matches_any_case(front)
        })
    }
}

/// A walk goes by no more names than this, so what is further on is nowhere.
const FRONTS: usize = 256;

/// The path, and what stands before a slash in it.
fn fronts(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let slashes = path.iter().enumerate().skip(1);
    let slashes = slashes.filter(|(_, byte)| **byte == b'/');
    let fronts = slashes.filter_map(|(at, _)| path.get(..at));
    let fronts = fronts.take(FRONTS);
    [path].into_iter().chain(fronts)
}

/// The request shows good credentials for this rule; else the answer that it gets.
fn authorize(
    rule: &AuthRule,
    question: Question<'_>,
    credentials: &mut Credentials,
    reply: &mut Reply<'_>,
) -> Option<Content> {
    let mut room = [0; basic::ROOM_BYTES];
    let mut shown = question.request.values("authorization");
    // Of two nobody knows which is meant.
    let shown = shown.next().filter(|_| shown.next().is_none());
    let pair = shown.and_then(|value| basic::credentials(value, &mut room));
    let (client, now) = (question.client, question.turn.now);
    let looked = match pair {
        Some(pair) => credentials.look(rule.file.as_bytes(), pair, client, now),
        None => Looked::No,
    };
    let (status, seconds) = match looked {
        Looked::Yes => return None,
        Looked::Wait(ticket) => return Some(Content::Later(ticket)),
        Looked::No => {
            let content = page(reply, Status::UNAUTHORIZED);
            let mut value = Text::<CHALLENGE_BYTES>::new();
            for part in ["Basic realm=\"", &rule.realm, "\", charset=\"UTF-8\""] {
                // It fits: the longest realm does.
                let _ = value.push(part.as_bytes());
            }
            reply.field("WWW-Authenticate", value.as_bytes());
            return Some(content);
        }
        Looked::Busy(seconds) => (Status::TOO_MANY_REQUESTS, seconds),
        Looked::Failed => (Status::SERVICE_UNAVAILABLE, FAILED_RETRY_S),
    };
    let content = page(reply, status);
    reply.field_number("Retry-After", seconds.into());
    Some(content)
}

/// The longest challenge, bytes: what stands around a realm of 64.
const CHALLENGE_BYTES: usize = 128;
/// When to come again after nobody could say whether credentials are good, s.
const FAILED_RETRY_S: u32 = 2;

/// The path without what FAT and its heirs do not see: dots at the end of a name. Blanks are seen
/// by Linux, but not by every server whose files are mounted here.
fn bare(path: &[u8]) -> Text<ROOM_BYTES> {
    let mut text = Text::new();
    for (place, name) in path.split(|b| *b == b'/').enumerate() {
        let seen = name.iter().rposition(|b| !matches!(b, b'.' | b' '));
        let name = seen.and_then(|last| name.get(..=last)).unwrap_or_default();
        let slash: &[u8] = if place == 0 { b"" } else { b"/" };
        for part in [slash, name] {
            // It fits: no path is longer than ROOM_BYTES, and nothing is added.
            let _ = text.push(part);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::bare;

    #[test]
    fn dots_and_blanks_behind_names_do_not_count() {
        for (path, expected) in [
            ("", ""),
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("/a./b", "/a/b"),
            ("/a.. ./b. ", "/a/b"),
            ("/.a/b.c", "/.a/b.c"),
            ("/...", "/"),
            ("/x/.../y", "/x//y"),
        ] {
            assert_eq!(bare(path.as_bytes()).as_bytes(), expected.as_bytes());
        }
        let long = format!("/{}", "x".repeat(super::ROOM_BYTES - 1));
        assert_eq!(bare(long.as_bytes()).as_bytes(), long.as_bytes());
    }
}
