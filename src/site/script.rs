//! Which requests scripts answer.
//!
//! Owns the way from a path to a script, and who must not be run. It must not start anything, nor
//! read a body. Invariants: a path that a rule of `site.scripts` is about, in any spelling under
//! which a file system or a coding shows it, is answered by a script or refused, never by a file; a
//! script runs under the very spelling that the rule has; what guards the path of a script guards
//! the script, whatever stands behind it.

mod environment;
#[cfg(feature = "cgi")]
#[cfg(test)]
mod tests;

use super::asked::{Asked, ROOM_BYTES};
use super::guard::Spellings;
use super::host::Host;
use super::text::Text;
use super::walk::{Program, Refusal, Walk};
use super::{Content, Question, basic, page, path};
use crate::config::{Dotfiles, ScriptRule};
use crate::connection::head::Framing;
use crate::connection::reply::{Reply, Status};
use crate::helper::credentials::Credentials;
pub(super) use crate::script::BUILT;
use crate::script::Frame;
use environment::Facts;
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// What can be done to a script (RFC 9110 section 10.2.1), as far as is known here.
pub(super) const ALLOW: &[u8] = b"GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS";
/// The names of scripts that write the whole response, head and all (RFC 3875 section 5). None of
/// them is run: their answers would frame messages.
const NPH: &[u8] = b"nph-";
/// The bits of a mode that let somebody execute a file.
const EXECUTABLE: u32 = 0o111;

/// What the caller has at hand for a script.
pub struct ScriptMeans<'m> {
    /// What the script is started with is written here.
    pub frame: &'m mut Frame,
    /// Where the client has connected to; `None` for a unix socket. It is asked only for a script.
    pub server: &'m mut dyn FnMut() -> Option<SocketAddr>,
}

impl<'m> ScriptMeans<'m> {
    /// With this frame, if there is one.
    pub fn of(
        frame: Option<&'m mut Frame>,
        server: &'m mut dyn FnMut() -> Option<SocketAddr>,
    ) -> Option<Self> {
        frame.map(|frame| Self { frame, server })
    }
}

impl fmt::Debug for ScriptMeans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptMeans").finish_non_exhaustive()
    }
}

/// A script that answers. The frame holds its name, its interpreter and its environment, but for a
/// length that is not known yet: see [`Body::Spool`].
#[derive(Debug)]
pub struct Script {
    /// The directory it is started in, open by name alone.
    pub directory: OwnedFd,
    /// What it gets as its standard input.
    pub body: Body,
}

/// What a script gets of the request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Nobody knows how many: all of it is kept first, this many bytes at most (above: 413), and
    /// the frame is told by [`Frame::content_length`].
    Spool(u64),
}

/// What rules say of a path.
#[derive(Clone, Copy, Debug)]
enum Claim<'r> {
    /// This one is about it.
    Exact(&'r ScriptRule),
    /// One is about another spelling of it.
    Other,
    /// None is.
    None,
}

/// The script that a path leads to.
struct Found {
    program: Program,
    /// Its path is as long; behind it stands what it is told as PATH_INFO.
    bytes: usize,
}

