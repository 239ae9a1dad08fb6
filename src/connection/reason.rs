//! Why a request is refused and why a connection ended.
//!
//! Owns the vocabulary of failure of the heart: [`Reject`] (the peer's fault), [`CloseReason`] (the
//! one end each connection has) and [`Misuse`] (our own fault). It must not format, count or log:
//! that is `report`'s work. Invariants: every variant is fieldless and `Copy`; each `Reject` maps
//! to exactly one status; each connection gets exactly one `CloseReason`.

use super::reply::Status;

/// When a client that was refused for want of a place or a verdict may come again, s: long enough
/// to let those before it end, short enough for a person (RFC 9110 section 10.2.3).
pub const RETRY_AFTER_S: u64 = 5;

/// A fault of the peer that ends its connection: the answer is sent with `Connection: close`, then
/// the goodbye begins. RFC 9112 section 2.2 and 9110 section 15.5 unless a variant says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// A proxy that is to begin with the PROXY protocol did not (`proxy-protocol.txt` section 2).
    BadPreface,
    /// Not HTTP: a malformed request line, a bare CR or LF, a NUL (RFC 9112 section 2.2).
    BadRequestLine,
    /// A field line that is not one: space before the colon, obs-fold, NUL, bare CR (RFC 9112
    /// section 5).
    BadField,
    /// No Host in HTTP/1.1, more than one, or one that is not `uri-host [":" port]` (RFC 9112
    /// section 3.2).
    BadHost,
    /// A target in none of the four forms, or a bad escape in it (RFC 9112 section 3.2).
    BadTarget,
    /// Two framings, repeated or malformed Content-Length (RFC 9112 section 6.3).
    BadFraming,
    /// A chunk size, chunk ending or trailer that is malformed (RFC 9112 section 7.1).
    BadChunk,
    /// A transfer coding other than a single final `chunked` (RFC 9112 section 6.1): 501.
    UnknownCoding,
    /// The head did not arrive within its deadline: 408 (RFC 9110 section 15.5.9).
    LateHead,
    /// The body did not arrive within its deadline, or slower than the minimum rate: 408.
    LateBody,
    /// The body is longer than the limit: 413.
    BodyTooLarge,
    /// The target is longer than the limit: 414.
    TargetTooLong,
    /// An expectation other than `100-continue`: 417 (RFC 9110 section 10.1.1).
    UnknownExpectation,
    /// The head does not fit the buffer or has too many fields: 431 (RFC 6585 section 5).
    HeadTooLarge,
    /// A major version that is not 1: 505.
    UnknownVersion,
    /// No buffer was free and this request had made the least progress: 408, so that it is retried.
    GaveWay,
    /// As many scripts as may run for the whole time that it waited: 503.
    NoPlace,
    /// The script has said nothing in its time: 504 (RFC 9110 section 15.6.5).
    LateScript,
    /// Nobody could say in time whether its credentials are good: 503.
    LateVerdict,
    /// There is no room where its body was to be kept: 507 (RFC 4918 section 11.5).
    StorageFull,
    /// Our own fault while answering: 500.
    Internal,
}

impl Reject {
    /// The status that tells the peer.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::BadPreface
            | Self::BadRequestLine
            | Self::BadField
            | Self::BadHost
            | Self::BadTarget
            | Self::BadFraming
            | Self::BadChunk => Status::BAD_REQUEST,
            Self::UnknownCoding => Status::NOT_IMPLEMENTED,
            Self::LateHead | Self::LateBody | Self::GaveWay => Status::REQUEST_TIMEOUT,
            Self::BodyTooLarge => Status::CONTENT_TOO_LARGE,
            Self::TargetTooLong => Status::URI_TOO_LONG,
            Self::UnknownExpectation => Status::EXPECTATION_FAILED,
            Self::HeadTooLarge => Status::FIELDS_TOO_LARGE,
            Self::UnknownVersion => Status::VERSION_NOT_SUPPORTED,
            Self::NoPlace | Self::LateVerdict => Status::SERVICE_UNAVAILABLE,
            Self::LateScript => Status::GATEWAY_TIMEOUT,
            Self::StorageFull => Status::INSUFFICIENT_STORAGE,
            Self::Internal => Status::INTERNAL_SERVER_ERROR,
        }
    }

    /// The seconds after which the same request may do better, for Retry-After.
    #[must_use]
    pub const fn retry_after_s(self) -> Option<u64> {
        match self.status() {
            Status::SERVICE_UNAVAILABLE => Some(RETRY_AFTER_S),
            _ => None,
        }
    }
}

/// Declares [`CloseReason`] with its names in one place, so that counters, logs and docs agree.
macro_rules! close_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// How a connection ended. Exactly one per connection, counted in `report`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum CloseReason { $($(#[$doc])* $variant,)* }

        impl CloseReason {
            /// Every reason, in the order of the counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            /// The name in counters, logs and docs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

close_reasons! {
    /// The peer closed its side and everything we sent is acknowledged.
    PeerFin = "peer-fin",
    /// The declared rest of the body was read off, nothing else was queued, all is acknowledged.
    Drained = "drained",
    /// The request was consumed whole, and our FIN and everything before it is acknowledged.
    Acked = "acked",
    /// The peer was silent, or trickled below the floor, for one idle period of the goodbye.
    LingerIdle = "linger-idle",
    /// The goodbye lasted its total time.
    LingerTotal = "linger-total",
    /// The peer sent more than the goodbye reads off.
    LingerBytes = "linger-bytes",
    /// The client that a proxy named in its preface has its share of connections already.
    ShareSpent = "share-spent",
    /// Its slot was needed for a new connection.
    Evicted = "evicted",
    /// The peer reset the connection, or a send failed.
    ResetByPeer = "reset-by-peer",
    /// The response made no progress for the write deadline.
    TimeoutWrite = "timeout-write",
    /// The file became shorter while it was sent, or could not be read on: the reply cannot be
    /// completed.
    FileShrank = "file-shrank",
    /// The stop deadline passed, or a second stop was asked for.
    Stopped = "stopped",
    /// Plain flavour: closed after the last response without a goodbye.
    Plain = "plain",
    /// A fault of ours; also counted under [`Misuse`].
    Fault = "fault",
}

/// A fault of ours: a debug assertion, and in release a counter and a closed connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misuse {
    /// An event met a state that has no row for it.
    NoTransition,
    /// A reply did not fit an empty output half: the limits contradict each other.
    ReplyOverflow,
    /// The shell reported more bytes than it was offered.
    Overrun,
    /// A piece of an answer that was none, or their sum is not the length that was declared.
    WrongPiece,
}
