//! How much one peer may have of our memory, and how long of our time.

use std::time::Duration;

/// What is allowed to the peer of a connection.
///
/// One for all connections of a server, passed to each call: a connection keeps no copy. Sizes are
/// in bytes.
///
/// ```
/// use ferrio_http::Limits;
///
/// let limits = Limits { body: Some(1 << 20), ..Limits::default() };
/// assert_eq!(limits.head, 64 * 1024);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The request line, without its end: 8 KiB. Beyond it, 414.
    pub request_line: usize,
    /// The whole head, the empty line included: 64 KiB. Beyond it, 431. A caller holds up to so many
    /// bytes that are not used yet.
    pub head: usize,
    /// Fields of a head: 100. Beyond it, 431.
    pub fields: usize,
    /// Empty lines before a request line: 4. Beyond it, 400.
    pub empty_lines: u8,
    /// A request's body: any. Beyond it, 413.
    pub body: Option<u64>,
    /// The extensions of one chunk: 256 bytes. Beyond it, 400.
    pub chunk_extension: usize,
    /// The extensions of all chunks of a body: 16 KiB. Beyond it, 400.
    pub chunk_extensions: usize,
    /// All trailer fields, the empty line included: 8 KiB. Beyond it, 431. Bytes that are not used
    /// yet, as with a head.
    pub trailers: usize,
    /// Trailer fields: 64, and no more than that. Beyond it, 431.
    pub trailer_fields: usize,
    /// Bytes of later requests that are read before the present one is answered: 64 KiB.
    pub read_ahead: usize,
    /// What is read and dropped of a body that nobody wants, for the connection's sake: 64 KiB.
    /// Beyond it, the connection is closed.
    pub dropped_body: u64,

    /// From its first byte, or from the start of the connection, until a head is whole: 10 s.
    /// Beyond it, 408.
    pub head_time: Duration,
    /// Between one answer and the next request: 5 s, as uvicorn has it. Then the connection is
    /// closed.
    pub keep_alive: Duration,
    /// From a head's first byte until the answer is complete: for ever. Beyond it, 408.
    pub request_time: Option<Duration>,
    /// Bytes of a body that have to come each second, once [`body_grace`](Self::body_grace) has
    /// passed: 256. Below it, 408; 0 is no minimum.
    pub body_rate: u64,
    /// How long a body may be slower than that: 10 s.
    pub body_grace: Duration,
    /// How long the peer may take nothing of an answer: 60 s. Then the connection is aborted.
    pub stall: Duration,
    /// How long is read and dropped before a connection is closed on a peer that may still send, so
    /// that it gets to read the answer: 1 s.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line: 8 * 1024,
            head: 64 * 1024,
            fields: 100,
            empty_lines: 4,
            body: None,
            chunk_extension: 256,
            chunk_extensions: 16 * 1024,
            trailers: 8 * 1024,
            trailer_fields: 64,
            read_ahead: 64 * 1024,
            dropped_body: 64 * 1024,
            head_time: Duration::from_secs(10),
            keep_alive: Duration::from_secs(5),
            request_time: None,
            body_rate: 256,
            body_grace: Duration::from_secs(10),
            stall: Duration::from_secs(60),
            linger: Duration::from_secs(1),
        }
    }
}
