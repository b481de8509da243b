//! Socket calls, none of which blocks. Interrupted ones are repeated: a call that does not wait has
//! nothing to give up.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    self, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown, SocketAddrAny, SocketFlags,
};

use crate::net::Address;

/// A descriptor that somebody else owns and will close, known by its number.
///
/// A binding's sockets belong to objects of the user's language, which may close them at any time.
/// Every call through a closed number answers EBADF, or reaches whatever was opened under it since:
/// so a holder lets go of it when told of the closing, and the registry's generations keep old
/// events from new files. No memory is at stake either way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LentFd(RawFd);

impl LentFd {
    /// The descriptor `fd`; `None` for negative numbers, which no descriptor has.
    #[must_use]
    pub const fn new(fd: RawFd) -> Option<Self> {
        if fd < 0 { None } else { Some(Self(fd)) }
    }
}

impl LentFd {
    /// Turns Nagle's algorithm off (`TCP_NODELAY`, tcp(7)); false if this is no TCP socket.
    #[must_use]
    pub fn set_nodelay(self) -> bool {
        net::sockopt::set_tcp_nodelay(self, true).is_ok()
    }
}

impl AsFd for LentFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the number is not -1, which `new` refuses. That it is open for the whole borrow
        // is only the owner's word; the borrows made here last for one system call each, which
        // works on the number's file or answers EBADF, and on no memory of ours but the buffers
        // given with it.
        unsafe { BorrowedFd::borrow_raw(self.0) }
    }
}

impl AsRawFd for LentFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::recv(fd, &mut *buf, RecvFlags::empty()))?.0)
}

/// The first bytes of `buf`, as many as are returned, have been initialised.
pub(crate) fn recv_uninit(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    Ok(retry_on_intr(|| Ok(net::recv(fd, &mut *buf, RecvFlags::empty())?.0.0.len()))?)
}

pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| net::send(fd, buf, SendFlags::NOSIGNAL))?)
}

pub(crate) fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut no_control = SendAncillaryBuffer::default();
    Ok(retry_on_intr(|| net::sendmsg(fd, bufs, &mut no_control, SendFlags::NOSIGNAL))?)
}

pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    Ok(net::shutdown(fd, Shutdown::Write)?)
}

pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Address), Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (connection, peer) = net::acceptfrom_with(listener, flags)?;
    Ok((connection, peer.map_or(Address::Unnamed, |peer| address(&peer))))
}

fn address(any: &SocketAddrAny) -> Address {
    if let Ok(inet) = std::net::SocketAddr::try_from(any.clone()) {
        return Address::Inet(inet);
    }
    match net::SocketAddrUnix::try_from(any.clone()) {
        Ok(unix) => match (unix.path_bytes(), unix.abstract_name()) {
            (Some(path), _) => Address::Path(path.to_vec()),
            (None, Some(name)) => Address::Abstract(name.to_vec()),
            (None, None) => Address::Unnamed,
        },
        Err(_) => Address::Unnamed,
    }
}
