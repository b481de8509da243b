//! `Lower`: the transport that carries the ciphertext.

use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::event_loop::Loop;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::recursion;
use crate::transport::StreamTransport;
use crate::transport::chunk::Chunk;

/// What is below TLS.
pub(crate) enum Lower {
    /// A stream of ours, used without a call of Python.
    Stream(Py<StreamTransport>),
    /// Anything else with asyncio's methods: a program's transport, asyncio's own, TLS again.
    Foreign(Py<PyAny>),
}

impl Lower {
    pub(crate) fn new(transport: &Bound<'_, PyAny>, looop: &Py<Loop>) -> Lower {
        match transport.cast_exact::<StreamTransport>() {
            Ok(stream) if stream.get().is_of(looop) => Lower::Stream(stream.clone().unbind()),
            Ok(_) | Err(_) => Lower::Foreign(transport.clone().unbind()),
        }
    }

    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Lower {
        match self {
            Lower::Stream(stream) => Lower::Stream(stream.clone_ref(py)),
            Lower::Foreign(transport) => Lower::Foreign(transport.clone_ref(py)),
        }
    }

    pub(crate) fn object<'a, 'py>(&'a self, py: Python<'py>) -> &'a Bound<'py, PyAny> {
        match self {
            Lower::Stream(stream) => stream.bind(py).as_any(),
            Lower::Foreign(transport) => transport.bind(py),
        }
    }

    pub(crate) fn as_ptr(&self) -> *mut pyo3::ffi::PyObject {
        match self {
            Lower::Stream(stream) => stream.as_ptr(),
            Lower::Foreign(transport) => transport.as_ptr(),
        }
    }

    /// Sends ciphertext, no piece of which is empty, in one call.
    pub(crate) fn write(&self, py: Python<'_>, pieces: &[Bound<'_, PyBytes>]) -> PyResult<()> {
        match (self, pieces) {
            (_, []) => Ok(()),
            (Lower::Stream(stream), [piece]) => stream.get().write_bytes(stream.bind(py), piece),
            (Lower::Stream(stream), pieces) => {
                let added = pieces.iter().map(|piece| piece.as_bytes().len()).sum();
                stream.get().write_all(stream.bind(py), pieces.iter().map(Chunk::shared), added)
            }
            (Lower::Foreign(transport), [piece]) => {
                foreign(transport, py, intern!(py, "write"), (piece,)).map(drop)
            }
            (Lower::Foreign(transport), pieces) => {
                let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
                let all = make::bytes(py, &pieces.concat())?;
                foreign(transport, py, intern!(py, "write"), (all,)).map(drop)
            }
        }
    }

    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Lower::Stream(stream) => StreamTransport::close(stream.bind(py)),
            Lower::Foreign(transport) => foreign(transport, py, intern!(py, "close"), ()).map(drop),
        }
    }

    /// Ends the connection at once, and tells the protocols why.
    pub(crate) fn force_close(&self, py: Python<'_>, error: Option<&PyErr>) -> PyResult<()> {
        let error = error.map(|error| error.clone_ref(py));
        match self {
            Lower::Stream(stream) => stream.get().force_close(stream.bind(py), error),
            Lower::Foreign(transport) => {
                let name = intern!(py, "_force_close");
                if transport.bind(py).getattr_opt(name)?.is_none() {
                    // A program's own need not have asyncio's private method.
                    return foreign(transport, py, intern!(py, "abort"), ()).map(drop);
                }
                let error = error.map(|error| error.into_value(py));
                foreign(transport, py, name, (error,)).map(drop)
            }
        }
    }

    pub(crate) fn pause_reading(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Lower::Stream(stream) => StreamTransport::pause_reading(stream.bind(py)),
            Lower::Foreign(transport) => {
                foreign(transport, py, intern!(py, "pause_reading"), ()).map(drop)
            }
        }
    }

    pub(crate) fn resume_reading(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Lower::Stream(stream) => StreamTransport::resume_reading(stream.bind(py)),
            Lower::Foreign(transport) => {
                foreign(transport, py, intern!(py, "resume_reading"), ()).map(drop)
            }
        }
    }

    pub(crate) fn is_closing(&self, py: Python<'_>) -> PyResult<bool> {
        match self {
            Lower::Stream(stream) => Ok(stream.get().is_closing(py)),
            Lower::Foreign(transport) => {
                foreign(transport, py, intern!(py, "is_closing"), ())?.is_truthy()
            }
        }
    }

    pub(crate) fn extra_info(
        &self,
        py: Python<'_>,
        name: &Bound<'_, PyAny>,
        default: Option<Py<PyAny>>,
    ) -> PyResult<Option<Py<PyAny>>> {
        let transport = self.object(py).as_unbound();
        let found = foreign(transport, py, intern!(py, "get_extra_info"), (name, default))?;
        Ok(Some(found.unbind()))
    }
}

/// Calls a method of what may be TLS again, on TLS, and so on, or, as far as a program has its way,
/// on itself.
fn foreign<'py>(
    transport: &Py<PyAny>,
    py: Python<'py>,
    name: &Bound<'py, PyString>,
    arguments: impl PyCallArgs<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let _level = recursion::enter(py, c"")?;
    transport.bind(py).call_method1(name, arguments)
}
