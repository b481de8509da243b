//! Accepting: from a listening socket to protocols (Lib/asyncio/selector_events.py,
//! `_start_serving`, `_accept_connection`, `_accept_connection2`).
//!
//! An event accepts what waits, a connection each becomes an item of the next turn, and there its
//! protocol and transport are made: the turns are asyncio's, where the second step is a task. No
//! `socket.socket` is made for a connection, no task and no future.
//!
//! ```text
//!   Listening ── out of descriptors ──> Resting ── a second later ──> Listening
//!       └──────────────── stop() ──────────┴──────────────> Stopped
//! ```

use std::ffi::c_int;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use ferrio_engine::net::Address;
use ferrio_engine::{Accept, Instant, Interest, Key, LentFd, RETRY_DELAY, TimerKey, Trigger};
use pyo3::exceptions::{
    PyBlockingIOError, PyConnectionAbortedError, PyInterruptedError, PyOSError, PyValueError,
};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;

use super::{Endpoint, StreamTransport};
use crate::error::{WithText, os_error};
use crate::event_loop::{Loop, report};
use crate::ffi::Context;
use crate::ffi::audit;
use crate::ffi::call::call0;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::item::{Item, Native, Source};
use crate::names;
use crate::server::Server;
use crate::socket;

/// A listening socket and what becomes of its connections.
#[pyclass(module = "ferrio._ferrio", frozen)]
pub(crate) struct Listener {
    service: Service,
    /// What the socket said when it began to listen; its connections are of the same.
    family: i32,
    kind: i32,
    proto: i32,
    state: GilCell<State>,
}

/// For whom connections are accepted.
pub(crate) struct Service {
    /// The `socket.socket`, which the program may close at any time.
    pub(crate) socket: Py<PyAny>,
    pub(crate) protocol_factory: Py<PyAny>,
    /// An `asyncio.Server`, told of every transport.
    pub(crate) server: Option<Py<PyAny>>,
    pub(crate) tls: Option<Tls>,
    /// An event accepts at most one connection more than this.
    pub(crate) backlog: usize,
    /// Each connection gets a copy.
    pub(crate) context: Context,
    /// Whether all callbacks of a connection run in that one copy, as from CPython 3.15 on.
    pub(crate) is_context_fixed: bool,
}

/// What connections with TLS are to be like.
pub(crate) struct Tls {
    pub(crate) context: Py<PyAny>,
    pub(crate) handshake_timeout: Option<Py<PyAny>>,
    pub(crate) shutdown_timeout: Option<Py<PyAny>>,
}

impl Service {
    /// Has a task make protocol and transport of a connection, and wait for them: the interpreter's
    /// own function.
    fn by_task(
        &self,
        looop: &Bound<'_, Loop>,
        socket: &Bound<'_, PyAny>,
        peer: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let py = looop.py();
        let extra = make::dict(py)?;
        extra.set_item(intern!(py, "peername"), peer)?;
        let options = make::dict(py)?;
        if let Some(tls) = &self.tls {
            options.set_item(intern!(py, "ssl_handshake_timeout"), &tls.handshake_timeout)?;
            options.set_item(intern!(py, "ssl_shutdown_timeout"), &tls.shutdown_timeout)?;
        }
        let tls = self.tls.as_ref().map(|tls| &tls.context);
        let arguments = (&self.protocol_factory, socket, extra, tls, &self.server);
        let context = self.context.copy(py)?;
        let kept = make::dict(py)?;
        if self.is_context_fixed {
            kept.set_item(intern!(py, "context"), context.as_object())?;
            options.update(kept.as_mapping())?;
        }
        // A task that is given a context enters it itself, and at once if it is eager.
        let around = if self.is_context_fixed { &self.context } else { &context };
        around.run(py, || {
            let method = intern!(py, "_accept_connection2");
            let accepting = looop.call_method(method, arguments, Some(&options))?;
            looop.call_method(intern!(py, "create_task"), (accepting,), Some(&kept)).map(drop)
        })
    }
}

/// Is there no room for another socket, which may change?
fn is_exhaustion(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    if !error.is_instance_of::<PyOSError>(py) {
        return Ok(false);
    }
    let errno = error.value(py).getattr(intern!(py, "errno"))?.extract::<i32>();
    Ok(matches!(errno, Ok(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)))
}

struct State {
    accepting: ferrio_engine::Listener<LentFd>,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    Listening(Key),
    Resting(Key, TimerKey),
    Stopped,
}

