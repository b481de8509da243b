//! Listening sockets, as `asyncio.Server` asks its loop for them
//! (Lib/asyncio/selector_events.py, `_start_serving`, `_stop_serving`).
//!
//! `create_server` itself is Python, in `python/ferrio/_loop.py`: it binds sockets, a few times in
//! a program's life, in the words of its version of asyncio.

use pyo3::prelude::*;

use super::Loop;
use crate::ffi::Context;
use crate::transport::listener::{Listener, Service, Tls};

#[pymethods]
impl Loop {
    /// Accepts connections on a socket that listens; asyncio's server calls this.
    ///
    /// A context, which asyncio passes from 3.15 on, is copied for each connection, and all of the
    /// connection's callbacks run in that copy.
    #[pyo3(signature = (protocol_factory, sock, sslcontext=None, server=None, backlog=100,
                        ssl_handshake_timeout=None, ssl_shutdown_timeout=None, context=None))]
    #[expect(clippy::too_many_arguments, reason = "asyncio's")]
    fn _start_serving(
        slf: &Bound<'_, Self>,
        protocol_factory: Py<PyAny>,
        sock: Py<PyAny>,
        sslcontext: Option<Bound<'_, PyAny>>,
        server: Option<Py<PyAny>>,
        backlog: i64,
        ssl_handshake_timeout: Option<Py<PyAny>>,
        ssl_shutdown_timeout: Option<Py<PyAny>>,
        context: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        let tls = match sslcontext {
            Some(context) if context.is_truthy()? => Some(Tls {
                context: context.unbind(),
                handshake_timeout: ssl_handshake_timeout,
                shutdown_timeout: ssl_shutdown_timeout,
            }),
            Some(_) | None => None,
        };
        let service = Service {
            socket: sock,
            protocol_factory,
            server,
            tls,
            backlog: usize::try_from(backlog).unwrap_or(0),
            is_context_fixed: context.is_some(),
            context: Context::from_argument(context, py)?,
        };
        Listener::start(slf, service)
    }

    /// Accepts no more, and closes the socket.
    fn _stop_serving(slf: &Bound<'_, Self>, sock: &Bound<'_, PyAny>) -> PyResult<()> {
        Listener::stop(slf, sock);
        sock.call_method0(pyo3::intern!(slf.py(), "close")).map(drop)
    }
}
