//! Everything that talks to the operating system. Outside this module the crate has no `unsafe` and
//! no platform.
//!
//! A driver, one per way of waiting, provides:
//!
//! - `add`, `modify`, `delete`: tell the kernel which descriptor is wanted, under which token
//!   (never 0), for what. `add` of a number that the kernel still has fails with EEXIST, `modify`
//!   and `delete` of one that it has not with ENOENT, any of one that is not open with EBADF; the
//!   reactor knows what each means.
//! - `wait`: blocks for at most the given time and fills an [`Events`]; never returns before the
//!   time is over without an event, a wake-up or a signal. EINTR is success with no events. May be
//!   called while another thread adds and deletes.
//! - `waker`: something that ends the current or the next `wait`, from any thread.
#![allow(unsafe_code)]

mod epoll;
mod names;
mod signal;
mod socket;

use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};

pub(crate) use epoll::EpollEvents;
pub(crate) use names::{gai_message, getaddrinfo, getnameinfo};
pub(crate) use signal::{Caught, block_signals, pipe, read};
pub use socket::LentFd;
pub(crate) use socket::{
    accept, local_address, recv, recv_uninit, send, send_vectored, shutdown_write,
};

#[cfg(test)]
pub(crate) use names::inet_ntop;
#[cfg(test)]
pub(crate) use signal::{raise, write};

/// Which way of waiting for events an engine uses.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum DriverKind {
    /// epoll through its system calls: one for each wait, with timeouts in nanoseconds.
    #[default]
    Epoll,
}

#[derive(Debug)]
pub(crate) enum Driver {
    Epoll(epoll::Epoll),
}

impl Driver {
    pub(crate) fn new(kind: DriverKind) -> io::Result<Self> {
        match kind {
            DriverKind::Epoll => epoll::Epoll::new().map(Self::Epoll),
        }
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        match self {
            Self::Epoll(epoll) => epoll.waker(),
        }
    }

    pub(crate) fn events(&self) -> Events {
        match self {
            Self::Epoll(_) => Events::Epoll(EpollEvents::new()),
        }
    }

    pub(crate) fn add(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.add(fd, token, interest, trigger),
        }
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.modify(fd, token, interest, trigger),
        }
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        match self {
            Self::Epoll(epoll) => epoll.delete(fd),
        }
    }

    /// Replaces whatever was in `events`. `None` is for ever.
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        match (self, events) {
            (Self::Epoll(epoll), Events::Epoll(events)) => epoll.wait(events, timeout),
            (Self::Epoll(_), Events::None) => Ok(0),
        }
    }

    /// A driver of the same kind, woken by the same waker, that knows no descriptor; `None` if this
    /// kind has no such thing.
    pub(crate) fn renewed(&self) -> Option<io::Result<Self>> {
        match self {
            Self::Epoll(epoll) => Some(epoll.renewed().map(Self::Epoll)),
        }
    }
}

/// What the last `wait` brought.
#[derive(Debug)]
pub(crate) enum Events {
    /// Of an engine that is closed.
    None,
    Epoll(EpollEvents),
}

impl Events {
    pub(crate) fn none() -> Self {
        Self::None
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Epoll(events) => events.len(),
        }
    }

    /// Token and readiness of one event. The waker's own event has a token of 0.
    pub(crate) fn at(&self, index: usize) -> Option<(u64, Readiness)> {
        match self {
            Self::None => None,
            Self::Epoll(events) => events.at(index),
        }
    }

    pub(crate) fn clear(&mut self) {
        match self {
            Self::None => {}
            Self::Epoll(events) => events.clear(),
        }
    }
}

/// The clock behind [`Instant::now`](crate::Instant::now).
pub(crate) fn monotonic_nanos() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // Seconds since boot and a count below 10^9: neither is negative, and the product lasts 584
    // years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
