//! What `loop.sendfile()` needs of a stream (python/ferrio/_sendfile.py): the moment when all is
//! sent, and then its descriptor.
//!
//! ```text
//!   open ── make_empty_waiter ──> draining ── all sent ──> lend ── take_back, reset ──> open
//! ```
//!
//! Nothing may be written from the first step to the last.

use pyo3::exceptions::{PyConnectionError, PyRuntimeError};
use pyo3::prelude::*;

use super::StreamTransport;
use crate::error::WithText;
use crate::event_loop::Loop;
use crate::ffi::interned::intern;

#[pymethods]
impl StreamTransport {
    /// sendfile(2) is worth a try.
    #[classattr]
    fn _sendfile_compatible(py: Python<'_>) -> PyResult<Py<PyAny>> {
        let modes = py.import("asyncio.constants")?.getattr("_SendfileMode")?;
        Ok(modes.getattr("TRY_NATIVE")?.unbind())
    }

    /// A future that is done when all is sent. Nothing may be written until
    /// `_reset_empty_waiter()`.
    fn _make_empty_waiter(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let this = slf.get();
        if this.with(py, |state| state.empty_waiter.is_some()) {
            return Err(PyRuntimeError::with_text("Empty waiter is already set"));
        }
        let looop = this.looop.bind(py);
        let waiter = Loop::create_future(looop)?.unbind();
        this.with(py, |state| state.empty_waiter = Some(waiter.clone_ref(py)));
        this.tell_empty(py)?;
        Ok(waiter)
    }

    /// Writing is allowed again.
    fn _reset_empty_waiter(&self, py: Python<'_>) {
        drop(self.with(py, |state| state.empty_waiter.take()));
    }

    /// Lets go of the descriptor, for `sock_sendfile` to wait on.
    fn _lend(slf: &Bound<'_, Self>) {
        let py = slf.py();
        let this = slf.get();
        this.unregister(py);
        let fd = this.with(py, |state| state.endpoint.fd());
        this.looop.get().disclaim(py, fd, slf.as_any());
    }

    /// Has the descriptor watched again, if the connection is still there.
    fn _take_back(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let is_over = this.with(py, |state| state.is_lost || state.endpoint.is_closed());
        let looop = this.looop.bind(py);
        if is_over || looop.get().is_closed() {
            return Ok(());
        }
        let fd = this.with(py, |state| state.endpoint.fd());
        looop.get().claim(py, fd, slf.clone().into_any().unbind())?;
        this.start(slf, looop)
    }
}

impl StreamTransport {
    /// Refuses a write while a file is being sent.
    pub(super) fn check_sendfile(&self, py: Python<'_>, method: &str) -> PyResult<()> {
        if self.with(py, |state| state.empty_waiter.is_none()) {
            return Ok(());
        }
        let text = format!("unable to {method}; sendfile is in progress");
        Err(PyRuntimeError::with_text(text))
    }

    /// Completes the waiter if all is sent.
    pub(super) fn tell_empty(&self, py: Python<'_>) -> PyResult<()> {
        let waiter = self.with(py, |state| match &state.empty_waiter {
            Some(waiter) if state.stream.buffered_bytes() == 0 && !state.stream.is_closed() => {
                Some(waiter.clone_ref(py))
            }
            Some(_) | None => None,
        });
        match waiter {
            Some(waiter) if !is_done(py, &waiter)? => {
                waiter.call_method1(py, intern!(py, "set_result"), (py.None(),)).map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// The connection is lost: whoever waits for all to be sent hears why.
    pub(super) fn fail_waiter(&self, py: Python<'_>, error: Option<&PyErr>) -> PyResult<()> {
        let waiter =
            self.with(py, |state| state.empty_waiter.as_ref().map(|waiter| waiter.clone_ref(py)));
        let Some(waiter) = waiter else { return Ok(()) };
        if is_done(py, &waiter)? {
            return Ok(());
        }
        let error = match error {
            Some(error) => error.clone_ref(py),
            None => PyConnectionError::with_text("Connection is closed by peer"),
        };
        waiter.call_method1(py, intern!(py, "set_exception"), (error.into_value(py),)).map(drop)
    }
}

fn is_done(py: Python<'_>, waiter: &Py<PyAny>) -> PyResult<bool> {
    waiter.call_method0(py, intern!(py, "done"))?.is_truthy(py)
}
