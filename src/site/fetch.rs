//! From a path to the representation of a file: alias, index, fallback, coded sibling.
//!
//! Owns the way of a GET through one site. It must not write fields: that is `represent`'s.
//! Invariant: whatever stands for a path, its rules are those of the path that was asked for, and
//! of the index that is shown.

use super::asked::Asked;
use super::cache::{Cache, Eyes, Fresh, Key, Known, Marks};
use super::encoding::Accepted;
use super::host::{Host, last};
use super::listing::Policy;
use super::root::Root;
use super::validators::Validators;
use super::walk::{Found, Opened, Refusal, Tree, Walk};
use super::work::{Pieces, Place, Work};
use super::{Chosen, Content, Question, Source, page, path, redirect, represent};
use crate::config::Dotfiles;
use crate::connection::head::Target;
use crate::connection::reply::{Reply, Status};
use crate::helper::credentials::Credentials;
use std::os::fd::AsFd;

/// The front of a head takes at most this; a longer one is written anew each time.
const FRONT_BYTES: usize = 512;

/// What stands for a path.
enum Shown {
    /// A file, and which index it is if it is one.
    File(Opened, Option<u16>),
    /// The names in the directory.
    Names,
}

/// A file that was looked for.
struct Sought {
    opened: Opened,
    known: Known,
    /// The directories on the way.
    marks: Marks,
}

/// Where a path leads.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request; a box would allocate"
)]
enum End {
    File(Sought),
    /// To something else, which is answered.
    Content(Content),
    /// Nowhere, and the fallback stands for it.
    Fallback,
    /// Nowhere, on a way by these directories.
    Nowhere(Marks),
}

impl Host {
    /// Answers GET and HEAD.
    pub(super) fn fetch(
        &self,
        question: Question<'_>,
        cache: &mut Cache,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        if self.dotfiles == Dotfiles::Hide && asked.clean.is_hidden() {
            return page(reply, Status::NOT_FOUND);
        }
        let (request, now) = (question.request, question.turn.now);
        let accepted = Accepted::of(request);
        let key = Key {
            host: self.number,
            path: asked.path(),
            taste: accepted.taste(self.codings),
        };
        // Who wants a part takes long, and several are read from a file of their own.
        let keeps = request.value("Range").is_none();
        if let Some(hit) = cache.find(key, now).filter(|_| keeps) {
            let Some(known) = hit.known else {
                return page(reply, Status::NOT_FOUND);
            };
            let chosen = Chosen {
                source: Source::Kept(hit.kept),
                known,
                front: hit.front,
            };
            return self.show(chosen, question, credentials, asked, reply);
        }
        let keeps = keeps && cache.is_wanted(key, now);
        let eyes = keeps.then(|| cache.eyes());
        let sought = match self.seek(question, (&accepted, eyes), asked, reply) {
            End::File(sought) => sought,
            End::Content(content) => return content,
            End::Fallback => return self.fall_back(question, credentials, asked, reply),
            End::Nowhere(marks) => {
                if keeps {
                    cache.put_nowhere(key, marks, now);
                }
                return page(reply, Status::NOT_FOUND);
            }
        };
        let (opened, known, marks) = (sought.opened, sought.known, sought.marks);
        let mut room = [0; FRONT_BYTES];
        let source = if keeps {
            let kind = self.types.of_name(self.shown_name(known.index, asked));
            let fresh = Fresh {
                file: opened.file,
                known: &known,
                front: represent::front(&known, kind, question.turn.wall, &mut room),
                marks,
            };
            cache.put(key, fresh, now)
        } else {
            Source::Own(opened.file)
        };
        let chosen = Chosen {
            source,
            known: &known,
            front: b"",
        };
        self.show(chosen, question, credentials, asked, reply)
    }

