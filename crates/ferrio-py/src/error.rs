//! From the engine's errors to Python's exceptions.

use std::io;

use pyo3::PyErr;
use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// The OSError for a failed system call: `OSError(errno, strerror)`, which picks the subclass
/// (ConnectionResetError, BrokenPipeError) by the number, as the `socket` module's errors do.
pub(crate) fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(errno) => Python::attach(|py| match strerror(py, errno) {
            Ok(text) => PyOSError::new_err((errno, text.unbind())),
            Err(error) => error,
        }),
        None => PyErr::from(error),
    }
}

/// `os.strerror(errno)`.
fn strerror(py: Python<'_>, errno: i32) -> PyResult<Bound<'_, PyString>> {
    Ok(crate::names::strerror(py)?.call1((errno,))?.cast_into::<PyString>()?)
}
