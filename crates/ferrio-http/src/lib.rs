//! HTTP/1.1 and WebSocket as state machines: bytes in, bytes out.
//!
//! Nothing here makes a system call, has a clock, or knows Python. Whoever has a connection, over
//! TLS or not, gives the bytes that came and the time, and gets requests; it says what the answer
//! is, and gets bytes to send. So the same code runs on a socket, in a fuzzer, and in tests in
//! virtual time.
//!
//! # A server's connection
//!
//! [`h1::Server`] is one connection. It reads out of the caller's buffer and writes into the
//! caller's; a [`h1::Head`] is ranges in the former, and is used for one request after another, so a
//! request takes no memory of its own. Times are a [`Duration`](std::time::Duration) since a
//! beginning of the caller's choice, which stays the same.
//!
//! ```
//! use std::time::Duration;
//! use ferrio_http::h1::{Event, Head, Server};
//! use ferrio_http::{Date, Limits};
//!
//! let limits = Limits::default();
//! let (start, later) = (Duration::ZERO, Duration::from_millis(3));
//! let mut connection = Server::new(start);
//! let mut head = Head::default();
//! let mut out = Vec::new();
//!
//! let input = b"GET /hello?to=all HTTP/1.1\r\nHost: example.org\r\n\r\n";
//! let step = connection.receive(input, &mut head, &limits, later);
//! assert_eq!(step.event, Event::Request);
//! assert_eq!(step.used, input.len());
//! assert_eq!(head.path(input), b"/hello");
//!
//! let date = Date::at(1_000_000_000);
//! let response = connection.response();
//! response.start(&mut out, 200)?;
//! response.field(&mut out, b"content-type", b"text/plain")?;
//! response.body(&mut out, b"Hello, all.", false, &date)?;
//! connection.conclude(&limits, later);
//! assert!(out.starts_with(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"));
//! assert!(out.ends_with(b"\r\n\r\nHello, all."));
//! # Ok::<(), ferrio_http::h1::SendError>(())
//! ```
//!
//! # Where what lives
//!
//! | file | noun |
//! |---|---|
//! | `h1/server.rs` | [`h1::Server`]: one connection, from request to request |
//! | `h1/head.rs` | [`h1::Head`]: a request's line and fields, as ranges |
//! | `h1/known.rs` | [`h1::Known`]: a head that has come before |
//! | `h1/framing.rs` | [`h1::Framing`]: where a request's body ends |
//! | `h1/chunked.rs` | the chunked coding, both ways |
//! | `h1/encode.rs` | [`h1::Response`]: an answer's bytes |
//! | `h1/refusal.rs` | [`h1::Reason`]: why a request is refused, with its status |
//! | `limits.rs` | [`Limits`]: how much and how long |
//! | `target.rs` | [`Target`]: what a request line asks for; percent-encoding |
//! | `ws/` | [`ws`]: frames, messages, compression, the handshake, a connection |
//! | `date.rs` | [`Date`]: the time of day as HTTP writes it |

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod bytes;
mod date;
pub mod h1;
mod limits;
mod target;
pub mod ws;

pub use date::Date;
pub use limits::Limits;
pub use target::{Form, Span, Target, TargetError, decode_percent, is_authority};