impl Listener {
    /// Begins to accept on a non-blocking socket that listens.
    ///
    /// # Errors
    /// ValueError for a closed socket, OSError if it cannot be watched, RuntimeError on a closed
    /// loop.
    pub(crate) fn start(looop: &Bound<'_, Loop>, service: Service) -> PyResult<()> {
        let py = looop.py();
        let socket = service.socket.bind(py);
        let number: i32 = socket.call_method0(intern!(py, "fileno"))?.extract()?;
        let Some(fd) = LentFd::new(number) else {
            return Err(PyValueError::with_text(format!("Invalid file descriptor: {number}")));
        };
        let listener = Listener {
            family: socket.getattr(intern!(py, "family"))?.extract()?,
            kind: socket.getattr(intern!(py, "type"))?.extract()?,
            proto: socket.getattr(intern!(py, "proto"))?.extract()?,
            service,
            state: GilCell::new(State {
                accepting: ferrio_engine::Listener::new(fd),
                phase: Phase::Stopped,
            }),
        };
        let listener = Py::new(py, listener)?;
        let source = Source::Listener(listener.clone_ref(py));
        match looop.get().register(py, number, Interest::READ, Trigger::Level, source)? {
            Ok(key) => {
                listener.get().state.with(py, |state| state.phase = Phase::Listening(key));
                Ok(())
            }
            Err(refused) => {
                drop(refused.source);
                Err(os_error(refused.error))
            }
        }
    }

    /// Accepts no more on this socket.
    pub(crate) fn stop(looop: &Bound<'_, Loop>, socket: &Bound<'_, PyAny>) {
        let py = looop.py();
        let found = looop.get().with_state(py, |state| {
            let key = state.engine.find(|source| match source {
                Source::Listener(listener) => listener.get().service.socket.is(socket),
                Source::Watch(_) | Source::Stream(_) | Source::Datagram(_) | Source::Native(_) => {
                    false
                }
            })?;
            match state.engine.source(key) {
                Some(Source::Listener(listener)) => Some(listener.clone_ref(py)),
                Some(
                    Source::Watch(_) | Source::Stream(_) | Source::Datagram(_) | Source::Native(_),
                )
                | None => None,
            }
        });
        if let Some(listener) = found.flatten() {
            listener.get().halt(py, looop);
        }
    }

    fn halt(&self, py: Python<'_>, looop: &Bound<'_, Loop>) {
        let phase =
            self.state.with(py, |state| std::mem::replace(&mut state.phase, Phase::Stopped));
        let (key, timer) = match phase {
            Phase::Listening(key) => (key, None),
            Phase::Resting(key, timer) => (key, Some(timer)),
            Phase::Stopped => return,
        };
        let held = looop.get().with_state(py, |state| {
            let item = timer.and_then(|timer| state.engine.cancel_timer(timer));
            (state.engine.deregister(key), item)
        });
        drop(held);
    }

