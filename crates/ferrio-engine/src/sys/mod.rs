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

#[cfg(any(target_os = "linux", target_os = "android"))]
mod epoll;
pub(crate) mod faults;
mod names;
mod pipe;
mod portable;
mod process;
mod signal;
mod simulated;
mod socket;

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use faults::Call;

use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};

pub(crate) use names::{gai_message, getaddrinfo, getnameinfo};
pub use pipe::{FileKind, PipeFd};
pub(crate) use process::{pidfd_open, wait_for};
pub(crate) use signal::{Caught, block_signals, pipe, read};
pub use simulated::Simulation;
pub use socket::LentFd;
pub(crate) use socket::{
    accept, bind, connect, is_readable, local_address, recv, recv_marked, recv_marked_uninit,
    recv_uninit, send, send_vectored, shutdown_write, socket, socket_error,
};

#[cfg(test)]
pub(crate) use names::inet_ntop;
#[cfg(test)]
pub(crate) use signal::{raise, write};

/// Which way of waiting for events an engine uses. The default is the platform's best.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum DriverKind {
    /// epoll through its system calls: one for each wait, with timeouts in nanoseconds.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[default]
    Epoll,
    /// The `polling` crate: kqueue on macOS and the BSDs. On Linux for tests.
    #[cfg_attr(not(any(target_os = "linux", target_os = "android")), default)]
    Portable,
}

impl DriverKind {
    /// Those that this system has, the default first.
    pub const ALL: &'static [Self] = &[
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Self::Epoll,
        Self::Portable,
    ];

    /// What a user calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll => "epoll",
            Self::Portable => "portable",
        }
    }

    /// The one with this name; `None` if this system has none.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

#[derive(Debug)]
pub(crate) enum Driver {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Epoll(epoll::Epoll),
    Portable(portable::Portable),
    Simulated(Simulation),
}

/// Calls the same method of whichever driver it is.
macro_rules! delegate {
    ($self:expr, $driver:ident => $call:expr) => {
        match $self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Driver::Epoll($driver) => $call,
            Driver::Portable($driver) => $call,
            Driver::Simulated($driver) => $call,
        }
    };
}

impl Driver {
    pub(crate) fn new(kind: DriverKind) -> io::Result<Self> {
        faults::check_new(Call::CreateDriver)?;
        match kind {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            DriverKind::Epoll => epoll::Epoll::new().map(Self::Epoll),
            DriverKind::Portable => portable::Portable::new().map(Self::Portable),
        }
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        delegate!(self, driver => driver.waker())
    }

    /// The descriptor that is readable while `wait` would not block: for those who have to wait by
    /// other means. `None` where there is none.
    pub(crate) fn fd(&self) -> Option<RawFd> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => Some(epoll.fd()),
            Self::Portable(portable) => Some(portable.fd()),
            Self::Simulated(_) => None,
        }
    }

    pub(crate) fn events(&self) -> Events {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(_) => Events::Epoll(epoll::EpollEvents::new()),
            Self::Portable(_) => Events::Portable(portable::PortableEvents::new()),
            Self::Simulated(_) => Events::Simulated(Vec::new()),
        }
    }

    pub(crate) fn add(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        faults::check(Call::Register, fd)?;
        delegate!(self, driver => driver.add(fd, token, interest, trigger))?;
        #[cfg(feature = "faults")]
        faults::registered(self, fd, token, interest, trigger);
        Ok(())
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        delegate!(self, driver => driver.modify(fd, token, interest, trigger))?;
        #[cfg(feature = "faults")]
        faults::registered(self, fd, token, interest, trigger);
        Ok(())
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        #[cfg(feature = "faults")]
        faults::forget(self, fd);
        delegate!(self, driver => driver.delete(fd))
    }

    /// Replaces whatever was in `events`, which this driver has made. `None` is for ever.
    #[inline]
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> io::Result<usize> {
        #[cfg(feature = "faults")]
        faults::settle(
            self,
            |fd, token, interest, trigger| delegate!(self, driver => driver.modify(fd, token, interest, trigger)),
        );
        match (self, events) {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            (Self::Epoll(driver), Events::Epoll(events)) => driver.wait(events, timeout),
            (Self::Portable(driver), Events::Portable(events)) => driver.wait(events, timeout),
            (Self::Simulated(driver), Events::Simulated(events)) => driver.wait(events, timeout),
            (_, _) => Err(Errno::INVAL.into()),
        }
    }

    /// In the child of a fork: gives up what is shared with the parent and begins anew, without a
    /// registration. Returns what takes this one's place if it cannot stay.
    pub(crate) fn unshare(&self) -> io::Result<Option<Self>> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => epoll.unshare().map(|()| None),
            Self::Portable(portable) => portable.unshared().map(|new| Some(Self::Portable(new))),
            Self::Simulated(_) => Ok(None),
        }
    }

    /// A driver of the same kind, woken by the same waker, that knows no descriptor; `None` if this
    /// kind has no such thing.
    pub(crate) fn renewed(&self) -> Option<io::Result<Self>> {
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(epoll) => Some(epoll.renewed().map(Self::Epoll)),
            Self::Portable(portable) => Some(portable.renewed().map(Self::Portable)),
            Self::Simulated(_) => None,
        }
    }
}

