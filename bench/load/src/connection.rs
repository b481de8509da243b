//! One connection of the load: what was sent, what came back, what is still under way.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::net::{RecvFlags, SendFlags};

use crate::histogram::Histogram;
use crate::options::Target;
use crate::payload::Payload;

pub(crate) struct Connection {
    socket: OwnedFd,
    number: usize,
    size_bytes: usize,
    /// Places in the payload text: sent up to here, asked to send up to here, received up to here.
    /// Invariant: `received <= sent <= asked`.
    sent: u64,
    asked: u64,
    received: u64,
    /// When each message under way was handed to the kernel, oldest first.
    asked_at: VecDeque<Instant>,
    /// Bytes of the oldest message under way that have come back; less than `size_bytes`.
    partial_bytes: usize,
}

/// Why the load must stop: either the server or the machine is at fault, so there is no figure to report.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(usize, io::Error),
    ClosedByServer(usize),
    /// The byte at this offset of what the connection received is not the one that was sent.
    WrongByte {
        connection: usize,
        offset: u64,
    },
    /// The server sent back more than it was sent.
    TooMuch(usize),
    Stalled,
}

impl Connection {
    pub(crate) fn open(target: &Target, number: usize, size_bytes: usize) -> Result<Self, Fault> {
        let socket = connect(target).map_err(|error| Fault::Io(number, error))?;
        let start = Payload::start_of(number);
        Ok(Self {
            socket,
            number,
            size_bytes,
            sent: start,
            asked: start,
            received: start,
            asked_at: VecDeque::new(),
            partial_bytes: 0,
        })
    }

    pub(crate) fn under_way(&self) -> usize {
        self.asked_at.len()
    }

    pub(crate) fn wants_write(&self) -> bool {
        self.sent < self.asked
    }

    /// Asks for `messages` more and sends what the kernel takes of them.
    pub(crate) fn ask(
        &mut self,
        messages: usize,
        now: Instant,
        payload: &Payload,
    ) -> Result<(), Fault> {
        self.asked += (messages * self.size_bytes) as u64;
        self.asked_at.extend(std::iter::repeat_n(now, messages));
        self.flush(payload)
    }

    /// Sends until the kernel takes no more; `wants_write` then says whether there is a rest.
    pub(crate) fn flush(&mut self, payload: &Payload) -> Result<(), Fault> {
        while self.sent < self.asked {
            let bytes = payload.at(self.sent, (self.asked - self.sent) as usize);
            match rustix::net::send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(taken) => self.sent += taken as u64,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Fault::Io(self.number, errno.into())),
            }
        }
        Ok(())
    }

    /// Receives once, checks the bytes, and returns how many messages are whole now.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        payload: &Payload,
        latencies: &mut Histogram,
    ) -> Result<(usize, Instant), Fault> {
        let count = match rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return Err(Fault::ClosedByServer(self.number)),
            Ok((count, _)) => count,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {
                return Ok((0, Instant::now()));
            }
            Err(errno) => return Err(Fault::Io(self.number, errno.into())),
        };
        // One look at the clock serves as the end of these messages and the start of the next.
        let now = Instant::now();
        if count as u64 > self.sent - self.received {
            return Err(Fault::TooMuch(self.number));
        }
        if let Some(index) = payload.first_difference(self.received, &buffer[..count]) {
            let offset = self.received - Payload::start_of(self.number) + index as u64;
            return Err(Fault::WrongByte { connection: self.number, offset });
        }
        self.received += count as u64;
        self.partial_bytes += count;
        let whole = self.partial_bytes / self.size_bytes;
        self.partial_bytes %= self.size_bytes;
        for asked_at in self.asked_at.drain(..whole) {
            latencies.record(now - asked_at);
        }
        Ok((whole, now))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(connection, error) => write!(f, "connection {connection}: {error}"),
            Self::ClosedByServer(connection) => {
                write!(f, "connection {connection}: closed by the server")
            }
            Self::WrongByte { connection, offset } => {
                write!(f, "connection {connection}: wrong byte at offset {offset} of the echo")
            }
            Self::TooMuch(connection) => {
                write!(f, "connection {connection}: more bytes came back than were sent")
            }
            Self::Stalled => write!(f, "no reply within the stall time"),
        }
    }
}

fn connect(target: &Target) -> io::Result<OwnedFd> {
    // Connecting blocks, one at a time: it is not what is measured, and it cannot overrun a backlog.
    match target {
        Target::Tcp(address) => {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream.into())
        }
        Target::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_nonblocking(true)?;
            Ok(stream.into())
        }
    }
}
