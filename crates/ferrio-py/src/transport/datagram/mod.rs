//! `DatagramTransport`: a UDP or Unix datagram socket as asyncio's programs see it
//! (Lib/asyncio/selector_events.py, `_SelectorDatagramTransport`).
//!
//! asyncio receives one datagram in a turn: what a protocol schedules while it deals with one runs
//! before it gets the next. So it does here, but turns in which there would be nothing else to do
//! are left out, with their looks for events (see [`Burst`](burst::Burst)). The descriptor is
//! registered level-triggered: an edge would cost a second recvfrom(2) each time, to hear that
//! there is nothing more.

mod burst;
mod life;
mod methods;
mod traffic;

use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use ferrio_engine::{DatagramQueue, Key, LentFd, Limits};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use self::burst::Burst;
use self::life::{Scheduled, Step};
use super::chunk::Chunk;
use super::waiter::Wake;
use crate::error::WithText;
use crate::event_loop::Loop;
use crate::ffi::call::Context;
use crate::ffi::class::{Adopted, AsyncioDatagramTransport, Dealloc};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::item::Item;
use crate::transport::telling;
use crate::{names, socket};

/// A datagram socket. Made by `create_datagram_endpoint`.
#[pyclass(extends = AsyncioDatagramTransport, module = "ferrio", frozen, weakref, dict)]
pub(crate) struct DatagramTransport {
    looop: Py<Loop>,
    fd: LentFd,
    number: RawFd,
    family: i32,
    /// Nothing is ever sent to another address than the peer's.
    is_connected: bool,
    /// There is a peer, which may be without a name, as that of a socket pair is.
    has_peer: bool,
    state: GilCell<State>,
}

struct State {
    /// The `socket.socket`; None once closed.
    socket: Option<Py<PyAny>>,
    /// None once the connection is lost.
    protocol: Option<Py<PyAny>>,
    /// What `create_datagram_endpoint` was given as `remote_addr`, resolved.
    address: Option<Py<PyAny>>,
    key: Option<Key>,
    queue: DatagramQueue<Outgoing>,
    /// Datagrams are received in this context.
    context: Context,
    /// What is queued is sent in this one.
    write_context: Option<Context>,
    burst: Burst,
    /// connection_made was called.
    has_started: bool,
    is_paused: bool,
    is_closing: bool,
    /// The loop holds the transport for its events; if not, it only knows of it.
    is_held: bool,
    /// connection_lost is scheduled, or was called.
    is_lost: bool,
    /// Datagrams for the peer after that (asyncio's `_conn_lost`, less one).
    late_sends: u32,
    is_protocol_paused: bool,
    /// The address that the last datagram came from, and its tuple: most are from the same, or are
    /// answered there.
    last_from: Option<Known>,
    /// The address that the last datagram was sent to.
    last_to: Option<Known>,
}

/// An address tuple and what it says. The tuple cannot change, nor can what is in it.
struct Known {
    object: Py<PyAny>,
    address: SocketAddr,
}

/// A datagram that waits for room.
struct Outgoing {
    data: Chunk,
    to: To,
}

/// Where a datagram goes.
enum To {
    /// To the address that the socket is connected to.
    Peer,
    Inet(SocketAddr),
    /// What only the socket's own method understands: names, paths.
    Object(Py<PyAny>),
}

/// What each queued datagram counts for beside its bytes, from 3.13 on.
const HEADER: usize = if cfg!(Py_3_13) { 8 } else { 0 };

#[pymethods]
impl Loop {
    /// asyncio's `create_datagram_endpoint` makes its transport here.
    #[pyo3(signature = (sock, protocol, address=None, waiter=None, extra=None))]
    fn _make_datagram_transport(
        slf: &Bound<'_, Self>,
        sock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        address: Option<Py<PyAny>>,
        waiter: Option<Py<PyAny>>,
        extra: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        slf.call_method1(intern!(py, "_ensure_fd_no_transport"), (sock,))?;
        if !is_native(sock)? {
            return super::foreign::over_datagrams(slf, sock, protocol, address, waiter, extra);
        }
        DatagramTransport::open(slf, sock, protocol, address, waiter, extra).map(Py::into_any)
    }
}

/// Is it a socket that the kernel can be asked about directly, with addresses known to us?
fn is_native(sock: &Bound<'_, PyAny>) -> PyResult<bool> {
    if !socket::is_plain(sock)? {
        return Ok(false);
    }
    let (family, ..) = socket::kind(sock)?;
    Ok(matches!(family, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX))
}