    /// Looks for the file that stands for a path.
    fn seek(
        &self,
        question: Question<'_>,
        (accepted, eyes): (&Accepted, Option<&Eyes>),
        asked: &Asked,
        reply: &mut Reply<'_>,
    ) -> End {
        let Target::Path { path, query } = question.request.target else {
            return End::Content(page(reply, Status::BAD_REQUEST));
        };
        let (place, names) = self.place(asked.clean.as_bytes());
        let Some(root) = self.root_at(place) else {
            return End::Content(page(reply, Status::INTERNAL_SERVER_ERROR));
        };
        let tree = root.tree(self.symlinks);
        let mut walk = Tree { eyes, ..tree }.walk();
        let found = if asked.clean.is_directory() {
            self.index_of(names, &mut walk)
        } else {
            match walk.open(names, b"") {
                Ok(Found::File(opened)) => Ok(Shown::File(opened, None)),
                Ok(Found::Directory) => {
                    return End::Content(redirect::to_directory(path, query, reply));
                }
                Err(refusal) => Err(refusal),
            }
        };
        let is_source = self.is_source(place, &walk);
        let (opened, index) = match found {
            Ok(Shown::File(opened, index)) => (opened, index),
            Ok(Shown::Names) if is_source => {
                return End::Content(page(reply, Status::FORBIDDEN));
            }
            Ok(Shown::Names) => {
                return End::Content(self.list(question, asked, &walk, place, reply));
            }
            Err(Refusal::Missing) if self.falls_back(asked) => return End::Fallback,
            Err(Refusal::Missing) => return End::Nowhere(walk.marks()),
            Err(refusal) => return End::Content(page(reply, refusal.status())),
        };
        let name = self.shown_name(index, asked);
        let (opened, coding, varies) = self.choose(opened, name, &walk, accepted);
        let known = Known {
            size: opened.stat.size,
            validators: Validators::new(&opened.stat),
            coding,
            varies,
            index,
            is_source,
        };
        End::File(Sought {
            opened,
            known,
            marks: walk.marks(),
        })
    }

    /// The file that stands for a path is shown, if no rule about it, or about the index that it
    /// is, is against it.
    fn show(
        &self,
        chosen: Chosen<'_>,
        question: Question<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        let known = chosen.known;
        if let Some(index) = known
            .index
            .and_then(|index| self.index.get(usize::from(index)))
        {
            asked.show(index.as_bytes());
            if let Some(refusal) = self.guard(asked.shown(), question, credentials, reply) {
                return refusal;
            }
        }
        if known.is_source || self.is_claimed(asked.shown()) {
            return page(reply, Status::FORBIDDEN);
        }
        let kind = || self.types.of_name(self.shown_name(known.index, asked));
        represent::with(chosen, kind, question, reply)
    }

    /// The last name of what is shown: that of the index, or of the path.
    fn shown_name<'n>(&'n self, index: Option<u16>, asked: &'n Asked) -> &'n [u8] {
        let index = index.and_then(|index| self.index.get(usize::from(index)));
        index.map_or(asked.clean.name(), |name| name.as_bytes())
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
        let accepted = Accepted::of(question.request);
        let (opened, coding, varies) = self.choose(opened, name, &walk, &accepted);
        asked.show_instead(&self.fallback);
        // Another path than the one that was asked about: it may have rules of its own.
        if let Some(refusal) = self.guard(asked.path(), question, credentials, reply) {
            return refusal;
        }
        let known = Known {
            size: opened.stat.size,
            validators: Validators::new(&opened.stat),
            coding,
            varies,
            index: None,
            is_source: false,
        };
        let chosen = Chosen {
            source: Source::Own(opened.file),
            known: &known,
            front: b"",
        };
        represent::with(chosen, || self.types.of_name(name), question, reply)
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

    /// The first index file of a directory, and its name. The names are tried before the directory
    /// itself is looked at: where there is an index, and that is nearly always, one way suffices.
    fn index_of(&self, names: &[u8], walk: &mut Walk<'_>) -> Result<Shown, Refusal> {
        let hides = self.dotfiles == Dotfiles::Hide;
        for (name, index) in self.index.iter().zip(0_u16..) {
            if hides && path::is_hidden_name(name.as_bytes()) {
                continue;
            }
            match walk.open(names, name.as_bytes()) {
                Ok(Found::File(opened)) => return Ok(Shown::File(opened, Some(index))),
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
