//! The iterator behind `await future`.
//!
//! asyncio's own would do. This one ends an await whose result is None without making a
//! StopIteration, which nobody but the interpreter would see: NULL from `tp_iternext` with no
//! exception set means the same (bench: future_ping_pong).

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;

use super::layout::PENDING;
use super::{fields, methods, types};
use crate::error::WithText;
use crate::ffi::free_list::FreeList;
use crate::ffi::heap_type::{self, method, slot};
use crate::ffi::interned::intern;
use crate::ffi::stop_iteration;
use crate::ffi::trash;

/// The class, and instances that were freed lately.
pub(crate) struct IterType {
    ty: *mut ffi::PyTypeObject,
    free: FreeList,
}

#[repr(C)]
struct Iter {
    header: ffi::PyObject,
    /// NULL once it has ended.
    future: *mut ffi::PyObject,
}

impl IterType {
    pub(super) fn new(py: Python<'_>) -> PyResult<IterType> {
        let slots = vec![
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_iter, ffi::PyObject_SelfIter as *mut c_void),
            slot(ffi::Py_tp_iternext, iternext as *mut c_void),
            heap_type::methods(vec![
                method(c"send", send, ffi::METH_O),
                method(c"throw", throw, ffi::METH_VARARGS),
                method(c"close", close, ffi::METH_NOARGS),
            ]),
            slot(ffi::Py_am_send, am_send as *mut c_void),
        ];
        // SAFETY: functions of the slots' types, for an Iter.
        let ty = unsafe { heap_type::new_type::<Iter>(py, c"ferrio.FutureIter", 0, slots)? };
        Ok(IterType { ty, free: FreeList::new() })
    }
}

/// `Future.__iter__` and `__await__`.
pub(super) unsafe extern "C" fn new_iter(future: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an instance of one of the two types or of a subclass. The
    // iterator is tracked when it is whole.
    unsafe {
        let py = Python::assume_attached();
        let Some(types) = types(py) else { return ptr::null_mut() };
        if fields::get(future, types.layout.looop).is_null() {
            PyRuntimeError::with_text("Future object is not initialized.").restore(py);
            return ptr::null_mut();
        }
        let object = types.iter.free.new_instance(py, types.iter.ty);
        if object.is_null() {
            return object;
        }
        (*object.cast::<Iter>()).future = ffi::Py_NewRef(future);
        ffi::PyObject_GC_Track(object.cast());
        object
    }
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        clear(slf);
        let py = Python::assume_attached();
        match types(py) {
            Some(types) => types.iter.free.free(py, slf),
            // There is no instance without the types.
            None => crate::ffi::class::free(slf),
        }
    }
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called attached by the collector; only reads.
    unsafe {
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        let future = (*slf.cast::<Iter>()).future;
        if answer != 0 || future.is_null() { answer } else { visit(future, arg) }
    }
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached on a live iterator; the field no longer names the future when it
    // goes.
    unsafe {
        let future = std::mem::replace(&mut (*slf.cast::<Iter>()).future, ptr::null_mut());
        ffi::Py_XDECREF(future);
    }
    0
}

/// One step: what `am_send` answers.
///
/// # Safety
/// Called by CPython as the slot it is.
unsafe extern "C" fn am_send(
    slf: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
    result: *mut *mut ffi::PyObject,
) -> ffi::PySendResult {
    // SAFETY: called attached, on an iterator, with a place for one reference; the future is held
    // while its result is asked for.
    unsafe {
        *result = ptr::null_mut();
        let py = Python::assume_attached();
        let iter = slf.cast::<Iter>();
        let future = (*iter).future;
        let Some(types) = types(py) else { return ffi::PySendResult::PYGEN_ERROR };
        if future.is_null() {
            // It has ended. asyncio's reports an error and sets none.
            *result = ffi::Py_NewRef(ffi::Py_None());
            return ffi::PySendResult::PYGEN_RETURN;
        }
        let layout = &types.layout;
        if fields::state(future, layout.state) == PENDING {
            if !layout.blocking.is_set(future) {
                layout.blocking.set(future);
                *result = ffi::Py_NewRef(future);
                return ffi::PySendResult::PYGEN_NEXT;
            }
            PyRuntimeError::with_text("await wasn't used with future").restore(py);
            return ffi::PySendResult::PYGEN_ERROR;
        }
        (*iter).future = ptr::null_mut();
        let outcome = methods::result(py, types, future);
        ffi::Py_DECREF(future);
        match outcome {
            Ok(value) => {
                *result = value.into_ptr();
                ffi::PySendResult::PYGEN_RETURN
            }
            Err(error) => {
                error.restore(py);
                ffi::PySendResult::PYGEN_ERROR
            }
        }
    }
}

