//! Driving an iterator as a task drives a coroutine.

use std::ffi::CStr;
use std::ptr;

use pyo3::exceptions::{
    PyGeneratorExit, PyRuntimeError, PyStopIteration, PySystemError, PyTypeError,
};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::error::WithText;
use crate::ffi::interned::intern;
use crate::ffi::raise::ignored;

/// What becomes of an error as a coroutine, or what it awaits, is closed and nobody can be told.
pub(crate) const WHILE_CLOSING: &CStr = c"Exception ignored while closing generator %R";

/// What one step of an iterator gave.
pub(crate) enum Step<'py> {
    Yielded(Bound<'py, PyAny>),
    Returned(Bound<'py, PyAny>),
}

/// `await`s begin with this: the iterator of an awaitable (`_PyEval_GetAwaitable`).
pub(crate) fn awaitable_iter<'py>(awaitable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = awaitable.py();
    if is_exact_coroutine(awaitable) {
        if !awaitable.getattr(intern!(py, "cr_await"))?.is_none() {
            return Err(awaited_already());
        }
        return Ok(awaitable.clone());
    }
    // SAFETY: the type of a live object is live; the slots are read, not called, here.
    let method = unsafe {
        let methods = (*ffi::Py_TYPE(awaitable.as_ptr())).tp_as_async;
        if methods.is_null() { None } else { (*methods).am_await }
    };
    let Some(am_await) = method else {
        if is_generator_coroutine(awaitable)? {
            return Ok(awaitable.clone());
        }
        let name = type_name(awaitable);
        let text = if cfg!(Py_3_14) {
            format!("'{name}' object can't be awaited")
        } else {
            format!("object {name} can't be used in 'await' expression")
        };
        return Err(PyTypeError::with_text(text));
    };
    // SAFETY: the slot takes the object it was found on and returns a new reference or an error.
    let iterator = unsafe { Bound::from_owned_ptr_or_err(py, am_await(awaitable.as_ptr()))? };
    // SAFETY: looks at the type of a live object.
    let is_iterator = unsafe { ffi::PyIter_Check(iterator.as_ptr()) } != 0;
    let is_coroutine = is_exact_coroutine(&iterator) || is_generator_coroutine(&iterator)?;
    if is_iterator && !is_coroutine {
        return Ok(iterator);
    }
    Err(PyTypeError::with_text(if cfg!(Py_3_15) {
        let class = awaitable.get_type().fully_qualified_name()?;
        // A generator of `types.coroutine`'s is called what it is used as.
        let other = match is_coroutine {
            true => "coroutine".to_owned(),
            false => iterator.get_type().fully_qualified_name()?.to_string(),
        };
        format!("{class}.__await__() must return an iterator, not {other}")
    } else if is_coroutine {
        "__await__() returned a coroutine".to_owned()
    } else {
        format!("__await__() returned non-iterator of type '{}'", type_name(&iterator))
    }))
}

/// What is said of a coroutine that somebody else awaits.
pub(crate) fn awaited_already() -> PyErr {
    PyRuntimeError::with_text("coroutine is being awaited already")
}

/// Is it a generator of a function that `types.coroutine` has marked?
fn is_generator_coroutine(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    /// `inspect.CO_ITERABLE_COROUTINE`.
    const ITERABLE_COROUTINE: u32 = 0x100;
    let py = object.py();
    // SAFETY: only looks at the type.
    if unsafe { ffi::PyGen_CheckExact(object.as_ptr()) } == 0 {
        return Ok(false);
    }
    let flags = object.getattr(intern!(py, "gi_code"))?.getattr(intern!(py, "co_flags"))?;
    Ok(flags.extract::<u32>()? & ITERABLE_COROUTINE != 0)
}

/// What messages of the interpreter's call the type: `_thread.lock`, but `Odd` for a class written
/// in Python.
fn type_name(object: &Bound<'_, PyAny>) -> String {
    // SAFETY: a live object's type, whose name is a C string that lives as long.
    let name = unsafe { CStr::from_ptr((*ffi::Py_TYPE(object.as_ptr())).tp_name) };
    name.to_string_lossy().into_owned()
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
/// leaves it. One that is left by GeneratorExit is closed (`_gen_throw`, Objects/genobject.c).
pub(crate) fn throw<'py>(iterator: &Bound<'py, PyAny>, error: PyErr) -> PyResult<Step<'py>> {
    let py = iterator.py();
    if error.is_instance_of::<PyGeneratorExit>(py) {
        close(iterator)?;
        return Err(error);
    }
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

/// What becomes of an iterator whose awaiter is closed (`gen_close_iter`).
///
/// # Errors
/// Whatever its `close` raises.
fn close(iterator: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = iterator.py();
    match iterator.getattr_opt(intern!(py, "close")) {
        Ok(Some(method)) => method.call0().map(drop),
        Ok(None) => Ok(()),
        Err(error) => {
            ignored(error, WHILE_CLOSING, iterator);
            Ok(())
        }
    }
}
