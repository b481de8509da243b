//! One connected byte stream: what may be read, what waits to be sent, and how it ends.
//!
//! Two ends that know little of each other. The whole stream, as `close` and `abort` see it:
//!
//! ```text
//!          close, bytes left           flush ... settle
//!   Open ───────────────────> Closing ──────────────────> Closed
//!     │                                                     ^
//!     └── close, nothing left; from anywhere: abort, or an error of `read` or `flush`
//! ```
//!
//! and its sending side, as `shutdown_write` sees it:
//!
//! ```text
//!          shutdown_write, bytes left     flush ... settle: shutdown(SHUT_WR)
//!   Open ───────────────────────────> Asked ─────────────────────────────────> Shut
//!     └── shutdown_write, nothing left ────────────────────────────────────────^
//! ```
//!
//! This mirrors `_SelectorSocketTransport` (CPython, `Lib/asyncio/selector_events.py`): what is
//! written while closing still goes out, what is written once closed is refused, what is written
//! after `shutdown_write` is an error.
//!
//! The descriptor is meant to be registered once, edge-triggered, for both directions (but see
//! [`StreamKind::Unix`]). The stream remembers what the kernel said until it proves exhausted, so
//! pausing, resuming and waiting for room need no system call.

use std::fmt;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;

use super::write_buffer::{Flow, Limits, WriteBuffer};
use crate::reactor::{Interest, Readiness};
use crate::sys;

/// The calls that a stream makes, none of which blocks. Implemented for every descriptor of a
/// connected stream socket; tests bring their own.
///
/// Each returns `WouldBlock` where a blocking call would wait, and never `Interrupted`.
pub trait Io {
    /// Receives into `buf`, which is not empty; 0 is the end.
    ///
    /// # Errors
    ///
    /// recv(2).
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize>;

    /// As [`recv`](Io::recv), from a [`StreamKind::Unix`]; says also whether it may have stopped
    /// at the edge of a message.
    ///
    /// # Errors
    ///
    /// recvmsg(2).
    fn recv_marked(&self, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        self.recv(buf).map(|count| (count, true))
    }

    /// Sends the start of `buf`; returns how much of it.
    ///
    /// # Errors
    ///
    /// send(2); a closed peer is EPIPE, never a signal.
    fn send(&self, buf: &[u8]) -> io::Result<usize>;

    /// Sends the start of `bufs` taken together; returns how much of it.
    ///
    /// # Errors
    ///
    /// sendmsg(2); a closed peer is EPIPE, never a signal.
    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Tells the peer that nothing more will be sent.
    ///
    /// # Errors
    ///
    /// shutdown(2): ENOTCONN if the connection is gone.
    fn shutdown_write(&self) -> io::Result<()>;
}

impl<F: AsFd> Io for F {
    fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        sys::recv(self.as_fd(), buf)
    }

    fn recv_marked(&self, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        sys::recv_marked(self.as_fd(), buf)
    }

    fn send(&self, buf: &[u8]) -> io::Result<usize> {
        sys::send(self.as_fd(), buf)
    }

    fn send_vectored(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        sys::send_vectored(self.as_fd(), bufs)
    }

    fn shutdown_write(&self) -> io::Result<()> {
        sys::shutdown_write(self.as_fd())
    }
}

/// What kind of stream it is, as far as reading is concerned.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum StreamKind {
    /// A short read means that the socket was empty, unless the end or urgent data are about:
    /// epoll(7), question 9. Saves the second `recv` of every event.
    Tcp,
    /// A Unix stream socket of Linux. It stops short at the edge of a message with descriptors or
    /// credentials (unix(7)), and recvmsg(2) tells of them; otherwise as TCP.
    ///
    /// Each read of the peer's makes an event of writability, wanted or not. So it is registered
    /// for writing only while [`Stream::is_blocked`].
    Unix,
    /// Only `WouldBlock` means empty. Right for anything that is not known to be one of the others.
    Other,
}

/// What [`Stream::read`] found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many bytes are at the start of the buffer. There may be more: ask
    /// [`Stream::is_readable`].
    Data(usize),
    /// Nothing now; an event will tell. Also what a paused, closing or closed stream says.
    Blocked,
    /// The peer has finished sending. Said once, then `Blocked`.
    Eof,
}

