//! HTTP/1.1 (RFC 9112), and 1.0.

mod chunked;
mod encode;
mod faults;
mod framing;
mod head;
mod known;
mod refusal;
mod server;

pub use chunked::{Chunk, Chunked, Trailers, end_chunk, last_chunk, start_chunk};
pub use encode::{Piece, Response, SendError, reason_phrase};
pub use framing::{Coding, Framing, Length};
pub use head::{Field, Head, Scan, Upgrade, Version};
pub use known::Known;
pub use refusal::Reason;
pub use server::{Closing, Ended, Eof, Event, Expiry, Server, Step};
