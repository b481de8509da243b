//! Socket calls, none of which blocks: where a flag can say so (`MSG_DONTWAIT`), not even on a
//! blocking socket. Interrupted ones are repeated: a call that does not wait has nothing to give
//! up.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    self, AddressFamily, Protocol, RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown,
    SocketAddrAny, SocketType,
};

use super::faults::{self, Call};
use crate::net::Address;
use crate::transport::StreamKind;

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

    /// What a [`Stream`](crate::Stream) over this socket has to know of it.
    #[must_use]
    pub fn stream_kind(self) -> StreamKind {
        if net::sockopt::tcp_nodelay(self).is_ok() {
            return StreamKind::Tcp;
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if net::sockopt::socket_domain(self) == Ok(AddressFamily::UNIX)
            && net::sockopt::socket_type(self) == Ok(SocketType::STREAM)
        {
            return StreamKind::Unix;
        }
        StreamKind::Other
    }

    /// Receives a datagram, or what a stream has, into `buf`, and says from whom; `None` where the
    /// kernel says nothing (connected streams, Unix sockets without a name). For sockets of IP and
    /// Unix families: others have addresses that [`Address`] cannot tell.
    ///
    /// # Errors
    ///
    /// recvfrom(2); `WouldBlock` where it would wait.
    pub fn recv_from(self, buf: &mut [u8]) -> io::Result<(usize, Option<Address>)> {
        let (count, _, from) = retry_on_intr(|| {
            faults::check(Call::RecvFrom, self)?;
            net::recvfrom(self, &mut *buf, RecvFlags::DONTWAIT)
        })?;
        Ok((count, from.map(|from| address(&from))))
    }

    /// Sends a datagram, whole or not at all.
    ///
    /// # Errors
    ///
    /// sendto(2); `WouldBlock` where it would wait.
    pub fn send_to(self, buf: &[u8], to: SocketAddr) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            faults::check(Call::SendTo, self)?;
            net::sendto(self, buf, SEND_FLAGS, &to)
        })?)
    }

    /// Begins to connect a non-blocking socket.
    ///
    /// # Errors
    ///
    /// connect(2); `WouldBlock` if the connection is under way and [`connected`](Self::connected)
    /// is to be asked once the socket is writable.
    pub fn connect(self, to: SocketAddr) -> io::Result<()> {
        if connect(self.as_fd(), to)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    /// What became of a connection under way.
    ///
    /// # Errors
    ///
    /// What it failed with; `WouldBlock` if it is not decided yet, which an event that was meant
    /// for an earlier use of the socket can make one ask.
    pub fn connected(self) -> io::Result<()> {
        socket_error(self.as_fd())?;
        let mut fds = [PollFd::new(&self, PollFlags::OUT)];
        let polled = retry_on_intr(|| {
            faults::check(Call::Poll, self)?;
            poll(&mut fds, Some(&Timespec::default()))
        });
        match polled? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Accepts a connection: non-blocking, close-on-exec, and the caller's to close. Blocks on a
    /// blocking socket.
    ///
    /// # Errors
    ///
    /// accept(2), as it comes; [`Listener`](crate::Listener) knows what to make of them.
    pub fn accept(self) -> io::Result<(OwnedFd, Address)> {
        Ok(retry_on_intr(|| accept(self.as_fd()))?)
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

#[inline]
pub(crate) fn recv(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<usize> {
    let (count, _) = retry_on_intr(|| {
        let len = faults::before(Call::Recv, fd, buf.len())?;
        net::recv(fd, &mut buf[..len], RecvFlags::DONTWAIT)
    })?;
    Ok(count)
}

/// The first bytes of `buf`, as many as are returned, have been initialised.
#[inline]
pub(crate) fn recv_uninit(fd: BorrowedFd<'_>, buf: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    Ok(retry_on_intr(|| {
        let len = faults::before(Call::Recv, fd, buf.len())?;
        let ((received, _), _) = net::recv(fd, &mut buf[..len], RecvFlags::DONTWAIT)?;
        Ok(received.len())
    })?)
}

/// As [`recv`]; says also whether something that no room was offered for, descriptors or
/// credentials, has come with the bytes: then the call may have stopped behind them.
#[inline]
pub(crate) fn recv_marked(fd: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    // SAFETY: the slice is memory to write to, for the time of the call.
    unsafe { recv_marked_at(fd, buf.as_mut_ptr(), buf.len()) }
}

/// As [`recv_uninit`] and [`recv_marked`].
#[inline]
pub(crate) fn recv_marked_uninit(
    fd: BorrowedFd<'_>,
    buf: &mut [MaybeUninit<u8>],
) -> io::Result<(usize, bool)> {
    // SAFETY: as above; the kernel does not read what is there.
    unsafe { recv_marked_at(fd, buf.as_mut_ptr().cast(), buf.len()) }
}

/// # Safety
///
/// `start` is the start of `len` bytes that may be written to.
unsafe fn recv_marked_at(
    fd: BorrowedFd<'_>,
    start: *mut u8,
    len: usize,
) -> io::Result<(usize, bool)> {
    let mut part = libc::iovec { iov_base: start.cast(), iov_len: len };
    // SAFETY: of this struct all may be zero: no name, no parts, no room for control messages.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iovlen = 1;
    let count = retry_on_intr(|| {
        part.iov_len = faults::before(Call::Recv, fd, len)?;
        header.msg_iov = &raw mut part;
        // SAFETY: the descriptor is open for the time of the call; the header's one part is the
        // memory that the caller answers for.
        let count = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
        usize::try_from(count)
            .map_err(|_| Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL))
    })?;
    Ok((count, header.msg_flags & libc::MSG_CTRUNC != 0))
}

