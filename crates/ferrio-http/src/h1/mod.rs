//! HTTP/1.1 (RFC 9112), and 1.0.

mod faults;
mod framing;
mod head;
mod refusal;

pub use framing::{Coding, Framing, Length};
pub use head::{Field, Head, Scan, Upgrade, Version};
pub use refusal::Reason;
