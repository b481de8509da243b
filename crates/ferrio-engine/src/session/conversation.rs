//! A session and what it wants: the half of driving it that knows no stream.

use super::{End, Next, Outbox, Session, Wire};
use crate::time::Instant;

/// A session on whatever transport: calls it, flushes its outbox, and keeps what it wants.
///
/// For those who bring a transport of their own, as a binding does. It says when there is something
/// ([`data`](Self::data) and its like, none after the end), asks afterwards what is wanted
/// ([`wants_data`](Self::wants_data), [`closing`](Self::closing), [`deadline`](Self::deadline)), and
/// says how it ended, once ([`end`](Self::end)). The engine's own is
/// [`Connection`](super::Connection).
#[derive(Debug)]
pub struct Conversation<S> {
    session: S,
    /// Never [`Next::Unchanged`].
    next: Next,
    has_ended: bool,
}

impl<S: Session> Conversation<S> {
    /// A session that has not begun.
    pub const fn new(session: S) -> Self {
        Self { session, next: Next::pause(), has_ended: false }
    }

    /// The session.
    pub const fn session(&self) -> &S {
        &self.session
    }

    /// The session, ended or not.
    pub fn into_session(self) -> S {
        self.session
    }

    /// The connection is there.
    pub fn start(&mut self, gathered: &mut Vec<u8>, wire: &mut dyn Wire, now: Instant) {
        self.call(gathered, wire, |session, outbox| session.on_start(outbox, now));
    }

    /// Bytes have come; of none nobody is told.
    pub fn data(&mut self, data: &[u8], gathered: &mut Vec<u8>, wire: &mut dyn Wire, now: Instant) {
        if !data.is_empty() {
            self.call(gathered, wire, |session, outbox| session.on_data(data, outbox, now));
        }
    }

    /// The peer has finished sending.
    pub fn eof(&mut self, gathered: &mut Vec<u8>, wire: &mut dyn Wire, now: Instant) {
        self.call(gathered, wire, |session, outbox| session.on_eof(outbox, now));
    }

    /// The wire is not full any more.
    pub fn writable(&mut self, gathered: &mut Vec<u8>, wire: &mut dyn Wire, now: Instant) {
        self.call(gathered, wire, |session, outbox| session.on_writable(outbox, now));
    }

    /// Time has passed: tells the session if its deadline was at `now` or before, and not otherwise.
    /// One that was closing is aborted then.
    pub fn time(&mut self, gathered: &mut Vec<u8>, wire: &mut dyn Wire, now: Instant) {
        match self.next {
            Next::Read { until: Some(deadline) } if deadline <= now => self.next = Next::read(),
            Next::Pause { until: Some(deadline) } if deadline <= now => self.next = Next::pause(),
            Next::Close { until: Some(deadline) } if deadline <= now => {
                self.next = Next::Abort;
                return;
            }
            _ => return,
        }
        self.call(gathered, wire, |session, outbox| session.on_timer(outbox, now));
    }

    /// Somebody else has news for the session, such as the answer that it waits for.
    pub fn call(
        &mut self,
        gathered: &mut Vec<u8>,
        wire: &mut dyn Wire,
        f: impl FnOnce(&mut S, &mut Outbox<'_>) -> Next,
    ) {
        if self.closing().is_some() {
            return;
        }
        let mut outbox = Outbox::new(gathered, wire);
        let next = f(&mut self.session, &mut outbox);
        outbox.flush();
        if next != Next::Unchanged {
            self.next = next;
        }
    }

    /// Whether what comes in is to be read, as far as the session is concerned; the transport also
    /// has to have room for the answers.
    pub const fn wants_data(&self) -> bool {
        matches!(self.next, Next::Read { .. })
    }

    /// Whether it is to end; and if so, after all is sent (true) or now (false).
    pub const fn closing(&self) -> Option<bool> {
        match self.next {
            Next::Close { .. } => Some(true),
            Next::Abort => Some(false),
            Next::Unchanged | Next::Read { .. } | Next::Pause { .. } => None,
        }
    }

    /// When [`time`](Self::time) has something to do.
    pub const fn deadline(&self) -> Option<Instant> {
        match self.next {
            Next::Read { until } | Next::Pause { until } | Next::Close { until } => until,
            Next::Unchanged | Next::Abort => None,
        }
    }

    /// Whether the session was told how it ended.
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// It is over. Only the first call is told to the session.
    pub fn end(&mut self, end: End) {
        self.next = Next::Abort;
        if !std::mem::replace(&mut self.has_ended, true) {
            self.session.on_end(end);
        }
    }
}
