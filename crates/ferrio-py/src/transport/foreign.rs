//! Transports over socket objects that are more than a descriptor.
//!
//! A subclass of `socket.socket` may override `recv` or `send`, and a program that passes one as
//! `sock=` counts on their being called. asyncio's own transport does that and needs nothing of a
//! loop but watching a descriptor, so it is used for these: rare, and never quick.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Endpoint, StreamTransport};
use crate::event_loop::Loop;
use crate::ffi::Context;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::{names, socket};

/// A stream transport over a socket that was connected for it, in a way that the program may have
/// replaced.
pub(crate) fn over_endpoint(
    looop: &Bound<'_, Loop>,
    endpoint: Endpoint,
    protocol: &Bound<'_, PyAny>,
    waiter: Option<Py<PyAny>>,
    context: Option<Context>,
) -> PyResult<Py<PyAny>> {
    let py = looop.py();
    if let Some(sock) = endpoint.socket() {
        let sock = sock.bind(py);
        sock.call_method1(intern!(py, "setblocking"), (false,))?;
        return over_socket(looop, sock, protocol, waiter, None, None, context);
    }
    let transport = StreamTransport::open(looop, endpoint, protocol, waiter, None, context)?;
    Ok(transport.into_any())
}

/// A stream transport over a connected, non-blocking socket object: ours if it is a plain
/// `socket.socket`, else asyncio's (python/ferrio/_socket_transport.py).
pub(crate) fn over_socket(
    looop: &Bound<'_, Loop>,
    sock: &Bound<'_, PyAny>,
    protocol: &Bound<'_, PyAny>,
    waiter: Option<Py<PyAny>>,
    extra: Option<&Bound<'_, PyAny>>,
    server: Option<Py<PyAny>>,
    context: Option<Context>,
) -> PyResult<Py<PyAny>> {
    let py = looop.py();
    // Two transports would take each other's data.
    if cfg!(Py_3_12) {
        looop.call_method1(intern!(py, "_ensure_fd_no_transport"), (sock,))?;
    }
    if socket::is_plain(sock)? {
        let endpoint = Endpoint::from_socket(sock)?;
        let transport = StreamTransport::open(looop, endpoint, protocol, waiter, server, context)?;
        return Ok(transport.into_any());
    }
    keep_registry(looop)?;
    let options = make::dict(py)?;
    // What `accept` has said; a native transport asks the socket.
    options.set_item(intern!(py, "extra"), extra)?;
    options.set_item(intern!(py, "server"), server)?;
    if cfg!(Py_3_15) {
        options.set_item(intern!(py, "context"), context.map(Context::into_object))?;
    }
    let arguments = (looop, sock, protocol, waiter);
    Ok(names::socket_object_transport(py)?.call(arguments, Some(&options))?.unbind())
}

/// A datagram transport over any other socket object than a plain one: asyncio's.
pub(crate) fn over_datagrams(
    looop: &Bound<'_, Loop>,
    sock: &Bound<'_, PyAny>,
    protocol: &Bound<'_, PyAny>,
    address: Option<Py<PyAny>>,
    waiter: Option<Py<PyAny>>,
    extra: Option<Bound<'_, PyDict>>,
) -> PyResult<Py<PyAny>> {
    keep_registry(looop)?;
    let arguments = (looop, sock, protocol, address, waiter, extra);
    Ok(names::datagram_object_transport(looop.py())?.call1(arguments)?.unbind())
}

/// asyncio's constructors enter their transports here, by number.
fn keep_registry(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let registry = intern!(py, "_transports");
    if !looop.hasattr(registry)? {
        looop.setattr(registry, names::weak_value_dictionary(py)?.call0()?)?;
    }
    Ok(())
}
