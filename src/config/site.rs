//! What one site is: where its files lie and how they are shown.
//!
//! Owns [`SiteConfig`] and the small choices in it. It must not open anything. Invariant: a named
//! site is the default site with some of its keys changed, so that nothing is written twice.

use super::auth::AuthRule;
use super::rules::{Access, Alias, ErrorPage, ExtraField, MediaType, Redirect};
use super::script::ScriptRule;
use super::upload::UploadRule;
use std::path::PathBuf;

/// Which symbolic links beneath the root are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symlinks {
    /// Those that stay inside the root (default).
    Within,
    /// None: 403.
    None,
    /// All.
    Follow,
}

/// Names that begin with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dotfiles {
    /// Not there: 404, but for `.well-known` (default).
    Hide,
    /// Files like others.
    Serve,
}

/// Requests for a Host that no site has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownHost {
    /// They get the default site (default).
    Serve,
    /// 421 for names. A numeric address is still served: DNS rebinding needs a name.
    Refuse,
}

/// A content coding that a file may have been given beforehand (RFC 9110 section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Brotli (RFC 7932).
    Brotli,
    /// Zstandard (RFC 8878).
    Zstd,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The name in fields and in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    /// The coding of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|coding| coding.name() == name)
    }
}

/// One site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteConfig {
    /// The names it answers to, in lower case, without port; `*.` in front stands for one label or
    /// more.
    pub hosts: Vec<String>,
    /// The document root.
    pub root: PathBuf,
    /// Names that stand for a directory, tried in order.
    pub index: Vec<String>,
    /// Symbolic links.
    pub symlinks: Symlinks,
    /// Names that begin with a dot.
    pub dotfiles: Dotfiles,
    /// Codings whose files are looked for beside the originals, the preferred ones first.
    pub precompressed: Vec<String>,
    /// Directories without an index are listed.
    pub listing: bool,
    /// The file served for paths that lead nowhere: a path of the site, or empty.
    pub fallback: String,
    /// The charset of text; empty: none is named.
    pub charset: String,
    /// Media types by extension, before the built-in ones.
    pub types: Vec<MediaType>,
    /// Directories outside the root.
    pub aliases: Vec<Alias>,
    /// Paths that moved.
    pub redirects: Vec<Redirect>,
    /// Pages for refusals.
    pub error_pages: Vec<ErrorPage>,
    /// Further response fields.
    pub fields: Vec<ExtraField>,
    /// Who may ask for what.
    pub access: Vec<Access>,
    /// Who must say who he is, for what.
    pub auth: Vec<AuthRule>,
    /// Where files may be put and removed.
    pub uploads: Vec<UploadRule>,
    /// How large a body may be, by path; elsewhere as large as what takes it lets it.
    pub bodies: Vec<UploadRule>,
    /// What scripts answer.
    pub scripts: Vec<ScriptRule>,
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self {
            hosts: vec![],
            root: PathBuf::from("conf/www"),
            index: vec!["index.html".to_owned(), "index.htm".to_owned()],
            symlinks: Symlinks::Within,
            dotfiles: Dotfiles::Hide, // .git, .htpasswd, .env: nobody means to publish them
            precompressed: ["br", "zstd", "gzip"].map(str::to_owned).to_vec(), // smallest first
            listing: false,           // names are not public because files are
            fallback: String::new(),
            charset: "utf-8".to_owned(),
            types: vec![],
            aliases: vec![],
            redirects: vec![],
            error_pages: vec![],
            fields: vec![],
            access: vec![],
            auth: vec![],
            bodies: vec![],
            uploads: vec![], // nothing here changes because somebody asks for it
            scripts: vec![],
        }
    }
}

/// A site beside the default one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSite {
    /// Its name in the configuration: `sites.NAME.root`.
    pub name: String,
    /// What it is.
    pub site: SiteConfig,
}
