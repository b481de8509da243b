//! TLS over any transport (Lib/asyncio/sslproto.py).
//!
//! ```text
//!   program's protocol ── TlsTransport
//!            │                 │
//!            └── TlsProtocol ──┘      phases, flow control, ends       life, incoming, outgoing
//!                 │       │
//!             Session   Lower         OpenSSL on two memory BIOs       session, lower
//!                         │
//!                  StreamTransport, or any other transport
//! ```
//!
//! The states, the order of calls and the texts are asyncio's. What is different cannot be seen in
//! the calls a protocol gets:
//!
//! * Over a [`StreamTransport`](super::StreamTransport) no Python code runs between the descriptor
//!   and OpenSSL.
//! * Ciphertext and plaintext pass through two buffers of the loop's ([`Workspace`]); nothing is
//!   allocated for a read but the `bytes` that the protocol gets.
//! * OpenSSL gets whole records ([`Records`](ferrio_engine::Records)), and is not asked for more
//!   than they contain: it would answer with an exception.
//! * It gets them, and plaintext to encrypt, in groups of about one record's size: its memory BIOs
//!   keep the size they once had.

mod incoming;
mod life;
mod lower;
mod outgoing;
mod phase;
mod session;
mod transport;

use std::ffi::c_int;

use ferrio_engine::{Limits, Records};
use pyo3::exceptions::PyValueError;
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use self::lower::Lower;
use self::outgoing::Backlog;
use self::phase::{Phase, Told};
use self::session::Session;
pub(crate) use self::session::look_up;
use super::foreign;
use super::limits;
use super::protocol::Protocol;
use crate::error::WithText;
use crate::event_loop::Loop;
use crate::ffi::Context;
use crate::ffi::buffer::Scratch;
use crate::ffi::call::{python_of, visit_pointer};
use crate::ffi::class::Adopted;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::recursion;
use crate::names;

pub(crate) use self::incoming::Workspace;
pub(crate) use self::transport::TlsTransport;

/// The native half of `ferrio.SSLProtocol`: stands between a transport and a program's protocol.
#[pyclass(module = "ferrio._ferrio", name = "BaseSSLProtocol", frozen, subclass, weakref)]
pub(crate) struct TlsProtocol {
    looop: Py<Loop>,
    context: Py<PyAny>,
    session: Session,
    server_hostname: Option<Py<PyAny>>,
    server_side: bool,
    handshake_timeout: Py<PyAny>,
    shutdown_timeout: Py<PyAny>,
    /// What `get_extra_info` knows, by name.
    extra: Py<PyDict>,
    state: GilCell<State>,
}

struct State {
    phase: Phase,
    told: Told,
    /// None once the connection is lost, like the next two.
    protocol: Option<Protocol>,
    lower: Option<Lower>,
    /// Made when first asked for.
    transport: Option<Py<TlsTransport>>,
    is_lost: bool,
    /// The future that waits for the handshake.
    waiter: Option<Py<PyAny>>,
    handshake_timer: Option<Py<PyAny>>,
    shutdown_timer: Option<Py<PyAny>>,
    /// `loop.time()`, in debug mode.
    handshake_start: Option<f64>,
    /// Writes after the end began (asyncio's `_conn_lost`).
    late_writes: u32,

    // Outgoing.
    backlog: Backlog,
    outgoing_limits: Limits,
    /// The protocol was told to pause.
    is_app_writing_paused: bool,
    /// The transport below told us to pause.
    is_lower_full: bool,
    /// Plaintext encrypted since ciphertext was last collected, in bytes.
    uncollected: usize,

    // Incoming.
    records: Records,
    /// No more than so many whole records are left to read: `usize::MAX` if nobody knows.
    unread: usize,
    incoming_limits: Limits,
    /// The protocol asked us to pause.
    is_app_reading_paused: bool,
    /// We asked the transport below to pause.
    is_lower_paused: bool,
    is_eof: bool,
    /// For a transport below that wants a buffer to receive into.
    ingress: Option<Scratch>,
}