unsafe extern "C" fn iternext(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: as am_send.
    unsafe {
        let mut result = ptr::null_mut();
        match am_send(slf, ffi::Py_None(), &raw mut result) {
            ffi::PySendResult::PYGEN_NEXT => return result,
            ffi::PySendResult::PYGEN_RETURN if result == ffi::Py_None() => ffi::Py_DECREF(result),
            ffi::PySendResult::PYGEN_RETURN => {
                let py = Python::assume_attached();
                stop_iteration::raise(Bound::from_owned_ptr(py, result));
            }
            ffi::PySendResult::PYGEN_ERROR => {}
        }
        ptr::null_mut()
    }
}

/// `send(value)`: the value is of no interest, as in asyncio's.
unsafe extern "C" fn send(
    slf: *mut ffi::PyObject,
    _value: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as am_send; whoever calls a method gets a StopIteration, not a bare NULL.
    unsafe {
        let result = iternext(slf);
        if result.is_null() && ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_SetNone(ffi::PyExc_StopIteration);
        }
        result
    }
}

/// `throw(type[, value[, traceback]])`: ends the iterator with this exception.
unsafe extern "C" fn throw(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an iterator, with a tuple.
    unsafe {
        let py = Python::assume_attached();
        let args = Borrowed::from_ptr(py, args);
        let no_exception = |_: &Bound<'_, PyAny>| {
            Ok("exceptions must be classes deriving BaseException or instances of such a class"
                .into())
        };
        match thrown(&args, no_exception) {
            Ok(error) => {
                clear(slf);
                error.restore(py);
            }
            Err(error) => error.restore(py),
        }
        ptr::null_mut()
    }
}

/// What is said of something that cannot be raised: not the same for a future's iterator as for a
/// coroutine.
pub(crate) type Refusal = fn(&Bound<'_, PyAny>) -> PyResult<String>;

/// What the arguments of `throw` mean; `Err` where they mean nothing.
pub(crate) fn thrown(args: &Bound<'_, PyAny>, no_exception: Refusal) -> PyResult<PyErr> {
    let py = args.py();
    let count = args.len()?;
    if count == 0 || count > 3 {
        let (bound, limit) = if count == 0 { ("at least", 1) } else { ("at most", 3) };
        let plural = if limit == 1 { "" } else { "s" };
        return Err(PyTypeError::with_text(format!(
            "throw expected {bound} {limit} argument{plural}, got {count}"
        )));
    }
    if count > 1 && cfg!(Py_3_12) {
        PyErr::warn(
            py,
            &py.get_type::<pyo3::exceptions::PyDeprecationWarning>(),
            c"the (type, exc, tb) signature of throw() is deprecated, use the single-arg \
              signature instead.",
            1,
        )?;
    }
    let given = |index: usize| -> PyResult<Option<Bound<'_, PyAny>>> {
        if index >= count {
            return Ok(None);
        }
        Ok(Some(args.get_item(index)?).filter(|value| !value.is_none()))
    };
    let (value, traceback) = (given(1)?, given(2)?);
    let first = args.get_item(0)?;
    let traceback = match traceback.map(Bound::cast_into::<pyo3::types::PyTraceback>) {
        None => None,
        Some(Ok(traceback)) => Some(traceback),
        Some(Err(_)) => {
            return Err(PyTypeError::with_text("throw() third argument must be a traceback"));
        }
    };
    // SAFETY: both only look at the type of a live object.
    let (is_class, is_instance) = unsafe {
        (
            ffi::PyExceptionClass_Check(first.as_ptr()) != 0,
            ffi::PyExceptionInstance_Check(first.as_ptr()) != 0,
        )
    };
    let error = match (is_class, is_instance, value) {
        (true, _, Some(value)) if value.is_instance(&first)? => value,
        (true, _, Some(value)) => match value.cast::<pyo3::types::PyTuple>() {
            Ok(arguments) => first.call1(arguments)?,
            Err(_) => first.call1((value,))?,
        },
        (true, _, None) => first.call0()?,
        (_, true, Some(_)) => {
            return Err(PyTypeError::with_text("instance exception may not have a separate value"));
        }
        (_, true, None) => first,
        (false, false, _) => {
            return Err(PyTypeError::with_text(no_exception(&first)?));
        }
    };
    if let Some(traceback) = traceback {
        error.call_method1(intern!(py, "with_traceback"), (traceback,))?;
    }
    Ok(PyErr::from_value(error))
}

unsafe extern "C" fn close(
    slf: *mut ffi::PyObject,
    _unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an iterator.
    unsafe {
        clear(slf);
        ffi::Py_NewRef(ffi::Py_None())
    }
}
