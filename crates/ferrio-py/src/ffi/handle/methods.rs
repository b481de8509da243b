//! What programs call on a handle: `cancel` and `cancelled`.

use std::ffi::CStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::impl_::trampoline::get_trampoline_function;
use pyo3::prelude::*;

use super::fields::{extra, locked, owned, read, replace, write};
use super::running::wait_while_running;
use super::{HandleTypes, NO_TIMER};
use crate::event_loop::Loop;

const CANCEL_DOC: &CStr =
    c"cancel($self)\n--\n\nCancels the callback; does nothing if it has run or is cancelled.";
const CANCELLED_DOC: &CStr = c"cancelled($self)\n--\n\nTrue if the callback was cancelled.";

pub(super) static HANDLE_METHODS: MethodTable<3> = MethodTable([
    method(c"cancel", get_trampoline_function!(noargs, cancel), CANCEL_DOC),
    method(c"cancelled", get_trampoline_function!(noargs, cancelled), CANCELLED_DOC),
    ffi::PyMethodDef::zeroed(),
]);

pub(super) static TIMER_METHODS: MethodTable<3> = MethodTable([
    method(c"cancel", cancel_timer_entry, CANCEL_DOC),
    method(c"cancelled", get_trampoline_function!(noargs, cancelled), CANCELLED_DOC),
    ffi::PyMethodDef::zeroed(),
]);

pub(super) static THREADSAFE_METHODS: MethodTable<3> = MethodTable([
    method(
        c"cancel",
        get_trampoline_function!(noargs, cancel_threadsafe),
        c"cancel($self)\n--\n\nCancels the callback; from another thread, waits while it runs (CPython 3.14).",
    ),
    method(
        c"cancelled",
        get_trampoline_function!(noargs, cancelled_threadsafe),
        c"cancelled($self)\n--\n\nTrue if the callback was cancelled; from another thread, waits while it runs.",
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

/// `TimerHandle.cancel()`: the usual case without PyO3's trampoline, for programs cancel nearly every
/// timer they set (bench: timer_cancel_10k_pending).
unsafe extern "C" fn cancel_timer_entry(
    slf: *mut ffi::PyObject,
    unused: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: see above; `unused` is passed on.
    unsafe {
        if cancel_pending(Python::assume_attached(), slf).is_some() {
            return ffi::Py_NewRef(ffi::Py_None());
        }
        get_trampoline_function!(noargs, cancel_timer)(slf, unused)
    }
}

/// Cancels a timer that is pending on a loop of ours, which is not in debug mode; None, and nothing
/// is changed, if it is another one. Does not panic.
unsafe fn cancel_pending(py: Python<'_>, slf: *mut ffi::PyObject) -> Option<()> {
    let types = HandleTypes::installed(py).ok()?;
    // SAFETY: see above; each replaced object is released when its slot has its new value.
    unsafe {
        let key = extra(slf, types.timer.extra);
        if key.load(Ordering::Relaxed) == NO_TIMER || is_cancelled(types, slf) {
            return None;
        }
        let looop =
            locked(slf, || Bound::from_borrowed_ptr_or_opt(py, read(slf, types.slots.looop)))?;
        let looop = looop.cast_into::<Loop>().ok().filter(|looop| !looop.get().is_debug())?;
        let key = key.swap(NO_TIMER, Ordering::Relaxed);
        if key == NO_TIMER {
            // Another thread has been quicker.
            return None;
        }
        replace(slf, types.slots.cancelled, ffi::Py_NewRef(ffi::Py_True()));
        replace(slf, types.slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
        replace(slf, types.slots.callback, ffi::Py_NewRef(ffi::Py_None()));
        replace(slf, types.slots.args, ffi::Py_NewRef(ffi::Py_None()));
        // What stays behind should the engine fail is a cancelled handle, which never runs.
        let _failed = catch_unwind(AssertUnwindSafe(|| looop.get().forget_timer(py, key)));
    }
    Some(())
}

unsafe fn cancel_timer(py: Python<'_>, slf: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    let types = HandleTypes::installed(py)?;
    // SAFETY: see above; the timer's key lies behind the base's slots.
    unsafe {
        if !is_cancelled(types, slf) {
            let key = extra(slf, types.timer.extra).swap(NO_TIMER, Ordering::Relaxed);
            let looop = owned(py, slf, types.slots.looop, "_loop")?;
            mark_cancelled(py, slf)?;
            if key != NO_TIMER {
                replace(slf, types.slots.scheduled, ffi::Py_NewRef(ffi::Py_False()));
                if let Ok(looop) = looop.cast::<Loop>() {
                    looop.get().forget_timer(py, key);
                }
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
        let running = extra(slf, types.threadsafe.extra);
        wait_while_running(py, running);
        mark_cancelled(py, slf)?;
        // Without a GIL it may have begun to run between the two, and not have seen the mark.
        if cfg!(Py_GIL_DISABLED) {
            wait_while_running(py, running);
        }
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
        // One of two threads is the first.
        let marked = locked(slf, || {
            if is_cancelled(types, slf) {
                return None;
            }
            let old = read(slf, types.slots.cancelled);
            write(slf, types.slots.cancelled, ffi::Py_NewRef(ffi::Py_True()));
            Some(old)
        });
        let Some(old) = marked else { return Ok(false) };
        ffi::Py_XDECREF(old);
        let looop = owned(py, slf, types.slots.looop, "_loop")?;
        if crate::event_loop::is_debug(&looop)? {
            let repr = Borrowed::from_ptr(py, slf).repr()?;
            replace(slf, types.slots.repr, repr.into_ptr());
        }
        replace(slf, types.slots.callback, ffi::Py_NewRef(ffi::Py_None()));
        replace(slf, types.slots.args, ffi::Py_NewRef(ffi::Py_None()));
    }
    Ok(true)
}
