//! Driving an iterator as a task drives a coroutine, and looking like a coroutine to a task.

use std::marker::PhantomData;
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::impl_::trampoline::{MethodDef, iternextfunc};
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
    // SAFETY: both objects are live; PyIter_Send writes a new reference to `result`, or NULL with an
    // exception set.
    let (status, object) = unsafe {
        let status = ffi::PyIter_Send(iterator.as_ptr(), value.as_ptr(), &raw mut result);
        (status, Bound::from_owned_ptr_or_err(py, result)?)
    };
    match status {
        ffi::PySendResult::PYGEN_NEXT => Ok(Step::Yielded(object)),
        ffi::PySendResult::PYGEN_RETURN => Ok(Step::Returned(object)),
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
        (*ty).tp_iternext = Some(iternextfunc::<Next<T>>);
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
    let step = |py: Python<'_>| unsafe {
        let slf = Borrowed::from_ptr(py, slf);
        let value = Borrowed::from_ptr(py, value);
        match T::send(&slf.cast_unchecked::<T>(), &value) {
            Ok(Step::Yielded(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Step::Returned(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        }
    };
    // Attached already; this tells PyO3, so that a dropped reference is released at once. While
    // the interpreter ends nothing is resumed any more: the error below.
    let (object, status) = Python::try_attach(step).unwrap_or_else(|| {
        // SAFETY: attached, see above.
        let py = unsafe { Python::assume_attached() };
        PyRuntimeError::new_err("the interpreter is shutting down").restore(py);
        (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
    });
    // SAFETY: see above.
    unsafe { *result = object };
    status
}

/// PyO3's trampoline marks the thread as attached and stops panics; this is what it calls.
struct Next<T>(PhantomData<T>);

impl<T: Sendable> MethodDef<iternextfunc::Func> for Next<T> {
    const METH: iternextfunc::Func = next::<T>;
}

/// # Safety
/// As `am_send`.
unsafe fn next<T: Sendable>(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: passed on.
    let slf = unsafe { Borrowed::from_ptr(py, slf).cast_unchecked::<T>() };
    match T::send(&slf, py.None().bind(py))? {
        Step::Yielded(object) => Ok(object.into_ptr()),
        // NULL without an exception means StopIteration() to every caller of the slot.
        Step::Returned(value) if value.is_none() => Ok(ptr::null_mut()),
        Step::Returned(value) => Err(stop_iteration(&value)),
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
