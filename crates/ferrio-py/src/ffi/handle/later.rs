//! The plain `call_later(delay, callback, *args)` and `call_at`: no keywords, numbers of the plain
//! types, a loop without a clock or methods of the program's own (bench: call_later_fire).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::Ordering;

use pyo3::ffi;
use pyo3::prelude::*;

use super::fields::{extra, write};
use super::soon::make;
use super::{Handle, TYPES};
use crate::error;
use crate::event_loop::{Loop, clock};
use crate::ffi::task::queue::are_replaced;
use crate::item::Item;

/// `Loop.call_later` with positional arguments only. None where the general way has to be taken.
///
/// # Safety
/// Called by CPython as a method of `Loop`: attached, on an instance of it, with a vector of
/// `nargs` arguments, at least one.
pub(crate) unsafe fn call_later(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: passed on; `slf` outlives the call.
    unsafe {
        let this = Borrowed::from_ptr(py, slf).cast_unchecked::<Loop>();
        if nargs < 2 || are_replaced(&this) {
            return None;
        }
        let delay = plain_number(py, *args)?;
        let when = this.get().own_clock(py)? + delay;
        set_timer(py, slf, when, ffi::PyFloat_FromDouble(when), args, nargs)
    }
}

/// As [`call_later`], for `Loop.call_at`.
///
/// # Safety
/// As there.
pub(crate) unsafe fn call_at(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: passed on.
    unsafe {
        if nargs < 2 {
            return None;
        }
        let when = plain_number(py, *args)?;
        set_timer(py, slf, when, ffi::Py_NewRef(*args), args, nargs)
    }
}

/// The value of a `float` or a small `int`, neither of a subclass.
///
/// # Safety
/// Attached; a live object.
unsafe fn plain_number(_py: Python<'_>, object: *mut ffi::PyObject) -> Option<f64> {
    // SAFETY: passed on; each macro is used on the type that it is for.
    unsafe {
        if ffi::PyFloat_CheckExact(object) != 0 {
            return Some(ffi::PyFloat_AS_DOUBLE(object));
        }
        if ffi::PyLong_CheckExact(object) == 0 {
            return None;
        }
        let mut overflow = 0;
        let value = ffi::PyLong_AsLongAndOverflow(object, &raw mut overflow);
        // Larger ones may not be representable, which the general way finds out.
        (overflow == 0 && value.unsigned_abs() < 1 << 53).then_some(value as f64)
    }
}

/// What both have in common: `when`, as the number it is and as an object, of which this takes the
/// reference over; it is NULL with an error set if there was no memory for it.
///
/// # Safety
/// As [`call_later`], with at least two arguments.
unsafe fn set_timer(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    when: f64,
    when_object: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: usize,
) -> Option<*mut ffi::PyObject> {
    // SAFETY: see above; each field is written once, with a reference of its own, before the
    // collector or anybody else sees the handle.
    unsafe {
        let Some(when_object) = Bound::from_owned_ptr_or_opt(py, when_object) else {
            return Some(ptr::null_mut());
        };
        let types = TYPES.get(py).filter(|types| types.is_as_expected)?;
        let this = Borrowed::from_ptr(py, slf).cast_unchecked::<Loop>();
        if !this.get().takes_plain_callbacks() {
            return None;
        }
        let raw = make(py, types, &types.timer, slf, args.add(1), nargs - 1);
        if raw.is_null() {
            return Some(raw);
        }
        write(raw, types.slots.when, when_object.into_ptr());
        write(raw, types.slots.scheduled, ffi::Py_NewRef(ffi::Py_True()));
        let item = Item::Timer(Handle(Borrowed::from_ptr(py, raw).to_owned().unbind()));
        let deadline = clock::deadline(when);
        // This is called by C, past PyO3's guard against panics.
        let added = catch_unwind(AssertUnwindSafe(|| this.get().add_timer(py, deadline, item)));
        let error = match added {
            Ok(Ok(key)) => {
                extra(raw, types.timer.extra).store(key, Ordering::Relaxed);
                // Timers wait long and are mostly kept by those who made them: the collector has to
                // know them from the start (see `leave_queue`).
                ffi::PyObject_GC_Track(raw.cast());
                return Some(raw);
            }
            Ok(Err(error)) => error,
            Err(panic) => error::of_panic(&*panic, "the loop's timers failed"),
        };
        ffi::Py_DECREF(raw);
        error.restore(py);
        Some(ptr::null_mut())
    }
}