    /// The socket is readable.
    pub(crate) fn ready(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if !socket::makes_plain(py)? || !socket::is_plain(this.service.socket.bind(py))? {
            return this.accept_by_method(slf, looop);
        }
        for count in 0..=this.service.backlog {
            // Looked at anew each time: what is called in between may close the server.
            let accepted = this.state.with(py, |state| match state.phase {
                // The first is what the event was about.
                Phase::Listening(_) if count == 0 || state.accepting.is_ready() => {
                    state.accepting.accept()
                }
                Phase::Listening(_) | Phase::Resting(..) | Phase::Stopped => Accept::Blocked,
            });
            match accepted {
                Accept::Connection(fd, peer) => {
                    let accepted = match Accepted::new(slf, fd, peer) {
                        Ok(accepted) => accepted,
                        // asyncio's callback fails then, and is called for the next one.
                        Err(error) => {
                            this.refused(looop, error)?;
                            continue;
                        }
                    };
                    if looop.get().is_debug() {
                        accepted.log(py)?;
                    }
                    // A factory of tasks sees those of connections, and may begin them at once.
                    if this.service.tls.is_some() || looop.get().has_task_factory(py) {
                        accepted.by_task(looop)?;
                    } else {
                        looop.get().push(py, Item::Native(Box::new(accepted)));
                    }
                }
                Accept::Blocked => break,
                Accept::Exhausted { error, is_news } => {
                    this.rest(slf, looop)?;
                    if is_news {
                        // asyncio's words, once: it says so as often as the backlog is long.
                        let text = "socket.accept() out of system resource";
                        this.report(looop, text, &os_error(error))?;
                    }
                    break;
                }
                Accept::Failed(error) => {
                    // asyncio leaves the socket watched, and is called again at once, for ever.
                    this.rest(slf, looop)?;
                    this.report(looop, "socket.accept() failed", &os_error(error))?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The same by asyncio's steps, where the program has put methods of its own in between: into the
    /// socket that listens, or into the class of its connections.
    fn accept_by_method(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let socket = self.service.socket.bind(py);
        for _ in 0..=self.service.backlog {
            let is_listening =
                self.state.with(py, |state| matches!(state.phase, Phase::Listening(_)));
            if !is_listening {
                break;
            }
            let accepted = socket.call_method0(intern!(py, "accept")).and_then(|pair| {
                let pair: (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
                if looop.get().is_debug() {
                    let server = self.service.server.as_ref();
                    let arguments =
                        ("%r got a new connection from %r: %r", server, &pair.1, &pair.0);
                    names::selector_events_logger(py)?
                        .call_method1(intern!(py, "debug"), arguments)?;
                }
                pair.0.call_method1(intern!(py, "setblocking"), (false,))?;
                Ok(pair)
            });
            let error = match accepted {
                Ok((connection, peer)) => {
                    self.service.by_task(looop, &connection, &peer)?;
                    continue;
                }
                Err(error) => error,
            };
            if error.is_instance_of::<PyBlockingIOError>(py)
                || error.is_instance_of::<PyInterruptedError>(py)
                || error.is_instance_of::<PyConnectionAbortedError>(py)
            {
                break;
            }
            if is_exhaustion(py, &error)? {
                self.rest(slf, looop)?;
                self.report(looop, "socket.accept() out of system resource", &error)?;
            } else {
                self.refused(looop, error)?;
            }
            break;
        }
        Ok(())
    }

    /// An audit hook wants no such socket to be made.
    fn refused(&self, looop: &Bound<'_, Loop>, error: PyErr) -> PyResult<()> {
        let py = looop.py();
        if report::is_fatal(py, &error) {
            return Err(error);
        }
        let context = make::dict(py)?;
        context.set_item(
            intern!(py, "message"),
            intern!(py, "Exception in callback Loop._accept_connection()"),
        )?;
        context.set_item(intern!(py, "exception"), error.value(py))?;
        report::call_exception_handler(looop, &error, &context)
    }

    /// Family, type and protocol of the connections.
    fn socket_kind(&self) -> (i32, i32, i32) {
        (self.family, self.kind, self.proto)
    }

    /// Leaves the socket alone for a second.
    fn rest(&self, slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = slf.py();
        let resume = Item::Native(Box::new(Resume { listener: slf.clone().unbind() }));
        let delay = names::accept_retry_delay(py)?.extract().ok();
        let delay = delay.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let deadline = Instant::now().saturating_add(delay.unwrap_or(RETRY_DELAY));
        self.state.with(py, |state| {
            let Phase::Listening(key) = state.phase else { return Ok(()) };
            looop.get().open(py, |open| {
                state.phase = Phase::Resting(key, open.engine.add_timer(deadline, resume));
                // It fails for a socket closed behind our back, which then brings no events
                // either; `resume` finds out.
                let _ = open.engine.set_interest(key, Interest::NONE);
            })
        })
    }

    /// The second is over.
    fn resume(slf: &Bound<'_, Self>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let (py, this) = (slf.py(), slf.get());
        let Phase::Resting(key, _) = this.state.with(py, |state| state.phase) else {
            return Ok(());
        };
        this.state.with(py, |state| state.phase = Phase::Listening(key));
        match looop.get().open(py, |state| state.engine.set_interest(key, Interest::READ))? {
            Ok(()) => {}
            // The kernel has no room for it yet: what waits to be accepted is not forgotten.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOMEM | libc::ENOSPC)) => {
                this.rest(slf, looop)?;
            }
            // Closed behind our back.
            Err(_) => this.halt(py, looop),
        }
        Ok(())
    }

    fn report(&self, looop: &Bound<'_, Loop>, message: &str, error: &PyErr) -> PyResult<()> {
        let py = looop.py();
        let context = make::dict(py)?;
        context.set_item(intern!(py, "message"), make::text(py, message)?)?;
        context.set_item(intern!(py, "exception"), error.value(py))?;
        let socket = names::transport_socket(py)?.call1((&self.service.socket,))?;
        context.set_item(intern!(py, "socket"), socket)?;
        report::call_exception_handler(looop, error, &context)
    }
}

#[pymethods]
impl Listener {
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.service.socket)?;
        visit.call(&self.service.protocol_factory)?;
        visit.call(&self.service.server)?;
        if let Some(tls) = &self.service.tls {
            visit.call(&tls.context)?;
        }
        visit.call(self.service.context.as_object())
    }
}

/// An event of a listening socket.
pub(crate) struct Readable {
    listener: Py<Listener>,
}

impl Readable {
    pub(crate) fn item(listener: Py<Listener>) -> Item {
        Item::Native(Box::new(Readable { listener }))
    }
}

impl Native for Readable {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        Listener::ready(self.listener.bind(py), looop)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.listener.as_ptr())
    }
}

