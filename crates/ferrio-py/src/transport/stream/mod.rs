//! `StreamTransport`: a TCP connection as asyncio's programs see it
//! (Lib/asyncio/selector_events.py, `_SelectorSocketTransport`).
//!
//! The engine's [`Stream`] knows what may be read, what waits to be sent and how it ends; here are
//! the protocol, its contexts, and the order in which it is called. One thing differs from
//! asyncio's on purpose, not to be seen in the calls a protocol gets: the descriptor is registered
//! once, edge-triggered.

mod life;
mod methods;
mod reading;
mod sendfile;
mod writing;

use std::ffi::c_int;

use ferrio_engine::{Key, LentFd, Limits, Stream, StreamKind};
use pyo3::exceptions::PyValueError;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::life::{Scheduled, Step};
use super::chunk::Chunk;
use super::extra::extra_of;
use super::foreign;
use super::protocol::Protocol;
use super::telling;
use super::waiter::Wake;
use crate::error::WithText;
use crate::event_loop::Loop;
use crate::ffi::call::Context;
use crate::ffi::class::{Adopted, AsyncioTransport, Dealloc};
use crate::ffi::gil_cell::GilCell;
use crate::item::Item;
use crate::names;
use crate::server;

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
    /// What `get_extra_info()` looks into; made when first asked for.
    extra: Option<Py<PyDict>>,
    /// The kernel was asked to tell of room to send, or need not be asked.
    is_watching_room: bool,
    /// The loop holds the transport for its events; if not, it only knows of it.
    is_held: bool,
    /// connection_lost is scheduled, or was called.
    is_lost: bool,
    /// Writes after the connection was lost (asyncio's `_conn_lost`, less one).
    late_writes: u32,
    is_protocol_paused: bool,
    /// Done when all is sent; while it is there, a file is being sent and nothing may be written.
    empty_waiter: Option<Py<PyAny>>,
    /// How much the next read will probably bring: see `receive_bytes`.
    expected_read: usize,
    small_reads: u8,
    /// Collected without having been closed. Does not count as closing, as in asyncio: a
    /// `StreamWriter` that is collected with it looks.
    is_finalized: bool,
}

impl StreamTransport {
    /// A transport over a connected, non-blocking socket: schedules `connection_made`, then
    /// reading, then the waiter's result, as `_SelectorSocketTransport.__init__` does.
    ///
    /// `server` is told of the transport now, and of its end when the connection is lost. A
    /// `context` is what all callbacks run in (CPython 3.15); without one, they run in copies of the
    /// current context.
    pub(crate) fn open(
        looop: &Bound<'_, Loop>,
        endpoint: Endpoint,
        protocol: &Bound<'_, PyAny>,
        waiter: Option<Py<PyAny>>,
        server: Option<Py<PyAny>>,
        context: Option<Context>,
    ) -> PyResult<Py<StreamTransport>> {
        let py = looop.py();
        let protocol = Protocol::new(protocol)?;
        protocol.check(py)?;
        let fd = endpoint.fd();
        let is_context_fixed = context.is_some();
        let context = match context {
            Some(context) => context,
            None => Context::copy_current(py)?,
        };
        let made_in =
            if is_context_fixed { context.clone_ref(py) } else { Context::copy_current(py)? };
        let Some(fd_io) = LentFd::new(fd) else {
            return Err(PyValueError::with_text(format!("Invalid file descriptor: {fd}")));
        };
        let kind = if fd_io.set_nodelay() { StreamKind::Tcp } else { fd_io.stream_kind() };
        let state = State {
            stream: Stream::new(fd_io, kind, Limits::default()),
            endpoint,
            key: None,
            protocol: Some(protocol),
            context,
            is_context_fixed,
            server,
            extra: None,
            is_watching_room: kind != StreamKind::Unix,
            is_held: false,
            is_lost: false,
            late_writes: 0,
            is_protocol_paused: false,
            empty_waiter: None,
            expected_read: 0,
            small_reads: 0,
            is_finalized: false,
        };
        let transport =
            StreamTransport { looop: looop.clone().unbind(), state: GilCell::new(state) }
                .make(py)?;
        let this = transport.bind(py);
        this.get().tell_of_socket(py)?;
        if let Some(server) =
            this.get().with(py, |state| state.server.as_ref().map(|s| s.clone_ref(py)))
        {
            server::attach(server.bind(py), this.as_any())?;
        }
        looop.get().claim(py, fd, this.clone().into_any().unbind())?;
        let step =
            |step| Item::Native(Box::new(Scheduled { transport: transport.clone_ref(py), step }));
        looop.get().push(py, step(Step::Made(made_in)));
        looop.get().push(py, step(Step::Start));
        if let Some(waiter) = waiter {
            Wake::schedule(looop, waiter)?;
        }
        Ok(transport)
    }

