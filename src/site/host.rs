//! One site: a root, aliases beneath it, and the rules of what is shown to whom.
//!
//! Owns the order of the questions that are put to a request once its site is known: may this
//! client ask, has the path moved, is the method known, where does the path lead, which
//! representation. It must not know other sites, nor write what every answer has (that is the
//! heart's). Invariant: a rule is asked about the decoded path, before the file system is.

use super::asked::Asked;
use super::authority;
use super::barred::Barred;
use super::encoding::{self, Codings};
use super::mime::Types;
use super::path;
use super::redirect::Moved;
use super::root::Root;
use super::script;
use super::status::Shown;
use super::walk::Opened;
use super::{ALLOW, ALLOW_CHANGES, Content, FilePart, Means, Question, Source, page};
use crate::config::rules::{Access, ExtraField};
use crate::config::{
    AuthRule, Config, Dotfiles, ScriptConfig, ScriptRule, SiteConfig, StartError, Symlinks,
    UploadRule,
};
use crate::connection::head::{Framing, Method, Request, Target};
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
    /// How large bodies may be.
    bodies: Vec<UploadRule>,
    pub(super) uploads: Vec<UploadRule>,
    /// Where these stand in the configuration.
    pub(super) uploads_key: String,
    /// Where something could not be changed.
    pub(super) barred: Barred,
    pub(super) scripts: Vec<ScriptRule>,
    /// What holds for scripts of all sites.
    pub(super) script: ScriptConfig,
    pub(super) listing: bool,
    /// Where it shows the status, if it does.
    pub(super) shown: Option<Shown>,
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
        let host = Self {
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
            bodies: site.bodies.clone(),
            uploads: site.uploads.clone(),
            uploads_key: format!("{section}.uploads"),
            barred: Barred::default(),
            scripts: site.scripts.clone(),
            script: config.script.clone(),
            listing: site.listing,
            shown: Shown::new(config, number),
            number,
            location_bytes: usize::from(config.buffer_bytes)
                .saturating_sub(extra)
                .saturating_sub(REPLY_ROOM_BYTES),
        };
        host.look_at_rules()?;
        Ok(host)
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

    /// A name that the configuration gives the site, if there is one that is not many.
    pub(super) fn own_name(&self) -> Option<&[u8]> {
        let mut names = self.names.iter();
        let own = names.find(|own| !own.starts_with('*'));
        own.map(|own| own.as_bytes())
    }

    /// Answers a request for this site.
    pub(super) fn answer(
        &self,
        question: Question<'_>,
        means: Means<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        let Target::Path { path, .. } = question.request.target else {
            let content = match question.request.method {
                Method::Options => options(ALLOW, reply),
                Method::Trace | Method::Connect => not_allowed(ALLOW, reply),
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
        match asked.read(path) {
            Ok(()) => {
                let content = self.respond(question, means, credentials, asked, reply);
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
        means: Means<'_>,
        credentials: &mut Credentials,
        asked: &mut Asked,
        reply: &mut Reply<'_>,
    ) -> Content {
        if let Some(refusal) = self.guard(asked.path(), question, credentials, reply) {
            return refusal;
        }
        if let Some(content) = self.status(asked.path(), question, reply) {
            return content;
        }
        if let (Some(most), Framing::Length(bytes)) = (
            self.largest_body(asked.path()),
            question.request.verdict.framing,
        ) && bytes > most
        {
            return page(reply, Status::CONTENT_TOO_LARGE);
        }
        let allow = match self.may_be_script(asked.path()) {
            true => script::ALLOW,
            false if self.is_changeable(asked.path()) => ALLOW_CHANGES,
            false => ALLOW,
        };
        match question.request.method {
            Method::Options => return options(allow, reply),
            Method::Trace | Method::Connect => return not_allowed(allow, reply),
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
        if let Some(content) = self.script(question, means.script, credentials, asked, reply) {
            return content;
        }
        let changed = match question.request.method {
            Method::Get | Method::Head => {
                return self.fetch(question, means.cache, credentials, asked, reply);
            }
            Method::Put => self.put(question, asked, reply),
            Method::Delete => {
                if self.is_changeable(asked.path()) {
                    means.cache.clear();
                }
                self.delete(question, asked, reply)
            }
            Method::Options
            | Method::Post
            | Method::Patch
            | Method::Trace
            | Method::Connect
            | Method::Other => None,
        };
        changed.unwrap_or_else(|| not_allowed(allow, reply))
    }

    /// How large a body at this path may be, where a rule says so: of several the last.
    pub(super) fn largest_body(&self, path: &[u8]) -> Option<u64> {
        let mut rules = self.bodies.iter();
        let rule = rules.rfind(|rule| rule.pattern.matches(path));
        rule.map(|rule| rule.max_bytes)
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
            false => self.own_name().unwrap_or_default(),
        };
        if host.is_empty() && moved.needs_host() {
            return Some(page(reply, Status::MISDIRECTED_REQUEST));
        }
        Some(moved.write(asked.path(), query, host, self.location_bytes, reply))
    }

    /// What the site adds to an answer: the page of a refusal, and its further fields.
    fn dress(
        &self,
        mut content: Content,
        path: &[u8],
        shown: &[u8],
        reply: &mut Reply<'_>,
    ) -> Content {
        if matches!(
            content,
            Content::Store(_) | Content::Script(_) | Content::NoPlace | Content::Status(_)
        ) {
            // Its reply is not written yet.
            return content;
        }
        self.write_fields(|index| self.has_field(index, path, shown), reply);
        self.with_page(&mut content, reply);
        content
    }

    /// The same at the end of an upload, for which the fields were chosen at its beginning.
    pub(super) fn finish(
        &self,
        mut content: Content,
        marks: u128,
        reply: &mut Reply<'_>,
    ) -> Content {
        self.write_fields(|index| mark(index) & marks != 0, reply);
        self.with_page(&mut content, reply);
        content
    }

    /// The fields that an answer about this path has: a bit for each. Behind the 128th there are
    /// none.
    pub(super) fn marks(&self, path: &[u8]) -> u128 {
        let all = 0..self.fields.len();
        let meant = all.filter(|index| self.has_field(*index, path, path));
        meant.fold(0, |marks, index| marks | mark(index))
    }

    /// The field is for one of these paths, and no later one takes its place.
    fn has_field(&self, index: usize, path: &[u8], shown: &[u8]) -> bool {
        let about =
            |f: &ExtraField| f.pattern.matches(path) || (shown != path && f.pattern.matches(shown));
        let Some((field, later)) = self.fields.get(index..).and_then(<[_]>::split_first) else {
            return false;
        };
        let again = |f: &ExtraField| f.name.eq_ignore_ascii_case(&field.name) && about(f);
        about(field) && !later.iter().any(again)
    }

    fn write_fields(&self, meant: impl Fn(usize) -> bool, reply: &mut Reply<'_>) {
        let refused = reply.current_status().code() >= 400;
        for (index, field) in self.fields.iter().enumerate() {
            // How long a refusal may be kept is nobody's wish.
            if !(refused && field.is_freshness()) && meant(index) {
                reply.field(&field.name, field.value.as_bytes());
            }
        }
    }

    /// A refusal has the page of the site, if that has one.
    fn with_page(&self, content: &mut Content, reply: &mut Reply<'_>) {
        let status = reply.current_status().code();
        if matches!(content, Content::Page) && status >= 400 {
            if let Some(page) = self.own_page(status, reply) {
                *content = page;
            }
        }
    }

    /// The file that was configured for this status. If it cannot be had, adieu's own page is sent.
    fn own_page(&self, status: u16, reply: &mut Reply<'_>) -> Option<Content> {
        let (_, names) = self.pages.iter().rfind(|(of, _)| *of == status)?;
        let (Opened { file, stat }, _) = self.own_file(names)?;
        self.types.of_name(last(names)).write(reply);
        Some(Content::File(FilePart {
            source: Source::Own(file),
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

/// The bit of a field.
fn mark(index: usize) -> u128 {
    let shift = u32::try_from(index).unwrap_or(u32::MAX);
    1_u128.checked_shl(shift).unwrap_or(0)
}

pub(super) fn options(allow: &[u8], reply: &mut Reply<'_>) -> Content {
    reply.status(Status::OK);
    reply.field("Allow", allow);
    Content::Empty
}

pub(super) fn not_allowed(allow: &[u8], reply: &mut Reply<'_>) -> Content {
    let content = page(reply, Status::METHOD_NOT_ALLOWED);
    reply.field("Allow", allow);
    content
}
