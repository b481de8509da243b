//! What a session writes into, and what that writes into.

use std::fmt;

/// The sending side of a connection, as an [`Outbox`] sees it: a stream, a TLS channel, a pipe.
///
/// A wire that has failed takes what it is given and drops it; whoever drives the session knows of
/// the failure and ends it.
pub trait Wire {
    /// Takes all of `data`, which is not empty: what the kernel has room for goes out at once, if
    /// nothing waits before it, and the rest is kept.
    fn write(&mut self, data: &[u8]);

    /// As [`write`](Self::write), of bytes that need not be copied to be kept.
    fn write_owned(&mut self, data: Vec<u8>) {
        self.write(&data);
    }

    /// How many bytes are kept.
    fn buffered(&self) -> usize;

    /// Whether more than the high watermark were kept, and have not come down to the low one since.
    fn is_full(&self) -> bool;

    /// Ends the sending side once all is sent.
    fn shutdown(&mut self);
}

/// Where a session puts what it sends. See [the module](super) for when it leaves.
pub struct Outbox<'a> {
    gathered: &'a mut Vec<u8>,
    wire: &'a mut dyn Wire,
    is_shut: bool,
}

impl<'a> Outbox<'a> {
    /// Writes into `wire`. `gathered` is empty and is left so: memory that one outbox after another
    /// uses.
    pub(super) fn new(gathered: &'a mut Vec<u8>, wire: &'a mut dyn Wire) -> Self {
        debug_assert!(gathered.is_empty(), "every outbox is flushed");
        Self { gathered, wire, is_shut: false }
    }

    /// Sends `data` after all that was sent before.
    pub fn send(&mut self, data: &[u8]) {
        if self.is_shut || data.is_empty() {
            return;
        }
        if data.len() >= WORTH_A_CALL {
            self.flush();
            self.wire.write(data);
        } else {
            self.gathered.extend_from_slice(data);
            if self.gathered.len() >= WORTH_A_CALL {
                self.flush();
            }
        }
    }

    /// As [`send`](Self::send): what the kernel has no room for is not copied.
    pub fn send_owned(&mut self, data: Vec<u8>) {
        if data.len() < WORTH_A_CALL {
            self.send(&data);
        } else if !self.is_shut {
            self.flush();
            self.wire.write_owned(data);
        }
    }

    /// Gives the kernel what was sent so far, as far as it has room.
    pub fn flush(&mut self) {
        if !self.gathered.is_empty() {
            self.wire.write(self.gathered);
            self.gathered.clear();
        }
    }

    /// Ends the sending side once all is sent: the peer sees the end, and may go on sending. What is
    /// sent after it is dropped.
    pub fn shutdown(&mut self) {
        if !self.is_shut {
            self.flush();
            self.is_shut = true;
            self.wire.shutdown();
        }
    }

    /// How many bytes the kernel has not taken.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.gathered.len() + self.wire.buffered()
    }

    /// Whether a session that produces should wait for
    /// [`on_writable`](super::Session::on_writable).
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.wire.is_full()
    }
}

/// Bytes from which on a system call of their own costs less than copying them to spare it.
const WORTH_A_CALL: usize = 32 * 1024;

impl fmt::Debug for Outbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").field("buffered", &self.buffered()).finish_non_exhaustive()
    }
}