/// The end of a rest.
struct Resume {
    listener: Py<Listener>,
}

impl Native for Resume {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        Listener::resume(self.listener.bind(py), looop)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.listener.as_ptr())
    }
}

/// A connection that has no protocol yet.
struct Accepted {
    listener: Py<Listener>,
    connection: Connection,
    peer: Address,
}

enum Connection {
    Native(OwnedFd),
    /// A `socket.socket`, whose making audit hooks have been told of.
    Python(Py<PyAny>),
}

impl Native for Accepted {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let Accepted { listener, connection, peer } = *self;
        let listener = listener.get();
        let service = &listener.service;
        // Closed since the connection was accepted: asyncio trips over an assertion and drops the
        // connection, too.
        if let Some(server) = &service.server
            && let Ok(server) = server.bind(py).cast::<Server>()
            && server.get().is_closed(py)
        {
            return Ok(());
        }
        let Listener { family, kind, proto, .. } = *listener;
        let endpoint = match connection {
            Connection::Native(fd) => Endpoint::Native { fd, family, kind, proto, peer },
            Connection::Python(socket) => Endpoint::from_socket(socket.bind(py))?,
        };
        let context = service.context.copy(py)?;
        let mut protocol = None;
        let opened = context.run(py, || {
            let protocol = protocol.insert(call0(service.protocol_factory.bind(py))?);
            let server = service.server.as_ref().map(|server| server.clone_ref(py));
            let fixed = service.is_context_fixed.then(|| context.clone_ref(py));
            StreamTransport::open(looop, endpoint, protocol, None, server, fixed)
        });
        match opened {
            Ok(_) => Ok(()),
            Err(error) if report::is_fatal(py, &error) => Err(error),
            // asyncio says nothing of it except in debug mode.
            Err(_) if !looop.get().is_debug() => Ok(()),
            Err(error) => {
                let context = make::dict(py)?;
                let text = "Error on transport creation for incoming connection";
                context.set_item(intern!(py, "message"), make::text(py, text)?)?;
                context.set_item(intern!(py, "exception"), error.value(py))?;
                if let Some(protocol) = protocol {
                    context.set_item(intern!(py, "protocol"), protocol)?;
                }
                report::call_exception_handler(looop, &error, &context)
            }
        }
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match (visit(self.listener.as_ptr()), &self.connection) {
            (0, Connection::Python(socket)) => visit(socket.as_ptr()),
            (answer, _) => answer,
        }
    }
}

impl Accepted {
    /// # Errors
    /// What an audit hook raises.
    fn new(listener: &Bound<'_, Listener>, fd: OwnedFd, peer: Address) -> PyResult<Accepted> {
        let py = listener.py();
        let connection = if audit::is_listening(py) {
            Connection::Python(socket::adopt(py, fd, listener.get().socket_kind())?.unbind())
        } else {
            Connection::Native(fd)
        };
        Ok(Accepted { listener: listener.clone().unbind(), connection, peer })
    }

    /// A task runs the interpreter's own function: with TLS it waits for the handshake, beside which
    /// it costs nothing.
    fn by_task(self, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let py = looop.py();
        let Accepted { listener, connection, peer } = self;
        let socket = match connection {
            Connection::Native(fd) => socket::adopt(py, fd, listener.get().socket_kind())?,
            Connection::Python(socket) => socket.into_bound(py),
        };
        let peer = socket::address_object(py, &peer)?;
        listener.get().service.by_task(looop, &socket, &peer)
    }

    /// Debug mode's line.
    fn log(&self, py: Python<'_>) -> PyResult<()> {
        let server = self.listener.get().service.server.as_ref();
        let peer = socket::address_object(py, &self.peer)?;
        let fd = match &self.connection {
            Connection::Native(fd) => fd.as_raw_fd(),
            Connection::Python(socket) => socket::fileno(socket.bind(py))?,
        };
        let arguments = ("%r got a new connection from %r: fd=%d", server, peer, fd);
        names::selector_events_logger(py)?.call_method1(intern!(py, "debug"), arguments).map(drop)
    }
}
