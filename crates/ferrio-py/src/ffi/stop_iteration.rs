//! `StopIteration(value)`, by which an iterator hands over its result.
//!
//! Every `await` of something that is not a coroutine of Python's ends with one, which the
//! interpreter takes apart at once. Up to 3.11 it need not even exist; from 3.12 on, making it by a
//! call of its class is most of what such an `await` costs. So it is made directly; and the one for
//! True, which `acquire()` and its like return, is kept and raised again where the interpreter awaits
//! (bench: lock_uncontended). Who calls `send()` or `next()` gets a new one: whatever the program
//! leaves in it, frames by way of the traceback above all, would be kept as well.

#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBool;

/// Sets the exception.
///
/// Not just by giving the value to `PyErr_SetObject`: a tuple or an exception would be taken for the
/// arguments or for the exception itself (`_PyGen_SetStopIterationValue`, Objects/genobject.c).
pub(crate) fn raise(value: Bound<'_, PyAny>) {
    // SAFETY: attached; a new instance, whose fields are those of a public struct, all zero but for
    // the ones that `StopIteration.__init__` fills.
    unsafe {
        if cfg!(not(Py_3_12)) && is_taken_as_value(&value) {
            ffi::PyErr_SetObject(ffi::PyExc_StopIteration, value.as_ptr());
            return;
        }
        let class = ffi::PyExc_StopIteration.cast::<ffi::PyTypeObject>();
        let arguments = ffi::PyTuple_New(1);
        if arguments.is_null() {
            return;
        }
        ffi::PyTuple_SET_ITEM(arguments, 0, value.clone().into_ptr());
        let stop = ffi::PyType_GenericAlloc(class, 0).cast::<ffi::PyStopIterationObject>();
        if stop.is_null() {
            ffi::Py_DECREF(arguments);
            return;
        }
        (*stop).args = arguments;
        (*stop).value = value.into_ptr();
        // For those who catch it: what is being handled becomes its context, up to 3.13.
        #[cfg(Py_3_14)]
        ffi::PyErr_SetRaisedException(stop.cast());
        #[cfg(not(Py_3_14))]
        {
            ffi::PyErr_SetObject(class.cast(), stop.cast());
            ffi::Py_DECREF(stop.cast());
        }
    }
}

/// Sets `StopIteration(True)`, for an `await` of the interpreter's, which takes it apart.
pub(crate) fn raise_true_to_await(py: Python<'_>) {
    #[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
    // SAFETY: attached.
    if unsafe { raise_kept() } {
        return;
    }
    raise(PyBool::new(py, true).to_owned().into_any());
    #[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
    // SAFETY: attached; what was raised is the one just made, or there was no memory for it.
    unsafe {
        let stop = ffi::PyErr_GetRaisedException();
        if is_as_new(stop.cast()) {
            let old = KEPT.swap(ffi::Py_NewRef(stop).cast(), Ordering::Relaxed);
            ffi::PyErr_SetRaisedException(stop);
            ffi::Py_XDECREF(old.cast());
        } else {
            ffi::PyErr_SetRaisedException(stop);
        }
    }
}

/// `StopIteration(True)`, or NULL before there is one; a reference of ours.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
static KEPT: AtomicPtr<ffi::PyStopIterationObject> = AtomicPtr::new(std::ptr::null_mut());

/// Sets the kept one, if nobody else has it, nor has left anything in it or changed it, and if nothing
/// is being handled that would have to become its context.
///
/// # Safety
/// Attached.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
unsafe fn raise_kept() -> bool {
    let stop = KEPT.load(Ordering::Relaxed);
    // SAFETY: passed on; the exception is alive as long as it is kept.
    unsafe {
        if stop.is_null() || ffi::Py_REFCNT(stop.cast()) != 1 {
            return false;
        }
        #[cfg(not(Py_3_14))]
        {
            let handled = ffi::PyErr_GetHandledException();
            if !handled.is_null() {
                ffi::Py_DECREF(handled);
                return false;
            }
        }
        if !is_as_new(stop) {
            return false;
        }
        ffi::PyErr_SetRaisedException(ffi::Py_NewRef(stop.cast()));
        true
    }
}

/// Is this a `StopIteration(True)` in which nobody has left anything?
///
/// # Safety
/// Attached; an exception.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
unsafe fn is_as_new(stop: *const ffi::PyStopIterationObject) -> bool {
    // SAFETY: passed on; the fields are read only if they are there.
    unsafe {
        if ffi::Py_TYPE(stop.cast_mut().cast()) != ffi::PyExc_StopIteration.cast() {
            return false;
        }
        let kept = &*stop;
        [kept.dict, kept.notes, kept.traceback, kept.context, kept.cause]
            .iter()
            .all(|field| field.is_null())
            // One byte in C; the binding takes it for a Rust `char`, of which not every value is one.
            && (&raw const (*stop).suppress_context).cast::<u8>().read() == 0
            && kept.value == ffi::Py_True()
            && is_true_alone(kept.args)
    }
}

/// Are these the arguments of `StopIteration(True)`?
///
/// # Safety
/// Attached; the `args` of an exception, a tuple.
#[cfg(all(Py_3_12, not(Py_GIL_DISABLED)))]
unsafe fn is_true_alone(args: *mut ffi::PyObject) -> bool {
    // SAFETY: passed on.
    unsafe {
        ffi::PyTuple_CheckExact(args) != 0
            && ffi::PyTuple_GET_SIZE(args) == 1
            && ffi::PyTuple_GET_ITEM(args, 0) == ffi::Py_True()
    }
}

/// Would the interpreter make `StopIteration(value)` of it, when somebody wants to see the
/// exception?
fn is_taken_as_value(value: &Bound<'_, PyAny>) -> bool {
    // SAFETY: both only look at the type.
    unsafe {
        ffi::PyTuple_Check(value.as_ptr()) == 0
            && ffi::PyExceptionInstance_Check(value.as_ptr()) == 0
    }
}