#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, buf: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| {
        let len = faults::before(Call::Send, fd, buf.len())?;
        net::send(fd, &buf[..len], SEND_FLAGS)
    })?)
}

#[inline]
pub(crate) fn send_vectored(fd: BorrowedFd<'_>, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut no_control = SendAncillaryBuffer::default();
    Ok(retry_on_intr(|| {
        // A call cut short sends some of the buffers whole.
        let count = faults::before(Call::Send, fd, bufs.len())?;
        net::sendmsg(fd, &bufs[..count], &mut no_control, SEND_FLAGS)
    })?)
}

pub(crate) fn shutdown_write(fd: BorrowedFd<'_>) -> io::Result<()> {
    faults::check(Call::Shutdown, fd)?;
    Ok(net::shutdown(fd, Shutdown::Write)?)
}

/// Whether a call that reads from the socket would not wait. What cannot be found out is for that
/// call to tell.
pub(crate) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    let polled = retry_on_intr(|| {
        faults::check(Call::Poll, fd)?;
        poll(&mut fds, Some(&Timespec::default()))
    });
    polled != Ok(0)
}

/// The connection is non-blocking and close-on-exec from the start.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Address), Errno> {
    faults::check(Call::Accept, listener)?;
    let flags = net::SocketFlags::CLOEXEC | net::SocketFlags::NONBLOCK;
    let (connection, peer) = net::acceptfrom_with(listener, flags)?;
    Ok((connection, peer.map_or(Address::Unnamed, |peer| address(&peer))))
}

/// Without accept4(2) a child that is forked at the wrong moment inherits the connection.
#[cfg(target_vendor = "apple")]
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Address), Errno> {
    faults::check(Call::Accept, listener)?;
    let (connection, peer) = net::acceptfrom(listener)?;
    rustix::io::fcntl_setfd(&connection, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&connection, true)?;
    // EINVAL if the peer is gone already, which is for the connection's user to find out.
    let _ = net::sockopt::set_socket_nosigpipe(&connection, true);
    Ok((connection, peer.map_or(Address::Unnamed, |peer| address(&peer))))
}

pub(crate) fn local_address(socket: BorrowedFd<'_>) -> io::Result<Address> {
    Ok(address(&net::getsockname(socket)?))
}

/// Non-blocking, close-on-exec. The numbers are the system's own.
pub(crate) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    faults::check_new(Call::Socket)?;
    let family = u16::try_from(family).map_err(|_| Errno::AFNOSUPPORT)?;
    let kind = u32::try_from(kind).map_err(|_| Errno::INVAL)?;
    let protocol = u32::try_from(protocol).map_err(|_| Errno::PROTONOSUPPORT)?;
    let family = AddressFamily::from_raw(family);
    let protocol = NonZeroU32::new(protocol).map(Protocol::from_raw);
    Ok(new_socket(family, SocketType::from_raw(kind), protocol)?)
}

#[cfg(not(target_vendor = "apple"))]
fn new_socket(
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Result<OwnedFd, Errno> {
    let flags = net::SocketFlags::CLOEXEC | net::SocketFlags::NONBLOCK;
    net::socket_with(family, kind, flags, protocol)
}

/// As for `accept`: a child that is forked at the wrong moment inherits the socket.
#[cfg(target_vendor = "apple")]
fn new_socket(
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> Result<OwnedFd, Errno> {
    let socket = net::socket(family, kind, protocol)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}

pub(crate) fn bind(socket: BorrowedFd<'_>, local: SocketAddr) -> io::Result<()> {
    Ok(net::bind(socket, &local)?)
}

/// False if the connection is under way.
pub(crate) fn connect(socket: BorrowedFd<'_>, peer: SocketAddr) -> io::Result<bool> {
    faults::check(Call::Connect, socket)?;
    match net::connect(socket, &peer) {
        Ok(()) => Ok(true),
        // Interrupted, the connection goes on in the background.
        Err(Errno::INPROGRESS | Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the error that is pending on the socket (`SO_ERROR`, socket(7)).
pub(crate) fn socket_error(socket: BorrowedFd<'_>) -> io::Result<()> {
    Ok(net::sockopt::socket_error(socket)??)
}

fn address(any: &SocketAddrAny) -> Address {
    if let Ok(inet) = SocketAddr::try_from(any.clone()) {
        return Address::Inet(inet);
    }
    if any.address_family() == AddressFamily::UNIX { unix_name(any) } else { Address::Unnamed }
}

/// rustix's own reading panics over a path that fills `sun_path` to the last byte, which any peer
/// may have, and takes a socket without a name for one with an empty abstract one.
fn unix_name(any: &SocketAddrAny) -> Address {
    let len = (any.addr_len() as usize).min(size_of::<libc::sockaddr_storage>());
    // SAFETY: the kernel has written so many bytes behind the pointer, which lasts as long as `any`.
    let whole = unsafe { std::slice::from_raw_parts(any.as_ptr().cast::<u8>(), len) };
    match whole.get(std::mem::offset_of!(libc::sockaddr_un, sun_path)..) {
        None | Some([]) => Address::Unnamed,
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some([0, name @ ..]) => Address::Abstract(name.to_vec()),
        Some(path) => {
            let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
            Address::Path(path[..end].to_vec())
        }
    }
}

/// EPIPE and no signal. Where there is no such flag, accepted sockets have an option for it; others
/// rely on the host to ignore SIGPIPE, which both Rust and Python do from the start.
#[cfg(not(target_vendor = "apple"))]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
#[cfg(target_vendor = "apple")]
const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT;
