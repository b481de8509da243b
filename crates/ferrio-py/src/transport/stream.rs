//! `StreamTransport`: a TCP connection as asyncio's programs see it
//! (Lib/asyncio/selector_events.py, `_SelectorSocketTransport`).
//!
//! The engine's [`Stream`] knows what may be read, what waits to be sent and how it ends; here are
//! the protocol, its contexts, and the order in which it is called. Two things differ from
//! asyncio's on purpose, neither to be seen in the calls a protocol gets: the descriptor is
//! registered once, edge-triggered, and what is written in one turn goes out together at its end.

use std::ffi::c_int;
use std::os::fd::RawFd;

use ferrio_engine::{
    Flow, Interest, Key, LentFd, Limits, PushError, Read, Readiness, Settled, Stream, StreamKind,
    Trigger,
};
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use pyo3::{ffi as raw, intern};

use super::chunk::Chunk;
use super::extra::Extra;
use crate::error::os_error;
use crate::event_loop::{Loop, report};
use crate::ffi::buffer::View;
use crate::ffi::call::{Context, call_method1, thread_ident};
use crate::ffi::class::{Adopted, AsyncioTransport};
use crate::ffi::gil_cell::GilCell;
use crate::item::{Item, Native, Source};
use crate::names;

pub(crate) use super::extra::Endpoint;

/// A connected byte stream. Made by `create_connection`, `create_server` and their like.
#[pyclass(extends = AsyncioTransport, module = "ferrio", frozen, weakref, dict)]
pub(crate) struct StreamTransport {
    looop: Py<Loop>,
    state: GilCell<State>,
}

struct State {
    stream: Stream<Chunk, LentFd>,
    endpoint: Endpoint,
    /// From connection_made until the connection is lost.
    key: Option<Key>,
    protocol: Option<Protocol>,
    /// Callbacks for events run in this context.
    context: Context,
    /// From 3.15 on, whatever happens to the connection happens in `context`; before, callbacks
    /// that are scheduled run in a copy of the context of whoever caused them.
    is_context_fixed: bool,
    server: Option<Py<PyAny>>,
    extra: Option<Extra>,
    /// It is in the loop's list of transports to flush at the end of the turn.
    is_unflushed: bool,
    /// connection_lost is scheduled, or was called.
    is_lost: bool,
    /// Writes after the connection was lost (asyncio's `_conn_lost`, less one).
    late_writes: u32,
    is_protocol_paused: bool,
}

/// The user's protocol and the way it wants its data.
struct Protocol {
    object: Py<PyAny>,
    is_buffered: bool,
}

/// Writes after the connection was lost that pass in silence (Lib/asyncio/constants.py,
/// `LOG_THRESHOLD_FOR_CONNLOST_WRITES`).
const LATE_WRITES_BEFORE_WARNING: u32 = 5;

/// asyncio's default watermarks: 16 and 64 KiB (Lib/asyncio/transports.py).
const DEFAULT_HIGH: usize = 64 * 1024;

// ---------------------------------------------------------------------------------- construction

