//! A simulated kernel under one connected socket, for the targets that drive streams.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use ferrio_engine::{Io, Readiness, StreamKind};

use crate::input::Input;

/// A socket with so much room to send, a peer that sends what the history says, and one pending
/// event at most, as an edge-triggered kernel has.
#[derive(Default)]
pub(crate) struct Kernel {
    pub(crate) room: Cell<usize>,
    pub(crate) sent: RefCell<Vec<u8>>,
    pub(crate) arrived: RefCell<VecDeque<u8>>,
    /// Takes or gives no more than so much in one call, whatever there is.
    pub(crate) step: Cell<usize>,
    pub(crate) is_tcp: bool,
    pub(crate) is_finished: Cell<bool>,
    pub(crate) is_reset: Cell<bool>,
    pub(crate) is_shut: Cell<bool>,
    pub(crate) has_event: Cell<bool>,
}

impl Kernel {
    /// Of either kind of socket, with some room.
    pub(crate) fn new(input: &mut Input<'_>) -> Self {
        let kernel = Self { is_tcp: input.flag(), ..Self::default() };
        kernel.room.set(input.size());
        kernel.step.set(1 + input.below(8));
        kernel
    }

    pub(crate) const fn kind(&self) -> StreamKind {
        if self.is_tcp { StreamKind::Tcp } else { StreamKind::Other }
    }

    /// What an event reports, when it is taken.
    pub(crate) fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::NONE;
        if !self.arrived.borrow().is_empty() || self.is_finished.get() {
            readiness |= Readiness::READABLE;
        }
        if self.is_finished.get() {
            readiness |= Readiness::READ_CLOSED;
        }
        if self.room.get() > 0 {
            readiness |= Readiness::WRITABLE;
        }
        if self.is_reset.get() {
            readiness |= Readiness::ERROR | Readiness::HANGUP;
        }
        readiness
    }
}

impl Io for &Kernel {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        assert!(!buf.is_empty());
        if self.is_reset.get() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let mut arrived = self.arrived.borrow_mut();
        if arrived.is_empty() {
            let end = if self.is_finished.get() { Ok(0) } else { Err(would_block()) };
            return end;
        }
        let mut count = buf.len().min(arrived.len());
        if !self.is_tcp {
            // Stops at the edge of a message.
            count = count.min(self.step.get().max(1));
        }
        for (target, byte) in buf.iter_mut().zip(arrived.drain(..count)) {
            *target = byte;
        }
        Ok(count)
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        self.send_vectored(&[IoSlice::new(buf)])
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(!self.is_shut.get(), "sent after shutdown");
        if self.is_reset.get() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let offered: Vec<u8> = bufs.iter().flat_map(|buf| buf.iter().copied()).collect();
        assert!(!offered.is_empty() && bufs.iter().all(|buf| !buf.is_empty()));
        let count = offered.len().min(self.room.get());
        if count == 0 {
            return Err(would_block());
        }
        self.room.set(self.room.get() - count);
        self.sent.borrow_mut().extend_from_slice(&offered[..count]);
        Ok(count)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        assert!(!self.is_shut.replace(true), "shut down twice");
        if self.is_reset.get() { Err(io::ErrorKind::NotConnected.into()) } else { Ok(()) }
    }
}

fn would_block() -> io::Error {
    io::ErrorKind::WouldBlock.into()
}
