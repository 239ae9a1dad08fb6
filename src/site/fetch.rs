//! From a path to the representation of a file: alias, index, fallback, coded sibling.
//!
//! Owns the way of a GET through one site. It must not write fields: that is `represent`'s.
//! Invariant: whatever stands for a path, its rules are those of the path that was asked for, and
//! of the index that is shown.

use super::asked::Asked;
use super::encoding::{self, Accepted};
use super::host::{Host, last};
use super::listing::Policy;
use super::root::Root;
use super::walk::{Found, Opened, Refusal, Walk};
use super::work::{Pieces, Place, Work};
use super::{Chosen, Content, Question, page, path, redirect, represent};
use crate::config::Dotfiles;
use crate::connection::head::{Request, Target};
use crate::connection::reply::{Reply, Status};
use crate::helper::credentials::Credentials;
use std::os::fd::AsFd;

/// What stands for a path.
enum Shown<'s> {
    /// A file, and the name of the index if it is one.
    File(Opened, Option<&'s [u8]>),
    /// The names in the directory.
    Names,
}

impl Host {
    /// Answers GET and HEAD.
    pub(super) fn fetch(
        &self,
        question: Question<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        let Target::Path { path, query } = question.request.target else {
            return page(reply, Status::BAD_REQUEST);
        };
        if self.dotfiles == Dotfiles::Hide && asked.clean.is_hidden() {
            return page(reply, Status::NOT_FOUND);
        }
        let (place, names) = self.place(asked.clean.as_bytes());
        let Some(root) = self.root_at(place) else {
            return page(reply, Status::INTERNAL_SERVER_ERROR);
        };
        let mut walk = root.tree(self.symlinks).walk();
        let found = if asked.clean.is_directory() {
            self.index_of(names, &mut walk)
        } else {
            match walk.open(names, b"") {
                Ok(Found::File(opened)) => Ok(Shown::File(opened, None)),
                Ok(Found::Directory) => return redirect::to_directory(path, query, reply),
                Err(refusal) => Err(refusal),
            }
        };
        let (opened, index) = match found {
            Ok(Shown::File(opened, index)) => (opened, index),
            Ok(Shown::Names) if self.is_source(place, &walk) => {
                return page(reply, Status::FORBIDDEN);
            }
            Ok(Shown::Names) => return self.list(question, asked, &walk, place, reply),
            Err(Refusal::Missing) if self.falls_back(asked) => {
                return self.fall_back(question, credentials, asked, reply);
            }
            Err(refusal) => return page(reply, refusal.status()),
        };
        let source = self.is_source(place, &walk);
        let name = index.unwrap_or(asked.clean.name());
        let chosen = self.choose(opened, name, &walk, question.request);
        let kind = self.types.of_name(name);
        if let Some(index) = index {
            asked.show(index);
            if let Some(refusal) = self.guard(asked.shown(), question, credentials, reply) {
                return refusal;
            }
        }
        if source || self.is_claimed(asked.shown()) {
            return page(reply, Status::FORBIDDEN);
        }
        represent::with(chosen, kind, question, reply)
    }