/// What a TLS connection is to be like, as asyncio's functions take it.
pub(crate) struct Settings {
    /// None or False: a default context, for a client. (asyncio passes on what `ssl=True` became.)
    pub(crate) context: Option<Py<PyAny>>,
    pub(crate) server_side: bool,
    pub(crate) server_hostname: Option<Py<PyAny>>,
    pub(crate) handshake_timeout: Option<Py<PyAny>>,
    pub(crate) shutdown_timeout: Option<Py<PyAny>>,
}

/// Bytes, where `asyncio.constants` says how many KiB.
fn high_water(kib: PyResult<Bound<'_, PyAny>>) -> PyResult<isize> {
    Ok(kib?.extract::<isize>()?.saturating_mul(1024))
}

impl Settings {
    /// TLS between a program's protocol and the transport that `open` makes for the protocol it is
    /// given. Returns the transport for the program; the waiter is completed by the handshake.
    ///
    /// # Errors
    /// ValueError for a server without a context, bad timeouts, a name that is none; whatever the
    /// context and `open` raise.
    pub(crate) fn open<'py>(
        self,
        looop: &Bound<'py, Loop>,
        protocol: &Bound<'py, PyAny>,
        waiter: Option<Py<PyAny>>,
        open: impl FnOnce(&Bound<'py, PyAny>) -> PyResult<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let py = looop.py();
        let options = make::dict(py)?;
        options.set_item(intern!(py, "ssl_handshake_timeout"), self.handshake_timeout)?;
        options.set_item(intern!(py, "ssl_shutdown_timeout"), self.shutdown_timeout)?;
        let arguments =
            (looop, protocol, self.context, waiter, self.server_side, self.server_hostname);
        let tls = names::tls_protocol(py)?.call(arguments, Some(&options))?;
        open(&tls)?;
        let transport = tls.getattr(intern!(py, "_app_transport"))?;
        Ok(transport.unbind())
    }
}

#[pymethods]
impl Loop {
    /// asyncio's private constructor, which its accepting of TLS connections calls: TLS over a
    /// connected, non-blocking `socket.socket`.
    #[pyo3(signature = (rawsock, protocol, sslcontext, waiter=None, *, server_side=false,
                        server_hostname=None, extra=None, server=None, ssl_handshake_timeout=None,
                        ssl_shutdown_timeout=None, context=None))]
    #[expect(clippy::too_many_arguments, reason = "asyncio's")]
    fn _make_ssl_transport(
        slf: &Bound<'_, Self>,
        rawsock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        sslcontext: Option<Py<PyAny>>,
        waiter: Option<Py<PyAny>>,
        server_side: bool,
        server_hostname: Option<Py<PyAny>>,
        extra: Option<&Bound<'_, PyAny>>,
        server: Option<Py<PyAny>>,
        ssl_handshake_timeout: Option<Py<PyAny>>,
        ssl_shutdown_timeout: Option<Py<PyAny>>,
        context: Option<Py<PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let settings = Settings {
            context: sslcontext,
            server_side,
            server_hostname,
            handshake_timeout: ssl_handshake_timeout,
            shutdown_timeout: ssl_shutdown_timeout,
        };
        settings.open(slf, protocol, waiter, |tls| {
            let context = context.map(Context::from_object);
            foreign::over_socket(slf, rawsock, tls, None, extra, server, context)
        })
    }
}

