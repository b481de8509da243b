//! Calls on the transport below a stream: straight, where it is a `StreamTransport` that is as it
//! was made, else by their methods.

use pyo3::prelude::*;

use crate::ffi::call::call_method1;
use crate::ffi::class::has_no_attributes;
use crate::ffi::interned::intern;
use crate::ffi::overrides::Methods;
use crate::transport::StreamTransport;

static METHODS: Methods = Methods::new(&["write", "is_closing", "pause_reading", "resume_reading"]);

pub(super) fn install(py: Python<'_>) -> PyResult<()> {
    METHODS.remember(py, &[py.get_type::<StreamTransport>().as_any()])
}

/// The transport, if it is one of ours on which nobody has set anything.
#[inline]
fn ours<'a, 'py>(transport: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, StreamTransport>> {
    let ours = transport.cast::<StreamTransport>().ok()?;
    (has_no_attributes(ours) && METHODS.are_of(transport)).then_some(ours)
}

/// `transport.write(data)`.
pub(super) fn write<'py>(transport: &Bound<'py, PyAny>, data: &Bound<'py, PyAny>) -> PyResult<()> {
    match ours(transport) {
        Some(ours) => StreamTransport::write(ours, data),
        None => {
            let py = transport.py();
            call_method1(py, transport.as_unbound(), intern!(py, "write"), data).map(drop)
        }
    }
}

/// `transport.is_closing()`.
pub(super) fn is_closing(transport: &Bound<'_, PyAny>) -> PyResult<bool> {
    match ours(transport) {
        Some(ours) => Ok(ours.get().is_closing(transport.py())),
        None => transport.call_method0(intern!(transport.py(), "is_closing"))?.is_truthy(),
    }
}

/// `transport.pause_reading()`.
pub(super) fn pause_reading(transport: &Bound<'_, PyAny>) -> PyResult<()> {
    match ours(transport) {
        Some(ours) => StreamTransport::pause_reading(ours),
        None => transport.call_method0(intern!(transport.py(), "pause_reading")).map(drop),
    }
}

/// `transport.resume_reading()`.
pub(super) fn resume_reading(transport: &Bound<'_, PyAny>) -> PyResult<()> {
    match ours(transport) {
        Some(ours) => StreamTransport::resume_reading(ours),
        None => transport.call_method0(intern!(transport.py(), "resume_reading")).map(drop),
    }
}