/// What [`Stream::flush`] did.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Flushed {
    /// The edge crossed, to be delivered once and before [`Stream::settle`]: the writer may write
    /// again in answer.
    pub flow: Option<Flow>,
    /// Whether bytes remain that the kernel has no room for; an event will tell when it has.
    pub blocked: bool,
}

/// Where [`Stream::settle`] arrived.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Settled {
    /// Nothing has ended (now).
    Unchanged,
    /// The sending side is shut; the peer has been told.
    WriteShut,
    /// The stream is closed: all was sent. Deregister and close its descriptor.
    Closed,
}

/// Why a stream refused what was to be written (and dropped it).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum PushError {
    /// The caller's fault: it asked for the end of the sending side before.
    AfterShutdown,
    /// The stream is closed, by the caller, the peer or an error. asyncio counts these and warns
    /// after five.
    Closed,
}

impl fmt::Display for PushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterShutdown => "the sending side was shut down",
            Self::Closed => "the stream is closed",
        })
    }
}

impl std::error::Error for PushError {}

/// Why [`Stream::write`] or [`Stream::write_all`] failed.
#[derive(Debug)]
pub enum WriteError {
    /// Nothing was tried; what was to be written is dropped.
    Refused(PushError),
    /// send(2), EPIPE and ECONNRESET above all; the stream is closed.
    Failed(io::Error),
}

impl From<PushError> for WriteError {
    fn from(error: PushError) -> Self {
        Self::Refused(error)
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Failed(error) => Some(error),
        }
    }
}

/// A connected stream: `B` is what is written (owned bytes, held by reference and sent vectored),
/// `I` its socket, owned (`OwnedFd`) or lent ([`LentFd`](crate::LentFd)).
///
/// # One event
///
/// 1. [`on_event`](Self::on_event) with the event's readiness says which directions are to act.
/// 2. Reading: [`read`](Self::read) as long as [`is_readable`](Self::is_readable) says so, or some,
///    and the rest in the next turn: the kernel does not repeat itself.
/// 3. Writing: [`write`](Self::write) and [`write_all`](Self::write_all) send at once. What the
///    kernel had no room for is sent when an event tells of some: [`flush`](Self::flush), deliver
///    [`Flushed::flow`], then [`settle`](Self::settle).
///
/// An error of any of these closes the stream and drops what was not sent.
#[derive(Debug)]
pub struct Stream<B, I> {
    io: I,
    kind: StreamKind,
    life: Life,
    write_end: WriteEnd,
    /// Empty once closed.
    buffer: WriteBuffer<B>,
    input: Input,
    /// The kernel has not said that it has no room.
    has_room: bool,
    /// The host wants nothing read. Survives the end of input, as in asyncio.
    is_paused: bool,
    /// `recv` has returned 0.
    is_eof: bool,
}