#[pymethods]
impl TlsProtocol {
    /// Takes what `asyncio.sslproto.SSLProtocol` takes.
    #[new]
    #[pyo3(signature = (r#loop, app_protocol, sslcontext, waiter, server_side=false,
                        server_hostname=None, call_connection_made=true,
                        ssl_handshake_timeout=None, ssl_shutdown_timeout=None))]
    #[expect(clippy::too_many_arguments, reason = "asyncio's")]
    fn new(
        py: Python<'_>,
        r#loop: Py<Loop>,
        app_protocol: &Bound<'_, PyAny>,
        sslcontext: Option<Bound<'_, PyAny>>,
        waiter: Option<Py<PyAny>>,
        server_side: bool,
        server_hostname: Option<Bound<'_, PyAny>>,
        call_connection_made: bool,
        ssl_handshake_timeout: Option<Bound<'_, PyAny>>,
        ssl_shutdown_timeout: Option<Bound<'_, PyAny>>,
    ) -> PyResult<TlsProtocol> {
        let handshake_timeout =
            timeout(py, ssl_handshake_timeout, "ssl_handshake_timeout", "SSL_HANDSHAKE_TIMEOUT")?;
        let shutdown_timeout =
            timeout(py, ssl_shutdown_timeout, "ssl_shutdown_timeout", "SSL_SHUTDOWN_TIMEOUT")?;
        let is_named = match &server_hostname {
            Some(name) => name.is_truthy()?,
            None => false,
        };
        let context = match sslcontext {
            Some(context) if context.is_truthy()? => context,
            Some(_) | None => default_context(py, server_side, is_named)?,
        };
        let server_hostname = server_hostname.filter(|_| is_named && !server_side);
        let session = Session::new(&context, server_side, server_hostname.as_ref())?;
        let extra = make::dict(py)?;
        extra.set_item(intern!(py, "sslcontext"), &context)?;
        Ok(TlsProtocol {
            looop: r#loop,
            context: context.unbind(),
            session,
            server_hostname: server_hostname.map(Bound::unbind),
            server_side,
            handshake_timeout,
            shutdown_timeout,
            extra: extra.unbind(),
            state: GilCell::new(State {
                phase: Phase::Unwrapped,
                told: if call_connection_made { Told::Nothing } else { Told::Made },
                protocol: Some(Protocol::new(app_protocol)?),
                lower: None,
                transport: None,
                is_lost: false,
                waiter,
                handshake_timer: None,
                shutdown_timer: None,
                handshake_start: None,
                late_writes: 0,
                backlog: Backlog::default(),
                outgoing_limits: default_limits(high_water(names::ssl_high_water_for_writing(py))?),
                is_app_writing_paused: false,
                is_lower_full: false,
                uncollected: 0,
                records: Records::new(),
                unread: 0,
                incoming_limits: default_limits(high_water(names::ssl_high_water_for_reading(py))?),
                is_app_reading_paused: false,
                is_lower_paused: false,
                is_eof: false,
                ingress: None,
            }),
        })
    }

    // ------------------------------------------------------- the protocol of the transport below

    /// Begins the handshake.
    fn connection_made(slf: &Bound<'_, Self>, transport: &Bound<'_, PyAny>) -> PyResult<()> {
        let _level = recursion::enter(slf.py(), c"")?;
        let this = slf.get();
        let lower = Lower::new(transport, &this.looop);
        drop(this.with(slf.py(), |state| state.lower.replace(lower)));
        this.start_handshake(slf)
    }

    #[pyo3(signature = (exc))]
    fn connection_lost(slf: &Bound<'_, Self>, exc: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        slf.get().lost(slf, exc)
    }

    fn eof_received(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let _level = recursion::enter(slf.py(), c"")?;
        slf.get().eof(slf)
    }

    /// Where a transport that is not ours receives to.
    fn get_buffer(&self, py: Python<'_>, n: isize) -> PyResult<Py<PyAny>> {
        let _hint = n;
        self.ingress(py)
    }

    fn buffer_updated(slf: &Bound<'_, Self>, nbytes: usize) -> PyResult<()> {
        let _level = recursion::enter(slf.py(), c"")?;
        slf.get().received_in_ingress(slf, nbytes)
    }

    fn pause_writing(&self, py: Python<'_>) {
        self.with(py, |state| state.is_lower_full = true);
    }

    fn resume_writing(slf: &Bound<'_, Self>) -> PyResult<()> {
        let _level = recursion::enter(slf.py(), c"")?;
        slf.get().with(slf.py(), |state| state.is_lower_full = false);
        slf.get().room_below(slf)
    }

    // ------------------------------------------------------------------ what the loop calls later

    fn _check_handshake_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().check_handshake_timeout(slf)
    }

    fn _check_shutdown_timeout(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().check_shutdown_timeout(slf)
    }

    fn _do_read(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().read(slf)
    }

    fn _resumed(slf: &Bound<'_, Self>) -> PyResult<()> {
        slf.get().go_on(slf)
    }

    // -------------------------------------------------------------------- asyncio's private names

    #[getter]
    fn _loop(&self, py: Python<'_>) -> Py<Loop> {
        self.looop.clone_ref(py)
    }

    #[getter]
    fn _sslcontext(&self, py: Python<'_>) -> Py<PyAny> {
        self.context.clone_ref(py)
    }

    #[getter]
    fn _sslobj(&self, py: Python<'_>) -> Py<PyAny> {
        self.session.object(py).clone().unbind()
    }

    #[getter]
    fn _server_hostname(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.server_hostname.as_ref().map(|name| name.clone_ref(py))
    }

    #[getter]
    fn _server_side(&self) -> bool {
        self.server_side
    }

    #[getter]
    fn _extra(&self, py: Python<'_>) -> Py<PyDict> {
        self.extra.clone_ref(py)
    }

    /// What is written to it bypasses the counting of records: before the handshake only.
    #[getter]
    fn _incoming(&self, py: Python<'_>) -> Py<PyAny> {
        self.session.incoming().clone_ref(py)
    }

    #[getter]
    fn _outgoing(&self, py: Python<'_>) -> Py<PyAny> {
        self.session.outgoing().clone_ref(py)
    }

    #[getter]
    fn _transport(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.lower(py).map(|lower| lower.object(py).clone().unbind())
    }

    #[getter]
    fn _app_transport(slf: &Bound<'_, Self>) -> PyResult<Option<Py<TlsTransport>>> {
        slf.get().transport(slf)
    }

    #[getter]
    fn _app_protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.protocol(py).map(|protocol| protocol.object)
    }

    #[getter]
    fn _ssl_handshake_timeout(&self, py: Python<'_>) -> Py<PyAny> {
        self.handshake_timeout.clone_ref(py)
    }

    #[getter]
    fn _ssl_shutdown_timeout(&self, py: Python<'_>) -> Py<PyAny> {
        self.shutdown_timeout.clone_ref(py)
    }

    #[getter]
    fn _handshake_timeout_handle(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.handshake_timer.as_ref().map(|timer| timer.clone_ref(py)))
    }

    #[getter]
    fn _shutdown_timeout_handle(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.shutdown_timer.as_ref().map(|timer| timer.clone_ref(py)))
    }

    #[getter]
    fn _app_reading_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_app_reading_paused)
    }

    #[getter]
    fn _app_writing_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_app_writing_paused)
    }

    #[getter]
    fn _ssl_reading_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_lower_paused)
    }

    #[getter]
    fn _ssl_writing_paused(&self, py: Python<'_>) -> bool {
        self.with(py, |state| state.is_lower_full)
    }

    /// A member of `asyncio.sslproto.SSLProtocolState`.
    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = self.with(py, |state| state.phase).name();
        let states = names::sslproto(py)?.getattr(intern!(py, "SSLProtocolState"))?;
        states.getattr(make::text(py, name)?)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut result = Ok(());
        let mut call = |object: *mut raw::PyObject| -> c_int {
            if result.is_ok() {
                result = visit_pointer(&visit, object);
            }
            c_int::from(result.is_err())
        };
        call(self.looop.as_ptr());
        call(self.context.as_ptr());
        call(self.extra.as_ptr());
        for object in self.session.objects() {
            call(object.as_ptr());
        }
        self.state.try_with(python_of(&visit), |state| {
            [
                state.protocol.as_ref().map(|protocol| protocol.object.as_ptr()),
                state.lower.as_ref().map(Lower::as_ptr),
                state.transport.as_ref().map(Py::as_ptr),
                state.waiter.as_ref().map(Py::as_ptr),
                state.handshake_timer.as_ref().map(Py::as_ptr),
                state.shutdown_timer.as_ref().map(Py::as_ptr),
                state.ingress.as_ref().map(|ingress| ingress.view().as_ptr()),
            ]
            .into_iter()
            .flatten()
            .for_each(|object| {
                call(object);
            });
        });
        result
    }

    fn __clear__(&self, py: Python<'_>) {
        let held = self.with(py, |state| {
            (
                (state.protocol.take(), state.lower.take(), state.transport.take()),
                (state.waiter.take(), state.handshake_timer.take(), state.shutdown_timer.take()),
            )
        });
        drop(held);
    }
}