    /// Where the names lead: beneath the root (0), or beneath an alias (its number from 1 on).
    pub(super) fn place<'n>(&self, names: &'n [u8]) -> (u16, &'n [u8]) {
        let beneath = self
            .aliases
            .iter()
            .zip(1..)
            .find_map(|((alias, _), place)| {
                let rest = names.strip_prefix(alias.as_slice())?;
                match rest.first() {
                    None => Some((place, rest)),
                    Some(b'/') => Some((place, rest.get(1..).unwrap_or_default())),
                    Some(_) => None,
                }
            });
        beneath.unwrap_or((0, names))
    }

    pub(super) fn root_at(&self, place: u16) -> Option<&Root> {
        match place.checked_sub(1) {
            None => Some(&self.root),
            Some(alias) => self.aliases.get(usize::from(alias)).map(|(_, root)| root),
        }
    }

    pub(super) fn root_mut(&mut self, place: u16) -> Option<&mut Root> {
        match place.checked_sub(1) {
            None => Some(&mut self.root),
            Some(alias) => self
                .aliases
                .get_mut(usize::from(alias))
                .map(|(_, root)| root),
        }
    }

    /// What may be shown of the directories beneath a root.
    pub(super) fn policy(&self, place: u16) -> Option<Policy<'_>> {
        let tree = self.root_at(place)?.tree(self.symlinks);
        let dotfiles = self.dotfiles;
        Some(Policy { tree, dotfiles })
    }

    /// The page of names in the directory that the walk has reached.
    fn list(
        &self,
        question: Question<'_>,
        asked: &Asked,
        walk: &Walk<'_>,
        root: u16,
        reply: &mut Reply<'_>,
    ) -> Content {
        let (true, Some(shelf)) = (question.pieces, question.shelf) else {
            // Every place for answers in pieces is taken.
            let content = page(reply, Status::SERVICE_UNAVAILABLE);
            reply.field("Retry-After", b"1");
            return content;
        };
        let file = match walk.list() {
            Ok(file) => file,
            Err(refusal) => return page(reply, refusal.status()),
        };
        let host = self.number;
        let place = Place { host, root };
        match shelf.list(asked.clean.as_bytes(), walk.way(), place, file.as_fd()) {
            Ok(listing) => {
                reply.status(Status::OK);
                reply.field("Content-Type", b"text/html; charset=utf-8");
                Content::Pieces(Pieces {
                    file,
                    length: None,
                    work: Work::Listing(listing, place),
                })
            }
            Err(_) => page(reply, Status::INTERNAL_SERVER_ERROR),
        }
    }

    /// The path is one that an application of one page makes up: its last name has no dot. A name
    /// with one is that of a file, and whoever asks for `app.js` cannot use a page instead.
    fn falls_back(&self, asked: &Asked) -> bool {
        !self.fallback.is_empty() && !asked.clean.name().contains(&b'.')
    }

    fn fall_back(
        &self,
        question: Question<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        let Some((opened, walk)) = self.own_file(&self.fallback) else {
            return page(reply, Status::NOT_FOUND);
        };
        let name = last(&self.fallback);
        let chosen = self.choose(opened, name, &walk, question.request);
        asked.show_instead(&self.fallback);
        // Another path than the one that was asked about: it may have rules of its own.
        if let Some(refusal) = self.guard(asked.path(), question, credentials, reply) {
            return refusal;
        }
        represent::with(chosen, self.types.of_name(name), question, reply)
    }

    /// A file that the configuration names, and the walk to it. It may lie beneath an alias, as
    /// every path of the site may.
    pub(super) fn own_file(&self, names: &[u8]) -> Option<(Opened, Walk<'_>)> {
        let (place, beneath) = self.place(names);
        let mut walk = self.root_at(place)?.tree(self.symlinks).walk();
        match walk.open(beneath, b"") {
            Ok(Found::File(_)) if self.is_source(place, &walk) => None,
            Ok(Found::File(opened)) => Some((opened, walk)),
            Ok(Found::Directory) | Err(_) => None,
        }
    }

    /// The representation of the file at the end of `walk` that the client wants most (RFC 9110
    /// section 12.1).
    ///
    /// Siblings are looked for whatever the client takes, for Vary must stand in every answer as
    /// soon as one could differ. A file without any costs one failed statx for each coding, three
    /// by default; one that has the coding wanted most costs statx, openat, statx and close. A
    /// sibling that is older than the original is left over from another one.
    fn choose(&self, own: Opened, name: &[u8], walk: &Walk<'_>, request: &Request<'_>) -> Chosen {
        let mut varies = false;
        if !encoding::is_coded(name) {
            let accepted = Accepted::of(request);
            for coding in accepted.order(self.codings) {
                let sibling = walk.sibling(encoding::suffix(coding));
                let Some(opened) = sibling.filter(|s| age(s) >= age(&own)) else {
                    continue;
                };
                varies = true;
                if accepted.weight(coding) > 0 {
                    let coding = Some(coding);
                    return Chosen {
                        opened,
                        coding,
                        varies,
                    };
                }
                break; // those behind it are wanted as little
            }
        }
        // Also with `identity;q=0`: RFC 9110 section 12.5.3 lets a server disregard the field, and
        // a client that gets its bytes is better off than one with a 406 that it cannot use.
        Chosen {
            opened: own,
            coding: None,
            varies,
        }
    }

    /// The first index file of a directory, and its name. The names are tried before the directory
    /// itself is looked at: where there is an index, and that is nearly always, one way suffices.
    fn index_of(&self, names: &[u8], walk: &mut Walk<'_>) -> Result<Shown<'_>, Refusal> {
        let hides = self.dotfiles == Dotfiles::Hide;
        for name in &self.index {
            if hides && path::is_hidden_name(name.as_bytes()) {
                continue;
            }
            match walk.open(names, name.as_bytes()) {
                Ok(Found::File(opened)) => return Ok(Shown::File(opened, Some(name.as_bytes()))),
                Ok(Found::Directory) | Err(Refusal::Missing) => {}
                Err(refusal) => return Err(refusal),
            }
        }
        match walk.open(names, b"")? {
            Found::Directory if self.listing => Ok(Shown::Names),
            // There is something, but nothing that may be shown.
            Found::Directory => Err(Refusal::Forbidden),
            // A regular file has no directory form.
            Found::File(_) => Err(Refusal::Missing),
        }
    }
}

/// When the bytes of a file last changed.
fn age(opened: &Opened) -> (i64, u32) {
    (opened.stat.modified_s, opened.stat.modified_ns)
}
