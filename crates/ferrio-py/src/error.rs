//! Exceptions: with a text of ours, and from the engine's errors.

use std::any::Any;
use std::io;

use pyo3::exceptions::{PyMemoryError, PyOSError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyErr, PyTypeInfo};

use crate::ffi::make;

/// Exceptions with a text.
pub(crate) trait WithText: PyTypeInfo {
    /// `Class(text)`; or the MemoryError, if there is no memory for the text. PyO3's `new_err`
    /// makes the text when the exception is raised, which is too late for that: its panic there
    /// aborts the process.
    fn with_text(text: impl AsRef<str>) -> PyErr {
        let text = text.as_ref();
        let made = Python::try_attach(|py| match make::text(py, text) {
            Ok(text) => PyErr::new::<Self, _>(text.unbind()),
            Err(error) => error,
        });
        // The interpreter is shutting down.
        made.unwrap_or_else(|| PyErr::new::<Self, _>(text.to_owned()))
    }
}

impl<E: PyTypeInfo> WithText for E {}

/// What a panic is to the program, where it is stopped: the MemoryError that it stands for, or else
/// a RuntimeError with this text. PyO3 panics where it is given NULL for a new object; our own code
/// does not let it ([`make`]), but there are such places in PyO3 itself.
pub(crate) fn of_panic(panic: &(dyn Any + Send), text: &str) -> PyErr {
    match panic.downcast_ref::<&str>() {
        Some(&"PyObject pointer is null") => PyMemoryError::new_err(()),
        Some(_) | None => PyRuntimeError::with_text(text),
    }
}

/// The OSError for a failed system call: `OSError(errno, strerror)`, which picks the subclass
/// (ConnectionResetError, BrokenPipeError) by the number, as the `socket` module's errors do.
pub(crate) fn os_error(error: io::Error) -> PyErr {
    match error.raw_os_error() {
        Some(errno) => Python::attach(|py| numbered(py, errno, strerror(py, errno))),
        None => PyErr::from(error),
    }
}

/// `OSError(errno, text)`.
pub(crate) fn numbered<'py>(
    py: Python<'py>,
    errno: i32,
    text: PyResult<Bound<'py, PyString>>,
) -> PyErr {
    let arguments = || make::tuple(py, [make::int(py, errno)?.into_any(), text?.into_any()]);
    match arguments() {
        Ok(arguments) => PyOSError::new_err(arguments.unbind()),
        Err(error) => error,
    }
}

/// `os.strerror(errno)`.
fn strerror(py: Python<'_>, errno: i32) -> PyResult<Bound<'_, PyString>> {
    let errno = make::int(py, errno)?;
    Ok(crate::names::strerror(py)?.call1((errno,))?.cast_into::<PyString>()?)
}