impl TlsProtocol {
    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    fn lower(&self, py: Python<'_>) -> Option<Lower> {
        self.with(py, |state| state.lower.as_ref().map(|lower| lower.clone_ref(py)))
    }

    fn protocol(&self, py: Python<'_>) -> Option<Protocol> {
        self.with(py, |state| state.protocol.as_ref().map(|protocol| protocol.clone_ref(py)))
    }

    fn phase(&self, py: Python<'_>) -> Phase {
        self.with(py, |state| state.phase)
    }

    /// The transport that the program gets; None once the connection is lost.
    pub(crate) fn transport(&self, slf: &Bound<'_, Self>) -> PyResult<Option<Py<TlsTransport>>> {
        let py = slf.py();
        let (transport, is_lost) = self.with(py, |state| {
            (state.transport.as_ref().map(|transport| transport.clone_ref(py)), state.is_lost)
        });
        if transport.is_some() || is_lost {
            return Ok(transport);
        }
        let transport = TlsTransport::new(slf).make(py)?;
        let old = self.with(py, |state| state.transport.replace(transport.clone_ref(py)));
        drop(old);
        Ok(Some(transport))
    }

    /// `loop.call_soon(self.method)`.
    fn call_soon(&self, slf: &Bound<'_, Self>, method: &Bound<'_, PyString>) -> PyResult<()> {
        let callback = slf.getattr(method)?;
        self.looop.bind(slf.py()).call_method1(intern!(slf.py(), "call_soon"), (callback,))?;
        Ok(())
    }

