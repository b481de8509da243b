//! A socket on its way to being connected.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::sys;

/// A socket that is not connected yet. Dropping it closes it, whatever was under way.
///
/// ```text
///   open ── bind, if asked to ──> connect ──┬─ connected ──────────────────────> into_socket
///                                           └─ under way ── writable ── outcome ───^
/// ```
#[derive(Debug)]
pub struct Connecting {
    socket: OwnedFd,
}

impl Connecting {
    /// A new socket: non-blocking, close-on-exec. The numbers are `AF_*`, `SOCK_*` and `IPPROTO_*`.
    ///
    /// # Errors
    ///
    /// socket(2): a combination that the system does not know, or its limits.
    pub fn open(family: i32, kind: i32, protocol: i32) -> io::Result<Self> {
        Ok(Self { socket: sys::socket(family, kind, protocol)? })
    }

    /// Binds to a local address; port 0 is any.
    ///
    /// # Errors
    ///
    /// bind(2).
    pub fn bind(&self, local: SocketAddr) -> io::Result<()> {
        sys::bind(self.socket.as_fd(), local)
    }

    /// Begins to connect; true if that was all. Otherwise wait until the socket is writable and ask
    /// for the [`outcome`](Self::outcome).
    ///
    /// # Errors
    ///
    /// connect(2).
    pub fn connect(&self, peer: SocketAddr) -> io::Result<bool> {
        sys::connect(self.socket.as_fd(), peer)
    }

    /// What became of the connection under way, once the socket is writable.
    ///
    /// # Errors
    ///
    /// What it failed with, ECONNREFUSED and ETIMEDOUT above all.
    pub fn outcome(&self) -> io::Result<()> {
        sys::socket_error(self.socket.as_fd())
    }

    /// The socket, connected, for its new owner to close.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }
}

impl AsFd for Connecting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for Connecting {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;
    use crate::{DriverKind, Engine, Instant, Interest, Timeout, Trigger};

    fn open() -> Connecting {
        Connecting::open(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP).unwrap()
    }

    fn wait_until_writable(connecting: &Connecting) {
        let mut engine: Engine<(), ()> = Engine::new(DriverKind::default()).unwrap();
        let fd = connecting.as_raw_fd();
        engine.register(fd, Interest::WRITE, Trigger::Edge, ()).unwrap();
        let mut wait = engine.begin_wait(Timeout::Forever, Instant::now());
        assert_eq!(wait.block().unwrap(), 1);
        engine.end_wait(wait);
    }

    fn connect(connecting: &Connecting, peer: SocketAddr) -> io::Result<()> {
        if !connecting.connect(peer)? {
            wait_until_writable(connecting);
        }
        connecting.outcome()
    }

    #[test]
    fn connects_from_the_address_it_was_bound_to() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let connecting = open();
        connecting.bind("127.0.0.2:0".parse().unwrap()).unwrap();

        connect(&connecting, listener.local_addr().unwrap()).unwrap();

        let stream = TcpStream::from(connecting.into_socket());
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer, stream.local_addr().unwrap());
        assert_eq!(peer.ip().to_string(), "127.0.0.2");
    }

    #[test]
    fn tells_what_it_failed_with() {
        let unused = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let refused = connect(&open(), unused).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));

        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let _listener = TcpListener::bind(taken).unwrap();
        assert_eq!(open().bind(taken).unwrap_err().raw_os_error(), Some(libc::EADDRINUSE));

        let unknown = Connecting::open(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP);
        assert_eq!(unknown.unwrap_err().raw_os_error(), Some(libc::EPROTONOSUPPORT));
    }
}
