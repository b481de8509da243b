//! A session on a stream of the engine's.

use std::io;

use super::{Conversation, End, Next, Outbox, Session, Wire};
use crate::reactor::{Interest, Readiness};
use crate::time::Instant;
use crate::transport::{Flow, Io, Limits, Read, Stream, StreamKind, WriteError};

/// Memory that all connections of a loop use one after another.
#[derive(Debug)]
pub struct Workspace {
    input: Vec<u8>,
    gathered: Vec<u8>,
}

impl Workspace {
    /// Reads up to `bytes` at a time, which are at least one.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { input: vec![0; bytes.max(1)], gathered: Vec::new() }
    }
}

impl Default for Workspace {
    /// 64 KiB.
    fn default() -> Self {
        Self::new(64 * 1024)
    }
}

/// What a connection waits for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// An event or its [deadline](Connection::deadline).
    Waiting,
    /// Its turn: it was read from as much as is fair and there is more. [`Connection::resume`] is to
    /// be called after all that is ready now.
    More,
    /// Nothing: it is over. Its descriptor is to be deregistered and closed.
    Over,
}

/// A session on a connected stream.
///
/// The host registers the descriptor, edge-triggered, for both directions (see [`Stream`]), and
/// calls one of the methods for each thing that happens; each says what comes next. Nothing happens
/// after [`Progress::Over`].
#[derive(Debug)]
pub struct Connection<S, I> {
    stream: Stream<Vec<u8>, I>,
    conversation: Conversation<S>,
    sending: Sending,
}

/// What the stream has said of its sending side.
#[derive(Debug, Default)]
struct Sending {
    /// Above the high watermark, and not yet down at the low one.
    is_full: bool,
    /// Why the stream has closed by itself.
    failure: Option<io::Error>,
}

impl<S: Session, I: Io> Connection<S, I> {
    /// Over a connected, non-blocking socket. [`start`](Self::start) comes next.
    pub const fn new(io: I, kind: StreamKind, limits: Limits, session: S) -> Self {
        Self {
            stream: Stream::new(io, kind, limits),
            conversation: Conversation::new(session),
            sending: Sending { is_full: false, failure: None },
        }
    }

    /// The session.
    pub const fn session(&self) -> &S {
        self.conversation.session()
    }

    /// The socket.
    pub const fn io(&self) -> &I {
        self.stream.io()
    }

    /// When [`on_time`](Self::on_time) is to be called, if not before. May move with every call of a
    /// method; calling it early does nothing.
    pub const fn deadline(&self) -> Option<Instant> {
        self.conversation.deadline()
    }

    /// The connection is registered: the session begins.
    pub fn start(&mut self, workspace: &mut Workspace, now: Instant) -> Progress {
        self.converse(workspace, |conversation, gathered, wire| {
            conversation.start(gathered, wire, now);
        })
    }

    /// An event of the descriptor.
    pub fn on_event(
        &mut self,
        readiness: Readiness,
        workspace: &mut Workspace,
        now: Instant,
    ) -> Progress {
        let acting = self.stream.on_event(readiness);
        if acting.contains(Interest::WRITE) {
            self.flush(workspace, now);
        }
        self.resume(workspace, now)
    }

    /// Reads once, as asyncio does, so that no connection keeps the others waiting.
    pub fn resume(&mut self, workspace: &mut Workspace, now: Instant) -> Progress {
        self.steer();
        let Workspace { input, gathered } = workspace;
        match self.stream.read(input) {
            Ok(Read::Data(count)) => {
                let mut wire = StreamWire { stream: &mut self.stream, sending: &mut self.sending };
                self.conversation.data(&input[..count], gathered, &mut wire, now);
            }
            Ok(Read::Eof) => {
                let mut wire = StreamWire { stream: &mut self.stream, sending: &mut self.sending };
                self.conversation.eof(gathered, &mut wire, now);
            }
            Ok(Read::Blocked) => {}
            Err(error) => self.sending.failure = Some(error),
        }
        self.settle()
    }

    /// Time has passed.
    pub fn on_time(&mut self, workspace: &mut Workspace, now: Instant) -> Progress {
        self.converse(workspace, |conversation, gathered, wire| {
            conversation.time(gathered, wire, now);
        })
    }

