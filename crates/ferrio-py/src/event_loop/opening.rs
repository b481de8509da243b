//! From a connected socket to a transport and its protocol: the common end of `create_connection`
//! and its like (Lib/asyncio/base_events.py, `_create_connection_transport`).

use std::ffi::c_int;
use std::future::Future;
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::Loop;
use crate::coroutine::{self, await_object};
use crate::error::WithText;
use crate::ffi::Context;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::transport::Endpoint;
use crate::transport::foreign::{over_endpoint, over_socket};
use crate::transport::tls::Settings;

/// What a transport is to be made of.
pub(super) enum Given {
    /// Connected by us: closed if no transport comes of it.
    Endpoint(Endpoint),
    /// The program's.
    Socket(Py<PyAny>),
}

/// A connection under way: what its coroutine holds while it waits, for the collector to see. A
/// handshake may take long, on a loop that may be forgotten with it.
pub(super) struct Opening {
    pub(super) looop: Py<Loop>,
    held: GilCell<Held>,
}

enum Held {
    Factory(Py<PyAny>),
    /// What a handshake is waited for with.
    Made {
        transport: Py<PyAny>,
        protocol: Py<PyAny>,
    },
    Nothing,
}

impl coroutine::Held for Opening {
    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let held = self.held.try_with(py, |held| match held {
            Held::Factory(factory) => [Some(factory.as_ptr()), None],
            Held::Made { transport, protocol } => {
                [Some(transport.as_ptr()), Some(protocol.as_ptr())]
            }
            Held::Nothing => [None, None],
        });
        std::iter::once(self.looop.as_ptr())
            .chain(held.into_iter().flatten().flatten())
            .map(visit)
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }
}

impl Opening {
    /// The coroutine that runs `body`.
    pub(super) fn run<F>(
        looop: Py<Loop>,
        protocol_factory: Py<PyAny>,
        py: Python<'_>,
        qualname: &'static str,
        body: impl FnOnce(Arc<Opening>) -> F,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
    {
        let held = GilCell::new(Held::Factory(protocol_factory));
        let opening = Arc::new(Opening { looop, held });
        let shown = Arc::clone(&opening) as Arc<dyn coroutine::Held>;
        coroutine::holding(py, qualname, shown, body(opening))
    }

    fn replace(&self, py: Python<'_>, held: Held) -> Held {
        self.held.with(py, |old| std::mem::replace(old, held))
    }

    /// `_create_connection_transport`: transport and protocol, once connection_made was called or
    /// the TLS handshake is over.
    pub(super) async fn finish(
        &self,
        given: Given,
        tls: Option<Settings>,
    ) -> PyResult<(Py<PyAny>, Py<PyAny>)> {
        let waiter = Python::attach(|py| {
            let Held::Factory(factory) = self.replace(py, Held::Nothing) else {
                return Err(PyRuntimeError::with_text("a connection is opened once"));
            };
            let (transport, protocol, waiter) =
                make(self.looop.bind(py), given, factory.bind(py), tls)?;
            self.replace(py, Held::Made { transport, protocol });
            Ok(waiter)
        })?;
        let result = await_object(waiter).await;
        Python::attach(|py| match (self.replace(py, Held::Nothing), result) {
            (Held::Made { transport, protocol }, Ok(_)) => Ok((transport, protocol)),
            (Held::Made { transport, .. }, Err(error)) => {
                transport.call_method0(py, intern!(py, "close"))?;
                Err(error)
            }
            // Cleared by nobody but us.
            (Held::Factory(_) | Held::Nothing, result) => {
                Err(result.err().unwrap_or_else(|| PyRuntimeError::with_text("opened twice")))
            }
        })
    }
}

/// Transport, protocol, and the future that `connection_made` completes.
type Made = (Py<PyAny>, Py<PyAny>, Py<PyAny>);

fn make(
    looop: &Bound<'_, Loop>,
    given: Given,
    protocol_factory: &Bound<'_, PyAny>,
    tls: Option<Settings>,
) -> PyResult<Made> {
    let py = looop.py();
    // From 3.15 on, what happens to a connection happens in one context, a copy of the caller's.
    // The factory runs in the caller's own.
    let context = if cfg!(Py_3_15) { Some(Context::copy_current(py)?) } else { None };
    match given {
        Given::Endpoint(endpoint) => match protocol_factory.call0() {
            Ok(protocol) => with_waiter(looop, protocol, tls, |protocol, waiter| {
                over_endpoint(looop, endpoint, protocol, waiter, context)
            }),
            Err(error) => {
                endpoint.close(py)?;
                Err(error)
            }
        },
        Given::Socket(sock) => {
            let made = (|| {
                sock.call_method1(py, intern!(py, "setblocking"), (false,))?;
                let protocol = protocol_factory.call0()?;
                with_waiter(looop, protocol, tls, |protocol, waiter| {
                    over_socket(looop, sock.bind(py), protocol, waiter, None, None, context)
                })
            })();
            // From 3.14 on, asyncio closes it; before, it stays the program's.
            if cfg!(Py_3_14) && made.is_err() {
                sock.call_method0(py, intern!(py, "close"))?;
            }
            made
        }
    }
}

/// Opens a transport with a future that its `connection_made`, or the TLS over it, completes.
fn with_waiter<'py>(
    looop: &Bound<'py, Loop>,
    protocol: Bound<'py, PyAny>,
    tls: Option<Settings>,
    open: impl FnOnce(&Bound<'py, PyAny>, Option<Py<PyAny>>) -> PyResult<Py<PyAny>>,
) -> PyResult<Made> {
    let waiter = Loop::create_future(looop)?.unbind();
    let its_waiter = Some(waiter.clone_ref(looop.py()));
    let transport = match tls {
        None => open(&protocol, its_waiter)?,
        Some(settings) => settings.open(looop, &protocol, its_waiter, |tls| open(tls, None))?,
    };
    Ok((transport, protocol.unbind(), waiter))
}
