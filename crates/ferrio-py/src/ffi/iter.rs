//! Driving an iterator as a task drives a coroutine, and looking like a coroutine to a task.

use std::ptr;

use pyo3::exceptions::{PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::{PyTypeInfo, ffi, intern};

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
        return Err(PyTypeError::new_err(format!(
            "object {name} can't be used in 'await' expression"
        )));
    };
    // SAFETY: the slot takes the object it was found on and returns a new reference or an error.
    unsafe { Bound::from_owned_ptr_or_err(py, am_await(awaitable.as_ptr())) }
}

/// `iterator.send(value)`.
pub(crate) fn send<'py>(
    iterator: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Step<'py>> {
    let py = iterator.py();
    let mut result = ptr::null_mut();
    // SAFETY: both objects are live; PyIter_Send writes a new reference or NULL to `result`.
    let status = unsafe { ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result) };
    match status {
        // SAFETY: a new reference, as documented for these two results.
        ffi::PySendResult::PYGEN_NEXT => {
            Ok(Step::Yielded(unsafe { Bound::from_owned_ptr_or_err(py, result)? }))
        }
        // SAFETY: likewise.
        ffi::PySendResult::PYGEN_RETURN => {
            Ok(Step::Returned(unsafe { Bound::from_owned_ptr_or_err(py, result)? }))
        }
        ffi::PySendResult::PYGEN_ERROR => Err(PyErr::fetch(py)),
    }
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

/// A class that answers `send(value)` without the detour over StopIteration.
pub(crate) trait Sendable:
    pyo3::PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync
{
    /// One step; `Err` is what the coroutine raised.
    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>>;
}

/// Fills the slot `am_send` (`PyIter_Send` looks there first) and `tp_iternext` of a class of
/// ours: PyO3's macros know no `am_send`, and return values through them cost a StopIteration.
pub(crate) fn install_send<T: Sendable + PyTypeInfo>(py: Python<'_>) {
    // SAFETY: a #[pyclass] is a heap type, whose `tp_as_async` lies in the type object itself and
    // is always there; no instance exists yet, and we are attached.
    unsafe {
        let ty = T::type_object_raw(py);
        (*(*ty).tp_as_async).am_send = Some(am_send::<T>);
        (*ty).tp_iternext = Some(iternext::<T>);
        ffi::PyType_Modified(ty);
    }
}

unsafe extern "C" fn am_send<T: Sendable>(
    slf: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: the interpreter calls slots attached, with a live instance of the class and a live
    // value (NULL is not allowed here), and lends `result` for one pointer.
    unsafe {
        let py = Python::assume_attached();
        let slf = Borrowed::from_ptr(py, slf);
        let value = Borrowed::from_ptr(py, value);
        let (object, status) = match T::send(&slf.cast_unchecked::<T>(), &value) {
            Ok(Step::Yielded(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Step::Returned(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        *result = object;
        status
    }
}

unsafe extern "C" fn iternext<T: Sendable>(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as in `am_send`; None is immortal or at least alive while attached.
    unsafe {
        let py = Python::assume_attached();
        let slf = Borrowed::from_ptr(py, slf);
        match T::send(&slf.cast_unchecked::<T>(), py.None().bind(py)) {
            Ok(Step::Yielded(object)) => object.into_ptr(),
            Ok(Step::Returned(value)) => {
                // NULL without an exception means StopIteration() to every caller of the slot.
                if !value.is_none() {
                    stop_iteration(&value).restore(py);
                }
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    }
}

/// `StopIteration(value)`; made by a call, because a tuple or an exception given to
/// `PyErr_SetObject` would be taken for the arguments or for the exception itself
/// (`_PyGen_SetStopIterationValue`, Objects/genobject.c).
pub(crate) fn stop_iteration(value: &Bound<'_, PyAny>) -> PyErr {
    let py = value.py();
    match PyStopIteration::type_object(py).call1((value,)) {
        Ok(stop) => PyErr::from_value(stop),
        Err(error) => error,
    }
}
