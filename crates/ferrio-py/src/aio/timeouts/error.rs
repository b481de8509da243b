//! The TimeoutError in the place of a CancelledError.

use pyo3::exceptions::PyTimeoutError;
use pyo3::prelude::*;

use crate::aio::versions::Versions;
use crate::ffi::interned::intern;
use crate::names;

/// What becomes of an exception that a timeout has caused, or was in the way of it.
pub(super) fn timed_out(error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    let cancelled = names::cancelled_error(py)?;
    let versions = Versions::get(py)?;
    let is_cancellation = if versions.timeout_looks_into_exceptions {
        error.is_instance(&cancelled)?
    } else {
        // Up to 3.12, not of a subclass.
        error.get_type().is(&cancelled)
    };
    if is_cancellation {
        return Err(timeout_from(error)?);
    }
    if !versions.timeout_looks_into_exceptions {
        return Ok(());
    }
    insert_timeout_error(error)?;
    if error.is_instance(&names::exception_group(py)?)? {
        for part in error.getattr(intern!(py, "exceptions"))?.try_iter()? {
            insert_timeout_error(&part?)?;
        }
    }
    Ok(())
}

/// `raise TimeoutError from error`, while that is being handled. To the interpreter it need not be:
/// `wait_for` handles it in Rust.
pub(in crate::aio) fn timeout_from(error: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let py = error.py();
    let timeout = PyTimeoutError::new_err(()).into_value(py).into_bound(py).into_any();
    chain(&timeout, error)?;
    Ok(PyErr::from_value(timeout))
}

/// Makes `cause` both cause and context of `error`.
fn chain(error: &Bound<'_, PyAny>, cause: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    error.setattr(intern!(py, "__context__"), cause)?;
    error.setattr(intern!(py, "__cause__"), cause)
}

/// The first CancelledError that is the context of something gets a TimeoutError in front of it.
fn insert_timeout_error(error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    let cancelled = names::cancelled_error(py)?;
    let name = intern!(py, "__context__");
    let mut error = error.clone();
    loop {
        let context = error.getattr(name)?;
        if context.is_none() {
            return Ok(());
        }
        if context.is_instance(&cancelled)? {
            let timeout = PyTimeoutError::new_err(()).into_value(py).into_bound(py).into_any();
            chain(&timeout, &context)?;
            return error.setattr(name, timeout);
        }
        error = context;
    }
}