impl StreamTransport {
    /// A transport over a connected, non-blocking socket: schedules `connection_made`, then
    /// reading, then the waiter's result, as `_SelectorSocketTransport.__init__` does.
    ///
    /// `server` gets `_attach(transport)` now and `_detach(transport)` when the connection is
    /// lost. A `context` is what all callbacks run in (CPython 3.15); without one, they run in
    /// copies of the current context.
    pub(crate) fn open(
        looop: &Bound<'_, Loop>,
        endpoint: Endpoint,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<Py<PyAny>>,
        server: Option<Py<PyAny>>,
        context: Option<Context>,
    ) -> PyResult<Py<StreamTransport>> {
        let py = looop.py();
        let fd = endpoint.fd();
        let is_context_fixed = context.is_some();
        let context = match context {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        let made_in =
            if is_context_fixed { context.clone_ref(py) } else { Context::copy_current(py)? };
        let Some(fd_io) = LentFd::new(fd) else {
            return Err(PyValueError::new_err(format!("Invalid file descriptor: {fd}")));
        };
        let kind = if fd_io.set_nodelay() { StreamKind::Tcp } else { StreamKind::Other };
        let limits = Limits::new(DEFAULT_HIGH / 4, DEFAULT_HIGH).unwrap_or_default();
        let state = State {
            stream: Stream::new(fd_io, kind, limits),
            endpoint,
            key: None,
            protocol: Some(Protocol::new(protocol)?),
            context,
            is_context_fixed,
            server,
            extra: None,
            is_unflushed: false,
            is_lost: false,
            late_writes: 0,
            is_protocol_paused: false,
        };
        let transport = Py::new(
            py,
            StreamTransport { looop: looop.clone().unbind(), state: GilCell::new(state) },
        )?;
        let this = transport.bind(py);
        // Known from the beginning, as in asyncio, where the program made the socket.
        if this.get().state.with(py, |state| state.endpoint.socket().is_some()) {
            this.get().extra(py)?;
        }
        if let Some(server) =
            this.get().with(py, |state| state.server.as_ref().map(|s| s.clone_ref(py)))
        {
            server.call_method1(py, intern!(py, "_attach"), (this,))?;
        }
        this.get().claim_descriptor(this, fd)?;
        let step =
            |step| Item::Native(Box::new(Scheduled { transport: transport.clone_ref(py), step }));
        let looop = looop.get();
        looop.push(py, step(Step::Made(made_in)));
        looop.push(py, step(Step::Start));
        if let Some(waiter) = waiter {
            looop.push(py, step(Step::Wake(waiter)));
        }
        Ok(transport)
    }

    /// `add_reader` and its like refuse the descriptor from now on.
    fn claim_descriptor(&self, slf: &Bound<'_, Self>, fd: RawFd) -> PyResult<()> {
        let py = slf.py();
        let transport = slf.clone().unbind().into_any();
        let old =
            self.looop.bind(py).get().open(py, |state| state.transports.insert(fd, transport))?;
        drop(old);
        Ok(())
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    /// The socket and its names; made now if nobody has asked before.
    fn extra(&self, py: Python<'_>) -> PyResult<()> {
        if self.with(py, |state| state.extra.is_some()) {
            return Ok(());
        }
        let (description, socket) = self.with(py, |state| {
            let socket = state.endpoint.socket().map(|socket| socket.clone_ref(py));
            (state.endpoint.describe(), socket)
        });
        let extra = match (description, socket) {
            (Some(description), _) => {
                let socket = description.make_socket(py)?;
                self.with(py, |state| state.endpoint.give_to(socket.clone_ref(py)));
                description.extra(py, &socket)?
            }
            (None, Some(socket)) => Extra::of(py, &socket)?,
            (None, None) => return Ok(()),
        };
        let old = self.with(py, |state| state.extra.replace(extra));
        drop(old);
        Ok(())
    }
}

impl Protocol {
    fn new(protocol: &Bound<'_, PyAny>) -> PyResult<Protocol> {
        let py = protocol.py();
        Ok(Protocol {
            object: protocol.clone().unbind(),
            is_buffered: protocol.is_instance(names::buffered_protocol(py)?)?,
        })
    }
}

// ------------------------------------------------------------------------ what the ready queue runs

/// Something that happens to a transport in its turn.
struct Scheduled {
    transport: Py<StreamTransport>,
    step: Step,
}

enum Step {
    /// Call `connection_made`, in this context.
    Made(Context),
    /// Begin to read.
    Start,
    /// Set the result of the future that waits for the connection.
    Wake(Py<PyAny>),
    /// Call `connection_lost`, in this context.
    Lost(Option<PyErr>, Context),
}

impl Native for Scheduled {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let transport = self.transport.bind(py);
        match self.step {
            Step::Made(context) => transport.get().made(transport, looop, context),
            Step::Start => transport.get().start(transport, looop),
            Step::Wake(waiter) => {
                let waiter = waiter.bind(py);
                if !waiter.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
                    waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
                }
                Ok(())
            }
            Step::Lost(error, context) => transport.get().lost(transport, looop, error, context),
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let held = match &self.step {
            Step::Made(context) | Step::Lost(_, context) => context.as_object().as_ptr(),
            Step::Wake(waiter) => waiter.as_ptr(),
            Step::Start => std::ptr::null_mut(),
        };
        match visit(self.transport.as_ptr()) {
            0 if !held.is_null() => visit(held),
            answer => answer,
        }
    }
}

impl StreamTransport {
    fn made(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        context: Context,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(protocol) = self.protocol(py) else { return Ok(()) };
        let method = protocol.bind(py).getattr(intern!(py, "connection_made"));
        let result = context
            .run(py, || method.as_ref().map_err(|e| e.clone_ref(py))?.call1((slf,)).map(drop));
        match (result, method) {
            (Ok(()), _) => Ok(()),
            // asyncio looks the method up when it schedules the call.
            (Err(error), Err(_)) => self.fatal_error(slf, looop, error, "Fatal error on transport"),
            (Err(error), Ok(method)) => {
                let context = context.into_object();
                report::failed_call(looop, error, &method, Some(slf.as_any()), context)
            }
        }
    }