    /// Whether the transport is this loop's.
    pub(crate) fn is_of(&self, looop: &Py<Loop>) -> bool {
        self.looop.is(looop)
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    /// Makes known from the beginning, as asyncio does, what somebody may look at: a socket that the
    /// program has made, and what stands in the place of asyncio's own class and function for it.
    fn tell_of_socket(&self, py: Python<'_>) -> PyResult<()> {
        let shown = names::places::transport_socket(py)?;
        let class = shown.current(py)?;
        let nodelay = names::places::set_nodelay(py)?;
        let set_nodelay = nodelay.current(py)?;
        let is_usual = class.is(shown.original(py)) && set_nodelay.is(nodelay.original(py));
        if is_usual && self.with(py, |state| state.endpoint.socket().is_none()) {
            return Ok(());
        }
        self.make_extra(py, &class)?;
        if !set_nodelay.is(nodelay.original(py)) {
            let socket =
                self.with(py, |state| state.endpoint.socket().map(|socket| socket.clone_ref(py)));
            set_nodelay.call1((socket,))?;
        }
        Ok(())
    }

    /// The socket and its names; made now if nobody has asked before. None for one that was collected.
    fn extra(&self, py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
        // What stood there when the connection was made.
        self.make_extra(py, names::places::transport_socket(py)?.original(py))
    }

    fn make_extra(&self, py: Python<'_>, class: &Bound<'_, PyAny>) -> PyResult<Option<Py<PyDict>>> {
        let known = |state: &mut State| state.extra.as_ref().map(|extra| extra.clone_ref(py));
        if let Some(known) = self.with(py, known) {
            return Ok(Some(known));
        }
        let (description, socket) = self.with(py, |state| {
            let socket = state.endpoint.socket().map(|socket| socket.clone_ref(py));
            (state.endpoint.describe(), socket)
        });
        let extra = match (description, socket) {
            (Some(description), _) => {
                let socket = description.make_socket(py)?;
                self.with(py, |state| state.endpoint.give_to(socket.clone_ref(py)));
                description.extra(py, &socket, class)?
            }
            (None, Some(socket)) => extra_of(socket.bind(py), class)?,
            (None, None) => return Ok(None),
        };
        let old = self.with(py, |state| state.extra.replace(extra.clone_ref(py)));
        drop(old);
        Ok(Some(extra))
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
    ) -> PyResult<Py<PyAny>> {
        let context = context.map(Context::from_object);
        foreign::over_socket(slf, sock, protocol, waiter, extra, server, context)
    }
}

impl Adopted for StreamTransport {
    fn inherited_dealloc() -> &'static Dealloc {
        static DEALLOC: Dealloc = Dealloc::new();
        &DEALLOC
    }

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
                [
                    Some(state.context.as_object()),
                    state.protocol.as_ref().map(|protocol| &protocol.object),
                    state.server.as_ref(),
                    state.empty_waiter.as_ref(),
                    state.endpoint.socket(),
                    state.extra.as_ref().map(Py::as_any),
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
        let is_closing = slf.get().with(py, |state| state.stream.is_closing());
        slf.get().with(py, |state| state.is_finalized = !is_closing);
        telling::unclosed(slf.as_any(), || slf.get().release(slf));
    }
}