impl Host {
    fn claim(&self, path: &[u8]) -> Claim<'_> {
        if !BUILT || self.scripts.is_empty() {
            return Claim::None;
        }
        let mut rules = self.scripts.iter();
        if let Some(rule) = rules.find(|rule| rule.pattern.matches(path)) {
            return Claim::Exact(rule);
        }
        let spellings = Spellings::of(path, self.codings);
        let mut rules = self.scripts.iter();
        match rules.any(|rule| spellings.match_with(&rule.pattern)) {
            true => Claim::Other,
            false => Claim::None,
        }
    }

    /// A rule is about this path, in whatever spelling.
    pub(super) fn is_claimed(&self, path: &[u8]) -> bool {
        !matches!(self.claim(path), Claim::None)
    }

    /// The path may lead to a script, or through one.
    pub(super) fn may_be_script(&self, path: &[u8]) -> bool {
        if self.scripts.is_empty() {
            return false;
        }
        // Every name of it once, not every front: a path has a thousand of them.
        let spellings = Spellings::of(path, self.codings);
        let mut rules = self.scripts.iter();
        rules.any(|rule| spellings.begin_with(&rule.pattern))
    }

    /// What the walk has reached is a script, or a directory of scripts, by the name that it has
    /// where links led.
    pub(super) fn is_source(&self, place: u16, walk: &Walk<'_>) -> bool {
        self.is_source_at(place, walk.way(), walk.name())
    }

    /// The same of a name in the directory that links have led to.
    pub(super) fn is_source_at(&self, place: u16, way: &[u8], name: &[u8]) -> bool {
        if self.scripts.is_empty() {
            return false;
        }
        let alias = place.checked_sub(1).map(usize::from);
        let alias = alias.and_then(|index| self.aliases.get(index));
        let alias = alias.map_or(&b""[..], |(names, _)| names);
        let mut text = Text::<ROOM_BYTES>::new();
        let parts = [alias, way, name].into_iter();
        for part in parts.filter(|part| !part.is_empty()) {
            if text.push(b"/").and_then(|()| text.push(part)).is_err() {
                return true;
            }
        }
        // A directory has its slash: one that is only called like a script is none.
        if name.is_empty() && text.push(b"/").is_err() {
            return true;
        }
        self.is_claimed(text.as_bytes())
    }

    /// The answer to a request that is for a script, or for what must not be seen because it is
    /// one; `None` if it is for a file.
    pub(super) fn script(
        &self,
        question: Question<'_>,
        means: Option<ScriptMeans<'_>>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        if !BUILT || self.scripts.is_empty() {
            return None;
        }
        let found = match self.may_be_script(asked.path()) {
            true => self.find(asked),
            false => self.find_index(asked),
        };
        let Found { program, bytes } = match found {
            Ok(Some(found)) => found,
            Ok(None) => return None,
            Err(refusal) => return Some(page(reply, refusal.status())),
        };
        let path = asked.shown().get(..bytes).unwrap_or_default();
        // Further rules may be about the script than about the path, and those come first.
        if path != asked.path()
            && let Some(refusal) = self.guard(path, question, credentials, reply)
        {
            return Some(refusal);
        }
        let rule = match self.claim(path) {
            Claim::Exact(rule) => rule,
            Claim::Other => return Some(page(reply, Status::FORBIDDEN)),
            Claim::None => return None,
        };
        let made = self.run(rule, program, (bytes, asked), question, means);
        Some(made.unwrap_or_else(|status| page(reply, status)))
    }

    /// The first regular file on the way. A path that a rule is about leads to one, or nowhere.
    fn find(&self, asked: &Asked) -> Result<Option<Found>, Refusal> {
        let (place, names) = self.place(asked.clean.as_bytes());
        let root = self.root_at(place).ok_or(Refusal::Broken)?;
        let mut walk = root.tree(self.symlinks).walk();
        let program = match walk.find(names, b"") {
            Ok(Some(program)) => program,
            Ok(None) if self.is_claimed(asked.path()) => return Err(Refusal::Forbidden),
            // A directory that is only called like a script.
            Ok(None) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        // Of the names, the slash before them, and behind them if there are any.
        let names = asked.clean.as_bytes().len();
        let left = program.left + usize::from(program.left > 0);
        let bytes = (names + 1).saturating_sub(left);
        self.shown(program, asked.path().get(..bytes), bytes)
    }

    /// The first index of a directory, if it is a script.
    fn find_index(&self, asked: &mut Asked) -> Result<Option<Found>, Refusal> {
        if !asked.clean.is_directory() {
            return Ok(None);
        }
        let before = asked.path().len();
        let called = self.index.iter().any(|name| {
            asked.show(name.as_bytes());
            self.is_claimed(asked.shown())
        });
        asked.show(b"");
        if !called {
            return Ok(None);
        }
        let (place, names) = self.place(asked.clean.as_bytes());
        let root = self.root_at(place).ok_or(Refusal::Broken)?;
        let mut walk = root.tree(self.symlinks).walk();
        let hides = self.dotfiles == Dotfiles::Hide;
        for name in self.index.iter().map(String::as_bytes) {
            if hides && path::is_hidden_name(name) {
                continue;
            }
            match walk.find(names, name) {
                Ok(Some(program)) if program.left == 0 => {
                    asked.show(name);
                    let bytes = before + name.len();
                    if !self.is_claimed(asked.shown()) {
                        asked.show(b"");
                        return Ok(None);
                    }
                    return self.shown(program, Some(asked.shown()), bytes);
                }
                Ok(_) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        Ok(None)
    }

    /// What was found, unless its path is one that nobody shall see.
    fn shown(
        &self,
        program: Program,
        path: Option<&[u8]>,
        bytes: usize,
    ) -> Result<Option<Found>, Refusal> {
        let names = path.and_then(|path| path.get(1..)).ok_or(Refusal::Broken)?;
        let mut names = names.split(|b| *b == b'/').enumerate();
        let hidden = names.any(|(place, name)| {
            path::is_hidden_name(name) && !(place == 0 && name == b".well-known")
        });
        match hidden && self.dotfiles == Dotfiles::Hide {
            true => Err(Refusal::Missing),
            false => Ok(Some(Found { program, bytes })),
        }
    }

    /// The script as the starter takes it; else the status that says why not.
    fn run(
        &self,
        rule: &ScriptRule,
        program: Program,
        (bytes, asked): (usize, &Asked),
        question: Question<'_>,
        means: Option<ScriptMeans<'_>>,
    ) -> Result<Content, Status> {
        let name = program.name.as_bytes();
        let start = name.get(..NPH.len()).unwrap_or_default();
        let executable = program.stat.mode & EXECUTABLE != 0;
        if start.eq_ignore_ascii_case(NPH) || (rule.interpreter.is_empty() && !executable) {
            return Err(Status::FORBIDDEN);
        }
        let body = self.body(question.request.verdict.framing, asked.path())?;
        let Some(ScriptMeans { frame, server }) = means else {
            return Ok(Content::NoPlace);
        };
        let path = asked.shown().get(..bytes).unwrap_or_default();
        // Of an index nothing is left behind: it was not asked for.
        let info = asked.path().get(bytes..).unwrap_or_default();
        // The names of files may hold anything; but shell scripts write what they are told.
        if [path, info]
            .iter()
            .any(|text| text.iter().any(u8::is_ascii_control))
        {
            return Err(Status::BAD_REQUEST);
        }
        let interpreter = Some(rule.interpreter.as_bytes()).filter(|path| !path.is_empty());
        let mut room = [0; basic::ROOM_BYTES];
        let facts = Facts {
            path,
            info,
            user: self.user([path, asked.path()], question, &mut room),
            server: server(),
            body,
        };
        let begun = frame.begin(name, interpreter);
        begun.map_err(|_| Status::INTERNAL_SERVER_ERROR)?;
        self.environment(frame, &facts, question)?;
        Ok(Content::Script(Script {
            directory: program.directory,
            body,
        }))
    }

    fn body(&self, framing: Framing, path: &[u8]) -> Result<Body, Status> {
        let most = self.largest_body(path).unwrap_or(self.script.body_bytes);
        let spool = self.script.spool_bytes;
        match framing {
            Framing::None => Ok(Body::None),
            Framing::Length(bytes) if bytes > most => Err(Status::CONTENT_TOO_LARGE),
            Framing::Length(bytes) => Ok(Body::Length(bytes)),
            Framing::Chunked if spool == 0 => Err(Status::LENGTH_REQUIRED),
            Framing::Chunked => Ok(Body::Spool(most.min(spool.into()))),
        }
    }
}