    fn start(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some(fd) =
            self.with(py, |state| (!state.stream.is_closed()).then(|| state.endpoint.fd()))
        else {
            return Ok(());
        };
        let source = Source::Stream(slf.clone().unbind());
        let registered = looop.get().register(py, fd, Interest::BOTH, Trigger::Edge, source)?;
        match registered {
            Ok(key) => {
                self.with(py, |state| state.key = Some(key));
                Ok(())
            }
            Err(refused) => {
                let error = os_error(refused.error);
                drop(refused.source);
                self.fatal_error(slf, looop, error, "Fatal error on transport")
            }
        }
    }

    /// An event: read once, then send what waits. More input is left for the next turn, so that
    /// one busy peer does not keep the others waiting.
    pub(crate) fn ready(
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        readiness: Readiness,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let acting = this.with(py, |state| state.stream.on_event(readiness));
        if acting.contains(Interest::READ) {
            this.receive(slf, looop)?;
        }
        if acting.contains(Interest::WRITE) {
            this.send(slf, looop, true)?;
        }
        Ok(())
    }

    // ------------------------------------------------------------------------------- reading

    fn receive(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let Some((protocol, is_buffered, context)) = self.with(py, |state| {
            let protocol = state.protocol.as_ref()?;
            Some((protocol.object.clone_ref(py), protocol.is_buffered, state.context.clone_ref(py)))
        }) else {
            return Ok(());
        };
        let result = context.run(py, || {
            if is_buffered {
                self.receive_into(slf, looop, &protocol)
            } else {
                self.receive_bytes(slf, looop, &protocol)
            }
        });
        // Only what must leave `run_forever` comes back from these two; a context that cannot be
        // entered is the loop's user's error.
        if let Err(error) = result {
            if report::is_fatal(py, &error) {
                return Err(error);
            }
            self.fatal_error(slf, looop, error, "Fatal read error on socket transport")?;
        }
        if self.with(py, |state| state.stream.is_readable()) {
            looop.get().push(py, Item::Stream(slf.clone().unbind(), Readiness::NONE));
        }
        Ok(())
    }

    fn receive_bytes(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let received = looop.get().with_read_buffer(py, |buffer| {
            match self.with(py, |state| state.stream.read(buffer)).map_err(os_error)? {
                Read::Data(count) => Ok(Some(Some(PyBytes::new(py, &buffer[..count])))),
                Read::Blocked => Ok(None),
                Read::Eof => Ok(Some(None)),
            }
        });
        match received {
            Ok(Some(Some(data))) => {
                match call_method1(py, protocol, intern!(py, "data_received"), data.as_any()) {
                    Ok(_) => Ok(()),
                    Err(error) => self.fatal_error(
                        slf,
                        looop,
                        error,
                        "Fatal error: protocol.data_received() call failed.",
                    ),
                }
            }
            Ok(Some(None)) => self.eof(slf, looop, protocol),
            Ok(None) => Ok(()),
            Err(error) => {
                self.fatal_error(slf, looop, error, "Fatal read error on socket transport")
            }
        }
    }

    fn receive_into(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        let view = call_method1(
            py,
            protocol,
            intern!(py, "get_buffer"),
            (-1i32).into_pyobject(py)?.as_any(),
        )
        .and_then(|buffer| View::writable(&buffer))
        .and_then(|view| match view.len() {
            0 => Err(PyRuntimeError::new_err("get_buffer() returned an empty buffer")),
            _ => Ok(view),
        });
        let mut view = match view {
            Ok(view) => view,
            Err(error) => {
                let text = "Fatal error: protocol.get_buffer() call failed.";
                return self.fatal_error(slf, looop, error, text);
            }
        };
        let received = view.fill(|memory| self.with(py, |state| state.stream.read(memory)));
        drop(view);
        match received {
            Ok(Read::Data(count)) => {
                let count = count.into_pyobject(py)?;
                match call_method1(py, protocol, intern!(py, "buffer_updated"), count.as_any()) {
                    Ok(_) => Ok(()),
                    Err(error) => self.fatal_error(
                        slf,
                        looop,
                        error,
                        "Fatal error: protocol.buffer_updated() call failed.",
                    ),
                }
            }
            Ok(Read::Eof) => self.eof(slf, looop, protocol),
            Ok(Read::Blocked) => Ok(()),
            Err(error) => self.fatal_error(
                slf,
                looop,
                os_error(error),
                "Fatal read error on socket transport",
            ),
        }
    }

