//! One end of a pipe, or a terminal: read(2) and write(2), neither of which blocks on a descriptor
//! that was made non-blocking.

use std::io::{self, IoSlice};
use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::io::retry_on_intr;

use super::LentFd;
use super::faults::{self, Call};
use crate::transport::Io;

/// A descriptor for which recv(2) and send(2) may not exist. Somebody else's, as [`LentFd`] is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PipeFd(LentFd);

/// What a descriptor leads to.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum FileKind {
    /// A pipe, with a name or without.
    Fifo,
    /// A socket of any family.
    Socket,
    /// A terminal, `/dev/null` and the like.
    CharacterDevice,
    /// A regular file, a directory, a disk: what is always ready.
    Other,
}

impl PipeFd {
    /// The same descriptor.
    #[must_use]
    pub const fn new(fd: LentFd) -> Self {
        Self(fd)
    }

    /// What the descriptor leads to.
    ///
    /// # Errors
    ///
    /// fstat(2): EBADF.
    pub fn kind(self) -> io::Result<FileKind> {
        let mode = rustix::fs::fstat(self.0)?.st_mode;
        Ok(match FileType::from_raw_mode(mode) {
            FileType::Fifo => FileKind::Fifo,
            FileType::Socket => FileKind::Socket,
            FileType::CharacterDevice => FileKind::CharacterDevice,
            _ => FileKind::Other,
        })
    }

    /// Makes the open file non-blocking, for everybody who has it open.
    ///
    /// # Errors
    ///
    /// ioctl(2): EBADF.
    pub fn set_nonblocking(self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(self.0, true)?)
    }

    /// Another descriptor for the same open file, close-on-exec: epoll(7) knows files by both.
    ///
    /// # Errors
    ///
    /// fcntl(2): EBADF, EMFILE.
    pub fn duplicate(self) -> io::Result<OwnedFd> {
        faults::check(Call::Duplicate, self.0)?;
        Ok(rustix::io::fcntl_dupfd_cloexec(self.0, 0)?)
    }
}

impl Io for PipeFd {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            let len = faults::before(Call::Read, self.0, buf.len())?;
            rustix::io::read(self.0, &mut buf[..len])
        })?)
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            let len = faults::before(Call::Write, self.0, buf.len())?;
            rustix::io::write(self.0, &buf[..len])
        })?)
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            let count = faults::before(Call::Write, self.0, bufs.len())?;
            rustix::io::writev(self.0, &bufs[..count])
        })?)
    }

    /// Nothing: a pipe's end is told by closing it.
    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }
}
