//! WebSocket (RFC 6455) with compression (RFC 7692): bytes in, bytes out.
//!
//! The opening handshake is [`Request`] for a server and [`Client`] for a client, on heads that were
//! parsed before. From then on a [`Connection`] takes what comes and says what it is.
//!
//! ```
//! use std::time::Duration;
//! use ferrio_http::ws::{Connection, Event, Kind, Limits, Role, Workspace};
//!
//! let limits = Limits::default();
//! let now = Duration::ZERO;
//! // One workspace serves all connections of a thread.
//! let mut workspace = Workspace::default();
//! let mut connection = Connection::new(Role::Server, None, now);
//! let mut out = Vec::new();
//!
//! let mut input = &b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..];
//! let mut said = Vec::new();
//! loop {
//!     let step = connection.receive(input, &mut out, &mut workspace, &limits, now);
//!     input = &input[step.used..];
//!     match step.event {
//!         Event::NeedsMore => break,
//!         Event::Text(text) => said.push(text.to_owned()),
//!         Event::Binary(_) | Event::Ping(_) | Event::Pong(_) => {}
//!         Event::Close(_) | Event::Failed(_) => {}
//!     }
//! }
//! assert_eq!(said, ["Hello"]);
//!
//! connection.send(Kind::Text, b"Hello", &mut out, &mut workspace)?;
//! assert_eq!(out, b"\x81\x05Hello");
//! # Ok::<(), ferrio_http::ws::SendError>(())
//! ```
//!
//! # Memory
//!
//! What came is used as it comes, so the caller keeps nothing. A message that is there as a whole is
//! handed out where it lies, unmasked when it is copied ([`Data`]), or out of the [`Workspace`]; of
//! one that is cut, the connection keeps what has come, unmasked and decompressed, up to
//! [`Limits::message`]. A connection between two messages keeps no buffer, and of compression what
//! the context asks for.
//!
//! # Where what lives
//!
//! | file | noun |
//! |---|---|
//! | `connection.rs` | [`Connection`]: one connection, as server or client |
//! | `frame.rs` | [`Header`]: a frame without its payload |
//! | `mask.rs` | [`Mask`], and a client's [`Keys`] |
//! | `message.rs` | a message that arrives in parts |
//! | `utf8.rs` | text that is checked as it arrives |
//! | `deflate.rs` | permessage-deflate: [what is agreed](Agreed), and the data |
//! | `close.rs` | [`Close`] frames, and how far the end has come |
//! | `keepalive.rs` | pings of our own |
//! | `fault.rs` | [`Fault`]: what a peer does wrong |
//! | `handshake.rs`, `extension.rs` | [`Request`], [`Client`], [`Origins`] |
//! | `limits.rs`, `workspace.rs` | [`Limits`]: how much and how long; [`Workspace`]: shared memory |

mod close;
mod connection;
mod deflate;
mod extension;
mod fault;
mod frame;
mod handshake;
mod keepalive;
mod limits;
mod mask;
mod message;
#[cfg(test)]
mod tests;
mod utf8;
mod workspace;

pub use close::{Close, Closing, MAX_REASON, is_sendable};
pub use connection::{Connection, Data, Eof, Event, Expiry, Role, SendError, Step};
pub use deflate::{Agreed, Config};
pub use fault::Fault;
pub use frame::{Header, MAX_CONTROL, MAX_HEADER, Opcode};
pub use handshake::{Accepted, Client, HandshakeError, Origins, Request, accept_key};
pub use limits::Limits;
pub use mask::{Keys, Mask};
pub use message::Kind;
pub use workspace::Workspace;
