//! Every number of the heart with its unit and its origin, and the assertions between them.
//!
//! Owns the defaults and the bounds; `config` makes keys of them and checks them with
//! [`Limits::contradiction`]. It must not know where a value comes from. The origins named here are
//! explained in `docs/limits.md`.

/// The limits in force for every connection. Units stand last in the names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request target, bytes; above: 414.
    pub target_bytes: u16,
    /// Most field lines in a head; above: 431.
    pub fields: u16,
    /// Longest request body that is read off to keep a connection, bytes; above: 413 or a goodbye.
    pub body_bytes: u64,
    /// From the first byte of a head to its end; above: 408.
    pub head_ms: u32,
    /// From a whole head to the verdict on its credentials; above: 503.
    pub verdict_ms: u32,
    /// From a whole head to a place for its script; above: 503.
    pub queue_ms: u32,
    /// From the end of a request to the first word of its script; above: 504.
    pub first_byte_ms: u32,
    /// From the first byte of a body to its end; above: 408.
    pub body_ms: u32,
    /// From the first byte of a body that is kept to its end; above: 408.
    pub upload_ms: u32,
    /// A body slower than this over one `body_window_ms` is late: 408. Bytes.
    pub body_window_bytes: u32,
    /// The window of the minimum rate of bodies.
    pub body_window_ms: u32,
    /// A response of which nothing was acknowledged for so long is stuck.
    pub write_ms: u32,
    /// Keep connections alive after a response.
    pub keepalive: bool,
    /// An idle kept connection is closed after this.
    pub keepalive_idle_ms: u32,
    /// Most requests on one connection.
    pub keepalive_requests: u16,
    /// Prefixes of User-Agents that are never kept alive.
    pub keepalive_off_agents: Vec<Vec<u8>>,
    /// Linger: a peer that sends and acknowledges less than [`LINGER_FLOOR_BYTES`] for so long is
    /// idle.
    pub linger_idle_ms: u32,
    /// Linger: the longest goodbye.
    pub linger_total_ms: u32,
    /// Linger: the most bytes read off in one goodbye.
    pub linger_bytes: u64,
    /// What SO_LINGER is set to before close in the `so-linger` flavour, seconds.
    pub so_linger_s: u16,
    /// Most time that the kernel sends on for a connection that nobody owns any more: its last
    /// bytes, or our FIN alone (TCP_USER_TIMEOUT).
    pub orphan_ms: u32,
    /// A stopping server ends every connection after this.
    pub stop_ms: u32,
    /// A server that has a successor ends every connection after this.
    pub handover_ms: u32,
}

/// In the time after which a response without progress is stuck, progress is looked for so often:
/// the end comes at most a quarter late.
pub const WRITE_LOOKS: u32 = 4;
/// While the next piece of an answer is to be made, it is not the client that is late: we are, for
/// want of a buffer or of the shelf. After so many times the same time it is cut nevertheless.
pub const PIECE_WAITS: u32 = 8;
/// Less than this in one idle period counts as idle: a peer that trickles one byte per half second
/// keeps nginx and Apache busy for 30 s.
pub const LINGER_FLOOR_BYTES: u64 = 1024;
/// A goodbye never reads further than the declared rest of the body plus this: pipelined requests
/// behind the body are read off as well, an endless stream is not.
pub const LINGER_SLACK_BYTES: u64 = 64 * 1024;
/// The most field lines a head may have under any configuration: the array stands on the stack.
pub const FIELDS_MAX: usize = 100;
/// What a status line and the fields adieu writes need at most, the target echoed in Location
/// apart.
pub const REPLY_ROOM_BYTES: usize = 1024;
/// Chunk extensions and the size line together, bytes; above: 400. Extensions are read and ignored.
pub const CHUNK_LINE_BYTES: u16 = 256;
/// Trailer section of a chunked body, bytes; above: 431.
pub const TRAILER_BYTES: u16 = 4096;
/// Longest method; every registered one is shorter (RFC 9110 section 16.1).
pub const METHOD_BYTES: usize = 32;
/// Blank lines before a request line that are skipped (RFC 9112 section 2.2), bytes.
pub const LEADING_BLANK_BYTES: u16 = 4;

impl Limits {
    /// The defaults; the reason of each is beside it.
    #[must_use]
    pub fn new() -> Self {
        Self {
            target_bytes: 4096,      // half a buffer; browsers stay below 2 KiB
            fields: 100,             // Apache's LimitRequestFields, uhttpd's limit
            body_bytes: 64 * 1024,   // worth reading off on a slow link instead of a new handshake
            head_ms: 10_000,         // shortest of the peers' 10 to 60 s: a head is one packet
            verdict_ms: 10_000,      // eight hashes of a second each on a slow device
            queue_ms: 30_000,        // what a person waits for a page
            first_byte_ms: 60_000,   // uhttpd's script_timeout
            body_ms: 60_000,         // 64 KiB at 10 kbit/s
            upload_ms: 3_600_000,    // 4 GiB at 10 Mbit/s; the minimum rate ends the rest
            body_window_bytes: 1024, // the floor of the goodbye, applied to bodies
            body_window_ms: 10_000,
            write_ms: 30_000, // a zero window for 30 s is a stuck client
            keepalive: true,
            keepalive_idle_ms: 15_000, // between lighttpd's 5 s and uhttpd's 20 s
            keepalive_requests: 1000,  // lighttpd's and nginx's
            keepalive_off_agents: vec![b"Mozilla/2".to_vec()], // Apache's BrowserMatch nokeepalive
            linger_idle_ms: 2_000,     // survives RTO 0.2 + 0.4 + 0.8 s; Apache's 2 s
            linger_total_ms: 30_000,   // Apache's and nginx's
            linger_bytes: 64 * 1024 * 1024, // a firmware image
            so_linger_s: 2,            // as long as an idle period
            orphan_ms: 30_000,         // as long as the longest goodbye
            stop_ms: 10_000,           // below the 10 to 90 s in which init systems send SIGKILL
            handover_ms: 300_000,      // nobody waits for the end: a firmware image at 2 Mbit/s
        }
    }

    /// The first contradiction between two limits: the names of the two and what must hold.
    #[must_use]
    pub fn contradiction(&self, buffer_bytes: usize) -> Option<&'static str> {
        if self.linger_idle_ms > self.linger_total_ms {
            return Some("linger.idle_ms must not exceed linger.total_ms");
        }
        if usize::from(self.target_bytes) + REPLY_ROOM_BYTES > buffer_bytes {
            return Some("limits.target_bytes + 1024 must not exceed memory.buffer_bytes");
        }
        None
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

const _: () = assert!(LINGER_FLOOR_BYTES < LINGER_SLACK_BYTES);
const _: () = assert!(FIELDS_MAX <= 128, "the parsed head stands on the stack");