    fn eof(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        protocol: &Py<PyAny>,
    ) -> PyResult<()> {
        let py = slf.py();
        self.log_debug(slf, "%r received EOF")?;
        let keep_open = protocol
            .call_method0(py, intern!(py, "eof_received"))
            .and_then(|answer| answer.is_truthy(py));
        match keep_open {
            Ok(true) => Ok(()),
            Ok(false) => StreamTransport::close(slf),
            Err(error) => self.fatal_error(
                slf,
                looop,
                error,
                "Fatal error: protocol.eof_received() call failed.",
            ),
        }
    }

    // ------------------------------------------------------------------------------- writing

    /// Sends what is queued, tells the protocol of the edge crossed, and finishes what waited for
    /// the last byte. `is_event` says that the kernel asked for it, which is when asyncio calls
    /// `connection_lost` at once rather than in the next turn.
    fn send(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>, is_event: bool) -> PyResult<()> {
        let py = slf.py();
        let flow = match self.with(py, |state| state.stream.flush()) {
            Ok(flushed) => flushed.flow,
            Err(error) => {
                let text = "Fatal write error on socket transport";
                return self.fatal_error(slf, looop, os_error(error), text);
            }
        };
        self.tell_flow(slf, looop, flow, is_event)?;
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
    fn tell_flow(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        flow: Option<Flow>,
        in_own_context: bool,
    ) -> PyResult<()> {
        let py = slf.py();
        let Some(flow) = flow else { return Ok(()) };
        let (is_pause, method) = match flow {
            Flow::Pause => (true, intern!(py, "pause_writing")),
            Flow::Resume => (false, intern!(py, "resume_writing")),
        };
        let told = self.with(py, |state| {
            if std::mem::replace(&mut state.is_protocol_paused, is_pause) == is_pause {
                return None;
            }
            let protocol = state.protocol.as_ref()?.object.clone_ref(py);
            Some((protocol, state.context.clone_ref(py)))
        });
        let Some((protocol, context)) = told else { return Ok(()) };
        let call = || protocol.call_method0(py, method).map(drop);
        let result = if in_own_context { context.run(py, call) } else { call() };
        let Err(error) = result else { return Ok(()) };
        if report::is_fatal(py, &error) {
            return Err(error);
        }
        let text = format!("protocol.{method}() failed");
        report::transport_error(looop, &text, error, slf.as_any(), Some(&protocol))
    }

    /// The common end of `write` and `writelines`: queues the chunks and sees to their sending.
    fn queue(
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
                    if count > LATE_WRITES_BEFORE_WARNING {
                        let text = "socket.send() raised exception.";
                        names::logger(py)?.call_method1(intern!(py, "warning"), (text,))?;
                    }
                    return Ok(());
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

    // -------------------------------------------------------------------------------- ending

    /// `_fatal_error`: reports what is not the network's doing, and ends the connection.
    fn fatal_error(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: PyErr,
        message: &str,
    ) -> PyResult<()> {
        let py = slf.py();
        if report::is_fatal(py, &error) {
            return Err(error);
        }
        if error.is_instance_of::<PyOSError>(py) {
            if looop.get().is_debug() {
                let options = pyo3::types::PyDict::new(py);
                options.set_item(intern!(py, "exc_info"), error.clone_ref(py).into_value(py))?;
                let args = ("%r: %s", slf, message);
                names::logger(py)?.call_method(intern!(py, "debug"), args, Some(&options))?;
            }
        } else {
            let protocol = self.protocol(py);
            let shown = error.clone_ref(py);
            report::transport_error(looop, message, shown, slf.as_any(), protocol.as_ref())?;
        }
        self.force_close(slf, Some(error))
    }

    fn force_close(&self, slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        self.with(slf.py(), |state| state.stream.abort());
        self.schedule_lost(slf, error)
    }

    /// Puts `connection_lost` on the ready queue, once.
    fn schedule_lost(&self, slf: &Bound<'_, Self>, error: Option<PyErr>) -> PyResult<()> {
        let py = slf.py();
        let Some(fixed) = self.with(py, |state| {
            if std::mem::replace(&mut state.is_lost, true) {
                return None;
            }
            Some(state.is_context_fixed.then(|| state.context.clone_ref(py)))
        }) else {
            return Ok(());
        };
        self.unregister(py);
        let context = match fixed {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        let transport = slf.clone().unbind();
        let step = Scheduled { transport, step: Step::Lost(error, context) };
        self.looop.bind(py).get().push(py, Item::Native(Box::new(step)));
        Ok(())
    }

    /// No more events.
    fn unregister(&self, py: Python<'_>) {
        let Some(key) = self.with(py, |state| state.key.take()) else { return };
        let source = self.looop.bind(py).get().with_state(py, |state| state.engine.deregister(key));
        drop(source);
    }

    /// Calls `connection_lost`, closes the descriptor, lets go of everything.
    fn lost(
        &self,
        slf: &Bound<'_, Self>,
        looop: &Bound<'_, Loop>,
        error: Option<PyErr>,
        context: Context,
    ) -> PyResult<()> {
        let py = slf.py();
        let reason = match error {
            Some(error) => error.into_value(py).into_any(),
            None => py.None(),
        };
        let called = match self.protocol(py) {
            Some(protocol) => context.run(py, || {
                call_method1(py, &protocol, intern!(py, "connection_lost"), reason.bind(py))
                    .map(drop)
            }),
            None => Ok(()),
        };
        let released = self.release(slf);
        let Err(error) = called.and(released) else { return Ok(()) };
        let method = slf.getattr(intern!(py, "_call_connection_lost"))?;
        report::failed_call(looop, error, &method, Some(reason.bind(py)), context.into_object())
    }

    /// Closes the descriptor and drops protocol and server.
    fn release(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let (endpoint, protocol, server) = self.with(py, |state| {
            state.stream.abort();
            state.is_lost = true;
            (state.endpoint.take(), state.protocol.take(), state.server.take())
        });
        self.unregister(py);
        if !endpoint.is_closed() {
            let fd = endpoint.fd();
            let looop = self.looop.bind(py);
            let claim = looop.get().with_state(py, |state| {
                let is_ours = state.transports.get(&fd).is_some_and(|owner| owner.is(slf));
                if is_ours { state.transports.remove(&fd) } else { None }
            });
            drop(claim);
        }
        let closed = endpoint.close(py);
        drop(protocol);
        if let Some(server) = server {
            server.call_method1(py, intern!(py, "_detach"), (slf,))?;
        }
        closed
    }

    fn protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.protocol.as_ref().map(|protocol| protocol.object.clone_ref(py)))
    }

    fn log_debug(&self, slf: &Bound<'_, Self>, text: &str) -> PyResult<()> {
        let py = slf.py();
        if self.looop.bind(py).get().is_debug() {
            names::logger(py)?.call_method1(intern!(py, "debug"), (text, slf))?;
        }
        Ok(())
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

// ------------------------------------------------------------------------------------- methods

#[pymethods]
impl StreamTransport {
    /// Sends data: bytes, bytearray or memoryview. Never blocks; goes out at the end of the turn
    /// of the loop, together with what else is written in it.
    fn write(slf: &Bound<'_, Self>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let chunk = Chunk::from_write(data)?;
        let this = slf.get();
        if this.with(slf.py(), |state| state.stream.is_write_ended()) {
            return Err(PyRuntimeError::new_err("Cannot call write() after write_eof()"));
        }
        this.queue(slf, [chunk])
    }

    /// Sends each of an iterable of buffers, in one system call where possible.
    fn writelines(slf: &Bound<'_, Self>, list_of_data: &Bound<'_, PyAny>) -> PyResult<()> {
        let this = slf.get();
        if this.with(slf.py(), |state| state.stream.is_write_ended()) {
            return Err(PyRuntimeError::new_err("Cannot call writelines() after write_eof()"));
        }
        // All are looked at before any is queued, so that a bad one leaves nothing behind.
        let chunks = list_of_data
            .try_iter()?
            .map(|data| Chunk::from_line(&data?))
            .collect::<PyResult<Vec<Chunk>>>()?;
        this.queue(slf, chunks)
    }

    /// Ends the sending side once all is sent; receiving goes on.
    fn write_eof(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let looop = this.looop.bind(py);
        if this.with(py, |state| state.stream.wants_flush()) {
            this.send(slf, looop, false)?;
        }
        match this.with(py, |state| state.stream.shutdown_write()) {
            Ok(Settled::Unchanged | Settled::WriteShut | Settled::Closed) => Ok(()),
            Err(error) => {
                this.schedule_lost(slf, None)?;
                Err(os_error(error))
            }
        }
    }

    /// True: TCP can be closed one way.
    fn can_write_eof(&self) -> bool {
        true
    }

    /// Closes the connection once all is sent; nothing more is received. `connection_lost(None)`
    /// follows in a later turn.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.with(py, |state| state.stream.is_closing()) {
            return Ok(());
        }
        let looop = this.looop.bind(py);
        if this.with(py, |state| state.stream.wants_flush()) {
            this.send(slf, looop, false)?;
        }
        let is_closed = this.with(py, |state| state.stream.close());
        if is_closed { this.schedule_lost(slf, None) } else { Ok(()) }
    }

    /// Closes the connection at once; what was not sent is dropped.
    fn abort(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().force_close(slf, None)
    }

    /// True once `close()` or `abort()` was called or the connection was lost.
    fn is_closing(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_closing())
    }

