//! What the loop cannot do yet: each method is a coroutine that says so when it is awaited, after
//! those of asyncio's checks that cost nothing.
//!
//! Each moves to a file of its own when it is written.

use pyo3::exceptions::{PyNotImplementedError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::Loop;
use crate::coroutine::Coroutine;
use crate::names;

/// A coroutine that raises NotImplementedError.
fn missing(py: Python<'_>, qualname: &'static str, what: &'static str) -> PyResult<Py<PyAny>> {
    Coroutine::make(py, qualname, async move { Err(not_implemented(what)) })
}

fn not_implemented(what: &str) -> PyErr {
    PyNotImplementedError::new_err(format!("{what} not implemented yet in ferrio"))
}

macro_rules! missing_methods {
    ($($name:ident: $qualname:literal, $what:literal, $signature:literal;)*) => {
        #[pymethods]
        impl Loop {
            $(
                #[doc = concat!("Raises NotImplementedError: ", $what, " not implemented yet.")]
                #[pyo3(signature = (*_args, **_kwargs), text_signature = $signature)]
                fn $name(
                    &self,
                    py: Python<'_>,
                    _args: &Bound<'_, PyTuple>,
                    _kwargs: Option<&Bound<'_, PyDict>>,
                ) -> PyResult<Py<PyAny>> {
                    missing(py, $qualname, $what)
                }
            )*
        }
    };
}

missing_methods! {
    create_datagram_endpoint: "Loop.create_datagram_endpoint", "UDP is",
        "($self, protocol_factory, local_addr=None, remote_addr=None, *, family=0, proto=0, \
         flags=0, reuse_address=None, reuse_port=None, allow_broadcast=None, sock=None)";
}

#[pymethods]
impl Loop {
    /// Raises NotImplementedError: sendfile is not implemented yet.
    #[pyo3(signature = (transport, file, offset=None, count=None, *, fallback=true),
           text_signature = "($self, transport, file, offset=0, count=None, *, fallback=True)")]
    fn sendfile(
        &self,
        py: Python<'_>,
        transport: Py<PyAny>,
        file: Py<PyAny>,
        offset: Option<Py<PyAny>>,
        count: Option<Py<PyAny>>,
        fallback: bool,
    ) -> PyResult<Py<PyAny>> {
        let _later = (file, offset, count, fallback);
        Coroutine::make(py, "Loop.sendfile", async move {
            Python::attach(|py| {
                if transport.call_method0(py, intern!(py, "is_closing"))?.is_truthy(py)? {
                    return Err(PyRuntimeError::new_err("Transport is closing"));
                }
                Err(not_implemented("sendfile is"))
            })
        })
    }

    /// Raises NotImplementedError: sendfile is not implemented yet.
    #[pyo3(signature = (sock, file, offset=None, count=None, *, fallback=true),
           text_signature = "($self, sock, file, offset=0, count=None, *, fallback=True)")]
    fn sock_sendfile(
        slf: Py<Self>,
        py: Python<'_>,
        sock: Py<PyAny>,
        file: Py<PyAny>,
        offset: Option<Py<PyAny>>,
        count: Option<Py<PyAny>>,
        fallback: bool,
    ) -> PyResult<Py<PyAny>> {
        let _later = fallback;
        Coroutine::make(py, "Loop.sock_sendfile", async move {
            Python::attach(|py| {
                names::check_ssl_socket(py)?.call1((&sock,))?;
                let offset = match offset {
                    Some(offset) => offset,
                    None => 0i32.into_pyobject(py)?.into_any().unbind(),
                };
                names::base_event_loop(py)?.call_method1(
                    intern!(py, "_check_sendfile_params"),
                    (slf, sock, file, offset, count),
                )?;
                Err(not_implemented("sendfile is"))
            })
        })
    }
}
