//! Sending: from `write()` to the descriptor, and the protocol's being told to pause.

use ferrio_engine::{Flow, Interest, LentFd, PushError, Settled, Stream, StreamKind};
use pyo3::prelude::*;

use super::{State, StreamTransport};
use crate::error::os_error;
use crate::event_loop::Loop;
use crate::ffi::call::thread_ident;
use crate::transport::chunk::Chunk;
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

    /// The common end of `write` and `writelines`: queues the chunks and sees to their sending.
    pub(crate) fn queue(
        &self,
        slf: &Bound<'_, Self>,
        chunks: impl IntoIterator<Item = Chunk>,
    ) -> PyResult<()> {
        let py = slf.py();
        let looop = self.looop.bind(py);
        let mut flow = None;
        for chunk in chunks {
            // An empty chunk must not be remembered as something to send.
            if chunk.is_empty() {
                continue;
            }
            let queued = self.with(py, |state| {
                if state.is_lost {
                    state.late_writes += 1;
                    return Ok(Queued::Late(state.late_writes));
                }
                push(&mut state.stream, chunk)
            });
            match queued {
                Ok(Queued::Sent) => {}
                Ok(Queued::Waits(crossed)) => flow = crossed.or(flow),
                Ok(Queued::Late(count)) => {
                    let text = "socket.send() raised exception.";
                    return telling::warn_of_late_write(py, count, text);
                }
                Err(error) => {
                    let text = "Fatal write error on socket transport";
                    return self.fatal_error(slf, looop, os_error(error), text);
                }
            }
        }
        if looop.get().is_running_in(thread_ident()) {
            let is_new = self.with(py, |state| {
                state.stream.wants_flush() && !std::mem::replace(&mut state.is_unflushed, true)
            });
            if is_new {
                looop.get().flush_later(py, slf.clone().unbind());
            }
        } else {
            // No turn of the loop will end soon: asyncio would send now.
            self.send(slf, looop, false)?;
        }
        if let Err(error) = self.watch_room(looop) {
            let text = "Fatal write error on socket transport";
            return self.fatal_error(slf, looop, os_error(error), text);
        }
        self.hold(slf)?;
        self.tell_flow(slf, looop, flow, false)
    }

    /// End of the turn.
    pub(crate) fn flush(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let this = slf.get();
        let wants = this.with(slf.py(), |state| {
            state.is_unflushed = false;
            state.stream.wants_flush()
        });
        if wants { this.send(slf, looop, false) } else { Ok(()) }
    }
}

/// What became of a chunk.
enum Queued {
    /// The kernel took all of it.
    Sent,
    /// It waits for the end of the turn, or for room.
    Waits(Option<Flow>),
    /// The connection is gone; so many writes came after.
    Late(u32),
}

/// Queues a chunk. One that would lift the buffer over the high watermark is offered to the
/// kernel at once, for the protocol is to be paused only if the kernel does not take it.
fn push(stream: &mut Stream<Chunk, LentFd>, mut chunk: Chunk) -> std::io::Result<Queued> {
    if stream.buffered_bytes() + chunk.len() > stream.limits().high() {
        let flushed = stream.flush()?;
        if !flushed.blocked {
            let sent = stream.send_now(chunk.as_ref())?;
            chunk.advance(sent);
            if chunk.is_empty() {
                return Ok(Queued::Sent);
            }
        }
    }
    match stream.push(chunk) {
        Ok(flow) => Ok(Queued::Waits(flow)),
        // The callers have looked for both before.
        Err(PushError::AfterShutdown | PushError::Closed) => Ok(Queued::Sent),
    }
}
