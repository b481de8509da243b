//! How far a TLS connection has come (Lib/asyncio/sslproto.py, `SSLProtocolState` and
//! `AppProtocolState`).
//!
//! ```text
//!   Unwrapped ──> DoHandshake ──> Wrapped ──> Flushing ──> Shutdown
//!       ^              │             │            │           │
//!       └──────────────┴─────────────┴────────────┴───────────┘  failed, aborted or lost
//! ```

use pyo3::PyErr;
use pyo3::exceptions::PyRuntimeError;

use crate::error::WithText;

/// The connection as the transport below sees it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not begun, or over.
    Unwrapped,
    DoHandshake,
    Wrapped,
    /// The end has begun: what was received before is still read.
    Flushing,
    /// Nothing is read or written; the peer's close_notify is awaited.
    Shutdown,
}

/// What the protocol above has been told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    Nothing,
    Made,
    Eof,
    Lost,
}

impl Phase {
    /// `_set_state`.
    ///
    /// # Errors
    /// RuntimeError for a step that the drawing does not have: a callback ended the connection
    /// inside the call that was to take it further.
    pub(crate) fn step(&mut self, next: Phase) -> Result<(), PyErr> {
        let is_allowed = matches!(
            (*self, next),
            (_, Phase::Unwrapped)
                | (Phase::Unwrapped, Phase::DoHandshake)
                | (Phase::DoHandshake, Phase::Wrapped)
                | (Phase::Wrapped, Phase::Flushing)
                | (Phase::Flushing, Phase::Shutdown)
        );
        if !is_allowed {
            return Err(PyRuntimeError::with_text(format!(
                "cannot switch state from SSLProtocolState.{} to SSLProtocolState.{}",
                self.name(),
                next.name()
            )));
        }
        *self = next;
        Ok(())
    }

    /// asyncio's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Phase::Unwrapped => "UNWRAPPED",
            Phase::DoHandshake => "DO_HANDSHAKE",
            Phase::Wrapped => "WRAPPED",
            Phase::Flushing => "FLUSHING",
            Phase::Shutdown => "SHUTDOWN",
        }
    }

    /// Whether the end has begun, or nothing else.
    pub(crate) fn is_ending(self) -> bool {
        match self {
            Phase::Unwrapped | Phase::Flushing | Phase::Shutdown => true,
            Phase::DoHandshake | Phase::Wrapped => false,
        }
    }
}