/// What the kernel has said of input and no call has disproved yet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Input {
    /// None; an event will tell.
    Exhausted,
    /// Some, and nothing that would make a short read mean less than it says.
    Announced,
    /// Some, but a short read does not exhaust it: the end may follow, and it came with the same
    /// event, which is not repeated; or `recv` stopped at the mark of urgent data.
    Doubtful,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Life {
    Open,
    Closing,
    Closed,
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum WriteEnd {
    Open,
    Asked,
    Shut,
}

impl<B: AsRef<[u8]>, I: Io> Stream<B, I> {
    /// A stream over a connected, non-blocking socket. Room to send is assumed, data to read are
    /// not.
    pub const fn new(io: I, kind: StreamKind, limits: Limits) -> Self {
        Self {
            io,
            kind,
            life: Life::Open,
            write_end: WriteEnd::Open,
            buffer: WriteBuffer::new(limits),
            input: Input::Exhausted,
            has_room: true,
            is_paused: false,
            is_eof: false,
        }
    }

    /// The socket.
    pub const fn io(&self) -> &I {
        &self.io
    }

    /// What kind of stream it is.
    pub const fn kind(&self) -> StreamKind {
        self.kind
    }

    /// The socket, for its owner to close. What was not sent is dropped.
    pub fn into_io(self) -> I {
        self.io
    }

    /// Takes in what an event reported; returns the directions that can act now.
    pub fn on_event(&mut self, readiness: Readiness) -> Interest {
        let doubt =
            Readiness::READ_CLOSED | Readiness::HANGUP | Readiness::ERROR | Readiness::PRIORITY;
        if readiness.intersects(doubt) {
            self.input = Input::Doubtful;
        } else if readiness.is_readable() && self.input == Input::Exhausted {
            self.input = Input::Announced;
        }
        self.has_room |= readiness.is_writable();
        let mut acting = Interest::NONE;
        if self.is_readable() {
            acting |= Interest::READ;
        }
        if self.wants_flush() {
            acting |= Interest::WRITE;
        }
        acting
    }

    /// Whether [`read`](Self::read) has something to find: input that was announced and not yet
    /// exhausted, on a stream that is open, not at its end and not paused.
    pub fn is_readable(&self) -> bool {
        self.input != Input::Exhausted && !self.is_eof && self.is_reading()
    }

    /// Whether the stream is open and not paused (asyncio's `is_reading`, which the end of input
    /// leaves alone).
    pub fn is_reading(&self) -> bool {
        self.life == Life::Open && !self.is_paused
    }

    /// Whether `pause_reading` holds, closed or not.
    pub fn is_reading_paused(&self) -> bool {
        self.is_paused
    }

    /// Reads nothing from now on. Returns whether that is a change.
    pub fn pause_reading(&mut self) -> bool {
        let changes = self.is_reading();
        self.is_paused |= changes;
        changes
    }

    /// Takes [`pause_reading`](Self::pause_reading) back. Returns whether that is a change; if so,
    /// ask [`is_readable`](Self::is_readable), for the event may have come meanwhile.
    pub fn resume_reading(&mut self) -> bool {
        let changes = self.is_paused && self.life == Life::Open;
        self.is_paused &= !changes;
        changes
    }

    /// Receives once into `buf`. An empty `buf` reads nothing: `Data(0)`.
    ///
    /// # Errors
    ///
    /// recv(2), ECONNRESET above all; the stream is closed then.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<Read> {
        if !self.is_readable() {
            return Ok(Read::Blocked);
        }
        if buf.is_empty() {
            return Ok(Read::Data(0));
        }
        let received = match self.kind {
            StreamKind::Tcp => self.io.recv(buf).map(|count| (count, false)),
            StreamKind::Unix => self.io.recv_marked(buf),
            StreamKind::Other => self.io.recv(buf).map(|count| (count, true)),
        };
        self.after_recv(received, buf.len())
    }

    /// asyncio's `write`: sends `data` at once if nothing is queued before it, and queues what the
    /// kernel does not take. `rest(n)` makes an owned chunk of what is behind the first `n` bytes;
    /// it is not called if all is sent. Returns the edge crossed, for the caller to deliver once.
    /// Of no bytes it makes no call: an empty send is a message on some sockets.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write(
        &mut self,
        data: &[u8],
        rest: impl FnOnce(usize) -> B,
    ) -> Result<Option<Flow>, WriteError> {
        self.check_writable()?;
        if data.is_empty() {
            return Ok(None);
        }
        let sent = if self.buffer.is_empty() { self.send_once(data)? } else { 0 };
        Ok(if sent < data.len() { self.buffer.push(rest(sent)) } else { None })
    }

    /// asyncio's `writelines`: queues the chunks, then sends all that is queued as far as the kernel
    /// takes it, whatever it has said of room before. Returns the edge that is left crossed.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write_all(
        &mut self,
        chunks: impl IntoIterator<Item = B>,
    ) -> Result<Option<Flow>, WriteError> {
        self.check_writable()?;
        for chunk in chunks {
            self.buffer.queue(chunk);
        }
        self.has_room = true;
        let resumed = self.flush()?.flow;
        Ok(self.buffer.cross_high().or(resumed))
    }

    /// Queues a chunk for the next [`flush`](Self::flush), for a host that sends what it has
    /// written together; returns the edge crossed, for the caller to deliver once.
    ///
    /// # Errors
    ///
    /// See [`PushError`].
    pub fn push(&mut self, chunk: B) -> Result<Option<Flow>, PushError> {
        self.check_writable()?;
        Ok(self.buffer.push(chunk))
    }

    fn check_writable(&self) -> Result<(), PushError> {
        if self.write_end != WriteEnd::Open {
            return Err(PushError::AfterShutdown);
        }
        match self.life {
            Life::Open | Life::Closing => Ok(()),
            Life::Closed => Err(PushError::Closed),
        }
    }

    /// Sends what is queued, as far as the kernel takes it: one call for one chunk, one for up to
    /// 64 together. Makes no call while the kernel is known to have no room.
    ///
    /// # Errors
    ///
    /// send(2), EPIPE and ECONNRESET above all; the stream is closed then.
    pub fn flush(&mut self) -> io::Result<Flushed> {
        let mut flow = None;
        while self.wants_flush() {
            let (sent, offered) = match send_front(&self.io, &self.buffer) {
                (Ok(sent), offered) => (sent, offered),
                (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.has_room = false;
                    break;
                }
                (Err(error), _) => {
                    self.end();
                    return Err(error);
                }
            };
            if sent < offered {
                // The kernel took what it had room for: the next event says when there is more.
                // This holds for every kind of socket, since sending has no message edges to stop
                // at.
                self.has_room = false;
            }
            // At most one in all: nothing is queued before this returns.
            if let Some(edge) = self.buffer.advance(sent) {
                flow = Some(edge);
            }
        }
        Ok(Flushed { flow, blocked: !self.buffer.is_empty() })
    }

    /// Whether [`shutdown_write`](Self::shutdown_write) was called.
    pub fn is_write_ended(&self) -> bool {
        self.write_end != WriteEnd::Open
    }

    /// Whether [`flush`](Self::flush) would try to send: bytes are queued and the kernel is not
    /// known to be full.
    pub fn wants_flush(&self) -> bool {
        self.has_room && !self.buffer.is_empty()
    }

    /// Whether bytes are queued that the kernel has no room for: an event is to tell when it has.
    pub fn is_blocked(&self) -> bool {
        !self.has_room && !self.buffer.is_empty()
    }

    /// Finishes what waited for the buffer to be empty: the closing, else the end of the sending
    /// side.
    ///
    /// # Errors
    ///
    /// shutdown(2); the stream is closed then.
    pub fn settle(&mut self) -> io::Result<Settled> {
        if !self.buffer.is_empty() {
            return Ok(Settled::Unchanged);
        }
        match (self.life, self.write_end) {
            (Life::Closing, _) => {
                self.life = Life::Closed;
                Ok(Settled::Closed)
            }
            (Life::Open, WriteEnd::Asked) => {
                if let Err(error) = self.io.shutdown_write() {
                    self.end();
                    return Err(error);
                }
                self.write_end = WriteEnd::Shut;
                Ok(Settled::WriteShut)
            }
            (Life::Open, WriteEnd::Open | WriteEnd::Shut) | (Life::Closed, _) => {
                Ok(Settled::Unchanged)
            }
        }
    }

    /// Ends the sending side once all is sent (asyncio's `write_eof`); reading goes on. Does
    /// nothing on a stream that is closing, closed or told so before.
    ///
    /// # Errors
    ///
    /// shutdown(2), if nothing was left to send; the stream is closed then.
    pub fn shutdown_write(&mut self) -> io::Result<Settled> {
        if self.life != Life::Open || self.write_end != WriteEnd::Open {
            return Ok(Settled::Unchanged);
        }
        self.write_end = WriteEnd::Asked;
        self.settle()
    }

    /// Closes the stream once all is sent; nothing is read any more. Returns whether it is closed
    /// already; if not, the next flushes and [`settle`](Self::settle) get there.
    pub fn close(&mut self) -> bool {
        if self.life == Life::Open {
            self.life = if self.buffer.is_empty() { Life::Closed } else { Life::Closing };
        }
        self.life == Life::Closed
    }

    /// Closes the stream now and drops what was not sent. Returns whether it was not closed before,
    /// in which case the caller reports the loss.
    pub fn abort(&mut self) -> bool {
        let changes = self.life != Life::Closed;
        self.end();
        changes
    }

    /// Whether close or abort was called, or an error ended the stream.
    pub fn is_closing(&self) -> bool {
        self.life != Life::Open
    }

    /// Whether nothing will be read or sent any more.
    pub fn is_closed(&self) -> bool {
        self.life == Life::Closed
    }

    /// Whether the peer has finished sending and [`read`](Self::read) has said so.
    pub const fn is_eof(&self) -> bool {
        self.is_eof
    }

    /// Has [`read`](Self::read) say once more that the peer has finished: whoever was told could not
    /// take it in.
    pub const fn repeat_eof(&mut self) {
        if self.is_eof {
            self.is_eof = false;
            self.input = Input::Doubtful;
        }
    }

    /// Bytes queued and not yet taken by the kernel.
    pub const fn buffered_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The watermarks.
    pub const fn limits(&self) -> Limits {
        self.buffer.limits()
    }

    /// Changes the watermarks; the edge crossed is the caller's to deliver. See
    /// [`WriteBuffer::set_limits`].
    pub fn set_limits(&mut self, limits: Limits) -> Option<Flow> {
        self.buffer.set_limits(limits)
    }

    /// `received`: how many bytes, and whether the call may have stopped before the input ended.
    fn after_recv(
        &mut self,
        received: io::Result<(usize, bool)>,
        offered: usize,
    ) -> io::Result<Read> {
        match received {
            Ok((0, _)) => {
                self.is_eof = true;
                Ok(Read::Eof)
            }
            Ok((count, is_cut)) => {
                let is_short = count < offered && !is_cut;
                if is_short && self.input == Input::Announced {
                    self.input = Input::Exhausted;
                }
                Ok(Read::Data(count))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.input = Input::Exhausted;
                Ok(Read::Blocked)
            }
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }

    /// Sends the start of `data`, past the buffer, which is empty; returns how much of it the kernel
    /// took, 0 if it has no room.
    fn send_once(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.io.send(data) {
            Ok(sent) => {
                self.has_room = sent == data.len();
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.has_room = false;
                Ok(0)
            }
            Err(error) => {
                self.end();
                Err(error)
            }
        }
    }

    fn end(&mut self) {
        self.buffer.clear();
        self.life = Life::Closed;
    }
}

