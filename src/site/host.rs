//! One site: a root, aliases beneath it, and the rules of what is shown to whom.
//!
//! Owns the order of the questions that are put to a request once its site is known: may this
//! client ask, has the path moved, is the method known, where does the path lead, which
//! representation. It must not know other sites, nor write what every answer has (that is the
//! heart's). Invariant: a rule is asked about the decoded path, before the file system is.

use super::asked::Asked;
use super::authority;
use super::encoding::{self, Codings};
use super::mime::Types;
use super::path;
use super::redirect::Moved;
use super::root::Root;
use super::walk::Opened;
use super::{ALLOW, Content, FilePart, Question, page};
use crate::config::rules::{Access, ExtraField};
use crate::config::{AuthRule, Config, Dotfiles, SiteConfig, StartError, Symlinks};
use crate::connection::head::{Method, Request, Target};
use crate::connection::limits::REPLY_ROOM_BYTES;
use crate::connection::reply::{Reply, Status};
use crate::helper::credentials::Credentials;

/// One site. See the module.
#[derive(Debug)]
pub(super) struct Host {
    names: Vec<String>,
    pub(super) root: Root,
    /// Names from the root, and what lies there; the longest first.
    pub(super) aliases: Vec<(Vec<u8>, Root)>,
    pub(super) index: Vec<String>,
    pub(super) symlinks: Symlinks,
    pub(super) dotfiles: Dotfiles,
    pub(super) codings: Codings,
    pub(super) types: Types,
    /// Names from the root; empty for none.
    pub(super) fallback: Vec<u8>,
    /// Status and names from the root.
    pages: Vec<(u16, Vec<u8>)>,
    moved: Vec<Moved>,
    fields: Vec<ExtraField>,
    pub(super) access: Vec<Access>,
    pub(super) auth: Vec<AuthRule>,
    pub(super) listing: bool,
    /// Its number among the sites.
    pub(super) number: u16,
    /// The longest Location that a reply has room for, bytes.
    location_bytes: usize,
}

