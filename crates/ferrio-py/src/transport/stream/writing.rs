//! Sending: from `write()` to the descriptor, and the protocol's being told to pause.

use ferrio_engine::{Flow, Interest, LentFd, PushError, Settled, Stream, StreamKind, WriteError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::{State, StreamTransport};
use crate::error::os_error;
use crate::event_loop::Loop;
use crate::transport::chunk::{Chunk, Written};
use crate::transport::telling;

impl State {
    /// What the kernel is to tell of: room to send always, or on a Unix socket while there is none
    /// (see [`StreamKind::Unix`]).
    pub(super) fn interest(&mut self) -> Interest {
        self.is_watching_room = self.stream.kind() != StreamKind::Unix || self.stream.is_blocked();
        if self.is_watching_room { Interest::BOTH } else { Interest::READ }
    }

    /// Whether asyncio would have a reader or a writer registered.
    pub(super) fn waits_for_events(&self) -> bool {
        let stream = &self.stream;
        (stream.is_reading() && !stream.is_eof()) || stream.buffered_bytes() > 0
    }
}

impl StreamTransport {
    /// After the kernel has run out of room, or has some again.
    fn watch_room(&self, looop: &Bound<'_, Loop>) -> std::io::Result<()> {
        let py = looop.py();
        let change = self.with(py, |state| {
            let is_right = state.stream.kind() != StreamKind::Unix
                || state.is_watching_room == state.stream.is_blocked();
            // Without a key, the interest is asked for when there is one.
            if is_right { None } else { state.key.map(|key| (key, state.interest())) }
        });
        let Some((key, interest)) = change else { return Ok(()) };
        looop
            .get()
            .with_state(py, |state| state.engine.set_interest(key, interest))
            .unwrap_or(Ok(()))
    }

    /// Sends what is queued, tells the protocol of the edge crossed, and finishes what waited for
    /// the last byte. `is_event` says that the kernel asked for it, which is when asyncio calls
    /// `connection_lost` at once rather than in the next turn.
    pub(super) fn send(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        is_event: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let flushed = self.with(py, |state| state.stream.flush());
        let flow = match flushed.and_then(|flushed| self.watch_room(looop).map(|()| flushed.flow)) {
            Ok(flow) => flow,
            Err(error) => {
                let text = "Fatal write error on socket transport";
                return self.fatal_error(slf, looop, os_error(error), text);
            }
        };
        self.hold(slf)?;
        self.tell_flow(slf, looop, flow, is_event)?;
        self.tell_empty(py)?;
        match self.with(py, |state| state.stream.settle()) {
            Ok(Settled::Unchanged | Settled::WriteShut) => Ok(()),
            Ok(Settled::Closed) if is_event => {
                let Some(context) = self.with(py, |state| {
                    (!std::mem::replace(&mut state.is_lost, true))
                        .then(|| state.context.clone_ref(py))
                }) else {
                    return Ok(());
                };
                self.unregister(py);
                self.lost(slf, looop, None, context)
            }
            Ok(Settled::Closed) => self.schedule_lost(slf, None),
            Err(error) => {
                let text = "Fatal write error on socket transport";
                self.fatal_error(slf, looop, os_error(error), text)
            }
        }
    }

    /// Calls `pause_writing` or `resume_writing`, each once for each crossing.
    pub(super) fn tell_flow(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        flow: Option<Flow>,
        in_own_context: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(flow) = flow else { return Ok(()) };
        let is_pause = flow == Flow::Pause;
        let told = self.with(py, |state| {
            if std::mem::replace(&mut state.is_protocol_paused, is_pause) == is_pause {
                return None;
            }
            let protocol = state.protocol.as_ref()?.object.clone_ref(py);
            Some((protocol, in_own_context.then(|| state.context.clone_ref(py))))
        });
        let Some((protocol, context)) = told else { return Ok(()) };
        telling::flow(looop, slf.as_any(), &protocol, flow, context.as_ref())
    }

    /// `write()`.
    ///
    /// The kernel has the bytes when it returns, or as many of them as it has room for.
    #[inline]
    pub(super) fn write_now(&self, slf: &Bound<'_, Self>, data: &Written<'_>) -> PyResult<()> {
        let outcome = self.with(slf.py(), |state| match state.late_write() {
            Some(count) => Outcome::Late(count),
            None => Outcome::of(data.send(&mut state.stream), &state.stream),
        });
        match outcome {
            Outcome::Sent => Ok(()),
            Outcome::Waits(_) | Outcome::Late(_) | Outcome::Failed(_) => {
                self.after_write(slf, outcome, data.read(<[u8]>::len))
            }
        }
    }

    /// All in one call, as far as the kernel has room. `added` is how many bytes that is, or more if
    /// room is asked for whether others wait for it already or not.
    pub(crate) fn write_all(
        &self,
        slf: &Bound<'_, Self>,
        chunks: impl IntoIterator<Item = Chunk>,
        added: usize,
    ) -> PyResult<()> {
        let outcome = self.with(slf.py(), |state| match state.late_write() {
            Some(count) => Outcome::Late(count),
            None => Outcome::of(state.stream.write_all(chunks), &state.stream),
        });
        self.after_write(slf, outcome, added)?;
        // The last bytes of a transport that is closing may have gone with them.
        match self.with(slf.py(), |state| state.stream.is_closing() && !state.is_lost) {
            true => self.send(slf, self.looop.bind(slf.py()), false),
            false => Ok(()),
        }
    }

    /// `write()` of a protocol of ours.
    pub(crate) fn write_bytes(
        &self,
        slf: &Bound<'_, Self>,
        bytes: &Bound<'_, PyBytes>,
    ) -> PyResult<()> {
        self.write_now(slf, &Written::Bytes(bytes.clone()))
    }

    /// `added` bytes were to be sent, or as [`write_all`](StreamTransport::write_all) has it.
    #[cold]
    fn after_write(&self, slf: &Bound<'_, Self>, outcome: Outcome, added: usize) -> PyResult<()> {
        let py = slf.py();
        let looop = self.looop.bind(py);
        let failed = match outcome {
            Outcome::Sent => return Ok(()),
            Outcome::Late(count) => {
                let text = "socket.send() raised exception.";
                return telling::warn_of_late_write(py, count, text);
            }
            Outcome::Waits(flow) => match self.watch_room(looop) {
                Ok(()) => {
                    // The first that wait, wait for nothing where nobody looks for room any more.
                    if self.with(py, |state| state.stream.buffered_bytes()) <= added {
                        looop.get().check_closed()?;
                    }
                    self.hold(slf)?;
                    return self.tell_flow(slf, looop, flow, false);
                }
                Err(error) => error,
            },
            Outcome::Failed(error) => error,
        };
        self.fatal_error(slf, looop, os_error(failed), "Fatal write error on socket transport")
    }
}

impl State {
    /// Counts a write that comes after the connection was lost.
    fn late_write(&mut self) -> Option<u32> {
        self.is_lost.then(|| {
            self.late_writes += 1;
            self.late_writes
        })
    }
}

/// What became of a write.
enum Outcome {
    /// The kernel has all of it.
    Sent,
    /// Some of it waits for room.
    Waits(Option<Flow>),
    /// The connection is gone; so many writes came after.
    Late(u32),
    Failed(std::io::Error),
}

impl Outcome {
    fn of(written: Result<Option<Flow>, WriteError>, stream: &Stream<Chunk, LentFd>) -> Outcome {
        match written {
            Ok(None) if stream.buffered_bytes() == 0 => Outcome::Sent,
            Ok(flow) => Outcome::Waits(flow),
            // The callers have looked for both before.
            Err(WriteError::Refused(PushError::AfterShutdown | PushError::Closed)) => Outcome::Sent,
            Err(WriteError::Failed(error)) => Outcome::Failed(error),
        }
    }
}