/// What the last `wait` brought.
#[derive(Debug)]
pub(crate) enum Events {
    /// Of an engine that is closed.
    None,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    Epoll(epoll::EpollEvents),
    Portable(portable::PortableEvents),
    Simulated(Vec<(u64, Readiness)>),
}

impl Events {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(events) => events.len(),
            Self::Portable(events) => events.len(),
            Self::Simulated(events) => events.len(),
        }
    }

    /// Token and readiness of one event. The waker's own event, if the driver has one, has a token
    /// of 0.
    #[inline]
    pub(crate) fn at(&self, index: usize) -> Option<(u64, Readiness)> {
        match self {
            Self::None => None,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(events) => events.at(index),
            Self::Portable(events) => events.at(index),
            Self::Simulated(events) => events.get(index).copied(),
        }
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        match self {
            Self::None => {}
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Self::Epoll(events) => events.clear(),
            Self::Portable(events) => events.clear(),
            Self::Simulated(events) => events.clear(),
        }
    }
}

/// A descriptor that its owner vouches for by number. `Err` for numbers that none can have.
fn borrowed<'fd>(fd: RawFd) -> io::Result<BorrowedFd<'fd>> {
    if fd < 0 {
        return Err(Errno::BADF.into());
    }
    // SAFETY: the number is not -1. That it is open for this long cannot be promised: users
    // register descriptors and close them behind our back. The borrow lasts for one epoll_ctl,
    // which reads and writes no memory through it and answers EBADF for a closed number; a reused
    // one is what the registry's generations are for.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Has `number` lead to what `new` leads to, close-on-exec; what it led to before is closed.
fn take_number(new: BorrowedFd<'_>, number: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open descriptors of ours. The one that is replaced is used as a number only,
    // for calls that do not care which of its kind it is.
    if unsafe { libc::dup2(new.as_raw_fd(), number.as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(rustix::io::fcntl_setfd(number, rustix::io::FdFlags::CLOEXEC)?)
}

/// The clock behind [`Instant::now`](crate::Instant::now).
#[cfg(not(target_vendor = "apple"))]
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    use rustix::time::{ClockId, clock_gettime};

    let time = clock_gettime(ClockId::Monotonic);
    // Seconds since boot and a count below 10^9: neither is negative, and the product lasts 584
    // years.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// That of `time.monotonic`, with which programs compare (`Python/pytime.c`): it stands still while
/// the machine sleeps, and CLOCK_MONOTONIC of this system goes on.
#[cfg(target_vendor = "apple")]
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that there is, and a place to write its time to.
    unsafe { libc::clock_gettime(libc::CLOCK_UPTIME_RAW, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_driver_is_found_by_its_name() {
        assert_eq!(DriverKind::ALL.first(), Some(&DriverKind::default()));
        for &kind in DriverKind::ALL {
            assert_eq!(DriverKind::named(kind.name()), Some(kind));
        }
        for name in ["", "Portable", "kqueue"] {
            assert_eq!(DriverKind::named(name), None);
        }
    }
}
