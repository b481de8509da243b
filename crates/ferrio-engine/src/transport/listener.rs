//! A listening socket: accepts what has come, and backs off when the system is out of descriptors.
//!
//! EMFILE leaves the connection in the queue and the socket readable, so a loop that tries again at
//! once does nothing else, and logs each time. asyncio reports it, stops listening for a second and
//! starts again (`_accept_connection` in CPython, `Lib/asyncio/selector_events.py`;
//! `ACCEPT_RETRY_DELAY`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;

use crate::net::Address;
use crate::sys;

/// How long a listener that ran out of resources is to be left alone. asyncio's
/// `ACCEPT_RETRY_DELAY`.
pub const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What [`Listener::accept`] found.
#[derive(Debug)]
pub enum Accept {
    /// A connection: non-blocking, close-on-exec, and the receiver's to close.
    Connection(OwnedFd, Address),
    /// No more now; an event will tell.
    Blocked,
    /// The system is out of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM). Take the
    /// listener's interest away for [`RETRY_DELAY`], then try again.
    Exhausted {
        /// Which of them.
        error: io::Error,
        /// Whether it is the first since a connection was accepted: the one to tell the user of.
        is_news: bool,
    },
    /// Anything else, such as EBADF and EINVAL from a socket closed or shut down behind our back.
    /// asyncio reports it and tries again at the next event, which may be at once; backing off as
    /// above is kinder.
    Failed(io::Error),
}

/// Accepts connections on a listening, non-blocking socket, owned or lent.
///
/// Register it level-triggered: then accepting only a part of what waits, for fairness, loses
/// nothing.
#[derive(Debug)]
pub struct Listener<F> {
    socket: F,
    is_exhausted: bool,
}

impl<F: AsFd> Listener<F> {
    /// A listener over a socket that listens already.
    pub const fn new(socket: F) -> Self {
        Self { socket, is_exhausted: false }
    }

    /// The socket.
    pub const fn socket(&self) -> &F {
        &self.socket
    }

    /// The socket, for its owner to close.
    pub fn into_socket(self) -> F {
        self.socket
    }

    /// Whether [`accept`](Self::accept) would find something, be it an error. poll(2) says so in a
    /// tenth of the time that accept(2) takes to say no, which makes a socket and a file first: to be
    /// asked behind a connection that may have been the last (bench: tcp_connect_close).
    pub fn is_ready(&self) -> bool {
        sys::is_readable(self.socket.as_fd())
    }

    /// Accepts one connection. asyncio calls this up to `backlog` times an event.
    ///
    /// Connections that were reset while they waited (ECONNABORTED) are passed over, and so are the
    /// errors that accept(2) says belong to the connection and not to the listener.
    pub fn accept(&mut self) -> Accept {
        for _ in 0..ABORTED_PER_CALL {
            let error = match sys::accept(self.socket.as_fd()) {
                Ok((connection, peer)) => {
                    self.is_exhausted = false;
                    return Accept::Connection(connection, peer);
                }
                Err(error) => error,
            };
            match error {
                Errno::INTR | Errno::CONNABORTED => {}
                // "Linux accept() passes already-pending network errors on the new socket as an
                // error code from accept(). For reliable operation the application should detect
                // the network errors defined for the protocol after accept() and treat them like
                // EAGAIN by retrying." (accept(2)). Each takes its connection off the queue.
                Errno::NETDOWN
                | Errno::PROTO
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH => {}
                #[cfg(any(target_os = "linux", target_os = "android"))]
                Errno::NONET => {}
                Errno::AGAIN => return Accept::Blocked,
                Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => {
                    let is_news = !self.is_exhausted;
                    self.is_exhausted = true;
                    return Accept::Exhausted { error: error.into(), is_news };
                }
                error => return Accept::Failed(error.into()),
            }
        }
        // The event is level-triggered: it comes again.
        Accept::Blocked
    }
}

/// So many connections that came to nothing are passed over before the host gets its turn.
const ABORTED_PER_CALL: usize = 128;

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn is_ready_as_long_as_a_connection_waits() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let mut listener = Listener::new(socket);
        assert!(!listener.is_ready());

        let _peers = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
        for _ in 0..2 {
            assert!(listener.is_ready());
            assert!(matches!(listener.accept(), Accept::Connection(..)));
        }
        assert!(!listener.is_ready());
        assert!(matches!(listener.accept(), Accept::Blocked));
    }

    #[test]
    fn a_listener_that_fails_is_ready_to_tell() {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        rustix::net::shutdown(&socket, rustix::net::Shutdown::Both).unwrap();
        let mut listener = Listener::new(socket);
        assert!(listener.is_ready());
        assert!(matches!(listener.accept(), Accept::Failed(_)));
    }
}