    /// Somebody else has news for the session, such as the answer that it waits for. Does nothing
    /// once the session has asked for the end.
    pub fn call(
        &mut self,
        workspace: &mut Workspace,
        f: impl FnOnce(&mut S, &mut Outbox<'_>) -> Next,
    ) -> Progress {
        self.converse(workspace, |conversation, gathered, wire| {
            conversation.call(gathered, wire, f);
        })
    }

    /// Closes it now: the session is told that it was aborted, unless it was over.
    pub fn abort(&mut self) {
        self.stream.abort();
        self.conversation.end(End::Aborted);
    }

    fn converse(
        &mut self,
        workspace: &mut Workspace,
        f: impl FnOnce(&mut Conversation<S>, &mut Vec<u8>, &mut dyn Wire),
    ) -> Progress {
        let mut wire = StreamWire { stream: &mut self.stream, sending: &mut self.sending };
        f(&mut self.conversation, &mut workspace.gathered, &mut wire);
        self.settle()
    }

    fn flush(&mut self, workspace: &mut Workspace, now: Instant) {
        match self.stream.flush() {
            Ok(flushed) if flushed.flow == Some(Flow::Resume) => {
                self.sending.is_full = false;
                let mut wire = StreamWire { stream: &mut self.stream, sending: &mut self.sending };
                self.conversation.writable(&mut workspace.gathered, &mut wire, now);
            }
            Ok(_) => {}
            Err(error) => self.sending.failure = Some(error),
        }
    }

    /// Has the stream do what the session wants.
    fn steer(&mut self) {
        match self.conversation.closing() {
            Some(true) => drop(self.stream.close()),
            Some(false) => drop(self.stream.abort()),
            None if self.conversation.wants_data() && !self.sending.is_full => {
                self.stream.resume_reading();
            }
            None => drop(self.stream.pause_reading()),
        }
    }

    /// What follows from all that happened.
    fn settle(&mut self) -> Progress {
        self.steer();
        let settled = self.stream.settle();
        if let Some(error) = self.sending.failure.take().or(settled.err()) {
            self.stream.abort();
            self.conversation.end(End::Failed(error));
            return Progress::Over;
        }
        if self.stream.is_closed() {
            let is_aborted = self.conversation.closing() == Some(false);
            self.conversation.end(if is_aborted { End::Aborted } else { End::Closed });
            return Progress::Over;
        }
        if self.stream.is_readable() { Progress::More } else { Progress::Waiting }
    }
}

/// The sending side of a stream.
struct StreamWire<'a, I> {
    stream: &'a mut Stream<Vec<u8>, I>,
    sending: &'a mut Sending,
}

impl<I: Io> StreamWire<'_, I> {
    fn note(&mut self, written: Result<Option<Flow>, WriteError>) {
        match written {
            Ok(Some(Flow::Pause)) => self.sending.is_full = true,
            Ok(Some(Flow::Resume)) => self.sending.is_full = false,
            // A stream that is closed has a failure already; an outbox sends nothing after its end.
            Ok(None) | Err(WriteError::Refused(_)) => {}
            Err(WriteError::Failed(error)) => self.sending.failure = Some(error),
        }
    }
}

impl<I: Io> Wire for StreamWire<'_, I> {
    fn write(&mut self, data: &[u8]) {
        let written = self.stream.write(data, |sent| data[sent..].to_vec());
        self.note(written);
    }

    fn write_owned(&mut self, data: Vec<u8>) {
        // What is queued, and nothing else, is kept whole: the start of it may be gone already.
        let written = if self.stream.buffered_bytes() == 0 {
            self.stream.write(&data, |sent| data[sent..].to_vec())
        } else {
            self.stream.push(data).map_err(WriteError::from)
        };
        self.note(written);
    }

    fn buffered(&self) -> usize {
        self.stream.buffered_bytes()
    }

    fn is_full(&self) -> bool {
        self.sending.is_full
    }

    fn shutdown(&mut self) {
        if let Err(error) = self.stream.shutdown_write() {
            self.sending.failure = Some(error);
        }
    }
}

impl<S, I> Connection<S, I> {
    /// The socket and the session.
    pub fn into_parts(self) -> (I, S)
    where
        S: Session,
        I: Io,
    {
        (self.stream.into_io(), self.conversation.into_session())
    }
}