    /// True while data are given to the protocol.
    fn is_reading(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.stream.is_reading())
    }

    /// Gives the protocol no data until `resume_reading()`.
    fn pause_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if this.with(slf.py(), |state| state.stream.pause_reading()) {
            this.log_debug(slf, "%r pauses reading")?;
        }
        Ok(())
    }

    /// Takes `pause_reading()` back.
    fn resume_reading(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !this.with(py, |state| state.stream.resume_reading()) {
            return Ok(());
        }
        if !this.with(py, |state| state.is_context_fixed) {
            let context = Context::copy_current(py)?;
            drop(this.with(py, |state| std::mem::replace(&mut state.context, context)));
        }
        if this.with(py, |state| state.key.is_some() && state.stream.is_readable()) {
            let item = Item::Stream(slf.clone().unbind(), Readiness::NONE);
            this.looop.bind(py).get().push(py, item);
        }
        this.log_debug(slf, "%r resumes reading")
    }

    /// Bytes written and not yet taken by the kernel.
    fn get_write_buffer_size(&self, py: Python<'_>) -> usize {
        self.with(py, |state| state.stream.buffered_bytes())
    }

    /// The watermarks in bytes: `(low, high)`.
    fn get_write_buffer_limits(&self, py: Python<'_>) -> (usize, usize) {
        let limits = self.with(py, |state| state.stream.limits());
        (limits.low(), limits.high())
    }

    /// Sets the watermarks in bytes: above high, the protocol's writing is paused; at or below
    /// low, it is resumed. low defaults to a quarter of high, high to four times low or 64 KiB.
    #[pyo3(signature = (high=None, low=None))]
    fn set_write_buffer_limits(
        slf: &Bound<'_, Self>,
        high: Option<isize>,
        low: Option<isize>,
    ) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let high = match (high, low) {
            (Some(high), _) => high,
            (None, Some(low)) => low.saturating_mul(4),
            (None, None) => DEFAULT_HIGH as isize,
        };
        let low = low.unwrap_or_else(|| high.div_euclid(4));
        let limits = match (usize::try_from(low), usize::try_from(high)) {
            (Ok(low), Ok(high)) => Limits::new(low, high),
            (Err(_), _) | (_, Err(_)) => None,
        };
        let Some(limits) = limits else {
            return Err(PyValueError::new_err(format!(
                "high ({high}) must be >= low ({low}) must be >= 0"
            )));
        };
        let flow = this.with(py, |state| state.stream.set_limits(limits));
        this.tell_flow(slf, this.looop.bind(py), flow, false)
    }

    /// The protocol; None once the connection is lost.
    fn get_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    /// Gives the connection to another protocol, from the next event on.
    fn set_protocol(&self, py: Python<'_>, protocol: &Bound<'_, PyAny>) -> PyResult<()> {
        let protocol = Protocol::new(protocol)?;
        drop(self.with(py, |state| state.protocol.replace(protocol)));
        Ok(())
    }

    /// `socket` (an asyncio TransportSocket), `sockname`, `peername`; anything else: default.
    #[pyo3(signature = (name, default=None))]
    fn get_extra_info(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let py = slf.py();
        let this = slf.get();
        let Ok(name) = name.extract::<&str>() else { return Ok(default) };
        if !matches!(name, "socket" | "sockname" | "peername") {
            return Ok(default);
        }
        this.extra(py)?;
        let found =
            this.with(py, |state| state.extra.as_ref().and_then(|extra| extra.get(py, name)));
        Ok(found.or(default))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let this = slf.get();
        let name = slf.get_type().name()?.to_string();
        let is_loop_closed = this.looop.bind(py).get().is_closed();
        Ok(this.with(py, |state| {
            let mut text = format!("<{name}");
            if state.endpoint.is_closed() {
                text.push_str(" closed");
            } else if state.stream.is_closing() {
                text.push_str(" closing");
            }
            text.push_str(&format!(" fd={}", state.endpoint.fd()));
            if !state.endpoint.is_closed() && !is_loop_closed {
                let polls =
                    state.key.is_some() && state.stream.is_reading() && !state.stream.is_eof();
                text.push_str(if polls { " read=polling" } else { " read=idle" });
                let size = state.stream.buffered_bytes();
                let writes = if size > 0 { "polling" } else { "idle" };
                text.push_str(&format!(" write=<{writes}, bufsize={size}>"));
            }
            text.push('>');
            text
        }))
    }

    /// asyncio's name for the call that a failing `connection_lost` is reported with.
    fn _call_connection_lost(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let error = exc.map(PyErr::from_value);
        slf.get().force_close(slf, error)
    }

    fn _force_close(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        let error = exc.map(PyErr::from_value);
        slf.get().force_close(slf, error)
    }

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.looop.clone_ref(py)
    }

    #[getter]
    fn _protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py)
    }

    #[getter]
    fn _protocol_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_protocol_paused)
    }

    /// The `socket.socket` behind the transport, None once closed.
    #[getter]
    fn _sock(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.extra(py)?;
        Ok(self.with(py, |state| state.endpoint.socket().map(|socket| socket.clone_ref(py))))
    }

    #[getter]
    fn _sock_fd(&self, py: Python<'_>) -> RawFd {
        self.with(py, |state| state.endpoint.fd())
    }
}