impl Host {
    /// Opens the directories of `site`; `section` is where it stands in the configuration.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub(super) fn new(
        site: &SiteConfig,
        section: &str,
        number: u16,
        config: &Config,
    ) -> Result<Self, StartError> {
        let mut aliases = Vec::with_capacity(site.aliases.len());
        for alias in &site.aliases {
            let key = format!("{section}.aliases");
            aliases.push((alias.names(), Root::open(&alias.directory, &key)?));
        }
        aliases.sort_by_key(|(names, _)| std::cmp::Reverse(names.len()));
        let extra: usize = site.fields.iter().map(ExtraField::line_bytes).sum();
        let pages = &site.error_pages;
        Ok(Self {
            names: site.hosts.clone(),
            root: Root::open(&site.root, &format!("{section}.root"))?,
            aliases,
            index: site.index.clone(),
            symlinks: site.symlinks,
            dotfiles: site.dotfiles,
            codings: encoding::configured(&site.precompressed),
            types: Types::new(&site.types, &site.charset),
            fallback: names(&site.fallback),
            pages: pages
                .iter()
                .map(|page| (page.status, names(&page.path)))
                .collect(),
            moved: site.redirects.iter().map(Moved::new).collect(),
            fields: site.fields.clone(),
            access: site.access.clone(),
            auth: site.auth.clone(),
            listing: site.listing,
            number,
            location_bytes: usize::from(config.buffer_bytes)
                .saturating_sub(extra)
                .saturating_sub(REPLY_ROOM_BYTES),
        })
    }

    /// The site calls itself so.
    pub(super) fn is_called(&self, name: &[u8]) -> bool {
        self.likeness(name).is_some()
    }

    /// How much this is the site's name; `None` if it is not.
    pub(super) fn likeness(&self, name: &[u8]) -> Option<usize> {
        let all = self.names.iter();
        all.filter_map(|own| authority::likeness(own, name)).max()
    }

    /// Answers a request for this site.
    pub(super) fn answer(
        &self,
        question: Question<'_>,
        credentials: &mut Credentials,
        reply: &mut Reply<'_>,
    ) -> Content {
        let Target::Path { path, .. } = question.request.target else {
            let content = match question.request.method {
                Method::Options => options(reply),
                Method::Trace | Method::Connect => not_allowed(reply),
                Method::Other => page(reply, Status::NOT_IMPLEMENTED),
                Method::Get
                | Method::Head
                | Method::Post
                | Method::Put
                | Method::Delete
                | Method::Patch => page(reply, Status::BAD_REQUEST),
            };
            return self.dress(content, b"", b"", reply);
        };
        match Asked::parse(path) {
            Ok(mut asked) => {
                let content = self.respond(question, credentials, &mut asked, reply);
                self.dress(content, asked.path(), asked.shown(), reply)
            }
            Err(fault) => {
                let content = page(reply, fault.status());
                self.dress(content, b"", b"", reply)
            }
        }
    }

    /// Answers a request that is for no site here, as this one would.
    pub(super) fn misdirected(&self, reply: &mut Reply<'_>) -> Content {
        let content = page(reply, Status::MISDIRECTED_REQUEST);
        self.dress(content, b"", b"", reply)
    }

    fn respond(
        &self,
        question: Question<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        if let Some(refusal) = self.guard(asked.path(), question, credentials, reply) {
            return refusal;
        }
        match question.request.method {
            Method::Options => return options(reply),
            Method::Trace | Method::Connect => return not_allowed(reply),
            Method::Other => return page(reply, Status::NOT_IMPLEMENTED),
            Method::Get
            | Method::Head
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Patch => {}
        }
        if let Some(content) = self.elsewhere(question.request, asked, reply) {
            return content;
        }
        match question.request.method {
            Method::Get | Method::Head => self.fetch(question, credentials, asked, reply),
            Method::Options
            | Method::Post
            | Method::Put
            | Method::Delete
            | Method::Patch
            | Method::Trace
            | Method::Connect
            | Method::Other => not_allowed(reply),
        }
    }

    /// The path has moved.
    fn elsewhere(
        &self,
        request: &Request<'_>,
        asked: &Asked,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        let moved = self.moved.iter().find(|rule| rule.is_about(asked.path()))?;
        let query = match request.target {
            Target::Path { query, .. } => query,
            Target::Asterisk | Target::Authority => None,
        };
        let name = authority::name(request.host);
        // Only a host of this site is ever written down: the others are the client's invention.
        let host = match self.is_called(name) {
            true => name,
            false => {
                let own = self.names.iter().find(|own| !own.starts_with('*'));
                own.map_or(&b""[..], |own| own.as_bytes())
            }
        };
        if host.is_empty() && moved.needs_host() {
            return Some(page(reply, Status::MISDIRECTED_REQUEST));
        }
        Some(moved.write(asked.path(), query, host, self.location_bytes, reply))
    }

    /// What the site adds to an answer: the page of a refusal, and its further fields.
    fn dress(&self, content: Content, path: &[u8], shown: &[u8], reply: &mut Reply<'_>) -> Content {
        let status = reply.current_status().code();
        let refused = status >= 400;
        for (index, field) in self.fields.iter().enumerate() {
            let about = |f: &ExtraField| {
                f.pattern.matches(path) || (shown != path && f.pattern.matches(shown))
            };
            let again = |f: &ExtraField| f.name.eq_ignore_ascii_case(&field.name) && about(f);
            let replaced = self.fields.iter().skip(index + 1).any(again);
            // How long a refusal may be kept is nobody's wish.
            let meant = about(field) && !(refused && field.is_freshness());
            if meant && !replaced {
                reply.field(&field.name, field.value.as_bytes());
            }
        }
        match content {
            Content::Page if refused => self.own_page(status, reply).unwrap_or(Content::Page),
            Content::Page
            | Content::Nothing
            | Content::Empty
            | Content::File(_)
            | Content::Pieces(_)
            | Content::Later(_) => content,
        }
    }

    /// The file that was configured for this status. If it cannot be had, adieu's own page is sent.
    fn own_page(&self, status: u16, reply: &mut Reply<'_>) -> Option<Content> {
        let (_, names) = self.pages.iter().rfind(|(of, _)| *of == status)?;
        let (Opened { file, stat }, _) = self.own_file(names)?;
        self.types.of_name(last(names)).write(reply);
        Some(Content::File(FilePart {
            file,
            offset: 0,
            length: stat.size,
        }))
    }
}

/// The names of a configured path, without slashes at the ends. It was checked at the start.
fn names(path: &str) -> Vec<u8> {
    path::CleanPath::parse(path.as_bytes())
        .map(|clean| clean.as_bytes().to_vec())
        .unwrap_or_default()
}

/// The last of some names.
pub(super) fn last(names: &[u8]) -> &[u8] {
    names.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

fn options(reply: &mut Reply<'_>) -> Content {
    reply.status(Status::OK);
    reply.field("Allow", ALLOW);
    Content::Empty
}

fn not_allowed(reply: &mut Reply<'_>) -> Content {
    let content = page(reply, Status::METHOD_NOT_ALLOWED);
    reply.field("Allow", ALLOW);
    content
}
