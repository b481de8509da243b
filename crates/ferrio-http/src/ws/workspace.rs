//! Memory that connections use one after another.

use std::fmt;

use super::deflate::Spare;
use super::frame::MAX_CONTROL;

/// One for all connections of a thread: a connection that waits holds no buffer, and a message takes
/// no memory of its own.
#[derive(Default)]
pub struct Workspace {
    /// The message that was handed out last.
    pub(super) message: Vec<u8>,
    pub(super) control: Control,
    /// Unmasked, not inflated; or deflated, not masked.
    pub(super) scratch: Vec<u8>,
    pub(super) spare: Spare,
}

impl Workspace {
    /// Lets go of what was handed out.
    pub(super) fn clear(&mut self) {
        self.control.len = 0;
        for buffer in [&mut self.message, &mut self.scratch] {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            } else {
                buffer.clear();
            }
        }
    }
}

/// Larger buffers are given back.
const KEPT: usize = 256 * 1024;

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workspace")
            .field("message", &self.message.capacity())
            .field("scratch", &self.scratch.capacity())
            .finish_non_exhaustive()
    }
}

/// The payload of a control frame.
#[derive(Copy, Clone)]
pub(super) struct Control {
    bytes: [u8; MAX_CONTROL],
    len: u8,
}

impl Default for Control {
    fn default() -> Self {
        Self { bytes: [0; MAX_CONTROL], len: 0 }
    }
}

impl Control {
    /// A payload that a header was checked for, so it fits.
    pub(super) fn set(&mut self, payload: &[u8]) -> &mut [u8] {
        self.len = payload.len() as u8;
        let bytes = &mut self.bytes[..payload.len()];
        bytes.copy_from_slice(payload);
        bytes
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
