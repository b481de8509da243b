//! Driving an iterator as a task drives a coroutine.

use std::ptr;

use pyo3::exceptions::{PyStopIteration, PySystemError, PyTypeError};
use pyo3::prelude::*;
use pyo3::{ffi, intern};

use crate::error::WithText;

/// What one step of an iterator gave.
pub(crate) enum Step<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

/// `await`s begin with this: the iterator of an awaitable (`_PyCoro_GetAwaitableIter`).
pub(crate) fn awaitable_iter<'py>(awaitable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = awaitable.py();
    // SAFETY: reads a type flag of a live object.
    if unsafe { ffi::PyCoro_CheckExact(awaitable.as_ptr()) } != 0 {
        return Ok(awaitable.clone());
    }
    // SAFETY: the type of a live object is live; the slots are read, not called, here.
    let method = unsafe {
        let methods = (*ffi::Py_TYPE(awaitable.as_ptr())).tp_as_async;
        if methods.is_null() { None } else { (*methods).am_await }
    };
    let Some(am_await) = method else {
        // A generator-based coroutine (types.coroutine) is its own iterator.
        if awaitable.hasattr(intern!(py, "gi_code"))? {
            return Ok(awaitable.clone());
        }
        let name = awaitable.get_type().name()?;
        let text = if cfg!(Py_3_14) {
            format!("'{name}' object can't be awaited")
        } else {
            format!("object {name} can't be used in 'await' expression")
        };
        return Err(PyTypeError::with_text(text));
    };
    // SAFETY: the slot takes the object it was found on and returns a new reference or an error.
    unsafe { Bound::from_owned_ptr_or_err(py, am_await(awaitable.as_ptr())) }
}

/// Is it what calling an `async def` function makes?
#[inline]
pub(crate) fn is_exact_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: only looks at the type.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

/// `iterator.send(value)`.
pub(crate) fn send<'py>(
    iterator: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Step<'py>> {
    let py = iterator.py();
    let mut result = ptr::null_mut();
    // SAFETY: both objects are live; PyIter_Send writes a new reference to `result`, or NULL.
    let (status, object) = unsafe {
        let status = ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result);
        (status, Bound::from_owned_ptr_or_opt(py, result))
    };
    match (status, object) {
        (ffi::PySendResult::PYGEN_NEXT, Some(object)) => Ok(Step::Yielded(object)),
        (ffi::PySendResult::PYGEN_RETURN, Some(object)) => Ok(Step::Returned(object)),
        (_, _) => Err(raised(py)),
    }
}

/// What a frame has raised. CPython's can fail for want of memory and forget to say so, which its
/// own calls notice and this one does not.
#[cold]
fn raised(py: Python<'_>) -> PyErr {
    PyErr::take(py)
        .unwrap_or_else(|| PySystemError::with_text("error return without exception set"))
}

/// `iterator.throw(error)`; an iterator without `throw` is left with the error, as `yield from`
/// leaves it.
pub(crate) fn throw<'py>(iterator: &Bound<'py, PyAny>, error: PyErr) -> PyResult<Step<'py>> {
    let py = iterator.py();
    let Some(method) = iterator.getattr_opt(intern!(py, "throw"))? else {
        return Err(error);
    };
    match method.call1((error.into_value(py),)) {
        Ok(yielded) => Ok(Step::Yielded(yielded)),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Step::Returned(stop.value(py).getattr(intern!(py, "value"))?))
        }
        Err(error) => Err(error),
    }
}
