//! The end of a child process, as a descriptor: no signal handler, no thread.
//!
//! A pidfd names a process for as long as it is open, whatever becomes of its number: it is
//! readable once the process has ended, and it waits for and signals no other.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::sys;

/// A child of this process, started by somebody else.
///
/// Register it for reading, level-triggered; on an event, [`try_wait`](Self::try_wait).
#[derive(Debug)]
pub struct Child {
    pidfd: OwnedFd,
    pid: i32,
}

/// What [`Child::try_wait`] found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It lives.
    Running,
    /// The status given to exit(2).
    Status(i32),
    /// The number of the signal that killed it.
    Signal(i32),
    /// Somebody else has waited for it, or SIGCHLD is ignored: nobody can tell.
    Unknown,
}

impl Child {
    /// The child with this number, which nobody has waited for yet: otherwise the number may be
    /// another's.
    ///
    /// # Errors
    ///
    /// pidfd_open(2): ESRCH if there is none, ENOSYS before Linux 5.3, `Unsupported` on other
    /// systems, EPERM in some containers.
    pub fn open(pid: i32) -> io::Result<Self> {
        Ok(Self { pidfd: sys::pidfd_open(pid)?, pid })
    }

    /// The number.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Has it ended? If so the system forgets it with this call.
    ///
    /// # Errors
    ///
    /// None that could be told of: waitid(2).
    pub fn try_wait(&self) -> io::Result<Exit> {
        sys::wait_for(self.pidfd.as_fd(), self.pid)
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.pidfd.as_raw_fd()
    }
}
