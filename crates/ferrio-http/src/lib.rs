//! HTTP/1.1 as a state machine: bytes in, bytes out.
//!
//! Nothing here makes a system call, has a clock, or knows Python. Whoever has a connection, over
//! TLS or not, gives the bytes that came and the time, and gets requests; it says what the answer
//! is, and gets bytes to send. So the same code runs on a socket, in a fuzzer, and in tests in
//! virtual time.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bytes;
mod date;
pub mod h1;
mod limits;
mod target;

pub use date::Date;
pub use limits::Limits;
pub use target::{Form, Span, Target, TargetError, decode_percent, is_authority};
