//! Which requests are about the server itself.
//!
//! Owns the path of the status, and who sees that there is one. It must not know what it says.
//! Invariants: the path exists for the default site alone, and for a client of `status.allow` that
//! nobody has forwarded; to everybody else the site answers as if there were none.

use super::authority;
use super::host::Host;
use super::{ALLOW, Content, Question, page};
use crate::config::Config;
use crate::config::network::Networks;
use crate::config::status::{BUILT, Form};
use crate::connection::client::Client;
use crate::connection::head::{Method, Request, Target, Version};
use crate::connection::reply::{Reply, Status};
use std::net::IpAddr;

/// Where the default site shows the status, and to whom.
#[derive(Debug)]
pub(super) struct Shown {
    path: Vec<u8>,
    allow: Networks,
}

/// What proxies add to a request. A proxy on this machine that `proxy.trusted` does not name makes
/// the whole world look like this machine; these show it. So does HTTP/1.0, which nginx speaks to
/// what is behind it unless it is told otherwise. A proxy that shows neither is not noticed.
const FORWARDED: [&str; 6] = [
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "via",
];

impl Shown {
    /// For the default site; the others have none.
    pub(super) fn new(config: &Config, number: u16) -> Option<Self> {
        let path = &config.status.path;
        (BUILT && number == 0 && !path.is_empty()).then(|| Self {
            path: path.as_bytes().to_vec(),
            allow: config.status.allow.clone(),
        })
    }

    fn is_for(&self, client: &Client, request: &Request<'_>) -> bool {
        let own = match client {
            Client::Address(IpAddr::V4(v4)) => v4.is_loopback(),
            Client::Address(IpAddr::V6(v6)) => v6.is_loopback(),
            Client::Unix => true,
            Client::Unknown => return false,
        };
        let mut fields = FORWARDED.iter();
        let old = request.verdict.version == Version::Http10;
        let forwarded = own && (old || fields.any(|name| request.value(name).is_some()));
        self.allow.contains(client) && !forwarded
    }
}

impl Host {
    /// The answer to a request about the status; `None` if it is about anything else, or not for
    /// this client.
    pub(super) fn status(
        &self,
        path: &[u8],
        question: Question<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Content> {
        let shown = self.shown.as_ref()?;
        let form = Form::named(path.strip_prefix(shown.path.as_slice())?)?;
        let name = authority::name(question.request.host);
        // A name that anybody could let lead here is nobody's business (DNS rebinding).
        let called = name.is_empty() || authority::is_address(name) || self.is_called(name);
        let seen = called && shown.is_for(question.client, question.request);
        seen.then(|| answer(form, question.request.method, reply))
    }
}

/// What comes by `status.socket` is about nothing else; its permissions say who may.
pub(super) fn of_socket(request: &Request<'_>, reply: &mut Reply<'_>) -> Content {
    let form = match request.target {
        Target::Path { path, .. } => Form::named(path),
        Target::Asterisk | Target::Authority => None,
    };
    match form {
        Some(form) => answer(form, request.method, reply),
        None => page(reply, Status::NOT_FOUND),
    }
}

fn answer(form: Form, method: Method, reply: &mut Reply<'_>) -> Content {
    match method {
        Method::Get | Method::Head => Content::Status(form),
        Method::Options => super::host::options(ALLOW, reply),
        Method::Other => page(reply, Status::NOT_IMPLEMENTED),
        Method::Post
        | Method::Put
        | Method::Delete
        | Method::Patch
        | Method::Trace
        | Method::Connect => super::host::not_allowed(ALLOW, reply),
    }
}
