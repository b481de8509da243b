//! Protocols in Rust: what one is, what it writes into, and what drives it.
//!
//! A [`Session`] is one side of one connection as a state machine. It makes no system call, has no
//! clock and knows no socket: bytes come to it, it puts its answers into an [`Outbox`], and says
//! with each return what is to happen [`Next`]. So the same session runs on a socket of the engine's
//! ([`Connection`], [`Server`]), on a transport of a binding's, over TLS, and in tests in virtual
//! time.
//!
//! ```text
//!                 on_start
//!                    │            Next::Read, Next::Pause
//!                    ▼        ┌──────────────────────────────┐
//!   on_data, on_eof, on_writable, on_timer ─────────────────>┘
//!                    │
//!                    │ Next::Close, Next::Abort, or the connection fails
//!                    ▼
//!                 on_end, once
//! ```
//!
//! # When bytes leave
//!
//! What a callback puts into the outbox goes out together when it returns, in one system call.
//! Nobody can tell, as long as nothing but the session has run meanwhile. A session that hands over
//! to somebody else in between (an application that computes) calls [`Outbox::flush`] first: then
//! the kernel has the bytes.
//!
//! # Watermarks, both ways
//!
//! While more than [`Limits::high`](crate::Limits::high) bytes wait to be sent, nothing is read: a
//! peer that asks without listening waits, and fills nobody's memory. [`Session::on_writable`] tells
//! when they have come down to the low mark. The other way a session says [`Next::Pause`], and the
//! kernel's buffers hold the peer.

mod connection;
mod conversation;
mod outbox;
mod server;

use std::fmt;
use std::io;

pub use connection::{Connection, Progress, Workspace};
pub use conversation::Conversation;
pub use outbox::{Outbox, Wire};
pub use server::{Server, Stopper};

use crate::time::Instant;

/// One side of one connection.
///
/// `now` is the time of the turn, for deadlines. No method may block.
///
/// ```
/// use ferrio_engine::Instant;
/// use ferrio_engine::session::{Next, Outbox, Session};
///
/// /// RFC 862.
/// struct Echo;
///
/// impl Session for Echo {
///     fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
///         outbox.send(data);
///         Next::read()
///     }
/// }
/// ```
pub trait Session {
    /// The connection is there. Who speaks first does so here.
    fn on_start(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        let _ = (outbox, now);
        Next::read()
    }

    /// Bytes have come, at least one. They are not offered again: what cannot be used yet is the
    /// session's to keep.
    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, now: Instant) -> Next;

    /// The peer has finished sending, which is told once. It may still listen.
    fn on_eof(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        let _ = (outbox, now);
        Next::close()
    }

    /// What waits to be sent has come down to the low watermark, after it was above the high one.
    fn on_writable(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        let _ = (outbox, now);
        Next::Unchanged
    }

    /// The deadline of the last [`Next`] has passed. It is gone: a new one has to be named.
    fn on_timer(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        let _ = (outbox, now);
        Next::Abort
    }

    /// It is over. Called once, and nothing after it.
    fn on_end(&mut self, end: End) {
        let _ = end;
    }
}

/// What a session wants from here on.
///
/// Each return says it anew, deadline included, so nothing is left over from an earlier state.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// What it wanted before, deadline included.
    Unchanged,
    /// Bytes, if any come; and to be told when `until` has passed.
    Read {
        /// The deadline, if there is one.
        until: Option<Instant>,
    },
    /// No bytes; and to be told when `until` has passed.
    Pause {
        /// The deadline, if there is one.
        until: Option<Instant>,
    },
    /// That the connection be closed once all is sent; nothing is read any more. When `until` has
    /// passed, what was not sent is dropped.
    Close {
        /// The deadline, if there is one.
        until: Option<Instant>,
    },
    /// That the connection be closed now, and what was not sent dropped.
    Abort,
}

impl Next {
    /// Bytes, whenever they come.
    #[must_use]
    pub const fn read() -> Self {
        Self::Read { until: None }
    }

    /// Bytes, up to a deadline.
    #[must_use]
    pub const fn read_until(deadline: Instant) -> Self {
        Self::Read { until: Some(deadline) }
    }

    /// No bytes for now.
    #[must_use]
    pub const fn pause() -> Self {
        Self::Pause { until: None }
    }

    /// The end, once all is sent.
    #[must_use]
    pub const fn close() -> Self {
        Self::Close { until: None }
    }
}

/// How a connection ended.
#[derive(Debug)]
pub enum End {
    /// As the session wished; all was sent.
    Closed,
    /// By [`Next::Abort`], by a deadline, or by the host.
    Aborted,
    /// By an error of the connection: recv(2), send(2), ECONNRESET above all.
    Failed(io::Error),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::Aborted => f.write_str("aborted"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}