#[pymethods]
impl Loop {
    /// asyncio's private constructor, which libraries and tests call: a transport over a connected,
    /// non-blocking `socket.socket`.
    #[pyo3(signature = (sock, protocol, waiter=None, *, extra=None, server=None, context=None))]
    fn _make_socket_transport(
        slf: &Bound<'_, Self>,
        sock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<Py<PyAny>>,
        extra: Option<&Bound<'_, PyAny>>,
        server: Option<Py<PyAny>>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<Py<StreamTransport>> {
        // The names of the socket are asked from the socket itself.
        let _peername = extra;
        let endpoint = Endpoint::from_socket(sock)?;
        let context = context.map(Context::from_object);
        StreamTransport::open(slf, endpoint, protocol, waiter, server, context)
    }
}

impl Adopted for StreamTransport {
    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.looop.as_ptr());
        if answer != 0 {
            return answer;
        }
        self.state
            .try_with(py, |state| {
                let extra = state.extra.as_ref();
                [
                    Some(state.context.as_object()),
                    state.protocol.as_ref().map(|protocol| &protocol.object),
                    state.server.as_ref(),
                    state.endpoint.socket(),
                    extra.map(|extra| &extra.socket),
                    extra.map(|extra| &extra.sockname),
                    extra.map(|extra| &extra.peername),
                ]
                .into_iter()
                .flatten()
                .map(|object| visit(object.as_ptr()))
                .find(|&answer| answer != 0)
                .unwrap_or(0)
            })
            .unwrap_or(0)
    }

    fn clear(slf: &Bound<'_, Self>) {
        let held = slf.get().with(slf.py(), |state| {
            (state.protocol.take(), state.server.take(), state.extra.take())
        });
        drop(held);
    }

    fn finalize(slf: &Bound<'_, Self>) {
        let py = slf.py();
        if slf.get().with(py, |state| state.endpoint.is_closed()) {
            return;
        }
        let warned = report::warn_unclosed(slf.as_any(), "transport");
        for result in [warned, slf.get().release(slf)] {
            if let Err(error) = result {
                error.write_unraisable(py, Some(slf.as_any()));
            }
        }
    }
}