impl<B: AsRef<[u8]>, F: AsFd> Stream<B, F> {
    /// Asks the kernel, where the last event has left it in doubt, whether there is anything to
    /// read: for those to whom a read that finds nothing would show. `poll` is what asyncio goes by.
    pub fn resolve_doubt(&mut self) {
        if self.input == Input::Doubtful && !sys::is_readable(self.io.as_fd()) {
            self.input = Input::Exhausted;
        }
    }

    /// As [`read`](Self::read), into memory that need not be initialised: after `Data(n)` the first
    /// `n` bytes are.
    ///
    /// # Errors
    ///
    /// recv(2), ECONNRESET above all; the stream is closed then.
    pub fn read_uninit(&mut self, buf: &mut [MaybeUninit<u8>]) -> io::Result<Read> {
        if !self.is_readable() {
            return Ok(Read::Blocked);
        }
        if buf.is_empty() {
            return Ok(Read::Data(0));
        }
        let fd = self.io.as_fd();
        let received = match self.kind {
            StreamKind::Tcp => sys::recv_uninit(fd, buf).map(|count| (count, false)),
            StreamKind::Unix => sys::recv_marked_uninit(fd, buf),
            StreamKind::Other => sys::recv_uninit(fd, buf).map(|count| (count, true)),
        };
        self.after_recv(received, buf.len())
    }
}

/// One call; returns also how many bytes it was offered.
fn send_front<B: AsRef<[u8]>>(io: &impl Io, buffer: &WriteBuffer<B>) -> (io::Result<usize>, usize) {
    match buffer.front() {
        Some(front) if buffer.chunk_count() == 1 => (io.send(front), front.len()),
        Some(_) => {
            let mut slices = [IoSlice::new(&[]); SLICES_PER_SEND];
            let (count, bytes) = buffer.slices(&mut slices);
            (io.send_vectored(&slices[..count]), bytes)
        }
        None => (Ok(0), 0),
    }
}

/// Below IOV_MAX (1024) everywhere, and 1 KiB of stack; with this many the system call is no longer
/// the cost.
const SLICES_PER_SEND: usize = 64;

#[cfg(test)]
mod tests;