impl DatagramTransport {
    /// Schedules `connection_made`, then reading, then the waiter's result, as asyncio's
    /// constructor does.
    fn open(
        looop: &Bound<'_, Loop>,
        sock: &Bound<'_, PyAny>,
        protocol: &Bound<'_, PyAny>,
        address: Option<Py<PyAny>>,
        waiter: Option<Py<PyAny>>,
        extra: Option<Bound<'_, PyDict>>,
    ) -> PyResult<Py<DatagramTransport>> {
        let py = looop.py();
        let number = socket::fileno(sock)?;
        let Some(fd) = LentFd::new(number) else {
            return Err(PyValueError::with_text(format!("Invalid file descriptor: {number}")));
        };
        let (family, ..) = socket::kind(sock)?;
        let extra = describe(sock, extra)?;
        let peername = extra.get_item(intern!(py, "peername"))?;
        let peername = peername.filter(|name| !name.is_none());
        let has_peer = peername.is_some();
        let is_connected = match peername {
            Some(name) => name.is_truthy()?,
            None => false,
        };
        let address = match address {
            Some(address) if address.is_truthy(py)? => Some(address),
            Some(_) | None => None,
        };
        let state = State {
            socket: Some(sock.clone().unbind()),
            protocol: Some(protocol.clone().unbind()),
            address,
            key: None,
            queue: DatagramQueue::new(Limits::default(), HEADER),
            context: Context::copy_current(py)?,
            write_context: None,
            burst: Burst::default(),
            has_started: false,
            is_paused: false,
            is_closing: false,
            is_held: false,
            is_lost: false,
            late_sends: 0,
            is_protocol_paused: false,
            last_from: None,
            last_to: None,
        };
        let transport = DatagramTransport {
            looop: looop.clone().unbind(),
            fd,
            number,
            family,
            is_connected,
            has_peer,
            state: GilCell::new(state),
        }
        .make(py)?;
        let this = transport.bind(py);
        // The slot of asyncio's base class, whose get_extra_info() looks into it.
        this.as_any().setattr(intern!(py, "_extra"), extra)?;
        looop.get().claim(py, number, this.clone().into_any().unbind())?;
        let bound = looop;
        let looop = looop.get();
        let callback = protocol.getattr(intern!(py, "connection_made"))?.unbind();
        let argument = Some(this.clone().into_any().unbind());
        let context = Context::copy_current(py)?.into_object();
        looop.push(py, Item::Call { callback, argument, context });
        let start = Scheduled { transport: transport.clone_ref(py), step: Step::Start };
        looop.push(py, Item::Native(Box::new(start)));
        if let Some(waiter) = waiter {
            Wake::schedule(bound, waiter)?;
        }
        Ok(transport)
    }

    #[inline]
    fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut State) -> R) -> R {
        self.state.with(py, body)
    }

    fn protocol(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.with(py, |state| state.protocol.as_ref().map(|protocol| protocol.clone_ref(py)))
    }
}

/// The three things that `get_extra_info()` tells, beside what the caller knows.
fn describe<'py>(
    sock: &Bound<'py, PyAny>,
    extra: Option<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let py = sock.py();
    let extra = extra.map_or_else(|| make::dict(py), Ok)?;
    let name = |method| match sock.call_method0(method) {
        Ok(name) => Ok(name),
        Err(error) if error.is_instance_of::<PyOSError>(py) => Ok(py.None().into_bound(py)),
        Err(error) => Err(error),
    };
    extra.set_item(intern!(py, "socket"), names::transport_socket(py)?.call1((sock,))?)?;
    extra.set_item(intern!(py, "sockname"), name(intern!(py, "getsockname"))?)?;
    if !extra.contains(intern!(py, "peername"))? {
        extra.set_item(intern!(py, "peername"), name(intern!(py, "getpeername"))?)?;
    }
    Ok(extra)
}

impl Adopted for DatagramTransport {
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
                let queued = state.queue.iter().filter_map(|outgoing| match &outgoing.to {
                    To::Object(object) => Some(object),
                    To::Peer | To::Inet(_) => None,
                });
                [
                    Some(state.context.as_object()),
                    state.write_context.as_ref().map(Context::as_object),
                    state.socket.as_ref(),
                    state.protocol.as_ref(),
                    state.address.as_ref(),
                    state.last_from.as_ref().map(|known| &known.object),
                    state.last_to.as_ref().map(|known| &known.object),
                ]
                .into_iter()
                .flatten()
                .chain(queued)
                .map(|object| visit(object.as_ptr()))
                .find(|&answer| answer != 0)
                .unwrap_or(0)
            })
            .unwrap_or(0)
    }

    fn clear(slf: &Bound<'_, Self>) {
        let held = slf.get().with(slf.py(), |state| (state.protocol.take(), state.address.take()));
        drop(held);
    }

    fn finalize(slf: &Bound<'_, Self>) {
        let py = slf.py();
        if slf.get().with(py, |state| state.socket.is_none()) {
            return;
        }
        telling::unclosed(slf.as_any(), || slf.get().release(slf));
    }
}
