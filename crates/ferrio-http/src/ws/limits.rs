//! How much one peer may have of our memory, and how long of our time.

use std::time::Duration;

/// What is allowed to the peer of a connection.
///
/// One for all connections, passed to each call: a connection keeps no copy.
///
/// ```
/// use ferrio_http::ws::Limits;
///
/// let limits = Limits { message: 1 << 20, ..Limits::default() };
/// assert_eq!(limits.close_timeout.as_secs(), 10);
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of a message, decompressed: 16 MiB. Beyond it, 1009.
    pub message: usize,
    /// From one ping of ours to the next: 20 s. None sends none.
    pub ping_interval: Option<Duration>,
    /// How long the peer may be silent after such a ping: 20 s. Beyond it, 1011. None waits for
    /// ever.
    pub ping_timeout: Option<Duration>,
    /// How long the peer is waited for once the connection is closing: 10 s. Then it is aborted.
    pub close_timeout: Duration,
    /// How long is read and dropped after a fault, so that the peer gets to read why: 1 s.
    pub linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 * 1024 * 1024,
            ping_interval: Some(Duration::from_secs(20)),
            ping_timeout: Some(Duration::from_secs(20)),
            close_timeout: Duration::from_secs(10),
            linger: Duration::from_secs(1),
        }
    }
}
