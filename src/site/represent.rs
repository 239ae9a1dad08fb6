//! A file that was found becomes the answer: validators, ranges, and the fields that describe it.
//!
//! Owns the order of these questions and the fields of 200, 206, 304, 412 and 416. It must not look
//! for the file or choose its coding. Invariant: Content-Range and the range it names are made
//! from one value.

use super::cache::Known;
use super::mime::Type;
use super::parts::{ContentRange, Parts};
use super::range::{self, Part, Selection};
use super::validators::{Outcome, Validators};
use super::work::{Pieces, Work};
use super::{Chosen, Content, FilePart, Question, Source, page};
use crate::config::Coding;
use crate::connection::head::{Method, Request};
use crate::connection::reply::{Decimal, Reply, Status};
use crate::connection::time::Wall;

/// Answers with a file: preconditions first, then the ranges (RFC 9110 section 13.2.2). Where
/// no pieces can be made several ranges are answered with the whole.
pub(super) fn with<'s>(
    chosen: Chosen<'_>,
    media_type: impl FnOnce() -> Type<'s>,
    question: Question<'_>,
    reply: &mut Reply<'_>,
) -> Content {
    let Chosen {
        source,
        known,
        front,
    } = chosen;
    let (size, coding, varies) = (known.size, known.coding, known.varies);
    let is_usual = !front.is_empty() && !is_conditional(question.request);
    if is_usual && known.validators.are_settled(question.turn.wall) {
        reply.begin(Status::OK, front);
        return Content::File(FilePart {
            source,
            offset: 0,
            length: size,
        });
    }
    let request = question.request;
    let validators = known.validators.at(question.turn.wall);
    match validators.check(request) {
        Outcome::Proceed => {}
        Outcome::Failed => return page(reply, Status::PRECONDITION_FAILED),
        Outcome::NotModified => {
            reply.status(Status::NOT_MODIFIED);
            // RFC 9110 section 15.4.5: beside an entity tag, Last-Modified is better left out.
            reply.field("ETag", validators.etag());
            vary(varies, reply);
            return Content::Nothing;
        }
    }
    let media_type = media_type();
    let extent = match wanted(request, &validators, size) {
        Selection::Whole => Extent::Whole,
        Selection::Part(part) => Extent::Part(part),
        Selection::Parts(ranges) if question.pieces && source.is_own() => {
            let boundary = question.boundaries.next();
            Parts::new(ranges, size, media_type, coding, boundary)
                .map_or(Extent::Whole, Extent::Parts)
        }
        Selection::Parts(_) => Extent::Whole,
        Selection::Unsatisfiable => {
            reply.status(Status::RANGE_NOT_SATISFIABLE);
            let total = Decimal::new(size);
            reply.field_parts("Content-Range", &[b"bytes */", total.as_bytes()]);
            return Content::Page;
        }
    };
    start(&extent, media_type, coding, size, reply);
    describe(varies, &validators, reply);
    content(extent, source, size)
}

/// What follows the head.
fn content(extent: Extent, source: Source, size: u64) -> Content {
    let (offset, length) = match &extent {
        Extent::Whole => (0, size),
        Extent::Part(part) => (part.first, part.length),
        Extent::Parts(parts) => (0, parts.length()),
    };
    match (extent, source) {
        (Extent::Parts(parts), Source::Own(file)) => Content::Pieces(Pieces {
            file,
            length: Some(length),
            work: Work::Parts(parts),
        }),
        (_, source) => Content::File(FilePart {
            source,
            offset,
            length,
        }),
    }
}

/// The front of the head of a whole file, as [`with`] writes it, into `room`. Nothing if it will
/// not be the same in a moment, or has no room.
pub(super) fn front<'r>(
    known: &Known,
    media_type: Type<'_>,
    wall: Option<Wall>,
    room: &'r mut [u8],
) -> &'r [u8] {
    let mut reply = Reply::new(room);
    start(
        &Extent::Whole,
        media_type,
        known.coding,
        known.size,
        &mut reply,
    );
    describe(known.varies, &known.validators.at(wall), &mut reply);
    let bytes = match known.validators.are_settled(wall) && !reply.overflowed() {
        true => reply.len(),
        false => 0,
    };
    room.get(..bytes).unwrap_or_default()
}

/// The request asks for a file in some state only.
fn is_conditional(request: &Request<'_>) -> bool {
    let mut names = request.fields.iter().map(|field| field.name.as_bytes());
    names.any(|name| {
        name.get(..3)
            .is_some_and(|front| front.eq_ignore_ascii_case(b"if-"))
    })
}

/// What of the file is sent.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives on the stack for one request; a box would allocate"
)]
enum Extent {
    Whole,
    Part(Part),
    Parts(Parts),
}

/// The status and the fields that say what the content is.
fn start(
    extent: &Extent,
    media_type: Type<'_>,
    coding: Option<Coding>,
    size: u64,
    reply: &mut Reply<'_>,
) {
    match extent {
        Extent::Whole => reply.status(Status::OK),
        Extent::Part(part) => {
            reply.status(Status::PARTIAL_CONTENT);
            reply.field_parts("Content-Range", &ContentRange::new(*part, size).words());
        }
        Extent::Parts(parts) => {
            // No Content-Range, and no Content-Encoding: the parts have those of their own, and the
            // lines between them are in no coding (RFC 9110 sections 14.6 and 15.3.7.2).
            reply.status(Status::PARTIAL_CONTENT);
            let lead = b"multipart/byteranges; boundary=";
            reply.field_parts("Content-Type", &[lead, parts.boundary()]);
            return;
        }
    }
    media_type.write(reply);
    if let Some(coding) = coding {
        reply.field("Content-Encoding", coding.name().as_bytes());
    }
}

/// The fields that describe a file in its state.
fn describe(varies: bool, validators: &Validators, reply: &mut Reply<'_>) {
    vary(varies, reply);
    reply.field("ETag", validators.etag());
    if let Some(date) = validators.last_modified() {
        reply.field("Last-Modified", date);
    }
    reply.field("Accept-Ranges", b"bytes");
}

/// Tells caches that another client may get another representation (RFC 9110 section 12.5.5).
fn vary(varies: bool, reply: &mut Reply<'_>) {
    if varies {
        reply.field("Vary", b"Accept-Encoding");
    }
}

/// What of the file is asked for. Range has a meaning for GET only (RFC 9110 section 14.2); given
/// twice it has none.
fn wanted(request: &Request<'_>, validators: &Validators, size: u64) -> Selection {
    let mut ranges = request.values("Range");
    match (ranges.next(), ranges.next()) {
        (Some(value), None)
            if matches!(request.method, Method::Get) && validators.range_applies(request) =>
        {
            range::select(value, size)
        }
        _ => Selection::Whole,
    }
}
