//! What programs call on a handle: `cancel` and `cancelled`.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::impl_::trampoline::get_trampoline_function;
use pyo3::prelude::*;

use super::fields::{extra, owned, read, replace};
use super::running::wait_while_running;
use super::{HandleTypes, NO_TIMER};

const CANCEL_DOC: &CStr = c"Cancels the callback; does nothing if it has run or is cancelled.";
const CANCELLED_DOC: &CStr = c"True if the callback was cancelled.";

pub(super) static HANDLE_METHODS: MethodTable<3> = MethodTable([
    method(c"cancel", get_trampoline_function!(noargs, cancel), CANCEL_DOC),
    method(c"cancelled", get_trampoline_function!(noargs, cancelled), CANCELLED_DOC),
    ffi::PyMethodDef::zeroed(),
]);

pub(super) static TIMER_METHODS: MethodTable<3> = MethodTable([
    method(c"cancel", get_trampoline_function!(noargs, cancel_timer), CANCEL_DOC),
    method(c"cancelled", get_trampoline_function!(noargs, cancelled), CANCELLED_DOC),
    ffi::PyMethodDef::zeroed(),
]);

pub(super) static THREADSAFE_METHODS: MethodTable<3> = MethodTable([
    method(
        c"cancel",
        get_trampoline_function!(noargs, cancel_threadsafe),
        c"Cancels the callback; from another thread, waits while it runs (CPython 3.14).",
    ),
    method(
        c"cancelled",
        get_trampoline_function!(noargs, cancelled_threadsafe),
        c"True if the callback was cancelled; from another thread, waits while it runs.",
    ),
    ffi::PyMethodDef::zeroed(),
]);

pub(super) struct MethodTable<const N: usize>([ffi::PyMethodDef; N]);

impl<const N: usize> MethodTable<N> {
    pub(super) const fn as_ptr(&self) -> *const ffi::PyMethodDef {
        self.0.as_ptr()
    }
}

// SAFETY: never written after initialization; the pointers inside name statics.
unsafe impl<const N: usize> Sync for MethodTable<N> {}

const fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    doc: &'static CStr,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: ffi::METH_NOARGS,
        ml_doc: doc.as_ptr(),
    }
}

// Each is called by CPython as a method: attached (by PyO3's trampoline, which also stops panics),
// on a live instance of the class that it was defined on.

unsafe fn cancel(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: see above.
    unsafe { mark_cancelled(py, slf)? };
    Ok(py.None().into_ptr())
}

unsafe fn cancelled(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    Ok(bool_object(py, unsafe { is_cancelled(types, slf) }))
}

unsafe fn cancel_timer(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above; the timer's key lies behind the base's slots.
    unsafe {
        if !is_cancelled(types, slf) {
            let key = extra(slf, types.timer.extra).swap(NO_TIMER, Ordering::Relaxed);
            let looop = owned(py, read(slf, types.slots.looop), "_loop")?;
            mark_cancelled(py, slf)?;
            if key != NO_TIMER {
                replace(slf, types.slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
                crate::event_loop::forget_timer(&looop, key);
            }
        }
    }
    Ok(py.None().into_ptr())
}

unsafe fn cancel_threadsafe(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    unsafe {
        wait_while_running(py, extra(slf, types.threadsafe.extra));
        mark_cancelled(py, slf)?;
    }
    Ok(py.None().into_ptr())
}

unsafe fn cancelled_threadsafe(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above.
    unsafe {
        wait_while_running(py, extra(slf, types.threadsafe.extra));
        Ok(bool_object(py, is_cancelled(types, slf)))
    }
}

fn bool_object(py: Python<'_>, truth: bool) -> *mut ffi::PyObject {
    pyo3::types::PyBool::new(py, truth).to_owned().into_ptr()
}

/// # Safety
/// Attached; `slf` is a live handle of ours.
pub(super) unsafe fn is_cancelled(types: &HandleTypes, slf: *mut ffi::PyObject) -> bool {
    // SAFETY: passed on.
    unsafe { read(slf, types.slots.cancelled) == ffi::Py_True() }
}

/// `Handle.cancel`: True if it was not cancelled before. In debug mode the handle keeps its repr,
/// to be shown when the callback turns out to have been slow.
///
/// # Safety
/// Attached; `slf` is a live handle of ours.
pub(super) unsafe fn mark_cancelled(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<bool> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: passed on; each replaced object is released after its slot has its new value.
    unsafe {
        if is_cancelled(types, slf) {
            return Ok(false);
        }
        replace(slf, types.slots.cancelled, ffi::Py_NewRef(ffi::Py_True()));
        let looop = owned(py, read(slf, types.slots.looop), "_loop")?;
        if crate::event_loop::is_debug(&looop)? {
            let repr = Borrowed::from_ptr(py, slf).repr()?;
            replace(slf, types.slots.repr, repr.into_ptr());
        }
        replace(slf, types.slots.callback, ffi::Py_NewRef(ffi::Py_None()));
        replace(slf, types.slots.args, ffi::Py_NewRef(ffi::Py_None()));
    }
    Ok(true)
}
