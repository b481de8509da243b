//! One connection of the load: what was sent, what came back, what is still under way.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::histogram::Histogram;
use crate::options::Target;
use crate::payload::Payload;
use crate::tls::Tls;
use crate::wire::Wire;

pub(crate) struct Connection {
    wire: Wire,
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
    /// A datagram came back in another size.
    Torn(usize),
    Stalled,
}

impl Connection {
    pub(crate) fn open(
        target: &Target,
        tls: Option<&Tls>,
        number: usize,
        size_bytes: usize,
    ) -> Result<Self, Fault> {
        let wire = Wire::open(target, tls).map_err(|error| Fault::Io(number, error))?;
        let start = Payload::start_of(number);
        Ok(Self {
            wire,
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
        self.sent < self.asked || self.wire.wants_write()
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
        let most = if self.wire.keeps_boundaries() { self.size_bytes } else { usize::MAX };
        let sent = loop {
            if self.sent == self.asked {
                break self.wire.flush();
            }
            let wanted = most.min((self.asked - self.sent) as usize);
            match self.wire.send(payload.at(self.sent, wanted)) {
                Ok(taken) => self.sent += taken as u64,
                Err(error) => break Err(error),
            }
        };
        match sent {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                Err(Fault::Io(self.number, error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Receives once, checks the bytes, and returns how many messages are whole now.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        payload: &Payload,
        latencies: &mut Histogram,
    ) -> Result<(usize, Instant), Fault> {
        let count = match self.wire.receive(buffer) {
            Ok(0) => return Err(Fault::ClosedByServer(self.number)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok((0, Instant::now()));
            }
            Err(error) => return Err(Fault::Io(self.number, error)),
        };
        if self.wire.keeps_boundaries() && count != self.size_bytes {
            return Err(Fault::Torn(self.number));
        }
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
        self.wire.as_fd()
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
            Self::Torn(connection) => {
                write!(f, "connection {connection}: a datagram came back in another size")
            }
            Self::Stalled => write!(f, "no reply within the stall time"),
        }
    }
}