    /// `loop.call_later(delay, self.method)`.
    fn call_later(
        &self,
        slf: &Bound<'_, Self>,
        delay: &Py<PyAny>,
        method: &Bound<'_, PyString>,
    ) -> PyResult<Py<PyAny>> {
        let arguments = (delay, slf.getattr(method)?);
        let looop = self.looop.bind(slf.py());
        Ok(looop.call_method1(intern!(slf.py(), "call_later"), arguments)?.unbind())
    }
}

/// A timeout in seconds, positive.
fn timeout(
    py: Python<'_>,
    given: Option<Bound<'_, PyAny>>,
    name: &str,
    default: &str,
) -> PyResult<Py<PyAny>> {
    match given {
        None => {
            let constants = py.import(intern!(py, "asyncio.constants"))?;
            Ok(constants.getattr(make::text(py, default)?)?.unbind())
        }
        Some(given) if given.le(0)? => Err(PyValueError::with_text(format!(
            "{name} should be a positive number, got {}",
            given.str()?
        ))),
        Some(given) => Ok(given.unbind()),
    }
}

/// `_create_transport_context`.
fn default_context(
    py: Python<'_>,
    server_side: bool,
    is_named: bool,
) -> PyResult<Bound<'_, PyAny>> {
    let make = names::sslproto(py)?.getattr(intern!(py, "_create_transport_context"))?;
    make.call1((server_side, is_named))
}

fn default_limits(high: isize) -> Limits {
    limits::from_arguments(None, None, high).unwrap_or_default()
}
