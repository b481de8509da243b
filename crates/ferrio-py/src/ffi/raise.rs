//! Raising an exception that is there already, as `raise error` does.
//!
//! What PyO3 makes when it is raised goes by way of the interpreter, which looks at what is being
//! handled and makes that the context. An exception that was made before, by a call of its class or by
//! the program, is only handed over by PyO3: it would keep the context that it has, which is none or
//! that of the last time.

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// `raise error`. Its context is what is being handled where this is called. What is no exception
/// becomes one, or the TypeError for it.
pub(crate) fn raised(error: Bound<'_, PyAny>) -> PyErr {
    let py = error.py();
    // SAFETY: attached; a live object and its type.
    unsafe {
        if ffi::PyExceptionInstance_Check(error.as_ptr()) == 0 {
            return PyErr::from_value(error);
        }
        ffi::PyErr_SetObject(ffi::Py_TYPE(error.as_ptr()).cast(), error.as_ptr());
    }
    PyErr::fetch(py)
}

/// Does what asyncio does in an `except` or `finally` clause: meanwhile `error` is what is being
/// handled, so that it becomes the context of whatever is raised, by the program's code as well.
pub(crate) fn while_handling<T>(
    py: Python<'_>,
    error: &PyErr,
    deed: impl FnOnce() -> PyResult<T>,
) -> PyResult<T> {
    let _handled = Handled::set(error.value(py).as_any());
    deed().map_err(|failed| {
        // What PyO3 only describes is made here, while there is a context for it.
        failed.restore(py);
        PyErr::fetch(py)
    })
}

/// Does what asyncio does in a `finally` clause, after this outcome.
#[inline]
pub(crate) fn finally<T>(
    py: Python<'_>,
    outcome: PyResult<T>,
    deed: impl FnOnce() -> PyResult<()>,
) -> PyResult<T> {
    match outcome {
        Ok(value) => deed().map(|()| value),
        Err(error) => {
            while_handling(py, &error, deed)?;
            Err(error)
        }
    }
}

/// What is being handled in the frame that is running; as before when it is dropped.
struct Handled<'py> {
    before: Option<Bound<'py, PyAny>>,
}

impl<'py> Handled<'py> {
    fn set(error: &Bound<'py, PyAny>) -> Handled<'py> {
        let py = error.py();
        // SAFETY: attached; an exception. What is replaced is put back when this is dropped.
        unsafe {
            let handled = || Bound::from_owned_ptr_or_opt(py, ffi::PyErr_GetHandledException());
            let innermost = handled();
            // The answer is the innermost frame's that handles anything. What an outer one does must
            // not be left in this one.
            ffi::PyErr_SetHandledException(ptr::null_mut());
            let outer = handled();
            let is_outer = match (&innermost, &outer) {
                (Some(innermost), Some(outer)) => innermost.is(outer),
                (Some(_) | None, None) | (None, Some(_)) => false,
            };
            ffi::PyErr_SetHandledException(error.as_ptr());
            Handled { before: innermost.filter(|_| !is_outer) }
        }
    }
}

impl Drop for Handled<'_> {
    fn drop(&mut self) {
        // SAFETY: attached; an exception or NULL.
        unsafe {
            let before = self.before.as_ref().map_or(ptr::null_mut(), |before| before.as_ptr());
            ffi::PyErr_SetHandledException(before);
        }
    }
}

/// Tells `sys.unraisablehook` of an error that nobody can be given. `doing` is what the interpreter
/// says of it since 3.14: a format with one object in it, which is the hook's own before that.
#[cold]
pub(crate) fn ignored(error: PyErr, doing: &'static CStr, object: &Bound<'_, PyAny>) {
    let py = object.py();
    #[cfg(Py_3_14)]
    {
        unsafe extern "C" {
            // Public (Include/cpython/pyerrors.h), exported since 3.13, missing from pyo3-ffi.
            fn PyErr_FormatUnraisable(format: *const std::ffi::c_char, ...);
        }
        error.restore(py);
        // SAFETY: attached; a text with an end, for one live object.
        unsafe { PyErr_FormatUnraisable(doing.as_ptr(), object.as_ptr()) };
    }
    #[cfg(not(Py_3_14))]
    {
        let _ = doing;
        error.write_unraisable(py, Some(object));
    }
}

/// What becomes of `error` when it is raised in Rust while `handled` is being handled there, of
/// which the interpreter does not know.
pub(crate) fn raised_while(py: Python<'_>, error: PyErr, handled: &Bound<'_, PyAny>) -> PyErr {
    set_context(error.value(py).as_any(), handled);
    error
}

/// Makes `handled` the context of `error`, and not for ever in a circle (`_PyErr_SetObject`,
/// Python/errors.c).
fn set_context(error: &Bound<'_, PyAny>, handled: &Bound<'_, PyAny>) {
    if error.is(handled) {
        return;
    }
    let py = error.py();
    // SAFETY: attached; exceptions all of them. Contexts are owned by the exceptions that have them,
    // and no Python code runs until the last one is set.
    unsafe {
        let mut link = handled.clone();
        // Somebody may have made a circle by hand: it is walked at half the pace behind.
        let mut slow = handled.clone();
        let mut is_even = false;
        loop {
            let context = ffi::PyException_GetContext(link.as_ptr());
            let Some(context) = Bound::from_owned_ptr_or_opt(py, context) else { break };
            if context.is(error) {
                ffi::PyException_SetContext(link.as_ptr(), ptr::null_mut());
                break;
            }
            link = context;
            if link.is(&slow) {
                break;
            }
            if is_even {
                let next = ffi::PyException_GetContext(slow.as_ptr());
                if let Some(next) = Bound::from_owned_ptr_or_opt(py, next) {
                    slow = next;
                }
            }
            is_even = !is_even;
        }
        ffi::PyException_SetContext(error.as_ptr(), handled.clone().into_ptr());
    }
}
